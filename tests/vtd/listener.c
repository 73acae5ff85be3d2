/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The unit's inner interface, as lib/passthrough uses it: listeners hear of invalidations in order
 * and before the guest hears that they are complete; tables can be read as the guest has them now;
 * page requests and their answers pass through for devices that are no endpoints. And callbacks
 * that turn round and change the unit.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "expect.h"

/* vtd/spec.h has names of its own for everything; the kit's must not meet them. */
#include "vtd/iotlb.h"
#include "vtd/listener.h"

#define LISTENER_RID 0x0030
#define LOG	     64

struct heard {
	const char *what;
	uint64_t a, b, c, d;
	uint32_t status; /* of the guest's wait descriptor at that moment */
};

struct ear {
	struct kit kit;
	struct vtd_listener listener;
	struct heard log[LOG];
	unsigned int count;
	bool takes_responses;
};

static void hear(struct ear *ear, const char *what, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	if (ear->count < LOG)
		ear->log[ear->count] =
			(struct heard){ what, a, b,
					c,    d, (uint32_t)kit_get(&ear->kit, ear->kit.status) };
	ear->count++;
}

static void on_pasid_cache(void *opaque, enum vtd_pasid_cache_granularity g, uint16_t did,
			   uint32_t pasid)
{
	hear(opaque, "pasid_cache", g, did, pasid, 0);
}

static void on_context(void *opaque, enum vtd_granularity g, uint16_t did, uint16_t sid,
		       uint16_t mask)
{
	hear(opaque, "context", g, did, sid, mask);
}

static void on_iotlb(void *opaque, enum vtd_granularity g, uint16_t did, uint64_t address,
		     uint8_t am, bool ih)
{
	hear(opaque, "iotlb", g, did, address, am | ih << 8);
}

static void on_piotlb(void *opaque, uint16_t did, uint32_t pasid, enum vtd_piotlb_granularity g,
		      uint64_t address, uint8_t am, bool ih)
{
	hear(opaque, "piotlb", g, did | (uint64_t)pasid << 16, address, am | ih << 8);
}

static void on_change(void *opaque)
{
	hear(opaque, "change", 0, 0, 0, 0);
}

static void on_flush(void *opaque)
{
	hear(opaque, "flush", 0, 0, 0, 0);
}

static bool on_response(void *opaque, uint16_t rid, uint32_t pasid, uint16_t group,
			enum viommu_response_code code)
{
	struct ear *ear = opaque;

	hear(ear, "response", rid, pasid, group, code);
	return ear->takes_responses;
}

static void on_posted(void *opaque)
{
	hear(opaque, "posted", 0, 0, 0, 0);
}

static const struct vtd_listener_ops ops = {
	.posted = on_posted,
	.pasid_cache = on_pasid_cache,
	.context = on_context,
	.iotlb = on_iotlb,
	.piotlb = on_piotlb,
	.translation_changed = on_change,
	.flush = on_flush,
	.page_response = on_response,
};

static int setup(void **state)
{
	struct ear *ear = calloc(1, sizeof(*ear));

	kit_create(&ear->kit, NULL);
	ear->listener = (struct vtd_listener){ .ops = &ops, .opaque = ear };
	vtd_listener_add(ear->kit.unit, &ear->listener);
	*state = ear;
	return 0;
}

static int teardown(void **state)
{
	struct ear *ear = *state;

	vtd_listener_remove(ear->kit.unit, &ear->listener);
	kit_destroy(&ear->kit);
	free(ear);
	return 0;
}

static void expect_heard(struct ear *ear, unsigned int index, const char *what, uint64_t a,
			 uint64_t b, uint64_t c, uint64_t d)
{
	struct heard *heard = &ear->log[index];

	assert_true(index < ear->count);
	assert_string_equal(heard->what, what);
	assert_int_equal(heard->a, a);
	assert_int_equal(heard->b, b);
	assert_int_equal(heard->c, c);
	assert_int_equal(heard->d, d);
}

static unsigned int times(const struct ear *ear, const char *what)
{
	unsigned int i, n = 0;

	for (i = 0; i < ear->count && i < LOG; i++)
		n += !strcmp(ear->log[i].what, what);
	return n;
}

/* Each descriptor is heard with its fields, in order, and all of them before the status is written.
 */
