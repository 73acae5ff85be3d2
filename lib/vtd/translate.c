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
	struct vtd_front *front;

	vtd_thread_shard =
		__atomic_add_fetch(&shards_given, 1, __ATOMIC_RELAXED) % (VTD_SHARDS - 1) + 1;
	pthread_once(&front_once, front_prepare);
	front = front_key_valid ? viommu_aligned_zalloc(64, sizeof(*front)) : NULL;
	if (front && pthread_setspecific(front_key, front)) {
		viommu_free(front);
		front = NULL;
	}
	vtd_front = front;
}

/* What a request needs of an entry, by its access bits; 0: there is no such request. */
static const uint8_t needs[32] = {
	[VIOMMU_READ] = VIOMMU_READ,
	[VIOMMU_WRITE] = VIOMMU_WRITE,
	[VIOMMU_EXECUTE] = VIOMMU_EXECUTE,
	[VIOMMU_ATOMIC] = VIOMMU_READ | VIOMMU_WRITE,
	[VIOMMU_PRIVILEGED | VIOMMU_READ] = VIOMMU_READ << VTD_PRIVILEGED_SHIFT,
	[VIOMMU_PRIVILEGED | VIOMMU_WRITE] = VIOMMU_WRITE << VTD_PRIVILEGED_SHIFT,
	[VIOMMU_PRIVILEGED | VIOMMU_EXECUTE] = VIOMMU_EXECUTE << VTD_PRIVILEGED_SHIFT,
	[VIOMMU_PRIVILEGED | VIOMMU_ATOMIC] = (VIOMMU_READ | VIOMMU_WRITE) << VTD_PRIVILEGED_SHIFT,
};

static inline uint32_t granted(uint64_t target, uint32_t access)
{
	uint32_t set =
		target >> (access & VIOMMU_PRIVILEGED ? VTD_PRIVILEGED_SHIFT : 0) & VTD_PERMISSIONS;

	/* READ and WRITE together are ATOMIC. */
	return set | (set << 3 & set << 2 & VIOMMU_ATOMIC) | (access & VIOMMU_PRIVILEGED);
}

