/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Performance monitoring (VT-d 10, 11.4.13) and enhanced commands (11.4.14): what the registers say
 * and take, each command and its errors, what each event counts, and overflows on the very event.
 */
#include <errno.h>
#include <pthread.h>

#include "expect.h"

#define URW (FS_P | FS_RW | FS_US)
#define P1  3

enum {
	REG_PERFCAP = 0x300,
	REG_PERFCFGOFF = 0x310,
	REG_PERFFRZOFF = 0x314,
	REG_PERFOVFOFF = 0x318,
	REG_PERFCNTROFF = 0x31c,
	REG_PERFINTRSTS = 0x324,
	REG_PERFINTRCTL = 0x328,
	REG_PERFINTRDATA = 0x32c,
	REG_PERFINTRADDR = 0x330,
	REG_PERFEVNTCAP = 0x380,
	REG_ECMD = 0x400,
	REG_ECRSP = 0x410,
	REG_ECCAP3 = 0x448,
	ENABLE = 240,
	DISABLE = 241,
	RESET_CONFIGURATION = 242,
	RESET_VALUES = 243,
	FREEZE = 244,
	UNFREEZE = 245,
	DONE = 0,
	UNDEFINED = 1,
	FAILED = 16,
};

#define TOP (BIT(48) - 1)

/* Configurations: group, bits of events; the flags are VT-d 11.4.13.15. */
#define CONFIG(group, select) ((uint64_t)(group) << 8 | (uint64_t)(select) << 32)
#define MEMORY_READS	      CONFIG(1, 1 << 0)
#define REQUESTS_POSTED	      CONFIG(1, 1 << 6)
#define REQUESTS_OVERFLOW     CONFIG(1, 1 << 7)
#define PASID_LOOKUP	      CONFIG(2, 1 << 2)
#define PASID_HIT	      CONFIG(2, 1 << 3)
#define IOTLB_LOOKUP	      CONFIG(3, 1 << 0)
#define IOTLB_HIT	      CONFIG(3, 1 << 1)
#define IOTLB_BOTH	      CONFIG(3, 3)
#define INTERRUPT	      2
#define FREEZE_ALL	      4
#define EN		      1

static int setup(void **state)
{
	static struct kit kit;
	struct viommu_unit_options options;

	viommu_unit_options_init(&options);
	options.performance_monitoring = true;
	kit_create(&kit, &options);
	*state = &kit;
	return 0;
}

#define perfmon_test(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)

static uint64_t config_at(struct kit *kit, unsigned int n)
{
	return kit_read(kit, REG_PERFCFGOFF, 4) + 256 * n;
}

static uint64_t counter_at(struct kit *kit, unsigned int n)
{
	return kit_read(kit, REG_PERFCNTROFF, 4) +
	       n * (1024ull << (kit_read(kit, REG_PERFCAP, 8) >> 52 & 7));
}

static uint64_t counter(struct kit *kit, unsigned int n)
{
	return kit_read(kit, counter_at(kit, n), 8);
}

static uint64_t overflow(struct kit *kit)
{
	return kit_read(kit, kit_read(kit, REG_PERFOVFOFF, 4), 8);
}

static uint64_t frozen(struct kit *kit)
{
	return kit_read(kit, kit_read(kit, REG_PERFFRZOFF, 4), 8);
}

/* The status code. */
static unsigned int command(struct kit *kit, unsigned int number, uint64_t operand)
{
	uint64_t response;

	kit_write(kit, REG_ECMD, 8, number | operand << 16);
	response = kit_read(kit, REG_ECRSP, 8);
	assert_int_equal(response & ~0xfeull, 0);
	return response >> 1;
}

static void start(struct kit *kit, unsigned int n, uint64_t config)
{
	kit_write(kit, config_at(kit, n), 8, config);
	assert_int_equal(command(kit, ENABLE, n), DONE);
}

static uint64_t map_one(struct kit *kit)
{
	uint64_t root;

	kit_start(kit, TTM_SCALABLE);
	root = kit_setup_first(kit, P1, 4);
	kit_map_first(kit, root, 4, 0x1000, 1, 0x5000 | URW);
	return root;
}

