/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stale accesses: device threads write through a mapping while the guest takes it away and uses the
 * page for itself.
 *
 * The guest's order is that of a driver: clear the entry, invalidate, wait, reuse. From the moment
 * the wait descriptor's status is there, no device may touch the page. A device thread translates,
 * dawdles and then writes, all in one access section: that is the window in which an implementation
 * without draining goes wrong. The same test runs with drain=off, where it must find stale writes;
 * a test that cannot find them proves nothing.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "expect.h"

#define P1   3
#define URW  (FS_P | FS_RW | FS_US | FS_A | FS_D)
#define SRW  (SS_R | SS_W)
#define IOVA 0x5000ull
#define PAGE 0x9000ull

#define GUARD  0x6a6a6a6a6a6a6a6aull
#define DEVICE 0xd0d0d0d0d0d0d0d0ull

enum { ROUNDS = 400, THREADS = 2, LATE_ROUNDS = 100000 };

enum how {
	FIRST_PAGE,
	FIRST_PASID,
	SECOND_PAGE,
	SECOND_DOMAIN,
	PASID_TEARDOWN,
	TRANSLATION_OFF,
	HOWS
};

static const char *const how_names[HOWS] = { "PIOTLB, page",  "PIOTLB, PASID", "IOTLB, page",
					     "IOTLB, domain", "PASID cache",   "TE off" };

struct scene {
	struct kit kit;
	enum how how;
	uint64_t leaf, leaf_word;
	uint64_t pe, pe_word;
	atomic_bool stop;
	atomic_uint writes;
	unsigned int stale;
};

static void dawdle(unsigned int *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	if ((*seed >> 16) % 8 == 0)
		usleep(30);
	else if ((*seed >> 16) % 8 == 1)
		sched_yield();
}

/* A device model that uses a host pointer itself, as memory.h allows. */
static void *pointer_thread(void *context)
{
	struct scene *scene = context;
	unsigned int seed = 7;

	while (!atomic_load(&scene->stop)) {
		struct viommu_translation t = { 0 };

		viommu_access_begin();
		if (viommu_translate_quiet(scene->kit.endpoint, P1, IOVA, VIOMMU_WRITE, &t) == 0 &&
		    t.hva && t.gpa == PAGE) {
			dawdle(&seed);
			__atomic_store_n((uint64_t *)t.hva, DEVICE, __ATOMIC_RELAXED);
			atomic_fetch_add(&scene->writes, 1);
		}
		viommu_access_end();
		/* Unmapped: leave the processor to the guest, there are few. */
		if (t.fault.reason)
			usleep(5);
	}
	return NULL;
}

/* One that leaves the moving to the library. */
static void *dma_thread(void *context)
{
	struct scene *scene = context;
	uint64_t data = DEVICE;
	size_t done;

	while (!atomic_load(&scene->stop)) {
		if (viommu_dma_write(scene->kit.endpoint, P1, IOVA + 8, &data, 8, VIOMMU_WRITE,
				     &done, NULL) == 0)
			atomic_fetch_add(&scene->writes, 1);
		else
			usleep(5);
	}
	return NULL;
}

static void create(struct scene *scene, enum how how, bool drain)
{
	struct viommu_unit_options options;
	struct kit *kit = &scene->kit;
	uint64_t root;

	memset(scene, 0, sizeof(*scene));
	scene->how = how;
	viommu_unit_options_init(&options);
	options.drain = drain;
	kit_create(kit, &options);
	kit_start(kit, TTM_SCALABLE);
	if (how == SECOND_PAGE || how == SECOND_DOMAIN) {
		root = kit_setup_second(kit, P1, 4);
		scene->leaf_word = PAGE | SRW;
		scene->leaf = kit_map_second(kit, root, 4, IOVA, 1, scene->leaf_word);
	} else {
		root = kit_setup_first(kit, P1, 4);
		scene->leaf_word = PAGE | URW;
		scene->leaf = kit_map_first(kit, root, 4, IOVA, 1, scene->leaf_word);
	}
	scene->pe = kit_pasid_entry(kit, KIT_RID, P1);
	scene->pe_word = kit_get(kit, scene->pe);
}

