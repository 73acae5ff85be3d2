/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wgChecker (facts 1.5), and what others get wrong (1.6), one test each.
 */
#include <stdlib.h>

#include "kit.h"
#include "memory/alloc.h"

enum { OFF, TOR, NA4, NAPOT, ER = 1 << 8, EW = 1 << 9, IR = 1 << 10, IW = 1 << 11 };
#define LOCK	   (1u << 31)
#define SLOT(i)	   (0x20 + 32 * (uint64_t)(i))
#define PERM(w, p) ((uint64_t)(p) << (2 * (w)))
#define IP	   (1ull << 63)
#define BE	   (1ull << 62)

static struct viommu_wgchecker *checker;

static struct viommu_wgchecker_config usual(struct kit *kit)
{
	return (struct viommu_wgchecker_config){
		.size = sizeof(struct viommu_wgchecker_config),
		.start = RAM,
		.length = BYTES,
		.slots = 4,
		.worlds = 4,
		.trusted_wid = 3,
		.vendor = 0x123,
		.implementation = 0x456,
		.next = kit->next,
		.irq = kit_irq,
		.irq_opaque = kit,
	};
}

static void attach(struct kit *kit, const struct viommu_wgchecker_config *config)
{
	assert_int_equal(viommu_wgchecker_create(config, &checker), 0);
	kit_attach(kit, viommu_wgchecker_region(checker), viommu_wgchecker_mmio(), checker);
}

static int set_up(void **state)
{
	struct viommu_wgchecker_config config;

	kit_create(state);
	config = usual(*state);
	attach(*state, &config);
	return 0;
}

static int tear_down(void **state)
{
	kit_detach(*state);
	viommu_wgchecker_destroy(checker);
	return kit_destroy(state);
}

static void slot(struct kit *kit, int i, uint64_t address, uint64_t perm, uint32_t cfg)
{
	put64(kit, SLOT(i), address >> 2);
	put64(kit, SLOT(i) + 8, perm);
	put(kit, SLOT(i) + 16, cfg);
}

static uint64_t napot(uint64_t address, uint64_t size)
{
	return address | (size / 2 - 1);
}

/* Reset: everything denied, silently. */
static void test_default_deny(void **state)
{
	struct kit *kit = *state;

	for (uint32_t wid = 0; wid < 4; wid++)
		for (uint32_t access = R; access <= X; access <<= 1)
			assert_int_equal(try(kit, wid, RAM + 64, 8, access), SILENT);
	assert_int_equal(get64(kit, 0x10), 0);
	assert_false(kit->irq);
}

static void test_identification(void **state)
{
	struct kit *kit = *state;

	assert_int_equal(get(kit, 0), 0x123);
	assert_int_equal(get(kit, 4), 0x456);
	assert_int_equal(get(kit, 8), 4);
	assert_int_equal(get(kit, 0xc), 0); /* NSLOTS is 32 bits; the next word is not it again */
	assert_int_equal(get64(kit, 8), 4);
	/* Read-only registers are. */
	for (uint64_t at = 0; at < 0x10; at += 4)
		put(kit, at, 0xffffffff);
	put64(kit, 0x18, ~0ull);
	assert_int_equal(get(kit, 0), 0x123);
	assert_int_equal(get(kit, 8), 4);
	assert_int_equal(get64(kit, 0x18), 0);
	/* Beyond the last slot, and odd sizes: nothing. */
	put64(kit, SLOT(5), ~0ull);
	assert_int_equal(get64(kit, SLOT(5)), 0);
}

static void test_access_sizes(void **state)
{
	struct kit *kit = *state;
	uint16_t half = 0xffff;
	uint64_t wide = ~0ull;

	put64(kit, SLOT(2) + 8, 0x5a);
	assert_int_equal(kit->ops->write(kit->device, SLOT(2) + 8, &half, 2), 0);
	assert_int_equal(kit->ops->write(kit->device, SLOT(2) + 12, &wide, 8), 0);
	assert_int_equal(get64(kit, SLOT(2) + 8), 0x5a);
	assert_int_equal(kit->ops->read(kit->device, SLOT(2) + 8, &half, 2), 0);
	assert_int_equal(half, 0);
	/* Halves of a 64-bit register, either order. */
	put(kit, SLOT(2) + 4, 0);
	put(kit, SLOT(2), (RAM + 0x3000) >> 2);
	assert_int_equal(get64(kit, SLOT(2)), (RAM + 0x3000) >> 2);
	assert_int_equal(get(kit, SLOT(2)), (RAM + 0x3000) >> 2);
}

