/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA to addresses that the guest never mapped, by a device that no driver uses: the unit stops it and
 * the kernel reports requester, address, direction and reason. Needs no PASID, so any mode will do.
 *
 * usage: testdev-faults [PCI-ADDRESS [REASON [both]]]	REASON in hexadecimal, default 71 (first stage)
 *
 * One write; with "both" a read as well. The kernel reports about three faults in five seconds and drops
 * the rest, so tests that look for its reports have to be sparing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kmsg.h"
#include "common/report.h"
#include "common/testdev.h"

static struct report_totals totals;
static bool all_pass = true;

static void attempt(struct testdev *device, int kmsg, const char *address, uint64_t iova, bool write,
		    unsigned int reason)
{
	struct testdev_request request = { .operation = write ? TESTDEV_WRITE : TESTDEV_READ, .iova = iova,
					   .size = 64, .pasid = -1 };
	uint8_t data[64] = { 0 };
	struct testdev_result result = testdev_run(device, &request, write ? data : NULL, NULL);
	struct dmar_fault fault = { .pasid = -1 };
	bool found = kmsg_next_fault(kmsg, &fault, 5);
	bool pass = result.outcome == TESTDEV_FAULT && result.bytes == 0 && found && fault.read == !write &&
		    fault.pasid == -1 && !strcmp(fault.device, address) && fault.address == (iova & ~0xfffull) &&
		    fault.reason == reason && result.reason == reason;

	report_check(write ? "write to an address never mapped" : "read of an address never mapped", pass, "%s; %s",
		     testdev_outcome_name(result.outcome), found ? fault.text : "the kernel reported no fault");
	all_pass &= pass;
	totals.operations++;
}

int main(int argc, char **argv)
{
	const char *address = argc > 1 ? argv[1] : "0000:00:07.0";
	unsigned int reason = argc > 2 ? strtoul(argv[2], NULL, 16) : 0x71;
	double start = seconds_now();
	struct testdev device;
	int kmsg = kmsg_open();
	int error;

	report_begin("never-mapped");
	error = testdev_open(&device, address);
	if (error) {
		report_check("the test device", false, "%s: %s", address, strerror(-error));
		all_pass = false;
	} else {
		if (argc > 3)
			attempt(&device, kmsg, address, 0x12345040, false, reason);
		attempt(&device, kmsg, address, 0x3456789000, true, reason);
	}
	totals.seconds = seconds_now() - start;
	report_end("never-mapped", all_pass, &totals, "DMA without a PASID outside every mapping");
	return report_failed();
}
