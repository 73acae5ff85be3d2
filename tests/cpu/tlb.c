/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rules of deferred translation, one test each (the comments name the rule).
 */
#include "kit.h"

enum { R = VIOMMU_READ, W = VIOMMU_WRITE, X = VIOMMU_EXECUTE, RWX = 7 };
#define VA 0x1000000ull

/* A fill asks no region; the first access of a type does, with that type. */
static void test_deferred(void **state)
{
	struct kit *kit = *state;

	kit_fill(kit, VA, KIT_GUARD, RWX);
	assert_int_equal(kit->translations, 0);
	assert_null(kit_fast(kit, VA, R));
	assert_int_equal(kit_access(kit, VA + 8, 8, W).kind, VIOMMU_CPU_RAM);
	assert_int_equal(kit->translations, 1);
	assert_int_equal(kit->asked.access, W);
	assert_int_equal(kit->asked.address, KIT_GUARD + 8);
	assert_int_equal(kit->asked.last, KIT_GUARD + 15);
	assert_int_equal(kit->asked.attributes.source, 7);
	assert_ptr_equal(kit_fast(kit, VA + 16, W), kit->ram + 16);
}

/* Only granted types lose the slow flag. */
static void test_granted_only(void **state)
{
	struct kit *kit = *state;

	kit_fill(kit, VA, KIT_GUARD, RWX);
	kit->rule[0].granted = R | X;
	kit_access(kit, VA, 8, R);
	assert_non_null(kit_fast(kit, VA, R));
	assert_non_null(kit_fast(kit, VA, X));
	assert_null(kit_fast(kit, VA, W));
	assert_null(viommu_fast_lookup_rmw(viommu_cpu_tlb_fast(kit->tlb), VA, 8));
	kit_access(kit, VA, 8, W);
	assert_non_null(viommu_fast_lookup_rmw(viommu_cpu_tlb_fast(kit->tlb), VA, 8));
	assert_int_equal(kit->translations, 2);
}

/* At most one translation per page and type, however they alternate (no ping-pong). */
static void test_one_translation(void **state)
{
	struct kit *kit = *state;

	kit->rule[1].address = KIT_RAM + 0x1000;
	kit_fill(kit, VA, KIT_GUARD, RWX);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(kit_access(kit, VA, 8, R).kind, VIOMMU_CPU_RAM);
		assert_int_equal(kit_access(kit, VA, 8, W).kind, VIOMMU_CPU_RAM);
		assert_int_equal(kit_access(kit, VA, 8, X).kind, VIOMMU_CPU_RAM);
	}
	assert_int_equal(kit->translations, 3);
}

/* A second RAM target that differs stays correct on the slow path; nothing aborts. */
static void test_second_target(void **state)
{
	struct kit *kit = *state;

	kit->rule[1].address = KIT_RAM + 0x1000;
	kit_fill(kit, VA, KIT_GUARD, RWX);
	assert_ptr_equal(kit_access(kit, VA, 8, R).hva, kit->ram);
	assert_ptr_equal(kit_access(kit, VA, 8, W).hva, kit->ram + 0x1000);
	assert_ptr_equal(kit_fast(kit, VA, R), kit->ram);
	assert_null(kit_fast(kit, VA, W));
	/* The addend is chosen anew when the first type loses its permission. */
	kit_fill(kit, VA, KIT_GUARD, W);
	assert_ptr_equal(kit_access(kit, VA, 8, W).hva, kit->ram + 0x1000);
	assert_ptr_equal(kit_fast(kit, VA, W), kit->ram + 0x1000);
	kit_fill(kit, VA, KIT_GUARD, RWX);
	assert_ptr_equal(kit_access(kit, VA, 8, R).hva, kit->ram);
	assert_null(kit_fast(kit, VA, R));
	kit_fill(kit, VA, KIT_GUARD, 0);
	kit_fill(kit, VA, KIT_GUARD, RWX);
	assert_ptr_equal(kit_access(kit, VA, 8, W).hva, kit->ram + 0x1000);
	assert_ptr_equal(kit_access(kit, VA, 8, R).hva, kit->ram);
	assert_true(!kit_fast(kit, VA, R) || !kit_fast(kit, VA, W));
	/* An atomic access must read and write one place. */
	assert_int_equal(kit_access(kit, VA, 8, VIOMMU_ATOMIC).kind, VIOMMU_CPU_ERROR);
	assert_int_equal(kit->translations, 2);
}

