/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The unit from inside: its state, who may touch what, and the entry points of each file.
 *
 * Three kinds of code meet here.
 *
 * The *owner* is the one thread that executes a register write with side effects: a command, the
 * invalidation queue, reset, save. vtd_unit_enter() makes a thread the owner; it may enter again
 * (from a callback), and no mutex is held while it works, so a callback may use any public
 * function.
 *
 * `registers.lock` is a leaf: it guards the register file, fault records and page-request queue for
 * moments only. Nothing is called out of it.
 *
 * *Translations* take no lock to hit. What they read is versioned: see struct vtd_generations.
 */
#ifndef VIOMMU_VTD_UNIT_INTERNAL_H
#define VIOMMU_VTD_UNIT_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <viommu/endpoint.h>
#include <viommu/unit.h>

#include "memory/memory_internal.h"
#include "vtd/capability.h"
#include "vtd/interrupt.h"
#include "vtd/perfmon.h"
#include "vtd/protection.h"
#include "vtd/spec.h"

#define vtd_likely(x)	__builtin_expect(!!(x), 1)
#define vtd_unlikely(x) __builtin_expect(!!(x), 0)

/* Words that translations read while others write them. Acquire and release are free on x86. */
#define vtd_load(p)	      __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define vtd_store(p, v)	      __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define vtd_load_plain(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define vtd_store_plain(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)

/* A counter one thread at a time is meant to write; a lost increment is only a lost increment. */
static inline void vtd_count(uint64_t *counter, uint64_t n)
{
	vtd_store_plain(counter, vtd_load_plain(counter) + n);
}

/* A generation. Only the owner moves them; what readers may rely on is settled by the drain. */
static inline void vtd_bump(uint64_t *generation)
{
	vtd_store(generation, vtd_load_plain(generation) + 1);
}

