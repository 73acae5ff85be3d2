/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Caches (VT-d 6.2): a translation may be old until an invalidation that covers it completes, and
 * not one moment longer. For every kind of invalidation: what it must reach. That more is dropped
 * than asked for is allowed.
 */
#include "expect.h"

#define NONE VIOMMU_NO_PASID
#define URW  (FS_P | FS_RW | FS_US | FS_A | FS_D)
#define SRW  (SS_R | SS_W)

enum { FIRST = 1, OTHER_PASID = 2, OTHER_DID = 3, SECOND = 4 };

static uint64_t roots[5];

static void put_first(struct kit *kit, uint32_t pasid, uint16_t did)
{
	roots[pasid] = kit_page(kit);
	kit_set_pasid_entry(kit, KIT_RID, pasid, PE_P | PE_FIRST, did | PE1_PWSNP, roots[pasid]);
}

static int setup(void **state)
{
	struct kit *kit;

	kit_setup(state);
	kit = *state;
	kit_start(kit, TTM_SCALABLE);
	put_first(kit, FIRST, 2);
	put_first(kit, OTHER_PASID, 2);
	put_first(kit, OTHER_DID, 3);
	roots[SECOND] = kit_page(kit);
	kit_set_pasid_entry(kit, KIT_RID, SECOND,
			    roots[SECOND] | PE_P | PE_SECOND | 2 << PE_AW_SHIFT, 2 | PE1_PWSNP, 0);
	return 0;
}

/*
 * Map, use the page at its start and `also` bytes further, map elsewhere. Between this and an
 * invalidation either answer is right; what counts is the answer after it.
 */
static void remap_using(struct kit *kit, uint32_t pasid, uint64_t iova, int leaf, uint64_t old,
			uint64_t new, uint64_t also)
{
	uint64_t flags = pasid == SECOND ? SRW : URW;
	uint64_t (*map)(struct kit *, uint64_t, int, uint64_t, int, uint64_t) =
		pasid == SECOND ? kit_map_second : kit_map_first;

	map(kit, roots[pasid], 4, iova, leaf, old | flags);
	assert_true(kit_flush_all(kit));
	expect_gpa(kit, pasid, iova, VIOMMU_WRITE, old);
	expect_gpa(kit, pasid, iova + also, VIOMMU_WRITE, old + also);
	map(kit, roots[pasid], 4, iova, leaf, new | flags);
}

static void remap(struct kit *kit, uint32_t pasid, uint64_t iova, int leaf, uint64_t old,
		  uint64_t new)
{
	remap_using(kit, pasid, iova, leaf, old, new, 0);
}

/* A cache there is: without invalidation the old answer stays. */
static void translations_are_cached(void **state)
{
	struct kit *kit = *state;
	struct viommu_statistics s = { .size = sizeof(s) };

	remap(kit, FIRST, 0x1000, 1, 0x5000, 0x6000);
	expect_gpa(kit, FIRST, 0x1000, VIOMMU_WRITE, 0x5000);
	remap(kit, SECOND, 0x1000, 1, 0x5000, 0x6000);
	expect_gpa(kit, SECOND, 0x1000, VIOMMU_WRITE, 0x5000);
	viommu_unit_statistics(kit->unit, &s);
	assert_int_equal(s.iotlb_hits, 4);
	assert_int_equal(s.iotlb_misses, 2);
}

/* VT-d 6.5.2.4 */
static void pasid_selective(void **state)
{
	struct kit *kit = *state;

	remap(kit, FIRST, 0x1000, 1, 0x5000, 0x6000);
	assert_true(kit_command(kit, qi_piotlb(2, 2, FIRST), 0));
	expect_gpa(kit, FIRST, 0x1000, VIOMMU_WRITE, 0x6000);
	remap(kit, FIRST, 0x40000000, 3, 0x80000000, 0xc0000000);
	assert_true(kit_command(kit, qi_piotlb(2, 2, FIRST), 0));
	expect_gpa(kit, FIRST, 0x40000000, VIOMMU_WRITE, 0xc0000000);
}

