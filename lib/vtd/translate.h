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

/* A permission that no entry has. */
#define VTD_NOBODYS (1 << 7)

/* What a request needs of an entry, by its access bits; VTD_NOBODYS: there is no such request. */
#define VTD_NEEDS(r, w, x, shift)                                                            \
	VTD_NOBODYS, (r) << (shift), (w) << (shift), VTD_NOBODYS, (x) << (shift), VTD_NOBODYS, \
		VTD_NOBODYS, VTD_NOBODYS, ((r) | (w)) << (shift), VTD_NOBODYS, VTD_NOBODYS,    \
		VTD_NOBODYS, VTD_NOBODYS, VTD_NOBODYS, VTD_NOBODYS, VTD_NOBODYS
static const uint8_t vtd_needs[32] = {
	VTD_NEEDS(VIOMMU_READ, VIOMMU_WRITE, VIOMMU_EXECUTE, 0),
	VTD_NEEDS(VIOMMU_READ, VIOMMU_WRITE, VIOMMU_EXECUTE, VTD_PRIVILEGED_SHIFT),
};
_Static_assert(VIOMMU_READ == 1 && VIOMMU_WRITE == 2 && VIOMMU_EXECUTE == 4 && VIOMMU_ATOMIC == 8 &&
		       VIOMMU_PRIVILEGED == 16,
	       "places in vtd_needs");

static inline uint8_t vtd_need(uint32_t access)
{
	return access < sizeof(vtd_needs) ? vtd_needs[access] : VTD_NOBODYS;
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
