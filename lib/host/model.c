/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The model's rules: what iommufd and the VT-d driver of Linux 7.2 accept, and with which errno they refuse.
 *
 * tests/passthrough/conformance.c runs one script against this and against the kernel; where they differ this is wrong. With `type1`
 * it follows the legacy container instead: one space that every device has attached, no PASIDs, and every mapped page of a
 * device that pins nothing counts as dirty.
 */
#include <errno.h>
#include <string.h>

#include "host/model.h"
#include "memory/alloc.h"
#include "memory/sized.h"

/* Everything the VT-d architecture offers, with 48-bit spaces and 20-bit PASIDs. */
#define FULL_CAP  (UINT64_C(2) | UINT64_C(7) << 8 | UINT64_C(47) << 16 | UINT64_C(3) << 34 | \
		   UINT64_C(1) << 56 | UINT64_C(1) << 60)
#define FULL_ECAP (UINT64_C(0x3) | UINT64_C(1) << 2 | UINT64_C(1) << 6 | UINT64_C(1) << 7 |          \
		   UINT64_C(1) << 26 | UINT64_C(1) << 29 | UINT64_C(3) << 30 | UINT64_C(1) << 34 | \
		   UINT64_C(19) << 35 | UINT64_C(1) << 40 | UINT64_C(3) << 42 | UINT64_C(15) << 45)
#define TYPE1_MAX_BITMAP (UINT64_C(256) << 20)
#define ECAP_NEST  (UINT64_C(1) << 26)
#define ECAP_SSADS (UINT64_C(1) << 45)

struct model_space *model_space(struct viommu_host_space *space)
{
	return (struct model_space *)((uint8_t *)space - offsetof(struct model_space, space));
}

struct model_object *model_object(struct model_host *host, uint32_t id, enum model_kind kind)
{
	struct model_object *object = id && id < host->object_count ? host->objects[id] : NULL;

	return object && (kind == MODEL_FREE || object->kind == kind) ? object : NULL;
}

int model_add_object(struct model_host *host, struct model_object *object, uint32_t *id)
{
	while (host->free_hint < host->object_count && host->objects[host->free_hint])
		host->free_hint++;
	if (host->free_hint >= host->object_size) {
		uint32_t size = host->object_size * 2;
		struct model_object **objects =
			viommu_realloc(host->objects, size * sizeof(*objects));

		if (!objects)
			return -ENOMEM;
		host->objects = objects;
		host->object_size = size;
	}
	*id = host->free_hint++;
	if (*id >= host->object_count)
		host->object_count = *id + 1;
	host->objects[*id] = object;
	return 0;
}

void model_drop_object(struct model_host *host, uint32_t id)
{
	host->objects[id] = NULL;
	if (id < host->free_hint)
		host->free_hint = id;
}

int model_gate(struct model_host *host, enum viommu_host_call call)
{
	struct model_refusal *refusal = &host->refusals[call];

	host->calls[call]++;
	if (!refusal->count)
		return 0;
	if (refusal->after) {
		refusal->after--;
		return 0;
	}
	refusal->count--;
	return refusal->error;
}

static uint64_t width_limit(const struct model_host *host)
{
	unsigned int bits = (host->options.cap >> 16 & 63) + 1;

	return bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
}

static int space_create(struct model_host *host, uint32_t flags, struct viommu_host_space **result)
{
	struct model_space *space;
	uint32_t id;
	int ret = model_gate(host, VIOMMU_HOST_SPACE_CREATE);

	if (ret)
		return ret;
	if ((flags & VIOMMU_SPACE_NEST_PARENT && !(host->options.ecap & ECAP_NEST)) ||
	    (flags & VIOMMU_SPACE_DIRTY_TRACKING && !(host->options.ecap & ECAP_SSADS)) ||
	    (host->options.type1 && flags & ~VIOMMU_SPACE_DIRTY_TRACKING))
		return -EOPNOTSUPP;
	if (host->options.type1 && host->spaces)
		return -EBUSY;
	space = viommu_zalloc(sizeof(*space));
	if (!space)
		return -ENOMEM;
	ret = model_add_object(host, &space->object, &id);
	if (ret) {
		viommu_free(space);
		return ret;
	}
	space->object.kind = MODEL_SPACE;
	space->space = (struct viommu_host_space){ .host = &host->host, .table = id, .flags = flags };
	host->spaces++;
	*result = &space->space;
	return 0;
}

