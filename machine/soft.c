/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IEEE 754 arithmetic in integers (see soft.h).
 *
 * An operand is unpacked to a sign, a class and significand * 2^exponent with an integer
 * significand. Every operation makes an exact result of up to 128 bits whose lowest bit is sticky
 * (it stands for everything below it), and round_pack() turns that into the format. Tininess is
 * detected after rounding, as RISC-V asks (Unprivileged 20.2).
 */
#include "soft.h"

typedef unsigned __int128 u128;

const struct format format_single = { 24, 8 };
const struct format format_double = { 53, 11 };

enum kind { ZERO, FINITE, INFINITE, NOT_A_NUMBER };

struct number {
	enum kind kind;
	bool sign;
	int exponent;
	u128 significand;
};

static uint64_t sign_bit(const struct format *f)
{
	return 1ull << (f->precision - 1 + f->exponent_bits);
}

static uint64_t fraction_mask(const struct format *f)
{
	return (1ull << (f->precision - 1)) - 1;
}

static uint64_t exponent_max(const struct format *f)
{
	return (1ull << f->exponent_bits) - 1;
}

static uint64_t infinity(const struct format *f, bool sign)
{
	return exponent_max(f) << (f->precision - 1) | (sign ? sign_bit(f) : 0);
}

static uint64_t zero(const struct format *f, bool sign)
{
	return sign ? sign_bit(f) : 0;
}

/* Unprivileged 20.3: the canonical NaN is quiet, positive, with no payload. */
uint64_t soft_nan(const struct format *f)
{
	return exponent_max(f) << (f->precision - 1) | 1ull << (f->precision - 2);
}

bool soft_is_nan(const struct format *f, uint64_t v)
{
	return (v & ~sign_bit(f)) > infinity(f, false);
}

bool soft_is_signaling(const struct format *f, uint64_t v)
{
	return soft_is_nan(f, v) && !(v >> (f->precision - 2) & 1);
}

static struct number unpack(const struct format *f, uint64_t v)
{
	uint64_t fraction = v & fraction_mask(f),
		 exponent = v >> (f->precision - 1) & exponent_max(f);
	int bias = (int)(exponent_max(f) >> 1);
	struct number n = { FINITE, v & sign_bit(f), 0, fraction };

	if (exponent == exponent_max(f)) {
		n.kind = fraction ? NOT_A_NUMBER : INFINITE;
	} else if (exponent) {
		n.significand |= 1ull << (f->precision - 1);
		n.exponent = (int)exponent - bias - (int)(f->precision - 1);
	} else {
		n.kind = fraction ? FINITE : ZERO;
		n.exponent = 1 - bias - (int)(f->precision - 1);
	}
	return n;
}

static int msb(u128 v)
{
	return (uint64_t)(v >> 64) ? 127 - __builtin_clzll((uint64_t)(v >> 64))
				   : 63 - __builtin_clzll((uint64_t)v);
}

/* v >> n with everything shifted out ORed into the lowest bit. */
static u128 shift_right_sticky(u128 v, unsigned int n)
{
	if (!n)
		return v;
	if (n > 127)
		return v != 0;
	return v >> n | ((v & (((u128)1 << n) - 1)) != 0);
}

/* Does `v`, with two low bits of guard and sticky, round up to the next multiple of 4? */
static bool rounds_up(u128 v, bool sign, enum rounding rounding)
{
	unsigned int low = v & 3, odd = v >> 2 & 1;

	switch (rounding) {
	case RNE:
		return low == 3 || (low == 2 && odd);
	case RDN:
		return low && sign;
	case RUP:
		return low && !sign;
	case RMM:
		return low >= 2;
	default:
		return false;
	}
}

/* significand * 2^exponent to `precision` bits, the exponent at least `minimum` (of the lowest
 * bit). */
