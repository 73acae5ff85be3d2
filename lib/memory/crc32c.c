/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CRC32-C by four bits at a time, or with the processor's instruction for it where there is one.
 */
#include <string.h>

#include "memory/crc32c.h"

static const uint32_t nibbles[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
	0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

static uint32_t portable(uint32_t crc, const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		crc ^= bytes[i];
		crc = nibbles[crc & 15] ^ crc >> 4;
		crc = nibbles[crc & 15] ^ crc >> 4;
	}
	return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t accelerated(uint32_t crc, const uint8_t *bytes,
							      size_t length)
{
	uint64_t wide = crc, word;

	for (; length >= 8; bytes += 8, length -= 8) {
		memcpy(&word, bytes, 8);
		wide = __builtin_ia32_crc32di(wide, word);
	}
	crc = (uint32_t)wide;
	for (; length; bytes++, length--)
		crc = __builtin_ia32_crc32qi(crc, *bytes);
	return crc;
}
#endif

uint32_t viommu_crc32c(uint32_t crc, const void *data, size_t length)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return ~accelerated(~crc, data, length);
#endif
	return ~portable(~crc, data, length);
}
