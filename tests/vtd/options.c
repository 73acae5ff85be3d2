/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options by name, their checks, and the capabilities they turn into.
 */
#include <errno.h>
#include <stdio.h>

#include "expect.h"

static void set(struct viommu_unit_options *options, const char *name, const char *value)
{
	char message[200] = "";

	if (viommu_unit_options_set(options, name, value, message, sizeof(message)))
		fail_msg("%s=%s: %s", name, value, message);
}

static void every_option_has_a_default_that_parses(void **state)
{
	struct viommu_unit_options options;
	struct viommu_option_info info = { .size = sizeof(info) };
	char message[200];
	unsigned int n;

	for (n = 0; viommu_unit_option_info(n, &info) == 0; n++) {
		viommu_unit_options_init(&options);
		assert_non_null(info.name);
		assert_non_null(info.help);
		assert_non_null(info.allowed);
		set(&options, info.name, info.default_value);
		assert_int_equal(viommu_unit_options_check(&options, message, sizeof(message)), 0);
	}
	assert_int_equal(n, 33);
	info.size = 2;
	assert_int_equal(viommu_unit_option_info(0, &info), -EINVAL);
}

/* A caller built against a shorter struct gets what fits. */
static void option_info_keeps_to_the_callers_size(void **state)
{
	struct viommu_option_info info = { .size = offsetof(struct viommu_option_info, help) };

	info.help = "untouched";
	assert_int_equal(viommu_unit_option_info(1, &info), 0);
	assert_string_equal(info.name, "pasid-bits");
	assert_string_equal(info.help, "untouched");
	assert_int_equal(info.size, offsetof(struct viommu_option_info, help));
}

static void values_are_refused_with_a_sentence(void **state)
{
	static const struct {
		const char *name, *value, *allowed;
	} cases[] = {
		{ "pasid-bits", "21", "0..20" },
		{ "pasid-bits", "-1", "0..20" },
		{ "pasid-bits", "", "0..20" },
		{ "pasid-bits", "8x", "0..20" },
		{ "aw-bits", "40", "39, 48 or 57" },
		{ "scalable", "maybe", "on|off" },
		{ "fault-records", "0", "1..160" },
		{ "fault-records", "161", "1..160" },
		{ "segment", "65536", "0..65535" },
		{ "iotlb-entries", "100", "power of two" },
		{ "iotlb-entries", "32", "power" },
		{ "iotlb-entries", "2097152", "1048576" },
		{ "pasid-bits", "99999999999999999999", "0..20" },
	};
	struct viommu_unit_options options, before;
	char message[200];

	viommu_unit_options_init(&options);
	before = options;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(viommu_unit_options_set(&options, cases[i].name, cases[i].value,
							 message, sizeof(message)),
				 -EINVAL);
		assert_non_null(strstr(message, cases[i].name));
		assert_non_null(strstr(message, cases[i].value));
		assert_non_null(strstr(message, cases[i].allowed));
		assert_memory_equal(&options, &before, sizeof(options));
	}
	assert_int_equal(
		viommu_unit_options_set(&options, "colour", "red", message, sizeof(message)),
		-ENOENT);
	assert_non_null(strstr(message, "colour"));
	assert_int_equal(viommu_unit_options_set(&options, "colour", "red", NULL, 0), -ENOENT);
}

static void values_are_taken(void **state)
{
	struct viommu_unit_options options;

	viommu_unit_options_init(&options);
	set(&options, "aw-bits", "57");
	set(&options, "pasid-bits", "0x10");
	set(&options, "caching-mode", "yes");
	set(&options, "drain", "0");
	set(&options, "iotlb-entries", "64");
	set(&options, "segment", "7");
	assert_int_equal(options.aw_bits, 57);
	assert_int_equal(options.pasid_bits, 16);
	assert_true(options.caching_mode);
	assert_false(options.drain);
	assert_int_equal(options.iotlb_entries, 64);
	assert_int_equal(options.segment, 7);
}

/* "scalable=off" alone is a legacy unit; what needs it and is asked for afterwards is refused. */
static void switching_off_takes_dependents_along(void **state)
{
	struct viommu_unit_options options;
	char message[200];

	viommu_unit_options_init(&options);
	set(&options, "scalable", "off");
	assert_int_equal(options.pasid_bits, 0);
	assert_false(options.first_stage || options.nested || options.page_request ||
		     options.dirty_tracking || options.rid_pasid || options.execute_request);
	assert_int_equal(viommu_unit_options_check(&options, NULL, 0), 0);
	set(&options, "pasid-bits", "8");
	assert_int_equal(viommu_unit_options_check(&options, message, sizeof(message)), -EINVAL);
	assert_non_null(strstr(message, "pasid-bits=8"));
	assert_non_null(strstr(message, "scalable=on"));
}

