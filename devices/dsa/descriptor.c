/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One descriptor: is it legal, then run it. DSA 5 (checks) and 8 (formats).
 *
 * One table row per opcode says which flags it may carry, which bytes it uses (all others must be
 * zero) and who runs it. The checks come in the order of the specification's error codes; rules of
 * single operations are in small functions the row names.
 */
#include <string.h>
#include "devices/thread.h"
#include "internal.h"

#define FLAGS_ALL                                                           \
	(DSA_FLAG_FENCE | DSA_FLAG_RECORD_VALID | DSA_FLAG_REQUEST_RECORD | \
	 DSA_FLAG_REQUEST_INTERRUPT | DSA_FLAG_RECORD_STEERING | DSA_FLAG_TRAFFIC_RECORD)
#define FLAGS_READ (FLAGS_ALL | DSA_FLAG_BLOCK_ON_FAULT | DSA_FLAG_TRAFFIC_1)
#define FLAGS_WRITE                                                                         \
	(FLAGS_READ | DSA_FLAG_CACHE_CONTROL | DSA_FLAG_TRAFFIC_2 | DSA_FLAG_STRICT_ORDER | \
	 DSA_FLAG_READBACK | DSA_FLAG_STEERING)
#define FLAGS_CRC \
	(DSA_FLAG_CRC_READ_SEED | DSA_FLAG_CRC_RAW | DSA_FLAG_CRC_RAW_DATA | DSA_FLAG_TRAFFIC_3)

/* Bytes of a descriptor an operation uses, besides flags, record address and interrupt handle. */
#define BYTES(first, last) DSA_MASK(last, first)
#define COMMON		   (BYTES(0, 15) | BYTES(36, 37))
#define SOURCE		   BYTES(16, 23)
#define DESTINATION	   BYTES(24, 31)
#define SIZE		   BYTES(32, 35)

struct operation {
	uint32_t flags;
	uint64_t bytes;
	uint8_t (*check)(const struct dsa_job *job); /* its own rules; 0 or a status */
	enum dsa_outcome (*run)(struct dsa_job *job);
	bool sized; /* `size` is a transfer size, 1..the WQ's limit */
};

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b ? b - a < a_size : a - b < b_size;
}

static uint8_t check_batch(const struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;
	unsigned int shift = DSA_GET(job->config[DSA_WQ_LIMITS], DSA_WQ_MAX_BATCH);

	if (d->size < 2 || d->size > 1u << shift)
		return DSA_STATUS_COUNT;
	return d->source % 64 ? DSA_STATUS_LIST_ALIGNMENT : 0;
}

/* DSA 8.3.3: readback addresses only with their flags. */
static uint8_t check_drain(const struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;
	uint32_t flags = dsa_flags(d);

	if ((d->source && !(flags & DSA_FLAG_DRAIN_READBACK_1)) ||
	    (d->destination && !(flags & DSA_FLAG_DRAIN_READBACK_2)))
		return DSA_STATUS_RESERVED;
	return 0;
}

static uint8_t check_fill(const struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;

	return d->pattern_high && !(dsa_flags(d) & DSA_FLAG_FILL_16) ? DSA_STATUS_RESERVED : 0;
}

static uint8_t check_create_delta(const struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;

	if (d->size % 8 || d->size > DSA_DELTA_TRANSFER_MAX)
		return DSA_STATUS_SIZE;
	if (d->delta.size < DSA_DELTA_RECORD_MIN)
		return DSA_STATUS_DELTA_SIZE;
	if (overlap(d->source, d->size, d->delta.address, d->delta.size) ||
	    overlap(d->destination, d->size, d->delta.address, d->delta.size))
		return DSA_STATUS_OVERLAP;
	return (d->source | d->destination | d->delta.address) % 8 ? DSA_STATUS_ALIGNMENT : 0;
}

