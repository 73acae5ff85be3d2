/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IOPMP: decisions. From a source and a span of bytes to what each type of access may do there.
 *
 * Entries are looked at in order. Every entry of the source's domains also cuts the window for
 * which the decision holds: inside it no such entry begins or ends, so every access that stays
 * inside meets the same entries, each wholly or not at all.
 */
#include <string.h>

#include "riscv/iopmp.h"

static const uint32_t type_bit[IOPMP_TYPES] = { VIOMMU_READ, VIOMMU_WRITE, VIOMMU_EXECUTE };

/*
 * IOPMP 2.1: granularity is that of PMP: G low bits of a TOR or OFF address read 0, G - 1 of a
 * NAPOT one read 1.
 */
uint64_t iopmp_entry_reads(const struct viommu_iopmp *iopmp, uint32_t index)
{
	const struct iopmp_entry *entry = &iopmp->entry[index];
	uint32_t g = iopmp->config.granularity;
	uint32_t mode = (entry->cfg & IOPMP_CFG_MODE) >> IOPMP_CFG_MODE_SHIFT;

	if (mode == IOPMP_NAPOT)
		return g ? entry->addr | ((1ull << (g - 1)) - 1) : entry->addr;
	return entry->addr & ~((1ull << g) - 1);
}

/* Bytes from words of 4: [base, end] inclusive. Beyond 64 bits nothing can be reached. */
static void set_range(struct iopmp_entry *entry, uint64_t base, uint64_t end)
{
	const uint64_t top = UINT64_MAX >> 2;

	if (base > end || base > top)
		return;
	entry->first = base << 2;
	entry->last = end >= top ? UINT64_MAX : (end << 2) + 3;
}

void iopmp_derive_entry(struct viommu_iopmp *iopmp, uint32_t index)
{
	struct iopmp_entry *entry = &iopmp->entry[index];
	uint64_t addr = iopmp_entry_reads(iopmp, index);
	uint64_t mask, base = 0;

	entry->first = 1;
	entry->last = 0;
	switch ((entry->cfg & IOPMP_CFG_MODE) >> IOPMP_CFG_MODE_SHIFT) {
	case IOPMP_TOR:
		/* The lower bound is the entry before, whichever domain owns that. */
		if (index) {
			base = iopmp->entry[index - 1].addr;
			base &= ~((1ull << iopmp->config.granularity) - 1);
		}
		if (addr)
			set_range(entry, base, addr - 1);
		break;
	case IOPMP_NA4:
		set_range(entry, addr, addr);
		break;
	case IOPMP_NAPOT:
		mask = addr ^ (addr + 1);
		set_range(entry, addr & ~mask, addr | mask);
		break;
	}
}

/*
 * IOPMP 2.1: a table that decreases is read as if it did not; what lies past the last entry is off.
 */
void iopmp_derive_domains(struct viommu_iopmp *iopmp)
{
	uint64_t top = 0;

	for (uint32_t m = 0; m < iopmp->config.domains; m++) {
		uint64_t want = iopmp->mdcfg[m];

		if (iopmp->config.mdcfg_format)
			want = (uint64_t)(m + 1) * iopmp->reg.domain_entries;
		if (want > iopmp->config.entries)
			want = iopmp->config.entries;
		if (want > top)
			top = want;
		iopmp->top[m] = (uint32_t)top;
	}
}

uint64_t iopmp_domains_of(const struct viommu_iopmp *iopmp, uint32_t source)
{
	switch (iopmp->config.srcmd_format) {
	case 0:
		return iopmp->source[source].domains;
	case 1:
		return 1ull << source;
	default:
		return (1ull << iopmp->config.domains) - 1;
	}
}

/* What entries of domain m may give this source: formats 0 and 1 take away, format 2 adds. */
struct domain_rule {
	uint32_t only; /* permissions that are not taken away */
	uint32_t also; /* permissions that are added */
};

static struct domain_rule rule_of(const struct viommu_iopmp *iopmp, uint32_t source, uint32_t m)
{
	const struct iopmp_source *row = &iopmp->source[source];
	struct domain_rule rule = { .only = IOPMP_CFG_PERMISSIONS };
	uint64_t bits;

