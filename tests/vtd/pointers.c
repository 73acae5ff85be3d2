/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What CAP.ESRTPS and CAP.ESIRTPS promise (VT-d 6.6, 6.7): setting a table's pointer invalidates, by
 * itself, everything that was cached of the old table. And that each command which ends the use of
 * something old is complete only when every access that still uses it is over.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "expect.h"

#define NONE VIOMMU_NO_PASID
#define P1   3
#define URW  (FS_P | FS_RW | FS_US)
#define SRW  (SS_R | SS_W)
#define EPM  BIT(31)

/* ---- VT-d 6.6: the root table ---- */

/* One set of tables: two neighbouring pages, which go to `page` and the one after it. */
struct tables {
	uint64_t root, ttm, page;
};

/* Tables of a kind, all of them new: root, contexts, PASID entries, paging structures. */
static struct tables make(struct kit *kit, uint64_t ttm, bool first, uint64_t page)
{
	struct tables tables = { kit_page(kit), ttm, page };
	uint64_t old = kit->root, root;

	kit->root = tables.root;
	if (ttm == TTM_LEGACY) {
		root = kit_setup_legacy(kit, KIT_RID, 4);
	} else {
		root = first ? kit_setup_first(kit, P1, 4) : kit_setup_second(kit, P1, 4);
		kit_set_pasid_entry(kit, KIT_RID, 0, kit_get(kit, kit_pasid_entry(kit, KIT_RID, P1)),
				    KIT_DID | PE1_PWSNP,
				    kit_get(kit, kit_pasid_entry(kit, KIT_RID, P1) + 16));
	}
	for (int i = 0; i < 2; i++) {
		if (first)
			kit_map_first(kit, root, 4, 0x7000 + i * 0x1000, 1,
				      (page + i * 0x1000) | URW);
		else
			kit_map_second(kit, root, 4, 0x7000 + i * 0x1000, 1,
				       (page + i * 0x1000) | SRW);
	}
	kit->root = old;
	return tables;
}

/* Every cache there is: of this thread, IOTLB, context, and the last-level table, by its other page. */
static void expect_tables(struct kit *kit, const struct tables *tables, int pages)
{
	for (int again = 0; again < 2; again++)
		for (int i = 0; i < pages; i++) {
			uint64_t offset = i * 0x1000;

			expect_gpa(kit, NONE, 0x7000 + offset, VIOMMU_READ, tables->page + offset);
			if (tables->ttm == TTM_SCALABLE)
				expect_gpa(kit, P1, 0x7000 + offset, VIOMMU_WRITE,
					   tables->page + offset);
		}
}

/* VT-d 6.6, 11.4.2 ESRTPS: from one table to another, and from one mode to another, while remapping. */
static void set_root_invalidates(void **state)
{
	struct kit *kit = *state;
	struct tables all[] = { make(kit, TTM_LEGACY, false, 0x100000),
				make(kit, TTM_LEGACY, false, 0x110000),
				make(kit, TTM_SCALABLE, true, 0x120000),
				make(kit, TTM_SCALABLE, true, 0x130000),
				make(kit, TTM_SCALABLE, false, 0x140000) };

	assert_true(kit->cap & BIT(63));
	kit_queue_on(kit);
	kit_set_root(kit, all[0].root | all[0].ttm);
	kit_enable(kit);
	for (int from = 0; from < 5; from++)
		for (int to = 0; to < 5; to++)
			for (int pages = 1; pages <= 2; pages++) {
				kit_set_root(kit, all[from].root | all[from].ttm);
				expect_tables(kit, &all[from], pages);
				/* Written, but not set: nothing changes. */
				kit_write(kit, REG_RTADDR, 8, all[to].root | all[to].ttm);
				expect_tables(kit, &all[from], pages);
				kit_set_root(kit, all[to].root | all[to].ttm);
				expect_tables(kit, &all[to], 2);
			}
}

/* VT-d 11.4.4.1 TE: with scalable mode, turning remapping off invalidates everything too. */
static void off_invalidates(void **state)
{
	struct kit *kit = *state;
	struct tables before = make(kit, TTM_SCALABLE, true, 0x120000);
	uint64_t entry;

	kit_queue_on(kit);
	kit_set_root(kit, before.root | TTM_SCALABLE);
	kit_enable(kit);
	expect_tables(kit, &before, 2);
	kit->root = before.root;
	entry = kit_pasid_entry(kit, KIT_RID, P1);
	kit_disable(kit);
	kit_put(kit, entry, 0);
	kit_enable(kit);
	expect_fault(kit, P1, 0x7000, VIOMMU_READ, 0x59);
}