/* What was asked for by name is not dropped silently, whichever came first. */
static void order_does_not_matter(void **state)
{
	static const char *const pairs[][2] = { { "nested", "second-stage" },
						{ "nested", "first-stage" },
						{ "page-request", "device-iotlb" },
						{ "virtual-commands", "scalable" } };
	struct viommu_unit_options options;
	char message[2][200];

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		for (int first = 0; first < 2; first++) {
			viommu_unit_options_init(&options);
			set(&options, pairs[i][first], first ? "off" : "on");
			set(&options, pairs[i][!first], first ? "on" : "off");
			assert_int_equal(viommu_unit_options_check(&options, message[first], 200),
					 -EINVAL);
		}
		assert_string_equal(message[0], message[1]);
		assert_non_null(strstr(message[0], pairs[i][0]));
		/* Taken back, it is no contradiction any more. */
		set(&options, pairs[i][0], "off");
		assert_int_equal(viommu_unit_options_check(&options, NULL, 0), 0);
	}
	/* A default is not a wish: it goes with what it needs. */
	viommu_unit_options_init(&options);
	set(&options, "second-stage", "off");
	assert_false(options.nested);
	assert_int_equal(viommu_unit_options_check(&options, NULL, 0), 0);
}

/* VT-d 11.1: options that put registers where fault records could be. */
static void fault_records_leave_room(void **state)
{
	static const struct {
		const char *name;
		unsigned int room;
	} cases[] = { { "performance-monitoring", 32 }, { "virtual-commands", 128 } };
	struct viommu_unit_options options;
	char message[200], text[16];

	for (int i = 0; i < 2; i++) {
		viommu_unit_options_init(&options);
		set(&options, cases[i].name, "on");
		options.fault_records = (uint16_t)cases[i].room;
		assert_int_equal(viommu_unit_options_check(&options, NULL, 0), 0);
		options.fault_records++;
		assert_int_equal(viommu_unit_options_check(&options, message, sizeof(message)),
				 -EINVAL);
		snprintf(text, sizeof(text), "1..%u", cases[i].room);
		assert_non_null(strstr(message, cases[i].name));
		assert_non_null(strstr(message, text));
	}
}

struct contradiction {
	const char
		*settings[4]; /* "name=value", applied in order without taking dependents along */
	const char *words[2];
};

static void apply_raw(struct viommu_unit_options *options, const char *setting)
{
	struct viommu_unit_options other;
	char name[32];
	const char *equal = strchr(setting, '=');

	/* Copy just this member: set() on a copy, then compare byte by byte with its own defaults.
	 */
	snprintf(name, sizeof(name), "%.*s", (int)(equal - setting), setting);
	other = *options;
	set(&other, name, equal + 1);
	if (strcmp(name, "scalable") == 0)
		options->scalable = other.scalable;
	else if (strcmp(name, "first-stage") == 0)
		options->first_stage = other.first_stage;
	else if (strcmp(name, "second-stage") == 0)
		options->second_stage = other.second_stage;
	else if (strcmp(name, "device-iotlb") == 0)
		options->device_iotlb = other.device_iotlb;
	else
		*options = other;
}

