/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The size rule of types.h: structures that start with the size their owner knows.
 */
#ifndef VIOMMU_LIB_SIZED_H
#define VIOMMU_LIB_SIZED_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * A caller's structure into ours of `known` bytes: what an older caller lacks is zero, and what a
 * newer one has beyond ours must be. -EINVAL: not even a size; -E2BIG.
 */
static inline int sized_import(void *to, size_t known, const void *from)
{
	uint32_t size;

	memcpy(&size, from, sizeof(size));
	if (size < sizeof(size))
		return -EINVAL;
	for (size_t i = known; i < size; i++)
		if (((const uint8_t *)from)[i])
			return -E2BIG;
	memset(to, 0, known);
	memcpy(to, from, size < known ? size : known);
	return 0;
}

/* Ours into a caller's, which says how much room it has: all of that is written, the size stays. */
static inline int sized_export(void *to, const void *from, size_t known)
{
	uint32_t size;

	memcpy(&size, to, sizeof(size));
	if (size < sizeof(size))
		return -EINVAL;
	memcpy(to, from, size < known ? size : known);
	memcpy(to, &size, sizeof(size));
	if (size > known)
		memset((uint8_t *)to + known, 0, size - known);
	return 0;
}

#endif
