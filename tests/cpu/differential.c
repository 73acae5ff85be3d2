/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TLB with all its caching against translating every access anew.
 *
 * One hart runs random programs: it switches among contexts of several ASIDs, worlds and privilege
 * classes, accesses memory in every way, changes page tables (with the flush the architecture asks
 * for), reprograms two wgCheckers, an IOPMP and a region that sends reads and writes to different
 * places, and marks pages as watched. After every access the result must be what a walk of the page
 * tables and of the chain of regions gives at that moment, value or fault. Seeds are printed;
 * VIOMMU_TEST_SEED and VIOMMU_TEST_STEPS override them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <viommu/cpu.h>
#include <viommu/riscv.h>

#include "cpu/fast.h"

enum {
	PAGE = 4096,
	RAM_PAGES = 64,
	VA_PAGES = 96,
	ASIDS = 3,
	WORLDS = 4,
	SOURCES = 4,
	CONTEXTS = 12,
	SECONDS_A_PROGRAM = 1,
};
#define RAM	  0x80000000ull
#define SHADOW	  0x90000000ull /* the same RAM, seen through the splitting region */
#define DEVICE	  0x10000000ull
#define VA_BASE	  0x400000ull
#define VA_STRIDE 0x40000000ull /* every 4th page far away, in the same sets */

struct leaf {
	bool valid, global, large;
	uint64_t pa;
	uint32_t permissions;
};

struct model {
	uint64_t random;
	struct viommu_memory *memory;
	struct viommu_map *plain, *bus, *front;
	struct viommu_wgchecker *checker[2];
	struct viommu_iopmp *iopmp;
	struct viommu_region *split;
	struct viommu_cpu_tlb *tlb;
	uint8_t *ram;
	struct leaf leaf[ASIDS][VA_PAGES];
	struct viommu_cpu_context contexts[CONTEXTS];
	unsigned int current;
	uint64_t split_write; /* where writes to SHADOW go, in bytes */
	uint32_t split_block; /* types the split region blocks */
	uint32_t watch[RAM_PAGES];
	uint64_t device_word;
	uint64_t faults, fast, slow, silent, mmio, watched, stalled, atomics;
};

static uint64_t next_random(struct model *m)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random;
}

static uint32_t below(struct model *m, uint32_t limit)
{
	return (uint32_t)((next_random(m) >> 20) % limit);
}

static int device_read(void *opaque, uint64_t offset, void *data, size_t length)
{
	struct model *m = opaque;
	uint64_t value = m->device_word ^ offset;

	memcpy(data, &value, length);
	return 0;
}

static int device_write(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct model *m = opaque;

	m->device_word = 0;
	memcpy(&m->device_word, data, length);
	m->device_word ^= offset;
	return 0;
}

static const struct viommu_mmio_ops device_ops = { sizeof(device_ops), device_read, device_write };

/* Reads of SHADOW go straight to RAM, writes somewhere else in RAM; page by page. */
static void split_translate(void *opaque, const struct viommu_request *request,
			    struct viommu_answer *answer)
{
	struct model *m = opaque;
	uint64_t offset = request->address - SHADOW;

	answer->first = request->address & ~0xfffull;
	answer->last = request->address | 0xfff;
	if (request->access & m->split_block) {
		answer->granted = m->split_block;
		return;
	}
	answer->kind = VIOMMU_ANSWER_PASS;
	answer->map = m->bus;
	if (request->access & VIOMMU_WRITE) {
		answer->address = RAM + (offset + m->split_write) % (RAM_PAGES * PAGE);
		return;
	}
	answer->granted = (VIOMMU_READ | VIOMMU_EXECUTE) & ~m->split_block;
	answer->address = RAM + offset;
}

static enum viommu_reaction split_blocked(void *opaque, const struct viommu_request *request)
{
	return VIOMMU_REACTION_ERROR;
}

static const struct viommu_region_ops split_ops = {
	sizeof(split_ops), split_translate, split_blocked,
};

