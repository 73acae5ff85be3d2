/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tracker's rules, one by one, on the fake host IOMMU: choice of method, blockers, queries, unmaps, failures.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake.h"
#include "memory/alloc.h"
#include "migration/internal.h"

#define PAGE UINT64_C(4096)
#define RAM  (FAKE_PAGES * PAGE)

struct vm {
	struct viommu_memory *memory;
	struct viommu_tracker *tracker;
	struct viommu_space *space;
	struct fake fake, log;
	uint8_t *ram;
	uint32_t device;
	uint64_t bitmap[FAKE_PAGES / 64];
};

static int setup(void **state)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	vm->ram = aligned_alloc(4096, RAM);
	memset(vm->ram, 0, RAM);
	assert_int_equal(viommu_memory_create(&vm->memory), 0);
	assert_int_equal(viommu_memory_add_hva(vm->memory, 0, RAM, vm->ram, 0), 0);
	assert_int_equal(viommu_tracker_create(vm->memory, &vm->tracker), 0);
	fake_init(&vm->fake, vm->ram);
	fake_init(&vm->log, vm->ram);
	*state = vm;
	return 0;
}

static int teardown(void **state)
{
	struct vm *vm = *state;

	viommu_tracker_destroy(vm->tracker);
	viommu_memory_destroy(vm->memory);
	fake_destroy(&vm->fake);
	fake_destroy(&vm->log);
	free(vm->ram);
	free(vm);
	return 0;
}

static struct viommu_space_info space_info(struct vm *vm)
{
	return (struct viommu_space_info){
		.size = sizeof(struct viommu_space_info),
		.can_track = true,
		.name = "host0",
		.ops = &fake_ops,
		.opaque = &vm->fake,
	};
}

static struct viommu_device_info device_info(struct vm *vm)
{
	return (struct viommu_device_info){
		.size = sizeof(struct viommu_device_info),
		.migratable = true,
		.drainable = true,
		.name = "dsa0",
		.space = vm->space,
	};
}

static void add_space(struct vm *vm, bool identity, bool atomic)
{
	struct viommu_space_info info = space_info(vm);

	info.identity = identity;
	info.atomic = atomic;
	assert_int_equal(viommu_tracker_add_space(vm->tracker, &info, &vm->space), 0);
}

static void add_device(struct vm *vm)
{
	struct viommu_device_info info = device_info(vm);

	assert_int_equal(viommu_tracker_add_device(vm->tracker, &info, &vm->device), 0);
}

static bool is_dirty(const struct vm *vm, uint64_t page)
{
	return vm->bitmap[page / 64] >> page % 64 & 1;
}

static int collect(struct vm *vm)
{
	memset(vm->bitmap, 0, sizeof(vm->bitmap));
	return viommu_tracker_query(vm->tracker, 0, RAM, vm->bitmap);
}

static uint64_t count(const struct vm *vm)
{
	uint64_t bits = 0;

	for (unsigned int i = 0; i < FAKE_PAGES / 64; i++)
		bits += (uint64_t)__builtin_popcountll(vm->bitmap[i]);
	return bits;
}

static enum viommu_tracking method(struct vm *vm, uint32_t index)
{
	enum viommu_tracking method;
	char text[256];

	assert_int_equal(viommu_tracker_method(vm->tracker, index, &method, text, sizeof(text)), 0);
	assert_non_null(strstr(text, "dsa0: "));
	return method;
}

static void methods(void **state)
{
	struct vm *vm = *state;
	struct viommu_device_info info = device_info(vm);
	uint32_t emulated, logged, plain;

	/* Emulated: no space. */
	assert_int_equal(viommu_tracker_add_device(vm->tracker, &info, &emulated), 0);
	assert_int_equal(method(vm, emulated), VIOMMU_TRACKING_EMULATED);
	/* Every real device has a log and none is behind a unit: the devices track. */
	add_space(vm, true, false);
	info.space = vm->space;
	info.log = &fake_ops;
	info.log_opaque = &vm->log;
	assert_int_equal(viommu_tracker_add_device(vm->tracker, &info, &logged), 0);
	assert_int_equal(method(vm, logged), VIOMMU_TRACKING_DEVICE);
	/* One without: the host IOMMU tracks for all. */
	info.log = NULL;
	assert_int_equal(viommu_tracker_add_device(vm->tracker, &info, &plain), 0);
	assert_int_equal(method(vm, logged), VIOMMU_TRACKING_IOMMU);
	assert_int_equal(method(vm, plain), VIOMMU_TRACKING_IOMMU);
	assert_int_equal(viommu_tracker_remove_device(vm->tracker, plain), 0);
	assert_int_equal(method(vm, logged), VIOMMU_TRACKING_DEVICE);
	assert_int_equal(viommu_tracker_blockers(vm->tracker, NULL, 0), 0);
}

