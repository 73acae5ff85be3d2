/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log of written pages over vfio-user, for a device passed through, on a real kernel: this program is a VMM and its guest inside a
 * Linux guest of ours. It starts the daemon with the PASID test device on vfio-pci, has the device write, and asks the unit's
 * function which pages were written: at guest-physical addresses, once, and also when the guest has unmapped them meanwhile.
 * {scalable, legacy} x {iommufd, type1} x {translated, pass-through}, and a nested PASID.
 *
 *   nested-log-scripted VIOMMU ADDRESS    ADDRESS: the PASID test device, bound to vfio-pci
 */
#include "driver.h"
#include "migration_client.h"
#include "passed.h"

#include <stdio.h>

#define IOVA   PASSED_IOVA
#define PAGE_A UINT64_C(0x2000000)
#define PAGE_B UINT64_C(0x2005000)
#define PASID  5

enum mode { PASS_THROUGH, LEGACY, SECOND, NESTED };

static const struct cell {
	const char *name;
	enum mode mode;
	bool type1;
	const char *unit;
} cells[] = {
	{ "scalable, iommufd, pass-through", PASS_THROUGH, false, PASSED_NESTED },
	{ "scalable, iommufd, nested PASID", NESTED, false, PASSED_NESTED },
	{ "scalable, iommufd, second stage", SECOND, false, PASSED_SECOND_STAGE },
	{ "scalable, type1, second stage", SECOND, true, PASSED_SECOND_STAGE },
	{ "scalable, type1, pass-through", PASS_THROUGH, true, PASSED_SECOND_STAGE },
	{ "legacy, iommufd, translated", LEGACY, false, PASSED_NESTED },
	{ "legacy, type1, translated", LEGACY, true, PASSED_SECOND_STAGE },
};

static const char *function;
static struct passed passed = PASSED_INIT;
static uint64_t table;
static uint64_t bitmap[VM_MEMORY / VM_PAGE / 64];

static bool written(uint64_t gpa)
{
	return bitmap[gpa / VM_PAGE / 64] >> gpa / VM_PAGE % 64 & 1;
}

static void report(void)
{
	memset(bitmap, 0, sizeof(bitmap));
	assert_int_equal(migration_log_report(&passed.unit, VM_MEMORY, bitmap), 0);
}

static void begin(const struct cell *cell)
{
	passed_begin(&passed, function, cell->unit, cell->type1 ? "type1" : "iommufd");
}

/* Also after a test that failed: the device is free again. */
static int end(void **state)
{
	return passed_end(&passed);
}

static void map(const struct cell *cell, uint64_t gpa)
{
	if (cell->mode == NESTED) {
		*vm_leaf(&passed.vm, table, IOVA) = gpa ? gpa | 7 : 0;
		assert_int_equal(vm_invalidate_pasid(&passed.vm, PASID, VM_DOMAIN), 0);
	} else {
		*vm_leaf(&passed.vm, table, IOVA) = gpa ? gpa | 3 : 0;
		passed_flush_domain(&passed);
	}
}

/* VT-d 9.6: the PASID's entry with a first stage, or PASID 0's with a second. */
static void translate(const struct cell *cell)
{
	if (cell->mode == PASS_THROUGH)
		return;
	table = vm_page(&passed.vm);
	vm_map_page(&passed.vm, table, IOVA, PAGE_A, cell->mode == NESTED ? 7 : 3, cell->mode == NESTED ? 7 : 3);
	if (cell->mode == LEGACY) {
		vm_add_legacy(&passed.vm, PASSED_DEVFN, table);
		assert_int_equal(vm_start_legacy(&passed.vm), 0);
	} else {
		passed_add_scalable(&passed, cell->mode == NESTED);
		if (cell->mode == NESTED)
			vm_set_pasid(&passed.vm, PASSED_DEVFN, PASID, table);
		else
			passed_set_second_stage(&passed, 0, table);
		assert_int_equal(vm_start_scalable(&passed.vm), 0);
	}
}

static void enable(const struct cell *cell)
{
	bool pasids = cell->mode == NESTED;

	assert_int_equal(client_enable(&passed.device, pasids, pasids, pasids), 0);
	if (cell->mode == PASS_THROUGH)
		return;
	passed_flush_context(&passed);
	if (cell->mode != LEGACY)
		passed_flush_pasid(&passed, cell->mode == NESTED ? PASID : 0);
}

static void device_writes(const struct cell *cell, uint64_t gpa)
{
	static uint64_t value = 0x1000;

	driver_testdev.start(&passed.device, cell->mode == NESTED ? PASID : NO_PASID, cell->mode == PASS_THROUGH ? gpa : IOVA, ++value,
			     false);
	assert_true(driver_testdev.finish(&passed.device));
	assert_int_equal(*(volatile uint64_t *)vm_at(&passed.vm, gpa), value);
}

static void logged(const struct cell *cell)
{
	/* type1 says of each page the device can reach that it was written. */
	bool exact = !cell->type1;

	begin(cell);
	translate(cell);
	enable(cell);
	assert_int_equal(migration_log_start(&passed.unit, VM_MEMORY), 0);
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
	assert_int_equal(migration_log_stop(&passed.unit), 0);
	assert_true(migration_log_report(&passed.unit, VM_MEMORY, bitmap) < 0);
	/* And once more from the beginning. */
	assert_int_equal(migration_log_start(&passed.unit, VM_MEMORY), 0);
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
	assert_int_equal(migration_feature(&passed.device, WIRE_FEATURE_MIGRATION, WIRE_FEATURE_GET, flags, 0, sizeof(flags),
					   &got), -ENOTTY);
	assert_int_equal(migration_set_state(&passed.device, WIRE_STATE_STOP), -ENOTTY);
	assert_int_equal(migration_log_start(&passed.device, VM_MEMORY), 0);
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
