/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Zero-length reads (VT-d 11.4.2 ZLR, 7.1.3 LGN.3 and SGN.7): in every mode and stage, with the
 * capability and without, of pages that may be read, written only, or are not there. Only the missing read
 * permission of a page is forgiven, never that of a table.
 */
#include <errno.h>

#include "expect.h"

#define NONE	  VIOMMU_NO_PASID
#define P1	  3
#define URW	  (FS_P | FS_RW | FS_US)
#define ZERO_READ (VIOMMU_READ | VIOMMU_ZERO_LENGTH)

/* Pages that every set-up has, by address. */
enum page { READABLE = 0x1000, WRITABLE = 0x2000, BOTH = 0x3000, NOTHING = 0x4000 };
enum { TARGET = 0x100000 };

enum mode { LEGACY, LEGACY_PASS, SECOND, SECOND_PLAIN, FIRST, NESTED, PASS, OFF, MODES };

static const char *const names[] = { "legacy", "legacy pass-through", "second", "second without PASID",
				     "first",  "nested",	      "pass-through", "off" };

static bool scalable(enum mode mode)
{
	return mode != LEGACY && mode != LEGACY_PASS && mode != OFF;
}

static uint32_t pasid_of(enum mode mode)
{
	return scalable(mode) && mode != SECOND_PLAIN ? P1 : NONE;
}

static void map_second(struct kit *kit, uint64_t root, bool at_target)
{
	for (uint64_t page = READABLE; page <= BOTH; page += 0x1000) {
		uint64_t rights = page == READABLE ? SS_R : page == WRITABLE ? SS_W : SS_R | SS_W;

		kit_map_second(kit, root, 4, page + (at_target ? 0 : TARGET), 1,
			       (page + TARGET) | rights);
	}
}

/* First-stage pages all may be written: what is missing the second stage says. */
static void map_nested(struct kit *kit, uint64_t root, uint64_t second)
{
	for (uint64_t page = READABLE; page <= BOTH; page += 0x1000)
		kit_map_first(kit, root, 4, page, 1, (page + TARGET) | URW);
	map_second(kit, second, false);
	for (uint64_t gpa = KIT_DATA_END; gpa < kit->next_page + 0x10000; gpa += 0x1000)
		kit_map_second(kit, second, 4, gpa, 1, gpa | SS_R | SS_W);
}

static void create(struct kit *kit, enum mode mode, bool zlr)
{
	struct viommu_unit_options options;
	uint64_t root, second;

	viommu_unit_options_init(&options);
	options.zero_length_read = zlr;
	kit_create(kit, &options);
	if (mode == OFF)
		return;
	kit_start(kit, scalable(mode) ? TTM_SCALABLE : TTM_LEGACY);
	switch (mode) {
	case LEGACY:
		map_second(kit, kit_setup_legacy(kit, KIT_RID, 4), true);
		break;
	case LEGACY_PASS:
		kit_put(kit, kit_context_legacy(kit, KIT_RID) + 8, (uint64_t)KIT_DID << 8 | 2);
		kit_put(kit, kit_context_legacy(kit, KIT_RID), CE_P | CE_TT_PASS);
		break;
	case SECOND:
	case SECOND_PLAIN:
		map_second(kit, kit_setup_second(kit, mode == SECOND ? P1 : 0, 4), true);
		break;
	case FIRST:
		root = kit_setup_first(kit, P1, 4);
		/* There is no page that is written only. */
		kit_map_first(kit, root, 4, READABLE, 1, (READABLE + TARGET) | FS_P | FS_US);
		kit_map_first(kit, root, 4, WRITABLE, 1, (WRITABLE + TARGET) | URW);
		kit_map_first(kit, root, 4, BOTH, 1, (BOTH + TARGET) | URW);
		break;
	case NESTED:
		root = kit_setup_nested(kit, P1, 4, 4, &second);
		map_nested(kit, root, second);
		break;
	default:
		kit_set_pasid_entry(kit, KIT_RID, P1, PE_P | PE_PASS | 2 << PE_AW_SHIFT, KIT_DID, 0);
	}
}

