/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Save and load: everything a guest can see is there again; a stream that is cut, damaged, newer or
 * of another unit is refused with a reason and changes nothing.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "expect.h"

#define URW (FS_P | FS_RW | FS_US)
#define P1  3

struct stream {
	struct viommu_stream_writer *writer;
	unsigned char *data;
	size_t length;
};

static struct stream save(struct kit *kit)
{
	struct stream stream;
	const void *data;

	assert_int_equal(viommu_stream_writer_create(&stream.writer), 0);
	assert_int_equal(viommu_unit_save(kit->unit, stream.writer, 0), 0);
	assert_int_equal(viommu_stream_finish(stream.writer, &data, &stream.length), 0);
	stream.data = malloc(stream.length);
	memcpy(stream.data, data, stream.length);
	viommu_stream_writer_destroy(stream.writer);
	return stream;
}

static int load(struct kit *kit, const void *data, size_t length, char *message, size_t size)
{
	struct viommu_stream_reader *reader;
	int error = viommu_stream_reader_create(data, length, &reader, message, size);

	if (error)
		return error;
	error = viommu_unit_load(kit->unit, reader, 0, message, size);
	viommu_stream_reader_destroy(reader);
	return error;
}

/* Everything a guest can read of a unit. */
static void read_window(struct kit *kit, uint32_t *words)
{
	for (int i = 0; i < 1024; i++) {
		uint64_t value;

		viommu_unit_read(kit->unit, 4 * i, 4, &value);
		words[i] = (uint32_t)value;
	}
}

/* A unit in the middle of things: on, with faults, page requests and a pending event. */
static void make_busy(struct kit *kit)
{
	struct viommu_translation t;
	uint64_t root;

	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, P1, 4);
	kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | URW);
	kit_write(kit, REG_PQA, 8, kit_page(kit));
	kit_write(kit, REG_FEDATA, 4, 0x21);
	kit_write(kit, REG_FEADDR, 8, 0x1200fee01000);
	expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x5000);
	for (int i = 0; i < 3; i++)
		viommu_translate(kit->endpoint, P1, 0x10000 * (i + 1), VIOMMU_READ, &t);
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x9000, VIOMMU_READ, 4, true), 0);
	for (int i = 0; i < 5; i++)
		assert_true(kit_sync(kit));
}

/* The second unit over the same memory: the destination of a migration. */
static void adopt(struct kit *to, const struct kit *from)
{
	to->root = from->root;
	to->queue = from->queue;
	to->status = from->status;
	to->tail = from->tail;
	to->sequence = from->sequence;
	to->gcmd = from->gcmd;
	to->queue_bytes = from->queue_bytes;
	to->ttm = from->ttm;
	memcpy(to->ram, from->ram, from->ram_size);
}

static void *write_registers(void *opaque)
{
	struct kit *kit = opaque;

	kit_write(kit, REG_GCMD, 4, kit->gcmd);
	return NULL;
}

