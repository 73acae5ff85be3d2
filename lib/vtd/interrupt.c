/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupt remapping and posting (VT-d 5).
 *
 * A message in the remappable format names an entry (IRTE) of a table in guest memory; the entry
 * says whether this source may use it and what is to be delivered instead. Entries are not cached:
 * one is read, as a whole, for each message, inside an access section. An entry-cache invalidation
 * therefore has nothing to drop; what it promises, that no message still uses the old entry, the
 * wait descriptor's drain keeps.
 *
 * Posting sets a bit in a descriptor (PID) in guest memory instead, and asks for a notification
 * when none is outstanding. Updates race with the guest's processors and go through
 * compare-and-exchange, a bounded number of times.
 */
#include <errno.h>

#include <viommu/endpoint.h>

#include "vtd/interrupt.h"
#include "vtd/probes.h"
#include "vtd/spec.h"
#include "vtd/unit_internal.h"

/* VT-d 5.1.2: the message. */
#define MESSAGE_REMAPPABLE VTD_BIT(4)
#define MESSAGE_SHV	   VTD_BIT(3)
#define MESSAGE_HANDLE_LOW VTD_MASK(19, 5)
#define MESSAGE_HANDLE_15  VTD_BIT(2)
#define SUBHANDLE	   0xffffu
#define DATA_RESERVED	   0xffff0000u

/* VT-d 9.9 and 9.10: words 0 and 1 of an entry. */
#define IRTE_P		    VTD_BIT(0)
#define IRTE_FPD	    VTD_BIT(1)
#define IRTE_DM		    VTD_BIT(2)
#define IRTE_RH		    VTD_BIT(3)
#define IRTE_TM		    VTD_BIT(4)
#define IRTE_DLM	    VTD_MASK(7, 5)
#define IRTE_IM		    VTD_BIT(15)
#define IRTE_VECTOR	    VTD_MASK(23, 16)
#define IRTE_DST	    VTD_MASK(63, 32)
#define IRTE_DST_XAPIC	    VTD_MASK(47, 40)
#define IRTE_RESERVED	    (VTD_MASK(14, 12) | VTD_MASK(31, 24))
#define IRTE_RESERVED_XAPIC (VTD_MASK(39, 32) | VTD_MASK(63, 48))
#define POSTED_URG	    VTD_BIT(14)
#define POSTED_PDA_LOW	    VTD_MASK(63, 38)
#define POSTED_RESERVED	    (VTD_MASK(7, 2) | VTD_MASK(13, 12) | VTD_MASK(37, 24))
#define IRTE_SID	    VTD_MASK(15, 0) /* word 1 */
#define IRTE_SQ		    VTD_MASK(17, 16)
#define IRTE_SVT	    VTD_MASK(19, 18)
#define IRTE_RESERVED1	    VTD_MASK(63, 20)
#define POSTED_PDA_HIGH	    VTD_MASK(63, 32)
#define POSTED_RESERVED1    VTD_MASK(31, 20)

enum source_validation { SVT_NONE = 0, SVT_REQUESTER = 1, SVT_BUS = 2, SVT_RESERVED = 3 };

/* VT-d 9.11: the descriptor; word 4 after 256 request bits. */
#define PID_CONTROL_OFFSET 32
#define PID_ON		   VTD_BIT(0)
#define PID_SN		   VTD_BIT(1)
#define PID_NV		   VTD_MASK(23, 16)
#define PID_NDST	   VTD_MASK(63, 32)
#define PID_NDST_XAPIC	   VTD_MASK(47, 40)
#define PID_RESERVED	   (VTD_MASK(15, 2) | VTD_MASK(31, 24))
#define PID_RESERVED_XAPIC (VTD_MASK(39, 32) | VTD_MASK(63, 48))
#define PID_TAIL_WORDS	   3 /* words 5..7: reserved */

/* The message of the architecture (SDM 11.11). */
#define MESSAGE_BASE	 0xfee00000ull
#define MESSAGE_LEVEL_ON 0x4000u

