/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The model's rules, one by one: which errno, what DMA reaches, what stays cached until it is invalidated.
 */
#include <poll.h>

#include "../memory/common.h"
#include "host/areas.h"
#include "memory/alloc.h"
#include <viommu/host.h>

enum { RAM = 64 };

struct fixture {
	struct viommu_host *host;
	struct viommu_host_device *device;
	uint8_t *ram;
};

static int setup(void **state)
{
	struct viommu_host_model_device options = { sizeof(options), .pasid_bits = 16, .log = true };
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_int_equal(viommu_host_open_model(NULL, &fixture->host), 0);
	assert_int_equal(viommu_host_device_open_model(fixture->host, &options, &fixture->device), 0);
	fixture->ram = pages(RAM);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	viommu_host_device_close(fixture->device);
	viommu_host_close(fixture->host);
	free(fixture->ram);
	free(fixture);
	return 0;
}

/* One page of first-stage tables per level at GPAs 0x10000...; maps iova 0..2 MiB through the last one. */
static uint64_t *build_tables(uint8_t *ram)
{
	for (unsigned int level = 0; level < 3; level++)
		*(uint64_t *)(ram + 0x10000 + level * 0x1000) = (0x11000 + level * 0x1000) | 7;
	return (uint64_t *)(ram + 0x13000);
}

static void spaces_and_maps(void **state)
{
	struct fixture *f = *state;
	struct viommu_host_space *space, *parent;
	uint8_t byte = 1;

	assert_int_equal(viommu_host_space_create(f->device, 1u << 9, &space), -EINVAL);
	assert_int_equal(viommu_host_space_create(f->device, 0, &space), 0);
	assert_int_equal(viommu_host_space_create(f->device, VIOMMU_SPACE_NEST_PARENT, &parent), 0);
	assert_string_equal(viommu_host_backend(f->host), "model");
	assert_ptr_equal(viommu_host_space_host(space), f->host);
	assert_int_equal(viommu_host_map(space, 0x1000, f->ram, 0x3000, VIOMMU_READ), 0);
	assert_int_equal(viommu_host_map(space, 0x2000, f->ram, 0x1000, VIOMMU_READ), -EEXIST);
	assert_int_equal(viommu_host_map(space, 0x800, f->ram, 0x1000, VIOMMU_READ), -EINVAL);
	assert_int_equal(viommu_host_map(space, 0x8000, f->ram, 0x1000, 0), -EINVAL);
	assert_int_equal(viommu_host_map(space, 0xfee00000, f->ram, 0x1000, VIOMMU_READ), -EINVAL);
	assert_int_equal(viommu_host_map(space, 1ull << 48, f->ram, 0x1000, VIOMMU_READ), -EINVAL);
	/* Erratum 772415: no read-only maps below nested tables. */
	assert_int_equal(viommu_host_map(parent, 0x1000, f->ram, 0x1000, VIOMMU_READ), -EINVAL);
	assert_int_equal(viommu_host_unmap(space, 0x1000, 0x1000), -ENOENT);
	assert_int_equal(viommu_host_unmap(space, 0x9000, 0x1000), -ENOENT);
	assert_int_equal(viommu_host_attach(f->device, VIOMMU_NO_PASID, viommu_host_space_table(space)), 0);
	assert_int_equal(viommu_host_space_destroy(space), -EBUSY);
	assert_int_equal(viommu_host_model_dma(f->device, VIOMMU_NO_PASID, 0x3fff, &byte, 1, false), 0);
	assert_int_equal(viommu_host_model_dma(f->device, VIOMMU_NO_PASID, 0x3fff, &byte, 1, true), -EFAULT);
	assert_int_equal(viommu_host_model_dma(f->device, VIOMMU_NO_PASID, 0x3fff, &byte, 2, false), -EFAULT);
	assert_int_equal(viommu_host_unmap(space, 0, 0x10000), 0);
	assert_int_equal(viommu_host_model_dma(f->device, VIOMMU_NO_PASID, 0x3fff, &byte, 1, false), -EFAULT);
	assert_int_equal(viommu_host_detach(f->device, VIOMMU_NO_PASID), 0);
	assert_int_equal(viommu_host_space_destroy(space), 0);
	assert_int_equal(viommu_host_space_destroy(parent), 0);
}

