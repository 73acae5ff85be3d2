/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Contexts, flushes, and the size of the tables.
 */
#include <errno.h>

#include "kit.h"

enum { R = VIOMMU_READ, W = VIOMMU_WRITE, X = VIOMMU_EXECUTE, RWX = 7 };
#define VA 0x1000000ull

static void fill(struct kit *kit, uint64_t va, uint64_t page, bool global, uint64_t size)
{
	viommu_cpu_tlb_fill(kit->tlb, &(struct viommu_cpu_fill){
					      .va = va,
					      .pa = KIT_RAM + page * KIT_PAGE,
					      .page_size = size,
					      .permissions = RWX,
					      .global = global,
				      });
}

static enum viommu_cpu_kind kind(struct kit *kit, uint64_t va)
{
	return kit_access(kit, va, 8, R).kind;
}

static void *where(struct kit *kit, uint64_t va)
{
	return kit_access(kit, va, 8, R).hva;
}

/* A switch flushes nothing and hides everything of other ASIDs, worlds and privilege classes. */
static void test_switch(void **state)
{
	struct kit *kit = *state;
	struct viommu_cpu_context base = { .asid = 1, .attributes = { .wid = 0, .source = 7 } };
	struct viommu_cpu_context contexts[8];

	for (int i = 0; i < 8; i++)
		contexts[i] = base;
	contexts[1].asid = 2;
	contexts[2].vmid = 1;
	contexts[3].privilege = 1;
	contexts[4].privileged = true;
	contexts[5].attributes.wid = 1;
	contexts[6].attributes.source = 8;
	contexts[7].physical = true;
	for (int i = 0; i < 7; i++) {
		viommu_cpu_tlb_switch(kit->tlb, &contexts[i]);
		assert_int_equal(kind(kit, VA), VIOMMU_CPU_MISS);
		fill(kit, VA, i, false, KIT_PAGE);
		assert_ptr_equal(where(kit, VA), kit->ram + i * KIT_PAGE);
	}
	viommu_cpu_tlb_switch(kit->tlb, &contexts[7]);
	assert_null(kit_fast(kit, VA, R));
	/* Level two has four ways for one address: the last four contexts are still there. */
	for (int i = 6; i >= 3; i--) {
		viommu_cpu_tlb_switch(kit->tlb, &contexts[i]);
		if (i < 6) /* its entry has been overwritten by the next one's */
			assert_null(kit_fast(kit, VA, R));
		assert_ptr_equal(where(kit, VA), kit->ram + i * KIT_PAGE);
		assert_ptr_equal(kit_fast(kit, VA, R), kit->ram + i * KIT_PAGE);
	}
}

/* A region sees the world, the source and the privilege of the context. */
static void test_attributes(void **state)
{
	struct kit *kit = *state;
	struct viommu_cpu_context context = {
		.privileged = true, .attributes = { .wid = 3, .source = 9 },
	};

	viommu_cpu_tlb_switch(kit->tlb, &context);
	kit_fill(kit, VA, KIT_GUARD, RWX);
	kit_access(kit, VA, 8, R);
	assert_int_equal(kit->asked.access, R | VIOMMU_PRIVILEGED);
	assert_int_equal(kit->asked.attributes.wid, 3);
	assert_int_equal(kit->asked.attributes.source, 9);
	context.attributes.wid = 2;
	viommu_cpu_tlb_switch(kit->tlb, &context);
	assert_null(kit_fast(kit, VA, R));
	kit_fill(kit, VA, KIT_GUARD, RWX);
	kit_access(kit, VA, 8, R);
	assert_int_equal(kit->asked.attributes.wid, 2);
}

