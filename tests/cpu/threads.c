/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Harts on threads of their own: when a change has been made, nobody acts on what was before.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kit.h"

enum { R = VIOMMU_READ, RWX = 7, HARTS = 2, CHANGERS = 3, PAGES = 64, VERSIONS = 20000,
       CHANGES = 300 };
#define VA 0x1000000ull

struct world {
	struct kit *kit;
	struct viommu_map *map, *next;
	struct viommu_region *region;
	_Atomic uint64_t rule;	    /* the page reads of KIT_GUARD go to */
	_Atomic uint64_t published; /* the rule everybody must have seen the change to */
	atomic_bool stop;
	_Atomic unsigned long loads, fast, errors; /* loads and fast: summed up as they happen */
};

static void translate(void *opaque, const struct viommu_request *request,
		      struct viommu_answer *answer)
{
	struct world *world = opaque;

	answer->kind = VIOMMU_ANSWER_PASS;
	answer->map = world->next;
	answer->granted = RWX;
	answer->first = request->address & ~0xfffull;
	answer->last = request->address | 0xfff;
	answer->address = KIT_RAM + world->rule % PAGES * KIT_PAGE + request->address % KIT_PAGE;
}

static enum viommu_reaction blocked(void *opaque, const struct viommu_request *request)
{
	return VIOMMU_REACTION_ERROR;
}

static const struct viommu_region_ops ops = { sizeof(ops), translate, blocked };

static void set_up(struct world *world, struct kit *kit)
{
	*world = (struct world){ .kit = kit };
	assert_int_equal(viommu_map_create(kit->memory, &world->map), 0);
	assert_int_equal(viommu_map_create(kit->memory, &world->next), 0);
	assert_int_equal(viommu_region_create(&ops, world, &world->region), 0);
	assert_int_equal(viommu_map_add_region(world->map, KIT_GUARD, KIT_GUARD + 0xffff,
					       world->region), 0);
	for (uint64_t i = 0; i < PAGES; i++)
		memcpy(kit->ram + i * KIT_PAGE, &i, 8);
}

static void tear_down(struct world *world)
{
	viommu_map_destroy(world->map);
	viommu_map_destroy(world->next);
	viommu_region_destroy(world->region);
}

/* As an emulator does it: fast path, slow path, walk, fill; a safe point per block. */
static bool load(struct viommu_cpu_tlb *tlb, uint64_t va, uint64_t pa, uint64_t *value, bool *fast)
{
	const uint64_t *at = viommu_fast_lookup(viommu_cpu_tlb_fast(tlb), va, 8, VIOMMU_FAST_READ);
	struct viommu_cpu_target target;

	*fast = at;
	if (!at) {
		viommu_cpu_tlb_access(tlb, va, 8, R, &target);
		if (target.kind == VIOMMU_CPU_MISS) {
			viommu_cpu_tlb_fill(tlb, &(struct viommu_cpu_fill){
							 .va = va, .pa = pa, .page_size = KIT_PAGE,
							 .permissions = RWX });
			viommu_cpu_tlb_access(tlb, va, 8, R, &target);
		}
		if (target.kind != VIOMMU_CPU_RAM)
			return false;
		at = target.hva;
	}
	*value = __atomic_load_n(at, __ATOMIC_RELAXED);
	return true;
}

/* Seconds; both tests that race against time end after some. */
enum { SECONDS = 2 };

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static bool in_time(double until)
{
	return now() < until;
}

static void count(struct world *world, bool fast)
{
	atomic_fetch_add_explicit(&world->loads, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&world->fast, fast, memory_order_relaxed);
}

/* Let the harts run until `counter` is beyond `before`, or for 100 ms: the machine may be busy. */
static void let_run(_Atomic unsigned long *counter, unsigned long before)
{
	for (int i = 0; i < 1000 && *counter <= before; i++)
		usleep(100);
}

