/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Short descriptors are taken by the handful. What an engine holds besides its job is neither lost
 * nor executed twice nor for another requester, ends with the job, and keeps nobody waiting.
 *
 * Descriptor n moves 8 bytes out of a device's register n, whose read lasts until the test opens
 * it: so the test decides where an engine is.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>
#include "devices/dsa/internal.h"
#include "kit.h"

enum { REGISTERS = 8, MMIO_PAGE = 20, LARGE = 64 * 1024 + 8 };
#define MMIO 0x9000000ull

static struct dkit kit;
static atomic_bool opened[REGISTERS];
/* A bit per register whose read lasts until the device is being stopped. */
static atomic_uint until_stop;
static atomic_uint begun, entered;
static atomic_uint order[REGISTERS]; /* of the reads */

static bool stopping(void)
{
	bool stopped;

	dsa_lock(kit.dsa);
	stopped = kit.dsa->stopped;
	dsa_unlock(kit.dsa);
	return stopped;
}

static int read_register(void *opaque, uint64_t offset, void *data, size_t length)
{
	unsigned int n = offset / 8;
	uint64_t value = n + 1;

	atomic_store(&order[atomic_fetch_add(&begun, 1)], n);
	atomic_fetch_add(&entered, 1);
	while (!atomic_load(&opened[n]) && !(atomic_load(&until_stop) & 1u << n && stopping()))
		usleep(50);
	memcpy(data, &value, length);
	return 0;
}

static int write_register(void *opaque, uint64_t offset, const void *data, size_t length)
{
	return -EIO;
}

static const struct viommu_mmio_ops mmio_ops = { sizeof(mmio_ops), read_register, write_register };

static void open_registers(unsigned int first, unsigned int last)
{
	for (unsigned int n = first; n <= last; n++)
		atomic_store(&opened[n], true);
}

static void start(const struct dsa_options *options)
{
	uint8_t zeros[4096] = { 0 };

	dkit_create(&kit, options);
	dkit_put(&kit, dkit_address(RECORD_PAGE), zeros, sizeof(zeros));
	assert_int_equal(viommu_memory_add_mmio(kit.box.memory, MMIO, 4096, &mmio_ops, NULL, 0), 0);
	kit_map_first(&kit.box, kit.root, 4, dkit_address(MMIO_PAGE), 1,
		      MMIO | FS_P | FS_US | FS_RW);
	assert_true(kit_flush_all(&kit.box));
	for (unsigned int n = 0; n < REGISTERS; n++)
		atomic_store(&opened[n], false);
	atomic_store(&until_stop, 0);
	atomic_store(&begun, 0);
	atomic_store(&entered, 0);
}

static int setup(void **state)
{
	start(NULL);
	return 0;
}

static int teardown(void **state)
{
	open_registers(0, REGISTERS - 1);
	dkit_destroy(&kit);
	return 0;
}

/* Descriptor n; its record is number n. */
static struct dsa_descriptor reader(unsigned int n)
{
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_MEMMOVE, 0, n);

	d.source = dkit_address(MMIO_PAGE) + 8 * n;
	d.destination = AREA + 8 * n;
	d.size = 8;
	return d;
}

static void submit(unsigned int wq, unsigned int first, unsigned int last)
{
	for (unsigned int n = first; n <= last; n++) {
		struct dsa_descriptor d = reader(n);

		assert_true(dkit_submit(&kit, wq, &d));
	}
}

static void submit_noop(unsigned int record)
{
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_NOOP, 0, record);

	assert_true(dkit_submit(&kit, 0, &d));
}

static void assert_ends(unsigned int record, uint8_t status)
{
	struct dsa_record found;

	assert_true(dkit_wait(&kit, record, &found));
	assert_int_equal(found.status, status);
}

static void assert_untouched(unsigned int n)
{
	struct dsa_record found;
	uint64_t value;

	dkit_get(&kit, dkit_record_address(n), &found, sizeof(found));
	assert_int_equal(found.status, 0);
	dkit_get(&kit, AREA + 8 * n, &value, 8);
	assert_int_not_equal(value, n + 1);
}

static void assert_order(const unsigned int *expected, unsigned int count)
{
	assert_int_equal(atomic_load(&entered), count);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(atomic_load(&order[i]), expected[i]);
}

static struct dsa_entry *queued(unsigned int place)
{
	struct dsa_wq *wq = &kit.dsa->wqs[0];

	return &wq->entries[(wq->head + place) % dsa_ring(kit.dsa)];
}

