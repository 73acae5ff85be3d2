/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the manager of precopy.c is made of: a guest that somebody else's VMM runs, and that guest's memory.
 *
 * Functions return 0, or a negative errno after they have said what went wrong.
 */
#ifndef TESTS_NESTED_PRECOPY_H
#define TESTS_NESTED_PRECOPY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define PAGE	 UINT64_C(4096)
#define MINUTES	 60
#define PATIENCE (10 * MINUTES) /* for what should take no time at all */

/* ---- precopy_guest.c: `viommu run` with a Linux in it, its QEMU's monitor and its daemon's control socket ---- */

struct guest {
	const char *viommu;
	pid_t run, vmm;
	FILE *output; /* what `viommu run` says */
	int monitor;
	FILE *monitor_in;
	char directory[64];
	char control[256];
	uint64_t registers; /* where the unit's are */
};

struct guest_options {
	const char *kernel, *initrd, *append, *unit, *device;
};

/* Start it, and wait until its load runs. */
int guest_start(struct guest *guest, const struct guest_options *options);
/* Have it stop its load, judge it and power off. 0: it says that all was well. */
int guest_end(struct guest *guest);
/* However far it came. */
void guest_destroy(struct guest *guest);
/* A command of QEMU's monitor; what it returned, a new reference, or NULL. */
json_t *guest_monitor(struct guest *guest, const char *command, json_t *arguments);
/* `viommu ctl COMMAND [file=FILE]`, the answer likewise. */
json_t *guest_control(struct guest *guest, const char *command, const char *file);
/* With the processors stopped: the unit has taken everything from its queue, and the device has nothing left to do. */
int guest_drain(struct guest *guest, const char *function);

/* ---- precopy_memory.c: its memory, a copy of it, and which pages its VMM wrote ---- */

struct memory {
	pid_t vmm;
	uint64_t pages;
	const uint8_t *ram; /* the VMM's, shared */
	uint8_t *copy;
	int pagemap;
	uint64_t hva; /* where the VMM has it */
};

int memory_open(struct memory *memory, pid_t vmm);
void memory_close(struct memory *memory);
/* Begin to follow what the VMM writes. */
int memory_follow(struct memory *memory);
/* OR the pages it wrote since then, or since the last call, into `bitmap`. The VMM does not run meanwhile; its devices do. */
int memory_written(struct memory *memory, uint64_t *bitmap);
void memory_copy(struct memory *memory, const uint64_t *bitmap);
uint64_t memory_differing(const struct memory *memory);

#endif
