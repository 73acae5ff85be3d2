/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DSA's state: stopped on one side and gone on with on the other, in the middle of anything.
 *
 * "The other side" is the same memory and unit with a fresh device of the same requester id, as
 * after a migration.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "fixture.h"

static void on_interrupt(void *opaque, unsigned int vector)
{
	atomic_fetch_add(&kit.interrupts[vector], 1);
}

static const struct dsa_ops ops = { .interrupt = on_interrupt };

static void *save(size_t *length)
{
	struct viommu_stream_writer *writer;
	const void *data;
	void *copy;

	assert_int_equal(viommu_stream_writer_create(&writer), 0);
	assert_int_equal(dsa_save(kit.dsa, writer, 3), 0);
	assert_int_equal(viommu_stream_finish(writer, &data, length), 0);
	copy = malloc(*length);
	memcpy(copy, data, *length);
	viommu_stream_writer_destroy(writer);
	return copy;
}

static int load(struct dsa *dsa, const void *data, size_t length, char *message)
{
	struct viommu_stream_reader *reader;
	int error;

	assert_int_equal(viommu_stream_reader_create(data, length, &reader, NULL, 0), 0);
	error = dsa_load(dsa, reader, 3, message, 200);
	viommu_stream_reader_destroy(reader);
	return error;
}

static void new_device(const struct dsa_options *options)
{
	struct dsa_options defaults;

	dsa_options_init(&defaults);
	dsa_destroy(kit.dsa);
	assert_int_equal(dsa_create(options ? options : &defaults, kit.box.unit, KIT_RID, &ops,
				    &kit, &kit.dsa),
			 0);
	dsa_features(kit.dsa,
		     VIOMMU_ENDPOINT_PASID | VIOMMU_ENDPOINT_ATS | VIOMMU_ENDPOINT_PRI |
			     VIOMMU_ENDPOINT_PASID_PRIVILEGED,
		     true);
}

static void migrate(void)
{
	size_t length;
	void *data;

	assert_int_equal(dsa_stop(kit.dsa), 0);
	data = save(&length);
	new_device(NULL);
	assert_int_equal(dsa_stop(kit.dsa), 0);
	assert_int_equal(load(kit.dsa, data, length, NULL), 0);
	dsa_start(kit.dsa);
	free(data);
}

/* All registers read the same afterwards. */
static void test_registers(void **state)
{
	uint8_t before[0x1100], after[0x1100];

	dkit_write32(&kit, DSA_GENCFG, DSA_GENCFG_USER_INTERRUPTS | 7);
	dkit_write32(&kit, DSA_GENCTRL, 5);
	dkit_write64(&kit, DSA_EVLCFG, 0x123456789000);
	dkit_write64(&kit, DSA_EVLCFG + 8, 100);
	dkit_write32(&kit, DSA_MSIXPERM + 24, 0x12345008);
	dkit_start(&kit, WQ_BLOCK);
	dkit_write32(&kit, DSA_CMD, DSA_DISABLE_WQ << 20 | 0xff | (uint32_t)DSA_CMD_INTERRUPT);
	dsa_read(kit.dsa, 0, before, sizeof(before));
	migrate();
	dsa_read(kit.dsa, 0, after, sizeof(after));
	assert_memory_equal(before, after, sizeof(before));
}

/* Half a descriptor in a portal is completed on the other side. */
static void test_half_submission(void **state)
{
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_NOOP, 0, 0);
	struct dsa_record record;

	dkit_start(&kit, 0);
	dkit_clear_record(&kit, 0);
	dsa_portal_write(kit.dsa, 640, &d, 32);
	migrate();
	dsa_portal_write(kit.dsa, 640 + 32, (uint8_t *)&d + 32, 32);
	assert_true(dkit_wait(&kit, 0, &record));
	assert_int_equal(record.status, DSA_STATUS_SUCCESS);
}

static void wait_for_request(void)
{
	while (!kit_read(&kit.box, REG_PQT, 8))
		usleep(50);
}

/* A job that waits for a page, and two behind it, are executed on the other side, once. */
static void test_blocked_work(void **state)
{
	struct dsa_record record;

	dkit_start(&kit, WQ_BLOCK);
	dkit_unmap(&kit, 3);
	for (unsigned int i = 0; i < 3; i++) {
		struct dsa_descriptor d =
			dkit_descriptor(DSA_OP_MEMMOVE, DSA_FLAG_BLOCK_ON_FAULT, i);

		d.source = AREA + 0x3000;
		d.destination = AREA + 0x10000;
		d.size = 64;
		if (i)
			d = dkit_descriptor(DSA_OP_NOOP, 0, i);
		dkit_clear_record(&kit, i);
		assert_true(dkit_submit(&kit, 0, &d));
	}
	wait_for_request();
	migrate();
	kit.policy = PAGES_GIVEN;
	for (unsigned int i = 0; i < 3; i++) {
		assert_true(dkit_wait(&kit, i, &record));
		assert_int_equal(record.status, DSA_STATUS_SUCCESS);
	}
}

