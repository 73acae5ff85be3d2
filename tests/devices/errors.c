/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a DSA does with descriptors that are wrong and addresses that are not there: every
 * completion status, SWERR, the event log, interrupts, and what the unit records.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>
#include "fixture.h"

/* ---- DSA 5.5: what is wrong with a descriptor ---- */

static void test_opcodes(void **state)
{
	static const unsigned int known[] = { 0, 1,    2,    3,	   4,	 5,    6,    7,	  8,
					      9, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x20 };
	struct dsa_descriptor d = dkit_descriptor(0, 0, 0);

	dkit_start(&kit, 0);
	for (unsigned int opcode = 0, i = 0; opcode < 256; opcode++) {
		d.operation = (d.operation & 0xffffff) | opcode << 24;
		if (i < sizeof(known) / sizeof(known[0]) && known[i] == opcode) {
			i++;
			assert_int_not_equal(dkit_status(&kit, &d), DSA_STATUS_OPCODE);
		} else {
			assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_OPCODE);
		}
	}
}

/* DSA 9.2.18: OPCONFIG takes operations away from a WQ. */
static void test_operation_config(void **state)
{
	struct dsa_descriptor noop = dkit_descriptor(DSA_OP_NOOP, 0, 0), d = dkit_move(0);

	dkit_configure_wq(&kit, 0, 16, 0);
	dkit_write32(&kit, DSA_WQCFG + 32, 1 << DSA_OP_MEMMOVE);
	dkit_group(&kit, 0, 1, 1);
	dkit_command(&kit, DSA_ENABLE_DEVICE, 0);
	dkit_command(&kit, DSA_ENABLE_WQ, 0);
	assert_int_equal(dkit_status(&kit, &noop), DSA_STATUS_OPCODE);
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SUCCESS);
}

/* DSA 8.1.2: flags an operation may not have come back in the record. */
static void test_flags(void **state)
{
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_NOOP, DSA_FLAG_CACHE_CONTROL | 1 << 23, 0);
	struct dsa_record record;

	dkit_start(&kit, 0);
	record = dkit_run(&kit, &d, 0);
	assert_int_equal(record.status, DSA_STATUS_FLAGS);
	assert_int_equal(record.invalid_flags, DSA_FLAG_CACHE_CONTROL | 1 << 23);
	d = dkit_move(DSA_FLAG_BLOCK_ON_FAULT); /* the WQ does not allow it */
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_FLAGS);
	d = dkit_move(DSA_FLAG_FENCE); /* only in a batch */
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_FLAGS);
	d = dkit_move(1 << 6);
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_FLAGS);
	d = dkit_move(DSA_FLAG_CACHE_CONTROL | DSA_FLAG_READBACK | DSA_FLAG_STRICT_ORDER);
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SUCCESS);
}

/* Every byte an operation does not use must be zero. */
static void test_reserved(void **state)
{
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_NOOP, 0, 0);

	dkit_start(&kit, 0);
	for (unsigned int byte = 16; byte < 64; byte++) {
		struct dsa_descriptor bad = d;

		if (byte == 36 || byte == 37) /* interrupt handle */
			continue;
		((uint8_t *)&bad)[byte] = 0x80;
		assert_int_equal(dkit_status(&kit, &bad), DSA_STATUS_RESERVED);
	}
	d.pasid = 1 << 20;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_RESERVED);
	d = dkit_descriptor(DSA_OP_FILL, 0, 0);
	d.destination = AREA;
	d.size = 64;
	d.pattern_high = 1; /* without the 16-byte flag */
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_RESERVED);
	d = dkit_descriptor(DSA_OP_DRAIN, 0, 0);
	d.source = AREA;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_RESERVED);
	d.operation |= DSA_FLAG_DRAIN_READBACK_1;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SUCCESS);
}

