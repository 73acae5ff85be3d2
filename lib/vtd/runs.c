/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many pages at once: where a device's buffer lies, as runs that are side by side in memory.
 *
 * A page after the first is seldom worth a look-up of its own. Where the last-level table of the
 * first is remembered (front.h), the words behind its own are read as they are: a walk that begins
 * at the last level, which VT-d allows at any time, and cheaper than finding the page in a cache.
 * A word that leaves anything to decide, or a mark to set, is asked for by itself.
 */
#include <errno.h>

#include "vtd/format.h"
#include "vtd/front.h"
#include "vtd/translate.h"

enum { PAGE = 4096, TABLE_WORDS = 512 };

/* A request for many pages, and what was found so far. */
struct request {
	struct viommu_endpoint *endpoint;
	uint32_t pasid;
	uint32_t access;
	uint64_t words_read;
	struct viommu_run *runs;
	unsigned int count;
	unsigned int max;
	bool full; /* a run was found that has no place */
};

static inline void append(struct request *request, uint64_t gpa, uint64_t length, void *hva,
			  uint32_t granted, bool snoop)
{
	if (request->count == request->max)
		request->full = true;
	else
		request->runs[request->count++] =
			(struct viommu_run){ gpa, length, hva, granted, snoop };
}

/* It may go on where the last run ends. */
static inline void add(struct request *request, uint64_t gpa, uint64_t length, void *hva,
		       uint32_t granted, bool snoop)
{
	struct viommu_run *run = request->count ? &request->runs[request->count - 1] : NULL;

	if (run && run->hva && hva == (uint8_t *)run->hva + run->length &&
	    gpa == run->gpa + run->length && snoop == run->snoop) {
		run->length += length;
		run->granted &= granted;
	} else {
		append(request, gpa, length, hva, granted, snoop);
	}
}

/*
 * Does a word of the table leave nothing to decide, and permit what is requested? It is judged once for
 * all words that say the same besides their address.
 */
static inline bool judge(const struct request *request, struct vtd_front_anchor *known,
			 uint64_t word)
{
	uint8_t need = vtd_need(request->access);
	struct vtd_found found;

	if (vtd_unlikely((word & ~VTD_ENTRY_ADDRESS) != known->leaf_flags)) {
		known->leaf_flags = VTD_NO_LEAF;
		if (!vtd_walk_leaf(request->endpoint->unit, &known->context, &known->anchor, word,
				   &found))
			return false;
		known->leaf_flags = word & ~VTD_ENTRY_ADDRESS;
		known->leaf_permissions = found.permissions;
		known->leaf_snoop = found.snoop;
	}
	return (known->leaf_permissions & need) == need;
}

/*
 * The segment of RAM, writable, that a page lies in as a whole, if all of it may be pointed at. VT-d 3.14:
 * not the interrupt addresses; 9.7, 9.8: nothing beyond the host address width.
 */
static inline const struct memory_segment *find_segment(const struct viommu_unit *unit,
							uint64_t gpa)
{
	const struct memory_segment *segment = memory_find(unit->memory, gpa);

	return segment && segment->hva && segment->last - gpa >= PAGE - 1 &&
			       !(segment->region->flags & VIOMMU_SEGMENT_READONLY) &&
			       !vtd_interrupt_range(segment->gpa, segment->last) &&
			       !(segment->last >> unit->haw)
		       ? segment
		       : NULL;
}

/*
 * The front cache holds what lies side by side and says the same as one entry, of the first page: the
 * buffer is a hit next time. It may, as any invalidation ends all that the front cache holds.
 */
static inline void remember(const struct request *request, uint64_t iova, uint64_t version,
			    const struct vtd_front_anchor *known, uint64_t gpa, uint64_t length,
			    void *hva)
{
	struct vtd_entry entry = {
		.target = gpa | known->leaf_permissions |
			  (known->leaf_snoop ? VTD_TARGET_SNOOP : 0),
		.hva = (uintptr_t)hva,
	};

	vtd_front_enter(request->endpoint, request->pasid, iova, version, iova, length, &entry);
}

/*
 * How many words go on where the first, which was read as `word`, points: one at least. What is
 * elsewhere or says something else ends it.
 */
static inline uint64_t count_alike(const uint64_t *words, uint64_t word, uint64_t limit)
{
	uint64_t n = 1;

	while (n < limit && memory_load64(words + n) == word + n * PAGE)
		n++;
	return n;
}

/*
 * Add pages from iova on, `pages` at most, out of the table of its region, if that is remembered.
 * Returns how many; what comes then must be asked for by itself. In the access section, so that the
 * table stays where it is.
 */
static uint64_t read_table(struct request *request, uint64_t iova, uint64_t pages)
{
	const struct viommu_unit *unit = request->endpoint->unit;
	uint64_t version = vtd_front_version(unit);
	struct vtd_front_anchor *known =
		vtd_front_recall(request->endpoint, request->pasid, iova, version);
	const struct memory_segment *segment = NULL;
	unsigned int first = iova >> 12 & (TABLE_WORDS - 1);
	uint64_t n, alike, agreed = VTD_NO_LEAF;
	bool apart = false; /* of the words before, which say the same but where they point */
	uint32_t granted = 0;

	if (!known || !known->words)
		return 0;
	if (pages > TABLE_WORDS - first)
		pages = TABLE_WORDS - first;
	for (n = 0; n < pages; n += alike) {
		const uint64_t *words = known->words + first + n;
		uint64_t word = memory_load64(words), gpa = word & VTD_ENTRY_ADDRESS, room;
		uint8_t *hva;

		if (vtd_unlikely(word - gpa != agreed)) {
			if (!judge(request, known, word))
				break;
			agreed = word - gpa;
			apart = false;
			granted = vtd_granted(known->leaf_permissions, request->access);
		}
		if (vtd_unlikely(!segment || gpa < segment->gpa ||
				 gpa + PAGE - 1 > segment->last)) {
			segment = find_segment(unit, gpa);
			if (!segment)
				break;
			apart = false;
		}
		alike = 1;
		if (pages - n > 1 && memory_load64(words + 1) == word + PAGE) {
			room = (segment->last - gpa + 1) / PAGE;
			alike = count_alike(words, word, pages - n < room ? pages - n : room);
		}
		hva = segment->hva + (gpa - segment->gpa);
		if (!request->count && alike > 1)
			remember(request, iova, version, known, gpa, alike * PAGE, hva);
		if (apart)
			append(request, gpa, alike * PAGE, hva, granted, known->leaf_snoop);
		else
			add(request, gpa, alike * PAGE, hva, granted, known->leaf_snoop);
		apart = true;
		if (vtd_unlikely(request->full))
			break;
	}
	request->words_read += n;
	return n;
}

