/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shadow spaces: the host maps what a guest's second-stage (or legacy) tables say, run by run.
 *
 * A walk yields maximal runs: neighbouring leaves that lead to neighbouring RAM with the same rights. Synchronising a window compares
 * runs with the areas that are mapped and touches only what differs; so a whole-space invalidation that changed nothing
 * costs no host call. The host maps and unmaps areas only as a whole: when part of one goes, all of it does and the rest is mapped
 * again, which a guest can see as faults of DMA that runs there just then.
 *
 * The guest can shape its tables as it likes, also so that a few pages describe 2^48 leaves: a synchronisation has a budget of
 * entries, and a space one of areas.
 */
#include <errno.h>

#include "memory/memory_internal.h"
#include "passthrough/internal.h"

enum { BUDGET = 1 << 24, RUNS = 64 };

/* VT-d 3.14: the host does not map these. */
#define RESERVED_FIRST VTD_INTERRUPT_FIRST
#define RESERVED_LAST  VTD_INTERRUPT_LAST

struct walk {
	struct viommu_memory *memory;
	uint64_t last;         /* of the window */
	uint64_t at;           /* everything below has been yielded or is not present */
	uint64_t budget;
	struct area runs[RUNS];
	unsigned int count;
	bool full;
};

uint64_t shadow_last(const struct viommu_passthrough_space *space)
{
	unsigned int levels = space->table & TARGET_BITS;

	return (UINT64_C(1) << (12 + 9 * levels)) - 1;
}

/*
 * Add [iova, last] -> gpa, which lies in this segment, to the runs. A run never leaves its segment, even where the next one
 * follows in memory: each must be able to go by itself. False: they are full.
 */
static bool yield_run(struct walk *walk, uint64_t iova, uint64_t last, uint64_t gpa,
		      const struct memory_segment *segment, uint32_t access)
{
	struct area *before = walk->count ? &walk->runs[walk->count - 1] : NULL;
	uint8_t *hva = segment->hva + (gpa - segment->gpa);

	if (before && before->last + 1 == iova && before->gpa >= segment->gpa &&
	    before->gpa + (iova - before->iova) == gpa && before->access == access) {
		before->last = last;
		return true;
	}
	if (walk->count == RUNS)
		return false;
	walk->runs[walk->count++] = (struct area){
		.iova = iova, .last = last, .gpa = gpa, .hva = hva, .access = access,
	};
	return true;
}

/* A leaf may span segments, holes and MMIO; only RAM is mapped. False: the runs are full, walk->at says where. */
static bool yield_leaf(struct walk *walk, uint64_t iova, uint64_t last, uint64_t gpa, uint32_t access)
{
	while (iova <= last) {
		const struct memory_segment *segment = memory_find(walk->memory, gpa);
		const struct memory_table *table = memory_table(walk->memory);
		uint64_t span = last - iova;
		uint32_t granted = access;

		if (!segment) {
			uint32_t next = memory_first(table, gpa);

			if (next == table->count || table->segments[next].gpa - gpa > span)
				break;
			span = table->segments[next].gpa - gpa - 1;
		} else {
			if (segment->last - gpa < span)
				span = segment->last - gpa;
			if (segment->region->flags & VIOMMU_SEGMENT_READONLY)
				granted &= ~(uint32_t)VIOMMU_WRITE;
			if (segment->hva && granted &&
			    !yield_run(walk, iova, iova + span, gpa, segment, granted)) {
				walk->at = iova;
				return false;
			}
		}
		iova += span + 1;
		gpa += span + 1;
		if (!iova)
			break;
	}
	return true;
}

/* Leaves around the interrupt range. */
static bool yield_clipped(struct walk *walk, uint64_t iova, uint64_t last, uint64_t gpa, uint32_t access)
{
	if (last < RESERVED_FIRST || iova > RESERVED_LAST)
		return yield_leaf(walk, iova, last, gpa, access);
	if (iova < RESERVED_FIRST && !yield_leaf(walk, iova, RESERVED_FIRST - 1, gpa, access))
		return false;
	return last <= RESERVED_LAST ||
	       yield_leaf(walk, RESERVED_LAST + 1, last, gpa + (RESERVED_LAST + 1 - iova), access);
}

