/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lengthening a translation by the pages behind it: as far as they lie side by side in memory, and
 * never over one that must be asked for by itself. What is cached must not change the answer, so
 * every case is asked for twice, and once more after the caches were emptied.
 */
#include "expect.h"

#define URW   (FS_P | FS_RW | FS_US)
#define BASE  0x40000000ull
#define FIRST 0x1000000ull

static uint64_t page(unsigned int n)
{
	return BASE + n * 0x1000ull;
}

static uint64_t length_at(struct kit *kit, uint64_t iova, uint32_t access, uint64_t limit)
{
	struct viommu_translation t;
	uint64_t length, gpa;
	void *hva;

	viommu_access_begin();
	assert_int_equal(viommu_translate(kit->endpoint, 1, iova, access, &t), 0);
	gpa = t.gpa;
	hva = t.hva;
	length = viommu_translate_extend(kit->endpoint, 1, iova, access, limit, &t);
	viommu_access_end();
	/* The rest of it stays. */
	assert_int_equal(length, t.length);
	assert_int_equal(t.gpa, gpa);
	assert_ptr_equal(t.hva, hva);
	assert_true(t.granted & access);
	return length;
}

static void expect_length(struct kit *kit, uint64_t iova, uint32_t access, uint64_t limit,
			  uint64_t length)
{
	struct kit_record record;

	assert_int_equal(length_at(kit, iova, access, limit), length);
	assert_int_equal(length_at(kit, iova, access, limit), length);
	assert_true(kit_flush_all(kit));
	assert_int_equal(length_at(kit, iova, access, limit), length);
	assert_false(kit_take_fault(kit, &record));
}

/* Four pages in a row, a fifth that is elsewhere, a sixth that is not there. */
static uint64_t map_row(struct kit *kit)
{
	uint64_t root;

	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, 1, 4);
	for (unsigned int i = 0; i < 4; i++)
		kit_map_first(kit, root, 4, page(i), 1, (FIRST + i * 0x1000) | URW);
	kit_map_first(kit, root, 4, page(4), 1, (FIRST + 0x8000) | URW);
	return root;
}

static void side_by_side(void **state)
{
	struct kit *kit = *state;

	map_row(kit);
	expect_length(kit, page(0), VIOMMU_READ, 1 << 20, 0x4000);
	expect_length(kit, page(0) + 0x123, VIOMMU_WRITE, 1 << 20, 0x4000 - 0x123);
	expect_length(kit, page(2), VIOMMU_ATOMIC, 1 << 20, 0x2000);
	/* VT-d 3.6: what is not there ends it without a fault. */
	expect_length(kit, page(4), VIOMMU_READ, 1 << 20, 0x1000);
}

static void up_to_the_limit(void **state)
{
	struct kit *kit = *state;

	map_row(kit);
	expect_length(kit, page(0), VIOMMU_READ, 0x2345, 0x2345);
	expect_length(kit, page(0), VIOMMU_READ, 0x1000, 0x1000);
	expect_length(kit, page(0), VIOMMU_READ, 0x10, 0x10);
}

/* VT-d 3.6.1: the next page allows less. */
static void refused_further_on(void **state)
{
	struct kit *kit = *state;
	uint64_t root = map_row(kit);

	kit_map_first(kit, root, 4, page(2), 1, (FIRST + 0x2000) | FS_P | FS_US);
	assert_true(kit_flush_all(kit));
	expect_length(kit, page(0), VIOMMU_WRITE, 1 << 20, 0x2000);
	expect_length(kit, page(0), VIOMMU_READ, 1 << 20, 0x4000);
}

