/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Contexts: from a request's RID and PASID to the tables that translate it.
 *
 * The walk is root entry, CE and, in scalable mode, PASID directory and PE (VT-d 3.4), each word
 * checked against what the capabilities allow. Its result is kept in the endpoint's PASID cache:
 * blocks of contexts in place, found by two loads.
 *
 * A cached context is valid while the unit's epoch is the one it was last found valid in; if some
 * invalidation has moved the epoch, its stamp tells whether it was meant. The epoch is read before
 * the tables are, so a context read too early never looks valid afterwards.
 */
#include "memory/alloc.h"
#include "vtd/iotlb.h"
#include "vtd/listener.h"
#include "vtd/unit_internal.h"

/* What a walk through the tables needs and finds. */
struct context_walk {
	struct viommu_unit *unit;
	struct vtd_shard *shard;
	uint16_t rid;
	uint32_t pasid; /* VIOMMU_NO_PASID until RID_PASID replaces it */
	enum vtd_request type;
	bool plain; /* the request has no PASID */
	bool fault_processing_disabled;
	struct vtd_context *context;
};

bool vtd_read_words(struct viommu_unit *unit, struct vtd_shard *shard, uint64_t gpa,
		    uint64_t *words, unsigned int count)
{
	const uint64_t *at = memory_ram(unit->memory, gpa, 8ull * count, false);
	unsigned int i;

	if (!at)
		return false;
	for (i = 0; i < count; i++)
		words[i] = memory_load64(at + i);
	if (shard)
		vtd_count(&shard->table_reads, count);
	return true;
}

/* AW encodings 1, 2, 3 are 3, 4, 5 levels (VT-d 9.3, 9.6); SAGAW has a bit for each. */
static bool width_supported(const struct viommu_unit *unit, unsigned int aw)
{
	return aw >= 1 && aw <= 3 && vtd_field(unit->cap, VTD_CAP_SAGAW) & 1u << aw;
}

static void set_type(struct vtd_context *context, enum vtd_context_type type, uint32_t flags)
{
	context->flags |= (uint32_t)type << VTD_CONTEXT_TYPE_SHIFT | flags;
}

/* A digest of what else distinguishes address spaces; see iotlb.h. */
static uint64_t digest(const struct vtd_context *context)
{
	uint32_t flags = context->flags & ~(VTD_CF_FPD | VTD_CF_PRE | VTD_CF_DTE);
	uint64_t mix = context->first * 0xbf58476d1ce4e5b9ull ^
		       context->second * 0x94d049bb133111ebull ^ flags * 0x9e3779b97f4a7c15ull;

	return (mix ^ mix >> 29) & ~VTD_TAG_SPACE;
}

/* Tie the context to the generations of its DID and PASID. */
static void bind_generations(struct context_walk *walk, uint16_t did)
{
	struct vtd_context *context = walk->context;
	struct vtd_generations *generations = &walk->unit->generations;
	struct vtd_domain *domain = &generations->domains[did];
	enum vtd_context_type type = vtd_context_type(context);
	/* Second-stage-only entries are shared by all PASIDs of a DID; pass-through ones too. */
	bool by_pasid = type == VTD_CONTEXT_FIRST || type == VTD_CONTEXT_NESTED;
	uint32_t pasid = walk->pasid == VIOMMU_NO_PASID ? 0 : walk->pasid;
	struct vtd_pasid_slot *slot = vtd_pasid_slot(walk->unit, did, pasid);

	context->tag = vtd_tag(did, by_pasid ? pasid : 0) | digest(context);
	context->domain_generation = type == VTD_CONTEXT_NESTED ? &domain->nested
				     : by_pasid			 ? &domain->iotlb
								 : &domain->second;
	context->pasid_generation = by_pasid ? &slot->iotlb : &slot->none;
}

/* ---- legacy mode (VT-d 3.4.2, 9.3) ---- */

