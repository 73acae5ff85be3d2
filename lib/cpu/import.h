/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The size rule of types.h: a caller's structure, older or newer than ours, into ours.
 */
#ifndef LIB_CPU_IMPORT_H
#define LIB_CPU_IMPORT_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * `from` starts with its uint32_t size. A shorter one counts as zero in the missing tail; -E2BIG: a
 * longer one with something in the tail we do not know; -EINVAL: not even a size.
 */
static inline int import_struct(void *to, size_t to_size, const void *from)
{
	uint32_t size;

	memcpy(&size, from, sizeof(size));
	if (size < sizeof(size))
		return -EINVAL;
	for (size_t i = to_size; i < size; i++) {
		if (((const char *)from)[i])
			return -E2BIG;
	}
	memset(to, 0, to_size);
	memcpy(to, from, size < to_size ? size : to_size);
	return 0;
}

/* The other way: fill a caller's structure of its own size from ours. */
static inline int export_struct(void *to, const void *from, size_t from_size)
{
	uint32_t size;

	memcpy(&size, to, sizeof(size));
	if (size < sizeof(size))
		return -EINVAL;
	memcpy(to, from, size < from_size ? size : from_size);
	memcpy(to, &size, sizeof(size));
	/* types.h: what we do not know of it is zero. */
	if (size > from_size)
		memset((char *)to + from_size, 0, size - from_size);
	return 0;
}

#endif
