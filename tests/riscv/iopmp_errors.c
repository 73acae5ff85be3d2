/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IOPMP: reactions, records, MSI, locks, stalls, snapshots (facts 2.2, 2.3).
 */
#include "kit.h"

enum { OFF = 0, NAPOT = 3 << 3, PR = 1, PW = 2, PX = 4 };
enum {
	HWCFG0 = 0x08, ENTRYOFFSET = 0x2c, MDSTALL = 0x30, MDSTALLH = 0x34, RRIDSCP = 0x38,
	MDLCK = 0x40, MDLCKH = 0x44, MDCFGLCK = 0x48, ENTRYLCK = 0x4c, ERR_CFG = 0x60,
	ERR_INFO = 0x64, REQADDR = 0x68, REQADDRH = 0x6c, REQID = 0x70, MFR = 0x74, MSIADDR = 0x78,
	MSIADDRH = 0x7c, MDCFG = 0x800, SRCMD = 0x1000,
	L = 1, IE = 2, RS = 4, MSI_SEL = 8, STALL_ERROR = 16,
};

static struct viommu_iopmp *iopmp;
static uint32_t entries;
static uint64_t msi_address;
static uint32_t msi_data;
static unsigned int msis;
static int msi_result;

static int msi(void *opaque, uint64_t address, uint32_t data)
{
	msi_address = address;
	msi_data = data;
	msis++;
	return msi_result;
}

static void attach(struct kit *kit, uint32_t flags, struct viommu_iopmp_config *changed)
{
	struct viommu_iopmp_config config = {
		.size = sizeof(config),
		.flags = VIOMMU_IOPMP_TOR | VIOMMU_IOPMP_ENABLED | flags,
		.sources = 40,
		.domains = 63,
		.entries = 16,
		.next = kit->next,
		.irq = kit_irq,
		.irq_opaque = kit,
		.msi = msi,
	};

	if (changed) {
		config.version = changed->version;
		config.srcmd_format = changed->srcmd_format;
		if (changed->sources)
			config.sources = changed->sources;
		if (changed->flags)
			config.msi = NULL;
	}
	assert_int_equal(viommu_iopmp_create(&config, &iopmp), 0);
	kit_attach(kit, viommu_iopmp_region(iopmp), viommu_iopmp_mmio(), iopmp);
	entries = get(kit, config.version == VIOMMU_IOPMP_0_7 ? 0x14 : ENTRYOFFSET);
	for (uint32_t m = 0; m < 63; m++)
		put(kit, MDCFG + 4 * m, m < 16 ? m + 1 : 16);
	for (uint32_t s = 0; config.srcmd_format == 0 && s < 4; s++)
		put(kit, SRCMD + 32 * s, 2u << s);
}

static void detach(struct kit *kit)
{
	kit_detach(kit);
	viommu_iopmp_destroy(iopmp);
}

static void entry(struct kit *kit, uint32_t i, uint64_t address, uint64_t size, uint32_t cfg)
{
	put(kit, entries + 16 * i, (uint32_t)((address | (size / 2 - 1)) >> 2));
	put(kit, entries + 16 * i + 8, cfg | NAPOT);
}

