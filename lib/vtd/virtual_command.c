/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Virtual commands (VT-d 11.4.16): a guest asks the unit for PASIDs, so that no two guests use the
 * same. Who numbers them is the embedder's choice: its callbacks, or a bitmap of the unit's own,
 * which begins at 1 because 0 is what requests without PASID have.
 *
 * A command is complete when the write that gave it returns, so nobody ever sees IP set.
 */
#include <errno.h>
#include <string.h>

#include "memory/alloc.h"
#include "vtd/register.h"
#include "vtd/unit_internal.h"

enum { WORD = 64 };

static uint32_t pasids(const struct viommu_unit *unit)
{
	return 1u << unit->options.pasid_bits;
}

unsigned int vtd_virtual_words(const struct viommu_unit *unit)
{
	return unit->pasids_given ? (pasids(unit) + WORD - 1) / WORD : 0;
}

int vtd_virtual_init(struct viommu_unit *unit)
{
	if (!(unit->ecap & VTD_ECAP_VCS) || unit->ops.pasid_allocate)
		return 0;
	unit->pasids_given =
		viommu_calloc((pasids(unit) + WORD - 1) / WORD, sizeof(*unit->pasids_given));
	return unit->pasids_given ? 0 : -ENOMEM;
}

void vtd_virtual_reset(struct viommu_unit *unit)
{
	if (unit->pasids_given)
		memset(unit->pasids_given, 0, vtd_virtual_words(unit) * sizeof(uint64_t));
}

void vtd_virtual_load(struct viommu_unit *unit, const void *words)
{
	uint32_t count = vtd_virtual_words(unit);

	if (!count)
		return;
	memcpy(unit->pasids_given, words, count * sizeof(uint64_t));
	/* 0 is never given, and there are none beyond the width. */
	unit->pasids_given[0] &= ~1ull;
	if (pasids(unit) < WORD)
		unit->pasids_given[0] &= VTD_BIT(pasids(unit)) - 1;
}

static bool given(const struct viommu_unit *unit, uint32_t pasid)
{
	return unit->pasids_given[pasid / WORD] & VTD_BIT(pasid % WORD);
}

static bool allocate(struct viommu_unit *unit, uint32_t *pasid)
{
	uint32_t words = vtd_virtual_words(unit), i;

	if (!unit->pasids_given)
		return !unit->ops.pasid_allocate(unit->opaque, pasid) && *pasid < pasids(unit);
	/* The whole words that are given are passed over. */
	for (i = 0; i < words && unit->pasids_given[i] == (i ? ~0ull : ~1ull); i++)
		;
	for (i *= WORD; i < pasids(unit); i++)
		if (i && !given(unit, i)) {
			unit->pasids_given[i / WORD] |= VTD_BIT(i % WORD);
			*pasid = i;
			return true;
		}
	return false;
}

static bool free_pasid(struct viommu_unit *unit, uint32_t pasid)
{
	if (!unit->pasids_given)
		return !unit->ops.pasid_free(unit->opaque, pasid);
	if (pasid >= pasids(unit) || !given(unit, pasid))
		return false;
	unit->pasids_given[pasid / WORD] &= ~VTD_BIT(pasid % WORD);
	return true;
}

void vtd_register_virtual_command(struct viommu_unit *unit, uint64_t written)
{
	enum vtd_command_status status = VTD_COMMAND_DONE;
	uint64_t command, response = 0;
	uint32_t pasid = 0;

	pthread_mutex_lock(&unit->registers.lock);
	command = vtd_get64(unit, VTD_REG_VCMD);
	pthread_mutex_unlock(&unit->registers.lock);
	switch (vtd_field(command, VTD_VCMD_CMD)) {
	case VTD_VCMD_NULL:
		break;
	case VTD_VCMD_ALLOCATE_PASID:
		if (allocate(unit, &pasid))
			response = vtd_place(pasid, VTD_VCRSP_PASID);
		else
			status = VTD_COMMAND_FAILED;
		break;
	case VTD_VCMD_FREE_PASID:
		if (!free_pasid(unit, vtd_field(command, VTD_VCMD_PASID)))
			status = VTD_COMMAND_FAILED;
		break;
	default:
		status = VTD_COMMAND_UNDEFINED;
	}
	pthread_mutex_lock(&unit->registers.lock);
	vtd_set64(unit, VTD_REG_VCRSP, response | vtd_place(status, VTD_ECRSP_SC));
	pthread_mutex_unlock(&unit->registers.lock);
}
