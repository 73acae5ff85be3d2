/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The slow way to memory: what the interpreter calls when the TLB's fast path said no.
 *
 * Everything goes through lib/cpu's TLB, which defers the decision of checkers to the access; a
 * miss walks the page tables and fills. When MPRV makes loads and stores differ from fetches, the
 * TLB stays in the context of loads and stores and fetches visit theirs.
 */
#include <string.h>

#include "cpu/fast.h"
#include "board.h"
#include "hart.h"

static int access_fault(struct hart *h, uint64_t va, uint32_t access)
{
	uint64_t cause = access == VIOMMU_EXECUTE ? CAUSE_FETCH_ACCESS
			 : access == VIOMMU_READ  ? CAUSE_LOAD_ACCESS
						  : CAUSE_STORE_ACCESS;

	return hart_raise(h, cause, va);
}

/* What [va, va + length), inside one page, is for this access: RAM, MMIO or SILENT. 1: trap raised.
 */
static int resolve(struct hart *h, uint64_t va, unsigned int length, uint32_t access,
		   struct viommu_cpu_target *t)
{
	bool fetch = access == VIOMMU_EXECUTE;
	const struct viommu_cpu_context *context = fetch ? &h->fetch_context : &h->data_context;
	struct viommu_cpu_fill fill;

	if (fetch ? h->fetch_world_fault : h->data_world_fault)
		return hart_raise(h, CAUSE_SOFTWARE_CHECK, VIOMMU_SOFTWARE_CHECK_WORLD);
	if (h->board->options.no_caches) {
		viommu_cpu_tlb_poll(h->tlb);
		viommu_cpu_tlb_flush_all(h->tlb);
	}
	for (int turn = 0; turn < 3; turn++) {
		viommu_cpu_tlb_access(h->tlb, va, length, access, t);
		switch (t->kind) {
		case VIOMMU_CPU_RAM:
		case VIOMMU_CPU_MMIO:
		case VIOMMU_CPU_SILENT:
			return 0;
		case VIOMMU_CPU_ERROR:
			return access_fault(h, va, access);
		case VIOMMU_CPU_STALLED:
			return hart_raise(h, CAUSE_RETRY, 0);
		case VIOMMU_CPU_MISS:
			break;
		}
		if (hart_walk(h, va, access, context->privilege & 3, &fill))
			return 1;
		/* Privileged 3.7.1: an access that only partly matches an entry fails */
		if ((va & 0xfff) < fill.first || ((va & 0xfff) + length - 1) > fill.last)
			return access_fault(h, va, access);
		viommu_cpu_tlb_fill(h->tlb, &fill);
	}
	return access_fault(h, va, access);
}

static int load_pieces(struct hart *h, uint64_t va, unsigned int size, uint64_t *value)
{
	uint64_t byte, sum = 0;

	for (unsigned int i = 0; i < size; i++) {
		if (hart_load(h, va + i, 1, &byte))
			return 1;
		sum |= (byte & 0xff) << 8 * i;
	}
	*value = sum;
	return 0;
}

int hart_load(struct hart *h, uint64_t va, unsigned int size, uint64_t *value)
{
	struct viommu_cpu_target t;

	if ((va & 0xfff) + size > 4096)
		return load_pieces(h, va, size, value);
	if (resolve(h, va, size, VIOMMU_READ, &t))
		return 1;
	*value = 0;
	if (t.kind == VIOMMU_CPU_RAM) {
		memcpy(value, t.hva, size);
		return 0;
	}
	if (t.kind == VIOMMU_CPU_MMIO && va & (size - 1))
		return hart_raise(h, CAUSE_LOAD_MISALIGNED, va);
	if (viommu_cpu_tlb_read(h->tlb, &t, value, size))
		return access_fault(h, va, VIOMMU_READ);
	return 0;
}

static int store_pieces(struct hart *h, uint64_t va, unsigned int size, uint64_t value)
{
	struct viommu_cpu_target t;

	/* the second page first: nothing is stored unless all of it can be */
	if (resolve(h, va + size - 1, 1, VIOMMU_WRITE, &t))
		return 1;
	for (unsigned int i = 0; i < size; i++)
		if (hart_store(h, va + i, 1, value >> 8 * i & 0xff))
			return 1;
	return 0;
}

int hart_store(struct hart *h, uint64_t va, unsigned int size, uint64_t value)
{
	struct viommu_cpu_target t;

	if ((va & 0xfff) + size > 4096)
		return store_pieces(h, va, size, value);
	if (resolve(h, va, size, VIOMMU_WRITE, &t))
		return 1;
	if (t.kind == VIOMMU_CPU_RAM) {
		memcpy(t.hva, &value, size);
		if (t.watched)
			code_written(h->board->code, t.gpa, size);
		return 0;
	}
	if (t.kind == VIOMMU_CPU_MMIO && va & (size - 1))
		return hart_raise(h, CAUSE_STORE_MISALIGNED, va);
	h->event = true; /* a device may have changed rules or raised an interrupt */
	if (viommu_cpu_tlb_write(h->tlb, &t, &value, size))
		return access_fault(h, va, VIOMMU_WRITE);
	return 0;
}