static void contradictions_are_refused(void **state)
{
	static const struct contradiction cases[] = {
		{ { "scalable=off" }, { "pasid-bits=20", "scalable=off" } },
		{ { "pasid-bits=0", "scalable=off" }, { "first-stage=on", "needs scalable=on" } },
		{ { "first-stage=off" }, { "nested=on", "first-stage=on" } },
		{ { "second-stage=off" }, { "nested=on", "second-stage=on" } },
		{ { "device-iotlb=off" }, { "page-request=on", "device-iotlb=on" } },
		{ { "nested=off", "first-stage=off" }, { "five-level=on", "first-stage" } },
		{ { "extended-interrupt=on" }, { "extended-interrupt=on", "interrupt-remapping" } },
		{ { "posted-interrupts=on" }, { "posted-interrupts=on", "interrupt-remapping" } },
		{ { "pasid-bits=0", "execute-request=on" }, { "execute-request=on", "1..20" } },
		{ { "pasid-bits=0", "rid-pasid=on" }, { "rid-pasid=on", "pasid-bits" } },
		{ { "aw-bits=39" }, { "aw-bits=39", "48 or 57" } },
		{ { "nested=off", "dirty-tracking=off", "first-stage=off", "second-stage=off" },
		  { "five-level=on", "first-stage" } },
	};
	char message[200];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct viommu_unit_options options;
		struct viommu_unit *unit;

		viommu_unit_options_init(&options);
		for (int j = 0; j < 4 && cases[i].settings[j]; j++)
			apply_raw(&options, cases[i].settings[j]);
		assert_int_equal(viommu_unit_options_check(&options, message, sizeof(message)),
				 -EINVAL);
		for (int j = 0; j < 2; j++)
			if (!strstr(message, cases[i].words[j]))
				fail_msg("case %zu: no '%s' in: %s", i, cases[i].words[j], message);
		assert_int_equal(viommu_unit_create(&options, NULL, NULL, NULL, &unit), -EINVAL);
	}
}

static void stages_must_exist(void **state)
{
	struct viommu_unit_options options;
	char message[200];

	viommu_unit_options_init(&options);
	set(&options, "first-stage", "off");
	set(&options, "second-stage", "off");
	assert_int_equal(viommu_unit_options_check(&options, message, sizeof(message)), -EINVAL);
	assert_non_null(strstr(message, "second-stage=off"));
	viommu_unit_options_init(&options);
	set(&options, "scalable", "off");
	set(&options, "second-stage", "off");
	assert_int_equal(viommu_unit_options_check(&options, message, sizeof(message)), -EINVAL);
	assert_non_null(strstr(message, "legacy"));
}

static void size_rule(void **state)
{
	struct {
		struct viommu_unit_options options;
		unsigned char tail[16];
	} big = { 0 };
	char message[200];

	viommu_unit_options_init(&big.options);
	big.options.size = sizeof(big);
	assert_int_equal(viommu_unit_options_check(&big.options, message, sizeof(message)), 0);
	big.tail[15] = 1;
	assert_int_equal(viommu_unit_options_check(&big.options, message, sizeof(message)), -E2BIG);
	big.options.size = 0;
	assert_int_equal(viommu_unit_options_check(&big.options, message, sizeof(message)),
			 -EINVAL);
	/* An older caller: what it does not know is zero; here that leaves no fault records. */
	big.options.size = offsetof(struct viommu_unit_options, fault_records);
	assert_int_equal(viommu_unit_options_check(&big.options, message, sizeof(message)),
			 -EINVAL);
	assert_non_null(strstr(message, "fault-records=0"));
}

static void ranges_are_checked_without_names_too(void **state)
{
	struct viommu_unit_options options;
	char message[200];

	viommu_unit_options_init(&options);
	options.aw_bits = 64;
	assert_int_equal(viommu_unit_options_check(&options, message, sizeof(message)), -EINVAL);
	assert_non_null(strstr(message, "aw-bits=64"));
	viommu_unit_options_init(&options);
	options.pasid_bits = 21;
	assert_int_equal(viommu_unit_options_check(&options, message, sizeof(message)), -EINVAL);
	assert_non_null(strstr(message, "pasid-bits=21"));
}

/*
 * VT-d 11.1, 11.4.1, 11.4.2, 11.4.3: what a Linux 7.2 guest looks at before it enables each
 * feature.
 */