enum { EXCHANGE_TRIES = 1000, STABLE_TRIES = 8 };

struct message {
	uint64_t address;
	uint32_t data;
};

struct request {
	struct viommu_endpoint *endpoint;
	struct viommu_memory *memory;
	uint64_t table;
	uint32_t index;
	uint64_t low, high; /* the entry */
	bool posting;	    /* the unit can */
};

void vtd_interrupt_set_table(struct vtd_interrupt_state *interrupt, uint64_t irta)
{
	atomic_store_explicit(&interrupt->table, irta, memory_order_release);
}

void vtd_interrupt_set_status(struct vtd_interrupt_state *interrupt, uint32_t gsts)
{
	atomic_store_explicit(&interrupt->status, gsts & (VTD_GCMD_IRE | VTD_GCMD_CFI),
			      memory_order_release);
}

/* RAM only, as for every table: a register must not be read, and perhaps interrupt, from here. */
static bool read_word(const struct request *request, uint64_t gpa, uint64_t *word)
{
	const void *at = memory_ram(request->memory, gpa, sizeof(*word), false);

	if (at)
		*word = memory_load64(at);
	return at;
}

/*
 * Both words of an entry as they were at one moment: a guest changes an entry with one 16-byte
 * store. An entry that never holds still is read as its last state: it is the guest that loses.
 */
static bool read_entry(struct request *request)
{
	uint64_t at = (request->table & VTD_IRTA_ADDRESS) + 16ull * request->index;
	uint64_t again;

	if (!read_word(request, at, &request->low))
		return false;
	for (int i = 0; i < STABLE_TRIES; i++) {
		if (!read_word(request, at + 8, &request->high) || !read_word(request, at, &again))
			return false;
		if (again == request->low)
			break;
		request->low = again;
	}
	return true;
}

static uint64_t entry_reserved(const struct request *request)
{
	bool extended = request->table & VTD_IRTA_EIME;

	/* VT-d 9.10: a unit that cannot post has IM as a reserved bit. */
	if (request->low & IRTE_IM && !request->posting)
		return IRTE_IM;
	if (vtd_field(request->high, IRTE_SVT) == SVT_RESERVED)
		return IRTE_SVT;
	/* VT-d 9.10 PDAH: bits of an address that no memory has. */
	if (request->low & IRTE_IM)
		return (request->low & POSTED_RESERVED) | (request->high & POSTED_RESERVED1) |
		       (request->high & POSTED_PDA_HIGH & vtd_beyond_haw(request->endpoint->unit));
	return (request->low & IRTE_RESERVED) | (request->high & IRTE_RESERVED1) |
	       (extended ? 0 : request->low & IRTE_RESERVED_XAPIC);
}

/* VT-d 9.9: SVT, SQ and SID. */
static bool source_allowed(const struct request *request)
{
	static const uint16_t ignored[] = { 0, 4, 6, 7 };
	uint16_t rid = viommu_endpoint_rid(request->endpoint);
	uint16_t sid = (uint16_t)vtd_field(request->high, IRTE_SID);
	uint16_t mask = (uint16_t)~ignored[vtd_field(request->high, IRTE_SQ)];

	switch (vtd_field(request->high, IRTE_SVT)) {
	case SVT_REQUESTER:
		return (rid & mask) == (sid & mask);
	case SVT_BUS:
		return rid >> 8 >= sid >> 8 && rid >> 8 <= (sid & 0xff);
	default:
		return true;
	}
}

/* VT-d 5.1.5.2, and 5.1.6 for destinations of 32 bits: the upper part lies in the upper address. */
static struct message compose(uint32_t destination, bool redirect, bool logical, uint32_t data)
{
	return (struct message){
		.address = MESSAGE_BASE | (uint64_t)(destination & 0xffffff00) << 32 |
			   (uint64_t)(destination & 0xff) << 12 | (uint64_t)redirect << 3 |
			   (uint64_t)logical << 2,
		.data = data | MESSAGE_LEVEL_ON,
	};
}