static void *hart(void *opaque)
{
	struct world *world = opaque;
	unsigned long loads = 0;
	struct viommu_cpu_tlb *tlb;

	if (viommu_cpu_tlb_create(world->map, NULL, &tlb))
		return (void *)1;
	viommu_cpu_tlb_enter(tlb);
	viommu_cpu_tlb_switch(tlb, &(struct viommu_cpu_context){ .asid = 1 });
	while (!world->stop) {
		uint64_t before = world->published, value, after;
		bool fast;

		if (!load(tlb, VA, KIT_GUARD, &value, &fast)) {
			atomic_fetch_add(&world->errors, 1);
			break;
		}
		after = world->published + 1;
		/* Not older than what was published, not newer than what is being made. */
		if ((value - before) % PAGES > (after - before) % PAGES &&
		    after - before < PAGES) {
			atomic_fetch_add(&world->errors, 1);
			break;
		}
		loads++;
		count(world, fast);
		if (viommu_cpu_tlb_pending(tlb))
			viommu_cpu_tlb_poll(tlb);
		if (loads % 5000 == 0) { /* as in WFI: nobody waits for it */
			viommu_cpu_tlb_leave(tlb);
			sched_yield();
			viommu_cpu_tlb_enter(tlb);
		}
	}
	viommu_cpu_tlb_leave(tlb);
	viommu_cpu_tlb_destroy(tlb);
	return NULL;
}

