/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DEVICE_FEATURE and the migration data: VFIO's migration protocol, version 2, with the data in
 * messages.
 *
 * Four states matter: running, stop, stop-copy (the state can be read) and resuming (it is being
 * written). Every way between two of them leads through stop. The stream holds config space and
 * pending interrupts, which are the server's, and what the device model adds. It is checked whole
 * before anything is changed.
 *
 * Dirty logging is a property of the guest memory, which endpoints share: the first to start
 * switches it on, the last to stop switches it off, and a page is reported once, by whichever is
 * asked first.
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTION "function"
enum { TAG_CONFIG = 1, TAG_PENDING = 2, TAG_IDENTITY = 3 };

#define LOG_PAGE_SHIFT 12
#define LOADED_MAX     (64u * 1024 * 1024)

/* One guest memory with logging on; a daemon serves one VM, so there is rarely a second. */
struct logged_memory {
	struct logged_memory *next;
	struct viommu_memory *memory;
	unsigned int users;
};

static pthread_mutex_t logged_lock = PTHREAD_MUTEX_INITIALIZER;
static struct logged_memory *logged;

static struct logged_memory **find_logged(struct viommu_memory *memory)
{
	struct logged_memory **at = &logged;

	while (*at && (*at)->memory != memory)
		at = &(*at)->next;
	return at;
}

static int logging_start(struct server_endpoint *e)
{
	struct logged_memory **at;
	int ret = 0;

	if (e->migration.logging)
		return -EALREADY;
	pthread_mutex_lock(&logged_lock);
	at = find_logged(e->memory);
	if (!*at) {
		struct logged_memory *fresh = calloc(1, sizeof(*fresh));

		ret = fresh ? viommu_memory_dirty_start(e->memory, LOG_PAGE_SHIFT) : -ENOMEM;
		if (ret == -EALREADY)
			ret = 0;
		if (ret) {
			free(fresh);
		} else {
			fresh->memory = e->memory;
			*at = fresh;
		}
	}
	if (!ret) {
		(*at)->users++;
		e->migration.logging = true;
	}
	pthread_mutex_unlock(&logged_lock);
	return ret;
}

static int logging_stop(struct server_endpoint *e)
{
	struct logged_memory **at, *done = NULL;

	if (!e->migration.logging)
		return -EINVAL;
	e->migration.logging = false;
	pthread_mutex_lock(&logged_lock);
	at = find_logged(e->memory);
	if (*at && !--(*at)->users) {
		done = *at;
		*at = done->next;
		viommu_memory_dirty_stop(e->memory);
	}
	pthread_mutex_unlock(&logged_lock);
	free(done);
	return 0;
}

static bool can_migrate(const struct server_endpoint *e)
{
	return e->ops->stop && e->ops->start && e->ops->save && e->ops->load;
}

static void forget_saved(struct migration *g)
{
	viommu_stream_writer_destroy(g->writer);
	g->writer = NULL;
	g->saved = NULL;
	g->saved_length = g->saved_position = 0;
}

static void forget_loaded(struct migration *g)
{
	free(g->loaded);
	g->loaded = NULL;
	g->loaded_length = g->loaded_capacity = 0;
}

/* A reset, or the client has gone. */
void migration_forget(struct server_endpoint *e)
{
	if (e->migration.state != WIRE_STATE_RUNNING && can_migrate(e))
		e->ops->start(e->opaque);
	e->migration.state = WIRE_STATE_RUNNING;
	if (e->migration.writer)
		forget_saved(&e->migration);
	forget_loaded(&e->migration);
	if (e->migration.logging)
		logging_stop(e);
}

static void save_function(struct server_endpoint *e, struct viommu_stream_writer *writer)
{
	viommu_stream_begin(writer, SECTION, 0, 1);
	viommu_stream_put_bytes(writer, TAG_IDENTITY, e->config.initial, sizeof(e->config.initial));
	viommu_stream_put_bytes(writer, TAG_CONFIG, e->config.value, sizeof(e->config.value));
	pthread_mutex_lock(&e->irqs.lock);
	viommu_stream_put_bytes(writer, TAG_PENDING, e->irqs.pending,
				e->irqs.count * sizeof(*e->irqs.pending));
	pthread_mutex_unlock(&e->irqs.lock);
	viommu_stream_end(writer);
}