static void test_sizes(void **state)
{
	struct dsa_descriptor d = dkit_move(0);

	dkit_start(&kit, 0);
	d.size = 0;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SIZE);
	d.size = (1 << 21) + 1;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SIZE);

	d = dkit_descriptor(DSA_OP_BATCH, 0, 0);
	d.source = dkit_address(LIST_PAGE);
	d.size = 1;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_COUNT);
	d.size = 33;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_COUNT);
	d.size = 2;
	d.source += 32;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_LIST_ALIGNMENT);

	d = dkit_descriptor(DSA_OP_DIF_CHECK, 0, 0);
	d.source = AREA;
	d.size = 520 + 1;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SIZE);
	d.size = 520;
	d.dif.flags = 0x10;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_RESERVED);
}

static void test_overlaps(void **state)
{
	static const enum dsa_opcode opcodes[] = { DSA_OP_COPY_CRC, DSA_OP_DUALCAST };
	struct dsa_descriptor d;

	dkit_start(&kit, 0);
	for (unsigned int i = 0; i < 2; i++) {
		d = dkit_move(0);
		d.operation = (d.operation & 0xffffff) | (uint32_t)opcodes[i] << 24;
		d.destination_2 = i ? AREA + 0x20000 : 0;
		assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SUCCESS);
		d.destination = d.source + d.size - 1;
		d.destination_2 += i ? d.size - 1 : 0;
		assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_OVERLAP);
		d.destination = d.source + d.size;
		d.destination_2 += i;
		assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SUCCESS);
	}
	d.destination_2 += 64;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_DUALCAST);

	d = dkit_descriptor(DSA_OP_DIF_STRIP, 0, 0);
	d.source = AREA + 512 * 4;
	d.size = 520 * 4;
	d.destination = AREA + 1;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_OVERLAP);
}

static void test_deltas(void **state)
{
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_CREATE_DELTA, 0, 0);
	uint16_t entry[5] = { 0 };

	dkit_start(&kit, 0);
	d.source = AREA;
	d.destination = AREA + 0x8000;
	d.size = 64;
	d.delta.address = AREA + 0x10000;
	d.delta.size = 79;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_DELTA_SIZE);
	d.delta.size = 80;
	d.size = 60;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SIZE);
	d.size = 0x80008;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SIZE);
	d.size = 64;
	d.source += 4;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_ALIGNMENT);
	d.source -= 4;
	d.delta.address = AREA + 56;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_OVERLAP);

	d = dkit_descriptor(DSA_OP_APPLY_DELTA, 0, 0);
	d.source = AREA;
	d.destination = AREA + 0x8000;
	d.size = 64;
	d.delta_size = 15;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_DELTA_SIZE);
	d.delta_size = 20; /* two entries of index 0 */
	dkit_put(&kit, AREA, entry, 10);
	dkit_put(&kit, AREA + 10, entry, 10);
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_DELTA_ORDER);
	entry[0] = 8;
	dkit_put(&kit, AREA + 10, entry, 10);
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_DELTA_RANGE);
}

/* DSA 3.10: privilege only if the function was given it. */
static void test_privilege(void **state)
{
	struct dsa_descriptor d = dkit_move(0);

	d.pasid |= DSA_DESCRIPTOR_PRIVILEGED;
	dkit_start(&kit, WQ_SHARED);
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SUCCESS);
	dsa_features(kit.dsa, VIOMMU_ENDPOINT_PASID | VIOMMU_ENDPOINT_ATS, true);
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_PRIVILEGE);
}

/* A shared WQ takes the PASID of the descriptor: one without tables gets nowhere. */
static void test_pasid_of_descriptor(void **state)
{
	struct dsa_descriptor d = dkit_move(0);

	dkit_start(&kit, WQ_SHARED);
	d.pasid = PASID + 1;
	d.operation &= ~(uint32_t)(DSA_FLAG_RECORD_VALID | DSA_FLAG_REQUEST_RECORD);
	assert_true(dkit_submit(&kit, 0, &d));
	assert_int_equal(dkit_command(&kit, DSA_DRAIN_PASID, PASID + 1), 0);
	assert_int_equal(dkit_read64(&kit, DSA_SWERR) & 0xff0f, DSA_STATUS_TRANSLATION << 8 | 0xd);
	assert_int_equal(dkit_read64(&kit, DSA_SWERR) >> 40 & 0xfffff, PASID + 1);
}

