/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IOTLB: translations by address space and page, for all endpoints of a unit.
 *
 * Four ways a set. The first cache line has the keys of all four and the set's sequence number, so
 * that dropping a page touches one line and a hit touches two. Readers check the sequence before
 * and after; writers make it odd. Sixteen neighbouring pages lie in neighbouring sets.
 *
 * The *tag* names the address space: DID and PASID (0 for second-stage-only spaces), which is what
 * invalidations know, and above them a digest of everything else a context says (roots, type,
 * flags), so that a space whose PE was changed never meets its old entries.
 *
 * A *size class* is 4 KiB, 2 MiB or 1 GiB. An entry is valid while its stamp equals
 * vtd_iotlb_stamp() of the context that asks.
 */
#ifndef VIOMMU_VTD_IOTLB_H
#define VIOMMU_VTD_IOTLB_H

#include "vtd/unit_internal.h"

enum vtd_size_class { VTD_4K = 1, VTD_2M = 2, VTD_1G = 3 };

static inline unsigned int vtd_class_shift(unsigned int size_class)
{
	return 3 + 9 * size_class;
}

enum { VTD_WAYS = 4 };

/* What a way says of the page that its key names. */
struct vtd_way {
	uint64_t tag;
	uint64_t stamp;
	uint64_t target; /* first GPA, enum vtd_target_bits below */
	uint64_t hva;	 /* of the first byte, 0 when it is not RAM */
};

struct vtd_iotlb_set {
	uint32_t sequence;
	uint32_t next;		 /* way to evict */
	uint64_t keys[VTD_WAYS]; /* vtd_iotlb_key(); 0: empty */
	struct vtd_way ways[VTD_WAYS] __attribute__((aligned(64)));
} __attribute__((aligned(64)));

/* Permissions: enum viommu_access READ, WRITE, EXECUTE for user, and again for privileged requests.
 */
enum vtd_target_bits {
	VTD_PERMISSIONS = 7,
	VTD_PRIVILEGED_SHIFT = 3,
	VTD_TARGET_SNOOP = 1 << 6,
	VTD_TARGET_BITS = 0xfff,
};

/* READ and WRITE together are ATOMIC. */
static const uint8_t vtd_with_atomic[VTD_PERMISSIONS + 1] = {
	0, 1, 2, 3 | VIOMMU_ATOMIC, 4, 5, 6, 7 | VIOMMU_ATOMIC,
};

static inline uint32_t vtd_granted(uint64_t target, uint32_t access)
{
	uint32_t privileged = access & VIOMMU_PRIVILEGED;

	return vtd_with_atomic[target >> (privileged ? VTD_PRIVILEGED_SHIFT : 0) & VTD_PERMISSIONS] |
	       privileged;
}

#define VTD_TAG_SPACE VTD_MASK(35, 0)

static inline uint64_t vtd_tag(uint16_t did, uint32_t pasid)
{
	return did | (uint64_t)pasid << 16;
}

/* Of the address space that invalidations know. */
static inline uint64_t vtd_space_hash(uint64_t tag)
{
	return (tag & VTD_TAG_SPACE) * 0xd6e8feb86659fd93ull;
}

/*
 * Page number in the high bits, size class in the low two, between them a hash of the space: what a
 * drop goes by. Two spaces with one hash only cost each other an entry now and then.
 */
static inline uint64_t vtd_iotlb_key(uint64_t tag, uint64_t number, unsigned int size_class)
{
	return number << vtd_class_shift(size_class) | vtd_space_hash(tag) >> 54 << 2 | size_class;
}

static inline struct vtd_iotlb_set *vtd_iotlb_set(const struct viommu_unit *unit, uint64_t tag,
						  uint64_t number)
{
	uint64_t hash = ((number >> 4) + vtd_space_hash(tag)) * 0x9e3779b97f4a7c15ull;

	/* There are 16 sets at least. Strides meet other sets in every block. */
	return &unit->iotlb[(hash >> unit->iotlb_shift & ~15ull) | ((number + (hash >> 20)) & 15)];
}

