/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VM of the reference VMM: power, and the thread of its processor.
 */
#include "vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void vmm_say(const struct vmm *vmm, const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	printf("%-12s%s\n", vmm->name, text);
	fflush(stdout);
}

static void *processor(void *opaque)
{
	struct vmm *vmm = opaque;

	/* Stopped just after it submitted: with work in flight, which is what a migration must cope with. */
	while (!vmm->failed && !(vmm->pause && vmm->guest.cpu.phase == GUEST_WAIT && passed_may_stop(vmm->passed))) {
		int result;

		pthread_mutex_lock(&vmm->bus);
		result = guest_phase(&vmm->guest);
		pthread_mutex_unlock(&vmm->bus);
		if (!result)
			result = passed_step(vmm->passed, vmm->guest.complaint, sizeof(vmm->guest.complaint));
		if (result)
			vmm->failed = result;
		/* Let migration have the bus. */
		nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
	}
	return NULL;
}

void vmm_run(struct vmm *vmm)
{
	vmm->pause = false;
	vmm->started = !pthread_create(&vmm->processor, NULL, processor, vmm);
}

void vmm_pause(struct vmm *vmm)
{
	vmm->pause = true;
	if (vmm->started)
		pthread_join(vmm->processor, NULL);
	vmm->started = false;
}

uint64_t vmm_steps(struct vmm *vmm)
{
	uint64_t step;

	pthread_mutex_lock(&vmm->bus);
	step = vmm->guest.cpu.step;
	pthread_mutex_unlock(&vmm->bus);
	return step;
}

int vmm_run_steps(struct vmm *vmm, uint64_t steps)
{
	uint64_t end = vmm_steps(vmm) + steps;

	if (!vmm->started)
		vmm_run(vmm);
	while (!vmm->failed && vmm_steps(vmm) < end)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	if (vmm->failed)
		vmm_say(vmm, "the guest failed at step %llu: %s",
			(unsigned long long)vmm->guest.cpu.step,
			vmm->guest.complaint[0] ? vmm->guest.complaint : strerror(-vmm->failed));
	return vmm->failed;
}

int vmm_cut(struct vmm *vmm, enum link_section section)
{
	vmm_say(vmm, "%s at section \"%s\"", vmm->die ? "killed" : "link cut", link_names[section]);
	if (!vmm->die)
		return -EPIPE;
	/* Nobody will tidy up after us. */
	daemon_end(&vmm->daemon);
	raise(SIGKILL);
	return -EPIPE;
}

int vmm_inject(struct vmm *vmm, const char *function, const char *kind)
{
	char named[64], as[64];
	int status = -1;
	pid_t pid;

	snprintf(named, sizeof(named), "function=%s", function);
	snprintf(as, sizeof(as), "kind=%s", kind);
	pid = fork();
	if (!pid) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDOUT_FILENO);
		execl(daemon_program, "viommu", "ctl", "--control", vmm->daemon.control, "fault", named, as, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		return -EIO;
	vmm_say(vmm, "the next %s of %s will fail", kind, function);
	return 0;
}

static void say_text(void *opaque, const char *text)
{
	vmm_say(opaque, "%s", text);
}

int vmm_power_on(struct vmm *vmm, const struct vmm_options *options)
{
	int result;

	pthread_mutex_init(&vmm->bus, NULL);
	vmm->unit.fd = vmm->dsa.fd = -1;
	result = daemon_begin(&vmm->daemon, options->arguments);
	if (result)
		return result;
	result = client_open(&vmm->unit, vmm->daemon.unit);
	result = result ? result : client_open(&vmm->dsa, vmm->daemon.dsa);
	if (result)
		return result;
	result = options->receive ? guest_receive(&vmm->guest, &vmm->unit, &vmm->dsa) :
				    guest_boot(&vmm->guest, &vmm->unit, &vmm->dsa);
	if (!result && options->passed)
		result = passed_power_on(&vmm->passed, vmm->guest.vm.memory, VM_MEMORY, options->type1,
					 options->receive, options->fault, say_text, vmm);
	return result;
}

void vmm_power_off(struct vmm *vmm)
{
	vmm_pause(vmm);
	passed_power_off(vmm->passed);
	client_close(&vmm->dsa);
	client_close(&vmm->unit);
	if (vmm->guest.vm.memory)
		guest_off(&vmm->guest);
	daemon_end(&vmm->daemon);
	pthread_mutex_destroy(&vmm->bus);
}
