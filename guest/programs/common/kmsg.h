/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GUEST_KMSG_H
#define GUEST_KMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A remapping fault as the guest's kernel tells of it. */
struct dmar_fault {
	bool read;
	long pasid;		/* -1: without one */
	char device[16];	/* 0000:00:06.0 */
	uint64_t address;
	unsigned int reason;
	char text[160];		/* the whole line */
};

/* Opens the kernel log; only lines that come later are seen. */
int kmsg_open(void);

/* Waits for the next fault report: false if none came in time. */
bool kmsg_next_fault(int fd, struct dmar_fault *fault, double seconds);

#endif