int hart_amo(struct hart *h, uint64_t va, unsigned int size, bool load_only, void **hva)
{
	struct viommu_cpu_target t;
	uint32_t access = load_only ? VIOMMU_READ : VIOMMU_ATOMIC;

	if (va & (size - 1))
		return hart_raise(h, load_only ? CAUSE_LOAD_MISALIGNED : CAUSE_STORE_MISALIGNED,
				  va);
	if (resolve(h, va, size, access, &t))
		return 1;
	if (t.kind == VIOMMU_CPU_MMIO) /* Privileged 3.6.3: no atomics in I/O regions */
		return access_fault(h, va, access);
	if (t.kind == VIOMMU_CPU_SILENT) {
		h->scratch = 0;
		*hva = &h->scratch;
		return 0;
	}
	if (t.watched && !load_only)
		code_written(h->board->code, t.gpa, size);
	*hva = t.hva;
	return 0;
}

/* CMO 2: cbo.inval, clean, flush have nothing to do here but may fault; cbo.zero writes 64 bytes.
 */
int hart_cache_block(struct hart *h, uint32_t raw, uint64_t va)
{
	uint64_t enabled = UINT64_MAX, bit;
	struct viommu_cpu_target t;

	switch (raw >> 20) {
	case 0:
		bit = ENVCFG_CBIE;
		break;
	case 4:
		bit = ENVCFG_CBZE;
		break;
	default:
		bit = ENVCFG_CBCFE;
	}
	if (h->s.privilege != PRV_M)
		enabled &= h->s.menvcfg;
	if (h->s.privilege == PRV_U)
		enabled &= h->s.senvcfg;
	if (!(enabled & bit))
		return hart_raise(h, CAUSE_ILLEGAL, raw);
	va &= ~63ull;
	if (resolve(h, va, 64, raw >> 20 == 4 ? VIOMMU_WRITE : VIOMMU_READ, &t))
		return 1;
	if (raw >> 20 != 4)
		return 0;
	if (t.kind == VIOMMU_CPU_MMIO)
		return access_fault(h, va, VIOMMU_WRITE);
	if (t.kind == VIOMMU_CPU_RAM) {
		memset(t.hva, 0, 64);
		if (t.watched)
			code_written(h->board->code, t.gpa, 64);
	}
	return 0;
}

/* One halfword of code. */
static int fetch_half(struct hart *h, uint64_t va, uint16_t *half, struct viommu_cpu_target *t)
{
	if (resolve(h, va, 2, VIOMMU_EXECUTE, t))
		return 1;
	*half = 0;
	if (t->kind == VIOMMU_CPU_MMIO)
		return access_fault(h, va, VIOMMU_EXECUTE);
	if (t->kind == VIOMMU_CPU_RAM)
		memcpy(half, t->hva, 2);
	return 0;
}

static struct code_page *single(struct hart *h, uint64_t pc)
{
	struct viommu_cpu_target t;
	struct slot *slot = &h->single->slot[(pc & 0xfff) >> 1];
	uint16_t low, high = 0;

	if (fetch_half(h, pc, &low, &t))
		return NULL;
	if ((low & 3) == 3 && fetch_half(h, pc + 2, &high, &t))
		return NULL;
	decode_slot(slot, (uint32_t)high << 16 | low, OFFSET_ALONE);
	slot[1].handler = slot[2].handler = h->board->code_page_end;
	return h->single;
}

/* What a plain interpreter does: fetch through the TLB's fast path, decode, forget. */
static struct code_page *decoded_anew(struct hart *h, uint64_t pc)
{
	const uint8_t *p = viommu_fast_lookup(h->fast, pc, 2, VIOMMU_FAST_EXECUTE);
	struct slot *slot = &h->single->slot[(pc & 0xfff) >> 1];
	uint32_t raw = 0;

	if (!p || (pc & 0xfff) == 4094)
		return single(h, pc);
	memcpy(&raw, p, (*p & 3) == 3 ? 4 : 2);
	decode_slot(slot, raw, OFFSET_ALONE);
	slot[1].handler = slot[2].handler = h->board->code_page_end;
	return h->single;
}

static struct code_page *fetch(struct hart *h, uint64_t pc)
{
	struct viommu_cpu_target t;
	struct code_page *page;
	bool fresh;

	if (h->board->options.decode_always)
		return decoded_anew(h, pc);
	if (resolve(h, pc, 2, VIOMMU_EXECUTE, &t))
		return NULL;
	/* a page that the fast path refuses is not executable as a whole, or not for long */
	if (t.kind != VIOMMU_CPU_RAM || !t.memory ||
	    !viommu_fast_lookup(h->fast, pc, 2, VIOMMU_FAST_EXECUTE))
		return single(h, pc);
	page = code_page_get(h->board->code, t.gpa, t.hva, &fresh);
	if (!page)
		return single(h, pc);
	if (fresh)
		board_rewatch(h->board, t.gpa & ~0xfffull);
	return page;
}

