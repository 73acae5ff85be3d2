/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wgChecker: the rules, as a region.
 *
 * Slots grant; nothing denies. An access is allowed when any slot that holds its address grants its
 * world the permission (or, as an option, when the first slot that holds it does). A fetch is
 * checked as a read. Slots are multiples of 4 KiB, so a page has one answer per world and
 * direction, and an answer holds up to the nearest edge of any slot.
 */
#include <errno.h>
#include <string.h>

#include "memory/sized.h"
#include "memory/alloc.h"
#include "riscv/wgchecker.h"

#define GRANULE_MASK  0x3ffull /* of SLOT_ADDR: address bits 11:2 */
#define GRANULE_NAPOT 0x1ffull /* NAPOT of 4 KiB */

/* WG 1.5: SLOT_ADDR holds address bits up; a NAPOT one has its size in trailing ones. */
static uint64_t napot_mask(uint64_t addr)
{
	return addr ^ (addr + 1); /* the trailing ones and the zero above them */
}

static bool in_range(const struct viommu_wgchecker *checker, uint64_t addr, bool end_too)
{
	uint64_t end = (checker->last >> 2) + 1;

	return addr >= checker->first >> 2 && (addr < end || (end_too && addr == end));
}

/*
 * What the address register of slot i reads: legalised for its mode; out of range is the range's
 * base.
 */
static uint64_t legal_address(const struct viommu_wgchecker *checker, uint32_t i)
{
	const struct wg_slot *slot = &checker->slot[i];
	uint64_t addr = slot->written;

	if (i == 0)
		return checker->first >> 2;
	if (i == checker->count - 1)
		return (checker->last >> 2) + 1;
	if ((slot->cfg & WG_CFG_A) != WG_NAPOT) {
		addr &= ~GRANULE_MASK;
		return in_range(checker, addr, true) ? addr : checker->first >> 2;
	}
	addr |= GRANULE_NAPOT;
	if (!in_range(checker, addr & ~napot_mask(addr), false))
		addr = checker->first >> 2 | GRANULE_NAPOT;
	return addr;
}

/* One past the end of what slot i covers, in units of 4 bytes: the base of a TOR slot after it. */
static uint64_t end_of(const struct wg_slot *slot)
{
	if ((slot->cfg & WG_CFG_A) == WG_NAPOT)
		return (slot->addr | napot_mask(slot->addr)) + 1;
	return slot->addr;
}

static void derive_range(struct viommu_wgchecker *checker, uint32_t i)
{
	struct wg_slot *slot = &checker->slot[i];
	uint64_t base = 0, end = 0; /* in units of 4 bytes; end exclusive */

	switch (slot->cfg & WG_CFG_A) {
	case WG_TOR:
		base = end_of(slot - 1);
		end = slot->addr;
		break;
	case WG_NAPOT:
		base = slot->addr & ~napot_mask(slot->addr);
		end = end_of(slot);
		break;
	}
	if (end > (checker->last >> 2) + 1)
		end = (checker->last >> 2) + 1;
	slot->first = 1;
	slot->last = 0;
	if (i && base < end) {
		slot->first = base << 2;
		slot->last = ((end - 1) << 2) + 3;
	}
}

void wg_derive(struct viommu_wgchecker *checker)
{
	for (uint32_t i = 0; i < checker->count; i++) {
		struct wg_slot *slot = &checker->slot[i];

		slot->addr = legal_address(checker, i);
		derive_range(checker, i);
	}
}

static uint32_t permissions(const struct viommu_wgchecker *checker, const struct wg_slot *slot,
			    uint32_t wid)
{
	uint64_t bits;

	if (wid >= checker->config.worlds)
		return 0;
	bits = slot->perm >> (2 * wid);
	return (bits & 1 ? VIOMMU_READ | VIOMMU_EXECUTE : 0u) | (bits & 2 ? VIOMMU_WRITE : 0u);
}

static void wg_judge(const struct viommu_wgchecker *checker, uint64_t address, uint32_t wid,
	      struct wg_verdict *verdict)
{
	bool matched = false;

