/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What lies behind a DSA's operands: devices' registers, nothing, memory that goes on for long; and
 * what is marked dirty.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "fixture.h"

enum { MMIO = 0x40000000, MMIO_PAGE = 50, REGISTERS = 8 * 4096 };

static uint8_t registers[REGISTERS];
static bool mmio_fails;

static int mmio_read(void *opaque, uint64_t offset, void *data, size_t length)
{
	memcpy(data, registers + offset, length);
	return mmio_fails ? -EIO : 0;
}

static int mmio_write(void *opaque, uint64_t offset, const void *data, size_t length)
{
	if (mmio_fails)
		return -EIO;
	memcpy(registers + offset, data, length);
	return 0;
}

static const struct viommu_mmio_ops mmio_ops = { sizeof(mmio_ops), mmio_read, mmio_write };

/* Moves to, from and within a device's registers go through a buffer. */
static void test_mmio(void **state)
{
	struct dsa_descriptor d = dkit_move(0);
	uint8_t text[300], found[300];
	struct dsa_record record;

	mmio_fails = false;
	assert_int_equal(viommu_memory_add_mmio(kit.box.memory, MMIO, 4096, &mmio_ops, NULL, 0), 0);
	kit_map_first(&kit.box, kit.root, 4, dkit_address(MMIO_PAGE), 1,
		      MMIO | FS_P | FS_US | FS_RW);
	assert_true(kit_flush_all(&kit.box));
	dkit_start(&kit, 0);
	for (unsigned int i = 0; i < sizeof(text); i++)
		text[i] = i * 5;
	dkit_put(&kit, AREA, text, sizeof(text));
	d.destination = dkit_address(MMIO_PAGE) + 17;
	d.size = sizeof(text);
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SUCCESS);
	assert_memory_equal(registers + 17, text, sizeof(text));
	d.source = dkit_address(MMIO_PAGE) + 17;
	d.destination = dkit_address(MMIO_PAGE) + 1000;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SUCCESS);
	assert_memory_equal(registers + 1000, text, sizeof(text));
	d.destination = AREA + 0x10000;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SUCCESS);
	dkit_get(&kit, d.destination, found, sizeof(found));
	assert_memory_equal(found, text, sizeof(text));

	mmio_fails = true;
	record = dkit_run(&kit, &d, 0);
	assert_int_equal(record.status, DSA_STATUS_TRANSLATION);
	assert_int_equal(record.fault_address, d.source);
	d = dkit_move(0);
	d.destination = dkit_address(MMIO_PAGE);
	record = dkit_run(&kit, &d, 0);
	assert_int_equal(record.status, DSA_STATUS_TRANSLATION);
	assert_int_equal(record.fault_address, d.destination);
	assert_int_equal(dkit_command(&kit, DSA_RESET_DEVICE, 0), 0);
	kit_map_first(&kit.box, kit.root, 4, dkit_address(MMIO_PAGE), 1, 0);
	assert_true(kit_flush_all(&kit.box));
	assert_int_equal(viommu_memory_remove(kit.box.memory, MMIO, 4096), 1);
}

/* More registers than there are buffers for, under one leaf: every byte comes from where it belongs. */
static void test_large_mmio(void **state)
{
	static uint8_t text[REGISTERS], found[REGISTERS];
	const uint64_t leaf = 0x7f8000000000;
	struct dsa_descriptor d = dkit_move(0);

	mmio_fails = false;
	assert_int_equal(
		viommu_memory_add_mmio(kit.box.memory, MMIO, REGISTERS, &mmio_ops, NULL, 0), 0);
	kit_map_first(&kit.box, kit.root, 4, leaf, 2, MMIO | FS_P | FS_US | FS_RW);
	assert_true(kit_flush_all(&kit.box));
	dkit_start(&kit, 0);
	for (unsigned int i = 0; i < sizeof(text); i++)
		text[i] = i * 7 + i / 256;
	dkit_put(&kit, AREA, text, sizeof(text));
	d.destination = leaf + 5;
	d.size = sizeof(text) - 5;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SUCCESS);
	assert_memory_equal(registers + 5, text, sizeof(text) - 5);
	d.source = leaf + 5;
	d.destination = AREA + 0x10003;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SUCCESS);
	dkit_get(&kit, d.destination, found, sizeof(text) - 5);
	assert_memory_equal(found, text, sizeof(text) - 5);
	assert_int_equal(viommu_memory_remove(kit.box.memory, MMIO, REGISTERS), 1);
}

/* A translation that leads nowhere. */
static void test_hole(void **state)
{
	struct dsa_descriptor d = dkit_move(0);

	kit_map_first(&kit.box, kit.root, 4, AREA, 1, 0x7000000000 | FS_P | FS_US | FS_RW);
	assert_true(kit_flush_all(&kit.box));
	dkit_start(&kit, 0);
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_TRANSLATION);
}

/* Memory that one leaf describes is moved in few pieces, each with one translation an operand. */
static void test_long_runs(void **state)
{
	struct viommu_statistics before = { .size = sizeof(before) }, after = { .size = sizeof(after) };
	uint64_t large = AREA + (1 << 30);
	struct dsa_descriptor d = dkit_move(0);

	kit_map_first(&kit.box, kit.root, 4, large, 2, 0x200000 | FS_P | FS_US | FS_RW | FS_PS);
	assert_true(kit_flush_all(&kit.box));
	dkit_start(&kit, 0);
	d.source = large;
	d.destination = large + 0x100000;
	d.size = 0x20000;
	memset(kit.box.ram + 0x200000, 0x3c, d.size);
	viommu_unit_statistics(kit.box.unit, &before);
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SUCCESS);
	viommu_unit_statistics(kit.box.unit, &after);
	assert_memory_equal(kit.box.ram + 0x300000, kit.box.ram + 0x200000, d.size);
	assert_in_range(after.translations - before.translations, 3, 6);
}

/* What is written is marked, what is read is not. */
static void test_dirty_pages(void **state)
{
	struct dsa_descriptor d = dkit_move(0);
	uint64_t bitmap[KIT_RAM / 4096 / 64] = { 0 };
	unsigned int dirty = 0;

	dkit_start(&kit, 0);
	d.destination = AREA + 0x10f00;
	d.size = 0x300; /* two pages */
	assert_int_equal(viommu_memory_dirty_start(kit.box.memory, 12), 0);
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SUCCESS);
	assert_int_equal(dkit_command(&kit, DSA_DRAIN_ALL, 0), 0);
	assert_int_equal(viommu_memory_dirty_query(kit.box.memory, 0, KIT_RAM, bitmap, false), 0);
	assert_int_equal(viommu_memory_dirty_stop(kit.box.memory), 0);
	for (unsigned int page = 0; page < ALL_PAGES; page++) {
		unsigned int frame = dkit_frame(page);

		if (bitmap[frame / 64] >> frame % 64 & 1) {
			assert_true(page == 16 || page == 17 || page == RECORD_PAGE);
			dirty++;
		}
	}
	assert_int_equal(dirty, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_mmio),      TEST(test_large_mmio),  TEST(test_hole),
		TEST(test_long_runs), TEST(test_dirty_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
