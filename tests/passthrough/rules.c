/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rules of PASID passthrough, one by one, and the defects of others that are not to be ours: each test writes tables and
 * descriptors as a guest does and looks at what the modelled hardware reaches afterwards.
 */
#include "world.h"
#include "memory/alloc.h"

enum { DATA_A = 0x100000, DATA_B = 0x200000 };

static int setup(void **state)
{
	struct world *world = malloc(sizeof(*world));

	world_options(world);
	world_create(world);
	world->kit.ram[DATA_A] = 0xa;
	world->kit.ram[DATA_B] = 0xb;
	*state = world;
	return 0;
}

/* Translation on, scalable, the RID's PE passes through. */
static int setup_started(void **state)
{
	struct world *world;

	setup(state);
	world = *state;
	kit_start(&world->kit, TTM_SCALABLE);
	world_bind(world, 0, 1, PE_PASS, 0);
	return 0;
}

static int teardown(void **state)
{
	world_destroy(*state);
	free(*state);
	return 0;
}

/* Without remapping the device reaches all of the guest's memory; with it, and no entry, nothing. */
static void remapping_off_and_on(void **state)
{
	struct world *world = *state;

	assert_int_equal(world_read(world, VIOMMU_NO_PASID, DATA_A), 0xa);
	assert_int_equal(world_read(world, 5, DATA_A), -EFAULT);
	kit_start(&world->kit, TTM_SCALABLE);
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, DATA_A), -EFAULT);
	world_bind(world, 0, 1, PE_PASS, 0);
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, DATA_A), 0xa);
	world_unbind(world, 0, 1);
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, DATA_A), -EFAULT);
	assert_int_equal(world->lines, 0);
}

static void bind_and_unbind(void **state)
{
	struct world *world = *state;
	uint64_t root = world_first(world, DATA_A);

	world_bind(world, 5, 7, PE_FIRST, root);
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
	assert_int_equal(world_read(world, 5, 0x2000), -EFAULT);
	assert_int_equal(world_read(world, 6, 0x1000), -EFAULT);
	assert_int_equal(world_statistics(world).bindings, 1);
	world_bind(world, 6, 7, PE_PASS, 0);
	assert_int_equal(world_read(world, 6, DATA_B), 0xb);
	world_unbind(world, 5, 7);
	assert_int_equal(world_read(world, 5, 0x1000), -EFAULT);
	assert_int_equal(viommu_host_model_tables(world->host), 0);
	world_unbind(world, 6, 7);
	assert_int_equal(world_statistics(world).bindings, 0);
}

/* Bits the host does not care about, and repeated invalidations, cost no host call. */
static void unchanged_costs_nothing(void **state)
{
	struct world *world = *state;
	uint64_t root = world_first(world, DATA_A);
	uint64_t attaches, creates;

	world_bind(world, 5, 7, PE_FIRST, root);
	attaches = world_calls(world, VIOMMU_HOST_ATTACH);
	creates = world_calls(world, VIOMMU_HOST_NESTED_CREATE);
	assert_true(kit_command(&world->kit, qi_pasid_cache(1, 7, 5), 0));
	assert_true(kit_command(&world->kit, qi_pasid_cache(0, 7, 0), 0));
	assert_true(kit_command(&world->kit, qi_pasid_cache(3, 0, 0), 0));
	assert_true(kit_command(&world->kit, qi_context(1, 0, 0, 0), 0));
	world_bind(world, 5, 7, PE_FIRST | PE_FPD, root); /* fault disable is the unit's affair */
	assert_int_equal(world_calls(world, VIOMMU_HOST_ATTACH), attaches);
	assert_int_equal(world_calls(world, VIOMMU_HOST_NESTED_CREATE), creates);
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
}

static void replace(void **state)
{
	struct world *world = *state;
	uint64_t first = world_first(world, DATA_A), second = world_first(world, DATA_B);

	world_bind(world, 5, 7, PE_FIRST, first);
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
	world_bind(world, 5, 7, PE_FIRST, second);
	assert_int_equal(world_read(world, 5, 0x1000), 0xb);
	assert_int_equal(viommu_host_model_tables(world->host), 1);
	world_bind(world, 5, 7, PE_PASS, 0);
	assert_int_equal(world_read(world, 5, DATA_A), 0xa);
	assert_int_equal(viommu_host_model_tables(world->host), 0);
	assert_int_equal(world_statistics(world).replaces, 2);
}

