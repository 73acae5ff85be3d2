/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's side of DMA: translate a run, work on it, go on; and what to do when it cannot be
 * translated.
 *
 * A *chunk* is what is found in one go: up to 256 KiB of each operand, in up to 32 runs that lie side
 * by side in memory. It is done inside one access section, so an invalidation waits for no more than
 * one chunk, a piece with one pointer per operand at a time. All is found before anything is moved:
 * what a look-up costs a processor in waiting for its earlier stores is paid once. On a fault the
 * section is left first; then either a page request is made and waited for, or the descriptor ends
 * with page-accurate progress. What lies behind MMIO goes through a bounce buffer.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include "internal.h"

enum {
	CHUNK_LIMIT = 256 * 1024,
	PAGE = 4096,
	RUNS = 32,
	ATTEMPTS = 64, /* page requests without progress; more than any honest race needs */
};

/* Where an operand lies, and the run that the step is in. */
struct place {
	struct viommu_run runs[RUNS];
	const struct viommu_run *run;
	uint64_t end; /* of *run, in bytes of the chunk */
};

struct chunk {
	void *data[DSA_OPERANDS];
	struct place places[DSA_OPERANDS];
	uint64_t length;
	bool whole; /* one run of RAM each */
	unsigned int failed; /* the operand that `fault` is of */
	struct viommu_fault fault;
};

/* VT-d 7.1.3: the request was blocked before any page table was looked at. ATS answers this with an
 * error. */
static bool structural(const struct viommu_fault *fault)
{
	return fault->reason < 4 || (fault->reason >= 8 && fault->reason <= 0xb) ||
	       (fault->reason >= 0x30 && fault->reason < 0x60);
}

void dsa_page_response(void *opaque, uint32_t pasid, uint16_t group, enum viommu_response_code code)
{
	struct dsa *dsa = opaque;
	struct dsa_engine *engine;

	dsa_lock(dsa);
	engine = &dsa->engines[(group >> 6) % DSA_MAX_ENGINES];
	if (engine->page_waiting && engine->page_group == group) {
		engine->page_waiting = false;
		engine->page_code = code;
		pthread_cond_signal(&engine->wake);
	}
	dsa_unlock(dsa);
}

static struct timespec deadline_in(unsigned int milliseconds)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	time.tv_sec += milliseconds / 1000;
	time.tv_nsec += milliseconds % 1000 * 1000000l;
	if (time.tv_nsec >= 1000000000l) {
		time.tv_sec++;
		time.tv_nsec -= 1000000000l;
	}
	return time;
}

/* Group numbers: the engine in bits 8:6, below it a count so that a late answer is recognised. */
static uint16_t begin_wait(struct dsa_engine *engine)
{
	uint16_t group;

	dsa_lock(engine->dsa);
	group = engine->index << 6 | ((engine->page_group + 1) & 0x3f);
	engine->page_group = group;
	engine->page_waiting = true;
	engine->page_code = VIOMMU_RESPONSE_FAILURE;
	dsa_unlock(engine->dsa);
	return group;
}

static enum dsa_outcome wait_response(struct dsa_job *job)
{
	struct dsa_engine *engine = job->engine;
	struct dsa *dsa = job->dsa;
	struct timespec deadline = deadline_in(dsa->options.page_timeout_ms);
	enum dsa_outcome outcome;
	int error = 0;

	dsa_lock(dsa);
	while (engine->page_waiting && !dsa_cancelled(job) && !dsa_parking(job) &&
	       error != ETIMEDOUT)
		error = dsa_wait(dsa, &engine->wake, &deadline);
	if (!engine->page_waiting && engine->page_code == VIOMMU_RESPONSE_SUCCESS)
		outcome = DSA_DONE;
	else if (engine->page_waiting && (dsa_cancelled(job) || dsa_parking(job)))
		outcome = DSA_CANCELLED;
	else
		outcome = DSA_FAULTED;
	engine->page_waiting = false;
	dsa_unlock(dsa);
	return outcome;
}

/* DSA 3.11: block on fault. DSA_DONE: the guest says the page is there, try again. */
static enum dsa_outcome request_page(struct dsa_job *job, uint64_t iova, uint32_t access)
{
	struct dsa_engine *engine = job->engine;
	enum dsa_outcome outcome = DSA_FAULTED;
	uint16_t group;

