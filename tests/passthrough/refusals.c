/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must not be reached: memory that is gone although the host would not unmap it, tables whose flush found no memory, and
 * whatever the unit itself faults on, bit by bit of every entry.
 */
#include "world.h"
#include "memory/alloc.h"
#include "vtd/unit_internal.h"

enum { DATA_A = 0x100000, DATA_B = 0x200000 };
#define EXTRA (UINT64_C(1) << 32)

static void start_scalable(struct world *world)
{
	world->kit.ram[DATA_A] = 0xa;
	world->kit.ram[DATA_B] = 0xb;
	kit_start(&world->kit, TTM_SCALABLE);
	world_bind(world, 0, 1, PE_PASS, 0);
}

/* Three users of the guest's memory: the RID, a nested PASID and a pass-through one. */
static uint8_t *plug_memory(struct world *world)
{
	uint8_t *more = pages(1);

	more[0] = 0x77;
	assert_int_equal(viommu_memory_add_hva(world->kit.memory, EXTRA, 4096, more, 0), 0);
	world_bind(world, 5, 7, PE_FIRST, world_first(world, EXTRA));
	world_bind(world, 6, 7, PE_PASS, 0);
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, EXTRA), 0x77);
	assert_int_equal(world_read(world, 5, 0x1000), 0x77);
	assert_int_equal(world_read(world, 6, EXTRA), 0x77);
	return more;
}

static void nothing_is_reached(struct world *world)
{
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, EXTRA), -EFAULT);
	assert_int_equal(world_read(world, VIOMMU_NO_PASID, DATA_A), -EFAULT);
	assert_int_equal(world_read(world, 5, 0x1000), -EFAULT);
	assert_int_equal(world_read(world, 6, DATA_A), -EFAULT);
	assert_int_equal(viommu_host_model_attachments(world->device), 0);
}

/* RAM goes, the host keeps it mapped: all who could reach it are blocked and hear of it, until the host lets go. */
static void departed_memory_blocks(void **state)
{
	struct kit_record record;
	struct world world;
	uint8_t *more;

	world_options(&world);
	world_create(&world);
	start_scalable(&world);
	more = plug_memory(&world);
	viommu_host_model_refuse(world.host, VIOMMU_HOST_UNMAP, 0, UINT64_MAX, -EIO);
	assert_int_equal(viommu_memory_remove(world.kit.memory, EXTRA, 4096), 1);
	nothing_is_reached(&world);
	assert_int_equal(world.blocks, 3);
	assert_int_equal(world.lines, 3);
	assert_non_null(strstr(world.line, "Input/output error"));
	for (int i = 0; i < 3; i++) {
		assert_true(kit_take_fault(&world.kit, &record));
		assert_int_equal(record.reason, 0x5b);
	}
	/* Nobody is attached again, and nothing new is mapped there, while it refuses. */
	assert_true(kit_flush_all(&world.kit));
	nothing_is_reached(&world);
	assert_int_equal(viommu_memory_add_hva(world.kit.memory, EXTRA, 4096, more, 0), -EIO);
	nothing_is_reached(&world);
	/* It lets go. */
	viommu_host_model_refuse(world.host, VIOMMU_HOST_UNMAP, 0, 0, 0);
	assert_true(kit_flush_all(&world.kit));
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, DATA_A), 0xa);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, EXTRA), -EFAULT);
	assert_int_equal(world_read(&world, 5, 0x1000), -EFAULT);
	assert_int_equal(world_read(&world, 6, DATA_A), 0xa);
	assert_int_equal(viommu_memory_add_hva(world.kit.memory, EXTRA, 4096, more, 0), 0);
	assert_int_equal(world_read(&world, 5, 0x1000), 0x77);
	world_destroy(&world);
	free(more);
}

