/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device of a test program: a new one with default options for each TEST(). For programs that
 * want nothing else; behind cmocka.h.
 */
#ifndef TESTS_DEVICES_FIXTURE_H
#define TESTS_DEVICES_FIXTURE_H

#include "kit.h"

static struct dkit kit;

static int setup(void **state)
{
	dkit_create(&kit, NULL);
	return 0;
}

static int teardown(void **state)
{
	dkit_destroy(&kit);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
