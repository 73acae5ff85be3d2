/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the two checker fuzzers share: input bytes, a hart with physical addresses in front of
 * checkers, and the property: what the TLB answers is what a walk of the chain answers now.
 */
#ifndef FUZZ_CHECKER_FUZZ_H
#define FUZZ_CHECKER_FUZZ_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <viommu/cpu.h>
#include <viommu/riscv.h>

#include "cpu/fast.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_RAM   0x80000000ull
#define FUZZ_BYTES 0x20000ull

struct fuzz {
	const uint8_t *data;
	size_t left;
	struct viommu_memory *memory;
	struct viommu_map *plain, *front;
	struct viommu_cpu_tlb *tlb;
	uint8_t *ram;
	uint32_t steps;
};

static inline uint8_t fuzz_byte(struct fuzz *fuzz)
{
	if (!fuzz->left)
		return 0;
	fuzz->left--;
	return *fuzz->data++;
}

static inline uint64_t fuzz_number(struct fuzz *fuzz, unsigned int bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | fuzz_byte(fuzz);
	return value;
}

static inline bool fuzz_more(struct fuzz *fuzz)
{
	return fuzz->left && fuzz->steps++ < 2000;
}

static inline void fuzz_create(struct fuzz *fuzz, const uint8_t *data, size_t size)
{
	struct viommu_cpu_options options = {
		.size = sizeof(options), .minimum = 16, .maximum = 32,
	};

	*fuzz = (struct fuzz){ .data = data, .left = size };
	fuzz->ram = aligned_alloc(4096, FUZZ_BYTES);
	memset(fuzz->ram, 0, FUZZ_BYTES);
	if (viommu_memory_create(&fuzz->memory) ||
	    viommu_memory_add_hva(fuzz->memory, FUZZ_RAM, FUZZ_BYTES, fuzz->ram, 0) ||
	    viommu_map_create(fuzz->memory, &fuzz->plain) ||
	    viommu_map_create(fuzz->memory, &fuzz->front) ||
	    viommu_cpu_tlb_create(fuzz->front, &options, &fuzz->tlb))
		abort();
	viommu_cpu_tlb_enter(fuzz->tlb);
}

static inline void fuzz_guard(struct fuzz *fuzz, uint64_t start, uint64_t length,
			      struct viommu_region *region)
{
	if (viommu_map_add_region(fuzz->front, start, start + length - 1, region))
		abort();
}

static inline void fuzz_destroy(struct fuzz *fuzz)
{
	viommu_cpu_tlb_leave(fuzz->tlb);
	viommu_cpu_tlb_destroy(fuzz->tlb);
	viommu_map_destroy(fuzz->front);
	viommu_map_destroy(fuzz->plain);
	viommu_memory_destroy(fuzz->memory);
	free(fuzz->ram);
}

/* A read or write of 1 to 8 bytes anywhere in the first `range` bytes and a little beyond. */
static inline void fuzz_register(struct fuzz *fuzz, const struct viommu_mmio_ops *ops, void *device,
				 uint32_t range)
{
	uint8_t how = fuzz_byte(fuzz);
	size_t length = 1u << (how & 3);
	uint64_t offset = fuzz_number(fuzz, 3) % (range + 16);
	uint64_t value;

	if (how & 4)
		offset &= ~(uint64_t)(length - 1);
	if (how & 8) {
		ops->read(device, offset, &value, length);
		return;
	}
	/* Mostly addresses that matter, in the checkers' units. */
	value = how & 16 ? (FUZZ_RAM + fuzz_number(fuzz, 3) % (FUZZ_BYTES + 4096)) >> 2
			 : fuzz_number(fuzz, (unsigned int)length);
	ops->write(device, offset, &value, length);
}

/* One access both ways, kept answers against a fresh walk. */
static inline void fuzz_access(struct fuzz *fuzz)
{
	static const uint32_t types[] = {
		VIOMMU_READ, VIOMMU_WRITE, VIOMMU_EXECUTE, VIOMMU_ATOMIC,
	};
	uint8_t how = fuzz_byte(fuzz);
	struct viommu_cpu_context context = {
		.physical = true,
		.attributes = { .wid = how & 7, .source = how >> 3 & 7 },
	};
	uint32_t access = types[how >> 6], length = 1u << (fuzz_byte(fuzz) & 3);
	uint64_t address = FUZZ_RAM + fuzz_number(fuzz, 3) % (FUZZ_BYTES - 8);
	struct viommu_request request = { .access = access, .attributes = context.attributes };
	struct viommu_cpu_target got;
	struct viommu_target want;

	if ((address & 4095) + length > 4096)
		address &= ~4095ull;
	request.address = address;
	request.last = address + length - 1;
	if (viommu_cpu_tlb_pending(fuzz->tlb))
		viommu_cpu_tlb_poll(fuzz->tlb);
	viommu_cpu_tlb_switch(fuzz->tlb, &context);
	viommu_cpu_tlb_access(fuzz->tlb, address, length, access, &got);
	if (viommu_map_translate(fuzz->front, &request, &want))
		abort();
	if ((got.kind == VIOMMU_CPU_RAM) != (want.kind == VIOMMU_TARGET_RAM) ||
	    (got.kind == VIOMMU_CPU_STALLED) != (want.kind == VIOMMU_TARGET_STALLED) ||
	    (got.kind == VIOMMU_CPU_RAM && got.hva != want.hva))
		abort();
}

#endif
