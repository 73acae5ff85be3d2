/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DMAR table, taken apart again byte by byte (VT-d 8).
 */
#include <errno.h>

#include "expect.h"
#include <viommu/dmar.h>

static struct viommu_dmar_scope endpoint(uint8_t device, uint8_t function, bool ats)
{
	return (struct viommu_dmar_scope){
		.size = sizeof(struct viommu_dmar_scope),
		.type = VIOMMU_SCOPE_ENDPOINT,
		.hops = 1,
		.ats = ats,
		.path = { { device, function } },
	};
}

static struct viommu_dmar_unit unit(uint64_t base, const struct viommu_dmar_scope *scopes,
				    uint32_t count)
{
	return (struct viommu_dmar_unit){
		.size = sizeof(struct viommu_dmar_unit),
		.base = base,
		.scopes = scopes,
		.scope_count = count,
	};
}

/* VT-d 8.1, 8.2, 8.3, 8.3.1: the layout a guest of the demo gets. */
static void one_unit_two_endpoints(void **state)
{
	const struct viommu_dmar_scope scopes[] = { endpoint(4, 0, true), endpoint(5, 1, false) };
	const struct viommu_dmar_unit u = unit(0xe0000000, scopes, 2);
	static const uint8_t expected[] = {
		47, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0, 0,		     /* width, flags */
		0,  0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0xe0, 0, 0, 0, 0, /* DRHD */
		1,  8, 0,  0, 0, 0, 4, 0, 1, 8, 0, 0,	 0, 0, 5, 1, /* its scopes */
		5,  0, 16, 0, 0, 0, 0, 0, 1, 8, 0, 0,	 0, 0, 4, 0, /* SATC */
	};
	uint8_t table[200];

	memset(table, 0xcc, sizeof(table));
	assert_int_equal(viommu_dmar_build(&u, 1, 48, 0, false, table, sizeof(table), NULL, 0),
			 sizeof(expected));
	assert_memory_equal(table, expected, sizeof(expected));
	assert_int_equal(table[sizeof(expected)], 0xcc);
}

static void header_length_and_checksum(void **state)
{
	const struct viommu_dmar_scope scope = endpoint(4, 0, false);
	const struct viommu_dmar_unit u = unit(0xe0000000, &scope, 1);
	uint8_t table[200], sum = 0;
	int length = viommu_dmar_build(&u, 1, 57, VIOMMU_DMAR_INTR_REMAP, true, table,
				       sizeof(table), NULL, 0);

	assert_int_equal(length, 36 + 12 + 16 + 8);
	assert_memory_equal(table, "DMAR", 4);
	assert_int_equal(table[4], length);
	for (int i = 0; i < length; i++)
		sum += table[i];
	assert_int_equal(sum, 0);
	assert_int_equal(table[36], 56);
	assert_int_equal(table[37], 1);
}

/* Nothing is written when it does not fit, not one byte beyond when it does. */
static void short_buffers(void **state)
{
	const struct viommu_dmar_scope scope = endpoint(4, 0, false);
	const struct viommu_dmar_unit u = unit(0xe0000000, &scope, 1);
	uint8_t table[64];
	int needed = viommu_dmar_build(&u, 1, 48, 0, false, NULL, 0, NULL, 0);

	assert_int_equal(needed, 36);
	memset(table, 0xcc, sizeof(table));
	assert_int_equal(viommu_dmar_build(&u, 1, 48, 0, false, table, needed - 1, NULL, 0),
			 needed);
	for (size_t i = 0; i < sizeof(table); i++)
		assert_int_equal(table[i], 0xcc);
	assert_int_equal(viommu_dmar_build(&u, 1, 48, 0, false, table, needed, NULL, 0), needed);
	for (size_t i = needed; i < sizeof(table); i++)
		assert_int_equal(table[i], 0xcc);
}

