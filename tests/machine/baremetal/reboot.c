/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Resets once, and ends in the second life; a word outside the image remembers. With two harts, all
 * of them sleep for ever.
 */
#include "rt.h"

static uint64_t answer(void)
{
	return 6;
}

static void sleep_forever(void)
{
	for (;;)
		asm volatile("wfi");
}

static volatile uint64_t arrived;

static void other(void)
{
	arrived = 1;
	sleep_forever();
}

int main(void)
{
	volatile uint64_t *memory = (uint64_t *)0x81000000;
	uint64_t (*volatile function)(void) = answer;

	if (*memory == 2) {
		print("second\n");
		EQUAL(read32(0x02000000), 0);
		EQUAL(read64(0x02004000), -1ul);
		return 1 + (int)function();
	}
	/* a second hart says that it is there before hart 0 goes on */
	hart_entry = (uint64_t)other;
	for (unsigned int i = 0; i < 10000; i++)
		if (arrived)
			sleep_forever();
	*memory = 2;
	print("first\n");
	/* code that ran is overwritten: the reload must bring the old back */
	EQUAL(function(), 6);
	*(volatile uint16_t *)answer = 0x4505; /* c.li a0, 1 */
	write64(0x02004000, 100);
	write32(0x02000000, 1);
	write32(0x100000, 0x7777);
	for (;;)
		;
}
