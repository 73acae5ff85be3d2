/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Corners: interrupt addresses, read-only memory and holes, fields whose capability is absent,
 * commands in the wrong mode, large and odd transfers.
 */
#include <errno.h>
#include <stdlib.h>

#include "expect.h"

#define NONE VIOMMU_NO_PASID
#define URW  (FS_P | FS_RW | FS_US)
#define SRW  (SS_R | SS_W)
#define ROM  (1ull << 30)

/* VT-d 3.14: a write without PASID to the interrupt range is a message, not DMA; a read is wrong.
 */
static void interrupt_range_without_pasid(void **state)
{
	struct kit *kit = *state;
	struct viommu_translation t;
	uint64_t root;

	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, 0, 4);
	kit_set_pasid_entry(kit, KIT_RID, 5, PE_P | PE_FIRST, KIT_DID | PE1_PWSNP, root);
	kit_map_first(kit, root, 4, 0xfee00000, 2, 0x1000000 | URW);
	assert_int_equal(viommu_translate(kit->endpoint, NONE, 0xfee12344, VIOMMU_WRITE, &t), 0);
	assert_int_equal(t.gpa, 0xfee12344);
	assert_null(t.hva);
	assert_true(t.granted & VIOMMU_WRITE);
	assert_true(t.length <= 0x1000);
	expect_fault(kit, NONE, 0xfee12344, VIOMMU_READ, 0x87);
	expect_fault(kit, NONE, 0xfee12348, VIOMMU_ATOMIC, 0x87);
	/* With a PASID it is an address like any other. */
	expect_gpa(kit, 5, 0xfee12344, VIOMMU_READ, 0x1012344);
	/* Its neighbours in the same leaf are, too, also when they were there first. */
	expect_gpa(kit, NONE, 0xfef00000, VIOMMU_READ, 0x1100000);
	expect_fault(kit, NONE, 0xfeefffff, VIOMMU_READ, 0x87);
}

static void interrupt_range_in_legacy_mode(void **state)
{
	struct kit *kit = *state;
	struct viommu_translation t;

	kit_start(kit, TTM_LEGACY);
	kit_setup_legacy(kit, KIT_RID, 4);
	assert_int_equal(viommu_translate(kit->endpoint, NONE, 0xfee00000, VIOMMU_WRITE, &t), 0);
	assert_int_equal(t.gpa, 0xfee00000);
	expect_fault(kit, NONE, 0xfee00000, VIOMMU_READ, 0xe);
}

/* A large identity leaf that holds the interrupt range never gives it to a device (3.14). */
static void interrupt_range_inside_a_leaf(void **state)
{
	struct kit *kit = *state;
	uint64_t root;

	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_second(kit, 5, 4);
	kit_map_second(kit, root, 4, 0xc0000000, 3, 0xc0000000 | SRW);
	expect_gpa(kit, 5, 0xfedff000, VIOMMU_WRITE, 0xfedff000);
	expect_gpa(kit, 5, 0xfef00000, VIOMMU_WRITE, 0xfef00000);
	expect_fault(kit, 5, 0xfee00000, VIOMMU_WRITE, 0x87);
	expect_fault(kit, 5, 0xfeeff000, VIOMMU_READ, 0x87);
}

/* Tables may allow what memory does not: no pointer to write through, and -EIO for the copy. */
static void read_only_memory(void **state)
{
	struct kit *kit = *state;
	uint8_t *rom = aligned_alloc(4096, 8192), byte = 0xaa;
	struct viommu_translation t;
	uint64_t root, old;
	size_t done;

	memset(rom, 0x55, 8192);
	assert_int_equal(
		viommu_memory_add_hva(kit->memory, ROM, 8192, rom, VIOMMU_SEGMENT_READONLY), 0);
	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, 1, 4);
	kit_map_first(kit, root, 4, 0x1000, 1, ROM | URW);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(viommu_translate(kit->endpoint, 1, 0x1000, VIOMMU_WRITE, &t), 0);
		assert_null(t.hva);
		assert_true(t.granted & VIOMMU_WRITE);
		assert_int_equal(viommu_translate(kit->endpoint, 1, 0x1000, VIOMMU_READ, &t), 0);
		assert_ptr_equal(t.hva, rom);
	}
	assert_int_equal(viommu_dma_write(kit->endpoint, 1, 0x1000, &byte, 1, 0, &done, NULL),
			 -EIO);
	assert_int_equal(done, 0);
	assert_int_equal(
		viommu_dma_atomic(kit->endpoint, 1, 0x1000, VIOMMU_SWAP, 8, 1, 0, &old, NULL),
		-EIO);
	assert_int_equal(rom[0], 0x55);
	assert_int_equal(viommu_dma_read(kit->endpoint, 1, 0x1000, &byte, 1, 0, &done, NULL), 0);
	assert_int_equal(byte, 0x55);
	/* A device TLB hears that it may read only. */
	assert_int_equal(viommu_ats_translate(kit->endpoint, 1, 0x1000, VIOMMU_WRITE, &t), 0);
	assert_int_equal(t.granted & VIOMMU_WRITE, 0);
	assert_int_equal(viommu_memory_remove(kit->memory, ROM, 8192), 1);
	free(rom);
}

