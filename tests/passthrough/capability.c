/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PASID capability: placed, linked, never over anything, in config spaces that are whole and in broken ones.
 */
#include "../memory/common.h"
#include <viommu/passthrough.h>

static uint8_t config[4096];
static char message[200];

static void put(uint32_t at, uint32_t value)
{
	memcpy(config + at, &value, 4);
}

static uint32_t get(uint32_t at)
{
	uint32_t value;

	memcpy(&value, config + at, 4);
	return value;
}

static int add(uint16_t offset)
{
	return viommu_pasid_capability_add(config, sizeof(config), offset, 20, true, true, message,
					   sizeof(message));
}

static int fresh(void **state)
{
	memset(config, 0, sizeof(config));
	message[0] = 0;
	return 0;
}

static void empty_chain(void **state)
{
	assert_int_equal(add(0x200), -EINVAL);
	assert_non_null(strstr(message, "0x100"));
	assert_int_equal(add(0), 0x100);
	assert_int_equal(get(0x100), 0x1001b);
	assert_int_equal(get(0x104), 20 << 8 | 6); /* PCIe 7.8.8.2; the control register behind is 0 */
	assert_int_equal(add(0), -EEXIST);
}

static void chosen_place(void **state)
{
	put(0x100, 0x20000001 | 1 << 16); /* AER, then 0x200 */
	put(0x200, 0x0001000f);           /* ATS */
	assert_int_equal(add(0), 0xff8);
	assert_int_equal(get(0x200) >> 20, 0xff8);
	assert_int_equal(get(0x100) >> 20, 0x200);
	assert_int_equal(get(0xff8) & 0xffff, 0x1b);
}

static void given_place(void **state)
{
	put(0x100, 0x20000001 | 1 << 16);
	put(0x200, 0x0001000f);
	assert_int_equal(add(0x104), -EINVAL);
	assert_int_equal(add(0x13c), -EINVAL); /* still AER */
	assert_int_equal(add(0x1fc), -EINVAL); /* would reach into ATS */
	assert_int_equal(add(0x204), -EINVAL);
	assert_int_equal(add(0x50), -EINVAL);
	assert_int_equal(add(0x202), -EINVAL);
	assert_int_equal(add(0xffc), -EINVAL);
	put(0x304, 1); /* something lives there without a header */
	assert_int_equal(add(0x300), -EINVAL);
	assert_non_null(strstr(message, "0x300 is taken"));
	assert_int_equal(add(0x208), 0x208);
}

/* A vendor-specific capability has no known length: the space behind it is taken to be its. */
static void unknown_length(void **state)
{
	put(0x100, 0x2000000b | 1 << 16);
	put(0x200, 0x0001000f);
	assert_int_equal(add(0x180), -EINVAL);
	assert_int_equal(add(0x400), 0x400);
	fresh(NULL);
	put(0x100, 0x0001000b);
	assert_int_equal(add(0), -ENOSPC);
	assert_int_equal(add(0x800), -EINVAL);
}

static void broken(void **state)
{
	put(0x100, 0x10000001 | 1 << 16); /* points to itself */
	assert_int_equal(add(0), -EINVAL);
	assert_non_null(strstr(message, "loop"));
	put(0x100, 0x04000001 | 1 << 16);
	assert_int_equal(add(0), -EINVAL);
	assert_int_equal(viommu_pasid_capability_add(config, 256, 0, 20, 0, 0, NULL, 0), -EINVAL);
	assert_int_equal(viommu_pasid_capability_add(config, 4096, 0, 0, 0, 0, NULL, 0), -EINVAL);
	assert_int_equal(viommu_pasid_capability_add(config, 4096, 0, 21, 0, 0, NULL, 0), -EINVAL);
}

/* Random images: whatever comes of them, nothing is read or written outside, and nothing present is changed but one link. */
static void random_images(void **state)
{
	static uint8_t before[4096];
	unsigned int added = 0;

	srand(5);
	for (unsigned int round = 0; round < 20000; round++) {
		unsigned int changed = 0;
		uint32_t at = 0x100;
		int ret;

		memset(config, 0, sizeof(config));
		for (unsigned int hops = (unsigned int)rand() % 6; hops; hops--) {
			uint32_t next = hops == 1 ? 0 : 0x100 + ((uint32_t)rand() % 960 & ~3u) * 4;

			put(at, ((uint32_t)rand() & 0x1f) | 1 << 16 | (next & 0xffc) << 20);
			at = next & 0xffc;
			if (at < 0x100 || at > 4092)
				break;
		}
		memcpy(before, config, sizeof(config));
		ret = add(rand() & 1 ? 0 : (uint16_t)((unsigned int)rand() & 0xffc));
		for (unsigned int i = 0; i < 4096; i += 4)
			changed += before[i] != config[i] || memcmp(before + i, config + i, 4);
		if (ret < 0) {
			assert_int_equal(changed, 0);
			continue;
		}
		added++;
		assert_true(changed <= 3);
		for (unsigned int i = 0; i < 8; i++)
			assert_int_equal(before[ret + (int)i], 0);
	}
	assert_true(added > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(empty_chain, fresh), cmocka_unit_test_setup(chosen_place, fresh),
		cmocka_unit_test_setup(given_place, fresh), cmocka_unit_test_setup(unknown_length, fresh),
		cmocka_unit_test_setup(broken, fresh), cmocka_unit_test(random_images),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
