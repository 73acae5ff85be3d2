/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See world.h.
 */
#include "world.h"
#include "memory/alloc.h"

static void on_log(void *opaque, const char *text)
{
	struct world *world = opaque;

	world->lines++;
	strncpy(world->line, text, sizeof(world->line) - 1);
}

static void on_blocked(void *opaque, uint32_t pasid, int error)
{
	struct world *world = opaque;

	assert_true(error < 0);
	world->blocks++;
	world->blocked_pasid = pasid;
}

static const struct viommu_passthrough_ops ops = { sizeof(ops), on_log, on_blocked };

void world_options(struct world *world)
{
	memset(world, 0, sizeof(*world));
	viommu_unit_options_init(&world->options);
	world->options.caching_mode = true;
	world->options.aw_bits = 48;
	world->options.five_level = false;
	world->host_options.size = sizeof(world->host_options);
	world->device_options = (struct viommu_host_model_device){
		.size = sizeof(world->device_options), .pasid_bits = 20, .ats = true,
	};
	world->passthrough_options.size = sizeof(world->passthrough_options);
}

void world_create_bare(struct world *world)
{
	kit_create(&world->kit, &world->options);
	viommu_endpoint_destroy(world->kit.endpoint);
	world->kit.endpoint = NULL;
	assert_int_equal(viommu_host_open_model(&world->host_options, &world->host), 0);
}

int world_plug(struct world *world, uint16_t rid, struct viommu_host_device **device,
	       struct viommu_passthrough **passthrough)
{
	int ret;

	assert_int_equal(viommu_host_device_open_model(world->host, &world->device_options, device), 0);
	if (world->fail_after)
		viommu_alloc_fail_nth(world->fail_after - 1);
	ret = viommu_passthrough_create(world->kit.unit, rid, *device, &world->passthrough_options, &ops,
					world, passthrough, world->message, sizeof(world->message));
	if (ret)
		viommu_host_device_close(*device);
	return ret;
}

void world_create(struct world *world)
{
	int ret;

	world_create_bare(world);
	ret = world_plug(world, KIT_RID, &world->device, &world->passthrough);
	if (ret)
		fail_msg("plug: %d, %s", ret, world->message);
}

void world_destroy(struct world *world)
{
	if (world->passthrough) {
		viommu_passthrough_destroy(world->passthrough);
		assert_int_equal(viommu_host_model_attachments(world->device), 0);
		viommu_host_device_close(world->device);
		assert_int_equal(viommu_host_model_tables(world->host), 0);
	}
	viommu_host_close(world->host);
	kit_destroy(&world->kit);
}

int world_read(struct world *world, uint32_t pasid, uint64_t iova)
{
	uint8_t byte;
	int ret = viommu_host_model_dma(world->device, pasid, iova, &byte, 1, false);

	return ret ? ret : byte;
}

int world_write(struct world *world, uint32_t pasid, uint64_t iova, uint8_t value)
{
	return viommu_host_model_dma(world->device, pasid, iova, &value, 1, true);
}

struct viommu_passthrough_statistics world_statistics(struct world *world)
{
	struct viommu_passthrough_statistics statistics = { .size = sizeof(statistics) };

	assert_int_equal(viommu_passthrough_statistics(world->passthrough, &statistics), 0);
	return statistics;
}

void world_bind(struct world *world, uint32_t pasid, uint16_t did, uint64_t qw0, uint64_t root)
{
	/* Passing through, AW says nothing; Linux fills it in all the same. */
	if ((qw0 & PE_PASS) == PE_PASS)
		qw0 |= 2 << PE_AW_SHIFT;
	kit_set_pasid_entry(&world->kit, KIT_RID, pasid, PE_P | qw0, did | PE1_PWSNP, root);
	assert_true(kit_command(&world->kit, qi_pasid_cache(1, did, pasid), 0));
}

void world_unbind(struct world *world, uint32_t pasid, uint16_t did)
{
	kit_set_pasid_entry(&world->kit, KIT_RID, pasid, 0, 0, 0);
	assert_true(kit_command(&world->kit, qi_pasid_cache(1, did, pasid), 0));
}

uint64_t world_first(struct world *world, uint64_t gpa)
{
	uint64_t root = kit_page(&world->kit);

	kit_map_first(&world->kit, root, 4, 0x1000, 1, gpa | FS_P | FS_RW | FS_US);
	return root;
}
