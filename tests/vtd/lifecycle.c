/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Units and endpoints as objects: several units over one memory, endpoints that come and go while
 * their DMA runs, memory that goes while translations of it are cached, misuse inside access
 * sections.
 */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "expect.h"

#define URW (FS_P | FS_RW | FS_US)
#define P1  3

static void units_are_apart(void **state)
{
	struct kit *kit = *state;
	struct viommu_unit_options options;
	struct viommu_endpoint *endpoint;
	struct viommu_translation t;
	struct viommu_unit *unit;
	uint64_t root, value;

	viommu_unit_options_init(&options);
	options.segment = 1;
	assert_int_equal(viommu_unit_create(&options, kit->memory, &kit_unit_ops, kit, &unit), 0);
	assert_int_equal(viommu_unit_options(unit)->segment, 1);
	assert_ptr_equal(viommu_unit_memory(unit), kit->memory);
	/* The same requester id in the other segment. */
	assert_int_equal(viommu_endpoint_create(unit, KIT_RID, NULL, NULL, &endpoint), 0);
	assert_ptr_equal(viommu_endpoint_unit(endpoint), unit);
	assert_int_equal(viommu_endpoint_rid(endpoint), KIT_RID);
	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, 0, 4);
	kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | URW);
	expect_gpa(kit, VIOMMU_NO_PASID, 0x1000, VIOMMU_READ, 0x5000);
	assert_int_equal(viommu_translate(endpoint, VIOMMU_NO_PASID, 0x1000, VIOMMU_READ, &t), 0);
	assert_int_equal(t.gpa, 0x1000);
	assert_int_equal(viommu_unit_read(unit, REG_GSTS, 4, &value), 0);
	assert_int_equal(value, 0);
	/* Both on the same tables, then one flushed: the other keeps its cache. */
	assert_int_equal(viommu_unit_write(unit, REG_RTADDR, 8, kit->root | TTM_SCALABLE), 0);
	assert_int_equal(viommu_unit_write(unit, REG_GCMD, 4, GCMD_SRTP), 0);
	assert_int_equal(viommu_unit_write(unit, REG_GCMD, 4, GCMD_TE), 0);
	assert_int_equal(viommu_translate(endpoint, VIOMMU_NO_PASID, 0x1000, VIOMMU_READ, &t), 0);
	assert_int_equal(t.gpa, 0x5000);
	viommu_unit_reset(unit);
	expect_gpa(kit, VIOMMU_NO_PASID, 0x1000, VIOMMU_READ, 0x5000);
	assert_int_equal(viommu_translate(endpoint, VIOMMU_NO_PASID, 0x1000, VIOMMU_READ, &t), 0);
	assert_int_equal(t.gpa, 0x1000);
	viommu_endpoint_destroy(endpoint);
	viommu_unit_destroy(unit);
}

static void creation_is_checked(void **state)
{
	struct kit *kit = *state;
	struct {
		struct viommu_unit_ops ops;
		unsigned char tail[8];
	} big = { .ops = { .size = sizeof(big) }, .tail = { 1 } };
	struct {
		struct viommu_endpoint_ops ops;
		unsigned char tail[8];
	} big_endpoint = { .ops = { .size = sizeof(big_endpoint) }, .tail = { 1 } };
	struct viommu_unit_options options;
	struct viommu_endpoint *endpoint;
	struct viommu_unit *unit;

	viommu_unit_options_init(&options);
	assert_int_equal(viommu_unit_create(&options, kit->memory, &big.ops, NULL, &unit), -E2BIG);
	assert_int_equal(
		viommu_endpoint_create(kit->unit, 0x99, &big_endpoint.ops, NULL, &endpoint),
		-E2BIG);
	assert_int_equal(viommu_endpoint_create(kit->unit, KIT_RID, NULL, NULL, &endpoint),
			 -EEXIST);
	options.pasid_bits = 33;
	assert_int_equal(viommu_unit_create(&options, kit->memory, NULL, NULL, &unit), -EINVAL);
	/* The tail may be there as long as it is zero. */
	big.tail[0] = 0;
	viommu_unit_options_init(&options);
	assert_int_equal(viommu_unit_create(&options, kit->memory, &big.ops, NULL, &unit), 0);
	viommu_unit_destroy(unit);
	viommu_unit_destroy(NULL);
	viommu_endpoint_destroy(NULL);
}

