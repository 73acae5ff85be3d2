/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzing of the vfio-user server: whatever a client sends, this process must go on.
 *
 * The input is a list of records {control, length (2 bytes), bytes}. Each record is sent as one
 * write; bit 0 of control passes a memory file along, bit 1 an eventfd, and bit 2 asks for a good
 * VERSION first (first record only). The server runs in this thread on one end of a socket pair.
 */
#include "server/internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WITH_MEMORY = 1, WITH_EVENT = 2, WITH_VERSION = 4 };

struct fuzz {
	struct server_endpoint *endpoint;
	int memory, event;
};

struct input {
	const struct fuzz *fuzz;
	int fd;
	const uint8_t *data;
	size_t size;
};

static int model_read(void *opaque, unsigned int bar, uint64_t offset, void *data, size_t length)
{
	memset(data, (int)bar, length);
	return 0;
}

static int model_write(void *opaque, unsigned int bar, uint64_t offset, const void *data,
		       size_t length)
{
	struct server_endpoint *endpoint = *(struct server_endpoint **)opaque;

	server_endpoint_irq(endpoint, (unsigned int)offset & 7);
	server_endpoint_message(endpoint, 0xfee00000, (uint32_t)offset);
	return offset & 1 ? -EIO : 0;
}

static void model_reset(void *opaque)
{
}

static int model_stop(void *opaque)
{
	return 0;
}

static int model_save(void *opaque, struct viommu_stream_writer *writer)
{
	return 0;
}

static int model_load(void *opaque, struct viommu_stream_reader *reader, char *message,
		      size_t length)
{
	return 0;
}

static void send_record(const struct input *in, uint8_t control, const void *data, size_t length)
{
	struct iovec iov = { (void *)(uintptr_t)data, length };
	char space[CMSG_SPACE(2 * sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[2], count = 0;

	if (control & WITH_MEMORY)
		fds[count++] = in->fuzz->memory;
	if (control & WITH_EVENT)
		fds[count++] = in->fuzz->event;
	if (count) {
		struct cmsghdr *cmsg;

		msg.msg_control = space;
		msg.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, (size_t)count * sizeof(int));
	}
	sendmsg(in->fd, &msg, MSG_NOSIGNAL);
}

static void send_version(const struct input *in)
{
	struct {
		struct wire_header header;
		struct wire_version version;
	} hello = { .header = { 1, WIRE_VERSION, 20, 0, 0 } };

	send_record(in, 0, &hello, 20);
}

/* The client: send everything, then read until the server hangs up. */
static void *client(void *opaque)
{
	struct input *in = opaque;
	char bytes[65536];

	if (in->size && in->data[0] & WITH_VERSION)
		send_version(in);
	while (in->size >= 3) {
		size_t length = in->data[1] | (size_t)in->data[2] << 8;

		if (length > in->size - 3)
			length = in->size - 3;
		if (length)
			send_record(in, in->data[0], in->data + 3, length);
		in->data += 3 + length;
		in->size -= 3 + length;
		while (recv(in->fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
	}
	shutdown(in->fd, SHUT_WR);
	while (recv(in->fd, bytes, sizeof(bytes), 0) > 0)
		;
	return NULL;
}

static struct fuzz *prepare(void)
{
	static const struct server_function function = {
		.vendor = 0x1234,
		.device = 1,
		.class_code = 0xff0000,
		.bars = { { 0x10000 }, { 0 }, { 0x100000, SERVER_BAR_64BIT } },
		.msix_vectors = 8,
		.msix_table = 0x1000,
		.msix_pba = 0x2000,
		.express = true,
		.pasid_bits = 20,
		.ats = true,
		.page_request = true,
		.page_requests = 16,
	};
	static const struct server_device_ops ops = {
		.read = model_read,
		.write = model_write,
		.reset = model_reset,
		.stop = model_stop,
		.start = model_reset,
		.save = model_save,
		.load = model_load,
	};
	static struct fuzz fuzz;
	struct server_endpoint_config config = { .name = "fuzz",
						 .function = &function,
						 .ops = &ops,
						 .opaque = &fuzz.endpoint,
						 .feed = true };
	char path[64];

	if (fuzz.endpoint)
		return &fuzz;
	snprintf(path, sizeof(path), "/proc/self/cwd/fuzz-%d.sock", getpid());
	config.path = path;
	fuzz.memory = memfd_create("fuzz", MFD_CLOEXEC);
	fuzz.event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fuzz.memory < 0 || ftruncate(fuzz.memory, 1 << 20) ||
	    viommu_memory_create(&config.memory) ||
	    viommu_tracker_create(config.memory, &config.tracker) ||
	    server_endpoint_create(&config, &fuzz.endpoint))
		abort();
	unlink(path);
	return &fuzz;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *fuzz = prepare();
	struct input in = { .fuzz = fuzz, .data = data, .size = size };
	pthread_t thread;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return 0;
	in.fd = fds[0];
	if (pthread_create(&thread, NULL, client, &in)) {
		close(fds[1]);
	} else {
		server_serve_client(fuzz->endpoint, fds[1]);
		pthread_join(thread, NULL);
	}
	close(fds[0]);
	return 0;
}
