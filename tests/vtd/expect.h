/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What tests of the unit expect, on top of the kit: translations, faults and their records.
 */
#ifndef TESTS_VTD_EXPECT_H
#define TESTS_VTD_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kit.h"

/* A request of the kit's endpoint reaches `gpa`. */
#define expect_gpa(kit_, pasid_, iova_, access_, gpa_)                                    \
	do {                                                                              \
		struct viommu_translation t_ = { 0 };                                     \
		int r_ = viommu_translate((kit_)->endpoint, pasid_, iova_, access_, &t_); \
		if (r_ == VIOMMU_FAULT)                                                   \
			fail_msg("fault 0x%x at iova 0x%llx", t_.fault.reason,            \
				 (unsigned long long)(iova_));                            \
		assert_int_equal(r_, 0);                                                  \
		assert_int_equal(t_.gpa, gpa_);                                           \
		assert_true(t_.length > 0);                                               \
	} while (0)

/* It faults with `reason`; the fault is returned and recorded with the same fields. */
#define expect_fault(kit_, pasid_, iova_, access_, reason_) \
	expect_fault_at(kit_, (kit_)->endpoint, pasid_, iova_, access_, reason_, __FILE__, __LINE__)

static inline void expect_fault_at(struct kit *kit, struct viommu_endpoint *endpoint,
				   uint32_t pasid, uint64_t iova, uint32_t access,
				   unsigned int reason, const char *file, int line)
{
	struct viommu_translation t = { 0 };
	struct kit_record record;
	int result = viommu_translate(endpoint, pasid, iova, access, &t);

	if (result != VIOMMU_FAULT || t.fault.reason != reason)
		fail_msg("%s:%d: wanted fault 0x%x, got result %d reason 0x%x gpa 0x%llx", file,
			 line, reason, result, t.fault.reason, (unsigned long long)t.gpa);
	assert_int_equal(t.fault.iova, iova);
	assert_int_equal(t.fault.pasid, pasid);
	assert_int_equal(t.fault.access, access);
	assert_int_equal(t.fault.rid, viommu_endpoint_rid(endpoint));
	if (!t.fault.recorded)
		fail_msg("%s:%d: fault 0x%x was not recorded", file, line, reason);
	/* VT-d 11.4.7.6 */
	if (!kit_take_fault(kit, &record))
		fail_msg("%s:%d: no fault record", file, line);
	if (record.reason != reason)
		fail_msg("%s:%d: record has 0x%x, wanted 0x%x", file, line, record.reason, reason);
	assert_int_equal(record.sid, viommu_endpoint_rid(endpoint));
	assert_int_equal(record.info, iova & kit_address_bits(kit));
	assert_int_equal(record.pp, pasid != VIOMMU_NO_PASID);
	assert_int_equal(record.pasid, pasid == VIOMMU_NO_PASID ? 0 : pasid);
	assert_int_equal(record.t1, !!(access & (VIOMMU_READ | VIOMMU_EXECUTE | VIOMMU_ATOMIC)));
	assert_int_equal(record.t2, !!(access & VIOMMU_ATOMIC));
	assert_int_equal(record.priv, pasid != VIOMMU_NO_PASID && access & VIOMMU_PRIVILEGED);
	assert_int_equal(record.exe, pasid != VIOMMU_NO_PASID && access & VIOMMU_EXECUTE);
	assert_int_equal(record.at, 0);
	assert_false(kit_read(kit, REG_FSTS, 4) & FSTS_PPF);
}

/* A test with a kit of default options around it. */
static inline int kit_setup(void **state)
{
	static struct kit kit;

	kit_create(&kit, NULL);
	*state = &kit;
	return 0;
}

static inline int kit_teardown(void **state)
{
	kit_destroy(*state);
	return 0;
}

#define kit_test(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

#endif