/* A unit nobody listens to, and an endpoint without callbacks: all the same, silently. */
static void without_callbacks(void **state)
{
	struct viommu_unit_options options;
	struct viommu_endpoint *endpoint;
	struct kit kit;
	struct viommu_unit *unit;
	struct viommu_translation t;

	kit_create(&kit, NULL);
	viommu_unit_options_init(&options);
	assert_int_equal(viommu_unit_create(&options, kit.memory, NULL, NULL, &unit), 0);
	assert_int_equal(viommu_endpoint_create(unit, 9, NULL, NULL, &endpoint), 0);
	viommu_endpoint_set_features(endpoint, VIOMMU_ENDPOINT_PASID | VIOMMU_ENDPOINT_PRI |
						       VIOMMU_ENDPOINT_ATS);
	assert_int_equal(viommu_unit_write(unit, REG_FECTL, 4, 0), 0);
	assert_int_equal(viommu_unit_write(unit, REG_RTADDR, 8, kit.root | TTM_SCALABLE), 0);
	assert_int_equal(viommu_unit_write(unit, REG_GCMD, 4, GCMD_SRTP), 0);
	assert_int_equal(viommu_unit_write(unit, REG_GCMD, 4, GCMD_TE), 0);
	assert_int_equal(viommu_translate(endpoint, 1, 0x1000, VIOMMU_READ, &t), VIOMMU_FAULT);
	assert_int_equal(viommu_page_request(endpoint, 1, 0x1000, VIOMMU_READ, 1, true), 0);
	viommu_endpoint_destroy(endpoint);
	viommu_unit_destroy(unit);
	kit_destroy(&kit);
}

/* Writes that would wait for access sections are refused inside one; reads and others are not. */
static void inside_an_access_section(void **state)
{
	struct kit *kit = *state;

	kit_start(kit, TTM_SCALABLE);
	kit_submit(kit, qi_iotlb(1, 0), 0);
	viommu_access_begin();
	assert_int_equal(viommu_unit_write(kit->unit, REG_IQT, 8, kit->tail), -EDEADLK);
	assert_int_equal(viommu_unit_write(kit->unit, REG_GCMD, 4, GCMD_QIE), -EDEADLK);
	assert_int_equal(viommu_unit_write(kit->unit, REG_FEDATA, 4, 5), 0);
	assert_int_equal(kit_read(kit, REG_FEDATA, 4), 5);
	viommu_access_end();
	assert_true(kit_sync(kit));
}

/* Memory that goes: a cached translation must not lead into it; one that comes is found. */
static void memory_comes_and_goes(void **state)
{
	struct kit *kit = *state;
	static unsigned char page[2][4096] __attribute__((aligned(4096)));
	uint64_t gpa = kit->ram_size + 0x100000, root;
	struct viommu_translation t;
	unsigned char byte = 0;
	size_t done;

	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, P1, 4);
	kit_map_first(kit, root, 4, 0x1000, 1, gpa | URW);
	page[0][7] = 0x11;
	page[1][7] = 0x22;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(viommu_translate(kit->endpoint, P1, 0x1007, VIOMMU_READ, &t), 0);
		assert_null(t.hva);
		assert_int_equal(viommu_dma_read(kit->endpoint, P1, 0x1007, &byte, 1, VIOMMU_READ,
						 &done, NULL),
				 -EIO);
		assert_int_equal(viommu_memory_add_hva(kit->memory, gpa, 4096, page[i], 0), 0);
		assert_int_equal(viommu_dma_read(kit->endpoint, P1, 0x1007, &byte, 1, VIOMMU_READ,
						 &done, NULL),
				 0);
		assert_int_equal(byte, page[i][7]);
		assert_int_equal(viommu_translate(kit->endpoint, P1, 0x1007, VIOMMU_READ, &t), 0);
		assert_ptr_equal(t.hva, &page[i][7]);
		assert_int_equal(viommu_memory_remove(kit->memory, gpa, 4096), 1);
	}
}

/* MMIO behind a translation: no host pointer, but reads and writes go through. */
static int mmio_read(void *opaque, uint64_t offset, void *data, size_t length)
{
	memset(data, (int)offset, length);
	return 0;
}

