/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A daemon told that its VMM takes no requests: it sends none, whatever the guest does, and DMA
 * works all the same.
 */
#include "server.h"
#include "vm.h"

#include "devices/testdev/testdev.h"

#include <unistd.h>

#define DEVFN (7 << 3)
#define IOVA  UINT64_C(0x40000000)

static void test_no_messages(void **state)
{
	struct vm vm;
	uint64_t table;

	assert_int_equal(vm_create(&vm, &test.unit), 0);
	memset(vm.memory, 0x5a, 64); /* something a probe would look at */
	((uint32_t *)(void *)vm.memory)[1] = 7;
	vm_add_scalable(&vm, DEVFN);
	table = vm_page(&vm);
	vm_set_pasid(&vm, DEVFN, 5, table);
	vm_map_page(&vm, table, IOVA, 0x2000000, 7, 7);
	assert_int_equal(vm_start_scalable(&vm), 0);
	assert_int_equal(client_enable(&test.device, true, true, false), 0);
	for (unsigned int i = 0; i < 2; i++) { /* a fault, and a write that is allowed */
		assert_int_equal(client_write32(&test.device, 0, TESTDEV_SLOT + TESTDEV_REQUEST,
						TESTDEV_OP_WRITE | TESTDEV_FLAG_PASID),
				 0);
		assert_int_equal(client_write32(&test.device, 0, TESTDEV_SLOT + TESTDEV_PASID, 5),
				 0);
		assert_int_equal(client_write64(&test.device, 0, TESTDEV_SLOT + TESTDEV_IOVA,
						i ? IOVA : IOVA + 0x5000),
				 0);
		assert_int_equal(client_write32(&test.device, 0, TESTDEV_SLOT + TESTDEV_LENGTH, 8),
				 0);
		assert_int_equal(client_write32(&test.device, 0, TESTDEV_DOORBELL, 0), 0);
		for (unsigned int n = 0;
		     n < 20000 && client_read32(&test.device, 0, TESTDEV_SLOT + TESTDEV_STATUS) !=
					 TESTDEV_FINISHED;
		     n++)
			usleep(1000);
		assert_int_equal(client_read32(&test.device, 0, TESTDEV_SLOT + TESTDEV_OUTCOME),
				 i ? TESTDEV_OK : TESTDEV_FAULT);
	}
	/* the fault is there to be polled */
	assert_int_equal(client_read32(&test.unit, 0, VM_FSTS) & 2, 2);
	assert_int_equal(client_serve(&test.device, 1, 300), -ETIMEDOUT);
	vm_destroy(&vm);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { SERVER_TEST(test_no_messages) };
	char option[] = "--no-messages";
	char *arguments[] = { option, NULL };

	return server_test_main_with(argc, argv, tests, 1, arguments);
}
