/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operations about other operations: no-op, drain and batch. DSA 8.3.1-8.3.3.
 */
#include "internal.h"

enum { FETCH = 16 }; /* descriptors read at a time: 1 KiB */

enum dsa_outcome dsa_run_noop(struct dsa_job *job)
{
	job->record.status = DSA_STATUS_SUCCESS;
	return DSA_DONE;
}

/* Is an engine still at a descriptor of this WQ that came before `job`? DSA 3.8: of the same PASID
 * in a shared WQ. */
static bool earlier_running(const struct dsa *dsa, const struct dsa_job *job)
{
	for (unsigned int i = 0; i < dsa->options.engines; i++) {
		const struct dsa_job *other = dsa->engines[i].job;

		if (other && other != job && other->wq == job->wq && other->pasid == job->pasid &&
		    other->oldest < job->sequence)
			return true;
	}
	return false;
}

static enum dsa_outcome read_back(struct dsa_job *job, uint64_t iova)
{
	uint8_t byte;
	enum dsa_outcome outcome = dsa_read_memory(job, iova, &byte, 1);

	if (outcome == DSA_FAULTED)
		job->record.status = DSA_STATUS_READBACK_FAULT;
	return outcome;
}

enum dsa_outcome dsa_run_drain(struct dsa_job *job)
{
	struct dsa *dsa = job->dsa;
	uint32_t flags = dsa_flags(&job->descriptor);
	enum dsa_outcome outcome = DSA_DONE;

	dsa_lock(dsa);
	while (earlier_running(dsa, job) && !dsa_cancelled(job) && !dsa_parking(job))
		dsa_wait(dsa, &dsa->settled, NULL);
	dsa_unlock(dsa);
	if (dsa_cancelled(job) || dsa_parking(job))
		return DSA_CANCELLED;

	if (flags & DSA_FLAG_DRAIN_READBACK_1)
		outcome = read_back(job, job->descriptor.source);
	if (!outcome && flags & DSA_FLAG_DRAIN_READBACK_2)
		outcome = read_back(job, job->descriptor.destination);
	if (!outcome)
		job->record.status = DSA_STATUS_SUCCESS;
	return outcome == DSA_CANCELLED ? DSA_CANCELLED : DSA_DONE;
}

/* What all members of a batch have alike. */
static struct dsa_job member_of(struct dsa_job *batch)
{
	return (struct dsa_job){
		.dsa = batch->dsa,
		.engine = batch->engine,
		.wq = batch->wq,
		.sequence = batch->sequence,
		.config = batch->config,
		.pasid = batch->pasid, /* DSA 8.3.2: members' own PASID fields are ignored */
		.privilege = batch->privilege,
		.may_privilege = batch->may_privilege,
		.ats = batch->ats,
		.batch = batch,
	};
}

static enum dsa_outcome run_member(struct dsa_job *member, const struct dsa_descriptor *descriptor)
{
	struct dsa_progress *current = &member->batch->members.current;
	enum dsa_outcome outcome;

	member->descriptor = *descriptor;
	member->record = (struct dsa_record){ 0 };
	member->attempts = 0;
	member->progress = *current;
	outcome = dsa_execute(member);
	*current = outcome == DSA_CANCELLED ? member->progress : (struct dsa_progress){ 0 };
	return outcome;
}

/* DSA 3.9: a fence gives up the rest of the batch if anything before it failed. */
static bool fenced(const struct dsa_job *batch, const struct dsa_descriptor *descriptor)
{
	return dsa_flags(descriptor) & DSA_FLAG_FENCE && batch->members.failed;
}

/* Not across a page: members before a page that is not there are executed. */
static uint32_t fetch_size(uint64_t address, uint32_t left)
{
	uint32_t page = (4096 - address % 4096) / sizeof(struct dsa_descriptor);
	uint32_t part = page < FETCH ? page : FETCH;

	return left < part ? left : part;
}

enum dsa_outcome dsa_run_batch(struct dsa_job *job)
{
	struct dsa_batch_progress *members = &job->members;
	struct dsa_job member = member_of(job);
	struct dsa_descriptor list[FETCH];
	uint32_t count = job->descriptor.size;
	bool stop = false;

	while (members->member < count && !stop) {
		uint64_t address = job->descriptor.source + members->member * sizeof(*list);
		uint32_t part = fetch_size(address, count - members->member);
		enum dsa_outcome outcome =
			dsa_read_memory(job, address, list, part * sizeof(*list));

		if (outcome == DSA_CANCELLED)
			return DSA_CANCELLED;
		if (outcome == DSA_FAULTED) {
			job->record.status = DSA_STATUS_BATCH_FAULT;
			job->record.completed = members->member;
			return DSA_DONE;
		}
		for (uint32_t i = 0; i < part && !stop; i++) {
			stop = fenced(job, &list[i]);
			if (!stop && run_member(&member, &list[i]) == DSA_CANCELLED)
				return DSA_CANCELLED;
			members->member += !stop;
		}
	}
	atomic_fetch_add(&job->engine->counters.batches, 1);
	job->record.status = members->failed ? DSA_STATUS_BATCH : DSA_STATUS_SUCCESS;
	job->record.completed = members->member;
	return DSA_DONE;
}
