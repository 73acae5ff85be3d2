/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The transport: registers, queues, interrupts (see virtio.h). Nothing in a ring is trusted:
 * indices wrap at the queue's size, chains have a limit, and a device whose rings cannot be read
 * asks for a reset.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "virtio.h"

enum { STATUS_DRIVER_OK = 4, STATUS_FEATURES_OK = 8, STATUS_NEEDS_RESET = 64 };
enum { DESC_NEXT = 1, DESC_WRITE = 2 };
#define FEATURE_VERSION_1	(1ull << 32)
#define FEATURE_ACCESS_PLATFORM (1ull << 33)

#define WORK_MAX (64u << 20)

struct descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

static int result(struct virtio *v, int r)
{
	v->stalled |= r == -EAGAIN;
	return r;
}

int virtio_read(struct virtio *v, uint64_t address, void *data, size_t length)
{
	return result(v, board_dma_read(v->board, SOURCE_VIRTIO + v->index, address, data, length));
}

int virtio_write(struct virtio *v, uint64_t address, const void *data, size_t length)
{
	return result(v,
		      board_dma_write(v->board, SOURCE_VIRTIO + v->index, address, data, length));
}

static void update(struct virtio *v)
{
	board_irq(v->board, BOARD_IRQ_VIRTIO + v->index, v->s.interrupt != 0);
}

/* virtio 2.1.2: the device has met something it cannot go on from. */
static void broken(struct virtio *v)
{
	if (v->stalled) /* not for good */
		return;
	v->s.status |= STATUS_NEEDS_RESET;
	v->s.interrupt |= 2;
	update(v);
}

static bool virtio_take(struct virtio *v, unsigned int queue, struct virtio_chain *chain)
{
	struct virtio_queue *q = &v->s.queue[queue];
	struct descriptor d;
	uint16_t available, index;

	if (!q->ready || v->s.status & STATUS_NEEDS_RESET)
		return false;
	if (virtio_read(v, q->driver + 2, &available, 2)) {
		broken(v);
		return false;
	}
	if (available == q->next)
		return false;
	if (virtio_read(v, q->driver + 4 + 2 * (q->next % q->size), &index, 2)) {
		broken(v);
		return false;
	}
	q->next++;
	chain->head = index;
	chain->count = 0;
	do {
		if (index >= q->size || chain->count == VIRTIO_CHAIN_MAX ||
		    virtio_read(v, q->descriptors + 16 * index, &d, sizeof(d))) {
			broken(v);
			return false;
		}
		chain->buffer[chain->count++] =
			(struct virtio_buffer){ d.address, d.length, d.flags & DESC_WRITE };
		index = d.next;
	} while (d.flags & DESC_NEXT);
	return true;
}

static void virtio_give(struct virtio *v, unsigned int queue, uint16_t head, uint32_t written)
{
	struct virtio_queue *q = &v->s.queue[queue];
	uint32_t element[2] = { head, written };
	uint16_t flags = 0, used = (uint16_t)(q->used + 1);

	if (virtio_write(v, q->device + 4 + 8 * (q->used % q->size), element, 8)) {
		broken(v);
		return;
	}
	/* the index last: until it is written nothing has happened, and a stalled device starts
	 * again */
	if (virtio_read(v, q->driver, &flags, 2) || virtio_write(v, q->device + 2, &used, 2)) {
		broken(v);
		return;
	}
	q->used = used;
	if (flags & 1) /* VIRTQ_AVAIL_F_NO_INTERRUPT */
		return;
	v->s.interrupt |= 1;
	update(v);
}

/* At most a ring's worth a time, or WORK_MAX bytes: a driver that adds while we work notifies again, and
 * what is left is done between slices. */
