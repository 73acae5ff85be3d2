/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The unit's benchmarks as a program of their own.
 */
#include "vtd.h"

int main(int argc, char **argv)
{
	struct bench bench;

	if (!bench_begin(&bench, argc, argv))
		return 2;
	bench_vtd(&bench);
	return bench_end(&bench);
}
