/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every operation against a naive model of it: random buffers at awkward addresses, dedicated and
 * shared WQ, alone and in a batch, with all pages present, with pages that are given on request,
 * and with pages missing so that software goes on where the device stopped. After each descriptor
 * the whole area must be what the model says, guard bytes included.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "kit.h"
#include "naive.h"

enum way { WAY_PRESENT, WAY_REQUEST, WAY_PARTIAL, WAYS };

/* The area is used in four quarters: source, second source or destination, third operand, seeds. */
enum { QUARTER = AREA_SIZE / 4, HALF_QUARTER = QUARTER / 2 };

struct fixture {
	struct dkit kit;
	uint8_t model[AREA_SIZE];
	uint8_t found[AREA_SIZE];
	uint64_t base; /* where descriptors' buffers begin */
	uint32_t random;
};

static uint32_t next(struct fixture *f)
{
	f->random = f->random * 1664525 + 1013904223;
	return f->random >> 8;
}

static void refill(struct fixture *f)
{
	for (unsigned int i = 0; i < AREA_PAGES; i++)
		dkit_map(&f->kit, i, true);
	for (unsigned int i = 0; i < AREA_SIZE; i++)
		f->model[i] = next(f);
	dkit_put(&f->kit, AREA, f->model, AREA_SIZE);
}

static void sync_model(struct fixture *f)
{
	dkit_put(&f->kit, AREA, f->model, AREA_SIZE);
}

static struct fixture *make(unsigned int flags)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	dkit_create(&f->kit, NULL);
	f->random = 1 + flags;
	f->base = AREA;
	dkit_start(&f->kit, flags);
	return f;
}

static void drop(struct fixture *f)
{
	dkit_destroy(&f->kit);
	free(f);
}

static void check_area(struct fixture *f)
{
	dkit_get(&f->kit, AREA, f->found, AREA_SIZE);
	for (unsigned int i = 0; i < AREA_SIZE; i++) {
		if (f->found[i] != f->model[i])
			fail_msg("byte 0x%x is %02x, should be %02x", i, f->found[i], f->model[i]);
	}
}

static void check_record(const struct dsa_record *got, const struct dsa_record *want)
{
	assert_int_equal(got->status, want->status);
	assert_int_equal(got->result, want->result);
	assert_int_equal(got->completed, want->completed);
	assert_memory_equal(got->bytes, want->bytes, sizeof(want->bytes));
}

/* ---- descriptors ---- */

static uint32_t random_size(struct fixture *f)
{
	static const uint32_t sizes[] = { 1, 7, 8, 64, 500, 4095, 4096, 4097, 9000, 20000 };

	return sizes[next(f) % 10] + next(f) % 32;
}

static struct dsa_descriptor plain(struct fixture *f, enum dsa_opcode opcode, uint32_t flags)
{
	struct dsa_descriptor d = dkit_descriptor(opcode, flags, 0);

	d.size = random_size(f);
	d.source = f->base + next(f) % 4096;
	d.destination = f->base + QUARTER + next(f) % 4096;
	return d;
}

/* Half of the comparisons end with a difference somewhere. */
static void make_similar(struct fixture *f, const struct dsa_descriptor *d)
{
	uint8_t *a = f->model + (d->source - AREA), *b = f->model + (d->destination - AREA);

	memcpy(b, a, d->size);
	if (next(f) % 2)
		b[next(f) % d->size] ^= 0x10;
}

static struct dsa_descriptor delta_create(struct fixture *f, uint32_t flags)
{
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_CREATE_DELTA, flags, 0);

	d.size = 8 + next(f) % 2500 * 8;
	d.source = f->base + next(f) % 512 * 8;
	d.destination = f->base + QUARTER + next(f) % 512 * 8;
	d.delta.address = f->base + 2 * QUARTER + next(f) % 512 * 8;
	d.delta.size = 80 + next(f) % 400;
	make_similar(f, &d);
	for (unsigned int i = next(f) % 40; i; i--)
		f->model[d.destination - AREA + next(f) % d.size] ^= 1;
	if (next(f) % 3 == 0) {
		d.operation |= DSA_FLAG_CHECK_RESULT;
		d.delta.expected = next(f) % 8;
	}
	return d;
}

