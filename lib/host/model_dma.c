/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA through the model: the walk a host unit would do, first stage in the guest's memory and second stage in our areas, with a cache
 * in front of it that forgets only when told to. A missing invalidation therefore shows as DMA to the old page.
 */
#include <errno.h>
#include <string.h>

#include "host/model.h"
#include "memory/alloc.h"

/* VT-d 9.7: first-stage entries. */
enum { FS_P = 1, FS_RW = 2, FS_US = 4, FS_A = 32, FS_D = 64, FS_PS = 128 };
#define FS_ADDRESS UINT64_C(0x000ffffffffff000)

static struct model_cached *cache_slot(struct model_host *host, uint32_t device, uint32_t pasid,
				       uint64_t page)
{
	uint64_t hash = (page + device * 131u + pasid * 8191u) * UINT64_C(0x9e3779b97f4a7c15);

	return &host->cache[hash >> 54 & (MODEL_CACHE - 1)];
}

static void forget(struct model_host *host, struct model_cached *cached)
{
	host->cached -= cached->table != 0;
	cached->table = 0;
}

void model_cache_drop_table(struct model_host *host, uint32_t table, uint64_t page, uint64_t pages)
{
	for (unsigned int i = 0; i < MODEL_CACHE && host->cached; i++) {
		struct model_cached *cached = &host->cache[i];

		if (cached->table == table && cached->page - page < pages)
			forget(host, cached);
	}
}

void model_cache_drop_attachment(struct model_host *host, uint32_t device, uint32_t pasid)
{
	for (unsigned int i = 0; i < MODEL_CACHE && host->cached; i++) {
		struct model_cached *cached = &host->cache[i];

		if (cached->table && cached->device == device && cached->pasid == pasid)
			forget(host, cached);
	}
}

void model_cache_drop_space(struct model_host *host, const struct model_space *space, uint64_t gpa,
			    uint64_t last)
{
	for (unsigned int i = 0; i < MODEL_CACHE && host->cached; i++) {
		struct model_cached *cached = &host->cache[i];

		if (cached->table && cached->space == space && cached->gpa >= gpa && cached->gpa <= last)
			forget(host, cached);
	}
}

static uint64_t dirty_slot(const struct model_dirty *dirty, uint64_t key)
{
	uint64_t slot = key * UINT64_C(0x9e3779b97f4a7c15) >> 20 & (dirty->size - 1);

	while (dirty->keys[slot] && dirty->keys[slot] != key)
		slot = (slot + 1) & (dirty->size - 1);
	return slot;
}

static int dirty_grow(struct model_dirty *dirty)
{
	struct model_dirty bigger = { .size = dirty->size ? dirty->size * 2 : 64 };

	bigger.keys = viommu_calloc(bigger.size, sizeof(uint64_t));
	bigger.bits = viommu_calloc(bigger.size, sizeof(uint64_t));
	if (!bigger.keys || !bigger.bits) {
		viommu_free(bigger.keys);
		viommu_free(bigger.bits);
		return -ENOMEM;
	}
	for (uint64_t i = 0; i < dirty->size; i++) {
		uint64_t slot;

		if (!dirty->keys[i])
			continue;
		slot = dirty_slot(&bigger, dirty->keys[i]);
		bigger.keys[slot] = dirty->keys[i];
		bigger.bits[slot] = dirty->bits[i];
		bigger.count++;
	}
	model_dirty_free(dirty);
	*dirty = bigger;
	return 0;
}

static int model_dirty_add(struct model_dirty *dirty, uint64_t page)
{
	uint64_t slot;

	if (dirty->count * 2 >= dirty->size && dirty_grow(dirty))
		return -ENOMEM;
	slot = dirty_slot(dirty, page / 64 + 1);
	dirty->count += !dirty->keys[slot];
	dirty->keys[slot] = page / 64 + 1;
	dirty->bits[slot] |= UINT64_C(1) << page % 64;
	return 0;
}

void model_dirty_take(struct model_dirty *dirty, uint64_t first, uint64_t pages, uint64_t *bitmap,
		      bool keep)
{
	for (uint64_t slot = 0; slot < dirty->size; slot++) {
		uint64_t base = (dirty->keys[slot] - 1) * 64;

		for (uint64_t bits = dirty->keys[slot] ? dirty->bits[slot] : 0; bits; bits &= bits - 1) {
			uint64_t page = base + (unsigned int)__builtin_ctzll(bits) - first;

			if (page >= pages)
				continue;
			if (bitmap)
				bitmap[page / 64] |= UINT64_C(1) << page % 64;
			if (!keep)
				dirty->bits[slot] &= ~(bits & -bits);
		}
	}
}

void model_dirty_free(struct model_dirty *dirty)
{
	viommu_free(dirty->keys);
	viommu_free(dirty->bits);
	*dirty = (struct model_dirty){ 0 };
}

/* Second stage. A write sets the page's dirty bit when tracking is on. */
static uint8_t *second_stage(struct model_space *space, uint64_t gpa, uint32_t access)
{
	struct area *area = areas_first(&space->areas, gpa);

	if (!area || area->iova > gpa || (area->access & access) != access)
		return NULL;
	if (access & VIOMMU_WRITE && space->tracking && model_dirty_add(&space->dirty, gpa / HOST_PAGE))
		return NULL;
	return area->hva + (gpa - area->iova);
}

