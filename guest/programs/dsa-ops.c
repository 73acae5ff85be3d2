/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every operation of DSA 1.0, checked against what the processor computes: on its own and as the second
 * entry of a batch, with targets that are not present when the device wants them (block on fault).
 *
 * usage: dsa-ops QUEUE...	one run for each queue; which instruction submits follows its mode
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/dsa.h"
#include "common/report.h"

#define PAGE	4096
#define ROOM	(64 * PAGE)

/* One way of handing a descriptor to the device. */
struct route {
	struct dsa_queue queue;
	const char *name;
	bool batch;
};

static struct report_totals totals;

/* Fresh, never touched memory. */
static uint8_t *fresh(size_t size)
{
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static uint8_t *patterned(size_t size, unsigned int seed)
{
	uint8_t *p = fresh(ROOM);

	for (size_t i = 0; i < size; i++)
		p[i] = seed + i * 13 + (i >> 9);
	return p;
}

static void release(uint8_t *p)
{
	munmap(p, ROOM);
}

/* Runs the descriptor the route's way; the status is the descriptor's own. */
static uint8_t run(struct route *route, struct dsa_descriptor *descriptor, struct dsa_completion *record)
{
	static struct dsa_descriptor list[2];
	static struct dsa_completion records[2];
	struct dsa_descriptor batch;
	uint8_t status;

	totals.operations++;
	totals.bytes += descriptor->size;
	if (!route->batch)
		return dsa_run(&route->queue, descriptor, record);
	dsa_prepare(&list[0], DSA_NOOP, 0, &records[0]);
	list[1] = *descriptor;
	dsa_prepare(&batch, DSA_BATCH, 0, &records[1]);
	batch.source = (uintptr_t)list;
	batch.size = 2;
	status = dsa_run(&route->queue, &batch, &records[1]);
	if (records[0].status != DSA_SUCCESS)
		return records[0].status;
	/* The batch succeeds exactly if all its entries have status 1: a false predicate counts against it. */
	if (status != (record->status == DSA_SUCCESS ? DSA_SUCCESS : DSA_BATCH_ERRORS))
		return 0xff;
	return record->status;
}

static void noop(struct route *route, bool *pass)
{
	struct dsa_completion record;
	struct dsa_descriptor d;

	dsa_prepare(&d, DSA_NOOP, 0, &record);
	*pass &= run(route, &d, &record) == DSA_SUCCESS;
}

/* A drain has no place in a batch. */
static void drain(struct route *route, bool *pass)
{
	struct dsa_completion record;
	struct dsa_descriptor d;

	dsa_prepare(&d, DSA_DRAIN, 0, &record);
	*pass &= run(route, &d, &record) == DSA_SUCCESS;
}

static void memmove_sizes(struct route *route, bool *pass)
{
	static const uint32_t sizes[] = { 1, 7, 64, 4095, 4096, 4097, 65536, 200001 };
	uint8_t *source = patterned(ROOM, 3);
	struct dsa_completion record;
	struct dsa_descriptor d;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *target = fresh(ROOM);

		dsa_prepare(&d, DSA_MEMMOVE, DSA_BLOCK_ON_FAULT, &record);
		d.source = (uintptr_t)source + i;
		d.destination = (uintptr_t)target + 3 * i;
		d.size = sizes[i];
		*pass &= run(route, &d, &record) == DSA_SUCCESS && !memcmp(target + 3 * i, source + i, sizes[i]) &&
			 target[3 * i + sizes[i]] == 0;
		release(target);
	}
	release(source);
}

static void fill_pattern(struct route *route, bool *pass)
{
	const uint64_t pattern = 0x8877665544332211;
	uint8_t *target = fresh(ROOM);
	struct dsa_completion record;
	struct dsa_descriptor d;
	const uint32_t size = 3 * PAGE + 13;

	dsa_prepare(&d, DSA_FILL, DSA_BLOCK_ON_FAULT, &record);
	d.source = pattern;
	d.destination = (uintptr_t)target + 5;
	d.size = size;
	*pass &= run(route, &d, &record) == DSA_SUCCESS && target[4] == 0 && target[5 + size] == 0;
	for (uint32_t i = 0; i < size; i++)
		*pass &= target[5 + i] == (uint8_t)(pattern >> i % 8 * 8);
	release(target);
}