static int mmio_write(void *opaque, uint64_t offset, const void *data, size_t length)
{
	uint64_t *last = opaque;

	*last = 0;
	memcpy(last, data, length);
	return 0;
}

static void mmio_targets(void **state)
{
	static const struct viommu_mmio_ops ops = { sizeof(ops), mmio_read, mmio_write };
	struct kit *kit = *state;
	uint64_t gpa = kit->ram_size + 0x100000, root, last = 0, value = 0x1122334455667788, old;
	struct viommu_fault fault;
	size_t done;

	assert_int_equal(viommu_memory_add_mmio(kit->memory, gpa, 4096, &ops, &last, 0), 0);
	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, P1, 4);
	kit_map_first(kit, root, 4, 0x1000, 1, gpa | URW);
	assert_int_equal(
		viommu_dma_write(kit->endpoint, P1, 0x1008, &value, 8, VIOMMU_WRITE, &done, NULL),
		0);
	assert_int_equal(last, value);
	assert_int_equal(
		viommu_dma_read(kit->endpoint, P1, 0x1008, &value, 4, VIOMMU_READ, &done, NULL), 0);
	assert_int_equal((uint32_t)value, 0x08080808);
	assert_int_equal(
		viommu_dma_atomic(kit->endpoint, P1, 0x1008, VIOMMU_SWAP, 8, 1, 0, &old, &fault),
		-EIO);
	/* Tables in a register window are not read from. */
	kit_put(kit, kit_pasid_entry(kit, KIT_RID, P1) + 16, gpa);
	assert_true(kit_flush_all(kit));
	expect_fault(kit, P1, 0x1000, VIOMMU_READ, 0x73);
}

/* Dirty tracking sees what DMA writes. */
static void dma_marks_dirty_pages(void **state)
{
	struct kit *kit = *state;
	uint64_t root, bitmap[4] = { 0 }, old;
	unsigned char byte = 1;
	size_t done;

	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, P1, 4);
	kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | URW);
	kit_map_first(kit, root, 4, 0x2000, 1, 0x6000 | URW);
	assert_int_equal(viommu_memory_dirty_start(kit->memory, 12), 0);
	assert_int_equal(
		viommu_dma_read(kit->endpoint, P1, 0x2000, &byte, 1, VIOMMU_READ, &done, NULL), 0);
	assert_int_equal(
		viommu_dma_write(kit->endpoint, P1, 0x1000, &byte, 1, VIOMMU_WRITE, &done, NULL),
		0);
	assert_int_equal(viommu_memory_dirty_query(kit->memory, 0, 256 << 12, bitmap, false), 0);
	assert_int_equal(bitmap[0], BIT(5));
	assert_int_equal(
		viommu_dma_atomic(kit->endpoint, P1, 0x2000, VIOMMU_FETCH_ADD, 4, 1, 0, &old, NULL),
		0);
	bitmap[0] = 0;
	assert_int_equal(viommu_memory_dirty_query(kit->memory, 0, 256 << 12, bitmap, false), 0);
	assert_int_equal(bitmap[0], BIT(6));
	assert_int_equal(viommu_memory_dirty_stop(kit->memory), 0);
}

/* ---- hot-remove ---- */

struct worker {
	struct kit *kit;
	struct viommu_endpoint *_Atomic *slot;
	atomic_bool stop;
	atomic_ulong moved;
};

/* A device model's thread: it gets its endpoint inside a section and uses it there only. */
static void *dma_thread(void *context)
{
	struct worker *worker = context;
	unsigned char data[64];

	while (!atomic_load(&worker->stop)) {
		struct viommu_endpoint *endpoint;
		size_t done;

		viommu_access_begin();
		endpoint = atomic_load(worker->slot);
		if (endpoint && !viommu_dma_write(endpoint, P1, 0x1000, data, sizeof(data),
						  VIOMMU_WRITE, &done, NULL))
			worker->moved++;
		viommu_access_end();
	}
	return NULL;
}

