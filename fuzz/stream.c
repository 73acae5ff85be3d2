/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * State streams from nobody knows where. The checksums would keep nearly every input out, so the
 * input is used twice: as a stream as it is, and as the contents of a well-formed one, which gets
 * past the reader and has to be refused, or taken, by the unit. What is refused must leave the unit
 * as it was.
 */
#include <stdio.h>
#include <stdlib.h>

#include "vtd/kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_window(struct kit *kit, uint32_t *words)
{
	for (int i = 0; i < 1024; i++) {
		uint64_t value;

		viommu_unit_read(kit->unit, 4 * i, 4, &value);
		words[i] = (uint32_t)value;
	}
}

static void load(struct kit *kit, const void *data, size_t length)
{
	static uint32_t before[1024], after[1024];
	struct viommu_stream_reader *reader;
	struct viommu_translation t;
	char message[100];
	int error;

	if (viommu_stream_reader_create(data, length, &reader, message, sizeof(message)))
		return;
	read_window(kit, before);
	error = viommu_unit_load(kit->unit, reader, 0, message, sizeof(message));
	viommu_stream_reader_destroy(reader);
	read_window(kit, after);
	if (error && memcmp(before, after, sizeof(before))) {
		fprintf(stderr, "a refused stream changed the unit\n");
		abort();
	}
	/* Whatever it is now, it must work on. */
	viommu_translate(kit->endpoint, 1, 0x1000, VIOMMU_READ, &t);
	viommu_page_request(kit->endpoint, 1, 0x1000, VIOMMU_READ, 1, true);
	viommu_unit_write(kit->unit, REG_IQT, 8, 0x20);
	viommu_unit_write(kit->unit, REG_FSTS, 4, 0xff);
	viommu_unit_write(kit->unit, REG_GCMD, 4, 0);
}

/* {tag, length} and bytes, over and over, as fields of a section "unit" with a good checksum. */
static void load_fields(struct kit *kit, const uint8_t *data, size_t size)
{
	static uint8_t window[VIOMMU_UNIT_WINDOW];
	struct viommu_stream_writer *writer;
	const void *stream;
	size_t length;

	if (viommu_stream_writer_create(&writer))
		return;
	viommu_stream_begin(writer, "unit", 0, 1);
	viommu_stream_put_u64(writer, 1, kit->cap);
	viommu_stream_put_u64(writer, 2, kit->ecap);
	/* Registers as they are, with the input's bytes laid over at places it chooses. */
	for (int i = 0; i < 1024; i++) {
		uint64_t value;

		viommu_unit_read(kit->unit, 4 * i, 4, &value);
		memcpy(window + 4 * i, &value, 4);
	}
	for (size_t i = 0; i + 6 <= size; i += 6)
		memcpy(window + (data[i] << 8 | data[i + 1]) % (VIOMMU_UNIT_WINDOW - 4),
		       data + i + 2, 4);
	viommu_stream_put_bytes(writer, 3, window, sizeof(window));
	for (uint32_t tag = 4; tag <= 6; tag++) {
		uint64_t value = 0;

		memcpy(&value, data, size < 8 ? size : 8);
		viommu_stream_put_u64(writer, tag, tag == 6 ? value & 0xff : value);
	}
	{
		uint64_t causes[3] = { size, size << 8, ~0ull };

		viommu_stream_put_bytes(writer, 7, causes, size & 1 ? sizeof(causes) : 8);
	}
	viommu_stream_end(writer);
	if (!viommu_stream_finish(writer, &stream, &length))
		load(kit, stream, length);
	viommu_stream_writer_destroy(writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct kit kit;
	struct viommu_unit_options options;

	viommu_unit_options_init(&options);
	options.iotlb_entries = 64;
	options.interrupt_remapping = true;
	kit_create(&kit, &options);
	kit_start(&kit, TTM_SCALABLE);
	load(&kit, data, size);
	load_fields(&kit, data, size);
	kit_destroy(&kit);
	return 0;
}