static uint8_t check_apply_delta(const struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;

	if (d->size % 8 || d->size > DSA_DELTA_TRANSFER_MAX)
		return DSA_STATUS_SIZE;
	if (!d->delta_size || d->delta_size % DSA_DELTA_ENTRY)
		return DSA_STATUS_DELTA_SIZE;
	if (overlap(d->source, d->delta_size, d->destination, d->size))
		return DSA_STATUS_OVERLAP;
	return (d->source | d->destination) % 8 ? DSA_STATUS_ALIGNMENT : 0;
}

static uint8_t check_dualcast(const struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;

	if ((d->destination ^ d->destination_2) % 4096)
		return DSA_STATUS_DUALCAST;
	if (overlap(d->source, d->size, d->destination, d->size) ||
	    overlap(d->source, d->size, d->destination_2, d->size) ||
	    overlap(d->destination, d->size, d->destination_2, d->size))
		return DSA_STATUS_OVERLAP;
	return 0;
}

static uint8_t check_crc(const struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;
	bool read_seed = dsa_flags(d) & DSA_FLAG_CRC_READ_SEED;

	if (dsa_opcode(d) == DSA_OP_COPY_CRC &&
	    overlap(d->source, d->size, d->destination, d->size))
		return DSA_STATUS_OVERLAP;
	return read_seed && d->crc.seed_address % 4 ? DSA_STATUS_ALIGNMENT : 0;
}

static uint8_t check_dif(const struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;
	uint32_t opcode = dsa_opcode(d), block = dsa_dif_block(d);
	uint32_t in = opcode == DSA_OP_DIF_INSERT ? block : block + 8;
	uint32_t out = opcode == DSA_OP_DIF_STRIP ? block : block + 8;
	uint64_t written = (uint64_t)d->size / in * out;

	if (d->dif.flags & ~(DSA_DIF_BLOCK | DSA_DIF_INVERT_SEED | DSA_DIF_INVERT_RESULT) ||
	    d->dif.destination_flags & 7)
		return DSA_STATUS_RESERVED;
	if (d->size % in)
		return DSA_STATUS_SIZE;
	if (opcode != DSA_OP_DIF_CHECK && overlap(d->source, d->size, d->destination, written))
		return DSA_STATUS_OVERLAP;
	return 0;
}

