/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See kit.h.
 */
#include <stdlib.h>

#include "kit.h"

int kit_create(void **state)
{
	struct kit *kit = calloc(1, sizeof(*kit));

	kit->ram = aligned_alloc(4096, BYTES);
	memset(kit->ram, 0, BYTES);
	assert_int_equal(viommu_memory_create(&kit->memory), 0);
	assert_int_equal(viommu_memory_add_hva(kit->memory, RAM, BYTES, kit->ram, 0), 0);
	assert_int_equal(viommu_map_create(kit->memory, &kit->next), 0);
	assert_int_equal(viommu_map_create(kit->memory, &kit->map), 0);
	*state = kit;
	return 0;
}

int kit_destroy(void **state)
{
	struct kit *kit = *state;

	viommu_map_destroy(kit->map);
	viommu_map_destroy(kit->next);
	viommu_memory_destroy(kit->memory);
	free(kit->ram);
	free(kit);
	return 0;
}

static void changed(void *opaque, struct viommu_region *region, uint64_t first, uint64_t last)
{
	struct kit *kit = opaque;

	kit->changes++;
	kit->changed_first = first;
	kit->changed_last = last;
}

void kit_attach(struct kit *kit, struct viommu_region *region, const struct viommu_mmio_ops *ops,
		void *device)
{
	kit->region = region;
	kit->ops = ops;
	kit->device = device;
	assert_int_equal(viommu_map_add_region(kit->map, 0, UINT64_MAX, region), 0);
	assert_int_equal(viommu_region_listen(region, changed, kit, &kit->listener), 0);
}

void kit_detach(struct kit *kit)
{
	viommu_region_unlisten(kit->region, kit->listener);
	assert_int_equal(viommu_map_remove_region(kit->map, 0), 0);
}

void kit_irq(void *opaque, bool level)
{
	struct kit *kit = opaque;

	kit->irq = level;
	kit->irq_changes++;
}

uint32_t get(struct kit *kit, uint64_t offset)
{
	uint32_t value = 0xdeadbeef;

	assert_int_equal(kit->ops->read(kit->device, offset, &value, 4), 0);
	return value;
}

uint64_t get64(struct kit *kit, uint64_t offset)
{
	uint64_t value = 0xdeadbeefdeadbeef;

	assert_int_equal(kit->ops->read(kit->device, offset, &value, 8), 0);
	return value;
}

void put(struct kit *kit, uint64_t offset, uint32_t value)
{
	assert_int_equal(kit->ops->write(kit->device, offset, &value, 4), 0);
}

void put64(struct kit *kit, uint64_t offset, uint64_t value)
{
	assert_int_equal(kit->ops->write(kit->device, offset, &value, 8), 0);
}

static struct viommu_request request_of(uint32_t who, uint64_t address, uint64_t length,
					uint32_t access)
{
	return (struct viommu_request){
		.address = address,
		.last = address + length - 1,
		.access = access,
		.attributes = { .wid = who, .source = who },
	};
}

struct viommu_target ask(struct kit *kit, uint32_t who, uint64_t address, uint64_t length,
			 uint32_t access)
{
	struct viommu_request request = request_of(who, address, length, access);
	struct viommu_target target;

	assert_int_equal(viommu_map_translate(kit->map, &request, &target), 0);
	return target;
}

enum result try(struct kit *kit, uint32_t who, uint64_t address, uint64_t length, uint32_t access)
{
	struct viommu_request request = request_of(who, address, length, access);
	struct viommu_target target = ask(kit, who, address, length, access);

	if (target.kind == VIOMMU_TARGET_STALLED)
		return STALL;
	/* Blocked by nobody: let through, to where nothing is. */
	if (target.kind != VIOMMU_TARGET_BLOCKED || !target.region)
		return PASS;
	assert_ptr_equal(target.region, kit->region);
	switch (viommu_target_react(&target, &request)) {
	case VIOMMU_REACTION_ERROR:
		return ERROR;
	case VIOMMU_REACTION_SILENT:
		return SILENT;
	default:
		fail_msg("retry without a change");
		return STALL;
	}
}
