/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading and writing of one client's socket. Nothing here blocks for longer than
 * SERVER_PATIENCE_MS, and every reason to give the client up is an error return: the caller closes
 * this connection and no other.
 */
#include "connection.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define INPUT_SIZE (2 * SERVER_MAX_MESSAGE)
#define READ_PIECE (64 * 1024)

int64_t connection_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

int connection_open(struct connection *c, int fd, int wake_fd)
{
	*c = (struct connection){ .fd = fd, .wake_fd = wake_fd };
	c->input = malloc(INPUT_SIZE);
	if (c->input)
		return 0;
	close(fd);
	c->fd = -1;
	return -ENOMEM;
}

static void drop_fds(struct connection *c)
{
	for (unsigned int i = 0; i < c->fd_count; i++)
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	c->fd_count = 0;
}

void connection_close(struct connection *c)
{
	if (c->fd < 0)
		return;
	drop_fds(c);
	close(c->fd);
	free(c->input);
	c->input = NULL;
	c->fd = -1;
}

int connection_next(struct connection *c, struct message *m)
{
	size_t have = c->end - c->start;

	if (have < sizeof(m->header)) {
		if (!have)
			c->partial_since = 0;
		return 0;
	}
	memcpy(&m->header, c->input + c->start, sizeof(m->header));
	if (m->header.size < sizeof(m->header) || m->header.size > SERVER_MAX_MESSAGE)
		return -EBADMSG;
	if (have < m->header.size)
		return 0;
	m->payload = c->input + c->start + sizeof(m->header);
	m->length = m->header.size - sizeof(m->header);
	m->fds = c->fds;
	m->fd_count = c->fd_count && c->fd_message == c->start ? c->fd_count : 0;
	return 1;
}

void connection_release(struct connection *c, struct message *m)
{
	if (m->fd_count)
		drop_fds(c);
	c->start += m->header.size;
	c->partial_since = 0;
	if (c->start == c->end)
		c->start = c->end = 0;
}

/* Where the last message that begins in [start, end) begins, walking the headers. */
static size_t last_begin(const struct connection *c)
{
	size_t at = c->start;

	for (;;) {
		struct wire_header header;

		if (c->end - at < sizeof(header))
			return at;
		memcpy(&header, c->input + at, sizeof(header));
		if (header.size < sizeof(header) || header.size >= c->end - at)
			return at;
		at += header.size;
	}
}

static void take_fds(struct connection *c, struct msghdr *msg)
{
	struct cmsghdr *cmsg;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		size_t count;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
			if (c->fd_count < SERVER_MAX_FDS)
				c->fds[c->fd_count++] = fd;
			else
				close(fd);
		}
	}
}

/* Make room: what is in the buffer moves to its start when the tail is short. */
static void compact(struct connection *c)
{
	size_t have = c->end - c->start;

	if (!c->start || INPUT_SIZE - c->end >= SERVER_MAX_MESSAGE)
		return;
	memmove(c->input, c->input + c->start, have);
	c->fd_message = c->fd_message >= c->start ? c->fd_message - c->start : 0;
	c->start = 0;
	c->end = have;
}

int connection_fill(struct connection *c)
{
	union {
		char bytes[CMSG_SPACE(SERVER_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	unsigned int had;
	ssize_t got;

	compact(c);
	iov.iov_base = c->input + c->end;
	iov.iov_len = INPUT_SIZE - c->end < READ_PIECE ? INPUT_SIZE - c->end : READ_PIECE;
	if (c->end - c->start >= sizeof(struct wire_header)) {
		struct wire_header header;

		/* the rest of a long message in one read */
		memcpy(&header, c->input + c->start, sizeof(header));
		if (header.size <= SERVER_MAX_MESSAGE &&
		    header.size > c->end - c->start + iov.iov_len)
			iov.iov_len = header.size - (c->end - c->start);
	}
	do
		got = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -ECONNRESET;
	had = c->fd_count;
	take_fds(c, &msg);
	if (!got)
		return -ECONNRESET;
	c->end += (size_t)got;
	if (!c->partial_since)
		c->partial_since = connection_now();
	if (c->fd_count > had) {
		size_t owner = last_begin(c);

		/* descriptors of two messages at once cannot be told apart by their owners: none is
		 * kept */
		if (had && owner != c->fd_message)
			drop_fds(c);
		c->fd_message = owner;
	}
	return 1;
}

int connection_wait(struct connection *c, int timeout, bool *woken)
{
	struct pollfd fds[2] = { { .fd = c->fd, .events = POLLIN },
				 { .fd = c->wake_fd, .events = POLLIN } };

	*woken = false;
	if (c->partial_since) {
		int64_t left = c->partial_since + SERVER_PATIENCE_MS - connection_now();

		if (left <= 0)
			return -ETIMEDOUT;
		if (timeout < 0 || timeout > left)
			timeout = (int)left;
	}
	if (poll(fds, 2, timeout) > 0)
		*woken = fds[1].revents & POLLIN;
	return 0;
}

/* Wait until the socket takes more. The wake-up is not looked at: replies come first. */
static int wait_writable(struct connection *c, int64_t deadline)
{
	struct pollfd fd = { .fd = c->fd, .events = POLLOUT };
	int64_t left = deadline - connection_now();

	if (left <= 0)
		return -ETIMEDOUT;
	poll(&fd, 1, (int)left);
	return fd.revents & (POLLERR | POLLHUP) ? -ECONNRESET : 0;
}

int connection_send(struct connection *c, const struct wire_header *header, const void *first,
		    size_t first_length, const void *second, size_t second_length, int fd)
{
	struct iovec iov[3] = { { (void *)(uintptr_t)header, sizeof(*header) },
				{ (void *)(uintptr_t)first, first_length },
				{ (void *)(uintptr_t)second, second_length } };
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };
	size_t left = sizeof(*header) + first_length + second_length;
	int64_t deadline = 0;

	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.room);
	}
	for (;;) {
		ssize_t sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
			return -ECONNRESET;
		if (sent > 0) {
			left -= (size_t)sent;
			/* The descriptor went with the first byte. */
			msg.msg_control = NULL;
			msg.msg_controllen = 0;
		}
		if (!left)
			return 0;
		for (; sent > 0 && msg.msg_iovlen; msg.msg_iov++, msg.msg_iovlen--) {
			size_t step = (size_t)sent < msg.msg_iov->iov_len ? (size_t)sent
									  : msg.msg_iov->iov_len;

			msg.msg_iov->iov_base = (uint8_t *)msg.msg_iov->iov_base + step;
			msg.msg_iov->iov_len -= step;
			sent -= (ssize_t)step;
			if (msg.msg_iov->iov_len)
				break;
		}
		if (!deadline)
			deadline = connection_now() + SERVER_PATIENCE_MS;
		if (wait_writable(c, deadline))
			return -ETIMEDOUT;
	}
}
