/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Protection: what a process may not touch, its DMA may not touch either. Each case submits one copy
 * that must fail, and checks the completion record, the memory on both sides and, where the request
 * reaches the unit untranslated, the fault that the guest's kernel reports.
 *
 * usage: dsa-protect QUEUE [QUEUE-WITHOUT-ATS]
 *
 * With ATS the device asks first and learns that it may not (no fault is logged: VT-d 7.2.2); with
 * block-on-fault it asks the kernel for the page and is refused. Without ATS the unit stops the access.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/dsa.h"
#include "common/kmsg.h"
#include "common/report.h"

#define PAGE	4096
#define DEVICE	"0000:00:06.0"

/* VT-d 7.1.3, table of fault conditions, first stage. */
#define REASON_NOT_PRESENT	0x71
#define REASON_NO_WRITE		0x85

static uint8_t *page_of(int protection, uint8_t value)
{
	uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		abort();
	memset(page, value, PAGE);
	mprotect(page, PAGE, protection);
	return page;
}

static uint8_t *unmapped_page(void)
{
	uint8_t *page = page_of(PROT_NONE, 0);

	munmap(page, PAGE);
	return page;
}

static bool filled_with(const uint8_t *page, uint8_t value)
{
	for (unsigned int i = 0; i < PAGE; i++)
		if (page[i] != value)
			return false;
	return true;
}

struct attempt {
	const char *name;
	uint32_t flags;
	const uint8_t *source;
	uint8_t *target;
	bool write;		/* which side is the forbidden one */
	uint8_t status;
};

static struct report_totals totals;
static bool all_pass = true;

/* Submits the copy and checks its record; the page that must not change is the target. */
static void attempt(struct dsa_queue *queue, const struct attempt *a, const uint8_t *witness, uint8_t value)
{
	static struct dsa_completion record;
	struct dsa_descriptor descriptor;
	uint64_t forbidden = (uintptr_t)(a->write ? a->target : a->source);
	uint8_t status;
	bool pass;

	dsa_prepare(&descriptor, DSA_MEMMOVE, a->flags, &record);
	descriptor.source = (uintptr_t)a->source;
	descriptor.destination = (uintptr_t)a->target;
	descriptor.size = PAGE;
	status = dsa_run(queue, &descriptor, &record);
	pass = (status & ~DSA_STATUS_WRITE) == a->status && !!(status & DSA_STATUS_WRITE) == a->write &&
	       (record.fault_address & ~(uint64_t)(PAGE - 1)) == forbidden && filled_with(witness, value);
	report_check(a->name, pass, "status 0x%02x, fault address 0x%llx, memory %s", status,
		     (unsigned long long)record.fault_address, filled_with(witness, value) ? "unchanged" : "CHANGED");
	all_pass &= pass;
	totals.operations++;
}

/* The kernel must report exactly this fault: requester, PASID, address, direction and reason. */
static void expect_fault(int kmsg, const char *name, const void *address, bool read, unsigned int reason)
{
	struct dmar_fault fault = { .pasid = -1 };
	long pasid = own_pasid();
	bool found = kmsg_next_fault(kmsg, &fault, 5);
	bool pass = found && fault.read == read && fault.pasid == pasid && !strcmp(fault.device, DEVICE) &&
		    fault.address == (uintptr_t)address && fault.reason == reason;

	report_check(name, pass, "%s", found ? fault.text : "the kernel reported no fault");
	all_pass &= pass;
}

/* A copy that crosses into an unmapped page stops there and says how far it came. */
static void partial_completion(struct dsa_queue *queue)
{
	uint8_t *source = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *target = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static struct dsa_completion record;
	struct dsa_descriptor descriptor;
	const unsigned int offset = 100, done = 2 * PAGE - offset;
	uint8_t status;
	bool pass;

	if (source == MAP_FAILED || target == MAP_FAILED)
		abort();
	memset(source, 0x3c, 3 * PAGE);
	memset(target, 0x11, 3 * PAGE);
	munmap(source + 2 * PAGE, PAGE);
	dsa_prepare(&descriptor, DSA_MEMMOVE, 0, &record);
	descriptor.source = (uintptr_t)source + offset;
	descriptor.destination = (uintptr_t)target;
	descriptor.size = 2 * PAGE + offset;
	status = dsa_run(queue, &descriptor, &record);
	pass = status == DSA_PAGE_FAULT && record.bytes == done &&
	       (record.fault_address & ~(uint64_t)(PAGE - 1)) == (uintptr_t)source + 2 * PAGE &&
	       !memcmp(target, source + offset, done);
	for (unsigned int i = done; i < 3 * PAGE; i++)
		pass &= target[i] == 0x11;
	report_check("partial completion at an unmapped page", pass, "status 0x%02x after %u of %u bytes", status,
		     record.bytes, descriptor.size);
	all_pass &= pass;
	totals.operations++;
}

static void with_ats(struct dsa_queue *queue)
{
	uint8_t *target = page_of(PROT_READ | PROT_WRITE, 0x5a), *source = page_of(PROT_READ, 0xc3);
	uint8_t *gone = unmapped_page();

	attempt(queue, &(struct attempt){ "read of an unmapped page, asked for", DSA_BLOCK_ON_FAULT, gone, target,
					  false, DSA_PAGE_FAULT_RESPONSE }, target, 0x5a);
	attempt(queue, &(struct attempt){ "read of an unmapped page", 0, gone, target, false, DSA_PAGE_FAULT },
		target, 0x5a);
	attempt(queue, &(struct attempt){ "write to a read-only page, asked for", DSA_BLOCK_ON_FAULT, target, source,
					  true, DSA_PAGE_FAULT_RESPONSE }, source, 0xc3);
	attempt(queue, &(struct attempt){ "write to a read-only page", 0, target, source, true, DSA_PAGE_FAULT },
		source, 0xc3);
	partial_completion(queue);
}

static void without_ats(struct dsa_queue *queue, int kmsg)
{
	uint8_t *target = page_of(PROT_READ | PROT_WRITE, 0x5a), *source = page_of(PROT_READ, 0xc3);
	uint8_t *gone = unmapped_page();

	attempt(queue, &(struct attempt){ "untranslated read of an unmapped page", 0, gone, target, false,
					  DSA_PAGE_FAULT }, target, 0x5a);
	expect_fault(kmsg, "its DMAR fault", gone, true, REASON_NOT_PRESENT);
	attempt(queue, &(struct attempt){ "untranslated write to a read-only page", 0, target, source, true,
					  DSA_PAGE_FAULT }, source, 0xc3);
	expect_fault(kmsg, "its DMAR fault too", source, false, REASON_NO_WRITE);
}

int main(int argc, char **argv)
{
	struct dsa_queue queue;
	int kmsg = kmsg_open(), error;
	double start = seconds_now();

	if (argc < 2)
		return 2;
	report_begin("protection");
	totals.pasids = 1;
	for (int i = 1; i < argc; i++) {
		error = dsa_open(&queue, argv[i]);
		if (error) {
			report_check("open a work queue", false, "%s: %s", argv[i], strerror(-error));
			all_pass = false;
			continue;
		}
		if (i == 1)
			with_ats(&queue);
		else
			without_ats(&queue, kmsg);
		dsa_close(&queue);
	}
	totals.seconds = seconds_now() - start;
	report_end("protection", all_pass, &totals, "forbidden accesses, none of which changed memory");
	return report_failed();
}
