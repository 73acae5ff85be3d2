/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starting and ending a real daemon for a test.
 */
#ifndef TESTS_SERVER_DAEMON_H
#define TESTS_SERVER_DAEMON_H

#include "cli/process.h"

struct test_daemon {
	struct process process;
	char directory[64];
	char unit[128]; /* sockets of the first unit, the dsa and the testdev */
	char dsa[128];
	char testdev[128];
	char control[128];
};

/*
 * Start `viommu serve` (the program is argv[1] of the test, see daemon_program) with extra
 * arguments, NULL-terminated or NULL. Returns when its sockets are there.
 */
int daemon_begin(struct test_daemon *daemon, char *const *arguments);
/* End it and remove its directory. 0 when it was alive and ended as it should: status 0. */
int daemon_end(struct test_daemon *daemon);
bool daemon_alive(struct test_daemon *daemon);
extern const char *daemon_program;

#endif