/* A leaf that points where nothing is: translated, but no memory. */
static void nothing_there(void **state)
{
	struct kit *kit = *state;
	struct viommu_translation t;
	uint8_t byte = 0;
	uint64_t root;
	size_t done;

	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, 1, 4);
	kit_map_first(kit, root, 4, 0x1000, 1, 0x7000000000 | URW);
	kit_setup_first(kit, 0, 4);
	expect_gpa(kit, 1, 0x1000, VIOMMU_READ, 0x7000000000);
	assert_int_equal(viommu_dma_read(kit->endpoint, 1, 0x1000, &byte, 1, 0, &done, NULL), -EIO);
	assert_int_equal(viommu_translated_request(kit->endpoint, 0x7000000123, VIOMMU_READ, &t),
			 0);
	assert_null(t.hva);
	assert_int_equal(t.length, 0x1000 - 0x123);
}

static void expect_context_fault(const char *option, const char *also, uint64_t bits,
				 unsigned int reason)
{
	struct viommu_unit_options options;
	struct kit kit;
	char message[200];

	viommu_unit_options_init(&options);
	assert_int_equal(viommu_unit_options_set(&options, option,
						 strcmp(option, "pasid-bits") ? "off" : "0",
						 message, sizeof(message)),
			 0);
	if (also)
		viommu_unit_options_set(&options, also, "off", message, sizeof(message));
	kit_create(&kit, &options);
	kit_start(&kit, TTM_SCALABLE);
	kit_setup_first(&kit, 0, 4);
	kit_put(&kit, kit_context_scalable(&kit, KIT_RID),
		(kit_get(&kit, kit_context_scalable(&kit, KIT_RID)) &
		 ~(uint64_t)(CE_DTE | CE_PRE | CE_PASIDE)) |
			bits);
	expect_fault(&kit, NONE, 0x1000, VIOMMU_READ, reason);
	kit_destroy(&kit);
}

/* VT-d 9.4: a field whose capability is absent is reserved. */
static void context_fields_without_capability(void **state)
{
	expect_context_fault("device-iotlb", "page-request", CE_DTE, 0x42);
	expect_context_fault("page-request", NULL, CE_DTE | CE_PRE, 0x42);
	expect_context_fault("pasid-bits", "page-request", CE_PASIDE, 0x42);
}

/* VT-d 9.3: translation types that need a capability. */
static void translation_type_without_capability(void **state)
{
	struct viommu_unit_options options;
	uint64_t entry;
	struct kit kit;

	viommu_unit_options_init(&options);
	options.device_iotlb = options.page_request = options.pass_through = false;
	kit_create(&kit, &options);
	kit_start(&kit, TTM_LEGACY);
	kit_setup_legacy(&kit, KIT_RID, 4);
	entry = kit_context_legacy(&kit, KIT_RID);
	kit_put(&kit, entry, (kit_get(&kit, entry) & ~12ull) | CE_TT_DEVICE_TLB);
	expect_fault(&kit, NONE, 0x1000, VIOMMU_READ, 0x3);
	kit_put(&kit, entry, (kit_get(&kit, entry) & ~12ull) | CE_TT_PASS);
	expect_fault(&kit, NONE, 0x1000, VIOMMU_READ, 0x3);
	kit_destroy(&kit);
}

/* IAIG or CAIG after a command: what was done; the busy bit is clear. */
static unsigned int granularity_done(struct kit *kit, uint64_t offset, unsigned int shift)
{
	uint64_t value = kit_read(kit, offset, 8);

	assert_int_equal(value >> 63, 0);
	return value >> shift & 3;
}

