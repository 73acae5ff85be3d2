/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small vfio-user client for tests and benchmarks: what a VMM does, without the VMM.
 *
 * Calls return 0, the server's error as a negative errno, or -EPIPE when the connection is over,
 * -ETIMEDOUT when no answer comes.
 */
#ifndef TESTS_SERVER_CLIENT_H
#define TESTS_SERVER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/wire.h"

#define CLIENT_MESSAGES 64

struct client {
	int fd;
	uint16_t id;
	int timeout_ms;
	/* Guest memory for the server's DMA_READ: [0, memory_length). */
	uint8_t *memory;
	size_t memory_length;
	/* DMA_WRITEs the server sent, oldest first. */
	struct client_message {
		uint64_t address;
		uint32_t data;
	} messages[CLIENT_MESSAGES];
	unsigned int message_count;
	int refuse;   /* answer the server's requests with this errno */
	bool shifted; /* answer DMA_READ with the data four bytes early, as QEMU 10.1 does */
};

/* Connect to a daemon's socket, retrying for a second while it starts. */
int client_connect(struct client *client, const char *path);
void client_close(struct client *client);
/* Connect and exchange VERSION the way QEMU does. */
int client_open(struct client *client, const char *path);

/* Bytes as they are, with descriptors; for messages no client should send. */
int client_send_raw(struct client *client, const void *data, size_t length, const int *fds,
		    unsigned int fd_count);
/* Is the connection over? Waits up to `ms` for that. */
bool client_closed(struct client *client, int ms);

/*
 * One request and its answer; requests of the server that come in between are answered.
 * `reply_length` goes in as the room in `reply` and comes out as the length of the payload; both
 * may be NULL.
 */
int client_call(struct client *client, uint16_t command, const void *payload, size_t length,
		const int *fds, unsigned int fd_count, void *reply, size_t *reply_length);
/* Answer what the server asks until `count` messages have come or `ms` are over. */
int client_serve(struct client *client, unsigned int count, int ms);

int client_read(struct client *client, uint32_t region, uint64_t offset, void *data,
		uint32_t length);
int client_write(struct client *client, uint32_t region, uint64_t offset, const void *data,
		 uint32_t length);
int client_write_posted(struct client *client, uint32_t region, uint64_t offset, const void *data,
			uint32_t length);
uint64_t client_read64(struct client *client, uint32_t region, uint64_t offset);
uint32_t client_read32(struct client *client, uint32_t region, uint64_t offset);
int client_write64(struct client *client, uint32_t region, uint64_t offset, uint64_t value);
int client_write32(struct client *client, uint32_t region, uint64_t offset, uint32_t value);
int client_map(struct client *client, uint64_t address, uint64_t size, int fd, uint64_t offset);
int client_unmap(struct client *client, uint64_t address, uint64_t size);
/* MSI-X vectors from `start` signal `fds`; `count` 0 takes all away. */
int client_set_irqs(struct client *client, uint32_t start, uint32_t count, const int *fds);

/* Find a capability in config space: its offset, 0 when absent. */
uint16_t client_capability(struct client *client, uint8_t id);
uint16_t client_extended_capability(struct client *client, uint16_t id);
/* Memory and bus mastering on, and PASID, ATS and page requests as asked. */
int client_enable(struct client *client, bool pasid, bool ats, bool page_request);

#endif