/* The engine is at 1, with 2 and 3 in its hands; 4 came later. */
static void hold(unsigned int flags)
{
	dkit_start(&kit, flags);
	submit(0, 0, 0);
	assert_true(dkit_reached(&entered, 1));
	submit(0, 1, 3);
	open_registers(0, 0);
	assert_true(dkit_reached(&entered, 2));
	submit(0, 4, 4);
}

/* Engines 0 and 1 of one group are at 0 and 1. */
static void occupy_two_engines(unsigned int flags)
{
	dkit_configure_wq(&kit, 0, 16, flags);
	dkit_group(&kit, 0, 1, 3);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), 0);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), 0);
	for (unsigned int n = 0; n < 2; n++) {
		submit(0, n, n);
		assert_true(dkit_reached(&entered, n + 1));
	}
}

/* In the order of submission, and a drain waits for all. */
static void test_order(void **state)
{
	static const unsigned int expected[] = { 0, 1, 2, 3, 4 };
	uint64_t value;

	hold(0);
	dkit_write32(&kit, DSA_CMD, DSA_DRAIN_ALL << 20);
	open_registers(1, 2);
	assert_true(dkit_reached(&entered, 4));
	assert_true(dkit_read32(&kit, DSA_CMDSTS) & DSA_CMDSTS_ACTIVE);
	open_registers(3, 4);
	assert_true(dkit_command_settles(&kit));
	assert_order(expected, 5);
	for (unsigned int n = 0; n < 5; n++) {
		assert_ends(n, DSA_STATUS_SUCCESS);
		dkit_get(&kit, AREA + 8 * n, &value, 8);
		assert_int_equal(value, n + 1);
	}
}

/* DSA 4.3: an abort ends those that are held, too. */
static void test_abort(void **state)
{
	static const enum dsa_command commands[] = { DSA_ABORT_ALL, DSA_ABORT_WQ, DSA_ABORT_PASID,
						     DSA_RESET_WQ, DSA_RESET_DEVICE };
	static const uint32_t operands[] = { 0, 1, PASID, 1, 0 };
	static const unsigned int expected[] = { 0, 1 };
	struct dsa_statistics statistics;

	for (unsigned int i = 0; i < 5; i++) {
		hold(i % 2 ? WQ_SHARED : 0);
		dkit_write32(&kit, DSA_CMD, commands[i] << 20 | operands[i]);
		assert_true(dkit_read32(&kit, DSA_CMDSTS) & DSA_CMDSTS_ACTIVE);
		open_registers(1, 4);
		assert_true(dkit_command_settles(&kit));
		dsa_statistics(kit.dsa, &statistics);
		assert_int_equal(statistics.aborted, 4);
		assert_order(expected, 2);
		for (unsigned int n = 2; n < 5; n++)
			assert_untouched(n);
		teardown(NULL);
		setup(NULL);
	}
}

/* dsa_stop(): they go back into the queue, before those that came later, and are executed once. */
static void test_stop(void **state)
{
	static const unsigned int expected[] = { 0, 1, 2, 3, 4 };

	atomic_store(&until_stop, 1 << 1);
	hold(0);
	assert_int_equal(dsa_stop(kit.dsa), 0);
	assert_int_equal(atomic_load(&entered), 2);
	assert_int_equal(kit.dsa->wqs[0].count, 3);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(queued(i)->sequence, 2 + i);
	open_registers(1, 4);
	dsa_start(kit.dsa);
	for (unsigned int n = 0; n < 5; n++)
		assert_ends(n, DSA_STATUS_SUCCESS);
	assert_order(expected, 5);
}

/* One that got as far as its record is not held: its progress would be lost. */
static void test_stop_begun(void **state)
{
	static const unsigned int expected[] = { 0, 1, 2, 4 };
	struct dsa_record record;

	atomic_store(&until_stop, 1 << 1);
	hold(0);
	assert_int_equal(dsa_stop(kit.dsa), 0);
	queued(1)->progress = (struct dsa_progress){
		.record = { .status = DSA_STATUS_SUCCESS, .completed = 77 },
		.finished = true,
	};
	open_registers(1, 4);
	dsa_start(kit.dsa);
	assert_ends(4, DSA_STATUS_SUCCESS);
	assert_order(expected, 4);
	assert_true(dkit_wait(&kit, 3, &record));
	assert_int_equal(record.completed, 77);
}

