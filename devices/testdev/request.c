/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Executing one request.
 *
 * Three ways to an address: untranslated (faults are recorded), untranslated with page requests
 * (asked quietly first), and ATS (a translation request, then translated ones). All three end in
 * run(), which moves the bytes of one translation inside an access section and never waits there.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include "internal.h"

enum { PAGE = 4096, ATTEMPTS = 64, RUN_LIMIT = 256 * 1024 };

enum step { STEP_DONE, STEP_FAILED, STEP_ASK, STEP_PARKED };

struct request {
	struct testdev *testdev;
	struct testdev_slot *slot;
	uint8_t *data;
	uint32_t operation;
	uint32_t pasid;
	uint32_t access; /* with privilege */
	unsigned int attempts;
};

void testdev_page_response(void *opaque, uint32_t pasid, uint16_t group,
			   enum viommu_response_code code)
{
	struct testdev *testdev = opaque;

	testdev_lock(testdev);
	testdev->responses++;
	if (testdev->page_waiting && testdev->page_group == group) {
		testdev->page_waiting = false;
		testdev->page_code = code;
		pthread_cond_signal(&testdev->wake);
	}
	testdev_unlock(testdev);
}

static bool interrupted(const struct testdev *testdev)
{
	return atomic_load(&testdev->cancel) || atomic_load(&testdev->park);
}

static enum step fail(struct request *request, enum testdev_outcome outcome)
{
	request->slot->outcome = outcome;
	return STEP_FAILED;
}

static enum step fault(struct request *request, const struct viommu_fault *fault)
{
	request->slot->reason = fault->reason;
	request->slot->fault_iova = fault->iova;
	return fail(request, TESTDEV_FAULT);
}

/* Wait for the answer to the group begun before. Lock held. */
static enum step wait_answer(struct request *request)
{
	struct testdev *testdev = request->testdev;
	struct timespec deadline;
	int error = 0;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += testdev->page_timeout_ms / 1000;
	deadline.tv_nsec += testdev->page_timeout_ms % 1000 * 1000000l;
	if (deadline.tv_nsec >= 1000000000l) {
		deadline.tv_sec++;
		deadline.tv_nsec -= 1000000000l;
	}
	while (testdev->page_waiting && !interrupted(testdev) && error != ETIMEDOUT)
		error = pthread_cond_timedwait(&testdev->wake, &testdev->lock, &deadline);
	if (testdev->page_waiting) {
		testdev->page_waiting = false;
		if (interrupted(testdev))
			return STEP_PARKED;
		return fail(request, TESTDEV_TIMEOUT);
	}
	request->slot->response = testdev->page_code | 1u << 31;
	if (testdev->page_code != VIOMMU_RESPONSE_SUCCESS)
		return fail(request, TESTDEV_PAGE_REFUSED);
	return STEP_DONE;
}

/* PCIe 10.4.1: page requests know read, write, execute and privilege. */
static uint32_t page_access(uint32_t access)
{
	if (access & VIOMMU_ATOMIC)
		access = (access & ~(uint32_t)VIOMMU_ATOMIC) | VIOMMU_READ | VIOMMU_WRITE;
	if (access & VIOMMU_EXECUTE)
		access |= VIOMMU_READ;
	return access;
}

static enum step ask_page(struct request *request, uint64_t iova, uint32_t access, uint16_t group,
			  bool last)
{
	struct testdev *testdev = request->testdev;
	enum step step = STEP_DONE;
	int error;

	testdev_lock(testdev);
	testdev->page_waiting = last;
	testdev->page_group = group;
	testdev->count_pages++;
	testdev_unlock(testdev);
	request->slot->page_requests++;
	error = viommu_page_request(testdev->endpoint, request->pasid, iova & ~(uint64_t)(PAGE - 1),
				    page_access(access), group, last);
	testdev_lock(testdev);
	if (error) {
		testdev->page_waiting = false;
		step = fail(request,
			    error == -EOPNOTSUPP ? TESTDEV_NO_PAGE_REQUESTS : TESTDEV_BAD_REQUEST);
	} else if (last) {
		step = wait_answer(request);
	}
	testdev_unlock(testdev);
	return step;
}

