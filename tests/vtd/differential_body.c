/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library against the naive walker, with random tables, requests and invalidations.
 *
 * A fixed set of requests is watched. What a table entry held is taken down when it changes; until
 * an invalidation that covers a request has completed, the library may give any answer that some
 * mixture of old and present entries leads to, for hardware caches entries one by one; afterwards
 * only the present one. Contexts change only together with a full flush.
 *
 * Table pages come from a small pool that points into itself, so loops, tables that are pages and
 * pages that are tables all happen.
 */
#include <stdio.h>

#include "differential_body.h"
#include "naive.h"

enum { POOL = 20, WATCHED = 24, CONTEXTS = 4, COMBINATIONS = 512 };

uint64_t differential_requests, differential_translated, differential_stale;

struct watch {
	struct naive_request request;
	unsigned int context; /* index of its PE */
	unsigned int since;   /* time of the last invalidation that covered it */
};

struct run {
	struct kit kit;
	struct choices *choices;
	uint64_t pool[POOL];
	uint64_t rtaddr;
	bool legacy;
	bool clean; /* no table changed since the last full flush */
	uint16_t did[CONTEXTS];
	unsigned int pgtt[CONTEXTS];
	struct watch watch[WATCHED];
	struct naive_past past;
	unsigned int time;
	char *message;
	size_t length;
};

static const uint32_t pasids[CONTEXTS] = { VIOMMU_NO_PASID, 1, 77, 4099 };

bool choices_left(const struct choices *choices)
{
	return !choices->data || choices->at < choices->size;
}

static uint32_t bytes(struct choices *choices, unsigned int count)
{
	uint32_t value = 0;

	if (!choices->data) {
		choices->state ^= choices->state << 13;
		choices->state ^= choices->state >> 7;
		choices->state ^= choices->state << 17;
		return (uint32_t)(choices->state >> 16);
	}
	for (unsigned int i = 0; i < count; i++)
		value = value << 8 |
			(choices->at < choices->size ? choices->data[choices->at++] : 0);
	return value;
}

uint32_t choose(struct choices *choices, uint32_t below)
{
	return bytes(choices, below > 256 ? 2 : 1) % below;
}

#define pick(run, below) choose((run)->choices, below)

static bool one_in(struct run *run, uint32_t n)
{
	return pick(run, n) == n - 1;
}

/* The indices into tables that watched addresses use, and that tables therefore have. */
static const uint16_t few[] = { 0, 1, 2, 511, 256 };

static uint32_t pick_index(struct run *run)
{
	return few[pick(run, 5)];
}

static uint64_t pick_entry(struct run *run)
{
	uint64_t word = 7;

	if (one_in(run, 24))
		return 0;
	switch (pick(run, 8)) {
	case 0:
		word |= (uint64_t)pick(run, 64) << 12;
		break;
	case 1:
		word |= (uint64_t)pick(run, 4) << 30 | FS_PS;
		break;
	case 2:
		word |= (uint64_t)pick(run, 8) << 21 | FS_PS;
		break;
	default:
		word |= run->pool[pick(run, POOL)];
		break;
	}
	if (one_in(run, 12))
		word &= ~(uint64_t)(1u << pick(run, 3));
	if (one_in(run, 4))
		word |= FS_A | (one_in(run, 2) ? FS_D : 0) | (one_in(run, 2) ? SS_A | SS_D : 0);
	if (one_in(run, 40))
		word |= FS_PS;
	if (one_in(run, 80))
		word |= one_in(run, 2) ? BIT(51) : one_in(run, 2) ? BIT(62) : BIT(13);
	if (one_in(run, 80))
		word |= one_in(run, 2) ? SS_SNP : FS_XD;
	if (one_in(run, 60))
		word = 0xfee00000 | 7;
	if (one_in(run, 60))
		word = run->kit.ram_size | 7;
	return word;
}

static uint64_t pick_iova(struct run *run)
{
	uint64_t iova = pick(run, 4096);

	for (int level = 0; level < 5; level++)
		iova |= (uint64_t)pick_index(run) << (12 + 9 * level);
	if (!one_in(run, 16))
		iova &= BIT(47) - 1;
	if (one_in(run, 8))
		iova |= ~(BIT(47) - 1);
	return iova;
}