/* VT-d 3.7, 9.8: entries of one table, of `level` 1 being the lowest, that cover walk->at..last. False: stop. */
static bool walk_table(struct walk *walk, uint64_t table, unsigned int level, uint64_t base,
		       uint32_t access)
{
	unsigned int shift = 3 + 9 * level;
	const uint64_t *entries = memory_ram(walk->memory, table, 4096, false);
	unsigned int index = walk->at > base ? (unsigned int)((walk->at - base) >> shift) : 0;

	for (; entries && index < 512; index++) {
		uint64_t first = base + ((uint64_t)index << shift), last = first + (UINT64_C(1) << shift) - 1;
		uint64_t entry, offset, end;
		uint32_t granted;

		if (first > walk->last)
			return false;
		if (!walk->budget)
			return false;
		walk->budget--;
		entry = memory_load64(&entries[index]);
		granted = access & ((entry & VTD_SS_R ? VIOMMU_READ : 0) | (entry & VTD_SS_W ? VIOMMU_WRITE : 0));
		if (!granted) {
			walk->at = last + 1;
			continue;
		}
		if (level > 1 && !(entry & VTD_SS_PS)) {
			if (!walk_table(walk, entry & VTD_ENTRY_ADDRESS, level - 1, first, granted))
				return false;
			walk->at = last + 1;
			continue;
		}
		if (level > 3) {
			walk->at = last + 1; /* reserved: no leaf is this large */
			continue;
		}
		offset = walk->at > first ? walk->at - first : 0;
		end = last < walk->last ? last : walk->last;
		if (!yield_clipped(walk, first + offset, end,
				   (entry & VTD_ENTRY_ADDRESS & ~((UINT64_C(1) << shift) - 1)) + offset,
				   granted))
			return false;
		walk->at = end + 1;
	}
	if (!entries)
		walk->at = base + (UINT64_C(512) << shift);
	return true;
}

/* The next runs at and above walk->at. None left: count is 0. */
static void walk_more(struct walk *walk, const struct viommu_passthrough_space *space)
{
	unsigned int levels = space->table & TARGET_BITS;
	bool done;

	walk->count = 0;
	grace_enter();
	done = walk_table(walk, space->table & ~(uint64_t)TARGET_BITS, levels, 0,
			  VIOMMU_READ | VIOMMU_WRITE);
	grace_exit();
	walk->full = !done && walk->at <= walk->last && walk->budget;
	if (!walk->full)
		walk->at = walk->last + 1;
}

/* What a pass over a window changed beyond its own ranges. */
struct pass {
	struct viommu_passthrough_space *space;
	bool again;            /* areas that reached beyond what was to go are gone: the rest must come back */
	uint64_t first;
	uint64_t last;
	int error;             /* of an unmap */
};

static void remove_area(struct pass *pass, struct area *area, uint64_t first, uint64_t last)
{
	uint64_t area_first = area->iova, area_last = area->last;
	int ret = space_remove_area(pass->space, area);

	if (ret) {
		pass->error = ret;
		return;
	}
	if (area_first >= first && area_last <= last)
		return;
	if (!pass->again || area_first < pass->first)
		pass->first = area_first;
	if (!pass->again || area_last > pass->last)
		pass->last = area_last;
	pass->again = true;
}

/* Nothing is to be mapped in [first, last]. */
static void sync_gap(struct pass *pass, uint64_t first, uint64_t last)
{
	struct area *area;

	while (!pass->error && (area = areas_first(&pass->space->areas, first)) && area->iova <= last)
		remove_area(pass, area, first, last);
}

static void complain(struct viommu_passthrough_space *space, int error)
{
	struct hub *hub = space->hub;

	if (space->complained)
		return;
	space->complained = true;
	for (uint32_t i = 0; i < hub->device_count; i++) {
		if (!hub->devices[i])
			continue;
		passthrough_log(hub->devices[i], "domain %u: mapping %llu cannot be made (error %d, "
				"max-mappings %u); DMA there is blocked", space->did,
				(unsigned long long)space->areas.count + 1, -error, space->max_mappings);
		return;
	}
}

