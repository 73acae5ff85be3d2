/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operations of the interpreter. An operation in OPS_BOTH has a handler for 2-byte and one for
 * 4-byte instructions, so that the distance to the next slot is a constant of the handler and never
 * a load.
 */
#ifndef MACHINE_OPS_H
#define MACHINE_OPS_H

/* clang-format off */
#define OPS_BOTH(X) \
	X(illegal) X(nop) X(li) X(mv) X(addi) X(addiw) X(slli) X(srli) X(srai) X(andi) \
	X(add) X(sub) X(xor) X(or) X(and) X(addw) X(subw) X(lw) X(ld) X(sw) X(sd) X(fld) X(fsd) \
	X(beq) X(bne) X(beq_far) X(bne_far) X(j) X(j_far) X(jal) X(jal_far) X(jalr) X(jr) X(ebreak) \
	X(decode) X(page_end)

#define OPS_FOUR(X) \
	X(auipc) X(slti) X(sltiu) X(xori) X(ori) X(slliw) X(srliw) X(sraiw) \
	X(sll) X(slt) X(sltu) X(srl) X(sra) X(sllw) X(srlw) X(sraw) \
	X(mul) X(mulh) X(mulhsu) X(mulhu) X(div) X(divu) X(rem) X(remu) \
	X(mulw) X(divw) X(divuw) X(remw) X(remuw) \
	X(lb) X(lbu) X(lh) X(lhu) X(lwu) X(sb) X(sh) X(flw) X(fsw) \
	X(blt) X(bge) X(bltu) X(bgeu) X(blt_far) X(bge_far) X(bltu_far) X(bgeu_far) \
	X(fence) X(fence_i) X(ecall) X(sret) X(mret) X(wfi) X(sfence) X(csr) \
	X(lr_w) X(lr_d) X(sc_w) X(sc_d) X(amo_w) X(amo_d) \
	X(fp) X(fadd_d) X(fsub_d) X(fmul_d) X(fdiv_d) X(fmadd_d) X(fmv_d_x) X(fmv_x_d) X(fsgnj_d) X(cbo_zero) \
	X(add_uw) X(sh1add) X(sh2add) X(sh3add) X(sh1add_uw) X(sh2add_uw) X(sh3add_uw) X(slli_uw) \
	X(andn) X(orn) X(xnor) X(clz) X(ctz) X(cpop) X(clzw) X(ctzw) X(cpopw) \
	X(max) X(maxu) X(min) X(minu) X(sext_b) X(sext_h) X(zext_h) X(rol) X(ror) X(rori) \
	X(rolw) X(rorw) X(roriw) X(orc_b) X(rev8) \
	X(bclr) X(bext) X(binv) X(bset) X(bclri) X(bexti) X(binvi) X(bseti)
/* clang-format on */

/* The values of `enum op`: OP_x for the 4-byte form, OP_x + 1 for the 2-byte form of an OPS_BOTH
 * operation. */
enum op {
#define X(name) OP_##name, OP_##name##_2,
	OPS_BOTH(X)
#undef X
#define X(name) OP_##name,
		OPS_FOUR(X)
#undef X
			OP_COUNT
};

#endif
