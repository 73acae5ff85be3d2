/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The legacy back end: a VFIO container with the type1 (v2) IOMMU. A container is one space for every group in it; a device has it
 * attached from the moment its group joins. "Detached" is an empty space, which only the caller can make.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/abi.h"
#include "host/host.h"
#include "memory/alloc.h"
#include "memory/memory_internal.h"

struct type1_host {
	struct viommu_host host;
	struct viommu_host_space *space; /* the only one, NULL: not handed out */
	uint32_t devices;
	bool typed;                      /* VFIO_SET_IOMMU has been done */
	bool dirty_tracking;
	uint64_t page_sizes;
	uint64_t max_dirty_bitmap;
};

struct type1_device {
	struct viommu_host_device device;
	int group;
};

static struct type1_host *type1_host(struct viommu_host *host)
{
	return (struct type1_host *)host;
}

static void type1_close(struct viommu_host *host)
{
	viommu_free(host);
}

static void type1_device_close(struct viommu_host_device *device)
{
	struct type1_host *host = type1_host(device->host);

	close(device->fd);
	host_ioctl(((struct type1_device *)device)->group, ABI_VFIO_GROUP_UNSET_CONTAINER, NULL);
	/* The container forgets its type with its last group. */
	if (!--host->devices)
		host->typed = false;
	viommu_free(device);
}

static int type1_space_create(struct viommu_host_device *device, uint32_t flags,
			      struct viommu_host_space **space)
{
	struct type1_host *host = type1_host(device->host);

	if (flags & ~VIOMMU_SPACE_DIRTY_TRACKING ||
	    (flags & VIOMMU_SPACE_DIRTY_TRACKING && !host->dirty_tracking))
		return -EOPNOTSUPP;
	if (host->space)
		return -EBUSY;
	host->space = viommu_zalloc(sizeof(*host->space));
	if (!host->space)
		return -ENOMEM;
	*host->space = (struct viommu_host_space){ .host = device->host, .table = 1, .flags = flags };
	*space = host->space;
	return 0;
}

static int type1_unmap(struct viommu_host_space *space, uint64_t iova, uint64_t length);

static int type1_space_destroy(struct viommu_host_space *space)
{
	struct type1_host *host = type1_host(space->host);

	/* Two halves: the whole 2^64 bytes are no length. */
	type1_unmap(space, 0, UINT64_C(1) << 63);
	type1_unmap(space, UINT64_C(1) << 63, UINT64_C(1) << 63);
	host->space = NULL;
	viommu_free(space);
	return 0;
}

static int type1_map(struct viommu_host_space *space, uint64_t iova, void *hva, uint64_t length,
		     uint32_t access)
{
	struct abi_dma_map request = {
		.argsz = sizeof(request),
		.flags = (access & VIOMMU_READ ? ABI_DMA_READ : 0) |
			 (access & VIOMMU_WRITE ? ABI_DMA_WRITE : 0),
		.vaddr = (uintptr_t)hva,
		.iova = iova,
		.size = length,
	};

	return host_ioctl(space->host->fd, ABI_VFIO_IOMMU_MAP_DMA, &request);
}

/* Type1 says how much it unmapped, iommufd refuses when that is nothing: the latter is our rule. */
static int unmapped(int ret, uint64_t size)
{
	return ret ? ret : size ? 0 : -ENOENT;
}

static int type1_unmap(struct viommu_host_space *space, uint64_t iova, uint64_t length)
{
	struct abi_dma_unmap request = {
		.argsz = offsetof(struct abi_dma_unmap, bitmap), .iova = iova, .size = length,
	};
	int ret = host_ioctl(space->host->fd, ABI_VFIO_IOMMU_UNMAP_DMA, &request);

	/* A mapping that straddles an edge is -EINVAL here. */
	return unmapped(ret == -EINVAL ? -ENOENT : ret, request.size);
}

/* The kernel overwrites the bitmap it is given; ours is ORed into. */
static uint64_t *scratch(const struct type1_host *host, uint64_t length, uint64_t *bytes)
{
	*bytes = (length / HOST_PAGE + 63) / 64 * 8;
	if (host->max_dirty_bitmap && *bytes > host->max_dirty_bitmap)
		return NULL;
	return viommu_zalloc(*bytes);
}

