/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A physical PCI function, given to the daemon by Linux VFIO, as a device kind like any other: its
 * registers and interrupts are the hardware's, its DMA goes through the unit's tables and the
 * host's IOMMU (viommu/passthrough.h).
 *
 * The guest does not see the function's own config space but one of ours, made from what matters in
 * it: identity, BARs, MSI-X, and the capabilities the unit can keep (PASID, ATS, page requests).
 */
#ifndef DEVICES_VFIO_VFIO_H
#define DEVICES_VFIO_VFIO_H

#include <pthread.h>
#include <viommu/passthrough.h>

#include "devices/device.h"
#include "devices/vfio/migration.h"

struct vfio_bar {
	uint64_t size;
	uint64_t offset; /* in the device's file */
	bool mappable;
};

struct vfio_device {
	char address[40]; /* 0000:01:00.0, or the UUID of a mediated device */
	int host_fd;	  /* /dev/iommu or the container */
	int device_fd;	  /* cdev or group */
	int fd;		  /* the function's: regions, interrupts, reset */
	struct viommu_host *host;
	struct viommu_host_device *device;
	struct viommu_passthrough *passthrough;
	struct vfio_migration migration;
	struct viommu_tracker *tracker; /* it is in this one as `tracked`; NULL: in none */
	uint32_t tracked;
	struct vfio_bar bars[SERVER_BARS];
	uint64_t config_offset;
	bool io;    /* it has I/O ports */
	bool reset; /* the function can be reset */
	bool map;   /* let clients map BARs */
	struct server_function function;
	/* Relays page requests, their time-outs, and what the host says about the function. */
	pthread_t worker;
	int wake_fd;
	int error_fd;          /* the kernel signals: it has failed, */
	int leave_fd;          /* or it is wanted back */
	bool worker_started;
	_Atomic bool leaving;  /* it is wanted back: let go of it when the client has */
	pthread_mutex_t server_lock;
	struct server_endpoint *server; /* NULL: none (any more) */
};

/*
 * open.c: find the function in sysfs and open it with `backend` ("iommufd" or "type1"). discover.c:
 * fill `function` and the BARs. A negative errno with a sentence in `message`.
 */
int vfio_open(struct vfio_device *d, const char *backend, char *message, size_t length);
void vfio_close(struct vfio_device *d);
int vfio_discover(struct vfio_device *d, char *message, size_t length);

#endif
