/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engines: one thread each, taking descriptors out of the WQs of their group. DSA 3.1, 3.4.
 *
 * An engine sleeps on its own condition variable and is woken for one descriptor; before it falls
 * asleep it looks out for the next one for some microseconds, as waking up takes longer than many a
 * descriptor. It serves the WQs of its group in turn, each for as many descriptors as its priority
 * says; short ones it takes several at a time. What it executes is visible to commands in
 * `engine->job`; they stop it through `cancel`, which the job looks at between its steps.
 */
#include <sched.h>
#include <string.h>
#include "devices/thread.h"
#include "internal.h"

enum { LOOKS = 500, SHORT = 64 * 1024 };

uint32_t dsa_descriptor_pasid(const struct dsa_wq *wq, const struct dsa_descriptor *descriptor)
{
	uint32_t mode = wq->config[DSA_WQ_MODE];

	if (!(mode & DSA_WQ_PASID_ENABLE))
		return VIOMMU_NO_PASID;
	if (mode & DSA_WQ_DEDICATED)
		return DSA_GET(mode, DSA_WQ_PASID);
	return descriptor->pasid & DSA_DESCRIPTOR_PASID;
}

static bool descriptor_privileged(const struct dsa_wq *wq, const struct dsa_descriptor *descriptor)
{
	uint32_t mode = wq->config[DSA_WQ_MODE];

	if (!(mode & DSA_WQ_PASID_ENABLE))
		return false;
	if (mode & DSA_WQ_DEDICATED)
		return mode & DSA_WQ_PRIVILEGED;
	return descriptor->pasid & DSA_DESCRIPTOR_PRIVILEGED;
}

bool dsa_engines_idle(const struct dsa *dsa)
{
	for (unsigned int i = 0; i < dsa->options.engines; i++) {
		if (dsa->engines[i].job)
			return false;
	}
	return true;
}

static bool may_work(const struct dsa *dsa)
{
	return !dsa->stopped && !dsa->resetting && dsa->bus_master && dsa->state != DSA_DISABLED;
}

/* Wake one sleeping engine that can serve this WQ. A busy one looks again when it is through. */
void dsa_engine_kick(struct dsa *dsa, unsigned int wq)
{
	int group = dsa_wq_group(dsa, wq);

	if (!may_work(dsa))
		return;
	for (unsigned int rest = dsa->sleepers; rest; rest &= rest - 1) {
		unsigned int i = __builtin_ctz(rest);

		if (dsa->engines[i].group == group) {
			dsa->sleepers &= ~(1u << i);
			dsa->wakes |= 1u << i; /* by dsa_unlock(): it should not wake up to find the
						  lock held */
			return;
		}
	}
}

void dsa_engines_kick_all(struct dsa *dsa)
{
	dsa->sleepers = 0;
	for (unsigned int i = 0; i < dsa->options.engines; i++)
		pthread_cond_signal(&dsa->engines[i].wake);
}

void dsa_engines_assign(struct dsa *dsa)
{
	for (unsigned int i = 0; i < dsa->options.engines; i++) {
		dsa->engines[i].group = -1;
		for (unsigned int group = 0; group < dsa->options.groups; group++) {
			if (dsa->groups[group][DSA_GROUP_ENGINES] & DSA_BIT(i))
				dsa->engines[i].group = group;
		}
	}
	for (unsigned int i = 0; i < dsa->options.engines; i++) {
		dsa->engines[i].sharers = 0;
		for (unsigned int other = 0; other < dsa->options.engines; other++)
			dsa->engines[i].sharers +=
				dsa->engines[other].group == dsa->engines[i].group;
	}
}

void dsa_wq_flush(struct dsa *dsa, unsigned int index)
{
	dsa->aborted += dsa->wqs[index].count;
	dsa->wqs[index].count = 0;
}

/* Tell jobs of these WQs (and, if !any_pasid, of this PASID) to end without a record. */
void dsa_cancel_jobs(struct dsa *dsa, unsigned int wq_mask, bool any_pasid, uint32_t pasid)
{
	for (unsigned int i = 0; i < dsa->options.engines; i++) {
		struct dsa_engine *engine = &dsa->engines[i];

		if (!engine->job || !(wq_mask & 1u << engine->job->wq) ||
		    (!any_pasid && engine->job->pasid != pasid))
			continue;
		atomic_store(&engine->cancel, true);
		pthread_cond_signal(&engine->wake);
	}
	pthread_cond_broadcast(&dsa->settled);
}

static bool serves(const struct dsa *dsa, const struct dsa_engine *engine, unsigned int wq)
{
	return dsa->wqs[wq].count && engine->group >= 0 &&
	       dsa->groups[engine->group][DSA_GROUP_WQS] & DSA_BIT(wq);
}

