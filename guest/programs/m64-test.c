/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The m64emu module on ordinary memory, without a DSA: each addressing mode, pages not present on
 * either side, and the cases that real processors refuse.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/dsa.h"
#include "common/report.h"

#define PAGE 4096

static sigjmp_buf escape;

static void on_signal(int number)
{
	siglongjmp(escape, number);
}

static uint8_t *pages(size_t count)
{
	void *p = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static void number(uint8_t *at, unsigned int first)
{
	for (unsigned int i = 0; i < 64; i++)
		at[i] = first + i;
}

static void addressing_modes(void)
{
	uint8_t *from = pages(3), *to = pages(1);
	unsigned long index = 64;
	bool pass = true;

	number(from, 1);
	number(from + 64, 2);
	number(from + 128, 3);
	number(from + 64 + 512, 4);
	movdir64b(to, from);
	pass &= !memcmp(to, from, 64);
	/* movdir64b 64(%rdx), %rax */
	asm volatile(".byte 0x66, 0x0f, 0x38, 0xf8, 0x42, 0x40" : : "a"(to + 64), "d"(from) : "memory");
	pass &= !memcmp(to + 64, from + 64, 64);
	/* movdir64b 512(%rdx,%rcx,1), %r8 */
	register uint8_t *r8 asm("r8") = to + 128;
	asm volatile(".byte 0x66, 0x44, 0x0f, 0x38, 0xf8, 0x84, 0x0a, 0x00, 0x02, 0x00, 0x00"
		     : : "r"(r8), "d"(from), "c"(index) : "memory");
	pass &= !memcmp(to + 128, from + 64 + 512, 64);
	/* movdir64b (%r9,%rcx,2), %rax */
	register uint8_t *r9 asm("r9") = from;
	asm volatile(".byte 0x66, 0x41, 0x0f, 0x38, 0xf8, 0x04, 0x49"
		     : : "a"(to + 192), "r"(r9), "c"(index) : "memory");
	pass &= !memcmp(to + 192, from + 128, 64);
	report_check("movdir64b: addressing modes", pass, "register, displacement, index, extended registers");
}

static void absent_pages(void)
{
	uint8_t *from = pages(2), *to = pages(1);
	static const uint8_t zero[64];

	memset(to, 0xff, 64);
	madvise(to, PAGE, MADV_DONTNEED);
	movdir64b(to, from + PAGE - 32);
	report_check("movdir64b: absent pages", !memcmp(to, zero, 64), "source over a page border, destination");
}

/* The number of the signal that the instruction raises. */
static int signal_of(void *to, const void *from, bool enqueue)
{
	int number = sigsetjmp(escape, 1);

	if (number)
		return number;
	if (enqueue)
		enqcmd(to, from);
	else
		movdir64b(to, from);
	return 0;
}

static void refusals(void)
{
	uint8_t *memory = pages(2);
	uint8_t *gone = pages(1);
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	munmap(gone, PAGE);
	report_check("movdir64b: misaligned destination", signal_of(memory + 8, memory + PAGE, false) == SIGSEGV,
		     "SIGSEGV");
	report_check("movdir64b: unmapped source", signal_of(memory, gone, false) == SIGSEGV, "SIGSEGV");
	report_check("movdir64b: unmapped destination", signal_of(gone, memory, false) == SIGSEGV, "SIGSEGV");
	mprotect(memory + PAGE, PAGE, PROT_READ);
	report_check("movdir64b: read-only destination", signal_of(memory + PAGE, memory, false) == SIGSEGV,
		     "SIGSEGV");
	report_check("enqcmd: no PASID", own_pasid() == -1 && signal_of(memory, memory + 64, true) == SIGSEGV,
		     "SIGSEGV");
}

int main(void)
{
	addressing_modes();
	absent_pages();
	refusals();
	return report_failed();
}
