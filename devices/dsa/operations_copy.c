/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moving, filling and comparing memory. DSA 8.3.4-8.3.9, 8.3.17.
 *
 * Each is a step function for dsa_walk(): what to do with one run of host memory. After a fault the
 * record holds how many bytes are done, so that software can go on behind them.
 */
#include <string.h>
#include "internal.h"

enum { PATTERN_BLOCK = 4096 };

/* Fill in what every operation reports: progress after a fault, success otherwise. */
static enum dsa_outcome finish(struct dsa_job *job, enum dsa_outcome outcome, uint64_t done)
{
	if (outcome == DSA_CANCELLED)
		return DSA_CANCELLED;
	if (outcome == DSA_FAULTED)
		job->record.completed = done;
	else /* as a whole: see record_step() */
		job->record = (struct dsa_record){ .status = DSA_STATUS_SUCCESS };
	return DSA_DONE;
}

static uint64_t move_step(void *context, void *const data[], uint64_t length, uint64_t offset)
{
	memmove(data[1], data[0], length);
	return length;
}

/*
 * DSA 8.3.4: when the destination overlaps the end of the source, go from the end, page by page.
 * `size` bytes are yet to be moved, all at the start.
 */
static enum dsa_outcome move_backward(struct dsa_job *job, const struct dsa_operand operands[2],
				      uint64_t *size)
{
	enum dsa_outcome outcome = DSA_DONE;

	while (*size && !outcome) {
		uint64_t source_part = ((operands[0].iova + *size - 1) & 4095) + 1;
		uint64_t destination_part = ((operands[1].iova + *size - 1) & 4095) + 1;
		uint64_t part = source_part < destination_part ? source_part : destination_part;
		uint64_t done = 0, moved = 0;

		part = part < *size ? part : *size;
		while (done < part && !outcome) {
			outcome = dsa_chunk(job, operands, 2, part - done, move_step, NULL,
					    *size - part + done, &moved);
			done += moved;
		}
		if (!outcome)
			*size -= part;
	}
	return outcome;
}

enum dsa_outcome dsa_run_move(struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;
	struct dsa_operand operands[2] = { { d->source, VIOMMU_READ },
					   { d->destination, VIOMMU_WRITE } };
	/* A member of a parked batch was read again: the guest may have changed it. */
	uint64_t done = job->progress.done < d->size ? job->progress.done : d->size;
	uint64_t left = d->size - done, moved = 0;
	enum dsa_outcome outcome;

	if (d->destination > d->source && d->destination - d->source < d->size) {
		job->record.result = 1; /* went from the end */
		outcome = move_backward(job, operands, &left);
		done = d->size - left;
	} else {
		operands[0].iova += done;
		operands[1].iova += done;
		outcome = dsa_walk(job, operands, 2, left, move_step, NULL, &moved);
		done += moved;
	}
	job->progress.done = done;
	return finish(job, outcome, done);
}

static uint64_t dualcast_step(void *context, void *const data[], uint64_t length, uint64_t offset)
{
	memmove(data[1], data[0], length);
	memmove(data[2], data[0], length);
	return length;
}

enum dsa_outcome dsa_run_dualcast(struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;
	struct dsa_operand operands[3] = { { d->source, VIOMMU_READ },
					   { d->destination, VIOMMU_WRITE },
					   { d->destination_2, VIOMMU_WRITE } };
	uint64_t done;
	enum dsa_outcome outcome = dsa_walk(job, operands, 3, d->size, dualcast_step, NULL, &done);

	return finish(job, outcome, done);
}

/* A block of the repeated pattern; its length is a multiple of both pattern sizes. */
static void make_pattern(uint8_t block[PATTERN_BLOCK + 16], uint64_t low, uint64_t high)
{
	for (unsigned int i = 0; i < PATTERN_BLOCK + 16; i += 16) {
		memcpy(block + i, &low, 8);
		memcpy(block + i + 8, &high, 8);
	}
}

