/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Flushes: new serials for contexts, and one set for a page.
 *
 * Only a page flush touches pages: those of its set with its address, and the one entry they may
 * have. Pages larger than 4 KiB are kept as 4 KiB pages; where such a leaf was used is remembered
 * in a few ranges, and a page flush in one of them becomes a flush of the ASID.
 */
#include "cpu/tlb.h"

/* Any context may have become stale: the one in use must not be. */
static void refresh_current(struct viommu_cpu_tlb *tlb)
{
	if (tlb->current)
		context_make_current(tlb, tlb->current);
}

/* Everything that is not physical, in every VMID. */
static void flush_virtual(struct viommu_cpu_tlb *tlb)
{
	tlb->epoch[0]++;
	tlb->floor[0] = tlb->next_serial;
	tlb->large_count = 0;
	table_flushed(tlb);
}

void flush_everything(struct viommu_cpu_tlb *tlb)
{
	flush_virtual(tlb);
	tlb->epoch[1]++;
	tlb->floor[1] = tlb->next_serial;
	tlb->fast.walk_colour = VIOMMU_FAST_SLOW; /* until the next walk renews its context */
	refresh_current(tlb);
}

void viommu_cpu_tlb_flush_all(struct viommu_cpu_tlb *tlb)
{
	tlb->statistics.flushes++;
	flush_everything(tlb);
}

static void flush_vmid(struct viommu_cpu_tlb *tlb, uint32_t vmid)
{
	if (vmid == VIOMMU_CPU_ALL || (!tlb->many_vmids && vmid == tlb->only_vmid)) {
		flush_virtual(tlb);
		refresh_current(tlb);
		return;
	}
	for (uint32_t i = 0; i < TLB_CONTEXTS; i++) {
		struct tlb_context *context = &tlb->contexts[i];

		if (!context->key.physical && context->key.vmid == vmid)
			context->epoch = 0;
	}
	refresh_current(tlb);
}

void viommu_cpu_tlb_flush_vmid(struct viommu_cpu_tlb *tlb, uint32_t vmid)
{
	tlb->statistics.flushes++;
	flush_vmid(tlb, vmid);
}

static void flush_asid(struct viommu_cpu_tlb *tlb, uint32_t vmid, uint32_t asid)
{
	for (uint32_t i = 0; i < TLB_CONTEXTS; i++) {
		struct tlb_context *context = &tlb->contexts[i];

		if (!context->serial || context->space || context->key.physical ||
		    context->key.asid != asid ||
		    (vmid != VIOMMU_CPU_ALL && context->key.vmid != vmid))
			continue;
		context->serial = ++tlb->next_serial;
		context->colour_epoch = 0;
	}
	refresh_current(tlb);
}

void viommu_cpu_tlb_flush_asid(struct viommu_cpu_tlb *tlb, uint32_t vmid, uint32_t asid)
{
	tlb->statistics.flushes++;
	if (asid == VIOMMU_CPU_ALL)
		flush_vmid(tlb, vmid);
	else
		flush_asid(tlb, vmid, asid);
}

/* How far apart two ranges are; 0 when they touch or overlap. */
static uint64_t distance(const struct tlb_large *a, const struct tlb_large *b)
{
	if (a->last < b->first)
		return b->first - a->last - 1;
	return b->last < a->first ? a->first - b->last - 1 : 0;
}

static void merge(struct tlb_large *into, const struct tlb_large *from)
{
	into->first = from->first < into->first ? from->first : into->first;
	into->last = from->last > into->last ? from->last : into->last;
}

void flush_note_large(struct viommu_cpu_tlb *tlb, uint64_t va, uint64_t size)
{
	struct tlb_large page = { va & ~(size - 1), va | (size - 1) };
	uint64_t least = UINT64_MAX;
	uint32_t nearest = 0;

	for (uint32_t i = 0; i < tlb->large_count; i++) {
		uint64_t apart = distance(&tlb->large[i], &page);

		if (apart < least) {
			least = apart;
			nearest = i;
		}
	}
	if (tlb->large_count && (!least || tlb->large_count == TLB_LARGE))
		merge(&tlb->large[nearest], &page);
	else
		tlb->large[tlb->large_count++] = page;
}

static bool in_large(const struct viommu_cpu_tlb *tlb, uint64_t va)
{
	for (uint32_t i = 0; i < tlb->large_count; i++) {
		if (va >= tlb->large[i].first && va <= tlb->large[i].last)
			return true;
	}
	return false;
}

void viommu_cpu_tlb_flush_page(struct viommu_cpu_tlb *tlb, uint32_t vmid, uint32_t asid,
			       uint64_t va)
{
	uint32_t set = tlb_set(tlb, va) * TLB_WAYS;

	tlb->statistics.flushes++;
	if (in_large(tlb, va)) {
		if (asid == VIOMMU_CPU_ALL)
			flush_vmid(tlb, vmid);
		else
			flush_asid(tlb, vmid, asid);
		return;
	}
	for (uint32_t i = 0; i < TLB_WAYS; i++) {
		struct tlb_tag *tag = &tlb->tags[set + i];
		const struct tlb_page *page = &tlb->pages[set + i];

		if ((tag->va ^ va) & TLB_PAGE_MASK || tag->va & TLB_TAG_PHYSICAL)
			continue;
		if (vmid != VIOMMU_CPU_ALL && page->vmid != vmid)
			continue;
		/* A flush that names an ASID leaves global pages alone. */
		if (asid != VIOMMU_CPU_ALL && (page->asid != asid || tag->va & TLB_TAG_GLOBAL))
			continue;
		tag->serial = 0;
		table_drop_entry(tlb, va, false);
	}
}
