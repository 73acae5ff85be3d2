/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loads that say how fast an emulated hart is: one program for each value of LOAD, run in
 *S-mode under Sv39 with 4 KiB pages.
 *	1 ALU loop, 5e9 instructions		2 loads and stores that hit the TLB, 5e9
 *	3 pointer chase over 8192 pages, 5e7	4 indirect calls, 2e9
 *	5 sfence.vma every 200 instructions, 4e8
 * DIVIDE makes them shorter by that factor.
 */
#include "rt.h"

#ifndef DIVIDE
#define DIVIDE 1
#endif

#define CHASE_PAGES    8192ul
#define CHASE_PHYSICAL 0x81000000ul
#define CHASE_VIRTUAL  0x40000000ul

static uint64_t root[512] PAGE;
static uint64_t middle[2][512] PAGE;
static uint64_t leaves[64][512] PAGE;
static uint64_t buffer[512] PAGE;

static uint64_t alu(uint64_t rounds)
{
	uint64_t a = 0, b = 1;

	asm volatile(
		"1:\n\taddi %0, %0, 3\n\txor %1, %1, %0\n\tslli t3, %1, 1\n\tadd t4, t3, %0\n\tsrli t5, t4, 3\n\t"
		"or t6, t5, %1\n\tsub t3, t6, t4\n\tand t4, t3, t5\n\taddi %2, %2, -1\n\tbnez %2, 1b"
		: "+r"(a), "+r"(b), "+r"(rounds)
		:
		: "t3", "t4", "t5", "t6");
	return a + b;
}

static uint64_t memory(uint64_t rounds)
{
	uint64_t *p = buffer, sum = 0;

	asm volatile(
		"1:\n\tld t3, 0(%1)\n\tsd t3, 64(%1)\n\tld t4, 8(%1)\n\tsd t4, 72(%1)\n\tld t5, 16(%1)\n\t"
		"sd t5, 80(%1)\n\tld t6, 24(%1)\n\tadd %0, %0, t6\n\taddi %2, %2, -1\n\tbnez %2, 1b"
		: "+r"(sum), "+r"(p), "+r"(rounds)
		:
		: "t3", "t4", "t5", "t6", "memory");
	return sum;
}

static uint64_t chase(uint64_t rounds)
{
	uint64_t p = CHASE_VIRTUAL;

	asm volatile("1:\n\tld %0, 0(%0)\n\taddi %1, %1, -1\n\tbnez %1, 1b"
		     : "+r"(p), "+r"(rounds));
	return p;
}

#define CALLEE(n)                                                       \
	static __attribute__((noinline)) uint64_t callee##n(uint64_t v) \
	{                                                               \
		asm volatile("");                                       \
		return v + n;                                           \
	}
CALLEE(1)
CALLEE(2) CALLEE(3) CALLEE(4) CALLEE(5) CALLEE(6) CALLEE(7) CALLEE(8)

	static uint64_t calls(uint64_t rounds)
{
	uint64_t (*volatile table[8])(uint64_t) = { callee1, callee2, callee3, callee4,
						    callee5, callee6, callee7, callee8 };
	uint64_t v = 0;

	for (uint64_t i = 0; i < rounds; i++)
		v = table[(v ^ i) & 7](v);
	return v;
}

static uint64_t fences(uint64_t rounds)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < rounds; i++) {
		asm volatile("sfence.vma" ::: "memory");
		for (unsigned int k = 0; k < 98; k++) {
			sum += buffer[k & 7];
			asm volatile("" : "+r"(sum));
		}
	}
	return sum;
}

static void tables(void)
{
	uint64_t p = 0;

	root[0] = 0xcf; /* devices */
	root[2] = (uint64_t)middle[0] >> 2 | 1;
	root[1] = (uint64_t)middle[1] >> 2 | 1;
	/* the first 32 MiB of memory and the chase's pages, all as 4 KiB pages */
	for (unsigned int i = 0; i < 16; i++) {
		middle[0][i] = (uint64_t)leaves[i] >> 2 | 1;
		middle[1][i] = (uint64_t)leaves[16 + i] >> 2 | 1;
	}
	for (uint64_t i = 0; i < 16 * 512; i++) {
		leaves[i / 512][i % 512] = (0x80000000ul + i * 4096) >> 2 | 0xcf;
		leaves[16 + i / 512][i % 512] = (CHASE_PHYSICAL + i * 4096) >> 2 | 0xcf;
	}
	/* one cycle through all pages, far apart, at varying offsets */
	for (uint64_t i = 0; i < CHASE_PAGES; i++) {
		uint64_t next = (p + 4099) % CHASE_PAGES;

		write64(CHASE_PHYSICAL + p * 4096 + (p & 63) * 64,
			CHASE_VIRTUAL + next * 4096 + (next & 63) * 64);
		p = next;
	}
}

int main(void)
{
	tables();
	WRITE_CSR(satp, 8ul << 60 | (uint64_t)root >> 12);
	asm volatile("sfence.vma");
	switch (LOAD) {
	case 1:
		return try(S, alu, 500000000ul / DIVIDE, 0) != NONE;
	case 2:
		return try(S, memory, 500000000ul / DIVIDE, 0) != NONE;
	case 3:
		return try(S, chase, 50000000ul / DIVIDE, 0) != NONE;
	case 4:
		return try(S, calls, 143000000ul / DIVIDE, 0) != NONE;
	case 5:
		return try(S, fences, 2000000ul / DIVIDE, 0) != NONE;
	}
	return 1;
}
