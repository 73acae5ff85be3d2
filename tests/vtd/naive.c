/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Translation exactly in the order the specification tells it, one function per table, every word
 * read from memory each time. Slow, and short enough to be checked by reading it beside
 * VT-d 3.4 to 3.8 and 9.1 to 9.8. Where the specification leaves the order of two faults open, the
 * walk goes from the top down: an entry is judged (present, reserved bits) before the next one is
 * read, and permissions are judged at the leaf.
 */
#include "naive.h"

#define ADDRESS(word) ((word)&0x000ffffffffff000ull)

struct state {
	struct kit *kit;
	const struct naive_request *request;
	struct naive_answer *answer;
	unsigned int address_bits; /* of a physical address */
	bool plain, privileged;
	bool read, write, execute, zero_length;
	struct naive_past *past; /* NULL: only the present counts */
	unsigned int met;	 /* entries with a past, on this walk */
	bool legacy;
	bool message; /* the request is an interrupt message */
	uint64_t pe[8];
};

static bool load(struct state *s, uint64_t gpa, uint64_t *word)
{
	if (gpa > s->kit->ram_size - 8 || gpa & 7)
		return false;
	*word = kit_get(s->kit, gpa);
	/* What this walk has marked already: an entry may be met twice. */
	for (unsigned int i = 0; i < s->answer->marks; i++)
		if (s->answer->mark[i].gpa == gpa)
			*word |= s->answer->mark[i].bits;
	return true;
}

/* A paging entry: its present value, or one of those it had. */
static bool load_entry(struct state *s, uint64_t gpa, uint64_t *word)
{
	struct naive_past *past = s->past;
	unsigned int choices = 1, chosen;

	if (!load(s, gpa, word) || !past)
		return load(s, gpa, word);
	chosen = s->met < past->depth ? past->chosen[s->met] : 0;
	for (unsigned int i = 0; i < past->count; i++) {
		if (past->entry[i].gpa != gpa || past->entry[i].time <= past->since)
			continue;
		if (choices++ == chosen)
			*word = past->entry[i].value;
	}
	if (choices == 1 || s->met == NAIVE_CHOICES)
		return true;
	past->chosen[s->met] = chosen;
	past->possible[s->met++] = choices;
	return true;
}

bool naive_next(struct naive_past *past)
{
	while (past->depth) {
		if (++past->chosen[past->depth - 1] < past->possible[past->depth - 1])
			return true;
		past->depth--;
	}
	return false;
}

static void mark(struct state *s, uint64_t gpa, uint64_t bits)
{
	if (bits && s->answer->marks < NAIVE_MARKS) {
		s->answer->mark[s->answer->marks].gpa = gpa;
		s->answer->mark[s->answer->marks++].bits = bits;
	}
}

static bool too_high(struct state *s, uint64_t word)
{
	return ADDRESS(word) >> s->address_bits;
}

static unsigned int mgaw(struct state *s)
{
	return (unsigned int)(s->kit->cap >> 16 & 0x3f) + 1;
}

/*
 * VT-d 3.7: second stage. `write`, `read`: what is wanted; `own_page`: not of a table. Reasons
 * are those of scalable mode; legacy ones are translated at the end.
 */
static unsigned int second_stage(struct state *s, uint64_t input, bool own_page, bool read,
				 bool write, uint64_t *output)
{
	unsigned int levels = (unsigned int)(s->pe[0] >> 2 & 7) + 2;
	unsigned int width = 12 + 9 * levels;
	bool ad = !s->legacy && s->pe[0] & PE_SSADE;
	bool may_read = true, may_write = true;
	uint64_t table = s->pe[0] & ~0xfffull;

	if (width > mgaw(s))
		width = mgaw(s);
	if (input >> width)
		return 0x84;
	for (unsigned int level = levels;; level--) {
		unsigned int shift = 12 + 9 * (level - 1);
		uint64_t at = table + (input >> shift & 511) * 8, word, need;
		bool leaf;

		if (!load_entry(s, at, &word))
			return level == levels ? 0x7b : 0x78;
		if (!(word & (SS_R | SS_W)))
			return 0x79;
		leaf = level == 1 || (level <= 3 && word & SS_PS);
		if (too_high(s, word))
			return 0x7a;
		if (level >= 4 && word & SS_PS)
			return 0x7a;
		/* IW, without SSIRWE */
		if (word & BIT(62))
			return 0x7a;
		if (leaf && level > 1 && word & ((1ull << shift) - 1) & ~0xfffull)
			return 0x7a;
		if (word & SS_SNP && (!leaf || !(s->kit->ecap & BIT(7))))
			return 0x7a;
		may_read &= word & SS_R;
		may_write &= !!(word & SS_W);
		if (leaf && !may_read && !may_write)
			return 0x79;
		if (leaf && write && !may_write)
			return 0x85;
		/* VT-d 11.4.2 ZLR */
		if (leaf && read && !may_read && !(own_page && s->zero_length))
			return 0x86;
		/* VT-d 3.7.2 */
		need = ad ? SS_A | (leaf && write ? SS_D : 0) : 0;
		if ((word & need) != need && !(s->pe[1] & PE1_PWSNP))
			return 0x7c;
		mark(s, at, need);
		if (leaf) {
			*output = (ADDRESS(word) & ~((1ull << shift) - 1)) |
				  (input & ((1ull << shift) - 1));
			return 0;
		}
		table = ADDRESS(word);
	}
}

