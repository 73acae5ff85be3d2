/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices that answer the invalidation of their TLB later, wrongly or never: what wait descriptors
 * wait for, completion errors (ICE), time-outs (ITE), tags, and an endpoint that goes meanwhile.
 */
#include <errno.h>
#include <pthread.h>

#include "expect.h"

enum { OTHER = 0x0020, FOLLOW = 64 };

static struct device {
	struct kit *kit;
	struct viommu_endpoint *endpoint;
	unsigned int asked;
	unsigned int tag[FOLLOW];
	uint64_t iova[FOLLOW];
	enum { LATER, AT_ONCE, BEFORE_RETURN, TIME_OUT_BEFORE_RETURN } manner;
} device;

static int ask(void *opaque, unsigned int tag, uint32_t pasid, bool all_pasids, uint64_t iova,
	       uint64_t last)
{
	struct device *of = opaque;

	of->tag[of->asked] = tag;
	of->iova[of->asked++] = iova;
	if (of->manner == BEFORE_RETURN || of->manner == TIME_OUT_BEFORE_RETURN)
		assert_int_equal(viommu_endpoint_invalidated(of->endpoint, tag,
							     of->manner == BEFORE_RETURN),
				 0);
	return of->manner != AT_ONCE;
}

static const struct viommu_endpoint_ops ops = { .size = sizeof(ops), .invalidate_request = ask };

static int setup(void **state)
{
	kit_setup(state);
	device = (struct device){ .kit = *state };
	kit_start(*state, TTM_SCALABLE);
	return viommu_endpoint_create(device.kit->unit, OTHER, &ops, &device, &device.endpoint);
}

static int teardown(void **state)
{
	viommu_endpoint_destroy(device.endpoint);
	return kit_teardown(state);
}

#define device_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void submit(struct kit *kit, uint64_t iova)
{
	kit_submit(kit, QI_DEVICE_TLB | (uint64_t)OTHER << 32, iova);
}

static void answer(unsigned int n)
{
	assert_int_equal(viommu_endpoint_invalidated(device.endpoint, device.tag[n], true), 0);
}

static uint32_t status(struct kit *kit)
{
	return (uint32_t)kit_get(kit, kit->status);
}

static void at_once(void **state)
{
	struct kit *kit = *state;

	device.manner = AT_ONCE;
	submit(kit, 0x5000);
	assert_true(kit_sync(kit));
	device.manner = BEFORE_RETURN;
	submit(kit, 0x6000);
	assert_true(kit_sync(kit));
	assert_int_equal(device.asked, 2);
	assert_int_equal(device.iova[1], 0x6000);
	/* The tags are free again: an answer more is one too many. */
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
	answer(0);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), FSTS_ICE);
}

/* VT-d 6.5.2.12: the wait completes with the last answer, in whichever order they come. */
static void wait_for_all(void **state)
{
	struct kit *kit = *state;
	uint32_t before;

	for (uint64_t i = 0; i < 3; i++)
		submit(kit, i << 12);
	before = kit->sequence;
	assert_false(kit_sync(kit));
	assert_int_equal(device.asked, 3);
	/* The wait is fetched, what follows is not. */
	assert_int_equal(kit_read(kit, REG_IQH, 8), kit->tail);
	submit(kit, 0x9000);
	kit_ring(kit);
	assert_int_equal(device.asked, 3);
	answer(2);
	answer(0);
	assert_int_not_equal(status(kit), before + 1);
	answer(1);
	assert_int_equal(status(kit), kit->sequence);
	/* And the queue went on. */
	assert_int_equal(device.asked, 4);
	assert_int_equal(kit_read(kit, REG_IQH, 8), kit->tail);
	answer(3);
	assert_true(kit_sync(kit));
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
}

