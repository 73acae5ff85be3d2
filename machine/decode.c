/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decoding: the bits of an RV64GC + Zba/Zbb/Zbs instruction to an operation, register numbers and
 * an immediate.
 *
 * Branches come in a near form (the target lies in the same page: the distance is kept in bytes of
 * slots) and a far form (a distance in bytes of code). What the tables below do not know is
 * illegal; the raw bits go to mtval.
 */
#include <string.h>

#include "hart.h"
#include "ops.h"

/* Bits [high:low] of a value. */
static inline uint32_t bits(uint32_t v, unsigned int high, unsigned int low)
{
	return (v >> low) & ((2u << (high - low)) - 1);
}

static inline int32_t sign_extend(uint32_t v, unsigned int width)
{
	return (int32_t)(v << (32 - width)) >> (32 - width);
}

struct decoder {
	struct slot *slot;
	uint32_t raw;
	unsigned int offset; /* of the instruction in its page */
	unsigned int length;
};

static void emit(struct decoder *d, unsigned int op, unsigned int rd, unsigned int rs1,
		 unsigned int rs2, int32_t imm)
{
	d->slot->handler = exec_handlers[op + (d->length == 2 && op < OP_auipc ? 1 : 0)];
	d->slot->rd = rd ? rd : X_SINK;
	d->slot->rs1 = rs1;
	d->slot->rs2 = rs2;
	d->slot->imm = imm;
}

static void emit_illegal(struct decoder *d)
{
	emit(d, OP_illegal, 0, 0, 0, (int32_t)d->raw);
}

/* An operation that reads the raw instruction itself. rd is left a plain number for floating point.
 */
static void emit_raw(struct decoder *d, unsigned int op)
{
	emit(d, op, bits(d->raw, 11, 7), bits(d->raw, 19, 15), bits(d->raw, 24, 20),
	     (int32_t)d->raw);
}

static void emit_f(struct decoder *d, unsigned int op, unsigned int rd, unsigned int rs1,
		   unsigned int rs2, int32_t imm)
{
	emit(d, op, rd, rs1, rs2, imm);
	d->slot->rd = rd;
}

/* near + 2 is the far form's number for operations with two lengths, near + distance otherwise. */
static void emit_branch(struct decoder *d, unsigned int near, unsigned int far, unsigned int rd,
			unsigned int rs1, unsigned int rs2, int32_t distance)
{
	int32_t target = (int32_t)d->offset + distance;

	if (target >= 0 && target < 4096)
		emit(d, near, rd, rs1, rs2, distance * (int32_t)(sizeof(struct slot) / 2));
	else
		emit(d, far, rd, rs1, rs2, distance);
}

static void emit_jal(struct decoder *d, unsigned int rd, int32_t distance)
{
	if (rd)
		emit_branch(d, OP_jal, OP_jal_far, rd, 0, 0, distance);
	else
		emit_branch(d, OP_j, OP_j_far, 0, 0, 0, distance);
}

static void emit_addi(struct decoder *d, unsigned int rd, unsigned int rs1, int32_t imm)
{
	if (!rd)
		emit(d, OP_nop, 0, 0, 0, 0);
	else if (!rs1)
		emit(d, OP_li, rd, 0, 0, imm);
	else if (!imm)
		emit(d, OP_mv, rd, 0, rs1, 0);
	else
		emit(d, OP_addi, rd, rs1, 0, imm);
}

static void decode_c0(struct decoder *d)
{
	uint32_t c = d->raw;
	unsigned int rd = bits(c, 4, 2) + 8, rs1 = bits(c, 9, 7) + 8;
	int32_t word = (int32_t)(bits(c, 12, 10) << 3 | bits(c, 6, 6) << 2 | bits(c, 5, 5) << 6);
	int32_t dword = (int32_t)(bits(c, 12, 10) << 3 | bits(c, 6, 5) << 6);
	int32_t stack = (int32_t)(bits(c, 12, 11) << 4 | bits(c, 10, 7) << 6 | bits(c, 6, 6) << 2 |
				  bits(c, 5, 5) << 3);

	switch (bits(c, 15, 13)) {
	case 0:
		if (stack)
			emit_addi(d, rd, 2, stack);
		else
			emit_illegal(d);
		break;
	case 1:
		emit_f(d, OP_fld, rd, rs1, 0, dword);
		break;
	case 2:
		emit(d, OP_lw, rd, rs1, 0, word);
		break;
	case 3:
		emit(d, OP_ld, rd, rs1, 0, dword);
		break;
	case 5:
		emit_f(d, OP_fsd, 0, rs1, rd, dword);
		break;
	case 6:
		emit(d, OP_sw, 0, rs1, rd, word);
		break;
	case 7:
		emit(d, OP_sd, 0, rs1, rd, dword);
		break;
	default:
		emit_illegal(d);
	}
}