/* ---- faults ---- */

/* DSA 5.3: a write fault says so, and the place. */
static void test_fault_write(void **state)
{
	struct dsa_descriptor d = dkit_move(0);
	struct dsa_record record;
	uint8_t before[64], after[64];

	dkit_start(&kit, 0);
	dkit_map(&kit, 16, false);
	assert_true(kit_flush_all(&kit.box));
	dkit_get(&kit, d.destination, before, 64);
	dkit_put(&kit, AREA, "not to be seen", 14);
	record = dkit_run(&kit, &d, 0);
	assert_int_equal(record.status, DSA_STATUS_PAGE_FAULT | DSA_STATUS_WRITE);
	assert_int_equal(record.fault_address, d.destination);
	assert_int_equal(record.completed, 0);
	dkit_get(&kit, d.destination, after, 64);
	assert_memory_equal(before, after, 64);
}

/* With ATS a fault a page request could cure is the device's alone; without it the unit records it.
 */
static void test_fault_record(void **state)
{
	struct dsa_descriptor d = dkit_move(0);
	struct kit_record fault;

	dkit_unmap(&kit, 0);
	dkit_start(&kit, 0);
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_PAGE_FAULT);
	assert_false(kit_take_fault(&kit.box, &fault));
	assert_int_equal(dkit_command(&kit, DSA_RESET_DEVICE, 0), 0);
	dkit_start(&kit, WQ_ATS_OFF);
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_PAGE_FAULT);
	assert_true(kit_take_fault(&kit.box, &fault));
	assert_int_equal(fault.sid, KIT_RID);
	assert_true(fault.pp);
	assert_int_equal(fault.pasid, PASID);
	assert_int_equal(fault.info & ~0xfffull, AREA);
}

/* DSA 3.11: the guest refuses the page; nobody answers; page requests are off. */
static void test_page_request_failures(void **state)
{
	struct dsa_descriptor d = dkit_move(DSA_FLAG_BLOCK_ON_FAULT);
	struct dsa_options options;
	struct dsa_record record;

	dkit_start(&kit, WQ_BLOCK);
	dkit_unmap(&kit, 16);
	kit.policy = PAGES_REFUSED;
	record = dkit_run(&kit, &d, 0);
	assert_int_equal(record.status, DSA_STATUS_PAGE_REQUEST_FAILED | DSA_STATUS_WRITE);
	assert_int_equal(kit.last_request, AREA + 0x10000);
	dkit_destroy(&kit);
	dsa_options_init(&options);
	options.page_timeout_ms = 100;
	dkit_create(&kit, &options);
	dkit_start(&kit, WQ_BLOCK);
	dkit_unmap(&kit, 16);
	record = dkit_run(&kit, &d, 0);
	assert_int_equal(record.status, DSA_STATUS_PAGE_REQUEST_FAILED | DSA_STATUS_WRITE);
	dsa_features(kit.dsa, VIOMMU_ENDPOINT_PASID | VIOMMU_ENDPOINT_ATS, true);
	record = dkit_run(&kit, &d, 0);
	assert_int_equal(record.status, DSA_STATUS_PAGE_REQUEST_FAILED | DSA_STATUS_WRITE);
}

/* WQCFG.PRS disable overrides block on fault. */
static void test_page_requests_off(void **state)
{
	struct dsa_descriptor d = dkit_move(DSA_FLAG_BLOCK_ON_FAULT);

	dkit_start(&kit, WQ_BLOCK | WQ_PRS_OFF);
	dkit_unmap(&kit, 0);
	kit.policy = PAGES_GIVEN;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_PAGE_FAULT);
	assert_int_equal(kit.page_requests, 0);
}

