/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The page-table walk: Sv39, Sv48 and Sv57 (Privileged 4.3 to 4.5), with Svadu.
 *
 * Page-table words are read as the hart would read them: by physical address, past PMP with
 * supervisor privilege, with the WID of the access that needs the walk. What is found is narrowed
 * by PMP and handed to the TLB; what may differ for the next access (a store to a page that is not
 * dirty) is left out, so that it misses and walks again.
 */
#include "cpu/fast.h"
#include "board.h"
#include "hart.h"

static int page_fault(struct hart *h, uint64_t va, uint32_t access)
{
	uint64_t cause = access == VIOMMU_EXECUTE ? CAUSE_FETCH_PAGE
			 : access == VIOMMU_READ  ? CAUSE_LOAD_PAGE
						  : CAUSE_STORE_PAGE;

	return hart_raise(h, cause, va);
}

static int access_fault(struct hart *h, uint64_t va, uint32_t access)
{
	uint64_t cause = access == VIOMMU_EXECUTE ? CAUSE_FETCH_ACCESS
			 : access == VIOMMU_READ  ? CAUSE_LOAD_ACCESS
						  : CAUSE_STORE_ACCESS;

	return hart_raise(h, cause, va);
}

/* Where the page-table word at `pa` is; NULL and a trap raised, or NULL and *silent. */
static uint64_t *entry_pointer(struct hart *h, uint64_t pa, bool write, uint64_t va,
			       uint32_t access, const struct viommu_attributes *attributes,
			       bool *silent)
{
	struct viommu_cpu_target target;
	struct pmp_answer pmp;
	uint32_t need = write ? VIOMMU_READ | VIOMMU_WRITE : VIOMMU_READ;

	*silent = false;
	pmp_query(h, pa, PRV_S, &pmp);
	if (need & ~pmp.permissions) {
		access_fault(h, va, access);
		return NULL;
	}
	if (!write && !h->board->options.no_caches) {
		uint64_t *hit = viommu_fast_walk(h->fast, attributes, pa, 8);

		if (hit)
			return hit;
	}
	viommu_cpu_tlb_walk(h->tlb, attributes, pa, 8, write ? VIOMMU_ATOMIC : VIOMMU_READ,
			    &target);
	switch (target.kind) {
	case VIOMMU_CPU_RAM:
		if (write && target.watched)
			code_written(h->board->code, target.gpa, 8);
		return target.hva;
	case VIOMMU_CPU_SILENT:
		*silent = true;
		return NULL;
	case VIOMMU_CPU_STALLED:
		hart_raise(h, CAUSE_RETRY, 0);
		return NULL;
	default:
		access_fault(h, va, access);
		return NULL;
	}
}

/* Privileged 4.3.2 step 5 to 7: may this access use the leaf? The permissions a TLB may keep, 0 if
 * not. */
static uint32_t leaf_permissions(const struct hart *h, uint64_t pte, unsigned int privilege,
				 uint32_t access)
{
	uint32_t permissions = 0;
	bool user = pte & PTE_U;

	if (pte & PTE_R || (pte & PTE_X && h->s.mstatus & MSTATUS_MXR))
		permissions |= VIOMMU_READ;
	if (pte & PTE_W)
		permissions |= VIOMMU_WRITE;
	if (pte & PTE_X)
		permissions |= VIOMMU_EXECUTE;
	if (privilege == PRV_U)
		return user ? permissions : 0;
	if (user) {
		permissions &= ~(uint32_t)VIOMMU_EXECUTE;
		if (!(h->s.mstatus & MSTATUS_SUM))
			permissions = 0;
	}
	return permissions;
}

static uint32_t needed(uint32_t access)
{
	return access == VIOMMU_ATOMIC ? VIOMMU_READ | VIOMMU_WRITE : access;
}

