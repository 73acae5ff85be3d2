/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dirty tracking of writes that go through the library.
 *
 * A log is cut into chunks of 2^19 pages. A chunk has two bitmaps, and writers set bits in the active one. A query that clears makes the other
 * one active, waits for the access sections in which somebody may still hold the old one, and then owns that
 * one alone: it merges and clears it with plain word operations at memory speed, and a writer needs no fence between
 * its data and its bit. (A writer that finds the bit set leaves it; its data is visible at the end of its section, so before
 * the query that takes the bit returns.) Bits outside the queried range go back into the active bitmap.
 *
 * Each bitmap has a summary, a bit per 512 pages, and a mark per chunk, so that clean memory is not scanned.
 */
#include <errno.h>
#include <string.h>

#include "memory/alloc.h"
#include "memory/memory_internal.h"

enum {
	CHUNK_PAGES_SHIFT = 19,
	CHUNK_PAGES = 1 << CHUNK_PAGES_SHIFT,
	CHUNK_WORDS = CHUNK_PAGES / 64,
	LINE_WORDS = 8,               /* words per summary bit */
	LINE_PAGES = LINE_WORDS * 64,
	SUMMARY_WORDS = CHUNK_PAGES / LINE_PAGES / 64,
	SHIFT_MIN = 12,
	SHIFT_MAX = 40,
};

struct bitmap {
	_Atomic bool any;
	_Atomic uint64_t summary[SUMMARY_WORDS];
	_Atomic uint64_t *words;
};

struct chunk {
	_Atomic uint32_t active;
	bool flipped;                 /* by the query in progress */
	struct bitmap bitmaps[2];
};

struct memory_dirty {
	unsigned int shift;
	uint64_t first_page;          /* page number (GPA >> shift) of chunk 0's bit 0 */
	uint64_t last_page;
	uint64_t chunk_count;
	_Atomic uint64_t *words;
	struct chunk chunks[];
};

struct memory_dirty *memory_dirty_create(const struct memory_region *region, unsigned int shift)
{
	/* Aligned to words of page numbers, so that aligned queries merge whole words. */
	uint64_t first = (region->gpa >> shift) & ~UINT64_C(63);
	uint64_t last = region->last >> shift;
	uint64_t chunks = ((last - first) >> CHUNK_PAGES_SHIFT) + 1;
	uint64_t words = ((last - first) / LINE_PAGES + 1) * LINE_WORDS;
	struct memory_dirty *dirty = viommu_zalloc(sizeof(*dirty) + chunks * sizeof(struct chunk));

	if (!dirty)
		return NULL;
	dirty->words = viommu_calloc(words, 2 * sizeof(uint64_t));
	if (!dirty->words) {
		viommu_free(dirty);
		return NULL;
	}
	dirty->shift = shift;
	dirty->first_page = first;
	dirty->last_page = last;
	dirty->chunk_count = chunks;
	for (uint64_t i = 0; i < chunks; i++) {
		dirty->chunks[i].bitmaps[0].words = dirty->words + i * CHUNK_WORDS;
		dirty->chunks[i].bitmaps[1].words = dirty->words + words + i * CHUNK_WORDS;
	}
	return dirty;
}

void memory_dirty_destroy(struct memory_dirty *dirty)
{
	viommu_free((void *)dirty->words);
	viommu_free(dirty);
}

static void set_bits(_Atomic uint64_t *word, uint64_t mask)
{
	if ((atomic_load_explicit(word, memory_order_relaxed) & mask) != mask)
		atomic_fetch_or_explicit(word, mask, memory_order_relaxed);
}

/* Bits [from, to] of a word, to <= 63. */
static uint64_t word_mask(unsigned int from, unsigned int to)
{
	return (~UINT64_C(0) << from) & (~UINT64_C(0) >> (63 - to));
}

static void mark_word(struct bitmap *bitmap, uint64_t word, uint64_t mask)
{
	uint64_t line = word / LINE_WORDS;

	set_bits(&bitmap->words[word], mask);
	set_bits(&bitmap->summary[line / 64], UINT64_C(1) << (line % 64));
	if (!atomic_load_explicit(&bitmap->any, memory_order_relaxed))
		atomic_store_explicit(&bitmap->any, true, memory_order_relaxed);
}

/* Pages [from, to] of one chunk. */
static void mark_chunk(struct chunk *chunk, uint64_t from, uint64_t to)
{
	struct bitmap *bitmap =
		&chunk->bitmaps[atomic_load_explicit(&chunk->active, memory_order_acquire)];

	for (uint64_t word = from / 64; word <= to / 64; word++) {
		unsigned int low = word == from / 64 ? from % 64 : 0;
		unsigned int high = word == to / 64 ? to % 64 : 63;

		mark_word(bitmap, word, word_mask(low, high));
	}
}