static void pasid_page_selective(void **state)
{
	struct kit *kit = *state;

	for (unsigned int am = 0; am <= 10; am++) {
		uint64_t first = 0x10000000, last = first + (0x1000ull << am) - 0x1000;

		kit_map_first(kit, roots[FIRST], 4, first, 1, 0x5000 | URW);
		kit_map_first(kit, roots[FIRST], 4, last, 1, 0x5000 | URW);
		assert_true(kit_flush_all(kit));
		expect_gpa(kit, FIRST, first, VIOMMU_WRITE, 0x5000);
		expect_gpa(kit, FIRST, last, VIOMMU_WRITE, 0x5000);
		kit_map_first(kit, roots[FIRST], 4, first, 1, 0x6000 | URW);
		kit_map_first(kit, roots[FIRST], 4, last, 1, 0x7000 | URW);
		assert_true(kit_command(kit, qi_piotlb(3, 2, FIRST), first | am));
		expect_gpa(kit, FIRST, first, VIOMMU_WRITE, am ? 0x6000 : 0x7000);
		expect_gpa(kit, FIRST, last, VIOMMU_WRITE, 0x7000);
	}
}

/* Every AM there is, also those beyond any page-table level; Linux uses them. */
static void every_address_mask(void **state)
{
	struct kit *kit = *state;

	for (unsigned int am = 0; am <= 45; am++) {
		uint64_t old = 0x5000 + (uint64_t)(am & 1) * 0x2000, new = old + 0x1000;

		remap(kit, FIRST, 0x7654321000, 1, old, new);
		assert_true(kit_command(kit, qi_piotlb(3, 2, FIRST),
					(0x7654321000 >> (12 + am) << (12 + am)) | am));
		expect_gpa(kit, FIRST, 0x7654321000, VIOMMU_WRITE, new);
		remap(kit, SECOND, 0x7654321000, 1, old, new);
		assert_true(kit_command(kit, qi_iotlb(3, 2),
					(0x7654321000 >> (12 + am) << (12 + am)) | am));
		expect_gpa(kit, SECOND, 0x7654321000, VIOMMU_WRITE, new);
	}
}

/* Also where all of it is RAM, and one entry of the cache holds it all. */
static void gigabytes(void **state)
{
	const uint64_t gigabyte = 1ull << 30;
	struct kit kit;

	(void)state;
	kit_create_sized(&kit, NULL, 5 * gigabyte);
	kit_start(&kit, TTM_SCALABLE);
	put_first(&kit, FIRST, 2);
	roots[SECOND] = kit_page(&kit);
	kit_set_pasid_entry(&kit, KIT_RID, SECOND,
			    roots[SECOND] | PE_P | PE_SECOND | 2 << PE_AW_SHIFT, 2 | PE1_PWSNP, 0);
	for (uint32_t pasid = FIRST; pasid <= SECOND; pasid += SECOND - FIRST) {
		for (uint64_t page = 0; page < gigabyte; page += gigabyte / 2) {
			uint64_t address = 8 * gigabyte + page;

			remap_using(&kit, pasid, 8 * gigabyte, 3, gigabyte, 3 * gigabyte,
				    gigabyte - 0x1000);
			if (pasid == FIRST)
				assert_true(kit_command(&kit, qi_piotlb(3, 2, FIRST), address));
			else
				assert_true(kit_command(&kit, qi_iotlb(3, 2), address));
			expect_gpa(&kit, pasid, 8 * gigabyte, VIOMMU_WRITE, 3 * gigabyte);
			expect_gpa(&kit, pasid, 9 * gigabyte - 0x1000, VIOMMU_WRITE,
				   4 * gigabyte - 0x1000);
		}
	}
	kit_destroy(&kit);
}

