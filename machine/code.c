/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decoded pages: the slots of each physical page that code ran in.
 *
 * They are found by host address on the fast path and by physical address when someone writes to
 * the page. A page that has slots is watched for writes by every hart's TLB, so a write resets the
 * slots it touches before the instruction is over, and fence.i has nothing to do. The number of
 * pages is limited; the oldest gives way.
 */
#include <stdlib.h>
#include <string.h>

#include "hart.h"
#include "ops.h"

#define CODE_BUCKETS 8192
#define CODE_LIMIT   6144 /* pages; 32 KiB each */

static inline unsigned int bucket_of(uint64_t gpa)
{
	return (gpa >> 12) * 0x9e3779b97f4a7c15ull >> 51;
}

static void code_page_reset(struct code_page *page)
{
	unsigned int i;

	for (i = 0; i < PAGE_SLOTS; i++)
		page->slot[i].handler = exec_handlers[OP_decode];
	for (; i < PAGE_SLOTS_ALL; i++)
		page->slot[i].handler = exec_handlers[OP_page_end];
}

struct code_page *code_page_alone(void)
{
	struct code_page *page = NULL;

	if (posix_memalign((void **)&page, 64, sizeof(*page)))
		return NULL;
	memset(page, 0, sizeof(*page));
	page->gpa = CODE_NONE;
	code_page_reset(page);
	return page;
}

int code_create(struct code_cache **out)
{
	struct code_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -1;
	cache->bucket = calloc(CODE_BUCKETS, sizeof(*cache->bucket));
	cache->pages = calloc(CODE_LIMIT, sizeof(*cache->pages));
	cache->limit = CODE_LIMIT;
	if (!cache->bucket || !cache->pages) {
		code_destroy(cache);
		return -1;
	}
	*out = cache;
	return 0;
}

void code_destroy(struct code_cache *cache)
{
	if (!cache)
		return;
	for (uint32_t i = 0; i < cache->count; i++)
		free(cache->pages[i]);
	free(cache->pages);
	free(cache->bucket);
	free(cache);
}

static struct code_page *find(const struct code_cache *cache, uint64_t gpa)
{
	struct code_page *page = cache->bucket[bucket_of(gpa)];

	while (page && page->gpa != gpa)
		page = page->next;
	return page;
}

static void forget(struct code_cache *cache, struct code_page *page)
{
	struct code_page **link = &cache->bucket[bucket_of(page->gpa)];
	struct code_page **quick = &cache->lookup[((uintptr_t)page->hva >> 12) & (CODE_LOOKUP - 1)];

	while (*link != page)
		link = &(*link)->next;
	*link = page->next;
	if (*quick == page)
		*quick = NULL;
}

static struct code_page *take(struct code_cache *cache)
{
	struct code_page *page;

	if (cache->count < cache->limit) {
		page = code_page_alone();
		if (page)
			cache->pages[cache->count++] = page;
		return page;
	}
	page = cache->pages[cache->hand];
	cache->hand = (cache->hand + 1) % cache->limit;
	forget(cache, page);
	code_page_reset(page);
	return page;
}

struct code_page *code_page_get(struct code_cache *cache, uint64_t gpa, const uint8_t *hva,
				bool *fresh)
{
	struct code_page *page;

	gpa &= ~0xfffull;
	hva = (const uint8_t *)((uintptr_t)hva & ~(uintptr_t)0xfff);
	page = find(cache, gpa);
	*fresh = !page;
	if (!page) {
		page = take(cache);
		if (!page)
			return NULL;
		page->gpa = gpa;
		page->next = cache->bucket[bucket_of(gpa)];
		cache->bucket[bucket_of(gpa)] = page;
	}
	page->hva = hva;
	cache->lookup[((uintptr_t)hva >> 12) & (CODE_LOOKUP - 1)] = page;
	return page;
}

bool code_present(const struct code_cache *cache, uint64_t gpa)
{
	return find(cache, gpa & ~0xfffull) != NULL;
}

void code_written(struct code_cache *cache, uint64_t gpa, uint64_t length)
{
	uint64_t end = gpa + length;

	while (gpa < end) {
		uint64_t base = gpa & ~0xfffull, stop = base + 4096 < end ? base + 4096 : end;
		struct code_page *page = find(cache, base);

		if (page) {
			/* the instruction that starts in the halfword before may reach into the
			 * bytes */
			unsigned int first = (unsigned int)(gpa - base) / 2;
			unsigned int last = (unsigned int)(stop - 1 - base) / 2;

			for (unsigned int i = first ? first - 1 : 0; i <= last; i++)
				page->slot[i].handler = exec_handlers[OP_decode];
		}
		gpa = stop;
	}
}

void code_reset(struct code_cache *cache)
{
	for (uint32_t i = 0; i < cache->count; i++)
		code_page_reset(cache->pages[i]);
}