void memory_dirty_mark(struct memory_region *region, uint64_t gpa, uint64_t length)
{
	struct memory_dirty *dirty = atomic_load_explicit(&region->dirty, memory_order_acquire);
	uint64_t page, last;

	if (__builtin_expect(!dirty, 1))
		return;
	page = (gpa >> dirty->shift) - dirty->first_page;
	last = ((gpa + length - 1) >> dirty->shift) - dirty->first_page;
	while (page <= last) {
		uint64_t chunk = page >> CHUNK_PAGES_SHIFT;
		uint64_t end = (chunk << CHUNK_PAGES_SHIFT) + CHUNK_PAGES - 1;

		if (end > last)
			end = last;
		mark_chunk(&dirty->chunks[chunk], page % CHUNK_PAGES, end % CHUNK_PAGES);
		page = end + 1;
	}
}

void viommu_memory_mark_dirty(struct viommu_memory *memory, uint64_t gpa, uint64_t length)
{
	const struct memory_table *table;
	uint64_t last = gpa + length - 1;

	if (!length || last < gpa || !memory_dirty_on(memory))
		return;
	grace_enter();
	table = memory_table(memory);
	for (uint32_t i = memory_first(table, gpa); i < table->count; i++) {
		const struct memory_segment *segment = &table->segments[i];
		uint64_t from = segment->gpa > gpa ? segment->gpa : gpa;
		uint64_t to = segment->last < last ? segment->last : last;

		if (segment->gpa > last)
			break;
		memory_dirty_mark(segment->region, from, to - from + 1);
	}
	grace_exit();
}

bool viommu_memory_dirty_active(const struct viommu_memory *memory)
{
	return memory_dirty_on(memory);
}

static void merge_words(uint64_t *restrict dst, const uint64_t *restrict src, uint64_t words)
{
	for (uint64_t i = 0; i < words; i++)
		dst[i] |= src[i];
}

/* `dst` ahead of `src` by `by` bits (1..63) within the word. Writes words + 1 words. */
static void merge_shifted(uint64_t *restrict dst, const uint64_t *restrict src, uint64_t words,
			  unsigned int by)
{
	dst[0] |= src[0] << by;
	for (uint64_t i = 1; i < words; i++)
		dst[i] |= src[i] << by | src[i - 1] >> (64 - by);
	dst[words] |= src[words - 1] >> (64 - by);
}

static void merge_part(uint64_t *dst, uint64_t dst_bit, uint64_t value, unsigned int count)
{
	unsigned int at = dst_bit % 64;

	if (count < 64)
		value &= (UINT64_C(1) << count) - 1;
	if (!value)
		return;
	dst[dst_bit / 64] |= value << at;
	if (at + count > 64)
		dst[dst_bit / 64 + 1] |= value >> (64 - at);
}

void memory_bitmap_merge(uint64_t *dst, uint64_t dst_bit, const uint64_t *src, uint64_t src_bit,
			 uint64_t count)
{
	unsigned int head = src_bit % 64 ? 64 - src_bit % 64 : 0;
	uint64_t words;

	if (head) {
		if (head > count)
			head = (unsigned int)count;
		merge_part(dst, dst_bit, src[src_bit / 64] >> (src_bit % 64), head);
		dst_bit += head;
		src_bit += head;
		count -= head;
	}
	words = count / 64;
	if (words && dst_bit % 64)
		merge_shifted(dst + dst_bit / 64, src + src_bit / 64, words, dst_bit % 64);
	else if (words)
		merge_words(dst + dst_bit / 64, src + src_bit / 64, words);
	if (count % 64)
		merge_part(dst, dst_bit + words * 64, src[src_bit / 64 + words], count % 64);
}

/* One query: pages [page, page + pages) into bitmap. */
struct query {
	uint64_t *bitmap;
	uint64_t page;
	uint64_t last;
	bool keep;
};

