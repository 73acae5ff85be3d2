/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands and resets against running work. Whatever happens, commands end, no record of cancelled
 * work appears afterwards, and the device works again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <pthread.h>
#include <unistd.h>
#include <cmocka.h>
#include "fixture.h"

static struct dsa_descriptor blocked(unsigned int record)
{
	struct dsa_descriptor d = dkit_move(DSA_FLAG_BLOCK_ON_FAULT);

	d.record = dkit_record_address(record);
	return d;
}

static void wait_for_request(unsigned int count)
{
	while (kit_read(&kit.box, REG_PQT, 8) < 32 * count)
		usleep(50);
}

static void assert_no_record(unsigned int record)
{
	struct dsa_record found;

	dkit_get(&kit, dkit_record_address(record), &found, sizeof(found));
	assert_int_equal(found.status, 0);
}

/* One job waits for a page, two more are queued behind it. */
static void block(unsigned int flags)
{
	dkit_start(&kit, WQ_BLOCK | flags);
	dkit_unmap(&kit, 0);
	for (unsigned int i = 0; i < 3; i++) {
		struct dsa_descriptor d = blocked(i);

		dkit_clear_record(&kit, i);
		assert_true(dkit_submit(&kit, 0, &d));
	}
	wait_for_request(1);
}

static void assert_works(void)
{
	struct dsa_descriptor noop = dkit_descriptor(DSA_OP_NOOP, 0, 7);

	assert_int_equal(dkit_run(&kit, &noop, 7).status, DSA_STATUS_SUCCESS);
}

/* DSA 4.3: drain and disable wait for work, abort and reset end it. */
static void test_drain_waits(void **state)
{
	static const enum dsa_command commands[] = { DSA_DRAIN_ALL, DSA_DRAIN_WQ, DSA_DRAIN_PASID,
						     DSA_DISABLE_WQ, DSA_DISABLE_DEVICE };
	static const uint32_t operands[] = { 0, 1, PASID, 1, 0 };

	for (unsigned int i = 0; i < 5; i++) {
		struct dsa_record record;

		kit.policy = PAGES_UNANSWERED;
		block(i % 2 ? WQ_SHARED : 0);
		dkit_write32(&kit, DSA_CMD, commands[i] << 20 | operands[i]);
		usleep(2000);
		assert_true(dkit_read32(&kit, DSA_CMDSTS) & DSA_CMDSTS_ACTIVE);
		if (commands[i] == DSA_DISABLE_DEVICE)
			assert_int_equal(dkit_read32(&kit, DSA_GENSTS) & 3, DSA_DRAINING);
		/* While a command is active others are ignored. */
		dkit_write32(&kit, DSA_CMD, DSA_ENABLE_WQ << 20 | 7);
		kit.policy = PAGES_GIVEN;
		assert_true(dkit_command_settles(&kit));
		assert_int_equal(dkit_read32(&kit, DSA_CMDSTS), 0);
		for (unsigned int n = 0; n < 3; n++) {
			dkit_get(&kit, dkit_record_address(n), &record, sizeof(record));
			assert_int_equal(record.status, DSA_STATUS_SUCCESS);
		}
		assert_int_equal(dkit_command(&kit, DSA_RESET_DEVICE, 0), 0);
		dkit_destroy(&kit);
		dkit_create(&kit, NULL);
	}
}

static void test_abort_ends(void **state)
{
	static const enum dsa_command commands[] = { DSA_ABORT_ALL, DSA_ABORT_WQ, DSA_ABORT_PASID,
						     DSA_RESET_WQ, DSA_RESET_DEVICE };
	static const uint32_t operands[] = { 0, 1, PASID, 1, 0 };
	struct dsa_statistics statistics;

	for (unsigned int i = 0; i < 5; i++) {
		block(i % 2 ? WQ_SHARED : 0);
		assert_int_equal(dkit_command(&kit, commands[i], operands[i]), 0);
		dsa_statistics(kit.dsa, &statistics);
		assert_int_equal(statistics.aborted, 3);
		kit.policy = PAGES_GIVEN; /* an answer nobody waits for */
		dkit_serve_pages(&kit);
		for (unsigned int n = 0; n < 3; n++)
			assert_no_record(n);
		if (i < 3)
			assert_works();
		dkit_destroy(&kit);
		dkit_create(&kit, NULL);
	}
}

