/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The F and D extensions: decoding of the OP-FP and fused classes, NaN boxing, rounding modes,
 * flags.
 *
 * In round-to-nearest-even, which is all that programs use, the host's SSE unit does the
 * arithmetic: its results differ from RISC-V's only in which NaN comes out, and its sticky flags,
 * tininess after rounding included, are the guest's. They are collected when the guest reads them
 * and when the hart's slice ends. Other rounding modes go through soft.c.
 */
#include <math.h>
#include <string.h>
#include <xmmintrin.h>

#include "hart.h"
#include "soft.h"

#define MXCSR_FLAGS 0x3fu

void fp_collect_flags(struct hart *h)
{
	unsigned int host = _mm_getcsr();
	uint32_t flags = 0;

	if (!(host & MXCSR_FLAGS))
		return;
	if (host & _MM_EXCEPT_INVALID)
		flags |= FP_NV;
	if (host & _MM_EXCEPT_DIV_ZERO)
		flags |= FP_DZ;
	if (host & _MM_EXCEPT_OVERFLOW)
		flags |= FP_OF;
	if (host & _MM_EXCEPT_UNDERFLOW)
		flags |= FP_UF;
	if (host & _MM_EXCEPT_INEXACT)
		flags |= FP_NX;
	h->s.fflags |= flags;
	_mm_setcsr(host & ~MXCSR_FLAGS);
}

/* One instruction being executed. */
struct operation {
	struct hart *h;
	uint32_t raw;
	bool wide;
	const struct format *format;
	struct fp_context c;
};

static uint64_t get(const struct operation *o, unsigned int reg)
{
	uint64_t v = o->h->s.f[reg];

	if (o->wide)
		return v;
	return v >> 32 == UINT32_MAX ? (uint32_t)v : soft_nan(&format_single);
}

static void put(struct operation *o, bool wide, uint64_t v)
{
	o->h->s.f[o->raw >> 7 & 31] = wide ? v : 0xffffffff00000000ull | v;
}

static void put_x(struct operation *o, uint64_t v)
{
	unsigned int rd = o->raw >> 7 & 31;

	if (rd)
		o->h->s.x[rd] = v;
}

#define RS1(o)	  ((o)->raw >> 15 & 31)
#define RS2(o)	  ((o)->raw >> 20 & 31)
#define RS3(o)	  ((o)->raw >> 27 & 31)
#define FUNCT3(o) ((o)->raw >> 12 & 7)

/* Rounding mode of the instruction; false: reserved. */
static bool set_rounding(struct operation *o)
{
	uint32_t rm = FUNCT3(o);

	if (rm == 7)
		rm = o->h->s.frm;
	o->c.rounding = (enum rounding)rm;
	return rm <= RMM;
}

enum arithmetic { ADD, SUB, MUL, DIV, SQRT };

static uint64_t host_double(enum arithmetic what, uint64_t ua, uint64_t ub)
{
	double a, b, r;

	memcpy(&a, &ua, 8);
	memcpy(&b, &ub, 8);
	switch (what) {
	case ADD:
		r = a + b;
		break;
	case SUB:
		r = a - b;
		break;
	case MUL:
		r = a * b;
		break;
	case DIV:
		r = a / b;
		break;
	default:
		r = __builtin_sqrt(a);
	}
	if (r != r)
		return soft_nan(&format_double);
	memcpy(&ua, &r, 8);
	return ua;
}

static uint64_t host_single(enum arithmetic what, uint64_t ua, uint64_t ub)
{
	uint32_t la = (uint32_t)ua, lb = (uint32_t)ub;
	float a, b, r;

	memcpy(&a, &la, 4);
	memcpy(&b, &lb, 4);
	switch (what) {
	case ADD:
		r = a + b;
		break;
	case SUB:
		r = a - b;
		break;
	case MUL:
		r = a * b;
		break;
	case DIV:
		r = a / b;
		break;
	default:
		r = __builtin_sqrtf(a);
	}
	if (r != r)
		return soft_nan(&format_single);
	memcpy(&la, &r, 4);
	return la;
}