static uint32_t watched(void *opaque, struct viommu_memory *memory, uint64_t gpa)
{
	struct model *m = opaque;

	return gpa >= RAM && gpa < RAM + RAM_PAGES * PAGE ? m->watch[(gpa - RAM) / PAGE] : 0;
}

static void write_register(const struct viommu_mmio_ops *ops, void *opaque, uint64_t offset,
			   uint64_t value, size_t length)
{
	assert_int_equal(ops->write(opaque, offset, &value, length), 0);
}

static uint64_t va_of(uint32_t page)
{
	return VA_BASE + page / 4 * PAGE + page % 4 * VA_STRIDE;
}

static uint64_t random_ram(struct model *m)
{
	return RAM + PAGE * (uint64_t)below(m, RAM_PAGES);
}

static uint64_t random_pa(struct model *m)
{
	switch (below(m, 16)) {
	case 0:
		return DEVICE;
	case 1:
		return 0x70000000; /* nothing there */
	case 2:
	case 3:
	case 4:
		return SHADOW + PAGE * (uint64_t)below(m, RAM_PAGES);
	default:
		return random_ram(m);
	}
}

static void random_leaf(struct model *m, uint32_t asid, uint32_t page)
{
	struct leaf leaf = {
		.valid = below(m, 32) != 0,
		.global = below(m, 8) == 0,
		.pa = random_pa(m),
		.permissions = below(m, 4) ? 7 : below(m, 8),
	};

	/* Global: the same in every address space, as the architecture wants it. */
	leaf.large = page % 8 == 7 && below(m, 2);
	for (uint32_t a = 0; a < ASIDS; a++) {
		if (a == asid || leaf.global || m->leaf[a][page].global)
			m->leaf[a][page] = leaf;
	}
}

static void change_page_table(struct model *m)
{
	uint32_t asid = below(m, ASIDS), page = below(m, VA_PAGES);
	bool global = m->leaf[asid][page].global;

	random_leaf(m, asid, page);
	global |= m->leaf[asid][page].global;
	switch (below(m, 8)) {
	case 0:
		viommu_cpu_tlb_flush_vmid(m->tlb, below(m, 2) ? 0 : VIOMMU_CPU_ALL);
		break;
	case 1:
		if (global)
			viommu_cpu_tlb_flush_all(m->tlb);
		else
			viommu_cpu_tlb_flush_asid(m->tlb, 0, asid);
		break;
	default:
		viommu_cpu_tlb_flush_page(m->tlb, 0, global ? VIOMMU_CPU_ALL : asid, va_of(page));
	}
}

/* One slot over the whole range of a checker. */
static void open_checker(struct model *m, uint32_t which, uint64_t permissions)
{
	const struct viommu_mmio_ops *ops = viommu_wgchecker_mmio();
	struct viommu_wgchecker *checker = m->checker[which];
	uint64_t length = RAM_PAGES / 2 * PAGE, start = RAM + which * length;
	uint64_t slot = 0x20 + 32 * (which ? 4 : 1);

	write_register(ops, checker, slot, start >> 2 | ((length >> 3) - 1), 8);
	write_register(ops, checker, slot + 8, permissions, 8);
	write_register(ops, checker, slot + 16, 0x303, 4);
}

static void change_checker(struct model *m)
{
	const struct viommu_mmio_ops *ops = viommu_wgchecker_mmio();
	struct viommu_wgchecker *checker = m->checker[below(m, 2)];
	uint64_t slot = 0x20 + 32 * below(m, 6);

	switch (below(m, 3)) {
	case 0:
		write_register(ops, checker, slot, random_ram(m) >> 2, 8);
		break;
	case 1:
		write_register(ops, checker, slot + 8, next_random(m), 8);
		break;
	default:
		write_register(ops, checker, slot + 16, next_random(m) & 0xf03, 4);
	}
	/* Keep most of it open, so that there is something to see. */
	open_checker(m, checker == m->checker[1], below(m, 8) ? ~0ull : next_random(m));
}

