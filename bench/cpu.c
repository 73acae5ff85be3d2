/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an access of a hart costs: hits, strides, refills, flushes, first touches and world
 * switches.
 *
 * RAM is seen twice in the map: as it is, and again, GUARDED higher, through a region that answers
 * page by page, so that no span helps. The floor of most rows is a load through a host pointer or
 * plain RAM in the same TLB; the naive row walks the page tables and the chain for every access, as
 * an emulator without a TLB would.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <viommu/cpu.h>
#include <viommu/riscv.h>

#include "bench.h"
#include "cpu/fast.h"

#define RAM	0x80000000ull
#define BYTES	(64ull << 20)
#define GUARDED (1ull << 40)
#define TABLES	(RAM + (48ull << 20)) /* page tables: the last 16 MiB */
#define VIRTUAL 0x40000000ull
enum { PAGES = 4096, PAGE = 4096 };

struct cpu {
	struct viommu_memory *memory;
	struct viommu_map *map, *plain;
	struct viommu_region *region;
	struct viommu_cpu_tlb *tlb;
	struct viommu_cpu_context user;
	uint8_t *ram;
	uint64_t root;
	uint64_t next_table;
	uint64_t base;	   /* virtual address of the pages worked on */
	uint64_t physical; /* where `base` leads to */
	uint64_t sum;
};

static void pass(void *opaque, const struct viommu_request *request, struct viommu_answer *answer)
{
	struct cpu *cpu = opaque;

	answer->kind = VIOMMU_ANSWER_PASS;
	answer->map = cpu->plain;
	answer->address = request->address - GUARDED;
	answer->granted = VIOMMU_READ | VIOMMU_WRITE | VIOMMU_EXECUTE;
	answer->first = request->address & ~0xfffull;
	answer->last = request->address | 0xfff;
}

static enum viommu_reaction never(void *opaque, const struct viommu_request *request)
{
	return VIOMMU_REACTION_ERROR;
}

static const struct viommu_region_ops ops = { sizeof(ops), pass, never };

static uint64_t *table_word(struct cpu *cpu, uint64_t address)
{
	return (uint64_t *)(cpu->ram + (address - RAM));
}

/* Sv39, 4 KiB leaves. */
static void map_page(struct cpu *cpu, uint64_t va, uint64_t pa)
{
	uint64_t table = cpu->root;

	for (int shift = 30; shift > 12; shift -= 9) {
		uint64_t *pte = table_word(cpu, table + 8 * ((va >> shift) & 511));

		if (!*pte) {
			*pte = (cpu->next_table >> 12) << 10 | 1;
			cpu->next_table += PAGE;
		}
		table = (*pte >> 10) << 12;
	}
	*table_word(cpu, table + 8 * ((va >> 12) & 511)) = (pa >> 12) << 10 | 0xdf;
}

static void fail(const char *what)
{
	fprintf(stderr, "bench_cpu: %s failed\n", what);
	exit(1);
}

/* The hart's page walk, each word through the TLB's walker. */
static void walk(struct cpu *cpu, uint64_t va, struct viommu_cpu_fill *fill)
{
	uint64_t table = cpu->root, pte = 0;
	struct viommu_cpu_target target;

	for (int shift = 30; shift >= 12; shift -= 9) {
		uint64_t at = table + 8 * ((va >> shift) & 511);
		const uint64_t *word = viommu_fast_walk(viommu_cpu_tlb_fast(cpu->tlb),
							&cpu->user.attributes, at, 8);

		if (!word) {
			viommu_cpu_tlb_walk(cpu->tlb, &cpu->user.attributes, at, 8, VIOMMU_READ,
					    &target);
			if (target.kind != VIOMMU_CPU_RAM)
				fail("walk");
			word = target.hva;
		}
		pte = __atomic_load_n(word, __ATOMIC_RELAXED);
		table = (pte >> 10) << 12;
	}
	*fill = (struct viommu_cpu_fill){
		.va = va, .pa = table, .page_size = PAGE, .permissions = pte >> 1 & 7,
	};
}

