/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Passthrough on a real kernel: this program is a VMM and its guest, inside a Linux guest of ours. It starts the daemon with a
 * VFIO device (which the outer daemon emulates, but this kernel does not know that), writes tables and queue descriptors as
 * a guest kernel would, and asks the device for DMA. It looks at where DMA lands, before and after every invalidation, for
 * {scalable, legacy} x {iommufd, type1} x {translated, pass-through}.
 *
 *   nested-scripted VIOMMU ADDRESS DRIVER    ADDRESS: bound to vfio-pci; DRIVER: dsa, or testdev (the PASID test device)
 */
#include "driver.h"
#include "passed.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define IOVA UINT64_C(0x7f1234560000)
#define LOW_IOVA PASSED_IOVA /* for second-stage tables and PASID-less DMA */
#define PAGE_A UINT64_C(0x2000000)
#define PAGE_B UINT64_C(0x2001000)
#define PAGE_C UINT64_C(0x2002000)
#define NONE NO_PASID

static const char *function;
static const struct driver *driver;
static struct passed passed = PASSED_INIT;

/* One cell of the matrix: how the unit and its host are driven. */
struct world {
	const char *unit;    /* options */
	const char *backend;
	bool scalable;
};

static const struct world scalable_iommufd = { PASSED_NESTED, "iommufd", true };
static const struct world second_iommufd = { PASSED_SECOND_STAGE, "iommufd", true };
static const struct world second_type1 = { PASSED_SECOND_STAGE, "type1", true };
static const struct world legacy_iommufd = { PASSED_NESTED, "iommufd", false };
static const struct world legacy_type1 = { PASSED_SECOND_STAGE, "type1", false };

static void begin(const struct world *world)
{
	passed_begin(&passed, function, world->unit, world->backend);
}

static int end(void **state)
{
	return passed_end(&passed);
}

/* Bus mastering and what the device needs to be ready. */
static void enable(bool pasids)
{
	assert_int_equal(client_enable(&passed.device, pasids, pasids, pasids), 0);
	driver->enable(&passed.device, pasids);
}

/* The device writes `value` at iova; where it landed is for the caller to look at. False: a fault. */
static bool dma_write(uint32_t pasid, uint64_t iova, uint64_t value)
{
	driver->start(&passed.device, pasid, iova, value, false);
	return driver->finish(&passed.device);
}

static uint64_t word_at(uint64_t gpa)
{
	return *(volatile uint64_t *)vm_at(&passed.vm, gpa);
}

/* DMA works, lands at `gpa`, and nowhere else among the pages in play. */
static void expect_at(uint32_t pasid, uint64_t iova, uint64_t gpa)
{
	static uint64_t value = 0x1000;
	static const uint64_t pages[] = { PAGE_A, PAGE_B, PAGE_C };
	uint64_t before[3];

	for (int i = 0; i < 3; i++)
		before[i] = word_at(pages[i]);
	assert_true(dma_write(pasid, iova, ++value));
	for (int i = 0; i < 3; i++)
		assert_int_equal(word_at(pages[i]), pages[i] == gpa ? value : before[i]);
}

static void expect_fault(uint32_t pasid, uint64_t iova)
{
	uint64_t a = word_at(PAGE_A), b = word_at(PAGE_B), c = word_at(PAGE_C);

	assert_false(dma_write(pasid, iova, 0xdead));
	assert_true(word_at(PAGE_A) == a && word_at(PAGE_B) == b && word_at(PAGE_C) == c);
}

static int begin_scalable(void **state)
{
	begin(&scalable_iommufd);
	vm_add_scalable(&passed.vm, PASSED_DEVFN);
	assert_int_equal(vm_start_scalable(&passed.vm), 0);
	enable(true);
	passed_flush_context(&passed);
	return 0;
}