/* The reason of a zero-length read; 0: none. */
static unsigned int wanted(enum mode mode, bool zlr, enum page page)
{
	bool tables = mode != LEGACY_PASS && mode != PASS && mode != OFF;

	if (page == NOTHING && tables)
		return mode == LEGACY ? 0x6 : mode == SECOND || mode == SECOND_PLAIN ? 0x79 : 0x71;
	if (page == WRITABLE && tables && mode != FIRST && !zlr)
		return mode == LEGACY ? 0x6 : 0x86;
	return 0;
}

static void expect_reason(struct kit *kit, const char *how, enum mode mode, enum page page, int result,
			  const struct viommu_fault *fault, unsigned int reason)
{
	struct kit_record record;

	if (result != (reason ? VIOMMU_FAULT : 0) || (reason && fault->reason != reason))
		fail_msg("%s, %s, page 0x%x: result %d, reason 0x%x instead of 0x%x", names[mode], how,
			 page, result, fault->reason, reason);
	if (!reason) {
		assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
		return;
	}
	assert_true(kit_take_fault(kit, &record));
	assert_int_equal(record.reason, reason);
	/* VT-d 11.4.7.6: it is a read. */
	assert_true(record.t1 && !record.t2);
	assert_int_equal(record.info, page);
}

static void try_page(struct kit *kit, enum mode mode, enum page page, unsigned int reason)
{
	bool same = mode == LEGACY_PASS || mode == PASS || mode == OFF;
	struct viommu_translation t = { 0 };
	struct viommu_fault fault = { 0 };
	int result = viommu_translate(kit->endpoint, pasid_of(mode), page + 5, ZERO_READ, &t);
	size_t done = 9;

	expect_reason(kit, "translate", mode, page, result, &t.fault, reason);
	if (!result)
		assert_int_equal(t.gpa, page + 5 + (same ? 0 : TARGET));
	/* What it was granted is what the tables say, not what it asked for. */
	if (!result && page == WRITABLE && !same && mode != FIRST)
		assert_int_equal(t.granted & (VIOMMU_READ | VIOMMU_ATOMIC), 0);
	result = viommu_dma_read(kit->endpoint, pasid_of(mode), page + 5, NULL, 0, 0, &done, &fault);
	expect_reason(kit, "DMA", mode, page, result, &fault, reason);
	assert_int_equal(done, 0);
	assert_int_equal(viommu_dma_read(kit->endpoint, pasid_of(mode), page + 5, NULL, 0, 0, NULL, NULL),
			 reason ? VIOMMU_FAULT : 0);
	if (reason)
		assert_true(kit_take_fault(kit, &(struct kit_record){ 0 }));
	/* Quiet: the same, and no record. */
	assert_int_equal(viommu_translate_quiet(kit->endpoint, pasid_of(mode), page + 5, ZERO_READ, &t),
			 reason ? VIOMMU_FAULT : 0);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
}

/* A read of something is refused after a zero-length one as before it; and writes do not help it. */
static void try_read(struct kit *kit, enum mode mode, enum page page)
{
	unsigned int reason = wanted(mode, false, page);

	if (reason)
		expect_fault(kit, pasid_of(mode), page, VIOMMU_READ, reason);
	else
		assert_int_equal(viommu_translate(kit->endpoint, pasid_of(mode), page, VIOMMU_READ,
						  &(struct viommu_translation){ 0 }),
				 0);
}