/* The same page comes again before anybody looked: the mapping of before is not taken for the new one. */
static void departed_memory_returns(void **state)
{
	uint8_t *more, *other = pages(1);
	struct world world;

	other[0] = 0x88;
	world_options(&world);
	world_create(&world);
	start_scalable(&world);
	more = plug_memory(&world);
	viommu_host_model_refuse(world.host, VIOMMU_HOST_UNMAP, 0, 1, -EIO);
	assert_int_equal(viommu_memory_remove(world.kit.memory, EXTRA, 4096), 1);
	nothing_is_reached(&world);
	assert_int_equal(viommu_memory_add_hva(world.kit.memory, EXTRA, 4096, other, 0), 0);
	assert_true(kit_flush_all(&world.kit));
	assert_int_equal(world_read(&world, 5, 0x1000), 0x88);
	assert_int_equal(world_read(&world, 6, EXTRA), 0x88);
	world_destroy(&world);
	free(more);
	free(other);
}

struct removal {
	struct world *world;
	_Atomic bool done;
};

static void *remove_memory(void *opaque)
{
	struct removal *removal = opaque;

	assert_int_equal(viommu_memory_remove(removal->world->kit.memory, EXTRA, 4096), 1);
	removal->done = true;
	return NULL;
}

/* The unit is owned by another thread while memory goes: nobody waits for it, and it blocks the users before it is done. */
static void departed_memory_of_an_owned_unit(void **state)
{
	struct removal removal;
	struct world world;
	pthread_t thread;
	uint8_t *more;

	world_options(&world);
	world_create(&world);
	start_scalable(&world);
	more = plug_memory(&world);
	removal = (struct removal){ .world = &world };
	viommu_host_model_refuse(world.host, VIOMMU_HOST_UNMAP, 0, 1, -EIO);
	vtd_unit_enter(world.kit.unit);
	assert_int_equal(pthread_create(&thread, NULL, remove_memory, &removal), 0);
	pthread_join(thread, NULL);
	assert_true(removal.done);
	assert_int_equal(world.blocks, 0);
	vtd_unit_leave(world.kit.unit);
	assert_int_equal(world.blocks, 3);
	nothing_is_reached(&world);
	world_destroy(&world);
	free(more);
}

static void legacy_world(struct world *world, bool type1)
{
	world_options(world);
	world->options.scalable = world->options.first_stage = world->options.nested = false;
	world->options.pasid_bits = 0;
	world->options.page_request = world->options.rid_pasid = world->options.abort_mode = false;
	world->options.dirty_tracking = world->options.execute_request = false;
	world->options.supervisor_request = world->options.extended_accessed = false;
	world->options.memory_type = false;
	world->host_options.type1 = type1;
	world_create(world);
}

/* A shadow of a legacy guest, on both kinds of host. */
static void departed_memory_behind_a_shadow(void **state)
{
	for (int type1 = 0; type1 < 2; type1++) {
		uint8_t *more = pages(1);
		struct world world;
		uint64_t root;

		more[0] = 0x77;
		legacy_world(&world, type1);
		assert_int_equal(viommu_memory_add_hva(world.kit.memory, EXTRA, 4096, more, 0), 0);
		world.kit.ram[DATA_A] = 0xa;
		kit_start(&world.kit, TTM_LEGACY);
		root = kit_setup_legacy(&world.kit, KIT_RID, 4);
		kit_map_second(&world.kit, root, 4, 0x1000, 1, EXTRA | SS_R | SS_W);
		kit_map_second(&world.kit, root, 4, 0x5000, 1, DATA_A | SS_R | SS_W);
		assert_true(kit_flush_all(&world.kit));
		assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x1000), 0x77);
		viommu_host_model_refuse(world.host, VIOMMU_HOST_UNMAP, 0, type1 ? 1 : 2, -EIO);
		assert_int_equal(viommu_memory_remove(world.kit.memory, EXTRA, 4096), 1);
		assert_int_equal(world.blocks, 1);
		assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x1000), -EFAULT);
		assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x5000), -EFAULT);
		viommu_host_model_refuse(world.host, VIOMMU_HOST_UNMAP, 0, 0, 0);
		assert_true(kit_flush_all(&world.kit));
		assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x1000), -EFAULT);
		assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x5000), 0xa);
		world_destroy(&world);
		free(more);
	}
}

