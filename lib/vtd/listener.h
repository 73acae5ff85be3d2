/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The unit as lib/passthrough sees it: what the guest invalidates, and what its tables say.
 *
 * Listeners hear of invalidations in the order the guest gave them, on the thread that executes
 * the queue (the unit's owner), outside any lock: they may call everything declared here and the
 * public API. `flush` comes before the unit tells the guest that what was heard so far is complete.
 */
#ifndef VIOMMU_VTD_LISTENER_H
#define VIOMMU_VTD_LISTENER_H

#include "vtd/spec.h"
#include "vtd/unit_internal.h"

struct vtd_listener_ops {
	/* Type 7; did and pasid count as the granularity says. */
	void (*pasid_cache)(void *opaque, enum vtd_pasid_cache_granularity granularity,
			    uint16_t did, uint32_t pasid);
	/* Type 1 and CCMD; `mask` has the bits of sid that are not compared. */
	void (*context)(void *opaque, enum vtd_granularity granularity, uint16_t did, uint16_t sid,
			uint16_t mask);
	/* Type 2 and IOTLB_REG. [address, address + (4096 << am)) when selective; ih: only leaves
	 * changed. */
	void (*iotlb)(void *opaque, enum vtd_granularity granularity, uint16_t did,
		      uint64_t address, uint8_t am, bool ih);
	/* Type 6. */
	void (*piotlb)(void *opaque, uint16_t did, uint32_t pasid,
		       enum vtd_piotlb_granularity granularity, uint64_t address, uint8_t am,
		       bool ih);
	/* SRTP, TE, reset or load: everything may be different; ask vtd_unit_translating(). */
	void (*translation_changed)(void *opaque);
	void (*flush)(void *opaque);
	/* vtd_unit_post() was called. */
	void (*posted)(void *opaque);
	/* Type 9 for a RID; true: it was meant for this listener. pasid may be VIOMMU_NO_PASID. */
	bool (*page_response)(void *opaque, uint16_t rid, uint32_t pasid, uint16_t group,
			      enum viommu_response_code code);
};

struct vtd_listener {
	const struct vtd_listener_ops *ops; /* any of them may be NULL */
	void *opaque;
	struct vtd_listener *next;
};

/* The listener's memory is the caller's. Removal waits for a callback in progress. Any thread. */
void vtd_listener_add(struct viommu_unit *unit, struct vtd_listener *listener);
void vtd_listener_remove(struct viommu_unit *unit, struct vtd_listener *listener);

/* Become or stop being the owner: nothing is heard from other threads meanwhile. Nests. */
/* (vtd_unit_enter and vtd_unit_leave, unit_internal.h) */

/*
 * Have `posted` of every listener called by an owner: by the present one before it leaves, or by
 * this thread if there is none. For those who may not wait to become the owner, because they hold a
 * lock that the owner may be waiting for.
 */
void vtd_unit_post(struct viommu_unit *unit);

/* TES, and the root table's mode. */
bool vtd_unit_translating(const struct viommu_unit *unit);
enum vtd_ttm vtd_unit_ttm(const struct viommu_unit *unit);

/*
 * Read entries from guest memory as they are now; own access section. 0: the entry, present or not,
 * was read; -ENOENT: something above it is not present or has reserved bits set, or the unit is not
 * in scalable mode; -EFAULT: not in RAM.
 */
int vtd_fetch_context_entry(struct viommu_unit *unit, uint16_t rid, uint64_t ce[4]);
int vtd_fetch_pasid_entry(struct viommu_unit *unit, uint16_t rid, uint32_t pasid, uint64_t pe[8]);
/* Legacy mode's context entry. */
int vtd_fetch_legacy_entry(struct viommu_unit *unit, uint16_t rid, uint64_t ce[2]);

/*
 * Visit the present PEs of `rid` with first <= pasid <= last, in order, until `visit` returns
 * non-zero, which is returned. Cost is that of the present leaf tables. `visit` runs outside access
 * sections.
 */
int vtd_each_pasid_entry(struct viommu_unit *unit, uint16_t rid, uint32_t first, uint32_t last,
			 int (*visit)(void *opaque, uint32_t pasid, const uint64_t pe[8]),
			 void *opaque);

/*
 * What the unit itself checks before it lets a request through, 0 or the reason why it does not
 * (VT-d 7.1.3): legacy mode's CE for a request without PASID; a scalable CE; a PE.
 */
unsigned int vtd_legacy_entry_reason(struct viommu_unit *unit, const uint64_t ce[2]);
unsigned int vtd_context_entry_reason(struct viommu_unit *unit, const uint64_t ce[4]);
unsigned int vtd_pasid_entry_reason(const struct viommu_unit *unit, const uint64_t pe[8]);

/*
 * A page request from a device that is no endpoint of this unit, checked as viommu_page_request
 * does but for the context entry. 0: queued; -ENOSPC: the queue is full, answer "success"; -EFAULT:
 * the guest gave no memory for it, answer "failure"; -EOPNOTSUPP, -EINVAL.
 */
int vtd_listener_page_request(struct viommu_unit *unit, uint16_t rid, uint32_t pasid, uint64_t iova,
			      uint32_t access, uint16_t group, bool last);

/* Fields of a PE. */
static inline bool vtd_pe_present(const uint64_t pe[8])
{
	return pe[0] & VTD_PE_P;
}
static inline enum vtd_pgtt vtd_pe_pgtt(const uint64_t pe[8])
{
	return vtd_field(pe[0], VTD_PE_PGTT);
}
static inline uint16_t vtd_pe_did(const uint64_t pe[8])
{
	return vtd_field(pe[1], VTD_PE_DID);
}
static inline uint64_t vtd_pe_first_stage(const uint64_t pe[8])
{
	return pe[2] & VTD_PE_FSPTPTR;
}
static inline uint64_t vtd_pe_second_stage(const uint64_t pe[8])
{
	return pe[0] & VTD_PE_SSPTPTR;
}
/* Levels: FSPM 0 is 4, 1 is 5; AW 1, 2, 3 are 3, 4, 5. */
static inline unsigned int vtd_pe_first_levels(const uint64_t pe[8])
{
	return 4 + vtd_field(pe[2], VTD_PE_FSPM);
}
static inline unsigned int vtd_pe_second_levels(const uint64_t pe[8])
{
	return 2 + vtd_field(pe[0], VTD_PE_AW);
}
static inline bool vtd_pe_sre(const uint64_t pe[8])
{
	return pe[2] & VTD_PE_SRE;
}
static inline bool vtd_pe_wpe(const uint64_t pe[8])
{
	return pe[2] & VTD_PE_WPE;
}
static inline bool vtd_pe_eafe(const uint64_t pe[8])
{
	return pe[2] & VTD_PE_EAFE;
}
/* PASIDs that the directory of a scalable CE has room for. */
static inline uint32_t vtd_ce_pasids(const uint64_t ce[4])
{
	return 1u << (vtd_field(ce[0], VTD_SCE_PDTS) + 7 + 6);
}

/* For the unit. */
void vtd_listeners_translation_changed(struct viommu_unit *unit);
void vtd_listeners_flush(struct viommu_unit *unit);
void vtd_listeners_posted(struct viommu_unit *unit);
bool vtd_listeners_page_response(struct viommu_unit *unit, uint16_t rid, uint32_t pasid,
				 uint16_t group, enum viommu_response_code code);

#endif