/* Add, unmap, remap, replace, remove: each seen by DMA after its invalidation. */
static void pasids_come_change_and_go(void **state)
{
	uint64_t first = vm_page(&passed.vm), second = vm_page(&passed.vm), other = vm_page(&passed.vm);

	vm_map_page(&passed.vm, first, IOVA, PAGE_A, 7, 7);
	vm_map_page(&passed.vm, second, IOVA, PAGE_B, 7, 7);
	vm_map_page(&passed.vm, other, IOVA, PAGE_C, 7, 7);
	expect_fault(5, IOVA);

	vm_set_pasid(&passed.vm, PASSED_DEVFN, 5, first);
	passed_flush_pasid(&passed, 5);
	expect_at(5, IOVA, PAGE_A);
	expect_fault(77, IOVA);
	vm_set_pasid(&passed.vm, PASSED_DEVFN, 77, other);
	passed_flush_pasid(&passed, 77);
	expect_at(77, IOVA, PAGE_C);
	expect_at(5, IOVA, PAGE_A);

	/* The guest's own table is what the hardware walks: a flush is all it takes. */
	*vm_leaf(&passed.vm, first, IOVA) = 0;
	assert_int_equal(vm_invalidate_pasid(&passed.vm, 5, VM_DOMAIN), 0);
	expect_fault(5, IOVA);
	*vm_leaf(&passed.vm, first, IOVA) = PAGE_B | 7;
	assert_int_equal(vm_invalidate_pasid(&passed.vm, 5, VM_DOMAIN), 0);
	expect_at(5, IOVA, PAGE_B);
	/* Read-only. */
	*vm_leaf(&passed.vm, first, IOVA) = PAGE_B | 5;
	assert_int_equal(vm_invalidate_pasid(&passed.vm, 5, VM_DOMAIN), 0);
	expect_fault(5, IOVA);
	*vm_leaf(&passed.vm, first, IOVA) = PAGE_A | 7;
	assert_int_equal(vm_invalidate_pasid(&passed.vm, 5, VM_DOMAIN), 0);

	/* Another table for the same PASID. */
	vm_set_pasid(&passed.vm, PASSED_DEVFN, 5, second);
	passed_flush_pasid(&passed, 5);
	expect_at(5, IOVA, PAGE_B);
	expect_at(77, IOVA, PAGE_C);

	passed_pasid_entry(&passed, 5)[0] = 0;
	passed_flush_pasid(&passed, 5);
	expect_fault(5, IOVA);
	expect_at(77, IOVA, PAGE_C);
}

/* The RID has PASID 0's entry. */
static void plain_requests_use_pasid_0(void **state)
{
	uint64_t table = vm_page(&passed.vm);

	vm_map_page(&passed.vm, table, LOW_IOVA, PAGE_A, 7, 7);
	vm_set_pasid(&passed.vm, PASSED_DEVFN, 0, table);
	passed_flush_pasid(&passed, 0);
	expect_at(NONE, LOW_IOVA, PAGE_A);
	*vm_leaf(&passed.vm, table, LOW_IOVA) = PAGE_B | 7;
	assert_int_equal(vm_invalidate_pasid(&passed.vm, 0, VM_DOMAIN), 0);
	expect_at(NONE, LOW_IOVA, PAGE_B);
}

/* PGTT pass-through: IOVAs are GPAs, for a PASID and for plain requests. */
static void pass_through_pasids(void **state)
{
	passed_set_pass_through(&passed, 9);
	passed_flush_pasid(&passed, 9);
	expect_at(9, PAGE_C, PAGE_C);
	expect_fault(9, VM_MEMORY + 0x1000);
	passed_set_pass_through(&passed, 0);
	passed_flush_pasid(&passed, 0);
	expect_at(NONE, PAGE_A, PAGE_A);
}

/* The kernel's fault queue, relayed: the guest maps the page, answers, and the DMA goes on. */
static void page_requests_reach_the_guest(void **state)
{
	uint64_t table = vm_page(&passed.vm), value = 0x5a5a, entry[2];
	uint32_t tail = 0;

	vm_map_page(&passed.vm, table, IOVA, PAGE_A, 7, 7);
	vm_set_pasid(&passed.vm, PASSED_DEVFN, 5, table);
	passed_flush_pasid(&passed, 5);
	/* Translated requests have no PASID: the entry of plain ones must be there (VT-d 7.1.3 SPT.2). */
	passed_set_pass_through(&passed, 0);
	passed_flush_pasid(&passed, 0);
	driver->start(&passed.device, 5, IOVA + 0x3000, value, true);
	for (unsigned int i = 0; i < 5000 && !tail; i++) {
		tail = (uint32_t)client_read64(&passed.unit, 0, VM_PQT);
		usleep(1000);
	}
	assert_int_equal(tail, 32);
	memcpy(entry, vm_at(&passed.vm, passed.vm.requests), sizeof(entry));
	assert_int_equal(entry[0] & 0xff, 1);
	assert_int_equal(entry[0] >> 16 & 0xffff, PASSED_DEVFN);
	assert_int_equal(entry[0] >> 32 & 0xfffff, 5);
	assert_int_equal(entry[1] & ~UINT64_C(0xfff), IOVA + 0x3000);
	vm_map_page(&passed.vm, table, IOVA + 0x3000, PAGE_B, 7, 7);
	assert_int_equal(client_write64(&passed.unit, 0, VM_PQH, tail), 0);
	assert_int_equal(client_write32(&passed.unit, 0, VM_PRS, 1), 0);
	assert_int_equal(vm_invalidate(&passed.vm, 0x9 | 1 << 4 | (uint64_t)PASSED_DEVFN << 16 | UINT64_C(5) << 32,
				       entry[1] & 0xff8), 0);
	assert_true(driver->finish(&passed.device));
	assert_int_equal(word_at(PAGE_B), value);
}

