/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tracking devices that are passed through, on the model of the host: {scalable, legacy} x {iommufd, type1} x {translated,
 * pass-through}. Dirt is found at its GPA wherever the guest's tables put it, whatever the guest unmaps, drops or switches while tracking
 * is on.
 */
#include <viommu/migration.h>

#include "../passthrough/world.h"
#include "migration/internal.h"

enum { DATA_A = 0x100000, DATA_B = 0x200000, IOVA = 0x40000000, PAGES = KIT_RAM / 4096 };

struct variant {
	bool scalable;
	bool type1;
};

static const struct variant variants[] = {
	{ true, false }, { true, true }, { false, false }, { false, true },
};

static struct world world;
/* Legacy VFIO calls every page dirty that a device can reach, whether it was written or not. */
static bool exact;
static struct viommu_tracker *tracker;
static uint64_t bitmap[PAGES / 64];
static uint64_t root;

static void begin_tracking(void)
{
	struct viommu_device_info info = {
		.size = sizeof(info), .name = "dsa0", .migratable = true, .drainable = true,
	};
	enum viommu_tracking method;
	uint32_t index;
	char text[512];

	assert_int_equal(viommu_tracker_create(world.kit.memory, &tracker), 0);
	assert_int_equal(viommu_tracker_add_passthrough(tracker, world.passthrough, &info, &index), 0);
	assert_int_equal(viommu_tracker_method(tracker, index, &method, text, sizeof(text)), 0);
	assert_int_equal(method, VIOMMU_TRACKING_IOMMU);
	assert_int_equal(viommu_tracker_blockers(tracker, text, sizeof(text)), 0);
	assert_int_equal(viommu_tracker_start(tracker), 0);
}

static void end(void)
{
	viommu_tracker_destroy(tracker);
	world_destroy(&world);
}

/* Collect; tables and queue of the guest are written by the unit, which counts too: only look where asked. */
static bool dirty(uint64_t gpa)
{
	uint64_t page = gpa / 4096;

	return bitmap[page / 64] >> page % 64 & 1;
}

/* Not written: where the host knows it exactly, it says so. */
static bool clean(uint64_t gpa)
{
	return !exact || !dirty(gpa);
}

static void collect(void)
{
	memset(bitmap, 0, sizeof(bitmap));
	assert_int_equal(viommu_tracker_query(tracker, 0, KIT_RAM, bitmap), 0);
}

static void second_stage_world(const struct variant *variant)
{
	world_options(&world);
	exact = true;
	world.options.first_stage = false;
	world.options.nested = false;
	world.options.scalable = variant->scalable;
	world.options.pasid_bits = variant->scalable ? 20 : 0;
	world.options.page_request = false;
	world.options.rid_pasid = variant->scalable;
	world.options.abort_mode = variant->scalable;
	world.options.dirty_tracking = variant->scalable;
	world.options.execute_request = false;
	world.options.supervisor_request = false;
	world.options.extended_accessed = false;
	world.host_options.type1 = variant->type1;
	exact = !variant->type1;
	world_create(&world);
}

static void translate(const struct variant *variant)
{
	kit_start(&world.kit, variant->scalable ? TTM_SCALABLE : TTM_LEGACY);
	root = variant->scalable ? kit_setup_second(&world.kit, 0, 4) :
				   kit_setup_legacy(&world.kit, KIT_RID, 4);
	assert_true(kit_flush_all(&world.kit));
}

static void map(uint64_t iova, uint64_t gpa, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		kit_map_second(&world.kit, root, 4, iova + i * 4096, 1,
			       gpa ? (gpa + i * 4096) | SS_R | SS_W : 0);
	assert_true(kit_command(&world.kit, qi_iotlb(2, KIT_DID), 0));
}

