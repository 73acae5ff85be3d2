/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Static probe points of the unit (USDT, provider "viommu"); docs/tracing.md lists them.
 */
#ifndef VIOMMU_VTD_PROBES_H
#define VIOMMU_VTD_PROBES_H

#if VIOMMU_HAVE_SDT
#include <sys/sdt.h>
#define VTD_PROBE2(name, a, b)	     DTRACE_PROBE2(viommu, name, a, b)
#define VTD_PROBE3(name, a, b, c)    DTRACE_PROBE3(viommu, name, a, b, c)
#define VTD_PROBE4(name, a, b, c, d) DTRACE_PROBE4(viommu, name, a, b, c, d)
#else
#define VTD_PROBE2(name, a, b) \
	do {                   \
	} while (0)
#define VTD_PROBE3(name, a, b, c)    VTD_PROBE2(name, a, b)
#define VTD_PROBE4(name, a, b, c, d) VTD_PROBE2(name, a, b)
#endif

#endif
