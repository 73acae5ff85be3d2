/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log of written pages over vfio-user, for a device passed through, on a real kernel: this program is a VMM and its guest inside a
 * Linux guest of ours. It starts the daemon with the PASID test device on vfio-pci, has the device write, and asks the unit's
 * function which pages were written: at guest-physical addresses, once, and also when the guest has unmapped them meanwhile.
 * {scalable, legacy} x {iommufd, type1} x {translated, pass-through}, and a nested PASID.
 *
 *   nested-log-scripted VIOMMU ADDRESS    ADDRESS: the PASID test device, bound to vfio-pci
 */
#include "migration_client.h"
#include "server.h"
#include "vm.h"

#include "devices/testdev/testdev.h"

#include <stdio.h>
#include <unistd.h>

#define DEVFN  (7 << 3)
#define IOVA   UINT64_C(0x40000000)
#define PAGE_A UINT64_C(0x2000000)
#define PAGE_B UINT64_C(0x2005000)
#define PASID  5

/* No first stage, so no PASIDs: what type1 can keep. */
#define SECOND_STAGE "--unit=caching-mode=on,first-stage=off,nested=off,pasid-bits=0,page-request=off"

enum mode { PASS_THROUGH, LEGACY, SECOND, NESTED };

static const struct cell {
	const char *name;
	enum mode mode;
	bool type1;
	const char *unit;
} cells[] = {
	{ "scalable, iommufd, pass-through", PASS_THROUGH, false, "--unit=caching-mode=on" },
	{ "scalable, iommufd, nested PASID", NESTED, false, "--unit=caching-mode=on" },
	{ "scalable, iommufd, second stage", SECOND, false, SECOND_STAGE },
	{ "scalable, type1, second stage", SECOND, true, SECOND_STAGE },
	{ "scalable, type1, pass-through", PASS_THROUGH, true, SECOND_STAGE },
	{ "legacy, iommufd, translated", LEGACY, false, "--unit=caching-mode=on" },
	{ "legacy, type1, translated", LEGACY, true, SECOND_STAGE },
};

static const char *function;
static struct test_daemon host;
static struct client unit = { .fd = -1 }, device = { .fd = -1 };
static struct vm vm;
static uint64_t table;
static uint64_t bitmap[VM_MEMORY / VM_PAGE / 64];

static bool written(uint64_t gpa)
{
	return bitmap[gpa / VM_PAGE / 64] >> gpa / VM_PAGE % 64 & 1;
}

static void report(void)
{
	memset(bitmap, 0, sizeof(bitmap));
	assert_int_equal(migration_log_report(&unit, VM_MEMORY, bitmap), 0);
}

static void begin(const struct cell *cell)
{
	char unit_option[160], device_option[160];
	char *arguments[] = { unit_option, device_option, NULL };

	snprintf(unit_option, sizeof(unit_option), "%s", cell->unit);
	snprintf(device_option, sizeof(device_option), "--device=vfio,addr=07.0,host=%s,backend=%s", function,
		 cell->type1 ? "type1" : "iommufd");
	assert_int_equal(daemon_begin(&host, arguments), 0);
	snprintf(host.testdev, sizeof(host.testdev), "%s/vfio-07.0.sock", host.directory);
	assert_int_equal(client_open(&unit, host.unit), 0);
	assert_int_equal(client_open(&device, host.testdev), 0);
	assert_int_equal(vm_create(&vm, &unit), 0);
	device.memory = vm.memory;
	device.memory_length = VM_MEMORY;
}

/* Also after a test that failed: the device is free again. */
static int end(void **state)
{
	int result = 0;

	client_close(&device);
	client_close(&unit);
	if (host.pid) {
		vm_destroy(&vm);
		result = daemon_end(&host);
	}
	return result;
}

static uint64_t *pasid_entry(uint32_t pasid)
{
	uint64_t *root = vm_at(&vm, vm.root), *context, *directory;

	context = (uint64_t *)vm_at(&vm, *root & ~UINT64_C(0xfff)) + DEVFN * 4;
	directory = (uint64_t *)vm_at(&vm, *context & ~UINT64_C(0xfff)) + (pasid >> 6);
	return (uint64_t *)vm_at(&vm, *directory & ~UINT64_C(0xfff)) + (pasid & 63) * 8;
}

static void map(const struct cell *cell, uint64_t gpa)
{
	if (cell->mode == NESTED) {
		*vm_leaf(&vm, table, IOVA) = gpa ? gpa | 7 : 0;
		assert_int_equal(vm_invalidate_pasid(&vm, PASID, VM_DOMAIN), 0);
	} else {
		*vm_leaf(&vm, table, IOVA) = gpa ? gpa | 3 : 0;
		assert_int_equal(vm_invalidate(&vm, 0x2 | 2 << 4 | (uint64_t)VM_DOMAIN << 16, 0), 0);
	}
}

/* VT-d 9.6: the PASID's entry with a first stage, or PASID 0's with a second. */
static void translate(const struct cell *cell)
{
	if (cell->mode == PASS_THROUGH)
		return;
	table = vm_page(&vm);
	vm_map_page(&vm, table, IOVA, PAGE_A, cell->mode == NESTED ? 7 : 3, cell->mode == NESTED ? 7 : 3);
	if (cell->mode == LEGACY) {
		vm_add_legacy(&vm, DEVFN, table);
		assert_int_equal(vm_start_legacy(&vm), 0);
	} else {
		uint64_t *root = vm_at(&vm, vm.root);

		vm_add_scalable(&vm, DEVFN);
		/* VT-d 9.4: PASIDE and PRE are reserved in a unit without PASIDs and page requests. */
		if (cell->mode == SECOND)
			*((uint64_t *)vm_at(&vm, *root & ~UINT64_C(0xfff)) + DEVFN * 4) &= ~UINT64_C(0x18);
		vm_set_pasid(&vm, DEVFN, cell->mode == NESTED ? PASID : 0, cell->mode == NESTED ? table : 0);
		if (cell->mode == SECOND)
			pasid_entry(0)[0] = table | 2 << 6 | 2 << 2 | 1;
		assert_int_equal(vm_start_scalable(&vm), 0);
	}
}

