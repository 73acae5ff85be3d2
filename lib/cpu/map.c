/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Maps: intervals guarded by regions over guest memory.
 *
 * The intervals are a sorted array that never changes once published; every change publishes a new
 * array, tells the listeners and frees the old one after a grace period. A map also listens to its
 * memory and passes a segment's removal on, so that a TLB hears of everything that could make a
 * kept host pointer wrong from one place.
 */
#include <errno.h>
#include <string.h>

#include "cpu/region.h"
#include "memory/alloc.h"

static void table_free(struct grace_head *head)
{
	viommu_free(head); /* the first member */
}

static struct map_table *table_create(uint32_t count)
{
	struct map_table *table =
		viommu_zalloc(sizeof(*table) + count * sizeof(table->interval[0]));

	if (table)
		table->count = count;
	return table;
}

static void map_free(struct change_source *source)
{
	struct viommu_map *map = (struct viommu_map *)source; /* the first member */

	viommu_free(atomic_load(&map->table));
	pthread_mutex_destroy(&map->lock);
	viommu_free(map);
}

/* Only a removal matters: what is not there is never remembered. */
static int memory_changed(void *opaque, const struct viommu_segment_info *segment, bool added)
{
	struct viommu_map *map = opaque;

	if (!added)
		change_tell(&map->source, NULL, segment->gpa, segment->gpa + segment->length - 1);
	return 0;
}

int viommu_map_create(struct viommu_memory *memory, struct viommu_map **result)
{
	struct viommu_map *map = viommu_zalloc(sizeof(*map));
	struct map_table *table = table_create(0);
	int ret = -ENOMEM;

	if (!map || !table)
		goto fail;
	change_source_init(&map->source, map_free);
	atomic_init(&map->table, table);
	pthread_mutex_init(&map->lock, NULL);
	map->memory = memory;
	ret = viommu_memory_listen(memory, memory_changed, map, &map->listener);
	if (ret) {
		pthread_mutex_destroy(&map->lock);
		goto fail;
	}
	*result = map;
	return 0;
fail:
	viommu_free(table);
	viommu_free(map);
	return ret;
}

void viommu_map_destroy(struct viommu_map *map)
{
	if (!map)
		return;
	viommu_memory_unlisten(map->memory, map->listener);
	change_source_put(&map->source);
}

struct viommu_memory *viommu_map_memory(const struct viommu_map *map)
{
	return map->memory;
}

/* Index of the first interval that ends at or above address. */
static uint32_t interval_first(const struct map_table *table, uint64_t address)
{
	uint32_t low = 0, high = table->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (table->interval[middle].last < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void publish(struct viommu_map *map, struct map_table *table, uint64_t first, uint64_t last)
{
	struct map_table *old = atomic_exchange(&map->table, table);

	pthread_mutex_unlock(&map->lock);
	change_tell(&map->source, NULL, first, last);
	grace_defer(&old->head, table_free);
	grace_wait();
}

int viommu_map_add_region(struct viommu_map *map, uint64_t start, uint64_t last,
			  struct viommu_region *region)
{
	struct map_table *old, *table;
	uint32_t at;
	int ret;

	if (grace_inside())
		return -EDEADLK;
	if (last < start || !region)
		return -EINVAL;
	pthread_mutex_lock(&map->lock);
	old = atomic_load(&map->table);
	at = interval_first(old, start);
	ret = -EEXIST;
	if (at < old->count && old->interval[at].first <= last)
		goto unlock;
	ret = -ENOMEM;
	table = table_create(old->count + 1);
	if (!table)
		goto unlock;
	memcpy(table->interval, old->interval, at * sizeof(old->interval[0]));
	table->interval[at] = (struct map_interval){ start, last, region };
	memcpy(table->interval + at + 1, old->interval + at,
	       (old->count - at) * sizeof(old->interval[0]));
	publish(map, table, start, last);
	return 0;
unlock:
	pthread_mutex_unlock(&map->lock);
	return ret;
}

int viommu_map_remove_region(struct viommu_map *map, uint64_t start)
{
	struct map_table *old, *table;
	uint64_t last;
	uint32_t at;
	int ret;

	if (grace_inside())
		return -EDEADLK;
	pthread_mutex_lock(&map->lock);
	old = atomic_load(&map->table);
	at = interval_first(old, start);
	ret = -ENOENT;
	if (at == old->count || old->interval[at].first != start)
		goto unlock;
	ret = -ENOMEM;
	table = table_create(old->count - 1);
	if (!table)
		goto unlock;
	last = old->interval[at].last;
	memcpy(table->interval, old->interval, at * sizeof(old->interval[0]));
	memcpy(table->interval + at, old->interval + at + 1,
	       (table->count - at) * sizeof(old->interval[0]));
	publish(map, table, start, last);
	return 0;
unlock:
	pthread_mutex_unlock(&map->lock);
	return ret;
}

bool map_find(const struct viommu_map *map, uint64_t address, struct map_interval *found)
{
	const struct map_table *table = atomic_load_explicit(
		&((struct viommu_map *)(uintptr_t)map)->table, memory_order_acquire);
	uint32_t at = interval_first(table, address);

	if (at < table->count && table->interval[at].first <= address) {
		*found = table->interval[at];
		return true;
	}
	found->first = at ? table->interval[at - 1].last + 1 : 0;
	found->last = at < table->count ? table->interval[at].first - 1 : UINT64_MAX;
	found->region = NULL;
	return false;
}