static struct message remapped(const struct request *request)
{
	uint64_t low = request->low;
	bool extended = request->table & VTD_IRTA_EIME;
	uint32_t data = (uint32_t)(vtd_field(low, IRTE_VECTOR) | vtd_field(low, IRTE_DLM) << 8 |
				   vtd_field(low, IRTE_TM) << 15);

	return compose((uint32_t)vtd_field(low, extended ? IRTE_DST : IRTE_DST_XAPIC),
		       low & IRTE_RH, low & IRTE_DM, data);
}

/*
 * Set bits of a word another processor changes too. False: the memory is gone, or never held still.
 */
static bool set_bits(const struct request *request, uint64_t gpa, uint64_t bits)
{
	uint64_t old;

	if (!read_word(request, gpa, &old))
		return false;
	for (int i = 0; i < EXCHANGE_TRIES; i++) {
		int result =
			viommu_memory_compare_exchange(request->memory, gpa, 8, &old, old | bits);

		if (result)
			return result == 1;
	}
	return false;
}

static bool pid_reserved(const struct request *request, const uint64_t *words)
{
	uint64_t wrong = words[0] & PID_RESERVED;

	if (!(request->table & VTD_IRTA_EIME))
		wrong |= words[0] & PID_RESERVED_XAPIC;
	for (int i = 1; i <= PID_TAIL_WORDS; i++)
		wrong |= words[i];
	return wrong;
}

/* VT-d 5.2.5: set ON where a notification is due; `*control` is the word it was decided on. */
static int claim_notification(const struct request *request, uint64_t gpa, uint64_t *control,
			      bool *notify)
{
	for (int i = 0; i < EXCHANGE_TRIES; i++) {
		int result;

		*notify =
			!(*control & PID_ON) && (request->low & POSTED_URG || !(*control & PID_SN));
		if (!*notify)
			return 0;
		result = viommu_memory_compare_exchange(request->memory, gpa, 8, control,
							*control | PID_ON);
		if (result < 0)
			return result;
		if (result == 1)
			return 0;
	}
	return -EFAULT;
}

/* VT-d 5.2.5. Returns a fault reason, 0 when posted. */
static unsigned int post(const struct request *request, struct message *message)
{
	uint64_t pid =
		vtd_field(request->low, POSTED_PDA_LOW) << 6 | (request->high & POSTED_PDA_HIGH);
	unsigned int vector = (unsigned int)vtd_field(request->low, IRTE_VECTOR);
	bool extended = request->table & VTD_IRTA_EIME;
	uint64_t words[1 + PID_TAIL_WORDS];
	bool notify;

	*message = (struct message){ 0 };
	for (int i = 0; i <= PID_TAIL_WORDS; i++)
		if (!read_word(request, pid + PID_CONTROL_OFFSET + 8 * i, &words[i]))
			return VTD_REASON_IR_PID_ACCESS;
	if (pid_reserved(request, words))
		return VTD_REASON_IR_PID_RESERVED;
	if (!set_bits(request, pid + vector / 64 * 8, VTD_BIT(vector % 64)))
		return VTD_REASON_IR_PID_ACCESS;
	if (claim_notification(request, pid + PID_CONTROL_OFFSET, &words[0], &notify))
		return VTD_REASON_IR_PID_ACCESS;
	if (notify)
		*message =
			compose((uint32_t)vtd_field(words[0], extended ? PID_NDST : PID_NDST_XAPIC),
				false, false, (uint32_t)vtd_field(words[0], PID_NV));
	return 0;
}

