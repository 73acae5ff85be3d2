/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Advanced Interrupt Architecture (AIA 1.0): an APLIC with a machine and a supervisor domain,
 * and an IMSIC with a file for each of the two levels of each hart.
 *
 * `--aia aplic`: the domains deliver straight to the harts. `--aia imsic`: they send messages to
 * the interrupt files. A source is the machine domain's until it delegates it (sourcecfg.D).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"

#define IDS	 256 /* identities of an interrupt file; 0 is none */
#define ID_WORDS (IDS / 64)
enum { DOMAIN_M, DOMAIN_S, DOMAINS };
enum { SM_INACTIVE = 0, SM_DETACHED = 1, SM_EDGE1 = 4, SM_EDGE0 = 5, SM_LEVEL1 = 6, SM_LEVEL0 = 7 };
#define SOURCECFG_D  (1u << 10)
#define DOMAINCFG_IE (1u << 8)
#define DOMAINCFG_DM (1u << 2)

struct domain {
	uint32_t domaincfg;
	uint32_t sourcecfg[BOARD_IRQS], target[BOARD_IRQS];
	uint8_t pending[BOARD_IRQS], enabled[BOARD_IRQS];
	struct {
		uint32_t delivery, force, threshold;
	} idc[BOARD_HARTS];
};

struct file {
	uint64_t pending[ID_WORDS], enabled[ID_WORDS];
	uint64_t delivery, threshold;
};

struct domain_registers {
	struct aia *aia;
	unsigned int level;
};

struct aia {
	struct board *board;
	struct domain_registers registers[DOMAINS], files[DOMAINS];
	struct {
		struct domain domain[DOMAINS];
		struct file file[DOMAINS][BOARD_HARTS];
		uint32_t msiaddr[4]; /* mmsiaddrcfg, mmsiaddrcfgh, smsiaddrcfg, smsiaddrcfgh */
		uint8_t wire[BOARD_IRQS];
	} s;
};

static bool messages(const struct aia *a)
{
	return a->board->options.aia == AIA_IMSIC;
}

static void wire_hart(struct aia *a, unsigned int hart, unsigned int level, bool on)
{
	struct hart *h = a->board->hart[hart];

	if (level == DOMAIN_S) {
		if (on != h->s.seip_line)
			hart_set_irq(h, IRQ_SEI, on);
	} else if (on != !!(h->s.mip & BIT(IRQ_MEI))) {
		hart_set_irq(h, IRQ_MEI, on);
	}
}

/* AIA 3.9: the lowest identity that is pending and enabled and below the threshold; 0: none. */
static unsigned int file_top(const struct file *f)
{
	for (unsigned int w = 0; w < ID_WORDS; w++) {
		uint64_t set = f->pending[w] & f->enabled[w];

		if (set) {
			unsigned int id = w * 64 + (unsigned int)__builtin_ctzll(set);

			return !f->threshold || id < f->threshold ? id : 0;
		}
	}
	return 0;
}

static void file_update(struct aia *a, unsigned int level, unsigned int hart)
{
	const struct file *f = &a->s.file[level][hart];

	wire_hart(a, hart, level, f->delivery == 1 && file_top(f));
}

/* Where a message for `hart` of a level goes (AIA 4.9.1). */
static uint64_t message_address(const struct aia *a, unsigned int level, unsigned int hart)
{
	uint32_t low = a->s.msiaddr[2 * level], high = a->s.msiaddr[2 * level + 1],
		 shape = a->s.msiaddr[1];
	uint64_t ppn = (uint64_t)(high & 0xfff) << 32 | low;
	unsigned int lhxs = high >> 20 & 7, lhxw = shape >> 12 & 15, hhxw = shape >> 16 & 7,
		     hhxs = shape >> 24 & 31;
	uint64_t group = hart >> lhxw & ((1u << hhxw) - 1), local = hart & ((1u << lhxw) - 1);

	return (ppn | group << (hhxs + 12) | local << lhxs) << 12;
}

