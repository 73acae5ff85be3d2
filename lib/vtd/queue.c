/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The invalidation queue (VT-d 6.5.2): fetching, checking and executing descriptors.
 *
 * A run executes what lies between head and tail on the thread that moved the tail. It is bounded
 * by the queue's capacity. Descriptors are fetched a few at a time, each is checked against the
 * rule of its type, and what it invalidates is invalid at once; that no access still uses it is the
 * business of the next wait descriptor, which drains before it writes its status.
 *
 * An error leaves the head on the bad descriptor and stops the queue until software clears it.
 *
 * A device may answer the invalidation of its TLB later. Then the next wait descriptor is fetched
 * but not complete, and the queue stands until all have answered; whoever brings the last answer
 * goes on with it.
 */
#include <errno.h>
#include <string.h>

#include "vtd/iotlb.h"
#include "vtd/listener.h"
#include "vtd/probes.h"
#include "vtd/unit_internal.h"

enum { FETCH = 16 }; /* descriptors */

/* A descriptor's execution ends well, or with an error that stops the queue. */
struct outcome {
	enum vtd_iqe iqe;
	bool timeout; /* ITE */
	bool stands;  /* fetched, and nothing after it for now */
	bool again;   /* not even fetched: the device has no tag left */
	uint16_t sid; /* of the timeout */
};

struct rule {
	uint64_t reserved[2];
	uint64_t needs;	       /* ECAP bits, all of them */
	uint8_t granularities; /* values of G that exist, one bit each; 0: the type has no G */
	bool wide;	       /* not in legacy mode (VT-d 6.5.2.11, Table 26) */
	struct outcome (*execute)(struct viommu_unit *unit, const uint64_t words[4]);
};

#define G(n) (1 << (n))

static const struct outcome done;

/* VT-d 6.5.2.1 */
static struct outcome context_cache(struct viommu_unit *unit, const uint64_t words[4])
{
	vtd_invalidate_contexts(
		unit, vtd_field(words[0], VTD_DESC_G), vtd_field(words[0], VTD_DESC_DID),
		vtd_field(words[0], VTD_DESC_SID), vtd_field(words[0], VTD_DESC_FM));
	return done;
}

/* VT-d 6.5.2.3 */
static struct outcome iotlb(struct viommu_unit *unit, const uint64_t words[4])
{
	vtd_invalidate_iotlb(unit, vtd_field(words[0], VTD_DESC_G),
			     vtd_field(words[0], VTD_DESC_DID), words[1] & VTD_DESC_ADDR,
			     vtd_field(words[1], VTD_DESC_AM), words[1] & VTD_DESC_IH);
	return done;
}

/* VT-d 6.5.2.4 */
static struct outcome piotlb(struct viommu_unit *unit, const uint64_t words[4])
{
	vtd_invalidate_piotlb(unit, vtd_field(words[0], VTD_DESC_G),
			      vtd_field(words[0], VTD_DESC_DID),
			      vtd_field(words[0], VTD_DESC_PASID), words[1] & VTD_DESC_ADDR,
			      vtd_field(words[1], VTD_DESC_AM), words[1] & VTD_DESC_IH);
	return done;
}

/* VT-d 6.5.2.2 */
static struct outcome pasid_cache(struct viommu_unit *unit, const uint64_t words[4])
{
	vtd_invalidate_pasids(unit, vtd_field(words[0], VTD_DESC_G),
			      vtd_field(words[0], VTD_DESC_DID),
			      vtd_field(words[0], VTD_DESC_PASID));
	return done;
}

/* VT-d 6.5.2.7 */
static struct outcome interrupt_cache(struct viommu_unit *unit, const uint64_t words[4])
{
	/* Entries are not cached (interrupt.c); what is in flight is drained. */
	unit->undrained = true;
	return done;
}

/*
 * VT-d 6.5.2.5: S = 0 is one page; with S the lowest clear bit of the address, from bit 12 on,
 * tells the size.
 */