/* VT-d 6.5.2.11, 11.4.9.9: an answer nobody asked for is told, and nothing stops. */
static void completion_error(void **state)
{
	struct kit *kit = *state;

	kit_write(kit, REG_FEADDR, 8, 0xfee01000);
	kit_write(kit, REG_FECTL, 4, 0);
	submit(kit, 0x1000);
	assert_false(kit_sync(kit));
	assert_int_equal(viommu_endpoint_invalidated(device.endpoint, device.tag[0] ^ 1, true), 0);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), FSTS_ICE);
	assert_int_equal(kit_read(kit, REG_IQERCD, 8) >> 48, OTHER);
	assert_int_equal(kit->messages, 1);
	assert_int_equal(viommu_endpoint_invalidated(device.endpoint, 1000, true), 0);
	assert_int_not_equal(status(kit), kit->sequence);
	answer(0);
	assert_int_equal(status(kit), kit->sequence);
	/* With ICE set the queue works. */
	device.manner = AT_ONCE;
	submit(kit, 0x2000);
	assert_true(kit_sync(kit));
	kit_write(kit, REG_FSTS, 4, FSTS_ICE);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
}

/* VT-d 11.4.9.9: of each kind of error the first is described; the kinds do not disturb each other. */
static void first_errors(void **state)
{
	struct kit *kit = *state;
	struct viommu_endpoint *third;
	const struct viommu_endpoint_ops none = { .size = sizeof(none) };

	assert_int_equal(viommu_endpoint_create(kit->unit, 0x33, &none, NULL, &third), 0);
	assert_int_equal(viommu_endpoint_invalidated(device.endpoint, 3, true), 0);
	assert_int_equal(viommu_endpoint_invalidated(third, 3, true), 0);
	assert_int_equal(kit_read(kit, REG_IQERCD, 8), (uint64_t)OTHER << 48);
	/* Two time-outs, of this device and of one that never was there. */
	submit(kit, 0x1000);
	kit_ring(kit);
	assert_int_equal(viommu_endpoint_invalidated(device.endpoint, device.tag[0], false), 0);
	assert_int_equal(kit_read(kit, REG_IQERCD, 8), (uint64_t)OTHER << 48 | (uint64_t)OTHER << 32);
	kit_write(kit, REG_FSTS, 4, FSTS_ITE);
	kit_submit(kit, QI_DEVICE_TLB | 0x1234ull << 32, 0x1000);
	kit_submit(kit, 14, 0);
	kit_ring(kit);
	assert_int_equal(kit_read(kit, REG_IQERCD, 8), (uint64_t)OTHER << 48 | 0x1234ull << 32);
	kit_write(kit, REG_FSTS, 4, FSTS_ITE);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), FSTS_ICE | FSTS_IQE);
	assert_int_equal(kit_read(kit, REG_IQERCD, 8), (uint64_t)OTHER << 48 | 0x1234ull << 32 | 3);
	kit_write(kit, REG_FSTS, 4, FSTS_ICE);
	assert_int_equal(viommu_endpoint_invalidated(third, 3, true), 0);
	assert_int_equal(kit_read(kit, REG_IQERCD, 8) >> 48, 0x33);
	viommu_endpoint_destroy(third);
}

/* VT-d 6.5.2.11, 11.4.9.9: the wait is aborted; clearing ITE starts the queue again after it. */
static void time_out(void **state)
{
	struct kit *kit = *state;
	uint32_t aborted;

	submit(kit, 0x1000);
	submit(kit, 0x2000);
	assert_false(kit_sync(kit));
	aborted = kit->sequence;
	assert_int_equal(viommu_endpoint_invalidated(device.endpoint, device.tag[1], false), 0);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), FSTS_ITE);
	assert_int_equal(kit_read(kit, REG_IQERCD, 8) >> 32 & 0xffff, OTHER);
	submit(kit, 0x3000);
	kit_ring(kit);
	assert_int_equal(device.asked, 2);
	/* Answers while ITE is set are taken as ever. */
	answer(0);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), FSTS_ITE);
	assert_int_not_equal(status(kit), aborted);
	kit_write(kit, REG_FSTS, 4, FSTS_ITE);
	assert_int_equal(device.asked, 3);
	assert_int_not_equal(status(kit), aborted);
	/* A time-out of what is not outstanding is nothing. */
	assert_int_equal(viommu_endpoint_invalidated(device.endpoint, 31, false), 0);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
	answer(2);
	assert_true(kit_sync(kit));
}

