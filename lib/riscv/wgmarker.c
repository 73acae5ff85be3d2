/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wgMarker and the WID guard: two regions without rules per address.
 *
 * A marker stands in front of an initiator that knows no worlds: what passes carries the marker's
 * WID, and nothing passes while VALID is clear. A guard stands in front of WorldGuard register
 * blocks: worlds other than the trusted one read zeros and write nothing.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "memory/sized.h"
#include "memory/alloc.h"

#include <viommu/riscv.h>

enum { RWX = VIOMMU_READ | VIOMMU_WRITE | VIOMMU_EXECUTE };

/* WG 1.4 registers. */
enum { REG_VENDOR = 0x00, REG_IMPID = 0x04, REG_WID = 0x08, REG_LOCK = 0x0c };
#define MARKER_LOCK  1u
#define MARKER_VALID 2u

struct viommu_wgmarker {
	struct viommu_wgmarker_config config;
	struct viommu_region *region;
	_Atomic uint64_t state; /* WID, and the LOCK register in the upper half: read as one */
};

static uint32_t state_wid(uint64_t state)
{
	return (uint32_t)state;
}

static uint32_t state_lock(uint64_t state)
{
	return (uint32_t)(state >> 32);
}

static uint64_t state_of(uint32_t wid, uint32_t lock)
{
	return wid | (uint64_t)lock << 32;
}

static void marker_translate(void *opaque, const struct viommu_request *request,
			     struct viommu_answer *answer)
{
	struct viommu_wgmarker *marker = opaque;
	uint64_t state = atomic_load(&marker->state);

	answer->granted = RWX;
	answer->first = 0;
	answer->last = UINT64_MAX;
	if (!(state_lock(state) & MARKER_VALID))
		return; /* BLOCKED */
	answer->kind = VIOMMU_ANSWER_PASS;
	answer->map = marker->config.next;
	answer->address = request->address;
	answer->attributes.wid = state_wid(state);
}

static enum viommu_reaction marker_blocked(void *opaque, const struct viommu_request *request)
{
	struct viommu_wgmarker *marker = opaque;

	return state_lock(atomic_load(&marker->state)) & MARKER_VALID ? VIOMMU_REACTION_RETRY
								      : VIOMMU_REACTION_ERROR;
}

static const struct viommu_region_ops marker_ops = {
	sizeof(marker_ops), marker_translate, marker_blocked,
};

int viommu_wgmarker_create(const struct viommu_wgmarker_config *config,
			   struct viommu_wgmarker **result)
{
	struct viommu_wgmarker_config known;
	struct viommu_wgmarker *marker;
	int ret = sized_import(&known, sizeof(known), config);

	if (ret)
		return ret;
	if (!known.next || !known.worlds || known.worlds > VIOMMU_WID_LIMIT ||
	    known.wid >= known.worlds)
		return -EINVAL;
	marker = viommu_zalloc(sizeof(*marker));
	if (!marker)
		return -ENOMEM;
	marker->config = known;
	atomic_init(&marker->state, state_of(known.wid, MARKER_VALID));
	ret = viommu_region_create(&marker_ops, marker, &marker->region);
	if (ret) {
		viommu_free(marker);
		return ret;
	}
	*result = marker;
	return 0;
}

void viommu_wgmarker_destroy(struct viommu_wgmarker *marker)
{
	if (!marker)
		return;
	viommu_region_destroy(marker->region);
	viommu_free(marker);
}

struct viommu_region *viommu_wgmarker_region(struct viommu_wgmarker *marker)
{
	return marker->region;
}

uint32_t viommu_wgmarker_wid(const struct viommu_wgmarker *marker)
{
	return state_wid(atomic_load(&((struct viommu_wgmarker *)(uintptr_t)marker)->state));
}

static void marker_set(struct viommu_wgmarker *marker, uint64_t state)
{
	if (atomic_exchange(&marker->state, state) != state)
		viommu_region_changed(marker->region, 0, UINT64_MAX);
}

void viommu_wgmarker_reset(struct viommu_wgmarker *marker)
{
	marker_set(marker, state_of(marker->config.wid, MARKER_VALID));
}

static uint32_t marker_read_word(const struct viommu_wgmarker *marker, uint64_t state,
				 uint64_t offset)
{
	switch (offset) {
	case REG_VENDOR:
		return marker->config.vendor;
	case REG_IMPID:
		return marker->config.implementation;
	case REG_WID:
		return state_wid(state);
	case REG_LOCK:
		return state_lock(state);
	default:
		return 0;
	}
}

static bool legal_access(uint64_t offset, size_t length)
{
	return (length == 4 || length == 8) && !(offset & (length - 1));
}

