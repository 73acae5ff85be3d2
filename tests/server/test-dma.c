/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole way of a DMA, from outside: a client programs the unit and the test device through
 * their sockets, with tables it built itself, and looks at its own memory for what happened.
 */
#include "server.h"
#include "vm.h"

#include "devices/testdev/testdev.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEVFN		(7 << 3)
#define SLOT		TESTDEV_SLOT
#define IOVA		UINT64_C(0x7f1234560000)
#define TARGET		UINT64_C(0x2000000)
#define TABLE_FLAGS	7
#define MESSAGE_ADDRESS 0xfee01000u

static struct vm vm;
static uint64_t table;

static int setup(void **state)
{
	if (server_test_setup(state) || vm_create(&vm, &test.unit))
		return -1;
	vm_add_scalable(&vm, DEVFN);
	table = vm_page(&vm);
	vm_set_pasid(&vm, DEVFN, 5, table);
	/* Translated requests want a PASID-table entry of their own. */
	vm_set_pasid(&vm, DEVFN, 0, vm_page(&vm));
	vm_map_page(&vm, table, IOVA, TARGET, 7, TABLE_FLAGS);
	if (vm_start_scalable(&vm))
		return -1;
	/* what the server's probe may ask for */
	test.device.memory = vm.memory;
	test.device.memory_length = VM_MEMORY;
	return client_enable(&test.device, true, true, true);
}

static int teardown(void **state)
{
	vm_destroy(&vm);
	return server_test_teardown(state);
}

static void write_slot(uint32_t offset, uint64_t value, uint32_t length)
{
	assert_int_equal(client_write(&test.device, 0, SLOT + offset, &value, length), 0);
}

static uint32_t slot32(uint32_t offset)
{
	return client_read32(&test.device, 0, SLOT + offset);
}

static void start_request(uint32_t request, uint64_t iova, uint32_t length)
{
	write_slot(TESTDEV_REQUEST, request, 4);
	write_slot(TESTDEV_PASID, 5, 4);
	write_slot(TESTDEV_IOVA, iova, 8);
	write_slot(TESTDEV_LENGTH, length, 4);
	assert_int_equal(client_write32(&test.device, 0, TESTDEV_DOORBELL, 0), 0);
}

/* The request's outcome. */
static uint32_t finish_request(void)
{
	for (unsigned int i = 0; i < 20000; i++) {
		if (slot32(TESTDEV_STATUS) == TESTDEV_FINISHED)
			return slot32(TESTDEV_OUTCOME);
		usleep(1000);
	}
	fail_msg("the request does not finish");
	return UINT32_MAX;
}

static uint32_t request(uint32_t what, uint64_t iova, uint32_t length)
{
	start_request(what, iova, length);
	return finish_request();
}

static void test_write_and_read(void **state)
{
	char text[64] = "through four levels of tables", back[64] = "";

	assert_int_equal(client_write(&test.device, 0, TESTDEV_DATA, text, sizeof(text)), 0);
	assert_int_equal(request(TESTDEV_OP_WRITE | TESTDEV_FLAG_PASID, IOVA + 0x123, sizeof(text)),
			 TESTDEV_OK);
	assert_string_equal((char *)vm_at(&vm, TARGET + 0x123), text);
	/* VT-d 3.6.2: accessed and dirty are set in the leaf */
	assert_int_equal(*vm_leaf(&vm, table, IOVA) & 0x60, 0x60);
	strcpy(vm_at(&vm, TARGET + 0x800), "and back");
	assert_int_equal(request(TESTDEV_OP_READ | TESTDEV_FLAG_PASID, IOVA + 0x800, sizeof(back)),
			 TESTDEV_OK);
	assert_int_equal(client_read(&test.device, 0, TESTDEV_DATA, back, sizeof(back)), 0);
	assert_string_equal(back, "and back");
}

/* VT-d 7.1: a fault record, FSTS.PPF, and the event message through the endpoint's own connection.
 */
