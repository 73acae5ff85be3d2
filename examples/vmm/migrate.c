/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * viommu-migrate: the reference VMM's command. Two VMs in two processes, one DSA under load, one migration between them.
 *
 *   viommu-migrate VIOMMU                       migrate, show the rounds, go on at the destination
 *   viommu-migrate VIOMMU --cut=SECTION         the link is cut there; the VM must go on at the source
 *   viommu-migrate VIOMMU --kill=SECTION        the destination is killed there; the same
 *   viommu-migrate VIOMMU --kill-source=SECTION the source is killed there: the destination runs the VM if it has been given
 *                                               it ("running"), and must not run it before
 *   viommu-migrate VIOMMU --fault=KIND          stop, save or load of the DSA, or report of the unit, fails
 *   viommu-migrate VIOMMU --passthrough=HOST    the guest has a passed-through function as well, behind a unit of the library's; its
 *                                               host is like "iommufd", or like "type1". More faults (passed.h): query, ask, unmap,
 *                                               map, attach; and "order", which is our own: the destination must notice
 *   viommu-migrate VIOMMU --other-unit          the destination's unit has other capabilities: it must refuse while the guest runs
 *
 * Exit status 0: the guest ran on exactly one side at the end (on none when it died with the source), and nothing it checked was
 * wrong.
 */
#include "vmm.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEPS_BEFORE = 200, STEPS_AFTER = 200 };

static int parse_section(const char *text)
{
	for (int i = 1; i < LINK_SECTIONS; i++)
		if (!strcmp(text, link_names[i]))
			return i;
	fprintf(stderr, "viommu-migrate: no section \"%s\"; allowed:", text);
	for (int i = 1; i < LINK_SECTIONS; i++)
		fprintf(stderr, " %s", link_names[i]);
	fputc('\n', stderr);
	return -1;
}

/* What to break, and where. */
struct plan {
	enum link_section cut, kill, kill_source; /* 0: nowhere */
	const char *fault;                        /* NULL: none */
	const char *passthrough;                  /* the kind of host; NULL: no such function */
	bool other_unit;
};

static const char *const passed_faults[] = {
	[PASSED_FAULT_QUERY] = "query", [PASSED_FAULT_ASK] = "ask",	      [PASSED_FAULT_UNMAP] = "unmap",
	[PASSED_FAULT_MAP] = "map",	[PASSED_FAULT_ATTACH] = "attach",     [PASSED_FAULT_ORDER] = "order",
};

static enum passed_fault passed_fault(const struct plan *plan)
{
	for (unsigned int i = 1; plan->fault && i < sizeof(passed_faults) / sizeof(passed_faults[0]); i++)
		if (!strcmp(plan->fault, passed_faults[i]))
			return (enum passed_fault)i;
	return PASSED_FAULT_NONE;
}

static int power_on(struct vmm *vmm, const struct plan *plan, bool receive)
{
	static char option[] = "--unit=page-request=off", *const other[] = { option, NULL };
	bool here = (passed_fault(plan) == PASSED_FAULT_MAP || passed_fault(plan) == PASSED_FAULT_ATTACH) == receive;
	struct vmm_options options = {
		.receive = receive,
		.passed = plan->passthrough,
		.type1 = plan->passthrough && !strcmp(plan->passthrough, "type1"),
		.fault = here ? passed_fault(plan) : PASSED_FAULT_NONE,
		.arguments = receive && plan->other_unit ? other : NULL,
	};

	return vmm_power_on(vmm, &options);
}

/* The source never sends these: there the destination ends the link. */
static bool of_destination(enum link_section section)
{
	return section == LINK_LOADED || section == LINK_RUNNING;
}

