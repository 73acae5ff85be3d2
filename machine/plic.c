/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The platform-level interrupt controller (PLIC 1.0.0): 95 sources, two contexts a hart (machine,
 * supervisor). Sources are levels: a claimed source is asked again at completion.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"

#define WORDS (BOARD_IRQS / 32)

struct plic {
	struct board *board;
	struct {
		uint32_t priority[BOARD_IRQS];
		uint32_t level[WORDS], pending[WORDS], claimed[WORDS];
		uint32_t enable[2 * BOARD_HARTS][WORDS];
		uint32_t threshold[2 * BOARD_HARTS];
	} s;
};

/* The source a claim in this context would get, 0 if none; `threshold` decides the wire only. */
static unsigned int best(const struct plic *p, unsigned int context)
{
	unsigned int found = 0, priority = 0;

	for (unsigned int w = 0; w < WORDS; w++) {
		uint32_t set = p->s.pending[w] & ~p->s.claimed[w] & p->s.enable[context][w];

		for (; set; set &= set - 1) {
			unsigned int irq = w * 32 + (unsigned int)__builtin_ctz(set);

			if (p->s.priority[irq] > priority) {
				priority = p->s.priority[irq];
				found = irq;
			}
		}
	}
	return found;
}

static void update(struct plic *p)
{
	for (unsigned int c = 0; c < 2 * p->board->harts; c++) {
		struct hart *h = p->board->hart[c / 2];
		unsigned int irq = best(p, c);
		bool level = irq && p->s.priority[irq] > p->s.threshold[c];

		if (c & 1) {
			if (level != h->s.seip_line)
				hart_set_irq(h, IRQ_SEI, level);
		} else if (level != !!(h->s.mip & BIT(IRQ_MEI))) {
			hart_set_irq(h, IRQ_MEI, level);
		}
	}
}

void plic_set(struct plic *p, unsigned int irq, bool level)
{
	uint32_t bit = 1u << (irq & 31), *levels = &p->s.level[irq / 32],
		 *pending = &p->s.pending[irq / 32];

	if (level) {
		*levels |= bit;
		*pending |= bit;
	} else {
		*levels &= ~bit;
		*pending &= ~bit; /* a level source that goes away before its claim is forgotten */
	}
	update(p);
}

static uint32_t claim(struct plic *p, unsigned int context)
{
	unsigned int irq = best(p, context);

	if (irq) {
		p->s.pending[irq / 32] &= ~(1u << (irq & 31));
		p->s.claimed[irq / 32] |= 1u << (irq & 31);
		update(p);
	}
	return irq;
}

static void complete(struct plic *p, unsigned int context, uint32_t irq)
{
	uint32_t bit = 1u << (irq & 31);

	if (irq >= BOARD_IRQS || !(p->s.enable[context][irq / 32] & bit))
		return;
	p->s.claimed[irq / 32] &= ~bit;
	if (p->s.level[irq / 32] & bit)
		p->s.pending[irq / 32] |= bit;
	update(p);
}

static int read_register(void *opaque, uint64_t offset, void *data, size_t length)
{
	struct plic *p = opaque;
	unsigned int contexts = 2 * p->board->harts, c;
	uint32_t v = 0;

	if (offset < 4 * BOARD_IRQS) {
		v = p->s.priority[offset / 4];
	} else if (offset >= 0x1000 && offset < 0x1000 + 4 * WORDS) {
		v = p->s.pending[(offset - 0x1000) / 4];
	} else if (offset >= 0x2000 && offset < 0x2000 + 0x80 * contexts) {
		c = (unsigned int)(offset - 0x2000) / 0x80;
		if ((offset & 0x7f) / 4 < WORDS)
			v = p->s.enable[c][(offset & 0x7f) / 4];
	} else if (offset >= 0x200000 && offset < 0x200000 + 0x1000ull * contexts) {
		c = (unsigned int)(offset - 0x200000) / 0x1000;
		if ((offset & 0xfff) == 0)
			v = p->s.threshold[c];
		else if ((offset & 0xfff) == 4)
			v = claim(p, c);
	}
	mmio_put(data, v, length);
	return 0;
}

static int write_register(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct plic *p = opaque;
	unsigned int contexts = 2 * p->board->harts, c;
	uint32_t v = (uint32_t)mmio_get(data, length);

	if (length != 4 || offset & 3)
		return 0;
	if (offset < 4 * BOARD_IRQS) {
		if (offset)
			p->s.priority[offset / 4] = v & 7;
	} else if (offset >= 0x2000 && offset < 0x2000 + 0x80 * contexts) {
		c = (unsigned int)(offset - 0x2000) / 0x80;
		if ((offset & 0x7f) / 4 < WORDS)
			p->s.enable[c][(offset & 0x7f) / 4] = (offset & 0x7f) ? v : v & ~1u;
	} else if (offset >= 0x200000 && offset < 0x200000 + 0x1000ull * contexts) {
		c = (unsigned int)(offset - 0x200000) / 0x1000;
		if ((offset & 0xfff) == 0)
			p->s.threshold[c] = v & 7;
		else if ((offset & 0xfff) == 4)
			complete(p, c, v);
	}
	update(p);
	return 0;
}

static const struct viommu_mmio_ops ops = { sizeof(ops), read_register, write_register };

int plic_create(struct board *board)
{
	struct plic *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->board = board;
	board->plic = p;
	return viommu_memory_add_mmio(board->memory, ADDR_PLIC, 0x600000, &ops, p, 0);
}

int plic_snapshot(struct board *board, struct snapshot *snapshot)
{
	return board->plic
		       ? snapshot_block(snapshot, "plic", &board->plic->s, sizeof(board->plic->s))
		       : 0;
}

void plic_reset(struct board *board)
{
	if (board->plic)
		memset(&board->plic->s, 0, sizeof(board->plic->s));
}
