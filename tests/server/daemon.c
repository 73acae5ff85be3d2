/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A daemon of its own for each test, in a directory of its own.
 */
#include "daemon.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS 32

const char *daemon_program;

static void run(struct test_daemon *d, char *const *arguments)
{
	const char *argv[ARGUMENTS + 8];
	char directory[128];
	unsigned int count = 0;

	snprintf(directory, sizeof(directory), "--socket-dir=%s", d->directory);
	argv[count++] = daemon_program;
	argv[count++] = "serve";
	argv[count++] = "--quiet";
	argv[count++] = directory;
	for (; arguments && *arguments && count < ARGUMENTS; arguments++)
		argv[count++] = *arguments;
	argv[count] = NULL;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv(daemon_program, (char *const *)argv);
	_exit(127);
}

int daemon_begin(struct test_daemon *d, char *const *arguments)
{
	struct stat status;

	memset(d, 0, sizeof(*d));
	snprintf(d->directory, sizeof(d->directory), "%s/viommu-test-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(d->directory))
		return -errno;
	snprintf(d->unit, sizeof(d->unit), "%s/unit0.sock", d->directory);
	snprintf(d->dsa, sizeof(d->dsa), "%s/dsa-06.0.sock", d->directory);
	snprintf(d->testdev, sizeof(d->testdev), "%s/testdev-07.0.sock", d->directory);
	snprintf(d->control, sizeof(d->control), "%s/control.sock", d->directory);
	d->pid = fork();
	if (!d->pid)
		run(d, arguments);
	if (d->pid < 0)
		return -errno;
	/* the control socket is made last */
	for (int attempt = 0; attempt < 12000; attempt++) {
		if (!stat(d->control, &status))
			return 0;
		if (!daemon_alive(d))
			break;
		usleep(5000);
	}
	daemon_end(d);
	return -EIO;
}

bool daemon_alive(struct test_daemon *d)
{
	siginfo_t info = { .si_pid = 0 };

	return d->pid > 0 && !waitid(P_PID, (id_t)d->pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
	       info.si_pid == 0;
}

static void remove_directory(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory)
		closedir(directory);
	rmdir(path);
}

int daemon_end(struct test_daemon *d)
{
	int status = -1, waited = 0;

	if (d->pid > 0) {
		kill(d->pid, SIGTERM);
		for (int attempt = 0; attempt < 6000 && !waited; attempt++) {
			waited = waitpid(d->pid, &status, WNOHANG) == d->pid;
			if (!waited)
				usleep(5000);
		}
		if (!waited) {
			kill(d->pid, SIGKILL);
			waitpid(d->pid, &status, 0);
			status = -1; /* it hung */
		}
	}
	d->pid = 0;
	remove_directory(d->directory);
	if (status)
		fprintf(stderr, "the daemon ended with status 0x%x\n", (unsigned int)status);
	return status ? -EIO : 0;
}
