/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our account of the kernel's interface against the kernel's own headers, where they are installed: request numbers,
 * sizes and offsets. Sizes are also pinned to the numbers of Linux 7.2, which hold everywhere.
 */
#include <linux/version.h>
#include <stddef.h>
#include <stdio.h>

#include <viommu/host.h>

#include "host/abi.h"

/* What is an enumerator or a field in those headers no #ifdef can ask for: their version tells. */
#define HEADERS_SINCE(major, minor) (LINUX_VERSION_CODE >= KERNEL_VERSION(major, minor, 0))

#define SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)
SIZE(abi_destroy, 8);
SIZE(abi_ioas_alloc, 12);
SIZE(abi_ioas_map, 40);
SIZE(abi_ioas_unmap, 24);
SIZE(abi_hwpt_alloc, 48);
SIZE(abi_hwpt_vtd_s1, 24);
SIZE(abi_hw_info, 40);
SIZE(abi_hw_info_vtd, 24);
SIZE(abi_hwpt_set_dirty, 16);
SIZE(abi_hwpt_get_dirty, 48);
SIZE(abi_vtd_s1_invalidate, 24);
SIZE(abi_hwpt_invalidate, 32);
SIZE(abi_fault_alloc, 16);
SIZE(abi_fault, 40);
SIZE(abi_fault_response, 8);
SIZE(abi_vfio_bind, 16);
SIZE(abi_vfio_attach, 16);
SIZE(abi_vfio_detach, 12);
SIZE(abi_dma_map, 32);
SIZE(abi_dma_unmap, 48);
SIZE(abi_dirty_bitmap, 48);
SIZE(abi_feature_log_start, 32);
SIZE(abi_feature_log_report, 40);

#define SAME(ours, theirs) _Static_assert((unsigned long)(ours) == (unsigned long)(theirs), #ours)
#define AT(ours, our_field, theirs, their_field) \
	SAME(offsetof(struct ours, our_field), offsetof(struct theirs, their_field))

#if __has_include(<linux/vfio.h>)
#include <linux/vfio.h>
SAME(ABI_VFIO_SET_IOMMU, VFIO_SET_IOMMU);
SAME(ABI_VFIO_CHECK_EXTENSION, VFIO_CHECK_EXTENSION);
SAME(ABI_VFIO_GROUP_GET_STATUS, VFIO_GROUP_GET_STATUS);
SAME(ABI_VFIO_GROUP_SET_CONTAINER, VFIO_GROUP_SET_CONTAINER);
SAME(ABI_VFIO_GROUP_UNSET_CONTAINER, VFIO_GROUP_UNSET_CONTAINER);
SAME(ABI_VFIO_GROUP_GET_DEVICE_FD, VFIO_GROUP_GET_DEVICE_FD);
SAME(ABI_VFIO_IOMMU_GET_INFO, VFIO_IOMMU_GET_INFO);
SAME(ABI_VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_MAP_DMA);
SAME(ABI_VFIO_IOMMU_UNMAP_DMA, VFIO_IOMMU_UNMAP_DMA);
SAME(ABI_VFIO_IOMMU_DIRTY_PAGES, VFIO_IOMMU_DIRTY_PAGES);
SAME(ABI_VFIO_DEVICE_FEATURE, VFIO_DEVICE_FEATURE);
SAME(ABI_VFIO_DEVICE_RESET, VFIO_DEVICE_RESET);
#if HEADERS_SINCE(6, 1)
SAME(VIOMMU_HOST_STOP_COPY, VFIO_MIGRATION_STOP_COPY);
SAME(VIOMMU_HOST_ERROR, VFIO_DEVICE_STATE_ERROR);
SAME(VIOMMU_HOST_STOPPED, VFIO_DEVICE_STATE_STOP);
SAME(VIOMMU_HOST_RUNNING, VFIO_DEVICE_STATE_RUNNING);
SAME(VIOMMU_HOST_STOP_COPYING, VFIO_DEVICE_STATE_STOP_COPY);
SAME(VIOMMU_HOST_RESUMING, VFIO_DEVICE_STATE_RESUMING);
SAME(VIOMMU_HOST_RUNNING_P2P, VFIO_DEVICE_STATE_RUNNING_P2P);
#endif
#if HEADERS_SINCE(6, 2)
SAME(VIOMMU_HOST_PRE_COPY, VFIO_MIGRATION_PRE_COPY);
SAME(VIOMMU_HOST_PRE_COPYING, VFIO_DEVICE_STATE_PRE_COPY);
#endif
SAME(sizeof(struct abi_dma_map), sizeof(struct vfio_iommu_type1_dma_map));
AT(abi_dma_unmap, bitmap, vfio_iommu_type1_dma_unmap, data);
AT(abi_dirty_bitmap, iova, vfio_iommu_type1_dirty_bitmap, data);
SAME(sizeof(struct abi_vfio_bitmap), sizeof(struct vfio_bitmap));
AT(abi_type1_info, cap_offset, vfio_iommu_type1_info, cap_offset);
AT(abi_type1_cap_migration, max_dirty_bitmap, vfio_iommu_type1_info_cap_migration, max_dirty_bitmap_size);
#ifdef VFIO_DEVICE_ATTACH_PASID
SAME(ABI_VFIO_DEVICE_BIND, VFIO_DEVICE_BIND_IOMMUFD);
SAME(ABI_VFIO_DEVICE_ATTACH, VFIO_DEVICE_ATTACH_IOMMUFD_PT);
SAME(ABI_VFIO_DEVICE_DETACH, VFIO_DEVICE_DETACH_IOMMUFD_PT);
AT(abi_vfio_attach, pasid, vfio_device_attach_iommufd_pt, pasid);
AT(abi_vfio_detach, pasid, vfio_device_detach_iommufd_pt, pasid);
AT(abi_vfio_bind, out_devid, vfio_device_bind_iommufd, out_devid);
#endif
#ifdef VFIO_DEVICE_FEATURE_DMA_LOGGING_START
SAME(ABI_FEATURE_LOG_START, VFIO_DEVICE_FEATURE_DMA_LOGGING_START);
SAME(ABI_FEATURE_LOG_REPORT, VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT);
SAME(ABI_FEATURE_MIGRATION_STATE, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE);
#endif
#endif