static void translate(struct kit *kit, unsigned int times)
{
	while (times--)
		expect_gpa(kit, P1, 0x1000, VIOMMU_READ, 0x5000);
}

/* VT-d 10.1, 11.4.13.1 to 11.4.13.6, 11.4.13.14, 11.4.14.5: what a driver finds. */
static void capabilities(void **state)
{
	struct kit *kit = *state;
	uint64_t cap = kit_read(kit, REG_PERFCAP, 8);
	uint64_t ends[4];

	assert_true(kit->cap & BIT(61));
	assert_true(kit->ecap & BIT(51));
	assert_int_equal(cap & 0xffff, 2);	    /* NCNTR */
	assert_int_equal(cap >> 16 & 0x7f, 48);	    /* CW */
	assert_int_equal(cap >> 24 & 0x1f, 4);	    /* EGCNT */
	assert_int_equal(cap >> 32 & 0x1f, 0);	    /* no filters */
	assert_int_equal(cap >> 48 & 7, 7);	    /* CWE, GFS, IOS */
	assert_int_equal(cap >> 51 & 0xf, 0);	    /* PCCS, CS */
	assert_int_equal(kit_read(kit, REG_PERFEVNTCAP, 8), 0);
	assert_int_equal(kit_read(kit, REG_PERFEVNTCAP + 8, 8), 0xc1);
	assert_int_equal(kit_read(kit, REG_PERFEVNTCAP + 16, 8), 0xc);
	assert_int_equal(kit_read(kit, REG_PERFEVNTCAP + 24, 8), 3);
	assert_int_equal(kit_read(kit, REG_ECCAP3, 8), 0x3full << 48);
	for (uint32_t offset = 0x420; offset < REG_ECCAP3; offset += 8)
		assert_int_equal(kit_read(kit, offset, 8), 0);
	/* Counters aligned to their stride, configuration to 256, the others to 8; in the window. */
	assert_int_equal(counter_at(kit, 0) % 1024, 0);
	assert_int_equal(config_at(kit, 0) % 256, 0);
	ends[0] = counter_at(kit, 1) + 8;
	ends[1] = config_at(kit, 1) + 256;
	ends[2] = kit_read(kit, REG_PERFFRZOFF, 4) + 8;
	ends[3] = kit_read(kit, REG_PERFOVFOFF, 4) + 8;
	for (int i = 0; i < 4; i++)
		assert_true(ends[i] <= VIOMMU_UNIT_WINDOW);
	/* Per-counter capabilities: none, as zeros. */
	assert_int_equal(kit_read(kit, config_at(kit, 1) + 0x80, 4), 0);
}

/* VT-d 11.4.13, 11.4.14: without the capabilities there are no such registers. */
static void absent(void **state)
{
	struct kit *kit = *state;
	uint64_t value;

	assert_false(kit->cap & BIT(61));
	assert_int_equal(viommu_unit_read(kit->unit, REG_PERFCAP, 8, &value), -EINVAL);
	assert_int_equal(viommu_unit_read(kit->unit, REG_ECRSP, 8, &value), -EINVAL);
	assert_int_equal(viommu_unit_write(kit->unit, REG_ECMD, 8, ENABLE), -EINVAL);
}

