/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of a function, with a device model of this test's: what a refused load leaves behind, what is not understood, and a physical
 * function's own state (devices/vfio/migration.c) on the model of the host, through pre-copy.
 */
#include "migration_client.h"
#include "server.h"

#include "devices/vfio/migration.h"
#include "server/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One function: a word of its own, or a physical device behind it. */
struct function {
	struct server_endpoint *server;
	char path[64];
	atomic_uint word; /* also changed by the endpoint's own thread */
	unsigned int loads;
	bool extra_section, extra_field;
	struct viommu_host *host;
	struct viommu_host_device *device;
	struct vfio_migration migration;
	uint64_t much, given, taken; /* bytes of state in pieces that there are, were read, were written */
	bool wrong;		     /* ... and not the ones that were read */
};

static char directory[] = "/tmp/viommu-function-XXXXXX";

static int read_word(void *opaque, unsigned int bar, uint64_t offset, void *data, size_t length)
{
	struct function *f = opaque;
	uint32_t word = f->word;

	memset(data, 0, length);
	memcpy(data, &word, length < 4 ? length : 4);
	return 0;
}

static int write_word(void *opaque, unsigned int bar, uint64_t offset, const void *data, size_t length)
{
	struct function *f = opaque;
	uint32_t word = f->word;

	memcpy(&word, data, length < 4 ? length : 4);
	f->word = word;
	return 0;
}

static void reset(void *opaque)
{
	struct function *f = opaque;

	f->word = 0;
	if (f->device) {
		viommu_host_device_reset(f->device);
		vfio_migration_forget(&f->migration);
	}
}

static int stop(void *opaque)
{
	struct function *f = opaque;

	return f->device ? vfio_migration_stop(&f->migration) : 0;
}

static void start(void *opaque)
{
	struct function *f = opaque;

	if (f->device)
		vfio_migration_start(&f->migration);
}

static int save(void *opaque, struct viommu_stream_writer *writer)
{
	struct function *f = opaque;

	if (f->device)
		return vfio_migration_save(&f->migration, writer);
	viommu_stream_begin(writer, "model", 0, 1);
	viommu_stream_put_u64(writer, 1, f->word);
	if (f->extra_field)
		viommu_stream_put_u64(writer, 2, 7);
	viommu_stream_put_u64(writer, 3 | VIOMMU_STREAM_OPTIONAL, 8);
	viommu_stream_end(writer);
	if (f->extra_section) {
		viommu_stream_begin(writer, "newer", 0, 1);
		viommu_stream_put_u64(writer, 1, 1);
		viommu_stream_end(writer);
	}
	return 0;
}

static int load(void *opaque, struct viommu_stream_reader *reader, char *message, size_t length)
{
	struct function *f = opaque;
	uint32_t version;
	uint64_t word;
	int ret;

	if (f->device)
		return vfio_migration_load(&f->migration, reader, message, length);
	ret = viommu_stream_open(reader, "model", 0, 1, &version);
	ret = ret ? ret : viommu_stream_get_u64(reader, 1, &word);
	if (!ret)
		f->word = (uint32_t)word;
	f->loads++;
	return ret;
}

static int pieces(void *opaque, bool on)
{
	struct function *f = opaque;

	if (f->device)
		return vfio_migration_pieces(&f->migration, on);
	f->given = 0;
	return 0;
}

/* Byte `at` of a state that no buffer holds. */
static uint8_t byte_of(uint64_t at)
{
	return (uint8_t)(at * 31 ^ at >> 11);
}

static int read_piece(void *opaque, void *data, size_t length)
{
	struct function *f = opaque;
	uint8_t *to = data;
	size_t now = f->much - f->given < length ? f->much - f->given : length;

	if (f->device)
		return vfio_migration_read_piece(&f->migration, data, length);
	for (size_t i = 0; i < now; i++)
		to[i] = byte_of(f->given++);
	return (int)now;
}