static int model_space_create(struct viommu_host_device *device, uint32_t flags,
			      struct viommu_host_space **space)
{
	struct model_host *host = model_host(device->host);
	int ret;

	pthread_mutex_lock(&host->lock);
	ret = space_create(host, flags, space);
	if (!ret && host->options.type1)
		model_device(device)->rid_table = (*space)->table;
	pthread_mutex_unlock(&host->lock);
	return ret;
}

static int model_space_destroy(struct viommu_host_space *base)
{
	struct model_host *host = model_host(base->host);
	struct model_space *space = model_space(base);

	pthread_mutex_lock(&host->lock);
	if (space->object.users) {
		pthread_mutex_unlock(&host->lock);
		return -EBUSY;
	}
	model_cache_drop_space(host, space, 0, UINT64_MAX);
	model_drop_object(host, base->table);
	host->spaces--;
	pthread_mutex_unlock(&host->lock);
	areas_clear(&space->areas);
	model_dirty_free(&space->dirty);
	viommu_free(space);
	return 0;
}

static int map_locked(struct model_host *host, struct model_space *space, const struct area *area)
{
	int ret = model_gate(host, VIOMMU_HOST_MAP);

	if (ret)
		return ret;
	if (space->space.flags & VIOMMU_SPACE_NEST_PARENT && !(area->access & VIOMMU_WRITE))
		return -EINVAL;
	if (area->last > width_limit(host) ||
	    (area->iova <= MODEL_MSI_LAST && area->last >= MODEL_MSI_FIRST))
		return -EINVAL;
	return areas_insert(&space->areas, area);
}

static int model_map(struct viommu_host_space *base, uint64_t iova, void *hva, uint64_t length,
		     uint32_t access)
{
	struct area area = {
		.iova = iova, .last = iova + length - 1, .hva = hva, .access = access,
	};
	struct model_host *host = model_host(base->host);
	int ret;

	pthread_mutex_lock(&host->lock);
	ret = map_locked(host, model_space(base), &area);
	pthread_mutex_unlock(&host->lock);
	return ret;
}

/* As the kernel: areas go one by one, and one that sticks out stops it there. */
static int unmap_locked(struct model_host *host, struct model_space *space, uint64_t iova,
			uint64_t last)
{
	struct area *area;
	bool any = false;
	int ret = model_gate(host, VIOMMU_HOST_UNMAP);

	if (ret)
		return ret;
	while ((area = areas_first(&space->areas, iova)) && area->iova <= last) {
		if (area->iova < iova || area->last > last)
			return -ENOENT;
		model_cache_drop_space(host, space, area->iova, area->last);
		model_dirty_take(&space->dirty, area->iova / HOST_PAGE,
				 (area->last - area->iova) / HOST_PAGE + 1, NULL, false);
		areas_remove(&space->areas, area);
		any = true;
	}
	return any ? 0 : -ENOENT;
}

static int model_unmap(struct viommu_host_space *base, uint64_t iova, uint64_t length)
{
	struct model_host *host = model_host(base->host);
	int ret;

	pthread_mutex_lock(&host->lock);
	ret = unmap_locked(host, model_space(base), iova, iova + length - 1);
	pthread_mutex_unlock(&host->lock);
	return ret;
}

