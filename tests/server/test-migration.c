/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Migration as a client of the protocol does it: states, the data in messages, and the dirty log.
 * The state of a function saved in one daemon is loaded into another.
 */
#include "migration_client.h"
#include "server.h"
#include "vm.h"

#include "devices/testdev/testdev.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define DEVFN  (7 << 3)
#define IOVA   UINT64_C(0x10000000)
#define TARGET UINT64_C(0x2000000)

/* With room for whatever comes back. */
static int feature(struct client *c, uint32_t index, uint32_t method, void *data, size_t length,
		   size_t *reply_length)
{
	return migration_feature(c, index, method, data, length, 1u << 20, reply_length);
}

static uint32_t get_state(struct client *c)
{
	struct wire_mig_state s = { UINT32_MAX, 0 };
	size_t got;

	assert_int_equal(feature(c, WIRE_FEATURE_MIG_DEVICE_STATE, WIRE_FEATURE_GET, &s, 0, &got),
			 0);
	assert_int_equal(got, sizeof(s));
	return s.state;
}

static int write_data(struct client *c, const uint8_t *data, size_t length)
{
	return migration_write(c, data, length, (uint32_t)length);
}

/* Read the whole stream in pieces of `piece` bytes. Its length; the caller frees *data. */
static size_t read_data(struct client *c, uint32_t piece, uint8_t **data)
{
	size_t length;

	assert_int_equal(migration_read(c, piece, data, &length), 0);
	return length;
}

static void test_features(void **state)
{
	uint64_t flags[4] = { 0 };
	size_t got;

	assert_int_equal(
		feature(&test.device, WIRE_FEATURE_MIGRATION, WIRE_FEATURE_GET, flags, 0, &got), 0);
	assert_int_equal(got, 8);
	assert_int_equal(flags[0], WIRE_MIGRATION_STOP_COPY | WIRE_MIGRATION_PRE_COPY);
	assert_int_equal(feature(&test.device, WIRE_FEATURE_MIG_DEVICE_STATE,
				 WIRE_FEATURE_PROBE | WIRE_FEATURE_GET | WIRE_FEATURE_SET, NULL, 0,
				 NULL),
			 0);
	assert_true(feature(&test.device, WIRE_FEATURE_MIGRATION, WIRE_FEATURE_SET, flags, 8,
			    NULL) < 0);
	assert_true(feature(&test.device, 3, WIRE_FEATURE_GET, flags, 0, &got) < 0);
	assert_true(feature(&test.device, WIRE_FEATURE_MIGRATION,
			    WIRE_FEATURE_GET | WIRE_FEATURE_SET, flags, 8, NULL) < 0);
}

/* Every way between two states; what is not allowed changes nothing. */
static void test_states(void **state)
{
	static const uint32_t walk[] = { WIRE_STATE_STOP,      WIRE_STATE_RUNNING,
					 WIRE_STATE_STOP_COPY, WIRE_STATE_STOP,
					 WIRE_STATE_STOP_COPY, WIRE_STATE_RUNNING,
					 WIRE_STATE_PRE_COPY,  WIRE_STATE_RUNNING,
					 WIRE_STATE_PRE_COPY,  WIRE_STATE_STOP,
					 WIRE_STATE_PRE_COPY,  WIRE_STATE_STOP_COPY,
					 WIRE_STATE_RUNNING };

	assert_int_equal(get_state(&test.device), WIRE_STATE_RUNNING);
	for (unsigned int i = 0; i < sizeof(walk) / sizeof(walk[0]); i++) {
		assert_int_equal(migration_set_state(&test.device, walk[i]), 0);
		assert_int_equal(get_state(&test.device), walk[i]);
	}
	assert_true(migration_set_state(&test.device, WIRE_STATE_ERROR) < 0);
	assert_true(migration_set_state(&test.device, WIRE_STATE_RUNNING_P2P) < 0);
	assert_true(migration_set_state(&test.device, WIRE_STATE_PRE_COPY_P2P) < 0);
	assert_true(migration_set_state(&test.device, 99) < 0);
	assert_int_equal(get_state(&test.device), WIRE_STATE_RUNNING);
	/* Out of STOP_COPY there is no way back into pre-copy. */
	assert_int_equal(migration_set_state(&test.device, WIRE_STATE_STOP_COPY), 0);
	assert_int_equal(migration_set_state(&test.device, WIRE_STATE_PRE_COPY), -EINVAL);
	assert_int_equal(get_state(&test.device), WIRE_STATE_STOP_COPY);
	assert_int_equal(migration_set_state(&test.device, WIRE_STATE_RUNNING), 0);
}