/* After viommu_region_changed() has returned, no hart uses the old answer. */
static void test_change_is_complete(void **state)
{
	struct world world;
	pthread_t threads[HARTS];
	uint64_t version;
	double until;

	set_up(&world, *state);
	for (int i = 0; i < HARTS; i++)
		pthread_create(&threads[i], NULL, hart, &world);
	while (!world.fast && !world.errors)
		usleep(100);
	until = now() + SECONDS;
	for (version = 1; version <= VERSIONS && !world.errors && in_time(until); version++) {
		world.rule = version;
		viommu_region_changed(world.region, KIT_GUARD, KIT_GUARD + 0xfff);
		world.published = version;
		if (version % 4 == 0)
			let_run(&world.fast, world.fast);
	}
	world.stop = true;
	for (int i = 0; i < HARTS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(world.errors, 0);
	assert_true(world.fast > 0);
	printf("  %lu loads, %lu fast, %lu changes\n", world.loads, world.fast,
	       (unsigned long)version - 1);
	tear_down(&world);
}

static void *changer(void *opaque)
{
	struct world *world = opaque;
	struct viommu_cpu_tlb *tlb;
	struct viommu_cpu_target target;
	uint64_t value;
	bool fast;

	if (viommu_cpu_tlb_create(world->map, NULL, &tlb))
		return (void *)1;
	viommu_cpu_tlb_enter(tlb);
	viommu_cpu_tlb_switch(tlb, &(struct viommu_cpu_context){ .asid = 1 });
	for (uint64_t i = 0; i < CHANGES; i++) {
		load(tlb, VA, KIT_GUARD, &value, &fast);
		load(tlb, VA + KIT_PAGE, KIT_DEVICE, &value, &fast);
		viommu_cpu_tlb_access(tlb, VA + KIT_PAGE, 8, VIOMMU_WRITE, &target);
		/* The device changes the region's rules: every hart waits for every other. */
		if (target.kind != VIOMMU_CPU_MMIO ||
		    viommu_cpu_tlb_write(tlb, &target, &i, 8))
			atomic_fetch_add(&world->errors, 1);
		if (viommu_fast_lookup(viommu_cpu_tlb_fast(tlb), VA, 8, VIOMMU_FAST_READ))
			atomic_fetch_add(&world->errors, 1);
	}
	viommu_cpu_tlb_leave(tlb);
	viommu_cpu_tlb_destroy(tlb);
	return NULL;
}

static void change_rule(struct kit *kit, uint64_t value)
{
	struct world *world = kit->opaque;

	atomic_fetch_add(&world->rule, 1);
	viommu_region_changed(world->region, KIT_GUARD, KIT_GUARD + 0xfff);
}

/* Harts that change rules at the same time do not wait for each other for ever. */
static void test_mutual_changes(void **state)
{
	struct kit *kit = *state;
	struct world world;
	pthread_t threads[CHANGERS];

	set_up(&world, kit);
	kit->opaque = &world;
	kit->on_device_write = change_rule;
	for (int i = 0; i < CHANGERS; i++)
		pthread_create(&threads[i], NULL, changer, &world);
	for (int i = 0; i < CHANGERS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(world.rule, CHANGERS * CHANGES);
	assert_int_equal(world.errors, 0);
	tear_down(&world);
}

static void *reader(void *opaque)
{
	struct world *world = opaque;
	struct viommu_cpu_tlb *tlb;

	if (viommu_cpu_tlb_create(world->map, NULL, &tlb))
		return (void *)1;
	viommu_cpu_tlb_enter(tlb);
	while (!world->stop) {
		uint64_t value;
		bool fast;

		if (load(tlb, 0x70000000, 0x70000000, &value, &fast)) {
			count(world, fast);
			if (value != 0x4242424242424242ull)
				atomic_fetch_add(&world->errors, 1);
		}
		if (viommu_cpu_tlb_pending(tlb))
			viommu_cpu_tlb_poll(tlb);
	}
	viommu_cpu_tlb_leave(tlb);
	viommu_cpu_tlb_destroy(tlb);
	return NULL;
}

/* Removed memory may be unmapped: no hart reads it afterwards. */
static void test_memory_goes(void **state)
{
	struct kit *kit = *state;
	struct world world;
	pthread_t threads[2];
	double until = now() + SECONDS;

	set_up(&world, kit);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, reader, &world);
	for (int i = 0; i < 20000 && in_time(until); i++) {
		void *page = mmap(NULL, KIT_PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		unsigned long loads = world.loads;

		assert_ptr_not_equal(page, MAP_FAILED);
		memset(page, 0x42, KIT_PAGE);
		assert_int_equal(viommu_memory_add_hva(kit->memory, 0x70000000, KIT_PAGE, page, 0),
				 0);
		if (i % 4 == 0)
			let_run(&world.loads, loads);
		assert_int_equal(viommu_memory_remove(kit->memory, 0x70000000, KIT_PAGE), 1);
		memset(page, 0, KIT_PAGE);
		munmap(page, KIT_PAGE);
	}
	world.stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(world.errors, 0);
	assert_true(world.loads > 0);
	tear_down(&world);
}

/* Several harts of one thread: nobody waits, and each applies before it runs. */
static void test_one_thread(void **state)
{
	struct world world;
	struct viommu_cpu_tlb *tlb[4];
	uint64_t value;
	bool fast;

	set_up(&world, *state);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(viommu_cpu_tlb_create(world.map, NULL, &tlb[i]), 0);
		viommu_cpu_tlb_enter(tlb[i]);
		viommu_cpu_tlb_switch(tlb[i], &(struct viommu_cpu_context){ .asid = 1 });
		assert_true(load(tlb[i], VA, KIT_GUARD, &value, &fast));
	}
	for (uint64_t version = 1; version < 100; version++) {
		world.rule = version;
		viommu_region_changed(world.region, 0, UINT64_MAX);
		for (int i = 0; i < 4; i++) {
			assert_true(viommu_cpu_tlb_pending(tlb[i]));
			viommu_cpu_tlb_poll(tlb[i]);
			assert_true(load(tlb[i], VA, KIT_GUARD, &value, &fast));
			assert_int_equal(value, version % PAGES);
		}
	}
	/* More changes than a TLB keeps one by one. */
	for (int i = 0; i < 1000; i++)
		viommu_region_changed(world.region, KIT_GUARD + 0x8000, KIT_GUARD + 0x8000);
	world.rule = 7;
	viommu_region_changed(world.region, KIT_GUARD, KIT_GUARD);
	for (int i = 0; i < 4; i++) {
		viommu_cpu_tlb_poll(tlb[i]);
		assert_true(load(tlb[i], VA, KIT_GUARD, &value, &fast));
		assert_int_equal(value, 7);
		viommu_cpu_tlb_leave(tlb[i]);
		viommu_cpu_tlb_destroy(tlb[i]);
	}
	tear_down(&world);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_create_parked, kit_destroy)
	const struct CMUnitTest tests[] = {
		TEST(test_change_is_complete),
		TEST(test_mutual_changes),
		TEST(test_memory_goes),
		TEST(test_one_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