static void decode_c_alu(struct decoder *d)
{
	static const uint8_t table[8] = { OP_sub, OP_xor, OP_or, OP_and, OP_subw, OP_addw, 0, 0 };
	uint32_t c = d->raw;
	unsigned int rd = bits(c, 9, 7) + 8, which = bits(c, 12, 12) << 2 | bits(c, 6, 5);
	int32_t shift = (int32_t)(bits(c, 12, 12) << 5 | bits(c, 6, 2));

	switch (bits(c, 11, 10)) {
	case 0:
		emit(d, OP_srli, rd, rd, 0, shift);
		break;
	case 1:
		emit(d, OP_srai, rd, rd, 0, shift);
		break;
	case 2:
		emit(d, OP_andi, rd, rd, 0, sign_extend((uint32_t)shift, 6));
		break;
	default:
		if (which >= 6)
			emit_illegal(d);
		else
			emit(d, table[which], rd, rd, bits(c, 4, 2) + 8, 0);
	}
}

static void decode_c1(struct decoder *d)
{
	uint32_t c = d->raw;
	unsigned int rd = bits(c, 11, 7);
	int32_t imm = sign_extend(bits(c, 12, 12) << 5 | bits(c, 6, 2), 6);
	int32_t jump =
		sign_extend(bits(c, 12, 12) << 11 | bits(c, 11, 11) << 4 | bits(c, 10, 9) << 8 |
				    bits(c, 8, 8) << 10 | bits(c, 7, 7) << 6 | bits(c, 6, 6) << 7 |
				    bits(c, 5, 3) << 1 | bits(c, 2, 2) << 5,
			    12);
	int32_t branch =
		sign_extend(bits(c, 12, 12) << 8 | bits(c, 11, 10) << 3 | bits(c, 6, 5) << 6 |
				    bits(c, 4, 3) << 1 | bits(c, 2, 2) << 5,
			    9);
	int32_t sp = sign_extend(bits(c, 12, 12) << 9 | bits(c, 6, 6) << 4 | bits(c, 5, 5) << 6 |
					 bits(c, 4, 3) << 7 | bits(c, 2, 2) << 5,
				 10);

	switch (bits(c, 15, 13)) {
	case 0:
		emit_addi(d, rd, rd, imm);
		break;
	case 1:
		if (rd)
			emit(d, OP_addiw, rd, rd, 0, imm);
		else
			emit_illegal(d);
		break;
	case 2:
		emit_addi(d, rd, 0, imm);
		break;
	case 3:
		if (!imm)
			emit_illegal(d);
		else if (rd == 2)
			emit_addi(d, 2, 2, sp);
		else
			emit_addi(d, rd, 0, (int32_t)((uint32_t)imm << 12));
		break;
	case 4:
		decode_c_alu(d);
		break;
	case 5:
		emit_jal(d, 0, jump);
		break;
	case 6:
		emit_branch(d, OP_beq, OP_beq_far, 0, bits(c, 9, 7) + 8, 0, branch);
		break;
	case 7:
		emit_branch(d, OP_bne, OP_bne_far, 0, bits(c, 9, 7) + 8, 0, branch);
		break;
	}
}

static void decode_c2_jump(struct decoder *d)
{
	unsigned int rd = bits(d->raw, 11, 7), rs2 = bits(d->raw, 6, 2);

	if (bits(d->raw, 12, 12)) {
		if (rs2)
			emit(d, OP_add, rd, rd, rs2, 0);
		else if (rd)
			emit(d, OP_jalr, 1, rd, 0, 0);
		else
			emit(d, OP_ebreak, 0, 0, 0, 0);
	} else if (rs2) {
		emit(d, rd ? OP_mv : OP_nop, rd, 0, rs2, 0);
	} else if (rd) {
		emit(d, OP_jr, 0, rd, 0, 0);
	} else {
		emit_illegal(d);
	}
}