static int write_piece(void *opaque, const void *data, size_t length)
{
	struct function *f = opaque;
	const uint8_t *from = data;

	if (f->device)
		return vfio_migration_write_piece(&f->migration, data, length);
	for (size_t i = 0; i < length; i++)
		f->wrong |= from[i] != byte_of(f->taken++);
	return 0;
}

static const struct server_device_ops ops = {
	.read = read_word, .write = write_word, .reset = reset,
	.stop = stop, .start = start, .save = save, .load = load,
};
static const struct server_device_ops piece_ops = {
	.read = read_word, .write = write_word, .reset = reset,
	.stop = stop, .start = start, .save = save, .load = load,
	.pieces = pieces, .read_piece = read_piece, .write_piece = write_piece,
};

/* What these are besides their config space: `much` of them. */
static size_t identity(void *opaque, void *bytes, size_t room)
{
	assert_true(room >= sizeof(uint64_t));
	memcpy(bytes, &((struct function *)opaque)->much, sizeof(uint64_t));
	return sizeof(uint64_t);
}

static int fits(void *opaque, const void *bytes, size_t length, char *message, size_t room)
{
	const struct function *f = opaque;

	snprintf(message, room, "another size");
	return length == sizeof(f->much) && !memcmp(bytes, &f->much, length) ? 0 : -EINVAL;
}

static const struct server_device_ops identity_ops = {
	.read = read_word, .write = write_word, .reset = reset,
	.stop = stop, .start = start, .save = save, .load = load, .identity = identity, .fits = fits,
};
static bool with_identity;

/* `flags`: of the physical device's migration; 0: there is none. `much`: bytes of state in pieces that there are then. */
static void create_with(struct function *f, const char *name, uint16_t id, uint64_t flags, uint64_t much)
{
	struct server_function function = {
		.vendor = 0x1234, .device = id, .class_code = 0xff0000, .bars = { { .size = 4096 } },
	};
	struct viommu_host_model_options options = { .size = sizeof(options) };
	struct viommu_host_model_device device = { .size = sizeof(device), .migration = flags };
	struct server_endpoint_config config = {
		.name = name, .path = f->path, .function = &function, .opaque = f,
	};

	*f = (struct function){ .much = much };
	snprintf(f->path, sizeof(f->path), "%s/%s", directory, name);
	if (flags) {
		assert_int_equal(viommu_host_open_model(&options, &f->host), 0);
		assert_int_equal(viommu_host_device_open_model(f->host, &device, &f->device), 0);
		vfio_migration_init(&f->migration, f->device);
		assert_true(vfio_migration_possible(&f->migration));
	}
	config.ops = with_identity ? &identity_ops : f->device || much ? &piece_ops : &ops;
	assert_int_equal(server_endpoint_create(&config, &f->server), 0);
}

static void create(struct function *f, const char *name, uint16_t id, uint64_t flags)
{
	create_with(f, name, id, flags, 0);
}

static void destroy(struct function *f)
{
	server_endpoint_destroy(f->server);
	vfio_migration_forget(&f->migration);
	if (f->device)
		viommu_host_device_close(f->device);
	viommu_host_close(f->host);
}

/* Stopped, saved; the stream is the caller's to free. */
static struct viommu_stream_reader *saved(struct function *f, struct viommu_stream_writer **writer)
{
	struct viommu_stream_reader *reader;
	const void *data;
	size_t length;

	assert_int_equal(viommu_stream_writer_create(writer), 0);
	assert_int_equal(server_endpoint_stop(f->server), 0);
	assert_int_equal(server_endpoint_save(f->server, *writer), 0);
	assert_int_equal(viommu_stream_finish(*writer, &data, &length), 0);
	assert_int_equal(viommu_stream_reader_create(data, length, &reader, NULL, 0), 0);
	return reader;
}