/* Filters: removal by the cached DID, addition by the DID in memory, and nothing else is touched. */
static void domain_filters(void **state)
{
	struct world *world = *state;
	struct kit *kit = &world->kit;
	uint64_t root = world_first(world, DATA_A);

	world_bind(world, 5, 7, PE_FIRST, root);
	world_bind(world, 6, 8, PE_FIRST, root);
	kit_set_pasid_entry(kit, KIT_RID, 5, 0, 0, 0);
	kit_set_pasid_entry(kit, KIT_RID, 6, 0, 0, 0);
	kit_set_pasid_entry(kit, KIT_RID, 9, PE_P | PE_FIRST, 8, root);
	assert_true(kit_command(kit, qi_pasid_cache(1, 8, 5), 0)); /* not its DID */
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
	assert_true(kit_command(kit, qi_pasid_cache(0, 7, 0), 0));
	assert_int_equal(world_read(world, 5, 0x1000), -EFAULT);
	assert_int_equal(world_read(world, 6, 0x1000), 0xa);
	assert_int_equal(world_read(world, 9, 0x1000), -EFAULT);
	assert_true(kit_command(kit, qi_pasid_cache(0, 8, 0), 0));
	assert_int_equal(world_read(world, 6, 0x1000), -EFAULT);
	assert_int_equal(world_read(world, 9, 0x1000), 0xa);
	kit_set_pasid_entry(kit, KIT_RID, 9, 0, 0, 0);
	assert_true(kit_command(kit, qi_pasid_cache(3, 0, 0), 0));
	assert_int_equal(world_statistics(world).bindings, 0);
}

/* Defect of others: a new DID under a live entry, invalidated with the old one, left the old table in place. */
static void did_changed_under_live_entry(void **state)
{
	struct world *world = *state;
	struct kit *kit = &world->kit;
	uint64_t first = world_first(world, DATA_A), second = world_first(world, DATA_B);

	world_bind(world, 5, 7, PE_FIRST, first);
	kit_set_pasid_entry(kit, KIT_RID, 5, PE_P | PE_FIRST, 8, second);
	assert_true(kit_command(kit, qi_pasid_cache(1, 7, 5), 0));
	assert_int_equal(world_read(world, 5, 0x1000), 0xb);
	/* And its flushes come under the new DID. */
	kit_map_first(kit, second, 4, 0x1000, 1, DATA_A | FS_P | FS_RW | FS_US);
	assert_true(kit_command(kit, qi_piotlb(2, 8, 5), 0));
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
	/* Domain-selective, with the same table: only the DID moves, without a host call. */
	kit_set_pasid_entry(kit, KIT_RID, 5, PE_P | PE_FIRST, 9, second);
	assert_true(kit_command(kit, qi_pasid_cache(0, 8, 0), 0));
	kit_map_first(kit, second, 4, 0x1000, 1, DATA_B | FS_P | FS_RW | FS_US);
	assert_true(kit_command(kit, qi_piotlb(3, 9, 5), 0x1000));
	assert_int_equal(world_read(world, 5, 0x1000), 0xb);
	assert_int_equal(world_statistics(world).replaces, 1);
}

/* Bits that are reserved only because the unit lacks what they are for: it would fault, so the host must (VT-d 9.6). */
static void reserved_without_capability(void **state)
{
	struct world world;
	uint64_t first;

	world_options(&world);
	world.options.execute_request = false;
	world_create(&world);
	kit_start(&world.kit, TTM_SCALABLE);
	world.kit.ram[DATA_A] = 0xa;
	first = world_first(&world, DATA_A);
	world_bind(&world, 5, 7, PE_FIRST, first);
	assert_int_equal(world_read(&world, 5, 0x1000), 0xa);
	world_bind(&world, 5, 7, PE_FIRST, first | PE2_ERE);
	assert_int_equal(world_read(&world, 5, 0x1000), -EFAULT);
	world_bind(&world, 6, 7, PE_FIRST, first | 1ull << 50);
	assert_int_equal(world_statistics(&world).bindings, 0);
	world_destroy(&world);
}

