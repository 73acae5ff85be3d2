/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Structures with a size (types.h, docs/errors.md), all of those the library fills and those a caller
 * fills, by one rule: as much as both know; of the rest, zeros are written and zeros are wanted.
 */
#include <viommu/cpu.h>
#include <viommu/migration.h>
#include <viommu/region.h>

#include "world.h"

/* Room for any of them, and a tail. */
struct room {
	uint32_t size;
	uint8_t rest[1020];
};

struct things {
	struct world world;
	struct viommu_tracker *tracker;
	struct viommu_map *map;
	struct viommu_cpu_tlb *tlb;
};

static int fill_unit(struct things *t, void *to)
{
	return viommu_unit_statistics(t->world.kit.unit, to);
}

static int fill_endpoint(struct things *t, void *to)
{
	return viommu_endpoint_statistics(viommu_passthrough_endpoint(t->world.passthrough), to);
}

static int fill_option(struct things *t, void *to)
{
	return viommu_unit_option_info(0, to);
}

static int fill_passthrough(struct things *t, void *to)
{
	return viommu_passthrough_statistics(t->world.passthrough, to);
}

static int fill_host(struct things *t, void *to)
{
	return viommu_host_device_info(t->world.device, to);
}

static int fill_tracker(struct things *t, void *to)
{
	return viommu_tracker_statistics(t->tracker, to);
}

static int fill_cpu(struct things *t, void *to)
{
	return viommu_cpu_tlb_statistics(t->tlb, to);
}

static const struct {
	const char *name;
	size_t size;
	int (*fill)(struct things *t, void *to);
} filled[] = {
	{ "unit statistics", sizeof(struct viommu_statistics), fill_unit },
	{ "endpoint statistics", sizeof(struct viommu_statistics), fill_endpoint },
	{ "option info", sizeof(struct viommu_option_info), fill_option },
	{ "passthrough statistics", sizeof(struct viommu_passthrough_statistics), fill_passthrough },
	{ "host info", sizeof(struct viommu_host_info), fill_host },
	{ "tracker statistics", sizeof(struct viommu_tracker_statistics), fill_tracker },
	{ "CPU TLB statistics", sizeof(struct viommu_cpu_statistics), fill_cpu },
};

static int setup(void **state)
{
	static struct things t;

	memset(&t, 0, sizeof(t));
	world_options(&t.world);
	world_create(&t.world);
	assert_int_equal(viommu_tracker_create(t.world.kit.memory, &t.tracker), 0);
	assert_int_equal(viommu_map_create(t.world.kit.memory, &t.map), 0);
	assert_int_equal(viommu_cpu_tlb_create(t.map, NULL, &t.tlb), 0);
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	struct things *t = *state;

	viommu_cpu_tlb_destroy(t->tlb);
	viommu_map_destroy(t->map);
	viommu_tracker_destroy(t->tracker);
	world_destroy(&t->world);
	return 0;
}

/* One size: nothing beyond it is touched, all of it is written. */
static void expect_filled(struct things *t, size_t which, uint32_t size, const struct room *whole)
{
	struct room room;
	size_t known = filled[which].size < size ? filled[which].size : size;

	memset(&room, 0xcc, sizeof(room));
	room.size = size;
	if (filled[which].fill(t, &room))
		fail_msg("%s: size %u is refused", filled[which].name, size);
	if (room.size != size)
		fail_msg("%s: size %u became %u", filled[which].name, size, room.size);
	for (size_t i = sizeof(size); i < sizeof(room); i++) {
		uint8_t wanted = i < known ? ((const uint8_t *)whole)[i] : i < size ? 0 : 0xcc;

		if (((uint8_t *)&room)[i] != wanted)
			fail_msg("%s: size %u: byte %zu is %02x instead of %02x", filled[which].name, size,
				 i, ((uint8_t *)&room)[i], wanted);
	}
}

static void structures_the_library_fills(void **state)
{
	struct things *t = *state;

	for (size_t i = 0; i < sizeof(filled) / sizeof(filled[0]); i++) {
		struct room whole;

		memset(&whole, 0, sizeof(whole));
		whole.size = (uint32_t)filled[i].size;
		assert_int_equal(filled[i].fill(t, &whole), 0);
		for (uint32_t size = 4; size <= filled[i].size + 64; size++)
			expect_filled(t, i, size, &whole);
		for (whole.size = 0; whole.size < 4; whole.size++)
			assert_int_equal(filled[i].fill(t, &whole), -EINVAL);
	}
}

/* ---- what a caller fills ---- */

static int take_options(struct things *t, const void *from)
{
	return viommu_unit_options_check(from, NULL, 0);
}

static int take_unit_ops(struct things *t, const void *from)
{
	struct viommu_unit_options options;
	struct viommu_unit *unit;
	int error;

	viommu_unit_options_init(&options);
	error = viommu_unit_create(&options, t->world.kit.memory, from, NULL, &unit);
	if (!error)
		viommu_unit_destroy(unit);
	return error;
}

static int take_endpoint_ops(struct things *t, const void *from)
{
	struct viommu_endpoint *endpoint;
	int error = viommu_endpoint_create(t->world.kit.unit, 0x99, from, NULL, &endpoint);

	if (!error)
		viommu_endpoint_destroy(endpoint);
	return error;
}