static uint32_t pick_access(struct run *run)
{
	uint32_t access = 1u << pick(run, 4);

	if (access == VIOMMU_READ && one_in(run, 4))
		access |= VIOMMU_ZERO_LENGTH;
	return access | (one_in(run, 4) ? VIOMMU_PRIVILEGED : 0);
}

/* ---- the present truth ---- */

static void ask(struct run *run, const struct watch *watch, struct naive_answer *answer)
{
	naive_translate(&run->kit, &watch->request, answer);
}

/* Take down what an entry was before it changes. False: no room left. */
static bool take_down(struct run *run, uint64_t gpa, uint64_t value)
{
	struct naive_past *past = &run->past;

	/* What was not present was not cached (VT-d 6.1, CM = 0). */
	if (!(value & 7))
		return true;
	past->entry[past->count].gpa = gpa;
	past->entry[past->count].value = value;
	past->entry[past->count].time = ++run->time;
	return ++past->count < NAIVE_PAST;
}

static void forget(struct run *run)
{
	run->past.count = 0;
	run->clean = true;
}

/* ---- changes ---- */

static uint64_t pick_pe1(struct run *run, unsigned int context)
{
	uint64_t qw1 = run->did[context];

	if (!one_in(run, 12))
		qw1 |= run->kit.ecap & BIT(48) ? PE1_PWSNP : 0;
	return qw1 | (one_in(run, 24) ? BIT(20) : 0);
}

/*
 * A second stage that leads somewhere: pool pages 0, 1 and 2 are tables of 3, 4 and 5 levels that
 * map the first GiB to itself, until random changes spoil them. Without it nearly every nested walk
 * would end at once.
 */
static void make_identity(struct run *run)
{
	kit_put(&run->kit, run->pool[0], 7 | SS_PS);
	kit_put(&run->kit, run->pool[1], run->pool[0] | 7);
	kit_put(&run->kit, run->pool[2], run->pool[1] | 7);
}

static uint64_t pick_second_root(struct run *run, uint64_t *aw)
{
	*aw = one_in(run, 12) ? pick(run, 8) : 1 + pick(run, 3);
	return *aw >= 1 && *aw <= 3 && !one_in(run, 4) ? run->pool[*aw - 1]
						       : run->pool[pick(run, POOL)];
}

static void change_scalable(struct run *run, unsigned int context)
{
	uint32_t pasid = pasids[context] == VIOMMU_NO_PASID ? 0 : pasids[context];
	unsigned int pgtt = one_in(run, 16) ? pick(run, 8) : 1 + pick(run, 4);
	uint64_t aw, qw0 = PE_P | (uint64_t)pgtt << 6 | pick_second_root(run, &aw);
	uint64_t qw2 = run->pool[pick(run, POOL)];

	qw0 |= aw << PE_AW_SHIFT;
	qw0 |= one_in(run, 2) ? PE_SSADE : 0;
	qw0 &= one_in(run, 24) ? ~(uint64_t)PE_P : ~0ull;
	qw2 |= one_in(run, 3) ? PE2_FSPM5 : 0;
	qw2 |= one_in(run, 2) ? PE2_SRE : 0;
	qw2 |= one_in(run, 2) ? PE2_ERE | PE2_NXE : 0;
	qw2 |= one_in(run, 3) ? PE2_WPE : 0;
	qw2 |= one_in(run, 4) ? PE2_EAFE : 0;
	run->did[context] = (uint16_t)(2 + pick(run, 2));
	run->pgtt[context] = pgtt;
	kit_set_pasid_entry(&run->kit, KIT_RID, pasid, qw0, pick_pe1(run, context), qw2);
}

static void change_legacy(struct run *run)
{
	uint64_t at = kit_context_legacy(&run->kit, KIT_RID);

	run->did[0] = (uint16_t)(2 + pick(run, 2));
	run->pgtt[0] = 2;
	kit_put(&run->kit, at + 8,
		(uint64_t)run->did[0] << 8 | (one_in(run, 8) ? pick(run, 8) : 1 + pick(run, 3)));
	kit_put(&run->kit, at,
		run->pool[pick(run, POOL)] | (one_in(run, 8) ? pick(run, 16) : CE_P));
}

static bool full_flush(struct run *run)
{
	if (!kit_flush_all(&run->kit)) {
		snprintf(run->message, run->length, "a flush did not complete");
		return false;
	}
	forget(run);
	return true;
}

static bool change_context(struct run *run)
{
	if (run->legacy)
		change_legacy(run);
	else
		change_scalable(run, pick(run, CONTEXTS));
	return full_flush(run);
}