/* VT-d 11.4.13.7 to 11.4.13.23: what each register takes. */
static void register_bits(void **state)
{
	struct kit *kit = *state;
	uint64_t config = config_at(kit, 0);

	kit_write(kit, config, 8, ~0ull);
	/* ES, EGI, GFO, IO; EN is the command's. */
	assert_int_equal(kit_read(kit, config, 8), 0x0fffffff00000f06);
	/* VT-d 11.4.13.16 to 11.4.13.20: filters are not there. */
	for (uint64_t offset = config + 8; offset <= config + 0x18; offset += 4) {
		kit_write(kit, offset, 4, 0xffffffff);
		assert_int_equal(kit_read(kit, offset, 4), 0);
	}
	kit_write(kit, counter_at(kit, 0), 8, ~0ull);
	assert_int_equal(counter(kit, 0), TOP);
	/* VT-d 10.3: by halves too. */
	kit_write(kit, counter_at(kit, 1) + 4, 4, 0x12345);
	kit_write(kit, counter_at(kit, 1), 4, 0x777);
	assert_int_equal(counter(kit, 1), 0x234500000777);
	kit_write(kit, kit_read(kit, REG_PERFFRZOFF, 4), 8, ~0ull);
	assert_int_equal(frozen(kit), 0);
	kit_write(kit, kit_read(kit, REG_PERFOVFOFF, 4), 8, ~0ull);
	assert_int_equal(overflow(kit), 0);
	kit_write(kit, REG_PERFCAP, 8, 0);
	assert_int_equal(kit_read(kit, REG_PERFCAP, 8) & 0xffff, 2);
	/* VT-d 11.4.13.8 */
	assert_int_equal(kit_read(kit, REG_PERFINTRCTL, 4), EVENT_IM);
	kit_write(kit, REG_PERFINTRCTL, 4, 0x7fffffff);
	assert_int_equal(kit_read(kit, REG_PERFINTRCTL, 4), 0);
	kit_write(kit, REG_PERFINTRADDR, 8, 0x12fee01003);
	assert_int_equal(kit_read(kit, REG_PERFINTRADDR, 8), 0x12fee01000);
	kit_write(kit, REG_PERFINTRSTS, 4, 0xffffffff);
	assert_int_equal(kit_read(kit, REG_PERFINTRSTS, 4), 0);
}

/* VT-d 11.4.13, Table 51: the configuration of an enabled counter holds still. */
static void enabled_holds_still(void **state)
{
	struct kit *kit = *state;

	start(kit, 0, IOTLB_LOOKUP);
	assert_int_equal(kit_read(kit, config_at(kit, 0), 8), IOTLB_LOOKUP | EN);
	kit_write(kit, config_at(kit, 0), 8, PASID_HIT);
	assert_int_equal(kit_read(kit, config_at(kit, 0), 8), IOTLB_LOOKUP | EN);
	assert_int_equal(command(kit, DISABLE, 0), DONE);
	assert_int_equal(kit_read(kit, config_at(kit, 0), 8), IOTLB_LOOKUP);
	kit_write(kit, config_at(kit, 0), 8, PASID_HIT);
	assert_int_equal(kit_read(kit, config_at(kit, 0), 8), PASID_HIT);
}

/* VT-d 10.5, 11.4.14.1, 11.4.14.3 */
static void command_errors(void **state)
{
	static const uint64_t bad[] = { CONFIG(3, 0), CONFIG(3, 4), CONFIG(0, 1),
					CONFIG(4, 1), CONFIG(15, 1), CONFIG(2, 0xd) };
	struct kit *kit = *state;

	assert_int_equal(command(kit, 0, 0), UNDEFINED);
	assert_int_equal(command(kit, 239, 0), UNDEFINED);
	assert_int_equal(command(kit, 246, 0), UNDEFINED);
	assert_int_equal(command(kit, 255, 0), UNDEFINED);
	assert_int_equal(command(kit, DISABLE, 2), FAILED);
	assert_int_equal(command(kit, DISABLE, BIT(47)), FAILED);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		kit_write(kit, config_at(kit, 0), 8, bad[i]);
		assert_int_equal(command(kit, ENABLE, 0), FAILED);
		assert_false(kit_read(kit, config_at(kit, 0), 8) & EN);
	}
	kit_write(kit, config_at(kit, 0), 8, IOTLB_BOTH);
	assert_int_equal(command(kit, ENABLE, 2), FAILED);
	assert_int_equal(command(kit, ENABLE, BIT(32)), FAILED);
	assert_int_equal(command(kit, ENABLE, 0), DONE);
	assert_int_equal(command(kit, ENABLE, 0), DONE);
	/* VT-d 11.4.14.1: by halves; the upper alone is no command. */
	kit_write(kit, REG_ECMD + 4, 4, 0);
	assert_int_equal(kit_read(kit, REG_ECRSP, 8) >> 1, DONE);
	kit_write(kit, REG_ECMD, 4, 246);
	assert_int_equal(kit_read(kit, REG_ECRSP, 8) >> 1, UNDEFINED);
	kit_write(kit, REG_ECMD + 4, 4, 0);
	kit_write(kit, REG_ECMD, 4, DISABLE);
	assert_int_equal(kit_read(kit, REG_ECRSP, 8) >> 1, DONE);
	assert_false(kit_read(kit, config_at(kit, 0), 8) & EN);
}

