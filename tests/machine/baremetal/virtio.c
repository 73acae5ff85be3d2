/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio over MMIO, driven by hand: a disk (slot 0) that is read, written and asked for its name;
 * the entropy source behind it; what a driver gets that lies about its rings.
 */
#include "rt.h"

#define BLOCK	0x10001000ul
#define ENTROPY 0x10002000ul
enum {
	MAGIC = 0,
	DEVICE = 8,
	FEATURES = 0x10,
	FEATURES_SELECT = 0x14,
	DRIVER_FEATURES = 0x20,
	DRIVER_SELECT = 0x24,
	QUEUE_SELECT = 0x30,
	QUEUE_MAX = 0x34,
	QUEUE_SIZE = 0x38,
	QUEUE_READY = 0x44,
	NOTIFY = 0x50,
	INT_STATUS = 0x60,
	INT_ACK = 0x64,
	STATUS = 0x70,
	DESC = 0x80,
	AVAIL = 0x90,
	USED = 0xa0,
	CONFIG = 0x100
};
enum { NEXT = 1, WRITE = 2 };

struct descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

static volatile struct descriptor descriptors[8] PAGE;
static volatile struct {
	uint16_t flags, index, ring[8];
} available PAGE;
static volatile struct {
	uint16_t flags, index;
	struct {
		uint32_t id, length;
	} ring[8];
} used PAGE;
static volatile struct {
	uint32_t type, reserved;
	uint64_t sector;
} header;
static volatile uint8_t data[1024] PAGE;
static volatile uint8_t status;

static void setup(uint64_t device, uint32_t id)
{
	EQUAL(read32(device + MAGIC), 0x74726976);
	EQUAL(read32(device + DEVICE), id);
	write32(device + STATUS, 0);
	write32(device + STATUS, 1);
	write32(device + STATUS, 3);
	/* a driver that is not a modern one is refused */
	write32(device + DRIVER_SELECT, 1);
	write32(device + DRIVER_FEATURES, 0);
	write32(device + STATUS, 3 | 8);
	EQUAL(read32(device + STATUS) & 8, 0);
	write32(device + DRIVER_FEATURES, 1);
	write32(device + STATUS, 3 | 8);
	EQUAL(read32(device + STATUS) & 8, 8);
	write32(device + QUEUE_SELECT, 0);
	CHECK(read32(device + QUEUE_MAX) >= 8);
	write32(device + QUEUE_SIZE, 8);
	write32(device + DESC, (uint32_t)(uint64_t)descriptors);
	write32(device + DESC + 4, 0);
	write32(device + AVAIL, (uint32_t)(uint64_t)&available);
	write32(device + AVAIL + 4, 0);
	write32(device + USED, (uint32_t)(uint64_t)&used);
	write32(device + USED + 4, 0);
	write32(device + QUEUE_READY, 1);
	write32(device + STATUS, 3 | 8 | 4);
	available.index = used.index = 0;
}

static void offer(uint64_t device, uint16_t head)
{
	available.ring[available.index % 8] = head;
	asm volatile("fence");
	available.index++;
	write32(device + NOTIFY, 0);
}

static void describe(unsigned int i, volatile void *at, uint32_t length, uint16_t flags)
{
	descriptors[i].address = (uint64_t)at;
	descriptors[i].length = length;
	descriptors[i].flags = flags;
	descriptors[i].next = i + 1;
}

static void request(uint32_t type, uint64_t sector, uint32_t length)
{
	uint16_t before = used.index;

	header.type = type;
	header.sector = sector;
	status = 0xff;
	describe(0, &header, 16, NEXT);
	describe(1, data, length, NEXT | (type == 1 ? 0 : WRITE));
	describe(2, &status, 1, WRITE);
	offer(BLOCK, 0);
	EQUAL(used.index, (uint16_t)(before + 1));
	EQUAL(read32(BLOCK + INT_STATUS), 1);
	write32(BLOCK + INT_ACK, 1);
	EQUAL(read32(BLOCK + INT_STATUS), 0);
}