/* Call `visit` on each chunk of a log that the query covers, with the chunk's pages [from, to] that it covers. */
static void each_chunk(struct memory_dirty *dirty, const struct query *query,
		       void (*visit)(const struct query *query, struct chunk *chunk, uint64_t base,
				     uint64_t from, uint64_t to))
{
	uint64_t from = query->page > dirty->first_page ? query->page - dirty->first_page : 0;
	uint64_t to = (query->last < dirty->last_page ? query->last : dirty->last_page) -
		      dirty->first_page;

	while (from <= to) {
		uint64_t index = from >> CHUNK_PAGES_SHIFT;
		uint64_t base = index << CHUNK_PAGES_SHIFT;
		uint64_t end = to - base < CHUNK_PAGES - 1 ? to : base + CHUNK_PAGES - 1;

		visit(query, &dirty->chunks[index], dirty->first_page + base, from - base, end - base);
		from = end + 1;
	}
}

static void flip(const struct query *query, struct chunk *chunk, uint64_t base, uint64_t from,
		 uint64_t to)
{
	uint32_t active = atomic_load_explicit(&chunk->active, memory_order_relaxed);

	chunk->flipped = atomic_load_explicit(&chunk->bitmaps[active].any, memory_order_relaxed);
	if (chunk->flipped)
		atomic_store_explicit(&chunk->active, !active, memory_order_release);
}

static bool line_set(const struct bitmap *bitmap, uint64_t line)
{
	return atomic_load_explicit(&bitmap->summary[line / 64], memory_order_relaxed) >>
	       (line % 64) & 1;
}

/* The run of dirty lines that begins at or after `line`: its first line, and in *end the line after it. */
static uint64_t dirty_run(const struct bitmap *bitmap, uint64_t line, uint64_t lines, uint64_t *end)
{
	while (line < lines && !line_set(bitmap, line))
		line += bitmap->summary[line / 64] ? 1 : 64 - line % 64;
	for (*end = line; *end < lines && line_set(bitmap, *end); ++*end)
		;
	return line;
}

/* Merge pages [from, to] of a bitmap that writers are still using. `base` is the page number of its bit 0. */
static void take_shared(const struct query *query, const struct bitmap *bitmap, uint64_t base,
			uint64_t from, uint64_t to)
{
	for (uint64_t word = from / 64; word <= to / 64; word++) {
		uint64_t value = atomic_load_explicit(&bitmap->words[word], memory_order_relaxed);
		unsigned int low = word == from / 64 ? from % 64 : 0;
		unsigned int high = word == to / 64 ? to % 64 : 63;

		merge_part(query->bitmap, base + word * 64 + low - query->page, value >> low,
			   high - low + 1);
	}
}

/* Set the bits of one word that lie outside pages [from, to] in the active bitmap. */
static void put_back(struct bitmap *now, uint64_t word, uint64_t value, uint64_t from, uint64_t to)
{
	if (word >= from / 64 && word <= to / 64)
		value &= ~word_mask(word == from / 64 ? from % 64 : 0, word == to / 64 ? to % 64 : 63);
	if (value)
		mark_word(now, word, value);
}

/* Merge pages [from, to] of the retired bitmap, put the others back and clear it. It is ours alone. */
static void take_retired(const struct query *query, struct bitmap *old, struct bitmap *now,
			 uint64_t base, uint64_t from, uint64_t to)
{
	uint64_t *words = (uint64_t *)old->words;
	uint64_t lines = CHUNK_PAGES / LINE_PAGES;

	for (uint64_t end, line = dirty_run(old, 0, lines, &end); line < lines;
	     line = dirty_run(old, end, lines, &end)) {
		uint64_t first = line * LINE_PAGES, last = end * LINE_PAGES - 1;
		uint64_t low = first > from ? first : from, high = last < to ? last : to;

		if (low <= high)
			memory_bitmap_merge(query->bitmap, base + low - query->page, words, low,
					    high - low + 1);
		for (uint64_t word = first / 64; word <= last / 64 && first < from; word++)
			put_back(now, word, words[word], from, to);
		for (uint64_t word = first / 64; word <= last / 64 && first >= from && last > to; word++)
			put_back(now, word, words[word], from, to);
		memset(words + first / 64, 0, (end - line) * LINE_WORDS * sizeof(uint64_t));
	}
	memset((void *)old->summary, 0, sizeof(old->summary));
	atomic_store_explicit(&old->any, false, memory_order_relaxed);
}

static void collect(const struct query *query, struct chunk *chunk, uint64_t base, uint64_t from,
		    uint64_t to)
{
	uint32_t active = atomic_load_explicit(&chunk->active, memory_order_relaxed);
	struct bitmap *now = &chunk->bitmaps[active], *old = &chunk->bitmaps[!active];

	if (!query->keep && chunk->flipped)
		take_retired(query, old, now, base, from, to);
	else if (query->keep && atomic_load_explicit(&now->any, memory_order_relaxed))
		take_shared(query, now, base, from, to);
}

