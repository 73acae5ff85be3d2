/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A master that an IOPMP stalls: its transfer waits, nothing moves while the rules change, and when
 * the stall is lifted it goes on under the new rules. The harts are not behind this IOPMP.
 */
#include "world.h"

#define MASTERS 0x10300000ul
enum {
	HWCFG0 = 8,
	ENTRYOFFSET = 0x2c,
	MDSTALL = 0x30,
	MDSTALLH = 0x34,
	MDCFG = 0x800,
	SRCMD = 0x1000
};
enum { R = 1, W = 2, NAPOT = 3 << 3, DONE = 1, ERROR = 2, BUSY = 4 };
#define SOURCE 0x81000000ul

static void entry(unsigned int i, uint64_t base, uint32_t cfg)
{
	uint64_t at = MASTERS + read32(MASTERS + ENTRYOFFSET) + 16 * i, address = base >> 2 | 511;

	write32(at, (uint32_t)address);
	write32(at + 4, (uint32_t)(address >> 32));
	write32(at + 8, cfg);
}

static void stall(bool on)
{
	write32(MASTERS + MDSTALLH, 0);
	write32(MASTERS + MDSTALL, on ? 1 << 2 : 0); /* domain 1 */
	while (read32(MASTERS + MDSTALL) & 1)
		;
}

static uint32_t wait(void)
{
	uint32_t status;

	while ((status = read32(DMA + 4)) & BUSY)
		;
	return status;
}

int main(void)
{
	write64(SOURCE, 0x5555);
	write64(IMAGE_SCRATCH, 0);
	for (unsigned int m = 0; m < 16; m++)
		write32(MASTERS + MDCFG + 4 * m, m ? 4 : 0);
	write32(MASTERS + SRCMD + 32, 4); /* source 1, the DMA engine, is in domain 1 */
	entry(0, SOURCE, NAPOT | R);
	entry(1, IMAGE_SCRATCH & ~4095ul, NAPOT | R | W);
	write32(MASTERS + HWCFG0, 1);
	EQUAL(dma_copy(SOURCE, IMAGE_SCRATCH, 8), DONE);
	stall(true);
	EQUAL(dma_copy(SOURCE, IMAGE_SCRATCH + 64, 8), BUSY);
	for (volatile int i = 0; i < 1000000; i++)
		;
	EQUAL(read32(DMA + 4), BUSY);
	EQUAL(read64(IMAGE_SCRATCH + 64), 0);
	write64(DMA + 0x10, SOURCE); /* a busy engine keeps its registers */
	stall(false);
	EQUAL(wait(), DONE);
	EQUAL(read64(IMAGE_SCRATCH + 64), 0x5555);
	/* the rule goes while it waits: the transfer fails under the new one */
	stall(true);
	EQUAL(dma_copy(SOURCE, IMAGE_SCRATCH + 128, 8), BUSY);
	entry(0, SOURCE, 0);
	stall(false);
	EQUAL(wait(), DONE | ERROR);
	EQUAL(read64(IMAGE_SCRATCH + 128), 0);
	return 0;
}
