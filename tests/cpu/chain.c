/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Maps, chains of regions, change notification and bus masters.
 */
#include <errno.h>
#include <stdlib.h>

#include "cpu/region.h"
#include "kit.h"
#include "memory/alloc.h"

enum { R = VIOMMU_READ, W = VIOMMU_WRITE, X = VIOMMU_EXECUTE, RWX = 7 };
#define VA     0x1000000ull
#define SECOND 0xd0000000ull /* in kit->next, behind a second region */

/* A region that moves addresses by a constant and may block or change attributes. */
struct mover {
	struct viommu_region *region;
	struct viommu_map *map;
	uint64_t by, first, last;
	uint32_t blocks, granted, wid;
	bool sets_wid;
	unsigned int translations, reports;
	struct viommu_request seen;
};

static void move(void *opaque, const struct viommu_request *request, struct viommu_answer *answer)
{
	struct mover *mover = opaque;

	mover->translations++;
	mover->seen = *request;
	answer->first = mover->first;
	answer->last = mover->last;
	if (request->access & mover->blocks) {
		answer->granted = mover->blocks;
		return;
	}
	answer->granted = mover->granted;
	answer->kind = VIOMMU_ANSWER_PASS;
	answer->map = mover->map;
	answer->address = request->address + mover->by;
	if (mover->sets_wid)
		answer->attributes.wid = mover->wid;
}

static enum viommu_reaction report(void *opaque, const struct viommu_request *request)
{
	struct mover *mover = opaque;

	mover->reports++;
	mover->seen = *request;
	return VIOMMU_REACTION_ERROR;
}

static const struct viommu_region_ops ops = { sizeof(ops), move, report };

static struct mover *mover_create(struct viommu_map *map, uint64_t by)
{
	struct mover *mover = calloc(1, sizeof(*mover));

	*mover = (struct mover){ .map = map, .by = by, .last = UINT64_MAX, .granted = RWX };
	assert_int_equal(viommu_region_create(&ops, mover, &mover->region), 0);
	return mover;
}

static void mover_destroy(struct mover *mover)
{
	viommu_region_destroy(mover->region);
	free(mover);
}

static struct viommu_target ask(struct kit *kit, uint64_t address, uint64_t last, uint32_t access)
{
	struct viommu_request request = {
		.address = address, .last = last, .access = access, .attributes = { 1, 2 },
	};
	struct viommu_target target;

	assert_int_equal(viommu_map_translate(kit->map, &request, &target), 0);
	return target;
}

/* A chain adds up: addresses, windows, granted types, steps. */
static void test_chain(void **state)
{
	struct kit *kit = *state;
	struct mover *second = mover_create(kit->next, KIT_RAM - SECOND);
	struct viommu_target target;

	kit->rule[0] = (struct kit_rule){
		.kind = VIOMMU_ANSWER_PASS, .address = SECOND, .granted = R | X, .grain = 0x10000,
	};
	second->granted = R | W;
	second->first = SECOND + 0x1000;
	second->last = SECOND + 0x5fff;
	assert_int_equal(viommu_map_add_region(kit->next, SECOND, SECOND + KIT_BYTES - 1,
					       second->region), 0);
	target = ask(kit, KIT_GUARD + 0x2010, KIT_GUARD + 0x2017, R);
	assert_int_equal(target.kind, VIOMMU_TARGET_RAM);
	assert_ptr_equal(target.hva, kit->ram + 0x2010);
	assert_int_equal(target.gpa, KIT_RAM + 0x2010);
	assert_int_equal(target.granted, R);
	assert_int_equal(target.first, KIT_GUARD + 0x1000);
	assert_int_equal(target.last, KIT_GUARD + 0x5fff);
	assert_int_equal(target.chain, 2);
	assert_ptr_equal(target.step[0].region, kit->region);
	assert_int_equal(target.step[1].address, SECOND + 0x2010);
	/* Blocked by the second: it is told what it saw. */
	second->blocks = R;
	target = ask(kit, KIT_GUARD + 0x2010, KIT_GUARD + 0x2017, R);
	assert_int_equal(target.kind, VIOMMU_TARGET_BLOCKED);
	assert_ptr_equal(target.region, second->region);
	assert_int_equal(viommu_target_react(&target, &(struct viommu_request){
				 .address = KIT_GUARD + 0x2010, .last = KIT_GUARD + 0x2017,
				 .access = R }), VIOMMU_REACTION_ERROR);
	assert_int_equal(second->seen.address, SECOND + 0x2010);
	assert_int_equal(second->seen.last, SECOND + 0x2017);
	assert_int_equal(second->seen.attributes.wid, 1);
	viommu_map_remove_region(kit->next, SECOND);
	mover_destroy(second);
}

