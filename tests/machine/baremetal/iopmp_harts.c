/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two harts behind one IOPMP, each a source of its own: what one may touch the other may not, a
 * record names who it was, and a hart that is stalled stands still, by itself, until it is let go.
 */
#include "world.h"

#define CPU  0x10200000ul
#define PAGE_0 0x81000000ul
#define PAGE_1 0x81001000ul
enum {
	HWCFG0 = 8,
	ENTRYOFFSET = 0x2c,
	MDSTALL = 0x30,
	MDSTALLH = 0x34,
	ERR_INFO = 0x64,
	ERR_REQID = 0x70,
	MDCFG = 0x800,
	SRCMD = 0x1000
};
enum { R = 1, W = 2, X = 4, NAPOT = 3 << 3 };

static volatile uint64_t rounds, wrong, stop, stopped;

static void entry(unsigned int i, uint64_t base, uint64_t size, uint32_t cfg)
{
	uint64_t at = CPU + read32(CPU + ENTRYOFFSET) + 16 * i, address = base >> 2 | ((size >> 3) - 1);

	write32(at, (uint32_t)address);
	write32(at + 4, (uint32_t)(address >> 32));
	write32(at + 8, cfg);
}

/* Hart 1. The trap variables are hart 0's until it waits for `stopped`. */
static void other(void)
{
	while (!stop) {
		write64(PAGE_1, rounds + 1);
		if (read64(PAGE_1) != rounds + 1)
			wrong++;
		rounds++;
	}
	EQUAL(TRY_LOAD(M, PAGE_0), LOAD_ACCESS);
	EQUAL(trap_value, PAGE_0);
	EQUAL(read32(CPU + ERR_INFO) & 1, 1);
	EQUAL(read32(CPU + ERR_REQID) & 0xffff, 1);
	stopped = 1;
	for (;;)
		asm volatile("wfi");
}

static void stall(uint32_t domains)
{
	write32(CPU + MDSTALLH, 0);
	write32(CPU + MDSTALL, domains << 1);
	while (read32(CPU + MDSTALL) & 1)
		;
}

/* Long enough for the other hart to have had many turns. */
static void pause(void)
{
	for (volatile int i = 0; i < 20000; i++)
		;
}

int main(void)
{
	uint64_t before;

	/* domain 0: the program, for both; domain 1 is hart 0's, domain 2 hart 1's */
	for (unsigned int m = 0; m < 16; m++)
		write32(CPU + MDCFG + 4 * m, m < 3 ? m + 1 : 3);
	entry(0, 0x80000000, 1 << 20, NAPOT | R | W | X);
	entry(1, PAGE_0, 4096, NAPOT | R | W);
	entry(2, PAGE_1, 4096, NAPOT | R | W);
	write32(CPU + SRCMD, 1 << 1 | 1 << 2);
	write32(CPU + SRCMD + 32, 1 << 1 | 1 << 3);
	write64(PAGE_0, 0x1000);
	write32(CPU + HWCFG0, 1);
	EQUAL(TRY_LOAD(M, PAGE_0), NONE);
	EQUAL(trap_result, 0x1000);
	EQUAL(TRY_LOAD(M, PAGE_1), LOAD_ACCESS);
	EQUAL(read32(CPU + ERR_REQID) & 0xffff, 0);
	EQUAL(TRY_STORE(M, PAGE_1, 1), STORE_ACCESS);
	write32(CPU + ERR_INFO, 1);
	hart_entry = (uint64_t)other;
	while (rounds < 10)
		;
	/* domain 2 is hart 1's alone */
	for (unsigned int i = 0; i < 5; i++) {
		stall(1 << 2);
		before = rounds;
		pause();
		EQUAL(rounds, before);
		stall(0);
		while (rounds < before + 10)
			;
	}
	EQUAL(wrong, 0);
	EQUAL(read32(CPU + ERR_INFO) & 1, 0); /* nothing of that was an error */
	stop = 1;
	while (!stopped)
		;
	return 0;
}
