/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Putting it together: memory, units, devices and their sockets. The first unit's connection
 * carries the VM's memory; the others' maps are the same and only acknowledged.
 *
 * A unit's event message leaves through the socket of the endpoint that caused it, which is
 * bus-mastering by then; if it cannot, through any other endpoint of the VM: a message is a memory
 * write, and nobody asks who made it.
 */
#include "daemon_internal.h"

#include "unit_function.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATH_LENGTH 256

static void log_line(void *opaque, const char *name, const char *text)
{
	struct timespec now;
	struct tm local;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &local);
	fprintf(stderr, "%02d:%02d:%02d.%03ld %s: %s\n", local.tm_hour, local.tm_min, local.tm_sec,
		now.tv_nsec / 1000000, name, text);
}

static void unit_log(void *opaque, const char *text)
{
	log_line(NULL, ((struct served_unit *)opaque)->name, text);
}

static bool send_through(struct served_device *device, uint64_t address, uint32_t data)
{
	return device->server && !server_endpoint_message(device->server, address, data);
}

/* Any thread, inside an access section: only queues. */
static void unit_message(void *opaque, struct viommu_endpoint *cause, uint64_t address,
			 uint32_t data)
{
	struct daemon *d = ((struct served_unit *)opaque)->daemon;
	bool sent = false;

	pthread_mutex_lock(&d->way_out);
	for (unsigned int i = 0; cause && !sent && i < d->spec->device_count; i++)
		sent = d->devices[i].device.endpoint == cause &&
		       send_through(&d->devices[i], address, data);
	for (unsigned int i = 0; !sent && i < d->spec->device_count; i++)
		sent = send_through(&d->devices[i], address, data);
	pthread_mutex_unlock(&d->way_out);
	if (!sent)
		atomic_fetch_add(&d->messages_lost, 1);
}

void unit_socket(const struct spec *spec, unsigned int unit, const char *directory, char *path,
		 size_t length)
{
	snprintf(path, length, "%s/unit%u.sock", directory, unit);
}

void device_socket(const struct spec *spec, unsigned int device, const char *directory, char *path,
		   size_t length)
{
	const struct device_spec *d = &spec->devices[device];

	if (d->socket)
		snprintf(path, length, "%s", d->socket);
	else
		snprintf(path, length, "%s/%s-%02x.%u.sock", directory, d->kind->name,
			 d->devfn >> 3, d->devfn & 7);
}

static int serve(struct daemon *d, const char *name, const char *path,
		 const struct server_function *function, const struct server_device_ops *ops,
		 void *opaque, bool feed, struct server_endpoint **server, char *message,
		 size_t length)
{
	struct server_endpoint_config config = {
		.name = name,
		.path = path,
		.function = function,
		.ops = ops,
		.opaque = opaque,
		.memory = d->memory,
		.tracker = d->tracker,
		.feed = feed,
		.mute = d->spec->mute,
		.log = log_line,
	};
	int ret = server_endpoint_create(&config, server);

	if (ret)
		snprintf(message, length, "%s: cannot listen on %s: %s", name, path,
			 strerror(-ret));
	return ret;
}

static int create_unit(struct daemon *d, unsigned int i, const char *directory, char *message,
		       size_t length)
{
	static const struct viommu_unit_ops ops = {
		.size = sizeof(ops),
		.message = unit_message,
		.log = unit_log,
	};
	struct served_unit *u = &d->units[i];
	char path[PATH_LENGTH];
	int ret;

	u->daemon = d;
	snprintf(u->name, sizeof(u->name), "unit%u", i);
	ret = viommu_unit_create(&d->spec->units[i].options, d->memory, &ops, u, &u->unit);
	if (ret) {
		snprintf(message, length, "%s: cannot be created: %s", u->name, strerror(-ret));
		return ret;
	}
	unit_socket(d->spec, i, directory, path, sizeof(path));
	return serve(d, u->name, path, &unit_function, &unit_function_ops, u->unit, i == 0,
		     &u->server, message, length);
}

/*
 * Whether a function can save its state is for its client to ask (server_endpoint_migratable); the log of written pages is
 * of use without, so that is no reason for the tracker to refuse.
 */
static int track(struct daemon *d, struct served_device *s)
{
	struct viommu_device_info info = {
		.size = sizeof(info), .name = s->name, .migratable = true, .drainable = true,
	};
	int ret;

	if (!s->device.track)
		return 0;
	ret = s->device.track(s->device.opaque, d->tracker, &info, &s->index);
	s->tracked = !ret;
	return ret;
}

