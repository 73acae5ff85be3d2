/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Resetting a passed-through function: nothing is attached or detached meanwhile, whatever the guest does
 * on other processors, because kernels refuse that; afterwards it happens.
 */
#include <pthread.h>
#include <sched.h>

#include "host/host.h"
#include "world.h"

enum { DATA = 0x100000 };

static struct {
	const struct host_ops *model;
	struct host_ops ops;
	int error;
	unsigned int resets;
	uint64_t attached; /* while it resets */
	atomic_bool began, bound;
	bool bound_meanwhile;
} reset;

/* The kernel, in the place of the model's. */
static int slow_reset(struct viommu_host_device *device)
{
	reset.resets++;
	reset.attached = viommu_host_model_attachments(device);
	reset.began = true;
	for (int i = 0; i < 500; i++)
		sched_yield();
	reset.bound_meanwhile = reset.bound || viommu_host_model_attachments(device) != reset.attached;
	return reset.error;
}

/* Another processor of the guest: binds one PASID and takes another away. */
static void *guest(void *opaque)
{
	struct world *world = opaque;

	while (!reset.began)
		sched_yield();
	world_bind(world, 6, 7, PE_FIRST, world_first(world, DATA));
	world_unbind(world, 5, 7);
	reset.bound = true;
	return NULL;
}

static void start(struct world *world)
{
	memset(&reset, 0, sizeof(reset));
	world_options(world);
	world_create(world);
	reset.model = world->host->ops;
	reset.ops = *reset.model;
	reset.ops.reset = slow_reset;
	world->host->ops = &reset.ops;
	world->kit.ram[DATA] = 0x42;
	kit_start(&world->kit, TTM_SCALABLE);
	world_bind(world, 0, 1, PE_PASS, 0);
	world_bind(world, 5, 7, PE_FIRST, world_first(world, DATA));
}

static void end(struct world *world)
{
	world->host->ops = reset.model;
	world_destroy(world);
}

static void nothing_changes_meanwhile(void **state)
{
	struct world world;
	pthread_t thread;

	start(&world);
	assert_int_equal(pthread_create(&thread, NULL, guest, &world), 0);
	assert_int_equal(viommu_passthrough_reset(world.passthrough), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(reset.resets, 1);
	assert_int_equal(reset.attached, 2);
	assert_false(reset.bound_meanwhile);
	/* And then it was done. */
	assert_int_equal(world_read(&world, 6, 0x1000), 0x42);
	assert_int_equal(world_read(&world, 5, 0x1000), -EFAULT);
	end(&world);
}

/* What the kernel says is passed on, bindings stay, and a device without a reset says so. */
static void refusals(void **state)
{
	struct world world;

	start(&world);
	reset.ops.reset = NULL;
	assert_int_equal(viommu_passthrough_reset(world.passthrough), -ENOTTY);
	assert_int_equal(reset.resets, 0);
	reset.ops.reset = slow_reset;
	reset.error = -EIO;
	assert_int_equal(viommu_passthrough_reset(world.passthrough), -EIO);
	reset.error = 0;
	assert_int_equal(viommu_passthrough_reset(world.passthrough), 0);
	assert_int_equal(reset.resets, 2);
	assert_int_equal(world_read(&world, 5, 0x1000), 0x42);
	assert_int_equal(world_read(&world, VIOMMU_NO_PASID, DATA), 0x42);
	end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_changes_meanwhile),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests_name("reset", tests, NULL, NULL);
}
