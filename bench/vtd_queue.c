/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What invalidation costs, and whether that depends on how much is cached: every descriptor type
 * over sizes of IOTLB and numbers of PASIDs; the cycle of a strict-mode packet; a million PASIDs.
 *
 * The floor of a descriptor is a copy of its 32 bytes out of the queue and a switch on its type.
 */
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "vtd.h"

enum { BATCH = 500 };

struct scene {
	struct kit kit;
	uint32_t entries; /* IOTLB entries filled before each repetition */
	uint32_t pasids;
	uint64_t root;
	uint64_t qw0, qw1;
	bool vary; /* a page-selective address moves on */
};

struct type {
	const char *name;
	uint64_t qw0, qw1;
	bool vary;
};

static void fill(void *context)
{
	struct scene *scene = context;
	struct viommu_translation t;

	for (uint64_t i = 0; i < scene->entries; i++)
		viommu_translate(scene->kit.endpoint, 1, i << 12, VIOMMU_READ, &t);
}

/* Descriptors in batches as large as the queue allows, without waits: their own cost. */
static void descriptors(void *context, uint64_t count)
{
	struct scene *scene = context;
	struct kit *kit = &scene->kit;
	uint64_t page = 0;

	while (count) {
		uint64_t batch = count < BATCH ? count : BATCH;

		for (uint64_t i = 0; i < batch; i++)
			kit_submit(kit, scene->qw0,
				   scene->vary ? scene->qw1 + (page++ % 65536 << 12) : scene->qw1);
		kit_ring(kit);
		count -= batch;
	}
}

/* Only the guest's half: writing descriptors into the queue. Taken off the measurement. */
static void submission(void *context, uint64_t count)
{
	struct scene *scene = context;
	uint64_t page = 0;

	for (uint64_t i = 0; i < count; i++)
		kit_submit(&scene->kit, scene->qw0,
			   scene->vary ? scene->qw1 + (page++ % 65536 << 12) : scene->qw1);
}

static void dispatch_floor(void *context, uint64_t count)
{
	struct scene *scene = context;
	const uint64_t *queue = (const uint64_t *)(scene->kit.ram + scene->kit.queue);
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		const uint64_t *at = queue + (i & 511) * 4;
		uint64_t word[4] = { at[0], at[1], at[2], at[3] };

		bench_use(word[0]);
		switch (word[0] & 15) {
		case QI_IOTLB:
			sum += word[1];
			break;
		case QI_PIOTLB:
			sum ^= word[1] | word[2];
			break;
		default:
			sum += word[3];
			break;
		}
		bench_use(sum);
	}
}

/*
 * PASIDs 1..n of one endpoint share a page table; each is made present in the PASID cache by one
 * access.
 */
static void make(struct scene *scene, uint32_t entries, uint32_t pasids)
{
	struct viommu_unit_options options;
	struct viommu_translation t;

	viommu_unit_options_init(&options);
	options.iotlb_entries = entries ? entries * 2 : 64;
	/* Every PASID there is: none is set aside for requests without one. */
	options.rid_pasid = false;
	kit_create_sized(&scene->kit, &options, 256ull << 20);
	kit_start(&scene->kit, TTM_SCALABLE);
	scene->entries = entries;
	scene->pasids = pasids;
	scene->root = kit_page(&scene->kit);
	for (uint64_t i = 0; i < (entries ? entries : 1); i++)
		kit_map_first(&scene->kit, scene->root, 4, i << 12, 1, URW);
	for (uint32_t i = 0; i < pasids; i++)
		kit_set_pasid_entry(&scene->kit, KIT_RID, i, PE_P | PE_FIRST,
				    (2 + i % 60000) | PE1_PWSNP, scene->root);
	for (uint32_t i = 0; i < pasids; i++)
		if (viommu_translate(scene->kit.endpoint, i, 0, VIOMMU_READ, &t)) {
			fprintf(stderr, "bench: PASID %u does not translate: 0x%x\n", i,
				t.fault.reason);
			exit(1);
		}
}

