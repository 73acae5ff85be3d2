/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest-physical address space: adding, removing and announcing segments.
 *
 * Every change builds a new table beside the published one and swaps the pointer. A removed segment's memory is given back only
 * after the grace period in which the last reader of the old table ends its access section. Writers are
 * serialised by a mutex that a reader never takes; hence the calls here refuse to run inside an access section, where
 * waiting for that mutex could wait for the caller itself.
 *
 * A segment mapped from a file that is cut short later raises SIGBUS in whoever touches it, as any mapping does. The length is
 * checked when the segment is added; keeping the file that long is the owner's duty (seal a memfd with F_SEAL_SHRINK).
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "memory/alloc.h"
#include "memory/memory_internal.h"
#include "memory/sized.h"

enum { PAGE = 4096 };

_Thread_local uint32_t memory_hint __attribute__((tls_model("initial-exec")));

static struct memory_table *table_create(uint32_t count)
{
	struct memory_table *table =
		viommu_zalloc(sizeof(*table) + count * sizeof(table->segments[0]));

	if (table)
		table->count = count;
	return table;
}

static void table_free(struct grace_head *head)
{
	viommu_free(head); /* the head is the first member */
}

static void publish(struct viommu_memory *memory, struct memory_table *table)
{
	struct memory_table *old = atomic_load_explicit(&memory->table, memory_order_relaxed);

	atomic_store_explicit(&memory->table, table, memory_order_release);
	atomic_fetch_add(&memory->generation, 1);
	grace_defer(&old->head, table_free);
}

static void describe(const struct memory_region *region, struct viommu_segment_info *info)
{
	*info = (struct viommu_segment_info){
		.size = sizeof(*info),
		.flags = region->flags,
		.gpa = region->gpa,
		.length = region->last - region->gpa + 1,
		.hva = region->hva,
	};
}

static void region_free(struct memory_region *region)
{
	struct memory_dirty *dirty = atomic_load_explicit(&region->dirty, memory_order_relaxed);

	if (dirty)
		memory_dirty_destroy(dirty);
	if (region->mapping)
		munmap(region->mapping, region->last - region->gpa + 1);
	viommu_free(region);
}

int viommu_memory_create(struct viommu_memory **result)
{
	struct viommu_memory *memory = viommu_zalloc(sizeof(*memory));
	struct memory_table *table = table_create(0);
	pthread_mutexattr_t attributes;

	if (!memory || !table) {
		viommu_free(memory);
		viommu_free(table);
		return -ENOMEM;
	}
	atomic_init(&memory->table, table);
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&memory->lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
	*result = memory;
	return 0;
}

void viommu_memory_destroy(struct viommu_memory *memory)
{
	struct memory_table *table;

	if (!memory)
		return;
	grace_wait();
	table = atomic_load_explicit(&memory->table, memory_order_relaxed);
	for (uint32_t i = 0; i < table->count; i++)
		region_free(table->segments[i].region);
	while (memory->listeners) {
		struct viommu_memory_listener *next = memory->listeners->next;

		viommu_free(memory->listeners);
		memory->listeners = next;
	}
	viommu_free(table);
	pthread_mutex_destroy(&memory->lock);
	viommu_free(memory);
}

/* Tell the listeners; a refusal of an addition stops, and the addition is taken back from those told before. */
static int announce(struct viommu_memory *memory, const struct memory_region *region, bool added)
{
	struct viommu_memory_listener *listener, *told;
	struct viommu_segment_info info;
	int ret = 0;

	describe(region, &info);
	memory->changing = true;
	for (listener = memory->listeners; listener; listener = listener->next) {
		ret = listener->change(listener->opaque, &info, added);
		if (ret && added)
			break;
		ret = 0;
	}
	if (ret) {
		for (told = memory->listeners; told != listener; told = told->next)
			told->change(told->opaque, &info, false);
	}
	memory->changing = false;
	return ret;
}

