/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole buffer at once: viommu_translate_runs() must say what page after page would have said. The
 * judge is the unit itself, asked for one page at a time with empty caches; that each such answer is
 * right is the business of the other tests.
 */
#include <errno.h>

#include "expect.h"

#define URW (FS_P | FS_RW | FS_US)
#define RW  (SS_R | SS_W)

/* Over the border between two last-level tables. */
#define BASE 0x401f0000ull
enum { PAGE = 4096, PAGES = 64, ROUNDS = 3000, RUNS_MAX = 8 };

enum stages { FIRST, SECOND, NESTED };

struct space {
	struct kit *kit;
	enum stages stages;
	uint64_t root;
	uint64_t entries[PAGES]; /* where the leaf of each page is */
	uint64_t seed;
};

static uint64_t page(unsigned int n)
{
	return BASE + (uint64_t)n * PAGE;
}

static uint64_t random_below(struct space *space, uint64_t end)
{
	space->seed = space->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (space->seed >> 33) % end;
}

static struct space make_space(struct kit *kit, enum stages stages)
{
	struct space space = { .kit = kit, .stages = stages, .seed = 1 + stages };
	uint64_t second;

	kit_start(kit, TTM_SCALABLE);
	if (stages == SECOND) {
		space.root = kit_setup_second(kit, 1, 4);
	} else if (stages == FIRST) {
		space.root = kit_setup_first(kit, 1, 4);
	} else {
		space.root = kit_setup_nested(kit, 1, 4, 4, &second);
		for (uint64_t gpa = 0; gpa < KIT_RAM; gpa += 2ull << 20)
			kit_map_second(kit, second, 4, gpa, 2, gpa | RW);
	}
	for (unsigned int i = 0; i < PAGES; i++)
		space.entries[i] =
			stages == SECOND ? kit_map_second(kit, space.root, 4, page(i), 1, 0)
					 : kit_map_first(kit, space.root, 4, page(i), 1, 0);
	return space;
}

/* A leaf of any kind, more often one that goes on where the last one ended. */
static uint64_t random_leaf(struct space *space, uint64_t before)
{
	bool second = space->stages == SECOND;
	uint64_t flags = second ? RW : URW, gpa = (before & 0xffffff000) + PAGE;

	switch (random_below(space, 16)) {
	case 0:
		return 0;
	case 1:
		flags = second ? SS_R : FS_P | FS_US;
		break;
	case 2:
		flags |= second ? SS_A | SS_D : FS_A | FS_D;
		break;
	case 3:
		flags |= second ? SS_A : FS_A;
		break;
	case 4:
		flags |= second ? SS_SNP : FS_G;
		break;
	case 5:
		gpa = KIT_RAM - PAGE; /* the last page of RAM, and what follows it */
		break;
	case 6:
		gpa = 0x70000000;
		break;
	case 7:
		gpa = 0xfedff000; /* VT-d 3.14: what follows is an interrupt address */
		break;
	case 8:
		flags |= 1ull << 51; /* VT-d 9.7, 9.8: above HAW */
		break;
	case 9:
	case 10:
		gpa = random_below(space, KIT_DATA_END / PAGE) * PAGE;
		break;
	}
	return gpa | flags;
}

static void shuffle(struct space *space)
{
	uint64_t leaf = 0x100000;

	for (unsigned int i = 0; i < PAGES; i++) {
		leaf = random_leaf(space, leaf);
		kit_put(space->kit, space->entries[i], leaf);
	}
	assert_true(kit_flush_all(space->kit));
}

struct answer {
	struct viommu_run runs[PAGES];
	unsigned int count;
	uint64_t length;
	int result;
	unsigned int reason;
};

