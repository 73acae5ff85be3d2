/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's side of the protocol, written from its text and independent of the server's code.
 */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_MAX (2 * 1024 * 1024)

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

int client_connect(struct client *c, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 30 };

	*c = (struct client){ .fd = -1, .timeout_ms = 30000 };
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	for (int attempt = 0; attempt < 2000; attempt++) {
		c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (c->fd < 0)
			return -errno;
		setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		if (!connect(c->fd, (struct sockaddr *)&address, sizeof(address)))
			return 0;
		close(c->fd);
		c->fd = -1;
		usleep(10000);
	}
	return -ECONNREFUSED;
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

int client_send_raw(struct client *c, const void *data, size_t length, const int *fds,
		    unsigned int fd_count)
{
	struct iovec iov = { (void *)(uintptr_t)data, length };
	char control[CMSG_SPACE(64 * sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd_count) {
		struct cmsghdr *cmsg;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, fd_count * sizeof(int));
	}
	while (iov.iov_len) {
		ssize_t sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -EPIPE;
		iov.iov_base = (char *)iov.iov_base + sent;
		iov.iov_len -= (size_t)sent;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
	return 0;
}

/* All of `length` bytes before `deadline`. */
static int receive_all(struct client *c, void *data, size_t length, int64_t deadline)
{
	size_t done = 0;

	while (done < length) {
		struct pollfd fd = { .fd = c->fd, .events = POLLIN };
		int64_t left = deadline - now_ms();
		ssize_t got;

		if (left <= 0 || !poll(&fd, 1, (int)left))
			return -ETIMEDOUT;
		got = recv(c->fd, (char *)data + done, length - done, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -EPIPE;
		done += (size_t)got;
	}
	return 0;
}

static int receive_before(struct client *c, void *buffer, size_t room, int64_t deadline)
{
	struct wire_header *header = buffer;
	int ret = receive_all(c, header, sizeof(*header), deadline);

	if (ret)
		return ret;
	if (header->size < sizeof(*header) || header->size > room)
		return -EBADMSG;
	ret = receive_all(c, header + 1, header->size - sizeof(*header), now_ms() + c->timeout_ms);
	return ret ? ret : (int)header->size;
}

bool client_closed(struct client *c, int ms)
{
	int64_t deadline = now_ms() + ms;
	char bytes[4096];

	for (;;) {
		int ret = receive_all(c, bytes, 1, deadline);

		if (ret)
			return ret == -EPIPE;
	}
}

/* Answer a request of the server's. */
static int answer(struct client *c, const uint8_t *message)
{
	uint8_t reply[4096 + 64] = { 0 };
	struct wire_header header;
	struct wire_dma_access access;
	size_t length = sizeof(header) + sizeof(access), data_at = length;

	memcpy(&header, message, sizeof(header));
	memcpy(&access, message + sizeof(header), sizeof(access));
	header.flags = WIRE_TYPE_REPLY;
	if (header.command == WIRE_DMA_READ) {
		if (access.count > 4096 || access.address > c->memory_length ||
		    access.count > c->memory_length - access.address) {
			header.flags |= WIRE_ERROR;
			header.error = EFAULT;
		} else {
			if (c->shifted)
				data_at -= 4;
			memcpy(reply + data_at, c->memory + access.address, access.count);
			length = data_at + access.count;
		}
	} else if (header.command == WIRE_DMA_WRITE && c->message_count < CLIENT_MESSAGES) {
		struct client_message *m = &c->messages[c->message_count++];

		m->address = access.address;
		memcpy(&m->data, message + sizeof(header) + sizeof(access), sizeof(m->data));
	}
	if (c->refuse) {
		header.flags |= WIRE_ERROR;
		header.error = (uint32_t)c->refuse;
		length = sizeof(header);
	}
	header.size = (uint32_t)length;
	memcpy(reply, &header, sizeof(header));
	if (length > sizeof(header))
		memcpy(reply + sizeof(header), &access, data_at == 28 ? 12 : 16);
	return client_send_raw(c, reply, length, NULL, 0);
}

static int send_request(struct client *c, uint16_t command, uint32_t flags, const void *payload,
			size_t length, const int *fds, unsigned int fd_count)
{
	struct wire_header header = { .id = ++c->id,
				      .command = command,
				      .size = (uint32_t)(sizeof(header) + length),
				      .flags = flags };
	uint8_t small[256], *message = length + sizeof(header) > sizeof(small)
					       ? malloc(length + sizeof(header))
					       : small;
	int ret;

	if (!message)
		return -ENOMEM;
	memcpy(message, &header, sizeof(header));
	if (length)
		memcpy(message + sizeof(header), payload, length);
	ret = client_send_raw(c, message, length + sizeof(header), fds, fd_count);
	if (message != small)
		free(message);
	return ret;
}

int client_call(struct client *c, uint16_t command, const void *payload, size_t length,
		const int *fds, unsigned int fd_count, void *reply, size_t *reply_length)
{
	int64_t deadline = now_ms() + c->timeout_ms;
	uint8_t *buffer;
	struct wire_header header;
	int ret = send_request(c, command, 0, payload, length, fds, fd_count);

	if (ret)
		return ret;
	buffer = malloc(MESSAGE_MAX);
	for (;;) {
		size_t got;

		ret = receive_before(c, buffer, MESSAGE_MAX, deadline);
		if (ret < 0)
			break;
		memcpy(&header, buffer, sizeof(header));
		if (!(header.flags & WIRE_TYPE_MASK)) {
			ret = answer(c, buffer);
			if (ret)
				break;
			continue;
		}
		ret = header.id == c->id && header.command == command ? 0 : -EPROTO;
		if (header.flags & WIRE_ERROR)
			ret = header.error ? -(int)header.error : -EPROTO;
		got = header.size - sizeof(header);
		if (reply_length) {
			if (reply && got <= *reply_length)
				memcpy(reply, buffer + sizeof(header), got);
			*reply_length = got;
		}
		break;
	}
	free(buffer);
	return ret;
}

static int post(struct client *c, uint16_t command, const void *payload, size_t length)
{
	return send_request(c, command, WIRE_NO_REPLY, payload, length, NULL, 0);
}

int client_serve(struct client *c, unsigned int count, int ms)
{
	int64_t deadline = now_ms() + ms;
	uint8_t buffer[8192] __attribute__((aligned(8)));

	while (c->message_count < count) {
		int ret = receive_before(c, buffer, sizeof(buffer), deadline);

		if (ret >= 0)
			ret = answer(c, buffer);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int client_open(struct client *c, const char *path)
{
	static const char json[] =
		"{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,"
		"\"max_dma_maps\":65535,\"pgsizes\":4096,\"migration\":{\"pgsize\":4096,"
		"\"max_bitmap_size\":268435456},\"write_multiple\":true}}";
	struct {
		struct wire_version version;
		char json[sizeof(json)];
	} hello = { .version = { 0, 0 } };
	int ret = client_connect(c, path);

	memcpy(hello.json, json, sizeof(json));
	if (!ret)
		ret = client_call(c, WIRE_VERSION, &hello, sizeof(hello.version) + sizeof(json),
				  NULL, 0, NULL, NULL);
	if (ret)
		client_close(c);
	return ret;
}

int client_read(struct client *c, uint32_t region, uint64_t offset, void *data, uint32_t length)
{
	struct wire_region_access access = { offset, region, length };
	size_t got = sizeof(access) + length;
	uint8_t *reply = malloc(got);
	int ret = client_call(c, WIRE_REGION_READ, &access, sizeof(access), NULL, 0, reply, &got);

	if (!ret && got != sizeof(access) + length)
		ret = -EPROTO;
	if (!ret)
		memcpy(data, reply + sizeof(access), length);
	free(reply);
	return ret;
}

static size_t put_write(uint8_t *message, uint32_t region, uint64_t offset, const void *data,
			uint32_t length)
{
	struct wire_region_access access = { offset, region, length };

	memcpy(message, &access, sizeof(access));
	memcpy(message + sizeof(access), data, length);
	return sizeof(access) + length;
}

int client_write(struct client *c, uint32_t region, uint64_t offset, const void *data,
		 uint32_t length)
{
	uint8_t *message = malloc(sizeof(struct wire_region_access) + length);
	size_t size = put_write(message, region, offset, data, length), got = 0;
	int ret = client_call(c, WIRE_REGION_WRITE, message, size, NULL, 0, NULL, &got);

	free(message);
	return ret ? ret : got == sizeof(struct wire_region_access) ? 0 : -EPROTO;
}

int client_write_posted(struct client *c, uint32_t region, uint64_t offset, const void *data,
			uint32_t length)
{
	uint8_t message[sizeof(struct wire_region_access) + 64];

	if (length > 64)
		return -EINVAL;
	return post(c, WIRE_REGION_WRITE, message,
			   put_write(message, region, offset, data, length));
}

uint64_t client_read64(struct client *c, uint32_t region, uint64_t offset)
{
	uint64_t value = UINT64_MAX;

	return client_read(c, region, offset, &value, sizeof(value)) ? UINT64_MAX : value;
}

uint32_t client_read32(struct client *c, uint32_t region, uint64_t offset)
{
	uint32_t value = UINT32_MAX;

	return client_read(c, region, offset, &value, sizeof(value)) ? UINT32_MAX : value;
}

int client_write64(struct client *c, uint32_t region, uint64_t offset, uint64_t value)
{
	return client_write(c, region, offset, &value, sizeof(value));
}

int client_write32(struct client *c, uint32_t region, uint64_t offset, uint32_t value)
{
	return client_write(c, region, offset, &value, sizeof(value));
}

int client_map(struct client *c, uint64_t address, uint64_t size, int fd, uint64_t offset)
{
	struct wire_dma_map map = { sizeof(map), WIRE_DMA_READABLE | WIRE_DMA_WRITEABLE, offset,
				    address, size };

	return client_call(c, WIRE_DMA_MAP, &map, sizeof(map), &fd, fd >= 0, NULL, NULL);
}

int client_unmap(struct client *c, uint64_t address, uint64_t size)
{
	struct wire_dma_unmap unmap = { sizeof(unmap), 0, address, size };

	return client_call(c, WIRE_DMA_UNMAP, &unmap, sizeof(unmap), NULL, 0, NULL, NULL);
}

int client_set_irqs(struct client *c, uint32_t start, uint32_t count, const int *fds)
{
	struct wire_set_irqs set = { sizeof(set), WIRE_IRQ_TRIGGER, WIRE_IRQ_MSIX, start, count };

	set.flags |= count ? WIRE_IRQ_DATA_EVENTFD : WIRE_IRQ_DATA_NONE;
	return client_call(c, WIRE_DEVICE_SET_IRQS, &set, sizeof(set), fds, count, NULL, NULL);
}

uint16_t client_capability(struct client *c, uint8_t id)
{
	uint8_t at = (uint8_t)client_read32(c, WIRE_REGION_CONFIG, 0x34);

	for (unsigned int hops = 0; at && hops < 48; hops++) {
		uint32_t word = client_read32(c, WIRE_REGION_CONFIG, at);

		if ((word & 0xff) == id)
			return at;
		at = word >> 8 & 0xff;
	}
	return 0;
}

uint16_t client_extended_capability(struct client *c, uint16_t id)
{
	uint16_t at = 0x100;

	for (unsigned int hops = 0; at && hops < 64; hops++) {
		uint32_t word = client_read32(c, WIRE_REGION_CONFIG, at);

		if ((word & 0xffff) == id)
			return at;
		at = word >> 20;
	}
	return 0;
}

static int set_control(struct client *c, uint16_t id, uint32_t offset, uint16_t value)
{
	uint16_t at = client_extended_capability(c, id);

	return at ? client_write(c, WIRE_REGION_CONFIG, at + offset, &value, sizeof(value))
		  : -ENODEV;
}

int client_enable(struct client *c, bool pasid, bool ats, bool page_request)
{
	uint16_t command = 0x6;
	int ret = client_write(c, WIRE_REGION_CONFIG, 0x04, &command, sizeof(command));

	if (!ret && pasid)
		ret = set_control(c, 0x1b, 6, 1);
	if (!ret && ats)
		ret = set_control(c, 0x0f, 6, 1 << 15);
	if (!ret && page_request)
		ret = set_control(c, 0x13, 4, 1);
	return ret;
}
