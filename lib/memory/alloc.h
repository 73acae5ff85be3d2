/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The allocator of the library: every allocation of lib/ goes through here.
 *
 * The calls are malloc and its kin, plus one seam: a test can make the n-th allocation from now fail, and so sweep every
 * failure point of a call chain. Off, the seam costs one load and a predicted branch beside a malloc.
 */
#ifndef VIOMMU_LIB_ALLOC_H
#define VIOMMU_LIB_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* All return zeroed memory (viommu_realloc: not the grown tail) or NULL. count * size is checked for overflow. */
void *viommu_zalloc(size_t size);
void *viommu_calloc(size_t count, size_t size);
/* `alignment` is a power of two. */
void *viommu_aligned_zalloc(size_t alignment, size_t size);
void *viommu_realloc(void *old, size_t size);
void viommu_free(void *memory);

/*
 * Tests only: let n allocations succeed and the one after them fail (once); n < 0 switches the seam off. Returns
 * whether the failure armed before has fired, so a sweep ends when it has not:
 *	for (n = 0; ; n++) { viommu_alloc_fail_nth(n); run(); if (!viommu_alloc_fail_nth(-1)) break; }
 */
bool viommu_alloc_fail_nth(long n);

#endif