static u128 round_at(u128 significand, int *exponent, int minimum, const struct format *f,
		     bool sign, enum rounding rounding, bool *inexact)
{
	/* the lowest kept bit, leaving two bits below it */
	int lowest = *exponent + msb(significand) - ((int)f->precision - 1), shift;
	u128 v;

	if (lowest < minimum)
		lowest = minimum;
	shift = lowest - 2 - *exponent;
	v = shift >= 0 ? shift_right_sticky(significand, (unsigned int)shift)
		       : significand << -shift;
	*inexact = v & 3;
	*exponent = lowest;
	return (v >> 2) + rounds_up(v, sign, rounding);
}

static uint64_t overflow(const struct format *f, struct fp_context *c, bool sign)
{
	bool away = c->rounding == RNE || c->rounding == RMM || (c->rounding == RUP && !sign) ||
		    (c->rounding == RDN && sign);

	c->flags |= FP_OF | FP_NX;
	return away ? infinity(f, sign) : infinity(f, sign) - 1;
}

static uint64_t round_pack(const struct format *f, struct fp_context *c, bool sign, int exponent,
			   u128 significand)
{
	int bias = (int)(exponent_max(f) >> 1), minimum = 1 - bias - ((int)f->precision - 1);
	int e = exponent, unbounded = exponent;
	bool inexact, ignored;
	u128 v, wide;
	uint64_t biased;

	if (!significand)
		return zero(f, sign);
	v = round_at(significand, &e, minimum, f, sign, c->rounding, &inexact);
	if (v >> f->precision) {
		v >>= 1;
		e++;
	}
	if (inexact) {
		c->flags |= FP_NX;
		/* tiny: with an unbounded exponent the rounded result would still be below the
		 * normal range */
		wide = round_at(significand, &unbounded, -100000, f, sign, c->rounding, &ignored);
		if (unbounded + msb(wide) < 1 - bias)
			c->flags |= FP_UF;
	}
	if (!(v >> (f->precision - 1)))
		return (uint64_t)v | zero(f, sign); /* subnormal or zero */
	biased = (uint64_t)(e + (int)f->precision - 1 + bias);
	if (biased >= exponent_max(f))
		return overflow(f, c, sign);
	return zero(f, sign) | biased << (f->precision - 1) | ((uint64_t)v & fraction_mask(f));
}

static uint64_t invalid(const struct format *f, struct fp_context *c)
{
	c->flags |= FP_NV;
	return soft_nan(f);
}

static uint64_t nan_result(const struct format *f, struct fp_context *c, uint64_t a, uint64_t b,
			   uint64_t d)
{
	if (soft_is_signaling(f, a) || soft_is_signaling(f, b) || soft_is_signaling(f, d))
		c->flags |= FP_NV;
	return soft_nan(f);
}

/* The sum of two finite numbers of up to 106 bits; a zero result has the sign IEEE asks for. */
static uint64_t sum(const struct format *f, struct fp_context *c, struct number a, struct number b)
{
	unsigned int distance;
	int up;

	if (a.kind == ZERO && b.kind == ZERO)
		return zero(f, a.sign == b.sign ? a.sign : c->rounding == RDN);
	if (a.kind == ZERO)
		return round_pack(f, c, b.sign, b.exponent, b.significand);
	if (b.kind == ZERO)
		return round_pack(f, c, a.sign, a.exponent, a.significand);
	/* put both leading ones at bit 125: what is shifted out below can only matter as sticky */
	up = 125 - msb(a.significand);
	a.significand <<= up;
	a.exponent -= up;
	up = 125 - msb(b.significand);
	b.significand <<= up;
	b.exponent -= up;
	if (a.exponent < b.exponent ||
	    (a.exponent == b.exponent && a.significand < b.significand)) {
		struct number t = a;

		a = b;
		b = t;
	}
	distance = (unsigned int)(a.exponent - b.exponent);
	b.significand = shift_right_sticky(b.significand, distance);
	if (a.sign == b.sign)
		return round_pack(f, c, a.sign, a.exponent, a.significand + b.significand);
	if (a.significand == b.significand)
		return zero(f, c->rounding == RDN);
	return round_pack(f, c, a.sign, a.exponent, a.significand - b.significand);
}

