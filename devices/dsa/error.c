/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Errors that have no completion record to be told in: the event log if the guest set one up, the
 * SWERR register otherwise. DSA 5.6-5.8, 9.2.15-9.2.17.
 *
 * The log is a ring in guest memory. Entries are written one at a time under `event_lock`, with no
 * other lock held during the DMA; the tail moves only after the entry is in memory.
 */
#include <string.h>
#include "internal.h"

struct event {
	uint64_t head[4];
	struct dsa_record record;
};
_Static_assert(sizeof(struct event) == 64, "GENCAP.EVL = 1: entries of 64 bytes");

/* First quadword, common to SWERR and the log. */
static uint64_t describe(const struct dsa_job *job, uint8_t code)
{
	uint64_t value = DSA_ERROR_DESCRIPTOR | DSA_ERROR_WQ_VALID |
			 DSA_PUT(code & ~DSA_STATUS_WRITE, DSA_ERROR_CODE) |
			 DSA_PUT(job->wq, DSA_ERROR_WQ) |
			 DSA_PUT(dsa_opcode(&job->descriptor), DSA_ERROR_OPERATION);

	if (code & DSA_STATUS_WRITE)
		value |= DSA_ERROR_WRITE;
	if (job->batch)
		value |= DSA_ERROR_BATCH;
	if (job->privilege)
		value |= DSA_ERROR_PRIVILEGED;
	if (job->pasid != VIOMMU_NO_PASID)
		value |= DSA_PUT(job->pasid, DSA_ERROR_PASID);
	return value;
}

static uint64_t batch_index(const struct dsa_job *job)
{
	return job->batch ? job->batch->members.member : 0;
}

/* Where the next entry goes. False: no log, or it is full. */
static bool event_place(struct dsa *dsa, uint64_t *address, uint32_t *pasid, uint32_t *privilege)
{
	uint64_t size, head, tail;
	bool usable;

	dsa_lock(dsa);
	size = DSA_GET(dsa->evlcfg[1], DSA_EVLCFG_SIZE);
	head = DSA_GET(dsa->evlstatus, DSA_EVLSTATUS_HEAD);
	tail = DSA_GET(dsa->evlstatus, DSA_EVLSTATUS_TAIL);
	usable = dsa->gencfg & DSA_GENCFG_EVENT_LOG && dsa->state != DSA_DISABLED &&
		 !dsa->resetting && size && tail < size && (tail + 1) % size != head;
	*address = (dsa->evlcfg[0] & DSA_EVLCFG_BASE) + tail * sizeof(struct event);
	*pasid = VIOMMU_NO_PASID;
	*privilege = 0;
	if (dsa->evlcfg[0] & DSA_EVLCFG_PASID_ENABLE) {
		*pasid = DSA_GET(dsa->evlcfg[1], DSA_EVLCFG_PASID);
		*privilege = dsa->evlcfg[0] & DSA_EVLCFG_PRIVILEGED ? VIOMMU_PRIVILEGED : 0;
	}
	dsa_unlock(dsa);
	return usable;
}

static void event_written(struct dsa *dsa)
{
	uint64_t size, tail;

	dsa_lock(dsa);
	size = DSA_GET(dsa->evlcfg[1], DSA_EVLCFG_SIZE);
	tail = DSA_GET(dsa->evlstatus, DSA_EVLSTATUS_TAIL);
	if (size && dsa->gencfg & DSA_GENCFG_EVENT_LOG) {
		dsa->evlstatus = (dsa->evlstatus & ~DSA_EVLSTATUS_TAIL) |
				 DSA_PUT((tail + 1) % size, DSA_EVLSTATUS_TAIL);
		/* One interrupt until software clears the pending bit: it reads all entries then.
		 */
		if (!(dsa->evlstatus & DSA_EVLSTATUS_PENDING) &&
		    dsa->genctrl & DSA_GENCTRL_EVENT_LOG)
			dsa_cause(dsa, DSA_CAUSE_EVENT_LOG);
		dsa->evlstatus |= DSA_EVLSTATUS_PENDING;
	}
	dsa->errors++;
	dsa_unlock(dsa);
}

static bool event_write(struct dsa *dsa, const struct event *event)
{
	uint64_t address;
	uint32_t pasid, privilege;
	bool written;

	pthread_mutex_lock(&dsa->event_lock);
	written = event_place(dsa, &address, &pasid, &privilege) &&
		  !viommu_dma_write(dsa->endpoint, pasid, address, event, sizeof(*event),
				    VIOMMU_WRITE | privilege, NULL, NULL);
	if (written)
		event_written(dsa);
	pthread_mutex_unlock(&dsa->event_lock);
	return written;
}

/*
 * A completion record that cannot be delivered: the guest's driver copies it from the log to where
 * it belongs. False if there is no log.
 */
bool dsa_report_record(struct dsa_job *job, uint8_t code)
{
	struct dsa *dsa = job->dsa;
	const struct dsa_descriptor *d = &job->descriptor;
	uint32_t flags = dsa_flags(d);
	struct event event = { .record = job->progress.record };

	event.head[0] = describe(job, code) | DSA_ERROR_INFO_VALID |
			DSA_PUT(job->engine->index, DSA_ERROR_BATCH_ID);
	event.head[1] = DSA_PUT(batch_index(job), DSA_ERROR_BATCH_INDEX) |
			DSA_PUT(d->handle, DSA_EVENT_HANDLE) |
			(flags & DSA_FLAG_REQUEST_INTERRUPT ? DSA_EVENT_INTERRUPT : 0) |
			(flags & DSA_FLAG_REQUEST_RECORD ? DSA_EVENT_RECORD : 0) |
			(job->batch && !job->batch->members.logged ? DSA_EVENT_FIRST : 0);
	event.head[2] = d->record;
	if (!event_write(dsa, &event))
		return false;
	if (job->batch)
		job->batch->members.logged = true;
	dsa_lock(dsa);
	if (dsa_opcode(d) != DSA_OP_DRAIN)
		dsa->wqs[job->wq].logged = true;
	dsa_unlock(dsa);
	return true;
}

static void set_swerr(struct dsa *dsa, const uint64_t words[3])
{
	if (dsa->swerr[0] & DSA_ERROR_VALID) { /* DSA 9.2.15: the first error is kept */
		dsa->swerr[0] |= DSA_ERROR_OVERFLOW;
	} else {
		dsa->swerr[0] = words[0] | DSA_ERROR_VALID;
		dsa->swerr[1] = words[1];
		dsa->swerr[2] = words[2];
		dsa->swerr[3] = 0;
		if (dsa->genctrl & DSA_GENCTRL_ERROR)
			dsa_cause(dsa, DSA_CAUSE_ERROR);
	}
	dsa->errors++;
}

void dsa_report_error(struct dsa_job *job, uint8_t code, uint64_t address)
{
	struct dsa *dsa = job->dsa;
	struct event event = { .record = job->progress.record };
	uint64_t flags = job->progress.record.status == DSA_STATUS_FLAGS
				 ? job->progress.record.invalid_flags
				 : 0;

	if (dsa_cancelled(job))
		return;
	event.head[0] = describe(job, code);
	event.head[1] = batch_index(job) | DSA_PUT(flags, DSA_ERROR_FLAGS);
	event.head[2] = address;
	if (event_write(dsa, &event))
		return;
	dsa_lock(dsa);
	set_swerr(dsa, event.head);
	dsa_unlock(dsa);
}
