/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device kinds as the command line makes them: options, what they refuse, and that a whole
 * device works through the callbacks the server uses.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "devices/device.h"
#include "devices/dsa/crc.h"
#include "devices/dsa/spec.h"
#include "devices/testdev/testdev.h"
#include "tests/vtd/kit.h"

/* The server's side: what it would do with an interrupt. */
static unsigned int interrupts;

int server_endpoint_irq(struct server_endpoint *endpoint, unsigned int vector)
{
	__atomic_fetch_add(&interrupts, 1u << 8 * vector, __ATOMIC_SEQ_CST);
	return 0;
}

static struct kit box;
static char message[200];

static int setup(void **state)
{
	kit_create(&box, NULL);
	return 0;
}

static int teardown(void **state)
{
	kit_destroy(&box);
	return 0;
}

static int make(const struct device_kind *kind, struct device *device, const char *name,
		const char *value)
{
	struct device_setting setting = { name, value };

	memset(device, 0, sizeof(*device));
	message[0] = 0;
	return kind->create(box.unit, 0x30, &setting, name ? 1 : 0, device, message,
			    sizeof(message));
}

static void test_dsa_function(void **state)
{
	struct device device;

	assert_int_equal(make(&device_dsa, &device, NULL, NULL), 0);
	assert_int_equal(device.function.vendor, 0x8086);
	assert_int_equal(device.function.device, 0x11fb);
	assert_int_equal(device.function.class_code, 0x088000);
	assert_int_equal(device.function.bars[0].size, 0x10000);
	assert_int_equal(device.function.bars[0].flags, SERVER_BAR_64BIT);
	assert_int_equal(device.function.bars[2].size, 8 * 0x4000);
	assert_int_equal(device.function.msix_vectors, 9);
	assert_int_equal(device.function.pasid_bits, 20);
	assert_true(device.function.pasid_privileged && device.function.ats &&
		    device.function.page_request);
	assert_int_equal(viommu_endpoint_rid(device.endpoint), 0x30);
	device_dsa.destroy(&device);
	assert_int_equal(make(&device_dsa, &device, "wqs", "5"), 0);
	assert_int_equal(device.function.bars[2].size, 8 * 0x4000); /* a power of two */
	assert_int_equal(device.function.msix_vectors, 6);
	device_dsa.destroy(&device);
	assert_int_equal(make(&device_dsa, &device, "bars", "32"), 0);
	assert_int_equal(device.function.bars[0].flags | device.function.bars[2].flags, 0);
	device_dsa.destroy(&device);
}

static void test_refusals(void **state)
{
	static const char *const bad[][2] = {
		{ "wqs", "0" },		{ "wqs", "17" },       { "wqs", "" },
		{ "wqs", "8x" },	{ "wqs", "-1" },       { "engines", "9" },
		{ "entries", "8" },	{ "max-batch", "11" }, { "max-transfer", "32" },
		{ "event-log", "yes" }, { "bars", "48" }
	};
	struct device device;

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(make(&device_dsa, &device, bad[i][0], bad[i][1]), -EINVAL);
		assert_non_null(strstr(message, bad[i][0]));
		assert_non_null(strstr(message, "allowed"));
	}
	assert_int_equal(make(&device_dsa, &device, "colour", "red"), -ENOENT);
	assert_non_null(strstr(message, "colour"));
	assert_int_equal(make(&device_testdev, &device, "vendor", "0x10000"), -EINVAL);
	/* The requester id is taken by the kit's endpoint. */
	assert_int_equal(
		device_dsa.create(box.unit, KIT_RID, NULL, 0, &device, message, sizeof(message)),
		-EEXIST);
}

/* Every option is listed, with a default that is allowed. */
static void test_option_lists(void **state)
{
	const struct device_kind *kinds[] = { &device_dsa, &device_testdev };
	struct device device;

	for (unsigned int k = 0; k < 2; k++) {
		unsigned int count = 0;

		for (const struct device_option *o = kinds[k]->options; o->name; o++, count++) {
			assert_true(o->allowed && o->help && o->default_value);
			assert_int_equal(make(kinds[k], &device, o->name, o->default_value), 0);
			kinds[k]->destroy(&device);
		}
		assert_int_equal(count, k ? 3 : 10);
	}
}

