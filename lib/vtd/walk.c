/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The page-table walk: one walker, compiled for each format.
 *
 * A walk reads one entry per level, so its length is bounded by the levels however the tables
 * point, at themselves included. When translation is nested, every address that the first stage
 * uses, of its entries and of the page, goes through the second stage.
 *
 * The guest's processors change entries meanwhile. An entry is read once as a whole; accessed and
 * dirty bits go in by compare-and-exchange against what was judged, and if the entry changed it is
 * judged again, a bounded number of times.
 */
#include "vtd/format.h"
#include "vtd/format_fs.h"
#include "vtd/format_ss.h"

enum { UPDATE_TRIES = 16 };

#define always_inline inline __attribute__((always_inline))

/* Where an entry is: the GPA its table says and, the same unless nested, the one to go to. */
struct place {
	uint64_t address;
	uint64_t real;
	bool top;
};

static unsigned int second_stage_walk(struct vtd_walk *walk, uint64_t input, unsigned int want,
				      struct vtd_leaf *leaf);

/*
 * VT-d 3.8, 7.1.3: a first-stage entry is reached through the second stage, whose own faults (SSS.1
 * to SSS.6) stay what they are.
 */
static unsigned int locate_nested(struct vtd_walk *walk, struct place *place, unsigned int want)
{
	struct vtd_leaf leaf;
	unsigned int reason = second_stage_walk(walk, place->address, want, &leaf);

	place->real = leaf.address;
	switch (reason) {
	case VTD_REASON_SS_INPUT_WIDTH:
		return VTD_REASON_FS_ENTRY_WIDTH;
	case VTD_REASON_S_WRITE:
		return VTD_REASON_FS_ENTRY_WRITE;
	case VTD_REASON_S_READ:
		return place->top ? VTD_REASON_FS_TOP_READ : VTD_REASON_FS_ENTRY_READ;
	default:
		return reason;
	}
}

static always_inline unsigned int locate(struct vtd_walk *walk, const struct vtd_format *format,
					 bool nested, struct place *place, unsigned int want)
{
	if (format->first_stage && nested)
		return locate_nested(walk, place, want);
	place->real = place->address;
	return VTD_REASON_NONE;
}

/* Set `bits` in an entry. 0: done; AGAIN: it changed; else a reason. */
enum { AGAIN = 0x100 };

static unsigned int update(struct vtd_walk *walk, const struct vtd_format *format, bool nested,
			   struct place *place, uint64_t *entry, uint64_t bits)
{
	uint64_t expected = *entry;
	unsigned int reason;
	int result;

	/* VT-d 3.6.2, 3.7.2: no atomic update is possible when walks are not snooped. */
	if (walk->context->flags & VTD_CF_NO_SNOOP)
		return format->update_snoop;
	reason = locate(walk, format, nested, place, VIOMMU_READ | VIOMMU_WRITE);
	if (reason)
		return reason;
	result = viommu_memory_compare_exchange(walk->unit->memory, place->real, 8, &expected,
						*entry | bits);
	if (result < 0)
		return format->update_failed;
	if (!result)
		return AGAIN;
	*entry |= bits;
	return VTD_REASON_NONE;
}

/* A path through a stage: AND and OR of its entries. */
struct path {
	uint64_t all;
	uint64_t any;
	unsigned int level;
	bool leaf;
};

/* Judge the entry at `place` and leave its marks in it. */
static always_inline unsigned int visit(struct vtd_walk *walk, const struct vtd_format *format,
					bool nested, struct place *place, unsigned int want,
					struct path *path, uint64_t *entry)
{
	const uint64_t(*reserved)[2] =
		walk->unit->reserved[format->first_stage ? VTD_FORMAT_FIRST : VTD_FORMAT_SECOND];
	unsigned int tries, reason;
	uint64_t bits, *word;

