/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes that reach a TLB from elsewhere, and how their makers know that the old answers are gone.
 *
 * A change is posted to the TLB and applied by its owner at a safe point, where no host pointer and
 * no answer of the TLB is in use. The poster waits for that, so that when the register write that
 * changed a rule has completed no other hart acts on the old rule. It does not wait for a TLB whose
 * owner is parked (it will apply before it runs again), nor for one that its own thread owns: that
 * would be waiting for itself; such a TLB applies before its next access, because the MMIO write
 * that caused the change polls when it is done.
 *
 * Two harts may change rules at once and wait for each other. Hence a thread that waits here parks
 * the TLBs it owns meanwhile: it is inside an MMIO write, a place where it uses no answer.
 */
#include <string.h>

#include "cpu/tlb.h"

/* By this thread; its address names the thread. */
static _Thread_local struct viommu_cpu_tlb *owned;

static bool tlb_owned(const struct viommu_cpu_tlb *tlb)
{
	return tlb->owner == &owned;
}

static void set_running(struct viommu_cpu_tlb *tlb, bool running)
{
	pthread_mutex_lock(&tlb->lock);
	tlb->running = running;
	if (!running)
		pthread_cond_broadcast(&tlb->moved);
	pthread_mutex_unlock(&tlb->lock);
}

static void set_mine(bool running)
{
	for (struct viommu_cpu_tlb *tlb = owned; tlb; tlb = tlb->next_owned)
		set_running(tlb, running);
}

/* Under lock. */
static void queue(struct viommu_cpu_tlb *tlb, const struct tlb_post *post)
{
	if (tlb->post_count < TLB_POSTS)
		tlb->posts[tlb->post_count++] = *post;
	else
		tlb->overflow = true;
	tlb->posted++;
	__atomic_store_n(&tlb->fast.pending, 1, __ATOMIC_RELEASE);
}

static void post(struct viommu_cpu_tlb *tlb, const struct tlb_post *what)
{
	uint64_t ticket;
	bool wait;

	pthread_mutex_lock(&tlb->lock);
	queue(tlb, what);
	ticket = tlb->posted;
	wait = tlb->running && !tlb_owned(tlb);
	pthread_mutex_unlock(&tlb->lock);
	if (!wait)
		return;
	set_mine(false);
	pthread_mutex_lock(&tlb->lock);
	while (tlb->running && tlb->applied < ticket)
		pthread_cond_wait(&tlb->moved, &tlb->lock);
	pthread_mutex_unlock(&tlb->lock);
	set_mine(true);
}

void tlb_changed(void *opaque, struct viommu_region *region, uint64_t first, uint64_t last)
{
	post(opaque, &(struct tlb_post){ .region = region, .first = first, .last = last });
}

static bool overlaps(uint64_t address, uint64_t first, uint64_t last)
{
	return address <= last && first - (address < first ? address : first) < VIOMMU_CPU_PAGE;
}

/* Did this page's answers ask the region about an address that changed? */
static bool concerned(const struct tlb_page *page, const struct tlb_post *what)
{
	if (page->many_steps)
		return true;
	for (uint32_t i = 0; i < page->steps; i++) {
		if (page->step[i].region == what->region &&
		    overlaps(page->step[i].address, what->first, what->last))
			return true;
	}
	return false;
}

static bool leads_to(const struct tlb_page *page, const struct tlb_post *what)
{
	for (unsigned int type = 0; type < TLB_TYPES; type++) {
		const struct tlb_result *result = &page->result[type];

		if (result->state == TLB_RAM && result->memory == what->memory &&
		    overlaps(result->address, what->first, what->last))
			return true;
	}
	return false;
}

static void apply_to(struct viommu_cpu_tlb *tlb, uint32_t way, const struct tlb_post *what)
{
	struct tlb_page *page = &tlb->pages[way];

	if (what->memory) {
		if (!leads_to(page, what))
			return;
		page_rewatch(tlb, page);
	} else {
		if (!concerned(page, what))
			return;
		page_unresolve(page);
		tlb->statistics.dropped++;
	}
	table_drop_entry(tlb, tlb->tags[way].va, page->physical);
}

/*
 * Could a new answer of `watched` for these pages concern anything? Only short ranges are worth the
 * question.
 */
