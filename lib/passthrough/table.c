/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nested tables and their invalidations.
 *
 * Bindings with equal (parent, first-stage root, flags, width) share a table: the host's invalidation reaches every
 * (device, PASID) attached to it in one call. Invalidations gather in a batch per table and go out in one call each, before the unit
 * tells the guest that they are complete.
 */
#include <errno.h>
#include <string.h>

#include "memory/alloc.h"
#include "passthrough/internal.h"
#include "vtd/probes.h"

enum { BATCH_MAX = 4096 }; /* beyond it, everything is flushed instead */

static uint32_t hash_table(uint64_t key, uint32_t parent)
{
	uint64_t hash = (key ^ (uint64_t)parent << 52) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(hash >> 32);
}

static int index_grow(struct hub *hub)
{
	struct index *index = &hub->table_index;
	uint32_t size = index->size ? index->size * 2 : 256;
	uint32_t *buckets = viommu_calloc(size, sizeof(*buckets));

	if (!buckets)
		return index->size ? 0 : -ENOMEM; /* longer chains will do */
	for (uint32_t i = 0; i < index->size; i++) {
		for (uint32_t at = index->buckets[i], next; at; at = next) {
			struct table *table = pool_at(&hub->tables, at);
			uint32_t *bucket = &buckets[hash_table(table->table, table->parent) & (size - 1)];

			next = table->next;
			table->next = *bucket;
			*bucket = at;
		}
	}
	viommu_free(index->buckets);
	index->buckets = buckets;
	index->size = size;
	return 0;
}

static uint32_t find(struct hub *hub, uint64_t key, uint32_t parent)
{
	struct index *index = &hub->table_index;
	uint32_t at = index->size ? index->buckets[hash_table(key, parent) & (index->size - 1)] : 0;

	while (at) {
		struct table *table = pool_at(&hub->tables, at);

		if (table->table == key && table->parent == parent)
			break;
		at = table->next;
	}
	return at;
}

static int create_on_host(struct viommu_passthrough *passthrough, uint64_t key, uint32_t *id)
{
	struct viommu_host_first_stage first = {
		.size = sizeof(first),
		.root = key & ~(uint64_t)TARGET_BITS,
		.width = key & TARGET_FIVE_LEVEL ? 57 : 48,
		.supervisor = key & TARGET_SRE,
		.write_protect = key & TARGET_WPE,
		.extended = key & TARGET_EAFE,
		.faults = key & TARGET_FAULTS ? passthrough->faults->id : 0,
		/* The RID's table too: without the flag there it would bar every PASID. */
		.pasid = passthrough->pasids,
	};

	return viommu_host_nested_create(passthrough->device, passthrough->parent->host, &first, id);
}

int table_get(struct viommu_passthrough *passthrough, uint64_t key, uint32_t *result)
{
	struct hub *hub = passthrough->hub;
	struct index *index = &hub->table_index;
	uint32_t at = find(hub, key, passthrough->parent->id);
	struct table *table;
	uint32_t *bucket;
	int ret;

	if (at) {
		table = pool_at(&hub->tables, at);
		table->references++;
		*result = at;
		return 0;
	}
	if (index->count >= index->size) {
		ret = index_grow(hub);
		if (ret)
			return ret;
	}
	at = pool_get(&hub->tables);
	if (!at)
		return -ENOMEM;
	table = pool_at(&hub->tables, at);
	ret = create_on_host(passthrough, key, &table->host);
	if (ret) {
		pool_put(&hub->tables, at);
		return ret;
	}
	table->table = key;
	table->parent = passthrough->parent->id;
	table->references = 1;
	bucket = &index->buckets[hash_table(key, table->parent) & (index->size - 1)];
	table->next = *bucket;
	*bucket = at;
	index->count++;
	*result = at;
	return 0;
}

void table_put(struct hub *hub, uint32_t at)
{
	struct table *table = pool_at(&hub->tables, at);
	struct viommu_host *host = space_at(hub, table->parent)->host->host;
	struct index *index = &hub->table_index;
	uint32_t *link = &index->buckets[hash_table(table->table, table->parent) & (index->size - 1)];

	if (--table->references)
		return;
	/* Nothing is attached, so what waits to be flushed is gone with it. */
	if (table->batch)
		hub->batches[table->batch - 1].table = 0;
	table->whole = 0;
	while (*link != at)
		link = &((struct table *)pool_at(&hub->tables, *link))->next;
	*link = table->next;
	index->count--;
	/* A refusal leaves an unused object at the host, which goes when the host is closed. */
	viommu_host_nested_destroy(host, table->host);
	pool_put(&hub->tables, at);
}

