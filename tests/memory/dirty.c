/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dirty tracking: each write is reported once, at its page, whatever the range asked for; none is lost while writers race with
 * clearing queries; bitmap merges agree with a bit-by-bit reference at every alignment.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "common.h"
#include "memory/memory_internal.h"

static bool bit(const uint64_t *bitmap, uint64_t at)
{
	return bitmap[at / 64] >> (at % 64) & 1;
}

static void merge(void **state)
{
	uint64_t src[12], dst[16], want[16];

	srand(1);
	for (unsigned int round = 0; round < 20000; round++) {
		unsigned int from = (unsigned int)rand() % 200, to = (unsigned int)rand() % 200;
		unsigned int count = (unsigned int)rand() % 500;

		for (unsigned int i = 0; i < 12; i++)
			src[i] = (uint64_t)rand() << 40 ^ (uint64_t)rand() << 20 ^ (uint64_t)rand();
		for (unsigned int i = 0; i < 16; i++)
			want[i] = dst[i] = (uint64_t)rand() & (uint64_t)rand() << 22;
		for (unsigned int i = 0; i < count; i++) {
			if (bit(src, from + i))
				want[(to + i) / 64] |= UINT64_C(1) << (to + i) % 64;
		}
		memory_bitmap_merge(dst, to, src, from, count);
		assert_memory_equal(dst, want, sizeof(dst));
	}
}

static void rules(void **state)
{
	struct viommu_memory *memory;
	uint8_t *ram = pages(256), *other = pages(16);
	uint64_t bitmap[8] = { 0 };

	viommu_memory_create(&memory);
	viommu_memory_add_hva(memory, 0x100000, 0x100000, ram, 0);
	assert_false(viommu_memory_dirty_active(memory));
	assert_int_equal(viommu_memory_dirty_query(memory, 0, 0x1000, bitmap, false), -ENOENT);
	assert_int_equal(viommu_memory_dirty_stop(memory), -ENOENT);
	assert_int_equal(viommu_memory_dirty_start(memory, 11), -EINVAL);
	assert_int_equal(viommu_memory_dirty_start(memory, 12), 0);
	assert_int_equal(viommu_memory_dirty_start(memory, 12), -EALREADY);
	assert_true(viommu_memory_dirty_active(memory));
	viommu_memory_add_hva(memory, 0x200000, 0x10000, other, 0); /* tracked from its first write */
	assert_int_equal(viommu_memory_dirty_query(memory, 0x800, 0x1000, bitmap, false), -EINVAL);
	assert_int_equal(viommu_memory_dirty_query(memory, 0, 0x1800, bitmap, false), -EINVAL);
	assert_int_equal(viommu_memory_dirty_query(memory, 0, 0, bitmap, false), -EINVAL);
	viommu_access_begin();
	assert_int_equal(viommu_memory_dirty_query(memory, 0, 0x1000, bitmap, false), -EDEADLK);
	viommu_access_end();

	/* One write over the seam of two segments: three pages. */
	assert_int_equal(viommu_memory_write(memory, 0x1feff0, ram, 0x1020), 0);
	viommu_memory_mark_dirty(memory, 0x105fff, 2);
	assert_int_equal(viommu_memory_dirty_query(memory, 0x100000, 0x110000, bitmap, true), 0);
	assert_int_equal(bitmap[0], 0x60);
	assert_int_equal(bitmap[3], UINT64_C(3) << 62);
	assert_int_equal(bitmap[4], 1);
	memset(bitmap, 0, sizeof(bitmap));
	/* Only the range asked for is cleared; bit 0 is its first page. */
	assert_int_equal(viommu_memory_dirty_query(memory, 0x106000, 0xf9000, bitmap, false), 0);
	assert_int_equal(bitmap[0], 1);
	assert_true(bit(bitmap, 0xf8));
	assert_false(bit(bitmap, 0xf9));
	memset(bitmap, 0, sizeof(bitmap));
	assert_int_equal(viommu_memory_dirty_query(memory, 0x100000, 0x110000, bitmap, false), 0);
	assert_int_equal(bitmap[0], 0x20);
	assert_int_equal(bitmap[3], UINT64_C(1) << 63);
	assert_int_equal(bitmap[4], 1);
	memset(bitmap, 0, sizeof(bitmap));
	assert_int_equal(viommu_memory_dirty_query(memory, 0x0, 0x400000, bitmap, false), 0);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(bitmap[i], 0);
	assert_int_equal(viommu_memory_dirty_stop(memory), 0);
	assert_int_equal(viommu_memory_write(memory, 0x100000, ram, 8), 0);
	assert_int_equal(viommu_memory_dirty_start(memory, 16), 0);
	viommu_memory_mark_dirty(memory, 0x11ffff, 2);
	viommu_memory_mark_dirty(memory, UINT64_MAX - 5, 100); /* wraps: ignored */
	assert_int_equal(viommu_memory_dirty_query(memory, 0x100000, 0x100000, bitmap, false), 0);
	assert_int_equal(bitmap[0], 6);
	viommu_memory_destroy(memory);
	free(ram);
	free(other);
}

