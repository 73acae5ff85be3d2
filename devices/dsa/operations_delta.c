/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Delta records: what changed between two buffers, as entries {16-bit index of an 8-byte word, the
 * 8 bytes}. DSA 8.3.7, 8.3.8.
 */
#include <string.h>
#include "internal.h"

enum { ENTRIES = 400, FLUSH = ENTRIES * DSA_DELTA_ENTRY };

enum delta_result { DELTA_EQUAL, DELTA_CREATED, DELTA_OVERFLOW };

struct creation {
	uint8_t buffer[FLUSH];
	uint32_t used;	  /* bytes of buffer */
	uint32_t written; /* bytes of the record before the buffer */
	uint32_t limit;	  /* bytes the record may have */
	bool overflow;
};

/* Stops when the buffer is full, or the record. */
static uint64_t create_step(void *context, void *const data[], uint64_t length, uint64_t offset)
{
	struct creation *creation = context;
	const uint8_t *before = data[0], *after = data[1];

	for (uint64_t i = 0; i + 8 <= length; i += 8) {
		uint16_t index = (offset + i) / 8;

		if (!memcmp(before + i, after + i, 8))
			continue;
		if (creation->written + creation->used + DSA_DELTA_ENTRY > creation->limit) {
			creation->overflow = true;
			return i;
		}
		if (creation->used == FLUSH)
			return i;
		memcpy(creation->buffer + creation->used, &index, 2);
		memcpy(creation->buffer + creation->used + 2, after + i, 8);
		creation->used += DSA_DELTA_ENTRY;
	}
	return length;
}

static enum dsa_outcome create(struct dsa_job *job, struct creation *creation, uint64_t *done)
{
	const struct dsa_descriptor *d = &job->descriptor;
	struct dsa_operand operands[2] = { { d->source, VIOMMU_READ },
					   { d->destination, VIOMMU_READ } };
	enum dsa_outcome outcome = DSA_DONE, stored;

	while (*done < d->size && !creation->overflow && outcome != DSA_FAULTED) {
		uint64_t moved;

		outcome = dsa_chunk(job, operands, 2, d->size - *done, create_step, creation, *done,
				    &moved);
		if (outcome == DSA_CANCELLED)
			return DSA_CANCELLED;
		*done += moved;
		if (outcome == DSA_DONE && *done < d->size)
			continue;
		stored = dsa_write_memory(job, d->delta.address + creation->written,
					  creation->buffer, creation->used);
		if (stored)
			return stored;
		creation->written += creation->used;
		creation->used = 0;
	}
	return outcome;
}

enum dsa_outcome dsa_run_create_delta(struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;
	struct creation creation = { .limit = d->delta.size };
	uint64_t done = 0;
	enum dsa_outcome outcome = create(job, &creation, &done);

	if (outcome == DSA_CANCELLED)
		return DSA_CANCELLED;
	job->record.delta_size = creation.written;
	job->record.result = creation.overflow	? DELTA_OVERFLOW
			     : creation.written ? DELTA_CREATED
						: DELTA_EQUAL;
	if (outcome == DSA_FAULTED || creation.overflow)
		job->record.completed = done;
	if (outcome == DSA_FAULTED)
		return DSA_DONE;
	job->record.status = DSA_STATUS_SUCCESS;
	/* DSA 8.3.7: bit n of the mask says result n is expected. */
	if (dsa_flags(d) & DSA_FLAG_CHECK_RESULT && !(d->delta.expected & 1 << job->record.result))
		job->record.status = DSA_STATUS_FALSE_PREDICATE;
	return DSA_DONE;
}

/* One entry of the record. `next` is the smallest index that may follow. */
static uint8_t apply_entry(struct dsa_job *job, const uint8_t *entry, uint32_t *next,
			   enum dsa_outcome *outcome)
{
	const struct dsa_descriptor *d = &job->descriptor;
	uint16_t index;

	memcpy(&index, entry, 2);
	if (index < *next)
		return DSA_STATUS_DELTA_ORDER;
	if ((uint64_t)index * 8 >= d->size)
		return DSA_STATUS_DELTA_RANGE;
	*next = index + 1;
	*outcome = dsa_write_memory(job, d->destination + (uint64_t)index * 8, entry + 2, 8);
	return 0;
}

enum dsa_outcome dsa_run_apply_delta(struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;
	uint8_t buffer[FLUSH];
	uint32_t done = 0, next = 0;
	enum dsa_outcome outcome = DSA_DONE;
	uint8_t status = 0;

	while (done < d->delta_size && !status && !outcome) {
		uint32_t part = d->delta_size - done < FLUSH ? d->delta_size - done : FLUSH;

		outcome = dsa_read_memory(job, d->source + done, buffer, part);
		for (uint32_t i = 0; i < part && !status && !outcome; i += DSA_DELTA_ENTRY) {
			status = apply_entry(job, buffer + i, &next, &outcome);
			if (!status && !outcome)
				done += DSA_DELTA_ENTRY;
		}
	}
	if (outcome == DSA_CANCELLED)
		return DSA_CANCELLED;
	if (outcome != DSA_FAULTED)
		job->record.status = status ? status : DSA_STATUS_SUCCESS;
	if (outcome || status)
		job->record.completed = done;
	return DSA_DONE;
}