static unsigned int legacy_context(struct context_walk *walk, const uint64_t ce[2])
{
	struct viommu_unit *unit = walk->unit;
	struct vtd_context *context = walk->context;
	unsigned int tt = vtd_field(ce[0], VTD_CE_TT), aw = vtd_field(ce[1], VTD_CE_AW);
	uint32_t levels = aw << VTD_CF_SS_LEVELS_SHIFT & VTD_CF_SS_LEVELS;

	/* VT-d 9.3: FPD counts whatever else the entry says. */
	walk->fault_processing_disabled = ce[0] & VTD_CE_FPD;
	if (!(ce[0] & VTD_CE_P))
		return VTD_REASON_CONTEXT_P;
	/* VT-d 9.3: passing through, the pointer is not looked at. */
	if (ce[0] & VTD_CE_RESERVED0 || ce[1] & VTD_CE_RESERVED1 ||
	    (tt != VTD_TT_PASS_THROUGH && ce[0] & VTD_CE_SSPTPTR & vtd_beyond_haw(unit)))
		return VTD_REASON_CONTEXT_RESERVED;
	if (tt == VTD_TT_DEVICE_IOTLB && !(unit->ecap & VTD_ECAP_DT))
		return VTD_REASON_CONTEXT_INVALID;
	if (tt == VTD_TT_PASS_THROUGH && !(unit->ecap & VTD_ECAP_PT))
		return VTD_REASON_CONTEXT_INVALID;
	if (tt > VTD_TT_PASS_THROUGH || !width_supported(unit, aw))
		return VTD_REASON_CONTEXT_INVALID;
	/* VT-d 4.2.3: only with a device TLB are translation and translated requests allowed. */
	if (walk->type != VTD_UNTRANSLATED && tt != VTD_TT_DEVICE_IOTLB)
		return VTD_REASON_TRANSLATION_BLOCKED;
	context->flags = VTD_CF_LEGACY | VTD_CF_NO_PASID | levels |
			 (walk->fault_processing_disabled ? VTD_CF_FPD : 0) |
			 (tt == VTD_TT_DEVICE_IOTLB ? VTD_CF_DTE : 0);
	set_type(context, tt == VTD_TT_PASS_THROUGH ? VTD_CONTEXT_PASS_THROUGH : VTD_CONTEXT_SECOND,
		 0);
	context->second = tt == VTD_TT_PASS_THROUGH ? 0 : ce[0] & VTD_CE_SSPTPTR;
	walk->pasid = VIOMMU_NO_PASID;
	bind_generations(walk, vtd_field(ce[1], VTD_CE_DID));
	return VTD_REASON_NONE;
}

static unsigned int legacy_walk(struct context_walk *walk, uint64_t root)
{
	struct viommu_unit *unit = walk->unit;
	uint64_t re[2], ce[2];

	/* VT-d 7.1.3 RTA.3, RTA.2: no page requests here, and no PASIDs. */
	if (walk->type == VTD_PAGE_REQUEST)
		return VTD_REASON_TTM_PAGE_REQUEST;
	if (!walk->plain)
		return VTD_REASON_TTM_PASID;
	if (!vtd_read_words(unit, walk->shard, (root & VTD_RTADDR_RTA) + (walk->rid >> 8) * 16, re,
			    2))
		return VTD_REASON_ROOT_ACCESS;
	if (!(re[0] & VTD_ROOT_P))
		return VTD_REASON_ROOT_P;
	if (re[0] & VTD_ROOT_RESERVED || re[1] || re[0] & VTD_ROOT_CTP & vtd_beyond_haw(unit))
		return VTD_REASON_ROOT_RESERVED;
	if (!vtd_read_words(unit, walk->shard, (re[0] & VTD_ROOT_CTP) + (walk->rid & 0xff) * 16, ce,
			    2))
		return VTD_REASON_CONTEXT_ACCESS;
	return legacy_context(walk, ce);
}

/* ---- scalable mode (VT-d 3.4.3, 9.4 to 9.6) ---- */

/* Bits of a CE that are reserved because their capability is absent. */
static uint64_t scalable_ce_reserved(const struct viommu_unit *unit)
{
	uint64_t reserved = VTD_SCE_RESERVED0 | (VTD_SCE_PASIDDIRPTR & vtd_beyond_haw(unit));

	if (!(unit->ecap & VTD_ECAP_DT))
		reserved |= VTD_SCE_DTE;
	if (!(unit->ecap & VTD_ECAP_PASID))
		reserved |= VTD_SCE_PASIDE;
	if (!(unit->ecap & VTD_ECAP_PRS))
		reserved |= VTD_SCE_PRE;
	return reserved;
}

