/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * T10 data integrity fields: check, insert, strip, update. DSA 8.3.12-8.3.15.
 *
 * A protected block is 512, 520, 4096 or 4104 bytes of data and 8 bytes of field: a CRC16 guard of
 * the data, an application tag and a reference tag, all big-endian. Blocks are worked on one at a
 * time in a local buffer; what was done is a whole number of blocks.
 */
#include <string.h>
#include "crc.h"
#include "internal.h"

enum { BLOCK_MAX = 4104, FIELD = 8 };

struct tags {
	uint32_t reference;
	uint16_t application;
	uint16_t mask; /* a set bit masks that bit of the application tag */
	uint8_t flags;
};

struct field {
	uint16_t guard;
	uint16_t application;
	uint32_t reference;
};

uint32_t dsa_dif_block(const struct dsa_descriptor *descriptor)
{
	static const uint16_t sizes[] = { 512, 520, 4096, 4104 };

	return sizes[descriptor->dif.flags & DSA_DIF_BLOCK];
}

static struct field get_field(const uint8_t *bytes)
{
	return (struct field){
		.guard = bytes[0] << 8 | bytes[1],
		.application = bytes[2] << 8 | bytes[3],
		.reference = (uint32_t)bytes[4] << 24 | bytes[5] << 16 | bytes[6] << 8 | bytes[7],
	};
}

static void put_field(uint8_t *bytes, const struct field *field)
{
	uint16_t guard = __builtin_bswap16(field->guard);
	uint16_t application = __builtin_bswap16(field->application);
	uint32_t reference = __builtin_bswap32(field->reference);

	memcpy(bytes, &guard, 2);
	memcpy(bytes + 2, &application, 2);
	memcpy(bytes + 4, &reference, 4);
}

static uint16_t guard_of(const uint8_t *data, uint32_t block, uint8_t flags)
{
	uint16_t crc = dsa_crc16(flags & DSA_DIF_INVERT_SEED ? 0xffff : 0, data, block);

	return flags & DSA_DIF_INVERT_RESULT ? ~crc : crc;
}

static void advance(struct tags *tags)
{
	if (!(tags->flags & DSA_DIF_REFERENCE_FIXED))
		tags->reference++;
	if (tags->flags & DSA_DIF_APPLICATION_INCREMENTS)
		tags->application++;
}

/* DSA 8.3.12: fields of all ones may mean "not protected". */
static bool f_detected(const struct field *field, uint8_t flags)
{
	bool application = field->application == 0xffff;
	bool reference = field->reference == 0xffffffff;

	return (flags & DSA_DIF_APPLICATION_F && application) ||
	       (flags & DSA_DIF_TAGS_F && application && reference) ||
	       (flags & DSA_DIF_ALL_F && application && reference && field->guard == 0xffff);
}

/* 0, or what is wrong: enum dsa_dif_result. */
static uint8_t check_block(const uint8_t *data, uint32_t block, const struct tags *tags,
			   uint8_t dif_flags)
{
	struct field field = get_field(data + block);
	uint8_t result = 0, all_f = DSA_DIF_ALL_F | DSA_DIF_ALL_F_ERROR;

	if ((tags->flags & all_f) == all_f && f_detected(&field, DSA_DIF_ALL_F))
		return DSA_DIF_BAD_ALL_F;
	if (f_detected(&field, tags->flags))
		return 0;
	if (!(tags->flags & DSA_DIF_GUARD_UNCHECKED) &&
	    field.guard != guard_of(data, block, dif_flags))
		result |= DSA_DIF_BAD_GUARD;
	if (tags->mask != 0xffff &&
	    ((field.application ^ tags->application) & ~tags->mask & 0xffff))
		result |= DSA_DIF_BAD_APPLICATION;
	if (!(tags->flags & DSA_DIF_REFERENCE_UNCHECKED) && field.reference != tags->reference)
		result |= DSA_DIF_BAD_REFERENCE;
	return result;
}

static void make_field(uint8_t *data, uint32_t block, const struct tags *tags, uint8_t dif_flags,
		       bool update)
{
	struct field field = { 0 };

	if (update)
		field = get_field(data + block);
	if (!update || !(tags->flags & DSA_DIF_PASS_GUARD))
		field.guard = guard_of(data, block, dif_flags);
	if (!update || !(tags->flags & DSA_DIF_PASS_APPLICATION))
		field.application = tags->application & ~tags->mask;
	if (!update || !(tags->flags & DSA_DIF_PASS_REFERENCE))
		field.reference = tags->reference;
	put_field(data + block, &field);
}

/* The tags the next block would have had: the seeds to go on with. */
static void report_tags(struct dsa_job *job, const struct tags *source,
			const struct tags *destination)
{
	uint32_t opcode = dsa_opcode(&job->descriptor);

	if (opcode != DSA_OP_DIF_INSERT) {
		job->record.dif.source_reference = source->reference;
		job->record.dif.source_mask = source->mask;
		job->record.dif.source_application = source->application;
	}
	if (opcode == DSA_OP_DIF_INSERT || opcode == DSA_OP_DIF_UPDATE) {
		job->record.dif.destination_reference = destination->reference;
		job->record.dif.destination_mask = destination->mask;
		job->record.dif.destination_application = destination->application;
	}
}

static enum dsa_outcome run_block(struct dsa_job *job, uint64_t number, struct tags *source,
				  struct tags *destination)
{
	const struct dsa_descriptor *d = &job->descriptor;
	uint32_t opcode = dsa_opcode(d), block = dsa_dif_block(d);
	uint32_t in = opcode == DSA_OP_DIF_INSERT ? block : block + FIELD;
	uint32_t out = opcode == DSA_OP_DIF_STRIP ? block : block + FIELD;
	uint8_t data[BLOCK_MAX + FIELD];
	enum dsa_outcome outcome = dsa_read_memory(job, d->source + number * in, data, in);

	if (outcome)
		return outcome;
	if (opcode != DSA_OP_DIF_INSERT) {
		job->record.result = check_block(data, block, source, d->dif.flags);
		if (job->record.result)
			return DSA_ENOUGH;
	}
	if (opcode == DSA_OP_DIF_INSERT || opcode == DSA_OP_DIF_UPDATE)
		make_field(data, block, destination, d->dif.flags, opcode == DSA_OP_DIF_UPDATE);
	if (opcode != DSA_OP_DIF_CHECK)
		outcome = dsa_write_memory(job, d->destination + number * out, data, out);
	if (!outcome) {
		advance(source);
		advance(destination);
	}
	return outcome;
}

enum dsa_outcome dsa_run_dif(struct dsa_job *job)
{
	const struct dsa_descriptor *d = &job->descriptor;
	uint32_t in = dsa_dif_block(d) + (dsa_opcode(d) == DSA_OP_DIF_INSERT ? 0 : FIELD);
	struct tags source = { d->dif.source_reference, d->dif.source_application,
			       d->dif.source_mask, d->dif.source_flags };
	struct tags destination = { d->dif.destination_reference, d->dif.destination_application,
				    d->dif.destination_mask, d->dif.destination_flags };
	enum dsa_outcome outcome = DSA_DONE;
	uint64_t done = 0;

	while (done < d->size / in && !outcome) {
		outcome = run_block(job, done, &source, &destination);
		done += !outcome;
	}
	if (outcome == DSA_CANCELLED)
		return DSA_CANCELLED;
	if (outcome != DSA_FAULTED)
		job->record.status = outcome ? DSA_STATUS_DIF : DSA_STATUS_SUCCESS;
	if (outcome)
		job->record.completed = done * in;
	report_tags(job, &source, &destination);
	return DSA_DONE;
}
