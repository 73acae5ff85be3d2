/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The test device: registers, its queue and its thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "devices/thread.h"
#include "internal.h"

enum { SETTLE_SECONDS = 10, FEATURE_BUS_MASTER = 1 << 8 };

void testdev_lock(struct testdev *testdev)
{
	pthread_mutex_lock(&testdev->lock);
}

void testdev_unlock(struct testdev *testdev)
{
	uint32_t vectors = testdev->pending_vectors;

	if (!vectors) {
		pthread_mutex_unlock(&testdev->lock);
		return;
	}
	testdev->pending_vectors = 0;
	testdev->count_interrupts += __builtin_popcount(vectors);
	testdev->sending++;
	pthread_mutex_unlock(&testdev->lock);
	for (unsigned int i = 0; i < TESTDEV_VECTORS; i++) {
		if (vectors & 1u << i)
			testdev->ops->interrupt(testdev->opaque, i);
	}
	pthread_mutex_lock(&testdev->lock);
	testdev->sending--;
	pthread_cond_broadcast(&testdev->settled);
	pthread_mutex_unlock(&testdev->lock);
}

static bool covers(const struct testdev_slot *slot, uint32_t pasid, bool all, uint64_t iova,
		   uint64_t last)
{
	uint32_t own = slot->request & TESTDEV_FLAG_PASID ? slot->pasid : VIOMMU_NO_PASID;

	return slot->cached && (all || own == pasid) && slot->iova <= last &&
	       slot->iova + (slot->span ? slot->span - 1 : 0) >= iova;
}

/* A device-TLB invalidation: translations a slot got by ATS become stale. */
static void invalidate(void *opaque, uint32_t pasid, bool all_pasids, uint64_t iova, uint64_t last)
{
	struct testdev *testdev = opaque;

	testdev_lock(testdev);
	for (unsigned int i = 0; i < TESTDEV_SLOTS; i++) {
		if (covers(&testdev->slots[i], pasid, all_pasids, iova, last))
			testdev->slots[i].cached = 0;
	}
	testdev->invalidations++;
	testdev->invalidate_pasid = all_pasids ? VIOMMU_NO_PASID : pasid;
	testdev->invalidate_first = iova;
	testdev->invalidate_last = last;
	if (testdev->interrupt_mask & 2)
		testdev->pending_vectors |= 2;
	testdev_unlock(testdev);
}

static const struct viommu_endpoint_ops endpoint_ops = {
	.size = sizeof(endpoint_ops),
	.invalidate = invalidate,
	.page_response = testdev_page_response,
};

static uint32_t busy(const struct testdev *testdev)
{
	uint32_t slots = testdev->running >= 0 ? 1u << testdev->running : 0;

	for (unsigned int i = 0; i < testdev->queue_count; i++)
		slots |= 1u << testdev->queue[(testdev->queue_head + i) % TESTDEV_SLOTS];
	return slots;
}

/* ---- the worker ---- */

static void finish(struct testdev *testdev, unsigned int index)
{
	struct testdev_slot *slot = &testdev->slots[index];

	slot->status = TESTDEV_FINISHED;
	testdev->done |= 1u << index;
	testdev->count_requests++;
	testdev->count_bytes += slot->bytes;
	testdev->count_faults += slot->outcome == TESTDEV_FAULT;
	if (slot->request & TESTDEV_FLAG_INTERRUPT && testdev->interrupt_mask & 1)
		testdev->pending_vectors |= 1;
}

static void put_back(struct testdev *testdev, unsigned int index)
{
	testdev->queue_head = (testdev->queue_head + TESTDEV_SLOTS - 1) % TESTDEV_SLOTS;
	testdev->queue[testdev->queue_head] = index;
	testdev->queue_count++;
	testdev->slots[index].status = TESTDEV_QUEUED;
}

