/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IOPMPs in front of the hart (source 0) and of the bus masters (source 1 is the DMA engine):
 * read-only, write-only and execute-only memory, no rule at all, reprogramming, error records.
 */
#include "world.h"

#define CPU	0x10200000ul
#define MASTERS 0x10300000ul
enum {
	HWCFG0 = 8,
	ENTRYOFFSET = 0x2c,
	ERR_INFO = 0x64,
	ERR_REQADDR = 0x68,
	ERR_REQID = 0x70,
	MDCFG = 0x800,
	SRCMD = 0x1000
};
enum { R = 1, W = 2, X = 4, TOR = 1 << 3, NAPOT = 3 << 3 };
#define READ_ONLY    0x81000000ul
#define WRITE_ONLY   0x81001000ul
#define EXECUTE_ONLY 0x81002000ul
#define NOTHING	     0x81003000ul

static void entry(uint64_t iopmp, unsigned int i, uint64_t base, uint64_t size, uint32_t cfg)
{
	uint64_t at = iopmp + read32(iopmp + ENTRYOFFSET) + 16 * i,
		 address = base >> 2 | ((size >> 3) - 1);

	write32(at, (uint32_t)address);
	write32(at + 4, (uint32_t)(address >> 32));
	write32(at + 8, cfg);
}

static void expect_error(uint64_t iopmp, uint32_t type, uint32_t error, uint64_t address,
			 uint32_t source)
{
	uint32_t info = read32(iopmp + ERR_INFO);

	EQUAL(info & 1, 1);
	EQUAL(info >> 1 & 3, type);
	EQUAL(info >> 4 & 15, error);
	EQUAL(read32(iopmp + ERR_REQADDR), (uint32_t)(address >> 2));
	EQUAL(read32(iopmp + ERR_REQID) & 0xffff, source);
	write32(iopmp + ERR_INFO, 1);
	EQUAL(read32(iopmp + ERR_INFO) & 1, 0);
}

static void hart(void)
{
	write64(READ_ONLY, 0x1234);
	write32(EXECUTE_ONLY, 0x00008067); /* ret */
	for (unsigned int m = 0; m < 16; m++)
		write32(CPU + MDCFG + 4 * m, 4);
	write32(CPU + SRCMD, 2); /* source 0 is in domain 0 */
	entry(CPU, 0, 0x80000000, 1 << 20, NAPOT | R | W | X);
	entry(CPU, 1, READ_ONLY, 4096, NAPOT | R);
	entry(CPU, 2, WRITE_ONLY, 4096, NAPOT | W);
	entry(CPU, 3, EXECUTE_ONLY, 4096, NAPOT | X);
	EQUAL(TRY_STORE(M, NOTHING, 1), NONE); /* not enabled yet */
	write32(CPU + HWCFG0, 1);
	EQUAL(TRY_LOAD(S, READ_ONLY), NONE);
	EQUAL(trap_result, 0x1234);
	EQUAL(TRY_STORE(S, READ_ONLY, 1), STORE_ACCESS);
	EQUAL(trap_value, READ_ONLY);
	expect_error(CPU, 2, 2, READ_ONLY, 0);
	EQUAL(TRY_CALL(S, READ_ONLY), FETCH_ACCESS);
	expect_error(CPU, 3, 3, READ_ONLY, 0);
	EQUAL(TRY_AMO(S, READ_ONLY, 1), STORE_ACCESS);
	write32(CPU + ERR_INFO, 1);
	EQUAL(TRY_STORE(S, WRITE_ONLY, 1), NONE);
	EQUAL(TRY_LOAD(S, WRITE_ONLY), LOAD_ACCESS);
	expect_error(CPU, 1, 1, WRITE_ONLY, 0);
	EQUAL(TRY_STORE(S, WRITE_ONLY, 2), NONE);
	EQUAL(TRY_CALL(S, EXECUTE_ONLY), NONE);
	EQUAL(TRY_LOAD(S, EXECUTE_ONLY), LOAD_ACCESS);
	expect_error(CPU, 1, 1, EXECUTE_ONLY, 0);
	EQUAL(TRY_CALL(S, EXECUTE_ONLY), NONE);
	EQUAL(TRY_LOAD(S, NOTHING), LOAD_ACCESS);
	expect_error(CPU, 1, 5, NOTHING, 0);
	EQUAL(TRY_LOAD(M, NOTHING), LOAD_ACCESS); /* M-mode is no exception here */
	write32(CPU + ERR_INFO, 1);
}

static void reprogram(void)
{
	for (unsigned int i = 0; i < 30; i++) {
		entry(CPU, 1, READ_ONLY, 4096, NAPOT | R | W);
		EQUAL(TRY_STORE(S, READ_ONLY, i), NONE);
		entry(CPU, 1, READ_ONLY, 4096, NAPOT | R);
		EQUAL(TRY_STORE(S, READ_ONLY, 100), STORE_ACCESS);
		EQUAL(TRY_LOAD(S, READ_ONLY), NONE);
		EQUAL(trap_result, i);
	}
	write32(CPU + ERR_INFO, 1);
	/* less than a page: the rest of it has no rule */
	entry(CPU, 1, READ_ONLY, 64, NAPOT | R | W);
	EQUAL(TRY_STORE(S, READ_ONLY + 56, 7), NONE);
	EQUAL(TRY_LOAD(S, READ_ONLY + 64), LOAD_ACCESS);
	expect_error(CPU, 1, 5, READ_ONLY + 64, 0);
	EQUAL(TRY_LOAD(S, READ_ONLY + 60), LOAD_ACCESS); /* half inside: a partial hit */
	expect_error(CPU, 1, 4, READ_ONLY + 60, 0);
	entry(CPU, 1, READ_ONLY, 4096, NAPOT | R | W | X);
	EQUAL(TRY_LOAD(S, READ_ONLY + 60), NONE);
}

static void masters(void)
{
	write64(READ_ONLY, 0x5555);
	for (unsigned int m = 0; m < 16; m++)
		write32(MASTERS + MDCFG + 4 * m, m ? 4 : 0);
	write32(MASTERS + SRCMD + 32, 4); /* source 1 is in domain 1 */
	entry(MASTERS, 0, READ_ONLY, 4096, NAPOT | R);
	entry(MASTERS, 1, IMAGE_SCRATCH & ~4095ul, 4096, NAPOT | R | W);
	write32(MASTERS + HWCFG0, 1);
	EQUAL(dma_copy(READ_ONLY, IMAGE_SCRATCH, 8), 1);
	EQUAL(read64(IMAGE_SCRATCH), 0x5555);
	EQUAL(dma_copy(IMAGE_SCRATCH, READ_ONLY, 8), 3);
	expect_error(MASTERS, 2, 2, READ_ONLY, 1);
	EQUAL(dma_copy(WRITE_ONLY, IMAGE_SCRATCH, 8), 3);
	expect_error(MASTERS, 1, 5, WRITE_ONLY, 1);
	write32(MASTERS + SRCMD + 32, 0); /* out of every domain */
	EQUAL(dma_copy(READ_ONLY, IMAGE_SCRATCH, 8), 3);
	expect_error(MASTERS, 1, 5, READ_ONLY, 1);
}

int main(void)
{
	hart();
	reprogram();
	masters();
	return 0;
}