static void send(struct aia *a, unsigned int level, unsigned int source)
{
	struct domain *d = &a->s.domain[level];
	uint32_t id = d->target[source] & 0x7ff;

	uint64_t address = message_address(a, level, d->target[source] >> 18);

	d->pending[source] = 0;
	/* The board carries messages to interrupt files and nowhere else: not around the checkers
	 * into memory, not back into a domain's registers. */
	if ((address >= ADDR_IMSIC_M && address < ADDR_IMSIC_M + 0x1000ull * BOARD_HARTS) ||
	    (address >= ADDR_IMSIC_S && address < ADDR_IMSIC_S + 0x1000ull * BOARD_HARTS))
		viommu_memory_write(a->board->memory, address, &id, 4);
}

/* The source to deliver to a hart in direct mode as priority << 16 | source, 0 if none
 * (AIA 4.8.1.5). */
static uint32_t domain_top(const struct domain *d, unsigned int hart)
{
	uint32_t best = 0;

	for (unsigned int i = 1; i < BOARD_IRQS; i++) {
		uint32_t priority = d->target[i] & 0xff;

		if (!d->pending[i] || !d->enabled[i] || d->target[i] >> 18 != hart)
			continue;
		if (d->idc[hart].threshold && priority >= d->idc[hart].threshold)
			continue;
		if (!best || priority < (best & 0xff))
			best = i << 16 | priority;
	}
	return best;
}

static void domain_update(struct aia *a, unsigned int level)
{
	struct domain *d = &a->s.domain[level];

	if (messages(a)) {
		for (unsigned int i = 1; i < BOARD_IRQS && d->domaincfg & DOMAINCFG_IE; i++)
			if (d->pending[i] && d->enabled[i])
				send(a, level, i);
		return;
	}
	for (unsigned int h = 0; h < a->board->harts; h++)
		wire_hart(a, h, level,
			  d->domaincfg & DOMAINCFG_IE && d->idc[h].delivery &&
				  (d->idc[h].force || domain_top(d, h)));
}

/* The domain a source belongs to. */
static unsigned int owner(const struct aia *a, unsigned int source)
{
	return a->s.domain[DOMAIN_M].sourcecfg[source] & SOURCECFG_D ? DOMAIN_S : DOMAIN_M;
}

/* The wire as the source mode reads it: asserted or not. */
static bool rectified(const struct aia *a, unsigned int source)
{
	uint32_t mode = a->s.domain[owner(a, source)].sourcecfg[source] & 7;

	if (mode == SM_EDGE0 || mode == SM_LEVEL0)
		return !a->s.wire[source];
	return mode >= SM_EDGE1 && a->s.wire[source];
}

void aia_set(struct aia *a, unsigned int irq, bool level)
{
	unsigned int o = owner(a, irq);
	struct domain *d = &a->s.domain[o];
	uint32_t mode = d->sourcecfg[irq] & 7;
	bool before = rectified(a, irq), now;

	a->s.wire[irq] = level;
	now = rectified(a, irq);
	if (mode >= SM_LEVEL1 && !messages(a))
		d->pending[irq] = now;
	else if (now && !before)
		d->pending[irq] = 1;
	else if (mode >= SM_LEVEL1 && !now)
		d->pending[irq] = 0;
	domain_update(a, o);
}

static bool active(const struct aia *a, unsigned int level, unsigned int source)
{
	return source && source < BOARD_IRQS && owner(a, source) == level &&
	       a->s.domain[level].sourcecfg[source] & 7;
}

static void set_pending(struct aia *a, unsigned int level, unsigned int i, bool on)
{
	uint32_t mode = a->s.domain[level].sourcecfg[active(a, level, i) ? i : 0] & 7;

	if (!active(a, level, i) ||
	    (mode >= SM_LEVEL1 && (!messages(a) || (on && !rectified(a, i)))))
		return;
	a->s.domain[level].pending[i] = on;
}

static void write_sourcecfg(struct aia *a, unsigned int level, unsigned int i, uint32_t v)
{
	struct domain *d = &a->s.domain[level];
	uint32_t mode = v & 7;

	if (level == DOMAIN_S && owner(a, i) != DOMAIN_S)
		return;
	if (v & SOURCECFG_D) /* one child: index 0; the supervisor domain has none */
		d->sourcecfg[i] = level == DOMAIN_M ? SOURCECFG_D : 0;
	else
		d->sourcecfg[i] = mode == 2 || mode == 3 ? 0 : mode;
	if (!active(a, level, i)) {
		d->pending[i] = d->enabled[i] = 0;
		d->target[i] = 0;
	} else {
		d->pending[i] = rectified(a, i);
	}
}