static const struct operation operations[DSA_OPCODES] = {
	[DSA_OP_NOOP] = { FLAGS_ALL, 0, NULL, dsa_run_noop, false },
	[DSA_OP_BATCH] = { FLAGS_READ & ~DSA_FLAG_FENCE, SOURCE | SIZE, check_batch, dsa_run_batch,
			   false },
	[DSA_OP_DRAIN] = { (FLAGS_ALL & ~DSA_FLAG_FENCE) | DSA_FLAG_DRAIN_READBACK_1 |
				   DSA_FLAG_DRAIN_READBACK_2 | DSA_FLAG_TRAFFIC_1 |
				   DSA_FLAG_TRAFFIC_2,
			   SOURCE | DESTINATION, check_drain, dsa_run_drain, false },
	[DSA_OP_MEMMOVE] = { FLAGS_WRITE, SOURCE | DESTINATION | SIZE, NULL, dsa_run_move, true },
	[DSA_OP_FILL] = { FLAGS_WRITE | DSA_FLAG_FILL_16,
			  SOURCE | DESTINATION | SIZE | BYTES(40, 47), check_fill, dsa_run_fill,
			  true },
	[DSA_OP_COMPARE] = { FLAGS_READ | DSA_FLAG_CHECK_RESULT | DSA_FLAG_TRAFFIC_2,
			     SOURCE | DESTINATION | SIZE | BYTES(40, 40), NULL, dsa_run_compare,
			     true },
	[DSA_OP_COMPARE_PATTERN] = { FLAGS_READ | DSA_FLAG_CHECK_RESULT,
				     SOURCE | DESTINATION | SIZE | BYTES(40, 40), NULL,
				     dsa_run_compare_pattern, true },
	[DSA_OP_CREATE_DELTA] = { FLAGS_WRITE | DSA_FLAG_CHECK_RESULT | DSA_FLAG_TRAFFIC_3,
				  SOURCE | DESTINATION | SIZE | BYTES(40, 51) | BYTES(56, 56),
				  check_create_delta, dsa_run_create_delta, true },
	[DSA_OP_APPLY_DELTA] = { FLAGS_WRITE, SOURCE | DESTINATION | SIZE | BYTES(40, 43),
				 check_apply_delta, dsa_run_apply_delta, true },
	[DSA_OP_DUALCAST] = { FLAGS_WRITE | DSA_FLAG_TRAFFIC_3,
			      SOURCE | DESTINATION | SIZE | BYTES(40, 47), check_dualcast,
			      dsa_run_dualcast, true },
	[DSA_OP_CRC] = { FLAGS_READ | FLAGS_CRC, SOURCE | SIZE | BYTES(40, 43) | BYTES(48, 55),
			 check_crc, dsa_run_crc, true },
	[DSA_OP_COPY_CRC] = { FLAGS_WRITE | FLAGS_CRC,
			      SOURCE | DESTINATION | SIZE | BYTES(40, 43) | BYTES(48, 55),
			      check_crc, dsa_run_crc, true },
	[DSA_OP_DIF_CHECK] = { FLAGS_READ,
			       SOURCE | SIZE | BYTES(40, 40) | BYTES(42, 42) | BYTES(48, 55),
			       check_dif, dsa_run_dif, true },
	[DSA_OP_DIF_INSERT] = { FLAGS_WRITE,
				SOURCE | DESTINATION | SIZE | BYTES(41, 42) | BYTES(56, 63),
				check_dif, dsa_run_dif, true },
	[DSA_OP_DIF_STRIP] = { FLAGS_WRITE,
			       SOURCE | DESTINATION | SIZE | BYTES(40, 40) | BYTES(42, 42) |
				       BYTES(48, 55),
			       check_dif, dsa_run_dif, true },
	[DSA_OP_DIF_UPDATE] = { FLAGS_WRITE,
				SOURCE | DESTINATION | SIZE | BYTES(40, 42) | BYTES(48, 63),
				check_dif, dsa_run_dif, true },
	[DSA_OP_CACHE_FLUSH] = { FLAGS_READ | DSA_FLAG_CACHE_CONTROL | DSA_FLAG_TRAFFIC_2,
				 DESTINATION | SIZE, NULL, dsa_run_flush, true },
};

/* DSA 9.2.18 OPCONFIG; batches and drains may not be members of a batch (DSA 8.3.2). */
static bool opcode_allowed(const struct dsa_job *job, uint32_t opcode)
{
	if (opcode >= DSA_OPCODES || !operations[opcode].run)
		return false;
	if (!(job->config[DSA_WQ_OPERATIONS + opcode / 32] & 1u << opcode % 32))
		return false;
	return !job->batch || (opcode != DSA_OP_BATCH && opcode != DSA_OP_DRAIN);
}

/* The flags this descriptor has and may not have. */
static uint32_t bad_flags(const struct dsa_job *job, const struct operation *operation)
{
	uint32_t flags = dsa_flags(&job->descriptor), allowed = operation->flags;

	if (!job->batch)
		allowed &= ~DSA_FLAG_FENCE;
	if (!(job->config[DSA_WQ_MODE] & DSA_WQ_BLOCK_ON_FAULT))
		allowed &= ~DSA_FLAG_BLOCK_ON_FAULT;
	if (!(flags & DSA_FLAG_RECORD_VALID))
		allowed &= ~(DSA_FLAG_REQUEST_RECORD | DSA_FLAG_CHECK_RESULT);
	return flags & ~allowed;
}