static void test_permissions_per_world(void **state)
{
	struct kit *kit = *state;

	slot(kit, 1, napot(RAM, BYTES), PERM(0, 1) | PERM(1, 2) | PERM(2, 3), NAPOT);
	assert_int_equal(try(kit, 0, RAM, 8, R), PASS);
	assert_int_equal(try(kit, 0, RAM, 8, W), SILENT);
	assert_int_equal(try(kit, 0, RAM, 8, X), PASS); /* a fetch is a read */
	assert_int_equal(try(kit, 0, RAM, 8, AMO), SILENT);
	assert_int_equal(try(kit, 1, RAM, 8, R), SILENT);
	assert_int_equal(try(kit, 1, RAM, 8, W), PASS);
	assert_int_equal(try(kit, 1, RAM, 8, X), SILENT);
	assert_int_equal(try(kit, 2, RAM, 8, AMO), PASS);
	assert_int_equal(try(kit, 3, RAM, 8, R), SILENT);
	assert_int_equal(try(kit, 77, RAM, 8, R), SILENT); /* no such world */
	/* Bits of worlds there are not are hardwired 0. */
	put64(kit, SLOT(1) + 8, ~0ull);
	assert_int_equal(get64(kit, SLOT(1) + 8), 0xff);
}

/* An answer holds up to the nearest edge of a slot, for the types alike. */
static void test_answers(void **state)
{
	struct kit *kit = *state;
	struct viommu_target target;

	slot(kit, 1, napot(RAM + 0x4000, 0x4000), PERM(0, 1), NAPOT);
	target = ask(kit, 0, RAM + 0x5000, 8, R);
	assert_int_equal(target.first, RAM + 0x4000);
	assert_int_equal(target.last, RAM + 0x7fff);
	assert_int_equal(target.granted, R | X);
	target = ask(kit, 0, RAM + 0x5000, 8, W);
	assert_int_equal(target.kind, VIOMMU_TARGET_BLOCKED);
	assert_int_equal(target.granted, W);
	target = ask(kit, 0, RAM + 0x1000, 8, W);
	assert_int_equal(target.first, RAM);
	assert_int_equal(target.last, RAM + 0x3fff);
	assert_int_equal(target.granted, RWX);
	/* One that spans an edge gets the stricter, and is for once. */
	target = ask(kit, 0, RAM + 0x7ffc, 8, R);
	assert_int_equal(target.kind, VIOMMU_TARGET_BLOCKED);
	assert_true(target.once);
}

/* Match rule: the union grants; as an option the first slot that matches decides. */
static void test_union_and_priority(void **state)
{
	struct kit *kit = *state;
	struct viommu_wgchecker_config config = usual(kit);

	for (int priority = 0; priority < 2; priority++) {
		slot(kit, 1, napot(RAM, 0x1000), PERM(0, 1), NAPOT);
		slot(kit, 2, napot(RAM, BYTES), PERM(0, 2) | PERM(1, 3), NAPOT);
		assert_int_equal(try(kit, 0, RAM, 4, R), PASS);
		assert_int_equal(try(kit, 0, RAM, 4, W), priority ? SILENT : PASS);
		assert_int_equal(try(kit, 1, RAM, 4, R), priority ? SILENT : PASS);
		assert_int_equal(try(kit, 1, RAM + 0x1000, 4, R), PASS);
		kit_detach(kit);
		viommu_wgchecker_destroy(checker);
		config.flags = VIOMMU_WG_PRIORITY;
		attach(kit, &config);
	}
}

