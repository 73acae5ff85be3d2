/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Translation of one request: the hit, and the way around it.
 *
 * A hit is two look-ups, of the context by PASID and of the page in the IOTLB, both read under a
 * sequence number and both judged by generations; nothing is locked and nothing shared is written.
 * Before them comes the thread's own front cache, which saves both. Whatever is not a plain hit -
 * stale, absent, denied, or a write where no D bit was set yet - walks the tables, and that
 * decides.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "memory/alloc.h"
#include "vtd/format.h"
#include "vtd/front.h"
#include "vtd/probes.h"
#include "vtd/translate.h"

_Thread_local uint32_t vtd_thread_shard __attribute__((tls_model("initial-exec")));

_Thread_local struct vtd_front *vtd_front __attribute__((tls_model("initial-exec")));

static uint32_t shards_given;
static pthread_once_t front_once = PTHREAD_ONCE_INIT;
static pthread_key_t front_key;
static bool front_key_valid;

static void front_free(void *front)
{
	vtd_front = NULL;
	viommu_free(front);
}

static void front_prepare(void)
{
	front_key_valid = !pthread_key_create(&front_key, front_free);
}

void vtd_thread_init(void)
{
	void *front;

	vtd_thread_shard =
		__atomic_add_fetch(&shards_given, 1, __ATOMIC_RELAXED) % (VTD_SHARDS - 1) + 1;
	pthread_once(&front_once, front_prepare);
	/* Not the aligned kind, which would touch all of it. */
	front = front_key_valid ? viommu_zalloc(sizeof(struct vtd_front) + 63) : NULL;
	if (front && pthread_setspecific(front_key, front)) {
		viommu_free(front);
		front = NULL;
	}
	vtd_front = front ? (void *)(((uintptr_t)front + 63) & ~(uintptr_t)63) : NULL;
}

static inline void answer(struct viommu_translation *t, const struct vtd_entry *entry,
			  unsigned int size_class, uint64_t iova, uint32_t access)
{
	uint64_t mask = (1ull << vtd_class_shift(size_class)) - 1;
	uint64_t offset = iova & mask;

	t->gpa = (entry->target & ~(uint64_t)VTD_TARGET_BITS) + offset;
	t->length = mask + 1 - offset;
	t->hva = entry->hva ? (void *)(uintptr_t)(entry->hva + offset) : NULL;
	t->granted = vtd_granted(entry->target, access);
	t->snoop = entry->target & VTD_TARGET_SNOOP;
	t->fault.reason = VTD_REASON_NONE;
}

static inline const struct vtd_context *context_slot(const struct viommu_endpoint *endpoint,
						     uint32_t pasid)
{
	struct vtd_context **leaves, *leaf;

	if (pasid == VIOMMU_NO_PASID)
		return &endpoint->plain;
	leaves = vtd_load(&endpoint->leaves);
	if (vtd_unlikely(pasid > VIOMMU_PASID_MAX || !leaves))
		return NULL;
	leaf = vtd_load(&leaves[pasid >> VTD_LEAF_SHIFT]);
	return leaf ? &leaf[pasid & (VTD_LEAF_CONTEXTS - 1)] : NULL;
}

/* Size classes other than the one that hit last. */
static unsigned int find_other_class(struct viommu_endpoint *endpoint, uint64_t tag, uint64_t stamp,
				     uint64_t iova, unsigned int hint, struct vtd_entry *entry)
{
	const struct viommu_unit *unit = endpoint->unit;
	uint32_t classes = vtd_load(&unit->iotlb_classes) & ~(1u << hint);
	unsigned int size_class;

	for (size_class = VTD_4K; size_class <= VTD_1G; size_class++)
		if (classes & 1u << size_class &&
		    vtd_iotlb_find(unit, tag, stamp, iova, size_class, entry))
			return size_class;
	return 0;
}

