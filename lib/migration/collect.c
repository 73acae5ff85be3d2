/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Collecting dirty bits: a query over RAM, and the query before an unmap.
 *
 * Two rules keep every page. A query asks the sources first and the guest memory's own log last, so
 * that dirt an unmap moves from a source into the log meanwhile is found in one or the other. And an unmap marks outright only *after* the
 * mapping is gone: a mark made before could be collected, and the page sent, while the device still writes it.
 * An unmap that asks does so before (the source forgets the mapping with its bits), and where the host offers it, in the same step.
 */
#include <errno.h>
#include <string.h>

#include "memory/alloc.h"
#include "memory/memory_internal.h"
#include "migration/internal.h"

uint64_t tracker_chunk_length(uint64_t max_bitmap)
{
	uint64_t bytes = max_bitmap && max_bitmap < CHUNK_BYTES ? max_bitmap : CHUNK_BYTES;

	return bytes << 3 << PAGE_SHIFT;
}

uint64_t tracker_mark(struct viommu_tracker *tracker, const uint64_t *bitmap, uint64_t gpa, uint64_t length)
{
	uint64_t pages = length >> PAGE_SHIFT, marked = 0, first = 0;

	while (first < pages) {
		uint64_t word = bitmap[first / 64] >> (first % 64), last;

		if (!word) {
			first = (first | 63) + 1;
			continue;
		}
		first += (uint64_t)__builtin_ctzll(word);
		for (last = first; last < pages && bitmap[last / 64] >> (last % 64) & 1; last++)
			;
		if (first >= pages)
			break;
		viommu_memory_mark_dirty(tracker->memory, gpa + (first << PAGE_SHIFT),
					 (last - first) << PAGE_SHIFT);
		marked += last - first;
		first = last;
	}
	return marked;
}

/* One query over RAM at work. */
struct collection {
	struct viommu_tracker *tracker;
	const struct viommu_dirty_ops *ops;
	void *opaque;
	uint64_t max_bitmap;
	uint64_t gpa;
	uint64_t length;
	uint64_t *bitmap;
};

static uint64_t count_bits(const uint64_t *words, uint64_t count)
{
	uint64_t bits = 0;

	for (uint64_t i = 0; i < count; i++)
		bits += (uint64_t)__builtin_popcountll(words[i]);
	return bits;
}

/* Ask a source about [iova, iova + length), which leads to gpa inside the range asked for, chunk by chunk. */
static int collect_range(struct collection *c, uint64_t iova, uint64_t gpa, uint64_t length)
{
	uint64_t *chunk = c->tracker->chunk;
	uint64_t limit = tracker_chunk_length(c->max_bitmap);
	int result = 0;

	while (length && !result) {
		uint64_t now = length < limit ? length : limit;
		uint64_t pages = now >> PAGE_SHIFT, words = (pages + 63) / 64;

		c->tracker->queries++;
		result = c->ops->query(c->opaque, iova, now, chunk, false);
		/* Also of a query that failed: what it cleared on its way is here only. */
		c->tracker->pages += count_bits(chunk, words);
		memory_bitmap_merge(c->bitmap, (gpa - c->gpa) >> PAGE_SHIFT, chunk, 0, pages);
		memset(chunk, 0, words * sizeof(*chunk));
		iova += now;
		gpa += now;
		length -= now;
	}
	return result;
}

static int collect_mapping(void *opaque, uint64_t iova, uint64_t length, uint64_t gpa, bool writable)
{
	struct collection *c = opaque;
	uint64_t first = gpa > c->gpa ? gpa : c->gpa;
	uint64_t end = gpa + length < c->gpa + c->length ? gpa + length : c->gpa + c->length;

	if (!writable || first >= end)
		return 0;
	return collect_range(c, iova + (first - gpa), first, end - first);
}

/* A segment of RAM, seen through a source whose IOVAs are GPAs. */
static int collect_segment(void *opaque, const struct viommu_segment_info *segment)
{
	bool writable = segment->hva && !(segment->flags & VIOMMU_SEGMENT_READONLY);

	return collect_mapping(opaque, segment->gpa, segment->length, segment->gpa, writable);
}

/* Move bits [first, end) of a mapping's bitmap, by GPA, into the log: dirt outside the range that was asked for. */
static void put_aside(struct collection *c, uint64_t *bitmap, uint64_t gpa, uint64_t first, uint64_t end)
{
	for (uint64_t page = first; page < end; page++)
		if (bitmap[page / 64] >> page % 64 & 1)
			viommu_memory_mark_dirty(c->tracker->memory, gpa + (page << PAGE_SHIFT),
						 UINT64_C(1) << PAGE_SHIFT);
}

/*
 * Legacy VFIO answers for whole mappings only. What lies outside the range asked for is cleared in the source with the
 * rest, and waits in the log.
 */