static void descriptors_are_heard(void **state)
{
	struct ear *ear = *state;
	struct kit *kit = &ear->kit;
	uint32_t before;
	unsigned int i;

	kit_start(kit, TTM_SCALABLE);
	ear->count = 0;
	before = (uint32_t)kit_get(kit, kit->status);
	kit_submit(kit, qi_context(3, 5, LISTENER_RID, 2), 0);
	kit_submit(kit, qi_pasid_cache(1, 5, 77), 0);
	kit_submit(kit, qi_piotlb(3, 5, 77), 0x12345000 | 1 << 6 | 3);
	kit_submit(kit, qi_iotlb(3, 6), 0x40000000 | 9);
	assert_true(kit_sync(kit));
	expect_heard(ear, 0, "context", 3, 5, LISTENER_RID, 6);
	expect_heard(ear, 1, "pasid_cache", 1, 5, 77, 0);
	expect_heard(ear, 2, "piotlb", 3, 5 | 77ull << 16, 0x12345000, 3 | 1 << 8);
	expect_heard(ear, 3, "iotlb", 3, 6, 0x40000000, 9);
	expect_heard(ear, 4, "flush", 0, 0, 0, 0);
	for (i = 0; i < 5; i++)
		assert_int_equal(ear->log[i].status, before);
	/* And once more when the queue is empty: descriptors may end without a wait. */
	assert_int_equal(times(ear, "flush"), 2);
}

/* VT-d 6.4: the registers say the same to a listener as descriptors do. */
static void registers_are_heard(void **state)
{
	struct ear *ear = *state;
	struct kit *kit = &ear->kit;

	ear->count = 0;
	kit_write(kit, 0x28, 8, 1ull << 63 | 2ull << 61 | 9); /* CCMD, domain 9 */
	expect_heard(ear, 0, "context", 2, 9, 0, 0);
	expect_heard(ear, 1, "flush", 0, 0, 0, 0);
	kit_write(kit, 0x500, 8, 0x7000 | 1);
	kit_write(kit, 0x508, 8, 1ull << 63 | 3ull << 60 | 9ull << 32);
	expect_heard(ear, 2, "iotlb", 3, 9, 0x7000, 1);
}

static void changes_of_mode_are_heard(void **state)
{
	struct ear *ear = *state;
	struct kit *kit = &ear->kit;

	assert_false(vtd_unit_translating(kit->unit));
	kit_start(kit, TTM_SCALABLE);
	assert_true(vtd_unit_translating(kit->unit));
	assert_int_equal(vtd_unit_ttm(kit->unit), 1);
	assert_int_equal(times(ear, "change"), 2); /* SRTP, TE */
	kit_disable(kit);
	assert_int_equal(times(ear, "change"), 3);
	viommu_unit_reset(kit->unit);
	assert_int_equal(times(ear, "change"), 4);
	assert_int_equal(vtd_unit_ttm(kit->unit), 0);
	vtd_listener_remove(kit->unit, &ear->listener);
	viommu_unit_reset(kit->unit);
	assert_int_equal(times(ear, "change"), 4);
}