/* In the TLB: a change of either region drops the page; of other addresses it does not. */
static void test_chain_in_tlb(void **state)
{
	struct kit *kit = *state;
	struct mover *second = mover_create(kit->next, KIT_RAM - SECOND);

	for (int i = 0; i < 3; i++)
		kit->rule[i].address = SECOND + 0x8000;
	second->sets_wid = true;
	assert_int_equal(viommu_map_add_region(kit->next, SECOND, SECOND + KIT_BYTES - 1,
					       second->region), 0);
	kit_fill(kit, VA, KIT_GUARD + 0x1000, RWX);
	assert_ptr_equal(kit_access(kit, VA, 8, R).hva, kit->ram + 0x9000);
	viommu_region_changed(second->region, SECOND + 0x8000, SECOND + 0x8fff);
	viommu_region_changed(second->region, SECOND + 0xa000, SECOND + 0xafff);
	viommu_region_changed(kit->region, KIT_GUARD + 0x9000, KIT_GUARD + 0x9fff);
	viommu_cpu_tlb_poll(kit->tlb);
	assert_non_null(kit_fast(kit, VA, R));
	viommu_region_changed(second->region, SECOND + 0x9000, SECOND + 0x9000);
	viommu_cpu_tlb_poll(kit->tlb);
	assert_null(kit_fast(kit, VA, R));
	kit_access(kit, VA, 8, R);
	viommu_region_changed(kit->region, KIT_GUARD + 0x1fff, KIT_GUARD + 0x1fff);
	viommu_cpu_tlb_poll(kit->tlb);
	assert_null(kit_fast(kit, VA, R));
	/* What blocks sees the attributes as changed on the way. */
	second->blocks = W;
	second->sets_wid = false;
	viommu_region_changed(second->region, 0, UINT64_MAX);
	viommu_cpu_tlb_poll(kit->tlb);
	assert_int_equal(kit_access(kit, VA + 4, 4, W).kind, VIOMMU_CPU_ERROR);
	assert_int_equal(second->seen.address, SECOND + 0x9004);
	assert_int_equal(second->reports, 1);
	/* Taking the region away changes the map. */
	assert_int_equal(viommu_map_remove_region(kit->next, SECOND), 0);
	viommu_cpu_tlb_poll(kit->tlb);
	kit_fill(kit, VA, KIT_GUARD + 0x1000, RWX);
	assert_int_equal(kit_access(kit, VA + 4, 4, R).kind, VIOMMU_CPU_ERROR);
	mover_destroy(second);
}

/* Attributes a region gives hold from there on. */
static void test_attributes_change(void **state)
{
	struct kit *kit = *state;
	struct viommu_map *front;
	struct mover *marker;
	struct viommu_request request = { .address = KIT_GUARD, .last = KIT_GUARD, .access = R };
	struct viommu_target target;

	assert_int_equal(viommu_map_create(kit->memory, &front), 0);
	marker = mover_create(kit->map, 0);
	marker->sets_wid = true;
	marker->wid = 5;
	assert_int_equal(viommu_map_add_region(front, 0, UINT64_MAX, marker->region), 0);
	assert_int_equal(viommu_map_translate(front, &request, &target), 0);
	assert_int_equal(kit->asked.attributes.wid, 5);
	assert_int_equal(target.attributes.wid, 5);
	viommu_map_destroy(front);
	mover_destroy(marker);
}

