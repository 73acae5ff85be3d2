/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The config space is three images of 4096 bytes: the values, the bits a guest may write, and the
 * bits it clears by writing one. Capabilities are laid out once, from the description; after that a
 * write is a masked copy, and the few registers that do something (BAR sizing falls out of the mask
 * by itself) are looked at afterwards. Sections named "PCIe" are those of the PCI Express Base
 * Specification 6.0.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

enum {
	PCI_COMMAND = 0x04,
	PCI_COMMAND_IO = 1u << 0,
	PCI_COMMAND_MEMORY = 1u << 1,
	PCI_COMMAND_MASTER = 1u << 2,
	PCI_COMMAND_WRITABLE = 0x0547, /* I/O, memory, master, parity, SERR, INTx disable */
	PCI_STATUS = 0x06,
	PCI_STATUS_CAPABILITIES = 1u << 4,
	PCI_STATUS_CLEARS = 0xf900,
	PCI_BARS = 0x10,
	PCI_CAPABILITIES = 0x34,
	PCI_INTERRUPT_LINE = 0x3c,
	PCI_INTERRUPT_PIN = 0x3d,
	PCI_COMMAND_INTX_OFF = 1u << 10,

	CAPABILITY_POWER = 0x01,
	CAPABILITY_MSI = 0x05,
	CAPABILITY_EXPRESS = 0x10,
	CAPABILITY_MSIX = 0x11,
	EXTENDED_ATS = 0x0f,
	EXTENDED_PAGE_REQUEST = 0x13,
	EXTENDED_PASID = 0x1b,

	MSIX_ENABLE = 1u << 15,
	EXPRESS_ROOT_COMPLEX_ENDPOINT = 9,
	EXPRESS_CONTROL = 0x08,
	EXPRESS_CONTROL_RESET = 1u << 15,
	ATS_CONTROL = 0x06,
	ATS_ENABLE = 1u << 15,
	PASID_CONTROL = 0x06,
	PAGE_REQUEST_CONTROL = 0x04,
	PAGE_REQUEST_ENABLE = 1u << 0,
	PAGE_REQUEST_RESET = 1u << 1,
	PAGE_REQUEST_STATUS = 0x06,
	PAGE_REQUEST_STOPPED = 1u << 8,
	PAGE_REQUEST_NEEDS_PASID = 1u << 15,
};

static void put(uint8_t *image, uint32_t offset, uint64_t value, unsigned int length)
{
	memcpy(image + offset, &value, length);
}

static uint32_t get(const uint8_t *image, uint32_t offset, unsigned int length)
{
	uint32_t value = 0;

	memcpy(&value, image + offset, length);
	return value;
}

static void put_header(struct config_space *c)
{
	const struct server_function *f = &c->function;

	put(c->value, 0x00, f->vendor, 2);
	put(c->value, 0x02, f->device, 2);
	put(c->writable, PCI_COMMAND, PCI_COMMAND_WRITABLE, 2);
	put(c->clears, PCI_STATUS, PCI_STATUS_CLEARS, 2);
	put(c->value, 0x08, f->revision | (uint64_t)f->class_code << 8, 4);
	put(c->writable, 0x0c, 0xff, 1); /* cache line size: kept, without effect */
	put(c->value, 0x2c, f->subsystem_vendor, 2);
	put(c->value, 0x2e, f->subsystem, 2);
	put(c->writable, PCI_INTERRUPT_LINE, 0xff, 1);
	put(c->value, PCI_INTERRUPT_PIN, f->intx, 1); /* INTA# */
}

/* PCIe 7.5.1.2.1: bit 0 says I/O ports; at most 256 of them in a function. */
static int put_io_bar(struct config_space *c, unsigned int bar)
{
	const struct server_bar *b = &c->function.bars[bar];

	if (b->flags != SERVER_BAR_IO || b->size < 4 || b->size > 256 || (b->size & (b->size - 1)))
		return -EINVAL;
	put(c->value, PCI_BARS + 4 * bar, 1, 4);
	put(c->writable, PCI_BARS + 4 * bar, ~(b->size - 1), 4);
	return 0;
}

/* PCIe 7.5.1.2.1: the writable bits of a BAR are its address bits; reading back all ones gives the
 * size. */