/* What nobody asked for is refused, optional fields apart, and the function is as it was. */
static void test_unknown_content(void **state)
{
	static const struct {
		bool section, field;
		const char *says;
	} cases[] = { { false, false, NULL }, { true, false, "newer" }, { false, true, "model" } };

	for (unsigned int i = 0; i < 3; i++) {
		struct viommu_stream_writer *writer;
		struct viommu_stream_reader *reader;
		struct function from, to;
		char message[256] = "";
		int ret;

		create(&from, "from", 1, 0);
		create(&to, "to", 1, 0);
		from.word = 11;
		to.word = 22;
		from.extra_section = cases[i].section;
		from.extra_field = cases[i].field;
		reader = saved(&from, &writer);
		assert_int_equal(server_endpoint_load(to.server, reader, message, sizeof(message)), -EBUSY);
		assert_int_equal(server_endpoint_stop(to.server), 0);
		ret = server_endpoint_load(to.server, reader, message, sizeof(message));
		if (cases[i].says) {
			assert_int_equal(ret, -EPROTONOSUPPORT);
			assert_non_null(strstr(message, cases[i].says));
			/* It was loaded, found to lack something, and put back. */
			assert_int_equal(to.loads, 2);
			assert_int_equal(to.word, 22);
		} else {
			assert_int_equal(ret, 0);
			assert_int_equal(to.word, 11);
		}
		viommu_stream_reader_destroy(reader);
		viommu_stream_writer_destroy(writer);
		destroy(&from);
		destroy(&to);
	}
}

static void connect_to(struct function *f, struct client *client)
{
	assert_int_equal(server_endpoint_start(f->server), 0);
	assert_int_equal(client_open(client, f->path), 0);
}

static void give_state(struct function *f, uint8_t seed, uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(seed + i * 7);
	assert_int_equal(viommu_host_model_set_state(f->device, bytes, length), 0);
}

/* Everything there is to read now, after what was read before. */
static void read_more(struct client *from, uint32_t piece, uint8_t *stream, size_t *length)
{
	uint8_t *data;
	size_t got;

	assert_int_equal(migration_read(from, piece, &data, &got), 0);
	assert_true(*length + got <= 1 << 20);
	memcpy(stream + *length, data, got);
	*length += got;
	free(data);
}

static uint32_t physical_state(const struct function *f)
{
	uint32_t state;

	assert_int_equal(viommu_host_device_migration_query(f->device, &state), 0);
	return state;
}

/* A physical function moves, with and without pre-copy, in pieces of any size; it runs until it is stopped. */
static void test_physical_state_moves(void **state)
{
	static const uint64_t flags[] = { VIOMMU_HOST_STOP_COPY, VIOMMU_HOST_STOP_COPY | VIOMMU_HOST_PRE_COPY };
	static const uint32_t sizes[] = { 13, 4096 };
	static uint8_t stream[1 << 20], bytes[40000], there[sizeof(bytes)];

	for (unsigned int i = 0; i < 8; i++) {
		bool early = i & 4;
		size_t length = 0, before;
		struct function from, to;
		struct client a, b;

		create(&from, "from", 1, flags[i & 1]);
		create(&to, "to", 1, flags[i & 1]);
		connect_to(&from, &a);
		connect_to(&to, &b);
		give_state(&from, (uint8_t)i, bytes, sizeof(bytes));
		if (early) {
			assert_int_equal(migration_set_state(&a, WIRE_STATE_PRE_COPY), 0);
			read_more(&a, sizes[i >> 1 & 1], stream, &length);
			assert_true(length > 4096);
			before = length;
			/* Nothing more now, and it still runs. */
			read_more(&a, sizes[i >> 1 & 1], stream, &length);
			assert_int_equal(length, before);
			assert_int_equal(physical_state(&from),
					 i & 1 ? VIOMMU_HOST_PRE_COPYING : VIOMMU_HOST_RUNNING);
			give_state(&from, (uint8_t)(i + 100), bytes, sizeof(bytes));
		}
		assert_int_equal(migration_set_state(&a, WIRE_STATE_STOP_COPY), 0);
		assert_int_equal(physical_state(&from), VIOMMU_HOST_STOP_COPYING);
		read_more(&a, sizes[i >> 1 & 1], stream, &length);
		assert_int_equal(physical_state(&from), VIOMMU_HOST_STOPPED);
		assert_int_equal(migration_set_state(&b, WIRE_STATE_RESUMING), 0);
		assert_int_equal(migration_write(&b, stream, length, sizes[i >> 1 & 1]), 0);
		assert_int_equal(migration_set_state(&b, WIRE_STATE_RUNNING), 0);
		assert_int_equal(physical_state(&to), VIOMMU_HOST_RUNNING);
		assert_int_equal(viommu_host_model_get_state(to.device, there, sizeof(there)), sizeof(there));
		assert_memory_equal(there, bytes, sizeof(there));
		/* The source was told to go on instead: it does. */
		assert_int_equal(migration_set_state(&a, WIRE_STATE_RUNNING), 0);
		assert_int_equal(physical_state(&from), VIOMMU_HOST_RUNNING);
		client_close(&a);
		client_close(&b);
		destroy(&from);
		destroy(&to);
	}
}