static void test_fault(void **state)
{
	uint64_t record = (client_read64(&test.unit, 0, VM_CAP) >> 24 & 0x3ff) * 16, low, high;

	assert_int_equal(request(TESTDEV_OP_WRITE | TESTDEV_FLAG_PASID, IOVA + 0x5000, 8),
			 TESTDEV_FAULT);
	assert_int_equal(slot32(TESTDEV_REASON), 0x71);
	assert_int_equal(client_serve(&test.device, 1, 20000), 0);
	assert_int_equal(test.device.message_count, 1);
	assert_int_equal(test.device.messages[0].address, MESSAGE_ADDRESS);
	assert_int_equal(test.device.messages[0].data, 0x31);
	assert_int_equal(client_read32(&test.unit, 0, VM_FSTS) & 2, 2);
	low = client_read64(&test.unit, 0, record);
	high = client_read64(&test.unit, 0, record + 8);
	assert_int_equal(low, IOVA + 0x5000);
	assert_int_equal(high & 0xffff, DEVFN);
	assert_int_equal(high >> 32 & 0xff, 0x71);
	assert_int_equal(high >> 40 & 0xfffff, 5);
	assert_true(high >> 63);
	assert_int_equal(client_write32(&test.unit, 0, (uint32_t)record + 12, 1u << 31), 0);
	assert_int_equal(client_read32(&test.unit, 0, VM_FSTS) & 2, 0);
}

/* VT-d 6.5: after the wait no access uses the old page. */
static void test_invalidation(void **state)
{
	uint64_t value = 0x1111111111111111;

	assert_int_equal(client_write(&test.device, 0, TESTDEV_DATA, &value, 8), 0);
	assert_int_equal(request(TESTDEV_OP_WRITE | TESTDEV_FLAG_PASID, IOVA, 8), TESTDEV_OK);
	*vm_leaf(&vm, table, IOVA) = (TARGET + 0x1000) | 7;
	assert_int_equal(vm_invalidate_pasid(&vm, 5, VM_DOMAIN), 0);
	value = 0x2222222222222222;
	assert_int_equal(client_write(&test.device, 0, TESTDEV_DATA, &value, 8), 0);
	assert_int_equal(request(TESTDEV_OP_WRITE | TESTDEV_FLAG_PASID, IOVA, 8), TESTDEV_OK);
	assert_int_equal(*(uint64_t *)vm_at(&vm, TARGET), 0x1111111111111111);
	assert_int_equal(*(uint64_t *)vm_at(&vm, TARGET + 0x1000), 0x2222222222222222);
}

/* VT-d 7.4 to 7.7: the page is asked for, mapped, answered, and the request completes. */
static void test_page_request(void **state)
{
	uint64_t entry[2];

	start_request(TESTDEV_OP_WRITE | TESTDEV_FLAG_PASID | TESTDEV_FLAG_ATS |
			      TESTDEV_FLAG_PAGE_REQUEST,
		      IOVA + 0x7000, 8);
	assert_int_equal(client_serve(&test.device, 1, 20000), 0);
	assert_int_equal(test.device.messages[0].data, 0x32);
	assert_int_equal(client_read64(&test.unit, 0, VM_PQT), 32);
	memcpy(entry, vm_at(&vm, vm.requests), sizeof(entry));
	assert_int_equal(entry[0] & 0xff, 1);
	assert_int_equal(entry[0] >> 16 & 0xffff, DEVFN);
	assert_int_equal(entry[0] >> 32 & 0xfffff, 5);
	assert_int_equal(entry[1] & ~UINT64_C(0xfff), IOVA + 0x7000);
	assert_int_equal(slot32(TESTDEV_STATUS), TESTDEV_RUNNING);
	vm_map_page(&vm, table, IOVA + 0x7000, TARGET + 0x7000, 7, TABLE_FLAGS);
	assert_int_equal(client_write64(&test.unit, 0, VM_PQH, 32), 0);
	assert_int_equal(client_write32(&test.unit, 0, VM_PRS, 1), 0);
	/* page-group response: PASID present, success */
	assert_int_equal(vm_invalidate(&vm,
				       0x9 | 1 << 4 | (uint64_t)DEVFN << 16 | UINT64_C(5) << 32,
				       entry[1] & 0xff8),
			 0);
	assert_int_equal(finish_request(), TESTDEV_OK);
	assert_int_equal(slot32(TESTDEV_PAGE_REQUESTS), 1);
}

