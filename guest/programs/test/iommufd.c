/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A user-space driver's view of the unit: iommufd and the VFIO character device with the PASID test
 * device behind them. Each step is one iommufd object or call, and a DMA that shows that it took effect.
 *
 * usage: iommufd PCI-ADDRESS	(the device is bound to vfio-pci)
 *
 * Addresses: the I/O address space maps ARENA bytes of our memory at BASE; page tables that we build
 * ourselves for nesting lie in that memory, so that "guest-physical" is BASE plus the offset in it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../common/report.h"
#include "../common/testdev.h"

#define PAGE		4096ull
#define ARENA		(2ull << 20)
#define BASE		0x40000000ull
#define VIRTUAL		0x7f1234560000ull	/* what our first-stage tables map */
#define PASID		5
#define NO_PASID	-1

#define PTE_PRESENT	0x01ull
#define PTE_WRITE	0x02ull
#define PTE_USER	0x04ull
#define PTE_ACCESSED	0x20ull
#define PTE_DIRTY	0x40ull
#define PTE_ADDRESS	0x000ffffffffff000ull

struct machine {
	int iommufd, device, fault;
	uint32_t device_id, ioas, parent, fault_id;
	uint8_t *arena;
	size_t used;
	struct testdev testdev;
};

static struct report_totals totals;
static bool all_pass = true;

static bool step(const char *name, bool pass, const char *detail)
{
	report_check(name, pass, "%s", detail);
	all_pass &= pass;
	return pass;
}

/* An ioctl whose failure is a failed check that names it. */
static bool call(const char *name, int fd, unsigned long request, void *argument)
{
	int result;

	do
		result = ioctl(fd, request, argument);
	while (result < 0 && errno == EINTR);
	if (result < 0)
		return step(name, false, strerror(errno));
	return true;
}

/* --- the machine: device, address space, memory ------------------------------------------------- */

static int open_cdev(const char *address)
{
	char pattern[128], path[64];
	glob_t found;
	int fd = -1;

	snprintf(pattern, sizeof(pattern), "/sys/bus/pci/devices/%s/vfio-dev/vfio*", address);
	if (glob(pattern, 0, NULL, &found) == 0) {
		snprintf(path, sizeof(path), "/dev/vfio/devices/%.32s", strrchr(found.gl_pathv[0], '/') + 1);
		fd = open(path, O_RDWR | O_CLOEXEC);
		globfree(&found);
	}
	return fd;
}

/* VFIO leaves bus mastering to us. */
static bool enable_device(struct machine *m)
{
	struct vfio_region_info config = { .argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	struct vfio_region_info bar = { .argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX };
	uint16_t command = 0x6;
	void *registers;

	if (!call("config region", m->device, VFIO_DEVICE_GET_REGION_INFO, &config) ||
	    !call("register region", m->device, VFIO_DEVICE_GET_REGION_INFO, &bar))
		return false;
	if (pwrite(m->device, &command, 2, config.offset + 4) != 2)
		return step("bus mastering", false, strerror(errno));
	registers = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, m->device, bar.offset);
	if (registers == MAP_FAILED)
		return step("map the registers", false, strerror(errno));
	m->testdev.registers = registers;
	return step("the test device answers", testdev_present(&m->testdev), "identification");
}

static bool machine_open(struct machine *m, const char *address)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct iommu_ioas_map map = { .size = sizeof(map), .length = ARENA, .iova = BASE };

	m->iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	m->device = open_cdev(address);
	if (m->iommufd < 0 || m->device < 0)
		return step("open /dev/iommu and the device", false, strerror(errno));
	bind.iommufd = m->iommufd;
	m->arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m->arena == MAP_FAILED || !call("bind", m->device, VFIO_DEVICE_BIND_IOMMUFD, &bind) ||
	    !call("address space", m->iommufd, IOMMU_IOAS_ALLOC, &ioas))
		return false;
	m->device_id = bind.out_devid;
	m->ioas = map.ioas_id = ioas.out_ioas_id;
	map.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
	map.user_va = (uintptr_t)m->arena;
	return call("map", m->iommufd, IOMMU_IOAS_MAP, &map) && enable_device(m);
}

/* A zeroed page of the arena. */
static uint8_t *take_page(struct machine *m)
{
	uint8_t *page = m->arena + m->used;

	if (m->used + PAGE > ARENA)
		abort();
	m->used += PAGE;
	memset(page, 0, PAGE);
	return page;
}

