/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PASID test device: asks the unit exactly what software tells it to, and reports what came of
 * it. docs/testdev.md is its register page for driver authors; the names below are the same.
 *
 * The core owns one viommu endpoint, 16 request slots and one thread that executes requests in the
 * order of their doorbells. All functions may be called from any thread; testdev_reset, _stop and
 * _destroy not from the interrupt callback.
 */
#ifndef TESTDEV_TESTDEV_H
#define TESTDEV_TESTDEV_H

#include <viommu/endpoint.h>
#include <viommu/stream.h>

struct testdev;

enum testdev_register {
	TESTDEV_ID = 0x00,
	TESTDEV_VERSION = 0x04,
	TESTDEV_SLOT_COUNT = 0x08,
	TESTDEV_DATA_OFFSET = 0x0c,
	TESTDEV_DATA_SIZE = 0x10,
	TESTDEV_FEATURES = 0x14,
	TESTDEV_DOORBELL = 0x18,
	TESTDEV_BUSY = 0x1c,
	TESTDEV_DONE = 0x20,
	TESTDEV_INTERRUPT_MASK = 0x24,
	TESTDEV_CONTROL = 0x28,
	TESTDEV_INVALIDATIONS = 0x2c,
	TESTDEV_INVALIDATE_PASID = 0x30,
	TESTDEV_PAGE_TIMEOUT = 0x34,
	TESTDEV_INVALIDATE_FIRST = 0x38,
	TESTDEV_INVALIDATE_LAST = 0x40,
	TESTDEV_RESPONSES = 0x48,
	TESTDEV_SLOT = 0x100, /* + 0x80 per slot */
	TESTDEV_MSIX_TABLE = 0x2000,
	TESTDEV_MSIX_PBA = 0x3000,
	TESTDEV_DATA = 0x4000, /* + 0x800 per slot */
	TESTDEV_SIZE = 0x10000,
};

/* Offsets in a slot. */
enum testdev_slot_register {
	TESTDEV_REQUEST = 0x00,
	TESTDEV_PASID = 0x04,
	TESTDEV_IOVA = 0x08,
	TESTDEV_LENGTH = 0x10,
	TESTDEV_GROUP = 0x14,
	TESTDEV_OPERAND = 0x18,
	TESTDEV_COMPARE = 0x20,
	TESTDEV_STATUS = 0x28, /* from here on read-only */
	TESTDEV_OUTCOME = 0x2c,
	TESTDEV_REASON = 0x30,
	TESTDEV_RESPONSE = 0x34,
	TESTDEV_BYTES = 0x38,
	TESTDEV_GRANTED = 0x3c,
	TESTDEV_GPA = 0x40,
	TESTDEV_FAULT_IOVA = 0x48,
	TESTDEV_OLD = 0x50,
	TESTDEV_SPAN = 0x58,
	TESTDEV_PAGE_REQUESTS = 0x60,
	TESTDEV_CACHED = 0x64,
	TESTDEV_SLOT_SIZE = 0x80,
};

enum {
	TESTDEV_ID_VALUE = 0x56494f54, /* "TOIV" in memory */
	TESTDEV_VERSION_VALUE = 1,
	TESTDEV_SLOTS = 16,
	TESTDEV_WINDOW = 0x800,	       /* data bytes of a slot */
	TESTDEV_FILL_LIMIT = 16 << 20, /* longest fill */
	TESTDEV_VECTORS =
		2, /* 0: a request of any slot finished; 1: a device-TLB invalidation came */
};

/* REQUEST[7:0]. */
enum testdev_operation {
	TESTDEV_OP_NOP = 0,
	TESTDEV_OP_READ = 1,  /* memory to the data window */
	TESTDEV_OP_WRITE = 2, /* the data window to memory */
	TESTDEV_OP_FETCH_ADD = 3,
	TESTDEV_OP_SWAP = 4,
	TESTDEV_OP_COMPARE_SWAP = 5,
	TESTDEV_OP_FILL = 6,
	TESTDEV_OP_ATS = 7,		/* only a translation request */
	TESTDEV_OP_TRANSLATED_READ = 8, /* IOVA holds an address that was translated before */
	TESTDEV_OP_TRANSLATED_WRITE = 9,
	TESTDEV_OP_PAGE_REQUEST = 10,
	TESTDEV_OPERATIONS,
};

/* REQUEST[31:8]. */
enum testdev_flag {
	TESTDEV_FLAG_PASID = 1 << 8,
	TESTDEV_FLAG_PRIVILEGED = 1 << 9,
	TESTDEV_FLAG_EXECUTE = 1 << 10,
	TESTDEV_FLAG_ATS = 1 << 11,	     /* translate first, then use translated requests */
	TESTDEV_FLAG_PAGE_REQUEST = 1 << 12, /* on a fault ask for the page and try again */
	TESTDEV_FLAG_INTERRUPT = 1 << 13,
	TESTDEV_FLAG_ACCESS_WRITE = 1 << 14, /* ATS, PAGE_REQUEST: ask for write, not read */
	TESTDEV_FLAG_LAST = 1 << 15, /* PAGE_REQUEST: last of its group, wait for the answer */
	TESTDEV_FLAGS = 0xff00,
};

enum testdev_status { TESTDEV_IDLE, TESTDEV_QUEUED, TESTDEV_RUNNING, TESTDEV_FINISHED };

enum testdev_outcome {
	TESTDEV_OK = 0,
	TESTDEV_FAULT = 1,	  /* REASON says why */
	TESTDEV_PAGE_REFUSED = 2, /* RESPONSE says how */
	TESTDEV_BAD_REQUEST = 3,
	TESTDEV_NO_MEMORY = 4, /* nothing at the address it translates to */
	TESTDEV_ABORTED = 5,
	TESTDEV_NO_PAGE_REQUESTS = 6,
	TESTDEV_NOT_GRANTED = 7, /* ATS answered without the permission asked for */
	TESTDEV_TIMEOUT = 8,	 /* no answer to a page request */
	TESTDEV_NO_BUS_MASTER = 9,
};

struct testdev_ops {
	void (*interrupt)(void *opaque, unsigned int vector);
};

/* -ENOMEM, -EAGAIN; what viommu_endpoint_create returned. */
int testdev_create(struct viommu_unit *unit, uint16_t rid, unsigned int page_timeout_ms,
		   const struct testdev_ops *ops, void *opaque, struct testdev **testdev);
void testdev_destroy(struct testdev *testdev);
struct viommu_endpoint *testdev_endpoint(const struct testdev *testdev);
/* BAR0; any length and alignment inside it. */
void testdev_read(struct testdev *testdev, uint64_t offset, void *data, size_t length);
void testdev_write(struct testdev *testdev, uint64_t offset, const void *data, size_t length);
void testdev_features(struct testdev *testdev, uint32_t features, bool bus_master);
/* When it returns no DMA runs. Requests that had not finished are aborted. */
void testdev_reset(struct testdev *testdev);
/* Requests that run are finished, those that wait for a page go back to the queue. -EBUSY. */
int testdev_stop(struct testdev *testdev);
void testdev_start(struct testdev *testdev);
/* As dsa_save and dsa_load. */
int testdev_save(struct testdev *testdev, struct viommu_stream_writer *writer, uint32_t instance);
int testdev_load(struct testdev *testdev, struct viommu_stream_reader *reader, uint32_t instance,
		 char *message, size_t message_length);

struct testdev_statistics {
	uint64_t requests, bytes, faults, page_requests, invalidations, interrupts;
};
void testdev_statistics(const struct testdev *testdev, struct testdev_statistics *statistics);

#endif
