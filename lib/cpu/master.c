/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bus masters: a span as transactions, each checked with its whole extent.
 *
 * A checker sees what a bus would show it: one transaction from its first to its last byte, so that
 * an access that only partly lies in a permitted range is seen as such. A transaction ends at 4 KiB
 * boundaries, after `burst` bytes and where the map decodes to somebody else.
 */
#include <errno.h>
#include <string.h>

#include "cpu/region.h"
#include "memory/memory_internal.h"

enum { PAGE = 4096 };

struct span {
	struct viommu_map *map;
	struct viommu_request request;
	uint8_t *data; /* read into, or written from */
	size_t length;
	size_t burst;
	bool write;
};

/* How far a transaction from here goes before somebody else decodes. */
static uint64_t decoded(const struct span *span)
{
	uint64_t at = span->request.address;
	struct map_interval interval;
	const struct memory_segment *segment;

	map_find(span->map, at, &interval);
	if (!interval.region) {
		segment = memory_find(span->map->memory, at);
		if (segment && segment->last < interval.last)
			interval.last = segment->last;
	}
	return interval.last - at;
}

static size_t transaction(const struct span *span)
{
	uint64_t at = span->request.address;
	uint64_t length = PAGE - (at & (PAGE - 1));
	uint64_t room = decoded(span);

	if (length > span->length)
		length = span->length;
	if (span->burst && length > span->burst)
		length = span->burst;
	return (size_t)(length - 1 > room ? room + 1 : length);
}

/* MMIO takes 1, 2, 4 or 8 aligned bytes: viommu_memory_* splits the rest. */
static int move(const struct span *span, const struct viommu_target *target, size_t length)
{
	if (target->kind == VIOMMU_TARGET_RAM) {
		if (!span->write) {
			memory_copy_in(span->data, target->hva, length);
			return 0;
		}
		memory_copy_out(target->hva, span->data, length);
		if (target->memory && memory_dirty_on(target->memory))
			viommu_memory_mark_dirty(target->memory, target->gpa, length);
		return 0;
	}
	if (span->write)
		return viommu_memory_write(target->memory, target->gpa, span->data, length);
	return viommu_memory_read(target->memory, target->gpa, span->data, length);
}

/* 0, VIOMMU_FAULT or -EAGAIN. A region whose rules change all the time looks stalled. */
static int one(const struct span *span, size_t length)
{
	struct viommu_target target;

	for (int tries = 0; tries < 4; tries++) {
		chain_walk(span->map, &span->request, &target, NULL);
		if (target.kind == VIOMMU_TARGET_STALLED)
			return -EAGAIN;
		if (target.kind != VIOMMU_TARGET_BLOCKED)
			return move(span, &target, length) ? VIOMMU_FAULT : 0;
		switch (viommu_target_react(&target, &span->request)) {
		case VIOMMU_REACTION_RETRY:
			continue;
		case VIOMMU_REACTION_SILENT:
			if (!span->write)
				memset(span->data, 0, length);
			return 0;
		default:
			return VIOMMU_FAULT;
		}
	}
	return -EAGAIN;
}

static int run(struct span *span, uint64_t address, size_t *done)
{
	size_t moved = 0, total = span->length;
	int ret = 0;

	if (done)
		*done = 0;
	if (total && total - 1 > UINT64_MAX - address)
		return -EINVAL;
	while (moved < total && !ret) {
		size_t length;

		grace_enter();
		span->request.address = address + moved;
		length = transaction(span);
		span->request.last = span->request.address + length - 1;
		ret = one(span, length);
		grace_exit();
		if (ret)
			break;
		moved += length;
		span->data += length;
		span->length -= length;
	}
	if (done)
		*done = moved;
	return ret;
}

int viommu_map_read(struct viommu_map *map, const struct viommu_attributes *attributes,
		    uint64_t address, void *data, size_t length, size_t burst, size_t *done)
{
	struct span span = {
		.map = map,
		.request = { .access = VIOMMU_READ, .attributes = *attributes },
		.data = data,
		.length = length,
		.burst = burst,
	};

	return run(&span, address, done);
}

int viommu_map_write(struct viommu_map *map, const struct viommu_attributes *attributes,
		     uint64_t address, const void *data, size_t length, size_t burst, size_t *done)
{
	struct span span = {
		.map = map,
		.request = { .access = VIOMMU_WRITE, .attributes = *attributes },
		.data = (uint8_t *)(uintptr_t)data,
		.length = length,
		.burst = burst,
		.write = true,
	};

	return run(&span, address, done);
}
