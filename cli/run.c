/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * viommu run: the daemon, a VMM and a guest, started, watched and cleaned up with one command.
 */
#include "run.h"

#include "arguments.h"
#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* Firmware is asked this often for a place the table can name. */
#define PLACE_ATTEMPTS	3
#define EXTRA_ARGUMENTS 64

static void help(void)
{
	printf("usage: viommu run (--kernel FILE | --disk FILE) [OPTION...]\n\n"
	       "Boot a guest behind a unit under QEMU %d.%d or newer and report what it and the unit did.\n\n"
	       "  --kernel FILE --initrd FILE --disk FILE   what to boot\n"
	       "  --append TEXT              more of the kernel command line\n"
	       "  --test NAME                run=NAME on the kernel command line: what our guests run\n"
	       "  --memory SIZE              guest memory; default 3G\n"
	       "  --cpus N                   guest CPUs, 1 to 255; default 2\n"
	       "  --accel tcg|kvm            default tcg: needs no KVM\n"
	       "  --qemu PATH                default $VIOMMU_QEMU, then qemu-system-x86_64 in PATH\n"
	       "  --qemu-arg WORD            one more word for QEMU; may be repeated\n"
	       "  --unit NAME=VALUE,...      a unit; may be repeated\n"
	       "  --device KIND,NAME=VALUE,... a device behind a unit; may be repeated\n"
	       "  --timeout SECONDS          give up after that; default 600\n"
	       "  --json[=FILE]              the report for machines, on standard output or to FILE\n"
	       "  --log FILE                 the guest's console and the daemon's messages\n"
	       "  --verbose                  show the console while it runs\n"
	       "  --quiet                    do not say what is going on; only the report, and what fails\n"
	       "  --console                  your terminal is the guest's console\n"
	       "  --reboot                   let the guest reboot instead of ending\n"
	       "  --help                     this\n\n"
	       "The guest reports on its second serial port, one JSON object per line (docs/guide.md). With --test\n"
	       "a run passes when the guest says so; without, when QEMU ends with status 0.\n"
	       "Exit status: 0 pass, 1 fail, 2 bad options, 124 timeout.\n\n",
	       QEMU_MAJOR, QEMU_MINOR);
	spec_help();
}

static int take_memory(void *command, char *text, char *message, size_t length)
{
	struct run_options *o = command;
	uint64_t value;

	if (parse_size(text, &value) || value < (64u << 20) || value > UINT64_C(1) << 40 || value & ((1u << 20) - 1))
		return argument_refuse(message, length, "memory", text, "64M to 1024G, whole megabytes");
	o->qemu.memory = value;
	return 0;
}

static int take_cpus(void *command, char *text, char *message, size_t length)
{
	struct run_options *o = command;
	uint64_t value;

	if (parse_number(text, 1, 255, &value))
		return argument_refuse(message, length, "cpus", text, "1 to 255");
	o->qemu.cpus = (unsigned int)value;
	return 0;
}

static int take_accel(void *command, char *text, char *message, size_t length)
{
	struct run_options *o = command;

	if (strcmp(text, "tcg") && strcmp(text, "kvm"))
		return argument_refuse(message, length, "accel", text, "tcg or kvm");
	o->qemu.accel = text;
	return 0;
}

static int take_timeout(void *command, char *text, char *message, size_t length)
{
	struct run_options *o = command;
	uint64_t value;

	if (parse_number(text, 1, 86400, &value))
		return argument_refuse(message, length, "timeout", text, "1 to 86400 seconds");
	o->timeout = (unsigned int)value;
	return 0;
}

static int take_extra(void *command, char *word, char *message, size_t length)
{
	struct run_options *o = command;
	unsigned int count = 0;

	while (o->qemu.extra[count])
		count++;
	if (count == EXTRA_ARGUMENTS)
		return argument_refuse(message, length, "qemu-arg", word, "64 of them at most");
	o->qemu.extra[count] = word;
	return 0;
}

