/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a well-behaved client asks, and the exact sizes and values it gets: the two clients that
 * exist compare them.
 */
#include "server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The JSON of the reply to VERSION with this JSON. */
static int version(struct client *c, const char *json, char *reply, size_t room)
{
	uint8_t message[4096] = { 0 };
	size_t length = 4 + strlen(json) + 1, got = room;
	int ret;

	memcpy(message + 4, json, strlen(json));
	ret = client_call(c, WIRE_VERSION, message, *json ? length : 4, NULL, 0, reply, &got);
	if (!ret) {
		assert_true(got > 4 && got <= room && !reply[got - 1]);
		memmove(reply, reply + 4, got - 4);
	}
	return ret;
}

/* The reply's capabilities are a subset of those proposed, and no proposal at all is legal. */
static void test_version_subset(void **state)
{
	struct client c;
	char reply[4096];

	assert_int_equal(client_connect(&c, test.daemon.unit), 0);
	assert_int_equal(
		version(&c, "{\"capabilities\":{\"max_msg_fds\":8}}", reply, sizeof(reply)), 0);
	assert_non_null(strstr(reply, "max_msg_fds"));
	assert_null(strstr(reply, "write_multiple"));
	assert_null(strstr(reply, "pgsizes"));
	client_close(&c);
	assert_int_equal(client_connect(&c, test.daemon.unit), 0);
	assert_int_equal(version(&c, "", reply, sizeof(reply)), 0);
	assert_string_equal(reply, "{\"capabilities\":{}}");
	client_close(&c);
}

static void test_version_offers(void **state)
{
	struct client c;
	char reply[4096];

	assert_int_equal(client_connect(&c, test.daemon.unit), 0);
	assert_int_equal(version(&c,
				 "{\"capabilities\":{\"write_multiple\":true,\"pgsizes\":4096,"
				 "\"migration\":{\"pgsize\":4096}}}",
				 reply, sizeof(reply)),
			 0);
	assert_non_null(strstr(reply, "\"write_multiple\":true"));
	assert_non_null(strstr(reply, "\"pgsizes\":4096"));
	assert_non_null(strstr(reply, "\"pgsize\":4096"));
	client_close(&c);
}

static void test_device_info(void **state)
{
	struct wire_device_info ask = { .argsz = sizeof(ask) }, info;
	size_t length = sizeof(info);

	assert_int_equal(client_call(&test.device, WIRE_DEVICE_GET_INFO, &ask, sizeof(ask), NULL, 0,
				     &info, &length),
			 0);
	assert_int_equal(length, 16); /* QEMU refuses a longer one */
	assert_int_equal(info.argsz, 16);
	assert_int_equal(info.flags, WIRE_DEVICE_RESETS | WIRE_DEVICE_PCI);
	assert_int_equal(info.regions, 9);
	assert_int_equal(info.irqs, 5);
}

static struct wire_region_info region_info(struct client *c, uint32_t index)
{
	struct wire_region_info info = { .argsz = sizeof(info), .index = index };
	size_t length = sizeof(info);

	assert_int_equal(client_call(c, WIRE_DEVICE_GET_REGION_INFO, &info, sizeof(info), NULL, 0,
				     &info, &length),
			 0);
	assert_int_equal(length, 32);
	assert_int_equal(info.index, index);
	return info;
}

static void test_regions(void **state)
{
	struct wire_region_info info = region_info(&test.device, WIRE_REGION_CONFIG);

	assert_int_equal(info.size, 4096);
	assert_int_equal(info.flags, WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE);
	info = region_info(&test.device, WIRE_REGION_ROM);
	assert_int_equal(info.size, 0);
	assert_int_equal(info.flags, 0);
	info = region_info(&test.unit, 0);
	assert_int_equal(info.size, 0x10000000);
	info = region_info(&test.unit, WIRE_REGION_CONFIG);
	assert_int_equal(info.size, 256); /* a conventional function */
}

static void test_irq_info(void **state)
{
	for (uint32_t index = 0; index < 5; index++) {
		struct wire_irq_info info = { .argsz = sizeof(info), .index = index };
		size_t length = sizeof(info);

		assert_int_equal(client_call(&test.device, WIRE_DEVICE_GET_IRQ_INFO, &info,
					     sizeof(info), NULL, 0, &info, &length),
				 0);
		assert_int_equal(length, 16);
		if (index == WIRE_IRQ_MSIX)
			assert_true(info.count > 0);
		assert_int_equal(info.flags,
				 info.count ? WIRE_IRQ_EVENTFD : 0); /* never NORESIZE */
	}
}

