/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The register window and its handshakes: widths and halves, read-only and write-one-to-clear bits,
 * the sequences Linux 7.2 issues at boot, commands one by one, reset.
 */
#include <errno.h>

#include "expect.h"

/* VT-d 11.4: what a register answers before anything was written. */
static void power_on_values(void **state)
{
	struct kit *kit = *state;
	static const uint32_t zero[] = { REG_GSTS, REG_FSTS,   REG_FEDATA, REG_FEADDR, REG_FEUADDR,
					 REG_ICS,  REG_IEDATA, REG_IEADDR, REG_PRS,    REG_PEDATA };
	static const uint32_t zero64[] = { REG_RTADDR, REG_CCMD, REG_IQH, REG_IQT, REG_IQA,
					   REG_IQERCD, REG_PQH,	 REG_PQT, REG_PQA };

	for (size_t i = 0; i < sizeof(zero) / sizeof(zero[0]); i++)
		assert_int_equal(kit_read(kit, zero[i], 4), 0);
	for (size_t i = 0; i < sizeof(zero64) / sizeof(zero64[0]); i++)
		assert_int_equal(kit_read(kit, zero64[i], 8), 0);
	/* VT-d 11.4.7.2: events are masked. */
	assert_int_equal(kit_read(kit, REG_FECTL, 4), EVENT_IM);
	assert_int_equal(kit_read(kit, REG_IECTL, 4), EVENT_IM);
	assert_int_equal(kit_read(kit, REG_PECTL, 4), EVENT_IM);
}

/* VT-d 11.2: 64-bit registers by halves, 32-bit pairs by whole. */
static void any_width_any_half(void **state)
{
	struct kit *kit = *state;
	static const uint32_t wide[] = { REG_RTADDR, REG_IQA, REG_PQA };
	uint64_t cap = kit->cap;

	assert_int_equal(kit_read(kit, REG_CAP, 4), (uint32_t)cap);
	assert_int_equal(kit_read(kit, REG_CAP + 4, 4), cap >> 32);
	assert_int_equal(kit_read(kit, REG_ECAP, 4), (uint32_t)kit->ecap);
	assert_int_equal(kit_read(kit, REG_ECAP + 4, 4), kit->ecap >> 32);
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
		kit_write(kit, wide[i], 4, 0x12345000);
		assert_int_equal(kit_read(kit, wide[i], 8), 0x12345000);
		kit_write(kit, wide[i] + 4, 4, 0x17);
		assert_int_equal(kit_read(kit, wide[i], 8), 0x1712345000);
		kit_write(kit, wide[i], 8, 0x2254321000);
		assert_int_equal(kit_read(kit, wide[i], 4), 0x54321000);
		assert_int_equal(kit_read(kit, wide[i] + 4, 4), 0x22);
	}
	/* FEDATA and FEADDR as one qword at 0x38 + 8 = 0x40: FEADDR, FEUADDR. */
	kit_write(kit, REG_FEADDR, 8, 0x55fee01000);
	assert_int_equal(kit_read(kit, REG_FEADDR, 4), 0xfee01000);
	assert_int_equal(kit_read(kit, REG_FEUADDR, 4), 0x55);
	/* GCMD and GSTS share a qword; the upper half is read-only. */
	kit_write(kit, REG_GSTS, 4, 0xffffffff);
	assert_int_equal(kit_read(kit, REG_GSTS, 4), 0);
}

static void read_only_registers(void **state)
{
	struct kit *kit = *state;
	static const uint32_t offsets[] = { REG_VER, REG_CAP, REG_ECAP, REG_IQH, REG_IQERCD };

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		uint64_t before = kit_read(kit, offsets[i], 4);

		kit_write(kit, offsets[i], 4, 0xffffffff);
		assert_int_equal(kit_read(kit, offsets[i], 4), before);
	}
}

