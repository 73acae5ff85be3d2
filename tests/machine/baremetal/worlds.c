/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two worlds on one hart: 1 and 2 touch each other's memory by load, store, AMO, fetch, page-table
 * walk and DMA, with every split of permissions, while world 3 (trusted, M-mode) reprograms the
 * checkers and reads what they recorded.
 */
#include "world.h"

/* One page of each world, and one for page tables; none of them in the program's image. */
#define PAGE_1 0x81000000ul
#define PAGE_2 0x81001000ul
#define TABLE  0x81002000ul

static void expect_error(unsigned int wid, uint64_t kind, uint64_t address)
{
	EQUAL(read64(WG_DRAM + ERRCAUSE), wid | kind | ERR_BE);
	EQUAL(read64(WG_DRAM + ERRADDR), address >> 2);
	write64(WG_DRAM + ERRCAUSE, 0);
}

static void separate(void)
{
	WRITE_CSR(0x390, 1);
	write64(PAGE_1, 0x1111);
	write64(PAGE_2, 0x2222);
	EQUAL(TRY_LOAD(S, PAGE_1), NONE);
	EQUAL(trap_result, 0x1111);
	EQUAL(TRY_LOAD(S, PAGE_2), LOAD_ACCESS);
	EQUAL(trap_value, PAGE_2);
	expect_error(1, ERR_R, PAGE_2);
	EQUAL(TRY_STORE(S, PAGE_2 + 8, 1), STORE_ACCESS);
	expect_error(1, ERR_W, PAGE_2 + 8);
	EQUAL(TRY_AMO(S, PAGE_2, 1), STORE_ACCESS);
	CHECK(read64(WG_DRAM + ERRCAUSE) & ERR_BE);
	write64(WG_DRAM + ERRCAUSE, 0);
	EQUAL(TRY_CALL(S, PAGE_2), FETCH_ACCESS);
	expect_error(1, ERR_R, PAGE_2); /* a fetch is checked as a read */
	EQUAL(read64(PAGE_2), 0x2222);
	WRITE_CSR(0x390, 2);
	EQUAL(TRY_LOAD(S, PAGE_2), NONE);
	EQUAL(trap_result, 0x2222);
	EQUAL(TRY_LOAD(S, PAGE_1), LOAD_ACCESS);
	expect_error(2, ERR_R, PAGE_1);
	/* the first error stays until software takes it */
	EQUAL(TRY_LOAD(S, PAGE_1), LOAD_ACCESS);
	EQUAL(TRY_STORE(S, PAGE_1 + 64, 0), STORE_ACCESS);
	expect_error(2, ERR_R, PAGE_1);
	EQUAL(TRY_LOAD(M, PAGE_1), NONE); /* M-mode is world 3 */
}

static void splits(void)
{
	WRITE_CSR(0x390, 1);
	slot_page(WG_DRAM, 1, PAGE_1, PERM_R(1), CFG_ERRORS);
	EQUAL(TRY_LOAD(S, PAGE_1), NONE);
	EQUAL(TRY_STORE(S, PAGE_1, 5), STORE_ACCESS);
	expect_error(1, ERR_W, PAGE_1);
	EQUAL(TRY_LOAD(S, PAGE_1), NONE); /* reading still works, again and again */
	EQUAL(trap_result, 0x1111);
	slot_page(WG_DRAM, 1, PAGE_1, PERM_W(1), CFG_ERRORS);
	EQUAL(TRY_STORE(S, PAGE_1, 0x77), NONE);
	EQUAL(TRY_LOAD(S, PAGE_1), LOAD_ACCESS);
	EQUAL(TRY_STORE(S, PAGE_1, 0x78), NONE);
	EQUAL(TRY_AMO(S, PAGE_1, 1), STORE_ACCESS);
	EQUAL(read64(PAGE_1), 0x78);
	/* alternating: neither answer pushes the other out */
	for (unsigned int i = 0; i < 20; i++) {
		EQUAL(TRY_STORE(S, PAGE_1, i), NONE);
		EQUAL(TRY_LOAD(S, PAGE_1), LOAD_ACCESS);
	}
	write64(WG_DRAM + ERRCAUSE, 0);
}

