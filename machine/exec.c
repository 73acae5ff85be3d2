/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The interpreter: direct-threaded over the slots of a physical page.
 *
 * Every handler ends in its own indirect jump to the handler of the next slot. The program counter
 * is not kept: it follows from the slot's address and the page's virtual address (`bias`). Near
 * branches add a constant to the slot pointer and never leave the page; everything else goes
 * through `jump`, which asks the TLB for execute permission and finds the page's slots by host
 * address. So a page whose permission is gone is noticed as soon as code enters it, and whatever
 * may take it away while inside (a CSR write, sfence, an MMIO write) leaves the fast loop by way of
 * `resume`.
 *
 * A JIT would take over at `jump`: it has the code page, the offset, and every exit it needs is a
 * label here.
 */
#include <string.h>

#include "cpu/fast.h"
#include "board.h"
#include "hart.h"
#include "ops.h"

const void *const *exec_handlers;

#define likely(e)   __builtin_expect(!!(e), 1)
#define unlikely(e) __builtin_expect(!!(e), 0)

#define RD	  x[s->rd]
#define RS1	  x[s->rs1]
#define RS2	  x[s->rs2]
#define IMM	  ((int64_t)s->imm)
#define PC(slot_) (bias + ((uint64_t)(uintptr_t)(slot_) >> 3))

#define NEXT(w)                    \
	do {                       \
		s += (w);          \
		count--;           \
		goto *s->handler; \
	} while (0)

/* One handler for each length; `w` is the distance in slots. */
#define BOTH(name, ...)         \
	L_##name##_2:           \
	{                       \
		enum { w = 1 }; \
		__VA_ARGS__;    \
		NEXT(1);        \
	}                       \
	L_##name:               \
	{                       \
		enum { w = 2 }; \
		__VA_ARGS__;    \
		NEXT(2);        \
	}
#define FOUR(name, ...)         \
	L_##name:               \
	{                       \
		enum { w = 2 }; \
		__VA_ARGS__;    \
		NEXT(2);        \
	}

/* A taken branch inside the page. */
#define NEAR()                                                       \
	do {                                                         \
		s = (const struct slot *)((const char *)s + s->imm); \
		count--;                                             \
		if (unlikely(count <= 0))                            \
			goto out_of_slice;                           \
		goto *s->handler;                                   \
	} while (0)
#define FAR(target)            \
	do {                   \
		pc = (target); \
		count--;       \
		goto jump;     \
	} while (0)

/* After a slow path that may have raised an event: leave if it did. */
#define CHECK_EVENT()                     \
	do {                              \
		if (unlikely(h->event)) { \
			s += w;           \
			count--;          \
			goto leave;       \
		}                         \
	} while (0)

#define LOAD(type, destination)                                                       \
	uint64_t va = RS1 + (uint64_t)IMM;                                            \
	const type *p = viommu_fast_lookup(fast, va, sizeof(type), VIOMMU_FAST_READ); \
	if (likely(p != NULL)) {                                                      \
		destination(*p);                                                      \
	} else {                                                                      \
		uint64_t v;                                                           \
		h->count = count;                                                     \
		if (unlikely(hart_load(h, va, sizeof(type), &v)))                     \
			goto trap;                                                    \
		destination((type)v);                                                 \
		CHECK_EVENT();                                                        \
	}
#define STORE(type, value)                                                       \
	uint64_t va = RS1 + (uint64_t)IMM;                                       \
	type *p = viommu_fast_lookup(fast, va, sizeof(type), VIOMMU_FAST_WRITE); \
	if (likely(p != NULL)) {                                                 \
		*p = (type)(value);                                              \
	} else {                                                                 \
		h->count = count;                                                \
		if (unlikely(hart_store(h, va, sizeof(type), (type)(value))))    \
			goto trap;                                               \
		CHECK_EVENT();                                                   \
	}

#define TO_X(v)	 RD = (uint64_t)(int64_t)(v)
#define TO_XU(v) RD = (v)
#define TO_F(v)	 (h->s.f[s->rd] = (v), h->s.mstatus |= MSTATUS_FS)
/* Unprivileged 21.2: a narrower value is NaN-boxed */
#define TO_F32(v) (h->s.f[s->rd] = 0xffffffff00000000ull | (v), h->s.mstatus |= MSTATUS_FS)
#define NEED_FP()                \
	if (unlikely(h->fp_off)) \
	goto illegal

