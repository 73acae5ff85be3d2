/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state stream: what is written is read back; a stream cut anywhere or with any bit turned is refused before anything is handed
 * out; and what nobody reads is noticed.
 */
#include <viommu/stream.h>

#include "common.h"
#include "memory/alloc.h"
#include "memory/crc32c.h"
#include "memory/stream_format.h"

static int build(struct viommu_stream_writer **writer, const void **data, size_t *length)
{
	int ret = viommu_stream_writer_create(writer);

	if (ret)
		return ret;
	viommu_stream_begin(*writer, "unit", 0, 3);
	viommu_stream_put_u64(*writer, 9, 0x1122334455667788);
	viommu_stream_put_bytes(*writer, 2, "hello", 5);
	viommu_stream_put_bytes(*writer, 5 | VIOMMU_STREAM_OPTIONAL, "", 0);
	viommu_stream_end(*writer);
	viommu_stream_begin(*writer, "endpoint", 7, 1);
	viommu_stream_put_u64(*writer, 1, 1);
	viommu_stream_end(*writer);
	return viommu_stream_finish(*writer, data, length);
}

static void round_trip(void **state)
{
	struct viommu_stream_writer *writer;
	struct viommu_stream_reader *reader;
	const void *data, *bytes;
	size_t length, count;
	uint32_t version;
	uint64_t value;
	char message[200] = "";

	assert_int_equal(viommu_crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(build(&writer, &data, &length), 0);
	assert_int_equal(viommu_stream_reader_create(data, length, &reader, message, sizeof(message)), 0);
	assert_int_equal(viommu_stream_get_u64(reader, 9, &value), -ENOENT); /* no open section */
	assert_int_equal(viommu_stream_open(reader, "unit", 0, 2, NULL), -EPROTONOSUPPORT);
	assert_int_equal(viommu_stream_open(reader, "unit", 1, 9, NULL), -ENOENT);
	assert_int_equal(viommu_stream_open(reader, "uni", 0, 9, NULL), -ENOENT);
	assert_int_equal(viommu_stream_open(reader, "unit", 0, 3, &version), 0);
	assert_int_equal(version, 3);
	assert_int_equal(viommu_stream_get_u64(reader, 9, &value), 0);
	assert_int_equal(value, 0x1122334455667788);
	assert_int_equal(viommu_stream_check_read(reader, message, sizeof(message)), -EPROTONOSUPPORT);
	assert_non_null(strstr(message, "field 2 of section unit"));
	assert_int_equal(viommu_stream_get_u64(reader, 2, &value), -EBADMSG);
	assert_int_equal(viommu_stream_get_bytes(reader, 2, &bytes, &count), 0);
	assert_int_equal(count, 5);
	assert_memory_equal(bytes, "hello", 5);
	assert_int_equal(viommu_stream_check_read(reader, message, sizeof(message)), -EPROTONOSUPPORT);
	assert_non_null(strstr(message, "endpoint 7"));
	assert_int_equal(viommu_stream_open(reader, "endpoint", 7, 1, NULL), 0);
	assert_int_equal(viommu_stream_get_u64(reader, 9, &value), -ENOENT);
	assert_int_equal(viommu_stream_get_u64(reader, 1, &value), 0);
	assert_int_equal(viommu_stream_check_read(reader, NULL, 0), 0);
	viommu_stream_reader_destroy(reader);
	viommu_stream_writer_destroy(writer);
}

static int try_read(const void *data, size_t length, char *message)
{
	struct viommu_stream_reader *reader = NULL;
	int ret = viommu_stream_reader_create(data, length, &reader, message, message ? 200 : 0);

	if (!ret)
		viommu_stream_reader_destroy(reader);
	return ret;
}

static void damaged(void **state)
{
	struct viommu_stream_writer *writer;
	const void *data;
	size_t length;
	uint8_t *copy;
	char message[200];

	assert_int_equal(build(&writer, &data, &length), 0);
	copy = malloc(length + 1);
	memcpy(copy, data, length);
	copy[length] = 0;
	assert_int_equal(try_read(copy, length + 1, message), -EBADMSG);
	for (size_t cut = 0; cut < length; cut++) {
		/* Exactly as much memory as is promised, so that a sanitizer sees a byte too far. */
		uint8_t *part = malloc(cut ? cut : 1);

		memcpy(part, data, cut);
		assert_int_equal(try_read(part, cut, NULL), -EBADMSG);
		free(part);
	}
	for (size_t at = 0; at < length * 8; at++) {
		int ret;

		copy[at / 8] ^= (uint8_t)(1u << at % 8);
		message[0] = 0;
		ret = try_read(copy, length, message);
		assert_true(ret == -EBADMSG || (at / 8 >= 8 && at / 8 < 16 && ret == -EPROTONOSUPPORT));
		assert_true(message[0]);
		copy[at / 8] ^= (uint8_t)(1u << at % 8);
	}
	assert_int_equal(try_read(copy, length, NULL), 0);
	free(copy);
	viommu_stream_writer_destroy(writer);
}

/* Lengths that lie, under a checksum that is right. */
static void lying_lengths(void **state)
{
	static const uint64_t lies[] = { 0, 1, 15, 17, 1000, UINT64_MAX, UINT64_MAX - 15, 1ull << 63 };
	struct viommu_stream_writer *writer;
	const void *data;
	size_t length;
	uint8_t *copy;

	assert_int_equal(build(&writer, &data, &length), 0);
	copy = malloc(length);
	for (unsigned int i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		uint8_t *section = copy + STREAM_HEADER;
		uint8_t *field = section + SECTION_HEADER + 4;
		uint64_t section_length;
		uint32_t crc;

		memcpy(copy, data, length);
		section_length = get64(section + SECTION_LENGTH_AT);
		put64(field + 8, lies[i]);
		crc = viommu_crc32c(0, section + SECTION_LENGTH_AT,
				    SECTION_HEADER - SECTION_LENGTH_AT + 4 + section_length);
		put32(section + SECTION_CRC_AT, viommu_crc32c(crc, section + 4, 8));
		assert_int_equal(try_read(copy, length, NULL), -EBADMSG);
		memcpy(copy, data, length);
		put64(section + SECTION_LENGTH_AT, lies[i]);
		assert_int_equal(try_read(copy, length, NULL), -EBADMSG);
	}
	free(copy);
	viommu_stream_writer_destroy(writer);
}

static void doubles(void **state)
{
	struct viommu_stream_writer *writer;
	const void *data;
	size_t length;
	char message[200];

	viommu_stream_writer_create(&writer);
	viommu_stream_begin(writer, "x", 0, 0);
	for (uint32_t tag = 100; tag > 0; tag--)
		viommu_stream_put_u64(writer, tag, tag);
	viommu_stream_put_u64(writer, 50, 1);
	viommu_stream_end(writer);
	assert_int_equal(viommu_stream_finish(writer, &data, &length), 0);
	assert_int_equal(try_read(data, length, message), -EBADMSG);
	assert_non_null(strstr(message, "twice"));
	viommu_stream_writer_destroy(writer);
}

static void many_fields_in_any_order(void **state)
{
	struct viommu_stream_writer *writer;
	struct viommu_stream_reader *reader;
	const void *data;
	size_t length;
	uint64_t value;

	viommu_stream_writer_create(&writer);
	viommu_stream_begin(writer, "x", 0, 0);
	for (uint32_t i = 0; i < 10007; i++)
		viommu_stream_put_u64(writer, i * 5003u % 10007u, i);
	viommu_stream_end(writer);
	assert_int_equal(viommu_stream_finish(writer, &data, &length), 0);
	assert_int_equal(viommu_stream_reader_create(data, length, &reader, NULL, 0), 0);
	assert_int_equal(viommu_stream_open(reader, "x", 0, 0, NULL), 0);
	for (uint32_t i = 0; i < 10007; i++) {
		assert_int_equal(viommu_stream_get_u64(reader, i * 5003u % 10007u, &value), 0);
		assert_int_equal(value, i);
	}
	viommu_stream_reader_destroy(reader);
	viommu_stream_writer_destroy(writer);
}

static void misuse(void **state)
{
	struct viommu_stream_writer *writer;
	const void *data;
	size_t length;

	viommu_stream_writer_create(&writer);
	viommu_stream_put_u64(writer, 1, 1); /* outside a section */
	assert_int_equal(viommu_stream_finish(writer, &data, &length), -EINVAL);
	viommu_stream_writer_destroy(writer);
	viommu_stream_writer_create(&writer);
	viommu_stream_begin(writer, "a", 0, 0);
	assert_int_equal(viommu_stream_finish(writer, &data, &length), -EINVAL);
	viommu_stream_writer_destroy(writer);
	viommu_stream_writer_create(&writer);
	viommu_stream_begin(writer, "a", 0, 0);
	viommu_stream_begin(writer, "b", 0, 0);
	viommu_stream_end(writer);
	assert_int_equal(viommu_stream_finish(writer, &data, &length), -EINVAL);
	viommu_stream_writer_destroy(writer);
}

static void allocations_fail(void **state)
{
	long n;

	for (n = 0;; n++) {
		struct viommu_stream_writer *writer = NULL;
		const void *data;
		size_t length;
		int ret;

		viommu_alloc_fail_nth(n);
		ret = build(&writer, &data, &length);
		if (!ret)
			ret = try_read(data, length, NULL);
		viommu_stream_writer_destroy(writer);
		if (!viommu_alloc_fail_nth(-1)) {
			assert_int_equal(ret, 0);
			break;
		}
		assert_int_equal(ret, -ENOMEM);
	}
	assert_true(n >= 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip), cmocka_unit_test(damaged),
		cmocka_unit_test(lying_lengths), cmocka_unit_test(doubles),
		cmocka_unit_test(many_fields_in_any_order), cmocka_unit_test(misuse),
		cmocka_unit_test(allocations_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