/* A late answer to a request given up must not be taken for the answer to the next one. */
static void test_late_answer(void **state)
{
	struct dsa_descriptor d = dkit_move(DSA_FLAG_BLOCK_ON_FAULT);
	struct dsa_record record;

	dkit_start(&kit, WQ_BLOCK);
	dkit_unmap(&kit, 0);
	dkit_clear_record(&kit, 0);
	assert_true(dkit_submit(&kit, 0, &d));
	while (!kit_read(&kit.box, REG_PQT, 8))
		usleep(100);
	assert_int_equal(dkit_command(&kit, DSA_ABORT_WQ, 1), 0);
	assert_true(dkit_submit(&kit, 0, &d));
	while (kit_read(&kit.box, REG_PQT, 8) < 64)
		usleep(100);
	kit.refuse = 1;
	kit.policy = PAGES_GIVEN;
	assert_true(dkit_wait(&kit, 0, &record));
	assert_int_equal(record.status, DSA_STATUS_SUCCESS);
	assert_int_equal(kit.page_requests, 2);
}

/* ---- batches ---- */

static struct dsa_descriptor batch_of(const struct dsa_descriptor *list, unsigned int count)
{
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_BATCH, 0, 0);

	dkit_put(&kit, dkit_address(LIST_PAGE), list, count * sizeof(*list));
	d.source = dkit_address(LIST_PAGE);
	d.size = count;
	return d;
}

/* DSA 3.9: a fence gives up what follows an error; without one the rest is executed. */
static void test_fence(void **state)
{
	struct dsa_descriptor list[4], batch;
	struct dsa_record record;

	dkit_start(&kit, 0);
	for (unsigned int i = 0; i < 4; i++) {
		list[i] = dkit_move(0);
		list[i].record = dkit_record_address(i + 1);
		dkit_clear_record(&kit, i + 1);
	}
	list[1].size = 0;
	list[3].operation |= DSA_FLAG_FENCE;
	batch = batch_of(list, 4);
	record = dkit_run(&kit, &batch, 0);
	assert_int_equal(record.status, DSA_STATUS_BATCH);
	assert_int_equal(record.completed, 3);
	assert_true(dkit_wait(&kit, 2, &record));
	assert_int_equal(record.status, DSA_STATUS_SIZE);
	assert_true(dkit_wait(&kit, 3, &record));
	assert_int_equal(record.status, DSA_STATUS_SUCCESS);
	dkit_get(&kit, dkit_record_address(4), &record, sizeof(record));
	assert_int_equal(record.status, 0);

	list[1].size = 8;
	for (unsigned int i = 1; i < 5; i++)
		dkit_clear_record(&kit, i);
	batch = batch_of(list, 4);
	record = dkit_run(&kit, &batch, 0);
	assert_int_equal(record.status, DSA_STATUS_SUCCESS);
	assert_int_equal(record.completed, 4);
}

/* DSA 8.3.2: neither batches nor drains in a batch; a false predicate counts as failure. */
static void test_batch_members(void **state)
{
	struct dsa_descriptor list[3], batch;
	struct dsa_record record;

	dkit_start(&kit, 0);
	list[0] = dkit_descriptor(DSA_OP_DRAIN, 0, 1);
	list[1] = dkit_descriptor(DSA_OP_BATCH, 0, 2);
	list[2] = dkit_descriptor(DSA_OP_COMPARE, DSA_FLAG_CHECK_RESULT, 3);
	list[2].source = list[2].destination = AREA;
	list[2].size = 8;
	list[2].expected = 1;
	for (unsigned int i = 1; i < 4; i++)
		dkit_clear_record(&kit, i);
	batch = batch_of(list, 3);
	record = dkit_run(&kit, &batch, 0);
	assert_int_equal(record.status, DSA_STATUS_BATCH);
	for (unsigned int i = 1; i < 4; i++) {
		assert_true(dkit_wait(&kit, i, &record));
		assert_int_equal(record.status,
				 i < 3 ? DSA_STATUS_OPCODE : DSA_STATUS_FALSE_PREDICATE);
	}
}