static struct code_page *in_fetch_context(struct hart *h, uint64_t pc,
					  struct code_page *(*how)(struct hart *, uint64_t))
{
	struct code_page *page;

	if (!h->fetch_apart)
		return how(h, pc);
	viommu_cpu_tlb_switch(h->tlb, &h->fetch_context);
	page = how(h, pc);
	viommu_cpu_tlb_switch(h->tlb, &h->data_context);
	return page;
}

struct code_page *hart_fetch(struct hart *h, uint64_t pc)
{
	return in_fetch_context(h, pc, fetch);
}

struct code_page *hart_fetch_single(struct hart *h, uint64_t pc)
{
	return in_fetch_context(h, pc, single);
}

uint32_t hart_instruction_bits(struct hart *h)
{
	uint64_t pa;
	uint32_t raw = 0;

	if (!hart_debug_translate(h, h->s.pc, &pa) ||
	    viommu_memory_read(h->board->memory, pa, &raw, 2))
		return 0;
	if ((raw & 3) == 3 && hart_debug_translate(h, h->s.pc + 2, &pa) &&
	    viommu_memory_read(h->board->memory, pa, (uint8_t *)&raw + 2, 2))
		return 0;
	return raw;
}

static bool fill_context(struct hart *h, struct viommu_cpu_context *c, unsigned int privilege)
{
	uint32_t wid = 0;
	bool fault = false, bare = privilege == PRV_M || !(h->s.satp >> SATP_MODE_SHIFT);

	if (h->board->worlds_on)
		fault = viommu_world_wid(&h->board->worlds, &h->world,
					 (enum viommu_riscv_mode)privilege, false,
					 &wid) == VIOMMU_FAULT;
	*c = (struct viommu_cpu_context){
		/* without translation but with PMP: a VMID of its own, which no sfence touches */
		.vmid = bare,
		.asid = bare ? 0 : (uint32_t)((h->s.satp & SATP_ASID) >> SATP_ASID_SHIFT),
		.privilege = privilege | (uint32_t)(h->s.mstatus >> 18 & 3) << 2 |
			     (bare ? 0 : (uint32_t)(h->s.satp >> SATP_MODE_SHIFT) << 4) |
			     (fault ? 1u << 8 : 0),
		.privileged = privilege != PRV_U,
		.physical = bare && !h->pmp_on,
		.attributes = { .wid = wid, .source = h->board->options.iopmp.apart ? h->index : SOURCE_CPU },
	};
	return fault;
}

void hart_context_update(struct hart *h)
{
	unsigned int data = h->s.privilege;

	/* Privileged 3.1.6.3 */
	if (h->s.mstatus & MSTATUS_MPRV)
		data = (unsigned int)((h->s.mstatus & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT);
	h->fetch_apart = data != h->s.privilege;
	h->data_world_fault = fill_context(h, &h->data_context, data);
	h->fetch_world_fault = h->data_world_fault;
	h->fetch_context = h->data_context;
	if (h->fetch_apart)
		h->fetch_world_fault = fill_context(h, &h->fetch_context, h->s.privilege);
	h->fp_off = !(h->s.mstatus & MSTATUS_FS);
	viommu_cpu_tlb_switch(h->tlb, &h->data_context);
}

/* PMP rules changed: every context may allow less or more. */
void hart_flush_all(struct hart *h)
{
	/* until there is a rule, M-mode may do everything: the TLB need not ask */
	h->pmp_on |= h->pmp_count || h->s.mseccfg & (MSECCFG_MML | MSECCFG_MMWP);
	viommu_cpu_tlb_flush_all(h->tlb);
	hart_context_update(h);
}

int hart_sfence(struct hart *h, uint32_t raw)
{
	unsigned int rs1 = raw >> 15 & 31, rs2 = raw >> 20 & 31;
	uint32_t asid = (uint32_t)h->s.x[rs2] & 0xffff;

	if (h->s.privilege == PRV_U || (h->s.privilege == PRV_S && h->s.mstatus & MSTATUS_TVM))
		return hart_raise(h, CAUSE_ILLEGAL, raw);
	if (raw >> 25 == 0x0c) /* Svinval's ordering fences: everything is ordered already */
		return 0;
	if (rs1)
		viommu_cpu_tlb_flush_page(h->tlb, 0, rs2 ? asid : VIOMMU_CPU_ALL, h->s.x[rs1]);
	else if (rs2)
		viommu_cpu_tlb_flush_asid(h->tlb, 0, asid);
	else
		viommu_cpu_tlb_flush_vmid(h->tlb, 0);
	return 0;
}