static uint64_t physical(const struct machine *m, const void *p)
{
	return BASE + ((const uint8_t *)p - m->arena);
}

/* --- iommufd calls ------------------------------------------------------------------------------- */

static uint32_t hwpt_alloc(struct machine *m, const char *name, uint32_t flags, uint32_t from, const uint64_t *root)
{
	struct iommu_hwpt_vtd_s1 first_stage = { .addr_width = 48, .pgtbl_addr = root ? physical(m, root) : 0 };
	struct iommu_hwpt_alloc alloc = { .size = sizeof(alloc), .flags = flags, .dev_id = m->device_id,
					  .pt_id = from };

	if (root) {
		alloc.data_type = IOMMU_HWPT_DATA_VTD_S1;
		alloc.data_len = sizeof(first_stage);
		alloc.data_uptr = (uintptr_t)&first_stage;
	}
	if (flags & IOMMU_HWPT_FAULT_ID_VALID)
		alloc.fault_id = m->fault_id;
	return call(name, m->iommufd, IOMMU_HWPT_ALLOC, &alloc) ? alloc.out_hwpt_id : 0;
}

static bool attach(struct machine *m, const char *name, uint32_t hwpt, long pasid)
{
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach), .pt_id = hwpt };

	if (pasid != NO_PASID) {
		attach.flags = VFIO_DEVICE_ATTACH_PASID;
		attach.pasid = pasid;
	}
	return hwpt && call(name, m->device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
}

static bool detach(struct machine *m, const char *name, long pasid)
{
	struct vfio_device_detach_iommufd_pt detach = { .argsz = sizeof(detach) };

	if (pasid != NO_PASID) {
		detach.flags = VFIO_DEVICE_DETACH_PASID;
		detach.pasid = pasid;
	}
	return call(name, m->device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach);
}

static bool invalidate(struct machine *m, uint32_t hwpt, uint64_t address, uint64_t pages)
{
	struct iommu_hwpt_vtd_s1_invalidate entry = { .addr = address, .npages = pages };
	struct iommu_hwpt_invalidate argument = { .size = sizeof(argument), .hwpt_id = hwpt, .entry_num = 1,
						  .data_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
						  .entry_len = sizeof(entry), .data_uptr = (uintptr_t)&entry };

	return call("invalidate", m->iommufd, IOMMU_HWPT_INVALIDATE, &argument);
}

static void destroy(struct machine *m, uint32_t id)
{
	struct iommu_destroy argument = { .size = sizeof(argument), .id = id };

	if (id)
		call("destroy", m->iommufd, IOMMU_DESTROY, &argument);
}

/* --- first-stage tables --------------------------------------------------------------------------- */

/* The leaf entry for an address, making the tables on the way. */
static uint64_t *leaf(struct machine *m, uint64_t *table, uint64_t address)
{
	for (int shift = 39; shift > 12; shift -= 9) {
		uint64_t *entry = &table[address >> shift & 511];

		if (!*entry)
			*entry = physical(m, take_page(m)) | PTE_PRESENT | PTE_WRITE | PTE_USER;
		table = (uint64_t *)(m->arena + ((*entry & PTE_ADDRESS) - BASE));
	}
	return &table[address >> 12 & 511];
}

static uint64_t *map_page(struct machine *m, uint64_t *root, uint64_t address, const uint8_t *page, uint64_t flags)
{
	uint64_t *entry = leaf(m, root, address);

	__atomic_store_n(entry, physical(m, page) | PTE_PRESENT | PTE_USER | flags, __ATOMIC_SEQ_CST);
	return entry;
}

/* --- DMA ------------------------------------------------------------------------------------------ */

static enum testdev_outcome dma(struct machine *m, enum testdev_operation operation, uint64_t iova, long pasid,
				bool ats, void *data)
{
	struct testdev_request request = { .operation = operation, .iova = iova, .size = 64, .pasid = pasid,
					   .ats = ats };

	totals.operations++;
	totals.bytes += 64;
	return testdev_run(&m->testdev, &request, operation == TESTDEV_WRITE ? data : NULL,
			   operation == TESTDEV_READ ? data : NULL).outcome;
}

