/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The spaces of passed-through devices. They are lib/passthrough's: made, changed and dropped as the guest changes its
 * tables, also in the middle of a migration. So they are not listed here but visited there, under the lock of the unit's
 * mappings; and a hook there gives us each mapping that is about to go.
 *
 * Locks: the tracker's first, then that of the mappings. The hook runs under the second and never takes the first.
 */
#include <errno.h>

#include "memory/alloc.h"
#include "migration/internal.h"
#include "passthrough/internal.h"

/* One unit's mappings. They may be on several hosts, also of both kinds. */
struct tracked_host {
	struct tracked_host *next;
	struct viommu_tracker *tracker;
	struct viommu_passthrough *passthrough; /* one of its devices: the way to its hub */
	struct hub *hub;
	unsigned int uses;
	_Atomic bool tracked;
};

static int query(void *opaque, uint64_t iova, uint64_t length, uint64_t *bitmap, bool keep)
{
	return viommu_host_dirty_query(opaque, iova, length, bitmap, keep);
}

static int unmap(void *opaque, uint64_t iova, uint64_t length, uint64_t *bitmap)
{
	return bitmap ? viommu_host_unmap_dirty(opaque, iova, length, bitmap) :
			viommu_host_unmap(opaque, iova, length);
}

/* A space as collect.c knows them, for the time of a call. */
static struct viommu_space describe(struct tracked_host *host, const struct viommu_passthrough_space *space)
{
	return (struct viommu_space){
		.tracker = host->tracker,
		.host = host,
		.ops = { .size = sizeof(struct viommu_dirty_ops), .query = query, .unmap = unmap },
		.opaque = space->host,
		.max_bitmap = space->host->max_dirty_bitmap,
		/* Only the legacy back end reads dirty bits and unmaps in one step; only it has a largest bitmap. */
		.atomic = space->host->max_dirty_bitmap != 0,
		.can_track = true,
		.tracked = host->tracked,
		.live = space->references != 0,
	};
}

static int space_created(void *opaque, struct viommu_passthrough_space *space,
			 const struct viommu_passthrough_space_info *info)
{
	struct tracked_host *host = opaque;

	return host->tracked ? viommu_host_dirty_start(info->host) : 0;
}

static int space_unmap(void *opaque, struct viommu_passthrough_space *space, uint64_t iova, uint64_t length,
		       uint64_t gpa, bool writable)
{
	struct tracked_host *host = opaque;
	struct viommu_space known = describe(host, space);

	return viommu_tracker_unmap(host->tracker, &known, iova, length, gpa, writable);
}

static const struct viommu_passthrough_hook hook = {
	.size = sizeof(hook),
	.created = space_created,
	.unmap = space_unmap,
};

static struct tracked_host *host_get(struct viommu_tracker *tracker, struct viommu_passthrough *passthrough, int *result)
{
	struct tracked_host *host;

	for (host = tracker->hosts; host; host = host->next) {
		if (host->hub == passthrough->hub) {
			host->uses++;
			return host;
		}
	}
	*result = -ENOMEM;
	host = viommu_zalloc(sizeof(*host));
	if (!host)
		return NULL;
	host->tracker = tracker;
	host->passthrough = passthrough;
	host->hub = passthrough->hub;
	host->uses = 1;
	*result = viommu_passthrough_set_hook(passthrough, &hook, host);
	if (*result) {
		viommu_free(host);
		return NULL;
	}
	host->next = tracker->hosts;
	tracker->hosts = host;
	return host;
}

static void host_stop(struct tracked_host *host)
{
	struct viommu_passthrough_space *space;

	if (!host->tracked)
		return;
	pthread_mutex_lock(&host->hub->maps);
	host->tracked = false;
	for (space = host->hub->spaces; space; space = space->next)
		viommu_host_dirty_stop(space->host);
	pthread_mutex_unlock(&host->hub->maps);
}

void tracker_host_put(struct viommu_tracker *tracker, const struct tracked_device *device)
{
	struct tracked_host *host = device->host, **link;

	if (!host)
		return;
	if (--host->uses) {
		/* The way to the hub must not be through a device that goes. */
		for (struct tracked_device *other = tracker->devices; other; other = other->next)
			if (other != device && other->host == host)
				host->passthrough = other->passthrough;
		return;
	}
	host_stop(host);
	viommu_passthrough_set_hook(host->passthrough, NULL, NULL);
	for (link = &tracker->hosts; *link != host; link = &(*link)->next)
		;
	*link = host->next;
	viommu_free(host);
}

/* The device's own log over all RAM. */
struct ranges {
	struct viommu_host_range list[64];
	uint32_t count;
};

static int add_range(void *opaque, const struct viommu_segment_info *segment)
{
	struct ranges *ranges = opaque;

	if (!segment->hva)
		return 0;
	if (ranges->count == sizeof(ranges->list) / sizeof(ranges->list[0]))
		return -E2BIG;
	ranges->list[ranges->count++] = (struct viommu_host_range){ segment->gpa, segment->length };
	return 0;
}

static int log_start(void *opaque)
{
	struct viommu_passthrough *passthrough = opaque;
	struct ranges ranges = { .count = 0 };
	int result = viommu_memory_each(passthrough->hub->memory, add_range, &ranges);

	return result ? result :
			viommu_host_device_log_start(passthrough->device, ranges.list, ranges.count);
}