/* The last page and the first are no neighbours, though their addresses follow each other. */
static void flushes_at_both_ends(void **state)
{
	const uint64_t top = ~0xfffull;
	struct world *world = *state;
	struct kit *kit = &world->kit;
	uint64_t first = world_first(world, DATA_A);

	kit_map_first(kit, first, 4, top, 1, DATA_A | FS_P | FS_RW | FS_US);
	kit_map_first(kit, first, 4, 0, 1, DATA_A | FS_P | FS_RW | FS_US);
	world_bind(world, 5, 7, PE_FIRST, first);
	assert_int_equal(world_read(world, 5, top), 0xa);
	assert_int_equal(world_read(world, 5, 0), 0xa);
	kit_map_first(kit, first, 4, top, 1, DATA_B | FS_P | FS_RW | FS_US);
	kit_map_first(kit, first, 4, 0, 1, DATA_B | FS_P | FS_RW | FS_US);
	kit_submit(kit, qi_piotlb(3, 7, 5), top);
	kit_submit(kit, qi_piotlb(3, 7, 5), 0);
	assert_true(kit_sync(kit));
	assert_int_equal(world_read(world, 5, top), 0xb);
	assert_int_equal(world_read(world, 5, 0), 0xb);
}

/* Defect of others: with TE cleared, nested tables stayed attached. */
static void translation_disabled(void **state)
{
	struct world *world = *state;

	world_bind(world, 5, 7, PE_FIRST, world_first(world, DATA_A));
	world_bind(world, 0, 7, PE_FIRST, world_first(world, DATA_B));
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, 0x1000), 0xb);
	kit_disable(&world->kit);
	assert_int_equal(world_read(world, 5, 0x1000), -EFAULT);
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, DATA_A), 0xa);
	assert_int_equal(viommu_host_model_tables(world->host), 0);
	kit_enable(&world->kit);
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, 0x1000), 0xb);
}

static void reset_and_root_change(void **state)
{
	struct world *world = *state;
	struct kit *kit = &world->kit;
	uint64_t old_root = kit->root;

	world_bind(world, 5, 7, PE_FIRST, world_first(world, DATA_A));
	kit->root = kit_page(kit);
	kit_set_root(kit, kit->root | TTM_SCALABLE);
	assert_int_equal(world_read(world, 5, 0x1000), -EFAULT);
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, DATA_A), -EFAULT);
	kit->root = old_root;
	kit_set_root(kit, kit->root | TTM_SCALABLE);
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
	viommu_unit_reset(kit->unit);
	assert_int_equal(world_read(world, 5, 0x1000), -EFAULT);
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, DATA_A), 0xa);
	assert_int_equal(world_statistics(world).bindings, 0);
}

/* A context entry that goes, or loses its directory, takes its PASIDs along; device-selective for this one only. */
static void context_invalidation(void **state)
{
	struct world *world = *state;
	struct kit *kit = &world->kit;
	uint64_t context = kit_context_scalable(kit, KIT_RID), word;

	world_bind(world, 5, 7, PE_FIRST, world_first(world, DATA_A));
	word = kit_get(kit, context);
	kit_put(kit, context, 0);
	assert_true(kit_command(kit, qi_context(3, 0, KIT_RID + 8, 0), 0)); /* somebody else */
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
	assert_true(kit_command(kit, qi_context(3, 0, KIT_RID, 0), 0));
	assert_int_equal(world_read(world, 5, 0x1000), -EFAULT);
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, DATA_A), -EFAULT);
	kit_put(kit, context, word);
	assert_true(kit_command(kit, qi_context(1, 0, 0, 0), 0));
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
	/* PDTS: a directory for the first 2^13 PASIDs only. */
	world_bind(world, 0x4000, 7, PE_FIRST, world_first(world, DATA_B));
	assert_int_equal(world_read(world, 0x4000, 0x1000), 0xb);
	kit_put(kit, context, word & ~(7ull << CE_PDTS_SHIFT));
	assert_true(kit_command(kit, qi_context(3, 0, KIT_RID, 0), 0));
	assert_int_equal(world_read(world, 0x4000, 0x1000), -EFAULT);
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
}

/* Equal first stage, flags and width share one table; the flush of one PASID serves all. */
static void sharing(void **state)
{
	struct world *world = *state;
	uint64_t root = world_first(world, DATA_A);

	for (uint32_t pasid = 10; pasid < 20; pasid++)
		world_bind(world, pasid, 7, PE_FIRST, root);
	assert_int_equal(viommu_host_model_tables(world->host), 1);
	world_bind(world, 20, 7, PE_FIRST, root | PE2_WPE);
	assert_int_equal(viommu_host_model_tables(world->host), 2);
	for (uint32_t pasid = 10; pasid < 20; pasid++) {
		assert_int_equal(world_read(world, pasid, 0x1000), 0xa);
		world_unbind(world, pasid, 7);
	}
	assert_int_equal(viommu_host_model_tables(world->host), 1);
}

