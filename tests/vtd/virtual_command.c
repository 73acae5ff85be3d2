/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Virtual commands (VT-d 11.4.16): registers, PASIDs of the unit's own and those of callbacks, and
 * that what was given out is remembered by a saved unit.
 */
#include <errno.h>

#include "expect.h"

enum {
	REG_VCMD = 0xe00,
	REG_VCMD_EO = 0xe08,
	REG_VCRSP = 0xe10,
	REG_VCCAP = 0xe30,
	ALLOCATE = 1,
	FREE = 2,
	UNDEFINED = 1 << 1,
	FAILED = 16 << 1,
};

static void options_for(struct viommu_unit_options *options, unsigned int pasid_bits)
{
	viommu_unit_options_init(options);
	options->virtual_commands = true;
	options->pasid_bits = pasid_bits;
}

static uint64_t command(struct kit *kit, uint64_t value)
{
	kit_write(kit, REG_VCMD, 8, value);
	return kit_read(kit, REG_VCRSP, 8);
}

/* VT-d 11.4.16.1 to 11.4.16.4 */
static void registers(void **state)
{
	struct viommu_unit_options options;
	struct kit kit;

	options_for(&options, 20);
	kit_create(&kit, &options);
	assert_true(kit.ecap & BIT(44));
	assert_int_equal(kit_read(&kit, REG_VCCAP, 8), 7);
	kit_write(&kit, REG_VCCAP, 8, 0);
	assert_int_equal(kit_read(&kit, REG_VCCAP, 8), 7);
	kit_write(&kit, REG_VCMD_EO, 8, 0x123456789abcdef0);
	assert_int_equal(kit_read(&kit, REG_VCMD_EO, 8), 0x123456789abcdef0);
	kit_write(&kit, REG_VCRSP, 8, ~0ull);
	assert_int_equal(kit_read(&kit, REG_VCRSP, 8), 0);
	assert_int_equal(command(&kit, 0), 0);
	assert_int_equal(command(&kit, 3), UNDEFINED);
	assert_int_equal(command(&kit, 255), UNDEFINED);
	/* By halves: the operand first; it alone is no command. */
	kit_write(&kit, REG_VCMD + 4, 4, 0);
	assert_int_equal(kit_read(&kit, REG_VCRSP, 8), UNDEFINED);
	kit_write(&kit, REG_VCMD, 4, ALLOCATE);
	assert_int_equal(kit_read(&kit, REG_VCRSP, 4), 1 << 16);
	assert_int_equal(kit_read(&kit, REG_VCMD, 8), ALLOCATE);
	kit_destroy(&kit);
}

static void absent(void **state)
{
	struct kit *kit = *state;
	uint64_t value;

	assert_false(kit->ecap & BIT(44));
	assert_int_equal(viommu_unit_read(kit->unit, REG_VCCAP, 8, &value), -EINVAL);
	assert_int_equal(viommu_unit_write(kit->unit, REG_VCMD, 8, ALLOCATE), -EINVAL);
}

/* VT-d 11.4.16.3, Table 55: PASIDs 1 to the last of the width, each once. */
static void own_pasids(void **state)
{
	struct viommu_unit_options options;
	struct kit kit;

	for (unsigned int bits = 1; bits <= 8; bits++) {
		options_for(&options, bits);
		kit_create(&kit, &options);
		for (uint64_t pasid = 1; pasid < 1u << bits; pasid++)
			assert_int_equal(command(&kit, ALLOCATE), pasid << 16);
		assert_int_equal(command(&kit, ALLOCATE), FAILED);
		assert_int_equal(command(&kit, FREE | 0 << 16), FAILED);
		assert_int_equal(command(&kit, FREE | 1ull << (16 + bits)), FAILED);
		assert_int_equal(command(&kit, FREE | 0xfffffull << 16), FAILED);
		assert_int_equal(command(&kit, FREE | 1 << 16), 0);
		assert_int_equal(command(&kit, FREE | 1 << 16), FAILED);
		assert_int_equal(command(&kit, ALLOCATE), 1 << 16);
		viommu_unit_reset(kit.unit);
		assert_int_equal(command(&kit, ALLOCATE), 1 << 16);
		kit_destroy(&kit);
	}
}