static void *slow(struct cpu *cpu, uint64_t va)
{
	struct viommu_cpu_target target;
	struct viommu_cpu_fill fill;

	viommu_cpu_tlb_access(cpu->tlb, va, 8, VIOMMU_READ, &target);
	if (target.kind == VIOMMU_CPU_MISS) {
		walk(cpu, va, &fill);
		viommu_cpu_tlb_fill_access(cpu->tlb, &fill, 8, VIOMMU_READ, &target);
	}
	if (target.kind != VIOMMU_CPU_RAM)
		fail("access");
	return target.hva;
}

static inline uint64_t load(struct cpu *cpu, uint64_t va)
{
	const uint64_t *at = viommu_fast_lookup(viommu_cpu_tlb_fast(cpu->tlb), va, 8,
						VIOMMU_FAST_READ);

	if (__builtin_expect(!at, 0))
		at = slow(cpu, va);
	return *at;
}

static void host_loads(void *context, uint64_t count)
{
	struct cpu *cpu = context;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		sum += *(volatile uint64_t *)(cpu->ram + 8 * (i & 511));
		bench_use(sum);
	}
}

static void hits(void *context, uint64_t count)
{
	struct cpu *cpu = context;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		sum += load(cpu, cpu->base + 8 * (i & 511));
		bench_use(sum);
	}
}

static void strides(void *context, uint64_t count)
{
	struct cpu *cpu = context;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		sum += load(cpu, cpu->base + PAGE * (i % PAGES) + 64 * (i & 63));
		bench_use(sum);
	}
}

static void host_strides(void *context, uint64_t count)
{
	struct cpu *cpu = context;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		sum += *(volatile uint64_t *)(cpu->ram + PAGE * (i % PAGES) + 64 * (i & 63));
		bench_use(sum);
	}
}

static void naive(void *context, uint64_t count)
{
	struct cpu *cpu = context;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t va = cpu->base + 8 * (i & 511), table = cpu->root;
		struct viommu_request request = { .access = VIOMMU_READ };
		struct viommu_target target;

		for (int shift = 30; shift >= 12; shift -= 9) {
			request.address = table + 8 * ((va >> shift) & 511);
			request.last = request.address + 7;
			viommu_map_translate(cpu->map, &request, &target);
			table = (*(volatile uint64_t *)target.hva >> 10) << 12;
		}
		request.address = table + (va & 0xfff);
		request.last = request.address + 7;
		viommu_map_translate(cpu->map, &request, &target);
		sum += *(volatile uint64_t *)target.hva;
		bench_use(sum);
	}
}

/* Every load misses: all pages once, then a flush of all of them. */
static void refills(void *context, uint64_t count)
{
	struct cpu *cpu = context;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t page = i % 256;

		if (!page)
			viommu_cpu_tlb_flush_vmid(cpu->tlb, 0);
		sum += load(cpu, cpu->base + PAGE * page);
		bench_use(sum);
	}
}

/* First touches: refills of pages never seen since everything was dropped, results too. */
static void first_touches(void *context, uint64_t count)
{
	struct cpu *cpu = context;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t page = i % 1024;

		if (!page)
			viommu_cpu_tlb_flush_all(cpu->tlb);
		sum += load(cpu, cpu->base + PAGE * page);
		bench_use(sum);
	}
}

static void flush_pages(void *context, uint64_t count)
{
	struct cpu *cpu = context;

	for (uint64_t i = 0; i < count; i++)
		viommu_cpu_tlb_flush_page(cpu->tlb, 0, VIOMMU_CPU_ALL,
					  cpu->base + PAGE * (i % PAGES));
}

static void fill_all(void *context)
{
	struct cpu *cpu = context;

	for (uint64_t i = 0; i < 3 * PAGES; i++)
		cpu->sum += load(cpu, cpu->base + PAGE * (i % PAGES));
}

static void flush_everything(void *context, uint64_t count)
{
	struct cpu *cpu = context;

	for (uint64_t i = 0; i < count; i++)
		viommu_cpu_tlb_flush_vmid(cpu->tlb, 0);
}