	if (++job->attempts > ATTEMPTS)
		return DSA_FAULTED;
	group = begin_wait(engine);
	atomic_fetch_add(&engine->counters.page_requests, 1);
	if (!viommu_page_request(job->dsa->endpoint, job->pasid, iova & ~(uint64_t)(PAGE - 1),
				 access | job->privilege, group, true)) {
		outcome = wait_response(job);
	} else {
		dsa_lock(job->dsa);
		engine->page_waiting = false;
		dsa_unlock(job->dsa);
	}
	if (outcome == DSA_FAULTED)
		atomic_fetch_add(&engine->counters.page_failures, 1);
	return outcome;
}

/*
 * A translation failed: DSA_DONE to try it again, or the descriptor's fate. Faults that a page
 * request could cure are seen by an ATS device in the answer to its translation request and leave
 * no trace in the unit (VT-d 7.1.1); all others are recorded by asking once more aloud.
 */
static enum dsa_outcome resolve(struct dsa_job *job, uint64_t iova, uint32_t access,
				const struct viommu_fault *fault)
{
	struct viommu_translation loud;
	uint8_t write = access & VIOMMU_WRITE ? DSA_STATUS_WRITE : 0;

	if (job->blocking && fault->recoverable) {
		enum dsa_outcome outcome = request_page(job, iova, access);

		if (outcome != DSA_FAULTED)
			return outcome;
	}
	if (!job->ats || !fault->recoverable)
		viommu_translate(job->dsa->endpoint, job->pasid, iova, access | job->privilege,
				 &loud);
	if (structural(fault))
		job->record.status = DSA_STATUS_TRANSLATION;
	else if (job->blocking)
		job->record.status = DSA_STATUS_PAGE_REQUEST_FAILED | write;
	else
		job->record.status = DSA_STATUS_PAGE_FAULT | write;
	job->record.fault_address = iova;
	atomic_fetch_add(&job->engine->counters.faults, 1);
	return DSA_FAULTED;
}

/* Find all operands at `offset`. 0, or VIOMMU_FAULT with chunk->failed. */
static int find(struct dsa_job *job, const struct dsa_operand *operands, unsigned int count,
		uint64_t offset, uint64_t limit, struct chunk *chunk)
{
	chunk->length = limit < CHUNK_LIMIT ? limit : CHUNK_LIMIT;
	chunk->whole = true;
	for (unsigned int i = 0; i < count; i++) {
		struct place *place = &chunk->places[i];
		unsigned int count_of_runs;
		int error = viommu_translate_runs(job->dsa->endpoint, job->pasid,
						  operands[i].iova + offset,
						  operands[i].access | job->privilege,
						  &chunk->length, place->runs, RUNS,
						  &count_of_runs, &chunk->fault);

		chunk->failed = i;
		if (error != VIOMMU_FAULT && error) /* an address no table can describe */
			memset(&chunk->fault, 0, sizeof(chunk->fault));
		if (error)
			return VIOMMU_FAULT;
		place->run = place->runs;
		place->end = place->run->length;
		chunk->data[i] = place->run->hva;
		chunk->whole &= count_of_runs == 1 && place->run->hva;
	}
	return 0;
}

/* How far into its run an operand is after `at` bytes of the chunk. */
static uint64_t in_run(const struct place *place, uint64_t at)
{
	return at - (place->end - place->run->length);
}

/* Not RAM: read what is read into buffers first; write back what was written after the step. */
static int bounce(struct dsa_job *job, const struct dsa_operand *operands, unsigned int count,
		  struct chunk *chunk, uint64_t at, uint64_t length, bool after)
{
	for (unsigned int i = 0; i < count; i++) {
		const struct place *place = &chunk->places[i];
		bool write = operands[i].access & VIOMMU_WRITE;
		uint64_t gpa = place->run->gpa + in_run(place, at);
		int error = 0;

		if (place->run->hva)
			continue;
		chunk->data[i] = job->engine->bounce[i];
		if (after && write)
			error = viommu_memory_write(job->dsa->memory, gpa, chunk->data[i], length);
		else if (!after && !write)
			error = viommu_memory_read(job->dsa->memory, gpa, chunk->data[i], length);
		if (error) {
			chunk->failed = i;
			memset(&chunk->fault, 0, sizeof(chunk->fault));
			return error;
		}
	}
	return 0;
}

