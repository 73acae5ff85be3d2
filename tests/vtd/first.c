/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * First-stage translation in scalable mode: 4 and 5 levels, permissions, accessed and dirty bits,
 * canonical addresses, reasons 0x70 to 0x91.
 */
#include "expect.h"

#define NONE VIOMMU_NO_PASID
#define URW  (FS_P | FS_RW | FS_US)
#define P1   3 /* the PASID most tests use */

static int setup(void **state)
{
	kit_setup(state);
	kit_start(*state, TTM_SCALABLE);
	return 0;
}

/* VT-d 3.6, 9.7 */
static void levels_and_sizes(void **state)
{
	struct kit *kit = *state;

	for (int levels = 4; levels <= 5; levels++) {
		uint32_t pasid = 100 + levels;
		uint64_t root = kit_setup_first(kit, pasid, levels);
		uint64_t top = 1ull << (11 + 9 * levels);
		struct viommu_translation t;

		kit_map_first(kit, root, levels, 0x3000, 1, 0x5000 | URW);
		kit_map_first(kit, root, levels, top - 0x1000, 1, 0x6000 | URW);
		kit_map_first(kit, root, levels, 0 - top, 1, 0x7000 | URW);
		kit_map_first(kit, root, levels, 0x40000000, 3, 0x80000000 | URW);
		kit_map_first(kit, root, levels, 0x600000, 2, 0xa00000 | URW);
		expect_gpa(kit, pasid, 0x3abc, VIOMMU_READ, 0x5abc);
		expect_gpa(kit, pasid, top - 1, VIOMMU_WRITE, 0x6fff);
		expect_gpa(kit, pasid, 0 - top, VIOMMU_WRITE, 0x7000);
		expect_gpa(kit, pasid, 0x7fffffff, VIOMMU_READ, 0xbfffffff);
		expect_gpa(kit, pasid, 0x654321, VIOMMU_ATOMIC, 0xa54321);
		assert_int_equal(viommu_translate(kit->endpoint, pasid, 0x601000, VIOMMU_READ, &t),
				 0);
		assert_int_equal(t.length, 0x1ff000);
		assert_int_equal(viommu_translate(kit->endpoint, pasid, 0x3ffc, VIOMMU_READ, &t),
				 0);
		assert_int_equal(t.length, 4);
		assert_ptr_equal(t.hva, kit->ram + 0x5ffc);
		/* VT-d 3.6: canonical */
		expect_fault(kit, pasid, top, VIOMMU_READ, 0x80);
		expect_fault(kit, pasid, 0 - top - 0x1000, VIOMMU_READ, 0x80);
	}
}

/* VT-d 9.6: without RID_PASID a plain request uses PASID 0, with it the CE's choice. */
static void plain_requests(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, 0, 4);
	uint64_t other = kit_setup_first(kit, 77, 4);
	uint64_t context = kit_context_scalable(kit, KIT_RID);

	kit_map_first(kit, root, 4, 0x3000, 1, 0x5000 | URW);
	kit_map_first(kit, other, 4, 0x3000, 1, 0x6000 | URW);
	expect_gpa(kit, NONE, 0x3000, VIOMMU_READ, 0x5000);
	kit_put(kit, context + 8, 77);
	expect_gpa(kit, NONE, 0x3000, VIOMMU_READ, 0x5000);
	assert_true(kit_flush_all(kit));
	expect_gpa(kit, NONE, 0x3000, VIOMMU_READ, 0x6000);
	expect_gpa(kit, 0, 0x3000, VIOMMU_READ, 0x5000);
	/* VT-d 7.1.3 SCT.9: and nobody else has that PASID. */
	expect_fault(kit, 77, 0x3000, VIOMMU_READ, 0x48);
}

/* VT-d 3.6.1: R/W and U/S are the AND over the levels; WPE and SRE only matter to privileged
 * requests. */
