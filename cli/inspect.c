/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * viommu inspect: what a unit with these options offers and the DMAR table for these devices,
 * without starting anything; and a register trace in words.
 */
#include "arguments.h"
#include "daemon.h"
#include "trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void help(void)
{
	printf("usage: viommu inspect [--unit ...] [--device ...] [--dmar FILE]\n"
	       "       viommu inspect --trace FILE\n\n"
	       "Show the capabilities of units with these options and the scope of their DMAR table; or decode a register\n"
	       "trace: lines \"R OFFSET SIZE\" and \"W OFFSET SIZE VALUE\" (FILE - is standard input).\n\n"
	       "  --unit NAME=VALUE,...         a unit; may be repeated\n"
	       "  --device KIND,NAME=VALUE,...  a device behind a unit; may be repeated\n"
	       "  --dmar FILE                   also write the DMAR table's body\n"
	       "  --trace FILE                  decode the trace in FILE\n"
	       "  --help                        this\n\n"
	       "Exit status: 0 done, 1 failed, 2 bad options.\n\n");
	spec_help();
}

/* The devices check their own options when they are made. One behind which hardware stands is not. */
static int try_devices(const struct spec *spec, unsigned int i, struct viommu_unit *unit)
{
	int ret = 0;

	for (unsigned int d = 0; !ret && d < spec->device_count; d++) {
		const struct device_spec *s = &spec->devices[d];
		char message[256] = "cannot be created";
		struct device device = { 0 };

		if (s->unit != i || s->kind == &device_vfio)
			continue;
		ret = s->kind->create(unit, s->devfn, s->settings, s->setting_count, &device,
				      message, sizeof(message));
		if (ret)
			fprintf(stderr, "viommu inspect: --device %s: %s\n", s->kind->name, message);
		else
			s->kind->destroy(&device);
	}
	return ret;
}

static int show_unit(const struct spec *spec, unsigned int i, struct viommu_memory *memory)
{
	static const struct viommu_unit_ops ops = { .size = sizeof(ops) };
	const struct unit_spec *u = &spec->units[i];
	struct viommu_unit *unit;
	uint64_t cap = 0, ecap = 0;
	char text[4096];
	int ret;

	if (viommu_unit_create(&u->options, memory, &ops, NULL, &unit))
		return -ENOMEM;
	ret = try_devices(spec, i, unit);
	if (ret)
		goto out;
	viommu_unit_read(unit, 0x08, 8, &cap);
	viommu_unit_read(unit, 0x10, 8, &ecap);
	viommu_unit_describe(unit, text, sizeof(text));
	printf("unit %u at %02x.%u, registers expected at 0x%" PRIx64 "\n", i, u->devfn >> 3,
	       u->devfn & 7, u->base);
	printf("CAP  0x%016" PRIx64 "\nECAP 0x%016" PRIx64 "\n%s\n", cap, ecap, text);
	printf("scope:");
	for (unsigned int d = 0; d < spec->device_count; d++)
		if (spec->devices[d].unit == i)
			printf(" %s at %02x.%u", spec->devices[d].kind->name,
			       spec->devices[d].devfn >> 3, spec->devices[d].devfn & 7);
	printf("\n\n");
out:
	viommu_unit_destroy(unit);
	return ret;
}

static int show(const struct spec *spec, const char *dmar)
{
	struct viommu_memory *memory;
	char message[256];
	int ret = viommu_memory_create(&memory);

	if (ret)
		return EXIT_FAIL;
	for (unsigned int i = 0; !ret && i < spec->unit_count; i++)
		ret = show_unit(spec, i, memory);
	viommu_memory_destroy(memory);
	if (!ret && dmar && dmar_write(spec, dmar, message, sizeof(message))) {
		fprintf(stderr, "viommu inspect: --dmar %s\n", message);
		ret = -EIO;
	}
	return ret == -EINVAL || ret == -ENOENT ? EXIT_USAGE : ret ? EXIT_FAIL : EXIT_PASS;
}

struct inspect_options {
	const char *trace, *dmar;
};

static const struct argument arguments[] = {
	{ "dmar", required_argument, offsetof(struct inspect_options, dmar) },
	{ "trace", required_argument, offsetof(struct inspect_options, trace) },
	{ NULL },
};

static const struct command_line command_line = { "inspect", arguments, help };

int command_inspect(int argc, char **argv)
{
	struct inspect_options o = { NULL };
	struct spec spec = { .unit_count = 0 };
	int status = command_line_parse(&command_line, &spec, &o, argc, argv);

	if (status < 0)
		status = o.trace ? trace_decode(o.trace) : show(&spec, o.dmar);
	spec_free(&spec);
	return status;
}
