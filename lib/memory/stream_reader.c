/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a state stream: everything is checked and indexed before the first section is handed out.
 *
 * Two passes over the headers, one to count and check, one to fill the index; the index is at most twice the stream's size. Fields
 * are sorted by tag within their section, so that doubles show and look-ups are by halves.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <viommu/stream.h>

#include "memory/alloc.h"
#include "memory/crc32c.h"
#include "memory/stream_format.h"

struct field {
	uint32_t tag;
	bool seen;
	const uint8_t *data;
	uint64_t length;
};

struct section {
	const char *name;
	uint32_t name_length;
	uint32_t instance;
	uint32_t version;
	bool seen;
	struct field *fields;
	uint64_t field_count;
};

struct viommu_stream_reader {
	uint64_t section_count;
	uint64_t field_count;
	struct section *sections;
	struct field *fields;
	struct section *open;
};

/* A stretch of the stream still to be read. */
struct cursor {
	const uint8_t *at;
	const uint8_t *end;
	size_t offset;        /* of `at` in the stream, for messages */
	char *message;
	size_t message_length;
};

__attribute__((format(printf, 2, 3))) static int bad(struct cursor *cursor, const char *format, ...)
{
	va_list arguments;
	int used;

	if (!cursor->message || !cursor->message_length)
		return -EBADMSG;
	used = snprintf(cursor->message, cursor->message_length, "the state stream is damaged at byte %zu: ",
			cursor->offset);
	if (used < 0 || (size_t)used >= cursor->message_length)
		return -EBADMSG;
	va_start(arguments, format);
	vsnprintf(cursor->message + used, cursor->message_length - (size_t)used, format, arguments);
	va_end(arguments);
	return -EBADMSG;
}

static const uint8_t *advance(struct cursor *cursor, uint64_t length)
{
	const uint8_t *at = cursor->at;

	if (length > (uint64_t)(cursor->end - cursor->at))
		return NULL;
	cursor->at += length;
	cursor->offset += length;
	return at;
}

static int check_header(struct cursor *cursor)
{
	const uint8_t *header = advance(cursor, STREAM_HEADER);

	if (!header || memcmp(header, STREAM_MAGIC, 8))
		return bad(cursor, "this is not a viommu state stream");
	if (get32(header + 8) != STREAM_VERSION || get32(header + 12)) {
		if (cursor->message && cursor->message_length)
			snprintf(cursor->message, cursor->message_length,
				 "the state stream has format version %u, this library reads version %u",
				 get32(header + 8), STREAM_VERSION);
		return -EPROTONOSUPPORT;
	}
	return 0;
}

/* The fields of one section; fills them in when the index exists. */
static int read_fields(struct cursor *cursor, struct viommu_stream_reader *reader, uint64_t length)
{
	struct cursor inner = *cursor;

	inner.end = inner.at + length;
	while (inner.at != inner.end) {
		const uint8_t *header = advance(&inner, FIELD_HEADER);
		const uint8_t *data;

		if (!header || get32(header + 4))
			return bad(&inner, "a field's header is cut short or unknown");
		data = advance(&inner, get64(header + 8));
		if (!data)
			return bad(&inner, "field %u is longer than its section", get32(header));
		if (reader->fields)
			reader->fields[reader->field_count] = (struct field){
				.tag = get32(header), .data = data, .length = get64(header + 8),
			};
		reader->field_count++;
	}
	advance(cursor, length);
	return 0;
}