static void decode_c2(struct decoder *d)
{
	uint32_t c = d->raw;
	unsigned int rd = bits(c, 11, 7), rs2 = bits(c, 6, 2);
	int32_t load_d = (int32_t)(bits(c, 12, 12) << 5 | bits(c, 6, 5) << 3 | bits(c, 4, 2) << 6);
	int32_t load_w = (int32_t)(bits(c, 12, 12) << 5 | bits(c, 6, 4) << 2 | bits(c, 3, 2) << 6);
	int32_t store_d = (int32_t)(bits(c, 12, 10) << 3 | bits(c, 9, 7) << 6);
	int32_t store_w = (int32_t)(bits(c, 12, 9) << 2 | bits(c, 8, 7) << 6);

	switch (bits(c, 15, 13)) {
	case 0:
		emit(d, OP_slli, rd, rd, 0, (int32_t)(bits(c, 12, 12) << 5 | bits(c, 6, 2)));
		break;
	case 1:
		emit_f(d, OP_fld, rd, 2, 0, load_d);
		break;
	case 2:
	case 3:
		if (!rd)
			emit_illegal(d);
		else if (bits(c, 13, 13))
			emit(d, OP_ld, rd, 2, 0, load_d);
		else
			emit(d, OP_lw, rd, 2, 0, load_w);
		break;
	case 4:
		decode_c2_jump(d);
		break;
	case 5:
		emit_f(d, OP_fsd, 0, 2, rs2, store_d);
		break;
	case 6:
		emit(d, OP_sw, 0, 2, rs2, store_w);
		break;
	case 7:
		emit(d, OP_sd, 0, 2, rs2, store_d);
		break;
	}
}

/* Unprivileged tables: OP (0x33) by funct7 and funct3; 0 means illegal since OP_illegal is 0. */
static unsigned int op_register(unsigned int funct7, unsigned int funct3, unsigned int rs2)
{
	static const uint8_t base[8] = { OP_add, OP_sll, OP_slt, OP_sltu,
					 OP_xor, OP_srl, OP_or,	 OP_and };
	static const uint8_t muldiv[8] = { OP_mul, OP_mulh, OP_mulhsu, OP_mulhu,
					   OP_div, OP_divu, OP_rem,    OP_remu };
	static const uint8_t inverted[8] = { OP_sub, 0, 0, 0, OP_xnor, OP_sra, OP_orn, OP_andn };
	static const uint8_t minmax[8] = { 0, 0, 0, 0, OP_min, OP_minu, OP_max, OP_maxu };
	static const uint8_t shadd[8] = { 0, 0, OP_sh1add, 0, OP_sh2add, 0, OP_sh3add, 0 };

	switch (funct7) {
	case 0x00:
		return base[funct3];
	case 0x01:
		return muldiv[funct3];
	case 0x20:
		return inverted[funct3];
	case 0x05:
		return minmax[funct3];
	case 0x10:
		return shadd[funct3];
	case 0x14:
		return funct3 == 1 ? OP_bset : 0;
	case 0x24:
		return funct3 == 1 ? OP_bclr : funct3 == 5 ? OP_bext : 0;
	case 0x34:
		return funct3 == 1 ? OP_binv : 0;
	case 0x30:
		return funct3 == 1 ? OP_rol : funct3 == 5 ? OP_ror : 0;
	}
	return 0;
}

/* OP-32 (0x3b) */
static unsigned int op_register_w(unsigned int funct7, unsigned int funct3, unsigned int rs2)
{
	static const uint8_t muldiv[8] = { OP_mulw, 0, 0, 0, OP_divw, OP_divuw, OP_remw, OP_remuw };
	static const uint8_t shadd[8] = { 0, 0, OP_sh1add_uw, 0, OP_sh2add_uw, 0, OP_sh3add_uw, 0 };

	switch (funct7) {
	case 0x00:
		return funct3 == 0 ? OP_addw : funct3 == 1 ? OP_sllw : funct3 == 5 ? OP_srlw : 0;
	case 0x01:
		return muldiv[funct3];
	case 0x20:
		return funct3 == 0 ? OP_subw : funct3 == 5 ? OP_sraw : 0;
	case 0x04:
		return funct3 == 0 ? OP_add_uw : funct3 == 4 && rs2 == 0 ? OP_zext_h : 0;
	case 0x10:
		return shadd[funct3];
	case 0x30:
		return funct3 == 1 ? OP_rolw : funct3 == 5 ? OP_rorw : 0;
	}
	return 0;
}