static bool agrees(const struct area *area, const struct area *run, uint64_t at)
{
	return !area->stale && area->hva + (at - area->iova) == run->hva + (at - run->iova) &&
	       area->gpa + (at - area->iova) == run->gpa + (at - run->iova) &&
	       area->access == run->access;
}

static void sync_run(struct pass *pass, const struct area *run)
{
	struct viommu_passthrough_space *space = pass->space;
	uint64_t at = run->iova;

	while (!pass->error && at <= run->last) {
		struct area *area = areas_first(&space->areas, at);
		struct area hole = *run;
		int ret;

		if (area && area->iova <= at) {
			if (agrees(area, run, at)) {
				if (area->last >= run->last)
					return;
				at = area->last + 1;
			} else {
				remove_area(pass, area, run->iova, run->last);
			}
			continue;
		}
		/* An area that begins in the hole and disagrees goes first, so that the run is mapped as one. */
		if (area && area->iova <= run->last && !agrees(area, run, area->iova)) {
			remove_area(pass, area, run->iova, run->last);
			continue;
		}
		hole.iova = at;
		hole.gpa += at - run->iova;
		hole.hva += at - run->iova;
		if (area && area->iova <= run->last)
			hole.last = area->iova - 1;
		ret = space->areas.count < space->max_mappings ? space_add_area(space, &hole) : -ENOSPC;
		if (ret)
			complain(space, ret); /* unmapped: it faults */
		at = hole.last + 1;
		if (!at)
			return;
	}
}

static void sync_window(struct pass *pass, uint64_t first, uint64_t last, uint64_t *budget)
{
	struct walk walk = {
		.memory = pass->space->hub->memory, .last = last, .at = first, .budget = *budget,
	};
	uint64_t at = first;

	do {
		walk_more(&walk, pass->space);
		for (unsigned int i = 0; i < walk.count && !pass->error; i++) {
			if (walk.runs[i].iova > at)
				sync_gap(pass, at, walk.runs[i].iova - 1);
			sync_run(pass, &walk.runs[i]);
			at = walk.runs[i].last + 1;
		}
	} while (walk.full && !pass->error);
	*budget = walk.budget;
	if (at <= last && !pass->error)
		sync_gap(pass, at, last);
}

int shadow_sync(struct viommu_passthrough_space *space, uint64_t first, uint64_t last)
{
	uint64_t budget = BUDGET;
	struct pass pass = { .space = space, .first = first, .last = last, .again = true };

	if (last > shadow_last(space))
		pass.last = shadow_last(space);
	while (pass.again && !pass.error && pass.first <= pass.last) {
		uint64_t from = pass.first, to = pass.last;

		pass.again = false;
		sync_window(&pass, from, to, &budget);
		if (!budget) {
			complain(space, -E2BIG);
			return space_clear(space);
		}
	}
	return pass.error;
}

int shadow_get(struct viommu_passthrough *passthrough, uint64_t table, uint16_t did, uint32_t *id)
{
	struct hub *hub = passthrough->hub;
	struct viommu_passthrough_space *space;
	int ret = 0;

	pthread_mutex_lock(&hub->maps);
	for (space = hub->spaces; space; space = space->next) {
		if (space->kind == TARGET_SHADOW && space->table == table && space->did == did &&
		    space->host->host == passthrough->device->host)
			break;
	}
	/* With areas that should be gone only its stuck users may have it: they get no company. */
	if (space && space->stale) {
		ret = shadow_sync(space, 0, shadow_last(space));
		if (!ret)
			space->references++;
	} else if (space) {
		space->references++;
	} else {
		ret = space_create(passthrough, TARGET_SHADOW, table, did, &space);
		if (!ret)
			ret = shadow_sync(space, 0, shadow_last(space));
		if (ret && space)
			space_put(space);
	}
	if (!ret)
		*id = space->id;
	pthread_mutex_unlock(&hub->maps);
	return ret;
}

void shadow_put(struct hub *hub, uint32_t id)
{
	pthread_mutex_lock(&hub->maps);
	space_put(space_at(hub, id));
	pthread_mutex_unlock(&hub->maps);
}