static void entries_are_fetched(void **state)
{
	struct ear *ear = *state;
	struct kit *kit = &ear->kit;
	uint64_t pe[8], ce[4], entry;

	assert_int_equal(vtd_fetch_pasid_entry(kit->unit, KIT_RID, 3, pe), -ENOENT);
	kit_start(kit, TTM_SCALABLE);
	kit_set_pasid_entry(kit, KIT_RID, 3, PE_P | PE_NESTED | 2 << PE_AW_SHIFT | 0x7000,
			    PE1_PWSNP | 42, 0x9000 | PE2_WPE | PE2_FSPM5);
	assert_int_equal(vtd_fetch_context_entry(kit->unit, KIT_RID, ce), 0);
	assert_int_equal(vtd_ce_pasids(ce), 1u << (13 + (ce[0] >> 9 & 7)));
	assert_int_equal(vtd_fetch_pasid_entry(kit->unit, KIT_RID, 3, pe), 0);
	assert_true(vtd_pe_present(pe));
	assert_int_equal(vtd_pe_pgtt(pe), 3);
	assert_int_equal(vtd_pe_did(pe), 42);
	assert_int_equal(vtd_pe_first_stage(pe), 0x9000);
	assert_int_equal(vtd_pe_second_stage(pe), 0x7000);
	assert_int_equal(vtd_pe_first_levels(pe), 5);
	assert_int_equal(vtd_pe_second_levels(pe), 4);
	assert_true(vtd_pe_wpe(pe));
	assert_false(vtd_pe_sre(pe));
	assert_false(vtd_pe_eafe(pe));
	/* The neighbour is there and not present; the next table is not there. */
	assert_int_equal(vtd_fetch_pasid_entry(kit->unit, KIT_RID, 4, pe), 0);
	assert_false(vtd_pe_present(pe));
	assert_int_equal(vtd_fetch_pasid_entry(kit->unit, KIT_RID, 64, pe), -ENOENT);
	assert_int_equal(vtd_fetch_pasid_entry(kit->unit, KIT_RID, 1u << 20, pe), -ENOENT);
	assert_int_equal(vtd_fetch_pasid_entry(kit->unit, 0xff00, 3, pe), -ENOENT);
	/* The root table out of memory. */
	kit_set_root(kit, 0x700000000000 | TTM_SCALABLE);
	assert_int_equal(vtd_fetch_context_entry(kit->unit, KIT_RID, ce), -EFAULT);
	kit_set_root(kit, kit->root | TTM_LEGACY);
	entry = kit_context_legacy(kit, LISTENER_RID);
	kit_put(kit, entry, 0x5001);
	assert_int_equal(vtd_fetch_legacy_entry(kit->unit, LISTENER_RID, ce), 0);
	assert_int_equal(ce[0], 0x5001);
	assert_int_equal(vtd_fetch_context_entry(kit->unit, KIT_RID, ce), -ENOENT);
}

struct visited {
	uint32_t pasids[16];
	unsigned int count;
	uint32_t stop;
};

static int visit(void *opaque, uint32_t pasid, const uint64_t pe[8])
{
	struct visited *visited = opaque;

	assert_true(pe[0] & PE_P);
	visited->pasids[visited->count++] = pasid;
	return pasid == visited->stop ? 7 : 0;
}

static void present_entries_are_visited(void **state)
{
	static const uint32_t pasids[] = { 0, 63, 64, 5000, 5001 };
	struct ear *ear = *state;
	struct kit *kit = &ear->kit;
	struct visited visited = { .stop = UINT32_MAX };
	unsigned int i;

	kit_start(kit, TTM_SCALABLE);
	for (i = 0; i < 5; i++)
		kit_set_pasid_entry(kit, KIT_RID, pasids[i], PE_P | PE_PASS, 0, 0);
	assert_int_equal(vtd_each_pasid_entry(kit->unit, KIT_RID, 0, 0xfffff, visit, &visited), 0);
	assert_int_equal(visited.count, 5);
	for (i = 0; i < 5; i++)
		assert_int_equal(visited.pasids[i], pasids[i]);
	visited = (struct visited){ .stop = UINT32_MAX };
	assert_int_equal(vtd_each_pasid_entry(kit->unit, KIT_RID, 63, 5000, visit, &visited), 0);
	assert_int_equal(visited.count, 3);
	visited = (struct visited){ .stop = 63 };
	assert_int_equal(vtd_each_pasid_entry(kit->unit, KIT_RID, 0, 0xfffff, visit, &visited), 7);
	assert_int_equal(visited.count, 2);
	assert_int_equal(vtd_each_pasid_entry(kit->unit, 0xff00, 0, 9, visit, &visited), -ENOENT);
}

