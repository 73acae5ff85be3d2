/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The QEMU command line for a set of units and devices.
 */
#ifndef CLI_QEMU_H
#define CLI_QEMU_H

#include "options.h"

/* A growing argument vector; always ends with NULL once qemu_words() succeeded. */
struct words {
	char **list;
	unsigned int count;
	bool failed; /* out of memory somewhere on the way */
};

void words_add(struct words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));
void words_free(struct words *words);

struct qemu_options {
	const char *binary;
	const char *accel; /* "tcg" or "kvm" */
	uint64_t memory;   /* bytes */
	unsigned int cpus;
	const char *kernel; /* any of these may be NULL */
	const char *initrd;
	const char *append;
	const char *disk;
	const char *dmar;
	const char *directory; /* of the daemon's sockets */
	const char *results;   /* socket for the second serial port */
	bool reboot;
	char **extra; /* NULL-terminated, or NULL */
};

/* Everything from the binary's name on. */
void qemu_words(struct words *words, const struct spec *spec, const struct qemu_options *options);
/* Print the command line for a VM started by hand. The exit status. */
int qemu_print(const struct spec *spec, const char *directory, const char *dmar);
/* Major and minor version of a QEMU. 0; -ENOENT: cannot be run; -EINVAL: says something else. */
int qemu_version(const char *binary, unsigned int *major, unsigned int *minor);

#define QEMU_MAJOR 11
#define QEMU_MINOR 1

#endif