static int read_section(struct cursor *cursor, struct viommu_stream_reader *reader, uint32_t *stream_crc)
{
	const uint8_t *header = advance(cursor, SECTION_HEADER), *name;
	uint64_t length, first = reader->field_count;
	uint32_t name_length, crc;
	int ret;

	if (!header || get32(header) != SECTION_MARK || get32(header + 28))
		return bad(cursor, "a section's header is cut short or unknown");
	name_length = get32(header + 24);
	length = get64(header + SECTION_LENGTH_AT);
	if (!name_length || name_length > NAME_MAX_LENGTH)
		return bad(cursor, "a section's name has %u bytes", name_length);
	name = advance(cursor, name_length);
	if (!name || length > (uint64_t)(cursor->end - cursor->at))
		return bad(cursor, "a section is longer than the stream");
	crc = viommu_crc32c(0, header + SECTION_LENGTH_AT,
			    SECTION_HEADER - SECTION_LENGTH_AT + name_length + length);
	crc = viommu_crc32c(crc, header + 4, 8);
	if (crc != get32(header + SECTION_CRC_AT))
		return bad(cursor, "the checksum of a section is %08x and should be %08x",
			   get32(header + SECTION_CRC_AT), crc);
	*stream_crc = viommu_crc32c(*stream_crc, header + SECTION_CRC_AT, 4);
	ret = read_fields(cursor, reader, length);
	if (ret)
		return ret;
	if (reader->sections)
		reader->sections[reader->section_count] = (struct section){
			.name = (const char *)name,
			.name_length = name_length,
			.instance = get32(header + 4),
			.version = get32(header + 8),
			.fields = reader->fields + first,
			.field_count = reader->field_count - first,
		};
	reader->section_count++;
	return 0;
}

static int read_all(struct cursor cursor, struct viommu_stream_reader *reader)
{
	const uint8_t *end;
	uint32_t crc = 0;
	int ret = check_header(&cursor);

	reader->section_count = 0;
	reader->field_count = 0;
	while (!ret && cursor.end - cursor.at >= 4 && get32(cursor.at) != END_MARK)
		ret = read_section(&cursor, reader, &crc);
	if (ret)
		return ret;
	end = advance(&cursor, STREAM_END);
	if (!end)
		return bad(&cursor, "it ends without an end mark");
	if (get32(end + 4) != reader->section_count || get32(end + 8) != crc || get32(end + 12))
		return bad(&cursor, "sections are missing, doubled or moved");
	if (cursor.at != cursor.end)
		return bad(&cursor, "%zu bytes follow the end mark", (size_t)(cursor.end - cursor.at));
	return 0;
}

static void sift(struct field *fields, uint64_t root, uint64_t count)
{
	for (;;) {
		uint64_t child = root * 2 + 1;
		struct field swap;

		if (child >= count)
			return;
		if (child + 1 < count && fields[child].tag < fields[child + 1].tag)
			child++;
		if (fields[root].tag >= fields[child].tag)
			return;
		swap = fields[root];
		fields[root] = fields[child];
		fields[child] = swap;
		root = child;
	}
}

/* Heap sort: in place, and n log n whatever the stream holds. False when a tag is there twice. */
static bool sort_fields(struct field *fields, uint64_t count)
{
	bool sorted = true;

	for (uint64_t i = 1; i < count && sorted; i++)
		sorted = fields[i - 1].tag < fields[i].tag;
	if (sorted)
		return true;
	for (uint64_t i = count / 2; i-- > 0;)
		sift(fields, i, count);
	for (uint64_t i = count - 1; i > 0; i--) {
		struct field top = fields[0];

		fields[0] = fields[i];
		fields[i] = top;
		sift(fields, 0, i);
	}
	for (uint64_t i = 1; i < count; i++) {
		if (fields[i - 1].tag == fields[i].tag)
			return false;
	}
	return true;
}

static bool named(const struct section *section, const char *name, size_t length, uint32_t instance)
{
	return section->instance == instance && section->name_length == length &&
	       !memcmp(section->name, name, length);
}

static int check_index(struct cursor *cursor, struct viommu_stream_reader *reader)
{
	for (uint64_t i = 0; i < reader->section_count; i++) {
		struct section *section = &reader->sections[i];

		if (!sort_fields(section->fields, section->field_count))
			return bad(cursor, "section %.*s has a field twice", (int)section->name_length,
				   section->name);
	}
	return 0;
}

