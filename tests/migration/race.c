/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writers against unmaps, for thousands of rounds: a guest maps, lets its device write, unmaps and maps elsewhere, while the
 * migration thread collects and copies. At the end both memories must be equal. The same test with the order of
 * recording and unmapping reversed must find pages lost: else it would prove nothing.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "fake.h"
#include "migration/internal.h"

#define PAGE  UINT64_C(4096)
#define RAM   (FAKE_PAGES * PAGE)

/* Rounds: as many as a few seconds allow, within these bounds; on a busy machine each waits for its threads' turns. */
enum { ROUNDS_LEAST = 1000, ROUNDS_MOST = 4000, SECONDS = 4, SLOTS = 4 };

struct race {
	struct viommu_memory *memory;
	struct viommu_tracker *tracker;
	struct viommu_space *space;
	struct fake fake;
	uint8_t *source, *destination;
	uint64_t bitmap[FAKE_PAGES / 64];
	uint64_t pages;         /* of one mapping */
	_Atomic bool device_ends;
	_Atomic uint64_t written;
};

/* The device: writes wherever it is let. */
static void *device(void *opaque)
{
	struct race *race = opaque;
	unsigned int seed = 1;

	for (uint64_t value = 1; !race->device_ends; value++) {
		uint64_t page = (uint64_t)rand_r(&seed) % (SLOTS * race->pages);

		race->written += fake_write(&race->fake, page * PAGE, value);
	}
	return NULL;
}

/* The guest: each slot of the IOVA space leads to another part of memory each time. */
static void *guest(void *opaque)
{
	struct race *race = opaque;
	uint64_t places = FAKE_PAGES / race->pages, length = race->pages * PAGE, gpas[SLOTS];
	time_t end = time(NULL) + SECONDS;
	unsigned int seed = 2;
	bool small = length <= VIOMMU_DIRTY_OUTRIGHT;

	for (uint64_t i = 0; i < SLOTS; i++) {
		gpas[i] = i * length;
		fake_map(&race->fake, i * length, length, gpas[i], true);
	}
	for (int round = 0; round < ROUNDS_LEAST || (round < ROUNDS_MOST && time(NULL) < end); round++) {
		uint64_t slot = (uint64_t)round % SLOTS, before = race->written;

		/* Each round has writes in it. */
		while (race->written == before)
			sched_yield();

		/* Large and without an atomic unmap: only a device that has stopped loses nothing (migration.h). */
		pthread_rwlock_wrlock(&race->fake.lock);
		race->fake.stopped = !small && !race->space->atomic;
		pthread_rwlock_unlock(&race->fake.lock);
		viommu_tracker_unmap(race->tracker, race->space, slot * length, length, gpas[slot], true);
		race->fake.stopped = false;
		gpas[slot] = (uint64_t)rand_r(&seed) % places * length;
		fake_map(&race->fake, slot * length, length, gpas[slot], true);
	}
	return NULL;
}

/* What the device wrote into a page: its first word. */
static uint64_t *at(uint8_t *ram, uint64_t page)
{
	return (uint64_t *)(void *)(ram + page * PAGE);
}

static void copy_dirty(struct race *race)
{
	memset(race->bitmap, 0, sizeof(race->bitmap));
	assert_int_equal(viommu_tracker_query(race->tracker, 0, RAM, race->bitmap), 0);
	for (uint64_t page = 0; page < FAKE_PAGES; page++)
		if (race->bitmap[page / 64] >> page % 64 & 1)
			*at(race->destination, page) = __atomic_load_n(at(race->source, page), __ATOMIC_RELAXED);
}

/* Returns how many pages differ in the end. */
static uint64_t run(uint64_t pages, bool atomic, bool disordered)
{
	struct race *race = calloc(1, sizeof(*race));
	struct viommu_space_info space = {
		.size = sizeof(space), .atomic = atomic, .can_track = true, .ops = &fake_ops, .opaque = &race->fake,
	};
	struct viommu_device_info info = {
		.size = sizeof(info), .migratable = true, .drainable = true, .behind_unit = true,
	};
	pthread_t device_thread, guest_thread;
	uint64_t lost = 0;
	uint32_t index;

	race->source = aligned_alloc(4096, RAM);
	race->destination = calloc(1, RAM);
	memset(race->source, 0, RAM);
	race->pages = pages;
	fake_init(&race->fake, race->source);
	assert_int_equal(viommu_memory_create(&race->memory), 0);
	assert_int_equal(viommu_memory_add_hva(race->memory, 0, RAM, race->source, 0), 0);
	assert_int_equal(viommu_tracker_create(race->memory, &race->tracker), 0);
	race->tracker->disordered = disordered;
	assert_int_equal(viommu_tracker_add_space(race->tracker, &space, &race->space), 0);
	info.space = race->space;
	assert_int_equal(viommu_tracker_add_device(race->tracker, &info, &index), 0);
	assert_int_equal(viommu_tracker_start(race->tracker), 0);
	pthread_create(&guest_thread, NULL, guest, race);
	pthread_create(&device_thread, NULL, device, race);
	for (int i = 0; i < 200; i++)
		copy_dirty(race);
	pthread_join(guest_thread, NULL);
	race->device_ends = true;
	pthread_join(device_thread, NULL);
	copy_dirty(race);
	for (uint64_t page = 0; page < FAKE_PAGES; page++)
		lost += *at(race->destination, page) != *at(race->source, page);
	assert_true(race->written >= ROUNDS_LEAST);
	viommu_tracker_destroy(race->tracker);
	viommu_memory_destroy(race->memory);
	fake_destroy(&race->fake);
	free(race->source);
	free(race->destination);
	free(race);
	return lost;
}

static void small_mappings_lose_nothing(void **state)
{
	assert_int_equal(run(16, false, false), 0);
}

static void small_legacy_mappings_lose_nothing(void **state)
{
	assert_int_equal(run(16, true, false), 0);
}

static void large_legacy_mappings_lose_nothing(void **state)
{
	assert_int_equal(run(1024, true, false), 0);
}

static void large_mappings_lose_nothing(void **state)
{
	assert_int_equal(run(1024, false, false), 0);
}

static void without_the_order_pages_are_lost(void **state)
{
	uint64_t lost = 0;

	for (int attempt = 0; attempt < 20 && !lost; attempt++)
		lost = run(1024, true, true);
	assert_true(lost > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_mappings_lose_nothing),
		cmocka_unit_test(small_legacy_mappings_lose_nothing),
		cmocka_unit_test(large_legacy_mappings_lose_nothing),
		cmocka_unit_test(large_mappings_lose_nothing),
		cmocka_unit_test(without_the_order_pages_are_lost),
	};

	return cmocka_run_group_tests_name("migration race", tests, NULL, NULL);
}
