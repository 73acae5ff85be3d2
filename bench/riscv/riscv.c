/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an instruction costs on the RV64 machine: the loads of loads.c (shortened) with nothing
 * between hart and memory, with wgCheckers, with an IOPMP, and with both. The floor of each other
 * row is the plain row of the same run, also of the two ways to do without what makes it fast: a
 * plain interpreter, which has the TLB but decodes every instruction it runs, and the naive one,
 * which also translates every access anew. Their ratios say how much faster the machine is; they
 * run a part of each load, since they are slow.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "machine/checkers.h"
#include "machine/loader.h"

static const struct load {
	const char *name, *elf;
	double limit; /* ns an instruction: issue 6 and the table of QEMU's figures */
} loads[] = {
	{ "ALU loop", RISCV_LOAD_1, 1.4 },
	{ "loads and stores that hit", RISCV_LOAD_2, 0 },
	{ "pointer chase over 8192 pages", RISCV_LOAD_3, 22 },
	{ "indirect calls", RISCV_LOAD_4, 0 },
	{ "sfence.vma every 200", RISCV_LOAD_5, 6.6 },
};

static const struct protection {
	const char *name, *worldguard, *iopmp;
	bool decode_always, no_caches;
	uint64_t part; /* instructions to run of the load; 0: all */
} protections[] = {
	{ "plain", NULL, NULL, false, false, 0 },
	{ "wgChecker", "nworlds=4,trusted=3", NULL, false, false, 0 },
	{ "IOPMP", NULL, "model=full,rules=open", false, false, 0 },
	{ "both", "nworlds=4,trusted=3", "model=full,rules=open", false, false, 0 },
	{ "plain interpreter", NULL, NULL, true, false, 20000000 },
	{ "naive interpreter", NULL, NULL, true, true, 2000000 },
};

struct run {
	const struct load *load;
	const struct protection *protection;
	struct board *board;
	uint64_t instructions;
	int status;
};

static void prepare(void *context)
{
	struct run *run = context;
	struct board_options options = { .harts = 1, .memory = 256u << 20, .virtual_clock = true };
	struct images images = { .elf = run->load->elf };

	options.decode_always = run->protection->decode_always;
	options.no_caches = run->protection->no_caches;
	board_destroy(run->board);
	run->board = NULL;
	if (run->protection->worldguard)
		checkers_parse_worldguard(run->protection->worldguard, &options.wg);
	if (run->protection->iopmp)
		checkers_parse_iopmp(run->protection->iopmp, &options.iopmp);
	if (board_create(&options, &run->board) || loader_load(run->board, &images)) {
		fprintf(stderr, "bench_riscv: %s cannot be loaded\n", run->load->elf);
		exit(1);
	}
	run->board->limit = run->protection->part;
	run->board->quiet_limit = true;
}

static void work(void *context, uint64_t count)
{
	struct run *run = context;

	run->status = board_run(run->board);
	run->instructions = run->board->instructions;
}

static struct bench_time measure(struct bench *bench, const struct load *load,
				 const struct protection *protection)
{
	struct run run = { load, protection, NULL, 0, 0 };
	struct bench_time time;

	prepare(&run);
	work(&run, 0); /* how many instructions it is */
	if (run.status && (run.status != 124 || !protection->part)) {
		fprintf(stderr, "bench_riscv: %s ended with status %d\n", load->name, run.status);
		exit(1);
	}
	time = bench_measure_fixed(bench, run.instructions, work, prepare, &run);
	board_destroy(run.board);
	return time;
}

int main(int argc, char **argv)
{
	struct bench bench;

	if (!bench_begin(&bench, argc, argv))
		return 2;
	bench.cpu_time = true;
	for (unsigned int l = 0; l < sizeof(loads) / sizeof(loads[0]); l++) {
		struct bench_time plain = { 0 };

		if (!bench_wanted(&bench, "riscv"))
			break;
		for (unsigned int p = 0; p < sizeof(protections) / sizeof(protections[0]); p++) {
			char name[96];
			struct bench_row row = { .group = "riscv",
						 .name = name,
						 .limit = loads[l].limit };

			if (protections[p].part)
				row.limit = 0;
			snprintf(name, sizeof(name), "%s, %s", loads[l].name, protections[p].name);
			row.time = measure(&bench, &loads[l], &protections[p]);
			if (!p)
				plain = row.time;
			row.floor = plain;
			row.floor_name = "plain";
			bench_print(&bench, &row);
		}
	}
	return bench_end(&bench);
}
