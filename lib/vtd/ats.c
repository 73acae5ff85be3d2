/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Address translation services (VT-d 4): translation requests, and requests already translated.
 *
 * A translation request asks what it may do; that nothing is permitted is an answer, not a fault.
 * Only what makes the request itself impossible - the endpoint not allowed to ask, tables that are
 * broken - is one.
 */
#include <errno.h>
#include <string.h>

#include "vtd/translate.h"

/* VT-d 4.1, 7.1.3: conditions that come back as "no permission". */
static bool answered_empty(unsigned int reason)
{
	switch (reason) {
	case VTD_REASON_ADDRESS_WIDTH:
	case VTD_REASON_WRITE:
	case VTD_REASON_READ:
	case VTD_REASON_INTERRUPT_ADDRESS:
	case VTD_REASON_ERE:
	case VTD_REASON_SRE:
	case VTD_REASON_FS_P:
	case VTD_REASON_FS_ENTRY_WIDTH:
	case VTD_REASON_FS_TOP_READ:
	case VTD_REASON_FS_ENTRY_READ:
	case VTD_REASON_FS_ENTRY_WRITE:
	case VTD_REASON_SS_P:
	case VTD_REASON_CANONICAL:
	case VTD_REASON_USER:
	case VTD_REASON_EXECUTE:
	case VTD_REASON_S_ADDRESS_WIDTH:
	case VTD_REASON_SS_INPUT_WIDTH:
	case VTD_REASON_S_WRITE:
	case VTD_REASON_S_READ:
	case VTD_REASON_S_INTERRUPT_ADDRESS:
		return true;
	default:
		return false;
	}
}

static int fault(struct vtd_request_state *request, enum vtd_request type,
		 struct viommu_translation *t)
{
	memset(t, 0, sizeof(*t));
	vtd_request_fault(request, &t->fault);
	vtd_fault_record(request->endpoint, &t->fault, type, request->fault_processing_disabled);
	return VIOMMU_FAULT;
}

static void grant(const struct vtd_request_state *request, struct viommu_translation *t)
{
	uint64_t size = 1ull << vtd_class_shift(request->size_class);
	uint64_t offset = request->iova & (size - 1);
	unsigned int shift = request->access & VIOMMU_PRIVILEGED ? VTD_PRIVILEGED_SHIFT : 0;
	uint32_t set = request->entry.target >> shift & VTD_PERMISSIONS;

	/* VT-d 4.1: execute is granted to those that asked for it. */
	if (!(request->access & VIOMMU_EXECUTE))
		set &= ~VIOMMU_EXECUTE;
	t->gpa = (request->entry.target & ~(uint64_t)VTD_TARGET_BITS) + offset;
	t->length = size - offset;
	t->hva = request->entry.hva ? (void *)(uintptr_t)(request->entry.hva + offset) : NULL;
	t->snoop = request->entry.target & VTD_TARGET_SNOOP;
	t->granted = set ? set | (request->access & VIOMMU_PRIVILEGED) : 0;
}

static void grant_nothing(const struct vtd_request_state *request, struct viommu_translation *t)
{
	t->length = 4096 - (request->iova & 4095);
}

int viommu_ats_translate(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
			 uint32_t access, struct viommu_translation *t)
{
	struct vtd_request_state request = {
		.endpoint = endpoint,
		.pasid = pasid,
		.iova = iova,
		.access = access,
		.type = VTD_TRANSLATION,
	};

	if (!vtd_request_valid(pasid, access))
		return -EINVAL;
	memset(t, 0, sizeof(*t));
	if (!(vtd_load(&endpoint->features) & VIOMMU_ENDPOINT_ATS)) {
		request.reason = VTD_REASON_DTE;
		request.fault_processing_disabled = true;
		return fault(&request, VTD_TRANSLATION, t);
	}
	vtd_resolve(&request);
	/* VT-d 4.1: who asks for writing gets to know that reading is allowed. */
	if (request.reason == VTD_REASON_S_WRITE || request.reason == VTD_REASON_WRITE) {
		request.access = (access & VIOMMU_PRIVILEGED) | VIOMMU_READ;
		vtd_resolve(&request);
	}
	if (!request.reason)
		grant(&request, t);
	else if (answered_empty(request.reason))
		grant_nothing(&request, t);
	else
		return fault(&request, VTD_TRANSLATION, t);
	return VIOMMU_OK;
}

/* VT-d 4.2.4: what remains to be checked of an address that the unit itself gave out. */
static unsigned int check_translated(const struct vtd_request_state *request)
{
	bool legacy = request->context.flags & VTD_CF_LEGACY;

	if (request->iova >> request->endpoint->unit->haw)
		return legacy ? VTD_REASON_ADDRESS_WIDTH : VTD_REASON_S_ADDRESS_WIDTH;
	if (vtd_interrupt_range(request->iova, request->iova))
		return legacy ? VTD_REASON_INTERRUPT_ADDRESS : VTD_REASON_S_INTERRUPT_ADDRESS;
	return VTD_REASON_NONE;
}

int viommu_translated_request(struct viommu_endpoint *endpoint, uint64_t gpa, uint32_t access,
			      struct viommu_translation *t)
{
	struct vtd_request_state request = {
		.endpoint = endpoint,
		.pasid = VIOMMU_NO_PASID,
		.iova = gpa,
		.access = access,
		.type = VTD_TRANSLATED,
	};
	bool write = access & (VIOMMU_WRITE | VIOMMU_ATOMIC);
	void *hva = NULL;

	if (!vtd_request_valid(VIOMMU_NO_PASID, access))
		return -EINVAL;
	memset(t, 0, sizeof(*t));
	vtd_count(&vtd_shard(endpoint)->context_lookups, 1);
	grace_enter();
	request.reason = vtd_context_get(endpoint, VIOMMU_NO_PASID, VTD_TRANSLATED,
					 &request.context, &request.fault_processing_disabled);
	if (!request.reason)
		request.reason = check_translated(&request);
	if (!request.reason && vtd_protecting(endpoint->unit) &&
	    vtd_protected(endpoint->unit, gpa, gpa)) {
		/* VT-d 11.4.8.1 */
		request.reason = VTD_REASON_PROTECTED;
		request.fault_processing_disabled = true;
	}
	if (!request.reason &&
	    viommu_memory_lookup(endpoint->unit->memory, gpa, write ? VIOMMU_WRITE : VIOMMU_READ,
				 &hva, &t->length)) {
		hva = NULL;
		t->length = 4096 - (gpa & 4095);
	}
	/* Regions begin and end at multiples of this. */
	if (vtd_protecting(endpoint->unit) && t->length > VTD_PMR_SIZE - gpa % VTD_PMR_SIZE)
		t->length = VTD_PMR_SIZE - gpa % VTD_PMR_SIZE;
	grace_exit();
	vtd_perfmon_poll(endpoint->unit);
	if (request.reason)
		return fault(&request, VTD_TRANSLATED, t);
	t->gpa = gpa;
	t->hva = hva;
	t->granted = VIOMMU_READ | VIOMMU_WRITE;
	return VIOMMU_OK;
}