static void pasid_flags(void **state)
{
	struct fixture *f = *state;
	struct viommu_host_space *plain, *capable;
	uint32_t t_plain, t_capable;

	viommu_host_space_create(f->device, 0, &plain);
	viommu_host_space_create(f->device, VIOMMU_SPACE_PASID, &capable);
	t_plain = viommu_host_space_table(plain);
	t_capable = viommu_host_space_table(capable);
	assert_int_equal(viommu_host_attach(f->device, 5, t_plain), -EINVAL);
	assert_int_equal(viommu_host_attach(f->device, VIOMMU_NO_PASID, t_plain), 0);
	assert_int_equal(viommu_host_attach(f->device, 5, t_capable), -EINVAL);
	assert_int_equal(viommu_host_attach(f->device, VIOMMU_NO_PASID, t_capable), 0);
	assert_int_equal(viommu_host_attach(f->device, 5, t_capable), 0);
	assert_int_equal(viommu_host_attach(f->device, VIOMMU_NO_PASID, t_plain), -EINVAL);
	assert_int_equal(viommu_host_attach(f->device, 0, t_capable), -EBUSY);
	assert_int_equal(viommu_host_attach(f->device, 1u << 16, t_capable), -EINVAL);
	assert_int_equal(viommu_host_attach(f->device, 1u << 20, t_capable), -EINVAL);
	assert_int_equal(viommu_host_attach(f->device, 6, 999), -ENOENT);
	assert_int_equal(viommu_host_model_attachments(f->device), 2);
	viommu_host_detach(f->device, 5);
	viommu_host_detach(f->device, VIOMMU_NO_PASID);
	viommu_host_detach(f->device, VIOMMU_NO_PASID);
	assert_int_equal(viommu_host_space_destroy(plain), 0);
	assert_int_equal(viommu_host_space_destroy(capable), 0);
}

static void nested(void **state)
{
	struct fixture *f = *state;
	struct viommu_host_first_stage first = { sizeof(first), .root = 0x10000, .width = 48, .pasid = true };
	struct viommu_host_invalidation all[3] = { { .pages = UINT64_MAX }, { .address = 1 }, { 0 } };
	struct viommu_host_space *plain, *parent;
	uint64_t *leaves = build_tables(f->ram), word = 0;
	uint32_t table, done;

	viommu_host_space_create(f->device, VIOMMU_SPACE_PASID, &plain);
	viommu_host_space_create(f->device, VIOMMU_SPACE_PASID | VIOMMU_SPACE_NEST_PARENT, &parent);
	assert_int_equal(viommu_host_map(parent, 0, f->ram, RAM * 4096, VIOMMU_READ | VIOMMU_WRITE), 0);
	assert_int_equal(viommu_host_nested_create(f->device, plain, &first, &table), -EINVAL);
	first.width = 39;
	assert_int_equal(viommu_host_nested_create(f->device, parent, &first, &table), -EINVAL);
	first.width = 48;
	first.faults = 77;
	assert_int_equal(viommu_host_nested_create(f->device, parent, &first, &table), -ENOENT);
	first.faults = 0;
	assert_int_equal(viommu_host_nested_create(f->device, parent, &first, &table), 0);
	assert_int_equal(viommu_host_space_destroy(parent), -EBUSY);
	assert_int_equal(viommu_host_attach(f->device, 9, table), 0);
	assert_int_equal(viommu_host_nested_destroy(f->host, table), -EBUSY);
	leaves[3] = 0x20000 | 7;
	*(uint64_t *)(f->ram + 0x20008) = 42;
	assert_int_equal(viommu_host_model_dma(f->device, 9, 0x3008, &word, 8, false), 0);
	assert_int_equal(word, 42);
	assert_int_equal(leaves[3], 0x20000 | 7 | 32);
	/* Cached until invalidated, whatever the tables say. */
	leaves[3] = 0x21000 | 7;
	*(uint64_t *)(f->ram + 0x21008) = 43;
	viommu_host_model_dma(f->device, 9, 0x3008, &word, 8, false);
	assert_int_equal(word, 42);
	assert_int_equal(viommu_host_invalidate(f->host, table, all, 3, &done), -EINVAL);
	assert_int_equal(done, 1);
	viommu_host_model_dma(f->device, 9, 0x3008, &word, 8, false);
	assert_int_equal(word, 43);
	leaves[3] = 0;
	all[0] = (struct viommu_host_invalidation){ .address = 0x3000, .pages = 1, .leaf_only = 1 };
	assert_int_equal(viommu_host_invalidate(f->host, table, all, 1, &done), 0);
	assert_int_equal(viommu_host_model_dma(f->device, 9, 0x3008, &word, 8, false), -EFAULT);
	all[0].address = 0x1000;
	all[0].pages = UINT64_MAX;
	assert_int_equal(viommu_host_invalidate(f->host, table, all, 1, &done), -EINVAL);
	assert_int_equal(viommu_host_invalidate(f->host, viommu_host_space_table(parent), all, 1, &done), -EINVAL);
	viommu_host_detach(f->device, 9);
	assert_int_equal(viommu_host_nested_destroy(f->host, table), 0);
	assert_int_equal(viommu_host_space_destroy(parent), 0);
	assert_int_equal(viommu_host_space_destroy(plain), 0);
}