static void translated(const struct variant *variant)
{
	second_stage_world(variant);
	translate(variant);
	map(IOVA, DATA_A, 4);
	begin_tracking();
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA + 0x1000, 1), 0);
	collect();
	assert_true(dirty(DATA_A + 0x1000) && clean(DATA_A) && clean(DATA_B));
	collect();
	assert_true(clean(DATA_A + 0x1000));

	/* A part of memory: what lies outside is not lost. */
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA + 0x2000, 1), 0);
	memset(bitmap, 0, sizeof(bitmap));
	assert_int_equal(viommu_tracker_query(tracker, 0, DATA_A & ~0x3ffff, bitmap), 0);
	collect();
	assert_true(dirty(DATA_A + 0x2000));

	/* The guest unmaps what was written: the page is dirty all the same. */
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA, 2), 0);
	map(IOVA, 0, 4);
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA, 3), -EFAULT);
	collect();
	assert_true(dirty(DATA_A));

	/* And maps elsewhere. */
	map(IOVA, DATA_B, 1024);
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA + 1000 * 4096, 4), 0);
	collect();
	assert_true(dirty(DATA_B + 1000 * 4096) && clean(DATA_B) && clean(DATA_A));
	/* A large one, which the device may write to until it is gone: marked as a whole. */
	map(IOVA, 0, 1024);
	collect();
	assert_true(dirty(DATA_B + 7 * 4096) && dirty(DATA_B + 8 * 4096));
	/* The domain is dropped, and with it the mapping, when nothing is attached any more: asked about. */
	map(IOVA, DATA_B, 1024);
	collect();
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA + 7 * 4096, 4), 0);
	kit_disable(&world.kit);
	collect();
	assert_true(dirty(DATA_B + 7 * 4096) && clean(DATA_B + 8 * 4096));
	end();
}

/* Remapping off: DMA to all of memory. On, while tracking: the whole identity space goes, with its dirt recorded. */
static void switched(const struct variant *variant)
{
	second_stage_world(variant);
	begin_tracking();
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, DATA_A, 1), 0);
	collect();
	assert_true(dirty(DATA_A) && clean(DATA_B));
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, DATA_B, 1), 0);
	translate(variant);
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, DATA_B, 1), -EFAULT);
	collect();
	assert_true(dirty(DATA_B));
	/* The shadow space was made while tracking: it tracks. */
	map(IOVA, DATA_A, 1);
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA, 1), 0);
	collect();
	assert_true(dirty(DATA_A) && clean(DATA_B));
	/* And back: the domain is dropped whole. */
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA, 1), 0);
	kit_disable(&world.kit);
	collect();
	assert_true(dirty(DATA_A));
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, DATA_B, 1), 0);
	collect();
	assert_true(dirty(DATA_B) && clean(DATA_A));
	end();
}

static void every_variant_translated(void **state)
{
	for (unsigned int i = 0; i < 4; i++)
		translated(&variants[i]);
}

static void every_variant_switched(void **state)
{
	for (unsigned int i = 0; i < 4; i++)
		switched(&variants[i]);
}

/* Nested: the guest's own tables; dirt is the parent's, at GPAs, and unmaps change nothing on the host. */
static void nested(void **state)
{
	uint64_t first;

	world_options(&world);
	exact = true;
	world_create(&world);
	kit_start(&world.kit, TTM_SCALABLE);
	first = world_first(&world, DATA_A);
	world_bind(&world, 5, KIT_DID, PE_FIRST, first);
	begin_tracking();
	assert_int_equal(world_write(&world, 5, 0x1000, 1), 0);
	collect();
	assert_true(dirty(DATA_A) && clean(DATA_B));
	collect();
	assert_true(clean(DATA_A));
	/* Another PASID, bound while tracking. */
	world_bind(&world, 6, KIT_DID, PE_FIRST, world_first(&world, DATA_B));
	assert_int_equal(world_write(&world, 6, 0x1000, 1), 0);
	assert_int_equal(world_write(&world, 5, 0x1000, 1), 0);
	world_unbind(&world, 5, KIT_DID);
	collect();
	assert_true(dirty(DATA_A) && dirty(DATA_B));
	end();
}