/* The front's entry for a request, if it has a valid one that permits it. */
static inline __attribute__((always_inline)) const struct vtd_front_entry *
front_find(const struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova, uint32_t access)
{
	struct vtd_front *front = vtd_front;
	const struct vtd_front_entry *entry;
	uint8_t need;

	if (vtd_unlikely(!front || access >= sizeof(vtd_needs)))
		return NULL;
	need = vtd_needs[access];
	entry = vtd_front_entry(front, iova, pasid);
	if (vtd_unlikely(entry->page != iova >> 12 ||
			 entry->who != vtd_front_who(endpoint, pasid) ||
			 entry->version != vtd_front_version(endpoint->unit) ||
			 (entry->permissions & need) != need))
		return NULL;
	return entry;
}

static inline __attribute__((always_inline)) bool front_hit(struct viommu_endpoint *endpoint,
							    uint32_t pasid, uint64_t iova,
							    uint32_t access,
							    struct viommu_translation *t)
{
	const struct vtd_front_entry *entry = front_find(endpoint, pasid, iova, access);

	if (vtd_unlikely(!entry))
		return false;
	t->gpa = iova + entry->to_gpa;
	t->length = entry->end - iova;
	t->hva = (void *)(uintptr_t)((iova + entry->to_hva) & entry->ram);
	t->granted = entry->granted[access / VIOMMU_PRIVILEGED];
	t->snoop = entry->snoop;
	t->fault.reason = VTD_REASON_NONE;
	vtd_count(&vtd_shard(endpoint)->hits, 1);
	return true;
}

/* The context of this PASID, as far as a hit needs it. */
struct space {
	uint64_t tag;
	uint64_t stamp;
};

static inline bool find_space(const struct viommu_endpoint *endpoint, uint32_t pasid,
			      struct space *space)
{
	const struct viommu_unit *unit = endpoint->unit;
	const struct vtd_context *context = context_slot(endpoint, pasid);
	uint64_t *domain, *pasid_generation;
	uint32_t sequence;

	if (vtd_unlikely(!context))
		return false;
	sequence = vtd_load(&context->sequence);
	if (vtd_unlikely(vtd_load(&context->epoch) != vtd_load(&unit->generations.epoch)))
		return false;
	space->tag = vtd_load(&context->tag);
	domain = vtd_load(&context->domain_generation);
	pasid_generation = vtd_load(&context->pasid_generation);
	if (vtd_unlikely(sequence & 1 || vtd_load_plain(&context->sequence) != sequence))
		return false;
	space->stamp = vtd_iotlb_stamp(unit, domain, pasid_generation);
	return true;
}

static inline bool find_entry(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
			      unsigned int *size_class, struct vtd_entry *entry)
{
	uint8_t *hint = &endpoint->hints[pasid % VTD_HINTS];
	struct space space;

	if (vtd_unlikely(!find_space(endpoint, pasid, &space)))
		return false;
	*size_class = vtd_load_plain(hint);
	if (vtd_iotlb_find(endpoint->unit, space.tag, space.stamp, iova, *size_class, entry))
		return true;
	*size_class =
		find_other_class(endpoint, space.tag, space.stamp, iova, *size_class, entry);
	if (!*size_class)
		return false;
	vtd_store_plain(hint, *size_class);
	return true;
}

static inline bool iotlb_hit(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
			     uint32_t access, const struct vtd_front_anchor *known,
			     uint64_t version, struct viommu_translation *t)
{
	unsigned int size_class = VTD_4K;
	struct vtd_entry entry;
	uint8_t need = vtd_need(access);

	/* What lies under a last-level table is in the smallest class, and its space is known. */
	if (known ? !vtd_iotlb_find(endpoint->unit, known->context.tag, known->stamp, iova, VTD_4K,
				    &entry)
		  : !find_entry(endpoint, pasid, iova, &size_class, &entry))
		return false;
	if (vtd_unlikely((entry.target & need) != need))
		return false;
	answer(t, &entry, size_class, iova, access);
	vtd_front_enter_leaf(endpoint, pasid, iova, version, size_class, &entry);
	vtd_count(&vtd_shard(endpoint)->hits, 1);
	return true;
}

