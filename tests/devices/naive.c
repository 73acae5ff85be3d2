/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See naive.h. Slow and plain on purpose.
 */
#include <stdlib.h>
#include <string.h>
#include "naive.h"

/* CRC32-C as long division, most significant bit first; RFC 3720 reflects data, seed and result
 * around it. */
uint32_t naive_crc(const uint8_t *data, uint32_t length, uint32_t seed, uint32_t flags)
{
	uint32_t crc = 0;

	for (int bit = 0; bit < 32; bit++)
		crc |= (seed >> bit & 1u) << (31 - bit);
	crc = flags & 1u << 17 ? seed : ~crc;
	for (uint32_t i = 0; i < length; i++) {
		for (int bit = 0; bit < 8; bit++) {
			int in = flags & 1u << 18 ? data[i] >> (7 - bit) & 1 : data[i] >> bit & 1;
			int top = crc >> 31 ^ in;

			crc = crc << 1 ^ (top ? 0x1edc6f41 : 0);
		}
	}
	if (flags & 1u << 17)
		return crc;
	seed = 0;
	for (int bit = 0; bit < 32; bit++)
		seed |= (~crc >> bit & 1u) << (31 - bit);
	return seed;
}

uint16_t naive_guard(const uint8_t *data, uint32_t length, uint8_t dif_flags)
{
	uint16_t crc = dif_flags & 4 ? 0xffff : 0;

	for (uint32_t i = 0; i < length; i++) {
		for (int bit = 7; bit >= 0; bit--) {
			int top = (crc >> 15 ^ data[i] >> bit) & 1;

			crc = (uint16_t)(crc << 1) ^ (top ? 0x8bb7 : 0);
		}
	}
	return dif_flags & 8 ? ~crc : crc;
}

static void compare(const uint8_t *a, const uint8_t *b, const struct dsa_descriptor *d,
		    struct dsa_record *record)
{
	for (uint32_t i = 0; i < d->size; i++) {
		if (a[i] != b[i]) {
			record->result = 1;
			record->completed = i;
			break;
		}
	}
	if (d->operation & 1u << 7 && record->result != (d->expected & 1))
		record->status = 2;
}

static void create_delta(const uint8_t *a, const uint8_t *b, uint8_t *out,
			 const struct dsa_descriptor *d, struct dsa_record *record)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < d->size; i += 8) {
		if (!memcmp(a + i, b + i, 8))
			continue;
		if (used + 10 > d->delta.size) {
			record->result = 2;
			record->completed = i;
			break;
		}
		out[used] = i / 8;
		out[used + 1] = i / 8 >> 8;
		memcpy(out + used + 2, b + i, 8);
		used += 10;
		record->result = 1;
	}
	record->delta_size = used;
	if (d->operation & 1u << 7 && !(d->delta.expected >> record->result & 1))
		record->status = 2;
}

static void apply_delta(const uint8_t *deltas, uint8_t *out, const struct dsa_descriptor *d,
			struct dsa_record *record)
{
	int last = -1;

	for (uint32_t i = 0; i < d->delta_size; i += 10) {
		int index = deltas[i] | deltas[i + 1] << 8;

		if (index <= last || index * 8u >= d->size) {
			record->status = index <= last ? 7 : 8;
			record->completed = i;
			return;
		}
		memcpy(out + index * 8, deltas + i + 2, 8);
		last = index;
	}
}

static uint8_t check_field(const uint8_t *data, uint32_t block, const struct dsa_descriptor *d,
			   uint32_t reference, uint16_t application)
{
	const uint8_t *f = data + block;
	uint16_t guard = f[0] << 8 | f[1], app = f[2] << 8 | f[3];
	uint32_t ref = (uint32_t)f[4] << 24 | f[5] << 16 | f[6] << 8 | f[7];
	uint8_t flags = d->dif.source_flags, bad = 0;
	uint16_t mask = d->dif.source_mask;

	if (app == 0xffff && ref == 0xffffffff && guard == 0xffff && flags & 2)
		return flags & 1 ? 8 : 0;
	if ((flags & 4 && app == 0xffff) || (flags & 8 && app == 0xffff && ref == 0xffffffff))
		return 0;
	if (!(flags & 0x20) && guard != naive_guard(data, block, d->dif.flags))
		bad |= 1;
	if (mask != 0xffff && (app | mask) != (application | mask))
		bad |= 2;
	if (!(flags & 0x40) && ref != reference)
		bad |= 4;
	return bad;
}