/* DSA 3.4: WQs of a group are served by priority, without starving any. */
static int choose_wq(struct dsa *dsa, struct dsa_engine *engine)
{
	if (engine->credit && serves(dsa, engine, engine->wq)) {
		engine->credit--;
		return engine->wq;
	}
	for (unsigned int i = 1; i <= dsa->options.wqs; i++) {
		unsigned int wq = (engine->wq + i) % dsa->options.wqs;
		uint32_t priority = DSA_GET(dsa->wqs[wq].config[DSA_WQ_MODE], DSA_WQ_PRIORITY);

		if (!serves(dsa, engine, wq))
			continue;
		engine->wq = wq;
		engine->credit = priority ? priority - 1 : 0;
		return wq;
	}
	return -1;
}

/* It ends soon, whatever the guest and other engines do. */
static bool is_short(const struct dsa_entry *entry)
{
	const struct dsa_descriptor *d = &entry->descriptor;
	uint32_t opcode = dsa_opcode(d);

	return !entry->begun && opcode != DSA_OP_BATCH && opcode != DSA_OP_DRAIN &&
	       !(dsa_flags(d) & DSA_FLAG_BLOCK_ON_FAULT) && d->size <= SHORT;
}

static bool same_requester(const struct dsa_job *job, const struct dsa_wq *wq,
			   const struct dsa_descriptor *descriptor)
{
	return dsa_descriptor_pasid(wq, descriptor) == job->pasid &&
	       descriptor_privileged(wq, descriptor) == !!job->privilege;
}

static bool others_wait(const struct dsa *dsa, const struct dsa_engine *engine)
{
	for (unsigned int wq = 0; wq < dsa->options.wqs; wq++) {
		if (wq != engine->wq && serves(dsa, engine, wq))
			return true;
	}
	return false;
}

static void remove_head(const struct dsa *dsa, struct dsa_wq *wq)
{
	wq->head = (wq->head + 1) % dsa_ring(dsa);
	wq->count--;
	/* It came from another processor's cache; so will the next, while this one is worked on. */
	__builtin_prefetch(&wq->entries[wq->head].descriptor);
}

/*
 * Taking the lock waits until a copy's stores have reached the cache: once for several descriptors.
 * The group's other engines get their share, other WQs their turn.
 */
static void hold_more(struct dsa *dsa, struct dsa_engine *engine, const struct dsa_job *job)
{
	struct dsa_wq *wq = &dsa->wqs[job->wq];
	unsigned int share = wq->count / engine->sharers;

	if (share > DSA_HELD)
		share = DSA_HELD;
	while (engine->held_end < share) {
		const struct dsa_entry *entry = &wq->entries[wq->head];

		if (!is_short(entry) || !same_requester(job, wq, &entry->descriptor) ||
		    (!engine->credit && others_wait(dsa, engine)))
			break;
		if (engine->credit)
			engine->credit--;
		engine->held[engine->held_end++] =
			(struct dsa_held){ entry->descriptor, entry->sequence };
		remove_head(dsa, wq);
	}
}

/* The next that is held becomes the job. */
static bool next_held(struct dsa_job *job)
{
	struct dsa_engine *engine = job->engine;
	const struct dsa_held *held = &engine->held[engine->held_next];

	if (engine->held_next == engine->held_end)
		return false;
	engine->held_next++;
	job->descriptor = held->descriptor;
	job->sequence = held->sequence;
	job->record = (struct dsa_record){ 0 };
	job->progress = (struct dsa_progress){ 0 };
	return true;
}

static bool take_job(struct dsa *dsa, struct dsa_engine *engine, struct dsa_job *job)
{
	int index = may_work(dsa) ? choose_wq(dsa, engine) : -1;
	struct dsa_entry *entry;
	struct dsa_wq *wq;
	uint32_t mode;

	if (index < 0)
		return false;
	wq = &dsa->wqs[index];
	entry = &wq->entries[wq->head];
	mode = wq->config[DSA_WQ_MODE];
	memcpy(engine->config, wq->config, sizeof(engine->config));
	/* Field by field: clearing all of it before every descriptor would show. */
	job->dsa = dsa;
	job->engine = engine;
	job->descriptor = entry->descriptor;
	job->record = (struct dsa_record){ 0 };
	job->wq = index;
	job->sequence = job->oldest = entry->sequence;
	job->config = engine->config;
	job->pasid = dsa_descriptor_pasid(wq, &entry->descriptor);
	job->privilege = descriptor_privileged(wq, &entry->descriptor) ? VIOMMU_PRIVILEGED : 0;
	job->may_privilege = dsa->features & VIOMMU_ENDPOINT_PASID_PRIVILEGED;
	job->ats = dsa->features & VIOMMU_ENDPOINT_ATS && !(mode & DSA_WQ_ATS_DISABLE);
	job->blocking = false;
	job->attempts = 0;
	job->progress = entry->begun ? entry->progress : (struct dsa_progress){ 0 };
	job->members = entry->begun ? entry->batch : (struct dsa_batch_progress){ 0 };
	job->batch = NULL;
	remove_head(dsa, wq);
	engine->held_next = engine->held_end = 0;
	if (is_short(entry))
		hold_more(dsa, engine, job);
	engine->job = job;
	/* Under the lock, as all that set them. */
	atomic_store_explicit(&engine->cancel, false, memory_order_relaxed);
	atomic_store_explicit(&engine->park, false, memory_order_relaxed);
	return true;
}