static void change_iopmp(struct model *m)
{
	const struct viommu_mmio_ops *ops = viommu_iopmp_mmio();
	uint32_t entries = 0x2000, entry = entries + 16 * below(m, 8);

	switch (below(m, 6)) {
	case 0: /* finer than a page */
		write_register(ops, m->iopmp, entry, (random_ram(m) >> 2) + below(m, 1024), 4);
		break;
	case 1:
		write_register(ops, m->iopmp, entry + 8, below(m, 4) ? 0x1f : below(m, 32), 4);
		break;
	case 2:
		write_register(ops, m->iopmp, 0x1000 + 32 * below(m, SOURCES),
			       below(m, 4) ? 0x1e : below(m, 16) << 1, 4);
		break;
	case 3:
		write_register(ops, m->iopmp, 0x800 + 4 * below(m, 3), below(m, 9), 4);
		break;
	case 4:
		write_register(ops, m->iopmp, 0x38,
			       below(m, SOURCES) | (below(m, 8) ? 2ull : 1ull) << 30, 4);
		break;
	case 5: /* the last entry opens everything */
		write_register(ops, m->iopmp, entries + 16 * 8, 0xffffffff, 4);
		write_register(ops, m->iopmp, entries + 16 * 8 + 8, 0x1f, 4);
		break;
	}
}

static void change_split(struct model *m)
{
	m->split_write = PAGE * (uint64_t)below(m, 4);
	m->split_block = below(m, 4) ? 0 : below(m, 8);
	viommu_region_changed(m->split, SHADOW, SHADOW + RAM_PAGES * PAGE - 1);
}

static void change_watch(struct model *m)
{
	uint32_t page = below(m, RAM_PAGES);

	m->watch[page] = below(m, 3) ? 0 : below(m, 8);
	viommu_cpu_tlb_rewatch(m->tlb, m->memory, RAM + PAGE * (uint64_t)page, PAGE);
}

/* What an access ends in, by the slow and simple way. */
struct outcome {
	enum viommu_cpu_kind kind;
	uint64_t value;	 /* loads and fetches */
	uint8_t *hva;	 /* RAM */
	bool watched;
};

static void naive(struct model *m, uint64_t va, const struct leaf *leaf, uint32_t length,
		  uint32_t access, struct outcome *out)
{
	const struct viommu_cpu_context *context = &m->contexts[m->current];
	uint32_t need = access == VIOMMU_ATOMIC ? VIOMMU_READ | VIOMMU_WRITE : access;
	struct viommu_request request = {
		.access = access | (context->privileged ? VIOMMU_PRIVILEGED : 0u),
		.attributes = context->attributes,
	};
	struct viommu_target target;

	memset(out, 0, sizeof(*out));
	if (!context->physical && (!leaf->valid || (leaf->permissions & need) != need)) {
		out->kind = VIOMMU_CPU_MISS;
		return;
	}
	request.address = context->physical ? va : leaf->pa + va % PAGE;
	request.last = request.address + length - 1;
	assert_int_equal(viommu_map_translate(m->front, &request, &target), 0);
	switch (target.kind) {
	case VIOMMU_TARGET_BLOCKED:
		out->kind = viommu_target_react(&target, &request) == VIOMMU_REACTION_SILENT
				    ? VIOMMU_CPU_SILENT
				    : VIOMMU_CPU_ERROR;
		return;
	case VIOMMU_TARGET_STALLED:
		out->kind = VIOMMU_CPU_STALLED;
		return;
	case VIOMMU_TARGET_MMIO:
		out->kind = VIOMMU_CPU_MMIO;
		return;
	case VIOMMU_TARGET_RAM:
		out->kind = VIOMMU_CPU_RAM;
		out->hva = target.hva;
		out->watched = m->watch[(target.gpa - RAM) / PAGE] & need;
		memcpy(&out->value, target.hva, length);
		return;
	}
}

