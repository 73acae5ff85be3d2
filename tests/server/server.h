/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fixture of the server's tests: a daemon with a unit, a dsa and a testdev, and clients of the
 * unit's and the testdev's functions (where the testdev's is the one called `device`). Two clients
 * of the unit cannot be at once, so tests that open their own close the fixture's.
 */
#ifndef TESTS_SERVER_SERVER_H
#define TESTS_SERVER_SERVER_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client.h"
#include "daemon.h"

struct server_test {
	struct test_daemon daemon; /* one for all tests of a program */
	struct client unit;
	struct client device;
};

extern struct server_test test;

/* Connect both clients before each test; afterwards the daemon must be alive and the clients are
 * closed. */
int server_test_setup(void **state);
int server_test_teardown(void **state);
#define SERVER_TEST(function) \
	cmocka_unit_test_setup_teardown(function, server_test_setup, server_test_teardown)
/* The same without clients. */
#define DAEMON_TEST(function) cmocka_unit_test_setup_teardown(function, NULL, server_test_teardown)

/* argv[1] is the viommu program. Starts the daemon with `arguments` (NULL: none), runs, ends it. */
int server_test_main_with(int argc, char **argv, const struct CMUnitTest *tests, size_t count,
			  char *const *arguments);
int server_test_main(int argc, char **argv, const struct CMUnitTest *tests, size_t count);

/* A sealed memory file, as VMMs make them. */
int memory_file(size_t length);

#endif
