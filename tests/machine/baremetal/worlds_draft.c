/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The RISC-V Worlds draft: registers keep what is written, and a WID that is not allowed raises a
 * software check at the first use, in M-mode and above any access fault; mlwidlist narrows what is
 * allowed, and mwiddeleg with it.
 */
#include "world.h"

#define PAGE_1	       0x81000000ul
#define SOFTWARE_CHECK 18

int main(void)
{
	world_setup();
	slot_page(WG_DRAM, 1, PAGE_1, PERM_R(1) | PERM_W(1), CFG_ERRORS);
	WRITE_CSR(0x390, 1);
	EQUAL(TRY_LOAD(S, PAGE_1), NONE);
	EQUAL(READ_CSR(0x7c1), 0xf); /* mlwidlist */
	WRITE_CSR(0x7c1, 0xd);	     /* world 1 is not allowed any more */
	EQUAL(READ_CSR(0x390), 1);   /* no silent fix-up */
	WRITE_CSR(medeleg, -1ul);
	EQUAL(TRY_LOAD(S, PAGE_1), SOFTWARE_CHECK);
	EQUAL(trap_value, 4);
	WRITE_CSR(medeleg, 0);
	WRITE_CSR(0x390, 2);
	EQUAL(TRY_LOAD(S, PAGE_1), LOAD_ACCESS);
	WRITE_CSR(0x748, 0xf);
	EQUAL(READ_CSR(0x748), 0xd); /* a subset of mlwidlist, always */
	WRITE_CSR(0x7c1, 0x4);
	EQUAL(READ_CSR(0x748), 0x4);
	WRITE_CSR(0x748, 0);
	EQUAL(TRY_LOAD(S, PAGE_1), LOAD_ACCESS);
	WRITE_CSR(0x7c0, 1ul << 63 | 3); /* mwid, locked: mlwidlist is read-only from here */
	WRITE_CSR(0x7c1, 0xf);
	EQUAL(READ_CSR(0x7c1), 0x4);
	return 0;
}