static void look(struct model *m, uint64_t va, const struct leaf *leaf, uint32_t length,
		 uint32_t access, struct viommu_cpu_target *target)
{
	struct viommu_cpu_fill fill;

	viommu_cpu_tlb_access(m->tlb, va, length, access, target);
	if (target->kind != VIOMMU_CPU_MISS || !leaf || !leaf->valid)
		return;
	fill = (struct viommu_cpu_fill){
		.va = va,
		.pa = leaf->pa,
		.page_size = leaf->large ? 2 << 20 : PAGE,
		.permissions = leaf->permissions,
		.global = leaf->global,
	};
	if (below(m, 2)) {
		viommu_cpu_tlb_fill_access(m->tlb, &fill, length, access, target);
		return;
	}
	viommu_cpu_tlb_fill(m->tlb, &fill);
	viommu_cpu_tlb_access(m->tlb, va, length, access, target);
}

static void *fast(struct model *m, uint64_t va, uint32_t length, uint32_t access)
{
	const struct viommu_fast *words = viommu_cpu_tlb_fast(m->tlb);

	if (access == VIOMMU_ATOMIC)
		return viommu_fast_lookup_rmw(words, va, length);
	return viommu_fast_lookup(words, va, length,
				  access == VIOMMU_READ	   ? VIOMMU_FAST_READ
				  : access == VIOMMU_WRITE ? VIOMMU_FAST_WRITE
							   : VIOMMU_FAST_EXECUTE);
}

static void count(struct model *m, const struct outcome *out, uint32_t access)
{
	m->silent += out->kind == VIOMMU_CPU_SILENT;
	m->mmio += out->kind == VIOMMU_CPU_MMIO;
	m->stalled += out->kind == VIOMMU_CPU_STALLED;
	m->faults += out->kind == VIOMMU_CPU_MISS || out->kind == VIOMMU_CPU_ERROR;
	m->watched += out->watched;
	m->atomics += access == VIOMMU_ATOMIC && out->kind == VIOMMU_CPU_RAM;
}

/* One access both ways. */
static void step_access(struct model *m)
{
	static const uint32_t types[] = { VIOMMU_READ, VIOMMU_READ, VIOMMU_WRITE, VIOMMU_WRITE,
					  VIOMMU_EXECUTE, VIOMMU_ATOMIC };
	const struct viommu_cpu_context *context = &m->contexts[m->current];
	/* Mostly a few hot pages, so that what is kept gets used. */
	uint32_t page = below(m, 4) ? below(m, 6) * 16 + 1 : below(m, VA_PAGES);
	uint32_t access = types[below(m, 6)];
	uint32_t length = access == VIOMMU_ATOMIC ? 4u << below(m, 2) : 1u << below(m, 4);
	uint32_t offset = below(m, PAGE / length) * length;
	const struct leaf *leaf = context->physical ? NULL : &m->leaf[context->asid][page];
	uint64_t va = (context->physical ? random_pa(m) : va_of(page)) + offset;
	struct viommu_cpu_target target = { 0 };
	struct outcome want;
	uint8_t *hva;
	uint64_t value = next_random(m), got = 0;

	if (access != VIOMMU_ATOMIC && below(m, 16) == 0)
		va -= va % PAGE ? 1 : 0; /* misaligned, still inside the page */
	if (va % PAGE + length > PAGE)
		return;
	naive(m, va, leaf, length, access, &want);
	count(m, &want, access);
	hva = fast(m, va, length, access);
	if (hva) {
		m->fast++;
		assert_int_equal(want.kind, VIOMMU_CPU_RAM);
		assert_false(want.watched); /* a watched type never goes fast */
		assert_ptr_equal(hva, want.hva);
	} else {
		m->slow++;
		look(m, va, leaf, length, access, &target);
		assert_int_equal(target.kind, want.kind);
		if (want.kind != VIOMMU_CPU_RAM)
			return;
		assert_ptr_equal(target.hva, want.hva);
		assert_int_equal(target.watched, want.watched);
		hva = target.hva;
	}
	memcpy(&got, hva, length);
	assert_int_equal(got, want.value);
	if (access & (VIOMMU_WRITE | VIOMMU_ATOMIC))
		memcpy(hva, &value, length);
}

