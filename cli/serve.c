/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * viommu serve: the daemon in the foreground until SIGTERM or SIGINT, or a "stop" on the control
 * socket.
 */
#include "arguments.h"
#include "control.h"
#include "daemon.h"
#include "qemu.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct serve_options {
	struct spec spec;
	const char *directory;
	const char *control;
	const char *dmar;
	bool print_qemu;
	bool quiet;
	bool follow_parent;
};

static const struct argument arguments[] = {
	{ "socket-dir", required_argument, offsetof(struct serve_options, directory) },
	{ "control", required_argument, offsetof(struct serve_options, control) },
	{ "dmar", required_argument, offsetof(struct serve_options, dmar) },
	{ "print-qemu", no_argument, offsetof(struct serve_options, print_qemu) },
	{ "no-messages", no_argument, offsetof(struct serve_options, spec.mute) },
	{ "quiet", no_argument, offsetof(struct serve_options, quiet) },
	{ "exit-with-parent", no_argument, offsetof(struct serve_options, follow_parent) },
	{ NULL },
};

static void help(void)
{
	printf("usage: viommu serve [OPTION...]\n\n"
	       "Serve units and the devices behind them over vfio-user, for a VMM you start yourself.\n\n"
	       "  --unit NAME=VALUE,...      a unit; may be repeated\n"
	       "  --device KIND,NAME=VALUE,... a device behind a unit; may be repeated\n"
	       "  --socket-dir DIR           where the sockets go (made if missing); default .\n"
	       "  --control PATH             socket for \"viommu ctl\"; default DIR/control.sock\n"
	       "  --dmar FILE                write the DMAR table's body there (QEMU: -acpitable data=FILE)\n"
	       "  --print-qemu               print the QEMU command line for these options, write --dmar, and end\n"
	       "  --no-messages              never send requests to the VMM: for those that cannot take them (Cloud\n"
	       "                             Hypervisor); the guest then hears of no fault or page request\n"
	       "  --quiet                    do not say where the sockets are\n"
	       "  --exit-with-parent         end when the process that started this one ends\n"
	       "  --help                     this\n\n"
	       "The daemon serves one VM at a time; when its VMM ends, the next one may connect.\n"
	       "Exit status: 0 after SIGTERM, SIGINT or \"viommu ctl stop\"; 1 it could not start; 2 bad options.\n\n");
	spec_help();
}

static const struct command_line command_line = { "serve", arguments, help };

/*
 * A client may truncate the file behind memory it shared. The page then reads as zeros and takes
 * writes that nobody sees; the VM has lost that memory anyway. Only library calls that are safe in
 * a handler. Part of a huge page cannot be replaced: the larger sizes are for memory made of those.
 */
static void truncated(int signal_number, siginfo_t *info, void *context)
{
	static const uintptr_t sizes[] = { 4096, 2u << 20, 1u << 30 };

	for (unsigned int i = 0; info->si_code == BUS_ADRERR && i < 3; i++) {
		uintptr_t page = (uintptr_t)info->si_addr & ~(sizes[i] - 1);

		if (mmap((void *)page, sizes[i], PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
			 0) != MAP_FAILED)
			return;
	}
	signal(SIGBUS, SIG_DFL);
}