/* The four register groups with a bit for each source: pending or enabled, set or cleared. */
static void write_bits(struct aia *a, unsigned int level, uint64_t offset, uint32_t v)
{
	unsigned int word = (unsigned int)(offset & 0x7f) / 4,
		     group = (unsigned int)(offset >> 8 & 3);

	for (unsigned int b = 0; b < 32; b++) {
		unsigned int i = 32 * word + b;

		if (!(v >> b & 1) || !active(a, level, i))
			continue;
		if (group < 2)
			set_pending(a, level, i, group == 0);
		else
			a->s.domain[level].enabled[i] = group == 2;
	}
}

static void write_number(struct aia *a, unsigned int level, uint64_t offset, uint32_t i)
{
	switch (offset) {
	case 0x1cdc:
	case 0x2000:
		set_pending(a, level, i, true);
		break;
	case 0x1ddc:
		set_pending(a, level, i, false);
		break;
	case 0x1edc:
	case 0x1fdc:
		if (active(a, level, i))
			a->s.domain[level].enabled[i] = offset == 0x1edc;
		break;
	}
}

static uint32_t claim(struct aia *a, unsigned int level, unsigned int hart)
{
	struct domain *d = &a->s.domain[level];
	uint32_t top = domain_top(d, hart), mode = d->sourcecfg[top >> 16] & 7;

	if (!top)
		d->idc[hart].force = 0;
	else if (mode < SM_LEVEL1)
		d->pending[top >> 16] = 0;
	domain_update(a, level);
	return top;
}

static uint32_t read_idc(struct aia *a, unsigned int level, uint64_t offset)
{
	struct domain *d = &a->s.domain[level];
	unsigned int hart = (unsigned int)(offset - 0x4000) / 32;

	if (hart >= a->board->harts)
		return 0;
	switch (offset & 31) {
	case 0x00:
		return d->idc[hart].delivery;
	case 0x04:
		return d->idc[hart].force;
	case 0x08:
		return d->idc[hart].threshold;
	case 0x18:
		return domain_top(d, hart);
	case 0x1c:
		return claim(a, level, hart);
	}
	return 0;
}

static uint32_t read_word(struct aia *a, unsigned int level, uint64_t offset)
{
	struct domain *d = &a->s.domain[level];
	uint32_t v = 0;

	if (offset == 0)
		return 0x80000000u | d->domaincfg;
	if (offset >= 4 && offset < 4 * BOARD_IRQS)
		return d->sourcecfg[offset / 4];
	if (offset >= 0x1bc0 && offset < 0x1bd0)
		return level == DOMAIN_M ? a->s.msiaddr[(offset - 0x1bc0) / 4] : 0;
	if (offset >= 0x3004 && offset < 0x3000 + 4 * BOARD_IRQS)
		return d->target[(offset - 0x3000) / 4];
	if (offset >= 0x4000)
		return read_idc(a, level, offset);
	if (offset < 0x1c00 || offset >= 0x2000 || (offset & 0xff) >= BOARD_IRQS / 8)
		return 0;
	for (unsigned int b = 0; b < 32; b++) {
		unsigned int i = (unsigned int)(offset & 0x7f) * 8 + b,
			     group = (unsigned int)(offset >> 8 & 3);
		bool on = group == 0   ? d->pending[i]
			  : group == 1 ? rectified(a, i)
				       : group == 2 && d->enabled[i];

		v |= on && active(a, level, i) ? 1u << b : 0;
	}
	return v;
}

static int read_register(void *opaque, uint64_t offset, void *data, size_t length)
{
	struct domain_registers *r = opaque;

	mmio_put(data, length == 4 ? read_word(r->aia, r->level, offset) : 0, length);
	return 0;
}

static void write_idc(struct aia *a, unsigned int level, uint64_t offset, uint32_t v)
{
	struct domain *d = &a->s.domain[level];
	unsigned int hart = (unsigned int)(offset - 0x4000) / 32;

	if (hart >= a->board->harts)
		return;
	switch (offset & 31) {
	case 0x00:
		d->idc[hart].delivery = v & 1;
		break;
	case 0x04:
		d->idc[hart].force = v & 1;
		break;
	case 0x08:
		d->idc[hart].threshold = v & 0xff;
		break;
	}
}

