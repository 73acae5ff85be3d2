/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front cache: the pages that the calling thread translated last, and the tables where its last
 * walks ended.
 *
 * Only its own thread reads and writes it, so it needs no sequence numbers, and an entry is judged
 * by one number: the unit's version, which any invalidation moves, whatever it was meant for. What
 * the front cache does not know any more the IOTLB usually does, or a walk from the top.
 */
#ifndef VIOMMU_VTD_FRONT_H
#define VIOMMU_VTD_FRONT_H

#include "memory/alloc.h"
#include "vtd/format.h"

/* Pages and PASIDs that do not meet; untouched entries cost no memory. */
enum { VTD_FRONT_PAGES = 1 << 14, VTD_FRONT_PASIDS = 1 << 12, VTD_FRONT_ANCHORS = 32 };

/*
 * A page, or a buffer by its first one, with what a request to it is answered with, as sums with the
 * request's address. A page gets one when it is asked for again: many never are.
 */
struct vtd_front_entry {
	uint64_t page;	  /* iova >> 12 */
	uint64_t who;	  /* endpoint's id and PASID */
	uint64_t version; /* 0: empty */
	uint64_t to_gpa;  /* gpa - iova */
	uint64_t to_hva;  /* hva - iova */
	uint64_t end;	  /* iova after the last one this holds for; 0: 2^64 */
	uint64_t ram;	  /* all ones: there is a hva */
	uint8_t permissions; /* as in vtd_target_bits */
	bool snoop;
	uint8_t granted[2]; /* to a request that is not, and to one that is privileged */
} __attribute__((aligned(64)));

/* VT-d 6.2.1: the paging-structure cache, one last-level table each. */
struct vtd_front_anchor {
	uint64_t region; /* iova >> 21 */
	uint64_t who;
	uint64_t version; /* 0: empty */
	uint64_t stamp; /* vtd_iotlb_stamp() of the context, of `version` or before */
	/* Its words; NULL where the way past it is not the short one: see walk.c. */
	const uint64_t *words;
	/* runs.c: what the word judged last said besides its address, and what that means. */
	uint64_t leaf_flags;
	uint8_t leaf_permissions; /* as in vtd_target_bits */
	bool leaf_snoop;
	struct vtd_anchor anchor;
	struct vtd_context context;
} __attribute__((aligned(64)));

/* No word has these flags. */
#define VTD_NO_LEAF VTD_ENTRY_ADDRESS

struct vtd_front {
	/* By page and PASID. */
	struct vtd_front_entry entries[VTD_FRONT_PAGES + VTD_FRONT_PASIDS];
	struct vtd_front_anchor anchors[VTD_FRONT_ANCHORS];
};

/* NULL until the thread misses for the first time, and where there is no memory for it. */
extern _Thread_local struct vtd_front *vtd_front __attribute__((tls_model("initial-exec")));

static inline uint64_t vtd_front_who(const struct viommu_endpoint *endpoint, uint32_t pasid)
{
	return (uint64_t)endpoint->id << 32 | pasid;
}

/*
 * Neighbouring pages go side by side; buffers do not meet unless they are apart by a multiple of 64 MiB.
 * In bytes, and with the PASID's part made before: a hit waits for every step that the address goes
 * through.
 */
static inline struct vtd_front_entry *vtd_front_entry(struct vtd_front *front, uint64_t iova,
						      uint32_t pasid)
{
	enum { PAGES = VTD_FRONT_PAGES - 1, PASIDS = VTD_FRONT_PASIDS - 1 };
	char *first = (char *)&front->entries[pasid & PASIDS];

	/* Not to be put in another order. */
	__asm__("" : "+r"(first));
	return (void *)(first + (iova >> 6 & PAGES * sizeof(struct vtd_front_entry)));
}
_Static_assert(sizeof(struct vtd_front_entry) == 1 << 6, "vtd_front_entry() counts in these");

/* To be read before what an entry is made from. */
static inline uint64_t vtd_front_version(const struct viommu_unit *unit)
{
	return vtd_load(&unit->version) +
	       atomic_load_explicit(unit->memory_generation, memory_order_acquire);
}

/* The page of `iova`, whose entry holds from `first` on for `size` bytes. */
static inline void vtd_front_enter(const struct viommu_endpoint *endpoint, uint32_t pasid,
				   uint64_t iova, uint64_t version, uint64_t first, uint64_t size,
				   const struct vtd_entry *entry)
{
	struct vtd_front *front = vtd_front;
	struct vtd_front_entry *own;

	/* A front hit does not look whether a performance counter has overflowed. */
	if (!front || vtd_unlikely(vtd_load_plain(&endpoint->unit->perfmon.armed)))
		return;
	own = vtd_front_entry(front, iova, pasid);
	own->page = iova >> 12;
	own->who = vtd_front_who(endpoint, pasid);
	own->version = version;
	own->to_gpa = (entry->target & ~(uint64_t)VTD_TARGET_BITS) - first;
	own->to_hva = entry->hva - first;
	own->end = first + size;
	own->ram = entry->hva ? ~0ull : 0;
	own->permissions = entry->target & (VTD_TARGET_SNOOP - 1);
	own->snoop = entry->target & VTD_TARGET_SNOOP;
	own->granted[0] = vtd_granted(entry->target, 0);
	own->granted[1] = vtd_granted(entry->target, VIOMMU_PRIVILEGED);
}

static inline void vtd_front_enter_leaf(const struct viommu_endpoint *endpoint, uint32_t pasid,
					uint64_t iova, uint64_t version, unsigned int size_class,
					const struct vtd_entry *entry)
{
	uint64_t size = 1ull << vtd_class_shift(size_class);

	vtd_front_enter(endpoint, pasid, iova, version, iova & -size, size, entry);
}

/* The slot for a request's last-level table; NULL without a front cache. */
static inline struct vtd_front_anchor *vtd_front_anchor(uint32_t pasid, uint64_t iova)
{
	return vtd_front ? &vtd_front->anchors[(iova >> 21 ^ pasid) % VTD_FRONT_ANCHORS] : NULL;
}

/*
 * The remembered last-level table of a request, while nothing at all was invalidated since. It is
 * trusted as the entries of the front are.
 */
static inline struct vtd_front_anchor *vtd_front_recall(const struct viommu_endpoint *endpoint,
							uint32_t pasid, uint64_t iova,
							uint64_t version)
{
	struct vtd_front_anchor *known = vtd_front_anchor(pasid, iova);

	if (!known || known->version != version || known->region != iova >> 21 ||
	    known->who != vtd_front_who(endpoint, pasid))
		return NULL;
	return known;
}

/* translate.c: give the thread its shard and front cache. */
void vtd_thread_init(void);

#endif
