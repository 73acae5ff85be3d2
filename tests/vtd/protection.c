/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Protected memory regions (VT-d 11.4.8): what PMEN and the four registers take, and that no DMA
 * reaches a region, whichever way it is translated and whatever was cached before, while the unit's
 * own tables may lie in one.
 */
#include <errno.h>

#include "expect.h"

#define URW   (FS_P | FS_RW | FS_US)
#define EPM   BIT(31)
#define PRS   1
#define MIB   (1ull << 20)
#define LOW   (4 * MIB) /* the low region of these tests: [4 MiB, 6 MiB) */
#define PASID 3

static int setup(void **state)
{
	static struct kit kit;
	struct viommu_unit_options options;

	viommu_unit_options_init(&options);
	options.protected_memory = true;
	kit_create(&kit, &options);
	*state = &kit;
	return 0;
}

#define protection_test(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)

static void protect(struct kit *kit)
{
	kit_write(kit, REG_PLMBASE, 4, LOW);
	kit_write(kit, REG_PLMLIMIT, 4, LOW);
	/* No high region. */
	kit_write(kit, REG_PHMBASE, 8, 2 * MIB);
	kit_write(kit, REG_PHMLIMIT, 8, 0);
	kit_write(kit, REG_PMEN, 4, EPM);
}

/* Blocked, and not a word of it to the guest. */
static void expect_blocked(struct kit *kit, uint32_t pasid, uint64_t iova, uint32_t access)
{
	struct viommu_translation t;

	assert_int_equal(viommu_translate(kit->endpoint, pasid, iova, access, &t), VIOMMU_FAULT);
	assert_int_equal(t.fault.reason, VIOMMU_REASON_PROTECTED);
	assert_int_equal(t.fault.iova, iova);
	assert_false(t.fault.recorded);
	assert_null(t.hva);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
}

/* VT-d 11.4.8.1 to 11.4.8.5 */
static void registers(void **state)
{
	struct kit *kit = *state;

	assert_true(kit->cap & BIT(5));
	assert_true(kit->cap & BIT(6));
	assert_int_equal(kit_read(kit, REG_PMEN, 4), 0);
	/* Software finds N by writing ones: 20. */
	kit_write(kit, REG_PLMBASE, 4, 0xffffffff);
	kit_write(kit, REG_PLMLIMIT, 4, 0xffffffff);
	kit_write(kit, REG_PHMBASE, 8, ~0ull);
	kit_write(kit, REG_PHMLIMIT, 8, ~0ull);
	assert_int_equal(kit_read(kit, REG_PLMBASE, 4), 0xffe00000);
	assert_int_equal(kit_read(kit, REG_PLMLIMIT, 4), 0xffe00000);
	assert_int_equal(kit_read(kit, REG_PHMBASE, 8), ~0ull << 21);
	assert_int_equal(kit_read(kit, REG_PHMLIMIT, 8), ~0ull << 21);
	/* The status is not software's, and the other bits are not there. */
	kit_write(kit, REG_PMEN, 4, ~EPM);
	assert_int_equal(kit_read(kit, REG_PMEN, 4), 0);
	kit_write(kit, REG_PMEN, 4, 0xffffffff);
	assert_int_equal(kit_read(kit, REG_PMEN, 4), EPM | PRS);
	/* Base and limit hold still meanwhile. */
	kit_write(kit, REG_PLMBASE, 4, 0);
	kit_write(kit, REG_PHMLIMIT, 8, 0);
	assert_int_equal(kit_read(kit, REG_PLMBASE, 4), 0xffe00000);
	assert_int_equal(kit_read(kit, REG_PHMLIMIT, 8), ~0ull << 21);
	kit_write(kit, REG_PMEN, 4, 0);
	assert_int_equal(kit_read(kit, REG_PMEN, 4), 0);
	kit_write(kit, REG_PLMBASE, 4, 0x200000);
	assert_int_equal(kit_read(kit, REG_PLMBASE, 4), 0x200000);
	kit_write(kit, REG_PMEN, 4, EPM);
	viommu_unit_reset(kit->unit);
	assert_int_equal(kit_read(kit, REG_PMEN, 4), 0);
	assert_int_equal(kit_read(kit, REG_PLMBASE, 4), 0);
}

/* VT-d 11.4.8.1: without the capability PMEN reads as zero and takes nothing. */
static void absent(void **state)
{
	struct kit *kit = *state;
	uint64_t value = 1;

	assert_false(kit->cap & (BIT(5) | BIT(6)));
	assert_int_equal(viommu_unit_read(kit->unit, REG_PMEN, 4, &value), 0);
	assert_int_equal(value, 0);
	kit_write(kit, REG_PMEN, 4, EPM);
	assert_int_equal(kit_read(kit, REG_PMEN, 4), 0);
	assert_int_equal(viommu_unit_write(kit->unit, REG_PLMBASE, 4, LOW), -EINVAL);
	assert_int_equal(viommu_unit_read(kit->unit, REG_PHMBASE, 8, &value), -EINVAL);
}