#define SEXT32(v) ((uint64_t)(int64_t)(int32_t)(v))
#define BRANCH(name, condition)                     \
	L_##name:                                   \
	{                                           \
		if (condition)                      \
			NEAR();                     \
		NEXT(2);                            \
	}                                           \
	L_##name##_far:                             \
	{                                           \
		if (condition)                      \
			FAR(PC(s) + (uint64_t)IMM); \
		NEXT(2);                            \
	}
#define BRANCH_C(name, condition)                   \
	L_##name##_2:                               \
	{                                           \
		if (condition)                      \
			NEAR();                     \
		NEXT(1);                            \
	}                                           \
	L_##name##_far_2:                           \
	{                                           \
		if (condition)                      \
			FAR(PC(s) + (uint64_t)IMM); \
		NEXT(1);                            \
	}

/* Unprivileged 13.2: division by zero and overflow have results, not traps. */
static uint64_t divide(int64_t a, int64_t b)
{
	if (!b)
		return UINT64_MAX;
	if (b == -1)
		return 0 - (uint64_t)a;
	return (uint64_t)(a / b);
}

static uint64_t remainder_of(int64_t a, int64_t b)
{
	if (!b)
		return (uint64_t)a;
	if (b == -1)
		return 0;
	return (uint64_t)(a % b);
}

static uint64_t orc_b(uint64_t v)
{
	v |= (v & 0x7f7f7f7f7f7f7f7full) + 0x7f7f7f7f7f7f7f7full;
	v &= 0x8080808080808080ull;
	return (v >> 7) * 255;
}

static uint64_t rotate_left(uint64_t v, unsigned int n)
{
	n &= 63;
	return v << n | v >> (-n & 63);
}

static uint32_t rotate_left32(uint32_t v, unsigned int n)
{
	n &= 31;
	return v << n | v >> (-n & 31);
}

static uint64_t amo_result(unsigned int funct5, uint64_t old, uint64_t operand, bool wide)
{
	int64_t a = wide ? (int64_t)old : (int32_t)old,
		b = wide ? (int64_t)operand : (int32_t)operand;
	uint64_t ua = wide ? old : (uint32_t)old, ub = wide ? operand : (uint32_t)operand;

	switch (funct5) {
	case 0x00:
		return old + operand;
	case 0x01:
		return operand;
	case 0x04:
		return old ^ operand;
	case 0x08:
		return old | operand;
	case 0x0c:
		return old & operand;
	case 0x10:
		return (uint64_t)(a < b ? a : b);
	case 0x14:
		return (uint64_t)(a > b ? a : b);
	case 0x18:
		return ua < ub ? ua : ub;
	default:
		return ua > ub ? ua : ub;
	}
}

#define AMO_POINTER(type, slow_load)                                                               \
	uint64_t va = RS1;                                                                         \
	type *p = slow_load ? (type *)viommu_fast_lookup(fast, va, sizeof(type), VIOMMU_FAST_READ) \
			    : (type *)viommu_fast_lookup_rmw(fast, va, sizeof(type));              \
	if (unlikely(!p)) {                                                                        \
		void *found;                                                                       \
		h->count = count;                                                                  \
		if (unlikely(hart_amo(h, va, sizeof(type), slow_load, &found)))                    \
			goto trap;                                                                 \
		p = found;                                                                         \
	}
#define AMO(name, type, stype)                                                          \
	FOUR(amo_##name, AMO_POINTER(type, false) type old = *p;                        \
	     *p = (type)amo_result(s->aux, old, RS2, sizeof(type) == 8);                \
	     RD = (uint64_t)(int64_t)(stype)old)                                        \
	FOUR(lr_##name, AMO_POINTER(type, true) h->reservation = p;                     \
	     RD = (uint64_t)(int64_t)(stype)*p)                                         \
	FOUR(sc_##name, AMO_POINTER(type, false) bool ok = h->reservation == (void *)p; \
	     if (ok) *p = (type)RS2; h->reservation = NULL; RD = !ok)

/* Double arithmetic in the host's round-to-nearest; the host's sticky flags are the guest's. NaN
 * results are canonical. */