static uint64_t negated(const struct operation *o, uint64_t v)
{
	return v ^ (o->wide ? 1ull << 63 : 1ull << 31);
}

static int arithmetic(struct operation *o, enum arithmetic what)
{
	uint64_t a = get(o, RS1(o)), b = get(o, RS2(o)), r;

	if (!set_rounding(o) || (what == SQRT && RS2(o)))
		return 1;
	if (o->c.rounding == RNE) {
		r = o->wide ? host_double(what, a, b) : host_single(what, a, b);
	} else {
		switch (what) {
		case ADD:
			r = soft_add(o->format, &o->c, a, b);
			break;
		case SUB:
			r = soft_add(o->format, &o->c, a,
				     soft_is_nan(o->format, b) ? b : negated(o, b));
			break;
		case MUL:
			r = soft_mul(o->format, &o->c, a, b);
			break;
		case DIV:
			r = soft_div(o->format, &o->c, a, b);
			break;
		default:
			r = soft_sqrt(o->format, &o->c, a);
		}
	}
	put(o, o->wide, r);
	return 0;
}

/* fmadd, fmsub, fnmsub, fnmadd: the sign of the product and of the addend. */
static int fused(struct operation *o)
{
	unsigned int which = o->raw >> 2 & 3;
	uint64_t a = get(o, RS1(o)), b = get(o, RS2(o)), d = get(o, RS3(o)), r;
	bool any_nan =
		soft_is_nan(o->format, a) || soft_is_nan(o->format, b) || soft_is_nan(o->format, d);

	if (!set_rounding(o))
		return 1;
	if (!any_nan) {
		if (which & 2)
			a = negated(o, a);
		if (which == 1 || which == 3)
			d = negated(o, d);
	}
	if (o->c.rounding == RNE && o->wide && !any_nan) {
		double x, y, z, v;

		memcpy(&x, &a, 8);
		memcpy(&y, &b, 8);
		memcpy(&z, &d, 8);
		v = fma(x, y, z);
		memcpy(&r, &v, 8);
		if (v != v)
			r = soft_nan(o->format);
	} else {
		r = soft_fma(o->format, &o->c, a, b, d);
	}
	put(o, o->wide, r);
	return 0;
}

static int sign_injection(struct operation *o)
{
	uint64_t bit = o->wide ? 1ull << 63 : 1ull << 31, a = get(o, RS1(o)),
		 b = get(o, RS2(o)) & bit;

	switch (FUNCT3(o)) {
	case 0:
		break;
	case 1:
		b ^= bit;
		break;
	case 2:
		b ^= a & bit;
		break;
	default:
		return 1;
	}
	put(o, o->wide, (a & ~bit) | b);
	return 0;
}

/* Unprivileged 20.6: IEEE 754-2019 minimumNumber and maximumNumber */
static int minmax(struct operation *o)
{
	uint64_t a = get(o, RS1(o)), b = get(o, RS2(o)), r;
	const struct format *f = o->format;
	bool want_max = FUNCT3(o) == 1;

	if (FUNCT3(o) > 1)
		return 1;
	if (soft_is_signaling(f, a) || soft_is_signaling(f, b))
		o->c.flags |= FP_NV;
	if (soft_is_nan(f, a) && soft_is_nan(f, b))
		r = soft_nan(f);
	else if (soft_is_nan(f, a))
		r = b;
	else if (soft_is_nan(f, b))
		r = a;
	else if (soft_equal(f, a, b)) /* -0 is less than +0 */
		r = want_max ? a & b : a | b;
	else
		r = soft_less(f, a, b) != want_max ? a : b;
	put(o, o->wide, r);
	return 0;
}

