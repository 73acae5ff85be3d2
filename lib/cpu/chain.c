/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The chain walk: from a map through its regions to RAM, MMIO, a block or a stall.
 *
 * An answer holds for a window around the request. Each step speaks of its own input addresses, so
 * the walk keeps the window as two slacks, the bytes below and above the request's first byte for
 * which everything so far stays linear; every step can only shrink them. What a region answers is
 * not trusted to make sense: windows that miss the request become the request.
 */
#include <errno.h>
#include <string.h>

#include "cpu/region.h"
#include "memory/memory_internal.h"

enum { RWX = VIOMMU_READ | VIOMMU_WRITE | VIOMMU_EXECUTE };

struct walk {
	struct viommu_request request; /* as the next map or region sees it */
	uint64_t below, above;         /* slack around request.address */
	struct viommu_target *target;
};

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* [first, last] holds: in the address space the walk is in now. */
static void narrow(struct walk *walk, uint64_t first, uint64_t last)
{
	uint64_t at = walk->request.address;

	walk->below = lower(walk->below, first <= at ? at - first : 0);
	walk->above = lower(walk->above, last >= walk->request.last ? last - at
								    : walk->request.last - at);
}

static void end_blocked(struct walk *walk, struct viommu_region *region)
{
	walk->target->kind = VIOMMU_TARGET_BLOCKED;
	walk->target->region = region;
	walk->target->region_address = walk->request.address;
	if (!region)
		walk->target->once = true; /* nothing tells us when something comes there */
}

/* Guest memory: a segment, or nothing. Writes to a read-only segment meet nothing. */
static void end_memory(struct walk *walk, struct viommu_memory *memory)
{
	struct viommu_target *target = walk->target;
	uint64_t at = walk->request.address;
	const struct memory_segment *segment = memory_find(memory, at);

	if (!segment || walk->request.last > segment->last) {
		end_blocked(walk, NULL);
		return;
	}
	narrow(walk, segment->gpa, segment->last);
	if (segment->region->flags & VIOMMU_SEGMENT_READONLY) {
		if (walk->request.access & VIOMMU_WRITE) {
			end_blocked(walk, NULL);
			return;
		}
		target->granted &= ~VIOMMU_WRITE;
	}
	target->memory = memory;
	target->gpa = at;
	target->kind = segment->hva ? VIOMMU_TARGET_RAM : VIOMMU_TARGET_MMIO;
	target->hva = segment->hva ? segment->hva + (at - segment->gpa) : NULL;
}

/* Ask one region. True: go on in *map. */
static bool ask(struct walk *walk, struct viommu_region *region, struct viommu_map **map)
{
	struct viommu_target *target = walk->target;
	struct viommu_answer answer = {
		.granted = walk->request.access & RWX,
		.first = walk->request.address,
		.last = walk->request.last,
		.attributes = walk->request.attributes,
	};

	atomic_fetch_add_explicit(&region->translations, 1, memory_order_relaxed);
	region->ops->translate(region->opaque, &walk->request, &answer);
	target->step[target->chain].region = region;
	target->step[target->chain++].address = walk->request.address;
	target->granted &= answer.granted | (walk->request.access & RWX);
	target->once |= answer.once;
	narrow(walk, answer.first, answer.last);
	switch (answer.kind) {
	case VIOMMU_ANSWER_PASS:
		if (!answer.map || walk->request.last - walk->request.address >
					   UINT64_MAX - answer.address)
			break;
		walk->request.last = answer.address + (walk->request.last - walk->request.address);
		walk->request.address = answer.address;
		walk->request.attributes = answer.attributes;
		*map = answer.map;
		return true;
	case VIOMMU_ANSWER_HOST:
		target->kind = VIOMMU_TARGET_RAM;
		target->hva = answer.hva;
		return false;
	case VIOMMU_ANSWER_STALLED:
		target->kind = VIOMMU_TARGET_STALLED;
		target->once = true;
		return false;
	case VIOMMU_ANSWER_BLOCKED:
		end_blocked(walk, region);
		return false;
	}
	end_blocked(walk, NULL);
	return false;
}

