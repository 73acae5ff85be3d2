/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log of written pages by hand: for a manager that copies a VM's memory and whose VMM speaks vfio-user without its migration,
 * as QEMU does. The control socket's thread.
 *
 * The file is a bitmap by guest-physical address. Nobody is told of a page twice, so what a query has collected is in the file,
 * or it goes back.
 */
#include "daemon_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_SHIFT 12
/* The tracker answers for multiples of 64 pages. */
#define UNIT	   (UINT64_C(64) << PAGE_SHIFT)

/* RAM in one piece, and what of it was written. */
struct range {
	uint64_t gpa, end;
	uint64_t *bitmap;
};

struct ranges {
	struct range *list;
	size_t count, room;
};

/* Segments come in order of GPA; what lies together, or in the same 64 pages, becomes one range. */
static int add_segment(void *opaque, const struct viommu_segment_info *segment)
{
	struct ranges *r = opaque;
	uint64_t gpa = segment->gpa & ~(UNIT - 1);
	uint64_t end = (segment->gpa + segment->length - 1) | (UNIT - 1);

	if (!segment->hva)
		return 0;
	if (r->count && gpa <= r->list[r->count - 1].end) {
		r->list[r->count - 1].end = end + 1;
		return 0;
	}
	if (r->count == r->room) {
		size_t room = r->room ? r->room * 2 : 16;
		struct range *grown = reallocarray(r->list, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		r->list = grown;
		r->room = room;
	}
	r->list[r->count++] = (struct range){ .gpa = gpa, .end = end + 1 };
	return 0;
}

static size_t words(const struct range *range)
{
	return (size_t)((range->end - range->gpa) / UNIT);
}

static uint64_t count_pages(const struct ranges *r)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < r->count; i++)
		for (size_t word = 0; r->list[i].bitmap && word < words(&r->list[i]); word++)
			pages += (uint64_t)__builtin_popcountll(r->list[i].bitmap[word]);
	return pages;
}

static void give_back(struct daemon *d, const struct ranges *r)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct range *range = &r->list[i];

		for (size_t page = 0; range->bitmap && page < words(range) * 64; page++)
			if (range->bitmap[page / 64] >> page % 64 & 1)
				viommu_memory_mark_dirty(d->memory, range->gpa + ((uint64_t)page << PAGE_SHIFT),
							 UINT64_C(1) << PAGE_SHIFT);
	}
}

static int collect(struct daemon *d, struct ranges *r)
{
	int ret = viommu_memory_each(d->memory, add_segment, r);

	for (size_t i = 0; !ret && i < r->count; i++) {
		struct range *range = &r->list[i];

		range->bitmap = calloc(words(range), sizeof(*range->bitmap));
		ret = range->bitmap ? viommu_tracker_query(d->tracker, range->gpa, range->end - range->gpa,
							   range->bitmap)
				    : -ENOMEM;
	}
	return ret;
}

static bool write_at(int fd, const void *data, size_t length, uint64_t offset)
{
	const char *at = data;

	while (length) {
		ssize_t done = pwrite(fd, at, length, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		at += done;
		length -= (size_t)done;
		offset += (uint64_t)done;
	}
	return true;
}

/* Where there is no RAM the file has holes, or ends. Whole or not at all, as a saved state. */
static int write_bitmap(const struct ranges *r, const char *file, char *message, size_t room)
{
	char path[4096];
	bool good;
	int fd = -1;

	errno = ENAMETOOLONG;
	if (snprintf(path, sizeof(path), "%s.part", file) < (int)sizeof(path))
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	good = fd >= 0;
	for (size_t i = 0; good && i < r->count; i++)
		good = write_at(fd, r->list[i].bitmap, words(&r->list[i]) * 8, r->list[i].gpa >> PAGE_SHIFT >> 3);
	if (good && !rename(path, file)) {
		close(fd);
		return 0;
	}
	snprintf(message, room, "%s: %s", file, strerror(errno));
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
	return -EIO;
}

static void describe(const struct ranges *r, json_t *reply)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->count; i++)
		json_array_append_new(list,
				      json_pack("{s:I, s:I}", "gpa", (json_int_t)r->list[i].gpa, "length",
						(json_int_t)(r->list[i].end - r->list[i].gpa)));
	json_object_set_new(reply, "pages", json_integer((json_int_t)count_pages(r)));
	json_object_set_new(reply, "page-size", json_integer(1 << PAGE_SHIFT));
	json_object_set_new(reply, "ranges", list);
}

int daemon_dirty_query(struct daemon *d, const char *file, json_t *reply, char *message, size_t length)
{
	struct ranges r = { 0 };
	int ret;

	if (!d->logging) {
		snprintf(message, length, "no log is kept; \"dirty-start\" begins one");
		return -ENOENT;
	}
	if (!*file) {
		snprintf(message, length, "file=PATH is needed");
		return -EINVAL;
	}
	ret = collect(d, &r);
	if (ret == -EIO)
		snprintf(message, length, "written pages were lost: the migration must fail");
	if (!ret)
		ret = write_bitmap(&r, file, message, length);
	if (ret)
		give_back(d, &r);
	else
		describe(&r, reply);
	for (size_t i = 0; i < r.count; i++)
		free(r.list[i].bitmap);
	free(r.list);
	return ret;
}

int daemon_dirty_start(struct daemon *d, char *message, size_t length)
{
	int ret;

	if (d->logging) {
		snprintf(message, length, "the log is on already");
		return -EALREADY;
	}
	ret = server_logging_start(d->tracker);
	d->logging = !ret;
	/* One reason a line; a message is one line. */
	if (ret == -EOPNOTSUPP && viommu_tracker_blockers(d->tracker, message, length) > 0)
		for (char *at = message; (at = strchr(at, '\n'));)
			*at = at[1] ? ';' : 0;
	return ret;
}

int daemon_dirty_stop(struct daemon *d, char *message, size_t length)
{
	if (!d->logging) {
		snprintf(message, length, "no log is kept");
		return -ENOENT;
	}
	d->logging = false;
	server_logging_stop(d->tracker);
	return 0;
}