static struct dsa_descriptor delta_apply(struct fixture *f, uint32_t flags)
{
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_APPLY_DELTA, flags, 0);
	unsigned int count = 1 + next(f) % 900, index = 0;
	uint8_t *record;

	d.size = 20480;
	d.source = f->base + next(f) % 512 * 8;
	d.destination = f->base + QUARTER + next(f) % 512 * 8;
	d.delta_size = count * 10;
	record = f->model + (d.source - AREA);
	for (unsigned int i = 0; i < count; i++, index += 1 + next(f) % 4) {
		record[i * 10] = index;
		record[i * 10 + 1] = index >> 8;
	}
	return d;
}

static struct dsa_descriptor crc(struct fixture *f, enum dsa_opcode opcode, uint32_t flags)
{
	struct dsa_descriptor d = plain(f, opcode, flags);

	if (opcode == DSA_OP_CRC)
		d.destination = 0;
	d.operation |= next(f) % 8 << 16;
	d.crc.seed = next(f);
	d.crc.seed_address = f->base + 3 * QUARTER + next(f) % 256 * 4;
	return d;
}

static struct dsa_descriptor dif(struct fixture *f, enum dsa_opcode opcode, uint32_t flags)
{
	static const uint32_t sizes[] = { 512, 520, 4096, 4104 };
	struct dsa_descriptor d = dkit_descriptor(opcode, flags, 0), insert;
	unsigned int kind = next(f) % 4, blocks = 1 + next(f) % 4;
	struct dsa_record ignored;

	d.source = f->base + next(f) % 4096;
	d.destination = opcode == DSA_OP_DIF_CHECK ? 0 : f->base + QUARTER + next(f) % 4096;
	d.dif.flags = kind | (next(f) % 4) << 2;
	d.size = blocks * (sizes[kind] + (opcode == DSA_OP_DIF_INSERT ? 0 : 8));
	if (opcode == DSA_OP_DIF_INSERT || opcode == DSA_OP_DIF_UPDATE) {
		d.dif.destination_flags = next(f) & 0xf8;
		d.dif.destination_reference = next(f);
		d.dif.destination_application = next(f);
		d.dif.destination_mask = next(f) & next(f);
	}
	if (opcode == DSA_OP_DIF_INSERT)
		return d;

	/* Source fields made by the model's own insert, then perhaps damaged. */
	d.dif.source_flags = next(f) & 0xf0;
	d.dif.source_reference = next(f);
	d.dif.source_application = next(f);
	d.dif.source_mask = next(f) & next(f);
	insert = d;
	insert.operation = (uint32_t)DSA_OP_DIF_INSERT << 24;
	insert.size = blocks * sizes[kind];
	insert.source = f->base + 3 * QUARTER;
	insert.destination = d.source;
	insert.dif.destination_flags = d.dif.source_flags & 0x90;
	insert.dif.destination_reference = d.dif.source_reference;
	insert.dif.destination_application = d.dif.source_application;
	insert.dif.destination_mask = d.dif.source_mask;
	naive_run(f->model, AREA, &insert, &ignored);
	if (next(f) % 2)
		f->model[d.source - AREA + next(f) % d.size] ^= 1 << next(f) % 8;
	return d;
}

static struct dsa_descriptor compose(struct fixture *f, enum dsa_opcode opcode, uint32_t flags)
{
	struct dsa_descriptor d = plain(f, opcode, flags);

	switch (opcode) {
	case DSA_OP_MEMMOVE:
		if (next(f) % 2) /* overlapping, either way */
			d.destination = d.source + next(f) % 5000;
		if (next(f) % 4 == 0)
			d.source = d.destination + next(f) % 5000;
		return d;
	case DSA_OP_FILL:
		d.source = next(f) | (uint64_t)next(f) << 32;
		if (next(f) % 2) {
			d.operation |= DSA_FLAG_FILL_16;
			d.pattern_high = next(f) | (uint64_t)next(f) << 32;
		}
		return d;
	case DSA_OP_COMPARE:
		make_similar(f, &d);
		if (next(f) % 2) {
			d.operation |= DSA_FLAG_CHECK_RESULT;
			d.expected = next(f) % 2;
		}
		return d;
	case DSA_OP_COMPARE_PATTERN:
		d.destination = 0x0123456789abcdefull * next(f);
		for (uint32_t i = 0; i < d.size; i++)
			f->model[d.source - AREA + i] = d.destination >> i % 8 * 8;
		if (next(f) % 2)
			f->model[d.source - AREA + next(f) % d.size] ^= 4;
		return d;
	case DSA_OP_DUALCAST:
		d.destination_2 = f->base + 2 * QUARTER + d.destination % 4096;
		return d;
	case DSA_OP_CREATE_DELTA:
		return delta_create(f, flags);
	case DSA_OP_APPLY_DELTA:
		return delta_apply(f, flags);
	case DSA_OP_CRC:
	case DSA_OP_COPY_CRC:
		return crc(f, opcode, flags);
	case DSA_OP_CACHE_FLUSH:
		d.source = 0;
		return d;
	default:
		return dif(f, opcode, flags);
	}
}

