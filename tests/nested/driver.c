/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See driver.h. The DSA fills memory without completion records, which would need a place of their own in every table: it is
 * drained, and says in SWERR whether something faulted (DSA 5.6).
 */
#include "driver.h"

#include "devices/dsa/spec.h"
#include "devices/testdev/testdev.h"

#include <unistd.h>

enum { PATIENCE_MS = 30000, ENTRIES = 8, PORTALS_BAR = 2, PORTAL_LIMITED = 0x1000 };

static void nap(void)
{
	usleep(1000);
}

/* ---- the PASID test device ---- */

static void test_device_enable(struct client *device, bool pasids)
{
}

static void write_slot(struct client *device, uint32_t offset, uint64_t value, uint32_t length)
{
	assert_int_equal(client_write(device, 0, TESTDEV_SLOT + offset, &value, length), 0);
}

static void test_device_start(struct client *device, uint32_t pasid, uint64_t iova, uint64_t value, bool ask)
{
	uint32_t what = TESTDEV_OP_WRITE | (pasid == NO_PASID ? 0u : TESTDEV_FLAG_PASID) |
			(ask ? TESTDEV_FLAG_ATS | TESTDEV_FLAG_PAGE_REQUEST : 0u);

	assert_int_equal(client_write(device, 0, TESTDEV_DATA, &value, 8), 0);
	write_slot(device, TESTDEV_REQUEST, what, 4);
	write_slot(device, TESTDEV_PASID, pasid == NO_PASID ? 0 : pasid, 4);
	write_slot(device, TESTDEV_IOVA, iova, 8);
	write_slot(device, TESTDEV_LENGTH, 8, 4);
	assert_int_equal(client_write32(device, 0, TESTDEV_DOORBELL, 0), 0);
}

static bool test_device_finish(struct client *device)
{
	for (unsigned int i = 0; i < PATIENCE_MS; i++) {
		if (client_read32(device, 0, TESTDEV_SLOT + TESTDEV_STATUS) == TESTDEV_FINISHED)
			return client_read32(device, 0, TESTDEV_SLOT + TESTDEV_OUTCOME) == TESTDEV_OK;
		nap();
	}
	fail_msg("the device does not finish");
	return false;
}

const struct driver driver_testdev = { "testdev", test_device_enable, test_device_start, test_device_finish };

/* ---- the DSA ---- */

/* Work queues: shared, whose descriptors have their PASID; dedicated, without one; shared, waiting for pages. */
enum queue { QUEUE_PASID, QUEUE_PLAIN, QUEUE_ASKING, QUEUES };

static void dsa_command(struct client *device, enum dsa_command command, uint32_t operand)
{
	uint32_t status;

	assert_int_equal(client_write32(device, 0, DSA_CMD, (uint32_t)command << 20 | operand), 0);
	for (unsigned int i = 0; i < PATIENCE_MS; i++) {
		status = client_read32(device, 0, DSA_CMDSTS);
		if (!(status & DSA_CMDSTS_ACTIVE)) {
			if (status & 0xff)
				fail_msg("DSA command %u: error %#x", command, status & 0xff);
			return;
		}
		nap();
	}
	fail_msg("DSA command %u does not end", command);
}

static void dsa_queue(struct client *device, enum queue queue, uint32_t mode)
{
	uint64_t at = DSA_WQCFG + 64 * queue;

	assert_int_equal(client_write32(device, 0, at + 4 * DSA_WQ_SIZE, ENTRIES), 0);
	assert_int_equal(client_write32(device, 0, at + 4 * DSA_WQ_THRESHOLD,
					mode & DSA_WQ_DEDICATED ? 0 : ENTRIES), 0);
	assert_int_equal(client_write32(device, 0, at + 4 * DSA_WQ_MODE, mode | 1 << 4), 0);
	assert_int_equal(client_write32(device, 0, at + 4 * DSA_WQ_LIMITS, 12), 0);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(client_write32(device, 0, at + 4 * (DSA_WQ_OPERATIONS + i), ~0u), 0);
}

/* A group with queues and engine `group`. */
static void dsa_group(struct client *device, unsigned int group, uint64_t queues)
{
	assert_int_equal(client_write64(device, 0, DSA_GRPCFG + 64 * group, queues), 0);
	assert_int_equal(client_write64(device, 0, DSA_GRPCFG + 64 * group + 8 * DSA_GROUP_ENGINES,
					UINT64_C(1) << group), 0);
}

static void dsa_enable(struct client *device, bool pasids)
{
	dsa_command(device, DSA_RESET_DEVICE, 0);
	dsa_queue(device, QUEUE_PLAIN, DSA_WQ_DEDICATED);
	dsa_group(device, 0, 1u << QUEUE_PLAIN | (pasids ? 1u << QUEUE_PASID : 0));
	if (pasids) {
		dsa_queue(device, QUEUE_PASID, DSA_WQ_PASID_ENABLE);
		dsa_queue(device, QUEUE_ASKING, DSA_WQ_PASID_ENABLE | DSA_WQ_BLOCK_ON_FAULT);
		dsa_group(device, 1, 1u << QUEUE_ASKING);
	}
	dsa_command(device, DSA_ENABLE_DEVICE, 0);
	for (unsigned int queue = 0; queue < QUEUES; queue++) {
		if (pasids || queue == QUEUE_PLAIN)
			dsa_command(device, DSA_ENABLE_WQ, queue);
	}
}

static void dsa_start(struct client *device, uint32_t pasid, uint64_t iova, uint64_t value, bool ask)
{
	enum queue queue = pasid == NO_PASID ? QUEUE_PLAIN : ask ? QUEUE_ASKING : QUEUE_PASID;
	struct dsa_descriptor descriptor = {
		.pasid = pasid == NO_PASID ? 0 : pasid,
		.operation = DSA_OP_FILL << 24 | (ask ? DSA_FLAG_BLOCK_ON_FAULT : 0u),
		.source = value,
		.destination = iova,
		.size = 8,
	};

	assert_int_equal(client_write64(device, 0, DSA_SWERR, DSA_ERROR_VALID | DSA_ERROR_OVERFLOW), 0);
	assert_int_equal(client_write(device, PORTALS_BAR, queue * DSA_PORTAL_SIZE + PORTAL_LIMITED, &descriptor,
				      sizeof(descriptor)), 0);
}

static bool dsa_finish(struct client *device)
{
	uint64_t error;

	dsa_command(device, DSA_DRAIN_ALL, 0);
	error = client_read64(device, 0, DSA_SWERR);
	if (!(error & DSA_ERROR_VALID))
		return true;
	/* Only faults are what a test may provoke; a bad descriptor is its own mistake. */
	switch (DSA_GET(error, DSA_ERROR_CODE)) {
	case DSA_STATUS_PAGE_FAULT:
	case DSA_STATUS_PAGE_REQUEST_FAILED:
	case DSA_STATUS_TRANSLATION:
		return false;
	default:
		fail_msg("DSA error %#llx", (unsigned long long)error);
		return false;
	}
}

const struct driver driver_dsa = { "dsa", dsa_enable, dsa_start, dsa_finish };