static void work(struct testdev *testdev)
{
	unsigned int index = testdev->queue[testdev->queue_head];
	struct testdev_slot slot = testdev->slots[index];
	uint8_t data[TESTDEV_WINDOW];
	uint32_t invalidations = testdev->invalidations;
	bool finished = true;

	memcpy(data, testdev->data[index], sizeof(data));
	testdev->queue_head = (testdev->queue_head + 1) % TESTDEV_SLOTS;
	testdev->queue_count--;
	testdev->running = index;
	testdev->slots[index].status = TESTDEV_RUNNING;
	atomic_store(&testdev->cancel, false);
	atomic_store(&testdev->park, false);
	if (testdev->bus_master) {
		testdev_unlock(testdev);
		finished = testdev_execute(testdev, &slot, data);
		testdev_lock(testdev);
	} else {
		slot.outcome = TESTDEV_NO_BUS_MASTER;
		slot.bytes = 0;
	}
	testdev->running = -1;
	if (finished) {
		/* An invalidation that came meanwhile may have been for what was just translated.
		 */
		if (testdev->invalidations != invalidations)
			slot.cached = 0;
		testdev->slots[index] = slot;
		memcpy(testdev->data[index], data, sizeof(data));
		finish(testdev, index);
	} else {
		put_back(testdev, index);
	}
	pthread_cond_broadcast(&testdev->settled);
}

static void *worker(void *argument)
{
	struct testdev *testdev = argument;

	testdev_lock(testdev);
	while (!testdev->quit) {
		if (!testdev->queue_count || testdev->stopped || testdev->resetting) {
			pthread_cond_wait(&testdev->wake, &testdev->lock);
			continue;
		}
		work(testdev);
		if (testdev->pending_vectors) {
			testdev_unlock(testdev);
			testdev_lock(testdev);
		}
	}
	testdev_unlock(testdev);
	return NULL;
}

/* Wait, lock held, until nothing runs. */
static void settle(struct testdev *testdev)
{
	struct timespec deadline;
	int error = 0;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += SETTLE_SECONDS;
	while ((testdev->running >= 0 || testdev->sending) && error != ETIMEDOUT)
		error = pthread_cond_timedwait(&testdev->settled, &testdev->lock, &deadline);
}

/* End what runs and forget what is queued; lock held. */
static void abort_all(struct testdev *testdev)
{
	testdev->resetting = true;
	while (testdev->queue_count) {
		unsigned int index = testdev->queue[testdev->queue_head];

		testdev->queue_head = (testdev->queue_head + 1) % TESTDEV_SLOTS;
		testdev->queue_count--;
		testdev->slots[index].outcome = TESTDEV_ABORTED;
		testdev->slots[index].bytes = 0;
		finish(testdev, index);
	}
	atomic_store(&testdev->cancel, true);
	pthread_cond_signal(&testdev->wake);
	settle(testdev);
	testdev->resetting = false;
}

/* ---- registers ---- */

static uint32_t read_register(const struct testdev *testdev, uint64_t offset)
{
	switch (offset) {
	case TESTDEV_ID:
		return TESTDEV_ID_VALUE;
	case TESTDEV_VERSION:
		return TESTDEV_VERSION_VALUE;
	case TESTDEV_SLOT_COUNT:
		return TESTDEV_SLOTS;
	case TESTDEV_DATA_OFFSET:
		return TESTDEV_DATA;
	case TESTDEV_DATA_SIZE:
		return TESTDEV_WINDOW;
	case TESTDEV_FEATURES:
		return testdev->features | (testdev->bus_master ? FEATURE_BUS_MASTER : 0);
	case TESTDEV_BUSY:
		return busy(testdev);
	case TESTDEV_DONE:
		return testdev->done;
	case TESTDEV_INTERRUPT_MASK:
		return testdev->interrupt_mask;
	case TESTDEV_INVALIDATIONS:
		return testdev->invalidations;
	case TESTDEV_INVALIDATE_PASID:
		return testdev->invalidate_pasid;
	case TESTDEV_PAGE_TIMEOUT:
		return testdev->page_timeout_ms;
	case TESTDEV_INVALIDATE_FIRST:
		return (uint32_t)testdev->invalidate_first;
	case TESTDEV_INVALIDATE_FIRST + 4:
		return (uint32_t)(testdev->invalidate_first >> 32);
	case TESTDEV_INVALIDATE_LAST:
		return (uint32_t)testdev->invalidate_last;
	case TESTDEV_INVALIDATE_LAST + 4:
		return (uint32_t)(testdev->invalidate_last >> 32);
	case TESTDEV_RESPONSES:
		return testdev->responses;
	default:
		return 0;
	}
}