/* A write through the device that must arrive at `page`, with and without ATS; then a read of it. */
static bool reaches(struct machine *m, uint64_t iova, long pasid, uint8_t *page)
{
	static uint8_t stamp;
	uint8_t out[64], in[64];
	bool pass = true;

	for (int ats = 0; ats < 2; ats++) {
		memset(out, ++stamp, sizeof(out));
		pass &= dma(m, TESTDEV_WRITE, iova + 64 * ats, pasid, ats, out) == TESTDEV_OK &&
			!memcmp(page + 64 * ats, out, sizeof(out));
		memset(page + 256, ++stamp, 64);
		pass &= dma(m, TESTDEV_READ, iova + 256, pasid, ats, in) == TESTDEV_OK &&
			!memcmp(page + 256, in, sizeof(in));
	}
	return pass;
}

static bool stopped(struct machine *m, enum testdev_operation operation, uint64_t iova, long pasid)
{
	uint8_t data[64] = { 0 };

	/* Untranslated it is a fault; to ATS the answer is "not granted", or a fault if nothing is attached. */
	enum testdev_outcome untranslated = dma(m, operation, iova, pasid, false, data);
	enum testdev_outcome ats = dma(m, operation, iova, pasid, true, data);

	return untranslated == TESTDEV_FAULT && (ats == TESTDEV_NOT_GRANTED || ats == TESTDEV_FAULT);
}

/* --- the tests ------------------------------------------------------------------------------------ */

static bool hardware_information(struct machine *m)
{
	struct iommu_hw_info_vtd vtd = { 0 };
	struct iommu_hw_info info = { .size = sizeof(info), .dev_id = m->device_id, .data_len = sizeof(vtd),
				      .data_uptr = (uintptr_t)&vtd };
	char text[160];

	if (!call("hardware information", m->iommufd, IOMMU_GET_HW_INFO, &info))
		return false;
	snprintf(text, sizeof(text), "type %u, cap 0x%llx, ecap 0x%llx, PASID bits %u", info.out_data_type,
		 (unsigned long long)vtd.cap_reg, (unsigned long long)vtd.ecap_reg, info.out_max_pasid_log2);
	return step("hardware information: VT-d with PASIDs",
		    info.out_data_type == IOMMU_HW_INFO_TYPE_INTEL_VTD && info.out_max_pasid_log2 > 0, text);
}

static void plain(struct machine *m)
{
	uint8_t *page = take_page(m);

	if (!attach(m, "attach the address space", m->ioas, NO_PASID))
		return;
	step("DMA through an address space", reaches(m, physical(m, page), NO_PASID, page), "written and read back");
	step("DMA outside it is stopped", stopped(m, TESTDEV_READ, BASE + ARENA, NO_PASID), "read past the end");
	detach(m, "detach", NO_PASID);
	step("DMA of a detached device is stopped", stopped(m, TESTDEV_WRITE, physical(m, page), NO_PASID), "write");
}

static void dirty_tracking(struct machine *m)
{
	uint32_t hwpt = hwpt_alloc(m, "table with dirty tracking", IOMMU_HWPT_ALLOC_DIRTY_TRACKING, m->ioas, NULL);
	struct iommu_hwpt_set_dirty_tracking set = { .size = sizeof(set), .hwpt_id = hwpt,
						     .flags = IOMMU_HWPT_DIRTY_TRACKING_ENABLE };
	uint64_t bitmap[ARENA / PAGE / 64] = { 0 }, wanted[ARENA / PAGE / 64] = { 0 };
	struct iommu_hwpt_get_dirty_bitmap get = { .size = sizeof(get), .hwpt_id = hwpt, .iova = BASE,
						   .length = ARENA, .page_size = PAGE, .data = (uintptr_t)bitmap };
	const unsigned int pages[] = { 3, 4, 200, 511 };
	uint8_t data[64] = { 1 };

	if (!attach(m, "attach it", hwpt, NO_PASID))
		return;
	dma(m, TESTDEV_WRITE, BASE + 7 * PAGE, NO_PASID, false, data);
	if (!call("enable dirty tracking", m->iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, &set))
		return;
	call("first query", m->iommufd, IOMMU_HWPT_GET_DIRTY_BITMAP, &get);
	memset(bitmap, 0, sizeof(bitmap));
	for (unsigned int i = 0; i < 4; i++) {
		dma(m, TESTDEV_WRITE, BASE + pages[i] * PAGE + 128, NO_PASID, i & 1, data);
		wanted[pages[i] / 64] |= 1ull << pages[i] % 64;
	}
	dma(m, TESTDEV_READ, BASE + 9 * PAGE, NO_PASID, false, data);
	call("second query", m->iommufd, IOMMU_HWPT_GET_DIRTY_BITMAP, &get);
	step("dirty tracking: the pages written and no others", !memcmp(bitmap, wanted, sizeof(wanted)), "4 of 512");
	memset(bitmap, 0, sizeof(bitmap));
	memset(wanted, 0, sizeof(wanted));
	call("third query", m->iommufd, IOMMU_HWPT_GET_DIRTY_BITMAP, &get);
	step("dirty tracking: a query clears", !memcmp(bitmap, wanted, sizeof(wanted)), "none left");
	detach(m, "detach", NO_PASID);
	destroy(m, hwpt);
}