static int take_json(void *command, char *file, char *message, size_t length)
{
	struct run_options *o = command;

	o->json = file ? file : "-";
	return 0;
}

static const struct argument arguments[] = {
	{ "kernel", required_argument, offsetof(struct run_options, qemu.kernel) },
	{ "initrd", required_argument, offsetof(struct run_options, qemu.initrd) },
	{ "append", required_argument, offsetof(struct run_options, append) },
	{ "disk", required_argument, offsetof(struct run_options, qemu.disk) },
	{ "memory", required_argument, .take = take_memory },
	{ "cpus", required_argument, .take = take_cpus },
	{ "accel", required_argument, .take = take_accel },
	{ "qemu", required_argument, offsetof(struct run_options, qemu.binary) },
	{ "qemu-arg", required_argument, .take = take_extra },
	{ "test", required_argument, offsetof(struct run_options, test) },
	{ "timeout", required_argument, .take = take_timeout },
	{ "json", optional_argument, .take = take_json },
	{ "log", required_argument, offsetof(struct run_options, log) },
	{ "verbose", no_argument, offsetof(struct run_options, verbose) },
	{ "quiet", no_argument, offsetof(struct run_options, quiet) },
	{ "console", no_argument, offsetof(struct run_options, console) },
	{ "reboot", no_argument, offsetof(struct run_options, qemu.reboot) },
	{ NULL },
};

/* Files are looked at before anything is started. */
static int check_files(const struct run_options *o, char *message, size_t length)
{
	const struct {
		const char *option, *file;
	} files[] = { { "kernel", o->qemu.kernel },
		      { "initrd", o->qemu.initrd },
		      { "disk", o->qemu.disk } };

	if (!o->qemu.kernel && !o->qemu.disk) {
		snprintf(message, length, "--kernel or --disk is needed: there is nothing to boot");
		return -EINVAL;
	}
	if (!o->qemu.kernel && (o->qemu.initrd || o->append || o->test)) {
		snprintf(message, length, "--initrd, --append and --test need --kernel");
		return -EINVAL;
	}
	if (o->test && o->test[strcspn(o->test, " \t\n\"")])
		return argument_refuse(message, length, "test", o->test, "one word");
	for (unsigned int i = 0; i < 3; i++) {
		struct stat status;
		int error = 0;

		if (!files[i].file)
			continue;
		if (access(files[i].file, R_OK))
			error = errno;
		else if (!stat(files[i].file, &status) && S_ISDIR(status.st_mode))
			error = EISDIR;
		if (!error)
			continue;
		snprintf(message, length, "--%s=%s: %s", files[i].option, files[i].file, strerror(error));
		return -EINVAL;
	}
	return 0;
}

static int check_qemu(struct run_options *o, char *message, size_t length)
{
	unsigned int major, minor;
	int ret;

	if (!o->qemu.binary)
		o->qemu.binary = getenv("VIOMMU_QEMU");
	if (!o->qemu.binary || !*o->qemu.binary)
		o->qemu.binary = "qemu-system-x86_64";
	ret = qemu_version(o->qemu.binary, &major, &minor);
	if (ret) {
		snprintf(message, length, "--qemu=%s: %s", o->qemu.binary,
			 ret == -ENOENT ? "cannot be run; tools/prepare fetches one"
					: "is not a QEMU");
		return ret;
	}
	if (major > QEMU_MAJOR || (major == QEMU_MAJOR && minor >= QEMU_MINOR))
		return 0;
	snprintf(message, length, "--qemu=%s: version %u.%u; allowed is %d.%d or newer",
		 o->qemu.binary, major, minor, QEMU_MAJOR, QEMU_MINOR);
	return -EINVAL;
}

static int check(void *command, char *message, size_t length)
{
	int ret = check_files(command, message, length);

	return ret ? ret : check_qemu(command, message, length);
}