static int collect_whole(struct collection *c, uint64_t iova, uint64_t length, uint64_t gpa)
{
	uint64_t pages = length >> PAGE_SHIFT, words = (pages + 63) / 64;
	uint64_t first = gpa < c->gpa ? (c->gpa - gpa) >> PAGE_SHIFT : 0;
	uint64_t end = gpa + length > c->gpa + c->length ? (c->gpa + c->length - gpa) >> PAGE_SHIFT : pages;
	uint64_t *bitmap = viommu_calloc(words, sizeof(*bitmap));
	int result;

	if (!bitmap)
		return -ENOMEM;
	c->tracker->queries++;
	result = c->ops->query(c->opaque, iova, length, bitmap, false);
	c->tracker->pages += count_bits(bitmap, words);
	memory_bitmap_merge(c->bitmap, (gpa + (first << PAGE_SHIFT) - c->gpa) >> PAGE_SHIFT, bitmap, first,
			    end - first);
	put_aside(c, bitmap, gpa, 0, first);
	put_aside(c, bitmap, gpa, end, pages);
	viommu_free(bitmap);
	return result;
}

static int collect_hosted(void *opaque, const struct viommu_space *space, uint64_t iova, uint64_t length,
			  uint64_t gpa, bool writable)
{
	struct collection *c = opaque;

	c->ops = &space->ops;
	c->opaque = space->opaque;
	c->max_bitmap = space->max_bitmap;
	if (space->atomic && writable && gpa < c->gpa + c->length && gpa + length > c->gpa)
		return collect_whole(c, iova, length, gpa);
	return collect_mapping(c, iova, length, gpa, writable);
}

static int collect_sources(struct viommu_tracker *tracker, struct collection *c)
{
	int result = 0;

	for (struct viommu_space *space = tracker->spaces; space && !result; space = space->next) {
		if (!space->tracked)
			continue;
		c->ops = &space->ops;
		c->opaque = space->opaque;
		c->max_bitmap = space->max_bitmap;
		result = space->identity ? viommu_memory_each(tracker->memory, collect_segment, c) :
					   space->ops.each(space->opaque, collect_mapping, c);
	}
	if (!result)
		result = tracker_hosts_each(tracker, collect_hosted, c);
	for (struct tracked_device *device = tracker->devices; device && !result; device = device->next) {
		if (!device->log_started)
			continue;
		c->ops = &device->log;
		c->opaque = device->log_opaque;
		c->max_bitmap = 0;
		result = viommu_memory_each(tracker->memory, collect_segment, c);
	}
	return result;
}

int viommu_tracker_query(struct viommu_tracker *tracker, uint64_t gpa, uint64_t length, uint64_t *bitmap)
{
	struct collection c = { .tracker = tracker, .gpa = gpa, .length = length, .bitmap = bitmap };
	int result = -ENOENT;

	if (!bitmap || !length || (gpa | length) & ((UINT64_C(64) << PAGE_SHIFT) - 1) || gpa + length < gpa)
		return -EINVAL;
	pthread_mutex_lock(&tracker->lock);
	if (tracker->active)
		result = collect_sources(tracker, &c);
	if (!result)
		result = viommu_memory_dirty_query(tracker->memory, gpa, length, bitmap, false);
	/* The caller may throw its bitmap away with the error: what the sources have cleared is for the next query, too. */
	if (result && tracker->active)
		tracker_mark(tracker, bitmap, gpa, length);
	if (!result && tracker->lost)
		result = -EIO;
	pthread_mutex_unlock(&tracker->lock);
	return result;
}

int tracker_flush(struct viommu_tracker *tracker, const struct viommu_space *space, uint64_t iova, uint64_t length,
		  uint64_t gpa)
{
	uint64_t limit = tracker_chunk_length(space->max_bitmap);
	int result = 0;

	/* Legacy VFIO says of every page that it is dirty, and only of whole mappings. */
	if (space->atomic) {
		viommu_memory_mark_dirty(tracker->memory, gpa, length);
		return 0;
	}
	for (uint64_t at = 0; at < length && !result; at += limit) {
		uint64_t now = length - at < limit ? length - at : limit;

		tracker->queries++;
		result = space->ops.query(space->opaque, iova + at, now, tracker->chunk, false);
		if (!result)
			tracker->pages += tracker_mark(tracker, tracker->chunk, gpa + at, now);
		memset(tracker->chunk, 0, CHUNK_BYTES);
	}
	return result;
}

/*
 * The bitmap of a mapping about to go, moved into the log: read in the unmap itself where the host can, else before it.
 * The marks come last: a page marked earlier could be collected and sent while the device still writes it.
 */
static int unmap_asking(struct viommu_tracker *tracker, struct viommu_space *space, uint64_t iova,
			uint64_t length, uint64_t gpa, uint64_t *bitmap)
{
	bool atomic = space->atomic && !tracker->disordered;
	int asked = 0, unmapped;

	tracker->unmap_queries++;
	if (!atomic && !tracker->disordered)
		asked = space->ops.query(space->opaque, iova, length, bitmap, true);
	unmapped = space->ops.unmap(space->opaque, iova, length, atomic ? bitmap : NULL);
	if (tracker->disordered)
		asked = space->ops.query(space->opaque, iova, length, bitmap, true);
	if (!asked && !(unmapped && atomic))
		tracker->pages += tracker_mark(tracker, bitmap, gpa, length);
	if (asked || (unmapped && atomic))
		tracker->lost = true;
	return unmapped ? unmapped : asked;
}