/* Where every operand is after `at` bytes of the chunk, and for how many it stays in its run. */
static uint64_t next_piece(struct chunk *chunk, unsigned int count, uint64_t at, bool *bounced)
{
	uint64_t end = chunk->length;

	*bounced = false;
	for (unsigned int i = 0; i < count; i++) {
		struct place *place = &chunk->places[i];

		if (place->end == at) {
			place->run++;
			place->end += place->run->length;
		}
		if (place->end < end)
			end = place->end;
		if (place->run->hva)
			chunk->data[i] = (uint8_t *)place->run->hva + in_run(place, at);
		else
			*bounced = true;
	}
	return *bounced && end - at > DSA_BOUNCE ? DSA_BOUNCE : end - at;
}

static void mark_runs(struct viommu_memory *memory, const struct viommu_run *run, uint64_t length)
{
	for (; length; run++) {
		uint64_t part = run->length < length ? run->length : length;

		if (run->hva)
			viommu_memory_mark_dirty(memory, run->gpa, part);
		length -= part;
	}
}

/* After the writes: who begins to track them reads memory only then. */
static void mark_dirty(struct dsa_job *job, const struct dsa_operand *operands, unsigned int count,
		       const struct chunk *chunk, uint64_t length)
{
	struct viommu_memory *memory = job->dsa->memory;

	if (!viommu_memory_dirty_active(memory))
		return;
	for (unsigned int i = 0; i < count; i++) {
		if (operands[i].access & VIOMMU_WRITE)
			mark_runs(memory, chunk->places[i].runs, length);
	}
}

/* What was found, piece by piece. *moved: how far the step came; *touched: what it was given. */
static enum dsa_outcome step_through(struct dsa_job *job, const struct dsa_operand *operands,
				     unsigned int count, uint64_t offset, dsa_step step,
				     void *context, struct chunk *chunk, uint64_t *moved,
				     uint64_t *touched)
{
	while (*moved < chunk->length) {
		bool bounced;
		uint64_t length = next_piece(chunk, count, *moved, &bounced);
		uint64_t done;

		if (bounced && bounce(job, operands, count, chunk, *moved, length, false))
			return *moved ? DSA_DONE : DSA_FAULTED;
		*touched += length;
		done = step(context, chunk->data, length, offset + *moved);
		if (bounced && bounce(job, operands, count, chunk, *moved, length, true))
			return *moved ? DSA_DONE : DSA_FAULTED;
		*moved += done;
		if (done < length)
			return DSA_ENOUGH;
	}
	return DSA_DONE;
}

/* One chunk, inside its access section. */
static enum dsa_outcome attempt(struct dsa_job *job, const struct dsa_operand *operands,
				unsigned int count, uint64_t offset, uint64_t limit, dsa_step step,
				void *context, struct chunk *chunk, uint64_t *moved)
{
	enum dsa_outcome outcome = DSA_DONE;
	uint64_t touched = 0;

	if (find(job, operands, count, offset, limit, chunk))
		return DSA_FAULTED;
	if (chunk->whole) {
		touched = chunk->length;
		*moved = step(context, chunk->data, touched, offset);
		outcome = *moved < touched ? DSA_ENOUGH : DSA_DONE;
	} else {
		outcome = step_through(job, operands, count, offset, step, context, chunk, moved,
				       &touched);
	}
	mark_dirty(job, operands, count, chunk, touched);
	return outcome;
}

enum dsa_outcome dsa_chunk(struct dsa_job *job, const struct dsa_operand *operands,
			   unsigned int count, uint64_t limit, dsa_step step, void *context,
			   uint64_t offset, uint64_t *moved)
{
	struct chunk chunk;
	enum dsa_outcome outcome;

	for (;;) {
		*moved = 0;
		/* A finished job is quicker ended than parked. */
		if (dsa_cancelled(job) || (dsa_parking(job) && !job->progress.finished))
			return DSA_CANCELLED;
		viommu_access_begin();
		outcome =
			attempt(job, operands, count, offset, limit, step, context, &chunk, moved);
		viommu_access_end();
		if (outcome != DSA_FAULTED)
			break;
		outcome = resolve(job, operands[chunk.failed].iova + offset,
				  operands[chunk.failed].access, &chunk.fault);
		if (outcome)
			return outcome;
	}
	job->attempts = 0;
	dsa_count(&job->engine->counters.bytes, *moved);
	return outcome;
}

