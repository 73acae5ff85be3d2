/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A real device for tests that run inside the test guest: the PASID test device (docs/testdev.md), given to us by that
 * guest's kernel through iommufd or legacy VFIO.
 */
#ifndef TESTS_PASSTHROUGH_REAL_H
#define TESTS_PASSTHROUGH_REAL_H

#include <viommu/host.h>

/* docs/testdev.md */
enum { OP_READ = 1, OP_WRITE = 2, FLAG_PASID = 1 << 8, FLAG_ATS = 1 << 11, FLAG_PAGE = 1 << 12 };
enum { OUTCOME_FAULT = 1, OUTCOME_REFUSED = 2 };

struct real {
	const char *address;      /* 0000:00:07.0 */
	struct viommu_host *host;
	struct viommu_host_device *device;
	int container, file;      /* /dev/iommu or /dev/vfio/vfio; the device's cdev or group */
	uint64_t bar, config;     /* offsets in the device's fd */
};

/* The device the kernel's command line names: vfio=ADDRESS. NULL: none. */
const char *real_address(void);
/* Open it; 0 or a negative errno. */
int real_open(struct real *real, bool type1);
void real_close(struct real *real);
/* Memory space and bus mastering on: when it is attached. */
void real_on(struct real *real);

uint64_t real_milliseconds(void);
/* Start an operation of four bytes; `value` is what a write writes. */
void real_start(struct real *real, uint32_t operation, uint32_t pasid, uint64_t iova, uint32_t value);
/* Negative: the outcome, else the first byte read or written. */
int real_finish(struct real *real);
int real_dma(struct real *real, uint32_t operation, uint32_t pasid, uint64_t iova, uint32_t value);

#endif