/* Type1: pages of every mapping in the range, all dirty; -EINVAL when an edge cuts one. */
static int type1_dirty(struct model_space *space, uint64_t iova, uint64_t last, uint64_t *bitmap)
{
	for (struct area *area = areas_first(&space->areas, iova); area && area->iova <= last;
	     area = area->last == UINT64_MAX ? NULL : areas_first(&space->areas, area->last + 1)) {
		if (area->iova < iova || area->last > last)
			return -EINVAL;
		if (!(area->access & VIOMMU_WRITE))
			continue;
		for (uint64_t page = (area->iova - iova) / HOST_PAGE;
		     page <= (area->last - iova) / HOST_PAGE; page++)
			bitmap[page / 64] |= UINT64_C(1) << page % 64;
	}
	return 0;
}

static int model_unmap_dirty(struct viommu_host_space *base, uint64_t iova, uint64_t length,
			     uint64_t *bitmap)
{
	struct model_host *host = model_host(base->host);
	struct model_space *space = model_space(base);
	int ret = -EOPNOTSUPP;

	pthread_mutex_lock(&host->lock);
	if (host->options.type1) {
		if (length / HOST_PAGE / 8 > TYPE1_MAX_BITMAP)
			ret = -E2BIG;
		else if (!space->tracking)
			ret = -EINVAL;
		else
			ret = type1_dirty(space, iova, iova + length - 1, bitmap);
		if (!ret)
			ret = unmap_locked(host, space, iova, iova + length - 1);
	}
	pthread_mutex_unlock(&host->lock);
	return ret;
}

static int dirty_set_locked(struct model_host *host, struct model_space *space, bool on)
{
	int ret = model_gate(host, VIOMMU_HOST_DIRTY_SET);

	if (ret)
		return ret;
	if (!(space->space.flags & VIOMMU_SPACE_DIRTY_TRACKING))
		return -EOPNOTSUPP;
	if (on)
		model_dirty_free(&space->dirty);
	space->tracking = on;
	model_cache_drop_space(host, space, 0, UINT64_MAX);
	return 0;
}

static int model_dirty_set(struct viommu_host_space *base, bool on)
{
	struct model_host *host = model_host(base->host);
	int ret;

	pthread_mutex_lock(&host->lock);
	ret = dirty_set_locked(host, model_space(base), on);
	pthread_mutex_unlock(&host->lock);
	return ret;
}

static int dirty_query_locked(struct model_host *host, struct model_space *space, uint64_t iova,
			      uint64_t last, uint64_t *bitmap, bool keep)
{
	int ret = model_gate(host, VIOMMU_HOST_DIRTY_QUERY);

	if (ret)
		return ret;
	if (!(space->space.flags & VIOMMU_SPACE_DIRTY_TRACKING))
		return -EOPNOTSUPP;
	if (host->options.type1 && (last - iova) / HOST_PAGE / 8 > TYPE1_MAX_BITMAP)
		return -E2BIG;
	if (host->options.type1)
		return space->tracking ? type1_dirty(space, iova, last, bitmap) : -EINVAL;
	model_dirty_take(&space->dirty, iova / HOST_PAGE, (last - iova) / HOST_PAGE + 1, bitmap, keep);
	/* The next write must set the bit again, so what is cached with D goes. */
	if (!keep)
		model_cache_drop_space(host, space, iova, last);
	return 0;
}

static int model_dirty_query(struct viommu_host_space *base, uint64_t iova, uint64_t length,
			     uint64_t *bitmap, bool keep)
{
	struct model_host *host = model_host(base->host);
	int ret;

	pthread_mutex_lock(&host->lock);
	ret = dirty_query_locked(host, model_space(base), iova, iova + length - 1, bitmap, keep);
	pthread_mutex_unlock(&host->lock);
	return ret;
}

uint32_t model_attached(const struct model_device *device, uint32_t pasid)
{
	const uint32_t *leaf;

	if (pasid == VIOMMU_NO_PASID)
		return device->rid_table;
	leaf = device->pasids[pasid / MODEL_PASID_LEAF];
	return leaf ? leaf[pasid % MODEL_PASID_LEAF] : 0;
}

