/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A software TLB that any CPU emulator can embed, one per hart, with IOMMU translation deferred to
 * the access.
 *
 * A page is filled with what the page tables say. If its physical address meets a region, the page
 * is stored untranslated and each access type keeps a slow flag; the first access of a type asks
 * the region with that type, keeps the target for that type, and clears the flag for just the types
 * granted. Targets in plain RAM give the page its one host addend and from then on a short path does
 * the access. A second RAM target that differs is correct too: its type stays on the slow path. (Only
 * an emulator built in the library's own tree can have the short path compiled into itself: here, that
 * would freeze the layout of an entry into every binary.)
 *
 * Contexts. Entries are tagged with everything the answer depends on (struct viommu_cpu_context),
 * so switching satp, privilege or world is O(1) and flushes nothing. A `physical` context maps
 * addresses to themselves: M-mode without translation, and page-table walks.
 *
 * Threads. A TLB has one owner: the thread between viommu_cpu_tlb_enter() and
 * viommu_cpu_tlb_leave(). Every function is for the owner unless it says "any thread". Region
 * changes and memory removal on other threads post to the TLB and wait until the owner polls or
 * leaves; the owner must therefore poll often (once per decoded block: viommu_cpu_tlb_pending() is
 * one load) and leave before it blocks.
 */
#ifndef VIOMMU_CPU_H
#define VIOMMU_CPU_H

#include <viommu/region.h>
#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct viommu_cpu_tlb;

#define VIOMMU_CPU_PAGE 4096u
#define VIOMMU_CPU_ALL UINT32_MAX /* every ASID, every VMID */

/* Everything but the address that a translation depends on. */
struct viommu_cpu_context {
	uint32_t asid, vmid;
	/* the caller's privilege class: any number, e.g. mode, SUM, MXR, virtualisation */
	uint32_t privilege;
	bool privileged;                     /* regions see VIOMMU_PRIVILEGED */
	/* virtual is physical; kept by all flushes but viommu_cpu_tlb_flush_all */
	bool physical;
	struct viommu_attributes attributes; /* WID and source id */
};

struct viommu_cpu_options {
	uint32_t size;
	uint32_t minimum, maximum; /* level-one entries, powers of two; 0: 256 and 8192 */
	/*
	 * Which accesses to the RAM page at `gpa` must stay slow because someone watches them (code
	 * pages, dirty logging, watchpoints): a set of VIOMMU_READ, WRITE, EXECUTE. Asked whenever
	 * a type of a page is resolved. May be NULL.
	 */
	uint32_t (*watched)(void *opaque, struct viommu_memory *memory, uint64_t gpa);
	void *opaque;
};

/*
 * A TLB for accesses into `map`. options may be NULL. -EINVAL, -E2BIG, -ENOMEM. Destroy: after
 * leave.
 */
VIOMMU_API int viommu_cpu_tlb_create(struct viommu_map *map,
				     const struct viommu_cpu_options *options,
				     struct viommu_cpu_tlb **tlb);
VIOMMU_API void viommu_cpu_tlb_destroy(struct viommu_cpu_tlb *tlb);

/*
 * Become, or stop being, the owner. Enter applies what was posted. Between leave and enter nothing
 * waits for this hart and host pointers got from the TLB are not valid. Leave before blocking (WFI,
 * a debugger stop).
 */
VIOMMU_API void viommu_cpu_tlb_enter(struct viommu_cpu_tlb *tlb);
VIOMMU_API void viommu_cpu_tlb_leave(struct viommu_cpu_tlb *tlb);
/* Something was posted. Any thread. */
VIOMMU_API bool viommu_cpu_tlb_pending(const struct viommu_cpu_tlb *tlb);
/*
 * A safe point: apply what was posted and let the posters go. Host pointers got before are not
 * valid after.
 */
VIOMMU_API void viommu_cpu_tlb_poll(struct viommu_cpu_tlb *tlb);

/* Make `context` the current one: every access and fill below is in it. O(1). */
VIOMMU_API void viommu_cpu_tlb_switch(struct viommu_cpu_tlb *tlb,
				      const struct viommu_cpu_context *context);

/* What a page walk found for the page of `va`. */
struct viommu_cpu_fill {
	uint64_t va;
	uint64_t pa;            /* any byte of the 4 KiB page va lies in */
	/* of the leaf, a power of two >= 4096: a flush of any byte of it drops all of it */
	uint64_t page_size;
	uint32_t permissions;   /* set of VIOMMU_READ, WRITE, EXECUTE */
	/* valid for every ASID of this VMID, privilege class and attributes */
	bool global;
	/*
	 * bytes of the 4 KiB page this holds for (PMP finer than a page); 0 and 4095 (or both 0):
	 * all
	 */
	uint16_t first, last;
};

/* What an access meets. */
enum viommu_cpu_kind {
	/* not in the TLB, or without this permission: walk, fill, ask again (or fault) */
	VIOMMU_CPU_MISS,
	VIOMMU_CPU_RAM,     /* access `hva` directly */
	VIOMMU_CPU_MMIO,    /* viommu_cpu_tlb_read/write */
	VIOMMU_CPU_ERROR,   /* access fault of this type; the blocking region knows already */
	/* reads give zero, writes are ignored; the blocking region knows already */
	VIOMMU_CPU_SILENT,
	/* nothing happened: poll, take interrupts, and execute the instruction again */
	VIOMMU_CPU_STALLED,
};

