/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside the test device. One lock protects everything; it is not held during DMA, translations and
 * page requests. The thread works on a copy of the slot it executes and writes the results back
 * under the lock.
 */
#ifndef TESTDEV_INTERNAL_H
#define TESTDEV_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include "testdev.h"

/* A slot's registers, at their offsets. */
struct testdev_slot {
	uint32_t request, pasid;
	uint64_t iova;
	uint32_t length, group;
	uint64_t operand, compare;
	uint32_t status, outcome, reason, response, bytes, granted;
	uint64_t gpa, fault_iova, old, span;
	uint32_t page_requests, cached;
	uint64_t unused[3];
};
_Static_assert(sizeof(struct testdev_slot) == TESTDEV_SLOT_SIZE, "docs/testdev.md");
_Static_assert(offsetof(struct testdev_slot, status) == TESTDEV_STATUS, "docs/testdev.md");
_Static_assert(offsetof(struct testdev_slot, cached) == TESTDEV_CACHED, "docs/testdev.md");

struct testdev {
	const struct testdev_ops *ops;
	void *opaque;
	struct viommu_endpoint *endpoint;
	struct viommu_memory *memory;
	unsigned int default_timeout_ms;

	pthread_mutex_t lock;
	pthread_cond_t wake;	/* the worker: work, an answer, or the order to stop */
	pthread_cond_t settled; /* the worker became idle */
	pthread_t thread;
	bool quit, stopped, resetting, bus_master;
	atomic_bool cancel, park;
	uint32_t features;
	int running; /* slot, -1: idle */
	unsigned int sending;
	uint32_t pending_vectors;

	struct testdev_slot slots[TESTDEV_SLOTS];
	uint8_t data[TESTDEV_SLOTS][TESTDEV_WINDOW];
	uint8_t queue[TESTDEV_SLOTS];
	unsigned int queue_head, queue_count;
	uint32_t done, interrupt_mask, page_timeout_ms;
	uint32_t invalidations, responses, invalidate_pasid;
	uint64_t invalidate_first, invalidate_last;

	bool page_waiting;
	uint16_t page_group;
	int page_code;
	uint64_t count_requests, count_bytes, count_faults, count_pages, count_interrupts;
};

/* device.c */
void testdev_lock(struct testdev *testdev);
void testdev_unlock(struct testdev *testdev); /* raises what is in pending_vectors */

/* request.c */
/* Execute on copies; no lock held. False: parked, nothing to report. */
bool testdev_execute(struct testdev *testdev, struct testdev_slot *slot, uint8_t *data);
void testdev_page_response(void *opaque, uint32_t pasid, uint16_t group,
			   enum viommu_response_code code);

#endif