static bool change_table(struct run *run)
{
	uint64_t at = run->pool[pick(run, POOL)] + pick_index(run) * 8;
	bool room = take_down(run, at, kit_get(&run->kit, at));

	kit_put(&run->kit, at, pick_entry(run));
	run->clean = false;
	return room || full_flush(run);
}

/* ---- invalidations ---- */

static bool covers_page(uint64_t iova, uint64_t address, unsigned int am)
{
	return iova >> (12 + am) == address >> (12 + am);
}

/* Type 2 reaches second-stage and nested translations, type 6 first-stage and nested ones. */
static bool covered(const struct run *run, const struct watch *watch, uint64_t qw0, uint64_t qw1)
{
	unsigned int type = qw0 & 15, g = qw0 >> 4 & 3, pgtt = run->pgtt[watch->context];
	uint16_t did = (uint16_t)(qw0 >> 16);
	uint32_t pasid = watch->request.pasid == VIOMMU_NO_PASID ? 0 : watch->request.pasid;

	if (type == QI_IOTLB && g == 1)
		return true;
	if (did != run->did[watch->context])
		return false;
	if (type == QI_IOTLB)
		return pgtt == 3 ||
		       (pgtt == 2 && (g == 2 || covers_page(watch->request.iova, qw1, qw1 & 63)));
	return (pgtt == 1 || pgtt == 3) && pasid == (qw0 >> 32 & 0xfffff) &&
	       (g == 2 || covers_page(watch->request.iova, qw1, qw1 & 63));
}

static bool invalidate(struct run *run)
{
	unsigned int context = run->legacy ? 0 : pick(run, CONTEXTS);
	uint32_t pasid = pasids[context] == VIOMMU_NO_PASID ? 0 : pasids[context];
	unsigned int am = one_in(run, 2) ? 0 : pick(run, 46);
	uint64_t address = run->watch[pick(run, WATCHED)].request.iova;
	uint64_t qw0, qw1 = (address >> (12 + am) << (12 + am)) | am;

	switch (pick(run, run->legacy ? 3 : 5)) {
	case 0:
		qw0 = qi_iotlb(one_in(run, 4) ? 1 : 2, run->did[context]);
		qw1 = 0;
		break;
	case 1:
	case 2:
		qw0 = qi_iotlb(3, run->did[context]);
		break;
	case 3:
		qw0 = qi_piotlb(2, run->did[context], pasid);
		qw1 = 0;
		break;
	default:
		qw0 = qi_piotlb(3, run->did[context], pasid);
		break;
	}
	if (!kit_command(&run->kit, qw0, qw1)) {
		snprintf(run->message, run->length,
			 "invalidation %llx %llx did not complete, FSTS %llx",
			 (unsigned long long)qw0, (unsigned long long)qw1,
			 (unsigned long long)kit_read(&run->kit, REG_FSTS, 4));
		return false;
	}
	for (int i = 0; i < WATCHED; i++)
		if (covered(run, &run->watch[i], qw0, qw1))
			run->watch[i].since = run->time;
	return true;
}

/* ---- requests ---- */

static bool differ(struct run *run, const struct watch *watch, const struct naive_answer *answer,
		   int result, const struct viommu_translation *t)
{
	uint64_t pe = run->legacy ? kit_context_legacy(&run->kit, KIT_RID)
				  : kit_pasid_entry(&run->kit, KIT_RID,
						    watch->request.pasid == VIOMMU_NO_PASID
							    ? 0
							    : watch->request.pasid);

	snprintf(
		run->message, run->length,
		"pasid %x iova %llx access %x pe %llx %llx %llx: naive reason %x gpa %llx, library "
		"result %d reason %x gpa %llx, %u old entries since %u",
		watch->request.pasid, (unsigned long long)watch->request.iova,
		watch->request.access, (unsigned long long)kit_get(&run->kit, pe),
		(unsigned long long)kit_get(&run->kit, pe + 8),
		(unsigned long long)kit_get(&run->kit, pe + 16), answer->reason,
		(unsigned long long)answer->gpa, result, t->fault.reason,
		(unsigned long long)t->gpa, run->past.count, watch->since);
	return false;
}

