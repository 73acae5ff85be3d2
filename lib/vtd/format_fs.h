/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * First-stage paging entries (VT-d 3.6, 9.7): those of the processor.
 */
#ifndef VIOMMU_VTD_FORMAT_FS_H
#define VIOMMU_VTD_FORMAT_FS_H

#include "vtd/format.h"

static inline bool fs_present(uint64_t entry)
{
	return entry & VTD_FS_P;
}

/* VT-d 3.6.2: accessed and extended-accessed flags */
static inline uint64_t fs_accessed(const struct vtd_context *context)
{
	return VTD_FS_A | (context->flags & VTD_CF_EAFE ? VTD_FS_EA : 0);
}

static inline uint64_t fs_dirty(const struct vtd_context *context)
{
	return VTD_FS_D;
}

static inline bool fs_no_execute(const struct vtd_context *context, uint64_t any)
{
	return any & VTD_FS_XD && context->flags & VTD_CF_NXE;
}

/* VT-d 3.6.1: access rights */
static inline unsigned int fs_check(const struct vtd_walk *walk, unsigned int want, uint64_t all,
				    uint64_t any)
{
	uint32_t flags = walk->context->flags;

	if (!walk->privileged && !(all & VTD_FS_US))
		return VTD_REASON_USER;
	if (want & VIOMMU_WRITE && !(all & VTD_FS_RW) && (!walk->privileged || flags & VTD_CF_WPE))
		return VTD_REASON_S_WRITE;
	if (want & VIOMMU_EXECUTE && (fs_no_execute(walk->context, any) ||
				      (walk->privileged && flags & VTD_CF_SMEP && all & VTD_FS_US)))
		return VTD_REASON_EXECUTE;
	return VTD_REASON_NONE;
}

static inline uint8_t fs_permissions(const struct vtd_context *context, uint64_t all, uint64_t any,
				     uint64_t entry)
{
	uint32_t flags = context->flags;
	uint8_t execute = fs_no_execute(context, any) ? 0 : VIOMMU_EXECUTE;
	uint8_t user = 0, privileged = VIOMMU_READ | execute;

	if (all & VTD_FS_US) {
		user = VIOMMU_READ | execute | (all & VTD_FS_RW ? VIOMMU_WRITE : 0);
		if (flags & VTD_CF_SMEP)
			privileged &= ~VIOMMU_EXECUTE;
	}
	if (all & VTD_FS_RW || !(flags & VTD_CF_WPE))
		privileged |= VIOMMU_WRITE;
	/* VT-d 3.6.2: the first write must come by here and set D. */
	if (!(entry & VTD_FS_D)) {
		user &= ~VIOMMU_WRITE;
		privileged &= ~VIOMMU_WRITE;
	}
	return user | privileged << VTD_PRIVILEGED_SHIFT;
}

static inline bool fs_snoop(const struct vtd_context *context, uint64_t entry)
{
	return context->flags & VTD_CF_PGSNP;
}

static const struct vtd_format vtd_first_stage = {
	.first_stage = true,
	.access_top = VTD_REASON_FS_TOP_ACCESS,
	.access = VTD_REASON_FS_ACCESS,
	.not_present = VTD_REASON_FS_P,
	.reserved = VTD_REASON_FS_RESERVED,
	.update_snoop = VTD_REASON_FS_AD_SNOOP,
	.update_failed = VTD_REASON_FS_AD_FAILED,
	.present = fs_present,
	.accessed = fs_accessed,
	.dirty = fs_dirty,
	.check = fs_check,
	.permissions = fs_permissions,
	.snoop = fs_snoop,
};

#endif