	for (tries = 0; tries < UPDATE_TRIES; tries++) {
		word = memory_ram(walk->unit->memory, place->real, 8, false);
		if (vtd_unlikely(!word))
			return place->top ? format->access_top : format->access;
		*entry = memory_load64(word);
		walk->reads++;
		if (!format->present(*entry))
			return format->not_present;
		path->leaf = path->level == 1 || (path->level <= 3 && *entry & VTD_FS_PS);
		if (vtd_unlikely(*entry & reserved[path->level][path->leaf]))
			return format->reserved;
		bits = format->accessed(walk->context);
		if (path->leaf) {
			reason = format->check(walk, want, path->all & *entry, path->any | *entry);
			if (reason)
				return reason;
			if (want & VIOMMU_WRITE)
				bits |= format->dirty(walk->context);
		}
		if (vtd_likely((*entry & bits) == bits))
			return VTD_REASON_NONE;
		reason = update(walk, format, nested, place, entry, bits);
		if (reason != AGAIN)
			return reason;
	}
	return format->update_failed;
}

/*
 * One stage from its top to a leaf, or from `anchor` on. Only the stage that translates the
 * request's own address has an anchor.
 */
static always_inline unsigned int stage_walk(struct vtd_walk *walk, const struct vtd_format *format,
					     bool nested, uint64_t table, unsigned int levels,
					     uint64_t input, unsigned int want,
					     struct vtd_anchor *anchor, struct vtd_leaf *leaf)
{
	struct path path = { .all = ~0ull, .level = levels };
	struct place place = { .top = true };
	bool anchored = anchor && anchor->valid;
	unsigned int reason, shift;
	uint64_t entry;

	if (anchored) {
		path = (struct path){ .all = anchor->all, .any = anchor->any, .level = 1 };
		place.top = false;
		table = anchor->address;
	}
	for (;; path.level--) {
		shift = 3 + 9 * path.level;
		place.address = table + (input >> shift & 511) * 8;
		if (anchored) {
			place.real = anchor->real | (place.address & 4095);
		} else {
			reason = locate(walk, format, nested, &place, VIOMMU_READ);
			if (vtd_unlikely(reason))
				return reason;
			if (anchor && path.level == 1)
				*anchor = (struct vtd_anchor){ true, table, place.real & ~4095ull,
							       path.all, path.any };
		}
		reason = visit(walk, format, nested, &place, want, &path, &entry);
		if (vtd_unlikely(reason))
			return reason;
		path.all &= entry;
		path.any |= entry;
		table = entry & VTD_ENTRY_ADDRESS;
		if (path.leaf)
			break;
		place.top = false;
	}
	leaf->shift = shift;
	leaf->address = (table & -(1ull << shift)) | (input & ((1ull << shift) - 1));
	leaf->permissions = format->permissions(walk->context, path.all, path.any, entry);
	leaf->snoop = format->snoop(walk->context, entry);
	return VTD_REASON_NONE;
}

static unsigned int second_levels(const struct vtd_context *context)
{
	return 2 + ((context->flags & VTD_CF_SS_LEVELS) >> VTD_CF_SS_LEVELS_SHIFT);
}

/* VT-d 3.7: beyond the smaller of MGAW and the width of the tables nothing is translated. */
static bool second_width_exceeded(const struct vtd_walk *walk, uint64_t input)
{
	unsigned int width = 12 + 9 * second_levels(walk->context);

	if (width > walk->unit->mgaw)
		width = walk->unit->mgaw;
	return input >> width;
}

static unsigned int second_stage_walk(struct vtd_walk *walk, uint64_t input, unsigned int want,
				      struct vtd_leaf *leaf)
{
	leaf->address = 0;
	if (vtd_unlikely(second_width_exceeded(walk, input)))
		return VTD_REASON_SS_INPUT_WIDTH;
	return stage_walk(walk, &vtd_second_stage, false, walk->context->second,
			  second_levels(walk->context), input, want, NULL, leaf);
}