static void permissions(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, P1, 4), leaf, word;

	kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | FS_P | FS_US);
	kit_map_first(kit, root, 4, 0x2000, 1, 0x6000 | FS_P | FS_RW);
	kit_map_first(kit, root, 4, 0x3000, 1, 0x7000 | URW);
	for (int i = 0; i < 2; i++) {
		expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x5000);
		expect_fault(kit, P1, 0x1000, VIOMMU_WRITE, 0x85);
		expect_fault(kit, P1, 0x1000, VIOMMU_ATOMIC, 0x85);
		expect_fault(kit, P1, 0x2000, VIOMMU_READ, 0x81);
		expect_fault(kit, P1, 0x2000, VIOMMU_WRITE, 0x81);
		expect_gpa(kit, P1, 0x3000, VIOMMU_WRITE, 0x7000);
	}
	leaf = kit_first_leaf(kit, root, 4, 0x1000, 3);
	word = kit_get(kit, leaf);
	kit_put(kit, leaf, word & ~FS_RW);
	assert_true(kit_flush_all(kit));
	expect_fault(kit, P1, 0x3000, VIOMMU_WRITE, 0x85);
	kit_put(kit, leaf, word & ~FS_US);
	assert_true(kit_flush_all(kit));
	expect_fault(kit, P1, 0x3000, VIOMMU_READ, 0x81);
}

/* VT-d 9.6 SRE, WPE: privileged requests. */
static void privileged(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, P1, 4);
	uint64_t pe = kit_pasid_entry(kit, KIT_RID, P1);

	kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | FS_P);
	kit_map_first(kit, root, 4, 0x2000, 1, 0x6000 | FS_P | FS_US);
	expect_fault(kit, P1, 0x1000, VIOMMU_READ | VIOMMU_PRIVILEGED, 0x5d);
	kit_put(kit, pe + 16, root | PE2_SRE);
	assert_true(kit_flush_all(kit));
	expect_gpa(kit, P1, 0x1000, VIOMMU_READ | VIOMMU_PRIVILEGED, 0x5000);
	/* Without WPE a privileged write ignores R/W. */
	expect_gpa(kit, P1, 0x1000, VIOMMU_WRITE | VIOMMU_PRIVILEGED, 0x5000);
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x81);
	kit_put(kit, pe + 16, root | PE2_SRE | PE2_WPE);
	assert_true(kit_flush_all(kit));
	expect_fault(kit, P1, 0x1000, VIOMMU_WRITE | VIOMMU_PRIVILEGED, 0x85);
	expect_gpa(kit, P1, 0x2000, VIOMMU_READ | VIOMMU_PRIVILEGED, 0x6000);
}

/* VT-d 3.6.1, 9.6 SMEP: nobody privileged fetches from a user's page. */
static void supervisor_execution(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, P1, 4);
	uint64_t pe = kit_pasid_entry(kit, KIT_RID, P1);

	kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | URW);
	kit_map_first(kit, root, 4, 0x2000, 1, 0x6000 | FS_P | FS_RW);
	for (int smep = 0; smep < 2; smep++) {
		kit_put(kit, pe + 16, root | PE2_SRE | PE2_ERE | (smep ? PE2_SMEP : 0));
		assert_true(kit_flush_all(kit));
		/* Also when other accesses have it cached. */
		for (int i = 0; i < 2; i++) {
			if (smep)
				expect_fault(kit, P1, 0x1000, VIOMMU_EXECUTE | VIOMMU_PRIVILEGED, 0x82);
			else
				expect_gpa(kit, P1, 0x1000, VIOMMU_EXECUTE | VIOMMU_PRIVILEGED, 0x5000);
			expect_gpa(kit, P1, 0x1000, VIOMMU_EXECUTE, 0x5000);
			expect_gpa(kit, P1, 0x1000, VIOMMU_WRITE | VIOMMU_PRIVILEGED, 0x5000);
			expect_gpa(kit, P1, 0x2000, VIOMMU_EXECUTE | VIOMMU_PRIVILEGED, 0x6000);
		}
	}
}