/* VT-d 10.7: each event, against what happened. */
static void what_events_count(void **state)
{
	struct kit *kit = *state;

	map_one(kit);
	start(kit, 0, IOTLB_LOOKUP);
	start(kit, 1, IOTLB_HIT);
	translate(kit, 100);
	assert_int_equal(counter(kit, 0), 100);
	assert_int_equal(counter(kit, 1), 99);
	/* A counter that is read goes on. */
	translate(kit, 10);
	assert_int_equal(counter(kit, 0), 110);
	assert_int_equal(counter(kit, 1), 109);
	assert_int_equal(command(kit, DISABLE, 0), DONE);
	translate(kit, 5);
	assert_int_equal(counter(kit, 0), 110);
	assert_int_equal(counter(kit, 1), 114);

	/* Another kind in the same counter; its value stays. VT-d 10.2: events of a group add up. */
	start(kit, 0, IOTLB_BOTH);
	translate(kit, 5);
	assert_int_equal(counter(kit, 0), 120);
}

/* VT-d 10.7: the PASID cache, and what walks read. */
static void contexts_and_reads(void **state)
{
	struct kit *kit = *state;
	struct viommu_statistics before = { .size = sizeof(before) }, after = before;
	struct viommu_translation t;

	map_one(kit);
	start(kit, 0, PASID_LOOKUP);
	start(kit, 1, PASID_HIT);
	translate(kit, 10);
	assert_int_equal(counter(kit, 0), 10);
	assert_int_equal(counter(kit, 1), 9);
	/* One look-up each, of another PASID, which has to be read. */
	kit_set_pasid_entry(kit, KIT_RID, 0, PE_P | PE_PASS, KIT_DID, 0);
	assert_int_equal(viommu_translated_request(kit->endpoint, 0x5000, VIOMMU_READ, &t), 0);
	assert_int_equal(counter(kit, 0), 11);
	assert_int_equal(counter(kit, 1), 9);
	assert_true(kit_flush_all(kit));
	assert_int_equal(command(kit, DISABLE, 0), DONE);
	assert_int_equal(command(kit, RESET_VALUES, 0), DONE);
	start(kit, 0, MEMORY_READS);
	viommu_unit_statistics(kit->unit, &before);
	translate(kit, 1);
	viommu_unit_statistics(kit->unit, &after);
	assert_int_equal(counter(kit, 0), after.table_reads - before.table_reads);
	/* Root, context, directory and PASID entry, four levels. */
	assert_true(counter(kit, 0) >= 8);
	assert_int_equal(counter(kit, 1), 0);
	translate(kit, 1);
	assert_int_equal(counter(kit, 0), after.table_reads - before.table_reads);
	assert_int_equal(counter(kit, 1), 1);
}

/* VT-d 10.7: page requests that reach the queue and those it has no room for. */
static void page_requests(void **state)
{
	struct kit *kit = *state;

	map_one(kit);
	kit_write(kit, REG_PQA, 8, kit_page(kit));
	start(kit, 0, REQUESTS_POSTED);
	start(kit, 1, REQUESTS_OVERFLOW);
	for (int i = 0; i < 130; i++)
		assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x9000, VIOMMU_READ, 4,
						     true),
				 0);
	assert_int_equal(counter(kit, 0), 127);
	assert_int_equal(counter(kit, 1), 3);
	/* Each looked for its context. */
	assert_int_equal(command(kit, DISABLE, 0), DONE);
	kit_write(kit, counter_at(kit, 0), 8, 0);
	start(kit, 0, PASID_LOOKUP);
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x9000, VIOMMU_READ, 4, false), 0);
	assert_int_equal(counter(kit, 0), 1);
	/* Not the last of its group: no response. */
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x9000, VIOMMU_READ, 4, false), 0);
	assert_int_equal(counter(kit, 1), 3);
}

