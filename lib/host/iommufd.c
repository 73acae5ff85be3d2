/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The iommufd back end. Objects are the kernel's ids; a space is an IOAS with one paging HWPT on it, made with the flags it needs
 * from the start, because a HWPT's flags cannot change later.
 */
#include <errno.h>
#include <unistd.h>

#include "host/abi.h"
#include "host/host.h"
#include "memory/alloc.h"

struct iommufd_space {
	struct viommu_host_space space;
	uint32_t ioas;
};

static struct iommufd_space *iommufd_space(struct viommu_host_space *space)
{
	return (struct iommufd_space *)space;
}

static int destroy(struct viommu_host *host, uint32_t id)
{
	struct abi_destroy request = { .size = sizeof(request), .id = id };

	return host_ioctl(host->fd, ABI_IOMMU_DESTROY, &request);
}

static void iommufd_close(struct viommu_host *host)
{
	viommu_free(host);
}

static void iommufd_device_close(struct viommu_host_device *device)
{
	struct abi_vfio_detach request = { .argsz = sizeof(request) };

	/* PASIDs go when the caller closes the device's fd: there is no request for all of them. */
	host_ioctl(device->fd, ABI_VFIO_DEVICE_DETACH, &request);
	viommu_free(device);
}

static int iommufd_space_create(struct viommu_host_device *device, uint32_t flags,
				struct viommu_host_space **result)
{
	struct abi_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct abi_hwpt_alloc hwpt = {
		.size = sizeof(hwpt),
		.flags = (flags & VIOMMU_SPACE_NEST_PARENT ? ABI_HWPT_NEST_PARENT : 0) |
			 (flags & VIOMMU_SPACE_DIRTY_TRACKING ? ABI_HWPT_DIRTY : 0) |
			 (flags & VIOMMU_SPACE_PASID ? ABI_HWPT_PASID : 0),
		.dev_id = device->id,
		.data_type = ABI_HWPT_DATA_NONE,
	};
	struct iommufd_space *space = viommu_zalloc(sizeof(*space));
	int ret;

	if (!space)
		return -ENOMEM;
	ret = host_ioctl(device->host->fd, ABI_IOMMU_IOAS_ALLOC, &ioas);
	if (ret)
		goto free_space;
	hwpt.pt_id = ioas.out_ioas_id;
	ret = host_ioctl(device->host->fd, ABI_IOMMU_HWPT_ALLOC, &hwpt);
	if (ret)
		goto destroy_ioas;
	space->space.host = device->host;
	space->space.table = hwpt.out_hwpt_id;
	space->space.flags = flags;
	space->ioas = ioas.out_ioas_id;
	*result = &space->space;
	return 0;

destroy_ioas:
	destroy(device->host, ioas.out_ioas_id);
free_space:
	viommu_free(space);
	return ret;
}

static int iommufd_space_destroy(struct viommu_host_space *space)
{
	int ret = destroy(space->host, space->table);

	if (ret)
		return ret;
	ret = destroy(space->host, iommufd_space(space)->ioas);
	viommu_free(space);
	return ret;
}

static int iommufd_map(struct viommu_host_space *space, uint64_t iova, void *hva, uint64_t length,
		       uint32_t access)
{
	struct abi_ioas_map request = {
		.size = sizeof(request),
		.flags = ABI_MAP_FIXED | (access & VIOMMU_READ ? ABI_MAP_READABLE : 0) |
			 (access & VIOMMU_WRITE ? ABI_MAP_WRITEABLE : 0),
		.ioas_id = iommufd_space(space)->ioas,
		.user_va = (uintptr_t)hva,
		.length = length,
		.iova = iova,
	};

	return host_ioctl(space->host->fd, ABI_IOMMU_IOAS_MAP, &request);
}

static int iommufd_unmap(struct viommu_host_space *space, uint64_t iova, uint64_t length)
{
	struct abi_ioas_unmap request = {
		.size = sizeof(request),
		.ioas_id = iommufd_space(space)->ioas,
		.iova = iova,
		.length = length,
	};

	return host_ioctl(space->host->fd, ABI_IOMMU_IOAS_UNMAP, &request);
}

static int iommufd_dirty_set(struct viommu_host_space *space, bool on)
{
	struct abi_hwpt_set_dirty request = {
		.size = sizeof(request), .flags = on, .hwpt_id = space->table,
	};

	return host_ioctl(space->host->fd, ABI_IOMMU_HWPT_SET_DIRTY, &request);
}

static int iommufd_dirty_query(struct viommu_host_space *space, uint64_t iova, uint64_t length,
			       uint64_t *bitmap, bool keep)
{
	struct abi_hwpt_get_dirty request = {
		.size = sizeof(request),
		.hwpt_id = space->table,
		.flags = keep ? ABI_GET_DIRTY_NO_CLEAR : 0,
		.iova = iova,
		.length = length,
		.page_size = HOST_PAGE,
		.data = (uintptr_t)bitmap,
	};

	return host_ioctl(space->host->fd, ABI_IOMMU_HWPT_GET_DIRTY, &request);
}

