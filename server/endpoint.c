/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An endpoint's life: listen, serve one client after the other, end.
 *
 * The thread reads what the client sent, answers all of it, then sends what we have to say, then
 * sleeps. When the client goes, by its own will or by ours, the model is reset first (its DMA
 * stops), then its memory goes.
 */
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Lines the operator gets about one client. */
#define LOG_LIMIT 32
/* Messages answered before anything else is looked at. */
#define ANSWER_AT_ONCE 64

void server_log(struct server_endpoint *e, const char *format, ...)
{
	char text[512];
	va_list args;

	if (!e->log || e->logged > LOG_LIMIT)
		return;
	if (e->logged++ == LOG_LIMIT) {
		e->log(e->log_opaque, e->name, "more of the same is not shown");
		return;
	}
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	e->log(e->log_opaque, e->name, text);
}

void server_wake(struct server_endpoint *e)
{
	static const uint64_t one = 1;

	(void)!write(e->wake_fd, &one, sizeof(one));
}

static void clear_wake(struct server_endpoint *e)
{
	uint64_t count;

	(void)!read(e->wake_fd, &count, sizeof(count));
}

/* Config space was written or reset: tell who wants to know what that means. */
void server_config_changed(struct server_endpoint *e)
{
	uint32_t now = config_features(&e->config), before = atomic_exchange(&e->features, now);

	for (unsigned int bar = 0; bar < SERVER_BARS; bar++)
		atomic_store_explicit(&e->bar_address[bar], config_bar_address(&e->config, bar),
				      memory_order_release);
	if (now == before)
		return;
	if (e->ops->features)
		e->ops->features(e->opaque, now);
	if (now & ~before & SERVER_FEATURE_BUS_MASTER)
		requests_probe(e);
}

/*
 * Answer what has arrived, so many messages at once: a client that never stops sending must not
 * keep the others of this process from us. 0: all done; 1: there is more; negative: the connection
 * is over.
 */
static int answer(struct server_endpoint *e)
{
	for (unsigned int answered = 0; answered < ANSWER_AT_ONCE;) {
		struct message message;
		int ret = connection_next(&e->connection, &message);

		if (ret > 0) {
			ret = server_dispatch(e, &message);
			connection_release(&e->connection, &message);
			answered++;
		} else if (!ret) {
			ret = connection_fill(&e->connection);
			if (!ret)
				return 0;
		}
		if (ret < 0)
			return ret;
		if (atomic_load_explicit(&e->stopping, memory_order_relaxed))
			return -ECANCELED;
	}
	return 1;
}

/* Serve the present client until it goes. */
static int serve(struct server_endpoint *e)
{
	int64_t greeting = connection_now() + SERVER_PATIENCE_MS;

	for (;;) {
		int timeout, ret = answer(e);
		bool more = ret > 0, woken;

		if (!ret)
			ret = requests_send(e);
		if (ret < 0)
			return ret;
		timeout = requests_timeout(e);
		if (!e->versioned) {
			int64_t left = greeting - connection_now();

			if (left <= 0)
				return -ETIMEDOUT;
			timeout = (int)left;
		}
		if (more)
			timeout = 0;
		ret = connection_wait(&e->connection, timeout, &woken);
		if (ret)
			return ret;
		if (woken) {
			clear_wake(e);
			server_run_calls(e);
		}
		if (atomic_load(&e->stopping) || e->disconnect)
			return -ECANCELED;
	}
}

static void set_client(struct server_endpoint *e, int fd)
{
	pthread_mutex_lock(&e->client_lock);
	e->client_fd = fd;
	pthread_mutex_unlock(&e->client_lock);
}

static void client_gone(struct server_endpoint *e, int reason)
{
	atomic_store(&e->connected, false);
	if (reason == -EBADMSG || reason == -ETIMEDOUT || reason == -ECONNABORTED) {
		SERVER_COUNT(e, dropped);
		server_log(e, "client dropped: %s",
			   reason == -EBADMSG ? "its messages cannot be followed"
			   : reason == -ETIMEDOUT
				   ? "it left a message unfinished or a reply untaken"
				   : "it broke the protocol");
	}
	server_reset(e);
	irqs_close(&e->irqs);
	e->requests.outstanding = false;
	dma_unmap_all(e);
	set_client(e, -1);
	connection_close(&e->connection);
}

void server_serve_client(struct server_endpoint *e, int fd)
{
	e->versioned = e->disconnect = false;
	e->logged = 0;
	e->max_transfer = SERVER_MAX_TRANSFER;
	if (connection_open(&e->connection, fd, e->wake_fd))
		return;
	set_client(e, fd);
	SERVER_COUNT(e, connections);
	atomic_store(&e->connected, true);
	client_gone(e, serve(e));
}

