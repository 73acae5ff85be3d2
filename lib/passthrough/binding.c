/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bindings: what the guest's entries say, made true on the host.
 *
 * There is one step for every event: look at an entry as it is in memory now, compare it with the binding, and act on the difference.
 * An invalidation only chooses which entries are looked at: those whose binding has the DID it names, and those whose entry in
 * memory has it. So a present entry that got a new DID is found by either.
 *
 * A binding is replaced by attaching the new table first and letting go of the old one after. If that fails the old
 * table must not stay, because the guest has been promised that it is gone: the PASID is detached, and what cannot be detached stays
 * on record (stuck), is flushed like any other, and is tried again at each event.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "memory/alloc.h"
#include "passthrough/internal.h"
#include "vtd/probes.h"

static uint32_t hash_binding(uint16_t did, uint32_t pasid)
{
	return (uint32_t)((did | (uint64_t)pasid << 16) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static struct binding *binding_at(const struct hub *hub, uint32_t at)
{
	return pool_at(&hub->bindings, at);
}

static uint32_t *bucket_of(struct hub *hub, uint16_t did, uint32_t pasid)
{
	struct index *index = &hub->binding_index;

	return &index->buckets[hash_binding(did, pasid) & (index->size - 1)];
}

static int index_grow(struct hub *hub)
{
	struct index *index = &hub->binding_index;
	struct index bigger = { .size = index->size ? index->size * 2 : 256 };

	bigger.buckets = viommu_calloc(bigger.size, sizeof(uint32_t));
	if (!bigger.buckets)
		return index->size ? 0 : -ENOMEM;
	for (uint32_t i = 0; i < index->size; i++) {
		for (uint32_t at = index->buckets[i], next; at; at = next) {
			struct binding *binding = binding_at(hub, at);
			uint32_t hash = hash_binding(binding->did, binding->pasid);

			next = binding->next;
			binding->next = bigger.buckets[hash & (bigger.size - 1)];
			bigger.buckets[hash & (bigger.size - 1)] = at;
		}
	}
	bigger.count = index->count;
	viommu_free(index->buckets);
	*index = bigger;
	return 0;
}

static void index_add(struct hub *hub, uint32_t at)
{
	struct binding *binding = binding_at(hub, at);
	uint32_t *bucket = bucket_of(hub, binding->did, binding->pasid);

	binding->next = *bucket;
	*bucket = at;
	hub->binding_index.count++;
}

static void index_remove(struct hub *hub, uint32_t at)
{
	struct binding *binding = binding_at(hub, at);
	uint32_t *link = bucket_of(hub, binding->did, binding->pasid);

	while (*link != at)
		link = &binding_at(hub, *link)->next;
	*link = binding->next;
	hub->binding_index.count--;
}

void bindings_each(struct hub *hub, uint16_t did, uint32_t pasid,
		   void (*visit)(struct hub *hub, struct binding *binding, const void *argument),
		   const void *argument)
{
	uint32_t at = hub->binding_index.size ? *bucket_of(hub, did, pasid) : 0;

	while (at) {
		struct binding *binding = binding_at(hub, at);

		at = binding->next;
		if (binding->did == did && binding->pasid == pasid)
			visit(hub, binding, argument);
	}
}

/* Where the binding of a PASID is noted; with `make` its leaf is created. NULL: none, or no memory. */
static uint32_t *slot_of(struct viommu_passthrough *passthrough, uint32_t pasid, bool make)
{
	struct leaf **leaf;

	if (!passthrough->leaves) {
		if (!make)
			return NULL;
		passthrough->leaves = viommu_calloc(LEAVES, sizeof(*passthrough->leaves));
		if (!passthrough->leaves)
			return NULL;
	}
	leaf = &passthrough->leaves[pasid / LEAF_PASIDS];
	if (!*leaf && make) {
		*leaf = viommu_zalloc(sizeof(**leaf));
		passthrough->leaf_count += *leaf != NULL;
	}
	return *leaf ? &(*leaf)->bindings[pasid % LEAF_PASIDS] : NULL;
}

static void note(struct viommu_passthrough *passthrough, uint32_t pasid, bool rid, uint32_t at)
{
	struct leaf *leaf;

	if (rid) {
		passthrough->rid_binding = at;
		return;
	}
	leaf = passthrough->leaves[pasid / LEAF_PASIDS];
	leaf->bindings[pasid % LEAF_PASIDS] = at;
	if (at)
		leaf->bound |= UINT64_C(1) << pasid % LEAF_PASIDS;
	else
		leaf->bound &= ~(UINT64_C(1) << pasid % LEAF_PASIDS);
}

static uint32_t host_pasid(const struct binding *binding)
{
	return binding->rid ? VIOMMU_NO_PASID : binding->pasid;
}

/* The host refused, or cannot: DMA is blocked, and everybody hears of it. */
static void refuse(struct viommu_passthrough *passthrough, uint32_t pasid, int error, const char *what)
{
	bool legacy = vtd_unit_ttm(passthrough->hub->unit) == VTD_TTM_LEGACY;
	struct viommu_fault fault = {
		.reason = legacy ? VTD_REASON_CONTEXT_INVALID : VTD_REASON_PE_INVALID,
		.pasid = pasid,
		.access = VIOMMU_READ,
		.rid = passthrough->rid,
	};
	char name[24];

	VTD_PROBE3(refuse, passthrough->rid, pasid, error);
	passthrough->statistics.refused++;
	passthrough->last_error = error;
	passthrough_log(passthrough, "%s: %s (%s); its DMA is blocked", pasid_name(pasid, name), what,
			strerror(-error));
	if (passthrough->ops.blocked)
		passthrough->ops.blocked(passthrough->opaque, pasid, error);
	if (passthrough->endpoint && vtd_unit_translating(passthrough->hub->unit))
		vtd_fault_record(passthrough->endpoint, &fault, VTD_UNTRANSLATED, false);
}

/* What is wrong with an entry, in words. */
static const char *unit_says(unsigned int reason)
{
	switch (reason) {
	case VTD_REASON_CONTEXT_P:
	case VTD_REASON_S_CONTEXT_P:
		return "the context entry is not present";
	case VTD_REASON_PE_P:
		return "the PASID entry is not present";
	case VTD_REASON_CONTEXT_RESERVED:
	case VTD_REASON_S_CONTEXT_RESERVED:
		return "the context entry has bits set that are reserved in this unit";
	case VTD_REASON_PE_RESERVED:
		return "the PASID entry has bits set that are reserved in this unit";
	case VTD_REASON_CONTEXT_INVALID:
	case VTD_REASON_S_CONTEXT_INVALID:
		return "the context entry asks for what this unit does not offer";
	case VTD_REASON_PE_INVALID:
		return "the PASID entry asks for what this unit does not offer";
	default:
		return "no table of the guest leads to an entry";
	}
}

/* An entry that is there, but wrong: the guest made a mistake, and the operator should not blame the host. */
static void tell_mistake(struct viommu_passthrough *passthrough, uint32_t pasid, const struct target *want)
{
	char name[24];

	switch (want->reason) {
	case VTD_REASON_NONE:
	case VTD_REASON_CONTEXT_P:
	case VTD_REASON_S_CONTEXT_P:
	case VTD_REASON_PE_P:
		return;
	default:
		passthrough_log(passthrough, "%s: %s (VT-d fault 0x%x); its DMA is blocked",
				pasid_name(pasid, name), unit_says(want->reason), want->reason);
	}
}

static void release_object(struct viommu_passthrough *passthrough, uint8_t kind, uint32_t object)
{
	if (passthrough->single_space)
		return;
	if (kind == TARGET_NESTED)
		table_put(passthrough->hub, object);
	else if (kind == TARGET_SHADOW)
		shadow_put(passthrough->hub, object);
}

static int acquire_object(struct viommu_passthrough *passthrough, const struct target *want,
			  uint32_t *object, uint32_t *host)
{
	struct hub *hub = passthrough->hub;
	int ret = want->kind == TARGET_SHADOW ? 0 : space_settle(passthrough->parent);

	if (ret)
		return ret;
	switch (passthrough->single_space ? TARGET_IDENTITY : want->kind) {
	case TARGET_NESTED:
		ret = table_get(passthrough, want->table, object);
		if (!ret)
			*host = ((struct table *)pool_at(&hub->tables, *object))->host;
		return ret;
	case TARGET_SHADOW:
		ret = shadow_get(passthrough, want->table, want->did, object);
		if (!ret)
			*host = viommu_host_space_table(space_at(hub, *object)->host);
		return ret;
	default:
		*object = passthrough->parent->id;
		*host = viommu_host_space_table(passthrough->parent->host);
		return 0;
	}
}

static const struct target blocked = { .kind = TARGET_BLOCKED };

/* Type1: the one space takes on what the RID is to see. */
static int become(struct viommu_passthrough *passthrough, const struct target *want)
{
	struct viommu_passthrough_space *space = passthrough->parent;
	struct hub *hub = passthrough->hub;
	int ret;

	pthread_mutex_lock(&hub->maps);
	ret = space_clear(space);
	/* What the host keeps does not count as mapped. */
	hub->mappings -= space->kind == TARGET_SHADOW ? space->areas.count : 0;
	space->kind = TARGET_BLOCKED;
	if (!ret && want->kind != TARGET_BLOCKED) {
		space->kind = want->kind;
		space->table = want->table;
		space->did = want->did;
		space->complained = false;
	}
	if (!ret && want->kind == TARGET_SHADOW)
		ret = shadow_sync(space, 0, shadow_last(space));
	pthread_mutex_unlock(&hub->maps);
	if (!ret && want->kind == TARGET_IDENTITY)
		ret = space_fill_identity(space);
	return ret;
}

static int attach(struct viommu_passthrough *passthrough, uint32_t pasid, const struct target *want,
		  uint32_t host)
{
	int ret;

	if (!passthrough->single_space)
		return viommu_host_attach(passthrough->device, pasid, host);
	ret = become(passthrough, want);
	if (ret)
		become(passthrough, &blocked);
	return ret;
}

static int detach(struct viommu_passthrough *passthrough, uint32_t pasid)
{
	if (passthrough->single_space)
		return become(passthrough, &blocked);
	return viommu_host_detach(passthrough->device, pasid);
}

static void forget(struct viommu_passthrough *passthrough, uint32_t at)
{
	struct hub *hub = passthrough->hub;
	struct binding *binding = binding_at(hub, at);

	passthrough->statistics.stuck -= binding->stuck;
	passthrough->statistics.bindings -= !binding->rid;
	passthrough->statistics.unbinds++;
	VTD_PROBE2(unbind, passthrough->rid, host_pasid(binding));
	relay_forget(passthrough, host_pasid(binding), false);
	index_remove(hub, at);
	note(passthrough, binding->pasid, binding->rid, 0);
	release_object(passthrough, binding->kind, binding->object);
	pool_put(&hub->bindings, at);
}

static void unbind(struct viommu_passthrough *passthrough, uint32_t at)
{
	struct hub *hub = passthrough->hub;
	struct binding *binding = binding_at(hub, at);
	uint32_t pasid = host_pasid(binding);
	int ret = detach(passthrough, pasid);
	char name[24];

	if (ret) {
		if (!binding->stuck) {
			passthrough->statistics.stuck++;
			passthrough_log(passthrough, "%s: the host does not detach it (%s); it may still "
					"use old tables until a later try", pasid_name(pasid, name),
					strerror(-ret));
		}
		binding->stuck = true;
		return;
	}
	forget(passthrough, at);
}

/* A record for a new binding, before the host is asked, so that nothing need be undone there. */
static uint32_t make_record(struct viommu_passthrough *passthrough, uint32_t pasid, bool rid)
{
	struct hub *hub = passthrough->hub;
	struct binding *binding;
	uint32_t at;

	if (hub->binding_index.count >= hub->binding_index.size && index_grow(hub))
		return 0;
	if (!rid && !slot_of(passthrough, pasid, true))
		return 0;
	at = pool_get(&hub->bindings);
	if (!at)
		return 0;
	binding = binding_at(hub, at);
	binding->pasid = pasid & VIOMMU_PASID_MAX;
	binding->device = passthrough->index & (DEVICES - 1);
	binding->rid = rid;
	return at;
}

/* Some hosts attach no PASID to a device whose plain requests are blocked: then it is those that matter. */
static void refuse_bind(struct viommu_passthrough *passthrough, bool rid, uint32_t pasid, int error, bool acquired)
{
	char what[160];

	snprintf(what, sizeof(what), "the host refuses %sits tables", acquired ? "to attach " : "");
	if (acquired && !rid && !passthrough->rid_binding)
		snprintf(what, sizeof(what),
			 "the host refuses to attach its tables while requests without PASID have none: %s",
			 unit_says(passthrough->rid_reason));
	refuse(passthrough, rid ? VIOMMU_NO_PASID : pasid, error, what);
}

/* Attach `want`. *at: the binding there is, 0: none. On failure nothing is attached, or the binding is stuck. */
static void bind(struct viommu_passthrough *passthrough, uint32_t at, uint32_t pasid, bool rid,
		 const struct target *want)
{
	struct hub *hub = passthrough->hub;
	uint32_t record = at ? at : make_record(passthrough, pasid, rid);
	uint32_t object = 0, host = 0;
	struct binding *binding;
	bool acquired;
	int ret = record ? 0 : -ENOMEM;

	if (!ret)
		ret = acquire_object(passthrough, want, &object, &host);
	acquired = !ret;
	if (!ret)
		ret = attach(passthrough, rid ? VIOMMU_NO_PASID : pasid, want, host);
	if (ret) {
		if (acquired)
			release_object(passthrough, want->kind, object);
		if (at)
			unbind(passthrough, at);
		else if (record)
			pool_put(&hub->bindings, record);
		refuse_bind(passthrough, rid, pasid, ret, acquired);
		return;
	}
	binding = binding_at(hub, record);
	if (at) {
		relay_forget(passthrough, host_pasid(binding), false);
		index_remove(hub, at);
		release_object(passthrough, binding->kind, binding->object);
		passthrough->statistics.stuck -= binding->stuck;
		passthrough->statistics.replaces++;
	} else {
		note(passthrough, pasid, rid, record);
		passthrough->statistics.binds++;
		passthrough->statistics.bindings += !rid;
	}
	VTD_PROBE4(bind, passthrough->rid, rid ? VIOMMU_NO_PASID : pasid, want->kind, want->table);
	binding->table = want->table;
	binding->kind = (uint8_t)want->kind;
	binding->did = want->did;
	binding->pasid = pasid & VIOMMU_PASID_MAX;
	binding->object = object;
	binding->stuck = false;
	index_add(hub, record);
}

static void settle(struct viommu_passthrough *passthrough, uint32_t at, uint32_t pasid, bool rid,
		   const struct target *want, int error)
{
	struct hub *hub = passthrough->hub;
	struct binding *binding = at ? binding_at(hub, at) : NULL;
	bool shadow = want->kind == TARGET_SHADOW;

	if (error || want->kind == TARGET_BLOCKED) {
		if (at)
			unbind(passthrough, at);
		if (error)
			refuse(passthrough, rid ? VIOMMU_NO_PASID : pasid, error,
			       "the guest's entry asks for what the host cannot do");
		else
			tell_mistake(passthrough, rid ? VIOMMU_NO_PASID : pasid, want);
		return;
	}
	/* A shadow belongs to a DID: its invalidations are found by it. */
	if (binding && !binding->stuck && binding->kind == want->kind && binding->table == want->table &&
	    (!shadow || binding->did == want->did) && binding->pasid == pasid) {
		if (binding->did != want->did) {
			index_remove(hub, at);
			binding->did = want->did;
			index_add(hub, at);
		}
		passthrough->statistics.unchanged++;
		return;
	}
	bind(passthrough, at, pasid, rid, want);
}

/* VT-d 9.6. 0 and the target, or an error: the entry is valid for the unit but not for the host. */
static int target_of_pe(const struct viommu_passthrough *passthrough, const uint64_t pe[8], bool faults,
			struct target *target)
{
	*target = (struct target){ .kind = TARGET_BLOCKED, .did = vtd_pe_did(pe) };
	/* Where the unit faults, so must the host. */
	target->reason = (uint16_t)vtd_pasid_entry_reason(passthrough->hub->unit, pe);
	if (target->reason)
		return 0;
	switch (vtd_pe_pgtt(pe)) {
	case VTD_PGTT_FIRST:
		target->kind = TARGET_NESTED;
		target->table = vtd_pe_first_stage(pe) | (vtd_pe_sre(pe) ? TARGET_SRE : 0) |
				(vtd_pe_wpe(pe) ? TARGET_WPE : 0) |
				(vtd_pe_eafe(pe) ? TARGET_EAFE : 0) |
				(vtd_pe_first_levels(pe) == 5 ? TARGET_FIVE_LEVEL : 0) |
				(faults ? TARGET_FAULTS : 0);
		return passthrough->single_space || !passthrough->info.nesting ? -EOPNOTSUPP : 0;
	case VTD_PGTT_PASS_THROUGH:
		target->kind = TARGET_IDENTITY;
		return 0;
	case VTD_PGTT_SECOND:
		target->kind = TARGET_SHADOW;
		target->table = vtd_pe_second_stage(pe) | vtd_pe_second_levels(pe);
		return 0;
	case VTD_PGTT_NESTED:
		return -EOPNOTSUPP;
	default:
		return 0;
	}
}

/* VT-d 9.3 */
static void target_of_legacy(struct viommu_passthrough *passthrough, struct target *target)
{
	struct viommu_unit *unit = passthrough->hub->unit;
	uint64_t ce[2];

	if (vtd_fetch_legacy_entry(unit, passthrough->rid, ce))
		return;
	target->reason = (uint16_t)vtd_legacy_entry_reason(unit, ce);
	if (target->reason)
		return;
	target->did = vtd_field(ce[1], VTD_CE_DID);
	switch (vtd_field(ce[0], VTD_CE_TT)) {
	case VTD_TT_PASS_THROUGH:
		target->kind = TARGET_IDENTITY;
		break;
	case VTD_TT_MULTI_LEVEL:
	case VTD_TT_DEVICE_IOTLB:
		target->kind = TARGET_SHADOW;
		target->table = (ce[0] & VTD_CE_SSPTPTR) | (2 + vtd_field(ce[1], VTD_CE_AW));
		break;
	}
}

/* The CE, and what it says about PASIDs. False: there is none, or one the unit faults on (*reason). */
static bool fetch_ce(const struct viommu_passthrough *passthrough, uint64_t ce[4], uint32_t *rid_pasid,
		     bool *faults, uint16_t *reason)
{
	struct viommu_unit *unit = passthrough->hub->unit;

	*rid_pasid = 0;
	*faults = false;
	*reason = VTD_REASON_NONE;
	if (vtd_fetch_context_entry(unit, passthrough->rid, ce))
		return false;
	*reason = (uint16_t)vtd_context_entry_reason(unit, ce);
	if (*reason)
		return false;
	*rid_pasid = vtd_field(ce[1], VTD_SCE_RID_PASID);
	*faults = passthrough->faults && ce[0] & VTD_SCE_PRE;
	return true;
}

/* The RID's target, and the PASID whose entry says so. */
static int target_of_rid(struct viommu_passthrough *passthrough, struct target *target, uint32_t *pasid)
{
	struct viommu_unit *unit = passthrough->hub->unit;
	uint64_t ce[4], pe[8];
	bool faults;

	*pasid = 0;
	*target = (struct target){ .kind = TARGET_BLOCKED };
	passthrough->rid_pasid = 0;
	passthrough->pre = false;
	passthrough->paside = false;
	if (!vtd_unit_translating(unit)) {
		target->kind = TARGET_IDENTITY;
		return 0;
	}
	switch (vtd_unit_ttm(unit)) {
	case VTD_TTM_LEGACY:
		target_of_legacy(passthrough, target);
		return 0;
	case VTD_TTM_SCALABLE:
		if (!fetch_ce(passthrough, ce, pasid, &faults, &target->reason))
			return 0;
		passthrough->rid_pasid = *pasid;
		passthrough->pre = faults;
		passthrough->paside = ce[0] & VTD_SCE_PASIDE;
		if (vtd_fetch_pasid_entry(unit, passthrough->rid, *pasid, pe))
			return 0;
		return target_of_pe(passthrough, pe, faults, target);
	default:
		return 0;
	}
}

static void settle_rid(struct viommu_passthrough *passthrough, bool filter, uint16_t did)
{
	uint32_t at = passthrough->rid_binding, rid_pasid;
	struct target target;
	int error = target_of_rid(passthrough, &target, &rid_pasid);

	passthrough->rid_reason = target.reason;
	if (filter && !(at && binding_at(passthrough->hub, at)->did == did) && target.did != did)
		return;
	settle(passthrough, at, rid_pasid, true, &target, error);
}

/* A walk over the PASIDs of one device. */
struct pass {
	struct viommu_passthrough *passthrough;
	bool filter;
	bool faults;
	uint16_t did;
	uint32_t rid_pasid;
	uint32_t next;      /* PASIDs below have been dealt with */
};

/* Bound PASIDs in [from, to) have no present entry. */
static void settle_absent(const struct pass *pass, uint32_t from, uint32_t to)
{
	struct viommu_passthrough *passthrough = pass->passthrough;

	for (uint32_t base = from & ~(LEAF_PASIDS - 1u); passthrough->leaves && base < to;
	     base += LEAF_PASIDS) {
		struct leaf *leaf = passthrough->leaves[base / LEAF_PASIDS];
		uint64_t bound = leaf ? leaf->bound : 0;

		if (base < from)
			bound &= ~UINT64_C(0) << (from - base);
		if (to - base < LEAF_PASIDS)
			bound &= ~(~UINT64_C(0) << (to - base));
		for (; bound; bound &= bound - 1) {
			uint32_t at = leaf->bindings[__builtin_ctzll(bound)];

			if (!pass->filter || binding_at(passthrough->hub, at)->did == pass->did)
				unbind(passthrough, at);
		}
	}
}

static int settle_present(void *opaque, uint32_t pasid, const uint64_t pe[8])
{
	struct pass *pass = opaque;
	struct viommu_passthrough *passthrough = pass->passthrough;
	uint32_t *slot = slot_of(passthrough, pasid, false);
	uint32_t at = slot ? *slot : 0;
	struct target target;
	int error;

	if (pass->next < pasid)
		settle_absent(pass, pass->next, pasid);
	pass->next = pasid + 1;
	/* PASID 0 cannot be attached: the host keeps it for requests without one. */
	if (pasid == pass->rid_pasid || !pasid) {
		if (at)
			unbind(passthrough, at);
		return 0;
	}
	if (pass->filter && vtd_pe_did(pe) != pass->did &&
	    !(at && binding_at(passthrough->hub, at)->did == pass->did))
		return 0;
	error = target_of_pe(passthrough, pe, pass->faults, &target);
	settle(passthrough, at, pasid, false, &target, error);
	return 0;
}

static void settle_pasids(struct viommu_passthrough *passthrough, bool filter, uint16_t did)
{
	struct viommu_unit *unit = passthrough->hub->unit;
	struct pass pass = { .passthrough = passthrough, .filter = filter, .did = did };
	uint16_t reason;
	uint64_t ce[4];

	if (!passthrough->pasids)
		return;
	if (vtd_unit_translating(unit) && vtd_unit_ttm(unit) == VTD_TTM_SCALABLE &&
	    fetch_ce(passthrough, ce, &pass.rid_pasid, &pass.faults, &reason) && ce[0] & VTD_SCE_PASIDE)
		vtd_each_pasid_entry(unit, passthrough->rid, 0, passthrough->pasid_limit - 1,
				     settle_present, &pass);
	settle_absent(&pass, pass.next, passthrough->pasid_limit);
}

static void settle_pasid(struct viommu_passthrough *passthrough, uint16_t did, uint32_t pasid)
{
	struct viommu_unit *unit = passthrough->hub->unit;
	/* What the CE said last: a change of it comes with a context invalidation. */
	struct pass pass = {
		.passthrough = passthrough, .filter = true, .did = did, .next = pasid,
		.rid_pasid = passthrough->rid_pasid, .faults = passthrough->pre,
	};
	uint64_t pe[8];

	if (!passthrough->pasids || pasid >= passthrough->pasid_limit)
		return;
	if (!vtd_unit_translating(unit) || !passthrough->paside ||
	    vtd_fetch_pasid_entry(unit, passthrough->rid, pasid, pe) || !vtd_pe_present(pe)) {
		settle_absent(&pass, pasid, pasid + 1);
		return;
	}
	settle_present(&pass, pasid, pe);
}

void reconcile(struct viommu_passthrough *passthrough, enum vtd_pasid_cache_granularity granularity,
	       uint16_t did, uint32_t pasid)
{
	switch (granularity) {
	case VTD_PC_PASID:
		/* No PASIDs at the last look: there may have been no CE then. */
		if (pasid == passthrough->rid_pasid || !passthrough->paside)
			settle_rid(passthrough, true, did);
		settle_pasid(passthrough, did, pasid);
		break;
	case VTD_PC_DOMAIN:
		settle_rid(passthrough, true, did);
		settle_pasids(passthrough, true, did);
		break;
	default:
		reconcile_all(passthrough);
		break;
	}
}

void reconcile_all(struct viommu_passthrough *passthrough)
{
	settle_rid(passthrough, false, 0);
	settle_pasids(passthrough, false, 0);
}

void bindings_drop(struct viommu_passthrough *passthrough)
{
	const struct pass pass = { .passthrough = passthrough };

	settle_absent(&pass, 0, passthrough->pasid_limit);
	if (passthrough->rid_binding)
		unbind(passthrough, passthrough->rid_binding);
	/* What the host will not detach now goes when it closes the device. */
	for (uint32_t i = 0; passthrough->leaves && i < LEAVES; i++) {
		struct leaf *leaf = passthrough->leaves[i];

		while (leaf && leaf->bound)
			forget(passthrough, leaf->bindings[__builtin_ctzll(leaf->bound)]);
	}
	if (passthrough->rid_binding)
		forget(passthrough, passthrough->rid_binding);
}

/* Is it attached to this? A nested one is to the space it is nested on, too. */
static bool attached_to(const struct hub *hub, const struct binding *binding, enum target_kind kind,
			uint32_t object)
{
	const struct table *table;

	if (kind == TARGET_NESTED || binding->kind != TARGET_NESTED)
		return (kind == TARGET_NESTED) == (binding->kind == TARGET_NESTED) &&
		       binding->object == object;
	table = pool_at(&hub->tables, binding->object);
	return table->parent == object;
}

void bindings_block(struct hub *hub, enum target_kind kind, uint32_t object, int error)
{
	for (uint32_t at = 1; at < hub->bindings.used; at++) {
		struct binding *binding = binding_at(hub, at);
		struct viommu_passthrough *passthrough;
		uint32_t *slot;

		/* Is this one in use? Its device has it noted then. */
		passthrough = hub->devices[binding->device];
		if (!passthrough)
			continue;
		slot = binding->rid ? &passthrough->rid_binding
				    : slot_of(passthrough, binding->pasid, false);
		if (!slot || *slot != at || !attached_to(hub, binding, kind, object))
			continue;
		refuse(passthrough, host_pasid(binding), error,
		       "the host does not forget its old translations");
		unbind(passthrough, at);
	}
}

void bindings_free(struct hub *hub)
{
	pool_destroy(&hub->bindings);
	pool_destroy(&hub->tables);
	viommu_free(hub->binding_index.buckets);
	viommu_free(hub->table_index.buckets);
	for (uint32_t i = 0; i < hub->batch_size; i++)
		viommu_free(hub->batches[i].entries);
	viommu_free(hub->batches);
}