static const struct command_line command_line = { "run", arguments, help, check };

/* Boot until firmware and table agree. */
static enum boot_outcome boot(struct run *run, char *failure, size_t length)
{
	enum boot_outcome outcome = BOOT_MISPLACED;

	for (unsigned int attempt = 0; outcome == BOOT_MISPLACED && attempt < PLACE_ATTEMPTS;
	     attempt++) {
		if (attempt)
			run_say(run,
				"the DMAR table named another address; starting again with this one");
		if (dmar_write(&run->o->spec, run->dmar_path, failure, length))
			return BOOT_FAILED;
		outcome = run_boot(run, failure, length);
	}
	if (outcome != BOOT_MISPLACED)
		return outcome;
	snprintf(failure, length, "firmware put the units somewhere else on each of %d starts",
		 PLACE_ATTEMPTS);
	return BOOT_FAILED;
}

/* What is wrong with a guest that has ended, or NULL. */
static const char *judge(struct run *run, char *text, size_t length)
{
	char outcome[64];

	if (run->results.running[0] && !run->results.done)
		snprintf(text, length, "the guest ended in the middle of workload %s",
			 run->results.running);
	else if (run->o->test && !run->results.done)
		snprintf(text, length, "the guest ended without a \"done\" line (QEMU: %s)",
			 process_outcome(&run->guest, outcome, sizeof(outcome)));
	else if (run->results.failed || (run->results.done && !run->results.passed))
		snprintf(text, length, "a workload or a check failed");
	else if (run->guest.status)
		snprintf(text, length, "QEMU ended with %s",
			 process_outcome(&run->guest, outcome, sizeof(outcome)));
	else
		return NULL;
	return text;
}

static int write_json(const struct run *run, const char *guest, double seconds, const char *failure)
{
	json_t *report = report_json(&run->results, run->status, guest, seconds, failure);
	int ret = report ? json_dumpf(report, run->json, JSON_INDENT(2)) : -1;

	if (fputc('\n', run->json) == EOF || fflush(run->json))
		ret = -1;
	if (ret)
		fprintf(stderr, "viommu run: --json=%s: %s\n", run->o->json, strerror(errno));
	json_decref(report);
	return ret;
}

/* The log is whole, or the run has failed: nobody may look for what is not there. */
static int close_log(struct run *run)
{
	bool good = !ferror(run->log);

	good &= !fclose(run->log);
	if (!good)
		fprintf(stderr, "viommu run: --log=%s: not everything could be written\n", run->o->log);
	return good ? 0 : -EIO;
}

static int finish(struct run *run, enum boot_outcome outcome, const char *failure)
{
	char text[256], guest[256];
	double seconds = run_clock() - run->started;

	if (outcome == BOOT_ENDED)
		failure = judge(run, text, sizeof(text));
	if (outcome == BOOT_TIMEOUT) {
		snprintf(text, sizeof(text), "not done after %u s", run->o->timeout);
		failure = text;
	}
	if (outcome == BOOT_INTERRUPTED)
		failure = "interrupted";
	if (failure && run->tail_length && !run->o->verbose)
		fprintf(stderr, "\nThe end of the guest's console:\n%.*s\n", (int)run->tail_length,
			run->tail);
	snprintf(guest, sizeof(guest), "%s%s%s, %s", run->o->test ? run->o->test : "guest",
		 run->o->append ? ", " : "", run->o->append ? run->o->append : "",
		 run->o->qemu.accel);
	if (run->json != stdout)
		report_print(stdout, &run->results, run->status, guest, seconds, failure);
	if (run->json && write_json(run, guest, seconds, failure))
		return EXIT_FAIL;
	return outcome == BOOT_TIMEOUT ? EXIT_TIMEOUT : failure ? EXIT_FAIL : EXIT_PASS;
}