/* Flushes nobody asked for change nothing. */
static void flush(struct model *m)
{
	switch (below(m, 4)) {
	case 0:
		viommu_cpu_tlb_flush_vmid(m->tlb, below(m, 2) ? 0 : VIOMMU_CPU_ALL);
		break;
	case 1:
		viommu_cpu_tlb_flush_all(m->tlb);
		break;
	case 2:
		viommu_cpu_tlb_flush_asid(m->tlb, 0, below(m, ASIDS));
		break;
	default:
		viommu_cpu_tlb_flush_page(m->tlb, 0, below(m, ASIDS), va_of(below(m, VA_PAGES)));
	}
}

static void step(struct model *m)
{
	uint32_t what = below(m, 1000);

	if (what < 980) {
		step_access(m);
	} else if (what < 985) {
		m->current = below(m, CONTEXTS);
		viommu_cpu_tlb_switch(m->tlb, &m->contexts[m->current]);
	} else if (what < 987) {
		change_page_table(m);
	} else if (what < 990) {
		change_checker(m);
	} else if (what < 993) {
		change_iopmp(m);
	} else if (what < 995) {
		change_split(m);
	} else if (what < 998) {
		flush(m);
	} else {
		change_watch(m);
	}
	if (viommu_cpu_tlb_pending(m->tlb))
		viommu_cpu_tlb_poll(m->tlb);
}

static void create_checkers(struct model *m)
{
	struct viommu_wgchecker_config wg = {
		.size = sizeof(wg), .start = RAM, .length = RAM_PAGES / 2 * PAGE, .slots = 5,
		.worlds = WORLDS, .trusted_wid = 3, .flags = VIOMMU_WG_HW_BYPASS, .next = m->plain,
	};
	struct viommu_iopmp_config iopmp = {
		.size = sizeof(iopmp), .sources = SOURCES, .domains = 4, .entries = 9,
		.flags = VIOMMU_IOPMP_TOR | VIOMMU_IOPMP_STALL | VIOMMU_IOPMP_ENABLED,
		.next = m->bus,
	};
	const struct viommu_mmio_ops *ops = viommu_iopmp_mmio();

	assert_int_equal(viommu_wgchecker_create(&wg, &m->checker[0]), 0);
	wg.start += wg.length;
	wg.flags |= VIOMMU_WG_PRIORITY;
	assert_int_equal(viommu_wgchecker_create(&wg, &m->checker[1]), 0);
	assert_int_equal(viommu_iopmp_create(&iopmp, &m->iopmp), 0);
	assert_true(viommu_iopmp_registers(m->iopmp) > 0x2000);
	for (int i = 0; i < 4; i++)
		write_register(ops, m->iopmp, 0x800 + 4 * i, i == 3 ? 9 : 2 * i + 2, 4);
	for (int s = 0; s < SOURCES; s++)
		write_register(ops, m->iopmp, 0x1000 + 32 * s, 0x1e, 4);
	write_register(ops, m->iopmp, 0x2000 + 16 * 8, 0xffffffff, 4);
	write_register(ops, m->iopmp, 0x2000 + 16 * 8 + 8, 0x1f, 4);
	open_checker(m, 0, ~0ull);
	open_checker(m, 1, ~0ull);
}

