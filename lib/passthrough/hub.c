/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hub of a unit: what it hears from the unit and passes on, and the life of a passed-through device.
 *
 * Locks are taken in this order: the unit's ownership, the memory's lock, `maps`. Callbacks from the unit come with the first held, those
 * from the memory with the second.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "memory/alloc.h"
#include "memory/sized.h"
#include "passthrough/internal.h"

static pthread_mutex_t hubs_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hub *hubs;

static void hear_pasid_cache(void *opaque, enum vtd_pasid_cache_granularity granularity, uint16_t did,
			     uint32_t pasid)
{
	struct hub *hub = opaque;

	for (uint32_t i = 0; i < hub->device_count; i++) {
		if (hub->devices[i])
			reconcile(hub->devices[i], granularity, did, pasid);
	}
}

/* A context change can move everything of a device: it is looked at whole, which costs nothing on the host where nothing changed. */
static void hear_context(void *opaque, enum vtd_granularity granularity, uint16_t did, uint16_t sid,
			 uint16_t mask)
{
	struct hub *hub = opaque;

	for (uint32_t i = 0; i < hub->device_count; i++) {
		struct viommu_passthrough *passthrough = hub->devices[i];

		if (passthrough && (granularity != VTD_GRANULARITY_SELECTIVE ||
				    !((passthrough->rid ^ sid) & ~mask)))
			reconcile_all(passthrough);
	}
}

static void hear_change(void *opaque)
{
	hear_context(opaque, VTD_GRANULARITY_GLOBAL, 0, 0, 0);
}

static void invalidate_one(struct hub *hub, struct binding *binding, const void *argument)
{
	const struct viommu_host_invalidation *entry = argument;

	if (binding->kind == TARGET_NESTED)
		table_invalidate(hub, binding->object, entry->address, entry->pages, entry->leaf_only);
}

/* VT-d 6.5.2: `am` low bits of the page number are not compared. */
static void span_of(uint64_t address, uint8_t am, uint64_t *first, uint64_t *pages)
{
	*pages = am < 52 ? UINT64_C(1) << am : UINT64_MAX;
	*first = am < 52 ? address & ~((*pages * HOST_PAGE) - 1) : 0;
}

static uint32_t sync_shadows(struct hub *hub, bool global, uint16_t did, uint64_t first, uint64_t last,
			     int *error)
{
	uint32_t failed = 0;

	pthread_mutex_lock(&hub->maps);
	for (struct viommu_passthrough_space *space = hub->spaces; space; space = space->next) {
		if (space->kind != TARGET_SHADOW || (!global && space->did != did))
			continue;
		*error = shadow_sync(space, first, last);
		if (*error) {
			failed = space->id;
			break;
		}
	}
	pthread_mutex_unlock(&hub->maps);
	return failed;
}

/* Bring the shadows of a domain, or all, in step. One that cannot be loses its devices, so each turn has one space fewer. */
static void sync_domain(struct hub *hub, bool global, uint16_t did, uint64_t first, uint64_t last)
{
	int error = 0;

	for (uint32_t turns = hub->space_id_count; turns; turns--) {
		uint32_t failed = sync_shadows(hub, global, did, first, last, &error);

		if (!failed)
			break;
		bindings_block(hub, TARGET_SHADOW, failed, error);
	}
}

static void hear_piotlb(void *opaque, uint16_t did, uint32_t pasid,
			enum vtd_piotlb_granularity granularity, uint64_t address, uint8_t am, bool ih)
{
	struct viommu_host_invalidation entry = { .pages = UINT64_MAX, .leaf_only = ih };

	if (granularity == VTD_PIOTLB_PAGE)
		span_of(address, am, &entry.address, &entry.pages);
	bindings_each(opaque, did, pasid, invalidate_one, &entry);
	/* VT-d 6.5.2.4: by PASID, what only the second stage translated goes as well. */
	if (granularity == VTD_PIOTLB_PASID)
		sync_domain(opaque, false, did, 0, UINT64_MAX);
}