/* Type1 cannot detach: what it does not unmap stays on record, and is tried again; the count of mappings is right afterwards. */
static void type1_keeps_mappings(void **state)
{
	struct world world;
	uint64_t root;

	legacy_world(&world, true);
	world.kit.ram[DATA_A] = 0xa;
	kit_start(&world.kit, TTM_LEGACY);
	root = kit_setup_legacy(&world.kit, KIT_RID, 4);
	kit_map_second(&world.kit, root, 4, 0x1000, 1, DATA_A | SS_R | SS_W);
	kit_map_second(&world.kit, root, 4, 0x5000, 1, DATA_A | SS_R | SS_W);
	assert_true(kit_flush_all(&world.kit));
	assert_int_equal(world_statistics(&world).mappings, 2);
	viommu_host_model_refuse(world.host, VIOMMU_HOST_UNMAP, 0, UINT64_MAX, -EIO);
	kit_put(&world.kit, kit_context_legacy(&world.kit, KIT_RID), 0);
	assert_true(kit_flush_all(&world.kit));
	assert_int_equal(world_statistics(&world).stuck, 1);
	assert_true(world.lines > 0);
	viommu_host_model_refuse(world.host, VIOMMU_HOST_UNMAP, 0, 0, 0);
	assert_true(kit_flush_all(&world.kit));
	assert_int_equal(world_statistics(&world).stuck, 0);
	assert_int_equal(world_statistics(&world).mappings, 0);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x1000), -EFAULT);
	world_destroy(&world);
}

static void refused_flush_without_memory(struct world *world, unsigned int blocks)
{
	viommu_alloc_fail_nth(0);
	viommu_host_model_refuse(world->host, VIOMMU_HOST_INVALIDATE, 0, 2, -EIO);
	assert_true(kit_command(&world->kit, qi_piotlb(2, 7, 5), 0));
	assert_true(viommu_alloc_fail_nth(-1));
	assert_int_equal(world->blocks, blocks);
	assert_int_equal(world_read(world, 5, 0x1000), -EFAULT);
	assert_int_equal(viommu_host_model_tables(world->host), 0);
}

/* No memory to note a flush, and then the host refuses it: two users of one (DID, PASID), both blocked, chains intact. */
static void flush_without_memory(void **state)
{
	struct viommu_host_device *other;
	struct viommu_passthrough *second;
	struct world world;
	uint64_t root;

	world_options(&world);
	world_create(&world);
	start_scalable(&world);
	root = world_first(&world, DATA_A);
	world_bind(&world, 5, 7, PE_FIRST, root);
	assert_int_equal(world_read(&world, 5, 0x1000), 0xa);
	/* The first flush of all needs memory. Without it, the table is flushed whole. */
	kit_map_first(&world.kit, root, 4, 0x1000, 1, DATA_B | FS_P | FS_RW | FS_US);
	viommu_alloc_fail_nth(0);
	assert_true(kit_command(&world.kit, qi_piotlb(2, 7, 5), 0));
	assert_true(viommu_alloc_fail_nth(-1));
	assert_int_equal(world_read(&world, 5, 0x1000), 0xb);
	assert_int_equal(world.blocks, 0);
	refused_flush_without_memory(&world, 1);
	assert_int_equal(world_plug(&world, KIT_RID + 1, &other, &second), 0);
	assert_ptr_equal(viommu_passthrough_device(second), other);
	kit_set_pasid_entry(&world.kit, KIT_RID + 1, 5, PE_P | PE_FIRST, 7, root);
	assert_true(kit_command(&world.kit, qi_context(1, 0, 0, 0), 0));
	refused_flush_without_memory(&world, 3);
	assert_int_equal(viommu_host_model_attached(other, 5), 0);
	assert_true(kit_command(&world.kit, qi_context(1, 0, 0, 0), 0));
	assert_int_equal(world_read(&world, 5, 0x1000), 0xb);
	viommu_passthrough_destroy(second);
	viommu_host_device_close(other);
	world_destroy(&world);
}