static void every_mode_and_page(void **state)
{
	for (enum mode mode = LEGACY; mode < MODES; mode++)
		for (int zlr = 0; zlr < 2; zlr++) {
			struct viommu_translation t;
			struct kit kit;

			create(&kit, mode, zlr);
			assert_int_equal(!!(kit.cap & BIT(22)), zlr);
			for (uint64_t page = READABLE; page <= NOTHING; page += 0x1000)
				for (int again = 0; again < 3; again++) {
					try_read(&kit, mode, page);
					try_page(&kit, mode, page, wanted(mode, zlr, page));
					/* Then with the page in every cache. */
					if (page == WRITABLE || page == BOTH)
						assert_int_equal(
							viommu_translate(kit.endpoint,
									 pasid_of(mode), page,
									 VIOMMU_WRITE, &t),
							0);
				}
			kit_destroy(&kit);
		}
}

/* VT-d 7.1.3 SFS.6, SFS.7: tables are read, not written: the second stage must allow that. */
static void tables_behind_the_second_stage(void **state)
{
	struct kit kit;
	uint64_t root, second, top, leaf;

	create(&kit, NESTED, true);
	root = kit_get(&kit, kit_pasid_entry(&kit, KIT_RID, P1) + 16) & ~0xfffull;
	second = kit_get(&kit, kit_pasid_entry(&kit, KIT_RID, P1)) & ~0xfffull;
	top = kit_second_leaf(&kit, second, 4, root, 1);
	leaf = kit_second_leaf(&kit, second, 4, kit_first_leaf(&kit, root, 4, WRITABLE, 1), 1);
	kit_put(&kit, top, kit_get(&kit, top) & ~SS_R);
	try_page(&kit, NESTED, WRITABLE, 0x75);
	kit_put(&kit, top, kit_get(&kit, top) | SS_R);
	kit_put(&kit, leaf, kit_get(&kit, leaf) & ~SS_R);
	assert_true(kit_flush_all(&kit));
	try_page(&kit, NESTED, WRITABLE, 0x76);
	kit_put(&kit, leaf, kit_get(&kit, leaf) | SS_R);
	assert_true(kit_flush_all(&kit));
	try_page(&kit, NESTED, WRITABLE, 0);
	kit_destroy(&kit);
}

/* VT-d 3.6.1: privilege is not forgiven, nor a table in a bad state; 7.1.1: FPD is silent. */
static void what_is_not_forgiven(void **state)
{
	struct viommu_translation t;
	struct kit kit;
	uint64_t root, pe;

	create(&kit, FIRST, true);
	pe = kit_pasid_entry(&kit, KIT_RID, P1);
	root = kit_get(&kit, pe + 16) & ~0xfffull;
	kit_map_first(&kit, root, 4, 0x5000, 1, 0x5000 | FS_P | FS_RW);
	kit_map_first(&kit, root, 4, 0x6000, 1, 0x6000 | URW | BIT(51));
	expect_fault(&kit, P1, 0x5000, ZERO_READ, 0x81);
	expect_fault(&kit, P1, 0x5000, ZERO_READ | VIOMMU_PRIVILEGED, 0x5d);
	expect_fault(&kit, P1, 0x6000, ZERO_READ, 0x72);
	expect_fault(&kit, P1, BIT(47), ZERO_READ, 0x80);
	expect_fault(&kit, P1 + 1, 0x5000, ZERO_READ, 0x59);
	kit_put(&kit, pe + 16, root | PE2_SRE);
	assert_true(kit_flush_all(&kit));
	expect_gpa(&kit, P1, 0x5000, ZERO_READ | VIOMMU_PRIVILEGED, 0x5000);
	/* VT-d 3.14: there is nothing to read among the interrupt addresses. */
	kit_setup_first(&kit, 0, 4);
	expect_fault(&kit, NONE, 0xfee00000, ZERO_READ, 0x87);
	kit_put(&kit, pe, kit_get(&kit, pe) | PE_FPD);
	assert_true(kit_flush_all(&kit));
	assert_int_equal(viommu_translate(kit.endpoint, P1, 0x5000, ZERO_READ, &t), VIOMMU_FAULT);
	assert_false(t.fault.recorded);
	assert_int_equal(kit_read(&kit, REG_FSTS, 4), 0);
	kit_destroy(&kit);
}