/* VT-d 6.5.2.3: global and domain-selective ones cover first stages too. Rare; a look at every binding will do. */
static void invalidate_domain(struct hub *hub, bool global, uint16_t did)
{
	const struct index *index = &hub->binding_index;

	for (uint32_t i = 0; i < index->size; i++) {
		for (uint32_t at = index->buckets[i]; at;) {
			struct binding *binding = pool_at(&hub->bindings, at);

			at = binding->next;
			if (binding->kind == TARGET_NESTED && (global || binding->did == did))
				table_invalidate(hub, binding->object, 0, UINT64_MAX, false);
		}
	}
}

static void hear_iotlb(void *opaque, enum vtd_granularity granularity, uint16_t did, uint64_t address,
		       uint8_t am, bool ih)
{
	struct hub *hub = opaque;
	bool global = granularity == VTD_GRANULARITY_GLOBAL;
	uint64_t first = 0, pages = UINT64_MAX;

	if (granularity == VTD_GRANULARITY_SELECTIVE)
		span_of(address, am, &first, &pages);
	else
		invalidate_domain(hub, global, did);
	sync_domain(hub, global, did, first,
		    pages == UINT64_MAX ? UINT64_MAX : first + pages * HOST_PAGE - 1);
}

static void hear_flush(void *opaque)
{
	table_flush(opaque);
}

/* A space whose condition is `condemned`, once; 0: none. */
static uint32_t next_condemned(struct hub *hub, int *error)
{
	struct viommu_passthrough_space *space;
	uint32_t id = 0;

	pthread_mutex_lock(&hub->maps);
	for (space = hub->spaces; space && !id; space = space->next) {
		if (!space->condemned)
			continue;
		id = space->id;
		*error = space->condemned;
		space->condemned = 0;
	}
	pthread_mutex_unlock(&hub->maps);
	return id;
}

/* Memory went, and the host would not unmap it. */
static void hear_posted(void *opaque)
{
	struct hub *hub = opaque;
	uint32_t id;
	int error;

	while ((id = next_condemned(hub, &error)))
		bindings_block(hub, TARGET_IDENTITY, id, error);
}

static const struct vtd_listener_ops listener_ops = {
	.pasid_cache = hear_pasid_cache,
	.context = hear_context,
	.iotlb = hear_iotlb,
	.piotlb = hear_piotlb,
	.translation_changed = hear_change,
	.flush = hear_flush,
	.posted = hear_posted,
};

static int hub_create(struct viommu_unit *unit, struct hub **result)
{
	struct hub *hub = viommu_zalloc(sizeof(*hub));
	int ret;

	if (!hub)
		return -ENOMEM;
	hub->unit = unit;
	hub->memory = viommu_unit_memory(unit);
	hub->bindings.object = sizeof(struct binding);
	hub->tables.object = sizeof(struct table);
	hub->listener.ops = &listener_ops;
	hub->listener.opaque = hub;
	pthread_mutex_init(&hub->maps, NULL);
	ret = viommu_memory_listen(hub->memory, space_memory_changed, hub, &hub->memory_listener);
	if (ret) {
		pthread_mutex_destroy(&hub->maps);
		viommu_free(hub);
		return ret;
	}
	vtd_listener_add(unit, &hub->listener);
	*result = hub;
	return 0;
}

static int hub_get(struct viommu_unit *unit, struct hub **result)
{
	struct hub *hub;
	int ret = 0;

	pthread_mutex_lock(&hubs_lock);
	for (hub = hubs; hub && hub->unit != unit; hub = hub->next)
		;
	if (!hub) {
		ret = hub_create(unit, &hub);
		if (!ret) {
			hub->next = hubs;
			hubs = hub;
		}
	}
	if (!ret) {
		hub->references++;
		*result = hub;
	}
	pthread_mutex_unlock(&hubs_lock);
	return ret;
}