static void doorbell(struct testdev *testdev, uint32_t index)
{
	if (index >= TESTDEV_SLOTS || busy(testdev) & 1u << index)
		return;
	testdev->queue[(testdev->queue_head + testdev->queue_count) % TESTDEV_SLOTS] = index;
	testdev->queue_count++;
	testdev->slots[index].status = TESTDEV_QUEUED;
	pthread_cond_signal(&testdev->wake);
}

static void write_register(struct testdev *testdev, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case TESTDEV_DOORBELL:
		doorbell(testdev, value);
		break;
	case TESTDEV_DONE:
		testdev->done &= ~value;
		break;
	case TESTDEV_INTERRUPT_MASK:
		testdev->interrupt_mask = value & 3;
		break;
	case TESTDEV_CONTROL:
		if (value & 1)
			abort_all(testdev);
		break;
	case TESTDEV_PAGE_TIMEOUT:
		testdev->page_timeout_ms = value;
		break;
	default:
		break;
	}
}

/* Where `offset` lies: the byte of a slot's registers or data, or NULL. *writable says whether
 * software may change it. */
static uint8_t *locate(struct testdev *testdev, uint64_t offset, bool *writable)
{
	uint64_t in;

	if (offset >= TESTDEV_SLOT && offset < TESTDEV_SLOT + TESTDEV_SLOTS * TESTDEV_SLOT_SIZE) {
		in = offset - TESTDEV_SLOT;
		*writable = in % TESTDEV_SLOT_SIZE < TESTDEV_STATUS &&
			    !(busy(testdev) & 1u << in / TESTDEV_SLOT_SIZE);
		return (uint8_t *)&testdev->slots[in / TESTDEV_SLOT_SIZE] + in % TESTDEV_SLOT_SIZE;
	}
	if (offset >= TESTDEV_DATA && offset < TESTDEV_DATA + TESTDEV_SLOTS * TESTDEV_WINDOW) {
		in = offset - TESTDEV_DATA;
		*writable = !(busy(testdev) & 1u << in / TESTDEV_WINDOW);
		return &testdev->data[in / TESTDEV_WINDOW][in % TESTDEV_WINDOW];
	}
	return NULL;
}

void testdev_read(struct testdev *testdev, uint64_t offset, void *data, size_t length)
{
	uint8_t *bytes = data;
	bool writable;

	testdev_lock(testdev);
	for (size_t i = 0; i < length; i++) {
		const uint8_t *place = locate(testdev, offset + i, &writable);
		uint32_t word = place ? 0 : read_register(testdev, (offset + i) & ~3ull);

		bytes[i] = place ? *place : (uint8_t)(word >> (offset + i) % 4 * 8);
	}
	testdev_unlock(testdev);
}

/* Registers outside slots take whole aligned 32-bit words only. */
void testdev_write(struct testdev *testdev, uint64_t offset, const void *data, size_t length)
{
	const uint8_t *bytes = data;

	testdev_lock(testdev);
	for (size_t i = 0; i < length; i++) {
		bool writable = false;
		uint8_t *place = locate(testdev, offset + i, &writable);
		uint32_t word;

		if (place) {
			if (writable)
				*place = bytes[i];
			continue;
		}
		if ((offset + i) % 4 || length - i < 4)
			continue;
		memcpy(&word, bytes + i, 4);
		write_register(testdev, offset + i, word);
	}
	testdev_unlock(testdev);
}

/* ---- life ---- */