static void *endpoint_thread(void *opaque)
{
	struct server_endpoint *e = opaque;
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	while (!atomic_load(&e->stopping)) {
		struct pollfd fds[2] = { { .fd = e->listen_fd, .events = POLLIN },
					 { .fd = e->wake_fd, .events = POLLIN } };
		int fd;

		poll(fds, 2, -1);
		if (fds[1].revents & POLLIN) {
			clear_wake(e);
			server_run_calls(e);
		}
		if (!(fds[0].revents & POLLIN))
			continue;
		fd = accept4(e->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			server_serve_client(e, fd);
		else if (errno == EMFILE || errno == ENFILE)
			poll(NULL, 0, 100); /* out of descriptors: others may give some back */
	}
	return NULL;
}

/* A socket nobody listens on is left over from a killed daemon; anything else is not ours to
 * remove. */
static int remove_stale(const char *path, const struct sockaddr_un *address)
{
	struct stat status;
	int fd, ret;

	if (lstat(path, &status))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	ret = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	ret = ret && errno == ECONNREFUSED ? 0 : -EADDRINUSE;
	close(fd);
	return ret ? ret : unlink(path) ? -errno : 0;
}

static int listen_at(struct server_endpoint *e)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int ret;

	if (strlen(e->path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, e->path);
	ret = remove_stale(e->path, &address);
	if (ret)
		return ret;
	e->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (e->listen_fd < 0)
		return -errno;
	if (bind(e->listen_fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(e->listen_fd, 4)) {
		ret = -errno;
		close(e->listen_fd);
		e->listen_fd = -1;
	}
	return ret;
}

static void free_endpoint(struct server_endpoint *e)
{
	if (e->listen_fd >= 0) {
		close(e->listen_fd);
		unlink(e->path);
	}
	if (e->wake_fd >= 0)
		close(e->wake_fd);
	irqs_destroy(&e->irqs);
	pthread_mutex_destroy(&e->requests.lock);
	pthread_mutex_destroy(&e->client_lock);
	pthread_mutex_destroy(&e->call_lock);
	pthread_cond_destroy(&e->call_done);
	free(e->reply);
	free(e->name);
	free(e->path);
	free(e);
}

int server_endpoint_create(const struct server_endpoint_config *config,
			   struct server_endpoint **endpoint)
{
	struct server_endpoint *e = calloc(1, sizeof(*e));
	int ret;

	if (!e)
		return -ENOMEM;
	e->listen_fd = e->client_fd = e->connection.fd = -1;
	e->ops = config->ops;
	e->opaque = config->opaque;
	e->memory = config->memory;
	e->tracker = config->memory ? config->tracker : NULL;
	e->feed = config->feed && config->memory;
	e->mute = config->mute;
	e->log = config->log;
	e->log_opaque = config->log_opaque;
	e->migration.state = WIRE_STATE_RUNNING;
	pthread_mutex_init(&e->client_lock, NULL);
	pthread_mutex_init(&e->requests.lock, NULL);
	pthread_mutex_init(&e->call_lock, NULL);
	pthread_cond_init(&e->call_done, NULL);
	e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = e->wake_fd < 0 ? -errno : 0;
	e->name = strdup(config->name);
	e->path = strdup(config->path);
	e->reply = malloc(SERVER_MAX_MESSAGE);
	if (irqs_init(&e->irqs, config->function->msix_vectors) || !e->name || !e->path ||
	    !e->reply)
		ret = -ENOMEM;
	if (!ret)
		ret = config_init(&e->config, config->function);
	if (!ret && (config->function->intx || config->function->msi_vectors) && !config->ops->interrupts)
		ret = -EINVAL;
	if (!ret)
		ret = listen_at(e);
	if (ret) {
		free_endpoint(e);
		return ret;
	}
	if (e->ops->attach)
		e->ops->attach(e->opaque, e);
	*endpoint = e;
	return 0;
}

int server_endpoint_start(struct server_endpoint *e)
{
	int ret = pthread_create(&e->thread, NULL, endpoint_thread, e);

	e->started = !ret;
	return -ret;
}

void server_endpoint_destroy(struct server_endpoint *e)
{
	if (!e)
		return;
	atomic_store(&e->stopping, true);
	server_wake(e);
	pthread_mutex_lock(&e->client_lock);
	if (e->client_fd >= 0)
		shutdown(e->client_fd, SHUT_RDWR); /* ends a send that waits for the client */
	pthread_mutex_unlock(&e->client_lock);
	if (e->started)
		pthread_join(e->thread, NULL);
	if (e->ops->detach)
		e->ops->detach(e->opaque);
	free_endpoint(e);
}

uint32_t server_endpoint_features(const struct server_endpoint *e)
{
	return atomic_load(&e->features);
}

uint64_t server_endpoint_bar_address(const struct server_endpoint *e, unsigned int bar)
{
	return bar < SERVER_BARS ? atomic_load(&e->bar_address[bar]) : 0;
}

bool server_endpoint_connected(const struct server_endpoint *e)
{
	return atomic_load(&e->connected);
}

void server_endpoint_statistics(const struct server_endpoint *e, struct server_statistics *s)
{
	*s = (struct server_statistics){
		.connections = atomic_load(&e->statistics.connections),
		.requests = atomic_load(&e->statistics.requests),
		.errors = atomic_load(&e->statistics.errors),
		.dropped = atomic_load(&e->statistics.dropped),
		.region_reads = atomic_load(&e->statistics.region_reads),
		.region_writes = atomic_load(&e->statistics.region_writes),
		.interrupts = atomic_load(&e->statistics.interrupts),
		.messages = atomic_load(&e->statistics.messages),
		.maps = atomic_load(&e->statistics.maps),
		.mapped_bytes = atomic_load(&e->statistics.mapped_bytes),
	};
}