/* Reads of RAM and writes of a device in one page: each type goes its way. */
static void test_ram_and_mmio(void **state)
{
	struct kit *kit = *state;
	struct viommu_cpu_target target;
	uint32_t word = 0x12345678;

	kit->rule[1].address = KIT_DEVICE;
	kit_fill(kit, VA, KIT_GUARD, RWX);
	kit_access(kit, VA, 8, R);
	target = kit_access(kit, VA, 4, W);
	assert_int_equal(target.kind, VIOMMU_CPU_MMIO);
	assert_int_equal(viommu_cpu_tlb_write(kit->tlb, &target, &word, 4), 0);
	assert_int_equal(kit->device, word);
	assert_non_null(kit_fast(kit, VA, R));
	assert_null(kit_fast(kit, VA, W));
	kit->rule[0].address = KIT_DEVICE;
	viommu_region_changed(kit->region, KIT_GUARD, KIT_GUARD + 1);
	viommu_cpu_tlb_poll(kit->tlb);
	target = kit_access(kit, VA, 4, R);
	word = 0;
	assert_int_equal(viommu_cpu_tlb_read(kit->tlb, &target, &word, 4), 0);
	assert_int_equal(word, 0x12345678);
}

/* A block is decided once and reported every time, with the access that happened. */
static void test_blocked(void **state)
{
	struct kit *kit = *state;
	struct viommu_cpu_target target;
	uint64_t data = 5;

	kit->rule[1].kind = VIOMMU_ANSWER_BLOCKED;
	kit->reaction = VIOMMU_REACTION_ERROR;
	kit_fill(kit, VA, KIT_GUARD, RWX);
	assert_int_equal(kit_access(kit, VA + 4, 4, W).kind, VIOMMU_CPU_ERROR);
	kit->reaction = VIOMMU_REACTION_SILENT;
	target = kit_access(kit, VA + 24, 8, W);
	assert_int_equal(target.kind, VIOMMU_CPU_SILENT);
	assert_int_equal(kit->translations, 1);
	assert_int_equal(kit->reports, 2);
	assert_int_equal(kit->blocked.address, KIT_GUARD + 24);
	assert_int_equal(kit->blocked.last, KIT_GUARD + 31);
	assert_int_equal(kit->blocked.access, W);
	assert_int_equal(viommu_cpu_tlb_write(kit->tlb, &target, &data, 8), 0);
	assert_int_equal(viommu_cpu_tlb_read(kit->tlb, &target, &data, 8), 0);
	assert_int_equal(data, 0);
	/* The other types are free of it; an atomic access is not. */
	assert_int_equal(kit_access(kit, VA, 8, R).kind, VIOMMU_CPU_RAM);
	assert_int_equal(kit_access(kit, VA, 8, VIOMMU_ATOMIC).kind, VIOMMU_CPU_SILENT);
	assert_int_equal(kit->blocked.access, VIOMMU_ATOMIC);
}

/* A region that says its rules changed is asked again; for ever changing looks stalled. */
static void test_retry(void **state)
{
	struct kit *kit = *state;

	kit->rule[0].kind = VIOMMU_ANSWER_BLOCKED;
	kit->reaction = VIOMMU_REACTION_RETRY;
	kit_fill(kit, VA, KIT_GUARD, RWX);
	assert_int_equal(kit_access(kit, VA, 8, R).kind, VIOMMU_CPU_STALLED);
	assert_in_range(kit->translations, 2, 16);
	kit_pass_all(kit);
	viommu_region_changed(kit->region, KIT_GUARD, KIT_GUARD);
	viommu_cpu_tlb_poll(kit->tlb);
	assert_int_equal(kit_access(kit, VA, 8, R).kind, VIOMMU_CPU_RAM);
}

