/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The test device's registers: identification, then a slot with the request, its doorbell, and a window
 * for the data that it moves. Registers are 32 or 64 bits wide and accessed so.
 */
#include "testdev.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "report.h"

enum {
	ID = 0x00,
	ID_VALUE = 0x56494f54,
	DATA_OFFSET = 0x0c,
	DOORBELL = 0x18,
	SLOT = 0x100,
	REQUEST = SLOT + 0x00,
	REQUEST_PASID = SLOT + 0x04,
	IOVA = SLOT + 0x08,
	LENGTH = SLOT + 0x10,
	OPERAND = SLOT + 0x18,
	COMPARE = SLOT + 0x20,
	STATUS = SLOT + 0x28,
	OUTCOME = SLOT + 0x2c,
	REASON = SLOT + 0x30,
	BYTES = SLOT + 0x38,
	FAULT_IOVA = SLOT + 0x48,
	OLD = SLOT + 0x50,
	PAGE_REQUESTS = SLOT + 0x60,
	REGISTERS_SIZE = 0x10000,
};

enum { FLAG_PASID = 1 << 8, FLAG_ATS = 1 << 11, FLAG_PAGE_REQUEST = 1 << 12 };
enum { STATUS_FINISHED = 3 };

static uint32_t read32(const struct testdev *device, unsigned int offset)
{
	return *(volatile uint32_t *)(device->registers + offset);
}

static void write32(struct testdev *device, unsigned int offset, uint32_t value)
{
	*(volatile uint32_t *)(device->registers + offset) = value;
}

static uint64_t read64(const struct testdev *device, unsigned int offset)
{
	return read32(device, offset) | (uint64_t)read32(device, offset + 4) << 32;
}

static void write64(struct testdev *device, unsigned int offset, uint64_t value)
{
	write32(device, offset, value);
	write32(device, offset + 4, value >> 32);
}

int testdev_open(struct testdev *device, const char *pci_address)
{
	const uint16_t memory_and_master = 0x6;
	char path[128];
	void *map = MAP_FAILED;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", pci_address);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pwrite(fd, &memory_and_master, 2, 4) != 2) {
		close(fd);
		return -EIO;
	}
	close(fd);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", pci_address);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		map = mmap(NULL, REGISTERS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	if (map == MAP_FAILED)
		return -errno;
	device->registers = map;
	return testdev_present(device) ? 0 : -ENODEV;
}

bool testdev_present(const struct testdev *device)
{
	return read32(device, ID) == ID_VALUE;
}

void testdev_start(struct testdev *device, const struct testdev_request *request, const void *data)
{
	uint32_t window = read32(device, DATA_OFFSET), word;
	uint32_t flags = (request->pasid >= 0 ? FLAG_PASID : 0) | (request->ats ? FLAG_ATS : 0) |
			 (request->page_request ? FLAG_PAGE_REQUEST : 0);

	for (uint32_t i = 0; data && i < request->size && i < TESTDEV_WINDOW; i += sizeof(word)) {
		uint32_t left = request->size - i;

		word = 0;
		memcpy(&word, (const uint8_t *)data + i, left < sizeof(word) ? left : sizeof(word));
		write32(device, window + i, word);
	}
	write32(device, REQUEST, request->operation | flags);
	write32(device, REQUEST_PASID, request->pasid >= 0 ? request->pasid : 0);
	write64(device, IOVA, request->iova);
	write32(device, LENGTH, request->size);
	write64(device, OPERAND, request->operand);
	write64(device, COMPARE, request->compare);
	write32(device, DOORBELL, 0);
}

struct testdev_result testdev_finish(struct testdev *device, const struct testdev_request *request, void *data,
				     double seconds)
{
	double until = seconds_now() + seconds;
	uint32_t window = read32(device, DATA_OFFSET);

	while (read32(device, STATUS) != STATUS_FINISHED) {
		if (seconds_now() > until)
			return (struct testdev_result){ .outcome = TESTDEV_NO_ANSWER };
		sched_yield();
	}
	for (uint32_t i = 0; data && i < request->size && i < TESTDEV_WINDOW; i += 4) {
		uint32_t word = read32(device, window + i), left = request->size - i;

		memcpy((uint8_t *)data + i, &word, left < sizeof(word) ? left : sizeof(word));
	}
	return (struct testdev_result){
		.outcome = read32(device, OUTCOME),
		.reason = read32(device, REASON),
		.bytes = read32(device, BYTES),
		.fault_address = read64(device, FAULT_IOVA),
		.old = read64(device, OLD),
		.page_requests = read32(device, PAGE_REQUESTS),
	};
}

struct testdev_result testdev_run(struct testdev *device, const struct testdev_request *request, const void *out,
				  void *in)
{
	testdev_start(device, request, out);
	return testdev_finish(device, request, in, 30);
}

const char *testdev_outcome_name(enum testdev_outcome outcome)
{
	static const char *const names[] = {
		"ok", "fault", "page request refused", "bad request", "no memory there", "aborted",
		"page requests are off", "not granted", "no answer to a page request", "no bus mastering",
		"the device did not finish",
	};

	return outcome <= TESTDEV_NO_ANSWER ? names[outcome] : "unknown";
}