static int marker_read(void *opaque, uint64_t offset, void *data, size_t length)
{
	struct viommu_wgmarker *marker = opaque;
	uint64_t state = atomic_load(&marker->state);

	memset(data, 0, length);
	for (size_t at = 0; legal_access(offset, length) && at < length; at += 4) {
		uint32_t word = marker_read_word(marker, state, offset + at);

		memcpy((uint8_t *)data + at, &word, 4);
	}
	return 0;
}

/* WG 1.4: LOCK is sticky and locks the WID and itself. */
static uint64_t marker_write_word(const struct viommu_wgmarker *marker, uint64_t state,
				  uint64_t offset, uint32_t value)
{
	if (state_lock(state) & MARKER_LOCK)
		return state;
	if (offset == REG_WID && value < marker->config.worlds)
		return state_of(value, state_lock(state));
	if (offset == REG_LOCK)
		return state_of(state_wid(state), value & (MARKER_LOCK | MARKER_VALID));
	return state;
}

static int marker_write(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct viommu_wgmarker *marker = opaque;
	uint64_t old = atomic_load(&marker->state), state;

	if (!legal_access(offset, length))
		return 0;
	do {
		state = old;
		for (size_t at = 0; at < length; at += 4) {
			uint32_t word;

			memcpy(&word, (const uint8_t *)data + at, 4);
			state = marker_write_word(marker, state, offset + at, word);
		}
	} while (!atomic_compare_exchange_weak(&marker->state, &old, state));
	if (state != old)
		viommu_region_changed(marker->region, 0, UINT64_MAX);
	return 0;
}

const struct viommu_mmio_ops *viommu_wgmarker_mmio(void)
{
	static const struct viommu_mmio_ops ops = { sizeof(ops), marker_read, marker_write };

	return &ops;
}

struct marker_image {
	uint64_t magic, state;
};
#define MARKER_MAGIC 0x3152454b52414d57ull

int viommu_wgmarker_save(struct viommu_wgmarker *marker, void *data, size_t *length)
{
	struct marker_image image = { MARKER_MAGIC, atomic_load(&marker->state) };
	size_t room = *length;

	*length = sizeof(image);
	if (room < sizeof(image))
		return -ENOSPC;
	memcpy(data, &image, sizeof(image));
	return 0;
}

int viommu_wgmarker_load(struct viommu_wgmarker *marker, const void *data, size_t length)
{
	struct marker_image image;

	if (length != sizeof(image))
		return -EBADMSG;
	memcpy(&image, data, sizeof(image));
	if (image.magic != MARKER_MAGIC || state_wid(image.state) >= marker->config.worlds)
		return -EBADMSG;
	marker_set(marker, state_of(state_wid(image.state),
				    state_lock(image.state) & (MARKER_LOCK | MARKER_VALID)));
	return 0;
}

struct viommu_wid_guard {
	uint32_t trusted_wid;
	struct viommu_map *next;
	struct viommu_region *region;
};

static void guard_translate(void *opaque, const struct viommu_request *request,
			    struct viommu_answer *answer)
{
	const struct viommu_wid_guard *guard = opaque;

	answer->granted = RWX;
	answer->first = 0;
	answer->last = UINT64_MAX;
	if (guard->trusted_wid != VIOMMU_NO_WID && request->attributes.wid != guard->trusted_wid)
		return; /* BLOCKED */
	answer->kind = VIOMMU_ANSWER_PASS;
	answer->map = guard->next;
	answer->address = request->address;
}

static enum viommu_reaction guard_blocked(void *opaque, const struct viommu_request *request)
{
	return VIOMMU_REACTION_SILENT;
}

static const struct viommu_region_ops guard_ops = {
	sizeof(guard_ops), guard_translate, guard_blocked,
};

int viommu_wid_guard_create(uint32_t trusted_wid, struct viommu_map *next,
			    struct viommu_wid_guard **result)
{
	struct viommu_wid_guard *guard;
	int ret;

	if (!next || (trusted_wid != VIOMMU_NO_WID && trusted_wid >= VIOMMU_WID_LIMIT))
		return -EINVAL;
	guard = viommu_zalloc(sizeof(*guard));
	if (!guard)
		return -ENOMEM;
	guard->trusted_wid = trusted_wid;
	guard->next = next;
	ret = viommu_region_create(&guard_ops, guard, &guard->region);
	if (ret) {
		viommu_free(guard);
		return ret;
	}
	*result = guard;
	return 0;
}

void viommu_wid_guard_destroy(struct viommu_wid_guard *guard)
{
	if (!guard)
		return;
	viommu_region_destroy(guard->region);
	viommu_free(guard);
}

struct viommu_region *viommu_wid_guard_region(struct viommu_wid_guard *guard)
{
	return guard->region;
}
