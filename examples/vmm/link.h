/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The link between source and destination: numbered sections over a socket.
 */
#ifndef EXAMPLES_VMM_LINK_H
#define EXAMPLES_VMM_LINK_H

#include <stddef.h>
#include <stdint.h>

enum link_section {
	LINK_HELLO = 1, /* uint64_t memory size */
	LINK_PAGES,     /* { uint64_t gpa, page } ... */
	LINK_EARLY,     /* { enum vmm_part } and a piece of its state, while the guest runs */
	LINK_UNIT,      /* state of the unit's function: the rest, as of the next */
	LINK_DSA,       /* state of the DSA */
	LINK_DEVICE,    /* a piece of the passed-through function's state */
	LINK_LIBRARY,   /* state of the unit in front of that */
	LINK_CPU,       /* struct guest_cpu */
	LINK_VERIFY,    /* all of memory, to be compared with what the pages made of it */
	LINK_LOADED,    /* destination to source: everything fits and is loaded */
	LINK_COMMIT,    /* source to destination: yours now */
	LINK_RUNNING,   /* destination to source: it runs here */
	LINK_SECTIONS,
};

extern const char *const link_names[LINK_SECTIONS];

/* 0; -EPIPE when the other side has gone; -EPROTO (too long, unknown). */
int link_send(int fd, enum link_section section, const void *data, size_t length);
/* The caller frees *data. Sections above `limit` bytes are refused. */
int link_receive(int fd, size_t limit, enum link_section *section, uint8_t **data, size_t *length);
/* The next section must be this one; its content is dropped. */
int link_expect(int fd, enum link_section section);

#endif
