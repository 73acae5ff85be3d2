/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One client's byte stream: whole messages in, whole messages out.
 *
 * Input is read in large pieces, so that a run of posted 8-byte writes costs one system call.
 * Descriptors arrive with the bytes of the message they belong to; the kernel ends a read behind
 * them, so they belong to the last message that begins in the piece just read.
 */
#ifndef SERVER_CONNECTION_H
#define SERVER_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "wire.h"

#define SERVER_MAX_TRANSFER (1024 * 1024)
/* The largest message either way: a full transfer and its fixed parts. */
#define SERVER_MAX_MESSAGE (SERVER_MAX_TRANSFER + 256)
#define SERVER_MAX_FDS	   16
/* A client has this long to finish a message it began, to take a reply, or to say VERSION. */
#define SERVER_PATIENCE_MS 10000

struct message {
	struct wire_header header;
	const uint8_t *payload; /* in the input buffer, not aligned */
	size_t length;
	int *fds; /* taken ones are set to -1; the rest is closed */
	unsigned int fd_count;
};

struct connection {
	int fd;
	int wake_fd; /* readable: somebody wants the thread */
	uint8_t *input;
	size_t start, end;
	size_t fd_message; /* where the message that owns the descriptors begins */
	int fds[SERVER_MAX_FDS];
	unsigned int fd_count;
	int64_t partial_since; /* ms; 0: no message half read */
};

/* Takes over `fd`. -ENOMEM. */
int connection_open(struct connection *connection, int fd, int wake_fd);
void connection_close(struct connection *connection);
int64_t connection_now(void); /* ms, monotonic */

/*
 * The next whole message if there is one in memory. 1: yes; 0: read more first; -EBADMSG: the
 * stream is broken. It stays valid until connection_release().
 */
int connection_next(struct connection *connection, struct message *message);
void connection_release(struct connection *connection, struct message *message);
/* Read what there is without waiting. 1: something; 0: nothing yet; -ECONNRESET: the client has
 * gone. */
int connection_fill(struct connection *connection);
/*
 * Wait for input, a wake-up or `timeout` ms (-1: none); *woken tells the second. 0; -ETIMEDOUT: the
 * client left a message half sent for too long.
 */
int connection_wait(struct connection *connection, int timeout, bool *woken);
/*
 * Send a header and up to two parts, with a descriptor unless fd is -1 (it stays the caller's). 0;
 * -ETIMEDOUT: the client does not take it; -ECONNRESET.
 */
int connection_send(struct connection *connection, const struct wire_header *header,
		    const void *first, size_t first_length, const void *second,
		    size_t second_length, int fd);

#endif