uint64_t soft_add(const struct format *f, struct fp_context *c, uint64_t a, uint64_t b)
{
	struct number x = unpack(f, a), y = unpack(f, b);

	if (x.kind == NOT_A_NUMBER || y.kind == NOT_A_NUMBER)
		return nan_result(f, c, a, b, 0);
	if (x.kind == INFINITE && y.kind == INFINITE && x.sign != y.sign)
		return invalid(f, c);
	if (x.kind == INFINITE)
		return a;
	if (y.kind == INFINITE)
		return b;
	return sum(f, c, x, y);
}

uint64_t soft_fma(const struct format *f, struct fp_context *c, uint64_t a, uint64_t b, uint64_t d)
{
	struct number x = unpack(f, a), y = unpack(f, b), z = unpack(f, d);
	struct number p = { FINITE, x.sign != y.sign, x.exponent + y.exponent, 0 };

	/* Unprivileged 20.6: infinity times zero is invalid even when the addend is a quiet NaN */
	if ((x.kind == INFINITE && y.kind == ZERO) || (x.kind == ZERO && y.kind == INFINITE))
		return invalid(f, c);
	if (x.kind == NOT_A_NUMBER || y.kind == NOT_A_NUMBER || z.kind == NOT_A_NUMBER)
		return nan_result(f, c, a, b, d);
	if (x.kind == INFINITE || y.kind == INFINITE) {
		if (z.kind == INFINITE && z.sign != p.sign)
			return invalid(f, c);
		return infinity(f, p.sign);
	}
	if (z.kind == INFINITE)
		return d;
	if (x.kind == ZERO || y.kind == ZERO)
		p.kind = ZERO;
	else
		p.significand = x.significand * y.significand;
	return sum(f, c, p, z);
}

uint64_t soft_mul(const struct format *f, struct fp_context *c, uint64_t a, uint64_t b)
{
	struct number x = unpack(f, a), y = unpack(f, b);
	bool sign = x.sign != y.sign;

	if (x.kind == NOT_A_NUMBER || y.kind == NOT_A_NUMBER)
		return nan_result(f, c, a, b, 0);
	if ((x.kind == INFINITE && y.kind == ZERO) || (x.kind == ZERO && y.kind == INFINITE))
		return invalid(f, c);
	if (x.kind == INFINITE || y.kind == INFINITE)
		return infinity(f, sign);
	if (x.kind == ZERO || y.kind == ZERO)
		return zero(f, sign);
	return round_pack(f, c, sign, x.exponent + y.exponent, x.significand * y.significand);
}

uint64_t soft_div(const struct format *f, struct fp_context *c, uint64_t a, uint64_t b)
{
	struct number x = unpack(f, a), y = unpack(f, b);
	bool sign = x.sign != y.sign;
	int up, down;
	u128 n, q;

	if (x.kind == NOT_A_NUMBER || y.kind == NOT_A_NUMBER)
		return nan_result(f, c, a, b, 0);
	if (x.kind == y.kind && (x.kind == INFINITE || x.kind == ZERO))
		return invalid(f, c);
	if (x.kind == INFINITE)
		return infinity(f, sign);
	if (x.kind == ZERO || y.kind == INFINITE)
		return zero(f, sign);
	if (y.kind == ZERO) {
		c->flags |= FP_DZ;
		return infinity(f, sign);
	}
	up = 126 - msb(x.significand);
	down = 52 - msb(y.significand);
	n = x.significand << up;
	y.significand <<= down;
	q = n / y.significand;
	q = q | (q * y.significand != n);
	return round_pack(f, c, sign, x.exponent - up - (y.exponent - down), q);
}