static struct answer ask(struct kit *kit, uint64_t iova, uint32_t access, uint64_t length,
			 unsigned int max)
{
	struct answer answer = { .length = length };
	struct viommu_fault fault = { 0 };

	viommu_access_begin();
	answer.result = viommu_translate_runs(kit->endpoint, 1, iova, access, &answer.length,
					      answer.runs, max, &answer.count, &fault);
	viommu_access_end();
	answer.reason = fault.reason;
	return answer;
}

/* Page by page. */
static struct answer ask_singly(struct kit *kit, uint64_t iova, uint32_t access, uint64_t length,
				unsigned int max)
{
	struct answer answer = { 0 };
	struct viommu_translation t;

	while (answer.length < length) {
		struct viommu_run *last = answer.count ? &answer.runs[answer.count - 1] : NULL;
		uint64_t part;
		int result = viommu_translate_quiet(kit->endpoint, 1, iova + answer.length, access,
						    &t);

		if (result && !answer.length) {
			answer.result = result;
			answer.reason = t.fault.reason;
		}
		if (result)
			break;
		part = t.length < length - answer.length ? t.length : length - answer.length;
		if (last && last->hva && t.hva == (uint8_t *)last->hva + last->length &&
		    t.gpa == last->gpa + last->length && t.snoop == last->snoop) {
			last->length += part;
			last->granted &= t.granted;
		} else if (answer.count == max) {
			break;
		} else {
			answer.runs[answer.count++] =
				(struct viommu_run){ t.gpa, part, t.hva, t.granted, t.snoop };
		}
		answer.length += part;
	}
	return answer;
}

static void expect_same(const struct answer *a, const struct answer *b)
{
	assert_int_equal(a->result, b->result);
	assert_int_equal(a->reason, b->reason);
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->length, b->length);
	for (unsigned int i = 0; i < a->count; i++) {
		assert_int_equal(a->runs[i].gpa, b->runs[i].gpa);
		assert_int_equal(a->runs[i].length, b->runs[i].length);
		assert_ptr_equal(a->runs[i].hva, b->runs[i].hva);
		assert_int_equal(a->runs[i].snoop, b->runs[i].snoop);
	}
}

/* VT-d 3.6.2, 3.7.2: what is found for a write is marked dirty. */
static void expect_dirty(struct space *space, unsigned int first, const struct answer *answer,
			 uint64_t offset)
{
	uint64_t dirty = space->stages == SECOND ? 0 : FS_D;

	for (uint64_t i = 0; i * PAGE < offset + answer->length; i++)
		assert_int_equal(kit_get(space->kit, space->entries[first + i]) & dirty, dirty);
}

static void compare(struct kit *kit, enum stages stages)
{
	static const uint32_t accesses[] = { VIOMMU_READ, VIOMMU_WRITE, VIOMMU_ATOMIC };
	struct space space = make_space(kit, stages);
	struct kit_record record;
	unsigned int several = 0;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		unsigned int first = random_below(&space, PAGES - 1);
		uint64_t offset = random_below(&space, PAGE), iova = page(first) + offset;
		uint64_t length = 1 + random_below(&space, (PAGES - first) * PAGE - offset);
		uint32_t access = accesses[random_below(&space, 3)];
		unsigned int max = 1 + random_below(&space, RUNS_MAX);
		struct answer fresh, again, singly;

		if (round % 4 == 0)
			shuffle(&space);
		fresh = ask(kit, iova, access, length, max);
		if (fresh.count && access != VIOMMU_READ)
			expect_dirty(&space, first, &fresh, offset);
		again = ask(kit, iova, access, length, max);
		assert_true(kit_flush_all(kit));
		singly = ask_singly(kit, iova, access, length, max);
		expect_same(&fresh, &singly);
		expect_same(&again, &singly);
		several += fresh.count > 2;
	}
	/* Quiet, all of it. */
	assert_false(kit_take_fault(kit, &record));
	assert_true(several > ROUNDS / 60);
}

static void first_stage(void **state)
{
	compare(*state, FIRST);
}

static void second_stage(void **state)
{
	compare(*state, SECOND);
}