static void compare(struct route *route, bool *pass)
{
	uint8_t *a = patterned(3 * PAGE, 9), *b = patterned(3 * PAGE, 9);
	struct dsa_completion record;
	struct dsa_descriptor d;

	dsa_prepare(&d, DSA_COMPARE, DSA_BLOCK_ON_FAULT, &record);
	d.source = (uintptr_t)a;
	d.destination = (uintptr_t)b;
	d.size = 3 * PAGE;
	*pass &= run(route, &d, &record) == DSA_SUCCESS && record.result == 0;

	b[2 * PAGE + 77] ^= 1;
	dsa_prepare(&d, DSA_COMPARE, DSA_BLOCK_ON_FAULT | DSA_CHECK_RESULT, &record);
	d.source = (uintptr_t)a;
	d.destination = (uintptr_t)b;
	d.size = 3 * PAGE;
	*pass &= run(route, &d, &record) == DSA_SUCCESS_FALSE && record.result == 1 &&
		 record.bytes <= 2 * PAGE + 77;
	release(a);
	release(b);
}

static void compare_pattern(struct route *route, bool *pass)
{
	const uint64_t pattern = 0x0123456789abcdef;
	uint8_t *a = fresh(ROOM);
	struct dsa_completion record;
	struct dsa_descriptor d;

	for (unsigned int i = 0; i < 2 * PAGE; i++)
		a[i] = pattern >> i % 8 * 8;
	for (int differs = 0; differs < 2; differs++) {
		a[PAGE + 9] ^= differs;
		dsa_prepare(&d, DSA_COMPARE_PATTERN, DSA_BLOCK_ON_FAULT, &record);
		d.source = (uintptr_t)a;
		d.destination = pattern;
		d.size = 2 * PAGE;
		*pass &= run(route, &d, &record) == DSA_SUCCESS && record.result == differs;
	}
	release(a);
}

/* Creates the delta of two buffers that differ in three words and applies it to a copy of the first. */
static void delta(struct route *route, bool *pass)
{
	uint8_t *old = patterned(2 * PAGE, 1), *new = patterned(2 * PAGE, 1), *copy = patterned(2 * PAGE, 1);
	uint8_t *entries = fresh(ROOM);
	struct dsa_completion record;
	struct dsa_descriptor d;

	new[0] ^= 1;
	new[PAGE + 8] ^= 2;
	new[2 * PAGE - 1] ^= 3;
	dsa_prepare(&d, DSA_CREATE_DELTA, DSA_BLOCK_ON_FAULT, &record);
	d.source = (uintptr_t)old;
	d.destination = (uintptr_t)new;
	d.size = 2 * PAGE;
	d.delta.address = (uintptr_t)entries;
	d.delta.max_size = 160;
	*pass &= run(route, &d, &record) == DSA_SUCCESS && record.result == 1 && record.delta_size == 30;

	dsa_prepare(&d, DSA_APPLY_DELTA, DSA_BLOCK_ON_FAULT, &record);
	d.source = (uintptr_t)entries;
	d.destination = (uintptr_t)copy;
	d.size = 2 * PAGE;
	d.delta_size = 30;
	*pass &= run(route, &d, &record) == DSA_SUCCESS && !memcmp(copy, new, 2 * PAGE);

	/* Too many differences for the room given: result 2. */
	memset(new, 0, 2 * PAGE);
	dsa_prepare(&d, DSA_CREATE_DELTA, DSA_BLOCK_ON_FAULT, &record);
	d.source = (uintptr_t)old;
	d.destination = (uintptr_t)new;
	d.size = 2 * PAGE;
	d.delta.address = (uintptr_t)entries;
	d.delta.max_size = 80;
	*pass &= run(route, &d, &record) == DSA_SUCCESS && record.result == 2;
	release(old);
	release(new);
	release(copy);
	release(entries);
}

