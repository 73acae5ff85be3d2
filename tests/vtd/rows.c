/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VT-d 7.1.3, table 30, row by row: what becomes of each kind of request under each condition.
 *
 * A row says how tables that are in order are to be spoiled, the reason, and then, in the order of
 * the specification's columns, how an untranslated request, a translation request (both without and
 * with PASID), a translated request and a page request (without and with PASID) end. Every row is
 * tried a second time with FPD set in the context entry, which silences "qualified" reasons only
 * (VT-d 7.1.1). Not here are rows of what this unit never has: HPT (SPT.9, HPT.1 to HPT.6), PASIDs in
 * translated requests (SCT.4.3, SCT.10), SSIRWE (RTA.1.4), major version 8 (RTA.5).
 */
#include <stdio.h>
#include <stdlib.h>

#include "expect.h"

#define NONE  VIOMMU_NO_PASID
#define P1    3
#define IOVA  0x1000
#define PAGE  0x5000
#define GONE  KIT_RAM /* an address without memory */
#define ADDR  0x000ffffffffff000ull
#define FEE   0xfee00000ull
#define RO_AT (KIT_RAM + 0x10000) /* read-only memory */

/* How a request ends. */
enum end {
	NA, /* the condition is not one of such a request; another may be */
	OK, /* it is not met: the request gets through */
	UR,
	CA,
	EMPTY, /* success, nothing granted */
	PART,  /* success, with the permissions there are */
	IR,    /* a page request: the response is "invalid request" */
};

enum column { U, UP, T, TP, X, P, PP, COLUMNS };

/* A word of the tables; PE words are those of both PASIDs. */
enum where {
	NOWHERE,
	RTADDR,
	ROOT,
	CE0,
	CE1,
	DIRECTORY,
	PE0,
	PE1,
	PE2,
	TOP,	    /* entries of the stage that translates IOVA */
	MIDDLE,	    /* level 2 */
	LEAF,
	SS_OF_TOP,  /* nested: what the second stage says of the first stage's top table */
	SS_OF_LEAF, /* of its last table */
	SS_OF_PAGE, /* of the page */
};

struct patch {
	enum where where;
	uint64_t clear, set;
};

enum table { FIRST, SECOND, NESTED, PASS, LEGACY };

struct row {
	const char *name;
	unsigned int reason;
	bool qualified;
	enum table table;
	struct patch patch[2];
	enum end end[COLUMNS];
	uint64_t iova;	 /* 0: IOVA */
	uint32_t pasid;	 /* 0: P1 */
	uint32_t access; /* 0: read */
	bool own_pasid;	 /* the PASID is RID_PASID */
	bool read_only;	 /* the top table lies in read-only memory */
	const char *option, *value;
};

struct scene {
	struct kit kit;
	const struct row *row;
	uint64_t queue;
	uint64_t root, second; /* of the first or only stage; of nested: the second one */
	uint64_t pe[2];
	void *rom;
	bool fpd;
};

/* The first stage's tables and the page, one by one, so that each can be spoiled. */
static void map_identity(struct kit *kit, uint64_t second)
{
	uint64_t end = kit->next_page + 0x10000;

	for (uint64_t gpa = KIT_DATA_END; gpa < end; gpa += 0x1000)
		kit_map_second(kit, second, 4, gpa, 1, gpa | SS_R | SS_W);
	kit_map_second(kit, second, 4, PAGE, 1, PAGE | SS_R | SS_W);
}

static void make_scalable(struct scene *s, uint32_t pasid)
{
	struct kit *kit = &s->kit;
	enum table table = s->row->table;

	kit_start(kit, TTM_SCALABLE);
	s->pe[0] = kit_pasid_entry(kit, KIT_RID, 0);
	s->pe[1] = kit_pasid_entry(kit, KIT_RID, pasid);
	if (table == FIRST)
		s->root = kit_setup_first(kit, pasid, 4);
	else if (table == SECOND)
		s->root = kit_setup_second(kit, pasid, 4);
	else if (table == NESTED)
		s->root = kit_setup_nested(kit, pasid, 4, 4, &s->second);
	else
		kit_set_pasid_entry(kit, KIT_RID, pasid, PE_P | PE_PASS | 2 << PE_AW_SHIFT, KIT_DID, 0);
	if (table == FIRST || table == NESTED)
		kit_map_first(kit, s->root, 4, IOVA, 1, PAGE | FS_P | FS_RW | FS_US);
	if (table == SECOND)
		kit_map_second(kit, s->root, 4, IOVA, 1, PAGE | SS_R | SS_W);
	if (table == NESTED)
		map_identity(kit, s->second);
	memcpy(kit->ram + s->pe[0], kit->ram + s->pe[1], 64);
}

