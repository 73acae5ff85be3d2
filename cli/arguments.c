/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See arguments.h. getopt wants a table of its own, which is made from the command's; an option's number is its place there.
 */
#include "arguments.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ARGUMENTS_MAX 32

enum { OPTION_HELP = 'h', OPTION_UNIT = 256, OPTION_DEVICE, OPTION_OWN };

int argument_refuse(char *message, size_t length, const char *option, const char *value, const char *allowed)
{
	snprintf(message, length, "--%s=%s: allowed is %s", option, value, allowed);
	return -EINVAL;
}

static void make_options(const struct argument *arguments, struct option *options)
{
	*options++ = (struct option){ "unit", required_argument, NULL, OPTION_UNIT };
	*options++ = (struct option){ "device", required_argument, NULL, OPTION_DEVICE };
	*options++ = (struct option){ "help", no_argument, NULL, OPTION_HELP };
	for (int i = 0; arguments[i].name; i++)
		*options++ = (struct option){ arguments[i].name, arguments[i].value, NULL, OPTION_OWN + i };
	*options = (struct option){ NULL, 0, NULL, 0 };
}

static int take(const struct argument *argument, void *command, char *message, size_t length)
{
	char *place = (char *)command + argument->offset;

	if (argument->take)
		return argument->take(command, optarg, message, length);
	if (argument->value == no_argument)
		*(bool *)place = true;
	else
		*(const char **)place = optarg;
	return 0;
}

int command_line_parse(const struct command_line *line, struct spec *spec, void *command, int argc, char **argv)
{
	struct option options[ARGUMENTS_MAX];
	char message[512] = "";
	int option, ret = 0;

	make_options(line->arguments, options);
	while (!ret && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case OPTION_HELP:
			line->help();
			return EXIT_PASS;
		case OPTION_UNIT:
			ret = spec_add_unit(spec, optarg, message, sizeof(message));
			break;
		case OPTION_DEVICE:
			ret = spec_add_device(spec, optarg, message, sizeof(message));
			break;
		case '?':
			snprintf(message, sizeof(message), "\"viommu %s --help\" lists the options", line->name);
			ret = -EINVAL;
			break;
		default:
			ret = take(&line->arguments[option - OPTION_OWN], command, message, sizeof(message));
		}
	}
	if (!ret && optind < argc) {
		snprintf(message, sizeof(message), "%s: no arguments besides options are allowed", argv[optind]);
		ret = -EINVAL;
	}
	if (!ret)
		ret = spec_finish(spec, message, sizeof(message));
	if (!ret && line->check)
		ret = line->check(command, message, sizeof(message));
	if (!ret)
		return -1;
	fprintf(stderr, "viommu %s: %s\n", line->name, *message ? message : strerror(-ret));
	return EXIT_USAGE;
}
