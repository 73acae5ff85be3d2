/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GUEST_TESTDEV_H
#define GUEST_TESTDEV_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The PASID test device, driven through its register page (docs/testdev.md). One request at a time, in
 * the first of its slots; a request that waits for a page is in flight until testdev_finish() has seen
 * its outcome.
 */
enum testdev_operation {
	TESTDEV_NOP = 0,
	TESTDEV_READ = 1,
	TESTDEV_WRITE = 2,
	TESTDEV_FETCH_ADD = 3,
	TESTDEV_SWAP = 4,
	TESTDEV_COMPARE_SWAP = 5,
	TESTDEV_FILL = 6,
};

enum testdev_outcome {
	TESTDEV_OK = 0,
	TESTDEV_FAULT = 1,
	TESTDEV_PAGE_REFUSED = 2,
	TESTDEV_BAD_REQUEST = 3,
	TESTDEV_NO_MEMORY = 4,
	TESTDEV_ABORTED = 5,
	TESTDEV_NO_PAGE_REQUESTS = 6,
	TESTDEV_NOT_GRANTED = 7,
	TESTDEV_TIMEOUT = 8,
	TESTDEV_NO_BUS_MASTER = 9,
	TESTDEV_NO_ANSWER,		/* ours: the device did not finish in time */
};

#define TESTDEV_WINDOW 0x800

struct testdev_request {
	enum testdev_operation operation;
	uint64_t iova;
	uint32_t size;
	long pasid;		/* -1: without */
	bool ats;		/* ask for the translation first */
	bool page_request;	/* and for a page that is not there */
	uint64_t operand, compare;
};

struct testdev_result {
	enum testdev_outcome outcome;
	uint32_t reason;	/* of a fault */
	uint32_t bytes;
	uint64_t fault_address;
	uint64_t old;		/* what an atomic found */
	uint32_t page_requests;
};

struct testdev {
	volatile uint8_t *registers;
};

/* Maps the registers through sysfs and lets the device do DMA; no driver needs to be bound. */
int testdev_open(struct testdev *device, const char *pci_address);

/* Checks that it is one. */
bool testdev_present(const struct testdev *device);

/* data: what to write, at most TESTDEV_WINDOW bytes; or NULL. */
void testdev_start(struct testdev *device, const struct testdev_request *request, const void *data);

/* data: room for what was read; or NULL. */
struct testdev_result testdev_finish(struct testdev *device, const struct testdev_request *request, void *data,
				     double seconds);

struct testdev_result testdev_run(struct testdev *device, const struct testdev_request *request, const void *out,
				  void *in);

const char *testdev_outcome_name(enum testdev_outcome outcome);

#endif
