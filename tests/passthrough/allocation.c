/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Allocation failure of the public calls that tests/vtd/alloc.c and the tests beside this one do not sweep: the host's
 * objects, a tracker that follows a passed-through function, units with every option, page requests of the host, and
 * the makers of RISC-V's worlds. The n-th allocation fails: the call says -ENOMEM and has changed nothing, or it did
 * its work without.
 */
#include <pthread.h>

#include <viommu/cpu.h>
#include <viommu/migration.h>
#include <viommu/riscv.h>

#include "memory/alloc.h"
#include "world.h"

enum { DATA = 0x100000 };

struct things {
	struct world world;
	struct viommu_host_space *space; /* of its own, nothing attached */
	struct viommu_tracker *tracker;
	struct viommu_map *map;
	uint32_t table;
	/* What the call under test made. */
	void *made;
	uint32_t number;
	int fd;
};

static int open_model(struct things *t)
{
	return viommu_host_open_model(NULL, (struct viommu_host **)&t->made);
}

static void close_model(struct things *t)
{
	viommu_host_close(t->made);
}

static int open_device(struct things *t)
{
	const struct viommu_host_model_device options = { .size = sizeof(options), .pasid_bits = 8, .ats = true,
							  .migration = 1 };

	return viommu_host_device_open_model(t->world.host, &options, (struct viommu_host_device **)&t->made);
}

static void close_device(struct things *t)
{
	viommu_host_device_close(t->made);
}

static int make_space(struct things *t)
{
	return viommu_host_space_create(t->world.device, VIOMMU_SPACE_NEST_PARENT | VIOMMU_SPACE_PASID,
					(struct viommu_host_space **)&t->made);
}

static void drop_space(struct things *t)
{
	assert_int_equal(viommu_host_space_destroy(t->made), 0);
}

static int map_page(struct things *t)
{
	return viommu_host_map(t->space, 0x5000, t->world.kit.ram, 4096, VIOMMU_READ | VIOMMU_WRITE);
}

static void unmap_page(struct things *t)
{
	assert_int_equal(viommu_host_unmap(t->space, 0x5000, 4096), 0);
}

static int make_table(struct things *t)
{
	const struct viommu_host_first_stage first = { .size = sizeof(first), .root = DATA, .width = 48,
						       .pasid = true };

	return viommu_host_nested_create(t->world.device, t->space, &first, &t->number);
}

static void drop_table(struct things *t)
{
	assert_int_equal(viommu_host_nested_destroy(t->world.host, t->number), 0);
}

static int make_faults(struct things *t)
{
	return viommu_host_faults_create(t->world.host, &t->number, &t->fd);
}

static void drop_faults(struct things *t)
{
	viommu_host_faults_destroy(t->world.host, t->number, t->fd);
}

static int attach(struct things *t)
{
	return viommu_host_attach(t->world.device, 77, viommu_host_space_table(t->space));
}

static void detach(struct things *t)
{
	assert_int_equal(viommu_host_detach(t->world.device, 77), 0);
}

static int track(struct things *t)
{
	return viommu_host_dirty_start(viommu_host_space_host(t->space) ? t->space : NULL);
}

static void untrack(struct things *t)
{
	viommu_host_dirty_stop(t->space);
}

static int follow(struct things *t)
{
	const struct viommu_device_info info = { .size = sizeof(info), .name = "some", .migratable = true };

	return viommu_tracker_add_passthrough(t->tracker, t->world.passthrough, &info, &t->number);
}

static void leave(struct things *t)
{
	assert_int_equal(viommu_tracker_remove_device(t->tracker, t->number), 0);
}

/* A unit with all there is. */
static int make_unit(struct things *t)
{
	struct viommu_unit_options options;

	viommu_unit_options_init(&options);
	options.memory_type = options.interrupt_remapping = options.posted_interrupts = true;
	options.protected_memory = options.performance_monitoring = options.virtual_commands = true;
	options.advanced_fault_log = options.rid_privilege = true;
	return viommu_unit_create(&options, t->world.kit.memory, NULL, NULL, (struct viommu_unit **)&t->made);
}

static void drop_unit(struct things *t)
{
	viommu_unit_destroy(t->made);
}

static int make_marker(struct things *t)
{
	const struct viommu_wgmarker_config config = { .size = sizeof(config), .wid = 1, .worlds = 4,
						       .next = t->map };

	return viommu_wgmarker_create(&config, (struct viommu_wgmarker **)&t->made);
}

static void drop_marker(struct things *t)
{
	viommu_wgmarker_destroy(t->made);
}

static int make_guard(struct things *t)
{
	return viommu_wid_guard_create(3, t->map, (struct viommu_wid_guard **)&t->made);
}

static void drop_guard(struct things *t)
{
	viommu_wid_guard_destroy(t->made);
}

static int make_tlb(struct things *t)
{
	return viommu_cpu_tlb_create(t->map, NULL, (struct viommu_cpu_tlb **)&t->made);
}

static void drop_tlb(struct things *t)
{
	viommu_cpu_tlb_destroy(t->made);
}

