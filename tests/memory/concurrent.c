/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments come and go while other threads read and write through them: no look-up may see memory that is gone, and
 * what removal waits for is really over.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "common.h"

enum { READERS = 2, ROUNDS = 100 };

static struct viommu_memory *memory;
static atomic_bool stop;
static atomic_ulong hits, misses;

/* Memory that was removed is unmapped at once by the owner, so a late access would crash. */
static void *reader(void *opaque)
{
	while (!atomic_load(&stop)) {
		uint64_t length;
		void *hva;

		viommu_access_begin();
		if (!viommu_memory_lookup(memory, 0x100000, VIOMMU_WRITE, &hva, &length)) {
			for (unsigned int i = 0; i < 64; i++)
				__atomic_fetch_add((uint64_t *)hva + i * 8, 1, __ATOMIC_RELAXED);
			atomic_fetch_add_explicit(&hits, 1, memory_order_relaxed);
		} else {
			atomic_fetch_add_explicit(&misses, 1, memory_order_relaxed);
		}
		viommu_access_end();
		/* Between sections, so that on few CPUs the wait for a section is not a wait for a time slice. */
		if (!(atomic_load_explicit(&hits, memory_order_relaxed) % 16))
			sched_yield();
	}
	return NULL;
}

static void *copier(void *opaque)
{
	uint64_t word = 0;

	while (!atomic_load(&stop)) {
		int ret = viommu_memory_read(memory, 0x100040, &word, 8);

		if (ret != 0 && ret != -EFAULT)
			return (void *)1;
		ret = viommu_memory_write(memory, 0x100800, &word, 8);
		if (ret != 0 && ret != -EFAULT)
			return (void *)1;
	}
	return NULL;
}

static void add_remove(void **state)
{
	pthread_t threads[READERS + 1];
	uint8_t *fixed = pages(1);

	assert_int_equal(viommu_memory_create(&memory), 0);
	assert_int_equal(viommu_memory_add_hva(memory, 0, 0x1000, fixed, 0), 0);
	for (unsigned int i = 0; i <= READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i ? reader : copier, NULL), 0);
	for (unsigned int i = 0; i < ROUNDS || !atomic_load(&hits) || !atomic_load(&misses); i++) {
		uint8_t *ram = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				    -1, 0);

		assert_ptr_not_equal(ram, MAP_FAILED);
		assert_int_equal(viommu_memory_add_hva(memory, 0x100000, 0x1000, ram, 0), 0);
		sched_yield();
		assert_int_equal(viommu_memory_remove(memory, 0x100000, 0x1000), 1);
		assert_int_equal(munmap(ram, 4096), 0);
	}
	atomic_store(&stop, true);
	for (unsigned int i = 0; i <= READERS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		assert_null(result);
	}
	viommu_memory_destroy(memory);
	free(fixed);
}

/* Aligned words never tear, while a writer flips them between two values. */
static void *flipper(void *opaque)
{
	uint64_t values[2] = { 0, UINT64_MAX };

	for (unsigned int i = 0; !atomic_load(&stop); i++)
		viommu_memory_write(memory, 8, &values[i & 1], 8);
	return NULL;
}

static void no_tearing(void **state)
{
	pthread_t thread;
	uint8_t *ram = pages(1);
	unsigned int seen[2] = { 0 };

	atomic_store(&stop, false);
	assert_int_equal(viommu_memory_create(&memory), 0);
	assert_int_equal(viommu_memory_add_hva(memory, 0, 0x1000, ram, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, flipper, NULL), 0);
	for (unsigned int i = 0; i < 200000 || !seen[0] || !seen[1]; i++) {
		uint64_t value;

		assert_int_equal(viommu_memory_read(memory, 8, &value, 8), 0);
		assert_true(value == 0 || value == UINT64_MAX);
		seen[value & 1]++;
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	viommu_memory_destroy(memory);
	free(ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(add_remove), cmocka_unit_test(no_tearing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
