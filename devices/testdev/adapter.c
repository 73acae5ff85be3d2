/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The test device as a PCI function of the server.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "devices/device.h"
#include "devices/options.h"
#include "testdev.h"

struct adapter {
	struct device_wire wire;
	struct testdev *testdev;
};

struct settings {
	unsigned int vendor;
	unsigned int device;
	unsigned int page_timeout;
};

static const struct device_option_spec specs[] = {
	DEVICE_NUMBER("vendor", "PCI vendor id", struct settings, vendor, 1, 0xfffe, "0x1234"),
	DEVICE_NUMBER("device", "PCI device id", struct settings, device, 0, 0xffff, "0x11e9"),
	DEVICE_NUMBER("page-timeout", "seconds until an unanswered page request counts as failed",
		      struct settings, page_timeout, 1, 3600, "20"),
	{ 0 },
};

static struct device_option options[sizeof(specs) / sizeof(specs[0])];

__attribute__((constructor)) static void fill_options(void)
{
	device_options_describe(specs, options);
}

static const struct testdev_ops core_ops = { .interrupt = device_interrupt };

static int read_bar(void *opaque, unsigned int bar, uint64_t offset, void *data, size_t length)
{
	struct adapter *adapter = opaque;

	if (bar)
		return -EINVAL;
	testdev_read(adapter->testdev, offset, data, length);
	return 0;
}

static int write_bar(void *opaque, unsigned int bar, uint64_t offset, const void *data,
		     size_t length)
{
	struct adapter *adapter = opaque;

	if (bar)
		return -EINVAL;
	testdev_write(adapter->testdev, offset, data, length);
	return 0;
}

static void features(void *opaque, uint32_t set)
{
	struct adapter *adapter = opaque;

	testdev_features(adapter->testdev, device_endpoint_features(set),
			 set & SERVER_FEATURE_BUS_MASTER);
}

static void reset(void *opaque)
{
	struct adapter *adapter = opaque;

	testdev_reset(adapter->testdev);
}

static int stop(void *opaque)
{
	struct adapter *adapter = opaque;

	return testdev_stop(adapter->testdev);
}

static void start(void *opaque)
{
	struct adapter *adapter = opaque;

	testdev_start(adapter->testdev);
}

static int save(void *opaque, struct viommu_stream_writer *writer)
{
	struct adapter *adapter = opaque;

	return testdev_save(adapter->testdev, writer,
			    viommu_endpoint_rid(testdev_endpoint(adapter->testdev)));
}

static int load(void *opaque, struct viommu_stream_reader *reader, char *message, size_t length)
{
	struct adapter *adapter = opaque;

	return testdev_load(adapter->testdev, reader,
			    viommu_endpoint_rid(testdev_endpoint(adapter->testdev)), message,
			    length);
}

static const struct server_device_ops device_ops = {
	.attach = device_attach,
	.detach = device_detach,
	.read = read_bar,
	.write = write_bar,
	.features = features,
	.reset = reset,
	.stop = stop,
	.start = start,
	.save = save,
	.load = load,
};

static int create(struct viommu_unit *unit, uint16_t rid, const struct device_setting *given,
		  unsigned int count, struct device *device, char *message, size_t message_length)
{
	struct settings settings;
	struct adapter *adapter;
	int error = device_options_parse(specs, &settings, given, count, message, message_length);

	if (error)
		return error;
	adapter = calloc(1, sizeof(*adapter));
	if (!adapter)
		return -ENOMEM;
	error = testdev_create(unit, rid, settings.page_timeout * 1000, &core_ops, adapter,
			       &adapter->testdev);
	if (error) {
		free(adapter);
		return error;
	}
	device->function = (struct server_function){
		.vendor = settings.vendor,
		.device = settings.device,
		.class_code = 0xff0000,
		.bars = { [0] = { TESTDEV_SIZE,
				  0 } }, /* 32-bit: uio_pci_generic_sva maps no other */
		.msix_vectors = TESTDEV_VECTORS,
		.msix_bar = 0,
		.msix_table = TESTDEV_MSIX_TABLE,
		.msix_pba = TESTDEV_MSIX_PBA,
		.express = true,
		.pasid_bits = 20,
		.pasid_execute = true,
		.pasid_privileged = true,
		.ats = true,
		.page_request = true,
		.page_requests = 512,
	};
	device->ops = &device_ops;
	device->opaque = adapter;
	device->endpoint = testdev_endpoint(adapter->testdev);
	return 0;
}

static void destroy(struct device *device)
{
	struct adapter *adapter = device->opaque;

	testdev_destroy(adapter->testdev);
	free(adapter);
}

static void statistics(const struct device *device,
		       void (*put)(void *opaque, const char *name, uint64_t value), void *opaque)
{
	const struct adapter *adapter = device->opaque;
	struct testdev_statistics s;

	testdev_statistics(adapter->testdev, &s);
	put(opaque, "requests", s.requests);
	put(opaque, "bytes", s.bytes);
	put(opaque, "faults", s.faults);
	put(opaque, "page_requests", s.page_requests);
	put(opaque, "invalidations", s.invalidations);
	put(opaque, "interrupts", s.interrupts);
}

const struct device_kind device_testdev = {
	.name = "testdev",
	.help = "PASID/ATS/PRI test device, see docs/testdev.md",
	.options = options,
	.create = create,
	.destroy = destroy,
	.statistics = statistics,
};
