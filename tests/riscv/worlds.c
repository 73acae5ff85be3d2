/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * WorldGuard CSRs of both versions (facts 1.2, 1.3), wgMarker (1.4), the WID guard (1.1).
 */
#include "kit.h"

enum { U = VIOMMU_MODE_U, S = VIOMMU_MODE_S, M = VIOMMU_MODE_M };
enum { MLWID = VIOMMU_CSR_MLWID, DELEG = VIOMMU_CSR_MWIDDELEG, SLWID = VIOMMU_CSR_SLWID };
enum { MWID = 0x74a, MLWIDLIST = 0x74b };

static const struct viommu_world_config wg04 = {
	.size = sizeof(wg04),
	.version = VIOMMU_WORLDS_WG04,
	.extensions = VIOMMU_SMLWID | VIOMMU_SMWIDDELEG | VIOMMU_SSWID,
	.worlds = 4,
	.mwid = 3,
	.mwidlist = 0xe, /* 1, 2, 3 */
	.trusted_wid = 3,
	.hw_bypass = true,
	.supervisor = true,
	.xlen = 64,
};

static const struct viommu_world_config draft = {
	.size = sizeof(draft),
	.version = VIOMMU_WORLDS_DRAFT,
	.extensions = VIOMMU_SMWID | VIOMMU_SMLWID | VIOMMU_SMLWIDLIST | VIOMMU_SMWIDDELEG |
		      VIOMMU_SSWID,
	.worlds = 8,
	.mwid = 7,
	.mwidlist = 0x7e,
	.pmwidlist = 0x80 | 0x40,
	.supervisor = true,
	.csr_mwid = MWID,
	.csr_mlwidlist = MLWIDLIST,
	.xlen = 64,
};

static uint32_t wid(const struct viommu_world_config *config,
		    const struct viommu_world_state *state, int mode, bool v)
{
	uint32_t value = 99;

	/* 100 more: it may not be used. */
	if (viommu_world_wid(config, state, (enum viommu_riscv_mode)mode, v, &value))
		value += 100;
	return value;
}

static uint64_t read_csr(const struct viommu_world_config *config,
			 const struct viommu_world_state *state, uint32_t csr)
{
	uint64_t value = 12345;

	assert_int_equal(viommu_world_read(config, state, csr, VIOMMU_MODE_M, &value), 0);
	return value;
}

static int write_csr(const struct viommu_world_config *config, struct viommu_world_state *state,
		     uint32_t csr, uint64_t value)
{
	return viommu_world_write(config, state, csr, VIOMMU_MODE_M, value);
}