static int unmap_outright(struct viommu_tracker *tracker, struct viommu_space *space, uint64_t iova,
			  uint64_t length, uint64_t gpa)
{
	int result;

	tracker->unmaps_outright++;
	if (tracker->disordered)
		viommu_memory_mark_dirty(tracker->memory, gpa, length);
	result = space->ops.unmap(space->opaque, iova, length, NULL);
	if (!tracker->disordered)
		viommu_memory_mark_dirty(tracker->memory, gpa, length);
	return result;
}

/* Devices with logs of their own: their log outlives the mapping, so it is asked when the last write has happened. */
static int query_logs(struct viommu_tracker *tracker, struct viommu_space *space, uint64_t iova,
		      uint64_t length, uint64_t gpa)
{
	uint64_t limit = tracker_chunk_length(0);
	uint64_t *bitmap = NULL;
	int result = 0;

	for (struct tracked_device *device = tracker->devices; device; device = device->next) {
		if (!device->log_started || (space->host ? device->host != space->host : device->space != space))
			continue;
		if (!bitmap && !(bitmap = viommu_aligned_zalloc(64, CHUNK_BYTES))) {
			viommu_memory_mark_dirty(tracker->memory, gpa, length);
			return 0;
		}
		for (uint64_t at = 0; at < length && !result; at += limit) {
			uint64_t now = length - at < limit ? length - at : limit;

			tracker->unmap_queries++;
			result = device->log.query(device->log_opaque, iova + at, now, bitmap, false);
			if (!result)
				tracker->pages += tracker_mark(tracker, bitmap, gpa + at, now);
			memset(bitmap, 0, CHUNK_BYTES);
		}
	}
	viommu_free(bitmap);
	if (result)
		tracker->lost = true;
	return result;
}

/* The bitmap of a mapping this long may not be had: too long for one query, or no memory. */
static uint64_t *unmap_bitmap(const struct viommu_space *space, uint64_t length)
{
	uint64_t words = ((length >> PAGE_SHIFT) + 63) / 64;

	if (space->max_bitmap && words * 8 > space->max_bitmap)
		return NULL;
	return viommu_calloc(words, sizeof(uint64_t));
}

int viommu_tracker_unmap(struct viommu_tracker *tracker, struct viommu_space *space, uint64_t iova,
			 uint64_t length, uint64_t gpa, bool writable)
{
	uint64_t *bitmap;
	int result, logged = 0;

	if ((iova | length | gpa) & (VIOMMU_DIRTY_PAGE - 1) || !length)
		return -EINVAL;
	tracker->unmaps++;
	if (!tracker->active || !writable)
		return space->ops.unmap(space->opaque, iova, length, NULL);
	if (!space->tracked) {
		result = space->ops.unmap(space->opaque, iova, length, NULL);
		logged = query_logs(tracker, space, iova, length, gpa);
		return result ? result : logged;
	}
	/*
	 * More dirt than there was is always allowed: it is what remains when a bitmap cannot be had, and when a device
	 * may write between question and unmap. Where nothing is attached any more, the question is exact.
	 */
	bitmap = length <= VIOMMU_DIRTY_OUTRIGHT || (space->live && !space->atomic) ? NULL :
										      unmap_bitmap(space, length);
	if (!bitmap)
		return unmap_outright(tracker, space, iova, length, gpa);
	result = unmap_asking(tracker, space, iova, length, gpa, bitmap);
	viommu_free(bitmap);
	return result;
}

struct mapping {
	uint64_t iova, length, gpa;
	bool writable;
};

struct first_mapping {
	struct mapping mapping;
	uint64_t from;
};

static int take_first(void *opaque, uint64_t iova, uint64_t length, uint64_t gpa, bool writable)
{
	struct first_mapping *first = opaque;

	if (iova < first->from)
		return 0;
	first->mapping = (struct mapping){ iova, length, gpa, writable };
	return 1;
}

int viommu_tracker_unmap_all(struct viommu_tracker *tracker, struct viommu_space *space)
{
	struct first_mapping first = { .from = 0 };
	int result = 0, each;

	if (!space->ops.each)
		return -EINVAL;
	/* From the front, always behind the last one, so that a mapping that refuses to go does not stop the rest. */
	while ((each = space->ops.each(space->opaque, take_first, &first)) == 1) {
		struct mapping *m = &first.mapping;
		int now = viommu_tracker_unmap(tracker, space, m->iova, m->length, m->gpa, m->writable);

		result = result ? result : now;
		if (m->iova + m->length <= m->iova)
			break;
		first.from = m->iova + m->length;
	}
	return result ? result : each;
}