/* Does the device reach `iova` on the host though the unit would fault? */
static bool host_exceeds_unit(struct world *world, uint32_t pasid, uint64_t iova)
{
	struct viommu_translation t = { 0 };
	bool unit = !viommu_translate_quiet(viommu_passthrough_endpoint(world->passthrough), pasid, iova,
					    VIOMMU_READ, &t);
	bool host = world_read(world, pasid, iova) >= 0;

	return host && !unit;
}

/* Flip every bit of an entry in turn: what the unit faults on, the host does not do. Returns how often the host stayed attached. */
static unsigned int flip_bits(struct world *world, uint64_t entry, unsigned int words, uint32_t pasid, uint64_t iova)
{
	unsigned int reached = 0;

	for (unsigned int bit = 0; bit < words * 64; bit++) {
		uint64_t at = entry + bit / 64 * 8, value = kit_get(&world->kit, at);

		kit_put(&world->kit, at, value ^ UINT64_C(1) << bit % 64);
		assert_true(kit_flush_all(&world->kit));
		if (host_exceeds_unit(world, pasid, iova))
			fail_msg("bit %u of the entry at %#llx: the unit faults, the host does not", bit,
				 (unsigned long long)entry);
		reached += world_read(world, pasid, iova) >= 0;
		kit_put(&world->kit, at, value);
		assert_true(kit_flush_all(&world->kit));
		assert_true(world_read(world, pasid, iova) >= 0);
	}
	return reached;
}

static void what_the_unit_faults_on(void **state)
{
	struct world world;
	unsigned int reached;

	world_options(&world);
	world.options.page_request = world.options.execute_request = false;
	world.options.rid_pasid = world.options.dirty_tracking = false;
	world_create(&world);
	start_scalable(&world);
	world_bind(&world, 5, 7, PE_FIRST, world_first(&world, DATA_A));
	world_bind(&world, 6, 7, PE_PASS, 0);
	reached = flip_bits(&world, kit_context_scalable(&world.kit, KIT_RID), 4, 5, 0x1000);
	assert_in_range(reached, 1, 255);
	reached = flip_bits(&world, kit_context_scalable(&world.kit, KIT_RID), 4, VIOMMU_NO_PASID, DATA_A);
	assert_in_range(reached, 1, 255);
	reached = flip_bits(&world, kit_pasid_entry(&world.kit, KIT_RID, 5), 8, 5, 0x1000);
	assert_in_range(reached, 1, 511);
	reached = flip_bits(&world, kit_pasid_entry(&world.kit, KIT_RID, 6), 8, 6, DATA_A);
	assert_in_range(reached, 1, 511);
	world_destroy(&world);
}

/* VT-d 9.4: without PASIDE no request with a PASID passes; requests without one do. */
static void pasids_disabled(void **state)
{
	struct world world;
	uint64_t ce;

	world_options(&world);
	world_create(&world);
	start_scalable(&world);
	world_bind(&world, 5, 7, PE_FIRST, world_first(&world, DATA_A));
	assert_int_equal(world_read(&world, 5, 0x1000), 0xa);
	ce = kit_context_scalable(&world.kit, KIT_RID);
	kit_put(&world.kit, ce, kit_get(&world.kit, ce) & ~(uint64_t)CE_PASIDE);
	assert_true(kit_flush_all(&world.kit));
	assert_int_equal(world_read(&world, 5, 0x1000), -EFAULT);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, DATA_A), 0xa);
	world_bind(&world, 6, 7, PE_FIRST, world_first(&world, DATA_A));
	assert_int_equal(world_read(&world, 6, 0x1000), -EFAULT);
	assert_int_equal(world_statistics(&world).bindings, 0);
	kit_put(&world.kit, ce, kit_get(&world.kit, ce) | CE_PASIDE);
	assert_true(kit_flush_all(&world.kit));
	assert_int_equal(world_read(&world, 5, 0x1000), 0xa);
	world_destroy(&world);
}