/* VT-d 9.4: PDTS 0 is 2^7 directory entries of 64 PASIDs each. */
static bool beyond_directory(const uint64_t ce[4], uint32_t pasid)
{
	return pasid >> (vtd_field(ce[0], VTD_SCE_PDTS) + 7 + 6);
}

static unsigned int scalable_context_check(struct context_walk *walk, const uint64_t ce[4])
{
	struct viommu_unit *unit = walk->unit;
	uint64_t reserved1 = VTD_SCE_RESERVED1;

	reserved1 |= unit->ecap & VTD_ECAP_RPRIVS ? 0 : VTD_SCE_RID_PRIV;
	reserved1 |= unit->ecap & VTD_ECAP_RPS ? 0 : VTD_SCE_RID_PASID;
	walk->fault_processing_disabled = ce[0] & VTD_CE_FPD;
	if (!(ce[0] & VTD_CE_P))
		return VTD_REASON_S_CONTEXT_P;
	if (ce[0] & scalable_ce_reserved(unit) || ce[1] & reserved1 || ce[2] || ce[3])
		return VTD_REASON_S_CONTEXT_RESERVED;
	/* VT-d 7.1.3 SCT.4.1, SCT.4.2: whatever request it is that comes by. */
	if (ce[0] & VTD_SCE_PRE && !(ce[0] & VTD_SCE_DTE))
		return VTD_REASON_S_CONTEXT_INVALID;
	if (beyond_directory(ce, vtd_field(ce[1], VTD_SCE_RID_PASID)))
		return VTD_REASON_S_CONTEXT_INVALID;
	return VTD_REASON_NONE;
}

/* VT-d 7.1.3 SCT.6, SGN.10, SCT.7, SCT.9: may a request have this PASID? */
static unsigned int scalable_pasid_check(const struct context_walk *walk, const uint64_t ce[4])
{
	uint64_t ecap = walk->unit->ecap;

	if (!(ce[0] & VTD_SCE_PASIDE))
		return VTD_REASON_PASIDE;
	if (walk->type != VTD_PAGE_REQUEST && walk->pasid >> (vtd_field(ecap, VTD_ECAP_PSS) + 1))
		return VTD_REASON_PASID_WIDTH;
	if (beyond_directory(ce, walk->pasid))
		return VTD_REASON_PDTS;
	if (ecap & VTD_ECAP_RPS && walk->pasid == vtd_field(ce[1], VTD_SCE_RID_PASID))
		return VTD_REASON_RID_PASID;
	return VTD_REASON_NONE;
}

/* VT-d 7.1.3 SCT.5 to SCT.9: may this request use the entry? */
static unsigned int scalable_request_check(const struct context_walk *walk, const uint64_t ce[4])
{
	if ((walk->type == VTD_TRANSLATION || walk->type == VTD_TRANSLATED) &&
	    !(ce[0] & VTD_SCE_DTE))
		return VTD_REASON_DTE;
	if (walk->type == VTD_PAGE_REQUEST && !(ce[0] & VTD_SCE_PRE))
		return VTD_REASON_PRE;
	return walk->plain ? VTD_REASON_NONE : scalable_pasid_check(walk, ce);
}

