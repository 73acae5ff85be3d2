/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What guest memory costs: look-ups, access sections, grace periods, dirty bits and their merging.
 *
 * Each row is the median of several runs and stands beside a floor measured in the same run: what the memory of this machine
 * delivers, or the bare operation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <viommu/memory.h>

#include "memory/memory_internal.h"

enum { RUNS = 15 };

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Median nanoseconds of `work`, with `prepare` before each run outside the clock. */
static double median(void (*prepare)(void), void (*work)(void))
{
	double times[RUNS];

	for (unsigned int i = 0; i < RUNS; i++) {
		double begin;

		if (prepare)
			prepare();
		begin = now();
		work();
		times[i] = now() - begin;
	}
	qsort(times, RUNS, sizeof(times[0]), compare);
	return times[RUNS / 2];
}

static struct viommu_memory *memory;
static const uint64_t two_gib = UINT64_C(2) << 30, one_tib = UINT64_C(1) << 40;
static uint64_t *bitmap, *source;
static bool json, first_row = true;
enum { LOOPS = 1000000 };

static void row(const char *name, double value, const char *unit, double floor, double limit)
{
	if (json)
		printf("%s\n  {\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\", \"floor\": %.3f, \"limit\": %.3f}",
		       first_row ? "[" : ",", name, value, unit, floor, limit);
	else
		printf("%-44s %10.2f %-3s  floor %9.2f  limit %9.2f  %s\n", name, value, unit, floor,
		       limit, !limit || value <= limit ? "ok" : "SLOW");
	first_row = false;
}

static void all_dirty(void)
{
	viommu_memory_mark_dirty(memory, 0, two_gib);
	memset(bitmap, 0, two_gib / 4096 / 8);
}

static void query_two_gib(void)
{
	viommu_memory_dirty_query(memory, 0, two_gib, bitmap, false);
}

static void fill_source(void)
{
	memset(source, 0xff, two_gib / 4096 / 8);
}

static void merge_two_gib(void)
{
	memory_bitmap_merge(bitmap, 0, source, 0, two_gib / 4096);
}

static void merge_unaligned(void)
{
	memory_bitmap_merge(bitmap, 5, source, 0, two_gib / 4096);
}

static void merge_floor(void)
{
	memcpy(bitmap, source, two_gib / 4096 / 8);
}

static void query_one_tib(void)
{
	viommu_memory_dirty_query(memory, 0, one_tib, bitmap, false);
}

static volatile uint64_t sink;

static void scan_floor(void)
{
	uint64_t any = 0;

	for (uint64_t i = 0; i < one_tib / 4096 / 64; i++)
		any |= source[i];
	sink = any;
}

static void look_ups(void)
{
	uint64_t sum = 0;

	grace_enter();
	for (uint64_t i = 0; i < LOOPS; i++)
		sum += (uintptr_t)memory_ram(memory, i % two_gib, 8, false);
	grace_exit();
	sink = sum;
}

static void sections(void)
{
	for (uint64_t i = 0; i < LOOPS; i++) {
		grace_enter();
		grace_exit();
	}
}

static void writes(void)
{
	uint64_t value = 0;

	for (uint64_t i = 0; i < LOOPS; i++)
		viommu_memory_write(memory, i % 512 * 4096, &value, 8);
}

static void waits(void)
{
	for (unsigned int i = 0; i < 1000; i++)
		grace_wait();
}

int main(int argc, char **argv)
{
	void *ram = mmap(NULL, one_tib, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	json = argc > 1 && !strcmp(argv[1], "--json");
	bitmap = calloc(one_tib / 4096 / 64 + 1, 8);
	source = calloc(one_tib / 4096 / 64 + 1, 8);
	if (ram == MAP_FAILED || !bitmap || !source || viommu_memory_create(&memory) ||
	    viommu_memory_add_hva(memory, 0, one_tib, ram, 0)) {
		fprintf(stderr, "bench_memory: cannot set up 1 TiB of address space\n");
		return 1;
	}
	memset(source, 0xff, one_tib / 4096 / 8);
	memset(source, 0, one_tib / 4096 / 8);
	row("look-up of RAM", median(NULL, look_ups) / LOOPS, "ns", 0, 4);
	row("access section", median(NULL, sections) / LOOPS, "ns", 0, 4);
	row("8-byte write, tracking off", median(NULL, writes) / LOOPS, "ns", 0, 0);
	row("grace period, no other thread", median(NULL, waits) / 1000, "ns", 0, 0);
	viommu_memory_dirty_start(memory, 12);
	row("8-byte write, tracking on", median(NULL, writes) / LOOPS, "ns", 0, 0);
	row("query and clear, 2 GiB all dirty", median(all_dirty, query_two_gib) / 1e3, "us",
	    median(fill_source, merge_floor) / 1e3, 12);
	row("merge a host bitmap, 2 GiB all dirty", median(fill_source, merge_two_gib) / 1e3, "us",
	    median(fill_source, merge_floor) / 1e3, 12);
	row("merge it 5 bits off", median(fill_source, merge_unaligned) / 1e3, "us",
	    median(fill_source, merge_floor) / 1e3, 12);
	row("scan 1 TiB clean", median(NULL, query_one_tib) / 1e6, "ms",
	    median(NULL, scan_floor) / 1e6, 1.5);
	if (json)
		printf("\n]\n");
	viommu_memory_destroy(memory);
	munmap(ram, one_tib);
	free(bitmap);
	free(source);
	return 0;
}
