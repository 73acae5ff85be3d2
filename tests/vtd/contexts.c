/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Scalable-mode tables above the paging structures: root, context, PASID directory, PASID entry.
 * Every way each can be wrong, with its own reason code, and what the capabilities allow in them.
 */
#include "expect.h"

#define NONE VIOMMU_NO_PASID
#define P1   3
#define URW  (FS_P | FS_RW | FS_US)

static int setup(void **state)
{
	kit_setup(state);
	kit_start(*state, TTM_SCALABLE);
	return 0;
}

/* VT-d 9.2 */
static void root_entry(void **state)
{
	struct kit *kit = *state;
	uint64_t good;

	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x39);
	expect_fault(kit, NONE, 0x1000, VIOMMU_WRITE, 0x39);
	kit_setup_first(kit, P1, 4);
	good = kit_get(kit, kit->root);
	for (int bit = 1; bit < 12; bit++) {
		kit_put(kit, kit->root, good | BIT(bit));
		assert_true(kit_flush_all(kit));
		expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x3a);
	}
	kit_put(kit, kit->root, good | BIT(50));
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x3a);
	kit_put(kit, kit->root, (kit->ram_size + 0x1000) | 1);
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x40);
	kit_set_root(kit, (kit->ram_size + 0x1000) | TTM_SCALABLE);
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x38);
}

/* VT-d 9.2: devfn 0x80 and above have the upper half. */
static void upper_half(void **state)
{
	struct kit *kit = *state;
	struct viommu_endpoint *high = kit_endpoint(kit, 0x0180);
	uint64_t root = kit_page(kit);
	struct viommu_translation t;

	kit_set_pasid_entry(kit, 0x0180, P1, PE_P | PE_FIRST, 9 | PE1_PWSNP, root);
	kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | URW);
	assert_int_equal(viommu_translate(high, P1, 0x1000, VIOMMU_READ, &t), 0);
	assert_int_equal(t.gpa, 0x5000);
	assert_true(kit_get(kit, kit->root + 16 + 8) & 1);
	assert_false(kit_get(kit, kit->root + 16) & 1);
	viommu_endpoint_destroy(high);
}

/* VT-d 9.4 */
static void context_entry(void **state)
{
	struct kit *kit = *state;
	uint64_t context, good;

	kit_setup_first(kit, P1, 4);
	context = kit_context_scalable(kit, KIT_RID);
	good = kit_get(kit, context);
	kit_put(kit, context, good & ~(uint64_t)CE_P);
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x41);
	for (int bit = 5; bit < 9; bit++) {
		kit_put(kit, context, good | BIT(bit));
		expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x42);
	}
	kit_put(kit, context, good | BIT(50));
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x42);
	kit_put(kit, context, good);
	for (int word = 1; word < 4; word++)
		for (int bit = word == 1 ? 20 : 0; bit < 64; bit++) {
			kit_put(kit, context + 8 * word, BIT(bit));
			expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x42);
			kit_put(kit, context + 8 * word, 0);
		}
	/* PRE needs DTE. */
	kit_put(kit, context, good & ~(uint64_t)CE_DTE);
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x43);
	kit_put(kit, context, good & ~(uint64_t)CE_PASIDE);
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x45);
	/* A directory that is not there. */
	kit_put(kit, context, (good & 0xfff) | (kit->ram_size + 0x100000));
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x50);
}

/* VT-d 9.4 PDTS: 2^(PDTS + 7) directory entries of 64 PASIDs. */
static void directory_size(void **state)
{
	struct kit *kit = *state;
	uint64_t context, good;

	kit_setup_first(kit, P1, 4);
	context = kit_context_scalable(kit, KIT_RID);
	good = kit_get(kit, context) & ~(7ull << CE_PDTS_SHIFT);
	for (uint64_t pdts = 0; pdts < 7; pdts++) {
		uint32_t first_beyond = 64u << (pdts + 7);

		kit_put(kit, context, good | pdts << CE_PDTS_SHIFT);
		kit_put(kit, context + 8, 0);
		assert_true(kit_flush_all(kit));
		expect_fault(kit, first_beyond - 1, 0x1000, VIOMMU_READ, 0x51);
		expect_fault(kit, first_beyond, 0x1000, VIOMMU_READ, 0x46);
		kit_put(kit, context + 8, first_beyond);
		assert_true(kit_flush_all(kit));
		expect_fault(kit, NONE, 0x1000, VIOMMU_READ, 0x43);
	}
	kit_put(kit, context, good | 7 << CE_PDTS_SHIFT);
	assert_true(kit_flush_all(kit));
	expect_fault(kit, VIOMMU_PASID_MAX, 0x1000, VIOMMU_READ, 0x51);
}

