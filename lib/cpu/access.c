/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The slow path of an access: find the page, check the permission, resolve the type, react to a
 * block.
 */
#include <errno.h>
#include <string.h>

#include "cpu/tlb.h"
#include "memory/memory_internal.h"

enum { RETRIES = 4 };

/* What one access wants, in its page. */
struct wish {
	uint32_t offset, length;
	uint32_t access; /* one type */
	bool privileged;
};

static enum viommu_cpu_kind react(const struct wish *wish, const struct tlb_result *result,
				  bool *retry)
{
	struct viommu_request request = {
		.address = result->address + wish->offset,
		.last = result->address + wish->offset + wish->length - 1,
		.access = wish->access | (wish->privileged ? VIOMMU_PRIVILEGED : 0u),
		.attributes = result->attributes,
	};

	if (!result->region)
		return VIOMMU_CPU_ERROR;
	switch (region_blocked(result->region, &request)) {
	case VIOMMU_REACTION_SILENT:
		return VIOMMU_CPU_SILENT;
	case VIOMMU_REACTION_RETRY:
		*retry = true;
		return VIOMMU_CPU_STALLED;
	default:
		return VIOMMU_CPU_ERROR;
	}
}

/* Tell the hart what a result means for it. */
static void finish(const struct wish *wish, const struct tlb_result *result,
		   struct viommu_cpu_target *target, bool *retry)
{
	switch (result->state) {
	case TLB_RAM:
		target->kind = VIOMMU_CPU_RAM;
		target->watched = result->watched;
		target->memory = result->memory;
		target->gpa = result->address + wish->offset;
		target->hva = result->hva + wish->offset;
		return;
	case TLB_MMIO:
		target->kind = VIOMMU_CPU_MMIO;
		target->memory = result->memory;
		target->gpa = result->address + wish->offset;
		return;
	case TLB_BLOCKED:
		target->kind = react(wish, result, retry);
		return;
	default:
		target->kind = VIOMMU_CPU_STALLED;
	}
}

/* Both halves of an atomic access must end in one place. */
static void join(struct tlb_result *read, const struct tlb_result *write)
{
	bool ends = write->state == TLB_RAM || write->state == TLB_MMIO;
	bool same = read->state == write->state && read->memory == write->memory &&
		    read->address == write->address && read->hva == write->hva;
	bool watched = read->watched || write->watched;

	*read = *write;
	read->watched = watched;
	if (ends && !same) {
		read->state = TLB_BLOCKED;
		read->region = NULL;
	}
}

/* What the access meets; *scratch holds it when no page does. */
static const struct tlb_result *resolve(struct viommu_cpu_tlb *tlb,
					const struct tlb_context *context, struct tlb_page *page,
					const struct wish *wish, struct tlb_result *scratch)
{
	struct tlb_result once;

	if (__builtin_expect(wish->access != VIOMMU_ATOMIC, 1))
		return page_resolve(tlb, context, page, tlb_type(wish->access), wish->offset,
				    wish->length, scratch);
	*scratch = *page_resolve(tlb, context, page, VIOMMU_FAST_READ, wish->offset, wish->length,
				 &once);
	if (scratch->state == TLB_RAM || scratch->state == TLB_MMIO)
		join(scratch, page_resolve(tlb, context, page, VIOMMU_FAST_WRITE, wish->offset,
					   wish->length, &once));
	return scratch;
}

static uint32_t needed(uint32_t access)
{
	return access == VIOMMU_ATOMIC ? VIOMMU_READ | VIOMMU_WRITE : access & TLB_RWX;
}

/* A physical context translates by itself. */
static struct tlb_page *fill_physical(struct viommu_cpu_tlb *tlb, const struct tlb_context *context,
				      uint64_t va)
{
	struct tlb_page *page;

	if (!context->key.physical || tlb->strict)
		return NULL;
	page = table_insert(tlb, context, va, va & TLB_PAGE_MASK, false);
	page->permissions = TLB_RWX;
	page->first = 0;
	page->last = VIOMMU_CPU_PAGE - 1;
	page_refast(tlb, page);
	return page;
}

static bool permitted(const struct tlb_page *page, const struct wish *wish)
{
	uint32_t need = needed(wish->access);

	return (page->permissions & need) == need && page->first <= wish->offset &&
	       wish->offset + wish->length - 1 <= page->last;
}

static void access_page(struct viommu_cpu_tlb *tlb, const struct tlb_context *context,
			struct tlb_page *page, uint64_t va, uint32_t length, uint32_t access,
			struct viommu_cpu_target *target)
{
	struct wish wish = {
		.offset = va & (VIOMMU_CPU_PAGE - 1),
		.length = length,
		.access = access & VIOMMU_ACCESS_TYPE,
		.privileged = context->key.privileged,
	};
	struct tlb_result scratch;
	uint32_t fast;

	*target = (struct viommu_cpu_target){ .kind = VIOMMU_CPU_MISS };
	if (!page || !permitted(page, &wish)) {
		tlb->statistics.misses++;
		return;
	}
	fast = page->fast;
	for (int tries = 0; tries < RETRIES; tries++) {
		bool retry = false;

		finish(&wish, resolve(tlb, context, page, &wish, &scratch), target, &retry);
		if (!retry)
			break;
		page_unresolve(page);
		spans_clear(tlb);
		table_drop_entry(tlb, va, page->physical);
	}
	if (!(page->fast & needed(access)))
		return;
	tlb->statistics.second_level += (fast & needed(access)) != 0;
	table_promote(tlb, context, va, page);
}

