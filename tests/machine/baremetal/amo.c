/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Atomics: every AMO in both widths, LR/SC pairs that succeed and that must not, and what
 * misaligned ones do.
 */
#include "rt.h"

static uint64_t word PAGE;
static uint64_t other PAGE;

#define AMO(name, initial, operand, result_)                        \
	do {                                                        \
		uint64_t old_;                                      \
		word = (uint64_t)(initial);                         \
		asm volatile(name " %0, %2, (%1)"                   \
			     : "=r"(old_)                           \
			     : "r"(&word), "r"((uint64_t)(operand)) \
			     : "memory");                           \
		EQUAL(old_, initial);                               \
		EQUAL(word, result_);                               \
	} while (0)

static void doubles(void)
{
	AMO("amoswap.d", 5, 7, 7);
	AMO("amoadd.d.aqrl", -1ul, 2, 1);
	AMO("amoxor.d", 6, 3, 5);
	AMO("amoand.d", 6, 3, 2);
	AMO("amoor.d", 6, 3, 7);
	AMO("amomin.d", -1ul, 3, -1ul);
	AMO("amomax.d", -1ul, 3, 3);
	AMO("amominu.d", -1ul, 3, 3);
	AMO("amomaxu.d", -1ul, 3, -1ul);
}

static void words(void)
{
	uint64_t old;

	word = 0x1111111180000000ul;
	asm volatile("amoadd.w %0, %2, (%1)" : "=r"(old) : "r"(&word), "r"(1ul) : "memory");
	EQUAL(old, 0xffffffff80000000ul);
	EQUAL(word, 0x1111111180000001ul);
	asm volatile("amomaxu.w %0, %2, (%1)"
		     : "=r"(old)
		     : "r"(&word), "r"(0xffffffff00000005ul)
		     : "memory");
	EQUAL(word, 0x1111111180000001ul);
	asm volatile("amomin.w %0, %2, (%1)" : "=r"(old) : "r"(&word), "r"(5ul) : "memory");
	EQUAL(word, 0x1111111180000001ul);
	asm volatile("amoswap.w %0, %2, (%1)"
		     : "=r"(old)
		     : "r"((uint64_t)&word + 4), "r"(9ul)
		     : "memory");
	EQUAL(old, 0x11111111);
	EQUAL(word, 0x980000001ul);
}

static uint64_t pair(uint64_t *load, uint64_t *store, uint64_t v)
{
	uint64_t old, failed;

	asm volatile("lr.d %0, (%2)\n\tsc.d %1, %4, (%3)"
		     : "=&r"(old), "=&r"(failed)
		     : "r"(load), "r"(store), "r"(v)
		     : "memory");
	return failed;
}

static uint64_t misaligned_lr(uint64_t a)
{
	uint64_t v;

	asm volatile("lr.d %0, (%1)" : "=r"(v) : "r"(a));
	return v;
}

int main(void)
{
	uint64_t failed;

	doubles();
	words();
	word = 1;
	EQUAL(pair(&word, &word, 2), 0);
	EQUAL(word, 2);
	/* Unprivileged 14.2: an SC to an address that is not reserved fails and stores nothing */
	EQUAL(pair(&word, &other, 3) != 0, 1);
	EQUAL(other, 0);
	asm volatile("sc.d %0, %2, (%1)" : "=r"(failed) : "r"(&word), "r"(9ul) : "memory");
	EQUAL(failed != 0, 1);
	EQUAL(word, 2);
	EQUAL(TRY_AMO(M, (uint64_t)&word + 4, 1), STORE_MISALIGNED);
	EQUAL(trap_value, (uint64_t)&word + 4);
	EQUAL(try(M, misaligned_lr, (uint64_t)&word + 4, 0), LOAD_MISALIGNED);
	/* no atomics on devices */
	EQUAL(TRY_AMO(M, 0x200bff8, 0), STORE_ACCESS);
	return 0;
}
