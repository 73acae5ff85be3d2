/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library against the naive walker over a bounded number of random runs.
 *
 * Usage: test-vtd-differential [first-seed [runs [steps]]]. A failure prints its seed; giving that
 * seed and 1 run repeats it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "differential_body.h"

int main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	uint64_t runs = argc > 2 ? strtoull(argv[2], NULL, 0) : 1000;
	unsigned int steps = argc > 3 ? (unsigned int)atoi(argv[3]) : 1500;
	char message[512];

	for (uint64_t seed = first; seed < first + runs; seed++) {
		struct choices choices = { .state = seed * 0x9e3779b97f4a7c15ull | 1 };

		if (!differential_run(&choices, steps, message, sizeof(message))) {
			printf("FAIL seed %llu: %s\n", (unsigned long long)seed, message);
			return 1;
		}
	}
	printf("%llu runs from seed %llu: %llu requests, %llu translated, %llu from before an "
	       "invalidation, no difference\n",
	       (unsigned long long)runs, (unsigned long long)first,
	       (unsigned long long)differential_requests,
	       (unsigned long long)differential_translated, (unsigned long long)differential_stale);
	/* A run that compared next to nothing proved next to nothing. */
	if (runs >= 100 &&
	    (differential_translated < differential_requests / 20 || differential_stale == 0)) {
		printf("FAIL too few of the requests translated\n");
		return 1;
	}
	return 0;
}
