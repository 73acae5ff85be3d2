/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saving and loading a daemon: every unit, and every device as a stream of its own inside the
 * stream. Devices are stopped first, so nothing that is saved changes meanwhile.
 */
#include "daemon_internal.h"

#include <viommu/migration.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTION	   "served"
#define TAG_STREAM 1

static int save_device(void *opaque, struct viommu_stream_writer *writer, uint32_t instance)
{
	struct served_device *device = opaque;
	struct viommu_stream_writer *inner;
	const void *data;
	size_t length;
	int ret = viommu_stream_writer_create(&inner);

	if (ret)
		return ret;
	ret = server_endpoint_save(device->server, inner);
	if (!ret)
		ret = viommu_stream_finish(inner, &data, &length);
	if (!ret) {
		viommu_stream_begin(writer, SECTION, instance, 1);
		viommu_stream_put_bytes(writer, TAG_STREAM, data, length);
		viommu_stream_end(writer);
	}
	viommu_stream_writer_destroy(inner);
	return ret;
}

static int load_device(void *opaque, struct viommu_stream_reader *reader, uint32_t instance,
		       char *text, size_t room)
{
	struct served_device *device = opaque;
	struct viommu_stream_reader *inner;
	uint32_t version;
	const void *data;
	size_t length;
	int ret = viommu_stream_open(reader, SECTION, instance, 1, &version);

	if (!ret)
		ret = viommu_stream_get_bytes(reader, TAG_STREAM, &data, &length);
	if (!ret)
		ret = viommu_stream_reader_create(data, length, &inner, text, room);
	if (ret)
		return ret;
	ret = server_endpoint_load(device->server, inner, text, room);
	viommu_stream_reader_destroy(inner);
	return ret;
}

static int collect(struct daemon *d, struct viommu_state **state)
{
	int ret = viommu_state_create(state);

	if (ret)
		return ret;
	for (unsigned int i = 0; !ret && i < d->spec->unit_count; i++)
		ret = viommu_state_add_unit(*state, d->units[i].unit);
	for (unsigned int i = 0; !ret && i < d->spec->device_count; i++) {
		struct viommu_state_member member = {
			.size = sizeof(member),
			.instance = i,
			.name = d->devices[i].name,
			.save = save_device,
			.load = load_device,
			.opaque = &d->devices[i],
		};

		ret = viommu_state_add(*state, &member);
	}
	if (ret)
		viommu_state_destroy(*state);
	return ret;
}

int daemon_continue(struct daemon *d, char *message, size_t length)
{
	int first = 0;

	for (unsigned int i = 0; i < d->spec->device_count; i++) {
		int ret = server_endpoint_continue(d->devices[i].server);

		if (ret && !first) {
			first = ret;
			snprintf(message, length, "%s does not continue: %s", d->devices[i].name,
				 strerror(-ret));
		}
	}
	return first;
}

/* All devices or none. */
static int stop_devices(struct daemon *d, char *message, size_t length)
{
	for (unsigned int i = 0; i < d->spec->device_count; i++) {
		int ret = server_endpoint_stop(d->devices[i].server);

		if (!ret)
			continue;
		if (ret == -EOPNOTSUPP)
			snprintf(message, length, "%s cannot save and load its state", d->devices[i].name);
		else
			snprintf(message, length, "%s does not stop: %s", d->devices[i].name,
				 strerror(-ret));
		while (i--)
			server_endpoint_continue(d->devices[i].server);
		return ret;
	}
	return 0;
}

/* Written beside its place and moved there, so that a file is whole or absent. */
static int write_file(const char *file, const void *data, size_t length, char *message, size_t room)
{
	char path[4096];
	FILE *out = NULL;
	bool good;

	if (snprintf(path, sizeof(path), "%s.part", file) < (int)sizeof(path))
		out = fopen(path, "wb");
	good = out && fwrite(data, 1, length, out) == length && !fflush(out) && !fsync(fileno(out));
	if (out && fclose(out))
		good = false;
	if (good && !rename(path, file))
		return 0;
	snprintf(message, room, "%s: %s", file, strerror(errno));
	if (out)
		unlink(path);
	return -EIO;
}

static int read_file(const char *file, void **data, size_t *length, char *message, size_t room)
{
	struct stat status;
	FILE *in = fopen(file, "rb");
	int ret = -EIO;

	*data = NULL;
	if (in && !fstat(fileno(in), &status) && S_ISREG(status.st_mode) && status.st_size > 0) {
		*length = (size_t)status.st_size;
		*data = malloc(*length);
		if (!*data)
			ret = -ENOMEM;
		else if (fread(*data, 1, *length, in) == *length)
			ret = 0;
	}
	if (ret)
		snprintf(message, room, "%s: %s", file,
			 !in ? strerror(errno) : ret == -ENOMEM ? strerror(ENOMEM) : "is no saved state");
	if (in)
		fclose(in);
	return ret;
}

int daemon_save(struct daemon *d, const char *file, bool stay, char *message, size_t length)
{
	struct viommu_state *state;
	size_t data_length = 0;
	void *data = NULL;
	int ret;

	if (!*file) {
		snprintf(message, length, "file=PATH is needed");
		return -EINVAL;
	}
	ret = stop_devices(d, message, length);
	if (ret)
		return ret;
	ret = collect(d, &state);
	if (!ret) {
		ret = viommu_state_save(state, &data, &data_length, message, length);
		viommu_state_destroy(state);
	}
	if (!ret)
		ret = write_file(file, data, data_length, message, length);
	free(data);
	if (ret || !stay) /* a VM that could not be saved must run on */
		daemon_continue(d, message, ret ? 0 : length);
	return ret;
}

int daemon_load(struct daemon *d, const char *file, char *message, size_t length)
{
	struct viommu_state *state;
	size_t data_length = 0;
	void *data;
	int ret = read_file(file, &data, &data_length, message, length);

	if (!ret)
		ret = stop_devices(d, message, length);
	if (!ret) {
		ret = collect(d, &state);
		if (!ret) {
			ret = viommu_state_load(state, data, data_length, message, length);
			viommu_state_destroy(state);
		}
		daemon_continue(d, message, ret ? 0 : length);
	}
	free(data);
	return ret;
}

static struct server_endpoint *find_function(struct daemon *d, const char *name)
{
	for (unsigned int i = 0; i < d->spec->unit_count; i++)
		if (!strcmp(d->units[i].name, name))
			return d->units[i].server;
	for (unsigned int i = 0; i < d->spec->device_count; i++)
		if (!strcmp(d->devices[i].name, name))
			return d->devices[i].server;
	return NULL;
}

int daemon_inject(struct daemon *d, const char *name, const char *fault, char *message,
		  size_t length)
{
	static const struct {
		const char *name;
		enum server_fault fault;
	} faults[] = { { "disconnect", SERVER_FAULT_DISCONNECT },
		       { "error", SERVER_FAULT_ERROR },
		       { "stop", SERVER_FAULT_STOP },
		       { "save", SERVER_FAULT_SAVE },
		       { "load", SERVER_FAULT_LOAD },
		       { "report", SERVER_FAULT_REPORT } };
	struct server_endpoint *server = find_function(d, name);

	if (!server) {
		snprintf(message, length, "no function \"%.64s\"; \"status\" lists them", name);
		return -ENOENT;
	}
	for (unsigned int i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (!strcmp(faults[i].name, fault))
			return server_endpoint_inject(server, faults[i].fault);
	snprintf(message, length,
		 "no fault \"%.64s\"; allowed are disconnect, error, stop, save, load, report", fault);
	return -EINVAL;
}
