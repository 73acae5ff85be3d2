/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A translation that meets an invalidation half-way.
 *
 * Invalidating moves several numbers (a generation, the epoch, the version), and a thread may lose
 * its CPU between any two stores. No amount of racing finds those few nanoseconds, so here the
 * invalidating thread is single-stepped: after the n-th change of a pair of numbers it stands still
 * until the translating thread is through. That one, in turn, is held at a page taken away from it,
 * of generations or of a paging structure. Whatever n is, what was invalidated must be forgotten in
 * the end (VT-d 6.2, 6.5.2.2).
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "expect.h"

#include "vtd/iotlb.h"
#include "vtd/unit_internal.h"

enum { PASID = 9, IOVA = 0x5000, STEPS_MAX = 4, TRAP_FLAG = 1 << 8 };

static struct {
	const uint64_t *watched[2]; /* by the steps */
	uint64_t seen[2];
	unsigned int stop, changes;
	const void *closed; /* an address on the page where the translating thread is held */
	bool held_at_tables; /* until `resume` rather than `go`; and the steps go on meanwhile */
	_Atomic bool stepping, held, go, done, resume;
} play;

static void wait_for(_Atomic bool *flag)
{
	while (!*flag)
		sched_yield();
}

/* The translating thread has come to the closed page. */
static void on_fault(int signal, siginfo_t *info, void *opaque)
{
	if ((uintptr_t)info->si_addr / 4096 != (uintptr_t)play.closed / 4096)
		abort();
	play.held = true;
	wait_for(play.held_at_tables ? &play.resume : &play.go);
}

/* One instruction of the invalidating thread is over. The first signal, its own, starts the steps. */
static void on_step(int signal, siginfo_t *info, void *opaque)
{
	greg_t *flags = &((ucontext_t *)opaque)->uc_mcontext.gregs[REG_EFL];

	*flags |= TRAP_FLAG;
	if (*play.watched[0] != play.seen[0] || *play.watched[1] != play.seen[1])
		play.changes++;
	play.seen[0] = *play.watched[0];
	play.seen[1] = *play.watched[1];
	if (play.changes == play.stop) {
		play.go = true;
		while (!play.done && !(play.held_at_tables && play.held))
			sched_yield();
	}
	if (play.changes == play.stop || !play.stepping)
		*flags &= ~(greg_t)TRAP_FLAG;
}

static uint64_t translate_at(struct kit *kit, uint64_t iova)
{
	struct viommu_translation t;

	viommu_access_begin();
	assert_int_equal(viommu_translate_quiet(kit->endpoint, PASID, iova, VIOMMU_READ, &t), VIOMMU_OK);
	viommu_access_end();
	return t.gpa;
}

static uint64_t translate(struct kit *kit)
{
	return translate_at(kit, IOVA);
}

static void *translating_thread(void *opaque)
{
	translate(opaque);
	play.done = true;
	return NULL;
}

static void *late_thread(void *opaque)
{
	wait_for(&play.go);
	return translating_thread(opaque);
}

static void set_handler(int signal, void (*handler)(int signal, siginfo_t *info, void *opaque))
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	sigemptyset(&action.sa_mask);
	assert_int_equal(sigaction(signal, &action, NULL), 0);
}

/* Two first stages, one page each; the PE leads to the first. */
static void prepare(struct kit *kit, uint64_t roots[2], uint64_t pages[2])
{
	kit_create(kit, NULL);
	kit_start(kit, TTM_SCALABLE);
	roots[0] = kit_setup_first(kit, PASID, 4);
	roots[1] = kit_page(kit);
	for (unsigned int i = 0; i < 2; i++) {
		pages[i] = kit_page(kit);
		kit_map_first(kit, roots[i], 4, IOVA, 1, pages[i] | FS_P | FS_RW | FS_US | FS_A | FS_D);
	}
	assert_true(kit_flush_all(kit));
	memset(&play, 0, sizeof(play));
	play.watched[0] = play.closed = &kit->unit->generations.domains[KIT_DID].context;
	play.watched[1] = &kit->unit->generations.epoch;
	set_handler(SIGSEGV, on_fault);
	set_handler(SIGTRAP, on_step);
}

/* Ring for what was submitted, single-stepped up to change number `stop` of what is watched. */
static void ring_in_steps(struct kit *kit, unsigned int stop)
{
	play.seen[0] = *play.watched[0];
	play.seen[1] = *play.watched[1];
	play.stop = stop;
	play.stepping = true;
	raise(SIGTRAP);
	kit_ring(kit);
	play.stepping = false;
	/* Fewer changes than that: the thread goes now. */
	play.go = true;
}