/* VT-d 3.6: each entry is reached through the second stage; sets A, and D in the leaf for a write. */
static int first_stage(struct model_nested *nested, uint64_t iova, uint32_t access, uint64_t *gpa)
{
	unsigned int level = nested->first.width == 57 ? 5 : 4;
	uint64_t table = nested->first.root;

	/* VT-d 3.6: canonical addresses only. */
	if ((int64_t)(iova << (64 - nested->first.width)) >> (64 - nested->first.width) != (int64_t)iova)
		return -EFAULT;
	for (; level; level--) {
		unsigned int shift = 3 + 9 * level;
		uint64_t at = table + (iova >> shift & 511) * 8;
		uint64_t *entry = (uint64_t *)second_stage(nested->parent, at, VIOMMU_READ);
		bool leaf = level == 1;
		uint64_t value, want;

		if (!entry)
			return -EFAULT;
		value = __atomic_load_n(entry, __ATOMIC_ACQUIRE);
		if (!(value & FS_P) || !(value & FS_US) || (access & VIOMMU_WRITE && !(value & FS_RW)))
			return -EFAULT;
		leaf = leaf || (level <= 3 && value & FS_PS);
		want = FS_A | (leaf && access & VIOMMU_WRITE ? FS_D : 0);
		if ((value & want) != want) {
			if (!second_stage(nested->parent, at, VIOMMU_WRITE))
				return -EFAULT;
			__atomic_fetch_or(entry, want, __ATOMIC_SEQ_CST);
		}
		table = value & FS_ADDRESS;
		if (leaf) {
			uint64_t offset = (UINT64_C(1) << shift) - 1;

			*gpa = (table & ~offset) | (iova & offset);
			return 0;
		}
	}
	return -EFAULT;
}

static struct model_space *resolve(struct model_host *host, uint32_t table, uint64_t iova,
				   uint32_t access, uint64_t *gpa)
{
	struct model_object *object = model_object(host, table, MODEL_FREE);

	if (!object)
		return NULL;
	if (object->kind == MODEL_SPACE) {
		*gpa = iova;
		return (struct model_space *)object;
	}
	if (first_stage((struct model_nested *)object, iova, access, gpa))
		return NULL;
	return ((struct model_nested *)object)->parent;
}

static uint8_t *translate(struct model_host *host, struct model_device *device, uint32_t pasid,
			  uint64_t iova, uint32_t access)
{
	struct model_cached *cached = cache_slot(host, device->device.id, pasid, iova / HOST_PAGE);
	uint32_t table = model_attached(device, pasid);
	struct model_space *space;
	uint64_t gpa;
	uint8_t *hva;

	if (!table)
		return NULL;
	if (cached->table == table && cached->device == device->device.id && cached->pasid == pasid &&
	    cached->page == iova / HOST_PAGE && (cached->access & access) == access &&
	    (!(access & VIOMMU_WRITE) || cached->dirty))
		return cached->hva + iova % HOST_PAGE;
	space = resolve(host, table, iova, access, &gpa);
	hva = space ? second_stage(space, gpa, access) : NULL;
	if (!hva)
		return NULL;
	host->cached += cached->table == 0;
	*cached = (struct model_cached){
		.table = table, .device = device->device.id, .pasid = pasid, .access = access,
		.page = iova / HOST_PAGE, .gpa = gpa & ~UINT64_C(4095), .hva = hva - gpa % HOST_PAGE,
		.space = space, .dirty = access & VIOMMU_WRITE,
	};
	return hva;
}

static int dma_locked(struct model_host *host, struct model_device *device, uint32_t pasid,
		      uint64_t iova, uint8_t *data, size_t length, uint32_t access)
{
	while (length) {
		size_t span = HOST_PAGE - iova % HOST_PAGE;
		uint8_t *hva = translate(host, device, pasid, iova, access);

		if (!hva)
			return -EFAULT;
		if (span > length)
			span = length;
		if (access & VIOMMU_WRITE)
			memcpy(hva, data, span);
		else
			memcpy(data, hva, span);
		if (access & VIOMMU_WRITE && device->logging &&
		    model_dirty_add(&device->log, iova / HOST_PAGE))
			return -ENOMEM;
		data += span;
		iova += span;
		length -= span;
	}
	return 0;
}

int viommu_host_model_dma(struct viommu_host_device *device, uint32_t pasid, uint64_t iova, void *data,
			  size_t length, bool write)
{
	struct model_host *host = model_host(device->host);
	int ret;

	if (pasid != VIOMMU_NO_PASID && pasid > VIOMMU_PASID_MAX)
		return -EINVAL;
	pthread_mutex_lock(&host->lock);
	ret = !model_migration_runs(model_device(device)) ? -EBUSY :
	      dma_locked(host, model_device(device), pasid, iova, data, length,
			 write ? VIOMMU_WRITE : VIOMMU_READ);
	pthread_mutex_unlock(&host->lock);
	return ret;
}
