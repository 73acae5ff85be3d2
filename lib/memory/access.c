/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading and writing guest memory, RAM or MMIO, across segments.
 *
 * The span is checked for holes and read-only parts before anything moves. Spans of MMIO are cut into the largest naturally aligned pieces
 * of 1 to 8 bytes. RAM words of 2, 4 and 8 bytes at their natural alignment move in one piece.
 */
#include <errno.h>
#include <string.h>

#include "memory/memory_internal.h"

#if GRACE_TSAN
/* Races on guest RAM are the guest's; keep them out of the report, and out of the interceptor of memcpy. */
static void copy_bytes(void *to, const void *from, size_t length)
{
	for (size_t i = 0; i < length; i++)
		__atomic_store_n((uint8_t *)to + i,
				 __atomic_load_n((const uint8_t *)from + i, __ATOMIC_RELAXED),
				 __ATOMIC_RELAXED);
}
#else
static void copy_bytes(void *to, const void *from, size_t length)
{
	memcpy(to, from, length);
}
#endif

void memory_copy_in(void *data, const void *hva, size_t length)
{
	uint64_t u64;
	uint32_t u32;
	uint16_t u16;

	if (length == 8 && !((uintptr_t)hva & 7)) {
		u64 = __atomic_load_n((const uint64_t *)hva, __ATOMIC_ACQUIRE);
		memcpy(data, &u64, 8);
	} else if (length == 4 && !((uintptr_t)hva & 3)) {
		u32 = __atomic_load_n((const uint32_t *)hva, __ATOMIC_ACQUIRE);
		memcpy(data, &u32, 4);
	} else if (length == 2 && !((uintptr_t)hva & 1)) {
		u16 = __atomic_load_n((const uint16_t *)hva, __ATOMIC_ACQUIRE);
		memcpy(data, &u16, 2);
	} else {
		copy_bytes(data, hva, length);
	}
}

void memory_copy_out(void *hva, const void *data, size_t length)
{
	uint64_t u64;
	uint32_t u32;
	uint16_t u16;

	if (length == 8 && !((uintptr_t)hva & 7)) {
		memcpy(&u64, data, 8);
		__atomic_store_n((uint64_t *)hva, u64, __ATOMIC_RELEASE);
	} else if (length == 4 && !((uintptr_t)hva & 3)) {
		memcpy(&u32, data, 4);
		__atomic_store_n((uint32_t *)hva, u32, __ATOMIC_RELEASE);
	} else if (length == 2 && !((uintptr_t)hva & 1)) {
		memcpy(&u16, data, 2);
		__atomic_store_n((uint16_t *)hva, u16, __ATOMIC_RELEASE);
	} else {
		copy_bytes(hva, data, length);
	}
}

int viommu_memory_lookup(struct viommu_memory *memory, uint64_t gpa, uint32_t access, void **hva,
			 uint64_t *length)
{
	const struct memory_segment *segment = memory_find(memory, gpa);

	if (!segment)
		return -ENOENT;
	if (!segment->hva)
		return -ENODEV;
	if (access & (VIOMMU_WRITE | VIOMMU_ATOMIC) && segment->region->flags & VIOMMU_SEGMENT_READONLY)
		return -EACCES;
	*hva = segment->hva + (gpa - segment->gpa);
	*length = segment->last - gpa + 1;
	return 0;
}

static int check_span(const struct memory_table *table, uint64_t gpa, uint64_t length, bool write)
{
	uint64_t last = gpa + length - 1;

	if (last < gpa)
		return -EFAULT;
	for (;;) {
		const struct memory_segment *segment = memory_find_in(table, gpa);

		if (!segment)
			return -EFAULT;
		if (write && segment->region->flags & VIOMMU_SEGMENT_READONLY)
			return -EACCES;
		if (last <= segment->last)
			return 0;
		gpa = segment->last + 1;
	}
}

/* The largest power of two up to 8 that gpa is a multiple of and that fits. */
static size_t piece(uint64_t gpa, uint64_t length)
{
	size_t size = 8;

	while (size > length || gpa & (size - 1))
		size /= 2;
	return size;
}

static int mmio(const struct memory_segment *segment, uint64_t gpa, uint8_t *in, const uint8_t *out,
		uint64_t length)
{
	const struct memory_region *region = segment->region;

	for (uint64_t done = 0; done < length;) {
		size_t size = piece(gpa + done, length - done);
		uint64_t offset = gpa + done - segment->gpa;
		int ret = out ? region->ops->write(region->opaque, offset, out + done, size)
			      : region->ops->read(region->opaque, offset, in + done, size);

		if (ret)
			return -EFAULT;
		done += size;
	}
	return 0;
}

/* One of `in` and `out` is NULL. */
static int move(struct viommu_memory *memory, uint64_t gpa, uint8_t *in, const uint8_t *out,
		uint64_t length)
{
	const struct memory_table *table = memory_table(memory);
	int ret = check_span(table, gpa, length, out != NULL);

	while (!ret && length) {
		const struct memory_segment *segment = memory_find_in(table, gpa);
		uint64_t here = segment->last - gpa;
		uint64_t span = here < length - 1 ? here + 1 : length;
		uint8_t *hva = segment->hva + (gpa - segment->gpa);

		if (!segment->hva) {
			ret = mmio(segment, gpa, in, out, span);
		} else if (out) {
			memory_copy_out(hva, out, span);
			memory_dirty_mark(segment->region, gpa, span);
		} else {
			memory_copy_in(in, hva, span);
		}
		if (in)
			in += span;
		else
			out += span;
		gpa += span;
		length -= span;
	}
	return ret;
}

int viommu_memory_read(struct viommu_memory *memory, uint64_t gpa, void *data, size_t length)
{
	int ret;

	if (!length)
		return 0;
	grace_enter();
	ret = move(memory, gpa, data, NULL, length);
	grace_exit();
	return ret;
}

int viommu_memory_write(struct viommu_memory *memory, uint64_t gpa, const void *data, size_t length)
{
	int ret;

	if (!length)
		return 0;
	grace_enter();
	ret = move(memory, gpa, NULL, data, length);
	grace_exit();
	return ret;
}

static bool exchange(void *hva, unsigned int width, uint64_t *expected, uint64_t desired)
{
	uint32_t expected32 = (uint32_t)*expected;
	bool done;

	if (width == 8)
		return __atomic_compare_exchange_n((uint64_t *)hva, expected, desired, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	done = __atomic_compare_exchange_n((uint32_t *)hva, &expected32, (uint32_t)desired, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	*expected = expected32;
	return done;
}

int viommu_memory_compare_exchange(struct viommu_memory *memory, uint64_t gpa, unsigned int width,
				   uint64_t *expected, uint64_t desired)
{
	const struct memory_segment *segment;
	int ret;

	if ((width != 4 && width != 8) || gpa % width)
		return -EINVAL;
	grace_enter();
	segment = memory_find(memory, gpa);
	if (!segment || !segment->hva) {
		ret = -EFAULT;
	} else if (segment->region->flags & VIOMMU_SEGMENT_READONLY) {
		ret = -EACCES;
	} else {
		ret = exchange(segment->hva + (gpa - segment->gpa), width, expected, desired);
		if (ret)
			memory_dirty_mark(segment->region, gpa, width);
	}
	grace_exit();
	return ret;
}