/* The guest's flush is complete before its wait is, and not before it asks. */
static void flush_before_wait(void **state)
{
	struct world *world = *state;
	struct kit *kit = &world->kit;
	uint64_t root = world_first(world, DATA_A);

	world_bind(world, 5, 7, PE_FIRST, root);
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
	kit_map_first(kit, root, 4, 0x1000, 1, DATA_B | FS_P | FS_RW | FS_US);
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
	assert_true(kit_command(kit, qi_piotlb(3, 7, 5), 0x1000));
	assert_int_equal(world_read(world, 5, 0x1000), 0xb);
	kit_map_first(kit, root, 4, 0x1000, 1, DATA_A | FS_P | FS_RW | FS_US);
	assert_true(kit_command(kit, qi_piotlb(2, 8, 5), 0)); /* another domain */
	assert_int_equal(world_read(world, 5, 0x1000), 0xb);
	assert_true(kit_command(kit, qi_piotlb(3, 7, 5), 0x8000 | 3)); /* 0x8000..0xffff */
	assert_int_equal(world_read(world, 5, 0x1000), 0xb);
	assert_true(kit_command(kit, qi_piotlb(3, 7, 5), 0x0000 | 3)); /* 0..0x7fff */
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
	kit_map_first(kit, root, 4, 0x1000, 1, 0);
	assert_true(kit_command(kit, qi_iotlb(1, 0), 0)); /* global covers first stages */
	assert_int_equal(world_read(world, 5, 0x1000), -EFAULT);
}

/* The RID's own first stage is flushed under PASID 0. */
static void rid_first_stage(void **state)
{
	struct world *world = *state;
	struct kit *kit = &world->kit;
	uint64_t root = world_first(world, DATA_A);

	world_bind(world, 0, 7, PE_FIRST, root);
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, 0x1000), 0xa);
	kit_map_first(kit, root, 4, 0x1000, 1, DATA_B | FS_P | FS_RW | FS_US);
	assert_true(kit_command(kit, qi_piotlb(2, 7, 0), 0));
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, 0x1000), 0xb);
	/* A PASID can be attached beside it: the table has the flag. */
	world_bind(world, 3, 7, PE_PASS, 0);
	assert_int_equal(world_read(world, 3, DATA_A), 0xa);
}

/* Defect of others: a replace that the host refuses must not leave the old table. The guest sees a fault record. */
static void refused_replace_blocks(void **state)
{
	struct world *world = *state;
	struct kit *kit = &world->kit;
	uint64_t first = world_first(world, DATA_A), second = world_first(world, DATA_B);
	static const enum viommu_host_call calls[] = { VIOMMU_HOST_ATTACH, VIOMMU_HOST_NESTED_CREATE };
	struct kit_record record;

	for (unsigned int i = 0; i < 2; i++) {
		world_bind(world, 5, 7, PE_FIRST, first);
		assert_int_equal(world_read(world, 5, 0x1000), 0xa);
		viommu_host_model_refuse(world->host, calls[i], 0, 1, -ENOSPC);
		world_bind(world, 5, 7, PE_FIRST, second);
		assert_int_equal(world_read(world, 5, 0x1000), -EFAULT);
		assert_int_equal(viommu_host_model_tables(world->host), 0);
		assert_int_equal(world->blocks, i + 1);
		assert_int_equal(world->blocked_pasid, 5);
		assert_non_null(strstr(world->line, "PASID 5"));
		assert_non_null(strstr(world->line, "No space left"));
		assert_true(kit_take_fault(kit, &record));
		assert_int_equal(record.reason, 0x5b);
		assert_int_equal(record.pasid, 5);
		/* The next invalidation finds the host willing. */
		assert_true(kit_command(kit, qi_pasid_cache(1, 7, 5), 0));
		assert_int_equal(world_read(world, 5, 0x1000), 0xb);
		world_unbind(world, 5, 7);
	}
}

