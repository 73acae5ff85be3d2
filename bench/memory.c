/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What guest memory costs: look-ups, access sections, grace periods, dirty bits and their merging.
 *
 * The floor of copying work is what this machine's memory does with the same bytes; that of an access section is the two stores it
 * cannot do without.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"
#include "memory/memory_internal.h"

static struct viommu_memory *memory;
static const uint64_t two_gib = UINT64_C(2) << 30, one_tib = UINT64_C(1) << 40;
static uint64_t *bitmap, *source;
static _Atomic uint64_t word;
static uint8_t *ram;

static void look_up(void *context, uint64_t count)
{
	grace_enter();
	for (uint64_t i = 0; i < count; i++)
		bench_use(memory_ram(memory, i * 4096 % two_gib, 8, false));
	grace_exit();
}

static void add_offset(void *context, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		bench_use(ram + i * 4096 % two_gib);
}

static void section(void *context, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		grace_enter();
		grace_exit();
	}
}

static void two_stores(void *context, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		atomic_store_explicit(&word, 1, memory_order_relaxed);
		atomic_signal_fence(memory_order_seq_cst);
		atomic_store_explicit(&word, 0, memory_order_release);
	}
}

static void write_word(void *context, uint64_t count)
{
	uint64_t value = 0;

	for (uint64_t i = 0; i < count; i++)
		viommu_memory_write(memory, i % 512 * 4096, &value, 8);
}

static void store_word(void *context, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		__atomic_store_n((uint64_t *)(ram + i % 512 * 4096), 0, __ATOMIC_RELEASE);
}

static void wait_grace(void *context, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		grace_wait();
}

static void all_dirty(void *context)
{
	viommu_memory_mark_dirty(memory, 0, two_gib);
	memset(bitmap, 0, two_gib / 4096 / 8);
}

static void query_two_gib(void *context, uint64_t count)
{
	viommu_memory_dirty_query(memory, 0, two_gib, bitmap, false);
}

static void fill_source(void *context)
{
	memset(source, 0xff, two_gib / 4096 / 8);
}

static void merge(void *context, uint64_t count)
{
	memory_bitmap_merge(bitmap, *(uint64_t *)context, source, 0, two_gib / 4096);
}

static void copy(void *context, uint64_t count)
{
	memcpy(bitmap, source, two_gib / 4096 / 8);
	bench_use(bitmap);
}

static void query_one_tib(void *context, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		viommu_memory_dirty_query(memory, 0, one_tib, bitmap, false);
}

static void scan(void *context, uint64_t count)
{
	uint64_t any = 0;

	for (uint64_t i = 0; i < one_tib / 4096 / 64; i++)
		any |= source[i];
	bench_use(any);
}

static void sections(struct bench *bench)
{
	struct bench_row row = { .group = "memory", .limit = 4 };

	row.name = "look-up of RAM";
	row.time = bench_measure(bench, look_up, NULL, NULL);
	row.floor = bench_measure(bench, add_offset, NULL, NULL);
	row.floor_name = "adding an offset";
	bench_print(bench, &row);
	row.name = "access section";
	row.time = bench_measure(bench, section, NULL, NULL);
	row.floor = bench_measure(bench, two_stores, NULL, NULL);
	row.floor_name = "two stores";
	bench_print(bench, &row);
	row = (struct bench_row){ .group = "memory", .name = "grace period, nobody else" };
	row.time = bench_measure(bench, wait_grace, NULL, NULL);
	bench_print(bench, &row);
}

static void write_row(struct bench *bench, const char *name)
{
	struct bench_row row = { .group = "memory", .name = name, .floor_name = "a store" };

	row.time = bench_measure(bench, write_word, NULL, NULL);
	row.floor = bench_measure(bench, store_word, NULL, NULL);
	bench_print(bench, &row);
}

static void dirty(struct bench *bench)
{
	struct bench_row row = { .group = "dirty", .limit = 12e3, .floor_name = "copying the bitmap" };
	uint64_t aligned = 0, odd = 5;

	row.floor = bench_measure_fixed(bench, 1, copy, fill_source, NULL);
	row.name = "query and clear 2 GiB, all dirty";
	row.time = bench_measure_fixed(bench, 1, query_two_gib, all_dirty, NULL);
	bench_print(bench, &row);
	row.name = "merge a host's bitmap of 2 GiB, all dirty";
	row.time = bench_measure_fixed(bench, 1, merge, fill_source, &aligned);
	bench_print(bench, &row);
	row.name = "the same, 5 bits off";
	row.time = bench_measure_fixed(bench, 1, merge, fill_source, &odd);
	bench_print(bench, &row);
	row.name = "scan 1 TiB, clean";
	row.limit = 1.5e6;
	row.time = bench_measure(bench, query_one_tib, NULL, NULL);
	row.floor = bench_measure_fixed(bench, 1, scan, NULL, NULL);
	row.floor_name = "reading its bitmap";
	bench_print(bench, &row);
}

int main(int argc, char **argv)
{
	struct bench bench;

	if (!bench_begin(&bench, argc, argv))
		return 2;
	ram = mmap(NULL, one_tib, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bitmap = calloc(one_tib / 4096 / 64 + 1, 8);
	source = calloc(one_tib / 4096 / 64 + 1, 8);
	if (ram == MAP_FAILED || !bitmap || !source || viommu_memory_create(&memory) ||
	    viommu_memory_add_hva(memory, 0, one_tib, ram, 0)) {
		fprintf(stderr, "bench_memory: cannot set up 1 TiB of address space\n");
		return 1;
	}
	/* Touched, so that the floor reads memory and not the one zero page. */
	memset(source, 0xff, one_tib / 4096 / 8);
	memset(source, 0, one_tib / 4096 / 8);
	if (bench_wanted(&bench, "memory")) {
		sections(&bench);
		write_row(&bench, "8-byte write");
	}
	if (viommu_memory_dirty_start(memory, 12))
		return 1;
	if (bench_wanted(&bench, "memory"))
		write_row(&bench, "8-byte write, tracked");
	if (bench_wanted(&bench, "dirty"))
		dirty(&bench);
	viommu_memory_destroy(memory);
	munmap(ram, one_tib);
	free(bitmap);
	free(source);
	return bench_end(&bench);
}
