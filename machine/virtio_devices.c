/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Block device (virtio 5.2), console (5.3) and entropy source (5.4).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "virtio.h"

enum { BLK_IN = 0, BLK_OUT = 1, BLK_FLUSH = 4, BLK_GET_ID = 8 };
enum { BLK_OK = 0, BLK_IOERR = 1, BLK_UNSUPPORTED = 2 };
#define BLK_F_FLUSH    (1ull << 9)
#define BLK_LENGTH_MAX (1ull << 30) /* of one request */

static int block_transfer(struct virtio *v, const struct virtio_buffer *b, uint64_t offset,
			  bool to_guest)
{
	uint8_t piece[65536];
	uint32_t done = 0;

	if (offset > v->capacity * 512 || b->length > v->capacity * 512 - offset)
		return -EIO;
	while (done < b->length) {
		size_t n = b->length - done < sizeof(piece) ? b->length - done : sizeof(piece);

		if (to_guest) {
			ssize_t got = pread(v->fd, piece, n, (off_t)(offset + done));

			if (got < 0)
				return -errno;
			memset(piece + got, 0, n - (size_t)got);
			if (virtio_write(v, b->address + done, piece, n))
				return -EFAULT;
		} else if (virtio_read(v, b->address + done, piece, n) ||
			   pwrite(v->fd, piece, n, (off_t)(offset + done)) != (ssize_t)n) {
			return -EIO;
		}
		done += (uint32_t)n;
	}
	return 0;
}

/* The buffers between header and status byte. */
static uint8_t block_request(struct virtio *v, struct virtio_chain *chain, uint32_t type,
			     uint64_t offset, uint32_t *written)
{
	static const char name[20] = "viommu";

	uint64_t length = 0;

	switch (type) {
	case BLK_IN:
	case BLK_OUT:
		for (unsigned int i = 1; i + 1 < chain->count; i++)
			length += chain->buffer[i].length;
		if (length > BLK_LENGTH_MAX)
			return BLK_IOERR;
		if (type == BLK_OUT && v->readonly)
			return BLK_IOERR;
		for (unsigned int i = 1; i + 1 < chain->count; i++) {
			const struct virtio_buffer *b = &chain->buffer[i];

			if (b->write != (type == BLK_IN) ||
			    block_transfer(v, b, offset, type == BLK_IN))
				return BLK_IOERR;
			offset += b->length;
			*written += type == BLK_IN ? b->length : 0;
		}
		return BLK_OK;
	case BLK_FLUSH:
		return fdatasync(v->fd) ? BLK_IOERR : BLK_OK;
	case BLK_GET_ID:
		if (chain->count < 3 || chain->buffer[1].length < sizeof(name) ||
		    virtio_write(v, chain->buffer[1].address, name, sizeof(name)))
			return BLK_IOERR;
		*written += sizeof(name);
		return BLK_OK;
	}
	return BLK_UNSUPPORTED;
}

static uint32_t block_handle(struct virtio *v, unsigned int queue, struct virtio_chain *chain)
{
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header;
	const struct virtio_buffer *last = &chain->buffer[chain->count - 1];
	uint32_t written = 0;
	uint8_t status = BLK_IOERR;

	if (chain->count < 2 || chain->buffer[0].length < sizeof(header) || !last->write ||
	    !last->length)
		return 0;
	if (!virtio_read(v, chain->buffer[0].address, &header, sizeof(header)) &&
	    header.sector < UINT64_MAX / 512)
		status = block_request(v, chain, header.type, header.sector * 512, &written);
	virtio_write(v, last->address + last->length - 1, &status, 1);
	return written + 1;
}

static uint64_t block_config(struct virtio *v, uint64_t offset, size_t length)
{
	return offset < 8 ? v->capacity >> 8 * offset : 0;
}

static const struct virtio_ops block_ops = {
	2, BLK_F_FLUSH, 1, block_handle, NULL, NULL, block_config
};
#define BLK_F_RO (1ull << 5)
static const struct virtio_ops block_readonly_ops = {
	2, BLK_F_FLUSH | BLK_F_RO, 1, block_handle, NULL, NULL, block_config
};

