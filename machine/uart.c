/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A 16550A at 0x10000000, and the small devices around it: the goldfish clock and the test
 * finisher.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "board.h"

#define FIFO 256

enum {
	IER_RX = 1,
	IER_TX = 2,
	LCR_DLAB = 0x80,
	LSR_DR = 1,
	LSR_THRE = 0x20,
	LSR_TEMT = 0x40,
	MCR_LOOP = 0x10
};

struct uart {
	struct board *board;
	struct {
		uint8_t ier, lcr, mcr, scr, fcr, dll, dlm;
		uint8_t transmit_pending; /* THRE interrupt not yet seen */
		uint8_t fifo[FIFO];
		uint32_t head, count;
	} s;
	uint8_t out[4096];
	size_t out_length;
};

void uart_flush(struct uart *u)
{
	size_t done = 0;

	while (done < u->out_length) {
		ssize_t n = write(STDOUT_FILENO, u->out + done, u->out_length - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	u->out_length = 0;
}

static unsigned int interrupt_id(const struct uart *u)
{
	if (u->s.ier & IER_RX && u->s.count)
		return 4;
	if (u->s.ier & IER_TX && u->s.transmit_pending)
		return 2;
	return 1; /* none */
}

static void update(struct uart *u)
{
	board_irq(u->board, BOARD_IRQ_UART, interrupt_id(u) != 1);
}

size_t uart_room(const struct uart *u)
{
	return FIFO - u->s.count;
}

void uart_input(struct uart *u, const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length && u->s.count < FIFO; i++)
		u->s.fifo[(u->s.head + u->s.count++) % FIFO] = bytes[i];
	update(u);
}

static uint8_t receive(struct uart *u)
{
	uint8_t v = 0;

	if (u->s.count) {
		v = u->s.fifo[u->s.head];
		u->s.head = (u->s.head + 1) % FIFO;
		u->s.count--;
	}
	update(u);
	return v;
}

static uint8_t read_interrupt_id(struct uart *u)
{
	unsigned int id = interrupt_id(u);

	if (id == 2) {
		u->s.transmit_pending = 0;
		update(u);
	}
	return (uint8_t)(id | (u->s.fcr & 1 ? 0xc0 : 0));
}

static int read_register(void *opaque, uint64_t offset, void *data, size_t length)
{
	struct uart *u = opaque;
	uint8_t v = 0;

	switch (offset) {
	case 0:
		v = u->s.lcr & LCR_DLAB ? u->s.dll : receive(u);
		break;
	case 1:
		v = u->s.lcr & LCR_DLAB ? u->s.dlm : u->s.ier;
		break;
	case 2:
		v = read_interrupt_id(u);
		break;
	case 3:
		v = u->s.lcr;
		break;
	case 4:
		v = u->s.mcr;
		break;
	case 5:
		v = LSR_THRE | LSR_TEMT | (u->s.count ? LSR_DR : 0);
		break;
	/* carrier, ready, clear to send; looped back from MCR's OUT2, OUT1, RTS, DTR for drivers
	 * that probe */
	case 6:
		v = u->s.mcr & MCR_LOOP ? (uint8_t)((u->s.mcr & 0xc) << 4 | (u->s.mcr & 2) << 3 |
						    (u->s.mcr & 1) << 5)
					: 0xb0;
		break;
	case 7:
		v = u->s.scr;
		break;
	}
	mmio_put(data, v, length);
	return 0;
}

static void transmit(struct uart *u, uint8_t v)
{
	if (u->s.mcr & MCR_LOOP) {
		uart_input(u, &v, 1);
		return;
	}
	if (u->board->options.console) {
		u->out[u->out_length++] = v;
		if (u->out_length == sizeof(u->out) || v == '\n')
			uart_flush(u);
	}
	u->s.transmit_pending = 1;
	update(u);
}

static int write_register(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct uart *u = opaque;
	uint8_t v = (uint8_t)mmio_get(data, 1);

	switch (offset) {
	case 0:
		if (u->s.lcr & LCR_DLAB)
			u->s.dll = v;
		else
			transmit(u, v);
		break;
	case 1:
		if (u->s.lcr & LCR_DLAB) {
			u->s.dlm = v;
			break;
		}
		if (v & ~u->s.ier & IER_TX) /* the holding register is empty now */
			u->s.transmit_pending = 1;
		u->s.ier = v & 0xf;
		update(u);
		break;
	case 2:
		u->s.fcr = v & 0xc9;
		if (v & 2)
			u->s.count = 0;
		update(u);
		break;
	case 3:
		u->s.lcr = v;
		break;
	case 4:
		u->s.mcr = v & 0x1f;
		break;
	case 7:
		u->s.scr = v;
		break;
	}
	return 0;
}

static const struct viommu_mmio_ops uart_ops = { sizeof(uart_ops), read_register, write_register };

int uart_create(struct board *board)
{
	struct uart *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->board = board;
	board->uart = u;
	return viommu_memory_add_mmio(board->memory, ADDR_UART, 0x1000, &uart_ops, u, 0);
}

int uart_snapshot(struct board *board, struct snapshot *snapshot)
{
	const struct uart *u = board->uart;
	int r = snapshot_block(snapshot, "uart", &board->uart->s, sizeof(board->uart->s));

	return r ? r : u->s.head < FIFO && u->s.count <= FIFO ? 0 : -EBADMSG;
}

void uart_reset(struct board *board)
{
	uart_flush(board->uart);
	memset(&board->uart->s, 0, sizeof(board->uart->s));
}

/* Goldfish RTC: nanoseconds since 1970; a read of the low word latches the high one. */
struct rtc {
	struct board *board;
	struct {
		uint64_t offset; /* nanoseconds, guest - source */
		uint32_t latched, alarm_low, enabled;
	} s;
};

static uint64_t rtc_now(const struct rtc *r)
{
	struct timespec now;

	/* the virtual clock starts at a fixed date so that runs repeat */
	if (r->board->options.virtual_clock)
		return 1767225600000000000ull + board_time(r->board) * 100 + r->s.offset;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + r->s.offset;
}

static int rtc_read(void *opaque, uint64_t offset, void *data, size_t length)
{
	struct rtc *r = opaque;
	uint64_t now = rtc_now(r);
	uint32_t v = 0;

	switch (offset) {
	case 0x00:
		r->s.latched = (uint32_t)(now >> 32);
		v = (uint32_t)now;
		break;
	case 0x04:
		v = r->s.latched;
		break;
	case 0x08:
		v = r->s.alarm_low;
		break;
	case 0x10:
		v = r->s.enabled;
		break;
	}
	mmio_put(data, v, length);
	return 0;
}

static int rtc_write(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct rtc *r = opaque;
	uint64_t v = mmio_get(data, length), now = rtc_now(r), wanted;

	switch (offset) {
	case 0x00:
		wanted = (now & 0xffffffff00000000ull) | (uint32_t)v;
		r->s.offset += wanted - now;
		break;
	case 0x04:
		wanted = (now & 0xffffffff) | v << 32;
		r->s.offset += wanted - now;
		break;
	case 0x08:
		r->s.alarm_low = (uint32_t)v;
		break;
	case 0x10:
		r->s.enabled = v & 1;
		break;
	}
	return 0;
}

static const struct viommu_mmio_ops rtc_ops = { sizeof(rtc_ops), rtc_read, rtc_write };

int rtc_create(struct board *board)
{
	struct rtc *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->board = board;
	board->rtc = r;
	return viommu_memory_add_mmio(board->memory, ADDR_RTC, 0x1000, &rtc_ops, r, 0);
}

int rtc_snapshot(struct board *board, struct snapshot *snapshot)
{
	return snapshot_block(snapshot, "rtc", &board->rtc->s, sizeof(board->rtc->s));
}

/* SiFive test finisher: the low half of a word says what ends, the high half the status. */
static int finisher_read(void *opaque, uint64_t offset, void *data, size_t length)
{
	mmio_put(data, 0, length);
	return 0;
}

static int finisher_write(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct board *board = opaque;
	uint64_t v = mmio_get(data, length);

	if (offset)
		return 0;
	switch (v & 0xffff) {
	case 0x3333:
		board_exit(board, (int)(v >> 16 & 0xff));
		break;
	case 0x5555:
		board_exit(board, 0);
		break;
	case 0x7777:
		board->reset = true;
		for (unsigned int i = 0; i < board->harts; i++)
			board->hart[i]->stop = board->hart[i]->event = true;
		break;
	}
	return 0;
}

static const struct viommu_mmio_ops finisher_ops = { sizeof(finisher_ops), finisher_read,
						     finisher_write };

int finisher_create(struct board *board)
{
	return viommu_memory_add_mmio(board->memory, ADDR_FINISHER, 0x1000, &finisher_ops, board,
				      0);
}
