/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside the DSA model.
 *
 * One lock, `struct dsa.lock`, protects registers, queues and what the engines are doing. It is
 * held for a few hundred instructions at most and never across DMA, a translation, a page request
 * or an interrupt. Interrupts raised under it are collected in `interrupts` and sent by
 * dsa_unlock().
 *
 * A *job* is one descriptor an engine has taken out of a WQ, or a member of a batch. A job is
 * *cancelled* by a command or reset: it ends at its next step and leaves no completion record. It
 * is *parked* by dsa_stop(): it goes back to the head of its queue so that it can go on elsewhere.
 *
 * Short descriptors are taken by the handful, under one lock: the first is the job, the others are
 * *held* and become the job in turn. What happens to the job happens to those that are still held.
 */
#ifndef DSA_INTERNAL_H
#define DSA_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <viommu/endpoint.h>
#include "dsa.h"
#include "spec.h"

enum dsa_outcome {
	DSA_DONE = 0,
	DSA_FAULTED = 1, /* job->record has status and fault address */
	DSA_ENOUGH = 2,	 /* the step function stopped the walk */
	DSA_CANCELLED = -1,
};

/* How far a descriptor got before it was parked. All zero: not begun. */
struct dsa_progress {
	uint64_t done;		  /* bytes of an overlapping move that must not be moved twice */
	struct dsa_record record; /* finished: the record that is yet to be written */
	bool finished;
};

/* A batch's own progress besides: members before `member` are complete. */
struct dsa_batch_progress {
	uint32_t member;
	bool failed; /* a member did not end with success */
	bool logged; /* a member's record went into the event log */
	struct dsa_progress current;
};

struct dsa_entry {
	struct dsa_descriptor descriptor;
	uint64_t sequence;
	bool begun; /* what follows says something */
	struct dsa_progress progress;
	struct dsa_batch_progress batch;
};

struct dsa_wq {
	uint32_t config[DSA_WQ_WORDS];
	bool enabled;
	bool logged; /* a completion record of it went into the event log since its last drain */
	struct dsa_entry *entries; /* a ring of dsa_ring() */
	unsigned int head;
	unsigned int count;
	uint64_t sequence; /* of the next descriptor */
};

/* A descriptor that is taken and waits for its engine to be through with those before it. */
struct dsa_held {
	struct dsa_descriptor descriptor;
	uint64_t sequence;
};

#define DSA_HELD 7

struct dsa_job {
	struct dsa *dsa;
	struct dsa_engine *engine;
	struct dsa_descriptor descriptor;
	struct dsa_record record;
	unsigned int wq;
	uint64_t sequence;
	uint64_t oldest; /* of those taken with it: the one that others look at, under lock */
	const uint32_t *config; /* a copy of WQCFG, the engine's */
	uint32_t pasid;
	uint32_t privilege;    /* VIOMMU_PRIVILEGED or 0 */
	bool may_privilege;    /* the function has privileged mode enabled */
	bool ats;	       /* faults a page request could cure stay out of the fault log */
	bool blocking;	       /* block on fault is in effect */
	unsigned int attempts; /* page requests without progress */
	struct dsa_progress progress;
	struct dsa_batch_progress members; /* of a batch */
	struct dsa_job *batch;		   /* a member: the batch it is in */
};

#define DSA_BOUNCE 4096

struct dsa_counters {
	_Atomic uint64_t descriptors, bytes, batches, page_requests, page_failures, faults;
};

/* Only the engine's own thread writes them: no locked instruction behind each copy. */
static inline void dsa_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

struct dsa_engine {
	struct dsa *dsa;
	unsigned int index;
	int group;	      /* -1: none */
	unsigned int sharers; /* engines of the group, this one too */
	pthread_t thread;
	pthread_cond_t wake;
	struct dsa_job *job;		/* NULL: idle */
	struct dsa_held held[DSA_HELD]; /* of the job's WQ, PASID and privilege */
	unsigned int held_next, held_end;
	atomic_bool cancel;
	atomic_bool park;
	unsigned int wq;     /* served last */
	unsigned int credit; /* descriptors left for it before another one's turn */
	bool page_waiting;
	uint16_t page_group;
	int page_code;
	uint32_t config[DSA_WQ_WORDS];
	/* Where the last record went: a hint only, never to be used but for a prefetch. */
	uint64_t record_iova;
	uintptr_t record_hva;
	struct dsa_counters counters;
	uint8_t bounce[3][DSA_BOUNCE];
};