static void device_range(uint64_t word, bool several, uint64_t *first, uint64_t *last)
{
	uint64_t ones = word >> 12, size;

	*first = word & VTD_DESC_ADDR;
	*last = *first | 0xfff;
	if (!several)
		return;
	size = ~ones & VTD_MASK(51, 0) ? (ones ^ (ones + 1)) + 1 : 0; /* pages; 0: all there are */
	if (!size || size > VTD_MASK(51, 0)) {
		*first = 0;
		*last = ~0ull;
		return;
	}
	*first &= -(size << 12);
	*last = *first + (size << 12) - 1;
}

enum { TAGS = 32 }; /* PCIe ATS: ITags a device has */

/* The answer may come before the callback returns. */
static struct outcome ask(struct viommu_endpoint *endpoint, uint32_t pasid, bool all_pasids,
			  uint64_t first, uint64_t last)
{
	struct viommu_unit *unit = endpoint->unit;
	unsigned int tag = 0;

	while (tag < TAGS && endpoint->tags_out & 1u << tag)
		tag++;
	if (tag == TAGS)
		return (struct outcome){ .again = true };
	endpoint->tags_out |= 1u << tag;
	unit->invalidations_out++;
	if (endpoint->ops.invalidate_request(endpoint->opaque, tag, pasid, all_pasids, first,
					     last) == 0 &&
	    endpoint->tags_out & 1u << tag) {
		endpoint->tags_out &= ~(1u << tag);
		unit->invalidations_out--;
	}
	return done;
}

/*
 * A device that was there and is gone has no device TLB any more. For one that never was there the
 * invalidation times out, unless it may be a passed-through one, which the host sees to.
 */
static struct outcome device_tlb_at(struct viommu_unit *unit, uint16_t sid, uint32_t pasid,
				    bool all_pasids, uint64_t word, bool several)
{
	struct viommu_endpoint *endpoint = vtd_endpoint_find(unit, sid);
	uint64_t first, last;

	device_range(word, several, &first, &last);
	VTD_PROBE4(device_tlb, sid, pasid, first, last);
	vtd_count(&unit->counters.device_tlb_invalidations, 1);
	unit->undrained = true;
	if (endpoint && endpoint->ops.invalidate_request)
		return ask(endpoint, pasid, all_pasids, first, last);
	if (!endpoint) {
		if (vtd_load(&unit->endpoints[sid]) || unit->listeners)
			return done;
		return (struct outcome){ .timeout = true, .sid = sid };
	}
	if (endpoint->ops.invalidate)
		endpoint->ops.invalidate(endpoint->opaque, pasid, all_pasids, first, last);
	return done;
}

static struct outcome device_tlb(struct viommu_unit *unit, const uint64_t words[4])
{
	return device_tlb_at(unit, vtd_field(words[0], VTD_DESC_SID), VIOMMU_NO_PASID, false,
			     words[1], words[1] & VTD_DTLB_S);
}

/* VT-d 6.5.2.6 */
static struct outcome pasid_device_tlb(struct viommu_unit *unit, const uint64_t words[4])
{
	return device_tlb_at(unit, vtd_field(words[0], VTD_DESC_RID),
			     vtd_field(words[0], VTD_DESC_PASID), words[1] & VTD_PDTLB_G, words[1],
			     words[1] & VTD_PDTLB_S);
}

/* VT-d 7.6.1, Table 32: codes that are not used mean what PCIe makes of them, a failure. */
static struct outcome page_response(struct viommu_unit *unit, const uint64_t words[4])
{
	uint32_t pasid =
		words[0] & VTD_PGR_PP ? vtd_field(words[0], VTD_DESC_PASID) : VIOMMU_NO_PASID;
	unsigned int code = vtd_field(words[0], VTD_PGR_CODE);

	if (code != VIOMMU_RESPONSE_SUCCESS && code != VIOMMU_RESPONSE_INVALID)
		code = VIOMMU_RESPONSE_FAILURE;
	vtd_page_response(unit, vtd_field(words[0], VTD_DESC_RID), pasid,
			  vtd_field(words[1], VTD_PGR_PRGI), code);
	return done;
}

