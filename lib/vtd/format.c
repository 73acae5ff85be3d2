/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which bits of paging entries must be zero, as CAP and ECAP have it.
 */
#include "vtd/format.h"

static void first_stage_reserved(struct viommu_unit *unit, uint64_t beyond)
{
	uint64_t(*reserved)[2] = unit->reserved[VTD_FORMAT_FIRST];
	unsigned int level;

	/* VT-d 9.7: the same when nested, where the addresses are guest-physical. */
	for (level = 1; level <= 5; level++)
		reserved[level][0] = reserved[level][1] = beyond;
	reserved[5][0] |= VTD_FS_PS;
	reserved[4][0] |= VTD_FS_PS;
	reserved[3][1] |= VTD_MASK(29, 13);
	if (!(unit->cap & VTD_CAP_FS1GP))
		reserved[3][1] |= VTD_FS_PS;
	reserved[2][1] |= VTD_MASK(20, 13);
}

static void second_stage_reserved(struct viommu_unit *unit, uint64_t beyond)
{
	uint64_t(*reserved)[2] = unit->reserved[VTD_FORMAT_SECOND];
	uint64_t every = beyond | VTD_SS_IW;
	unsigned int level;

	/* VT-d 9.8: this unit has no SSIRWE, without which IW is reserved. */
	for (level = 1; level <= 5; level++) {
		reserved[level][0] = every | VTD_SS_SNP;
		reserved[level][1] = every | (unit->ecap & VTD_ECAP_SC ? 0 : VTD_SS_SNP);
	}
	reserved[5][0] |= VTD_SS_PS;
	reserved[4][0] |= VTD_SS_PS;
	reserved[3][1] |= VTD_MASK(29, 12);
	reserved[2][1] |= VTD_MASK(20, 12);
}

void vtd_format_init(struct viommu_unit *unit)
{
	uint64_t beyond = unit->haw < 52 ? VTD_MASK(51, unit->haw) : 0;

	first_stage_reserved(unit, beyond);
	second_stage_reserved(unit, beyond);
}
