/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A kind of emulated device, as the command line knows it: a name, options by name, create and
 * destroy.
 *
 * `viommu serve --device dsa,addr=06.0,wqs=8` takes `addr`, `unit` and `socket` for itself and
 * hands the rest to the kind's create().
 */
#ifndef DEVICES_DEVICE_H
#define DEVICES_DEVICE_H

#include <viommu/migration.h>
#include <viommu/unit.h>
#include "server/endpoint.h"

struct device_option {
	const char *name;
	const char *allowed; /* "1..8", "on|off" */
	const char *help;
	const char *default_value;
};

struct device_setting {
	const char *name;
	const char *value;
};

/* A device that exists: what to give server_endpoint_create(). */
struct device {
	struct server_function function;
	const struct server_device_ops *ops;
	void *opaque;
	struct viommu_endpoint *endpoint; /* its side of the unit */
	/*
	 * Optional: DMA that is not seen by this process. Put the device into the tracker (viommu/migration.h); it
	 * leaves by itself, when it is destroyed at the latest.
	 */
	int (*track)(void *opaque, struct viommu_tracker *tracker, const struct viommu_device_info *info,
		     uint32_t *index);
};

struct device_kind {
	const char *name;
	const char *help;
	const struct device_option *options; /* ends with a NULL name */
	/*
	 * Make one behind `unit` with requester id `rid`. -EINVAL or -ENOENT with one sentence in
	 * `message` naming the option, the value and what is allowed; -ENOMEM; what
	 * viommu_endpoint_create() said.
	 */
	int (*create)(struct viommu_unit *unit, uint16_t rid, const struct device_setting *settings,
		      unsigned int count, struct device *device, char *message,
		      size_t message_length);
	/* After its server endpoint is gone. */
	void (*destroy)(struct device *device);
	/* Optional: counters for people as "name value" pairs; calls `put` for each. Any thread. */
	void (*statistics)(const struct device *device,
			   void (*put)(void *opaque, const char *name, uint64_t value),
			   void *opaque);
};

extern const struct device_kind device_dsa;
extern const struct device_kind device_testdev;
extern const struct device_kind device_vfio;

#endif
