/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing a state stream: a buffer that grows, and errors that stick until the end so that callers need not look at each step.
 */
#include <errno.h>

#include <viommu/stream.h>

#include "memory/alloc.h"
#include "memory/crc32c.h"
#include "memory/stream_format.h"

struct viommu_stream_writer {
	uint8_t *data;
	size_t length;
	size_t capacity;
	size_t section;     /* offset of the open section's header, 0: none */
	uint32_t sections;
	uint32_t crc;       /* over the sections' crcs */
	int error;
	bool finished;
};

static uint8_t *append(struct viommu_stream_writer *writer, size_t length)
{
	uint8_t *at;

	if (writer->error)
		return NULL;
	if (length > SIZE_MAX / 4 - writer->length) {
		writer->error = -ENOMEM;
		return NULL;
	}
	if (writer->length + length > writer->capacity) {
		size_t capacity = (writer->length + length) * 2;
		uint8_t *data = viommu_realloc(writer->data, capacity);

		if (!data) {
			writer->error = -ENOMEM;
			return NULL;
		}
		writer->data = data;
		writer->capacity = capacity;
	}
	at = writer->data + writer->length;
	memset(at, 0, length);
	writer->length += length;
	return at;
}

static void misuse(struct viommu_stream_writer *writer)
{
	if (!writer->error)
		writer->error = -EINVAL;
}

int viommu_stream_writer_create(struct viommu_stream_writer **result)
{
	struct viommu_stream_writer *writer = viommu_zalloc(sizeof(*writer));
	uint8_t *header;

	if (!writer)
		return -ENOMEM;
	header = append(writer, STREAM_HEADER);
	if (!header) {
		viommu_free(writer);
		return -ENOMEM;
	}
	memcpy(header, STREAM_MAGIC, 8);
	put32(header + 8, STREAM_VERSION);
	*result = writer;
	return 0;
}

void viommu_stream_writer_destroy(struct viommu_stream_writer *writer)
{
	if (!writer)
		return;
	viommu_free(writer->data);
	viommu_free(writer);
}

void viommu_stream_begin(struct viommu_stream_writer *writer, const char *name, uint32_t instance,
			 uint32_t version)
{
	size_t length = strlen(name);
	size_t at = writer->length;
	uint8_t *header;

	if (writer->section || writer->finished || !length || length > NAME_MAX_LENGTH) {
		misuse(writer);
		return;
	}
	header = append(writer, SECTION_HEADER + length);
	if (!header)
		return;
	put32(header, SECTION_MARK);
	put32(header + 4, instance);
	put32(header + 8, version);
	put32(header + 24, (uint32_t)length);
	memcpy(header + SECTION_HEADER, name, length);
	writer->section = at;
}

void viommu_stream_end(struct viommu_stream_writer *writer)
{
	uint8_t *header;
	uint32_t crc;

	if (!writer->section) {
		misuse(writer);
		return;
	}
	if (writer->error)
		return;
	header = writer->data + writer->section;
	put64(header + SECTION_LENGTH_AT,
	      writer->length - writer->section - SECTION_HEADER - get32(header + 24));
	crc = viommu_crc32c(0, header + SECTION_LENGTH_AT,
			    writer->length - writer->section - SECTION_LENGTH_AT);
	crc = viommu_crc32c(crc, header + 4, 8);
	put32(header + SECTION_CRC_AT, crc);
	writer->crc = viommu_crc32c(writer->crc, header + SECTION_CRC_AT, 4);
	writer->sections++;
	writer->section = 0;
}

void viommu_stream_put_bytes(struct viommu_stream_writer *writer, uint32_t tag, const void *data,
			     size_t length)
{
	uint8_t *field;

	if (!writer->section || length > SIZE_MAX / 8) {
		misuse(writer);
		return;
	}
	field = append(writer, FIELD_HEADER + length);
	if (!field)
		return;
	put32(field, tag);
	put64(field + 8, length);
	if (length)
		memcpy(field + FIELD_HEADER, data, length);
}

void viommu_stream_put_u64(struct viommu_stream_writer *writer, uint32_t tag, uint64_t value)
{
	uint8_t bytes[8];

	put64(bytes, value);
	viommu_stream_put_bytes(writer, tag, bytes, sizeof(bytes));
}

int viommu_stream_finish(struct viommu_stream_writer *writer, const void **data, size_t *length)
{
	uint8_t *end;

	if (writer->section)
		misuse(writer);
	if (!writer->finished) {
		end = append(writer, STREAM_END);
		if (end) {
			put32(end, END_MARK);
			put32(end + 4, writer->sections);
			put32(end + 8, writer->crc);
			writer->finished = true;
		}
	}
	if (writer->error)
		return writer->error;
	*data = writer->data;
	*length = writer->length;
	return 0;
}