/* VT-d 3.6.2, 3.7.2: it is an access, and nothing is written by it. */
static void marks(void **state)
{
	struct kit kit;
	uint64_t root, leaf, pe;

	create(&kit, FIRST, true);
	pe = kit_pasid_entry(&kit, KIT_RID, P1);
	leaf = kit_first_leaf(&kit, kit_get(&kit, pe + 16) & ~0xfffull, 4, BOTH, 1);
	expect_gpa(&kit, P1, BOTH, ZERO_READ, BOTH + TARGET);
	assert_int_equal(kit_get(&kit, leaf) & (FS_A | FS_D), FS_A);
	kit_destroy(&kit);
	create(&kit, SECOND, true);
	pe = kit_pasid_entry(&kit, KIT_RID, P1);
	kit_put(&kit, pe, kit_get(&kit, pe) | PE_SSADE);
	root = kit_get(&kit, pe) & ~0xfffull;
	leaf = kit_second_leaf(&kit, root, 4, WRITABLE, 1);
	expect_gpa(&kit, P1, WRITABLE, ZERO_READ, WRITABLE + TARGET);
	assert_int_equal(kit_get(&kit, leaf) & (SS_A | SS_D), SS_A);
	expect_gpa(&kit, P1, WRITABLE, VIOMMU_WRITE, WRITABLE + TARGET);
	assert_int_equal(kit_get(&kit, leaf) & (SS_A | SS_D), SS_A | SS_D);
	kit_destroy(&kit);
}

/* endpoint.h, types.h: where the flag may be. */
static void arguments(void **state)
{
	static const uint32_t wrong[] = { 0,
					  VIOMMU_WRITE,
					  VIOMMU_EXECUTE,
					  VIOMMU_ATOMIC,
					  VIOMMU_PRIVILEGED,
					  VIOMMU_READ | VIOMMU_WRITE };
	struct kit *kit = *state;
	struct viommu_translation t;
	uint8_t byte;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint32_t access = wrong[i] | VIOMMU_ZERO_LENGTH;

		assert_int_equal(viommu_translate(kit->endpoint, NONE, 0, access, &t), -EINVAL);
		assert_int_equal(viommu_translate_quiet(kit->endpoint, NONE, 0, access, &t), -EINVAL);
		assert_int_equal(viommu_translated_request(kit->endpoint, 0, access, &t), -EINVAL);
	}
	/* Nobody asks for the translation of one, moves bytes with one, or wants a page for one. */
	assert_int_equal(viommu_ats_translate(kit->endpoint, NONE, 0, ZERO_READ, &t), -EINVAL);
	assert_int_equal(viommu_dma_read(kit->endpoint, NONE, 0, &byte, 1, ZERO_READ, NULL, NULL), -EINVAL);
	assert_int_equal(viommu_page_request(kit->endpoint, NONE, 0, ZERO_READ, 0, true), -EINVAL);
	/* VT-d 4.2.4: a translated one is like any other request that is translated. */
	kit_start(kit, TTM_SCALABLE);
	kit_setup_first(kit, 0, 4);
	assert_int_equal(viommu_translated_request(kit->endpoint, 0x5000, ZERO_READ, &t), 0);
	assert_int_equal(t.gpa, 0x5000);
	assert_int_equal(viommu_dma_write(kit->endpoint, NONE, 0x5000, NULL, 0, 0, NULL, NULL), 0);
	assert_int_equal(viommu_dma_read(kit->endpoint, NONE, 0x5000, NULL, 0, VIOMMU_EXECUTE, NULL, NULL),
			 VIOMMU_FAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mode_and_page),
		cmocka_unit_test(tables_behind_the_second_stage),
		cmocka_unit_test(what_is_not_forgiven),
		cmocka_unit_test(marks),
		kit_test(arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
