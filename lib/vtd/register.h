/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands given through registers (VT-d 6.4), run by the register file with the unit entered.
 */
#ifndef VIOMMU_VTD_REGISTER_H
#define VIOMMU_VTD_REGISTER_H

#include "vtd/unit_internal.h"

/* CCMD: when ICC is set. `value` is what was written, of whichever half. */
void vtd_register_context_command(struct viommu_unit *unit, uint64_t value);
/* IOTLB_REG: when IVT is set. */
void vtd_register_iotlb_command(struct viommu_unit *unit, uint64_t value);

#endif