/* VT-d 11.4: bits that are reserved read as zero whatever was written. */
static void reserved_bits_stay_zero(void **state)
{
	struct kit *kit = *state;

	static const uint32_t data[] = { REG_FEDATA, REG_IEDATA, REG_PEDATA };

	/* VT-d 11.4.7.3, 11.4.9.6, 11.4.11.6: a message has 16 bits. */
	for (int i = 0; i < 3; i++) {
		kit_write(kit, data[i], 4, 0xffffffff);
		assert_int_equal(kit_read(kit, data[i], 4), 0xffff);
	}
	kit_write(kit, REG_FEADDR, 4, 0xffffffff);
	assert_int_equal(kit_read(kit, REG_FEADDR, 4), 0xfffffffc);
	kit_write(kit, REG_FECTL, 4, 0xffffffff);
	assert_int_equal(kit_read(kit, REG_FECTL, 4), EVENT_IM);
	kit_write(kit, REG_RTADDR, 8, ~0ull);
	assert_int_equal(kit_read(kit, REG_RTADDR, 8), ~0x3ffull);
	kit_write(kit, REG_RTADDR, 8, 0x3ff);
	assert_int_equal(kit_read(kit, REG_RTADDR, 8), 0);
	/* VT-d 11.4.6.3: all but the command and what was done. */
	kit_write(kit, 0x508, 8, ~(BIT(63) | 3ull << 57));
	assert_int_equal(kit_read(kit, 0x508, 8), 3ull << 60 | 0x3ffffull << 32);
	kit_write(kit, REG_PQA, 8, 0xff8);
	assert_int_equal(kit_read(kit, REG_PQA, 8), 0);
	kit_write(kit, REG_IQA, 8, 0x7f8);
	assert_int_equal(kit_read(kit, REG_IQA, 8), 0);
}

/* VT-d 11.4.12, 11.4.12.1 to 11.4.12.4: kept for software, where MTS says that they are there. */
static void memory_type_ranges(void **state)
{
	struct viommu_unit_options options;
	struct kit *plain = *state;
	struct kit kit;
	uint64_t value;

	assert_int_equal(viommu_unit_read(plain->unit, 0x100, 8, &value), -EINVAL);
	assert_int_equal(viommu_unit_write(plain->unit, 0x180, 8, ~0ull), -EINVAL);
	viommu_unit_options_init(&options);
	options.memory_type = true;
	kit_create(&kit, &options);
	/* VCNT 10, FIX, WC */
	assert_int_equal(kit_read(&kit, 0x100, 8), 0x50a);
	kit_write(&kit, 0x100, 8, 0);
	assert_int_equal(kit_read(&kit, 0x100, 8), 0x50a);
	kit_write(&kit, 0x108, 8, ~0ull);
	assert_int_equal(kit_read(&kit, 0x108, 8), 0xcff);
	for (uint32_t offset = 0x120; offset <= 0x170; offset += 8) {
		kit_write(&kit, offset, 8, 0x0606060606060600 + offset);
		assert_int_equal(kit_read(&kit, offset, 8), 0x0606060606060600 + offset);
	}
	for (uint32_t offset = 0x180; offset <= 0x210; offset += 16) {
		kit_write(&kit, offset, 8, 0x40000fff);
		assert_int_equal(kit_read(&kit, offset, 8), 0x400000ff);
		kit_write(&kit, offset + 8, 8, 0xffffc0000fff);
		assert_int_equal(kit_read(&kit, offset + 8, 8), 0xffffc0000800);
	}
	viommu_unit_reset(kit.unit);
	assert_int_equal(kit_read(&kit, 0x180, 8), 0);
	kit_destroy(&kit);
}

/* unit.h: anything but an aligned 4- or 8-byte access inside the window is -EINVAL and reads zero.
 */