/* dsa_stop(): back to the head of the queue, in the order of submission, with what is needed to go
 * on. */
static void put_back(struct dsa *dsa, struct dsa_job *job)
{
	struct dsa_wq *wq = &dsa->wqs[job->wq];
	unsigned int place;

	wq->head = (wq->head + dsa_ring(dsa) - 1) % dsa_ring(dsa);
	wq->count++;
	place = wq->head;
	for (unsigned int i = 1; i < wq->count; i++) {
		unsigned int next = (wq->head + i) % dsa_ring(dsa);

		if (wq->entries[next].sequence > job->sequence)
			break;
		wq->entries[place] = wq->entries[next];
		place = next;
	}
	wq->entries[place] = (struct dsa_entry){
		.descriptor = job->descriptor,
		.sequence = job->sequence,
		.begun = true,
		.progress = job->progress,
		.batch = job->members,
	};
}

/* The job and those held behind it, until one of them is cancelled or parked. */
static enum dsa_outcome execute(struct dsa_job *job)
{
	enum dsa_outcome outcome = dsa_execute(job);

	while (!outcome && next_held(job))
		outcome = dsa_cancelled(job) || dsa_parking(job) ? DSA_CANCELLED : dsa_execute(job);
	return outcome;
}

static void end_job(struct dsa *dsa, struct dsa_engine *engine, enum dsa_outcome outcome)
{
	struct dsa_job *job = engine->job;

	if (outcome == DSA_CANCELLED) {
		bool parked = atomic_load(&engine->park) && !atomic_load(&engine->cancel);

		do {
			if (parked)
				put_back(dsa, job);
			else
				dsa->aborted++;
		} while (next_held(job));
	}
	engine->job = NULL;
	pthread_cond_broadcast(&dsa->settled);
	dsa_command_progress(dsa);
}

/* Until something is submitted, or a few microseconds are over. */
static void look_out(struct dsa *dsa)
{
	unsigned int seen = atomic_load_explicit(&dsa->submissions, memory_order_relaxed);

	dsa_unlock(dsa);
	for (unsigned int i = 0; i < LOOKS; i++) {
		if (atomic_load_explicit(&dsa->submissions, memory_order_relaxed) != seen)
			break;
		device_pause();
		/* Whoever submits may need this processor. */
		if (i % 16 == 15)
			sched_yield();
	}
	dsa_lock(dsa);
}

static void *engine_main(void *argument)
{
	struct dsa_engine *engine = argument;
	struct dsa *dsa = engine->dsa;
	struct dsa_job job;
	bool worked = false;

	dsa_lock(dsa);
	while (!dsa->quit) {
		enum dsa_outcome outcome;

		if (!take_job(dsa, engine, &job)) {
			if (worked) {
				worked = false;
				look_out(dsa);
				continue;
			}
			dsa->sleepers |= 1u << engine->index;
			dsa_wait(dsa, &engine->wake, NULL);
			dsa->sleepers &= ~(1u << engine->index);
			continue;
		}
		dsa_unlock(dsa);
		worked = true;
		outcome = execute(&job);
		dsa_lock(dsa);
		end_job(dsa, engine, outcome);
		if (dsa->interrupts) {
			dsa_unlock(dsa);
			dsa_lock(dsa);
		}
	}
	dsa_unlock(dsa);
	return NULL;
}

int dsa_engines_start(struct dsa *dsa)
{
	for (unsigned int i = 0; i < dsa->options.engines; i++) {
		struct dsa_engine *engine = &dsa->engines[i];
		int error =
			device_thread_create(&engine->thread, "dsa-engine", engine_main, engine);

		if (error)
			return error;
		dsa->engines_started++;
	}
	return 0;
}

void dsa_engines_join(struct dsa *dsa)
{
	dsa_lock(dsa);
	dsa->quit = true;
	dsa_cancel_jobs(dsa, ~0u, true, 0);
	dsa_engines_kick_all(dsa);
	dsa_unlock(dsa);
	for (unsigned int i = 0; i < dsa->engines_started; i++)
		pthread_join(dsa->engines[i].thread, NULL);
}