/* A counter of several threads. */
static inline void vtd_count_shared(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/*
 * Generations make invalidation O(1). Every one only grows, so the *sum* of those that apply to a
 * cached thing - its stamp - is unchanged exactly when none of them changed. A cached thing is
 * valid while its stamp equals the sum now.
 */
struct vtd_domain {
	uint64_t context;   /* contexts (PASID-cache entries) of this DID */
	uint64_t iotlb;	    /* first-stage IOTLB entries of this DID */
	uint64_t second;    /* second-stage and pass-through ones, which the PASIDs of a DID share */
	uint64_t nested;    /* nested ones: they fall with any second-stage page too */
	uint32_t fragments; /* a leaf lies in the IOTLB in pieces: page invalidations widen */
	uint32_t unused;
};

struct vtd_pasid_slot {
	uint64_t context;
	uint64_t iotlb;
	uint64_t none; /* always 0, for spaces that PASID invalidations do not concern */
	uint64_t fragments;
};

enum { VTD_DOMAINS = 65536, VTD_PASID_SLOTS = 65536 };

struct vtd_generations {
	uint64_t epoch; /* counts every change of `context` kind anywhere in the unit */
	uint64_t context_global;
	uint64_t iotlb_global;
	uint64_t page_drops;		    /* counts page invalidations: see vtd_iotlb_drop() */
	struct vtd_domain *domains;	    /* [VTD_DOMAINS] */
	struct vtd_pasid_slot *pasid_slots; /* [VTD_PASID_SLOTS], by hash of DID and PASID */
};

/* What a context says about paging. */
enum vtd_context_type {
	VTD_CONTEXT_NONE = 0,
	VTD_CONTEXT_FIRST,
	VTD_CONTEXT_SECOND,
	VTD_CONTEXT_NESTED,
	VTD_CONTEXT_PASS_THROUGH,
	VTD_CONTEXT_IDENTITY, /* translation is off */
};

enum vtd_context_flags {
	VTD_CF_LEGACY = 1u << 0, /* reasons of the legacy kind */
	VTD_CF_FIVE_LEVEL = 1u << 1,
	VTD_CF_SS_LEVELS = 3u << 2, /* second-stage levels - 2 */
	VTD_CF_SRE = 1u << 4,
	VTD_CF_ERE = 1u << 5,
	VTD_CF_WPE = 1u << 6,
	VTD_CF_NXE = 1u << 7,
	VTD_CF_SMEP = 1u << 8,
	VTD_CF_EAFE = 1u << 9,
	VTD_CF_SSADE = 1u << 10,
	VTD_CF_FPD = 1u << 11,
	VTD_CF_PGSNP = 1u << 12,
	VTD_CF_PRE = 1u << 13,
	VTD_CF_DTE = 1u << 14,
	VTD_CF_NO_PASID = 1u << 15, /* for requests without PASID */
	VTD_CF_RID_PRIV = 1u << 16,
	VTD_CF_NO_SNOOP = 1u << 17, /* table walks are not snooped: no A/D update possible */
};
#define VTD_CF_SS_LEVELS_SHIFT 2

/*
 * A context: what root table, CE and PE say about one (requester, PASID). Cached in place and read
 * without a lock: `sequence` is odd while it changes. 64 bytes, that is what a PASID costs.
 */
struct vtd_context {
	uint32_t sequence;
	uint32_t flags;	 /* enum vtd_context_flags; type in bits 31:28 */
	uint64_t epoch;	 /* unit's epoch when last found valid; 0: never */
	uint64_t stamp;	 /* of the context generations */
	uint64_t tag;	 /* see iotlb.h */
	uint64_t first;	 /* first-stage root */
	uint64_t second; /* second-stage root */
	uint64_t *domain_generation;
	uint64_t *pasid_generation;
};

#define VTD_CONTEXT_TYPE_SHIFT 28

static inline enum vtd_context_type vtd_context_type(const struct vtd_context *context)
{
	return context->flags >> VTD_CONTEXT_TYPE_SHIFT;
}

/* The event registers share one layout: control, data, address, upper address. */
enum vtd_event {
	VTD_EVENT_FAULT = VTD_REG_FECTL,
	VTD_EVENT_INVALIDATION = VTD_REG_IECTL,
	VTD_EVENT_PAGE_REQUEST = VTD_REG_PECTL,
	VTD_EVENT_PERFORMANCE = VTD_REG_PERFINTRCTL,
};

/* A message to be sent once no lock is held. */
struct vtd_message {
	bool send;
	uint32_t data;
	uint64_t address;
};

struct vtd_registers {
	pthread_mutex_t lock;
	uint32_t words[VIOMMU_UNIT_WINDOW / 4]; /* all of them, FRCD and IVA/IOTLB included */
	uint8_t entry[VIOMMU_UNIT_WINDOW / 4];	/* index + 1 into the register table, 0: none */
	uint16_t next_fault;
	uint64_t fault_log;	  /* AFLOG as latched by SFL */
	uint32_t fault_log_index; /* of the next record */
	uint16_t event_cause[4]; /* RID of a pending event's cause, by event */
	bool event_cause_known[4];
};

/* Counters. Translations write those of their endpoint; the owner writes the unit's. */
struct vtd_shard {
	uint64_t hits;
	uint64_t misses;
	uint64_t context_misses;
	uint64_t table_reads;
	uint64_t faults;
	uint64_t faults_lost;
	uint64_t bytes;
	uint64_t context_lookups; /* other than translations', each of which is one */
} __attribute__((aligned(64)));

enum { VTD_SHARDS = 8 };

struct vtd_unit_counters {
	uint64_t descriptors;
	uint64_t waits;
	uint64_t device_tlb_invalidations;
	uint64_t entries_visited;
	uint64_t drains;
	uint64_t page_responses; /* from the queue */
	/* By any thread, atomically. */
	uint64_t page_requests;
	uint64_t automatic_responses;
	uint64_t events;
	uint64_t page_requests_posted;	 /* to the queue */
	uint64_t page_requests_overflow; /* automatic responses because it is full */
};

struct vtd_iotlb_set;
struct vtd_listener;

struct viommu_unit {
	/* Read by every translation, written seldom. */
	uint64_t version; /* counts every invalidation of any kind: see front.h */
	const _Atomic uint64_t *memory_generation;
	struct vtd_generations generations;
	struct vtd_iotlb_set *iotlb;
	struct viommu_memory *memory;
	uint32_t iotlb_shift;	/* 64 - log2(sets) */
	uint32_t iotlb_classes; /* bit n: an entry of size class n was ever filled */
	uint64_t root;		/* RTADDR as latched by SRTP */
	bool translating;	/* TES */
	uint64_t cap;
	uint64_t ecap;
	uint64_t reserved[2][6]
			 [2]; /* [enum vtd_format_kind][level][leaf]: bits that must be zero */
	uint8_t mgaw;	      /* bits of the widest request address */
	uint8_t haw;	      /* bits of a physical address */
	struct vtd_perfmon perfmon;

	struct viommu_unit_options options;
	struct viommu_unit_ops ops;
	void *opaque;

	struct vtd_protection protection;
	uint64_t *pasids_given; /* owner only: a bit each, by virtual commands; NULL: not ours to give */
	struct vtd_registers registers;
	struct vtd_interrupt_state interrupt;

	pthread_mutex_t owner_lock;
	pthread_cond_t owner_change;
	pthread_t owner;
	unsigned int owner_depth;
	bool posted;	     /* under owner_lock: vtd_unit_post() waits for the owner */
	bool queue_running;  /* owner only: the queue is being executed further up the stack */
	bool queue_again;    /* owner only: a callback moved the tail */
	uint32_t queue_life; /* owner only: counts the queue being turned on or off */
	uint32_t invalidations_out; /* owner only: device-TLB invalidations that are not answered */
	bool wait_pending;	    /* owner only: this wait descriptor waits for them */
	uint64_t wait[4];
	bool undrained;	     /* owner only: something was invalidated since the last drain */

	/*
	 * Endpoints by RID (read in an access section or by the owner) and as a list (under the
	 * lock, a leaf as registers.lock is). They go only with the unit entered.
	 */
	struct viommu_endpoint **endpoints; /* [65536]; VTD_ENDPOINT_GONE where one was removed */
	pthread_mutex_t endpoints_lock;
	struct viommu_endpoint *first_endpoint;
	struct vtd_shard retired; /* counters of destroyed endpoints */
	struct vtd_unit_counters counters;

	struct vtd_listener *listeners;
};

#define VTD_ENDPOINT_GONE ((struct viommu_endpoint *)1)

enum {
	VTD_HINTS = 16,
	VTD_LEAF_SHIFT = 8,
	VTD_LEAF_CONTEXTS = 1 << VTD_LEAF_SHIFT,
	VTD_LEAVES = 1 << (20 - 8)
};

struct viommu_endpoint {
	struct grace_head head;
	struct viommu_unit *unit;
	struct vtd_context *
		*leaves; /* [VTD_LEAVES] of VTD_LEAF_CONTEXTS each; both made on demand */
	uint64_t device_generation; /* device-selective context invalidations */
	uint32_t id;		    /* never given twice */
	uint32_t features;
	uint16_t rid;
	uint32_t tags_out; /* owner only: a bit each for invalidations that are not answered */
	uint8_t hints[VTD_HINTS]; /* size class that hit last, by PASID */
	struct viommu_endpoint_ops ops;
	void *opaque;
	struct viommu_endpoint *next;
	struct vtd_context plain __attribute__((aligned(64))); /* requests without PASID */
	struct vtd_shard shards[VTD_SHARDS];
};

/* The shard of the calling thread; 0 until it misses for the first time. */
extern _Thread_local uint32_t vtd_thread_shard __attribute__((tls_model("initial-exec")));

static inline struct vtd_shard *vtd_shard(struct viommu_endpoint *endpoint)
{
	return &endpoint->shards[vtd_thread_shard];
}

static inline struct vtd_pasid_slot *vtd_pasid_slot(const struct viommu_unit *unit, uint16_t did,
						    uint32_t pasid)
{
	uint32_t hash = (pasid ^ did * 0x9e3779b1u ^ pasid >> 16) & (VTD_PASID_SLOTS - 1);

	return &unit->generations.pasid_slots[hash];
}

/* unit.c */
void vtd_unit_enter(struct viommu_unit *unit);
void vtd_unit_leave(struct viommu_unit *unit);
/* The endpoint with this RID or NULL. */
struct viommu_endpoint *vtd_endpoint_find(const struct viommu_unit *unit, uint16_t rid);
void vtd_unit_log(struct viommu_unit *unit, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void vtd_unit_reset_state(struct viommu_unit *unit);

/* register.c: the register file. Callers of _get/_set hold registers.lock. */
int vtd_registers_init(struct viommu_unit *unit);
void vtd_registers_reset(struct viommu_unit *unit);
static inline uint32_t vtd_get32(const struct viommu_unit *unit, uint32_t offset)
{
	return vtd_load_plain(&unit->registers.words[offset / 4]);
}
static inline void vtd_set32(struct viommu_unit *unit, uint32_t offset, uint32_t value)
{
	vtd_store_plain(&unit->registers.words[offset / 4], value);
}
static inline uint64_t vtd_get64(const struct viommu_unit *unit, uint32_t offset)
{
	return vtd_get32(unit, offset) | (uint64_t)vtd_get32(unit, offset + 4) << 32;
}
static inline void vtd_set64(struct viommu_unit *unit, uint32_t offset, uint64_t value)
{
	vtd_set32(unit, offset, (uint32_t)value);
	vtd_set32(unit, offset + 4, (uint32_t)(value >> 32));
}

/* protection.c: is this byte, or any of these, in memory that no DMA may reach? */
bool vtd_protected(const struct viommu_unit *unit, uint64_t first, uint64_t last);
static inline bool vtd_protecting(const struct viommu_unit *unit)
{
	return vtd_unlikely(vtd_load(&unit->protection.on));
}

/* unit.c: the sum over all endpoints, those that are gone among them. Never gets less. */
void vtd_unit_requests(struct viommu_unit *unit, struct vtd_shard *sum);

/* perfmon.c: after an event that may be counted. */
void vtd_perfmon_count(struct viommu_unit *unit);
static inline void vtd_perfmon_poll(struct viommu_unit *unit)
{
	if (vtd_unlikely(vtd_load_plain(&unit->perfmon.armed)))
		vtd_perfmon_count(unit);
}

/* command.c: GCMD, with the unit entered. */
void vtd_command(struct viommu_unit *unit, uint32_t command);

/* queue.c: execute what is between head and tail, with the unit entered. */
void vtd_queue_run(struct viommu_unit *unit);
/* The queue begins anew; nobody waits in it. */
static inline void vtd_queue_forget(struct viommu_unit *unit)
{
	unit->queue_life++;
	unit->wait_pending = false;
}
/* An endpoint goes: what it was asked to invalidate is not answered any more. */
void vtd_queue_endpoint_gone(struct viommu_endpoint *endpoint);

/* invalidate.c: what descriptors and register commands mean; with the unit entered. */
enum { VTD_ALL_PAGES = 64 }; /* an `am` that means every page */
void vtd_invalidate_contexts(struct viommu_unit *unit, enum vtd_granularity granularity,
			     uint16_t did, uint16_t sid, uint8_t function_mask);
void vtd_invalidate_pasids(struct viommu_unit *unit, enum vtd_pasid_cache_granularity granularity,
			   uint16_t did, uint32_t pasid);
void vtd_invalidate_iotlb(struct viommu_unit *unit, enum vtd_granularity granularity, uint16_t did,
			  uint64_t address, uint8_t am, bool leaf_only);
void vtd_invalidate_piotlb(struct viommu_unit *unit, enum vtd_piotlb_granularity granularity,
			   uint16_t did, uint32_t pasid, uint64_t address, uint8_t am,
			   bool leaf_only);
/* Everything: mode changes, reset, load. */
void vtd_invalidate_all(struct viommu_unit *unit);
/* Wait until no access section can use what was invalidated. */
void vtd_drain(struct viommu_unit *unit);

/* event.c: raise an event (registers.lock held); send the message afterwards (no lock held). */
struct vtd_message vtd_event_raise(struct viommu_unit *unit, enum vtd_event event,
				   const struct viommu_endpoint *cause);
struct vtd_message vtd_event_unmask(struct viommu_unit *unit, enum vtd_event event);
/* registers.lock held: software has cleared what the event was about. */
void vtd_event_serviced(struct viommu_unit *unit, enum vtd_event event);
void vtd_event_send(struct viommu_unit *unit, enum vtd_event event, struct vtd_message message);

/* fault.c. _record fills fault->recorded; `type` is the address type of the request. */
enum vtd_request {
	VTD_UNTRANSLATED = 0,
	VTD_TRANSLATION = 1,
	VTD_TRANSLATED = 2,
	VTD_PAGE_REQUEST = 3,
};
void vtd_fault_record(struct viommu_endpoint *endpoint, struct viommu_fault *fault,
		      enum vtd_request type, bool fault_processing_disabled);
/* An interrupt-remapping fault (7.1.1); index goes where the address is otherwise. */
void vtd_fault_record_interrupt(struct viommu_endpoint *endpoint, struct viommu_fault *fault,
				uint16_t index, bool fault_processing_disabled);
/* GCMD.SFL: the log begins anew where AFLOG says. */
void vtd_fault_log_set(struct viommu_unit *unit);
/* Records the log has room for. */
uint32_t vtd_fault_log_records(uint64_t aflog);
/* registers.lock held: set an invalidation-queue error bit in FSTS, or see to PPF after a clear. */
struct vtd_message vtd_fault_status(struct viommu_unit *unit, uint32_t bit);
void vtd_fault_cleared(struct viommu_unit *unit);

/* page_request.c */
void vtd_page_response(struct viommu_unit *unit, uint16_t rid, uint32_t pasid, uint16_t group,
		       enum viommu_response_code code);

/* context.c: the context of a request. In an access section. A reason, or 0 and a copy. */
unsigned int vtd_context_get(struct viommu_endpoint *endpoint, uint32_t pasid,
			     enum vtd_request type, struct vtd_context *copy,
			     bool *fault_processing_disabled);
void vtd_contexts_free(struct viommu_endpoint *endpoint);
/* VT-d 9.6: does a present PE have bits set that are reserved for this unit? */
bool vtd_pe_reserved(const struct viommu_unit *unit, const uint64_t pe[8]);
/* PASIDs with a valid cached context. */
uint64_t vtd_contexts_count(struct viommu_endpoint *endpoint);
/* Guest words in an access section; false: not RAM. `shard` counts them and may be NULL. */
bool vtd_read_words(struct viommu_unit *unit, struct vtd_shard *shard, uint64_t gpa,
		    uint64_t *words, unsigned int count);
/* Address bits that no memory of this host has. */
static inline uint64_t vtd_beyond_haw(const struct viommu_unit *unit)
{
	return ~0ull << unit->haw;
}

/* Is this guest-physical page one that only interrupt messages use? */
static inline bool vtd_interrupt_range(uint64_t first, uint64_t last)
{
	return first <= VTD_INTERRUPT_LAST && last >= VTD_INTERRUPT_FIRST;
}

#endif