static int take_mmio_ops(struct things *t, const void *from)
{
	int error = viommu_memory_add_mmio(t->world.kit.memory, BIT(40), 4096, from, NULL, 0);

	if (!error)
		assert_int_equal(viommu_memory_remove(t->world.kit.memory, BIT(40), 4096), 1);
	return error;
}

static int take_device(struct things *t, const void *from)
{
	uint32_t index;
	int error = viommu_tracker_add_device(t->tracker, from, &index);

	if (!error)
		assert_int_equal(viommu_tracker_remove_device(t->tracker, index), 0);
	return error;
}

static int member_saves(void *opaque, struct viommu_stream_writer *writer, uint32_t instance)
{
	return 0;
}

static int member_loads(void *opaque, struct viommu_stream_reader *reader, uint32_t instance, char *message,
			size_t length)
{
	return 0;
}

static int take_member(struct things *t, const void *from)
{
	struct viommu_state *members;
	int error;

	assert_int_equal(viommu_state_create(&members), 0);
	error = viommu_state_add(members, from);
	viommu_state_destroy(members);
	return error;
}

static int take_model(struct things *t, const void *from)
{
	struct viommu_host *host;
	int error = viommu_host_open_model(from, &host);

	if (!error)
		viommu_host_close(host);
	return error;
}

static int take_model_device(struct things *t, const void *from)
{
	struct viommu_host_device *device;
	int error = viommu_host_device_open_model(t->world.host, from, &device);

	if (!error)
		viommu_host_device_close(device);
	return error;
}

static int take_first_stage(struct things *t, const void *from)
{
	struct viommu_host_space *parent;
	uint32_t table;
	int error;

	assert_int_equal(viommu_host_space_create(t->world.device, VIOMMU_SPACE_NEST_PARENT | VIOMMU_SPACE_PASID,
						  &parent),
			 0);
	error = viommu_host_nested_create(t->world.device, parent, from, &table);
	if (!error)
		assert_int_equal(viommu_host_nested_destroy(t->world.host, table), 0);
	assert_int_equal(viommu_host_space_destroy(parent), 0);
	return error;
}

static int mmio_read(void *opaque, uint64_t offset, void *data, size_t length)
{
	return 0;
}

static int mmio_write(void *opaque, uint64_t offset, const void *data, size_t length)
{
	return 0;
}

static void structures_a_caller_fills(void **state)
{
	static const struct viommu_unit_ops unit_ops = { 0 };
	static const struct viommu_endpoint_ops endpoint_ops = { 0 };
	static const struct viommu_mmio_ops mmio_ops = { .read = mmio_read, .write = mmio_write };
	const struct viommu_device_info device = { .name = "some" };
	const struct viommu_state_member member = { .name = "some", .save = member_saves, .load = member_loads };
	static const struct viommu_host_model_options model = { 0 };
	static const struct viommu_host_model_device model_device = { 0 };
	const struct viommu_host_first_stage first_stage = { .root = 0x1000, .width = 48, .pasid = true };
	struct viommu_unit_options options;
	struct things *t = *state;
	const struct {
		const char *name;
		const void *good;
		size_t size;
		bool whole; /* an older caller would leave out what is needed */
		int (*take)(struct things *t, const void *from);
	} taken[] = {
		{ "unit options", &options, sizeof(options), true, take_options },
		{ "unit ops", &unit_ops, sizeof(unit_ops), false, take_unit_ops },
		{ "endpoint ops", &endpoint_ops, sizeof(endpoint_ops), false, take_endpoint_ops },
		{ "MMIO ops", &mmio_ops, sizeof(mmio_ops), true, take_mmio_ops },
		{ "device info", &device, sizeof(device), false, take_device },
		{ "member", &member, sizeof(member), true, take_member },
		{ "model options", &model, sizeof(model), false, take_model },
		{ "model device", &model_device, sizeof(model_device), false, take_model_device },
		{ "first stage", &first_stage, sizeof(first_stage), true, take_first_stage },
	};

	viommu_unit_options_init(&options);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		struct room room = { 0 };

		memcpy(&room, taken[i].good, taken[i].size);
		for (room.size = 0; room.size < 4; room.size++)
			assert_int_equal(taken[i].take(t, &room), -EINVAL);
		room.size = (uint32_t)taken[i].size;
		if (taken[i].take(t, &room))
			fail_msg("%s: refused", taken[i].name);
		/* A newer caller that asks for nothing new. */
		room.size += 40;
		if (taken[i].take(t, &room))
			fail_msg("%s: a tail of zeros is refused", taken[i].name);
		for (size_t tail = 0; tail < 40; tail++) {
			uint8_t *byte = (uint8_t *)&room + taken[i].size + tail;

			*byte = 1;
			if (taken[i].take(t, &room) != -E2BIG)
				fail_msg("%s: byte %zu of the tail is let pass", taken[i].name, tail);
			*byte = 0;
		}
		room.size = 4;
		assert_int_equal(taken[i].take(t, &room), taken[i].whole ? -EINVAL : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(structures_the_library_fills, setup, teardown),
		cmocka_unit_test_setup_teardown(structures_a_caller_fills, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