/* VT-d 10.3.2, 11.4.13.12: frozen counters keep what they have and go on from there. */
static void freeze(void **state)
{
	struct kit *kit = *state;

	map_one(kit);
	start(kit, 0, IOTLB_LOOKUP);
	start(kit, 1, IOTLB_LOOKUP);
	translate(kit, 3);
	assert_int_equal(command(kit, FREEZE, 0), DONE);
	assert_int_equal(frozen(kit), 3);
	translate(kit, 50);
	assert_int_equal(counter(kit, 0), 3);
	/* Disabling lets it go, and its count begins again only with enabling. */
	assert_int_equal(command(kit, DISABLE, 1), DONE);
	assert_int_equal(frozen(kit), 1);
	assert_int_equal(command(kit, UNFREEZE, 0), DONE);
	assert_int_equal(frozen(kit), 0);
	translate(kit, 4);
	assert_int_equal(counter(kit, 0), 7);
	assert_int_equal(counter(kit, 1), 3);
	assert_int_equal(command(kit, ENABLE, 1), DONE);
	translate(kit, 1);
	assert_int_equal(counter(kit, 1), 4);
	/* Unfreezing what counts all the time loses nothing. */
	assert_int_equal(command(kit, UNFREEZE, 0), DONE);
	assert_int_equal(counter(kit, 0), 8);
	/* VT-d 10.2: reset of values and of configuration. */
	assert_int_equal(command(kit, RESET_VALUES, 0), DONE);
	translate(kit, 2);
	assert_int_equal(counter(kit, 0), 2);
	assert_int_equal(command(kit, FREEZE, 0), DONE);
	assert_int_equal(command(kit, RESET_CONFIGURATION, 0), DONE);
	assert_int_equal(frozen(kit), 0);
	assert_int_equal(kit_read(kit, config_at(kit, 0), 8), 0);
	translate(kit, 2);
	assert_int_equal(counter(kit, 0), 2);
}

/* VT-d 10.3.1, 10.6: the event that makes it roll over raises the interrupt, though it hits. */
static void overflow_interrupts(void **state)
{
	struct kit *kit = *state;

	map_one(kit);
	translate(kit, 10);
	kit_write(kit, REG_PERFINTRDATA, 4, 0x55);
	kit_write(kit, REG_PERFINTRADDR, 8, 0x1200fee02000);
	kit_write(kit, REG_PERFINTRCTL, 4, 0);
	kit_write(kit, counter_at(kit, 0), 8, TOP - 4);
	start(kit, 0, IOTLB_LOOKUP | INTERRUPT);
	start(kit, 1, IOTLB_HIT);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(kit->messages, 0);
		translate(kit, 1);
	}
	assert_int_equal(kit->messages, 1);
	assert_int_equal(kit->message[0].address, 0x1200fee02000);
	assert_int_equal(kit->message[0].data, 0x55);
	assert_null(kit->message[0].cause);
	assert_int_equal(kit_read(kit, REG_PERFINTRSTS, 4), 1);
	assert_int_equal(overflow(kit), 1);
	/* It goes on beyond zero. */
	translate(kit, 6);
	assert_int_equal(counter(kit, 0), 6);
	assert_int_equal(counter(kit, 1), 11);
	assert_int_equal(frozen(kit), 0);
	kit_write(kit, kit_read(kit, REG_PERFOVFOFF, 4), 8, 2);
	assert_int_equal(overflow(kit), 1);
	kit_write(kit, kit_read(kit, REG_PERFOVFOFF, 4), 8, 1);
	assert_int_equal(overflow(kit), 0);
	kit_write(kit, REG_PERFINTRSTS, 4, 1);
	assert_int_equal(kit_read(kit, REG_PERFINTRSTS, 4), 0);
	/* VT-d 10.3: writing it while it counts. */
	kit_write(kit, counter_at(kit, 0), 8, TOP);
	translate(kit, 1);
	assert_int_equal(kit->messages, 2);
	assert_int_equal(counter(kit, 0), 0);
}

