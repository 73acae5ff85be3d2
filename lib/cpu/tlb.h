/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The CPU TLB inside: two levels, contexts, spans and the posts of other threads.
 *
 * Words. A page is a record of level two: one 4 KiB virtual page in one context, what the page walk
 * said about it, and per access type a result: where the access ends, kept from one translation. An
 * entry is a line of level one (fast.h): the tags and the addend of a page. Level one is inclusive:
 * whatever it holds has a page in level two, found in the set of its virtual address; dropping a
 * page therefore finds its entry without a search. A step is a region that a result's translation
 * asked. A span is the answer of a translation that held for more than its page: other pages take
 * their results from it without asking anybody.
 *
 * Contexts. A context has a serial, unique for ever, that tags its pages, and a colour, one of 256,
 * that tags its entries. A flush gives the context a new serial and a new colour; nothing is
 * searched. When colours run out, level one is cleared and all contexts get new ones as they come.
 * Global pages carry the serial of the context's space: the same context without its ASID.
 */
#ifndef LIB_CPU_TLB_H
#define LIB_CPU_TLB_H

#include <pthread.h>
#include <stdatomic.h>

#include <viommu/cpu.h>

#include "cpu/fast.h"
#include "cpu/region.h"

enum {
	TLB_TYPES = VIOMMU_FAST_TYPES,
	TLB_WAYS = 4,
	TLB_STEPS = 4,       /* steps a page remembers one by one */
	TLB_CONTEXT_SETS = 16,
	TLB_CONTEXT_WAYS = 4,
	TLB_CONTEXTS = TLB_CONTEXT_SETS * TLB_CONTEXT_WAYS,
	TLB_COLOURS = 256,
	TLB_SPANS = 8,
	TLB_LARGE = 8,       /* ranges of pages larger than 4 KiB, merged when there are more */
	TLB_WALK = VIOMMU_FAST_WALK_ENTRIES,
	TLB_POSTS = 32,
	TLB_FILTER = 32768,  /* bits of a filter over (page, type, watched) */
	TLB_RWX = VIOMMU_READ | VIOMMU_WRITE | VIOMMU_EXECUTE,
};

#define TLB_PAGE_MASK (~0xfffull)

enum tlb_state {
	TLB_UNRESOLVED,
	TLB_RAM,
	TLB_MMIO,
	TLB_BLOCKED, /* region NULL: by nothing being there; never kept */
	TLB_STALLED, /* never kept */
};

/* Of one access type of one page. Addresses are those of the page's first byte. */
struct tlb_result {
	uint8_t state;        /* enum tlb_state */
	bool watched;
	uint16_t first, last; /* bytes of the page it holds for */
	union {
		struct viommu_memory *memory; /* RAM, MMIO */
		struct viommu_region *region; /* BLOCKED */
	};
	uint64_t address;     /* GPA; BLOCKED: what the region saw */
	uint8_t *hva;
	struct viommu_attributes attributes; /* BLOCKED: what the region saw */
};

struct tlb_step {
	struct viommu_region *region;
	uint64_t address;
};

/* The first cache line is all that moving a page to level one needs. */
struct tlb_page {
	uint8_t *hva;              /* the one addend's: types in `fast` end there */
	uint64_t pa;
	uint32_t asid, vmid;
	uint8_t permissions, fast; /* sets of READ, WRITE, EXECUTE */
	uint8_t steps;
	bool many_steps;           /* more than TLB_STEPS: any change concerns it */
	bool physical;
	bool resolved;             /* some result is there */
	uint16_t first, last;      /* bytes the permissions hold for */
	struct tlb_result result[TLB_TYPES];
	struct tlb_step step[TLB_STEPS];
} __attribute__((aligned(64)));

/* Tag of a way: virtual page and, in the low bits, flags. An empty way has serial 0. */
enum { TLB_TAG_GLOBAL = 1, TLB_TAG_PHYSICAL = 2 };
struct tlb_tag {
	uint64_t va;
	uint64_t serial;
};