/* The second stage alone: its input is the request's address. */
static unsigned int only_second_stage_walk(struct vtd_walk *walk, uint64_t iova,
					   struct vtd_leaf *leaf)
{
	if (vtd_unlikely(second_width_exceeded(walk, iova)))
		return VTD_REASON_SS_INPUT_WIDTH;
	return stage_walk(walk, &vtd_second_stage, false, walk->context->second,
			  second_levels(walk->context), iova, walk->want, &walk->anchor, leaf);
}

/* VT-d 3.6: bits above the top level repeat its highest bit. */
static bool canonical(uint64_t iova, unsigned int levels)
{
	unsigned int spare = 64 - (12 + 9 * levels);

	return (uint64_t)((int64_t)(iova << spare) >> spare) == iova;
}

static always_inline unsigned int first_stage_walk(struct vtd_walk *walk, bool nested,
						   uint64_t iova, struct vtd_leaf *leaf)
{
	unsigned int levels = walk->context->flags & VTD_CF_FIVE_LEVEL ? 5 : 4;

	if (vtd_unlikely(!canonical(iova, levels)))
		return VTD_REASON_CANONICAL;
	return stage_walk(walk, &vtd_first_stage, nested, walk->context->first, levels, iova,
			  walk->want, &walk->anchor, leaf);
}

/* VT-d 3.8: both stages. What both permit is permitted; the smaller page counts. */
static unsigned int nested_walk(struct vtd_walk *walk, uint64_t iova, struct vtd_leaf *leaf)
{
	unsigned int reason = first_stage_walk(walk, true, iova, leaf);
	struct vtd_leaf second;

	if (reason)
		return reason;
	reason = second_stage_walk(walk, leaf->address, walk->want, &second);
	if (reason)
		return reason == VTD_REASON_SS_INPUT_WIDTH ? VTD_REASON_FS_ENTRY_WIDTH : reason;
	leaf->address = second.address;
	if (second.shift < leaf->shift)
		leaf->shift = second.shift;
	leaf->permissions &= second.permissions;
	leaf->snoop |= second.snoop;
	return VTD_REASON_NONE;
}

/* Second-stage faults of a legacy context have codes of their own (VT-d 7.1.3). */
static unsigned int legacy_reason(const struct vtd_walk *walk, unsigned int reason)
{
	switch (reason) {
	case VTD_REASON_SS_TOP_ACCESS:
		return VTD_REASON_CONTEXT_INVALID;
	case VTD_REASON_SS_ACCESS:
		return VTD_REASON_PAGING_ACCESS;
	case VTD_REASON_SS_RESERVED:
		return VTD_REASON_PAGING_RESERVED;
	case VTD_REASON_SS_P:
		return walk->want & VIOMMU_WRITE ? VTD_REASON_WRITE : VTD_REASON_READ;
	case VTD_REASON_S_WRITE:
		return VTD_REASON_WRITE;
	case VTD_REASON_S_READ:
		return VTD_REASON_READ;
	case VTD_REASON_SS_INPUT_WIDTH:
	case VTD_REASON_S_ADDRESS_WIDTH:
		return VTD_REASON_ADDRESS_WIDTH;
	case VTD_REASON_S_INTERRUPT_ADDRESS:
		return VTD_REASON_INTERRUPT_ADDRESS;
	default:
		return reason;
	}
}

/*
 * VT-d 3.9, 9.3: no tables; addresses must exist. A legacy CE has its AW count here too, a PE has
 * not.
 */
static unsigned int pass_through(const struct vtd_walk *walk, uint64_t iova, struct vtd_leaf *leaf)
{
	unsigned int width = walk->unit->haw;

	if (walk->context->flags & VTD_CF_LEGACY && 12 + 9 * second_levels(walk->context) < width)
		width = 12 + 9 * second_levels(walk->context);
	*leaf = (struct vtd_leaf){
		.address = iova,
		.shift = 64,
		.permissions = VTD_PERMISSIONS | VTD_PERMISSIONS << VTD_PRIVILEGED_SHIFT,
		.snoop = walk->context->flags & VTD_CF_PGSNP,
	};
	if (vtd_context_type(walk->context) == VTD_CONTEXT_PASS_THROUGH && iova >> width)
		return VTD_REASON_S_ADDRESS_WIDTH;
	return VTD_REASON_NONE;
}

