/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fast path of the CPU TLB, to be inlined into an emulator's load and store.
 *
 * A hit is one compare. The tag of an access type holds the virtual page, the colour of the context
 * the entry belongs to, and a slow bit; the address is reduced to page and low bits, joined with
 * the current colour, and must be equal. So one compare checks page, context (ASID, VMID, privilege
 * class, WID, generation), permission, natural alignment, and that nobody wants to see this access
 * (deferred translation, MMIO, watch):
 *
 *	bits 63:12  virtual page
 *	bits 11:4   colour; a flush or a switch just changes the current colour
 *	bit  3      slow: never equal to an address
 *	bits 2:0    zero: an access that is not aligned to its size is not equal
 *
 * Anything that is not equal goes to viommu_cpu_tlb_access(). The three types share one addend; a
 * type whose target would need another addend keeps its slow bit.
 *
 * Public headers have no inline functions (a caller's copy would freeze this layout into other
 * people's binaries), so this header is for code linked with libviommu_static_dep from the same
 * tree.
 */
#ifndef LIB_CPU_FAST_H
#define LIB_CPU_FAST_H

#include <viommu/cpu.h>

enum viommu_fast_type {
	VIOMMU_FAST_READ,
	VIOMMU_FAST_WRITE,
	VIOMMU_FAST_EXECUTE,
	VIOMMU_FAST_TYPES,
};

#define VIOMMU_FAST_SLOW 0x8ull
#define VIOMMU_FAST_COLOUR_SHIFT 4
#define VIOMMU_FAST_INVALID UINT64_MAX

struct viommu_fast_entry {
	uint64_t tag[VIOMMU_FAST_TYPES];
	uint64_t addend; /* host address = virtual address + addend */
};

/*
 * The hot words of one TLB. Reload after every call into the library: a slow path may grow the
 * table, a switch or a flush changes the colour.
 */
struct viommu_fast {
	struct viommu_fast_entry *table;
	/* byte mask of the table: (entries - 1) * sizeof(struct viommu_fast_entry) */
	uint64_t mask;
	uint64_t colour; /* of the current context, in place */
	uint32_t pending; /* something was posted; atomic */
	/* The page walker's own table, and whose walks its colour is for. */
	struct viommu_attributes walk_attributes;
	struct viommu_fast_entry *walk;
	uint64_t walk_colour; /* VIOMMU_FAST_SLOW: nobody's now */
};

enum { VIOMMU_FAST_WALK_ENTRIES = 64 };

/* The hot words; stays where it is for the TLB's life. */
static inline const struct viommu_fast *viommu_cpu_tlb_fast(const struct viommu_cpu_tlb *tlb)
{
	return (const struct viommu_fast *)tlb; /* its first member */
}

/*
 * Host address of [va, va + size), or NULL: take the slow path. size is 1, 2, 4 or 8 (and 16 with a
 * caller that splits it). AMO and LR/SC: use _rmw.
 */
static inline void *viommu_fast_lookup(const struct viommu_fast *fast, uint64_t va,
				       unsigned int size, enum viommu_fast_type type)
{
	const struct viommu_fast_entry *entry = (const struct viommu_fast_entry *)
		((const char *)fast->table + ((va >> 7) & fast->mask));
	uint64_t key = (va & (~0xfffull | (size - 1))) | fast->colour;

	if (__builtin_expect(entry->tag[type] != key, 0))
		return NULL;
	return (void *)(uintptr_t)(va + entry->addend);
}

static inline void *viommu_fast_lookup_rmw(const struct viommu_fast *fast, uint64_t va,
					   unsigned int size)
{
	const struct viommu_fast_entry *entry = (const struct viommu_fast_entry *)
		((const char *)fast->table + ((va >> 7) & fast->mask));
	uint64_t key = (va & (~0xfffull | (size - 1))) | fast->colour;

	if (__builtin_expect(((entry->tag[VIOMMU_FAST_READ] ^ key) |
			      (entry->tag[VIOMMU_FAST_WRITE] ^ key)) != 0, 0))
		return NULL;
	return (void *)(uintptr_t)(va + entry->addend);
}

/*
 * Host address of a page-table word of 4 or 8 bytes at physical `pa`, to be read, or NULL: call
 * viommu_cpu_tlb_walk().
 */
static inline void *viommu_fast_walk(const struct viommu_fast *fast,
				     const struct viommu_attributes *attributes, uint64_t pa,
				     unsigned int size)
{
	const struct viommu_fast_entry *entry =
		&fast->walk[(pa >> 12) % VIOMMU_FAST_WALK_ENTRIES];
	uint64_t key = (pa & (~0xfffull | (size - 1))) | fast->walk_colour;

	if (__builtin_expect((entry->tag[VIOMMU_FAST_READ] ^ key) |
			     (attributes->wid ^ fast->walk_attributes.wid) |
			     (attributes->source ^ fast->walk_attributes.source), 0))
		return NULL;
	return (void *)(uintptr_t)(pa + entry->addend);
}

/* True when viommu_cpu_tlb_poll() has something to do: test once per block. */
static inline bool viommu_fast_pending(const struct viommu_fast *fast)
{
	return __atomic_load_n(&fast->pending, __ATOMIC_ACQUIRE) != 0;
}

#endif