/* Loops end, edges are not crossed, nonsense is refused. */
static void test_bounds(void **state)
{
	struct kit *kit = *state;
	struct viommu_target target;
	struct viommu_request request = { .address = 8, .last = 7, .access = R };
	struct mover *wild = mover_create(kit->map, UINT64_MAX / 2);

	kit->rule[0].address = KIT_GUARD;
	viommu_map_remove_region(kit->map, KIT_GUARD);
	assert_int_equal(viommu_map_add_region(kit->next, KIT_GUARD, KIT_GUARD + KIT_BYTES - 1,
					       kit->region), 0);
	assert_int_equal(viommu_map_add_region(kit->map, KIT_GUARD, KIT_GUARD + KIT_BYTES - 1,
					       kit->region), 0);
	target = ask(kit, KIT_GUARD, KIT_GUARD + 7, R); /* for ever through kit->next */
	assert_int_equal(target.kind, VIOMMU_TARGET_BLOCKED);
	assert_null(target.region);
	assert_int_equal(target.chain, VIOMMU_CHAIN_MAX);
	target = ask(kit, KIT_GUARD - 4, KIT_GUARD + 3, R);
	assert_int_equal(target.kind, VIOMMU_TARGET_BLOCKED);
	target = ask(kit, KIT_RAM + KIT_BYTES - 4, KIT_RAM + KIT_BYTES + 3, R);
	assert_int_equal(target.kind, VIOMMU_TARGET_BLOCKED);
	assert_int_equal(viommu_map_translate(kit->map, &request, &target), -EINVAL);
	request = (struct viommu_request){ .address = 8, .last = 8, .access = R | W };
	assert_int_equal(viommu_map_translate(kit->map, &request, &target), -EINVAL);
	request.access = 0;
	assert_int_equal(viommu_map_translate(kit->map, &request, &target), -EINVAL);
	/* A region whose window misses the request and whose address wraps. */
	wild->first = 5;
	wild->last = 4;
	assert_int_equal(viommu_map_add_region(kit->map, UINT64_MAX - 4095, UINT64_MAX,
					       wild->region), 0);
	wild->by = 4096 - 4;
	target = ask(kit, UINT64_MAX - 15, UINT64_MAX, R);
	assert_int_equal(target.kind, VIOMMU_TARGET_BLOCKED);
	assert_int_equal(target.first, UINT64_MAX - 15);
	assert_int_equal(target.last, UINT64_MAX);
	viommu_map_remove_region(kit->map, UINT64_MAX - 4095);
	viommu_map_remove_region(kit->next, KIT_GUARD);
	mover_destroy(wild);
}

static void test_map_errors(void **state)
{
	struct kit *kit = *state;
	struct viommu_region *region;
	struct viommu_region_ops bad = { .size = sizeof(bad) };

	assert_int_equal(viommu_region_create(NULL, NULL, &region), -EINVAL);
	assert_int_equal(viommu_region_create(&bad, NULL, &region), -EINVAL);
	assert_int_equal(viommu_map_add_region(kit->map, 8, 7, kit->region), -EINVAL);
	assert_int_equal(viommu_map_add_region(kit->map, KIT_GUARD + 8, KIT_GUARD + 8,
					       kit->region), -EEXIST);
	assert_int_equal(viommu_map_add_region(kit->map, 0, UINT64_MAX, kit->region), -EEXIST);
	assert_int_equal(viommu_map_remove_region(kit->map, KIT_GUARD + 8), -ENOENT);
	viommu_access_begin();
	assert_int_equal(viommu_map_remove_region(kit->map, KIT_GUARD), -EDEADLK);
	viommu_access_end();
	assert_ptr_equal(viommu_map_memory(kit->map), kit->memory);
}