/* DSA 5.3: the list ends in a page that is not there: what came before it is done. */
static void test_batch_list_fault(void **state)
{
	struct dsa_descriptor list[4], batch;
	struct dsa_record record;

	dkit_start(&kit, 0);
	for (unsigned int i = 0; i < 4; i++) {
		list[i] = dkit_descriptor(DSA_OP_NOOP, 0, i + 1);
		dkit_clear_record(&kit, i + 1);
	}
	dkit_put(&kit, dkit_address(LIST_PAGE + 1) - 3 * 64, list, sizeof(list));
	dkit_unmap(&kit, LIST_PAGE + 1);
	batch = dkit_descriptor(DSA_OP_BATCH, 0, 0);
	batch.source = dkit_address(LIST_PAGE + 1) - 3 * 64;
	batch.size = 4;
	record = dkit_run(&kit, &batch, 0);
	assert_int_equal(record.status, DSA_STATUS_BATCH_FAULT);
	assert_int_equal(record.completed, 3);
	assert_int_equal(record.fault_address, dkit_address(LIST_PAGE + 1));
	assert_true(dkit_wait(&kit, 3, &record));
	assert_int_equal(record.status, DSA_STATUS_SUCCESS);
}

/* ---- DSA 5.6: errors without a record ---- */

static void run_without_record(struct dsa_descriptor d)
{
	assert_true(dkit_submit(&kit, 0, &d));
	assert_int_equal(dkit_command(&kit, DSA_DRAIN_ALL, 0), 0);
}

static void test_software_error(void **state)
{
	struct dsa_descriptor d = dkit_move(0);
	uint64_t words[4];

	dkit_write32(&kit, DSA_GENCTRL, DSA_GENCTRL_ERROR);
	dkit_start(&kit, 0);
	d.operation &= ~(uint32_t)DSA_FLAG_REQUEST_RECORD;
	d.record += 16; /* unaligned */
	run_without_record(d);
	for (unsigned int i = 0; i < 4; i++)
		words[i] = dkit_read64(&kit, DSA_SWERR + 8 * i);
	assert_int_equal(words[0], 0xd | DSA_STATUS_RECORD_ALIGNMENT << 8 | 3ull << 32 |
					   (uint64_t)PASID << 40);
	assert_int_equal(dkit_interrupts(&kit, 0, 1), 1);
	assert_int_equal(dkit_read32(&kit, DSA_INTCAUSE), DSA_CAUSE_ERROR);

	/* A second one only sets overflow; the first is kept. */
	d.operation = DSA_OP_NOOP << 24 | DSA_FLAG_REQUEST_RECORD;
	d.record = 0;
	run_without_record(d);
	assert_int_equal(dkit_read64(&kit, DSA_SWERR), words[0] | DSA_ERROR_OVERFLOW);
	assert_int_equal(dkit_interrupts(&kit, 0, 1), 1);
	dkit_write64(&kit, DSA_SWERR, DSA_ERROR_VALID | DSA_ERROR_OVERFLOW);
	assert_int_equal(dkit_read64(&kit, DSA_SWERR) & 3, 0);

	/* Record requested but no valid address: an invalid flag, told in SWERR. */
	run_without_record(d);
	assert_int_equal(dkit_read64(&kit, DSA_SWERR) >> 8 & 0xff, DSA_STATUS_FLAGS);
	assert_int_equal(dkit_read64(&kit, DSA_SWERR + 8) >> 32, DSA_FLAG_REQUEST_RECORD);
	assert_int_equal(dkit_interrupts(&kit, 0, 2), 2);
}

/* A record that cannot be written: the operation is done, the error says where the record should
 * have gone. */
static void test_record_fault(void **state)
{
	struct dsa_descriptor d = dkit_move(0);
	char text[16] = { 0 };

	dkit_start(&kit, 0);
	dkit_put(&kit, AREA, "moved anyway", 13);
	d.record = dkit_address(20);
	dkit_unmap(&kit, 20);
	run_without_record(d);
	assert_int_equal(dkit_read64(&kit, DSA_SWERR) & 0xff3f,
			 DSA_STATUS_RECORD_FAULT << 8 | 0x2d);
	assert_int_equal(dkit_read64(&kit, DSA_SWERR + 16), d.record);
	dkit_get(&kit, d.destination, text, 13);
	assert_string_equal(text, "moved anyway");
}

