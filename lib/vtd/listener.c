/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What lib/passthrough asks of a unit: hearing of invalidations, and the tables as they are now.
 *
 * Reads go to guest memory each time; nothing of the unit's caches is used, because a listener
 * wants to know what the guest means, not what the unit has seen.
 */
#include <errno.h>

#include "vtd/listener.h"

void vtd_listener_add(struct viommu_unit *unit, struct vtd_listener *listener)
{
	vtd_unit_enter(unit);
	listener->next = unit->listeners;
	unit->listeners = listener;
	vtd_unit_leave(unit);
}

void vtd_listener_remove(struct viommu_unit *unit, struct vtd_listener *listener)
{
	struct vtd_listener **link;

	vtd_unit_enter(unit);
	for (link = &unit->listeners; *link; link = &(*link)->next) {
		if (*link == listener) {
			*link = listener->next;
			break;
		}
	}
	vtd_unit_leave(unit);
}

bool vtd_unit_translating(const struct viommu_unit *unit)
{
	return vtd_load(&unit->translating);
}

enum vtd_ttm vtd_unit_ttm(const struct viommu_unit *unit)
{
	return vtd_field(vtd_load(&unit->root), VTD_RTADDR_TTM);
}

static int read_words(struct viommu_unit *unit, uint64_t gpa, uint64_t *words, unsigned int count)
{
	bool read;

	grace_enter();
	read = vtd_read_words(unit, NULL, gpa, words, count);
	grace_exit();
	return read ? 0 : -EFAULT;
}

/* The pointer in a present entry without reserved bits. */
static int follow(const struct viommu_unit *unit, uint64_t entry, uint64_t reserved,
		  uint64_t *pointer)
{
	*pointer = entry & VTD_ROOT_CTP;
	return entry & VTD_ROOT_P && !(entry & reserved) && !(*pointer & vtd_beyond_haw(unit))
		       ? 0
		       : -ENOENT;
}

/* Root entry: `half` is 8 for the upper half of a scalable one. */
static int fetch_root(struct viommu_unit *unit, uint16_t rid, enum vtd_ttm ttm, unsigned int half,
		      uint64_t *table)
{
	uint64_t root = vtd_load(&unit->root), entry;
	int error;

	if (vtd_field(root, VTD_RTADDR_TTM) != ttm)
		return -ENOENT;
	error = read_words(unit, (root & VTD_RTADDR_RTA) + (rid >> 8) * 16 + half, &entry, 1);
	return error ? error : follow(unit, entry, VTD_ROOT_RESERVED, table);
}

int vtd_fetch_context_entry(struct viommu_unit *unit, uint16_t rid, uint64_t ce[4])
{
	uint64_t table;
	int error = fetch_root(unit, rid, VTD_TTM_SCALABLE, rid & 0x80 ? 8 : 0, &table);

	return error ? error : read_words(unit, table + (rid & 0x7f) * 32, ce, 4);
}

int vtd_fetch_legacy_entry(struct viommu_unit *unit, uint16_t rid, uint64_t ce[2])
{
	uint64_t table;
	int error = fetch_root(unit, rid, VTD_TTM_LEGACY, 0, &table);

	return error ? error : read_words(unit, table + (rid & 0xff) * 16, ce, 2);
}

/* The leaf table that holds a PASID. */
static int fetch_directory(struct viommu_unit *unit, uint64_t directory, uint32_t pasid,
			   uint64_t *table)
{
	uint64_t entry;
	int error = read_words(unit, directory + pasid / VTD_PASIDS_PER_TABLE * 8, &entry, 1);

	return error ? error : follow(unit, entry, VTD_PDE_RESERVED, table);
}

/* The PASID directory of a RID and how many PASIDs it has room for. */
static int fetch_context(struct viommu_unit *unit, uint16_t rid, uint64_t *directory,
			 uint32_t *pasids)
{
	uint64_t ce[4];
	int error = vtd_fetch_context_entry(unit, rid, ce);

	if (error)
		return error;
	*pasids = vtd_ce_pasids(ce);
	return follow(unit, ce[0], VTD_SCE_RESERVED0, directory);
}

int vtd_fetch_pasid_entry(struct viommu_unit *unit, uint16_t rid, uint32_t pasid, uint64_t pe[8])
{
	uint64_t directory, table;
	uint32_t pasids;
	int error = fetch_context(unit, rid, &directory, &pasids);

	if (!error && pasid >= pasids)
		error = -ENOENT;
	if (!error)
		error = fetch_directory(unit, directory, pasid, &table);
	return error ? error : read_words(unit, table + pasid % VTD_PASIDS_PER_TABLE * 64, pe, 8);
}

struct visitor {
	int (*visit)(void *opaque, uint32_t pasid, const uint64_t pe[8]);
	void *opaque;
};

static int visit_table(struct viommu_unit *unit, uint64_t table, uint32_t first, uint32_t last,
		       const struct visitor *visitor)
{
	uint64_t pe[8];
	uint32_t pasid;
	int result;

	for (pasid = first; pasid <= last; pasid++) {
		if (read_words(unit, table + pasid % VTD_PASIDS_PER_TABLE * 64, pe, 8))
			return 0;
		if (!(pe[0] & VTD_PE_P))
			continue;
		result = visitor->visit(visitor->opaque, pasid, pe);
		if (result)
			return result;
	}
	return 0;
}

int vtd_each_pasid_entry(struct viommu_unit *unit, uint16_t rid, uint32_t first, uint32_t last,
			 int (*visit)(void *opaque, uint32_t pasid, const uint64_t pe[8]),
			 void *opaque)
{
	struct visitor visitor = { visit, opaque };
	uint64_t directory, table;
	uint32_t pasids, end;
	int result = fetch_context(unit, rid, &directory, &pasids);

	if (result)
		return result;
	if (last >= pasids)
		last = pasids - 1;
	while (first <= last) {
		end = first | (VTD_PASIDS_PER_TABLE - 1);
		if (end > last)
			end = last;
		if (!fetch_directory(unit, directory, first, &table)) {
			result = visit_table(unit, table, first, end, &visitor);
			if (result)
				return result;
		}
		first = end + 1;
	}
	return 0;
}