/* The page for `iova` is missing: ask for it, if the request says so. STEP_DONE: try again. */
static enum step cure(struct request *request, uint64_t iova)
{
	struct testdev_slot *slot = request->slot;

	if (!(slot->request & TESTDEV_FLAG_PAGE_REQUEST))
		return fail(request, TESTDEV_NOT_GRANTED);
	if (++request->attempts > ATTEMPTS)
		return fail(request, TESTDEV_PAGE_REFUSED);
	return ask_page(request, iova, request->access,
			(slot->group + request->attempts - 1) & 0x1ff, true);
}

/* Move what one translation allows. Inside an access section. */
static enum step run(struct request *request, const struct viommu_translation *t, uint32_t offset,
		     uint32_t *moved)
{
	struct testdev_slot *slot = request->slot;
	uint32_t length = slot->length - offset;
	uint8_t *hva = t->hva;
	uint64_t pattern = slot->operand;

	if (!hva)
		return fail(request, TESTDEV_NO_MEMORY);
	if (t->length < length)
		length = t->length;
	if (length > RUN_LIMIT)
		length = RUN_LIMIT;
	if (request->operation == TESTDEV_OP_READ ||
	    request->operation == TESTDEV_OP_TRANSLATED_READ) {
		memcpy(request->data + offset, hva, length);
	} else if (request->operation == TESTDEV_OP_FILL) {
		for (uint32_t i = 0; i < length; i++)
			hva[i] = (uint8_t)(pattern >> (offset + i) % 8 * 8);
	} else {
		memcpy(hva, request->data + offset, length);
	}
	if (request->access & VIOMMU_WRITE && viommu_memory_dirty_active(request->testdev->memory))
		viommu_memory_mark_dirty(request->testdev->memory, t->gpa, length);
	slot->gpa = t->gpa;
	*moved = length;
	return STEP_DONE;
}

/* A translated request for the address ATS gave: the unit may still refuse it. */
static enum step run_translated(struct request *request, uint64_t gpa, uint64_t span,
				uint32_t offset, uint32_t *moved)
{
	struct viommu_translation t;
	int error = viommu_translated_request(request->testdev->endpoint, gpa, request->access, &t);

	if (error == VIOMMU_FAULT)
		return fault(request, &t.fault);
	if (error)
		return fail(request, TESTDEV_BAD_REQUEST);
	if (span < t.length)
		t.length = span;
	return run(request, &t, offset, moved);
}

static bool granted(const struct viommu_translation *t, uint32_t access)
{
	return !(access & VIOMMU_ACCESS_TYPE & ~t->granted);
}

static enum step run_untranslated(struct request *request, uint64_t iova, uint32_t offset,
				  uint32_t *moved)
{
	struct viommu_endpoint *endpoint = request->testdev->endpoint;
	bool ask = request->slot->request & TESTDEV_FLAG_PAGE_REQUEST;
	struct viommu_translation t;
	int error = viommu_translate_quiet(endpoint, request->pasid, iova, request->access, &t);

	if (error == VIOMMU_FAULT && ask && t.fault.recoverable)
		return STEP_ASK;
	if (error == VIOMMU_FAULT) /* once more, so that it is recorded */
		error = viommu_translate(endpoint, request->pasid, iova, request->access, &t);
	if (error == VIOMMU_FAULT)
		return fault(request, &t.fault);
	if (error)
		return fail(request, TESTDEV_BAD_REQUEST);
	request->slot->granted = t.granted;
	return run(request, &t, offset, moved);
}

static enum step run_ats(struct request *request, uint64_t iova, uint32_t offset, uint32_t *moved)
{
	struct viommu_translation t;
	int error = viommu_ats_translate(request->testdev->endpoint, request->pasid, iova,
					 request->access, &t);

