/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One daemon per test program; it must outlive everything the tests do and end cleanly.
 */
#include "server.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct server_test test = { .unit.fd = -1, .device.fd = -1 };

int server_test_setup(void **state)
{
	if (client_open(&test.unit, test.daemon.unit))
		return -1;
	return client_open(&test.device, test.daemon.testdev);
}

int server_test_teardown(void **state)
{
	client_close(&test.unit);
	client_close(&test.device);
	return daemon_alive(&test.daemon) ? 0 : -1;
}

int server_test_main_with(int argc, char **argv, const struct CMUnitTest *tests, size_t count,
			  char *const *arguments)
{
	int failed;

	if (argc < 2) {
		fprintf(stderr, "usage: %s VIOMMU-PROGRAM\n", argv[0]);
		return 2;
	}
	daemon_program = argv[1];
	signal(SIGPIPE, SIG_IGN);
	if (daemon_begin(&test.daemon, arguments)) {
		fprintf(stderr, "the daemon does not start\n");
		return 1;
	}
	failed = _cmocka_run_group_tests(argv[0], tests, count, NULL, NULL);
	if (daemon_end(&test.daemon))
		failed++;
	return failed ? 1 : 0;
}

int server_test_main(int argc, char **argv, const struct CMUnitTest *tests, size_t count)
{
	return server_test_main_with(argc, argv, tests, count, NULL);
}

int memory_file(size_t length)
{
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && ftruncate(fd, (off_t)length)) {
		close(fd);
		fd = -1;
	}
	assert_true(fd >= 0);
	return fd;
}