struct numbers {
	uint32_t next;
	uint32_t freed;
};

static int allocate(void *opaque, uint32_t *pasid)
{
	struct numbers *numbers = opaque;

	*pasid = numbers->next;
	return numbers->next ? 0 : -ENOSPC;
}

static int free_it(void *opaque, uint32_t pasid)
{
	struct numbers *numbers = opaque;

	numbers->freed = pasid;
	return pasid == 77 ? 0 : -ENOENT;
}

/* Somebody else's numbers. */
static void callbacks(void **state)
{
	static const struct viommu_unit_ops ops = {
		.size = sizeof(ops), .pasid_allocate = allocate, .pasid_free = free_it
	};
	static const struct viommu_unit_ops half = { .size = sizeof(half),
						     .pasid_allocate = allocate };
	struct numbers numbers = { .next = 77 };
	struct viommu_unit_options options;
	struct viommu_memory *memory;
	struct viommu_unit *unit;
	uint64_t value;

	options_for(&options, 8);
	assert_int_equal(viommu_memory_create(&memory), 0);
	assert_int_equal(viommu_unit_create(&options, memory, &half, &numbers, &unit), -EINVAL);
	assert_int_equal(viommu_unit_create(&options, memory, &ops, &numbers, &unit), 0);
	viommu_unit_write(unit, REG_VCMD, 8, ALLOCATE);
	viommu_unit_read(unit, REG_VCRSP, 8, &value);
	assert_int_equal(value, 77 << 16);
	viommu_unit_write(unit, REG_VCMD, 8, FREE | 77 << 16);
	viommu_unit_read(unit, REG_VCRSP, 8, &value);
	assert_int_equal(value, 0);
	assert_int_equal(numbers.freed, 77);
	viommu_unit_write(unit, REG_VCMD, 8, FREE | 78 << 16);
	viommu_unit_read(unit, REG_VCRSP, 8, &value);
	assert_int_equal(value, FAILED);
	/* None to have, and one that is too wide for this unit. */
	for (int i = 0; i < 2; i++) {
		numbers.next = i ? 256 : 0;
		viommu_unit_write(unit, REG_VCMD, 8, ALLOCATE);
		viommu_unit_read(unit, REG_VCRSP, 8, &value);
		assert_int_equal(value, FAILED);
	}
	viommu_unit_destroy(unit);
	viommu_memory_destroy(memory);
}

/* The destination of a migration gives out nothing twice. */
static void saved_and_loaded(void **state)
{
	struct viommu_unit_options options;
	struct viommu_stream_writer *writer;
	struct viommu_stream_reader *reader;
	char message[300] = "";
	const void *data;
	struct kit from, to;
	size_t length;

	options_for(&options, 20);
	kit_create(&from, &options);
	kit_create(&to, &options);
	for (uint64_t pasid = 1; pasid < 100; pasid++)
		assert_int_equal(command(&from, ALLOCATE), pasid << 16);
	assert_int_equal(command(&from, FREE | 50 << 16), 0);
	assert_int_equal(viommu_stream_writer_create(&writer), 0);
	assert_int_equal(viommu_unit_save(from.unit, writer, 0), 0);
	assert_int_equal(viommu_stream_finish(writer, &data, &length), 0);
	assert_int_equal(viommu_stream_reader_create(data, length, &reader, NULL, 0), 0);
	assert_int_equal(viommu_unit_load(to.unit, reader, 0, message, sizeof(message)), 0);
	assert_int_equal(command(&to, ALLOCATE), 50 << 16);
	assert_int_equal(command(&to, ALLOCATE), 100 << 16);
	viommu_stream_reader_destroy(reader);
	viommu_stream_writer_destroy(writer);
	kit_destroy(&to);
	kit_destroy(&from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers), kit_test(absent),
		cmocka_unit_test(own_pasids), cmocka_unit_test(callbacks),
		cmocka_unit_test(saved_and_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
