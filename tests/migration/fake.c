/* SPDX-License-Identifier: BSD-3-Clause */
/* The fake host IOMMU of fake.h. */
#include <errno.h>
#include <string.h>

#include "fake.h"

static void called(struct fake *fake, char letter)
{
	if (fake->call_count < sizeof(fake->calls) - 1)
		fake->calls[fake->call_count++] = letter;
}

static int take(int *failure)
{
	int result = *failure;

	*failure = 0;
	return result;
}

static struct fake_mapping *find(struct fake *fake, uint64_t iova)
{
	for (unsigned int i = 0; i < 64; i++) {
		struct fake_mapping *m = &fake->mappings[i];

		if (m->live && iova >= m->iova && iova - m->iova < m->length)
			return m;
	}
	return NULL;
}

static int start(void *opaque)
{
	struct fake *fake = opaque;
	int result = take(&fake->fail_start);

	called(fake, 's');
	if (!result)
		fake->tracking = true;
	return result;
}

static int stop(void *opaque)
{
	struct fake *fake = opaque;

	called(fake, 'S');
	fake->tracking = false;
	return 0;
}

/* Only pages with a live mapping have a bit to read: what is unmapped is forgotten. */
static void read_bits(struct fake *fake, uint64_t iova, uint64_t length, uint64_t *bitmap, bool keep)
{
	for (uint64_t page = 0; page < length >> 12; page++) {
		uint64_t at = (iova >> 12) + page, bit = UINT64_C(1) << at % 64;

		if (at >= FAKE_PAGES || !find(fake, at << 12) || !(fake->dirty[at / 64] & bit))
			continue;
		bitmap[page / 64] |= UINT64_C(1) << page % 64;
		if (!keep)
			atomic_fetch_and(&fake->dirty[at / 64], ~bit);
	}
}

static int query(void *opaque, uint64_t iova, uint64_t length, uint64_t *bitmap, bool keep)
{
	struct fake *fake = opaque;
	int result;

	pthread_rwlock_wrlock(&fake->lock);
	called(fake, keep ? 'k' : 'q');
	if (length > fake->longest_query)
		fake->longest_query = length;
	result = take(&fake->fail_query);
	if (!result)
		read_bits(fake, iova, length, bitmap, keep);
	pthread_rwlock_unlock(&fake->lock);
	return result;
}

static int unmap(void *opaque, uint64_t iova, uint64_t length, uint64_t *bitmap)
{
	struct fake *fake = opaque;
	int result;

	pthread_mutex_lock(&fake->mappings_lock);
	pthread_rwlock_wrlock(&fake->lock);
	called(fake, bitmap ? 'a' : 'u');
	result = take(&fake->fail_unmap);
	if (bitmap && !result)
		read_bits(fake, iova, length, bitmap, false);
	for (unsigned int i = 0; i < 64 && !result; i++) {
		struct fake_mapping *m = &fake->mappings[i];

		if (m->live && m->iova >= iova && m->iova - iova < length) {
			for (uint64_t page = m->iova >> 12; page < (m->iova + m->length) >> 12; page++)
				atomic_fetch_and(&fake->dirty[page / 64], ~(UINT64_C(1) << page % 64));
			m->live = false;
		}
	}
	pthread_rwlock_unlock(&fake->lock);
	pthread_mutex_unlock(&fake->mappings_lock);
	return result;
}

static int each(void *opaque,
		int (*visit)(void *visitor, uint64_t iova, uint64_t length, uint64_t gpa, bool writable),
		void *visitor)
{
	struct fake *fake = opaque;
	int result = 0;

	pthread_mutex_lock(&fake->mappings_lock);
	for (unsigned int i = 0; i < 64 && !result; i++) {
		const struct fake_mapping *m = &fake->mappings[i];

		if (m->live)
			result = visit(visitor, m->iova, m->length, m->gpa, m->writable);
	}
	pthread_mutex_unlock(&fake->mappings_lock);
	return result;
}

const struct viommu_dirty_ops fake_ops = {
	.size = sizeof(fake_ops),
	.start = start,
	.stop = stop,
	.query = query,
	.unmap = unmap,
	.each = each,
};

void fake_init(struct fake *fake, uint8_t *ram)
{
	pthread_rwlockattr_t attributes;

	memset(fake, 0, sizeof(*fake));
	/* A device that never pauses must not keep the guest from unmapping. */
	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&fake->lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	pthread_mutex_init(&fake->mappings_lock, NULL);
	fake->ram = ram;
}

void fake_destroy(struct fake *fake)
{
	pthread_rwlock_destroy(&fake->lock);
	pthread_mutex_destroy(&fake->mappings_lock);
}

/* Kept sorted by slot: callers map ascending IOVAs into free slots in order. */
void fake_map(struct fake *fake, uint64_t iova, uint64_t length, uint64_t gpa, bool writable)
{
	pthread_mutex_lock(&fake->mappings_lock);
	pthread_rwlock_wrlock(&fake->lock);
	for (unsigned int i = 0; i < 64; i++) {
		if (fake->mappings[i].live)
			continue;
		fake->mappings[i] = (struct fake_mapping){ iova, length, gpa, writable, true };
		break;
	}
	pthread_rwlock_unlock(&fake->lock);
	pthread_mutex_unlock(&fake->mappings_lock);
}

bool fake_write(struct fake *fake, uint64_t iova, uint64_t value)
{
	struct fake_mapping *m;
	bool written = false;

	pthread_rwlock_rdlock(&fake->lock);
	m = find(fake, iova);
	if (m && m->writable && !fake->stopped) {
		uint64_t gpa = m->gpa + (iova - m->iova);

		__atomic_store_n((uint64_t *)(void *)(fake->ram + gpa), value, __ATOMIC_RELAXED);
		if (fake->tracking)
			atomic_fetch_or(&fake->dirty[iova >> 18], UINT64_C(1) << (iova >> 12) % 64);
		written = true;
	}
	pthread_rwlock_unlock(&fake->lock);
	return written;
}

bool fake_mapped(struct fake *fake, uint64_t iova)
{
	bool mapped;

	pthread_rwlock_rdlock(&fake->lock);
	mapped = find(fake, iova);
	pthread_rwlock_unlock(&fake->lock);
	return mapped;
}
