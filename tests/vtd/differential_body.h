/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One differential run: see differential_body.c. Used by the test (random) and by the fuzzer
 * (bytes).
 */
#ifndef TESTS_VTD_DIFFERENTIAL_BODY_H
#define TESTS_VTD_DIFFERENTIAL_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where decisions come from: bytes while there are any, or a generator that never ends. */
struct choices {
	const uint8_t *data; /* NULL: use the generator */
	size_t size, at;
	uint64_t state; /* of the generator; not 0 */
};

/* 0 .. below - 1; 0 for ever once the bytes are used up. */
uint32_t choose(struct choices *choices, uint32_t below);
bool choices_left(const struct choices *choices);

/* `steps` at most. True when all was equal; else `message` tells what was not. */
bool differential_run(struct choices *choices, unsigned int steps, char *message, size_t length);

/* How much was compared, over all runs: requests, how many of them translated. */
extern uint64_t differential_requests, differential_translated, differential_stale;

#endif
