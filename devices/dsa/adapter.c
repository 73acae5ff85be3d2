/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DSA as a PCI function of the server: identity, BARs, options by name.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "devices/device.h"
#include "devices/options.h"
#include "dsa.h"
#include "spec.h"

struct adapter {
	struct device_wire wire;
	struct dsa *dsa;
};

enum { REGISTERS_BAR = 0, PORTALS_BAR = 2 };

struct settings {
	struct dsa_options dsa;
	unsigned int device_id;
	unsigned int bars;
	unsigned int page_timeout;
};

static const struct device_option_spec specs[] = {
	DEVICE_NUMBER("wqs", "work queues", struct settings, dsa.wqs, 1, 16, "8"),
	DEVICE_NUMBER("groups", "groups", struct settings, dsa.groups, 1, 8, "4"),
	DEVICE_NUMBER("engines", "engines, a thread each", struct settings, dsa.engines, 1, 8, "4"),
	DEVICE_NUMBER("entries", "total size of all work queues", struct settings, dsa.entries, 16,
		      1024, "128"),
	DEVICE_NUMBER("max-transfer", "log2 of the largest transfer in bytes", struct settings,
		      dsa.max_transfer_shift, 12, 31, "21"),
	DEVICE_NUMBER("max-batch", "log2 of the largest batch", struct settings,
		      dsa.max_batch_shift, 1, 10, "5"),
	DEVICE_SWITCH("event-log", "has an event log", struct settings, dsa.event_log, "on"),
	DEVICE_NUMBER("page-timeout", "seconds until an unanswered page request counts as failed",
		      struct settings, page_timeout, 1, 3600, "20"),
	{ "bars", "64: 64-bit BARs; 32: 32-bit ones, as uio_pci_generic_sva wants",
	  DEVICE_OPTION_NUMBER, offsetof(struct settings, bars), 32, 64, "32 or 64", "64" },
	DEVICE_NUMBER("device-id", "PCI device id", struct settings, device_id, 0, 0xffff,
		      "0x11fb"),
	{ 0 },
};

static struct device_option options[sizeof(specs) / sizeof(specs[0])];

__attribute__((constructor)) static void fill_options(void)
{
	device_options_describe(specs, options);
}

static const struct dsa_ops core_ops = { .interrupt = device_interrupt };

static int read_bar(void *opaque, unsigned int bar, uint64_t offset, void *data, size_t length)
{
	struct adapter *adapter = opaque;

	if (bar == REGISTERS_BAR)
		dsa_read(adapter->dsa, offset, data, length);
	else if (bar == PORTALS_BAR)
		dsa_portal_read(adapter->dsa, offset, data, length);
	else
		return -EINVAL;
	return 0;
}

static int write_bar(void *opaque, unsigned int bar, uint64_t offset, const void *data,
		     size_t length)
{
	struct adapter *adapter = opaque;

	if (bar == REGISTERS_BAR)
		dsa_write(adapter->dsa, offset, data, length);
	else if (bar == PORTALS_BAR)
		dsa_portal_write(adapter->dsa, offset, data, length);
	else
		return -EINVAL;
	return 0;
}

static void features(void *opaque, uint32_t set)
{
	struct adapter *adapter = opaque;

	dsa_features(adapter->dsa, device_endpoint_features(set), set & SERVER_FEATURE_BUS_MASTER);
}

static void reset(void *opaque)
{
	struct adapter *adapter = opaque;

	dsa_reset(adapter->dsa);
}

static int stop(void *opaque)
{
	struct adapter *adapter = opaque;

	return dsa_stop(adapter->dsa);
}

static void start(void *opaque)
{
	struct adapter *adapter = opaque;

	dsa_start(adapter->dsa);
}

/* The instance of a stream section is the requester id: it is the same on both sides of a
 * migration. */