/* A bus master's span is cut at pages, bursts and edges, and each part checked whole. */
static void test_master(void **state)
{
	struct kit *kit = *state;
	struct viommu_attributes attributes = { .wid = 2, .source = 3 };
	uint8_t data[0x3000], back[0x3000];
	struct viommu_region_statistics s = { .size = sizeof(s) };
	size_t done;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	assert_int_equal(viommu_map_write(kit->map, &attributes, KIT_GUARD + 0x800, data,
					  sizeof(data), 0, &done), 0);
	assert_int_equal(done, sizeof(data));
	assert_int_equal(kit->translations, 4);
	assert_int_equal(kit->asked.attributes.source, 3);
	assert_memory_equal(kit->ram + 0x800, data, sizeof(data));
	assert_int_equal(viommu_map_read(kit->map, &attributes, KIT_GUARD + 0x800, back,
					 sizeof(back), 64, &done), 0);
	assert_memory_equal(back, data, sizeof(data));
	assert_int_equal(kit->asked.last - kit->asked.address, 63);
	viommu_region_statistics(kit->region, &s);
	assert_int_equal(s.translations, kit->translations);
	/* A block in the middle: what came before is done. */
	kit->rule[1].kind = VIOMMU_ANSWER_BLOCKED;
	kit->reaction = VIOMMU_REACTION_ERROR;
	assert_int_equal(viommu_map_write(kit->map, &attributes, KIT_GUARD - 16, data, 32, 0,
					  &done), VIOMMU_FAULT);
	assert_int_equal(done, 0);
	assert_int_equal(viommu_map_write(kit->map, &attributes, KIT_RAM + KIT_BYTES - 16, data,
					  32, 0, &done), VIOMMU_FAULT);
	assert_int_equal(done, 16);
	kit->reaction = VIOMMU_REACTION_SILENT;
	assert_int_equal(viommu_map_write(kit->map, &attributes, KIT_GUARD, data, 8, 0, NULL), 0);
	assert_int_equal(kit->ram[0], 0x11);
	kit->rule[0].kind = VIOMMU_ANSWER_BLOCKED;
	assert_int_equal(viommu_map_read(kit->map, &attributes, KIT_GUARD, back, 8, 0, NULL), 0);
	assert_int_equal(back[0], 0);
	kit->rule[0].kind = VIOMMU_ANSWER_STALLED;
	assert_int_equal(viommu_map_read(kit->map, &attributes, KIT_GUARD, back, 8, 0, &done),
			 -EAGAIN);
	assert_int_equal(viommu_map_read(kit->map, &attributes, UINT64_MAX - 3, back, 8, 0, &done),
			 -EINVAL);
	assert_int_equal(viommu_map_write(kit->map, &attributes, KIT_DEVICE, data, 8, 0, NULL), 0);
	assert_int_equal(kit->device_writes, 1);
}

static void heard(void *opaque, struct viommu_region *region, uint64_t first, uint64_t last)
{
	uint64_t *sum = opaque;

	*sum += first + last;
}

static void test_listeners(void **state)
{
	struct kit *kit = *state;
	struct viommu_listener *listener[3];
	uint64_t sum[3] = { 0 };

	for (int i = 0; i < 3; i++)
		assert_int_equal(viommu_region_listen(kit->region, heard, &sum[i],
						      &listener[i]), 0);
	viommu_region_changed(kit->region, 1, 2);
	viommu_region_unlisten(kit->region, listener[1]);
	viommu_region_changed(kit->region, 10, 20);
	viommu_region_unlisten(kit->region, listener[2]);
	viommu_region_unlisten(kit->region, listener[0]);
	viommu_region_changed(kit->region, 100, 200);
	assert_int_equal(sum[0], 33);
	assert_int_equal(sum[1], 3);
	assert_int_equal(sum[2], 33);
}

/*
 * Every allocation may fail; nothing leaks, and a TLB that cannot listen stalls instead of lying.
 */
static void test_allocations(void **state)
{
	struct kit *kit = *state;
	struct viommu_cpu_tlb *tlb;
	struct viommu_map *map;
	struct viommu_region *region;
	int ret = -ENOMEM;

	for (long n = 0; ret; n++) {
		viommu_alloc_fail_nth(n);
		ret = viommu_cpu_tlb_create(kit->map, NULL, &tlb);
		viommu_alloc_fail_nth(-1);
		assert_true(!ret || ret == -ENOMEM);
	}
	viommu_cpu_tlb_destroy(tlb);
	ret = -ENOMEM;
	for (long n = 0; ret; n++) {
		viommu_alloc_fail_nth(n);
		ret = viommu_map_create(kit->memory, &map);
		viommu_alloc_fail_nth(-1);
		assert_true(!ret || ret == -ENOMEM);
	}
	viommu_alloc_fail_nth(0);
	assert_int_equal(viommu_map_add_region(map, 0, 1, kit->region), -ENOMEM);
	viommu_alloc_fail_nth(0);
	assert_int_equal(viommu_region_create(&ops, NULL, &region), -ENOMEM);
	viommu_map_destroy(map);
	kit_fill(kit, VA, KIT_GUARD, RWX);
	viommu_alloc_fail_nth(0);
	assert_int_equal(kit_access(kit, VA, 8, R).kind, VIOMMU_CPU_STALLED);
	viommu_alloc_fail_nth(-1);
	assert_int_equal(kit_access(kit, VA, 8, R).kind, VIOMMU_CPU_RAM);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_create, kit_destroy)
	const struct CMUnitTest tests[] = {
		TEST(test_chain), TEST(test_chain_in_tlb), TEST(test_attributes_change),
		TEST(test_bounds), TEST(test_map_errors), TEST(test_master), TEST(test_listeners),
		TEST(test_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