struct tlb_context {
	struct viommu_cpu_context key;
	uint64_t serial;        /* 0: free */
	uint64_t global_serial; /* of its space; 0: none yet */
	uint64_t epoch;         /* the TLB's when it was last brought up to date */
	uint64_t colour_epoch;
	uint32_t colour;        /* in place, valid while colour_epoch is the TLB's */
	bool space;             /* a key without ASID that only lends its serial */
};

struct tlb_span {
	uint64_t first, last; /* physical; empty span: first > last */
	struct viommu_attributes attributes;
	bool privileged;
	uint32_t granted;
	uint32_t chain;
	struct tlb_result result; /* of `first` */
	struct tlb_step step[VIOMMU_CHAIN_MAX];
};

struct tlb_large {
	uint64_t first, last;
};

/* One post. region NULL: anything may have changed. memory: ask `watched` again. */
struct tlb_post {
	struct viommu_region *region;
	struct viommu_memory *memory;
	uint64_t first, last;
};

struct tlb_known {
	struct change_source *source;
	struct viommu_listener *listener;
};

struct viommu_cpu_tlb {
	struct viommu_fast fast; /* first: see viommu_cpu_tlb_fast() */
	struct tlb_context *current;
	struct tlb_context *walker;
	uint64_t epoch[2];     /* of flushes that concern every context: others, physical */
	uint64_t colour_epoch;
	uint32_t next_colour;
	bool strict;
	uint64_t next_serial;
	/* pages with this serial or a lower one are dead: others, physical */
	uint64_t floor[2];
	uint32_t only_vmid;    /* the one VMID seen so far */
	bool many_vmids;

	struct tlb_tag *tags;  /* sets * TLB_WAYS */
	struct tlb_page *pages;
	uint32_t sets;         /* power of two */
	uint8_t *hands;        /* of each set: the way to replace next */
	uint32_t conflicts;    /* live entries of level one overwritten since the last resize */
	uint32_t replaced;     /* live pages overwritten since the last resize */
	uint32_t filled;       /* pages filled since the last full flush */
	uint32_t filled_most;  /* the most of that over the last flushes */
	uint32_t flush_count;
	uint32_t minimum, maximum;

	struct tlb_context contexts[TLB_CONTEXTS];
	uint32_t context_victim;
	struct tlb_span spans[TLB_SPANS];
	uint32_t span_hit, span_victim;
	struct tlb_large large[TLB_LARGE];
	uint32_t large_count;
	uint64_t filter[TLB_FILTER / 64];

	struct viommu_map *map;
	struct viommu_cpu_options options;
	struct tlb_known *known;
	uint32_t known_count, known_room;
	struct viommu_cpu_statistics statistics;

	/* Below: under lock. */
	pthread_mutex_t lock;
	pthread_cond_t moved;        /* applied or running changed */
	const void *owner;           /* identity of the owner's thread, or NULL */
	bool running;                /* the owner may be using answers */
	uint64_t posted, applied;    /* tickets */
	struct tlb_post posts[TLB_POSTS];
	uint32_t post_count;
	bool overflow;               /* more than fit: everything may have changed */
	struct viommu_cpu_tlb *next_owned; /* by the same thread */
};

static inline unsigned int tlb_type(uint32_t access)
{
	return access & VIOMMU_WRITE ? VIOMMU_FAST_WRITE
	     : access & VIOMMU_EXECUTE ? VIOMMU_FAST_EXECUTE : VIOMMU_FAST_READ;
}

static inline uint32_t tlb_type_bit(unsigned int type)
{
	return type == VIOMMU_FAST_WRITE ? VIOMMU_WRITE
	     : type == VIOMMU_FAST_EXECUTE ? VIOMMU_EXECUTE : VIOMMU_READ;
}

static inline struct viommu_fast_entry *tlb_entry(const struct viommu_cpu_tlb *tlb, uint64_t va)
{
	return (struct viommu_fast_entry *)((char *)tlb->fast.table + ((va >> 7) & tlb->fast.mask));
}

static inline uint32_t tlb_set(const struct viommu_cpu_tlb *tlb, uint64_t va)
{
	return (uint32_t)(va >> 12) & (tlb->sets - 1);
}