/* Another function is refused by the first write, while the source still runs. */
static void test_identity_is_checked_early(void **state)
{
	static uint8_t stream[1 << 20];
	struct function from, to;
	struct client a, b;
	size_t length = 0;

	create(&from, "from", 1, 0);
	create(&to, "to", 2, 0);
	connect_to(&from, &a);
	connect_to(&to, &b);
	assert_int_equal(migration_set_state(&a, WIRE_STATE_PRE_COPY), 0);
	read_more(&a, 65536, stream, &length);
	assert_int_equal(migration_set_state(&b, WIRE_STATE_RESUMING), 0);
	assert_int_equal(migration_write(&b, stream, length, (uint32_t)length), -EINVAL);
	/* What comes after a refusal is refused, and so is the end. */
	assert_int_equal(migration_write(&b, stream, length, (uint32_t)length), -EINVAL);
	assert_true(migration_set_state(&b, WIRE_STATE_STOP) < 0);
	assert_int_equal(client_call(&b, WIRE_DEVICE_RESET, NULL, 0, NULL, 0, NULL, NULL), 0);
	assert_int_equal(migration_set_state(&b, WIRE_STATE_STOP), 0);
	client_close(&a);
	client_close(&b);
	destroy(&from);
	destroy(&to);
}

/* A model says more of itself than its config space does: equal, other, and not known at the destination, or not told by the source. */
static void test_the_models_own_identity(void **state)
{
	static const struct {
		bool from, to;
		uint64_t much;
		int expected;
	} cases[] = { { true, true, 7, 0 }, { true, true, 8, -EINVAL }, { true, false, 0, -EINVAL }, { false, true, 8, 0 } };

	for (unsigned int i = 0; i < 4; i++) {
		static uint8_t stream[1 << 20];
		struct function from, to;
		struct client a, b;
		size_t length = 0;

		with_identity = cases[i].from;
		create_with(&from, "from", 1, 0, cases[i].from ? 7 : 0);
		with_identity = cases[i].to;
		create_with(&to, "to", 1, 0, cases[i].much);
		with_identity = false;
		connect_to(&from, &a);
		connect_to(&to, &b);
		assert_int_equal(migration_set_state(&a, WIRE_STATE_PRE_COPY), 0);
		read_more(&a, 65536, stream, &length);
		assert_int_equal(migration_set_state(&b, WIRE_STATE_RESUMING), 0);
		assert_int_equal(migration_write(&b, stream, length, (uint32_t)length), cases[i].expected);
		client_close(&a);
		client_close(&b);
		destroy(&from);
		destroy(&to);
	}
}