static void dualcast(struct route *route, bool *pass)
{
	uint8_t *source = patterned(3 * PAGE, 77), *one = fresh(ROOM), *two = fresh(ROOM);
	struct dsa_completion record;
	struct dsa_descriptor d;

	dsa_prepare(&d, DSA_DUALCAST, DSA_BLOCK_ON_FAULT, &record);
	d.source = (uintptr_t)source;
	d.destination = (uintptr_t)one + 8;
	d.destination2 = (uintptr_t)two + 8;
	d.size = 2 * PAGE + 5;
	*pass &= run(route, &d, &record) == DSA_SUCCESS && !memcmp(one + 8, source, 2 * PAGE + 5) &&
		 !memcmp(two + 8, source, 2 * PAGE + 5) && one[2 * PAGE + 13] == 0 && two[2 * PAGE + 13] == 0;

	dsa_prepare(&d, DSA_DUALCAST, DSA_BLOCK_ON_FAULT, &record);
	d.source = (uintptr_t)source;
	d.destination = (uintptr_t)one;
	d.destination2 = (uintptr_t)two + 8;
	d.size = 64;
	*pass &= run(route, &d, &record) == DSA_DUALCAST_ALIGN;
	release(source);
	release(one);
	release(two);
}

/* CRC-32C (Castagnoli), reflected. */
static uint32_t crc32c(const uint8_t *at, size_t size)
{
	uint32_t crc = ~0u;

	while (size--) {
		crc ^= *at++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static void crc(struct route *route, bool *pass)
{
	uint8_t *source = patterned(3 * PAGE, 42), *target = fresh(ROOM);
	const uint32_t size = 2 * PAGE + 19, half = PAGE + 3;
	uint32_t wanted = crc32c(source, size);
	struct dsa_completion record;
	struct dsa_descriptor d;

	dsa_prepare(&d, DSA_COPY_CRC, DSA_BLOCK_ON_FAULT, &record);
	d.source = (uintptr_t)source;
	d.destination = (uintptr_t)target;
	d.size = size;
	*pass &= run(route, &d, &record) == DSA_SUCCESS && (uint32_t)record.crc == wanted &&
		 !memcmp(source, target, size);

	/* In two steps, the second seeded with the first's result. */
	dsa_prepare(&d, DSA_CRC, DSA_BLOCK_ON_FAULT, &record);
	d.source = (uintptr_t)source;
	d.size = half;
	*pass &= run(route, &d, &record) == DSA_SUCCESS && (uint32_t)record.crc == crc32c(source, half);
	uint32_t seed = record.crc;
	dsa_prepare(&d, DSA_CRC, DSA_BLOCK_ON_FAULT, &record);
	d.source = (uintptr_t)source + half;
	d.size = size - half;
	d.crc.seed = seed;
	*pass &= run(route, &d, &record) == DSA_SUCCESS && (uint32_t)record.crc == wanted;
	release(source);
	release(target);
}

/* CRC-16 T10-DIF: polynomial 0x8bb7, not reflected. */
static uint16_t crc16_t10(const uint8_t *at, size_t size)
{
	uint16_t crc = 0;

	while (size--) {
		crc ^= *at++ << 8;
		for (int bit = 0; bit < 8; bit++)
			crc = crc << 1 ^ (crc & 0x8000 ? 0x8bb7 : 0);
	}
	return crc;
}

/* The protected form of 512-byte blocks: each followed by guard, application and reference tag. */
static void protect(const uint8_t *from, uint8_t *to, unsigned int blocks, uint16_t application, uint32_t reference)
{
	for (unsigned int i = 0; i < blocks; i++, from += 512, to += 520, reference++) {
		uint16_t guard = crc16_t10(from, 512);
		const uint8_t tail[8] = { guard >> 8, guard, application >> 8, application, reference >> 24,
					  reference >> 16, reference >> 8, reference };

		memcpy(to, from, 512);
		memcpy(to + 512, tail, 8);
	}
}

static struct dsa_descriptor dif_descriptor(enum dsa_opcode opcode, const uint8_t *source, uint8_t *target,
					    uint32_t size, struct dsa_completion *record)
{
	struct dsa_descriptor d;

	dsa_prepare(&d, opcode, DSA_BLOCK_ON_FAULT, record);
	d.source = (uintptr_t)source;
	d.destination = (uintptr_t)target;
	d.size = size;
	return d;
}

static void dif(struct route *route, bool *pass)
{
	enum { BLOCKS = 9, PLAIN = BLOCKS * 512, GUARDED = BLOCKS * 520 };
	uint8_t *plain = patterned(PLAIN, 5), *target = fresh(ROOM), *wanted = fresh(ROOM), *stripped = fresh(ROOM);
	struct dsa_completion record;
	struct dsa_descriptor d;

	protect(plain, wanted, BLOCKS, 0xabcd, 1000);
	d = dif_descriptor(DSA_DIF_INSERT, plain, target, PLAIN, &record);
	d.dif.destination_application = 0xabcd;
	d.dif.destination_reference = 1000;
	*pass &= run(route, &d, &record) == DSA_SUCCESS && !memcmp(target, wanted, GUARDED) && target[GUARDED] == 0;

	d = dif_descriptor(DSA_DIF_CHECK, wanted, NULL, GUARDED, &record);
	d.dif.source_application = 0xabcd;
	d.dif.source_reference = 1000;
	*pass &= run(route, &d, &record) == DSA_SUCCESS;

	d = dif_descriptor(DSA_DIF_STRIP, wanted, stripped, GUARDED, &record);
	d.dif.source_application = 0xabcd;
	d.dif.source_reference = 1000;
	*pass &= run(route, &d, &record) == DSA_SUCCESS && !memcmp(stripped, plain, PLAIN) && stripped[PLAIN] == 0;

	d = dif_descriptor(DSA_DIF_UPDATE, wanted, target, GUARDED, &record);
	d.dif.source_application = 0xabcd;
	d.dif.source_reference = 1000;
	d.dif.destination_application = 0x1357;
	d.dif.destination_reference = 5;
	protect(plain, stripped, BLOCKS, 0x1357, 5);
	*pass &= run(route, &d, &record) == DSA_SUCCESS && !memcmp(target, stripped, GUARDED);

	/* A damaged block is found. */
	wanted[3 * 520 + 100] ^= 0x40;
	d = dif_descriptor(DSA_DIF_CHECK, wanted, NULL, GUARDED, &record);
	d.dif.source_application = 0xabcd;
	d.dif.source_reference = 1000;
	*pass &= run(route, &d, &record) == DSA_DIF_ERROR && (record.result & 1);
	release(plain);
	release(target);
	release(wanted);
	release(stripped);
}

static void cache_flush(struct route *route, bool *pass)
{
	uint8_t *target = patterned(2 * PAGE, 1);
	struct dsa_completion record;
	struct dsa_descriptor d;

	dsa_prepare(&d, DSA_CACHE_FLUSH, DSA_BLOCK_ON_FAULT, &record);
	d.destination = (uintptr_t)target;
	d.size = 2 * PAGE;
	*pass &= run(route, &d, &record) == DSA_SUCCESS && target[PAGE] == (uint8_t)(1 + PAGE * 13 + (PAGE >> 9));
	release(target);
}

static void refusals(struct route *route, bool *pass)
{
	uint8_t *memory = patterned(PAGE, 1);
	struct dsa_completion record;
	struct dsa_descriptor d;

	dsa_prepare(&d, 0x3f, 0, &record);
	*pass &= run(route, &d, &record) == DSA_BAD_OPCODE;
	dsa_prepare(&d, DSA_MEMMOVE, 0, &record);
	d.source = d.destination = (uintptr_t)memory;
	*pass &= run(route, &d, &record) == DSA_BAD_SIZE;
	dsa_prepare(&d, DSA_DUALCAST, 1 << 16, &record);
	d.source = d.destination = d.destination2 = (uintptr_t)memory;
	d.size = 8;
	*pass &= run(route, &d, &record) == DSA_BAD_FLAGS;
	release(memory);
}

/*
 * The completion record itself on a page that is not there: the device logs the event, and the kernel
 * puts the record where it belongs. The copy has been done by then.
 */
static void absent_record(struct route *route, bool *pass)
{
	uint8_t *source = patterned(PAGE, 21), *target = fresh(ROOM);

	for (unsigned int block = 0; block < 2; block++) {
		struct dsa_completion *record = (struct dsa_completion *)fresh(ROOM), scratch;
		struct dsa_descriptor d;

		dsa_prepare(&d, DSA_MEMMOVE, block ? DSA_BLOCK_ON_FAULT : 0, &scratch);
		d.completion = (uintptr_t)record;
		d.source = (uintptr_t)source;
		/* Without block-on-fault both pages of the copy have to be there. */
		target[block * PAGE] = 0;
		d.destination = (uintptr_t)target + block * PAGE;
		d.size = PAGE;
		*pass &= dsa_run(&route->queue, &d, record) == DSA_SUCCESS &&
			 !memcmp(target + block * PAGE, source, PAGE);
		totals.operations++;
		totals.bytes += PAGE;
		release((uint8_t *)record);
	}
	release(source);
	release(target);
}

/* Sixteen copies in one batch, fenced in the middle: all of them arrive. */
static void large_batch(struct route *route, bool *pass)
{
	static struct dsa_descriptor list[16];
	static struct dsa_completion records[16], record;
	uint8_t *source = patterned(ROOM, 8), *target = fresh(ROOM);
	struct dsa_descriptor batch;

	for (unsigned int i = 0; i < 16; i++) {
		dsa_prepare(&list[i], DSA_MEMMOVE, DSA_BLOCK_ON_FAULT | (i == 8 ? DSA_FENCE : 0), &records[i]);
		list[i].source = (uintptr_t)source + i * 4 * PAGE;
		list[i].destination = (uintptr_t)target + i * 4 * PAGE;
		list[i].size = 4 * PAGE;
	}
	dsa_prepare(&batch, DSA_BATCH, 0, &record);
	batch.source = (uintptr_t)list;
	batch.size = 16;
	*pass &= dsa_run(&route->queue, &batch, &record) == DSA_SUCCESS && record.bytes == 16 &&
		 !memcmp(source, target, ROOM);
	for (unsigned int i = 0; i < 16; i++)
		*pass &= records[i].status == DSA_SUCCESS;
	totals.operations += 16;
	totals.bytes += ROOM;
	release(source);
	release(target);
}

enum { SINGLE = 1, BATCH = 2, BOTH = SINGLE | BATCH };

static const struct {
	const char *name;
	void (*check)(struct route *route, bool *pass);
	unsigned int ways;
} operations[] = {
	{ "no-op", noop, BOTH },
	{ "drain", drain, SINGLE },
	{ "memmove", memmove_sizes, BOTH },
	{ "fill", fill_pattern, BOTH },
	{ "compare", compare, BOTH },
	{ "compare pattern", compare_pattern, BOTH },
	{ "create and apply delta", delta, BOTH },
	{ "dualcast", dualcast, BOTH },
	{ "CRC, copy with CRC", crc, BOTH },
	{ "DIF insert, check, strip, update", dif, BOTH },
	{ "cache flush", cache_flush, BOTH },
	{ "bad opcode, size, flags", refusals, BOTH },
	{ "completion record on an absent page", absent_record, SINGLE },
	{ "batch of 16 with a fence", large_batch, BATCH },
};

static bool run_all(struct route *route)
{
	bool all = true;

	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		bool pass = true;
		char name[96];

		if (!(operations[i].ways & (route->batch ? BATCH : SINGLE)))
			continue;
		operations[i].check(route, &pass);
		snprintf(name, sizeof(name), "%s, %s, %s: %s", route->name,
			 route->queue.shared ? "ENQCMD" : "MOVDIR64B", route->batch ? "in a batch" : "single",
			 operations[i].name);
		report_check(name, pass, "%s", pass ? "as computed by the processor" : "status or data differ");
		all &= pass;
	}
	return all;
}

int main(int argc, char **argv)
{
	double start = seconds_now();
	bool all = argc > 1;

	report_begin("operations");
	totals.pasids = 1;
	for (int i = 1; i < argc; i++) {
		struct route route = { .name = argv[i] };
		int error = dsa_open(&route.queue, argv[i]);

		if (error) {
			report_check("open a work queue", false, "%s: %s", argv[i], strerror(-error));
			all = false;
			continue;
		}
		for (route.batch = false;; route.batch = true) {
			all &= run_all(&route);
			if (route.batch)
				break;
		}
		dsa_close(&route.queue);
	}
	totals.seconds = seconds_now() - start;
	report_end("operations", all, &totals, "every operation of DSA 1.0");
	return report_failed();
}