/* The test device, end to end through the server's callbacks. */
static void test_callbacks(void **state)
{
	struct device device;
	uint32_t value = TESTDEV_OP_NOP | TESTDEV_FLAG_INTERRUPT;

	assert_int_equal(make(&device_testdev, &device, NULL, NULL), 0);
	assert_int_equal(device.function.vendor, 0x1234);
	assert_int_equal(device.function.device, 0x11e9);
	assert_int_equal(device.function.bars[0].flags, 0);
	device.ops->attach(device.opaque, (struct server_endpoint *)&device);
	device.ops->features(device.opaque,
			     SERVER_FEATURE_BUS_MASTER | SERVER_FEATURE_PASID |
				     SERVER_FEATURE_PASID_PRIVILEGED | SERVER_FEATURE_ATS |
				     SERVER_FEATURE_PAGE_REQUEST | SERVER_FEATURE_PASID_EXECUTE);
	assert_int_equal(device.ops->read(device.opaque, 0, TESTDEV_FEATURES, &value, 4), 0);
	assert_int_equal(value, 0x11f);
	assert_int_equal(device.ops->read(device.opaque, 1, 0, &value, 4), -EINVAL);
	assert_int_equal(device.ops->write(device.opaque, 1, 0, &value, 4), -EINVAL);
	value = 1;
	device.ops->write(device.opaque, 0, TESTDEV_INTERRUPT_MASK, &value, 4);
	value = TESTDEV_OP_NOP | TESTDEV_FLAG_INTERRUPT;
	device.ops->write(device.opaque, 0, TESTDEV_SLOT, &value, 4);
	value = 0;
	device.ops->write(device.opaque, 0, TESTDEV_DOORBELL, &value, 4);
	do
		device.ops->read(device.opaque, 0, TESTDEV_DONE, &value, 4);
	while (!value);
	device.ops->stop(device.opaque);
	assert_int_equal(__atomic_load_n(&interrupts, __ATOMIC_SEQ_CST), 1);
	device.ops->start(device.opaque);
	device.ops->reset(device.opaque);
	device.ops->read(device.opaque, 0, TESTDEV_DONE, &value, 4);
	assert_int_equal(value, 0);
	device_testdev.destroy(&device);
}

static void put(struct device *device, uint64_t offset, uint32_t value)
{
	assert_int_equal(device->ops->write(device->opaque, 0, offset, &value, sizeof(value)), 0);
}

static uint64_t counters[2]; /* descriptors, interrupts */

static void count(void *opaque, const char *name, uint64_t value)
{
	if (!strcmp(name, "descriptors"))
		counters[0] = value;
	if (!strcmp(name, "interrupts"))
		counters[1] = value;
}

/* Save one device and load it into another of the same requester id, which takes its place. */
static void replace(const struct device_kind *kind, struct device *device)
{
	struct viommu_stream_writer *writer;
	struct viommu_stream_reader *reader;
	const void *data;
	size_t length;

	assert_int_equal(viommu_stream_writer_create(&writer), 0);
	assert_int_equal(device->ops->stop(device->opaque), 0);
	assert_int_equal(device->ops->save(device->opaque, writer), 0);
	assert_int_equal(viommu_stream_finish(writer, &data, &length), 0);
	kind->destroy(device);
	assert_int_equal(make(kind, device, NULL, NULL), 0);
	assert_int_equal(viommu_stream_reader_create(data, length, &reader, NULL, 0), 0);
	assert_int_equal(device->ops->stop(device->opaque), 0);
	assert_int_equal(device->ops->load(device->opaque, reader, message, sizeof(message)), 0);
	device->ops->start(device->opaque);
	viommu_stream_reader_destroy(reader);
	viommu_stream_writer_destroy(writer);
}

/* The DSA, from the first write to the interrupt; translation is off, so addresses are
 * guest-physical. */