/* All of its state, early pieces and late ones. */
static void read_all(struct client *c, uint32_t piece, uint8_t *stream, size_t *length)
{
	assert_int_equal(migration_set_state(c, WIRE_STATE_PRE_COPY), 0);
	read_more(c, piece, stream, length);
	assert_int_equal(migration_set_state(c, WIRE_STATE_STOP_COPY), 0);
	read_more(c, piece, stream, length);
}

/* Cut anywhere, or changed: refused, and after a reset it is a function again. The physical device never keeps half a state. */
static void test_damaged_precopy(void **state)
{
	static uint8_t stream[1 << 20], bytes[3000], there[sizeof(bytes)];
	const uint64_t flags = VIOMMU_HOST_STOP_COPY | VIOMMU_HOST_PRE_COPY;
	struct function from, to;
	struct client a, b;
	size_t length = 0;

	create(&from, "from", 1, flags);
	create(&to, "to", 1, flags);
	connect_to(&from, &a);
	connect_to(&to, &b);
	give_state(&from, 1, bytes, sizeof(bytes));
	read_all(&a, 65536, stream, &length);
	for (unsigned int i = 0; i < 80; i++) {
		size_t at = length * i / 80;
		bool cut = i & 1;
		int wrote;

		assert_int_equal(migration_set_state(&b, WIRE_STATE_RESUMING), 0);
		stream[at] ^= cut ? 0 : 0x41;
		wrote = migration_write(&b, stream, cut ? at : length, 4096);
		stream[at] ^= cut ? 0 : 0x41;
		assert_true(cut ? !wrote : true);
		assert_true(migration_set_state(&b, WIRE_STATE_RUNNING) < 0);
		assert_int_equal(client_call(&b, WIRE_DEVICE_RESET, NULL, 0, NULL, 0, NULL, NULL), 0);
		assert_int_equal(physical_state(&to), VIOMMU_HOST_RUNNING);
		assert_int_equal(viommu_host_model_get_state(to.device, there, sizeof(there)), 0);
	}
	/* And then the good one. */
	assert_int_equal(migration_set_state(&b, WIRE_STATE_RESUMING), 0);
	assert_int_equal(migration_write(&b, stream, length, 4096), 0);
	assert_int_equal(migration_set_state(&b, WIRE_STATE_RUNNING), 0);
	assert_int_equal(viommu_host_model_get_state(to.device, there, sizeof(there)), sizeof(bytes));
	assert_memory_equal(there, bytes, sizeof(bytes));
	client_close(&a);
	client_close(&b);
	destroy(&from);
	destroy(&to);
}

/* The host refuses a step on the way: the function runs, or a reset makes it run. */
static void test_the_host_refuses(void **state)
{
	const uint64_t flags = VIOMMU_HOST_STOP_COPY | VIOMMU_HOST_PRE_COPY;
	static const uint32_t wanted[] = { WIRE_STATE_STOP, WIRE_STATE_PRE_COPY, WIRE_STATE_STOP_COPY };

	for (unsigned int i = 0; i < 9; i++) {
		struct function from;
		struct client a;
		int ret;

		create(&from, "from", 1, flags);
		connect_to(&from, &a);
		viommu_host_model_refuse(from.host, VIOMMU_HOST_MIGRATE, i / 3, 1, -EIO);
		ret = migration_set_state(&a, WIRE_STATE_PRE_COPY);
		if (!ret)
			ret = migration_set_state(&a, wanted[i % 3]);
		viommu_host_model_refuse(from.host, VIOMMU_HOST_MIGRATE, 0, 0, 0);
		assert_int_equal(migration_set_state(&a, WIRE_STATE_RUNNING), 0);
		assert_int_equal(physical_state(&from), VIOMMU_HOST_RUNNING);
		if (!i)
			assert_int_equal(ret, -EIO);
		client_close(&a);
		destroy(&from);
	}
}