static void behind_a_unit_the_iommu_tracks(void **state)
{
	struct vm *vm = *state;
	struct viommu_device_info info;
	char text[512];

	add_space(vm, true, false);
	info = device_info(vm);
	info.behind_unit = true;
	info.log = &fake_ops;
	info.log_opaque = &vm->log;
	assert_int_equal(viommu_tracker_add_device(vm->tracker, &info, &vm->device), 0);
	assert_int_equal(method(vm, vm->device), VIOMMU_TRACKING_IOMMU);
	assert_int_equal(viommu_tracker_blockers(vm->tracker, text, sizeof(text)), 0);
	assert_string_equal(text, "");
}

static void blockers(void **state)
{
	struct vm *vm = *state;
	struct viommu_space_info space = space_info(vm);
	struct viommu_device_info info;
	uint32_t bad;
	char text[2048];

	space.identity = true;
	space.can_track = false;
	assert_int_equal(viommu_tracker_add_space(vm->tracker, &space, &vm->space), 0);
	info = device_info(vm);
	info.name = "log0";
	info.behind_unit = true;
	info.log = &fake_ops;
	assert_int_equal(viommu_tracker_add_device(vm->tracker, &info, &bad), 0);
	assert_int_equal(viommu_tracker_blockers(vm->tracker, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "device log0: it tracks only its own IOVAs"));
	assert_int_equal(viommu_tracker_start(vm->tracker), -EOPNOTSUPP);
	assert_int_equal(vm->fake.call_count, 0);
	assert_int_equal(viommu_tracker_remove_device(vm->tracker, bad), 0);

	info = device_info(vm);
	info.migratable = false;
	info.drainable = false;
	assert_int_equal(viommu_tracker_add_device(vm->tracker, &info, &bad), 0);
	assert_int_equal(viommu_tracker_blockers(vm->tracker, text, sizeof(text)), 3);
	assert_non_null(strstr(text, "cannot be tracked"));
	assert_non_null(strstr(text, "cannot save and load its state"));
	assert_non_null(strstr(text, "queues cannot be drained"));
	assert_int_equal(viommu_tracker_remove_device(vm->tracker, bad), 0);
	assert_int_equal(viommu_tracker_remove_space(vm->tracker, vm->space), 0);

	/* A bitmap of 64 bytes describes 2 MiB; the VM has 16. */
	space = space_info(vm);
	space.identity = true;
	space.max_bitmap = 64;
	assert_int_equal(viommu_tracker_add_space(vm->tracker, &space, &vm->space), 0);
	assert_int_equal(viommu_tracker_blockers(vm->tracker, NULL, 0), 0);
	add_device(vm);
	assert_int_equal(viommu_tracker_blockers(vm->tracker, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "device dsa0: the VM has 16 MiB of memory, the largest dirty bitmap of its host describes 2 MiB"));
}

static void bad_arguments(void **state)
{
	struct vm *vm = *state;
	struct viommu_space_info space = space_info(vm);
	struct viommu_dirty_ops ops = fake_ops;
	struct viommu_space *out;

	ops.each = NULL;
	space.ops = &ops;
	assert_int_equal(viommu_tracker_add_space(vm->tracker, &space, &out), -EINVAL);
	space.identity = true;
	ops.query = NULL;
	assert_int_equal(viommu_tracker_add_space(vm->tracker, &space, &out), -EINVAL);
	space.can_track = false;
	assert_int_equal(viommu_tracker_add_space(vm->tracker, &space, &out), 0);
	space.size = 0;
	assert_int_equal(viommu_tracker_add_space(vm->tracker, &space, &out), -EINVAL);
	assert_int_equal(viommu_tracker_query(vm->tracker, 0, RAM, vm->bitmap), -ENOENT);
	assert_int_equal(viommu_tracker_query(vm->tracker, PAGE, RAM, vm->bitmap), -EINVAL);
	assert_int_equal(viommu_tracker_unmap(vm->tracker, out, 1, PAGE, 0, true), -EINVAL);
	assert_int_equal(viommu_tracker_unmap_all(vm->tracker, out), -EINVAL);
}