static int put_bar(struct config_space *c, unsigned int bar)
{
	const struct server_bar *b = &c->function.bars[bar];
	bool wide = b->flags & SERVER_BAR_64BIT;
	uint32_t offset = PCI_BARS + 4 * bar;

	if (!b->size)
		return 0;
	if (b->flags & SERVER_BAR_IO)
		return put_io_bar(c, bar);
	if (b->size < 16 || (b->size & (b->size - 1)))
		return -EINVAL;
	if (!wide && b->size > UINT64_C(1) << 31)
		return -EINVAL;
	if (wide && (bar + 1 >= SERVER_BARS || c->function.bars[bar + 1].size))
		return -EINVAL;
	put(c->value, offset, (wide ? 4u : 0u) | (b->flags & SERVER_BAR_PREFETCHABLE ? 8u : 0u), 4);
	put(c->writable, offset, ~(b->size - 1), wide ? 8 : 4);
	return 0;
}

/* Put a capability of `length` bytes behind the last one; `*link` is where its position goes. */
static uint16_t add_capability(struct config_space *c, uint32_t *link, uint16_t *free, uint8_t id,
			       uint16_t length)
{
	uint16_t at = *free;

	put(c->value, *link, at, 1);
	put(c->value, at, id, 1);
	*link = at + 1;
	*free = (uint16_t)((at + length + 3) & ~3);
	put(c->value, PCI_STATUS, PCI_STATUS_CAPABILITIES, 2);
	return at;
}

static void put_power(struct config_space *c)
{
	put(c->value, c->at.power + 2, 0x0003, 2);    /* version 3, no PME */
	put(c->value, c->at.power + 4, 0x0008, 2);    /* no soft reset on D3hot to D0 */
	put(c->writable, c->at.power + 4, 0x0003, 2); /* power state */
}

/* PCIe 7.7.1: 64-bit addresses, no masks. */
static int put_msi(struct config_space *c)
{
	unsigned int vectors = c->function.msi_vectors;

	if (vectors > 32 || vectors & (vectors - 1))
		return -EINVAL;
	put(c->value, c->at.msi + 2, 1u << 7 | (unsigned int)__builtin_ctz(vectors) << 1, 2);
	put(c->writable, c->at.msi + 2, 0x0071, 2); /* enable, vectors in use */
	put(c->writable, c->at.msi + 4, 0xfffffffffffffffc, 8);
	put(c->writable, c->at.msi + 12, 0xffff, 2);
	return 0;
}

static int put_msix(struct config_space *c)
{
	const struct server_function *f = &c->function;
	uint64_t size = f->msix_bar < SERVER_BARS ? f->bars[f->msix_bar].size : 0;

	if (f->msix_vectors > 2048 || (f->msix_table & 7) || (f->msix_pba & 7) ||
	    f->msix_table + f->msix_vectors * 16u > size ||
	    f->msix_pba + (f->msix_vectors + 63) / 64 * 8u > size)
		return -EINVAL;
	put(c->value, c->at.msix + 2, f->msix_vectors - 1u, 2);
	put(c->writable, c->at.msix + 2, 0xc000, 2); /* enable, function mask */
	put(c->value, c->at.msix + 4, f->msix_table | f->msix_bar, 4);
	put(c->value, c->at.msix + 8, f->msix_pba | f->msix_bar, 4);
	return 0;
}

/* PCIe 7.5.3: version 2; a root complex integrated endpoint has no link. */
static void put_express(struct config_space *c)
{
	uint16_t at = c->at.express;

	put(c->value, at + 2, 2 | EXPRESS_ROOT_COMPLEX_ENDPOINT << 4, 2);
	put(c->value, at + 4, 1u << 15 | 1u << 28 | 1,
	    4); /* role-based errors, FLR, 256-byte payload */
	put(c->writable, at + EXPRESS_CONTROL, 0x7fff, 2);
	put(c->value, at + EXPRESS_CONTROL, 0x2810, 2);
	put(c->clears, at + 0x0a, 0x000f, 2);
	/* completion timeout disable, atomics 32 and 64 bits as completer, one end-to-end prefix
	 * (PASID needs it) */
	put(c->value, at + 0x24, 1u << 4 | 1u << 7 | 1u << 8 | 1u << 21 | 1u << 22, 4);
	put(c->writable, at + 0x28, 0x805f, 2);
}