static void invalid_entry_blocks(void **state)
{
	struct world *world = *state;
	uint64_t first = world_first(world, DATA_A);

	world_bind(world, 5, 7, PE_FIRST, first);
	/* PGTT 5 exists not; the unit faults, and so does the host's. */
	world_bind(world, 5, 7, 5 << 6, first);
	assert_int_equal(world_read(world, 5, 0x1000), -EFAULT);
	/* Reserved bits likewise, in any word. */
	for (unsigned int word = 0; word < 8; word++) {
		static const uint64_t reserved[8] = { 1 << 10, 1 << 16, 1 << 8, 1, 1ull << 63, 2, 4, 8 };
		uint64_t entry = kit_pasid_entry(&world->kit, KIT_RID, 5) + word * 8, value;

		world_bind(world, 5, 7, PE_FIRST, first);
		assert_int_equal(world_read(world, 5, 0x1000), 0xa);
		value = kit_get(&world->kit, entry);
		kit_put(&world->kit, entry, value | reserved[word]);
		assert_true(kit_command(&world->kit, qi_pasid_cache(1, 7, 5), 0));
		assert_int_equal(world_read(world, 5, 0x1000), -EFAULT);
		kit_put(&world->kit, entry, value);
	}
	assert_int_equal(world->blocks, 0);
	world_bind(world, 5, 7, PE_FIRST, first);
	/* Nested below us: the guest may, the host cannot. It is told. */
	world_bind(world, 5, 7, PE_NESTED | 2 << PE_AW_SHIFT, first);
	assert_int_equal(world_read(world, 5, 0x1000), -EFAULT);
	assert_int_equal(world->blocks, 1);
	assert_int_equal(viommu_host_model_tables(world->host), 0);
}

/* Defect of others: a detach that fails is not forgotten; flushes still reach the table and it is tried again. */
static void refused_detach_is_remembered(void **state)
{
	struct world *world = *state;
	struct kit *kit = &world->kit;
	uint64_t root = world_first(world, DATA_A);

	world_bind(world, 5, 7, PE_FIRST, root);
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
	viommu_host_model_refuse(world->host, VIOMMU_HOST_DETACH, 0, 1, -EIO);
	world_unbind(world, 5, 7);
	assert_int_equal(world_statistics(world).stuck, 1);
	assert_int_equal(world->lines, 1);
	assert_int_equal(viommu_host_model_tables(world->host), 1);
	kit_map_first(kit, root, 4, 0x1000, 1, 0);
	assert_true(kit_command(kit, qi_piotlb(2, 7, 5), 0));
	assert_int_equal(world_read(world, 5, 0x1000), -EFAULT);
	assert_true(kit_command(kit, qi_pasid_cache(1, 7, 5), 0));
	assert_int_equal(world_statistics(world).stuck, 0);
	assert_int_equal(viommu_host_model_tables(world->host), 0);
	assert_int_equal(viommu_host_model_attached(world->device, 5), 0);
}

/* An invalidation the host refuses is tried whole; if that fails too, nothing stays attached to the table. */
static void refused_invalidation(void **state)
{
	struct world *world = *state;
	struct kit *kit = &world->kit;
	uint64_t root = world_first(world, DATA_A);

	world_bind(world, 5, 7, PE_FIRST, root);
	world_bind(world, 6, 7, PE_FIRST, root);
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
	viommu_host_model_refuse(world->host, VIOMMU_HOST_INVALIDATE, 0, 1, -EINVAL);
	kit_map_first(kit, root, 4, 0x1000, 1, DATA_B | FS_P | FS_RW | FS_US);
	assert_true(kit_command(kit, qi_piotlb(3, 7, 5), 0x1000));
	assert_int_equal(world_read(world, 5, 0x1000), 0xb);
	viommu_host_model_refuse(world->host, VIOMMU_HOST_INVALIDATE, 0, 2, -EINVAL);
	assert_true(kit_command(kit, qi_piotlb(3, 7, 5), 0x1000));
	assert_int_equal(world_read(world, 5, 0x1000), -EFAULT);
	assert_int_equal(world_read(world, 6, 0x1000), -EFAULT);
	assert_int_equal(world->blocks, 2);
	assert_int_equal(viommu_host_model_tables(world->host), 0);
}

/* PASIDs beyond the device's or the unit's range are not attached. */
static void ranges(void **state)
{
	struct world world;
	uint64_t root;

	world_options(&world);
	world.device_options.pasid_bits = 10;
	world_create(&world);
	world.kit.ram[DATA_A] = 0xa;
	kit_start(&world.kit, TTM_SCALABLE);
	world_bind(&world, 0, 1, PE_PASS, 0);
	root = world_first(&world, DATA_A);
	world_bind(&world, 1023, 7, PE_FIRST, root);
	world_bind(&world, 1024, 7, PE_FIRST, root);
	assert_true(kit_command(&world.kit, qi_pasid_cache(3, 0, 0), 0));
	assert_int_equal(world_statistics(&world).bindings, 1);
	assert_int_equal(world_read(&world, 1023, 0x1000), 0xa);
	assert_int_equal(world.lines, 0);
	world_destroy(&world);
}

