/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Grace periods: a wait lasts as long as the sections open before it and no longer, nests, survives threads that end and forks, and
 * frees what was deferred.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common.h"
#include "memory/grace.h"

static atomic_int phase;

static void wait_phase(int wanted)
{
	while (atomic_load(&phase) < wanted)
		sched_yield();
}

static void *holds_section(void *opaque)
{
	viommu_access_begin();
	viommu_access_begin();
	atomic_store(&phase, 1);
	viommu_access_end(); /* still nested */
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	atomic_store(&phase, 2);
	viommu_access_end();
	return NULL;
}

static void waits_for_open(void **state)
{
	pthread_t thread;

	atomic_store(&phase, 0);
	pthread_create(&thread, NULL, holds_section, NULL);
	wait_phase(1);
	assert_int_equal(viommu_access_drain(), 0);
	assert_int_equal(atomic_load(&phase), 2);
	pthread_join(thread, NULL);
}

/* Somebody is always in a section, but never in one from before: the wait must end. */
static void *relay(void *opaque)
{
	while (atomic_load(&phase) != 3) {
		viommu_access_begin();
		for (volatile int i = 0; i < 200; i++)
			;
		viommu_access_end();
	}
	return NULL;
}

static void later_sections_do_not_delay(void **state)
{
	pthread_t threads[2];

	atomic_store(&phase, 0);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, relay, NULL);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(viommu_access_drain(), 0);
	atomic_store(&phase, 3);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

struct object {
	struct grace_head head;
	unsigned int *freed;
};

static void object_free(struct grace_head *head)
{
	struct object *object = (struct object *)head;

	++*object->freed;
	free(object);
}

static void deferred(void **state)
{
	unsigned int freed = 0;

	assert_int_equal(grace_wait(), 0);
	assert_int_equal(grace_pending(), 0);
	grace_enter();
	for (int i = 0; i < 10; i++) {
		struct object *object = calloc(1, sizeof(*object));

		object->freed = &freed;
		grace_defer(&object->head, object_free);
	}
	assert_int_equal(grace_pending(), 10);
	assert_int_equal(grace_wait(), -EDEADLK);
	assert_int_equal(freed, 0);
	grace_exit();
	assert_int_equal(grace_wait(), 0);
	assert_int_equal(freed, 10);
	assert_int_equal(grace_pending(), 0);
}

static void *brief(void *opaque)
{
	viommu_access_begin();
	viommu_access_end();
	return NULL;
}

static void threads_come_and_go(void **state)
{
	for (int i = 0; i < 200; i++) {
		pthread_t threads[4];

		for (int k = 0; k < 4; k++)
			pthread_create(&threads[k], NULL, brief, NULL);
		assert_int_equal(viommu_access_drain(), 0);
		for (int k = 0; k < 4; k++)
			pthread_join(threads[k], NULL);
	}
	assert_int_equal(viommu_access_drain(), 0);
}

/* A section that another thread had open at the fork is not the child's. */
static void child_of_fork(void **state)
{
	pthread_t thread;
	int status;
	pid_t child;

	atomic_store(&phase, 0);
	brief(NULL);
	pthread_create(&thread, NULL, holds_section, NULL);
	wait_phase(1);
	child = fork();
	if (!child) {
		alarm(60);
		_exit(viommu_access_drain() ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	pthread_join(thread, NULL);
}

/* Publish, retire, reuse: the classic. Without the wait a reader sees the poison. */
static _Atomic(uint64_t *) published;
static atomic_ulong reads;

static void *follows(void *opaque)
{
	while (atomic_load(&phase) != 9) {
		uint64_t *value;

		grace_enter();
		value = atomic_load_explicit(&published, memory_order_acquire);
		for (int i = 0; i < 20; i++) {
			if (__atomic_load_n(value, __ATOMIC_RELAXED) != 1)
				atomic_store(&phase, 8);
		}
		grace_exit();
		atomic_fetch_add_explicit(&reads, 1, memory_order_relaxed);
	}
	return NULL;
}

static void never_too_early(void **state)
{
	uint64_t *values = calloc(2, sizeof(*values));
	pthread_t threads[2];

	atomic_store(&phase, 0);
	values[0] = 1;
	atomic_store(&published, &values[0]);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, follows, NULL);
	for (unsigned int i = 1; i < 20000 || atomic_load(&reads) < 1000; i++) {
		values[i & 1] = 1;
		atomic_store_explicit(&published, &values[i & 1], memory_order_release);
		assert_int_equal(grace_wait(), 0);
		__atomic_store_n(&values[!(i & 1)], 0xdead, __ATOMIC_RELAXED);
	}
	assert_int_not_equal(atomic_load(&phase), 8);
	atomic_store(&phase, 9);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	free(values);
}

/* The same without membarrier, where readers fence for themselves. */
static void never_too_early_fenced(void **state)
{
	bool before = grace_asymmetric;

	grace_asymmetric = false;
	atomic_store(&reads, 0);
	never_too_early(state);
	grace_asymmetric = before;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_for_open), cmocka_unit_test(later_sections_do_not_delay),
		cmocka_unit_test(deferred), cmocka_unit_test(threads_come_and_go),
		cmocka_unit_test(child_of_fork), cmocka_unit_test(never_too_early),
		cmocka_unit_test(never_too_early_fenced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
