/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A function's states, as VFIO's migration protocol version 2 has them, and its state as one stream.
 *
 * The stream holds config space and pending interrupts, which are the server's, and what the device model adds. It is
 * checked whole before anything is changed, or what was changed is put back. How the stream gets to the client and back, in
 * pieces and before the function stops, is transfer.c's.
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECTION "function"
enum { TAG_CONFIG = 1, TAG_PENDING = 2, TAG_IDENTITY = 3 };

bool migration_possible(const struct server_endpoint *e)
{
	return e->ops->stop && e->ops->start && e->ops->save && e->ops->load;
}

bool server_endpoint_migratable(const struct server_endpoint *e)
{
	return migration_possible(e);
}

/* A reset, or the client has gone. */
void migration_forget(struct server_endpoint *e)
{
	struct migration *g = &e->migration;

	if (g->state == WIRE_STATE_PRE_COPY)
		transfer_end(e);
	else if (g->state != WIRE_STATE_RUNNING && migration_possible(e))
		e->ops->start(e->opaque);
	g->state = WIRE_STATE_RUNNING;
	transfer_forget(e);
	dirty_forget(e);
}

static int save(struct server_endpoint *e, struct viommu_stream_writer *writer)
{
	viommu_stream_begin(writer, SECTION, 0, 1);
	viommu_stream_put_bytes(writer, TAG_IDENTITY, e->config.initial, sizeof(e->config.initial));
	viommu_stream_put_bytes(writer, TAG_CONFIG, e->config.value, sizeof(e->config.value));
	pthread_mutex_lock(&e->irqs.lock);
	viommu_stream_put_bytes(writer, TAG_PENDING, e->irqs.pending,
				e->irqs.count * sizeof(*e->irqs.pending));
	pthread_mutex_unlock(&e->irqs.lock);
	viommu_stream_end(writer);
	return e->ops->save(e->opaque, writer);
}

int migration_save(struct server_endpoint *e, struct viommu_stream_writer *writer)
{
	return server_injected(e, SERVER_FAULT_SAVE) ? -EIO : save(e, writer);
}

int migration_check_identity(const struct server_endpoint *e, const void *identity, size_t length,
			     char *message, size_t room)
{
	if (length == CONFIG_SIZE && !memcmp(identity, e->config.initial, length))
		return 0;
	snprintf(message, room,
		 "the stream is of a function with another identity or other capabilities");
	return -EINVAL;
}

/* The function's own section: the same function, and lengths that fit. */
static int check_function(struct server_endpoint *e, struct viommu_stream_reader *reader,
			  const void **config, const void **pending, char *message, size_t room)
{
	const void *identity;
	uint32_t version;
	size_t length;
	int ret = viommu_stream_open(reader, SECTION, 0, 1, &version);

	if (!ret)
		ret = viommu_stream_get_bytes(reader, TAG_IDENTITY, &identity, &length);
	if (!ret && migration_check_identity(e, identity, length, message, room))
		return -EINVAL;
	if (!ret)
		ret = viommu_stream_get_bytes(reader, TAG_CONFIG, config, &length);
	if (!ret && length != CONFIG_SIZE)
		ret = -EBADMSG;
	if (!ret)
		ret = viommu_stream_get_bytes(reader, TAG_PENDING, pending, &length);
	if (!ret && length != e->irqs.count * sizeof(*e->irqs.pending))
		ret = -EBADMSG;
	if (ret)
		snprintf(message, room, "no usable section \"%s\" in the stream", SECTION);
	return ret;
}

static void apply_function(struct server_endpoint *e, const uint8_t *config, const uint8_t *pending)
{
	for (unsigned int i = 0; i < CONFIG_SIZE; i++) {
		uint8_t mask = e->config.writable[i] | e->config.clears[i];

		e->config.value[i] = (uint8_t)((e->config.initial[i] & ~mask) | (config[i] & mask));
	}
	pthread_mutex_lock(&e->irqs.lock);
	for (unsigned int i = 0; i < e->irqs.count; i++)
		e->irqs.pending[i] = pending[i] != 0;
	pthread_mutex_unlock(&e->irqs.lock);
	server_config_changed(e);
}

static int load(struct server_endpoint *e, struct viommu_stream_reader *reader, char *message,
		size_t length)
{
	const void *config, *pending;
	int ret = check_function(e, reader, &config, &pending, message, length);

	if (!ret && server_injected(e, SERVER_FAULT_LOAD)) {
		snprintf(message, length, "a fault was injected");
		ret = -EIO;
	}
	if (!ret)
		ret = e->ops->load(e->opaque, reader, message, length);
	/* Only now it is known what nobody asked for: the source had something that would be lost here. */
	if (!ret)
		ret = viommu_stream_check_read(reader, message, length);
	if (!ret)
		apply_function(e, config, pending);
	return ret;
}

