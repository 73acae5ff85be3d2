/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's interface as we use it: iommufd and VFIO requests, in our own words, so that nothing depends on the headers
 * installed where we are built. tests/host/abi.c holds each structure against the kernel's own.
 */
#ifndef VIOMMU_LIB_HOST_ABI_H
#define VIOMMU_LIB_HOST_ABI_H

#include <stdint.h>
#include <sys/ioctl.h>

enum {
	ABI_IOMMU_DESTROY = _IO(';', 0x80),
	ABI_IOMMU_IOAS_ALLOC = _IO(';', 0x81),
	ABI_IOMMU_IOAS_MAP = _IO(';', 0x85),
	ABI_IOMMU_IOAS_UNMAP = _IO(';', 0x86),
	ABI_IOMMU_HWPT_ALLOC = _IO(';', 0x89),
	ABI_IOMMU_GET_HW_INFO = _IO(';', 0x8a),
	ABI_IOMMU_HWPT_SET_DIRTY = _IO(';', 0x8b),
	ABI_IOMMU_HWPT_GET_DIRTY = _IO(';', 0x8c),
	ABI_IOMMU_HWPT_INVALIDATE = _IO(';', 0x8d),
	ABI_IOMMU_FAULT_QUEUE_ALLOC = _IO(';', 0x8e),

	ABI_VFIO_GET_API_VERSION = _IO(';', 100),
	ABI_VFIO_CHECK_EXTENSION = _IO(';', 101),
	ABI_VFIO_SET_IOMMU = _IO(';', 102),
	ABI_VFIO_GROUP_GET_STATUS = _IO(';', 103),
	ABI_VFIO_GROUP_SET_CONTAINER = _IO(';', 104),
	ABI_VFIO_GROUP_UNSET_CONTAINER = _IO(';', 105),
	ABI_VFIO_GROUP_GET_DEVICE_FD = _IO(';', 106),
	ABI_VFIO_IOMMU_GET_INFO = _IO(';', 112),
	ABI_VFIO_IOMMU_MAP_DMA = _IO(';', 113),
	ABI_VFIO_IOMMU_UNMAP_DMA = _IO(';', 114),
	ABI_VFIO_IOMMU_DIRTY_PAGES = _IO(';', 117),
	ABI_VFIO_DEVICE_FEATURE = _IO(';', 117), /* of a device's fd */
	ABI_VFIO_DEVICE_RESET = _IO(';', 111),
	ABI_VFIO_DEVICE_BIND = _IO(';', 118),
	ABI_VFIO_DEVICE_ATTACH = _IO(';', 119),
	ABI_VFIO_DEVICE_DETACH = _IO(';', 120),
};

struct abi_destroy {
	uint32_t size;
	uint32_t id;
};

struct abi_ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_ioas_id;
};

enum { ABI_MAP_FIXED = 1, ABI_MAP_WRITEABLE = 2, ABI_MAP_READABLE = 4 };
struct abi_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova;
};

struct abi_ioas_unmap {
	uint32_t size;
	uint32_t ioas_id;
	uint64_t iova;
	uint64_t length;
};

enum { ABI_HWPT_NEST_PARENT = 1, ABI_HWPT_DIRTY = 2, ABI_HWPT_FAULT_ID = 4, ABI_HWPT_PASID = 8 };
enum { ABI_HWPT_DATA_NONE = 0, ABI_HWPT_DATA_VTD_S1 = 1 };
struct abi_hwpt_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t dev_id;
	uint32_t pt_id;
	uint32_t out_hwpt_id;
	uint32_t reserved;
	uint32_t data_type;
	uint32_t data_len;
	uint64_t data_uptr;
	uint32_t fault_id;
	uint32_t reserved2;
};

enum { ABI_VTD_S1_SRE = 1, ABI_VTD_S1_EAFE = 2, ABI_VTD_S1_WPE = 4 };
struct abi_hwpt_vtd_s1 {
	uint64_t flags;
	uint64_t pgtbl_addr;
	uint32_t addr_width;
	uint32_t reserved;
};

enum { ABI_HW_INFO_VTD = 1 };
enum { ABI_HW_CAP_DIRTY = 1, ABI_HW_CAP_PASID_EXEC = 2, ABI_HW_CAP_PASID_PRIV = 4, ABI_HW_CAP_NO_ATS = 8 };
struct abi_hw_info {
	uint32_t size;
	uint32_t flags;
	uint32_t dev_id;
	uint32_t data_len;
	uint64_t data_uptr;
	uint32_t out_data_type;
	uint8_t out_max_pasid_log2;
	uint8_t reserved[3];
	uint64_t out_capabilities;
};

struct abi_hw_info_vtd {
	uint32_t flags;
	uint32_t reserved;
	uint64_t cap_reg;
	uint64_t ecap_reg;
};

struct abi_hwpt_set_dirty {
	uint32_t size;
	uint32_t flags; /* 1: on */
	uint32_t hwpt_id;
	uint32_t reserved;
};