/* The set that will most likely be filled, while the walk is yet to come. */
static inline void vtd_iotlb_prefetch(const struct viommu_unit *unit, uint64_t tag, uint64_t iova)
{
	const struct vtd_iotlb_set *set = vtd_iotlb_set(unit, tag, iova >> 12);

	__builtin_prefetch(set);
	__builtin_prefetch(set->ways);
}

/* Sum of the generations an IOTLB entry of this context depends on. */
static inline uint64_t vtd_iotlb_stamp(const struct viommu_unit *unit, const uint64_t *domain,
				       const uint64_t *pasid)
{
	return vtd_load(&unit->generations.iotlb_global) + vtd_load(domain) + vtd_load(pasid) +
	       atomic_load_explicit(unit->memory_generation, memory_order_acquire);
}

struct vtd_entry {
	uint64_t target;
	uint64_t hva;
};

/* Find (tag, iova) in one size class. True: *entry is a consistent, valid copy. */
static inline bool vtd_iotlb_find(const struct viommu_unit *unit, uint64_t tag, uint64_t stamp,
				  uint64_t iova, unsigned int size_class, struct vtd_entry *entry)
{
	uint64_t number = iova >> vtd_class_shift(size_class);
	const struct vtd_iotlb_set *set = vtd_iotlb_set(unit, tag, number);
	uint64_t key = vtd_iotlb_key(tag, number, size_class);
	uint32_t sequence = vtd_load(&set->sequence);
	const struct vtd_way *way = set->ways;
	unsigned int i;

	for (i = 0; i < VTD_WAYS; i++, way++)
		if (vtd_load(&set->keys[i]) == key && vtd_load(&way->tag) == tag)
			break;
	if (i == VTD_WAYS || vtd_unlikely(vtd_load(&way->stamp) != stamp))
		return false;
	entry->target = vtd_load(&way->target);
	entry->hva = vtd_load(&way->hva);
	return vtd_likely(!(sequence & 1) && vtd_load_plain(&set->sequence) == sequence);
}

/* The leaf that a walk found, to be entered. */
struct vtd_found {
	uint64_t gpa;	     /* of the request's address */
	unsigned int shift;  /* log2 of the leaf's size, 64 when there is no table */
	uint8_t permissions; /* as in vtd_target_bits */
	bool snoop;
};

int vtd_iotlb_create(struct viommu_unit *unit);
void vtd_iotlb_destroy(struct viommu_unit *unit);

/* What must not have changed between a walk's begin and its entry into the IOTLB. */
struct vtd_sample {
	uint64_t stamp; /* 0: do not enter */
	uint64_t page_drops;
};

static inline struct vtd_sample vtd_iotlb_sample(const struct viommu_unit *unit,
						 const struct vtd_context *context)
{
	return (struct vtd_sample){
		.stamp = vtd_iotlb_stamp(unit, context->domain_generation,
					 context->pasid_generation),
		.page_drops = vtd_load(&unit->generations.page_drops),
	};
}

/*
 * Enter a leaf found by a walk that began after `sample` was taken, and fill *entry. Returns the
 * size class the entry has. In an access section.
 */
unsigned int vtd_iotlb_fill(struct viommu_unit *unit, const struct vtd_context *context,
			    const struct vtd_sample *sample, uint64_t iova,
			    const struct vtd_found *found, struct vtd_entry *entry);

/* Enter one entry under its sample. */
void vtd_iotlb_enter(struct viommu_unit *unit, uint64_t tag, const struct vtd_sample *sample,
		     uint64_t iova, unsigned int size_class, const struct vtd_entry *entry);

/*
 * Drop the entries of [address, address + (4096 << am)) in space (did, pasid), which has
 * no fragments. False: too many pages, the caller must drop the whole space.
 *
 * A walk may have read an old leaf and not entered it yet. Its fill checks, holding the set, that
 * `page_drops` is as it was before the walk. vtd_iotlb_begin_drops() counts; the drops that follow
 * wait for a set that is held. So either the fill sees the count and gives up, or the drop sees the
 * entry. One begin serves for all invalidations whose tables had changed before it, and comes
 * before those of whole spaces too.
 */
void vtd_iotlb_begin_drops(struct viommu_unit *unit);
bool vtd_iotlb_drop(struct viommu_unit *unit, uint16_t did, uint32_t pasid, uint64_t address,
		    unsigned int am);

#endif