	if (iopmp->config.srcmd_format == 2) {
		bits = iopmp->perm[m] >> (2 * source);
		/* The X permission is the R permission. */
		rule.also = (bits & 1 ? 1u << IOPMP_R | 1u << IOPMP_X : 0u) |
			    (bits & 2 ? 1u << IOPMP_W : 0u);
		return rule;
	}
	if (!iopmp_has(iopmp, VIOMMU_IOPMP_SPS))
		return rule;
	rule.only = (row->r >> m & 1) << IOPMP_R | (row->w >> m & 1) << IOPMP_W;
	/* 0.7 has no SRCMD_X: read permission is that of a fetch too. */
	rule.only |= ((iopmp_is_07(iopmp) ? row->r : row->x) >> m & 1) << IOPMP_X;
	return rule;
}

static void deny(struct iopmp_decision *decision, unsigned int type, enum iopmp_error error,
		 uint32_t entry)
{
	decision->type[type].error = error;
	decision->type[type].entry = (uint16_t)entry;
	decision->type[type].quiet_irq = false;
	decision->type[type].quiet_error = false;
}

static void deny_all(struct iopmp_decision *decision, enum iopmp_error error, uint32_t entry)
{
	for (unsigned int type = 0; type < IOPMP_TYPES; type++)
		deny(decision, type, error, entry);
}

/* Illegal read, write or fetch by an entry, with the entry's own suppressions. */
static void deny_by(const struct viommu_iopmp *iopmp, struct iopmp_decision *decision,
		    unsigned int type, uint32_t index)
{
	uint32_t cfg = iopmp->entry[index].cfg;

	deny(decision, type, IOPMP_ILLEGAL_READ + type, index);
	decision->type[type].quiet_irq = cfg >> (IOPMP_CFG_SI_SHIFT + type) & 1;
	decision->type[type].quiet_error = cfg >> (IOPMP_CFG_SE_SHIFT + type) & 1;
}

static uint32_t permissions(const struct viommu_iopmp *iopmp, const struct iopmp_entry *entry,
			    const struct domain_rule *rule)
{
	return ((entry->cfg & rule->only) | rule->also) & IOPMP_CFG_PERMISSIONS;
}

/* Cut the window by an entry the span does not touch; or find that it is inside, or straddles. */
enum touch { TOUCH_NOTHING, TOUCH_PART, TOUCH_ALL };

static enum touch cut(struct iopmp_decision *decision, const struct iopmp_entry *entry,
		      uint64_t first, uint64_t last)
{
	if (entry->first > entry->last)
		return TOUCH_NOTHING;
	if (entry->last < first) {
		if (entry->last >= decision->first)
			decision->first = entry->last + 1;
		return TOUCH_NOTHING;
	}
	if (entry->first > last) {
		if (entry->first <= decision->last)
			decision->last = entry->first - 1;
		return TOUCH_NOTHING;
	}
	if (entry->first > first || entry->last < last) {
		decision->once = true;
		return TOUCH_PART;
	}
	if (entry->first > decision->first)
		decision->first = entry->first;
	if (entry->last < decision->last)
		decision->last = entry->last;
	return TOUCH_ALL;
}

struct search {
	struct viommu_iopmp *iopmp;
	struct iopmp_decision *decision;
	uint64_t first, last;
	bool decided; /* a priority entry has matched */
	bool matched; /* a non-priority entry has */
};

/* IOPMP 2.1: the first priority entry that touches the span decides; it must cover all of it. */
static void priority_entry(struct search *search, uint32_t index, const struct domain_rule *rule,
			   enum touch touch)
{
	const struct viommu_iopmp *iopmp = search->iopmp;
	uint32_t allowed = permissions(iopmp, &iopmp->entry[index], rule);

	search->decided = true;
	if (touch == TOUCH_PART) {
		deny_all(search->decision, IOPMP_PARTIAL, index);
		return;
	}
	for (unsigned int type = 0; type < IOPMP_TYPES; type++) {
		if (allowed >> type & 1)
			search->decision->type[type].error = IOPMP_NO_ERROR;
		else
			deny_by(iopmp, search->decision, type, index);
	}
}

/*
 * IOPMP 2.1, 2.3: any that covers all may grant; an error is suppressed when all that match
 * suppress it.
 */
static void other_entry(struct search *search, uint32_t index, const struct domain_rule *rule)
{
	const struct viommu_iopmp *iopmp = search->iopmp;
	uint32_t allowed = permissions(iopmp, &iopmp->entry[index], rule);

	for (unsigned int type = 0; type < IOPMP_TYPES; type++) {
		uint32_t cfg = iopmp->entry[index].cfg;

		if (allowed >> type & 1) {
			search->decision->type[type].error = IOPMP_NO_ERROR;
		} else if (!search->matched) {
			deny_by(iopmp, search->decision, type, index);
		} else if (search->decision->type[type].error) {
			search->decision->type[type].quiet_irq &=
				cfg >> (IOPMP_CFG_SI_SHIFT + type) & 1;
			search->decision->type[type].quiet_error &=
				cfg >> (IOPMP_CFG_SE_SHIFT + type) & 1;
		}
	}
	search->matched = true;
}

