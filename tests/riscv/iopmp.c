/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IOPMP (facts 2.1): the pipeline, models and formats, entries, priorities; and the cache of
 * decisions against none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kit.h"
#include "memory/alloc.h"

enum { OFF = 0, TOR = 1 << 3, NA4 = 2 << 3, NAPOT = 3 << 3, PR = 1, PW = 2, PX = 4 };
enum {
	HWCFG0 = 0x08, HWCFG1 = 0x0c, HWCFG2 = 0x10, HWCFG3 = 0x14, ENTRYOFFSET = 0x2c,
	ERR_CFG = 0x60, ERR_INFO = 0x64, REQADDR = 0x68, REQID = 0x70, MDCFG = 0x800,
	SRCMD = 0x1000,
	IE = 2, RS = 4,
};

static struct viommu_iopmp *iopmp;
static uint32_t entries; /* where they are */

static struct viommu_iopmp_config usual(struct kit *kit)
{
	return (struct viommu_iopmp_config){
		.size = sizeof(struct viommu_iopmp_config),
		.flags = VIOMMU_IOPMP_TOR | VIOMMU_IOPMP_ENABLED | VIOMMU_IOPMP_ADDRH,
		.sources = 8,
		.domains = 4,
		.entries = 16,
		.domain_entries = 4,
		.vendor = 0x42,
		.implementation = 7,
		.specification = 8,
		.next = kit->next,
		.irq = kit_irq,
		.irq_opaque = kit,
	};
}

static void attach(struct kit *kit, const struct viommu_iopmp_config *config)
{
	assert_int_equal(viommu_iopmp_create(config, &iopmp), 0);
	kit_attach(kit, viommu_iopmp_region(iopmp), viommu_iopmp_mmio(), iopmp);
	entries = get(kit, config->version == VIOMMU_IOPMP_0_7 ? 0x14 : ENTRYOFFSET);
}

static void detach(struct kit *kit)
{
	kit_detach(kit);
	viommu_iopmp_destroy(iopmp);
}

static void entry(struct kit *kit, uint32_t i, uint64_t address, uint32_t cfg)
{
	put(kit, entries + 16 * i, (uint32_t)(address >> 2));
	put(kit, entries + 16 * i + 4, (uint32_t)(address >> 34));
	put(kit, entries + 16 * i + 8, cfg);
}

static uint64_t napot(uint64_t address, uint64_t size)
{
	return address | (size / 2 - 1);
}

/* Domain m owns entries 4m..4m+3; source s is in domain s % 4. */
static void tables(struct kit *kit)
{
	for (uint32_t m = 0; m < 4; m++)
		put(kit, MDCFG + 4 * m, 4 * m + 4);
	for (uint32_t s = 0; s < 8; s++)
		put(kit, SRCMD + 32 * s, 2u << s % 4);
}

static uint32_t etype(struct kit *kit)
{
	uint32_t info = get(kit, ERR_INFO);

	put(kit, ERR_INFO, 1);
	return info & 1 ? info >> 4 & 0xf : 0;
}

static void test_disabled(void **state)
{
	struct kit *kit = *state;
	struct viommu_iopmp_config config = usual(kit);

	config.flags &= ~VIOMMU_IOPMP_ENABLED;
	attach(kit, &config);
	assert_int_equal(try(kit, 99, RAM, 8, W), PASS);
	assert_false(get(kit, HWCFG0) & 1);
	put(kit, HWCFG0, 1);
	assert_true(get(kit, HWCFG0) & 1);
	put(kit, HWCFG0, 0); /* W1SS: sticky */
	assert_true(get(kit, HWCFG0) & 1);
	assert_int_equal(try(kit, 0, RAM, 8, W), ERROR);
	assert_int_equal(etype(kit), 5);
	assert_int_equal(try(kit, 8, RAM, 8, R), ERROR);
	assert_int_equal(etype(kit), 6);
	detach(kit);
}

