/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Second-stage and nested translation in scalable mode: widths, permissions, accessed and dirty
 * bits of both stages, and the reasons of a first-stage walk whose tables the second stage hides.
 */
#include "expect.h"

#define NONE VIOMMU_NO_PASID
#define P1   3
#define RW   (SS_R | SS_W)
#define URW  (FS_P | FS_RW | FS_US)

static int setup(void **state)
{
	static struct kit kit;
	struct viommu_unit_options options;

	viommu_unit_options_init(&options);
	options.aw_bits = 57;
	kit_create(&kit, &options);
	kit_start(&kit, TTM_SCALABLE);
	*state = &kit;
	return 0;
}

/* VT-d 3.7, 9.8 */
static void widths_and_sizes(void **state)
{
	struct kit *kit = *state;

	for (int levels = 3; levels <= 5; levels++) {
		uint32_t pasid = 10 + levels;
		uint64_t top = 1ull << (12 + 9 * levels);
		uint64_t root = kit_setup_second(kit, pasid, levels);

		kit_put(kit, kit_pasid_entry(kit, KIT_RID, pasid) + 8, pasid | PE1_PWSNP);
		kit_map_second(kit, root, levels, 0x3000, 1, 0x5000 | RW);
		kit_map_second(kit, root, levels, top - 0x1000, 1, 0x6000 | RW);
		kit_map_second(kit, root, levels, 0x40000000, 3, 0x80000000 | RW);
		kit_map_second(kit, root, levels, 0x600000, 2, 0xa00000 | RW);
		expect_gpa(kit, pasid, 0x3fff, VIOMMU_READ, 0x5fff);
		expect_gpa(kit, pasid, top - 1, VIOMMU_WRITE, 0x6fff);
		expect_gpa(kit, pasid, 0x52345678, VIOMMU_ATOMIC, 0x92345678);
		expect_gpa(kit, pasid, 0x612345, VIOMMU_READ, 0xa12345);
		expect_fault(kit, pasid, 0x7000, VIOMMU_READ, 0x79);
		if (levels < 5)
			expect_fault(kit, pasid, top, VIOMMU_READ, 0x84);
	}
	expect_fault(kit, 15, BIT(57), VIOMMU_READ, 0x84);
}

/* VT-d 3.7.1 */
static void permissions(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_second(kit, P1, 4);
	uint64_t above = kit_second_leaf(kit, root, 4, 0x1000, 3), word;

	kit_map_second(kit, root, 4, 0x1000, 1, 0x5000 | SS_R);
	kit_map_second(kit, root, 4, 0x2000, 1, 0x6000 | SS_W);
	kit_map_second(kit, root, 4, 0x3000, 1, 0x7000 | SS_R | SS_W);
	for (int i = 0; i < 2; i++) {
		expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x5000);
		expect_fault(kit, P1, 0x1000, VIOMMU_WRITE, 0x85);
		expect_fault(kit, P1, 0x1000, VIOMMU_ATOMIC, 0x85);
		expect_gpa(kit, P1, 0x2000, VIOMMU_WRITE, 0x6000);
		expect_fault(kit, P1, 0x2000, VIOMMU_READ, 0x86);
		expect_fault(kit, P1, 0x2000, VIOMMU_ATOMIC, 0x86);
	}
	word = kit_get(kit, above);
	kit_put(kit, above, word & ~SS_R);
	assert_true(kit_flush_all(kit));
	expect_fault(kit, P1, 0x3000, VIOMMU_READ, 0x86);
	/* VT-d 7.1.3 SSS.2: nothing is left over all levels. */
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x79);
	kit_put(kit, above, word & ~SS_W);
	assert_true(kit_flush_all(kit));
	expect_fault(kit, P1, 0x3000, VIOMMU_WRITE, 0x85);
	expect_fault(kit, P1, 0x2000, VIOMMU_WRITE, 0x79);
}

