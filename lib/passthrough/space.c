/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Spaces: what is mapped on the host, area by area.
 *
 * An identity space holds the guest's RAM and follows lib/memory's segments; guest ROM is left out of one that serves as parent of
 * nested tables, which must not have read-only mappings (erratum 772415). Every removal of an area goes through one
 * function, so that a hook which tracks dirty pages sees each.
 */
#include <errno.h>
#include <string.h>

#include "memory/alloc.h"
#include "memory/sized.h"
#include "memory/memory_internal.h"
#include "passthrough/internal.h"
#include "vtd/probes.h"

static int take_id(struct hub *hub, struct viommu_passthrough_space *space)
{
	struct viommu_passthrough_space **ids;
	uint32_t id = 1;

	while (id <= hub->space_id_count && hub->space_ids[id - 1])
		id++;
	if (id > hub->space_id_count) {
		uint32_t count = hub->space_id_count ? hub->space_id_count * 2 : 8;

		ids = viommu_realloc(hub->space_ids, count * sizeof(*ids));
		if (!ids)
			return -ENOMEM;
		memset(ids + hub->space_id_count, 0, (count - hub->space_id_count) * sizeof(*ids));
		hub->space_ids = ids;
		hub->space_id_count = count;
	}
	hub->space_ids[id - 1] = space;
	space->id = id;
	return 0;
}

/* What the hook is told of a space. */
static int announce(struct viommu_passthrough_space *space)
{
	struct viommu_passthrough_space_info info = {
		.size = sizeof(info), .identity = space->kind == TARGET_IDENTITY, .host = space->host,
	};
	struct hub *hub = space->hub;

	return hub->hook && hub->hook->created ? hub->hook->created(hub->hook_opaque, space, &info) : 0;
}

static uint32_t flags_for(const struct viommu_passthrough *passthrough, enum target_kind kind)
{
	uint32_t flags = passthrough->info.dirty_tracking ? VIOMMU_SPACE_DIRTY_TRACKING : 0;

	if (passthrough->pasids)
		flags |= VIOMMU_SPACE_PASID;
	if (kind == TARGET_IDENTITY && passthrough->info.nesting &&
	    passthrough->hub->unit->options.first_stage && passthrough->hub->unit->options.scalable)
		flags |= VIOMMU_SPACE_NEST_PARENT;
	return flags;
}

int space_create(struct viommu_passthrough *passthrough, enum target_kind kind, uint64_t table,
		 uint16_t did, struct viommu_passthrough_space **result)
{
	struct viommu_passthrough_space *space = viommu_zalloc(sizeof(*space));
	struct hub *hub = passthrough->hub;
	int ret;

	if (!space)
		return -ENOMEM;
	space->hub = hub;
	space->kind = kind;
	space->table = table;
	space->did = did;
	space->references = 1;
	space->max_mappings = passthrough->options.max_mappings;
	ret = viommu_host_space_create(passthrough->device, flags_for(passthrough, kind), &space->host);
	if (ret)
		goto free_space;
	ret = take_id(hub, space);
	if (ret)
		goto destroy_host;
	ret = announce(space);
	if (ret)
		goto drop_id;
	space->next = hub->spaces;
	hub->spaces = space;
	*result = space;
	return 0;

drop_id:
	hub->space_ids[space->id - 1] = NULL;
destroy_host:
	viommu_host_space_destroy(space->host);
free_space:
	viommu_free(space);
	return ret;
}

void space_put(struct viommu_passthrough_space *space)
{
	struct hub *hub = space->hub;
	struct viommu_passthrough_space **link;

	if (--space->references)
		return;
	/* With a hook each mapping goes singly; without, the host drops all of them with the object. */
	if (hub->hook)
		space_clear(space);
	hub->mappings -= space->kind == TARGET_SHADOW ? space->areas.count : 0;
	areas_clear(&space->areas);
	for (link = &hub->spaces; *link != space; link = &(*link)->next)
		;
	*link = space->next;
	hub->space_ids[space->id - 1] = NULL;
	if (hub->hook && hub->hook->gone)
		hub->hook->gone(hub->hook_opaque, space);
	viommu_host_space_destroy(space->host);
	viommu_free(space);
}

