/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options of a unit, seen from inside.
 */
#ifndef VIOMMU_VTD_OPTIONS_H
#define VIOMMU_VTD_OPTIONS_H

#include <viommu/unit.h>

/*
 * Take over a caller's options of whatever size. -EINVAL: no size at all; -E2BIG: a tail this
 * library does not know is not zero.
 */
int vtd_options_import(struct viommu_unit_options *to, const struct viommu_unit_options *from);

#endif