/* The overlapping move that was parked half-way gives what an undisturbed one gives. */
static void test_parked_move(void **state)
{
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_MEMMOVE, DSA_FLAG_BLOCK_ON_FAULT, 0);
	uint8_t *model = malloc(AREA_SIZE), *found = malloc(AREA_SIZE);
	struct dsa_record record;

	for (unsigned int direction = 0; direction < 2; direction++) {
		for (unsigned int i = 0; i < AREA_SIZE; i++)
			model[i] = i * 7 + i / 251;
		dkit_put(&kit, AREA, model, AREA_SIZE);
		d.source = AREA + (direction ? 100 : 0);
		d.destination = AREA + (direction ? 0 : 100);
		d.size = 5 * 4096;
		memmove(model + (d.destination - AREA), model + (d.source - AREA), d.size);
		dkit_start(&kit, WQ_BLOCK);
		dkit_unmap(&kit, 2);
		dkit_clear_record(&kit, 0);
		kit.policy = PAGES_UNANSWERED;
		assert_true(dkit_submit(&kit, 0, &d));
		while (kit_read(&kit.box, REG_PQT, 8) == kit_read(&kit.box, REG_PQH, 8))
			usleep(50);
		migrate();
		kit.policy = PAGES_GIVEN;
		assert_true(dkit_wait(&kit, 0, &record));
		assert_int_equal(record.status, DSA_STATUS_SUCCESS);
		dkit_get(&kit, AREA, found, AREA_SIZE);
		assert_memory_equal(found, model, AREA_SIZE);
		assert_int_equal(dkit_command(&kit, DSA_RESET_DEVICE, 0), 0);
		dkit_map(&kit, 2, true);
	}
	free(model);
	free(found);
}

/* A batch parked in its middle: members before are not executed again. */
static void test_parked_batch(void **state)
{
	struct dsa_descriptor list[4],
		batch = dkit_descriptor(DSA_OP_BATCH, DSA_FLAG_BLOCK_ON_FAULT, 0);
	struct dsa_record record;
	uint64_t count[2] = { 0, 0 };

	dkit_start(&kit, WQ_BLOCK);
	for (unsigned int i = 0; i < 4; i++) {
		list[i] = dkit_descriptor(DSA_OP_MEMMOVE, DSA_FLAG_BLOCK_ON_FAULT, i + 1);
		list[i].source = AREA + 8 * i; /* each moves the value on by one place */
		list[i].destination = AREA + 8 * i + 8;
		list[i].size = 8;
		dkit_clear_record(&kit, i + 1);
	}
	list[2].size = 0; /* fails: the batch must remember */
	list[3].source = dkit_address(30);
	dkit_put(&kit, dkit_address(LIST_PAGE), list, sizeof(list));
	count[0] = 77;
	dkit_put(&kit, AREA, count, 16);
	dkit_unmap(&kit, 30);
	dkit_clear_record(&kit, 0);
	batch.source = dkit_address(LIST_PAGE);
	batch.size = 4;
	assert_true(dkit_submit(&kit, 0, &batch));
	wait_for_request();
	count[0] = 88; /* a second execution of member 0 would carry this on */
	dkit_put(&kit, AREA, count, 8);
	migrate();
	kit.policy = PAGES_GIVEN;
	assert_true(dkit_wait(&kit, 0, &record));
	assert_int_equal(record.status, DSA_STATUS_BATCH);
	assert_int_equal(record.completed, 4);
	dkit_get(&kit, AREA + 8, count, 8);
	assert_int_equal(count[0], 77);
}

/* An operation that is done and only waits for its record's page: not done again. */
static void park_at_record(enum dsa_opcode opcode)
{
	struct dsa_descriptor d = dkit_descriptor(opcode, DSA_FLAG_BLOCK_ON_FAULT, 0);
	struct dsa_record record = { 0 };
	uint64_t value = 1;

	dkit_start(&kit, WQ_BLOCK);
	d.source = opcode == DSA_OP_FILL ? 1 : AREA; /* a pattern */
	d.destination = AREA + 64;
	d.size = 8;
	d.record = dkit_address(40);
	dkit_put(&kit, d.record, &record, sizeof(record));
	dkit_put(&kit, AREA, &value, 8);
	dkit_unmap(&kit, 40);
	assert_true(dkit_submit(&kit, 0, &d));
	wait_for_request();
	dkit_get(&kit, AREA + 64, &value, 8);
	assert_int_equal(value, 1);
	value = 2;
	dkit_put(&kit, AREA, &value, 8);
	value = 3;
	dkit_put(&kit, AREA + 64, &value, 8);
	migrate();
	kit.policy = PAGES_GIVEN;
	assert_int_equal(dkit_command(&kit, DSA_DRAIN_ALL, 0), 0);
	dkit_get(&kit, d.record, &record, sizeof(record));
	assert_int_equal(record.status, DSA_STATUS_SUCCESS);
	dkit_get(&kit, AREA + 64, &value, 8);
	assert_int_equal(value, 3);
}

