/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each DSA operation should do, on a flat copy of the test area: written a second time from
 * the specification, a bit or byte at a time, sharing only the layout of descriptors and records
 * with the device.
 */
#ifndef TESTS_DEVICES_NAIVE_H
#define TESTS_DEVICES_NAIVE_H

#include <stdbool.h>
#include "devices/dsa/spec.h"

/* `area[0]` is at IOVA `base`. Executes a legal descriptor and fills in the record it should end
 * with. */
void naive_run(uint8_t *area, uint64_t base, const struct dsa_descriptor *descriptor,
	       struct dsa_record *record);
uint32_t naive_crc(const uint8_t *data, uint32_t length, uint32_t seed, uint32_t flags);
uint16_t naive_guard(const uint8_t *data, uint32_t length, uint8_t dif_flags);

#endif