enum { ABI_GET_DIRTY_NO_CLEAR = 1 };
struct abi_hwpt_get_dirty {
	uint32_t size;
	uint32_t hwpt_id;
	uint32_t flags;
	uint32_t reserved;
	uint64_t iova;
	uint64_t length;
	uint64_t page_size;
	uint64_t data;
};

enum { ABI_INVALIDATE_VTD_S1 = 0, ABI_INVALIDATE_LEAF = 1 };
struct abi_vtd_s1_invalidate {
	uint64_t addr;
	uint64_t npages;
	uint32_t flags;
	uint32_t reserved;
};

struct abi_hwpt_invalidate {
	uint32_t size;
	uint32_t hwpt_id;
	uint64_t data_uptr;
	uint32_t data_type;
	uint32_t entry_len;
	uint32_t entry_num;
	uint32_t reserved;
};

struct abi_fault_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_fault_id;
	uint32_t out_fault_fd;
};

enum { ABI_FAULT_PASID = 1, ABI_FAULT_LAST = 2 };
enum { ABI_FAULT_READ = 1, ABI_FAULT_WRITE = 2, ABI_FAULT_EXEC = 4, ABI_FAULT_PRIV = 8 };
struct abi_fault {
	uint32_t flags;
	uint32_t dev_id;
	uint32_t pasid;
	uint32_t grpid;
	uint32_t perm;
	uint32_t reserved;
	uint64_t addr;
	uint32_t length;
	uint32_t cookie;
};

struct abi_fault_response {
	uint32_t cookie;
	uint32_t code; /* 0: success, 1: invalid */
};

/* VFIO. */
struct abi_vfio_bind {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
};

struct abi_vfio_attach {
	uint32_t argsz;
	uint32_t flags; /* 1: pasid is valid */
	uint32_t pt_id;
	uint32_t pasid;
};

struct abi_vfio_detach {
	uint32_t argsz;
	uint32_t flags; /* 1: pasid is valid */
	uint32_t pasid;
};

enum { ABI_VFIO_TYPE1V2 = 3 };
enum { ABI_VFIO_GROUP_VIABLE = 1 };
struct abi_vfio_group_status {
	uint32_t argsz;
	uint32_t flags;
};

enum { ABI_TYPE1_PAGE_SIZES = 1, ABI_TYPE1_CAPS = 2, ABI_TYPE1_CAP_MIGRATION = 2 };
struct abi_type1_info {
	uint32_t argsz;
	uint32_t flags;
	uint64_t page_sizes;
	uint32_t cap_offset;
	uint32_t pad;
};

struct abi_cap_header {
	uint16_t id;
	uint16_t version;
	uint32_t next;
};

struct abi_type1_cap_migration {
	struct abi_cap_header header;
	uint32_t flags;
	uint64_t page_sizes;
	uint64_t max_dirty_bitmap;
};

enum { ABI_DMA_READ = 1, ABI_DMA_WRITE = 2 };
struct abi_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t vaddr;
	uint64_t iova;
	uint64_t size;
};

struct abi_vfio_bitmap {
	uint64_t page_size;
	uint64_t size; /* bytes */
	uint64_t data;
};

enum { ABI_UNMAP_GET_DIRTY = 1 };
struct abi_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova;
	uint64_t size;
	struct abi_vfio_bitmap bitmap; /* with ABI_UNMAP_GET_DIRTY */
};

enum { ABI_DIRTY_START = 1, ABI_DIRTY_STOP = 2, ABI_DIRTY_GET = 4 };
struct abi_dirty_bitmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova; /* from here on with ABI_DIRTY_GET */
	uint64_t size;
	struct abi_vfio_bitmap bitmap;
};

enum {
	ABI_FEATURE_GET = 1 << 16,
	ABI_FEATURE_SET = 1 << 17,
	ABI_FEATURE_PROBE = 1 << 18,
	ABI_FEATURE_MIGRATION = 1,
	ABI_FEATURE_MIGRATION_STATE = 2,
	ABI_FEATURE_LOG_START = 6,
	ABI_FEATURE_LOG_STOP = 7,
	ABI_FEATURE_LOG_REPORT = 8,
};
struct abi_feature {
	uint32_t argsz;
	uint32_t flags;
};

struct abi_feature_migration {
	struct abi_feature feature;
	uint64_t flags;
};

struct abi_feature_state {
	struct abi_feature feature;
	uint32_t state;
	int32_t data_fd;
};

struct abi_feature_log_start {
	struct abi_feature feature;
	uint64_t page_size;
	uint32_t num_ranges;
	uint32_t reserved;
	uint64_t ranges;
};

struct abi_feature_log_report {
	struct abi_feature feature;
	uint64_t iova;
	uint64_t length;
	uint64_t page_size;
	uint64_t bitmap;
};

#endif
