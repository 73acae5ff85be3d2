/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two levels: a direct-mapped table of entries over 4-way sets of pages.
 *
 * Both start small and double under pressure, with everything in them carried over: level one when
 * entries of one context push each other out, level two when live pages do. Full flushes look back
 * at how much was in use and halve what was far too large. Sets are chosen by virtual address
 * alone, so that one set holds a page in every context and a flush of a page looks nowhere else.
 */
#include <errno.h>
#include <string.h>

#include "cpu/tlb.h"
#include "memory/alloc.h"

enum { SHRINK_AFTER = 32 /* full flushes */ };

static uint32_t entries(const struct viommu_cpu_tlb *tlb)
{
	return (uint32_t)(tlb->fast.mask / sizeof(struct viommu_fast_entry)) + 1;
}

static struct viommu_fast_entry *entries_create(uint32_t count)
{
	struct viommu_fast_entry *table =
		viommu_aligned_zalloc(64, count * sizeof(struct viommu_fast_entry));

	if (table)
		memset(table, 0xff, count * sizeof(*table));
	return table;
}

static void entries_set(struct viommu_cpu_tlb *tlb, struct viommu_fast_entry *table, uint32_t count)
{
	viommu_free(tlb->fast.table);
	tlb->fast.table = table;
	tlb->fast.mask = (count - 1) * sizeof(struct viommu_fast_entry);
	tlb->conflicts = 0;
}

int table_create(struct viommu_cpu_tlb *tlb)
{
	struct viommu_fast_entry *table = entries_create(tlb->minimum);

	tlb->fast.walk = entries_create(TLB_WALK);
	tlb->sets = tlb->minimum / TLB_WAYS;
	tlb->tags = viommu_aligned_zalloc(64, tlb->minimum * sizeof(*tlb->tags));
	tlb->pages = viommu_aligned_zalloc(64, tlb->minimum * sizeof(*tlb->pages));
	if (table)
		entries_set(tlb, table, tlb->minimum);
	tlb->hands = viommu_zalloc(tlb->sets);
	return table && tlb->fast.walk && tlb->tags && tlb->pages && tlb->hands ? 0 : -ENOMEM;
}

void table_destroy(struct viommu_cpu_tlb *tlb)
{
	viommu_free(tlb->fast.table);
	viommu_free(tlb->fast.walk);
	viommu_free(tlb->tags);
	viommu_free(tlb->pages);
	viommu_free(tlb->hands);
}

void table_clear_entries(struct viommu_cpu_tlb *tlb)
{
	memset(tlb->fast.table, 0xff, tlb->fast.mask + sizeof(struct viommu_fast_entry));
	memset(tlb->fast.walk, 0xff, TLB_WALK * sizeof(struct viommu_fast_entry));
}

/* The virtual page of an entry: of any tag that is valid. False: none is. */
static bool entry_page(const struct viommu_fast_entry *entry, uint64_t *va)
{
	for (unsigned int type = 0; type < TLB_TYPES; type++) {
		if (entry->tag[type] != VIOMMU_FAST_INVALID) {
			*va = entry->tag[type] & TLB_PAGE_MASK;
			return true;
		}
	}
	return false;
}

/*
 * An entry shows one page; a tag that is not valid is no page's but the last one's, and then
 * harmless.
 */
static void entry_clear(struct viommu_fast_entry *entry, uint64_t va)
{
	uint64_t read = entry->tag[VIOMMU_FAST_READ] ^ va;
	uint64_t write = entry->tag[VIOMMU_FAST_WRITE] ^ va;
	uint64_t execute = entry->tag[VIOMMU_FAST_EXECUTE] ^ va;

	if (read < VIOMMU_CPU_PAGE || write < VIOMMU_CPU_PAGE || execute < VIOMMU_CPU_PAGE)
		memset(entry, 0xff, sizeof(*entry));
}

/* Only physical contexts are ever the page walker's. */
void table_drop_entry(struct viommu_cpu_tlb *tlb, uint64_t va, bool physical)
{
	va &= TLB_PAGE_MASK;
	entry_clear(tlb_entry(tlb, va), va);
	if (physical)
		entry_clear(&tlb->fast.walk[(va >> 12) % TLB_WALK], va);
}

static void grow_entries(struct viommu_cpu_tlb *tlb)
{
	uint32_t old_count = entries(tlb), count = old_count * 2;
	struct viommu_fast_entry *old = tlb->fast.table;
	struct viommu_fast_entry *table;
	uint64_t va;

	tlb->conflicts = 0;
	if (count > tlb->maximum)
		return;
	table = entries_create(count);
	if (!table)
		return; /* slower, not wrong */
	for (uint32_t i = 0; i < old_count; i++) {
		if (entry_page(&old[i], &va))
			table[(va >> 12) & (count - 1)] = old[i];
	}
	entries_set(tlb, table, count);
	tlb->statistics.grown++;
}

void table_promote(struct viommu_cpu_tlb *tlb, const struct tlb_context *context, uint64_t va,
		   const struct tlb_page *page)
{
	struct viommu_fast_entry *entry;
	uint64_t tag = (va & TLB_PAGE_MASK) | context->colour;
	uint64_t held;

	if (context == tlb->walker) {
		entry = &tlb->fast.walk[(va >> 12) % TLB_WALK];
	} else {
		entry = tlb_entry(tlb, va);
		if (entry_page(entry, &held) && held != (va & TLB_PAGE_MASK) &&
		    ++tlb->conflicts > entries(tlb)) {
			grow_entries(tlb);
			entry = tlb_entry(tlb, va);
		}
	}
	for (unsigned int type = 0; type < TLB_TYPES; type++)
		entry->tag[type] = page->fast & tlb_type_bit(type) ? tag : VIOMMU_FAST_INVALID;
	entry->addend = (uint64_t)(uintptr_t)page->hva - (va & TLB_PAGE_MASK);
}