bool vtd_pe_reserved(const struct viommu_unit *unit, const uint64_t pe[8])
{
	uint64_t reserved0 = VTD_PE_RESERVED0, reserved1 = VTD_PE_RESERVED1;
	uint64_t reserved2 = VTD_PE_RESERVED2;

	reserved0 |= unit->ecap & VTD_ECAP_SSADS ? 0 : VTD_PE_SSADE;
	reserved1 |= unit->ecap & VTD_ECAP_SMPWCS ? 0 : VTD_PE_PWSNP;
	reserved1 |= unit->ecap & VTD_ECAP_SC ? 0 : VTD_PE_PGSNP;
	reserved1 |= unit->ecap & VTD_ECAP_MTS ? 0 : VTD_PE_MEMORY_TYPE;
	reserved2 |= unit->ecap & VTD_ECAP_SRS ? 0 : VTD_PE_SRE;
	/* VT-d 9.6: NXE and SMEP are ignored where there are no execute requests. */
	reserved2 |= unit->ecap & VTD_ECAP_ERS ? 0 : VTD_PE_ERE;
	reserved2 |= unit->ecap & VTD_ECAP_EAFS ? 0 : VTD_PE_EAFE;
	/*
	 * VT-d 9.6: fields of a stage that the unit lacks; of the other pointers the bits above HAW,
	 * whatever PGTT is. AW is let pass: Linux fills it in without looking at SSTS.
	 */
	reserved0 |= VTD_PE_SSPTPTR & (unit->ecap & VTD_ECAP_SSTS ? vtd_beyond_haw(unit) : ~0ull);
	reserved2 |= unit->ecap & VTD_ECAP_FSTS ? VTD_PE_FSPTPTR & vtd_beyond_haw(unit)
						: VTD_PE_FSPTPTR | VTD_PE_FSPM | VTD_PE_WPE;
	return pe[0] & reserved0 || pe[1] & reserved1 || pe[2] & reserved2 || pe[3] || pe[4] ||
	       pe[5] || pe[6] || pe[7];
}

/* VT-d 7.1.3 SPT.4.4: nested, the first stage's root is an input of the second stage. */
static bool first_root_reachable(const struct viommu_unit *unit, const uint64_t pe[8])
{
	unsigned int width = 12 + 9 * (2 + vtd_field(pe[0], VTD_PE_AW));

	return !((pe[2] & VTD_PE_FSPTPTR) >> (width < unit->mgaw ? width : unit->mgaw));
}

/* VT-d 9.6: PGTT and, where PGTT makes use of them, AW and FSPM must be ones the unit has. */
static bool pe_supported(const struct viommu_unit *unit, const uint64_t pe[8])
{
	unsigned int aw = vtd_field(pe[0], VTD_PE_AW), fspm = vtd_field(pe[2], VTD_PE_FSPM);
	bool first = fspm == 0 || (fspm == 1 && unit->cap & VTD_CAP_FS5LP);

	switch (vtd_field(pe[0], VTD_PE_PGTT)) {
	case VTD_PGTT_FIRST:
		return unit->ecap & VTD_ECAP_FSTS && first;
	case VTD_PGTT_SECOND:
		return unit->ecap & VTD_ECAP_SSTS && width_supported(unit, aw);
	case VTD_PGTT_NESTED:
		return unit->ecap & VTD_ECAP_NEST && first && width_supported(unit, aw) &&
		       first_root_reachable(unit, pe);
	case VTD_PGTT_PASS_THROUGH:
		return unit->ecap & VTD_ECAP_PT;
	default:
		return false;
	}
}

static uint32_t pe_flags(const struct context_walk *walk, const uint64_t ce[4],
			 const uint64_t pe[8])
{
	static const struct {
		uint64_t field;
		uint32_t flag;
	} second_word[] = {
		{ VTD_PE_SRE, VTD_CF_SRE },   { VTD_PE_ERE, VTD_CF_ERE },
		{ VTD_PE_WPE, VTD_CF_WPE },   { VTD_PE_NXE, VTD_CF_NXE },
		{ VTD_PE_SMEP, VTD_CF_SMEP }, { VTD_PE_EAFE, VTD_CF_EAFE },
	};
	uint32_t flags = 0, aw = vtd_field(pe[0], VTD_PE_AW);
	unsigned int i;

	for (i = 0; i < sizeof(second_word) / sizeof(second_word[0]); i++)
		flags |= pe[2] & second_word[i].field ? second_word[i].flag : 0;
	flags |= vtd_field(pe[2], VTD_PE_FSPM) ? VTD_CF_FIVE_LEVEL : 0;
	flags |= aw << VTD_CF_SS_LEVELS_SHIFT & VTD_CF_SS_LEVELS;
	flags |= pe[0] & VTD_PE_SSADE ? VTD_CF_SSADE : 0;
	flags |= pe[1] & VTD_PE_PGSNP ? VTD_CF_PGSNP : 0;
	flags |= walk->fault_processing_disabled ? VTD_CF_FPD : 0;
	flags |= ce[0] & VTD_SCE_DTE ? VTD_CF_DTE : 0;
	flags |= ce[0] & VTD_SCE_PRE ? VTD_CF_PRE : 0;
	if (walk->plain)
		flags |= VTD_CF_NO_PASID | (ce[1] & VTD_SCE_RID_PRIV ? VTD_CF_RID_PRIV : 0);
	/* VT-d 9.6 PWSNP */
	flags |= pe[1] & VTD_PE_PWSNP ? 0 : VTD_CF_NO_SNOOP;
	return flags;
}