/* With block on fault the record's page is asked for like any other. */
static void test_record_page_request(void **state)
{
	struct dsa_descriptor d = dkit_move(DSA_FLAG_BLOCK_ON_FAULT);
	struct dsa_record record;

	dkit_start(&kit, WQ_BLOCK);
	d.record = dkit_address(20);
	memset(&record, 0, sizeof(record));
	dkit_put(&kit, d.record, &record, sizeof(record));
	dkit_unmap(&kit, 20);
	kit.policy = PAGES_GIVEN;
	run_without_record(d);
	dkit_get(&kit, d.record, &record, sizeof(record));
	assert_int_equal(record.status, DSA_STATUS_SUCCESS);
	assert_int_equal(kit.last_request, dkit_address(20));
	assert_int_equal(dkit_read64(&kit, DSA_SWERR), 0);
}

/* ---- DSA 5.7: the event log ---- */

static void start_event_log(unsigned int entries)
{
	dkit_write64(&kit, DSA_EVLCFG, dkit_address(EVENT_PAGE) | DSA_EVLCFG_PASID_ENABLE);
	dkit_write64(&kit, DSA_EVLCFG + 8, entries | PASID << 16);
	dkit_write32(&kit, DSA_GENCTRL, DSA_GENCTRL_EVENT_LOG | DSA_GENCTRL_ERROR);
	dkit_write32(&kit, DSA_GENCFG, DSA_GENCFG_EVENT_LOG);
}

static void get_event(unsigned int index, uint64_t head[4], struct dsa_record *record)
{
	dkit_get(&kit, dkit_address(EVENT_PAGE) + 64 * index, head, 32);
	dkit_get(&kit, dkit_address(EVENT_PAGE) + 64 * index + 32, record, sizeof(*record));
}

static void test_event_log(void **state)
{
	struct dsa_descriptor d = dkit_move(DSA_FLAG_REQUEST_INTERRUPT);
	struct dsa_record record;
	uint64_t head[4];

	start_event_log(64);
	dkit_start(&kit, 0);
	d.handle = 3;
	d.record = dkit_address(20) + 32;
	dkit_unmap(&kit, 20);
	run_without_record(d);
	assert_int_equal(dkit_read64(&kit, DSA_EVLSTATUS), 1ull << 32 | DSA_EVLSTATUS_PENDING);
	get_event(0, head, &record);
	/* descriptor and WQ valid, write, information valid; error, operation, PASID */
	assert_int_equal(head[0],
			 0xac | DSA_STATUS_RECORD_FAULT << 8 | 3ull << 32 | (uint64_t)PASID << 40);
	assert_int_equal(head[1], 3ull << 32 | 1ull << 48 | 1ull << 50);
	assert_int_equal(head[2], d.record);
	assert_int_equal(record.status, DSA_STATUS_SUCCESS);
	assert_int_equal(dkit_interrupts(&kit, 0, 1), 1);
	assert_int_equal(dkit_read32(&kit, DSA_INTCAUSE), DSA_CAUSE_EVENT_LOG);
	assert_int_equal(dkit_read64(&kit, DSA_SWERR), 0);

	/* One interrupt until the pending bit is cleared. */
	run_without_record(d);
	assert_int_equal(dkit_interrupts(&kit, 0, 1), 1);
	dkit_write32(&kit, DSA_EVLSTATUS + 4, 1u << 30);
	assert_int_equal(dkit_read64(&kit, DSA_EVLSTATUS), 2ull << 32);
	dkit_write32(&kit, DSA_EVLSTATUS, 2);
	run_without_record(d);
	assert_int_equal(dkit_interrupts(&kit, 0, 2), 2);
	assert_int_equal(dkit_read64(&kit, DSA_EVLSTATUS), 2 | 3ull << 32 | DSA_EVLSTATUS_PENDING);
}