/* Another PASID's work is not touched by "abort PASID" and not waited for by "drain PASID". */
static void test_pasid_commands(void **state)
{
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_NOOP, 0, 4);
	struct dsa_record record;

	block(WQ_SHARED);
	assert_int_equal(dkit_command(&kit, DSA_DRAIN_PASID, PASID + 1), 0);
	assert_int_equal(dkit_command(&kit, DSA_ABORT_PASID, PASID + 1), 0);
	dkit_clear_record(&kit, 4);
	assert_true(dkit_submit(&kit, 0, &d));
	kit.policy = PAGES_GIVEN;
	for (unsigned int i = 0; i < 5; i++) {
		if (i == 3)
			continue;
		assert_true(dkit_wait(&kit, i, &record));
		assert_int_equal(record.status, DSA_STATUS_SUCCESS);
	}
}

/* DSA 3.8: a drain descriptor completes after what came before it on other engines. */
static void test_drain_descriptor(void **state)
{
	struct dsa_descriptor d = blocked(0), drain = dkit_descriptor(DSA_OP_DRAIN, 0, 1);
	struct dsa_record record;

	dkit_configure_wq(&kit, 0, 16, WQ_BLOCK);
	dkit_group(&kit, 0, 1, 0xf);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), 0);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), 0);
	dkit_unmap(&kit, 0);
	dkit_clear_record(&kit, 0);
	dkit_clear_record(&kit, 1);
	assert_true(dkit_submit(&kit, 0, &d));
	wait_for_request(1);
	assert_true(dkit_submit(&kit, 0, &drain));
	assert_works(); /* on a third engine */
	usleep(2000);
	assert_no_record(1);
	kit.policy = PAGES_GIVEN;
	assert_true(dkit_wait(&kit, 1, &record));
	dkit_get(&kit, dkit_record_address(0), &record, sizeof(record));
	assert_int_equal(record.status, DSA_STATUS_SUCCESS);
}

/* Function-level reset, and losing bus mastering, in the middle of it. */
static void test_function_reset(void **state)
{
	block(0);
	dsa_reset(kit.dsa);
	assert_int_equal(dkit_read32(&kit, DSA_GENSTS), DSA_DISABLED | DSA_RESET_FUNCTION << 2);
	assert_int_equal(dkit_read32(&kit, DSA_CMDSTS), 0);
	kit.policy = PAGES_GIVEN;
	dkit_serve_pages(&kit);
	for (unsigned int i = 0; i < 3; i++)
		assert_no_record(i);
	dkit_start(&kit, 0);
	assert_works();
}

static void test_bus_master_lost(void **state)
{
	block(0);
	dsa_features(kit.dsa, VIOMMU_ENDPOINT_PASID, false);
	usleep(2000);
	for (unsigned int i = 0; i < 3; i++)
		assert_no_record(i);
	assert_int_equal(dkit_command(&kit, DSA_RESET_DEVICE, 0), 0);
}

/* ---- many threads ---- */

struct load {
	struct dkit *kit;
	atomic_bool stop;
	unsigned int seed;
	unsigned int wq;
};

static uint32_t pick(struct load *load)
{
	load->seed = load->seed * 1664525 + 1013904223;
	return load->seed >> 8;
}

