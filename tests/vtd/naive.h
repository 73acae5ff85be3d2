/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A second walker, for comparison: obviously correct, no caches, no shared code.
 */
#ifndef TESTS_VTD_NAIVE_H
#define TESTS_VTD_NAIVE_H

#include "kit.h"

/* PCIe's address types, and page requests. */
enum naive_type { NAIVE_UNTRANSLATED, NAIVE_TRANSLATION, NAIVE_TRANSLATED, NAIVE_PAGE };

struct naive_request {
	uint64_t rtaddr; /* as latched */
	uint16_t rid;
	uint32_t pasid;
	uint64_t iova;
	uint32_t access;
	enum naive_type type;
};

/* VT-d 7.1.3: how a request that has a reason ends. */
enum naive_end {
	NAIVE_UR,
	NAIVE_CA,
	NAIVE_EMPTY,   /* success, without permissions */
	NAIVE_PARTIAL, /* success, with the permissions there are */
	NAIVE_IR,      /* of a page request */
};
enum naive_end naive_end(enum naive_type type, unsigned int reason);

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

/*
 * What paging entries held before they were changed. A unit may go on using an old entry until an
 * invalidation covers the translation (VT-d 6.2), each entry for itself. `since`: only changes
 * after this moment count.
 */
enum { NAIVE_PAST = 48, NAIVE_CHOICES = 24 };

struct naive_past {
	unsigned int count;
	struct {
		uint64_t gpa, value;
		unsigned int time;
	} entry[NAIVE_PAST];
	unsigned int since;
	/* Which value each entry met on the walk had: 0 is the present one. For naive_next(). */
	unsigned int depth;
	unsigned int chosen[NAIVE_CHOICES], possible[NAIVE_CHOICES];
};

/* Translate as if no cache existed. Only reads memory. */
void naive_translate(struct kit *kit, const struct naive_request *request,
		     struct naive_answer *answer);

/*
 * All answers that old entries make possible: set past->depth and past->chosen to 0, then call
 * naive_translate_past() until naive_next() says that there are no more.
 */
void naive_translate_past(struct kit *kit, const struct naive_request *request,
			  struct naive_past *past, struct naive_answer *answer);
bool naive_next(struct naive_past *past);

#endif