static int insert_locked(struct viommu_memory *memory, struct memory_region *region)
{
	struct memory_table *old = atomic_load_explicit(&memory->table, memory_order_relaxed);
	uint32_t at = memory_first(old, region->gpa);
	struct memory_dirty *dirty = NULL;
	struct memory_table *table;
	int ret;

	if (memory->changing)
		return -EBUSY;
	if (at < old->count && old->segments[at].gpa <= region->last)
		return -EEXIST;
	table = table_create(old->count + 1);
	if (!table)
		return -ENOMEM;
	memcpy(table->segments, old->segments, at * sizeof(table->segments[0]));
	table->segments[at] = (struct memory_segment){ region->gpa, region->last, region->hva, region };
	memcpy(table->segments + at + 1, old->segments + at,
	       (old->count - at) * sizeof(table->segments[0]));
	if (memory_dirty_on(memory) && region->hva && !(region->flags & VIOMMU_SEGMENT_READONLY)) {
		dirty = memory_dirty_create(region, memory->dirty_shift);
		if (!dirty) {
			viommu_free(table);
			return -ENOMEM;
		}
		atomic_store_explicit(&region->dirty, dirty, memory_order_relaxed);
	}
	ret = announce(memory, region, true);
	if (ret) {
		viommu_free(table);
		return ret;
	}
	publish(memory, table);
	return 0;
}

static int check(uint64_t gpa, uint64_t length, uint32_t flags)
{
	if (grace_inside())
		return -EDEADLK;
	if (!length || gpa % PAGE || length % PAGE || length - 1 > UINT64_MAX - gpa ||
	    flags & ~VIOMMU_SEGMENT_READONLY)
		return -EINVAL;
	return 0;
}

/* Takes over `from`: on failure whatever it maps is unmapped. */
static int insert(struct viommu_memory *memory, const struct memory_region *from)
{
	struct memory_region *region = viommu_zalloc(sizeof(*region));
	int ret;

	if (!region) {
		if (from->mapping)
			munmap(from->mapping, from->last - from->gpa + 1);
		return -ENOMEM;
	}
	*region = *from;
	pthread_mutex_lock(&memory->lock);
	ret = insert_locked(memory, region);
	pthread_mutex_unlock(&memory->lock);
	if (ret)
		region_free(region);
	else
		grace_wait(); /* frees the old table */
	return ret;
}

int viommu_memory_add_fd(struct viommu_memory *memory, uint64_t gpa, uint64_t length, int fd,
			 uint64_t offset, uint32_t flags)
{
	struct memory_region region = { .gpa = gpa, .last = gpa + length - 1, .flags = flags };
	int protection = PROT_READ | (flags & VIOMMU_SEGMENT_READONLY ? 0 : PROT_WRITE);
	int ret = check(gpa, length, flags);
	struct stat status;

	if (ret)
		return ret;
	if (offset % PAGE || offset > INT64_MAX || length > INT64_MAX - offset)
		return -EINVAL;
	if (fstat(fd, &status))
		return -errno;
	/* Device files have no size to compare with. */
	if (S_ISREG(status.st_mode) && (uint64_t)status.st_size < offset + length)
		return -ENXIO;
	region.mapping = mmap(NULL, length, protection, MAP_SHARED, fd, (off_t)offset);
	if (region.mapping == MAP_FAILED)
		return -errno;
	region.hva = region.mapping;
	return insert(memory, &region);
}

int viommu_memory_add_hva(struct viommu_memory *memory, uint64_t gpa, uint64_t length, void *hva,
			  uint32_t flags)
{
	struct memory_region region = {
		.gpa = gpa, .last = gpa + length - 1, .hva = hva, .flags = flags,
	};
	int ret = check(gpa, length, flags);

	if (ret)
		return ret;
	/* Atomicity of guest words is that of the host pointer: it must be aligned as they are. */
	if (!hva || (uintptr_t)hva % PAGE)
		return -EINVAL;
	return insert(memory, &region);
}

int viommu_memory_add_mmio(struct viommu_memory *memory, uint64_t gpa, uint64_t length,
			   const struct viommu_mmio_ops *ops, void *opaque, uint32_t flags)
{
	struct memory_region region = {
		.gpa = gpa, .last = gpa + length - 1, .ops = ops, .opaque = opaque, .flags = flags,
	};
	struct viommu_mmio_ops known;
	int ret = check(gpa, length, flags);

	if (!ret)
		ret = ops ? sized_import(&known, sizeof(known), ops) : -EINVAL;
	if (!ret && (!known.read || !known.write))
		ret = -EINVAL;
	return ret ? ret : insert(memory, &region);
}

/* Listeners hear of each removed segment when no reader is left, while its memory and dirty bits still stand. */
static void depart(struct viommu_memory *memory, struct memory_table *gone)
{
	memory->departing = gone;
	for (uint32_t i = 0; i < gone->count; i++)
		announce(memory, gone->segments[i].region, false);
	memory->departing = NULL;
	for (uint32_t i = 0; i < gone->count; i++)
		region_free(gone->segments[i].region);
	viommu_free(gone);
}

