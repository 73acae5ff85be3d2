/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line of a command with units and devices behind them: a table says where each of its own options goes, and --unit,
 * --device and --help are everybody's. What is wrong is refused in one sentence, before anything is started.
 */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include <getopt.h>
#include <stddef.h>

#include "options.h"

struct argument {
	const char *name;
	int value;     /* no_argument, required_argument, optional_argument */
	size_t offset; /* in the command's own structure: a const char * for the value, a bool where there is none */
	/* Or who looks at the value. 0, or a negative errno with a sentence. */
	int (*take)(void *command, char *value, char *message, size_t length);
};

struct command_line {
	const char *name;
	const struct argument *arguments; /* ends with a NULL name */
	void (*help)(void);
	/* Everything was taken: does it go together? 0, or a negative errno with a sentence. May be NULL. */
	int (*check)(void *command, char *message, size_t length);
};

/* argv[0] is "viommu NAME". -1: go on; otherwise the exit status. `spec` is complete then. */
int command_line_parse(const struct command_line *line, struct spec *spec, void *command, int argc, char **argv);
/* "--OPTION=VALUE: allowed is ALLOWED". -EINVAL. */
int argument_refuse(char *message, size_t length, const char *option, const char *value, const char *allowed);

#endif