/* VT-d 3.8: where a first-stage entry is, and whether it may be read and written there. */
static unsigned int find_first_entry(struct state *s, bool nested, bool top, bool write,
				     uint64_t address, uint64_t *gpa)
{
	unsigned int reason;

	*gpa = address;
	if (!nested)
		return 0;
	reason = second_stage(s, address, false, true, write, gpa);
	if (reason == 0x84)
		return 0x74;
	if (reason == 0x85)
		return 0x77;
	if (reason == 0x86)
		return top ? 0x75 : 0x76;
	return reason;
}

/* VT-d 3.6: first stage. */
static unsigned int first_stage(struct state *s, bool nested, uint64_t *output)
{
	unsigned int levels = s->pe[2] & PE2_FSPM5 ? 5 : 4;
	uint64_t input = s->request->iova, table = s->pe[2] & ~0xfffull;
	unsigned int unused = 64 - (12 + 9 * levels);
	bool user = true, writable = true, no_execute = false;

	if ((uint64_t)((int64_t)(input << unused) >> unused) != input)
		return 0x80;
	for (unsigned int level = levels;; level--) {
		unsigned int shift = 12 + 9 * (level - 1), reason;
		uint64_t at = table + (input >> shift & 511) * 8, real, word, need;
		bool top = level == levels, leaf;

		reason = find_first_entry(s, nested, top, false, at, &real);
		if (reason)
			return reason;
		if (!load_entry(s, real, &word))
			return top ? 0x73 : 0x70;
		if (!(word & FS_P))
			return 0x71;
		leaf = level == 1 || (level <= 3 && word & FS_PS);
		if (too_high(s, word))
			return 0x72;
		if (level >= 4 && word & FS_PS)
			return 0x72;
		/* Bit 12 of a large page is PAT. */
		if (leaf && level > 1 && word & ((1ull << shift) - 1) & ~0x1fffull)
			return 0x72;
		user &= !!(word & FS_US);
		writable &= !!(word & FS_RW);
		no_execute |= word & FS_XD && s->pe[2] & PE2_NXE;
		if (leaf && !user && !s->privileged)
			return 0x81;
		if (leaf && s->write && !writable && (!s->privileged || s->pe[2] & PE2_WPE))
			return 0x85;
		if (leaf && s->execute && no_execute)
			return 0x82;
		/* VT-d 3.6.2 */
		need = FS_A | (s->pe[2] & PE2_EAFE ? FS_EA : 0) | (leaf && s->write ? FS_D : 0);
		if ((word & need) != need) {
			if (!(s->pe[1] & PE1_PWSNP))
				return 0x90;
			reason = find_first_entry(s, nested, top, true, at, &real);
			if (reason)
				return reason;
		}
		mark(s, real, need);
		if (leaf) {
			*output = (ADDRESS(word) & ~((1ull << shift) - 1)) |
				  (input & ((1ull << shift) - 1));
			return 0;
		}
		table = ADDRESS(word);
	}
}

static unsigned int pass_through(struct state *s, unsigned int width, uint64_t *output)
{
	*output = s->request->iova;
	return *output >> (width < s->address_bits ? width : s->address_bits) ? 0x83 : 0;
}

/* VT-d 7.1.3: of an address that was translated before, and of page requests, nothing is translated. */
static unsigned int no_translation(struct state *s, uint64_t *output)
{
	*output = s->request->iova;
	s->message = s->request->type == NAIVE_PAGE;
	return s->request->type == NAIVE_TRANSLATED && *output >> s->address_bits ? 0x83 : 0;
}