	*verdict = (struct wg_verdict){ .first = checker->first, .last = checker->last };
	if (checker->config.flags & VIOMMU_WG_TZ_COMPAT)
		wid &= 1;
	for (uint32_t i = 1; i < checker->count; i++) {
		const struct wg_slot *slot = &checker->slot[i];

		if (slot->first > slot->last)
			continue;
		if (address < slot->first) {
			if (slot->first <= verdict->last)
				verdict->last = slot->first - 1;
			continue;
		}
		if (address > slot->last) {
			if (slot->last >= verdict->first)
				verdict->first = slot->last + 1;
			continue;
		}
		if (slot->first > verdict->first)
			verdict->first = slot->first;
		if (slot->last < verdict->last)
			verdict->last = slot->last;
		/* By priority, only the first slot that matches has a say. */
		if (matched && checker->config.flags & VIOMMU_WG_PRIORITY)
			continue;
		matched = true;
		verdict->allowed |= permissions(checker, slot, wid);
		verdict->react |= slot->cfg & WG_CFG_REACT;
	}
	if (!matched)
		verdict->react = checker->slot[0].cfg & WG_CFG_REACT;
}

/* Whoever asks about more than one answer covers gets the strictest, for this once. */
static uint32_t judge_all(const struct viommu_wgchecker *checker,
			  const struct viommu_request *request, struct wg_verdict *verdict)
{
	uint32_t allowed;

	wg_judge(checker, request->address, request->attributes.wid, verdict);
	allowed = verdict->allowed;
	while (verdict->last < request->last && verdict->last < checker->last) {
		struct wg_verdict next;

		wg_judge(checker, verdict->last + 1, request->attributes.wid, &next);
		allowed &= next.allowed;
		verdict->react |= next.react;
		verdict->last = next.last;
	}
	return request->last <= checker->last && request->address >= checker->first ? allowed : 0;
}

static void translate(void *opaque, const struct viommu_request *request,
		      struct viommu_answer *answer)
{
	const uint32_t all = VIOMMU_READ | VIOMMU_WRITE | VIOMMU_EXECUTE;
	struct viommu_wgchecker *checker = opaque;
	struct wg_verdict verdict;
	uint32_t allowed;
	uint64_t last;

	pthread_mutex_lock(&checker->lock);
	wg_judge(checker, request->address, request->attributes.wid, &verdict);
	last = verdict.last;
	allowed = judge_all(checker, request, &verdict);
	pthread_mutex_unlock(&checker->lock);
	answer->once = last < request->last;
	answer->first = verdict.first;
	answer->last = verdict.last;
	if (!(request->access & allowed & all)) {
		answer->kind = VIOMMU_ANSWER_BLOCKED;
		answer->granted = all & ~allowed;
		return;
	}
	answer->kind = VIOMMU_ANSWER_PASS;
	answer->granted = allowed;
	answer->map = checker->config.next;
	answer->address = request->address;
}

/* WG 1.5: the first error wins, and only one that is reported counts. Under lock. */
static void record(struct viommu_wgchecker *checker, const struct viommu_request *request,
		   uint32_t denied, bool error, bool interrupt)
{
	if ((!error && !interrupt) || checker->cause & (WG_CAUSE_BE | WG_CAUSE_IP))
		return;
	checker->cause = (request->attributes.wid & WG_CAUSE_WID) |
			 (denied & VIOMMU_READ ? WG_CAUSE_R : 0) |
			 (denied & VIOMMU_WRITE ? WG_CAUSE_W : 0) | (error ? WG_CAUSE_BE : 0) |
			 (interrupt ? WG_CAUSE_IP : 0);
	checker->address = request->address >> 2;
}

bool wg_wants_irq(void *opaque)
{
	struct viommu_wgchecker *checker = opaque;
	bool level;

	pthread_mutex_lock(&checker->lock);
	level = checker->cause & WG_CAUSE_IP;
	pthread_mutex_unlock(&checker->lock);
	return level;
}

static enum viommu_reaction blocked(void *opaque, const struct viommu_request *request)
{
	struct viommu_wgchecker *checker = opaque;
	uint32_t needed, denied;
	bool error, interrupt;
	struct wg_verdict verdict;

