/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What `viommu run` was asked for, and one boot of a guest.
 */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include <stdio.h>

#include "options.h"
#include "process.h"
#include "qemu.h"
#include "results.h"

struct run_options {
	struct spec spec;
	struct qemu_options qemu;
	const char *test;
	const char *append;
	const char *json;
	const char *log;
	unsigned int timeout; /* s */
	bool verbose, quiet;
	bool console;
};

struct run {
	struct run_options *o;
	char directory[128];
	char control_path[192];
	char results_path[192];
	char dmar_path[192];
	FILE *log, *json; /* NULL: not asked for */
	int signal_fd;
	int control; /* connection to the daemon, -1: none */
	int results_listen, results_fd;
	struct process daemon, guest;
	struct results results;
	json_t *status;	 /* the last good answer to "status" while the units were in use */
	double started;	 /* s, monotonic */
	bool placed;	 /* firmware has put every unit where the DMAR table says */
	char tail[4096]; /* the end of the guest's console */
	size_t tail_length;
};

enum boot_outcome {
	BOOT_ENDED,	/* the guest has ended by itself */
	BOOT_MISPLACED, /* a unit's registers are elsewhere: spec has the right address now */
	BOOT_FAILED,	/* run->failure says why */
	BOOT_TIMEOUT,
	BOOT_INTERRUPTED,
};

/* Boot once and watch until it is over. `failure` gets a sentence for BOOT_FAILED. */
enum boot_outcome run_boot(struct run *run, char *failure, size_t length);
int run_start_daemon(struct run *run, char *failure, size_t length);
double run_clock(void);
void run_say(void *run, const char *text);

#endif
