/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Second-stage paging entries (VT-d 3.7, 9.8), of legacy and scalable mode alike.
 */
#ifndef VIOMMU_VTD_FORMAT_SS_H
#define VIOMMU_VTD_FORMAT_SS_H

#include "vtd/format.h"

/* VT-d 9.8: there is no present bit. */
static inline bool ss_present(uint64_t entry)
{
	return entry & (VTD_SS_R | VTD_SS_W);
}

/* VT-d 3.7.2: only where the PE asks for it (SSADE) */
static inline uint64_t ss_accessed(const struct vtd_context *context)
{
	return context->flags & VTD_CF_SSADE ? VTD_SS_A : 0;
}

static inline uint64_t ss_dirty(const struct vtd_context *context)
{
	return context->flags & VTD_CF_SSADE ? VTD_SS_D : 0;
}

/* VT-d 3.7.1: access rights. An execute request reads. */
static inline unsigned int ss_check(const struct vtd_walk *walk, unsigned int want, uint64_t all,
				    uint64_t any)
{
	/* VT-d 7.1.3 SSS.2: nothing permitted over all levels is as good as not present. */
	if (!(all & (VTD_SS_R | VTD_SS_W)))
		return VTD_REASON_SS_P;
	if (want & VIOMMU_WRITE && !(all & VTD_SS_W))
		return VTD_REASON_S_WRITE;
	/* VT-d 7.1.3 LGN.3, SGN.7: of a page that is written only, nothing may be read. */
	if (want & (VIOMMU_READ | VIOMMU_EXECUTE) && !(all & VTD_SS_R) &&
	    !(want & VIOMMU_ZERO_LENGTH && all & VTD_SS_W))
		return VTD_REASON_S_READ;
	return VTD_REASON_NONE;
}

static inline uint8_t ss_permissions(const struct vtd_context *context, uint64_t all, uint64_t any,
				     uint64_t entry)
{
	uint64_t dirty = ss_dirty(context);
	uint8_t user = all & VTD_SS_R ? VIOMMU_READ | VIOMMU_EXECUTE : 0;

	/* VT-d 3.7.2: the first write must come by here and set D. */
	if (all & VTD_SS_W && (entry & dirty) == dirty)
		user |= VIOMMU_WRITE;
	return user | user << VTD_PRIVILEGED_SHIFT;
}

/* VT-d 4.2.3: PGSNP or SNP */
static inline bool ss_snoop(const struct vtd_context *context, uint64_t entry)
{
	return entry & VTD_SS_SNP || context->flags & VTD_CF_PGSNP;
}

static const struct vtd_format vtd_second_stage = {
	.access_top = VTD_REASON_SS_TOP_ACCESS,
	.access = VTD_REASON_SS_ACCESS,
	.not_present = VTD_REASON_SS_P,
	.reserved = VTD_REASON_SS_RESERVED,
	.update_snoop = VTD_REASON_SS_AD_SNOOP,
	.update_failed = VTD_REASON_SS_AD_FAILED,
	.present = ss_present,
	.accessed = ss_accessed,
	.dirty = ss_dirty,
	.check = ss_check,
	.permissions = ss_permissions,
	.snoop = ss_snoop,
};

#endif
