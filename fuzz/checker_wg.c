/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz: register writes of two wgCheckers (union and priority), with accesses through a TLB in
 * front of both.
 *
 * Every answer the TLB has kept must be the one a fresh walk gives; that is the property, beside
 * not crashing.
 */
#include "checker_fuzz.h"

static struct viommu_wgchecker *create(struct fuzz *fuzz, uint64_t start, uint32_t flags)
{
	struct viommu_wgchecker_config config = {
		.size = sizeof(config),
		.start = start,
		.length = FUZZ_BYTES / 2,
		.slots = 3,
		.worlds = 4,
		.trusted_wid = 3,
		.flags = flags,
		.next = fuzz->plain,
	};
	struct viommu_wgchecker *checker;

	if (viommu_wgchecker_create(&config, &checker))
		abort();
	return checker;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct viommu_wgchecker *checker[2];
	struct fuzz fuzz;

	fuzz_create(&fuzz, data, size);
	checker[0] = create(&fuzz, FUZZ_RAM, VIOMMU_WG_HW_BYPASS);
	checker[1] = create(&fuzz, FUZZ_RAM + FUZZ_BYTES / 2,
			    VIOMMU_WG_PRIORITY | VIOMMU_WG_TRUSTED_FORCED);
	for (int i = 0; i < 2; i++)
		fuzz_guard(&fuzz, FUZZ_RAM + i * (FUZZ_BYTES / 2), FUZZ_BYTES / 2,
			   viommu_wgchecker_region(checker[i]));
	while (fuzz_more(&fuzz)) {
		uint8_t what = fuzz_byte(&fuzz);

		if (what < 0x60)
			fuzz_register(&fuzz, viommu_wgchecker_mmio(), checker[what & 1],
				      VIOMMU_WGCHECKER_REGISTERS(3));
		else if (what == 0xff)
			viommu_wgchecker_reset(checker[0]);
		else
			fuzz_access(&fuzz);
	}
	fuzz_destroy(&fuzz);
	for (int i = 0; i < 2; i++)
		viommu_wgchecker_destroy(checker[i]);
	return 0;
}