	needed = request->access & VIOMMU_ATOMIC   ? VIOMMU_READ | VIOMMU_WRITE
		 : request->access & VIOMMU_WRITE ? VIOMMU_WRITE
						  : VIOMMU_READ; /* a fetch is a read */
	pthread_mutex_lock(&checker->lock);
	denied = needed & ~judge_all(checker, request, &verdict);
	error = (denied & VIOMMU_READ && verdict.react & WG_CFG_ER) ||
		(denied & VIOMMU_WRITE && verdict.react & WG_CFG_EW);
	interrupt = (denied & VIOMMU_READ && verdict.react & WG_CFG_IR) ||
		    (denied & VIOMMU_WRITE && verdict.react & WG_CFG_IW);
	record(checker, request, denied, error, interrupt);
	pthread_mutex_unlock(&checker->lock);
	if (!denied)
		return VIOMMU_REACTION_RETRY;
	if (interrupt)
		irq_follow(&checker->irq, wg_wants_irq, checker);
	return error ? VIOMMU_REACTION_ERROR : VIOMMU_REACTION_SILENT;
}

static const struct viommu_region_ops ops = { sizeof(ops), translate, blocked };

void wg_reset_slots(struct viommu_wgchecker *checker)
{
	const struct viommu_wgchecker_config *config = &checker->config;
	struct wg_slot *top = &checker->slot[checker->count - 1];

	memset(checker->slot, 0, checker->count * sizeof(checker->slot[0]));
	checker->cause = 0;
	checker->address = 0;
	if (config->flags & VIOMMU_WG_HW_BYPASS) {
		top->perm = 3ull << (2 * config->trusted_wid);
		top->cfg = WG_TOR;
	}
	wg_derive(checker);
}

/* WG 1.5: the range is naturally aligned; the smallest that holds what was asked for. */
static void set_range(struct viommu_wgchecker *checker)
{
	uint64_t start = checker->config.start, last = start + checker->config.length - 1;
	uint64_t mask = 0xfff;

	while ((start & ~mask) != (last & ~mask))
		mask = mask << 1 | 1;
	checker->first = start & ~mask;
	checker->last = last | mask;
}

static int check(const struct viommu_wgchecker_config *config)
{
	bool trusted = config->trusted_wid != VIOMMU_NO_WID;

	if (!config->next || !config->length || config->length - 1 > UINT64_MAX - config->start)
		return -EINVAL;
	if (!config->slots || config->slots > 1024 || !config->worlds ||
	    config->worlds > VIOMMU_WID_LIMIT)
		return -EINVAL;
	if (config->flags & ~(uint32_t)(VIOMMU_WG_HW_BYPASS | VIOMMU_WG_PRIORITY |
					VIOMMU_WG_TRUSTED_FORCED | VIOMMU_WG_TZ_COMPAT))
		return -EINVAL;
	if (trusted && config->trusted_wid >= config->worlds)
		return -EINVAL;
	if (!trusted && config->flags & (VIOMMU_WG_HW_BYPASS | VIOMMU_WG_TRUSTED_FORCED))
		return -EINVAL;
	if (config->flags & VIOMMU_WG_TZ_COMPAT && config->worlds != 2)
		return -EINVAL;
	return 0;
}

int viommu_wgchecker_create(const struct viommu_wgchecker_config *config,
			    struct viommu_wgchecker **result)
{
	struct viommu_wgchecker_config known;
	struct viommu_wgchecker *checker;
	int ret = sized_import(&known, sizeof(known), config);

	if (!ret)
		ret = check(&known);
	if (ret)
		return ret;
	checker = viommu_zalloc(sizeof(*checker) + (known.slots + 1) * sizeof(checker->slot[0]));
	if (!checker)
		return -ENOMEM;
	ret = viommu_region_create(&ops, checker, &checker->region);
	if (ret) {
		viommu_free(checker);
		return ret;
	}
	checker->config = known;
	checker->count = known.slots + 1;
	pthread_mutex_init(&checker->lock, NULL);
	irq_init(&checker->irq, known.irq, known.irq_opaque);
	set_range(checker);
	wg_reset_slots(checker);
	*result = checker;
	return 0;
}

void viommu_wgchecker_destroy(struct viommu_wgchecker *checker)
{
	if (!checker)
		return;
	viommu_region_destroy(checker->region);
	pthread_mutex_destroy(&checker->irq.lock);
	pthread_mutex_destroy(&checker->lock);
	viommu_free(checker);
}

struct viommu_region *viommu_wgchecker_region(struct viommu_wgchecker *checker)
{
	return checker->region;
}