/* Shifts and Zbb/Zbs immediates of OP-IMM: by the upper six bits. */
static unsigned int op_shift_left(uint32_t raw)
{
	static const uint8_t unary[6] = { OP_clz, OP_ctz, OP_cpop, 0, OP_sext_b, OP_sext_h };
	unsigned int which = bits(raw, 24, 20);

	switch (bits(raw, 31, 26)) {
	case 0x00:
		return OP_slli;
	case 0x0a:
		return OP_bseti;
	case 0x12:
		return OP_bclri;
	case 0x1a:
		return OP_binvi;
	case 0x18:
		return bits(raw, 25, 25) == 0 && which < 6 ? unary[which] : 0;
	}
	return 0;
}

static unsigned int op_shift_right(uint32_t raw)
{
	switch (bits(raw, 31, 26)) {
	case 0x00:
		return OP_srli;
	case 0x10:
		return OP_srai;
	case 0x12:
		return OP_bexti;
	case 0x18:
		return OP_rori;
	case 0x0a:
		return bits(raw, 25, 20) == 0x07 ? OP_orc_b : 0;
	case 0x1a:
		return bits(raw, 25, 20) == 0x38 ? OP_rev8 : 0;
	}
	return 0;
}

static void decode_op_imm(struct decoder *d)
{
	uint32_t raw = d->raw;
	unsigned int rd = bits(raw, 11, 7), rs1 = bits(raw, 19, 15), op = 0;
	int32_t imm = (int32_t)raw >> 20;

	switch (bits(raw, 14, 12)) {
	case 0:
		emit_addi(d, rd, rs1, imm);
		return;
	case 1:
		op = op_shift_left(raw);
		imm &= 63;
		break;
	case 2:
		op = OP_slti;
		break;
	case 3:
		op = OP_sltiu;
		break;
	case 4:
		op = OP_xori;
		break;
	case 5:
		op = op_shift_right(raw);
		imm &= 63;
		break;
	case 6:
		op = OP_ori;
		break;
	case 7:
		op = OP_andi;
		break;
	}
	if (op)
		emit(d, op, rd, rs1, 0, imm);
	else
		emit_illegal(d);
}

static void decode_op_imm_w(struct decoder *d)
{
	uint32_t raw = d->raw;
	unsigned int rd = bits(raw, 11, 7), rs1 = bits(raw, 19, 15), funct7 = bits(raw, 31, 25),
		     op = 0;
	int32_t shift = (int32_t)bits(raw, 24, 20);

	switch (bits(raw, 14, 12)) {
	case 0:
		emit(d, OP_addiw, rd, rs1, 0, (int32_t)raw >> 20);
		return;
	case 1:
		if (funct7 == 0)
			op = OP_slliw;
		else if ((funct7 & ~1u) == 0x04) /* Zba slli.uw: a six-bit shift */
			op = OP_slli_uw, shift = (int32_t)bits(raw, 25, 20);
		else if (funct7 == 0x30 && shift < 3)
			op = shift == 0 ? OP_clzw : shift == 1 ? OP_ctzw : OP_cpopw;
		break;
	case 5:
		op = funct7 == 0      ? OP_srliw
		     : funct7 == 0x20 ? OP_sraiw
		     : funct7 == 0x30 ? OP_roriw
				      : 0;
		break;
	}
	if (op)
		emit(d, op, rd, rs1, 0, shift);
	else
		emit_illegal(d);
}

static void decode_amo(struct decoder *d)
{
	uint32_t raw = d->raw;
	unsigned int width = bits(raw, 14, 12), funct5 = bits(raw, 31, 27), wide = width == 3;

	if (width != 2 && width != 3) {
		emit_illegal(d);
		return;
	}
	switch (funct5) {
	case 0x02:
		if (bits(raw, 24, 20))
			emit_illegal(d);
		else
			emit_raw(d, wide ? OP_lr_d : OP_lr_w);
		break;
	case 0x03:
		emit_raw(d, wide ? OP_sc_d : OP_sc_w);
		break;
	case 0x00:
	case 0x01:
	case 0x04:
	case 0x08:
	case 0x0c:
	case 0x10:
	case 0x14:
	case 0x18:
	case 0x1c:
		emit_raw(d, wide ? OP_amo_d : OP_amo_w);
		d->slot->aux = (uint8_t)funct5;
		break;
	default:
		emit_illegal(d);
	}
}

