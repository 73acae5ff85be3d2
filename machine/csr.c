/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Control and status registers (Privileged 2, 3.1, 4.1; Unprivileged 10, 11).
 *
 * Most registers are a word of the hart's state with a mask of the bits a write may change: one
 * table. What has an effect or a view of its own is in the switch below it.
 */
#include "board.h"
#include "hart.h"

#define SSTATUS_MASK \
	(MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR)
#define SSTATUS_VIEW (SSTATUS_MASK | MSTATUS_UXL | MSTATUS_SD)
#define MSTATUS_MASK                                                                            \
	(SSTATUS_MASK | MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_TVM | \
	 MSTATUS_TW | MSTATUS_TSR)
#define MIDELEG_MASK (BIT(IRQ_SSI) | BIT(IRQ_STI) | BIT(IRQ_SEI))
#define MIE_MASK     (MIDELEG_MASK | BIT(IRQ_MSI) | BIT(IRQ_MTI) | BIT(IRQ_MEI))
/* 0 to 9, 12, 13, 15: what can happen below M-mode but the software check, which is M-mode's */
#define MEDELEG_MASK 0xb3ffull
#define MENVCFG_MASK \
	(ENVCFG_FIOM | ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE | ENVCFG_ADUE | ENVCFG_STCE)
#define SENVCFG_MASK (ENVCFG_FIOM | ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE)
/* RV64 A C D F I M S U */
#define MISA (2ull << 62 | 0x14112dull)

struct plain {
	uint16_t csr;
	uint16_t offset; /* in struct hart_state, of a uint64_t */
	uint64_t mask;
};

#define WORD(csr_, field, mask_)                                \
	{                                                       \
		csr_, offsetof(struct hart_state, field), mask_ \
	}
static const struct plain plain[] = {
	WORD(CSR_STVEC, stvec, ~2ull),
	WORD(CSR_SCOUNTEREN, scounteren, 0xffffffff),
	WORD(CSR_SENVCFG, senvcfg, SENVCFG_MASK),
	WORD(CSR_SSCRATCH, sscratch, UINT64_MAX),
	WORD(CSR_SEPC, sepc, ~1ull),
	WORD(CSR_SCAUSE, scause, CAUSE_INTERRUPT | 0xff),
	WORD(CSR_STVAL, stval, UINT64_MAX),
	WORD(CSR_MEDELEG, medeleg, MEDELEG_MASK),
	WORD(CSR_MTVEC, mtvec, ~2ull),
	WORD(CSR_MCOUNTEREN, mcounteren, 0xffffffff),
	WORD(CSR_MSCRATCH, mscratch, UINT64_MAX),
	WORD(CSR_MEPC, mepc, ~1ull),
	WORD(CSR_MCAUSE, mcause, CAUSE_INTERRUPT | 0xff),
	WORD(CSR_MTVAL, mtval, UINT64_MAX),
};

uint64_t csr_combine(const struct csr_access *a)
{
	switch (a->operation) {
	case CSR_SET:
		return a->old | a->value;
	case CSR_CLEAR:
		return a->old & ~a->value;
	}
	return a->value;
}

static int illegal(struct hart *h)
{
	return hart_raise(h, CAUSE_ILLEGAL, 0);
}

static uint64_t with_sd(uint64_t mstatus)
{
	return (mstatus & MSTATUS_FS) == MSTATUS_FS ? mstatus | MSTATUS_SD : mstatus;
}

static int write_status(struct hart *h, uint64_t value, uint64_t mask)
{
	uint64_t next = (h->s.mstatus & ~mask) | (value & mask);

	if ((next & MSTATUS_MPP) == 2ull << MSTATUS_MPP_SHIFT) /* WARL: no such mode */
		next = (next & ~MSTATUS_MPP) | (h->s.mstatus & MSTATUS_MPP);
	/* only the translation context wants an update; interrupts are looked at anyway */
	if ((next ^ h->s.mstatus) &
	    (MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_SUM | MSTATUS_MXR | MSTATUS_FS)) {
		h->s.mstatus = next;
		hart_context_update(h);
	}
	h->s.mstatus = next;
	return 2;
}

static int csr_fp(struct hart *h, struct csr_access *a)
{
	uint64_t value;

	if (!(h->s.mstatus & MSTATUS_FS))
		return illegal(h);
	fp_collect_flags(h);
	a->old = a->csr == CSR_FFLAGS ? h->s.fflags
		 : a->csr == CSR_FRM  ? h->s.frm
				      : h->s.frm << 5 | h->s.fflags;
	if (!a->write)
		return 0;
	value = csr_combine(a);
	if (a->csr == CSR_FRM)
		h->s.frm = value & 7;
	else
		h->s.fflags = value & 31;
	if (a->csr == CSR_FCSR)
		h->s.frm = value >> 5 & 7;
	h->s.mstatus |= MSTATUS_FS;
	return 0;
}