/* Could entries that were there since the last invalidation have led to this? */
static bool was_possible(struct run *run, const struct watch *watch, unsigned int reason,
			 uint64_t gpa)
{
	struct naive_past *past = &run->past;
	struct naive_answer answer;

	past->since = watch->since;
	past->depth = 0;
	for (int i = 0; i < COMBINATIONS; i++) {
		naive_translate_past(&run->kit, &watch->request, past, &answer);
		if (answer.reason == reason && (reason || answer.gpa == gpa))
			return true;
		if (!naive_next(past))
			return false;
	}
	/* Too many to try: nothing is known. */
	return true;
}

static bool marks_are_there(struct run *run, const struct naive_answer *answer)
{
	for (unsigned int i = 0; i < answer->marks; i++) {
		uint64_t word = kit_get(&run->kit, answer->mark[i].gpa);

		if ((word & answer->mark[i].bits) != answer->mark[i].bits) {
			snprintf(run->message, run->length, "entry at %llx is %llx and lacks %llx",
				 (unsigned long long)answer->mark[i].gpa, (unsigned long long)word,
				 (unsigned long long)answer->mark[i].bits);
			return false;
		}
	}
	return true;
}

/* VT-d 7.1.3: what a translation request is granted. */
static bool granted_right(const struct naive_request *r, const struct naive_answer *answer,
			  const struct viommu_translation *t)
{
	uint32_t type = r->access & VIOMMU_ACCESS_TYPE;
	uint32_t least = type == VIOMMU_ATOMIC ? VIOMMU_READ | VIOMMU_WRITE : type;

	/* Without a PASID there is no execution. */
	if (type == VIOMMU_EXECUTE && r->pasid == VIOMMU_NO_PASID)
		least = VIOMMU_READ;
	if (answer->reason)
		return !t->granted;
	return (t->granted & least) == least && t->gpa == answer->gpa;
}

/* What is left of a request that is permitted in part. */
static void ask_in_part(struct run *run, struct naive_request *r, struct naive_answer *answer)
{
	bool unwritable = answer->reason == 0x05 || answer->reason == 0x85;

	if (!unwritable && !(r->access & VIOMMU_ATOMIC))
		return;
	r->access = (r->access & VIOMMU_PRIVILEGED) | (unwritable ? VIOMMU_READ : VIOMMU_WRITE);
	naive_translate(&run->kit, r, answer);
}

static bool ends_right(const struct naive_request *r, const struct naive_answer *answer,
		       enum naive_end end, int result, const struct viommu_translation *t)
{
	if (!answer->reason || end == NAIVE_EMPTY || end == NAIVE_PARTIAL)
		return !result && (r->type == NAIVE_TRANSLATED || granted_right(r, answer, t));
	return result == VIOMMU_FAULT && t->fault.reason == answer->reason &&
	       t->completion == (end == NAIVE_UR ? VIOMMU_COMPLETION_UNSUPPORTED
						 : VIOMMU_COMPLETION_ABORT);
}

static bool page_request(struct run *run, const struct naive_request *r, bool blocked)
{
	uint32_t access = r->access & VIOMMU_ATOMIC ? VIOMMU_WRITE : r->access;

	run->kit.responses = 0;
	if (viommu_page_request(run->kit.endpoint, r->pasid, r->iova, access, 1, true))
		return false;
	/* A full queue answers "success". */
	return blocked == (run->kit.responses == 1 &&
			   run->kit.response[0].code == VIOMMU_RESPONSE_INVALID);
}

/* A request of another kind; only while nothing old is in any cache. */
static bool other_request(struct run *run, const struct watch *watch)
{
	struct naive_request r = watch->request;
	struct viommu_translation t = { 0 };
	struct naive_answer answer;
	enum naive_end end;
	int result = 0;

	r.type = 1 + pick(run, 3);
	r.access &= ~VIOMMU_ZERO_LENGTH;
	/* Messages are not translated; and translated requests have no PASID. */
	if ((r.pasid == VIOMMU_NO_PASID && r.iova >> 20 == 0xfee) ||
	    (r.type == NAIVE_TRANSLATED && r.pasid != VIOMMU_NO_PASID))
		return true;
	naive_translate(&run->kit, &r, &answer);
	if (naive_end(r.type, answer.reason) == NAIVE_PARTIAL)
		ask_in_part(run, &r, &answer);
	end = naive_end(r.type, answer.reason);
	if (answer.reason == 0x87 && run->pgtt[watch->context] == 4)
		end = r.type == NAIVE_TRANSLATION ? NAIVE_EMPTY : end;
	differential_requests++;
	if (r.type == NAIVE_PAGE)
		return page_request(run, &r, answer.reason) || differ(run, watch, &answer, -1, &t);
	if (r.type == NAIVE_TRANSLATED)
		result = viommu_translated_request(run->kit.endpoint, r.iova, r.access, &t);
	else
		result = viommu_ats_translate(run->kit.endpoint, r.pasid, r.iova, r.access, &t);
	return ends_right(&r, &answer, end, result, &t) ||
	       differ(run, watch, &answer, result, &t);
}