static void test_record(void **state)
{
	struct kit *kit = *state;

	attach(kit, VIOMMU_IOPMP_ADDRH, NULL);
	entry(kit, 0, RAM, 0x1000, PR);
	put(kit, ERR_CFG, IE);
	assert_int_equal(try(kit, 0, RAM + 0x124, 4, W), ERROR);
	assert_true(kit->irq);
	assert_int_equal(get(kit, ERR_INFO), 1 | 2 << 1 | 2 << 4);
	assert_int_equal(get(kit, REQADDR), (RAM + 0x124) >> 2);
	assert_int_equal(get(kit, REQADDRH), 0);
	assert_int_equal(get(kit, REQID), 0);
	/* The first wins until v is cleared (write 1). */
	assert_int_equal(try(kit, 2, RAM + 8, 4, X), ERROR);
	assert_int_equal(get(kit, REQADDR), (RAM + 0x124) >> 2);
	put(kit, ERR_INFO, 0);
	assert_true(kit->irq);
	put(kit, ERR_INFO, 1);
	assert_false(kit->irq);
	assert_int_equal(try(kit, 2, (1ull << 40) + 8, 4, X), ERROR);
	assert_int_equal(get(kit, ERR_INFO), 1 | 3 << 1 | 5 << 4);
	assert_int_equal(get(kit, REQADDRH), 1ull << 40 >> 34);
	assert_int_equal(get(kit, REQID), 0xffff0002);
	put(kit, REQID, 0);
	put(kit, REQADDR, 0x55);
	assert_int_equal(get(kit, REQID), 0xffff0002);
	/* Turning interrupts off lowers the wire. */
	put(kit, ERR_CFG, 0);
	assert_false(kit->irq);
	detach(kit);
	attach(kit, VIOMMU_IOPMP_NO_ERROR_EID, NULL);
	entry(kit, 0, RAM, 0x1000, 0);
	try(kit, 0, RAM, 4, R);
	assert_int_equal(get(kit, REQID), 0xffff0000);
	detach(kit);
	attach(kit, VIOMMU_IOPMP_NO_ERROR_RECORD, NULL);
	put(kit, ERR_CFG, IE);
	assert_true(get(kit, HWCFG0) >> 23 & 1);
	try(kit, 3, RAM + 4, 4, R);
	assert_int_equal(get(kit, REQADDR), 0);
	assert_int_equal(get(kit, ERR_INFO), 1);
	assert_true(kit->irq);
	detach(kit);
}

static void test_reactions(void **state)
{
	struct kit *kit = *state;

	attach(kit, VIOMMU_IOPMP_PEIS | VIOMMU_IOPMP_PEES, NULL);
	entry(kit, 0, RAM, 0x1000, 1 << 5 | 1 << 9); /* sire, sewe */
	put(kit, ERR_CFG, IE);
	assert_int_equal(try(kit, 0, RAM, 4, R), ERROR);
	assert_false(kit->irq);
	assert_int_equal(get(kit, ERR_INFO) & 1, 1); /* the bus error is told of */
	put(kit, ERR_INFO, 1);
	assert_int_equal(try(kit, 0, RAM, 4, W), SILENT);
	assert_true(kit->irq);
	put(kit, ERR_INFO, 1);
	assert_int_equal(try(kit, 0, RAM, 4, X), ERROR);
	assert_true(kit->irq);
	put(kit, ERR_INFO, 1);
	/* rs: no bus errors at all; nobody is told, nothing recorded. */
	put(kit, ERR_CFG, RS);
	assert_int_equal(try(kit, 0, RAM, 4, X), SILENT);
	assert_int_equal(get(kit, ERR_INFO) & 1, 0);
	/* Suppression is for illegal accesses only: a partial hit has none. */
	put(kit, ERR_CFG, IE);
	entry(kit, 0, RAM, 0x1000, 0x7ff & ~0x1f);
	assert_int_equal(try(kit, 0, RAM + 0xffc, 8, R), ERROR);
	assert_true(kit->irq);
	assert_int_equal(get(kit, ERR_INFO) >> 4, 4);
	detach(kit);
	attach(kit, 0, NULL); /* without the extensions the bits are not there */
	entry(kit, 0, RAM, 0x1000, 0x7e0);
	assert_int_equal(get(kit, entries + 8), NAPOT);
	detach(kit);
}

static void test_multi_fault(void **state)
{
	struct kit *kit = *state;

	attach(kit, VIOMMU_IOPMP_MFR, NULL);
	assert_int_equal(try(kit, 1, RAM, 4, R), ERROR);
	assert_int_equal(get(kit, ERR_INFO) >> 8, 0);
	assert_int_equal(get(kit, MFR), 0);
	try(kit, 2, RAM, 4, R);
	try(kit, 17, RAM, 4, R);
	try(kit, 33, RAM, 4, R);
	try(kit, 35, RAM, 4, R);
	try(kit, 99, RAM, 4, R); /* no such source: nowhere to note it */
	assert_int_equal(get(kit, ERR_INFO) >> 8, 1);
	put(kit, MFR, 1 << 16);
	assert_int_equal(get(kit, MFR), 1u << 31 | 1 << 16 | 1 << 1);
	assert_int_equal(get(kit, MFR), 1u << 31 | 2 << 16 | 1 << 1 | 1 << 3);
	assert_int_equal(get(kit, ERR_INFO) >> 8, 1);
	assert_int_equal(get(kit, MFR), 1u << 31 | 0 << 16 | 1 << 2);
	assert_int_equal(get(kit, ERR_INFO) >> 8, 0);
	assert_int_equal(get(kit, MFR) >> 31, 0);
	put(kit, MFR, 0xfff << 16);
	assert_in_range(get(kit, MFR) >> 16, 0, 2);
	detach(kit);
}

