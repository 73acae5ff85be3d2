/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Code that changes: stores, AMOs and DMA into code that has run, through another mapping too;
 * instructions that cross pages whose second half is elsewhere, or is not there.
 */
#include "rt.h"

#define LI_A0(v) (0x00000513u | (uint32_t)(v) << 20)
#define RET	 0x00008067u

static uint32_t code[3][1024] PAGE;
static uint64_t tables[3][512] PAGE;

static uint64_t run(const void *at)
{
	asm volatile("fence.i");
	return ((uint64_t(*)(void))at)();
}

static void stores(void)
{
	for (unsigned int i = 0; i < 50; i++) {
		code[0][0] = LI_A0(i);
		code[0][1] = RET;
		EQUAL(run(code[0]), i);
	}
	/* half an instruction */
	*(volatile uint16_t *)((uint8_t *)code[0] + 2) = 77 << 4;
	EQUAL(run(code[0]), 77);
	asm volatile("amoswap.w zero, %1, (%0)" : : "r"(code[0]), "r"(LI_A0(5)) : "memory");
	EQUAL(run(code[0]), 5);
	/* data beside code stays data */
	for (unsigned int i = 0; i < 1000; i++)
		code[0][100 + (i & 63)] += i;
	EQUAL(run(code[0]), 5);
}

static void dma(void)
{
	code[1][0] = LI_A0(1);
	code[1][1] = RET;
	EQUAL(run(code[1]), 1);
	code[2][0] = LI_A0(2);
	code[2][1] = RET;
	write64(0x10010008, (uint64_t)code[2]);
	write64(0x10010010, (uint64_t)code[1]);
	write64(0x10010018, 8);
	write32(0x10010000, 1);
	EQUAL(read32(0x10010004), 1);
	EQUAL(run(code[1]), 2);
}

static void alias_body(uint64_t alias)
{
	volatile uint32_t *w = (uint32_t *)alias;

	for (unsigned int i = 0; i < 20; i++) {
		w[0] = LI_A0(i + 100);
		EQUAL(run(code[0]), i + 100);
	}
}

/* A page mapped twice: written through one, run through the other. */
static void aliases(void)
{
	tables[0][2] = 0x80000000ul >> 2 | 0xcf;
	tables[0][0] = 0xcf;
	tables[0][1] = (uint64_t)tables[1] >> 2 | 1;
	tables[1][0] = (uint64_t)tables[2] >> 2 | 1;
	tables[2][0] = (uint64_t)code[0] >> 2 | 0xc7;
	WRITE_CSR(satp, 8ul << 60 | (uint64_t)tables >> 12);
	asm volatile("sfence.vma");
	EQUAL(try(S, alias_body, 0x40000000, 0), NONE);
}

/* The two halves of one instruction in pages that are not neighbours. */
static void crossing(void)
{
	uint16_t *first = (uint16_t *)code[1], *second = (uint16_t *)code[0];

	first[2047] = (uint16_t)LI_A0(123);
	second[0] = (uint16_t)(LI_A0(123) >> 16);
	second[1] = 0x8082; /* c.jr ra */
	tables[2][0] = (uint64_t)code[1] >> 2 | 0xcf;
	tables[2][1] = (uint64_t)code[0] >> 2 | 0xcf;
	asm volatile("sfence.vma");
	EQUAL(TRY_CALL(S, 0x40000ffe), NONE);
	EQUAL(trap_result, 123);
	second[0] = (uint16_t)(LI_A0(99) >> 16);
	EQUAL(TRY_CALL(S, 0x40000ffe), NONE);
	EQUAL(trap_result, 99);
	tables[2][1] = 0;
	asm volatile("sfence.vma");
	EQUAL(TRY_CALL(S, 0x40000ffe), FETCH_PAGE);
	EQUAL(trap_value, 0x40001000);
	EQUAL(trap_pc, 0x40000ffe);
	WRITE_CSR(satp, 0);
}

int main(void)
{
	stores();
	dma();
	aliases();
	crossing();
	return 0;
}