static const struct {
	const char *name;
	int (*call)(struct things *t);
	void (*undo)(struct things *t);
	int least; /* allocations it makes, at least */
} calls[] = {
	{ "viommu_host_open_model", open_model, close_model, 2 },
	{ "viommu_host_device_open_model", open_device, close_device, 1 },
	{ "viommu_host_space_create", make_space, drop_space, 1 },
	{ "viommu_host_map", map_page, unmap_page, 1 },
	{ "viommu_host_nested_create", make_table, drop_table, 1 },
	{ "viommu_host_faults_create", make_faults, drop_faults, 1 },
	{ "viommu_host_attach", attach, detach, 0 },
	{ "viommu_host_dirty_start", track, untrack, 0 },
	{ "viommu_tracker_add_passthrough", follow, leave, 1 },
	{ "viommu_unit_create", make_unit, drop_unit, 6 },
	{ "viommu_wgmarker_create", make_marker, drop_marker, 1 },
	{ "viommu_wid_guard_create", make_guard, drop_guard, 1 },
	{ "viommu_cpu_tlb_create", make_tlb, drop_tlb, 1 },
};

static void start(struct things *t)
{
	memset(t, 0, sizeof(*t));
	world_options(&t->world);
	world_create(&t->world);
	t->world.kit.ram[DATA] = 0x42;
	kit_start(&t->world.kit, TTM_SCALABLE);
	world_bind(&t->world, 0, 1, PE_PASS, 0);
	assert_int_equal(viommu_host_space_create(t->world.device,
						  VIOMMU_SPACE_NEST_PARENT | VIOMMU_SPACE_PASID |
							  VIOMMU_SPACE_DIRTY_TRACKING,
						  &t->space),
			 0);
	assert_int_equal(viommu_tracker_create(t->world.kit.memory, &t->tracker), 0);
	assert_int_equal(viommu_map_create(t->world.kit.memory, &t->map), 0);
}

static void end(struct things *t)
{
	viommu_map_destroy(t->map);
	viommu_tracker_destroy(t->tracker);
	assert_int_equal(viommu_host_space_destroy(t->space), 0);
	world_destroy(&t->world);
}

/* What was there before works, whatever failed. */
static void usable(struct things *t, uint32_t round)
{
	uint32_t pasid = 10 + round % 1000;

	assert_int_equal(world_read(&t->world, VIOMMU_NO_PASID, DATA), 0x42);
	world_bind(&t->world, pasid, 7, PE_FIRST, world_first(&t->world, DATA));
	assert_int_equal(world_read(&t->world, pasid, 0x1000), 0x42);
	world_unbind(&t->world, pasid, 7);
	assert_int_equal(world_read(&t->world, pasid, 0x1000), -EFAULT);
}

static void every_maker(void **state)
{
	static struct things t;

	start(&t);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		for (long n = 0;; n++) {
			bool fired;
			int ret;

			viommu_alloc_fail_nth(n);
			ret = calls[i].call(&t);
			fired = viommu_alloc_fail_nth(-1);
			if (ret && (ret != -ENOMEM || !fired))
				fail_msg("%s, allocation %ld: %d", calls[i].name, n, ret);
			if (!ret)
				calls[i].undo(&t);
			usable(&t, (uint32_t)(i * 32 + n));
			if (fired)
				continue;
			if (n < calls[i].least)
				fail_msg("%s allocates %ld times only", calls[i].name, n);
			break;
		}
	}
	end(&t);
}

/* A request on a thread that never made one, without any memory at all. */
static void *requests_without_memory(void *opaque)
{
	struct kit *kit = opaque;
	struct viommu_translation t;
	uint64_t word, to;
	uint32_t data;
	size_t done;

	for (int i = 0; i < 3; i++) {
		viommu_alloc_fail_nth(0);
		if (viommu_translate(kit->endpoint, 5, 0x1000, VIOMMU_READ, &t) || t.gpa != DATA ||
		    viommu_dma_read(kit->endpoint, 5, 0x1000, &word, 8, 0, &done, NULL) || done != 8 ||
		    viommu_dma_write(kit->endpoint, 5, 0x1008, &word, 8, 0, NULL, NULL) ||
		    viommu_dma_atomic(kit->endpoint, 5, 0x1010, VIOMMU_FETCH_ADD, 8, 1, 0, &word, NULL) ||
		    viommu_ats_translate(kit->endpoint, 5, 0x1000, VIOMMU_READ, &t) ||
		    viommu_translated_request(kit->endpoint, DATA, VIOMMU_READ, &t) ||
		    viommu_page_request(kit->endpoint, 5, 0x1000, VIOMMU_READ, 1, true) ||
		    viommu_interrupt(kit->endpoint, 0xfee00000, 0, &to, &data, NULL)) {
			viommu_alloc_fail_nth(-1);
			return (void *)1;
		}
		viommu_alloc_fail_nth(-1);
	}
	return NULL;
}

static void first_requests_of_a_thread(void **state)
{
	struct kit kit;
	pthread_t thread;
	uint64_t root;
	void *failed;

	kit_create(&kit, NULL);
	kit_start(&kit, TTM_SCALABLE);
	kit_write(&kit, REG_PQA, 8, kit_page(&kit));
	root = kit_setup_first(&kit, 5, 4);
	kit_map_first(&kit, root, 4, 0x1000, 1, DATA | FS_P | FS_RW | FS_US);
	kit_set_pasid_entry(&kit, KIT_RID, 0, PE_P | PE_PASS, KIT_DID, 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&thread, NULL, requests_without_memory, &kit), 0);
		assert_int_equal(pthread_join(thread, &failed), 0);
		assert_null(failed);
	}
	kit_destroy(&kit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_maker),
		cmocka_unit_test(first_requests_of_a_thread),
	};

	return cmocka_run_group_tests_name("allocation", tests, NULL, NULL);
}
