/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest as its manager sees it. `viommu run` starts the daemon and QEMU; the manager talks to the daemon with `viommu ctl`, to QEMU over
 * QMP, and tells the guest over a virtio port when to end (guest/scripts/load).
 */
#include "precopy.h"

#include "devices/dsa/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUNNING	    "check DMA is running: PASS"
#define BOOT_TIME   (25 * MINUTES)
#define IQH	    0x80 /* VT-d 11.4.9.1, 11.4.9.2: the tail is the next word */
#define IQ_POSITION UINT64_C(0x7fff0)
#define BAR_LENGTH  0x10000

static int wrong(const char *what, int error)
{
	printf("FAIL guest: %s: %s\n", what, strerror(error));
	return -error;
}

static int make_socket(const struct guest *g, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", g->directory, name);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void run_child(const struct guest *g, const struct guest_options *o, int output)
{
	char monitor[128], port[128], pidfile[96];

	snprintf(monitor, sizeof(monitor), "unix:%s/monitor,server=on,wait=off", g->directory);
	snprintf(port, sizeof(port), "socket,id=manager,path=%s/port,server=on,wait=off", g->directory);
	snprintf(pidfile, sizeof(pidfile), "%s/pid", g->directory);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setenv("TMPDIR", g->directory, 1);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	execl(g->viommu, g->viommu, "run", "--kernel", o->kernel, "--initrd", o->initrd, "--test", "load", "--append",
	      o->append, "--unit", o->unit, "--device", o->device, "--memory", "160M", "--cpus", "1", "--timeout",
	      "3000", "--qemu-arg", "-qmp", "--qemu-arg", monitor, "--qemu-arg", "-pidfile", "--qemu-arg", pidfile,
	      "--qemu-arg", "-chardev", "--qemu-arg", port, "--qemu-arg", "-device", "--qemu-arg",
	      "virtio-serial-pci", "--qemu-arg", "-device", "--qemu-arg", "virtserialport,chardev=manager", NULL);
	_exit(127);
}

/* Pass on what `viommu run` says until a line has `text`; NULL: until it ends. False: it ended first, or never. */
static bool follow(struct guest *g, const char *text)
{
	time_t end = time(NULL) + BOOT_TIME;
	char line[4096];

	for (;;) {
		struct pollfd fd = { .fd = fileno(g->output), .events = POLLIN };

		/* Lines are short and written at once: one that begins to arrive arrives. */
		if (poll(&fd, 1, 1000) <= 0) {
			if (time(NULL) > end)
				return false;
			continue;
		}
		if (!fgets(line, sizeof(line), g->output))
			return !text;
		printf("    %s", line);
		if (text && strstr(line, text))
			return true;
	}
}

static int find_pieces(struct guest *g)
{
	char pattern[128], path[96], text[32] = "";
	json_t *reply;
	glob_t found;
	FILE *file;

	snprintf(pattern, sizeof(pattern), "%s/viommu-*/control.sock", g->directory);
	if (glob(pattern, 0, NULL, &found) || found.gl_pathc != 1)
		return wrong("no control socket", ENOENT);
	snprintf(g->control, sizeof(g->control), "%s", found.gl_pathv[0]);
	globfree(&found);
	snprintf(path, sizeof(path), "%s/pid", g->directory);
	file = fopen(path, "r");
	if (!file || !fgets(text, sizeof(text), file))
		return wrong("QEMU did not say its process", ENOENT);
	fclose(file);
	g->vmm = (pid_t)strtol(text, NULL, 10);
	reply = guest_control(g, "status", NULL);
	g->registers = (uint64_t)json_integer_value(
		json_object_get(json_array_get(json_object_get(reply, "units"), 0), "address"));
	json_decref(reply);
	return g->registers ? 0 : wrong("the unit is nowhere", ENOENT);
}

static int open_monitor(struct guest *g)
{
	char line[4096];

	g->monitor = make_socket(g, "monitor");
	g->monitor_in = g->monitor < 0 ? NULL : fdopen(dup(g->monitor), "r");
	if (!g->monitor_in || !fgets(line, sizeof(line), g->monitor_in))
		return wrong("QEMU's monitor", errno);
	json_decref(guest_monitor(g, "qmp_capabilities", NULL));
	return 0;
}

int guest_start(struct guest *g, const struct guest_options *options)
{
	const char *parent = getenv("TMPDIR");
	int fds[2], ret;

	*g = (struct guest){ .viommu = g->viommu, .monitor = -1 };
	snprintf(g->directory, sizeof(g->directory), "%s/precopy-XXXXXX", parent ? parent : "/tmp");
	if (!mkdtemp(g->directory) || pipe2(fds, O_CLOEXEC))
		return wrong(g->directory, errno);
	fflush(stdout);
	g->run = fork();
	if (!g->run)
		run_child(g, options, fds[1]);
	close(fds[1]);
	g->output = fdopen(fds[0], "r");
	setvbuf(g->output, NULL, _IONBF, 0);
	if (!follow(g, RUNNING))
		return wrong("its load does not run", ETIMEDOUT);
	ret = find_pieces(g);
	return ret ? ret : open_monitor(g);
}

int guest_end(struct guest *g)
{
	int port = make_socket(g, "port"), status = -1;

	if (port < 0 || write(port, "end\n", 4) != 4)
		return wrong("its port", errno);
	if (!follow(g, NULL))
		return wrong("it does not end", ETIMEDOUT);
	close(port);
	waitpid(g->run, &status, 0);
	g->run = 0;
	return status ? wrong("it did not pass", EIO) : 0;
}

void guest_destroy(struct guest *g)
{
	if (g->run > 0) {
		kill(g->run, SIGTERM);
		follow(g, NULL);
		waitpid(g->run, NULL, 0);
	}
	if (g->output)
		fclose(g->output);
	if (g->monitor_in)
		fclose(g->monitor_in);
	if (g->monitor >= 0)
		close(g->monitor);
}

json_t *guest_monitor(struct guest *g, const char *command, json_t *arguments)
{
	json_t *request = json_pack("{s:s, s:o*}", "execute", command, "arguments", arguments), *result = NULL;
	char *text = json_dumps(request, JSON_COMPACT), *line = NULL;
	size_t room = 0;
	bool sent;

	json_decref(request);
	sent = text && write(g->monitor, text, strlen(text)) == (ssize_t)strlen(text);
	free(text);
	/* Events come in between. */
	while (sent && !result && getline(&line, &room, g->monitor_in) > 0) {
		json_t *reply = json_loads(line, 0, NULL);

		result = json_incref(json_object_get(reply, "return"));
		if (!result && json_object_get(reply, "error")) {
			printf("FAIL guest: %s: %s", command, line);
			sent = false;
		}
		json_decref(reply);
	}
	free(line);
	return result;
}

json_t *guest_control(struct guest *g, const char *command, const char *file)
{
	char text[1024];
	json_t *reply;
	FILE *out;
	int status;

	snprintf(text, sizeof(text), "exec '%s' ctl --control '%s' %s %s%s", g->viommu, g->control, command,
		 file ? "file=" : "", file ? file : "");
	out = popen(text, "r");
	reply = out ? json_loadf(out, 0, NULL) : NULL;
	status = out ? pclose(out) : -1;
	if (!status && reply)
		return reply;
	printf("FAIL viommu ctl %s: %s\n", command, json_string_value(json_object_get(reply, "error")));
	json_decref(reply);
	return NULL;
}

/* "00000000e0000080: 0x... 0x...": head and tail of the invalidation queue. */
static int queue_empty(struct guest *g, bool *empty)
{
	char command[64];
	uint64_t head, tail;
	json_t *reply;
	int got = 0;

	snprintf(command, sizeof(command), "xp /2gx 0x%" PRIx64, g->registers + IQH);
	reply = guest_monitor(g, "human-monitor-command", json_pack("{s:s}", "command-line", command));
	if (json_is_string(reply))
		got = sscanf(json_string_value(reply), "%*[^:]: %" SCNi64 " %" SCNi64, (int64_t *)&head,
			     (int64_t *)&tail);
	json_decref(reply);
	if (got != 2)
		return wrong("the queue's registers", EIO);
	*empty = (head & IQ_POSITION) == (tail & IQ_POSITION);
	return 0;
}

/*
 * vfio-pci cannot migrate a DSA, so nobody in the daemon knows how to bring one to rest. Its own command does (DSA 9.2.8: Drain All):
 * the stopped guest is not in the middle of one, because its driver waits for each.
 */
static int drain_device(const char *function)
{
	time_t end = time(NULL) + PATIENCE;
	volatile uint32_t *bar;
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", function);
	fd = open(path, O_RDWR | O_CLOEXEC);
	bar = fd < 0 ? MAP_FAILED : mmap(NULL, BAR_LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (bar == MAP_FAILED)
		return wrong(path, errno);
	bar[DSA_CMD / 4] = (uint32_t)DSA_DRAIN_ALL << 20;
	while (bar[DSA_CMDSTS / 4] & DSA_CMDSTS_ACTIVE && time(NULL) < end)
		usleep(1000);
	munmap((void *)(uintptr_t)bar, BAR_LENGTH);
	return time(NULL) < end ? 0 : wrong("the device does not drain", ETIMEDOUT);
}

int guest_drain(struct guest *g, const char *function)
{
	time_t end = time(NULL) + PATIENCE;
	bool empty = false;
	int ret = 0;

	while (!ret && !empty && time(NULL) < end) {
		ret = queue_empty(g, &empty);
		usleep(1000);
	}
	if (!ret && !empty)
		ret = wrong("the unit's queue does not empty", ETIMEDOUT);
	return ret ? ret : drain_device(function);
}