static int csr_interrupts(struct hart *h, struct csr_access *a)
{
	uint64_t external = h->s.seip_line ? BIT(IRQ_SEI) : 0, value, mask;
	bool supervisor = a->csr == CSR_SIE || a->csr == CSR_SIP;
	uint64_t view = supervisor ? h->s.mideleg : MIE_MASK;

	if (a->csr == CSR_SIE || a->csr == CSR_MIE) {
		a->old = h->s.mie & view;
		if (!a->write)
			return 0;
		h->s.mie = (h->s.mie & ~view) | (csr_combine(a) & view);
		return 2;
	}
	a->old = (h->s.mip | external) & view;
	if (!a->write)
		return 0;
	/* Privileged 3.1.9: a set or clear works on the software bit of SEIP, not on the wire */
	mask = supervisor ? BIT(IRQ_SSI) & view : MIDELEG_MASK;
	if (h->s.menvcfg & ENVCFG_STCE)
		mask &= ~BIT(IRQ_STI);
	if (a->operation != CSR_WRITE) {
		uint64_t shown = a->old;

		a->old = h->s.mip & view;
		value = csr_combine(a);
		a->old = shown;
	} else {
		value = csr_combine(a);
	}
	h->s.mip = (h->s.mip & ~mask) | (value & mask);
	return 2;
}

static int csr_satp(struct hart *h, struct csr_access *a)
{
	uint64_t value, mode;

	if (h->s.privilege == PRV_S && h->s.mstatus & MSTATUS_TVM)
		return illegal(h);
	a->old = h->s.satp;
	if (!a->write)
		return 0;
	value = csr_combine(a);
	mode = value >> SATP_MODE_SHIFT;
	if (mode && (mode < 8 || mode > 10)) /* WARL: an unknown mode changes nothing */
		return 0;
	h->s.satp = value;
	hart_context_update(h);
	return 2;
}

static bool counter_enabled(const struct hart *h, unsigned int n)
{
	if (h->s.privilege != PRV_M && !(h->s.mcounteren >> n & 1))
		return false;
	return h->s.privilege != PRV_U || h->s.scounteren >> n & 1;
}

static int csr_counters(struct hart *h, struct csr_access *a)
{
	uint64_t *offset;

	if (a->csr >= CSR_CYCLE && !counter_enabled(h, a->csr & 31))
		return illegal(h);
	if (a->csr == CSR_TIME) {
		a->old = board_time(h->board);
		return 0;
	}
	if ((a->csr & 31) != 0 && (a->csr & 31) != 2) { /* hpmcounter3 and on: read-only zero */
		a->old = 0;
		return 0;
	}
	offset = a->csr & 2 ? &h->s.instret_offset : &h->s.cycle_offset;
	a->old = hart_instret(h) + *offset;
	if (a->write) /* Privileged 3.1.11: the write takes the place of this instruction's
			 increment */
		*offset = csr_combine(a) - hart_instret(h) - 1;
	return 0;
}

static int csr_stimecmp(struct hart *h, struct csr_access *a)
{
	/* Sstc 2 */
	if (h->s.privilege != PRV_M && !(h->s.menvcfg & ENVCFG_STCE && h->s.mcounteren & 2))
		return illegal(h);
	a->old = h->s.stimecmp;
	if (!a->write)
		return 0;
	h->s.stimecmp = csr_combine(a);
	board_timer_changed(h->board, h);
	return 2;
}

static int csr_mseccfg(struct hart *h, struct csr_access *a)
{
	uint64_t value, old = h->s.mseccfg;
	bool any_locked = false;

	a->old = old;
	if (!a->write)
		return 0;
	for (unsigned int i = 0; i < PMP_ENTRIES; i++)
		any_locked |= h->s.pmpcfg[i] & PMP_L;
	value = csr_combine(a) & (MSECCFG_MML | MSECCFG_MMWP | MSECCFG_RLB);
	value |= old & (MSECCFG_MML | MSECCFG_MMWP); /* Smepmp 2: sticky */
	if (any_locked && !(old & MSECCFG_RLB))
		value &= ~MSECCFG_RLB;
	h->s.mseccfg = value;
	pmp_rebuild(h);
	return 2;
}

