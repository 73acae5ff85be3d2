/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Allocation failure: the n-th allocation of each public call fails, for every n there is. The call
 * says -ENOMEM or does its work without the memory; afterwards the object works.
 */
#include <errno.h>

#include "expect.h"
#include "memory/alloc.h"

#define URW (FS_P | FS_RW | FS_US)
#define P1  3

/* Run `call` with each of its allocations failing in turn, then once with none failing. */
#define sweep(call, allowed)                                             \
	do {                                                             \
		for (long n_ = 0;; n_++) {                               \
			int result_;                                     \
			viommu_alloc_fail_nth(n_);                       \
			result_ = (call);                                \
			if (!viommu_alloc_fail_nth(-1)) {                \
				assert_int_equal(result_, 0);            \
				assert_true(n_ >= (allowed));            \
				break;                                   \
			}                                                \
			assert_true(result_ == -ENOMEM || result_ == 0); \
			if (!result_)                                    \
				break;                                   \
		}                                                        \
	} while (0)

static void unit_create(void **state)
{
	struct kit *kit = *state;
	struct viommu_unit_options options;
	struct viommu_unit *unit = NULL;

	viommu_unit_options_init(&options);
	sweep(viommu_unit_create(&options, kit->memory, &kit_unit_ops, kit, &unit), 2);
	assert_non_null(unit);
	viommu_unit_destroy(unit);
}

static void endpoint_create(void **state)
{
	struct kit *kit = *state;
	struct viommu_endpoint *endpoint = NULL;
	struct viommu_translation t;

	sweep(viommu_endpoint_create(kit->unit, 0x55, &kit_endpoint_ops, kit, &endpoint), 1);
	assert_int_equal(viommu_translate(endpoint, VIOMMU_NO_PASID, 0x5000, VIOMMU_READ, &t), 0);
	viommu_endpoint_destroy(endpoint);
}

/* A translation that cannot keep its context walks each time; it never fails for want of memory. */
static void translate(void **state)
{
	struct kit *kit = *state;
	uint64_t root;

	kit_start(kit, TTM_SCALABLE);
	for (uint32_t pasid = 1; pasid < 4; pasid++) {
		root = kit_setup_first(kit, pasid << 12, 4);
		kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | URW);
	}
	for (uint32_t pasid = 1; pasid < 4; pasid++)
		for (long n = 0; n < 3; n++) {
			viommu_alloc_fail_nth(0);
			expect_gpa(kit, pasid << 12, 0x1000, VIOMMU_READ, 0x5000);
			viommu_alloc_fail_nth(-1);
			expect_gpa(kit, pasid << 12, 0x1000, VIOMMU_READ, 0x5000);
		}
}

/* The queue, faults and page requests need no memory at all. */
static void guest_driven_work(void **state)
{
	struct kit *kit = *state;
	uint64_t root;

	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, P1, 4);
	kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | URW);
	kit_write(kit, REG_PQA, 8, kit_page(kit));
	viommu_alloc_fail_nth(0);
	assert_true(kit_flush_all(kit));
	assert_true(kit_command(kit, qi_piotlb(3, KIT_DID, P1), 0x1000));
	assert_true(kit_command(kit, QI_DEVICE_TLB | (uint64_t)KIT_RID << 32, 0x1000));
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x1000, VIOMMU_READ, 1, true), 0);
	expect_fault(kit, P1, 0x9000, VIOMMU_READ, 0x71);
	kit_disable(kit);
	viommu_unit_reset(kit->unit);
	viommu_alloc_fail_nth(-1);
}

static int save_to_the_end(struct kit *kit)
{
	struct viommu_stream_writer *writer;
	const void *data;
	size_t length;
	int error = viommu_stream_writer_create(&writer);

	if (error)
		return error;
	error = viommu_unit_save(kit->unit, writer, 0);
	if (!error)
		error = viommu_stream_finish(writer, &data, &length);
	viommu_stream_writer_destroy(writer);
	return error;
}

static int load_again(struct kit *kit, const void *data, size_t length)
{
	struct viommu_stream_reader *reader;
	int error = viommu_stream_reader_create(data, length, &reader, NULL, 0);

	if (error)
		return error;
	error = viommu_unit_load(kit->unit, reader, 0, NULL, 0);
	viommu_stream_reader_destroy(reader);
	return error;
}

static void save_and_load(void **state)
{
	struct kit *kit = *state;
	struct viommu_stream_writer *writer;
	const void *data;
	size_t length;

	kit_start(kit, TTM_SCALABLE);
	sweep(save_to_the_end(kit), 1);
	assert_int_equal(viommu_stream_writer_create(&writer), 0);
	assert_int_equal(viommu_unit_save(kit->unit, writer, 0), 0);
	assert_int_equal(viommu_stream_finish(writer, &data, &length), 0);
	sweep(load_again(kit, data, length), 0);
	viommu_stream_writer_destroy(writer);
	assert_true(kit_read(kit, REG_GSTS, 4) & GCMD_TE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		kit_test(unit_create),	     kit_test(endpoint_create), kit_test(translate),
		kit_test(guest_driven_work), kit_test(save_and_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