static void survive_truncated_memory(void)
{
	struct sigaction action = { .sa_sigaction = truncated, .sa_flags = SA_SIGINFO };

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

static const char *text_of(const json_t *request, const char *name)
{
	const char *text = json_string_value(json_object_get(request, name));

	return text ? text : "";
}

/* The log of written pages. -ENOSYS: the command is not about that. */
static int dirty(struct daemon *daemon, const char *command, const json_t *request, json_t *reply, char *message,
		 size_t length)
{
	if (!strcmp(command, "dirty-start"))
		return daemon_dirty_start(daemon, message, length);
	if (!strcmp(command, "dirty-query"))
		return daemon_dirty_query(daemon, text_of(request, "file"), reply, message, length);
	if (!strcmp(command, "dirty-stop"))
		return daemon_dirty_stop(daemon, message, length);
	return -ENOSYS;
}

/* The commands that change something. NULL: it is none of them. */
static json_t *change(struct daemon *daemon, const char *command, const json_t *request)
{
	json_t *reply = json_object();
	char message[1024] = "";
	int ret;

	if (!strcmp(command, "save"))
		ret = daemon_save(daemon, text_of(request, "file"),
				  json_integer_value(json_object_get(request, "stay")), message,
				  sizeof(message));
	else if (!strcmp(command, "load"))
		ret = daemon_load(daemon, text_of(request, "file"), message, sizeof(message));
	else if (!strcmp(command, "continue"))
		ret = daemon_continue(daemon, message, sizeof(message));
	else if (!strcmp(command, "fault"))
		ret = daemon_inject(daemon, text_of(request, "function"), text_of(request, "kind"),
				    message, sizeof(message));
	else
		ret = dirty(daemon, command, request, reply, message, sizeof(message));
	if (!ret)
		return reply;
	json_decref(reply);
	if (ret == -ENOSYS)
		return NULL;
	return control_error("%s: %s", command, *message ? message : strerror(-ret));
}

static json_t *answer(void *opaque, const json_t *request)
{
	const char *command = json_string_value(json_object_get(request, "command"));
	struct daemon *daemon = opaque;
	json_t *reply = NULL;

	if (!command)
		return control_error("\"command\" is missing");
	if (!strcmp(command, "status"))
		reply = daemon_status(daemon);
	else if (!strcmp(command, "statistics"))
		reply = daemon_statistics(daemon);
	else if (!strcmp(command, "stop")) {
		kill(getpid(), SIGTERM);
		reply = json_object();
	} else {
		reply = change(daemon, command, request);
		if (!reply)
			return control_error(
				"no command \"%.64s\"; allowed are status, statistics, save, load, "
				"continue, dirty-start, dirty-query, dirty-stop, fault, stop",
				command);
	}
	if (reply && !json_object_get(reply, "ok"))
		json_object_set_new(reply, "ok", json_true());
	return reply;
}

static void announce(const struct serve_options *o)
{
	char path[256];

	for (unsigned int i = 0; i < o->spec.unit_count; i++) {
		unit_socket(&o->spec, i, o->directory, path, sizeof(path));
		printf("unit %u at %02x.%u: %s\n", i, o->spec.units[i].devfn >> 3,
		       o->spec.units[i].devfn & 7, path);
	}
	for (unsigned int i = 0; i < o->spec.device_count; i++) {
		const struct device_spec *d = &o->spec.devices[i];

		device_socket(&o->spec, i, o->directory, path, sizeof(path));
		printf("%s at %02x.%u behind unit %u: %s\n", d->kind->name, d->devfn >> 3,
		       d->devfn & 7, d->unit, path);
	}
	printf("control: %s\n", o->control);
	/* A daemon whose output nobody takes serves all the same. */
	if (fflush(stdout)) {
		fprintf(stderr, "viommu serve: standard output: %s\n", strerror(errno));
		clearerr(stdout);
	}
}

static int serve(struct serve_options *o)
{
	struct control *control = NULL;
	struct daemon *daemon;
	char message[512] = "not enough memory";
	sigset_t wanted;
	int ret, number;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &wanted, NULL);
	signal(SIGPIPE, SIG_IGN);
	survive_truncated_memory();
	if (o->follow_parent)
		prctl(PR_SET_PDEATHSIG, SIGTERM);

	ret = daemon_create(&o->spec, o->directory, &daemon, message, sizeof(message));
	if (ret) {
		fprintf(stderr, "viommu serve: %s\n", message);
		return ret == -EINVAL || ret == -ENOENT ? EXIT_USAGE : EXIT_FAIL;
	}
	ret = daemon_start(daemon);
	if (!ret)
		ret = control_create(o->control, answer, daemon, &control);
	if (ret) {
		fprintf(stderr, "viommu serve: cannot start (control socket %s): %s\n", o->control,
			strerror(-ret));
	} else {
		if (!o->quiet)
			announce(o);
		sigwait(&wanted, &number);
	}
	control_destroy(control);
	daemon_destroy(daemon);
	return ret ? EXIT_FAIL : EXIT_PASS;
}

int command_serve(int argc, char **argv)
{
	struct serve_options o = { .directory = "." };
	char control[256], message[512];
	int status = command_line_parse(&command_line, &o.spec, &o, argc, argv);

	if (status >= 0)
		goto out;
	if (mkdir(o.directory, 0700) && errno != EEXIST) {
		fprintf(stderr, "viommu serve: --socket-dir %s: %s\n", o.directory,
			strerror(errno));
		status = EXIT_FAIL;
		goto out;
	}
	if (!o.control) {
		snprintf(control, sizeof(control), "%s/control.sock", o.directory);
		o.control = control;
	}
	status = EXIT_FAIL;
	if (o.dmar && dmar_write(&o.spec, o.dmar, message, sizeof(message)))
		fprintf(stderr, "viommu serve: --dmar %s\n", message);
	else if (o.print_qemu)
		status = qemu_print(&o.spec, o.directory, o.dmar);
	else
		status = serve(&o);
out:
	spec_free(&o.spec);
	return status;
}