static int csr_world(struct hart *h, struct csr_access *a)
{
	enum viommu_riscv_mode mode = (enum viommu_riscv_mode)h->s.privilege;
	int changed;

	if (!h->board->worlds_on ||
	    viommu_world_read(&h->board->worlds, &h->world, a->csr, mode, &a->old))
		return illegal(h);
	if (!a->write)
		return 0;
	changed = viommu_world_write(&h->board->worlds, &h->world, a->csr, mode, csr_combine(a));
	if (changed < 0)
		return illegal(h);
	if (changed)
		hart_context_update(h);
	return changed ? 2 : 0;
}

static int csr_plain(struct hart *h, struct csr_access *a)
{
	for (unsigned int i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		uint64_t *word;

		if (plain[i].csr != a->csr)
			continue;
		word = (uint64_t *)((char *)&h->s + plain[i].offset);
		a->old = *word;
		if (a->write)
			*word = csr_combine(a) & plain[i].mask;
		return 0;
	}
	return csr_world(h, a);
}

/* A register that reads as a constant and ignores writes (writes to 0xc00 and 0xf00 never get
 * here). */
static int constant(struct csr_access *a, uint64_t value)
{
	a->old = value;
	return 0;
}

int csr_perform(struct hart *h, struct csr_access *a)
{
	unsigned int csr = a->csr;
	int result;

	if ((csr >= CSR_PMPCFG0 && csr < CSR_PMPCFG0 + 16) ||
	    (csr >= CSR_PMPADDR0 && csr <= CSR_PMPADDR63))
		return pmp_csr(h, a);
	if ((csr >= CSR_CYCLE && csr < CSR_CYCLE + 32) ||
	    (csr >= CSR_MCYCLE && csr < CSR_MCYCLE + 32 && csr != CSR_MCYCLE + 1))
		return csr_counters(h, a);
	if (csr >= CSR_MHPMEVENT3 && csr < CSR_MCOUNTINHIBIT + 32)
		return constant(a, 0);
	switch (csr) {
	case CSR_FFLAGS:
	case CSR_FRM:
	case CSR_FCSR:
		return csr_fp(h, a);
	case CSR_SSTATUS:
		a->old = with_sd(h->s.mstatus) & SSTATUS_VIEW;
		return a->write ? write_status(h, csr_combine(a), SSTATUS_MASK) : 0;
	case CSR_MSTATUS:
		a->old = with_sd(h->s.mstatus);
		return a->write ? write_status(h, csr_combine(a), MSTATUS_MASK) : 0;
	case CSR_SIE:
	case CSR_SIP:
	case CSR_MIE:
	case CSR_MIP:
		return csr_interrupts(h, a);
	case CSR_SATP:
		return csr_satp(h, a);
	case CSR_STIMECMP:
		return csr_stimecmp(h, a);
	case CSR_MENVCFG:
		a->old = h->s.menvcfg;
		if (a->write) {
			h->s.menvcfg = csr_combine(a) & MENVCFG_MASK;
			board_timer_changed(h->board, h);
			viommu_cpu_tlb_flush_vmid(h->tlb, 0);
		}
		return a->write ? 2 : 0;
	case CSR_MIDELEG:
		a->old = h->s.mideleg;
		if (a->write)
			h->s.mideleg = csr_combine(a) & MIDELEG_MASK;
		return a->write ? 2 : 0;
	case CSR_MSECCFG:
		return csr_mseccfg(h, a);
	case CSR_MHARTID:
		return constant(a, h->index);
	case CSR_MISA:
		return constant(a, MISA);
	case CSR_MVENDORID:
	case CSR_MARCHID:
	case CSR_MIMPID:
	case CSR_MCONFIGPTR:
	case CSR_MCOUNTINHIBIT:
		return constant(a, 0);
	}
	result = board_csr(h->board, h, a); /* the interrupt files of AIA */
	return result >= 0 ? result : csr_plain(h, a);
}

int hart_csr_instruction(struct hart *h, uint32_t raw)
{
	unsigned int rd = raw >> 7 & 31, rs1 = raw >> 15 & 31, funct3 = raw >> 12 & 7;
	struct csr_access a = {
		.csr = raw >> 20,
		.operation = funct3 & 3,
		.value = funct3 & 4 ? rs1 : h->s.x[rs1],
	};
	int result;

	/* Unprivileged 10.1: set and clear with rs1 = x0 (or 0) do not write */
	a.write = a.operation == CSR_WRITE || rs1;
	if (h->s.privilege < (a.csr >> 8 & 3) || (a.write && a.csr >> 10 == 3))
		result = illegal(h);
	else
		result = csr_perform(h, &a);
	if (result == 1) {
		if (h->trap.cause == CAUSE_ILLEGAL)
			h->trap.tval = raw;
		return 1;
	}
	if (rd)
		h->s.x[rd] = a.old;
	return result;
}
