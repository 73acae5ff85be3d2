/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The handlers of exec(): included in the middle of it and nowhere else.
 */

/* clang-format off */
L_illegal:
L_illegal_2:
	h->count = count;
	hart_raise(h, CAUSE_ILLEGAL, (uint32_t)s->imm);
	goto trap;
BOTH(nop, )
BOTH(li, RD = (uint64_t)IMM)
BOTH(mv, RD = RS2)
BOTH(addi, RD = RS1 + (uint64_t)IMM)
BOTH(addiw, RD = SEXT32(RS1 + (uint64_t)IMM))
BOTH(slli, RD = RS1 << s->imm)
BOTH(srli, RD = RS1 >> s->imm)
BOTH(srai, RD = (uint64_t)((int64_t)RS1 >> s->imm))
BOTH(andi, RD = RS1 & (uint64_t)IMM)
BOTH(add, RD = RS1 + RS2)
BOTH(sub, RD = RS1 - RS2)
BOTH(xor, RD = RS1 ^ RS2)
BOTH(or, RD = RS1 | RS2)
BOTH(and, RD = RS1 & RS2)
BOTH(addw, RD = SEXT32(RS1 + RS2))
BOTH(subw, RD = SEXT32(RS1 - RS2))
BOTH(lw, LOAD(int32_t, TO_X))
BOTH(ld, LOAD(uint64_t, TO_XU))
BOTH(sw, STORE(uint32_t, RS2))
BOTH(sd, STORE(uint64_t, RS2))
BOTH(fld, NEED_FP(); LOAD(uint64_t, TO_F))
BOTH(fsd, NEED_FP(); STORE(uint64_t, h->s.f[s->rs2]))

BRANCH_C(beq, RS1 == RS2)
BRANCH_C(bne, RS1 != RS2)
BRANCH(beq, RS1 == RS2)
BRANCH(bne, RS1 != RS2)
BRANCH(blt, (int64_t)RS1 < (int64_t)RS2)
BRANCH(bge, (int64_t)RS1 >= (int64_t)RS2)
BRANCH(bltu, RS1 < RS2)
BRANCH(bgeu, RS1 >= RS2)
L_j:
L_j_2:
	NEAR();
L_j_far:
L_j_far_2:
	FAR(PC(s) + (uint64_t)IMM);
L_jal:
	RD = PC(s) + 4;
	NEAR();
L_jal_2:
	RD = PC(s) + 2;
	NEAR();
L_jal_far:
	{
		uint64_t at = PC(s);

		RD = at + 4;
		FAR(at + (uint64_t)IMM);
	}
L_jal_far_2:
	{
		uint64_t at = PC(s);

		RD = at + 2;
		FAR(at + (uint64_t)IMM);
	}
#define JALR(link)                                                                                  \
	do {                                                                                        \
		uint64_t at = (RS1 + (uint64_t)IMM) & ~1ull;                                        \
		const uint8_t *p = viommu_fast_lookup(fast, at, 2, VIOMMU_FAST_EXECUTE);            \
		link;                                                                               \
		pc = at;                                                                            \
		count--;                                                                            \
		if (unlikely(count <= 0 || !p || h->fetch_apart))                                   \
			goto jump;                                                                  \
		struct code_page *to = code_lookup(code, p);                                        \
		if (unlikely(!to))                                                                  \
			goto jump;                                                                  \
		page = to;                                                                          \
		bias = (pc & ~0xfffull) - ((uint64_t)(uintptr_t)page->slot >> 3);                   \
		s = &page->slot[(pc & 0xfff) >> 1];                                                 \
		goto *s->handler;                                                                   \
	} while (0)
L_jalr:
	JALR(RD = PC(s) + 4);
L_jalr_2:
	JALR(RD = PC(s) + 2);
L_jr:
L_jr_2:
	JALR();