/* VT-d 8.5: endpoints behind ports; each port once, per segment. */
static void ports_go_into_the_atsr(void **state)
{
	struct viommu_dmar_scope scopes[] = { endpoint(4, 0, true), endpoint(4, 0, true),
					      endpoint(3, 0, true) };
	struct viommu_dmar_unit units[2];
	uint8_t table[400];
	int length;

	for (int i = 0; i < 2; i++) {
		scopes[i].hops = 2;
		scopes[i].path[1] = (struct viommu_dmar_hop){ (uint8_t)i, 0 };
	}
	units[0] = unit(0xe0000000, scopes, 3);
	units[1] = unit(0xd0000000, scopes, 3);
	units[1].segment = 1;
	length = viommu_dmar_build(units, 2, 48, 0, false, table, sizeof(table), NULL, 0);
	/* Two DRHDs of 16 + 10 + 10 + 8, two ATSRs of 8 + 8, two SATCs of 8 + 8. */
	assert_int_equal(length, 12 + 2 * 44 + 2 * 16 + 2 * 16);
	assert_int_equal(table[12 + 88], 2);
	assert_int_equal(table[12 + 88 + 2], 16);
	assert_int_equal(table[12 + 88 + 6], 0);
	assert_int_equal(table[12 + 88 + 8], VIOMMU_SCOPE_BRIDGE);
	assert_int_equal(table[12 + 88 + 14], 4);
	assert_int_equal(table[12 + 104], 2);
	assert_int_equal(table[12 + 104 + 6], 1);
	assert_int_equal(table[12 + 120], 5);
	assert_int_equal(table[12 + 120 + 14], 3);
}

/* The same port through two units of one segment is listed once. */
static void port_shared_by_units(void **state)
{
	struct viommu_dmar_scope a = endpoint(4, 0, true), b = endpoint(4, 0, true);
	struct viommu_dmar_unit units[2];

	a.hops = b.hops = 2;
	b.path[1].device = 1;
	units[0] = unit(0xe0000000, &a, 1);
	units[1] = unit(0xd0000000, &b, 1);
	assert_int_equal(viommu_dmar_build(units, 2, 48, 0, false, NULL, 0, NULL, 0),
			 12 + 2 * 26 + 16);
}

/* VT-d 8.3: include-all comes last. */
static void include_all_is_last(void **state)
{
	const struct viommu_dmar_scope scope = endpoint(4, 0, false);
	struct viommu_dmar_unit units[2] = { unit(0xe0000000, NULL, 0),
					     unit(0xd0000000, &scope, 1) };
	uint8_t table[100];

	units[0].include_all = true;
	assert_int_equal(viommu_dmar_build(units, 2, 48, 0, false, table, sizeof(table), NULL, 0),
			 12 + 24 + 16);
	assert_int_equal(table[12 + 4], 0);
	assert_int_equal(table[12 + 24 + 4], 1);
	assert_int_equal(table[12 + 24 + 11], 0xe0);
}

static void ioapic_scope(void **state)
{
	struct viommu_dmar_scope scope = endpoint(31, 7, true);
	struct viommu_dmar_unit u = unit(0xe0000000, &scope, 1);
	uint8_t table[100];

	scope.type = VIOMMU_SCOPE_IOAPIC;
	scope.enumeration_id = 9;
	scope.start_bus = 0xf0;
	/* `ats` means nothing for an IOAPIC: no SATC. */
	assert_int_equal(viommu_dmar_build(&u, 1, 48, 3, false, table, sizeof(table), NULL, 0), 36);
	assert_int_equal(table[28], 3);
	assert_int_equal(table[32], 9);
	assert_int_equal(table[33], 0xf0);
}

#define expect_refused(units, count, width, flags, word)                                      \
	do {                                                                                  \
		char message_[200] = "";                                                      \
		assert_int_equal(viommu_dmar_build(units, count, width, flags, true, NULL, 0, \
						   message_, sizeof(message_)),               \
				 -EINVAL);                                                    \
		if (!strstr(message_, word))                                                  \
			fail_msg("no '%s' in: %s", word, message_);                           \
	} while (0)

static void bad_input_is_named(void **state)
{
	struct viommu_dmar_scope scope = endpoint(4, 0, false), good = scope;
	struct viommu_dmar_unit units[2] = { unit(0xe0000000, &scope, 1),
					     unit(0xd0000000, &good, 1) };

	expect_refused(units, 0, 48, 0, "at least one");
	expect_refused(units, 1, 31, 0, "31");
	expect_refused(units, 1, 65, 0, "65");
	expect_refused(units, 1, 48, 4, "0x4");
	scope.hops = 0;
	expect_refused(units, 1, 48, 0, "0 hops");
	scope.hops = 9;
	expect_refused(units, 1, 48, 0, "9 hops");
	scope = good;
	scope.path[0].device = 32;
	expect_refused(units, 1, 48, 0, "32.0");
	scope = good;
	scope.path[0].function = 8;
	expect_refused(units, 1, 48, 0, "4.8");
	scope = good;
	scope.type = 6;
	expect_refused(units, 1, 48, 0, "type 6");
	scope = good;
	scope.size = 1;
	expect_refused(units, 1, 48, 0, "size 1");
	scope = good;
	units[0].base = 0xe0000800;
	expect_refused(units, 1, 48, 0, "0xe0000800");
	units[0].base = 0;
	expect_refused(units, 1, 48, 0, "0x0");
	units[0].base = units[1].base;
	expect_refused(units, 2, 48, 0, "same base");
	units[0].base = 0xe0000000;
	units[0].size = 3;
	expect_refused(units, 2, 48, 0, "size 3");
	units[0].size = sizeof(units[0]);
	units[0].scope_count = 0;
	expect_refused(units, 2, 48, 0, "no scopes");
	units[0].include_all = units[1].include_all = true;
	expect_refused(units, 2, 48, 0, "include-all");
}