static void test_msi(void **state)
{
	struct kit *kit = *state;
	struct viommu_iopmp_config none = { .flags = 1 };
	uint32_t word;

	msis = 0;
	msi_result = 0;
	attach(kit, VIOMMU_IOPMP_MSI, NULL);
	put(kit, MSIADDR, RAM >> 2); /* bits 33:2 without ADDRH */
	put(kit, MSIADDRH, 1);
	assert_int_equal(get(kit, MSIADDRH), 0);
	put(kit, ERR_CFG, IE | MSI_SEL | 0x7a5 << 8);
	try(kit, 1, RAM, 4, R);
	assert_int_equal(msis, 1);
	assert_int_equal(msi_address, RAM);
	assert_int_equal(msi_data, 0x7a5);
	assert_false(kit->irq);
	try(kit, 1, RAM, 4, R); /* not the first: no second message */
	assert_int_equal(msis, 1);
	put(kit, ERR_INFO, 1);
	msi_result = -EIO;
	try(kit, 1, RAM, 4, R);
	assert_int_equal(get(kit, ERR_INFO) & 9, 9);
	put(kit, ERR_INFO, 8);
	assert_int_equal(get(kit, ERR_INFO) & 9, 1);
	/* Locked: the address too. */
	put(kit, ERR_CFG, IE | MSI_SEL | L);
	put(kit, ERR_CFG, 0);
	put(kit, MSIADDR, 0);
	assert_int_equal(get(kit, ERR_CFG), IE | MSI_SEL | L);
	assert_int_equal(get(kit, MSIADDR), RAM >> 2);
	detach(kit);
	/* Byte address with ADDRH; no callback: a write to memory. */
	attach(kit, VIOMMU_IOPMP_MSI | VIOMMU_IOPMP_ADDRH, &none);
	put(kit, MSIADDR, (uint32_t)RAM + 0x40);
	put(kit, ERR_CFG, IE | MSI_SEL | 0x123 << 8);
	try(kit, 1, RAM, 4, R);
	memcpy(&word, kit->ram + 0x40, 4);
	assert_int_equal(word, 0x123);
	put(kit, ERR_INFO, 1);
	put(kit, MSIADDRH, 5); /* nothing there */
	try(kit, 1, RAM, 4, R);
	assert_int_equal(get(kit, ERR_INFO) & 8, 8);
	detach(kit);
	attach(kit, 0, NULL); /* without MSI its fields are not there */
	put(kit, ERR_CFG, 0xffffffff & ~L);
	assert_int_equal(get(kit, ERR_CFG), IE | RS);
	put(kit, MSIADDR, 4);
	assert_int_equal(get(kit, MSIADDR), 0);
	detach(kit);
}