static int save(void *opaque, struct viommu_stream_writer *writer)
{
	struct adapter *adapter = opaque;

	return dsa_save(adapter->dsa, writer, viommu_endpoint_rid(dsa_endpoint(adapter->dsa)));
}

static int load(void *opaque, struct viommu_stream_reader *reader, char *message, size_t length)
{
	struct adapter *adapter = opaque;

	return dsa_load(adapter->dsa, reader, viommu_endpoint_rid(dsa_endpoint(adapter->dsa)),
			message, length);
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

static uint64_t power_of_two(uint64_t value)
{
	uint64_t size = 1;

	while (size < value)
		size <<= 1;
	return size;
}

static void describe(const struct settings *settings, struct server_function *function)
{
	uint32_t wide = settings->bars == 64 ? SERVER_BAR_64BIT : 0;

	*function = (struct server_function){
		.vendor = 0x8086,
		.device = settings->device_id,
		.subsystem_vendor = 0x8086,
		.class_code = 0x088000,
		.bars = {
			[REGISTERS_BAR] = { DSA_REGISTERS_SIZE, wide },
			[PORTALS_BAR] = { power_of_two((uint64_t)settings->dsa.wqs * DSA_PORTAL_SIZE), wide },
		},
		.msix_vectors = settings->dsa.wqs + 1,
		.msix_bar = REGISTERS_BAR,
		.msix_table = DSA_MSIX_TABLE,
		.msix_pba = DSA_MSIX_PBA,
		.express = true,
		.pasid_bits = 20,
		.pasid_privileged = true,
		.ats = true,
		.page_request = true,
		.page_requests = 512,
	};
}

static int create(struct viommu_unit *unit, uint16_t rid, const struct device_setting *given,
		  unsigned int count, struct device *device, char *message, size_t message_length)
{
	struct settings settings;
	struct adapter *adapter;
	int error;

	memset(&settings, 0, sizeof(settings));
	dsa_options_init(&settings.dsa);
	error = device_options_parse(specs, &settings, given, count, message, message_length);
	if (error)
		return error;
	if (settings.bars != 32 && settings.bars != 64) {
		snprintf(message, message_length, "bars=%u: allowed is 32 or 64", settings.bars);
		return -EINVAL;
	}
	settings.dsa.page_timeout_ms = settings.page_timeout * 1000;
	adapter = calloc(1, sizeof(*adapter));
	if (!adapter)
		return -ENOMEM;
	error = dsa_create(&settings.dsa, unit, rid, &core_ops, adapter, &adapter->dsa);
	if (error) {
		free(adapter);
		return error;
	}
	describe(&settings, &device->function);
	device->ops = &device_ops;
	device->opaque = adapter;
	device->endpoint = dsa_endpoint(adapter->dsa);
	return 0;
}

static void destroy(struct device *device)
{
	struct adapter *adapter = device->opaque;

	dsa_destroy(adapter->dsa);
	free(adapter);
}

static void statistics(const struct device *device,
		       void (*put)(void *opaque, const char *name, uint64_t value), void *opaque)
{
	const struct adapter *adapter = device->opaque;
	struct dsa_statistics s;

	dsa_statistics(adapter->dsa, &s);
	put(opaque, "descriptors", s.descriptors);
	put(opaque, "bytes", s.bytes);
	put(opaque, "batches", s.batches);
	put(opaque, "retries", s.retries);
	put(opaque, "dropped", s.dropped);
	put(opaque, "page_requests", s.page_requests);
	put(opaque, "page_failures", s.page_failures);
	put(opaque, "faults", s.faults);
	put(opaque, "errors", s.errors);
	put(opaque, "interrupts", s.interrupts);
	put(opaque, "aborted", s.aborted);
}

const struct device_kind device_dsa = {
	.name = "dsa",
	.help = "Intel Data Streaming Accelerator, DSA 2.0 as Linux's idxd drives it",
	.options = options,
	.create = create,
	.destroy = destroy,
	.statistics = statistics,
};
