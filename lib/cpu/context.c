/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Contexts: everything but the address that a translation depends on, as a serial and a colour.
 *
 * At most 64 are alive, in sets by hash. One that is pushed out loses nothing but speed: its serial
 * is never used again, so its pages are never found again. Flushes that concern many contexts only
 * move an epoch; a context notices when it is next used.
 */
#include <string.h>

#include "cpu/tlb.h"

static bool same_key(const struct viommu_cpu_context *a, const struct viommu_cpu_context *b)
{
	return a->asid == b->asid && a->privilege == b->privilege && a->vmid == b->vmid &&
	       a->attributes.wid == b->attributes.wid &&
	       a->attributes.source == b->attributes.source && a->privileged == b->privileged &&
	       a->physical == b->physical;
}

static uint32_t hash_key(const struct viommu_cpu_context *key, bool space)
{
	uint64_t hash = key->asid * 0x9e3779b97f4a7c15ull + key->vmid * 0x165667b19e3779f9ull +
			key->privilege * 0xc2b2ae3d27d4eb4full +
			key->attributes.wid * 0xff51afd7ed558ccdull +
			key->attributes.source * 0xd6e8feb86659fd93ull;

	hash += key->physical * 0x9fb21c651e98df25ull + space * 0xd1b54a32d192ed03ull;
	return (uint32_t)(hash >> 40) & (TLB_CONTEXT_SETS - 1);
}

/* The set's way to give up: a free one, or any that is in no use right now. */
static struct tlb_context *victim(struct viommu_cpu_tlb *tlb, struct tlb_context *set)
{
	for (uint32_t i = 0; i < TLB_CONTEXT_WAYS; i++) {
		if (!set[i].serial)
			return &set[i];
	}
	/* At most two are in use, so this ends within three steps. */
	for (;;) {
		struct tlb_context *way = &set[tlb->context_victim++ % TLB_CONTEXT_WAYS];

		if (way != tlb->current && way != tlb->walker)
			return way;
	}
}

static struct tlb_context *find(struct viommu_cpu_tlb *tlb, const struct viommu_cpu_context *key,
				bool space)
{
	struct tlb_context *set = &tlb->contexts[hash_key(key, space) * TLB_CONTEXT_WAYS];
	struct tlb_context *way;

	for (uint32_t i = 0; i < TLB_CONTEXT_WAYS; i++) {
		if (set[i].serial && set[i].space == space && same_key(&set[i].key, key))
			return &set[i];
	}
	way = victim(tlb, set);
	*way = (struct tlb_context){
		.key = *key,
		.space = space,
		.serial = ++tlb->next_serial,
		.epoch = 0, /* stale: the first use brings it up to date */
	};
	return way;
}

struct tlb_context *context_get(struct viommu_cpu_tlb *tlb, const struct viommu_cpu_context *key)
{
	if (!key->physical && !tlb->many_vmids) {
		if (tlb->only_vmid == VIOMMU_CPU_ALL)
			tlb->only_vmid = key->vmid;
		tlb->many_vmids = tlb->only_vmid != key->vmid;
	}
	return find(tlb, key, false);
}

/* The serial of global pages that this context shares with the other ASIDs. */
static uint64_t space_serial(struct viommu_cpu_tlb *tlb, const struct tlb_context *context)
{
	struct viommu_cpu_context key = context->key;
	struct tlb_context *space;

	key.asid = VIOMMU_CPU_ALL;
	space = find(tlb, &key, true);
	if (context_stale(tlb, space)) {
		space->serial = ++tlb->next_serial;
		space->epoch = tlb->epoch[0];
	}
	return space->serial;
}

static void give_colour(struct viommu_cpu_tlb *tlb, struct tlb_context *context)
{
	context->colour = tlb->next_colour++ << VIOMMU_FAST_COLOUR_SHIFT;
	context->colour_epoch = tlb->colour_epoch;
}

/* All colours are spent: forget every entry and begin again, with the current context. */
static void recolour(struct viommu_cpu_tlb *tlb)
{
	table_clear_entries(tlb);
	tlb->fast.walk_colour = VIOMMU_FAST_SLOW;
	tlb->colour_epoch++;
	tlb->next_colour = 0;
	if (tlb->current) {
		give_colour(tlb, tlb->current);
		tlb->fast.colour = tlb->current->colour;
	}
}

/*
 * A space looked up here may push out any context not in use, but not this one: callers pass the
 * current one or the walker, or one that becomes so at once.
 */
void context_update(struct viommu_cpu_tlb *tlb, struct tlb_context *context)
{
	if (context_stale(tlb, context)) {
		context->serial = ++tlb->next_serial;
		context->global_serial = context->key.physical ? 0 : space_serial(tlb, context);
		context->epoch = tlb->epoch[context->key.physical];
		context->colour_epoch = 0;
	}
	if (context->colour_epoch == tlb->colour_epoch)
		return;
	if (tlb->next_colour == TLB_COLOURS)
		recolour(tlb);
	if (context->colour_epoch != tlb->colour_epoch)
		give_colour(tlb, context);
}

void context_make_current(struct viommu_cpu_tlb *tlb, struct tlb_context *context)
{
	tlb->current = context;
	context_use(tlb, context);
	tlb->fast.colour = context->colour;
}

void viommu_cpu_tlb_switch(struct viommu_cpu_tlb *tlb, const struct viommu_cpu_context *key)
{
	if (tlb->current && same_key(&tlb->current->key, key))
		return; /* flushes keep the current one up to date */
	context_make_current(tlb, context_get(tlb, key));
}
