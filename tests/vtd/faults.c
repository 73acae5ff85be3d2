/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The primary fault log: several records, order, collapse, overflow, and what a driver's handler
 * sees while faults keep coming.
 */
#include <errno.h>

#include "expect.h"

#define NONE VIOMMU_NO_PASID
#define P1   3
#define URW  (FS_P | FS_RW | FS_US)

static int setup(void **state)
{
	kit_setup(state);
	kit_start(*state, TTM_SCALABLE);
	kit_setup_first(*state, P1, 4);
	return 0;
}

static bool fault(struct kit *kit, uint32_t pasid, uint64_t iova, uint32_t access)
{
	struct viommu_translation t;

	assert_int_equal(viommu_translate(kit->endpoint, pasid, iova, access, &t), VIOMMU_FAULT);
	return t.fault.recorded;
}

static bool pending(struct kit *kit, unsigned int index)
{
	return kit_read(kit, 0x600 + 16 * index + 8, 8) >> 63;
}

/* VT-d 7.2: a ring of records; FRI names the first of those pending. */
static void records_fill_in_order(void **state)
{
	struct kit *kit = *state;
	struct kit_record record;

	for (uint64_t i = 0; i < 8; i++) {
		assert_true(fault(kit, P1, 0x1000 * (i + 1), VIOMMU_READ));
		assert_true(pending(kit, (unsigned int)i));
		assert_int_equal(kit_read(kit, REG_FSTS, 4) >> 8 & 0xff, 0);
	}
	for (unsigned int i = 0; i < 8; i++) {
		assert_true(kit_take_record(kit, i, &record));
		assert_int_equal(record.info, 0x1000 * (i + 1));
		assert_int_equal(record.reason, 0x71);
		assert_int_equal(record.pasid, P1);
		assert_false(pending(kit, i));
		assert_int_equal(!!(kit_read(kit, REG_FSTS, 4) & FSTS_PPF), i < 7);
	}
	/* Round the ring any number of times. */
	for (uint64_t i = 0; i < 30; i++) {
		assert_true(fault(kit, P1, 0x1000 * (i + 1), VIOMMU_WRITE));
		assert_int_equal(kit_read(kit, REG_FSTS, 4), FSTS_PPF | (i % 8) << 8);
		assert_true(kit_take_fault(kit, &record));
		assert_int_equal(record.info, 0x1000 * (i + 1));
		assert_false(record.t1);
	}
}

/* VT-d 7.2.1: the ninth of eight sets PFO; nothing is recorded until that is cleared. */
static void overflow(void **state)
{
	struct kit *kit = *state;
	struct kit_record record;

	for (uint64_t i = 0; i < 8; i++)
		assert_true(fault(kit, P1, 0x1000 * i, VIOMMU_READ));
	assert_false(kit_read(kit, REG_FSTS, 4) & FSTS_PFO);
	assert_false(fault(kit, P1, 0x9000, VIOMMU_READ));
	assert_true(kit_read(kit, REG_FSTS, 4) & FSTS_PFO);
	assert_true(kit_take_record(kit, 0, &record));
	assert_false(fault(kit, P1, 0xa000, VIOMMU_READ));
	assert_false(pending(kit, 0));
	kit_write(kit, REG_FSTS, 4, FSTS_PFO);
	assert_false(kit_read(kit, REG_FSTS, 4) & FSTS_PFO);
	assert_true(fault(kit, P1, 0xa000, VIOMMU_READ));
	assert_true(pending(kit, 0));
}

/* VT-d 7.2.1: a fault equal to one that waits already is not recorded again, one that differs is.
 */
static void collapse(void **state)
{
	struct kit *kit = *state;
	struct kit_record record;

	assert_true(fault(kit, P1, 0x5123, VIOMMU_READ));
	assert_false(fault(kit, P1, 0x5fff, VIOMMU_READ));
	assert_false(pending(kit, 1));
	assert_false(kit_read(kit, REG_FSTS, 4) & FSTS_PFO);
	assert_true(fault(kit, P1, 0x6000, VIOMMU_READ));
	assert_true(fault(kit, P1, 0x5000, VIOMMU_WRITE));
	assert_true(fault(kit, P1 + 1, 0x5000, VIOMMU_READ));
	assert_true(pending(kit, 3));
	/* Taken: the same again is news. */
	assert_true(kit_take_record(kit, 0, &record));
	assert_true(fault(kit, P1, 0x5123, VIOMMU_READ));
	assert_true(pending(kit, 4));
}

