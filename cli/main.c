/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The `viommu` command: one table of subcommands.
 */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct command {
	const char *name;
	const char *help;
	int (*run)(int argc, char **argv);
};

static int command_help(int argc, char **argv);

static int command_version(int argc, char **argv)
{
	if (argc > 1) {
		fprintf(stderr, "%s: %s: no arguments are allowed\n", argv[0], argv[1]);
		return EXIT_USAGE;
	}
	printf("viommu %s\n", VIOMMU_VERSION);
	return EXIT_PASS;
}

static const struct command commands[] = {
	{ "run", "boot a Linux guest behind a unit and run a workload in it", command_run },
	{ "serve", "run units and devices as a daemon for a VMM you start", command_serve },
	{ "ctl", "ask a running daemon for its status and statistics", command_ctl },
	{ "inspect", "show what a unit with given options offers; decode a register trace",
	  command_inspect },
#ifdef VIOMMU_COMMAND_RISCV
	{ "riscv", "run an RV64 machine whose memory goes through the CPU-side half",
	  command_riscv },
#endif
#ifdef VIOMMU_COMMAND_BENCH
	{ "bench", "measure what translating and invalidating cost here", command_bench },
#endif
	{ "version", "print the version", command_version },
	{ "help", "print this, or what COMMAND --help says", command_help },
};

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* argv[0] is the command's name. */
static int run(const struct command *command, int argc, char **argv)
{
	static char called[64];

	/* getopt begins its messages with this. */
	snprintf(called, sizeof(called), "viommu %s", command->name);
	argv[0] = called;
	return command->run(argc, argv);
}

static int unknown(const char *name)
{
	if (*name)
		fprintf(stderr, "viommu: no command \"%s\"; \"viommu help\" lists them\n", name);
	else
		fprintf(stderr, "viommu: a command is needed; \"viommu help\" lists them\n");
	return EXIT_USAGE;
}

static int command_help(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "help") && strcmp(argv[1], "version")) {
		const struct command *command = find(argv[1]);
		char help[] = "--help", *words[] = { NULL, help, NULL };

		return command ? run(command, 2, words) : unknown(argv[1]);
	}
	printf("viommu: a virtual IOMMU and devices behind it\n\nusage: viommu COMMAND [OPTION...]\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].help);
	printf("\n\"viommu COMMAND --help\" says more.\n");
	return EXIT_PASS;
}

/* What was printed and did not arrive (a full disk) is not done. */
static int printed(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	fprintf(stderr, "viommu: standard output: %s\n", strerror(errno));
	return status == EXIT_PASS ? EXIT_FAIL : status;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	const struct command *command;

	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	if (!strcmp(name, "--version") || !strcmp(name, "-V"))
		name = "version";
	command = find(name);
	return printed(command ? run(command, argc - 1, argv + 1) : unknown(name));
}