static void switches(void *context, uint64_t count)
{
	struct cpu *cpu = context;
	struct viommu_cpu_context other = cpu->user;

	other.attributes.wid = 1;
	for (uint64_t i = 0; i < count; i++)
		viommu_cpu_tlb_switch(cpu->tlb, i & 1 ? &cpu->user : &other);
	viommu_cpu_tlb_switch(cpu->tlb, &cpu->user);
}

static void create(struct cpu *cpu)
{
	cpu->ram = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (cpu->ram == MAP_FAILED || viommu_memory_create(&cpu->memory) ||
	    viommu_memory_add_hva(cpu->memory, RAM, BYTES, cpu->ram, 0) ||
	    viommu_map_create(cpu->memory, &cpu->map) ||
	    viommu_map_create(cpu->memory, &cpu->plain) ||
	    viommu_region_create(&ops, cpu, &cpu->region) ||
	    viommu_map_add_region(cpu->map, GUARDED + RAM, GUARDED + RAM + BYTES - 1,
				  cpu->region) ||
	    viommu_cpu_tlb_create(cpu->map, NULL, &cpu->tlb))
		fail("set-up");
	memset(cpu->ram, 1, 48 << 20);
	cpu->root = TABLES;
	cpu->next_table = TABLES + PAGE;
	for (uint64_t i = 0; i < PAGES; i++) {
		map_page(cpu, VIRTUAL + PAGE * i, RAM + PAGE * i);
		map_page(cpu, 2 * VIRTUAL + PAGE * i, GUARDED + RAM + PAGE * i);
	}
	viommu_cpu_tlb_enter(cpu->tlb);
	cpu->user = (struct viommu_cpu_context){ .asid = 1, .privilege = 1 };
	viommu_cpu_tlb_switch(cpu->tlb, &cpu->user);
	cpu->base = VIRTUAL;
}

static void destroy(struct cpu *cpu)
{
	viommu_cpu_tlb_leave(cpu->tlb);
	viommu_cpu_tlb_destroy(cpu->tlb);
	viommu_map_destroy(cpu->map);
	viommu_map_destroy(cpu->plain);
	viommu_region_destroy(cpu->region);
	viommu_memory_destroy(cpu->memory);
	munmap(cpu->ram, BYTES);
}

struct line {
	const char *name;
	void (*work)(void *context, uint64_t count);
	void (*prepare)(void *context);
	uint64_t base;
	double limit;
	void (*floor)(void *context, uint64_t count);
	uint64_t floor_base;
	const char *floor_name;
	double limit_ratio; /* of the floor; 0: limit is absolute */
};

static const struct line lines[] = {
	{ "load, plain RAM", hits, NULL, VIRTUAL, 0, host_loads, VIRTUAL, "host load", 0 },
	{ "load, resolved region", hits, NULL, 2 * VIRTUAL, 0, hits, VIRTUAL, "plain RAM", 1.03 },
	{ "load, naive", naive, NULL, 2 * VIRTUAL, 0, hits, VIRTUAL, "plain RAM", 0 },
	{ "stride over 4096 pages", strides, fill_all, VIRTUAL, 4, host_strides, VIRTUAL,
	  "host stride", 0 },
	{ "stride over 4096 pages, region", strides, fill_all, 2 * VIRTUAL, 4, strides, VIRTUAL,
	  "plain RAM", 0 },
	{ "refill, Sv39", refills, NULL, VIRTUAL, 40, NULL, 0, NULL, 0 },
	{ "refill, Sv39, region", refills, NULL, 2 * VIRTUAL, 0, refills, VIRTUAL, "plain RAM", 2 },
	{ "first touch, plain RAM", first_touches, NULL, VIRTUAL, 0, NULL, 0, NULL, 0 },
	{ "first touch, region", first_touches, NULL, 2 * VIRTUAL, 0, first_touches, VIRTUAL,
	  "plain RAM", 2 },
	{ "flush one page", flush_pages, fill_all, VIRTUAL, 50, NULL, 0, NULL, 0 },
	{ "flush everything", flush_everything, NULL, VIRTUAL, 50, NULL, 0, NULL, 0 },
	{ "switch worlds", switches, NULL, VIRTUAL, 50, NULL, 0, NULL, 0 },
};