/* Take the mapping away. True when the wait completed. */
static bool unmap(struct scene *scene)
{
	struct kit *kit = &scene->kit;

	switch (scene->how) {
	case TRANSLATION_OFF:
		kit_disable(kit);
		return true;
	case PASID_TEARDOWN:
		kit_put(kit, scene->pe, 0);
		kit_submit(kit, qi_pasid_cache(1, KIT_DID, P1), 0);
		return kit_command(kit, qi_piotlb(2, KIT_DID, P1), 0);
	default:
		break;
	}
	kit_put(kit, scene->leaf, 0);
	switch (scene->how) {
	case FIRST_PAGE:
		return kit_command(kit, qi_piotlb(3, KIT_DID, P1), IOVA);
	case FIRST_PASID:
		return kit_command(kit, qi_piotlb(2, KIT_DID, P1), 0);
	case SECOND_PAGE:
		return kit_command(kit, qi_iotlb(3, KIT_DID), IOVA);
	default:
		return kit_command(kit, qi_iotlb(2, KIT_DID), 0);
	}
}

static void map(struct scene *scene)
{
	struct kit *kit = &scene->kit;

	if (scene->how == TRANSLATION_OFF)
		kit_enable(kit);
	else if (scene->how == PASID_TEARDOWN)
		kit_put(kit, scene->pe, scene->pe_word);
	else
		kit_put(kit, scene->leaf, scene->leaf_word);
}

/* The page belongs to the guest now: does anybody else write to it? */
static bool disturbed(struct scene *scene)
{
	struct kit *kit = &scene->kit;
	bool found = false;

	kit_put(kit, PAGE, GUARD);
	kit_put(kit, PAGE + 8, GUARD);
	for (int i = 0; i < 6; i++) {
		usleep(20);
		found |= kit_get(kit, PAGE) != GUARD || kit_get(kit, PAGE + 8) != GUARD;
	}
	return found;
}