static void put_extended(struct config_space *c, uint16_t *link, uint16_t *free, uint16_t *at,
			 uint16_t id, uint16_t length)
{
	*at = *free;
	put(c->value, *at, id | 1u << 16, 4);
	if (*link)
		put(c->value, *link + 2, 1u | (uint32_t)*at << 4, 2);
	*link = *at;
	*free += length;
}

static void put_extended_all(struct config_space *c)
{
	const struct server_function *f = &c->function;
	uint16_t link = 0, free = 0x100;

	if (f->pasid_bits) { /* PCIe 7.8.9 */
		put_extended(c, &link, &free, &c->at.pasid, EXTENDED_PASID, 0x10);
		put(c->value, c->at.pasid + 4,
		    f->pasid_execute << 1 | f->pasid_privileged << 2 | f->pasid_bits << 8, 2);
		put(c->writable, c->at.pasid + PASID_CONTROL,
		    1u | f->pasid_execute << 1 | f->pasid_privileged << 2, 2);
	}
	if (f->ats) { /* PCIe 10.5.1: 32 invalidations, page-aligned requests, global invalidate */
		put_extended(c, &link, &free, &c->at.ats, EXTENDED_ATS, 0x10);
		put(c->value, c->at.ats + 4, 1u << 5 | 1u << 6, 2);
		put(c->writable, c->at.ats + ATS_CONTROL, ATS_ENABLE | 0x1f, 2);
	}
	if (f->page_request) { /* PCIe 10.5.2 */
		put_extended(c, &link, &free, &c->at.page_request, EXTENDED_PAGE_REQUEST, 0x10);
		put(c->writable, c->at.page_request + PAGE_REQUEST_CONTROL, PAGE_REQUEST_ENABLE, 2);
		put(c->value, c->at.page_request + PAGE_REQUEST_STATUS,
		    PAGE_REQUEST_STOPPED | (f->pasid_bits ? PAGE_REQUEST_NEEDS_PASID : 0u), 2);
		put(c->clears, c->at.page_request + PAGE_REQUEST_STATUS, 0x0003, 2);
		put(c->value, c->at.page_request + 8, f->page_requests, 4);
		put(c->writable, c->at.page_request + 12, 0xffffffff, 4);
	}
}

static int check_function(const struct server_function *f)
{
	if (f->class_code >> 24 || f->pasid_bits > 20 || f->vendor == 0xffff)
		return -EINVAL;
	if (!f->express && (f->pasid_bits || f->ats || f->page_request))
		return -EINVAL;
	return 0;
}

int config_init(struct config_space *c, const struct server_function *function)
{
	uint32_t link = PCI_CAPABILITIES;
	uint16_t free = 0x40;
	int ret = check_function(function);

	if (ret)
		return ret;
	memset(c, 0, sizeof(*c));
	c->function = *function;
	put_header(c);
	for (unsigned int bar = 0; bar < SERVER_BARS; bar++) {
		ret = put_bar(c, bar);
		if (ret)
			return ret;
	}
	if (function->express) {
		c->at.power = add_capability(c, &link, &free, CAPABILITY_POWER, 8);
		put_power(c);
		c->at.express = add_capability(c, &link, &free, CAPABILITY_EXPRESS, 0x3c);
		put_express(c);
	}
	if (function->msi_vectors) {
		c->at.msi = add_capability(c, &link, &free, CAPABILITY_MSI, 14);
		ret = put_msi(c);
		if (ret)
			return ret;
	}
	if (function->msix_vectors) {
		c->at.msix = add_capability(c, &link, &free, CAPABILITY_MSIX, 12);
		ret = put_msix(c);
		if (ret)
			return ret;
	}
	put_extended_all(c);
	memcpy(c->initial, c->value, sizeof(c->value));
	return 0;
}

uint32_t config_length(const struct config_space *c)
{
	return c->function.express ? CONFIG_SIZE : CONFIG_SIZE_CONVENTIONAL;
}

void config_reset(struct config_space *c)
{
	memcpy(c->value, c->initial, sizeof(c->value));
}

