/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Floating point: rounding modes, flags, NaNs, boxing, conversions that saturate, and the FS field.
 */
#include "rt.h"

enum { NX = 1, UF = 2, OF = 4, DZ = 8, NV = 16 };
#define NAN64  0x7ff8000000000000ul
#define SNAN64 0x7ff0000000000001ul
#define INF64  0x7ff0000000000000ul
#define BOX(v) (0xffffffff00000000ul | (v))

#define D2(name, a, b)                                                                           \
	({                                                                                       \
		uint64_t r_;                                                                     \
		WRITE_CSR(fflags, 0);                                                            \
		asm volatile("fmv.d.x ft0, %1\n\tfmv.d.x ft1, %2\n\t" name "\n\tfmv.x.d %0, ft2" \
			     : "=r"(r_)                                                          \
			     : "r"((uint64_t)(a)), "r"((uint64_t)(b))                            \
			     : "ft0", "ft1", "ft2");                                             \
		r_;                                                                              \
	})
#define X1(name, a)                                                                               \
	({                                                                                        \
		uint64_t r_;                                                                      \
		WRITE_CSR(fflags, 0);                                                             \
		asm volatile("fmv.d.x ft0, %1\n\t" name : "=r"(r_) : "r"((uint64_t)(a)) : "ft0"); \
		r_;                                                                               \
	})
#define FLAGS() READ_CSR(fflags)

static const uint64_t one = 0x3ff0000000000000ul, third = 0x3fd5555555555555ul,
		      three = 0x4008000000000000ul;

static void arithmetic(void)
{
	EQUAL(D2("fadd.d ft2, ft0, ft1", one, one), 0x4000000000000000ul);
	EQUAL(FLAGS(), 0);
	EQUAL(D2("fdiv.d ft2, ft0, ft1", one, three), third);
	EQUAL(FLAGS(), NX);
	EQUAL(D2("fdiv.d ft2, ft0, ft1, rup", one, three), third + 1);
	EQUAL(FLAGS(), NX);
	EQUAL(D2("fdiv.d ft2, ft0, ft1, rtz", 0xbff0000000000000ul, three), third | 1ul << 63);
	EQUAL(D2("fdiv.d ft2, ft0, ft1, rdn", 0xbff0000000000000ul, three),
	      (third + 1) | 1ul << 63);
	EQUAL(D2("fdiv.d ft2, ft0, ft1", one, 0), INF64);
	EQUAL(FLAGS(), DZ);
	EQUAL(D2("fsub.d ft2, ft0, ft1", INF64, INF64), NAN64);
	EQUAL(FLAGS(), NV);
	EQUAL(D2("fadd.d ft2, ft0, ft1", 0x7ff8dead00000000ul, one),
	      NAN64); /* payloads do not travel */
	EQUAL(FLAGS(), 0);
	EQUAL(D2("fadd.d ft2, ft0, ft1", SNAN64, one), NAN64);
	EQUAL(FLAGS(), NV);
	EQUAL(D2("fmul.d ft2, ft0, ft1", 0x7fe0000000000000ul, 0x7fe0000000000000ul), INF64);
	EQUAL(FLAGS(), OF | NX);
	EQUAL(D2("fmul.d ft2, ft0, ft1, rtz", 0x7fe0000000000000ul, 0x7fe0000000000000ul),
	      INF64 - 1);
	EQUAL(D2("fmul.d ft2, ft0, ft1", 1, 0x3fe0000000000000ul),
	      0); /* half the least subnormal, to even */
	EQUAL(FLAGS(), UF | NX);
	EQUAL(D2("fmul.d ft2, ft0, ft1, rmm", 1, 0x3fe0000000000000ul), 1);
	EQUAL(FLAGS(), UF | NX);
	EQUAL(D2("fsqrt.d ft2, ft0", 0x4000000000000000ul, 0), 0x3ff6a09e667f3bcdul);
	EQUAL(D2("fsqrt.d ft2, ft0, rdn", 0x4000000000000000ul, 0), 0x3ff6a09e667f3bccul);
	EQUAL(D2("fsqrt.d ft2, ft0", 0xbff0000000000000ul, 0), NAN64);
	EQUAL(FLAGS(), NV);
	EQUAL(D2("fsub.d ft2, ft0, ft1, rdn", one, one),
	      1ul << 63); /* exact zero: minus when rounding down */
}