static void test_04(void **unused)
{
	struct viommu_world_state s;
	uint64_t value;

	viommu_world_reset(&wg04, &s);
	assert_int_equal(wid(&wg04, &s, M, false), 3);
	assert_int_equal(wid(&wg04, &s, S, false), 3); /* reset: the trusted one */
	assert_int_equal(write_csr(&wg04, &s, MLWID, 2), 1);
	assert_int_equal(write_csr(&wg04, &s, MLWID, 2), 0);
	assert_int_equal(wid(&wg04, &s, S, false), 2);
	assert_int_equal(wid(&wg04, &s, U, false), 2); /* nothing delegated */
	write_csr(&wg04, &s, MLWID, 0);
	assert_int_equal(read_csr(&wg04, &s, MLWID), 1); /* illegal: the lowest legal one */
	write_csr(&wg04, &s, MLWID, 1ull << 40);
	assert_int_equal(read_csr(&wg04, &s, MLWID), 1);
	/* slwid is an illegal instruction while nothing is delegated. */
	assert_int_equal(viommu_world_read(&wg04, &s, SLWID, VIOMMU_MODE_M, &value), -EPERM);
	assert_int_equal(viommu_world_write(&wg04, &s, SLWID, VIOMMU_MODE_S, 2), -EPERM);
	/* Delegation changes U-mode's WID at once. */
	assert_int_equal(write_csr(&wg04, &s, DELEG, 0xd), 1);
	assert_int_equal(read_csr(&wg04, &s, DELEG), 0xc);
	assert_int_equal(wid(&wg04, &s, U, false), 2);
	assert_int_equal(wid(&wg04, &s, S, false), 1);
	assert_int_equal(wid(&wg04, &s, S, true), 2); /* VS */
	assert_int_equal(viommu_world_write(&wg04, &s, SLWID, VIOMMU_MODE_S, 3), 1);
	assert_int_equal(wid(&wg04, &s, U, true), 3);
	assert_int_equal(viommu_world_write(&wg04, &s, SLWID, VIOMMU_MODE_S, 1), 1);
	assert_int_equal(read_csr(&wg04, &s, SLWID), 2);
	write_csr(&wg04, &s, SLWID, 3);
	write_csr(&wg04, &s, DELEG, 4); /* takes 3 away */
	assert_int_equal(wid(&wg04, &s, U, false), 2);
	write_csr(&wg04, &s, DELEG, 0);
	assert_int_equal(wid(&wg04, &s, U, false), 1);
	/* From where. */
	assert_int_equal(viommu_world_write(&wg04, &s, MLWID, VIOMMU_MODE_S, 2), -EPERM);
	assert_int_equal(viommu_world_write(&wg04, &s, DELEG, VIOMMU_MODE_S, 2), -EPERM);
	assert_int_equal(viommu_world_read(&wg04, &s, MWID, VIOMMU_MODE_M, &value), -ENOENT);
	write_csr(&wg04, &s, DELEG, 4);
	assert_int_equal(viommu_world_read(&wg04, &s, SLWID, VIOMMU_MODE_U, &value), -EPERM);
}

static void test_04_variants(void **unused)
{
	struct viommu_world_config c = wg04;
	struct viommu_world_state s;
	uint64_t value;

	c.hw_bypass = false;
	viommu_world_reset(&c, &s);
	assert_int_equal(s.mlwid, 1); /* 0 is not in the list */
	c.mwidlist = 0xf;
	viommu_world_reset(&c, &s);
	assert_int_equal(wid(&c, &s, U, false), 0);
	/* Smwg only: M and U, or no delegation. */
	c.extensions = VIOMMU_SMLWID;
	c.supervisor = false;
	assert_int_equal(viommu_world_check(&c), 0);
	viommu_world_reset(&c, &s);
	write_csr(&c, &s, MLWID, 2);
	assert_int_equal(wid(&c, &s, U, false), 2);
	assert_int_equal(viommu_world_read(&c, &s, DELEG, VIOMMU_MODE_M, &value), -ENOENT);
	assert_int_equal(viommu_world_read(&c, &s, SLWID, VIOMMU_MODE_M, &value), -ENOENT);
	/* No extension: the strap for everybody. */
	c.extensions = 0;
	assert_int_equal(wid(&c, &s, U, false), 3);
	assert_int_equal(viommu_world_read(&c, &s, MLWID, VIOMMU_MODE_M, &value), -ENOENT);
}