	if (error == VIOMMU_FAULT)
		return fault(request, &t.fault);
	if (error)
		return fail(request, TESTDEV_BAD_REQUEST);
	request->slot->granted = t.granted;
	if (!granted(&t, request->access))
		return STEP_ASK;
	/* The address of a message: not through a device TLB. */
	if (t.untranslated_only)
		return run_untranslated(request, iova, offset, moved);
	return run_translated(request, t.gpa, t.length, offset, moved);
}

static enum step attempt(struct request *request, uint32_t offset, uint32_t *moved)
{
	struct testdev_slot *slot = request->slot;
	uint64_t address = slot->iova + offset;
	enum step step;

	viommu_access_begin();
	if (request->operation == TESTDEV_OP_TRANSLATED_READ ||
	    request->operation == TESTDEV_OP_TRANSLATED_WRITE)
		step = run_translated(request, address, UINT64_MAX, offset, moved);
	else if (slot->request & TESTDEV_FLAG_ATS)
		step = run_ats(request, address, offset, moved);
	else
		step = run_untranslated(request, address, offset, moved);
	viommu_access_end();
	return step;
}

static enum step transfer(struct request *request)
{
	struct testdev_slot *slot = request->slot;
	enum step step = STEP_DONE;

	slot->bytes = 0;
	while (slot->bytes < slot->length && step == STEP_DONE) {
		uint32_t moved = 0;

		if (interrupted(request->testdev))
			return STEP_PARKED;
		step = attempt(request, slot->bytes, &moved);
		slot->bytes += moved;
		if (moved)
			request->attempts = 0;
		if (step == STEP_ASK) {
			slot->fault_iova = slot->iova + slot->bytes;
			step = cure(request, slot->fault_iova);
		}
	}
	return step;
}

static enum step atomic(struct request *request)
{
	struct testdev_slot *slot = request->slot;
	enum viommu_atomic_op op = request->operation == TESTDEV_OP_FETCH_ADD ? VIOMMU_FETCH_ADD
				   : request->operation == TESTDEV_OP_SWAP    ? VIOMMU_SWAP
									      : VIOMMU_COMPARE_SWAP;
	struct viommu_translation t;
	struct viommu_fault why;
	int error;

	while (slot->request & TESTDEV_FLAG_PAGE_REQUEST) {
		enum step step;

		error = viommu_translate_quiet(request->testdev->endpoint, request->pasid,
					       slot->iova, request->access, &t);
		if (error != VIOMMU_FAULT || !t.fault.recoverable)
			break;
		step = cure(request, slot->iova);
		if (step != STEP_DONE)
			return step;
	}
	error = viommu_dma_atomic(request->testdev->endpoint, request->pasid, slot->iova, op,
				  slot->length, slot->operand, slot->compare, &slot->old, &why);
	if (error == VIOMMU_FAULT)
		return fault(request, &why);
	if (error)
		return fail(request, error == -EINVAL ? TESTDEV_BAD_REQUEST : TESTDEV_NO_MEMORY);
	slot->bytes = slot->length;
	return STEP_DONE;
}

static enum step ats_only(struct request *request)
{
	struct testdev_slot *slot = request->slot;
	struct viommu_translation t;
	int error;

	viommu_access_begin();
	error = viommu_ats_translate(request->testdev->endpoint, request->pasid, slot->iova,
				     request->access, &t);
	viommu_access_end();
	if (error == VIOMMU_FAULT)
		return fault(request, &t.fault);
	if (error)
		return fail(request, TESTDEV_BAD_REQUEST);
	slot->granted = t.granted;
	slot->gpa = t.granted & VIOMMU_ACCESS_TYPE ? t.gpa : 0;
	slot->span = t.granted & VIOMMU_ACCESS_TYPE ? t.length : 0;
	slot->cached = t.granted & VIOMMU_ACCESS_TYPE && !t.untranslated_only;
	return STEP_DONE;
}