static unsigned int walk_by_type(struct vtd_walk *walk, uint64_t iova, struct vtd_leaf *leaf)
{
	switch (vtd_context_type(walk->context)) {
	case VTD_CONTEXT_FIRST:
		return first_stage_walk(walk, false, iova, leaf);
	case VTD_CONTEXT_SECOND:
		return only_second_stage_walk(walk, iova, leaf);
	case VTD_CONTEXT_NESTED:
		return nested_walk(walk, iova, leaf);
	default:
		return pass_through(walk, iova, leaf);
	}
}

/* What of a leaf's permissions requests under this context may use at all. */
static uint8_t usable(const struct vtd_context *context, uint8_t permissions)
{
	uint8_t user = permissions & VTD_PERMISSIONS;
	uint8_t privileged = permissions >> VTD_PRIVILEGED_SHIFT;

	if (context->flags & VTD_CF_NO_PASID) {
		/* VT-d 3.4.4: one privilege for all; execute is a read. */
		user = context->flags & VTD_CF_RID_PRIV ? privileged : user;
		user &= ~VIOMMU_EXECUTE;
		return user | user << VTD_PRIVILEGED_SHIFT;
	}
	if (!(context->flags & VTD_CF_ERE)) {
		user &= ~VIOMMU_EXECUTE;
		privileged &= ~VIOMMU_EXECUTE;
	}
	if (!(context->flags & VTD_CF_SRE))
		privileged = 0;
	return user | privileged << VTD_PRIVILEGED_SHIFT;
}

static always_inline bool last_entry(const struct viommu_unit *unit, const struct vtd_format *format,
				     const struct vtd_context *context,
				     const struct vtd_anchor *anchor, uint64_t entry,
				     struct vtd_found *found)
{
	unsigned int kind = format->first_stage ? VTD_FORMAT_FIRST : VTD_FORMAT_SECOND;
	uint64_t marks = format->accessed(context);

	if (!format->present(entry) || entry & unit->reserved[kind][1][1] ||
	    (entry & marks) != marks)
		return false;
	found->permissions = usable(context, format->permissions(context, anchor->all & entry,
								 anchor->any | entry, entry));
	found->snoop = format->snoop(context, entry);
	return true;
}

bool vtd_walk_leaf(const struct viommu_unit *unit, const struct vtd_context *context,
		   const struct vtd_anchor *anchor, uint64_t entry, struct vtd_found *found)
{
	found->gpa = entry & VTD_ENTRY_ADDRESS;
	found->shift = 12;
	/* VT-d 3.14 */
	if (vtd_unlikely(vtd_interrupt_range(found->gpa, found->gpa)))
		return false;
	return vtd_context_type(context) == VTD_CONTEXT_FIRST
		       ? last_entry(unit, &vtd_first_stage, context, anchor, entry, found)
		       : last_entry(unit, &vtd_second_stage, context, anchor, entry, found);
}

unsigned int vtd_walk(struct vtd_walk *walk, uint64_t iova, struct vtd_found *found)
{
	enum vtd_context_type type = vtd_context_type(walk->context);
	struct vtd_leaf leaf;
	unsigned int reason = walk_by_type(walk, iova, &leaf);

	/* VT-d 3.14: no translation may lead to an interrupt address. */
	if (!reason && type != VTD_CONTEXT_IDENTITY &&
	    vtd_interrupt_range(leaf.address, leaf.address))
		reason = VTD_REASON_S_INTERRUPT_ADDRESS;
	if (vtd_unlikely(reason))
		return walk->context->flags & VTD_CF_LEGACY ? legacy_reason(walk, reason) : reason;
	found->gpa = leaf.address;
	found->shift = leaf.shift;
	found->permissions = usable(walk->context, leaf.permissions);
	found->snoop = leaf.snoop;
	return VTD_REASON_NONE;
}
