/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A translation that meets an invalidation of its context half-way.
 *
 * Invalidating moves two numbers, a generation and the epoch, and a thread may lose its CPU between
 * any two stores. No amount of racing finds those few nanoseconds, so here the invalidating thread
 * is single-stepped: after the n-th change of the pair it stands still until the translating thread
 * is through. That one, in turn, is held where it has read the tables and not yet the generation,
 * which lies on a page taken away from it. Whatever n is, the old entry must be forgotten (VT-d
 * 6.5.2.2).
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "expect.h"

#include "vtd/unit_internal.h"

enum { PASID = 9, IOVA = 0x5000, STEPS_MAX = 4, TRAP_FLAG = 1 << 8 };

static struct {
	struct vtd_generations *generations;
	uint64_t *generation;
	uint64_t seen_generation, seen_epoch;
	unsigned int stop, changes;
	_Atomic bool stepping, held, go, done;
} play;

static void wait_for(_Atomic bool *flag)
{
	while (!*flag)
		sched_yield();
}

/* The translating thread has come to the generation. */
static void on_fault(int signal, siginfo_t *info, void *opaque)
{
	if ((uintptr_t)info->si_addr / 4096 != (uintptr_t)play.generation / 4096)
		abort();
	play.held = true;
	wait_for(&play.go);
}

/* One instruction of the invalidating thread is over. The first signal, its own, starts the steps. */
static void on_step(int signal, siginfo_t *info, void *opaque)
{
	greg_t *flags = &((ucontext_t *)opaque)->uc_mcontext.gregs[REG_EFL];
	uint64_t generation = *play.generation, epoch = play.generations->epoch;

	*flags |= TRAP_FLAG;
	if (generation != play.seen_generation || epoch != play.seen_epoch)
		play.changes++;
	play.seen_generation = generation;
	play.seen_epoch = epoch;
	if (play.changes == play.stop) {
		play.go = true;
		wait_for(&play.done);
	}
	if (play.changes == play.stop || !play.stepping)
		*flags &= ~(greg_t)TRAP_FLAG;
}

static uint64_t translate(struct kit *kit)
{
	struct viommu_translation t;

	viommu_access_begin();
	assert_int_equal(viommu_translate_quiet(kit->endpoint, PASID, IOVA, VIOMMU_READ, &t), VIOMMU_OK);
	viommu_access_end();
	return t.gpa;
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
	play.generations = &kit->unit->generations;
	play.generation = &kit->unit->generations.domains[KIT_DID].context;
	set_handler(SIGSEGV, on_fault);
	set_handler(SIGTRAP, on_step);
}

/* The guest changes the root in the PE and says so; single-stepped up to change number `stop`. */
static void change_and_invalidate(struct kit *kit, uint64_t root, unsigned int stop)
{
	uint64_t pe = kit_pasid_entry(kit, KIT_RID, PASID);

	kit_put(kit, pe + 16, (kit_get(kit, pe + 16) & 4095) | root);
	play.seen_generation = *play.generation;
	play.seen_epoch = play.generations->epoch;
	play.stop = stop;
	kit_submit(kit, qi_pasid_cache(0, KIT_DID, 0), 0);
	play.stepping = true;
	raise(SIGTRAP);
	kit_ring(kit);
	play.stepping = false;
	/* Fewer changes than that: the thread goes now. */
	play.go = true;
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
		assert_int_equal(mprotect(page_of(play.generation), 4096, PROT_NONE), 0);
		assert_int_equal(pthread_create(&thread, NULL, translating_thread, &kit), 0);
		wait_for(&play.held);
		assert_int_equal(mprotect(page_of(play.generation), 4096, PROT_READ | PROT_WRITE), 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walking_into_it),
		cmocka_unit_test(judging_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
