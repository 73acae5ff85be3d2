/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wgChecker inside: slots as written, and the rules they amount to.
 *
 * A slot keeps what software wrote. What a register reads back and what the checker enforces are
 * derived from all slots after every write, because a TOR slot depends on its neighbour and because
 * software may write an address before or after the mode that gives it its meaning.
 */
#ifndef LIB_RISCV_WGCHECKER_H
#define LIB_RISCV_WGCHECKER_H

#include <pthread.h>

#include <viommu/riscv.h>

#include "riscv/irq.h"

/* SLOT_CFG */
#define WG_CFG_A     0x3u
#define WG_CFG_ER    (1u << 8)
#define WG_CFG_EW    (1u << 9)
#define WG_CFG_IR    (1u << 10)
#define WG_CFG_IW    (1u << 11)
#define WG_CFG_REACT (WG_CFG_ER | WG_CFG_EW | WG_CFG_IR | WG_CFG_IW)
#define WG_CFG_L     (1u << 31)
enum { WG_OFF, WG_TOR, WG_NA4, WG_NAPOT };

/* ERRCAUSE */
#define WG_CAUSE_WID  0xffull
#define WG_CAUSE_R    (1ull << 8)
#define WG_CAUSE_W    (1ull << 9)
#define WG_CAUSE_BE   (1ull << 62)
#define WG_CAUSE_IP   (1ull << 63)
#define WG_CAUSE_MASK (WG_CAUSE_WID | WG_CAUSE_R | WG_CAUSE_W | WG_CAUSE_BE | WG_CAUSE_IP)

struct wg_slot {
	uint64_t written; /* SLOT_ADDR as software wrote it */
	uint64_t perm;
	uint32_t cfg;
	/* derived */
	uint64_t addr;        /* SLOT_ADDR as it reads */
	uint64_t first, last; /* guarded bytes; first > last: none */
};

struct viommu_wgchecker {
	struct viommu_wgchecker_config config;
	struct viommu_region *region;
	struct irq_wire irq;
	pthread_mutex_t lock;
	uint64_t first, last; /* the guarded range, naturally aligned */
	uint64_t cause, address;
	uint32_t count; /* slots + 1 */
	struct wg_slot slot[];
};

/* What the rules say about one byte for one world. */
struct wg_verdict {
	uint32_t allowed;     /* set of READ, WRITE, EXECUTE */
	uint32_t react;       /* WG_CFG_REACT bits if it is denied */
	uint64_t first, last; /* bytes around it for which the same holds */
};

/* Under lock. */
void wg_derive(struct viommu_wgchecker *checker);
void wg_reset_slots(struct viommu_wgchecker *checker);
bool wg_wants_irq(void *checker);

#endif