static void test_draft(void **unused)
{
	const uint64_t lock = 1ull << 63;
	struct viommu_world_state s;

	viommu_world_reset(&draft, &s);
	assert_int_equal(wid(&draft, &s, M, false), 7);
	/* Any value is stored; an illegal one faults when it is used. */
	assert_int_equal(write_csr(&draft, &s, MLWID, 0), 1);
	assert_int_equal(read_csr(&draft, &s, MLWID), 0);
	assert_int_equal(wid(&draft, &s, S, false), 100);
	assert_int_equal(wid(&draft, &s, M, false), 7);
	write_csr(&draft, &s, MLWID, 5);
	assert_int_equal(wid(&draft, &s, S, false), 5);
	assert_int_equal(wid(&draft, &s, U, false), 5);
	/* Lists shrink together. */
	write_csr(&draft, &s, DELEG, 0xff);
	assert_int_equal(read_csr(&draft, &s, DELEG), 0x7e);
	write_csr(&draft, &s, MLWIDLIST, 0xff);
	assert_int_equal(read_csr(&draft, &s, MLWIDLIST), 0x7e);
	write_csr(&draft, &s, MLWIDLIST, 0x32);
	assert_int_equal(read_csr(&draft, &s, DELEG), 0x32);
	write_csr(&draft, &s, SLWID, 2);
	assert_int_equal(read_csr(&draft, &s, SLWID), 2);
	assert_int_equal(wid(&draft, &s, U, false), 102);
	assert_int_equal(wid(&draft, &s, S, false), 5);
	write_csr(&draft, &s, SLWID, 4);
	assert_int_equal(wid(&draft, &s, U, false), 4);
	/* mwid: sticky lock; what is not allowed cannot be used. */
	write_csr(&draft, &s, MWID, 6);
	assert_int_equal(wid(&draft, &s, M, false), 6);
	write_csr(&draft, &s, MWID, 5);
	assert_int_equal(wid(&draft, &s, M, false), 105);
	write_csr(&draft, &s, MWID, lock | 7);
	assert_int_equal(read_csr(&draft, &s, MWID), lock | 7);
	assert_int_equal(write_csr(&draft, &s, MWID, 6), 0);
	assert_int_equal(wid(&draft, &s, M, false), 7);
	assert_int_equal(write_csr(&draft, &s, MLWIDLIST, 0x7e), 0); /* read-only while locked */
	assert_int_equal(read_csr(&draft, &s, MLWIDLIST), 0x32);
}

static void test_draft_variants(void **unused)
{
	struct viommu_world_config c = draft;
	struct viommu_world_state s;

	c.mwid_locked = true;
	c.xlen = 32;
	viommu_world_reset(&c, &s);
	assert_int_equal(read_csr(&c, &s, MWID), 1u << 31 | 7);
	assert_int_equal(write_csr(&c, &s, MWID, 6), 0);
	c.extensions = 0;
	viommu_world_reset(&c, &s);
	for (int mode = 0; mode < 4; mode++)
		assert_int_equal(wid(&c, &s, mode, false), 7);
}

static void test_check(void **unused)
{
	struct viommu_world_config c;

	assert_int_equal(viommu_world_check(&wg04), 0);
	assert_int_equal(viommu_world_check(&draft), 0);
#define REFUSED(base, change) \
	do { \
		c = base; \
		change; \
		assert_int_equal(viommu_world_check(&c), -EINVAL); \
	} while (0)
	REFUSED(wg04, c.worlds = 0);
	REFUSED(wg04, c.worlds = 33);
	REFUSED(wg04, c.mwid = 4);
	REFUSED(wg04, c.mwidlist = 0);
	REFUSED(wg04, c.mwidlist = 0x10);
	REFUSED(wg04, c.trusted_wid = 4);
	REFUSED(wg04, c.supervisor = false);
	REFUSED(wg04, c.extensions = VIOMMU_SMWIDDELEG | VIOMMU_SMLWID);
	REFUSED(wg04, c.extensions = VIOMMU_SMWIDDELEG | VIOMMU_SSWID);
	REFUSED(wg04, c.extensions |= VIOMMU_SMWID);
	REFUSED(draft, c.extensions = VIOMMU_SMLWIDLIST);
	REFUSED(draft, c.version = 2);
	REFUSED(draft, c.xlen = 16);
}

static struct viommu_wgmarker *marker;

static int set_up_marker(void **state)
{
	struct viommu_wgmarker_config config = {
		.size = sizeof(config), .wid = 1, .worlds = 4, .vendor = 9, .implementation = 8,
	};

	kit_create(state);
	config.next = ((struct kit *)*state)->next;
	assert_int_equal(viommu_wgmarker_create(&config, &marker), 0);
	kit_attach(*state, viommu_wgmarker_region(marker), viommu_wgmarker_mmio(), marker);
	return 0;
}