/* ---- the way around ---- */

/* Reasons that a page request could remove (VT-d 7.2.1). */
static bool curable(unsigned int reason)
{
	switch (reason) {
	case VTD_REASON_FS_P:
	case VTD_REASON_USER:
	case VTD_REASON_EXECUTE:
	case VTD_REASON_S_WRITE:
	case VTD_REASON_S_READ:
	case VTD_REASON_SS_P:
	case VTD_REASON_FS_TOP_READ:
	case VTD_REASON_FS_ENTRY_READ:
	case VTD_REASON_FS_ENTRY_WRITE:
		return true;
	default:
		return false;
	}
}

static bool recoverable(const struct vtd_request_state *request)
{
	return curable(request->reason) && request->context.flags & VTD_CF_PRE &&
	       vtd_load(&request->endpoint->features) & VIOMMU_ENDPOINT_PRI;
}

/* VT-d 3.6.1, 9.6: kinds of requests that the PE must allow at all. */
static unsigned int check_kind(const struct vtd_request_state *request)
{
	uint32_t flags = request->context.flags;

	/* VT-d 7.1.3 SPT.6: the privilege of a plain request may come from the CE. */
	if (flags & VTD_CF_NO_PASID)
		return flags & VTD_CF_RID_PRIV && !(flags & VTD_CF_SRE) ? VTD_REASON_SRE
									: VTD_REASON_NONE;
	if (request->access & VIOMMU_EXECUTE && !(flags & VTD_CF_ERE))
		return VTD_REASON_ERE;
	if (request->access & VIOMMU_PRIVILEGED && !(flags & VTD_CF_SRE))
		return VTD_REASON_SRE;
	return VTD_REASON_NONE;
}

/*
 * VT-d 3.14: a request without PASID to an interrupt address is not translated: a write is a
 * message, asking for a translation is allowed, anything else is an error. Returns whether it was
 * one.
 */
static bool interrupt_request(struct vtd_request_state *request)
{
	uint32_t flags = request->context.flags;

	if (!(flags & VTD_CF_NO_PASID) || !vtd_interrupt_range(request->iova, request->iova) ||
	    vtd_context_type(&request->context) == VTD_CONTEXT_IDENTITY)
		return false;
	request->message = request->type == VTD_TRANSLATION;
	if (request->message)
		return true;
	if (request->access & VIOMMU_WRITE) {
		request->entry.target = (request->iova & ~(uint64_t)VTD_TARGET_BITS) |
					VIOMMU_WRITE | VIOMMU_WRITE << VTD_PRIVILEGED_SHIFT;
		request->entry.hva = 0;
		request->size_class = VTD_4K;
		return true;
	}
	request->reason = flags & VTD_CF_LEGACY ? VTD_REASON_INTERRUPT_ADDRESS
						: VTD_REASON_S_INTERRUPT_ADDRESS;
	return true;
}

/* VT-d 11.4.8.1: what is found in protected memory is neither reached, reported nor cached. */
static void protect(struct vtd_request_state *request, const struct vtd_found *found,
		    struct vtd_sample *sample, struct vtd_anchor *anchor)
{
	/* A remembered table would be read without asking here. */
	anchor->valid = false;
	if (!vtd_protected(request->endpoint->unit, found->gpa, found->gpa))
		return;
	/* Asking for a translation is not yet DMA. */
	sample->stamp = 0;
	if (request->type == VTD_TRANSLATION)
		return;
	request->reason = VTD_REASON_PROTECTED;
	request->fault_processing_disabled = true;
}

static void walk_and_fill(struct vtd_request_state *request, struct vtd_sample *sample,
			  struct vtd_anchor *anchor)
{
	bool plain = request->context.flags & VTD_CF_NO_PASID;
	uint32_t access = request->access;
	struct vtd_walk walk = {
		.unit = request->endpoint->unit,
		.context = &request->context,
		.privileged = plain ? !!(request->context.flags & VTD_CF_RID_PRIV)
				    : !!(access & VIOMMU_PRIVILEGED),
		.anchor = *anchor,
	};
	struct vtd_found found;

