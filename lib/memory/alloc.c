/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The allocator seam. `countdown` is 0 when off; k > 0 means the k-th allocation from now fails.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "memory/alloc.h"

static atomic_long countdown;
static atomic_bool fired;

static bool refuse(void)
{
	if (__builtin_expect(atomic_load_explicit(&countdown, memory_order_relaxed) == 0, 1))
		return false;
	if (atomic_fetch_sub(&countdown, 1) != 1)
		return false;
	atomic_store(&fired, true);
	return true;
}

bool viommu_alloc_fail_nth(long n)
{
	bool before = atomic_exchange(&fired, false);

	atomic_store(&countdown, n < 0 ? 0 : n + 1);
	return before;
}

void *viommu_zalloc(size_t size)
{
	return refuse() ? NULL : calloc(1, size);
}

void *viommu_calloc(size_t count, size_t size)
{
	return refuse() ? NULL : calloc(count, size);
}

void *viommu_aligned_zalloc(size_t alignment, size_t size)
{
	void *memory;

	if (size > SIZE_MAX - alignment || refuse())
		return NULL;
	size = (size + alignment - 1) & ~(alignment - 1);
	memory = aligned_alloc(alignment, size);
	if (memory)
		memset(memory, 0, size);
	return memory;
}

void *viommu_realloc(void *old, size_t size)
{
	return refuse() ? NULL : realloc(old, size);
}

void viommu_free(void *memory)
{
	free(memory);
}
