/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two worlds on two harts: world 2 on hart 1 reads and writes its page without end while hart 0
 * (trusted) takes the page away and gives it back; every change is seen by the other hart, none is
 * seen late, and hart 1 never reads what world 1 writes.
 */
#include "world.h"

#define PAGE_2 0x81001000ul

static volatile uint64_t allowed, wrong, loads, faults, stop, stopped;

static void other_world(void)
{
	WRITE_CSR(0x390, 2);
	while (!stop) {
		uint64_t before = allowed;
		long cause = TRY_LOAD(S, PAGE_2);
		uint64_t after = allowed;

		if (cause == NONE)
			loads++;
		else
			faults++;
		/* the rule did not change around the load: its outcome is known */
		if (before == after && before < 2 && (cause == NONE) != (before == 1))
			wrong++;
		if (cause == NONE && trap_result != 0x2222)
			wrong++;
	}
	stopped = 1;
	for (;;)
		asm volatile("wfi");
}

static void wait_for(volatile uint64_t *counter)
{
	uint64_t from = *counter;

	while (*counter < from + 3)
		;
}

int main(void)
{
	world_setup();
	write64(PAGE_2, 0x2222);
	slot_page(WG_DRAM, 2, PAGE_2, PERM_R(2) | PERM_W(2), CFG_ERRORS);
	allowed = 1;
	hart_entry = (uint64_t)other_world;
	for (unsigned int i = 0; i < 30; i++) {
		wait_for(&loads);
		allowed = 2; /* changing */
		write64(WG_DRAM + SLOT(2) + SLOT_PERM, PERM_R(1) | PERM_W(1));
		allowed = 0;
		wait_for(&faults);
		EQUAL(read64(WG_DRAM + ERRCAUSE) & 0xff, 2);
		allowed = 2;
		write64(WG_DRAM + SLOT(2) + SLOT_PERM, PERM_R(2) | PERM_W(2));
		allowed = 1;
	}
	stop = 1;
	while (!stopped)
		;
	EQUAL(wrong, 0);
	return 0;
}
