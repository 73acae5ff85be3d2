/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices that the scripted guest can have write to memory: the PASID test device and the DSA. Each is driven as a guest's driver would
 * drive it, through the BARs that the daemon serves.
 */
#ifndef TESTS_NESTED_DRIVER_H
#define TESTS_NESTED_DRIVER_H

#include "server.h"

#define NO_PASID UINT32_MAX

struct driver {
	const char *name;
	/* After every reset, with bus mastering on. `pasids`: requests may have them. */
	void (*enable)(struct client *device, bool pasids);
	/*
	 * Begin to write eight bytes; `ask`: ask for the page if it is not there, and wait. At most one at a time.
	 */
	void (*start)(struct client *device, uint32_t pasid, uint64_t iova, uint64_t value, bool ask);
	/* Wait for the end. False: the DMA faulted. */
	bool (*finish)(struct client *device);
};

extern const struct driver driver_testdev, driver_dsa;

#endif
