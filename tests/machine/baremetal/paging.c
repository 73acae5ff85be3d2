/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sv39, Sv48 and Sv57: permissions by mode, SUM, MXR, MPRV, A and D with and without hardware
 * update, superpages, global and per-ASID flushes, and what makes an entry invalid.
 */
#include "rt.h"

enum { V = 1, R = 2, W = 4, X = 8, USER = 16, G = 32, A = 64, D = 128 };
#define ALL (V | R | W | X | A | D)

static uint64_t tables[12][512] PAGE;
static uint64_t data[4][512] PAGE;
static unsigned int used;
static unsigned int levels;
static const uint64_t window = 0x40000000; /* where test pages are mapped */

static uint64_t pte(const void *to, uint64_t flags)
{
	return (uint64_t)to >> 12 << 10 | flags;
}

static uint64_t *entry(uint64_t va)
{
	uint64_t *table = tables[0];

	for (unsigned int level = levels - 1; level; level--) {
		uint64_t *e = &table[va >> (12 + 9 * level) & 511];

		if (!(*e & V))
			*e = pte(tables[++used], V);
		table = (uint64_t *)(*e >> 10 << 12);
	}
	return &table[va >> 12 & 511];
}

static void flush(void)
{
	asm volatile("sfence.vma" ::: "memory");
}

static void map(uint64_t va, const void *to, uint64_t flags)
{
	*entry(va) = pte(to, flags);
	flush();
}

/* Identity for the program and devices, supervisor or user as `flags` says, as 1 GiB pages. */
static void setup(unsigned int n, uint64_t flags)
{
	uint64_t *table = tables[0];

	for (unsigned int i = 0; i < 12; i++)
		for (unsigned int k = 0; k < 512; k++)
			tables[i][k] = 0;
	used = 0;
	levels = n;
	for (unsigned int level = n - 1; level > 2; level--) {
		table[0] = pte(tables[++used], V);
		table = tables[used];
	}
	table[2] = pte((void *)0x80000000, flags);
	table[0] = pte((void *)0, flags);
	WRITE_CSR(satp, (n + 5ul) << 60 | (uint64_t)tables >> 12);
	flush();
}

static uint64_t execute_here(void)
{
	return 77;
}

static void permissions(void)
{
	setup(levels, ALL);
	data[0][0] = 1234;
	map(window, data[0], V | R | A | D);
	EQUAL(TRY_LOAD(S, window), NONE);
	EQUAL(trap_result, 1234);
	EQUAL(TRY_STORE(S, window, 1), STORE_PAGE);
	EQUAL(trap_value, window);
	EQUAL(TRY_AMO(S, window, 1), STORE_PAGE);
	EQUAL(TRY_CALL(S, window), FETCH_PAGE);
	EQUAL(TRY_LOAD(U, window), FETCH_PAGE); /* the program itself is not user's */
	map(window, data[0], V | R | W | A | D);
	EQUAL(TRY_STORE(S, window + 8, 55), NONE);
	EQUAL(data[0][1], 55);
	EQUAL(TRY_AMO(S, window + 8, 5), NONE);
	EQUAL(data[0][1], 60);
	map(window, data[0], V | X | A | D);
	EQUAL(TRY_LOAD(S, window), LOAD_PAGE);
	SET_CSR(mstatus, 1 << 19); /* MXR */
	EQUAL(TRY_LOAD(S, window), NONE);
	CLEAR_CSR(mstatus, 1 << 19);
	EQUAL(TRY_LOAD(S, window), LOAD_PAGE);
	map(window, data[0], V | R | W | USER | A | D);
	EQUAL(TRY_LOAD(S, window), LOAD_PAGE);
	SET_CSR(mstatus, 1 << 18); /* SUM */
	EQUAL(TRY_LOAD(S, window), NONE);
	EQUAL(TRY_STORE(S, window, 1), NONE);
	EQUAL(TRY_CALL(S, window), FETCH_PAGE); /* SUM is not for fetches */
	CLEAR_CSR(mstatus, 1 << 18);
	EQUAL(TRY_LOAD(S, window), LOAD_PAGE);
}

static void user(void)
{
	setup(levels, ALL | USER);
	data[0][0] = 9;
	map(window, data[0], V | R | W | USER | A | D);
	EQUAL(TRY_LOAD(U, window), NONE);
	EQUAL(trap_result, 9);
	map(window, data[0], V | R | W | A | D);
	EQUAL(TRY_LOAD(U, window), LOAD_PAGE);
	EQUAL(try(U, execute_here, 0, 0), NONE);
	EQUAL(trap_result, 77);
	EQUAL(try(S, execute_here, 0, 0), FETCH_PAGE); /* supervisor may not run user pages */
}

