/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz: register writes of an IOPMP in any configuration, snapshots cut and changed, with accesses
 * through a TLB in front.
 */
#include "checker_fuzz.h"

static struct viommu_iopmp *create(struct fuzz *fuzz)
{
	struct viommu_iopmp_config config = {
		.size = sizeof(config),
		.version = fuzz_byte(fuzz) & 1,
		.mdcfg_format = fuzz_byte(fuzz) % 3,
		.srcmd_format = fuzz_byte(fuzz) % 3,
		.sources = 1 + fuzz_byte(fuzz) % 32,
		.domains = 1 + fuzz_byte(fuzz) % 63,
		.entries = 1 + fuzz_byte(fuzz) % 64,
		.domain_entries = 1 + fuzz_byte(fuzz) % 128,
		.granularity = fuzz_byte(fuzz) % 31,
		.flags = fuzz_byte(fuzz) | fuzz_byte(fuzz) << 8 | fuzz_byte(fuzz) << 16,
		.next = fuzz->plain,
	};
	struct viommu_iopmp *iopmp;

	if (config.srcmd_format == 1)
		config.sources = config.domains;
	return viommu_iopmp_create(&config, &iopmp) ? NULL : iopmp;
}

/* A snapshot, with some bytes changed, loaded again: refused or legalised. */
static void snapshot(struct fuzz *fuzz, struct viommu_iopmp *iopmp)
{
	static uint8_t image[65536];
	size_t length = sizeof(image);

	if (viommu_iopmp_save(iopmp, image, &length))
		return;
	for (int i = fuzz_byte(fuzz) & 7; i > 0; i--) {
		uint32_t at = fuzz_byte(fuzz) | fuzz_byte(fuzz) << 8;

		image[at % length] = fuzz_byte(fuzz);
	}
	viommu_iopmp_load(iopmp, image, length - (fuzz_byte(fuzz) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct viommu_iopmp *iopmp;
	struct fuzz fuzz;

	fuzz_create(&fuzz, data, size);
	iopmp = create(&fuzz);
	if (iopmp)
		fuzz_guard(&fuzz, FUZZ_RAM, FUZZ_BYTES, viommu_iopmp_region(iopmp));
	while (iopmp && fuzz_more(&fuzz)) {
		uint8_t what = fuzz_byte(&fuzz);

		if (what < 0x60)
			fuzz_register(&fuzz, viommu_iopmp_mmio(), iopmp, 0x1000);
		else if (what < 0x80)
			fuzz_register(&fuzz, viommu_iopmp_mmio(), iopmp,
				      viommu_iopmp_registers(iopmp));
		else if (what == 0xfe)
			snapshot(&fuzz, iopmp);
		else if (what == 0xff)
			viommu_iopmp_reset(iopmp);
		else
			fuzz_access(&fuzz);
	}
	fuzz_destroy(&fuzz);
	viommu_iopmp_destroy(iopmp);
	return 0;
}