/* VT-d 9.4 RID_PRIV, 11.4.3 RPRIVS: the CE makes plain requests privileged, if the PE lets them be. */
static void privileged_plain_requests(void **state)
{
	struct viommu_unit_options options;
	uint64_t root, pe, context;
	struct kit kit;

	viommu_unit_options_init(&options);
	options.rid_privilege = true;
	kit_create(&kit, &options);
	kit_start(&kit, TTM_SCALABLE);
	root = kit_setup_first(&kit, 0, 4);
	kit_map_first(&kit, root, 4, 0x1000, 1, 0x5000 | FS_P);
	kit_map_first(&kit, root, 4, 0x2000, 1, 0x6000 | URW);
	pe = kit_pasid_entry(&kit, KIT_RID, 0);
	context = kit_context_scalable(&kit, KIT_RID);
	expect_fault(&kit, NONE, 0x1000, VIOMMU_READ, 0x81);
	expect_gpa(&kit, NONE, 0x2000, VIOMMU_READ, 0x6000);
	/* VT-d 7.1.3 SPT.6 */
	kit_put(&kit, context + 8, BIT(20));
	assert_true(kit_flush_all(&kit));
	expect_fault(&kit, NONE, 0x1000, VIOMMU_READ, 0x5d);
	expect_fault(&kit, NONE, 0x2000, VIOMMU_READ, 0x5d);
	kit_put(&kit, pe + 16, root | PE2_SRE);
	assert_true(kit_flush_all(&kit));
	for (int i = 0; i < 2; i++) {
		expect_gpa(&kit, NONE, 0x1000, VIOMMU_READ, 0x5000);
		/* Without WPE even this. */
		expect_gpa(&kit, NONE, 0x1000, VIOMMU_WRITE, 0x5000);
		expect_gpa(&kit, NONE, 0x2000, VIOMMU_WRITE, 0x6000);
	}
	kit_put(&kit, pe + 16, root | PE2_SRE | PE2_WPE);
	assert_true(kit_flush_all(&kit));
	expect_fault(&kit, NONE, 0x1000, VIOMMU_WRITE, 0x85);
	/* A PASID is asked for its own. */
	kit_set_pasid_entry(&kit, KIT_RID, P1, PE_P | PE_FIRST, KIT_DID | PE1_PWSNP, root | PE2_SRE);
	expect_fault(&kit, P1, 0x1000, VIOMMU_READ, 0x81);
	kit_put(&kit, context + 8, 0);
	assert_true(kit_flush_all(&kit));
	expect_fault(&kit, NONE, 0x1000, VIOMMU_READ, 0x81);
	kit_destroy(&kit);
}

/* VT-d 9.6 AW: of the first stage it says nothing; FSPM does. */
static void width_is_that_of_the_tables(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, P1, 4), pe = kit_pasid_entry(kit, KIT_RID, P1);
	uint64_t word = kit_get(kit, pe);

	for (uint64_t aw = 0; aw < 8; aw++) {
		kit_put(kit, pe, word | aw << PE_AW_SHIFT);
		assert_true(kit_flush_all(kit));
		for (int bit = 29; bit < 47; bit++) {
			kit_map_first(kit, root, 4, BIT(bit), 1, 0x5000 | URW);
			expect_gpa(kit, P1, BIT(bit), VIOMMU_READ, 0x5000);
		}
		expect_fault(kit, P1, BIT(47), VIOMMU_READ, 0x80);
	}
}

/* VT-d 9.6 ERE, 9.7 XD. */
static void execute(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, P1, 4);
	uint64_t pe = kit_pasid_entry(kit, KIT_RID, P1);

	kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | URW);
	kit_map_first(kit, root, 4, 0x2000, 1, 0x6000 | URW | FS_XD);
	expect_fault(kit, P1, 0x1000, VIOMMU_EXECUTE, 0x5c);
	kit_put(kit, pe + 16, root | PE2_ERE | PE2_NXE);
	assert_true(kit_flush_all(kit));
	expect_gpa(kit, P1, 0x1000, VIOMMU_EXECUTE, 0x5000);
	expect_gpa(kit, P1, 0x2000, VIOMMU_READ, 0x6000);
	expect_fault(kit, P1, 0x2000, VIOMMU_EXECUTE, 0x82);
}

