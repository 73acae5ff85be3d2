/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DMAR table's body of a set of units: which PCI functions each translates for.
 */
#include "daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DMAR_MAX 4096

static unsigned int add_scopes(const struct spec *spec, unsigned int unit,
			       struct viommu_dmar_scope *scopes)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < spec->device_count; i++) {
		const struct device_spec *d = &spec->devices[i];

		if (d->unit != unit)
			continue;
		scopes[count++] = (struct viommu_dmar_scope){
			.size = sizeof(*scopes),
			.type = VIOMMU_SCOPE_ENDPOINT,
			.hops = 1,
			.ats = spec->units[unit].options.device_iotlb,
			.path = { { d->devfn >> 3, d->devfn & 7 } },
		};
	}
	return count;
}

static int write_file(const char *file, const void *data, size_t length, char *message, size_t room)
{
	FILE *out = fopen(file, "wb");
	bool good = out && fwrite(data, 1, length, out) == length;

	if (out && fclose(out))
		good = false;
	if (good)
		return 0;
	snprintf(message, room, "%s: %s", file, strerror(errno));
	return -EIO;
}

int dmar_write(const struct spec *spec, const char *file, char *message, size_t length)
{
	struct viommu_dmar_unit units[SPEC_UNITS] = { 0 };
	struct viommu_dmar_scope scopes[SPEC_UNITS][SPEC_DEVICES];
	uint8_t table[DMAR_MAX], width = 39;
	int ret;

	for (unsigned int i = 0; i < spec->unit_count; i++) {
		units[i] = (struct viommu_dmar_unit){
			.size = sizeof(units[i]),
			.segment = spec->units[i].options.segment,
			.base = spec->units[i].base,
			.scopes = scopes[i],
			.scope_count = add_scopes(spec, i, scopes[i]),
		};
		if (spec->units[i].options.aw_bits > width)
			width = spec->units[i].options.aw_bits;
	}
	ret = viommu_dmar_build(units, spec->unit_count, width, 0, false, table, sizeof(table),
				message, length);
	if (ret < 0)
		return ret;
	if ((size_t)ret > sizeof(table)) {
		snprintf(message, length, "the DMAR table would be longer than %zu bytes",
			 sizeof(table));
		return -E2BIG;
	}
	return write_file(file, table, (size_t)ret, message, length);
}
