/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The invalidation queue: every descriptor type and each of its reserved fields, errors and how the
 * queue goes on after them, fences, completion events, wrap-around, both widths.
 */
#include <stdio.h>

#include "expect.h"

#define URW (FS_P | FS_RW | FS_US)

static int setup(void **state)
{
	kit_setup(state);
	kit_start(*state, TTM_SCALABLE);
	return 0;
}

static unsigned int iqe(struct kit *kit)
{
	return kit_read(kit, REG_FSTS, 4) & FSTS_IQE
		       ? (unsigned int)kit_read(kit, REG_IQERCD, 8) & 15
		       : 0;
}

/* Put the head's descriptor right by a harmless one, clear the error: the queue goes on by itself.
 */
static void recover(struct kit *kit)
{
	uint64_t head = kit_read(kit, REG_IQH, 8);

	kit_put(kit, kit->queue + head, QI_WAIT | QI_WAIT_FN);
	for (int i = 1; i < (kit->wide ? 4 : 2); i++)
		kit_put(kit, kit->queue + head + 8 * i, 0);
	kit_write(kit, REG_FSTS, 4, FSTS_IQE);
	assert_false(kit_read(kit, REG_FSTS, 4) & FSTS_IQE);
	assert_int_equal(kit_read(kit, REG_IQH, 8), kit_read(kit, REG_IQT, 8));
}

#define expect_iqe(kit, qw0, qw1, qw2, qw3, code) \
	expect_iqe_at(kit, qw0, qw1, qw2, qw3, code, __LINE__)

static void expect_iqe_at(struct kit *kit, uint64_t qw0, uint64_t qw1, uint64_t qw2, uint64_t qw3,
			  unsigned int code, int line)
{
	uint64_t head = kit_read(kit, REG_IQH, 8);

	kit_submit4(kit, qw0, qw1, qw2, qw3);
	kit_ring(kit);
	if (iqe(kit) != code)
		fail_msg("line %d: %llx %llx %llx %llx: IQE %u, wanted %u", line,
			 (unsigned long long)qw0, (unsigned long long)qw1, (unsigned long long)qw2,
			 (unsigned long long)qw3, iqe(kit), code);
	/* VT-d 6.5.2.11: the head stays on the descriptor. */
	assert_int_equal(kit_read(kit, REG_IQH, 8), head);
	recover(kit);
}

struct layout {
	const char *name;
	uint64_t good[2];
	uint64_t reserved[2];
};

/* VT-d 6.5.2.1 to 6.5.2.9: what each type leaves zero. */
static const struct layout layouts[] = {
	{ "context", { QI_CONTEXT | 1 << 4 }, { 0xfffc00000000f1c0ull, ~0ull } },
	{ "iotlb", { QI_IOTLB | 1 << 4 }, { 0xffffffff0000f100ull, 0xf80 } },
	{ "iotlb page", { QI_IOTLB | 3 << 4 }, { 0xffffffff0000f100ull, 0xf80 } },
	{ "device tlb",
	  { QI_DEVICE_TLB | (uint64_t)KIT_RID << 32 },
	  { 0xffff0000ffe0f1f0ull, 0xffe } },
	{ "wait", { QI_WAIT | QI_WAIT_FN }, { 0xfffff100ull, 3 } },
	{ "piotlb", { QI_PIOTLB | 2 << 4 }, { 0xfff000000000f1c0ull, 0xf80 } },
	{ "piotlb page", { QI_PIOTLB | 3 << 4 }, { 0xfff000000000f1c0ull, 0xf80 } },
	{ "pasid cache", { QI_PASID_CACHE | 3 << 4 }, { 0xfff000000000f1c0ull, ~0ull } },
	{ "pasid device tlb",
	  { QI_PASID_DEVICE_TLB | (uint64_t)KIT_RID << 16 },
	  { 0xfff000000000f000ull, 0x7fe } },
	{ "page response",
	  { QI_PAGE_RESPONSE | (uint64_t)KIT_RID << 16 },
	  { 0xfff00000000001e0ull, ~0xfffull | 3 } },
};

