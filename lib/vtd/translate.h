/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Translation as the other request paths (ATS, DMA, page requests) use it.
 */
#ifndef VIOMMU_VTD_TRANSLATE_H
#define VIOMMU_VTD_TRANSLATE_H

#include "vtd/iotlb.h"

/* One request that did not simply hit. */
struct vtd_request_state {
	struct viommu_endpoint *endpoint;
	uint32_t pasid;
	uint64_t iova;
	uint32_t access;
	enum vtd_request type;
	bool zero_length;
	/* Results. */
	unsigned int reason;
	bool fault_processing_disabled;
	bool message; /* an address of interrupt messages: see vtd_resolve() */
	unsigned int size_class;
	struct vtd_entry entry;
	struct vtd_context context;
};

enum vtd_quiet {
	VTD_LOUD = 0,
	VTD_QUIET = 1,	     /* do not record a fault */
	VTD_ZERO_LENGTH = 2, /* a read of nothing (CAP.ZLR) */
};

bool vtd_request_valid(uint32_t pasid, uint32_t access);
/*
 * Resolve by the tables; fills the results. Takes its own access section. A translation request for
 * an interrupt address (VT-d 7.1.3 S.1, S.2) has no reason and no entry, only `message`.
 */
void vtd_resolve(struct vtd_request_state *request);
void vtd_request_fault(const struct vtd_request_state *request, struct viommu_fault *fault);
int vtd_translate(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova, uint32_t access,
		  enum vtd_quiet quiet, struct viommu_translation *t);

#endif