static void test_identification(void **state)
{
	struct kit *kit = *state;
	struct viommu_iopmp_config config = usual(kit);
	uint64_t wide = 0;
	uint8_t byte = 0;

	config.flags |= VIOMMU_IOPMP_SPS | VIOMMU_IOPMP_MFR | VIOMMU_IOPMP_PEIS | VIOMMU_IOPMP_MSI;
	attach(kit, &config);
	assert_int_equal(get(kit, 0), 8 << 24 | 0x42);
	assert_int_equal(get(kit, 4), 7);
	assert_int_equal(get(kit, HWCFG0), 1u << 31 | 1u << 30 | 4 << 24 | 7);
	assert_int_equal(get(kit, HWCFG1), 16 << 16 | 8);
	assert_int_equal(get(kit, HWCFG2), 1u << 31 | 1u << 29 | 1u << 27 | 1u << 26);
	assert_int_equal(get(kit, HWCFG3), 0);
	assert_int_equal(get(kit, ENTRYOFFSET) % 4096, 0);
	assert_true(viommu_iopmp_registers(iopmp) >= entries + 16 * 16);
	/* Access sizes: 8 bytes are two registers; bytes can be read, not written. */
	put64(kit, entries, 0x1234567800000100ull);
	assert_int_equal(get(kit, entries), 0x100);
	assert_int_equal(get(kit, entries + 4), 0x12345678);
	assert_int_equal(kit->ops->read(kit->device, entries + 5, &byte, 1), 0);
	assert_int_equal(byte, 0x56);
	byte = 0xff;
	assert_int_equal(kit->ops->write(kit->device, entries + 5, &byte, 1), 0);
	assert_int_equal(kit->ops->write(kit->device, entries + 4, &wide, 8), 0); /* misaligned */
	assert_int_equal(get64(kit, entries), 0x1234567800000100ull);
	put(kit, viommu_iopmp_registers(iopmp), 1); /* beyond the end */
	assert_int_equal(get(kit, viommu_iopmp_registers(iopmp)), 0);
	detach(kit);
}

static void test_permissions(void **state)
{
	struct kit *kit = *state;
	struct viommu_iopmp_config config = usual(kit);

	attach(kit, &config);
	tables(kit);
	entry(kit, 0, napot(RAM, 0x1000), NAPOT | PR);
	entry(kit, 1, napot(RAM + 0x1000, 0x1000), NAPOT | PW);
	entry(kit, 2, napot(RAM + 0x2000, 0x1000), NAPOT | PX);
	entry(kit, 3, napot(RAM + 0x3000, 0x1000), NAPOT | PR | PW);
	for (uint32_t page = 0; page < 3; page++) {
		for (uint32_t type = 0; type < 3; type++) {
			enum result got = try(kit, 0, RAM + page * 0x1000 + 16, 8, 1u << type);

			assert_int_equal(got, type == page ? PASS : ERROR);
			assert_int_equal(etype(kit), type == page ? 0 : 1 + type);
		}
	}
	assert_int_equal(try(kit, 0, RAM, 8, AMO), ERROR);
	assert_int_equal(etype(kit), 2);
	assert_int_equal(try(kit, 0, RAM + 0x1000, 8, AMO), ERROR);
	assert_int_equal(etype(kit), 2);
	assert_int_equal(try(kit, 0, RAM + 0x3000, 8, AMO), PASS);
	assert_int_equal(try(kit, 1, RAM, 8, R), ERROR); /* another domain */
	assert_int_equal(try(kit, 4, RAM, 8, R), PASS);
	detach(kit);
}

static void test_priority(void **state)
{
	struct kit *kit = *state;
	struct viommu_iopmp_config config = usual(kit);

	attach(kit, &config);
	tables(kit);
	entry(kit, 1, napot(RAM + 0x100, 0x100), NAPOT); /* denies a hole */
	entry(kit, 2, napot(RAM, 0x1000), NAPOT | PR | PW);
	assert_int_equal(try(kit, 0, RAM + 0xf8, 8, R), PASS);
	assert_int_equal(try(kit, 0, RAM + 0x100, 8, R), ERROR);
	assert_int_equal(get(kit, REQID), 1 << 16 | 0);
	assert_int_equal(etype(kit), 1);
	/* Any byte hit: the entry must cover all, whatever it permits. */
	assert_int_equal(try(kit, 0, RAM + 0xfc, 8, R), ERROR);
	assert_int_equal(etype(kit), 4);
	assert_int_equal(try(kit, 0, RAM + 0xfc, 4, R), PASS);
	assert_int_equal(try(kit, 0, RAM + 0xffc, 8, R), ERROR);
	assert_int_equal(get(kit, REQID), 2 << 16 | 0);
	assert_int_equal(etype(kit), 4);
	/* A lower entry wins over a higher one. */
	entry(kit, 0, napot(RAM, 0x2000), NAPOT | PR);
	assert_int_equal(try(kit, 0, RAM + 0x100, 8, R), PASS);
	assert_int_equal(try(kit, 0, RAM + 0x200, 8, W), ERROR);
	detach(kit);
}

