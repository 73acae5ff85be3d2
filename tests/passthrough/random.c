/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that does anything: random entries, tables, invalidations, switches and resets, on a host that refuses at random.
 *
 * After everything has been invalidated, each PASID and the RID reach what the tables in memory say, or, when the host has refused something
 * in this round, nothing; never anything else. In between, whatever was reached must have been in the tables at some time since the
 * last such point.
 */
#include "world.h"

enum { PASIDS = 12, TABLES = 5, DATA = 0x100000, SEEDS = 40, STEPS = 120 };

struct guest {
	struct world world;
	uint64_t tables[TABLES];     /* first stages; 0x1000 leads to data page `data` */
	uint64_t seconds[TABLES];    /* second stages, the same */
	unsigned int data[TABLES];
	bool on;
};

static unsigned int pick(unsigned int n)
{
	return (unsigned int)rand() % n;
}

static uint16_t did_of(unsigned int n)
{
	return (uint16_t)(20 + n % 3);
}

static void set_leaf(struct guest *guest, unsigned int table, unsigned int data)
{
	uint64_t gpa = DATA + data * 4096ull;

	guest->data[table] = data;
	kit_map_first(&guest->world.kit, guest->tables[table], 4, 0x1000, 1, gpa | FS_P | FS_RW | FS_US);
	kit_map_second(&guest->world.kit, guest->seconds[table], 4, 0x1000, 1, gpa | SS_R | SS_W);
}

static void set_entry(struct guest *guest, uint32_t pasid)
{
	unsigned int table = pick(TABLES), kind = pick(8);
	uint64_t did = did_of((unsigned int)rand()) | PE1_PWSNP;
	struct kit *kit = &guest->world.kit;

	if (kind < 3)
		kit_set_pasid_entry(kit, KIT_RID, pasid, PE_P | PE_FIRST, did, guest->tables[table]);
	else if (kind == 3)
		kit_set_pasid_entry(kit, KIT_RID, pasid, PE_P | PE_PASS | 2 << PE_AW_SHIFT, did, 0);
	else if (kind == 4)
		kit_set_pasid_entry(kit, KIT_RID, pasid,
				    guest->seconds[table] | PE_P | PE_SECOND | 2 << PE_AW_SHIFT, did, 0);
	else if (kind == 5)
		kit_set_pasid_entry(kit, KIT_RID, pasid, PE_P | (uint64_t)pick(8) << 6 | 2 << PE_AW_SHIFT, did,
				    guest->tables[table]);
	else
		kit_set_pasid_entry(kit, KIT_RID, pasid, 0, 0, 0);
}

/* What IOVA 0x1000 (pass-through: DATA) of a PASID leads to by the tables in memory; -EFAULT for nothing. */
static int expected(struct guest *guest, uint32_t pasid, uint64_t *iova)
{
	struct kit *kit = &guest->world.kit;
	bool rid = pasid == VIOMMU_NO_PASID;
	uint64_t entry = kit_pasid_entry(kit, KIT_RID, rid ? 0 : pasid);
	uint64_t word = kit_get(kit, entry), root = kit_get(kit, entry + 16);

	*iova = 0x1000;
	if (!guest->on) {
		*iova = DATA;
		return rid ? 1 : -EFAULT;
	}
	if (!(kit_get(kit, kit_context_scalable(kit, KIT_RID)) & CE_P) || !(word & PE_P))
		return -EFAULT;
	for (unsigned int table = 0; table < TABLES; table++) {
		if (((word & 7 << 6) == PE_FIRST && root == guest->tables[table]) ||
		    ((word & 7 << 6) == PE_SECOND && (word & ~0xfffull) == guest->seconds[table] &&
		     (word >> PE_AW_SHIFT & 7) == 2))
			return (int)guest->data[table] + 1;
	}
	if ((word & 7 << 6) == PE_PASS) {
		*iova = DATA;
		return 1;
	}
	return -EFAULT;
}

static void check_all(struct guest *guest, bool refused, unsigned int seed)
{
	for (uint32_t i = 0; i <= PASIDS; i++) {
		uint32_t pasid = i ? i : VIOMMU_NO_PASID;
		uint64_t iova;
		int want = expected(guest, pasid, &iova), got = world_read(&guest->world, pasid, iova);

		if (got != want && !(refused && got == -EFAULT))
			fail_msg("seed %u, PASID %d: %d, wanted %d", seed, (int)pasid, got, want);
	}
}