static void handle_chains(struct virtio *v, unsigned int queue)
{
	struct virtio_chain chain;
	uint64_t work = 0;
	bool other = v->stalled; /* the other queue's chains wait */

	v->stalled = false;
	for (unsigned int i = 0; i < VIRTIO_QUEUE_MAX && v->ops->handle; i++) {
		uint16_t before = v->s.queue[queue].next;
		uint32_t written;

		if (v->ops->wanted && !v->ops->wanted(v, queue))
			break;
		if (!virtio_take(v, queue, &chain)) {
			if (v->stalled)
				v->s.queue[queue].next = before;
			break;
		}
		written = v->ops->handle(v, queue, &chain);
		if (!v->stalled)
			virtio_give(v, queue, chain.head, written);
		if (v->stalled) { /* what was done of it is done again: every request here can be
				     repeated */
			v->s.queue[queue].next = before;
			break;
		}
		if (v->ops->given && !(v->s.status & STATUS_NEEDS_RESET))
			v->ops->given(v, queue, written);
		for (unsigned int k = 0; k < chain.count; k++)
			work += chain.buffer[k].length;
		if (work >= WORK_MAX) {
			v->stalled = v->board->unfinished = true;
			break;
		}
	}
	v->stalled |= other;
}

void virtio_notify(struct virtio *v, unsigned int queue)
{
	/* a device whose own DMA rings its bell does not hear it */
	if (queue >= v->ops->queues || !(v->s.status & STATUS_DRIVER_OK) || v->busy)
		return;
	v->busy = true;
	handle_chains(v, queue);
	v->busy = false;
}

void virtio_stalled(struct board *board, unsigned int index)
{
	board->virtio[index]->stalled = true;
}

void virtio_resume(struct board *board)
{
	for (unsigned int i = 0; i < BOARD_VIRTIO; i++) {
		struct virtio *v = board->virtio[i];

		if (!v->stalled)
			continue;
		v->stalled = false;
		for (unsigned int q = 0; q < v->ops->queues; q++)
			virtio_notify(v, q);
	}
}

static void reset(struct virtio *v)
{
	/* what a person typed and the entropy's state outlive the driver */
	memset(&v->s, 0, offsetof(struct virtio_state, random));
	update(v);
}

static uint64_t features(const struct virtio *v)
{
	return v->ops->features | FEATURE_VERSION_1 | FEATURE_ACCESS_PLATFORM;
}

static uint32_t read_word(struct virtio *v, uint64_t offset)
{
	const struct virtio_queue *q =
		v->s.queue_select < v->ops->queues ? &v->s.queue[v->s.queue_select] : NULL;

	switch (offset) {
	case 0x000:
		return 0x74726976;
	case 0x004:
		return 2;
	case 0x008:
		return v->ops->device_id;
	case 0x00c:
		return 0x554d4956; /* "VIMU" */
	case 0x010:
		return v->s.feature_select < 2 ? (uint32_t)(features(v) >> 32 * v->s.feature_select)
					       : 0;
	case 0x034:
		return q ? VIRTIO_QUEUE_MAX : 0;
	case 0x044:
		return q ? q->ready : 0;
	case 0x060:
		return v->s.interrupt;
	case 0x070:
		return v->s.status;
	}
	return 0;
}

static int read_register(void *opaque, uint64_t offset, void *data, size_t length)
{
	struct virtio *v = opaque;
	uint64_t value = 0;

	if (offset >= 0x100)
		value = v->ops->config ? v->ops->config(v, offset - 0x100, length) : 0;
	else if (length == 4)
		value = read_word(v, offset);
	mmio_put(data, value, length);
	return 0;
}

static void set_half(uint64_t *word, uint64_t offset, uint32_t value)
{
	if (offset & 4)
		*word = (*word & 0xffffffff) | (uint64_t)value << 32;
	else
		*word = (*word & ~0xffffffffull) | value;
}

static void write_queue(struct virtio *v, uint64_t offset, uint32_t value)
{
	struct virtio_queue *q = &v->s.queue[v->s.queue_select];

	switch (offset) {
	case 0x038:
		q->size = value && value <= VIRTIO_QUEUE_MAX && !(value & (value - 1))
				  ? value
				  : VIRTIO_QUEUE_MAX;
		break;
	case 0x044:
		if (value & 1 && !q->ready)
			q->next = q->used = 0;
		if (!q->size)
			q->size = VIRTIO_QUEUE_MAX;
		q->ready = value & 1;
		break;
	case 0x080:
	case 0x084:
		set_half(&q->descriptors, offset, value);
		break;
	case 0x090:
	case 0x094:
		set_half(&q->driver, offset, value);
		break;
	case 0x0a0:
	case 0x0a4:
		set_half(&q->device, offset, value);
		break;
	}
}

