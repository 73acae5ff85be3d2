/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One boot: start QEMU against the daemon, check where firmware puts the units, collect what the
 * guest reports.
 *
 * The DMAR table must name the register page before anything runs, but firmware chooses the
 * address. So the default is checked on every start, as soon as firmware has enabled the BAR and
 * long before a kernel looks: a wrong table would make it read zeros, or sit on another device's
 * registers.
 */
#include "run.h"

#include "control.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DAEMON_SECONDS	 60
#define FIRMWARE_SECONDS 120
#define TICK_PLACING_MS	 10
#define TICK_MS		 200

double run_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void run_say(void *opaque, const char *text)
{
	struct run *run = opaque;

	if (!run->o->quiet)
		fprintf(stderr, "[%6.1f s] %s\n", run_clock() - run->started, text);
}

static void say(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct run *run, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	run_say(run, text);
}

/* How many units have their registers somewhere. */
static size_t count_placed(const json_t *status)
{
	const json_t *unit;
	size_t i, count = 0;

	json_array_foreach(json_object_get(status, "units"), i, unit) count +=
		json_integer_value(json_object_get(unit, "address")) != 0;
	return count;
}

static bool all_placed(const json_t *status)
{
	return status && count_placed(status) == json_array_size(json_object_get(status, "units"));
}

/* The daemon has noticed that the last VMM is gone: what it says next is about the new one. */
static int wait_unplaced(struct run *run)
{
	for (double end = run_clock() + DAEMON_SECONDS; run_clock() < end;) {
		json_t *status = control_ask_command(run->control, "status");
		bool unplaced = status && !count_placed(status);

		json_decref(status);
		if (unplaced)
			return 0;
		if (process_ended(&run->daemon))
			break;
		usleep(5000);
	}
	return -EIO;
}

static json_t *sample(void *opaque)
{
	struct run *run = opaque;
	json_t *status = control_ask_command(run->control, "status");

	/* a guest that has just gone leaves nothing to report */
	if (all_placed(status)) {
		json_decref(run->status);
		run->status = json_incref(status);
	}
	json_decref(status);
	return control_ask_command(run->control, "statistics");
}

/* Keep the end of the console for a failure's report; the whole of it goes to the log. */
static void keep_tail(struct run *run, const char *bytes, size_t length)
{
	size_t room = sizeof(run->tail);

	if (length > room) {
		bytes += length - room;
		length = room;
	}
	if (run->tail_length + length > room) {
		size_t drop = run->tail_length + length - room;

		memmove(run->tail, run->tail + drop, run->tail_length - drop);
		run->tail_length -= drop;
	}
	memcpy(run->tail + run->tail_length, bytes, length);
	run->tail_length += length;
}

/*
 * A guest may write without end: one piece of what it says is taken at a time, so that the clock
 * and the user are looked at in between. True: there may be more.
 */
static bool take_output(struct run *run, struct process *process)
{
	char bytes[16384];
	ssize_t got;

	if (process->output < 0)
		return false;
	got = read(process->output, bytes, sizeof(bytes));
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0) {
		close(process->output);
		process->output = -1;
		return false;
	}
	if (run->log)
		fwrite(bytes, 1, (size_t)got, run->log);
	if (run->o->verbose || process == &run->daemon)
		fwrite(bytes, 1, (size_t)got, stderr);
	keep_tail(run, bytes, (size_t)got);
	return true;
}