	if (access & VIOMMU_ATOMIC)
		access |= VIOMMU_READ | VIOMMU_WRITE;
	/* Without a PASID there are no execute requests: it is a read. */
	if (plain && access & VIOMMU_EXECUTE)
		access |= VIOMMU_READ;
	walk.want = access & (plain ? VIOMMU_READ | VIOMMU_WRITE
				    : VIOMMU_READ | VIOMMU_WRITE | VIOMMU_EXECUTE);
	/* VT-d 11.4.2 */
	if (walk.unit->cap & VTD_CAP_ZLR)
		walk.want |= access & VIOMMU_ZERO_LENGTH;
	request->reason = vtd_walk(&walk, request->iova, &found);
	*anchor = walk.anchor;
	if (vtd_protecting(walk.unit) && !request->reason)
		protect(request, &found, sample, anchor);
	vtd_count(&vtd_shard(request->endpoint)->table_reads, walk.reads);
	if (!request->reason)
		request->size_class = vtd_iotlb_fill(walk.unit, &request->context, sample,
						     request->iova, &found, &request->entry);
}

/*
 * The context by the tables, and a sample for the fill. Order matters: context, then IOTLB
 * generations, then the context's epoch again. Then an invalidation of the context that the sample
 * already counts cannot have been overlooked.
 */
enum { CONTEXT_TRIES = 3 };

static void find_context(struct vtd_request_state *request, struct vtd_sample *sample)
{
	const struct viommu_unit *unit = request->endpoint->unit;
	unsigned int tries;

	for (tries = 0; tries < CONTEXT_TRIES; tries++) {
		request->reason =
			vtd_context_get(request->endpoint, request->pasid, request->type,
					&request->context, &request->fault_processing_disabled);
		if (request->reason)
			return;
		vtd_iotlb_prefetch(unit, request->context.tag, request->iova);
		*sample = vtd_iotlb_sample(unit, &request->context);
		if (vtd_load(&unit->generations.epoch) == request->context.epoch)
			return;
		sample->stamp = 0;
	}
}

/* Go on from a remembered walk: its context, and a sample of now. */
static bool resume(struct vtd_request_state *request, const struct vtd_front_anchor *known,
		   uint64_t version, struct vtd_sample *sample)
{
	if (!known || request->type != VTD_UNTRANSLATED)
		return false;
	request->context = known->context;
	request->fault_processing_disabled = known->context.flags & VTD_CF_FPD;
	*sample = vtd_iotlb_sample(request->endpoint->unit, &known->context);
	/* The sample must not count what the context does not know of. */
	return vtd_front_version(request->endpoint->unit) == version;
}

/* VT-d 3.14: does what follows the table never meet an interrupt address among requests? */
static bool no_interrupts(const struct vtd_context *context, uint64_t iova)
{
	uint64_t first = iova & ~VTD_MASK(20, 0);

	return !(context->flags & VTD_CF_NO_PASID) ||
	       !vtd_interrupt_range(first, first | VTD_MASK(20, 0));
}

static void remember(const struct vtd_request_state *request, uint64_t version,
		     const struct vtd_sample *sample, const struct vtd_anchor *anchor)
{
	struct vtd_front_anchor *known = vtd_front_anchor(request->pasid, request->iova);
	const struct vtd_context *context = &request->context;
	bool nested = vtd_context_type(context) == VTD_CONTEXT_NESTED;

	if (!known || !anchor->valid || !sample->stamp)
		return;
	known->region = request->iova >> 21;
	known->who = vtd_front_who(request->endpoint, request->pasid);
	known->version = version;
	known->stamp = sample->stamp;
	known->words = nested || !no_interrupts(context, request->iova)
			       ? NULL
			       : memory_ram(request->endpoint->unit->memory, anchor->real, 4096,
					    false);
	known->leaf_flags = VTD_NO_LEAF;
	known->anchor = *anchor;
	known->context = *context;
}