/* VT-d 6.5.1, 11.4.6.1, 11.4.6.3: register-based invalidation is for legacy mode; elsewhere nothing is done. */
static void register_commands_by_mode(void **state)
{
	static const uint64_t modes[] = { TTM_LEGACY, TTM_SCALABLE, TTM_RESERVED, TTM_ABORT };
	struct kit *kit = *state;

	kit_start(kit, TTM_SCALABLE);
	for (int mode = 0; mode < 4; mode++) {
		kit_set_root(kit, kit->root | modes[mode]);
		for (unsigned int g = 0; g < 4; g++) {
			unsigned int wanted = mode ? 0 : g;

			kit_write(kit, REG_CCMD, 8, BIT(63) | (uint64_t)g << 61);
			assert_int_equal(granularity_done(kit, REG_CCMD, 59), wanted);
			kit_write(kit, 0x508, 8, BIT(63) | (uint64_t)g << 60);
			assert_int_equal(granularity_done(kit, 0x508, 57), wanted);
		}
	}
	kit_set_root(kit, kit->root | TTM_LEGACY);
	/* VT-d 11.4.6.3 IAIG: address masks up to MAMV. */
	for (unsigned int am = 0; am < 64; am++) {
		kit_write(kit, 0x500, 8, am);
		kit_write(kit, 0x508, 8, BIT(63) | 3ull << 60);
		assert_int_equal(granularity_done(kit, 0x508, 57),
				 am <= (kit->cap >> 48 & 0x3f) ? 3 : 0);
	}
	/* The low half alone starts nothing. */
	kit_write(kit, REG_CCMD, 4, 0x1234);
	kit_write(kit, 0x508, 4, 0x1234);
	assert_int_equal(kit_read(kit, REG_CCMD, 4), 0x1234);
}

/* VT-d 11.4.4 TE: with translation off nothing but plain requests passes, and no fault is logged.
 */
static void requests_while_off(void **state)
{
	struct kit *kit = *state;
	struct viommu_translation t;

	expect_gpa(kit, NONE, 0x5000, VIOMMU_WRITE, 0x5000);
	expect_gpa(kit, NONE, 0xfee00000, VIOMMU_READ, 0xfee00000);
	assert_int_equal(viommu_translate(kit->endpoint, 1, 0x5000, VIOMMU_READ, &t), VIOMMU_FAULT);
	assert_false(t.fault.recorded);
	assert_int_equal(viommu_ats_translate(kit->endpoint, NONE, 0x5000, VIOMMU_READ, &t),
			 VIOMMU_FAULT);
	assert_false(t.fault.recorded);
	assert_int_equal(viommu_translated_request(kit->endpoint, 0x5000, VIOMMU_READ, &t),
			 VIOMMU_FAULT);
	assert_false(t.fault.recorded);
	assert_int_equal(viommu_page_request(kit->endpoint, NONE, 0x5000, VIOMMU_READ, 1, true),
			 -EOPNOTSUPP);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
	viommu_endpoint_set_features(kit->endpoint, VIOMMU_ENDPOINT_PASID);
	kit_start(kit, TTM_SCALABLE);
	assert_int_equal(viommu_ats_translate(kit->endpoint, NONE, 0x5000, VIOMMU_READ, &t),
			 VIOMMU_FAULT);
	assert_int_equal(viommu_page_request(kit->endpoint, NONE, 0x5000, VIOMMU_READ, 1, true),
			 -EOPNOTSUPP);
}

