/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shadow mappings: legacy and second-stage guests, on both kinds of host; kept in step by invalidations, large runs merged, bounded
 * against tables made to hurt; and the hook that sees every removal.
 */
#include <sys/mman.h>

#include "world.h"

enum { DATA_A = 0x100000, DATA_B = 0x200000 };

/* Second stages in legacy mode (the default here) or scalable, host iommufd-like or type1. */
struct variant {
	bool scalable;
	bool type1;
};

static uint64_t root;

static void make(struct world *world, const struct variant *variant)
{
	world_options(world);
	world->options.first_stage = false;
	world->options.nested = false;
	world->options.scalable = variant->scalable;
	world->options.pasid_bits = variant->scalable ? 20 : 0;
	world->options.page_request = false;
	world->options.rid_pasid = variant->scalable;
	world->options.abort_mode = variant->scalable;
	world->options.dirty_tracking = variant->scalable;
	world->options.execute_request = false;
	world->options.supervisor_request = false;
	world->options.extended_accessed = false;
	world->options.memory_type = false;
	if (variant->type1)
		world->host_options.type1 = true;
	world_create(world);
	world->kit.ram[DATA_A] = 0xa;
	world->kit.ram[DATA_B] = 0xb;
}

static void start(struct world *world, const struct variant *variant)
{
	kit_start(&world->kit, variant->scalable ? TTM_SCALABLE : TTM_LEGACY);
	root = variant->scalable ? kit_setup_second(&world->kit, 0, 4)
				 : kit_setup_legacy(&world->kit, KIT_RID, 4);
	assert_true(kit_flush_all(&world->kit));
}

static void map(struct world *world, uint64_t iova, uint64_t gpa, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		kit_map_second(&world->kit, root, 4, iova + i * 4096, 1, (gpa + i * 4096) | SS_R | SS_W);
}

static void unmap(struct world *world, uint64_t iova, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		kit_map_second(&world->kit, root, 4, iova + i * 4096, 1, 0);
}

static bool flush(struct world *world, uint64_t iova, unsigned int order)
{
	return kit_command(&world->kit, qi_iotlb(3, KIT_DID), iova | order);
}

static void in_step(const struct variant *variant)
{
	struct world world;
	uint64_t maps;

	make(&world, variant);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, DATA_A), 0xa); /* remapping is off */
	start(&world, variant);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, DATA_A), -EFAULT);
	map(&world, 0x40000000, DATA_A, 1);
	assert_true(flush(&world, 0x40000000, 0));
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40000000), 0xa);
	map(&world, 0x40000000, DATA_B, 1);
	assert_true(flush(&world, 0x40000000, 0));
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40000000), 0xb);
	/* Nothing changed: no host call, neither for a page nor for everything. */
	maps = world_calls(&world, VIOMMU_HOST_MAP) + world_calls(&world, VIOMMU_HOST_UNMAP);
	assert_true(flush(&world, 0x40000000, 0));
	assert_true(kit_flush_all(&world.kit));
	assert_int_equal(world_calls(&world, VIOMMU_HOST_MAP) + world_calls(&world, VIOMMU_HOST_UNMAP), maps);
	unmap(&world, 0x40000000, 1);
	assert_true(flush(&world, 0x40000000, 0));
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40000000), -EFAULT);
	/* Read-only pages. */
	kit_map_second(&world.kit, root, 4, 0x40001000, 1, DATA_A | SS_R);
	assert_true(flush(&world, 0x40001000, 0));
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40001000), 0xa);
	assert_int_equal(world_write(&world, VIOMMU_NO_PASID, 0x40001000, 1), -EFAULT);
	/* Everything unmapped, and the whole domain flushed: a window without a single run. */
	unmap(&world, 0x40001000, 1);
	assert_true(kit_command(&world.kit, qi_iotlb(2, KIT_DID), 0));
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40001000), -EFAULT);
	assert_int_equal(world_statistics(&world).mappings, 0);
	map(&world, 0x40001000, DATA_A, 1);
	assert_true(kit_command(&world.kit, qi_iotlb(1, 0), 0));
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40001000), 0xa);
	/* Remapping off again: all of memory, and no mapping stays. */
	kit_disable(&world.kit);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, DATA_B), 0xb);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40001000), -EFAULT);
	assert_int_equal(world.lines, 0);
	world_destroy(&world);
}