/* ---- VT-d 6.7: the interrupt-remapping table ---- */

static struct kit *create_remapping(void)
{
	static struct kit kit;
	struct viommu_unit_options options;

	viommu_unit_options_init(&options);
	options.interrupt_remapping = true;
	options.protected_memory = true;
	kit_create(&kit, &options);
	return &kit;
}

static int setup_remapping(void **state)
{
	*state = create_remapping();
	return 0;
}

static uint64_t interrupt_table(struct kit *kit, unsigned int vector)
{
	uint64_t table = kit_page(kit);

	for (unsigned int i = 0; i < 256; i++)
		kit_put(kit, table + 16 * i, 1 | (uint64_t)vector << 16);
	return table;
}

static void expect_vector(struct kit *kit, unsigned int vector)
{
	for (uint64_t index = 0; index < 256; index += 51) {
		uint64_t to;
		uint32_t data;

		assert_int_equal(viommu_interrupt(kit->endpoint, 0xfee00010 | index << 5, 0, &to,
						  &data, NULL),
				 0);
		assert_int_equal(data & 0xff, vector);
	}
}

/* VT-d 6.7, 11.4.2 ESIRTPS: no entry of the old table is used after SIRTP. */
static void set_interrupt_table_invalidates(void **state)
{
	struct kit *kit = *state;
	uint64_t tables[] = { interrupt_table(kit, 0x31), interrupt_table(kit, 0x32) };

	assert_true(kit->cap & BIT(62));
	kit_write(kit, REG_IRTA, 8, tables[0] | 7);
	kit_write(kit, REG_GCMD, 4, GCMD_SIRTP);
	kit_write(kit, REG_GCMD, 4, GCMD_IRE);
	for (int round = 0; round < 4; round++) {
		int now = round & 1;

		expect_vector(kit, 0x31 + now);
		kit_write(kit, REG_IRTA, 8, tables[!now] | 7);
		expect_vector(kit, 0x31 + now);
		kit_write(kit, REG_GCMD, 4, GCMD_IRE | GCMD_SIRTP);
		expect_vector(kit, 0x31 + !now);
	}
	/* VT-d 11.4.4.1 IRE: turning it off does the same. */
	kit_write(kit, REG_GCMD, 4, 0);
	kit_put(kit, tables[0] + 16 * 51, 0);
	kit_write(kit, REG_GCMD, 4, GCMD_IRE);
	assert_int_equal(viommu_interrupt(kit->endpoint, 0xfee00010 | 51 << 5, 0, &(uint64_t){ 0 },
					  &(uint32_t){ 0 }, NULL),
			 VIOMMU_FAULT);
}

/* ---- accesses that are under way ---- */

static void set_root(struct kit *kit)
{
	kit_set_root(kit, kit->root | TTM_SCALABLE);
}

static void set_interrupt_table(struct kit *kit)
{
	kit_write(kit, REG_GCMD, 4, kit->gcmd | GCMD_SIRTP);
}

static void interrupts_on(struct kit *kit)
{
	kit_write(kit, REG_GCMD, 4, kit->gcmd | GCMD_IRE);
}

static void interrupts_off(struct kit *kit)
{
	kit_write(kit, REG_GCMD, 4, kit->gcmd);
}

static void to_legacy(struct kit *kit)
{
	kit_set_root(kit, kit->root | TTM_LEGACY);
}

static void context_command(struct kit *kit)
{
	kit_write(kit, REG_CCMD, 8, BIT(63) | 1ull << 61);
	assert_false(kit_read(kit, REG_CCMD, 8) & BIT(63));
}

static void iotlb_command(struct kit *kit)
{
	kit_write(kit, 0x508, 8, BIT(63) | 1ull << 60);
	assert_false(kit_read(kit, 0x508, 8) & BIT(63));
}

static void protect(struct kit *kit)
{
	kit_write(kit, REG_PMEN, 4, EPM);
	assert_int_equal(kit_read(kit, REG_PMEN, 4), EPM | 1);
}

static void unprotect(struct kit *kit)
{
	kit_write(kit, REG_PMEN, 4, 0);
	assert_int_equal(kit_read(kit, REG_PMEN, 4), 0);
}

