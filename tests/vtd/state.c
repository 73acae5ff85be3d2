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

static void round_trip(void **state)
{
	struct kit *from = *state;
	uint32_t before[1024], after[1024];
	struct kit_record record;
	struct stream stream;
	char message[200] = "";
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
	/* It goes on: translation, the queue where it stood, the faults, the pending event. */
	expect_gpa(&to, P1, 0x1000, VIOMMU_WRITE, 0x5000);
	assert_true(kit_flush_all(&to));
	assert_int_equal(to.messages, 0);
	kit_write(&to, REG_FECTL, 4, 0);
	assert_int_equal(to.messages, 1);
	assert_int_equal(to.message[0].address, 0x1200fee01000);
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
	static const char *const differences[][2] = {
		{ "aw-bits", "57" },	   { "nested", "off" },	       { "pasid-bits", "16" },
		{ "caching-mode", "on" },  { "snoop-control", "off" }, { "fault-records", "4" },
		{ "device-iotlb", "off" }, { "five-level", "off" },
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
		/* The operator reads which option it was. */
		if (!strstr(message, differences[i][0]))
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
		kit_test(caches_do_not_survive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