/* TOR: from the end of the slot before, whatever its mode. */
static void test_tor(void **state)
{
	struct kit *kit = *state;

	slot(kit, 1, RAM + 0x2000, 0, OFF);
	slot(kit, 2, RAM + 0x4000, PERM(0, 3), TOR);
	assert_int_equal(try(kit, 0, RAM + 0x1ffc, 4, R), SILENT);
	assert_int_equal(try(kit, 0, RAM + 0x2000, 4, R), PASS);
	assert_int_equal(try(kit, 0, RAM + 0x3ffc, 4, R), PASS);
	assert_int_equal(try(kit, 0, RAM + 0x4000, 4, R), SILENT);
	/* The first TOR slot begins at the range's base: slot 0's address. */
	slot(kit, 1, RAM + 0x2000, PERM(0, 3), TOR);
	assert_int_equal(try(kit, 0, RAM, 4, R), PASS);
	/* After a NAPOT slot: its top. */
	slot(kit, 1, napot(RAM + 0x2000, 0x1000), 0, NAPOT);
	assert_int_equal(try(kit, 0, RAM + 0x2ffc, 4, R), SILENT);
	assert_int_equal(try(kit, 0, RAM + 0x3000, 4, R), PASS);
	/* Low bits of a TOR address are cleared; a TOR that ends before it begins is empty. */
	slot(kit, 2, RAM + 0x4ffc, PERM(0, 3), TOR);
	assert_int_equal(get64(kit, SLOT(2)), (RAM + 0x4000) >> 2);
	slot(kit, 2, RAM + 0x1000, PERM(0, 3), TOR);
	assert_int_equal(try(kit, 0, RAM + 0x1000, 4, R), SILENT);
	/* The last slot ends at the range's end, and has no NAPOT. */
	put64(kit, SLOT(4), 0);
	assert_int_equal(get64(kit, SLOT(4)), (RAM + BYTES) >> 2);
	put64(kit, SLOT(4) + 8, PERM(1, 1));
	put(kit, SLOT(4) + 16, NAPOT);
	assert_int_equal(get(kit, SLOT(4) + 16), OFF);
	put(kit, SLOT(4) + 16, TOR);
	assert_int_equal(get(kit, SLOT(4) + 16), TOR);
	assert_int_equal(try(kit, 1, RAM + BYTES - 4, 4, R), PASS);
}

/* Writing a slot's mode changes its neighbour's range at once (1.6). */
static void test_neighbour(void **state)
{
	struct kit *kit = *state;

	slot(kit, 1, napot(RAM + 0x2000, 0x2000), 0, OFF);
	slot(kit, 2, RAM + 0x8000, PERM(0, 3), TOR);
	assert_int_equal(try(kit, 0, RAM + 0x2000, 4, R), PASS);
	put(kit, SLOT(1) + 16, NAPOT);
	assert_int_equal(try(kit, 0, RAM + 0x3ffc, 4, R), SILENT);
	assert_int_equal(try(kit, 0, RAM + 0x4000, 4, R), PASS);
	put(kit, SLOT(1) + 16, OFF);
	assert_int_equal(try(kit, 0, RAM + 0x3ffc, 4, R), PASS);
}

/* The granule is 4 KiB: NA4 becomes NAPOT of it, a smaller NAPOT too (1.6). */
static void test_granule(void **state)
{
	struct kit *kit = *state;

	slot(kit, 1, RAM + 0x1234, PERM(0, 3), NA4);
	assert_int_equal(get(kit, SLOT(1) + 16), NAPOT);
	assert_int_equal(get64(kit, SLOT(1)), napot(RAM + 0x1000, 0x1000) >> 2);
	assert_int_equal(try(kit, 0, RAM + 0x1000, 4, R), PASS);
	assert_int_equal(try(kit, 0, RAM + 0x1ffc, 4, R), PASS);
	assert_int_equal(try(kit, 0, RAM + 0x2000, 4, R), SILENT);
	slot(kit, 2, napot(RAM + 0x3000, 8), PERM(0, 3), NAPOT);
	assert_int_equal(get64(kit, SLOT(2)), napot(RAM + 0x3000, 0x1000) >> 2);
	assert_int_equal(try(kit, 0, RAM + 0x3ff8, 8, R), PASS);
	/* Out of range: the range's base. */
	slot(kit, 2, RAM + 2 * BYTES, PERM(0, 3), TOR);
	assert_int_equal(get64(kit, SLOT(2)), RAM >> 2);
	slot(kit, 2, 0x1000, PERM(0, 3), NAPOT);
	assert_int_equal(get64(kit, SLOT(2)), napot(RAM, 0x1000) >> 2);
	/* The mode may come after the address, or before. */
	put(kit, SLOT(3) + 16, NAPOT);
	put64(kit, SLOT(3) + 8, PERM(2, 1));
	put64(kit, SLOT(3), napot(RAM + 0x8000, 0x8000) >> 2);
	assert_int_equal(try(kit, 2, RAM + 0xfff8, 8, R), PASS);
}