/* VT-d 3.6.2: A in every entry used, D in the leaf of a write; also on the first write after a
 * read. */
static void accessed_and_dirty(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, P1, 4);
	uint64_t leaf = kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | URW);
	uint64_t big = kit_map_first(kit, root, 4, 0x40000000, 3, 0x40000000 | URW);

	expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x5000);
	assert_int_equal(kit_get(kit, leaf), 0x5000 | URW | FS_A);
	for (int level = 2; level <= 4; level++)
		assert_true(kit_get(kit, kit_first_leaf(kit, root, 4, 0x1000, level)) & FS_A);
	/* Through a cached translation. */
	expect_gpa(kit, P1, 0x1000, VIOMMU_WRITE, 0x5000);
	assert_int_equal(kit_get(kit, leaf), 0x5000 | URW | FS_A | FS_D);
	expect_gpa(kit, P1, 0x40123000, VIOMMU_ATOMIC, 0x40123000);
	assert_int_equal(kit_get(kit, big), 0x40000000 | URW | FS_PS | FS_A | FS_D);
	/* A guest that clears D and invalidates sees it set again. */
	kit_put(kit, leaf, 0x5000 | URW);
	assert_true(kit_command(kit, qi_piotlb(3, KIT_DID, P1), 0x1000));
	expect_gpa(kit, P1, 0x1000, VIOMMU_WRITE, 0x5000);
	assert_int_equal(kit_get(kit, leaf), 0x5000 | URW | FS_A | FS_D);
}

/* A denied request leaves no trace in the leaf. */
static void no_bits_for_the_denied(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, P1, 4);
	uint64_t leaf = kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | FS_P | FS_US);

	expect_fault(kit, P1, 0x1000, VIOMMU_WRITE, 0x85);
	assert_false(kit_get(kit, leaf) & FS_D);
}

/* VT-d 9.6 EAFE, 9.7 EA. */
static void extended_accessed(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, P1, 4);
	uint64_t leaf = kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | URW);

	expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x5000);
	assert_false(kit_get(kit, leaf) & FS_EA);
	kit_put(kit, kit_pasid_entry(kit, KIT_RID, P1) + 16, root | PE2_EAFE);
	assert_true(kit_flush_all(kit));
	expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x5000);
	for (int level = 1; level <= 4; level++)
		assert_true(kit_get(kit, kit_first_leaf(kit, root, 4, 0x1000, level)) & FS_EA);
}

/* VT-d 9.7: present and reserved bits at every level. */
static void entry_faults(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, P1, 5);

	kit_map_first(kit, root, 5, 0x1000, 1, 0x5000 | URW);
	expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x5000);
	for (int level = 1; level <= 5; level++) {
		uint64_t at = kit_first_leaf(kit, root, 5, 0x1000, level);
		uint64_t good = kit_get(kit, at);

		kit_put(kit, at, good & ~FS_P);
		assert_true(kit_flush_all(kit));
		expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x71);
		kit_put(kit, at, good | BIT(51));
		expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x72);
		if (level >= 4) {
			kit_put(kit, at, good | FS_PS);
			expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x72);
		}
		/* A large page with address bits below its size; bit 12 is the PAT's. */
		for (int bit = 13; (level == 2 || level == 3) && bit < 12 + 9 * (level - 1); bit++) {
			kit_put(kit, at, BIT(bit) | URW | FS_PS);
			expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x72);
		}
		kit_put(kit, at, good);
	}
	expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x5000);
}

/* Tables where there is no memory: the top one has a reason of its own. */
static void access_faults(void **state)
{
	struct kit *kit = *state;
	uint64_t gone = kit->ram_size + 0x10000;
	uint64_t root = kit_setup_first(kit, P1, 4);

	kit_put(kit, root, gone | URW);
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x70);
	kit_put(kit, kit_pasid_entry(kit, KIT_RID, P1) + 16, gone);
	assert_true(kit_flush_all(kit));
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x73);
}

