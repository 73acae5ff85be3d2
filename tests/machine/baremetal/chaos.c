/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random page tables, checker programs, modes, worlds and accesses; what every access gives goes
 * into a digest. The same program on the machine without caches must print the same digests:
 * anything a TLB, a decoded page or a checker's answer kept too long shows.
 */
#include "world.h"

#ifndef SEEDS
#define SEEDS 4
#endif
#ifndef STEPS
#define STEPS 4000
#endif

enum { V = 1, R = 2, W = 4, X = 8, USER = 16, G = 32, A = 64, D = 128 };
#define WINDOW	 0x40000000ul
#define PAGES	 16u
#define FRAMES	 8u
#define FRAME(i) (0x81000000ul + 4096ul * (i))

static uint64_t tables[2][3][512] PAGE;
static uint64_t state, digest;
static bool worlds;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 11;
}

static uint64_t below(uint64_t n)
{
	return next() % n;
}

static void add(uint64_t v)
{
	digest = (digest ^ v) * 0x100000001b3ul;
	digest ^= digest >> 29;
}

static void build(void)
{
	for (unsigned int s = 0; s < 2; s++) {
		for (unsigned int i = 0; i < 512; i++)
			tables[s][0][i] = tables[s][1][i] = tables[s][2][i] = 0;
		/* S-mode may run and read the program, not write it: what it runs is random too */
		tables[s][0][2] = 0x80000000ul >> 2 | (V | R | X | A | D | G);
		tables[s][0][1] = (uint64_t)tables[s][1] >> 2 | V;
		tables[s][1][0] = (uint64_t)tables[s][2] >> 2 | V;
	}
	for (unsigned int i = 0; i < FRAMES; i++)
		for (unsigned int k = 0; k < 512; k++)
			write64(FRAME(i) + 8 * k, 0x0000806700008067ul); /* ret, ret */
}

static void remap(void)
{
	unsigned int space = below(2), page = below(PAGES);
	uint64_t flags = below(256) | (below(4) ? V | A : 0) | (below(2) ? D | R : 0);
	uint64_t va = WINDOW + 4096ul * page;

	tables[space][2][page] = FRAME(below(FRAMES)) >> 2 | (flags & ~(uint64_t)G);
	switch (below(3)) {
	case 0:
		asm volatile("sfence.vma" ::: "memory");
		break;
	case 1:
		asm volatile("sfence.vma %0, x0" : : "r"(va) : "memory");
		break;
	case 2:
		asm volatile("sfence.vma %0, %1" : : "r"(va), "r"(space + 1ul) : "memory");
		break;
	}
}

static void switch_space(void)
{
	unsigned int space = below(2);

	WRITE_CSR(satp, 8ul << 60 | (space + 1ul) << 44 | (uint64_t)tables[space] >> 12);
}

static void change_checker(void)
{
	unsigned int slot = 4 + below(8);

	if (!worlds)
		return;
	if (below(2))
		slot_range(WG_DRAM, slot, FRAME(below(FRAMES)), 4096ul << below(3), below(256),
			   below(16) << 8);
	else
		write64(WG_DRAM + SLOT(slot) + SLOT_PERM, below(256));
	add(read64(WG_DRAM + ERRCAUSE));
	if (!below(4))
		write64(WG_DRAM + ERRCAUSE, 0);
}

static void change_world(void)
{
	if (!worlds)
		return;
	switch (below(3)) {
	case 0:
		WRITE_CSR(0x390, below(4));
		break;
	case 1:
		WRITE_CSR(0x748, below(16));
		break;
	case 2:
		if (READ_CSR(0x748))
			WRITE_CSR(0x190, below(4));
		break;
	}
}

