/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PASID test device: each operation, each outcome, through its registers as docs/testdev.md
 * gives them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "devices/testdev/testdev.h"
#include "tests/vtd/kit.h"

enum {
	PASID = 9,
	IOVA = 0x40000000,
	GPA = 0x200000,
	ALL = VIOMMU_ENDPOINT_PASID | VIOMMU_ENDPOINT_ATS | VIOMMU_ENDPOINT_PRI |
	      VIOMMU_ENDPOINT_PASID_EXECUTE | VIOMMU_ENDPOINT_PASID_PRIVILEGED
};

static struct kit box;
static struct testdev *device;
static uint64_t root;
static atomic_uint interrupts[TESTDEV_VECTORS];
static bool answer_pages;
static unsigned int answer_code;

static void on_interrupt(void *opaque, unsigned int vector)
{
	atomic_fetch_add(&interrupts[vector], 1);
}

static const struct testdev_ops ops = { .interrupt = on_interrupt };

static void make_device(void)
{
	assert_int_equal(testdev_create(box.unit, KIT_RID, 200, &ops, NULL, &device), 0);
	testdev_features(device, ALL, true);
}

static void map(uint64_t offset, uint64_t flags)
{
	kit_map_first(&box, root, 4, IOVA + offset, 1, flags ? (GPA + offset) | flags : 0);
}

static int setup(void **state)
{
	kit_create(&box, NULL);
	viommu_endpoint_destroy(box.endpoint);
	box.endpoint = NULL;
	atomic_store(&interrupts[0], 0);
	atomic_store(&interrupts[1], 0);
	answer_pages = false;
	answer_code = VIOMMU_RESPONSE_SUCCESS;
	make_device();
	/* Translated requests want a PASID-table entry of their own. */
	kit_setup_first(&box, 0, 4);
	root = kit_setup_first(&box, PASID, 4);
	kit_put(&box, kit_pasid_entry(&box, KIT_RID, PASID) + 16,
		root | PE2_SRE | PE2_ERE | PE2_NXE);
	map(0, FS_P | FS_RW | FS_US);
	map(0x1000, FS_P | FS_US);
	map(0x3000, FS_P | FS_RW | FS_US | FS_XD);
	map(0x4000, FS_P | FS_RW);
	kit_start(&box, TTM_SCALABLE);
	kit_write(&box, REG_PQA, 8, kit_pages(&box, 2) | 1);
	return 0;
}

static int teardown(void **state)
{
	testdev_destroy(device);
	kit_destroy(&box);
	return 0;
}

static uint32_t get32(uint64_t offset)
{
	uint32_t value;

	testdev_read(device, offset, &value, 4);
	return value;
}

static uint64_t get64(uint64_t offset)
{
	uint64_t value;

	testdev_read(device, offset, &value, 8);
	return value;
}

static void put32(uint64_t offset, uint32_t value)
{
	testdev_write(device, offset, &value, 4);
}

static void put64(uint64_t offset, uint64_t value)
{
	testdev_write(device, offset, &value, 8);
}

static uint64_t slot(unsigned int n, unsigned int reg)
{
	return TESTDEV_SLOT + n * TESTDEV_SLOT_SIZE + reg;
}

static void ring(unsigned int n, uint32_t request, uint64_t iova, uint32_t length)
{
	put32(slot(n, TESTDEV_REQUEST), request);
	put32(slot(n, TESTDEV_PASID), PASID);
	put64(slot(n, TESTDEV_IOVA), iova);
	put32(slot(n, TESTDEV_LENGTH), length);
	put32(TESTDEV_DOORBELL, n);
}

/* The guest's answer to page requests: the page, then the response. */
static void serve(void)
{
	uint64_t head = kit_read(&box, REG_PQH, 8), queue = kit_read(&box, REG_PQA, 8) & ~0xfffull;

	while (answer_pages && head != kit_read(&box, REG_PQT, 8)) {
		uint64_t low = kit_get(&box, queue + head), high = kit_get(&box, queue + head + 8);

		if (answer_code == VIOMMU_RESPONSE_SUCCESS)
			map((high & ~0xfffull) - IOVA, FS_P | FS_RW | FS_US);
		if (high & 4)
			kit_submit(&box,
				   qi_page_response(low >> 8 & 1, PASID, KIT_RID, answer_code),
				   (high & 0xff8) | 4);
		head = (head + 32) % 0x2000;
		kit_write(&box, REG_PQH, 8, head);
		assert_true(kit_sync(&box));
	}
}

