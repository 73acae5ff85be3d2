/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the daemon is made of, for the files that implement it.
 */
#ifndef CLI_DAEMON_INTERNAL_H
#define CLI_DAEMON_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon.h"

struct served_unit {
	struct daemon *daemon;
	struct viommu_unit *unit;
	struct server_endpoint *server;
	char name[32];
};

struct served_device {
	struct device device;
	struct server_endpoint *server;
	bool tracked; /* a physical function: its writes are found by the host */
	uint32_t index; /* in the tracker */
	char name[32];
};

struct daemon {
	const struct spec *spec;
	struct viommu_memory *memory;
	struct viommu_tracker *tracker;
	struct served_unit units[SPEC_UNITS];
	struct served_device devices[SPEC_DEVICES];
	/* guards the devices' `server` against going while a message looks for a way out */
	pthread_mutex_t way_out;
	atomic_ullong messages_lost;
	bool logging; /* the operator's log of written pages is on; the control socket's thread */
};

#endif