/* A queue filled again behind what two engines hold: all that goes back has room. */
static void test_stop_full(void **state)
{
	enum { ENTRIES = 16, FIRST_NOOP = REGISTERS, HELD = DSA_HELD + 3 };
	struct dsa_options options;
	unsigned int noops = 0;

	teardown(NULL);
	dsa_options_init(&options);
	options.entries = ENTRIES;
	start(&options);
	atomic_store(&until_stop, 1 << 2 | 1 << 3);
	occupy_two_engines(0);
	for (unsigned int n = 2; n < 4; n++) {
		submit(0, n, n);
		for (unsigned int i = 1; i < ENTRIES / 2; i++)
			submit_noop(FIRST_NOOP + noops++);
	}
	for (unsigned int n = 0; n < 2; n++) {
		open_registers(n, n);
		assert_true(dkit_reached(&entered, 3 + n));
	}
	for (unsigned int i = 0; i < 2 + HELD; i++)
		submit_noop(FIRST_NOOP + noops++);
	assert_int_equal(kit.dsa->wqs[0].count, ENTRIES);
	assert_int_equal(dsa_stop(kit.dsa), 0);
	assert_int_equal(kit.dsa->wqs[0].count, ENTRIES + HELD);
	dsa_start(kit.dsa);
	assert_int_equal(dkit_command(&kit, DSA_DRAIN_ALL, 0), 0);
	for (unsigned int n = 0; n < 4; n++)
		assert_ends(n, DSA_STATUS_SUCCESS);
	for (unsigned int i = 0; i < noops; i++)
		assert_ends(FIRST_NOOP + i, DSA_STATUS_SUCCESS);
}

/* Each has a record of its own: nothing in it is of the one before. */
static void test_records(void **state)
{
	const struct dsa_record expected = { .status = DSA_STATUS_SUCCESS };
	struct dsa_descriptor faulting = dkit_descriptor(DSA_OP_FILL, 0, 2);
	struct dsa_record found;

	dkit_start(&kit, 0);
	dkit_unmap(&kit, 1);
	faulting.destination = AREA + 8;
	faulting.size = 8192;
	submit(0, 0, 0);
	assert_true(dkit_reached(&entered, 1));
	submit(0, 1, 1);
	assert_true(dkit_submit(&kit, 0, &faulting));
	submit_noop(3);
	open_registers(0, 1);
	assert_true(dkit_wait(&kit, 3, &found));
	assert_memory_equal(&found, &expected, sizeof(found));
	assert_true(dkit_wait(&kit, 2, &found));
	assert_int_equal(found.status, DSA_STATUS_PAGE_FAULT | DSA_STATUS_WRITE);
	assert_int_equal(found.fault_address, AREA + 4096);
}

/* A shared WQ's neighbours may be another's: each is executed as its own. */
static void test_requesters(void **state)
{
	struct dsa_descriptor d = reader(2);

	dkit_start(&kit, WQ_SHARED);
	dsa_features(kit.dsa, VIOMMU_ENDPOINT_PASID | VIOMMU_ENDPOINT_ATS, true);
	submit(0, 0, 0);
	assert_true(dkit_reached(&entered, 1));
	submit(0, 1, 1);
	d.pasid |= DSA_DESCRIPTOR_PRIVILEGED;
	assert_true(dkit_submit(&kit, 0, &d));
	submit(0, 3, 3);
	d = reader(4);
	d.pasid = PASID + 1; /* has no tables */
	d.operation &= ~(uint32_t)(DSA_FLAG_RECORD_VALID | DSA_FLAG_REQUEST_RECORD);
	assert_true(dkit_submit(&kit, 0, &d));
	open_registers(0, 4);
	assert_int_equal(dkit_command(&kit, DSA_DRAIN_ALL, 0), 0);
	assert_ends(1, DSA_STATUS_SUCCESS);
	assert_ends(2, DSA_STATUS_PRIVILEGE);
	assert_ends(3, DSA_STATUS_SUCCESS);
	assert_untouched(4);
	assert_int_equal(dkit_read64(&kit, DSA_SWERR) >> 40 & 0xfffff, PASID + 1);
}

/* DSA 3.4: a priority of two gives two descriptors a turn, however many could be taken together. */
static void test_turns(void **state)
{
	static const unsigned int expected[] = { 0, 1, 5, 2, 3, 6, 4 };

	for (unsigned int wq = 0; wq < 2; wq++)
		dkit_configure_wq(&kit, wq, 8, 0);
	dkit_write32(&kit, DSA_WQCFG + 8, (dkit_read32(&kit, DSA_WQCFG + 8) & ~0xf0u) | 2 << 4);
	dkit_group(&kit, 0, 3, 1);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), 0);
	for (unsigned int wq = 0; wq < 2; wq++)
		assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, wq), 0);
	submit(0, 0, 0);
	assert_true(dkit_reached(&entered, 1));
	submit(0, 1, 4);
	submit(1, 5, 6);
	open_registers(0, 6);
	assert_int_equal(dkit_command(&kit, DSA_DRAIN_ALL, 0), 0);
	assert_order(expected, 7);
}