int migration_save(struct server_endpoint *e, struct viommu_stream_writer *writer)
{
	if (server_injected(e, SERVER_FAULT_SAVE))
		return -EIO;
	save_function(e, writer);
	return e->ops->save(e->opaque, writer);
}

static int begin_save(struct server_endpoint *e)
{
	struct migration *g = &e->migration;
	const void *data;
	int ret = viommu_stream_writer_create(&g->writer);

	if (ret)
		return ret;
	ret = migration_save(e, g->writer);
	if (!ret)
		ret = viommu_stream_finish(g->writer, &data, &g->saved_length);
	if (ret) {
		forget_saved(g);
		return ret;
	}
	g->saved = data;
	g->saved_position = 0;
	return 0;
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
	if (!ret && (length != CONFIG_SIZE || memcmp(identity, e->config.initial, length))) {
		snprintf(message, room,
			 "the stream is of a function with another identity or other capabilities");
		return -EINVAL;
	}
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

int migration_load(struct server_endpoint *e, struct viommu_stream_reader *reader, char *message,
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
	if (!ret)
		apply_function(e, config, pending);
	return ret;
}

static int end_load(struct server_endpoint *e)
{
	struct migration *g = &e->migration;
	struct viommu_stream_reader *reader = NULL;
	char message[256] = "the device refused it";
	const void *data = g->loaded ? (const void *)g->loaded : "";
	int ret = viommu_stream_reader_create(data, g->loaded_length, &reader, message,
					      sizeof(message));

	if (!ret)
		ret = migration_load(e, reader, message, sizeof(message));
	if (ret)
		server_log(e, "state refused: %s", message);
	viommu_stream_reader_destroy(reader);
	forget_loaded(g);
	return ret;
}

/* One arc; one of the two ends is STOP. */
static int arc(struct server_endpoint *e, uint32_t from, uint32_t to)
{
	switch (to == WIRE_STATE_STOP ? from : to) {
	case WIRE_STATE_RUNNING:
		if (to == WIRE_STATE_STOP)
			return server_injected(e, SERVER_FAULT_STOP) ? -EIO
								     : e->ops->stop(e->opaque);
		e->ops->start(e->opaque);
		return 0;
	case WIRE_STATE_STOP_COPY:
		if (to != WIRE_STATE_STOP)
			return begin_save(e);
		forget_saved(&e->migration);
		return 0;
	case WIRE_STATE_RESUMING:
		return to == WIRE_STATE_STOP ? end_load(e) : 0;
	default:
		return -EINVAL;
	}
}

int migration_change_state(struct server_endpoint *e, uint32_t to)
{
	struct migration *g = &e->migration;
	int ret;

	if (!can_migrate(e))
		return -EOPNOTSUPP;
	if (g->state == WIRE_STATE_ERROR ||
	    (to != WIRE_STATE_STOP && to != WIRE_STATE_RUNNING && to != WIRE_STATE_STOP_COPY &&
	     to != WIRE_STATE_RESUMING))
		return -EINVAL;
	if (g->state == to)
		return 0;
	if (g->state != WIRE_STATE_STOP) {
		ret = arc(e, g->state, WIRE_STATE_STOP);
		if (ret) {
			/* a half-loaded function is no function: a reset brings it back */
			if (g->state == WIRE_STATE_RESUMING) {
				g->state = WIRE_STATE_ERROR;
				irqs_notice(&e->irqs, SERVER_NOTICE_ERROR);
			}
			return ret;
		}
		g->state = WIRE_STATE_STOP;
	}
	if (to == WIRE_STATE_STOP)
		return 0;
	ret = arc(e, WIRE_STATE_STOP, to);
	if (!ret)
		g->state = to;
	return ret;
}

static int feature_state(struct server_endpoint *e, struct message *m, bool set,
			 struct reply *reply)
{
	struct wire_mig_state state;
	int ret = 0;

	if (set) {
		if (m->length < sizeof(struct wire_device_feature) + sizeof(state))
			return -EINVAL;
		memcpy(&state, m->payload + sizeof(struct wire_device_feature), sizeof(state));
		ret = migration_change_state(e, state.state);
	}
	state = (struct wire_mig_state){ e->migration.state, UINT32_MAX };
	memcpy(reply->data + reply->length, &state, sizeof(state));
	reply->length += sizeof(state);
	return ret;
}

static int feature_logging_start(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct wire_logging_start start;
	size_t fixed = sizeof(struct wire_device_feature) + sizeof(start);
	int ret;

	if (m->length < fixed)
		return -EINVAL;
	memcpy(&start, m->payload + sizeof(struct wire_device_feature), sizeof(start));
	if (start.reserved || !start.page_size || (start.page_size & (start.page_size - 1)) ||
	    m->length - fixed != start.ranges * sizeof(struct wire_range))
		return -EINVAL;
	ret = logging_start(e);
	if (ret)
		return ret;
	/* the ranges are a hint; all writes are logged */
	start.page_size = 1u << LOG_PAGE_SHIFT;
	memcpy(reply->data, m->payload, m->length);
	memcpy(reply->data + sizeof(struct wire_device_feature), &start, sizeof(start));
	reply->length = m->length;
	return 0;
}

/* OR the bits of 4096-byte pages into bits of larger ones. */
static void coarsen(const uint64_t *fine, uint64_t pages, uint64_t *coarse, unsigned int shift)
{
	for (uint64_t page = 0; page < pages; page++)
		if (fine[page / 64] >> (page % 64) & 1)
			coarse[(page >> shift) / 64] |= UINT64_C(1) << ((page >> shift) % 64);
}

static int query(struct server_endpoint *e, const struct wire_logging_report *report,
		 uint8_t *bitmap, size_t bytes)
{
	uint64_t pages = report->length >> LOG_PAGE_SHIFT;
	unsigned int shift = (unsigned int)__builtin_ctzll(report->page_size) - LOG_PAGE_SHIFT;
	uint64_t *fine = calloc((pages + 63) / 64, 8), *coarse = calloc(1, bytes);
	int ret = fine && coarse ? 0 : -ENOMEM;

	if (!ret)
		ret = viommu_memory_dirty_query(e->memory, report->iova, report->length, fine,
						false);
	if (!ret) {
		coarsen(fine, pages, coarse, shift);
		memcpy(bitmap, coarse, bytes);
	}
	free(fine);
	free(coarse);
	return ret;
}

static int feature_logging_report(struct server_endpoint *e, struct message *m, uint32_t argsz,
				  struct reply *reply)
{
	struct wire_logging_report report;
	size_t fixed = sizeof(struct wire_device_feature) + sizeof(report), bytes;
	int ret = 0;

	if (m->length != fixed || !e->migration.logging)
		return -EINVAL;
	memcpy(&report, m->payload + sizeof(struct wire_device_feature), sizeof(report));
	if (report.page_size < (1u << LOG_PAGE_SHIFT) ||
	    (report.page_size & (report.page_size - 1)) || !report.length ||
	    ((report.iova | report.length) & ((1u << LOG_PAGE_SHIFT) - 1)) ||
	    report.length >> LOG_PAGE_SHIFT > SERVER_MAX_TRANSFER * UINT64_C(8) ||
	    report.iova + (report.length - 1) < report.iova)
		return -EINVAL;
	bytes = ((report.length - 1) / report.page_size / 64 + 1) * 8;
	memcpy(reply->data + reply->length, &report, sizeof(report));
	reply->length += sizeof(report);
	argsz = argsz < fixed + bytes ? 0 : argsz;
	if (argsz) {
		ret = query(e, &report, reply->data + reply->length, bytes);
		reply->length += bytes;
	}
	((struct wire_device_feature *)(void *)reply->data)->argsz = (uint32_t)(fixed + bytes);
	return ret;
}

/* Which of GET and SET a feature has, 0: we do not have it. */
static uint32_t methods(const struct server_endpoint *e, uint32_t index)
{
	switch (index) {
	case WIRE_FEATURE_MIGRATION:
		return can_migrate(e) ? WIRE_FEATURE_GET : 0;
	case WIRE_FEATURE_MIG_DEVICE_STATE:
		return can_migrate(e) ? WIRE_FEATURE_GET | WIRE_FEATURE_SET : 0;
	case WIRE_FEATURE_DMA_LOGGING_START:
	case WIRE_FEATURE_DMA_LOGGING_STOP:
		return e->memory ? WIRE_FEATURE_SET : 0;
	case WIRE_FEATURE_DMA_LOGGING_REPORT:
		return e->memory ? WIRE_FEATURE_GET : 0;
	default:
		return 0;
	}
}

int handle_device_feature(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct wire_device_feature feature;
	uint32_t index, method, argsz;
	uint64_t flags = WIRE_MIGRATION_STOP_COPY;
	int ret = 0;

	memcpy(&feature, m->payload, sizeof(feature));
	index = feature.flags & WIRE_FEATURE_INDEX;
	method = feature.flags & (WIRE_FEATURE_GET | WIRE_FEATURE_SET);
	argsz = feature.argsz;
	if (feature.flags >> 19)
		return -EINVAL;
	if (!methods(e, index) || (method & ~methods(e, index)))
		return -ENOTTY;
	feature.argsz = (uint32_t)m->length;
	memcpy(reply->data, &feature, sizeof(feature));
	reply->length = sizeof(feature);
	if (feature.flags & WIRE_FEATURE_PROBE)
		return 0;
	if (method != WIRE_FEATURE_GET && method != WIRE_FEATURE_SET)
		return -EINVAL;
	switch (index) {
	case WIRE_FEATURE_MIGRATION:
		memcpy(reply->data + reply->length, &flags, sizeof(flags));
		reply->length += sizeof(flags);
		break;
	case WIRE_FEATURE_MIG_DEVICE_STATE:
		ret = feature_state(e, m, method == WIRE_FEATURE_SET, reply);
		break;
	case WIRE_FEATURE_DMA_LOGGING_START:
		return feature_logging_start(e, m, reply);
	case WIRE_FEATURE_DMA_LOGGING_STOP:
		return logging_stop(e);
	default:
		return feature_logging_report(e, m, argsz, reply);
	}
	feature.argsz = (uint32_t)reply->length;
	memcpy(reply->data, &feature, sizeof(feature));
	return ret;
}

int handle_mig_data_read(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct migration *g = &e->migration;
	struct wire_mig_data data;
	size_t left;

	memcpy(&data, m->payload, sizeof(data));
	if (g->state != WIRE_STATE_STOP_COPY || data.size > e->max_transfer ||
	    data.argsz < sizeof(data) + data.size)
		return -EINVAL;
	left = g->saved_length - g->saved_position;
	data.size = data.size < left ? data.size : (uint32_t)left;
	data.argsz = (uint32_t)sizeof(data) + data.size;
	memcpy(reply->data, &data, sizeof(data));
	memcpy(reply->data + sizeof(data), g->saved + g->saved_position, data.size);
	reply->length = sizeof(data) + data.size;
	g->saved_position += data.size;
	return 0;
}

int handle_mig_data_write(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct migration *g = &e->migration;
	struct wire_mig_data data;

	memcpy(&data, m->payload, sizeof(data));
	if (g->state != WIRE_STATE_RESUMING || m->length - sizeof(data) != data.size)
		return -EINVAL;
	if (data.size > LOADED_MAX - g->loaded_length)
		return -EFBIG;
	if (g->loaded_length + data.size > g->loaded_capacity) {
		size_t capacity = (g->loaded_length + data.size) * 2;
		uint8_t *grown = realloc(g->loaded, capacity);

		if (!grown)
			return -ENOMEM;
		g->loaded = grown;
		g->loaded_capacity = capacity;
	}
	memcpy(g->loaded + g->loaded_length, m->payload + sizeof(data), data.size);
	g->loaded_length += data.size;
	return 0;
}