/* The guest changes the root in the PE and says so. */
static void change_and_invalidate(struct kit *kit, uint64_t root, unsigned int stop)
{
	uint64_t pe = kit_pasid_entry(kit, KIT_RID, PASID);

	kit_put(kit, pe + 16, (kit_get(kit, pe + 16) & 4095) | root);
	kit_submit(kit, qi_pasid_cache(0, KIT_DID, 0), 0);
	ring_in_steps(kit, stop);
	wait_for(&play.done);
	assert_true(kit_sync(kit));
}

static void *page_of(const void *pointer)
{
	return (void *)((uintptr_t)pointer & ~(uintptr_t)4095);
}

/* It has read the old PE, and reads the generation in the middle of the change. */
static void walking_into_it(void **state)
{
	for (unsigned int stop = 1; stop <= STEPS_MAX; stop++) {
		uint64_t roots[2], pages[2];
		struct kit kit;
		pthread_t thread;

		prepare(&kit, roots, pages);
		assert_int_equal(mprotect(page_of(play.closed), 4096, PROT_NONE), 0);
		assert_int_equal(pthread_create(&thread, NULL, translating_thread, &kit), 0);
		wait_for(&play.held);
		assert_int_equal(mprotect(page_of(play.closed), 4096, PROT_READ | PROT_WRITE), 0);
		change_and_invalidate(&kit, roots[1], stop);
		pthread_join(thread, NULL);
		assert_int_equal(translate(&kit), pages[1]);
		kit_destroy(&kit);
	}
}

/* It finds the old context cached, and judges it in the middle of the change. */
static void judging_in_it(void **state)
{
	for (unsigned int stop = 1; stop <= STEPS_MAX; stop++) {
		uint64_t roots[2], pages[2];
		struct kit kit;
		pthread_t thread;

		prepare(&kit, roots, pages);
		assert_int_equal(translate(&kit), pages[0]);
		assert_int_equal(pthread_create(&thread, NULL, late_thread, &kit), 0);
		change_and_invalidate(&kit, roots[1], stop);
		pthread_join(thread, NULL);
		assert_int_equal(translate(&kit), pages[1]);
		kit_destroy(&kit);
	}
}

/* It has been here before and remembers the last-level table. */
static void *returning_thread(void *opaque)
{
	translate(opaque);
	play.held = true;
	wait_for(&play.go);
	play.held = false;
	translate_at(opaque, IOVA + 4096);
	play.done = true;
	return NULL;
}

/*
 * The guest takes a last-level table away, and the thread goes to it by memory: it begins in the middle
 * of the invalidation, and enters what it found after its end.
 */
static void remembering_in_it(bool by_page)
{
	uint64_t roots[2], pages[2], table, *old;
	struct vtd_generations *generations;
	struct kit kit;
	pthread_t thread;

	prepare(&kit, roots, pages);
	generations = &kit.unit->generations;
	kit_map_first(&kit, roots[0], 4, IOVA + 4096, 1, pages[0] | FS_P | FS_RW | FS_US | FS_A | FS_D);
	kit_map_first(&kit, roots[1], 4, IOVA + 4096, 1, pages[1] | FS_P | FS_RW | FS_US | FS_A | FS_D);
	assert_true(kit_flush_all(&kit));
	assert_int_equal(pthread_create(&thread, NULL, returning_thread, &kit), 0);
	wait_for(&play.held);
	table = kit_first_leaf(&kit, roots[0], 4, IOVA, 2);
	old = (uint64_t *)(kit.ram + (kit_get(&kit, table) & ~4095ull));
	kit_put(&kit, table, kit_get(&kit, kit_first_leaf(&kit, roots[1], 4, IOVA, 2)));
	play.closed = old;
	play.held_at_tables = true;
	play.held = false;
	play.watched[0] = play.watched[1] =
		by_page ? &generations->page_drops
			: &vtd_pasid_slot(kit.unit, KIT_DID, PASID)->iotlb;
	assert_int_equal(mprotect(page_of(old), 4096, PROT_NONE), 0);
	kit_submit(&kit, qi_piotlb(by_page ? 3 : 2, KIT_DID, PASID), by_page ? IOVA + 4096 : 0);
	ring_in_steps(&kit, 1);
	assert_int_equal(mprotect(page_of(old), 4096, PROT_READ | PROT_WRITE), 0);
	play.resume = true;
	pthread_join(thread, NULL);
	assert_true(kit_sync(&kit));
	assert_int_equal(translate_at(&kit, IOVA + 4096), pages[1]);
	kit_destroy(&kit);
}

