/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two checksums of the DSA: CRC32-C (RFC 3720) and the CRC16 of T10 DIF.
 */
#ifndef DSA_CRC_H
#define DSA_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Reflected CRC32-C of `data` on top of `crc`, without inversion. Any thread. */
uint32_t dsa_crc32c(uint32_t crc, const void *data, size_t length);
/* The same without the processor's help. */
uint32_t dsa_crc32c_tables(uint32_t crc, const void *data, size_t length);
/* The same with the bits of every data byte reversed. */
uint32_t dsa_crc32c_reversed(uint32_t crc, const void *data, size_t length);
/* CRC16, polynomial 0x8bb7, on top of `crc`. */
uint16_t dsa_crc16(uint16_t crc, const void *data, size_t length);
uint32_t dsa_reverse32(uint32_t value);

#endif