static void create(struct model *m, uint64_t seed)
{
	struct viommu_cpu_options options = {
		.size = sizeof(options), .minimum = 16, .maximum = 64, .watched = watched,
		.opaque = m,
	};

	memset(m, 0, sizeof(*m));
	m->random = seed * 2 + 1;
	m->ram = aligned_alloc(PAGE, RAM_PAGES * PAGE);
	for (uint32_t i = 0; i < RAM_PAGES * PAGE; i++)
		m->ram[i] = (uint8_t)next_random(m);
	assert_int_equal(viommu_memory_create(&m->memory), 0);
	assert_int_equal(viommu_memory_add_hva(m->memory, RAM, RAM_PAGES * PAGE, m->ram, 0), 0);
	assert_int_equal(viommu_memory_add_mmio(m->memory, DEVICE, PAGE, &device_ops, m, 0), 0);
	assert_int_equal(viommu_map_create(m->memory, &m->plain), 0);
	assert_int_equal(viommu_map_create(m->memory, &m->bus), 0);
	assert_int_equal(viommu_map_create(m->memory, &m->front), 0);
	create_checkers(m);
	assert_int_equal(viommu_region_create(&split_ops, m, &m->split), 0);
	for (int c = 0; c < 2; c++)
		assert_int_equal(viommu_map_add_region(m->bus, RAM + c * (RAM_PAGES / 2 * PAGE),
						       RAM + (c + 1) * (RAM_PAGES / 2 * PAGE) - 1,
						       viommu_wgchecker_region(m->checker[c])), 0);
	assert_int_equal(viommu_map_add_region(m->front, RAM, RAM + RAM_PAGES * PAGE - 1,
					       viommu_iopmp_region(m->iopmp)), 0);
	assert_int_equal(viommu_map_add_region(m->front, SHADOW, SHADOW + RAM_PAGES * PAGE - 1,
					       m->split), 0);
	assert_int_equal(viommu_cpu_tlb_create(m->front, &options, &m->tlb), 0);
	viommu_cpu_tlb_enter(m->tlb);
	for (uint32_t asid = 0; asid < ASIDS; asid++)
		for (uint32_t page = 0; page < VA_PAGES; page++)
			random_leaf(m, asid, page);
	for (uint32_t i = 0; i < CONTEXTS; i++)
		m->contexts[i] = (struct viommu_cpu_context){
			.asid = i % ASIDS,
			.privilege = i & 1,
			.privileged = i & 1,
			.physical = i >= CONTEXTS - 2,
			.attributes = { .wid = i % WORLDS, .source = i / 2 % SOURCES },
		};
	viommu_cpu_tlb_switch(m->tlb, &m->contexts[0]);
}

static void destroy(struct model *m)
{
	viommu_cpu_tlb_leave(m->tlb);
	viommu_cpu_tlb_destroy(m->tlb);
	viommu_map_destroy(m->front);
	viommu_map_destroy(m->bus);
	viommu_map_destroy(m->plain);
	viommu_region_destroy(m->split);
	viommu_iopmp_destroy(m->iopmp);
	viommu_wgchecker_destroy(m->checker[0]);
	viommu_wgchecker_destroy(m->checker[1]);
	viommu_memory_destroy(m->memory);
	free(m->ram);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void test_random(void **state)
{
	uint64_t seed = number("VIOMMU_TEST_SEED", (uint64_t)time(NULL) * 0x9e3779b97f4a7c15ull);
	uint64_t steps = number("VIOMMU_TEST_STEPS", 24000000);
	struct viommu_cpu_statistics s = { .size = sizeof(s) };
	const uint32_t programs = 16;
	time_t until;
	struct model m;

	for (uint32_t program = 0; program < programs; program++) {
		printf("seed %#llx, %llu steps\n", (unsigned long long)(seed + program),
		       (unsigned long long)(steps / programs));
		fflush(stdout);
		create(&m, seed + program);
		until = time(NULL) + SECONDS_A_PROGRAM;
		for (uint64_t i = 0; i < steps / programs; i++) {
			if (i % 65536 == 0 && time(NULL) > until && !getenv("VIOMMU_TEST_STEPS"))
				break; /* a busy machine: what was done is done */
			step(&m);
		}
		viommu_cpu_tlb_statistics(m.tlb, &s);
		printf("  fast %llu slow %llu fault %llu silent %llu mmio %llu watched %llu "
		       "stalled %llu atomic %llu; translations %llu shared %llu dropped %llu\n",
		       (unsigned long long)m.fast, (unsigned long long)m.slow,
		       (unsigned long long)m.faults, (unsigned long long)m.silent,
		       (unsigned long long)m.mmio, (unsigned long long)m.watched,
		       (unsigned long long)m.stalled, (unsigned long long)m.atomics,
		       (unsigned long long)s.translations, (unsigned long long)s.shared,
		       (unsigned long long)s.dropped);
		destroy(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
