/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Units and devices by name. Every refusal is one sentence that names the option, the value and
 * what is allowed, and comes before anything is started.
 */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct device_kind *const kinds[] = { &device_dsa, &device_testdev, &device_vfio };
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Where the first unit, and the first devices, go when nothing is said. */
#define FIRST_UNIT_DEVICE   0x05
#define FIRST_DEVICE_DEVICE 0x06
/* Of help texts. */
#define HELP_COLUMN 42

int parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-' || *value < low || *value > high)
		return -EINVAL;
	return 0;
}

int parse_size(const char *text, uint64_t *value)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (errno || end == text || *text == '-')
		return -EINVAL;
	if (!*end)
		return 0;
	suffix = strchr(suffixes, *end & ~0x20);
	if (!suffix || end[1] || *value >> (54 - 10 * (suffix - suffixes)))
		return -EINVAL;
	*value <<= 10 * (suffix - suffixes + 1);
	return 0;
}

/* "06.0" or "6.0": device and function on bus 0, hexadecimal as lspci writes them. */
static int parse_address(const char *text, uint8_t *devfn)
{
	unsigned int device, function;
	int used = 0;

	if (sscanf(text, "%2x.%1u%n", &device, &function, &used) != 2 || text[used] || !device ||
	    device > 31 || function > 7) /* device 0 is the host bridge */
		return -EINVAL;
	*devfn = (uint8_t)(device << 3 | function);
	return 0;
}

static int bad_address(char *message, size_t length, const char *what, const char *value)
{
	snprintf(message, length, "%s: addr=%s: allowed is DEVICE.FUNCTION on bus 0, 01.0 to 1f.7",
		 what, value);
	return -EINVAL;
}

static int unit_setting(struct unit_spec *unit, const char *name, const char *value, char *message,
			size_t length)
{
	int ret;

	if (!strcmp(name, "addr"))
		return parse_address(value, &unit->devfn)
			       ? bad_address(message, length, "--unit", value)
			       : 0;
	if (!strcmp(name, "base")) {
		if (!parse_number(value, UNIT_BAR_SIZE, 0xf0000000u, &unit->base) &&
		    !(unit->base & (UNIT_BAR_SIZE - 1)))
			return 0;
		snprintf(message, length,
			 "--unit: base=%s: allowed are multiples of 0x%x, 0x10000000 to 0xf0000000",
			 value, UNIT_BAR_SIZE);
		return -EINVAL;
	}
	ret = snprintf(message, length, "--unit: ");
	return viommu_unit_options_set(&unit->options, name, value, message + ret,
				       length - (size_t)ret);
}

/* Take the next NAME=VALUE (a bare NAME means on) off the list. False at its end. */
static bool next_setting(char **list, const char **name, const char **value)
{
	char *item = strsep(list, ","), *equals;

	if (!item)
		return false;
	equals = strchr(item, '=');
	if (equals)
		*equals = 0;
	*name = item;
	*value = equals ? equals + 1 : "on";
	return true;
}

int spec_add_unit(struct spec *spec, const char *text, char *message, size_t length)
{
	struct unit_spec *unit = &spec->units[spec->unit_count];
	char words[SPEC_TEXT];

	if (spec->unit_count == SPEC_UNITS) {
		snprintf(message, length, "--unit %s: at most %d units are allowed", text,
			 SPEC_UNITS);
		return -EINVAL;
	}
	if (strlen(text) >= sizeof(words)) {
		snprintf(message, length, "--unit: the text is longer than %d characters",
			 SPEC_TEXT - 1);
		return -EINVAL;
	}
	memset(unit, 0, sizeof(*unit));
	viommu_unit_options_init(&unit->options);
	unit->base = UNIT_BASE_DEFAULT - spec->unit_count * UNIT_BAR_SIZE;
	strcpy(unit->text, text);
	/*
	 * Switching an option off takes those that need it along, for convenience. What was asked
	 * for by name is not dropped like that: said a second time it stays, and the check of the
	 * whole refuses the combination.
	 */
	for (unsigned int round = 0; round < 2; round++) {
		char *list = words;
		const char *name, *value;

		strcpy(words, text);
		while (*text && next_setting(&list, &name, &value))
			if ((!round || (strcmp(value, "off") && strcmp(value, "0"))) &&
			    unit_setting(unit, name, value, message, length))
				return -EINVAL;
	}
	spec->unit_count++;
	return 0;
}

