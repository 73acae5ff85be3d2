/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Resolving: from a page's physical address and an access type to where the access ends, once.
 *
 * The order of things matters and is the same everywhere: listen, ask, keep, and only then let the
 * type be fast. A result says for which bytes of the page it holds; one that does not hold for all
 * of them keeps its type slow, but needs no second translation within them. An answer wider than a
 * page is kept as a span too, and the neighbours take their results from that.
 *
 * What a type may do is derived afresh from its own result, its own watch and the permissions each
 * time (page_refast), never patched: so no type can inherit another one's flag.
 */
#include <string.h>

#include "cpu/tlb.h"
#include "memory/alloc.h"

struct visitor {
	struct chain_visitor chain; /* first */
	struct viommu_cpu_tlb *tlb;
	bool failed; /* could not listen: host pointers could go without our hearing of it */
};

/* Listen to a source before it is asked the first time. False: out of memory. */
static bool know(struct viommu_cpu_tlb *tlb, struct change_source *source)
{
	struct tlb_known *known;

	for (uint32_t i = 0; i < tlb->known_count; i++) {
		if (tlb->known[i].source == source)
			return true;
	}
	if (tlb->known_count == tlb->known_room) {
		uint32_t room = tlb->known_room ? tlb->known_room * 2 : 8;

		known = viommu_realloc(tlb->known, room * sizeof(*known));
		if (!known)
			return false;
		tlb->known = known;
		tlb->known_room = room;
	}
	known = &tlb->known[tlb->known_count];
	if (change_listen(source, tlb_changed, tlb, &known->listener))
		return false;
	known->source = source;
	tlb->known_count++;
	return true;
}

static bool know_map(struct chain_visitor *chain, struct viommu_map *map)
{
	struct visitor *visitor = (struct visitor *)chain;

	visitor->failed |= !know(visitor->tlb, &map->source);
	return !visitor->failed;
}

static bool know_region(struct chain_visitor *chain, struct viommu_region *region)
{
	struct visitor *visitor = (struct visitor *)chain;

	visitor->failed |= !know(visitor->tlb, &region->source);
	return !visitor->failed;
}

/*
 * The filter forgets nothing until it is rebuilt with everything flushed; false positives only cost
 * a scan.
 */
static uint32_t filter_bit(uint64_t gpa, unsigned int type, bool held_back)
{
	uint64_t word = ((gpa >> 12) * TLB_TYPES + type) * 2 + held_back;

	return (uint32_t)(word * 0x9e3779b97f4a7c15ull >> 32) % TLB_FILTER;
}

static void filter_add(struct viommu_cpu_tlb *tlb, uint64_t gpa, unsigned int type, bool held_back)
{
	uint32_t bit = filter_bit(gpa, type, held_back);

	tlb->filter[bit / 64] |= 1ull << (bit % 64);
}

bool filter_test(const struct viommu_cpu_tlb *tlb, uint64_t gpa, unsigned int type,
		 bool held_back)
{
	uint32_t bit = filter_bit(gpa, type, held_back);

	return tlb->filter[bit / 64] >> (bit % 64) & 1;
}

void spans_clear(struct viommu_cpu_tlb *tlb)
{
	for (uint32_t i = 0; i < TLB_SPANS; i++) {
		tlb->spans[i].first = 1;
		tlb->spans[i].last = 0;
	}
}

void page_unresolve(struct tlb_page *page)
{
	if (!page->resolved)
		return;
	page->resolved = false;
	for (unsigned int type = 0; type < TLB_TYPES; type++)
		page->result[type].state = TLB_UNRESOLVED;
	page->fast = 0;
	page->steps = 0;
	page->many_steps = false;
}

static bool whole(uint16_t first, uint16_t last)
{
	return first == 0 && last == VIOMMU_CPU_PAGE - 1;
}

/* Types that may be fast, each by its own result, watch and permission; whatever the addend. */
static uint32_t candidates(const struct tlb_page *page)
{
	uint32_t types = 0;

	if (!whole(page->first, page->last))
		return 0;
	for (unsigned int type = 0; type < TLB_TYPES; type++) {
		const struct tlb_result *result = &page->result[type];

		if (result->state == TLB_RAM && !result->watched &&
		    whole(result->first, result->last))
			types |= tlb_type_bit(type);
	}
	return types & page->permissions;
}

static uint32_t with_addend(const struct tlb_page *page, uint32_t types, const uint8_t *hva)
{
	uint32_t equal = 0;

	for (unsigned int type = 0; type < TLB_TYPES; type++)
		equal |= page->result[type].hva == hva ? tlb_type_bit(type) : 0;
	return types & equal;
}

