/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an invalidation invalidates, whichever way it was asked for (VT-d 6.2.2, 6.5.2).
 *
 * Contexts and whole address spaces fall by moving a generation, whatever their number. A few pages
 * are looked up and dropped one by one. Invalidating more than was asked for is always allowed.
 */
#include "vtd/iotlb.h"
#include "vtd/listener.h"
#include "vtd/probes.h"
#include "vtd/unit_internal.h"

#define NOTIFY(unit, hook, ...)                                                             \
	do {                                                                                \
		struct vtd_listener *listener_;                                             \
		for (listener_ = (unit)->listeners; listener_; listener_ = listener_->next) \
			if (listener_->ops->hook)                                           \
				listener_->ops->hook(listener_->opaque, ##__VA_ARGS__);     \
	} while (0)

/*
 * Every change of what contexts are good for moves the epoch before its own generation and after. A
 * walk caches what it found only if it ends in the epoch it began in: the first move keeps out the
 * one that read the old tables and then the new generation. A cached context is judged once an
 * epoch: the second move has those judged again that passed in between.
 */
static void context_changed(struct viommu_unit *unit, uint64_t *generation)
{
	vtd_bump(&unit->generations.epoch);
	vtd_bump(generation);
	vtd_bump(&unit->generations.epoch);
	vtd_bump(&unit->version);
	unit->undrained = true;
}

static void entries_changed(struct viommu_unit *unit, uint64_t *generation)
{
	vtd_bump(generation);
	vtd_bump(&unit->version);
	unit->undrained = true;
}

/* VT-d 6.5.2.1 FM: bits of the function number that are not compared. */
static void devices_changed(struct viommu_unit *unit, uint16_t sid, uint16_t ignored)
{
	uint16_t bits = 0;
	struct viommu_endpoint *endpoint;

	do {
		endpoint = vtd_endpoint_find(unit, (sid & ~ignored) | bits);
		if (endpoint)
			context_changed(unit, &endpoint->device_generation);
		bits = (bits - ignored) & ignored;
	} while (bits);
}

void vtd_invalidate_contexts(struct viommu_unit *unit, enum vtd_granularity granularity,
			     uint16_t did, uint16_t sid, uint8_t function_mask)
{
	static const uint16_t ignored[] = { 0, 4, 6, 7 };
	bool scalable = vtd_field(vtd_load(&unit->root), VTD_RTADDR_TTM) == VTD_TTM_SCALABLE;

	/* A scalable CE has no DID: domain-selective means all of them. */
	if (granularity == VTD_GRANULARITY_DOMAIN && scalable)
		granularity = VTD_GRANULARITY_GLOBAL;
	VTD_PROBE4(invalidate_contexts, granularity, did, sid, function_mask);
	switch (granularity) {
	case VTD_GRANULARITY_GLOBAL:
		context_changed(unit, &unit->generations.context_global);
		break;
	case VTD_GRANULARITY_DOMAIN:
		context_changed(unit, &unit->generations.domains[did].context);
		break;
	default:
		devices_changed(unit, sid, ignored[function_mask & 3]);
	}
	NOTIFY(unit, context, granularity, did, sid, ignored[function_mask & 3]);
}

void vtd_invalidate_pasids(struct viommu_unit *unit, enum vtd_pasid_cache_granularity granularity,
			   uint16_t did, uint32_t pasid)
{
	VTD_PROBE3(invalidate_pasids, granularity, did, pasid);
	switch (granularity) {
	case VTD_PC_DOMAIN:
		context_changed(unit, &unit->generations.domains[did].context);
		break;
	case VTD_PC_PASID:
		context_changed(unit, &vtd_pasid_slot(unit, did, pasid)->context);
		break;
	default:
		context_changed(unit, &unit->generations.context_global);
	}
	NOTIFY(unit, pasid_cache, granularity, did, pasid);
}

static void domain_changed(struct viommu_unit *unit, uint16_t did)
{
	struct vtd_domain *domain = &unit->generations.domains[did];

	/* What was in fragments goes now; what comes later will say so again. */
	vtd_store(&domain->fragments, 0);
	entries_changed(unit, &domain->iotlb);
	entries_changed(unit, &domain->second);
	entries_changed(unit, &domain->nested);
}

/* VT-d 6.2.2: a second-stage page is part of any number of nested translations: all of those go. */
static void second_stage_pages_changed(struct viommu_unit *unit, uint16_t did, uint64_t address,
				       unsigned int am)
{
	struct vtd_domain *domain = &unit->generations.domains[did];

	unit->undrained = true;
	if (!vtd_load(&domain->fragments) && vtd_iotlb_drop(unit, did, 0, address, am))
		entries_changed(unit, &domain->nested);
	else
		domain_changed(unit, did);
}

void vtd_invalidate_iotlb(struct viommu_unit *unit, enum vtd_granularity granularity, uint16_t did,
			  uint64_t address, uint8_t am, bool leaf_only)
{
	/* VT-d 6.5.2.3, 11.4.6.4: address bits beyond MGAW are ignored. */
	address &= VTD_MASK(unit->mgaw - 1, 0);
	VTD_PROBE4(invalidate_iotlb, granularity, did, address, am);
	switch (granularity) {
	case VTD_GRANULARITY_GLOBAL:
		entries_changed(unit, &unit->generations.iotlb_global);
		break;
	case VTD_GRANULARITY_DOMAIN:
		domain_changed(unit, did);
		break;
	default:
		second_stage_pages_changed(unit, did, address, am);
	}
	NOTIFY(unit, iotlb, granularity, did, address, am, leaf_only);
}

void vtd_invalidate_piotlb(struct viommu_unit *unit, enum vtd_piotlb_granularity granularity,
			   uint16_t did, uint32_t pasid, uint64_t address, uint8_t am,
			   bool leaf_only)
{
	struct vtd_pasid_slot *slot = vtd_pasid_slot(unit, did, pasid);

	VTD_PROBE4(invalidate_piotlb, granularity, did, pasid, address);
	unit->undrained = true;
	if (granularity != VTD_PIOTLB_PAGE || vtd_load(&slot->fragments) ||
	    !vtd_iotlb_drop(unit, did, pasid, address, am)) {
		vtd_store(&slot->fragments, 0);
		entries_changed(unit, &slot->iotlb);
	}
	/* VT-d 6.5.2.4: by PASID, what only the second stage translated goes as well. */
	if (granularity == VTD_PIOTLB_PASID)
		entries_changed(unit, &unit->generations.domains[did].second);
	NOTIFY(unit, piotlb, did, pasid, granularity, address, am, leaf_only);
}

void vtd_invalidate_all(struct viommu_unit *unit)
{
	context_changed(unit, &unit->generations.context_global);
	entries_changed(unit, &unit->generations.iotlb_global);
}

void vtd_drain(struct viommu_unit *unit)
{
	if (!unit->undrained || !unit->options.drain)
		return;
	unit->undrained = false;
	vtd_count(&unit->counters.drains, 1);
	/* Not within a section: viommu_unit_write() refused that; a callback must not begin one. */
	if (grace_wait())
		unit->undrained = true;
}

void vtd_listeners_translation_changed(struct viommu_unit *unit)
{
	NOTIFY(unit, translation_changed);
}

void vtd_listeners_flush(struct viommu_unit *unit)
{
	NOTIFY(unit, flush);
}

void vtd_listeners_posted(struct viommu_unit *unit)
{
	NOTIFY(unit, posted);
}

bool vtd_listeners_page_response(struct viommu_unit *unit, uint16_t rid, uint32_t pasid,
				 uint16_t group, enum viommu_response_code code)
{
	struct vtd_listener *listener;

	for (listener = unit->listeners; listener; listener = listener->next)
		if (listener->ops->page_response &&
		    listener->ops->page_response(listener->opaque, rid, pasid, group, code))
			return true;
	return false;
}