static void change_pmp(void)
{
	uint64_t old = READ_CSR(pmpcfg0);
	unsigned int i = below(3);
	uint64_t address = FRAME(below(FRAMES)) >> 2 | ((below(2) ? 512ul : 32ul) - 1);

	if (i == 0)
		WRITE_CSR(pmpaddr0, address);
	else if (i == 1)
		WRITE_CSR(pmpaddr1, address);
	else
		WRITE_CSR(pmpaddr2, address);
	old &= ~(0xfful << 8 * i);
	WRITE_CSR(pmpcfg0, old | (below(2) ? 0x18ul | below(8) : 0) << 8 * i);
	asm volatile("sfence.vma" ::: "memory");
}

static void change_status(void)
{
	CLEAR_CSR(mstatus, 3 << 18);
	SET_CSR(mstatus, below(4) << 18);
	if (below(2))
		asm volatile("csrs 0x30a, %0" : : "r"(1ul << 61));
	else
		asm volatile("csrc 0x30a, %0" : : "r"(1ul << 61));
	asm volatile("sfence.vma" ::: "memory");
}

static uint64_t load16(uint64_t a)
{
	return *(volatile uint16_t *)a;
}

static uint64_t load32(uint64_t a)
{
	return read32(a);
}

static void store8(uint64_t a, uint64_t v)
{
	write8(a, (uint8_t)v);
}

static uint64_t swap(uint64_t a, uint64_t v)
{
	uint64_t old;

	asm volatile("amoswap.d %0, %2, (%1)" : "=r"(old) : "r"(a), "r"(v) : "memory");
	return old;
}

static void access_one(void)
{
	static void *const functions[] = { do_load, do_store, swap, load16, load32, store8 };
	unsigned int what = below(7);
	uint64_t va = WINDOW + below(PAGES * 4096ul);
	/* bytes that are no instruction however they are put together */
	uint64_t v = below(2) ? 0 : -1ul;
	long cause;

	if (below(3))
		va &= ~7ul;
	if (!below(8))
		va = (va | 4095) - below(7); /* across pages */
	if (what == 6) {
		va &= ~3ul;
		cause = TRY_CALL(S, va);
	} else {
		cause = try(S, functions[what], va, v);
	}
	add((uint64_t)cause);
	if (cause == NONE)
		add(what == 1 || what == 5 ? 0 : trap_result);
	else
		add(trap_value);
	/* keep code there: ret in every frame's words that were hit */
	if (what == 6 && cause != NONE)
		add(trap_pc);
}

static void move(void)
{
	add(dma_copy(FRAME(below(FRAMES)) + 8 * below(256), FRAME(below(FRAMES)) + 8 * below(256),
		     8 + below(2048)));
}

static void run(uint64_t seed)
{
	state = seed * 0x9e3779b97f4a7c15ul | 1;
	digest = 0xcbf29ce484222325ul;
	build();
	switch_space();
	asm volatile("sfence.vma" ::: "memory");
	for (unsigned int i = 0; i < STEPS; i++) {
		switch (below(16)) {
		case 0:
			remap();
			break;
		case 1:
			switch_space();
			break;
		case 2:
			change_checker();
			break;
		case 3:
			change_world();
			break;
		case 4:
			change_status();
			break;
		case 5:
			move();
			break;
		case 6:
			if (!below(4))
				change_pmp();
			break;
		default:
			access_one();
		}
	}
	for (unsigned int i = 0; i < FRAMES; i++)
		for (unsigned int k = 0; k < 512; k++)
			add(read64(FRAME(i) + 8 * k));
	for (unsigned int s = 0; s < 2; s++)
		for (unsigned int i = 0; i < PAGES; i++)
			add(tables[s][2][i]);
	WRITE_CSR(satp, 0);
	WRITE_CSR(pmpcfg0, 0);
	asm volatile("sfence.vma" ::: "memory");
}

static void probe_worlds(void)
{
	READ_CSR(0x390);
}

int main(void)
{
	worlds = try(M, probe_worlds, 0, 0) == NONE;
	if (worlds) {
		world_setup();
		slot_range(WG_DRAM, 2, FRAME(0), 4096 * FRAMES, PERM_R(3) | PERM_W(3), CFG_ERRORS);
	}
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		run(seed);
		print_hex(digest);
		print("\n");
	}
	return 0;
}
