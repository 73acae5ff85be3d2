/* SPDX-License-Identifier: BSD-3-Clause */
/* What every cmocka test here includes, in the order cmocka wants. */
#ifndef TESTS_MEMORY_COMMON_H
#define TESTS_MEMORY_COMMON_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <viommu/memory.h>

static inline void *pages(size_t count)
{
	void *memory = aligned_alloc(4096, count * 4096);

	assert_non_null(memory);
	memset(memory, 0, count * 4096);
	return memory;
}

#endif