FOUR(auipc, RD = PC(s) + (uint64_t)IMM)
FOUR(slti, RD = (int64_t)RS1 < IMM)
FOUR(sltiu, RD = RS1 < (uint64_t)IMM)
FOUR(xori, RD = RS1 ^ (uint64_t)IMM)
FOUR(ori, RD = RS1 | (uint64_t)IMM)
FOUR(slliw, RD = SEXT32((uint32_t)RS1 << s->imm))
FOUR(srliw, RD = SEXT32((uint32_t)RS1 >> s->imm))
FOUR(sraiw, RD = SEXT32((int32_t)RS1 >> s->imm))
FOUR(sll, RD = RS1 << (RS2 & 63))
FOUR(slt, RD = (int64_t)RS1 < (int64_t)RS2)
FOUR(sltu, RD = RS1 < RS2)
FOUR(srl, RD = RS1 >> (RS2 & 63))
FOUR(sra, RD = (uint64_t)((int64_t)RS1 >> (RS2 & 63)))
FOUR(sllw, RD = SEXT32((uint32_t)RS1 << (RS2 & 31)))
FOUR(srlw, RD = SEXT32((uint32_t)RS1 >> (RS2 & 31)))
FOUR(sraw, RD = SEXT32((int32_t)RS1 >> (RS2 & 31)))
FOUR(mul, RD = RS1 * RS2)
FOUR(mulh, RD = (uint64_t)(((__int128)(int64_t)RS1 * (int64_t)RS2) >> 64))
FOUR(mulhsu, RD = (uint64_t)(((__int128)(int64_t)RS1 * (__int128)(unsigned __int128)RS2) >> 64))
FOUR(mulhu, RD = (uint64_t)(((unsigned __int128)RS1 * RS2) >> 64))
FOUR(div, RD = divide((int64_t)RS1, (int64_t)RS2))
FOUR(divu, RD = RS2 ? RS1 / RS2 : UINT64_MAX)
FOUR(rem, RD = remainder_of((int64_t)RS1, (int64_t)RS2))
FOUR(remu, RD = RS2 ? RS1 % RS2 : RS1)
FOUR(mulw, RD = SEXT32((uint32_t)RS1 * (uint32_t)RS2))
FOUR(divw, RD = SEXT32(divide((int32_t)RS1, (int32_t)RS2)))
FOUR(divuw, RD = SEXT32((uint32_t)RS2 ? (uint32_t)RS1 / (uint32_t)RS2 : UINT32_MAX))
FOUR(remw, RD = SEXT32(remainder_of((int32_t)RS1, (int32_t)RS2)))
FOUR(remuw, RD = SEXT32((uint32_t)RS2 ? (uint32_t)RS1 % (uint32_t)RS2 : (uint32_t)RS1))
FOUR(lb, LOAD(int8_t, TO_X))
FOUR(lbu, LOAD(uint8_t, TO_XU))
FOUR(lh, LOAD(int16_t, TO_X))
FOUR(lhu, LOAD(uint16_t, TO_XU))
FOUR(lwu, LOAD(uint32_t, TO_XU))
FOUR(sb, STORE(uint8_t, RS2))
FOUR(sh, STORE(uint16_t, RS2))
FOUR(flw, NEED_FP(); LOAD(uint32_t, TO_F32))
FOUR(fsw, NEED_FP(); STORE(uint32_t, h->s.f[s->rs2]))