static void start_is_all_or_nothing(void **state)
{
	struct vm *vm = *state;

	add_space(vm, true, false);
	add_device(vm);
	vm->fake.fail_start = -ENODEV;
	assert_int_equal(viommu_tracker_start(vm->tracker), -ENODEV);
	assert_false(viommu_tracker_active(vm->tracker));
	assert_false(viommu_memory_dirty_active(vm->memory));
	assert_int_equal(viommu_tracker_start(vm->tracker), 0);
	assert_int_equal(viommu_tracker_start(vm->tracker), -EALREADY);
	assert_true(viommu_memory_dirty_active(vm->memory));
	assert_int_equal(viommu_tracker_remove_device(vm->tracker, vm->device), -EBUSY);
	viommu_tracker_stop(vm->tracker);
	assert_false(viommu_memory_dirty_active(vm->memory));
	assert_string_equal(vm->fake.calls, "ssS");
}

static void identity_and_emulated_dirt_meet(void **state)
{
	struct vm *vm = *state;
	uint64_t value = 1;

	add_space(vm, true, false);
	add_device(vm);
	fake_map(&vm->fake, 0, RAM, 0, true);
	assert_int_equal(viommu_tracker_start(vm->tracker), 0);
	assert_true(fake_write(&vm->fake, 70 * PAGE, 1));
	assert_int_equal(viommu_memory_write(vm->memory, 5 * PAGE, &value, 8), 0);
	assert_int_equal(collect(vm), 0);
	assert_true(is_dirty(vm, 70) && is_dirty(vm, 5));
	assert_int_equal(count(vm), 2);
	/* Cleared by the query. */
	assert_int_equal(collect(vm), 0);
	assert_int_equal(count(vm), 0);
	/* A part of memory only. */
	assert_true(fake_write(&vm->fake, 70 * PAGE, 1));
	assert_true(fake_write(&vm->fake, 700 * PAGE, 1));
	memset(vm->bitmap, 0, sizeof(vm->bitmap));
	assert_int_equal(viommu_tracker_query(vm->tracker, 64 * PAGE, 64 * PAGE, vm->bitmap), 0);
	assert_true(is_dirty(vm, 6));
	assert_int_equal(count(vm), 1);
	assert_int_equal(collect(vm), 0);
	assert_true(is_dirty(vm, 700));
	assert_int_equal(count(vm), 1);
}

static void shadow_dirt_lands_at_its_gpa(void **state)
{
	struct vm *vm = *state;

	add_space(vm, false, false);
	add_device(vm);
	fake_map(&vm->fake, 1000 * PAGE, 100 * PAGE, 3 * PAGE, true);
	fake_map(&vm->fake, 2000 * PAGE, 10 * PAGE, 500 * PAGE, false);
	assert_int_equal(viommu_tracker_start(vm->tracker), 0);
	assert_true(fake_write(&vm->fake, 1000 * PAGE, 1));
	assert_true(fake_write(&vm->fake, 1099 * PAGE, 1));
	assert_int_equal(collect(vm), 0);
	assert_true(is_dirty(vm, 3) && is_dirty(vm, 102));
	assert_int_equal(count(vm), 2);
	/* Read-only mappings are not asked about. */
	assert_string_equal(vm->fake.calls, "sq");
	/* A range that cuts the mapping: only the part inside is asked about and cleared. */
	assert_true(fake_write(&vm->fake, 1000 * PAGE, 1));
	assert_true(fake_write(&vm->fake, 1090 * PAGE, 1));
	memset(vm->bitmap, 0, sizeof(vm->bitmap));
	assert_int_equal(viommu_tracker_query(vm->tracker, 64 * PAGE, 64 * PAGE, vm->bitmap), 0);
	assert_true(is_dirty(vm, 93 - 64));
	assert_int_equal(count(vm), 1);
	assert_int_equal(collect(vm), 0);
	assert_true(is_dirty(vm, 3));
	assert_int_equal(count(vm), 1);
}