static void nesting(struct machine *m)
{
	uint64_t *root = (uint64_t *)take_page(m), *entry, *read_only;
	uint8_t *first = take_page(m), *second = take_page(m);
	uint32_t nested;

	m->parent = hwpt_alloc(m, "nesting parent", IOMMU_HWPT_ALLOC_NEST_PARENT, m->ioas, NULL);
	entry = map_page(m, root, VIRTUAL, first, PTE_WRITE);
	read_only = map_page(m, root, VIRTUAL + PAGE, first, 0);
	nested = hwpt_alloc(m, "nested table", 0, m->parent, root);
	if (!attach(m, "attach the nested table", nested, NO_PASID))
		return;
	step("nested: DMA through both stages", reaches(m, VIRTUAL, NO_PASID, first), "written and read back");
	step("nested: accessed and dirty are set", (*entry & (PTE_ACCESSED | PTE_DIRTY)) == (PTE_ACCESSED | PTE_DIRTY),
	     "in the first-stage leaf");
	step("nested: no write through a read-only entry", stopped(m, TESTDEV_WRITE, VIRTUAL + PAGE, NO_PASID) &&
	     !(*read_only & PTE_DIRTY), "stopped");
	step("nested: no entry", stopped(m, TESTDEV_READ, VIRTUAL + 2 * PAGE, NO_PASID), "stopped");

	map_page(m, root, VIRTUAL, second, PTE_WRITE);
	if (invalidate(m, nested, VIRTUAL, 1))
		step("nested: after a page invalidation", reaches(m, VIRTUAL, NO_PASID, second), "the new page");
	*leaf(m, root, VIRTUAL) = 0;
	if (invalidate(m, nested, 0, UINT64_MAX))
		step("nested: after an invalidation of all", stopped(m, TESTDEV_READ, VIRTUAL, NO_PASID), "stopped");
	/* The second stage does not have this address. */
	*leaf(m, root, VIRTUAL) = (BASE + 2 * ARENA) | PTE_PRESENT | PTE_WRITE | PTE_USER;
	invalidate(m, nested, VIRTUAL, 1);
	step("nested: the second stage has the last word", stopped(m, TESTDEV_WRITE, VIRTUAL, NO_PASID), "stopped");
	detach(m, "detach", NO_PASID);
	destroy(m, nested);
}

static void pasids(struct machine *m)
{
	uint64_t *one = (uint64_t *)take_page(m), *two = (uint64_t *)take_page(m);
	uint8_t *first = take_page(m), *second = take_page(m), *own = take_page(m);
	uint32_t base, nested[2];

	map_page(m, one, VIRTUAL, first, PTE_WRITE);
	map_page(m, two, VIRTUAL, second, PTE_WRITE);
	base = hwpt_alloc(m, "table that admits PASIDs", IOMMU_HWPT_ALLOC_PASID, m->ioas, NULL);
	nested[0] = hwpt_alloc(m, "nested table for a PASID", IOMMU_HWPT_ALLOC_PASID, m->parent, one);
	nested[1] = hwpt_alloc(m, "another", IOMMU_HWPT_ALLOC_PASID, m->parent, two);
	if (!attach(m, "attach the device itself", base, NO_PASID) ||
	    !attach(m, "attach a PASID", nested[0], PASID))
		return;
	totals.pasids = 2;
	step("PASID: DMA", reaches(m, VIRTUAL, PASID, first), "through its own table");
	step("PASID: DMA without one", reaches(m, physical(m, own), NO_PASID, own), "through the device's table");
	step("PASID: another one is stopped", stopped(m, TESTDEV_READ, VIRTUAL, PASID + 1), "not attached");
	if (attach(m, "replace the PASID's table", nested[1], PASID))
		step("PASID: DMA after the replacement", reaches(m, VIRTUAL, PASID, second), "the new table");
	if (attach(m, "a second PASID", nested[0], PASID + 1))
		step("PASID: two at once", reaches(m, VIRTUAL, PASID + 1, first) && reaches(m, VIRTUAL, PASID, second),
		     "each its own");
	detach(m, "detach the second PASID", PASID + 1);
	detach(m, "detach the PASID", PASID);
	step("PASID: detached", stopped(m, TESTDEV_WRITE, VIRTUAL, PASID), "stopped");
	detach(m, "detach the device", NO_PASID);
	destroy(m, nested[0]);
	destroy(m, nested[1]);
	destroy(m, base);
}

