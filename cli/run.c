/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * viommu run: the daemon, a VMM and a guest, started, watched and cleaned up with one command.
 */
#include "run.h"

#include "daemon.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Firmware is asked this often for a place the table can name. */
#define PLACE_ATTEMPTS	3
#define EXTRA_ARGUMENTS 64

enum {
	OPTION_UNIT = 256,
	OPTION_DEVICE,
	OPTION_KERNEL,
	OPTION_INITRD,
	OPTION_APPEND,
	OPTION_DISK,
	OPTION_MEMORY,
	OPTION_CPUS,
	OPTION_ACCEL,
	OPTION_QEMU,
	OPTION_QEMU_ARG,
	OPTION_TEST,
	OPTION_TIMEOUT,
	OPTION_JSON,
	OPTION_LOG,
	OPTION_VERBOSE,
	OPTION_CONSOLE,
	OPTION_REBOOT,
	OPTION_HELP
};

static const struct option long_options[] = {
	{ "unit", required_argument, NULL, OPTION_UNIT },
	{ "device", required_argument, NULL, OPTION_DEVICE },
	{ "kernel", required_argument, NULL, OPTION_KERNEL },
	{ "initrd", required_argument, NULL, OPTION_INITRD },
	{ "append", required_argument, NULL, OPTION_APPEND },
	{ "disk", required_argument, NULL, OPTION_DISK },
	{ "memory", required_argument, NULL, OPTION_MEMORY },
	{ "cpus", required_argument, NULL, OPTION_CPUS },
	{ "accel", required_argument, NULL, OPTION_ACCEL },
	{ "qemu", required_argument, NULL, OPTION_QEMU },
	{ "qemu-arg", required_argument, NULL, OPTION_QEMU_ARG },
	{ "test", required_argument, NULL, OPTION_TEST },
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	{ "json", optional_argument, NULL, OPTION_JSON },
	{ "log", required_argument, NULL, OPTION_LOG },
	{ "verbose", no_argument, NULL, OPTION_VERBOSE },
	{ "console", no_argument, NULL, OPTION_CONSOLE },
	{ "reboot", no_argument, NULL, OPTION_REBOOT },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ NULL, 0, NULL, 0 },
};

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
	       "  --console                  your terminal is the guest's console\n"
	       "  --reboot                   let the guest reboot instead of ending\n"
	       "  --help                     this\n\n"
	       "The guest reports on its second serial port, one JSON object per line (docs/guide.md). With --test\n"
	       "a run passes when the guest says so; without, when QEMU ends with status 0.\n"
	       "Exit status: 0 pass, 1 fail, 2 bad options, 124 timeout.\n\n",
	       QEMU_MAJOR, QEMU_MINOR);
	spec_help();
}

static int bad(char *message, size_t length, const char *option, const char *value,
	       const char *allowed)
{
	snprintf(message, length, "--%s=%s: allowed is %s", option, value, allowed);
	return -EINVAL;
}

/* The options that are numbers. */
static int parse_value(struct run_options *o, int option, const char *text, char *message,
		       size_t length)
{
	uint64_t value;

	switch (option) {
	case OPTION_MEMORY:
		if (parse_size(text, &value) || value < (64u << 20) || value > UINT64_C(1) << 40 ||
		    value & ((1u << 20) - 1))
			return bad(message, length, "memory", text,
				   "64M to 1024G, whole megabytes");
		o->qemu.memory = value;
		return 0;
	case OPTION_CPUS:
		if (parse_number(text, 1, 255, &value))
			return bad(message, length, "cpus", text, "1 to 255");
		o->qemu.cpus = (unsigned int)value;
		return 0;
	case OPTION_ACCEL:
		if (strcmp(text, "tcg") && strcmp(text, "kvm"))
			return bad(message, length, "accel", text, "tcg or kvm");
		o->qemu.accel = text;
		return 0;
	default:
		if (parse_number(text, 1, 86400, &value))
			return bad(message, length, "timeout", text, "1 to 86400 seconds");
		o->timeout = (unsigned int)value;
		return 0;
	}
}

static int add_extra(struct run_options *o, char *word, char *message, size_t length)
{
	unsigned int count = 0;

	while (o->qemu.extra[count])
		count++;
	if (count == EXTRA_ARGUMENTS)
		return bad(message, length, "qemu-arg", word, "64 of them at most");
	o->qemu.extra[count] = word;
	return 0;
}