static unsigned int finish(unsigned int n)
{
	for (unsigned int i = 0; i < 600000 && get32(slot(n, TESTDEV_STATUS)) != TESTDEV_FINISHED;
	     i++) {
		serve();
		usleep(50);
	}
	assert_int_equal(get32(slot(n, TESTDEV_STATUS)), TESTDEV_FINISHED);
	return get32(slot(n, TESTDEV_OUTCOME));
}

static unsigned int run(uint32_t request, uint64_t iova, uint32_t length)
{
	ring(0, request, iova, length);
	return finish(0);
}

#define P TESTDEV_FLAG_PASID

static void test_identity(void **state)
{
	assert_int_equal(get32(TESTDEV_ID), 0x56494f54);
	assert_int_equal(get32(TESTDEV_VERSION), 1);
	assert_int_equal(get32(TESTDEV_SLOT_COUNT), 16);
	assert_int_equal(get32(TESTDEV_DATA_OFFSET), 0x4000);
	assert_int_equal(get32(TESTDEV_DATA_SIZE), 0x800);
	assert_int_equal(get32(TESTDEV_FEATURES), ALL | 0x100);
	put32(TESTDEV_ID, 0);
	assert_int_equal(get32(TESTDEV_ID), 0x56494f54);
}

static void test_read_write(void **state)
{
	char text[32] = "written through the unit";

	testdev_write(device, TESTDEV_DATA, text, sizeof(text));
	assert_int_equal(run(TESTDEV_OP_WRITE | P, IOVA + 0x20, sizeof(text)), TESTDEV_OK);
	assert_string_equal((char *)box.ram + GPA + 0x20, text);
	assert_int_equal(get32(slot(0, TESTDEV_BYTES)), sizeof(text));
	assert_int_equal(get64(slot(0, TESTDEV_GPA)), GPA + 0x20);
	ring(5, TESTDEV_OP_READ | P | TESTDEV_FLAG_ATS, IOVA + 0x20, sizeof(text));
	assert_int_equal(finish(5), TESTDEV_OK);
	memset(text, 0, sizeof(text));
	testdev_read(device, TESTDEV_DATA + 5 * TESTDEV_WINDOW, text, sizeof(text));
	assert_string_equal(text, "written through the unit");
	/* VT-d 4.2.3 NW: who reads is not allowed to write. */
	assert_int_equal(get32(slot(5, TESTDEV_GRANTED)) & (VIOMMU_READ | VIOMMU_WRITE), VIOMMU_READ);
}

/* Across pages, and the part before the fault is done. */
static void test_partial(void **state)
{
	struct kit_record record;

	map(0x2000, 0);
	assert_int_equal(run(TESTDEV_OP_READ | P, IOVA + 0x1c00, 0x800), TESTDEV_FAULT);
	assert_int_equal(get32(slot(0, TESTDEV_BYTES)), 0x400);
	assert_int_equal(get64(slot(0, TESTDEV_FAULT_IOVA)), IOVA + 0x2000);
	assert_int_not_equal(get32(slot(0, TESTDEV_REASON)), 0);
	assert_true(kit_take_fault(&box, &record));
	assert_int_equal(record.reason, get32(slot(0, TESTDEV_REASON)));
	assert_int_equal(record.pasid, PASID);
	assert_true(record.pp);
}