/* An address inside a large page invalidates the large page. */
static void large_pages(void **state)
{
	struct kit *kit = *state;

	for (int leaf = 2; leaf <= 3; leaf++) {
		uint64_t size = 1ull << (12 + 9 * (leaf - 1)), iova = 8 * size;

		remap_using(kit, FIRST, iova, leaf, 2 * size, 4 * size, size - 0x1000);
		assert_true(kit_command(kit, qi_piotlb(3, 2, FIRST), iova + size / 2));
		expect_gpa(kit, FIRST, iova, VIOMMU_WRITE, 4 * size);
		expect_gpa(kit, FIRST, iova + size - 0x1000, VIOMMU_WRITE, 5 * size - 0x1000);
		remap(kit, SECOND, iova, leaf, 2 * size, 4 * size);
		assert_true(kit_command(kit, qi_iotlb(3, 2), iova + size / 2));
		expect_gpa(kit, SECOND, iova, VIOMMU_WRITE, 4 * size);
	}
}

/* A large page whose pieces the library had to cache apart: around the interrupt range, at the end
 * of RAM. */
static void fragments_of_large_pages(void **state)
{
	struct kit *kit = *state;
	uint64_t gib = 1ull << 30;

	remap_using(kit, FIRST, 3 * gib, 3, 3 * gib, 0, 0x3edff000);
	assert_true(kit_command(kit, qi_piotlb(3, 2, FIRST), 3 * gib));
	expect_gpa(kit, FIRST, 0xfedff000, VIOMMU_WRITE, 0x3edff000);
	remap_using(kit, FIRST, 0, 3, 0, gib, kit->ram_size);
	assert_true(kit_command(kit, qi_piotlb(3, 2, FIRST), 0x200000));
	expect_gpa(kit, FIRST, kit->ram_size - 0x1000, VIOMMU_WRITE, gib + kit->ram_size - 0x1000);
	expect_gpa(kit, FIRST, kit->ram_size, VIOMMU_WRITE, gib + kit->ram_size);
}

/* VT-d 6.5.2.3 */
static void domain_selective(void **state)
{
	struct kit *kit = *state;

	remap(kit, SECOND, 0x1000, 1, 0x5000, 0x6000);
	assert_true(kit_command(kit, qi_iotlb(2, 2), 0));
	expect_gpa(kit, SECOND, 0x1000, VIOMMU_WRITE, 0x6000);
}

static void global(void **state)
{
	struct kit *kit = *state;

	for (uint32_t pasid = FIRST; pasid <= SECOND; pasid++) {
		remap(kit, pasid, 0x1000, 1, 0x5000, 0x6000);
		assert_true(kit_command(kit, qi_iotlb(1, 0), 0));
		expect_gpa(kit, pasid, 0x1000, VIOMMU_WRITE, 0x6000);
	}
}

/* VT-d 6.5.2.2: a PE is cached; it goes by PASID, by domain, and globally. */
static void pasid_cache(void **state)
{
	struct kit *kit = *state;
	static const unsigned int granularities[] = { 1, 0, 3 };
	uint64_t roots_of[2] = { roots[FIRST], kit_page(kit) };

	kit_map_first(kit, roots_of[0], 4, 0x1000, 1, 0x5000 | URW);
	kit_map_first(kit, roots_of[1], 4, 0x1000, 1, 0x6000 | URW);
	for (int i = 0; i < 3; i++) {
		uint64_t pe = kit_pasid_entry(kit, KIT_RID, FIRST);

		kit_put(kit, pe + 16, roots_of[i & 1]);
		assert_true(kit_flush_all(kit));
		expect_gpa(kit, FIRST, 0x1000, VIOMMU_WRITE, i & 1 ? 0x6000 : 0x5000);
		kit_put(kit, pe + 16, roots_of[~i & 1]);
		expect_gpa(kit, FIRST, 0x1000, VIOMMU_WRITE, i & 1 ? 0x6000 : 0x5000);
		kit_submit(kit, qi_pasid_cache(granularities[i], 2, FIRST), 0);
		assert_true(kit_command(kit, qi_piotlb(2, 2, FIRST), 0));
		expect_gpa(kit, FIRST, 0x1000, VIOMMU_WRITE, i & 1 ? 0x5000 : 0x6000);
		/* Not present any more: what Linux does on detach. */
		kit_put(kit, pe, 0);
		kit_submit(kit, qi_pasid_cache(granularities[i], 2, FIRST), 0);
		assert_true(kit_command(kit, qi_piotlb(2, 2, FIRST), 0));
		expect_fault(kit, FIRST, 0x1000, VIOMMU_WRITE, 0x59);
		kit_put(kit, pe, PE_P | PE_FIRST);
	}
}

