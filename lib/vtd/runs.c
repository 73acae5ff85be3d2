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
#define NO_REGION (~0ull)

/* A remembered table, and the judgement of the word that was read last. */
struct table {
	const struct vtd_front_anchor *known; /* NULL: there is none for this region */
	uint64_t region;
	uint64_t reserved;
	uint64_t judged; /* what the word said but for the address; 0: none */
	struct vtd_found found;
	uint32_t granted;
};

struct request {
	struct viommu_endpoint *endpoint;
	uint32_t pasid;
	uint32_t access;
	uint8_t need;
	uint64_t words_read;
	struct table table;
};

/* In the access section, so that the table stays where it is. */
static void find_table(struct request *request, uint64_t iova)
{
	const struct viommu_unit *unit = request->endpoint->unit;
	struct table *table = &request->table;
	unsigned int kind;

	table->region = iova >> 21;
	table->judged = 0;
	table->known = vtd_front_recall(request->endpoint, request->pasid, iova,
					vtd_front_version(unit));
	if (!table->known || !table->known->words) {
		table->known = NULL;
		return;
	}
	kind = vtd_context_type(&table->known->context) == VTD_CONTEXT_FIRST ? VTD_FORMAT_FIRST
									     : VTD_FORMAT_SECOND;
	table->reserved = unit->reserved[kind][1][1];
}

/* What a word says, without asking again what was asked of the word before it. */
static bool judge(struct request *request, uint64_t word)
{
	const struct viommu_unit *unit = request->endpoint->unit;
	struct table *table = &request->table;
	uint64_t gpa = word & VTD_ENTRY_ADDRESS;

	if (table->judged && (word & ~VTD_ENTRY_ADDRESS) == table->judged) {
		table->found.gpa = gpa;
		/* VT-d 3.14 */
		return !(word & table->reserved) && !vtd_interrupt_range(gpa, gpa);
	}
	table->judged = 0;
	if (!vtd_walk_leaf(unit, &table->known->context, &table->known->anchor, word,
			   &table->found) ||
	    (table->found.permissions & request->need) != request->need)
		return false;
	table->judged = word & ~VTD_ENTRY_ADDRESS;
	table->granted = vtd_granted(table->found.permissions, request->access);
	return true;
}

/*
 * From `iova` on, `limit` bytes and the rest of their page at most, as far as the words are alike and
 * the memory goes on. False: the page must be asked for by itself.
 */
static inline bool read_words(struct request *request, uint64_t iova, uint64_t limit,
			      struct viommu_run *run)
{
	struct table *table = &request->table;
	uint64_t offset = iova & (PAGE - 1), pages = (offset + limit + PAGE - 1) / PAGE;
	unsigned int first = iova >> 12 & (TABLE_WORDS - 1), n = 1;
	const struct memory_segment *segment;
	const uint64_t *words;
	uint64_t word, gpa;

	if (table->region != iova >> 21)
		find_table(request, iova);
	if (!table->known)
		return false;
	words = table->known->words + first;
	word = memory_load64(words);
	if (!judge(request, word))
		return false;
	if (pages > TABLE_WORDS - first)
		pages = TABLE_WORDS - first;
	while (n < pages && memory_load64(words + n) == word + n * (uint64_t)PAGE)
		n++;
	gpa = word & VTD_ENTRY_ADDRESS;
	segment = memory_find(request->endpoint->unit->memory, gpa);
	if (vtd_unlikely(!segment || !segment->hva || segment->last - gpa < PAGE - 1 ||
			 segment->region->flags & VIOMMU_SEGMENT_READONLY))
		return false;
	if (vtd_unlikely(n > (segment->last - gpa + 1) / PAGE))
		n = (segment->last - gpa + 1) / PAGE;
	/* What was judged of the first page must hold for the last, and so for all between. */
	if (n > 1 && (!judge(request, word + (n - 1) * (uint64_t)PAGE) ||
		      vtd_interrupt_range(gpa, gpa + n * (uint64_t)PAGE - 1)))
		n = 1;
	run->gpa = gpa + offset;
	run->length = n * (uint64_t)PAGE - offset;
	run->hva = segment->hva + (gpa - segment->gpa) + offset;
	run->granted = table->granted;
	run->snoop = table->found.snoop;
	request->words_read += n;
	return true;
}