static void test_parked_record(void **state)
{
	park_at_record(DSA_OP_MEMMOVE);
}

static void test_parked_fill(void **state)
{
	park_at_record(DSA_OP_FILL);
}

/* A command that was waiting ends on the other side, with its interrupt. */
static void test_active_command(void **state)
{
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_CACHE_FLUSH, DSA_FLAG_BLOCK_ON_FAULT, 0);

	dkit_start(&kit, WQ_BLOCK);
	dkit_unmap(&kit, 0);
	d.destination = AREA;
	d.size = 1;
	assert_true(dkit_submit(&kit, 0, &d));
	wait_for_request();
	dkit_write32(&kit, DSA_CMD, DSA_DRAIN_ALL << 20 | (uint32_t)DSA_CMD_INTERRUPT);
	migrate();
	assert_true(dkit_read32(&kit, DSA_CMDSTS) & DSA_CMDSTS_ACTIVE);
	assert_int_equal(atomic_load(&kit.interrupts[0]), 0);
	kit.policy = PAGES_GIVEN;
	assert_true(dkit_command_settles(&kit));
	assert_int_equal(dkit_interrupts(&kit, 0, 1), 1);
}

/* Not stopped, another shape, damaged: refused, and nothing changed. */
static void test_refusals(void **state)
{
	struct viommu_stream_writer *writer;
	struct dsa_options options;
	char message[200] = "";
	size_t length;
	void *data;

	assert_int_equal(viommu_stream_writer_create(&writer), 0);
	assert_int_equal(dsa_save(kit.dsa, writer, 3), -EBUSY);
	viommu_stream_writer_destroy(writer);
	assert_int_equal(dsa_stop(kit.dsa), 0);
	data = save(&length);
	dsa_start(kit.dsa);
	assert_int_equal(load(kit.dsa, data, length, message), -EBUSY);

	dsa_options_init(&options);
	options.wqs = 4;
	new_device(&options);
	dkit_start(&kit, 0);
	assert_int_equal(dsa_stop(kit.dsa), 0);
	assert_int_equal(load(kit.dsa, data, length, message), -EINVAL);
	assert_non_null(strstr(message, "wqs=4"));
	assert_int_equal(dkit_read32(&kit, DSA_WQCFG), 16);
	dsa_start(kit.dsa);
	free(data);
}

/* A stream like `data`, but with field `spoiled` one byte short. */
static int load_spoiled(const void *data, size_t length, uint32_t spoiled)
{
	struct viommu_stream_reader *reader;
	struct viommu_stream_writer *writer;
	const void *out;
	size_t out_length;
	uint32_t version;
	int error;

	assert_int_equal(viommu_stream_reader_create(data, length, &reader, NULL, 0), 0);
	assert_int_equal(viommu_stream_open(reader, "dsa", 3, 1, &version), 0);
	assert_int_equal(viommu_stream_writer_create(&writer), 0);
	viommu_stream_begin(writer, "dsa", 3, 1);
	for (uint32_t tag = 0; tag < 0x300; tag++) {
		const void *field;
		size_t size;

		if (!viommu_stream_get_bytes(reader, tag, &field, &size))
			viommu_stream_put_bytes(writer, tag, field, size - (tag == spoiled));
	}
	viommu_stream_end(writer);
	assert_int_equal(viommu_stream_finish(writer, &out, &out_length), 0);
	error = load(kit.dsa, out, out_length, NULL);
	viommu_stream_writer_destroy(writer);
	viommu_stream_reader_destroy(reader);
	return error;
}

/* Each field of the wrong size is refused; with none spoiled the copy loads. */
static void test_damaged_fields(void **state)
{
	static const uint32_t tags[] = { 1, 2, 3, 4, 5, 0x100, 0x107, 0x200 };
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_CACHE_FLUSH, DSA_FLAG_BLOCK_ON_FAULT, 0);
	size_t length;
	void *data;

	dkit_start(&kit, WQ_BLOCK);
	dkit_unmap(&kit, 0);
	d.destination = AREA;
	d.size = 1;
	assert_true(dkit_submit(&kit, 0, &d));
	wait_for_request();
	assert_int_equal(dsa_stop(kit.dsa), 0);
	data = save(&length);
	for (unsigned int i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		assert_int_equal(load_spoiled(data, length, tags[i]), -EBADMSG);
	assert_int_equal(load_spoiled(data, length, ~0u), 0);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_registers),	   TEST(test_half_submission), TEST(test_blocked_work),
		TEST(test_parked_move),	   TEST(test_parked_batch),    TEST(test_parked_record),
		TEST(test_parked_fill),	   TEST(test_active_command),  TEST(test_refusals),
		TEST(test_damaged_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