/* Not-present is never cached (CM = 0): a new entry works at once, without invalidation. */
static void nothing_is_remembered_of_faults(void **state)
{
	struct kit *kit = *state;

	expect_fault(kit, FIRST, 0x1000, VIOMMU_READ, 0x71);
	kit_map_first(kit, roots[FIRST], 4, 0x1000, 1, 0x5000 | URW);
	expect_gpa(kit, FIRST, 0x1000, VIOMMU_READ, 0x5000);
	expect_fault(kit, 9, 0x1000, VIOMMU_READ, 0x59);
	kit_set_pasid_entry(kit, KIT_RID, 9, PE_P | PE_FIRST, 2 | PE1_PWSNP, roots[FIRST]);
	expect_gpa(kit, 9, 0x1000, VIOMMU_READ, 0x5000);
	/* More permission than cached: found out by walking. */
	kit_map_first(kit, roots[FIRST], 4, 0x2000, 1, 0x5000 | FS_P | FS_US);
	expect_gpa(kit, FIRST, 0x2000, VIOMMU_READ, 0x5000);
	kit_map_first(kit, roots[FIRST], 4, 0x2000, 1, 0x5000 | URW);
	expect_gpa(kit, FIRST, 0x2000, VIOMMU_WRITE, 0x5000);
}

/* VT-d 6.5.2.1: contexts by device, with the function mask, by domain and globally. */
static void context_cache(void **state)
{
	struct kit *kit = *state;
	static const uint16_t rids[] = { 0x0010, 0x0011, 0x0012, 0x0014, 0x0017, 0x0110 };
	struct viommu_endpoint *endpoints[6];
	uint64_t root = kit_page(kit);
	struct viommu_translation t;

	kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | URW);
	for (int i = 0; i < 6; i++) {
		endpoints[i] = i ? kit_endpoint(kit, rids[i]) : kit->endpoint;
		kit_set_pasid_entry(kit, rids[i], 0, PE_P | PE_FIRST, 2 | PE1_PWSNP, root);
	}
	/* FM 0..3 ignore none, bit 2, bits 2:1, all of the function. */
	static const unsigned int reached[4] = { 1 << 0, 1 << 0 | 1 << 3, 1 << 0 | 1 << 2 | 1 << 3,
						 0x1f };

	for (unsigned int g = 1; g <= 3; g++)
		for (unsigned int fm = 0; fm < (g == 3 ? 4 : 1); fm++) {
			unsigned int must = g == 3 ? reached[fm] : 0x3f;

			for (int i = 0; i < 6; i++)
				assert_int_equal(viommu_translate(endpoints[i], NONE, 0x1000,
								  VIOMMU_READ, &t),
						 0);
			for (int i = 0; i < 6; i++) {
				uint64_t at = kit_context_scalable(kit, rids[i]);

				kit_put(kit, at, kit_get(kit, at) & ~(uint64_t)CE_P);
			}
			/* A scalable CE has no DID: that of the descriptor does not count. */
			assert_true(kit_command(kit, qi_context(g, 99, KIT_RID, fm), 0));
			for (int i = 0; i < 6; i++) {
				int result = viommu_translate_quiet(endpoints[i], NONE, 0x1000,
								    VIOMMU_READ, &t);

				if (must & 1u << i)
					assert_int_equal(result, VIOMMU_FAULT);
			}
			for (int i = 0; i < 6; i++) {
				uint64_t at = kit_context_scalable(kit, rids[i]);

				kit_put(kit, at, kit_get(kit, at) | CE_P);
			}
		}
	for (int i = 1; i < 6; i++)
		viommu_endpoint_destroy(endpoints[i]);
}