static void decode_system(struct decoder *d)
{
	uint32_t raw = d->raw;

	if (bits(raw, 14, 12) == 4) {
		emit_illegal(d);
		return;
	}
	if (bits(raw, 14, 12)) {
		emit_raw(d, OP_csr);
		return;
	}
	switch (raw) {
	case 0x00000073:
		emit_raw(d, OP_ecall);
		return;
	case 0x00100073:
		emit_raw(d, OP_ebreak);
		return;
	case 0x10200073:
		emit_raw(d, OP_sret);
		return;
	case 0x30200073:
		emit_raw(d, OP_mret);
		return;
	case 0x10500073:
		emit_raw(d, OP_wfi);
		return;
	}
	/* sfence.vma, and Svinval's sinval.vma, sfence.w.inval, sfence.inval.ir */
	if ((raw & 0xfe007fff) == 0x12000073 || (raw & 0xfe007fff) == 0x16000073 ||
	    raw == 0x18000073 || raw == 0x18100073)
		emit_raw(d, OP_sfence);
	else
		emit_illegal(d);
}

/* Common double-precision operations with a handler of their own; the rest share one. */
static unsigned int op_float(uint32_t raw)
{
	unsigned int rm = bits(raw, 14, 12);

	switch (bits(raw, 31, 25)) {
	case 0x01:
		return rm == 7 || rm == 0 ? OP_fadd_d : OP_fp;
	case 0x05:
		return rm == 7 || rm == 0 ? OP_fsub_d : OP_fp;
	case 0x09:
		return rm == 7 || rm == 0 ? OP_fmul_d : OP_fp;
	case 0x0d:
		return rm == 7 || rm == 0 ? OP_fdiv_d : OP_fp;
	case 0x11:
		return rm == 0 && bits(raw, 19, 15) == bits(raw, 24, 20) ? OP_fsgnj_d : OP_fp;
	case 0x71:
		return rm == 0 && bits(raw, 24, 20) == 0 ? OP_fmv_x_d : OP_fp;
	case 0x79:
		return rm == 0 && bits(raw, 24, 20) == 0 ? OP_fmv_d_x : OP_fp;
	}
	return OP_fp;
}

static void emit_float(struct decoder *d)
{
	unsigned int op = op_float(d->raw);

	emit_raw(d, op);
	if (op != OP_fmv_x_d)
		d->slot->rd = bits(d->raw, 11, 7);
	d->slot->aux = (uint8_t)bits(d->raw, 31, 27);
}

static void decode_load(struct decoder *d)
{
	static const uint8_t table[8] = { OP_lb, OP_lh, OP_lw, OP_ld, OP_lbu, OP_lhu, OP_lwu, 0 };
	unsigned int op = table[bits(d->raw, 14, 12)];

	if (op)
		emit(d, op, bits(d->raw, 11, 7), bits(d->raw, 19, 15), 0, (int32_t)d->raw >> 20);
	else
		emit_illegal(d);
}

static void decode_store(struct decoder *d)
{
	static const uint8_t table[8] = { OP_sb, OP_sh, OP_sw, OP_sd, 0, 0, 0, 0 };
	unsigned int op = table[bits(d->raw, 14, 12)];
	int32_t imm = sign_extend(bits(d->raw, 31, 25) << 5 | bits(d->raw, 11, 7), 12);

	if (op)
		emit(d, op, 0, bits(d->raw, 19, 15), bits(d->raw, 24, 20), imm);
	else
		emit_illegal(d);
}

static void decode_float_memory(struct decoder *d, bool store)
{
	uint32_t raw = d->raw;
	unsigned int width = bits(raw, 14, 12);

	if (width != 2 && width != 3)
		emit_illegal(d);
	else if (store)
		emit_f(d, width == 2 ? OP_fsw : OP_fsd, 0, bits(raw, 19, 15), bits(raw, 24, 20),
		       sign_extend(bits(raw, 31, 25) << 5 | bits(raw, 11, 7), 12));
	else
		emit_f(d, width == 2 ? OP_flw : OP_fld, bits(raw, 11, 7), bits(raw, 19, 15), 0,
		       (int32_t)raw >> 20);
}

