/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Units and endpoints: creating, resetting, counting and removing them.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "memory/alloc.h"
#include "memory/sized.h"
#include "vtd/format.h"
#include "vtd/iotlb.h"
#include "vtd/listener.h"
#include "vtd/options.h"
#include "vtd/register.h"

enum { RIDS = 65536 };

void vtd_unit_enter(struct viommu_unit *unit)
{
	pthread_t self = pthread_self();

	pthread_mutex_lock(&unit->owner_lock);
	while (unit->owner_depth && !pthread_equal(unit->owner, self))
		pthread_cond_wait(&unit->owner_change, &unit->owner_lock);
	unit->owner = self;
	unit->owner_depth++;
	pthread_mutex_unlock(&unit->owner_lock);
}

void vtd_unit_leave(struct viommu_unit *unit)
{
	pthread_mutex_lock(&unit->owner_lock);
	while (unit->owner_depth == 1 && unit->posted) {
		unit->posted = false;
		pthread_mutex_unlock(&unit->owner_lock);
		vtd_listeners_posted(unit);
		pthread_mutex_lock(&unit->owner_lock);
	}
	if (--unit->owner_depth == 0)
		pthread_cond_signal(&unit->owner_change);
	pthread_mutex_unlock(&unit->owner_lock);
}

void vtd_unit_post(struct viommu_unit *unit)
{
	bool idle;

	pthread_mutex_lock(&unit->owner_lock);
	unit->posted = true;
	idle = !unit->owner_depth;
	if (idle) {
		unit->owner = pthread_self();
		unit->owner_depth = 1;
	}
	pthread_mutex_unlock(&unit->owner_lock);
	if (idle)
		vtd_unit_leave(unit);
}

void vtd_unit_log(struct viommu_unit *unit, const char *format, ...)
{
	char text[256];
	va_list arguments;

	if (!unit->ops.log)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	unit->ops.log(unit->opaque, text);
}

static void release(struct viommu_unit *unit)
{
	vtd_iotlb_destroy(unit);
	viommu_free(unit->generations.domains);
	viommu_free(unit->generations.pasid_slots);
	viommu_free(unit->endpoints);
	viommu_free(unit->pasids_given);
	viommu_free(unit);
}

static int allocate(struct viommu_unit *unit)
{
	struct vtd_generations *generations = &unit->generations;

	generations->domains = viommu_calloc(VTD_DOMAINS, sizeof(*generations->domains));
	generations->pasid_slots =
		viommu_calloc(VTD_PASID_SLOTS, sizeof(*generations->pasid_slots));
	unit->endpoints = viommu_calloc(RIDS, sizeof(*unit->endpoints));
	if (!generations->domains || !generations->pasid_slots || !unit->endpoints)
		return -ENOMEM;
	return vtd_iotlb_create(unit);
}

static int configure(struct viommu_unit *unit)
{
	char message[8];
	int error = viommu_unit_options_check(&unit->options, message, sizeof(message));

	if (error)
		return error;
	vtd_capability_compute(&unit->options, &unit->cap, &unit->ecap);
	unit->mgaw = vtd_field(unit->cap, VTD_CAP_MGAW) + 1;
	/* No processor has more than 52 bits of physical address. */
	unit->haw = unit->mgaw < 52 ? unit->mgaw : 52;
	vtd_format_init(unit);
	/* 0 marks what was never valid. */
	unit->version = 1;
	unit->generations.epoch = 1;
	unit->generations.iotlb_global = 1;
	unit->memory_generation = &unit->memory->generation;
	return 0;
}

int viommu_unit_create(const struct viommu_unit_options *options, struct viommu_memory *memory,
		       const struct viommu_unit_ops *ops, void *opaque, struct viommu_unit **result)
{
	struct viommu_unit *unit = viommu_aligned_zalloc(64, sizeof(*unit));
	int error;

	if (!unit)
		return -ENOMEM;
	unit->memory = memory;
	unit->opaque = opaque;
	error = vtd_options_import(&unit->options, options);
	if (!error && ops)
		error = sized_import(&unit->ops, sizeof(unit->ops), ops);
	if (!error && !unit->ops.pasid_allocate != !unit->ops.pasid_free)
		error = -EINVAL;
	if (!error)
		error = configure(unit);
	if (!error)
		error = allocate(unit);
	if (!error)
		error = vtd_virtual_init(unit);
	if (!error)
		error = vtd_registers_init(unit);
	if (error) {
		release(unit);
		return error;
	}
	pthread_mutex_init(&unit->endpoints_lock, NULL);
	pthread_mutex_init(&unit->owner_lock, NULL);
	pthread_cond_init(&unit->owner_change, NULL);
	*result = unit;
	return 0;
}