static void silent(void)
{
	WRITE_CSR(0x390, 2);
	slot_page(WG_DRAM, 1, PAGE_1, PERM_R(1) | PERM_W(1), 0);
	EQUAL(TRY_LOAD(S, PAGE_1), NONE);
	EQUAL(trap_result, 0);
	EQUAL(TRY_STORE(S, PAGE_1, 1), NONE);
	EQUAL(read64(PAGE_1), 19);
	EQUAL(read64(WG_DRAM + ERRCAUSE), 0); /* no reaction: nothing recorded */
}

static void interrupts(void)
{
	write32(PLIC + 4 * 15, 1);
	write32(PLIC + 0x2000, 1 << 15);
	write32(PLIC + 0x200000, 0);
	slot_page(WG_DRAM, 1, PAGE_1, PERM_R(1) | PERM_W(1), CFG_IR | CFG_IW);
	EQUAL(TRY_STORE(S, PAGE_1, 1), NONE);
	EQUAL(read64(WG_DRAM + ERRCAUSE), 2 | ERR_W | ERR_IP);
	EQUAL(READ_CSR(mip) >> 11 & 1, 1);
	EQUAL(read32(PLIC + 0x200004), 15);
	write64(WG_DRAM + ERRCAUSE, 0); /* the wire follows IP */
	write32(PLIC + 0x200004, 15);
	EQUAL(READ_CSR(mip) >> 11 & 1, 0);
	write32(PLIC + 0x2000, 0);
}

/* With mwiddeleg set, U-mode has slwid and S-mode keeps mlwid. */
static void delegated(void)
{
	slot_page(WG_DRAM, 1, PAGE_1, PERM_R(1) | PERM_W(1), CFG_ERRORS);
	WRITE_CSR(0x390, 1);
	WRITE_CSR(0x748, 1 << 2);
	WRITE_CSR(0x190, 2);
	EQUAL(READ_CSR(0x190), 2);
	WRITE_CSR(0x190, 1); /* not in mwiddeleg: the lowest that is */
	EQUAL(READ_CSR(0x190), 2);
	EQUAL(TRY_LOAD(S, PAGE_1), NONE);
	EQUAL(TRY_LOAD(S, PAGE_2), LOAD_ACCESS);
	EQUAL(TRY_LOAD(U, PAGE_2), NONE);
	EQUAL(TRY_LOAD(U, PAGE_1), LOAD_ACCESS);
	WRITE_CSR(0x748, 0); /* U follows S again, without any fence */
	EQUAL(TRY_LOAD(U, PAGE_1), NONE);
	EQUAL(TRY_LOAD(U, PAGE_2), LOAD_ACCESS);
	write64(WG_DRAM + ERRCAUSE, 0);
}

static uint64_t read_slwid(void)
{
	return READ_CSR(0x190);
}

/* Page tables only world 1 may read: world 2's walks fail, with an access fault of the access's
 * type. */
static void walks(void)
{
	slot_page(WG_DRAM, 4, TABLE, PERM_R(1) | PERM_W(1), CFG_ERRORS);
	write64(TABLE + 16, 0x80000000ul >> 2 | 0xcf);
	write64(TABLE, 0xcf);
	WRITE_CSR(satp, 8ul << 60 | TABLE >> 12);
	asm volatile("sfence.vma");
	WRITE_CSR(0x390, 1);
	EQUAL(TRY_LOAD(S, PAGE_1), NONE);
	WRITE_CSR(0x390, 2);
	EQUAL(TRY_LOAD(S, PAGE_2), FETCH_ACCESS);
	EQUAL(read64(WG_DRAM + ERRCAUSE), 2 | ERR_R | ERR_BE);
	EQUAL(read64(WG_DRAM + ERRADDR), (TABLE + 16) >> 2);
	write64(WG_DRAM + ERRCAUSE, 0);
	WRITE_CSR(0x390, 1);
	EQUAL(TRY_LOAD(S, PAGE_1), NONE); /* back: nothing of world 2 stays */
	WRITE_CSR(satp, 0);
	asm volatile("sfence.vma");
	EQUAL(try(S, read_slwid, 0, 0), ILLEGAL); /* nothing is delegated */
}