static void fused(void)
{
	uint64_t r;

	EQUAL(D2("fmadd.d ft2, ft0, ft0, ft1", three, one), 0x4024000000000000ul);
	EQUAL(D2("fnmsub.d ft2, ft0, ft0, ft1", three, one), 0xc020000000000000ul);
	EQUAL(D2("fmsub.d ft2, ft0, ft0, ft1", three, one), 0x4020000000000000ul);
	EQUAL(D2("fnmadd.d ft2, ft0, ft0, ft1", three, one), 0xc024000000000000ul);
	/* one rounding only: (1+2^-52)^2 - (1+2^-51) = 2^-104 */
	EQUAL(D2("fmsub.d ft2, ft0, ft0, ft1", one + 1, one + 2), 0x3970000000000000ul);
	EQUAL(FLAGS(), 0);
	EQUAL(D2("fmsub.d ft2, ft0, ft0, ft1, rup", one + 1, one + 2), 0x3970000000000000ul);
	/* Unprivileged 20.6: infinity times zero is invalid whatever is added */
	WRITE_CSR(fflags, 0);
	asm volatile(
		"fmv.d.x ft0, %1\n\tfmv.d.x ft1, zero\n\tfmv.d.x ft2, %2\n\tfmadd.d ft3, ft0, ft1, ft2\n\tfmv.x.d %0, ft3"
		: "=r"(r)
		: "r"(INF64), "r"(NAN64)
		: "ft0", "ft1", "ft2", "ft3");
	EQUAL(r, NAN64);
	EQUAL(FLAGS(), NV);
}

static void boxing(void)
{
	/* an unboxed single is the canonical NaN */
	EQUAL(D2("fadd.s ft2, ft0, ft1", 0x3f800000, BOX(0x3f800000)), BOX(0x7fc00000));
	EQUAL(D2("fadd.s ft2, ft0, ft1", BOX(0x3f800000), BOX(0x3f800000)), BOX(0x40000000));
	EQUAL(D2("fsgnjn.s ft2, ft0, ft0", BOX(0x3f800000), 0), BOX(0xbf800000));
	EQUAL(D2("fmv.w.x ft2, zero", 0, 0), BOX(0));
	EQUAL(X1("fmv.x.w %0, ft0", 0x12345678ul | 1ul << 31), 0xffffffff92345678ul);
	EQUAL(D2("fcvt.d.s ft2, ft0", BOX(0x3fc00000), 0), 0x3ff8000000000000ul);
	EQUAL(D2("fcvt.s.d ft2, ft0", 0x3ff0000000000001ul, 0), BOX(0x3f800000));
	EQUAL(FLAGS(), NX);
	EQUAL(D2("fcvt.s.d ft2, ft0, rup", 0x3ff0000000000001ul, 0), BOX(0x3f800001));
	EQUAL(D2("fcvt.s.d ft2, ft0", SNAN64, 0), BOX(0x7fc00000));
	EQUAL(FLAGS(), NV);
	/* tininess after rounding: 2^-126 - 2^-151 rounds up to the least normal number and is not
	 * tiny */
	EQUAL(D2("fcvt.s.d ft2, ft0", 0x380ffffffff00000ul, 0), BOX(0x00800000));
	EQUAL(FLAGS(), NX);
}

