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
	VTD_QUIET = 1, /* do not record a fault */
};

/* What a request needs of an entry, by its access bits; 0: there is no such request. */
static const uint8_t vtd_needs[32] = {
	[VIOMMU_READ] = VIOMMU_READ,
	[VIOMMU_WRITE] = VIOMMU_WRITE,
	[VIOMMU_EXECUTE] = VIOMMU_EXECUTE,
	[VIOMMU_ATOMIC] = VIOMMU_READ | VIOMMU_WRITE,
	[VIOMMU_PRIVILEGED | VIOMMU_READ] = VIOMMU_READ << VTD_PRIVILEGED_SHIFT,
	[VIOMMU_PRIVILEGED | VIOMMU_WRITE] = VIOMMU_WRITE << VTD_PRIVILEGED_SHIFT,
	[VIOMMU_PRIVILEGED | VIOMMU_EXECUTE] = VIOMMU_EXECUTE << VTD_PRIVILEGED_SHIFT,
	[VIOMMU_PRIVILEGED | VIOMMU_ATOMIC] = (VIOMMU_READ | VIOMMU_WRITE) << VTD_PRIVILEGED_SHIFT,
};

static inline uint8_t vtd_need(uint32_t access)
{
	return access < sizeof(vtd_needs) ? vtd_needs[access] : 0;
}

/* READ and WRITE together are ATOMIC. */
static const uint8_t vtd_with_atomic[VTD_PERMISSIONS + 1] = {
	0, 1, 2, 3 | VIOMMU_ATOMIC, 4, 5, 6, 7 | VIOMMU_ATOMIC,
};

static inline uint32_t vtd_granted(uint64_t target, uint32_t access)
{
	uint32_t privileged = access & VIOMMU_PRIVILEGED;

	return vtd_with_atomic[target >> (privileged ? VTD_PRIVILEGED_SHIFT : 0) & VTD_PERMISSIONS] |
	       privileged;
}

bool vtd_request_valid(uint32_t pasid, uint32_t access);
/* What is left of the access when ZERO_LENGTH is where it may be. */
static inline uint32_t vtd_plain_access(uint32_t access)
{
	return (access & VIOMMU_ACCESS_TYPE) == VIOMMU_READ ? access & ~VIOMMU_ZERO_LENGTH : access;
}
/*
 * Resolve by the tables; fills the results. Takes its own access section. A translation request for
 * an interrupt address (VT-d 7.1.3 S.1, S.2) has no reason and no entry, only `message`.
 */
void vtd_resolve(struct vtd_request_state *request);
void vtd_request_fault(const struct vtd_request_state *request, struct viommu_fault *fault);
/* Only if the thread's front knows it. */
bool vtd_translate_front(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
			 uint32_t access, struct viommu_translation *t);
int vtd_translate(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova, uint32_t access,
		  enum vtd_quiet quiet, struct viommu_translation *t);

#endif