static bool take_results(struct run *run)
{
	char bytes[4096];
	ssize_t got;

	if (run->results_fd < 0) {
		run->results_fd =
			accept4(run->results_listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		return run->results_fd >= 0;
	}
	got = recv(run->results_fd, bytes, sizeof(bytes), 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0) {
		close(run->results_fd);
		run->results_fd = -1;
		return false;
	}
	results_feed(&run->results, bytes, (size_t)got, sample, run_say, run);
	return true;
}

/* Compare where the units are with where the table says. False: they are elsewhere, and the spec is
 * corrected. */
static bool check_places(struct run *run, bool *all)
{
	json_t *status = control_ask_command(run->control, "status");
	bool right = true;
	const json_t *unit;
	size_t i;

	*all = all_placed(status);
	if (*all) {
		json_array_foreach(json_object_get(status, "units"), i, unit)
		{
			uint64_t address =
				(uint64_t)json_integer_value(json_object_get(unit, "address"));

			say(run, "firmware put the registers of unit %zu at 0x%" PRIx64, i,
			    address);
			if (i >= run->o->spec.unit_count || run->o->spec.units[i].base == address)
				continue;
			run->o->spec.units[i].base = address;
			right = false;
		}
		json_decref(run->status);
		run->status = json_incref(status);
	}
	json_decref(status);
	return right;
}

static bool interrupted(struct run *run)
{
	struct signalfd_siginfo info;
	bool any = false;

	while (read(run->signal_fd, &info, sizeof(info)) == sizeof(info))
		any |= info.ssi_signo != SIGCHLD;
	return any;
}

static enum boot_outcome watch(struct run *run, char *failure, size_t length)
{
	double begun = run_clock();
	char outcome[64];

	for (;;) {
		struct pollfd fds[4] = {
			{ .fd = run->guest.output, .events = POLLIN },
			{ .fd = run->daemon.output, .events = POLLIN },
			{ .fd = run->results_fd >= 0 ? run->results_fd : run->results_listen,
			  .events = POLLIN },
			{ .fd = run->signal_fd, .events = POLLIN },
		};
		double now;
		bool ended;

		poll(fds, 4, run->placed ? TICK_MS : TICK_PLACING_MS);
		ended = process_ended(
			&run->guest); /* before its output is drained for the last time */
		take_output(run, &run->guest);
		take_output(run, &run->daemon);
		if (fds[2].revents)
			take_results(run);
		if ((fds[3].revents & POLLIN) && interrupted(run))
			return BOOT_INTERRUPTED;
		if (process_ended(&run->daemon)) {
			snprintf(failure, length, "the daemon ended: %s",
				 process_outcome(&run->daemon, outcome, sizeof(outcome)));
			return BOOT_FAILED;
		}
		if (ended) {
			/* It may have come, said all and gone since poll() looked. */
			while (take_output(run, &run->guest) || take_results(run))
				;
			return BOOT_ENDED;
		}
		if (!run->placed && !check_places(run, &run->placed))
			return BOOT_MISPLACED;
		now = run_clock();
		if (!run->placed && now - begun > FIRMWARE_SECONDS) {
			snprintf(failure, length, "firmware did not enable the units in %d s",
				 FIRMWARE_SECONDS);
			return BOOT_FAILED;
		}
		if (now - run->started > run->o->timeout)
			return BOOT_TIMEOUT;
	}
}

static void add_append(struct run *run, char **text)
{
	struct run_options *o = run->o;

	*text = NULL;
	if (!o->qemu.kernel)
		return;
	if (asprintf(text,
		     "console=ttyS0 panic=-1 loglevel=4 setcpuid=movdir64b,enqcmd "
		     "vfio_pci.disable_denylist=1 iommufd.allow_unsafe_interrupts=1 "
		     "vfio_iommu_type1.allow_unsafe_interrupts=1%s%s%s%s",
		     o->test ? " run=" : "", o->test ? o->test : "", o->append ? " " : "",
		     o->append ? o->append : "") < 0)
		*text = NULL;
}

enum boot_outcome run_boot(struct run *run, char *failure, size_t length)
{
	struct words words = { 0 };
	enum boot_outcome outcome = BOOT_FAILED;
	char *append;
	int ret;

	add_append(run, &append);
	run->o->qemu.append = append;
	run->placed = false;
	qemu_words(&words, &run->o->spec, &run->o->qemu);
	if (wait_unplaced(run)) {
		snprintf(failure, length, "the daemon does not let go of the last VMM");
		goto out;
	}
	ret = words.failed ? -ENOMEM : process_start(&run->guest, words.list, !run->o->console);
	if (ret) {
		snprintf(failure, length, "cannot start %s: %s", run->o->qemu.binary,
			 strerror(-ret));
	} else {
		say(run, "QEMU started");
		outcome = watch(run, failure, length);
		process_stop(&run->guest, 500);
		if (run->results_fd >= 0)
			close(run->results_fd);
		run->results_fd = -1;
	}
out:
	words_free(&words);
	free(append);
	run->o->qemu.append = NULL;
	return outcome;
}

/* The daemon is this same program; its control socket answers when it is ready. */
int run_start_daemon(struct run *run, char *failure, size_t length)
{
	struct words words = { 0 };
	char self[4096], outcome[64];
	ssize_t got = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int ret = got > 0 ? 0 : -errno;

	self[got > 0 ? got : 0] = 0;
	words_add(&words, "%s", self);
	words_add(&words, "serve");
	words_add(&words, "--quiet");
	words_add(&words, "--exit-with-parent");
	words_add(&words, "--socket-dir=%s", run->directory);
	words_add(&words, "--control=%s", run->control_path);
	for (unsigned int i = 0; i < run->o->spec.unit_count; i++)
		words_add(&words, "--unit=%s", run->o->spec.units[i].text);
	for (unsigned int i = 0; i < run->o->spec.device_count; i++)
		words_add(&words, "--device=%s", run->o->spec.devices[i].text);
	if (!ret)
		ret = words.failed ? -ENOMEM : process_start(&run->daemon, words.list, true);
	words_free(&words);
	if (ret) {
		snprintf(failure, length, "cannot start the daemon: %s", strerror(-ret));
		return ret;
	}
	for (double end = run_clock() + DAEMON_SECONDS; run->control < 0;) {
		run->control = control_connect(run->control_path);
		if (run->control >= 0)
			return 0;
		take_output(run, &run->daemon);
		if (process_ended(&run->daemon) || run_clock() > end)
			break;
		usleep(5000);
	}
	snprintf(failure, length, "the daemon did not start: %s",
		 process_ended(&run->daemon)
			 ? process_outcome(&run->daemon, outcome, sizeof(outcome))
			 : "it does not answer");
	return -EIO;
}