/* A way of a new set array for a page of the old one: the first that is free. */
static bool carry(struct tlb_tag *tags, struct tlb_page *pages, const struct tlb_tag *tag,
		  const struct tlb_page *page)
{
	for (uint32_t way = 0; way < TLB_WAYS; way++) {
		if (!tags[way].serial) {
			tags[way] = *tag;
			pages[way] = *page;
			return true;
		}
	}
	return false;
}

static void resize_sets(struct viommu_cpu_tlb *tlb, uint32_t sets)
{
	struct tlb_tag *tags = viommu_aligned_zalloc(64, sets * TLB_WAYS * sizeof(*tags));
	struct tlb_page *pages = viommu_aligned_zalloc(64, sets * TLB_WAYS * sizeof(*pages));
	uint8_t *hands = viommu_zalloc(sets);

	tlb->replaced = 0;
	if (!tags || !pages || !hands) {
		viommu_free(tags);
		viommu_free(pages);
		viommu_free(hands);
		return; /* slower, not wrong */
	}
	for (uint32_t i = 0; i < tlb->sets * TLB_WAYS; i++) {
		const struct tlb_tag *tag = &tlb->tags[i];
		uint32_t to = ((uint32_t)(tag->va >> 12) & (sets - 1)) * TLB_WAYS;

		if (!table_tag_live(tlb, tag))
			continue;
		if (!carry(&tags[to], &pages[to], tag, &tlb->pages[i]))
			table_drop_entry(tlb, tag->va, tag->va & TLB_TAG_PHYSICAL);
	}
	viommu_free(tlb->tags);
	viommu_free(tlb->pages);
	viommu_free(tlb->hands);
	if (sets > tlb->sets)
		tlb->statistics.grown++;
	else
		tlb->statistics.shrunk++;
	tlb->tags = tags;
	tlb->pages = pages;
	tlb->hands = hands;
	tlb->sets = sets;
}

/*
 * The way to fill: of this page, else a free or dead one, else the set's in turn. A second way may
 * show the page to this context too, a global beside a plain one: that goes.
 */
static uint32_t choose(struct viommu_cpu_tlb *tlb, const struct tlb_context *context, uint64_t va)
{
	uint32_t first = tlb_set(tlb, va) * TLB_WAYS, way;
	uint32_t found = UINT32_MAX, free_way = UINT32_MAX;

	for (way = first; way < first + TLB_WAYS; way++) {
		struct tlb_tag *tag = &tlb->tags[way];

		if (tlb_tag_matches(tag, context, va)) {
			if (found == UINT32_MAX)
				found = way;
			else
				tag->serial = 0;
		} else if (free_way == UINT32_MAX && !table_tag_live(tlb, tag)) {
			free_way = way; /* its entry, if it has one, is of a dead colour */
		}
	}
	if (found != UINT32_MAX)
		return found;
	if (free_way != UINT32_MAX)
		return free_way;
	way = first + tlb->hands[first / TLB_WAYS]++ % TLB_WAYS;
	table_drop_entry(tlb, tlb->tags[way].va, tlb->tags[way].va & TLB_TAG_PHYSICAL);
	tlb->tags[way].serial = 0;
	tlb->replaced++;
	return way;
}

struct tlb_page *table_insert(struct viommu_cpu_tlb *tlb, const struct tlb_context *context,
			      uint64_t va, uint64_t pa, bool global)
{
	struct tlb_page *page;
	struct tlb_tag *tag;
	uint32_t way;

	if (tlb->replaced > tlb->sets * TLB_WAYS / 4 && tlb->sets * TLB_WAYS < tlb->maximum * 2)
		resize_sets(tlb, tlb->sets * 2);
	way = choose(tlb, context, va);
	table_drop_entry(tlb, va, context->key.physical); /* it may show what was there before */
	tag = &tlb->tags[way];
	page = &tlb->pages[way];
	if (!tlb_tag_matches(tag, context, va) || page->pa != pa) {
		page_unresolve(page);
		page->pa = pa;
	}
	global = global && context->global_serial;
	tag->va = (va & TLB_PAGE_MASK) | (global ? TLB_TAG_GLOBAL : 0) |
		  (context->key.physical ? TLB_TAG_PHYSICAL : 0);
	tag->serial = global ? context->global_serial : context->serial;
	page->asid = context->key.asid;
	page->vmid = context->key.vmid;
	page->physical = context->key.physical;
	tlb->filled++;
	return page;
}

void table_flushed(struct viommu_cpu_tlb *tlb)
{
	struct viommu_fast_entry *table;
	uint32_t most;

	if (tlb->filled > tlb->filled_most)
		tlb->filled_most = tlb->filled;
	tlb->filled = 0;
	if (++tlb->flush_count < SHRINK_AFTER)
		return;
	most = tlb->filled_most;
	tlb->flush_count = 0;
	tlb->filled_most = 0;
	if (tlb->sets * TLB_WAYS > tlb->minimum && most < tlb->sets * TLB_WAYS / 8)
		resize_sets(tlb, tlb->sets / 2);
	if (entries(tlb) == tlb->minimum || most >= entries(tlb) / 8)
		return;
	/* What is physical comes back from level two. */
	table = entries_create(entries(tlb) / 2);
	if (table) {
		entries_set(tlb, table, entries(tlb) / 2);
		tlb->statistics.shrunk++;
	}
}
