/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The smallest VMM: guest memory, one VT-d unit, one endpoint behind it, one translated DMA.
 *
 *   cc embed.c $(pkg-config --cflags --libs viommu) && ./a.out
 *
 * A real VMM differs in two places only: it adds its guest's RAM where we add an array, and its guest writes
 * the tables and registers that we write by hand in guest_enables_translation().
 */
#include <viommu/endpoint.h>
#include <viommu/memory.h>
#include <viommu/unit.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE    4096u
#define RAM     (64 * PAGE)
#define RID     0x0030 /* bus 0, device 6, function 0 */
#define PASID   5u
#define IOVA    UINT64_C(0x7f0000003000)
#define PRESENT UINT64_C(1)

/* Where this "guest" keeps its tables, in guest-physical pages. */
enum { ROOT = 1, CONTEXT, DIRECTORY, PASID_TABLE, LEVEL4, LEVEL3, LEVEL2, LEVEL1, DATA };

static uint8_t ram[RAM] __attribute__((aligned(4096)));

static void store(unsigned int page, uint64_t offset, uint64_t value)
{
	memcpy(ram + page * PAGE + offset, &value, sizeof(value));
}

static uint64_t at(unsigned int page)
{
	return (uint64_t)page * PAGE;
}

/* What Linux does at boot, in a dozen stores: scalable mode, one PASID with a first-stage table. */
static int guest_enables_translation(struct viommu_unit *unit)
{
	const uint64_t flags = PRESENT | 2 | 4; /* first stage: present, writable, user (VT-d 9.7) */
	uint64_t status = 0;

	/* VT-d 9.2, 9.4: root entry, then the scalable-mode context entry of device 6. */
	store(ROOT, 0, at(CONTEXT) | PRESENT);
	store(CONTEXT, (RID & 0xff) * 32, at(DIRECTORY) | 1u << 3 /* PASIDE */ | PRESENT);
	/* VT-d 9.5, 9.6: PASID directory and entry: first stage, 4 levels, domain 1, walks snooped. */
	store(DIRECTORY, 0, at(PASID_TABLE) | PRESENT);
	store(PASID_TABLE, PASID * 64, 1u << 6 /* PGTT: first stage */ | PRESENT);
	store(PASID_TABLE, PASID * 64 + 8, 1u << 23 /* PWSNP */ | 1);
	store(PASID_TABLE, PASID * 64 + 16, at(LEVEL4));
	/* Four levels down to one page. */
	store(LEVEL4, (IOVA >> 39 & 511) * 8, at(LEVEL3) | flags);
	store(LEVEL3, (IOVA >> 30 & 511) * 8, at(LEVEL2) | flags);
	store(LEVEL2, (IOVA >> 21 & 511) * 8, at(LEVEL1) | flags);
	store(LEVEL1, (IOVA >> 12 & 511) * 8, at(DATA) | flags);

	viommu_unit_write(unit, 0x20, 8, at(ROOT) | 1u << 10); /* RTADDR, scalable mode */
	viommu_unit_write(unit, 0x18, 4, 1u << 30);            /* GCMD.SRTP */
	viommu_unit_write(unit, 0x18, 4, 1u << 31);            /* GCMD.TE */
	viommu_unit_read(unit, 0x1c, 4, &status);              /* GSTS */
	return status >> 31 ? 0 : -1;
}

/* A real VMM delivers the unit's own interrupts here. */
static void message(void *opaque, struct viommu_endpoint *cause, uint64_t address, uint32_t data)
{
	(void)opaque;
	(void)cause;
	printf("event message: 0x%" PRIx32 " to 0x%" PRIx64 "\n", data, address);
}

static const struct viommu_unit_ops unit_ops = { .size = sizeof(unit_ops), .message = message };

static int dma(struct viommu_endpoint *endpoint)
{
	static const char text[] = "hello through a PASID";
	struct viommu_fault fault = { 0 };
	char back[sizeof(text)] = "";
	size_t done = 0;
	int result;

	result = viommu_dma_write(endpoint, PASID, IOVA, text, sizeof(text), VIOMMU_WRITE, &done,
				  &fault);
	if (result)
		return result;
	result = viommu_dma_read(endpoint, PASID, IOVA, back, sizeof(back), VIOMMU_READ, &done,
				 &fault);
	if (result)
		return result;
	printf("wrote and read back \"%s\" at IOVA 0x%" PRIx64 ", PASID %u\n", back, IOVA, PASID);
	if (memcmp(ram + at(DATA), text, sizeof(text)))
		return -1;
	printf("it is in guest memory at GPA 0x%" PRIx64 "\n", at(DATA));

	/* The page after it is not mapped: the request must be stopped and reported. */
	result = viommu_dma_write(endpoint, PASID, IOVA + PAGE, text, sizeof(text), VIOMMU_WRITE,
				  &done, &fault);
	if (result != VIOMMU_FAULT)
		return -1;
	printf("the next page faults: reason 0x%x, RID 0x%04x, PASID %u, IOVA 0x%" PRIx64 "\n",
	       fault.reason, fault.rid, fault.pasid, fault.iova);
	return 0;
}

int main(void)
{
	struct viommu_unit_options options = { .size = sizeof(options) };
	struct viommu_memory *memory;
	struct viommu_endpoint *endpoint;
	struct viommu_unit *unit;
	int result = 1;

	/* Guest memory: one segment of RAM at guest-physical address 0. */
	if (viommu_memory_create(&memory))
		return 1;
	if (viommu_memory_add_hva(memory, 0, RAM, ram, 0))
		goto out_memory;

	/* The unit, with the defaults, and an endpoint behind it. */
	viommu_unit_options_init(&options);
	if (viommu_unit_create(&options, memory, &unit_ops, NULL, &unit))
		goto out_memory;
	if (viommu_endpoint_create(unit, RID, NULL, NULL, &endpoint))
		goto out_unit;
	viommu_endpoint_set_features(endpoint, VIOMMU_ENDPOINT_PASID);

	if (guest_enables_translation(unit))
		fprintf(stderr, "the unit did not enable translation\n");
	else if (dma(endpoint))
		fprintf(stderr, "the DMA did not do what it should\n");
	else
		result = 0;

	viommu_endpoint_destroy(endpoint);
out_unit:
	viommu_unit_destroy(unit);
out_memory:
	viommu_memory_destroy(memory);
	return result;
}