/* VT-d 11.4.13.8: masked it stays pending; serviced it is gone. */
static void masked_interrupts(void **state)
{
	struct kit *kit = *state;

	map_one(kit);
	kit_write(kit, counter_at(kit, 0), 8, TOP);
	start(kit, 0, IOTLB_LOOKUP | INTERRUPT);
	translate(kit, 1);
	assert_int_equal(kit->messages, 0);
	assert_int_equal(kit_read(kit, REG_PERFINTRCTL, 4), EVENT_IM | EVENT_IP);
	kit_write(kit, REG_PERFINTRCTL, 4, 0);
	assert_int_equal(kit->messages, 1);
	kit_write(kit, REG_PERFINTRCTL, 4, EVENT_IM);
	kit_write(kit, counter_at(kit, 0), 8, TOP);
	translate(kit, 1);
	assert_int_equal(kit_read(kit, REG_PERFINTRCTL, 4), EVENT_IM | EVENT_IP);
	kit_write(kit, REG_PERFINTRSTS, 4, 1);
	assert_int_equal(kit_read(kit, REG_PERFINTRCTL, 4), EVENT_IM);
	kit_write(kit, REG_PERFINTRCTL, 4, 0);
	assert_int_equal(kit->messages, 1);
	/* Without the interrupt bit there is the overflow and nothing else. */
	assert_int_equal(command(kit, DISABLE, 0), DONE);
	kit_write(kit, kit_read(kit, REG_PERFOVFOFF, 4), 8, 1);
	kit_write(kit, counter_at(kit, 0), 8, TOP);
	start(kit, 0, IOTLB_LOOKUP);
	translate(kit, 1);
	assert_int_equal(overflow(kit), 1);
	assert_int_equal(kit_read(kit, REG_PERFINTRSTS, 4), 0);
}

/* VT-d 10.3.1 GFO: all stop where they are. */
static void overflow_freezes(void **state)
{
	struct kit *kit = *state;

	map_one(kit);
	translate(kit, 2);
	kit_write(kit, counter_at(kit, 1), 8, TOP - 2);
	start(kit, 0, IOTLB_LOOKUP);
	start(kit, 1, IOTLB_HIT | FREEZE_ALL);
	translate(kit, 20);
	assert_int_equal(frozen(kit), 3);
	assert_int_equal(overflow(kit), 2);
	assert_int_equal(counter(kit, 0), 3);
	assert_int_equal(counter(kit, 1), 0);
	assert_int_equal(command(kit, UNFREEZE, 0), DONE);
	translate(kit, 1);
	assert_int_equal(counter(kit, 0), 4);
}

/* VT-d 10.3.1: events that are no translations overflow a counter as well. */
static void page_requests_overflow(void **state)
{
	struct kit *kit = *state;

	map_one(kit);
	kit_write(kit, REG_PERFINTRCTL, 4, 0);
	kit_write(kit, REG_PQA, 8, kit_page(kit));
	kit_write(kit, counter_at(kit, 0), 8, TOP);
	start(kit, 0, REQUESTS_POSTED | INTERRUPT);
	assert_int_equal(viommu_page_request(kit->endpoint, P1, 0x9000, VIOMMU_READ, 4, true), 0);
	assert_int_equal(kit->messages, 1);
	assert_int_equal(overflow(kit), 1);
	assert_int_equal(counter(kit, 0), 0);
}

/* Endpoints come and go; what they counted stays counted. */
static void endpoints_that_go(void **state)
{
	struct kit *kit = *state;
	struct viommu_endpoint *other = kit_endpoint(kit, 0x18);
	struct viommu_translation t;

	start(kit, 0, IOTLB_LOOKUP);
	for (int i = 0; i < 7; i++)
		assert_int_equal(viommu_translate(other, VIOMMU_NO_PASID, 0x3000, VIOMMU_READ, &t),
				 0);
	assert_int_equal(counter(kit, 0), 7);
	viommu_endpoint_destroy(other);
	assert_int_equal(counter(kit, 0), 7);
	assert_int_equal(viommu_translate(kit->endpoint, VIOMMU_NO_PASID, 0x3000, VIOMMU_READ, &t),
			 0);
	assert_int_equal(counter(kit, 0), 8);
}