static void queries_respect_the_largest_bitmap(void **state)
{
	struct vm *vm = *state;
	struct viommu_space_info info = space_info(vm);

	info.identity = true;
	info.max_bitmap = FAKE_PAGES / 8; /* exactly the memory */
	assert_int_equal(viommu_tracker_add_space(vm->tracker, &info, &vm->space), 0);
	add_device(vm);
	fake_map(&vm->fake, 0, RAM, 0, true);
	assert_int_equal(viommu_tracker_start(vm->tracker), 0);
	assert_int_equal(collect(vm), 0);
	assert_int_equal(vm->fake.longest_query, RAM);
	assert_int_equal(tracker_chunk_length(0), UINT64_C(2) << 30);
	assert_int_equal(tracker_chunk_length(64), UINT64_C(2) << 20);
}

static void small_unmaps_are_dirty_outright(void **state)
{
	struct vm *vm = *state;

	add_space(vm, false, false);
	add_device(vm);
	fake_map(&vm->fake, 0, 512 * PAGE, 1024 * PAGE, true);
	assert_int_equal(viommu_tracker_start(vm->tracker), 0);
	assert_int_equal(viommu_tracker_unmap(vm->tracker, vm->space, 0, 512 * PAGE, 1024 * PAGE, true), 0);
	assert_string_equal(vm->fake.calls, "su");
	assert_int_equal(collect(vm), 0);
	assert_int_equal(count(vm), 512);
	assert_true(is_dirty(vm, 1024) && is_dirty(vm, 1535));
	/* Read-only: nothing to record. */
	fake_map(&vm->fake, 0, PAGE, 0, false);
	assert_int_equal(viommu_tracker_unmap(vm->tracker, vm->space, 0, PAGE, 0, false), 0);
	assert_int_equal(collect(vm), 0);
	assert_int_equal(count(vm), 0);
}

static void large_unmaps_ask_first(void **state)
{
	struct vm *vm = *state;

	add_space(vm, false, false);
	add_device(vm);
	fake_map(&vm->fake, 0, 1024 * PAGE, 2048 * PAGE, true);
	assert_int_equal(viommu_tracker_start(vm->tracker), 0);
	assert_true(fake_write(&vm->fake, 9 * PAGE, 1));
	assert_int_equal(viommu_tracker_unmap(vm->tracker, vm->space, 0, 1024 * PAGE, 2048 * PAGE, true), 0);
	assert_string_equal(vm->fake.calls, "sku");
	assert_int_equal(collect(vm), 0);
	assert_true(is_dirty(vm, 2057));
	assert_int_equal(count(vm), 1);
}

static void legacy_unmaps_ask_in_the_same_step(void **state)
{
	struct vm *vm = *state;

	add_space(vm, false, true);
	add_device(vm);
	fake_map(&vm->fake, 0, 1024 * PAGE, 2048 * PAGE, true);
	assert_int_equal(viommu_tracker_start(vm->tracker), 0);
	assert_true(fake_write(&vm->fake, 1023 * PAGE, 1));
	assert_int_equal(viommu_tracker_unmap(vm->tracker, vm->space, 0, 1024 * PAGE, 2048 * PAGE, true), 0);
	assert_string_equal(vm->fake.calls, "sa");
	assert_int_equal(collect(vm), 0);
	assert_true(is_dirty(vm, 3071));
	assert_int_equal(count(vm), 1);
}

static void not_tracking_nothing_is_asked(void **state)
{
	struct vm *vm = *state;

	add_space(vm, false, false);
	add_device(vm);
	fake_map(&vm->fake, 0, 1024 * PAGE, 0, true);
	assert_int_equal(viommu_tracker_unmap(vm->tracker, vm->space, 0, 1024 * PAGE, 0, true), 0);
	assert_string_equal(vm->fake.calls, "u");
}

