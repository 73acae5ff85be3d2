/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traps and interrupts: Privileged 3.1.6 to 3.1.9, 3.3, 4.1.
 *
 * An exception is raised by leaving its cause and value in hart->trap and returning 1 all the way
 * to the interpreter, which calls hart_take_trap() with s.pc at the instruction.
 */
#include <string.h>

#include "board.h"
#include "cpu/fast.h"
#include "hart.h"

int hart_raise(struct hart *h, uint64_t cause, uint64_t tval)
{
	h->trap.cause = cause;
	h->trap.tval = tval;
	return 1;
}

static void enter(struct hart *h, uint64_t cause, uint64_t tval, bool supervisor)
{
	struct hart_state *s = &h->s;
	uint64_t vector = supervisor ? s->stvec : s->mtvec, m = s->mstatus;

	h->traps++;
	if (supervisor) {
		s->sepc = s->pc;
		s->scause = cause;
		s->stval = tval;
		m &= ~(MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE);
		m |= s->privilege == PRV_U ? 0 : MSTATUS_SPP;
		m |= s->mstatus & MSTATUS_SIE ? MSTATUS_SPIE : 0;
	} else {
		s->mepc = s->pc;
		s->mcause = cause;
		s->mtval = tval;
		m &= ~(MSTATUS_MPP | MSTATUS_MPIE | MSTATUS_MIE);
		m |= (uint64_t)s->privilege << MSTATUS_MPP_SHIFT;
		m |= s->mstatus & MSTATUS_MIE ? MSTATUS_MPIE : 0;
	}
	s->mstatus = m;
	s->privilege = supervisor ? PRV_S : PRV_M;
	s->pc = vector & ~3ull;
	if (vector & 1 && cause & CAUSE_INTERRUPT)
		s->pc += 4 * (cause & 63);
	hart_context_update(h);
}

void hart_take_trap(struct hart *h)
{
	uint64_t cause = h->trap.cause;

	if (cause == CAUSE_RETRY) /* a stalled access: the same instruction again */
		return;
	enter(h, cause, h->trap.tval, h->s.privilege != PRV_M && h->s.medeleg >> cause & 1);
}

static uint64_t pending(const struct hart *h)
{
	return (h->s.mip | (h->s.seip_line ? BIT(IRQ_SEI) : 0)) & h->s.mie;
}

bool hart_wakes(const struct hart *h)
{
	return pending(h) != 0;
}

/* The set of interrupts to take now, and in which mode. */
static uint64_t takeable(const struct hart *h, bool *supervisor)
{
	uint64_t all = pending(h), machine = all & ~h->s.mideleg, delegated = all & h->s.mideleg;

	*supervisor = false;
	if (machine && (h->s.privilege != PRV_M || h->s.mstatus & MSTATUS_MIE))
		return machine;
	*supervisor = true;
	if (delegated &&
	    (h->s.privilege == PRV_U || (h->s.privilege == PRV_S && h->s.mstatus & MSTATUS_SIE)))
		return delegated;
	return 0;
}

bool hart_take_interrupt(struct hart *h)
{
	static const uint8_t order[] = { IRQ_MEI, IRQ_MSI, IRQ_MTI, IRQ_SEI, IRQ_SSI, IRQ_STI };
	bool supervisor;
	uint64_t set;

	if (!pending(h))
		return false;
	set = takeable(h, &supervisor);
	if (!set)
		return false;
	for (unsigned int i = 0; i < sizeof(order); i++) {
		if (set >> order[i] & 1) {
			enter(h, CAUSE_INTERRUPT | order[i], 0, supervisor);
			return true;
		}
	}
	return false;
}

void hart_set_irq(struct hart *h, unsigned int irq, bool level)
{
	if (irq == IRQ_SEI)
		h->s.seip_line = level;
	else if (level)
		h->s.mip |= BIT(irq);
	else
		h->s.mip &= ~BIT(irq);
	h->event = true;
	if (level && hart_wakes(h))
		h->s.waiting = 0;
}

int hart_return(struct hart *h, unsigned int from)
{
	struct hart_state *s = &h->s;
	uint64_t m = s->mstatus;

	if (s->privilege < from || (from == PRV_S && s->privilege == PRV_S && m & MSTATUS_TSR))
		return hart_raise(h, CAUSE_ILLEGAL, from == PRV_M ? 0x30200073 : 0x10200073);
	if (from == PRV_M) {
		s->privilege = (uint32_t)((m & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT);
		m = (m & ~(MSTATUS_MIE | MSTATUS_MPP)) | (m & MSTATUS_MPIE ? MSTATUS_MIE : 0) |
		    MSTATUS_MPIE;
		s->pc = s->mepc;
	} else {
		s->privilege = m & MSTATUS_SPP ? PRV_S : PRV_U;
		m = (m & ~(MSTATUS_SIE | MSTATUS_SPP)) | (m & MSTATUS_SPIE ? MSTATUS_SIE : 0) |
		    MSTATUS_SPIE;
		s->pc = s->sepc;
	}
	if (s->privilege != PRV_M)
		m &= ~MSTATUS_MPRV;
	s->mstatus = m;
	/* below M-mode a PMP without rules denies: the TLB must ask */
	if (s->privilege != PRV_M && !h->pmp_on) {
		h->pmp_on = true;
		hart_flush_all(h);
	}
	hart_context_update(h);
	return 0;
}

int hart_wait(struct hart *h)
{
	if (h->s.privilege == PRV_U || (h->s.privilege == PRV_S && h->s.mstatus & MSTATUS_TW))
		return hart_raise(h, CAUSE_ILLEGAL, 0x10500073);
	if (!hart_wakes(h))
		h->s.waiting = 1;
	return 0;
}

void hart_reset(struct hart *h, uint64_t pc)
{
	memset(&h->s, 0, sizeof(h->s));
	h->s.pc = pc;
	h->s.privilege = PRV_M;
	h->s.mstatus = MSTATUS_UXL | MSTATUS_SXL;
	h->s.stimecmp = UINT64_MAX;
	h->s.x[10] = h->index;
	h->pmp_on = false;
	if (h->board->worlds_on)
		viommu_world_reset(&h->board->worlds, &h->world);
	pmp_rebuild(h);
	hart_context_update(h);
}
