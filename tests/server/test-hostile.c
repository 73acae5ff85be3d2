/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile guest: random registers, random queues, tables that point at themselves, random work
 * for the devices. Whatever it does, the daemon answers every request in time and is there at the
 * end. Every guest here is over in a few seconds; TEST_SECONDS makes each longer, TEST_SEED starts
 * elsewhere.
 */
#include "server.h"
#include "vm.h"

#include "devices/testdev/testdev.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define DEVFN (7 << 3)

static struct vm vm;
static struct client dsa;
static uint64_t seed;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Numbers that tend to mean something: small ones, addresses inside memory, single bits, anything.
 */
static uint64_t value(void)
{
	switch (next_random() % 6) {
	case 0:
		return next_random() % 64;
	case 1:
		return next_random() % VM_MEMORY & ~UINT64_C(0xfff);
	case 2:
		return (next_random() % VM_MEMORY & ~UINT64_C(0xfff)) | next_random() % 4096;
	case 3:
		return UINT64_C(1) << next_random() % 64;
	case 4:
		return UINT64_MAX - next_random() % 64;
	default:
		return next_random();
	}
}

static int setup(void **state)
{
	seed = getenv("TEST_SEED") ? strtoull(getenv("TEST_SEED"), NULL, 0) : 0x9e3779b97f4a7c15;
	if (server_test_setup(state) || vm_create(&vm, &test.unit) ||
	    client_open(&dsa, test.daemon.dsa))
		return -1;
	return 0;
}

static int teardown(void **state)
{
	client_close(&dsa);
	vm_destroy(&vm);
	return server_test_teardown(state);
}

static bool time_left(void)
{
	static time_t end;
	static uint64_t asked;
	int seconds = getenv("TEST_SECONDS") ? atoi(getenv("TEST_SECONDS")) : 2;

	if (!asked++)
		end = time(NULL) + seconds;
	if (time(NULL) < end)
		return true;
	asked = 0;
	return false;
}

/* A refusal is an answer; silence is not. */
static void assert_answered(int ret)
{
	if (ret == -ETIMEDOUT || ret == -EPIPE)
		fail_msg("no answer (%d) with the seed at 0x%llx", ret, (unsigned long long)seed);
}

static void assert_alive(void)
{
	assert_int_equal(client_read32(&test.unit, WIRE_REGION_CONFIG, 0), 0x09a28086);
	assert_true(client_read32(&test.device, 0, TESTDEV_ID) == TESTDEV_ID_VALUE);
	assert_int_equal(client_read32(&dsa, WIRE_REGION_CONFIG, 0) & 0xffff, 0x8086);
}

static void test_random_registers(void **state)
{
	while (time_left()) {
		uint64_t offset = next_random() % 0x700, v = value();

		/* the registers that matter, more often */
		if (next_random() % 2) {
			static const uint16_t often[] = { VM_GCMD,  VM_RTADDR, VM_IQA, VM_IQT,
							  VM_PQA,   VM_PQH,    VM_PQT, VM_FSTS,
							  VM_FECTL, VM_PRS,    0x28,   0x500,
							  0x508,    0xb8 };

			offset = often[next_random() % (sizeof(often) / sizeof(often[0]))];
		}
		assert_answered(next_random() % 2
					? client_write64(&test.unit, 0, offset & ~7u, v)
					: client_write32(&test.unit, 0, offset & ~3u, (uint32_t)v));
	}
	assert_alive();
}

/* Queues full of anything, mostly with types that exist. */
static void test_random_queue(void **state)
{
	uint64_t *entry = vm_at(&vm, vm.queue);

	assert_int_equal(vm_start_scalable(&vm), 0);
	while (time_left()) {
		for (unsigned int i = 0; i < 256; i++) {
			entry[i * 4] = (value() & ~UINT64_C(0xe0f)) | next_random() % 12;
			entry[i * 4 + 1] = next_random() % 3 ? vm.status : value();
			entry[i * 4 + 2] = next_random() % 4 ? 0 : value();
			entry[i * 4 + 3] = 0;
		}
		assert_answered(client_write64(&test.unit, 0, VM_IQT, next_random() % 260 * 32));
		assert_answered(client_write32(&test.unit, 0, VM_FSTS, 0x7f)); /* and on again */
	}
	assert_alive();
}

/* Start a request and give it a moment; what comes of it does not matter. */
static void random_request(void)
{
	uint32_t slot = TESTDEV_SLOT + (uint32_t)(next_random() % 16) * TESTDEV_SLOT_SIZE;

	assert_answered(
		client_write32(&test.device, 0, slot + TESTDEV_REQUEST,
			       (uint32_t)(next_random() % 12 | (next_random() & TESTDEV_FLAGS))));
	assert_answered(client_write32(&test.device, 0, slot + TESTDEV_PASID,
				       (uint32_t)(next_random() % 70)));
	assert_answered(client_write64(&test.device, 0, slot + TESTDEV_IOVA, value()));
	assert_answered(client_write32(&test.device, 0, slot + TESTDEV_LENGTH,
				       (uint32_t)(next_random() % 5000)));
	assert_answered(client_write32(&test.device, 0, TESTDEV_DOORBELL,
				       (slot - TESTDEV_SLOT) / TESTDEV_SLOT_SIZE));
}