static void a_failed_query_still_unmaps_and_fails_the_migration(void **state)
{
	struct vm *vm = *state;

	add_space(vm, false, false);
	add_device(vm);
	fake_map(&vm->fake, 0, 1024 * PAGE, 0, true);
	assert_int_equal(viommu_tracker_start(vm->tracker), 0);
	vm->fake.fail_query = -EFAULT;
	assert_int_equal(viommu_tracker_unmap(vm->tracker, vm->space, 0, 1024 * PAGE, 0, true), -EFAULT);
	assert_false(fake_mapped(&vm->fake, 0));
	assert_int_equal(collect(vm), -EIO);
	assert_int_equal(collect(vm), -EIO);
	/* A new attempt starts clean. */
	viommu_tracker_stop(vm->tracker);
	assert_int_equal(viommu_tracker_start(vm->tracker), 0);
	assert_int_equal(collect(vm), 0);
}

static void a_failed_unmap_is_told(void **state)
{
	struct vm *vm = *state;

	add_space(vm, false, false);
	add_device(vm);
	fake_map(&vm->fake, 0, 1024 * PAGE, 0, true);
	assert_int_equal(viommu_tracker_start(vm->tracker), 0);
	vm->fake.fail_query = -EFAULT;
	vm->fake.fail_unmap = -EINVAL;
	assert_int_equal(viommu_tracker_unmap(vm->tracker, vm->space, 0, 1024 * PAGE, 0, true), -EINVAL);
	assert_int_equal(collect(vm), -EIO);
	/* A failed periodic query is returned and loses nothing. */
	viommu_tracker_stop(vm->tracker);
	assert_int_equal(viommu_tracker_start(vm->tracker), 0);
	assert_true(fake_write(&vm->fake, 3 * PAGE, 1));
	vm->fake.fail_query = -EINTR;
	assert_int_equal(collect(vm), -EINTR);
	assert_int_equal(collect(vm), 0);
	assert_true(is_dirty(vm, 3));
}

static void whole_space_drops_go_mapping_by_mapping(void **state)
{
	struct vm *vm = *state;
	struct viommu_tracker_statistics statistics = { .size = sizeof(statistics) };

	add_space(vm, false, false);
	add_device(vm);
	for (uint64_t i = 0; i < 5; i++)
		fake_map(&vm->fake, i * 600 * PAGE, 600 * PAGE, (4 - i) * 600 * PAGE, true);
	assert_int_equal(viommu_tracker_start(vm->tracker), 0);
	for (uint64_t i = 0; i < 5; i++)
		assert_true(fake_write(&vm->fake, (i * 600 + i) * PAGE, 1));
	vm->fake.fail_unmap = -EBUSY; /* the first refuses; the others go all the same */
	assert_int_equal(viommu_tracker_unmap_all(vm->tracker, vm->space), -EBUSY);
	assert_true(fake_mapped(&vm->fake, 0));
	for (uint64_t i = 1; i < 5; i++)
		assert_false(fake_mapped(&vm->fake, i * 600 * PAGE));
	assert_int_equal(collect(vm), 0);
	for (uint64_t i = 0; i < 5; i++)
		assert_true(is_dirty(vm, (4 - i) * 600 + i));
	assert_int_equal(count(vm), 5);
	assert_int_equal(viommu_tracker_statistics(vm->tracker, &statistics), 0);
	assert_int_equal(statistics.unmaps, 5);
	assert_int_equal(statistics.unmap_queries, 5);
	assert_int_equal(statistics.devices, 1);
}

static void device_logs_are_asked_after_the_unmap(void **state)
{
	struct vm *vm = *state;
	struct viommu_device_info info;

	add_space(vm, true, false);
	info = device_info(vm);
	info.log = &fake_ops;
	info.log_opaque = &vm->log;
	assert_int_equal(viommu_tracker_add_device(vm->tracker, &info, &vm->device), 0);
	fake_map(&vm->fake, 0, RAM, 0, true);
	fake_map(&vm->log, 0, RAM, 0, true);
	assert_int_equal(viommu_tracker_start(vm->tracker), 0);
	assert_true(vm->log.tracking && !vm->fake.tracking);
	assert_true(fake_write(&vm->log, 8 * PAGE, 1));
	assert_int_equal(viommu_tracker_unmap(vm->tracker, vm->space, 0, RAM, 0, true), 0);
	assert_string_equal(vm->fake.calls, "u");
	assert_string_equal(vm->log.calls, "sq");
	assert_int_equal(collect(vm), 0);
	assert_true(is_dirty(vm, 8));
	assert_int_equal(count(vm), 1);
}