/* The identity the guest must see for Linux to leave the BAR of the unit alone. */
static void test_unit_identity(void **state)
{
	assert_int_equal(client_read32(&test.unit, WIRE_REGION_CONFIG, 0x00), 0x09a28086);
	assert_int_equal(client_read32(&test.unit, WIRE_REGION_CONFIG, 0x08) >> 8, 0x080000);
	assert_int_equal(client_write32(&test.unit, WIRE_REGION_CONFIG, 0x10, 0xffffffff), 0);
	assert_int_equal(client_read32(&test.unit, WIRE_REGION_CONFIG, 0x10), 0xf0000000);
	assert_int_equal(client_write32(&test.unit, WIRE_REGION_CONFIG, 0x10, 0xe0000000), 0);
	assert_int_equal(client_read32(&test.unit, WIRE_REGION_CONFIG, 0x10), 0xe0000000);
	/* identity does not change */
	assert_int_equal(client_write32(&test.unit, WIRE_REGION_CONFIG, 0x00, 0), 0);
	assert_int_equal(client_read32(&test.unit, WIRE_REGION_CONFIG, 0x00), 0x09a28086);
}

/* What Linux wants to see before it switches PASID, ATS and page requests on. */
static void test_endpoint_capabilities(void **state)
{
	uint16_t express = client_capability(&test.device, 0x10);
	uint16_t pasid = client_extended_capability(&test.device, 0x1b);
	uint16_t ats = client_extended_capability(&test.device, 0x0f);
	uint16_t pri = client_extended_capability(&test.device, 0x13);

	assert_true(express && pasid && ats && pri);
	assert_true(client_capability(&test.device, 0x11));
	/* PCIe 7.5.3.2: version 2, root complex integrated endpoint; FLR; end-to-end TLP prefixes
	 */
	assert_int_equal(client_read32(&test.device, WIRE_REGION_CONFIG, express) >> 16 & 0xff,
			 0x92);
	assert_true(client_read32(&test.device, WIRE_REGION_CONFIG, express + 4) & 1u << 28);
	assert_true(client_read32(&test.device, WIRE_REGION_CONFIG, express + 0x24) & 1u << 21);
	/* PCIe 7.8.9.2: 20 bits wide */
	assert_int_equal(client_read32(&test.device, WIRE_REGION_CONFIG, pasid + 4) >> 8 & 0x1f,
			 20);
	/* PCIe 10.5.1.2: page-aligned requests */
	assert_true(client_read32(&test.device, WIRE_REGION_CONFIG, ats + 4) & 1u << 5);
	/* PCIe 10.5.2.3: stopped; responses need a PASID */
	assert_int_equal(client_read32(&test.device, WIRE_REGION_CONFIG, pri + 4) >> 16, 0x8100);
	assert_int_equal(client_enable(&test.device, true, true, true), 0);
	assert_int_equal(client_read32(&test.device, WIRE_REGION_CONFIG, pasid + 4) >> 16, 1);
	assert_int_equal(client_read32(&test.device, WIRE_REGION_CONFIG, ats + 4) >> 16, 0x8000);
	assert_int_equal(client_read32(&test.device, WIRE_REGION_CONFIG, pri + 4), 0x80000001);
}

/* PCIe 6.6.2: a function-level reset forgets the enables; the BARs stay, because clients keep them.
 */
static void test_function_reset(void **state)
{
	uint16_t express = client_capability(&test.device, 0x10);
	uint16_t pasid = client_extended_capability(&test.device, 0x1b), control = 1 << 15;

	assert_int_equal(client_write32(&test.device, WIRE_REGION_CONFIG, 0x10, 0xfe000000), 0);
	assert_int_equal(client_enable(&test.device, true, true, true), 0);
	assert_int_equal(client_write(&test.device, WIRE_REGION_CONFIG, express + 8, &control, 2),
			 0);
	assert_int_equal(client_read32(&test.device, WIRE_REGION_CONFIG, express + 8) & 0x8000, 0);
	assert_int_equal(client_read32(&test.device, WIRE_REGION_CONFIG, pasid + 4) >> 16, 0);
	assert_int_equal(client_read32(&test.device, WIRE_REGION_CONFIG, 0x04) & 0xffff, 0);
	assert_int_equal(client_read32(&test.device, WIRE_REGION_CONFIG, 0x10) & ~0xfu, 0xfe000000);
}