/* ---- ways of running ---- */

static void lose_pages(struct fixture *f)
{
	for (unsigned int i = 0; i < 6; i++)
		dkit_unmap(&f->kit, next(f) % AREA_PAGES);
}

static bool is_page_fault(const struct dsa_record *record)
{
	return (record->status & 0x7f) == DSA_STATUS_PAGE_FAULT;
}

/* DSA 8.2: progress is exact: the fault is where the device stopped, in a page that is missing. */
static void check_progress(struct fixture *f, const struct dsa_descriptor *d,
			   const struct dsa_record *got)
{
	unsigned int page = (got->fault_address - AREA) / 4096;

	uint64_t at = got->fault_address - got->completed;

	assert_in_range(got->fault_address, AREA, AREA + AREA_SIZE - 1);
	assert_false(f->kit.present[page]);
	switch (d->operation >> 24) {
	case DSA_OP_MEMMOVE:
		if (got->result) /* from the end */
			break;
		/* fall through */
	case DSA_OP_FILL:
	case DSA_OP_COMPARE:
	case DSA_OP_COMPARE_PATTERN:
	case DSA_OP_CACHE_FLUSH:
		assert_true(at == d->source || at == d->destination);
		break;
	case DSA_OP_DUALCAST:
		assert_true(at == d->source || at == d->destination || at == d->destination_2);
		break;
	case DSA_OP_CRC:
	case DSA_OP_COPY_CRC:
		assert_true(at == d->source || at == d->destination || at == d->crc.seed_address);
		break;
	default: /* whole blocks or entries */
		assert_true(got->completed <= d->size);
		break;
	}
}

/* Software's part: give the page and start again what cannot be continued, as a driver may always
 * do. */
static struct dsa_record resume(struct fixture *f, const struct dsa_descriptor *d)
{
	struct dsa_record got = dkit_run(&f->kit, d, 0);

	for (int tries = 0; is_page_fault(&got) && tries < AREA_PAGES; tries++) {
		check_progress(f, d, &got);
		dkit_map(&f->kit, (got.fault_address - AREA) / 4096, true);
		if (d->operation >> 24 == DSA_OP_MEMMOVE) {
			struct dsa_descriptor rest = *d;

			rest.size -= got.completed;
			if (!got.result) {
				rest.source += got.completed;
				rest.destination += got.completed;
			}
			return resume(f, &rest);
		}
		got = dkit_run(&f->kit, d, 0);
	}
	return got;
}

static void run_one(struct fixture *f, enum dsa_opcode opcode, enum way way)
{
	struct dsa_descriptor d;
	struct dsa_record got, want;

	refill(f);
	d = compose(f, opcode, way == WAY_REQUEST ? DSA_FLAG_BLOCK_ON_FAULT : 0);
	sync_model(f);
	if (way != WAY_PRESENT)
		lose_pages(f);
	f->kit.policy = PAGES_GIVEN;
	naive_run(f->model, AREA, &d, &want);
	got = way == WAY_PARTIAL ? resume(f, &d) : dkit_run(&f->kit, &d, 0);
	check_record(&got, &want);
	check_area(f);
}

static const enum dsa_opcode opcodes[] = {
	DSA_OP_MEMMOVE,	     DSA_OP_FILL,	 DSA_OP_COMPARE,    DSA_OP_COMPARE_PATTERN,
	DSA_OP_CREATE_DELTA, DSA_OP_APPLY_DELTA, DSA_OP_DUALCAST,   DSA_OP_CRC,
	DSA_OP_COPY_CRC,     DSA_OP_DIF_CHECK,	 DSA_OP_DIF_INSERT, DSA_OP_DIF_STRIP,
	DSA_OP_DIF_UPDATE,   DSA_OP_CACHE_FLUSH,
};
enum { OPCODES = sizeof(opcodes) / sizeof(opcodes[0]), ROUNDS = 24 };

static void run_all(unsigned int flags, enum way way)
{
	struct fixture *f = make(flags);

	for (unsigned int i = 0; i < OPCODES; i++) {
		for (unsigned int round = 0; round < ROUNDS; round++)
			run_one(f, opcodes[i], way);
	}
	assert_int_equal(dkit_read64(&f->kit, DSA_SWERR), 0);
	drop(f);
}

