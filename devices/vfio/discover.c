/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the function is: read from its config space and from what VFIO says about its regions and
 * interrupts.
 */
#include "devices/vfio/vfio.h"

#include <errno.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	PCI_BARS = 0x10,
	PCI_CAPABILITIES = 0x34,
	PCI_INTERRUPT_PIN = 0x3d,
	CAPABILITY_MSI = 0x05,
	CAPABILITY_MSIX = 0x11,
	CHAIN_MAX = 48, /* a chain of 256 / 4 bytes cannot be longer; a loop would be */
};

static uint32_t config(const struct vfio_device *d, unsigned int offset, unsigned int length)
{
	uint32_t value = 0;

	if (pread(d->fd, &value, length, (off_t)(d->config_offset + offset)) != (ssize_t)length)
		return ~0u >> (32 - 8 * length);
	return value;
}

static int region(const struct vfio_device *d, unsigned int index, struct vfio_region_info *info)
{
	*info = (struct vfio_region_info){ .argsz = sizeof(*info), .index = index };
	return ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, info) ? -errno : 0;
}

static unsigned int find_capability(const struct vfio_device *d, unsigned int id)
{
	unsigned int at = config(d, PCI_CAPABILITIES, 1) & ~3u;

	for (int i = 0; at && i < CHAIN_MAX; i++) {
		if (config(d, at, 1) == id)
			return at;
		at = config(d, at + 1, 1) & ~3u;
	}
	return 0;
}

/* PCIe 7.5.1.2.1: bit 0 says I/O ports; bit 2 of a memory BAR says 64 bits, bit 3 prefetchable. */
static void take_bar(struct vfio_device *d, unsigned int index)
{
	uint32_t value = config(d, PCI_BARS + 4 * index, 4);
	struct vfio_region_info info;

	/* A kernel may have the ports and no way to them. */
	if (region(d, index, &info) || !info.size || (value & 1 && info.size > 256))
		return;
	d->io |= value & 1;
	d->bars[index] = (struct vfio_bar){
		.size = info.size,
		.offset = info.offset,
		.mappable = info.flags & VFIO_REGION_INFO_FLAG_MMAP,
	};
	d->function.bars[index] = (struct server_bar){
		.size = info.size,
		.flags = value & 1 ? SERVER_BAR_IO :
			 (value & 4 ? SERVER_BAR_64BIT : 0u) | (value & 8 ? SERVER_BAR_PREFETCHABLE : 0u),
	};
}

static void take_msix(struct vfio_device *d)
{
	unsigned int at = find_capability(d, CAPABILITY_MSIX);
	uint32_t table, pba;

	if (!at)
		return;
	table = config(d, at + 4, 4);
	pba = config(d, at + 8, 4);
	/* Our config space has one BAR for both. */
	if ((table & 7) != (pba & 7))
		return;
	d->function.msix_vectors = (uint16_t)((config(d, at + 2, 2) & 0x7ff) + 1);
	d->function.msix_bar = table & 7;
	d->function.msix_table = table & ~7u;
	d->function.msix_pba = pba & ~7u;
}

static unsigned int irqs(const struct vfio_device *d, unsigned int index)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };

	return ioctl(d->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) ? 0 : info.count;
}

/* What the kernel can signal of what the function has: it may have no line for a pin. */
static void take_line_and_msi(struct vfio_device *d)
{
	unsigned int at = find_capability(d, CAPABILITY_MSI), vectors = 0;

	d->function.intx = config(d, PCI_INTERRUPT_PIN, 1) && irqs(d, VFIO_PCI_INTX_IRQ_INDEX);
	/* PCIe 7.7.1.2: a power of two, 32 at most */
	if (at)
		vectors = 1u << (config(d, at + 2, 2) >> 1 & 7);
	if (vectors <= 32 && irqs(d, VFIO_PCI_MSI_IRQ_INDEX) >= vectors)
		d->function.msi_vectors = (uint8_t)vectors;
}

int vfio_discover(struct vfio_device *d, char *message, size_t length)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct viommu_host_info host = { .size = sizeof(host) };
	struct vfio_region_info space;
	uint32_t identity;
	int result;

	if (ioctl(d->fd, VFIO_DEVICE_GET_INFO, &info) || !(info.flags & VFIO_DEVICE_FLAGS_PCI) ||
	    region(d, VFIO_PCI_CONFIG_REGION_INDEX, &space)) {
		snprintf(message, length, "host=%s: VFIO does not show it as a PCI function",
			 d->address);
		return -EINVAL;
	}
	result = viommu_host_device_info(d->device, &host);
	if (result) {
		snprintf(message, length, "host=%s: the host says nothing about its IOMMU: %s",
			 d->address, strerror(-result));
		return result;
	}
	d->config_offset = space.offset;
	d->reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	identity = config(d, 0, 4);
	d->function = (struct server_function){
		.vendor = (uint16_t)identity,
		.device = (uint16_t)(identity >> 16),
		.subsystem_vendor = (uint16_t)config(d, 0x2c, 2),
		.subsystem = (uint16_t)config(d, 0x2e, 2),
		.class_code = config(d, 8, 4) >> 8,
		.revision = (uint8_t)config(d, 8, 1),
		.removable = true,
		.express = true,
		.pasid_bits = host.pasid_attach ? host.pasid_bits : 0,
		.pasid_execute = host.pasid_execute,
		.pasid_privileged = host.pasid_privileged,
		.ats = host.ats,
		.page_request = host.ats && host.page_requests,
		.page_requests = 32,
	};
	for (unsigned int bar = 0; bar < SERVER_BARS; bar++) {
		take_bar(d, bar);
		if (d->function.bars[bar].flags & SERVER_BAR_64BIT)
			bar++;
	}
	take_msix(d);
	take_line_and_msi(d);
	return 0;
}
