/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The function's stream on its way through MIG_DATA_READ and MIG_DATA_WRITE.
 *
 * In STOP_COPY the client reads the stream of migration.c. A client that begins in PRE_COPY reads *parcels* first, while the
 * function runs: one with the function's identity, so that a destination refuses what cannot fit before anything has stopped, and
 * then what the model has to give early. A model with much state goes on giving parcels after it has stopped, before the
 * stream: they are made as they are read and taken as they are written, so neither side holds more than a few of them. A parcel is a
 * header and a small stream of its own, so each is checked as it arrives. All that was read, in order, is what the destination wants
 * written.
 */
#include "internal.h"

#include <errno.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define PARCEL_MAGIC "viommupc"
#define PARCEL_HEADER 16
#define SECTION_IDENTITY "identity"
#define SECTION_EARLY	 "early"
#define TAG_CONTENT 1
#define PIECE  (64u * 1024)
/* More than the largest parcel; a whole stream may have LOADED_MAX. */
#define PARCEL_MAX   (1024u * 1024)
#define LOADED_MAX   (64u * 1024 * 1024)

static int append(struct buffer *b, const void *data, size_t length, size_t limit)
{
	if (length > limit - b->length)
		return -EFBIG;
	if (b->start && b->start + b->length + length > b->capacity) {
		memmove(b->data, b->data + b->start, b->length);
		b->start = 0;
	}
	if (b->length + length > b->capacity) {
		size_t capacity = (b->length + length) * 2;
		uint8_t *grown = realloc(b->data, capacity);

		if (!grown)
			return -ENOMEM;
		b->data = grown;
		b->capacity = capacity;
	}
	if (length)
		memcpy(b->data + b->start + b->length, data, length);
	b->length += length;
	return 0;
}

static void drop(struct buffer *b, size_t length)
{
	b->start += length;
	b->length -= length;
}

static void forget(struct buffer *b)
{
	free(b->data);
	*b = (struct buffer){ 0 };
}

void transfer_forget(struct server_endpoint *e)
{
	struct migration *g = &e->migration;

	forget(&g->out);
	forget(&g->in);
	g->parcels = 0;
	g->refused = 0;
	g->pieces = g->complete = false;
}

static int pack(struct server_endpoint *e, const char *section, uint32_t number, const void *data,
		size_t length)
{
	struct viommu_stream_writer *writer;
	const void *stream;
	size_t size;
	int ret = viommu_stream_writer_create(&writer);

	if (ret)
		return ret;
	viommu_stream_begin(writer, section, number, 1);
	viommu_stream_put_bytes(writer, TAG_CONTENT, data, length);
	viommu_stream_end(writer);
	ret = viommu_stream_finish(writer, &stream, &size);
	if (!ret) {
		uint8_t header[PARCEL_HEADER];
		uint64_t wire = htole64(size);

		memcpy(header, PARCEL_MAGIC, 8);
		memcpy(header + 8, &wire, 8);
		ret = append(&e->migration.out, header, sizeof(header), SIZE_MAX);
		ret = ret ? ret : append(&e->migration.out, stream, size, SIZE_MAX);
	}
	viommu_stream_writer_destroy(writer);
	return ret;
}

/* Who the function is: config space as it was built, and what the model says of itself. */
static int pack_identity(struct server_endpoint *e)
{
	uint8_t bytes[CONFIG_SIZE + SERVER_IDENTITY];
	size_t more = e->ops->identity ? e->ops->identity(e->opaque, bytes + CONFIG_SIZE, SERVER_IDENTITY) : 0;

	memcpy(bytes, e->config.initial, CONFIG_SIZE);
	return pack(e, SECTION_IDENTITY, 0, bytes, CONFIG_SIZE + more);
}

static int check_identity(struct server_endpoint *e, const uint8_t *bytes, size_t length, char *message, size_t room)
{
	bool more = length > CONFIG_SIZE;
	int ret = migration_check_identity(e, bytes, more && e->ops->fits ? CONFIG_SIZE : length, message, room);

	return ret || !more ? ret : e->ops->fits(e->opaque, bytes + CONFIG_SIZE, length - CONFIG_SIZE, message, room);
}

static int pieces(struct server_endpoint *e, bool on)
{
	int ret = e->ops->pieces(e->opaque, on);

	e->migration.pieces = on && !ret;
	return ret;
}

int transfer_begin_precopy(struct server_endpoint *e)
{
	int ret;

	transfer_forget(e);
	ret = pack_identity(e);
	if (!ret && e->ops->pieces)
		ret = pieces(e, true);
	if (ret == -EOPNOTSUPP)
		ret = 0;
	if (ret)
		transfer_forget(e);
	return ret;
}

/* The client reads no more. */
void transfer_end(struct server_endpoint *e)
{
	if (e->migration.pieces)
		pieces(e, false);
	transfer_forget(e);
}

/* The end of what is read: the function's own stream. */
static int finish(struct server_endpoint *e)
{
	struct viommu_stream_writer *writer;
	const void *data;
	size_t length;
	int ret = viommu_stream_writer_create(&writer);

	if (ret)
		return ret;
	ret = migration_save(e, writer);
	if (!ret)
		ret = viommu_stream_finish(writer, &data, &length);
	if (!ret)
		ret = append(&e->migration.out, data, length, SIZE_MAX);
	e->migration.complete = !ret;
	viommu_stream_writer_destroy(writer);
	return ret;
}

/* The model has stopped. One that gives its state in pieces does so as they are read, and saves the rest last. */
int transfer_begin_stopped(struct server_endpoint *e)
{
	int ret = 0;

	if (!e->ops->pieces)
		return finish(e);
	if (e->migration.state != WIRE_STATE_PRE_COPY)
		ret = pack_identity(e);
	return ret || e->migration.pieces ? ret : pieces(e, true);
}