static void test_locks(void **state)
{
	struct kit *kit = *state;
	struct viommu_iopmp_config by_domain = { .srcmd_format = 2, .sources = 32 };

	attach(kit, VIOMMU_IOPMP_SPS, NULL);
	/* Domains: their columns, in every SRCMD register, for good. */
	put(kit, MDLCK, 1 << 3); /* domain 2 */
	put(kit, MDLCKH, 1 << 9); /* domain 40 */
	put(kit, MDLCK, 0);
	assert_int_equal(get(kit, MDLCK), 1 << 3);
	put64(kit, SRCMD + 32 * 5, ~0ull - 1);
	assert_int_equal(get(kit, SRCMD + 32 * 5), 0xfffffffe & ~(1u << 3));
	assert_int_equal(get(kit, SRCMD + 32 * 5 + 4), 0xffffffff & ~(1u << 9));
	put64(kit, SRCMD + 32 * 5 + 8, ~0ull);
	assert_int_equal(get64(kit, SRCMD + 32 * 5 + 8), ~(1ull << 41 | 1 << 3 | 1));
	put(kit, MDLCK, 1);
	put(kit, MDLCK, 1 << 4);
	assert_int_equal(get(kit, MDLCK), 1 << 3 | 1);
	/* A row: all of it. */
	put(kit, SRCMD + 32 * 6, 3);
	put(kit, SRCMD + 32 * 6, 4);
	put(kit, SRCMD + 32 * 6 + 8, 2);
	assert_int_equal(get(kit, SRCMD + 32 * 6), 3);
	assert_int_equal(get(kit, SRCMD + 32 * 6 + 8), 0);
	/* MDCFG and entries: up to f, which only grows, until it is locked itself. */
	put(kit, MDCFGLCK, 2 << 1);
	put(kit, MDCFGLCK, 1 << 1);
	assert_int_equal(get(kit, MDCFGLCK), 2 << 1);
	put(kit, MDCFG + 4, 0);
	put(kit, MDCFG + 8, 0);
	assert_int_equal(get(kit, MDCFG + 4), 2);
	assert_int_equal(get(kit, MDCFG + 8), 0);
	put(kit, MDCFGLCK, 3 << 1 | 1);
	put(kit, MDCFGLCK, 4 << 1);
	assert_int_equal(get(kit, MDCFGLCK), 3 << 1 | 1);
	entry(kit, 0, RAM, 0x1000, PR);
	put(kit, ENTRYLCK, 1 << 1);
	entry(kit, 0, RAM, 0x1000, PW);
	entry(kit, 1, RAM, 0x1000, PW);
	assert_int_equal(get(kit, entries + 8), NAPOT | PR);
	assert_int_equal(get(kit, entries + 16 + 8), NAPOT | PW);
	put(kit, ENTRYLCK, 1);
	assert_int_equal(get(kit, ENTRYLCK), 1 << 1 | 1);
	viommu_iopmp_reset(iopmp);
	assert_int_equal(get(kit, ENTRYLCK), 0);
	assert_int_equal(get(kit, entries + 8), 0);
	detach(kit);
	attach(kit, 0, &by_domain);
	put(kit, MDLCK, 1 << 2); /* domain 1's row of permissions */
	put64(kit, SRCMD + 32, ~0ull);
	put64(kit, SRCMD + 64, ~0ull);
	assert_int_equal(get64(kit, SRCMD + 32), 0);
	assert_int_equal(get64(kit, SRCMD + 64), ~0ull);
	detach(kit);
}

static void test_stall(void **state)
{
	struct kit *kit = *state;
	struct viommu_iopmp_config old = { .version = VIOMMU_IOPMP_0_7 };
	unsigned int changes;

	attach(kit, VIOMMU_IOPMP_STALL, NULL);
	entry(kit, 1, RAM, 0x1000, PR);
	assert_int_equal(try(kit, 1, RAM, 4, R), PASS);
	put(kit, MDSTALLH, 0);
	changes = kit->changes;
	put(kit, MDSTALL, 1 << 2); /* domain 1 */
	assert_true(kit->changes > changes);
	assert_int_equal(try(kit, 1, RAM, 4, R), STALL);
	assert_int_equal(try(kit, 2, RAM, 4, R), ERROR);
	put(kit, SRCMD + 32, 0); /* a snapshot: later changes do not count */
	assert_int_equal(try(kit, 1, RAM, 4, R), STALL);
	put(kit, SRCMD + 32, 4);
	/* Software may have stalled accesses fail. */
	put(kit, ERR_INFO, 1);
	put(kit, ERR_CFG, STALL_ERROR);
	assert_int_equal(try(kit, 1, RAM, 4, R), ERROR);
	assert_int_equal(get(kit, ERR_INFO) >> 4, 7);
	put(kit, ERR_CFG, 0);
	/* Exempt: all others stall. */
	put(kit, MDSTALL, 1 << 2 | 1);
	assert_int_equal(try(kit, 1, RAM, 4, R), PASS);
	assert_int_equal(try(kit, 2, RAM, 4, R), STALL);
	/* One source by name. */
	put(kit, RRIDSCP, 1u << 30 | 1);
	assert_int_equal(get(kit, RRIDSCP), 1u << 30 | 1);
	assert_int_equal(try(kit, 1, RAM, 4, R), STALL);
	put(kit, RRIDSCP, 2u << 30 | 1);
	assert_int_equal(get(kit, RRIDSCP), 2u << 30 | 1);
	assert_int_equal(try(kit, 1, RAM, 4, R), PASS);
	put(kit, RRIDSCP, 2);
	assert_int_equal(get(kit, RRIDSCP), 1u << 30 | 2);
	put(kit, RRIDSCP, 1u << 30 | 100);
	assert_int_equal(get(kit, RRIDSCP), 3u << 30 | 100);
	/* High domains wait for the low word. */
	put(kit, MDSTALLH, 1 << 9);
	put(kit, SRCMD + 32 * 3 + 4, 1 << 9);
	assert_int_equal(try(kit, 1, RAM, 4, R), PASS);
	put(kit, MDSTALL, 0);
	assert_int_equal(try(kit, 3, RAM, 4, R), STALL);
	put(kit, MDSTALLH, 0);
	put(kit, MDSTALL, 0);
	assert_int_equal(try(kit, 3, RAM, 4, R), ERROR);
	detach(kit);
	attach(kit, VIOMMU_IOPMP_STALL | VIOMMU_IOPMP_STALL_BUFFER, NULL);
	put(kit, ERR_CFG, STALL_ERROR);
	assert_int_equal(get(kit, ERR_CFG), 0);
	detach(kit);
	attach(kit, VIOMMU_IOPMP_STALL, &old);
	put(kit, ERR_CFG, STALL_ERROR);
	put(kit, MDSTALL, 1 << 2);
	assert_int_equal(try(kit, 1, RAM, 4, R), ERROR);
	assert_int_equal(get(kit, ERR_INFO) >> 4, 8); /* 0.7's number for it */
	detach(kit);
	attach(kit, 0, NULL);
	put(kit, MDSTALL, 1);
	put(kit, RRIDSCP, 1u << 30 | 1);
	assert_int_equal(get(kit, RRIDSCP), 0);
	assert_int_equal(try(kit, 1, RAM, 4, R), ERROR);
	detach(kit);
}