static int iommufd_attach(struct viommu_host_device *device, uint32_t pasid, uint32_t table)
{
	struct abi_vfio_attach request = { .argsz = sizeof(request), .pt_id = table };

	if (pasid != VIOMMU_NO_PASID) {
		request.flags = 1;
		request.pasid = pasid;
	} else {
		/* Kernels before 6.15 know the structure without its last field. */
		request.argsz = sizeof(request) - sizeof(request.pasid);
	}
	return host_ioctl(device->fd, ABI_VFIO_DEVICE_ATTACH, &request);
}

static int iommufd_detach(struct viommu_host_device *device, uint32_t pasid)
{
	struct abi_vfio_detach request = { .argsz = sizeof(request) };

	if (pasid != VIOMMU_NO_PASID) {
		request.flags = 1;
		request.pasid = pasid;
	} else {
		request.argsz = sizeof(request) - sizeof(request.pasid);
	}
	return host_ioctl(device->fd, ABI_VFIO_DEVICE_DETACH, &request);
}

static int iommufd_nested_create(struct viommu_host_device *device, struct viommu_host_space *parent,
				 const struct viommu_host_first_stage *first, uint32_t *table)
{
	struct abi_hwpt_vtd_s1 data = {
		.flags = (first->supervisor ? ABI_VTD_S1_SRE : 0) |
			 (first->extended ? ABI_VTD_S1_EAFE : 0) |
			 (first->write_protect ? ABI_VTD_S1_WPE : 0),
		.pgtbl_addr = first->root,
		.addr_width = first->width,
	};
	struct abi_hwpt_alloc request = {
		.size = sizeof(request),
		.flags = (first->faults ? ABI_HWPT_FAULT_ID : 0) | (first->pasid ? ABI_HWPT_PASID : 0),
		.dev_id = device->id,
		.pt_id = parent->table,
		.data_type = ABI_HWPT_DATA_VTD_S1,
		.data_len = sizeof(data),
		.data_uptr = (uintptr_t)&data,
		.fault_id = first->faults,
	};
	int ret = host_ioctl(device->host->fd, ABI_IOMMU_HWPT_ALLOC, &request);

	if (!ret)
		*table = request.out_hwpt_id;
	return ret;
}

static int iommufd_invalidate(struct viommu_host *host, uint32_t table,
			      const struct viommu_host_invalidation *entries, uint32_t count,
			      uint32_t *done)
{
	/* viommu_host_invalidation is laid out as the kernel's entry: the array goes over as it is. */
	struct abi_hwpt_invalidate request = {
		.size = sizeof(request),
		.hwpt_id = table,
		.data_uptr = (uintptr_t)entries,
		.data_type = ABI_INVALIDATE_VTD_S1,
		.entry_len = sizeof(struct abi_vtd_s1_invalidate),
		.entry_num = count,
	};
	int ret;

	_Static_assert(sizeof(*entries) == sizeof(struct abi_vtd_s1_invalidate), "entry layout");
	_Static_assert(offsetof(struct viommu_host_invalidation, leaf_only) ==
		       offsetof(struct abi_vtd_s1_invalidate, flags), "entry layout");
	ret = host_ioctl(host->fd, ABI_IOMMU_HWPT_INVALIDATE, &request);
	*done = request.entry_num <= count ? request.entry_num : 0;
	return ret;
}

static int iommufd_faults_create(struct viommu_host *host, uint32_t *faults, int *fd)
{
	struct abi_fault_alloc request = { .size = sizeof(request) };
	int ret = host_ioctl(host->fd, ABI_IOMMU_FAULT_QUEUE_ALLOC, &request);

	if (ret)
		return ret;
	*faults = request.out_fault_id;
	*fd = (int)request.out_fault_fd;
	return 0;
}

static void iommufd_faults_destroy(struct viommu_host *host, uint32_t faults, int fd)
{
	/* The fd holds the object: it goes first. */
	close(fd);
	destroy(host, faults);
}

static uint32_t fault_access(uint32_t perm)
{
	return (perm & ABI_FAULT_READ ? VIOMMU_READ : 0) | (perm & ABI_FAULT_WRITE ? VIOMMU_WRITE : 0) |
	       (perm & ABI_FAULT_EXEC ? VIOMMU_EXECUTE : 0) |
	       (perm & ABI_FAULT_PRIV ? VIOMMU_PRIVILEGED : 0);
}