/* Ranges are naturally aligned, and right from 2 GiB up (1.6). */
static void test_big_range(void **state)
{
	struct kit *kit = *state;
	struct viommu_wgchecker_config config = usual(kit);
	struct viommu_wgchecker *big;
	struct kit other = *kit;

	config.length = 2ull << 30;
	assert_int_equal(viommu_wgchecker_create(&config, &big), 0);
	other.device = big;
	assert_int_equal(get64(&other, SLOT(0)), RAM >> 2);
	assert_int_equal(get64(&other, SLOT(4)), 0x100000000ull >> 2);
	slot(&other, 1, napot(0xc0000000, 1ull << 30), PERM(0, 3), NAPOT);
	assert_int_equal(get64(&other, SLOT(1)), napot(0xc0000000, 1ull << 30) >> 2);
	viommu_wgchecker_destroy(big);
	config.length = 3ull << 30;
	assert_int_equal(viommu_wgchecker_create(&config, &big), 0);
	other.device = big;
	assert_int_equal(get64(&other, SLOT(0)), 0);
	assert_int_equal(get64(&other, SLOT(4)), 0x200000000ull >> 2);
	viommu_wgchecker_destroy(big);
	config.start = 0x1000000000000ull;
	config.length = 1;
	assert_int_equal(viommu_wgchecker_create(&config, &big), 0);
	other.device = big;
	assert_int_equal(get64(&other, SLOT(0)), config.start >> 2);
	assert_int_equal(get64(&other, SLOT(4)), (config.start + 4096) >> 2);
	viommu_wgchecker_destroy(big);
}

/* Slot 0 is fixed but for its reactions, which are the default ones. */
static void test_slot_zero(void **state)
{
	struct kit *kit = *state;

	slot(kit, 0, RAM + 0x5000, ~0ull, NAPOT | ER | IW);
	assert_int_equal(get64(kit, SLOT(0)), RAM >> 2);
	assert_int_equal(get64(kit, SLOT(0) + 8), 0);
	assert_int_equal(get(kit, SLOT(0) + 16), ER | IW);
	assert_int_equal(try(kit, 0, RAM, 4, R), ERROR);
	put64(kit, 0x10, 0);
	assert_int_equal(try(kit, 0, RAM, 4, W), SILENT);
	assert_true(kit->irq);
}

/* Reactions are the OR over the slots that match. */
static void test_reactions(void **state)
{
	struct kit *kit = *state;

	slot(kit, 0, 0, 0, ER | EW);
	slot(kit, 1, napot(RAM, BYTES), PERM(1, 3), NAPOT | IR);
	slot(kit, 2, napot(RAM, 0x1000), 0, NAPOT | EW);
	assert_int_equal(try(kit, 0, RAM + 0x2000, 4, R), SILENT); /* not slot 0's: it matched */
	assert_true(kit->irq);
	assert_int_equal(get64(kit, 0x10), IP | 0x100 | 0);
	assert_int_equal(get64(kit, 0x18), (RAM + 0x2000) >> 2);
	put64(kit, 0x10, 0);
	assert_false(kit->irq);
	assert_int_equal(try(kit, 2, RAM + 0x10, 4, W), ERROR);
	assert_int_equal(get64(kit, 0x10), BE | 0x200 | 2);
	assert_false(kit->irq);
	put64(kit, 0x10, 0);
	put(kit, SLOT(2) + 16, NAPOT | ER); /* one slot's error and the other's interrupt */
	assert_int_equal(try(kit, 2, RAM + 0x10, 4, R), ERROR);
	assert_int_equal(get64(kit, 0x10), BE | IP | 0x100 | 2);
	assert_true(kit->irq);
}