static void test_permissions(void **state)
{
	struct kit_record record;

	assert_int_equal(run(TESTDEV_OP_WRITE | P, IOVA + 0x1000, 8), TESTDEV_FAULT);
	assert_true(kit_take_fault(&box, &record));
	assert_int_equal(run(TESTDEV_OP_READ | P | TESTDEV_FLAG_EXECUTE, IOVA, 8), TESTDEV_OK);
	assert_int_equal(run(TESTDEV_OP_READ | P | TESTDEV_FLAG_EXECUTE, IOVA + 0x3000, 8),
			 TESTDEV_FAULT);
	assert_int_equal(run(TESTDEV_OP_READ | P, IOVA + 0x4000, 8), TESTDEV_FAULT);
	assert_int_equal(run(TESTDEV_OP_READ | P | TESTDEV_FLAG_PRIVILEGED, IOVA + 0x4000, 8),
			 TESTDEV_OK);
	/* nothing is mapped for requests without a PASID here */
	assert_int_equal(run(TESTDEV_OP_READ, IOVA, 8), TESTDEV_FAULT);
}

static void test_atomics(void **state)
{
	uint64_t *word = (uint64_t *)(box.ram + GPA + 0x40);

	*word = 5;
	put64(slot(0, TESTDEV_OPERAND), 7);
	assert_int_equal(run(TESTDEV_OP_FETCH_ADD | P, IOVA + 0x40, 8), TESTDEV_OK);
	assert_int_equal(*word, 12);
	assert_int_equal(get64(slot(0, TESTDEV_OLD)), 5);
	assert_int_equal(run(TESTDEV_OP_SWAP | P, IOVA + 0x40, 4), TESTDEV_OK);
	assert_int_equal(*word, 7);
	put64(slot(0, TESTDEV_COMPARE), 8);
	assert_int_equal(run(TESTDEV_OP_COMPARE_SWAP | P, IOVA + 0x40, 8), TESTDEV_OK);
	assert_int_equal(*word, 7);
	put64(slot(0, TESTDEV_COMPARE), 7);
	put64(slot(0, TESTDEV_OPERAND), 99);
	assert_int_equal(run(TESTDEV_OP_COMPARE_SWAP | P, IOVA + 0x40, 8), TESTDEV_OK);
	assert_int_equal(*word, 99);
	assert_int_equal(run(TESTDEV_OP_FETCH_ADD | P, IOVA + 0x1000, 8), TESTDEV_FAULT);
	assert_int_equal(run(TESTDEV_OP_FETCH_ADD | P, IOVA + 0x44, 8), TESTDEV_BAD_REQUEST);
	assert_int_equal(run(TESTDEV_OP_FETCH_ADD | P, IOVA, 2), TESTDEV_BAD_REQUEST);
}

static void test_fill(void **state)
{
	put64(slot(0, TESTDEV_OPERAND), 0x8877665544332211ull);
	assert_int_equal(run(TESTDEV_OP_FILL | P, IOVA + 3, 13), TESTDEV_OK);
	assert_memory_equal(box.ram + GPA + 3,
			    "\x11\x22\x33\x44\x55\x66\x77\x88\x11\x22\x33\x44\x55", 13);
	assert_int_equal(box.ram[GPA + 16], 0);
	assert_int_equal(run(TESTDEV_OP_FILL | P, IOVA, (16 << 20) + 1), TESTDEV_BAD_REQUEST);
}

static void test_dirty_pages(void **state)
{
	uint64_t bitmap[KIT_RAM / 4096 / 64] = { 0 }, word = GPA / 4096;

	assert_int_equal(viommu_memory_dirty_start(box.memory, 12), 0);
	assert_int_equal(run(TESTDEV_OP_READ | P, IOVA + 0x1000, 64), TESTDEV_OK);
	assert_int_equal(run(TESTDEV_OP_WRITE | P, IOVA, 64), TESTDEV_OK);
	assert_int_equal(viommu_memory_dirty_query(box.memory, 0, KIT_RAM, bitmap, false), 0);
	assert_int_equal(viommu_memory_dirty_stop(box.memory), 0);
	assert_int_equal(bitmap[word / 64] >> word % 64 & 3, 1);
}

