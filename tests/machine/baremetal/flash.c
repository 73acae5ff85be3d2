/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The flash as a driver meets it: query, identifiers, erase, program, buffered program, locks,
 * status and its errors; a program that runs from it; and, where there is a checker in front,
 * worlds that may look and not touch.
 */
#include "world.h"

#define FLASH	 0x20000000ul
#define BANK	 0x2000000ul
#define BLOCK	 0x40000ul
#define WG_FLASH 0x06001000ul
#define TWICE(v) ((uint32_t)(v) << 16 | (v))

static void command(uint64_t at, uint32_t code)
{
	write32(at, TWICE(code));
}

static uint32_t status(uint64_t at)
{
	command(at, 0x70);
	return read32(at);
}

static void query(uint64_t bank)
{
	command(bank + 0x55 * 4, 0x98);
	EQUAL(read32(bank + 0x10 * 4), TWICE('Q'));
	EQUAL(read32(bank + 0x11 * 4), TWICE('R'));
	EQUAL(read64(bank + 0x12 * 4), (uint64_t)TWICE(1) << 32 | TWICE('Y'));
	EQUAL(read32(bank + 0x27 * 4), TWICE(24));   /* two chips of 16 MiB */
	EQUAL(read32(bank + 0x2a * 4), TWICE(9));    /* two buffers of 512 bytes */
	EQUAL(read32(bank + 0x2d * 4), TWICE(0x7f)); /* 128 blocks */
	EQUAL(read32(bank + 0x30 * 4), TWICE(2));    /* of 128 KiB a chip */
	EQUAL(read32(bank + 0x31 * 4), TWICE('P'));
	EQUAL(read32(bank + BANK - 4), 0);
	command(bank, 0x90);
	EQUAL(read32(bank), TWICE(0x89));
	EQUAL(read32(bank + 4), TWICE(0x18));
	EQUAL(read32(bank + 8), 0); /* block 0 is not locked */
	command(bank, 0xff);
}

static void erase_and_program(uint64_t at)
{
	command(at, 0x50);
	command(at, 0x20);
	command(at, 0xd0);
	EQUAL(status(at), TWICE(0x80));
	command(at, 0xff);
	EQUAL(read64(at), ~0ul);
	EQUAL(read64(at + BLOCK - 8), ~0ul);
	command(at, 0x40);
	write32(at + 8, 0x12345678);
	EQUAL(read32(at), TWICE(0x80)); /* the status, without asking */
	command(at, 0xff);
	EQUAL(read64(at + 8), 0xffffffff12345678ul);
	/* programming again only clears; 16 bits at a time, the old command */
	write32(at, 0x10);
	*(volatile uint16_t *)(at + 8) = 0xff0f;
	command(at, 0xff);
	EQUAL(read32(at + 8), 0x12345608);
	EQUAL(read32(at + 4), ~0u);
}

static void buffered(uint64_t at)
{
	command(at, 0xe8);
	EQUAL(read32(at), TWICE(0x80));
	write32(at, TWICE(63));
	for (unsigned int i = 0; i < 64; i++)
		write32(at + 256 + 4 * i, i * 0x01010101);
	EQUAL(status(at), TWICE(0xb0)); /* 0x70 instead of 0xd0: a sequence error, nothing done */
	command(at, 0xff);
	EQUAL(read32(at + 256 + 4), ~0u);
	command(at, 0x50);
	command(at, 0xe8);
	write32(at, TWICE(63));
	for (unsigned int i = 0; i < 64; i += 2)
		write64(at + 256 + 4 * i, (uint64_t)(i + 1) * 0x01010101 << 32 | i * 0x01010101);
	command(at, 0xd0);
	EQUAL(status(at), TWICE(0x80));
	command(at, 0xff);
	for (unsigned int i = 0; i < 64; i++)
		EQUAL(read32(at + 256 + 4 * i), i * 0x01010101);
	/* more than fits; data for another block */
	command(at, 0xe8);
	write32(at, TWICE(256));
	EQUAL(status(at), TWICE(0xb0));
	command(at, 0x50);
	command(at, 0xe8);
	write32(at, TWICE(1));
	write32(at + BLOCK, 0);
	EQUAL(status(at), TWICE(0xb0));
	command(at, 0x50);
	EQUAL(status(at), TWICE(0x80));
	command(at, 0xff);
}

static void locks(uint64_t at)
{
	command(at, 0x60);
	command(at, 0x01);
	command(at, 0x90);
	EQUAL(read32(at + 8), TWICE(1));
	EQUAL(read32(at + BLOCK + 8), 0);
	command(at, 0x20);
	command(at, 0xd0);
	EQUAL(status(at), TWICE(0xa2));
	command(at, 0x50);
	command(at, 0x40);
	write32(at, 0);
	EQUAL(status(at), TWICE(0x92));
	command(at, 0x50);
	command(at, 0x60);
	command(at, 0xd0);
	command(at, 0x20);
	command(at, 0x70); /* not a confirmation */
	EQUAL(status(at), TWICE(0xb0));
	command(at, 0x50);
	command(at, 0xff);
	EQUAL(read32(at + 8), 0x12345608);
}