static bool request(struct run *run)
{
	const struct watch *watch = &run->watch[pick(run, WATCHED)];
	const struct naive_request *r = &watch->request;
	struct viommu_translation t = { 0 };
	struct naive_answer answer;
	int result;

	if (run->clean && one_in(run, 4))
		return other_request(run, watch);
	ask(run, watch, &answer);
	result = viommu_translate_quiet(run->kit.endpoint, r->pasid, r->iova, r->access, &t);
	differential_requests++;
	if (result && result != VIOMMU_FAULT)
		return differ(run, watch, &answer, result, &t);
	if (!result && t.fault.reason)
		return differ(run, watch, &answer, result, &t);
	differential_translated += !result;
	if (t.fault.reason == answer.reason && (result || t.gpa == answer.gpa))
		return result || !run->clean || marks_are_there(run, &answer);
	differential_stale++;
	return was_possible(run, watch, t.fault.reason, t.gpa) ||
	       differ(run, watch, &answer, result, &t);
}

/* ---- set-up ---- */

static void pick_options(struct run *run, struct viommu_unit_options *options)
{
	viommu_unit_options_init(options);
	options->aw_bits = one_in(run, 2) ? 57 : 48;
	options->snoop_control = one_in(run, 2);
	options->coherent = !one_in(run, 8);
	options->iotlb_entries = one_in(run, 2) ? 64 : 1024;
	options->zero_length_read = !one_in(run, 4);
	if (one_in(run, 8))
		options->five_level = false;
	if (one_in(run, 8))
		options->pass_through = false;
}

static void set_up(struct run *run)
{
	struct viommu_unit_options options;

	pick_options(run, &options);
	run->legacy = one_in(run, 4);
	kit_create(&run->kit, &options);
	kit_start(&run->kit, run->legacy ? TTM_LEGACY : TTM_SCALABLE);
	run->rtaddr = run->kit.root | (run->legacy ? TTM_LEGACY : TTM_SCALABLE);
	for (int i = 0; i < POOL; i++)
		run->pool[i] = kit_page(&run->kit);
	for (int i = 0; i < POOL; i++)
		for (int j = 0; j < 5; j++)
			kit_put(&run->kit, run->pool[i] + few[j] * 8, pick_entry(run));
	make_identity(run);
	for (int i = 0; i < CONTEXTS; i++) {
		run->did[i] = 2;
		run->pgtt[i] = 0;
		if (!run->legacy)
			change_scalable(run, i);
	}
	if (run->legacy)
		change_legacy(run);
	for (int i = 0; i < WATCHED; i++) {
		struct watch *watch = &run->watch[i];

		watch->context = run->legacy && !one_in(run, 16) ? 0 : pick(run, CONTEXTS);
		watch->request =
			(struct naive_request){ run->rtaddr, KIT_RID, pasids[watch->context],
						pick_iova(run), pick_access(run) };
		/* Neighbours: the same page asked for in another way. */
		if (i && one_in(run, 2)) {
			watch->context = watch[-1].context;
			watch->request.pasid = watch[-1].request.pasid;
			watch->request.iova =
				watch[-1].request.iova ^ (one_in(run, 2) ? 0x1000 : 0);
		}
	}
}

bool differential_run(struct choices *choices, unsigned int steps, char *message, size_t length)
{
	static struct run run;
	bool good;

	memset(&run, 0, sizeof(run));
	run.choices = choices;
	run.message = message;
	run.length = length;
	set_up(&run);
	good = full_flush(&run);
	for (unsigned int i = 0; i < steps && good && choices_left(choices); i++) {
		switch (pick(&run, 8)) {
		case 0:
			good = change_table(&run);
			break;
		case 1:
			good = one_in(&run, 4) ? change_context(&run) : invalidate(&run);
			break;
		default:
			good = request(&run);
			break;
		}
	}
	kit_destroy(&run.kit);
	return good;
}