/* One translation, by itself. Quiet. */
static int ask(struct request *request, uint64_t iova, uint64_t *length,
	       struct viommu_fault *fault)
{
	struct viommu_translation t;
	int result = vtd_translate(request->endpoint, request->pasid, iova, request->access,
				   VTD_QUIET, &t);

	if (!result) {
		add(request, t.gpa, t.length, t.hva, t.granted, t.snoop);
		*length = t.length;
	} else if (fault) {
		*fault = t.fault;
	}
	return result;
}

/* Out of the remembered table, which saves the IOTLB a look-up and an entry: a miss all the same. */
static bool begin_in_table(struct request *request, uint64_t iova, uint64_t length, uint64_t *done)
{
	uint64_t offset = iova & (PAGE - 1), pages = (offset + length + PAGE - 1) / PAGE;
	struct viommu_run *run = request->runs;

	if (pages < 2)
		return false;
	*done = read_table(request, iova - offset, pages) * PAGE;
	if (!*done)
		return false;
	*done -= offset;
	run->gpa += offset;
	run->length -= offset;
	run->hva = (uint8_t *)run->hva + offset;
	return true;
}

/* `hit`: what the front knows, which is less than all; or NULL. */
static int begin(struct request *request, uint64_t iova, uint64_t length,
		 const struct viommu_translation *hit, uint64_t *done, struct viommu_fault *fault)
{
	if (begin_in_table(request, iova, length, done)) {
		if (!hit)
			vtd_count(&vtd_shard(request->endpoint)->misses, 1);
		return VIOMMU_OK;
	}
	if (!hit)
		return ask(request, iova, done, fault);
	add(request, hit->gpa, hit->length, hit->hva, hit->granted, hit->snoop);
	*done = hit->length;
	return VIOMMU_OK;
}

/*
 * Go on behind the first `done` bytes, which are found. Returns how many are in the end; the last
 * page or leaf may reach beyond `length`.
 */
static uint64_t go_on(struct request *request, uint64_t iova, uint64_t length, uint64_t done)
{
	while (done < length && !request->full) {
		uint64_t at = iova + done, more = 0;

		if (!(at & (PAGE - 1)))
			more = read_table(request, at, (length - done + PAGE - 1) / PAGE) * PAGE;
		if (!more && !request->full &&
		    (ask(request, at, &more, NULL) || request->full))
			break;
		done += more;
	}
	/* No look-ups: the request that these pages belong to is counted, and was a hit or a miss. */
	if (request->words_read) {
		vtd_count(&vtd_shard(request->endpoint)->table_reads, request->words_read);
		vtd_perfmon_poll(request->endpoint->unit);
	}
	return done;
}

int viommu_translate_runs(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
			  uint32_t access, uint64_t *length, struct viommu_run *runs,
			  unsigned int max, unsigned int *count, struct viommu_fault *fault)
{
	struct request request = { endpoint, pasid, access, .runs = runs, .max = max };
	uint64_t wanted = *length, done = 0;
	struct viommu_translation t;
	bool hit;
	int result;

	hit = vtd_translate_front(endpoint, pasid, iova, access, &t);
	if (vtd_likely(hit && wanted && wanted <= t.length && max)) {
		*runs = (struct viommu_run){ t.gpa, wanted, t.hva, t.granted, t.snoop };
		*count = 1;
		return VIOMMU_OK;
	}
	*length = 0;
	*count = 0;
	/* A request never goes round the end of the addresses. */
	if (!vtd_request_valid(pasid, access) || !wanted || !max || iova + wanted - 1 < iova)
		return -EINVAL;
	grace_enter();
	result = begin(&request, iova, wanted, hit ? &t : NULL, &done, fault);
	if (!result)
		done = go_on(&request, iova, wanted, done);
	grace_exit();
	if (result)
		return result;
	if (done > wanted) {
		runs[request.count - 1].length -= done - wanted;
		done = wanted;
	}
	*length = done;
	*count = request.count;
	return VIOMMU_OK;
}

uint64_t viommu_translate_extend(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
				 uint32_t access, uint64_t limit, struct viommu_translation *t)
{
	struct viommu_run run = { t->gpa, t->length, t->hva, t->granted, t->snoop };
	struct request request = { endpoint, pasid, access, .runs = &run, .count = 1, .max = 1 };

	/* A length never goes round the end of the addresses: iova + length is another request. */
	if (limit > ~iova)
		limit = ~iova + 1;
	if (run.hva && run.length && run.length < limit) {
		grace_enter();
		go_on(&request, iova, limit, run.length);
		grace_exit();
		t->granted = run.granted;
		t->length = run.length;
	}
	if (t->length > limit)
		t->length = limit;
	return t->length;
}