static void run(struct scene *scene, unsigned int rounds)
{
	pthread_t threads[THREADS];

	pthread_create(&threads[0], NULL, pointer_thread, scene);
	pthread_create(&threads[1], NULL, dma_thread, scene);
	for (unsigned int i = 0; i < rounds; i++) {
		unsigned int before = atomic_load(&scene->writes);

		/* Let the devices in, but not for ever: this may be a loaded machine. */
		for (int j = 0; j < 200 && atomic_load(&scene->writes) < before + 4; j++)
			usleep(10);
		assert_true(unmap(scene));
		scene->stale += disturbed(scene);
		map(scene);
	}
	/* Devices that had no turn would prove nothing: now it is mapped they get theirs. */
	while (atomic_load(&scene->writes) <= rounds)
		usleep(10);
	atomic_store(&scene->stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* VT-d 6.5.2.8, 6.8: not one access through an old translation after the wait. */
static void drained_waits_leave_nothing_behind(void **state)
{
	static struct scene scene;

	for (enum how how = 0; how < HOWS; how++) {
		create(&scene, how, true);
		run(&scene, ROUNDS / 4);
		if (scene.stale)
			fail_msg("%s: %u stale of %d rounds", how_names[how], scene.stale,
				 ROUNDS / 4);
		kit_destroy(&scene.kit);
	}
}

/* The same without draining: if this finds nothing, the test above means nothing. */
static void undrained_waits_are_caught(void **state)
{
	static struct scene scene;
	unsigned int stale = 0;

	for (int tries = 0; tries < 10 && !stale; tries++) {
		create(&scene, FIRST_PAGE, false);
		run(&scene, ROUNDS);
		stale = scene.stale;
		kit_destroy(&scene.kit);
	}
	print_message("drain=off: %u stale accesses in %d rounds\n", stale, ROUNDS);
	assert_true(stale > 0);
}

/*
 * A request is never lost between: while A and D bits are set by the unit, the guest's own changes
 * stay.
 */
struct marker {
	struct kit *kit;
	atomic_bool stop;
};

static void *marking_thread(void *context)
{
	struct marker *marker = context;
	struct viommu_translation t;

	while (!atomic_load(&marker->stop)) {
		viommu_translate_quiet(marker->kit->endpoint, P1, IOVA, VIOMMU_WRITE, &t);
	}
	return NULL;
}

static void marks_do_not_lose_the_guests_bits(void **state)
{
	struct kit *kit = *state;
	struct marker marker = { .kit = kit };
	uint64_t root, leaf;
	pthread_t thread;

	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, P1, 4);
	leaf = kit_map_first(kit, root, 4, IOVA, 1, PAGE | FS_P | FS_RW | FS_US);
	pthread_create(&thread, NULL, marking_thread, &marker);
	for (uint64_t i = 1; i < 3000; i++) {
		/*
		 * Bits 62:52 are software's: count in them, clear A and D, as a guest ages its
		 * pages.
		 */
		uint64_t word = kit_get(kit, leaf), next;

		do {
			next = (word & ~(0x7ffull << 52) & ~(FS_A | FS_D)) | (i % 2048) << 52;
		} while (!__atomic_compare_exchange_n((uint64_t *)(kit->ram + leaf), &word, next,
						      false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
		assert_true(kit_command(kit, qi_piotlb(3, KIT_DID, P1), IOVA));
		word = kit_get(kit, leaf);
		assert_int_equal(word >> 52 & 0x7ff, i % 2048);
		assert_int_equal(word & ~(FS_A | FS_D) & ~(0x7ffull << 52),
				 PAGE | FS_P | FS_RW | FS_US);
	}
	atomic_store(&marker.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(kit_read(kit, REG_FSTS, 4), 0);
}

/*
 * A walk that read the old entry must not enter its result after the invalidation went by: that
 * would outlive it. One thread walks all the time; the other changes the entry and invalidates in
 * the shortest possible time, then looks.
 */
static void late_fills_are_not_kept(void **state)
{
	struct kit *kit = *state;
	struct marker marker = { .kit = kit };
	uint64_t root, leaf;
	pthread_t thread;

	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, P1, 4);
	leaf = kit_map_first(kit, root, 4, IOVA, 1, PAGE | URW);
	pthread_create(&thread, NULL, marking_thread, &marker);
	for (unsigned int i = 0; i < LATE_ROUNDS; i++) {
		uint64_t page = PAGE + (i % 2 ? 0x1000 : 0);

		/* The descriptors are there already: storing the tail is all that is left to do. */
		kit_submit(kit, qi_piotlb(3, KIT_DID, P1), IOVA);
		kit_submit(kit, QI_WAIT | QI_WAIT_FN, 0);
		kit_put(kit, leaf, page | URW);
		kit_ring(kit);
		expect_gpa(kit, P1, IOVA, VIOMMU_WRITE, page);
	}
	atomic_store(&marker.stop, true);
	pthread_join(thread, NULL);
}

/*
 * Faults, page requests, register reads and invalidations at once: for the sanitizers, and nothing
 * hangs.
 */
static void *noise_thread(void *context)
{
	struct marker *marker = context;
	struct kit *kit = marker->kit;
	struct viommu_statistics s = { .size = sizeof(s) };
	struct viommu_translation t;

	for (uint64_t i = 0; !atomic_load(&marker->stop); i++) {
		uint64_t value;

		viommu_translate(kit->endpoint, (uint32_t)(i % 700), i << 12, VIOMMU_READ, &t);
		viommu_ats_translate(kit->endpoint, P1, IOVA, VIOMMU_WRITE, &t);
		viommu_page_request(kit->endpoint, P1, i << 12, VIOMMU_READ, (uint16_t)(i % 512),
				    true);
		viommu_unit_read(kit->unit, REG_FSTS, 4, &value);
		viommu_unit_write(kit->unit, REG_PRS, 4, PRS_PRO | PRS_PPR);
		viommu_unit_write(kit->unit, 0x600 + 12 + 16 * (i % 8), 4, BIT(31));
		viommu_unit_write(kit->unit, REG_FSTS, 4, FSTS_PFO);
		viommu_unit_statistics(kit->unit, &s);
	}
	return NULL;
}

static void everything_at_once(void **state)
{
	struct kit *kit = *state;
	struct marker marker = { .kit = kit };
	pthread_t threads[2];
	uint64_t root;

	kit_start(kit, TTM_SCALABLE);
	kit_write(kit, REG_PQA, 8, kit_page(kit));
	root = kit_setup_first(kit, P1, 4);
	kit_map_first(kit, root, 4, IOVA, 1, PAGE | URW);
	kit_write(kit, REG_FECTL, 4, 0);
	kit_write(kit, REG_PECTL, 4, 0);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, noise_thread, &marker);
	for (int i = 0; i < 1000; i++) {
		kit_submit(kit, qi_iotlb(1, 0), 0);
		kit_submit(kit, qi_pasid_cache(3, 0, 0), 0);
		kit_submit(kit, qi_page_response(true, P1, KIT_RID, 0), 0);
		assert_true(kit_command(kit, qi_context(1, 0, 0, 0), 0));
	}
	atomic_store(&marker.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drained_waits_leave_nothing_behind),
		cmocka_unit_test(undrained_waits_are_caught),
		kit_test(marks_do_not_lose_the_guests_bits),
		kit_test(late_fills_are_not_kept),
		kit_test(everything_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