static unsigned int scalable_pe(struct context_walk *walk, const uint64_t ce[4],
				const uint64_t pe[8])
{
	static const enum vtd_context_type types[] = {
		[VTD_PGTT_FIRST] = VTD_CONTEXT_FIRST,
		[VTD_PGTT_SECOND] = VTD_CONTEXT_SECOND,
		[VTD_PGTT_NESTED] = VTD_CONTEXT_NESTED,
		[VTD_PGTT_PASS_THROUGH] = VTD_CONTEXT_PASS_THROUGH,
	};
	struct vtd_context *context = walk->context;
	enum vtd_context_type type;

	unsigned int reason = vtd_pasid_entry_reason(walk->unit, pe);

	walk->fault_processing_disabled |= !!(pe[0] & VTD_PE_FPD);
	if (reason)
		return reason;
	type = types[vtd_field(pe[0], VTD_PE_PGTT)];
	context->flags = pe_flags(walk, ce, pe);
	set_type(context, type, 0);
	context->first = type == VTD_CONTEXT_FIRST || type == VTD_CONTEXT_NESTED
				 ? pe[2] & VTD_PE_FSPTPTR
				 : 0;
	context->second = type == VTD_CONTEXT_SECOND || type == VTD_CONTEXT_NESTED
				  ? pe[0] & VTD_PE_SSPTPTR
				  : 0;
	bind_generations(walk, vtd_field(pe[1], VTD_PE_DID));
	return VTD_REASON_NONE;
}

/* VT-d 7.1.1: one of the conditions that are reported whatever FPD says. */
static unsigned int unqualified(struct context_walk *walk, unsigned int reason)
{
	walk->fault_processing_disabled = false;
	return reason;
}

static unsigned int scalable_pasid(struct context_walk *walk, const uint64_t ce[4], uint64_t pe[8])
{
	struct viommu_unit *unit = walk->unit;
	uint64_t pde;

	if (!vtd_read_words(unit, walk->shard,
			    (ce[0] & VTD_SCE_PASIDDIRPTR) + walk->pasid / VTD_PASIDS_PER_TABLE * 8,
			    &pde, 1))
		return unqualified(walk, VTD_REASON_PDE_ACCESS);
	walk->fault_processing_disabled |= !!(pde & VTD_PDE_FPD);
	if (!(pde & VTD_PDE_P))
		return VTD_REASON_PDE_P;
	if (pde & VTD_PDE_RESERVED || pde & VTD_PDE_SMPTBLPTR & vtd_beyond_haw(unit))
		return VTD_REASON_PDE_RESERVED;
	if (!vtd_read_words(unit, walk->shard,
			    (pde & VTD_PDE_SMPTBLPTR) + walk->pasid % VTD_PASIDS_PER_TABLE * 64, pe,
			    8))
		return unqualified(walk, VTD_REASON_PE_ACCESS);
	return VTD_REASON_NONE;
}

