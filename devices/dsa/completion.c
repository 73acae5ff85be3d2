/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of a descriptor: its completion record, then its interrupt. DSA 3.6, 3.7, 8.2.
 */
#include "internal.h"

static bool succeeded(const struct dsa_job *job)
{
	return job->record.status == DSA_STATUS_SUCCESS;
}

/*
 * DSA 3.7: whatever user space submits may interrupt only if GENCFG allows it. "User space" is a
 * descriptor with a PASID and without privilege.
 */
static bool interrupt_allowed(const struct dsa_job *job)
{
	return job->pasid == VIOMMU_NO_PASID || job->privilege ||
	       job->dsa->gencfg & DSA_GENCFG_USER_INTERRUPTS;
}

static void interrupt(struct dsa_job *job)
{
	struct dsa *dsa = job->dsa;

	if (!(dsa_flags(&job->descriptor) & DSA_FLAG_REQUEST_INTERRUPT) || !dsa_handle_good(job))
		return;
	dsa_lock(dsa);
	if (interrupt_allowed(job))
		dsa->interrupts |= 1u << job->descriptor.handle;
	dsa_unlock(dsa);
}

/*
 * DSA 5.8: with an event log, a batch whose members' records went there follows them, so that
 * software sees its record last; so does a drain.
 */
static uint8_t log_instead(const struct dsa_job *job)
{
	struct dsa *dsa = job->dsa;
	uint8_t code = 0;

	if (dsa_opcode(&job->descriptor) == DSA_OP_BATCH && job->members.logged)
		return DSA_STATUS_BATCH_LOGGED;
	if (dsa_opcode(&job->descriptor) != DSA_OP_DRAIN)
		return 0;
	dsa_lock(dsa);
	if (dsa->wqs[job->wq].logged)
		code = DSA_STATUS_DRAIN_LOGGED;
	dsa->wqs[job->wq].logged = false;
	dsa_unlock(dsa);
	return code;
}

static void record_faulted(struct dsa_job *job)
{
	uint8_t write = DSA_STATUS_WRITE;

	job->record = job->progress.record;
	if (!dsa_report_record(job, DSA_STATUS_RECORD_FAULT | write))
		dsa_report_error(job, DSA_STATUS_RECORD_FAULT | write, job->descriptor.record);
	if (job->batch)
		job->batch->members.failed = true;
}

enum dsa_outcome dsa_complete(struct dsa_job *job)
{
	uint32_t flags = dsa_flags(&job->descriptor);
	bool wanted = !succeeded(job) || flags & DSA_FLAG_REQUEST_RECORD;
	uint8_t code = log_instead(job);
	enum dsa_outcome outcome = DSA_DONE;

	if (job->batch && !succeeded(job))
		job->batch->members.failed = true;
	if (code) {
		dsa_keep_record(job);
		if (dsa_report_record(job, code)) {
			interrupt(job);
			return DSA_DONE;
		}
	}
	if (!(flags & DSA_FLAG_RECORD_VALID) || job->record.status == DSA_STATUS_RECORD_ALIGNMENT) {
		if (!succeeded(job)) {
			dsa_keep_record(job);
			dsa_report_error(job, job->record.status, job->record.fault_address);
		}
	} else if (wanted) {
		outcome = dsa_store_record(job);
	}
	if (outcome == DSA_CANCELLED)
		return DSA_CANCELLED;
	if (outcome == DSA_FAULTED)
		record_faulted(job);
	interrupt(job);
	return DSA_DONE;
}