static void structures_have_a_16_bit_length(void **state)
{
	static struct viommu_dmar_scope scopes[8200];
	struct viommu_dmar_unit units[2];

	for (size_t i = 0; i < 8200; i++)
		scopes[i] = endpoint(i & 31, i >> 5 & 7, true);
	units[0] = unit(0xe0000000, scopes, 8200);
	expect_refused(units, 1, 48, 0, "8200 scopes");
	units[0].scope_count = 4100;
	units[1] = unit(0xd0000000, scopes, 4100);
	expect_refused(units, 2, 48, 0, "more ATS scopes");
	units[1].segment = 3;
	assert_true(viommu_dmar_build(units, 2, 48, 0, false, NULL, 0, NULL, 0) > 4 * 32800);
}

/* VT-d 8.4, 8.2: a reserved region between the units and the ATS structures. */
static void reserved_memory(void **state)
{
	struct viommu_dmar_scope scopes[] = { endpoint(4, 0, true), endpoint(5, 1, false) };
	struct viommu_dmar_unit u = unit(0xe0000000, scopes, 2);
	static const uint8_t expected[] = {
		1,    0,    32,	  0, 0, 0, 3, 0,	      /* RMRR, segment 3 */
		0,    0,    0x10, 0x7f, 0, 0, 0, 0,	      /* first */
		0xff, 0x1f, 0x10, 0x7f, 0, 0, 0, 0,	      /* last */
		1,    8,    0,	  0, 0, 0, 5, 1,	      /* whose it is */
		5,    0,    16,	  0, 0, 0, 3, 0,	      /* SATC */
	};
	uint8_t table[128];

	u.segment = 3;
	scopes[1].reserved_first = 0x7f100000;
	scopes[1].reserved_last = 0x7f101fff;
	assert_int_equal(viommu_dmar_build(&u, 1, 48, 0, false, table, sizeof(table), NULL, 0),
			 12 + 32 + 32 + 16);
	assert_memory_equal(table + 12 + 32, expected, sizeof(expected));
	scopes[1].reserved_last = 0x7f101ffe;
	expect_refused(&u, 1, 48, 0, "0x7f101ffe");
	scopes[1].reserved_last = 0x7f0fffff;
	expect_refused(&u, 1, 48, 0, "scope 1");
	scopes[1].reserved_last = 0x7f101fff;
	scopes[1].reserved_first = 0x7f100010;
	expect_refused(&u, 1, 48, 0, "0x7f100010");
	scopes[1].reserved_first = 0x7f100000;
	scopes[1].type = VIOMMU_SCOPE_HPET;
	expect_refused(&u, 1, 48, 0, "endpoint or bridge");
}

static struct viommu_dmar_scope acpi(uint8_t number, const char *name)
{
	struct viommu_dmar_scope scope = endpoint(21, 2, false);

	scope.type = VIOMMU_SCOPE_ACPI;
	scope.enumeration_id = number;
	scope.acpi_name = name;
	return scope;
}