/* VT-d 9.2: the root entry's halves serve devfn 0x00-0x7f and 0x80-0xff. */
static unsigned int scalable_ce(struct context_walk *walk, uint64_t root, uint64_t ce[4])
{
	struct viommu_unit *unit = walk->unit;
	uint64_t re, half = walk->rid & 0x80 ? 8 : 0;

	if (!vtd_read_words(unit, walk->shard,
			    (root & VTD_RTADDR_RTA) + (walk->rid >> 8) * 16 + half, &re, 1))
		return VTD_REASON_S_ROOT_ACCESS;
	if (!(re & VTD_ROOT_P))
		return VTD_REASON_S_ROOT_P;
	if (re & VTD_ROOT_RESERVED || re & VTD_ROOT_CTP & vtd_beyond_haw(unit))
		return VTD_REASON_S_ROOT_RESERVED;
	if (!vtd_read_words(unit, walk->shard, (re & VTD_ROOT_CTP) + (walk->rid & 0x7f) * 32, ce,
			    4))
		return VTD_REASON_S_CONTEXT_ACCESS;
	return VTD_REASON_NONE;
}

static unsigned int scalable_walk(struct context_walk *walk, uint64_t root)
{
	uint64_t ce[4], pe[8];
	unsigned int reason = scalable_ce(walk, root, ce);

	if (!reason)
		reason = scalable_context_check(walk, ce);
	if (!reason)
		reason = scalable_request_check(walk, ce);
	if (reason)
		return reason;
	/* VT-d 9.4: without RPS the field is reserved, and PASID 0 it is. */
	if (walk->plain)
		walk->pasid = vtd_field(ce[1], VTD_SCE_RID_PASID);
	/* VT-d 7.1.3: translated requests and page requests, too, need a PE. */
	reason = scalable_pasid(walk, ce, pe);
	if (!reason)
		reason = scalable_pe(walk, ce, pe);
	return reason;
}

static unsigned int walk_tables(struct context_walk *walk, uint64_t root)
{
	const struct viommu_unit *unit = walk->unit;

	switch (vtd_field(root, VTD_RTADDR_TTM)) {
	case VTD_TTM_LEGACY:
		return legacy_walk(walk, root);
	case VTD_TTM_SCALABLE:
		return unit->ecap & VTD_ECAP_SMTS ? scalable_walk(walk, root) : VTD_REASON_TTM;
	case VTD_TTM_ABORT:
		return unit->ecap & VTD_ECAP_ADMS ? VTD_REASON_TTM_ABORT : VTD_REASON_TTM;
	default:
		return VTD_REASON_TTM;
	}
}

/* VT-d 11.4.4 TE: with translation off, plain requests pass; what needs tables is refused unlogged.
 */
static unsigned int identity(struct context_walk *walk)
{
	walk->fault_processing_disabled = true;
	if (walk->type == VTD_PAGE_REQUEST)
		return VTD_REASON_TTM_PAGE_REQUEST;
	if (!walk->plain)
		return VTD_REASON_TTM_PASID;
	if (walk->type != VTD_UNTRANSLATED)
		return VTD_REASON_TRANSLATION_BLOCKED;
	walk->context->flags = VTD_CF_NO_PASID;
	set_type(walk->context, VTD_CONTEXT_IDENTITY, 0);
	bind_generations(walk, 0);
	return VTD_REASON_NONE;
}

/* ---- the cache ---- */

/* The generations of the context's DID and PASID: it points into both records. */
static const struct vtd_pasid_slot *slot_of(const struct vtd_context *context)
{
	enum vtd_context_type type = vtd_context_type(context);
	bool by_pasid = type == VTD_CONTEXT_FIRST || type == VTD_CONTEXT_NESTED;

	return (const void *)((const char *)context->pasid_generation -
			      (by_pasid ? offsetof(struct vtd_pasid_slot, iotlb)
					: offsetof(struct vtd_pasid_slot, none)));
}

/* Everything that can make a cached context invalid. */
static uint64_t context_stamp(const struct viommu_endpoint *endpoint,
			      const struct vtd_context *context)
{
	const struct viommu_unit *unit = endpoint->unit;

	return vtd_load(&unit->generations.context_global) +
	       vtd_load(&unit->generations.domains[(uint16_t)context->tag].context) +
	       vtd_load(&slot_of(context)->context) + vtd_load(&endpoint->device_generation);
}

static struct vtd_context *slot_find(struct viommu_endpoint *endpoint, uint32_t pasid)
{
	struct vtd_context **leaves, *leaf;