static void test_interrupt(void **state)
{
	struct pollfd ready = { .fd = eventfd(0, EFD_NONBLOCK), .events = POLLIN };

	assert_int_equal(client_set_irqs(&test.device, 0, 1, &ready.fd), 0);
	assert_int_equal(client_write32(&test.device, 0, TESTDEV_INTERRUPT_MASK, 1), 0);
	assert_int_equal(
		request(TESTDEV_OP_READ | TESTDEV_FLAG_PASID | TESTDEV_FLAG_INTERRUPT, IOVA, 8),
		TESTDEV_OK);
	assert_int_equal(poll(&ready, 1, 20000), 1);
	close(ready.fd);
}

/* Without bus mastering a function does no DMA. */
static void test_no_bus_master(void **state)
{
	uint16_t command = 0x2;

	assert_int_equal(client_write(&test.device, WIRE_REGION_CONFIG, 4, &command, 2), 0);
	assert_int_equal(request(TESTDEV_OP_WRITE | TESTDEV_FLAG_PASID, IOVA, 8),
			 TESTDEV_NO_BUS_MASTER);
}

/* One endpoint's client sends rubbish and dies again and again; the other's DMA does not notice. */
static void test_bad_neighbour(void **state)
{
	for (unsigned int i = 0; i < 50; i++) {
		uint64_t value = i, rubbish[8] = { UINT64_MAX, i, i * 77 };
		struct client bad;

		assert_int_equal(client_open(&bad, test.daemon.dsa), 0);
		assert_int_equal(client_send_raw(&bad, rubbish, sizeof(rubbish), NULL, 0), 0);
		assert_int_equal(client_write(&test.device, 0, TESTDEV_DATA, &value, 8), 0);
		assert_int_equal(request(TESTDEV_OP_WRITE | TESTDEV_FLAG_PASID, IOVA, 8),
				 TESTDEV_OK);
		assert_int_equal(*(uint64_t *)vm_at(&vm, TARGET), i);
		client_close(&bad);
	}
}

static void map_large(void)
{
	for (uint64_t at = 0; at < 0x1000000; at += VM_PAGE)
		vm_map_page(&vm, table, IOVA + at, TARGET + at, 7, TABLE_FLAGS);
}

/* The device's client dies in the middle of DMA: when its successor is served, nothing writes any
 * more. */
static void test_death_during_dma(void **state)
{
	struct client next;
	uint8_t *last = vm_at(&vm, TARGET);

	map_large();
	for (unsigned int i = 0; i < 20; i++) {
		start_request(TESTDEV_OP_FILL | TESTDEV_FLAG_PASID, IOVA, 0x1000000);
		client_close(&test.device);
		assert_int_equal(client_open(&next, test.daemon.testdev), 0);
		memset(last, 0xab, 0x1000000);
		usleep(2000);
		for (size_t at = 0; at < 0x1000000; at += 64)
			assert_int_equal(last[at], 0xab);
		test.device = next;
		test.device.memory = vm.memory;
		test.device.memory_length = VM_MEMORY;
		assert_int_equal(client_enable(&test.device, true, true, true), 0);
	}
	assert_int_equal(request(TESTDEV_OP_FILL | TESTDEV_FLAG_PASID, IOVA, 4096), TESTDEV_OK);
}

