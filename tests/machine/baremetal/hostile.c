/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices turned on themselves and on each other by a guest that means harm. Each must end, and
 * leave a machine that works.
 */
#include "world.h"

#define APLIC	   0x0c000000ul
#define FLASH	   0x20000000ul
#define UART	   0x10000000ul
#define IOPMP	   0x10300000ul
#define VIRTIO	   0x10001000ul
#define WORDS	   0x80800000ul

/* Copy words of this value over a range of registers. */
static void flood(uint32_t value, uint64_t to, uint64_t length)
{
	for (uint64_t at = 0; at < length; at += 4)
		write32(WORDS + at, value);
	dma_copy(WORDS, to, length);
}

/* The engine told to start itself: it is busy, and does not listen. */
static void engine(void)
{
	write32(WORDS, 1);
	EQUAL(dma_copy(WORDS, DMA, 4), 1);
	EQUAL(read64(DMA + 0x28), 4);
	flood(0xffffffff, DMA, 64);
	EQUAL(read64(DMA + 8), WORDS);
	EQUAL(dma_copy(DMA, DMA, 4096) & 1, 1);
	/* all of its reach: lengths have a limit, addresses end */
	write64(WORDS, 7);
	EQUAL(dma_copy(WORDS, IMAGE_SCRATCH, 8), 1);
	write64(DMA + 8, WORDS);
	write64(DMA + 16, ~0ul - 3);
	write64(DMA + 24, ~0ul);
	write32(DMA, 1);
	EQUAL(read32(DMA + 4), 3);
	write32(DMA + 4, 3);
}

static void devices(void)
{
	static const uint64_t places[] = { APLIC, APLIC + 0x1000, APLIC + 0x1bc0, APLIC + 0x1c00, APLIC + 0x2000,
					   APLIC + 0x4000, 0x0d000000ul, 0x0d001c00ul, IOPMP, IOPMP + 0x800,
					   IOPMP + 0x1000, IOPMP + 0x2000, VIRTIO, VIRTIO + 0x1000, FLASH,
					   FLASH + 0x1ffff00ul, 0x02000000ul, 0x02004000ul, 0x02f00000ul,
					   0x101000ul, 0x06000000ul, 0x24000000ul };
	static const uint32_t values[] = { 0, 1, 0x40, 0xe8, 0xff, 0x7fffffff, 0x80000000, 0xffffffff };

	for (unsigned int i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		for (unsigned int k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
			flood(values[k], places[i], 252);
			dma_copy(places[i], IMAGE_SCRATCH, 1021);
			dma_copy(WORDS + 1, places[i] + 3, 33);
		}
	}
	flood(0xff, FLASH, 4);
	flood(0xff, FLASH + 0x1fffffcul, 4);
}

/* Messages whose address is the controller's own door for more messages. */
static void messages(void)
{
	if (READ_CSR(marchid) == ~0ul || !(read32(APLIC) & 0x80000000u))
		return;
	for (unsigned int i = 1; i < 96; i++) {
		write32(APLIC + 4 * i, 1); /* detached: only software makes it pending */
		write32(APLIC + 0x3000 + 4 * i, i % 95 + 1);
		write32(APLIC + 0x1edc, i);
	}
	write32(APLIC + 0x1bc0, (APLIC + 0x2000) >> 12);
	write32(APLIC + 0x1bc4, 0);
	write32(APLIC, 0x100);
	write32(APLIC + 0x2000, 1);
	/* nor do messages go around the checkers into memory */
	write32(WORDS, 0x5a5a5a5a);
	write32(APLIC + 0x1bc0, WORDS >> 12);
	write32(APLIC + 0x2000, 2);
	EQUAL(read32(WORDS), 0x5a5a5a5a);
	for (unsigned int i = 1; i < 96; i++)
		write32(APLIC + 4 * i, 0);
}

int main(void)
{
	engine();
	messages();
	devices();
	/* still there */
	write64(WORDS, 0x1234);
	EQUAL(read64(WORDS), 0x1234);
	return 0;
}