#if __has_include(<linux/iommufd.h>) && HEADERS_SINCE(6, 8)
#include <linux/iommufd.h>

SAME(ABI_IOMMU_DESTROY, IOMMU_DESTROY);
SAME(ABI_IOMMU_IOAS_ALLOC, IOMMU_IOAS_ALLOC);
SAME(ABI_IOMMU_IOAS_MAP, IOMMU_IOAS_MAP);
SAME(ABI_IOMMU_IOAS_UNMAP, IOMMU_IOAS_UNMAP);
SAME(ABI_IOMMU_HWPT_ALLOC, IOMMU_HWPT_ALLOC);
SAME(ABI_IOMMU_GET_HW_INFO, IOMMU_GET_HW_INFO);
SAME(ABI_IOMMU_HWPT_SET_DIRTY, IOMMU_HWPT_SET_DIRTY_TRACKING);
SAME(ABI_IOMMU_HWPT_GET_DIRTY, IOMMU_HWPT_GET_DIRTY_BITMAP);
SAME(ABI_IOMMU_HWPT_INVALIDATE, IOMMU_HWPT_INVALIDATE);
AT(abi_ioas_map, iova, iommu_ioas_map, iova);
AT(abi_ioas_unmap, length, iommu_ioas_unmap, length);
AT(abi_hwpt_alloc, data_uptr, iommu_hwpt_alloc, data_uptr);
AT(abi_hwpt_vtd_s1, addr_width, iommu_hwpt_vtd_s1, addr_width);
AT(abi_hw_info, out_capabilities, iommu_hw_info, out_capabilities);
AT(abi_hwpt_get_dirty, data, iommu_hwpt_get_dirty_bitmap, data);
AT(abi_hwpt_invalidate, entry_num, iommu_hwpt_invalidate, entry_num);
AT(abi_vtd_s1_invalidate, flags, iommu_hwpt_vtd_s1_invalidate, flags);
SAME(ABI_HWPT_NEST_PARENT, IOMMU_HWPT_ALLOC_NEST_PARENT);
SAME(ABI_HWPT_DIRTY, IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
#ifdef IOMMU_FAULT_QUEUE_ALLOC
SAME(ABI_IOMMU_FAULT_QUEUE_ALLOC, IOMMU_FAULT_QUEUE_ALLOC);
SAME(ABI_HWPT_FAULT_ID, IOMMU_HWPT_FAULT_ID_VALID);
AT(abi_hwpt_alloc, fault_id, iommu_hwpt_alloc, fault_id);
AT(abi_fault, addr, iommu_hwpt_pgfault, addr);
AT(abi_fault, cookie, iommu_hwpt_pgfault, cookie);
AT(abi_fault_response, code, iommu_hwpt_page_response, code);
#endif
#if HEADERS_SINCE(6, 15)
SAME(ABI_HWPT_PASID, IOMMU_HWPT_ALLOC_PASID);
AT(abi_hw_info, out_max_pasid_log2, iommu_hw_info, out_max_pasid_log2);
#endif
#define HEADER "with <linux/iommufd.h>"
#else
#define HEADER "without <linux/iommufd.h>: pinned sizes only"
#endif

int main(void)
{
	puts("the kernel's interface agrees, " HEADER);
	return 0;
}
