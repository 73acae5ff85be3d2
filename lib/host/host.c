/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The public face of lib/host: checks arguments and calls the back end.
 */
#include <errno.h>
#include <string.h>

#include "host/host.h"
#include "memory/sized.h"

void viommu_host_close(struct viommu_host *host)
{
	if (host)
		host->ops->close(host);
}

const char *viommu_host_backend(const struct viommu_host *host)
{
	return host->ops->name;
}

void viommu_host_device_close(struct viommu_host_device *device)
{
	if (device)
		device->host->ops->device_close(device);
}

int viommu_host_device_fd(const struct viommu_host_device *device)
{
	return device->fd;
}

uint32_t viommu_host_device_id(const struct viommu_host_device *device)
{
	return device->id;
}

int viommu_host_device_info(const struct viommu_host_device *device, struct viommu_host_info *info)
{
	return sized_export(info, &device->info, sizeof(*info));
}

int viommu_host_space_create(struct viommu_host_device *device, uint32_t flags,
			     struct viommu_host_space **space)
{
	int ret;

	if (flags & ~(VIOMMU_SPACE_NEST_PARENT | VIOMMU_SPACE_DIRTY_TRACKING | VIOMMU_SPACE_PASID))
		return -EINVAL;
	ret = device->host->ops->space_create(device, flags, space);
	if (!ret)
		(*space)->max_dirty_bitmap = device->info.max_dirty_bitmap;
	return ret;
}

int viommu_host_space_destroy(struct viommu_host_space *space)
{
	return space ? space->host->ops->space_destroy(space) : 0;
}

struct viommu_host *viommu_host_space_host(const struct viommu_host_space *space)
{
	return space->host;
}

uint32_t viommu_host_space_table(const struct viommu_host_space *space)
{
	return space->table;
}

static bool sane_range(uint64_t iova, uint64_t length)
{
	return length && !((iova | length) % HOST_PAGE) && length - 1 <= UINT64_MAX - iova;
}

int viommu_host_map(struct viommu_host_space *space, uint64_t iova, void *hva, uint64_t length,
		    uint32_t access)
{
	if (!sane_range(iova, length) || (uintptr_t)hva % HOST_PAGE ||
	    !(access & (VIOMMU_READ | VIOMMU_WRITE)) || access & ~(VIOMMU_READ | VIOMMU_WRITE))
		return -EINVAL;
	return space->host->ops->map(space, iova, hva, length, access);
}

int viommu_host_unmap(struct viommu_host_space *space, uint64_t iova, uint64_t length)
{
	if (!sane_range(iova, length))
		return -EINVAL;
	return space->host->ops->unmap(space, iova, length);
}

int viommu_host_unmap_dirty(struct viommu_host_space *space, uint64_t iova, uint64_t length,
			    uint64_t *bitmap)
{
	if (!sane_range(iova, length) || !bitmap)
		return -EINVAL;
	if (!space->host->ops->unmap_dirty)
		return -EOPNOTSUPP;
	return space->host->ops->unmap_dirty(space, iova, length, bitmap);
}

int viommu_host_dirty_start(struct viommu_host_space *space)
{
	return space->host->ops->dirty_set ? space->host->ops->dirty_set(space, true) : -EOPNOTSUPP;
}

int viommu_host_dirty_stop(struct viommu_host_space *space)
{
	return space->host->ops->dirty_set ? space->host->ops->dirty_set(space, false) : -EOPNOTSUPP;
}

int viommu_host_dirty_query(struct viommu_host_space *space, uint64_t iova, uint64_t length,
			    uint64_t *bitmap, bool keep)
{
	if (!sane_range(iova, length) || !bitmap)
		return -EINVAL;
	if (!space->host->ops->dirty_query)
		return -EOPNOTSUPP;
	return space->host->ops->dirty_query(space, iova, length, bitmap, keep);
}

int viommu_host_attach(struct viommu_host_device *device, uint32_t pasid, uint32_t table)
{
	if (pasid != VIOMMU_NO_PASID && pasid > VIOMMU_PASID_MAX)
		return -EINVAL;
	return device->host->ops->attach(device, pasid, table);
}

int viommu_host_detach(struct viommu_host_device *device, uint32_t pasid)
{
	if (pasid != VIOMMU_NO_PASID && pasid > VIOMMU_PASID_MAX)
		return -EINVAL;
	return device->host->ops->detach(device, pasid);
}

int viommu_host_nested_create(struct viommu_host_device *device, struct viommu_host_space *parent,
			      const struct viommu_host_first_stage *first, uint32_t *table)
{
	struct viommu_host_first_stage known;
	int error = sized_import(&known, sizeof(known), first);

	if (error)
		return error;
	if (parent->host != device->host || (known.width != 48 && known.width != 57) ||
	    known.root % HOST_PAGE)
		return -EINVAL;
	if (!device->host->ops->nested_create)
		return -EOPNOTSUPP;
	return device->host->ops->nested_create(device, parent, &known, table);
}

int viommu_host_nested_destroy(struct viommu_host *host, uint32_t table)
{
	return host->ops->nested_destroy ? host->ops->nested_destroy(host, table) : -EOPNOTSUPP;
}

int viommu_host_invalidate(struct viommu_host *host, uint32_t table,
			   const struct viommu_host_invalidation *entries, uint32_t count,
			   uint32_t *done)
{
	uint32_t ignored;

	if (!host->ops->invalidate)
		return -EOPNOTSUPP;
	return host->ops->invalidate(host, table, entries, count, done ? done : &ignored);
}

int viommu_host_faults_create(struct viommu_host *host, uint32_t *faults, int *fd)
{
	return host->ops->faults_create ? host->ops->faults_create(host, faults, fd) : -EOPNOTSUPP;
}

void viommu_host_faults_destroy(struct viommu_host *host, uint32_t faults, int fd)
{
	if (host->ops->faults_destroy)
		host->ops->faults_destroy(host, faults, fd);
}

int viommu_host_faults_read(struct viommu_host *host, int fd, struct viommu_host_fault *faults,
			    uint32_t count)
{
	if (!host->ops->faults_read)
		return -EOPNOTSUPP;
	return count < 64 ? -EINVAL : host->ops->faults_read(host, fd, faults, count);
}

int viommu_host_faults_answer(struct viommu_host *host, int fd, uint32_t cookie, bool success)
{
	if (!host->ops->faults_answer)
		return -EOPNOTSUPP;
	return host->ops->faults_answer(host, fd, cookie, success);
}

int viommu_host_device_log_start(struct viommu_host_device *device,
				 const struct viommu_host_range *ranges, uint32_t count)
{
	return device->host->ops->log_start(device, ranges, count);
}

int viommu_host_device_log_stop(struct viommu_host_device *device)
{
	return device->host->ops->log_stop(device);
}

int viommu_host_device_log_report(struct viommu_host_device *device, uint64_t iova, uint64_t length,
				  uint64_t *bitmap)
{
	if (!sane_range(iova, length) || !bitmap)
		return -EINVAL;
	return device->host->ops->log_report(device, iova, length, bitmap);
}
