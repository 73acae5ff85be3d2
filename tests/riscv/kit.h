/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the checker tests share: memory behind a map, register access, and one call that asks a
 * checker about an access and lets it react.
 */
#ifndef TESTS_RISCV_KIT_H
#define TESTS_RISCV_KIT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <viommu/riscv.h>

enum { R = VIOMMU_READ, W = VIOMMU_WRITE, X = VIOMMU_EXECUTE, AMO = VIOMMU_ATOMIC, RWX = 7 };
#define RAM   0x80000000ull
#define BYTES 0x100000ull

/* What an access came to. */
enum result { PASS, ERROR, SILENT, STALL };

struct kit {
	struct viommu_memory *memory;
	struct viommu_map *next, *map;
	uint8_t *ram;
	struct viommu_region *region; /* in front of everything in `map` */
	const struct viommu_mmio_ops *ops;
	void *device;
	bool irq;
	unsigned int irq_changes;
	uint64_t changed_first, changed_last;
	unsigned int changes;
	struct viommu_listener *listener;
};

int kit_create(void **state);
int kit_destroy(void **state);
/* Put a checker's region in front; its registers are what the calls below reach. */
void kit_attach(struct kit *kit, struct viommu_region *region, const struct viommu_mmio_ops *ops,
		void *device);
void kit_detach(struct kit *kit);
void kit_irq(void *kit, bool level);

uint32_t get(struct kit *kit, uint64_t offset);
uint64_t get64(struct kit *kit, uint64_t offset);
void put(struct kit *kit, uint64_t offset, uint32_t value);
void put64(struct kit *kit, uint64_t offset, uint64_t value);

struct viommu_target ask(struct kit *kit, uint32_t who, uint64_t address, uint64_t length,
			 uint32_t access);
/* `who` is the WID and the source id at once. */
enum result try(struct kit *kit, uint32_t who, uint64_t address, uint64_t length, uint32_t access);

#endif
