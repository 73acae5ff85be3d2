/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wgChecker: registers, reset and snapshots.
 *
 * Every register is 64 bits wide here or pairs of 32; an access of 4 bytes is a masked one of 8.
 * After a write the rules are derived again, and listeners hear of the addresses whose rules could
 * differ: those the written slot and its neighbour above had before, and those they have now.
 */
#include <errno.h>
#include <string.h>

#include "memory/alloc.h"
#include "riscv/wgchecker.h"

enum {
	REG_VENDOR = 0x000, /* and IMPID at 4 */
	REG_NSLOTS = 0x008,
	REG_CAUSE = 0x010,
	REG_ADDRESS = 0x018,
	REG_SLOTS = 0x020,
	SLOT_BYTES = 32,
	SLOT_ADDR = 0x00,
	SLOT_PERM = 0x08,
	SLOT_CFG = 0x10,
};

static uint64_t read_slot(const struct viommu_wgchecker *checker, uint64_t offset)
{
	uint64_t i = offset / SLOT_BYTES;

	if (i >= checker->count)
		return 0;
	switch (offset % SLOT_BYTES) {
	case SLOT_ADDR:
		return checker->slot[i].addr;
	case SLOT_PERM:
		return checker->slot[i].perm;
	case SLOT_CFG:
		return checker->slot[i].cfg;
	default:
		return 0;
	}
}

/* The 8 bytes at an aligned offset. Under lock. */
static uint64_t read_register(const struct viommu_wgchecker *checker, uint64_t offset)
{
	switch (offset) {
	case REG_VENDOR:
		return checker->config.vendor | (uint64_t)checker->config.implementation << 32;
	case REG_NSLOTS:
		return checker->config.slots; /* and nothing at +4 */
	case REG_CAUSE:
		return checker->cause;
	case REG_ADDRESS:
		return checker->address;
	default:
		return offset >= REG_SLOTS ? read_slot(checker, offset - REG_SLOTS) : 0;
	}
}

static bool legal_access(uint64_t offset, size_t length)
{
	return (length == 4 || length == 8) && !(offset & (length - 1));
}

static int mmio_read(void *opaque, uint64_t offset, void *data, size_t length)
{
	struct viommu_wgchecker *checker = opaque;
	uint64_t value;

	memset(data, 0, length);
	if (!legal_access(offset, length))
		return 0;
	pthread_mutex_lock(&checker->lock);
	value = read_register(checker, offset & ~7ull);
	pthread_mutex_unlock(&checker->lock);
	value >>= 8 * (offset & 7);
	memcpy(data, &value, length);
	return 0;
}

static uint64_t legal_permissions(const struct viommu_wgchecker *checker, uint64_t value)
{
	const struct viommu_wgchecker_config *config = &checker->config;

	if (config->worlds < 32)
		value &= (1ull << (2 * config->worlds)) - 1;
	if (config->flags & VIOMMU_WG_TRUSTED_FORCED)
		value |= 3ull << (2 * config->trusted_wid);
	return value;
}

static uint32_t legal_cfg(const struct viommu_wgchecker *checker, uint64_t i, uint64_t value)
{
	uint32_t mode = value & WG_CFG_A;

	if (mode == WG_NA4)
		mode = WG_NAPOT; /* the granule is 4 KiB: legal_address makes it that */
	if (i == 0 || (i == checker->count - 1 && mode != WG_TOR))
		mode = WG_OFF;
	return ((uint32_t)value & (WG_CFG_REACT | WG_CFG_L)) | mode;
}

/* NA4 of 4 bytes becomes NAPOT of the 4 KiB around them. */
static void widen_na4(struct wg_slot *slot, uint64_t value)
{
	if ((value & WG_CFG_A) == WG_NA4)
		slot->written &= ~0x3ffull;
}

static void write_slot(struct viommu_wgchecker *checker, uint64_t offset, uint64_t value,
		       uint64_t mask)
{
	uint64_t i = offset / SLOT_BYTES;
	struct wg_slot *slot = &checker->slot[i];

	if (i >= checker->count || slot->cfg & WG_CFG_L)
		return;
	switch (offset % SLOT_BYTES) {
	case SLOT_ADDR:
		slot->written = (slot->written & ~mask) | (value & mask);
		break;
	case SLOT_PERM:
		if (i)
			slot->perm = legal_permissions(checker,
						       (slot->perm & ~mask) | (value & mask));
		break;
	case SLOT_CFG:
		if (mask & UINT32_MAX) {
			widen_na4(slot, value);
			slot->cfg = legal_cfg(checker, i, value);
		}
		break;
	}
}

struct reach {
	uint64_t first, last;
};

/* Addresses that slots i and i + 1 have a say in. */
static void reach_of(const struct viommu_wgchecker *checker, uint64_t i, struct reach *reach)
{
	for (uint64_t at = i; at < checker->count && at <= i + 1; at++) {
		const struct wg_slot *slot = &checker->slot[at];

		if (slot->first > slot->last)
			continue;
		if (slot->first < reach->first)
			reach->first = slot->first;
		if (slot->last > reach->last)
			reach->last = slot->last;
	}
}

