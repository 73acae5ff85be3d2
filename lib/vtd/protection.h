/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Protected memory regions: what translations look at.
 */
#ifndef VIOMMU_VTD_PROTECTION_H
#define VIOMMU_VTD_PROTECTION_H

#include <stdbool.h>
#include <stdint.h>

/* As latched when protection went on; unchanged until it is off and no request looks any more. */
struct vtd_protection {
	bool on;
	struct {
		uint64_t first, last; /* none: first beyond last */
	} region[2];		      /* low, high */
};

#endif