static void write_status(struct virtio *v, uint32_t value)
{
	if (!value) {
		reset(v);
		return;
	}
	/* virtio 2.2.2: refuse features we did not offer, or a driver that is not a modern one */
	if (value & STATUS_FEATURES_OK &&
	    (v->s.driver_features & ~features(v) || !(v->s.driver_features & FEATURE_VERSION_1)))
		value &= ~(uint32_t)STATUS_FEATURES_OK;
	v->s.status = value & 0xff;
}

static int write_register(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct virtio *v = opaque;
	uint32_t value = (uint32_t)mmio_get(data, length);

	/* nor can it be told anything else by itself, a reset least of all */
	if (length != 4 || offset >= 0x100 || v->busy)
		return 0;
	switch (offset) {
	case 0x014:
		v->s.feature_select = value;
		break;
	case 0x020:
		if (v->s.driver_feature_select < 2)
			set_half(&v->s.driver_features, v->s.driver_feature_select * 4, value);
		break;
	case 0x024:
		v->s.driver_feature_select = value;
		break;
	case 0x030:
		v->s.queue_select = value;
		break;
	case 0x050:
		virtio_notify(v, value);
		break;
	case 0x064:
		v->s.interrupt &= ~value;
		update(v);
		break;
	case 0x070:
		write_status(v, value);
		break;
	default:
		if (v->s.queue_select < v->ops->queues)
			write_queue(v, offset, value);
	}
	return 0;
}

static const struct viommu_mmio_ops mmio_ops = { sizeof(mmio_ops), read_register, write_register };
static const struct virtio_ops absent; /* device id 0: nothing here, as the specification has it */

int virtio_add(struct board *board, unsigned int index, const struct virtio_ops *ops,
	       struct virtio **out)
{
	struct virtio *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->board = board;
	v->ops = ops;
	v->index = index;
	v->fd = -1;
	v->s.random = 0x9e3779b97f4a7c15ull;
	board->virtio[index] = v;
	if (out)
		*out = v;
	return viommu_memory_add_mmio(board->memory, ADDR_VIRTIO + 0x1000ull * index, 0x1000,
				      &mmio_ops, v, 0);
}

int virtio_create(struct board *board)
{
	unsigned int n = 0;
	int r = 0;

	for (; !r && n < board->options.disks; n++)
		r = virtio_block_create(board, n, board->options.disk[n]);
	r = r ? r : virtio_random_create(board, n++);
	r = r ? r : virtio_console_create(board, n++);
	for (; !r && n < BOARD_VIRTIO; n++)
		r = virtio_add(board, n, &absent, NULL);
	return r;
}

static bool state_ok(const struct virtio_state *s)
{
	bool ok = s->input_head < VIRTIO_INPUT && s->input_count <= VIRTIO_INPUT;

	for (unsigned int q = 0; q < VIRTIO_QUEUES; q++)
		ok = ok && s->queue[q].size <= VIRTIO_QUEUE_MAX &&
		     (s->queue[q].size || !s->queue[q].ready);
	return ok;
}

int virtio_snapshot(struct board *board, struct snapshot *snapshot)
{
	int r = 0;

	for (unsigned int i = 0; !r && i < BOARD_VIRTIO; i++) {
		r = snapshot_block(snapshot, "virtio", &board->virtio[i]->s,
				   sizeof(board->virtio[i]->s));
		if (!r && !state_ok(&board->virtio[i]->s))
			r = -EBADMSG;
	}
	return r;
}

void virtio_reset(struct board *board)
{
	for (unsigned int i = 0; i < BOARD_VIRTIO; i++)
		reset(board->virtio[i]);
}
