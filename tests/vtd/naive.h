/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A second walker, for comparison: obviously correct, no caches, no shared code.
 */
#ifndef TESTS_VTD_NAIVE_H
#define TESTS_VTD_NAIVE_H

#include "kit.h"

struct naive_request {
	uint64_t rtaddr; /* as latched */
	uint16_t rid;
	uint32_t pasid;
	uint64_t iova;
	uint32_t access;
};

#define NAIVE_MARKS 64

struct naive_answer {
	unsigned int reason; /* 0: translated */
	uint64_t gpa;
	bool fpd; /* the tables ask for no record */
	/* Entries that must carry these bits after a successful translation. */
	unsigned int marks;
	struct {
		uint64_t gpa, bits;
	} mark[NAIVE_MARKS];
};

/* Translate as if no cache existed. Only reads memory. */
void naive_translate(struct kit *kit, const struct naive_request *request,
		     struct naive_answer *answer);

#endif