static void test_non_priority(void **state)
{
	struct kit *kit = *state;
	struct viommu_iopmp_config config = usual(kit);

	config.flags |= VIOMMU_IOPMP_NON_PRIORITY | VIOMMU_IOPMP_PRIORITY_PROG |
			VIOMMU_IOPMP_PEES | VIOMMU_IOPMP_PEIS;
	config.priority_entries = 1;
	attach(kit, &config);
	tables(kit);
	assert_int_equal(get(kit, HWCFG2), 1 | 3 << 16 | 3 << 27);
	entry(kit, 1, napot(RAM, 0x1000), NAPOT | PR | 7 << 8);
	entry(kit, 2, napot(RAM, 0x2000), NAPOT | PW | 7 << 8);
	assert_int_equal(try(kit, 0, RAM, 8, R), PASS);
	assert_int_equal(try(kit, 0, RAM, 8, W), PASS); /* any that matches may grant */
	assert_int_equal(try(kit, 0, RAM, 8, AMO), PASS);
	/* Denied by all that match, and all suppress the error. */
	assert_int_equal(try(kit, 0, RAM, 8, X), SILENT);
	assert_int_equal(etype(kit), 0);
	entry(kit, 2, napot(RAM, 0x2000), NAPOT | PW);
	assert_int_equal(try(kit, 0, RAM, 8, X), ERROR);
	assert_int_equal(get(kit, REQID), 1 << 16 | 0);
	assert_int_equal(etype(kit), 3);
	/* A partial hit is no match, not an error of its own. */
	assert_int_equal(try(kit, 0, RAM + 0xffc, 8, W), PASS);
	assert_int_equal(try(kit, 0, RAM + 0x1ffc, 8, W), ERROR);
	assert_int_equal(etype(kit), 5);
	/* A priority entry comes first. */
	entry(kit, 0, napot(RAM, 0x100), NAPOT);
	assert_int_equal(try(kit, 0, RAM, 8, R), ERROR);
	/* The boundary is programmable until it is latched. */
	put(kit, HWCFG2, 3);
	assert_int_equal(get(kit, HWCFG2) & 0x1ffff, 0x10003);
	put(kit, HWCFG2, 0xffff);
	assert_int_equal(get(kit, HWCFG2) & 0xffff, 16);
	put(kit, HWCFG2, 2 | 1 << 16);
	assert_int_equal(get(kit, HWCFG2) & 0x1ffff, 2);
	put(kit, HWCFG2, 5);
	assert_int_equal(get(kit, HWCFG2) & 0x1ffff, 2);
	assert_int_equal(try(kit, 0, RAM + 0xffc, 8, W), ERROR);
	assert_int_equal(etype(kit), 1); /* still the first error, unread until now */
	detach(kit);
}