/* From the top, or from a remembered anchor with what was remembered with it. */
static void resolve_from(struct vtd_request_state *request, struct vtd_sample *sample,
			 struct vtd_anchor *anchor)
{
	request->reason = check_kind(request);
	if (!request->reason && !interrupt_request(request))
		walk_and_fill(request, sample, anchor);
}

static void resolve(struct vtd_request_state *request)
{
	uint64_t version = vtd_front_version(request->endpoint->unit);
	const struct vtd_front_anchor *known =
		vtd_front_recall(request->endpoint, request->pasid, request->iova, version);
	struct vtd_anchor anchor = { 0 };
	struct vtd_sample sample = { 0 };

	if (resume(request, known, version, &sample)) {
		anchor = known->anchor;
		resolve_from(request, &sample, &anchor);
		/* What was remembered may permit, but only the tables themselves refuse. */
		if (!request->reason)
			return;
		anchor.valid = false;
	}
	find_context(request, &sample);
	if (request->reason)
		return;
	resolve_from(request, &sample, &anchor);
	if (!request->reason)
		remember(request, version, &sample, &anchor);
}

void vtd_resolve(struct vtd_request_state *request)
{
	vtd_count(&vtd_shard(request->endpoint)->misses, 1);
	grace_enter();
	resolve(request);
	grace_exit();
	vtd_perfmon_poll(request->endpoint->unit);
}

void vtd_request_fault(const struct vtd_request_state *request, struct viommu_fault *fault)
{
	*fault = (struct viommu_fault){
		.reason = request->reason,
		.pasid = request->pasid,
		.iova = request->iova,
		.access = request->access,
		.rid = request->endpoint->rid,
		.recoverable = recoverable(request),
	};
}

static __attribute__((noinline)) int miss(struct viommu_endpoint *endpoint, uint32_t pasid,
					  uint64_t iova, uint32_t access, enum vtd_quiet quiet,
					  struct viommu_translation *t)
{
	struct vtd_request_state request;

	if (!vtd_request_valid(pasid, vtd_plain_access(access)))
		return -EINVAL;
	/* The context is filled in before it is read; clearing it too would show. */
	memset(&request, 0, offsetof(struct vtd_request_state, context));
	request.context.flags = 0;
	request.endpoint = endpoint;
	request.pasid = pasid;
	request.iova = iova;
	request.access = access;
	request.type = VTD_UNTRANSLATED;
	VTD_PROBE3(miss, endpoint->rid, pasid, iova);
	vtd_resolve(&request);
	if (vtd_likely(!request.reason)) {
		answer(t, &request.entry, request.size_class, iova, access);
		/* The tables allow the write, the memory does not: no pointer then. */
		if (access & (VIOMMU_WRITE | VIOMMU_ATOMIC) && !(t->granted & VIOMMU_WRITE))
			t->hva = NULL;
		if (!(access & VIOMMU_ZERO_LENGTH))
			t->granted |= access;
		return VIOMMU_OK;
	}
	memset(t, 0, sizeof(*t));
	vtd_request_fault(&request, &t->fault);
	if (!(quiet & VTD_QUIET))
		vtd_fault_record(endpoint, &t->fault, VTD_UNTRANSLATED,
				 request.fault_processing_disabled);
	return VIOMMU_FAULT;
}

bool vtd_request_valid(uint32_t pasid, uint32_t access)
{
	return vtd_need(access) != VTD_NOBODYS &&
	       (pasid <= VIOMMU_PASID_MAX || pasid == VIOMMU_NO_PASID);
}

/*
 * The short way of a miss: one word of the remembered table, which must leave nothing to decide and
 * nothing to mark. In an access section. False: the long way.
 */