int virtio_block_create(struct board *board, unsigned int index, const char *path)
{
	bool readonly = false;
	int fd = open(path, O_RDWR | O_CLOEXEC), r;
	struct virtio *v;
	off_t end;

	if (fd < 0 && (errno == EACCES || errno == EROFS)) {
		readonly = true;
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	end = lseek(fd, 0, SEEK_END); /* of a pipe: none */
	r = end < 0 ? -errno : 0;
	r = r ? r : virtio_add(board, index, readonly ? &block_readonly_ops : &block_ops, &v);
	if (r) {
		close(fd);
		return r;
	}
	v->fd = fd;
	v->readonly = readonly;
	v->capacity = (uint64_t)end / 512;
	return 0;
}

/* Queue 0: as much of the input as the chain's buffers hold. It is used up when the chain is given
 * back: an access that an IOPMP holds up starts again. */
static uint32_t console_receive(struct virtio *v, struct virtio_chain *chain)
{
	uint32_t done = 0;

	for (unsigned int i = 0; i < chain->count; i++) {
		const struct virtio_buffer *b = &chain->buffer[i];
		uint8_t piece[VIRTIO_INPUT];
		uint32_t n = v->s.input_count - done;

		n = b->length < n ? b->length : n;
		if (!b->write || !n)
			continue;
		for (uint32_t k = 0; k < n; k++)
			piece[k] = v->s.input[(v->s.input_head + done + k) % VIRTIO_INPUT];
		if (virtio_write(v, b->address, piece, n))
			break;
		done += n;
	}
	return done;
}

static void console_given(struct virtio *v, unsigned int queue, uint32_t count)
{
	if (queue)
		return;
	v->s.input_head = (v->s.input_head + count) % VIRTIO_INPUT;
	v->s.input_count -= count;
}

static bool console_wanted(const struct virtio *v, unsigned int queue)
{
	return queue || v->s.input_count;
}

static struct virtio *console(const struct board *board)
{
	return board->virtio[board->options.disks + 1];
}

size_t virtio_console_room(const struct board *board)
{
	return VIRTIO_INPUT - console(board)->s.input_count;
}

void virtio_console_input(struct board *board, const uint8_t *bytes, size_t length)
{
	struct virtio *v = console(board);

	for (size_t i = 0; i < length && v->s.input_count < VIRTIO_INPUT; i++)
		v->s.input[(v->s.input_head + v->s.input_count++) % VIRTIO_INPUT] = bytes[i];
	virtio_notify(v, 0);
}

/* Queue 0 receives, queue 1 transmits. */
static uint32_t console_handle(struct virtio *v, unsigned int queue, struct virtio_chain *chain)
{
	char piece[4096];

	if (!queue)
		return console_receive(v, chain);
	for (unsigned int i = 0; i < chain->count; i++) {
		const struct virtio_buffer *b = &chain->buffer[i];
		uint32_t done = 0;

		/* a line of text is short: nobody prints a gigabyte at once */
		uint32_t length = b->length < 65536 ? b->length : 65536;

		while (!b->write && done < length) {
			uint32_t n = length - done < sizeof(piece) ? length - done : sizeof(piece);

			if (virtio_read(v, b->address + done, piece, n))
				return 0;
			if (v->board->options.console && write(STDOUT_FILENO, piece, n) < 0)
				return 0;
			done += n;
		}
	}
	return 0;
}

static const struct virtio_ops console_ops = {
	3, 0, 2, console_handle, console_wanted, console_given, NULL
};

int virtio_console_create(struct board *board, unsigned int index)
{
	return virtio_add(board, index, &console_ops, NULL);
}

static void random_bytes(struct virtio *v, uint8_t *bytes, size_t length)
{
	if (!v->board->options.virtual_clock && getrandom(bytes, length, 0) == (ssize_t)length)
		return;
	for (size_t i = 0; i < length;
	     i++) { /* xorshift64*: a repeatable run wants repeatable entropy */
		v->s.random ^= v->s.random >> 12;
		v->s.random ^= v->s.random << 25;
		v->s.random ^= v->s.random >> 27;
		bytes[i] = (uint8_t)(v->s.random * 0x2545f4914f6cdd1dull >> 56);
	}
}

static uint32_t random_handle(struct virtio *v, unsigned int queue, struct virtio_chain *chain)
{
	uint8_t bytes[256];
	uint32_t written = 0;

	for (unsigned int i = 0; i < chain->count; i++) {
		uint32_t n = chain->buffer[i].length < sizeof(bytes) ? chain->buffer[i].length
								     : sizeof(bytes);

		if (!chain->buffer[i].write)
			continue;
		random_bytes(v, bytes, n);
		if (virtio_write(v, chain->buffer[i].address, bytes, n))
			break;
		written += n;
	}
	return written;
}

static const struct virtio_ops random_ops = { 4, 0, 1, random_handle, NULL, NULL, NULL };

int virtio_random_create(struct board *board, unsigned int index)
{
	return virtio_add(board, index, &random_ops, NULL);
}
