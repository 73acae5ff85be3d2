/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exceptions and modes: causes, values, delegation, mret and sret, TVM/TW/TSR, counters, WARL
 * fields.
 */
#include "rt.h"

static void illegal(void)
{
	asm volatile(".word 0xffffffff");
}
static void illegal_short(void)
{
	asm volatile(".option push\n.option norvc\n.half 0\n.half 0\n.option pop");
}
static void breakpoint(void)
{
	asm volatile("ebreak");
}
static void call(void)
{
	asm volatile("li a7, 1\n\tecall" ::: "a7");
}
static void read_mstatus(void)
{
	READ_CSR(mstatus);
}
static void write_cycle(void)
{
	asm volatile("csrw cycle, zero");
}
static void read_cycle(void)
{
	READ_CSR(cycle);
}
static uint64_t read_time(void)
{
	return READ_CSR(time);
}
static void read_satp(void)
{
	READ_CSR(satp);
}
static void sfence(void)
{
	asm volatile("sfence.vma");
}
static void supervisor_return(void)
{
	asm volatile("la t0, try_return\n\tcsrw sepc, t0\n\tsret" ::: "t0");
}
static void machine_return(void)
{
	asm volatile("mret");
}
static void wait(void)
{
	asm volatile("wfi");
}
static void jump_odd_page(void)
{
	asm volatile("li t0, 0x40000000\n\tjr t0" ::: "t0");
}
static uint64_t scratch_round(uint64_t v)
{
	WRITE_CSR(sscratch, v);
	return READ_CSR(sscratch);
}

static void exceptions(void)
{
	EQUAL(try(M, illegal, 0, 0), ILLEGAL);
	EQUAL(trap_value, 0xffffffff);
	EQUAL(trap_pc & ~3ul, (uint64_t)illegal & ~3ul);
	EQUAL(try(S, illegal_short, 0, 0), ILLEGAL);
	EQUAL(trap_value, 0);
	EQUAL(try(U, breakpoint, 0, 0), BREAKPOINT);
	EQUAL(try(U, call, 0, 0), ECALL_U);
	EQUAL(try(S, call, 0, 0), ECALL_S);
	EQUAL(try(M, call, 0, 0), 11);
	EQUAL(try(U, read_mstatus, 0, 0), ILLEGAL);
	EQUAL(try(S, read_mstatus, 0, 0), ILLEGAL);
	EQUAL(try(M, write_cycle, 0, 0), ILLEGAL);
	EQUAL(TRY_LOAD(M, 0x40000000), LOAD_ACCESS);
	EQUAL(trap_value, 0x40000000);
	EQUAL(TRY_STORE(M, 0x40000000, 1), STORE_ACCESS);
	EQUAL(try(M, jump_odd_page, 0, 0), FETCH_ACCESS);
	EQUAL(trap_value, 0x40000000);
	EQUAL(trap_pc, 0x40000000);
	EQUAL(TRY_STORE(M, 0x1000, 1), STORE_ACCESS); /* the boot ROM */
	EQUAL(try(S, machine_return, 0, 0), ILLEGAL);
	EQUAL(try(U, supervisor_return, 0, 0), ILLEGAL);
	EQUAL(try(S, supervisor_return, 0, 0), NONE);
	EQUAL(try(S, scratch_round, 0x1234, 0), NONE);
	EQUAL(trap_result, 0x1234);
}

/* What a delegated trap does: the handler tells M-mode by an ecall. */
static void supervisor_handler(void)
{
	asm volatile(".align 2\n\tcsrr a0, scause\n\tcsrr a1, stval\n\tli a7, 0x7272\n\tecall" ::
			     : "a0", "a1", "a7");
}

static void delegation(void)
{
	WRITE_CSR(stvec, supervisor_handler);
	WRITE_CSR(medeleg, -1ul);
	EQUAL(READ_CSR(medeleg), 0xb3ff);
	WRITE_CSR(medeleg, 1 << ILLEGAL | 1 << LOAD_ACCESS);
	EQUAL(try(U, illegal, 0, 0), NONE);
	EQUAL(trap_result, ILLEGAL);
	EQUAL(READ_CSR(stval), 0xffffffff);
	EQUAL(trap_status >> 8 & 1, 0); /* SPP: from U */
	EQUAL(TRY_LOAD(S, 0x40000000), NONE);
	EQUAL(READ_CSR(scause), LOAD_ACCESS);
	EQUAL(trap_status >> 8 & 1, 1);
	EQUAL(try(M, illegal, 0, 0), ILLEGAL); /* never to a less privileged mode */
	WRITE_CSR(medeleg, 0);
}

static void controls(void)
{
	SET_CSR(mstatus, 1 << 20 | 1 << 21 | 1 << 22); /* TVM, TW, TSR */
	EQUAL(try(S, read_satp, 0, 0), ILLEGAL);
	EQUAL(try(S, sfence, 0, 0), ILLEGAL);
	EQUAL(try(S, supervisor_return, 0, 0), ILLEGAL);
	EQUAL(try(S, wait, 0, 0), ILLEGAL);
	CLEAR_CSR(mstatus, 1 << 20 | 1 << 21 | 1 << 22);
	EQUAL(try(S, read_satp, 0, 0), NONE);
	EQUAL(try(S, sfence, 0, 0), NONE);
	WRITE_CSR(mcounteren, 0);
	EQUAL(try(S, read_cycle, 0, 0), ILLEGAL);
	WRITE_CSR(mcounteren, 7);
	WRITE_CSR(scounteren, 0);
	EQUAL(try(S, read_cycle, 0, 0), NONE);
	EQUAL(try(U, read_time, 0, 0), ILLEGAL);
	WRITE_CSR(scounteren, 2);
	EQUAL(try(U, read_time, 0, 0), NONE);
	EQUAL(try(U, read_cycle, 0, 0), ILLEGAL);
}

static void fields(void)
{
	uint64_t before, after;

	WRITE_CSR(mepc, 0x1003);
	EQUAL(READ_CSR(mepc), 0x1002);
	SET_CSR(mstatus, 3 << 11);
	CLEAR_CSR(mstatus, 1 << 11); /* 2 is no mode: nothing changes */
	EQUAL(READ_CSR(mstatus) >> 11 & 3, 3);
	WRITE_CSR(satp, 7ul << 60 | 5);
	EQUAL(READ_CSR(satp), 0);
	EQUAL(READ_CSR(misa) >> 62, 2);
	EQUAL(READ_CSR(mstatus) >> 32 & 0xf, 0xa); /* SXL, UXL: 64 */
	WRITE_CSR(mideleg, -1ul);
	EQUAL(READ_CSR(mideleg), 0x222);
	WRITE_CSR(mideleg, 0);
	/* minstret counts exactly */
	asm volatile("csrr %0, minstret\n\tnop\n\tnop\n\tnop\n\tcsrr %1, minstret"
		     : "=r"(before), "=r"(after));
	EQUAL(after - before, 4);
	asm volatile("csrw minstret, %2\n\tcsrr %0, minstret\n\tnop\n\tcsrr %1, minstret"
		     : "=&r"(before), "=&r"(after)
		     : "r"(1000ul));
	EQUAL(before, 1000);
	EQUAL(after, 1002);
	asm volatile("csrrci %0, fflags, 0"
		     : "=r"(before)); /* reads, does not write: legal everywhere */
	EQUAL(read_time() > 0, 1);
}

int main(void)
{
	exceptions();
	delegation();
	controls();
	fields();
	return 0;
}
