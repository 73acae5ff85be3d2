/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments: adding, removing, looking up, reading and writing across them, MMIO pieces, listeners, failing allocations.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "common.h"
#include "memory/alloc.h"

struct mmio_log {
	uint64_t offsets[32];
	size_t lengths[32];
	unsigned int count;
	int fail_at; /* the access that fails, -1: none */
	uint8_t bytes[4096];
};

static int log_access(struct mmio_log *log, uint64_t offset, size_t length)
{
	if (log->fail_at == (int)log->count)
		return -EIO;
	log->offsets[log->count] = offset;
	log->lengths[log->count++] = length;
	return 0;
}

static int mmio_read(void *opaque, uint64_t offset, void *data, size_t length)
{
	struct mmio_log *log = opaque;

	memcpy(data, log->bytes + offset, length);
	return log_access(log, offset, length);
}

static int mmio_write(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct mmio_log *log = opaque;

	memcpy(log->bytes + offset, data, length);
	return log_access(log, offset, length);
}

static const struct viommu_mmio_ops mmio_ops = { sizeof(mmio_ops), mmio_read, mmio_write };

static void arguments(void **state)
{
	struct viommu_memory *memory;
	uint8_t *ram = pages(4);

	assert_int_equal(viommu_memory_create(&memory), 0);
	assert_int_equal(viommu_memory_add_hva(memory, 1, 4096, ram, 0), -EINVAL);
	assert_int_equal(viommu_memory_add_hva(memory, 0, 0, ram, 0), -EINVAL);
	assert_int_equal(viommu_memory_add_hva(memory, 0, 100, ram, 0), -EINVAL);
	assert_int_equal(viommu_memory_add_hva(memory, 0, 4096, ram, 8), -EINVAL);
	assert_int_equal(viommu_memory_add_hva(memory, 0, 4096, ram + 8, 0), -EINVAL);
	assert_int_equal(viommu_memory_add_hva(memory, UINT64_MAX - 4095, 8192, ram, 0), -EINVAL);
	assert_int_equal(viommu_memory_add_hva(memory, UINT64_MAX - 4095, 4096, ram, 0), 0);
	assert_int_equal(viommu_memory_add_hva(memory, 0x2000, 0x2000, ram, 0), 0);
	assert_int_equal(viommu_memory_add_hva(memory, 0x1000, 0x2000, ram, 0), -EEXIST);
	assert_int_equal(viommu_memory_add_hva(memory, 0x3000, 0x1000, ram, 0), -EEXIST);
	assert_int_equal(viommu_memory_add_hva(memory, 0, 0x10000, ram, 0), -EEXIST);
	assert_int_equal(viommu_memory_add_mmio(memory, 0x8000, 4096, NULL, NULL, 0), -EINVAL);
	assert_int_equal(viommu_memory_remove(memory, 0, 0), -EINVAL);
	assert_int_equal(viommu_memory_remove(memory, 0x3000, 0x1000), -EINVAL);
	assert_int_equal(viommu_memory_remove(memory, 0x4000, 0x1000), 0);
	viommu_access_begin();
	assert_int_equal(viommu_memory_remove(memory, 0x2000, 0x2000), -EDEADLK);
	assert_int_equal(viommu_memory_add_hva(memory, 0x6000, 0x1000, ram, 0), -EDEADLK);
	assert_int_equal(viommu_access_drain(), -EDEADLK);
	viommu_access_end();
	assert_int_equal(viommu_memory_remove(memory, 0, UINT64_MAX), -EINVAL);
	assert_int_equal(viommu_memory_remove(memory, 0, 0x4000), 1);
	assert_int_equal(viommu_memory_remove(memory, UINT64_MAX - 4095, 4096), 1);
	viommu_memory_destroy(memory);
	free(ram);
}