/* VT-d 6.5.2.3, 11.4.6.4: address bits beyond MGAW do not count. */
static void bits_beyond_the_width(void **state)
{
	struct kit *kit = *state;

	for (int bit = 48; bit < 64; bit++) {
		uint64_t old = 0x5000 + (uint64_t)(bit & 1) * 0x2000, new = old + 0x1000;

		remap(kit, SECOND, 0x7654321000, 1, old, new);
		assert_true(kit_command(kit, qi_iotlb(3, 2), 0x7654321000 | BIT(bit)));
		expect_gpa(kit, SECOND, 0x7654321000, VIOMMU_WRITE, new);
	}
}

/* VT-d 6.5.2.1, 6.5.1.1: in legacy mode a CE has a DID, and contexts go by it: those, and not all.
 */
static void legacy_contexts(void **state)
{
	static const uint16_t rids[] = { KIT_RID, 0x0018 };
	struct kit *kit = *state;
	struct viommu_endpoint *endpoints[] = { kit->endpoint, kit_endpoint(kit, rids[1]) };
	struct viommu_translation t;

	kit->root = kit_page(kit);
	kit_set_root(kit, kit->root | TTM_LEGACY);
	for (int i = 0; i < 2; i++) {
		uint64_t root = kit_setup_legacy(kit, rids[i], 4);

		kit_put(kit, kit_context_legacy(kit, rids[i]) + 8, (uint64_t)(20 + i) << 8 | 2);
		kit_map_second(kit, root, 4, 0x1000, 1, 0x5000 | SRW);
	}
	/* Of domain 20, of domain 21; by queue and by register; then by device, with any DID there
	 * is. */
	for (int how = 0; how < 6; how++) {
		int gone = how & 1;
		uint64_t at = kit_context_legacy(kit, rids[gone]), word = kit_get(kit, at);

		for (int i = 0; i < 2; i++)
			assert_int_equal(
				viommu_translate(endpoints[i], NONE, 0x1000, VIOMMU_READ, &t), 0);
		for (int i = 0; i < 2; i++)
			kit_put(kit, kit_context_legacy(kit, rids[i]), 0);
		if (how < 2)
			assert_true(kit_command(kit, qi_context(2, 20 + gone, 0, 0), 0));
		else if (how < 4)
			kit_write(kit, REG_CCMD, 8, BIT(63) | 2ull << 61 | (20 + gone));
		else
			assert_true(kit_command(kit, qi_context(3, 20 + gone, rids[gone], 0), 0));
		assert_int_equal(
			viommu_translate_quiet(endpoints[gone], NONE, 0x1000, VIOMMU_READ, &t),
			VIOMMU_FAULT);
		assert_int_equal(t.fault.reason, 0x2);
		kit_put(kit, at, word);
		at = kit_context_legacy(kit, rids[!gone]);
		assert_int_equal(viommu_translate(endpoints[!gone], NONE, 0x1000, VIOMMU_READ, &t),
				 0);
		kit_setup_legacy(kit, rids[!gone], 4);
		kit_put(kit, at + 8, (uint64_t)(20 + !gone) << 8 | 2);
		kit_map_second(kit, kit_get(kit, at) & ~0xfffull, 4, 0x1000, 1, 0x5000 | SRW);
		assert_true(kit_flush_all(kit));
	}
	viommu_endpoint_destroy(endpoints[1]);
}

/* An IOTLB of the smallest size under many pages: whatever was evicted, answers stay right. */
static void small_iotlb(void **state)
{
	struct viommu_unit_options options;
	struct kit kit;
	uint64_t root;

	viommu_unit_options_init(&options);
	options.iotlb_entries = 64;
	kit_create(&kit, &options);
	kit_start(&kit, TTM_SCALABLE);
	root = kit_setup_first(&kit, 1, 4);
	for (uint64_t i = 0; i < 1000; i++)
		kit_map_first(&kit, root, 4, i << 12, 1, (i * 7 % 1000) << 12 | URW);
	for (int round = 0; round < 3; round++)
		for (uint64_t i = 0; i < 1000; i++) {
			uint64_t page = round == 1 ? i * 37 % 1000 : i;

			expect_gpa(&kit, 1, page << 12, VIOMMU_READ, page * 7 % 1000 << 12);
		}
	kit_destroy(&kit);
}