void viommu_unit_destroy(struct viommu_unit *unit)
{
	if (!unit)
		return;
	pthread_cond_destroy(&unit->owner_change);
	pthread_mutex_destroy(&unit->owner_lock);
	pthread_mutex_destroy(&unit->endpoints_lock);
	pthread_mutex_destroy(&unit->registers.lock);
	release(unit);
}

void vtd_unit_reset_state(struct viommu_unit *unit)
{
	vtd_queue_forget(unit);
	vtd_store(&unit->translating, false);
	vtd_store(&unit->root, 0);
	vtd_store(&unit->protection.on, false);
	vtd_interrupt_set_table(&unit->interrupt, 0);
	vtd_interrupt_set_status(&unit->interrupt, 0);
	pthread_mutex_lock(&unit->registers.lock);
	vtd_registers_reset(unit);
	pthread_mutex_unlock(&unit->registers.lock);
	vtd_perfmon_restore(unit);
	vtd_virtual_reset(unit);
}

void viommu_unit_reset(struct viommu_unit *unit)
{
	vtd_unit_enter(unit);
	vtd_unit_reset_state(unit);
	vtd_invalidate_all(unit);
	vtd_listeners_translation_changed(unit);
	vtd_listeners_flush(unit);
	vtd_drain(unit);
	vtd_unit_leave(unit);
}

const struct viommu_unit_options *viommu_unit_options(const struct viommu_unit *unit)
{
	return &unit->options;
}

struct viommu_memory *viommu_unit_memory(const struct viommu_unit *unit)
{
	return unit->memory;
}

/* ---- endpoints ---- */

struct viommu_endpoint *vtd_endpoint_find(const struct viommu_unit *unit, uint16_t rid)
{
	struct viommu_endpoint *endpoint = vtd_load(&unit->endpoints[rid]);

	return endpoint == VTD_ENDPOINT_GONE ? NULL : endpoint;
}

static uint32_t endpoints_made;

int viommu_endpoint_create(struct viommu_unit *unit, uint16_t rid,
			   const struct viommu_endpoint_ops *ops, void *opaque,
			   struct viommu_endpoint **result)
{
	struct viommu_endpoint *endpoint = viommu_aligned_zalloc(64, sizeof(*endpoint));
	int error = 0;

	if (!endpoint)
		return -ENOMEM;
	endpoint->unit = unit;
	endpoint->rid = rid;
	endpoint->id = __atomic_add_fetch(&endpoints_made, 1, __ATOMIC_RELAXED);
	endpoint->opaque = opaque;
	memset(endpoint->hints, VTD_4K, sizeof(endpoint->hints));
	if (ops)
		error = sized_import(&endpoint->ops, sizeof(endpoint->ops), ops);
	pthread_mutex_lock(&unit->endpoints_lock);
	if (!error && vtd_endpoint_find(unit, rid))
		error = -EEXIST;
	if (!error) {
		endpoint->next = unit->first_endpoint;
		unit->first_endpoint = endpoint;
		vtd_store(&unit->endpoints[rid], endpoint);
	}
	pthread_mutex_unlock(&unit->endpoints_lock);
	if (error)
		viommu_free(endpoint);
	else
		*result = endpoint;
	return error;
}

static void add_shard(struct vtd_shard *sum, const struct vtd_shard *shard)
{
	sum->hits += vtd_load_plain(&shard->hits);
	sum->misses += vtd_load_plain(&shard->misses);
	sum->context_misses += vtd_load_plain(&shard->context_misses);
	sum->table_reads += vtd_load_plain(&shard->table_reads);
	sum->faults += vtd_load_plain(&shard->faults);
	sum->faults_lost += vtd_load_plain(&shard->faults_lost);
	sum->bytes += vtd_load_plain(&shard->bytes);
	sum->context_lookups += vtd_load_plain(&shard->context_lookups);
}

static void add_endpoint(struct vtd_shard *sum, const struct viommu_endpoint *endpoint)
{
	unsigned int i;

	for (i = 0; i < VTD_SHARDS; i++)
		add_shard(sum, &endpoint->shards[i]);
}

/* The counters of an endpoint that is going join those of the gone; `counted` did already. */
static void retire(struct viommu_unit *unit, const struct viommu_endpoint *endpoint,
		   struct vtd_shard *counted)
{
	uint64_t *retired = (uint64_t *)&unit->retired, *before = (uint64_t *)counted;
	struct vtd_shard now = { 0 };
	unsigned int i;

	add_endpoint(&now, endpoint);
	for (i = 0; i < sizeof(now) / sizeof(uint64_t); i++)
		retired[i] += ((const uint64_t *)&now)[i] - before[i];
	*counted = now;
}

static void endpoint_free(struct grace_head *head)
{
	struct viommu_endpoint *endpoint = (struct viommu_endpoint *)head;

	vtd_contexts_free(endpoint);
	viommu_free(endpoint);
}