#define FP_DOUBLE(name, expression)                                                            \
	FOUR(name, NEED_FP(); if (unlikely(h->s.frm)) goto fp_generic; double a, b, r;         \
	     memcpy(&a, &h->s.f[s->rs1], 8); memcpy(&b, &h->s.f[s->rs2], 8); r = (expression); \
	     uint64_t u; memcpy(&u, &r, 8); if (unlikely(r != r)) u = 0x7ff8000000000000ull;   \
	     TO_F(u))

static uint64_t exec(struct hart *h, uint64_t budget)
{
#define X(name) [OP_##name] = &&L_##name, [OP_##name##_2] = &&L_##name##_2,
	static const void *const handlers[OP_COUNT] = { OPS_BOTH(X)
#undef X
#define X(name) [OP_##name] = &&L_##name,
								OPS_FOUR(X)
#undef X
	};
	if (!h) {
		exec_handlers = handlers;
		return 0;
	}

	uint64_t *const x = h->s.x;
	const struct viommu_fast *const fast = h->fast;
	struct code_cache *const code = h->board->code;
	int64_t count = (int64_t)budget;
	uint64_t pc = h->s.pc, bias = 0;
	struct code_page *page = NULL;
	const struct slot *s = NULL;

	h->slice = h->count = count;
	h->stop = false;
	h->reservation = NULL;
	goto resume;

leave: /* pc is that of s */
	pc = PC(s);
resume:
	h->s.pc = pc;
	h->count = count;
	h->event = false;
	if (viommu_fast_pending(fast))
		viommu_cpu_tlb_poll(h->tlb);
	if (unlikely(h->stop || h->s.waiting))
		goto out;
	if (unlikely(hart_take_interrupt(h)))
		pc = h->s.pc;
jump:
	if (unlikely(count <= 0)) {
		h->s.pc = pc;
		goto out;
	}
	{
		const uint8_t *p = h->fetch_apart
					   ? NULL
					   : viommu_fast_lookup(fast, pc, 2, VIOMMU_FAST_EXECUTE);

		page = p ? code_lookup(code, p) : NULL;
		if (unlikely(!page)) {
			h->count = count;
			h->s.pc = pc;
			page = hart_fetch(h, pc);
			if (unlikely(!page)) {
				goto fetch_trap;
			}
		}
		bias = (pc & ~0xfffull) - ((uint64_t)(uintptr_t)page->slot >> 3);
		s = &page->slot[(pc & 0xfff) >> 1];
		goto *s->handler;
	}
out_of_slice:
	h->s.pc = PC(s);
	goto out;
illegal:
	h->count = count;
	h->s.pc = PC(s);
	hart_raise(h, CAUSE_ILLEGAL, hart_instruction_bits(h));
trap:
	h->s.pc = PC(s);
	h->count = count;
	hart_take_trap(h);
	pc = h->s.pc;
	count--; /* a trap takes its turn: a loop of traps ends with its slice */
	h->slice--;
	goto resume;
out:
	h->s.instret += (uint64_t)(h->slice - count);
	h->slice = h->count = count;
	return budget - (uint64_t)count;

L_decode:
L_decode_2 : {
	struct slot *fresh = (struct slot *)(uintptr_t)s;
	unsigned int offset = (unsigned int)(fresh - page->slot) * 2;
	uint32_t raw = 0;

	memcpy(&raw, page->hva + offset, 2);
	if ((raw & 3) == 3) {
		if (offset == 4094) { /* it ends in the next page: fetch it alone */
			pc = PC(s);
			h->s.pc = pc;
			h->count = count;
			page = hart_fetch_single(h, pc);
			if (!page)
				goto fetch_trap;
			bias = (pc & ~0xfffull) - ((uint64_t)(uintptr_t)page->slot >> 3);
			s = &page->slot[offset / 2];
			goto *s->handler;
		}
		memcpy(&raw, page->hva + offset, 4);
	}
	decode_slot(fresh, raw, offset);
	goto *s->handler;
}
fetch_trap:
	hart_take_trap(h);
	pc = h->s.pc;
	count--;
	h->slice--;
	goto resume;
L_page_end:
L_page_end_2:
	pc = PC(s);
	goto jump;

#include "exec_ops.h"
}

void exec_prepare(void)
{
	exec(NULL, 0);
}

uint64_t hart_run(struct hart *hart, uint64_t budget)
{
	return exec(hart, budget);
}
