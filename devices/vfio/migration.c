/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saving and loading a physical function (migration.h). The device's data is opaque: it goes into one section of the stream
 * as it is, and the device at the other end says whether it fits. It says so late, when RESUMING is left, so a load that fails is
 * undone by a reset.
 */
#include "devices/vfio/migration.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTION "vfio"
enum { TAG_DATA = 1, TAG_EARLY = 2 };

#define PIECE ((size_t)256 << 10)

void vfio_migration_init(struct vfio_migration *m, struct viommu_host_device *device)
{
	*m = (struct vfio_migration){ .device = device, .fd = -1, .limit = (size_t)VFIO_STATE_LIMIT << 20 };
	if (viommu_host_device_migration_flags(device, &m->flags))
		m->flags = 0;
}

void vfio_migration_forget(struct vfio_migration *m)
{
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
	m->pieces = false;
}

bool vfio_migration_possible(const struct vfio_migration *m)
{
	return m->flags & VIOMMU_HOST_STOP_COPY;
}

bool vfio_migration_early(const struct vfio_migration *m)
{
	return vfio_migration_possible(m) && m->flags & VIOMMU_HOST_PRE_COPY;
}

/* Take the device to a state; the file it gives, if any, is the transfer from now on. */
static int change(struct vfio_migration *m, enum viommu_host_state state)
{
	int fd = -1, ret = viommu_host_device_migration_state(m->device, state, &fd);

	if (!ret && fd >= 0) {
		vfio_migration_forget(m);
		m->fd = fd;
	}
	return ret;
}

static uint32_t state_now(struct vfio_migration *m)
{
	uint32_t state;

	return viommu_host_device_migration_query(m->device, &state) ? VIOMMU_HOST_ERROR : state;
}

/* In error only a reset helps; a reset device runs. */
static int recover(struct vfio_migration *m)
{
	int ret = viommu_host_device_reset(m->device);

	vfio_migration_forget(m);
	return ret ? ret : change(m, VIOMMU_HOST_STOPPED);
}

int vfio_migration_stop(struct vfio_migration *m)
{
	/* In the middle of a transfer it goes on: the file has the rest. */
	if (m->pieces)
		return change(m, VIOMMU_HOST_STOP_COPYING);
	return change(m, VIOMMU_HOST_STOPPED);
}

int vfio_migration_start(struct vfio_migration *m)
{
	int ret = change(m, VIOMMU_HOST_RUNNING);

	vfio_migration_forget(m);
	return ret;
}

static ssize_t read_some(int fd, void *data, size_t length)
{
	ssize_t got;

	do
		got = read(fd, data, length);
	while (got < 0 && errno == EINTR);
	/* ENOMSG: nothing now, and more when the device stops. */
	return got >= 0 ? got : errno == ENOMSG ? 0 : -errno;
}

static int write_all(int fd, const uint8_t *data, size_t length)
{
	while (length) {
		ssize_t put = write(fd, data, length);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put ? -errno : -EIO;
		data += put;
		length -= (size_t)put;
	}
	return 0;
}

static int read_all(int fd, size_t limit, uint8_t **data, size_t *length)
{
	size_t capacity = 0;
	ssize_t got = 1;

	*data = NULL;
	*length = 0;
	while (got > 0 && *length <= limit) {
		if (*length == capacity) {
			uint8_t *grown = realloc(*data, capacity * 2 + PIECE);

			if (!grown)
				return -ENOMEM;
			*data = grown;
			capacity = capacity * 2 + PIECE;
		}
		got = read_some(fd, *data + *length, capacity - *length);
		if (got > 0)
			*length += (size_t)got;
	}
	return *length > limit ? -EFBIG : (int)got;
}

int vfio_migration_save(struct vfio_migration *m, struct viommu_stream_writer *writer)
{
	bool pieces = m->pieces;
	uint8_t *data = NULL;
	size_t length = 0;
	int ret = pieces ? 0 : change(m, VIOMMU_HOST_STOP_COPYING), stopped;

	if (!ret)
		ret = m->fd >= 0 ? read_all(m->fd, m->limit, &data, &length) : -EIO;
	vfio_migration_forget(m);
	stopped = change(m, VIOMMU_HOST_STOPPED);
	ret = ret ? ret : stopped;
	if (!ret) {
		viommu_stream_begin(writer, SECTION, 0, 1);
		viommu_stream_put_u64(writer, TAG_EARLY, pieces);
		viommu_stream_put_bytes(writer, TAG_DATA, data, length);
		viommu_stream_end(writer);
	}
	free(data);
	return ret;
}

/* The last part of the data; the device says whether all of it fits when it leaves RESUMING. */
static int resume(struct vfio_migration *m, const void *data, size_t length)
{
	int ret = m->pieces ? 0 : change(m, VIOMMU_HOST_RESUMING);

	if (!ret)
		ret = m->fd >= 0 ? write_all(m->fd, data, length) : -EIO;
	if (!ret)
		ret = change(m, VIOMMU_HOST_STOPPED);
	return ret;
}

int vfio_migration_load(struct vfio_migration *m, struct viommu_stream_reader *reader, char *message,
			size_t length)
{
	const void *data;
	size_t size;
	uint64_t early;
	uint32_t version;
	int ret = viommu_stream_open(reader, SECTION, 0, 1, &version);

	ret = ret ? ret : viommu_stream_get_u64(reader, TAG_EARLY, &early);
	ret = ret ? ret : viommu_stream_get_bytes(reader, TAG_DATA, &data, &size);
	if (!ret && early != m->pieces)
		ret = -EBADMSG;
	if (ret) {
		snprintf(message, length, "no usable section \"%s\" in the stream", SECTION);
		/* What was written early must not become the device's state. */
		if (m->pieces)
			recover(m);
		return ret == -ENOENT ? -EBADMSG : ret;
	}
	ret = resume(m, data, size);
	vfio_migration_forget(m);
	if (ret) {
		snprintf(message, length, "the physical function refuses the state: %s%s", strerror(-ret),
			 recover(m) ? "; it cannot be reset" : "");
		return ret;
	}
	return 0;
}

int vfio_migration_pieces(struct vfio_migration *m, bool on)
{
	uint32_t now = state_now(m);
	int ret = 0;

	if (on && now != VIOMMU_HOST_STOPPED && !vfio_migration_early(m))
		return -EOPNOTSUPP;
	if (on) {
		ret = change(m, now == VIOMMU_HOST_STOPPED ? VIOMMU_HOST_STOP_COPYING : VIOMMU_HOST_PRE_COPYING);
		m->pieces = !ret;
		return ret;
	}
	if (now == VIOMMU_HOST_PRE_COPYING)
		ret = change(m, VIOMMU_HOST_RUNNING);
	else if (now == VIOMMU_HOST_STOP_COPYING)
		ret = change(m, VIOMMU_HOST_STOPPED);
	vfio_migration_forget(m);
	return ret;
}

int vfio_migration_read_piece(struct vfio_migration *m, void *data, size_t length)
{
	return m->fd >= 0 ? (int)read_some(m->fd, data, length) : -EINVAL;
}

int vfio_migration_write_piece(struct vfio_migration *m, const void *data, size_t length)
{
	int ret = m->pieces ? 0 : change(m, VIOMMU_HOST_RESUMING);

	if (ret)
		return ret;
	m->pieces = true;
	return m->fd >= 0 ? write_all(m->fd, data, length) : -EIO;
}