static void test_device_reset(void **state)
{
	size_t length = 0;

	assert_int_equal(client_enable(&test.device, true, true, true), 0);
	assert_int_equal(
		client_call(&test.device, WIRE_DEVICE_RESET, NULL, 0, NULL, 0, NULL, &length), 0);
	assert_int_equal(length, 0);
	assert_int_equal(client_read32(&test.device, WIRE_REGION_CONFIG, 0x04) & 0xffff, 0);
	assert_int_equal(client_read32(&test.device, WIRE_REGION_CONFIG, 0x10) & ~0xfu, 0);
}

/* VT-d 11.4.1: the unit answers behind its BAR, in 4 and 8 bytes; the rest of the window reads
 * zero. */
static void test_unit_registers(void **state)
{
	uint64_t cap = client_read64(&test.unit, 0, 0x08);
	uint8_t byte = 0xff;

	assert_true(client_read32(&test.unit, 0, 0x00));
	assert_true(cap);
	assert_int_equal(client_read32(&test.unit, 0, 0x08), (uint32_t)cap);
	assert_int_equal(client_read32(&test.unit, 0, 0x0c), cap >> 32);
	assert_int_equal(client_read64(&test.unit, 0, 0x10000), 0);
	assert_int_equal(client_read(&test.unit, 0, 0x08, &byte, 1), 0);
	assert_int_equal(byte, 0);
	assert_int_equal(client_write(&test.unit, 0, 0x09, &byte, 1), 0);
}

/* Posted writes are done in order; the next read waits for them. */
static void test_posted_writes(void **state)
{
	for (uint32_t i = 1; i <= 2000; i++)
		assert_int_equal(client_write_posted(&test.device, WIRE_REGION_CONFIG, 0x3c, &i, 1),
				 0);
	assert_int_equal(client_read32(&test.device, WIRE_REGION_CONFIG, 0x3c) & 0xff, 2000 & 0xff);
}

static void test_write_multi(void **state)
{
	struct {
		struct wire_write_multi head;
		struct wire_multi_write writes[3];
	} multi = {
		.head = { 3 },
		.writes = { { 0x3c, WIRE_REGION_CONFIG, 1, { 0x11 } },
			    { 0x0c, WIRE_REGION_CONFIG, 1, { 0x22 } },
			    { 0x3c, WIRE_REGION_CONFIG, 1, { 0x33 } } },
	};
	uint64_t done = 0;
	size_t length = sizeof(done);

	assert_int_equal(client_call(&test.device, WIRE_REGION_WRITE_MULTI, &multi, sizeof(multi),
				     NULL, 0, &done, &length),
			 0);
	assert_int_equal(length, 8);
	assert_int_equal(done, 3);
	assert_int_equal(client_read32(&test.device, WIRE_REGION_CONFIG, 0x3c) & 0xff, 0x33);
	assert_int_equal(client_read32(&test.device, WIRE_REGION_CONFIG, 0x0c) & 0xff, 0x22);
}

static void test_dma_maps(void **state)
{
	struct wire_dma_unmap unmap = { sizeof(unmap), 0, 0x100000, 0x100000 }, reply;
	struct wire_dma_map rom = { sizeof(rom), WIRE_DMA_READABLE, 0, 0xfffc0000, 0x40000 };
	size_t length = sizeof(reply);
	int fd = memory_file(0x200000);

	assert_int_equal(client_map(&test.unit, 0, 0x100000, fd, 0), 0);
	assert_int_equal(client_map(&test.unit, 0x100000, 0x100000, fd, 0x100000), 0);
	assert_int_equal(client_map(&test.unit, 0x1ff000, 0x2000, fd, 0), -EEXIST);
	/* ROM comes without a descriptor */
	assert_int_equal(
		client_call(&test.unit, WIRE_DMA_MAP, &rom, sizeof(rom), NULL, 0, NULL, NULL), 0);
	assert_int_equal(client_call(&test.unit, WIRE_DMA_UNMAP, &unmap, sizeof(unmap), NULL, 0,
				     &reply, &length),
			 0);
	assert_int_equal(length, 24); /* Cloud Hypervisor wants exactly these */
	assert_int_equal(reply.address, unmap.address);
	assert_int_equal(reply.size, unmap.size);
	assert_int_equal(client_unmap(&test.unit, 0x100000, 0x100000), -ENOENT);
	assert_int_equal(client_unmap(&test.unit, 0x1000, 0x1000), -EINVAL); /* part of one */
	unmap = (struct wire_dma_unmap){ sizeof(unmap), WIRE_UNMAP_ALL, 0, 0 };
	assert_int_equal(
		client_call(&test.unit, WIRE_DMA_UNMAP, &unmap, sizeof(unmap), NULL, 0, NULL, NULL),
		0);
	assert_int_equal(client_unmap(&test.unit, 0, 0x100000), -ENOENT);
	close(fd);
}