/* The model as it is, to be put back. */
static int keep(struct server_endpoint *e, struct viommu_stream_writer **writer,
		struct viommu_stream_reader **reader)
{
	const void *data;
	size_t length;
	int ret = viommu_stream_writer_create(writer);

	if (!ret)
		ret = save(e, *writer);
	if (!ret)
		ret = viommu_stream_finish(*writer, &data, &length);
	return ret ? ret : viommu_stream_reader_create(data, length, reader, NULL, 0);
}

int migration_load(struct server_endpoint *e, struct viommu_stream_reader *reader, char *message,
		   size_t length)
{
	struct viommu_stream_writer *writer = NULL;
	struct viommu_stream_reader *before = NULL;
	char ignored[256];
	int ret = 0;

	/* What a client writes piece by piece ends in ERROR when it is refused: nothing to put back. */
	if (e->migration.state != WIRE_STATE_RESUMING) {
		ret = keep(e, &writer, &before);
		if (ret)
			snprintf(message, length, "the present state cannot be kept: %s", strerror(-ret));
	}
	if (!ret) {
		ret = load(e, reader, message, length);
		if (ret && before)
			e->ops->load(e->opaque, before, ignored, sizeof(ignored));
	}
	viommu_stream_reader_destroy(before);
	viommu_stream_writer_destroy(writer);
	return ret;
}

static int stop(struct server_endpoint *e)
{
	return server_injected(e, SERVER_FAULT_STOP) ? -EIO : e->ops->stop(e->opaque);
}

/* PRE_COPY to STOP_COPY: the transfer goes on. What cannot be saved runs on. */
static int stop_copying(struct server_endpoint *e)
{
	int ret = stop(e);

	if (ret)
		return ret;
	ret = transfer_begin_stopped(e);
	if (ret) {
		transfer_end(e);
		e->ops->start(e->opaque);
		e->migration.state = WIRE_STATE_RUNNING;
	}
	return ret;
}

/* STOP to STOP_COPY. */
static int begin_copying(struct server_endpoint *e)
{
	int ret;

	transfer_forget(e);
	ret = transfer_begin_stopped(e);
	if (ret)
		transfer_end(e);
	return ret;
}

/* One arc of the protocol's, between neighbours. */
static int arc(struct server_endpoint *e, uint32_t from, uint32_t to)
{
	switch (from) {
	case WIRE_STATE_RUNNING:
		return to == WIRE_STATE_STOP ? stop(e) : transfer_begin_precopy(e);
	case WIRE_STATE_PRE_COPY:
		if (to == WIRE_STATE_STOP_COPY)
			return stop_copying(e);
		transfer_end(e);
		return 0;
	case WIRE_STATE_STOP:
		if (to == WIRE_STATE_RUNNING)
			e->ops->start(e->opaque);
		if (to == WIRE_STATE_STOP_COPY)
			return begin_copying(e);
		return 0;
	case WIRE_STATE_RESUMING:
		return transfer_load(e);
	default: /* STOP_COPY to STOP */
		transfer_end(e);
		return 0;
	}
}

/* The next state on the shortest way; saving states are never passed through. */
static uint32_t next_state(uint32_t from, uint32_t to)
{
	switch (from) {
	case WIRE_STATE_RUNNING:
		return to == WIRE_STATE_PRE_COPY ? to : WIRE_STATE_STOP;
	case WIRE_STATE_PRE_COPY:
		return to == WIRE_STATE_STOP_COPY ? to : WIRE_STATE_RUNNING;
	case WIRE_STATE_STOP:
		return to == WIRE_STATE_PRE_COPY ? WIRE_STATE_RUNNING : to;
	default:
		return WIRE_STATE_STOP;
	}
}

static bool reachable(uint32_t from, uint32_t to)
{
	switch (to) {
	case WIRE_STATE_STOP:
	case WIRE_STATE_RUNNING:
	case WIRE_STATE_STOP_COPY:
	case WIRE_STATE_RESUMING:
		return from != WIRE_STATE_ERROR;
	case WIRE_STATE_PRE_COPY:
		return from != WIRE_STATE_ERROR && from != WIRE_STATE_STOP_COPY;
	default:
		return false;
	}
}

int migration_change_state(struct server_endpoint *e, uint32_t to)
{
	struct migration *g = &e->migration;

	if (!migration_possible(e))
		return -EOPNOTSUPP;
	if (!reachable(g->state, to))
		return -EINVAL;
	while (g->state != to) {
		uint32_t next = next_state(g->state, to);
		int ret = arc(e, g->state, next);

		if (ret) {
			/* a half-loaded function is no function: a reset brings it back */
			if (g->state == WIRE_STATE_RESUMING) {
				g->state = WIRE_STATE_ERROR;
				irqs_notice(&e->irqs, SERVER_NOTICE_ERROR);
			}
			return ret;
		}
		g->state = next;
	}
	return 0;
}