static void write_status(struct viommu_unit *unit, uint64_t gpa, uint32_t data)
{
	bool ram;

	/* Memory only: a register of some device, ours among them, must not be written from here.
	 */
	grace_enter();
	ram = memory_ram(unit->memory, gpa, 4, true);
	if (ram)
		viommu_memory_write(unit->memory, gpa, &data, sizeof(data));
	grace_exit();
	if (!ram)
		vtd_unit_log(unit, "wait descriptor: no memory at its status address");
}

static void completion_event(struct viommu_unit *unit)
{
	struct vtd_message message = { 0 };

	pthread_mutex_lock(&unit->registers.lock);
	if (!(vtd_get32(unit, VTD_REG_ICS) & VTD_ICS_IWC)) {
		vtd_set32(unit, VTD_REG_ICS, VTD_ICS_IWC);
		message = vtd_event_raise(unit, VTD_EVENT_INVALIDATION, NULL);
	}
	pthread_mutex_unlock(&unit->registers.lock);
	vtd_event_send(unit, VTD_EVENT_INVALIDATION, message);
}

/*
 * VT-d 6.5.2.8. Everything before has taken effect; now it must also be over. Page requests lie in
 * memory as soon as they were made, so PD has nothing more to wait for (7.10), and FN orders what
 * is ordered anyway.
 */
static void complete_wait(struct viommu_unit *unit, const uint64_t words[4])
{
	vtd_listeners_flush(unit);
	vtd_drain(unit);
	/* VT-d 6.5.2.9: address bits that no memory has are ignored. */
	if (words[0] & VTD_WAIT_SW)
		write_status(unit, words[1] & VTD_WAIT_ADDRESS & ~vtd_beyond_haw(unit),
			     vtd_field(words[0], VTD_WAIT_DATA));
	if (words[0] & VTD_WAIT_IF)
		completion_event(unit);
	vtd_count(&unit->counters.waits, 1);
}

/* VT-d 6.5.2.12: not before everything ahead is complete. */
static struct outcome wait(struct viommu_unit *unit, const uint64_t words[4])
{
	if (vtd_unlikely(unit->invalidations_out)) {
		unit->wait_pending = true;
		memcpy(unit->wait, words, sizeof(unit->wait));
		return (struct outcome){ .stands = true };
	}
	complete_wait(unit, words);
	return done;
}

/* VT-d 6.5.2: what each type may contain. */
static const struct rule rules[] = {
	[VTD_DESC_CONTEXT] = { .reserved = { VTD_MASK(8, 6) | VTD_MASK(15, 12) | VTD_MASK(63, 50),
					     ~0ull },
			       .granularities = G(1) | G(2) | G(3),
			       .execute = context_cache },
	[VTD_DESC_IOTLB] = { .reserved = { VTD_BIT(8) | VTD_MASK(15, 12) | VTD_MASK(63, 32),
					   VTD_MASK(11, 7) },
			     .granularities = G(1) | G(2) | G(3),
			     .execute = iotlb },
	/* VT-d 6.5.2.5: PFSID is reserved, here and in the next but one, where ECAP.DIT is clear. */
	[VTD_DESC_DEVICE_TLB] = { .reserved = { VTD_MASK(8, 4) | VTD_MASK(15, 12) |
							VTD_MASK(31, 21) | VTD_MASK(63, 48),
						VTD_MASK(11, 1) },
				  .needs = VTD_ECAP_DT,
				  .execute = device_tlb },
	[VTD_DESC_IEC] = { .reserved = { VTD_MASK(8, 5) | VTD_MASK(26, 12) | VTD_MASK(63, 48),
					 ~0ull },
			   .needs = VTD_ECAP_IR,
			   .execute = interrupt_cache },
	[VTD_DESC_WAIT] = { .reserved = { VTD_BIT(8) | VTD_MASK(31, 12), VTD_MASK(1, 0) },
			    .execute = wait },
	[VTD_DESC_PIOTLB] = { .reserved = { VTD_MASK(8, 6) | VTD_MASK(15, 12) | VTD_MASK(63, 52),
					    VTD_MASK(11, 7) },
			      .needs = VTD_ECAP_SMTS,
			      .granularities = G(2) | G(3),
			      .wide = true,
			      .execute = piotlb },
	[VTD_DESC_PASID_CACHE] = { .reserved = { VTD_MASK(8, 6) | VTD_MASK(15, 12) |
							 VTD_MASK(63, 52),
						 ~0ull },
				   .needs = VTD_ECAP_SMTS,
				   .granularities = G(0) | G(1) | G(3),
				   .wide = true,
				   .execute = pasid_cache },
	[VTD_DESC_PASID_DEVICE_TLB] = { .reserved = { VTD_MASK(15, 12) | VTD_MASK(63, 52),
						      VTD_MASK(10, 1) },
					.needs = VTD_ECAP_SMTS | VTD_ECAP_DT,
					.wide = true,
					.execute = pasid_device_tlb },
	[VTD_DESC_PAGE_RESPONSE] = { .reserved = { VTD_MASK(8, 5) | VTD_MASK(63, 52),
						   VTD_MASK(1, 0) | VTD_MASK(63, 12) },
				     .needs = VTD_ECAP_PRS,
				     .wide = true,
				     .execute = page_response },
};