/* Global pages are shared by ASIDs and survive flushes that name one. */
static void test_global(void **state)
{
	struct kit *kit = *state;

	fill(kit, VA, 1, true, KIT_PAGE);
	fill(kit, VA + KIT_PAGE, 2, false, KIT_PAGE);
	kit_use(kit, 2, 0);
	assert_ptr_equal(where(kit, VA), kit->ram + KIT_PAGE);
	assert_int_equal(kind(kit, VA + KIT_PAGE), VIOMMU_CPU_MISS);
	kit_use(kit, 2, 1); /* another world does not see it */
	assert_int_equal(kind(kit, VA), VIOMMU_CPU_MISS);
	kit_use(kit, 1, 0);
	viommu_cpu_tlb_flush_asid(kit->tlb, 0, 1);
	assert_ptr_equal(where(kit, VA), kit->ram + KIT_PAGE);
	assert_int_equal(kind(kit, VA + KIT_PAGE), VIOMMU_CPU_MISS);
	viommu_cpu_tlb_flush_page(kit->tlb, 0, 1, VA);
	assert_ptr_equal(where(kit, VA), kit->ram + KIT_PAGE);
	viommu_cpu_tlb_flush_page(kit->tlb, 0, VIOMMU_CPU_ALL, VA);
	assert_int_equal(kind(kit, VA), VIOMMU_CPU_MISS);
	fill(kit, VA, 1, true, KIT_PAGE);
	viommu_cpu_tlb_flush_vmid(kit->tlb, 0);
	assert_int_equal(kind(kit, VA), VIOMMU_CPU_MISS);
}

/* One page in one context is one record: global and not replace each other. */
static void test_twins(void **state)
{
	struct kit *kit = *state;

	fill(kit, VA, 1, true, KIT_PAGE);
	kit_use(kit, 2, 0);
	fill(kit, VA, 2, false, KIT_PAGE);
	assert_ptr_equal(where(kit, VA), kit->ram + 2 * KIT_PAGE);
	fill(kit, VA, 3, true, KIT_PAGE);
	assert_ptr_equal(where(kit, VA), kit->ram + 3 * KIT_PAGE);
	viommu_cpu_tlb_flush_page(kit->tlb, 0, VIOMMU_CPU_ALL, VA);
	assert_int_equal(kind(kit, VA), VIOMMU_CPU_MISS);
	kit_use(kit, 1, 0);
	assert_int_equal(kind(kit, VA), VIOMMU_CPU_MISS);
}

/* A page flush takes one page of one ASID. */
static void test_flush_page(void **state)
{
	struct kit *kit = *state;

	for (uint32_t asid = 1; asid <= 2; asid++) {
		kit_use(kit, asid, 0);
		fill(kit, VA, asid, false, KIT_PAGE);
		fill(kit, VA + KIT_PAGE, asid, false, KIT_PAGE);
		assert_int_equal(kind(kit, VA), VIOMMU_CPU_RAM);
		assert_int_equal(kind(kit, VA + KIT_PAGE), VIOMMU_CPU_RAM);
	}
	viommu_cpu_tlb_flush_page(kit->tlb, 0, 1, VA + 0x123);
	assert_ptr_equal(where(kit, VA), kit->ram + 2 * KIT_PAGE);
	viommu_cpu_tlb_flush_page(kit->tlb, 1, 2, VA); /* another VMID */
	assert_int_equal(kind(kit, VA), VIOMMU_CPU_RAM);
	viommu_cpu_tlb_flush_page(kit->tlb, 0, 2, VA);
	assert_null(kit_fast(kit, VA, R));
	assert_int_equal(kind(kit, VA), VIOMMU_CPU_MISS);
	kit_use(kit, 1, 0);
	assert_int_equal(kind(kit, VA), VIOMMU_CPU_MISS);
	assert_int_equal(kind(kit, VA + KIT_PAGE), VIOMMU_CPU_RAM);
}

/* A flush of any byte of a large leaf drops all pages made from it. */
static void test_large(void **state)
{
	struct kit *kit = *state;
	const uint64_t large = 2 << 20;

	for (uint64_t i = 0; i < 4; i++) {
		fill(kit, VA + i * KIT_PAGE, i, false, large);
		assert_int_equal(kind(kit, VA + i * KIT_PAGE), VIOMMU_CPU_RAM);
	}
	viommu_cpu_tlb_flush_page(kit->tlb, 0, 1, VA + large - 1);
	for (uint64_t i = 0; i < 4; i++) {
		assert_null(kit_fast(kit, VA + i * KIT_PAGE, R));
		assert_int_equal(kind(kit, VA + i * KIT_PAGE), VIOMMU_CPU_MISS);
	}
	/* More ranges than are remembered one by one. */
	for (uint64_t i = 0; i < 40; i++)
		fill(kit, VA + i * 16 * large, i, true, large);
	for (uint64_t i = 0; i < 40; i++) {
		fill(kit, VA + i * 16 * large, i, true, large);
		viommu_cpu_tlb_flush_page(kit->tlb, 0, VIOMMU_CPU_ALL,
					  VA + i * 16 * large + large / 2);
		assert_int_equal(kind(kit, VA + i * 16 * large), VIOMMU_CPU_MISS);
	}
}