/* Identity spaces are shared by the devices of one host that accept the same one. */
int space_parent(struct viommu_passthrough *passthrough)
{
	uint32_t flags = flags_for(passthrough, TARGET_IDENTITY);
	struct hub *hub = passthrough->hub;
	struct viommu_passthrough_space *space;
	int ret;

	pthread_mutex_lock(&hub->maps);
	for (space = hub->spaces; space; space = space->next) {
		if (space->kind != TARGET_IDENTITY || space->host->host != passthrough->device->host ||
		    space->host->flags != flags || passthrough->single_space)
			continue;
		/* -EINVAL: another IOMMU, with other properties. */
		if (viommu_host_attach(passthrough->device, VIOMMU_NO_PASID,
				       viommu_host_space_table(space->host)))
			continue;
		/* Only a try: what is attached is for the guest's tables to say. */
		viommu_host_detach(passthrough->device, VIOMMU_NO_PASID);
		space->references++;
		passthrough->parent = space;
		pthread_mutex_unlock(&hub->maps);
		return 0;
	}
	ret = space_create(passthrough, passthrough->single_space ? TARGET_BLOCKED : TARGET_IDENTITY, 0,
			   0, &passthrough->parent);
	pthread_mutex_unlock(&hub->maps);
	if (!ret && !passthrough->single_space)
		ret = space_fill_identity(passthrough->parent);
	if (ret && passthrough->parent) {
		pthread_mutex_lock(&hub->maps);
		space_put(passthrough->parent);
		pthread_mutex_unlock(&hub->maps);
		passthrough->parent = NULL;
	}
	return ret;
}

int space_add_area(struct viommu_passthrough_space *space, const struct area *area)
{
	int ret = areas_insert(&space->areas, area);

	if (ret)
		return ret;
	ret = viommu_host_map(space->host, area->iova, area->hva, area->last - area->iova + 1,
			      area->access);
	if (ret) {
		areas_remove(&space->areas, areas_first(&space->areas, area->iova));
		return ret;
	}
	VTD_PROBE4(map, area->iova, area->last - area->iova + 1, area->gpa, area->access);
	if (space->kind == TARGET_SHADOW) {
		space->hub->mappings++;
		space->hub->map_calls++;
	}
	return 0;
}

int space_remove_area(struct viommu_passthrough_space *space, struct area *area)
{
	struct hub *hub = space->hub;
	uint64_t length = area->last - area->iova + 1;
	int ret;

	VTD_PROBE3(unmap, area->iova, length, area->gpa);
	if (hub->hook)
		ret = hub->hook->unmap(hub->hook_opaque, space, area->iova, length, area->gpa,
				       area->access & VIOMMU_WRITE);
	else
		ret = viommu_host_unmap(space->host, area->iova, length);
	if (space->kind == TARGET_SHADOW)
		hub->unmap_calls++;
	/* What is not there any more is what was asked for. */
	if (ret && ret != -ENOENT)
		return ret;
	hub->mappings -= space->kind == TARGET_SHADOW;
	space->stale -= area->stale;
	areas_remove(&space->areas, area);
	return 0;
}

int space_clear(struct viommu_passthrough_space *space)
{
	struct area *area;
	uint64_t at = 0;
	int ret = 0;

	while ((area = areas_first(&space->areas, at))) {
		uint64_t last = area->last;
		int error = space_remove_area(space, area);

		if (error)
			ret = error;
		if (last == UINT64_MAX)
			break;
		at = last + 1;
	}
	return ret;
}

/* maps is held */
static int settle(struct viommu_passthrough_space *space)
{
	struct area *area;
	uint64_t at = 0;
	int ret = 0;

	while (space->stale && !ret && (area = areas_first(&space->areas, at))) {
		at = area->last + 1;
		if (area->stale)
			ret = space_remove_area(space, area);
	}
	return ret;
}

int space_settle(struct viommu_passthrough_space *space)
{
	int ret;

	if (!space->stale)
		return 0;
	pthread_mutex_lock(&space->hub->maps);
	ret = settle(space);
	pthread_mutex_unlock(&space->hub->maps);
	return ret;
}

/* maps is held */
static int map_segment(struct viommu_passthrough_space *space, const struct viommu_segment_info *segment)
{
	struct area area = {
		.iova = segment->gpa,
		.last = segment->gpa + segment->length - 1,
		.gpa = segment->gpa,
		.hva = segment->hva,
		.access = VIOMMU_READ | (segment->flags & VIOMMU_SEGMENT_READONLY ? 0 : VIOMMU_WRITE),
	};
	struct area *there = areas_first(&space->areas, area.iova);
	int ret;

	if (there && there->stale && there->iova <= area.last) {
		ret = settle(space);
		if (ret)
			return ret;
		there = areas_first(&space->areas, area.iova);
	}
	if (!segment->hva || (there && there->iova == area.iova && there->last == area.last))
		return 0; /* MMIO, or mapped by a notification a moment ago */
	if (!(area.access & VIOMMU_WRITE) && space->host->flags & VIOMMU_SPACE_NEST_PARENT)
		return 0;
	return space_add_area(space, &area);
}