static void look_up(void **state)
{
	struct viommu_memory *memory;
	uint8_t *ram = pages(8);
	struct mmio_log log = { .fail_at = -1 };
	uint64_t length;
	void *hva;

	viommu_memory_create(&memory);
	assert_int_equal(viommu_memory_add_hva(memory, 0x10000, 0x2000, ram, 0), 0);
	assert_int_equal(viommu_memory_add_hva(memory, 0x4000, 0x1000, ram + 0x4000,
					       VIOMMU_SEGMENT_READONLY), 0);
	assert_int_equal(viommu_memory_add_mmio(memory, 0x8000, 0x1000, &mmio_ops, &log, 0), 0);
	viommu_access_begin();
	assert_int_equal(viommu_memory_lookup(memory, 0x11ff0, VIOMMU_WRITE, &hva, &length), 0);
	assert_ptr_equal(hva, ram + 0x1ff0);
	assert_int_equal(length, 0x10);
	assert_int_equal(viommu_memory_lookup(memory, 0x12000, VIOMMU_READ, &hva, &length), -ENOENT);
	assert_int_equal(viommu_memory_lookup(memory, 0xffff, VIOMMU_READ, &hva, &length), -ENOENT);
	assert_int_equal(viommu_memory_lookup(memory, 0x4000, VIOMMU_EXECUTE, &hva, &length), 0);
	assert_int_equal(viommu_memory_lookup(memory, 0x4000, VIOMMU_WRITE, &hva, &length), -EACCES);
	assert_int_equal(viommu_memory_lookup(memory, 0x4000, VIOMMU_ATOMIC, &hva, &length), -EACCES);
	assert_int_equal(viommu_memory_lookup(memory, 0x8010, VIOMMU_READ, &hva, &length), -ENODEV);
	viommu_access_end();
	viommu_memory_destroy(memory);
	free(ram);
}

static void across(void **state)
{
	struct viommu_memory *memory;
	uint8_t *low = pages(1), *high = pages(1);
	uint8_t data[64], back[64];

	viommu_memory_create(&memory);
	viommu_memory_add_hva(memory, 0x1000, 0x1000, low, 0);
	viommu_memory_add_hva(memory, 0x2000, 0x1000, high, 0);
	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i + 1);
	assert_int_equal(viommu_memory_write(memory, 0x1fe0, data, 64), 0);
	assert_memory_equal(low + 0xfe0, data, 32);
	assert_memory_equal(high, data + 32, 32);
	assert_int_equal(viommu_memory_read(memory, 0x1fe0, back, 64), 0);
	assert_memory_equal(back, data, 64);
	/* Into a hole: nothing moves. */
	memset(data, 0xee, sizeof(data));
	assert_int_equal(viommu_memory_write(memory, 0x2fe0, data, 64), -EFAULT);
	assert_int_equal(high[0xfe0], 0);
	assert_int_equal(viommu_memory_read(memory, 0x2fe0, back, 64), -EFAULT);
	assert_int_equal(viommu_memory_read(memory, UINT64_MAX - 3, back, 64), -EFAULT);
	assert_int_equal(viommu_memory_read(memory, 0x9000, back, 0), 0);
	/* Read-only parts refuse the whole write. */
	viommu_memory_remove(memory, 0x2000, 0x1000);
	viommu_memory_add_hva(memory, 0x2000, 0x1000, high, VIOMMU_SEGMENT_READONLY);
	assert_int_equal(viommu_memory_write(memory, 0x1fe0, data, 64), -EACCES);
	assert_int_equal(low[0xfe0], 1);
	viommu_memory_destroy(memory);
	free(low);
	free(high);
}