static void test_entry_modes(void **state)
{
	struct kit *kit = *state;
	struct viommu_iopmp_config config = usual(kit);

	attach(kit, &config);
	tables(kit);
	/* TOR: the bound below is the entry before, of whatever domain. */
	entry(kit, 3, RAM + 0x1010, OFF);
	entry(kit, 4, RAM + 0x1020, TOR | PR);
	assert_int_equal(try(kit, 1, RAM + 0x100c, 4, R), ERROR);
	assert_int_equal(try(kit, 1, RAM + 0x1010, 4, R), PASS);
	assert_int_equal(try(kit, 1, RAM + 0x101c, 4, R), PASS);
	assert_int_equal(try(kit, 1, RAM + 0x1020, 4, R), ERROR);
	entry(kit, 3, RAM + 0x1018, OFF);
	assert_int_equal(try(kit, 1, RAM + 0x1010, 4, R), ERROR);
	entry(kit, 0, RAM + 8, TOR | PR); /* from 0 */
	assert_int_equal(try(kit, 0, 0, 8, R), PASS);
	assert_int_equal(ask(kit, 0, RAM, 8, R).kind, VIOMMU_TARGET_RAM);
	entry(kit, 5, RAM + 0x2004, NA4 | PR);
	assert_int_equal(try(kit, 1, RAM + 0x2004, 4, R), PASS);
	assert_int_equal(try(kit, 1, RAM + 0x2008, 4, R), ERROR);
	put(kit, entries + 16 * 6, 0xffffffff);
	put(kit, entries + 16 * 6 + 4, 0xffffffff);
	put(kit, entries + 16 * 6 + 8, NAPOT | PW);
	assert_int_equal(try(kit, 1, UINT64_MAX - 7, 8, W), PASS);
	detach(kit);
	/* No TOR, coarse granularity, no high addresses: WARL. */
	config.flags &= ~(VIOMMU_IOPMP_TOR | VIOMMU_IOPMP_ADDRH);
	config.granularity = 4; /* 64 bytes */
	attach(kit, &config);
	tables(kit);
	entry(kit, 0, RAM, NAPOT | PR);
	put(kit, entries + 8, TOR | PR);
	assert_int_equal(get(kit, entries + 8), NAPOT | PR);
	put(kit, entries + 8, NA4 | PW);
	assert_int_equal(get(kit, entries + 8), NAPOT | PW);
	put(kit, entries, RAM >> 2);
	assert_int_equal(get(kit, entries), RAM >> 2 | 7); /* G - 1 ones */
	put(kit, entries + 8, 0xffffffe0 | PW); /* OFF; no suppression here */
	assert_int_equal(get(kit, entries + 8), PW);
	put(kit, entries, 0xffffffff);
	assert_int_equal(get(kit, entries), 0xfffffff0);
	put(kit, entries + 4, 1);
	assert_int_equal(get(kit, entries + 4), 0);
	put(kit, entries, RAM >> 2 | 7);
	put(kit, entries + 8, NAPOT | PW);
	assert_int_equal(try(kit, 0, RAM + 56, 8, W), PASS);
	assert_int_equal(try(kit, 0, RAM + 64, 8, W), ERROR);
	detach(kit);
}

/* The named models and the unnamed pairs: the same policy through each. */
static void test_models(void **state)
{
	struct kit *kit = *state;

	for (uint32_t srcmd = 0; srcmd < 3; srcmd++) {
		for (uint32_t mdcfg = 0; mdcfg < 3; mdcfg++) {
			struct viommu_iopmp_config config = usual(kit);

			config.srcmd_format = srcmd;
			config.mdcfg_format = mdcfg;
			config.sources = 4;
			attach(kit, &config);
			assert_int_equal(get(kit, HWCFG3) & 0x7ff,
					 mdcfg | srcmd << 2 | (mdcfg ? 3 << 4 : 0));
			tables(kit);
			entry(kit, 6, napot(RAM, 0x1000), NAPOT | (srcmd == 2 ? 0 : PR | PW));
			entry(kit, 10, napot(RAM + 0x1000, 0x1000), NAPOT | PR);
			if (srcmd == 2) { /* SRCMD_PERM of domain 1: source 1 reads and writes */
				assert_int_equal(get(kit, SRCMD + 32), 2u << 1);
				put64(kit, SRCMD + 32, 3u << 2);
				put64(kit, SRCMD, 0);
				put64(kit, SRCMD + 64, 0);
				put64(kit, SRCMD + 96, 0);
				assert_int_equal(get64(kit, SRCMD + 32), 3u << 2);
			}
			assert_int_equal(try(kit, 1, RAM, 8, W), PASS);
			assert_int_equal(try(kit, 2, RAM, 8, W), ERROR);
			/* Format 2: every source has every domain; X comes with R. */
			assert_int_equal(try(kit, 2, RAM + 0x1000, 8, R), PASS);
			assert_int_equal(try(kit, 1, RAM + 0x1000, 8, R),
					 srcmd == 2 ? PASS : ERROR);
			assert_int_equal(try(kit, 1, RAM, 8, X), srcmd == 2 ? PASS : ERROR);
			if (mdcfg)
				assert_int_equal(get(kit, MDCFG + 4), 0);
			if (srcmd == 1)
				assert_int_equal(get(kit, SRCMD + 32), 0);
			detach(kit);
		}
	}
}