/* Every combination of a marked span and a queried one in a log of several chunks. */
static void ranges(void **state)
{
	const uint64_t size = UINT64_C(5) << 30, base = UINT64_C(1) << 32, npages = size >> 12;
	uint64_t *bitmap = calloc(npages / 64 + 1, 8);
	struct viommu_memory *memory;
	void *ram = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(ram, MAP_FAILED);
	viommu_memory_create(&memory);
	assert_int_equal(viommu_memory_add_hva(memory, base, size, ram, 0), 0);
	assert_int_equal(viommu_memory_dirty_start(memory, 12), 0);
	srand(7);
	for (unsigned int round = 0; round < 60; round++) {
		uint64_t from = (uint64_t)rand() % npages, count = (uint64_t)rand() % (npages - from) + 1;
		uint64_t asked = (uint64_t)rand() % npages;
		uint64_t asked_count = (uint64_t)rand() % (npages - asked) + 1;
		uint64_t inside = 0, total = 0;

		viommu_memory_mark_dirty(memory, base + from * 4096, count * 4096);
		memset(bitmap, 0, (npages / 64 + 1) * 8);
		assert_int_equal(viommu_memory_dirty_query(memory, base + asked * 4096,
							   asked_count * 4096, bitmap, false), 0);
		for (uint64_t i = 0; i < asked_count; i++) {
			bool want = asked + i >= from && asked + i < from + count;

			if (bit(bitmap, i) != want)
				fail_msg("page %llu of round %u", (unsigned long long)i, round);
			inside += want;
		}
		memset(bitmap, 0, (npages / 64 + 1) * 8);
		assert_int_equal(viommu_memory_dirty_query(memory, base, size, bitmap, false), 0);
		for (uint64_t i = 0; i < npages / 64; i++)
			total += (uint64_t)__builtin_popcountll(bitmap[i]);
		assert_int_equal(inside + total, count);
	}
	viommu_memory_destroy(memory);
	munmap(ram, size);
	free(bitmap);
}

enum { PAGES = 1024, WRITERS = 2 };
static struct viommu_memory *shared;
static atomic_bool stop;
static _Atomic uint64_t rounds[WRITERS];

static void *writer(void *opaque)
{
	unsigned int me = (unsigned int)(uintptr_t)opaque;
	uint64_t value = 0;

	while (!atomic_load(&stop)) {
		value++;
		for (uint64_t page = me; page < PAGES; page += WRITERS)
			viommu_memory_write(shared, page * 4096, &value, 8);
		atomic_store(&rounds[me], value);
	}
	return NULL;
}

/*
 * The copy of a migration: after a query copy what it named; when the writers have stopped one more round must make the copy
 * equal. A bit that is lost leaves its page different.
 */
