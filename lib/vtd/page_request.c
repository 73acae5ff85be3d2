/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Page requests and their answers (VT-d 7.5 to 7.7).
 *
 * A request goes into the guest's queue at once, so that draining (a wait descriptor with PD) has
 * nothing to wait for. When the queue is full PRO is set and, until software clears it, requests
 * that want an answer are told "success" without having been seen: the device asks again. Every other
 * request that does not reach the queue is "invalid", never "failure", which would end page requests
 * for the whole device (VT-d 7.1.3).
 *
 * VT-d 6.5.3.1 wants a page request to drop what is cached of its page, so that a permission that was
 * raised without an invalidation is seen. Here nothing cached ever refuses: what an entry does not
 * permit is asked of the tables again (translate.c).
 */
#include <errno.h>

#include "vtd/listener.h"
#include "vtd/probes.h"
#include "vtd/translate.h"

struct page_request {
	uint16_t rid;
	uint32_t pasid;
	uint64_t iova;
	uint32_t access;
	uint16_t group;
	bool last;
};

#define PAGE_ACCESS (VIOMMU_READ | VIOMMU_WRITE | VIOMMU_EXECUTE | VIOMMU_PRIVILEGED)

/* VT-d 7.5 */
static void encode(const struct page_request *request, uint64_t words[4])
{
	words[0] = VTD_PRQ_TYPE | vtd_place(request->rid, VTD_PRQ_RID);
	if (request->pasid != VIOMMU_NO_PASID) {
		words[0] |= VTD_PRQ_PP | vtd_place(request->pasid, VTD_PRQ_PASID);
		words[0] |= request->access & VIOMMU_EXECUTE ? VTD_PRQ_EXE : 0;
		words[0] |= request->access & VIOMMU_PRIVILEGED ? VTD_PRQ_PRIV : 0;
	}
	words[1] = (request->iova & VTD_PRQ_ADDR) | vtd_place(request->group, VTD_PRQ_PRGI);
	/* VT-d 7.4.1.1 EXR: whoever wants to execute wants to read; without either it is a stop marker. */
	words[1] |= request->access & (VIOMMU_READ | VIOMMU_EXECUTE) ? VTD_PRQ_READ : 0;
	words[1] |= request->access & VIOMMU_WRITE ? VTD_PRQ_WRITE : 0;
	words[1] |= request->last ? VTD_PRQ_LAST : 0;
	words[2] = words[3] = 0;
}

/* VT-d 7.5: set a status bit; the event is raised if none was set. registers.lock held. */
static struct vtd_message set_status(struct viommu_unit *unit, uint32_t bit,
				     const struct viommu_endpoint *cause)
{
	uint32_t status = vtd_get32(unit, VTD_REG_PRS);

	vtd_set32(unit, VTD_REG_PRS, status | bit);
	if (status & (VTD_PRS_PPR | VTD_PRS_PRO))
		return (struct vtd_message){ 0 };
	return vtd_event_raise(unit, VTD_EVENT_PAGE_REQUEST, cause);
}

/* 0, -ENOSPC or -EFAULT. registers.lock held, in an access section. */
static int enqueue(struct viommu_unit *unit, const struct page_request *request,
		   const struct viommu_endpoint *cause, struct vtd_message *message)
{
	uint64_t pqa = vtd_get64(unit, VTD_REG_PQA), words[4];
	uint32_t size = 4096u << vtd_field(pqa, VTD_PQA_PQS);
	uint32_t tail = vtd_get32(unit, VTD_REG_PQT) % size;
	uint32_t next = (tail + sizeof(words)) % size;
	uint64_t gpa = (pqa & VTD_PQA_ADDRESS) + tail;

	if (vtd_get32(unit, VTD_REG_PRS) & VTD_PRS_PRO)
		return -ENOSPC;
	if (next == vtd_get32(unit, VTD_REG_PQH) % size) {
		*message = set_status(unit, VTD_PRS_PRO, cause);
		return -ENOSPC;
	}
	encode(request, words);
	if (!memory_ram(unit->memory, gpa, sizeof(words), true) ||
	    viommu_memory_write(unit->memory, gpa, words, sizeof(words)))
		return -EFAULT;
	vtd_set32(unit, VTD_REG_PQT, next);
	*message = set_status(unit, VTD_PRS_PPR, cause);
	return 0;
}