/* VT-d 7.5: requests of a device behind a listener, and their answers, by RID. */
static void page_requests_pass_through(void **state)
{
	struct ear *ear = *state;
	struct kit *kit = &ear->kit;
	struct viommu_unit *unit = kit->unit;
	uint64_t queue = kit_page(kit);
	unsigned int i;

	assert_int_equal(
		vtd_listener_page_request(unit, LISTENER_RID, 5, 0x1000, VIOMMU_READ, 1, true),
		-EOPNOTSUPP);
	kit_start(kit, TTM_SCALABLE);
	kit_write(kit, REG_PQA, 8, queue);
	assert_int_equal(
		vtd_listener_page_request(unit, LISTENER_RID, 5, 0x7000, VIOMMU_WRITE, 9, true), 0);
	assert_int_equal(kit_get(kit, queue), 5ull << 32 | LISTENER_RID << 16 | 1 << 8 | 1);
	assert_int_equal(kit_get(kit, queue + 8), 0x7000 | 9 << 3 | 1 << 2 | 2);
	ear->takes_responses = true;
	ear->count = 0;
	assert_true(kit_command(kit, qi_page_response(true, 5, LISTENER_RID, 1), 9 << 3));
	expect_heard(ear, 0, "response", LISTENER_RID, 5, 9, 1);
	/* An endpoint's answer is its own. */
	ear->count = 0;
	assert_true(kit_command(kit, qi_page_response(true, 5, KIT_RID, 0), 9 << 3));
	assert_int_equal(times(ear, "response"), 0);
	assert_int_equal(kit->responses, 1);
	for (i = 1; i < 127; i++)
		assert_int_equal(vtd_listener_page_request(unit, LISTENER_RID, VIOMMU_NO_PASID,
							   0x7000, VIOMMU_READ, i, true),
				 0);
	assert_int_equal(
		vtd_listener_page_request(unit, LISTENER_RID, 5, 0x7000, VIOMMU_READ, 1, true),
		-ENOSPC);
	assert_int_equal(kit_read(kit, REG_PRS, 4), PRS_PPR | PRS_PRO);
	assert_int_equal(
		vtd_listener_page_request(unit, LISTENER_RID, 5, 0x7000, VIOMMU_READ, 512, true),
		-EINVAL);
}

/* A device TLB that may be the host's business does not time out. */
static void no_timeout_with_a_listener(void **state)
{
	struct ear *ear = *state;
	struct kit *kit = &ear->kit;

	kit_start(kit, TTM_SCALABLE);
	assert_true(kit_command(kit, QI_DEVICE_TLB | (uint64_t)LISTENER_RID << 32, 0x1000));
	assert_int_equal(kit_read(kit, REG_FSTS, 4) & FSTS_ITE, 0);
	vtd_listener_remove(kit->unit, &ear->listener);
	assert_false(kit_command(kit, QI_DEVICE_TLB | (uint64_t)LISTENER_RID << 32, 0x1000));
	assert_int_equal(kit_read(kit, REG_FSTS, 4) & FSTS_ITE, FSTS_ITE);
}

/* ---- callbacks that change the unit under the queue ---- */

enum turn { TURN_OFF, RESET, SAVE };

struct turner {
	struct kit *kit;
	enum turn turn;
	unsigned int calls;
	int saved;
};

static void turn_round(void *opaque, uint32_t pasid, bool all_pasids, uint64_t iova, uint64_t last)
{
	struct turner *turner = opaque;
	struct viommu_stream_writer *writer;

	turner->calls++;
	switch (turner->turn) {
	case TURN_OFF:
		viommu_unit_write(turner->kit->unit, REG_GCMD, 4, GCMD_TE);
		break;
	case RESET:
		viommu_unit_reset(turner->kit->unit);
		break;
	case SAVE:
		assert_int_equal(viommu_stream_writer_create(&writer), 0);
		turner->saved = viommu_unit_save(turner->kit->unit, writer, 0);
		viommu_stream_writer_destroy(writer);
	}
}

static bool run_with(struct ear *ear, struct turner *turner)
{
	static const struct viommu_endpoint_ops turner_ops = { .size = sizeof(turner_ops),
							       .invalidate = turn_round };
	struct kit *kit = &ear->kit;
	struct viommu_endpoint *endpoint;
	bool complete;

	turner->kit = kit;
	assert_int_equal(
		viommu_endpoint_create(kit->unit, LISTENER_RID, &turner_ops, turner, &endpoint), 0);
	kit_start(kit, TTM_SCALABLE);
	kit_submit(kit, QI_DEVICE_TLB | (uint64_t)LISTENER_RID << 32, 0x1000);
	kit_submit(kit, QI_DEVICE_TLB | (uint64_t)LISTENER_RID << 32, 0x2000);
	complete = kit_sync(kit);
	viommu_endpoint_destroy(endpoint);
	return complete;
}

/* What follows the descriptor that turned the queue off is not executed; head is as after a stop.
 */
static void callback_turns_the_queue_off(void **state)
{
	struct turner turner = { .turn = TURN_OFF };
	struct ear *ear = *state;

	assert_false(run_with(ear, &turner));
	assert_int_equal(turner.calls, 1);
	assert_int_equal(kit_read(&ear->kit, REG_GSTS, 4) & GCMD_QIE, 0);
	assert_int_equal(kit_read(&ear->kit, REG_IQH, 8), 0);
}