/* What the model has now, up to about `wanted` bytes. Returns 0 when that was all. */
static int pack_pieces(struct server_endpoint *e, size_t wanted)
{
	struct migration *g = &e->migration;
	uint8_t *piece = malloc(PIECE);
	int ret = piece ? 1 : -ENOMEM;

	while (ret > 0 && g->out.length < wanted) {
		ret = e->ops->read_piece(e->opaque, piece, PIECE);
		if (ret > 0) {
			int packed = pack(e, SECTION_EARLY, g->parcels++, piece, (size_t)ret);

			ret = packed ? packed : ret;
		}
	}
	free(piece);
	return ret;
}

static int refill(struct server_endpoint *e, size_t wanted)
{
	struct migration *g = &e->migration;
	int ret = g->pieces ? pack_pieces(e, wanted) : 0;

	if (!ret && g->state == WIRE_STATE_STOP_COPY && !g->complete)
		ret = finish(e);
	return ret < 0 ? ret : 0;
}

int handle_mig_data_read(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct migration *g = &e->migration;
	struct wire_mig_data data;
	int ret;

	memcpy(&data, m->payload, sizeof(data));
	if ((g->state != WIRE_STATE_STOP_COPY && g->state != WIRE_STATE_PRE_COPY) ||
	    data.size > e->max_transfer || data.argsz < sizeof(data) + data.size)
		return -EINVAL;
	ret = g->complete ? 0 : refill(e, data.size);
	if (ret)
		return ret;
	data.size = data.size < g->out.length ? data.size : (uint32_t)g->out.length;
	data.argsz = (uint32_t)sizeof(data) + data.size;
	memcpy(reply->data, &data, sizeof(data));
	if (data.size)
		memcpy(reply->data + sizeof(data), g->out.data + g->out.start, data.size);
	reply->length = sizeof(data) + data.size;
	if (data.size)
		drop(&g->out, data.size);
	return 0;
}

/* One parcel that arrived: identity first, then the model's in their order. */
static int open_parcel(struct server_endpoint *e, struct viommu_stream_reader *reader, char *message,
		       size_t room)
{
	struct migration *g = &e->migration;
	bool first = !g->parcels;
	uint32_t version;
	const void *data;
	size_t length;
	int ret = first ? viommu_stream_open(reader, SECTION_IDENTITY, 0, 1, &version)
			: viommu_stream_open(reader, SECTION_EARLY, g->parcels - 1, 1, &version);

	ret = ret ? ret : viommu_stream_get_bytes(reader, TAG_CONTENT, &data, &length);
	ret = ret ? ret : viommu_stream_check_read(reader, message, room);
	if (ret == -ENOENT)
		ret = -EBADMSG;
	if (!ret && first)
		ret = check_identity(e, data, length, message, room);
	else if (!ret)
		ret = e->ops->pieces ? e->ops->write_piece(e->opaque, data, length) : -EINVAL;
	g->parcels++;
	return ret;
}

static int unpack(struct server_endpoint *e, uint64_t size)
{
	struct migration *g = &e->migration;
	struct viommu_stream_reader *reader = NULL;
	char message[256] = "the device refused what was saved early";
	int ret = viommu_stream_reader_create(g->in.data + g->in.start + PARCEL_HEADER, size, &reader, message,
					      sizeof(message));

	if (!ret)
		ret = open_parcel(e, reader, message, sizeof(message));
	viommu_stream_reader_destroy(reader);
	drop(&g->in, PARCEL_HEADER + size);
	if (ret) {
		server_log(e, "state refused: %s", message);
		g->refused = ret;
	}
	return ret;
}

/* Take the parcels out of what has arrived. */
static int unpack_all(struct server_endpoint *e)
{
	struct migration *g = &e->migration;
	int ret = 0;

	while (!ret && g->in.length >= PARCEL_HEADER &&
	       !memcmp(g->in.data + g->in.start, PARCEL_MAGIC, 8)) {
		uint64_t size;

		memcpy(&size, g->in.data + g->in.start + 8, 8);
		size = le64toh(size);
		if (size > PARCEL_MAX) {
			server_log(e, "state refused: a parcel of more than %u bytes", PARCEL_MAX);
			g->refused = -EBADMSG;
			return -EBADMSG;
		}
		if (g->in.length - PARCEL_HEADER < size)
			break;
		ret = unpack(e, size);
	}
	return ret;
}

int handle_mig_data_write(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct migration *g = &e->migration;
	struct wire_mig_data data;
	int ret;

	memcpy(&data, m->payload, sizeof(data));
	if (g->state != WIRE_STATE_RESUMING || m->length - sizeof(data) != data.size)
		return -EINVAL;
	if (g->refused)
		return g->refused;
	ret = append(&g->in, m->payload + sizeof(data), data.size, LOADED_MAX);
	return ret ? ret : unpack_all(e);
}

int transfer_load(struct server_endpoint *e)
{
	struct migration *g = &e->migration;
	struct viommu_stream_reader *reader = NULL;
	char message[256] = "the device refused it";
	const void *data = g->in.data ? (const void *)(g->in.data + g->in.start) : "";
	int ret = g->refused;

	if (!ret)
		ret = viommu_stream_reader_create(data, g->in.length, &reader, message, sizeof(message));
	if (!ret)
		ret = migration_load(e, reader, message, sizeof(message));
	if (ret && !g->refused)
		server_log(e, "state refused: %s", message);
	viommu_stream_reader_destroy(reader);
	transfer_forget(e);
	return ret;
}