/* Guest memory that is taken away while tracking (hot-unplug): what was written to it is known. */
static void memory_goes(void **state)
{
	static uint8_t more[1 << 20] __attribute__((aligned(4096)));
	uint64_t at = UINT64_C(1) << 30, word = 0;

	second_stage_world(&variants[2]);
	assert_int_equal(viommu_memory_add_hva(world.kit.memory, at, sizeof(more), more, 0), 0);
	begin_tracking();
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, at + 0x3000, 1), 0);
	assert_int_equal(viommu_tracker_query(tracker, at, 64 * 4096, &word), 0);
	assert_int_equal(word, 1u << 3);
	assert_int_equal(viommu_memory_remove(world.kit.memory, at, sizeof(more)), 1);
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, at, 1), -EFAULT);
	collect();
	end();
}

static void failures(void **state)
{
	second_stage_world(&variants[2]);
	translate(&variants[2]);
	map(IOVA, DATA_A, 1024);
	begin_tracking();
	/* The periodic query fails: it is told, and nothing is lost. */
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA, 1), 0);
	viommu_host_model_refuse(world.host, VIOMMU_HOST_DIRTY_QUERY, 0, 1, -EINTR);
	memset(bitmap, 0, sizeof(bitmap));
	assert_int_equal(viommu_tracker_query(tracker, 0, KIT_RAM, bitmap), -EINTR);
	collect();
	assert_true(dirty(DATA_A));
	/* It fails half-way: what was found is not the caller's only, who may have thrown it away. */
	map(IOVA + (UINT64_C(8) << 20), DATA_B + (UINT64_C(8) << 20), 4);
	collect();
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA + 0x5000, 1), 0);
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA + (UINT64_C(8) << 20) + 0x1000, 1), 0);
	viommu_host_model_refuse(world.host, VIOMMU_HOST_DIRTY_QUERY, 1, 1, -EINTR);
	assert_int_equal(viommu_tracker_query(tracker, 0, KIT_RAM, bitmap), -EINTR);
	collect();
	assert_true(dirty(DATA_A + 0x5000) && dirty(DATA_B + (UINT64_C(8) << 20) + 0x1000) && clean(DATA_A + 0x6000));
	/* The query before an unmap fails: the mapping goes, the migration fails. */
	viommu_host_model_refuse(world.host, VIOMMU_HOST_DIRTY_QUERY, 0, 1, -EFAULT);
	kit_disable(&world.kit);
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA, 1), -EFAULT);
	assert_int_equal(viommu_tracker_query(tracker, 0, KIT_RAM, bitmap), -EIO);
	/* Starting fails: nothing is on. */
	viommu_tracker_stop(tracker);
	viommu_host_model_refuse(world.host, VIOMMU_HOST_DIRTY_SET, 0, 1, -ENODEV);
	assert_int_equal(viommu_tracker_start(tracker), -ENODEV);
	assert_false(viommu_memory_dirty_active(world.kit.memory));
	assert_int_equal(viommu_tracker_start(tracker), 0);
	collect();
	end();
}