enum { TYPES = sizeof(rules) / sizeof(rules[0]) };

static enum vtd_ttm mode(const struct viommu_unit *unit)
{
	return vtd_field(vtd_load(&unit->root), VTD_RTADDR_TTM);
}

/* VT-d 6.5.2.11, Table 26, and 11.4.9.9: do mode and width of the descriptors go together? */
static enum vtd_iqe check_mode(const struct viommu_unit *unit, bool wide)
{
	uint64_t scalable = unit->ecap & VTD_ECAP_SMTS, abort = unit->ecap & VTD_ECAP_ADMS;

	switch (mode(unit)) {
	case VTD_TTM_LEGACY:
		return wide && !scalable && !abort ? VTD_IQE_WIDTH : VTD_IQE_NONE;
	case VTD_TTM_SCALABLE:
		return !scalable ? VTD_IQE_TTM : wide ? VTD_IQE_NONE : VTD_IQE_WIDTH;
	case VTD_TTM_ABORT:
		return !abort ? VTD_IQE_TTM : wide ? VTD_IQE_NONE : VTD_IQE_WIDTH;
	default:
		return VTD_IQE_TTM;
	}
}

static enum vtd_iqe check(const struct viommu_unit *unit, const uint64_t words[4], bool wide)
{
	unsigned int type =
		vtd_field(words[0], VTD_DESC_TYPE) | vtd_field(words[0], VTD_DESC_TYPE_HIGH) << 4;
	const struct rule *rule = &rules[type < TYPES ? type : 0];

	if (!rule->execute || (unit->ecap & rule->needs) != rule->needs)
		return VTD_IQE_TYPE;
	if (rule->wide && mode(unit) == VTD_TTM_LEGACY)
		return VTD_IQE_TYPE;
	if (words[0] & rule->reserved[0] || words[1] & rule->reserved[1] ||
	    (wide && (words[2] || words[3])))
		return VTD_IQE_RESERVED;
	if (rule->granularities && !(rule->granularities & G(vtd_field(words[0], VTD_DESC_G))))
		return VTD_IQE_RESERVED;
	return VTD_IQE_NONE;
}

static struct outcome execute(struct viommu_unit *unit, const uint64_t words[4], bool wide)
{
	struct outcome outcome = { .iqe = check(unit, words, wide) };

	VTD_PROBE3(descriptor, words[0], words[1], outcome.iqe);
	if (outcome.iqe)
		return outcome;
	vtd_count(&unit->counters.descriptors, 1);
	return rules[vtd_field(words[0], VTD_DESC_TYPE)].execute(unit, words);
}

/* Where the queue is and what is next in it. */
struct queue {
	uint64_t base;
	uint32_t size; /* bytes */
	uint32_t head;
	uint32_t tail;
	uint32_t step; /* bytes of a descriptor */
	enum vtd_iqe iqe;
};

