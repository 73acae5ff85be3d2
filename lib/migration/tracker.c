/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tracker: spaces and devices come and go while tracking is off; starting is all or nothing.
 */
#include <errno.h>
#include <string.h>

#include "memory/alloc.h"
#include "memory/sized.h"
#include "migration/internal.h"

int viommu_tracker_create(struct viommu_memory *memory, struct viommu_tracker **out)
{
	struct viommu_tracker *tracker;

	if (!memory || !out)
		return -EINVAL;
	tracker = viommu_zalloc(sizeof(*tracker));
	if (!tracker)
		return -ENOMEM;
	tracker->chunk = viommu_aligned_zalloc(64, CHUNK_BYTES);
	if (!tracker->chunk) {
		viommu_free(tracker);
		return -ENOMEM;
	}
	tracker->memory = memory;
	pthread_mutex_init(&tracker->lock, NULL);
	*out = tracker;
	return 0;
}

void viommu_tracker_destroy(struct viommu_tracker *tracker)
{
	if (!tracker)
		return;
	viommu_tracker_stop(tracker);
	while (tracker->devices) {
		struct tracked_device *device = tracker->devices;

		tracker->devices = device->next;
		tracker_host_put(tracker, device);
		viommu_free(device);
	}
	while (tracker->spaces) {
		struct viommu_space *space = tracker->spaces;

		tracker->spaces = space->next;
		viommu_free(space);
	}
	pthread_mutex_destroy(&tracker->lock);
	viommu_free(tracker->chunk);
	viommu_free(tracker);
}

/* Copy a caller's structure that says its own size: what an older caller lacks is zero, what we do not know must be. */
int tracker_import(void *to, size_t known, const void *from, uint32_t size)
{
	const uint8_t *bytes = from;

	if (size < sizeof(uint32_t))
		return -EINVAL;
	for (size_t i = known; i < size; i++)
		if (bytes[i])
			return -E2BIG;
	memset(to, 0, known);
	memcpy(to, from, size < known ? size : known);
	return 0;
}

void tracker_copy_name(char *to, const char *from)
{
	strncpy(to, from ? from : "unnamed", NAME_MAX_LENGTH - 1);
}

static bool space_complete(const struct viommu_space_info *info, const struct viommu_dirty_ops *ops)
{
	if (!ops->unmap || (!info->identity && !ops->each))
		return false;
	return !info->can_track || (ops->start && ops->stop && ops->query);
}

int viommu_tracker_add_space(struct viommu_tracker *tracker, const struct viommu_space_info *info,
			     struct viommu_space **out)
{
	struct viommu_space_info known;
	struct viommu_space *space;
	int result;

	result = tracker_import(&known, sizeof(known), info, info->size);
	if (result)
		return result;
	if (!known.ops)
		return -EINVAL;
	space = viommu_zalloc(sizeof(*space));
	if (!space)
		return -ENOMEM;
	result = tracker_import(&space->ops, sizeof(space->ops), known.ops, known.ops->size);
	if (!result && !space_complete(&known, &space->ops))
		result = -EINVAL;
	pthread_mutex_lock(&tracker->lock);
	if (!result && tracker->active)
		result = -EBUSY;
	if (!result) {
		space->tracker = tracker;
		space->opaque = known.opaque;
		space->identity = known.identity;
		space->atomic = known.atomic;
		space->can_track = known.can_track;
		space->max_bitmap = known.max_bitmap;
		tracker_copy_name(space->name, known.name);
		space->next = tracker->spaces;
		tracker->spaces = space;
		*out = space;
	}
	pthread_mutex_unlock(&tracker->lock);
	if (result)
		viommu_free(space);
	return result;
}

static bool space_used(const struct viommu_tracker *tracker, const struct viommu_space *space)
{
	for (const struct tracked_device *device = tracker->devices; device; device = device->next)
		if (device->space == space)
			return true;
	return false;
}

int viommu_tracker_remove_space(struct viommu_tracker *tracker, struct viommu_space *space)
{
	struct viommu_space **link;
	int result = -ENOENT;

	pthread_mutex_lock(&tracker->lock);
	for (link = &tracker->spaces; *link && *link != space; link = &(*link)->next)
		;
	if (*link) {
		result = tracker->active || space_used(tracker, space) ? -EBUSY : 0;
		if (!result)
			*link = space->next;
	}
	pthread_mutex_unlock(&tracker->lock);
	if (!result)
		viommu_free(space);
	return result;
}

int tracker_add(struct viommu_tracker *tracker, struct tracked_device *device, uint32_t *index)
{
	int result = 0;

	pthread_mutex_lock(&tracker->lock);
	if (tracker->active) {
		result = -EBUSY;
		tracker_host_put(tracker, device);
		viommu_free(device);
	} else {
		device->index = tracker->next_index++;
		device->next = tracker->devices;
		tracker->devices = device;
		*index = device->index;
	}
	pthread_mutex_unlock(&tracker->lock);
	return result;
}

