/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IEEE 754 arithmetic in integers, for single and double precision, all five RISC-V rounding modes
 * and exact flags.
 */
#ifndef MACHINE_SOFT_H
#define MACHINE_SOFT_H

#include <stdbool.h>
#include <stdint.h>

enum rounding { RNE, RTZ, RDN, RUP, RMM };
enum fp_flag { FP_NX = 1, FP_UF = 2, FP_OF = 4, FP_DZ = 8, FP_NV = 16 };

/* A binary interchange format: precision with the hidden bit, and exponent bits. */
struct format {
	unsigned int precision, exponent_bits;
};
extern const struct format format_single, format_double;

/* How to round and where flags go. */
struct fp_context {
	enum rounding rounding;
	uint32_t flags;
};

uint64_t soft_nan(const struct format *f);
bool soft_is_nan(const struct format *f, uint64_t v);
bool soft_is_signaling(const struct format *f, uint64_t v);
uint64_t soft_add(const struct format *f, struct fp_context *c, uint64_t a, uint64_t b);
uint64_t soft_mul(const struct format *f, struct fp_context *c, uint64_t a, uint64_t b);
uint64_t soft_div(const struct format *f, struct fp_context *c, uint64_t a, uint64_t b);
uint64_t soft_sqrt(const struct format *f, struct fp_context *c, uint64_t a);
/* a * b + d, rounded once */
uint64_t soft_fma(const struct format *f, struct fp_context *c, uint64_t a, uint64_t b, uint64_t d);
uint64_t soft_convert(const struct format *to, const struct format *from, struct fp_context *c,
		      uint64_t a);
/* Integers of 32 or 64 bits; the result is sign-extended from 32. RISC-V's saturation. */
uint64_t soft_to_integer(const struct format *f, struct fp_context *c, uint64_t a,
			 unsigned int width, bool is_signed);
uint64_t soft_from_integer(const struct format *f, struct fp_context *c, uint64_t v,
			   bool is_signed);
/* a < b, a == b for numbers that are not NaN */
bool soft_less(const struct format *f, uint64_t a, uint64_t b);
bool soft_equal(const struct format *f, uint64_t a, uint64_t b);
/* Unprivileged 20.9: the ten-bit class mask */
uint64_t soft_class(const struct format *f, uint64_t a);

#endif