/* An address that leads to no memory, and translated requests the unit refuses. */
static void test_nowhere(void **state)
{
	uint64_t context;

	kit_map_first(&box, root, 4, IOVA + 0x70000, 1, 0x7000000000 | FS_P | FS_RW | FS_US);
	assert_int_equal(run(TESTDEV_OP_READ | P, IOVA + 0x70000, 8), TESTDEV_NO_MEMORY);
	assert_int_equal(run(TESTDEV_OP_SWAP | P, IOVA + 0x70000, 8), TESTDEV_NO_MEMORY);
	/* VT-d 9.4: without DTE neither translation nor translated requests are allowed. */
	context = kit_context_scalable(&box, KIT_RID);
	kit_put(&box, context, kit_get(&box, context) & ~(uint64_t)(CE_DTE | CE_PRE));
	assert_true(kit_flush_all(&box));
	assert_int_equal(run(TESTDEV_OP_TRANSLATED_WRITE, GPA, 8), TESTDEV_FAULT);
	assert_int_equal(run(TESTDEV_OP_READ | P | TESTDEV_FLAG_ATS, IOVA, 8), TESTDEV_FAULT);
	assert_int_equal(run(TESTDEV_OP_READ | P, IOVA, 8), TESTDEV_OK);
}

/* A translation by ATS, its use, and its end by an invalidation. */
static void test_ats(void **state)
{
	struct kit_record record;

	assert_int_equal(run(TESTDEV_OP_ATS | P, IOVA + 0x123, 0), TESTDEV_OK);
	assert_int_equal(get64(slot(0, TESTDEV_GPA)), GPA + 0x123);
	assert_int_equal(get32(slot(0, TESTDEV_CACHED)), 1);
	assert_true(get64(slot(0, TESTDEV_SPAN)) >= 0x1000 - 0x123);
	ring(1, TESTDEV_OP_TRANSLATED_READ, GPA + 0x123, 8);
	assert_int_equal(finish(1), TESTDEV_OK);
	/* PASID-based device-TLB invalidation of this page */
	put32(TESTDEV_INTERRUPT_MASK, 2);
	kit_submit4(&box, QI_PASID_DEVICE_TLB | (uint64_t)KIT_RID << 16 | (uint64_t)PASID << 32,
		    IOVA, 0, 0);
	assert_true(kit_sync(&box));
	assert_int_equal(get32(slot(0, TESTDEV_CACHED)), 0);
	assert_int_equal(get32(TESTDEV_INVALIDATIONS), 1);
	assert_int_equal(get64(TESTDEV_INVALIDATE_FIRST), IOVA);
	assert_int_equal(get64(TESTDEV_INVALIDATE_LAST), IOVA + 0xfff);
	assert_int_equal(get32(TESTDEV_INVALIDATE_PASID), PASID);
	assert_int_equal(atomic_load(&interrupts[1]), 1);
	/* What is not there is granted nothing, and that is no fault. */
	assert_int_equal(run(TESTDEV_OP_ATS | P, IOVA + 0x5000, 0), TESTDEV_OK);
	assert_int_equal(get32(slot(0, TESTDEV_GRANTED)) & VIOMMU_ACCESS_TYPE, 0);
	assert_int_equal(run(TESTDEV_OP_READ | P | TESTDEV_FLAG_ATS, IOVA + 0x5000, 8),
			 TESTDEV_NOT_GRANTED);
	assert_false(kit_take_fault(&box, &record));
	/* ATS switched off: the request is refused. */
	testdev_features(device, VIOMMU_ENDPOINT_PASID, true);
	assert_int_equal(run(TESTDEV_OP_ATS | P, IOVA, 0), TESTDEV_FAULT);
}