static void clear(struct testdev *testdev)
{
	memset(testdev->slots, 0, sizeof(testdev->slots));
	memset(testdev->data, 0, sizeof(testdev->data));
	testdev->queue_count = testdev->queue_head = 0;
	testdev->done = testdev->interrupt_mask = testdev->pending_vectors = 0;
	testdev->page_timeout_ms = testdev->default_timeout_ms;
	testdev->invalidations = testdev->responses = testdev->invalidate_pasid = 0;
	testdev->invalidate_first = testdev->invalidate_last = 0;
}

int testdev_create(struct viommu_unit *unit, uint16_t rid, unsigned int page_timeout_ms,
		   const struct testdev_ops *ops, void *opaque, struct testdev **result)
{
	struct testdev *testdev = calloc(1, sizeof(*testdev));
	pthread_condattr_t monotonic;
	int error;

	if (!testdev)
		return -ENOMEM;
	testdev->ops = ops;
	testdev->opaque = opaque;
	testdev->memory = viommu_unit_memory(unit);
	testdev->default_timeout_ms = page_timeout_ms;
	testdev->running = -1;
	clear(testdev);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&testdev->lock, NULL);
	pthread_cond_init(&testdev->wake, &monotonic);
	pthread_cond_init(&testdev->settled, &monotonic);
	pthread_condattr_destroy(&monotonic);
	error = viommu_endpoint_create(unit, rid, &endpoint_ops, testdev, &testdev->endpoint);
	if (!error) {
		error = device_thread_create(&testdev->thread, "testdev", worker, testdev);
		if (error)
			viommu_endpoint_destroy(testdev->endpoint);
	}
	if (error) {
		free(testdev);
		return error;
	}
	*result = testdev;
	return 0;
}

void testdev_destroy(struct testdev *testdev)
{
	if (!testdev)
		return;
	testdev_lock(testdev);
	testdev->quit = true;
	atomic_store(&testdev->cancel, true);
	pthread_cond_signal(&testdev->wake);
	testdev_unlock(testdev);
	pthread_join(testdev->thread, NULL);
	viommu_endpoint_destroy(testdev->endpoint);
	pthread_cond_destroy(&testdev->wake);
	pthread_cond_destroy(&testdev->settled);
	pthread_mutex_destroy(&testdev->lock);
	free(testdev);
}

struct viommu_endpoint *testdev_endpoint(const struct testdev *testdev)
{
	return testdev->endpoint;
}

void testdev_features(struct testdev *testdev, uint32_t features, bool bus_master)
{
	viommu_endpoint_set_features(testdev->endpoint, features);
	testdev_lock(testdev);
	testdev->features = features;
	if (testdev->bus_master && !bus_master)
		abort_all(testdev);
	testdev->bus_master = bus_master;
	testdev_unlock(testdev);
}

void testdev_reset(struct testdev *testdev)
{
	testdev_lock(testdev);
	abort_all(testdev);
	clear(testdev);
	testdev_unlock(testdev);
}

int testdev_stop(struct testdev *testdev)
{
	bool idle;

	testdev_lock(testdev);
	testdev->stopped = true;
	atomic_store(&testdev->park, true);
	pthread_cond_signal(&testdev->wake);
	settle(testdev);
	idle = testdev->running < 0;
	testdev->stopped = idle;
	testdev_unlock(testdev);
	return idle ? 0 : -EBUSY;
}

void testdev_start(struct testdev *testdev)
{
	testdev_lock(testdev);
	testdev->stopped = false;
	pthread_cond_signal(&testdev->wake);
	testdev_unlock(testdev);
}

void testdev_statistics(const struct testdev *testdev, struct testdev_statistics *statistics)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&testdev->lock;

	pthread_mutex_lock(lock);
	*statistics = (struct testdev_statistics){
		.requests = testdev->count_requests,
		.bytes = testdev->count_bytes,
		.faults = testdev->count_faults,
		.page_requests = testdev->count_pages,
		.invalidations = testdev->invalidations,
		.interrupts = testdev->count_interrupts,
	};
	pthread_mutex_unlock(lock);
}