static inline bool context_stale(const struct viommu_cpu_tlb *tlb,
				 const struct tlb_context *context)
{
	return context->epoch != tlb->epoch[context->key.physical];
}

static inline bool table_tag_live(const struct viommu_cpu_tlb *tlb, const struct tlb_tag *tag)
{
	return tag->serial > tlb->floor[!!(tag->va & TLB_TAG_PHYSICAL)];
}

static inline bool tlb_tag_matches(const struct tlb_tag *tag, const struct tlb_context *context,
				   uint64_t va)
{
	if ((tag->va ^ va) & TLB_PAGE_MASK)
		return false;
	if (tag->va & TLB_TAG_GLOBAL)
		return tag->serial && tag->serial == context->global_serial;
	return tag->serial == context->serial;
}

static inline struct tlb_page *table_find(struct viommu_cpu_tlb *tlb,
					  const struct tlb_context *context, uint64_t va)
{
	uint32_t first = tlb_set(tlb, va) * TLB_WAYS;

	for (uint32_t way = first; way < first + TLB_WAYS; way++) {
		if (tlb_tag_matches(&tlb->tags[way], context, va))
			return &tlb->pages[way];
	}
	return NULL;
}

/* context.c */
struct tlb_context *context_get(struct viommu_cpu_tlb *tlb, const struct viommu_cpu_context *key);
void context_update(struct viommu_cpu_tlb *tlb, struct tlb_context *context);
void context_make_current(struct viommu_cpu_tlb *tlb, struct tlb_context *context);

/*
 * Bring a context up to date after flushes, and give it a colour. Every use of its serial or colour
 * comes after.
 */
static inline void context_use(struct viommu_cpu_tlb *tlb, struct tlb_context *context)
{
	if (__builtin_expect(context_stale(tlb, context) ||
			     context->colour_epoch != tlb->colour_epoch, 0))
		context_update(tlb, context);
}

/* table.c */
int table_create(struct viommu_cpu_tlb *tlb);
void table_destroy(struct viommu_cpu_tlb *tlb);
void table_clear_entries(struct viommu_cpu_tlb *tlb);
/*
 * A page for va, reset unless it is the same physical page; drops what else this context sees
 * there.
 */
struct tlb_page *table_insert(struct viommu_cpu_tlb *tlb, const struct tlb_context *context,
			      uint64_t va, uint64_t pa, bool global);
void table_promote(struct viommu_cpu_tlb *tlb, const struct tlb_context *context, uint64_t va,
		   const struct tlb_page *page);
void table_drop_entry(struct viommu_cpu_tlb *tlb, uint64_t va, bool physical);
/* After a flush of everything that is not physical: maybe shrink. */
void table_flushed(struct viommu_cpu_tlb *tlb);

/* resolve.c */
void page_unresolve(struct tlb_page *page);
/* Recompute which types may be fast, after results, permissions or watches changed. */
void page_refast(struct viommu_cpu_tlb *tlb, struct tlb_page *page);
void page_rewatch(struct viommu_cpu_tlb *tlb, struct tlb_page *page);
/*
 * Where bytes [offset, offset + length) of the page end for this type. Points into the page, or to
 * *once when the answer is not to be kept.
 */
const struct tlb_result *page_resolve(struct viommu_cpu_tlb *tlb, const struct tlb_context *context,
				      struct tlb_page *page, unsigned int type, uint32_t offset,
				      uint32_t length, struct tlb_result *once);
void spans_clear(struct viommu_cpu_tlb *tlb);
void filter_page(struct viommu_cpu_tlb *tlb, const struct tlb_page *page);
/* May some page let this type go to the RAM page at gpa, or hold it back? False is certain. */
bool filter_test(const struct viommu_cpu_tlb *tlb, uint64_t gpa, unsigned int type, bool held_back);

/* flush.c */
void flush_everything(struct viommu_cpu_tlb *tlb);
/* A leaf larger than 4 KiB was used at va. */
void flush_note_large(struct viommu_cpu_tlb *tlb, uint64_t va, uint64_t size);

/* post.c: a listener; see viommu_region_change_fn. */
void tlb_changed(void *opaque, struct viommu_region *region, uint64_t first, uint64_t last);

#endif