static void merged(const struct variant *variant)
{
	struct world world;
	uint64_t maps, unmaps;

	make(&world, variant);
	start(&world, variant);
	maps = world_calls(&world, VIOMMU_HOST_MAP);
	/* 512 small pages in a row, and a large one right behind: one call. */
	map(&world, 0x40000000, 0x400000, 512);
	kit_map_second(&world.kit, root, 4, 0x40200000, 2, 0x600000 | SS_R | SS_W);
	assert_true(kit_command(&world.kit, qi_iotlb(2, KIT_DID), 0));
	assert_int_equal(world_calls(&world, VIOMMU_HOST_MAP), maps + 1);
	assert_int_equal(world_statistics(&world).mappings, 1);
	/* A page out of the middle: the run goes and comes back in two. */
	unmaps = world_calls(&world, VIOMMU_HOST_UNMAP);
	unmap(&world, 0x40010000, 1);
	assert_true(flush(&world, 0x40010000, 0));
	assert_int_equal(world_calls(&world, VIOMMU_HOST_UNMAP), unmaps + 1);
	assert_int_equal(world_statistics(&world).mappings, 2);
	world.kit.ram[0x400000] = 0x11;
	world.kit.ram[0x411000] = 0x22;
	world.kit.ram[0x7ff000] = 0x33;
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40000000), 0x11);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40010000), -EFAULT);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40011000), 0x22);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x403ff000), 0x33);
	/* A whole domain dropped: no storm of unmaps. */
	unmaps = world_calls(&world, VIOMMU_HOST_UNMAP);
	kit_put(&world.kit, variant->scalable ? kit_pasid_entry(&world.kit, KIT_RID, 0)
					      : kit_context_legacy(&world.kit, KIT_RID), 0);
	assert_true(kit_flush_all(&world.kit));
	assert_true(world_calls(&world, VIOMMU_HOST_UNMAP) <= unmaps + 2);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40000000), -EFAULT);
	world_destroy(&world);
}

/* Random tables against a byte of DMA per page: whatever is flushed is in step. */
static void random_tables(const struct variant *variant)
{
	enum { PAGES = 256 };
	const uint64_t base = 0xfee00000 - 16 * 4096ull; /* across the interrupt range */
	uint64_t entries[PAGES] = { 0 };
	struct world world;

	make(&world, variant);
	start(&world, variant);
	srand(11);
	for (unsigned int page = 0; page < 64; page++)
		world.kit.ram[DATA_A + page * 4096] = (uint8_t)(page + 1);
	for (unsigned int round = 0; round < 300; round++) {
		unsigned int order = (unsigned int)rand() % 7;
		unsigned int at = (unsigned int)rand() % PAGES & ~((1u << order) - 1);
		unsigned int target = (unsigned int)rand() % 64;
		unsigned int kind = (unsigned int)rand() % 4;

		for (unsigned int i = at; i < at + (1u << order) && i < PAGES; i++) {
			entries[i] = (DATA_A + (target + i - at) % 64 * 4096) | SS_R | SS_W;
			if (kind == 1)
				entries[i] &= ~SS_W;
			if (kind == 2)
				entries[i] = 0;
			if (kind == 3 && i & 1)
				entries[i] = 0;
			kit_map_second(&world.kit, root, 4, base + i * 4096ull, 1, entries[i]);
		}
		if (rand() % 8)
			assert_true(flush(&world, base + at * 4096ull, order));
		else
			assert_true(kit_command(&world.kit, qi_iotlb(2, KIT_DID), 0));
		for (unsigned int i = 0; i < PAGES; i++) {
			uint64_t iova = base + i * 4096ull;
			bool mapped = entries[i] && !(iova >= 0xfee00000 && iova <= 0xfeefffff);
			int want = mapped ? (int)((entries[i] - DATA_A) / 4096 + 1) : -EFAULT;
			int got = world_read(&world, VIOMMU_NO_PASID, iova);

			if (got != want)
				fail_msg("round %u page %u: %d, wanted %d", round, i, got, want);
		}
	}
	world_destroy(&world);
}

/* A few pages that describe 2^36 leaves, and one that describes itself: bounded, blocked, said. */
static void hostile(const struct variant *variant)
{
	struct world world;
	uint64_t self;

	make(&world, variant);
	start(&world, variant);
	self = kit_page(&world.kit);
	for (unsigned int i = 0; i < 512; i++) {
		kit_put(&world.kit, self + i * 8, self | SS_R | SS_W);
		kit_put(&world.kit, root + i * 8, self | SS_R | SS_W);
	}
	assert_true(kit_command(&world.kit, qi_iotlb(2, KIT_DID), 0));
	assert_true(world.lines >= 1);
	assert_non_null(strstr(world.line, "domain 7"));
	assert_true(world_statistics(&world).mappings <= 65535);
	world_destroy(&world);
}

