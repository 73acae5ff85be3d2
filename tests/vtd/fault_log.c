/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The advanced fault log of revisions up to 3 (advanced-fault-log=on): its registers, records in the
 * ring, overflow, events, and going back to the registers' log.
 */
#include <errno.h>

#include "expect.h"

enum { REG_AFLOG = 0x58, FSTS_AFO = 1 << 2, FSTS_APF = 1 << 3, RECORDS = 256 };
#define GCMD_SFL  BIT(29)
#define GCMD_EAFL BIT(28)
#define RECORD_F  BIT(63)
#define LOG	  0x100000ull

static int setup(void **state)
{
	static struct kit kit;
	struct viommu_unit_options options;

	viommu_unit_options_init(&options);
	options.advanced_fault_log = true;
	kit_create(&kit, &options);
	kit_start(&kit, TTM_SCALABLE);
	*state = &kit;
	return 0;
}

#define log_test(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)

static void command(struct kit *kit, uint32_t bit, bool on)
{
	/* VT-d 11.4.4: the one-shot bits are not levels. */
	uint32_t levels = kit_read(kit, REG_GSTS, 4) & 0x96ffffff;

	kit_write(kit, REG_GCMD, 4, on ? levels | bit : levels & ~bit);
}

static void log_on(struct kit *kit)
{
	kit_write(kit, REG_AFLOG, 8, LOG);
	command(kit, GCMD_SFL, true);
	command(kit, GCMD_EAFL, true);
}

/* A request that has no context entry. */
static struct viommu_fault fault(struct kit *kit, uint64_t iova)
{
	struct viommu_translation t;

	assert_int_equal(viommu_translate(kit->endpoint, 5, iova, VIOMMU_READ, &t), VIOMMU_FAULT);
	return t.fault;
}

static void registers(void **state)
{
	struct kit *kit = *state;

	assert_true(kit->cap & BIT(3));
	kit_write(kit, REG_AFLOG, 8, ~0ull);
	assert_int_equal(kit_read(kit, REG_AFLOG, 8), ~0x1ffull);
	assert_false(kit_read(kit, REG_GSTS, 4) & (GCMD_SFL | GCMD_EAFL));
	log_on(kit);
	assert_int_equal(kit_read(kit, REG_GSTS, 4) & (GCMD_SFL | GCMD_EAFL),
			 GCMD_SFL | GCMD_EAFL);
	assert_true(kit_read(kit, REG_GSTS, 4) & GCMD_TE);
	command(kit, GCMD_EAFL, false);
	assert_int_equal(kit_read(kit, REG_GSTS, 4) & (GCMD_SFL | GCMD_EAFL), GCMD_SFL);
	viommu_unit_reset(kit->unit);
	assert_int_equal(kit_read(kit, REG_AFLOG, 8), 0);
	assert_int_equal(kit_read(kit, REG_GSTS, 4), 0);
}

static void absent(void **state)
{
	struct kit *kit = *state;

	kit_start(kit, TTM_SCALABLE);
	assert_int_equal(viommu_unit_write(kit->unit, REG_AFLOG, 8, LOG), -EINVAL);
	command(kit, GCMD_SFL, true);
	command(kit, GCMD_EAFL, true);
	assert_false(kit_read(kit, REG_GSTS, 4) & (GCMD_SFL | GCMD_EAFL));
	assert_true(fault(kit, 0x1000).recorded);
	assert_true(kit_read(kit, REG_FSTS, 4) & FSTS_PPF);
}

/* Records have the format of VT-d 11.4.7.6; the first one raises the event. */
static void records(void **state)
{
	struct kit *kit = *state;

	kit_write(kit, REG_FEADDR, 8, 0xfee03000);
	kit_write(kit, REG_FECTL, 4, 0);
	log_on(kit);
	for (uint64_t i = 0; i < 5; i++) {
		assert_true(fault(kit, 0x10000 * i + 0x1234).recorded);
		assert_int_equal(kit_get(kit, LOG + 16 * i), (0x10000 * i + 0x1234) & ~0xfffull);
		assert_int_equal(kit_get(kit, LOG + 16 * i + 8) & 0xffff, KIT_RID);
		assert_int_equal(kit_get(kit, LOG + 16 * i + 8) >> 32 & 0xff, 0x39);
		assert_int_equal(kit_get(kit, LOG + 16 * i + 8) >> 40 & 0xfffff, 5);
		assert_true(kit_get(kit, LOG + 16 * i + 8) & RECORD_F);
		assert_int_equal(kit->messages, 1);
	}
	assert_int_equal(kit_read(kit, REG_FSTS, 4), FSTS_APF);
	assert_int_equal(kit_get(kit, LOG + 16 * 5 + 8), 0);
	kit_write(kit, REG_FSTS, 4, FSTS_APF);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
	fault(kit, 0x9000);
	assert_int_equal(kit->messages, 2);
	/* Off again: the registers' log, and the other stays as it is. */
	command(kit, GCMD_EAFL, false);
	fault(kit, 0xa000);
	assert_int_equal(kit_get(kit, LOG + 16 * 6 + 8), 0);
	assert_true(kit_read(kit, REG_FSTS, 4) & FSTS_PPF);
}