struct viommu_cpu_target {
	enum viommu_cpu_kind kind;
	/* RAM: options.watched named this type: tell whoever watches */
	bool watched;
	struct viommu_memory *memory; /* RAM (NULL: a region's own host memory) and MMIO */
	uint64_t gpa;                 /* RAM and MMIO: key decoded blocks by this */
	void *hva;                    /* RAM: until the next poll, leave, MMIO access or flush */
};

/*
 * The slow path: find what [va, va + length) meets for `access` (READ, WRITE, EXECUTE or ATOMIC) in
 * the current context, and install it for the fast path where that is allowed. The bytes lie in one
 * 4 KiB page. Misaligned is fine. Never fails otherwise. ERROR and SILENT mean the access happened
 * and was reported: call once per access the hart really does.
 */
VIOMMU_API void viommu_cpu_tlb_access(struct viommu_cpu_tlb *tlb, uint64_t va, uint32_t length,
				      uint32_t access, struct viommu_cpu_target *target);
/*
 * Enter what a walk found, in the current context. Filling a page again with the same physical page
 * keeps what was resolved. A physical context needs no fill unless it restricts permissions (then
 * misses must be filled: set `strict` by viommu_cpu_tlb_set_strict).
 */
VIOMMU_API void viommu_cpu_tlb_fill(struct viommu_cpu_tlb *tlb, const struct viommu_cpu_fill *fill);
/* Fill, then viommu_cpu_tlb_access() of `length` bytes at fill->va, in one go. */
VIOMMU_API void viommu_cpu_tlb_fill_access(struct viommu_cpu_tlb *tlb,
					   const struct viommu_cpu_fill *fill, uint32_t length,
					   uint32_t access, struct viommu_cpu_target *target);
/*
 * Fill for a page that viommu_cpu_tlb_walk() missed (only when strict), with the permissions
 * the PMP gives the page walker. va is the physical address.
 */
VIOMMU_API void viommu_cpu_tlb_fill_walk(struct viommu_cpu_tlb *tlb,
					 const struct viommu_attributes *attributes,
					 const struct viommu_cpu_fill *fill);
/*
 * true: physical contexts miss like others (a PMP decides); false (default): they fill themselves
 * with all permissions.
 */
VIOMMU_API void viommu_cpu_tlb_set_strict(struct viommu_cpu_tlb *tlb, bool strict);

/*
 * Do an access of 1, 2, 4 or 8 bytes to a RAM, MMIO or SILENT target; RAM naturally aligned is
 * single-copy atomic. Applies region changes that an MMIO write caused before it returns. 0 or
 * -EFAULT (the device refused: an access fault).
 */
VIOMMU_API int viommu_cpu_tlb_read(struct viommu_cpu_tlb *tlb,
				   const struct viommu_cpu_target *target, void *data,
				   size_t length);
VIOMMU_API int viommu_cpu_tlb_write(struct viommu_cpu_tlb *tlb,
				   const struct viommu_cpu_target *target, const void *data,
				    size_t length);

/*
 * Page-table walks: an aligned 4- or 8-byte word at physical `pa` with the attributes of the
 * effective mode, through the TLB's physical contexts, without leaving the current context. kind
 * RAM gives hva (use atomics); anything else as viommu_cpu_tlb_access.
 */
VIOMMU_API void viommu_cpu_tlb_walk(struct viommu_cpu_tlb *tlb,
				    const struct viommu_attributes *attributes,
				    uint64_t pa, uint32_t length, uint32_t access,
				    struct viommu_cpu_target *target);

/* Everything, in every context. O(1). Any change of PMP rules wants this. */
VIOMMU_API void viommu_cpu_tlb_flush_all(struct viommu_cpu_tlb *tlb);
/* sfence.vma x0, x0: everything of `vmid` (or VIOMMU_CPU_ALL) but physical contexts. O(1). */
VIOMMU_API void viommu_cpu_tlb_flush_vmid(struct viommu_cpu_tlb *tlb, uint32_t vmid);
/* sfence.vma x0, asid: what is not global. O(contexts alive), at most 64. */
VIOMMU_API void viommu_cpu_tlb_flush_asid(struct viommu_cpu_tlb *tlb, uint32_t vmid, uint32_t asid);
/* sfence.vma va, asid (not global) or, with VIOMMU_CPU_ALL, sfence.vma va, x0 (global too). */
VIOMMU_API void viommu_cpu_tlb_flush_page(struct viommu_cpu_tlb *tlb, uint32_t vmid, uint32_t asid,
					  uint64_t va);

/*
 * The answer of options.watched for RAM [gpa, gpa + length) of `memory` changed: ask it again for
 * entries that lead there. Any thread (waits for the owner as a region change does).
 */
VIOMMU_API void viommu_cpu_tlb_rewatch(struct viommu_cpu_tlb *tlb, struct viommu_memory *memory,
				       uint64_t gpa, uint64_t length);

struct viommu_cpu_statistics {
	uint32_t size;
	uint32_t entries, pages;    /* current size of level one and of level two */
	uint64_t slow;              /* viommu_cpu_tlb_access calls */
	uint64_t second_level;      /* of these: found in level two and moved to level one */
	uint64_t misses, fills;
	uint64_t translations;      /* chains of regions walked */
	/* resolved from a span another page's translation had covered */
	uint64_t shared;
	uint64_t flushes, posted;   /* by the owner; by region, map and memory changes */
	uint64_t dropped;           /* pages dropped by posted changes */
	uint64_t grown, shrunk;
};
VIOMMU_API int viommu_cpu_tlb_statistics(const struct viommu_cpu_tlb *tlb,
					 struct viommu_cpu_statistics *statistics);

#ifdef __cplusplus
}
#endif
#endif
