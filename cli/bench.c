/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * viommu bench: what the unit of this library costs on this machine.
 *
 * The work is in bench/, where `make bench` finds the other parts' benchmarks too.
 */
#include <stdio.h>
#include <string.h>

#include "bench/vtd.h"
#include "cli/options.h"

static const char help[] =
	"usage: viommu bench [--json] [--quick] [--filter=GROUP]\n"
	"\n"
	"Measures the unit through the library's public interface: translation (hit, miss, two threads),\n"
	"every invalidation descriptor, a strict-mode packet, a million PASIDs, DMA copies. Each row stands\n"
	"beside a floor measured in the same run. Groups: translate-hit, translate-miss, threads, descriptor,\n"
	"packet, pasids, dma.\n"
	"\n"
	"  --json          an array of rows, for machines and tools/plot\n"
	"  --quick         few repetitions and small sizes\n"
	"  --filter=GROUP  only groups whose name contains GROUP\n";

int command_bench(int argc, char **argv)
{
	struct bench bench;

	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			fputs(help, stdout);
			return EXIT_PASS;
		}
	if (!bench_begin(&bench, argc, argv))
		return EXIT_USAGE;
	bench_vtd(&bench);
	if (!bench.rows) {
		fprintf(stderr, "viommu bench: --filter=%s: no such group; \"viommu bench --help\" lists them\n",
			bench.filter);
		return EXIT_USAGE;
	}
	return bench_end(&bench);
}