static int parse_option(struct run_options *o, int option, char *message, size_t length)
{
	switch (option) {
	case OPTION_UNIT:
		return spec_add_unit(&o->spec, optarg, message, length);
	case OPTION_DEVICE:
		return spec_add_device(&o->spec, optarg, message, length);
	case OPTION_KERNEL:
		o->qemu.kernel = optarg;
		return 0;
	case OPTION_INITRD:
		o->qemu.initrd = optarg;
		return 0;
	case OPTION_APPEND:
		o->append = optarg;
		return 0;
	case OPTION_DISK:
		o->qemu.disk = optarg;
		return 0;
	case OPTION_QEMU:
		o->qemu.binary = optarg;
		return 0;
	case OPTION_QEMU_ARG:
		return add_extra(o, optarg, message, length);
	case OPTION_TEST:
		o->test = optarg;
		return 0;
	case OPTION_JSON:
		o->json = optarg ? optarg : "-";
		return 0;
	case OPTION_LOG:
		o->log = optarg;
		return 0;
	case OPTION_VERBOSE:
		o->verbose = true;
		return 0;
	case OPTION_CONSOLE:
		o->console = true;
		return 0;
	case OPTION_REBOOT:
		o->qemu.reboot = true;
		return 0;
	default:
		return parse_value(o, option, optarg, message, length);
	}
}

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
		return bad(message, length, "test", o->test, "one word");
	for (unsigned int i = 0; i < 3; i++) {
		if (!files[i].file || !access(files[i].file, R_OK))
			continue;
		snprintf(message, length, "--%s=%s: %s", files[i].option, files[i].file,
			 strerror(errno));
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

/* -1: go on; otherwise the exit status. */
static int parse(struct run_options *o, int argc, char **argv)
{
	char message[512] = "";
	int option, ret = 0;

	while (!ret && (option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (option == OPTION_HELP || option == 'h') {
			help();
			return EXIT_PASS;
		}
		if (option == '?') {
			fprintf(stderr, "viommu run: \"viommu run --help\" lists the options\n");
			return EXIT_USAGE;
		}
		ret = parse_option(o, option, message, sizeof(message));
	}
	if (!ret && optind < argc) {
		snprintf(message, sizeof(message), "%s: no arguments besides options are allowed",
			 argv[optind]);
		ret = -EINVAL;
	}
	if (!ret)
		ret = spec_finish(&o->spec, message, sizeof(message));
	if (!ret)
		ret = check_files(o, message, sizeof(message));
	if (!ret)
		ret = check_qemu(o, message, sizeof(message));
	if (!ret)
		return -1;
	fprintf(stderr, "viommu run: %s\n", message);
	return EXIT_USAGE;
}

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
	bool out = !strcmp(run->o->json, "-");
	FILE *file = out ? stdout : fopen(run->o->json, "w");
	int ret = file && report ? json_dumpf(report, file, JSON_INDENT(2)) : -1;

	if (file && (fputc('\n', file) == EOF || fflush(file)))
		ret = -1;
	if (file && !out && fclose(file))
		ret = -1;
	if (ret)
		fprintf(stderr, "viommu run: --json=%s: %s\n", run->o->json, strerror(errno));
	json_decref(report);
	return ret;
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
	if (!run->o->json || strcmp(run->o->json, "-"))
		report_print(stdout, &run->results, run->status, guest, seconds, failure);
	if (run->o->json && write_json(run, guest, seconds, failure))
		return EXIT_FAIL;
	return outcome == BOOT_TIMEOUT ? EXIT_TIMEOUT : failure ? EXIT_FAIL : EXIT_PASS;
}

static int prepare(struct run *run, char *failure, size_t length)
{
	sigset_t watched;
	int ret = directory_make(run->directory, sizeof(run->directory));

	if (ret) {
		run->directory[0] = 0;
		snprintf(failure, length, "cannot make a temporary directory: %s", strerror(-ret));
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
	if (run->o->log)
		run->log = fopen(run->o->log, "w");
	if (run->signal_fd < 0 || run->results_listen < 0 || (run->o->log && !run->log) ||
	    results_init(&run->results)) {
		snprintf(failure, length, "cannot prepare%s%s: %s", run->o->log ? " --log=" : "",
			 run->o->log ? run->o->log : "", strerror(errno));
		return -EIO;
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
	if (run.log)
		fclose(run.log);
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
	int status = parse(&o, argc, argv);

	if (status < 0)
		status = run_all(&o);
	spec_free(&o.spec);
	return status;
}