static int queue_request(struct viommu_unit *unit, const struct page_request *request,
			 const struct viommu_endpoint *cause)
{
	struct vtd_message message = { 0 };
	int result;

	VTD_PROBE4(page_request, request->rid, request->pasid, request->iova, request->group);
	vtd_count_shared(&unit->counters.page_requests);
	grace_enter();
	pthread_mutex_lock(&unit->registers.lock);
	result = enqueue(unit, request, cause, &message);
	pthread_mutex_unlock(&unit->registers.lock);
	grace_exit();
	vtd_event_send(unit, VTD_EVENT_PAGE_REQUEST, message);
	if (!result)
		vtd_count_shared(&unit->counters.page_requests_posted);
	else if (result == -ENOSPC && request->last && request->access)
		vtd_count_shared(&unit->counters.page_requests_overflow);
	vtd_perfmon_poll(unit);
	return result;
}

static int validate(const struct viommu_unit *unit, const struct page_request *request)
{
	if (request->group > 0x1ff || request->access & ~PAGE_ACCESS ||
	    (request->pasid > VIOMMU_PASID_MAX && request->pasid != VIOMMU_NO_PASID) ||
	    (!(request->access & ~VIOMMU_PRIVILEGED) && !request->last))
		return -EINVAL;
	if (!(unit->ecap & VTD_ECAP_PRS) || !vtd_load(&unit->translating))
		return -EOPNOTSUPP;
	return 0;
}

/* VT-d 7.6: what the endpoint hears when its request did not reach software. Stop markers: nothing.
 */
static void answer(struct viommu_endpoint *endpoint, const struct page_request *request,
		   enum viommu_response_code code)
{
	if (!request->last || !request->access)
		return;
	vtd_count_shared(&endpoint->unit->counters.automatic_responses);
	if (endpoint->ops.page_response)
		endpoint->ops.page_response(endpoint->opaque, request->pasid, request->group, code);
}

/* VT-d 7.1.3: do the tables, down to the PE, keep this request out? If so that is recorded. */
static bool blocked(struct viommu_endpoint *endpoint, const struct page_request *request)
{
	struct vtd_request_state state = {
		.endpoint = endpoint,
		.pasid = request->pasid,
		.iova = request->iova,
		.access = request->access,
	};
	struct viommu_fault fault;

	vtd_count(&vtd_shard(endpoint)->context_lookups, 1);
	grace_enter();
	state.reason = vtd_context_get(endpoint, request->pasid, VTD_PAGE_REQUEST, &state.context,
				       &state.fault_processing_disabled);
	grace_exit();
	if (!state.reason)
		return false;
	vtd_request_fault(&state, &fault);
	vtd_fault_record(endpoint, &fault, VTD_PAGE_REQUEST, state.fault_processing_disabled);
	return true;
}

int viommu_page_request(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
			uint32_t access, uint16_t group, bool last)
{
	struct page_request request = { endpoint->rid, pasid, iova, access, group, last };
	struct viommu_unit *unit = endpoint->unit;
	int result = validate(unit, &request);

	if (result)
		return result;
	if (!(vtd_load(&endpoint->features) & VIOMMU_ENDPOINT_PRI))
		return -EOPNOTSUPP;
	result = blocked(endpoint, &request) ? -EPERM : queue_request(unit, &request, endpoint);
	if (result)
		answer(endpoint, &request,
		       result == -ENOSPC ? VIOMMU_RESPONSE_SUCCESS : VIOMMU_RESPONSE_INVALID);
	return 0;
}

int vtd_listener_page_request(struct viommu_unit *unit, uint16_t rid, uint32_t pasid, uint64_t iova,
			      uint32_t access, uint16_t group, bool last)
{
	struct page_request request = { rid, pasid, iova, access, group, last };
	int result = validate(unit, &request);

	return result ? result : queue_request(unit, &request, NULL);
}

void vtd_page_response(struct viommu_unit *unit, uint16_t rid, uint32_t pasid, uint16_t group,
		       enum viommu_response_code code)
{
	struct viommu_endpoint *endpoint = vtd_endpoint_find(unit, rid);

	VTD_PROBE4(page_response, rid, pasid, group, code);
	vtd_count(&unit->counters.page_responses, 1);
	if (endpoint && endpoint->ops.page_response)
		endpoint->ops.page_response(endpoint->opaque, pasid, group, code);
	else
		vtd_listeners_page_response(unit, rid, pasid, group, code);
}