static void test_dsa_callbacks(void **state)
{
	struct dsa_descriptor d = { .operation = DSA_OP_FILL << 24 | DSA_FLAG_REQUEST_INTERRUPT,
				    .source = 0x1122334455667788,
				    .destination = 0x200000,
				    .size = 8,
				    .handle = 2 };
	struct device device;
	uint64_t wide;

	__atomic_store_n(&interrupts, 0, __ATOMIC_SEQ_CST);
	assert_int_equal(make(&device_dsa, &device, NULL, NULL), 0);
	device.ops->attach(device.opaque, (struct server_endpoint *)&device);
	device.ops->features(device.opaque, SERVER_FEATURE_BUS_MASTER | SERVER_FEATURE_MEMORY);
	assert_int_equal(device.ops->read(device.opaque, 0, DSA_VERSION, &wide, 8), 0);
	assert_int_equal(wide, 0x200);
	assert_int_equal(device.ops->read(device.opaque, 1, 0, &wide, 8), -EINVAL);
	assert_int_equal(device.ops->write(device.opaque, 1, 0, &wide, 8), -EINVAL);
	put(&device, DSA_WQCFG, 16);
	put(&device, DSA_WQCFG + 8, DSA_WQ_DEDICATED);
	put(&device, DSA_WQCFG + 12, 21 | 5 << 5);
	put(&device, DSA_WQCFG + 32, ~0u);
	put(&device, DSA_GRPCFG, 1);
	put(&device, DSA_GRPCFG + 32, 1);
	put(&device, DSA_CMD, DSA_ENABLE_DEVICE << 20);
	replace(&device_dsa, &device);
	device.ops->attach(device.opaque, (struct server_endpoint *)&device);
	device.ops->features(device.opaque, SERVER_FEATURE_BUS_MASTER | SERVER_FEATURE_MEMORY);
	put(&device, DSA_CMD, DSA_ENABLE_WQ << 20);
	assert_int_equal(device.ops->write(device.opaque, 2, 0x1000, &d, sizeof(d)), 0);
	assert_int_equal(device.ops->read(device.opaque, 2, 0x1000, &wide, 8), 0);
	assert_int_equal(wide, 0);
	do
		device_dsa.statistics(&device, count, NULL);
	while (!counters[1]);
	assert_int_equal(device.ops->stop(device.opaque), 0);
	device_dsa.statistics(&device, count, NULL);
	assert_int_equal(counters[0], 1);
	assert_int_equal(__atomic_load_n(&interrupts, __ATOMIC_SEQ_CST), 1 << 16);
	assert_int_equal(kit_get(&box, 0x200000), d.source);
	device.ops->start(device.opaque);
	device.ops->reset(device.opaque);
	device.ops->read(device.opaque, 0, DSA_WQCFG, &wide, 8);
	assert_int_equal(wide, 0);
	device_dsa.destroy(&device);
}

static void test_testdev_state(void **state)
{
	struct device device;
	uint32_t value = 3;

	assert_int_equal(make(&device_testdev, &device, NULL, NULL), 0);
	put(&device, TESTDEV_INTERRUPT_MASK, value);
	replace(&device_testdev, &device);
	device.ops->read(device.opaque, 0, TESTDEV_INTERRUPT_MASK, &value, 4);
	assert_int_equal(value, 3);
	device_testdev.statistics(&device, count, NULL);
	device_testdev.destroy(&device);
}

/* The checksum by tables gives what the processor's instruction gives. */
static void test_crc_tables(void **state)
{
	uint8_t data[1000], mirrored[1000];

	for (unsigned int i = 0; i < sizeof(data); i++) {
		data[i] = i * 11;
		mirrored[i] = dsa_reverse32(data[i]) >> 24;
	}
	for (unsigned int length = 0; length < sizeof(data); length += 37) {
		assert_int_equal(dsa_crc32c_tables(5, data, length), dsa_crc32c(5, data, length));
		assert_int_equal(dsa_crc32c_reversed(5, mirrored, length),
				 dsa_crc32c(5, data, length));
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_dsa_function), TEST(test_refusals),	   TEST(test_option_lists),
		TEST(test_callbacks),	 TEST(test_dsa_callbacks), TEST(test_testdev_state),
		TEST(test_crc_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