static void measure(struct bench *bench, struct cpu *cpu, const struct line *line)
{
	struct bench_row row = { .group = "cpu", .name = line->name, .limit = line->limit };

	if (line->floor) {
		cpu->base = line->floor_base;
		row.floor = bench_measure(bench, line->floor, line->prepare, cpu);
		row.floor_name = line->floor_name;
		if (line->limit_ratio > 0)
			row.limit = line->limit_ratio * row.floor.median;
	}
	cpu->base = line->base;
	row.time = bench_measure(bench, line->work, line->prepare, cpu);
	bench_print(bench, &row);
}

/* A decision of an IOPMP for a page it has seen, whatever the number of entries. */
struct checked {
	struct viommu_map *map;
	uint32_t sum;
};

static void decisions(void *context, uint64_t count)
{
	struct checked *checked = context;
	struct viommu_target target;

	for (uint64_t i = 0; i < count; i++) {
		struct viommu_request request = { .access = VIOMMU_READ };

		request.address = RAM + PAGE * (i & 15) + 8 * (i & 255);
		request.last = request.address + 7;
		viommu_map_translate(checked->map, &request, &target);
		checked->sum += target.kind;
	}
}

static struct viommu_iopmp *iopmp_create(struct cpu *cpu, uint32_t entries)
{
	struct viommu_iopmp_config config = {
		.size = sizeof(config),
		.flags = VIOMMU_IOPMP_ENABLED,
		.sources = 1,
		.domains = 1,
		.entries = entries,
		.next = cpu->plain,
	};
	const struct viommu_mmio_ops *registers = viommu_iopmp_mmio();
	uint32_t word = entries, offset;
	struct viommu_iopmp *iopmp;

	if (viommu_iopmp_create(&config, &iopmp))
		fail("iopmp");
	registers->write(iopmp, 0x800, &word, 4);
	word = 2;
	registers->write(iopmp, 0x1000, &word, 4);
	registers->read(iopmp, 0x2c, &offset, 4);
	for (uint32_t i = 0; i < entries; i++) { /* the last one matches */
		word = (uint32_t)((i + 1 < entries ? BYTES + RAM : RAM) >> 2) | 0x7fffff;
		registers->write(iopmp, offset + 16 * i, &word, 4);
		word = 0x1f;
		registers->write(iopmp, offset + 16 * i + 8, &word, 4);
	}
	return iopmp;
}

static void measure_iopmp(struct bench *bench, struct cpu *cpu)
{
	struct bench_time floor = { 0 };

	for (uint32_t entries = 16; entries <= 16384; entries *= 32) {
		struct viommu_iopmp *iopmp = iopmp_create(cpu, entries);
		struct checked checked = { 0 };
		struct bench_row row = {
			.group = "iopmp", .name = "decision, page seen before",
			.size_name = "entries", .size = entries, .floor = floor,
			.floor_name = "16 entries", .limit = 1.5 * floor.median,
		};

		if (viommu_map_create(cpu->memory, &checked.map) ||
		    viommu_map_add_region(checked.map, 0, UINT64_MAX, viommu_iopmp_region(iopmp)))
			fail("iopmp");
		row.time = bench_measure(bench, decisions, NULL, &checked);
		bench_print(bench, &row);
		if (entries == 16)
			floor = row.time;
		viommu_map_destroy(checked.map);
		viommu_iopmp_destroy(iopmp);
	}
}

int main(int argc, char **argv)
{
	struct bench bench;
	struct cpu cpu = { 0 };

	if (!bench_begin(&bench, argc, argv))
		return 2;
	create(&cpu);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (bench_wanted(&bench, "cpu"))
			measure(&bench, &cpu, &lines[i]);
	if (bench_wanted(&bench, "iopmp"))
		measure_iopmp(&bench, &cpu);
	destroy(&cpu);
	return bench_end(&bench);
}