/* A stall is never kept. */
static void test_stalled(void **state)
{
	struct kit *kit = *state;

	kit->rule[0].kind = VIOMMU_ANSWER_STALLED;
	kit_fill(kit, VA, KIT_GUARD, RWX);
	assert_int_equal(kit_access(kit, VA, 8, R).kind, VIOMMU_CPU_STALLED);
	kit_pass_all(kit);
	assert_int_equal(kit_access(kit, VA, 8, R).kind, VIOMMU_CPU_RAM);
	assert_int_equal(kit->translations, 2);
}

/* Change notification drops exactly the pages it covers. */
static void test_change_is_exact(void **state)
{
	struct kit *kit = *state;

	for (uint64_t i = 0; i < 8; i++) {
		kit_fill(kit, VA + i * KIT_PAGE, KIT_GUARD + i * KIT_PAGE, RWX);
		kit_access(kit, VA + i * KIT_PAGE, 8, R);
	}
	kit_fill(kit, VA + 8 * KIT_PAGE, KIT_RAM, RWX);
	kit_access(kit, VA + 8 * KIT_PAGE, 8, R);
	viommu_region_changed(kit->region, KIT_GUARD + 3 * KIT_PAGE - 1, KIT_GUARD + 4 * KIT_PAGE);
	assert_true(viommu_cpu_tlb_pending(kit->tlb));
	viommu_cpu_tlb_poll(kit->tlb);
	assert_false(viommu_cpu_tlb_pending(kit->tlb));
	for (uint64_t i = 0; i < 9; i++) {
		bool dropped = i >= 2 && i <= 4;

		assert_int_equal(!kit_fast(kit, VA + i * KIT_PAGE, R), dropped);
	}
	assert_int_equal(kit_statistics(kit).dropped, 3);
	/* The page walk's part is still there: no miss. */
	kit->translations = 0;
	assert_int_equal(kit_access(kit, VA + 3 * KIT_PAGE, 8, R).kind, VIOMMU_CPU_RAM);
	assert_int_equal(kit->translations, 1);
}

static void change_rules(struct kit *kit, uint64_t value)
{
	kit->rule[0].kind = VIOMMU_ANSWER_BLOCKED;
	viommu_region_changed(kit->region, 0, UINT64_MAX);
}

/* The hart that writes a checker's register sees the new rules with its next access. */
static void test_change_by_own_write(void **state)
{
	struct kit *kit = *state;
	struct viommu_cpu_target target;
	uint64_t word = 1;

	kit->on_device_write = change_rules;
	kit_fill(kit, VA, KIT_GUARD, RWX);
	kit_fill(kit, VA + KIT_PAGE, KIT_DEVICE, RWX);
	kit_access(kit, VA, 8, R);
	target = kit_access(kit, VA + KIT_PAGE, 8, W);
	assert_int_equal(viommu_cpu_tlb_write(kit->tlb, &target, &word, 8), 0);
	assert_null(kit_fast(kit, VA, R));
	assert_int_equal(kit_access(kit, VA, 8, R).kind, VIOMMU_CPU_ERROR);
}

/*
 * Watches are looked at when a type is resolved, before it could be fast, and touch no other type.
 */
static void test_watch(void **state)
{
	struct kit *kit = *state;
	struct viommu_cpu_target target;

	kit->watch = W;
	kit->rule[0].granted = RWX;
	kit_fill(kit, VA, KIT_GUARD, RWX);
	target = kit_access(kit, VA, 8, R); /* resolves the write too: it must not become fast */
	assert_false(target.watched);
	assert_non_null(kit_fast(kit, VA, R));
	assert_non_null(kit_fast(kit, VA, X));
	assert_null(kit_fast(kit, VA, W));
	target = kit_access(kit, VA, 8, W);
	assert_true(target.watched);
	assert_int_equal(target.gpa, KIT_RAM);
	assert_true(kit_access(kit, VA, 8, VIOMMU_ATOMIC).watched);
	kit->watch = 0;
	viommu_cpu_tlb_rewatch(kit->tlb, kit->memory, KIT_RAM, KIT_PAGE);
	kit_access(kit, VA, 8, W);
	assert_non_null(kit_fast(kit, VA, W));
	kit->watch = X;
	viommu_cpu_tlb_rewatch(kit->tlb, kit->memory, KIT_RAM, KIT_PAGE);
	kit_access(kit, VA, 8, R);
	assert_null(kit_fast(kit, VA, X));
	assert_non_null(kit_fast(kit, VA, W));
	assert_int_equal(kit->translations, 1);
}