/* VT-d 11.4.3 PSS: a unit with fewer PASID bits knows no more. */
static void fewer_pasid_bits(void **state)
{
	struct viommu_unit_options options;
	struct kit kit;

	viommu_unit_options_init(&options);
	options.pasid_bits = 8;
	kit_create(&kit, &options);
	kit_start(&kit, TTM_SCALABLE);
	kit_setup_first(&kit, P1, 4);
	expect_fault(&kit, 255, 0x1000, VIOMMU_READ, 0x51);
	expect_fault(&kit, 256, 0x1000, VIOMMU_READ, 0x89);
	kit_destroy(&kit);
}

/* VT-d 9.5 */
static void directory_entry(void **state)
{
	struct kit *kit = *state;
	uint64_t at, good;

	kit_setup_first(kit, P1, 4);
	expect_fault(kit, 64, 0x1000, VIOMMU_READ, 0x51);
	at = kit_get(kit, kit_context_scalable(kit, KIT_RID)) & ~0xfffull;
	good = kit_get(kit, at);
	for (int bit = 2; bit < 12; bit++) {
		kit_put(kit, at, good | BIT(bit));
		expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x52);
	}
	kit_put(kit, at, good | BIT(48));
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x52);
	kit_put(kit, at, (kit->ram_size + 0x1000) | 1);
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x58);
}

/* VT-d 9.6: all eight words. */
static void pasid_entry_reserved(void **state)
{
	struct kit *kit = *state;
	uint64_t pe, good[3];

	kit_setup_first(kit, P1, 4);
	pe = kit_pasid_entry(kit, KIT_RID, P1);
	for (int i = 0; i < 3; i++)
		good[i] = kit_get(kit, pe + 8 * i);
	expect_fault(kit, P1 + 1, 0x1000, VIOMMU_READ, 0x59);
	static const uint64_t reserved[3] = { BIT(5) | BIT(10) | BIT(11),
					      0x7f0000 | 3ull << 30 | 0x1full << 25 |
						      0xffffffffull << 32,
					      0xf00 };

	for (int word = 0; word < 3; word++)
		for (int bit = 0; bit < 64; bit++) {
			if (!(reserved[word] & BIT(bit)))
				continue;
			kit_put(kit, pe + 8 * word, good[word] | BIT(bit));
			expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x5a);
			kit_put(kit, pe + 8 * word, good[word]);
		}
	for (int word = 3; word < 8; word++)
		for (int bit = 0; bit < 64; bit += 7) {
			kit_put(kit, pe + 8 * word, BIT(bit));
			expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x5a);
			kit_put(kit, pe + 8 * word, 0);
		}
	/* Either pointer beyond the host's addresses, looked at or not. */
	kit_put(kit, pe, good[0] | BIT(48));
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x5a);
	kit_put(kit, pe, good[0]);
	kit_put(kit, pe + 16, good[2] | BIT(48));
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x5a);
	kit_put(kit, pe + 16, good[2]);
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x71);
}

/* VT-d 9.6, 11.4.3 MTS: with memory types their fields are accepted. */
static void memory_types(void **state)
{
	struct viommu_unit_options options;
	struct kit kit;
	uint64_t pe, word;

	viommu_unit_options_init(&options);
	options.memory_type = true;
	kit_create(&kit, &options);
	kit_start(&kit, TTM_SCALABLE);
	kit_setup_first(&kit, P1, 4);
	pe = kit_pasid_entry(&kit, KIT_RID, P1);
	word = kit_get(&kit, pe + 8);
	for (int bit = 27; bit < 32; bit++) {
		kit_put(&kit, pe + 8, word | BIT(bit));
		expect_fault(&kit, P1, 0x1000, VIOMMU_READ, 0x5a);
	}
	kit_put(&kit, pe + 8, word | 3ull << 25 | 0x0706050400000000ull);
	expect_fault(&kit, P1, 0x1000, VIOMMU_READ, 0x71);
	kit_destroy(&kit);
}

