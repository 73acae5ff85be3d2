/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * viommu-migrate: the reference VMM's command. Two VMs in two processes, one DSA under load, one migration between them.
 *
 *   viommu-migrate VIOMMU                     migrate, show the rounds, go on at the destination
 *   viommu-migrate VIOMMU --cut=SECTION       the source cuts the link there; the VM must go on at the source
 *   viommu-migrate VIOMMU --kill=SECTION      the destination is killed there; the same
 *
 * Exit status 0: the guest ran on exactly one side at the end, and nothing it checked was wrong.
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

/* The other process: receive, and prove that the guest goes on. Status 0: it did; 3: there was no guest to run. */
static int destination(int link, enum link_section die_at)
{
	struct vmm vmm = { .name = "destination", .cut = die_at, .die = true };
	int result = vmm_power_on(&vmm, true);
	int status = 1;

	if (!result)
		result = vmm_receive(&vmm, link);
	if (result) {
		vmm_say(&vmm, "no guest arrived: %s", strerror(-result));
		status = 3;
	} else {
		uint64_t from = vmm.guest.cpu.step;

		if (!vmm_run_steps(&vmm, STEPS_AFTER)) {
			vmm_say(&vmm, "the guest goes on: steps %llu to %llu, %u PASIDs, every copy checked",
				(unsigned long long)from, (unsigned long long)from + STEPS_AFTER, GUEST_PASIDS);
			status = 0;
		}
	}
	close(link);
	vmm_power_off(&vmm);
	return status;
}

static void report(const struct vmm *vmm, const struct migration_report *r)
{
	vmm_say(vmm, "migrated in %u rounds and %llu pages, %.0f ms; downtime %.1f ms", r->rounds,
		(unsigned long long)r->pages, r->total_ms, r->downtime_ms);
}

/* This process: run a guest, send it, and if that fails, prove that it goes on. Status 0: it runs on one side. */
static int source(int link, enum link_section cut, pid_t other)
{
	struct vmm vmm = { .name = "source", .cut = cut };
	struct migration_report r = { 0 };
	int result, status = 1, moved;

	result = vmm_power_on(&vmm, false);
	if (!result)
		result = vmm_run_steps(&vmm, STEPS_BEFORE);
	if (result) {
		vmm_say(&vmm, "did not start: %s", strerror(-result));
		close(link);
		vmm_power_off(&vmm);
		waitpid(other, NULL, 0);
		return 1;
	}
	vmm_say(&vmm, "the guest runs: %d steps of %d copies with %d PASIDs", STEPS_BEFORE, GUEST_INFLIGHT,
		GUEST_PASIDS);
	moved = !vmm_send(&vmm, link, &r);
	close(link);
	if (moved)
		report(&vmm, &r);
	else if (!vmm_run_steps(&vmm, STEPS_AFTER))
		vmm_say(&vmm, "the migration failed; the guest goes on here, to step %llu",
			(unsigned long long)vmm_steps(&vmm));
	/* An end by SIGKILL is ours (--kill); 3 is a destination without a guest. */
	if (!vmm.failed && waitpid(other, &status, 0) == other)
		status = WIFSIGNALED(status) ? moved || WTERMSIG(status) != SIGKILL :
					       WEXITSTATUS(status) != (moved ? 0 : 3);
	vmm_power_off(&vmm);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "cut", required_argument, NULL, 'c' },
		{ "kill", required_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int cut = 0, die_at = 0, option, ends[2], status;
	pid_t other;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'c')
			cut = parse_section(optarg);
		else if (option == 'k')
			die_at = parse_section(optarg);
		if (cut < 0 || die_at < 0 || option == 'h' || option == '?') {
			fprintf(option == 'h' ? stdout : stderr,
				"usage: viommu-migrate VIOMMU [--cut=SECTION | --kill=SECTION]\n");
			return option == 'h' ? 0 : 2;
		}
	}
	if (optind != argc - 1) {
		fprintf(stderr, "usage: viommu-migrate VIOMMU [--cut=SECTION | --kill=SECTION]\n");
		return 2;
	}
	daemon_program = argv[optind];
	signal(SIGPIPE, SIG_IGN);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) || (other = fork()) < 0) {
		perror("viommu-migrate");
		return 1;
	}
	if (!other) {
		close(ends[0]);
		return destination(ends[1], (enum link_section)die_at);
	}
	close(ends[1]);
	status = source(ends[0], (enum link_section)cut, other);
	puts(status ? "FAIL" : die_at || cut ? "PASS: the guest runs on the source alone" :
					       "PASS: the guest runs on the destination alone");
	return status;
}