static bool worth_scanning(const struct viommu_cpu_tlb *tlb, const struct tlb_post *what)
{
	uint64_t first = what->first & TLB_PAGE_MASK;

	if (!what->memory || (what->last - first) >> 12 > 64)
		return true;
	for (uint64_t gpa = first; gpa <= what->last; gpa += VIOMMU_CPU_PAGE) {
		uint32_t now = tlb->options.watched(tlb->options.opaque, what->memory, gpa);

		for (unsigned int type = 0; type < TLB_TYPES; type++) {
			if (filter_test(tlb, gpa, type, !(now & tlb_type_bit(type))))
				return true;
		}
		if (gpa > UINT64_MAX - VIOMMU_CPU_PAGE)
			break;
	}
	return false;
}

static void apply(struct viommu_cpu_tlb *tlb, const struct tlb_post *posts, uint32_t count)
{
	bool rebuild = tlb->options.watched;

	if (rebuild)
		memset(tlb->filter, 0, sizeof(tlb->filter));
	for (uint32_t way = 0; way < tlb->sets * TLB_WAYS; way++) {
		if (!table_tag_live(tlb, &tlb->tags[way]))
			continue;
		for (uint32_t i = 0; i < count; i++)
			apply_to(tlb, way, &posts[i]);
		if (rebuild)
			filter_page(tlb, &tlb->pages[way]);
	}
}

/* By the owner, under lock. */
static void apply_posts(struct viommu_cpu_tlb *tlb)
{
	bool everything = tlb->overflow;
	uint32_t useful = 0;

	__atomic_store_n(&tlb->fast.pending, 0, __ATOMIC_RELAXED);
	if (tlb->applied == tlb->posted)
		return;
	tlb->statistics.posted += tlb->posted - tlb->applied;
	for (uint32_t i = 0; i < tlb->post_count; i++) {
		everything |= !tlb->posts[i].region && !tlb->posts[i].memory;
		if (!tlb->posts[i].memory)
			spans_clear(tlb);
		if (worth_scanning(tlb, &tlb->posts[i]))
			tlb->posts[useful++] = tlb->posts[i];
	}
	if (everything) {
		spans_clear(tlb);
		flush_everything(tlb);
	} else if (useful) {
		apply(tlb, tlb->posts, useful);
	}
	tlb->post_count = 0;
	tlb->overflow = false;
	tlb->applied = tlb->posted;
	pthread_cond_broadcast(&tlb->moved);
}

void viommu_cpu_tlb_enter(struct viommu_cpu_tlb *tlb)
{
	pthread_mutex_lock(&tlb->lock);
	if (!tlb->owner) {
		tlb->owner = &owned;
		tlb->next_owned = owned;
		owned = tlb;
	}
	tlb->running = true;
	apply_posts(tlb);
	pthread_mutex_unlock(&tlb->lock);
}

void viommu_cpu_tlb_leave(struct viommu_cpu_tlb *tlb)
{
	struct viommu_cpu_tlb **at;

	for (at = &owned; *at && *at != tlb; at = &(*at)->next_owned)
		;
	if (*at)
		*at = tlb->next_owned;
	pthread_mutex_lock(&tlb->lock);
	tlb->running = false;
	tlb->owner = NULL;
	pthread_cond_broadcast(&tlb->moved);
	pthread_mutex_unlock(&tlb->lock);
}

bool viommu_cpu_tlb_pending(const struct viommu_cpu_tlb *tlb)
{
	return viommu_fast_pending(&tlb->fast);
}

void viommu_cpu_tlb_poll(struct viommu_cpu_tlb *tlb)
{
	pthread_mutex_lock(&tlb->lock);
	apply_posts(tlb);
	pthread_mutex_unlock(&tlb->lock);
}

void viommu_cpu_tlb_rewatch(struct viommu_cpu_tlb *tlb, struct viommu_memory *memory, uint64_t gpa,
			    uint64_t length)
{
	struct tlb_post what = { .memory = memory, .first = gpa, .last = gpa + length - 1 };

	if (!length || what.last < gpa || !tlb->options.watched)
		return;
	post(tlb, &what);
	if (tlb_owned(tlb))
		viommu_cpu_tlb_poll(tlb);
}