/* DSA 5.8: the records of a batch with logged members, and of a drain behind them, follow through
 * the log. */
static void test_event_log_order(void **state)
{
	struct dsa_descriptor list[3], batch, drain = dkit_descriptor(DSA_OP_DRAIN, 0, 5);
	struct dsa_record record;
	uint64_t head[4];

	start_event_log(64);
	dkit_start(&kit, 0);
	for (unsigned int i = 0; i < 3; i++) {
		list[i] = dkit_move(0);
		list[i].record = i ? dkit_address(20) + 32 * i : dkit_record_address(1);
	}
	dkit_unmap(&kit, 20);
	batch = batch_of(list, 3);
	run_without_record(batch);
	run_without_record(drain);
	assert_int_equal(dkit_read64(&kit, DSA_EVLSTATUS) >> 32 & 0xffff, 4);
	for (unsigned int i = 0; i < 2; i++) {
		get_event(i, head, &record);
		assert_int_equal(head[0] & 0xff10, DSA_STATUS_RECORD_FAULT << 8 | DSA_ERROR_BATCH);
		assert_int_equal(head[1] & 0xffff, i + 1);
		assert_int_equal(!!(head[1] & DSA_EVENT_FIRST), i == 0);
	}
	get_event(2, head, &record);
	assert_int_equal(head[0] >> 8 & 0xff, DSA_STATUS_BATCH_LOGGED);
	assert_int_equal(head[2], batch.record);
	assert_int_equal(record.status, DSA_STATUS_BATCH);
	assert_int_equal(record.completed, 3);
	get_event(3, head, &record);
	assert_int_equal(head[0] >> 8 & 0xff, DSA_STATUS_DRAIN_LOGGED);
	assert_int_equal(record.status, DSA_STATUS_SUCCESS);
	/* The next drain has nothing to follow. */
	assert_int_equal(dkit_run(&kit, &drain, 5).status, DSA_STATUS_SUCCESS);
}

/* A full log loses nothing: the error is in SWERR then. The log wraps. */
static void test_event_log_full(void **state)
{
	struct dsa_descriptor d = dkit_move(0);

	start_event_log(64);
	dkit_start(&kit, 0);
	d.record = dkit_address(20);
	dkit_unmap(&kit, 20);
	for (unsigned int i = 0; i < 63; i++)
		run_without_record(d);
	assert_int_equal(dkit_read64(&kit, DSA_EVLSTATUS) >> 32 & 0xffff, 63);
	assert_int_equal(dkit_read64(&kit, DSA_SWERR), 0);
	run_without_record(d);
	assert_int_equal(dkit_read64(&kit, DSA_EVLSTATUS) >> 32 & 0xffff, 63);
	assert_int_equal(dkit_read64(&kit, DSA_SWERR) >> 8 & 0xff, DSA_STATUS_RECORD_FAULT);
	dkit_write32(&kit, DSA_EVLSTATUS, 63);
	run_without_record(d);
	assert_int_equal(dkit_read64(&kit, DSA_EVLSTATUS) >> 32 & 0xffff, 0);
}

/* ---- DSA 3.7: interrupts ---- */

static void test_interrupts(void **state)
{
	struct dsa_descriptor d = dkit_move(DSA_FLAG_REQUEST_INTERRUPT);

	dkit_write32(&kit, DSA_GENCFG, DSA_GENCFG_USER_INTERRUPTS);
	dkit_start(&kit, 0);
	for (unsigned int handle = 1; handle <= 8; handle++) {
		d.handle = handle;
		assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SUCCESS);
		assert_true(dkit_reached(&kit.interrupts[handle], 1));
	}
	d.handle = 9;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_HANDLE);
	d.handle = 0;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_HANDLE);
	/* Bound to a PASID. */
	dkit_write32(&kit, DSA_MSIXPERM + 8, PASID << 12 | DSA_MSIXPERM_PASID_ENABLE);
	dkit_write32(&kit, DSA_MSIXPERM + 16, (PASID + 1) << 12 | DSA_MSIXPERM_PASID_ENABLE);
	d.handle = 1;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SUCCESS);
	assert_true(dkit_reached(&kit.interrupts[1], 2));
	d.handle = 2;
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_HANDLE);
	/* Without a record too; and for an error. */
	d.handle = 3;
	d.operation &= ~(uint32_t)(DSA_FLAG_RECORD_VALID | DSA_FLAG_REQUEST_RECORD);
	run_without_record(d);
	assert_int_equal(atomic_load(&kit.interrupts[3]), 2);
	d.size = 0;
	run_without_record(d);
	assert_int_equal(atomic_load(&kit.interrupts[3]), 3);
}

