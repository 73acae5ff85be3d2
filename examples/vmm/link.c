/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sections over a socket (link.h): a header of number and length, then the content.
 */
#include "link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct header {
	uint32_t section;
	uint32_t reserved;
	uint64_t length;
};

const char *const link_names[LINK_SECTIONS] = {
	[LINK_HELLO] = "hello",   [LINK_PAGES] = "pages",     [LINK_EARLY] = "early",
	[LINK_UNIT] = "unit",     [LINK_DSA] = "dsa",         [LINK_DEVICE] = "device",
	[LINK_CPU] = "cpu",       [LINK_LIBRARY] = "library", [LINK_VERIFY] = "verify",
	[LINK_LOADED] = "loaded", [LINK_COMMIT] = "commit",   [LINK_RUNNING] = "running",
};

static int send_all(int fd, const void *data, size_t length)
{
	const uint8_t *at = data;

	while (length) {
		ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return -EPIPE;
		at += sent;
		length -= (size_t)sent;
	}
	return 0;
}

static int receive_all(int fd, void *data, size_t length)
{
	uint8_t *at = data;

	while (length) {
		ssize_t got = recv(fd, at, length, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -EPIPE;
		at += got;
		length -= (size_t)got;
	}
	return 0;
}

int link_send(int fd, enum link_section section, const void *data, size_t length)
{
	struct header header = { .section = section, .length = length };
	int result = send_all(fd, &header, sizeof(header));

	return result ? result : send_all(fd, data, length);
}

int link_receive(int fd, size_t limit, enum link_section *section, uint8_t **data, size_t *length)
{
	struct header header;
	int result = receive_all(fd, &header, sizeof(header));

	*data = NULL;
	if (result)
		return result;
	if (!header.section || header.section >= LINK_SECTIONS || header.length > limit)
		return -EPROTO;
	*data = malloc(header.length + 1);
	if (!*data)
		return -ENOMEM;
	result = receive_all(fd, *data, header.length);
	if (result) {
		free(*data);
		*data = NULL;
		return result;
	}
	*section = (enum link_section)header.section;
	*length = header.length;
	return 0;
}

int link_expect(int fd, enum link_section section)
{
	enum link_section got;
	uint8_t *data;
	size_t length;
	int result = link_receive(fd, 4096, &got, &data, &length);

	free(data);
	return result ? result : got == section ? 0 : -EPROTO;
}
