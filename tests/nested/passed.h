/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A daemon with one function passed through at 07.0, and this program as its VMM and guest: the tables and the descriptors that the
 * tests inside our guest have in common.
 */
#ifndef TESTS_NESTED_PASSED_H
#define TESTS_NESTED_PASSED_H

#include "server.h"
#include "vm.h"

#define PASSED_DEVFN (7 << 3)
#define PASSED_IOVA  UINT64_C(0x40000000) /* in reach of any table */

/* Units whose tables the host can walk, or shadow; and what type1 can keep: no first stage, so no PASIDs. */
#define PASSED_NESTED	    "caching-mode=on"
#define PASSED_SECOND_STAGE "caching-mode=on,first-stage=off,nested=off,pasid-bits=0,page-request=off"

struct passed {
	struct test_daemon host;
	struct client unit, device;
	struct vm vm;
};

#define PASSED_INIT { .unit.fd = -1, .device.fd = -1 }

/* Start the daemon with these options of --unit and of the device, connect, and give it the guest's memory. */
void passed_begin(struct passed *passed, const char *function, const char *unit, const char *backend);
/* Also after a test that failed on its way: the function is free again. Not 0: the daemon did not end as it should. */
int passed_end(struct passed *passed);

/* Behind the unit, in scalable mode; without `pasids` for a unit that offers none. */
void passed_add_scalable(struct passed *passed, bool pasids);
uint64_t *passed_context(struct passed *passed, unsigned int words);
uint64_t *passed_pasid_entry(struct passed *passed, uint32_t pasid);
/* Make a PASID's entry (0: plain requests) one of a second stage, or pass-through. */
void passed_set_second_stage(struct passed *passed, uint32_t pasid, uint64_t table);
void passed_set_pass_through(struct passed *passed, uint32_t pasid);

/* One PASID in the PASID cache and the IOTLB; the domain's IOTLB; the function's context and that. */
void passed_flush_pasid(struct passed *passed, uint32_t pasid);
void passed_flush_domain(struct passed *passed);
void passed_flush_context(struct passed *passed);

#endif
