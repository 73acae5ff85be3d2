/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Performance monitoring: the state of the counters beyond their registers.
 */
#ifndef VIOMMU_VTD_PERFMON_H
#define VIOMMU_VTD_PERFMON_H

#include <stdbool.h>
#include <stdint.h>

#include "vtd/capability.h"

struct vtd_perfmon {
	/*
	 * A counter is about to overflow: every request looks whether it has, and none is answered
	 * by a front cache, which does not look. Changed by the owner only.
	 */
	bool armed;
	uint64_t seen[VTD_COUNTERS]; /* events the counter's register has in it; registers.lock */
};

#endif