void filter_page(struct viommu_cpu_tlb *tlb, const struct tlb_page *page)
{
	for (unsigned int type = 0; type < TLB_TYPES; type++) {
		const struct tlb_result *result = &page->result[type];

		if (result->state != TLB_RAM || !(page->permissions & tlb_type_bit(type)))
			continue;
		filter_add(tlb, result->address, type, result->watched);
		filter_add(tlb, result->address + VIOMMU_CPU_PAGE - 1, type, result->watched);
	}
}

void page_refast(struct viommu_cpu_tlb *tlb, struct tlb_page *page)
{
	uint32_t types, fast = 0;

	if (!page->resolved)
		return;
	types = candidates(page);
	/* Stay with the addend there is, if any type still has it. */
	if (page->fast)
		fast = with_addend(page, types, page->hva);
	if (!fast && types) {
		page->hva = page->result[types & VIOMMU_READ	? VIOMMU_FAST_READ
					 : types & VIOMMU_WRITE ? VIOMMU_FAST_WRITE
								: VIOMMU_FAST_EXECUTE].hva;
		fast = with_addend(page, types, page->hva);
	}
	page->fast = (uint8_t)fast;
	if (tlb->options.watched)
		filter_page(tlb, page);
}

/* Which types are watched in the RAM a result names. It may straddle two pages there. */
static uint32_t watched(const struct viommu_cpu_tlb *tlb, const struct tlb_result *result)
{
	uint64_t gpa = result->address & TLB_PAGE_MASK;
	uint32_t types;

	if (!tlb->options.watched || result->state != TLB_RAM || !result->memory)
		return 0;
	types = tlb->options.watched(tlb->options.opaque, result->memory, gpa);
	if (gpa != result->address)
		types |= tlb->options.watched(tlb->options.opaque, result->memory,
					      gpa + VIOMMU_CPU_PAGE);
	return types;
}

void page_rewatch(struct viommu_cpu_tlb *tlb, struct tlb_page *page)
{
	for (unsigned int type = 0; type < TLB_TYPES; type++) {
		struct tlb_result *result = &page->result[type];

		result->watched = watched(tlb, result) & tlb_type_bit(type);
	}
	page_refast(tlb, page);
}

/* Remember a region a translation asked, by its input address of the page's first byte. */
static void add_step(struct tlb_page *page, struct viommu_region *region, uint64_t address)
{
	for (uint32_t at = 0; at < page->steps; at++) {
		if (page->step[at].region == region && page->step[at].address == address)
			return;
	}
	if (page->steps == TLB_STEPS) {
		page->many_steps = true;
		return;
	}
	page->step[page->steps++] = (struct tlb_step){ region, address };
}

/* The byte at `offset` was asked about. An address that wraps compares with nothing. */
static void add_steps(struct tlb_page *page, const struct viommu_target *target, uint32_t offset)
{
	for (uint32_t i = 0; i < target->chain; i++) {
		if (target->step[i].address < offset)
			page->many_steps = true;
		else
			add_step(page, target->step[i].region, target->step[i].address - offset);
	}
}

/* A target of the byte at `offset` as a result of the page. */
static void make_result(struct tlb_result *result, const struct viommu_target *target,
			uint32_t offset, uint64_t first, uint64_t last)
{
	static const uint8_t states[] = {
		[VIOMMU_TARGET_BLOCKED] = TLB_BLOCKED,
		[VIOMMU_TARGET_RAM] = TLB_RAM,
		[VIOMMU_TARGET_MMIO] = TLB_MMIO,
		[VIOMMU_TARGET_STALLED] = TLB_STALLED,
	};

	*result = (struct tlb_result){
		.state = states[target->kind],
		.first = (uint16_t)first,
		.last = (uint16_t)last,
		.address = target->gpa - offset,
		.hva = (uint8_t *)((uintptr_t)target->hva - offset),
		.attributes = target->attributes,
	};
	if (result->state == TLB_BLOCKED) {
		result->region = target->region;
		result->address = target->region_address - offset;
	} else {
		result->memory = target->memory;
	}
}

/* Keep a result for every type it holds for and that has nothing yet; for `type` in any case. */
static void keep_result(struct viommu_cpu_tlb *tlb, struct tlb_page *page, unsigned int type,
			const struct tlb_result *result, uint32_t granted)
{
	uint32_t types = watched(tlb, result);

	for (unsigned int other = 0; other < TLB_TYPES; other++) {
		uint32_t bit = tlb_type_bit(other);

		if (other != type &&
		    (!(granted & bit) || page->result[other].state != TLB_UNRESOLVED))
			continue;
		page->result[other] = *result;
		page->result[other].watched = types & bit;
	}
	if (page->resolved) {
		page_refast(tlb, page);
		return;
	}
	/* The first result of a page is all there is: what page_refast would find. */
	page->resolved = true;
	if (result->state == TLB_RAM && whole(result->first, result->last) &&
	    whole(page->first, page->last)) {
		page->hva = result->hva;
		page->fast = (uint8_t)((granted | tlb_type_bit(type)) & page->permissions & ~types);
	}
	if (tlb->options.watched)
		filter_page(tlb, page);
}

