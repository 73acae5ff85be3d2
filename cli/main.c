/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The `viommu` command: one table of subcommands.
 */
#include "options.h"

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
	{ "bench", "measure", command_bench },
#endif
	{ "version", "print the version", command_version },
	{ "help", "print this", command_help },
};

static int command_help(int argc, char **argv)
{
	printf("viommu: a virtual IOMMU and devices behind it\n\nusage: viommu COMMAND [OPTION...]\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].help);
	printf("\n\"viommu COMMAND --help\" says more.\n");
	return EXIT_PASS;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	if (!strcmp(name, "--version"))
		name = "version";
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		static char called[64];

		if (strcmp(commands[i].name, name))
			continue;
		/* getopt begins its messages with this. */
		snprintf(called, sizeof(called), "viommu %s", name);
		argv[1] = called;
		return commands[i].run(argc - 1, argv + 1);
	}
	if (*name)
		fprintf(stderr, "viommu: no command \"%s\"; \"viommu help\" lists them\n", name);
	else
		fprintf(stderr, "viommu: a command is needed; \"viommu help\" lists them\n");
	return EXIT_USAGE;
}