/* Unplugged in the middle of a migration, once quiet: what it wrote is known, and the other device goes on being tracked. */
static void a_device_leaves(void **state)
{
	struct viommu_host_model_device options = { .size = sizeof(options) };
	struct viommu_device_info info = {
		.size = sizeof(info), .name = "dsa1", .migratable = true, .drainable = true,
	};
	struct viommu_passthrough *second;
	struct viommu_host_device *device;
	uint32_t index;
	char text[256];

	/* The tracker's way to the mappings may be through the one that goes, or through the other. */
	for (unsigned int order = 0; order < 2; order++) {
		struct viommu_passthrough *both[2];

		second_stage_world(&variants[2]);
		assert_int_equal(viommu_host_device_open_model(world.host, &options, &device), 0);
		assert_int_equal(viommu_passthrough_create(world.kit.unit, 0x11, device, NULL, NULL, NULL, &second,
							   text, sizeof(text)), 0);
		assert_int_equal(viommu_tracker_create(world.kit.memory, &tracker), 0);
		both[order] = world.passthrough;
		both[!order] = second;
		for (unsigned int i = 0; i < 2; i++)
			assert_int_equal(viommu_tracker_add_passthrough(tracker, both[i], &info, &index), 0);
		assert_int_equal(viommu_tracker_start(tracker), 0);
		assert_int_equal(world_write(&world, VIOMMU_NO_PASID, DATA_B, 1), 0);
		assert_int_equal(viommu_tracker_remove_device(tracker, order), 0);
		assert_int_equal(viommu_tracker_remove_device(tracker, order), -ENOENT);
		viommu_passthrough_destroy(world.passthrough);
		world.passthrough = NULL;
		assert_int_equal(viommu_host_model_dma(device, VIOMMU_NO_PASID, DATA_A, &index, 4, true), 0);
		assert_int_equal(viommu_tracker_remove_device(tracker, !order), 0);
		viommu_passthrough_destroy(second);
		viommu_host_device_close(device);
		collect();
		assert_true(dirty(DATA_A) && dirty(DATA_B) && clean(DATA_B + 0x1000));
		viommu_host_device_close(world.device);
		world.device = NULL;
		end();
	}
}

/* The order is what keeps the pages: asked after the unmap, each kind of host has forgotten them. */
static void without_the_order_pages_are_lost(void **state)
{
	for (unsigned int i = 0; i < 4; i++) {
		for (unsigned int disordered = 0; disordered < 2; disordered++) {
			second_stage_world(&variants[i]);
			exact = true;
			translate(&variants[i]);
			map(IOVA, DATA_B, 1024);
			begin_tracking();
			collect();
			tracker->disordered = disordered;
			assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA + 7 * 4096, 4), 0);
			/* Legacy VFIO asks when a large mapping goes, iommufd when it goes with its domain. */
			if (variants[i].type1)
				map(IOVA, 0, 1024);
			else
				kit_disable(&world.kit);
			memset(bitmap, 0, sizeof(bitmap));
			viommu_tracker_query(tracker, 0, KIT_RAM, bitmap);
			assert_int_equal(dirty(DATA_B + 7 * 4096), !disordered);
			end();
		}
	}
}

/*
 * A unit with devices of both kinds of host, in one domain: each is asked in its own way, whichever came first. Legacy VFIO answers for
 * whole mappings only, and unmaps and answers in one step; iommufd does not.
 */
