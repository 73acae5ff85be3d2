/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hundred thousand PASIDs: how many host calls each step makes, and how much memory they take. Times are for bench/passthrough.c; here
 * only numbers that do not depend on the machine are held to.
 */
#include "world.h"

enum { PASIDS = 100000, DID = 7, BATCH = 4000 };

static void create(struct world *world)
{
	int ret;

	world_options(world);
	kit_create_sized(&world->kit, &world->options, 128ull << 20);
	viommu_endpoint_destroy(world->kit.endpoint);
	world->kit.endpoint = NULL;
	world->kit.queue = kit_pages(&world->kit, 64);
	world->kit.queue_order = 6;
	assert_int_equal(viommu_host_open_model(&world->host_options, &world->host), 0);
	ret = world_plug(world, KIT_RID, &world->device, &world->passthrough);
	assert_int_equal(ret, 0);
	kit_start(&world->kit, TTM_SCALABLE);
	world_bind(world, 0, 1, PE_PASS, 0);
}

/* PEs for PASIDs 1..PASIDS, each with a first stage of its own, or all with one. */
static void write_entries(struct world *world, bool shared)
{
	for (uint32_t pasid = 1; pasid <= PASIDS; pasid++) {
		uint64_t entry = kit_pasid_entry(&world->kit, KIT_RID, pasid);

		kit_put(&world->kit, entry + 8, DID | PE1_PWSNP);
		kit_put(&world->kit, entry + 16, (shared ? 1 : (uint64_t)pasid) << 12);
		kit_put(&world->kit, entry, PE_P | PE_FIRST);
	}
}

static void invalidate_each(struct world *world)
{
	for (uint32_t pasid = 1; pasid <= PASIDS; pasid++) {
		kit_submit(&world->kit, qi_pasid_cache(1, DID, pasid), 0);
		if (pasid % BATCH == 0)
			assert_true(kit_sync(&world->kit));
	}
	assert_true(kit_sync(&world->kit));
}

static uint64_t all_calls(struct world *world)
{
	uint64_t calls = 0;

	for (unsigned int call = 0; call < VIOMMU_HOST_CALLS; call++)
		calls += world_calls(world, call);
	return calls;
}

static void steps(void **state)
{
	struct viommu_passthrough_statistics statistics;
	struct world *world = malloc(sizeof(*world));
	uint64_t calls;

	create(world);
	write_entries(world, false);
	calls = all_calls(world);
	invalidate_each(world);
	statistics = world_statistics(world);
	assert_int_equal(statistics.bindings, PASIDS);
	assert_int_equal(statistics.tables, PASIDS);
	assert_int_equal(all_calls(world) - calls, 2 * PASIDS); /* a table and an attach each */
	assert_true(statistics.bytes <= 96ull * PASIDS);

	/* Nothing changed: looked at, and nothing done. */
	calls = all_calls(world);
	assert_true(kit_command(&world->kit, qi_pasid_cache(3, 0, 0), 0));
	assert_true(kit_command(&world->kit, qi_pasid_cache(0, DID, 0), 0));
	invalidate_each(world);
	assert_int_equal(all_calls(world), calls);

	/* 4096 page flushes over 64 PASIDs, one wait: one call per table. */
	for (uint32_t i = 0; i < 4096; i++)
		kit_submit(&world->kit, qi_piotlb(3, DID, 1 + i % 64), (uint64_t)(i * 2) << 12);
	calls = world_calls(world, VIOMMU_HOST_INVALIDATE);
	assert_true(kit_sync(&world->kit));
	assert_true(world_calls(world, VIOMMU_HOST_INVALIDATE) - calls <= 64);
	assert_int_equal(world_statistics(world).invalidations, 4096);

	/* All to one table: attached first, then the old ones go. */
	write_entries(world, true);
	calls = all_calls(world);
	assert_true(kit_command(&world->kit, qi_pasid_cache(3, 0, 0), 0));
	assert_int_equal(viommu_host_model_tables(world->host), 1);
	assert_true(all_calls(world) - calls <= 2 * PASIDS);
	for (uint32_t i = 0; i < 4096; i++)
		kit_submit(&world->kit, qi_piotlb(3, DID, 1 + i), (uint64_t)(i * 2) << 12);
	calls = world_calls(world, VIOMMU_HOST_INVALIDATE);
	assert_true(kit_sync(&world->kit));
	assert_int_equal(world_calls(world, VIOMMU_HOST_INVALIDATE) - calls, 1);

	/* The directory goes, and with it everything. */
	kit_put(&world->kit, kit_context_scalable(&world->kit, KIT_RID), 0);
	assert_true(kit_command(&world->kit, qi_context(1, 0, 0, 0), 0));
	statistics = world_statistics(world);
	assert_int_equal(statistics.bindings, 0);
	assert_int_equal(statistics.unbinds, PASIDS + 2); /* the RID's, twice */
	assert_int_equal(viommu_host_model_attachments(world->device), 0);
	world_destroy(world);
	free(world);
}

/* More flushes of one table than a batch holds become one of everything. */
static void batch_overflow(void **state)
{
	struct world *world = malloc(sizeof(*world));
	uint64_t calls;

	create(world);
	world_bind(world, 5, DID, PE_FIRST, 0x5000);
	for (uint32_t i = 0; i < 6000; i++)
		kit_submit(&world->kit, qi_piotlb(3, DID, 5), (uint64_t)(i * 2) << 12);
	calls = world_calls(world, VIOMMU_HOST_INVALIDATE);
	assert_true(kit_sync(&world->kit));
	assert_int_equal(world_calls(world, VIOMMU_HOST_INVALIDATE) - calls, 1);
	assert_int_equal(world_statistics(world).invalidations, 1);
	/* Neighbours are joined. */
	for (uint32_t i = 0; i < 100; i++)
		kit_submit(&world->kit, qi_piotlb(3, DID, 5), (uint64_t)i << 12);
	assert_true(kit_sync(&world->kit));
	assert_int_equal(world_statistics(world).invalidations, 2);
	world_destroy(world);
	free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(steps), cmocka_unit_test(batch_overflow) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
