/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See kit.h.
 */
#include <stdlib.h>

#include "kit.h"

static unsigned int type_of(uint32_t access)
{
	return access & VIOMMU_WRITE ? 1 : access & VIOMMU_EXECUTE ? 2 : 0;
}

static void translate(void *opaque, const struct viommu_request *request,
		      struct viommu_answer *answer)
{
	struct kit *kit = opaque;
	const struct kit_rule *rule = &kit->rule[type_of(request->access)];
	uint64_t grain = rule->grain ? rule->grain : KIT_PAGE;

	kit->asked = *request;
	kit->translations++;
	answer->kind = rule->kind;
	answer->granted = rule->granted ? rule->granted : request->access & 7;
	answer->first = request->address & ~(grain - 1);
	answer->last = request->address | (grain - 1);
	answer->once = rule->once;
	answer->map = kit->next;
	answer->address = rule->address + (request->address - KIT_GUARD);
	if (rule->hva)
		answer->hva = rule->hva + (request->address - KIT_GUARD);
}

static enum viommu_reaction blocked(void *opaque, const struct viommu_request *request)
{
	struct kit *kit = opaque;

	kit->blocked = *request;
	kit->reports++;
	return kit->reaction;
}

static const struct viommu_region_ops ops = { sizeof(ops), translate, blocked };

static int device_read(void *opaque, uint64_t offset, void *data, size_t length)
{
	struct kit *kit = opaque;
	uint64_t value = kit->device;

	kit->device_reads++;
	memcpy(data, &value, length);
	return 0;
}

static int device_write(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct kit *kit = opaque;
	uint64_t value = 0;

	kit->device_writes++;
	memcpy(&value, data, length);
	kit->device = value;
	if (kit->on_device_write)
		kit->on_device_write(kit, value);
	return 0;
}

static const struct viommu_mmio_ops device_ops = { sizeof(device_ops), device_read, device_write };

static uint32_t watched(void *opaque, struct viommu_memory *memory, uint64_t gpa)
{
	return ((struct kit *)opaque)->watch;
}

void kit_pass_all(struct kit *kit)
{
	for (int i = 0; i < 3; i++)
		kit->rule[i] = (struct kit_rule){ .kind = VIOMMU_ANSWER_PASS, .address = KIT_RAM };
}

int kit_create(void **state)
{
	struct kit *kit = calloc(1, sizeof(*kit));
	struct viommu_cpu_options options = {
		.size = sizeof(options), .watched = watched, .opaque = kit,
	};

	kit->ram = aligned_alloc(KIT_PAGE, KIT_BYTES);
	kit->other = aligned_alloc(KIT_PAGE, KIT_BYTES);
	memset(kit->ram, 0x11, KIT_BYTES);
	memset(kit->other, 0x22, KIT_BYTES);
	assert_int_equal(viommu_memory_create(&kit->memory), 0);
	assert_int_equal(viommu_memory_add_hva(kit->memory, KIT_RAM, KIT_BYTES, kit->ram, 0), 0);
	assert_int_equal(viommu_memory_add_mmio(kit->memory, KIT_DEVICE, KIT_PAGE, &device_ops, kit,
						0), 0);
	assert_int_equal(viommu_map_create(kit->memory, &kit->map), 0);
	assert_int_equal(viommu_map_create(kit->memory, &kit->next), 0);
	assert_int_equal(viommu_region_create(&ops, kit, &kit->region), 0);
	assert_int_equal(viommu_map_add_region(kit->map, KIT_GUARD, KIT_GUARD + KIT_BYTES - 1,
					       kit->region), 0);
	assert_int_equal(viommu_cpu_tlb_create(kit->map, &options, &kit->tlb), 0);
	viommu_cpu_tlb_enter(kit->tlb);
	kit_pass_all(kit);
	kit_use(kit, 1, 0);
	*state = kit;
	return 0;
}

int kit_create_parked(void **state)
{
	kit_create(state);
	viommu_cpu_tlb_leave(((struct kit *)*state)->tlb);
	return 0;
}

int kit_destroy(void **state)
{
	struct kit *kit = *state;

	viommu_cpu_tlb_leave(kit->tlb);
	viommu_cpu_tlb_destroy(kit->tlb);
	viommu_map_destroy(kit->map);
	viommu_map_destroy(kit->next);
	viommu_region_destroy(kit->region);
	viommu_memory_destroy(kit->memory);
	free(kit->ram);
	free(kit->other);
	free(kit);
	return 0;
}

void kit_use(struct kit *kit, uint32_t asid, uint32_t wid)
{
	struct viommu_cpu_context context = {
		.asid = asid, .attributes = { .wid = wid, .source = 7 },
	};

	viommu_cpu_tlb_switch(kit->tlb, &context);
}

void kit_fill(struct kit *kit, uint64_t va, uint64_t pa, uint32_t permissions)
{
	viommu_cpu_tlb_fill(kit->tlb, &(struct viommu_cpu_fill){
					      .va = va,
					      .pa = pa,
					      .page_size = KIT_PAGE,
					      .permissions = permissions,
				      });
}

struct viommu_cpu_target kit_access(struct kit *kit, uint64_t va, uint32_t length, uint32_t access)
{
	struct viommu_cpu_target target;

	viommu_cpu_tlb_access(kit->tlb, va, length, access, &target);
	return target;
}

void *kit_fast(struct kit *kit, uint64_t va, uint32_t access)
{
	return viommu_fast_lookup(viommu_cpu_tlb_fast(kit->tlb), va, 8,
				  (enum viommu_fast_type)type_of(access));
}

struct viommu_cpu_statistics kit_statistics(struct kit *kit)
{
	struct viommu_cpu_statistics statistics = { .size = sizeof(statistics) };

	assert_int_equal(viommu_cpu_tlb_statistics(kit->tlb, &statistics), 0);
	return statistics;
}