static int scratch_error(const struct type1_host *host, uint64_t bytes)
{
	return host->max_dirty_bitmap && bytes > host->max_dirty_bitmap ? -E2BIG : -ENOMEM;
}

static int type1_unmap_dirty(struct viommu_host_space *space, uint64_t iova, uint64_t length,
			     uint64_t *bitmap)
{
	struct type1_host *host = type1_host(space->host);
	uint64_t bytes, *mine = scratch(host, length, &bytes);
	struct abi_dma_unmap request = {
		.argsz = sizeof(request),
		.flags = ABI_UNMAP_GET_DIRTY,
		.iova = iova,
		.size = length,
		.bitmap = { .page_size = HOST_PAGE, .size = bytes, .data = (uintptr_t)mine },
	};
	int ret;

	if (!mine)
		return scratch_error(host, bytes);
	ret = host_ioctl(space->host->fd, ABI_VFIO_IOMMU_UNMAP_DMA, &request);
	if (!ret)
		memory_bitmap_merge(bitmap, 0, mine, 0, length / HOST_PAGE);
	viommu_free(mine);
	return unmapped(ret, request.size);
}

static int type1_dirty_set(struct viommu_host_space *space, bool on)
{
	struct abi_dirty_bitmap request = {
		.argsz = offsetof(struct abi_dirty_bitmap, iova),
		.flags = on ? ABI_DIRTY_START : ABI_DIRTY_STOP,
	};

	return host_ioctl(space->host->fd, ABI_VFIO_IOMMU_DIRTY_PAGES, &request);
}

/* `keep` cannot be had: the bits are cleared, and the caller must have merged them, which ORing does. */
static int type1_dirty_query(struct viommu_host_space *space, uint64_t iova, uint64_t length,
			     uint64_t *bitmap, bool keep)
{
	struct type1_host *host = type1_host(space->host);
	uint64_t bytes, *mine = scratch(host, length, &bytes);
	struct abi_dirty_bitmap request = {
		.argsz = sizeof(request),
		.flags = ABI_DIRTY_GET,
		.iova = iova,
		.size = length,
		.bitmap = { .page_size = HOST_PAGE, .size = bytes, .data = (uintptr_t)mine },
	};
	int ret;

	if (!mine)
		return scratch_error(host, bytes);
	ret = host_ioctl(space->host->fd, ABI_VFIO_IOMMU_DIRTY_PAGES, &request);
	if (!ret)
		memory_bitmap_merge(bitmap, 0, mine, 0, length / HOST_PAGE);
	viommu_free(mine);
	return ret;
}

static int type1_attach(struct viommu_host_device *device, uint32_t pasid, uint32_t table)
{
	struct type1_host *host = type1_host(device->host);

	if (pasid != VIOMMU_NO_PASID)
		return -EOPNOTSUPP;
	return host->space && table == host->space->table ? 0 : -EINVAL;
}

static int type1_detach(struct viommu_host_device *device, uint32_t pasid)
{
	return -EOPNOTSUPP;
}

static const struct host_ops type1_ops = {
	.name = "type1",
	.close = type1_close,
	.device_close = type1_device_close,
	.space_create = type1_space_create,
	.space_destroy = type1_space_destroy,
	.map = type1_map,
	.unmap = type1_unmap,
	.unmap_dirty = type1_unmap_dirty,
	.dirty_set = type1_dirty_set,
	.dirty_query = type1_dirty_query,
	.attach = type1_attach,
	.detach = type1_detach,
	.log_start = host_vfio_log_start,
	.log_stop = host_vfio_log_stop,
	.log_report = host_vfio_log_report,
};

int viommu_host_open_type1(int fd, struct viommu_host **result)
{
	struct type1_host *host;

	if (host_ioctl(fd, ABI_VFIO_CHECK_EXTENSION, (void *)(uintptr_t)ABI_VFIO_TYPE1V2) <= 0)
		return -EOPNOTSUPP;
	host = viommu_zalloc(sizeof(*host));
	if (!host)
		return -ENOMEM;
	host->host.ops = &type1_ops;
	host->host.fd = fd;
	*result = &host->host;
	return 0;
}

