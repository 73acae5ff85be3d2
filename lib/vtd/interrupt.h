/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupt remapping, seen from the register file: where the table is and whether it is in force.
 */
#ifndef VIOMMU_VTD_INTERRUPT_H
#define VIOMMU_VTD_INTERRUPT_H

#include <stdatomic.h>
#include <stdint.h>

/* Written with the unit entered, read by any thread that raises an interrupt. */
struct vtd_interrupt_state {
	_Atomic uint64_t table;	 /* IRTA as SIRTP latched it (VT-d 11.4.10) */
	_Atomic uint32_t status; /* IRES and CFIS, at their places in GSTS */
};

/* SIRTP: take over IRTA. */
void vtd_interrupt_set_table(struct vtd_interrupt_state *interrupt, uint64_t irta);
/* IRE or CFI changed: `gsts` is the new global status. */
void vtd_interrupt_set_status(struct vtd_interrupt_state *interrupt, uint32_t gsts);

#endif
