/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IOPMP inside. Source: who asks (RRID). Domain: a memory domain, a run of entries. Entry: a range
 * with permissions.
 *
 * Registers are kept as values with their meaning, not as an array of words; the layouts of 0.7 and
 * 0.8 are put together when they are read. What an access needs is derived when a register is
 * written: each entry's range, each domain's run of entries. A decision is made for a source and
 * the widest window of bytes around an access in which no entry begins or ends, for all types at
 * once, and is remembered in a small cache; so the cost of the next one does not depend on the
 * number of entries.
 */
#ifndef LIB_RISCV_IOPMP_H
#define LIB_RISCV_IOPMP_H

#include <pthread.h>

#include <viommu/riscv.h>

#include "riscv/irq.h"

enum { IOPMP_CACHE = 256, IOPMP_TYPES = 3 /* read, write, fetch */ };
enum { IOPMP_R, IOPMP_W, IOPMP_X };

/* ENTRY_CFG */
#define IOPMP_CFG_PERMISSIONS 0x7u
#define IOPMP_CFG_MODE_SHIFT  3
#define IOPMP_CFG_MODE	      0x18u
#define IOPMP_CFG_SI_SHIFT    5 /* suppress interrupt: sire, siwe, sixe */
#define IOPMP_CFG_SE_SHIFT    8 /* suppress error: sere, sewe, sexe */
enum { IOPMP_OFF, IOPMP_TOR, IOPMP_NA4, IOPMP_NAPOT };

/* IOPMP 2.1: error types. */
enum iopmp_error {
	IOPMP_NO_ERROR = 0,
	IOPMP_ILLEGAL_READ = 1,
	IOPMP_ILLEGAL_WRITE = 2, /* and AMO */
	IOPMP_ILLEGAL_FETCH = 3,
	IOPMP_PARTIAL = 4,
	IOPMP_NO_MATCH = 5,
	IOPMP_UNKNOWN_SOURCE = 6,
	IOPMP_STALL_VIOLATION = 7, /* 0.7: 8 */
};

/* ERR_CFG and ERR_INFO */
#define IOPMP_ERR_L	       (1u << 0)
#define IOPMP_ERR_IE	       (1u << 1)
#define IOPMP_ERR_RS	       (1u << 2)
#define IOPMP_ERR_MSI_SEL      (1u << 3)
#define IOPMP_ERR_STALL	       (1u << 4)
#define IOPMP_ERR_MSIDATA      0x7ff00u
#define IOPMP_INFO_V	       (1u << 0)
#define IOPMP_INFO_TTYPE_SHIFT 1
#define IOPMP_INFO_MSI_WERR    (1u << 3)
#define IOPMP_INFO_ETYPE_SHIFT 4
#define IOPMP_INFO_SVC	       (1u << 8)
#define IOPMP_NO_EID	       0xffffu

struct iopmp_entry {
	uint64_t addr; /* addr[65:2] as written */
	uint32_t cfg;
	uint32_t user;
	uint64_t first, last; /* derived; first > last: none */
};

/* One row of the SRCMD table (formats 0 and 1); bit m of a mask is domain m. */
struct iopmp_source {
	uint64_t domains;
	uint64_t r, w, x; /* SPS */
	bool locked;
	bool stalled;
	bool violated; /* SV: an error after the recorded one */
};

struct iopmp_decision {
	bool once;    /* the access straddles an entry's edge */
	bool stalled; /* neither allowed nor denied: wait */
	uint64_t first, last;
	struct {
		uint8_t error; /* enum iopmp_error; 0: allowed */
		bool quiet_irq, quiet_error;
		uint16_t entry;
	} type[IOPMP_TYPES];
};

struct iopmp_slot {
	uint64_t generation; /* of the rules; 0: empty */
	uint32_t source;
	struct iopmp_decision decision;
};

/* What software can change, in one piece: reset and snapshots copy it. */
struct iopmp_registers {
	bool enable;
	bool priority_prog, transl_prog; /* still programmable */
	uint32_t priority_entries, domain_entries, source_translation;
	uint32_t mdstall, mdstallh, scp_source;
	uint64_t mdlck; /* bit m: domain m */
	bool mdlck_locked;
	uint32_t mdcfglck, entrylck; /* as they read */
	uint32_t err_cfg, err_info, err_reqid;
	uint64_t err_reqaddr;
	uint32_t mfr_window;
	bool irq_pending; /* the recorded error wanted the interrupt */
	uint64_t msi_address;
};

struct viommu_iopmp {
	struct viommu_iopmp_config config;
	struct viommu_region *region;
	struct irq_wire irq;
	pthread_mutex_t lock;
	uint32_t entry_offset, size;
	struct iopmp_registers reg;
	uint32_t *mdcfg;	     /* t of each domain (format 0) */
	uint32_t *top;		     /* derived: one past each domain's last entry */
	uint64_t *perm;		     /* SRCMD_PERM of each domain (format 2) */
	struct iopmp_source *source; /* of each source */
	struct iopmp_entry *entry;
	uint64_t generation;
	struct iopmp_slot cache[IOPMP_CACHE];
};

static inline bool iopmp_has(const struct viommu_iopmp *iopmp, uint32_t flag)
{
	return iopmp->config.flags & flag;
}

static inline bool iopmp_is_07(const struct viommu_iopmp *iopmp)
{
	return iopmp->config.version == VIOMMU_IOPMP_0_7;
}

/* All under lock. */
void iopmp_derive_entry(struct viommu_iopmp *iopmp, uint32_t index);
void iopmp_derive_domains(struct viommu_iopmp *iopmp);
uint64_t iopmp_entry_reads(const struct viommu_iopmp *iopmp, uint32_t index);
/* The domains of a source, as a mask. */
uint64_t iopmp_domains_of(const struct viommu_iopmp *iopmp, uint32_t source);
const struct iopmp_decision *iopmp_decide(struct viommu_iopmp *iopmp,
					  const struct viommu_request *request,
					  struct iopmp_decision *once);
uint32_t iopmp_allowed(const struct iopmp_decision *decision); /* set of READ, WRITE, EXECUTE */

bool iopmp_wants_irq(void *iopmp);

#endif