static uint64_t fill_step(void *context, void *const data[], uint64_t length, uint64_t offset)
{
	const uint8_t *block = (const uint8_t *)context + offset % 16;
	uint8_t *target = data[0];

	for (uint64_t done = 0; done < length; done += PATTERN_BLOCK)
		memcpy(target + done, block,
		       length - done < PATTERN_BLOCK ? length - done : PATTERN_BLOCK);
	return length;
}

enum dsa_outcome dsa_run_fill(struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;
	bool wide = dsa_flags(d) & DSA_FLAG_FILL_16;
	struct dsa_operand operand = { d->destination, VIOMMU_WRITE };
	uint8_t block[PATTERN_BLOCK + 16];
	enum dsa_outcome outcome;
	uint64_t done;

	make_pattern(block, d->source, wide ? d->pattern_high : d->source);
	outcome = dsa_walk(job, &operand, 1, d->size, fill_step, block, &done);
	return finish(job, outcome, done);
}

/* How many bytes are equal. */
static uint64_t common_prefix(const uint8_t *a, const uint8_t *b, uint64_t length)
{
	uint64_t low = 0;

	while (length) { /* halve the stretch that differs */
		uint64_t half = length - length / 2;

		if (!memcmp(a + low, b + low, half)) {
			low += half;
			length -= half;
		} else if (half == 1) {
			break;
		} else {
			length = half;
		}
	}
	return low;
}

static uint64_t compare_step(void *context, void *const data[], uint64_t length, uint64_t offset)
{
	return memcmp(data[0], data[1], length) ? common_prefix(data[0], data[1], length) : length;
}

static uint64_t compare_pattern_step(void *context, void *const data[], uint64_t length,
				     uint64_t offset)
{
	const uint8_t *block = (const uint8_t *)context + offset % 16;
	const uint8_t *source = data[0];

	for (uint64_t done = 0; done < length; done += PATTERN_BLOCK) {
		uint64_t part = length - done < PATTERN_BLOCK ? length - done : PATTERN_BLOCK;

		if (memcmp(source + done, block, part))
			return done + common_prefix(source + done, block, part);
	}
	return length;
}

/* DSA 8.3.6: result 0 equal, 1 not; with "check result" an unexpected one is a false predicate. */
static enum dsa_outcome finish_compare(struct dsa_job *job, enum dsa_outcome outcome, uint64_t done)
{
	bool differs = outcome == DSA_ENOUGH;

	outcome = finish(job, outcome, done);
	if (job->record.status != DSA_STATUS_SUCCESS)
		return outcome;
	if (differs) {
		job->record.result = 1;
		job->record.completed = done;
	}
	if (dsa_flags(&job->descriptor) & DSA_FLAG_CHECK_RESULT &&
	    (job->descriptor.expected & 1) != job->record.result)
		job->record.status = DSA_STATUS_FALSE_PREDICATE;
	return outcome;
}

enum dsa_outcome dsa_run_compare(struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;
	struct dsa_operand operands[2] = { { d->source, VIOMMU_READ },
					   { d->destination, VIOMMU_READ } };
	uint64_t done;
	enum dsa_outcome outcome = dsa_walk(job, operands, 2, d->size, compare_step, NULL, &done);

	return finish_compare(job, outcome, done);
}

enum dsa_outcome dsa_run_compare_pattern(struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;
	struct dsa_operand operand = { d->source, VIOMMU_READ };
	uint8_t block[PATTERN_BLOCK + 16];
	enum dsa_outcome outcome;
	uint64_t done;

	make_pattern(block, d->destination, d->destination);
	outcome = dsa_walk(job, &operand, 1, d->size, compare_pattern_step, block, &done);
	return finish_compare(job, outcome, done);
}

static uint64_t flush_step(void *context, void *const data[], uint64_t length, uint64_t offset)
{
	return length; /* caches are coherent here: translating is all there is to do */
}

enum dsa_outcome dsa_run_flush(struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;
	struct dsa_operand operand = { d->destination, VIOMMU_READ };
	uint64_t done;
	enum dsa_outcome outcome = dsa_walk(job, &operand, 1, d->size, flush_step, NULL, &done);

	return finish(job, outcome, done);
}
