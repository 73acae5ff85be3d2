/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Protected memory regions (VT-d 11.4.8): two ranges of host-physical memory that no DMA reaches
 * while PMEN.EPM is set, translated or not. The unit's own reads of tables and queues do.
 *
 * What a region blocks is never cached: a walk asks here before it enters what it found, a leaf that
 * touches a region enters in pieces of at most 2 MiB, which is how regions are aligned, and
 * switching protection on is an invalidation of everything. So a hit needs to ask nothing.
 */
#include "vtd/listener.h"
#include "vtd/register.h"
#include "vtd/unit_internal.h"

bool vtd_protected(const struct viommu_unit *unit, uint64_t first, uint64_t last)
{
	const struct vtd_protection *protection = &unit->protection;
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (first <= protection->region[i].last && last >= protection->region[i].first)
			return true;
	return false;
}

/* VT-d 11.4.8.2 to 11.4.8.5: bits N:0 are zeros of a base and ones of a limit. */
static void latch(struct viommu_unit *unit)
{
	struct vtd_protection *protection = &unit->protection;
	unsigned int i;

	pthread_mutex_lock(&unit->registers.lock);
	protection->region[0].first = vtd_get32(unit, VTD_REG_PLMBASE);
	protection->region[0].last = vtd_get32(unit, VTD_REG_PLMLIMIT) | (VTD_PMR_SIZE - 1);
	protection->region[1].first = vtd_get64(unit, VTD_REG_PHMBASE);
	protection->region[1].last = vtd_get64(unit, VTD_REG_PHMLIMIT) | (VTD_PMR_SIZE - 1);
	pthread_mutex_unlock(&unit->registers.lock);
	/* A limit below its base is no region; nothing must overlap it by chance. */
	for (i = 0; i < 2; i++)
		if (protection->region[i].last < protection->region[i].first) {
			protection->region[i].first = ~0ull;
			protection->region[i].last = 0;
		}
}

void vtd_register_protect(struct viommu_unit *unit, uint64_t written)
{
	bool on = written & VTD_PMEN_EPM;

	/* VT-d 11.4.8.1: read-only without the capability. */
	if (!(unit->cap & VTD_CAP_PLMR) || on == vtd_load(&unit->protection.on))
		return;
	if (on)
		latch(unit);
	vtd_store(&unit->protection.on, on);
	vtd_invalidate_all(unit);
	vtd_listeners_flush(unit);
	/* VT-d 11.4.8.1: what is in flight ends before the status says so. */
	vtd_drain(unit);
	pthread_mutex_lock(&unit->registers.lock);
	vtd_set32(unit, VTD_REG_PMEN, on ? VTD_PMEN_EPM | VTD_PMEN_PRS : 0);
	pthread_mutex_unlock(&unit->registers.lock);
}

void vtd_protection_restore(struct viommu_unit *unit)
{
	bool on = vtd_get32(unit, VTD_REG_PMEN) & VTD_PMEN_PRS;

	/* Nothing may look while the regions change. */
	vtd_store(&unit->protection.on, false);
	unit->undrained = true;
	vtd_drain(unit);
	if (on)
		latch(unit);
	vtd_store(&unit->protection.on, on);
}
