/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CRC32-C (Castagnoli, reflected polynomial 0x82f63b78), as iSCSI has it: crc32c(0, "123456789", 9) is 0xe3069283.
 */
#ifndef VIOMMU_LIB_CRC32C_H
#define VIOMMU_LIB_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continue from `crc`, 0 to begin. */
uint32_t viommu_crc32c(uint32_t crc, const void *data, size_t length);

#endif
