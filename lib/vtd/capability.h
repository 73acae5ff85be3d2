/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a unit says it can do: VER, CAP and ECAP, and the numbers those registers point at.
 */
#ifndef VIOMMU_VTD_CAPABILITY_H
#define VIOMMU_VTD_CAPABILITY_H

#include <viommu/unit.h>

/*
 * The register window (VT-d 11.1 leaves these two places to the unit). Fault records run from FRO
 * to the end of the window, 16 bytes each: that is what limits their number.
 */
#define VTD_IOTLB_REGISTERS_OFFSET 0x500 /* IVA here, IOTLB at + 8 [IRO] */
#define VTD_FAULT_RECORDS_OFFSET   0x600 /* [FRO] */
#define VTD_FAULT_RECORDS_MAX	   160

/*
 * VT-d 11.4.13.1: the places of performance monitoring, beyond the fault records that are left
 * room then. Counters lie 1 KiB apart at least and at multiples of that: two fit.
 */
#define VTD_COUNTERS_OFFSET	   0x800 /* [CNTO] */
#define VTD_COUNTER_STRIDE	   0x400
#define VTD_COUNTERS		   2
#define VTD_FREEZE_OFFSET	   0x900 /* [FZO] */
#define VTD_OVERFLOW_OFFSET	   0x908 /* [OFO] */
#define VTD_COUNTER_CONFIG_OFFSET  0xa00 /* [CFGO], 256 bytes each */
#define VTD_COUNTER_WIDTH	   48
#define VTD_FAULT_RECORDS_PERFMON  32 /* so many records end before the counters */

/* So many records end before the registers of virtual commands (VT-d 11.4.16). */
#define VTD_FAULT_RECORDS_VIRTUAL 128

/*
 * VT-d 11.4.1: major version 5, minor 0. From 6 on there is no register-based invalidation (6.5),
 * and no SAGAW without SSTS (11.4.2), that is, no legacy mode in a unit without scalable mode.
 */
#define VTD_VERSION 0x50

/*
 * VT-d 11.4.2 MAMV. A mask of 45 is 2^57 bytes, the whole of the widest address space. A smaller
 * number would be legal, but Linux writes page-selective PASID descriptors of any size without
 * looking here.
 */
#define VTD_MAMV 45

/* VT-d 11.4.3 MHMV: IEC masks up to 2^15 entries; a table has 2^16 at most. */
#define VTD_MHMV 15

/* CAP and ECAP for these (checked) options. */
void vtd_capability_compute(const struct viommu_unit_options *options, uint64_t *cap,
			    uint64_t *ecap);

/*
 * What differs between a saved unit and this one, by the names of the options that make the difference: "nested is
 * on there and off here, ...". Returns how many names were found.
 */
unsigned int vtd_capability_differences(const uint64_t saved[2], const uint64_t here[2], char *text,
					size_t length);

#endif