static void keep(struct viommu_cpu_tlb *tlb, struct tlb_page *page, unsigned int type,
		 uint32_t offset, const struct viommu_target *target)
{
	uint64_t first = target->first > page->pa ? target->first - page->pa : 0;
	uint64_t last = target->last - page->pa < VIOMMU_CPU_PAGE ? target->last - page->pa
								  : VIOMMU_CPU_PAGE - 1;
	struct tlb_result result;

	make_result(&result, target, offset, first, last);
	add_steps(page, target, offset);
	keep_result(tlb, page, type, &result, target->granted);
}

static bool span_matches(const struct tlb_span *span, const struct tlb_context *context,
			 uint64_t pa, uint32_t bit)
{
	return pa >= span->first && span->first <= span->last &&
	       pa + (VIOMMU_CPU_PAGE - 1) <= span->last && span->granted & bit &&
	       span->attributes.wid == context->key.attributes.wid &&
	       span->attributes.source == context->key.attributes.source &&
	       span->privileged == context->key.privileged;
}

static bool from_span(struct viommu_cpu_tlb *tlb, const struct tlb_context *context,
		      struct tlb_page *page, unsigned int type)
{
	uint32_t bit = tlb_type_bit(type);
	struct tlb_result result;
	uint64_t by;

	for (uint32_t i = 0; i < TLB_SPANS; i++) {
		uint32_t at = (tlb->span_hit + i) % TLB_SPANS;
		const struct tlb_span *span = &tlb->spans[at];

		if (!span_matches(span, context, page->pa, bit))
			continue;
		tlb->span_hit = at;
		tlb->statistics.shared++;
		by = page->pa - span->first;
		result = span->result;
		result.address += by;
		result.hva = (uint8_t *)((uintptr_t)result.hva + by);
		for (uint32_t step = 0; step < span->chain; step++)
			add_step(page, span->step[step].region, span->step[step].address + by);
		keep_result(tlb, page, type, &result, span->granted);
		return true;
	}
	return false;
}

/* An answer that holds for more than one page, from a request at `address`. */
static void keep_span(struct viommu_cpu_tlb *tlb, const struct tlb_context *context,
		      uint64_t address, const struct viommu_target *target)
{
	uint64_t back = address - target->first;
	struct tlb_span *span;

	if (target->last - target->first < 2 * VIOMMU_CPU_PAGE - 1 ||
	    target->kind == VIOMMU_TARGET_MMIO)
		return;
	span = &tlb->spans[tlb->span_victim++ % TLB_SPANS];
	*span = (struct tlb_span){
		.first = target->first,
		.last = target->last,
		.attributes = context->key.attributes,
		.privileged = context->key.privileged,
		.granted = target->granted,
		.chain = target->chain,
	};
	make_result(&span->result, target, 0, 0, VIOMMU_CPU_PAGE - 1);
	span->result.address -= back;
	span->result.hva = (uint8_t *)((uintptr_t)span->result.hva - back);
	for (uint32_t i = 0; i < target->chain; i++)
		span->step[i] = (struct tlb_step){ target->step[i].region,
						   target->step[i].address - back };
}

const struct tlb_result *page_resolve(struct viommu_cpu_tlb *tlb, const struct tlb_context *context,
				      struct tlb_page *page, unsigned int type, uint32_t offset,
				      uint32_t length, struct tlb_result *once)
{
	struct tlb_result *result = &page->result[type];
	struct visitor visitor = { { know_map, know_region }, tlb, false };
	struct viommu_request request;
	struct viommu_target target;

	if (result->state != TLB_UNRESOLVED && result->first <= offset &&
	    offset + length - 1 <= result->last)
		return result;
	if (from_span(tlb, context, page, type))
		return result;
	request = (struct viommu_request){
		.address = page->pa + offset,
		.last = page->pa + offset + length - 1,
		.access = tlb_type_bit(type) | (context->key.privileged ? VIOMMU_PRIVILEGED : 0u),
		.attributes = context->key.attributes,
	};
	tlb->statistics.translations++;
	grace_enter();
	chain_walk(tlb->map, &request, &target, &visitor.chain);
	grace_exit();
	if (visitor.failed)
		target.kind = VIOMMU_TARGET_STALLED; /* until there is memory again */
	if (target.once) {
		make_result(once, &target, offset, offset, offset + length - 1);
		once->watched = watched(tlb, once) & tlb_type_bit(type);
		return once;
	}
	keep_span(tlb, context, request.address, &target);
	keep(tlb, page, type, offset, &target);
	return result;
}