/* VT-d 5.1.3: from a handle to an entry that may be used. `*fpd`: the entry asks for silence. */
static unsigned int find_entry(struct request *request, uint64_t address, uint32_t data, bool *fpd)
{
	uint32_t handle = (uint32_t)vtd_field(address, MESSAGE_HANDLE_LOW) |
			  (address & MESSAGE_HANDLE_15 ? 1u << 15 : 0);

	request->index = handle;
	if (address & MESSAGE_SHV) {
		if (data & DATA_RESERVED)
			return VTD_REASON_IR_REQUEST_RESERVED;
		request->index += data & SUBHANDLE;
	}
	if (request->index >= 2u << vtd_field(request->table, VTD_IRTA_SIZE))
		return VTD_REASON_IR_INDEX;
	if (!read_entry(request))
		return VTD_REASON_IR_ACCESS;
	*fpd = request->low & IRTE_FPD;
	if (!(request->low & IRTE_P))
		return VTD_REASON_IR_P;
	if (entry_reserved(request))
		return VTD_REASON_IR_RESERVED;
	if (!source_allowed(request))
		return VTD_REASON_IR_SOURCE;
	return 0;
}

/*
 * VT-d 5.1.2.1: a message of the old kind passes only where the guest allows it and no x2APIC is in
 * use.
 */
static bool compatibility_allowed(uint64_t table, uint32_t status)
{
	return status & VTD_GCMD_CFI && !(table & VTD_IRTA_EIME);
}

static int refuse(struct request *request, unsigned int reason, bool fpd,
		  struct viommu_fault *fault)
{
	/* VT-d 11.4.7.6 FI: there is no index in a message of the compatibility format. */
	uint16_t index = reason == VTD_REASON_IR_COMPATIBILITY ? 0 : (uint16_t)request->index;
	struct viommu_fault own = {
		.reason = reason,
		.pasid = VIOMMU_NO_PASID,
		.iova = (uint64_t)index << 48,
		.access = VIOMMU_WRITE,
		.rid = viommu_endpoint_rid(request->endpoint),
	};

	vtd_fault_record_interrupt(request->endpoint, &own, index, fpd);
	if (fault)
		*fault = own;
	return VIOMMU_FAULT;
}

static int remap(struct request *request, uint64_t address, uint32_t data, struct message *message,
		 struct viommu_fault *fault)
{
	bool fpd = false;
	unsigned int reason = find_entry(request, address, data, &fpd);
	bool posted = !reason && request->low & IRTE_IM;

	if (posted)
		reason = post(request, message);
	else if (!reason)
		*message = remapped(request);
	VTD_PROBE4(interrupt, viommu_endpoint_rid(request->endpoint), request->index, request->low,
		   reason);
	if (reason)
		return refuse(request, reason, fpd, fault);
	return posted ? VIOMMU_POSTED : 0;
}

int viommu_interrupt(struct viommu_endpoint *endpoint, uint64_t address, uint32_t data,
		     uint64_t *out_address, uint32_t *out_data, struct viommu_fault *fault)
{
	struct viommu_unit *unit = viommu_endpoint_unit(endpoint);
	struct vtd_interrupt_state *interrupt = &unit->interrupt;
	uint32_t status = atomic_load_explicit(&interrupt->status, memory_order_acquire);
	struct message message = { address, data };
	struct request request = {
		.endpoint = endpoint,
		.memory = viommu_unit_memory(unit),
		.posting = viommu_unit_options(unit)->posted_interrupts,
	};
	int result = 0;

	if (fault)
		*fault = (struct viommu_fault){ 0 };
	if (status & VTD_GCMD_IRE) {
		if (address < VTD_INTERRUPT_FIRST || address > VTD_INTERRUPT_LAST)
			return -EINVAL;
		viommu_access_begin();
		request.table = atomic_load_explicit(&interrupt->table, memory_order_acquire);
		if (address & MESSAGE_REMAPPABLE)
			result = remap(&request, address, data, &message, fault);
		else if (!compatibility_allowed(request.table, status))
			result = refuse(&request, VTD_REASON_IR_COMPATIBILITY, false, fault);
		viommu_access_end();
	}
	if (result != VIOMMU_FAULT) {
		*out_address = message.address;
		*out_data = message.data;
	}
	return result;
}
