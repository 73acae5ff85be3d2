/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * viommu ctl: ask a running daemon, print what it answers.
 */
#include "control.h"
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void help(void)
{
	printf("usage: viommu ctl [--control PATH] COMMAND [NAME=VALUE...]\n\n"
	       "Ask the daemon at PATH (default ./control.sock) and print its answer as JSON.\n\n"
	       "  status                       functions, whether they are connected, where the registers are, the unit in words\n"
	       "  statistics                   all counters\n"
	       "  save file=PATH [stay=1]      stop the devices, save units and devices, go on (stay=1: stay stopped)\n"
	       "  load file=PATH               load such a file; nothing is changed when it does not fit\n"
	       "  continue                     let stopped devices go on\n"
	       "  dirty-start                  begin to log the pages that devices and units write\n"
	       "  dirty-query file=PATH        write those of the time since the last query to PATH: bit N of the file is the\n"
	       "                               page at guest-physical address N * 4096; the log begins anew\n"
	       "  dirty-stop                   end the log\n"
	       "  fault function=NAME kind=KIND  let something go wrong: disconnect, error, stop, save, load, report\n"
	       "  stop                         end the daemon\n\n"
	       "Exit status: 0 done, 1 refused or no daemon, 2 bad options.\n");
}

/* The daemon may have started somewhere else: files are named from the root for it. */
static json_t *file_value(const char *file)
{
	char directory[4096];

	if (*file == '/' || !*file || !getcwd(directory, sizeof(directory)))
		return json_string(file);
	return json_sprintf("%s/%s", directory, file);
}

/* NULL: no such value for it, which was said. */
static json_t *value_of(const char *name, const char *value)
{
	uint64_t number;

	if (!strcmp(name, "file"))
		return file_value(value);
	if (strcmp(name, "stay"))
		return json_string(value);
	if (!parse_number(value, 0, 1, &number))
		return json_integer((json_int_t)number);
	fprintf(stderr, "viommu ctl: stay=%s: allowed is 0 or 1\n", value);
	return NULL;
}

static json_t *build(int argc, char **argv)
{
	json_t *request = json_pack("{s:s}", "command", argv[0]), *value;

	for (int i = 1; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (equals) {
			*equals = 0;
			value = value_of(argv[i], equals + 1);
		} else {
			fprintf(stderr, "viommu ctl: %s: allowed is NAME=VALUE\n", argv[i]);
			value = NULL;
		}
		if (!value) {
			json_decref(request);
			return NULL;
		}
		json_object_set_new(request, argv[i], value);
	}
	return request;
}

static int ask(const char *path, const json_t *request)
{
	int fd = control_connect(path), status;
	json_t *reply;

	if (fd < 0) {
		fprintf(stderr, "viommu ctl: --control=%s: %s\n", path, strerror(-fd));
		return EXIT_FAIL;
	}
	reply = control_ask(fd, request);
	close(fd);
	if (!reply) {
		fprintf(stderr, "viommu ctl: the daemon at %s did not answer\n", path);
		return EXIT_FAIL;
	}
	json_dumpf(reply, stdout, JSON_INDENT(2));
	putchar('\n');
	status = json_is_true(json_object_get(reply, "ok")) ? EXIT_PASS : EXIT_FAIL;
	json_decref(reply);
	return status;
}

int command_ctl(int argc, char **argv)
{
	static const struct option options[] = {
		{ "control", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = "control.sock";
	json_t *request;
	int option, status;

	while ((option = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		if (option == 'h') {
			help();
			return EXIT_PASS;
		}
		if (option != 'c') {
			fprintf(stderr, "viommu ctl: \"viommu ctl --help\" lists the options\n");
			return EXIT_USAGE;
		}
		path = optarg;
	}
	if (optind == argc) {
		fprintf(stderr,
			"viommu ctl: a command is needed; \"viommu ctl --help\" lists them\n");
		return EXIT_USAGE;
	}
	request = build(argc - optind, argv + optind);
	if (!request)
		return EXIT_USAGE;
	status = ask(path, request);
	json_decref(request);
	return status;
}