enum dsa_outcome dsa_walk(struct dsa_job *job, const struct dsa_operand *operands,
			  unsigned int count, uint64_t size, dsa_step step, void *context,
			  uint64_t *done)
{
	enum dsa_outcome outcome = DSA_DONE;

	*done = 0;
	while (*done < size && !outcome) {
		uint64_t moved;

		outcome =
			dsa_chunk(job, operands, count, size - *done, step, context, *done, &moved);
		*done += moved;
	}
	return outcome;
}

static uint64_t load_step(void *context, void *const data[], uint64_t length, uint64_t offset)
{
	memcpy((uint8_t *)context + offset, data[0], length);
	return length;
}

static uint64_t store_step(void *context, void *const data[], uint64_t length, uint64_t offset)
{
	memcpy(data[0], (const uint8_t *)context + offset, length);
	return length;
}

enum dsa_outcome dsa_read_memory(struct dsa_job *job, uint64_t iova, void *data, uint64_t length)
{
	struct dsa_operand operand = { iova, VIOMMU_READ };
	uint64_t done;

	return dsa_walk(job, &operand, 1, length, load_step, data, &done);
}

enum dsa_outcome dsa_write_memory(struct dsa_job *job, uint64_t iova, const void *data,
				  uint64_t length)
{
	struct dsa_operand operand = { iova, VIOMMU_WRITE };
	uint64_t done;

	return dsa_walk(job, &operand, 1, length, store_step, (void *)data, &done);
}

/*
 * DSA 8.2: the status is written last, so whoever polls it finds the rest of the record in place. By
 * words where it lies as a record must: what was just stored as a whole is loaded without waiting
 * for the stores before it, those of a copy.
 */
static uint64_t record_step(void *context, void *const data[], uint64_t length, uint64_t offset)
{
	const struct dsa_record *record = context;
	uint8_t *target = data[0];
	uint64_t words[sizeof(*record) / 8];

	if ((uintptr_t)target % sizeof(words[0])) {
		memcpy(target + 1, &record->result, sizeof(*record) - 1);
		__atomic_store_n(target, record->status, __ATOMIC_RELEASE);
		return length;
	}
	memcpy(words, record, sizeof(words));
	memcpy(target + sizeof(words[0]), words + 1, sizeof(words) - sizeof(words[0]));
	__atomic_store_n((uint64_t *)target, words[0], __ATOMIC_RELEASE);
	return length;
}

/* The plain case, which nearly every descriptor has. */
static bool store_at_once(struct dsa_job *job)
{
	struct dsa_engine *engine = job->engine;
	struct viommu_memory *memory = job->dsa->memory;
	uint64_t iova = job->descriptor.record;
	struct viommu_translation t;
	bool done = false;

	viommu_access_begin();
	if (!viommu_translate_quiet(job->dsa->endpoint, job->pasid, iova,
				    VIOMMU_WRITE | job->privilege, &t) &&
	    t.hva && t.length >= sizeof(job->record) && !dsa_cancelled(job)) {
		record_step(&job->record, &t.hva, sizeof(job->record), 0);
		if (viommu_memory_dirty_active(memory))
			viommu_memory_mark_dirty(memory, t.gpa, sizeof(job->record));
		dsa_count(&engine->counters.bytes, sizeof(job->record));
		engine->record_iova = iova;
		engine->record_hva = (uintptr_t)t.hva;
		done = true;
	}
	viommu_access_end();
	return done;
}

enum dsa_outcome dsa_store_record(struct dsa_job *job)
{
	struct dsa_operand operand = { job->descriptor.record, VIOMMU_WRITE };
	uint64_t moved;

	if (store_at_once(job))
		return DSA_DONE;
	dsa_keep_record(job);
	return dsa_chunk(job, &operand, 1, sizeof(job->record), record_step, &job->progress.record,
			 0, &moved);
}