static void default_capabilities_fit_linux(void **state)
{
	struct kit kit;

	kit_create(&kit, NULL);
	assert_int_equal(kit.cap & 7, 6);	      /* ND: 64K domains */
	assert_int_equal(kit.cap >> 8 & 0x1f, 0x6);   /* SAGAW: 39 and 48 */
	assert_int_equal(kit.cap >> 16 & 0x3f, 47);   /* MGAW */
	assert_int_equal(kit.cap >> 34 & 0xf, 3);     /* SSLPS */
	assert_int_equal(kit.cap >> 40 & 0xff, 7);    /* NFR */
	assert_true(kit.cap & BIT(39));		      /* PSI */
	assert_true(kit.cap & BIT(56));		      /* FS1GP */
	assert_true(kit.cap & BIT(60));		      /* FS5LP */
	assert_true(kit.cap & BIT(63));		      /* ESRTPS */
	assert_false(kit.cap & (BIT(5) | BIT(6)));    /* PLMR, PHMR */
	assert_false(kit.cap & BIT(7));		      /* CM */
	assert_true(kit.ecap & BIT(0));		      /* C */
	assert_true(kit.ecap & BIT(1));		      /* QI */
	assert_true(kit.ecap & BIT(2));		      /* DT */
	assert_false(kit.ecap & BIT(3));	      /* IR */
	assert_true(kit.ecap & BIT(26));	      /* NEST */
	assert_true(kit.ecap & BIT(29));	      /* PRS */
	assert_int_equal(kit.ecap >> 35 & 0x1f, 19);  /* PSS */
	assert_true(kit.ecap & BIT(40));	      /* PASID */
	assert_true(kit.ecap & BIT(42));	      /* PDS */
	assert_true(kit.ecap & BIT(58));	      /* SMS */
	assert_true(kit.ecap & BIT(43));	      /* SMTS */
	assert_true(kit.ecap & BIT(45));	      /* SSADS */
	assert_true(kit.ecap & BIT(46));	      /* SSTS */
	assert_true(kit.ecap & BIT(47));	      /* FSTS */
	assert_true(kit.ecap & BIT(48));	      /* SMPWCS */
	assert_false(kit.ecap & (BIT(44) | BIT(51))); /* VCS, PMS */
	assert_int_equal(kit_read(&kit, REG_VER, 4), 0x50);
	kit_destroy(&kit);
}

struct effect {
	const char *name, *value;
	uint64_t cap_bits, ecap_bits; /* these change, and none else */
};

static void each_option_moves_its_own_bits(void **state)
{
	static const struct effect effects[] = {
		{ "nested", "off", 0, BIT(26) },
		{ "pass-through", "off", 0, BIT(6) },
		{ "five-level", "off", BIT(60), 0 },
		{ "page-request", "off", 0, BIT(29) | BIT(42) | BIT(58) },
		{ "device-iotlb", "off", 0, BIT(2) | BIT(33) | BIT(29) | BIT(42) | BIT(58) },
		{ "caching-mode", "on", BIT(7), 0 },
		{ "snoop-control", "off", 0, BIT(7) },
		{ "dirty-tracking", "off", 0, BIT(45) },
		{ "coherent", "off", 0, BIT(0) | BIT(48) },
		{ "execute-request", "off", 0, BIT(30) },
		{ "supervisor-request", "off", 0, BIT(31) },
		{ "extended-accessed", "off", 0, BIT(34) },
		{ "rid-pasid", "off", 0, BIT(49) },
		{ "rid-privilege", "on", 0, BIT(53) },
		{ "memory-type", "on", 0, BIT(25) },
		{ "abort-mode", "off", 0, BIT(52) },
		{ "interrupt-remapping", "on", 0, BIT(3) | 0xfull << 20 },
		{ "zero-length-read", "off", BIT(22), 0 },
		{ "advanced-fault-log", "on", BIT(3), 0 },
		{ "virtual-commands", "on", 0, BIT(44) },
		{ "protected-memory", "on", BIT(5) | BIT(6), 0 },
		{ "performance-monitoring", "on", BIT(61), BIT(51) },
		{ "fault-records", "16", 0x8ull << 40, 0 },
		{ "pasid-bits", "16", 0, 0x1cull << 35 },
		{ "pasid-bits", "0", 0, 0x13ull << 35 | BIT(40) | BIT(30) | BIT(31) | BIT(49) },
		{ "aw-bits", "57", BIT(11) | (47ull ^ 56) << 16, 0 },
	};
	struct kit base;

	kit_create(&base, NULL);
	for (size_t i = 0; i < sizeof(effects) / sizeof(effects[0]); i++) {
		struct viommu_unit_options options;
		struct kit kit;

		viommu_unit_options_init(&options);
		set(&options, effects[i].name, effects[i].value);
		kit_create(&kit, &options);
		if ((kit.cap ^ base.cap) != effects[i].cap_bits ||
		    (kit.ecap ^ base.ecap) != effects[i].ecap_bits)
			fail_msg("%s=%s changed cap %llx ecap %llx", effects[i].name,
				 effects[i].value, (unsigned long long)(kit.cap ^ base.cap),
				 (unsigned long long)(kit.ecap ^ base.ecap));
		kit_destroy(&kit);
	}
	kit_destroy(&base);
}