static void arguments(void **state)
{
	struct kit *kit = *state;
	struct viommu_endpoint *e = kit->endpoint;
	struct viommu_translation t;
	uint32_t word = 0;
	uint64_t old;
	size_t done = 9;

	assert_int_equal(viommu_translate(e, 1, 0, 0, &t), -EINVAL);
	assert_int_equal(viommu_translate(e, 1, 0, VIOMMU_READ | VIOMMU_WRITE, &t), -EINVAL);
	assert_int_equal(viommu_translate(e, 1, 0, 64, &t), -EINVAL);
	assert_int_equal(viommu_translate(e, 1 << 20, 0, VIOMMU_READ, &t), -EINVAL);
	assert_int_equal(viommu_ats_translate(e, 1, 0, 0, &t), -EINVAL);
	assert_int_equal(viommu_translated_request(e, 0, VIOMMU_PRIVILEGED, &t), -EINVAL);
	assert_int_equal(viommu_dma_read(e, NONE, 0, &word, 4, VIOMMU_WRITE, &done, NULL), -EINVAL);
	assert_int_equal(done, 0);
	assert_int_equal(viommu_dma_read(e, NONE, 0, &word, 4, 1u << 9, &done, NULL), -EINVAL);
	assert_int_equal(viommu_dma_write(e, NONE, 0, &word, 4, VIOMMU_READ, NULL, NULL), -EINVAL);
	assert_int_equal(viommu_dma_write(e, 1 << 20, 0, &word, 4, 0, NULL, NULL), -EINVAL);
	assert_int_equal(viommu_dma_atomic(e, NONE, 4, VIOMMU_SWAP, 8, 0, 0, &old, NULL), -EINVAL);
	assert_int_equal(viommu_dma_atomic(e, NONE, 0, VIOMMU_SWAP, 2, 0, 0, &old, NULL), -EINVAL);
	assert_int_equal(viommu_dma_atomic(e, NONE, 0, 3, 8, 0, 0, &old, NULL), -EINVAL);
	assert_int_equal(viommu_page_request(e, NONE, 0, 0, 1, false), -EINVAL);
	assert_int_equal(viommu_page_request(e, NONE, 0, VIOMMU_READ, 512, false), -EINVAL);
}

/* PCIe 6.15: all operations, both widths. */
static void atomics(void **state)
{
	struct kit *kit = *state;
	struct viommu_endpoint *e = kit->endpoint;
	struct viommu_fault fault = { 0 };
	uint64_t old;

	kit_put(kit, 0x5000, 0xffffffff00000005);
	assert_int_equal(
		viommu_dma_atomic(e, NONE, 0x5000, VIOMMU_FETCH_ADD, 4, ~0ull, 0, &old, NULL), 0);
	assert_int_equal(old, 5);
	assert_int_equal(kit_get(kit, 0x5000), 0xffffffff00000004);
	assert_int_equal(viommu_dma_atomic(e, NONE, 0x5000, VIOMMU_SWAP, 4, 7, 0, &old, NULL), 0);
	assert_int_equal(old, 4);
	assert_int_equal(
		viommu_dma_atomic(e, NONE, 0x5000, VIOMMU_COMPARE_SWAP, 4, 8, 6, &old, NULL), 0);
	assert_int_equal(old, 7);
	assert_int_equal(kit_get(kit, 0x5000), 0xffffffff00000007);
	assert_int_equal(viommu_dma_atomic(e, NONE, 0x5000, VIOMMU_FETCH_ADD, 8, 1, 0, &old, NULL),
			 0);
	assert_int_equal(old, 0xffffffff00000007);
	assert_int_equal(viommu_dma_atomic(e, NONE, 0x5000, VIOMMU_SWAP, 8, 9, 0, &old, NULL), 0);
	assert_int_equal(old, 0xffffffff00000008);
	assert_int_equal(
		viommu_dma_atomic(e, NONE, 0x5000, VIOMMU_COMPARE_SWAP, 8, 1, 9, &old, NULL), 0);
	assert_int_equal(old, 9);
	assert_int_equal(kit_get(kit, 0x5000), 1);
	kit_start(kit, TTM_SCALABLE);
	kit_setup_first(kit, 1, 4);
	assert_int_equal(viommu_dma_atomic(e, 1, 0x5000, VIOMMU_SWAP, 8, 2, 0, &old, &fault),
			 VIOMMU_FAULT);
	assert_int_equal(fault.reason, 0x71);
	assert_int_equal(kit_get(kit, 0x5000), 1);
}