static void set_field(uint8_t *data, uint32_t block, const struct dsa_descriptor *d,
		      uint32_t reference, uint16_t application, uint8_t keep)
{
	uint16_t guard = naive_guard(data, block, d->dif.flags);
	uint8_t *f = data + block;

	application &= ~d->dif.destination_mask;
	if (!(keep & 0x20)) {
		f[0] = guard >> 8;
		f[1] = guard;
	}
	if (!(keep & 0x08)) {
		f[2] = application >> 8;
		f[3] = application;
	}
	if (!(keep & 0x40)) {
		f[4] = reference >> 24;
		f[5] = reference >> 16;
		f[6] = reference >> 8;
		f[7] = reference;
	}
}

static void dif(const uint8_t *in, uint8_t *out, const struct dsa_descriptor *d,
		struct dsa_record *record)
{
	static const uint32_t sizes[] = { 512, 520, 4096, 4104 };
	uint32_t opcode = d->operation >> 24, block = sizes[d->dif.flags & 3];
	bool insert = opcode == 0x13, strip = opcode == 0x14, update = opcode == 0x15;
	uint32_t step = block + (insert ? 0 : 8), out_step = block + (strip ? 0 : 8);
	uint32_t s_ref = d->dif.source_reference, d_ref = d->dif.destination_reference;
	uint16_t s_app = d->dif.source_application, d_app = d->dif.destination_application;
	uint8_t data[4112];

	for (uint32_t at = 0; at < d->size; at += step, in += step, out += out_step) {
		memcpy(data, in, step);
		if (!insert)
			record->result = check_field(data, block, d, s_ref, s_app);
		if (record->result) {
			record->status = 9;
			record->completed = at;
			break;
		}
		if (insert || update)
			set_field(data, block, d, d_ref, d_app,
				  update ? d->dif.destination_flags : 0);
		if (insert || update || strip)
			memcpy(out, data, out_step);
		s_ref += !(d->dif.source_flags & 0x80);
		s_app += !!(d->dif.source_flags & 0x10);
		d_ref += !(d->dif.destination_flags & 0x80);
		d_app += !!(d->dif.destination_flags & 0x10);
	}
	if (!insert) {
		record->dif.source_reference = s_ref;
		record->dif.source_mask = d->dif.source_mask;
		record->dif.source_application = s_app;
	}
	if (insert || update) {
		record->dif.destination_reference = d_ref;
		record->dif.destination_mask = d->dif.destination_mask;
		record->dif.destination_application = d_app;
	}
}

static void move(uint8_t *to, const uint8_t *from, uint32_t size)
{
	uint8_t *copy = malloc(size);

	memcpy(copy, from, size);
	memcpy(to, copy, size);
	free(copy);
}

/* Integers: a pattern in an address field must not become an impossible pointer. */
static uint8_t *at(uint8_t *area, uint64_t offset)
{
	return (uint8_t *)((uintptr_t)area + (uintptr_t)offset);
}

void naive_run(uint8_t *area, uint64_t base, const struct dsa_descriptor *d,
	       struct dsa_record *record)
{
	uint8_t *source = at(area, d->source - base),
		*destination = at(area, d->destination - base);
	uint32_t opcode = d->operation >> 24, flags = d->operation & 0xffffff, seed = d->crc.seed;

	memset(record, 0, sizeof(*record));
	record->status = 1;
	switch (opcode) {
	case 0x03:
		move(destination, source, d->size);
		break;
	case 0x04:
		for (uint32_t i = 0; i < d->size; i++) {
			bool high = flags & 1u << 16 && i % 16 >= 8;

			destination[i] = (high ? d->pattern_high : d->source) >> i % 8 * 8;
		}
		break;
	case 0x05:
		compare(source, destination, d, record);
		break;
	case 0x06: {
		uint8_t *pattern = malloc(d->size);

		for (uint32_t i = 0; i < d->size; i++)
			pattern[i] = d->destination >> i % 8 * 8;
		compare(source, pattern, d, record);
		free(pattern);
		break;
	}
	case 0x07:
		create_delta(source, destination, area + (d->delta.address - base), d, record);
		break;
	case 0x08:
		apply_delta(source, destination, d, record);
		break;
	case 0x09:
		move(destination, source, d->size);
		move(area + (d->destination_2 - base), source, d->size);
		break;
	case 0x11:
		move(destination, source, d->size); /* and, as CRC generation: */
						    /* fall through */
	case 0x10:
		if (flags & 1u << 16)
			memcpy(&seed, area + (d->crc.seed_address - base), 4);
		record->crc = naive_crc(source, d->size, seed, flags);
		break;
	case 0x12:
	case 0x13:
	case 0x14:
	case 0x15:
		dif(source, destination, d, record);
		break;
	default:
		break;
	}
}
