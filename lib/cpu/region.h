/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Regions and maps inside the library: what the chain walk needs to see of them.
 */
#ifndef LIB_CPU_REGION_H
#define LIB_CPU_REGION_H

#include <pthread.h>
#include <stdatomic.h>

#include <viommu/region.h>

#include "cpu/change.h"
#include "memory/grace.h"

struct viommu_region {
	struct change_source source;
	const struct viommu_region_ops *ops;
	void *opaque;
	_Atomic uint64_t translations, blocked, changes;
};

struct map_interval {
	uint64_t first, last;
	struct viommu_region *region;
};

/* Sorted, never changed once published. */
struct map_table {
	struct grace_head head;
	uint32_t count;
	struct map_interval interval[];
};

struct viommu_map {
	struct change_source source;
	struct viommu_memory *memory;
	struct viommu_memory_listener *listener;
	struct map_table *_Atomic table;
	pthread_mutex_t lock; /* writers of the table */
};

/*
 * The interval around address: guarded (true) or the gap (false, region NULL). In an access
 * section.
 */
bool map_find(const struct viommu_map *map, uint64_t address, struct map_interval *found);

/*
 * Told of every map and region before it is asked, so that it can listen first and miss no change.
 * False: it cannot listen; the answer may be used but not kept.
 */
struct chain_visitor {
	bool (*map)(struct chain_visitor *visitor, struct viommu_map *map);
	bool (*region)(struct chain_visitor *visitor, struct viommu_region *region);
};

/*
 * Walk the chain for a request that names READ, WRITE or EXECUTE and does not wrap. In an access
 * section. visitor may be NULL. target->once is set when the answer must not be kept.
 */
void chain_walk(struct viommu_map *map, const struct viommu_request *request,
		struct viommu_target *target, struct chain_visitor *visitor);
enum viommu_reaction region_blocked(struct viommu_region *region,
				    const struct viommu_request *request);

#endif