/* VT-d 3.14: a plain request to an interrupt address is a message when it writes, else an error. */
static bool interrupt_message(struct state *s, uint64_t *output, unsigned int *reason)
{
	if (!s->plain || s->request->iova >> 20 != 0xfee)
		return false;
	*reason = s->request->access & VIOMMU_WRITE ? 0 : 0x87;
	*output = s->request->iova;
	s->message = true;
	return true;
}

static unsigned int translate_pe(struct state *s, uint64_t *output)
{
	uint64_t middle;
	unsigned int reason;

	if (interrupt_message(s, output, &reason))
		return reason;
	switch (s->pe[0] >> 6 & 7) {
	case 1:
		return first_stage(s, false, output);
	case 2:
		return second_stage(s, s->request->iova, true, s->read || s->execute, s->write, output);
	case 3:
		reason = first_stage(s, true, &middle);
		if (reason)
			return reason;
		reason = second_stage(s, middle, true, s->read || s->execute, s->write, output);
		return reason == 0x84 ? 0x74 : reason;
	default:
		return pass_through(s, 64, output);
	}
}

static bool width_exists(struct state *s, unsigned int aw)
{
	return aw >= 1 && aw <= 3 && s->kit->cap >> 8 >> aw & 1;
}

/* VT-d 9.6: fields of a PE that must be zero, and combinations that must be supported. */
static unsigned int check_pe(struct state *s)
{
	uint64_t cap = s->kit->cap, ecap = s->kit->ecap, zero0, zero1, zero2;
	unsigned int pgtt = (unsigned int)(s->pe[0] >> 6 & 7),
		     aw = (unsigned int)(s->pe[0] >> 2 & 7);
	unsigned int fspm = (unsigned int)(s->pe[2] >> 2 & 3);
	bool first = fspm == 0 || (fspm == 1 && cap & BIT(60));

	zero0 = BIT(5) | BIT(10) | BIT(11) | (ecap & BIT(45) ? 0 : PE_SSADE);
	zero1 = 0x7f0000 | (ecap & BIT(48) ? 0 : PE1_PWSNP) | (ecap & BIT(7) ? 0 : PE1_PGSNP);
	zero1 |= ecap & BIT(25) ? 0x1full << 27 : ~0ull << 25;
	zero2 = 0xf00 | (ecap & BIT(31) ? 0 : PE2_SRE) | (ecap & BIT(34) ? 0 : PE2_EAFE);
	zero2 |= ecap & BIT(30) ? 0 : PE2_ERE;
	/* A stage that is not there has no fields. */
	zero0 |= ecap & BIT(46) ? 0 : ~0xfffull;
	zero2 |= ecap & BIT(47) ? 0 : ~0xfffull | 0xc | PE2_WPE;
	if (s->pe[0] & zero0 || s->pe[1] & zero1 || s->pe[2] & zero2)
		return 0x5a;
	for (int i = 3; i < 8; i++)
		if (s->pe[i])
			return 0x5a;
	if (s->pe[0] >> s->address_bits || s->pe[2] >> s->address_bits)
		return 0x5a;
	switch (pgtt) {
	case 1:
		return ecap & BIT(47) && first ? 0 : 0x5b;
	case 2:
		return ecap & BIT(46) && width_exists(s, aw) ? 0 : 0x5b;
	case 3:
		if (!(ecap & BIT(26)) || !first || !width_exists(s, aw))
			return 0x5b;
		/* VT-d 7.1.3 SPT.4.4 */
		return s->pe[2] >> 12 << 12 >> (12 + 9 * (aw + 2)) || s->pe[2] >> mgaw(s) ? 0x5b : 0;
	case 4:
		return ecap & BIT(6) ? 0 : 0x5b;
	default:
		return 0x5b;
	}
}

/* VT-d 7.1.3: not a "qualified" condition. */
static unsigned int always_reported(struct state *s, unsigned int reason)
{
	s->answer->fpd = false;
	return reason;
}

/* VT-d 3.4.3, 9.5, 9.6 */
static unsigned int pasid_tables(struct state *s, const uint64_t *ce, uint32_t pasid,
				 uint64_t *output)
{
	uint64_t entry;
	unsigned int reason;

	if (!load(s, (ce[0] & ~0xfffull) + (pasid >> 6) * 8, &entry))
		return always_reported(s, 0x50);
	s->answer->fpd |= entry & 2;
	if (!(entry & 1))
		return 0x51;
	if (entry & 0xffc || (entry & ~0xfffull) >> s->address_bits)
		return 0x52;
	for (int i = 0; i < 8; i++)
		if (!load(s, (entry & ~0xfffull) + (pasid & 63) * 64 + 8 * i, &s->pe[i]))
			return always_reported(s, 0x58);
	s->answer->fpd |= s->pe[0] & PE_FPD;
	if (!(s->pe[0] & PE_P))
		return 0x59;
	reason = check_pe(s);
	if (reason)
		return reason;
	if (s->request->type >= NAIVE_TRANSLATED)
		return no_translation(s, output);
	if (!s->plain && s->execute && !(s->pe[2] & PE2_ERE))
		return 0x5c;
	if (s->privileged && !(s->pe[2] & PE2_SRE))
		return 0x5d;
	return translate_pe(s, output);
}