static void hub_put(struct hub *hub)
{
	struct hub **link;

	pthread_mutex_lock(&hubs_lock);
	if (--hub->references) {
		pthread_mutex_unlock(&hubs_lock);
		return;
	}
	for (link = &hubs; *link != hub; link = &(*link)->next)
		;
	*link = hub->next;
	pthread_mutex_unlock(&hubs_lock);
	vtd_listener_remove(hub->unit, &hub->listener);
	viommu_memory_unlisten(hub->memory, hub->memory_listener);
	bindings_free(hub);
	viommu_free(hub->space_ids);
	pthread_mutex_destroy(&hub->maps);
	viommu_free(hub);
}

/* The host flushes device TLBs itself with every invalidation of a table they cached from. */
static void device_tlb_invalidated(void *opaque, uint32_t pasid, bool all_pasids, uint64_t iova,
				   uint64_t last)
{
}

static void page_answered(void *opaque, uint32_t pasid, uint16_t group, enum viommu_response_code code)
{
	relay_answer(opaque, pasid, group, code);
}

static const struct viommu_endpoint_ops endpoint_ops = {
	.size = sizeof(endpoint_ops),
	.invalidate = device_tlb_invalidated,
	.page_response = page_answered,
};

/* With the unit entered. */
static int join(struct viommu_passthrough *passthrough)
{
	struct hub *hub = passthrough->hub;
	uint32_t index = 0;
	int ret;

	while (index < DEVICES && hub->devices[index])
		index++;
	if (index == DEVICES)
		return -ENOSPC;
	passthrough->index = index;
	ret = relay_open(passthrough);
	if (ret)
		return ret;
	ret = space_parent(passthrough);
	if (ret) {
		relay_close(passthrough);
		return ret;
	}
	hub->devices[index] = passthrough;
	if (index >= hub->device_count)
		hub->device_count = index + 1;
	reconcile_all(passthrough);
	table_flush(hub);
	/* While nothing translates, the device must reach the guest's memory. */
	if (!vtd_unit_translating(hub->unit) && !passthrough->rid_binding)
		return passthrough->last_error ? passthrough->last_error : -EIO;
	return 0;
}

static void leave(struct viommu_passthrough *passthrough)
{
	struct hub *hub = passthrough->hub;

	if (!passthrough->parent)
		return;
	table_flush(hub);
	bindings_drop(passthrough);
	hub->devices[passthrough->index] = NULL;
	relay_close(passthrough);
	pthread_mutex_lock(&hub->maps);
	space_put(passthrough->parent);
	pthread_mutex_unlock(&hub->maps);
	passthrough->parent = NULL;
}

static void passthrough_free(struct viommu_passthrough *passthrough)
{
	for (uint32_t i = 0; passthrough->leaves && i < LEAVES; i++)
		viommu_free(passthrough->leaves[i]);
	viommu_free(passthrough->leaves);
	pthread_mutex_destroy(&passthrough->pages_lock);
	viommu_free(passthrough);
}

/* `from` may be NULL: all of it is zero then. */
static int copy_sized(void *to, size_t known, const void *from)
{
	return from ? sized_import(to, known, from) : 0;
}

static void prepare(struct viommu_passthrough *passthrough)
{
	const struct viommu_unit_options *unit = &passthrough->hub->unit->options;
	uint8_t bits;

	passthrough->info = passthrough->device->info;
	passthrough->single_space = passthrough->device->single_space;
	bits = passthrough->info.pasid_bits < unit->pasid_bits ? passthrough->info.pasid_bits : unit->pasid_bits;
	passthrough->pasids = bits && unit->scalable && passthrough->info.pasid_attach;
	passthrough->pasid_limit = passthrough->pasids ? UINT32_C(1) << bits : 0;
	if (!passthrough->options.page_timeout)
		passthrough->options.page_timeout = 10000;
	if (!passthrough->options.max_mappings)
		passthrough->options.max_mappings = 65535;
}

int viommu_passthrough_create(struct viommu_unit *unit, uint16_t rid, struct viommu_host_device *device,
			      const struct viommu_passthrough_options *options,
			      const struct viommu_passthrough_ops *ops, void *opaque,
			      struct viommu_passthrough **result, char *message, size_t message_length)
{
	struct viommu_passthrough *passthrough;
	int ret = passthrough_check(unit, device, message, message_length);