static void test_data_in_wrong_state(void **state)
{
	struct wire_mig_data ask = { 64, 16 };

	assert_true(client_call(&test.device, WIRE_MIG_DATA_READ, &ask, sizeof(ask), NULL, 0, NULL,
				NULL) < 0);
	assert_true(write_data(&test.device, (const uint8_t *)"x", 1) < 0);
}

/* Registers set in one daemon are found in the other, config space included. */
static void test_state_moves(void **state)
{
	static const uint32_t pieces[] = { 7, 4096, 65536 };
	struct test_daemon other;
	uint8_t *data;
	size_t length;

	for (unsigned int i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct client there;

		assert_int_equal(client_enable(&test.device, true, true, false), 0);
		assert_int_equal(client_write64(&test.device, 0, TESTDEV_SLOT + TESTDEV_IOVA,
						0x1234567890 + i),
				 0);
		assert_int_equal(migration_set_state(&test.device, WIRE_STATE_STOP_COPY), 0);
		length = read_data(&test.device, pieces[i], &data);
		assert_true(length > 4096);
		assert_int_equal(migration_set_state(&test.device, WIRE_STATE_RUNNING), 0);

		assert_int_equal(daemon_begin(&other, NULL), 0);
		assert_int_equal(client_open(&there, other.testdev), 0);
		assert_int_equal(migration_set_state(&there, WIRE_STATE_RESUMING), 0);
		assert_int_equal(migration_write(&there, data, length, pieces[i]), 0);
		assert_int_equal(migration_set_state(&there, WIRE_STATE_RUNNING), 0);
		assert_int_equal(client_read64(&there, 0, TESTDEV_SLOT + TESTDEV_IOVA),
				 0x1234567890 + i);
		assert_int_equal(client_read32(&there, WIRE_REGION_CONFIG, 4) & 7, 6);
		client_close(&there);
		assert_int_equal(daemon_end(&other), 0);
		free(data);
	}
}

static void move(struct client *from, struct client *to)
{
	uint8_t *data;
	size_t length;

	assert_int_equal(migration_set_state(from, WIRE_STATE_STOP_COPY), 0);
	length = read_data(from, 65536, &data);
	assert_int_equal(migration_set_state(to, WIRE_STATE_RESUMING), 0);
	assert_int_equal(write_data(to, data, length), 0);
	assert_int_equal(migration_set_state(to, WIRE_STATE_RUNNING), 0);
	free(data);
}

/* The whole machine moves to another daemon with its memory: DMA goes on there with the same PASID,
 * without a word to the unit. */
static void test_machine_moves(void **state)
{
	struct test_daemon other;
	struct client unit, device;
	uint64_t table, word = 0x1122334455667788;
	struct vm vm;

	assert_int_equal(vm_create(&vm, &test.unit), 0);
	vm_add_scalable(&vm, DEVFN);
	table = vm_page(&vm);
	vm_set_pasid(&vm, DEVFN, 9, table);
	vm_map_page(&vm, table, IOVA, TARGET, 7, 7);
	assert_int_equal(vm_start_scalable(&vm), 0);
	assert_int_equal(client_enable(&test.device, true, true, false), 0);

	assert_int_equal(daemon_begin(&other, NULL), 0);
	assert_int_equal(client_open(&unit, other.unit), 0);
	assert_int_equal(client_open(&device, other.testdev), 0);
	assert_int_equal(client_map(&unit, 0, VM_MEMORY, vm.fd, 0), 0);
	move(&test.device, &device);
	move(&test.unit, &unit);
	assert_int_equal(client_read32(&unit, 0, VM_GSTS), client_read32(&test.unit, 0, VM_GSTS));
	assert_int_equal(client_read64(&unit, 0, VM_IQA), client_read64(&test.unit, 0, VM_IQA));

	assert_int_equal(client_write64(&device, 0, TESTDEV_DATA, word), 0);
	assert_int_equal(client_write32(&device, 0, TESTDEV_SLOT + TESTDEV_REQUEST,
					TESTDEV_OP_WRITE | TESTDEV_FLAG_PASID),
			 0);
	assert_int_equal(client_write32(&device, 0, TESTDEV_SLOT + TESTDEV_PASID, 9), 0);
	assert_int_equal(client_write32(&device, 0, TESTDEV_SLOT + TESTDEV_LENGTH, 8), 0);
	assert_int_equal(client_write64(&device, 0, TESTDEV_SLOT + TESTDEV_IOVA, IOVA), 0);
	assert_int_equal(client_write32(&device, 0, TESTDEV_DOORBELL, 0), 0);
	for (unsigned int i = 0; i < 20000 && *(volatile uint64_t *)vm_at(&vm, TARGET) != word; i++)
		usleep(1000);
	assert_int_equal(*(uint64_t *)vm_at(&vm, TARGET), word);
	/* its queue goes on where it was */
	vm.unit = &unit;
	assert_int_equal(vm_invalidate_pasid(&vm, 9, VM_DOMAIN), 0);

	client_close(&unit);
	client_close(&device);
	assert_int_equal(daemon_end(&other), 0);
	vm_destroy(&vm);
}