/*
 * Linux: read FSTS; from FRI on, while F: read the record, clear F; then clear PFO and PPF. A read
 * and then a write of the same page are two faults and two events.
 */
static void read_then_write_of_one_page(void **state)
{
	struct kit *kit = *state;
	uint32_t access[] = { VIOMMU_READ, VIOMMU_WRITE, VIOMMU_READ };

	kit_write(kit, REG_FECTL, 4, 0);
	for (int i = 0; i < 3; i++) {
		uint32_t status, index;
		int seen = 0;

		assert_true(fault(kit, NONE, 0x12345000, access[i]));
		assert_int_equal(kit->messages, i + 1);
		status = (uint32_t)kit_read(kit, REG_FSTS, 4);
		assert_true(status & FSTS_PPF);
		for (index = status >> 8 & 0xff;; index = (index + 1) % 8) {
			uint64_t at = 0x600 + 16 * index;
			uint32_t high = (uint32_t)kit_read(kit, at + 12, 4);

			if (!(high & BIT(31)))
				break;
			seen++;
			assert_int_equal(!!(high & BIT(30)), access[i] == VIOMMU_READ);
			assert_int_equal(kit_read(kit, at + 8, 4) & 0xffff, KIT_RID);
			assert_int_equal(kit_read(kit, at, 8), 0x12345000);
			kit_write(kit, at + 12, 4, BIT(31));
		}
		assert_int_equal(seen, 1);
		kit_write(kit, REG_FSTS, 4, FSTS_PFO | FSTS_PPF | BIT(7));
		assert_int_equal(kit_read(kit, REG_FSTS, 4) & (FSTS_PFO | FSTS_PPF), 0);
	}
}

/* VT-d 7.2.1: the next record is the first one again once nothing is remapped any more. */
static void index_starts_again(void **state)
{
	struct kit *kit = *state;
	struct kit_record record;

	for (int i = 0; i < 3; i++)
		assert_true(fault(kit, P1, 0x1000 * (i + 1), VIOMMU_READ));
	kit_set_root(kit, kit->root | TTM_SCALABLE);
	assert_true(fault(kit, P1, 0x4000, VIOMMU_READ));
	assert_true(pending(kit, 3));
	while (kit_take_fault(kit, &record))
		;
	kit_disable(kit);
	kit_enable(kit);
	assert_true(fault(kit, P1, 0x5000, VIOMMU_READ));
	assert_true(pending(kit, 0));
	/* A record that is still there is not written over. */
	kit_disable(kit);
	kit_enable(kit);
	assert_false(fault(kit, P1, 0x6000, VIOMMU_READ));
	assert_true(kit_read(kit, REG_FSTS, 4) & FSTS_PFO);
	assert_true(kit_take_record(kit, 0, &record));
	assert_int_equal(record.info, 0x5000);
}

/* VT-d 7.2.1: remapped interrupts keep the index where it is. */
static void index_with_interrupts(void **state)
{
	struct viommu_unit_options options;
	struct kit kit;

	viommu_unit_options_init(&options);
	options.interrupt_remapping = true;
	kit_create(&kit, &options);
	kit_start(&kit, TTM_SCALABLE);
	kit.gcmd |= GCMD_IRE;
	kit_write(&kit, REG_GCMD, 4, kit.gcmd);
	assert_true(fault(&kit, P1, 0x1000, VIOMMU_READ));
	kit_disable(&kit);
	kit_enable(&kit);
	assert_true(fault(&kit, P1, 0x2000, VIOMMU_READ));
	assert_true(pending(&kit, 1));
	kit_destroy(&kit);
}