/* The other process: receive, and prove that the guest goes on. Status 0: it did; 3: there was no guest to run. */
static int destination(int link, const struct plan *plan)
{
	struct vmm vmm = { .name = "destination", .cut = plan->kill, .die = plan->kill };
	int result = power_on(&vmm, plan, true);
	bool ready = !result;
	int status = 1;

	if (of_destination(plan->cut))
		vmm.cut = plan->cut;
	if (ready && plan->fault && !strcmp(plan->fault, "load"))
		ready = !vmm_inject(&vmm, "dsa-06.0", plan->fault);
	result = ready ? vmm_receive(&vmm, link) : -EIO;
	if (!ready) {
		vmm_say(&vmm, "did not start");
	} else if (result) {
		vmm_say(&vmm, "no guest arrived: %s", strerror(-result));
		status = 3;
	} else {
		uint64_t from = vmm.guest.cpu.step;

		if (!vmm_run_steps(&vmm, STEPS_AFTER)) {
			vmm_say(&vmm, "the guest goes on: steps %llu to %llu, %u PASIDs, every copy checked",
				(unsigned long long)from, (unsigned long long)from + STEPS_AFTER, GUEST_PASIDS);
			vmm_pause(&vmm);
			passed_report(vmm.passed);
			status = 0;
		}
	}
	close(link);
	vmm_power_off(&vmm);
	return status;
}

static void report(const struct vmm *vmm, const struct migration_report *r)
{
	vmm_say(vmm, "migrated in %u rounds, %llu pages and %llu bytes of early state, %.0f ms; downtime %.1f ms", r->rounds,
		(unsigned long long)r->pages, (unsigned long long)r->early, r->total_ms, r->downtime_ms);
	passed_report(vmm->passed);
}

static int inject(struct vmm *vmm, const char *fault)
{
	bool ours = fault && (!strcmp(fault, "stop") || !strcmp(fault, "save") || !strcmp(fault, "report"));

	if (!ours)
		return 0;
	return vmm_inject(vmm, strcmp(fault, "report") ? "dsa-06.0" : "unit0", fault);
}

/* Run a guest, send it, and if that fails, prove that it goes on. Status 0: it moved; 4: it runs here. */
static int source(int link, const struct plan *plan)
{
	struct vmm vmm = { .name = "source", .cut = plan->kill_source, .die = plan->kill_source };
	struct migration_report r = { 0 };
	int result, status = 1;

	if (plan->cut && !of_destination(plan->cut))
		vmm.cut = plan->cut;
	result = power_on(&vmm, plan, false);
	result = result ? result : vmm_run_steps(&vmm, STEPS_BEFORE);
	result = result ? result : inject(&vmm, plan->fault);
	if (result) {
		vmm_say(&vmm, "did not start: %s", strerror(-result));
	} else {
		vmm_say(&vmm, "the guest runs: %d steps of %d copies with %d PASIDs", STEPS_BEFORE, GUEST_INFLIGHT,
			GUEST_PASIDS);
		result = vmm_send(&vmm, link, &r);
		if (passed_fault_waits(vmm.passed)) {
			vmm_say(&vmm, "the fault did not happen");
		} else if (plan->other_unit && r.downtime_ms > 0) {
			vmm_say(&vmm, "the destination refused too late: the guest had been stopped");
		} else if (!result) {
			report(&vmm, &r);
			status = 0;
		} else if (!vmm_run_steps(&vmm, STEPS_AFTER)) {
			vmm_say(&vmm, "the migration failed (%s); the guest goes on here, to step %llu", strerror(-result),
				(unsigned long long)vmm_steps(&vmm));
			vmm_pause(&vmm);
			passed_report(vmm.passed);
			status = 4;
		}
	}
	close(link);
	vmm_power_off(&vmm);
	return status;
}

static pid_t start_side(int (*side)(int link, const struct plan *plan), int link, int other,
			const struct plan *plan)
{
	pid_t pid = fork();

	if (!pid) {
		close(other);
		exit(side(link, plan));
	}
	close(link);
	return pid;
}

/* How a side ended: its status, or 9 for the SIGKILL it was to die of. */
static int wait_side(pid_t pid)
{
	int status = 1;

	if (waitpid(pid, &status, 0) != pid)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status) == SIGKILL ? 9 : 1;
}