static void masters(void)
{
	write64(PAGE_1, 0xabcd);
	write64(PAGE_2, 0x2222);
	write32(WG_MARKER + 8, 1);
	EQUAL(dma_copy(PAGE_1, IMAGE_SCRATCH, 8), 1);
	EQUAL(read64(IMAGE_SCRATCH), 0xabcd);
	EQUAL(dma_copy(PAGE_2, IMAGE_SCRATCH, 8), 3);
	expect_error(1, ERR_R, PAGE_2);
	EQUAL(dma_copy(PAGE_1, PAGE_2, 8), 3);
	expect_error(1, ERR_W, PAGE_2);
	EQUAL(read64(PAGE_2), 0x2222);
	write32(WG_MARKER + 8, 2);
	EQUAL(dma_copy(PAGE_2, IMAGE_SCRATCH, 8), 1);
	write32(WG_MARKER + 0xc, 0); /* not valid: nothing passes */
	EQUAL(dma_copy(PAGE_2, IMAGE_SCRATCH, 8), 3);
	write32(WG_MARKER + 0xc, 2);
	write32(WG_MARKER + 8, 3);
	EQUAL(dma_copy(PAGE_1, PAGE_2, 8), 1);
}

/* Only the trusted world sees the checkers themselves; the UART has a checker of its own. */
static void registers(void)
{
	WRITE_CSR(0x390, 1);
	EQUAL(try(S, do_load, WG_DRAM + ERRADDR, 0), NONE);
	EQUAL(trap_result, 0);
	EQUAL(TRY_STORE(S, WG_DRAM + SLOT(1) + SLOT_PERM, 0), NONE);
	CHECK(read64(WG_DRAM + SLOT(1) + SLOT_PERM) != 0);
	EQUAL(read32(WG_DRAM + 8), 16);
	write32(WG_DRAM + 8, 3);
	EQUAL(read32(WG_DRAM + 8), 16);
	write32(WG_UART + SLOT(0) + SLOT_CFG, CFG_ERRORS);
	write64(WG_UART + SLOT(1) + SLOT_PERM, PERM_R(3) | PERM_W(3));
	write32(WG_UART + SLOT(1) + SLOT_CFG, CFG_TOR | CFG_ERRORS);
	EQUAL(try(S, write8, 0x10000007, 'x'), STORE_ACCESS);
	EQUAL(try(M, write8, 0x10000007, 'x'), NONE);
	write64(WG_UART + SLOT(1) + SLOT_PERM, PERM_W(1) | PERM_R(3) | PERM_W(3));
	EQUAL(try(S, write8, 0x10000007, 'y'), NONE);
	EQUAL(TRY_LOAD(S, 0x10000000), LOAD_ACCESS);
}

/* Rules that change while the same load runs. */
static void reprogram(void)
{
	WRITE_CSR(0x390, 1);
	for (unsigned int i = 0; i < 50; i++) {
		write64(WG_DRAM + SLOT(1) + SLOT_PERM, PERM_R(1) | PERM_W(1));
		EQUAL(TRY_STORE(S, PAGE_1, i), NONE);
		write64(WG_DRAM + SLOT(1) + SLOT_PERM, PERM_R(1));
		EQUAL(TRY_STORE(S, PAGE_1, 1000), STORE_ACCESS);
		EQUAL(TRY_LOAD(S, PAGE_1), NONE);
		EQUAL(trap_result, i);
		write64(WG_DRAM + SLOT(1) + SLOT_PERM, 0);
		EQUAL(TRY_LOAD(S, PAGE_1), LOAD_ACCESS);
	}
	/* a locked slot is so until reset */
	write32(WG_DRAM + SLOT(1) + SLOT_CFG, CFG_NAPOT | CFG_ERRORS | CFG_LOCK);
	write64(WG_DRAM + SLOT(1) + SLOT_PERM, -1ul);
	EQUAL(read64(WG_DRAM + SLOT(1) + SLOT_PERM), 0);
}

int main(void)
{
	EQUAL(READ_CSR(0x390), 3);
	world_setup();
	slot_page(WG_DRAM, 1, PAGE_1, PERM_R(1) | PERM_W(1), CFG_ERRORS);
	slot_page(WG_DRAM, 2, PAGE_2, PERM_R(2) | PERM_W(2), CFG_ERRORS);
	separate();
	splits();
	silent();
	interrupts();
	delegated();
	walks();
	masters();
	registers();
	reprogram();
	return 0;
}