/* VT-d 8.3.1.3, 8.7: devices that only ACPI knows: a scope with a number, and the number's name. */
static void acpi_devices(void **state)
{
	struct viommu_dmar_scope scopes[] = { endpoint(4, 0, true), acpi(7, "\\_SB.PCI0.I2C1"),
					      acpi(200, "\\A") };
	struct viommu_dmar_unit u = unit(0xe0000000, scopes, 3);
	static const uint8_t in_scope[] = { 5, 8, 0, 0, 7, 0, 21, 2, 5, 8, 0, 0, 200, 0, 21, 2 };
	static const uint8_t after[] = {
		4, 0, 22, 0, 0, 0, 0, 7, '\\', '_', 'S', 'B', '.', 'P', 'C', 'I', '0', '.', 'I', '2', 'C',
		'1', 0, /* ANDD */
		4, 0, 11, 0, 0, 0, 0, 200, '\\', 'A', 0,
		5, 0, 16, 0, 0, 0, 0, 0, /* SATC */
	};
	uint8_t table[200];
	int length;

	/* 8 and the name with its end: 23 for the first one. */
	uint8_t expected[sizeof(after)];

	memcpy(expected, after, sizeof(after));
	expected[2] = 23;
	length = viommu_dmar_build(&u, 1, 48, 0, false, table, sizeof(table), NULL, 0);
	assert_int_equal(length, 12 + 16 + 8 + 16 + 23 + 11 + 16);
	assert_memory_equal(table + 12 + 16 + 8, in_scope, sizeof(in_scope));
	assert_memory_equal(table + 12 + 16 + 8 + 16, expected, sizeof(expected));
	/* An include-all unit may have them, and reserved memory they have not. */
	u.include_all = true;
	u.scopes = scopes + 1;
	u.scope_count = 2;
	assert_true(viommu_dmar_build(&u, 1, 48, 0, false, table, sizeof(table), NULL, 0) > 0);
	scopes[1].reserved_last = 0xfff;
	expect_refused(&u, 1, 48, 0, "endpoint or bridge");
}

static void acpi_mistakes(void **state)
{
	static const char *const wrong[] = { "",	"_SB",	     "\\",	  "\\_SB.",   "\\.SB",  "\\_SB..I2C",
					     "\\I2C1A", "\\_SB.1ABC", "\\_sb", "\\_SB I2C", "\\_SB.P-0" };
	struct viommu_dmar_scope scopes[] = { acpi(7, "\\_SB.I2C1"), acpi(8, "\\_SB.I2C2") };
	struct viommu_dmar_scope one = endpoint(4, 0, false);
	struct viommu_dmar_unit units[2] = { unit(0xe0000000, scopes, 2), unit(0xd0000000, &one, 1) };
	char name[300];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		scopes[1].acpi_name = wrong[i];
		expect_refused(units, 1, 48, 0, "a full name");
	}
	scopes[1].acpi_name = NULL;
	expect_refused(units, 1, 48, 0, "missing");
	/* As long as may be, and one character more. */
	memset(name, 'A', sizeof(name));
	name[0] = '\\';
	for (int i = 5; i < 256; i += 5)
		name[i] = '.';
	name[255] = 0;
	scopes[1].acpi_name = name;
	assert_true(viommu_dmar_build(units, 1, 48, 0, false, NULL, 0, NULL, 0) > 255);
	name[255] = '.';
	name[256] = 'A';
	name[257] = 0;
	expect_refused(units, 1, 48, 0, "255 characters");
	scopes[1].acpi_name = "\\_SB.I2C2";
	scopes[1].enumeration_id = 0;
	expect_refused(units, 1, 48, 0, "number 0");
	scopes[1].enumeration_id = 7;
	expect_refused(units, 1, 48, 0, "same ACPI device number 7");
	scopes[1].enumeration_id = 8;
	one = acpi(8, "\\_SB.I2C3");
	expect_refused(units, 2, 48, 0, "unit 0 scope 1 and unit 1 scope 0");
	one = endpoint(4, 0, false);
	one.acpi_name = "\\_SB";
	expect_refused(units, 2, 48, 0, "not ACPI's");
	one.acpi_name = NULL;
	scopes[1].hops = 2;
	expect_refused(units, 1, 48, 0, "2 hops");
	scopes[1].type = VIOMMU_SCOPE_HPET;
	expect_refused(units, 1, 48, 0, "2 hops");
	scopes[1] = endpoint(3, 0, false);
	units[0].include_all = true;
	expect_refused(units, 1, 48, 0, "include-all");
	scopes[1].type = (enum viommu_dmar_scope_type)6;
	expect_refused(units, 1, 48, 0, "type 6");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_unit_two_endpoints),
		cmocka_unit_test(header_length_and_checksum),
		cmocka_unit_test(short_buffers),
		cmocka_unit_test(ports_go_into_the_atsr),
		cmocka_unit_test(port_shared_by_units),
		cmocka_unit_test(include_all_is_last),
		cmocka_unit_test(ioapic_scope),
		cmocka_unit_test(bad_input_is_named),
		cmocka_unit_test(reserved_memory),
		cmocka_unit_test(acpi_devices),
		cmocka_unit_test(acpi_mistakes),
		cmocka_unit_test(structures_have_a_16_bit_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
