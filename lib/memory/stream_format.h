/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state stream's format, version 1. Little-endian, no alignment.
 *
 *	stream  = "VIOMMU\r\n" u32 version = 1, u32 0; section...; end
 *	section = u32 SECTION_MARK, u32 instance, u32 version, u32 crc, u64 length, u32 name length (1..63), u32 0, name, field...
 *	field   = u32 tag, u32 0, u64 length, bytes
 *	end     = u32 END_MARK, u32 sections, u32 crc, u32 0
 *
 * `length` of a section counts its fields. Its crc covers the section from `length` on, then instance and version; the crc of the end mark covers the
 * crcs of the sections, so that none can be lost, doubled or moved.
 */
#ifndef VIOMMU_LIB_STREAM_FORMAT_H
#define VIOMMU_LIB_STREAM_FORMAT_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define STREAM_MAGIC "VIOMMU\r\n"

enum {
	STREAM_VERSION = 1,
	STREAM_HEADER = 16,
	SECTION_HEADER = 32,
	SECTION_CRC_AT = 12,
	SECTION_LENGTH_AT = 16,
	FIELD_HEADER = 16,
	STREAM_END = 16,
	SECTION_MARK = 0x54434553, /* "SECT" */
	END_MARK = 0x2e444e45,     /* "END." */
	NAME_MAX_LENGTH = 63,
};

static inline uint32_t get32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, 4);
	return le32toh(value);
}

static inline uint64_t get64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, 8);
	return le64toh(value);
}

static inline void put32(uint8_t *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, 4);
}

static inline void put64(uint8_t *at, uint64_t value)
{
	value = htole64(value);
	memcpy(at, &value, 8);
}

#endif