static int create_device(struct daemon *d, unsigned int i, const char *directory, char *message,
			 size_t length)
{
	const struct device_spec *spec = &d->spec->devices[i];
	struct served_device *s = &d->devices[i];
	char path[PATH_LENGTH];
	int used, ret;

	snprintf(s->name, sizeof(s->name), "%.16s-%02x.%u", spec->kind->name, spec->devfn >> 3,
		 spec->devfn & 7);
	/* The device says which of its options is wrong, this which device it is. */
	used = snprintf(message, length, "--device %s: ", spec->kind->name);
	snprintf(message + used, length - (size_t)used, "cannot be created");
	ret = spec->kind->create(d->units[spec->unit].unit, spec->devfn, spec->settings,
				 spec->setting_count, &s->device, message + used, length - (size_t)used);
	if (ret) {
		memset(&s->device, 0, sizeof(s->device));
		return ret;
	}
	ret = track(d, s);
	if (ret) {
		snprintf(message + used, length - (size_t)used, "its writes cannot be followed: %s", strerror(-ret));
		return ret;
	}
	device_socket(d->spec, i, directory, path, sizeof(path));
	return serve(d, s->name, path, &s->device.function, s->device.ops, s->device.opaque, false,
		     &s->server, message, length);
}

int daemon_create(const struct spec *spec, const char *directory, struct daemon **daemon,
		  char *message, size_t length)
{
	struct daemon *d = calloc(1, sizeof(*d));
	int ret = -ENOMEM;

	if (!d)
		return ret;
	d->spec = spec;
	pthread_mutex_init(&d->way_out, NULL);
	ret = viommu_memory_create(&d->memory);
	ret = ret ? ret : viommu_tracker_create(d->memory, &d->tracker);
	for (unsigned int i = 0; !ret && i < spec->unit_count; i++)
		ret = create_unit(d, i, directory, message, length);
	for (unsigned int i = 0; !ret && i < spec->device_count; i++)
		ret = create_device(d, i, directory, message, length);
	if (ret) {
		daemon_destroy(d);
		return ret;
	}
	*daemon = d;
	return 0;
}

int daemon_start(struct daemon *d)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < d->spec->unit_count; i++)
		ret = server_endpoint_start(d->units[i].server);
	for (unsigned int i = 0; !ret && i < d->spec->device_count; i++)
		ret = server_endpoint_start(d->devices[i].server);
	return ret;
}

void daemon_destroy(struct daemon *d)
{
	/* devices first: nothing translates any more when their unit's registers go */
	for (unsigned int i = 0; i < SPEC_DEVICES; i++) {
		struct server_endpoint *server = d->devices[i].server;

		pthread_mutex_lock(&d->way_out);
		d->devices[i].server = NULL;
		pthread_mutex_unlock(&d->way_out);
		server_endpoint_destroy(server);
		if (d->devices[i].device.ops)
			d->spec->devices[i].kind->destroy(&d->devices[i].device);
	}
	for (unsigned int i = 0; i < SPEC_UNITS; i++) {
		server_endpoint_destroy(d->units[i].server);
		if (d->units[i].unit)
			viommu_unit_destroy(d->units[i].unit);
	}
	if (d->logging)
		server_logging_stop(d->tracker);
	viommu_tracker_destroy(d->tracker);
	if (d->memory)
		viommu_memory_destroy(d->memory);
	pthread_mutex_destroy(&d->way_out);
	free(d);
}

static json_t *function_status(const char *name, const struct server_endpoint *server)
{
	uint32_t features = server_endpoint_features(server);

	return json_pack("{s:s, s:b, s:b, s:I}", "name", name, "connected",
			 server_endpoint_connected(server), "bus-master",
			 !!(features & SERVER_FEATURE_BUS_MASTER), "features",
			 (json_int_t)features);
}

/* How its writes are found while a client logs them, and why so. */
static void add_tracking(const struct daemon *d, const struct served_device *s, json_t *status)
{
	enum viommu_tracking method;
	char text[256];

	if (s->tracked && !viommu_tracker_method(d->tracker, s->index, &method, text, sizeof(text)))
		json_object_set_new(status, "tracking", json_string(text));
}