/* A record that software has not taken stops the log; it wraps where there is room. */
static void overflow(void **state)
{
	struct kit *kit = *state;

	log_on(kit);
	for (uint64_t i = 0; i < RECORDS; i++)
		assert_true(fault(kit, 0x1000 * i).recorded);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), FSTS_APF);
	assert_int_equal(kit_get(kit, LOG + 16 * RECORDS + 8), 0);
	assert_false(fault(kit, 0xf00000).recorded);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), FSTS_APF | FSTS_AFO);
	assert_int_equal(kit_get(kit, LOG), 0);
	/* Nothing more while AFO is set, though there is room. */
	kit_put(kit, LOG + 8, 0);
	assert_false(fault(kit, 0xf01000).recorded);
	kit_write(kit, REG_FSTS, 4, FSTS_AFO);
	assert_true(fault(kit, 0xf02000).recorded);
	assert_int_equal(kit_get(kit, LOG), 0xf02000);
	/* SFL: from the beginning. */
	kit_write(kit, REG_AFLOG, 8, (LOG + 0x10000) | 1 << 9);
	fault(kit, 0xf03000);
	command(kit, GCMD_SFL, true);
	assert_true(kit_read(kit, REG_FSTS, 4) & FSTS_AFO);
	kit_write(kit, REG_FSTS, 4, FSTS_AFO | FSTS_APF);
	assert_true(fault(kit, 0xf05000).recorded);
	assert_int_equal(kit_get(kit, LOG + 0x10000), 0xf05000);
	for (uint64_t i = 1; i < 2 * RECORDS; i++)
		assert_true(fault(kit, 0x1000 * i).recorded);
	assert_false(fault(kit, 0xf04000).recorded);
}

/* The log where no memory is: faults are lost, nothing else happens. */
static void no_memory(void **state)
{
	struct kit *kit = *state;

	kit_write(kit, REG_AFLOG, 8, 0x7000000000000);
	command(kit, GCMD_SFL, true);
	command(kit, GCMD_EAFL, true);
	assert_false(fault(kit, 0x1000).recorded);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
}

/* The place in the log goes along. */
static void saved_and_loaded(void **state)
{
	struct kit *from = *state;
	struct viommu_unit_options options = *viommu_unit_options(from->unit);
	struct viommu_stream_writer *writer;
	struct viommu_stream_reader *reader;
	char message[300] = "";
	const void *data;
	size_t length;
	struct kit to;

	log_on(from);
	fault(from, 0x1000);
	fault(from, 0x2000);
	/* Latched: what AFLOG says meanwhile does not matter. */
	kit_write(from, REG_AFLOG, 8, 0);
	assert_int_equal(viommu_stream_writer_create(&writer), 0);
	assert_int_equal(viommu_unit_save(from->unit, writer, 0), 0);
	assert_int_equal(viommu_stream_finish(writer, &data, &length), 0);
	kit_create(&to, &options);
	memcpy(to.ram, from->ram, from->ram_size);
	assert_int_equal(viommu_stream_reader_create(data, length, &reader, NULL, 0), 0);
	assert_int_equal(viommu_unit_load(to.unit, reader, 0, message, sizeof(message)), 0);
	assert_int_equal(kit_read(&to, REG_FSTS, 4), FSTS_APF);
	assert_true(fault(&to, 0x3000).recorded);
	assert_int_equal(kit_get(&to, LOG + 32), 0x3000);
	kit_destroy(&to);
	viommu_stream_reader_destroy(reader);
	viommu_stream_writer_destroy(writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		log_test(registers), kit_test(absent),	  log_test(records),
		log_test(overflow),  log_test(no_memory), log_test(saved_and_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
