/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A daemon of its own for each test, in a directory of its own.
 */
#include "daemon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGUMENTS	 32
#define PATIENCE_MS	 60000
#define PATIENCE_STEP_US 5000

const char *daemon_program;

static int start(struct test_daemon *d, char *const *arguments)
{
	const char *argv[ARGUMENTS + 5];
	char directory[128];
	unsigned int count = 0;

	snprintf(directory, sizeof(directory), "--socket-dir=%s", d->directory);
	argv[count++] = daemon_program;
	argv[count++] = "serve";
	argv[count++] = "--quiet";
	argv[count++] = directory;
	for (; arguments && *arguments && count < ARGUMENTS + 4; arguments++)
		argv[count++] = *arguments;
	argv[count] = NULL;
	return process_start(&d->process, (char **)argv, false);
}

int daemon_begin(struct test_daemon *d, char *const *arguments)
{
	struct stat status;
	int ret;

	*d = (struct test_daemon){ .process.output = -1 };
	ret = directory_make(d->directory, sizeof(d->directory));
	if (ret)
		return ret;
	snprintf(d->unit, sizeof(d->unit), "%s/unit0.sock", d->directory);
	snprintf(d->dsa, sizeof(d->dsa), "%s/dsa-06.0.sock", d->directory);
	snprintf(d->testdev, sizeof(d->testdev), "%s/testdev-07.0.sock", d->directory);
	snprintf(d->control, sizeof(d->control), "%s/control.sock", d->directory);
	ret = start(d, arguments);
	/* the control socket is made last */
	for (int waited = 0; !ret && waited < PATIENCE_MS * 1000; waited += PATIENCE_STEP_US) {
		if (!stat(d->control, &status))
			return 0;
		if (!daemon_alive(d))
			break;
		usleep(PATIENCE_STEP_US);
	}
	daemon_end(d);
	return ret ? ret : -EIO;
}

bool daemon_alive(struct test_daemon *d)
{
	return !process_ended(&d->process);
}

int daemon_end(struct test_daemon *d)
{
	int status;

	process_stop(&d->process, PATIENCE_MS / 2);
	status = d->process.status; /* one that hung was killed: not 0 */
	directory_remove(d->directory);
	*d = (struct test_daemon){ .process.output = -1 };
	if (status)
		fprintf(stderr, "the daemon ended with status 0x%x\n", (unsigned int)status);
	return status ? -EIO : 0;
}