/* The device gives up within the call: nothing that was fetched behind it is executed. */
static void time_out_at_once(void **state)
{
	struct kit *kit = *state;

	device.manner = TIME_OUT_BEFORE_RETURN;
	submit(kit, 0x1000);
	submit(kit, 0x2000);
	assert_false(kit_sync(kit));
	assert_int_equal(device.asked, 1);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), FSTS_ITE);
	device.manner = AT_ONCE;
	kit_write(kit, REG_FSTS, 4, FSTS_ITE);
	assert_int_equal(device.asked, 2);
	assert_int_equal(status(kit), kit->sequence);
}

/* A device has 32 tags: the queue stands until one is free. */
static void tags(void **state)
{
	struct kit *kit = *state;
	uint32_t seen = 0;

	for (uint64_t i = 0; i < 34; i++)
		submit(kit, i << 12);
	assert_false(kit_sync(kit));
	assert_int_equal(device.asked, 32);
	for (int i = 0; i < 32; i++) {
		assert_true(device.tag[i] < 32);
		assert_false(seen & 1u << device.tag[i]);
		seen |= 1u << device.tag[i];
	}
	answer(7);
	assert_int_equal(device.asked, 33);
	assert_int_equal(device.tag[32], device.tag[7]);
	assert_int_equal(device.iova[32], 32 << 12);
	for (int i = 0; i < 32; i++)
		if (i != 7)
			answer(i);
	assert_int_equal(device.asked, 34);
	assert_int_not_equal(status(kit), kit->sequence);
	answer(32);
	answer(33);
	assert_int_equal(status(kit), kit->sequence);
}

/* A device that is pulled out answers no more. */
static void removal(void **state)
{
	struct kit *kit = *state;

	submit(kit, 0x1000);
	assert_false(kit_sync(kit));
	viommu_endpoint_destroy(device.endpoint);
	device.endpoint = NULL;
	assert_int_equal(kit_read(kit, REG_FSTS, 4), FSTS_ITE);
	assert_int_equal(kit_read(kit, REG_IQERCD, 8) >> 32 & 0xffff, OTHER);
	assert_int_not_equal(status(kit), kit->sequence);
	kit_write(kit, REG_FSTS, 4, FSTS_ITE);
	assert_true(kit_sync(kit));
}

/* The queue is turned off under a wait; the answer then belongs to no wait. */
static void queue_off(void **state)
{
	struct kit *kit = *state;
	uint32_t waited;

	submit(kit, 0x1000);
	assert_false(kit_sync(kit));
	waited = kit->sequence;
	kit_queue_off(kit);
	answer(0);
	assert_int_not_equal(status(kit), waited);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
	kit_queue_on(kit);
	assert_true(kit_sync(kit));
}

static void refusals(void **state)
{
	struct kit *kit = *state;
	struct viommu_stream_writer *writer;

	submit(kit, 0x1000);
	assert_false(kit_sync(kit));
	assert_int_equal(viommu_stream_writer_create(&writer), 0);
	assert_int_equal(viommu_unit_save(kit->unit, writer, 0), -EBUSY);
	viommu_access_begin();
	assert_int_equal(viommu_endpoint_invalidated(device.endpoint, device.tag[0], true),
			 -EDEADLK);
	viommu_access_end();
	answer(0);
	assert_int_equal(viommu_unit_save(kit->unit, writer, 0), 0);
	viommu_stream_writer_destroy(writer);
}

static void *answer_all(void *opaque)
{
	for (unsigned int i = 0; i < 20; i++)
		if (viommu_endpoint_invalidated(device.endpoint, device.tag[i], true))
			return (void *)1;
	return NULL;
}

/* Another thread answers, as a device's own would. */
static void other_thread(void **state)
{
	struct kit *kit = *state;
	pthread_t thread;
	void *failed;

	for (uint64_t i = 0; i < 20; i++)
		submit(kit, i << 12);
	assert_false(kit_sync(kit));
	assert_int_equal(pthread_create(&thread, NULL, answer_all, NULL), 0);
	/* The guest goes on meanwhile. */
	for (int i = 0; i < 100; i++)
		kit_read(kit, REG_IQH, 8);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	assert_int_equal(status(kit), kit->sequence);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		device_test(at_once),	       device_test(wait_for_all),
		device_test(completion_error), device_test(first_errors),
		device_test(time_out),
		device_test(time_out_at_once), device_test(tags),
		device_test(removal),	       device_test(queue_off),
		device_test(refusals),	       device_test(other_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
