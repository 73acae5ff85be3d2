/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared virtual addressing without any special instruction: the UIO driver binds the test device to
 * this process's address space, and the device reads, writes and adds in our own memory, with and
 * without ATS, on pages that are not present.
 *
 * usage: testdev-sva PCI-ADDRESS	(bound to uio_pci_sva)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../common/kmsg.h"
#include "../common/report.h"
#include "../common/testdev.h"

#define PAGE 4096

static struct report_totals totals = { .pasids = 1 };
static bool all_pass = true;

static void step(const char *name, bool pass, enum testdev_outcome outcome)
{
	report_check(name, pass, "%s", testdev_outcome_name(outcome));
	all_pass &= pass;
}

static uint8_t *fresh(void)
{
	uint8_t *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static struct testdev_result run(struct testdev *device, enum testdev_operation operation, const void *at,
				 uint32_t size, long pasid, bool ats, void *data)
{
	struct testdev_request request = { .operation = operation, .iova = (uintptr_t)at, .size = size, .pasid = pasid,
					   .ats = ats, .page_request = true, .operand = 5 };

	totals.operations++;
	totals.bytes += size;
	return testdev_run(device, &request, operation == TESTDEV_WRITE ? data : NULL,
			   operation == TESTDEV_READ ? data : NULL);
}

static void absent_pages(struct testdev *device, long pasid, bool ats)
{
	uint8_t *page = fresh(), data[200], zero[200] = { 0 };
	uint64_t *counter = (uint64_t *)(fresh() + 64);
	struct testdev_result r;

	memset(data, 0x5c, sizeof(data));
	r = run(device, TESTDEV_WRITE, page + 33, sizeof(data), pasid, ats, data);
	step(ats ? "ATS: write to an absent page" : "write to an absent page",
	     r.outcome == TESTDEV_OK && r.page_requests > 0 && !memcmp(page + 33, data, sizeof(data)) &&
	     !page[32] && !page[233], r.outcome);
	r = run(device, TESTDEV_READ, fresh(), sizeof(data), pasid, ats, data);
	step(ats ? "ATS: read of an absent page" : "read of an absent page",
	     r.outcome == TESTDEV_OK && r.page_requests > 0 && !memcmp(data, zero, sizeof(data)), r.outcome);
	if (ats)
		return;
	*counter = 37;
	r = run(device, TESTDEV_FETCH_ADD, counter, 8, pasid, false, NULL);
	step("fetch and add", r.outcome == TESTDEV_OK && *counter == 42 && r.old == 37, r.outcome);
}

static void refused(struct testdev *device, int kmsg, const char *address, long pasid)
{
	uint8_t *page = fresh(), data[64] = { 1 };
	struct dmar_fault fault = { 0 };
	struct testdev_result r;
	bool found;

	munmap(page, PAGE);
	r = run(device, TESTDEV_WRITE, page, sizeof(data), pasid, true, data);
	step("a page the process does not have", r.outcome == TESTDEV_PAGE_REFUSED, r.outcome);
	r = run(device, TESTDEV_READ, fresh(), sizeof(data), pasid + 1, false, data);
	found = kmsg_next_fault(kmsg, &fault, 5);
	report_check("a PASID nobody has", r.outcome == TESTDEV_FAULT && found && fault.pasid == pasid + 1 &&
		     !strcmp(fault.device, address), "%s", found ? fault.text : "the kernel reported no fault");
}

static long bound_pasid(const char *address)
{
	char path[128];
	long pasid = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/pasid", address);
	file = fopen(path, "r");
	if (file) {
		if (fscanf(file, "%ld", &pasid) != 1)
			pasid = -1;
		fclose(file);
	}
	return pasid;
}

int main(int argc, char **argv)
{
	double start = seconds_now();
	struct testdev device;
	int kmsg = kmsg_open(), fd;
	long pasid;

	if (argc != 2)
		return 2;
	report_begin("testdev-sva");
	fd = open("/dev/uio0", O_RDWR | O_CLOEXEC);
	pasid = bound_pasid(argv[1]);
	if (fd < 0 || pasid <= 0 || testdev_open(&device, argv[1])) {
		report_check("bind the device to this process", false, "%s, PASID %ld", strerror(errno), pasid);
		all_pass = false;
	} else {
		absent_pages(&device, pasid, false);
		absent_pages(&device, pasid, true);
		refused(&device, kmsg, argv[1], pasid);
	}
	totals.seconds = seconds_now() - start;
	report_end("testdev-sva", all_pass && !report_failed(), &totals, "PASID %ld", pasid);
	return report_failed();
}