static const struct device_kind *find_kind(const char *name)
{
	for (unsigned int i = 0; i < KINDS; i++)
		if (!strcmp(kinds[i]->name, name))
			return kinds[i];
	return NULL;
}

static int device_setting(struct device_spec *device, const char *name, const char *value,
			  char *message, size_t length)
{
	uint64_t number;

	if (!strcmp(name, "addr"))
		return parse_address(value, &device->devfn)
			       ? bad_address(message, length, "--device", value)
			       : 0;
	if (!strcmp(name, "unit")) {
		if (!parse_number(value, 0, SPEC_UNITS - 1, &number)) {
			device->unit = (unsigned int)number;
			return 0;
		}
		snprintf(message, length, "--device: unit=%s: allowed is 0 to %d", value,
			 SPEC_UNITS - 1);
		return -EINVAL;
	}
	if (!strcmp(name, "socket")) {
		if (!*value) {
			snprintf(message, length, "--device: socket=: allowed is a path");
			return -EINVAL;
		}
		free(device->socket);
		device->socket = strdup(value);
		return device->socket ? 0 : -ENOMEM;
	}
	for (const struct device_option *o = device->kind->options; o && o->name; o++) {
		if (strcmp(o->name, name) || device->setting_count == SPEC_SETTINGS)
			continue;
		device->settings[device->setting_count++] = (struct device_setting){ name, value };
		return 0;
	}
	snprintf(message, length, "--device %s: no option \"%s\"; see --help for those it has",
		 device->kind->name, name);
	return -EINVAL;
}

int spec_add_device(struct spec *spec, const char *text, char *message, size_t length)
{
	struct device_spec *device = &spec->devices[spec->device_count];
	const char *name = "", *value;
	char *list;

	if (spec->device_count == SPEC_DEVICES || strlen(text) >= SPEC_TEXT) {
		snprintf(message, length,
			 "--device %.40s: at most %d devices of %d characters are allowed", text,
			 SPEC_DEVICES, SPEC_TEXT - 1);
		return -EINVAL;
	}
	memset(device, 0, sizeof(*device));
	strcpy(device->text, text);
	device->words = list = strdup(text);
	if (!list)
		return -ENOMEM;
	spec->device_count++; /* spec_free frees what it has so far */
	next_setting(&list, &name, &value);
	device->kind = find_kind(name);
	if (!device->kind) {
		int used = snprintf(message, length, "--device %.40s: no such device; allowed are", name);

		for (unsigned int i = 0; i < KINDS; i++)
			used += snprintf(message + used, length - (size_t)used, "%s %s", i ? "," : "",
					 kinds[i]->name);
		return -EINVAL;
	}
	while (next_setting(&list, &name, &value))
		if (device_setting(device, name, value, message, length))
			return -EINVAL;
	return 0;
}

static bool address_taken(const struct spec *spec, uint8_t devfn, const void *except)
{
	for (unsigned int i = 0; i < spec->unit_count; i++)
		if (spec->units[i].devfn == devfn && &spec->units[i] != except)
			return true;
	for (unsigned int i = 0; i < spec->device_count; i++)
		if (spec->devices[i].devfn == devfn && &spec->devices[i] != except)
			return true;
	return false;
}

static uint8_t free_address(const struct spec *spec, unsigned int from)
{
	for (unsigned int device = from; device < 0x1f; device++)
		if (!address_taken(spec, (uint8_t)(device << 3), NULL))
			return (uint8_t)(device << 3);
	return 0x1e << 3;
}

static int check_addresses(const struct spec *spec, char *message, size_t length)
{
	for (unsigned int i = 0; i < spec->unit_count + spec->device_count; i++) {
		bool unit = i < spec->unit_count;
		const void *item =
			unit ? (const void *)&spec->units[i] : &spec->devices[i - spec->unit_count];
		uint8_t devfn =
			unit ? spec->units[i].devfn : spec->devices[i - spec->unit_count].devfn;

		if (!address_taken(spec, devfn, item))
			continue;
		snprintf(message, length,
			 "%s: addr=%02x.%u: two functions cannot have the same address",
			 unit ? "--unit" : "--device", devfn >> 3, devfn & 7);
		return -EINVAL;
	}
	return 0;
}