/*
 * An unmap that the host refuses blocks the function until the guest's next invalidation, but does not end the migration: what is still
 * there is still asked about.
 */
static bool survives(const struct plan *plan)
{
	return passed_fault(plan) == PASSED_FAULT_UNMAP;
}

/* The one sentence that is true, or NULL. */
static const char *verdict(const struct plan *plan, int from, int to)
{
	if (plan->kill_source)
		return from != 9			  ? NULL :
		       plan->kill_source == LINK_RUNNING ? (to ? NULL : "the guest runs on the destination alone") :
		       to == 3 ? "the guest died with the source, and runs nowhere else" :
				 NULL;
	if ((plan->cut || plan->kill || plan->fault || plan->other_unit) && !survives(plan))
		return from == 4 && to == (plan->kill ? 9 : 3) ? "the guest runs on the source alone" : NULL;
	return !from && !to ? "the guest runs on the destination alone" : NULL;
}

static int usage(FILE *to, int status)
{
	fprintf(to, "usage: viommu-migrate VIOMMU [--cut=SECTION | --kill=SECTION | --kill-source=SECTION | "
		    "--fault=KIND | --other-unit]\n"
		    "       [--passthrough=iommufd|type1]\n"
		    "KIND: stop save load report; with --passthrough also query ask unmap map attach order\n");
	return status;
}

static bool plan_makes_sense(const struct plan *plan)
{
	static const char *const faults[] = { "stop", "save", "load", "report" };

	if (plan->passthrough && strcmp(plan->passthrough, "iommufd") && strcmp(plan->passthrough, "type1"))
		return false;
	/* A device is attached to a legacy container's only space for ever. */
	if (passed_fault(plan) == PASSED_FAULT_ATTACH && plan->passthrough && !strcmp(plan->passthrough, "type1"))
		return false;
	if (!plan->fault || passed_fault(plan))
		return !plan->fault || plan->passthrough;
	for (unsigned int i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (!strcmp(plan->fault, faults[i]))
			return true;
	return false;
}

static int parse(int argc, char **argv, struct plan *plan)
{
	static const struct option options[] = {
		{ "cut", required_argument, NULL, 'c' },
		{ "kill", required_argument, NULL, 'k' },
		{ "kill-source", required_argument, NULL, 's' },
		{ "fault", required_argument, NULL, 'f' },
		{ "passthrough", required_argument, NULL, 'p' },
		{ "other-unit", no_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option, section = 0;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'h' || option == '?')
			return option == 'h' ? usage(stdout, 0) : usage(stderr, 2);
		if (option == 'f')
			plan->fault = optarg;
		else if (option == 'p')
			plan->passthrough = optarg;
		else if (option == 'o')
			plan->other_unit = true;
		else
			section = parse_section(optarg);
		if (section < 0)
			return usage(stderr, 2);
		if (option == 'c')
			plan->cut = (enum link_section)section;
		else if (option == 'k')
			plan->kill = (enum link_section)section;
		else if (option == 's')
			plan->kill_source = (enum link_section)section;
	}
	return optind == argc - 1 && plan_makes_sense(plan) ? -1 : usage(stderr, 2);
}

int main(int argc, char **argv)
{
	struct plan plan = { .fault = NULL };
	int ends[2], from, to, status = parse(argc, argv, &plan);
	const char *sentence;
	pid_t receiver, sender;

	if (status >= 0)
		return status;
	daemon_program = argv[optind];
	signal(SIGPIPE, SIG_IGN);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) {
		perror("viommu-migrate");
		return 1;
	}
	/* Neither side has the other's end: the link is over when its owner is. */
	receiver = start_side(destination, ends[1], ends[0], &plan);
	sender = start_side(source, ends[0], -1, &plan);
	from = wait_side(sender);
	to = wait_side(receiver);
	sentence = verdict(&plan, from, to);
	if (sentence)
		printf("PASS: %s\n", sentence);
	else
		printf("FAIL: the source ended with %d, the destination with %d\n", from, to);
	return !sentence;
}