static int log_stop(void *opaque)
{
	struct viommu_passthrough *passthrough = opaque;

	return viommu_host_device_log_stop(passthrough->device);
}

static int log_query(void *opaque, uint64_t iova, uint64_t length, uint64_t *bitmap, bool keep)
{
	struct viommu_passthrough *passthrough = opaque;

	return viommu_host_device_log_report(passthrough->device, iova, length, bitmap);
}

int viommu_tracker_add_passthrough(struct viommu_tracker *tracker, struct viommu_passthrough *passthrough,
				   const struct viommu_device_info *info, uint32_t *index)
{
	struct viommu_host_info host = { .size = sizeof(host) };
	struct viommu_device_info known;
	struct tracked_device *device;
	int result;

	result = tracker_import(&known, sizeof(known), info, info->size);
	if (!result)
		result = viommu_host_device_info(passthrough->device, &host);
	if (result)
		return result;
	device = viommu_zalloc(sizeof(*device));
	if (!device)
		return -ENOMEM;
	pthread_mutex_lock(&tracker->lock);
	device->host = host_get(tracker, passthrough, &result);
	pthread_mutex_unlock(&tracker->lock);
	if (!device->host) {
		viommu_free(device);
		return result;
	}
	device->can_track = host.dirty_tracking;
	device->max_bitmap = host.max_dirty_bitmap;
	device->has_log = viommu_host_device_can_log(passthrough->device);
	device->log = (struct viommu_dirty_ops){
		.size = sizeof(device->log), .start = log_start, .stop = log_stop, .query = log_query,
	};
	device->log_opaque = device->passthrough = passthrough;
	device->behind_unit = true;
	device->migratable = known.migratable;
	device->drainable = known.drainable;
	tracker_copy_name(device->name, known.name);
	return tracker_add(tracker, device, index);
}

int tracker_hosts_start(struct tracked_host *host)
{
	struct viommu_passthrough_space *space;
	int result = 0;

	if (host->tracked)
		return 0;
	pthread_mutex_lock(&host->hub->maps);
	host->tracked = true;
	for (space = host->hub->spaces; space && !result; space = space->next)
		result = viommu_host_dirty_start(space->host);
	pthread_mutex_unlock(&host->hub->maps);
	return result;
}

void tracker_hosts_stop(struct viommu_tracker *tracker)
{
	for (struct tracked_host *host = tracker->hosts; host; host = host->next)
		host_stop(host);
}

/* `maps` is held. */
static int each_area(struct tracked_host *host, struct viommu_passthrough_space *space,
		     int (*visit)(void *opaque, const struct viommu_space *space, uint64_t iova,
				  uint64_t length, uint64_t gpa, bool writable),
		     void *opaque)
{
	struct viommu_space known = describe(host, space);
	struct area *area;
	uint64_t at = 0;
	int result = 0;

	while (!result && (area = areas_first(&space->areas, at))) {
		result = visit(opaque, &known, area->iova, area->last - area->iova + 1, area->gpa,
			       area->access & VIOMMU_WRITE);
		at = area->last + 1;
		if (!at)
			break;
	}
	return result;
}

int tracker_hosts_each(struct viommu_tracker *tracker,
		       int (*visit)(void *opaque, const struct viommu_space *space, uint64_t iova,
				    uint64_t length, uint64_t gpa, bool writable),
		       void *opaque)
{
	int result = 0;

	for (struct tracked_host *host = tracker->hosts; host && !result; host = host->next) {
		struct viommu_passthrough_space *space;

		if (!host->tracked)
			continue;
		pthread_mutex_lock(&host->hub->maps);
		for (space = host->hub->spaces; space && !result; space = space->next)
			result = each_area(host, space, visit, opaque);
		pthread_mutex_unlock(&host->hub->maps);
	}
	return result;
}

static int flush_area(void *opaque, const struct viommu_space *space, uint64_t iova, uint64_t length, uint64_t gpa,
		      bool writable)
{
	return writable ? tracker_flush(opaque, space, iova, length, gpa) : 0;
}

struct log_flush {
	struct viommu_tracker *tracker;
	struct viommu_space log;
};

static int flush_segment(void *opaque, const struct viommu_segment_info *segment)
{
	const struct log_flush *f = opaque;

	if (!segment->hva || segment->flags & VIOMMU_SEGMENT_READONLY)
		return 0;
	return tracker_flush(f->tracker, &f->log, segment->gpa, segment->length, segment->gpa);
}

int tracker_host_flush(struct viommu_tracker *tracker, struct tracked_device *device)
{
	int result = 0;

	if (device->log_started) {
		struct log_flush flush = { tracker, { .ops = device->log, .opaque = device->log_opaque } };

		result = viommu_memory_each(tracker->memory, flush_segment, &flush);
		device->log.stop(device->log_opaque);
		device->log_started = false;
	}
	/* Spaces are shared: they go with the last device, and what others wrote is not lost by being asked now. */
	if (!result && device->host->uses == 1)
		result = tracker_hosts_each(tracker, flush_area, tracker);
	return result;
}