/* Cut or changed anywhere, a stream is refused; a reset brings the function back. */
static void test_bad_streams(void **state)
{
	uint8_t *data;
	size_t length;

	assert_int_equal(migration_set_state(&test.device, WIRE_STATE_STOP_COPY), 0);
	length = read_data(&test.device, 65536, &data);
	for (size_t i = 0; i < 64; i++) {
		size_t at = length * i / 64;

		assert_int_equal(
			client_call(&test.device, WIRE_DEVICE_RESET, NULL, 0, NULL, 0, NULL, NULL),
			0);
		assert_int_equal(get_state(&test.device), WIRE_STATE_RUNNING);
		assert_int_equal(migration_set_state(&test.device, WIRE_STATE_RESUMING), 0);
		if (i & 1)
			data[at] ^= 0x5a;
		if (i & 1 || at)
			assert_int_equal(
				write_data(&test.device, data, i & 1 ? length : at), 0);
		assert_true(migration_set_state(&test.device, WIRE_STATE_RUNNING) < 0);
		assert_int_equal(get_state(&test.device), WIRE_STATE_ERROR);
		if (i & 1)
			data[at] ^= 0x5a;
	}
	assert_int_equal(client_call(&test.device, WIRE_DEVICE_RESET, NULL, 0, NULL, 0, NULL, NULL),
			 0);
	assert_int_equal(get_state(&test.device), WIRE_STATE_RUNNING);
	free(data);
}

/* A dsa's state is not a test device's. */
static void test_foreign_stream(void **state)
{
	struct client dsa;
	uint8_t *data;
	size_t length;

	assert_int_equal(client_open(&dsa, test.daemon.dsa), 0);
	assert_int_equal(migration_set_state(&dsa, WIRE_STATE_STOP_COPY), 0);
	length = read_data(&dsa, 65536, &data);
	assert_int_equal(migration_set_state(&test.device, WIRE_STATE_RESUMING), 0);
	assert_int_equal(write_data(&test.device, data, length), 0);
	assert_true(migration_set_state(&test.device, WIRE_STATE_STOP) < 0);
	client_close(&dsa);
	free(data);
}

static void fill(struct vm *vm, uint64_t table, uint32_t length)
{
	const uint32_t values[][2] = { { TESTDEV_REQUEST, TESTDEV_OP_FILL | TESTDEV_FLAG_PASID },
				       { TESTDEV_PASID, 9 },
				       { TESTDEV_LENGTH, length } };

	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(
			client_write32(&test.device, 0, TESTDEV_SLOT + values[i][0], values[i][1]),
			0);
	assert_int_equal(client_write64(&test.device, 0, TESTDEV_SLOT + TESTDEV_IOVA, IOVA), 0);
	assert_int_equal(client_write32(&test.device, 0, TESTDEV_DOORBELL, 0), 0);
	for (unsigned int i = 0;
	     client_read32(&test.device, 0, TESTDEV_SLOT + TESTDEV_STATUS) != TESTDEV_FINISHED;
	     i++) {
		assert_true(i < 20000);
		usleep(1000);
	}
	assert_int_equal(client_read32(&test.device, 0, TESTDEV_SLOT + TESTDEV_OUTCOME),
			 TESTDEV_OK);
}

static int report(uint64_t iova, uint64_t length, uint64_t page_size, uint64_t *words)
{
	static uint8_t data[1024 * 1024];
	struct wire_logging_report ask = { iova, length, page_size };
	size_t got;
	int ret;

	memcpy(data, &ask, sizeof(ask));
	ret = feature(&test.device, WIRE_FEATURE_DMA_LOGGING_REPORT, WIRE_FEATURE_GET, data,
		      sizeof(ask), &got);
	if (!ret) {
		assert_int_equal(got, sizeof(ask) + ((length - 1) / page_size / 64 + 1) * 8);
		memcpy(words, data + sizeof(ask), got - sizeof(ask));
	}
	return ret;
}