json_t *daemon_status(const struct daemon *d)
{
	json_t *units = json_array(), *devices = json_array();

	for (unsigned int i = 0; i < d->spec->unit_count; i++) {
		json_t *unit = function_status(d->units[i].name, d->units[i].server);
		char text[4096];

		viommu_unit_describe(d->units[i].unit, text, sizeof(text));
		json_object_set_new(unit, "base", json_integer((json_int_t)d->spec->units[i].base));
		json_object_set_new(unit, "address",
				    json_integer((json_int_t)server_endpoint_bar_address(
					    d->units[i].server, 0)));
		json_object_set_new(unit, "description", json_string(text));
		json_array_append_new(units, unit);
	}
	for (unsigned int i = 0; i < d->spec->device_count; i++) {
		json_t *device = function_status(d->devices[i].name, d->devices[i].server);

		json_object_set_new(device, "unit", json_integer(d->spec->devices[i].unit));
		json_object_set_new(device, "migratable",
				    json_boolean(server_endpoint_migratable(d->devices[i].server)));
		add_tracking(d, &d->devices[i], device);
		json_array_append_new(devices, device);
	}
	return json_pack("{s:o, s:o}", "units", units, "devices", devices);
}

/* Counters by name, so that the two loops below can be tables. */
#define UNIT_COUNTER(field)                                       \
	{                                                         \
#field, offsetof(struct viommu_statistics, field) \
	}
#define SERVER_COUNTER(field)                                     \
	{                                                         \
#field, offsetof(struct server_statistics, field) \
	}

struct counter {
	const char *name;
	size_t offset;
};

static const struct counter unit_counters[] = {
	UNIT_COUNTER(translations),   UNIT_COUNTER(iotlb_hits),
	UNIT_COUNTER(iotlb_misses),   UNIT_COUNTER(pasid_cache_misses),
	UNIT_COUNTER(table_reads),    UNIT_COUNTER(descriptors),
	UNIT_COUNTER(waits),	      UNIT_COUNTER(faults),
	UNIT_COUNTER(faults_lost),    UNIT_COUNTER(page_requests),
	UNIT_COUNTER(page_responses), UNIT_COUNTER(device_tlb_invalidations),
	UNIT_COUNTER(events),	      UNIT_COUNTER(entries_visited),
	UNIT_COUNTER(drains),	      UNIT_COUNTER(pasids),
	UNIT_COUNTER(bytes),
};

static const struct counter server_counters[] = {
	SERVER_COUNTER(connections),  SERVER_COUNTER(requests),	    SERVER_COUNTER(errors),
	SERVER_COUNTER(dropped),      SERVER_COUNTER(region_reads), SERVER_COUNTER(region_writes),
	SERVER_COUNTER(interrupts),   SERVER_COUNTER(messages),	    SERVER_COUNTER(maps),
	SERVER_COUNTER(mapped_bytes),
};

static json_t *counters(const void *base, const struct counter *list, size_t count)
{
	json_t *object = json_object();

	for (size_t i = 0; i < count; i++) {
		uint64_t value;

		memcpy(&value, (const char *)base + list[i].offset, sizeof(value));
		json_object_set_new(object, list[i].name, json_integer((json_int_t)value));
	}
	return object;
}

static json_t *server_object(const struct server_endpoint *server)
{
	struct server_statistics s;

	server_endpoint_statistics(server, &s);
	return counters(&s, server_counters, sizeof(server_counters) / sizeof(server_counters[0]));
}

static void put_counter(void *opaque, const char *name, uint64_t value)
{
	json_object_set_new(opaque, name, json_integer((json_int_t)value));
}

json_t *daemon_statistics(const struct daemon *d)
{
	json_t *units = json_array(), *devices = json_array();

	for (unsigned int i = 0; i < d->spec->unit_count; i++) {
		struct viommu_statistics s = { .size = sizeof(s) };
		json_t *unit;

		viommu_unit_statistics(d->units[i].unit, &s);
		unit = counters(&s, unit_counters,
				sizeof(unit_counters) / sizeof(unit_counters[0]));
		json_object_set_new(unit, "name", json_string(d->units[i].name));
		json_object_set_new(unit, "server", server_object(d->units[i].server));
		json_array_append_new(units, unit);
	}
	for (unsigned int i = 0; i < d->spec->device_count; i++) {
		const struct device_kind *kind = d->spec->devices[i].kind;
		json_t *device = json_object();

		if (kind->statistics)
			kind->statistics(&d->devices[i].device, put_counter, device);
		json_object_set_new(device, "name", json_string(d->devices[i].name));
		json_object_set_new(device, "server", server_object(d->devices[i].server));
		json_array_append_new(devices, device);
	}
	return json_pack("{s:o, s:o, s:I}", "units", units, "devices", devices, "messages_lost",
			 (json_int_t)atomic_load(&d->messages_lost));
}