/* A load in place (viommu ctl load) that the device refuses leaves it with the state it had. */
static void test_refused_in_place(void **state)
{
	uint8_t bytes[500], there[500];
	struct viommu_stream_writer *writer;
	struct viommu_stream_reader *reader;
	struct function from, to;
	char message[256] = "";

	create(&from, "from", 1, 0);
	create(&to, "to", 1, VIOMMU_HOST_STOP_COPY);
	give_state(&to, 9, bytes, sizeof(bytes));
	reader = saved(&from, &writer); /* another model's section */
	assert_int_equal(server_endpoint_stop(to.server), 0);
	assert_int_equal(server_endpoint_load(to.server, reader, message, sizeof(message)), -EBADMSG);
	assert_non_null(strstr(message, "vfio"));
	viommu_stream_reader_destroy(reader);
	viommu_stream_writer_destroy(writer);
	destroy(&from);

	create(&from, "from", 1, VIOMMU_HOST_STOP_COPY);
	reader = saved(&from, &writer);
	/* Saving to be able to go back takes three steps; then RESUMING, and out of it. */
	viommu_host_model_refuse(to.host, VIOMMU_HOST_MIGRATE, 3, 1, -EIO);
	assert_int_equal(server_endpoint_load(to.server, reader, message, sizeof(message)), -EIO);
	assert_non_null(strstr(message, "the physical function refuses the state"));
	assert_int_equal(physical_state(&to), VIOMMU_HOST_STOPPED);
	assert_int_equal(viommu_host_model_get_state(to.device, there, sizeof(there)), sizeof(bytes));
	assert_memory_equal(there, bytes, sizeof(bytes));
	assert_int_equal(server_endpoint_continue(to.server), 0);
	assert_int_equal(physical_state(&to), VIOMMU_HOST_RUNNING);
	viommu_stream_reader_destroy(reader);
	viommu_stream_writer_destroy(writer);
	destroy(&from);
	destroy(&to);
}

/* Read one message's worth and write it: what was read. */
static uint32_t relay(struct client *from, struct client *to, uint32_t piece)
{
	static uint8_t reply[sizeof(struct wire_mig_data) + 65536];
	struct wire_mig_data ask = { (uint32_t)sizeof(ask) + piece, piece };
	size_t length = sizeof(reply);

	assert_int_equal(client_call(from, WIRE_MIG_DATA_READ, &ask, sizeof(ask), NULL, 0, reply, &length), 0);
	memcpy(&ask, reply, sizeof(ask));
	if (ask.size)
		assert_int_equal(migration_write(to, reply + sizeof(ask), ask.size, ask.size), 0);
	return ask.size;
}

/* A function with 80 MiB of state: it passes through, and neither side ever holds more than a few pieces of it. */
static void test_much_state_flows(void **state)
{
	const uint64_t much = (UINT64_C(80) << 20) + 12345;

	for (unsigned int early = 0; early < 2; early++) {
		struct function from, to;
		struct client a, b;

		create_with(&from, "from", 1, 0, much);
		create_with(&to, "to", 1, 0, much);
		connect_to(&from, &a);
		connect_to(&to, &b);
		from.word = 5;
		assert_int_equal(migration_set_state(&b, WIRE_STATE_RESUMING), 0);
		if (early) {
			assert_int_equal(migration_set_state(&a, WIRE_STATE_PRE_COPY), 0);
			for (unsigned int i = 0; i < 100; i++)
				assert_int_equal(relay(&a, &b, 65536), 65536);
		}
		assert_int_equal(migration_set_state(&a, WIRE_STATE_STOP_COPY), 0);
		while (relay(&a, &b, 65536) == 65536)
			;
		/* Both endpoints are in this process. */
		assert_true(from.server->migration.out.capacity < 1 << 20);
		assert_true(to.server->migration.in.capacity < 1 << 20);
		assert_int_equal(to.taken, much);
		assert_false(to.wrong);
		assert_int_equal(to.loads, 0);
		assert_int_equal(migration_set_state(&b, WIRE_STATE_RUNNING), 0);
		assert_int_equal(to.loads, 1);
		assert_int_equal(to.word, 5);
		client_close(&a);
		client_close(&b);
		destroy(&from);
		destroy(&to);
	}
}