static void interrupt_options_show(void **state)
{
	struct viommu_unit_options options;
	struct kit kit;

	viommu_unit_options_init(&options);
	set(&options, "interrupt-remapping", "on");
	set(&options, "extended-interrupt", "on");
	set(&options, "posted-interrupts", "on");
	kit_create(&kit, &options);
	assert_true(kit.ecap & BIT(3));
	assert_true(kit.ecap & BIT(4));
	assert_true(kit.cap & BIT(59));
	kit_destroy(&kit);
}

static void legacy_unit_has_no_scalable_bits(void **state)
{
	struct viommu_unit_options options;
	struct kit kit;

	viommu_unit_options_init(&options);
	set(&options, "scalable", "off");
	set(&options, "aw-bits", "39");
	kit_create(&kit, &options);
	assert_int_equal(kit.cap >> 8 & 0x1f, 0x2);
	assert_int_equal(kit.cap >> 16 & 0x3f, 38);
	assert_int_equal(kit.ecap >> 34 & 0x1ffff, 0);
	assert_false(kit.cap & (BIT(56) | BIT(60)));
	kit_destroy(&kit);
}

static void description_is_in_words(void **state)
{
	struct viommu_unit_options options;
	char text[2000], small[10];
	struct viommu_translation t;
	struct kit kit;
	size_t length;

	kit_create(&kit, NULL);
	length = viommu_unit_describe(kit.unit, text, sizeof(text));
	assert_true(length < sizeof(text));
	assert_int_equal(strlen(text), length);
	assert_non_null(strstr(text, "first stage: 4 or 5 levels"));
	assert_non_null(strstr(text, "nested translation"));
	assert_non_null(strstr(text, "PASIDs: 20 bits"));
	assert_non_null(strstr(text, "page requests"));
	assert_non_null(strstr(text, "now: not translating"));
	assert_int_equal(viommu_unit_describe(kit.unit, small, sizeof(small)), length);
	assert_int_equal(strlen(small), sizeof(small) - 1);
	assert_int_equal(viommu_unit_describe(kit.unit, NULL, 0), length);
	kit_start(&kit, TTM_SCALABLE);
	viommu_unit_describe(kit.unit, text, sizeof(text));
	assert_non_null(strstr(text, "translating in scalable mode, queued invalidation on"));
	assert_non_null(strstr(text, "no fault pending"));
	assert_int_equal(viommu_translate(kit.endpoint, 1, 0, VIOMMU_READ, &t), VIOMMU_FAULT);
	viommu_unit_describe(kit.unit, text, sizeof(text));
	assert_non_null(strstr(text, ", faults pending"));
	kit_destroy(&kit);

	viommu_unit_options_init(&options);
	set(&options, "scalable", "off");
	set(&options, "aw-bits", "39");
	set(&options, "device-iotlb", "off");
	set(&options, "pass-through", "off");
	set(&options, "coherent", "off");
	set(&options, "zero-length-read", "off");
	kit_create(&kit, &options);
	viommu_unit_describe(kit.unit, text, sizeof(text));
	assert_non_null(strstr(text, "PASIDs: none"));
	assert_non_null(strstr(text, "3 levels (39 bits)"));
	assert_non_null(strstr(text, "also: nothing"));
	assert_non_null(strstr(text, "no device TLBs"));
	kit_destroy(&kit);

	viommu_unit_options_init(&options);
	set(&options, "aw-bits", "57");
	set(&options, "second-stage", "off");
	kit_create(&kit, &options);
	viommu_unit_describe(kit.unit, text, sizeof(text));
	assert_non_null(strstr(text, "in legacy mode only"));
	assert_non_null(strstr(text, "57 bits"));
	kit_destroy(&kit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_option_has_a_default_that_parses),
		cmocka_unit_test(option_info_keeps_to_the_callers_size),
		cmocka_unit_test(values_are_refused_with_a_sentence),
		cmocka_unit_test(values_are_taken),
		cmocka_unit_test(switching_off_takes_dependents_along),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(fault_records_leave_room),
		cmocka_unit_test(contradictions_are_refused),
		cmocka_unit_test(stages_must_exist),
		cmocka_unit_test(size_rule),
		cmocka_unit_test(ranges_are_checked_without_names_too),
		cmocka_unit_test(default_capabilities_fit_linux),
		cmocka_unit_test(each_option_moves_its_own_bits),
		cmocka_unit_test(interrupt_options_show),
		cmocka_unit_test(legacy_unit_has_no_scalable_bits),
		cmocka_unit_test(description_is_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