static int fill(void *opaque, const struct viommu_segment_info *segment)
{
	struct viommu_passthrough_space *space = opaque;
	int ret;

	pthread_mutex_lock(&space->hub->maps);
	ret = map_segment(space, segment);
	pthread_mutex_unlock(&space->hub->maps);
	return ret;
}

int space_fill_identity(struct viommu_passthrough_space *space)
{
	return viommu_memory_each(space->hub->memory, fill, space);
}

/*
 * The host keeps a mapping of memory that is gone. Only the owner can detach its users, for whom we must not wait here; and
 * until the host lets go, nobody is attached again.
 */
static void condemn(struct viommu_passthrough_space *space, struct area *area, int error)
{
	space->stale += !area->stale;
	area->stale = true;
	space->condemned = error;
	space->hub->condemned = true;
}

/* Areas of a space that lead into a segment which goes. */
static void unmap_segment(struct viommu_passthrough_space *space, const struct viommu_segment_info *segment)
{
	uint64_t last = segment->gpa + segment->length - 1, at = 0;
	struct area *area;

	if (space->kind == TARGET_IDENTITY)
		at = segment->gpa;
	while ((area = areas_first(&space->areas, at))) {
		uint64_t area_last = area->last;

		if (space->kind == TARGET_IDENTITY && area->iova > last)
			break;
		if (area->gpa >= segment->gpa && area->gpa <= last) {
			int error = space_remove_area(space, area);

			if (error)
				condemn(space, area, error);
		}
		if (area_last == UINT64_MAX)
			break;
		at = area_last + 1;
	}
}

int space_memory_changed(void *opaque, const struct viommu_segment_info *segment, bool added)
{
	struct viommu_passthrough_space *space, *undo;
	struct hub *hub = opaque;
	bool condemned;
	int ret = 0;

	if (!segment->hva)
		return 0;
	pthread_mutex_lock(&hub->maps);
	for (space = hub->spaces; space && !ret; space = space->next) {
		if (!added)
			unmap_segment(space, segment);
		else if (space->kind == TARGET_IDENTITY)
			ret = map_segment(space, segment);
	}
	if (ret) {
		for (undo = hub->spaces; undo != space; undo = undo->next)
			unmap_segment(undo, segment);
	}
	condemned = hub->condemned;
	hub->condemned = false;
	pthread_mutex_unlock(&hub->maps);
	if (condemned)
		vtd_unit_post(hub->unit);
	return ret;
}

int viommu_passthrough_set_hook(struct viommu_passthrough *passthrough,
				const struct viommu_passthrough_hook *hook, void *opaque)
{
	struct hub *hub = passthrough->hub;
	struct viommu_passthrough_space *space;
	struct viommu_passthrough_hook known;
	int ret = hook ? sized_import(&known, sizeof(known), hook) : 0;

	if (ret)
		return ret;
	/* It is used where it is, so it must not be a shorter one. */
	if (hook && (hook->size < sizeof(*hook) || !hook->unmap))
		return -EINVAL;
	pthread_mutex_lock(&hub->maps);
	if (hook && hub->hook) {
		ret = -EBUSY;
	} else {
		hub->hook = hook;
		hub->hook_opaque = opaque;
		for (space = hub->spaces; hook && space && !ret; space = space->next)
			ret = announce(space);
		if (ret)
			hub->hook = NULL;
	}
	pthread_mutex_unlock(&hub->maps);
	return ret;
}

int viommu_passthrough_each_mapping(struct viommu_passthrough_space *space,
				    int (*visit)(void *opaque, uint64_t iova, uint64_t length,
						 uint64_t gpa, bool writable),
				    void *opaque)
{
	struct hub *hub = space->hub;
	struct area *area;
	uint64_t at = 0;
	int ret = 0;

	pthread_mutex_lock(&hub->maps);
	while (!ret && (area = areas_first(&space->areas, at))) {
		at = area->last + 1;
		ret = visit(opaque, area->iova, area->last - area->iova + 1, area->gpa,
			    area->access & VIOMMU_WRITE);
		if (!at)
			break;
	}
	pthread_mutex_unlock(&hub->maps);
	return ret;
}