/* VT-d 9.6: PGTT, AW and FSPM that are reserved. */
static void pasid_entry_invalid(void **state)
{
	struct kit *kit = *state;
	uint64_t root = kit_page(kit);

	for (uint64_t pgtt = 0; pgtt < 8; pgtt++) {
		if (pgtt >= 1 && pgtt <= 4)
			continue;
		kit_set_pasid_entry(kit, KIT_RID, P1, PE_P | pgtt << 6 | 2 << PE_AW_SHIFT, 2, root);
		expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x5b);
	}
	for (uint64_t aw = 0; aw < 8; aw++) {
		if (aw == 1 || aw == 2)
			continue;
		for (uint64_t type = PE_SECOND; type <= PE_NESTED; type += 1 << 6) {
			kit_set_pasid_entry(kit, KIT_RID, P1,
					    root | PE_P | type | aw << PE_AW_SHIFT, 2, root);
			expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x5b);
		}
		/* The first stage does not look at AW, nor does passing through. */
		kit_set_pasid_entry(kit, KIT_RID, P1, PE_P | PE_PASS | aw << PE_AW_SHIFT, 2, root);
		expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x1000);
		assert_true(kit_flush_all(kit));
		kit_set_pasid_entry(kit, KIT_RID, P1, PE_P | PE_FIRST | aw << PE_AW_SHIFT, 2, root);
		expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x71);
		assert_true(kit_flush_all(kit));
	}
	for (uint64_t fspm = 2; fspm < 4; fspm++) {
		kit_set_pasid_entry(kit, KIT_RID, P1, PE_P | PE_FIRST, 2, root | fspm << 2);
		expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x5b);
	}
}

struct lack {
	const char *option;
	uint64_t qw0, qw1, qw2;
	unsigned int reason;
};

#define ROOT 0x1000000

/* VT-d 11.4.2, 11.4.3: what the unit cannot do its entries may not ask for. */
static void capabilities_rule(void **state)
{
	static const struct lack lacks[] = {
		{ "first-stage", PE_FIRST, 0, 0, 0x5b },
		{ "first-stage", PE_PASS, 0, PE2_WPE, 0x5a },
		{ "first-stage", PE_PASS, 0, PE2_FSPM5, 0x5a },
		{ "first-stage", PE_PASS | 2 << 2, 0, ROOT, 0x5a },
		{ "second-stage", PE_SECOND | 2 << 2, 0, 0, 0x5b },
		{ "second-stage", PE_PASS | 2 << 2 | ROOT, 0, 0, 0x5a },
		{ "nested", PE_NESTED | 2 << 2, 0, 0, 0x5b },
		{ "pass-through", PE_PASS | 2 << 2, 0, 0, 0x5b },
		{ "five-level", PE_FIRST, 0, PE2_FSPM5, 0x5b },
		{ "snoop-control", PE_FIRST, PE1_PGSNP, 0, 0x5a },
		{ "coherent", PE_FIRST, PE1_PWSNP, 0, 0x5a },
		{ "dirty-tracking", PE_SECOND | 2 << 2 | PE_SSADE, 0, 0, 0x5a },
		{ "supervisor-request", PE_FIRST, 0, PE2_SRE, 0x5a },
		{ "execute-request", PE_FIRST, 0, PE2_ERE, 0x5a },
		{ "extended-accessed", PE_FIRST, 0, PE2_EAFE, 0x5a },
		/* NXE and SMEP are ignored. */
		{ "execute-request", PE_FIRST, 0, PE2_NXE | 1 << 6, 0x71 },
	};

	for (size_t i = 0; i < sizeof(lacks) / sizeof(lacks[0]); i++)
		for (int on = 0; on < 2; on++) {
			struct viommu_unit_options options;
			struct viommu_translation t;
			struct kit kit;

			viommu_unit_options_init(&options);
			viommu_unit_options_set(&options, lacks[i].option, on ? "on" : "off", NULL,
						0);
			kit_create(&kit, &options);
			kit_start(&kit, TTM_SCALABLE);
			kit_set_pasid_entry(&kit, KIT_RID, P1, PE_P | lacks[i].qw0,
					    2 | lacks[i].qw1, lacks[i].qw2);
			if (viommu_translate(kit.endpoint, P1, 0x1000, VIOMMU_READ, &t) == 0)
				t.fault.reason = 0;
			if (on ? t.fault.reason && t.fault.reason < 0x70
			       : t.fault.reason != lacks[i].reason)
				fail_msg("%s=%s: reason 0x%x", lacks[i].option, on ? "on" : "off",
					 t.fault.reason);
			kit_destroy(&kit);
		}
}