static void callback_resets_the_unit(void **state)
{
	struct turner turner = { .turn = RESET };
	struct ear *ear = *state;

	assert_false(run_with(ear, &turner));
	assert_int_equal(turner.calls, 1);
	assert_int_equal(kit_read(&ear->kit, REG_GSTS, 4), 0);
	assert_int_equal(kit_read(&ear->kit, REG_IQH, 8), 0);
}

static void callback_cannot_save(void **state)
{
	struct turner turner = { .turn = SAVE };
	struct ear *ear = *state;

	assert_true(run_with(ear, &turner));
	assert_int_equal(turner.calls, 2);
	assert_int_equal(turner.saved, -EBUSY);
}

/* By this thread where nobody owns the unit; else before the owner leaves for good; once. */
static void posts_are_heard(void **state)
{
	struct ear *ear = *state;

	ear->count = 0;
	vtd_unit_post(ear->kit.unit);
	expect_heard(ear, 0, "posted", 0, 0, 0, 0);
	assert_int_equal(ear->count, 1);
	vtd_unit_enter(ear->kit.unit);
	vtd_unit_enter(ear->kit.unit);
	vtd_unit_post(ear->kit.unit);
	vtd_unit_post(ear->kit.unit);
	vtd_unit_leave(ear->kit.unit);
	assert_int_equal(ear->count, 1);
	vtd_unit_leave(ear->kit.unit);
	expect_heard(ear, 1, "posted", 0, 0, 0, 0);
	assert_int_equal(ear->count, 2);
}

struct waiter {
	struct ear *ear;
	uint32_t *held; /* where not NULL: a set's sequence, to let go of */
	uint32_t done;
};

static void wait_a_moment(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
}

static void *enters(void *opaque)
{
	struct waiter *waiter = opaque;

	vtd_unit_enter(waiter->ear->kit.unit);
	__atomic_store_n(&waiter->done, 1, __ATOMIC_SEQ_CST);
	vtd_unit_leave(waiter->ear->kit.unit);
	return NULL;
}

static void one_owner_at_a_time(void **state)
{
	struct waiter waiter = { .ear = *state };
	pthread_t thread;

	vtd_unit_enter(waiter.ear->kit.unit);
	assert_int_equal(pthread_create(&thread, NULL, enters, &waiter), 0);
	wait_a_moment();
	assert_int_equal(__atomic_load_n(&waiter.done, __ATOMIC_SEQ_CST), 0);
	vtd_unit_leave(waiter.ear->kit.unit);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(waiter.done, 1);
}

static void *lets_go(void *opaque)
{
	struct waiter *waiter = opaque;

	wait_a_moment();
	__atomic_store_n(&waiter->done, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(waiter->held, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* A fill in progress, whose thread does not run: the invalidation is not complete before it is. */
static void invalidation_waits_for_a_fill(void **state)
{
	struct ear *ear = *state;
	struct waiter waiter = { .ear = ear };
	struct kit *kit = &ear->kit;
	uint64_t root = kit_page(kit);
	pthread_t thread;

	kit_start(kit, TTM_SCALABLE);
	kit_set_pasid_entry(kit, KIT_RID, 1, PE_P | PE_FIRST, 2 | PE1_PWSNP, root);
	kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | FS_P | FS_RW | FS_US | FS_A | FS_D);
	expect_gpa(kit, 1, 0x1000, VIOMMU_WRITE, 0x5000);
	waiter.held = &vtd_iotlb_set(kit->unit, vtd_tag(2, 1), 1)->sequence;
	__atomic_fetch_add(waiter.held, 1, __ATOMIC_SEQ_CST);
	assert_int_equal(pthread_create(&thread, NULL, lets_go, &waiter), 0);
	assert_true(kit_command(kit, qi_piotlb(3, 2, 1), 0x1000));
	assert_int_equal(__atomic_load_n(&waiter.done, __ATOMIC_SEQ_CST), 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

#define ear_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ear_test(descriptors_are_heard),
		ear_test(registers_are_heard),
		ear_test(changes_of_mode_are_heard),
		ear_test(entries_are_fetched),
		ear_test(present_entries_are_visited),
		ear_test(page_requests_pass_through),
		ear_test(no_timeout_with_a_listener),
		ear_test(callback_turns_the_queue_off),
		ear_test(callback_resets_the_unit),
		ear_test(callback_cannot_save),
		ear_test(posts_are_heard),
		ear_test(one_owner_at_a_time),
		ear_test(invalidation_waits_for_a_fill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