static int remove_locked(struct viommu_memory *memory, uint64_t gpa, uint64_t last)
{
	struct memory_table *old = atomic_load_explicit(&memory->table, memory_order_relaxed);
	uint32_t from = memory_first(old, gpa), to = from;
	struct memory_table *table, *gone;

	if (memory->changing)
		return -EBUSY;
	for (; to < old->count && old->segments[to].gpa <= last; to++) {
		if (old->segments[to].gpa < gpa || old->segments[to].last > last)
			return -EINVAL;
	}
	if (to == from)
		return 0;
	table = table_create(old->count - (to - from));
	gone = table_create(to - from);
	if (!table || !gone) {
		viommu_free(table);
		viommu_free(gone);
		return -ENOMEM;
	}
	memcpy(table->segments, old->segments, from * sizeof(table->segments[0]));
	memcpy(table->segments + from, old->segments + to,
	       (old->count - to) * sizeof(table->segments[0]));
	memcpy(gone->segments, old->segments + from, (to - from) * sizeof(table->segments[0]));
	publish(memory, table);
	grace_wait();
	depart(memory, gone);
	return (int)(to - from);
}

int viommu_memory_remove(struct viommu_memory *memory, uint64_t gpa, uint64_t length)
{
	int ret;

	if (grace_inside())
		return -EDEADLK;
	if (!length || length - 1 > UINT64_MAX - gpa)
		return -EINVAL;
	pthread_mutex_lock(&memory->lock);
	ret = remove_locked(memory, gpa, gpa + length - 1);
	pthread_mutex_unlock(&memory->lock);
	return ret;
}

int viommu_memory_each(struct viommu_memory *memory,
		       int (*visit)(void *opaque, const struct viommu_segment_info *segment), void *opaque)
{
	const struct memory_table *table;
	bool outer;
	int ret = 0;

	if (grace_inside())
		return -EDEADLK;
	pthread_mutex_lock(&memory->lock);
	table = atomic_load_explicit(&memory->table, memory_order_relaxed);
	outer = memory->changing;
	memory->changing = true;
	for (uint32_t i = 0; i < table->count && !ret; i++) {
		struct viommu_segment_info info;

		describe(table->segments[i].region, &info);
		ret = visit(opaque, &info);
	}
	memory->changing = outer;
	pthread_mutex_unlock(&memory->lock);
	return ret;
}

struct replay {
	int (*change)(void *opaque, const struct viommu_segment_info *segment, bool added);
	void *opaque;
	uint64_t refused; /* GPA of the segment that was refused */
};

static int replay_add(void *opaque, const struct viommu_segment_info *segment)
{
	struct replay *replay = opaque;

	replay->refused = segment->gpa;
	return replay->change(replay->opaque, segment, true);
}

static int replay_undo(void *opaque, const struct viommu_segment_info *segment)
{
	struct replay *replay = opaque;

	if (segment->gpa == replay->refused)
		return 1;
	replay->change(replay->opaque, segment, false);
	return 0;
}

/*
 * The segments that are there already are announced before this returns, under the same lock as later changes, so
 * that a listener misses none; if it refuses one, those before it are taken back.
 */
int viommu_memory_listen(struct viommu_memory *memory,
			 int (*change)(void *opaque, const struct viommu_segment_info *segment, bool added),
			 void *opaque, struct viommu_memory_listener **result)
{
	struct replay replay = { .change = change, .opaque = opaque };
	struct viommu_memory_listener *listener, **end;
	int ret;

	if (grace_inside())
		return -EDEADLK;
	listener = viommu_zalloc(sizeof(*listener));
	if (!listener)
		return -ENOMEM;
	*listener = (struct viommu_memory_listener){ .change = change, .opaque = opaque };
	pthread_mutex_lock(&memory->lock);
	ret = memory->changing ? -EBUSY : viommu_memory_each(memory, replay_add, &replay);
	if (ret) {
		if (!memory->changing)
			viommu_memory_each(memory, replay_undo, &replay);
		pthread_mutex_unlock(&memory->lock);
		viommu_free(listener);
		return ret;
	}
	for (end = &memory->listeners; *end; end = &(*end)->next)
		;
	*end = listener;
	pthread_mutex_unlock(&memory->lock);
	*result = listener;
	return 0;
}

void viommu_memory_unlisten(struct viommu_memory *memory, struct viommu_memory_listener *listener)
{
	struct viommu_memory_listener **at;

	pthread_mutex_lock(&memory->lock);
	for (at = &memory->listeners; *at && *at != listener; at = &(*at)->next)
		;
	if (*at)
		*at = listener->next;
	pthread_mutex_unlock(&memory->lock);
	viommu_free(listener);
}
