/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checksums by tables, eight bytes a step; CRC32-C by the CPU's instruction where it has one.
 *
 * Table k of eight gives the effect of a byte that has k more bytes behind it, so that the eight
 * look-ups of a step are independent of each other ("slicing by eight").
 */
#include <pthread.h>
#include <string.h>
#include "crc.h"

enum { CRC32C_REFLECTED = 0x82f63b78, CRC16_T10 = 0x8bb7 };

static uint32_t table32[8][256];
static uint16_t table16[8][256];
static uint8_t reversed[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint8_t reverse8(uint8_t value)
{
	uint8_t result = 0;

	for (int bit = 0; bit < 8; bit++)
		result |= (value >> bit & 1) << (7 - bit);
	return result;
}

static void make_tables(void)
{
	for (unsigned int i = 0; i < 256; i++) {
		uint32_t crc32 = i;
		uint16_t crc16 = i << 8;

		for (int bit = 0; bit < 8; bit++) {
			crc32 = crc32 >> 1 ^ (crc32 & 1 ? (uint32_t)CRC32C_REFLECTED : 0);
			crc16 = crc16 << 1 ^ (crc16 & 0x8000 ? CRC16_T10 : 0);
		}
		table32[0][i] = crc32;
		table16[0][i] = crc16;
		reversed[i] = reverse8(i);
	}
	for (unsigned int k = 1; k < 8; k++) {
		for (unsigned int i = 0; i < 256; i++) {
			uint32_t crc32 = table32[k - 1][i];
			uint16_t crc16 = table16[k - 1][i];

			table32[k][i] = crc32 >> 8 ^ table32[0][crc32 & 0xff];
			table16[k][i] = crc16 << 8 ^ table16[0][crc16 >> 8];
		}
	}
}

uint32_t dsa_crc32c_tables(uint32_t crc, const void *from, size_t length)
{
	const uint8_t *data = from;

	pthread_once(&once, make_tables);
	for (; length >= 8; data += 8, length -= 8) {
		uint64_t word;

		memcpy(&word, data, 8);
		word ^= crc;
		crc = 0;
		for (int k = 0; k < 8; k++)
			crc ^= table32[7 - k][word >> 8 * k & 0xff];
	}
	while (length--)
		crc = crc >> 8 ^ table32[0][(crc ^ *data++) & 0xff];
	return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_cpu(uint32_t crc, const uint8_t *data,
							     size_t length)
{
	uint64_t wide = crc;

	for (; length >= 8; data += 8, length -= 8) {
		uint64_t word;

		memcpy(&word, data, 8);
		wide = __builtin_ia32_crc32di(wide, word);
	}
	crc = (uint32_t)wide;
	while (length--)
		crc = __builtin_ia32_crc32qi(crc, *data++);
	return crc;
}
#endif

uint32_t dsa_crc32c(uint32_t crc, const void *data, size_t length)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_cpu(crc, data, length);
#endif
	return dsa_crc32c_tables(crc, data, length);
}

uint32_t dsa_crc32c_reversed(uint32_t crc, const void *data, size_t length)
{
	const uint8_t *bytes = data;

	pthread_once(&once, make_tables);
	while (length--)
		crc = crc >> 8 ^ table32[0][(crc ^ reversed[*bytes++]) & 0xff];
	return crc;
}

uint16_t dsa_crc16(uint16_t crc, const void *data, size_t length)
{
	const uint8_t *bytes = data;

	pthread_once(&once, make_tables);
	for (; length >= 8; bytes += 8, length -= 8) {
		uint16_t next =
			table16[7][bytes[0] ^ crc >> 8] ^ table16[6][bytes[1] ^ (crc & 0xff)];

		for (int k = 2; k < 8; k++)
			next ^= table16[7 - k][bytes[k]];
		crc = next;
	}
	while (length--)
		crc = crc << 8 ^ table16[0][(crc >> 8 ^ *bytes++) & 0xff];
	return crc;
}

uint32_t dsa_reverse32(uint32_t value)
{
	value = __builtin_bswap32(value);
	value = (value & 0x0f0f0f0f) << 4 | (value >> 4 & 0x0f0f0f0f);
	value = (value & 0x33333333) << 2 | (value >> 2 & 0x33333333);
	return (value & 0x55555555) << 1 | (value >> 1 & 0x55555555);
}