static struct batch *batch_of(struct hub *hub, uint32_t at)
{
	struct table *table = pool_at(&hub->tables, at);

	if (table->batch)
		return &hub->batches[table->batch - 1];
	if (hub->batch_count == hub->batch_size) {
		uint32_t size = hub->batch_size ? hub->batch_size * 2 : 16;
		struct batch *batches = viommu_realloc(hub->batches, size * sizeof(*batches));

		if (!batches)
			return NULL;
		memset(batches + hub->batch_size, 0, (size - hub->batch_size) * sizeof(*batches));
		hub->batches = batches;
		hub->batch_size = size;
	}
	table->batch = ++hub->batch_count;
	hub->batches[table->batch - 1].table = at;
	return &hub->batches[table->batch - 1];
}

static bool batch_grow(struct batch *batch)
{
	uint32_t capacity = batch->capacity ? batch->capacity * 2 : 64;
	struct viommu_host_invalidation *entries;

	if (capacity > BATCH_MAX)
		return false;
	entries = viommu_realloc(batch->entries, capacity * sizeof(*entries));
	if (!entries)
		return false;
	batch->entries = entries;
	batch->capacity = capacity;
	return true;
}

static int send(struct hub *hub, const struct table *table,
		const struct viommu_host_invalidation *entries, uint32_t count)
{
	uint32_t done;
	int ret = viommu_host_invalidate(space_at(hub, table->parent)->host->host, table->host, entries,
					 count, &done);

	VTD_PROBE3(flush, table->host, count, ret);
	hub->invalidate_calls++;
	hub->invalidations += ret ? done : count;
	return ret;
}

/* Whatever the host says: afterwards nothing stale is reachable. */
static void flush_table(struct hub *hub, uint32_t at, const struct viommu_host_invalidation *entries,
			uint32_t count)
{
	static const struct viommu_host_invalidation all = { .pages = UINT64_MAX };
	struct table *table = pool_at(&hub->tables, at);
	int ret = send(hub, table, entries, count);

	if (ret)
		ret = send(hub, table, &all, 1);
	if (ret)
		bindings_block(hub, TARGET_NESTED, at, ret);
}

/* Tables that found no memory for a batch. */
static void flush_whole(struct hub *hub)
{
	static const struct viommu_host_invalidation all = { .pages = UINT64_MAX };

	if (!hub->whole)
		return;
	hub->whole = false;
	for (uint32_t at = 1; at < hub->tables.used; at++) {
		struct table *table = pool_at(&hub->tables, at);

		if (!table->whole)
			continue;
		table->whole = 0;
		if (table->references)
			flush_table(hub, at, &all, 1);
	}
}

void table_invalidate(struct hub *hub, uint32_t at, uint64_t address, uint64_t pages, bool leaf_only)
{
	struct batch *batch = batch_of(hub, at);
	struct viommu_host_invalidation *last;

	if (!batch) {
		/* A refused flush here would detach bindings, which our caller is walking. */
		((struct table *)pool_at(&hub->tables, at))->whole = 1;
		hub->whole = true;
		return;
	}
	if (batch->all)
		return;
	if (pages == UINT64_MAX || (batch->count == batch->capacity && !batch_grow(batch))) {
		batch->all = true;
		return;
	}
	/* A run of descriptors for neighbouring pages is one entry; it does not go round the end. */
	last = batch->count ? &batch->entries[batch->count - 1] : NULL;
	if (last && last->address == address && last->pages == pages && last->leaf_only <= leaf_only)
		return; /* the same descriptor, for another device with this table */
	if (last && address && last->address + last->pages * HOST_PAGE == address &&
	    last->leaf_only == leaf_only) {
		last->pages += pages;
		return;
	}
	batch->entries[batch->count++] = (struct viommu_host_invalidation){
		.address = address, .pages = pages, .leaf_only = leaf_only,
	};
}

void table_flush(struct hub *hub)
{
	static const struct viommu_host_invalidation all = { .pages = UINT64_MAX };

	for (uint32_t i = 0; i < hub->batch_count; i++) {
		struct batch *batch = &hub->batches[i];
		uint32_t at = batch->table;

		if (at) {
			((struct table *)pool_at(&hub->tables, at))->batch = 0;
			flush_table(hub, at, batch->all ? &all : batch->entries,
				    batch->all ? 1 : batch->count);
		}
		batch->table = 0;
		batch->count = 0;
		batch->all = false;
	}
	hub->batch_count = 0;
	flush_whole(hub);
}
