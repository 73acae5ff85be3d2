/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Legacy mode: root and context entries, multi-level tables of three widths, pass-through, reasons
 * 1 to 0xe.
 */
#include "expect.h"

#define NONE VIOMMU_NO_PASID
#define RW   (SS_R | SS_W)

/* A unit of 57 bits with everything on, so that all three widths are there. */
static int setup(void **state)
{
	static struct kit kit;
	struct viommu_unit_options options;

	viommu_unit_options_init(&options);
	options.aw_bits = 57;
	kit_create(&kit, &options);
	kit_start(&kit, TTM_LEGACY);
	*state = &kit;
	return 0;
}

/* VT-d 9.3, 3.7: 3, 4 and 5 levels; leaves of 4 KiB, 2 MiB, 1 GiB. */
static void widths_and_sizes(void **state)
{
	struct kit *kit = *state;

	for (int levels = 3; levels <= 5; levels++) {
		uint64_t top = 1ull << (12 + 9 * levels);
		uint64_t root = kit_setup_legacy(kit, KIT_RID, levels);
		struct viommu_translation t;

		assert_true(kit_flush_all(kit));
		kit_map_second(kit, root, levels, 0x3000, 1, 0x5000 | RW);
		kit_map_second(kit, root, levels, top - 0x1000, 1, 0x6000 | RW);
		kit_map_second(kit, root, levels, 0x40000000, 3, 0x80000000 | RW);
		kit_map_second(kit, root, levels, 0x600000, 2, 0xa00000 | RW);
		expect_gpa(kit, NONE, 0x3fff, VIOMMU_READ, 0x5fff);
		expect_gpa(kit, NONE, top - 1, VIOMMU_WRITE, 0x6fff);
		expect_gpa(kit, NONE, 0x40000000 + 0x12345678, VIOMMU_READ,
			   0x80000000 + 0x12345678);
		expect_gpa(kit, NONE, 0x600000 + 0x12345, VIOMMU_ATOMIC, 0xa00000 + 0x12345);
		assert_int_equal(viommu_translate(kit->endpoint, NONE, 0x601000, VIOMMU_READ, &t),
				 0);
		assert_int_equal(t.length, 0x1ff000);
		/* VT-d 3.7: above the width the CE gives. */
		if (levels < 5)
			expect_fault(kit, NONE, top, VIOMMU_READ, 0x4);
	}
	/* VT-d 11.4.2 MGAW */
	expect_fault(kit, NONE, BIT(57), VIOMMU_READ, 0x4);
	expect_fault(kit, NONE, ~0xfffull, VIOMMU_WRITE, 0x4);
}

static void permissions(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_legacy(kit, KIT_RID, 4);

	kit_map_second(kit, root, 4, 0x1000, 1, 0x5000 | SS_R);
	kit_map_second(kit, root, 4, 0x2000, 1, 0x6000 | SS_W);
	kit_map_second(kit, root, 4, 0x3000, 1, 0);
	expect_gpa(kit, NONE, 0x1000, VIOMMU_READ, 0x5000);
	expect_gpa(kit, NONE, 0x2000, VIOMMU_WRITE, 0x6000);
	/* Twice: the second time the translation is cached and the fault must come all the same. */
	for (int i = 0; i < 2; i++) {
		expect_fault(kit, NONE, 0x1000, VIOMMU_WRITE, 0x5);
		expect_fault(kit, NONE, 0x1000, VIOMMU_ATOMIC, 0x5);
		expect_fault(kit, NONE, 0x2000, VIOMMU_READ, 0x6);
		expect_fault(kit, NONE, 0x3000, VIOMMU_READ, 0x6);
		expect_fault(kit, NONE, 0x3000, VIOMMU_WRITE, 0x5);
	}
	/* VT-d 3.7.1: permissions are the AND over the levels. */
	kit_put(kit, root, kit_get(kit, root) & ~SS_W);
	assert_true(kit_flush_all(kit));
	expect_fault(kit, NONE, 0x2000, VIOMMU_WRITE, 0x5);
	expect_gpa(kit, NONE, 0x1000, VIOMMU_READ, 0x5000);
}