/* TE off: the guest has DMA to all of its memory again; on: its tables count again. */
static void translation_off_and_on(void **state)
{
	uint64_t table = vm_page(&passed.vm);

	vm_map_page(&passed.vm, table, LOW_IOVA, PAGE_A, 7, 7);
	vm_set_pasid(&passed.vm, PASSED_DEVFN, 0, table);
	passed_flush_pasid(&passed, 0);
	expect_at(NONE, LOW_IOVA, PAGE_A);
	assert_int_equal(client_write32(&passed.unit, 0, VM_GCMD, VM_QIE), 0);
	assert_false(client_read32(&passed.unit, 0, VM_GSTS) & VM_TE);
	expect_at(NONE, PAGE_B, PAGE_B);
	expect_fault(NONE, LOW_IOVA);
	assert_int_equal(client_write32(&passed.unit, 0, VM_GCMD, VM_QIE | VM_TE), 0);
	assert_true(client_read32(&passed.unit, 0, VM_GSTS) & VM_TE);
	expect_at(NONE, LOW_IOVA, PAGE_A);
}

/* Second-stage tables, kept in step on the host: {legacy, scalable} x {iommufd, type1}. */
static void shadow(const struct world *world)
{
	uint64_t table;

	begin(world);
	table = vm_page(&passed.vm);
	vm_map_page(&passed.vm, table, LOW_IOVA, PAGE_A, 3, 3);
	if (world->scalable) {
		passed_add_scalable(&passed, strcmp(world->unit, PASSED_SECOND_STAGE));
		passed_set_second_stage(&passed, 0, table);
	} else {
		vm_add_legacy(&passed.vm, PASSED_DEVFN, table);
	}
	assert_int_equal(world->scalable ? vm_start_scalable(&passed.vm) : vm_start_legacy(&passed.vm), 0);
	enable(false);
	passed_flush_context(&passed);
	if (world->scalable)
		passed_flush_pasid(&passed, 0);
	expect_at(NONE, LOW_IOVA, PAGE_A);
	expect_fault(NONE, LOW_IOVA + VM_PAGE);
	expect_fault(NONE, PAGE_B);

	/* Caching mode: new pages are announced too. */
	vm_map_page(&passed.vm, table, LOW_IOVA + VM_PAGE, PAGE_B, 3, 3);
	passed_flush_domain(&passed);
	expect_at(NONE, LOW_IOVA + VM_PAGE, PAGE_B);
	*vm_leaf(&passed.vm, table, LOW_IOVA) = PAGE_C | 3;
	passed_flush_domain(&passed);
	expect_at(NONE, LOW_IOVA, PAGE_C);
	*vm_leaf(&passed.vm, table, LOW_IOVA) = 0;
	passed_flush_domain(&passed);
	expect_fault(NONE, LOW_IOVA);
	expect_at(NONE, LOW_IOVA + VM_PAGE, PAGE_B);
	/* Read-only pages stay read-only. */
	*vm_leaf(&passed.vm, table, LOW_IOVA) = PAGE_A | 1;
	passed_flush_domain(&passed);
	expect_fault(NONE, LOW_IOVA);
}

static void shadow_scalable_iommufd(void **state)
{
	shadow(&second_iommufd);
}

static void shadow_scalable_type1(void **state)
{
	shadow(&second_type1);
}

static void shadow_legacy_iommufd(void **state)
{
	shadow(&legacy_iommufd);
}

static void shadow_legacy_type1(void **state)
{
	shadow(&legacy_type1);
}