/* The host's limit on mappings: what does not fit faults, what was there stays right. */
static void too_many(void **state)
{
	static const struct variant variant = { 0 };
	struct world world;

	world_options(&world);
	world.options.first_stage = world.options.nested = world.options.scalable = false;
	world.options.page_request = world.options.rid_pasid = world.options.abort_mode = false;
	world.options.dirty_tracking = world.options.execute_request = false;
	world.options.supervisor_request = world.options.extended_accessed = world.options.memory_type = false;
	world.options.pasid_bits = 0;
	world.passthrough_options.max_mappings = 4;
	world_create(&world);
	start(&world, &variant);
	world.kit.ram[DATA_A] = 0xa;
	for (unsigned int i = 0; i < 8; i++)
		map(&world, 0x40000000 + i * 8192, DATA_A, 1);
	assert_true(kit_command(&world.kit, qi_iotlb(2, KIT_DID), 0));
	assert_int_equal(world_statistics(&world).mappings, 4);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40006000), 0xa);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40008000), -EFAULT);
	assert_non_null(strstr(world.line, "max-mappings 4"));
	unmap(&world, 0x40000000, 1);
	assert_true(flush(&world, 0x40000000, 0));
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40000000), -EFAULT);
	world_destroy(&world);
}

/* An unmap the host refuses must not leave the page reachable. */
static void refused_unmap(void **state)
{
	static const struct variant variant = { 0 };
	struct world world;

	make(&world, &variant);
	start(&world, &variant);
	map(&world, 0x40000000, DATA_A, 1);
	assert_true(flush(&world, 0x40000000, 0));
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40000000), 0xa);
	viommu_host_model_refuse(world.host, VIOMMU_HOST_UNMAP, 0, 1, -EIO);
	unmap(&world, 0x40000000, 1);
	assert_true(flush(&world, 0x40000000, 0));
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40000000), -EFAULT);
	assert_int_equal(world.blocks, 1);
	assert_int_equal(viommu_host_model_attachments(world.device), 0);
	world_destroy(&world);
}

/* Two segments side by side in every respect, one run of the guest's: each goes by itself. */
static void neighbours(const struct variant *variant)
{
	const uint64_t gpa = 1ull << 32;
	uint8_t *more = pages(2);
	struct world world;

	make(&world, variant);
	start(&world, variant);
	more[0] = 0x11;
	more[4096] = 0x22;
	assert_int_equal(viommu_memory_add_hva(world.kit.memory, gpa, 4096, more, 0), 0);
	assert_int_equal(viommu_memory_add_hva(world.kit.memory, gpa + 4096, 4096, more + 4096, 0), 0);
	map(&world, 0x40000000, gpa, 2);
	assert_true(flush(&world, 0x40000000, 1));
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40000000), 0x11);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40001000), 0x22);
	assert_int_equal(viommu_memory_remove(world.kit.memory, gpa + 4096, 4096), 1);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40000000), 0x11);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, 0x40001000), -EFAULT);
	world_destroy(&world);
	free(more);
}

struct hook_log {
	struct world *world;
	struct viommu_passthrough_space *shadow;
	struct viommu_host_space *host[8];
	struct viommu_passthrough_space *space[8];
	unsigned int spaces, gone, unmaps, visited;
	uint64_t iova[16], gpa[16], length[16];
};

static int on_created(void *opaque, struct viommu_passthrough_space *space,
		      const struct viommu_passthrough_space_info *info)
{
	struct hook_log *log = opaque;

	log->space[log->spaces] = space;
	log->host[log->spaces++] = info->host;
	if (!info->identity)
		log->shadow = space;
	return 0;
}

static void on_gone(void *opaque, struct viommu_passthrough_space *space)
{
	((struct hook_log *)opaque)->gone++;
}

static int on_unmap(void *opaque, struct viommu_passthrough_space *space, uint64_t iova, uint64_t length,
		    uint64_t gpa, bool writable)
{
	struct hook_log *log = opaque;

	assert_true(writable);
	/* The mapping is still there: its dirt can be asked for. */
	if (gpa == DATA_A && length == 4096)
		assert_int_equal(world_read(log->world, VIOMMU_NO_PASID, iova), 0xa);
	if (log->unmaps < 16) {
		log->iova[log->unmaps] = iova;
		log->gpa[log->unmaps] = gpa;
		log->length[log->unmaps] = length;
	}
	log->unmaps++;
	for (unsigned int i = 0; i < log->spaces; i++) {
		if (log->space[i] == space)
			return viommu_host_unmap(log->host[i], iova, length);
	}
	return -ENOENT;
}