static void both_kinds_of_host(void **state)
{
	const uint64_t big = UINT64_C(8) << 20;
	uint32_t index;
	char text[256];

	for (unsigned int order = 0; order < 4; order++) {
		struct viommu_host_model_options options = { .size = sizeof(options), .type1 = !(order & 1) };
		struct viommu_host_model_device device_options = { .size = sizeof(device_options) };
		struct viommu_device_info info = {
			.size = sizeof(info), .name = "device", .migratable = true, .drainable = true,
		};
		struct viommu_passthrough *second, *both[2];
		struct viommu_host_device *device;
		struct viommu_host *host;
		uint64_t roots[2];

		second_stage_world(&variants[order & 1 ? 3 : 2]);
		exact = false;
		assert_int_equal(viommu_host_open_model(&options, &host), 0);
		assert_int_equal(viommu_host_device_open_model(host, &device_options, &device), 0);
		assert_int_equal(viommu_passthrough_create(world.kit.unit, 0x18, device, NULL, NULL, NULL, &second,
							   text, sizeof(text)), 0);
		translate(&variants[2]);
		/* The second device's own table, in the same domain. */
		roots[0] = root;
		roots[1] = kit_setup_legacy(&world.kit, 0x18, 4);
		assert_true(kit_flush_all(&world.kit));
		for (unsigned int i = 0; i < 2; i++) {
			root = roots[i];
			map(IOVA, DATA_A + i * 0x10000, 4);
			map(IOVA + big, big * (i + 1), 1024);
		}
		assert_int_equal(viommu_tracker_create(world.kit.memory, &tracker), 0);
		both[order >> 1] = world.passthrough;
		both[!(order >> 1)] = second;
		for (unsigned int i = 0; i < 2; i++)
			assert_int_equal(viommu_tracker_add_passthrough(tracker, both[i], &info, &index), 0);
		assert_int_equal(viommu_tracker_start(tracker), 0);
		index = 1;
		assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA + 0x1000, 1), 0);
		assert_int_equal(viommu_host_model_dma(device, VIOMMU_NO_PASID, IOVA + 0x2000, &index, 4, true), 0);
		/* A part of memory only. */
		memset(bitmap, 0, sizeof(bitmap));
		assert_int_equal(viommu_tracker_query(tracker, 0, big + (1 << 20), bitmap), 0);
		assert_true(dirty(DATA_A + 0x1000) && dirty(DATA_A + 0x12000));
		collect();
		/* Small and large mappings go, and are gone for both. */
		for (unsigned int i = 0; i < 2; i++) {
			root = roots[i];
			map(IOVA, 0, 4);
			map(IOVA + big, 0, 1024);
		}
		assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA, 1), -EFAULT);
		assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA + big, 1), -EFAULT);
		assert_int_equal(viommu_host_model_dma(device, VIOMMU_NO_PASID, IOVA, &index, 4, true), -EFAULT);
		assert_int_equal(viommu_host_model_dma(device, VIOMMU_NO_PASID, IOVA + big, &index, 4, true), -EFAULT);
		collect();
		assert_true(dirty(DATA_A) && dirty(DATA_A + 0x10000) && dirty(big) && dirty(2 * big));
		/* Domains go, with large mappings in them. */
		for (unsigned int i = 0; i < 2; i++) {
			root = roots[i];
			map(IOVA + big, big * (i + 1), 1024);
		}
		collect();
		assert_int_equal(world_write(&world, VIOMMU_NO_PASID, IOVA + big + 0x3000, 1), 0);
		assert_int_equal(viommu_host_model_dma(device, VIOMMU_NO_PASID, IOVA + big + 0x4000, &index, 4, true), 0);
		kit_disable(&world.kit);
		collect();
		assert_true(dirty(big + 0x3000) && dirty(2 * big + 0x4000));
		/* One leaves while tracking is on, the other stays. */
		assert_int_equal(viommu_tracker_remove_device(tracker, order & 1), 0);
		collect();
		viommu_tracker_destroy(tracker);
		tracker = NULL;
		viommu_passthrough_destroy(second);
		viommu_host_device_close(device);
		viommu_host_close(host);
		world_destroy(&world);
	}
}

static void a_host_that_cannot_track_blocks(void **state)
{
	struct viommu_device_info info = {
		.size = sizeof(info), .name = "nic0", .migratable = true, .drainable = true,
	};
	uint32_t index;
	char text[512];

	world_options(&world);
	exact = true;
	world.host_options.no_dirty = true;
	world_create(&world);
	assert_int_equal(viommu_tracker_create(world.kit.memory, &tracker), 0);
	assert_int_equal(viommu_tracker_add_passthrough(tracker, world.passthrough, &info, &index), 0);
	assert_int_equal(viommu_tracker_blockers(tracker, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "device nic0: its writes cannot be tracked"));
	assert_int_equal(viommu_tracker_start(tracker), -EOPNOTSUPP);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_variant_translated),
		cmocka_unit_test(every_variant_switched),
		cmocka_unit_test(nested),
		cmocka_unit_test(memory_goes),
		cmocka_unit_test(failures),
		cmocka_unit_test(a_device_leaves),
		cmocka_unit_test(without_the_order_pages_are_lost),
		cmocka_unit_test(both_kinds_of_host),
		cmocka_unit_test(a_host_that_cannot_track_blocks),
	};

	return cmocka_run_group_tests_name("tracking passed-through devices", tests, NULL, NULL);
}