static void reset(struct kit *kit)
{
	viommu_unit_reset(kit->unit);
}

#define DESCRIPTOR(name, qw0, qw1)                        \
	static void name(struct kit *kit)                 \
	{                                                 \
		assert_true(kit_command(kit, qw0, qw1)); \
	}
DESCRIPTOR(all_contexts, qi_context(1, 0, 0, 0), 0)
DESCRIPTOR(contexts_of_domain, qi_context(2, KIT_DID, 0, 0), 0)
DESCRIPTOR(context_of_device, qi_context(3, KIT_DID, KIT_RID, 0), 0)
DESCRIPTOR(pasid, qi_pasid_cache(1, KIT_DID, P1), 0)
DESCRIPTOR(pasids_of_domain, qi_pasid_cache(0, KIT_DID, 0), 0)
DESCRIPTOR(all_pasids, qi_pasid_cache(3, 0, 0), 0)
DESCRIPTOR(iotlb, qi_iotlb(1, 0), 0)
DESCRIPTOR(iotlb_of_domain, qi_iotlb(2, KIT_DID), 0)
DESCRIPTOR(iotlb_pages, qi_iotlb(3, KIT_DID), 0x7000)
DESCRIPTOR(iotlb_of_pasid, qi_piotlb(2, KIT_DID, P1), 0)
DESCRIPTOR(iotlb_pages_of_pasid, qi_piotlb(3, KIT_DID, P1), 0x7000)
DESCRIPTOR(interrupt_entries, QI_IEC, 0)
DESCRIPTOR(device_tlb, QI_DEVICE_TLB | (uint64_t)KIT_RID << 32, 0x7000)

/* In this order: each finds what the ones before have left. */
static const struct {
	const char *name;
	void (*run)(struct kit *kit);
} actions[] = {
	{ "SRTP", set_root },
	{ "TE on", kit_enable },
	{ "context cache", all_contexts },
	{ "contexts of a domain", contexts_of_domain },
	{ "context of a device", context_of_device },
	{ "PASID", pasid },
	{ "PASIDs of a domain", pasids_of_domain },
	{ "PASID cache", all_pasids },
	{ "IOTLB", iotlb },
	{ "IOTLB of a domain", iotlb_of_domain },
	{ "pages", iotlb_pages },
	{ "IOTLB of a PASID", iotlb_of_pasid },
	{ "pages of a PASID", iotlb_pages_of_pasid },
	{ "interrupt entries", interrupt_entries },
	{ "device TLB", device_tlb },
	{ "SIRTP", set_interrupt_table },
	{ "IRE on", interrupts_on },
	{ "IRE off", interrupts_off },
	{ "PMEN on", protect },
	{ "PMEN off", unprotect },
	{ "to legacy mode", to_legacy },
	{ "CCMD", context_command },
	{ "IOTLB_REG", iotlb_command },
	{ "TE off", kit_disable },
	{ "reset", reset },
};

struct access {
	atomic_bool holds, began, over;
};

/* An access that goes on for a while after the action began. */
static void *hold(void *opaque)
{
	struct access *access = opaque;

	viommu_access_begin();
	access->holds = true;
	while (!access->began)
		sched_yield();
	for (int i = 0; i < 500; i++)
		sched_yield();
	access->over = true;
	viommu_access_end();
	return NULL;
}

/*
 * VT-d 6.5.4, 6.5.5, 11.4.4.1, 11.4.8.1: whatever the action is, the access was over when it was
 * complete. (A unit that does not wait would have to be slower than the other thread to pass.)
 */
static void completion_waits_for_accesses(void **state)
{
	struct kit *kit = *state;

	kit_queue_on(kit);
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		struct access access = { false };
		pthread_t thread;
		bool over;

		assert_int_equal(pthread_create(&thread, NULL, hold, &access), 0);
		while (!access.holds)
			sched_yield();
		access.began = true;
		actions[i].run(kit);
		over = access.over;
		assert_int_equal(pthread_join(thread, NULL), 0);
		if (!over)
			fail_msg("%s did not wait", actions[i].name);
	}
}

#define remapping_test(f) cmocka_unit_test_setup_teardown(f, setup_remapping, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		kit_test(set_root_invalidates),
		kit_test(off_invalidates),
		remapping_test(set_interrupt_table_invalidates),
		remapping_test(completion_waits_for_accesses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