int viommu_stream_reader_create(const void *data, size_t length, struct viommu_stream_reader **result,
				char *message, size_t message_length)
{
	struct cursor cursor = {
		.at = data, .end = (const uint8_t *)data + length,
		.message = message, .message_length = message_length,
	};
	struct viommu_stream_reader *reader = viommu_zalloc(sizeof(*reader));
	int ret;

	if (!reader)
		return -ENOMEM;
	ret = read_all(cursor, reader);
	if (!ret) {
		reader->sections = viommu_calloc(reader->section_count + 1, sizeof(struct section));
		reader->fields = viommu_calloc(reader->field_count + 1, sizeof(struct field));
		ret = reader->sections && reader->fields ? read_all(cursor, reader) : -ENOMEM;
	}
	if (!ret)
		ret = check_index(&cursor, reader);
	if (ret) {
		viommu_stream_reader_destroy(reader);
		return ret;
	}
	*result = reader;
	return 0;
}

void viommu_stream_reader_destroy(struct viommu_stream_reader *reader)
{
	if (!reader)
		return;
	viommu_free(reader->sections);
	viommu_free(reader->fields);
	viommu_free(reader);
}

/* From the section after the open one on, round once: reading in the order of writing is linear. */
int viommu_stream_open(struct viommu_stream_reader *reader, const char *name, uint32_t instance,
		       uint32_t max_version, uint32_t *version)
{
	uint64_t start = reader->open ? (uint64_t)(reader->open - reader->sections) + 1 : 0;
	size_t length = strlen(name);

	for (uint64_t i = 0; i < reader->section_count; i++) {
		struct section *section = &reader->sections[(start + i) % reader->section_count];

		if (!named(section, name, length, instance))
			continue;
		if (section->version > max_version)
			return -EPROTONOSUPPORT;
		section->seen = true;
		reader->open = section;
		if (version)
			*version = section->version;
		return 0;
	}
	return -ENOENT;
}

static struct field *find_field(struct viommu_stream_reader *reader, uint32_t tag)
{
	uint64_t low = 0, high = reader->open ? reader->open->field_count : 0;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		struct field *field = &reader->open->fields[middle];

		if (field->tag == tag)
			return field;
		if (field->tag < tag)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

int viommu_stream_get_bytes(struct viommu_stream_reader *reader, uint32_t tag, const void **data,
			    size_t *length)
{
	struct field *field = find_field(reader, tag);

	if (!field)
		return -ENOENT;
	field->seen = true;
	*data = field->data;
	*length = field->length;
	return 0;
}

int viommu_stream_get_u64(struct viommu_stream_reader *reader, uint32_t tag, uint64_t *value)
{
	struct field *field = find_field(reader, tag);

	if (!field)
		return -ENOENT;
	if (field->length != 8)
		return -EBADMSG;
	field->seen = true;
	*value = get64(field->data);
	return 0;
}

/* A tag with this bit may be left unread (viommu/stream.h). */
static bool must_read(const struct field *field)
{
	return !field->seen && !(field->tag & VIOMMU_STREAM_OPTIONAL);
}

int viommu_stream_check_read(const struct viommu_stream_reader *reader, char *message,
			     size_t message_length)
{
	for (uint64_t i = 0; i < reader->section_count; i++) {
		const struct section *section = &reader->sections[i];

		if (!section->seen) {
			if (message && message_length)
				snprintf(message, message_length,
					 "the state stream has a section %.*s %u that nothing here understands",
					 (int)section->name_length, section->name, section->instance);
			return -EPROTONOSUPPORT;
		}
		for (uint64_t k = 0; k < section->field_count; k++) {
			if (!must_read(&section->fields[k]))
				continue;
			if (message && message_length)
				snprintf(message, message_length,
					 "field %u of section %.*s %u is not understood here",
					 section->fields[k].tag, (int)section->name_length,
					 section->name, section->instance);
			return -EPROTONOSUPPORT;
		}
	}
	return 0;
}