static void without_memory_for_a_bitmap_everything_is_dirty(void **state)
{
	struct vm *vm = *state;

	add_space(vm, false, false);
	add_device(vm);
	fake_map(&vm->fake, 0, 1024 * PAGE, 0, true);
	assert_int_equal(viommu_tracker_start(vm->tracker), 0);
	viommu_alloc_fail_nth(0);
	assert_int_equal(viommu_tracker_unmap(vm->tracker, vm->space, 0, 1024 * PAGE, 0, true), 0);
	assert_true(viommu_alloc_fail_nth(-1));
	assert_int_equal(collect(vm), 0);
	assert_int_equal(count(vm), 1024);
}

/* Stopped in an access section the sources stop; the memory's own log goes with the next stop, or serves the next start. */
static void stopped_in_an_access_section(void **state)
{
	struct vm *vm = *state;

	add_space(vm, true, false);
	add_device(vm);
	assert_int_equal(viommu_tracker_start(vm->tracker), 0);
	for (unsigned int again = 0; again < 2; again++) {
		viommu_access_begin();
		viommu_tracker_stop(vm->tracker);
		assert_int_equal(viommu_tracker_start(vm->tracker), -EDEADLK);
		viommu_access_end();
		assert_false(viommu_tracker_active(vm->tracker) || vm->fake.tracking);
		assert_true(viommu_memory_dirty_active(vm->memory));
		if (!again) {
			assert_int_equal(viommu_tracker_start(vm->tracker), 0);
			assert_true(vm->fake.tracking);
		}
	}
	viommu_tracker_stop(vm->tracker);
	assert_false(viommu_memory_dirty_active(vm->memory));
	/* A log that is another's is not taken over. */
	assert_int_equal(viommu_memory_dirty_start(vm->memory, 12), 0);
	assert_int_equal(viommu_tracker_start(vm->tracker), -EALREADY);
	assert_int_equal(viommu_memory_dirty_stop(vm->memory), 0);
}

static void every_allocation_may_fail(void **state)
{
	struct vm *vm = *state;
	long n;

	for (n = 0;; n++) {
		struct viommu_tracker *tracker = NULL;
		struct viommu_space_info space = space_info(vm);
		struct viommu_space *out = NULL;
		struct viommu_device_info device = { .size = sizeof(device), .migratable = true, .drainable = true };
		uint32_t index;
		int result;

		space.identity = true;
		viommu_alloc_fail_nth(n);
		result = viommu_tracker_create(vm->memory, &tracker);
		if (!result)
			result = viommu_tracker_add_space(tracker, &space, &out);
		device.space = out;
		if (!result)
			result = viommu_tracker_add_device(tracker, &device, &index);
		if (!result)
			result = viommu_tracker_start(tracker);
		if (!viommu_alloc_fail_nth(-1)) {
			assert_int_equal(result, 0);
			viommu_tracker_destroy(tracker);
			break;
		}
		assert_int_equal(result, -ENOMEM);
		viommu_tracker_destroy(tracker);
	}
	assert_true(n >= 4);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(methods),
		TEST(behind_a_unit_the_iommu_tracks),
		TEST(blockers),
		TEST(bad_arguments),
		TEST(start_is_all_or_nothing),
		TEST(identity_and_emulated_dirt_meet),
		TEST(shadow_dirt_lands_at_its_gpa),
		TEST(queries_respect_the_largest_bitmap),
		TEST(small_unmaps_are_dirty_outright),
		TEST(large_unmaps_ask_first),
		TEST(legacy_unmaps_ask_in_the_same_step),
		TEST(not_tracking_nothing_is_asked),
		TEST(a_failed_query_still_unmaps_and_fails_the_migration),
		TEST(a_failed_unmap_is_told),
		TEST(whole_space_drops_go_mapping_by_mapping),
		TEST(device_logs_are_asked_after_the_unmap),
		TEST(without_memory_for_a_bitmap_everything_is_dirty),
		TEST(stopped_in_an_access_section),
		TEST(every_allocation_may_fail),
	};

	return cmocka_run_group_tests_name("tracker", tests, NULL, NULL);
}
