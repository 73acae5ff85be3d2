/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options of emulated devices by name, and other things all device kinds do alike.
 */
#ifndef DEVICES_OPTIONS_H
#define DEVICES_OPTIONS_H

#include <viommu/endpoint.h>
#include "devices/device.h"

enum device_option_type { DEVICE_OPTION_NUMBER, DEVICE_OPTION_SWITCH };

/* One option: where its value goes in the kind's settings, and what is allowed. A table ends with a
 * NULL name. */
struct device_option_spec {
	const char *name;
	const char *help;
	enum device_option_type type;
	size_t offset;
	unsigned int low, high; /* both allowed */
	const char *allowed;	/* the same as text */
	const char *default_value;
};

/* The target is an unsigned int. */
#define DEVICE_NUMBER(name, help, settings, field, low, high, value)                    \
	{                                                                               \
		name, help, DEVICE_OPTION_NUMBER, offsetof(settings, field), low, high, \
			#low ".." #high, value                                          \
	}
/* The target is a bool. */
#define DEVICE_SWITCH(name, help, settings, field, value)                                          \
	{                                                                                          \
		name, help, DEVICE_OPTION_SWITCH, offsetof(settings, field), 0, 1, "on|off", value \
	}

/* Fill `options` (as many as specs, the end mark too) for help texts. */
void device_options_describe(const struct device_option_spec *specs, struct device_option *options);
/*
 * Set defaults, then what was given. -ENOENT: no such option; -EINVAL: value not allowed; `message`
 * says so in a sentence.
 */
int device_options_parse(const struct device_option_spec *specs, void *settings,
			 const struct device_setting *given, unsigned int count, char *message,
			 size_t message_length);

/*
 * A device's way to its server endpoint, the first member of what an adapter gives the server and
 * its core as `opaque`.
 */
struct device_wire {
	struct server_endpoint *server; /* NULL: nobody hears interrupts */
};
void device_attach(void *wire, struct server_endpoint *endpoint); /* server_device_ops.attach */
void device_detach(void *wire);
void device_interrupt(void *wire, unsigned int vector); /* any thread */

/* enum server_feature to enum viommu_endpoint_features. */
uint32_t device_endpoint_features(uint32_t server_features);

#endif
