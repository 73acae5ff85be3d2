/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hot-plug: can the host keep what the unit promises the guest? Each refusal names both sides.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "passthrough/internal.h"

struct check {
	const struct viommu_unit *unit;
	const struct viommu_unit_options *options;
	const struct viommu_host_info *host;
	const char *backend;
	char *message;
	size_t length;
};

__attribute__((format(printf, 2, 3))) static int fail(const struct check *check, const char *format, ...)
{
	va_list arguments;

	if (check->message && check->length) {
		va_start(arguments, format);
		vsnprintf(check->message, check->length, format, arguments);
		va_end(arguments);
	}
	return -EINVAL;
}

static int check_first_stage(const struct check *check)
{
	uint64_t cap = check->host->cap, ecap = check->host->ecap;

	if (check->host->kind != VIOMMU_HOST_VTD)
		return fail(check, "first-stage is on, which needs a VT-d host IOMMU; the %s back end offers %s",
			    check->backend, "none with nesting");
	if (!check->host->nesting)
		return fail(check, "first-stage is on, but the host IOMMU cannot nest (ECAP %#llx)",
			    (unsigned long long)ecap);
	if (check->unit->cap & VTD_CAP_FS1GP && !(cap & VTD_CAP_FS1GP))
		return fail(check, "the unit offers 1 GiB first-stage pages (CAP %#llx), the host does not "
			    "(CAP %#llx)", (unsigned long long)check->unit->cap, (unsigned long long)cap);
	if (check->options->five_level && !(cap & VTD_CAP_FS5LP))
		return fail(check, "five-level is on, but the host's first stage has 4 levels (CAP %#llx)",
			    (unsigned long long)cap);
	if (check->options->coherent && !(ecap & VTD_ECAP_SMPWCS))
		return fail(check, "coherent is on, but the host does not snoop its table walks (ECAP %#llx)",
			    (unsigned long long)ecap);
	if (check->options->supervisor_request && !(ecap & VTD_ECAP_SRS))
		return fail(check, "supervisor-request is on, but the host has none (ECAP %#llx)",
			    (unsigned long long)ecap);
	if (check->options->extended_accessed && !(ecap & VTD_ECAP_EAFS))
		return fail(check, "extended-accessed is on, but the host has none (ECAP %#llx)",
			    (unsigned long long)ecap);
	return 0;
}

static int check_pasids(const struct check *check)
{
	unsigned int host = 0;

	if (!check->host->pasid_bits)
		return 0; /* the device has none: the guest is not shown any */
	if (check->host->ecap & VTD_ECAP_PASID)
		host = (unsigned int)vtd_field(check->host->ecap, VTD_ECAP_PSS) + 1;
	if (check->options->pasid_bits > host)
		return fail(check, "pasid-bits is %u, the host IOMMU has %u", check->options->pasid_bits,
			    host);
	return 0;
}

int passthrough_check(const struct viommu_unit *unit, const struct viommu_host_device *device,
		      char *message, size_t length)
{
	const struct check check = {
		.unit = unit, .options = &unit->options, .host = &device->info,
		.backend = device->host->ops->name, .message = message, .length = length,
	};
	unsigned int width = (unsigned int)vtd_field(check.host->cap, VTD_CAP_MGAW) + 1;
	int ret = 0;

	if (!unit->options.caching_mode)
		return fail(&check, "caching-mode is off; a host device (%s) needs caching-mode=on",
			    check.backend);
	/* Of these two no host knows anything: it maps what it is told, and attaches unprivileged. */
	if (unit->options.protected_memory)
		return fail(&check, "protected-memory is on, but what the host (%s) maps is not kept from it",
			    check.backend);
	if (unit->options.rid_privilege)
		return fail(&check, "rid-privilege is on, but the host (%s) has no privileged plain requests",
			    check.backend);
	if (check.host->kind == VIOMMU_HOST_VTD && unit->options.aw_bits > width)
		return fail(&check, "aw-bits is %u, the host's second stage has %u", unit->options.aw_bits,
			    width);
	if (unit->options.scalable && unit->options.first_stage)
		ret = check_first_stage(&check);
	return ret ? ret : check_pasids(&check);
}