/* Context entry TT=2, or PGTT=4: IOVAs are GPAs. */
static void pass_through(const struct world *world)
{
	begin(world);
	if (world->scalable) {
		passed_add_scalable(&passed, strcmp(world->unit, PASSED_SECOND_STAGE));
		passed_set_pass_through(&passed, 0);
	} else {
		vm_add_legacy(&passed.vm, PASSED_DEVFN, 0);
		*passed_context(&passed, 2) = 2 << 2 | 1; /* TT 2 */
	}
	assert_int_equal(world->scalable ? vm_start_scalable(&passed.vm) : vm_start_legacy(&passed.vm), 0);
	enable(false);
	passed_flush_context(&passed);
	if (world->scalable)
		passed_flush_pasid(&passed, 0);
	expect_at(NONE, PAGE_A, PAGE_A);
	expect_at(NONE, PAGE_C, PAGE_C);
	expect_fault(NONE, VM_MEMORY + VM_PAGE);
}

static void pass_through_scalable_iommufd(void **state)
{
	pass_through(&scalable_iommufd);
}

static void pass_through_scalable_type1(void **state)
{
	pass_through(&second_type1);
}

static void pass_through_legacy_iommufd(void **state)
{
	pass_through(&legacy_iommufd);
}

static void pass_through_legacy_type1(void **state)
{
	pass_through(&legacy_type1);
}

/* Write `text` to a file of sysfs; true when the kernel took it. */
static bool tell_kernel(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool taken = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return taken;
}

/* The host's administrator unbinds the function: the VMM is told, disconnects, and the function is free. */
static void the_host_takes_the_function_back(void **state)
{
	struct {
		struct wire_set_irqs set;
	} leave = { { .argsz = sizeof(leave), .flags = WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_TRIGGER,
		      .index = WIRE_IRQ_REQUEST, .count = 1 } };
	struct pollfd asked = { .fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN };
	int status = -1;
	uint32_t value;
	pid_t unbinder;

	begin(&second_iommufd);
	assert_int_equal(client_enable(&passed.device, false, false, false), 0);
	assert_int_equal(client_call(&passed.device, WIRE_DEVICE_SET_IRQS, &leave, sizeof(leave), &asked.fd, 1, NULL, NULL),
			 0);
	unbinder = fork();
	if (!unbinder) {
		close(passed.device.fd); /* the connection must end when its owner closes it */
		_exit(!tell_kernel("/sys/bus/pci/drivers/vfio-pci/unbind", function));
	}
	assert_int_equal(poll(&asked, 1, 15000), 1);
	assert_int_equal(waitpid(unbinder, &status, WNOHANG), 0);
	client_close(&passed.device);
	for (int i = 0; i < 1500 && waitpid(unbinder, &status, WNOHANG) != unbinder; i++)
		usleep(10000);
	assert_int_equal(status, 0);
	/* The daemon lives; the function it had is an empty slot. */
	assert_int_equal(client_open(&passed.device, passed.host.testdev), 0);
	assert_true(client_read(&passed.device, 0, 0, &value, 4) < 0);
	close(asked.fd);
	assert_true(tell_kernel("/sys/bus/pci/drivers/vfio-pci/bind", function));
}

#define NESTED(f) cmocka_unit_test_setup_teardown(f, begin_scalable, end)
#define OWN(f) cmocka_unit_test_teardown(f, end)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		NESTED(pasids_come_change_and_go),
		NESTED(plain_requests_use_pasid_0),
		NESTED(pass_through_pasids),
		NESTED(page_requests_reach_the_guest),
		NESTED(translation_off_and_on),
		OWN(shadow_scalable_iommufd),
		OWN(shadow_scalable_type1),
		OWN(shadow_legacy_iommufd),
		OWN(shadow_legacy_type1),
		OWN(pass_through_scalable_iommufd),
		OWN(pass_through_scalable_type1),
		OWN(pass_through_legacy_iommufd),
		OWN(pass_through_legacy_type1),
		OWN(the_host_takes_the_function_back),
	};

	if (argc < 4 || argc > 5 || (strcmp(argv[3], "dsa") && strcmp(argv[3], "testdev"))) {
		fprintf(stderr, "usage: nested-scripted VIOMMU ADDRESS dsa|testdev [TEST]\n");
		return 2;
	}
	daemon_program = argv[1];
	function = argv[2];
	driver = strcmp(argv[3], "dsa") ? &driver_testdev : &driver_dsa;
	if (argc > 4)
		cmocka_set_test_filter(argv[4]);
	return cmocka_run_group_tests_name("passthrough on a real kernel", tests, NULL, NULL);
}