FOUR(add_uw, RD = (uint32_t)RS1 + RS2)
FOUR(sh1add, RD = (RS1 << 1) + RS2)
FOUR(sh2add, RD = (RS1 << 2) + RS2)
FOUR(sh3add, RD = (RS1 << 3) + RS2)
FOUR(sh1add_uw, RD = ((uint64_t)(uint32_t)RS1 << 1) + RS2)
FOUR(sh2add_uw, RD = ((uint64_t)(uint32_t)RS1 << 2) + RS2)
FOUR(sh3add_uw, RD = ((uint64_t)(uint32_t)RS1 << 3) + RS2)
FOUR(slli_uw, RD = (uint64_t)(uint32_t)RS1 << s->imm)
FOUR(andn, RD = RS1 & ~RS2)
FOUR(orn, RD = RS1 | ~RS2)
FOUR(xnor, RD = ~(RS1 ^ RS2))
FOUR(clz, RD = RS1 ? (uint64_t)__builtin_clzll(RS1) : 64)
FOUR(ctz, RD = RS1 ? (uint64_t)__builtin_ctzll(RS1) : 64)
FOUR(cpop, RD = (uint64_t)__builtin_popcountll(RS1))
FOUR(clzw, RD = (uint32_t)RS1 ? (uint64_t)__builtin_clz((uint32_t)RS1) : 32)
FOUR(ctzw, RD = (uint32_t)RS1 ? (uint64_t)__builtin_ctz((uint32_t)RS1) : 32)
FOUR(cpopw, RD = (uint64_t)__builtin_popcount((uint32_t)RS1))
FOUR(max, RD = (int64_t)RS1 > (int64_t)RS2 ? RS1 : RS2)
FOUR(maxu, RD = RS1 > RS2 ? RS1 : RS2)
FOUR(min, RD = (int64_t)RS1 < (int64_t)RS2 ? RS1 : RS2)
FOUR(minu, RD = RS1 < RS2 ? RS1 : RS2)
FOUR(sext_b, RD = (uint64_t)(int64_t)(int8_t)RS1)
FOUR(sext_h, RD = (uint64_t)(int64_t)(int16_t)RS1)
FOUR(zext_h, RD = (uint16_t)RS1)
FOUR(rol, RD = rotate_left(RS1, (unsigned int)RS2))
FOUR(ror, RD = rotate_left(RS1, -(unsigned int)RS2))
FOUR(rori, RD = rotate_left(RS1, -(unsigned int)s->imm))
FOUR(rolw, RD = SEXT32(rotate_left32((uint32_t)RS1, (unsigned int)RS2)))
FOUR(rorw, RD = SEXT32(rotate_left32((uint32_t)RS1, -(unsigned int)RS2)))
FOUR(roriw, RD = SEXT32(rotate_left32((uint32_t)RS1, -(unsigned int)s->imm)))
FOUR(orc_b, RD = orc_b(RS1))
FOUR(rev8, RD = __builtin_bswap64(RS1))
FOUR(bclr, RD = RS1 & ~(1ull << (RS2 & 63)))
FOUR(bext, RD = RS1 >> (RS2 & 63) & 1)
FOUR(binv, RD = RS1 ^ 1ull << (RS2 & 63))
FOUR(bset, RD = RS1 | 1ull << (RS2 & 63))
FOUR(bclri, RD = RS1 & ~(1ull << s->imm))
FOUR(bexti, RD = RS1 >> s->imm & 1)
FOUR(binvi, RD = RS1 ^ 1ull << s->imm)
FOUR(bseti, RD = RS1 | 1ull << s->imm)

AMO(w, uint32_t, int32_t)
AMO(d, uint64_t, int64_t)

FP_DOUBLE(fadd_d, a + b)
FP_DOUBLE(fsub_d, a - b)
FP_DOUBLE(fmul_d, a * b)
FP_DOUBLE(fdiv_d, a / b)
FOUR(fmv_d_x, NEED_FP(); TO_F(RS1))
FOUR(fmv_x_d, NEED_FP(); RD = h->s.f[s->rs1])
FOUR(fsgnj_d, NEED_FP(); TO_F(h->s.f[s->rs1]))
L_fmadd_d:
L_fp:
	NEED_FP();
fp_generic:
	h->count = count;
	if (unlikely(fp_execute(h, (uint32_t)s->imm)))
		goto illegal;
	NEXT(2);

FOUR(fence, )
FOUR(fence_i, ) /* slots follow every store at once: nothing to do */
L_cbo_zero:
	h->count = count;
	if (unlikely(hart_cache_block(h, (uint32_t)s->imm, RS1)))
		goto trap;
	NEXT(2);
L_ebreak:
L_ebreak_2:
	h->count = count;
	h->s.pc = PC(s);
	if (h->debug) { /* the debugger has it */
		h->stop = true;
		pc = h->s.pc;
		goto out;
	}
	hart_raise(h, CAUSE_BREAKPOINT, h->s.pc);
	goto trap;
L_ecall:
	h->count = count;
	hart_raise(h, CAUSE_ECALL_U + h->s.privilege, 0);
	goto trap;
L_csr:
	h->count = count;
	switch (hart_csr_instruction(h, (uint32_t)s->imm)) {
	case 0: NEXT(2);
	case 1: goto trap;
	}
	s += 2;
	count--;
	goto leave;
L_sret:
L_mret:
	h->count = count;
	h->s.pc = PC(s);
	if (hart_return(h, (uint32_t)s->imm == 0x30200073 ? PRV_M : PRV_S))
		goto trap;
	pc = h->s.pc;
	count--;
	goto resume;
L_wfi:
	h->count = count;
	if (hart_wait(h))
		goto trap;
	s += 2;
	count--;
	goto leave;
L_sfence:
	h->count = count;
	if (hart_sfence(h, (uint32_t)s->imm))
		goto trap;
	s += 2;
	count--;
	goto leave;