static void search_domain(struct search *search, uint32_t source, uint32_t m)
{
	const struct viommu_iopmp *iopmp = search->iopmp;
	struct domain_rule rule = rule_of(iopmp, source, m);
	uint32_t priority = iopmp_has(iopmp, VIOMMU_IOPMP_NON_PRIORITY)
				    ? iopmp->reg.priority_entries
				    : UINT32_MAX;

	for (uint32_t index = m ? iopmp->top[m - 1] : 0; index < iopmp->top[m]; index++) {
		enum touch touch;

		if (search->decided)
			return; /* what comes after has no say, anywhere in the window */
		touch = cut(search->decision, &iopmp->entry[index], search->first, search->last);
		if (touch == TOUCH_NOTHING)
			continue;
		if (index < priority)
			priority_entry(search, index, &rule, touch);
		else if (touch == TOUCH_ALL)
			other_entry(search, index, &rule);
	}
}

/* xinr: a fetch is a read; no_x and no_w: no entry can ever allow one. */
static void fix_types(const struct viommu_iopmp *iopmp, struct iopmp_decision *decision)
{
	if (iopmp_has(iopmp, VIOMMU_IOPMP_FETCH_IS_READ))
		decision->type[IOPMP_X] = decision->type[IOPMP_R];
	else if (iopmp_has(iopmp, VIOMMU_IOPMP_NO_FETCH))
		deny(decision, IOPMP_X, IOPMP_NO_MATCH, IOPMP_NO_EID);
	if (iopmp_has(iopmp, VIOMMU_IOPMP_NO_WRITE))
		deny(decision, IOPMP_W, IOPMP_NO_MATCH, IOPMP_NO_EID);
}

static void decide(struct viommu_iopmp *iopmp, const struct viommu_request *request,
		   struct iopmp_decision *decision)
{
	uint32_t source = request->attributes.source;
	struct search search = {
		.iopmp = iopmp,
		.decision = decision,
		.first = request->address,
		.last = request->last,
	};
	uint64_t domains;

	memset(decision, 0, sizeof(*decision));
	decision->last = UINT64_MAX;
	if (!iopmp->reg.enable)
		return;
	if (source >= iopmp->config.sources) {
		deny_all(decision, IOPMP_UNKNOWN_SOURCE, IOPMP_NO_EID);
		return;
	}
	if (iopmp->source[source].stalled) {
		/* IOPMP 2.1: it waits, or fails when software wants that and nothing buffers it. */
		decision->stalled = !(iopmp->reg.err_cfg & IOPMP_ERR_STALL);
		deny_all(decision, iopmp_is_07(iopmp) ? 8 : IOPMP_STALL_VIOLATION, IOPMP_NO_EID);
		return;
	}
	deny_all(decision, IOPMP_NO_MATCH, IOPMP_NO_EID);
	domains = iopmp_domains_of(iopmp, source);
	for (uint32_t m = 0; m < iopmp->config.domains; m++) {
		if (domains >> m & 1)
			search_domain(&search, source, m);
	}
	fix_types(iopmp, decision);
}

static struct iopmp_slot *slot_of(struct viommu_iopmp *iopmp, const struct viommu_request *request)
{
	uint64_t hash = (request->address >> 12) + request->attributes.source * 0x9e37ull;

	return &iopmp->cache[hash % IOPMP_CACHE];
}

const struct iopmp_decision *iopmp_decide(struct viommu_iopmp *iopmp,
					  const struct viommu_request *request,
					  struct iopmp_decision *once)
{
	struct iopmp_slot *slot = slot_of(iopmp, request);

	if (slot->generation == iopmp->generation && slot->source == request->attributes.source &&
	    slot->decision.first <= request->address && request->last <= slot->decision.last)
		return &slot->decision;
	decide(iopmp, request, once);
	if (once->once)
		return once;
	slot->generation = iopmp->generation;
	slot->source = request->attributes.source;
	slot->decision = *once;
	return &slot->decision;
}

uint32_t iopmp_allowed(const struct iopmp_decision *decision)
{
	uint32_t allowed = 0;

	for (unsigned int type = 0; type < IOPMP_TYPES; type++)
		allowed |= decision->type[type].error ? 0 : type_bit[type];
	return allowed;
}