uint64_t soft_sqrt(const struct format *f, struct fp_context *c, uint64_t a)
{
	struct number x = unpack(f, a);
	u128 root = 0, rest, bit;
	int up;

	if (x.kind == NOT_A_NUMBER)
		return nan_result(f, c, a, 0, 0);
	if (x.kind == ZERO)
		return a;
	if (x.sign)
		return invalid(f, c);
	if (x.kind == INFINITE)
		return a;
	up = 125 - msb(x.significand);
	if ((x.exponent - up) & 1)
		up--;
	rest = x.significand << up;
	for (bit = (u128)1 << 126; bit; bit >>= 2) {
		if (rest >= root + bit) {
			rest -= root + bit;
			root = (root >> 1) + bit;
		} else {
			root >>= 1;
		}
	}
	return round_pack(f, c, false, (x.exponent - up) / 2 - 1, root << 1 | (rest != 0));
}

uint64_t soft_convert(const struct format *to, const struct format *from, struct fp_context *c,
		      uint64_t a)
{
	struct number x = unpack(from, a);

	switch (x.kind) {
	case NOT_A_NUMBER:
		if (soft_is_signaling(from, a))
			c->flags |= FP_NV;
		return soft_nan(to);
	case INFINITE:
		return infinity(to, x.sign);
	case ZERO:
		return zero(to, x.sign);
	default:
		return round_pack(to, c, x.sign, x.exponent, x.significand);
	}
}

uint64_t soft_to_integer(const struct format *f, struct fp_context *c, uint64_t a,
			 unsigned int width, bool is_signed)
{
	struct number x = unpack(f, a);
	uint64_t top = is_signed     ? (1ull << (width - 1)) - 1
		       : width == 64 ? UINT64_MAX
				     : (1ull << width) - 1;
	uint64_t bottom = is_signed ? top + 1 : 0; /* magnitude of the most negative */
	u128 v = 0;
	bool inexact = false, huge = false;

	if (x.kind == FINITE) {
		if (x.exponent > 64) {
			huge = true;
		} else {
			v = x.exponent + 2 >= 0
				    ? x.significand << (x.exponent + 2)
				    : shift_right_sticky(x.significand,
							 (unsigned int)-(x.exponent + 2));
			inexact = v & 3;
			v = (v >> 2) + rounds_up(v, x.sign, c->rounding);
		}
	}
	if (x.kind == NOT_A_NUMBER) {
		x.sign = false;
		huge = true;
	}
	if (huge || x.kind == INFINITE || v > (x.sign ? bottom : top)) {
		c->flags |= FP_NV;
		v = x.sign ? bottom : top;
	} else if (inexact) {
		c->flags |= FP_NX;
	}
	top = x.sign ? 0 - (uint64_t)v : (uint64_t)v;
	return width == 32 ? (uint64_t)(int64_t)(int32_t)top : top;
}

uint64_t soft_from_integer(const struct format *f, struct fp_context *c, uint64_t v, bool is_signed)
{
	bool sign = is_signed && (int64_t)v < 0;

	return round_pack(f, c, sign, 0, sign ? 0 - v : v);
}

bool soft_equal(const struct format *f, uint64_t a, uint64_t b)
{
	return a == b || !((a | b) & ~sign_bit(f));
}

bool soft_less(const struct format *f, uint64_t a, uint64_t b)
{
	bool sa = a & sign_bit(f), sb = b & sign_bit(f);

	if (sa != sb)
		return sa && (a | b) & ~sign_bit(f);
	return sa ? a > b : a < b;
}

uint64_t soft_class(const struct format *f, uint64_t a)
{
	struct number x = unpack(f, a);
	bool subnormal = x.kind == FINITE && !(x.significand >> (f->precision - 1));

	switch (x.kind) {
	case NOT_A_NUMBER:
		return soft_is_signaling(f, a) ? 1 << 8 : 1 << 9;
	case INFINITE:
		return x.sign ? 1 << 0 : 1 << 7;
	case ZERO:
		return x.sign ? 1 << 3 : 1 << 4;
	default:
		break;
	}
	if (subnormal)
		return x.sign ? 1 << 2 : 1 << 5;
	return x.sign ? 1 << 1 : 1 << 6;
}