static int tear_down_marker(void **state)
{
	kit_detach(*state);
	viommu_wgmarker_destroy(marker);
	return kit_destroy(state);
}

static void test_marker(void **state)
{
	struct kit *kit = *state;
	uint8_t image[64];
	size_t length = sizeof(image);

	assert_int_equal(get64(kit, 0), 8ull << 32 | 9);
	assert_int_equal(get(kit, 8), 1);
	assert_int_equal(get(kit, 12), 2); /* VALID at reset */
	assert_int_equal(ask(kit, 0, RAM, 8, R).attributes.wid, 1);
	assert_int_equal(ask(kit, 0, RAM, 8, R).attributes.source, 0);
	put(kit, 8, 2);
	assert_int_equal(viommu_wgmarker_wid(marker), 2);
	assert_int_equal(ask(kit, 0, RAM, 8, W).attributes.wid, 2);
	put(kit, 8, 4); /* no such world */
	assert_int_equal(get(kit, 8), 2);
	put(kit, 12, 0);
	assert_int_equal(try(kit, 0, RAM, 8, R), ERROR);
	assert_int_equal(kit->changes, 2);
	put(kit, 12, 0xffffffff);
	assert_int_equal(get(kit, 12), 3);
	assert_int_equal(try(kit, 0, RAM, 8, R), PASS);
	put(kit, 8, 3);
	put(kit, 12, 0);
	assert_int_equal(get64(kit, 8), 3ull << 32 | 2);
	assert_int_equal(viommu_wgmarker_save(marker, image, &length), 0);
	viommu_wgmarker_reset(marker);
	assert_int_equal(get64(kit, 8), 2ull << 32 | 1);
	assert_int_equal(viommu_wgmarker_load(marker, image, length), 0);
	assert_int_equal(get64(kit, 8), 3ull << 32 | 2);
	image[0] ^= 1;
	assert_int_equal(viommu_wgmarker_load(marker, image, length), -EBADMSG);
	put64(kit, 0, ~0ull);
	assert_int_equal(get64(kit, 0), 8ull << 32 | 9);
}

static void test_guard(void **state)
{
	struct kit *kit = *state;
	struct viommu_wid_guard *guard;

	assert_int_equal(viommu_wid_guard_create(32, kit->next, &guard), -EINVAL);
	assert_int_equal(viommu_wid_guard_create(3, NULL, &guard), -EINVAL);
	kit_detach(kit);
	assert_int_equal(viommu_wid_guard_create(3, kit->next, &guard), 0);
	kit_attach(kit, viommu_wid_guard_region(guard), kit->ops, kit->device);
	assert_int_equal(try(kit, 3, RAM, 4, W), PASS);
	assert_int_equal(try(kit, 2, RAM, 4, W), SILENT); /* no bus error */
	assert_int_equal(try(kit, 2, RAM, 4, R), SILENT);
	kit_detach(kit);
	viommu_wid_guard_destroy(guard);
	assert_int_equal(viommu_wid_guard_create(VIOMMU_NO_WID, kit->next, &guard), 0);
	kit_attach(kit, viommu_wid_guard_region(guard), kit->ops, kit->device);
	assert_int_equal(try(kit, 2, RAM, 4, W), PASS);
	kit_detach(kit);
	viommu_wid_guard_destroy(guard);
	kit_attach(kit, viommu_wgmarker_region(marker), kit->ops, kit->device);
}

int main(void)
{
#define MARKER(name) cmocka_unit_test_setup_teardown(name, set_up_marker, tear_down_marker)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_04),    cmocka_unit_test(test_04_variants),
		cmocka_unit_test(test_draft), cmocka_unit_test(test_draft_variants),
		cmocka_unit_test(test_check), MARKER(test_marker),
		MARKER(test_guard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