/* Set A, and D for a write, in the word the walk read; false: it changed meanwhile, walk again. */
static int update_entry(struct hart *h, uint64_t pa, uint64_t va, uint32_t access, uint64_t *pte,
			const struct viommu_attributes *attributes)
{
	uint64_t wanted = *pte | PTE_A | (access & (VIOMMU_WRITE | VIOMMU_ATOMIC) ? PTE_D : 0);
	uint64_t expected = *pte, *p;
	bool silent;

	if (wanted == *pte)
		return 0;
	if (!(h->s.menvcfg & ENVCFG_ADUE))
		return page_fault(h, va, access);
	p = entry_pointer(h, pa, true, va, access, attributes, &silent);
	if (!p)
		return silent ? page_fault(h, va, access) : 1;
	if (!__atomic_compare_exchange_n(p, &expected, wanted, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return hart_raise(h, CAUSE_RETRY, 0);
	*pte = wanted;
	return 0;
}

static void finish(struct hart *h, uint64_t va, uint64_t pa, uint64_t size, unsigned int privilege,
		   uint32_t permissions, struct viommu_cpu_fill *fill)
{
	struct pmp_answer pmp;
	uint64_t page = pa & ~0xfffull;

	pmp_query(h, pa, privilege, &pmp);
	fill->va = va;
	fill->pa = pa;
	fill->page_size = size;
	fill->permissions = permissions & pmp.permissions;
	fill->first = pmp.first > page ? (uint16_t)(pmp.first - page) : 0;
	fill->last = pmp.last < page + 4095 ? (uint16_t)(pmp.last - page) : 4095;
}

static int walk_tables(struct hart *h, uint64_t va, uint32_t access, unsigned int privilege,
		       unsigned int levels, const struct viommu_attributes *attributes,
		       struct viommu_cpu_fill *fill)
{
	unsigned int bits = 12 + 9 * levels;
	uint64_t table = (h->s.satp & SATP_PPN) << 12;
	bool silent;

	if ((uint64_t)((int64_t)(va << (64 - bits)) >> (64 - bits)) != va)
		return page_fault(h, va, access);
	for (int level = (int)levels - 1; level >= 0; level--) {
		unsigned int shift = 12 + 9 * (unsigned int)level;
		uint64_t at = table + ((va >> shift & 0x1ff) << 3), pte, size = 1ull << shift;
		uint64_t *p = entry_pointer(h, at, false, va, access, attributes, &silent);
		uint32_t permissions;

		if (!p)
			return silent ? page_fault(h, va, access) : 1;
		pte = __atomic_load_n(p, __ATOMIC_ACQUIRE);
		if (!(pte & PTE_V) || (pte & (PTE_R | PTE_W)) == PTE_W || pte & PTE_RESERVED)
			return page_fault(h, va, access);
		if (!(pte & (PTE_R | PTE_W | PTE_X))) {
			if (pte & (PTE_A | PTE_D | PTE_U))
				return page_fault(h, va, access);
			if (pte & PTE_G)
				fill->global = true;
			table = (pte & PTE_PPN) << 2;
			continue;
		}
		permissions = leaf_permissions(h, pte, privilege, access);
		if (needed(access) & ~permissions || (pte & PTE_PPN) << 2 & (size - 1))
			return page_fault(h, va, access);
		if (update_entry(h, at, va, access, &pte, attributes))
			return 1;
		if (!(pte & PTE_D))
			permissions &= ~(uint32_t)VIOMMU_WRITE;
		if (pte & PTE_G)
			fill->global = true;
		finish(h, va, ((pte & PTE_PPN) << 2) | (va & (size - 1)), size, privilege,
		       permissions, fill);
		return 0;
	}
	return page_fault(h, va, access);
}

int hart_walk(struct hart *h, uint64_t va, uint32_t access, unsigned int privilege,
	      struct viommu_cpu_fill *fill)
{
	const struct viommu_cpu_context *context =
		access == VIOMMU_EXECUTE ? &h->fetch_context : &h->data_context;
	unsigned int mode = (unsigned int)(h->s.satp >> SATP_MODE_SHIFT);

	*fill = (struct viommu_cpu_fill){ 0 };
	if (privilege == PRV_M || !mode) {
		finish(h, va, va, 4096, privilege, VIOMMU_READ | VIOMMU_WRITE | VIOMMU_EXECUTE,
		       fill);
	} else if (walk_tables(h, va, access, privilege, mode - 5, &context->attributes, fill)) {
		return 1;
	}
	/* PMP, after the page tables: an access fault */
	if (needed(access) & ~fill->permissions)
		return access_fault(h, va, access);
	return 0;
}

bool hart_debug_translate(struct hart *h, uint64_t va, uint64_t *pa)
{
	unsigned int mode = (unsigned int)(h->s.satp >> SATP_MODE_SHIFT);
	uint64_t table = (h->s.satp & SATP_PPN) << 12, pte;

	if (h->s.privilege == PRV_M || !mode) {
		*pa = va;
		return true;
	}
	for (int level = (int)mode - 6; level >= 0; level--) {
		unsigned int shift = 12 + 9 * (unsigned int)level;

		if (viommu_memory_read(h->board->memory, table + ((va >> shift & 0x1ff) << 3), &pte,
				       8) ||
		    !(pte & PTE_V))
			return false;
		table = (pte & PTE_PPN) << 2;
		if (pte & (PTE_R | PTE_W | PTE_X)) {
			*pa = table | (va & ((1ull << shift) - 1));
			return true;
		}
	}
	return false;
}
