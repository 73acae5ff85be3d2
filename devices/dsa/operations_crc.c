/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CRC generation, with or without a copy. DSA 8.3.10, 8.3.11.
 *
 * The polynomial is RFC 3720's. As usual for it the seed is inverted, the result too, and bits are
 * taken least significant first; two flags switch that off. A result used as the seed of a second
 * operation goes on where the first ended, which is also how software goes on after a fault.
 */
#include <string.h>
#include "crc.h"
#include "internal.h"

struct checksum {
	uint32_t crc;  /* least significant bit first, not inverted */
	bool reversed; /* data bytes most significant bit first */
};

static uint64_t crc_step(void *context, void *const data[], uint64_t length, uint64_t offset)
{
	struct checksum *sum = context;

	sum->crc = sum->reversed ? dsa_crc32c_reversed(sum->crc, data[0], length)
				 : dsa_crc32c(sum->crc, data[0], length);
	return length;
}

/* The copy is what is summed, so that the two agree even if the guest changes the source meanwhile.
 */
static uint64_t copy_step(void *context, void *const data[], uint64_t length, uint64_t offset)
{
	memmove(data[1], data[0], length);
	return crc_step(context, &data[1], length, offset);
}

enum dsa_outcome dsa_run_crc(struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;
	uint32_t flags = dsa_flags(d), seed = d->crc.seed;
	bool copy = dsa_opcode(d) == DSA_OP_COPY_CRC, raw = flags & DSA_FLAG_CRC_RAW;
	struct dsa_operand operands[2] = { { d->source, VIOMMU_READ },
					   { d->destination, VIOMMU_WRITE } };
	struct checksum sum = { .reversed = flags & DSA_FLAG_CRC_RAW_DATA };
	enum dsa_outcome outcome = DSA_DONE;
	uint64_t done = 0;

	if (flags & DSA_FLAG_CRC_READ_SEED)
		outcome = dsa_read_memory(job, d->crc.seed_address, &seed, sizeof(seed));
	sum.crc = raw ? dsa_reverse32(seed) : ~seed;
	if (!outcome)
		outcome = dsa_walk(job, operands, copy ? 2 : 1, d->size,
				   copy ? copy_step : crc_step, &sum, &done);
	if (outcome == DSA_CANCELLED)
		return DSA_CANCELLED;
	if (outcome == DSA_FAULTED)
		job->record.completed = done;
	else
		job->record.status = DSA_STATUS_SUCCESS;
	job->record.crc = raw ? dsa_reverse32(sum.crc) : ~sum.crc;
	return DSA_DONE;
}
