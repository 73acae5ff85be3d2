/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the guest does with its passed-through function: a driver that maps, lets the device write, unmaps and maps elsewhere, for
 * ever, behind a unit in legacy mode. Small mappings come and go in a domain in use; a large one goes with its
 * whole domain. Everything the driver knows is in guest memory, so it moves with that.
 */
#ifndef EXAMPLES_VMM_LOAD_H
#define EXAMPLES_VMM_LOAD_H

#include <viommu/host.h>
#include <viommu/unit.h>

enum {
	LOAD_AT = 18 << 20,      /* driver and tables, up to LOAD_POOL_AT */
	LOAD_POOL_AT = 20 << 20, /* pages that become targets in turn */
	LOAD_END = 32 << 20,
	LOAD_WINDOWS = 8,
	LOAD_RID = 1 << 3,
};

/* IOVAs the device writes to: window `n` of LOAD_WINDOWS of 64 KiB, and a large one of 4 MiB. */
#define LOAD_SMALL(n) (UINT64_C(0x10000000) + (n) * UINT64_C(0x20000))
#define LOAD_LARGE    UINT64_C(0x40000000)

struct load {
	uint8_t *ram;
	struct viommu_unit *unit;
	struct viommu_host_device *device; /* the doorbell */
	char complaint[64];                /* why load_step() failed */
};

/* Enable the unit and map everything once. */
int load_boot(struct load *load);
/* Every LOAD_WINDOWS-th step drops the domain. 0, or -EIO with `complaint`. */
int load_step(struct load *load);
uint64_t load_steps(const struct load *load);
/* How often the device still reached what had been unmapped, because the host would not let go of it. */
uint64_t load_stuck(const struct load *load);
/* The guest's memory that the driver, not the device, writes in a step: [LOAD_AT, this). */
uint64_t load_end_of_tables(const struct load *load);

#endif
