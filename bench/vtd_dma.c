/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies through a PASID, 64 bytes to 2 MiB, against memcpy over the same pages: a read of the
 * source and a write of the destination would be two copies, so the row reads guest memory into a
 * buffer, and the floor does.
 */
#include <stdlib.h>
#include <string.h>

#include "vtd.h"

enum { AREA = 4 << 20 };

struct scene {
	struct kit kit;
	unsigned char *buffer;
	size_t size;
	bool write;
	uint64_t start; /* of the area: 0 with 4 KiB pages, AREA with 2 MiB pages over the same
			   memory */
};

static void dma(void *context, uint64_t count)
{
	struct scene *scene = context;
	uint64_t at = 0;

	for (uint64_t i = 0; i < count; i++) {
		size_t done;
		int result = scene->write ? viommu_dma_write(scene->kit.endpoint, 1,
							     scene->start + at, scene->buffer,
							     scene->size, VIOMMU_WRITE, &done, NULL)
					  : viommu_dma_read(scene->kit.endpoint, 1,
							    scene->start + at, scene->buffer,
							    scene->size, VIOMMU_READ, &done, NULL);

		if (result)
			abort();
		at = (at + scene->size) % AREA;
	}
}

static void copy(void *context, uint64_t count)
{
	struct scene *scene = context;
	uint64_t at = 0;

	for (uint64_t i = 0; i < count; i++) {
		if (scene->write)
			memcpy(scene->kit.ram + at, scene->buffer, scene->size);
		else
			memcpy(scene->buffer, scene->kit.ram + at, scene->size);
		bench_use(scene->buffer[0]);
		at = (at + scene->size) % AREA;
	}
}

static void measure(struct bench *bench, struct scene *scene, int kind, size_t size)
{
	static const char *const names[] = { "read, 4 KiB pages", "write, 4 KiB pages",
					     "read, 2 MiB pages", "write, 2 MiB pages" };
	struct bench_row row = { .group = "dma",
				 .name = names[kind],
				 .size_name = "bytes",
				 .size = (double)size,
				 .floor_name = "memcpy" };

	scene->size = size;
	scene->write = kind & 1;
	scene->start = kind & 2 ? AREA : 0;
	row.floor = bench_measure(bench, copy, NULL, scene);
	row.time = bench_measure(bench, dma, NULL, scene);
	row.counters[0].name = "GB/s";
	row.counters[0].value = (double)size / row.time.median;
	bench_print(bench, &row);
}

void bench_dma(struct bench *bench)
{
	static const size_t sizes[] = {
		64, 256, 1024, 4096, 16384, 65536, 262144, 1 << 20, 2 << 20
	};
	static struct scene scene;
	uint64_t root;

	if (!bench_wanted(bench, "dma"))
		return;
	kit_create(&scene.kit, NULL);
	kit_start(&scene.kit, TTM_SCALABLE);
	root = kit_setup_first(&scene.kit, 1, 4);
	for (uint64_t i = 0; i < AREA; i += 0x1000)
		kit_map_first(&scene.kit, root, 4, i, 1, i | URW);
	memset(scene.kit.ram, 1, AREA);
	scene.buffer = malloc(2 << 20);
	memset(scene.buffer, 2, 2 << 20);
	for (uint64_t i = 0; i < AREA; i += 2 << 20)
		kit_map_first(&scene.kit, root, 4, AREA + i, 2, i | URW);
	for (int kind = 0; kind < 4; kind++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			measure(bench, &scene, kind, sizes[i]);
	free(scene.buffer);
	kit_destroy(&scene.kit);
}