/* Reset, and a load that goes on counting where the saved unit was. */
static void state_goes_along(void **state)
{
	struct kit *from = *state;
	struct viommu_unit_options options = *viommu_unit_options(from->unit);
	struct viommu_stream_writer *writer;
	struct viommu_stream_reader *reader;
	char message[300] = "";
	struct viommu_translation t;
	const void *data;
	size_t length;
	struct kit to;

	kit_write(from, counter_at(from, 0), 8, TOP - 10);
	start(from, 0, IOTLB_LOOKUP | INTERRUPT);
	for (int i = 0; i < 4; i++)
		assert_int_equal(viommu_translate(from->endpoint, VIOMMU_NO_PASID, 0x3000,
						  VIOMMU_READ, &t),
				 0);
	assert_int_equal(viommu_stream_writer_create(&writer), 0);
	assert_int_equal(viommu_unit_save(from->unit, writer, 0), 0);
	assert_int_equal(viommu_stream_finish(writer, &data, &length), 0);
	kit_create(&to, &options);
	assert_int_equal(viommu_stream_reader_create(data, length, &reader, NULL, 0), 0);
	assert_int_equal(viommu_unit_load(to.unit, reader, 0, message, sizeof(message)), 0);
	assert_int_equal(counter(&to, 0), TOP - 6);
	assert_int_equal(kit_read(&to, config_at(&to, 0), 8), IOTLB_LOOKUP | INTERRUPT | EN);
	for (int i = 0; i < 7; i++) {
		assert_int_equal(overflow(&to), 0);
		assert_int_equal(viommu_translate(to.endpoint, VIOMMU_NO_PASID, 0x3000,
						  VIOMMU_READ, &t),
				 0);
	}
	assert_int_equal(overflow(&to), 1);
	viommu_unit_reset(to.unit);
	assert_int_equal(overflow(&to), 0);
	assert_int_equal(counter(&to, 0), 0);
	assert_int_equal(kit_read(&to, REG_PERFCAP, 8) & 0xffff, 2);
	kit_destroy(&to);
	viommu_stream_reader_destroy(reader);
	viommu_stream_writer_destroy(writer);
}

enum { THREADS = 3, EACH = 20000 };

static void *run(void *opaque)
{
	struct viommu_endpoint *endpoint = opaque;
	struct viommu_translation t;

	for (int i = 0; i < EACH; i++)
		if (viommu_translate(endpoint, VIOMMU_NO_PASID, 0x3000, VIOMMU_READ, &t))
			return (void *)1;
	return NULL;
}

/* Several threads near the end of a counter: one overflow, one interrupt, every event in it. */
static void threads(void **state)
{
	struct kit *kit = *state;
	struct viommu_endpoint *endpoints[THREADS];
	pthread_t thread[THREADS];

	kit_write(kit, REG_PERFINTRCTL, 4, 0);
	kit_write(kit, counter_at(kit, 0), 8, TOP - 100);
	start(kit, 0, IOTLB_LOOKUP | INTERRUPT);
	/* An endpoint each, so that no increment of a shared counter is lost. */
	for (int i = 0; i < THREADS; i++) {
		endpoints[i] = kit_endpoint(kit, 0x20 + 8 * i);
		assert_int_equal(pthread_create(&thread[i], NULL, run, endpoints[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		void *failed;

		assert_int_equal(pthread_join(thread[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(kit->messages, 1);
	assert_int_equal(overflow(kit), 1);
	assert_int_equal(counter(kit, 0), THREADS * EACH - 101);
	for (int i = 0; i < THREADS; i++)
		viommu_endpoint_destroy(endpoints[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		perfmon_test(capabilities),
		kit_test(absent),
		perfmon_test(register_bits),
		perfmon_test(enabled_holds_still),
		perfmon_test(command_errors),
		perfmon_test(what_events_count),
		perfmon_test(contexts_and_reads),
		perfmon_test(page_requests),
		perfmon_test(freeze),
		perfmon_test(overflow_interrupts),
		perfmon_test(masked_interrupts),
		perfmon_test(overflow_freezes),
		perfmon_test(page_requests_overflow),
		perfmon_test(endpoints_that_go),
		perfmon_test(state_goes_along),
		perfmon_test(threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