/* VT-d 9.8 */
static void entry_faults(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_second(kit, P1, 5);
	uint64_t gone = kit->ram_size + 0x10000;

	kit_map_second(kit, root, 5, 0x1000, 1, 0x5000 | RW);
	expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x5000);
	for (int level = 1; level <= 5; level++) {
		uint64_t at = kit_second_leaf(kit, root, 5, 0x1000, level);
		uint64_t good = kit_get(kit, at);

		kit_put(kit, at, good & ~RW);
		assert_true(kit_flush_all(kit));
		expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x79);
		if (level > 1) {
			kit_put(kit, at, good | SS_SNP);
			expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x7a);
			kit_put(kit, at, gone | RW);
			expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x78);
		}
		if (level >= 4) {
			kit_put(kit, at, good | SS_PS);
			expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x7a);
		}
		for (int bit = 12; (level == 2 || level == 3) && bit < 12 + 9 * (level - 1); bit++) {
			kit_put(kit, at, BIT(bit) | RW | SS_PS);
			expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x7a);
		}
		kit_put(kit, at, good);
	}
	kit_put(kit, kit_pasid_entry(kit, KIT_RID, P1), gone | PE_P | PE_SECOND | 3 << PE_AW_SHIFT);
	assert_true(kit_flush_all(kit));
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x7b);
}

/* VT-d 9.8 SNP and 11.4.3 SC */
static void snoop(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_second(kit, P1, 4);
	struct viommu_unit_options options;
	struct viommu_translation t;
	struct kit other;

	kit_map_second(kit, root, 4, 0x1000, 1, 0x5000 | RW | SS_SNP);
	kit_map_second(kit, root, 4, 0x2000, 1, 0x5000 | RW);
	assert_int_equal(viommu_translate(kit->endpoint, P1, 0x1000, VIOMMU_READ, &t), 0);
	assert_true(t.snoop);
	assert_int_equal(viommu_translate(kit->endpoint, P1, 0x2000, VIOMMU_READ, &t), 0);
	assert_false(t.snoop);

	viommu_unit_options_init(&options);
	options.snoop_control = false;
	kit_create(&other, &options);
	kit_start(&other, TTM_SCALABLE);
	root = kit_setup_second(&other, P1, 4);
	kit_map_second(&other, root, 4, 0x1000, 1, 0x5000 | RW | SS_SNP);
	expect_fault(&other, P1, 0x1000, VIOMMU_READ, 0x7a);
	kit_destroy(&other);
}

static void enable_marks(struct kit *kit, uint32_t pasid)
{
	uint64_t pe = kit_pasid_entry(kit, KIT_RID, pasid);

	kit_put(kit, pe, kit_get(kit, pe) | PE_SSADE);
}

/* VT-d 3.7.2, 9.6 SSADE: what dirty tracking of Linux reads. */
static void accessed_and_dirty(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_second(kit, P1, 4);
	uint64_t leaf = kit_map_second(kit, root, 4, 0x1000, 1, 0x5000 | RW);
	uint64_t big = kit_map_second(kit, root, 4, 0x200000, 2, 0x400000 | RW);

	/* Off: entries stay as they are. */
	expect_gpa(kit, P1, 0x1000, VIOMMU_WRITE, 0x5000);
	assert_int_equal(kit_get(kit, leaf), 0x5000 | RW);
	enable_marks(kit, P1);
	assert_true(kit_command(kit, qi_pasid_cache(1, KIT_DID, P1), 0));
	assert_true(kit_command(kit, qi_iotlb(2, KIT_DID), 0));
	expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x5000);
	assert_int_equal(kit_get(kit, leaf), 0x5000 | RW | SS_A);
	for (int level = 2; level <= 4; level++)
		assert_true(kit_get(kit, kit_second_leaf(kit, root, 4, 0x1000, level)) & SS_A);
	expect_gpa(kit, P1, 0x1000, VIOMMU_WRITE, 0x5000);
	assert_int_equal(kit_get(kit, leaf), 0x5000 | RW | SS_A | SS_D);
	expect_gpa(kit, P1, 0x2ff000, VIOMMU_WRITE, 0x4ff000);
	assert_int_equal(kit_get(kit, big), 0x400000 | RW | SS_PS | SS_A | SS_D);
	/* Linux: clear D, invalidate pages, look again. */
	kit_put(kit, leaf, kit_get(kit, leaf) & ~SS_D);
	assert_true(kit_command(kit, qi_iotlb(3, KIT_DID), 0x1000));
	assert_false(kit_get(kit, leaf) & SS_D);
	expect_gpa(kit, P1, 0x1000, VIOMMU_WRITE, 0x5000);
	assert_true(kit_get(kit, leaf) & SS_D);
}