static int set_attached(struct model_device *device, uint32_t pasid, uint32_t table)
{
	uint32_t **leaf;

	if (pasid == VIOMMU_NO_PASID) {
		device->rid_table = table;
		return 0;
	}
	leaf = &device->pasids[pasid / MODEL_PASID_LEAF];
	if (!*leaf)
		*leaf = viommu_calloc(MODEL_PASID_LEAF, sizeof(**leaf));
	if (!*leaf)
		return -ENOMEM;
	(*leaf)[pasid % MODEL_PASID_LEAF] = table;
	return 0;
}

static bool pasid_capable(const struct model_object *object)
{
	if (object->kind == MODEL_SPACE)
		return ((const struct model_space *)object)->space.flags & VIOMMU_SPACE_PASID;
	return ((const struct model_nested *)object)->first.pasid;
}

static int attach_locked(struct model_host *host, struct model_device *device, uint32_t pasid,
			 uint32_t table)
{
	struct model_object *object, *old;
	uint32_t before = model_attached(device, pasid);
	int ret = model_gate(host, VIOMMU_HOST_ATTACH);

	if (ret)
		return ret;
	object = model_object(host, table, MODEL_FREE);
	if (!object)
		return -ENOENT;
	if (object->kind != MODEL_SPACE && object->kind != MODEL_NESTED)
		return -EINVAL;
	if (before == table)
		return 0;
	if (host->options.type1)
		return pasid == VIOMMU_NO_PASID ? -EINVAL : -EOPNOTSUPP;
	/* The kernel's number for "no PASID" is 0, so what is attached there is the RID's. */
	if (!pasid)
		return device->rid_table ? -EBUSY : -EINVAL;
	if (pasid == VIOMMU_NO_PASID) {
		if (!pasid_capable(object) && device->attachments)
			return -EINVAL;
	} else {
		old = model_object(host, device->rid_table, MODEL_FREE);
		if (pasid >> device->options.pasid_bits || !pasid_capable(object) ||
		    (old && !pasid_capable(old)))
			return -EINVAL;
	}
	ret = set_attached(device, pasid, table);
	if (ret)
		return ret;
	/* Not hitless: what was cached for the old table is gone and its requests are answered. */
	if (before) {
		model_cache_drop_attachment(host, device->device.id, pasid);
		model_faults_flush(host, device, pasid);
		model_object(host, before, MODEL_FREE)->users--;
	}
	device->attachments += pasid != VIOMMU_NO_PASID && !before;
	object->users++;
	return 0;
}

static int model_attach(struct viommu_host_device *device, uint32_t pasid, uint32_t table)
{
	struct model_host *host = model_host(device->host);
	int ret;

	pthread_mutex_lock(&host->lock);
	ret = attach_locked(host, model_device(device), pasid, table);
	pthread_mutex_unlock(&host->lock);
	return ret;
}

static void detach_locked(struct model_host *host, struct model_device *device, uint32_t pasid)
{
	uint32_t table = model_attached(device, pasid);

	if (!table || (host->options.type1 && pasid == VIOMMU_NO_PASID))
		return;
	model_cache_drop_attachment(host, device->device.id, pasid);
	model_faults_flush(host, device, pasid);
	model_object(host, table, MODEL_FREE)->users--;
	device->attachments -= pasid != VIOMMU_NO_PASID;
	set_attached(device, pasid, 0);
}

static int model_detach(struct viommu_host_device *device, uint32_t pasid)
{
	struct model_host *host = model_host(device->host);
	int ret;

	pthread_mutex_lock(&host->lock);
	ret = model_gate(host, VIOMMU_HOST_DETACH);
	if (!ret && host->options.type1)
		ret = -EOPNOTSUPP;
	if (!ret)
		detach_locked(host, model_device(device), pasid);
	pthread_mutex_unlock(&host->lock);
	return ret;
}