/* Entry writes tell of the entry's old and new addresses; table writes of everything. */
static void test_changes(void **state)
{
	struct kit *kit = *state;

	attach(kit, 0, NULL);
	entry(kit, 0, RAM + 0x1000, 0x1000, PR);
	put(kit, entries, (uint32_t)((RAM + 0x3000) | 0x7ff) >> 2);
	assert_int_equal(kit->changed_first, RAM + 0x1000);
	assert_int_equal(kit->changed_last, RAM + 0x3fff);
	put(kit, SRCMD, 0);
	assert_int_equal(kit->changed_first, 0);
	assert_int_equal(kit->changed_last, UINT64_MAX);
	kit->changes = 0;
	put(kit, ERR_INFO, 1);
	put(kit, ERR_CFG, IE);
	get(kit, MFR);
	assert_int_equal(kit->changes, 0);
	detach(kit);
}

static void test_snapshot(void **state)
{
	struct kit *kit = *state;
	static uint8_t image[65536];
	size_t length = 1;

	attach(kit, VIOMMU_IOPMP_MFR | VIOMMU_IOPMP_STALL, NULL);
	entry(kit, 1, RAM, 0x1000, PR);
	put(kit, ENTRYLCK, 4 << 1);
	put(kit, ERR_CFG, IE);
	try(kit, 5, RAM, 4, W);
	put(kit, RRIDSCP, 1u << 30 | 9);
	assert_int_equal(viommu_iopmp_save(iopmp, image, &length), -ENOSPC);
	assert_true(length <= sizeof(image));
	assert_int_equal(viommu_iopmp_save(iopmp, image, &length), 0);
	viommu_iopmp_reset(iopmp);
	assert_false(kit->irq);
	assert_int_equal(try(kit, 1, RAM, 4, R), ERROR);
	put(kit, ERR_INFO, 1);
	assert_int_equal(viommu_iopmp_load(iopmp, image, length + 1), -EBADMSG);
	image[9] ^= 1;
	assert_int_equal(viommu_iopmp_load(iopmp, image, length), -EBADMSG);
	image[9] ^= 1;
	assert_int_equal(viommu_iopmp_load(iopmp, image, length), 0);
	assert_true(kit->irq);
	assert_int_equal(get(kit, ENTRYLCK), 4 << 1);
	assert_int_equal(try(kit, 1, RAM, 4, R), PASS);
	assert_int_equal(try(kit, 9, RAM, 4, R), STALL);
	detach(kit);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_create, kit_destroy)
	const struct CMUnitTest tests[] = {
		TEST(test_record), TEST(test_reactions), TEST(test_multi_fault), TEST(test_msi),
		TEST(test_locks), TEST(test_stall), TEST(test_changes), TEST(test_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
