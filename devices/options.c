/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options of emulated devices: a table of specs drives parsing, help texts and error messages. And
 * the way to the server.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "options.h"

void device_options_describe(const struct device_option_spec *specs, struct device_option *options)
{
	for (; specs->name; specs++, options++) {
		options->name = specs->name;
		options->allowed = specs->allowed;
		options->help = specs->help;
		options->default_value = specs->default_value;
	}
	memset(options, 0, sizeof(*options));
}

static int set(const struct device_option_spec *spec, void *settings, const char *value)
{
	void *target = (char *)settings + spec->offset;
	unsigned long number;
	char *end;

	if (spec->type == DEVICE_OPTION_SWITCH) {
		if (strcmp(value, "on") && strcmp(value, "off"))
			return -EINVAL;
		*(bool *)target = !strcmp(value, "on");
		return 0;
	}
	if (*value < '0' || *value > '9')
		return -EINVAL;
	errno = 0;
	number = strtoul(value, &end, 0);
	if (errno || *end || number < spec->low || number > spec->high)
		return -EINVAL;
	*(unsigned int *)target = number;
	return 0;
}

static const struct device_option_spec *find(const struct device_option_spec *specs,
					     const char *name)
{
	for (; specs->name; specs++) {
		if (!strcmp(specs->name, name))
			return specs;
	}
	return NULL;
}

int device_options_parse(const struct device_option_spec *specs, void *settings,
			 const struct device_setting *given, unsigned int count, char *message,
			 size_t message_length)
{
	for (const struct device_option_spec *spec = specs; spec->name; spec++)
		set(spec, settings, spec->default_value);

	for (unsigned int i = 0; i < count; i++) {
		const struct device_option_spec *spec = find(specs, given[i].name);

		if (!spec) {
			snprintf(message, message_length, "no device option is called \"%s\"",
				 given[i].name);
			return -ENOENT;
		}
		if (!given[i].value || set(spec, settings, given[i].value)) {
			snprintf(message, message_length, "%s=%s: allowed is %s", spec->name,
				 given[i].value ? given[i].value : "", spec->allowed);
			return -EINVAL;
		}
	}
	return 0;
}

void device_attach(void *wire, struct server_endpoint *endpoint)
{
	__atomic_store_n(&((struct device_wire *)wire)->server, endpoint, __ATOMIC_RELEASE);
}

void device_detach(void *wire)
{
	device_attach(wire, NULL);
}

void device_interrupt(void *wire, unsigned int vector)
{
	struct server_endpoint *server =
		__atomic_load_n(&((struct device_wire *)wire)->server, __ATOMIC_ACQUIRE);

	if (server)
		server_endpoint_irq(server, vector);
}

uint32_t device_endpoint_features(uint32_t set)
{
	return (set & SERVER_FEATURE_PASID ? VIOMMU_ENDPOINT_PASID : 0) |
	       (set & SERVER_FEATURE_PASID_EXECUTE ? VIOMMU_ENDPOINT_PASID_EXECUTE : 0) |
	       (set & SERVER_FEATURE_PASID_PRIVILEGED ? VIOMMU_ENDPOINT_PASID_PRIVILEGED : 0) |
	       (set & SERVER_FEATURE_ATS ? VIOMMU_ENDPOINT_ATS : 0) |
	       (set & SERVER_FEATURE_PAGE_REQUEST ? VIOMMU_ENDPOINT_PRI : 0);
}
