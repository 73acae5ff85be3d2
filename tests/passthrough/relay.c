/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Page requests of a real device: into the guest's queue, its answers back; and always an answer, whoever is gone.
 */
#include <poll.h>

#include "world.h"

enum { PASID = 5, DID = 7 };

static uint64_t queue;

static int setup(void **state)
{
	struct world *world = malloc(sizeof(*world));
	uint64_t root;

	world_options(world);
	world->options.page_request = true;
	world->options.device_iotlb = true;
	world_create(world);
	kit_start(&world->kit, TTM_SCALABLE);
	queue = kit_page(&world->kit);
	kit_write(&world->kit, REG_PQA, 8, queue);
	world_bind(world, 0, 1, PE_PASS, 0);
	root = world_first(world, 0x100000);
	world_bind(world, PASID, DID, PE_FIRST, root);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	world_destroy(*state);
	free(*state);
	return 0;
}

static void ask(struct world *world, uint64_t address, uint32_t group, bool last)
{
	assert_int_equal(viommu_host_model_page_request(world->device, PASID, address, VIOMMU_WRITE, group,
							last), 0);
}

static bool answered(struct world *world, uint32_t group, bool *success)
{
	return viommu_host_model_page_answer(world->device, PASID, group, success) == 1;
}

static void respond(struct world *world, uint32_t group, unsigned int code)
{
	assert_true(kit_command(&world->kit, qi_page_response(true, PASID, KIT_RID, code),
				(uint64_t)group << 3));
}

static void there_and_back(void **state)
{
	struct world *world = *state;
	struct pollfd poller = { .fd = viommu_passthrough_fault_fd(world->passthrough), .events = POLLIN };
	bool success;

	assert_true(poller.fd >= 0);
	assert_int_equal(viommu_passthrough_work(world->passthrough, 1000), -1);
	ask(world, 0x7000, 3, false);
	ask(world, 0x8000, 3, true);
	assert_int_equal(poll(&poller, 1, 0), 1);
	assert_int_equal(viommu_passthrough_work(world->passthrough, 1000), 10000);
	assert_int_equal(kit_read(&world->kit, REG_PQT, 8), 64);
	/* VT-d 7.5.1: as an emulated device's request. */
	assert_int_equal(kit_get(&world->kit, queue) & 0xff, 1);
	assert_int_equal(kit_get(&world->kit, queue) >> 16 & 0xffff, KIT_RID);
	assert_int_equal(kit_get(&world->kit, queue) >> 32 & 0xfffff, PASID);
	assert_int_equal(kit_get(&world->kit, queue + 8), 0x7000 | 3 << 3 | 2);
	assert_int_equal(kit_get(&world->kit, queue + 40), 0x8000 | 3 << 3 | 4 | 2);
	assert_false(answered(world, 3, &success));
	respond(world, 3, 0);
	assert_true(answered(world, 3, &success));
	assert_true(success);
	ask(world, 0x9000, 4, true);
	viommu_passthrough_work(world->passthrough, 1000);
	respond(world, 4, 0xf);
	assert_true(answered(world, 4, &success));
	assert_false(success);
	respond(world, 4, 0); /* twice: ignored */
	respond(world, 77, 0);
	assert_int_equal(viommu_passthrough_work(world->passthrough, 1000), -1);
	assert_int_equal(world_statistics(world).page_requests, 3);
	assert_int_equal(world_statistics(world).page_answers, 2);
}

static void time_out(void **state)
{
	struct world *world = *state;
	bool success;

	ask(world, 0x7000, 3, true);
	assert_int_equal(viommu_passthrough_work(world->passthrough, 1000), 10000);
	assert_int_equal(viommu_passthrough_work(world->passthrough, 10999), 1);
	assert_false(answered(world, 3, &success));
	assert_int_equal(viommu_passthrough_work(world->passthrough, 11000), -1);
	assert_true(answered(world, 3, &success));
	assert_false(success);
	respond(world, 3, 0); /* late */
	assert_int_equal(world_statistics(world).page_rejects, 1);
}

/* A full queue: the device is told to try again; the guest sees the overflow. */
static void queue_full(void **state)
{
	struct world *world = *state;
	unsigned int tries = 0;
	bool success = false;

	for (uint32_t group = 0; group < 200; group++) {
		ask(world, 0x7000, group, true);
		viommu_passthrough_work(world->passthrough, 1000);
		if (answered(world, group, &success))
			tries++;
	}
	/* 4096 / 32 entries, one of them left free. */
	assert_int_equal(tries, 200 - 127);
	assert_true(success);
	assert_true(kit_read(&world->kit, REG_PRS, 4) & PRS_PRO);
}

static void pasid_gone(void **state)
{
	struct world *world = *state;
	bool success;

	ask(world, 0x7000, 3, true);
	viommu_passthrough_work(world->passthrough, 1000);
	world_unbind(world, PASID, DID);
	assert_true(answered(world, 3, &success));
	assert_false(success);
	assert_int_equal(viommu_passthrough_work(world->passthrough, 1000), -1);
}

/* Requests read after the unit was reset, or while the guest has no queue. */
static void guest_gone(void **state)
{
	struct world *world = *state;
	bool success;

	ask(world, 0x7000, 3, true);
	ask(world, 0x7000, 4, true);
	viommu_passthrough_work(world->passthrough, 1000);
	ask(world, 0x7000, 5, true);
	viommu_unit_reset(world->kit.unit);
	viommu_passthrough_work(world->passthrough, 1000);
	for (uint32_t group = 3; group <= 5; group++) {
		assert_true(answered(world, group, &success));
		assert_false(success);
	}
}

static void device_gone(void **state)
{
	struct world *world = *state;
	uint32_t table, faults;
	int fd;

	ask(world, 0x7000, 3, true);
	viommu_passthrough_work(world->passthrough, 1000);
	table = viommu_host_model_attached(world->device, PASID);
	assert_true(table);
	viommu_passthrough_destroy(world->passthrough);
	world->passthrough = NULL;
	assert_int_equal(viommu_host_model_attachments(world->device), 0);
	viommu_host_device_close(world->device);
	/* The queue went with the last device: a new one can be made and taken away. */
	assert_int_equal(viommu_host_faults_create(world->host, &faults, &fd), 0);
	viommu_host_faults_destroy(world->host, faults, fd);
}

/* Without CE.PRE the table has no queue: the hardware answers by itself. */
static void not_enabled(void **state)
{
	struct world *world = *state;
	uint64_t context = kit_context_scalable(&world->kit, KIT_RID);

	kit_put(&world->kit, context, kit_get(&world->kit, context) & ~(uint64_t)CE_PRE);
	assert_true(kit_command(&world->kit, qi_context(3, 0, KIT_RID, 0), 0));
	assert_int_equal(viommu_host_model_page_request(world->device, PASID, 0x7000, VIOMMU_READ, 1, true),
			 -EFAULT);
	kit_put(&world->kit, context, kit_get(&world->kit, context) | CE_PRE);
	assert_true(kit_command(&world->kit, qi_context(3, 0, KIT_RID, 0), 0));
	ask(world, 0x7000, 1, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(there_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(time_out, setup, teardown),
		cmocka_unit_test_setup_teardown(queue_full, setup, teardown),
		cmocka_unit_test_setup_teardown(pasid_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(guest_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(device_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(not_enabled, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