static int iommufd_faults_read(struct viommu_host *host, int fd, struct viommu_host_fault *faults,
			       uint32_t count)
{
	struct abi_fault *buffer = viommu_calloc(count, sizeof(*buffer));
	ssize_t got;
	int n;

	if (!buffer)
		return -ENOMEM;
	do
		got = read(fd, buffer, count * sizeof(*buffer));
	while (got < 0 && errno == EINTR);
	if (got < 0) {
		n = errno == EAGAIN ? 0 : -errno;
		viommu_free(buffer);
		return n;
	}
	n = (int)((size_t)got / sizeof(*buffer));
	for (int i = 0; i < n; i++) {
		const struct abi_fault *from = &buffer[i];

		faults[i] = (struct viommu_host_fault){
			.device = from->dev_id,
			.pasid = from->flags & ABI_FAULT_PASID ? from->pasid : VIOMMU_NO_PASID,
			.group = from->grpid,
			.access = fault_access(from->perm),
			.address = from->addr,
			.cookie = from->cookie,
			.last = from->flags & ABI_FAULT_LAST,
		};
	}
	viommu_free(buffer);
	return n;
}

static int iommufd_faults_answer(struct viommu_host *host, int fd, uint32_t cookie, bool success)
{
	struct abi_fault_response response = { .cookie = cookie, .code = success ? 0 : 1 };
	ssize_t put;

	do
		put = write(fd, &response, sizeof(response));
	while (put < 0 && errno == EINTR);
	if (put < 0)
		return -errno;
	return put == sizeof(response) ? 0 : -EIO;
}

static const struct host_ops iommufd_ops = {
	.name = "iommufd",
	.close = iommufd_close,
	.device_close = iommufd_device_close,
	.space_create = iommufd_space_create,
	.space_destroy = iommufd_space_destroy,
	.map = iommufd_map,
	.unmap = iommufd_unmap,
	.dirty_set = iommufd_dirty_set,
	.dirty_query = iommufd_dirty_query,
	.attach = iommufd_attach,
	.detach = iommufd_detach,
	.nested_create = iommufd_nested_create,
	.nested_destroy = destroy,
	.invalidate = iommufd_invalidate,
	.faults_create = iommufd_faults_create,
	.faults_destroy = iommufd_faults_destroy,
	.faults_read = iommufd_faults_read,
	.faults_answer = iommufd_faults_answer,
	.log_start = host_vfio_log_start,
	.log_stop = host_vfio_log_stop,
	.log_report = host_vfio_log_report,
};

int viommu_host_open_iommufd(int fd, struct viommu_host **result)
{
	struct viommu_host *host = viommu_zalloc(sizeof(*host));

	if (!host)
		return -ENOMEM;
	host->ops = &iommufd_ops;
	host->fd = fd;
	*result = host;
	return 0;
}

static int read_info(struct viommu_host_device *device)
{
	struct abi_hw_info_vtd vtd = { .cap_reg = 0 };
	struct abi_hw_info request = {
		.size = sizeof(request),
		.dev_id = device->id,
		.data_len = sizeof(vtd),
		.data_uptr = (uintptr_t)&vtd,
	};
	struct viommu_host_info *info = &device->info;
	int ret = host_ioctl(device->host->fd, ABI_IOMMU_GET_HW_INFO, &request);

	if (ret)
		return ret;
	*info = (struct viommu_host_info){
		.size = sizeof(*info),
		.kind = request.out_data_type == ABI_HW_INFO_VTD ? VIOMMU_HOST_VTD : VIOMMU_HOST_UNKNOWN,
		.pasid_bits = request.out_max_pasid_log2,
		.pasid_execute = request.out_capabilities & ABI_HW_CAP_PASID_EXEC,
		.pasid_privileged = request.out_capabilities & ABI_HW_CAP_PASID_PRIV,
		.ats = !(request.out_capabilities & ABI_HW_CAP_NO_ATS),
		.dirty_tracking = request.out_capabilities & ABI_HW_CAP_DIRTY,
		.pasid_attach = request.out_max_pasid_log2 != 0,
		.page_requests = true,
		.page_sizes = HOST_PAGE,
	};
	if (info->kind == VIOMMU_HOST_VTD) {
		info->cap = vtd.cap_reg;
		info->ecap = vtd.ecap_reg;
		/* VT-d 11.4.3: NEST is bit 26, FSTS 47, SSTS 46. */
		info->nesting = vtd.ecap_reg >> 26 & vtd.ecap_reg >> 47 & vtd.ecap_reg >> 46 & 1;
	}
	return 0;
}

int viommu_host_device_open_cdev(struct viommu_host *host, int fd, struct viommu_host_device **result)
{
	struct abi_vfio_bind bind = { .argsz = sizeof(bind), .iommufd = host->fd };
	struct viommu_host_device *device;
	int ret;

	if (host->ops != &iommufd_ops)
		return -EINVAL;
	device = viommu_zalloc(sizeof(*device));
	if (!device)
		return -ENOMEM;
	ret = host_ioctl(fd, ABI_VFIO_DEVICE_BIND, &bind);
	if (ret)
		goto free_device;
	device->host = host;
	device->fd = fd;
	device->id = bind.out_devid;
	ret = read_info(device);
	if (ret)
		goto free_device;
	*result = device;
	return 0;

free_device:
	viommu_free(device);
	return ret;
}
