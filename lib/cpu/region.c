/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Regions: handles around a checker's two callbacks, and the counters that tests and people look
 * at.
 */
#include <errno.h>

#include "memory/sized.h"
#include "cpu/region.h"
#include "memory/alloc.h"

static void region_free(struct change_source *source)
{
	viommu_free(source); /* the first member */
}

int viommu_region_create(const struct viommu_region_ops *ops, void *opaque,
			 struct viommu_region **result)
{
	struct viommu_region_ops known;
	struct viommu_region *region;
	int ret;

	if (!ops)
		return -EINVAL;
	ret = sized_import(&known, sizeof(known), ops);
	if (ret)
		return ret;
	if (!known.translate || !known.blocked)
		return -EINVAL;
	region = viommu_zalloc(sizeof(*region));
	if (!region)
		return -ENOMEM;
	change_source_init(&region->source, region_free);
	region->ops = ops;
	region->opaque = opaque;
	*result = region;
	return 0;
}

void viommu_region_destroy(struct viommu_region *region)
{
	if (region)
		change_source_put(&region->source);
}

void viommu_region_changed(struct viommu_region *region, uint64_t first, uint64_t last)
{
	atomic_fetch_add_explicit(&region->changes, 1, memory_order_relaxed);
	change_tell(&region->source, region, first, last);
}

int viommu_region_listen(struct viommu_region *region, viommu_region_change_fn changed,
			 void *opaque, struct viommu_listener **listener)
{
	return change_listen(&region->source, changed, opaque, listener);
}

void viommu_region_unlisten(struct viommu_region *region, struct viommu_listener *listener)
{
	if (listener)
		change_unlisten(&region->source, listener);
}

enum viommu_reaction region_blocked(struct viommu_region *region,
				    const struct viommu_request *request)
{
	atomic_fetch_add_explicit(&region->blocked, 1, memory_order_relaxed);
	return region->ops->blocked(region->opaque, request);
}

int viommu_region_statistics(const struct viommu_region *region,
			     struct viommu_region_statistics *statistics)
{
	struct viommu_region *from = (struct viommu_region *)(uintptr_t)region;
	struct viommu_region_statistics now = {
		.translations = atomic_load_explicit(&from->translations, memory_order_relaxed),
		.blocked = atomic_load_explicit(&from->blocked, memory_order_relaxed),
		.changes = atomic_load_explicit(&from->changes, memory_order_relaxed),
	};

	return sized_export(statistics, &now, sizeof(now));
}