/* VT-d 9.6 PWSNP: no updates without snooped walks. */
static void marks_without_snooping(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_second(kit, P1, 4);
	uint64_t pe = kit_pasid_entry(kit, KIT_RID, P1);

	kit_map_second(kit, root, 4, 0x1000, 1, 0x5000 | RW);
	kit_put(kit, pe + 8, KIT_DID);
	enable_marks(kit, P1);
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x7c);
}

/* VT-d 7.1.3: marks that memory refuses. */
static void marks_in_read_only_memory(void **state)
{
	struct kit *kit = *state;
	static uint64_t rom[512] __attribute__((aligned(4096)));
	uint64_t rom_gpa = kit->ram_size + 0x100000;
	uint64_t root = kit_setup_second(kit, P1, 4);

	assert_int_equal(
		viommu_memory_add_hva(kit->memory, rom_gpa, 4096, rom, VIOMMU_SEGMENT_READONLY), 0);
	enable_marks(kit, P1);
	kit_put(kit, kit_second_leaf(kit, root, 4, 0, 2), rom_gpa | RW | SS_A);
	rom[1] = 0x5000 | RW;
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x7d);
	rom[1] = 0;
}

static void interrupt_range(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_second(kit, P1, 4);

	kit_map_second(kit, root, 4, 0x1000, 1, 0xfee00000 | RW);
	expect_fault(kit, P1, 0x1000, VIOMMU_WRITE, 0x87);
	/* A large page around it: only the range itself is closed. */
	kit_map_second(kit, root, 4, 0xc0000000, 3, 0xc0000000 | RW);
	expect_fault(kit, P1, 0xfee12345, VIOMMU_WRITE, 0x87);
	expect_gpa(kit, P1, 0xfedff000, VIOMMU_WRITE, 0xfedff000);
	expect_gpa(kit, P1, 0xfef00000, VIOMMU_WRITE, 0xfef00000);
	expect_fault(kit, P1, 0xfee12345, VIOMMU_WRITE, 0x87);
	/* The same from addresses that are not in the range themselves. */
	kit_map_second(kit, root, 4, 0x40000000, 3, 0xc0000000 | RW);
	expect_gpa(kit, P1, 0x7edff000, VIOMMU_WRITE, 0xfedff000);
	expect_fault(kit, P1, 0x7ee12345, VIOMMU_WRITE, 0x87);
	kit_map_second(kit, root, 4, 0xbfe00000, 2, 0xfee00000 | RW);
	expect_fault(kit, P1, 0xbfe12345, VIOMMU_WRITE, 0x87);
}

/* An embedder that puts RAM under the interrupt range, and a guest with large pages over it: still
 * closed. */
static void interrupt_range_over_memory(void **state)
{
	struct kit kit;
	uint64_t root;

	kit_create_sized(&kit, NULL, 5ull << 30);
	kit_start(&kit, TTM_SCALABLE);
	root = kit_setup_second(&kit, P1, 4);
	kit_map_second(&kit, root, 4, 0x40000000, 3, 0xc0000000 | RW);
	expect_gpa(&kit, P1, 0x7edff000, VIOMMU_WRITE, 0xfedff000);
	expect_fault(&kit, P1, 0x7ee12345, VIOMMU_WRITE, 0x87);
	expect_gpa(&kit, P1, 0x7ef00000, VIOMMU_WRITE, 0xfef00000);
	expect_fault(&kit, P1, 0x7eefffff, VIOMMU_WRITE, 0x87);
	kit_destroy(&kit);
}