/* A guest that submits whatever it likes, to its own portal pages. */
static void *submitter(void *argument)
{
	struct load *load = argument;

	while (!atomic_load(&load->stop)) {
		struct dsa_descriptor d = { .pasid = PASID };

		if (pick(load) % 4 == 0) {
			for (unsigned int i = 0; i < 64; i++)
				((uint8_t *)&d)[i] = pick(load);
		} else {
			d.operation = (pick(load) % 0x21) << 24 | (pick(load) & 0x1f);
			d.record = dkit_record_address(pick(load) % 64);
			d.source = AREA + pick(load) % AREA_SIZE / 2;
			d.destination = AREA + AREA_SIZE / 2 + pick(load) % (AREA_SIZE / 4);
			d.size = 1 + pick(load) % 40000;
			d.handle = pick(load) % 9;
		}
		if (pick(load) % 8 == 0) { /* a batch of whatever lies in memory */
			d.operation = DSA_OP_BATCH << 24 | DSA_FLAG_RECORD_VALID;
			d.source = AREA + pick(load) % 64 * 64;
			d.size = pick(load) % 40;
		}
		dsa_portal_write(load->kit->dsa, load->wq * DSA_PORTAL_SIZE + pick(load) % 64 * 64,
				 &d, 64);
		if (pick(load) % 16 == 0)
			usleep(20);
	}
	return NULL;
}

/* A guest that keeps changing its mind about the device. */
static void *commander(void *argument)
{
	struct load *load = argument;
	struct dkit *box = load->kit;

	while (!atomic_load(&load->stop)) {
		switch (pick(load) % 8) {
		case 0:
			dsa_reset(box->dsa);
			break;
		case 1:
			dkit_write32(box, DSA_CMD, DSA_RESET_DEVICE << 20);
			break;
		case 2:
			dsa_features(box->dsa, VIOMMU_ENDPOINT_PASID | VIOMMU_ENDPOINT_PRI,
				     pick(load) % 4);
			break;
		case 3:
			dkit_write32(box, pick(load) % 0x1100 & ~3u, pick(load) | pick(load) << 24);
			break;
		case 4:
			if (!dsa_stop(box->dsa))
				dsa_start(box->dsa);
			break;
		default:
			dkit_write32(box, DSA_CMD, (pick(load) % 14) << 20 | (pick(load) & 0xff));
			break;
		}
		usleep(pick(load) % 300);
		for (unsigned int i = 0; i < 2; i++)
			dkit_configure_wq(box, i, 32, WQ_BLOCK | (i ? WQ_SHARED : 0));
		dkit_group(box, 0, 3, 0xf);
		dkit_write32(box, DSA_CMD, DSA_ENABLE_DEVICE << 20);
		dkit_write32(box, DSA_CMD, DSA_ENABLE_WQ << 20 | 0);
		dkit_write32(box, DSA_CMD, DSA_ENABLE_WQ << 20 | 1);
	}
	return NULL;
}

static bool enough(void)
{
	struct dsa_statistics statistics;

	dsa_statistics(kit.dsa, &statistics);
	return statistics.descriptors > 100 && statistics.aborted > 0;
}

static void test_everything_at_once(void **state)
{
	struct load loads[3];
	pthread_t threads[3];

	kit.policy = PAGES_GIVEN;
	for (unsigned int i = 0; i < 3; i++) {
		loads[i] = (struct load){ .kit = &kit, .seed = i + 1, .wq = i };
		pthread_create(&threads[i], NULL, i < 2 ? submitter : commander, &loads[i]);
	}
	/* Under load the threads may take longer to come to all that this is about. */
	for (unsigned int i = 0; i < 400 || !enough(); i++) {
		dkit_unmap(&kit, i % AREA_PAGES);
		usleep(2000);
		if (i % 2)
			dkit_map(&kit, i % AREA_PAGES, true);
		if (kit_read(&kit.box, REG_PRS, 4) & PRS_PRO)
			kit_write(&kit.box, REG_PRS, 4, PRS_PRO);
	}
	for (unsigned int i = 0; i < 3; i++)
		atomic_store(&loads[i].stop, true);
	for (unsigned int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);

	/* The device is none the worse. */
	dsa_features(kit.dsa, VIOMMU_ENDPOINT_PASID | VIOMMU_ENDPOINT_PRI, true);
	dsa_reset(kit.dsa);
	for (unsigned int i = 0; i < ALL_PAGES; i++)
		dkit_map(&kit, i, true);
	dkit_start(&kit, 0);
	assert_works();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_drain_waits),	       TEST(test_abort_ends),
		TEST(test_pasid_commands),     TEST(test_drain_descriptor),
		TEST(test_function_reset),     TEST(test_bus_master_lost),
		TEST(test_everything_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