void config_function_reset(struct config_space *c)
{
	uint8_t bars[SERVER_BARS * 4];

	memcpy(bars, c->value + PCI_BARS, sizeof(bars));
	config_reset(c);
	memcpy(c->value + PCI_BARS, bars, sizeof(bars));
}

void config_read(const struct config_space *c, uint32_t offset, void *data, uint32_t length)
{
	memcpy(data, c->value + offset, length);
}

/* True when [offset, offset + length) touches byte `at`. */
static bool touches(uint32_t offset, uint32_t length, uint32_t at)
{
	return at >= offset && at - offset < length;
}

/* PCIe 10.5.2.3: Stopped follows Enable; the Reset bit reads as zero. */
static void page_request_changed(struct config_space *c)
{
	uint32_t at = c->at.page_request + PAGE_REQUEST_STATUS;
	uint32_t status = get(c->value, at, 2) & ~PAGE_REQUEST_STOPPED;

	if (!(get(c->value, c->at.page_request + PAGE_REQUEST_CONTROL, 2) & PAGE_REQUEST_ENABLE))
		status |= PAGE_REQUEST_STOPPED;
	put(c->value, at, status, 2);
}

bool config_write(struct config_space *c, uint32_t offset, const void *data, uint32_t length)
{
	const uint8_t *bytes = data;

	for (uint32_t i = 0; i < length; i++) {
		uint32_t at = offset + i;
		uint8_t mask = c->writable[at];

		c->value[at] = (uint8_t)((c->value[at] & ~mask) | (bytes[i] & mask));
		c->value[at] &= (uint8_t) ~(bytes[i] & c->clears[at]);
	}
	if (c->at.page_request &&
	    touches(offset, length, c->at.page_request + PAGE_REQUEST_CONTROL))
		page_request_changed(c);
	/* PCIe 6.6.2: Initiate Function Level Reset always reads as zero */
	if (c->at.express && touches(offset, length, c->at.express + EXPRESS_CONTROL + 1)) {
		uint8_t high = bytes[c->at.express + EXPRESS_CONTROL + 1 - offset];

		return high & EXPRESS_CONTROL_RESET >> 8;
	}
	return false;
}

uint32_t config_features(const struct config_space *c)
{
	uint32_t command = get(c->value, PCI_COMMAND, 2);
	uint32_t features = 0;

	if (command & PCI_COMMAND_MEMORY)
		features |= SERVER_FEATURE_MEMORY;
	if (command & PCI_COMMAND_MASTER)
		features |= SERVER_FEATURE_BUS_MASTER;
	if (command & PCI_COMMAND_INTX_OFF)
		features |= SERVER_FEATURE_INTX_OFF;
	if (c->at.msix && (get(c->value, c->at.msix + 2, 2) & MSIX_ENABLE))
		features |= SERVER_FEATURE_MSIX;
	if (c->at.pasid) {
		uint32_t control = get(c->value, c->at.pasid + PASID_CONTROL, 2);

		if (control & 1)
			features |= SERVER_FEATURE_PASID |
				    (control & 2 ? SERVER_FEATURE_PASID_EXECUTE : 0u) |
				    (control & 4 ? SERVER_FEATURE_PASID_PRIVILEGED : 0u);
	}
	if (c->at.ats && (get(c->value, c->at.ats + ATS_CONTROL, 2) & ATS_ENABLE))
		features |= SERVER_FEATURE_ATS;
	if (c->at.page_request &&
	    (get(c->value, c->at.page_request + PAGE_REQUEST_CONTROL, 2) & PAGE_REQUEST_ENABLE))
		features |= SERVER_FEATURE_PAGE_REQUEST;
	return features;
}

uint64_t config_bar_address(const struct config_space *c, unsigned int bar)
{
	const struct server_bar *b = &c->function.bars[bar];
	uint32_t decodes = b->flags & SERVER_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
	uint64_t address = get(c->value, PCI_BARS + 4 * bar, 4);

	if (!b->size || !(get(c->value, PCI_COMMAND, 2) & decodes))
		return 0;
	if (b->flags & SERVER_BAR_64BIT)
		address |= (uint64_t)get(c->value, PCI_BARS + 4 * bar + 4, 4) << 32;
	return address & ~(b->size - 1);
}