static void invalidate_all(struct guest *guest)
{
	struct kit *kit = &guest->world.kit;

	kit_submit(kit, qi_context(1, 0, 0, 0), 0);
	kit_submit(kit, qi_pasid_cache(3, 0, 0), 0);
	kit_submit(kit, qi_iotlb(1, 0), 0);
	assert_true(kit_sync(kit));
}

static void step(struct guest *guest)
{
	struct kit *kit = &guest->world.kit;
	uint32_t pasid = pick(PASIDS + 1);
	uint16_t did = did_of((unsigned int)rand());

	switch (pick(12)) {
	case 0 ... 2:
		set_entry(guest, pasid);
		break;
	case 3:
		set_leaf(guest, pick(TABLES), pick(16));
		break;
	case 4:
		kit_submit(kit, qi_pasid_cache(1, did, pasid), 0);
		break;
	case 5:
		kit_submit(kit, qi_pasid_cache(0, did, 0), 0);
		break;
	case 6:
		kit_submit(kit, qi_piotlb(2 + pick(2), did, pasid), 0x1000);
		break;
	case 7:
		kit_submit(kit, qi_iotlb(2 + pick(2), did), 0x1000);
		break;
	case 8:
		kit_submit(kit, qi_context(1 + pick(3), did, KIT_RID, 0), 0);
		break;
	case 9:
		kit_put(kit, kit_context_scalable(kit, KIT_RID),
			kit_get(kit, kit_context_scalable(kit, KIT_RID)) ^ (pick(4) ? 0 : CE_P));
		break;
	case 10:
		if (pick(4))
			break;
		guest->on ? kit_disable(kit) : kit_enable(kit);
		guest->on = !guest->on;
		break;
	default:
		world_read(&guest->world, pasid ? pasid : VIOMMU_NO_PASID, 0x1000);
		break;
	}
	if (!pick(4))
		assert_true(kit_sync(kit));
}

static void run(unsigned int seed, bool refusals)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	struct world *world = &guest->world;
	uint64_t context;

	srand(seed);
	world_options(world);
	world->options.iotlb_entries = 64;
	world_create(world);
	for (unsigned int page = 0; page < 16; page++)
		world->kit.ram[DATA + page * 4096] = (uint8_t)(page + 1);
	for (unsigned int table = 0; table < TABLES; table++) {
		guest->tables[table] = kit_page(&world->kit);
		guest->seconds[table] = kit_page(&world->kit);
		set_leaf(guest, table, table);
	}
	kit_start(&world->kit, TTM_SCALABLE);
	guest->on = true;
	kit_pasid_entry(&world->kit, KIT_RID, 0);
	context = kit_context_scalable(&world->kit, KIT_RID);
	for (unsigned int i = 0; i < STEPS; i++) {
		if (refusals && !pick(10))
			viommu_host_model_refuse(world->host, pick(VIOMMU_HOST_CALLS - 2), pick(3), 1 + pick(2), -EIO);
		step(guest);
		if (!pick(20)) {
			invalidate_all(guest);
			check_all(guest, refusals, seed);
		}
	}
	/* With a host that is willing again everything is right, whatever went before. */
	for (unsigned int call = 0; call < VIOMMU_HOST_CALLS; call++)
		viommu_host_model_refuse(world->host, call, 0, 0, 0);
	kit_put(&world->kit, context, kit_get(&world->kit, context) | CE_P);
	invalidate_all(guest);
	check_all(guest, false, seed);
	assert_int_equal(world_statistics(world).stuck, 0);
	viommu_passthrough_destroy(world->passthrough);
	assert_int_equal(viommu_host_model_attachments(world->device), 0);
	viommu_host_device_close(world->device);
	world->passthrough = NULL;
	world_destroy(world);
	free(guest);
}

static void willing_host(void **state)
{
	for (unsigned int seed = 1; seed <= SEEDS; seed++)
		run(seed, false);
}

static void refusing_host(void **state)
{
	for (unsigned int seed = 1; seed <= SEEDS; seed++)
		run(1000 + seed, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(willing_host), cmocka_unit_test(refusing_host) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