static int compare(struct operation *o)
{
	uint64_t a = get(o, RS1(o)), b = get(o, RS2(o));
	const struct format *f = o->format;
	bool nan = soft_is_nan(f, a) || soft_is_nan(f, b), r = false;

	if (FUNCT3(o) > 2)
		return 1;
	/* feq is quiet, flt and fle are signaling */
	if (nan && (FUNCT3(o) != 2 || soft_is_signaling(f, a) || soft_is_signaling(f, b)))
		o->c.flags |= FP_NV;
	if (!nan) {
		switch (FUNCT3(o)) {
		case 0:
			r = soft_less(f, a, b) || soft_equal(f, a, b);
			break;
		case 1:
			r = soft_less(f, a, b);
			break;
		default:
			r = soft_equal(f, a, b);
		}
	}
	put_x(o, r);
	return 0;
}

static int to_integer(struct operation *o)
{
	unsigned int which = RS2(o);

	if (!set_rounding(o) || which > 3)
		return 1;
	put_x(o,
	      soft_to_integer(o->format, &o->c, get(o, RS1(o)), which & 2 ? 64 : 32, !(which & 1)));
	return 0;
}

static int from_integer(struct operation *o)
{
	unsigned int which = RS2(o);
	uint64_t v = o->h->s.x[RS1(o)], r;

	if (!set_rounding(o) || which > 3)
		return 1;
	if (which == 0)
		v = (uint64_t)(int64_t)(int32_t)v;
	else if (which == 1)
		v = (uint32_t)v;
	if (o->wide && o->c.rounding == RNE && !(which & 1)) {
		double d = (double)(int64_t)v;

		memcpy(&r, &d, 8);
	} else {
		r = soft_from_integer(o->format, &o->c, v, !(which & 1));
	}
	put(o, o->wide, r);
	return 0;
}

static int between_formats(struct operation *o)
{
	struct operation source = *o;

	/* fcvt.s.d has rs2 = 1, fcvt.d.s rs2 = 0 */
	if (!set_rounding(o) || RS2(o) != (o->wide ? 0 : 1))
		return 1;
	source.wide = !o->wide;
	put(o, o->wide,
	    soft_convert(o->format, o->wide ? &format_single : &format_double, &o->c,
			 get(&source, RS1(o))));
	return 0;
}

static int move_or_class(struct operation *o)
{
	uint64_t raw = o->h->s.f[RS1(o)];

	if (RS2(o))
		return 1;
	switch (FUNCT3(o)) {
	case 0:
		put_x(o, o->wide ? raw : (uint64_t)(int64_t)(int32_t)raw);
		return 0;
	case 1:
		put_x(o, soft_class(o->format, get(o, RS1(o))));
		return 0;
	}
	return 1;
}

static int move_from_x(struct operation *o)
{
	uint64_t v = o->h->s.x[RS1(o)];

	if (RS2(o) || FUNCT3(o))
		return 1;
	put(o, o->wide, o->wide ? v : (uint32_t)v);
	return 0;
}

static int dispatch(struct operation *o)
{
	if ((o->raw & 0x7f) != 0x53)
		return fused(o);
	switch (o->raw >> 27) {
	case 0x00:
		return arithmetic(o, ADD);
	case 0x01:
		return arithmetic(o, SUB);
	case 0x02:
		return arithmetic(o, MUL);
	case 0x03:
		return arithmetic(o, DIV);
	case 0x0b:
		return arithmetic(o, SQRT);
	case 0x04:
		return sign_injection(o);
	case 0x05:
		return minmax(o);
	case 0x08:
		return between_formats(o);
	case 0x14:
		return compare(o);
	case 0x18:
		return to_integer(o);
	case 0x1a:
		return from_integer(o);
	case 0x1c:
		return move_or_class(o);
	case 0x1e:
		return move_from_x(o);
	}
	return 1;
}

int fp_execute(struct hart *h, uint32_t raw)
{
	struct operation o = { .h = h, .raw = raw };
	unsigned int format = raw >> 25 & 3;

	if (format > 1)
		return 1;
	o.wide = format;
	o.format = o.wide ? &format_double : &format_single;
	if (dispatch(&o))
		return 1;
	h->s.fflags |= o.c.flags;
	h->s.mstatus |= MSTATUS_FS;
	return 0;
}
