/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both ends of the control socket. Requests are short and clients few: one thread, one poll set, a
 * bounded line per client. A client that does not read its replies is dropped.
 */
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS		16
#define LINE_MAX_LENGTH 65536

struct client {
	int fd;
	char *line;
	size_t length;
};

struct control {
	char *path;
	int listen_fd, wake_fd;
	pthread_t thread;
	atomic_bool stopping;
	json_t *(*answer)(void *opaque, const json_t *request);
	void *opaque;
	struct client clients[CLIENTS];
};

json_t *control_error(const char *format, ...)
{
	char text[1280];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return json_pack("{s:b, s:s}", "ok", 0, "error", text);
}

static int send_line(int fd, const json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);
	size_t length, done = 0;

	if (!text)
		return -ENOMEM;
	length = strlen(text);
	text[length++] = '\n'; /* in place of the NUL */
	while (done < length) {
		ssize_t sent = send(fd, text + done, length - done, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			break;
		done += (size_t)sent;
	}
	free(text);
	return done == length ? 0 : -ECONNRESET;
}

static void drop(struct client *client)
{
	close(client->fd);
	free(client->line);
	*client = (struct client){ .fd = -1 };
}

static int answer_line(struct control *c, struct client *client, size_t length)
{
	json_t *request = json_loadb(client->line, length, JSON_REJECT_DUPLICATES, NULL), *reply;
	int ret;

	reply = json_is_object(request) ? c->answer(c->opaque, request)
					: control_error("a request is one JSON object on one line");
	ret = reply ? send_line(client->fd, reply) : -ENOMEM;
	json_decref(request);
	json_decref(reply);
	return ret;
}

static void read_client(struct control *c, struct client *client)
{
	ssize_t got = recv(client->fd, client->line + client->length,
			   LINE_MAX_LENGTH - client->length, 0);
	char *end;

	if (got <= 0) {
		drop(client);
		return;
	}
	client->length += (size_t)got;
	while ((end = memchr(client->line, '\n', client->length))) {
		size_t used = (size_t)(end - client->line) + 1;

		if (answer_line(c, client, used - 1)) {
			drop(client);
			return;
		}
		memmove(client->line, client->line + used, client->length - used);
		client->length -= used;
	}
	if (client->length == LINE_MAX_LENGTH)
		drop(client);
}

static void accept_client(struct control *c)
{
	struct timeval patience = { .tv_sec = 5 };
	int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	for (unsigned int i = 0; i < CLIENTS; i++) {
		if (c->clients[i].fd >= 0)
			continue;
		c->clients[i].line = malloc(LINE_MAX_LENGTH);
		if (!c->clients[i].line)
			break;
		c->clients[i].fd = fd;
		return;
	}
	close(fd);
}

static void *control_thread(void *opaque)
{
	struct control *c = opaque;
	struct pollfd fds[CLIENTS + 2];
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	while (!atomic_load(&c->stopping)) {
		/* The new client before the old: who came after others left finds their places. */
		fds[0] = (struct pollfd){ .fd = c->listen_fd, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = c->wake_fd, .events = POLLIN };
		for (unsigned int i = 0; i < CLIENTS; i++)
			fds[i + 2] = (struct pollfd){ .fd = c->clients[i].fd, .events = POLLIN };
		if (poll(fds, CLIENTS + 2, -1) <= 0)
			continue;
		for (unsigned int i = 0; i < CLIENTS; i++)
			if (fds[i + 2].revents)
				read_client(c, &c->clients[i]);
		if (fds[0].revents)
			accept_client(c);
	}
	return NULL;
}

static int bind_path(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat status;
	int fd, ret = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	/* Connecting to somebody's file is refused like connecting to a socket that a dead daemon left. */
	if (!lstat(path, &status) && !S_ISSOCK(status.st_mode))
		return -EEXIST;
	fd = control_connect(path);
	if (fd >= 0) {
		close(fd);
		return -EADDRINUSE;
	}
	if (fd == -ECONNREFUSED)
		unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, CLIENTS))
		ret = -errno;
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int control_create(const char *path, json_t *(*answer)(void *opaque, const json_t *request),
		   void *opaque, struct control **control)
{
	struct control *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return -ENOMEM;
	for (unsigned int i = 0; i < CLIENTS; i++)
		c->clients[i].fd = -1;
	c->answer = answer;
	c->opaque = opaque;
	c->path = strdup(path);
	c->listen_fd = bind_path(path);
	c->wake_fd = eventfd(0, EFD_CLOEXEC);
	ret = c->listen_fd < 0 ? c->listen_fd : c->wake_fd < 0 || !c->path ? -ENOMEM : 0;
	if (!ret)
		ret = -pthread_create(&c->thread, NULL, control_thread, c);
	if (!ret) {
		*control = c;
		return 0;
	}
	if (c->listen_fd >= 0) {
		close(c->listen_fd);
		unlink(path);
	}
	if (c->wake_fd >= 0)
		close(c->wake_fd);
	free(c->path);
	free(c);
	return ret;
}

void control_destroy(struct control *c)
{
	static const uint64_t one = 1;

	if (!c)
		return;
	atomic_store(&c->stopping, true);
	(void)!write(c->wake_fd, &one, sizeof(one));
	pthread_join(c->thread, NULL);
	for (unsigned int i = 0; i < CLIENTS; i++)
		if (c->clients[i].fd >= 0)
			drop(&c->clients[i]);
	close(c->listen_fd);
	close(c->wake_fd);
	unlink(c->path);
	free(c->path);
	free(c);
}

int control_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 30 };
	int fd, ret;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

json_t *control_ask(int fd, const json_t *request)
{
	size_t length = 0, room = 4096;
	char *text = malloc(room);
	json_t *reply = NULL;

	if (!text || send_line(fd, request))
		goto out;
	while (!length || text[length - 1] != '\n') {
		ssize_t got;

		if (length == room) {
			char *grown = room < (16u << 20) ? realloc(text, room * 2) : NULL;

			if (!grown)
				goto out;
			text = grown;
			room *= 2;
		}
		got = recv(fd, text + length, room - length, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			goto out;
		length += (size_t)got;
	}
	reply = json_loadb(text, length, 0, NULL);
	if (!json_is_object(reply)) {
		json_decref(reply);
		reply = NULL;
	}
out:
	free(text);
	return reply;
}

json_t *control_ask_command(int fd, const char *command)
{
	json_t *request = json_pack("{s:s}", "command", command), *reply;

	if (!request)
		return NULL;
	reply = control_ask(fd, request);
	json_decref(request);
	return reply;
}
