/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wgChecker's registers, and the slots every world test starts with.
 */
#ifndef BAREMETAL_WORLD_H
#define BAREMETAL_WORLD_H

#include "rt.h"

#define PLIC	      0x0c000000ul
#define WG_DRAM	      0x06000000ul
#define WG_UART	      0x06002000ul
#define WG_MARKER     0x06003000ul
#define DMA	      0x10010000ul
#define IMAGE_SCRATCH 0x800f0000ul /* inside the program's megabyte, behind it */

enum { ERRCAUSE = 0x10, ERRADDR = 0x18, SLOT_PERM = 8, SLOT_CFG = 16 };
#define SLOT(i) (0x20ul + 32 * (i))
#define ERR_R	(1ul << 8)
#define ERR_W	(1ul << 9)
#define ERR_BE	(1ul << 62)
#define ERR_IP	(1ul << 63)
enum {
	CFG_TOR = 1,
	CFG_NAPOT = 3,
	CFG_ER = 1 << 8,
	CFG_EW = 1 << 9,
	CFG_IR = 1 << 10,
	CFG_IW = 1 << 11
};
#define CFG_ERRORS (CFG_ER | CFG_EW)
#define CFG_LOCK   (1u << 31)
#define PERM_R(w)  (1ul << (2 * (w)))
#define PERM_W(w)  (2ul << (2 * (w)))

static inline void slot_range(uint64_t checker, unsigned int i, uint64_t base, uint64_t size,
			      uint64_t perm, uint32_t cfg)
{
	write32(checker + SLOT(i) + SLOT_CFG, 0);
	write64(checker + SLOT(i), base >> 2 | ((size >> 3) - 1));
	write64(checker + SLOT(i) + SLOT_PERM, perm);
	write32(checker + SLOT(i) + SLOT_CFG, CFG_NAPOT | cfg);
}

static inline void slot_page(uint64_t checker, unsigned int i, uint64_t base, uint64_t perm,
			     uint32_t cfg)
{
	slot_range(checker, i, base, 4096, perm, cfg);
}

/* The program's own megabyte is everybody's; what no slot names is nobody's but the trusted
 * world's. */
static inline void world_setup(void)
{
	write32(WG_DRAM + SLOT(0) + SLOT_CFG, CFG_ERRORS);
	slot_range(WG_DRAM, 3, 0x80000000, 1 << 20, 0xff, CFG_ERRORS);
	/* UART: everybody, until a test says otherwise */
	write64(WG_UART + SLOT(1) + SLOT_PERM, 0xff);
	write32(WG_UART + SLOT(1) + SLOT_CFG, CFG_TOR | CFG_ERRORS);
}

static inline uint32_t dma_copy(uint64_t from, uint64_t to, uint64_t length)
{
	write64(DMA + 8, from);
	write64(DMA + 16, to);
	write64(DMA + 24, length);
	write32(DMA, 1);
	return read32(DMA + 4);
}

#endif