/* Every entry of every table points into the tables again. */
static void test_tables_in_a_circle(void **state)
{
	uint64_t *words = vm_at(&vm, 0x100000);

	assert_int_equal(vm_start_scalable(&vm), 0);
	assert_int_equal(client_enable(&test.device, true, true, true), 0);
	assert_int_equal(client_write32(&test.device, 0, TESTDEV_PAGE_TIMEOUT, 1), 0);
	while (time_left()) {
		uint64_t flags = next_random() & next_random() & 0xfff;

		for (unsigned int i = 0; i < 0x40000 / 8; i++)
			words[i] = (0x100000 + next_random() % 0x40 * 4096) | flags | 1 |
				   (next_random() % 16 ? 0 : value());
		for (unsigned int i = 0; i < 16; i++)
			random_request();
		assert_answered(client_write64(&test.unit, 0, VM_RTADDR,
					       (0x100000 + next_random() % 0x40 * 4096) |
						       next_random() % 4 << 10));
		assert_answered(client_write32(&test.unit, 0, VM_GCMD, VM_TE | VM_SRTP));
		assert_answered(
			client_write32(&test.device, 0, TESTDEV_CONTROL, next_random() % 2));
	}
	assert_alive();
}

/* The DSA's registers and portals, and descriptors made of anything, with translation off: the
 * whole memory is its prey. */
static void test_random_work(void **state)
{
	static const uint32_t commands[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };

	assert_int_equal(client_enable(&dsa, true, next_random() % 2, false), 0);
	while (time_left()) {
		uint64_t words[8];

		if (next_random() % 4 == 0) {
			uint64_t offset = next_random() % 0x1100;

			assert_answered(client_write32(&dsa, 0, offset & ~3u, (uint32_t)value()));
			assert_answered(client_write32(&dsa, 0, 0xa0,
						       commands[next_random() % 12] << 20 |
							       (uint32_t)next_random() % 9));
		}
		for (unsigned int i = 0; i < 8; i++)
			words[i] = value();
		words[0] = (uint64_t)(next_random() % 0x28) << 56 |
			   (next_random() & 0x00ffffff00000000) | next_random() % 8;
		for (unsigned int i = 0; i < 8; i++)
			assert_answered(client_write_posted(
				&dsa, 2, next_random() % 8 * 0x4000 + i * 8, &words[i], 8));
		assert_answered(client_read32(&dsa, 0, 0x90) == UINT32_MAX ? -EPIPE : 0);
	}
	assert_alive();
}

/* CMD, and CMDSTS until it is no longer active. */
static void dsa_command(uint32_t command)
{
	uint32_t status;

	assert_int_equal(client_write32(&dsa, 0, 0xa0, command), 0);
	do
		status = client_read32(&dsa, 0, 0xa8);
	while (status >> 31 && status != UINT32_MAX);
	assert_int_equal(status, 0);
}

/* A no-op with a completion record. */
static bool dsa_works(void)
{
	uint64_t words[8] = { UINT64_C(0xc) << 32, 0x2000000 };
	volatile uint8_t *record = vm_at(&vm, words[1]);

	*record = 0;
	if (client_write(&dsa, 2, 0, words, 64))
		return false;
	for (unsigned int i = 0; i < 20000 && !*record; i++)
		usleep(1000);
	return *record == 1;
}

/* A DSA as a driver sets it up: one queue that works, and then descriptors made of anything. */
static void test_random_descriptors(void **state)
{
	assert_int_equal(client_enable(&dsa, true, false, false), 0);
	/* WQ 0: 64 entries, dedicated, largest transfers and batches; group 0: WQ 0 and engine 0 */
	assert_int_equal(client_write32(&dsa, 0, 0x800, 64), 0);
	assert_int_equal(client_write32(&dsa, 0, 0x804, 1), 0);
	assert_int_equal(client_write32(&dsa, 0, 0x808, 1 | 10 << 4), 0);
	assert_int_equal(client_write32(&dsa, 0, 0x80c, 16 | 5 << 5), 0);
	for (unsigned int i = 0; i < 4; i++) /* every operation the device has */
		assert_int_equal(client_write64(&dsa, 0, 0x820 + i * 8,
						client_read64(&dsa, 0, 0x40 + i * 8)),
				 0);
	assert_int_equal(client_write64(&dsa, 0, 0x400, 1), 0);
	assert_int_equal(client_write64(&dsa, 0, 0x420, 1), 0);
	dsa_command(1u << 20);
	dsa_command(6u << 20);
	assert_true(dsa_works());
	while (time_left()) {
		for (unsigned int n = 0; n < 32; n++) {
			uint64_t words[8];

			for (unsigned int i = 0; i < 8; i++)
				words[i] = value();
			words[0] = (uint64_t)(next_random() % 0x28) << 56 |
				   (next_random() & 0x00ffffff00000000 & next_random());
			words[1] = next_random() % VM_MEMORY & ~UINT64_C(31);
			if (next_random() % 2) {
				words[2] %= VM_MEMORY;
				words[3] %= VM_MEMORY;
				words[4] = next_random() % 0x20000;
			}
			assert_answered(client_write_posted(&dsa, 2, n * 64, words, 64));
		}
		assert_answered(client_read32(&dsa, 0, 0x90) == UINT32_MAX ? -EPIPE : 0);
	}
	/* it still does what it is told */
	assert_answered(client_write32(&dsa, 0, 0xa0, 5u << 20));
	assert_alive();
}

#define HOSTILE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		HOSTILE(test_random_registers),	  HOSTILE(test_random_queue),
		HOSTILE(test_tables_in_a_circle), HOSTILE(test_random_work),
		HOSTILE(test_random_descriptors),
	};

	return server_test_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