static void test_page_requests(void **state)
{
	answer_pages = true;
	put32(TESTDEV_PAGE_TIMEOUT, 60000);
	assert_int_equal(
		run(TESTDEV_OP_FILL | P | TESTDEV_FLAG_PAGE_REQUEST, IOVA + 0x10000, 0x5000),
		TESTDEV_OK);
	assert_int_equal(get32(slot(0, TESTDEV_PAGE_REQUESTS)), 5);
	assert_int_equal(run(TESTDEV_OP_FILL | P | TESTDEV_FLAG_PAGE_REQUEST | TESTDEV_FLAG_ATS,
			     IOVA + 0x20000, 0x2000),
			 TESTDEV_OK);
	assert_int_equal(get32(slot(0, TESTDEV_PAGE_REQUESTS)), 2);
	assert_int_equal(
		run(TESTDEV_OP_FETCH_ADD | P | TESTDEV_FLAG_PAGE_REQUEST, IOVA + 0x30000, 8),
		TESTDEV_OK);
	assert_int_equal(get32(slot(0, TESTDEV_PAGE_REQUESTS)), 1);
	answer_code = VIOMMU_RESPONSE_INVALID;
	assert_int_equal(run(TESTDEV_OP_READ | P | TESTDEV_FLAG_PAGE_REQUEST, IOVA + 0x40000, 8),
			 TESTDEV_PAGE_REFUSED);
	assert_int_equal(get32(slot(0, TESTDEV_RESPONSE)), 1u << 31 | VIOMMU_RESPONSE_INVALID);
	answer_pages = false;
	put32(TESTDEV_PAGE_TIMEOUT, 200);
	assert_int_equal(run(TESTDEV_OP_READ | P | TESTDEV_FLAG_PAGE_REQUEST, IOVA + 0x40000, 8),
			 TESTDEV_TIMEOUT);
	/* Page requests off: nothing can cure the fault, so it is one; ATS only finds nobody to
	 * ask. */
	testdev_features(device, VIOMMU_ENDPOINT_PASID | VIOMMU_ENDPOINT_ATS, true);
	assert_int_equal(run(TESTDEV_OP_READ | P | TESTDEV_FLAG_PAGE_REQUEST, IOVA + 0x40000, 8),
			 TESTDEV_FAULT);
	assert_int_equal(run(TESTDEV_OP_READ | P | TESTDEV_FLAG_PAGE_REQUEST | TESTDEV_FLAG_ATS,
			     IOVA + 0x40000, 8),
			 TESTDEV_NO_PAGE_REQUESTS);
}

/* A page request and nothing else; the group number is the guest's to see. */
static void test_bare_page_request(void **state)
{
	uint64_t queue = kit_read(&box, REG_PQA, 8) & ~0xfffull;

	put32(TESTDEV_PAGE_TIMEOUT, 60000);
	put32(slot(0, TESTDEV_GROUP), 0x155);
	assert_int_equal(
		run(TESTDEV_OP_PAGE_REQUEST | P | TESTDEV_FLAG_ACCESS_WRITE, IOVA + 0x7000, 0),
		TESTDEV_OK);
	assert_int_equal(kit_get(&box, queue + 8) & ~0xfffull, IOVA + 0x7000);
	assert_int_equal(kit_get(&box, queue + 8) >> 3 & 0x1ff, 0x155);
	assert_int_equal(kit_get(&box, queue + 8) & 6, 2); /* write, not last */
	answer_pages = true;
	assert_int_equal(run(TESTDEV_OP_PAGE_REQUEST | P | TESTDEV_FLAG_LAST, IOVA + 0x8000, 0),
			 TESTDEV_OK);
	assert_int_equal(get32(slot(0, TESTDEV_RESPONSE)), 1u << 31);
	assert_int_equal(get32(TESTDEV_RESPONSES), 1);
}

static void test_queue_and_interrupts(void **state)
{
	put32(TESTDEV_INTERRUPT_MASK, 1);
	for (unsigned int n = 0; n < TESTDEV_SLOTS; n++)
		ring(n, TESTDEV_OP_READ | P | (n % 2 ? TESTDEV_FLAG_INTERRUPT : 0), IOVA, 8);
	for (unsigned int n = 0; n < TESTDEV_SLOTS; n++)
		assert_int_equal(finish(n), TESTDEV_OK);
	assert_int_equal(get32(TESTDEV_DONE), 0xffff);
	put32(TESTDEV_DONE, 0xff);
	assert_int_equal(get32(TESTDEV_DONE), 0xff00);
	assert_int_equal(get32(TESTDEV_BUSY), 0);
	testdev_stop(device); /* the last interrupt is out when this returns */
	testdev_start(device);
	assert_in_range(atomic_load(&interrupts[0]), 1, 8);
}