static int mmio_write(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct viommu_wgchecker *checker = opaque;
	struct reach reach = { .first = UINT64_MAX, .last = 0 };
	uint64_t value = 0, mask;
	uint64_t at = offset & ~7ull;
	uint64_t i = at >= REG_SLOTS ? (at - REG_SLOTS) / SLOT_BYTES : UINT64_MAX - 1;

	if (!legal_access(offset, length))
		return 0;
	memcpy(&value, data, length);
	value <<= 8 * (offset & 7);
	mask = (length == 8 ? UINT64_MAX : UINT32_MAX) << (8 * (offset & 7));
	pthread_mutex_lock(&checker->lock);
	if (at == REG_CAUSE)
		checker->cause = ((checker->cause & ~mask) | (value & mask)) & WG_CAUSE_MASK;
	if (i < checker->count) {
		reach_of(checker, i, &reach);
		write_slot(checker, at - REG_SLOTS, value, mask);
		wg_derive(checker);
		reach_of(checker, i, &reach);
	}
	pthread_mutex_unlock(&checker->lock);
	if (reach.first <= reach.last)
		viommu_region_changed(checker->region, reach.first, reach.last);
	irq_follow(&checker->irq, wg_wants_irq, checker);
	return 0;
}

const struct viommu_mmio_ops *viommu_wgchecker_mmio(void)
{
	static const struct viommu_mmio_ops ops = { sizeof(ops), mmio_read, mmio_write };

	return &ops;
}

void viommu_wgchecker_reset(struct viommu_wgchecker *checker)
{
	pthread_mutex_lock(&checker->lock);
	wg_reset_slots(checker);
	pthread_mutex_unlock(&checker->lock);
	viommu_region_changed(checker->region, checker->first, checker->last);
	irq_follow(&checker->irq, wg_wants_irq, checker);
}

/* A snapshot: what it is from, then ERRCAUSE, ERRADDR and three words a slot. */
struct image {
	uint64_t magic, first, last;
	uint32_t slots, worlds;
	uint64_t cause, address;
	struct {
		uint64_t written, perm, cfg;
	} slot[];
};
#define IMAGE_MAGIC 0x315243474b434857ull

int viommu_wgchecker_save(struct viommu_wgchecker *checker, void *data, size_t *length)
{
	size_t room = *length;
	struct image *image = data;

	*length = sizeof(*image) + checker->count * sizeof(image->slot[0]);
	if (room < *length)
		return -ENOSPC;
	memset(image, 0, *length);
	pthread_mutex_lock(&checker->lock);
	image->magic = IMAGE_MAGIC;
	image->first = checker->first;
	image->last = checker->last;
	image->slots = checker->config.slots;
	image->worlds = checker->config.worlds;
	image->cause = checker->cause;
	image->address = checker->address;
	for (uint32_t i = 0; i < checker->count; i++) {
		image->slot[i].written = checker->slot[i].written;
		image->slot[i].perm = checker->slot[i].perm;
		image->slot[i].cfg = checker->slot[i].cfg;
	}
	pthread_mutex_unlock(&checker->lock);
	return 0;
}

static void load_slots(struct viommu_wgchecker *checker, const struct image *image)
{
	uint64_t mask = checker->config.worlds < 32 ? (1ull << (2 * checker->config.worlds)) - 1
						    : UINT64_MAX;

	checker->cause = image->cause & WG_CAUSE_MASK;
	checker->address = image->address;
	for (uint32_t i = 0; i < checker->count; i++) {
		checker->slot[i].written = image->slot[i].written;
		checker->slot[i].perm = i ? image->slot[i].perm & mask : 0;
		checker->slot[i].cfg = legal_cfg(checker, i, image->slot[i].cfg);
	}
	wg_derive(checker);
}

int viommu_wgchecker_load(struct viommu_wgchecker *checker, const void *data, size_t length)
{
	struct image *image;

	if (length != sizeof(*image) + checker->count * sizeof(image->slot[0]))
		return -EBADMSG;
	image = viommu_zalloc(length); /* the caller's bytes may be unaligned */
	if (!image)
		return -ENOMEM;
	memcpy(image, data, length);
	if (image->magic != IMAGE_MAGIC || image->first != checker->first ||
	    image->last != checker->last || image->slots != checker->config.slots ||
	    image->worlds != checker->config.worlds) {
		viommu_free(image);
		return -EBADMSG;
	}
	pthread_mutex_lock(&checker->lock);
	load_slots(checker, image);
	pthread_mutex_unlock(&checker->lock);
	viommu_free(image);
	viommu_region_changed(checker->region, checker->first, checker->last);
	irq_follow(&checker->irq, wg_wants_irq, checker);
	return 0;
}