/* VT-d 9.8 and 3.7: bits that must be zero, tables that are not there. */
static void table_faults(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_legacy(kit, KIT_RID, 4);
	uint64_t leaf = kit_map_second(kit, root, 4, 0x1000, 1, 0x5000 | RW);
	uint64_t big = kit_second_leaf(kit, root, 4, 0x200000, 2);
	uint64_t top = kit_get(kit, root);

	/* Bits 61:52 are ignored; SNP is for leaves only. */
	kit_put(kit, leaf, 0x5000 | RW | BIT(52) | SS_SNP);
	expect_gpa(kit, NONE, 0x1000, VIOMMU_READ, 0x5000);
	assert_true(kit_flush_all(kit));
	/* A 2 MiB leaf with address bits inside the page. */
	kit_put(kit, big, 0x401000 | RW | SS_PS);
	expect_fault(kit, NONE, 0x200000, VIOMMU_READ, 0xc);
	/* PS in the top entry. */
	kit_put(kit, root, top | SS_PS);
	expect_fault(kit, NONE, 0x1000, VIOMMU_READ, 0xc);
	/* No memory where the table should be. */
	kit_put(kit, root, (kit->ram_size + 0x10000) | RW);
	expect_fault(kit, NONE, 0x1000, VIOMMU_READ, 0x7);
	kit_put(kit, root, 0);
	expect_fault(kit, NONE, 0x1000, VIOMMU_READ, 0x6);
	kit_put(kit, kit_context_legacy(kit, KIT_RID), (kit->ram_size + 0x10000) | CE_P);
	assert_true(kit_flush_all(kit));
	expect_fault(kit, NONE, 0x1000, VIOMMU_READ, 0x3);
}

/* VT-d 3.4.2, 9.1, 9.3: each way a root or context entry can be wrong. */
static void root_and_context_faults(void **state)
{
	struct kit *kit = *state;
	uint64_t context;

	expect_fault(kit, NONE, 0x1000, VIOMMU_READ, 0x1);
	kit_put(kit, kit->root, (kit->ram_size + 0x10000) | 1);
	expect_fault(kit, NONE, 0x1000, VIOMMU_READ, 0x9);
	kit_put(kit, kit->root, 0);
	context = kit_context_legacy(kit, KIT_RID);
	expect_fault(kit, NONE, 0x1000, VIOMMU_READ, 0x2);
	for (int bit = 1; bit < 12; bit++) {
		kit_put(kit, kit->root, (context & ~0xfffull) | 1 | BIT(bit));
		expect_fault(kit, NONE, 0x1000, VIOMMU_READ, 0xa);
	}
	kit_put(kit, kit->root, (context & ~0xfffull) | 1);
	kit_put(kit, kit->root + 8, BIT(13));
	expect_fault(kit, NONE, 0x1000, VIOMMU_READ, 0xa);
	kit_put(kit, kit->root + 8, 0);

	kit_setup_legacy(kit, KIT_RID, 4);
	for (int bit = 4; bit < 12; bit++) {
		uint64_t good = kit_get(kit, context);

		kit_put(kit, context, good | BIT(bit));
		expect_fault(kit, NONE, 0x1000, VIOMMU_READ, 0xb);
		kit_put(kit, context, good);
	}
	for (int bit = 24; bit < 64; bit++) {
		uint64_t good = kit_get(kit, context + 8);

		kit_put(kit, context + 8, good | BIT(bit));
		expect_fault(kit, NONE, 0x1000, VIOMMU_READ, 0xb);
		kit_put(kit, context + 8, good);
	}
	/* Widths there are not: 2 levels, and 6. */
	for (uint64_t aw = 0; aw < 8; aw++) {
		if (aw >= 1 && aw <= 3)
			continue;
		kit_put(kit, context + 8, (uint64_t)KIT_DID << 8 | aw);
		expect_fault(kit, NONE, 0x1000, VIOMMU_READ, 0x3);
	}
	kit_put(kit, context + 8, (uint64_t)KIT_DID << 8 | 2);
	kit_put(kit, context, kit_get(kit, context) | 3 << CE_TT_SHIFT);
	expect_fault(kit, NONE, 0x1000, VIOMMU_READ, 0x3);
}

static void root_table_gone(void **state)
{
	struct kit *kit = *state;

	kit_set_root(kit, (kit->ram_size + 0x10000) | TTM_LEGACY);
	expect_fault(kit, NONE, 0x1000, VIOMMU_READ, 0x8);
}

/* VT-d 3.9: TT 10b. */
static void pass_through(void **state)
{
	struct kit *kit = *state;
	uint64_t context = kit_context_legacy(kit, KIT_RID);

	kit_put(kit, context + 8, (uint64_t)KIT_DID << 8 | 2);
	kit_put(kit, context, CE_P | CE_TT_PASS);
	expect_gpa(kit, NONE, 0x123456, VIOMMU_WRITE, 0x123456);
	expect_gpa(kit, NONE, 0x123456, VIOMMU_READ, 0x123456);
	expect_fault(kit, NONE, BIT(52), VIOMMU_READ, 0x4);
}

static void pass_through_must_be_supported(void **state)
{
	struct viommu_unit_options options;
	struct kit kit;

	viommu_unit_options_init(&options);
	options.pass_through = false;
	kit_create(&kit, &options);
	kit_start(&kit, TTM_LEGACY);
	kit_put(&kit, kit_context_legacy(&kit, KIT_RID) + 8, 2);
	kit_put(&kit, kit_context_legacy(&kit, KIT_RID), CE_P | CE_TT_PASS);
	expect_fault(&kit, NONE, 0x1000, VIOMMU_READ, 0x3);
	kit_destroy(&kit);
}