/* What is granted is what all of it grants. */
static void granted_by_all(void **state)
{
	struct kit *kit = *state;
	struct viommu_translation t;
	uint64_t root = map_row(kit);

	kit_map_first(kit, root, 4, page(2), 1, (FIRST + 0x2000) | FS_P | FS_US | FS_A);
	kit_map_first(kit, root, 4, page(1), 1, (FIRST + 0x1000) | URW | FS_A | FS_D);
	assert_true(kit_flush_all(kit));
	for (int again = 0; again < 2; again++) {
		viommu_access_begin();
		assert_int_equal(viommu_translate(kit->endpoint, 1, page(1), VIOMMU_READ, &t), 0);
		assert_true(t.granted & VIOMMU_WRITE);
		assert_int_equal(viommu_translate_extend(kit->endpoint, 1, page(1), VIOMMU_READ,
							 1 << 20, &t),
				 0x3000);
		assert_int_equal(t.granted & (VIOMMU_READ | VIOMMU_WRITE), VIOMMU_READ);
		viommu_access_end();
	}
}

/* Leaves of different sizes follow each other; the last page of all is followed by nothing. */
static void over_leaves_and_to_the_end(void **state)
{
	struct kit *kit = *state;
	uint64_t root = map_row(kit), top = 0xfffffffffffff000ull;

	kit_map_first(kit, root, 4, BASE + 0x200000, 2, 0x400000 | URW);
	kit_map_first(kit, root, 4, BASE + 0x1ff000, 1, 0x3ff000 | URW);
	kit_map_first(kit, root, 4, BASE + 0x400000, 1, 0x600000 | URW);
	expect_length(kit, BASE + 0x1ff000, VIOMMU_READ, 1 << 30, 0x202000);
	kit_map_first(kit, root, 4, top, 1, FIRST | URW);
	kit_map_first(kit, root, 4, 0, 1, (FIRST + 0x1000) | URW);
	expect_length(kit, top, VIOMMU_READ, 1 << 20, 0x1000);
}

/* Where there is no memory there is nothing to lengthen. */
static void no_memory(void **state)
{
	struct kit *kit = *state;
	struct viommu_translation t;
	uint64_t root = map_row(kit);

	kit_map_first(kit, root, 4, page(8), 1, 0x7000000000 | URW);
	kit_map_first(kit, root, 4, page(9), 1, 0x7000001000 | URW);
	assert_int_equal(viommu_translate(kit->endpoint, 1, page(8), VIOMMU_READ, &t), 0);
	assert_null(t.hva);
	assert_int_equal(viommu_translate_extend(kit->endpoint, 1, page(8), VIOMMU_READ, 1 << 20, &t),
			 0x1000);
	kit_map_first(kit, root, 4, page(7), 1, FIRST | URW);
	expect_length(kit, page(7), VIOMMU_READ, 1 << 20, 0x1000);
}

/* VT-d 11.4.2 ZLR: forgiven one page, not what lies behind it. */
static void of_no_bytes(void **state)
{
	struct kit *kit = *state;
	uint32_t access = VIOMMU_READ | VIOMMU_ZERO_LENGTH;
	struct viommu_translation t;
	uint64_t root = map_row(kit);

	kit_map_first(kit, root, 4, page(1), 1, (FIRST + 0x1000) | FS_P | FS_RW | FS_A | FS_D);
	assert_true(kit_flush_all(kit));
	/* A walk below the same table is remembered. */
	assert_int_equal(viommu_translate(kit->endpoint, 1, page(2), VIOMMU_READ, &t), 0);
	viommu_access_begin();
	assert_int_equal(viommu_translate(kit->endpoint, 1, page(0), access, &t), 0);
	assert_int_equal(viommu_translate_extend(kit->endpoint, 1, page(0), access, 1 << 20, &t), 0x1000);
	viommu_access_end();
}

static int setup(void **state)
{
	static struct kit kit;

	kit_create(&kit, NULL);
	*state = &kit;
	return 0;
}

static int teardown(void **state)
{
	kit_destroy(*state);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(side_by_side),   TEST(up_to_the_limit),		TEST(refused_further_on),
		TEST(granted_by_all), TEST(over_leaves_and_to_the_end), TEST(no_memory),
		TEST(of_no_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