static void make_legacy(struct scene *s)
{
	kit_start(&s->kit, TTM_LEGACY);
	s->root = kit_setup_legacy(&s->kit, KIT_RID, 4);
	kit_put(&s->kit, kit_context_legacy(&s->kit, KIT_RID), s->root | CE_P | CE_TT_DEVICE_TLB);
	kit_map_second(&s->kit, s->root, 4, IOVA, 1, PAGE | SS_R | SS_W);
}

static uint64_t place(struct scene *s, enum where where, int which)
{
	struct kit *kit = &s->kit;
	uint64_t ce = s->row->table == LEGACY ? kit_context_legacy(kit, KIT_RID)
					      : kit_context_scalable(kit, KIT_RID);
	uint64_t leaf = s->root ? kit_first_leaf(kit, s->root, 4, IOVA, 1) : 0;

	switch (where) {
	case ROOT:
		return kit->root;
	case CE0:
	case CE1:
		return ce + 8 * (where - CE0);
	case DIRECTORY:
		return kit_get(kit, ce) & ADDR;
	case PE0:
	case PE1:
	case PE2:
		return s->pe[which] + 8 * (where - PE0);
	case TOP:
		return s->root;
	case MIDDLE:
		return kit_first_leaf(kit, s->root, 4, IOVA, 2);
	case LEAF:
		return leaf;
	case SS_OF_TOP:
		return kit_second_leaf(kit, s->second, 4, s->root, 1);
	case SS_OF_LEAF:
		return kit_second_leaf(kit, s->second, 4, leaf, 1);
	default:
		return kit_second_leaf(kit, s->second, 4, PAGE, 1);
	}
}

static void apply(struct scene *s, const struct patch *patch)
{
	struct kit *kit = &s->kit;
	bool twice = patch->where >= PE0 && patch->where <= PE2;

	if (patch->where == RTADDR) {
		kit_set_root(kit, ((kit->root | kit->ttm) & ~patch->clear) | patch->set);
		return;
	}
	for (int which = 0; patch->where && which < (twice ? 2 : 1); which++) {
		uint64_t at = place(s, patch->where, which);

		kit_put(kit, at, (kit_get(kit, at) & ~patch->clear) | patch->set);
	}
}

/* Read-only memory with a copy of the top table, for the PEs to point to. */
static void make_read_only(struct scene *s)
{
	bool first = s->row->table == FIRST;
	struct patch patch = { first ? PE2 : PE0, ADDR, RO_AT };

	s->rom = aligned_alloc(4096, 4096);
	assert_non_null(s->rom);
	memcpy(s->rom, s->kit.ram + s->root, 4096);
	assert_int_equal(viommu_memory_add_hva(s->kit.memory, RO_AT, 4096, s->rom,
					       VIOMMU_SEGMENT_READONLY),
			 0);
	apply(s, &patch);
}

static void make(struct scene *s, const struct row *row, bool fpd)
{
	struct patch silence = { CE0, 0, CE_FPD };
	struct viommu_unit_options options;

	*s = (struct scene){ .row = row, .fpd = fpd };
	viommu_unit_options_init(&options);
	if (row->option)
		viommu_unit_options_set(&options, row->option, row->value, NULL, 0);
	kit_create(&s->kit, &options);
	s->queue = kit_page(&s->kit);
	kit_write(&s->kit, REG_PQA, 8, s->queue);
	if (row->table == LEGACY)
		make_legacy(s);
	else
		make_scalable(s, row->pasid ? row->pasid : P1);
	if (fpd)
		apply(s, &silence);
	if (row->read_only)
		make_read_only(s);
	for (int i = 0; i < 2; i++)
		apply(s, &row->patch[i]);
}