static int nested_create_locked(struct model_host *host, struct model_space *parent,
				const struct viommu_host_first_stage *first, uint32_t *table)
{
	struct model_nested *nested;
	int ret = model_gate(host, VIOMMU_HOST_NESTED_CREATE);

	if (ret)
		return ret;
	if (host->options.type1 || !(host->options.ecap & ECAP_NEST))
		return -EOPNOTSUPP;
	if (!(parent->space.flags & VIOMMU_SPACE_NEST_PARENT))
		return -EINVAL;
	if (first->faults && !model_object(host, first->faults, MODEL_FAULTS))
		return -ENOENT;
	nested = viommu_zalloc(sizeof(*nested));
	if (!nested)
		return -ENOMEM;
	ret = model_add_object(host, &nested->object, table);
	if (ret) {
		viommu_free(nested);
		return ret;
	}
	nested->object.kind = MODEL_NESTED;
	nested->first = *first;
	nested->parent = parent;
	parent->object.users++;
	if (first->faults)
		model_object(host, first->faults, MODEL_FAULTS)->users++;
	host->nested++;
	return 0;
}

static int model_nested_create(struct viommu_host_device *device, struct viommu_host_space *parent,
			       const struct viommu_host_first_stage *first, uint32_t *table)
{
	struct model_host *host = model_host(device->host);
	int ret;

	pthread_mutex_lock(&host->lock);
	ret = nested_create_locked(host, model_space(parent), first, table);
	pthread_mutex_unlock(&host->lock);
	return ret;
}

static int nested_destroy_locked(struct model_host *host, uint32_t table)
{
	struct model_nested *nested;
	int ret = model_gate(host, VIOMMU_HOST_NESTED_DESTROY);

	if (ret)
		return ret;
	nested = (struct model_nested *)model_object(host, table, MODEL_NESTED);
	if (!nested)
		return -ENOENT;
	if (nested->object.users)
		return -EBUSY;
	model_cache_drop_table(host, table, 0, UINT64_MAX);
	nested->parent->object.users--;
	if (nested->first.faults)
		model_object(host, nested->first.faults, MODEL_FAULTS)->users--;
	host->nested--;
	model_drop_object(host, table);
	viommu_free(nested);
	return 0;
}

static int model_nested_destroy(struct viommu_host *base, uint32_t table)
{
	struct model_host *host = model_host(base);
	int ret;

	pthread_mutex_lock(&host->lock);
	ret = nested_destroy_locked(host, table);
	pthread_mutex_unlock(&host->lock);
	return ret;
}

static int invalidate_locked(struct model_host *host, uint32_t table,
			     const struct viommu_host_invalidation *entries, uint32_t count,
			     uint32_t *done)
{
	struct model_object *object;
	int ret;

	*done = 0;
	ret = model_gate(host, VIOMMU_HOST_INVALIDATE);
	if (ret)
		return ret;
	object = model_object(host, table, MODEL_FREE);
	if (!object)
		return -ENOENT;
	if (object->kind != MODEL_NESTED || count > 1u << 19)
		return -EINVAL;
	for (; *done < count; ++*done) {
		const struct viommu_host_invalidation *entry = &entries[*done];

		if (entry->leaf_only > 1 || entry->reserved)
			return -EOPNOTSUPP;
		if (entry->address % HOST_PAGE || (entry->pages == UINT64_MAX && entry->address))
			return -EINVAL;
		model_cache_drop_table(host, table, entry->address / HOST_PAGE, entry->pages);
	}
	return 0;
}

static int model_invalidate(struct viommu_host *base, uint32_t table,
			    const struct viommu_host_invalidation *entries, uint32_t count,
			    uint32_t *done)
{
	struct model_host *host = model_host(base);
	int ret;

	pthread_mutex_lock(&host->lock);
	ret = invalidate_locked(host, table, entries, count, done);
	pthread_mutex_unlock(&host->lock);
	return ret;
}

