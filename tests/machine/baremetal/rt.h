/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The few words every bare-metal test uses. A failed CHECK ends the run: exit status 1, and a line
 * that says where.
 */
#ifndef BAREMETAL_RT_H
#define BAREMETAL_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { U = 0, S = 1, M = 3 };
enum {
	FETCH_ACCESS = 1,
	ILLEGAL = 2,
	BREAKPOINT = 3,
	LOAD_MISALIGNED = 4,
	LOAD_ACCESS = 5,
	STORE_MISALIGNED = 6,
	STORE_ACCESS = 7,
	ECALL_U = 8,
	ECALL_S = 9,
	FETCH_PAGE = 12,
	LOAD_PAGE = 13,
	STORE_PAGE = 15
};
#define NONE	     (-1l)
#define INTERRUPT(n) ((long)(1ul << 63 | (n)))

long try(int mode, void *function, uint64_t a, uint64_t b);
void finish(long status) __attribute__((noreturn));
extern volatile uint64_t trap_value, trap_pc, trap_result, trap_status, hart_entry;
int main(void);

#define READ_CSR(name)                                                \
	({                                                            \
		uint64_t v_;                                          \
		asm volatile("csrr %0, " #name : "=r"(v_)::"memory"); \
		v_;                                                   \
	})
#define WRITE_CSR(name, v) asm volatile("csrw " #name ", %0" ::"r"((uint64_t)(v)) : "memory")
#define SET_CSR(name, v)   asm volatile("csrs " #name ", %0" ::"r"((uint64_t)(v)) : "memory")
#define CLEAR_CSR(name, v) asm volatile("csrc " #name ", %0" ::"r"((uint64_t)(v)) : "memory")

static inline uint64_t read64(uint64_t a)
{
	return *(volatile uint64_t *)a;
}
static inline uint32_t read32(uint64_t a)
{
	return *(volatile uint32_t *)a;
}
static inline void write64(uint64_t a, uint64_t v)
{
	*(volatile uint64_t *)a = v;
}
static inline void write32(uint64_t a, uint32_t v)
{
	*(volatile uint32_t *)a = v;
}
static inline void write8(uint64_t a, uint8_t v)
{
	*(volatile uint8_t *)a = v;
}

static inline void print(const char *text)
{
	while (*text)
		write8(0x10000000, (uint8_t)*text++);
}

static inline void print_hex(uint64_t v)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		write8(0x10000000, (uint8_t) "0123456789abcdef"[v >> shift & 15]);
}

static inline void check_failed(const char *file, int line, const char *what, uint64_t got)
{
	print(file);
	write8(0x10000000, ':');
	for (int d = 1000; d; d /= 10)
		write8(0x10000000, (uint8_t)('0' + line / d % 10));
	print(": ");
	print(what);
	print(": got ");
	print_hex(got);
	print("\n");
	finish(1);
}

#define CHECK(e)                                                 \
	do {                                                     \
		if (!(e))                                        \
			check_failed(__FILE__, __LINE__, #e, 0); \
	} while (0)
#define EQUAL(e, wanted)                                            \
	do {                                                        \
		uint64_t got_ = (uint64_t)(e);                      \
		if (got_ != (uint64_t)(wanted))                     \
			check_failed(__FILE__, __LINE__, #e, got_); \
	} while (0)

/* Functions for try(). */
static inline uint64_t do_load(uint64_t a)
{
	return read64(a);
}
static inline void do_store(uint64_t a, uint64_t v)
{
	write64(a, v);
}
static inline uint64_t do_amo(uint64_t a, uint64_t v)
{
	uint64_t old;

	asm volatile("amoadd.d %0, %2, (%1)" : "=r"(old) : "r"(a), "r"(v) : "memory");
	return old;
}
#define TRY_LOAD(mode, a)     try(mode, do_load, (uint64_t)(a), 0)
#define TRY_STORE(mode, a, v) try(mode, do_store, (uint64_t)(a), v)
#define TRY_AMO(mode, a, v)   try(mode, do_amo, (uint64_t)(a), v)
#define TRY_CALL(mode, a)     try(mode, (void *)(a), 0, 0)

/* A page of memory that is only data. */
#define PAGE __attribute__((aligned(4096)))

#endif
