/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reference VMM: a guest on a daemon of its own, with a thread for its processor.
 */
#ifndef EXAMPLES_VMM_VMM_H
#define EXAMPLES_VMM_VMM_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon.h"
#include "guest.h"
#include "link.h"
#include "passed.h"

struct vmm {
	struct test_daemon daemon;
	struct client unit, dsa;
	struct guest guest;
	struct passed *passed; /* NULL: no function passed through */
	/* One request at a time on a connection: the processor's thread and migration take turns. */
	pthread_mutex_t bus;
	pthread_t processor;
	bool started;
	_Atomic bool pause;
	_Atomic int failed; /* errno of the processor's thread */
	const char *name;   /* "source" or "destination", for messages */
	enum link_section cut; /* drop the link when this section is due; 0: never */
	bool die;              /* and kill this process then */
};

/* What a VM is powered on with. */
struct vmm_options {
	bool receive; /* it waits for a guest */
	bool passed;  /* with a passed-through function */
	bool type1;   /* its host is a legacy VFIO container */
	enum passed_fault fault;
	char *const *arguments; /* more for the daemon, NULL-terminated; or NULL */
};

int vmm_power_on(struct vmm *vmm, const struct vmm_options *options);
void vmm_power_off(struct vmm *vmm);
void vmm_run(struct vmm *vmm);
/* Returns when the processor has stopped, right after it submitted work. */
void vmm_pause(struct vmm *vmm);
/* How far it is, running or not. */
uint64_t vmm_steps(struct vmm *vmm);
/* Let it run until it has done `steps` more; 0 or what went wrong. */
int vmm_run_steps(struct vmm *vmm, uint64_t steps);
void vmm_say(const struct vmm *vmm, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Have the daemon fail something, once (`viommu ctl fault`). */
int vmm_inject(struct vmm *vmm, const char *function, const char *kind);

/* What `cut` and `die` ask for. Returns -EPIPE if at all. */
int vmm_cut(struct vmm *vmm, enum link_section section);

struct migration_report {
	unsigned int rounds;
	uint64_t pages;
	uint64_t early; /* bytes of devices' state sent while the guest ran */
	double downtime_ms;
	double total_ms;
};

/* Both return 0 when the VM now runs on the destination. Otherwise the source has it, and it runs again. */
int vmm_send(struct vmm *vmm, int link, struct migration_report *report);
int vmm_receive(struct vmm *vmm, int link);

#endif
