/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ACLINT 1.0: MSWI at +0, MTIMER at +0x4000 (mtimecmp) and +0xbff8 (mtime), as a SiFive CLINT; SSWI
 * at 0x2f00000. It also owns the comparison of mtime with mtimecmp and Sstc's stimecmp.
 */
#include <errno.h>
#include <stdlib.h>

#include "board.h"

#define SSWI_BASE 0x2f00000

struct aclint {
	struct board *board;
	struct {
		uint64_t mtimecmp[BOARD_HARTS];
		int64_t offset; /* mtime - board_time() */
	} s;
};

static uint64_t mtime(const struct aclint *a)
{
	return board_time(a->board) + (uint64_t)a->s.offset;
}

static void update_hart(struct aclint *a, struct hart *h)
{
	uint64_t now = mtime(a);
	bool m = now >= a->s.mtimecmp[h->index];

	if (m != !!(h->s.mip & BIT(IRQ_MTI)))
		hart_set_irq(h, IRQ_MTI, m);
	if (h->s.menvcfg & ENVCFG_STCE) {
		bool s = now >= h->s.stimecmp;

		if (s != !!(h->s.mip & BIT(IRQ_STI)))
			hart_set_irq(h, IRQ_STI, s);
	}
}

void aclint_update(struct board *board)
{
	for (unsigned int i = 0; i < board->harts; i++)
		update_hart(board->aclint, board->hart[i]);
}

void board_timer_changed(struct board *board, struct hart *hart)
{
	if (board->aclint)
		update_hart(board->aclint, hart);
}

uint64_t aclint_next(const struct board *board)
{
	const struct aclint *a = board->aclint;
	uint64_t next = UINT64_MAX, now = mtime(a);

	for (unsigned int i = 0; i < board->harts; i++) {
		const struct hart *h = board->hart[i];

		if (a->s.mtimecmp[i] > now && a->s.mtimecmp[i] < next)
			next = a->s.mtimecmp[i];
		if (h->s.menvcfg & ENVCFG_STCE && h->s.stimecmp > now && h->s.stimecmp < next)
			next = h->s.stimecmp;
	}
	return next == UINT64_MAX ? next : next - (uint64_t)a->s.offset;
}

static int read_register(void *opaque, uint64_t offset, void *data, size_t length)
{
	struct aclint *a = opaque;
	uint64_t v = 0, word = offset & ~7ull;

	if (offset < 0x4000)
		v = offset / 4 < a->board->harts ? a->board->hart[offset / 4]->s.mip >> IRQ_MSI & 1
						 : 0;
	else if (word == 0xbff8)
		v = mtime(a) >> 8 * (offset & 7);
	else if ((word - 0x4000) / 8 < a->board->harts)
		v = a->s.mtimecmp[(word - 0x4000) / 8] >> 8 * (offset & 7);
	mmio_put(data, v, length);
	return 0;
}

/* Replace `length` bytes at byte `at` of `old`. */
static uint64_t merge(uint64_t old, unsigned int at, uint64_t v, size_t length)
{
	uint64_t mask = length == 8 ? UINT64_MAX : ((1ull << 8 * length) - 1) << 8 * at;

	return (old & ~mask) | (v << 8 * at & mask);
}

static int write_register(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct aclint *a = opaque;
	uint64_t v = mmio_get(data, length), word = offset & ~7ull, i = (word - 0x4000) / 8;

	if (offset < 0x4000) {
		if (offset / 4 < a->board->harts && !(offset & 3))
			hart_set_irq(a->board->hart[offset / 4], IRQ_MSI, v & 1);
	} else if (word == 0xbff8) {
		a->s.offset =
			(int64_t)(merge(mtime(a), offset & 7, v, length) - board_time(a->board));
		aclint_update(a->board);
	} else if (i < a->board->harts) {
		a->s.mtimecmp[i] = merge(a->s.mtimecmp[i], offset & 7, v, length);
		update_hart(a, a->board->hart[i]);
	}
	return 0;
}

static int read_sswi(void *opaque, uint64_t offset, void *data, size_t length)
{
	mmio_put(data, 0, length);
	return 0;
}

static int write_sswi(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct aclint *a = opaque;

	if (offset / 4 < a->board->harts && mmio_get(data, length) & 1)
		hart_set_irq(a->board->hart[offset / 4], IRQ_SSI, true);
	return 0;
}

static const struct viommu_mmio_ops ops = { sizeof(ops), read_register, write_register };
static const struct viommu_mmio_ops sswi_ops = { sizeof(sswi_ops), read_sswi, write_sswi };

int aclint_create(struct board *board)
{
	struct aclint *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->board = board;
	board->aclint = a;
	for (unsigned int i = 0; i < BOARD_HARTS; i++)
		a->s.mtimecmp[i] = UINT64_MAX;
	r = viommu_memory_add_mmio(board->memory, ADDR_ACLINT, 0x10000, &ops, a, 0);
	return r ? r : viommu_memory_add_mmio(board->memory, SSWI_BASE, 0x4000, &sswi_ops, a, 0);
}

int aclint_snapshot(struct board *board, struct snapshot *snapshot)
{
	return snapshot_block(snapshot, "aclint", &board->aclint->s, sizeof(board->aclint->s));
}

void aclint_reset(struct board *board)
{
	for (unsigned int i = 0; i < BOARD_HARTS; i++)
		board->aclint->s.mtimecmp[i] = UINT64_MAX;
	board->aclint->s.offset = 0;
}