/* VT-d 3.6: A and D cannot be written where memory is read-only. */
static void bits_that_cannot_be_set(void **state)
{
	struct kit *kit = *state;
	static uint64_t rom[512] __attribute__((aligned(4096)));
	uint64_t rom_gpa = kit->ram_size + 0x100000;
	uint64_t root = kit_setup_first(kit, P1, 4);

	assert_int_equal(
		viommu_memory_add_hva(kit->memory, rom_gpa, 4096, rom, VIOMMU_SEGMENT_READONLY), 0);
	kit_put(kit, kit_first_leaf(kit, root, 4, 0, 2), rom_gpa | URW | FS_A);
	rom[1] = 0x5000 | URW;
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x91);
	/* With the bits there already nothing has to be written. */
	rom[1] |= FS_A;
	expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x5000);
	rom[1] |= FS_D;
	assert_true(kit_flush_all(kit));
	expect_gpa(kit, P1, 0x1000, VIOMMU_WRITE, 0x5000);
	rom[1] = 0;
}

/* VT-d 9.6 PWSNP and 11.4.3 SMPWCS: no atomic updates where walks are not snooped. */
static void bits_without_snooping(void **state)
{
	struct viommu_unit_options options;
	struct kit kit;
	uint64_t root, leaf;

	viommu_unit_options_init(&options);
	options.coherent = false;
	kit_create(&kit, &options);
	kit_start(&kit, TTM_SCALABLE);
	root = kit_setup_first(&kit, P1, 4);
	leaf = kit_map_first(&kit, root, 4, 0x1000, 1, 0x5000 | URW);
	expect_fault(&kit, P1, 0x1000, VIOMMU_READ, 0x90);
	for (int level = 1; level <= 4; level++) {
		uint64_t at = kit_first_leaf(&kit, root, 4, 0x1000, level);

		kit_put(&kit, at, kit_get(&kit, at) | FS_A);
	}
	expect_gpa(&kit, P1, 0x1000, VIOMMU_READ, 0x5000);
	expect_fault(&kit, P1, 0x1000, VIOMMU_WRITE, 0x90);
	kit_put(&kit, leaf, kit_get(&kit, leaf) | FS_D);
	expect_gpa(&kit, P1, 0x1000, VIOMMU_WRITE, 0x5000);
	kit_destroy(&kit);
}

/* VT-d 3.14 */
static void interrupt_range(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, P1, 4);

	kit_map_first(kit, root, 4, 0x1000, 1, 0xfee00000 | URW);
	expect_fault(kit, P1, 0x1000, VIOMMU_WRITE, 0x87);
}

/* Which faults a page request could cure. */
static void recoverable(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, P1, 4);
	struct viommu_translation t;

	kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | FS_P | FS_US);
	kit_map_first(kit, root, 4, 0x2000, 1, 0x5000 | URW | BIT(51));
	assert_int_equal(viommu_translate_quiet(kit->endpoint, P1, 0x9000, VIOMMU_READ, &t),
			 VIOMMU_FAULT);
	assert_int_equal(t.fault.reason, 0x71);
	assert_true(t.fault.recoverable);
	assert_int_equal(viommu_translate_quiet(kit->endpoint, P1, 0x1000, VIOMMU_WRITE, &t),
			 VIOMMU_FAULT);
	assert_int_equal(t.fault.reason, 0x85);
	assert_true(t.fault.recoverable);
	assert_int_equal(viommu_translate_quiet(kit->endpoint, P1, 0x2000, VIOMMU_WRITE, &t),
			 VIOMMU_FAULT);
	assert_int_equal(t.fault.reason, 0x72);
	assert_false(t.fault.recoverable);
	assert_int_equal(viommu_translate_quiet(kit->endpoint, P1 + 1, 0x2000, VIOMMU_WRITE, &t),
			 VIOMMU_FAULT);
	assert_false(t.fault.recoverable);
	/* Quiet means: nothing in the log. */
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
}