static void remembering_when_a_page_goes(void **state)
{
	remembering_in_it(true);
}

static void remembering_when_a_space_goes(void **state)
{
	remembering_in_it(false);
}

/*
 * The other way round: the translating thread stands still after its n-th instruction, for every n,
 * while a page it is about is changed and invalidated. It goes by a last-level table it remembers.
 * Only where it holds an IOTLB set nobody can wait for it to stand.
 */
static struct {
	struct kit *kit;
	unsigned int stop, steps;
	_Atomic bool walking, standing, go, done, synced;
	uint64_t result;
} still;

static bool set_held(void)
{
	const struct viommu_unit *unit = still.kit->unit;

	for (unsigned int i = 0; i < unit->options.iotlb_entries / VTD_WAYS; i++)
		if (vtd_load(&unit->iotlb[i].sequence) & 1)
			return true;
	return false;
}

static void on_instruction(int signal, siginfo_t *info, void *opaque)
{
	greg_t *flags = &((ucontext_t *)opaque)->uc_mcontext.gregs[REG_EFL];

	*flags |= TRAP_FLAG;
	if (++still.steps >= still.stop && !set_held()) {
		still.standing = true;
		wait_for(&still.go);
	}
	if (still.standing || !still.walking)
		*flags &= ~(greg_t)TRAP_FLAG;
}

static void *stepped_thread(void *opaque)
{
	translate(opaque);
	still.walking = true;
	raise(SIGTRAP);
	translate_at(opaque, IOVA + 4096);
	still.walking = false;
	still.done = true;
	wait_for(&still.synced);
	still.result = translate_at(opaque, IOVA + 4096);
	return NULL;
}

/* False: the thread was through before its n-th instruction. */
static bool stand_at(struct kit *kit, unsigned int n, unsigned int granularity, uint64_t leaf,
		     const uint64_t pages[2])
{
	const uint64_t flags = FS_P | FS_RW | FS_US | FS_A | FS_D;
	pthread_t thread;
	bool stood;

	kit_put(kit, leaf, pages[0] | flags);
	assert_true(kit_flush_all(kit));
	memset(&still, 0, sizeof(still));
	still.kit = kit;
	still.stop = n;
	assert_int_equal(pthread_create(&thread, NULL, stepped_thread, kit), 0);
	while (!still.standing && !still.done)
		sched_yield();
	stood = still.standing;
	kit_put(kit, leaf, pages[1] | flags);
	kit_submit(kit, qi_piotlb(granularity, KIT_DID, PASID), granularity == 3 ? IOVA + 4096 : 0);
	kit_ring(kit);
	still.go = true;
	wait_for(&still.done);
	assert_true(kit_sync(kit));
	still.synced = true;
	pthread_join(thread, NULL);
	assert_int_equal(still.result, pages[1]);
	assert_int_equal(translate_at(kit, IOVA + 4096), pages[1]);
	return stood;
}

/* `pace` instructions from one n to the next. */
static void standing_still(unsigned int granularity, unsigned int pace)
{
	uint64_t root, leaf, pages[2];
	struct viommu_unit_options options;
	struct kit kit;
	unsigned int n = 1;

	viommu_unit_options_init(&options);
	options.iotlb_entries = 64;
	kit_create(&kit, &options);
	kit_start(&kit, TTM_SCALABLE);
	root = kit_setup_first(&kit, PASID, 4);
	pages[0] = kit_page(&kit);
	pages[1] = kit_page(&kit);
	for (unsigned int i = 0; i < 2; i++)
		kit_map_first(&kit, root, 4, IOVA + i * 4096, 1,
			      pages[0] | FS_P | FS_RW | FS_US | FS_A | FS_D);
	leaf = kit_first_leaf(&kit, root, 4, IOVA + 4096, 1);
	set_handler(SIGTRAP, on_instruction);
	while (stand_at(&kit, n, granularity, leaf, pages))
		n += pace;
	/* It was the short way that was stepped through, not nothing. */
	assert_in_range(n, 100, 5000);
	kit_destroy(&kit);
}

static void standing_still_when_a_page_goes(void **state)
{
	standing_still(3, 1);
}

static void standing_still_when_a_space_goes(void **state)
{
	standing_still(2, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walking_into_it),
		cmocka_unit_test(judging_in_it),
		cmocka_unit_test(remembering_when_a_page_goes),
		cmocka_unit_test(remembering_when_a_space_goes),
		cmocka_unit_test(standing_still_when_a_page_goes),
		cmocka_unit_test(standing_still_when_a_space_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
