/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The model's VFIO migration, version 2, without the peer-to-peer states: transitions, a file for the data, and a state that is some
 * bytes a test gives the device.
 *
 * The transfer is a header, readable from PRE_COPY on, and the bytes, there from STOP_COPY on. A destination is told at the end of
 * RESUMING whether they fit; what does not fit puts the device in error, out of which only a reset leads.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/model.h"
#include "memory/alloc.h"

#define HEADER_MAGIC UINT64_C(0x31454c444f4d)

struct header {
	uint64_t magic;
	uint64_t limit; /* VIOMMU_HOST_MODEL_STATE of the source */
};

static struct model_migration *migration_of(struct viommu_host_device *device)
{
	return &model_device(device)->migration;
}

static void end_transfer(struct model_migration *m)
{
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
}

/* A file of the transfer: ours to write or read, *data_fd the caller's, with a position of its own. */
static int begin_transfer(struct model_migration *m, int *data_fd)
{
	char path[64] = "/proc/self/fd/";
	char digits[12];
	int fd = memfd_create("migration", MFD_CLOEXEC), n = 0, i = (int)strlen(path);

	if (fd < 0)
		return -errno;
	for (int rest = fd; rest || !n; rest /= 10)
		digits[n++] = (char)('0' + rest % 10);
	while (n)
		path[i++] = digits[--n];
	*data_fd = open(path, O_RDWR | O_CLOEXEC);
	if (*data_fd < 0) {
		close(fd);
		return -EMFILE;
	}
	end_transfer(m);
	m->fd = fd;
	return 0;
}

static int put(struct model_migration *m, const void *data, size_t length)
{
	return write(m->fd, data, length) == (ssize_t)length ? 0 : -EIO;
}

static int begin_saving(struct model_migration *m, int *data_fd)
{
	struct header header = { HEADER_MAGIC, VIOMMU_HOST_MODEL_STATE };
	int ret = begin_transfer(m, data_fd);

	return ret ? ret : put(m, &header, sizeof(header));
}

static int finish_loading(struct model_migration *m)
{
	struct header header;
	ssize_t length = pread(m->fd, &header, sizeof(header), 0);
	uint8_t byte;

	if (length != sizeof(header) || header.magic != HEADER_MAGIC || header.limit != VIOMMU_HOST_MODEL_STATE ||
	    pread(m->fd, &byte, 1, (off_t)(sizeof(header) + VIOMMU_HOST_MODEL_STATE)) > 0)
		return -EINVAL;
	length = pread(m->fd, m->data, VIOMMU_HOST_MODEL_STATE, sizeof(header));
	if (length < 0)
		return -EIO;
	m->length = (size_t)length;
	end_transfer(m);
	return 0;
}

/* One arc between neighbours. */
static int arc(struct model_migration *m, uint32_t to, int *data_fd)
{
	int ret;

	switch (to) {
	case VIOMMU_HOST_PRE_COPYING:
		return begin_saving(m, data_fd);
	case VIOMMU_HOST_STOP_COPYING:
		ret = m->state == VIOMMU_HOST_PRE_COPYING ? 0 : begin_saving(m, data_fd);
		return ret ? ret : put(m, m->data, m->length);
	case VIOMMU_HOST_RESUMING:
		return begin_transfer(m, data_fd);
	default:
		if (m->state == VIOMMU_HOST_RESUMING)
			return finish_loading(m);
		end_transfer(m);
		return 0;
	}
}

/* The shortest way; the states in which data is saved are not passed through. */
static uint32_t next_state(uint32_t from, uint32_t to)
{
	switch (from) {
	case VIOMMU_HOST_RUNNING:
		return to == VIOMMU_HOST_PRE_COPYING ? to : VIOMMU_HOST_STOPPED;
	case VIOMMU_HOST_PRE_COPYING:
		return to == VIOMMU_HOST_STOP_COPYING ? to : VIOMMU_HOST_RUNNING;
	case VIOMMU_HOST_STOPPED:
		return to == VIOMMU_HOST_PRE_COPYING ? VIOMMU_HOST_RUNNING : to;
	default:
		return VIOMMU_HOST_STOPPED;
	}
}