/* DMA goes page by page, across leaves of all sizes, and says how far it came. */
static void dma_spans(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_setup_first(kit, P1, 4);
	static unsigned char out[0x6000], in[0x6000];
	struct viommu_fault fault;
	size_t done;
	uint64_t old;

	for (int page = 0; page < 5; page++)
		kit_map_first(kit, root, 4, 0x10000 + page * 0x1000, 1,
			      (0x80000 - page * 0x3000) | URW);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (unsigned char)(i * 7 + (i >> 8));
	assert_int_equal(viommu_dma_write(kit->endpoint, P1, 0x10123, out, 0x4000, VIOMMU_WRITE,
					  &done, &fault),
			 0);
	assert_int_equal(done, 0x4000);
	assert_memory_equal(kit->ram + 0x80123, out, 0x1000 - 0x123);
	assert_memory_equal(kit->ram + 0x7d000, out + 0x1000 - 0x123, 0x1000);
	assert_int_equal(
		viommu_dma_read(kit->endpoint, P1, 0x10123, in, 0x4000, VIOMMU_READ, &done, &fault),
		0);
	assert_memory_equal(in, out, 0x4000);
	assert_int_equal(viommu_dma_write(kit->endpoint, P1, 0x13800, out, 0x2000, VIOMMU_WRITE,
					  &done, &fault),
			 VIOMMU_FAULT);
	assert_int_equal(done, 0x1800);
	assert_int_equal(fault.reason, 0x71);
	assert_int_equal(fault.iova & ~0xfffull, 0x15000);

	kit_put(kit, 0x80040, 40);
	assert_int_equal(viommu_dma_atomic(kit->endpoint, P1, 0x10040, VIOMMU_FETCH_ADD, 8, 2, 0,
					   &old, &fault),
			 0);
	assert_int_equal(old, 40);
	assert_int_equal(kit_get(kit, 0x80040), 42);
	assert_int_equal(viommu_dma_atomic(kit->endpoint, P1, 0x10040, VIOMMU_COMPARE_SWAP, 4, 7,
					   42, &old, &fault),
			 0);
	assert_int_equal(kit_get(kit, 0x80040), 7);
	assert_int_equal(viommu_dma_atomic(kit->endpoint, P1, 0x10040, VIOMMU_COMPARE_SWAP, 8, 9,
					   42, &old, &fault),
			 0);
	assert_int_equal(old, 7);
	assert_int_equal(kit_get(kit, 0x80040), 7);
	assert_int_equal(
		viommu_dma_atomic(kit->endpoint, P1, 0x10040, VIOMMU_SWAP, 8, 11, 0, &old, &fault),
		0);
	assert_int_equal(kit_get(kit, 0x80040), 11);
}

static void arguments_are_checked(void **state)
{
	struct kit *kit = *state;
	struct viommu_translation t;
	struct viommu_fault fault;
	uint64_t old;

	assert_true(viommu_translate(kit->endpoint, P1, 0, 0, &t) < 0);
	assert_true(viommu_translate(kit->endpoint, P1, 0, VIOMMU_READ | VIOMMU_WRITE, &t) < 0);
	assert_true(viommu_translate(kit->endpoint, 1 << 20, 0, VIOMMU_READ, &t) < 0);
	assert_true(viommu_dma_atomic(kit->endpoint, P1, 1, VIOMMU_SWAP, 8, 0, 0, &old, &fault) <
		    0);
	assert_true(viommu_dma_atomic(kit->endpoint, P1, 0, VIOMMU_SWAP, 2, 0, 0, &old, &fault) <
		    0);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
}

#define first_test(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		first_test(levels_and_sizes),
		first_test(plain_requests),
		first_test(permissions),
		first_test(privileged),
		first_test(execute),
		first_test(supervisor_execution),
		cmocka_unit_test(privileged_plain_requests),
		first_test(width_is_that_of_the_tables),
		first_test(accessed_and_dirty),
		first_test(no_bits_for_the_denied),
		first_test(extended_accessed),
		first_test(entry_faults),
		first_test(access_faults),
		first_test(bits_that_cannot_be_set),
		cmocka_unit_test(bits_without_snooping),
		first_test(interrupt_range),
		first_test(recoverable),
		first_test(dma_spans),
		first_test(arguments_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
