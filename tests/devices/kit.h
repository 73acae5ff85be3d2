/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A DSA behind a unit, for tests: tests/vtd/kit.h's box with a device core in the place of its
 * endpoint.
 *
 * PASID 5 and requests without a PASID see the same AREA: AREA_PAGES pages of IOVA, each at another
 * physical place, so that no two neighbours are neighbours in memory. Pages can be taken away and
 * given write protection; the kit can play the guest that answers page requests. Everything a test
 * looks at it reads through the IOVA.
 */
#ifndef TESTS_DEVICES_KIT_H
#define TESTS_DEVICES_KIT_H

#include <stdatomic.h>
#include "devices/dsa/dsa.h"
#include "devices/dsa/spec.h"
#include "tests/vtd/kit.h"

enum {
	AREA_PAGES = 64,
	AREA_SIZE = AREA_PAGES * 4096,
	PASID = 5,
	RECORD_PAGE = AREA_PAGES,    /* completion records */
	LIST_PAGE = AREA_PAGES + 1,  /* batch lists */
	EVENT_PAGE = AREA_PAGES + 3, /* the event log, two pages physically contiguous */
	ALL_PAGES = AREA_PAGES + 5,
};
#define AREA 0x7f0000000000ull

enum page_policy { PAGES_UNANSWERED, PAGES_GIVEN, PAGES_REFUSED };

struct dkit {
	struct kit box;
	struct dsa *dsa;
	uint64_t root; /* first-stage tables, used by both PASIDs */
	bool present[ALL_PAGES];
	atomic_uint interrupts[DSA_MAX_VECTORS];
	enum page_policy policy;
	unsigned int refuse; /* the next so many requests are refused whatever the policy */
	unsigned int page_requests;
	uint64_t last_request;
	unsigned int slot; /* next portal slot */
};

/* A unit, a DSA with all features on, tables for all pages; the device not yet enabled. NULL:
 * default options. */
void dkit_create(struct dkit *kit, const struct dsa_options *options);
void dkit_destroy(struct dkit *kit);

uint64_t dkit_address(unsigned int page);   /* IOVA */
unsigned int dkit_frame(unsigned int page); /* its page number in guest memory */
void dkit_map(struct dkit *kit, unsigned int page, bool writable);
void dkit_unmap(struct dkit *kit, unsigned int page);
/* Through the tables' idea of where pages are, present or not. */
void dkit_get(struct dkit *kit, uint64_t iova, void *data, size_t length);
void dkit_put(struct dkit *kit, uint64_t iova, const void *data, size_t length);

uint32_t dkit_read32(struct dkit *kit, uint64_t offset);
uint64_t dkit_read64(struct dkit *kit, uint64_t offset);
void dkit_write32(struct dkit *kit, uint64_t offset, uint32_t value);
void dkit_write64(struct dkit *kit, uint64_t offset, uint64_t value);

/* A command to its end; the error code. */
unsigned int dkit_command(struct dkit *kit, enum dsa_command command, uint32_t operand);
bool dkit_command_settles(struct dkit *kit); /* within thirty seconds */
/* How often @vector interrupted, after a while given to reach @expected: an interrupt goes out just
 * after the registers say why, from whichever thread changed them. */
unsigned int dkit_interrupts(struct dkit *kit, unsigned int vector, unsigned int expected);

enum wq_flags {
	WQ_SHARED = 1,
	WQ_BLOCK = 2,
	WQ_NO_PASID = 4,
	WQ_PRIVILEGED = 8,
	WQ_ATS_OFF = 16,
	WQ_PRS_OFF = 32
};
/* WQ `index` into group `index` % groups with engine of that number (both before the device is
 * enabled). */
void dkit_configure_wq(struct dkit *kit, unsigned int index, unsigned int size, unsigned int flags);
void dkit_group(struct dkit *kit, unsigned int group, uint64_t wqs, uint64_t engines);
/* Configure WQ 0 (16 entries, engine 0, group 0), enable the device and the WQ. */
void dkit_start(struct dkit *kit, unsigned int flags);

/* Write a descriptor to a portal as the #UD module does, eight stores; true when accepted. */
bool dkit_submit(struct dkit *kit, unsigned int wq, const struct dsa_descriptor *descriptor);
/* A descriptor with record n requested, PASID filled in for a shared WQ. */
struct dsa_descriptor dkit_descriptor(enum dsa_opcode opcode, uint32_t flags, unsigned int record);
uint64_t dkit_record_address(unsigned int record);
void dkit_clear_record(struct dkit *kit, unsigned int record);
/* Wait until a record has a status, serving page requests by policy; false after thirty seconds. */
bool dkit_wait(struct dkit *kit, unsigned int record, struct dsa_record *result);
/* Submit on WQ 0, wait: the record. */
struct dsa_record dkit_run(struct dkit *kit, const struct dsa_descriptor *descriptor,
			   unsigned int record);
/* 64 bytes from page 0 to page 16, with record 0. */
struct dsa_descriptor dkit_move(uint32_t flags);
/* Submit on WQ 0 with record 0, wait: its status. */
unsigned int dkit_status(struct dkit *kit, const struct dsa_descriptor *descriptor);
/* Answer what page requests there are by policy. */
void dkit_serve_pages(struct dkit *kit);
/* Wait until an atomic counter is at least n; false after thirty seconds. */
bool dkit_reached(atomic_uint *counter, unsigned int n);

#endif