/* VT-d 9.2, 9.4 */
static unsigned int scalable(struct state *s, uint64_t *output)
{
	const struct naive_request *request = s->request;
	uint64_t ecap = s->kit->ecap, root, ce[4], zero = 0x1e0;
	unsigned int size;
	uint32_t own;

	if (!load(s,
		  (request->rtaddr & ~0xfffull) + (request->rid >> 8) * 16 +
			  (request->rid & 0x80 ? 8 : 0),
		  &root))
		return 0x38;
	if (!(root & 1))
		return 0x39;
	if (root & 0xffe || (root & ~0xfffull) >> s->address_bits)
		return 0x3a;
	for (int i = 0; i < 4; i++)
		if (!load(s, (root & ~0xfffull) + (request->rid & 0x7f) * 32 + 8 * i, &ce[i]))
			return 0x40;
	s->answer->fpd = ce[0] & CE_FPD;
	if (!(ce[0] & CE_P))
		return 0x41;
	zero |= (ecap & BIT(2) ? 0 : CE_DTE) | (ecap & BIT(40) ? 0 : CE_PASIDE) |
		(ecap & BIT(29) ? 0 : CE_PRE);
	if (ce[0] & zero || (ce[0] & ~0xfffull) >> s->address_bits ||
	    ce[1] >> (ecap & BIT(49) ? 20 : 0) || ce[2] || ce[3])
		return 0x42;
	own = (uint32_t)ce[1];
	size = (unsigned int)(ce[0] >> CE_PDTS_SHIFT & 7) + 7 + 6;
	if ((ce[0] & CE_PRE && !(ce[0] & CE_DTE)) || own >> size)
		return 0x43;
	if ((request->type == NAIVE_TRANSLATION || request->type == NAIVE_TRANSLATED) &&
	    !(ce[0] & CE_DTE))
		return 0x44;
	if (request->type == NAIVE_PAGE && !(ce[0] & CE_PRE))
		return 0x47;
	if (s->plain)
		return pasid_tables(s, ce, own, output);
	if (!(ce[0] & CE_PASIDE))
		return 0x45;
	if (request->type != NAIVE_PAGE && request->pasid >> ((ecap >> 35 & 31) + 1))
		return 0x89;
	if (request->pasid >> size)
		return 0x46;
	if (ecap & BIT(49) && request->pasid == own)
		return 0x48;
	return pasid_tables(s, ce, request->pasid, output);
}

/* VT-d 9.1, 9.3; the codes of legacy mode for what second_stage() says. */
static unsigned int legacy(struct state *s, uint64_t *output)
{
	const struct naive_request *request = s->request;
	uint64_t root[2], ce[2];
	unsigned int tt, aw, reason;

	if (request->type == NAIVE_PAGE)
		return 0x32;
	if (!s->plain)
		return 0x31;
	for (int i = 0; i < 2; i++)
		if (!load(s, (request->rtaddr & ~0xfffull) + (request->rid >> 8) * 16 + 8 * i,
			  &root[i]))
			return 0x8;
	if (!(root[0] & 1))
		return 0x1;
	if (root[0] & 0xffe || root[1] || (root[0] & ~0xfffull) >> s->address_bits)
		return 0xa;
	for (int i = 0; i < 2; i++)
		if (!load(s, (root[0] & ~0xfffull) + (request->rid & 0xff) * 16 + 8 * i, &ce[i]))
			return 0x9;
	s->answer->fpd = ce[0] & CE_FPD;
	if (!(ce[0] & CE_P))
		return 0x2;
	tt = (unsigned int)(ce[0] >> 2 & 3);
	if (ce[0] & 0xff0 || ce[1] >> 24 || ce[1] & 0x80 ||
	    (tt != 2 && (ce[0] & ~0xfffull) >> s->address_bits))
		return 0xb;
	aw = (unsigned int)(ce[1] & 7);
	if (tt == 3 || (tt == 1 && !(s->kit->ecap & BIT(2))) ||
	    (tt == 2 && !(s->kit->ecap & BIT(6))) || !width_exists(s, aw))
		return 0x3;
	if (request->type && tt != 1)
		return 0xd;
	if (request->type == NAIVE_TRANSLATED)
		return no_translation(s, output) ? 0x4 : 0;
	if (interrupt_message(s, output, &reason))
		return reason ? 0xe : 0;
	if (tt == 2) {
		reason = pass_through(s, 12 + 9 * (aw + 2), output);
		return reason ? 0x4 : 0;
	}
	s->legacy = true;
	s->pe[0] = (ce[0] & ~0xfffull) | aw << PE_AW_SHIFT;
	reason = second_stage(s, request->iova, true, s->read || s->execute, s->write, output);
	switch (reason) {
	case 0x84:
		return 0x4;
	case 0x85:
		return 0x5;
	case 0x86:
		return 0x6;
	case 0x79:
		return s->write ? 0x5 : 0x6;
	case 0x78:
		return 0x7;
	case 0x7b:
		return 0x3;
	case 0x7a:
		return 0xc;
	default:
		return reason;
	}
}

