/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Smepmp: with mseccfg.MML set, a rule is the machine's, the lower modes', or shared, and MMWP
 * denies what no rule names.
 */
#include "rt.h"

enum { R = 1, W = 2, X = 4, TOR = 8, NAPOT = 24, L = 128 };
enum { MML = 1, MMWP = 2, RLB = 4 };
#define SUPERVISOR_DATA 0x81000000ul
#define MACHINE_DATA	0x81001000ul
#define READ_ONLY	0x81002000ul
#define SUPERVISOR_CODE 0x81003000ul
#define NOBODY		0x81004000ul

extern char start_of_data[];

static uint64_t page(uint64_t a)
{
	return a >> 2 | 511;
}

static uint64_t load32(uint64_t a)
{
	return read32(a);
}

static void rules(void)
{
	WRITE_CSR(pmpaddr0, 0x80000000ul >> 2);
	WRITE_CSR(pmpaddr1, (uint64_t)start_of_data >> 2); /* shared code: all run it, M reads it */
	WRITE_CSR(pmpaddr2, 0x80100000ul >> 2);		   /* shared data */
	WRITE_CSR(pmpaddr3, page(SUPERVISOR_DATA));
	WRITE_CSR(pmpaddr4, page(MACHINE_DATA));
	WRITE_CSR(pmpaddr5, page(READ_ONLY));
	WRITE_CSR(pmpaddr6, page(SUPERVISOR_CODE));
	WRITE_CSR(pmpaddr7, (1ul << 28) - 1); /* devices: shared data */
	/* shared rules are reserved without MML: start with the machine's own, and edit them under
	 * RLB */
	WRITE_CSR(0x747, RLB);
	WRITE_CSR(pmpcfg0, (uint64_t)(TOR | L | R | X) << 8 | (uint64_t)(TOR | L | R | W) << 16 |
				   (uint64_t)(NAPOT | L | R | W) << 56);
	WRITE_CSR(0x747, MML | RLB);
	WRITE_CSR(pmpcfg0, (uint64_t)(TOR | L | W | X) << 8 | (uint64_t)(TOR | W | X) << 16 |
				   (uint64_t)(NAPOT | R | W) << 24 |
				   (uint64_t)(NAPOT | L | R | W) << 32 |
				   (uint64_t)(NAPOT | L | R | W | X) << 40 |
				   (uint64_t)(NAPOT | X) << 48 | (uint64_t)(NAPOT | W | X) << 56);
	WRITE_CSR(pmpcfg2, 0);
	WRITE_CSR(0x747, MML | MMWP | RLB);
}

static void data(void)
{
	EQUAL(TRY_STORE(S, SUPERVISOR_DATA, 5), NONE);
	EQUAL(TRY_LOAD(S, SUPERVISOR_DATA), NONE);
	EQUAL(TRY_LOAD(M, SUPERVISOR_DATA), LOAD_ACCESS);
	EQUAL(TRY_STORE(M, SUPERVISOR_DATA, 5), STORE_ACCESS);
	EQUAL(TRY_STORE(M, MACHINE_DATA, 6), NONE);
	EQUAL(TRY_LOAD(M, MACHINE_DATA), NONE);
	EQUAL(TRY_LOAD(S, MACHINE_DATA), LOAD_ACCESS);
	EQUAL(TRY_LOAD(U, MACHINE_DATA), LOAD_ACCESS);
	EQUAL(TRY_LOAD(S, READ_ONLY), NONE);
	EQUAL(TRY_LOAD(M, READ_ONLY), NONE);
	EQUAL(TRY_STORE(S, READ_ONLY, 1), STORE_ACCESS);
	EQUAL(TRY_STORE(M, READ_ONLY, 1), STORE_ACCESS);
	EQUAL(TRY_LOAD(S, 0x0200bff8), NONE); /* shared */
	EQUAL(TRY_LOAD(M, 0x0200bff8), NONE);
}

static void code(void)
{
	EQUAL(TRY_CALL(S, SUPERVISOR_CODE), NONE);
	EQUAL(TRY_LOAD(S, SUPERVISOR_CODE), LOAD_ACCESS);
	EQUAL(TRY_CALL(M, SUPERVISOR_CODE), FETCH_ACCESS);
	EQUAL(TRY_CALL(M, MACHINE_DATA), FETCH_ACCESS);
	EQUAL(TRY_CALL(M, READ_ONLY), FETCH_ACCESS);
	EQUAL(try(S, load32, 0x80000000, 0),
	      LOAD_ACCESS); /* shared code: the lower modes only run it */
	EQUAL(try(M, load32, 0x80000000, 0), NONE);
	EQUAL(TRY_STORE(M, 0x80000000, 0), STORE_ACCESS);
}

int main(void)
{
	write32(SUPERVISOR_CODE, 0x00008067);
	EQUAL(TRY_LOAD(M, NOBODY), NONE);
	rules();
	data();
	code();
	EQUAL(TRY_LOAD(M, NOBODY), LOAD_ACCESS); /* MMWP */
	EQUAL(TRY_LOAD(S, NOBODY), LOAD_ACCESS);
	/* MML and MMWP stay until reset */
	WRITE_CSR(0x747, 0);
	EQUAL(READ_CSR(0x747), MML | MMWP);
	/* without RLB no new rule may let M-mode execute, and locked ones stay as they are */
	WRITE_CSR(pmpcfg2, NAPOT | L | R | X);
	EQUAL(READ_CSR(pmpcfg2) & 0xff, 0);
	WRITE_CSR(pmpcfg2, NAPOT | L | R);
	EQUAL(READ_CSR(pmpcfg2) & 0xff, NAPOT | L | R);
	WRITE_CSR(pmpaddr4, page(NOBODY));
	EQUAL(READ_CSR(pmpaddr4), page(MACHINE_DATA));
	WRITE_CSR(pmpaddr3, page(NOBODY)); /* this one is not locked */
	EQUAL(TRY_LOAD(S, NOBODY), NONE);
	return 0;
}
