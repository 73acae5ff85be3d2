/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a VFIO device offers on its own fd, the same in both of the kernel's back ends: DMA logging and migration.
 */
#include <errno.h>
#include <string.h>

#include "host/abi.h"
#include "host/host.h"

int host_ioctl(int fd, unsigned long request, void *argument)
{
	int ret;

	do
		ret = ioctl(fd, request, argument);
	while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

static int feature(struct viommu_host_device *device, void *argument, uint32_t size, uint32_t flags)
{
	struct abi_feature *header = argument;

	if (device->fd < 0)
		return -ENOTTY;
	header->argsz = size;
	header->flags = flags;
	return host_ioctl(device->fd, ABI_VFIO_DEVICE_FEATURE, argument);
}

int host_vfio_log_start(struct viommu_host_device *device, const struct viommu_host_range *ranges,
			uint32_t count)
{
	struct abi_feature_log_start start = {
		.page_size = HOST_PAGE,
		.num_ranges = count,
		.ranges = (uintptr_t)ranges, /* {iova, length}, as the kernel has them */
	};

	return feature(device, &start, sizeof(start), ABI_FEATURE_SET | ABI_FEATURE_LOG_START);
}

int host_vfio_log_stop(struct viommu_host_device *device)
{
	struct abi_feature stop;

	return feature(device, &stop, sizeof(stop), ABI_FEATURE_SET | ABI_FEATURE_LOG_STOP);
}

int host_vfio_log_report(struct viommu_host_device *device, uint64_t iova, uint64_t length,
			 uint64_t *bitmap)
{
	struct abi_feature_log_report report = {
		.iova = iova,
		.length = length,
		.page_size = HOST_PAGE,
		.bitmap = (uintptr_t)bitmap,
	};

	return feature(device, &report, sizeof(report), ABI_FEATURE_GET | ABI_FEATURE_LOG_REPORT);
}

bool viommu_host_device_can_log(struct viommu_host_device *device)
{
	struct abi_feature probe;

	if (device->fd < 0)
		return device->host->ops->log_start != host_vfio_log_start &&
		       device->host->ops->log_stop(device) != -ENOTTY;
	return !feature(device, &probe, sizeof(probe),
			ABI_FEATURE_PROBE | ABI_FEATURE_SET | ABI_FEATURE_LOG_START);
}

int viommu_host_device_migration_flags(struct viommu_host_device *device, uint64_t *flags)
{
	struct abi_feature_migration migration = { .flags = 0 };
	int ret;

	if (device->host->ops->migration_flags)
		return device->host->ops->migration_flags(device, flags);
	ret = feature(device, &migration, sizeof(migration), ABI_FEATURE_GET | ABI_FEATURE_MIGRATION);

	if (!ret)
		*flags = migration.flags;
	return ret;
}

int viommu_host_device_migration_state(struct viommu_host_device *device, uint32_t state, int *data_fd)
{
	struct abi_feature_state wanted = { .state = state, .data_fd = -1 };
	int ret;

	if (device->host->ops->migration_state)
		return device->host->ops->migration_state(device, state, data_fd);
	ret = feature(device, &wanted, sizeof(wanted), ABI_FEATURE_SET | ABI_FEATURE_MIGRATION_STATE);

	if (!ret)
		*data_fd = wanted.data_fd;
	return ret;
}

int viommu_host_device_migration_query(struct viommu_host_device *device, uint32_t *state)
{
	struct abi_feature_state now = { .data_fd = -1 };
	int ret;

	if (device->host->ops->migration_query)
		return device->host->ops->migration_query(device, state);
	ret = feature(device, &now, sizeof(now), ABI_FEATURE_GET | ABI_FEATURE_MIGRATION_STATE);

	if (!ret)
		*state = now.state;
	return ret;
}

int viommu_host_device_reset(struct viommu_host_device *device)
{
	if (device->host->ops->reset)
		return device->host->ops->reset(device);
	return device->fd < 0 ? -ENOTTY : host_ioctl(device->fd, ABI_VFIO_DEVICE_RESET, NULL);
}