/* Two devices: one table for both, one call flushes both; unplugging one leaves the other. */
static void two_devices(void **state)
{
	struct world *world = *state;
	struct kit *kit = &world->kit;
	struct viommu_host_device *other;
	struct viommu_passthrough *second;
	uint64_t root = world_first(world, DATA_A), calls;
	uint8_t byte = 0;

	assert_int_equal(world_plug(world, KIT_RID, &other, &second), -EEXIST);
	assert_int_equal(world_plug(world, KIT_RID + 1, &other, &second), 0);
	world_bind(world, 5, 7, PE_FIRST, root);
	kit_set_pasid_entry(kit, KIT_RID + 1, 5, PE_P | PE_FIRST, 7, root);
	assert_true(kit_command(kit, qi_context(1, 0, 0, 0), 0));
	assert_int_equal(viommu_host_model_tables(world->host), 1);
	assert_int_equal(viommu_host_model_dma(other, 5, 0x1000, &byte, 1, false), 0);
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
	kit_map_first(kit, root, 4, 0x1000, 1, DATA_B | FS_P | FS_RW | FS_US);
	calls = world_calls(world, VIOMMU_HOST_INVALIDATE);
	assert_true(kit_command(kit, qi_piotlb(3, 7, 5), 0x1000));
	assert_int_equal(world_calls(world, VIOMMU_HOST_INVALIDATE), calls + 1);
	assert_int_equal(world_read(world, 5, 0x1000), 0xb);
	assert_int_equal(viommu_host_model_dma(other, 5, 0x1000, &byte, 1, false), 0);
	assert_int_equal(byte, 0xb);
	viommu_passthrough_destroy(second);
	assert_int_equal(viommu_host_model_attachments(other), 0);
	viommu_host_device_close(other);
	assert_int_equal(world_read(world, 5, 0x1000), 0xb);
}

/* Guest memory that comes and goes is mapped and unmapped; ROM is left out of a nest parent. */
static void memory_follows(void **state)
{
	struct world *world = *state;
	uint8_t *more = pages(2);
	uint64_t maps = world_calls(world, VIOMMU_HOST_MAP);

	more[0] = 0x77;
	assert_int_equal(viommu_memory_add_hva(world->kit.memory, 1ull << 32, 0x1000, more, 0), 0);
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, 1ull << 32), 0x77);
	assert_int_equal(viommu_memory_add_hva(world->kit.memory, 1ull << 33, 0x1000, more + 4096,
					       VIOMMU_SEGMENT_READONLY), 0);
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, 1ull << 33), -EFAULT);
	assert_int_equal(world_calls(world, VIOMMU_HOST_MAP), maps + 1);
	viommu_host_model_refuse(world->host, VIOMMU_HOST_MAP, 0, 1, -ENOMEM);
	assert_int_equal(viommu_memory_add_hva(world->kit.memory, 1ull << 34, 0x1000, more, 0), -ENOMEM);
	assert_int_equal(viommu_memory_remove(world->kit.memory, 1ull << 32, 0x1000), 1);
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, 1ull << 32), -EFAULT);
	assert_int_equal(viommu_memory_remove(world->kit.memory, 1ull << 33, 0x1000), 1);
	free(more);
}

/* The checks at hot-plug name both values. */
static void plug_checks(void **state)
{
	static const struct {
		const char *words[2];
		int change;
	} cases[] = {
		{ { "caching-mode is off", "model" }, 0 },
		{ { "pasid-bits is 20", "has 16" }, 1 },
		{ { "aw-bits is 57", "has 48" }, 2 },
		{ { "first-stage is on", "cannot nest" }, 3 },
		{ { "first-stage is on", "VT-d host" }, 4 },
		{ { "five-level is on", "4 levels" }, 5 },
		{ { "1 GiB", "does not" }, 6 },
		{ { "coherent is on", "snoop" }, 7 },
		{ { "supervisor-request is on", "host has none" }, 8 },
		{ { "protected-memory is on", "model" }, 10 },
		{ { "rid-privilege is on", "model" }, 11 },
		{ { "extended-accessed is on", "host has none" }, 9 },
	};
	const uint64_t cap = 2 | 7 << 8 | 47 << 16 | 3ull << 34 | 1ull << 56 | 1ull << 60;
	const uint64_t ecap = 3 | 1 << 26 | 3ull << 30 | 1ull << 34 | 19ull << 35 | 1ull << 40 | 3ull << 42 | 15ull << 45;

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world world;

		world_options(&world);
		world.host_options.cap = cap;
		world.host_options.ecap = ecap;
		switch (cases[i].change) {
		case 0: world.options.caching_mode = false; break;
		case 1: world.host_options.ecap -= 4ull << 35; break;
		case 2: world.options.aw_bits = 57; break;
		case 3: world.host_options.no_nesting = true; break;
		case 4: world.device_options.other_iommu = true; break;
		case 5: world.options.five_level = true; world.host_options.cap &= ~(1ull << 60); break;
		case 6: world.host_options.cap &= ~(1ull << 56); break;
		case 7: world.host_options.ecap &= ~(1ull << 48); break;
		case 8: world.host_options.ecap &= ~(1ull << 31); break;
		case 9: world.host_options.ecap &= ~(1ull << 34); break;
		case 10: world.options.protected_memory = true; break;
		case 11: world.options.rid_privilege = true; break;
		}
		world_create_bare(&world);
		assert_int_equal(world_plug(&world, KIT_RID, &world.device, &world.passthrough), -EINVAL);
		for (unsigned int k = 0; k < 2; k++) {
			if (!strstr(world.message, cases[i].words[k]))
				fail_msg("'%s' is not in '%s'", cases[i].words[k], world.message);
		}
		world.passthrough = NULL;
		world_destroy(&world);
	}
}