static void nested(void **state)
{
	compare(*state, NESTED);
}

/* What a table says counts from the moment that it says so, but for what caches may still know. */
static void follows_the_tables(void **state)
{
	struct kit *kit = *state;
	struct space space = make_space(kit, FIRST);
	struct answer answer;

	for (unsigned int i = 0; i < 8; i++)
		kit_put(kit, space.entries[i], (0x200000 + i * PAGE) | URW);
	answer = ask(kit, page(0), VIOMMU_WRITE, 8 * PAGE, RUNS_MAX);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.length, 8 * PAGE);
	/* VT-d 6.5.2.4: another page instead of the fourth. */
	kit_put(kit, space.entries[3], 0x900000 | URW);
	assert_true(kit_flush_all(kit));
	answer = ask(kit, page(0), VIOMMU_WRITE, 8 * PAGE, RUNS_MAX);
	assert_int_equal(answer.count, 3);
	assert_int_equal(answer.runs[1].gpa, 0x900000);
	assert_int_equal(answer.runs[1].length, PAGE);
	/* Another PASID entry: the remembered table is not its. */
	kit_set_pasid_entry(kit, KIT_RID, 1, 0, 0, 0);
	assert_true(kit_flush_all(kit));
	answer = ask(kit, page(0), VIOMMU_WRITE, 8 * PAGE, RUNS_MAX);
	assert_int_equal(answer.result, VIOMMU_FAULT);
	assert_int_equal(answer.count, 0);
	assert_int_equal(answer.length, 0);
}

static struct viommu_statistics statistics(struct kit *kit)
{
	struct viommu_statistics now = { .size = sizeof(now) };

	assert_int_equal(viommu_endpoint_statistics(kit->endpoint, &now), 0);
	return now;
}

/* Pages side by side are a hit as one, until any page of theirs is invalidated. */
static void side_by_side_is_one_hit(void **state)
{
	struct kit *kit = *state;
	struct space space = make_space(kit, FIRST);
	struct viommu_statistics before, after;
	struct viommu_translation t;
	struct answer answer;

	for (unsigned int i = 0; i < 12; i++)
		kit_put(kit, space.entries[i], (0x200000 + i * PAGE) | URW | FS_A | FS_D);
	/* VT-d 9.7: what says something else is not of it, even if it lies behind it. */
	kit_put(kit, space.entries[8], (0x200000 + 8 * PAGE) | FS_P | FS_US | FS_A | FS_D);
	for (unsigned int again = 0; again < 3; again++)
		assert_int_equal(ask(kit, page(0) + 1, VIOMMU_READ, 12 * PAGE - 1, 1).length,
				 12 * PAGE - 1);
	before = statistics(kit);
	answer = ask(kit, page(0) + 2, VIOMMU_WRITE, 8 * PAGE - 2, 1);
	assert_int_equal(viommu_translate(kit->endpoint, 1, page(0), VIOMMU_WRITE, &t), 0);
	after = statistics(kit);
	assert_int_equal(answer.length, 8 * PAGE - 2);
	assert_int_equal(answer.runs[0].gpa, 0x200002);
	assert_int_equal(t.length, 8 * PAGE);
	assert_int_equal(after.iotlb_hits, before.iotlb_hits + 2);
	assert_int_equal(after.iotlb_misses, before.iotlb_misses);
	assert_int_equal(after.table_reads, before.table_reads);
	assert_int_equal(ask(kit, page(0), VIOMMU_WRITE, 0, 1).result, -EINVAL);
	assert_int_equal(ask(kit, page(0), VIOMMU_WRITE, PAGE, 0).result, -EINVAL);
	/* Nobody may write behind them. */
	assert_int_equal(ask(kit, page(0), VIOMMU_WRITE, 12 * PAGE, 4).length, 8 * PAGE);
	for (unsigned int i = 8; i < 12; i++)
		kit_put(kit, space.entries[i], (0x200000 + i * PAGE) | FS_P | FS_US | FS_A | FS_D);
	assert_true(kit_flush_all(kit));
	for (unsigned int again = 0; again < 3; again++)
		assert_int_equal(ask(kit, page(8), VIOMMU_READ, 4 * PAGE, 1).length, 4 * PAGE);
	assert_int_equal(viommu_translate_quiet(kit->endpoint, 1, page(8), VIOMMU_READ, &t), 0);
	assert_int_equal(t.length, 4 * PAGE);
	assert_int_equal(t.granted, VIOMMU_READ);
	assert_int_equal(viommu_translate_quiet(kit->endpoint, 1, page(8), VIOMMU_WRITE, &t),
			 VIOMMU_FAULT);

	/* VT-d 6.5.2.4: one page in the middle, by itself. */
	kit_put(kit, space.entries[5], 0x900000 | URW | FS_A | FS_D);
	assert_true(kit_command(kit, qi_piotlb(3, KIT_DID, 1), page(5)));
	answer = ask(kit, page(0), VIOMMU_WRITE, 8 * PAGE, 4);
	assert_int_equal(answer.count, 3);
	assert_int_equal(answer.runs[0].length, 5 * PAGE);
	assert_int_equal(answer.runs[1].gpa, 0x900000);
	/* Of which the table is known now. */
	ask(kit, page(0), VIOMMU_WRITE, 8 * PAGE, 4);
	assert_int_equal(viommu_translate(kit->endpoint, 1, page(0), VIOMMU_WRITE, &t), 0);
	assert_int_equal(t.length, 5 * PAGE);
}

