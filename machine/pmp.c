/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Physical memory protection (Privileged 3.7) and Smepmp.
 *
 * The active entries are kept as inclusive ranges. A query answers for the largest window around an
 * address in which the answer is the same, so that the TLB can keep it for a whole page or for the
 * right part of one.
 */
#include "board.h"
#include "hart.h"

#define RWX (VIOMMU_READ | VIOMMU_WRITE | VIOMMU_EXECUTE)

static uint32_t plain(uint8_t cfg)
{
	return (cfg & PMP_R ? VIOMMU_READ : 0) | (cfg & PMP_W ? VIOMMU_WRITE : 0) |
	       (cfg & PMP_X ? VIOMMU_EXECUTE : 0);
}

/* Smepmp 2.1: the truth table with mseccfg.MML set. */
static uint32_t permissions_mml(uint8_t cfg, bool machine)
{
	bool r = cfg & PMP_R, w = cfg & PMP_W, x = cfg & PMP_X;

	if (!(cfg & PMP_L)) {
		if (!r && w)
			return machine || x ? VIOMMU_READ | VIOMMU_WRITE : VIOMMU_READ;
		return machine ? 0 : plain(cfg);
	}
	if (!r && w)
		return machine && x ? VIOMMU_READ | VIOMMU_EXECUTE : VIOMMU_EXECUTE;
	if (r && w && x)
		return VIOMMU_READ;
	return machine ? plain(cfg) : 0;
}

static uint32_t permissions_of(const struct hart *h, uint8_t cfg, bool machine)
{
	if (h->s.mseccfg & MSECCFG_MML)
		return permissions_mml(cfg, machine);
	if (machine && !(cfg & PMP_L))
		return RWX;
	return plain(cfg);
}

/* No entry matches. */
static uint32_t permissions_default(const struct hart *h, bool machine)
{
	if (!machine || h->s.mseccfg & MSECCFG_MMWP)
		return 0;
	return h->s.mseccfg & MSECCFG_MML ? VIOMMU_READ | VIOMMU_WRITE : RWX;
}

void pmp_query(const struct hart *h, uint64_t pa, unsigned int privilege, struct pmp_answer *answer)
{
	bool machine = privilege == PRV_M;

	answer->first = 0;
	answer->last = UINT64_MAX;
	for (unsigned int i = 0; i < h->pmp_count; i++) {
		const struct pmp_range *range = &h->pmp[i];

		if (pa >= range->first && pa <= range->last) {
			if (range->first > answer->first)
				answer->first = range->first;
			if (range->last < answer->last)
				answer->last = range->last;
			answer->permissions = permissions_of(h, range->cfg, machine);
			return;
		}
		if (range->last < pa && range->last + 1 > answer->first)
			answer->first = range->last + 1;
		if (range->first > pa && range->first - 1 < answer->last)
			answer->last = range->first - 1;
	}
	answer->permissions = permissions_default(h, machine);
}

void pmp_rebuild(struct hart *h)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < PMP_ENTRIES; i++) {
		uint8_t cfg = h->s.pmpcfg[i];
		uint64_t addr = h->s.pmpaddr[i], previous = i ? h->s.pmpaddr[i - 1] : 0, mask;

		switch ((cfg & PMP_A) >> PMP_A_SHIFT) {
		case 0:
			continue;
		case 1: /* TOR */
			if (previous >= addr)
				continue;
			h->pmp[n] = (struct pmp_range){ previous << 2, (addr << 2) - 1, cfg };
			break;
		case 2: /* NA4 */
			h->pmp[n] = (struct pmp_range){ addr << 2, (addr << 2) + 3, cfg };
			break;
		case 3: /* NAPOT */
			mask = addr ^ (addr + 1);
			h->pmp[n] = (struct pmp_range){ (addr & ~mask) << 2,
							((addr | mask) << 2) | 3, cfg };
			break;
		}
		n++;
	}
	h->pmp_count = n;
	hart_flush_all(h);
}

/* Privileged 3.7.1, Smepmp 2.1: RLB lets locked rules be edited. */
static bool locked(const struct hart *h, unsigned int i)
{
	return h->s.pmpcfg[i] & PMP_L && !(h->s.mseccfg & MSECCFG_RLB);
}

static void write_cfg(struct hart *h, unsigned int i, uint8_t cfg)
{
	bool mml = h->s.mseccfg & MSECCFG_MML;

	if (locked(h, i))
		return;
	cfg &= (uint8_t)~0x60u;
	if (!mml && (cfg & (PMP_R | PMP_W)) == PMP_W) /* reserved: keep W clear */
		cfg &= (uint8_t)~PMP_W;
	/* Smepmp 2.1, 4b: no new locked rule that lets M-mode execute */
	if (mml && !(h->s.mseccfg & MSECCFG_RLB) && permissions_mml(cfg, true) & VIOMMU_EXECUTE &&
	    cfg & PMP_L)
		return;
	h->s.pmpcfg[i] = cfg;
}

static bool address_locked(const struct hart *h, unsigned int i)
{
	if (locked(h, i))
		return true;
	return i + 1 < PMP_ENTRIES && locked(h, i + 1) &&
	       (h->s.pmpcfg[i + 1] & PMP_A) == 1 << PMP_A_SHIFT;
}

int pmp_csr(struct hart *h, struct csr_access *a)
{
	unsigned int i = a->csr - CSR_PMPADDR0;
	uint64_t value;

	a->old = 0;
	if (a->csr >= CSR_PMPADDR0) {
		if (i < PMP_ENTRIES)
			a->old = h->s.pmpaddr[i];
		if (!a->write)
			return 0;
		if (i < PMP_ENTRIES && !address_locked(h, i))
			h->s.pmpaddr[i] = csr_combine(a) & 0x3fffffffffffffull;
		pmp_rebuild(h);
		return 2;
	}
	i = (a->csr - CSR_PMPCFG0) * 4;
	if (i & 4) /* RV64: only even ones exist */
		return hart_raise(h, CAUSE_ILLEGAL, 0);
	for (unsigned int n = 0; n < 8 && i + n < PMP_ENTRIES; n++)
		a->old |= (uint64_t)h->s.pmpcfg[i + n] << 8 * n;
	if (!a->write)
		return 0;
	value = csr_combine(a);
	for (unsigned int n = 0; n < 8 && i + n < PMP_ENTRIES; n++)
		write_cfg(h, i + n, (uint8_t)(value >> 8 * n));
	pmp_rebuild(h);
	return 2;
}
