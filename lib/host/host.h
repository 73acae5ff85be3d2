/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside lib/host: the operations a back end has, and the parts of the handles all back ends share.
 *
 * A back end embeds these structures at the start of its own. Entries that are NULL are answered with -EOPNOTSUPP by host.c,
 * which also checks arguments, so that back ends see only sane ones.
 */
#ifndef VIOMMU_LIB_HOST_H
#define VIOMMU_LIB_HOST_H

#include <pthread.h>

#include <viommu/host.h>

enum { HOST_PAGE = 4096 };

struct host_ops {
	const char *name;
	void (*close)(struct viommu_host *host);
	void (*device_close)(struct viommu_host_device *device);
	int (*space_create)(struct viommu_host_device *device, uint32_t flags,
			    struct viommu_host_space **space);
	int (*space_destroy)(struct viommu_host_space *space);
	int (*map)(struct viommu_host_space *space, uint64_t iova, void *hva, uint64_t length,
		   uint32_t access);
	int (*unmap)(struct viommu_host_space *space, uint64_t iova, uint64_t length);
	int (*unmap_dirty)(struct viommu_host_space *space, uint64_t iova, uint64_t length,
			   uint64_t *bitmap);
	int (*dirty_set)(struct viommu_host_space *space, bool on);
	int (*dirty_query)(struct viommu_host_space *space, uint64_t iova, uint64_t length,
			   uint64_t *bitmap, bool keep);
	int (*attach)(struct viommu_host_device *device, uint32_t pasid, uint32_t table);
	int (*detach)(struct viommu_host_device *device, uint32_t pasid);
	int (*nested_create)(struct viommu_host_device *device, struct viommu_host_space *parent,
			     const struct viommu_host_first_stage *first, uint32_t *table);
	int (*nested_destroy)(struct viommu_host *host, uint32_t table);
	int (*invalidate)(struct viommu_host *host, uint32_t table,
			  const struct viommu_host_invalidation *entries, uint32_t count,
			  uint32_t *done);
	int (*faults_create)(struct viommu_host *host, uint32_t *faults, int *fd);
	void (*faults_destroy)(struct viommu_host *host, uint32_t faults, int fd);
	int (*faults_read)(struct viommu_host *host, int fd, struct viommu_host_fault *faults,
			   uint32_t count);
	int (*faults_answer)(struct viommu_host *host, int fd, uint32_t cookie, bool success);
	int (*log_start)(struct viommu_host_device *device, const struct viommu_host_range *ranges,
			 uint32_t count);
	int (*log_stop)(struct viommu_host_device *device);
	int (*log_report)(struct viommu_host_device *device, uint64_t iova, uint64_t length,
			  uint64_t *bitmap);
	/* The model's only: others have a VFIO device fd, and vfio.c asks that. */
	int (*migration_flags)(struct viommu_host_device *device, uint64_t *flags);
	int (*migration_state)(struct viommu_host_device *device, uint32_t state, int *data_fd);
	int (*migration_query)(struct viommu_host_device *device, uint32_t *state);
	int (*reset)(struct viommu_host_device *device);
};

struct viommu_host {
	const struct host_ops *ops;
	int fd;
};

struct viommu_host_device {
	struct viommu_host *host;
	int fd;       /* -1: the model */
	uint32_t id;
	bool single_space; /* type1: one space, always attached */
	struct viommu_host_info info;
};

struct viommu_host_space {
	struct viommu_host *host;
	uint64_t max_dirty_bitmap; /* of the device it was made for, which is of all of this host */
	uint32_t table;
	uint32_t flags;
};

/* vfio.c: what a VFIO device fd offers in either back end. */
int host_vfio_log_start(struct viommu_host_device *device, const struct viommu_host_range *ranges,
			uint32_t count);
int host_vfio_log_stop(struct viommu_host_device *device);
int host_vfio_log_report(struct viommu_host_device *device, uint64_t iova, uint64_t length,
			 uint64_t *bitmap);
int host_ioctl(int fd, unsigned long request, void *argument);

#endif
