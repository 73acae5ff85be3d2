/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA logging: which pages of the guest memory were written, by emulated devices and by physical ones.
 *
 * Logging is a property of the VM (viommu/migration.h, the tracker), which endpoints and the daemon's own operator share: the first to
 * start switches it on, the last to stop switches it off, and a page is reported once, by whichever is asked first.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOG_PAGE_SHIFT 12
/* The tracker answers for multiples of 64 pages. */
#define LOG_UNIT (UINT64_C(64) << LOG_PAGE_SHIFT)

/* A tracker that is on; a daemon serves one VM, so there is rarely a second. */
struct logged_vm {
	struct logged_vm *next;
	struct viommu_tracker *tracker;
	unsigned int users;
};

static pthread_mutex_t logged_lock = PTHREAD_MUTEX_INITIALIZER;
static struct logged_vm *logged;

static struct logged_vm **find_logged(const struct viommu_tracker *tracker)
{
	struct logged_vm **at = &logged;

	while (*at && (*at)->tracker != tracker)
		at = &(*at)->next;
	return at;
}

static void log_blockers(struct server_endpoint *e)
{
	char text[1024], *rest = text, *line;

	if (viommu_tracker_blockers(e->tracker, text, sizeof(text)) <= 0)
		return;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			server_log(e, "no DMA logging: %s", line);
}

int server_logging_start(struct viommu_tracker *tracker)
{
	struct logged_vm **at;
	int ret = 0;

	pthread_mutex_lock(&logged_lock);
	at = find_logged(tracker);
	if (!*at) {
		struct logged_vm *fresh = calloc(1, sizeof(*fresh));

		ret = fresh ? viommu_tracker_start(tracker) : -ENOMEM;
		if (ret) {
			free(fresh);
		} else {
			fresh->tracker = tracker;
			*at = fresh;
		}
	}
	if (!ret)
		(*at)->users++;
	pthread_mutex_unlock(&logged_lock);
	return ret;
}

void server_logging_stop(struct viommu_tracker *tracker)
{
	struct logged_vm **at, *done = NULL;

	pthread_mutex_lock(&logged_lock);
	at = find_logged(tracker);
	if (*at && !--(*at)->users) {
		done = *at;
		*at = done->next;
		viommu_tracker_stop(tracker);
	}
	pthread_mutex_unlock(&logged_lock);
	free(done);
}

static int logging_start(struct server_endpoint *e)
{
	int ret;

	if (e->migration.logging)
		return -EALREADY;
	ret = server_logging_start(e->tracker);
	e->migration.logging = !ret;
	if (ret == -EOPNOTSUPP)
		log_blockers(e);
	return ret;
}

static int logging_stop(struct server_endpoint *e)
{
	if (!e->migration.logging)
		return -EINVAL;
	e->migration.logging = false;
	server_logging_stop(e->tracker);
	return 0;
}

void dirty_forget(struct server_endpoint *e)
{
	if (e->migration.logging)
		logging_stop(e);
}

int dirty_start(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct wire_logging_start start;
	size_t fixed = sizeof(struct wire_device_feature) + sizeof(start);
	int ret;

	if (m->length < fixed)
		return -EINVAL;
	memcpy(&start, m->payload + sizeof(struct wire_device_feature), sizeof(start));
	if (start.reserved || !start.page_size || (start.page_size & (start.page_size - 1)) ||
	    m->length - fixed != start.ranges * sizeof(struct wire_range))
		return -EINVAL;
	ret = logging_start(e);
	if (ret)
		return ret;
	/* the ranges are a hint; all writes are logged */
	start.page_size = 1u << LOG_PAGE_SHIFT;
	memcpy(reply->data, m->payload, m->length);
	memcpy(reply->data + sizeof(struct wire_device_feature), &start, sizeof(start));
	reply->length = m->length;
	return 0;
}

int dirty_stop(struct server_endpoint *e)
{
	return logging_stop(e);
}

static bool bit(const uint64_t *words, uint64_t n)
{
	return words[n / 64] >> (n % 64) & 1;
}