	if (pasid == VIOMMU_NO_PASID)
		return &endpoint->plain;
	leaves = vtd_load(&endpoint->leaves);
	leaf = leaves ? vtd_load(&leaves[pasid >> VTD_LEAF_SHIFT]) : NULL;
	return leaf ? &leaf[pasid & (VTD_LEAF_CONTEXTS - 1)] : NULL;
}

/* Publish `fresh` in *where unless somebody was faster. */
static void *publish(void **where, void *fresh)
{
	void *expected = NULL;

	if (!fresh)
		return vtd_load(where);
	if (__atomic_compare_exchange_n(where, &expected, fresh, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return fresh;
	viommu_free(fresh);
	return expected;
}

/* NULL when there is no memory: then the request is translated without the cache. */
static struct vtd_context *slot_create(struct viommu_endpoint *endpoint, uint32_t pasid)
{
	struct vtd_context **leaves = vtd_load(&endpoint->leaves), *leaf;
	void **where;

	if (!leaves)
		leaves = publish((void **)&endpoint->leaves,
				 viommu_calloc(VTD_LEAVES, sizeof(*leaves)));
	if (!leaves)
		return NULL;
	where = (void **)&leaves[pasid >> VTD_LEAF_SHIFT];
	leaf = vtd_load(where);
	if (!leaf)
		leaf = publish(where, viommu_aligned_zalloc(sizeof(*leaf),
							    VTD_LEAF_CONTEXTS * sizeof(*leaf)));
	return leaf ? &leaf[pasid & (VTD_LEAF_CONTEXTS - 1)] : NULL;
}

static bool slot_read(const struct vtd_context *slot, struct vtd_context *copy)
{
	copy->sequence = vtd_load(&slot->sequence);
	copy->flags = vtd_load(&slot->flags);
	copy->epoch = vtd_load(&slot->epoch);
	copy->stamp = vtd_load(&slot->stamp);
	copy->tag = vtd_load(&slot->tag);
	copy->first = vtd_load(&slot->first);
	copy->second = vtd_load(&slot->second);
	copy->domain_generation = vtd_load(&slot->domain_generation);
	copy->pasid_generation = vtd_load(&slot->pasid_generation);
	return !(copy->sequence & 1) && vtd_load_plain(&slot->sequence) == copy->sequence;
}

static void slot_write(struct vtd_context *slot, const struct vtd_context *context)
{
	uint32_t sequence = vtd_load_plain(&slot->sequence);

	if (sequence & 1 || !__atomic_compare_exchange_n(&slot->sequence, &sequence, sequence + 1,
							 false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	vtd_store(&slot->flags, context->flags);
	vtd_store(&slot->epoch, context->epoch);
	vtd_store(&slot->stamp, context->stamp);
	vtd_store(&slot->tag, context->tag);
	vtd_store(&slot->first, context->first);
	vtd_store(&slot->second, context->second);
	vtd_store(&slot->domain_generation, context->domain_generation);
	vtd_store(&slot->pasid_generation, context->pasid_generation);
	vtd_store(&slot->sequence, sequence + 2);
}

/* A valid copy of the cached context, its epoch brought up to date. */
static bool cached(struct viommu_endpoint *endpoint, uint32_t pasid, struct vtd_context *copy)
{
	struct vtd_context *slot = slot_find(endpoint, pasid);
	uint64_t epoch = vtd_load(&endpoint->unit->generations.epoch);

	if (!slot || !slot_read(slot, copy) || !copy->epoch)
		return false;
	if (copy->epoch == epoch)
		return true;
	if (copy->stamp != context_stamp(endpoint, copy))
		return false;
	copy->epoch = epoch;
	slot_write(slot, copy);
	return true;
}

/* VT-d 4.2.3: what a cached CE says about requests other than untranslated ones. */
static bool type_allowed(const struct vtd_context *context, enum vtd_request type)
{
	if (type == VTD_UNTRANSLATED)
		return true;
	return context->flags & (type == VTD_PAGE_REQUEST ? VTD_CF_PRE : VTD_CF_DTE);
}

static unsigned int walk_and_cache(struct viommu_endpoint *endpoint, struct context_walk *walk,
				   uint32_t pasid)
{
	struct viommu_unit *unit = endpoint->unit;
	uint64_t epoch = vtd_load(&unit->generations.epoch);
	struct vtd_context *slot;
	unsigned int reason;

	*walk->context = (struct vtd_context){ 0 };
	reason = vtd_load(&unit->translating) ? walk_tables(walk, vtd_load(&unit->root))
					      : identity(walk);
	if (reason)
		return reason;
	walk->context->epoch = epoch;
	/* A page request may have a PASID that other requests may not (SGN.10). */
	if (walk->type == VTD_PAGE_REQUEST)
		return VTD_REASON_NONE;
	walk->context->stamp = context_stamp(endpoint, walk->context);
	/* Something was invalidated meanwhile; good for this request, not for later ones. */
	if (vtd_load(&unit->generations.epoch) != epoch)
		return VTD_REASON_NONE;
	slot = slot_find(endpoint, pasid);
	if (!slot)
		slot = slot_create(endpoint, pasid);
	if (slot)
		slot_write(slot, walk->context);
	return VTD_REASON_NONE;
}

unsigned int vtd_context_get(struct viommu_endpoint *endpoint, uint32_t pasid,
			     enum vtd_request type, struct vtd_context *copy,
			     bool *fault_processing_disabled)
{
	struct context_walk walk = {
		.unit = endpoint->unit,
		.shard = vtd_shard(endpoint),
		.rid = endpoint->rid,
		.pasid = pasid,
		.plain = pasid == VIOMMU_NO_PASID,
		.type = type,
		.context = copy,
	};
	unsigned int reason;

	if (cached(endpoint, pasid, copy) && type_allowed(copy, type)) {
		*fault_processing_disabled = copy->flags & VTD_CF_FPD;
		return VTD_REASON_NONE;
	}
	vtd_count(&walk.shard->context_misses, 1);
	reason = walk_and_cache(endpoint, &walk, pasid);
	*fault_processing_disabled = walk.fault_processing_disabled;
	return reason;
}

void vtd_contexts_free(struct viommu_endpoint *endpoint)
{
	unsigned int i;

	if (!endpoint->leaves)
		return;
	for (i = 0; i < VTD_LEAVES; i++)
		viommu_free(endpoint->leaves[i]);
	viommu_free(endpoint->leaves);
}

static bool counts(struct viommu_endpoint *endpoint, const struct vtd_context *slot)
{
	struct vtd_context copy;

	return slot_read(slot, &copy) && copy.epoch && copy.stamp == context_stamp(endpoint, &copy);
}

uint64_t vtd_contexts_count(struct viommu_endpoint *endpoint)
{
	struct vtd_context **leaves = vtd_load(&endpoint->leaves), *leaf;
	uint64_t count = 0;
	uint32_t i, j;

	for (i = 0; leaves && i < VTD_LEAVES; i++) {
		leaf = vtd_load(&leaves[i]);
		for (j = 0; leaf && j < VTD_LEAF_CONTEXTS; j++)
			count += counts(endpoint, &leaf[j]);
	}
	return count;
}

/* ---- the same checks for lib/passthrough, which reads the entries itself ---- */

unsigned int vtd_legacy_entry_reason(struct viommu_unit *unit, const uint64_t ce[2])
{
	struct vtd_context context = { 0 };
	struct context_walk walk = {
		.unit = unit, .type = VTD_UNTRANSLATED, .plain = true, .context = &context,
	};

	return legacy_context(&walk, ce);
}

unsigned int vtd_context_entry_reason(struct viommu_unit *unit, const uint64_t ce[4])
{
	struct context_walk walk = { .unit = unit, .type = VTD_UNTRANSLATED, .plain = true };

	return scalable_context_check(&walk, ce);
}

unsigned int vtd_pasid_entry_reason(const struct viommu_unit *unit, const uint64_t pe[8])
{
	if (!(pe[0] & VTD_PE_P))
		return VTD_REASON_PE_P;
	if (vtd_pe_reserved(unit, pe))
		return VTD_REASON_PE_RESERVED;
	return pe_supported(unit, pe) ? VTD_REASON_NONE : VTD_REASON_PE_INVALID;
}