static void enable(const struct cell *cell)
{
	bool pasids = cell->mode == NESTED;

	assert_int_equal(client_enable(&device, pasids, pasids, pasids), 0);
	if (cell->mode == PASS_THROUGH)
		return;
	assert_int_equal(vm_invalidate(&vm, 0x1 | 3 << 4 | (uint64_t)VM_DOMAIN << 16 | (uint64_t)DEVFN << 32, 0), 0);
	assert_int_equal(vm_invalidate(&vm, 0x2 | 2 << 4 | (uint64_t)VM_DOMAIN << 16, 0), 0);
	if (cell->mode != LEGACY) {
		uint32_t pasid = cell->mode == NESTED ? PASID : 0;

		assert_int_equal(vm_invalidate(&vm, 0x7 | 1 << 4 | (uint64_t)VM_DOMAIN << 16 | (uint64_t)pasid << 32,
					       0), 0);
		assert_int_equal(vm_invalidate_pasid(&vm, pasid, VM_DOMAIN), 0);
	}
}

static void device_writes(const struct cell *cell, uint64_t gpa)
{
	static uint64_t value = 0x1000;
	const uint32_t slot = TESTDEV_SLOT;
	uint32_t flags = cell->mode == NESTED ? TESTDEV_FLAG_PASID : 0;

	assert_int_equal(client_write64(&device, 0, TESTDEV_DATA, ++value), 0);
	assert_int_equal(client_write32(&device, 0, slot + TESTDEV_REQUEST, TESTDEV_OP_WRITE | flags), 0);
	assert_int_equal(client_write32(&device, 0, slot + TESTDEV_PASID, flags ? PASID : 0), 0);
	assert_int_equal(client_write64(&device, 0, slot + TESTDEV_IOVA, cell->mode == PASS_THROUGH ? gpa : IOVA), 0);
	assert_int_equal(client_write32(&device, 0, slot + TESTDEV_LENGTH, 8), 0);
	assert_int_equal(client_write32(&device, 0, TESTDEV_DOORBELL, 0), 0);
	for (unsigned int i = 0; client_read32(&device, 0, slot + TESTDEV_STATUS) != TESTDEV_FINISHED; i++) {
		assert_true(i < 30000);
		usleep(1000);
	}
	assert_int_equal(client_read32(&device, 0, slot + TESTDEV_OUTCOME), TESTDEV_OK);
	assert_int_equal(*(volatile uint64_t *)vm_at(&vm, gpa), value);
}

static void logged(const struct cell *cell)
{
	/* type1 says of each page the device can reach that it was written. */
	bool exact = !cell->type1;

	begin(cell);
	translate(cell);
	enable(cell);
	assert_int_equal(migration_log_start(&unit, VM_MEMORY), 0);
	report();
	device_writes(cell, PAGE_A);
	report();
	assert_true(written(PAGE_A));
	assert_true(!exact || !written(PAGE_B));
	report();
	assert_true(!exact || !written(PAGE_A));
	if (cell->mode != PASS_THROUGH) {
		/* Written, and unmapped before anybody asked; then the same IOVA leads elsewhere. */
		device_writes(cell, PAGE_A);
		map(cell, 0);
		map(cell, PAGE_B);
		device_writes(cell, PAGE_B);
		report();
		assert_true(written(PAGE_A) && written(PAGE_B));
	}
	assert_int_equal(migration_log_stop(&unit), 0);
	assert_true(migration_log_report(&unit, VM_MEMORY, bitmap) < 0);
	/* And once more from the beginning. */
	assert_int_equal(migration_log_start(&unit, VM_MEMORY), 0);
	report();
	device_writes(cell, cell->mode == PASS_THROUGH ? PAGE_A : PAGE_B);
	report();
	assert_true(written(cell->mode == PASS_THROUGH ? PAGE_A : PAGE_B));
	assert_int_equal(end(NULL), 0);
	print_message("%s: as it should be\n", cell->name);
}

static void every_cell(void **state)
{
	for (unsigned int i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		logged(&cells[i]);
}

/* vfio-pci has no migration: the function says so, and has a log all the same. */
static void without_migration(void **state)
{
	uint64_t flags[4];
	size_t got;

	begin(&cells[0]);
	assert_int_equal(migration_feature(&device, WIRE_FEATURE_MIGRATION, WIRE_FEATURE_GET, flags, 0, sizeof(flags),
					   &got), -ENOTTY);
	assert_int_equal(migration_set_state(&device, WIRE_STATE_STOP), -ENOTTY);
	assert_int_equal(migration_log_start(&device, VM_MEMORY), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(every_cell, end),
		cmocka_unit_test_teardown(without_migration, end),
	};

	if (argc < 3) {
		fprintf(stderr, "usage: nested-log-scripted VIOMMU ADDRESS\n");
		return 2;
	}
	daemon_program = argv[1];
	function = argv[2];
	return cmocka_run_group_tests_name("the log of a physical device's writes", tests, NULL, NULL);
}