/* VT-d 6.5.2: every reserved bit, one at a time, gives a reserved-field error. */
static void reserved_bits(void **state)
{
	struct kit *kit = *state;

	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		const struct layout *l = &layouts[i];

		kit_submit(kit, l->good[0], l->good[1]);
		if (!kit_sync(kit))
			fail_msg("%s: the good one failed, IQE %u", l->name, iqe(kit));
		for (int bit = 0; bit < 64; bit++) {
			if (l->reserved[0] & BIT(bit))
				expect_iqe(kit, l->good[0] | BIT(bit), l->good[1], 0, 0, 4);
			if (l->reserved[1] & BIT(bit))
				expect_iqe(kit, l->good[0], l->good[1] | BIT(bit), 0, 0, 4);
			expect_iqe(kit, l->good[0], l->good[1], BIT(bit), 0, 4);
			expect_iqe(kit, l->good[0], l->good[1], 0, BIT(bit), 4);
		}
	}
}

/* VT-d 6.5, 6.5.2: types that do not exist, and granularities that do not. */
static void types_and_granularities(void **state)
{
	struct kit *kit = *state;

	expect_iqe(kit, 0, 0, 0, 0, 3);
	for (unsigned int type = 10; type < 16; type++)
		expect_iqe(kit, type, 0, 0, 0, 3);
	/* Bits 11:9 belong to the type. */
	for (unsigned int high = 1; high < 8; high++)
		expect_iqe(kit, QI_WAIT | QI_WAIT_FN | high << 9, 0, 0, 0, 3);
	/* Interrupt-entry invalidation needs interrupt remapping. */
	expect_iqe(kit, QI_IEC, 0, 0, 0, 3);
	expect_iqe(kit, QI_CONTEXT, 0, 0, 0, 4);
	expect_iqe(kit, QI_IOTLB, 0, 0, 0, 4);
	expect_iqe(kit, qi_piotlb(0, 1, 1), 0, 0, 0, 4);
	expect_iqe(kit, qi_piotlb(1, 1, 1), 0, 0, 0, 4);
	expect_iqe(kit, qi_pasid_cache(2, 1, 1), 0, 0, 0, 4);
}

/* VT-d 6.5.2.11: no further descriptor is executed; clearing the error restarts without a new tail. */
static void error_stops_and_clearing_restarts(void **state)
{
	struct kit *kit = *state;

	kit_write(kit, REG_FECTL, 4, 0);
	kit_submit(kit, 14, 0);
	assert_false(kit_sync(kit));
	assert_int_equal(iqe(kit), 3);
	/* The fault event told. */
	assert_int_equal(kit->messages, 1);
	/* New descriptors wait. */
	assert_false(kit_sync(kit));
	assert_int_equal(iqe(kit), 3);
	/* Clearing while the bad one is still there: again. */
	kit_write(kit, REG_FSTS, 4, FSTS_IQE);
	assert_int_equal(iqe(kit), 3);
	recover(kit);
	assert_int_equal((uint32_t)kit_get(kit, kit->status), kit->sequence);
}

/* VT-d 11.4.9, 11.4.9.9: tails that are not in the queue or not on a descriptor. */
static void bad_tails(void **state)
{
	struct kit *kit = *state;

	kit_write(kit, REG_IQT, 8, kit->queue_bytes);
	assert_int_equal(iqe(kit), 1);
	kit_write(kit, REG_IQT, 8, 0);
	kit_write(kit, REG_FSTS, 4, FSTS_IQE);
	assert_int_equal(iqe(kit), 0);
	kit_write(kit, REG_IQT, 8, 0x10);
	assert_int_equal(iqe(kit), 6);
	kit_write(kit, REG_IQT, 8, 0);
	kit_write(kit, REG_FSTS, 4, FSTS_IQE);
	assert_int_equal(iqe(kit), 0);
	assert_true(kit_sync(kit));
}

static void queue_without_memory(void **state)
{
	struct kit *kit = *state;

	kit_queue_off(kit);
	kit->gcmd |= GCMD_QIE;
	kit_write(kit, REG_IQT, 8, 0);
	kit_write(kit, REG_IQA, 8, (kit->ram_size + 0x10000) | BIT(11));
	kit_write(kit, REG_GCMD, 4, kit->gcmd);
	kit_write(kit, REG_IQT, 8, 0x40);
	assert_int_equal(iqe(kit), 2);
}

