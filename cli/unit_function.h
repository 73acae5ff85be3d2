/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PCI function that carries a unit's registers in a BAR.
 */
#ifndef CLI_UNIT_FUNCTION_H
#define CLI_UNIT_FUNCTION_H

#include <viommu/unit.h>

#include "server/endpoint.h"

/* BAR0 is 256 MiB of 32-bit memory space: the largest on the machine, so that firmware places it
 * first. */
extern const struct server_function unit_function;
/* `opaque` is the struct viommu_unit. */
extern const struct server_device_ops unit_function_ops;

#endif