/* Every host call of a life refused in turn: no leak, no stale table, and the VM goes on. */
static void every_call_refused(void **state)
{
	for (unsigned int call = 0; call < VIOMMU_HOST_CALLS; call++) {
		for (uint64_t after = 0;; after++) {
			struct world world;
			uint64_t calls;
			int ret;

			world_options(&world);
			world_create_bare(&world);
			viommu_host_model_refuse(world.host, call, after, 1, -EIO);
			ret = world_plug(&world, KIT_RID, &world.device, &world.passthrough);
			if (ret) {
				world.passthrough = NULL;
			} else {
				uint64_t first = world_first(&world, DATA_A), second = world_first(&world, DATA_B);

				kit_start(&world.kit, TTM_SCALABLE);
				world.kit.ram[DATA_A] = 0xa;
				world.kit.ram[DATA_B] = 0xb;
				world_bind(&world, 0, 1, PE_PASS, 0);
				world_bind(&world, 5, 7, PE_FIRST, first);
				world_read(&world, 5, 0x1000);
				world_bind(&world, 5, 7, PE_FIRST, second);
				ret = world_read(&world, 5, 0x1000);
				assert_true(ret == 0xb || ret == -EFAULT);
				kit_map_first(&world.kit, second, 4, 0x1000, 1, 0);
				assert_true(kit_command(&world.kit, qi_piotlb(3, 7, 5), 0x1000));
				assert_int_equal(world_read(&world, 5, 0x1000), -EFAULT);
				world_unbind(&world, 5, 7);
				assert_true(kit_command(&world.kit, qi_pasid_cache(3, 0, 0), 0));
				assert_int_equal(viommu_host_model_attached(world.device, 5), 0);
				assert_int_equal(viommu_host_model_tables(world.host), call == VIOMMU_HOST_NESTED_DESTROY && world_calls(&world, call) > after ? 1 : 0);
				viommu_passthrough_destroy(world.passthrough);
				viommu_host_device_close(world.device);
				world.passthrough = NULL;
			}
			calls = world_calls(&world, call);
			world_destroy(&world);
			if (calls <= after)
				break;
		}
	}
}

/*
 * A life in which one allocation fails: whatever is bound afterwards is right, and what is not bound faults. Returns whether it came
 * to that allocation.
 */
static bool short_life(struct world *world)
{
	uint64_t first, second;
	bool fired;
	int ret = world_plug(world, KIT_RID, &world->device, &world->passthrough);

	if (ret) {
		assert_int_equal(ret, -ENOMEM);
		world->passthrough = NULL;
		return viommu_alloc_fail_nth(-1);
	}
	first = world_first(world, DATA_A);
	second = world_first(world, DATA_B);
	kit_start(&world->kit, TTM_SCALABLE);
	world_bind(world, 0, 1, PE_PASS, 0);
	for (uint32_t pasid = 60; pasid < 70; pasid++) {
		world_bind(world, pasid, 7, PE_FIRST, first);
		ret = world_read(world, pasid, 0x1000);
		assert_true(ret == 0xa || ret == -EFAULT);
		world_bind(world, pasid, 7, PE_FIRST, second);
		ret = world_read(world, pasid, 0x1000);
		assert_true(ret == 0xb || ret == -EFAULT);
	}
	kit_map_first(&world->kit, second, 4, 0x1000, 1, 0);
	assert_true(kit_command(&world->kit, qi_piotlb(3, 7, 60), 0x1000));
	assert_int_equal(world_read(world, 60, 0x1000), -EFAULT);
	/* With memory again, one more look makes everything so. */
	fired = viommu_alloc_fail_nth(-1);
	assert_true(kit_command(&world->kit, qi_pasid_cache(3, 0, 0), 0));
	assert_int_equal(world_statistics(world).bindings, 10);
	return fired;
}