/* A unit that knows neither scalable mode nor abort mode has no 256-bit queue (VT-d 11.4.9.3 DW). */
static void widths(void **state)
{
	for (int abort = 0; abort < 2; abort++)
		for (int scalable = 0; scalable < 2; scalable++) {
			struct viommu_unit_options options;
			struct kit kit;

			viommu_unit_options_init(&options);
			viommu_unit_options_set(&options, "scalable", scalable ? "on" : "off", NULL,
						0);
			options.abort_mode = abort;
			kit_create(&kit, &options);
			kit.wide = true;
			kit_queue_on(&kit);
			kit_submit(&kit, QI_WAIT | QI_WAIT_FN, 0);
			kit_ring(&kit);
			assert_int_equal(iqe(&kit), scalable || abort ? 0 : 5);
			kit_destroy(&kit);
		}
}

/* A good descriptor of each type. */
static const uint64_t good_of_type[] = {
	[QI_CONTEXT] = QI_CONTEXT | 1 << 4,
	[QI_IOTLB] = QI_IOTLB | 1 << 4,
	[QI_DEVICE_TLB] = QI_DEVICE_TLB | (uint64_t)KIT_RID << 32,
	[QI_IEC] = QI_IEC,
	[QI_WAIT] = QI_WAIT | QI_WAIT_FN,
	[QI_PIOTLB] = QI_PIOTLB | 2 << 4,
	[QI_PASID_CACHE] = QI_PASID_CACHE | 3 << 4,
	[QI_PASID_DEVICE_TLB] = QI_PASID_DEVICE_TLB | (uint64_t)KIT_RID << 16,
	[QI_PAGE_RESPONSE] = QI_PAGE_RESPONSE | (uint64_t)KIT_RID << 16,
};

/* VT-d 6.5.2.11, Table 26, and 11.4.9.9: which types each mode and width know, and the reason why not. */
static void modes_and_types(void **state)
{
	static const uint64_t modes[] = { TTM_LEGACY, TTM_SCALABLE, TTM_RESERVED, TTM_ABORT };

	for (int mode = 0; mode < 4; mode++)
		for (int wide = 0; wide < 2; wide++)
			for (unsigned int type = QI_CONTEXT; type <= QI_PAGE_RESPONSE; type++) {
				bool modern = mode == 1 || mode == 3;
				unsigned int wanted = mode == 2	       ? 7
						      : modern && !wide ? 5
						      : !modern && type > QI_WAIT ? 3
										  : 0;
				struct viommu_unit_options options;
				struct kit kit;

				viommu_unit_options_init(&options);
				options.interrupt_remapping = true;
				kit_create(&kit, &options);
				kit.wide = wide;
				kit_set_root(&kit, kit.root | modes[mode]);
				kit_queue_on(&kit);
				kit_submit(&kit, good_of_type[type], 0);
				kit_ring(&kit);
				if (iqe(&kit) != wanted)
					fail_msg("mode %d, %s, type %u: %u instead of %u", mode,
						 wide ? "wide" : "narrow", type, iqe(&kit), wanted);
				assert_int_equal(kit_read(&kit, REG_IQH, 8), wanted ? 0 : kit.tail);
				kit_destroy(&kit);
			}
}

/* VT-d 11.4.9.9: modes that are not reserved but absent. */
static void modes_without_capability(void **state)
{
	static const struct {
		const char *option;
		uint64_t mode;
	} cases[] = { { "scalable", TTM_SCALABLE }, { "abort-mode", TTM_ABORT } };

	for (int i = 0; i < 2; i++) {
		struct viommu_unit_options options;
		struct kit kit;

		viommu_unit_options_init(&options);
		viommu_unit_options_set(&options, cases[i].option, "off", NULL, 0);
		kit_create(&kit, &options);
		kit.wide = true;
		kit_set_root(&kit, kit.root | cases[i].mode);
		kit_queue_on(&kit);
		kit_submit(&kit, QI_WAIT | QI_WAIT_FN, 0);
		kit_ring(&kit);
		assert_int_equal(iqe(&kit), 7);
		/* The guest corrects the mode and clears the error: it goes on. */
		kit_set_root(&kit, kit.root | TTM_LEGACY);
		kit_write(&kit, REG_FSTS, 4, FSTS_IQE);
		assert_int_equal(iqe(&kit), 0);
		assert_int_equal(kit_read(&kit, REG_IQH, 8), kit.tail);
		kit_destroy(&kit);
	}
}

