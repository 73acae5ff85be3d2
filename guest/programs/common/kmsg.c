/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel log, for what Linux says about remapping faults. One record is one read of /dev/kmsg:
 * "priority,sequence,time,flags;text".
 */
#include "kmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"

int kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

static bool parse(const char *line, struct dmar_fault *fault)
{
	const char *request = strstr(line, "[DMA "), *pasid, *device, *address, *reason;

	if (!request)
		return false;
	pasid = strstr(request, " PASID 0x");
	device = strstr(request, "Request device [");
	address = strstr(request, "fault addr 0x");
	reason = strstr(request, "fault reason 0x");
	if (!device || !address || !reason)
		return false;
	*fault = (struct dmar_fault){ .read = strncmp(request + 5, "Read", 4) == 0 };
	fault->pasid = pasid ? strtol(pasid + 7, NULL, 16) : -1;
	snprintf(fault->device, sizeof(fault->device), "%.*s", (int)strcspn(device + 16, "]"), device + 16);
	fault->address = strtoull(address + 11, NULL, 16);
	fault->reason = strtoul(reason + 13, NULL, 16);
	snprintf(fault->text, sizeof(fault->text), "%.*s", (int)strcspn(request, "\n"), request);
	return true;
}

bool kmsg_next_fault(int fd, struct dmar_fault *fault, double seconds)
{
	double until = seconds_now() + seconds;
	char record[1024];

	do {
		ssize_t size = read(fd, record, sizeof(record) - 1);

		if (size > 0) {
			record[size] = '\0';
			if (parse(record, fault))
				return true;
		} else if (errno == EAGAIN) {
			usleep(10000);
		}
	} while (seconds_now() < until);
	return false;
}