static void test_dedicated(void **state)
{
	run_all(0, WAY_PRESENT);
}

static void test_shared(void **state)
{
	run_all(WQ_SHARED, WAY_PRESENT);
}

static void test_no_pasid(void **state)
{
	run_all(WQ_NO_PASID, WAY_PRESENT);
}

static void test_privileged(void **state)
{
	run_all(WQ_PRIVILEGED, WAY_PRESENT);
}

/* DSA 3.11: block on fault. */
static void test_block_on_fault(void **state)
{
	run_all(WQ_BLOCK, WAY_REQUEST);
}

static void test_block_on_fault_shared(void **state)
{
	run_all(WQ_BLOCK | WQ_SHARED, WAY_REQUEST);
}

/* DSA 5.3: partial completion. */
static void test_partial(void **state)
{
	run_all(0, WAY_PARTIAL);
}

/* DSA 8.3.2: the same in a batch of three, each member with a record of its own. */
static void run_batch(struct fixture *f, const enum dsa_opcode pair[2], enum way way)
{
	uint32_t block = way == WAY_REQUEST ? DSA_FLAG_BLOCK_ON_FAULT : 0;
	struct dsa_descriptor list[3], batch = dkit_descriptor(DSA_OP_BATCH, block, 0);
	struct dsa_record got, want[3];
	bool failed = false;

	refill(f);
	for (unsigned int i = 0; i < 3; i++) {
		f->base = AREA + (i % 2) * HALF_QUARTER;
		list[i] = i < 2 ? compose(f, pair[i], block) : dkit_descriptor(DSA_OP_NOOP, 0, 0);
		list[i].record = dkit_record_address(i + 1);
		dkit_clear_record(&f->kit, i + 1);
	}
	f->base = AREA;
	sync_model(f);
	for (unsigned int i = 0; i < 3; i++) {
		naive_run(f->model, AREA, &list[i], &want[i]);
		failed |= want[i].status != DSA_STATUS_SUCCESS;
	}
	dkit_put(&f->kit, dkit_address(LIST_PAGE) + 4032, list, sizeof(list)); /* across pages */
	if (way == WAY_REQUEST)
		lose_pages(f);
	f->kit.policy = PAGES_GIVEN;
	batch.source = dkit_address(LIST_PAGE) + 4032;
	batch.size = 3;
	got = dkit_run(&f->kit, &batch, 0);
	assert_int_equal(got.status, failed ? DSA_STATUS_BATCH : DSA_STATUS_SUCCESS);
	assert_int_equal(got.completed, 3);
	for (unsigned int i = 0; i < 3; i++) {
		assert_true(dkit_wait(&f->kit, i + 1, &got));
		check_record(&got, &want[i]);
	}
	check_area(f);
}

static void run_batches(unsigned int flags, enum way way)
{
	struct fixture *f = make(flags);

	for (unsigned int round = 0; round < 6; round++) {
		for (unsigned int i = 0; i < OPCODES; i++) {
			enum dsa_opcode pair[2] = { opcodes[i], opcodes[(i + round) % OPCODES] };

			run_batch(f, pair, way);
		}
	}
	drop(f);
}

static void test_batch(void **state)
{
	run_batches(0, WAY_PRESENT);
}

static void test_batch_shared(void **state)
{
	run_batches(WQ_SHARED, WAY_PRESENT);
}

static void test_batch_block_on_fault(void **state)
{
	run_batches(WQ_BLOCK, WAY_REQUEST);
}

static void test_batch_block_on_fault_shared(void **state)
{
	run_batches(WQ_BLOCK | WQ_SHARED, WAY_REQUEST);
}

/* CRC32-C of "123456789" is the check value of its catalogues: the model is anchored, not only
 * self-consistent. */
static void test_model(void **state)
{
	assert_int_equal(naive_crc((const uint8_t *)"123456789", 9, 0, 0), 0xe3069283);
	assert_int_equal(naive_guard((const uint8_t *)"123456789", 9, 0), 0xd0db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_dedicated),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_no_pasid),
		cmocka_unit_test(test_privileged),
		cmocka_unit_test(test_block_on_fault),
		cmocka_unit_test(test_block_on_fault_shared),
		cmocka_unit_test(test_partial),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_batch_shared),
		cmocka_unit_test(test_batch_block_on_fault),
		cmocka_unit_test(test_batch_block_on_fault_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