/* More than one piece per leaf, an end in the middle of one, dirty pages noted. */
static void long_transfer(void **state)
{
	struct kit *kit = *state;
	size_t length = 3 * 1024 * 1024 + 77, done;
	uint8_t *data = malloc(length), *back = malloc(length);
	struct viommu_fault fault = { 0 };
	uint64_t root, dirty[64] = { 0 };

	for (size_t i = 0; i < length; i++)
		data[i] = (uint8_t)(i * 7 + (i >> 12));
	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, 1, 4);
	kit_map_first(kit, root, 4, 0x40000000, 2, 0x400000 | URW);
	kit_map_first(kit, root, 4, 0x40200000, 2, 0x600000 | URW);
	assert_int_equal(viommu_memory_dirty_start(kit->memory, 12), 0);
	assert_int_equal(
		viommu_dma_write(kit->endpoint, 1, 0x40000123, data, length, 0, &done, NULL), 0);
	assert_int_equal(done, length);
	assert_int_equal(viommu_memory_dirty_query(kit->memory, 0x400000, 0x400000, dirty, false),
			 0);
	assert_int_equal(dirty[0], ~0ull);
	assert_int_equal(dirty[11], ~0ull);
	assert_int_equal(dirty[12], 1);
	assert_int_equal(viommu_memory_dirty_stop(kit->memory), 0);
	assert_int_equal(
		viommu_dma_read(kit->endpoint, 1, 0x40000123, back, length, 0, &done, NULL), 0);
	assert_memory_equal(data, back, length);
	assert_int_equal(
		viommu_dma_read(kit->endpoint, 1, 0x403fff00, back, 0x200, 0, &done, &fault),
		VIOMMU_FAULT);
	assert_int_equal(done, 0x100);
	assert_int_equal(fault.iova, 0x40400000);
	free(data);
	free(back);
}

static uint64_t table_reads(struct kit *kit)
{
	struct viommu_statistics s = { .size = sizeof(s) };

	assert_int_equal(viommu_unit_statistics(kit->unit, &s), 0);
	return s.table_reads;
}

/*
 * VT-d 6.2.1: a walk may begin where an earlier one came by, until the next invalidation; what is
 * refused is refused by the tables as they are.
 */
static void walks_begin_where_one_ended(void **state)
{
	struct kit *kit = *state;
	uint64_t root, second, before, upper;

	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, 1, 4);
	for (int i = 0; i < 4; i++)
		kit_map_first(kit, root, 4, 0x40000000 + i * 0x1000, 1,
			      (0x500000 + i * 0x1000) | URW);
	expect_gpa(kit, 1, 0x40000000, VIOMMU_READ, 0x500000);
	before = table_reads(kit);
	expect_gpa(kit, 1, 0x40001000, VIOMMU_WRITE, 0x501000);
	assert_int_equal(table_reads(kit) - before, 1);
	assert_int_equal(kit_get(kit, kit_first_leaf(kit, root, 4, 0x40001000, 1)) & (FS_A | FS_D),
			 FS_A | FS_D);
	before = table_reads(kit);
	assert_true(kit_command(kit, qi_iotlb(2, 0x4000), 0));
	expect_gpa(kit, 1, 0x40002000, VIOMMU_READ, 0x502000);
	assert_int_equal(table_reads(kit) - before, 4);
	/* A page that came to be, below a table that was replaced without a word: found. */
	upper = kit_first_leaf(kit, root, 4, 0x40000000, 2);
	kit_put(kit, upper, kit_page(kit) | URW);
	kit_map_first(kit, root, 4, 0x40005000, 1, 0x505000 | URW);
	expect_gpa(kit, 1, 0x40005000, VIOMMU_READ, 0x505000);
	/* Nested: only the page itself goes through the second stage again. */
	root = kit_setup_nested(kit, 2, 4, 4, &second);
	kit_map_second(kit, second, 4, 0, 3, SRW);
	for (int i = 0; i < 2; i++)
		kit_map_first(kit, root, 4, 0x40000000 + i * 0x1000, 1,
			      (0x500000 + i * 0x1000) | URW | FS_A);
	expect_gpa(kit, 2, 0x40000000, VIOMMU_READ, 0x500000);
	before = table_reads(kit);
	expect_gpa(kit, 2, 0x40001000, VIOMMU_READ, 0x501000);
	assert_int_equal(table_reads(kit) - before, 3);
}

#define corner(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		corner(interrupt_range_without_pasid),
		corner(interrupt_range_in_legacy_mode),
		corner(interrupt_range_inside_a_leaf),
		corner(read_only_memory),
		corner(nothing_there),
		cmocka_unit_test(context_fields_without_capability),
		cmocka_unit_test(translation_type_without_capability),
		corner(register_commands_by_mode),
		corner(requests_while_off),
		corner(arguments),
		corner(atomics),
		corner(long_transfer),
		corner(walks_begin_where_one_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