static enum step page_request(struct request *request)
{
	struct testdev_slot *slot = request->slot;

	return ask_page(request, slot->iova, request->access, slot->group & 0x1ff,
			slot->request & TESTDEV_FLAG_LAST);
}

static uint32_t access_type(const struct testdev_slot *slot, uint32_t operation)
{
	switch (operation) {
	case TESTDEV_OP_WRITE:
	case TESTDEV_OP_FILL:
	case TESTDEV_OP_TRANSLATED_WRITE:
		return VIOMMU_WRITE;
	case TESTDEV_OP_FETCH_ADD:
	case TESTDEV_OP_SWAP:
	case TESTDEV_OP_COMPARE_SWAP:
		return VIOMMU_ATOMIC;
	case TESTDEV_OP_ATS:
	case TESTDEV_OP_PAGE_REQUEST:
		if (slot->request & TESTDEV_FLAG_ACCESS_WRITE)
			return VIOMMU_WRITE;
		break;
	default:
		break;
	}
	return slot->request & TESTDEV_FLAG_EXECUTE ? VIOMMU_EXECUTE : VIOMMU_READ;
}

static bool well_formed(const struct testdev_slot *slot, uint32_t operation)
{
	uint32_t limit = operation == TESTDEV_OP_FILL ? TESTDEV_FILL_LIMIT : TESTDEV_WINDOW;

	if (operation >= TESTDEV_OPERATIONS || slot->request & ~(TESTDEV_FLAGS | 0xff))
		return false;
	if (slot->request & TESTDEV_FLAG_PASID && slot->pasid > VIOMMU_PASID_MAX)
		return false;
	switch (operation) {
	case TESTDEV_OP_READ:
	case TESTDEV_OP_WRITE:
	case TESTDEV_OP_FILL:
	case TESTDEV_OP_TRANSLATED_READ:
	case TESTDEV_OP_TRANSLATED_WRITE:
		return slot->length && slot->length <= limit;
	case TESTDEV_OP_FETCH_ADD:
	case TESTDEV_OP_SWAP:
	case TESTDEV_OP_COMPARE_SWAP:
		return (slot->length == 4 || slot->length == 8) && slot->iova % slot->length == 0;
	default:
		return true;
	}
}

static enum step dispatch(struct request *request)
{
	switch (request->operation) {
	case TESTDEV_OP_NOP:
		return STEP_DONE;
	case TESTDEV_OP_FETCH_ADD:
	case TESTDEV_OP_SWAP:
	case TESTDEV_OP_COMPARE_SWAP:
		return atomic(request);
	case TESTDEV_OP_ATS:
		return ats_only(request);
	case TESTDEV_OP_PAGE_REQUEST:
		return page_request(request);
	default:
		return transfer(request);
	}
}

bool testdev_execute(struct testdev *testdev, struct testdev_slot *slot, uint8_t *data)
{
	struct request request = {
		.testdev = testdev, .slot = slot, .data = data, .operation = slot->request & 0xff
	};

	slot->outcome = TESTDEV_OK;
	slot->reason = slot->response = slot->bytes = slot->granted = 0;
	slot->gpa = slot->fault_iova = slot->old = slot->span = 0;
	slot->page_requests = slot->cached = 0;
	if (!well_formed(slot, request.operation)) {
		slot->outcome = TESTDEV_BAD_REQUEST;
		return true;
	}
	request.pasid = slot->request & TESTDEV_FLAG_PASID ? slot->pasid : VIOMMU_NO_PASID;
	request.access = access_type(slot, request.operation);
	if (slot->request & TESTDEV_FLAG_PRIVILEGED)
		request.access |= VIOMMU_PRIVILEGED;
	if (dispatch(&request) != STEP_PARKED)
		return true;
	if (atomic_load(&testdev->cancel)) {
		slot->outcome = TESTDEV_ABORTED;
		return true;
	}
	return false;
}
