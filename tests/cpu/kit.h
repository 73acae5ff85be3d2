/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of the CPU side share: 1 MiB of RAM, a device, and a region that answers what a
 * test tells it to.
 */
#ifndef TESTS_CPU_KIT_H
#define TESTS_CPU_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <viommu/cpu.h>

#include "cpu/fast.h"

#define KIT_PAGE   4096ull
#define KIT_RAM	   0x80000000ull
#define KIT_BYTES  0x100000ull
#define KIT_DEVICE 0x10000000ull
#define KIT_GUARD  0xc0000000ull /* KIT_BYTES behind the region */

/* How the region answers one type. */
struct kit_rule {
	enum viommu_answer_kind kind;
	uint64_t address; /* PASS: of KIT_GUARD's first byte */
	uint8_t *hva;	  /* HOST: of KIT_GUARD's first byte */
	uint32_t granted; /* 0: just the type */
	uint64_t grain;	  /* bytes, aligned, for which one answer holds; 0: a page */
	bool once;
};

struct kit {
	struct viommu_memory *memory;
	struct viommu_map *map;	 /* KIT_GUARD behind `region`, the rest plain */
	struct viommu_map *next; /* where the region passes to */
	struct viommu_region *region;
	struct viommu_cpu_tlb *tlb;
	uint8_t *ram, *other; /* `other`: host memory for HOST answers */
	struct kit_rule rule[3]; /* read, write, execute */
	enum viommu_reaction reaction;
	struct viommu_request asked, blocked; /* the last ones */
	unsigned int translations, reports;
	uint32_t watch; /* types watched everywhere in RAM */
	_Atomic uint64_t device; /* several harts may write it */
	atomic_uint device_reads, device_writes;
	void (*on_device_write)(struct kit *kit, uint64_t value);
	void *opaque;
};

int kit_create(void **state);
/* The same; the kit's own TLB is parked, for tests that bring their harts. */
int kit_create_parked(void **state);
int kit_destroy(void **state);
/* The region passes every type to RAM. */
void kit_pass_all(struct kit *kit);
/* A context with this ASID and WID, privilege class 0, current from now on. */
void kit_use(struct kit *kit, uint32_t asid, uint32_t wid);
void kit_fill(struct kit *kit, uint64_t va, uint64_t pa, uint32_t permissions);
struct viommu_cpu_target kit_access(struct kit *kit, uint64_t va, uint32_t length, uint32_t access);
void *kit_fast(struct kit *kit, uint64_t va, uint32_t access);
struct viommu_cpu_statistics kit_statistics(struct kit *kit);

#endif