static int check(const struct model_device *device, uint32_t to)
{
	uint32_t from = device->migration.state;

	if (!(device->options.migration & VIOMMU_HOST_STOP_COPY))
		return -ENOTTY;
	if (to == VIOMMU_HOST_PRE_COPYING &&
	    (!(device->options.migration & VIOMMU_HOST_PRE_COPY) || from == VIOMMU_HOST_STOP_COPYING))
		return -EINVAL;
	if (from == VIOMMU_HOST_ERROR || to == VIOMMU_HOST_ERROR || to > VIOMMU_HOST_PRE_COPYING || to == VIOMMU_HOST_RUNNING_P2P)
		return -EINVAL;
	return 0;
}

static int change(struct model_host *host, struct model_device *device, uint32_t to, int *data_fd)
{
	struct model_migration *m = &device->migration;
	int ret = check(device, to);

	while (!ret && m->state != to) {
		uint32_t next = next_state(m->state, to);

		ret = model_gate(host, VIOMMU_HOST_MIGRATE);
		if (!ret)
			ret = arc(m, next, data_fd);
		if (!ret)
			m->state = next;
		else if (m->state == VIOMMU_HOST_RESUMING)
			m->state = VIOMMU_HOST_ERROR;
	}
	return ret;
}

int model_migration_state(struct viommu_host_device *device, uint32_t state, int *data_fd)
{
	struct model_host *host = model_host(device->host);
	int fd = -1, ret;

	pthread_mutex_lock(&host->lock);
	ret = change(host, model_device(device), state, &fd);
	pthread_mutex_unlock(&host->lock);
	if (ret && fd >= 0)
		close(fd);
	else
		*data_fd = fd;
	return ret;
}

int model_migration_flags(struct viommu_host_device *device, uint64_t *flags)
{
	*flags = model_device(device)->options.migration;
	return *flags ? 0 : -ENOTTY;
}

int model_migration_query(struct viommu_host_device *device, uint32_t *state)
{
	struct model_host *host = model_host(device->host);

	pthread_mutex_lock(&host->lock);
	*state = migration_of(device)->state;
	pthread_mutex_unlock(&host->lock);
	return model_device(device)->options.migration ? 0 : -ENOTTY;
}

int model_reset(struct viommu_host_device *device)
{
	struct model_host *host = model_host(device->host);
	struct model_migration *m = migration_of(device);

	pthread_mutex_lock(&host->lock);
	end_transfer(m);
	m->state = VIOMMU_HOST_RUNNING;
	m->length = 0;
	pthread_mutex_unlock(&host->lock);
	return 0;
}

void model_migration_free(struct model_device *device)
{
	end_transfer(&device->migration);
	viommu_free(device->migration.data);
}

bool model_migration_runs(const struct model_device *device)
{
	return device->migration.state == VIOMMU_HOST_RUNNING || device->migration.state == VIOMMU_HOST_PRE_COPYING;
}

int viommu_host_model_set_state(struct viommu_host_device *device, const void *data, size_t length)
{
	struct model_host *host = model_host(device->host);
	struct model_migration *m = migration_of(device);

	if (length > VIOMMU_HOST_MODEL_STATE || !m->data)
		return -EINVAL;
	pthread_mutex_lock(&host->lock);
	memcpy(m->data, data, length);
	m->length = length;
	pthread_mutex_unlock(&host->lock);
	return 0;
}

size_t viommu_host_model_get_state(struct viommu_host_device *device, void *data, size_t room)
{
	struct model_host *host = model_host(device->host);
	struct model_migration *m = migration_of(device);
	size_t length;

	pthread_mutex_lock(&host->lock);
	length = m->length;
	if (m->data)
		memcpy(data, m->data, length < room ? length : room);
	pthread_mutex_unlock(&host->lock);
	return length;
}