/* One bank gives results while the other is memory; code runs from an array and from nothing else. */
static void run_from(uint64_t at)
{
	static const uint32_t code[] = { 0x02a00513, 0x00008067 }, /* li a0, 42; ret */
		other[] = { 0x02000513, 0x00008067 };		   /* li a0, 32: bits of 42 cleared */

	for (unsigned int i = 0; i < 2; i++) {
		command(at, 0x40);
		write32(at + 4096 + 4 * i, code[i]);
	}
	EQUAL(TRY_CALL(S, at + 4096), FETCH_ACCESS); /* it would run the status */
	command(at ^ BANK, 0x70);
	command(at, 0xff);
	EQUAL(TRY_CALL(S, at + 4096), NONE);
	EQUAL(trap_result, 42);
	EQUAL(read32(at ^ BANK), TWICE(0x80));
	command(at ^ BANK, 0xff);
	EQUAL(TRY_CALL(S, at + 4096), NONE);
	EQUAL(trap_result, 42);
	/* what was decoded goes when it is programmed */
	command(at, 0x40);
	write32(at + 4096, other[0]);
	command(at, 0xff);
	EQUAL(TRY_CALL(S, at + 4096), NONE);
	EQUAL(trap_result, 32);
	/* no atomics on a command port; and the array is as it was */
	EQUAL(TRY_AMO(S, at, 1), STORE_ACCESS);
	EQUAL(read32(at + 8), 0x12345608);
}

/* World 1 may read, world 2 both, world 0 nothing. */
static void worlds(void)
{
	WRITE_CSR(0x390, 1);
	world_setup();
	write32(WG_FLASH + SLOT(16) + SLOT_CFG, CFG_TOR | CFG_ERRORS); /* the trusted world's rest */
	slot_range(WG_FLASH, 1, FLASH, BLOCK, PERM_R(1) | PERM_R(2) | PERM_W(2), CFG_ERRORS);
	EQUAL(TRY_LOAD(S, FLASH + 256), NONE);
	EQUAL(trap_result, 0x0101010100000000ul);
	EQUAL(TRY_STORE(S, FLASH, TWICE(0x90)), STORE_ACCESS); /* no command gets there */
	EQUAL(read64(WG_FLASH + ERRCAUSE), 1 | ERR_W | ERR_BE);
	EQUAL(read64(WG_FLASH + ERRADDR), FLASH >> 2);
	write64(WG_FLASH + ERRCAUSE, 0);
	EQUAL(TRY_LOAD(S, FLASH + 256), NONE);
	EQUAL(trap_result, 0x0101010100000000ul);
	EQUAL(TRY_LOAD(S, FLASH + BLOCK), LOAD_ACCESS); /* no slot */
	WRITE_CSR(0x390, 2);
	EQUAL(TRY_STORE(S, FLASH, TWICE(0x90)), NONE);
	EQUAL(TRY_LOAD(S, FLASH), NONE);
	EQUAL(trap_result, (uint64_t)TWICE(0x18) << 32 | TWICE(0x89));
	/* the mode is the chip's: world 1 sees it too, until world 2 gives the array back */
	WRITE_CSR(0x390, 1);
	EQUAL(TRY_LOAD(S, FLASH), NONE);
	EQUAL(trap_result, (uint64_t)TWICE(0x18) << 32 | TWICE(0x89));
	WRITE_CSR(0x390, 2);
	EQUAL(TRY_STORE(S, FLASH, TWICE(0xff)), NONE);
	WRITE_CSR(0x390, 1);
	EQUAL(TRY_LOAD(S, FLASH + 256), NONE);
	EQUAL(trap_result, 0x0101010100000000ul);
	WRITE_CSR(0x390, 0);
	EQUAL(TRY_LOAD(S, FLASH + 256), LOAD_ACCESS);
}

int main(void)
{
	for (uint64_t bank = FLASH; bank < FLASH + 2 * BANK; bank += BANK) {
		query(bank);
		erase_and_program(bank);
		buffered(bank);
		locks(bank);
		run_from(bank);
	}
	/* a bus master reads the array, and what it writes are commands */
	EQUAL(dma_copy(FLASH + 256, IMAGE_SCRATCH, 64), 1);
	EQUAL(read32(IMAGE_SCRATCH + 8), 0x02020202);
	if (TRY_LOAD(M, WG_FLASH) == NONE)
		worlds();
	return 0;
}
