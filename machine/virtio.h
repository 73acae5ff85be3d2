/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio over MMIO (virtio 1.2, 4.2), and the three devices behind it.
 *
 * A *chain* is what the driver made available: buffers to read, then buffers to write. Everything
 * the device reads or writes, rings included, goes through the bus masters' map with the device's
 * own source id.
 */
#ifndef MACHINE_VIRTIO_H
#define MACHINE_VIRTIO_H

#include "board.h"

#define VIRTIO_QUEUES	 2
#define VIRTIO_QUEUE_MAX 256
#define VIRTIO_CHAIN_MAX 128
#define VIRTIO_INPUT	 256

struct virtio_buffer {
	uint64_t address;
	uint32_t length;
	bool write;
};

struct virtio_chain {
	struct virtio_buffer buffer[VIRTIO_CHAIN_MAX];
	unsigned int count;
	uint16_t head;
};

struct virtio_ops {
	uint32_t device_id;
	uint64_t features;
	unsigned int queues;
	/* Do what a chain of `queue` asks; the number of bytes written. */
	uint32_t (*handle)(struct virtio *v, unsigned int queue, struct virtio_chain *chain);
	/* Whether a chain would have something to do; NULL: always. */
	bool (*wanted)(const struct virtio *v, unsigned int queue);
	/* The driver has the chain back, with so many bytes in it; may be NULL. */
	void (*given)(struct virtio *v, unsigned int queue, uint32_t written);
	/* Device configuration space. */
	uint64_t (*config)(struct virtio *v, uint64_t offset, size_t length);
};

struct virtio_queue {
	uint32_t size, ready;
	uint64_t descriptors, driver, device;
	uint16_t next, used; /* index of the next chain to take, of the next to give back */
};

/* What a snapshot keeps. */
struct virtio_state {
	uint32_t status, interrupt, queue_select, feature_select, driver_feature_select;
	uint64_t driver_features;
	struct virtio_queue queue[VIRTIO_QUEUES];
	/* from here on a reset by the driver changes nothing */
	uint64_t random;
	/* the console: what the terminal said and no buffer has taken yet */
	uint32_t input_head, input_count;
	uint8_t input[VIRTIO_INPUT];
};

struct virtio {
	struct board *board;
	const struct virtio_ops *ops;
	unsigned int index;
	int fd;
	uint64_t capacity; /* sectors */
	bool readonly;
	/* An IOPMP held an access back, and the chain is done again later; or there is more to do than
	 * fits one notification. */
	bool stalled;
	bool busy; /* at its chains */
	struct virtio_state s;
};

int virtio_add(struct board *board, unsigned int index, const struct virtio_ops *ops,
	       struct virtio **out);
/* 0 or non-zero (bus error): into and out of guest memory as this device. */
int virtio_read(struct virtio *v, uint64_t address, void *data, size_t length);
int virtio_write(struct virtio *v, uint64_t address, const void *data, size_t length);

/* There may be chains of `queue` to handle. */
void virtio_notify(struct virtio *v, unsigned int queue);

int virtio_block_create(struct board *board, unsigned int index, const char *path);
int virtio_console_create(struct board *board, unsigned int index);
int virtio_random_create(struct board *board, unsigned int index);

#endif