static void what_the_unit_faults_on_in_legacy_mode(void **state)
{
	struct world world;
	uint64_t ce, root;

	world_options(&world);
	world_create(&world);
	world.kit.ram[DATA_A] = 0xa;
	kit_start(&world.kit, TTM_LEGACY);
	root = kit_setup_legacy(&world.kit, KIT_RID, 4);
	kit_map_second(&world.kit, root, 4, DATA_A, 1, DATA_A | SS_R | SS_W);
	ce = kit_context_legacy(&world.kit, KIT_RID);
	assert_true(kit_flush_all(&world.kit));
	assert_in_range(flip_bits(&world, ce, 2, VIOMMU_NO_PASID, DATA_A), 1, 127);
	kit_put(&world.kit, ce, CE_P | CE_TT_PASS);
	assert_true(kit_flush_all(&world.kit));
	assert_in_range(flip_bits(&world, ce, 2, VIOMMU_NO_PASID, DATA_A), 1, 127);
	world_destroy(&world);
}

/* A shadow is flushed by a PASID-selective PASID-based descriptor, too (VT-d 6.5.2.4). */
static void shadow_flushed_by_pasid(void **state)
{
	struct world world;
	uint64_t root, entry;

	world_options(&world);
	world_create(&world);
	start_scalable(&world);
	root = kit_page(&world.kit);
	kit_map_second(&world.kit, root, 4, 0x1000, 1, DATA_A | SS_R | SS_W);
	entry = kit_pasid_entry(&world.kit, KIT_RID, 5);
	kit_put(&world.kit, entry + 8, 7);
	kit_put(&world.kit, entry, PE_P | PE_SECOND | 2 << PE_AW_SHIFT | root);
	assert_true(kit_command(&world.kit, qi_pasid_cache(1, 7, 5), 0));
	assert_int_equal(world_read(&world, 5, 0x1000), 0xa);
	kit_map_second(&world.kit, root, 4, 0x1000, 1, DATA_B | SS_R | SS_W);
	assert_true(kit_command(&world.kit, qi_piotlb(2, 8, 5), 0)); /* another domain's */
	assert_int_equal(world_read(&world, 5, 0x1000), 0xa);
	assert_true(kit_command(&world.kit, qi_piotlb(2, 7, 5), 0));
	assert_int_equal(world_read(&world, 5, 0x1000), 0xb);
	world_destroy(&world);
}

/* Structures larger than ours: an unknown tail must be zero. */
static void statistics_of_any_size(void **state)
{
	struct {
		struct viommu_passthrough_statistics known;
		uint64_t tail;
	} larger = { { .size = sizeof(larger) }, 0 };
	struct viommu_passthrough_statistics shorter = { .size = 16, .binds = 99 };
	struct world world;

	world_options(&world);
	world_create(&world);
	start_scalable(&world);
	assert_int_equal(viommu_passthrough_statistics(world.passthrough, &larger.known), 0);
	assert_int_equal(larger.known.size, sizeof(larger));
	assert_true(larger.known.binds > 0);
	larger.tail = 1;
	assert_int_equal(viommu_passthrough_statistics(world.passthrough, &larger.known), 0);
	assert_int_equal(larger.tail, 0);
	assert_int_equal(viommu_passthrough_statistics(world.passthrough, &shorter), 0);
	assert_int_equal(shorter.binds, 99);
	shorter.size = 3;
	assert_int_equal(viommu_passthrough_statistics(world.passthrough, &shorter), -EINVAL);
	world_destroy(&world);
}