/* The pages a device wrote, at guest-physical addresses; reported once; in the page size asked for.
 */
static void test_dirty_log(void **state)
{
	struct {
		struct wire_logging_start start;
		struct wire_range range;
	} start = { { 4096, 1, 0 }, { 0, VM_MEMORY } };
	uint64_t table, words[64] = { 0 };
	size_t got;
	struct vm vm;

	assert_int_equal(vm_create(&vm, &test.unit), 0);
	vm_add_scalable(&vm, DEVFN);
	table = vm_page(&vm);
	vm_set_pasid(&vm, DEVFN, 9, table);
	for (unsigned int i = 0; i < 8; i++) /* backwards: IOVA and GPA run against each other */
		vm_map_page(&vm, table, IOVA + i * VM_PAGE, TARGET - i * VM_PAGE, 7, 7);
	assert_int_equal(vm_start_scalable(&vm), 0);
	assert_int_equal(client_enable(&test.device, true, false, false), 0);

	assert_true(report(TARGET, 64 * VM_PAGE, VM_PAGE, words) < 0); /* not started */
	assert_int_equal(feature(&test.device, WIRE_FEATURE_DMA_LOGGING_START, WIRE_FEATURE_SET,
				 &start, sizeof(start), &got),
			 0);
	assert_int_equal(start.start.page_size, 4096);
	fill(&vm, table, 3 * VM_PAGE);
	assert_int_equal(report(TARGET - 63 * VM_PAGE, 64 * VM_PAGE, VM_PAGE, words), 0);
	assert_int_equal(words[0], UINT64_C(7) << 61);
	assert_int_equal(report(TARGET - 63 * VM_PAGE, 64 * VM_PAGE, VM_PAGE, words), 0);
	assert_int_equal(words[0], 0);
	/* Words as they are collected, but for what was not asked for: that waits for its own question. */
	fill(&vm, table, 3 * VM_PAGE);
	assert_int_equal(report(TARGET - 64 * VM_PAGE, 63 * VM_PAGE, VM_PAGE, words), 0);
	assert_int_equal(words[0], UINT64_C(1) << 62);
	assert_int_equal(report(TARGET - 64 * VM_PAGE, 128 * VM_PAGE, VM_PAGE, words), 0);
	assert_int_equal(words[0], UINT64_C(1) << 63);
	assert_int_equal(words[1], 1);
	fill(&vm, table, VM_PAGE);
	assert_int_equal(report(TARGET, 1u << 20, 65536, words), 0);
	assert_int_equal(words[0], 1);
	assert_true(report(TARGET, 100, VM_PAGE, words) < 0);
	assert_true(report(TARGET, VM_PAGE, 3000, words) < 0);
	assert_int_equal(feature(&test.device, WIRE_FEATURE_DMA_LOGGING_STOP, WIRE_FEATURE_SET,
				 NULL, 0, NULL),
			 0);
	assert_true(feature(&test.device, WIRE_FEATURE_DMA_LOGGING_STOP, WIRE_FEATURE_SET, NULL, 0,
			    NULL) < 0);
	vm_destroy(&vm);
}

/* A client that dies while it logs leaves the log off for the next. */
static void test_log_dies_with_client(void **state)
{
	struct wire_logging_start start = { 4096, 0, 0 };
	size_t got;

	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(feature(&test.device, WIRE_FEATURE_DMA_LOGGING_START,
					 WIRE_FEATURE_SET, &start, sizeof(start), &got),
				 0);
		assert_true(feature(&test.device, WIRE_FEATURE_DMA_LOGGING_START, WIRE_FEATURE_SET,
				    &start, sizeof(start), &got) < 0);
		client_close(&test.device);
		assert_int_equal(client_open(&test.device, test.daemon.testdev), 0);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(test_features),
		SERVER_TEST(test_states),
		SERVER_TEST(test_data_in_wrong_state),
		SERVER_TEST(test_state_moves),
		SERVER_TEST(test_machine_moves),
		SERVER_TEST(test_bad_streams),
		SERVER_TEST(test_foreign_stream),
		SERVER_TEST(test_dirty_log),
		SERVER_TEST(test_log_dies_with_client),
	};

	return server_test_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