/* ---- nested ---- */

struct nest {
	struct kit *kit;
	uint64_t first, second;
};

/* First-stage tables live at guest-physical addresses that the second stage moves by SHIFT. */
#define SHIFT 0x40000000ull

static struct nest nest(struct kit *kit, int first_levels, int second_levels)
{
	struct nest n = { .kit = kit };

	n.first = kit_setup_nested(kit, P1, first_levels, second_levels, &n.second);
	/* The FSPTPTR is a guest-physical one: seen through the second stage. */
	kit_put(kit, kit_pasid_entry(kit, KIT_RID, P1) + 16,
		(n.first + SHIFT) | (first_levels == 5 ? PE2_FSPM5 : 0));
	for (uint64_t gpa = KIT_DATA_END; gpa < kit->next_page + 0x40000; gpa += 0x1000)
		kit_map_second(kit, n.second, second_levels, gpa + SHIFT, 1, gpa | RW);
	return n;
}

/* Make the tables for `iova` with pointers moved by SHIFT. */
static uint64_t map_nested(struct nest *n, int levels, uint64_t iova, int leaf, uint64_t entry)
{
	uint64_t table = n->first, at;

	for (int level = levels;; level--) {
		at = table + (iova >> (12 + 9 * (level - 1)) & 511) * 8;
		if (level == leaf)
			break;
		if (!kit_get(n->kit, at))
			kit_put(n->kit, at, (kit_page(n->kit) + SHIFT) | URW);
		table = (kit_get(n->kit, at) & ~0xfffull) - SHIFT;
	}
	kit_put(n->kit, at, entry | (leaf > 1 ? FS_PS : 0));
	return at;
}

/* VT-d 3.8: every combination of levels. */
static void nested_levels(void **state)
{
	struct kit *kit = *state;

	for (int first = 4; first <= 5; first++)
		for (int second = 3; second <= 5; second++) {
			struct nest n = nest(kit, first, second);

			assert_true(kit_flush_all(kit));
			map_nested(&n, first, 0x7000, 1, 0x9000 | URW);
			kit_map_second(kit, n.second, second, 0x9000, 1, 0x5000 | RW);
			expect_gpa(kit, P1, 0x7123, VIOMMU_WRITE, 0x5123);
			/* 2 MiB over 4 KiB: the smaller page counts. */
			map_nested(&n, first, 0x200000, 2, 0x400000 | URW);
			kit_map_second(kit, n.second, second, 0x401000, 1, 0x6000 | RW);
			expect_gpa(kit, P1, 0x201234, VIOMMU_READ, 0x6234);
			expect_fault(kit, P1, 0x202000, VIOMMU_READ, 0x79);
			/* 4 KiB over 1 GiB */
			kit_map_second(kit, n.second, second, 0x80000000, 3, 0xc0000000 | RW);
			map_nested(&n, first, 0x8000, 1, 0x80012000 | URW);
			expect_gpa(kit, P1, 0x8321, VIOMMU_READ, 0xc0012321);
		}
}