/*
 * The client goes in the middle of anything: the function runs, empty-handed, and the next client finds nothing of it. (A second client is
 * served when the first is done with.)
 */
static void test_the_client_vanishes(void **state)
{
	static const struct {
		uint32_t state;
		bool half; /* something was read or written */
	} moments[] = {
		{ WIRE_STATE_PRE_COPY, false },	 { WIRE_STATE_PRE_COPY, true }, { WIRE_STATE_STOP, false },
		{ WIRE_STATE_STOP_COPY, false }, { WIRE_STATE_STOP_COPY, true }, { WIRE_STATE_RESUMING, false },
		{ WIRE_STATE_RESUMING, true },
	};
	static uint8_t stream[1 << 20], bytes[40000], there[sizeof(bytes)];
	const uint64_t flags = VIOMMU_HOST_STOP_COPY | VIOMMU_HOST_PRE_COPY;
	struct function from, to;
	struct client a, b;
	size_t length = 0;

	create(&from, "from", 1, flags);
	create(&to, "to", 1, flags);
	connect_to(&from, &a);
	connect_to(&to, &b);
	give_state(&from, 9, bytes, sizeof(bytes));
	read_all(&a, 4096, stream, &length);
	for (unsigned int i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
		struct wire_mig_data ask = { sizeof(ask) + 10, 10 };
		uint8_t reply[sizeof(ask) + 10];
		size_t got = sizeof(reply);

		assert_int_equal(migration_set_state(&b, moments[i].state), 0);
		if (moments[i].half && moments[i].state == WIRE_STATE_RESUMING)
			assert_int_equal(migration_write(&b, stream, length - 100, 4096), 0);
		else if (moments[i].half)
			assert_int_equal(client_call(&b, WIRE_MIG_DATA_READ, &ask, sizeof(ask), NULL, 0, reply, &got), 0);
		client_close(&b);
		assert_int_equal(client_open(&b, to.path), 0);
		assert_int_equal(physical_state(&to), VIOMMU_HOST_RUNNING);
		assert_int_equal(to.migration.fd, -1);
		assert_null(to.server->migration.out.data);
		assert_null(to.server->migration.in.data);
		/* The device's state is its power-on state, not half of another's. */
		assert_int_equal(viommu_host_model_get_state(to.device, there, sizeof(there)), 0);
	}
	assert_int_equal(migration_set_state(&b, WIRE_STATE_RESUMING), 0);
	/* Nor does the operator get in between: what a client is at is the client's. */
	assert_int_equal(migration_write(&b, stream, length - 100, 4096), 0);
	assert_int_equal(server_endpoint_stop(to.server), -EBUSY);
	assert_int_equal(server_endpoint_continue(to.server), -EBUSY);
	assert_int_equal(migration_write(&b, stream + length - 100, 100, 4096), 0);
	assert_int_equal(migration_set_state(&b, WIRE_STATE_RUNNING), 0);
	assert_int_equal(viommu_host_model_get_state(to.device, there, sizeof(there)), sizeof(there));
	assert_memory_equal(there, bytes, sizeof(there));
	client_close(&a);
	client_close(&b);
	destroy(&from);
	destroy(&to);
}