/* registers.lock held. False: nothing to do. */
static bool load(const struct viommu_unit *unit, struct queue *queue)
{
	uint64_t iqa = vtd_get64(unit, VTD_REG_IQA);

	if (!(vtd_get32(unit, VTD_REG_GSTS) & VTD_GCMD_QIE) ||
	    vtd_get32(unit, VTD_REG_FSTS) & (VTD_FSTS_IQE | VTD_FSTS_ITE) || unit->wait_pending)
		return false;
	*queue = (struct queue){
		.base = iqa & VTD_IQA_ADDRESS,
		.size = 4096u << vtd_field(iqa, VTD_IQA_QS),
		.step = iqa & VTD_IQA_DW ? 32 : 16,
		.head = vtd_get32(unit, VTD_REG_IQH),
		.tail = vtd_get32(unit, VTD_REG_IQT) & VTD_IQ_OFFSET,
	};
	if (queue->head == queue->tail)
		return false;
	queue->iqe = check_mode(unit, queue->step == 32);
	if (queue->iqe)
		return true;
	if (queue->tail % queue->step)
		queue->iqe = VTD_IQE_TAIL;
	else if (queue->tail >= queue->size || queue->head >= queue->size ||
		 queue->head % queue->step)
		queue->iqe = VTD_IQE_TAIL_RANGE;
	return true;
}

/* Up to FETCH descriptors from the head on. Returns how many; 0: not readable. */
static unsigned int fetch(struct viommu_unit *unit, const struct queue *queue,
			  uint64_t words[FETCH][4])
{
	uint32_t end = queue->tail > queue->head ? queue->tail : queue->size;
	unsigned int count = (end - queue->head) / queue->step, per = queue->step / 8, i, j;
	const uint64_t *at;

	if (count > FETCH)
		count = FETCH;
	grace_enter();
	at = memory_ram(unit->memory, queue->base + queue->head, count * queue->step, false);
	if (!at) {
		/* The queue may lie across two segments. */
		count = 1;
		at = memory_ram(unit->memory, queue->base + queue->head, queue->step, false);
	}
	for (i = 0; at && i < count; i++)
		for (j = 0; j < per; j++)
			words[i][j] = memory_load64(at++);
	grace_exit();
	return i;
}

/*
 * VT-d 6.5.2.11: say what and why, and tell. VT-d 11.4.9.9: of errors of one kind the first one is
 * described, until software has cleared its bit.
 */
static void report(struct viommu_unit *unit, uint32_t bit, uint64_t field, uint64_t value)
{
	struct vtd_message message;
	uint64_t record;

	pthread_mutex_lock(&unit->registers.lock);
	record = vtd_get64(unit, VTD_REG_IQERCD) & ~field;
	if (!(vtd_get32(unit, VTD_REG_FSTS) & bit))
		vtd_set64(unit, VTD_REG_IQERCD, record | vtd_place(value, field));
	message = vtd_fault_status(unit, bit);
	pthread_mutex_unlock(&unit->registers.lock);
	vtd_event_send(unit, VTD_EVENT_FAULT, message);
}

/* The queue stops until software clears the bit. */
static void fail(struct viommu_unit *unit, struct outcome outcome)
{
	if (outcome.timeout)
		report(unit, VTD_FSTS_ITE, VTD_IQERCD_ITESID, outcome.sid);
	else
		report(unit, VTD_FSTS_IQE, VTD_IQERCD_IQEI, outcome.iqe);
}

/* False: the queue stopped, or somebody above must look at the registers again. */
static bool step(struct viommu_unit *unit, struct queue *queue, const uint64_t words[4])
{
	uint32_t life = unit->queue_life;
	struct outcome outcome = execute(unit, words, queue->step == 32);

	/* A callback turned the queue off, or reset the unit. */
	if (vtd_unlikely(unit->queue_life != life))
		return false;
	if (outcome.iqe) {
		fail(unit, outcome);
		return false;
	}
	if (outcome.again)
		return false;
	queue->head += queue->step;
	if (queue->head >= queue->size)
		queue->head = 0;
	vtd_set32(unit, VTD_REG_IQH, queue->head);
	if (outcome.timeout) {
		fail(unit, outcome);
		return false;
	}
	return !unit->queue_again && !outcome.stands;
}