/* The first error wins until software clears it; silent ones are not recorded. */
static void test_first_error(void **state)
{
	struct kit *kit = *state;

	assert_int_equal(try(kit, 1, RAM, 4, R), SILENT);
	assert_int_equal(get64(kit, 0x10), 0);
	put(kit, SLOT(0) + 16, ER | IR | EW | IW);
	assert_int_equal(try(kit, 1, RAM + 0x1238, 4, R), ERROR);
	assert_int_equal(try(kit, 2, RAM + 0x5678, 4, W), ERROR);
	assert_int_equal(get64(kit, 0x10), IP | BE | 0x101);
	assert_int_equal(get64(kit, 0x18), (RAM + 0x1238) >> 2);
	put(kit, 0x14, 0); /* the upper half alone: BE and IP */
	assert_false(kit->irq);
	assert_int_equal(get64(kit, 0x10), 0x101);
	assert_int_equal(try(kit, 2, RAM + 0x5678, 4, X), ERROR);
	assert_int_equal(get64(kit, 0x10), IP | BE | 0x102); /* a fetch is a read */
	put64(kit, 0x10, ~0ull);
	assert_int_equal(get64(kit, 0x10), IP | BE | 0x3ff);
	put64(kit, 0x10, 0);
	assert_int_equal(try(kit, 2, RAM, 4, AMO), ERROR);
	assert_int_equal(get64(kit, 0x10), IP | BE | 0x302);
	assert_true(kit->irq);
}

/* A locked slot ignores writes until reset. */
static void test_lock(void **state)
{
	struct kit *kit = *state;

	slot(kit, 1, napot(RAM, 0x1000), PERM(0, 3), NAPOT | LOCK);
	slot(kit, 1, napot(RAM + 0x4000, 0x1000), PERM(1, 3), OFF);
	assert_int_equal(get(kit, SLOT(1) + 16), NAPOT | LOCK);
	assert_int_equal(get64(kit, SLOT(1) + 8), PERM(0, 3));
	assert_int_equal(get64(kit, SLOT(1)), napot(RAM, 0x1000) >> 2);
	assert_int_equal(try(kit, 0, RAM, 4, R), PASS);
	viommu_wgchecker_reset(checker);
	assert_int_equal(get(kit, SLOT(1) + 16), 0);
	assert_int_equal(try(kit, 0, RAM, 4, R), SILENT);
}

static void test_options(void **state)
{
	struct kit *kit = *state;
	struct viommu_wgchecker_config config = usual(kit);

	kit_detach(kit);
	viommu_wgchecker_destroy(checker);
	config.flags = VIOMMU_WG_HW_BYPASS | VIOMMU_WG_TRUSTED_FORCED;
	attach(kit, &config);
	assert_int_equal(get(kit, SLOT(4) + 16), TOR);
	assert_int_equal(try(kit, 3, RAM + 0x5000, 4, W), PASS);
	assert_int_equal(try(kit, 2, RAM + 0x5000, 4, R), SILENT);
	put64(kit, SLOT(4) + 8, PERM(1, 1));
	assert_int_equal(get64(kit, SLOT(4) + 8), PERM(1, 1) | PERM(3, 3));
	kit_detach(kit);
	viommu_wgchecker_destroy(checker);
	config.flags = VIOMMU_WG_TZ_COMPAT;
	config.worlds = 2;
	config.trusted_wid = 0;
	attach(kit, &config);
	slot(kit, 1, napot(RAM, BYTES), PERM(1, 1), NAPOT);
	assert_int_equal(try(kit, 5, RAM, 4, R), PASS);
	assert_int_equal(try(kit, 4, RAM, 4, R), SILENT);
	assert_int_equal(get64(kit, SLOT(1) + 8), PERM(1, 1));
}