static void every_allocation_refused(void **state)
{
	bool fired = true;
	long n;

	for (n = 0; fired; n++) {
		struct world *world = malloc(sizeof(*world));

		world_options(world);
		world_create_bare(world);
		world->kit.ram[DATA_A] = 0xa;
		world->kit.ram[DATA_B] = 0xb;
		world->fail_after = n + 1;
		fired = short_life(world);
		world_destroy(world);
		free(world);
	}
	assert_true(n > 20);
}

/* Loading a unit's state makes the host follow: bindings of the tables in memory, and none of before. */
static void state_load(void **state)
{
	struct world *world = *state;
	struct viommu_stream_writer *writer;
	struct viommu_stream_reader *reader;
	const void *data;
	size_t length;

	world_bind(world, 5, 7, PE_FIRST, world_first(world, DATA_A));
	assert_int_equal(viommu_stream_writer_create(&writer), 0);
	assert_int_equal(viommu_unit_save(world->kit.unit, writer, 0), 0);
	assert_int_equal(viommu_stream_finish(writer, &data, &length), 0);
	viommu_unit_reset(world->kit.unit);
	assert_int_equal(world_read(world, 5, 0x1000), -EFAULT);
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, DATA_A), 0xa);
	/* Meanwhile the tables in memory have come to say something else, as they do on a destination. */
	kit_set_pasid_entry(&world->kit, KIT_RID, 6, PE_P | PE_FIRST, 7, world_first(world, DATA_B));
	kit_set_pasid_entry(&world->kit, KIT_RID, 0, 0, 0, 0);
	assert_int_equal(viommu_stream_reader_create(data, length, &reader, NULL, 0), 0);
	assert_int_equal(viommu_unit_load(world->kit.unit, reader, 0, world->message, sizeof(world->message)), 0);
	assert_int_equal(world_read(world, 5, 0x1000), 0xa);
	assert_int_equal(world_read(world, 6, 0x1000), 0xb);
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, DATA_A), -EFAULT);
	viommu_stream_reader_destroy(reader);
	viommu_stream_writer_destroy(writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reserved_without_capability),
		cmocka_unit_test_setup_teardown(flushes_at_both_ends, setup_started, teardown),
		cmocka_unit_test_setup_teardown(remapping_off_and_on, setup, teardown),
		cmocka_unit_test_setup_teardown(bind_and_unbind, setup_started, teardown),
		cmocka_unit_test_setup_teardown(unchanged_costs_nothing, setup_started, teardown),
		cmocka_unit_test_setup_teardown(replace, setup_started, teardown),
		cmocka_unit_test_setup_teardown(domain_filters, setup_started, teardown),
		cmocka_unit_test_setup_teardown(did_changed_under_live_entry, setup_started, teardown),
		cmocka_unit_test_setup_teardown(translation_disabled, setup_started, teardown),
		cmocka_unit_test_setup_teardown(reset_and_root_change, setup_started, teardown),
		cmocka_unit_test_setup_teardown(context_invalidation, setup_started, teardown),
		cmocka_unit_test_setup_teardown(sharing, setup_started, teardown),
		cmocka_unit_test_setup_teardown(flush_before_wait, setup_started, teardown),
		cmocka_unit_test_setup_teardown(rid_first_stage, setup_started, teardown),
		cmocka_unit_test_setup_teardown(refused_replace_blocks, setup_started, teardown),
		cmocka_unit_test_setup_teardown(invalid_entry_blocks, setup_started, teardown),
		cmocka_unit_test_setup_teardown(refused_detach_is_remembered, setup_started, teardown),
		cmocka_unit_test_setup_teardown(refused_invalidation, setup_started, teardown),
		cmocka_unit_test(ranges),
		cmocka_unit_test_setup_teardown(two_devices, setup_started, teardown),
		cmocka_unit_test_setup_teardown(memory_follows, setup, teardown),
		cmocka_unit_test(plug_checks),
		cmocka_unit_test(every_call_refused),
		cmocka_unit_test(every_allocation_refused),
		cmocka_unit_test_setup_teardown(state_load, setup_started, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