/* Flushes by VMID and of everything; physical contexts stay for all but the last. */
static void test_flush_vmid(void **state)
{
	const uint64_t other = KIT_RAM + KIT_PAGE; /* not in VA's set */
	struct kit *kit = *state;
	struct viommu_cpu_context guest[2] = { { .vmid = 1, .asid = 1 }, { .vmid = 2, .asid = 1 } };
	struct viommu_cpu_context physical = { .physical = true };

	for (int i = 0; i < 2; i++) {
		viommu_cpu_tlb_switch(kit->tlb, &guest[i]);
		fill(kit, VA, i, i == 0, KIT_PAGE);
		assert_int_equal(kind(kit, VA), VIOMMU_CPU_RAM);
	}
	viommu_cpu_tlb_switch(kit->tlb, &physical);
	assert_ptr_equal(where(kit, other), kit->ram + KIT_PAGE);
	viommu_cpu_tlb_flush_vmid(kit->tlb, 1);
	assert_non_null(kit_fast(kit, other, R));
	viommu_cpu_tlb_switch(kit->tlb, &guest[0]);
	assert_int_equal(kind(kit, VA), VIOMMU_CPU_MISS);
	viommu_cpu_tlb_switch(kit->tlb, &guest[1]);
	assert_int_equal(kind(kit, VA), VIOMMU_CPU_RAM);
	viommu_cpu_tlb_flush_vmid(kit->tlb, VIOMMU_CPU_ALL);
	assert_int_equal(kind(kit, VA), VIOMMU_CPU_MISS);
	viommu_cpu_tlb_switch(kit->tlb, &physical);
	viommu_cpu_tlb_flush_page(kit->tlb, VIOMMU_CPU_ALL, VIOMMU_CPU_ALL, other);
	assert_non_null(kit_fast(kit, other, R));
	viommu_cpu_tlb_flush_all(kit->tlb);
	assert_null(kit_fast(kit, other, R));
}

/* Colours run out and come again; what an old colour left behind is never seen. */
static void test_colours(void **state)
{
	struct kit *kit = *state;

	for (uint32_t i = 0; i < 3000; i++) {
		fill(kit, VA, i % 16, false, KIT_PAGE);
		assert_ptr_equal(where(kit, VA), kit->ram + i % 16 * KIT_PAGE);
		assert_ptr_equal(kit_fast(kit, VA, R), kit->ram + i % 16 * KIT_PAGE);
		viommu_cpu_tlb_flush_asid(kit->tlb, 0, 1);
		assert_null(kit_fast(kit, VA, R));
	}
	/* An entry nobody overwrites, while more colours pass than there are. */
	fill(kit, VA, 3, false, KIT_PAGE);
	assert_int_equal(kind(kit, VA), VIOMMU_CPU_RAM);
	for (uint32_t i = 0; i < 1000; i++) {
		viommu_cpu_tlb_flush_vmid(kit->tlb, 0);
		assert_null(kit_fast(kit, VA, R));
	}
}

/* More contexts than are kept: those pushed out lose their pages, never mix them. */
static void test_many_contexts(void **state)
{
	struct kit *kit = *state;

	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t asid = 0; asid < 500; asid++) {
			kit_use(kit, asid, asid % 4);
			if (kind(kit, VA) == VIOMMU_CPU_MISS)
				fill(kit, VA, asid % 256, asid % 7 == 0, KIT_PAGE);
			if (asid % 7 == 0) /* global: the first of this world to fill it wins */
				continue;
			viommu_cpu_tlb_flush_page(kit->tlb, 0, VIOMMU_CPU_ALL, VA);
			fill(kit, VA, asid % 256, false, KIT_PAGE);
			assert_ptr_equal(where(kit, VA), kit->ram + asid % 256 * KIT_PAGE);
		}
	}
}