/* VT-d 6.5.1: the queue is a ring; its end is reached any number of times, in both widths. */
static void wraps_around(void **state)
{
	for (int wide = 0; wide < 2; wide++) {
		struct kit kit;

		kit_create(&kit, NULL);
		kit.wide = wide;
		kit.queue_order = 0;
		kit_queue_on(&kit);
		for (int i = 0; i < 1000; i++) {
			for (int j = 0; j < i % 7; j++)
				kit_submit(&kit, qi_iotlb(1, 0), 0);
			assert_true(kit_sync(&kit));
			assert_int_equal(kit_read(&kit, REG_IQH, 8), kit.tail);
		}
		kit_destroy(&kit);
	}
}

/* The tail by its lower half alone, as Linux writes it. */
static void tail_by_half(void **state)
{
	struct kit *kit = *state;

	kit_submit(kit, QI_WAIT | QI_WAIT_SW | 77ull << 32, kit->status);
	kit_write(kit, REG_IQT, 4, kit->tail);
	assert_int_equal((uint32_t)kit_get(kit, kit->status), 77);
}

/* VT-d 6.5.2.8: SW writes 4 bytes and no more; IF sets IWC and raises the event once. */
static void waits(void **state)
{
	struct kit *kit = *state;

	kit_put(kit, kit->status, ~0ull);
	kit_submit(kit, QI_WAIT | QI_WAIT_SW | 5ull << 32, kit->status);
	kit_ring(kit);
	assert_int_equal(kit_get(kit, kit->status), 0xffffffff00000005);
	kit_submit(kit, QI_WAIT | QI_WAIT_SW | 6ull << 32, kit->status + 4);
	kit_ring(kit);
	assert_int_equal(kit_get(kit, kit->status), 0x600000005);

	kit_write(kit, REG_IEDATA, 4, 0x31);
	/* VT-d 11.4.9.8: destinations of 32 bits. */
	kit_write(kit, REG_IEADDR, 4, 0xfee02000);
	kit_write(kit, REG_IEUADDR, 4, 0x34500);
	kit_submit(kit, QI_WAIT | QI_WAIT_IF, 0);
	kit_ring(kit);
	assert_int_equal(kit_read(kit, REG_ICS, 4), 1);
	assert_int_equal(kit_read(kit, REG_IECTL, 4), EVENT_IM | EVENT_IP);
	assert_int_equal(kit->messages, 0);
	kit_write(kit, REG_IECTL, 4, 0);
	assert_int_equal(kit->messages, 1);
	assert_int_equal(kit->message[0].address, 0x34500fee02000);
	assert_int_equal(kit->message[0].data, 0x31);
	assert_null(kit->message[0].cause);
	/* VT-d 11.4.9.5: masked, it is pending until IWC was cleared. */
	kit_write(kit, REG_IECTL, 4, EVENT_IM);
	kit_write(kit, REG_ICS, 4, 1);
	kit_submit(kit, QI_WAIT | QI_WAIT_IF, 0);
	kit_ring(kit);
	assert_int_equal(kit_read(kit, REG_IECTL, 4), EVENT_IM | EVENT_IP);
	kit_write(kit, REG_ICS, 4, 0);
	assert_int_equal(kit_read(kit, REG_IECTL, 4), EVENT_IM | EVENT_IP);
	kit_write(kit, REG_ICS, 4, 1);
	assert_int_equal(kit_read(kit, REG_IECTL, 4), EVENT_IM);
	kit_write(kit, REG_IECTL, 4, 0);
	assert_int_equal(kit->messages, 1);
	kit_submit(kit, QI_WAIT | QI_WAIT_IF, 0);
	kit_ring(kit);
	assert_int_equal(kit->messages, 2);
	/* While IWC is set there is no second event. */
	kit_submit(kit, QI_WAIT | QI_WAIT_IF, 0);
	kit_ring(kit);
	assert_int_equal(kit->messages, 2);
	kit_write(kit, REG_ICS, 4, 1);
	assert_int_equal(kit_read(kit, REG_ICS, 4), 0);
	kit_submit(kit, QI_WAIT | QI_WAIT_IF | QI_WAIT_FN | QI_WAIT_PD, 0);
	kit_ring(kit);
	assert_int_equal(kit->messages, 3);
}