/* Two PASIDs with one DID and one page table, as Linux shares a domain: each must be invalidated on
 * its own. */
static void shared_domain(void **state)
{
	struct kit *kit = *state;
	uint64_t leaf;

	kit_set_pasid_entry(kit, KIT_RID, OTHER_PASID, PE_P | PE_FIRST, 2 | PE1_PWSNP,
			    roots[FIRST]);
	leaf = kit_map_first(kit, roots[FIRST], 4, 0x1000, 1, 0x5000 | URW);
	expect_gpa(kit, FIRST, 0x1000, VIOMMU_READ, 0x5000);
	expect_gpa(kit, OTHER_PASID, 0x1000, VIOMMU_READ, 0x5000);
	kit_put(kit, leaf, 0x6000 | URW);
	assert_true(kit_command(kit, qi_piotlb(3, 2, FIRST), 0x1000));
	assert_true(kit_command(kit, qi_piotlb(3, 2, OTHER_PASID), 0x1000));
	expect_gpa(kit, FIRST, 0x1000, VIOMMU_READ, 0x6000);
	expect_gpa(kit, OTHER_PASID, 0x1000, VIOMMU_READ, 0x6000);
}

/* VT-d 6.5.2.4: by PASID, entries of a second stage go too: another table came in its place and
 * went again. */
static void pasid_selective_second_stage(void **state)
{
	struct kit *kit = *state;
	uint64_t entry = kit_pasid_entry(kit, KIT_RID, SECOND), pe = kit_get(kit, entry), leaf;

	kit_map_second(kit, roots[SECOND], 4, 0x1000, 1, 0x4000 | SS_R | SS_W);
	leaf = kit_map_second(kit, roots[SECOND], 4, 0x2000, 1, 0x5000 | SS_R | SS_W);
	expect_gpa(kit, SECOND, 0x1000, VIOMMU_READ, 0x4000);
	expect_gpa(kit, SECOND, 0x2000, VIOMMU_READ, 0x5000);
	kit_put(kit, entry, (pe & 4095) | kit_page(kit));
	assert_true(kit_command(kit, qi_pasid_cache(1, kit_get(kit, entry + 8), SECOND), 0));
	assert_true(kit_command(kit, qi_piotlb(2, kit_get(kit, entry + 8), SECOND), 0));
	kit_put(kit, leaf, 0x6000 | SS_R | SS_W);
	kit_put(kit, entry, pe);
	assert_true(kit_command(kit, qi_pasid_cache(1, kit_get(kit, entry + 8), SECOND), 0));
	assert_true(kit_command(kit, qi_piotlb(2, kit_get(kit, entry + 8), SECOND), 0));
	expect_gpa(kit, SECOND, 0x1000, VIOMMU_READ, 0x4000);
	expect_gpa(kit, SECOND, 0x2000, VIOMMU_READ, 0x6000);
}

#define invalidation_test(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		invalidation_test(translations_are_cached),
		invalidation_test(pasid_selective),
		invalidation_test(pasid_page_selective),
		invalidation_test(every_address_mask),
		invalidation_test(large_pages),
		invalidation_test(fragments_of_large_pages),
		invalidation_test(domain_selective),
		invalidation_test(global),
		invalidation_test(pasid_cache),
		invalidation_test(nothing_is_remembered_of_faults),
		invalidation_test(context_cache),
		invalidation_test(bits_beyond_the_width),
		invalidation_test(legacy_contexts),
		cmocka_unit_test(small_iotlb),
		cmocka_unit_test(gigabytes),
		invalidation_test(shared_domain),
		invalidation_test(pasid_selective_second_stage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
