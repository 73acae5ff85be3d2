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

/* PMEN was written. */
void vtd_register_protect(struct viommu_unit *unit, uint64_t value);
/* ECMD was written, its low half at least. */
void vtd_register_enhanced_command(struct viommu_unit *unit, uint64_t value);
/* A performance counter was written. */
void vtd_register_counter(struct viommu_unit *unit, uint64_t value);
/* Values of performance monitoring's registers. */
uint64_t vtd_perfmon_capability(void);
uint64_t vtd_perfmon_events(unsigned int group);
/* After a reset or load: the counters go on from what their registers say. */
void vtd_perfmon_restore(struct viommu_unit *unit);

/* VCMD was written, its low half at least. */
void vtd_register_virtual_command(struct viommu_unit *unit, uint64_t value);
/* The unit's own PASIDs, if it has any to give: -ENOMEM. And words of the bitmap, 0 without. */
int vtd_virtual_init(struct viommu_unit *unit);
void vtd_virtual_reset(struct viommu_unit *unit);
unsigned int vtd_virtual_words(const struct viommu_unit *unit);
/* That many words of a saved unit. */
void vtd_virtual_load(struct viommu_unit *unit, const void *words);

/* What the registers of a loaded unit say is protected. */
void vtd_protection_restore(struct viommu_unit *unit);

/*
 * Take over a saved window, as far as registers exist. registers.lock held. What the hardware alone
 * writes is taken as it is: whoever reads it expects anything.
 */
void vtd_registers_load(struct viommu_unit *unit, const uint32_t *words);

#endif