static void mmio_pieces(void **state)
{
	static const size_t expected[] = { 1, 2, 4, 8, 8, 4, 2 } /* 29 bytes from offset 1 */;
	struct viommu_memory *memory;
	struct mmio_log log = { .fail_at = -1 };
	uint8_t data[29], back[29];
	uint64_t offset = 1;

	viommu_memory_create(&memory);
	viommu_memory_add_mmio(memory, 0x8000, 0x1000, &mmio_ops, &log, 0);
	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i + 1);
	assert_int_equal(viommu_memory_write(memory, 0x8001, data, 29), 0);
	assert_int_equal(log.count, 7);
	for (unsigned int i = 0; i < 7; i++) {
		assert_int_equal(log.lengths[i], expected[i]);
		assert_int_equal(log.offsets[i], offset);
		assert_int_equal(offset % expected[i], 0);
		offset += expected[i];
	}
	assert_int_equal(viommu_memory_read(memory, 0x8001, back, 29), 0);
	assert_memory_equal(back, data, 29);
	log.fail_at = (int)log.count + 1;
	assert_int_equal(viommu_memory_read(memory, 0x8000, back, 16), -EFAULT);
	viommu_memory_destroy(memory);
}

static void exchange(void **state)
{
	struct viommu_memory *memory;
	uint64_t *ram = pages(1), expected = 5;

	viommu_memory_create(&memory);
	viommu_memory_add_hva(memory, 0, 0x1000, ram, 0);
	ram[1] = 7;
	assert_int_equal(viommu_memory_compare_exchange(memory, 8, 8, &expected, 9), 0);
	assert_int_equal(expected, 7);
	assert_int_equal(viommu_memory_compare_exchange(memory, 8, 8, &expected, 9), 1);
	assert_int_equal(ram[1], 9);
	ram[2] = 0x1111111100000003;
	expected = 3;
	assert_int_equal(viommu_memory_compare_exchange(memory, 16, 4, &expected, 4), 1);
	assert_int_equal(ram[2], 0x1111111100000004);
	assert_int_equal(viommu_memory_compare_exchange(memory, 16, 2, &expected, 4), -EINVAL);
	assert_int_equal(viommu_memory_compare_exchange(memory, 12, 8, &expected, 4), -EINVAL);
	assert_int_equal(viommu_memory_compare_exchange(memory, 0x1000, 8, &expected, 4), -EFAULT);
	viommu_memory_remove(memory, 0, 0x1000);
	viommu_memory_add_hva(memory, 0, 0x1000, ram, VIOMMU_SEGMENT_READONLY);
	assert_int_equal(viommu_memory_compare_exchange(memory, 8, 8, &expected, 4), -EACCES);
	viommu_memory_destroy(memory);
	free(ram);
}

static void from_file(void **state)
{
	struct viommu_memory *memory;
	int fd = memfd_create("test", 0);
	uint32_t value = 0x12345678, back = 0;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 0x3000), 0);
	viommu_memory_create(&memory);
	assert_int_equal(viommu_memory_add_fd(memory, 0, 0x2000, fd, 0x2000, 0), -ENXIO);
	assert_int_equal(viommu_memory_add_fd(memory, 0, 0x2000, fd, 0x800, 0), -EINVAL);
	assert_int_equal(viommu_memory_add_fd(memory, 0, 0x1000, -1, 0, 0), -EBADF);
	assert_int_equal(viommu_memory_add_fd(memory, 0x10000, 0x2000, fd, 0x1000, 0), 0);
	assert_int_equal(viommu_memory_write(memory, 0x11000, &value, 4), 0);
	assert_int_equal(pread(fd, &back, 4, 0x2000), 4);
	assert_int_equal(back, value);
	close(fd);
	assert_int_equal(viommu_memory_read(memory, 0x11000, &back, 4), 0);
	viommu_memory_destroy(memory);
}

struct listener {
	unsigned int added;
	unsigned int removed;
	int refuse;
	struct viommu_memory *memory;
	uint64_t last_gpa;
};

static int changed(void *opaque, const struct viommu_segment_info *segment, bool added)
{
	struct listener *listener = opaque;
	uint8_t *ram = segment->hva;

	listener->last_gpa = segment->gpa;
	/* The memory stands during the call, and the table may not be changed from it. */
	if (ram)
		assert_int_equal(ram[0], 0x5a);
	assert_int_equal(viommu_memory_remove(listener->memory, 0, UINT64_MAX), -EBUSY);
	assert_int_equal(viommu_memory_add_hva(listener->memory, 1u << 30, 4096, ram, 0), -EBUSY);
	if (!added) {
		listener->removed++;
		return -1; /* ignored */
	}
	if (listener->refuse)
		return listener->refuse;
	listener->added++;
	return 0;
}