static int model_log_start(struct viommu_host_device *base, const struct viommu_host_range *ranges,
			   uint32_t count)
{
	struct model_device *device = model_device(base);

	if (!device->options.log)
		return -ENOTTY;
	if (device->logging || !count)
		return -EINVAL;
	device->logging = true;
	return 0;
}

static int model_log_stop(struct viommu_host_device *base)
{
	struct model_device *device = model_device(base);

	if (!device->options.log)
		return -ENOTTY;
	device->logging = false;
	model_dirty_free(&device->log);
	return 0;
}

static int model_log_report(struct viommu_host_device *base, uint64_t iova, uint64_t length,
			    uint64_t *bitmap)
{
	struct model_device *device = model_device(base);
	struct model_host *host = model_host(base->host);

	if (!device->options.log)
		return -ENOTTY;
	if (!device->logging)
		return -EINVAL;
	pthread_mutex_lock(&host->lock);
	model_dirty_take(&device->log, iova / HOST_PAGE, length / HOST_PAGE, bitmap, false);
	pthread_mutex_unlock(&host->lock);
	return 0;
}

static void model_device_close(struct viommu_host_device *base)
{
	struct model_device *device = model_device(base);
	struct model_host *host = model_host(base->host);

	pthread_mutex_lock(&host->lock);
	for (uint32_t leaf = 0; leaf < MODEL_PASID_LEAVES; leaf++) {
		for (uint32_t i = 0; device->pasids[leaf] && i < MODEL_PASID_LEAF; i++)
			detach_locked(host, device, leaf * MODEL_PASID_LEAF + i);
		viommu_free(device->pasids[leaf]);
	}
	detach_locked(host, device, VIOMMU_NO_PASID);
	pthread_mutex_unlock(&host->lock);
	model_dirty_free(&device->log);
	model_migration_free(device);
	viommu_free(device);
}

static void model_close(struct viommu_host *base)
{
	struct model_host *host = model_host(base);

	/* As the kernel when the last descriptor of an iommufd goes. */
	for (uint32_t id = 1; id < host->object_count; id++) {
		struct model_object *object = host->objects[id];

		if (object && object->kind == MODEL_SPACE) {
			areas_clear(&((struct model_space *)object)->areas);
			model_dirty_free(&((struct model_space *)object)->dirty);
		}
		if (object && object->kind == MODEL_FAULTS)
			model_faults_free((struct model_faults *)object);
		else
			viommu_free(object);
	}
	pthread_mutex_destroy(&host->lock);
	viommu_free(host->objects);
	viommu_free(host);
}

static const struct host_ops model_ops = {
	.name = "model",
	.close = model_close,
	.device_close = model_device_close,
	.space_create = model_space_create,
	.space_destroy = model_space_destroy,
	.map = model_map,
	.unmap = model_unmap,
	.unmap_dirty = model_unmap_dirty,
	.dirty_set = model_dirty_set,
	.dirty_query = model_dirty_query,
	.attach = model_attach,
	.detach = model_detach,
	.nested_create = model_nested_create,
	.nested_destroy = model_nested_destroy,
	.invalidate = model_invalidate,
	.faults_create = model_faults_create,
	.faults_destroy = model_faults_destroy,
	.faults_read = model_faults_read,
	.faults_answer = model_faults_answer,
	.log_start = model_log_start,
	.log_stop = model_log_stop,
	.log_report = model_log_report,
	.migration_flags = model_migration_flags,
	.migration_state = model_migration_state,
	.migration_query = model_migration_query,
	.reset = model_reset,
};

