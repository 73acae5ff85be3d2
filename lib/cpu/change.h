/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Listeners to changes of a region or a map.
 *
 * A source is what changes; listeners hear of it in access sections, one after the other. Joining
 * is one compare and exchange, because it happens in the middle of a translation, on threads that
 * others may be waiting for; a lock there could deadlock with a change in progress. Leaving is
 * rare: a lock among those who leave, and a grace period.
 *
 * A source is counted: its owner holds one reference and each listener one, so that a region may be
 * destroyed while a TLB still remembers having asked it.
 */
#ifndef LIB_CPU_CHANGE_H
#define LIB_CPU_CHANGE_H

#include <stdatomic.h>

#include <viommu/region.h>

struct viommu_listener {
	struct viommu_listener *_Atomic next;
	viommu_region_change_fn changed;
	void *opaque;
};

struct change_source {
	struct viommu_listener *_Atomic listeners;
	atomic_uint references;
	void (*free)(struct change_source *source);
};

void change_source_init(struct change_source *source, void (*free)(struct change_source *source));
void change_source_put(struct change_source *source);

/* -ENOMEM. Lock-free; may be called in an access section. */
int change_listen(struct change_source *source, viommu_region_change_fn changed, void *opaque,
		  struct viommu_listener **listener);
/* Outside access sections; frees the listener and drops its reference. */
void change_unlisten(struct change_source *source, struct viommu_listener *listener);
/* Tell every listener; `region` is what they get (NULL from a map). */
void change_tell(struct change_source *source, struct viommu_region *region, uint64_t first,
		 uint64_t last);

#endif
