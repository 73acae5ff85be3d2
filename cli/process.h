/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Child processes of `viommu run` and of tests, and a temporary directory. Only what was started here is ever ended.
 */
#ifndef CLI_PROCESS_H
#define CLI_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

struct process {
	pid_t pid;  /* 0: not running */
	int output; /* its stdout and stderr, -1: not captured */
	int status; /* of waitpid, once it has ended */
	bool ended;
};

/* Start `argv`; with `capture` its output comes through process->output, else it has our terminal.
 */
int process_start(struct process *process, char **argv, bool capture);
/* Has it ended? Does not wait. */
bool process_ended(struct process *process);
/* SIGTERM, and SIGKILL after `patience_ms`; waits. */
void process_stop(struct process *process, int patience_ms);
/* "exit status 3", "signal 9 (Killed)" */
const char *process_outcome(const struct process *process, char *text, size_t length);

/* Where it is made: $TMPDIR or /tmp. */
const char *directory_parent(void);
/* A fresh directory only we can enter. */
int directory_make(char *path, size_t length);
/* Remove it and the plain files and sockets in it. */
void directory_remove(const char *path);
/* A listening Unix socket. The fd or a negative errno. */
int listen_unix(const char *path);

#endif