/* A bit for each byte of `word` that is not zero. */
static unsigned int bytes_set(uint64_t word)
{
	const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);
	uint64_t high = (((word & low) + low) | word) & ~low;

	return (high >> 7) * UINT64_C(0x0102040810204080) >> 56;
}

static bool reserved_zero(const struct dsa_descriptor *descriptor, uint64_t used)
{
	uint64_t words[sizeof(*descriptor) / 8], set = 0;

	memcpy(words, descriptor, sizeof(words));
	for (unsigned int i = 2; i < sizeof(words) / sizeof(*words); i++)
		set |= (uint64_t)bytes_set(words[i]) << 8 * i;
	return !(set & ~used) &&
	       !(descriptor->pasid & ~(DSA_DESCRIPTOR_PRIVILEGED | DSA_DESCRIPTOR_PASID));
}

/* DSA 3.7: the handle is an MSI-X index here; the entry may be bound to a PASID. */
bool dsa_handle_good(const struct dsa_job *job)
{
	struct dsa *dsa = job->dsa;
	uint16_t handle = job->descriptor.handle;
	uint64_t permission;

	if (!handle || handle > dsa->options.wqs)
		return false;
	dsa_lock(dsa);
	permission = dsa->msixperm[handle];
	dsa_unlock(dsa);
	return !(permission & DSA_MSIXPERM_PASID_ENABLE) ||
	       DSA_GET(permission, DSA_MSIXPERM_PASID) == job->pasid;
}

static uint8_t validate(struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;
	const struct operation *operation;
	uint32_t opcode = dsa_opcode(d), flags = dsa_flags(d);

	if (!opcode_allowed(job, opcode))
		return DSA_STATUS_OPCODE;
	operation = &operations[opcode];
	if (bad_flags(job, operation)) {
		job->record.invalid_flags = bad_flags(job, operation);
		return DSA_STATUS_FLAGS;
	}
	if (!reserved_zero(d, COMMON | operation->bytes))
		return DSA_STATUS_RESERVED;
	if (flags & DSA_FLAG_RECORD_VALID && d->record % sizeof(struct dsa_record))
		return DSA_STATUS_RECORD_ALIGNMENT;
	if (flags & DSA_FLAG_REQUEST_INTERRUPT && !dsa_handle_good(job))
		return DSA_STATUS_HANDLE;
	/* A shared WQ takes privilege from the descriptor: the function must have been given it. */
	if (job->privilege && !job->may_privilege)
		return DSA_STATUS_PRIVILEGE;
	if (operation->sized &&
	    (!d->size || d->size > 1ull << (job->config[DSA_WQ_LIMITS] & DSA_WQ_MAX_TRANSFER)))
		return DSA_STATUS_SIZE;
	return operation->check ? operation->check(job) : 0;
}

/* Whoever polls a record has its cache line; with luck it is here when the work is done. */
static void prefetch_record(const struct dsa_job *job)
{
	const struct dsa_engine *engine = job->engine;
	uint64_t from_last = job->descriptor.record - engine->record_iova;

	device_prefetch_write((const void *)(engine->record_hva + (uintptr_t)from_last));
}

enum dsa_outcome dsa_execute(struct dsa_job *job)
{
	uint32_t mode = job->config[DSA_WQ_MODE];

	prefetch_record(job);
	job->blocking = dsa_flags(&job->descriptor) & DSA_FLAG_BLOCK_ON_FAULT &&
			mode & DSA_WQ_BLOCK_ON_FAULT && !(mode & DSA_WQ_PRS_DISABLE);
	if (!job->progress.finished) {
		job->record.status = validate(job);
		if (!job->record.status &&
		    operations[dsa_opcode(&job->descriptor)].run(job) == DSA_CANCELLED)
			return DSA_CANCELLED;
	} else {
		job->record = job->progress.record;
	}
	dsa_count(&job->engine->counters.descriptors, 1);
	return dsa_complete(job);
}
