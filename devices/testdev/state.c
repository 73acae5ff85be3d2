/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The test device in a state stream: section "testdev". What is loaded is checked in whole before
 * it is taken over.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"

enum { VERSION = 1 };
enum tag { TAG_REGISTERS = 1, TAG_SLOTS = 2, TAG_DATA = 3, TAG_QUEUE = 4 };

struct saved {
	uint32_t done, interrupt_mask, page_timeout_ms, pending_vectors;
	uint32_t invalidations, responses, invalidate_pasid, reserved;
	uint64_t invalidate_first, invalidate_last;
};

int testdev_save(struct testdev *testdev, struct viommu_stream_writer *writer, uint32_t instance)
{
	struct saved saved;
	uint8_t queue[TESTDEV_SLOTS];

	pthread_mutex_lock(&testdev->lock);
	if (!testdev->stopped) {
		pthread_mutex_unlock(&testdev->lock);
		return -EBUSY;
	}
	saved = (struct saved){
		.done = testdev->done,
		.interrupt_mask = testdev->interrupt_mask,
		.page_timeout_ms = testdev->page_timeout_ms,
		.pending_vectors = testdev->pending_vectors,
		.invalidations = testdev->invalidations,
		.responses = testdev->responses,
		.invalidate_pasid = testdev->invalidate_pasid,
		.invalidate_first = testdev->invalidate_first,
		.invalidate_last = testdev->invalidate_last,
	};
	for (unsigned int i = 0; i < testdev->queue_count; i++)
		queue[i] = testdev->queue[(testdev->queue_head + i) % TESTDEV_SLOTS];
	viommu_stream_begin(writer, "testdev", instance, VERSION);
	viommu_stream_put_bytes(writer, TAG_REGISTERS, &saved, sizeof(saved));
	viommu_stream_put_bytes(writer, TAG_SLOTS, testdev->slots, sizeof(testdev->slots));
	viommu_stream_put_bytes(writer, TAG_DATA, testdev->data, sizeof(testdev->data));
	viommu_stream_put_bytes(writer, TAG_QUEUE, queue, testdev->queue_count);
	viommu_stream_end(writer);
	pthread_mutex_unlock(&testdev->lock);
	return 0;
}

static int get(struct viommu_stream_reader *reader, uint32_t tag, const void **data, size_t length)
{
	size_t found;
	int error = viommu_stream_get_bytes(reader, tag, data, &found);

	if (error)
		return error;
	return found == length ? 0 : -EBADMSG;
}

/* Every slot at most once, and only slots there are. */
static int check_queue(const uint8_t *queue, size_t length)
{
	uint32_t seen = 0;

	if (length > TESTDEV_SLOTS)
		return -EBADMSG;
	for (size_t i = 0; i < length; i++) {
		if (queue[i] >= TESTDEV_SLOTS || seen & 1u << queue[i])
			return -EBADMSG;
		seen |= 1u << queue[i];
	}
	return 0;
}

static void adopt(struct testdev *testdev, const struct saved *saved, const void *slots,
		  const void *data, const uint8_t *queue, size_t queued)
{
	testdev->done = saved->done & 0xffff;
	testdev->interrupt_mask = saved->interrupt_mask & 3;
	testdev->page_timeout_ms = saved->page_timeout_ms;
	testdev->pending_vectors = saved->pending_vectors & 3;
	testdev->invalidations = saved->invalidations;
	testdev->responses = saved->responses;
	testdev->invalidate_pasid = saved->invalidate_pasid;
	testdev->invalidate_first = saved->invalidate_first;
	testdev->invalidate_last = saved->invalidate_last;
	memcpy(testdev->slots, slots, sizeof(testdev->slots));
	memcpy(testdev->data, data, sizeof(testdev->data));
	memcpy(testdev->queue, queue, queued);
	testdev->queue_head = 0;
	testdev->queue_count = queued;
}

int testdev_load(struct testdev *testdev, struct viommu_stream_reader *reader, uint32_t instance,
		 char *message, size_t message_length)
{
	const void *registers, *slots, *data, *queue;
	struct saved saved;
	size_t queued;
	uint32_t version;
	int error = viommu_stream_open(reader, "testdev", instance, VERSION, &version);

	if (!error)
		error = get(reader, TAG_REGISTERS, &registers, sizeof(saved));
	if (!error)
		error = get(reader, TAG_SLOTS, &slots, sizeof(testdev->slots));
	if (!error)
		error = get(reader, TAG_DATA, &data, sizeof(testdev->data));
	if (!error)
		error = viommu_stream_get_bytes(reader, TAG_QUEUE, &queue, &queued);
	if (!error)
		error = check_queue(queue, queued);
	if (error) {
		if (message && error == -EBADMSG)
			snprintf(message, message_length, "the test device's state is damaged");
		return error;
	}
	memcpy(&saved, registers, sizeof(saved));
	pthread_mutex_lock(&testdev->lock);
	if (testdev->stopped)
		adopt(testdev, &saved, slots, data, queue, queued);
	else
		error = -EBUSY;
	pthread_mutex_unlock(&testdev->lock);
	return error;
}