/* VT-d 11.4.5, 3.4: table modes. */
static void table_modes(void **state)
{
	struct kit *kit = *state;
	struct viommu_unit_options options;
	struct kit other;

	kit_set_root(kit, kit->root | TTM_RESERVED);
	expect_fault(kit, NONE, 0x1000, VIOMMU_READ, 0x30);
	/* Abort: everything is blocked, whatever the tables say. */
	kit_setup_first(kit, P1, 4);
	kit_set_root(kit, kit->root | TTM_ABORT);
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x33);
	expect_fault(kit, NONE, 0x1000, VIOMMU_WRITE, 0x33);

	viommu_unit_options_init(&options);
	options.abort_mode = false;
	kit_create(&other, &options);
	kit_start(&other, TTM_ABORT);
	expect_fault(&other, NONE, 0x1000, VIOMMU_READ, 0x30);
	kit_destroy(&other);

	viommu_unit_options_init(&options);
	viommu_unit_options_set(&options, "scalable", "off", NULL, 0);
	kit_create(&other, &options);
	kit_start(&other, TTM_SCALABLE);
	expect_fault(&other, NONE, 0x1000, VIOMMU_READ, 0x30);
	kit_destroy(&other);
}

/* VT-d 9.6, 3.9: pass-through in a PE. */
static void pass_through(void **state)
{
	struct kit *kit = *state;

	kit_set_pasid_entry(kit, KIT_RID, P1, PE_P | PE_PASS | 2 << PE_AW_SHIFT, 2, 0);
	expect_gpa(kit, P1, 0x123456789, VIOMMU_WRITE, 0x123456789);
	expect_gpa(kit, P1, 0x123456789, VIOMMU_ATOMIC, 0x123456789);
	expect_fault(kit, P1, BIT(48), VIOMMU_READ, 0x83);
	expect_fault(kit, P1, 0xfee01000, VIOMMU_WRITE, 0x87);
}

/* VT-d 9.4, 9.5, 9.6: FPD at any of three places. */
static void fault_processing_disable(void **state)
{
	struct kit *kit = *state;
	uint64_t context, directory, at[3];
	struct viommu_translation t;

	kit_setup_first(kit, P1, 4);
	context = kit_context_scalable(kit, KIT_RID);
	directory = kit_get(kit, context) & ~0xfffull;
	at[0] = context;
	at[1] = directory;
	at[2] = kit_pasid_entry(kit, KIT_RID, P1);
	for (int i = 0; i < 3; i++) {
		uint64_t good = kit_get(kit, at[i]);

		kit_put(kit, at[i], good | 2);
		assert_true(kit_flush_all(kit));
		for (int again = 0; again < 2; again++) {
			assert_int_equal(
				viommu_translate(kit->endpoint, P1, 0x1000, VIOMMU_READ, &t),
				VIOMMU_FAULT);
			assert_int_equal(t.fault.reason, 0x71);
			assert_false(t.fault.recorded);
			assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
		}
		kit_put(kit, at[i], good);
		assert_true(kit_flush_all(kit));
		expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x71);
	}
}

/* A table entry above may be anything but says nothing of entries that are not asked for. */
static void pasids_are_apart(void **state)
{
	struct kit *kit = *state;

	for (uint32_t pasid = 1; pasid < 1000; pasid += 61) {
		uint64_t root = kit_setup_first(kit, pasid, 4);

		kit_map_first(kit, root, 4, 0x1000, 1, (uint64_t)pasid << 12 | URW);
	}
	for (uint32_t pasid = 1; pasid < 1000; pasid += 61)
		expect_gpa(kit, pasid, 0x1abc, VIOMMU_WRITE, ((uint64_t)pasid << 12) + 0xabc);
	expect_fault(kit, 2, 0x1000, VIOMMU_READ, 0x59);
}

#define context_test(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		context_test(root_entry),
		context_test(upper_half),
		context_test(context_entry),
		context_test(directory_size),
		cmocka_unit_test(fewer_pasid_bits),
		context_test(directory_entry),
		context_test(pasid_entry_reserved),
		cmocka_unit_test(memory_types),
		context_test(pasid_entry_invalid),
		cmocka_unit_test(capabilities_rule),
		context_test(table_modes),
		context_test(pass_through),
		context_test(fault_processing_disable),
		context_test(pasids_are_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