static void bad_accesses(void **state)
{
	struct kit *kit = *state;
	static const struct {
		uint64_t offset;
		unsigned int length;
	} cases[] = { { 0, 1 },		{ 0, 2 },    { 2, 4 },	  { 4, 8 },
		      { 0xffc, 8 },	{ 4096, 4 }, { 4096, 8 }, { ~0ull, 4 },
		      { ~0ull - 7, 8 }, { 0, 0 },    { 0, 16 },	  { 0xffe, 4 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t value = 7;

		assert_int_equal(
			viommu_unit_read(kit->unit, cases[i].offset, cases[i].length, &value),
			-EINVAL);
		assert_int_equal(value, 0);
		assert_int_equal(
			viommu_unit_write(kit->unit, cases[i].offset, cases[i].length, ~0ull),
			-EINVAL);
	}
	assert_int_equal(kit_read(kit, REG_GSTS, 4), 0);
}

struct step {
	char op;
	uint16_t offset;
	uint8_t length;
	uint64_t value;
};

/* Accesses of Linux 7.2 as recorded; addresses moved into the kit's memory. */
static const struct step linux_scalable[] = {
	{ 'R', 0x8, 8 },
	{ 'R', 0x10, 8 },
	{ 'R', 0x8, 8 },
	{ 'R', 0x10, 8 },
	{ 'R', 0x0, 4 },
	{ 'R', 0x1c, 4 },
	{ 'R', 0x34, 4 },
	{ 'R', 0x1c, 4 },
	{ 'W', 0x88, 4, 0x0 },
	{ 'W', 0x90, 8, 0x380801 },
	{ 'W', 0x18, 4, 0x4000000 },
	{ 'R', 0x1c, 4, 0x4000000 },
	{ 'R', 0x1c, 4, 0x4000000 },
	{ 'W', 0x20, 8, 0x27d400 },
	{ 'W', 0x18, 4, 0x44000000 },
	{ 'R', 0x1c, 4, 0x44000000 },
	{ 'W', 0xe4, 4, 0x21 },
	{ 'W', 0xe8, 4, 0xfee00000 },
	{ 'W', 0xec, 4, 0x0 },
	{ 'W', 0xe4, 4, 0x21 },
	{ 'W', 0xe8, 4, 0xfee00000 },
	{ 'W', 0xec, 4, 0x0 },
	{ 'W', 0xe0, 4, 0x0 },
	{ 'R', 0xe0, 4, 0x0 },
	{ 'W', 0xc0, 8, 0x0 },
	{ 'W', 0xc8, 8, 0x0 },
	{ 'W', 0xd0, 8, 0xa40004 },
	{ 'W', 0x3c, 4, 0x22 },
	{ 'W', 0x40, 4, 0xfee00000 },
	{ 'W', 0x44, 4, 0x0 },
	{ 'W', 0x3c, 4, 0x22 },
	{ 'W', 0x40, 4, 0xfee00000 },
	{ 'W', 0x44, 4, 0x0 },
	{ 'W', 0x38, 4, 0x0 },
	{ 'R', 0x38, 4, 0x0 },
	{ 'W', 0x18, 4, 0x84000000 },
	{ 'R', 0x1c, 4, 0xc4000000 },
	{ 'W', 0x18, 4, 0x4000000 },
	{ 'R', 0x1c, 4, 0x44000000 },
};

static const struct step linux_legacy[] = {
	{ 'R', 0x8, 8 },
	{ 'R', 0x10, 8 },
	{ 'R', 0x0, 4 },
	{ 'R', 0x1c, 4 },
	{ 'R', 0x34, 4 },
	{ 'R', 0x1c, 4 },
	{ 'W', 0x88, 4, 0x0 },
	{ 'W', 0x90, 8, 0x27d000 },
	{ 'W', 0x18, 4, 0x4000000 },
	{ 'R', 0x1c, 4, 0x4000000 },
	{ 'R', 0x1c, 4, 0x4000000 },
	{ 'W', 0x20, 8, 0x27e000 },
	{ 'W', 0x18, 4, 0x44000000 },
	{ 'R', 0x1c, 4, 0x44000000 },
	{ 'W', 0x3c, 4, 0x21 },
	{ 'W', 0x40, 4, 0xfee00000 },
	{ 'W', 0x44, 4, 0x0 },
	{ 'W', 0x3c, 4, 0x21 },
	{ 'W', 0x40, 4, 0xfee00000 },
	{ 'W', 0x44, 4, 0x0 },
	{ 'W', 0x38, 4, 0x0 },
	{ 'R', 0x38, 4, 0x0 },
	{ 'W', 0x88, 4, 0x20 },
	{ 'W', 0x88, 4, 0x40 },
	{ 'W', 0x88, 4, 0x60 },
	{ 'W', 0x88, 4, 0x80 },
	{ 'W', 0x88, 4, 0xa0 },
	{ 'W', 0x88, 4, 0xc0 },
	{ 'W', 0x88, 4, 0xe0 },
	{ 'W', 0x88, 4, 0x100 },
	{ 'W', 0x88, 4, 0x120 },
	{ 'W', 0x88, 4, 0x140 },
	{ 'W', 0x18, 4, 0x84000000 },
	{ 'R', 0x1c, 4, 0xc4000000 },
	{ 'W', 0x18, 4, 0x4000000 },
	{ 'R', 0x1c, 4, 0x44000000 },
};

/* Do a step whole, or as two halves in either order. */
static void do_step(struct kit *kit, const struct step *step, int how)
{
	if (step->op == 'R') {
		uint64_t value = kit_read(kit, step->offset, step->length);

		if (step->offset >= REG_GSTS)
			assert_int_equal(value, step->value);
	} else if (step->length == 8 && how) {
		int first = how == 1 ? 0 : 4;

		kit_write(kit, step->offset + first, 4, (uint32_t)(step->value >> 8 * first));
		kit_write(kit, step->offset + (4 - first), 4,
			  (uint32_t)(step->value >> 8 * (4 - first)));
	} else {
		kit_write(kit, step->offset, step->length, step->value);
	}
}

static void replay(const struct viommu_unit_options *options, const struct step *steps,
		   size_t count, uint64_t queue, bool wide)
{
	for (int how = 0; how < 3; how++) {
		struct kit kit;

		kit_create(&kit, options);
		/* Every submission of Linux is one descriptor and a wait; invalidations are global.
		 */
		for (unsigned int i = 0; i < 0x1000 / 32; i++) {
			uint64_t at = queue + i * 32;

			if (wide)
				continue;
			kit_put(&kit, at, qi_iotlb(1, 0));
			kit_put(&kit, at + 16, QI_WAIT | QI_WAIT_SW | (uint64_t)(i + 1) << 32);
			kit_put(&kit, at + 24, kit.status);
		}
		for (size_t i = 0; i < count; i++)
			do_step(&kit, &steps[i], how);
		if (!wide)
			assert_int_equal((uint32_t)kit_get(&kit, kit.status), 10);
		assert_int_equal(kit_read(&kit, REG_FSTS, 4), 0);
		kit_destroy(&kit);
	}
}

/* VT-d 11.4.4, 11.4.5: the sequence a scalable-mode guest boots and powers off with. */
static void linux_boots_scalable(void **state)
{
	replay(NULL, linux_scalable, sizeof(linux_scalable) / sizeof(linux_scalable[0]), 0x380000,
	       true);
}

static void linux_boots_legacy(void **state)
{
	struct viommu_unit_options options;

	viommu_unit_options_init(&options);
	viommu_unit_options_set(&options, "scalable", "off", NULL, 0);
	replay(&options, linux_legacy, sizeof(linux_legacy) / sizeof(linux_legacy[0]), 0x27d000,
	       false);
}

/* VT-d 11.4.4: TE and QIE follow the bit, SRTP is one-shot and its status stays. */
static void commands(void **state)
{
	struct kit *kit = *state;

	kit_write(kit, REG_RTADDR, 8, kit->root | TTM_SCALABLE);
	kit_write(kit, REG_GCMD, 4, GCMD_SRTP);
	assert_int_equal(kit_read(kit, REG_GSTS, 4), GCMD_SRTP);
	kit_write(kit, REG_IQA, 8, kit->queue | BIT(11));
	kit_write(kit, REG_GCMD, 4, GCMD_QIE);
	assert_int_equal(kit_read(kit, REG_GSTS, 4), GCMD_SRTP | GCMD_QIE);
	kit_write(kit, REG_GCMD, 4, GCMD_QIE | GCMD_TE);
	assert_int_equal(kit_read(kit, REG_GSTS, 4), GCMD_SRTP | GCMD_QIE | GCMD_TE);
	kit_write(kit, REG_GCMD, 4, GCMD_TE);
	assert_int_equal(kit_read(kit, REG_GSTS, 4), GCMD_SRTP | GCMD_TE);
	kit_write(kit, REG_GCMD, 4, 0);
	assert_int_equal(kit_read(kit, REG_GSTS, 4), GCMD_SRTP);
	/* VT-d 11.4.4.1: no write buffer (RWBF clear), no advanced log: WBF, SFL, EAFL have no
	 * status. */
	kit_write(kit, REG_GCMD, 4, GCMD_WBF | BIT(28) | BIT(29));
	assert_int_equal(kit_read(kit, REG_GSTS, 4), GCMD_SRTP);
	/* Without interrupt remapping its bits do nothing. */
	kit_write(kit, REG_GCMD, 4, GCMD_IRE | GCMD_SIRTP | GCMD_CFI);
	assert_int_equal(kit_read(kit, REG_GSTS, 4), GCMD_SRTP);
}

/* VT-d 11.4.5: RTADDR is latched by SRTP, not by the write. */
static void root_is_latched(void **state)
{
	struct kit *kit = *state;

	kit_start(kit, TTM_SCALABLE);
	kit_setup_first(kit, 5, 4);
	expect_fault(kit, 5, 0x1000, VIOMMU_READ, 0x71);
	kit_write(kit, REG_RTADDR, 8, kit_page(kit) | TTM_SCALABLE);
	expect_fault(kit, 5, 0x1000, VIOMMU_READ, 0x71);
	/* VT-d 11.4.2 ESRTPS: setting the pointer drops every cache. */
	kit_write(kit, REG_GCMD, 4, kit->gcmd | GCMD_SRTP);
	expect_fault(kit, 5, 0x1000, VIOMMU_READ, 0x39);
}

/* VT-d 11.4.4: with TE off requests pass; turning it off and on leaves nothing stale. */
static void translation_off(void **state)
{
	struct kit *kit = *state;
	uint64_t root;

	expect_gpa(kit, VIOMMU_NO_PASID, 0x12345, VIOMMU_WRITE, 0x12345);
	kit_start(kit, TTM_SCALABLE);
	expect_fault(kit, VIOMMU_NO_PASID, 0x12345, VIOMMU_WRITE, 0x39);
	root = kit_setup_first(kit, 0, 4);
	kit_map_first(kit, root, 4, 0x12000, 1, 0x5000 | FS_P | FS_RW | FS_US);
	expect_gpa(kit, VIOMMU_NO_PASID, 0x12345, VIOMMU_WRITE, 0x5345);
	kit_disable(kit);
	expect_gpa(kit, VIOMMU_NO_PASID, 0x12345, VIOMMU_WRITE, 0x12345);
	kit_enable(kit);
	expect_gpa(kit, VIOMMU_NO_PASID, 0x12345, VIOMMU_WRITE, 0x5345);
}

/* VT-d 11.4.7.1, 11.4.11.4: status bits are write-one-to-clear; writing zeros does nothing. */
static void write_one_to_clear(void **state)
{
	struct kit *kit = *state;
	struct kit_record record;

	kit_start(kit, TTM_SCALABLE);
	struct viommu_translation t;

	assert_int_equal(viommu_translate(kit->endpoint, 1, 0, VIOMMU_READ, &t), VIOMMU_FAULT);
	assert_true(kit_read(kit, REG_FSTS, 4) & FSTS_PPF);
	kit_write(kit, REG_FSTS, 4, 0);
	assert_true(kit_read(kit, REG_FSTS, 4) & FSTS_PPF);
	/* PPF is the OR of the records' F: clearing it means clearing those. */
	kit_write(kit, REG_FSTS, 4, FSTS_PPF);
	assert_true(kit_read(kit, REG_FSTS, 4) & FSTS_PPF);
	assert_true(kit_take_fault(kit, &record));
	assert_false(kit_read(kit, REG_FSTS, 4) & FSTS_PPF);
}

/* unit.h: the state after power-on, caches empty. */
static void reset_forgets(void **state)
{
	struct kit *kit = *state;
	struct viommu_translation t;

	kit_start(kit, TTM_SCALABLE);
	assert_int_equal(viommu_translate(kit->endpoint, 1, 0, VIOMMU_READ, &t), VIOMMU_FAULT);
	kit_write(kit, REG_FECTL, 4, 0);
	viommu_unit_reset(kit->unit);
	power_on_values(state);
	assert_int_equal(kit_read(kit, REG_CAP, 8), kit->cap);
	assert_int_equal(kit_read(kit, 0x600 + 8, 8), 0);
	expect_gpa(kit, VIOMMU_NO_PASID, 0x4000, VIOMMU_READ, 0x4000);
	kit->gcmd = 0;
	kit_start(kit, TTM_SCALABLE);
	expect_fault(kit, 1, 0, VIOMMU_READ, 0x39);
}

/* VT-d 6.4, 11.4.6.1, 11.4.6.2: register-based invalidation answers by clearing its busy bit. */
static void register_based_invalidation(void **state)
{
	struct kit *kit = *state;
	uint64_t root, at;

	kit->gcmd = 0;
	kit_set_root(kit, kit->root | TTM_LEGACY);
	root = kit_setup_legacy(kit, KIT_RID, 4);
	at = kit_map_second(kit, root, 4, 0x7000, 1, 0x5000 | SS_R | SS_W);
	kit_enable(kit);
	expect_gpa(kit, VIOMMU_NO_PASID, 0x7010, VIOMMU_READ, 0x5010);
	kit_put(kit, at, 0x6000 | SS_R | SS_W);
	expect_gpa(kit, VIOMMU_NO_PASID, 0x7010, VIOMMU_READ, 0x5010);

	/* Page-selective; IAIG (58:57) tells what was done. */
	kit_write(kit, 0x500, 8, 0x7000);
	kit_write(kit, 0x508, 8, BIT(63) | 3ull << 60 | (uint64_t)KIT_DID << 32);
	assert_false(kit_read(kit, 0x508, 8) & BIT(63));
	assert_true(kit_read(kit, 0x508, 8) & 3ull << 57);
	expect_gpa(kit, VIOMMU_NO_PASID, 0x7010, VIOMMU_READ, 0x6010);
	/* Domain-selective, then global; the command may be written by its upper half alone. */
	kit_put(kit, at, 0x5000 | SS_R | SS_W);
	kit_write(kit, 0x508, 8, BIT(63) | 2ull << 60 | (uint64_t)KIT_DID << 32);
	expect_gpa(kit, VIOMMU_NO_PASID, 0x7010, VIOMMU_READ, 0x5010);
	kit_put(kit, at, 0x6000 | SS_R | SS_W);
	kit_write(kit, 0x50c, 4, BIT(31) | 1u << 28);
	assert_false(kit_read(kit, 0x50c, 4) & BIT(31));
	expect_gpa(kit, VIOMMU_NO_PASID, 0x7010, VIOMMU_READ, 0x6010);

	/* Context: gone after the entry is cleared and the cache told. */
	kit_put(kit, kit_context_legacy(kit, KIT_RID), 0);
	expect_gpa(kit, VIOMMU_NO_PASID, 0x7010, VIOMMU_READ, 0x6010);
	kit_write(kit, REG_CCMD, 8, BIT(63) | 3ull << 61 | (uint64_t)KIT_RID << 16 | KIT_DID);
	assert_false(kit_read(kit, REG_CCMD, 8) & BIT(63));
	assert_true(kit_read(kit, REG_CCMD, 8) & 3ull << 59);
	kit_write(kit, 0x508, 8, BIT(63) | 1ull << 60);
	expect_fault(kit, VIOMMU_NO_PASID, 0x7010, VIOMMU_READ, 0x2);
}

/* VT-d 7.3, 11.4.7.2: an event message carries a 64-bit address; masked events stay pending. */
static void fault_events(void **state)
{
	struct viommu_statistics s = { .size = sizeof(s) };
	struct kit *kit = *state;
	struct kit_record record;
	struct viommu_translation t;

	kit_start(kit, TTM_SCALABLE);
	kit_write(kit, REG_FEDATA, 4, 0x4021);
	kit_write(kit, REG_FEADDR, 4, 0xfee01004);
	kit_write(kit, REG_FEUADDR, 4, 0x12300);
	assert_int_equal(viommu_translate(kit->endpoint, 1, 0, VIOMMU_READ, &t), VIOMMU_FAULT);
	assert_int_equal(kit->messages, 0);
	assert_int_equal(kit_read(kit, REG_FECTL, 4), EVENT_IM | EVENT_IP);
	/* Unmasking sends what is pending. */
	kit_write(kit, REG_FECTL, 4, 0);
	assert_int_equal(kit->messages, 1);
	assert_int_equal(kit->message[0].address, 0x12300fee01004);
	assert_int_equal(kit->message[0].data, 0x4021);
	assert_ptr_equal(kit->message[0].cause, kit->endpoint);
	assert_int_equal(kit_read(kit, REG_FECTL, 4), 0);
	/* VT-d 7.2.1: no further message while a fault is pending; one when the log was emptied. */
	assert_int_equal(viommu_translate(kit->endpoint, 2, 0, VIOMMU_READ, &t), VIOMMU_FAULT);
	assert_int_equal(kit->messages, 1);
	while (kit_take_fault(kit, &record))
		;
	assert_int_equal(viommu_translate(kit->endpoint, 2, 0, VIOMMU_READ, &t), VIOMMU_FAULT);
	assert_int_equal(kit->messages, 2);
	/* Servicing while masked takes the pending message back. */
	while (kit_take_fault(kit, &record))
		;
	kit_write(kit, REG_FECTL, 4, EVENT_IM);
	assert_int_equal(viommu_translate(kit->endpoint, 2, 0, VIOMMU_READ, &t), VIOMMU_FAULT);
	assert_true(kit_read(kit, REG_FECTL, 4) & EVENT_IP);
	while (kit_take_fault(kit, &record))
		;
	assert_false(kit_read(kit, REG_FECTL, 4) & EVENT_IP);
	kit_write(kit, REG_FECTL, 4, 0);
	assert_int_equal(kit->messages, 2);
	assert_int_equal(viommu_unit_statistics(kit->unit, &s), 0);
	assert_int_equal(s.events, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		kit_test(power_on_values),
		kit_test(any_width_any_half),
		kit_test(read_only_registers),
		kit_test(reserved_bits_stay_zero), kit_test(memory_type_ranges),
		kit_test(bad_accesses),
		cmocka_unit_test(linux_boots_scalable),
		cmocka_unit_test(linux_boots_legacy),
		kit_test(commands),
		kit_test(root_is_latched),
		kit_test(translation_off),
		kit_test(write_one_to_clear),
		kit_test(reset_forgets),
		kit_test(register_based_invalidation),
		kit_test(fault_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
