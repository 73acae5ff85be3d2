/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How each device's writes are tracked, and what forbids migration.
 *
 * The host IOMMU is preferred, because it also covers what a guest unmaps: the dirt is read at the mapping's GPA
 * before the mapping goes. A device's own log knows IOVAs only, and behind a unit nobody can tell afterwards
 * where an IOVA led; so it is used only when every device has one and none is behind a unit, or the IOMMU cannot.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "migration/internal.h"

static bool every_log_usable(const struct viommu_tracker *tracker)
{
	for (const struct tracked_device *device = tracker->devices; device; device = device->next)
		if (device_is_real(device) && (!device->has_log || device->behind_unit))
			return false;
	return true;
}

enum viommu_tracking tracker_method(const struct viommu_tracker *tracker, const struct tracked_device *device)
{
	if (!device_is_real(device))
		return VIOMMU_TRACKING_EMULATED;
	if (device->can_track && !every_log_usable(tracker))
		return VIOMMU_TRACKING_IOMMU;
	if (device->has_log)
		return VIOMMU_TRACKING_DEVICE;
	return device->can_track ? VIOMMU_TRACKING_IOMMU : VIOMMU_TRACKING_NONE;
}

static const char *reason(const struct viommu_tracker *tracker, const struct tracked_device *device)
{
	switch (tracker_method(tracker, device)) {
	case VIOMMU_TRACKING_EMULATED:
		return "its DMA goes through this library, which tracks it";
	case VIOMMU_TRACKING_DEVICE:
		return device->can_track ?
			       "every device tracks its own DMA and none is behind a unit" :
			       "the host IOMMU cannot track dirty pages for it";
	case VIOMMU_TRACKING_IOMMU:
		return device->has_log ? "a device without a log of its own, or a unit, is in the VM" :
					 "it has no log of its own and the host IOMMU tracks dirty pages";
	case VIOMMU_TRACKING_NONE:
		break;
	}
	return "it has no log of its own and the host IOMMU cannot track dirty pages";
}

static const char *const method_names[] = {
	[VIOMMU_TRACKING_NONE] = "cannot be tracked",
	[VIOMMU_TRACKING_EMULATED] = "tracked by emulation",
	[VIOMMU_TRACKING_IOMMU] = "tracked by the host IOMMU",
	[VIOMMU_TRACKING_DEVICE] = "tracked by the device",
};

int viommu_tracker_method(struct viommu_tracker *tracker, uint32_t index,
			  enum viommu_tracking *method, char *text, size_t length)
{
	int result = -ENOENT;

	pthread_mutex_lock(&tracker->lock);
	for (struct tracked_device *device = tracker->devices; device; device = device->next) {
		if (device->index != index)
			continue;
		*method = tracker_method(tracker, device);
		if (text)
			snprintf(text, length, "%s: %s: %s", device->name, method_names[*method],
				 reason(tracker, device));
		result = 0;
		break;
	}
	pthread_mutex_unlock(&tracker->lock);
	return result;
}

struct lines {
	char *text;
	size_t length;
	size_t used;
	int count;
};

__attribute__((format(printf, 2, 3))) static void add_line(struct lines *lines, const char *format, ...)
{
	va_list arguments;
	int written;

	lines->count++;
	if (!lines->text || lines->used >= lines->length)
		return;
	va_start(arguments, format);
	written = vsnprintf(lines->text + lines->used, lines->length - lines->used, format, arguments);
	va_end(arguments);
	lines->used += written > 0 ? (size_t)written : 0;
}

static int add_segment(void *opaque, const struct viommu_segment_info *segment)
{
	uint64_t *total = opaque;

	if (segment->hva)
		*total += segment->length;
	return 0;
}

static void check_device(struct viommu_tracker *tracker, const struct tracked_device *device, struct lines *lines)
{
	enum viommu_tracking method = tracker_method(tracker, device);

	if (method == VIOMMU_TRACKING_NONE)
		add_line(lines, "device %s: its writes cannot be tracked: %s\n", device->name,
			 reason(tracker, device));
	if (method == VIOMMU_TRACKING_DEVICE && device->behind_unit)
		add_line(lines,
			 "device %s: it tracks only its own IOVAs, and behind a unit these lose their meaning "
			 "when the guest unmaps them; the host IOMMU would have to track\n",
			 device->name);
	if (!device->migratable)
		add_line(lines, "device %s: it cannot save and load its state (no VFIO migration v2)\n",
			 device->name);
	if (!device->drainable)
		add_line(lines, "device %s: its queues cannot be drained\n", device->name);
}

/* The legacy back end describes a whole mapping in one bitmap. */
static void check_bitmap(struct viommu_tracker *tracker, const struct tracked_device *device, uint64_t ram,
			 struct lines *lines)
{
	uint64_t largest = device->space ? device->space->max_bitmap : device->max_bitmap;

	if (largest && ram >> PAGE_SHIFT >> 3 > largest &&
	    tracker_method(tracker, device) == VIOMMU_TRACKING_IOMMU)
		add_line(lines,
			 "device %s: the VM has %" PRIu64 " MiB of memory, the largest dirty bitmap of its host "
			 "describes %" PRIu64 " MiB\n",
			 device->name, ram >> 20, (largest << 3 << PAGE_SHIFT) >> 20);
}

int tracker_blockers(struct viommu_tracker *tracker, char *text, size_t length)
{
	struct lines lines = { .text = text, .length = length };
	uint64_t ram = 0;

	if (text && length)
		text[0] = '\0';
	viommu_memory_each(tracker->memory, add_segment, &ram);
	for (const struct tracked_device *device = tracker->devices; device; device = device->next) {
		check_device(tracker, device, &lines);
		check_bitmap(tracker, device, ram, &lines);
	}
	return lines.count;
}

int viommu_tracker_blockers(struct viommu_tracker *tracker, char *text, size_t length)
{
	int count;

	pthread_mutex_lock(&tracker->lock);
	count = tracker_blockers(tracker, text, length);
	pthread_mutex_unlock(&tracker->lock);
	return count;
}