static const char *where_we_are(const struct scene *s, enum column column)
{
	static const char *const names[] = { "U", "U+PASID", "T", "T+PASID", "X", "P", "P+PASID" };
	static char text[64];

	snprintf(text, sizeof(text), "%s%s %s", s->row->name, s->fpd ? " with FPD" : "",
		 names[column]);
	return text;
}

#define require(condition)                                                                \
	do {                                                                              \
		if (!(condition))                                                         \
			fail_msg("%s: line %d: %s", where_we_are(s, column), __LINE__, #condition); \
	} while (0)

/* Is there a record of the row's reason, as there should be? */
static void expect_record(struct scene *s, enum column column, bool wanted)
{
	struct kit_record record = { 0 };
	bool found = kit_take_fault(&s->kit, &record);

	require(found == (wanted && !(s->fpd && s->row->qualified)));
	if (!found)
		return;
	require(record.reason == s->row->reason);
	require(record.at == (column >= P ? 0 : column / 2));
	require(record.t2 == (column >= P || s->row->access == VIOMMU_ATOMIC));
	require(record.pp == (column == UP || column == TP || column == PP));
	require(!(kit_read(&s->kit, REG_FSTS, 4) & FSTS_PPF));
}

static void try_page_request(struct scene *s, enum column column, uint32_t pasid, uint64_t iova,
			     uint32_t access)
{
	unsigned int responses = s->kit.responses;
	uint64_t tail = kit_read(&s->kit, REG_PQT, 8);
	enum end end = s->row->end[column];

	if (access & VIOMMU_ATOMIC)
		access = VIOMMU_WRITE;
	for (int last = 0; last < 2; last++) {
		require(viommu_page_request(s->kit.endpoint, pasid, iova, access, 7, last) == 0);
		if (end == IR)
			expect_record(s, column, true);
	}
	require(s->kit.responses - responses == (end == IR ? 1 : 0));
	require(kit_read(&s->kit, REG_PQT, 8) - tail == (end == IR ? 0 : 64));
	if (end != IR)
		return;
	require(s->kit.response[responses].code == VIOMMU_RESPONSE_INVALID);
	require(s->kit.response[responses].pasid == pasid);
}

static void try_request(struct scene *s, enum column column, uint32_t pasid, uint64_t iova,
			uint32_t access)
{
	enum end end = s->row->end[column];
	struct viommu_translation t = { 0 };
	int result;

	if (column <= UP)
		result = viommu_translate(s->kit.endpoint, pasid, iova, access, &t);
	else if (column <= TP)
		result = viommu_ats_translate(s->kit.endpoint, pasid, iova, access, &t);
	else
		result = viommu_translated_request(s->kit.endpoint, iova, access, &t);
	if (end != UR && end != CA) {
		require(result == 0);
		require(t.completion == VIOMMU_COMPLETION_SUCCESS && !t.untranslated_only);
		require(!t.fault.reason);
		require(end == EMPTY ? !t.granted : t.granted != 0);
		if (end == PART)
			require(t.granted == (s->row->access == VIOMMU_ATOMIC ? VIOMMU_WRITE :
										  VIOMMU_READ));
		/* VT-d 7.1.3 SFS.10: the one answer that is reported too. */
		expect_record(s, column, end == EMPTY && s->row->reason == 0x91);
		return;
	}
	require(result == VIOMMU_FAULT);
	require(t.fault.reason == s->row->reason);
	if (column >= T)
		require(t.completion == (end == UR ? VIOMMU_COMPLETION_UNSUPPORTED :
						     VIOMMU_COMPLETION_ABORT));
	expect_record(s, column, true);
}

static void try_row(const struct row *row, bool fpd)
{
	static struct scene scene;
	struct scene *s = &scene;

	make(s, row, fpd);
	for (enum column column = U; column < COLUMNS; column++) {
		bool with = column == UP || column == TP || column == PP;
		uint32_t pasid = !with ? NONE : row->own_pasid ? 0 : row->pasid ? row->pasid : P1;
		uint64_t iova = row->iova ? row->iova : IOVA;
		uint32_t access = row->access ? row->access : VIOMMU_READ;

		if (row->end[column] == NA)
			continue;
		/* VT-d 6.5.2.11: with a reserved mode no descriptor is executed; setting it dropped all. */
		if (s->kit.ttm != TTM_RESERVED)
			assert_true(kit_flush_all(&s->kit));
		(column >= P ? try_page_request : try_request)(s, column, pasid, iova, access);
	}
	kit_destroy(&s->kit);
	free(s->rom);
}

/* Patches that many rows have in common. */
#define LOSE(where) { where, ADDR, GONE }
#define DROP(where, bits) { where, bits, 0 }
#define ADD(where, bits) { where, 0, bits }
#define LIMIT_AW { PE0, 7 << PE_AW_SHIFT, 1 << PE_AW_SHIFT }

static const struct row rows[] = {
	/* Root-table address register */
	{ "RTA.1", 0x30, false, FIRST, { { RTADDR, TTM_ABORT, TTM_RESERVED } },
	  { UR, UR, CA, CA, UR, IR, IR } },
	{ "RTA.2", 0x31, false, LEGACY, { { 0 } }, { OK, UR, OK, UR, OK } },
	{ "RTA.3", 0x32, false, LEGACY, { { 0 } }, { OK, NA, OK, NA, OK, IR, IR } },
	{ "RTA.4", 0x33, false, FIRST, { ADD(RTADDR, TTM_ABORT) }, { UR, UR, UR, UR, UR, IR, IR } },
	/* Legacy mode */
	{ "LRT.1", 0x08, false, LEGACY, { LOSE(RTADDR) }, { UR, NA, CA, NA, UR } },
	{ "LRT.2", 0x01, false, LEGACY, { DROP(ROOT, 1) }, { UR, NA, UR, NA, UR } },
	{ "LRT.3", 0x0a, false, LEGACY, { ADD(ROOT, 2) }, { UR, NA, CA, NA, UR } },
	{ "LCT.1", 0x09, false, LEGACY, { LOSE(ROOT) }, { UR, NA, CA, NA, UR } },
	{ "LCT.2", 0x02, true, LEGACY, { DROP(CE0, CE_P) }, { UR, NA, UR, NA, UR } },
	{ "LCT.3", 0x0b, true, LEGACY, { ADD(CE0, BIT(4)) }, { UR, NA, CA, NA, UR } },
	{ "LCT.4.1", 0x03, true, LEGACY, { ADD(CE1, 7) }, { UR, NA, CA, NA, UR } },
	{ "LCT.4.2", 0x03, true, LEGACY, { ADD(CE0, 3 << CE_TT_SHIFT) }, { UR, NA, CA, NA, UR } },
	{ "LCT.4.3", 0x03, true, LEGACY, { LOSE(CE0) }, { UR, NA, CA, NA, OK } },
	{ "LCT.5", 0x0d, true, LEGACY, { DROP(CE0, CE_TT_DEVICE_TLB) }, { OK, NA, UR, NA, UR } },
	{ "LSS.1", 0x07, true, LEGACY, { LOSE(MIDDLE) }, { UR, NA, CA, NA, OK } },
	{ "LSS.2", 0x0c, true, LEGACY, { ADD(LEAF, BIT(51)) }, { UR, NA, CA, NA, OK } },
	{ "LSS.2 IW", 0x0c, true, LEGACY, { ADD(MIDDLE, BIT(62)) }, { UR, NA, CA, NA, OK } },
	{ "LGN.1.1", 0x04, true, LEGACY, { { CE1, 7, 1 } }, { UR, NA, EMPTY, NA, OK }, .iova = BIT(40) },
	{ "LGN.1.2", 0x04, true, LEGACY, { { 0 } }, { UR, NA, EMPTY, NA, UR }, .iova = BIT(50) },
	{ "LGN.1.3", 0x04, true, LEGACY, { { CE0, ADDR | CE_TT_DEVICE_TLB, BIT(50) | CE_TT_PASS } },
	  { UR }, .iova = BIT(50) },
	{ "LGN.1.3 AW", 0x04, true, LEGACY, { { CE0, CE_TT_DEVICE_TLB, CE_TT_PASS }, { CE1, 7, 1 } },
	  { UR }, .iova = BIT(40) },
	{ "LGN.2", 0x05, true, LEGACY, { DROP(LEAF, SS_W) }, { UR, NA, PART, NA, OK },
	  .access = VIOMMU_WRITE },
	{ "LGN.3", 0x06, true, LEGACY, { DROP(LEAF, SS_R) }, { UR, NA, PART, NA, OK },
	  .access = VIOMMU_ATOMIC },
	{ "LGN.3 NW", 0x06, true, LEGACY, { DROP(LEAF, SS_R) }, { UR, NA, EMPTY, NA, OK } },
	{ "LGN.4", 0x0e, true, LEGACY, { { LEAF, ADDR, FEE } }, { UR, NA, CA, NA, OK } },
	{ "LGN.4 X", 0x0e, true, LEGACY, { { 0 } }, { UR, NA, EMPTY, NA, UR }, .iova = FEE },
	/* Scalable root and context entries */
	{ "SRT.1", 0x38, false, FIRST, { LOSE(RTADDR) }, { UR, UR, CA, CA, UR, IR, IR } },
	{ "SRT.2", 0x39, false, FIRST, { DROP(ROOT, 1) }, { UR, UR, UR, UR, UR, IR, IR } },
	{ "SRT.3", 0x3a, false, FIRST, { ADD(ROOT, 2) }, { UR, UR, CA, CA, UR, IR, IR } },
	{ "SCT.1", 0x40, false, FIRST, { LOSE(ROOT) }, { UR, UR, CA, CA, UR, IR, IR } },
	{ "SCT.2", 0x41, true, FIRST, { DROP(CE0, CE_P) }, { UR, UR, UR, UR, UR, IR, IR } },
	{ "SCT.3", 0x42, true, FIRST, { ADD(CE0, BIT(5)) }, { UR, UR, CA, CA, UR, IR, IR } },
	{ "SCT.3 RPS", 0x42, true, FIRST, { ADD(CE1, 1) }, { UR, UR, CA, CA, UR, IR, IR },
	  .option = "rid-pasid", .value = "off" },
	{ "SCT.4.1", 0x43, true, FIRST, { DROP(CE0, CE_DTE) }, { UR, UR, CA, CA, UR, IR, IR } },
	{ "SCT.4.2", 0x43, true, FIRST, { DROP(CE0, 7 << CE_PDTS_SHIFT), ADD(CE1, 1 << 13) },
	  { UR, UR, CA, CA, UR, IR, IR } },
	{ "SCT.5", 0x44, true, FIRST, { DROP(CE0, CE_DTE | CE_PRE) }, { OK, OK, UR, UR, UR } },
	{ "SCT.6", 0x45, true, FIRST, { DROP(CE0, CE_PASIDE) }, { OK, UR, OK, UR, OK, OK, IR } },
	{ "SCT.7", 0x46, true, FIRST, { DROP(CE0, 7 << CE_PDTS_SHIFT) }, { OK, UR, OK, UR, OK, OK, IR },
	  .pasid = 1 << 13 },
	{ "SCT.8", 0x47, true, FIRST, { DROP(CE0, CE_PRE) }, { OK, OK, OK, OK, OK, IR, IR } },
	{ "SCT.9", 0x48, true, FIRST, { { 0 } }, { OK, UR, OK, UR, OK, OK, IR }, .own_pasid = true },
	{ "SGN.10", 0x89, true, FIRST, { { 0 } }, { OK, UR, OK, UR, OK, OK, OK }, .pasid = 256,
	  .option = "pasid-bits", .value = "8" },
	/* PASID directory and table */
	{ "SPD.1", 0x50, false, FIRST, { LOSE(CE0) }, { UR, UR, CA, CA, CA, IR, IR } },
	{ "SPD.2", 0x51, true, FIRST, { DROP(DIRECTORY, 1) }, { UR, UR, EMPTY, EMPTY, UR, IR, IR } },
	{ "SPD.3", 0x52, true, FIRST, { ADD(DIRECTORY, 4) }, { UR, UR, CA, CA, CA, IR, IR } },
	{ "SPT.1", 0x58, false, FIRST, { LOSE(DIRECTORY) }, { UR, UR, CA, CA, CA, IR, IR } },
	{ "SPT.2", 0x59, true, FIRST, { DROP(PE0, PE_P) }, { UR, UR, EMPTY, EMPTY, UR, IR, IR } },
	{ "SPT.3", 0x5a, true, FIRST, { ADD(PE0, BIT(5)) }, { UR, UR, CA, CA, CA, IR, IR } },
	{ "SPT.4.1", 0x5b, true, SECOND, { ADD(PE0, 7 << PE_AW_SHIFT) }, { UR, UR, CA, CA, CA, IR, IR } },
	{ "SPT.4.2", 0x5b, true, FIRST, { DROP(PE0, 7 << 6) }, { UR, UR, CA, CA, CA, IR, IR } },
	{ "SPT.4.3", 0x5b, true, FIRST, { ADD(PE2, 3 << 2) }, { UR, UR, CA, CA, CA, IR, IR } },
	{ "SPT.4.4", 0x5b, true, NESTED, { LIMIT_AW, { PE2, ADDR, BIT(40) } },
	  { UR, UR, CA, CA, CA, IR, IR } },
	{ "SPT.5", 0x5c, true, FIRST, { { 0 } }, { OK, UR, OK, EMPTY, OK, OK, OK },
	  .access = VIOMMU_EXECUTE },
	{ "SPT.6", 0x5d, true, FIRST, { { 0 } }, { OK, UR, OK, EMPTY, OK, OK, OK },
	  .access = VIOMMU_READ | VIOMMU_PRIVILEGED },
	/* First stage */
	{ "SFS.1", 0x70, true, FIRST, { LOSE(MIDDLE) }, { UR, UR, EMPTY, EMPTY, OK, OK, OK } },
	{ "SFS.2", 0x71, true, FIRST, { DROP(LEAF, FS_P) }, { UR, UR, EMPTY, EMPTY, OK, OK, OK } },
	{ "SFS.3", 0x72, true, FIRST, { ADD(LEAF, BIT(51)) }, { UR, UR, EMPTY, EMPTY, OK, OK, OK } },
	{ "SFS.3 nested", 0x72, true, NESTED, { ADD(LEAF, BIT(48)) },
	  { UR, UR, EMPTY, EMPTY, OK, OK, OK } },
	{ "SFS.4", 0x73, true, FIRST, { LOSE(PE2) }, { UR, UR, EMPTY, EMPTY, OK, OK, OK } },
	{ "SFS.5", 0x74, true, NESTED, { { LEAF, ADDR, BIT(49) } }, { UR, UR, EMPTY, EMPTY, OK, OK, OK },
	  .option = "aw-bits", .value = "57" },
	{ "SFS.6", 0x75, true, NESTED, { DROP(SS_OF_TOP, SS_R) }, { UR, UR, EMPTY, EMPTY, OK, OK, OK } },
	{ "SFS.7", 0x76, true, NESTED, { DROP(SS_OF_LEAF, SS_R) },
	  { UR, UR, EMPTY, EMPTY, OK, OK, OK } },
	{ "SFS.8", 0x77, true, NESTED, { DROP(SS_OF_LEAF, SS_W) },
	  { UR, UR, EMPTY, EMPTY, OK, OK, OK } },
	{ "SFS.9", 0x90, true, FIRST, { DROP(PE1, PE1_PWSNP) }, { UR, UR, EMPTY, EMPTY, OK, OK, OK } },
	{ "SFS.10", 0x91, true, FIRST, { { 0 } }, { UR, UR, EMPTY, EMPTY, OK, OK, OK },
	  .read_only = true },
	/* Second stage */
	{ "SSS.1", 0x78, true, SECOND, { LOSE(MIDDLE) }, { UR, UR, CA, CA, OK, OK, OK } },
	{ "SSS.2", 0x79, true, SECOND, { DROP(LEAF, 3) }, { UR, UR, EMPTY, EMPTY, OK, OK, OK } },
	{ "SSS.2 over all", 0x79, true, SECOND, { DROP(LEAF, SS_R), DROP(MIDDLE, SS_W) },
	  { UR, UR, EMPTY, EMPTY, OK, OK, OK } },
	{ "SSS.2 nested", 0x79, true, NESTED, { DROP(SS_OF_LEAF, 3) },
	  { UR, UR, EMPTY, EMPTY, OK, OK, OK } },
	{ "SSS.3", 0x7a, true, SECOND, { ADD(LEAF, BIT(51)) }, { UR, UR, CA, CA, OK, OK, OK } },
	{ "SSS.3 IW", 0x7a, true, SECOND, { ADD(LEAF, BIT(62)) }, { UR, UR, CA, CA, OK, OK, OK } },
	{ "SSS.3 nested", 0x7a, true, NESTED, { ADD(SS_OF_LEAF, BIT(62)) },
	  { UR, UR, CA, CA, OK, OK, OK } },
	{ "SSS.4", 0x7b, true, SECOND, { LOSE(PE0) }, { UR, UR, CA, CA, OK, OK, OK } },
	{ "SSS.5", 0x7c, true, SECOND, { ADD(PE0, PE_SSADE), DROP(PE1, PE1_PWSNP) },
	  { UR, UR, CA, CA, OK, OK, OK } },
	{ "SSS.6", 0x7d, true, SECOND, { ADD(PE0, PE_SSADE) }, { UR, UR, CA, CA, OK, OK, OK },
	  .read_only = true },
	/* General */
	{ "SGN.1", 0x80, true, FIRST, { { 0 } }, { UR, UR, EMPTY, EMPTY, NA, OK, OK }, .iova = BIT(47) },
	{ "SGN.2", 0x81, true, FIRST, { DROP(LEAF, FS_US) }, { UR, UR, EMPTY, EMPTY, OK, OK, OK } },
	{ "SGN.4", 0x83, true, PASS, { { 0 } }, { UR, UR, EMPTY, EMPTY, UR, OK, OK }, .iova = BIT(50) },
	{ "SGN.5", 0x84, true, SECOND, { LIMIT_AW }, { UR, UR, EMPTY, EMPTY, OK, OK, OK },
	  .iova = BIT(40) },
	{ "SGN.6", 0x85, true, FIRST, { DROP(LEAF, FS_RW) }, { UR, UR, PART, PART, OK, OK, OK },
	  .access = VIOMMU_WRITE },
	{ "SGN.6 second", 0x85, true, SECOND, { DROP(LEAF, SS_W) }, { UR, UR, PART, PART, OK, OK, OK },
	  .access = VIOMMU_WRITE },
	{ "SGN.6 nested", 0x85, true, NESTED, { DROP(SS_OF_PAGE, SS_W) },
	  { UR, UR, PART, PART, OK, OK, OK }, .access = VIOMMU_WRITE },
	{ "SGN.7", 0x86, true, SECOND, { DROP(LEAF, SS_R) }, { UR, UR, PART, PART, OK, OK, OK },
	  .access = VIOMMU_ATOMIC },
	{ "SGN.7 NW", 0x86, true, NESTED, { DROP(SS_OF_PAGE, SS_R) },
	  { UR, UR, EMPTY, EMPTY, OK, OK, OK } },
	{ "SGN.8", 0x87, true, FIRST, { { LEAF, ADDR, FEE } }, { UR, UR, CA, CA, OK, OK, OK } },
	{ "SGN.8.3", 0x87, true, PASS, { { 0 } }, { UR, UR, EMPTY, EMPTY, UR, OK, OK }, .iova = FEE },
};

/* VT-d 7.1.3 */
static void all_rows(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		try_row(&rows[i], false);
		/* A CE comes after these. */
		if (rows[i].reason >= 0x02 && (rows[i].reason < 0x30 || rows[i].reason >= 0x41) &&
		    rows[i].reason != 0x08 && rows[i].reason != 0x09 && rows[i].reason != 0x0a)
			try_row(&rows[i], true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