static int on_visit(void *opaque, uint64_t iova, uint64_t length, uint64_t gpa, bool writable)
{
	((struct hook_log *)opaque)->visited++;
	return 0;
}

static void hook(const struct variant *variant)
{
	static const struct viommu_passthrough_hook hook_ops = { sizeof(hook_ops), on_created, on_gone, on_unmap };
	uint8_t *more = pages(1);
	struct hook_log log = { 0 };
	struct world world;

	make(&world, variant);
	log.world = &world;
	start(&world, variant);
	map(&world, 0x40000000, DATA_A, 1);
	map(&world, 0x50000000, DATA_B, 2);
	assert_true(kit_command(&world.kit, qi_iotlb(2, KIT_DID), 0));
	assert_int_equal(viommu_passthrough_set_hook(world.passthrough, &hook_ops, &log), 0);
	assert_int_equal(viommu_passthrough_set_hook(world.passthrough, &hook_ops, &log), -EBUSY);
	assert_int_equal(log.spaces, variant->type1 ? 1 : 2);
	assert_non_null(log.shadow);
	viommu_passthrough_each_mapping(log.shadow, on_visit, &log);
	assert_int_equal(log.visited, 2);
	unmap(&world, 0x40000000, 1);
	assert_true(flush(&world, 0x40000000, 0));
	assert_int_equal(log.unmaps, 1);
	assert_int_equal(log.iova[0], 0x40000000);
	assert_int_equal(log.gpa[0], DATA_A);
	/* Guest memory that goes: identity where it is mapped so. */
	if (!variant->type1) {
		assert_int_equal(viommu_memory_add_hva(world.kit.memory, 1ull << 32, 0x1000, more, 0), 0);
		assert_int_equal(viommu_memory_remove(world.kit.memory, 1ull << 32, 0x1000), 1);
		assert_int_equal(log.unmaps, 2);
		assert_int_equal(log.iova[1], 1ull << 32);
		assert_int_equal(log.gpa[1], 1ull << 32);
	}
	/* A domain that is dropped: one call per live mapping, with its GPA. */
	kit_put(&world.kit, variant->scalable ? kit_pasid_entry(&world.kit, KIT_RID, 0)
					      : kit_context_legacy(&world.kit, KIT_RID), 0);
	log.unmaps = 0;
	assert_true(kit_flush_all(&world.kit));
	assert_int_equal(log.unmaps, 1);
	assert_int_equal(log.iova[0], 0x50000000);
	assert_int_equal(log.gpa[0], DATA_B);
	assert_int_equal(log.length[0], 0x2000);
	assert_int_equal(log.gone, variant->type1 ? 0 : 1);
	assert_int_equal(viommu_passthrough_set_hook(world.passthrough, NULL, NULL), 0);
	world_destroy(&world);
	free(more);
}

/* Second stages for PASIDs, beside a RID that passes through (scalable, iommufd). */
static void pasid_shadow(void **state)
{
	static const struct variant variant = { .scalable = true };
	struct world world;

	make(&world, &variant);
	kit_start(&world.kit, TTM_SCALABLE);
	world_bind(&world, 0, 1, PE_PASS, 0);
	root = kit_page(&world.kit);
	map(&world, 0x40000000, DATA_A, 1);
	world_bind(&world, 9, KIT_DID, root | PE_SECOND | 2 << PE_AW_SHIFT, 0);
	assert_int_equal(world_read(&world, 9, 0x40000000), 0xa);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, DATA_B), 0xb);
	map(&world, 0x40000000, DATA_B, 1);
	assert_true(flush(&world, 0x40000000, 0));
	assert_int_equal(world_read(&world, 9, 0x40000000), 0xb);
	world_unbind(&world, 9, KIT_DID);
	assert_int_equal(world_read(&world, 9, 0x40000000), -EFAULT);
	world_destroy(&world);
}

#define FOR_ALL(name)                                                                          \
	static void name##_all(void **state)                                                   \
	{                                                                                      \
		for (unsigned int i = 0; i < 4; i++)                                           \
			name(&(struct variant){ .scalable = i & 1, .type1 = i & 2 });          \
	}
FOR_ALL(in_step)
FOR_ALL(merged)
FOR_ALL(random_tables)
FOR_ALL(hostile)
FOR_ALL(hook)
FOR_ALL(neighbours)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_step_all), cmocka_unit_test(merged_all),
		cmocka_unit_test(random_tables_all), cmocka_unit_test(hostile_all),
		cmocka_unit_test(too_many), cmocka_unit_test(refused_unmap),
		cmocka_unit_test(hook_all), cmocka_unit_test(pasid_shadow),
		cmocka_unit_test(neighbours_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