/* One addend, and a watched type comes free when the other target has it. */
static void test_watch_and_addend(void **state)
{
	struct kit *kit = *state;

	kit->watch = R;
	kit->rule[1].address = KIT_RAM + 0x2000;
	kit_fill(kit, VA, KIT_GUARD, RWX);
	kit_access(kit, VA, 8, R);
	kit_access(kit, VA, 8, W);
	assert_ptr_equal(kit_fast(kit, VA, W), kit->ram + 0x2000);
	kit->watch = W;
	viommu_cpu_tlb_rewatch(kit->tlb, kit->memory, KIT_RAM, KIT_BYTES);
	assert_ptr_equal(kit_access(kit, VA, 8, R).hva, kit->ram);
	assert_ptr_equal(kit_fast(kit, VA, R), kit->ram);
	assert_null(kit_fast(kit, VA, W));
	kit->watch = RWX;
	viommu_cpu_tlb_rewatch(kit->tlb, kit->memory, KIT_RAM, KIT_BYTES);
	kit->watch = 0;
	viommu_cpu_tlb_rewatch(kit->tlb, kit->memory, KIT_RAM, KIT_BYTES);
	/* Both may be fast now, and only one may: the other's pointer differs. */
	assert_ptr_equal(kit_access(kit, VA, 8, W).hva, kit->ram + 0x2000);
	assert_ptr_equal(kit_access(kit, VA, 8, R).hva, kit->ram);
	assert_true(!kit_fast(kit, VA, R) || kit_fast(kit, VA, R) == kit->ram);
	assert_true(!kit_fast(kit, VA, W) || kit_fast(kit, VA, W) == kit->ram + 0x2000);
}

/* Rules finer than a page: slow, but asked once per window; straddlers are asked each time. */
static void test_fine_window(void **state)
{
	struct kit *kit = *state;

	kit->rule[0].grain = 256;
	kit_fill(kit, VA, KIT_GUARD, RWX);
	for (int i = 0; i < 10; i++)
		assert_int_equal(kit_access(kit, VA + 8 * i, 8, R).kind, VIOMMU_CPU_RAM);
	assert_int_equal(kit->translations, 1);
	assert_null(kit_fast(kit, VA, R));
	kit_access(kit, VA + 256, 8, R);
	assert_int_equal(kit->translations, 2);
	kit->rule[0].once = true;
	kit_access(kit, VA + 508, 8, R);
	kit_access(kit, VA + 508, 8, R);
	assert_int_equal(kit->translations, 4);
	kit->rule[0].once = false;
	kit_access(kit, VA + 264, 8, R); /* the window before is still kept */
	assert_int_equal(kit->translations, 4);
}

/* A region's own host memory. */
static void test_host_answer(void **state)
{
	struct kit *kit = *state;
	struct viommu_cpu_target target;

	kit->rule[0] = (struct kit_rule){ .kind = VIOMMU_ANSWER_HOST, .hva = kit->other };
	kit_fill(kit, VA, KIT_GUARD + 0x3000, RWX);
	target = kit_access(kit, VA + 16, 8, R);
	assert_int_equal(target.kind, VIOMMU_CPU_RAM);
	assert_null(target.memory);
	assert_ptr_equal(target.hva, kit->other + 0x3010);
	assert_ptr_equal(kit_fast(kit, VA + 8, R), kit->other + 0x3008);
}