static void test_mdcfg(void **state)
{
	struct kit *kit = *state;
	struct viommu_iopmp_config config = usual(kit);

	attach(kit, &config);
	tables(kit);
	entry(kit, 9, napot(RAM, 0x1000), NAPOT | PR); /* domain 2's */
	assert_int_equal(try(kit, 2, RAM, 8, R), PASS);
	put(kit, MDCFG + 4, 10); /* domain 1 takes up to 9 */
	assert_int_equal(try(kit, 2, RAM, 8, R), ERROR);
	assert_int_equal(try(kit, 1, RAM, 8, R), PASS);
	put(kit, MDCFG, 12); /* decreasing: domains 1 and 2 are empty */
	assert_int_equal(try(kit, 0, RAM, 8, R), PASS);
	assert_int_equal(try(kit, 1, RAM, 8, R), ERROR);
	put(kit, MDCFG + 12, 0xfffff); /* past the last entry: off */
	assert_int_equal(get(kit, MDCFG + 12), 0xffff);
	assert_int_equal(try(kit, 3, RAM, 8, R), ERROR);
	detach(kit);
	/* Format 2: k is programmable until enable, and never more than fits. */
	config.mdcfg_format = 2;
	config.flags |= VIOMMU_IOPMP_MD_ENTRY_PROG;
	config.flags &= ~VIOMMU_IOPMP_ENABLED;
	attach(kit, &config);
	put(kit, HWCFG3, 1 << 4);
	assert_int_equal(get(kit, HWCFG3) >> 4 & 0x7f, 1);
	put(kit, HWCFG3, 0x7f << 4);
	assert_int_equal(get(kit, HWCFG3) >> 4 & 0x7f, 3);
	put(kit, HWCFG3, 1 << 4);
	put(kit, HWCFG0, 1);
	put(kit, HWCFG3, 2 << 4);
	assert_int_equal(get(kit, HWCFG3) >> 4 & 0x7f, 1);
	put(kit, SRCMD, 4); /* source 0 in domain 1: entries 2 and 3 */
	entry(kit, 3, napot(RAM, 0x1000), NAPOT | PR);
	assert_int_equal(try(kit, 0, RAM, 8, R), PASS);
	detach(kit);
}

static void test_secondary(void **state)
{
	struct kit *kit = *state;
	struct viommu_iopmp_config config = usual(kit);

	config.flags |= VIOMMU_IOPMP_SPS;
	attach(kit, &config);
	tables(kit);
	entry(kit, 0, napot(RAM, 0x1000), NAPOT | PR | PW | PX);
	assert_int_equal(try(kit, 0, RAM, 8, R), ERROR); /* AND with nothing */
	put(kit, SRCMD + 8, 2);
	assert_int_equal(try(kit, 0, RAM, 8, R), PASS);
	assert_int_equal(try(kit, 0, RAM, 8, W), ERROR);
	assert_int_equal(try(kit, 0, RAM, 8, X), ERROR); /* X has its own register */
	put(kit, SRCMD + 0x18, 2);
	assert_int_equal(try(kit, 0, RAM, 8, X), PASS);
	put(kit, SRCMD + 0x10, 2);
	assert_int_equal(try(kit, 0, RAM, 8, W), PASS);
	assert_int_equal(try(kit, 4, RAM, 8, W), ERROR); /* another source of the domain */
	detach(kit);
	config.version = VIOMMU_IOPMP_0_7; /* there, R means fetch too */
	attach(kit, &config);
	tables(kit);
	entry(kit, 0, napot(RAM, 0x1000), NAPOT | PR | PW | PX);
	put(kit, SRCMD + 8, 2);
	put(kit, SRCMD + 0x18, 0);
	assert_int_equal(try(kit, 0, RAM, 8, X), PASS);
	assert_int_equal(get(kit, SRCMD + 0x18), 0);
	detach(kit);
}