/* VT-d 11.4.8.1: whether or not DMA is remapped. */
static void without_translation(void **state)
{
	struct kit *kit = *state;
	uint8_t data[32] = { 0 };
	struct viommu_fault fault;
	size_t done;

	expect_gpa(kit, VIOMMU_NO_PASID, LOW, VIOMMU_WRITE, LOW);
	protect(kit);
	expect_blocked(kit, VIOMMU_NO_PASID, LOW, VIOMMU_READ);
	expect_blocked(kit, VIOMMU_NO_PASID, LOW + 2 * MIB - 1, VIOMMU_WRITE);
	expect_gpa(kit, VIOMMU_NO_PASID, LOW - 1, VIOMMU_WRITE, LOW - 1);
	expect_gpa(kit, VIOMMU_NO_PASID, LOW + 2 * MIB, VIOMMU_READ, LOW + 2 * MIB);
	/* A transfer stops at the edge. */
	assert_int_equal(viommu_dma_write(kit->endpoint, VIOMMU_NO_PASID, LOW - 16, data,
					  sizeof(data), 0, &done, &fault),
			 VIOMMU_FAULT);
	assert_int_equal(done, 16);
	assert_int_equal(fault.reason, VIOMMU_REASON_PROTECTED);
	assert_int_equal(fault.iova, LOW);
	kit_write(kit, REG_PMEN, 4, 0);
	expect_gpa(kit, VIOMMU_NO_PASID, LOW, VIOMMU_WRITE, LOW);
}

/* VT-d 11.4.8.5: the high region may lie anywhere; a limit below the base is no region. */
static void both_regions(void **state)
{
	struct kit *kit = *state;

	protect(kit);
	expect_gpa(kit, VIOMMU_NO_PASID, 0x1000, VIOMMU_READ, 0x1000);
	expect_gpa(kit, VIOMMU_NO_PASID, 2 * MIB, VIOMMU_READ, 2 * MIB);
	kit_write(kit, REG_PMEN, 4, 0);
	kit_write(kit, REG_PLMBASE, 4, 2 * MIB);
	kit_write(kit, REG_PLMLIMIT, 4, 0);
	kit_write(kit, REG_PHMBASE, 8, 8 * MIB);
	kit_write(kit, REG_PHMLIMIT, 8, 10 * MIB);
	kit_write(kit, REG_PMEN, 4, EPM);
	expect_gpa(kit, VIOMMU_NO_PASID, 0, VIOMMU_READ, 0);
	expect_gpa(kit, VIOMMU_NO_PASID, 2 * MIB, VIOMMU_READ, 2 * MIB);
	expect_gpa(kit, VIOMMU_NO_PASID, 8 * MIB - 1, VIOMMU_READ, 8 * MIB - 1);
	expect_blocked(kit, VIOMMU_NO_PASID, 8 * MIB, VIOMMU_READ);
	expect_blocked(kit, VIOMMU_NO_PASID, 12 * MIB - 1, VIOMMU_READ);
	expect_gpa(kit, VIOMMU_NO_PASID, 12 * MIB, VIOMMU_READ, 12 * MIB);
}

/* VT-d 11.4.8.1: nothing that was cached before gets through afterwards, of any page size. */
static void what_was_cached(void **state)
{
	static const struct {
		uint64_t iova;
		int leaf;
	} pages[] = { { 0x7000, 1 }, { 0x40000000, 2 }, { 0x80000000, 3 } };
	struct kit *kit = *state;
	uint64_t root;

	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, PASID, 4);
	kit_map_first(kit, root, 4, 0x7000, 1, LOW | URW);
	kit_map_first(kit, root, 4, 0x40000000, 2, LOW | URW);
	kit_map_first(kit, root, 4, 0x80000000, 3, 0 | URW);
	for (int i = 0; i < 3; i++) {
		uint64_t to = pages[i].iova + (pages[i].leaf == 3 ? LOW : 0);

		for (int j = 0; j < 3; j++)
			expect_gpa(kit, PASID, to, VIOMMU_WRITE, LOW);
	}
	protect(kit);
	for (int i = 0; i < 3; i++) {
		uint64_t to = pages[i].iova + (pages[i].leaf == 3 ? LOW : 0);

		for (int j = 0; j < 3; j++)
			expect_blocked(kit, PASID, to, VIOMMU_WRITE);
	}
	/* The rest of the large page is there, and ends where the region begins. */
	for (int j = 0; j < 3; j++) {
		struct viommu_translation t;

		assert_int_equal(viommu_translate(kit->endpoint, PASID, 0x80000000 + LOW - 0x1000,
						  VIOMMU_READ, &t),
				 0);
		assert_int_equal(t.gpa, LOW - 0x1000);
		assert_int_equal(t.length, 0x1000);
		expect_blocked(kit, PASID, 0x80000000 + LOW, VIOMMU_READ);
		expect_gpa(kit, PASID, 0x80000000 + LOW + 2 * MIB, VIOMMU_READ, LOW + 2 * MIB);
	}
	kit_write(kit, REG_PMEN, 4, 0);
	for (int j = 0; j < 3; j++)
		expect_gpa(kit, PASID, 0x7000, VIOMMU_READ, LOW);
}