/* Listeners hear of the addresses a write concerns, and of nothing when no rule changed. */
static void test_changes(void **state)
{
	struct kit *kit = *state;
	unsigned int before;

	slot(kit, 1, napot(RAM + 0x4000, 0x1000), PERM(0, 1), NAPOT);
	assert_true(kit->changes > 0);
	assert_int_equal(kit->changed_first, RAM + 0x4000);
	assert_int_equal(kit->changed_last, RAM + 0x4fff);
	before = kit->changes;
	put64(kit, 0x10, 0);
	put(kit, SLOT(0) + 16, ER);
	assert_in_range(kit->changes, before, before + 1);
	put64(kit, SLOT(1), napot(RAM + 0x6000, 0x1000) >> 2); /* the old and the new place */
	assert_int_equal(kit->changed_first, RAM + 0x4000);
	assert_int_equal(kit->changed_last, RAM + 0x6fff);
	viommu_wgchecker_reset(checker);
	assert_int_equal(kit->changed_first, RAM);
	assert_int_equal(kit->changed_last, RAM + BYTES - 1);
}

static void test_snapshot(void **state)
{
	struct kit *kit = *state;
	uint8_t data[1024];
	size_t length = 8;

	slot(kit, 1, napot(RAM, 0x2000), PERM(0, 3), NAPOT | LOCK);
	put(kit, SLOT(0) + 16, IR);
	try(kit, 1, RAM + 0x8000, 4, R);
	assert_int_equal(viommu_wgchecker_save(checker, data, &length), -ENOSPC);
	assert_true(length <= sizeof(data));
	assert_int_equal(viommu_wgchecker_save(checker, data, &length), 0);
	viommu_wgchecker_reset(checker);
	assert_false(kit->irq);
	assert_int_equal(viommu_wgchecker_load(checker, data, length - 1), -EBADMSG);
	data[0] ^= 1;
	assert_int_equal(viommu_wgchecker_load(checker, data, length), -EBADMSG);
	data[0] ^= 1;
	assert_int_equal(viommu_wgchecker_load(checker, data, length), 0);
	assert_true(kit->irq);
	assert_int_equal(get(kit, SLOT(1) + 16), NAPOT | LOCK);
	assert_int_equal(try(kit, 0, RAM + 0x1000, 4, R), PASS);
	assert_int_equal(get64(kit, 0x18), (RAM + 0x8000) >> 2);
}

static void test_refusals(void **state)
{
	struct kit *kit = *state;
	struct viommu_wgchecker_config good = usual(kit), bad;
	struct viommu_wgchecker *other;
	int ret = -ENOMEM;

#define REFUSED(change) \
	do { \
		bad = good; \
		change; \
		assert_int_equal(viommu_wgchecker_create(&bad, &other), -EINVAL); \
	} while (0)
	REFUSED(bad.next = NULL);
	REFUSED(bad.length = 0);
	REFUSED(bad.start = UINT64_MAX);
	REFUSED(bad.slots = 0);
	REFUSED(bad.slots = 1025);
	REFUSED(bad.worlds = 33);
	REFUSED(bad.trusted_wid = 4);
	REFUSED(bad.flags = 1u << 20);
	REFUSED(bad.flags = VIOMMU_WG_HW_BYPASS; bad.trusted_wid = VIOMMU_NO_WID);
	REFUSED(bad.flags = VIOMMU_WG_TZ_COMPAT);
	for (long n = 0; ret; n++) {
		viommu_alloc_fail_nth(n);
		ret = viommu_wgchecker_create(&good, &other);
		viommu_alloc_fail_nth(-1);
		assert_true(!ret || ret == -ENOMEM);
	}
	viommu_wgchecker_destroy(other);
	viommu_wgchecker_destroy(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_default_deny), TEST(test_identification), TEST(test_access_sizes),
		TEST(test_permissions_per_world), TEST(test_answers), TEST(test_union_and_priority),
		TEST(test_tor), TEST(test_neighbour), TEST(test_granule), TEST(test_big_range),
		TEST(test_slot_zero), TEST(test_reactions), TEST(test_first_error), TEST(test_lock),
		TEST(test_options), TEST(test_changes), TEST(test_snapshot), TEST(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