/* One map. True: go on in *map. */
static bool enter(struct walk *walk, struct viommu_map **map, struct chain_visitor *visitor)
{
	struct map_interval interval;

	if (visitor && !visitor->map(visitor, *map))
		walk->target->once = true;
	map_find(*map, walk->request.address, &interval);
	if (walk->request.last > interval.last) {
		end_blocked(walk, NULL); /* across an edge: no transaction decodes so */
		return false;
	}
	narrow(walk, interval.first, interval.last);
	if (!interval.region) {
		end_memory(walk, (*map)->memory);
		return false;
	}
	if (walk->target->chain == VIOMMU_CHAIN_MAX) {
		end_blocked(walk, NULL);
		return false;
	}
	if (visitor && !visitor->region(visitor, interval.region))
		walk->target->once = true;
	return ask(walk, interval.region, map);
}

void chain_walk(struct viommu_map *map, const struct viommu_request *request,
		struct viommu_target *target, struct chain_visitor *visitor)
{
	struct walk walk = {
		.request = *request, .below = UINT64_MAX, .above = UINT64_MAX, .target = target,
	};

	memset(target, 0, sizeof(*target));
	target->granted = RWX;
	while (enter(&walk, &map, visitor))
		;
	target->attributes = walk.request.attributes;
	target->first = request->address - lower(walk.below, request->address);
	target->last = request->address + lower(walk.above, UINT64_MAX - request->address);
	if (target->once) {
		target->granted = request->access & RWX;
		target->first = request->address;
		target->last = request->last;
	}
}

static bool same_place(const struct viommu_target *a, const struct viommu_target *b)
{
	return a->kind == b->kind && a->memory == b->memory && a->gpa == b->gpa && a->hva == b->hva;
}

/* An atomic access needs both permissions, on one and the same word. */
static void walk_atomic(struct viommu_map *map, const struct viommu_request *request,
			struct viommu_target *target)
{
	struct viommu_request part = *request;
	struct viommu_target write;

	part.access = (request->access & ~VIOMMU_ACCESS_TYPE) | VIOMMU_READ;
	chain_walk(map, &part, target, NULL);
	if (target->kind != VIOMMU_TARGET_RAM && target->kind != VIOMMU_TARGET_MMIO)
		return;
	part.access = (request->access & ~VIOMMU_ACCESS_TYPE) | VIOMMU_WRITE;
	chain_walk(map, &part, &write, NULL);
	if ((write.kind == VIOMMU_TARGET_RAM || write.kind == VIOMMU_TARGET_MMIO) &&
	    !same_place(target, &write)) {
		write.kind = VIOMMU_TARGET_BLOCKED;
		write.region = NULL;
	}
	*target = write;
}

int viommu_map_translate(struct viommu_map *map, const struct viommu_request *request,
			 struct viommu_target *target)
{
	if (request->last < request->address)
		return -EINVAL;
	switch (request->access & ~VIOMMU_PRIVILEGED) {
	case VIOMMU_READ:
	case VIOMMU_WRITE:
	case VIOMMU_EXECUTE:
		grace_enter();
		chain_walk(map, request, target, NULL);
		grace_exit();
		return 0;
	case VIOMMU_ATOMIC:
		grace_enter();
		walk_atomic(map, request, target);
		grace_exit();
		return 0;
	default:
		return -EINVAL;
	}
}

enum viommu_reaction viommu_target_react(const struct viommu_target *target,
					 const struct viommu_request *request)
{
	struct viommu_request seen = *request;

	if (target->kind != VIOMMU_TARGET_BLOCKED || !target->region)
		return VIOMMU_REACTION_ERROR;
	seen.address = target->region_address;
	seen.last = target->region_address + (request->last - request->address);
	seen.attributes = target->attributes;
	return region_blocked(target->region, &seen);
}