/* VT-d 3.8, 7.1.3: what the second stage refuses of a first-stage walk. */
static void nested_faults(void **state)
{
	struct kit *kit = *state;
	struct nest n = nest(kit, 4, 3);
	uint64_t leaf = map_nested(&n, 4, 0x7000, 1, 0x9000 | URW);
	uint64_t at = kit_second_leaf(kit, n.second, 3, n.first + SHIFT, 1);
	uint64_t at_leaf = kit_second_leaf(kit, n.second, 3, (leaf & ~0xfffull) + SHIFT, 1);
	uint64_t good = kit_get(kit, at), good_leaf = kit_get(kit, at_leaf);
	uint64_t pe = kit_pasid_entry(kit, KIT_RID, P1), fsptr = kit_get(kit, pe + 16);

	/* The page itself: not mapped, no write, no read, beyond the width. */
	expect_fault(kit, P1, 0x7000, VIOMMU_READ, 0x79);
	kit_map_second(kit, n.second, 3, 0x9000, 1, 0x5000 | SS_R);
	expect_gpa(kit, P1, 0x7000, VIOMMU_READ, 0x5000);
	expect_fault(kit, P1, 0x7000, VIOMMU_WRITE, 0x85);
	kit_map_second(kit, n.second, 3, 0x9000, 1, 0x5000 | SS_W);
	assert_true(kit_flush_all(kit));
	expect_fault(kit, P1, 0x7000, VIOMMU_READ, 0x86);
	map_nested(&n, 4, 0x8000, 1, BIT(39) | URW);
	expect_fault(kit, P1, 0x8000, VIOMMU_READ, 0x74);
	/* The first stage's own faults stay what they are. */
	map_nested(&n, 4, 0xa000, 1, 0x9000 | FS_P);
	expect_fault(kit, P1, 0xa000, VIOMMU_READ, 0x81);
	expect_fault(kit, P1, 0xb000, VIOMMU_READ, 0x71);
	kit_map_second(kit, n.second, 3, 0x9000, 1, 0x5000 | RW);

	/* The top table: not there at all (SSS.2), unreadable; then a lower one. */
	kit_put(kit, at, 0);
	expect_fault(kit, P1, 0x7000, VIOMMU_READ, 0x79);
	kit_put(kit, at, (good & ~RW) | SS_W);
	expect_fault(kit, P1, 0x7000, VIOMMU_READ, 0x75);
	kit_put(kit, at, good);
	kit_put(kit, at_leaf, 0);
	expect_fault(kit, P1, 0x7000, VIOMMU_READ, 0x79);
	kit_put(kit, at_leaf, (good_leaf & ~RW) | SS_W);
	expect_fault(kit, P1, 0x7000, VIOMMU_READ, 0x76);
	kit_put(kit, at_leaf, good_leaf);
	/* The root beyond the second stage. */
	kit_put(kit, pe + 16, BIT(39));
	assert_true(kit_flush_all(kit));
	expect_fault(kit, P1, 0x7000, VIOMMU_READ, 0x5b);
	kit_put(kit, pe + 16, BIT(52));
	expect_fault(kit, P1, 0x7000, VIOMMU_READ, 0x5a);
	kit_put(kit, pe + 16, fsptr);
	/* An A bit must be written, but the entry is read-only. */
	kit_put(kit, leaf, 0x9000 | URW);
	kit_put(kit, at_leaf, good_leaf & ~SS_W);
	assert_true(kit_flush_all(kit));
	expect_fault(kit, P1, 0x7000, VIOMMU_READ, 0x77);
	kit_put(kit, leaf, 0x9000 | URW | FS_A);
	expect_gpa(kit, P1, 0x7000, VIOMMU_READ, 0x5000);
	expect_fault(kit, P1, 0x7000, VIOMMU_WRITE, 0x77);
	/* Second-stage table errors keep their codes. */
	kit_put(kit, at_leaf, good_leaf | BIT(7));
	kit_put(kit, kit_second_leaf(kit, n.second, 3, leaf + SHIFT, 2), 0x1000 | RW | SS_PS);
	assert_true(kit_flush_all(kit));
	expect_fault(kit, P1, 0x7000, VIOMMU_READ, 0x7a);
}

/* VT-d 3.8, 3.7.2: marks of both stages; the second stage sees table walks and updates as accesses.
 */
static void nested_marks(void **state)
{
	struct kit *kit = *state;
	struct nest n = nest(kit, 4, 4);
	uint64_t leaf = map_nested(&n, 4, 0x7000, 1, 0x9000 | URW);
	uint64_t page = kit_map_second(kit, n.second, 4, 0x9000, 1, 0x5000 | RW);
	uint64_t table = kit_second_leaf(kit, n.second, 4, leaf + SHIFT, 1);

	enable_marks(kit, P1);
	expect_gpa(kit, P1, 0x7000, VIOMMU_READ, 0x5000);
	assert_true(kit_get(kit, leaf) & FS_A);
	assert_int_equal(kit_get(kit, page) & (SS_A | SS_D), SS_A);
	/* Setting A wrote the table page: dirty. */
	assert_int_equal(kit_get(kit, table) & (SS_A | SS_D), SS_A | SS_D);
	expect_gpa(kit, P1, 0x7000, VIOMMU_WRITE, 0x5000);
	assert_true(kit_get(kit, leaf) & FS_D);
	assert_int_equal(kit_get(kit, page) & (SS_A | SS_D), SS_A | SS_D);
}

