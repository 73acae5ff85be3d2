/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory that comes and goes, a guest that rewrites its tables, DMA, page requests and statistics, all at once. Run under the
 * thread sanitizer it looks for races and lock orders; without, for hangs and for DMA that lands where it must not.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "world.h"

enum { DATA_A = 0x100000, DATA_B = 0x200000, ROUNDS = 300 };

static struct world *world;
static atomic_bool stop;
static atomic_ulong reads;

static void *plugs_memory(void *opaque)
{
	uint8_t *more = pages(4);

	while (!atomic_load(&stop)) {
		assert_int_equal(viommu_memory_add_hva(world->kit.memory, 1ull << 32, 0x4000, more, 0), 0);
		assert_int_equal(viommu_memory_remove(world->kit.memory, 1ull << 32, 0x4000), 1);
	}
	free(more);
	return NULL;
}

static void *does_dma(void *opaque)
{
	while (!atomic_load(&stop)) {
		int byte = world_read(world, 5, 0x1000);

		/* Whatever the tables say just now, nothing else is ever reached. */
		if (byte != 0xa && byte != 0xb && byte != -EFAULT)
			return (void *)1;
		viommu_host_model_page_request(world->device, 5, 0x9000, VIOMMU_READ,
					       atomic_load(&reads) % 500, true);
		atomic_fetch_add(&reads, 1);
	}
	return NULL;
}

static void *works(void *opaque)
{
	uint64_t now = 0;

	while (!atomic_load(&stop)) {
		viommu_passthrough_work(world->passthrough, now += 500);
		world_statistics(world);
		sched_yield();
	}
	return NULL;
}

static void all_at_once(void **state)
{
	void *(*const jobs[])(void *) = { plugs_memory, does_dma, works };
	pthread_t threads[3];
	uint64_t first, second;

	world = malloc(sizeof(*world));
	world_options(world);
	world_create(world);
	world->kit.ram[DATA_A] = 0xa;
	world->kit.ram[DATA_B] = 0xb;
	kit_start(&world->kit, TTM_SCALABLE);
	kit_write(&world->kit, REG_PQA, 8, kit_page(&world->kit));
	world_bind(world, 0, 1, PE_PASS, 0);
	first = world_first(world, DATA_A);
	second = world_first(world, DATA_B);
	for (unsigned int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, jobs[i], NULL);
	for (unsigned int round = 0; round < ROUNDS || atomic_load(&reads) < 100; round++) {
		world_bind(world, 5, 7, PE_FIRST, first);
		world_bind(world, 5, 7, PE_FIRST, second);
		assert_true(kit_command(&world->kit, qi_piotlb(2, 7, 5), 0));
		kit_write(&world->kit, REG_PQH, 8, kit_read(&world->kit, REG_PQT, 8));
		kit_write(&world->kit, REG_PRS, 4, PRS_PRO | PRS_PPR);
		if (round % 16 == 0) {
			kit_disable(&world->kit);
			kit_enable(&world->kit);
		}
		world_unbind(world, 5, 7);
	}
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < 3; i++) {
		void *result;

		pthread_join(threads[i], &result);
		assert_null(result);
	}
	world_destroy(world);
	free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(all_at_once) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