struct dsa_slot {
	uint8_t bytes[64];
	uint64_t written; /* a bit per byte */
	bool retry;
};

struct dsa {
	struct dsa_options options;
	const struct dsa_ops *ops;
	void *opaque;
	struct viommu_endpoint *endpoint;
	struct viommu_memory *memory;

	/* One cache line with what nearly all who take the lock look at. */
	_Alignas(64) pthread_mutex_t lock;
	atomic_bool locked;	 /* a hint for dsa_lock() */
	atomic_uchar queued;	 /* threads that wait in dsa_lock() */
	uint8_t sleepers;	 /* a bit per engine that waits for work */
	uint8_t wakes;		 /* engines to wake on unlock */
	uint32_t interrupts;	 /* vectors to raise on unlock */
	atomic_uint submissions; /* counted under the lock, looked at without */

	_Alignas(64) pthread_cond_t settled; /* a job ended, or was told to */
	bool quit;
	bool stopped;
	bool resetting;
	bool bus_master;
	uint32_t features;
	unsigned int sending; /* threads raising some */

	uint32_t gencfg, genctrl, intcause;
	enum dsa_state state;
	enum dsa_reset_type reset_type;
	uint64_t swerr[4];
	uint64_t evlcfg[2];
	uint64_t evlstatus;
	uint32_t command, command_status;
	uint64_t command_target[DSA_MAX_WQS];
	uint64_t groups[DSA_MAX_GROUPS][DSA_GROUP_WORDS];
	uint64_t msixperm[DSA_MAX_VECTORS];
	struct dsa_wq wqs[DSA_MAX_WQS];
	struct dsa_engine engines[DSA_MAX_ENGINES];
	unsigned int engines_started;
	struct dsa_slot (*slots)[DSA_PORTAL_PAGES][DSA_PORTAL_SLOTS]; /* one array per WQ */

	pthread_mutex_t event_lock; /* one event-log entry at a time; taken before lock */
	uint64_t retries, dropped, errors, raised, aborted; /* under lock */
};

static inline uint32_t dsa_flags(const struct dsa_descriptor *descriptor)
{
	return descriptor->operation & 0xffffff;
}

static inline uint32_t dsa_opcode(const struct dsa_descriptor *descriptor)
{
	return descriptor->operation >> 24;
}

/* What fits a WQ, and what the engines may have to put back into it. */
static inline unsigned int dsa_ring(const struct dsa *dsa)
{
	return dsa->options.entries + DSA_MAX_ENGINES * (1 + DSA_HELD);
}

/* device.c: all zero; for free() */
struct dsa *dsa_allocate(void);

/* registers.c */
void dsa_lock(struct dsa *dsa);
void dsa_unlock(struct dsa *dsa);
void dsa_unlock_quietly(struct dsa *dsa); /* interrupts that are due stay due */
/* Give the lock up until `condition` is signalled or the deadline (NULL: none) is over: ETIMEDOUT. */
int dsa_wait(struct dsa *dsa, pthread_cond_t *condition, const struct timespec *deadline);
void dsa_registers_reset(struct dsa *dsa, enum dsa_reset_type type);
void dsa_cause(struct dsa *dsa, enum dsa_intcause cause);

/* config.c: under lock */
unsigned int dsa_wq_size(const struct dsa_wq *wq);
int dsa_wq_group(const struct dsa *dsa, unsigned int wq);
enum dsa_command_error dsa_check_device(const struct dsa *dsa);
enum dsa_command_error dsa_check_wq(const struct dsa *dsa, unsigned int wq);

/* command.c: under lock */
void dsa_command_write(struct dsa *dsa, uint32_t value);
void dsa_command_progress(struct dsa *dsa);

/* portal.c: under lock */
void dsa_portal_reset(struct dsa *dsa);