void viommu_endpoint_destroy(struct viommu_endpoint *endpoint)
{
	struct viommu_endpoint **link;
	struct vtd_shard counted = { 0 };
	struct viommu_unit *unit;

	if (!endpoint)
		return;
	unit = endpoint->unit;
	/* Not while the queue calls it. */
	vtd_unit_enter(unit);
	vtd_queue_endpoint_gone(endpoint);
	pthread_mutex_lock(&unit->endpoints_lock);
	vtd_store(&unit->endpoints[endpoint->rid], VTD_ENDPOINT_GONE);
	for (link = &unit->first_endpoint; *link != endpoint; link = &(*link)->next)
		;
	*link = endpoint->next;
	/* At once, so that no sum is ever less than before. */
	retire(unit, endpoint, &counted);
	pthread_mutex_unlock(&unit->endpoints_lock);
	vtd_unit_leave(unit);
	if (grace_wait()) {
		/* Within a section: whoever waits next frees it. */
		grace_defer(&endpoint->head, endpoint_free);
		return;
	}
	pthread_mutex_lock(&unit->endpoints_lock);
	retire(unit, endpoint, &counted);
	pthread_mutex_unlock(&unit->endpoints_lock);
	endpoint_free(&endpoint->head);
}

void viommu_endpoint_set_features(struct viommu_endpoint *endpoint, uint32_t features)
{
	vtd_store(&endpoint->features, features);
}

uint16_t viommu_endpoint_rid(const struct viommu_endpoint *endpoint)
{
	return endpoint->rid;
}

struct viommu_unit *viommu_endpoint_unit(const struct viommu_endpoint *endpoint)
{
	return endpoint->unit;
}

/* ---- statistics ---- */

void vtd_unit_requests(struct viommu_unit *unit, struct vtd_shard *sum)
{
	struct viommu_endpoint *endpoint;

	pthread_mutex_lock(&unit->endpoints_lock);
	*sum = unit->retired;
	for (endpoint = unit->first_endpoint; endpoint; endpoint = endpoint->next)
		add_endpoint(sum, endpoint);
	pthread_mutex_unlock(&unit->endpoints_lock);
}

static void from_shard(struct viommu_statistics *statistics, const struct vtd_shard *sum)
{
	statistics->translations = sum->hits + sum->misses;
	statistics->iotlb_hits = sum->hits;
	statistics->iotlb_misses = sum->misses;
	statistics->pasid_cache_misses = sum->context_misses;
	statistics->table_reads = sum->table_reads;
	statistics->faults = sum->faults;
	statistics->faults_lost = sum->faults_lost;
	statistics->bytes = sum->bytes;
}

static void from_counters(struct viommu_statistics *statistics,
			  const struct vtd_unit_counters *counters)
{
	statistics->descriptors = vtd_load_plain(&counters->descriptors);
	statistics->waits = vtd_load_plain(&counters->waits);
	statistics->page_requests = vtd_load_plain(&counters->page_requests);
	statistics->page_responses = vtd_load_plain(&counters->page_responses) +
				     vtd_load_plain(&counters->automatic_responses);
	statistics->device_tlb_invalidations = vtd_load_plain(&counters->device_tlb_invalidations);
	statistics->events = vtd_load_plain(&counters->events);
	statistics->entries_visited = vtd_load_plain(&counters->entries_visited);
	statistics->drains = vtd_load_plain(&counters->drains);
}

int viommu_unit_statistics(const struct viommu_unit *const_unit,
			   struct viommu_statistics *statistics)
{
	struct viommu_unit *unit = (struct viommu_unit *)(uintptr_t)const_unit;
	struct viommu_statistics own = { 0 };
	struct viommu_endpoint *endpoint;
	struct vtd_shard sum;

	pthread_mutex_lock(&unit->endpoints_lock);
	sum = unit->retired;
	for (endpoint = unit->first_endpoint; endpoint; endpoint = endpoint->next) {
		add_endpoint(&sum, endpoint);
		own.pasids += vtd_contexts_count(endpoint);
	}
	pthread_mutex_unlock(&unit->endpoints_lock);
	from_shard(&own, &sum);
	from_counters(&own, &unit->counters);
	return sized_export(statistics, &own, sizeof(own));
}

int viommu_endpoint_statistics(const struct viommu_endpoint *endpoint,
			       struct viommu_statistics *statistics)
{
	struct viommu_statistics own = { 0 };
	struct vtd_shard sum = { 0 };

	add_endpoint(&sum, endpoint);
	from_shard(&own, &sum);
	own.pasids = vtd_contexts_count((struct viommu_endpoint *)(uintptr_t)endpoint);
	return sized_export(statistics, &own, sizeof(own));
}