static const struct type types[] = {
	{ "context, global", QI_CONTEXT | 1 << 4, 0, false },
	{ "context, device", QI_CONTEXT | 3 << 4 | (uint64_t)KIT_RID << 32, 0, false },
	{ "IOTLB, global", QI_IOTLB | 1 << 4, 0, false },
	{ "IOTLB, domain", QI_IOTLB | 2 << 4 | 3 << 16, 0, false },
	{ "IOTLB, page", QI_IOTLB | 3 << 4 | 3 << 16, 0, true },
	{ "PASID cache, domain", QI_PASID_CACHE | 3 << 16, 0, false },
	{ "PASID cache, PASID", QI_PASID_CACHE | 1 << 4 | 3 << 16 | 1ull << 32, 0, false },
	{ "PASID cache, global", QI_PASID_CACHE | 3 << 4, 0, false },
	{ "PIOTLB, PASID", QI_PIOTLB | 2 << 4 | 3 << 16 | 1ull << 32, 0, false },
	{ "PIOTLB, page", QI_PIOTLB | 3 << 4 | 3 << 16 | 1ull << 32, 0, true },
	{ "device TLB", QI_DEVICE_TLB | (uint64_t)KIT_RID << 32, 0x7ffffffffffff001, false },
	{ "PASID device TLB", QI_PASID_DEVICE_TLB | (uint64_t)KIT_RID << 16 | 1ull << 32,
	  0x7ffffffffffff800, false },
	{ "page response", QI_PAGE_RESPONSE | 1 << 4 | (uint64_t)KIT_RID << 16 | 1ull << 32, 0,
	  false },
	{ "wait, no status", QI_WAIT | QI_WAIT_FN, 0, false },
};

static void measure_type(struct bench *bench, struct scene *scene, const struct type *type,
			 const char *size_name, uint32_t size)
{
	struct viommu_statistics before, after;
	struct bench_time submit;
	struct bench_row row = { .group = "descriptor",
				 .name = type->name,
				 .size_name = size_name,
				 .size = size,
				 .floor_name = "copy and switch",
				 .limit = 15 };

	scene->qw0 = type->qw0;
	scene->qw1 = type->qw1;
	scene->vary = type->vary;
	row.time = bench_measure_fixed(bench, BATCH * 8, descriptors, fill, scene);
	submit = bench_measure_fixed(bench, BATCH * 8, submission, NULL, scene);
	row.floor = bench_measure(bench, dispatch_floor, NULL, scene);
	row.time.median -= submit.least;
	row.time.least -= submit.least;
	scene->kit.tail = (uint32_t)kit_read(&scene->kit, REG_IQT, 8);
	before = bench_statistics(&scene->kit);
	descriptors(scene, BATCH);
	after = bench_statistics(&scene->kit);
	row.counters[0].name = "visited";
	row.counters[0].value = (double)(after.entries_visited - before.entries_visited) / BATCH;
	row.counters[1].name = "executed";
	row.counters[1].value = (double)(after.descriptors - before.descriptors) / BATCH;
	row.counters[2].name = "drains";
	row.counters[2].value = (double)(after.drains - before.drains) / BATCH;
	bench_print(bench, &row);
}

void bench_queue(struct bench *bench)
{
	static const uint32_t entries[] = { 0, 1024, 65536 };
	static const uint32_t pasids[] = { 1, 1000, 100000, 1 << 20 };
	static struct scene scene;

	if (!bench_wanted(bench, "descriptor"))
		return;
	for (int i = 0; i < 3; i++) {
		make(&scene, entries[i], 4);
		for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
			measure_type(bench, &scene, &types[t], "IOTLB entries", entries[i]);
		kit_destroy(&scene.kit);
	}
	for (int i = 0; i < (bench->quick ? 2 : 4); i++) {
		make(&scene, 1024, pasids[i]);
		for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
			measure_type(bench, &scene, &types[t], "PASIDs", pasids[i]);
		kit_destroy(&scene.kit);
	}
}

/*
 * A packet in strict mode: map (a store), DMA (a miss), unmap (a store, page invalidation, wait).
 */
