/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The integer instructions: edges of M, of the W forms, and Zba, Zbb and Zbs, each against the
 * value the manual gives.
 */
#include "rt.h"

#define OP2(name, a, b)                                                 \
	({                                                              \
		uint64_t r_;                                            \
		asm volatile(name " %0, %1, %2"                         \
			     : "=r"(r_)                                 \
			     : "r"((uint64_t)(a)), "r"((uint64_t)(b))); \
		r_;                                                     \
	})
#define OP1(name, a)                                                          \
	({                                                                    \
		uint64_t r_;                                                  \
		asm volatile(name " %0, %1" : "=r"(r_) : "r"((uint64_t)(a))); \
		r_;                                                           \
	})
#define OPI(name, a, imm)                                                            \
	({                                                                           \
		uint64_t r_;                                                         \
		asm volatile(name " %0, %1, " #imm : "=r"(r_) : "r"((uint64_t)(a))); \
		r_;                                                                  \
	})

#define MIN64 0x8000000000000000ul

static void base(void)
{
	EQUAL(OP2("addw", 0x7fffffff, 1), 0xffffffff80000000ul);
	EQUAL(OP2("subw", 0, 0x80000000), 0xffffffff80000000ul);
	EQUAL(OP2("sll", 1, 65), 2);
	EQUAL(OP2("sllw", 1, 31), 0xffffffff80000000ul);
	EQUAL(OP2("srlw", 0xffffffff80000000ul, 31), 1);
	EQUAL(OP2("sraw", 0x80000000, 31), -1ul);
	EQUAL(OP2("sra", MIN64, 63), -1ul);
	EQUAL(OP2("slt", -1ul, 0), 1);
	EQUAL(OP2("sltu", -1ul, 0), 0);
	EQUAL(OPI("slti", -5ul, -4), 1);
	EQUAL(OPI("sltiu", 5, -1), 1);
	EQUAL(OPI("xori", 0xff, -1), ~0xfful);
	EQUAL(OPI("srliw", 0xf00000000ul | 0x80000000, 4), 0x8000000);
	EQUAL(OPI("sraiw", 0x80000000, 4), 0xfffffffff8000000ul);
	EQUAL(OPI("addiw", 0x17fffffff, 1), 0xffffffff80000000ul);
}

static void multiply(void)
{
	EQUAL(OP2("mul", MIN64, -1ul), MIN64);
	EQUAL(OP2("mulh", MIN64, MIN64), 0x4000000000000000ul);
	EQUAL(OP2("mulhu", -1ul, -1ul), -2ul);
	EQUAL(OP2("mulhsu", -1ul, -1ul), -1ul);
	EQUAL(OP2("mulhsu", MIN64, 2), -1ul);
	EQUAL(OP2("mulw", 0x10000, 0x8000), 0xffffffff80000000ul);
	/* Unprivileged 13.2: no trap, defined results */
	EQUAL(OP2("div", 5, 0), -1ul);
	EQUAL(OP2("divu", 5, 0), -1ul);
	EQUAL(OP2("rem", 5, 0), 5);
	EQUAL(OP2("remu", 5, 0), 5);
	EQUAL(OP2("div", MIN64, -1ul), MIN64);
	EQUAL(OP2("rem", MIN64, -1ul), 0);
	EQUAL(OP2("div", -7ul, 2), -3ul);
	EQUAL(OP2("rem", -7ul, 2), -1ul);
	EQUAL(OP2("divw", 0x80000000, -1ul), 0xffffffff80000000ul);
	EQUAL(OP2("divuw", 0xffffffff00000005ul, 0), -1ul);
	EQUAL(OP2("remuw", 0x80000005, 0), 0xffffffff80000005ul);
	EQUAL(OP2("remw", 0x80000000, -1ul), 0);
}

static void zba(void)
{
	EQUAL(OP2("sh1add", 3, 5), 11);
	EQUAL(OP2("sh2add", 3, 5), 17);
	EQUAL(OP2("sh3add", 3, 5), 29);
	EQUAL(OP2("add.uw", 0xffffffff00000001ul, 5), 6);
	EQUAL(OP2("sh3add.uw", 0xffffffff00000001ul, 5), 13);
	EQUAL(OPI("slli.uw", 0xffffffffffffffff, 4), 0xffffffff0ul);
}

static void zbb(void)
{
	EQUAL(OP2("andn", 0xff, 0x0f), 0xf0);
	EQUAL(OP2("orn", 0, 0), -1ul);
	EQUAL(OP2("xnor", 5, 5), -1ul);
	EQUAL(OP1("clz", 0), 64);
	EQUAL(OP1("clz", 1), 63);
	EQUAL(OP1("ctz", 0), 64);
	EQUAL(OP1("ctz", 8), 3);
	EQUAL(OP1("cpop", -1ul), 64);
	EQUAL(OP1("clzw", 0xffffffff00000000ul), 32);
	EQUAL(OP1("ctzw", 0xffffffff00000000ul), 32);
	EQUAL(OP1("cpopw", -1ul), 32);
	EQUAL(OP2("max", -1ul, 1), 1);
	EQUAL(OP2("maxu", -1ul, 1), -1ul);
	EQUAL(OP2("min", -1ul, 1), -1ul);
	EQUAL(OP2("minu", -1ul, 1), 1);
	EQUAL(OP1("sext.b", 0x80), -128ul);
	EQUAL(OP1("sext.h", 0x8000), -32768ul);
	EQUAL(OP1("zext.h", -1ul), 0xffff);
	EQUAL(OP2("rol", MIN64, 1), 1);
	EQUAL(OP2("ror", 1, 1), MIN64);
	EQUAL(OP2("rolw", 0x80000000, 1), 1);
	EQUAL(OP2("rorw", 1, 1), 0xffffffff80000000ul);
	EQUAL(OPI("rori", 1, 4), 0x1000000000000000ul);
	EQUAL(OPI("roriw", 1, 4), 0x10000000);
	EQUAL(OP1("orc.b", 0x0100800000000001ul), 0xff00ff00000000fful);
	EQUAL(OP1("rev8", 0x0102030405060708ul), 0x0807060504030201ul);
}

static void zbs(void)
{
	EQUAL(OP2("bset", 0, 63), MIN64);
	EQUAL(OP2("bclr", -1ul, 64), -2ul);
	EQUAL(OP2("binv", 1, 0), 0);
	EQUAL(OP2("bext", 4, 2), 1);
	EQUAL(OPI("bseti", 0, 40), 1ul << 40);
	EQUAL(OPI("bclri", -1ul, 40), ~(1ul << 40));
	EQUAL(OPI("binvi", 0, 63), MIN64);
	EQUAL(OPI("bexti", MIN64, 63), 1);
}

static uint8_t bytes[32] PAGE = { 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88 };

static void memory(void)
{
	uint64_t r, a = (uint64_t)bytes;

	asm volatile("lb %0, 0(%1)" : "=r"(r) : "r"(a));
	EQUAL(r, -128ul);
	asm volatile("lbu %0, 0(%1)" : "=r"(r) : "r"(a));
	EQUAL(r, 0x80);
	asm volatile("lh %0, 0(%1)" : "=r"(r) : "r"(a));
	EQUAL(r, 0xffffffffffff8180ul);
	asm volatile("lhu %0, 0(%1)" : "=r"(r) : "r"(a));
	EQUAL(r, 0x8180);
	asm volatile("lw %0, 0(%1)" : "=r"(r) : "r"(a));
	EQUAL(r, 0xffffffff83828180ul);
	asm volatile("lwu %0, 0(%1)" : "=r"(r) : "r"(a));
	EQUAL(r, 0x83828180);
	asm volatile("ld %0, 1(%1)" : "=r"(r) : "r"(a)); /* misaligned is done */
	EQUAL(r, 0x8887868584838281ul);
	asm volatile("sd %0, 9(%1)" : : "r"(0x1122334455667788ul), "r"(a) : "memory");
	EQUAL(bytes[9], 0x88);
	EQUAL(bytes[16], 0x11);
	EQUAL(bytes[17], 0);
	asm volatile("sh %0, 20(%1)" : : "r"(0x112233ul), "r"(a) : "memory");
	EQUAL(bytes[22], 0);
}

static uint64_t fibonacci(uint64_t n)
{
	return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

int main(void)
{
	base();
	multiply();
	zba();
	zbb();
	zbs();
	memory();
	EQUAL(fibonacci(20), 6765);
	return 0;
}