/* Find the migration capability in the chain behind the information; offsets are the kernel's, but checked. */
static void read_capabilities(struct type1_host *host, const uint8_t *bytes, uint32_t size)
{
	const struct abi_type1_info *info = (const void *)bytes;
	uint32_t at = info->flags & ABI_TYPE1_CAPS ? info->cap_offset : 0;

	host->page_sizes = info->flags & ABI_TYPE1_PAGE_SIZES ? info->page_sizes : HOST_PAGE;
	for (unsigned int hops = 0; at && hops < 32; hops++) {
		struct abi_type1_cap_migration migration;
		struct abi_cap_header header;

		if (at > size - sizeof(header))
			return;
		memcpy(&header, bytes + at, sizeof(header));
		if (header.id == ABI_TYPE1_CAP_MIGRATION && at <= size - sizeof(migration)) {
			memcpy(&migration, bytes + at, sizeof(migration));
			host->dirty_tracking = migration.page_sizes & HOST_PAGE;
			host->max_dirty_bitmap = migration.max_dirty_bitmap;
			return;
		}
		at = header.next;
	}
}

static int read_info(struct type1_host *host)
{
	struct abi_type1_info first = { .argsz = sizeof(first) };
	int ret = host_ioctl(host->host.fd, ABI_VFIO_IOMMU_GET_INFO, &first);
	struct abi_type1_info *info;
	uint32_t size = first.argsz;

	if (ret)
		return ret;
	if (size < sizeof(first) || size > 65536)
		return -EPROTO;
	info = viommu_zalloc(size);
	if (!info)
		return -ENOMEM;
	info->argsz = size;
	ret = host_ioctl(host->host.fd, ABI_VFIO_IOMMU_GET_INFO, info);
	if (!ret)
		read_capabilities(host, (const uint8_t *)info, size);
	viommu_free(info);
	return ret;
}

static int join(struct type1_host *host, int group)
{
	struct abi_vfio_group_status status = { .argsz = sizeof(status) };
	int container = host->host.fd;
	int ret = host_ioctl(group, ABI_VFIO_GROUP_GET_STATUS, &status);

	if (ret)
		return ret;
	if (!(status.flags & ABI_VFIO_GROUP_VIABLE))
		return -EPERM; /* another driver holds a device of the group */
	ret = host_ioctl(group, ABI_VFIO_GROUP_SET_CONTAINER, &container);
	if (ret || host->typed)
		return ret;
	ret = host_ioctl(container, ABI_VFIO_SET_IOMMU, (void *)(uintptr_t)ABI_VFIO_TYPE1V2);
	if (!ret)
		ret = read_info(host);
	if (ret)
		host_ioctl(group, ABI_VFIO_GROUP_UNSET_CONTAINER, NULL);
	else
		host->typed = true;
	return ret;
}

int viommu_host_device_open_group(struct viommu_host *base, int fd, const char *name,
				  struct viommu_host_device **result)
{
	struct type1_host *host = type1_host(base);
	struct type1_device *device;
	int ret;

	if (base->ops != &type1_ops || !name)
		return -EINVAL;
	device = viommu_zalloc(sizeof(*device));
	if (!device)
		return -ENOMEM;
	ret = join(host, fd);
	if (ret)
		goto free_device;
	ret = host_ioctl(fd, ABI_VFIO_GROUP_GET_DEVICE_FD, (void *)(uintptr_t)name);
	if (ret < 0)
		goto leave;
	device->group = fd;
	device->device.host = base;
	device->device.fd = ret;
	device->device.id = ++host->devices;
	device->device.single_space = true;
	device->device.info = (struct viommu_host_info){
		.size = sizeof(device->device.info),
		.dirty_tracking = host->dirty_tracking,
		.max_dirty_bitmap = host->max_dirty_bitmap,
		.page_sizes = host->page_sizes,
	};
	*result = &device->device;
	return 0;

leave:
	host_ioctl(fd, ABI_VFIO_GROUP_UNSET_CONTAINER, NULL);
	if (!host->devices)
		host->typed = false;
free_device:
	viommu_free(device);
	return ret;
}