/* The guest's mistakes are not put on the host: the operator reads which entry is wrong, and how. */
static void mistakes_are_named(void **state)
{
	static const struct {
		uint64_t ce0, pe0, pe1;
		const char *words, *code;
	} cases[] = {
		{ 0, 0, BIT(16), "PASID 5: the PASID entry has bits set that are reserved", "0x5a" },
		{ 0, BIT(5), 0, "PASID 5: the PASID entry has bits set that are reserved", "0x5a" },
		{ 0, 7 << 6, 0, "PASID 5: the PASID entry asks for what this unit does not offer", "0x5b" },
		{ BIT(6), 0, 0, "requests without PASID: the context entry has bits set that are reserved", "0x42" },
	};
	struct world world;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t context, entry;
		unsigned int lines;

		world_options(&world);
		world_create(&world);
		start_scalable(&world);
		world_bind(&world, 5, 7, PE_FIRST, world_first(&world, DATA_A));
		assert_int_equal(world_read(&world, 5, 0x1000), 0xa);
		assert_int_equal(world.lines, 0);
		context = kit_context_scalable(&world.kit, KIT_RID);
		entry = kit_pasid_entry(&world.kit, KIT_RID, 5);
		kit_put(&world.kit, context, kit_get(&world.kit, context) | cases[i].ce0);
		kit_put(&world.kit, entry, kit_get(&world.kit, entry) | cases[i].pe0);
		kit_put(&world.kit, entry + 8, kit_get(&world.kit, entry + 8) | cases[i].pe1);
		assert_true(kit_flush_all(&world.kit));
		assert_int_equal(world_read(&world, 5, 0x1000), -EFAULT);
		if (!strstr(world.line, cases[i].words) || !strstr(world.line, cases[i].code))
			fail_msg("case %zu: %s", i, world.line);
		assert_null(strstr(world.line, "host"));
		/* The host was not asked, and there is nothing for its statistics. */
		assert_int_equal(world_statistics(&world).refused, 0);
		assert_int_equal(world.blocks, 0);
		/* An entry that is taken away is no mistake. */
		lines = world.lines;
		kit_put(&world.kit, context, kit_get(&world.kit, context) & ~cases[i].ce0);
		kit_put(&world.kit, entry, 0);
		assert_true(kit_flush_all(&world.kit));
		assert_int_equal(world.lines, lines);
		world_destroy(&world);
	}
}

/* A host that attaches no PASID while plain requests are blocked: the line says what is wrong with those. */
static void refused_for_want_of_plain_requests(void **state)
{
	struct world world;
	uint64_t entry;

	world_options(&world);
	world_create(&world);
	start_scalable(&world);
	entry = kit_pasid_entry(&world.kit, KIT_RID, 0);
	kit_put(&world.kit, entry, 0);
	assert_true(kit_command(&world.kit, qi_pasid_cache(1, 1, 0), 0));
	viommu_host_model_refuse(world.host, VIOMMU_HOST_ATTACH, 0, UINT64_MAX, -EBUSY);
	world_bind(&world, 5, 7, PE_FIRST, world_first(&world, DATA_A));
	assert_non_null(strstr(world.line, "PASID 5: the host refuses to attach its tables while requests without "
					   "PASID have none: the PASID entry is not present"));
	assert_non_null(strstr(world.line, "Device or resource busy"));
	/* With them attached there is only the host to blame. */
	viommu_host_model_refuse(world.host, VIOMMU_HOST_ATTACH, 0, 0, 0);
	world_bind(&world, 0, 1, PE_PASS, 0);
	viommu_host_model_refuse(world.host, VIOMMU_HOST_ATTACH, 0, UINT64_MAX, -EBUSY);
	world_bind(&world, 6, 7, PE_FIRST, world_first(&world, DATA_A));
	assert_non_null(strstr(world.line, "PASID 6: the host refuses to attach its tables (Device"));
	viommu_host_model_refuse(world.host, VIOMMU_HOST_ATTACH, 0, 0, 0);
	world_destroy(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(departed_memory_blocks),
		cmocka_unit_test(departed_memory_returns),
		cmocka_unit_test(departed_memory_of_an_owned_unit),
		cmocka_unit_test(departed_memory_behind_a_shadow),
		cmocka_unit_test(type1_keeps_mappings),
		cmocka_unit_test(flush_without_memory),
		cmocka_unit_test(what_the_unit_faults_on),
		cmocka_unit_test(what_the_unit_faults_on_in_legacy_mode),
		cmocka_unit_test(pasids_disabled),
		cmocka_unit_test(shadow_flushed_by_pasid),
		cmocka_unit_test(statistics_of_any_size),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(refused_for_want_of_plain_requests),
	};

	return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