static int check_units(const struct spec *spec, char *message, size_t length)
{
	for (unsigned int i = 0; i < spec->unit_count; i++) {
		int used = snprintf(message, length, "--unit: ");

		if (viommu_unit_options_check(&spec->units[i].options, message + used,
					      length - (size_t)used))
			return -EINVAL;
		for (unsigned int k = 0; k < i; k++) {
			if (spec->units[k].base != spec->units[i].base)
				continue;
			snprintf(message, length,
				 "--unit: base=0x%llx: two units cannot have the same base",
				 (unsigned long long)spec->units[i].base);
			return -EINVAL;
		}
	}
	for (unsigned int i = 0; i < spec->device_count; i++) {
		if (spec->devices[i].unit < spec->unit_count)
			continue;
		snprintf(message, length,
			 "--device: unit=%u: there are %u units, allowed is 0 to %u",
			 spec->devices[i].unit, spec->unit_count, spec->unit_count - 1);
		return -EINVAL;
	}
	return 0;
}

int spec_finish(struct spec *spec, char *message, size_t length)
{
	static const char *const defaults[] = { "dsa", "testdev" };
	int ret = 0;

	if (!spec->unit_count)
		ret = spec_add_unit(spec, "", message, length);
	if (!spec->device_count)
		for (unsigned int i = 0; !ret && i < 2; i++)
			ret = spec_add_device(spec, defaults[i], message, length);
	for (unsigned int i = 0; !ret && i < spec->unit_count; i++)
		if (!spec->units[i].devfn)
			spec->units[i].devfn = i ? free_address(spec, 0x10)
						 : free_address(spec, FIRST_UNIT_DEVICE);
	for (unsigned int i = 0; !ret && i < spec->device_count; i++)
		if (!spec->devices[i].devfn)
			spec->devices[i].devfn = free_address(spec, FIRST_DEVICE_DEVICE);
	if (!ret)
		ret = check_addresses(spec, message, length);
	return ret ? ret : check_units(spec, message, length);
}

void spec_free(struct spec *spec)
{
	for (unsigned int i = 0; i < spec->device_count; i++) {
		free(spec->devices[i].socket);
		free(spec->devices[i].words);
	}
	spec->device_count = spec->unit_count = 0;
}

/* One option; what is too wide for its column gets a line of its own. */
static void help_line(const char *name, const char *allowed, const char *help, const char *value)
{
	int used = printf("  %s=%s", name, allowed);

	printf("%s%*s %s", used > HELP_COLUMN ? "\n" : "", used > HELP_COLUMN ? HELP_COLUMN : HELP_COLUMN - used,
	       "", help);
	printf("; %s%s\n", *value ? "default " : "needed", value);
}

void spec_help(void)
{
	struct viommu_option_info info = { .size = sizeof(info) };

	printf("Options of --unit (NAME=VALUE,...; a bare NAME means on):\n");
	printf("  %-40s %s\n", "addr=DEV.FN", "PCI address of its function on bus 0; default 05.0");
	printf("  %-40s %s\n", "base=ADDRESS",
	       "where firmware puts its registers; default 0xe0000000");
	for (unsigned int i = 0; !viommu_unit_option_info(i, &info); i++)
		help_line(info.name, info.allowed, info.help, info.default_value);
	printf("\nOptions of every --device (KIND,NAME=VALUE,...):\n");
	printf("  %-40s %s\n", "addr=DEV.FN",
	       "PCI address on bus 0; default: the next free from 06.0");
	printf("  %-40s %s\n", "unit=N",
	       "which --unit translates for it, counting from 0; default 0");
	printf("  %-40s %s\n", "socket=PATH",
	       "its socket; default KIND-DEV.FN.sock in the socket directory");
	for (unsigned int k = 0; k < KINDS; k++) {
		printf("\nOptions of --device %s (%s):\n", kinds[k]->name, kinds[k]->help);
		for (const struct device_option *o = kinds[k]->options; o && o->name; o++)
			help_line(o->name, o->allowed, o->help, o->default_value);
	}
	printf("\nWithout --unit there is one with all defaults; without --device a dsa and a testdev.\n");
}