static void packets(void *context, uint64_t count)
{
	struct scene *scene = context;
	struct kit *kit = &scene->kit;
	uint64_t leaf = kit_first_leaf(kit, scene->root, 4, 0x5000, 1);
	struct viommu_translation t;

	for (uint64_t i = 0; i < count; i++) {
		kit_put(kit, leaf, 0x6000 | URW);
		if (viommu_translate(kit->endpoint, 1, 0x5000, VIOMMU_WRITE, &t))
			abort();
		kit_put(kit, leaf, 0);
		kit_submit(kit, qi_piotlb(3, 3, 1), 0x5000);
		if (!kit_sync(kit))
			abort();
	}
}

static void drains(void *context, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		viommu_access_drain();
}

void bench_packet(struct bench *bench)
{
	static struct scene scene;
	struct bench_row row = { .group = "packet",
				 .name = "strict mode: miss, invalidate, wait",
				 .floor_name = "one drain" };

	if (!bench_wanted(bench, "packet"))
		return;
	make(&scene, 1024, 4);
	row.floor = bench_measure(bench, drains, NULL, &scene);
	row.time = bench_measure(bench, packets, NULL, &scene);
	bench_print(bench, &row);
	kit_destroy(&scene.kit);
}

static double resident(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long total = 0, pages = 0;

	if (file) {
		if (fscanf(file, "%ld %ld", &total, &pages) != 2)
			pages = 0;
		fclose(file);
	}
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* First use of each of 2^20 PASIDs of one endpoint: the context is fetched, checked and kept. */
void bench_pasids(struct bench *bench)
{
	static struct scene scene;
	uint32_t count = bench->quick ? 1 << 14 : 1 << 20;
	struct viommu_unit_options options;
	struct viommu_translation t;
	double begin, memory;
	struct bench_row row = { .group = "pasids",
				 .name = "first use of a PASID",
				 .size_name = "PASIDs",
				 .size = count,
				 .limit = 200 };

	if (!bench_wanted(bench, "pasids"))
		return;
	viommu_unit_options_init(&options);
	/* Every PASID there is: none is set aside for requests without one. */
	options.rid_pasid = false;
	kit_create_sized(&scene.kit, &options, 256ull << 20);
	kit_start(&scene.kit, TTM_SCALABLE);
	scene.root = kit_page(&scene.kit);
	kit_map_first(&scene.kit, scene.root, 4, 0, 1, URW);
	for (uint32_t i = 0; i < count; i++)
		kit_set_pasid_entry(&scene.kit, KIT_RID, i, PE_P | PE_FIRST,
				    (2 + i % 60000) | PE1_PWSNP, scene.root);
	/* Room for the IOTLB's own entries is there from the start; touch it before weighing. */
	for (uint32_t i = 0; i < 65536; i++)
		viommu_translate_quiet(scene.kit.endpoint, 0, (uint64_t)i << 12, VIOMMU_READ, &t);
	memory = resident();
	begin = bench_cpu_now();
	for (uint32_t i = 0; i < count; i++)
		if (viommu_translate(scene.kit.endpoint, i, 0, VIOMMU_READ, &t))
			abort();
	row.time.median = row.time.least = (bench_cpu_now() - begin) / count;
	row.counters[0].name = "bytes-each";
	row.counters[0].value = (resident() - memory) / count;
	row.counters[1].name = "cached";
	row.counters[1].value = (double)bench_statistics(&scene.kit).pasids;
	bench_print(bench, &row);

	row = (struct bench_row){
		.group = "pasids", .name = "all again, cached", .size_name = "PASIDs", .size = count
	};
	begin = bench_cpu_now();
	for (uint32_t i = 0; i < count; i++)
		viommu_translate(scene.kit.endpoint, i, 0, VIOMMU_READ, &t);
	row.time.median = row.time.least = (bench_cpu_now() - begin) / count;
	bench_print(bench, &row);

	row = (struct bench_row){ .group = "pasids",
				  .name = "global PASID-cache invalidation, whole",
				  .size_name = "PASIDs",
				  .size = count,
				  .limit = 20e6 };
	begin = bench_cpu_now();
	if (!kit_command(&scene.kit, qi_pasid_cache(3, 0, 0), 0))
		abort();
	row.time.median = row.time.least = bench_cpu_now() - begin;
	bench_print(bench, &row);
	kit_destroy(&scene.kit);
}