/* Pages [first, first + pages) of what was collected, as bits of larger pages. */
static void coarsen(const uint64_t *fine, uint64_t first, uint64_t pages, uint64_t *coarse,
		    unsigned int shift)
{
	/* What is asked for in practice: pages of the log's own size, from a word's first bit. */
	if (!shift && !(first % 64)) {
		memcpy(coarse, fine + first / 64, (pages + 63) / 64 * 8);
		if (pages % 64)
			coarse[pages / 64] &= (UINT64_C(1) << pages % 64) - 1;
		return;
	}
	for (uint64_t page = 0; page < pages; page++)
		if (bit(fine, first + page))
			coarse[(page >> shift) / 64] |= UINT64_C(1) << ((page >> shift) % 64);
}

/* Collected, and not asked for: it stays for the next report. */
static void give_back(struct server_endpoint *e, const uint64_t *fine, uint64_t gpa, uint64_t first,
		      uint64_t end)
{
	for (uint64_t page = first; page < end; page++)
		if (bit(fine, page))
			viommu_memory_mark_dirty(e->memory, gpa + (page << LOG_PAGE_SHIFT),
						 1u << LOG_PAGE_SHIFT);
}

static int query(struct server_endpoint *e, const struct wire_logging_report *report,
		 uint8_t *bitmap, size_t bytes)
{
	uint64_t gpa = report->iova & ~(LOG_UNIT - 1);
	uint64_t last = (report->iova + (report->length - 1)) | (LOG_UNIT - 1);
	uint64_t first = (report->iova - gpa) >> LOG_PAGE_SHIFT;
	uint64_t pages = report->length >> LOG_PAGE_SHIFT;
	uint64_t all = (last - gpa + 1) >> LOG_PAGE_SHIFT;
	unsigned int shift = (unsigned int)__builtin_ctzll(report->page_size) - LOG_PAGE_SHIFT;
	uint64_t *fine = calloc(all / 64, 8), *coarse = calloc(1, bytes);
	int ret = fine && coarse ? 0 : -ENOMEM;

	if (!ret && server_injected(e, SERVER_FAULT_REPORT))
		ret = -EIO;
	if (!ret)
		ret = viommu_tracker_query(e->tracker, gpa, last - gpa + 1, fine);
	if (ret == -EIO)
		server_log(e, "written pages were lost: the migration must fail");
	if (!ret) {
		coarsen(fine, first, pages, coarse, shift);
		give_back(e, fine, gpa, 0, first);
		give_back(e, fine, gpa, first + pages, all);
		memcpy(bitmap, coarse, bytes);
	}
	free(fine);
	free(coarse);
	return ret;
}

int dirty_report(struct server_endpoint *e, struct message *m, uint32_t argsz, struct reply *reply)
{
	struct wire_logging_report report;
	size_t fixed = sizeof(struct wire_device_feature) + sizeof(report), bytes;
	int ret = 0;

	if (m->length != fixed || !e->migration.logging)
		return -EINVAL;
	memcpy(&report, m->payload + sizeof(struct wire_device_feature), sizeof(report));
	if (report.page_size < (1u << LOG_PAGE_SHIFT) ||
	    (report.page_size & (report.page_size - 1)) || !report.length ||
	    ((report.iova | report.length) & ((1u << LOG_PAGE_SHIFT) - 1)) ||
	    report.length >> LOG_PAGE_SHIFT > SERVER_MAX_TRANSFER * UINT64_C(8) ||
	    report.iova + (report.length - 1) < report.iova)
		return -EINVAL;
	bytes = ((report.length - 1) / report.page_size / 64 + 1) * 8;
	memcpy(reply->data + reply->length, &report, sizeof(report));
	reply->length += sizeof(report);
	argsz = argsz < fixed + bytes ? 0 : argsz;
	if (argsz) {
		ret = query(e, &report, reply->data + reply->length, bytes);
		reply->length += bytes;
	}
	((struct wire_device_feature *)(void *)reply->data)->argsz = (uint32_t)(fixed + bytes);
	return ret;
}