static void test_bad_requests(void **state)
{
	assert_int_equal(run(11, IOVA, 8), TESTDEV_BAD_REQUEST);
	assert_int_equal(run(TESTDEV_OP_READ | 1 << 16, IOVA, 8), TESTDEV_BAD_REQUEST);
	assert_int_equal(run(TESTDEV_OP_READ, IOVA, 0), TESTDEV_BAD_REQUEST);
	assert_int_equal(run(TESTDEV_OP_READ, IOVA, 0x801), TESTDEV_BAD_REQUEST);
	put32(TESTDEV_DOORBELL, 16);
	assert_int_equal(get32(TESTDEV_BUSY), 0);
	testdev_features(device, ALL, false);
	assert_int_equal(run(TESTDEV_OP_READ | P, IOVA, 8), TESTDEV_NO_BUS_MASTER);
}

/* A slot cannot be changed under a running request; abort and reset end it. */
static void test_abort(void **state)
{
	put32(TESTDEV_PAGE_TIMEOUT, 60000);
	ring(0, TESTDEV_OP_READ | P | TESTDEV_FLAG_PAGE_REQUEST, IOVA + 0x50000, 8);
	ring(1, TESTDEV_OP_READ | P, IOVA, 8);
	while (get32(slot(0, TESTDEV_STATUS)) != TESTDEV_RUNNING)
		usleep(50);
	put64(slot(0, TESTDEV_IOVA), 0);
	assert_int_equal(get64(slot(0, TESTDEV_IOVA)), IOVA + 0x50000);
	assert_int_equal(get32(TESTDEV_BUSY), 3);
	put32(TESTDEV_CONTROL, 1);
	assert_int_equal(get32(TESTDEV_BUSY), 0);
	assert_int_equal(get32(slot(0, TESTDEV_OUTCOME)), TESTDEV_ABORTED);
	assert_int_equal(get32(slot(1, TESTDEV_OUTCOME)), TESTDEV_ABORTED);
	assert_int_equal(run(TESTDEV_OP_READ | P, IOVA, 8), TESTDEV_OK);
	ring(0, TESTDEV_OP_READ | P | TESTDEV_FLAG_PAGE_REQUEST, IOVA + 0x50000, 8);
	testdev_reset(device);
	assert_int_equal(get32(slot(0, TESTDEV_STATUS)), TESTDEV_IDLE);
	assert_int_equal(get32(TESTDEV_PAGE_TIMEOUT), 200);
}

/* A request that waits for a page goes on on the other side. */
static void test_migration(void **state)
{
	struct viommu_stream_writer *writer;
	struct viommu_stream_reader *reader;
	const void *data;
	size_t length;

	put32(TESTDEV_PAGE_TIMEOUT, 60000);
	ring(3, TESTDEV_OP_FILL | P | TESTDEV_FLAG_PAGE_REQUEST, IOVA + 0x60000, 64);
	ring(2, TESTDEV_OP_READ | P, IOVA + 0x60000, 64);
	while (!kit_read(&box, REG_PQT, 8))
		usleep(50);
	assert_int_equal(viommu_stream_writer_create(&writer), 0);
	assert_int_equal(testdev_stop(device), 0);
	assert_int_equal(testdev_save(device, writer, 1), 0);
	assert_int_equal(viommu_stream_finish(writer, &data, &length), 0);
	testdev_destroy(device);
	make_device();
	assert_int_equal(viommu_stream_reader_create(data, length, &reader, NULL, 0), 0);
	assert_int_equal(testdev_stop(device), 0);
	assert_int_equal(testdev_load(device, reader, 1, NULL, 0), 0);
	viommu_stream_reader_destroy(reader);
	viommu_stream_writer_destroy(writer);
	testdev_start(device);
	answer_pages = true;
	assert_int_equal(finish(3), TESTDEV_OK);
	assert_int_equal(finish(2), TESTDEV_OK);
	assert_int_equal(get32(TESTDEV_PAGE_TIMEOUT), 60000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_identity),
		TEST(test_read_write),
		TEST(test_partial),
		TEST(test_permissions),
		TEST(test_atomics),
		TEST(test_fill),
		TEST(test_dirty_pages),
		TEST(test_nowhere),
		TEST(test_ats),
		TEST(test_page_requests),
		TEST(test_bare_page_request),
		TEST(test_queue_and_interrupts),
		TEST(test_bad_requests),
		TEST(test_abort),
		TEST(test_migration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