/* Remove and add an endpoint again and again while two threads do DMA through it. */
static void hot_remove_under_dma(void **state)
{
	struct kit *kit = *state;
	struct viommu_endpoint *_Atomic slot = NULL;
	struct worker workers[2];
	pthread_t threads[2];
	uint64_t root;

	kit_start(kit, TTM_SCALABLE);
	root = kit_page(kit);
	kit_set_pasid_entry(kit, 0x20, P1, PE_P | PE_FIRST, 2 | PE1_PWSNP, root);
	kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | URW);
	for (int i = 0; i < 2; i++) {
		workers[i] = (struct worker){ .kit = kit, .slot = &slot };
		pthread_create(&threads[i], NULL, dma_thread, &workers[i]);
	}
	for (int i = 0; i < 200 || !(workers[0].moved + workers[1].moved); i++) {
		struct viommu_endpoint *endpoint = kit_endpoint(kit, 0x20);

		atomic_store(&slot, endpoint);
		usleep(100);
		atomic_store(&slot, NULL);
		viommu_endpoint_destroy(endpoint);
	}
	for (int i = 0; i < 2; i++) {
		atomic_store(&workers[i].stop, true);
		pthread_join(threads[i], NULL);
	}
	/* The counters of endpoints that are gone stay in the unit's. */
	struct viommu_statistics s = { .size = sizeof(s) };

	viommu_unit_statistics(kit->unit, &s);
	assert_int_equal(s.bytes, (workers[0].moved + workers[1].moved) * 64);
}

/* A device TLB of an endpoint that is gone needs no invalidating: no time-out. */
static void removed_endpoints_do_not_time_out(void **state)
{
	struct kit *kit = *state;
	struct viommu_endpoint *endpoint = kit_endpoint(kit, 0x20);

	kit_start(kit, TTM_SCALABLE);
	viommu_endpoint_destroy(endpoint);
	assert_true(kit_command(kit, QI_DEVICE_TLB | 0x20ull << 32, 0x1000));
	assert_true(kit_command(kit, qi_page_response(true, 1, 0x20, 0), 0));
	assert_int_equal(kit->invalidates, 0);
	assert_int_equal(kit->responses, 0);
}

/* Destroyed inside a section (a callback may have no choice): freed later, never used again. */
static void destroyed_inside_a_section(void **state)
{
	struct kit *kit = *state;
	struct viommu_endpoint *endpoint = kit_endpoint(kit, 0x20), *again;

	viommu_access_begin();
	viommu_endpoint_destroy(endpoint);
	viommu_access_end();
	again = kit_endpoint(kit, 0x20);
	viommu_endpoint_destroy(again);
	assert_int_equal(viommu_access_drain(), 0);
}

/* Half a million PASIDs used once: all of them counted, forgotten with the endpoint. */
static void many_pasids(void **state)
{
	struct kit kit;
	struct viommu_statistics s = { .size = sizeof(s) };
	uint64_t root;

	kit_create_sized(&kit, NULL, 128ull << 20);
	kit_start(&kit, TTM_SCALABLE);
	root = kit_page(&kit);
	kit_map_first(&kit, root, 4, 0x1000, 1, 0x5000 | URW);
	for (uint32_t pasid = 1; pasid < 1 << 20; pasid += 2)
		kit_set_pasid_entry(&kit, KIT_RID, pasid, PE_P | PE_FIRST,
				    (2 + pasid % 60000) | PE1_PWSNP, root);
	for (uint32_t pasid = 1; pasid < 1 << 20; pasid += 2)
		expect_gpa(&kit, pasid, 0x1000, VIOMMU_READ, 0x5000);
	viommu_unit_statistics(kit.unit, &s);
	assert_int_equal(s.pasids, 1 << 19);
	assert_true(kit_command(&kit, qi_pasid_cache(3, 0, 0), 0));
	viommu_unit_statistics(kit.unit, &s);
	assert_int_equal(s.pasids, 0);
	kit_destroy(&kit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		kit_test(units_are_apart),
		kit_test(creation_is_checked),
		cmocka_unit_test(without_callbacks),
		kit_test(inside_an_access_section),
		kit_test(memory_comes_and_goes),
		kit_test(mmio_targets),
		kit_test(dma_marks_dirty_pages),
		kit_test(hot_remove_under_dma),
		kit_test(removed_endpoints_do_not_time_out),
		kit_test(destroyed_inside_a_section),
		cmocka_unit_test(many_pasids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