/* VT-d 11.4.7.6 FI: bits beyond the widest address that is translated are zero. */
static void address_bits(void **state)
{
	static const struct {
		const char *aw, *five, *first;
		unsigned int bits;
	} cases[] = { { "48", "on", "on", 57 },
		      { "48", "off", "on", 48 },
		      { "57", "off", "on", 57 },
		      { "39", "off", "off", 39 } };

	for (int i = 0; i < 4; i++) {
		struct viommu_unit_options options;
		struct kit_record record;
		struct kit kit;

		viommu_unit_options_init(&options);
		viommu_unit_options_set(&options, "five-level", cases[i].five, NULL, 0);
		viommu_unit_options_set(&options, "first-stage", cases[i].first, NULL, 0);
		viommu_unit_options_set(&options, "aw-bits", cases[i].aw, NULL, 0);
		kit_create(&kit, &options);
		kit_start(&kit, TTM_SCALABLE);
		assert_true(fault(&kit, NONE, ~0ull, VIOMMU_READ));
		assert_true(kit_take_fault(&kit, &record));
		assert_int_equal(record.info, (1ull << cases[i].bits) - 0x1000);
		kit_destroy(&kit);
	}
}

/* A single record, the smallest log there can be; and 160, the largest. */
static void any_number_of_records(void **state)
{
	static const uint16_t sizes[] = { 1, 2, 160 };

	for (int s = 0; s < 3; s++) {
		struct viommu_unit_options options;
		struct kit_record record;
		uint64_t value;
		struct kit kit;

		viommu_unit_options_init(&options);
		options.fault_records = sizes[s];
		kit_create(&kit, &options);
		kit_start(&kit, TTM_SCALABLE);
		for (uint64_t i = 0; i < sizes[s]; i++)
			assert_true(fault(&kit, P1, 0x1000 * i, VIOMMU_READ));
		assert_false(fault(&kit, P1, 0x1000000, VIOMMU_READ));
		assert_true(kit_read(&kit, REG_FSTS, 4) & FSTS_PFO);
		/* What follows the last one is no record. */
		assert_int_equal(viommu_unit_read(kit.unit, 0x600 + 16 * sizes[s], 8, &value), -EINVAL);
		for (uint64_t i = 0; i < sizes[s]; i++) {
			assert_true(kit_take_record(&kit, (unsigned int)i, &record));
			assert_int_equal(record.info, 0x1000 * i);
		}
		kit_destroy(&kit);
	}
}

/* VT-d 11.4.14: type, privilege, execute and PASID of each kind of request. */
static void fields_of_a_record(void **state)
{
	struct kit *kit = *state;
	static const uint32_t accesses[] = { VIOMMU_READ, VIOMMU_WRITE, VIOMMU_ATOMIC,
					     VIOMMU_EXECUTE };
	uint64_t pe = kit_pasid_entry(kit, KIT_RID, P1);

	kit_put(kit, pe + 16, kit_get(kit, pe + 16) | PE2_SRE | PE2_ERE);
	for (int i = 0; i < 4; i++) {
		expect_fault(kit, P1, 0x1000, accesses[i], 0x71);
		expect_fault(kit, P1, 0x1000, accesses[i] | VIOMMU_PRIVILEGED, 0x71);
		expect_fault(kit, NONE, 0x1000, accesses[i], 0x59);
		expect_fault(kit, VIOMMU_PASID_MAX, 0x1000, accesses[i], 0x51);
	}
}

/* Statistics tell recorded from lost. */
static void statistics_count(void **state)
{
	struct kit *kit = *state;
	struct viommu_statistics s = { .size = sizeof(s) };

	for (int i = 0; i < 3; i++)
		fault(kit, P1, 0x1000, VIOMMU_READ);
	assert_int_equal(viommu_unit_statistics(kit->unit, &s), 0);
	assert_int_equal(s.faults, 1);
	assert_int_equal(s.faults_lost, 2);
	assert_int_equal(s.translations, 3);
	assert_int_equal(s.iotlb_misses, 3);
	s = (struct viommu_statistics){ .size = sizeof(s) };
	assert_int_equal(viommu_endpoint_statistics(kit->endpoint, &s), 0);
	assert_int_equal(s.faults, 1);
	s = (struct viommu_statistics){ .size = 2 };
	assert_true(viommu_unit_statistics(kit->unit, &s) < 0);
}

#define fault_test(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		fault_test(records_fill_in_order),
		fault_test(overflow),
		fault_test(collapse),
		fault_test(read_then_write_of_one_page),
		fault_test(index_starts_again),
		cmocka_unit_test(index_with_interrupts),
		cmocka_unit_test(address_bits),
		cmocka_unit_test(any_number_of_records),
		fault_test(fields_of_a_record),
		fault_test(statistics_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