/* Page invalidations look into sets all over the IOTLB: ask for those of a batch together. */
static void prefetch(const struct viommu_unit *unit, uint64_t words[FETCH][4], unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		bool by_pasid = vtd_field(words[i][0], VTD_DESC_TYPE) == VTD_DESC_PIOTLB;
		uint32_t pasid = by_pasid ? vtd_field(words[i][0], VTD_DESC_PASID) : 0;
		uint64_t tag = vtd_tag(vtd_field(words[i][0], VTD_DESC_DID), pasid);

		if (by_pasid || vtd_field(words[i][0], VTD_DESC_TYPE) == VTD_DESC_IOTLB)
			__builtin_prefetch(vtd_iotlb_set(unit, tag, words[i][1] >> 12));
	}
}

static void run(struct viommu_unit *unit, struct queue *queue)
{
	uint64_t words[FETCH][4];
	uint32_t left = queue->size / queue->step;
	unsigned int count, i;

	if (queue->iqe) {
		fail(unit, (struct outcome){ .iqe = queue->iqe });
		return;
	}
	memset(words, 0, sizeof(words));
	vtd_iotlb_begin_drops(unit);
	while (queue->head != queue->tail && left) {
		count = fetch(unit, queue, words);
		if (!count) {
			fail(unit, (struct outcome){ .iqe = VTD_IQE_FETCH });
			return;
		}
		prefetch(unit, words, count);
		for (i = 0; i < count && left; i++, left--)
			if (!step(unit, queue, words[i]))
				return;
	}
}

void vtd_queue_run(struct viommu_unit *unit)
{
	struct queue queue;
	bool work;

	/* From a callback further down this stack: the run in progress sees to it. */
	if (unit->queue_running) {
		unit->queue_again = true;
		return;
	}
	unit->queue_running = true;
	do {
		unit->queue_again = false;
		pthread_mutex_lock(&unit->registers.lock);
		work = load(unit, &queue);
		pthread_mutex_unlock(&unit->registers.lock);
		if (work)
			run(unit, &queue);
	} while (unit->queue_again);
	unit->queue_running = false;
	vtd_listeners_flush(unit);
}

/* ---- answers of devices ---- */

/* VT-d 6.5.2.11: waits are aborted, not completed; the queue stops until software clears ITE. */
static void timed_out(struct viommu_endpoint *endpoint)
{
	struct viommu_unit *unit = endpoint->unit;

	unit->wait_pending = false;
	fail(unit, (struct outcome){ .timeout = true, .sid = endpoint->rid });
}

static void tag_free(struct viommu_endpoint *endpoint, unsigned int tag, bool answered)
{
	struct viommu_unit *unit = endpoint->unit;

	endpoint->tags_out &= ~(1u << tag);
	unit->invalidations_out--;
	if (!answered) {
		timed_out(endpoint);
	} else if (!unit->invalidations_out && unit->wait_pending) {
		unit->wait_pending = false;
		complete_wait(unit, unit->wait);
	}
	/* The queue may have stood for want of a tag, or of this answer. */
	vtd_queue_run(unit);
}

int viommu_endpoint_invalidated(struct viommu_endpoint *endpoint, unsigned int tag, bool answered)
{
	struct viommu_unit *unit = endpoint->unit;

	/* It may complete a wait, and that drains. */
	if (grace_inside())
		return -EDEADLK;
	vtd_unit_enter(unit);
	if (tag < TAGS && endpoint->tags_out & 1u << tag)
		tag_free(endpoint, tag, answered);
	else if (answered)
		/* VT-d 6.5.2.11: the queue goes on as normal. */
		report(unit, VTD_FSTS_ICE, VTD_IQERCD_ICESID, endpoint->rid);
	vtd_unit_leave(unit);
	return 0;
}

void vtd_queue_endpoint_gone(struct viommu_endpoint *endpoint)
{
	if (!endpoint->tags_out)
		return;
	endpoint->unit->invalidations_out -= (uint32_t)__builtin_popcount(endpoint->tags_out);
	endpoint->tags_out = 0;
	timed_out(endpoint);
	/* If this comes from a callback, the run in progress sees that it has to stop. */
	vtd_queue_run(endpoint->unit);
}
