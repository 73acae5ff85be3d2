/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filling the IOTLB and dropping single pages from it.
 *
 * A leaf enters as the largest size class whose whole block is one run of RAM and touches no
 * interrupt address; a leaf that straddles the edge of a RAM segment therefore enters in
 * *fragments*. Dropping one page must drop its whole leaf, so a space that has fragments says so in
 * its generation's record, and page invalidations there fall back to the whole space.
 */
#include <errno.h>
#include <sched.h>

#include "memory/alloc.h"
#include "vtd/iotlb.h"

/* Beyond this many probes a page invalidation costs more than forgetting the space. */
enum { PROBES_MAX = 64 };

int vtd_iotlb_create(struct viommu_unit *unit)
{
	uint32_t sets = unit->options.iotlb_entries / VTD_WAYS;

	unit->iotlb = viommu_aligned_zalloc(_Alignof(struct vtd_iotlb_set),
					    (size_t)sets * sizeof(*unit->iotlb));
	if (!unit->iotlb)
		return -ENOMEM;
	unit->iotlb_shift = 64 - __builtin_ctz(sets);
	return 0;
}

void vtd_iotlb_destroy(struct viommu_unit *unit)
{
	viommu_free(unit->iotlb);
}

static bool set_lock(struct vtd_iotlb_set *set)
{
	uint32_t sequence = vtd_load_plain(&set->sequence);

	return !(sequence & 1) &&
	       __atomic_compare_exchange_n(&set->sequence, &sequence, sequence + 1, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static void set_unlock(struct vtd_iotlb_set *set)
{
	vtd_store(&set->sequence, vtd_load_plain(&set->sequence) + 1);
}

/* The way to use for (key, tag): its own, the first empty one, else the next victim. */
static unsigned int choose_way(struct vtd_iotlb_set *set, uint64_t key, uint64_t tag)
{
	unsigned int i, empty = VTD_WAYS;
	uint64_t at;

	for (i = 0; i < VTD_WAYS; i++) {
		at = vtd_load_plain(&set->keys[i]);
		if (at == key && vtd_load_plain(&set->ways[i].tag) == tag)
			return i;
		if (!at && empty == VTD_WAYS)
			empty = i;
	}
	if (empty < VTD_WAYS)
		return empty;
	i = vtd_load_plain(&set->next) % VTD_WAYS;
	vtd_store_plain(&set->next, i + 1);
	return i;
}

void vtd_iotlb_enter(struct viommu_unit *unit, uint64_t tag, const struct vtd_sample *sample,
		     uint64_t iova, unsigned int size_class, const struct vtd_entry *entry)
{
	uint64_t number = iova >> vtd_class_shift(size_class);
	struct vtd_iotlb_set *set = vtd_iotlb_set(unit, tag, number);
	uint64_t key = vtd_iotlb_key(tag, number, size_class);
	unsigned int i;

	/* Before a drop can miss it. */
	if (vtd_unlikely(!(vtd_load(&unit->iotlb_classes) & 1u << size_class)))
		__atomic_fetch_or(&unit->iotlb_classes, 1u << size_class, __ATOMIC_SEQ_CST);
	/* Somebody else fills this set now: their entry is as good as ours. */
	if (!set_lock(set))
		return;
	if (__atomic_load_n(&unit->generations.page_drops, __ATOMIC_SEQ_CST) ==
	    sample->page_drops) {
		i = choose_way(set, key, tag);
		vtd_store(&set->keys[i], key);
		vtd_store(&set->ways[i].tag, tag);
		vtd_store(&set->ways[i].stamp, sample->stamp);
		vtd_store(&set->ways[i].target, entry->target);
		vtd_store(&set->ways[i].hva, entry->hva);
	}
	set_unlock(set);
}

/* May the block of this size around the request be one entry? Then *hva is its first byte. */
static bool block_fits(struct viommu_unit *unit, const struct vtd_context *context, uint64_t iova,
		       uint64_t gpa, unsigned int shift, void **hva, bool *writable)
{
	uint64_t size = 1ull << shift, first = gpa & -size, input = iova & -size;

	/* VT-d 3.14: neither may hide an interrupt address among memory. */
	if (shift > 12 &&
	    (vtd_interrupt_range(first, first + size - 1) ||
	     (context->flags & VTD_CF_NO_PASID && vtd_interrupt_range(input, input + size - 1))))
		return false;
	/* VT-d 11.4.8.1: nor what is protected. */
	if (shift > 12 && vtd_protecting(unit) && vtd_protected(unit, first, first + size - 1))
		return false;
	*hva = memory_ram(unit->memory, first, size, true);
	*writable = *hva;
	if (!*hva)
		*hva = memory_ram(unit->memory, first, size, false);
	return *hva || shift == 12;
}

static void note_fragment(struct viommu_unit *unit, const struct vtd_context *context)
{
	struct vtd_pasid_slot *slot;

	vtd_store(&unit->generations.domains[(uint16_t)context->tag].fragments, 1);
	slot = vtd_pasid_slot(unit, (uint16_t)context->tag, (context->tag & VTD_TAG_SPACE) >> 16);
	vtd_store(&slot->fragments, 1);
}

unsigned int vtd_iotlb_fill(struct viommu_unit *unit, const struct vtd_context *context,
			    const struct vtd_sample *sample, uint64_t iova,
			    const struct vtd_found *found, struct vtd_entry *entry)
{
	unsigned int size_class = found->shift >= 30   ? VTD_1G
				  : found->shift >= 21 ? VTD_2M
						       : VTD_4K;
	bool writable = false;
	uint8_t permissions = found->permissions;
	void *hva = NULL;

	while (!block_fits(unit, context, iova, found->gpa, vtd_class_shift(size_class), &hva,
			   &writable))
		size_class--;
	/* A write to read-only memory never goes through the pointer of an entry. */
	if (hva && !writable)
		permissions &= ~(VIOMMU_WRITE | VIOMMU_WRITE << VTD_PRIVILEGED_SHIFT);
	entry->target = (found->gpa & -(1ull << vtd_class_shift(size_class))) | permissions |
			(found->snoop ? VTD_TARGET_SNOOP : 0);
	entry->hva = (uintptr_t)hva;
	if (!sample->stamp)
		return size_class;
	if (found->shift > vtd_class_shift(size_class) &&
	    vtd_context_type(context) < VTD_CONTEXT_PASS_THROUGH)
		note_fragment(unit, context);
	vtd_iotlb_enter(unit, context->tag, sample, iova, size_class, entry);
	return size_class;
}

static void wait_for_set(const struct vtd_iotlb_set *set)
{
	unsigned int spins = 0;

	/* Held by a fill for a handful of stores; its thread may have lost the CPU. */
	while (__atomic_load_n(&set->sequence, __ATOMIC_SEQ_CST) & 1)
		if (++spins % 128 == 0)
			sched_yield();
}

void vtd_iotlb_begin_drops(struct viommu_unit *unit)
{
	/*
	 * Before anything that a sample counts: a walk that starts from memory (translate.c, recall)
	 * and has a sample of later than this sees that its memory is of before.
	 */
	vtd_bump(&unit->version);
	/* A locked instruction: the count is out before any set is read. */
	__atomic_fetch_add(&unit->generations.page_drops, 1, __ATOMIC_SEQ_CST);
}

static inline void drop_way(struct vtd_iotlb_set *set, unsigned int i, uint64_t key)
{
	/*
	 * Not locked: whoever fills the way at this moment fills it with something newer, and only
	 * loses it.
	 */
	if (vtd_unlikely(vtd_load(&set->keys[i]) == key))
		vtd_store(&set->keys[i], 0);
}

static inline void drop_one(struct viommu_unit *unit, uint64_t space, uint64_t number,
			    unsigned int size_class)
{
	struct vtd_iotlb_set *set = vtd_iotlb_set(unit, space, number);
	uint64_t key = vtd_iotlb_key(space, number, size_class);

	if (vtd_unlikely(__atomic_load_n(&set->sequence, __ATOMIC_SEQ_CST) & 1))
		wait_for_set(set);
	drop_way(set, 0, key);
	drop_way(set, 1, key);
	drop_way(set, 2, key);
	drop_way(set, 3, key);
}

_Static_assert(VTD_WAYS == 4, "drop_one() names them all");

/* All blocks of one size class that the pages lie in. Returns how many. */
static uint64_t drop_class(struct viommu_unit *unit, uint64_t space, uint64_t address,
			   unsigned int am, unsigned int size_class)
{
	unsigned int shift = vtd_class_shift(size_class);
	uint64_t first = address >> shift, i;
	uint64_t count = am + 12 > shift ? 1ull << (am + 12 - shift) : 1;

	for (i = 0; i < count; i++)
		drop_one(unit, space, first + i, size_class);
	return count;
}

bool vtd_iotlb_drop(struct viommu_unit *unit, uint16_t did, uint32_t pasid, uint64_t address,
		    unsigned int am)
{
	uint64_t space = vtd_tag(did, pasid), visited = 0;
	uint32_t classes;

	if (vtd_unlikely(am >= 12 || 1u << am > PROBES_MAX))
		return false;
	classes = __atomic_load_n(&unit->iotlb_classes, __ATOMIC_SEQ_CST);
	address &= -(4096ull << am);
	if (vtd_likely(classes & 1u << VTD_4K && !am)) {
		drop_one(unit, space, address >> 12, VTD_4K);
		visited = 1;
	} else if (classes & 1u << VTD_4K) {
		visited = drop_class(unit, space, address, am, VTD_4K);
	}
	if (classes & 1u << VTD_2M)
		visited += drop_class(unit, space, address, am, VTD_2M);
	if (classes & 1u << VTD_1G)
		visited += drop_class(unit, space, address, am, VTD_1G);
	vtd_count(&unit->counters.entries_visited, visited * VTD_WAYS);
	vtd_bump(&unit->version);
	return true;
}