/* Nothing there is an error and never kept: memory that comes later is seen. */
static void test_nothing_there(void **state)
{
	struct kit *kit = *state;

	kit_fill(kit, VA, 0x70000000, RWX);
	assert_int_equal(kit_access(kit, VA, 8, R).kind, VIOMMU_CPU_ERROR);
	assert_int_equal(viommu_memory_add_hva(kit->memory, 0x70000000, KIT_PAGE, kit->other,
					       VIOMMU_SEGMENT_READONLY), 0);
	assert_int_equal(kit_access(kit, VA, 8, W).kind, VIOMMU_CPU_ERROR);
	assert_ptr_equal(kit_access(kit, VA, 8, R).hva, kit->other);
	assert_null(kit_fast(kit, VA, W));
	assert_non_null(kit_fast(kit, VA, R));
	/* Removal drops it before the memory goes. */
	assert_int_equal(viommu_memory_remove(kit->memory, 0x70000000, KIT_PAGE), 1);
	viommu_cpu_tlb_poll(kit->tlb);
	assert_null(kit_fast(kit, VA, R));
	kit_fill(kit, VA, 0x70000000, RWX);
	assert_int_equal(kit_access(kit, VA, 8, R).kind, VIOMMU_CPU_ERROR);
}

/* Permissions and alignment are part of the compare; the window of a fine PMP too. */
static void test_permissions(void **state)
{
	struct kit *kit = *state;

	kit_fill(kit, VA, KIT_RAM, R);
	assert_int_equal(kit_access(kit, VA, 8, W).kind, VIOMMU_CPU_MISS);
	assert_int_equal(kit_access(kit, VA, 8, R).kind, VIOMMU_CPU_RAM);
	assert_int_equal(kit_access(kit, VA, 8, X).kind, VIOMMU_CPU_MISS);
	assert_int_equal(kit_access(kit, VA, 8, VIOMMU_ATOMIC).kind, VIOMMU_CPU_MISS);
	assert_non_null(kit_fast(kit, VA, R));
	assert_null(kit_fast(kit, VA + 4, R)); /* misaligned for 8 bytes */
	assert_null(kit_fast(kit, VA, W));
	assert_null(kit_fast(kit, VA, X));
	kit_fill(kit, VA, KIT_RAM, 0); /* a new fill takes permissions away at once */
	assert_null(kit_fast(kit, VA, R));
	viommu_cpu_tlb_fill(kit->tlb, &(struct viommu_cpu_fill){
					      .va = VA, .pa = KIT_RAM, .page_size = KIT_PAGE,
					      .permissions = RWX, .first = 64, .last = 127,
				      });
	assert_int_equal(kit_access(kit, VA + 64, 8, R).kind, VIOMMU_CPU_RAM);
	assert_int_equal(kit_access(kit, VA + 120, 8, R).kind, VIOMMU_CPU_RAM);
	assert_int_equal(kit_access(kit, VA + 124, 8, R).kind, VIOMMU_CPU_MISS);
	assert_int_equal(kit_access(kit, VA + 60, 8, R).kind, VIOMMU_CPU_MISS);
	assert_null(kit_fast(kit, VA + 64, R));
}

/* A new physical page behind the same virtual one never shows the old one. */
static void test_refill(void **state)
{
	struct kit *kit = *state;

	kit_fill(kit, VA, KIT_RAM, RWX);
	kit_access(kit, VA, 8, R);
	kit_fill(kit, VA, KIT_RAM + 0x5000, RWX);
	assert_null(kit_fast(kit, VA, R));
	assert_ptr_equal(kit_access(kit, VA, 8, R).hva, kit->ram + 0x5000);
	/* The same page again keeps what was resolved. */
	kit_fill(kit, VA, KIT_GUARD, R);
	kit_access(kit, VA, 8, R);
	kit_fill(kit, VA, KIT_GUARD, RWX);
	kit_access(kit, VA, 8, R);
	assert_int_equal(kit->translations, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_create, kit_destroy)
	const struct CMUnitTest tests[] = {
		TEST(test_deferred), TEST(test_granted_only), TEST(test_one_translation),
		TEST(test_second_target), TEST(test_ram_and_mmio), TEST(test_blocked),
		TEST(test_retry), TEST(test_stalled), TEST(test_change_is_exact),
		TEST(test_change_by_own_write), TEST(test_watch), TEST(test_watch_and_addend),
		TEST(test_fine_window), TEST(test_host_answer), TEST(test_nothing_there),
		TEST(test_permissions), TEST(test_refill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