static void dirty(void **state)
{
	struct fixture *f = *state;
	struct viommu_host_space *space, *plain;
	uint64_t bitmap[2] = { 0 };

	viommu_host_space_create(f->device, 0, &plain);
	viommu_host_space_create(f->device, VIOMMU_SPACE_DIRTY_TRACKING, &space);
	assert_int_equal(viommu_host_dirty_start(plain), -EOPNOTSUPP);
	viommu_host_map(space, 0x100000, f->ram, RAM * 4096, VIOMMU_READ | VIOMMU_WRITE);
	viommu_host_attach(f->device, VIOMMU_NO_PASID, viommu_host_space_table(space));
	viommu_host_model_dma(f->device, VIOMMU_NO_PASID, 0x100000, bitmap, 8, true);
	assert_int_equal(viommu_host_dirty_start(space), 0);
	viommu_host_model_dma(f->device, VIOMMU_NO_PASID, 0x102ffc, bitmap, 8, true);
	assert_int_equal(viommu_host_dirty_query(space, 0x100000, RAM * 4096, bitmap, true), 0);
	assert_int_equal(bitmap[0], 0xc);
	bitmap[0] = 1; /* ORed into */
	assert_int_equal(viommu_host_dirty_query(space, 0x101000, 0x2000, bitmap, false), 0);
	assert_int_equal(bitmap[0], 3);
	bitmap[0] = 0;
	viommu_host_model_dma(f->device, VIOMMU_NO_PASID, 0x102ffc, bitmap, 1, true);
	assert_int_equal(viommu_host_dirty_query(space, 0x100000, RAM * 4096, bitmap, false), 0);
	assert_int_equal(bitmap[0], 0xc);
	/* Unmapping loses what was not asked for. */
	viommu_host_model_dma(f->device, VIOMMU_NO_PASID, 0x100000, bitmap, 1, true);
	assert_int_equal(viommu_host_unmap_dirty(space, 0x100000, RAM * 4096, bitmap), -EOPNOTSUPP);
	assert_int_equal(viommu_host_unmap(space, 0x100000, RAM * 4096), 0);
	viommu_host_map(space, 0x100000, f->ram, RAM * 4096, VIOMMU_READ | VIOMMU_WRITE);
	bitmap[0] = 0;
	viommu_host_dirty_query(space, 0x100000, RAM * 4096, bitmap, false);
	assert_int_equal(bitmap[0], 0);
	viommu_host_detach(f->device, VIOMMU_NO_PASID);
	viommu_host_space_destroy(space);
	viommu_host_space_destroy(plain);
}

static void type1(void **state)
{
	struct viommu_host_model_options options = { sizeof(options), .type1 = true };
	struct viommu_host_model_device device_options = { sizeof(device_options) };
	struct viommu_host_device *device;
	struct viommu_host_space *space, *second;
	struct viommu_host *host;
	uint64_t bitmap[1] = { 0 };
	uint8_t *ram = pages(4);

	assert_int_equal(viommu_host_open_model(&options, &host), 0);
	viommu_host_device_open_model(host, &device_options, &device);
	assert_int_equal(viommu_host_space_create(device, VIOMMU_SPACE_PASID, &space), -EOPNOTSUPP);
	assert_int_equal(viommu_host_space_create(device, VIOMMU_SPACE_DIRTY_TRACKING, &space), 0);
	assert_int_equal(viommu_host_space_create(device, 0, &second), -EBUSY);
	assert_int_equal(viommu_host_map(space, 0x1000, ram, 0x2000, VIOMMU_READ | VIOMMU_WRITE), 0);
	assert_int_equal(viommu_host_model_dma(device, VIOMMU_NO_PASID, 0x1000, bitmap, 8, true), 0);
	assert_int_equal(viommu_host_attach(device, 3, viommu_host_space_table(space)), -EOPNOTSUPP);
	assert_int_equal(viommu_host_dirty_start(space), 0);
	assert_int_equal(viommu_host_dirty_query(space, 0x2000, 0x1000, bitmap, false), -EINVAL);
	assert_int_equal(viommu_host_unmap_dirty(space, 0, 0x8000, bitmap), 0);
	assert_int_equal(bitmap[0], 6);
	assert_int_equal(viommu_host_unmap_dirty(space, 0, 0x8000, bitmap), -ENOENT);
	viommu_host_device_close(device);
	assert_int_equal(viommu_host_space_destroy(space), 0);
	viommu_host_close(host);
	free(ram);
}

