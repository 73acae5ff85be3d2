/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Address translation services (VT-d 4): translation requests, and requests already translated.
 *
 * A translation request asks what it may do; that nothing is permitted is an answer, not a fault.
 * Only what makes the request itself impossible - the endpoint not allowed to ask, tables that are
 * broken - is one. VT-d 7.1.3 has a table of which is which, and of how the others end.
 */
#include <errno.h>
#include <string.h>

#include "vtd/translate.h"

/* VT-d 4.1, 7.1.3: conditions that come back as "no permission". */
static bool answered_empty(const struct vtd_request_state *request)
{
	switch (request->reason) {
	case VTD_REASON_ADDRESS_WIDTH:
	case VTD_REASON_WRITE:
	case VTD_REASON_READ:
	case VTD_REASON_PDE_P:
	case VTD_REASON_PE_P:
	case VTD_REASON_ERE:
	case VTD_REASON_SRE:
	case VTD_REASON_FS_ACCESS:
	case VTD_REASON_FS_P:
	case VTD_REASON_FS_RESERVED:
	case VTD_REASON_FS_TOP_ACCESS:
	case VTD_REASON_FS_ENTRY_WIDTH:
	case VTD_REASON_FS_TOP_READ:
	case VTD_REASON_FS_ENTRY_READ:
	case VTD_REASON_FS_ENTRY_WRITE:
	case VTD_REASON_FS_AD_SNOOP:
	case VTD_REASON_FS_AD_FAILED:
	case VTD_REASON_SS_P:
	case VTD_REASON_CANONICAL:
	case VTD_REASON_USER:
	case VTD_REASON_EXECUTE:
	case VTD_REASON_S_ADDRESS_WIDTH:
	case VTD_REASON_SS_INPUT_WIDTH:
	case VTD_REASON_S_WRITE:
	case VTD_REASON_S_READ:
		return true;
	case VTD_REASON_S_INTERRUPT_ADDRESS:
		/* SGN.8.2 is not for pass-through entries. */
		return vtd_context_type(&request->context) == VTD_CONTEXT_PASS_THROUGH;
	default:
		return false;
	}
}

/* VT-d 7.1.3: how a translation request ends that is not answered. */
static enum viommu_completion translation_completion(unsigned int reason)
{
	switch (reason) {
	case VTD_REASON_ROOT_P:
	case VTD_REASON_CONTEXT_P:
	case VTD_REASON_TRANSLATION_BLOCKED:
	case VTD_REASON_TTM_PASID:
	case VTD_REASON_TTM_ABORT:
	case VTD_REASON_S_ROOT_P:
	case VTD_REASON_S_CONTEXT_P:
	case VTD_REASON_DTE:
	case VTD_REASON_PASIDE:
	case VTD_REASON_PDTS:
	case VTD_REASON_RID_PASID:
	case VTD_REASON_PASID_WIDTH:
		return VIOMMU_COMPLETION_UNSUPPORTED;
	default:
		return VIOMMU_COMPLETION_ABORT;
	}
}

/* VT-d 7.1.3: the same for translated requests. */
static enum viommu_completion translated_completion(unsigned int reason)
{
	switch (reason) {
	case VTD_REASON_PDE_ACCESS:
	case VTD_REASON_PDE_RESERVED:
	case VTD_REASON_PE_ACCESS:
	case VTD_REASON_PE_RESERVED:
	case VTD_REASON_PE_INVALID:
		return VIOMMU_COMPLETION_ABORT;
	default:
		return VIOMMU_COMPLETION_UNSUPPORTED;
	}
}

static void report(const struct vtd_request_state *request, struct viommu_fault *fault)
{
	vtd_request_fault(request, fault);
	vtd_fault_record(request->endpoint, fault, request->type,
			 request->fault_processing_disabled);
}

static int fault(const struct vtd_request_state *request, enum viommu_completion completion,
		 struct viommu_translation *t)
{
	memset(t, 0, sizeof(*t));
	t->completion = completion;
	report(request, &t->fault);
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
	/* VT-d 4.2.3 NW: whoever does not ask for writing gets no permission to. */
	if (!(request->access & (VIOMMU_WRITE | VIOMMU_ATOMIC)))
		set &= ~VIOMMU_WRITE;
	t->gpa = (request->entry.target & ~(uint64_t)VTD_TARGET_BITS) + offset;
	t->length = size - offset;
	t->hva = request->entry.hva ? (void *)(uintptr_t)(request->entry.hva + offset) : NULL;
	t->snoop = request->entry.target & VTD_TARGET_SNOOP;
	t->granted = set ? set | (request->access & VIOMMU_PRIVILEGED) : 0;
}

static void grant_nothing(const struct vtd_request_state *request, struct viommu_translation *t)
{
	struct viommu_fault fault;

	t->length = 4096 - (request->iova & 4095);
	/* VT-d 7.1.3 SFS.10: answered, and reported too. */
	if (request->reason == VTD_REASON_FS_AD_FAILED)
		report(request, &fault);
}

/* VT-d 7.1.3 S.1, S.2: messages may be written, untranslated. */
static void grant_message(const struct vtd_request_state *request, struct viommu_translation *t)
{
	t->gpa = request->iova;
	t->length = 4096 - (request->iova & 4095);
	t->untranslated_only = request->access & (VIOMMU_WRITE | VIOMMU_ATOMIC);
	t->granted = t->untranslated_only ? VIOMMU_WRITE : 0;
}

/*
 * VT-d 7.1.3 LGN.2, LGN.3, SGN.6, SGN.7: what was not permitted as a whole may be in part. Whoever
 * asks for writing gets to know that reading is allowed, and the other way round.
 */
static void resolve_in_part(struct vtd_request_state *request)
{
	uint32_t rest = 0;

	if (request->reason == VTD_REASON_S_WRITE || request->reason == VTD_REASON_WRITE)
		rest = VIOMMU_READ;
	else if (request->access & VIOMMU_ATOMIC &&
		 (request->reason == VTD_REASON_S_READ || request->reason == VTD_REASON_READ))
		rest = VIOMMU_WRITE;
	if (!rest)
		return;
	request->access = (request->access & VIOMMU_PRIVILEGED) | rest;
	vtd_resolve(request);
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
		return fault(&request, VIOMMU_COMPLETION_UNSUPPORTED, t);
	}
	vtd_resolve(&request);
	resolve_in_part(&request);
	if (request.message)
		grant_message(&request, t);
	else if (!request.reason)
		grant(&request, t);
	else if (answered_empty(&request))
		grant_nothing(&request, t);
	else
		return fault(&request, translation_completion(request.reason), t);
	return VIOMMU_OK;
}

/* VT-d 7.1.3: what remains to be checked of an address that the unit itself gave out. */
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

	if (!vtd_request_valid(VIOMMU_NO_PASID, vtd_plain_access(access)))
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
		return fault(&request, translated_completion(request.reason), t);
	t->gpa = gpa;
	t->hva = hva;
	t->granted = VIOMMU_READ | VIOMMU_WRITE;
	return VIOMMU_OK;
}