static inline void answer(struct viommu_translation *t, const struct vtd_entry *entry,
			  unsigned int size_class, uint64_t iova, uint32_t access)
{
	uint64_t mask = (1ull << vtd_class_shift(size_class)) - 1;
	uint64_t offset = iova & mask;

	t->gpa = (entry->target & ~(uint64_t)VTD_TARGET_BITS) + offset;
	t->length = mask + 1 - offset;
	t->hva = entry->hva ? (void *)(uintptr_t)(entry->hva + offset) : NULL;
	t->granted = granted(entry->target, access);
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

static inline __attribute__((always_inline)) bool front_hit(struct viommu_endpoint *endpoint,
							    uint32_t pasid, uint64_t iova,
							    uint32_t access,
							    struct viommu_translation *t)
{
	const struct vtd_front *front = vtd_front;
	const struct vtd_front_entry *entry;
	uint8_t need;

	if (vtd_unlikely(!front || access >= sizeof(needs)))
		return false;
	need = needs[access];
	entry = &front->entries[vtd_front_index(iova >> 12, pasid)];
	if (vtd_unlikely(entry->page != iova >> 12 ||
			 entry->who != vtd_front_who(endpoint, pasid) ||
			 entry->version != vtd_front_version(endpoint->unit) ||
			 (entry->target & need) != need || !need))
		return false;
	t->gpa = iova + entry->to_gpa;
	t->length = entry->end - iova;
	t->hva = entry->ram ? (void *)(uintptr_t)(iova + entry->to_hva) : NULL;
	t->granted = granted(entry->target, access);
	t->snoop = entry->target & VTD_TARGET_SNOOP;
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

static bool iotlb_hit(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
		      uint32_t access, struct viommu_translation *t)
{
	const struct viommu_unit *unit = endpoint->unit;
	uint64_t version = vtd_front_version(unit);
	uint8_t *hint = &endpoint->hints[pasid % VTD_HINTS];
	unsigned int size_class = vtd_load_plain(hint);
	struct vtd_entry entry;
	struct space space;
	uint8_t need = access < sizeof(needs) ? needs[access] : 0;

	if (vtd_unlikely(!need || !find_space(endpoint, pasid, &space)))
		return false;
	if (!vtd_iotlb_find(unit, space.tag, space.stamp, iova, size_class, &entry)) {
		size_class = find_other_class(endpoint, space.tag, space.stamp, iova, size_class,
					      &entry);
		if (!size_class)
			return false;
		vtd_store_plain(hint, size_class);
	}
	if (vtd_unlikely((entry.target & need) != need))
		return false;
	answer(t, &entry, size_class, iova, access);
	vtd_front_enter(endpoint, pasid, iova, version, size_class, &entry);
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

	if (flags & VTD_CF_NO_PASID)
		return VTD_REASON_NONE;
	if (request->access & VIOMMU_EXECUTE && !(flags & VTD_CF_ERE))
		return VTD_REASON_ERE;
	if (request->access & VIOMMU_PRIVILEGED && !(flags & VTD_CF_SRE))
		return VTD_REASON_SRE;
	return VTD_REASON_NONE;
}

/*
 * VT-d 3.14: a request without PASID to an interrupt address is not translated: a write is a
 * message, anything else is an error. Returns whether it was one.
 */
static bool interrupt_request(struct vtd_request_state *request)
{
	uint32_t flags = request->context.flags;

	if (!(flags & VTD_CF_NO_PASID) || !vtd_interrupt_range(request->iova, request->iova) ||
	    vtd_context_type(&request->context) == VTD_CONTEXT_IDENTITY)
		return false;
	if (request->type == VTD_UNTRANSLATED && request->access & VIOMMU_WRITE) {
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
		.zero_length = request->zero_length,
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
		*sample = vtd_iotlb_sample(unit, &request->context);
		if (vtd_load(&unit->generations.epoch) == request->context.epoch)
			return;
		sample->stamp = 0;
	}
}

/* The context of a remembered walk, while nothing at all was invalidated since. */
static bool recall(struct vtd_request_state *request, const struct vtd_front_anchor *known,
		   uint64_t version, struct vtd_sample *sample)
{
	if (!known || request->type != VTD_UNTRANSLATED || known->version != version ||
	    known->region != request->iova >> 21 ||
	    known->who != vtd_front_who(request->endpoint, request->pasid))
		return false;
	request->context = known->context;
	request->fault_processing_disabled = known->context.flags & VTD_CF_FPD;
	*sample = vtd_iotlb_sample(request->endpoint->unit, &known->context);
	/* The sample must not count what the context does not know of. */
	return vtd_front_version(request->endpoint->unit) == version;
}

static void remember(const struct vtd_request_state *request, struct vtd_front_anchor *known,
		     uint64_t version, const struct vtd_anchor *anchor)
{
	if (!known || !anchor->valid)
		return;
	known->region = request->iova >> 21;
	known->who = vtd_front_who(request->endpoint, request->pasid);
	known->version = version;
	known->anchor = *anchor;
	known->context = request->context;
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
	struct vtd_front_anchor *known = vtd_front_anchor(request->pasid, request->iova);
	struct vtd_anchor anchor = { 0 };
	struct vtd_sample sample = { 0 };

	if (recall(request, known, version, &sample)) {
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
		remember(request, known, version, &anchor);
}

void vtd_resolve(struct vtd_request_state *request)
{
	vtd_count(&vtd_shard(request->endpoint)->misses, 1);
	grace_enter();
	resolve(request);
	grace_exit();
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
	struct vtd_request_state request = {
		.endpoint = endpoint,
		.pasid = pasid,
		.iova = iova,
		.access = access,
		.type = VTD_UNTRANSLATED,
		.zero_length = quiet & VTD_ZERO_LENGTH,
	};

	if (!vtd_request_valid(pasid, access))
		return -EINVAL;
	VTD_PROBE3(miss, endpoint->rid, pasid, iova);
	vtd_resolve(&request);
	if (vtd_likely(!request.reason)) {
		answer(t, &request.entry, request.size_class, iova, access);
		/* The tables allow the write, the memory does not: no pointer then. */
		if (access & (VIOMMU_WRITE | VIOMMU_ATOMIC) && !(t->granted & VIOMMU_WRITE))
			t->hva = NULL;
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
	return access < sizeof(needs) && needs[access] &&
	       (pasid <= VIOMMU_PASID_MAX || pasid == VIOMMU_NO_PASID);
}

/* Not a front hit. Apart, so that the front hit needs no stack. */
static __attribute__((noinline)) int beyond_front(struct viommu_endpoint *endpoint, uint32_t pasid,
						  uint64_t iova, uint32_t access,
						  enum vtd_quiet quiet,
						  struct viommu_translation *t)
{
	if (vtd_unlikely(!vtd_thread_shard))
		vtd_thread_init();
	if (vtd_likely(iotlb_hit(endpoint, pasid, iova, access, t)))
		return VIOMMU_OK;
	return miss(endpoint, pasid, iova, access, quiet, t);
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