static void accessed_dirty(void)
{
	setup(levels, ALL);
	map(window, data[0], V | R | W);
	EQUAL(TRY_LOAD(S, window), LOAD_PAGE);
	map(window, data[0], V | R | W | A);
	EQUAL(TRY_LOAD(S, window), NONE);
	EQUAL(TRY_STORE(S, window, 1), STORE_PAGE);
	/* Svadu: the hart sets them */
	asm volatile("csrs 0x30a, %0" : : "r"(1ul << 61));
	map(window, data[0], V | R | W);
	EQUAL(TRY_LOAD(S, window), NONE);
	EQUAL(*entry(window) & (A | D), A);
	EQUAL(TRY_STORE(S, window, 1), NONE);
	EQUAL(*entry(window) & (A | D), A | D);
	map(window, data[0], V | R);
	EQUAL(TRY_STORE(S, window, 1), STORE_PAGE);
	EQUAL(*entry(window) & (A | D), 0); /* a fault sets nothing */
	asm volatile("csrc 0x30a, %0" : : "r"(1ul << 61));
}

static void invalid_entries(void)
{
	setup(levels, ALL);
	map(window, data[0], R | W | A | D); /* no V */
	EQUAL(TRY_LOAD(S, window), LOAD_PAGE);
	map(window, data[0], V | W | A | D); /* W without R */
	EQUAL(TRY_LOAD(S, window), LOAD_PAGE);
	*entry(window) |= 1ul << 54; /* reserved */
	map(window, data[0], V | R | A | D);
	*entry(window) |= 1ul << 60;
	flush();
	EQUAL(TRY_LOAD(S, window), LOAD_PAGE);
	/* a pointer at the last level */
	map(window, data[0], V);
	EQUAL(TRY_LOAD(S, window), LOAD_PAGE);
	/* not canonical */
	EQUAL(TRY_LOAD(S, 1ul << (11 + 9 * levels + 1)), LOAD_PAGE);
	EQUAL(TRY_LOAD(S, window | 1ul << 63), LOAD_PAGE);
	/* a superpage must be aligned */
	tables[levels - 3][1] = pte(data[0], V | R | A | D);
	flush();
	EQUAL(TRY_LOAD(S, window), LOAD_PAGE);
	tables[levels - 3][1] = pte((void *)0x80000000, V | R | A | D);
	flush();
	data[1][3] = 42;
	EQUAL(TRY_LOAD(S, window + ((uint64_t)&data[1][3] - 0x80000000)), NONE);
	EQUAL(trap_result, 42);
}

static void asids(void)
{
	uint64_t base = READ_CSR(satp);

	setup(levels, ALL);
	base = READ_CSR(satp);
	data[0][0] = 10;
	data[1][0] = 20;
	map(window, data[0], V | R | A | D);
	map(window + 4096, data[0], V | R | G | A | D);
	WRITE_CSR(satp, base | 1ul << 44);
	EQUAL(TRY_LOAD(S, window), NONE);
	EQUAL(TRY_LOAD(S, window + 4096), NONE);
	/* a flush of another ASID may or may not leave this one; of this one it must not */
	*entry(window) = pte(data[1], V | R | A | D);
	asm volatile("sfence.vma x0, %0" : : "r"(1ul) : "memory");
	EQUAL(TRY_LOAD(S, window), NONE);
	EQUAL(trap_result, 20);
	*entry(window) = pte(data[0], V | R | A | D);
	asm volatile("sfence.vma %0, %1" : : "r"(window), "r"(1ul) : "memory");
	EQUAL(TRY_LOAD(S, window), NONE);
	EQUAL(trap_result, 10);
	*entry(window + 4096) = pte(data[1], V | R | G | A | D);
	asm volatile("sfence.vma %0, x0" : : "r"(window + 4096) : "memory");
	EQUAL(TRY_LOAD(S, window + 4096), NONE);
	EQUAL(trap_result, 20);
	WRITE_CSR(satp, base);
	EQUAL(TRY_LOAD(S, window + 4096), NONE);
	EQUAL(trap_result, 20);
}

static void modify_privilege(void)
{
	uint64_t v;

	setup(levels, ALL);
	data[0][0] = 31;
	map(window, data[0], V | R | A | D);
	/* MPRV with MPP = S: M-mode loads go through the page tables, fetches do not */
	asm volatile("csrc mstatus, %2\n\tcsrs mstatus, %1\n\tld %0, 0(%4)\n\tcsrc mstatus, %3"
		     : "=&r"(v)
		     : "r"(1ul << 17 | 1ul << 11), "r"(3ul << 11), "r"(1ul << 17), "r"(window)
		     : "memory");
	EQUAL(v, 31);
	SET_CSR(mstatus, 3 << 11);
}

/* A load that crosses pages takes each byte through its own translation. */
static void crossing(void)
{
	setup(levels, ALL);
	data[0][511] = 0x8877665544332211ul;
	data[2][0] = 0x00ffeeddccbbaa99ul;
	map(window, data[0], V | R | W | A | D);
	map(window + 4096, data[2], V | R | W | A | D);
	EQUAL(TRY_LOAD(S, window + 4092), NONE);
	EQUAL(trap_result, 0xccbbaa9988776655ul);
	map(window + 4096, data[2], V | R | A | D);
	EQUAL(TRY_STORE(S, window + 4092, 0), STORE_PAGE);
	EQUAL(trap_value, window + 4099);
	EQUAL(data[0][511], 0x8877665544332211ul); /* nothing was stored */
}

int main(void)
{
	for (levels = 3; levels <= 5; levels++) {
		permissions();
		user();
		accessed_dirty();
		invalid_entries();
		asids();
		modify_privilege();
		crossing();
	}
	return 0;
}
