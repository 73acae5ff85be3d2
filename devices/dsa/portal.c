/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The portals (BAR2): where descriptors come in. DSA 3.3.
 *
 * Hardware receives a descriptor as one 64-byte write. A VMM may cut it into smaller ones, so each
 * 64-byte slot of each portal page collects bytes; the write that reaches its last byte submits the
 * descriptor if all 64 have been written since the last submission. Two CPUs that share a slot can
 * still mix their bytes: software rotates slots.
 *
 * A shared WQ may be full: the ENQCMD instruction then reports "retry" to software. As nothing but
 * a later read can carry that answer here, it is kept in the slot. A dedicated WQ gets posted
 * writes: what does not fit is lost, as in hardware.
 */
#include <string.h>
#include "internal.h"

enum portal_page { PORTAL_UNLIMITED, PORTAL_LIMITED, PORTAL_IMS_UNLIMITED, PORTAL_IMS_LIMITED };

void dsa_portal_reset(struct dsa *dsa)
{
	memset(dsa->slots, 0, dsa->options.wqs * sizeof(*dsa->slots));
}

/* DSA 3.2: the limited portal of a shared WQ accepts only up to the threshold. */
static bool has_room(const struct dsa_wq *wq, enum portal_page page)
{
	unsigned int room = dsa_wq_size(wq);
	bool shared = !(wq->config[DSA_WQ_MODE] & DSA_WQ_DEDICATED);

	if (shared && (page == PORTAL_LIMITED || page == PORTAL_IMS_LIMITED))
		room = wq->config[DSA_WQ_THRESHOLD] & DSA_WQ_SIZE_MASK;
	return wq->count < room;
}

static void submit(struct dsa *dsa, unsigned int index, enum portal_page page,
		   struct dsa_slot *slot)
{
	struct dsa_wq *wq = &dsa->wqs[index];
	struct dsa_entry *entry;

	if (!wq->enabled || dsa->state != DSA_ENABLED || !has_room(wq, page)) {
		slot->retry = true;
		if (wq->config[DSA_WQ_MODE] & DSA_WQ_DEDICATED || !wq->enabled)
			dsa->dropped++;
		else
			dsa->retries++;
		return;
	}
	slot->retry = false;
	entry = &wq->entries[(wq->head + wq->count) % dsa_ring(dsa)];
	memcpy(&entry->descriptor, slot->bytes, sizeof(entry->descriptor));
	entry->sequence = wq->sequence++;
	entry->begun = false;
	wq->count++;
	atomic_store_explicit(
		&dsa->submissions,
		atomic_load_explicit(&dsa->submissions, memory_order_relaxed) + 1,
		memory_order_relaxed);
	dsa_engine_kick(dsa, index);
}

static struct dsa_slot *find_slot(struct dsa *dsa, uint64_t offset)
{
	uint64_t wq = offset / DSA_PORTAL_SIZE;

	if (wq >= dsa->options.wqs)
		return NULL;
	return &dsa->slots[wq][offset / 4096 % DSA_PORTAL_PAGES][offset / 64 % DSA_PORTAL_SLOTS];
}

void dsa_portal_write(struct dsa *dsa, uint64_t offset, const void *data, size_t length)
{
	const uint8_t *bytes = data;

	dsa_lock(dsa);
	while (length) {
		unsigned int start = offset % 64;
		size_t part = length < 64 - start ? length : 64 - start;
		struct dsa_slot *slot = find_slot(dsa, offset);

		if (!slot)
			break;
		memcpy(slot->bytes + start, bytes, part);
		slot->written |= DSA_MASK(start + part - 1, start);
		if (start + part == 64) {
			if (slot->written == ~0ull)
				submit(dsa, offset / DSA_PORTAL_SIZE,
				       offset / 4096 % DSA_PORTAL_PAGES, slot);
			slot->written = 0;
		}
		bytes += part;
		offset += part;
		length -= part;
	}
	dsa_unlock(dsa);
}

void dsa_portal_read(struct dsa *dsa, uint64_t offset, void *data, size_t length)
{
	struct dsa_slot *slot;

	memset(data, 0, length);
	dsa_lock(dsa);
	slot = find_slot(dsa, offset);
	if (slot && length)
		*(uint8_t *)data = slot->retry;
	dsa_unlock(dsa);
}