int viommu_host_open_model(const struct viommu_host_model_options *options, struct viommu_host **result)
{
	struct viommu_host_model_options known = { 0 };
	int error = options ? sized_import(&known, sizeof(known), options) : 0;
	struct model_host *host;

	if (error)
		return error;
	host = viommu_zalloc(sizeof(*host));
	if (!host)
		return -ENOMEM;
	host->options = known;
	host->object_size = 64;
	host->object_count = host->free_hint = 1;
	host->objects = viommu_calloc(host->object_size, sizeof(*host->objects));
	if (!host->objects) {
		viommu_free(host);
		return -ENOMEM;
	}
	if (!host->options.cap)
		host->options.cap = FULL_CAP;
	if (!host->options.ecap)
		host->options.ecap = FULL_ECAP;
	if (host->options.no_nesting)
		host->options.ecap &= ~ECAP_NEST;
	if (host->options.no_dirty)
		host->options.ecap &= ~ECAP_SSADS;
	host->host.ops = &model_ops;
	host->host.fd = -1;
	pthread_mutex_init(&host->lock, NULL);
	*result = &host->host;
	return 0;
}

int viommu_host_device_open_model(struct viommu_host *base,
				  const struct viommu_host_model_device *options,
				  struct viommu_host_device **result)
{
	struct model_host *host = model_host(base);
	struct viommu_host_info *info;
	struct viommu_host_model_device known;
	struct model_device *device;
	int error;

	if (base->ops != &model_ops)
		return -EINVAL;
	error = sized_import(&known, sizeof(known), options);
	if (error)
		return error;
	device = viommu_zalloc(sizeof(*device));
	if (!device)
		return -ENOMEM;
	device->options = known;
	device->migration.fd = -1;
	device->migration.state = VIOMMU_HOST_RUNNING;
	if (device->options.migration) {
		device->migration.data = viommu_zalloc(VIOMMU_HOST_MODEL_STATE);
		if (!device->migration.data) {
			viommu_free(device);
			return -ENOMEM;
		}
	}
	device->device.host = base;
	device->device.fd = -1;
	device->device.single_space = host->options.type1;
	pthread_mutex_lock(&host->lock);
	device->device.id = ++host->devices;
	pthread_mutex_unlock(&host->lock);
	info = &device->device.info;
	*info = (struct viommu_host_info){
		.size = sizeof(*info),
		.dirty_tracking = host->options.type1 || host->options.ecap & ECAP_SSADS,
		.max_dirty_bitmap = host->options.type1 ? TYPE1_MAX_BITMAP : 0,
		.page_sizes = HOST_PAGE,
	};
	if (!host->options.type1 && !device->options.other_iommu) {
		info->kind = VIOMMU_HOST_VTD;
		info->cap = host->options.cap;
		info->ecap = host->options.ecap;
		info->pasid_bits = device->options.pasid_bits;
		info->pasid_privileged = info->pasid_bits != 0;
		info->ats = device->options.ats;
		info->nesting = host->options.ecap & ECAP_NEST;
		info->pasid_attach = info->pasid_bits != 0;
		info->page_requests = true;
	}
	*result = &device->device;
	return 0;
}

uint64_t viommu_host_model_calls(const struct viommu_host *host, enum viommu_host_call call)
{
	struct model_host *model = model_host((struct viommu_host *)(uintptr_t)host);
	uint64_t calls;

	pthread_mutex_lock(&model->lock);
	calls = model->calls[call];
	pthread_mutex_unlock(&model->lock);
	return calls;
}

void viommu_host_model_refuse(struct viommu_host *host, enum viommu_host_call call, uint64_t after,
			      uint64_t count, int error)
{
	struct model_host *model = model_host(host);

	pthread_mutex_lock(&model->lock);
	model->refusals[call] = (struct model_refusal){ after, count, error };
	pthread_mutex_unlock(&model->lock);
}

uint64_t viommu_host_model_tables(const struct viommu_host *host)
{
	return ((const struct model_host *)host)->nested;
}

uint64_t viommu_host_model_attachments(const struct viommu_host_device *base)
{
	const struct model_device *device = (const struct model_device *)base;

	/* A container's space is attached as long as it is there. */
	return device->attachments + (!base->single_space && device->rid_table);
}

uint32_t viommu_host_model_attached(const struct viommu_host_device *device, uint32_t pasid)
{
	return model_attached((const struct model_device *)device, pasid);
}