static void decode_branch(struct decoder *d)
{
	static const uint8_t near[8] = { OP_beq, OP_bne, 0, 0, OP_blt, OP_bge, OP_bltu, OP_bgeu };
	static const uint8_t far[8] = { OP_beq_far, OP_bne_far, 0,	     0,
					OP_blt_far, OP_bge_far, OP_bltu_far, OP_bgeu_far };
	uint32_t raw = d->raw;
	unsigned int which = bits(raw, 14, 12);
	int32_t distance = sign_extend(bits(raw, 31, 31) << 12 | bits(raw, 7, 7) << 11 |
					       bits(raw, 30, 25) << 5 | bits(raw, 11, 8) << 1,
				       13);

	if (near[which])
		emit_branch(d, near[which], far[which], 0, bits(raw, 19, 15), bits(raw, 24, 20),
			    distance);
	else
		emit_illegal(d);
}

static void decode_jumps(struct decoder *d)
{
	uint32_t raw = d->raw;
	unsigned int rd = bits(raw, 11, 7);

	if (bits(raw, 6, 2) == 0x1b) {
		emit_jal(d, rd,
			 sign_extend(bits(raw, 31, 31) << 20 | bits(raw, 19, 12) << 12 |
					     bits(raw, 20, 20) << 11 | bits(raw, 30, 21) << 1,
				     21));
	} else if (bits(raw, 14, 12) == 0) {
		emit(d, rd ? OP_jalr : OP_jr, rd, bits(raw, 19, 15), 0, (int32_t)raw >> 20);
	} else {
		emit_illegal(d);
	}
}

static void decode_misc_mem(struct decoder *d)
{
	uint32_t raw = d->raw;

	switch (bits(raw, 14, 12)) {
	case 0:
		emit_raw(d, OP_fence);
		break;
	case 1:
		emit_raw(d, OP_fence_i);
		break;
	case 2: /* Zicbom, Zicboz: 0 inval, 1 clean, 2 flush, 4 zero */
		if (bits(raw, 11, 7) == 0 && (bits(raw, 31, 20) <= 2 || bits(raw, 31, 20) == 4))
			emit_raw(d, OP_cbo_zero);
		else
			emit_illegal(d);
		break;
	default:
		emit_illegal(d);
	}
}

static void decode_full(struct decoder *d)
{
	uint32_t raw = d->raw;
	unsigned int rd = bits(raw, 11, 7), rs1 = bits(raw, 19, 15), rs2 = bits(raw, 24, 20);
	unsigned int op;

	switch (bits(raw, 6, 2)) {
	case 0x00:
		decode_load(d);
		return;
	case 0x01:
		decode_float_memory(d, false);
		return;
	case 0x03:
		decode_misc_mem(d);
		return;
	case 0x04:
		decode_op_imm(d);
		return;
	case 0x05:
		emit(d, rd ? OP_auipc : OP_nop, rd, 0, 0, (int32_t)(raw & 0xfffff000));
		return;
	case 0x06:
		decode_op_imm_w(d);
		return;
	case 0x08:
		decode_store(d);
		return;
	case 0x09:
		decode_float_memory(d, true);
		return;
	case 0x0b:
		decode_amo(d);
		return;
	case 0x0c:
		op = op_register(bits(raw, 31, 25), bits(raw, 14, 12), rs2);
		break;
	case 0x0d:
		emit_addi(d, rd, 0, (int32_t)(raw & 0xfffff000));
		return;
	case 0x0e:
		op = op_register_w(bits(raw, 31, 25), bits(raw, 14, 12), rs2);
		break;
	case 0x10:
	case 0x11:
	case 0x12:
	case 0x13:
		emit_f(d, bits(raw, 6, 2) == 0x10 && bits(raw, 26, 25) == 1 ? OP_fmadd_d : OP_fp,
		       rd, rs1, rs2, (int32_t)raw);
		d->slot->aux = (uint8_t)bits(raw, 31, 27);
		return;
	case 0x14:
		emit_float(d);
		return;
	case 0x18:
		decode_branch(d);
		return;
	case 0x19:
	case 0x1b:
		decode_jumps(d);
		return;
	case 0x1c:
		decode_system(d);
		return;
	default:
		op = 0;
	}
	if (op)
		emit(d, op, rd, rs1, rs2, 0);
	else
		emit_illegal(d);
}

void decode_slot(struct slot *slot, uint32_t raw, unsigned int offset)
{
	struct decoder d = { slot, raw, offset, (raw & 3) == 3 ? 4 : 2 };

	slot->aux = 0;
	if (d.length == 4) {
		decode_full(&d);
		return;
	}
	d.raw &= 0xffff;
	switch (d.raw & 3) {
	case 0:
		decode_c0(&d);
		break;
	case 1:
		decode_c1(&d);
		break;
	default:
		decode_c2(&d);
	}
}