/* Widths the unit lacks are not accepted in a CE (VT-d 11.4.2 SAGAW). */
static void width_must_be_supported(void **state)
{
	struct viommu_unit_options options;
	struct kit kit;

	viommu_unit_options_init(&options);
	kit_create(&kit, &options);
	kit_start(&kit, TTM_LEGACY);
	kit_setup_legacy(&kit, KIT_RID, 5);
	expect_fault(&kit, NONE, 0x1000, VIOMMU_READ, 0x3);
	kit_destroy(&kit);
}

/* VT-d 3.14: the interrupt range cannot be reached, neither as an address nor through a table. */
static void interrupt_range(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_legacy(kit, KIT_RID, 4);

	kit_map_second(kit, root, 4, 0x1000, 1, 0xfee00000 | RW);
	expect_fault(kit, NONE, 0x1000, VIOMMU_WRITE, 0xe);
}

/* Requests with a PASID need scalable mode (VT-d 3.4). */
static void pasid_in_legacy_mode(void **state)
{
	struct kit *kit = *state;

	kit_setup_legacy(kit, KIT_RID, 4);
	expect_fault(kit, 5, 0x1000, VIOMMU_READ, 0x31);
}

/* VT-d 9.3 FPD: no record, the request is blocked all the same. */
static void fault_processing_disable(void **state)
{
	struct kit *kit = *state;
	uint64_t context;
	struct viommu_translation t;

	kit_setup_legacy(kit, KIT_RID, 4);
	context = kit_context_legacy(kit, KIT_RID);
	kit_put(kit, context, kit_get(kit, context) | CE_FPD);
	assert_int_equal(viommu_translate(kit->endpoint, NONE, 0x1000, VIOMMU_READ, &t),
			 VIOMMU_FAULT);
	assert_int_equal(t.fault.reason, 0x6);
	assert_false(t.fault.recorded);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
	/* FPD counts also in an entry that is not present. */
	kit_put(kit, context, CE_FPD);
	assert_true(kit_flush_all(kit));
	assert_int_equal(viommu_translate(kit->endpoint, NONE, 0x1000, VIOMMU_READ, &t),
			 VIOMMU_FAULT);
	assert_int_equal(t.fault.reason, 0x2);
	assert_false(t.fault.recorded);
}

/* VT-d 3.4.1, 11.4.2 ZLR: a zero-length read of a write-only page goes through. */
static void zero_length_read(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_legacy(kit, KIT_RID, 4);
	struct viommu_fault fault;
	size_t done = 9;

	kit_map_second(kit, root, 4, 0x2000, 1, 0x6000 | SS_W);
	assert_int_equal(
		viommu_dma_read(kit->endpoint, NONE, 0x2000, NULL, 0, VIOMMU_READ, &done, &fault),
		0);
	assert_int_equal(done, 0);
	assert_int_equal(
		viommu_dma_read(kit->endpoint, NONE, 0x9000, NULL, 0, VIOMMU_READ, &done, &fault),
		VIOMMU_FAULT);
	assert_int_equal(fault.reason, 0x6);
}

/* Two requesters on two buses, each with its own tables and domain. */
static void requesters_are_apart(void **state)
{
	struct kit *kit = *state;
	struct viommu_endpoint *other = kit_endpoint(kit, 0x05ff);
	uint64_t root = kit_setup_legacy(kit, KIT_RID, 4);
	uint64_t root2 = kit_setup_legacy(kit, 0x05ff, 3);
	struct viommu_translation t;

	kit_put(kit, kit_context_legacy(kit, 0x05ff) + 8, 8 << 8 | 1);
	kit_map_second(kit, root, 4, 0x1000, 1, 0x5000 | RW);
	kit_map_second(kit, root2, 3, 0x1000, 1, 0x6000 | RW);
	expect_gpa(kit, NONE, 0x1000, VIOMMU_READ, 0x5000);
	assert_int_equal(viommu_translate(other, NONE, 0x1000, VIOMMU_READ, &t), 0);
	assert_int_equal(t.gpa, 0x6000);
	viommu_endpoint_destroy(other);
}

#define legacy_test(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		legacy_test(widths_and_sizes),
		legacy_test(permissions),
		legacy_test(table_faults),
		legacy_test(root_and_context_faults),
		legacy_test(root_table_gone),
		legacy_test(pass_through),
		cmocka_unit_test(pass_through_must_be_supported),
		cmocka_unit_test(width_must_be_supported),
		legacy_test(interrupt_range),
		legacy_test(pasid_in_legacy_mode),
		legacy_test(fault_processing_disable),
		legacy_test(zero_length_read),
		legacy_test(requesters_are_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