	if (ret)
		return ret;
	passthrough = viommu_zalloc(sizeof(*passthrough));
	if (!passthrough)
		return -ENOMEM;
	pthread_mutex_init(&passthrough->pages_lock, NULL);
	passthrough->rid = rid;
	passthrough->device = device;
	passthrough->opaque = opaque;
	ret = copy_sized(&passthrough->options, sizeof(passthrough->options), options);
	if (!ret)
		ret = copy_sized(&passthrough->ops, sizeof(passthrough->ops), ops);
	if (!ret && passthrough->options.reserved)
		ret = -EINVAL;
	if (ret)
		goto free_passthrough;
	ret = hub_get(unit, &passthrough->hub);
	if (ret)
		goto free_passthrough;
	prepare(passthrough);
	ret = viommu_endpoint_create(unit, rid, &endpoint_ops, passthrough, &passthrough->endpoint);
	if (ret)
		goto put_hub;
	vtd_unit_enter(unit);
	ret = join(passthrough);
	if (ret)
		leave(passthrough);
	vtd_unit_leave(unit);
	if (ret)
		goto destroy_endpoint;
	*result = passthrough;
	return 0;

destroy_endpoint:
	viommu_endpoint_destroy(passthrough->endpoint);
put_hub:
	hub_put(passthrough->hub);
free_passthrough:
	if (message && message_length)
		snprintf(message, message_length, "the device cannot be attached: %s", strerror(-ret));
	passthrough_free(passthrough);
	return ret;
}

void viommu_passthrough_destroy(struct viommu_passthrough *passthrough)
{
	struct viommu_unit *unit;

	if (!passthrough)
		return;
	unit = passthrough->hub->unit;
	vtd_unit_enter(unit);
	leave(passthrough);
	vtd_unit_leave(unit);
	viommu_endpoint_destroy(passthrough->endpoint);
	hub_put(passthrough->hub);
	passthrough_free(passthrough);
}

int viommu_passthrough_reset(struct viommu_passthrough *passthrough)
{
	struct viommu_unit *unit = passthrough->hub->unit;
	int ret;

	vtd_unit_enter(unit);
	ret = viommu_host_device_reset(passthrough->device);
	vtd_unit_leave(unit);
	return ret;
}

struct viommu_endpoint *viommu_passthrough_endpoint(struct viommu_passthrough *passthrough)
{
	return passthrough->endpoint;
}

struct viommu_host_device *viommu_passthrough_device(struct viommu_passthrough *passthrough)
{
	return passthrough->device;
}

/* What bindings cost: records, indexes, and the device's own way from PASID to record. */
static uint64_t count_bytes(const struct hub *hub)
{
	uint64_t bytes = pool_bytes(&hub->bindings) + pool_bytes(&hub->tables) +
			 (hub->binding_index.size + hub->table_index.size) * sizeof(uint32_t) +
			 hub->batch_size * sizeof(struct batch);

	for (uint32_t i = 0; i < hub->device_count; i++) {
		if (hub->devices[i] && hub->devices[i]->leaves)
			bytes += LEAVES * sizeof(struct leaf *) +
				 hub->devices[i]->leaf_count * sizeof(struct leaf);
	}
	return bytes;
}

int viommu_passthrough_statistics(struct viommu_passthrough *passthrough,
				  struct viommu_passthrough_statistics *statistics)
{
	struct viommu_passthrough_statistics now;
	struct hub *hub = passthrough->hub;

	vtd_unit_enter(hub->unit);
	now = passthrough->statistics;
	now.tables = hub->tables.live;
	now.invalidations = hub->invalidations;
	now.invalidate_calls = hub->invalidate_calls;
	now.bytes = count_bytes(hub);
	pthread_mutex_lock(&hub->maps);
	now.mappings = hub->mappings;
	now.maps = hub->map_calls;
	now.unmaps = hub->unmap_calls;
	pthread_mutex_unlock(&hub->maps);
	vtd_unit_leave(hub->unit);
	return sized_export(statistics, &now, sizeof(now));
}
