/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library against the naive walker (tests/vtd/differential_body.c), with the fuzzer choosing
 * tables, requests and invalidations.
 */
#include <stdio.h>
#include <stdlib.h>

#include "vtd/differential_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices choices = { .data = data, .size = size };
	char message[512];

	if (size && !differential_run(&choices, 2000, message, sizeof(message))) {
		fprintf(stderr, "%s\n", message);
		abort();
	}
	return 0;
}