static void page_requests(void **state)
{
	struct fixture *f = *state;
	struct viommu_host_first_stage first = { sizeof(first), .root = 0x10000, .width = 48, .pasid = true };
	struct viommu_host_fault faults[64];
	struct viommu_host_space *parent;
	uint32_t queue, table;
	struct pollfd poller;
	bool success;
	int fd;

	viommu_host_space_create(f->device, VIOMMU_SPACE_PASID | VIOMMU_SPACE_NEST_PARENT, &parent);
	assert_int_equal(viommu_host_faults_create(f->host, &queue, &fd), 0);
	poller = (struct pollfd){ .fd = fd, .events = POLLIN };
	first.faults = queue;
	assert_int_equal(viommu_host_nested_create(f->device, parent, &first, &table), 0);
	assert_int_equal(viommu_host_model_page_request(f->device, 4, 0, VIOMMU_READ, 1, true), -EFAULT);
	viommu_host_attach(f->device, 4, table);
	assert_int_equal(viommu_host_model_page_request(f->device, 4, 0x5123, VIOMMU_READ, 1, false), 0);
	assert_int_equal(poll(&poller, 1, 0), 0);
	assert_int_equal(viommu_host_faults_read(f->host, fd, faults, 64), 0);
	assert_int_equal(viommu_host_model_page_request(f->device, 4, 0x6000, VIOMMU_WRITE, 1, true), 0);
	assert_int_equal(viommu_host_model_page_request(f->device, 4, 0x7000, VIOMMU_WRITE, 2, true), 0);
	assert_int_equal(poll(&poller, 1, 0), 1);
	assert_int_equal(viommu_host_faults_read(f->host, fd, faults, 64), 3);
	assert_int_equal(poll(&poller, 1, 0), 0);
	assert_int_equal(faults[0].address, 0x5000);
	assert_int_equal(faults[0].device, viommu_host_device_id(f->device));
	assert_int_equal(faults[1].access, VIOMMU_WRITE);
	assert_true(!faults[0].last && faults[1].last);
	assert_int_equal(faults[0].cookie, faults[1].cookie);
	assert_int_equal(viommu_host_model_page_answer(f->device, 4, 1, &success), 0);
	assert_int_equal(viommu_host_faults_answer(f->host, fd, faults[0].cookie, true), 0);
	assert_int_equal(viommu_host_faults_answer(f->host, fd, faults[0].cookie, true), -EINVAL);
	assert_int_equal(viommu_host_model_page_answer(f->device, 4, 1, &success), 1);
	assert_true(success);
	/* Detaching answers the rest. */
	viommu_host_detach(f->device, 4);
	assert_int_equal(viommu_host_model_page_answer(f->device, 4, 2, &success), 1);
	assert_false(success);
	assert_int_equal(viommu_host_faults_answer(f->host, fd, faults[2].cookie, true), -EINVAL);
	viommu_host_nested_destroy(f->host, table);
	viommu_host_faults_destroy(f->host, queue, fd);
	viommu_host_space_destroy(parent);
}

static void refusals_and_counts(void **state)
{
	struct fixture *f = *state;
	struct viommu_host_space *space;

	viommu_host_space_create(f->device, 0, &space);
	viommu_host_model_refuse(f->host, VIOMMU_HOST_MAP, 1, 2, -ENOSPC);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(viommu_host_map(space, i * 4096, f->ram, 4096, VIOMMU_READ),
				 i == 1 || i == 2 ? -ENOSPC : 0);
	assert_int_equal(viommu_host_model_calls(f->host, VIOMMU_HOST_MAP), 4);
	viommu_host_space_destroy(space);
}

/* The treap against an array, over random insertions and removals. */
static void areas(void **state)
{
	struct areas areas = { 0 };
	bool taken[512] = { false };

	srand(3);
	for (unsigned int round = 0; round < 20000; round++) {
		unsigned int at = (unsigned int)rand() % 512;
		struct area area = { .iova = at * 4096u, .last = at * 4096u + 4095 };
		struct area *found = areas_first(&areas, area.iova);
		unsigned int next = at;

		while (next < 512 && !taken[next])
			next++;
		assert_true(next == 512 ? !found : found && found->iova == next * 4096u);
		if (taken[at]) {
			assert_int_equal(areas_insert(&areas, &area), -EEXIST);
			areas_remove(&areas, found);
		} else {
			assert_int_equal(areas_insert(&areas, &area), 0);
		}
		taken[at] = !taken[at];
	}
	areas_clear(&areas);
	assert_int_equal(areas.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(spaces_and_maps, setup, teardown),
		cmocka_unit_test_setup_teardown(pasid_flags, setup, teardown),
		cmocka_unit_test_setup_teardown(nested, setup, teardown),
		cmocka_unit_test_setup_teardown(dirty, setup, teardown),
		cmocka_unit_test(type1),
		cmocka_unit_test_setup_teardown(page_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals_and_counts, setup, teardown),
		cmocka_unit_test(areas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