static void access_in(struct viommu_cpu_tlb *tlb, const struct tlb_context *context, uint64_t va,
		      uint32_t length, uint32_t access, struct viommu_cpu_target *target)
{
	struct tlb_page *page = table_find(tlb, context, va);

	if (!page)
		page = fill_physical(tlb, context, va);
	access_page(tlb, context, page, va, length, access, target);
}

/* Keep a caller's mistake inside the page. */
static uint32_t clip(uint64_t va, uint32_t length)
{
	uint32_t room = VIOMMU_CPU_PAGE - (va & (VIOMMU_CPU_PAGE - 1));

	return !length ? 1 : length > room ? room : length;
}

void viommu_cpu_tlb_access(struct viommu_cpu_tlb *tlb, uint64_t va, uint32_t length,
			   uint32_t access, struct viommu_cpu_target *target)
{
	tlb->statistics.slow++;
	access_in(tlb, tlb->current, va, clip(va, length), access, target);
}

static inline bool same_attributes(const struct viommu_attributes *a,
				   const struct viommu_attributes *b)
{
	return a->wid == b->wid && a->source == b->source;
}

/* The context of walks with these attributes. */
static inline struct tlb_context *walker(struct viommu_cpu_tlb *tlb,
				  const struct viommu_attributes *attributes)
{
	if (!tlb->walker || !same_attributes(&tlb->walker->key.attributes, attributes)) {
		struct viommu_cpu_context key = {
			.privilege = VIOMMU_CPU_ALL,
			.privileged = true,
			.physical = true,
			.attributes = *attributes,
		};

		tlb->walker = context_get(tlb, &key);
	}
	context_use(tlb, tlb->walker);
	tlb->fast.walk_attributes = *attributes;
	tlb->fast.walk_colour = tlb->walker->colour;
	return tlb->walker;
}

void viommu_cpu_tlb_walk(struct viommu_cpu_tlb *tlb, const struct viommu_attributes *attributes,
			 uint64_t pa, uint32_t length, uint32_t access,
			 struct viommu_cpu_target *target)
{
	const struct tlb_context *context;
	void *hva = NULL;

	if (access == VIOMMU_READ && (length == 8 || length == 4))
		hva = viommu_fast_walk(&tlb->fast, attributes, pa, length);
	if (hva) {
		*target = (struct viommu_cpu_target){ .kind = VIOMMU_CPU_RAM, .hva = hva };
		return;
	}
	context = walker(tlb, attributes);
	access_in(tlb, context, pa, clip(pa, length), access, target);
}

static struct tlb_page *fill_in(struct viommu_cpu_tlb *tlb, const struct tlb_context *context,
				const struct viommu_cpu_fill *fill)
{
	struct tlb_page *page = table_insert(tlb, context, fill->va, fill->pa & TLB_PAGE_MASK,
					     fill->global && !context->key.physical);

	tlb->statistics.fills++;
	page->permissions = fill->permissions & TLB_RWX;
	page->first = fill->first;
	page->last = !fill->first && !fill->last ? VIOMMU_CPU_PAGE - 1 : fill->last;
	if (page->last > VIOMMU_CPU_PAGE - 1)
		page->last = VIOMMU_CPU_PAGE - 1;
	page_refast(tlb, page);
	if (fill->page_size > VIOMMU_CPU_PAGE && !context->key.physical)
		flush_note_large(tlb, fill->va, fill->page_size);
	return page;
}

void viommu_cpu_tlb_fill(struct viommu_cpu_tlb *tlb, const struct viommu_cpu_fill *fill)
{
	fill_in(tlb, tlb->current, fill);
}

void viommu_cpu_tlb_fill_access(struct viommu_cpu_tlb *tlb, const struct viommu_cpu_fill *fill,
				uint32_t length, uint32_t access, struct viommu_cpu_target *target)
{
	struct tlb_page *page = fill_in(tlb, tlb->current, fill);

	access_page(tlb, tlb->current, page, fill->va, clip(fill->va, length), access, target);
}

void viommu_cpu_tlb_fill_walk(struct viommu_cpu_tlb *tlb,
			      const struct viommu_attributes *attributes,
			      const struct viommu_cpu_fill *fill)
{
	fill_in(tlb, walker(tlb, attributes), fill);
}

int viommu_cpu_tlb_read(struct viommu_cpu_tlb *tlb, const struct viommu_cpu_target *target,
			void *data, size_t length)
{
	int ret;

	switch (target->kind) {
	case VIOMMU_CPU_RAM:
		memory_copy_in(data, target->hva, length);
		return 0;
	case VIOMMU_CPU_SILENT:
		memset(data, 0, length);
		return 0;
	case VIOMMU_CPU_MMIO:
		ret = viommu_memory_read(target->memory, target->gpa, data, length);
		if (viommu_fast_pending(&tlb->fast))
			viommu_cpu_tlb_poll(tlb);
		return ret ? -EFAULT : 0;
	default:
		return -EFAULT;
	}
}

int viommu_cpu_tlb_write(struct viommu_cpu_tlb *tlb, const struct viommu_cpu_target *target,
			 const void *data, size_t length)
{
	int ret;

	switch (target->kind) {
	case VIOMMU_CPU_RAM:
		memory_copy_out(target->hva, data, length);
		if (target->memory && memory_dirty_on(target->memory))
			viommu_memory_mark_dirty(target->memory, target->gpa, length);
		return 0;
	case VIOMMU_CPU_SILENT:
		return 0;
	case VIOMMU_CPU_MMIO:
		ret = viommu_memory_write(target->memory, target->gpa, data, length);
		if (viommu_fast_pending(&tlb->fast))
			viommu_cpu_tlb_poll(tlb);
		return ret ? -EFAULT : 0;
	default:
		return -EFAULT;
	}
}
