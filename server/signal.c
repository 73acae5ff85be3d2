/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signalling an event descriptor of the client's, without ever waiting for it.
 *
 * A write() waits while the counter is full, and the client decides when it is: asking before leaves it time to fill it, and whether the
 * descriptor blocks is the client's to say at any moment, as the flag is shared with it. The kernel itself never waits: for a full
 * counter it only wakes who polls. So the kernel signals for us, at the end of an asynchronous read of nothing
 * (io_submit(2), IOCB_FLAG_RESFD), which is over when the call returns. What is no event descriptor is left alone.
 */
#include "internal.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Completions lie in a ring of this many until they are fetched. */
enum { RING = 256, FETCH = 64 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static aio_context_t context; /* 0: this kernel has none for us */
static int nothing = -1;
static atomic_uint submitted;

static void prepare(void)
{
	nothing = memfd_create("nothing", MFD_CLOEXEC);
	if (nothing < 0 || syscall(SYS_io_setup, RING, &context))
		context = 0;
}

static void fetch(void)
{
	struct io_event events[FETCH];
	struct timespec now = { 0 };

	while (syscall(SYS_io_getevents, context, 0, FETCH, events, &now) == FETCH)
		;
}

static int submit(int fd)
{
	static char byte;
	struct iocb read = {
		.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = (uint32_t)nothing, .aio_buf = (uintptr_t)&byte,
		.aio_flags = IOCB_FLAG_RESFD, .aio_resfd = (uint32_t)fd,
	}, *list = &read;

	return syscall(SYS_io_submit, context, 1, &list) == 1 ? 0 : -errno;
}

/* Without asynchronous I/O there is a moment in which the client can stop us, but only by meaning to. */
static void write_if_ready(int fd)
{
	static const uint64_t one = 1;
	struct pollfd ready = { .fd = fd, .events = POLLOUT };

	if (poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT))
		(void)!write(fd, &one, sizeof(one));
}

void server_signal(int fd)
{
	pthread_once(&once, prepare);
	if (!context) {
		write_if_ready(fd);
		return;
	}
	if (atomic_fetch_add_explicit(&submitted, 1, memory_order_relaxed) % FETCH == FETCH - 1)
		fetch();
	/* The ring is full only when other threads were at it meanwhile. */
	for (int attempt = 0; attempt < 3 && submit(fd) == -EAGAIN; attempt++)
		fetch();
}