static inline bool read_leaf(const struct viommu_unit *unit, const struct vtd_front_anchor *known,
			     uint64_t iova, uint8_t need, struct vtd_entry *entry)
{
	struct vtd_found found;
	void *hva;

	if (!vtd_walk_leaf(unit, &known->context, &known->anchor,
			   memory_load64(&known->words[iova >> 12 & 511]), &found) ||
	    (found.permissions & need) != need)
		return false;
	hva = memory_ram(unit->memory, found.gpa, 4096, true);
	if (vtd_unlikely(!hva))
		return false;
	entry->target = found.gpa | found.permissions | (found.snoop ? VTD_TARGET_SNOOP : 0);
	entry->hva = (uintptr_t)hva;
	return true;
}

static inline bool short_miss(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
			      uint32_t access, const struct vtd_front_anchor *known,
			      uint64_t version, struct viommu_translation *t)
{
	struct viommu_unit *unit = endpoint->unit;
	uint8_t need = vtd_need(access);
	struct vtd_sample sample = { .stamp = known->stamp };
	struct vtd_entry entry;
	bool found;

	grace_enter();
	/* In this order: see resume(). And in the section, so that the table is still there. */
	sample.page_drops = vtd_load(&unit->generations.page_drops);
	found = vtd_front_version(unit) == version &&
		read_leaf(unit, known, iova, need, &entry);
	if (found)
		vtd_iotlb_enter(unit, known->context.tag, &sample, iova, VTD_4K, &entry);
	grace_exit();
	if (!found)
		return false;
	VTD_PROBE3(miss, endpoint->rid, pasid, iova);
	answer(t, &entry, VTD_4K, iova, access);
	vtd_count(&vtd_shard(endpoint)->misses, 1);
	vtd_count(&vtd_shard(endpoint)->table_reads, 1);
	return true;
}

static inline int past_front(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
			     uint32_t access, enum vtd_quiet quiet, struct viommu_translation *t)
{
	uint64_t version = vtd_front_version(endpoint->unit);
	const struct vtd_front_anchor *known;

	if (vtd_unlikely(!vtd_thread_shard))
		vtd_thread_init();
	known = vtd_front_recall(endpoint, pasid, iova, version);
	if (vtd_likely(iotlb_hit(endpoint, pasid, iova, access, known, version, t)))
		return VIOMMU_OK;
	if (known && known->words &&
	    vtd_likely(short_miss(endpoint, pasid, iova, access, known, version, t)))
		return VIOMMU_OK;
	return miss(endpoint, pasid, iova, access, quiet, t);
}

/* Not a front hit. Apart, so that the front hit needs no stack. */
static __attribute__((noinline)) int beyond_front(struct viommu_endpoint *endpoint, uint32_t pasid,
						  uint64_t iova, uint32_t access,
						  enum vtd_quiet quiet,
						  struct viommu_translation *t)
{
	int result = past_front(endpoint, pasid, iova, access, quiet, t);

	vtd_perfmon_poll(endpoint->unit);
	return result;
}

bool vtd_translate_front(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
			 uint32_t access, struct viommu_translation *t)
{
	return front_hit(endpoint, pasid, iova, access, t);
}

int vtd_translate(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova, uint32_t access,
		  enum vtd_quiet quiet, struct viommu_translation *t)
{
	if (vtd_likely(front_hit(endpoint, pasid, iova, access, t)))
		return VIOMMU_OK;
	return beyond_front(endpoint, pasid, iova, access, quiet, t);
}

int viommu_translate(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
		     uint32_t access, struct viommu_translation *t)
{
	if (vtd_likely(front_hit(endpoint, pasid, iova, access, t)))
		return VIOMMU_OK;
	return beyond_front(endpoint, pasid, iova, access, VTD_LOUD, t);
}

int viommu_translate_quiet(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
			   uint32_t access, struct viommu_translation *t)
{
	if (vtd_likely(front_hit(endpoint, pasid, iova, access, t)))
		return VIOMMU_OK;
	return beyond_front(endpoint, pasid, iova, access, VTD_QUIET, t);
}