/* PCIe 7.5.1.2.1: I/O ports say so in bit 0, show their size, and decode when Command.I/O Space says so. */
static void test_io_ports(void **state)
{
	static const struct server_bar wrong[] = {
		{ 2, SERVER_BAR_IO }, { 12, SERVER_BAR_IO }, { 512, SERVER_BAR_IO }, { 16, SERVER_BAR_IO | SERVER_BAR_64BIT },
		{ 16, SERVER_BAR_IO | SERVER_BAR_PREFETCHABLE }, { 8, 0 },
	};
	struct server_function function = { .class_code = 0xff0000, .bars = { { 4096, 0 }, { 8, SERVER_BAR_IO } } };
	static struct config_space config;
	const uint32_t ones = UINT32_MAX, address = 0xc008;
	uint32_t value;
	uint16_t command = 2;

	assert_int_equal(config_init(&config, &function), 0);
	config_write(&config, 0x14, &ones, 4);
	config_read(&config, 0x14, &value, 4);
	assert_int_equal(value, 0xfffffff9);
	config_write(&config, 0x14, &address, 4);
	config_read(&config, 0x14, &value, 4);
	assert_int_equal(value, 0xc009);
	config_write(&config, 4, &command, 2);
	assert_int_equal(config_bar_address(&config, 1), 0);
	command = 1;
	config_write(&config, 4, &command, 2);
	assert_int_equal(config_bar_address(&config, 1), 0xc008);
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		function.bars[1] = wrong[i];
		assert_int_equal(config_init(&config, &function), -EINVAL);
	}
}

/* A parcel cannot be longer than we would make one: refused by its header, and nothing more is taken. */
static void test_endless_parcel(void **state)
{
	uint8_t header[16] = "viommupc\xff\xff\xff\xff\xff\xff\xff\xff";
	static uint8_t more[65536];
	struct function to;
	struct client b;

	create(&to, "to", 1, 0);
	connect_to(&to, &b);
	assert_int_equal(migration_set_state(&b, WIRE_STATE_RESUMING), 0);
	assert_int_equal(migration_write(&b, header, sizeof(header), sizeof(header)), -EBADMSG);
	assert_int_equal(migration_write(&b, more, sizeof(more), sizeof(more)), -EBADMSG);
	assert_true(to.server->migration.in.length < sizeof(more));
	assert_true(migration_set_state(&b, WIRE_STATE_STOP) < 0);
	client_close(&b);
	destroy(&to);
}

/* Saved whole (viommu ctl save), it must fit into what the operator allows; then the device goes on. */
static void test_state_limit(void **state)
{
	struct viommu_stream_writer *writer;
	struct function from;
	uint8_t bytes[500];

	create(&from, "from", 1, VIOMMU_HOST_STOP_COPY);
	assert_int_equal(from.migration.limit, (size_t)VFIO_STATE_LIMIT << 20);
	give_state(&from, 3, bytes, sizeof(bytes));
	from.migration.limit = sizeof(bytes);
	assert_int_equal(viommu_stream_writer_create(&writer), 0);
	assert_int_equal(server_endpoint_stop(from.server), 0);
	assert_int_equal(server_endpoint_save(from.server, writer), -EFBIG);
	assert_int_equal(physical_state(&from), VIOMMU_HOST_STOPPED);
	from.migration.limit = sizeof(bytes) + 16; /* the model's header */
	viommu_stream_writer_destroy(writer);
	assert_int_equal(viommu_stream_writer_create(&writer), 0);
	assert_int_equal(server_endpoint_save(from.server, writer), 0);
	assert_int_equal(server_endpoint_continue(from.server), 0);
	assert_int_equal(physical_state(&from), VIOMMU_HOST_RUNNING);
	viommu_stream_writer_destroy(writer);
	destroy(&from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_content),
		cmocka_unit_test(test_physical_state_moves),
		cmocka_unit_test(test_identity_is_checked_early),
		cmocka_unit_test(test_the_models_own_identity),
		cmocka_unit_test(test_damaged_precopy),
		cmocka_unit_test(test_the_host_refuses),
		cmocka_unit_test(test_refused_in_place),
		cmocka_unit_test(test_much_state_flows),
		cmocka_unit_test(test_the_client_vanishes),
		cmocka_unit_test(test_io_ports),
		cmocka_unit_test(test_endless_parcel),
		cmocka_unit_test(test_state_limit),
	};
	int failed;

	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(directory)) {
		perror(directory);
		return 1;
	}
	failed = cmocka_run_group_tests_name("the state of a function", tests, NULL, NULL);
	rmdir(directory);
	return failed;
}
