/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a translation costs: hits, misses of every kind, two threads at once.
 *
 * The floor of a hit is a bare direct-mapped table with one compare; the floor of a miss is a chain
 * of dependent loads through the same tables, as many as the walk needs and nothing else.
 */
#include <pthread.h>
#include <stdlib.h>

#include "vtd.h"

enum { FLOOR_ENTRIES = 65536, PAGES = 32768 };

struct floor_entry {
	uint64_t key, value;
};

struct scene {
	struct kit kit;
	struct viommu_endpoint *endpoint;
	uint32_t pasids; /* a power of two; used round-robin */
	uint32_t pages;	 /* a power of two */
	uint32_t shift;	 /* log2 of a page */
	uint64_t root;	 /* for the floor */
	uint64_t second;
	struct floor_entry *table;
	uint64_t failures;
	uint64_t stride; /* between the pages of two requests: 1, or odd and large */
	uint64_t zero;	 /* always 0, but the compiler does not know: makes one look-up wait for
			  another */
};

/* ---- floors ---- */

static void lookup_floor(void *context, uint64_t count)
{
	struct scene *scene = context;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t key =
			(i * scene->stride + (sum & scene->zero)) & (scene->pages - 1);
		const struct floor_entry *entry = &scene->table[key & (FLOOR_ENTRIES - 1)];

		if (entry->key == key)
			sum += entry->value;
		bench_use(sum);
	}
}

/* The loads of a walk: each address comes from the word before. */
static uint64_t raw_walk(const struct kit *kit, uint64_t table, int levels, int leaf, uint64_t iova)
{
	uint64_t word = table;

	for (int level = levels; level >= leaf; level--)
		word = *(const uint64_t *)(kit->ram + (word & 0xffffffffff000) +
					   (iova >> (12 + 9 * (level - 1)) & 511) * 8);
	return word;
}

static void walk_floor(void *context, uint64_t count)
{
	struct scene *scene = context;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t iova = ((i + (sum & scene->zero)) & (scene->pages - 1)) << scene->shift;

		sum += raw_walk(&scene->kit, scene->root, 4, scene->shift == 21 ? 2 : 1, iova);
		bench_use(sum);
	}
}

static void nested_floor(void *context, uint64_t count)
{
	struct scene *scene = context;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t iova = ((i + (sum & scene->zero)) & (scene->pages - 1)) << scene->shift;
		uint64_t at = scene->root;

		for (int level = 4; level >= 1; level--) {
			raw_walk(&scene->kit, scene->second, 4, 1, at);
			at = *(const uint64_t *)(scene->kit.ram + (at & 0xffffffffff000) +
						 (iova >> (12 + 9 * (level - 1)) & 511) * 8);
		}
		sum += raw_walk(&scene->kit, scene->second, 4, 1, at & 0xffffffffff000);
		bench_use(sum);
	}
}

/* ---- the work ---- */

static void translate(void *context, uint64_t count)
{
	struct scene *scene = context;
	struct viommu_translation t = { 0 };
	uint64_t failures = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint32_t pasid = 1 + ((uint32_t)i & (scene->pasids - 1));
		uint64_t page =
			(i * scene->stride + (t.gpa & scene->zero)) & (scene->pages - 1);
		uint64_t iova = page << scene->shift;

		failures += viommu_translate(scene->endpoint, pasid, iova, VIOMMU_READ, &t) != 0;
		bench_use(t.gpa);
	}
	scene->failures += failures;
}

/* ---- scenes ---- */

static void start(struct scene *scene, uint32_t iotlb_entries)
{
	struct viommu_unit_options options;

	scene->stride = 1;
	viommu_unit_options_init(&options);
	options.iotlb_entries = iotlb_entries;
	kit_create_sized(&scene->kit, &options, 512ull << 20);
	kit_start(&scene->kit, TTM_SCALABLE);
	scene->endpoint = scene->kit.endpoint;
}

static void map_first(struct scene *scene, uint64_t root)
{
	for (uint64_t i = 0; i < scene->pages; i++)
		kit_map_first(&scene->kit, root, 4, i << scene->shift, scene->shift == 21 ? 2 : 1,
			      ((i << scene->shift) & 0x3fffffff) | URW);
	for (int level = 4; level > 1; level--)
		for (uint64_t i = 0; i < scene->pages; i++) {
			uint64_t at = kit_first_leaf(&scene->kit, root, 4, i << scene->shift,
						     scene->shift == 21 && level == 2 ? 3 : level);

			kit_put(&scene->kit, at, kit_get(&scene->kit, at) | FS_A);
		}
}