/*
 * Both levels grow without a flush, lose nothing, and shrink when flushes show they are too large.
 */
static void test_growth(void **state)
{
	struct kit *kit = *state;
	struct viommu_cpu_statistics before = kit_statistics(kit), after;
	uint64_t misses;

	assert_int_equal(before.entries, 256);
	for (int round = 0; round < 8; round++) {
		for (uint64_t i = 0; i < 4096; i++) {
			uint64_t va = VA + i * KIT_PAGE;

			if (kit_fast(kit, va, R))
				continue;
			if (kind(kit, va) == VIOMMU_CPU_MISS)
				fill(kit, va, i % 256, false, KIT_PAGE);
			assert_ptr_equal(where(kit, va), kit->ram + i % 256 * KIT_PAGE);
		}
	}
	after = kit_statistics(kit);
	assert_true(after.entries >= 4096);
	assert_true(after.pages >= 4096);
	assert_true(after.grown >= 8);
	assert_int_equal(after.flushes, 0);
	misses = after.misses;
	for (uint64_t i = 0; i < 4096; i++)
		assert_non_null(kit_fast(kit, VA + i * KIT_PAGE, R));
	assert_int_equal(kit_statistics(kit).misses, misses);
	for (int i = 0; i < 2000; i++)
		viommu_cpu_tlb_flush_vmid(kit->tlb, 0);
	after = kit_statistics(kit);
	assert_int_equal(after.entries, 256);
	assert_int_equal(after.pages, 256);
	assert_true(after.shrunk >= 8);
}

/* The page walker has its own entries and the attributes of the effective mode. */
static void test_walker(void **state)
{
	struct kit *kit = *state;
	struct viommu_attributes world = { .wid = 2, .source = 7 };
	struct viommu_attributes other = { .wid = 1, .source = 7 };
	const struct viommu_fast *fast = viommu_cpu_tlb_fast(kit->tlb);
	struct viommu_cpu_target target;

	kit->rule[0].granted = R;
	assert_null(viommu_fast_walk(fast, &world, KIT_GUARD + 8, 8));
	viommu_cpu_tlb_walk(kit->tlb, &world, KIT_GUARD + 8, 8, R, &target);
	assert_int_equal(target.kind, VIOMMU_CPU_RAM);
	assert_ptr_equal(target.hva, kit->ram + 8);
	assert_int_equal(kit->asked.attributes.wid, 2);
	assert_true(kit->asked.access & VIOMMU_PRIVILEGED);
	viommu_cpu_tlb_walk(kit->tlb, &world, KIT_GUARD + 16, 8, R, &target);
	assert_ptr_equal(target.hva, kit->ram + 16);
	assert_int_equal(kit->translations, 1);
	assert_ptr_equal(viommu_fast_walk(fast, &world, KIT_GUARD + 24, 8), kit->ram + 24);
	assert_null(viommu_fast_walk(fast, &world, KIT_GUARD + 28, 8));
	assert_null(viommu_fast_walk(fast, &other, KIT_GUARD + 24, 8));
	viommu_cpu_tlb_walk(kit->tlb, &world, KIT_GUARD + 16, 8, W, &target);
	assert_int_equal(kit->translations, 2);
	/* An sfence keeps it; a change of the rules and a flush of everything do not. */
	viommu_cpu_tlb_flush_vmid(kit->tlb, VIOMMU_CPU_ALL);
	viommu_cpu_tlb_walk(kit->tlb, &world, KIT_GUARD, 8, R, &target);
	assert_int_equal(kit->translations, 2);
	viommu_cpu_tlb_flush_all(kit->tlb);
	assert_null(viommu_fast_walk(fast, &world, KIT_GUARD + 24, 8));
	viommu_cpu_tlb_walk(kit->tlb, &world, KIT_GUARD, 8, R, &target);
	assert_non_null(viommu_fast_walk(fast, &world, KIT_GUARD + 24, 8));
	for (int i = 0; i < 600; i++) { /* colours come again; a stale one is nobody's */
		viommu_cpu_tlb_flush_vmid(kit->tlb, VIOMMU_CPU_ALL);
		kit_use(kit, 1, 0);
	}
	viommu_cpu_tlb_walk(kit->tlb, &world, KIT_GUARD, 8, R, &target);
	kit->rule[0].kind = VIOMMU_ANSWER_BLOCKED;
	viommu_region_changed(kit->region, KIT_GUARD, KIT_GUARD);
	viommu_cpu_tlb_poll(kit->tlb);
	assert_null(viommu_fast_walk(fast, &world, KIT_GUARD + 24, 8));
	viommu_cpu_tlb_walk(kit->tlb, &world, KIT_GUARD, 8, R, &target);
	assert_int_equal(target.kind, VIOMMU_CPU_ERROR);
	world.wid = 1;
	kit_pass_all(kit);
	viommu_cpu_tlb_walk(kit->tlb, &world, KIT_GUARD, 8, R, &target);
	assert_int_equal(kit->asked.attributes.wid, 1);
}

