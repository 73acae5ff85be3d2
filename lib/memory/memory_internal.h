/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory inside the library: the published segment table and its inline look-up.
 *
 * A table is an array sorted by GPA that never changes once published. A look-up loads the table pointer once, tries the
 * slot that hit last on this thread, and else searches by halves. Everything here is called in an access section.
 */
#ifndef VIOMMU_LIB_MEMORY_INTERNAL_H
#define VIOMMU_LIB_MEMORY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <viommu/memory.h>

#include "memory/grace.h"

struct memory_dirty; /* dirty.c */

/* One segment's own state; outlives the tables that name it. */
struct memory_region {
	uint64_t gpa;
	uint64_t last;
	uint8_t *hva;      /* NULL: MMIO */
	void *mapping;     /* what to unmap, NULL: the caller's memory */
	uint32_t flags;
	const struct viommu_mmio_ops *ops;
	void *opaque;
	_Atomic(struct memory_dirty *) dirty; /* NULL: not tracked */
};

struct memory_segment {
	uint64_t gpa;
	uint64_t last;     /* inclusive */
	uint8_t *hva;      /* NULL: MMIO */
	struct memory_region *region;
};

struct memory_table {
	struct grace_head head;
	uint32_t count;
	struct memory_segment segments[];
};

struct viommu_memory_listener {
	struct viommu_memory_listener *next;
	int (*change)(void *opaque, const struct viommu_segment_info *segment, bool added);
	void *opaque;
};

struct viommu_memory {
	_Atomic(struct memory_table *) table;
	_Atomic uint64_t generation;    /* grows with every change of the table, before old readers are drained */
	_Atomic bool dirty_on;
	/* Below: under `lock` (recursive, as listeners may query). */
	pthread_mutex_t lock;
	bool changing;                  /* a listener is being called: the table may not be changed */
	unsigned int dirty_shift;
	struct memory_table *departing; /* drained but not freed, while listeners hear of it; NULL otherwise */
	struct viommu_memory_listener *listeners;
};

extern _Thread_local uint32_t memory_hint __attribute__((tls_model("initial-exec")));

static inline const struct memory_table *memory_table(const struct viommu_memory *memory)
{
	return atomic_load_explicit(&((struct viommu_memory *)(uintptr_t)memory)->table,
				    memory_order_acquire);
}

/* Index of the first segment that ends at or above gpa; count when there is none. */
static inline uint32_t memory_first(const struct memory_table *table, uint64_t gpa)
{
	uint32_t low = 0, high = table->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (table->segments[middle].last < gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The segment that holds gpa, or NULL. */
static inline const struct memory_segment *memory_find_in(const struct memory_table *table, uint64_t gpa)
{
	uint32_t slot = memory_hint;

	if (__builtin_expect(slot < table->count && table->segments[slot].gpa <= gpa &&
			     gpa <= table->segments[slot].last, 1))
		return &table->segments[slot];
	slot = memory_first(table, gpa);
	if (slot == table->count || table->segments[slot].gpa > gpa)
		return NULL;
	memory_hint = slot;
	return &table->segments[slot];
}

static inline const struct memory_segment *memory_find(const struct viommu_memory *memory, uint64_t gpa)
{
	return memory_find_in(memory_table(memory), gpa);
}

/* Pointer to `length` bytes of RAM at gpa that lie in one segment and, with `write`, may be written; else NULL. */
static inline void *memory_ram(const struct viommu_memory *memory, uint64_t gpa, uint64_t length,
			       bool write)
{
	const struct memory_segment *segment = memory_find(memory, gpa);

	if (!segment || !segment->hva || length - 1 > segment->last - gpa ||
	    (write && segment->region->flags & VIOMMU_SEGMENT_READONLY))
		return NULL;
	return segment->hva + (gpa - segment->gpa);
}

/* Tags what was derived from the table, such as an HVA kept in an IOTLB entry: stale when this has changed. */
static inline uint64_t memory_generation(const struct viommu_memory *memory)
{
	return atomic_load_explicit(&((struct viommu_memory *)(uintptr_t)memory)->generation,
				    memory_order_acquire);
}

static inline bool memory_dirty_on(const struct viommu_memory *memory)
{
	return __builtin_expect(atomic_load_explicit(&((struct viommu_memory *)(uintptr_t)memory)->dirty_on,
						     memory_order_relaxed), 0);
}

/* Table words: single-copy atomic, little-endian. */
static inline uint64_t memory_load64(const void *hva)
{
	return __atomic_load_n((const uint64_t *)hva, __ATOMIC_ACQUIRE);
}

static inline uint32_t memory_load32(const void *hva)
{
	return __atomic_load_n((const uint32_t *)hva, __ATOMIC_ACQUIRE);
}

/*
 * Copy between guest RAM and the host's memory: naturally aligned 2, 4 and 8 bytes in one piece, the rest at memory speed. Other
 * processors and devices may change the RAM meanwhile; that is the guest's affair.
 */
void memory_copy_in(void *data, const void *hva, size_t length);
void memory_copy_out(void *hva, const void *data, size_t length);

/* dirty.c */
struct memory_dirty *memory_dirty_create(const struct memory_region *region, unsigned int shift);
void memory_dirty_destroy(struct memory_dirty *dirty);
void memory_dirty_mark(struct memory_region *region, uint64_t gpa, uint64_t length);

/*
 * OR `count` bits of src, from bit src_bit on, into dst from bit dst_bit on. Whole words, no atomics: both are the
 * caller's alone.
 */
void memory_bitmap_merge(uint64_t *dst, uint64_t dst_bit, const uint64_t *src, uint64_t src_bit,
			 uint64_t count);

#endif
