/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two harts and more: a lock by LR/SC, counters by AMO, interprocessor interrupts, code one hart
 * writes and another runs.
 */
#include "rt.h"

static volatile uint64_t lock, counter, total, arrived, ready;
static uint32_t code[1024] PAGE;
#define HARTS  3
#define ROUNDS 2000

static void take(void)
{
	uint64_t old, failed;

	do {
		asm volatile("1: lr.d.aq %0, (%2)\n\tbnez %0, 1b\n\tsc.d %1, %3, (%2)"
			     : "=&r"(old), "=&r"(failed)
			     : "r"(&lock), "r"(1ul)
			     : "memory");
	} while (failed);
}

static void give(void)
{
	asm volatile("amoswap.d.rl zero, zero, (%0)" : : "r"(&lock) : "memory");
}

static void work(void)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		take();
		counter = counter + 1; /* not atomic: the lock is what makes it whole */
		give();
		asm volatile("amoadd.d zero, %1, (%0)" : : "r"(&total), "r"(2ul) : "memory");
	}
}

static void secondary(void)
{
	work();
	asm volatile("amoadd.d zero, %1, (%0)" : : "r"(&arrived), "r"(1ul) : "memory");
	/* wait to be woken by an interprocessor interrupt, then run what hart 0 wrote */
	WRITE_CSR(mie, 8);
	while (!(READ_CSR(mip) & 8))
		asm volatile("wfi");
	write32(0x02000000 + 4 * READ_CSR(mhartid), 0);
	asm volatile("fence.i");
	ready += ((uint64_t(*)(void))code)();
	asm volatile("amoadd.d zero, %1, (%0)" : : "r"(&arrived), "r"(1ul) : "memory");
	for (;;)
		asm volatile("wfi");
}

int main(void)
{
	hart_entry = (uint64_t)secondary;
	work();
	while (arrived < HARTS - 1)
		;
	EQUAL(counter, HARTS * ROUNDS);
	EQUAL(total, 2 * HARTS * ROUNDS);
	for (unsigned int i = 1; i < HARTS; i++) {
		code[0] = 0x00000513u | i << 20;
		code[1] = 0x00008067u;
		write32(0x02000000 + 4 * i, 1);
		while (arrived < HARTS - 1 + i)
			;
		EQUAL(ready, i == 1 ? 1 : 3);
	}
	return 0;
}