/* VT-d 3.14: pages that follow each other into the interrupt addresses, where a VMM has put memory. */
static void up_to_interrupts(void **state)
{
	static uint8_t ram[4 * PAGE] __attribute__((aligned(PAGE)));
	struct kit *kit = *state;
	struct space space = make_space(kit, FIRST);
	struct answer answer;

	assert_int_equal(viommu_memory_add_hva(kit->memory, 0xfedfe000, sizeof(ram), ram, 0), 0);
	for (unsigned int i = 0; i < 4; i++)
		kit_put(kit, space.entries[i], (0xfedfe000 + i * PAGE) | URW | FS_A | FS_D);
	assert_true(kit_flush_all(kit));
	for (unsigned int again = 0; again < 3; again++) {
		answer = ask(kit, page(0), VIOMMU_WRITE, 4 * PAGE, RUNS_MAX);
		assert_int_equal(answer.result, 0);
		assert_int_equal(answer.length, 2 * PAGE);
	}
	assert_int_equal(ask(kit, page(2), VIOMMU_WRITE, 2 * PAGE, RUNS_MAX).result, VIOMMU_FAULT);
}

static void asked_for_nonsense(void **state)
{
	struct kit *kit = *state;
	struct space space = make_space(kit, FIRST);

	kit_put(kit, space.entries[0], 0x200000 | URW);
	assert_int_equal(ask(kit, page(0), VIOMMU_READ, 0, 1).result, -EINVAL);
	assert_int_equal(ask(kit, page(0), VIOMMU_READ, PAGE, 0).result, -EINVAL);
	assert_int_equal(ask(kit, page(0), 0, PAGE, 1).result, -EINVAL);
	assert_int_equal(ask(kit, page(0), VIOMMU_READ, -page(0) + 1, 1).result, -EINVAL);
	assert_int_equal(ask(kit, page(0), VIOMMU_READ, -page(0), 1).length, PAGE);
}

static int setup(void **state)
{
	static struct kit kit;

	kit_create(&kit, NULL);
	*state = &kit;
	return 0;
}

static int teardown(void **state)
{
	kit_destroy(*state);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_stage),	  TEST(second_stage),	    TEST(nested),
		TEST(follows_the_tables), TEST(side_by_side_is_one_hit), TEST(up_to_interrupts),
		TEST(asked_for_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