static void each_log(const struct memory_table *table, uint64_t gpa, uint64_t last,
		     const struct query *query,
		     void (*visit)(const struct query *query, struct chunk *chunk, uint64_t base,
				   uint64_t from, uint64_t to))
{
	for (uint32_t i = memory_first(table, gpa); i < table->count; i++) {
		const struct memory_segment *segment = &table->segments[i];
		struct memory_dirty *dirty =
			atomic_load_explicit(&segment->region->dirty, memory_order_relaxed);

		if (segment->gpa > last)
			break;
		if (dirty)
			each_chunk(dirty, query, visit);
	}
}

static int query_locked(struct viommu_memory *memory, uint64_t gpa, uint64_t length, uint64_t *bitmap,
			bool keep)
{
	const struct memory_table *table = atomic_load_explicit(&memory->table, memory_order_relaxed);
	unsigned int shift = memory->dirty_shift;
	uint64_t last = gpa + length - 1;
	struct query query = { bitmap, gpa >> shift, last >> shift, keep };

	if (!memory_dirty_on(memory))
		return -ENOENT;
	if (!length || last < gpa || (gpa | length) & ((UINT64_C(1) << shift) - 1))
		return -EINVAL;
	if (!keep) {
		each_log(table, gpa, last, &query, flip);
		if (memory->departing)
			each_log(memory->departing, gpa, last, &query, flip);
		grace_wait();
	}
	each_log(table, gpa, last, &query, collect);
	if (memory->departing)
		each_log(memory->departing, gpa, last, &query, collect);
	return 0;
}

int viommu_memory_dirty_query(struct viommu_memory *memory, uint64_t gpa, uint64_t length,
			      uint64_t *bitmap, bool keep)
{
	int ret;

	if (grace_inside())
		return -EDEADLK;
	pthread_mutex_lock(&memory->lock);
	ret = query_locked(memory, gpa, length, bitmap, keep);
	pthread_mutex_unlock(&memory->lock);
	return ret;
}

static void drop_logs(struct viommu_memory *memory)
{
	const struct memory_table *table = atomic_load_explicit(&memory->table, memory_order_relaxed);

	for (uint32_t i = 0; i < table->count; i++) {
		struct memory_region *region = table->segments[i].region;
		struct memory_dirty *dirty =
			atomic_load_explicit(&region->dirty, memory_order_relaxed);

		if (!dirty)
			continue;
		atomic_store_explicit(&region->dirty, NULL, memory_order_relaxed);
		grace_wait();
		memory_dirty_destroy(dirty);
	}
}

static int start_locked(struct viommu_memory *memory, unsigned int shift)
{
	const struct memory_table *table = atomic_load_explicit(&memory->table, memory_order_relaxed);

	/* The segment that is being announced is in no table yet: it would go without a log. */
	if (memory->changing)
		return -EBUSY;
	if (memory_dirty_on(memory))
		return -EALREADY;
	for (uint32_t i = 0; i < table->count; i++) {
		struct memory_region *region = table->segments[i].region;
		struct memory_dirty *dirty;

		if (!region->hva || region->flags & VIOMMU_SEGMENT_READONLY)
			continue;
		dirty = memory_dirty_create(region, shift);
		if (!dirty) {
			drop_logs(memory);
			return -ENOMEM;
		}
		atomic_store_explicit(&region->dirty, dirty, memory_order_release);
	}
	memory->dirty_shift = shift;
	atomic_store_explicit(&memory->dirty_on, true, memory_order_release);
	/* Whoever began before and saw tracking off is done when we return; the caller copies everything after. */
	grace_wait();
	return 0;
}

int viommu_memory_dirty_start(struct viommu_memory *memory, unsigned int page_shift)
{
	int ret;

	if (grace_inside())
		return -EDEADLK;
	if (page_shift < SHIFT_MIN || page_shift > SHIFT_MAX)
		return -EINVAL;
	pthread_mutex_lock(&memory->lock);
	ret = start_locked(memory, page_shift);
	pthread_mutex_unlock(&memory->lock);
	return ret;
}

int viommu_memory_dirty_stop(struct viommu_memory *memory)
{
	int ret = 0;

	if (grace_inside())
		return -EDEADLK;
	pthread_mutex_lock(&memory->lock);
	if (memory->changing) {
		ret = -EBUSY;
	} else if (memory_dirty_on(memory)) {
		atomic_store_explicit(&memory->dirty_on, false, memory_order_release);
		drop_logs(memory);
	} else {
		ret = -ENOENT;
	}
	pthread_mutex_unlock(&memory->lock);
	return ret;
}
