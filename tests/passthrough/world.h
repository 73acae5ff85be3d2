/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest (tests/vtd/kit.h) with a device of the model passed through to it at KIT_RID.
 */
#ifndef TESTS_PASSTHROUGH_WORLD_H
#define TESTS_PASSTHROUGH_WORLD_H

#include "../memory/common.h"
#include "../vtd/kit.h"
#include <viommu/passthrough.h>

struct world {
	struct kit kit;
	struct viommu_host *host;
	struct viommu_host_device *device;
	struct viommu_passthrough *passthrough;
	struct viommu_unit_options options;
	struct viommu_host_model_options host_options;
	struct viommu_host_model_device device_options;
	struct viommu_passthrough_options passthrough_options;
	unsigned int lines;
	char line[300];          /* the latest */
	unsigned int blocks;
	uint32_t blocked_pasid;
	char message[300];
	long fail_after;         /* arm the allocator's seam when the device is plugged; 0: no, else n + 1 */
};

/* Options for a unit that takes host devices; change what is to differ, then world_create. */
void world_options(struct world *world);
void world_create(struct world *world);
/* Only memory and unit; the device is for the test to add. */
void world_create_bare(struct world *world);
int world_plug(struct world *world, uint16_t rid, struct viommu_host_device **device,
	       struct viommu_passthrough **passthrough);
void world_destroy(struct world *world);

/* One byte of DMA by the hardware: what it reads, -EFAULT when it faults. */
int world_read(struct world *world, uint32_t pasid, uint64_t iova);
int world_write(struct world *world, uint32_t pasid, uint64_t iova, uint8_t value);

struct viommu_passthrough_statistics world_statistics(struct world *world);
static inline uint64_t world_calls(struct world *world, enum viommu_host_call call)
{
	return viommu_host_model_calls(world->host, call);
}

/* A guest kernel's way: write the PE, invalidate the PASID cache, wait. */
void world_bind(struct world *world, uint32_t pasid, uint16_t did, uint64_t qw0, uint64_t root);
void world_unbind(struct world *world, uint32_t pasid, uint16_t did);
/* A first-stage table that maps 0x1000 to the data page at `gpa`; returns its root. */
uint64_t world_first(struct world *world, uint64_t gpa);

#endif