/* The memory goes while it is written: the unmap is answered when nobody can be writing. */
static void test_unmap_during_dma(void **state)
{
	map_large();
	for (unsigned int i = 0; i < 20; i++) {
		uint32_t outcome;

		start_request(TESTDEV_OP_FILL | TESTDEV_FLAG_PASID, IOVA, 0x1000000);
		assert_int_equal(client_unmap(&test.unit, 0, VM_MEMORY), 0);
		outcome = finish_request();
		assert_true(outcome == TESTDEV_OK || outcome == TESTDEV_NO_MEMORY ||
			    outcome == TESTDEV_FAULT);
		assert_int_equal(client_map(&test.unit, 0, VM_MEMORY, vm.fd, 0), 0);
	}
}

/* The file behind the memory is cut off under the daemon: the client's problem, not the daemon's.
 */
static void test_truncated_memory(void **state)
{
	map_large();
	assert_int_equal(ftruncate(vm.fd, TARGET), 0);
	assert_int_equal(request(TESTDEV_OP_FILL | TESTDEV_FLAG_PASID, IOVA, 0x100000), TESTDEV_OK);
	assert_int_equal(client_read32(&test.unit, WIRE_REGION_CONFIG, 0), 0x09a28086);
}

/* The unit's client goes: the memory goes with it, and the unit forgets that translation was on. */
static void test_unit_disconnects(void **state)
{
	client_close(&test.unit);
	assert_int_equal(client_open(&test.unit, test.daemon.unit), 0);
	assert_int_equal(client_read32(&test.unit, 0, VM_GSTS) & (VM_TE | VM_QIE), 0);
	/* translation off: a plain request goes straight to memory that is not there */
	assert_int_equal(request(TESTDEV_OP_WRITE, TARGET, 8), TESTDEV_NO_MEMORY);
}

/* QEMU 10.1 and 10.2 answer with the data four bytes early: such a client is told to go. */
static void test_shifted_client(void **state)
{
	static const uint32_t telling[4] = { 0x11223344, 0x55667788, 0x99aabbcc, 0xddeeff00 };

	client_close(&test.device);
	memcpy(vm.memory, telling, sizeof(telling));
	assert_int_equal(client_open(&test.device, test.daemon.testdev), 0);
	test.device.memory = vm.memory;
	test.device.memory_length = VM_MEMORY;
	test.device.shifted = true;
	client_enable(&test.device, true, false, false); /* may be over before it is done */
	client_serve(&test.device, 1, 20000);
	assert_true(client_closed(&test.device, 20000));
}

/* A client that refuses our messages keeps its connection, and the next message is sent all the
 * same. */
static void test_refusing_client(void **state)
{
	test.device.refuse = ENODEV;
	assert_int_equal(request(TESTDEV_OP_WRITE | TESTDEV_FLAG_PASID, IOVA + 0x5000, 8),
			 TESTDEV_FAULT);
	assert_int_equal(client_serve(&test.device, 1, 20000), 0);
	test.device.refuse = 0;
	start_request(TESTDEV_OP_WRITE | TESTDEV_FLAG_PASID | TESTDEV_FLAG_ATS |
			      TESTDEV_FLAG_PAGE_REQUEST,
		      IOVA + 0x7000, 8);
	assert_int_equal(client_serve(&test.device, 2, 20000), 0);
	assert_int_equal(test.device.messages[1].data, 0x32);
}

#define DMA_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		DMA_TEST(test_write_and_read),	 DMA_TEST(test_fault),
		DMA_TEST(test_invalidation),	 DMA_TEST(test_page_request),
		DMA_TEST(test_interrupt),	 DMA_TEST(test_no_bus_master),
		DMA_TEST(test_bad_neighbour),	 DMA_TEST(test_death_during_dma),
		DMA_TEST(test_unmap_during_dma), DMA_TEST(test_truncated_memory),
		DMA_TEST(test_unit_disconnects), DMA_TEST(test_shifted_client),
		DMA_TEST(test_refusing_client),
	};

	return server_test_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