int viommu_tracker_add_device(struct viommu_tracker *tracker, const struct viommu_device_info *info,
			      uint32_t *index)
{
	struct viommu_device_info known;
	struct tracked_device *device;
	int result;

	result = tracker_import(&known, sizeof(known), info, info->size);
	if (result)
		return result;
	device = viommu_zalloc(sizeof(*device));
	if (!device)
		return -ENOMEM;
	if (known.log) {
		result = tracker_import(&device->log, sizeof(device->log), known.log, known.log->size);
		device->has_log = true;
		if (!result && (!device->log.start || !device->log.stop || !device->log.query))
			result = -EINVAL;
	}
	if (known.space && known.space->tracker != tracker)
		result = -EINVAL;
	if (result) {
		viommu_free(device);
		return result;
	}
	device->space = known.space;
	device->can_track = known.space && known.space->can_track;
	device->log_opaque = known.log_opaque;
	device->behind_unit = known.behind_unit;
	device->migratable = known.migratable;
	device->drainable = known.drainable;
	tracker_copy_name(device->name, known.name);
	return tracker_add(tracker, device, index);
}

int viommu_tracker_remove_device(struct viommu_tracker *tracker, uint32_t index)
{
	struct tracked_device **link, *device = NULL;
	int result = -ENOENT;

	pthread_mutex_lock(&tracker->lock);
	for (link = &tracker->devices; *link && (*link)->index != index; link = &(*link)->next)
		;
	if (*link) {
		result = tracker->active && !(*link)->host ? -EBUSY : 0;
		if (!result) {
			device = *link;
			if (tracker->active && tracker_host_flush(tracker, device))
				tracker->lost = true;
			*link = device->next;
			tracker_host_put(tracker, device);
		}
	}
	pthread_mutex_unlock(&tracker->lock);
	viommu_free(device);
	return result;
}

/*
 * Inside an access section, and from a listener of the memory, its log cannot be stopped. It stays, costs a little time, and goes
 * with the next stop; a start takes it over: dirt of before is more than there was, which is allowed.
 */
static void stop_log(struct viommu_tracker *tracker)
{
	int result = viommu_memory_dirty_stop(tracker->memory);

	tracker->log_left = result == -EDEADLK || result == -EBUSY;
}

static void stop_sources(struct viommu_tracker *tracker)
{
	for (struct tracked_device *device = tracker->devices; device; device = device->next) {
		if (device->log_started)
			device->log.stop(device->log_opaque);
		device->log_started = false;
	}
	for (struct viommu_space *space = tracker->spaces; space; space = space->next) {
		if (space->tracked)
			space->ops.stop(space->opaque);
		space->tracked = false;
	}
	tracker_hosts_stop(tracker);
	stop_log(tracker);
}

static int start_device(struct viommu_tracker *tracker, struct tracked_device *device)
{
	struct viommu_space *space = device->space;
	int result = 0;

	switch (tracker_method(tracker, device)) {
	case VIOMMU_TRACKING_IOMMU:
		if (device->host)
			return tracker_hosts_start(device->host);
		if (!space->tracked) {
			result = space->ops.start(space->opaque);
			space->tracked = !result;
		}
		return result;
	case VIOMMU_TRACKING_DEVICE:
		result = device->log.start(device->log_opaque);
		device->log_started = !result;
		return result;
	case VIOMMU_TRACKING_EMULATED:
		return 0;
	case VIOMMU_TRACKING_NONE:
		break;
	}
	return -EOPNOTSUPP;
}

static int start_locked(struct viommu_tracker *tracker)
{
	int result;

	if (tracker->active)
		return -EALREADY;
	if (tracker_blockers(tracker, NULL, 0))
		return -EOPNOTSUPP;
	result = viommu_memory_dirty_start(tracker->memory, PAGE_SHIFT);
	if (result == -EALREADY && tracker->log_left)
		result = 0;
	if (result)
		return result;
	tracker->lost = tracker->log_left = false;
	/* Before the sources: an unmap that runs while they start must not skip its query. */
	tracker->active = true;
	for (struct tracked_device *device = tracker->devices; device && !result; device = device->next)
		result = start_device(tracker, device);
	if (result) {
		tracker->active = false;
		stop_sources(tracker);
	}
	return result;
}

int viommu_tracker_start(struct viommu_tracker *tracker)
{
	int result;

	pthread_mutex_lock(&tracker->lock);
	result = start_locked(tracker);
	pthread_mutex_unlock(&tracker->lock);
	return result;
}

void viommu_tracker_stop(struct viommu_tracker *tracker)
{
	pthread_mutex_lock(&tracker->lock);
	if (tracker->active) {
		tracker->active = false;
		stop_sources(tracker);
	} else if (tracker->log_left) {
		stop_log(tracker);
	}
	pthread_mutex_unlock(&tracker->lock);
}

bool viommu_tracker_active(const struct viommu_tracker *tracker)
{
	return tracker->active;
}

int viommu_tracker_statistics(struct viommu_tracker *tracker, struct viommu_tracker_statistics *statistics)
{
	struct viommu_tracker_statistics now = {
		.queries = tracker->queries,
		.unmaps = tracker->unmaps,
		.unmap_queries = tracker->unmap_queries,
		.unmaps_outright = tracker->unmaps_outright,
		.pages = tracker->pages,
	};

	pthread_mutex_lock(&tracker->lock);
	for (struct tracked_device *device = tracker->devices; device; device = device->next)
		now.devices++;
	for (struct viommu_space *space = tracker->spaces; space; space = space->next)
		now.spaces++;
	pthread_mutex_unlock(&tracker->lock);
	return sized_export(statistics, &now, sizeof(now));
}