static void round_trip(void **state)
{
	struct kit *from = *state;
	uint32_t before[1024], after[1024];
	struct kit_record record;
	struct stream stream;
	char message[200] = "";
	pthread_t thread;
	struct kit to;

	make_busy(from);
	stream = save(from);
	kit_create(&to, NULL);
	adopt(&to, from);
	read_window(from, before);
	if (load(&to, stream.data, stream.length, message, sizeof(message)))
		fail_msg("%s", message);
	read_window(&to, after);
	assert_memory_equal(before, after, sizeof(before));
	/* From any thread: a load lets go of the unit. */
	assert_int_equal(pthread_create(&thread, NULL, write_registers, &to), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	/* It goes on: translation, the queue where it stood, the faults, the pending event. */
	expect_gpa(&to, P1, 0x1000, VIOMMU_WRITE, 0x5000);
	assert_true(kit_flush_all(&to));
	assert_int_equal(to.messages, 0);
	kit_write(&to, REG_FECTL, 4, 0);
	assert_int_equal(to.messages, 1);
	assert_int_equal(to.message[0].address, 0x1200fee01000);
	assert_ptr_equal(to.message[0].cause, to.endpoint);
	for (int i = 0; i < 3; i++) {
		assert_true(kit_take_fault(&to, &record));
		assert_int_equal(record.info, 0x10000 * (i + 1));
	}
	assert_false(kit_take_fault(&to, &record));
	assert_int_equal(viommu_page_request(to.endpoint, P1, 0xa000, VIOMMU_READ, 5, true), 0);
	assert_int_equal(kit_read(&to, REG_PQT, 8), 64);
	kit_destroy(&to);
	free(stream.data);
}

static void untouched(struct kit *kit, const uint32_t *before, const char *what, size_t at)
{
	uint32_t after[1024];

	read_window(kit, after);
	if (memcmp(before, after, sizeof(after)))
		fail_msg("%s at %zu changed the unit", what, at);
}

/* Cut after each byte. */
static void truncated(void **state)
{
	struct kit *kit = *state;
	uint32_t before[1024];
	struct stream stream;
	char message[200];
	struct kit to;

	make_busy(kit);
	stream = save(kit);
	kit_create(&to, NULL);
	kit_start(&to, TTM_LEGACY);
	read_window(&to, before);
	for (size_t length = 0; length < stream.length; length++) {
		message[0] = 0;
		if (load(&to, stream.data, length, message, sizeof(message)) != -EBADMSG)
			fail_msg("cut at %zu of %zu was not refused", length, stream.length);
		assert_true(message[0]);
		untouched(&to, before, "a cut", length);
	}
	kit_destroy(&to);
	free(stream.data);
}

/* Each byte damaged: never a crash, never a half-loaded unit; a checksum covers all that matters.
 */
static void corrupt(void **state)
{
	struct kit *kit = *state;
	uint32_t before[1024];
	struct stream stream;
	char message[200];
	struct kit to;

	make_busy(kit);
	stream = save(kit);
	kit_create(&to, NULL);
	kit_start(&to, TTM_LEGACY);
	read_window(&to, before);
	for (size_t at = 0; at < stream.length; at++)
		for (int bit = 0; bit < 8; bit += 3) {
			int error;

			stream.data[at] ^= (unsigned char)(1u << bit);
			error = load(&to, stream.data, stream.length, message, sizeof(message));
			if (error != -EBADMSG && error != -EPROTONOSUPPORT && error != -ENOENT)
				fail_msg("byte %zu bit %d: %d", at, bit, error);
			untouched(&to, before, "damage", at);
			stream.data[at] ^= (unsigned char)(1u << bit);
		}
	kit_destroy(&to);
	free(stream.data);
}

/* VT-d 11.4.2, 11.4.3: a guest keeps the capabilities it read; a unit with others cannot take it
 * over. */
static void other_capabilities(void **state)
{
	struct kit *kit = *state;
	static const char *const differences[][3] = {
		{ "aw-bits", "57", "aw-bits is 48 there and 57 here" },
		{ "nested", "off", "nested is on there and off here" },
		{ "pasid-bits", "16", "pasid-bits is 20 there and 16 here" },
		{ "caching-mode", "on", "caching-mode is off there and on here" },
		{ "snoop-control", "off", "snoop-control is on there and off here" },
		{ "fault-records", "4", "fault-records is 8 there and 4 here" },
		{ "device-iotlb", "off", "device-iotlb is on there and off here" },
		{ "five-level", "off", "five-level is on there and off here" },
		{ "rid-privilege", "on", "rid-privilege is off there and on here" },
		{ "pasid-bits", "0", "pasid-bits is 20 there and 0 here" },
	};
	struct stream stream;
	char message[600];

	make_busy(kit);
	stream = save(kit);
	for (size_t i = 0; i < sizeof(differences) / sizeof(differences[0]); i++) {
		struct viommu_unit_options options;
		uint32_t before[1024];
		struct kit to;

		viommu_unit_options_init(&options);
		viommu_unit_options_set(&options, differences[i][0], differences[i][1], NULL, 0);
		kit_create(&to, &options);
		read_window(&to, before);
		message[0] = 0;
		if (load(&to, stream.data, stream.length, message, sizeof(message)) != -EINVAL)
			fail_msg("%s=%s was not refused", differences[i][0], differences[i][1]);
		/* The operator reads which option it was, and both values. */
		if (!strstr(message, differences[i][2]))
			fail_msg("%s=%s is not named: %s", differences[i][0], differences[i][1], message);
		untouched(&to, before, differences[i][0], i);
		kit_destroy(&to);
	}
	free(stream.data);
}

static struct stream hand_made(uint32_t instance, uint32_t version)
{
	struct stream stream;
	const void *data;

	assert_int_equal(viommu_stream_writer_create(&stream.writer), 0);
	viommu_stream_begin(stream.writer, "unit", instance, version);
	viommu_stream_put_u64(stream.writer, 1, 0);
	viommu_stream_end(stream.writer);
	assert_int_equal(viommu_stream_finish(stream.writer, &data, &stream.length), 0);
	stream.data = malloc(stream.length);
	memcpy(stream.data, data, stream.length);
	viommu_stream_writer_destroy(stream.writer);
	return stream;
}

/* A newer section, another instance, fields that are missing. */
static void newer_and_incomplete(void **state)
{
	struct kit *kit = *state;
	uint32_t before[1024];
	struct stream stream;
	char message[200];

	read_window(kit, before);
	stream = hand_made(0, 1000);
	assert_int_equal(load(kit, stream.data, stream.length, message, sizeof(message)),
			 -EPROTONOSUPPORT);
	free(stream.data);
	stream = hand_made(7, 1);
	assert_true(load(kit, stream.data, stream.length, message, sizeof(message)) < 0);
	free(stream.data);
	stream = hand_made(0, 1);
	assert_true(load(kit, stream.data, stream.length, message, sizeof(message)) < 0);
	assert_true(load(kit, stream.data, stream.length, NULL, 0) < 0);
	free(stream.data);
	untouched(kit, before, "a hand-made stream", 0);
}

/* A stream whose checksums are right and whose contents are of an enemy: `words` are the registers. */
struct forgery {
	uint64_t cap, ecap, root, interrupt_table, next_fault, causes[3];
	uint64_t log, log_index;
	const void *pasids;
	size_t pasids_length;
	uint32_t words[1024];
};

static struct stream forge(const struct forgery *f)
{
	struct stream stream;
	const void *data;

	assert_int_equal(viommu_stream_writer_create(&stream.writer), 0);
	viommu_stream_begin(stream.writer, "unit", 0, 1);
	viommu_stream_put_u64(stream.writer, 1, f->cap);
	viommu_stream_put_u64(stream.writer, 2, f->ecap);
	viommu_stream_put_bytes(stream.writer, 3, f->words, sizeof(f->words));
	viommu_stream_put_u64(stream.writer, 4, f->root);
	viommu_stream_put_u64(stream.writer, 5, f->interrupt_table);
	viommu_stream_put_u64(stream.writer, 6, f->next_fault);
	viommu_stream_put_bytes(stream.writer, 7, f->causes, sizeof(f->causes));
	viommu_stream_put_u64(stream.writer, 8, f->log);
	viommu_stream_put_u64(stream.writer, 9, f->log_index);
	viommu_stream_put_bytes(stream.writer, 10, f->pasids, f->pasids_length);
	viommu_stream_end(stream.writer);
	assert_int_equal(viommu_stream_finish(stream.writer, &data, &stream.length), 0);
	stream.data = malloc(stream.length);
	memcpy(stream.data, data, stream.length);
	viommu_stream_writer_destroy(stream.writer);
	return stream;
}

/* A unit with everything that can be had at once. */
static void create_rich(struct kit *kit)
{
	struct viommu_unit_options options;

	viommu_unit_options_init(&options);
	options.memory_type = options.interrupt_remapping = options.posted_interrupts = true;
	options.protected_memory = options.performance_monitoring = options.virtual_commands = true;
	options.advanced_fault_log = options.rid_privilege = true;
	options.pasid_bits = 8;
	kit_create(kit, &options);
}

static void start_forgery(struct forgery *f, const struct kit *kit)
{
	static uint64_t pasids[4];

	memset(f, 0, sizeof(*f));
	memset(pasids, 0, sizeof(pasids));
	f->cap = kit->cap;
	f->ecap = kit->ecap;
	f->pasids = pasids;
	f->pasids_length = sizeof(pasids);
}

/* Everything a guest and its devices might do now: nothing may hang, and the unit can be brought back. */
static void exercise(struct kit *kit)
{
	struct viommu_translation t;
	struct kit_record record;
	uint64_t value, to;
	uint32_t data;

	for (uint32_t offset = 0; offset < VIOMMU_UNIT_WINDOW; offset += 4)
		viommu_unit_read(kit->unit, offset, 4, &value);
	for (uint32_t pasid = 0; pasid < 3; pasid++) {
		viommu_translate(kit->endpoint, pasid, 0x1000, VIOMMU_WRITE, &t);
		viommu_ats_translate(kit->endpoint, pasid, 0x1000, VIOMMU_WRITE, &t);
		viommu_page_request(kit->endpoint, pasid, 0x1000, VIOMMU_READ, 1, true);
	}
	viommu_translate(kit->endpoint, VIOMMU_NO_PASID, 0x1000, VIOMMU_WRITE, &t);
	viommu_translated_request(kit->endpoint, 0x1000, VIOMMU_READ, &t);
	viommu_interrupt(kit->endpoint, 0xfee00010, 0, &to, &data, NULL);
	/* Commands of every kind there is. */
	for (unsigned int i = 238; i < 248; i++)
		viommu_unit_write(kit->unit, 0x400, 8, i);
	for (uint64_t i = 0; i < 4; i++)
		viommu_unit_write(kit->unit, 0xe00, 8, i | 5 << 16);
	viommu_unit_write(kit->unit, REG_PMEN, 4, 0);
	viommu_unit_write(kit->unit, REG_FSTS, 4, 0xffffffff);
	viommu_unit_write(kit->unit, REG_IQT, 8, 0x40);
	kit_take_fault(kit, &record);
	viommu_unit_reset(kit->unit);
	assert_int_equal(kit_read(kit, REG_GSTS, 4), 0);
	expect_gpa(kit, VIOMMU_NO_PASID, 0x4000, VIOMMU_READ, 0x4000);
}

/*
 * VT-d 11.4: each register in turn holds all ones: what comes of it is what a guest could have written or the
 * unit could have put there, and no bit more.
 */
static void forged_registers(void **state)
{
	static const struct {
		uint32_t offset, words;
		uint32_t mask[2];
	} limits[] = {
		{ 0x1c, 1, { 0xf7800000 } },		    /* GSTS: no WBF */
		{ 0x20, 2, { 0xfffffc00, 0xffffffff } },
		{ 0x34, 1, { 0xff7f } },
		{ 0x38, 1, { 0xc0000000 } },
		{ 0x3c, 1, { 0xffff } },
		{ 0x40, 1, { 0xfffffffc } },
		{ 0x58, 2, { 0xfffffe00, 0xffffffff } },
		{ 0x64, 1, { 0x80000001 } },
		{ 0x68, 1, { 0xffe00000 } },
		{ 0x70, 2, { 0xffe00000, 0xffffffff } },
		{ 0x80, 2, { 0x7fff0, 0 } },
		{ 0x88, 2, { 0x7fff0, 0 } },
		{ 0x90, 2, { 0xfffff807, 0xffffffff } },
		{ 0x9c, 1, { 1 } },
		{ 0xb0, 2, { 0xf, 0xffffffff } },
		{ 0xb8, 2, { 0xfffff00f, 0xffffffff } },    /* no EIM here */
		{ 0xc0, 2, { 0x7ffe0, 0 } },
		{ 0xc8, 2, { 0x7ffe0, 0 } },
		{ 0xd0, 2, { 0xfffff007, 0xffffffff } },
		{ 0xdc, 1, { 3 } },
		{ 0x100, 2, { 0x50a, 0 } },
		{ 0x108, 2, { 0xcff, 0 } },
		{ 0x300, 2, { 0x04300002, 0xf0070000 } },
		{ 0x324, 1, { 1 } },
		{ 0x328, 1, { 0xc0000000 } },
		{ 0x380, 2, { 0, 0 } },
		{ 0x410, 2, { 0xfe, 0 } },
		{ 0x420, 2, { 0, 0 } },
		{ 0x448, 2, { 0, 0x3f0000 } },
		{ 0x800, 2, { 0xffffffff, 0xffff } },
		{ 0x900, 2, { 3, 0 } },
		{ 0x908, 2, { 3, 0 } },
		{ 0xa00, 2, { 0xf07, 0x0fffffff } },
		{ 0xa08, 1, { 0 } },
		{ 0xe10, 2, { 0xffff00fe, 0xf } },
		{ 0xe30, 2, { 7, 0 } },
	};
	struct forgery f;
	struct kit kit;

	create_rich(&kit);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct stream stream;

		start_forgery(&f, &kit);
		for (uint32_t w = 0; w < limits[i].words; w++)
			f.words[limits[i].offset / 4 + w] = ~0u;
		stream = forge(&f);
		assert_int_equal(load(&kit, stream.data, stream.length, NULL, 0), 0);
		for (uint32_t w = 0; w < limits[i].words; w++) {
			uint32_t value = (uint32_t)kit_read(&kit, limits[i].offset + 4 * w, 4);

			if (value & ~limits[i].mask[w])
				fail_msg("register 0x%x: %x is loaded, 0x%x at most may be", limits[i].offset,
					 value, limits[i].mask[w]);
		}
		exercise(&kit);
		free(stream.data);
	}
	/* All of them at once, and what commands had latched. */
	for (int round = 0; round < 64; round++) {
		struct stream stream;

		start_forgery(&f, &kit);
		for (int w = 0; w < 1024; w++)
			f.words[w] = round < 2 ? ~0u : (uint32_t)(w * 2654435761u * (uint32_t)round);
		f.root = round & 1 ? ~0ull : (uint64_t)round << 10;
		f.interrupt_table = ~0ull;
		f.log = ~0ull;
		f.causes[0] = f.causes[1] = f.causes[2] = ~0ull;
		stream = forge(&f);
		assert_int_equal(load(&kit, stream.data, stream.length, NULL, 0), 0);
		exercise(&kit);
		free(stream.data);
	}
	kit_destroy(&kit);
}