static void write_target(struct aia *a, unsigned int level, unsigned int i, uint32_t v)
{
	struct domain *d = &a->s.domain[level];
	uint32_t hart = v >> 18 < a->board->harts ? v & ~0x3ffffu : 0;

	if (!active(a, level, i))
		return;
	/* direct mode: priority 0 is not one */
	d->target[i] = messages(a) ? hart | (v & 0x7ff) : hart | (v & 0xff ? v & 0xff : 1);
}

static int write_register(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct domain_registers *r = opaque;
	struct aia *a = r->aia;
	struct domain *d = &a->s.domain[r->level];
	uint32_t v = (uint32_t)mmio_get(data, length);

	if (length != 4)
		return 0;
	if (offset == 0)
		d->domaincfg = (v & DOMAINCFG_IE) | (messages(a) ? DOMAINCFG_DM : 0);
	else if (offset < 4 * BOARD_IRQS)
		write_sourcecfg(a, r->level, (unsigned int)offset / 4, v);
	else if (offset >= 0x1bc0 && offset < 0x1bd0 && r->level == DOMAIN_M &&
		 !(a->s.msiaddr[1] >> 31))
		a->s.msiaddr[(offset - 0x1bc0) / 4] = v;
	else if (offset == 0x1cdc || offset == 0x1ddc || offset == 0x1edc || offset == 0x1fdc ||
		 offset == 0x2000)
		write_number(a, r->level, offset, v);
	else if (offset >= 0x1c00 && offset < 0x2000 && (offset & 0xff) < BOARD_IRQS / 8)
		write_bits(a, r->level, offset, v);
	else if (offset >= 0x3004 && offset < 0x3000 + 4 * BOARD_IRQS)
		write_target(a, r->level, (unsigned int)(offset - 0x3000) / 4, v);
	else if (offset >= 0x4000)
		write_idc(a, r->level, offset, v);
	domain_update(a, r->level);
	return 0;
}

/* seteipnum_le at offset 0 of each page. */
static int write_file(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct domain_registers *r = opaque;
	uint32_t id = (uint32_t)mmio_get(data, length);
	unsigned int hart = (unsigned int)(offset >> 12);

	if (offset & 0xfff || length != 4 || !id || id >= IDS || hart >= r->aia->board->harts)
		return 0;
	r->aia->s.file[r->level][hart].pending[id / 64] |= 1ull << (id & 63);
	file_update(r->aia, r->level, hart);
	return 0;
}

static int read_file(void *opaque, uint64_t offset, void *data, size_t length)
{
	mmio_put(data, 0, length);
	return 0;
}

static const struct viommu_mmio_ops domain_ops = { sizeof(domain_ops), read_register,
						   write_register };
static const struct viommu_mmio_ops file_ops = { sizeof(file_ops), read_file, write_file };

int aia_create(struct board *board)
{
	static const uint64_t domains[DOMAINS] = { ADDR_APLIC_M, ADDR_APLIC_S };
	static const uint64_t files[DOMAINS] = { ADDR_IMSIC_M, ADDR_IMSIC_S };
	struct aia *a = calloc(1, sizeof(*a));
	int r = 0;

	if (!a)
		return -ENOMEM;
	a->board = board;
	board->aia = a;
	for (unsigned int i = 0; !r && i < DOMAINS; i++) {
		a->registers[i] = a->files[i] = (struct domain_registers){ a, i };
		r = viommu_memory_add_mmio(board->memory, domains[i], 0x8000, &domain_ops,
					   &a->registers[i], 0);
		if (!r && board->options.aia == AIA_IMSIC)
			r = viommu_memory_add_mmio(board->memory, files[i], 0x1000ull * BOARD_HARTS,
						   &file_ops, &a->files[i], 0);
	}
	aia_reset(board);
	return r;
}

void aia_reset(struct board *board)
{
	struct aia *a = board->aia;

	if (!a)
		return;
	memset(&a->s, 0, sizeof(a->s));
	for (unsigned int i = 0; messages(a) && i < DOMAINS; i++)
		a->s.domain[i].domaincfg = DOMAINCFG_DM;
}

