/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A child dies with us, whatever happens to us: the kernel is asked to kill it when its parent
 * goes.
 */
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void run_child(char **argv, int output, pid_t parent)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127); /* it went before we asked */
	if (output >= 0) {
		int null = open("/dev/null", O_RDONLY);

		dup2(null, STDIN_FILENO);
		dup2(output, STDOUT_FILENO);
		dup2(output, STDERR_FILENO);
	}
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "cannot start %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

int process_start(struct process *p, char **argv, bool capture)
{
	pid_t self = getpid();
	int fds[2] = { -1, -1 };

	*p = (struct process){ .output = -1 };
	if (capture && pipe2(fds, O_CLOEXEC))
		return -errno;
	p->pid = fork();
	if (!p->pid)
		run_child(argv, fds[1], self);
	if (capture)
		close(fds[1]);
	if (p->pid < 0) {
		int ret = -errno;

		if (capture)
			close(fds[0]);
		p->pid = 0;
		return ret;
	}
	if (capture) {
		fcntl(fds[0], F_SETFL, O_NONBLOCK);
		p->output = fds[0];
	}
	return 0;
}

bool process_ended(struct process *p)
{
	if (p->pid > 0 && !p->ended && waitpid(p->pid, &p->status, WNOHANG) == p->pid)
		p->ended = true;
	return p->pid <= 0 || p->ended;
}

void process_stop(struct process *p, int patience_ms)
{
	if (p->pid > 0 && !process_ended(p)) {
		kill(p->pid, SIGTERM);
		for (; patience_ms > 0 && !process_ended(p); patience_ms -= 10)
			usleep(10000);
		if (!process_ended(p)) {
			kill(p->pid, SIGKILL);
			if (waitpid(p->pid, &p->status, 0) == p->pid)
				p->ended = true;
		}
	}
	if (p->output >= 0)
		close(p->output);
	p->output = -1;
}

const char *process_outcome(const struct process *p, char *text, size_t length)
{
	if (WIFSIGNALED(p->status))
		snprintf(text, length, "signal %d (%s)", WTERMSIG(p->status),
			 strsignal(WTERMSIG(p->status)));
	else
		snprintf(text, length, "exit status %d", WEXITSTATUS(p->status));
	return text;
}

const char *directory_parent(void)
{
	const char *parent = getenv("TMPDIR");

	return parent && *parent ? parent : "/tmp";
}

int directory_make(char *path, size_t length)
{
	if (snprintf(path, length, "%s/viommu-XXXXXX", directory_parent()) >= (int)length)
		return -ENAMETOOLONG;
	return mkdtemp(path) ? 0 : -errno;
}

void directory_remove(const char *path)
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

int listen_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, ret;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	if (!bind(fd, (struct sockaddr *)&address, sizeof(address)) && !listen(fd, 1))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}