/* What it is to write, or NULL with a sentence. */
static FILE *create_file(const char *option, const char *file, char *failure, size_t length)
{
	FILE *out = fopen(file, "we");

	if (!out)
		snprintf(failure, length, "--%s=%s: %s", option, file, strerror(errno));
	return out;
}

/* Files that cannot be written are no surprise for the end. */
static int create_files(struct run *run, char *failure, size_t length)
{
	const struct run_options *o = run->o;

	if (o->json)
		run->json = strcmp(o->json, "-") ? create_file("json", o->json, failure, length) : stdout;
	if (o->log)
		run->log = create_file("log", o->log, failure, length);
	return (o->json && !run->json) || (o->log && !run->log) ? -EIO : 0;
}

static int prepare(struct run *run, char *failure, size_t length)
{
	sigset_t watched;
	int ret = create_files(run, failure, length);

	if (ret)
		return ret;
	ret = directory_make(run->directory, sizeof(run->directory));
	if (ret) {
		run->directory[0] = 0;
		snprintf(failure, length, "cannot make a temporary directory in %s: %s", directory_parent(),
			 strerror(-ret));
		return ret;
	}
	snprintf(run->control_path, sizeof(run->control_path), "%s/control.sock", run->directory);
	snprintf(run->results_path, sizeof(run->results_path), "%s/results.sock", run->directory);
	snprintf(run->dmar_path, sizeof(run->dmar_path), "%s/dmar.bin", run->directory);
	sigemptyset(&watched);
	sigaddset(&watched, SIGINT);
	sigaddset(&watched, SIGTERM);
	sigaddset(&watched, SIGHUP);
	sigaddset(&watched, SIGCHLD);
	sigprocmask(SIG_BLOCK, &watched, NULL);
	signal(SIGPIPE, SIG_IGN);
	run->signal_fd = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
	run->results_listen = listen_unix(run->results_path);
	if (run->signal_fd < 0 || run->results_listen < 0) {
		ret = run->signal_fd < 0 ? -errno : run->results_listen;
		snprintf(failure, length, "cannot prepare %s: %s", run->results_path, strerror(-ret));
		return ret;
	}
	return run_start_daemon(run, failure, length);
}

static int run_all(struct run_options *o)
{
	struct run run = { .o = o,
			   .signal_fd = -1,
			   .control = -1,
			   .results_listen = -1,
			   .results_fd = -1,
			   .started = run_clock(),
			   .daemon.output = -1,
			   .guest.output = -1 };
	enum boot_outcome outcome = BOOT_FAILED;
	char failure[512] = "";
	int status;

	if (results_init(&run.results))
		return EXIT_FAIL;
	if (!prepare(&run, failure, sizeof(failure))) {
		o->qemu.directory = run.directory;
		o->qemu.results = run.results_path;
		o->qemu.dmar = run.dmar_path;
		outcome = boot(&run, failure, sizeof(failure));
	}
	status = finish(&run, outcome, failure);
	if (run.control >= 0)
		close(run.control);
	process_stop(&run.daemon, 5000);
	if (run.results_listen >= 0)
		close(run.results_listen);
	if (run.signal_fd >= 0)
		close(run.signal_fd);
	if (run.directory[0])
		directory_remove(run.directory);
	if (run.log && close_log(&run) && status == EXIT_PASS)
		status = EXIT_FAIL;
	if (run.json && run.json != stdout)
		fclose(run.json);
	results_free(&run.results);
	json_decref(run.status);
	return status;
}

int command_run(int argc, char **argv)
{
	char *extra[EXTRA_ARGUMENTS + 1] = { NULL };
	struct run_options o = {
		.qemu = { .accel = "tcg", .memory = UINT64_C(3) << 30, .cpus = 2, .extra = extra },
		.timeout = 600,
	};
	int status = command_line_parse(&command_line, &o.spec, &o, argc, argv);

	if (status < 0)
		status = run_all(&o);
	spec_free(&o.spec);
	return status;
}