int aia_snapshot(struct board *board, struct snapshot *snapshot)
{
	return board->aia ? snapshot_block(snapshot, "aia", &board->aia->s, sizeof(board->aia->s))
			  : 0;
}

/* AIA 2.1 and 3.8: the registers behind miselect and siselect. -1: not implemented (illegal). */
static uint64_t *indirect(struct aia *a, struct hart *h, unsigned int level, uint64_t *mask)
{
	struct file *f = &a->s.file[level][h->index];
	uint64_t select = level == DOMAIN_M ? h->s.miselect : h->s.siselect;

	*mask = UINT64_MAX;
	if (!messages(a) || select < 0x70 || select > 0xff)
		return NULL;
	if (select == 0x70) {
		*mask = 1;
		return &f->delivery;
	}
	if (select == 0x72) {
		*mask = IDS - 1;
		return &f->threshold;
	}
	if (select < 0x80 || select & 1 || (select & 0x3f) / 2 >= ID_WORDS)
		return NULL;
	if (!(select & 0x3f))
		*mask = ~1ull;
	return select < 0xc0 ? &f->pending[(select & 0x3f) / 2] : &f->enabled[(select & 0x3f) / 2];
}

static int indirect_csr(struct aia *a, struct hart *h, unsigned int level, struct csr_access *c)
{
	uint64_t select = level == DOMAIN_M ? h->s.miselect : h->s.siselect, mask,
		 *word = indirect(a, h, level, &mask);

	c->old = 0;
	if (!word) /* priorities and identities we do not have are read-only zero */
		return (select >= 0x30 && select <= 0x3f) ||
				       (messages(a) && select >= 0x70 && select <= 0xff &&
					(select < 0x80 || !(select & 1)))
			       ? 0
			       : hart_raise(h, CAUSE_ILLEGAL, 0);
	c->old = *word;
	if (!c->write)
		return 0;
	*word = csr_combine(c) & mask;
	file_update(a, level, h->index);
	return 2;
}

static int top_external(struct aia *a, struct hart *h, unsigned int level, struct csr_access *c)
{
	struct file *f = &a->s.file[level][h->index];
	unsigned int id;

	if (!messages(a))
		return hart_raise(h, CAUSE_ILLEGAL, 0);
	id = file_top(f);
	c->old = id << 16 | id;
	if (!c->write)
		return 0;
	if (id)
		f->pending[id / 64] &= ~(1ull << (id & 63));
	file_update(a, level, h->index);
	return 2;
}

/* The major interrupt that would be taken in a mode, at priority 1. */
static int top_major(struct hart *h, unsigned int level, struct csr_access *c)
{
	static const uint8_t order[] = { IRQ_MEI, IRQ_MSI, IRQ_MTI, IRQ_SEI, IRQ_SSI, IRQ_STI };
	uint64_t all = (h->s.mip | (h->s.seip_line ? BIT(IRQ_SEI) : 0)) & h->s.mie;
	uint64_t set = level == DOMAIN_M ? all & ~h->s.mideleg : all & h->s.mideleg;

	c->old = 0;
	for (unsigned int i = 0; i < sizeof(order) && !c->old; i++)
		if (set >> order[i] & 1)
			c->old = (uint64_t)order[i] << 16 | 1;
	return 0;
}

int aia_csr(struct board *board, struct hart *h, struct csr_access *c)
{
	uint64_t *select = c->csr == CSR_MISELECT ? &h->s.miselect : &h->s.siselect;

	switch (c->csr) {
	case CSR_MISELECT:
	case CSR_SISELECT:
		c->old = *select;
		if (c->write)
			*select = csr_combine(c) & 0x1ff;
		return 0;
	case CSR_MIREG:
		return indirect_csr(board->aia, h, DOMAIN_M, c);
	case CSR_SIREG:
		return indirect_csr(board->aia, h, DOMAIN_S, c);
	case CSR_MTOPEI:
		return top_external(board->aia, h, DOMAIN_M, c);
	case CSR_STOPEI:
		return top_external(board->aia, h, DOMAIN_S, c);
	case CSR_MTOPI:
		return top_major(h, DOMAIN_M, c);
	case CSR_STOPI:
		return top_major(h, DOMAIN_S, c);
	case 0x308:
	case 0x309: /* mvien, mvip: no virtual interrupts */
		c->old = 0;
		return 0;
	}
	return -1;
}
