/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Physical memory protection: NA4, NAPOT, TOR, priority, locks, page-table walks, and Smepmp's
 * rules.
 */
#include "rt.h"

enum { R = 1, W = 2, X = 4, TOR = 8, NA4 = 16, NAPOT = 24, L = 128 };

static uint64_t page[2][512] PAGE;
static uint64_t root[512] PAGE;

static void set(unsigned int i, uint64_t addr, uint64_t cfg)
{
	uint64_t old;

	switch (i) {
	case 0:
		WRITE_CSR(pmpaddr0, addr);
		break;
	case 1:
		WRITE_CSR(pmpaddr1, addr);
		break;
	case 2:
		WRITE_CSR(pmpaddr2, addr);
		break;
	default:
		WRITE_CSR(pmpaddr3, addr);
	}
	old = READ_CSR(pmpcfg0) & ~(0xfful << 8 * i);
	WRITE_CSR(pmpcfg0, old | cfg << 8 * i);
}

static uint64_t napot(const void *p, uint64_t size)
{
	return (uint64_t)p >> 2 | ((size >> 3) - 1);
}

static uint64_t load32(uint64_t a)
{
	return read32(a);
}

static void ranges(void)
{
	uint64_t a = (uint64_t)page;

	set(0, napot(page[0], 4096), NAPOT | R);
	EQUAL(TRY_LOAD(S, a), NONE);
	EQUAL(TRY_STORE(S, a, 1), STORE_ACCESS);
	EQUAL(TRY_AMO(S, a, 1), STORE_ACCESS);
	EQUAL(trap_value, a);
	EQUAL(TRY_CALL(S, a), FETCH_ACCESS);
	EQUAL(TRY_STORE(S, a + 4096, 1), NONE);
	EQUAL(TRY_STORE(M, a, 7), NONE); /* not locked: M-mode is free */
	/* finer than a page */
	set(0, a >> 2, NA4 | R);
	set(1, (a + 0x100) >> 2, TOR);
	EQUAL(try(S, load32, a, 0), NONE);
	EQUAL(TRY_LOAD(S, a), LOAD_ACCESS); /* eight bytes: only partly matched */
	EQUAL(try(S, load32, a + 4, 0), LOAD_ACCESS);
	EQUAL(try(S, load32, a + 0xfc, 0), LOAD_ACCESS);
	EQUAL(TRY_LOAD(S, a + 0x100), NONE);
	EQUAL(TRY_STORE(S, a + 0x100, 3), NONE);
	/* the lowest number wins */
	set(1, napot(page[0], 4096), NAPOT);
	set(0, napot(page[0], 8192), NAPOT | R | W | X);
	EQUAL(TRY_STORE(S, a, 1), NONE);
	set(0, 0, 0);
	EQUAL(TRY_STORE(S, a, 1), STORE_ACCESS);
	set(1, 0, 0);
	EQUAL(TRY_STORE(S, a, 1), NONE);
}

static void walks(void)
{
	root[2] = 0x80000000ul >> 2 | 0xcf;
	WRITE_CSR(satp, 8ul << 60 | (uint64_t)root >> 12);
	asm volatile("sfence.vma");
	EQUAL(TRY_LOAD(S, page), NONE);
	/* tables nobody but M-mode may read: an access fault of the access's type */
	set(0, napot(root, 4096), NAPOT);
	asm volatile("sfence.vma");
	EQUAL(try(S, load32, (uint64_t)page, 0), FETCH_ACCESS);
	set(0, 0, 0);
	asm volatile("sfence.vma");
	EQUAL(TRY_LOAD(S, page), NONE);
	WRITE_CSR(satp, 0);
}

static void machine_rules(void)
{
	uint64_t a = (uint64_t)page;

	/* Smepmp 2.1: rule-locking bypass lets a locked rule be changed again */
	WRITE_CSR(0x747, 4);
	set(2, napot(page[0], 4096), NAPOT | L | R);
	EQUAL(TRY_STORE(M, a, 1), STORE_ACCESS);
	EQUAL(TRY_LOAD(M, a), NONE);
	set(2, 0, 0);
	EQUAL(TRY_STORE(M, a, 1), NONE);
	/* MML: shared data (L = 0, RWX = 011) */
	set(3, napot((void *)0x80000000, 1ul << 27), NAPOT | L | R | X); /* M: read and run */
	set(2, napot((void *)0x80000000, 1ul << 31), NAPOT | W | X); /* data for everyone below */
	set(1, napot(page[1], 4096), NAPOT | L | R | W | X);	     /* read-only for everyone */
	set(0, 0x02000000 >> 2 | 0x1fff, 0);
	EQUAL(READ_CSR(0x747) & 4, 4);
}

static void locking(void)
{
	uint64_t a = (uint64_t)page;

	WRITE_CSR(0x747, 0);
	set(3, napot(page[1], 4096), NAPOT | L | R);
	set(3, 0, 0);
	EQUAL(READ_CSR(pmpcfg0) >> 24 & 0xff, NAPOT | L | R); /* until reset */
	EQUAL(READ_CSR(pmpaddr3), napot(page[1], 4096));
	EQUAL(TRY_STORE(M, a + 4096, 1), STORE_ACCESS);
	EQUAL(TRY_STORE(S, a + 4096, 1), STORE_ACCESS);
	EQUAL(TRY_LOAD(S, a + 4096), NONE);
	WRITE_CSR(0x747, 4); /* RLB cannot come back while a rule is locked */
	EQUAL(READ_CSR(0x747) & 4, 0);
}

int main(void)
{
	WRITE_CSR(pmpcfg0, 0);
	ranges();
	walks();
	machine_rules();
	WRITE_CSR(pmpcfg0, 0);
	EQUAL(READ_CSR(pmpcfg0), 0);
	locking();
	return 0;
}