static int count_segments(void *opaque, const struct viommu_segment_info *segment)
{
	uint64_t *last = opaque;

	assert_true(segment->gpa >= *last);
	*last = segment->gpa + 1;
	return 0;
}

static void listeners(void **state)
{
	struct viommu_memory_listener *first, *second, *third;
	struct viommu_memory *memory;
	uint8_t *ram = pages(1);
	struct listener a = { 0 }, b = { 0 }, c = { .refuse = -EPERM };
	uint64_t last = 0;

	ram[0] = 0x5a;
	viommu_memory_create(&memory);
	a.memory = b.memory = c.memory = memory;
	viommu_memory_add_hva(memory, 0x5000, 0x1000, ram, 0);
	assert_int_equal(viommu_memory_listen(memory, changed, &a, &first), 0);
	assert_int_equal(a.added, 1);
	assert_int_equal(viommu_memory_listen(memory, changed, &b, &second), 0);
	b.refuse = -ENOSPC;
	assert_int_equal(viommu_memory_add_hva(memory, 0x1000, 0x1000, ram, 0), -ENOSPC);
	assert_int_equal(a.added, 2);
	assert_int_equal(a.removed, 1);
	assert_int_equal(b.removed, 0);
	b.refuse = 0;
	assert_int_equal(viommu_memory_add_hva(memory, 0x1000, 0x1000, ram, 0), 0);
	assert_int_equal(viommu_memory_listen(memory, changed, &c, &third), -EPERM);
	assert_int_equal(c.removed, 0);
	assert_int_equal(viommu_memory_each(memory, count_segments, &last), 0);
	assert_int_equal(last, 0x5001);
	viommu_memory_unlisten(memory, second);
	assert_int_equal(viommu_memory_remove(memory, 0, 0x10000), 2);
	assert_int_equal(a.removed, 3);
	assert_int_equal(b.removed, 0);
	viommu_memory_unlisten(memory, first);
	viommu_memory_destroy(memory);
	free(ram);
}

/* One life of an address space; returns the first error. */
static int life(uint8_t *ram)
{
	struct viommu_memory *memory;
	uint64_t bitmap[1] = { 0 };
	int fd, ret = viommu_memory_create(&memory);

	if (ret)
		return ret;
	fd = memfd_create("test", 0);
	assert_int_equal(ftruncate(fd, 0x1000), 0);
	ret = viommu_memory_add_hva(memory, 0x1000, 0x1000, ram, 0);
	if (!ret)
		ret = viommu_memory_dirty_start(memory, 12);
	if (!ret)
		ret = viommu_memory_add_fd(memory, 0x2000, 0x1000, fd, 0, 0);
	if (!ret)
		ret = viommu_memory_write(memory, 0x2000, "x", 1);
	if (!ret)
		ret = viommu_memory_dirty_query(memory, 0x1000, 0x2000, bitmap, false);
	if (!ret) {
		assert_int_equal(bitmap[0], 2);
		ret = viommu_memory_remove(memory, 0, 0x2000);
		ret = ret < 0 ? ret : 0;
	}
	close(fd);
	viommu_memory_destroy(memory);
	return ret;
}

static void allocations_fail(void **state)
{
	uint8_t *ram = pages(1);
	long n = 0;

	for (;; n++) {
		int ret;

		viommu_alloc_fail_nth(n);
		ret = life(ram);
		if (!viommu_alloc_fail_nth(-1)) {
			assert_int_equal(ret, 0);
			break;
		}
		assert_int_equal(ret, -ENOMEM);
	}
	assert_true(n >= 8);
	free(ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments), cmocka_unit_test(look_up),
		cmocka_unit_test(across), cmocka_unit_test(mmio_pieces),
		cmocka_unit_test(exchange), cmocka_unit_test(from_file),
		cmocka_unit_test(listeners), cmocka_unit_test(allocations_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
