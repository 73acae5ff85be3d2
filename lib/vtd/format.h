/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the walker needs to know of a paging format.
 *
 * First and second stage differ in which bits say present, accessed, dirty and permitted, and in
 * the reasons of their faults. A format is a table of small functions on entries; walk.c has the
 * one walker for all of them. Formats are constants, so that the walker is compiled once for each.
 */
#ifndef VIOMMU_VTD_FORMAT_H
#define VIOMMU_VTD_FORMAT_H

#include "vtd/iotlb.h"
#include "vtd/unit_internal.h"

/* Index into unit->reserved. */
enum vtd_format_kind { VTD_FORMAT_FIRST, VTD_FORMAT_SECOND };

/*
 * Where a walk stood before the last level: what a paging-structure cache keeps. A walk that is
 * given a valid one starts there; one that comes by there fills it in.
 */
struct vtd_anchor {
	bool valid;
	uint64_t address; /* of the last table, as its parent says */
	uint64_t real;	  /* the same after the second stage */
	uint64_t all;	  /* AND and OR of the entries above */
	uint64_t any;
};

/* One request on its way through the tables. */
struct vtd_walk {
	struct viommu_unit *unit;
	const struct vtd_context *context;
	/* READ, WRITE, EXECUTE bits; ATOMIC is READ | WRITE. ZERO_LENGTH: write permission will do */
	unsigned int want;
	bool privileged;
	struct vtd_anchor anchor;
	unsigned int reads;
};

/* What one stage makes of its input address. */
struct vtd_leaf {
	uint64_t address;
	unsigned int shift;
	uint8_t permissions; /* as in vtd_target_bits */
	bool snoop;
};

struct vtd_format {
	bool first_stage;
	unsigned int access_top, access, not_present, reserved; /* reasons */
	unsigned int update_snoop, update_failed;
	bool (*present)(uint64_t entry);
	/* Bits the walk sets in each entry, and in a leaf that is written. */
	uint64_t (*accessed)(const struct vtd_context *context);
	uint64_t (*dirty)(const struct vtd_context *context);
	/* 0 or the reason why `want` is not allowed; `all` and `any` are the AND and OR of the
	 * path. */
	unsigned int (*check)(const struct vtd_walk *walk, unsigned int want, uint64_t all,
			      uint64_t any);
	/* Everything that is allowed. `entry` is the leaf after its update. */
	uint8_t (*permissions)(const struct vtd_context *context, uint64_t all, uint64_t any,
			       uint64_t entry);
	bool (*snoop)(const struct vtd_context *context, uint64_t entry);
};

/* format.c: fill unit->reserved from CAP and ECAP. */
void vtd_format_init(struct viommu_unit *unit);

/*
 * Walk the tables of `walk->context`. A reason, or 0 and *found (VT-d 3.6, 3.7, 3.8).
 * In an access section.
 */
unsigned int vtd_walk(struct vtd_walk *walk, uint64_t iova, struct vtd_found *found);

/*
 * The end of a walk of one stage that was at `anchor` and found `entry`, if that leaves nothing to
 * decide: a leaf with all its marks. False: vtd_walk() must judge. Whether `found->permissions` are
 * enough is the caller's business.
 */
bool vtd_walk_leaf(const struct viommu_unit *unit, const struct vtd_context *context,
		   const struct vtd_anchor *anchor, uint64_t entry, struct vtd_found *found);

#endif