/* VT-d 11.4.8.1: the unit's own accesses are not DMA. */
static void tables_may_be_protected(void **state)
{
	struct kit *kit = *state;
	uint64_t root, end = kit->next_page;

	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, PASID, 4);
	kit_map_first(kit, root, 4, 0x7000, 1, LOW | URW);
	kit_write(kit, REG_PLMBASE, 4, KIT_DATA_END);
	kit_write(kit, REG_PLMLIMIT, 4, KIT_RAM - 1);
	kit_write(kit, REG_PHMBASE, 8, 2 * MIB);
	kit_write(kit, REG_PMEN, 4, EPM);
	assert_true(end >= KIT_DATA_END);
	expect_gpa(kit, PASID, 0x7000, VIOMMU_WRITE, LOW);
	assert_true(kit_flush_all(kit));
	expect_gpa(kit, PASID, 0x7000, VIOMMU_WRITE, LOW);
	/* The same table is out of reach of DMA. */
	kit_map_first(kit, root, 4, 0x8000, 1, root | URW);
	expect_blocked(kit, PASID, 0x8000, VIOMMU_READ);
}

/* VT-d 11.4.8.1: asking for a translation is allowed, using it is not. */
static void translated_requests(void **state)
{
	struct kit *kit = *state;
	struct viommu_translation t;
	uint64_t root;

	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, PASID, 4);
	kit_map_first(kit, root, 4, 0x7000, 1, LOW | URW);
	kit_set_pasid_entry(kit, KIT_RID, 0, PE_P | PE_PASS, KIT_DID, 0);
	/* Unprotected memory has no such edges. */
	assert_int_equal(viommu_translated_request(kit->endpoint, LOW - 16, VIOMMU_WRITE, &t), 0);
	assert_int_equal(t.length, kit->ram_size - (LOW - 16));
	protect(kit);
	assert_int_equal(viommu_ats_translate(kit->endpoint, PASID, 0x7000, VIOMMU_WRITE, &t), 0);
	assert_int_equal(t.gpa, LOW);
	/* It did not slip into the cache on the way. */
	expect_blocked(kit, PASID, 0x7000, VIOMMU_WRITE);
	assert_int_equal(viommu_translated_request(kit->endpoint, LOW, VIOMMU_WRITE, &t),
			 VIOMMU_FAULT);
	assert_int_equal(t.fault.reason, VIOMMU_REASON_PROTECTED);
	assert_false(t.fault.recorded);
	assert_null(t.hva);
	assert_int_equal(viommu_translated_request(kit->endpoint, LOW - 16, VIOMMU_WRITE, &t), 0);
	assert_int_equal(t.length, 16);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
}

/* A unit that is loaded protects what the saved one did. */
static void saved_and_loaded(void **state)
{
	struct kit *from = *state;
	struct viommu_stream_writer *writer;
	struct viommu_stream_reader *reader;
	struct viommu_unit_options options = *viommu_unit_options(from->unit);
	struct viommu_translation t;
	char message[300] = "";
	const void *data;
	size_t length;
	struct kit to;

	protect(from);
	assert_int_equal(viommu_stream_writer_create(&writer), 0);
	assert_int_equal(viommu_unit_save(from->unit, writer, 0), 0);
	assert_int_equal(viommu_stream_finish(writer, &data, &length), 0);
	kit_create(&to, &options);
	assert_int_equal(viommu_translate(to.endpoint, VIOMMU_NO_PASID, LOW, VIOMMU_READ, &t), 0);
	assert_int_equal(viommu_stream_reader_create(data, length, &reader, NULL, 0), 0);
	assert_int_equal(viommu_unit_load(to.unit, reader, 0, message, sizeof(message)), 0);
	assert_int_equal(kit_read(&to, REG_PMEN, 4), EPM | PRS);
	assert_int_equal(kit_read(&to, REG_PLMBASE, 4), LOW);
	expect_blocked(&to, VIOMMU_NO_PASID, LOW, VIOMMU_READ);
	kit_destroy(&to);
	/* A unit without protected memory says which option is missing. */
	kit_create(&to, NULL);
	assert_int_equal(viommu_unit_load(to.unit, reader, 0, message, sizeof(message)), -EINVAL);
	assert_non_null(strstr(message, "protected-memory is on there and off here"));
	kit_destroy(&to);
	viommu_stream_reader_destroy(reader);
	viommu_stream_writer_destroy(writer);
}

static void described(void **state)
{
	struct kit *kit = *state;
	char text[2000];

	viommu_unit_describe(kit->unit, text, sizeof(text));
	assert_non_null(strstr(text, "protected memory regions"));
	assert_null(strstr(text, "memory protected"));
	protect(kit);
	viommu_unit_describe(kit->unit, text, sizeof(text));
	assert_non_null(strstr(text, "memory protected"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		protection_test(registers),
		kit_test(absent),
		protection_test(without_translation),
		protection_test(both_regions),
		protection_test(what_was_cached),
		protection_test(tables_may_be_protected),
		protection_test(translated_requests),
		protection_test(saved_and_loaded),
		protection_test(described),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