/* A status address without memory hurts nobody. */
static void wait_into_nowhere(void **state)
{
	struct kit *kit = *state;
	unsigned int logs = kit->logs;

	kit_submit(kit, QI_WAIT | QI_WAIT_SW | 5ull << 32, kit->ram_size + 0x1000);
	kit_ring(kit);
	assert_int_equal(kit->logs, logs + 1);
	assert_true(kit_sync(kit));
	/* VT-d 6.5.2.9: bits beyond HAW are ignored. */
	kit_submit(kit, QI_WAIT | QI_WAIT_SW | 0x5555ull << 32, 0x7fffull << 48 | kit->status);
	kit_ring(kit);
	assert_int_equal((uint32_t)kit_get(kit, kit->status), 0x5555);
	assert_int_equal(kit->logs, logs + 1);
}

/* Waits are counted, and so is everything else. */
static void statistics(void **state)
{
	struct kit *kit = *state;
	struct viommu_statistics before = { .size = sizeof(before) }, after = before;

	viommu_unit_statistics(kit->unit, &before);
	kit_submit(kit, QI_DEVICE_TLB | (uint64_t)KIT_RID << 32, 0x1000);
	kit_submit(kit, qi_page_response(true, 3, KIT_RID, 0), 0);
	assert_true(kit_sync(kit));
	assert_true(kit_sync(kit));
	viommu_unit_statistics(kit->unit, &after);
	assert_int_equal(after.descriptors - before.descriptors, 4);
	assert_int_equal(after.waits - before.waits, 2);
	assert_int_equal(after.device_tlb_invalidations - before.device_tlb_invalidations, 1);
	assert_int_equal(after.page_responses - before.page_responses, 1);
	assert_true(after.drains >= before.drains);
}

/* VT-d 6.5.2.5, 6.5.2.6: ranges of device-TLB descriptors, in the endpoint's terms. */
static void device_tlb_ranges(void **state)
{
	struct kit *kit = *state;
	static const struct {
		uint64_t address;
		bool s;
		uint64_t first, last;
	} cases[] = {
		{ 0x5000, false, 0x5000, 0x5fff },	{ 0x4000, true, 0x4000, 0x5fff },
		{ 0x7000, true, 0x0, 0xffff },		{ 0x8000, true, 0x8000, 0x9fff },
		{ 0x9000, true, 0x8000, 0xbfff },	{ 0x2ff000, true, 0x200000, 0x3fffff },
		{ 0x7ffffffffffff000, true, 0, ~0ull },
	};
	unsigned int n = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(kit_command(kit, QI_DEVICE_TLB | (uint64_t)KIT_RID << 32,
					cases[i].address | cases[i].s));
		assert_int_equal(kit->invalidates, ++n);
		assert_int_equal(kit->invalidate[n - 1].iova, cases[i].first);
		assert_int_equal(kit->invalidate[n - 1].last, cases[i].last);
		assert_int_equal(kit->invalidate[n - 1].pasid, VIOMMU_NO_PASID);
		assert_true(kit_command(kit,
					QI_PASID_DEVICE_TLB | (uint64_t)KIT_RID << 16 | 9ull << 32,
					cases[i].address | (uint64_t)cases[i].s << 11));
		assert_int_equal(kit->invalidates, ++n);
		assert_int_equal(kit->invalidate[n - 1].iova, cases[i].first);
		assert_int_equal(kit->invalidate[n - 1].last, cases[i].last);
		assert_int_equal(kit->invalidate[n - 1].pasid, 9);
		assert_false(kit->invalidate[n - 1].all_pasids);
	}
	/* G: every PASID. */
	assert_true(kit_command(kit, QI_PASID_DEVICE_TLB | (uint64_t)KIT_RID << 16 | 9ull << 32,
				0x1000 | 1));
	assert_true(kit->invalidate[n].all_pasids);
}

