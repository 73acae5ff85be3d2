/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nonsense as programs: random instructions, with register values that point at devices, checkers,
 * page tables and nowhere, on boards of every shape. Nothing a guest does may crash, hang or leave
 * x0 different from zero; a run ends at its limit or by the guest's own doing. argv[1]: how many
 * programs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "checkers.h"
#include "ops.h"

#define WORDS 4096
#define LIMIT 20000

static uint64_t state = 0x2545f4914f6cdd1dull;
static unsigned int programs = 200;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1dull >> 8;
}

/* Half of the words are instructions that exist, with random operands; the rest is anything. */
static uint32_t word(void)
{
	static const uint32_t opcodes[] = { 0x03, 0x07, 0x0f, 0x13, 0x17, 0x1b, 0x23, 0x27, 0x2f,
					    0x33, 0x37, 0x3b, 0x43, 0x53, 0x63, 0x67, 0x6f, 0x73 };
	static const uint32_t csrs[] = { 0x100, 0x180, 0x300, 0x304, 0x305, 0x320, 0x340,
					 0x341, 0x344, 0x3a0, 0x3b0, 0x390, 0x748, 0x190,
					 0x14d, 0x350, 0x351, 0x35c, 0x30a, 0x747, 0x003 };
	static const uint32_t system[] = { 0x30200073, 0x10200073, 0x12000073, 0x00000073,
					   0x0000100f };
	uint32_t v = (uint32_t)next();

	switch (next() % 8) {
	case 0:
		return v;
	case 1:
		return (v & ~3u) | (uint32_t)(next() % 3); /* compressed */
	case 2:
		return (v & 0xfffff80) | 0x73 |
		       csrs[next() % (sizeof(csrs) / sizeof(csrs[0]))] << 20;
	case 3:
		return system[next() % (sizeof(system) / sizeof(system[0]))];
	default:
		return (v & ~0x7fu) | opcodes[next() % (sizeof(opcodes) / sizeof(opcodes[0]))];
	}
}

static uint64_t address(void)
{
	static const uint64_t bases[] = { ADDR_ROM,
					  ADDR_RTC,
					  ADDR_ACLINT,
					  ADDR_ACLINT + 0x4000,
					  ADDR_WG_DRAM,
					  ADDR_WG_UART,
					  ADDR_WG_MARKER,
					  ADDR_PLIC,
					  ADDR_PLIC + 0x200000,
					  ADDR_APLIC_S,
					  ADDR_UART,
					  ADDR_VIRTIO,
					  ADDR_VIRTIO + 0x50,
					  ADDR_DMA,
					  ADDR_IOPMP,
					  ADDR_IOPMP + 0x1000,
					  ADDR_FLASH,
					  ADDR_IMSIC_M,
					  ADDR_IMSIC_S,
					  ADDR_DRAM,
					  ADDR_DRAM,
					  ADDR_DRAM,
					  ADDR_DRAM };
	uint64_t base = bases[next() % (sizeof(bases) / sizeof(bases[0]))];

	switch (next() % 8) {
	case 0:
		return next();
	case 1:
		return base + next() % 65536;
	default:
		return base + (next() % 512) * 8;
	}
}

static void shape(struct board_options *options)
{
	static const char *const wg[] = { "nworlds=4,trusted=3", "nworlds=2,worlds=draft",
					  "nworlds=32,trusted=none,rule=priority" };
	static const char *const iopmp[] = { "model=full,sps=on,mfr=on",
					     "model=isolation,rules=open",
					     "model=compact-k,enabled=on",
					     "srcmd=2,sources=8,stall=on,rules=open" };

	memset(options, 0, sizeof(*options));
	options->harts = 1 + next() % 3;
	options->memory = 16u << 20;
	options->virtual_clock = true;
	options->aia = (enum board_aia)(next() % 3);
	if (next() & 1)
		assert_int_equal(checkers_parse_worldguard(wg[next() % 3], &options->wg), 0);
	if (next() & 1)
		assert_int_equal(checkers_parse_iopmp(iopmp[next() % 4], &options->iopmp), 0);
}

static void load(struct board *b)
{
	uint32_t *memory = b->ram;

	for (unsigned int i = 0; i < WORDS; i++)
		memory[i] = word();
	/* words that look like page-table entries to a walk */
	for (unsigned int i = 0; i < WORDS; i++)
		((uint64_t *)b->ram)[0x4000 + i] = ((uint64_t)ADDR_DRAM + next() % 64 * 4096) >> 2 |
						   (next() & 0x3ff) |
						   (next() % 16 ? 0 : next() << 40);
	for (unsigned int k = 0; k < b->harts; k++) {
		struct hart *h = b->hart[k];

		for (unsigned int i = 1; i < 32; i++)
			h->s.x[i] = address();
		h->s.pc = ADDR_DRAM + next() % WORDS * 2;
		h->s.mtvec = ADDR_DRAM + next() % WORDS * 4;
		h->s.stvec = ADDR_DRAM + next() % WORDS * 4;
		h->s.mepc = ADDR_DRAM + next() % WORDS * 2;
		h->s.sepc = ADDR_DRAM + next() % WORDS * 2;
		h->s.mstatus |= next() & 0x7f9aa;
		h->s.satp = next() & 1 ? (8 + next() % 3) << 60 | (ADDR_DRAM + 0x20000) >> 12 : 0;
		h->s.medeleg = next() & 0xb3ff;
		if ((h->s.mstatus >> 11 & 3) == 2)
			h->s.mstatus &= ~(3ull << 11);
		hart_context_update(h);
	}
}

static void test_programs(void **unused)
{
	for (unsigned int i = 0; i < programs; i++) {
		struct board_options options;
		struct board *b;

		shape(&options);
		assert_int_equal(board_create(&options, &b), 0);
		load(b);
		b->limit = LIMIT;
		b->quiet_limit = true;
		board_run(b);
		assert_true(b->exit);
		for (unsigned int k = 0; k < b->harts; k++)
			assert_int_equal(b->hart[k]->s.x[0], 0);
		/* straight code may run to the end of its page past a slice's end */
		assert_true(b->instructions < LIMIT + 8192 * b->harts);
		board_destroy(b);
	}
}

/* Every 16-bit word, and every opcode with every function field: decoding always ends in a handler
 * of its length. */
static void test_decode(void **unused)
{
	struct slot slot;

	exec_prepare();
	for (uint32_t raw = 0; raw < 65536; raw++) {
		if ((raw & 3) == 3)
			continue;
		slot.handler = NULL;
		decode_slot(&slot, raw, 2048);
		assert_non_null(slot.handler);
		assert_true(slot.rd <= X_SINK && slot.rs1 < 32 && slot.rs2 < 32);
	}
	for (uint32_t i = 0; i < 1u << 17; i++) {
		uint32_t raw = (i & 31) << 2 | 3 | (i >> 5 & 7) << 12 | (i >> 8 & 127) << 25 |
			       ((uint32_t)next() & 0x1ff8f80);

		slot.handler = NULL;
		decode_slot(&slot, raw, 0);
		assert_non_null(slot.handler);
		assert_true(slot.rd <= X_SINK && slot.rs1 < 32 && slot.rs2 < 32);
	}
	decode_slot(&slot, 0, 0);
	assert_ptr_equal(slot.handler, exec_handlers[OP_illegal_2]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_decode),
					    cmocka_unit_test(test_programs) };

	if (argc > 1)
		programs = (unsigned int)atoi(argv[1]);
	if (argc > 2)
		state ^= strtoull(argv[2], NULL, 0);
	return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