static void disk(void)
{
	setup(BLOCK, 2);
	EQUAL(read32(BLOCK + CONFIG), 128); /* sectors: 64 KiB */
	request(0, 1, 512);
	EQUAL(status, 0);
	EQUAL(used.ring[0].length, 513);
	EQUAL(data[0], 'B'); /* what the test has put there */
	for (unsigned int i = 0; i < 1024; i++)
		data[i] = (uint8_t)(i * 7);
	request(1, 100, 1024);
	EQUAL(status, 0);
	for (unsigned int i = 0; i < 1024; i++)
		data[i] = 0;
	request(0, 101, 512);
	EQUAL(data[5], (uint8_t)(517 * 7));
	request(0, 127, 1024); /* past the end */
	EQUAL(status, 1);
	request(0, -1ul, 512);
	EQUAL(status, 1);
	request(8, 0, 20);
	EQUAL(status, 0);
	EQUAL(data[0], 'v');
	request(99, 0, 512);
	EQUAL(status, 2);
}

static void entropy(void)
{
	uint64_t sum = 0;

	setup(ENTROPY, 4);
	for (unsigned int i = 0; i < 64; i++)
		data[i] = 0;
	describe(0, data, 64, WRITE);
	offer(ENTROPY, 0);
	EQUAL(used.index, 1);
	EQUAL(used.ring[0].length, 64);
	for (unsigned int i = 0; i < 64; i++)
		sum += data[i] != 0;
	CHECK(sum > 32);
}

/* Rings that make no sense: the device asks for a reset and comes back after it. */
static void lies(void)
{
	setup(BLOCK, 2);
	offer(BLOCK, 4000); /* no such descriptor */
	EQUAL(read32(BLOCK + STATUS) & 64, 64);
	setup(BLOCK, 2);
	describe(0, &header, 16, NEXT);
	descriptors[0].next = 0; /* a circle */
	offer(BLOCK, 0);
	EQUAL(read32(BLOCK + STATUS) & 64, 64);
	setup(BLOCK, 2);
	write32(BLOCK + QUEUE_READY, 0);
	write32(BLOCK + AVAIL, 0x40000000); /* nothing there */
	write32(BLOCK + QUEUE_READY, 1);
	write32(BLOCK + NOTIFY, 0);
	EQUAL(read32(BLOCK + STATUS) & 64, 64);
	write32(BLOCK + NOTIFY, 77);
	setup(BLOCK, 2);
	available.index = 30000; /* more than the ring can hold: bounded work, no hang */
	describe(0, (void *)0x40000000, 16, 0);
	for (unsigned int i = 0; i < 8; i++)
		available.ring[i] = 0;
	write32(BLOCK + NOTIFY, 0);
	write32(BLOCK + STATUS, 0);
	disk();
}

/* One piece of a request, to wherever: the driver's mistake is the device's own registers. */
static void onto(uint64_t target, uint32_t length)
{
	uint16_t before = used.index;

	header.type = 0;
	header.sector = 2; /* zeros: a reset, a notification of queue 0 */
	status = 0xff;
	describe(0, &header, 16, NEXT);
	describe(1, (void *)target, length, NEXT | WRITE);
	describe(2, &status, 1, WRITE);
	/* a ring full of the same, so that a device that heard its own bell would go on at once */
	for (unsigned int i = 0; i < 8; i++)
		available.ring[i] = 0;
	available.index += 8;
	write32(BLOCK + NOTIFY, 0);
	EQUAL(used.index, (uint16_t)(before + 8));
	EQUAL(status, 0);
	write32(BLOCK + INT_ACK, 1);
}

static void itself(void)
{
	setup(BLOCK, 2);
	onto(BLOCK + NOTIFY, 4);
	onto(BLOCK + STATUS, 4);
	EQUAL(read32(BLOCK + STATUS), 15);
	onto(BLOCK, 256);
	EQUAL(read32(BLOCK + STATUS), 15);
	onto(ENTROPY + STATUS, 4); /* another device is only reset by it */
	EQUAL(read32(ENTROPY + STATUS), 0);
	entropy();
	setup(BLOCK, 2);
	disk();
}

int main(void)
{
	disk();
	entropy();
	itself();
	lies();
	return 0;
}