static void test_fetch_and_write_options(void **state)
{
	struct kit *kit = *state;
	struct viommu_iopmp_config config = usual(kit);

	config.flags |= VIOMMU_IOPMP_FETCH_IS_READ | VIOMMU_IOPMP_NO_WRITE;
	attach(kit, &config);
	tables(kit);
	entry(kit, 0, napot(RAM, 0x1000), NAPOT | PR | PW);
	assert_int_equal(get(kit, HWCFG3) & 0x3800, 0x2800);
	assert_int_equal(try(kit, 0, RAM, 8, X), PASS);
	assert_int_equal(try(kit, 0, RAM, 8, W), ERROR);
	assert_int_equal(etype(kit), 5);
	entry(kit, 0, napot(RAM, 0x1000), NAPOT | PW);
	assert_int_equal(try(kit, 0, RAM, 8, X), ERROR);
	assert_int_equal(get(kit, ERR_INFO) >> 1 & 3, 1); /* a read it is */
	assert_int_equal(etype(kit), 1);
	detach(kit);
	config.flags = VIOMMU_IOPMP_ENABLED | VIOMMU_IOPMP_NO_FETCH;
	attach(kit, &config);
	tables(kit);
	entry(kit, 0, napot(RAM, 0x1000), NAPOT | PR | PX);
	assert_int_equal(try(kit, 0, RAM, 8, X), ERROR);
	assert_int_equal(etype(kit), 5);
	detach(kit);
}

static void test_translation_of_source(void **state)
{
	struct kit *kit = *state;
	struct viommu_iopmp_config config = usual(kit);

	config.flags |= VIOMMU_IOPMP_RRID_TRANSL | VIOMMU_IOPMP_RRID_TRANSL_PROG;
	config.source_translation = 77;
	attach(kit, &config);
	tables(kit);
	entry(kit, 0, napot(RAM, 0x1000), NAPOT | PR);
	assert_int_equal(ask(kit, 0, RAM, 8, R).attributes.source, 77);
	put(kit, HWCFG3, 5u << 16);
	assert_int_equal(ask(kit, 0, RAM, 8, R).attributes.source, 5);
	put(kit, HWCFG3, 6u << 16 | 1 << 15);
	put(kit, HWCFG3, 7u << 16);
	assert_int_equal(get(kit, HWCFG3) >> 14, 6u << 2 | 1);
	detach(kit);
}

static void test_07_layout(void **state)
{
	struct kit *kit = *state;
	struct viommu_iopmp_config config = usual(kit);

	config.version = VIOMMU_IOPMP_0_7;
	config.flags = VIOMMU_IOPMP_TOR | VIOMMU_IOPMP_STALL | VIOMMU_IOPMP_MFR |
		       VIOMMU_IOPMP_NON_PRIORITY | VIOMMU_IOPMP_PRIORITY_PROG;
	config.priority_entries = 16;
	config.mdcfg_format = 1;
	config.source_translation = 0;
	attach(kit, &config);
	assert_int_equal(get(kit, HWCFG0), 1 | 1 << 4 | 1 << 7 | 1 << 10 | 1 << 13 | 1 << 16 |
						   3 << 17 | 4 << 24);
	assert_int_equal(get(kit, 0x14), entries);
	assert_int_equal(get(kit, 0x2c), 0);
	assert_int_equal(get(kit, HWCFG2), 16);
	put(kit, HWCFG2, 3);
	put(kit, HWCFG0, 1 << 7 | 1u << 31); /* latch, and enable */
	put(kit, HWCFG2, 4);
	assert_int_equal(get(kit, HWCFG2), 3);
	assert_true(get(kit, HWCFG0) >> 31);
	assert_int_equal(try(kit, 0, RAM, 8, R), ERROR);
	detach(kit);
}