/* Strict: a PMP stands before physical accesses, page walks included. */
static void test_strict(void **state)
{
	struct kit *kit = *state;
	struct viommu_attributes world = { .wid = 0, .source = 7 };
	struct viommu_cpu_context machine = { .physical = true };
	struct viommu_cpu_target target;
	struct viommu_cpu_fill pmp = { .va = KIT_RAM, .pa = KIT_RAM, .page_size = KIT_PAGE,
				       .permissions = R };

	viommu_cpu_tlb_set_strict(kit->tlb, true);
	viommu_cpu_tlb_walk(kit->tlb, &world, KIT_RAM, 8, R, &target);
	assert_int_equal(target.kind, VIOMMU_CPU_MISS);
	viommu_cpu_tlb_fill_walk(kit->tlb, &world, &pmp);
	viommu_cpu_tlb_walk(kit->tlb, &world, KIT_RAM, 8, R, &target);
	assert_ptr_equal(target.hva, kit->ram);
	viommu_cpu_tlb_walk(kit->tlb, &world, KIT_RAM, 8, W, &target);
	assert_int_equal(target.kind, VIOMMU_CPU_MISS);
	viommu_cpu_tlb_switch(kit->tlb, &machine);
	assert_int_equal(kind(kit, KIT_RAM), VIOMMU_CPU_MISS);
	viommu_cpu_tlb_fill(kit->tlb, &pmp);
	assert_int_equal(kind(kit, KIT_RAM), VIOMMU_CPU_RAM);
	assert_int_equal(kit_access(kit, KIT_RAM, 8, W).kind, VIOMMU_CPU_MISS);
	viommu_cpu_tlb_set_strict(kit->tlb, false);
	assert_int_equal(kit_access(kit, KIT_RAM, 8, W).kind, VIOMMU_CPU_RAM);
}

static void test_options(void **state)
{
	struct kit *kit = *state;
	struct viommu_cpu_options options = { .size = sizeof(options), .minimum = 100 };
	struct viommu_cpu_statistics statistics = { .size = sizeof(statistics) };
	struct viommu_cpu_tlb *tlb;

	assert_int_equal(viommu_cpu_tlb_create(NULL, NULL, &tlb), -EINVAL);
	assert_int_equal(viommu_cpu_tlb_create(kit->map, &options, &tlb), -EINVAL);
	options.minimum = 512;
	options.maximum = 256;
	assert_int_equal(viommu_cpu_tlb_create(kit->map, &options, &tlb), -EINVAL);
	options = (struct viommu_cpu_options){ .size = 1 };
	assert_int_equal(viommu_cpu_tlb_create(kit->map, &options, &tlb), -EINVAL);
	options = (struct viommu_cpu_options){ .size = 8, .minimum = 16 }; /* an older caller */
	assert_int_equal(viommu_cpu_tlb_create(kit->map, &options, &tlb), 0);
	viommu_cpu_tlb_statistics(tlb, &statistics);
	assert_int_equal(statistics.entries, 16);
	viommu_cpu_tlb_destroy(tlb);
	viommu_cpu_tlb_destroy(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_create, kit_destroy)
	const struct CMUnitTest tests[] = {
		TEST(test_switch), TEST(test_attributes), TEST(test_global), TEST(test_twins),
		TEST(test_flush_page), TEST(test_large), TEST(test_flush_vmid), TEST(test_colours),
		TEST(test_many_contexts), TEST(test_growth), TEST(test_walker), TEST(test_strict),
		TEST(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
