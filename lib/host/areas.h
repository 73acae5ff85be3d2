/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Areas: a set of non-overlapping ranges of an address space, each mapped as one piece.
 *
 * A treap: a search tree by address whose shape a random priority per area keeps balanced, whatever order a guest maps in.
 */
#ifndef VIOMMU_LIB_AREAS_H
#define VIOMMU_LIB_AREAS_H

#include <stdbool.h>
#include <stdint.h>

struct area {
	struct area *left;
	struct area *right;
	uint64_t iova;
	uint64_t last;     /* inclusive */
	uint64_t gpa;      /* what iova maps to for the guest, where that is known */
	uint8_t *hva;      /* and for us */
	uint16_t access;   /* READ and WRITE of enum viommu_access */
	bool stale;        /* its memory is gone, but the host would not unmap it */
	uint32_t priority;
};

struct areas {
	struct area *root;
	uint64_t count;
	uint64_t state;    /* of the priorities' generator */
};

/* The area with the lowest address that ends at or above `iova`, or NULL. */
struct area *areas_first(const struct areas *areas, uint64_t iova);
/* Insert a copy. -EEXIST: overlaps; -ENOMEM. */
int areas_insert(struct areas *areas, const struct area *area);
/* Take out and free. */
void areas_remove(struct areas *areas, struct area *area);
void areas_clear(struct areas *areas);

#endif
