/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An invalidation in the middle of a miss, at chosen places.
 *
 * A page that the miss is about to touch is taken away from it. The handler of the fault gives the
 * page back and has another thread, "the guest", replace a last-level table and invalidate; when
 * that is through the miss goes on. Whatever it answers itself, it must leave nothing of the old
 * table behind (VT-d 6.2, 6.5.2.4). Nothing depends on timing; epoch.c has invalidations that are not
 * through.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "expect.h"

#include "vtd/front.h"

#define URW (FS_P | FS_RW | FS_US)
#define AD  (FS_A | FS_D)

enum { PASID = 9, NEXT = 4096 };

static struct {
	struct kit kit;
	void *closed;
	_Atomic bool wanted, happened, over;
	pthread_t guest;
	uint64_t table;	      /* the level-2 entry */
	uint64_t replacement; /* what it becomes */
	uint64_t qw0, qw1;    /* the descriptor that says so */
} play;

static void *page_of(const void *pointer)
{
	return (void *)((uintptr_t)pointer & ~(uintptr_t)4095);
}

static void on_fault(int signal, siginfo_t *info, void *opaque)
{
	if (page_of(info->si_addr) != play.closed || play.happened ||
	    mprotect(play.closed, 4096, PROT_READ | PROT_WRITE))
		abort();
	play.wanted = true;
	while (!play.happened)
		sched_yield();
}

static void *guest(void *opaque)
{
	while (!play.wanted && !play.over)
		sched_yield();
	if (play.over)
		return NULL;
	kit_put(&play.kit, play.table, play.replacement);
	kit_submit(&play.kit, play.qw0, play.qw1);
	kit_ring(&play.kit);
	play.happened = true;
	return NULL;
}

/* cmocka has a handler of its own, set anew for each test. */
static void close_page(const void *pointer, int what_remains)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
	play.closed = page_of(pointer);
	assert_int_equal(mprotect(play.closed, 4096, what_remains), 0);
}

static uint64_t translate(uint64_t iova)
{
	struct viommu_translation t;

	assert_int_equal(viommu_translate_quiet(play.kit.endpoint, PASID, iova, VIOMMU_READ, &t), 0);
	return t.gpa;
}

/* Two last-level tables for the pages at `iova`, the first of them in use: they map to 0x5000, 0x7000. */
static void prepare(uint64_t root, uint64_t iova, uint64_t marks)
{
	uint64_t table = kit_page(&play.kit);

	for (uint64_t i = 0; i < 2; i++) {
		kit_map_first(&play.kit, root, 4, iova + i * NEXT, 1, (0x5000 + i * NEXT) | URW | marks);
		kit_put(&play.kit, table + ((iova >> 12 & 511) + i) * 8, (0x7000 + i * NEXT) | URW | AD);
	}
	play.table = kit_first_leaf(&play.kit, root, 4, iova, 2);
	play.replacement = table | URW | FS_A;
	assert_true(kit_flush_all(&play.kit));
}

static int setup(void **state)
{
	memset(&play, 0, sizeof(play));
	kit_create(&play.kit, NULL);
	kit_start(&play.kit, TTM_SCALABLE);
	return pthread_create(&play.guest, NULL, guest, NULL);
}

static int teardown(void **state)
{
	play.over = true;
	pthread_join(play.guest, NULL);
	kit_destroy(&play.kit);
	return 0;
}

/* The old leaf has been read, and is being marked: it is not entered, for a page was dropped. */
static void after_the_leaf_was_read(void **state)
{
	uint64_t root = kit_setup_first(&play.kit, PASID, 4), iova = 0x40000000;

	prepare(root, iova, 0);
	play.qw0 = qi_piotlb(3, KIT_DID, PASID);
	play.qw1 = iova;
	close_page(play.kit.ram + kit_first_leaf(&play.kit, root, 4, iova, 1), PROT_READ);
	assert_int_equal(translate(iova), 0x5000);
	assert_true(play.happened);
	assert_true(kit_sync(&play.kit));
	assert_int_equal(translate(iova), 0x7000);
	assert_int_equal(translate(iova), 0x7000);
}

/* The version was read, and what is remembered is looked up: it has become old meanwhile. */
static void before_it_is_remembered(void **state)
{
	uint64_t root = kit_setup_first(&play.kit, PASID, 4);
	uint64_t iova = (uint64_t)((VTD_FRONT_ANCHORS - 1) ^ PASID) << 21;
	const struct vtd_front_anchor *anchor;

	prepare(root, iova, AD);
	assert_int_equal(translate(iova), 0x5000);
	play.qw0 = qi_piotlb(3, KIT_DID, PASID);
	play.qw1 = iova + NEXT;
	assert_non_null(vtd_front);
	anchor = vtd_front_anchor(PASID, iova);
	assert_true(page_of(anchor) > page_of(&vtd_front->entries[VTD_FRONT_PAGES + VTD_FRONT_PASIDS - 1]));
	close_page(anchor, PROT_NONE);
	translate(iova + NEXT);
	assert_true(play.happened);
	assert_true(kit_sync(&play.kit));
	assert_int_equal(translate(iova + NEXT), 0x7000 + NEXT);
	assert_int_equal(translate(iova + NEXT), 0x7000 + NEXT);
}

/* It was found good, and the generations are being read: they count what it does not know of. */
static void between_memory_and_sample(void **state)
{
	struct kit *kit = &play.kit;
	uint64_t second, root = kit_setup_nested(kit, PASID, 4, 4, &second), iova = 0x40000000;

	/* Nested, as the short way does not take samples. */
	kit_map_second(kit, second, 4, 0, 3, SS_R | SS_W);
	prepare(root, iova, AD);
	assert_int_equal(translate(iova), 0x5000);
	play.qw0 = qi_iotlb(2, KIT_DID);
	close_page(&kit->unit->generations.domains[KIT_DID].nested, PROT_NONE);
	translate(iova + NEXT);
	assert_true(play.happened);
	assert_true(kit_sync(kit));
	assert_int_equal(translate(iova + NEXT), 0x7000 + NEXT);
	assert_int_equal(translate(iova + NEXT), 0x7000 + NEXT);
}

#define midway(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		midway(after_the_leaf_was_read),
		midway(before_it_is_remembered),
		midway(between_memory_and_sample),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