/* The engine that is at 2 leaves the group's other one its share: 4. */
static void test_share(void **state)
{
	static const unsigned int expected[] = { 0, 1, 2, 4 };

	occupy_two_engines(0);
	submit(0, 2, 5);
	open_registers(0, 0);
	assert_true(dkit_reached(&entered, 3));
	open_registers(1, 1);
	assert_true(dkit_reached(&entered, 4));
	assert_order(expected, 4);
	open_registers(2, 5);
	for (unsigned int n = 0; n < 6; n++)
		assert_ends(n, DSA_STATUS_SUCCESS);
}

/* What may take long is nothing to be held: the other engine does it while one is at 2. */
static void test_long(void **state)
{
	struct dsa_descriptor kinds[3], member = dkit_descriptor(DSA_OP_NOOP, 0, 6);

	kinds[0] = dkit_descriptor(DSA_OP_MEMMOVE, 0, 3);
	kinds[0].size = LARGE;
	kinds[1] = dkit_descriptor(DSA_OP_MEMMOVE, DSA_FLAG_BLOCK_ON_FAULT, 3);
	kinds[1].size = 8;
	for (unsigned int i = 0; i < 2; i++) {
		kinds[i].source = AREA + 40 * 4096;
		kinds[i].destination = AREA;
	}
	kinds[2] = dkit_descriptor(DSA_OP_BATCH, 0, 3);
	kinds[2].source = dkit_address(LIST_PAGE);
	kinds[2].size = 2;
	for (unsigned int i = 0; i < 3; i++) {
		for (unsigned int j = 0; j < 2; j++)
			dkit_put(&kit, kinds[2].source + 64 * j, &member, sizeof(member));
		occupy_two_engines(WQ_BLOCK);
		submit(0, 2, 2);
		assert_true(dkit_submit(&kit, 0, &kinds[i]));
		submit(0, 4, 4);
		open_registers(0, 0);
		assert_true(dkit_reached(&entered, 3));
		open_registers(1, 1);
		assert_ends(3, DSA_STATUS_SUCCESS);
		open_registers(2, 4);
		assert_ends(2, DSA_STATUS_SUCCESS);
		assert_ends(4, DSA_STATUS_SUCCESS);
		teardown(NULL);
		setup(NULL);
	}
}

/* Nor does what may take long hold others: the other engine does them while it waits for a page. */
static void test_long_first(void **state)
{
	struct dsa_descriptor waiting = dkit_descriptor(DSA_OP_FILL, DSA_FLAG_BLOCK_ON_FAULT, 4);
	struct dsa_record found;

	dkit_unmap(&kit, 1);
	waiting.destination = AREA + 4096;
	waiting.size = 8;
	occupy_two_engines(WQ_BLOCK);
	assert_true(dkit_submit(&kit, 0, &waiting));
	submit(0, 2, 3);
	open_registers(0, 0);
	while (!kit_read(&kit.box, REG_PQT, 8))
		usleep(50);
	open_registers(1, 3);
	assert_ends(2, DSA_STATUS_SUCCESS);
	assert_ends(3, DSA_STATUS_SUCCESS);
	dkit_get(&kit, dkit_record_address(4), &found, sizeof(found));
	assert_int_equal(found.status, 0);
	kit.policy = PAGES_GIVEN;
	assert_ends(4, DSA_STATUS_SUCCESS);
}

/* DSA 3.8: a drain waits for what both engines have taken before it. */
static void test_drain(void **state)
{
	struct dsa_descriptor drain = dkit_descriptor(DSA_OP_DRAIN, 0, 3);

	occupy_two_engines(0);
	submit(0, 2, 2);
	assert_true(dkit_submit(&kit, 0, &drain));
	submit(0, 4, 4);
	open_registers(0, 0);
	assert_true(dkit_reached(&entered, 3));
	open_registers(1, 1);
	usleep(5000);
	assert_int_equal(atomic_load(&entered), 3); /* the other engine is at the drain */
	open_registers(2, 4);
	for (unsigned int n = 2; n < 5; n++)
		assert_ends(n, DSA_STATUS_SUCCESS);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_order),      TEST(test_abort),      TEST(test_stop),
		TEST(test_stop_begun), TEST(test_stop_full),  TEST(test_records),
		TEST(test_requesters), TEST(test_turns),      TEST(test_share),
		TEST(test_long),       TEST(test_long_first), TEST(test_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