/* What no unit could have said is refused, and changes nothing. */
static void forged_fields(void **state)
{
	uint32_t before[1024];
	struct stream stream;
	struct forgery f;
	char message[200];
	uint64_t many[5] = { 0 };
	struct kit kit;

	create_rich(&kit);
	read_window(&kit, before);
	for (int i = 0; i < 6; i++) {
		start_forgery(&f, &kit);
		f.words[REG_RTADDR / 4] = 0xfffff000;
		if (i == 0)
			f.next_fault = 8;
		else if (i == 1)
			f.next_fault = ~0ull;
		else if (i == 2)
			f.log_index = 256;
		else if (i == 3)
			f.log = 7 << 9, f.log_index = 256 << 7;
		else if (i == 4)
			f.pasids_length = 24;
		else
			f.pasids = many, f.pasids_length = 40;
		stream = forge(&f);
		message[0] = 0;
		assert_true(load(&kit, stream.data, stream.length, message, sizeof(message)) < 0);
		assert_true(message[0]);
		untouched(&kit, before, "a forged field", i);
		free(stream.data);
	}
	/* PASIDs the width does not have, and 0, are nobody's. */
	start_forgery(&f, &kit);
	memset(many, 0xff, sizeof(many));
	f.pasids = many;
	stream = forge(&f);
	assert_int_equal(load(&kit, stream.data, stream.length, NULL, 0), 0);
	kit_write(&kit, 0xe00, 8, 1);
	assert_int_equal(kit_read(&kit, 0xe10, 8), 16 << 1);
	kit_write(&kit, 0xe00, 8, 2 | 77 << 16);
	assert_int_equal(kit_read(&kit, 0xe10, 8), 0);
	kit_write(&kit, 0xe00, 8, 1);
	assert_int_equal(kit_read(&kit, 0xe10, 8), 77 << 16);
	kit_write(&kit, 0xe00, 8, 2);
	assert_int_equal(kit_read(&kit, 0xe10, 8), 16 << 1);
	kit_write(&kit, 0xe00, 8, 1);
	assert_int_equal(kit_read(&kit, 0xe10, 8), 16 << 1);
	free(stream.data);
	kit_destroy(&kit);
}

/* Loading drops caches: nothing of before is used with the tables of after. */
static void caches_do_not_survive(void **state)
{
	struct kit *kit = *state;
	struct stream stream;
	uint64_t root, leaf;

	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, P1, 4);
	leaf = kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | URW);
	expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x5000);
	stream = save(kit);
	kit_put(kit, leaf, 0x6000 | URW);
	assert_int_equal(load(kit, stream.data, stream.length, NULL, 0), 0);
	expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x6000);
	free(stream.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		kit_test(round_trip),
		kit_test(truncated),
		kit_test(corrupt),
		kit_test(other_capabilities),
		kit_test(newer_and_incomplete),
		cmocka_unit_test(forged_registers),
		cmocka_unit_test(forged_fields),
		kit_test(caches_do_not_survive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