/*
 * Every PASID gets a PE; they share one first-stage table, which keeps the memory of 4k of them
 * small.
 */
static void make_first(struct scene *scene)
{
	scene->root = kit_page(&scene->kit);
	map_first(scene, scene->root);
	for (uint32_t i = 0; i < scene->pasids; i++)
		kit_set_pasid_entry(&scene->kit, KIT_RID, 1 + i, PE_P | PE_FIRST,
				    (uint64_t)(2 + i) | PE1_PWSNP, scene->root);
}

static void make_nested(struct scene *scene)
{
	uint64_t end;

	scene->root = kit_setup_nested(&scene->kit, 1, 4, 4, &scene->second);
	map_first(scene, scene->root);
	end = scene->kit.next_page + (256 << 12);
	if (end < (uint64_t)scene->pages << 12)
		end = (uint64_t)scene->pages << 12;
	for (uint64_t gpa = 0; gpa < end; gpa += 0x1000)
		kit_map_second(&scene->kit, scene->second, 4, gpa, 1, gpa | SRW);
}

static double per(uint64_t now, uint64_t before, uint64_t count)
{
	return count ? (double)(now - before) / (double)count : 0;
}

static void print(struct bench *bench, struct scene *scene, struct bench_row *row,
		  void (*floor)(void *, uint64_t))
{
	struct viommu_statistics before, after;
	uint64_t n;

	scene->failures = 0;
	translate(scene, scene->pages * 4ull); /* warm */
	row->floor = bench_measure(bench, floor, NULL, scene);
	row->time = bench_measure(bench, translate, NULL, scene);
	before = bench_statistics(&scene->kit);
	translate(scene, 100000);
	after = bench_statistics(&scene->kit);
	n = after.iotlb_misses - before.iotlb_misses;
	row->counters[0].name = "misses";
	row->counters[0].value = per(after.iotlb_misses, before.iotlb_misses, 100000);
	row->counters[1].name = "reads-per-miss";
	row->counters[1].value = per(after.table_reads, before.table_reads, n);
	if (scene->failures) {
		fprintf(stderr, "bench: %llu translations failed\n",
			(unsigned long long)scene->failures);
		exit(1);
	}
	bench_print(bench, row);
}

static void hits(struct bench *bench)
{
	static const uint32_t pages[] = { 1, 64, 1024, 16384 };
	static const uint32_t pasids[] = { 1, 64, 4096 };
	struct scene scene = { 0 };

	scene.table = calloc(FLOOR_ENTRIES, sizeof(*scene.table));
	for (uint64_t i = 0; i < FLOOR_ENTRIES; i++)
		scene.table[i].key = i;
	for (int i = 0; i < 8; i++) {
		struct bench_row row = { .group = "translate-hit",
					 .name = i < 4 ? "one PASID, 4 KiB pages"
						       : "the same pages in disorder",
					 .size_name = "pages",
					 .size = pages[i % 4],
					 .floor_name = "raw lookup",
					 .limit = i < 2 ? 4 : 0 };

		/* No stride goes anywhere among a few. */
		if (i >= 4 && pages[i % 4] < 1024)
			continue;
		scene.pasids = 1;
		scene.pages = pages[i % 4];
		scene.shift = 12;
		start(&scene, 65536);
		scene.stride = i < 4 ? 1 : 0x9e3779b1;
		make_first(&scene);
		print(bench, &scene, &row, lookup_floor);
		kit_destroy(&scene.kit);
	}
	for (int i = 0; i < 3; i++) {
		struct bench_row row = { .group = "translate-hit",
					 .name = "one page each",
					 .size_name = "PASIDs",
					 .size = pasids[i],
					 .floor_name = "raw lookup" };

		scene.pasids = pasids[i];
		scene.pages = 1;
		start(&scene, 65536);
		make_first(&scene);
		translate(&scene, pasids[i]);
		print(bench, &scene, &row, lookup_floor);
		kit_destroy(&scene.kit);
	}
	free(scene.table);
}

/*
 * An IOTLB of 64 entries, and a front of 16384, under 32768 pages: every request misses; tables and
 * PEs are hot.
 */
