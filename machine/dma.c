/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A DMA engine: the simplest bus master there is, for tests of what stands between masters and
 *memory.
 *
 * Registers (32 or 64 bits wide, at 0x10010000):
 *	0x00 CONTROL  bit 0 start (reads 0), bit 1 interrupt enable, bits 3:2 what to do: 0 copy, 1
 *fill, 2 read only 0x04 STATUS   bit 0 done, bit 1 bus error (write 1 to clear), bit 2 busy: an
 *IOPMP stalls it 0x08 SOURCE address 0x10 TARGET   address 0x18 LENGTH   bytes, at most 1 MiB 0x20
 *PATTERN  what fill writes, eight bytes 0x28 MOVED    bytes moved by the last transfer
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"

enum { CONTROL_START = 1, CONTROL_IRQ = 2, STATUS_DONE = 1, STATUS_ERROR = 2, STATUS_BUSY = 4 };
enum { MODE_COPY, MODE_FILL, MODE_READ };
#define LENGTH_MAX (1u << 20)

struct dma {
	struct board *board;
	bool active; /* it moves data: its registers take nothing, not even from itself */
	struct {
		uint32_t control, status;
		uint64_t source, target, length, pattern, moved;
	} s;
};

static void update(struct dma *d)
{
	board_irq(d->board, BOARD_IRQ_DMA, d->s.control & CONTROL_IRQ && d->s.status & STATUS_DONE);
}

static int move(struct dma *d, unsigned int mode, uint64_t at, size_t n)
{
	uint8_t piece[4096];
	int r = 0;

	if (mode == MODE_FILL)
		for (size_t i = 0; i < n; i++)
			piece[i] = (uint8_t)(d->s.pattern >> 8 * ((at + i) & 7));
	else
		r = board_dma_read(d->board, SOURCE_DMA, d->s.source + at, piece, n);
	if (r || mode == MODE_READ)
		return r;
	return board_dma_write(d->board, SOURCE_DMA, d->s.target + at, piece, n);
}

/* From where it stands to the end, an error, or a stall. */
static void go_on(struct dma *d)
{
	uint64_t length = d->s.length < LENGTH_MAX ? d->s.length : LENGTH_MAX;

	d->s.status = STATUS_DONE;
	d->active = true;
	while (d->s.moved < length) {
		size_t n = length - d->s.moved < 4096 ? length - d->s.moved : 4096;
		int r = move(d, d->s.control >> 2 & 3, d->s.moved, n);

		if (r) {
			d->s.status = r == -EAGAIN ? STATUS_BUSY : STATUS_DONE | STATUS_ERROR;
			break;
		}
		d->s.moved += n;
	}
	d->active = false;
	update(d);
}

void dma_resume(struct board *board)
{
	if (board->dma->s.status & STATUS_BUSY)
		go_on(board->dma);
}

static uint64_t *word_at(struct dma *d, uint64_t offset)
{
	switch (offset & ~7ull) {
	case 0x08:
		return &d->s.source;
	case 0x10:
		return &d->s.target;
	case 0x18:
		return &d->s.length;
	case 0x20:
		return &d->s.pattern;
	case 0x28:
		return &d->s.moved;
	}
	return NULL;
}

static int read_register(void *opaque, uint64_t offset, void *data, size_t length)
{
	struct dma *d = opaque;
	uint64_t *word = word_at(d, offset), v = 0;

	if (offset < 8)
		v = ((uint64_t)d->s.status << 32 | d->s.control) >> 8 * offset;
	else if (word)
		v = *word >> 8 * (offset & 7);
	mmio_put(data, v, length);
	return 0;
}

static int write_register(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct dma *d = opaque;
	uint64_t *word = word_at(d, offset), v = mmio_get(data, length);

	if (length < 4 || d->active || (word && d->s.status & STATUS_BUSY))
		return 0;
	if (offset == 0) {
		if (d->s.status & STATUS_BUSY) /* its registers wait with it */
			return 0;
		d->s.control = v & 0xe;
		if (v & CONTROL_START) {
			d->s.moved = 0;
			go_on(d);
		}
		update(d);
	} else if (offset == 4) {
		d->s.status &= ~((uint32_t)v & (STATUS_DONE | STATUS_ERROR));
		update(d);
	} else if (word && length == 8) {
		*word = v;
	} else if (word) {
		*word = offset & 4 ? (*word & 0xffffffff) | v << 32 : (*word & ~0xffffffffull) | v;
	}
	return 0;
}

static const struct viommu_mmio_ops ops = { sizeof(ops), read_register, write_register };

int dma_create(struct board *board)
{
	struct dma *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->board = board;
	board->dma = d;
	return viommu_memory_add_mmio(board->memory, ADDR_DMA, 0x1000, &ops, d, 0);
}

int dma_snapshot(struct board *board, struct snapshot *snapshot)
{
	return snapshot_block(snapshot, "dma", &board->dma->s, sizeof(board->dma->s));
}

void devices_reset(struct board *board)
{
	memset(&board->dma->s, 0, sizeof(board->dma->s));
	flash_reset(board);
	aclint_reset(board);
	plic_reset(board);
	uart_reset(board);
	virtio_reset(board);
	aia_reset(board);
}

void devices_destroy(struct board *board)
{
	free(board->aclint);
	free(board->plic);
	free(board->aia);
	free(board->uart);
	free(board->rtc);
	free(board->dma);
	for (unsigned int i = 0; i < BOARD_VIRTIO; i++)
		free(board->virtio[i]);
}