static void no_write_is_lost(void **state)
{
	uint64_t *ram = pages(PAGES), *copy = pages(PAGES), bitmap[PAGES / 64];
	pthread_t threads[WRITERS];

	viommu_memory_create(&shared);
	viommu_memory_add_hva(shared, 0, PAGES * 4096, ram, 0);
	assert_int_equal(viommu_memory_dirty_start(shared, 12), 0);
	for (uintptr_t i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], NULL, writer, (void *)i);
	for (unsigned int round = 0; round <= 2000; round++) {
		uint64_t from = (unsigned int)rand() % (PAGES / 64);

		if (round == 2000 && (atomic_load(&rounds[0]) < 2 || atomic_load(&rounds[1]) < 2))
			round--; /* the writers have yet to get a CPU */
		if (round == 2000) {
			atomic_store(&stop, true);
			for (unsigned int i = 0; i < WRITERS; i++)
				pthread_join(threads[i], NULL);
			from = 0;
		}
		memset(bitmap, 0, sizeof(bitmap));
		assert_int_equal(viommu_memory_dirty_query(shared, from * 64 * 4096,
							   (PAGES - from * 64) * 4096, bitmap,
							   false), 0);
		for (uint64_t i = 0; i < PAGES - from * 64; i++) {
			uint64_t page = from * 64 + i;

			if (bit(bitmap, i))
				copy[page * 512] = __atomic_load_n(&ram[page * 512],
								   __ATOMIC_RELAXED);
		}
	}
	assert_memory_equal(ram, copy, PAGES * 4096);
	viommu_memory_destroy(shared);
	free(ram);
	free(copy);
}

/* A listener may ask for the last dirty pages of a segment that is leaving. */
static int asks(void *opaque, const struct viommu_segment_info *segment, bool added)
{
	if (!added)
		assert_int_equal(viommu_memory_dirty_query(shared, segment->gpa, segment->length,
							   opaque, false), 0);
	return 0;
}

static void departing(void **state)
{
	struct viommu_memory_listener *listener;
	uint64_t bitmap[1] = { 0 };
	uint8_t *ram = pages(16);

	viommu_memory_create(&shared);
	viommu_memory_add_hva(shared, 0x10000, 0x10000, ram, 0);
	viommu_memory_dirty_start(shared, 12);
	assert_int_equal(viommu_memory_listen(shared, asks, bitmap, &listener), 0);
	viommu_memory_write(shared, 0x13000, ram, 1);
	assert_int_equal(viommu_memory_remove(shared, 0x10000, 0x10000), 1);
	assert_int_equal(bitmap[0], 8);
	viommu_memory_unlisten(shared, listener);
	viommu_memory_destroy(shared);
	free(ram);
}

/* Nobody switches tracking while a segment comes: it would have no log, or one too many. */
static int switches(void *opaque, const struct viommu_segment_info *segment, bool added)
{
	if (added) {
		assert_int_equal(viommu_memory_dirty_start(shared, 12), -EBUSY);
		assert_int_equal(viommu_memory_dirty_stop(shared), -EBUSY);
	}
	return 0;
}

static void switching_in_a_listener(void **state)
{
	struct viommu_memory_listener *listener;
	uint64_t bitmap[1] = { 0 };
	uint8_t *ram = pages(16);

	viommu_memory_create(&shared);
	assert_int_equal(viommu_memory_listen(shared, switches, NULL, &listener), 0);
	assert_int_equal(viommu_memory_add_hva(shared, 0x10000, 0x8000, ram, 0), 0);
	assert_int_equal(viommu_memory_dirty_start(shared, 12), 0);
	assert_int_equal(viommu_memory_add_hva(shared, 0x18000, 0x8000, ram + 0x8000, 0), 0);
	assert_int_equal(viommu_memory_write(shared, 0x19000, ram, 1), 0);
	assert_int_equal(viommu_memory_dirty_query(shared, 0x10000, 0x10000, bitmap, false), 0);
	assert_int_equal(bitmap[0], 1 << 9);
	viommu_memory_unlisten(shared, listener);
	viommu_memory_destroy(shared);
	free(ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merge), cmocka_unit_test(rules), cmocka_unit_test(ranges),
		cmocka_unit_test(no_write_is_lost), cmocka_unit_test(departing),
		cmocka_unit_test(switching_in_a_listener),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