static void misses(struct bench *bench)
{
	static const uint32_t pasids[] = { 1, 16, 256, 4096 };
	struct scene scene = { .pages = PAGES };

	for (int size = 0; size < 2; size++)
		for (int i = 0; i < 4; i++) {
			struct bench_row row = {
				.group = "translate-miss",
				.name = size ? "first stage, 2 MiB" : "first stage, 4 KiB",
				.size_name = "PASIDs",
				.size = pasids[i],
				.floor_name = "raw walk",
				.limit = i ? 0 : 60,
			};

			scene.pasids = pasids[i];
			scene.shift = size ? 21 : 12;
			start(&scene, 64);
			make_first(&scene);
			print(bench, &scene, &row, walk_floor);
			kit_destroy(&scene.kit);
		}
	{
		struct bench_row row = { .group = "translate-miss",
					 .name = "nested, 4 KiB over 4 KiB",
					 .size_name = "PASIDs",
					 .size = 1,
					 .floor_name = "raw nested walk" };

		scene.pasids = 1;
		scene.shift = 12;
		start(&scene, 64);
		make_nested(&scene);
		print(bench, &scene, &row, nested_floor);
		kit_destroy(&scene.kit);
	}
}

static void bench_translate(struct bench *bench)
{
	if (bench_wanted(bench, "translate-hit"))
		hits(bench);
	if (bench_wanted(bench, "translate-miss"))
		misses(bench);
}

/* ---- two threads ---- */

struct job {
	struct scene *scene;
	void (*work)(void *, uint64_t);
	uint64_t count;
	pthread_barrier_t *barrier;
	double begin, took;
};

static void *run_job(void *context)
{
	struct job *job = context;

	pthread_barrier_wait(job->barrier);
	job->begin = bench_cpu_now();
	job->work(job->scene, job->count);
	job->took = bench_cpu_now() - job->begin;
	return NULL;
}

/*
 * ns per operation of all threads together; the least of some tries. Each thread's own processor
 * time, of the slowest one: what threads do to each other through shared cache lines shows, what
 * other programs do to them does not.
 */
static double together(struct scene *scenes, int threads, void (*work)(void *, uint64_t),
		       uint64_t count)
{
	double least = 1e30;

	for (int try = 0; try < 15; try++) {
		pthread_barrier_t barrier;
		pthread_t thread[2];
		struct job job[2];
		double longest = 0;

		pthread_barrier_init(&barrier, NULL, (unsigned int)threads);
		for (int i = 0; i < threads; i++) {
			job[i] = (struct job){ &scenes[i], work, count, &barrier, 0, 0 };
			pthread_create(&thread[i], NULL, run_job, &job[i]);
		}
		for (int i = 0; i < threads; i++) {
			pthread_join(thread[i], NULL);
			longest = job[i].took > longest ? job[i].took : longest;
		}
		pthread_barrier_destroy(&barrier);
		if (longest / (double)count / threads < least)
			least = longest / (double)count / threads;
	}
	return least;
}

static void bench_threads(struct bench *bench)
{
	static struct scene scenes[2];
	uint64_t count = bench->quick ? 200000 : 4000000;
	double one, two, floor_one, floor_two;
	struct bench_row row = { .group = "threads", .floor_name = "raw lookup, two threads" };

	if (!bench_wanted(bench, "threads"))
		return;
	scenes[0].pasids = 1;
	scenes[0].pages = 64;
	scenes[0].shift = 12;
	scenes[0].table = calloc(FLOOR_ENTRIES, sizeof(struct floor_entry));
	for (uint64_t i = 0; i < FLOOR_ENTRIES; i++)
		scenes[0].table[i].key = i;
	start(&scenes[0], 65536);
	make_first(&scenes[0]);
	/* Each thread its own pages, one endpoint and PASID for both. */
	scenes[1] = scenes[0];
	one = together(scenes, 1, translate, count);
	two = together(scenes, 2, translate, count);
	floor_one = together(scenes, 1, lookup_floor, count);
	floor_two = together(scenes, 2, lookup_floor, count);
	row.name = "hits of one endpoint, two threads";
	row.time = (struct bench_time){ two, two };
	row.floor = (struct bench_time){ floor_two, floor_two };
	row.counters[0].name = "speed-up";
	row.counters[0].value = one / two;
	row.counters[1].name = "speed-up-of-floor";
	row.counters[1].value = floor_one / floor_two;
	row.counters[2].name = "one-thread-ns";
	row.counters[2].value = one;
	bench_print(bench, &row);
	free(scenes[0].table);
	kit_destroy(&scenes[0].kit);
}

void bench_vtd(struct bench *bench)
{
	bench->cpu_time = true;
	bench_translate(bench);
	bench_threads(bench);
	bench_queue(bench);
	bench_packet(bench);
	bench_pasids(bench);
	bench_dma(bench);
}