/* One page request of the device, answered by us after mapping the page (or refused). */
static bool answer_fault(struct machine *m, uint64_t address, uint64_t *root, uint8_t *page)
{
	struct pollfd poll_fault = { .fd = m->fault, .events = POLLIN };
	struct iommu_hwpt_page_response response = { .code = IOMMUFD_PAGE_RESP_INVALID };
	struct iommu_hwpt_pgfault fault;

	if (poll(&poll_fault, 1, 10000) != 1 || read(m->fault, &fault, sizeof(fault)) != sizeof(fault))
		return step("page request arrives", false, "nothing within 10 seconds");
	response.cookie = fault.cookie;
	if (page) {
		map_page(m, root, address, page, PTE_WRITE);
		response.code = IOMMUFD_PAGE_RESP_SUCCESS;
	}
	return write(m->fault, &response, sizeof(response)) == sizeof(response) && fault.addr == address &&
	       fault.dev_id == m->device_id;
}

static void page_requests(struct machine *m)
{
	struct iommu_fault_alloc alloc = { .size = sizeof(alloc) };
	uint64_t *root = (uint64_t *)take_page(m);
	uint8_t *page = take_page(m), data[64];
	struct testdev_request request = { .operation = TESTDEV_WRITE, .iova = VIRTUAL + 3 * PAGE, .size = 64,
					   .pasid = NO_PASID, .ats = true, .page_request = true };
	uint32_t nested;

	map_page(m, root, VIRTUAL, page, PTE_WRITE);
	if (!call("fault queue", m->iommufd, IOMMU_FAULT_QUEUE_ALLOC, &alloc))
		return;
	m->fault = alloc.out_fault_fd;
	m->fault_id = alloc.out_fault_id;
	nested = hwpt_alloc(m, "nested table with a fault queue", IOMMU_HWPT_FAULT_ID_VALID, m->parent, root);
	if (!attach(m, "attach it for page requests", nested, NO_PASID))
		return;
	memset(data, 0x77, sizeof(data));
	testdev_start(&m->testdev, &request, data);
	bool answered = answer_fault(m, request.iova, root, page);
	enum testdev_outcome outcome = testdev_finish(&m->testdev, &request, NULL, 10).outcome;
	step("page request: granted", answered && outcome == TESTDEV_OK && !memcmp(page, data, sizeof(data)),
	     testdev_outcome_name(outcome));

	request.iova += PAGE;
	testdev_start(&m->testdev, &request, data);
	answered = answer_fault(m, request.iova, root, NULL);
	outcome = testdev_finish(&m->testdev, &request, NULL, 10).outcome;
	step("page request: refused", answered && outcome == TESTDEV_PAGE_REFUSED, testdev_outcome_name(outcome));
	totals.operations += 2;
	detach(m, "detach", NO_PASID);
	destroy(m, nested);
	close(m->fault);
	destroy(m, m->fault_id);
}

int main(int argc, char **argv)
{
	struct machine machine = { .iommufd = -1 };
	double start = seconds_now();

	if (argc != 2)
		return 2;
	report_begin("iommufd");
	if (machine_open(&machine, argv[1]) && hardware_information(&machine)) {
		plain(&machine);
		dirty_tracking(&machine);
		nesting(&machine);
		pasids(&machine);
		page_requests(&machine);
		destroy(&machine, machine.parent);
	} else {
		all_pass = false;
	}
	totals.seconds = seconds_now() - start;
	report_end("iommufd", all_pass && !report_failed(), &totals, "user-space tables, PASIDs, dirty pages, faults");
	return report_failed();
}