/* engine.c */
int dsa_engines_start(struct dsa *dsa);
void dsa_engines_join(struct dsa *dsa);
void dsa_engines_assign(struct dsa *dsa); /* under lock, like the rest */
void dsa_engine_kick(struct dsa *dsa, unsigned int wq);
void dsa_engines_kick_all(struct dsa *dsa);
bool dsa_engines_idle(const struct dsa *dsa);
void dsa_wq_flush(struct dsa *dsa, unsigned int wq);
void dsa_cancel_jobs(struct dsa *dsa, unsigned int wq_mask, bool any_pasid, uint32_t pasid);
uint32_t dsa_descriptor_pasid(const struct dsa_wq *wq, const struct dsa_descriptor *descriptor);

static inline bool dsa_cancelled(const struct dsa_job *job)
{
	return atomic_load_explicit(&job->engine->cancel, memory_order_relaxed);
}

static inline bool dsa_parking(const struct dsa_job *job)
{
	return atomic_load_explicit(&job->engine->park, memory_order_relaxed);
}

/* The work is done, the record is as it shall be: from now on other faults may come into job->record. */
static inline void dsa_keep_record(struct dsa_job *job)
{
	job->progress.record = job->record;
	job->progress.finished = true;
}

/* descriptor.c */
enum dsa_outcome dsa_execute(struct dsa_job *job);
bool dsa_handle_good(const struct dsa_job *job);

/* transfer.c */
#define DSA_OPERANDS 3
struct dsa_operand {
	uint64_t iova;
	uint32_t access; /* VIOMMU_READ or VIOMMU_WRITE */
};
/*
 * Do `length` bytes whose operands are at data[0..]; inside an access section. Returns how many
 * were done: fewer ends the walk.
 */
typedef uint64_t (*dsa_step)(void *context, void *const data[], uint64_t length, uint64_t offset);
enum dsa_outcome dsa_chunk(struct dsa_job *job, const struct dsa_operand *operands,
			   unsigned int count, uint64_t limit, dsa_step step, void *context,
			   uint64_t offset, uint64_t *moved);
enum dsa_outcome dsa_walk(struct dsa_job *job, const struct dsa_operand *operands,
			  unsigned int count, uint64_t size, dsa_step step, void *context,
			  uint64_t *done);
enum dsa_outcome dsa_read_memory(struct dsa_job *job, uint64_t iova, void *data, uint64_t length);
enum dsa_outcome dsa_write_memory(struct dsa_job *job, uint64_t iova, const void *data,
				  uint64_t length);
enum dsa_outcome dsa_store_record(struct dsa_job *job);
void dsa_page_response(void *opaque, uint32_t pasid, uint16_t group,
		       enum viommu_response_code code);

/* completion.c */
enum dsa_outcome dsa_complete(struct dsa_job *job);

/* error.c */
void dsa_report_error(struct dsa_job *job, uint8_t code, uint64_t address);
bool dsa_report_record(struct dsa_job *job, uint8_t code);

/* operations: fill job->record; DSA_DONE or DSA_CANCELLED */
enum dsa_outcome dsa_run_noop(struct dsa_job *job);
enum dsa_outcome dsa_run_drain(struct dsa_job *job);
enum dsa_outcome dsa_run_batch(struct dsa_job *job);
enum dsa_outcome dsa_run_move(struct dsa_job *job);
enum dsa_outcome dsa_run_fill(struct dsa_job *job);
enum dsa_outcome dsa_run_compare(struct dsa_job *job);
enum dsa_outcome dsa_run_compare_pattern(struct dsa_job *job);
enum dsa_outcome dsa_run_dualcast(struct dsa_job *job);
enum dsa_outcome dsa_run_flush(struct dsa_job *job);
enum dsa_outcome dsa_run_create_delta(struct dsa_job *job);
enum dsa_outcome dsa_run_apply_delta(struct dsa_job *job);
enum dsa_outcome dsa_run_crc(struct dsa_job *job);
enum dsa_outcome dsa_run_dif(struct dsa_job *job);
uint32_t dsa_dif_block(const struct dsa_descriptor *descriptor);

#endif