/* By itself. Quiet. */
static int ask(struct request *request, uint64_t iova, struct viommu_run *run,
	       struct viommu_fault *fault)
{
	struct viommu_translation t;
	int result = vtd_translate(request->endpoint, request->pasid, iova, request->access,
				   VTD_QUIET, &t);

	if (result) {
		if (fault)
			*fault = t.fault;
		return result;
	}
	/* This may have put another table into the place of the remembered one, or remembered one. */
	request->table.region = NO_REGION;
	*run = (struct viommu_run){ t.gpa, t.length, t.hva, t.granted, t.snoop };
	return VIOMMU_OK;
}

/* Behind the first page. */
static inline int next(struct request *request, uint64_t iova, uint64_t limit,
		       struct viommu_run *run)
{
	return read_words(request, iova, limit, run) ? VIOMMU_OK : ask(request, iova, run, NULL);
}

static bool goes_on(const struct viommu_run *run, const struct viommu_run *more)
{
	return run->hva && more->hva == (uint8_t *)run->hva + run->length &&
	       more->gpa == run->gpa + run->length && more->snoop == run->snoop;
}

static void begin(struct request *request, struct viommu_endpoint *endpoint, uint32_t pasid,
		  uint32_t access)
{
	request->endpoint = endpoint;
	request->pasid = pasid;
	request->access = access;
	request->need = vtd_need(access);
	request->words_read = 0;
	request->table.region = NO_REGION;
}

static void count(const struct request *request)
{
	struct viommu_endpoint *endpoint = request->endpoint;

	if (!request->words_read)
		return;
	vtd_count(&vtd_shard(endpoint)->misses, request->words_read);
	vtd_count(&vtd_shard(endpoint)->table_reads, request->words_read);
	vtd_perfmon_poll(endpoint->unit);
}

int viommu_translate_runs(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
			  uint32_t access, uint64_t length, struct viommu_run *runs,
			  unsigned int max, unsigned int *found, struct viommu_fault *fault)
{
	struct request request;
	unsigned int n = 0;
	uint64_t done;
	int result;

	*found = 0;
	/* A request never goes round the end of the addresses. */
	if (!vtd_request_valid(pasid, access) || !length || !max || iova + length - 1 < iova)
		return -EINVAL;
	grace_enter();
	begin(&request, endpoint, pasid, access);
	result = ask(&request, iova, runs, fault);
	n = !result;
	done = n ? runs->length : length;
	while (done < length) {
		struct viommu_run spare, *run = n < max ? &runs[n] : &spare;
		uint64_t part;

		if (next(&request, iova + done, length - done, run))
			break;
		part = run->length;
		if (goes_on(&runs[n - 1], run)) {
			runs[n - 1].granted &= run->granted;
			runs[n - 1].length += part;
		} else if (n == max) {
			break;
		} else {
			n++;
		}
		done += part;
	}
	/* What was found last may reach beyond what was asked for. */
	if (n && done > length)
		runs[n - 1].length -= done - length;
	count(&request);
	grace_exit();
	*found = n;
	return n ? VIOMMU_OK : result;
}

uint64_t viommu_translate_extend(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
				 uint32_t access, uint64_t limit, struct viommu_translation *t)
{
	struct viommu_run run = { t->gpa, t->length, t->hva, t->granted, t->snoop }, more;
	struct request request;

	grace_enter();
	begin(&request, endpoint, pasid, access);
	/* A length never goes round the end of the addresses: iova + length is another request. */
	while (run.hva && run.length && run.length < limit && iova + run.length > iova &&
	       !next(&request, iova + run.length, limit - run.length, &more) &&
	       goes_on(&run, &more)) {
		run.length += more.length;
		run.granted &= more.granted;
	}
	count(&request);
	grace_exit();
	t->granted = run.granted;
	t->length = run.length < limit ? run.length : limit;
	return t->length;
}