void naive_translate_past(struct kit *kit, const struct naive_request *request,
			  struct naive_past *past, struct naive_answer *answer)
{
	struct state s = { .kit = kit, .request = request, .answer = answer, .past = past };
	uint64_t output = 0;

	memset(answer, 0, sizeof(*answer));
	s.address_bits = mgaw(&s) < 52 ? mgaw(&s) : 52;
	s.plain = request->pasid == VIOMMU_NO_PASID;
	/* VT-d 3.4.4: without a PASID there is neither privilege nor execution. */
	s.privileged = !s.plain && request->access & VIOMMU_PRIVILEGED;
	s.write = request->access & (VIOMMU_WRITE | VIOMMU_ATOMIC);
	s.execute = !s.plain && request->access & VIOMMU_EXECUTE;
	s.zero_length = request->access & VIOMMU_ZERO_LENGTH && kit->cap & BIT(22);
	s.read = request->access & (VIOMMU_READ | VIOMMU_ATOMIC | VIOMMU_EXECUTE);
	switch (request->rtaddr >> 10 & 3) {
	case 0:
		answer->reason = legacy(&s, &output);
		break;
	case 1:
		answer->reason = kit->ecap & BIT(43) ? scalable(&s, &output) : 0x30;
		break;
	case 3:
		answer->reason = kit->ecap & BIT(52) ? 0x33 : 0x30;
		break;
	default:
		answer->reason = 0x30;
		break;
	}
	/* VT-d 3.14 */
	if (!answer->reason && output >> 20 == 0xfee && !s.message)
		answer->reason = s.legacy || !(request->rtaddr >> 10 & 3) ? 0xe : 0x87;
	answer->gpa = answer->reason ? 0 : output;
	if (past)
		past->depth = s.met;
}

enum naive_end naive_end(enum naive_type type, unsigned int reason)
{
	/* In the order of the table: legacy, RTADDR, root, CE, directory, PE, stages, general. */
	static const uint8_t unsupported[] = { 0x01, 0x02, 0x0d, 0x31, 0x33, 0x39, 0x41,
					       0x44, 0x45, 0x46, 0x48, 0x89 };
	static const uint8_t broken[] = { 0x50, 0x52, 0x58, 0x5a, 0x5b };
	static const uint8_t aborted[] = { 0x08, 0x0a, 0x09, 0x0b, 0x03, 0x07, 0x0c, 0x0e, 0x30,
					   0x38, 0x3a, 0x40, 0x42, 0x43, 0x50, 0x52, 0x58, 0x5a,
					   0x5b, 0x78, 0x7a, 0x7b, 0x7c, 0x7d, 0x87 };
	static const uint8_t partial[] = { 0x05, 0x06, 0x85, 0x86 };

	if (type == NAIVE_PAGE)
		return NAIVE_IR;
	if (type == NAIVE_UNTRANSLATED)
		return NAIVE_UR;
	if (type == NAIVE_TRANSLATED)
		return memchr(broken, (int)reason, sizeof(broken)) ? NAIVE_CA : NAIVE_UR;
	if (memchr(unsupported, (int)reason, sizeof(unsupported)))
		return NAIVE_UR;
	if (memchr(aborted, (int)reason, sizeof(aborted)))
		return NAIVE_CA;
	return memchr(partial, (int)reason, sizeof(partial)) ? NAIVE_PARTIAL : NAIVE_EMPTY;
}

void naive_translate(struct kit *kit, const struct naive_request *request,
		     struct naive_answer *answer)
{
	naive_translate_past(kit, request, NULL, answer);
}