/* Firmware maps and unmaps low memory hundreds of times while it shadows ROM. */
static void test_dma_churn(void **state)
{
	int fd = memory_file(0x100000);

	for (unsigned int i = 0; i < 300; i++) {
		assert_int_equal(client_map(&test.unit, 0, 0xc0000, fd, 0), 0);
		assert_int_equal(client_map(&test.unit, 0xc0000, 0x40000, fd, 0xc0000), 0);
		assert_int_equal(client_unmap(&test.unit, 0xc0000, 0x40000), 0);
		assert_int_equal(client_unmap(&test.unit, 0, 0xc0000), 0);
	}
	close(fd);
}

static bool signalled(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	uint64_t count;

	return poll(&ready, 1, 0) == 1 && read(fd, &count, sizeof(count)) == sizeof(count);
}

/* The client may trigger an interrupt itself; descriptors taken away and set again keep what came
 * in between. */
static void test_interrupts(void **state)
{
	struct wire_set_irqs trigger = { sizeof(trigger), WIRE_IRQ_DATA_NONE | WIRE_IRQ_TRIGGER,
					 WIRE_IRQ_MSIX, 0, 1 };
	int fd = eventfd(0, EFD_NONBLOCK);

	assert_int_equal(client_set_irqs(&test.device, 0, 1, &fd), 0);
	assert_false(signalled(fd));
	assert_int_equal(client_call(&test.device, WIRE_DEVICE_SET_IRQS, &trigger, sizeof(trigger),
				     NULL, 0, NULL, NULL),
			 0);
	assert_true(signalled(fd));
	assert_int_equal(client_set_irqs(&test.device, 0, 0, NULL), 0);
	assert_int_equal(client_call(&test.device, WIRE_DEVICE_SET_IRQS, &trigger, sizeof(trigger),
				     NULL, 0, NULL, NULL),
			 0);
	assert_false(signalled(fd));
	assert_int_equal(client_set_irqs(&test.device, 0, 1, &fd), 0);
	assert_true(signalled(fd));
	assert_false(signalled(fd));
	close(fd);
}

static void test_io_fds(void **state)
{
	struct wire_region_io_fds ask = { .argsz = sizeof(ask), .index = 0 };
	size_t length = sizeof(ask);

	assert_int_equal(client_call(&test.device, WIRE_DEVICE_GET_REGION_IO_FDS, &ask, sizeof(ask),
				     NULL, 0, &ask, &length),
			 0);
	assert_int_equal(length, 16);
	assert_int_equal(ask.count, 0);
}

/* One client after the other on the same socket; the function is as new for the second. */
static void test_reconnect(void **state)
{
	struct client c;

	assert_int_equal(client_write32(&test.device, WIRE_REGION_CONFIG, 0x10, 0xfe000000), 0);
	assert_int_equal(client_enable(&test.device, true, true, true), 0);
	client_close(&test.device);
	assert_int_equal(client_open(&c, test.daemon.testdev), 0);
	assert_int_equal(client_read32(&c, WIRE_REGION_CONFIG, 0x04) & 0xffff, 0);
	assert_int_equal(client_read32(&c, WIRE_REGION_CONFIG, 0x10) & ~0xfu, 0);
	test.device = c;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		DAEMON_TEST(test_version_subset),
		DAEMON_TEST(test_version_offers),
		SERVER_TEST(test_device_info),
		SERVER_TEST(test_regions),
		SERVER_TEST(test_irq_info),
		SERVER_TEST(test_unit_identity),
		SERVER_TEST(test_endpoint_capabilities),
		SERVER_TEST(test_function_reset),
		SERVER_TEST(test_device_reset),
		SERVER_TEST(test_unit_registers),
		SERVER_TEST(test_posted_writes),
		SERVER_TEST(test_write_multi),
		SERVER_TEST(test_dma_maps),
		SERVER_TEST(test_dma_churn),
		SERVER_TEST(test_interrupts),
		SERVER_TEST(test_io_fds),
		SERVER_TEST(test_reconnect),
	};

	return server_test_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