static void conversions(void)
{
	EQUAL(X1("fcvt.w.d %0, ft0, rtz", 0x41e0000000000000ul), 0x7fffffff); /* 2^31 saturates */
	EQUAL(FLAGS(), NV);
	EQUAL(X1("fcvt.w.d %0, ft0, rtz", 0xc1e0000000000000ul), 0xffffffff80000000ul);
	EQUAL(FLAGS(), 0);
	EQUAL(X1("fcvt.wu.d %0, ft0, rtz", 0x41e0000000000000ul),
	      0xffffffff80000000ul); /* sign-extended */
	EQUAL(X1("fcvt.wu.d %0, ft0, rtz", 0xbff0000000000000ul), 0);
	EQUAL(FLAGS(), NV);
	EQUAL(X1("fcvt.wu.d %0, ft0, rtz", 0xbfe0000000000000ul), 0); /* -0.5 truncates to 0 */
	EQUAL(FLAGS(), NX);
	EQUAL(X1("fcvt.l.d %0, ft0", NAN64), 0x7ffffffffffffffful);
	EQUAL(FLAGS(), NV);
	EQUAL(X1("fcvt.lu.d %0, ft0", 0xfff0000000000000ul), 0);
	EQUAL(X1("fcvt.l.d %0, ft0, rne", 0x4004000000000000ul), 2); /* 2.5 */
	EQUAL(X1("fcvt.l.d %0, ft0, rmm", 0x4004000000000000ul), 3);
	EQUAL(X1("fcvt.l.d %0, ft0, rdn", 0xc004000000000000ul), -3ul);
	EQUAL(X1("fcvt.l.d %0, ft0, rup", 0xc004000000000000ul), -2ul);
	EQUAL(D2("fcvt.d.l ft2, %1", -3ul, 0), 0xc008000000000000ul);
	EQUAL(D2("fcvt.d.lu ft2, %1", -1ul, 0), 0x43f0000000000000ul);
	EQUAL(FLAGS(), NX);
	EQUAL(D2("fcvt.d.lu ft2, %1, rtz", -1ul, 0), 0x43effffffffffffful);
	EQUAL(D2("fcvt.s.w ft2, %1", 0x1000001, 0), BOX(0x4b800000));
}

static void comparisons(void)
{
	EQUAL(X1("feq.d %0, ft0, ft0", NAN64), 0);
	EQUAL(FLAGS(), 0);
	EQUAL(X1("flt.d %0, ft0, ft0", NAN64), 0);
	EQUAL(FLAGS(), NV);
	EQUAL(X1("feq.d %0, ft0, ft0", SNAN64), 0);
	EQUAL(FLAGS(), NV);
	EQUAL(X1("fle.d %0, ft0, ft0", one), 1);
	EQUAL(D2("fmin.d ft2, ft0, ft1", 0, 1ul << 63), 1ul << 63);
	EQUAL(D2("fmax.d ft2, ft0, ft1", 1ul << 63, 0), 0);
	EQUAL(D2("fmin.d ft2, ft0, ft1", NAN64, one), one);
	EQUAL(FLAGS(), 0);
	EQUAL(D2("fmax.d ft2, ft0, ft1", SNAN64, one), one);
	EQUAL(FLAGS(), NV);
	EQUAL(X1("fclass.d %0, ft0", 1ul << 63), 1 << 3);
	EQUAL(X1("fclass.d %0, ft0", 1), 1 << 5);
	EQUAL(X1("fclass.d %0, ft0", SNAN64), 1 << 8);
	EQUAL(X1("fclass.d %0, ft0", INF64), 1 << 7);
}

static void reserved_rounding(void)
{
	asm volatile("fadd.d ft0, ft0, ft0");
}

static void touch(void)
{
	asm volatile("fmv.d.x ft0, zero");
}

int main(void)
{
	arithmetic();
	fused();
	boxing();
	conversions();
	comparisons();
	WRITE_CSR(frm, 5);
	EQUAL(try(M, reserved_rounding, 0, 0), ILLEGAL);
	WRITE_CSR(frm, 3);
	EQUAL(D2("fdiv.d ft2, ft0, ft1, dyn", one, three), third + 1);
	WRITE_CSR(fcsr, 0x7f);
	EQUAL(READ_CSR(fcsr), 0x7f);
	EQUAL(READ_CSR(frm), 3);
	WRITE_CSR(fcsr, 0);
	/* Privileged 3.1.6.6: FS off makes every FP instruction illegal; a write makes it dirty */
	CLEAR_CSR(mstatus, 0x6000);
	EQUAL(try(M, touch, 0, 0), ILLEGAL);
	EQUAL(trap_value, 0xf2000053);
	SET_CSR(mstatus, 0x2000);
	EQUAL(READ_CSR(mstatus) >> 63, 0);
	touch();
	EQUAL(READ_CSR(mstatus) >> 13 & 3, 3);
	EQUAL(READ_CSR(mstatus) >> 63, 1);
	return 0;
}