/* VT-d 4.2.3, 9.8 SNP: either stage may want it snooped. */
static void nested_snoop(void **state)
{
	struct kit *kit = *state;
	struct nest n = nest(kit, 4, 4);
	uint64_t pe = kit_pasid_entry(kit, KIT_RID, P1);
	struct viommu_translation t;

	map_nested(&n, 4, 0x7000, 1, 0x9000 | URW);
	for (int how = 0; how < 3; how++) {
		kit_map_second(kit, n.second, 4, 0x9000, 1, 0x5000 | RW | (how == 1 ? SS_SNP : 0));
		kit_put(kit, pe + 8, KIT_DID | PE1_PWSNP | (how == 2 ? PE1_PGSNP : 0));
		assert_true(kit_flush_all(kit));
		for (int again = 0; again < 2; again++) {
			assert_int_equal(viommu_translate(kit->endpoint, P1, 0x7000, VIOMMU_READ, &t), 0);
			assert_int_equal(t.snoop, how != 0);
		}
	}
}

/* VT-d 6.2.2: a second-stage invalidation reaches nested translations, of the page and of the
 * tables. */
static void nested_invalidation(void **state)
{
	struct kit *kit = *state;
	struct nest n = nest(kit, 4, 4);
	uint64_t page = kit_map_second(kit, n.second, 4, 0x9000, 1, 0x5000 | RW);

	map_nested(&n, 4, 0x7000, 1, 0x9000 | URW);
	expect_gpa(kit, P1, 0x7000, VIOMMU_READ, 0x5000);
	kit_put(kit, page, 0x6000 | RW);
	assert_true(kit_command(kit, qi_iotlb(3, KIT_DID), 0x9000));
	expect_gpa(kit, P1, 0x7000, VIOMMU_READ, 0x6000);
	kit_put(kit, page, 0x5000 | RW);
	assert_true(kit_command(kit, qi_iotlb(2, KIT_DID), 0));
	expect_gpa(kit, P1, 0x7000, VIOMMU_READ, 0x5000);
	map_nested(&n, 4, 0x7000, 1, 0xa000 | URW);
	kit_map_second(kit, n.second, 4, 0xa000, 1, 0x7000 | RW);
	assert_true(kit_command(kit, qi_piotlb(3, KIT_DID, P1), 0x7000));
	expect_gpa(kit, P1, 0x7000, VIOMMU_READ, 0x7000);
}

/* Tables that are their own entries, in both stages: the walk ends, whatever it finds. */
static void self_reference(void **state)
{
	struct kit *kit = *state;
	struct nest n = nest(kit, 5, 5);
	struct viommu_translation t;

	for (int i = 0; i < 512; i++)
		kit_put(kit, n.second + i * 8, n.second | RW | URW);
	for (uint64_t iova = 0; iova < 1 << 20; iova += 0x1000)
		assert_true(viommu_translate_quiet(kit->endpoint, P1, iova * 0x10101, VIOMMU_WRITE,
						   &t) >= 0);
}

#define second_test(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		second_test(widths_and_sizes),
		second_test(permissions),
		second_test(entry_faults),
		second_test(snoop),
		second_test(accessed_and_dirty),
		second_test(marks_without_snooping),
		second_test(marks_in_read_only_memory),
		second_test(interrupt_range),
		cmocka_unit_test(interrupt_range_over_memory),
		second_test(nested_levels),
		second_test(nested_faults),
		second_test(nested_marks),
		second_test(nested_snoop),
		second_test(nested_invalidation),
		second_test(self_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