/* Decisions from the cache are those made afresh, for random rules and accesses of any extent. */
static void test_cache(void **state)
{
	struct kit *kit = *state;
	struct viommu_iopmp_config config = usual(kit);
	uint64_t random = (uint64_t)time(NULL) * 2 + 1;
	struct viommu_iopmp *plain;
	struct viommu_map *map;

	printf("  seed %llu\n", (unsigned long long)random);
	config.flags |= VIOMMU_IOPMP_NON_PRIORITY;
	config.priority_entries = 9;
	attach(kit, &config);
	assert_int_equal(viommu_map_create(kit->memory, &map), 0);
	assert_int_equal(viommu_iopmp_create(&config, &plain), 0);
	assert_int_equal(viommu_map_add_region(map, 0, UINT64_MAX, viommu_iopmp_region(plain)), 0);
	for (int step = 0; step < 200000; step++) {
		struct viommu_request request;
		struct viommu_target cached, fresh;
		uint64_t address;

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		address = RAM + (random >> 40) % 0x2000;
		if (step % 64 == 0) {
			uint32_t i = random >> 33 & 15, cfg = random >> 20 & 0x1f;
			uint32_t at = i % 3 ? entries + 16 * (random >> 37 & 15)
					    : SRCMD + 32 * (i & 7);
			uint32_t value = i % 3 == 1 ? (uint32_t)(address >> 2)
					 : i % 3    ? cfg
						    : (uint32_t)(random >> 45) & 0x1e;

			at += i % 3 == 2 ? 8 : 0;
			if (step % 4096 == 0)
				tables(kit);
			put(kit, at, value);
		}
		/* The other one forgets its decisions before each request. */
		request = (struct viommu_request){
			.address = address,
			.last = address + (random >> 30 & 15),
			.access = 1u << random % 3,
			.attributes = { .source = (random >> 25) % 9 },
		};
		if (step % 64 == 0) {
			static uint8_t image[65536];
			size_t length = sizeof(image);

			assert_int_equal(viommu_iopmp_save(iopmp, image, &length), 0);
			assert_int_equal(viommu_iopmp_load(plain, image, length), 0);
		}
		viommu_iopmp_mmio()->write(plain, entries + 16 * 15 + 8, &(uint32_t){ 0 }, 4);
		if (step % 64 == 0)
			put(kit, entries + 16 * 15 + 8, 0);
		viommu_map_translate(kit->map, &request, &cached);
		viommu_map_translate(map, &request, &fresh);
		assert_int_equal(cached.kind, fresh.kind);
		assert_true(cached.kind == VIOMMU_TARGET_RAM || cached.region == kit->region);
	}
	viommu_map_destroy(map);
	viommu_iopmp_destroy(plain);
	detach(kit);
}

static void test_refusals(void **state)
{
	struct kit *kit = *state;
	struct viommu_iopmp_config good = usual(kit), bad;
	struct viommu_iopmp *other;
	int ret = -ENOMEM;

#define REFUSED(change) \
	do { \
		bad = good; \
		change; \
		assert_int_equal(viommu_iopmp_create(&bad, &other), -EINVAL); \
	} while (0)
	REFUSED(bad.next = NULL);
	REFUSED(bad.domains = 0);
	REFUSED(bad.domains = 64);
	REFUSED(bad.entries = 0);
	REFUSED(bad.sources = 65536);
	REFUSED(bad.srcmd_format = 1);
	REFUSED(bad.srcmd_format = 3);
	REFUSED(bad.srcmd_format = 2; bad.sources = 33);
	REFUSED(bad.srcmd_format = 2; bad.flags |= VIOMMU_IOPMP_SPS);
	REFUSED(bad.mdcfg_format = 1; bad.domain_entries = 0);
	REFUSED(bad.granularity = 31);
	REFUSED(bad.entry_offset = 0x1000);
	REFUSED(bad.entry_offset = 0x2001);
	REFUSED(bad.flags |= VIOMMU_IOPMP_PRIORITY_PROG);
	REFUSED(bad.flags |= VIOMMU_IOPMP_STALL_BUFFER);
	REFUSED(bad.flags |= 1u << 31);
	for (long n = 0; ret; n++) {
		viommu_alloc_fail_nth(n);
		ret = viommu_iopmp_create(&good, &other);
		viommu_alloc_fail_nth(-1);
		assert_true(!ret || ret == -ENOMEM);
	}
	viommu_iopmp_destroy(other);
	viommu_iopmp_destroy(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_create, kit_destroy)
	const struct CMUnitTest tests[] = {
		TEST(test_disabled), TEST(test_identification), TEST(test_permissions),
		TEST(test_priority), TEST(test_non_priority), TEST(test_entry_modes),
		TEST(test_models), TEST(test_mdcfg), TEST(test_secondary),
		TEST(test_fetch_and_write_options), TEST(test_translation_of_source),
		TEST(test_07_layout), TEST(test_cache), TEST(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