static unsigned int interrupts_with(unsigned int flags, uint32_t gencfg)
{
	struct dsa_descriptor d = dkit_move(DSA_FLAG_REQUEST_INTERRUPT);
	unsigned int before = atomic_load(&kit.interrupts[1]);

	assert_int_equal(dkit_command(&kit, DSA_RESET_DEVICE, 0), 0);
	dkit_write32(&kit, DSA_GENCFG, gencfg);
	dkit_start(&kit, flags);
	d.handle = 1;
	run_without_record(d);
	return atomic_load(&kit.interrupts[1]) - before;
}

static void test_interrupt_gating(void **state)
{
	assert_int_equal(interrupts_with(0, 0), 0);
	assert_int_equal(interrupts_with(0, DSA_GENCFG_USER_INTERRUPTS), 1);
	assert_int_equal(interrupts_with(WQ_SHARED, 0), 0);
	assert_int_equal(interrupts_with(WQ_PRIVILEGED, 0), 1);
	assert_int_equal(interrupts_with(WQ_NO_PASID, 0), 1);
}

/* DSA 8.1.2: a record only if asked for or if something went wrong. */
static void test_record_on_request(void **state)
{
	struct dsa_descriptor d = dkit_move(0);
	struct dsa_record record;

	dkit_start(&kit, 0);
	d.operation &= ~(uint32_t)DSA_FLAG_REQUEST_RECORD;
	dkit_clear_record(&kit, 0);
	run_without_record(d);
	dkit_get(&kit, d.record, &record, sizeof(record));
	assert_int_equal(record.status, 0);
	d.size = 0;
	run_without_record(d);
	dkit_get(&kit, d.record, &record, sizeof(record));
	assert_int_equal(record.status, DSA_STATUS_SIZE);
}

/* DSA 8.3.3: a drain that reads back what is not there. */
static void test_drain_readback(void **state)
{
	struct dsa_descriptor d = dkit_descriptor(
		DSA_OP_DRAIN, DSA_FLAG_DRAIN_READBACK_1 | DSA_FLAG_DRAIN_READBACK_2, 0);

	dkit_start(&kit, 0);
	d.source = AREA;
	d.destination = dkit_address(20);
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_SUCCESS);
	dkit_unmap(&kit, 20);
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_READBACK_FAULT);
	d.destination = AREA;
	d.source = dkit_address(20);
	assert_int_equal(dkit_status(&kit, &d), DSA_STATUS_READBACK_FAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_opcodes),
		TEST(test_operation_config),
		TEST(test_flags),
		TEST(test_reserved),
		TEST(test_sizes),
		TEST(test_overlaps),
		TEST(test_deltas),
		TEST(test_privilege),
		TEST(test_pasid_of_descriptor),
		TEST(test_fault_write),
		TEST(test_fault_record),
		TEST(test_page_request_failures),
		TEST(test_page_requests_off),
		TEST(test_late_answer),
		TEST(test_fence),
		TEST(test_batch_members),
		TEST(test_batch_list_fault),
		TEST(test_software_error),
		TEST(test_record_fault),
		TEST(test_record_page_request),
		TEST(test_event_log),
		TEST(test_event_log_order),
		TEST(test_event_log_full),
		TEST(test_interrupts),
		TEST(test_interrupt_gating),
		TEST(test_record_on_request),
		TEST(test_drain_readback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