/* VT-d 6.5.2.11: a device that never answers is a time-out with its name in IQERCD. */
static void time_out(void **state)
{
	struct kit *kit = *state;

	kit_submit(kit, QI_DEVICE_TLB | 0x1234ull << 32, 0x1000);
	kit_ring(kit);
	assert_true(kit_read(kit, REG_FSTS, 4) & FSTS_ITE);
	assert_int_equal(kit_read(kit, REG_IQERCD, 8) >> 32 & 0xffff, 0x1234);
	assert_false(kit_sync(kit));
	kit_write(kit, REG_FSTS, 4, FSTS_ITE);
	assert_false(kit_read(kit, REG_FSTS, 4) & FSTS_ITE);
	assert_int_equal((uint32_t)kit_get(kit, kit->status), kit->sequence);
	assert_int_equal(kit_read(kit, REG_IQH, 8), kit->tail);
}

/* VT-d 6.5.4: off with descriptors left; on again starts at 0. */
static void off_while_busy(void **state)
{
	struct kit *kit = *state;

	kit_submit(kit, 14, 0);
	kit_submit(kit, qi_iotlb(1, 0), 0);
	kit_ring(kit);
	assert_int_equal(iqe(kit), 3);
	kit_queue_off(kit);
	assert_int_equal(kit_read(kit, REG_IQH, 8), 0);
	kit_write(kit, REG_FSTS, 4, FSTS_IQE);
	kit_queue_on(kit);
	assert_int_equal(iqe(kit), 0);
	assert_true(kit_sync(kit));
}

/* The interrupt-entry cache descriptor of a unit that remaps. */
static void interrupt_entry_cache(void **state)
{
	struct viommu_unit_options options;
	struct kit kit;

	viommu_unit_options_init(&options);
	options.interrupt_remapping = true;
	kit_create(&kit, &options);
	kit_queue_on(&kit);
	assert_true(kit_command(&kit, QI_IEC, 0));
	assert_true(kit_command(&kit, QI_IEC | BIT(4) | 3ull << 27 | 0x1230ull << 32, 0));
	for (int bit = 0; bit < 64; bit++)
		if (BIT(bit) & 0xffff000007fff1e0ull & ~0xe00ull)
			expect_iqe(&kit, QI_IEC | BIT(bit), 0, 0, 0, 4);
	expect_iqe(&kit, QI_IEC, 1, 0, 0, 4);
	kit_destroy(&kit);
}

/* Callbacks may write registers of the unit that is executing them. */
static struct kit *nested_kit;

static void ring_again(void *opaque, uint32_t pasid, bool all, uint64_t iova, uint64_t last)
{
	struct kit *kit = nested_kit;

	if (atomic_fetch_add(&kit->invalidates, 1) < 3) {
		kit_submit(kit, QI_DEVICE_TLB | 0x77ull << 32, 0x1000);
		kit_ring(kit);
	}
}

static void callback_moves_the_tail(void **state)
{
	struct kit *kit = *state;
	const struct viommu_endpoint_ops ops = { .size = sizeof(ops), .invalidate = ring_again };
	struct viommu_endpoint *endpoint;

	nested_kit = kit;
	assert_int_equal(viommu_endpoint_create(kit->unit, 0x77, &ops, NULL, &endpoint), 0);
	kit_submit(kit, QI_DEVICE_TLB | 0x77ull << 32, 0x1000);
	kit_ring(kit);
	assert_int_equal(kit->invalidates, 4);
	assert_int_equal(kit_read(kit, REG_IQH, 8), kit->tail);
	assert_true(kit_sync(kit));
	viommu_endpoint_destroy(endpoint);
}

#define queue_test(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		queue_test(reserved_bits),
		queue_test(types_and_granularities),
		queue_test(error_stops_and_clearing_restarts),
		queue_test(bad_tails),
		queue_test(queue_without_memory),
		cmocka_unit_test(widths),
		cmocka_unit_test(modes_and_types),
		cmocka_unit_test(modes_without_capability),
		cmocka_unit_test(wraps_around),
		queue_test(tail_by_half),
		queue_test(waits),
		queue_test(wait_into_nowhere),
		queue_test(statistics),
		queue_test(device_tlb_ranges),
		queue_test(time_out),
		queue_test(off_while_busy),
		cmocka_unit_test(interrupt_entry_cache),
		queue_test(callback_moves_the_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
