/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An endpoint: one PCI function whose requests a unit translates.
 *
 * All functions may be called from any thread. viommu_translate and viommu_dma_* of one endpoint may run
 * concurrently; a hit takes no lock and does no atomic read-modify-write.
 */
#ifndef VIOMMU_ENDPOINT_H
#define VIOMMU_ENDPOINT_H

#include <viommu/types.h>
#include <viommu/unit.h>

#ifdef __cplusplus
extern "C" {
#endif

enum viommu_endpoint_features {
	VIOMMU_ENDPOINT_PASID = 1u << 0,            /* PASID capability enabled */
	VIOMMU_ENDPOINT_ATS = 1u << 1,              /* ATS capability enabled */
	VIOMMU_ENDPOINT_PRI = 1u << 2,              /* page-request capability enabled */
	VIOMMU_ENDPOINT_PASID_EXECUTE = 1u << 3,
	VIOMMU_ENDPOINT_PASID_PRIVILEGED = 1u << 4,
};

/* Page-group response codes (VT-d 7.7, PCIe PRI). */
enum viommu_response_code {
	VIOMMU_RESPONSE_SUCCESS = 0x0,
	VIOMMU_RESPONSE_INVALID = 0x1,
	VIOMMU_RESPONSE_FAILURE = 0xf,
};

struct viommu_endpoint_ops {
	uint32_t size;
	/*
	 * The guest invalidated this endpoint's device TLB: forget translations got by viommu_ats_translate in
	 * [iova, last] of `pasid` (`all_pasids`: of every PASID). Must be complete when it returns; runs on the thread
	 * that wrote the queue tail, outside any lock of the unit.
	 */
	void (*invalidate)(void *opaque, uint32_t pasid, bool all_pasids, uint64_t iova, uint64_t last);
	/* The answer to page-request group `group` (or an automatic one on overflow). Any thread; do not block. */
	void (*page_response)(void *opaque, uint32_t pasid, uint16_t group,
			      enum viommu_response_code code);
	/*
	 * Optional, in the place of `invalidate`, for a device that may answer later or never. Returns 0: it is done; 1: the
	 * answer comes by viommu_endpoint_invalidated() with this `tag` (0..31, an ITag of PCIe ATS), which may be before
	 * this returns. The guest's wait descriptor completes when all answers are there. Same thread and locks.
	 */
	int (*invalidate_request)(void *opaque, unsigned int tag, uint32_t pasid, bool all_pasids,
				  uint64_t iova, uint64_t last);
};

/*
 * Put an endpoint with requester id `rid` behind `unit`. -EEXIST: that rid is taken; -E2BIG: ops has callbacks this
 * library does not know; -ENOMEM.
 * ops may be NULL for an endpoint that never enables ATS or PRI.
 */
VIOMMU_API int viommu_endpoint_create(struct viommu_unit *unit, uint16_t rid,
				      const struct viommu_endpoint_ops *ops, void *opaque,
				      struct viommu_endpoint **endpoint);
/* Hot-remove: waits for access sections; requests still running end first. Never fails. */
VIOMMU_API void viommu_endpoint_destroy(struct viommu_endpoint *endpoint);
/* Tell the unit what the guest enabled in config space (enum viommu_endpoint_features). */
VIOMMU_API void viommu_endpoint_set_features(struct viommu_endpoint *endpoint, uint32_t features);
/*
 * The answer to ops->invalidate_request, or that none came in the time the embedder allows (`answered` false: VT-d
 * 6.5.2.11, ITE: the queue stops and waits are aborted, until the guest clears it). An answer whose tag is not
 * outstanding is the device's error and told to the guest (ICE). Removing the endpoint times out what is outstanding.
 * Any thread. 0; -EDEADLK inside an access section.
 */
VIOMMU_API int viommu_endpoint_invalidated(struct viommu_endpoint *endpoint, unsigned int tag,
					   bool answered);
VIOMMU_API uint16_t viommu_endpoint_rid(const struct viommu_endpoint *endpoint);
VIOMMU_API struct viommu_unit *viommu_endpoint_unit(const struct viommu_endpoint *endpoint);
VIOMMU_API int viommu_endpoint_statistics(const struct viommu_endpoint *endpoint,
					  struct viommu_statistics *statistics);

struct viommu_translation {
	uint64_t gpa;     /* guest-physical address of iova */
	/* Bytes from iova for which this holds: to the end of the leaf (or of the RAM segment), or beyond it where what follows
	 * is known to lie behind it. */
	uint64_t length;
	void *hva;        /* host pointer to it when it is RAM, else NULL; see access sections in memory.h */
	uint32_t granted; /* enum viommu_access set */
	bool snoop;       /* the leaf forces snooping */
	/* Of viommu_ats_translate and viommu_translated_request only. */
	bool untranslated_only; /* U: only untranslated requests may use it (an interrupt address) */
	uint8_t completion;     /* enum viommu_completion */
	struct viommu_fault fault;
};

/* How a request ends on the wire (PCIe 2.2.9): what VT-d 7.1.3 says of each fault. */
enum viommu_completion {
	VIOMMU_COMPLETION_SUCCESS = 0,
	VIOMMU_COMPLETION_UNSUPPORTED = 1, /* unsupported request: a device turns its ATS off */
	VIOMMU_COMPLETION_ABORT = 4,       /* completer abort */
};

/*
 * Translate one request and, on a fault, record it. Call inside an access section if `hva` is used.
 * Returns 0; VIOMMU_FAULT with t->fault filled; -EINVAL (access names no type or several, or ZERO_LENGTH with another
 * than READ; pasid out of range).
 */
VIOMMU_API int viommu_translate(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
				uint32_t access, struct viommu_translation *t);
/* The same without side effects on the fault log: for blocking on a page request instead of faulting. */
VIOMMU_API int viommu_translate_quiet(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
				      uint32_t access, struct viommu_translation *t);
/*
 * Lengthen *t, a translation of this request with a hva, by the pages behind it as long as they lie side by side in
 * memory, but not beyond `limit` bytes. Quiet; what cannot be translated ends it. In the access section of *t. Returns
 * t->length.
 */
VIOMMU_API uint64_t viommu_translate_extend(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
					    uint32_t access, uint64_t limit, struct viommu_translation *t);

/*
 * Where [iova, iova + *length) lies: up to `max` runs that follow each other from iova on, each side by side in memory, so
 * that a device can move a whole buffer in one access section. *count gets their number and *length what they cover: less
 * than asked where there are more runs, or something that cannot be translated; then ask again from there. Quiet. Call inside an
 * access section if `hva` is used. Returns 0 with one run at least; VIOMMU_FAULT with *fault filled (fault may be NULL)
 * where not even iova can be translated; -EINVAL (as viommu_translate; *length or max is 0; iova + *length is beyond
 * 2^64).
 */
struct viommu_run {
	uint64_t gpa;
	uint64_t length;
	void *hva;        /* NULL: no RAM */
	uint32_t granted; /* enum viommu_access set: what every page of it grants */
	bool snoop;
};
VIOMMU_API int viommu_translate_runs(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
				     uint32_t access, uint64_t *length, struct viommu_run *runs,
				     unsigned int max, unsigned int *count,
				     struct viommu_fault *fault);

/*
 * ATS translation request (PCIe 10.2, VT-d 4.1): no-fault semantics; `granted` may be empty (then not an error).
 * Only who asks for WRITE or ATOMIC (NW clear) is granted WRITE, and then the page is marked dirty.
 * VIOMMU_FAULT only where VT-d 7.1.3 says the request itself is blocked (ATS off, DTE clear, tables broken);
 * t->completion tells an unsupported request from a completer abort. -EINVAL as viommu_translate.
 */
VIOMMU_API int viommu_ats_translate(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
				    uint32_t access, struct viommu_translation *t);
/*
 * A translated request (address type 2): the tables down to the PASID-table entry (legacy: the context entry) must
 * allow it, then GPA is used as it is. VIOMMU_FAULT and -EINVAL as above.
 */
VIOMMU_API int viommu_translated_request(struct viommu_endpoint *endpoint, uint64_t gpa,
					 uint32_t access, struct viommu_translation *t);

/*
 * DMA through the unit: whole spans at memory speed, own access sections (none held while nothing moves).
 * *done gets the bytes moved before a fault. 0; VIOMMU_FAULT with *fault filled (fault may be NULL); -EINVAL; -EIO when the GPA has no memory behind it.
 * Writes mark pages dirty while tracking is on. A read of no bytes is a zero-length read (VIOMMU_ZERO_LENGTH) of its
 * first byte; a write of none does nothing.
 */
VIOMMU_API int viommu_dma_read(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
			       void *data, size_t length, uint32_t access, size_t *done,
			       struct viommu_fault *fault);
VIOMMU_API int viommu_dma_write(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
				const void *data, size_t length, uint32_t access, size_t *done,
				struct viommu_fault *fault);
/*
 * Atomic operations of PCIe 6.15 on a naturally aligned 4- or 8-byte word. *old (may be NULL) gets the value found. 0; VIOMMU_FAULT with
 * *fault filled (may be NULL); -EINVAL: another width, a misaligned address, an unknown operation, pasid out of range; -EIO:
 * no writable RAM behind it.
 */
enum viommu_atomic_op { VIOMMU_FETCH_ADD, VIOMMU_SWAP, VIOMMU_COMPARE_SWAP };
VIOMMU_API int viommu_dma_atomic(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
				 enum viommu_atomic_op op, unsigned int width, uint64_t operand,
				 uint64_t compare, uint64_t *old, struct viommu_fault *fault);

/*
 * Put a page request into the guest's queue (VT-d 7.6). `access` of READ/WRITE/EXECUTE/PRIVILEGED bits may be combined here; 0 with `last` is a
 * stop marker. The answer comes through ops->page_response, possibly before this returns. `group` is 9 bits.
 * 0: queued or answered automatically; -EOPNOTSUPP: page requests are not on for this endpoint or unit; -EINVAL.
 */
VIOMMU_API int viommu_page_request(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
				   uint32_t access, uint16_t group, bool last);

/*
 * Interrupt remapping (VT-d 5.1): translate a message this endpoint (or an IOAPIC with its rid) sent. 0 and the
 * message to deliver in *out_address and *out_data; VIOMMU_FAULT; when remapping is off the message comes back unchanged. VIOMMU_POSTED:
 * the interrupt was posted, nothing further to deliver unless *out_address is not 0 (a notification). -EINVAL: remapping is on
 * and `address` is not one of interrupt messages (0xfee00000 to 0xfeefffff).
 */
#define VIOMMU_POSTED 2
VIOMMU_API int viommu_interrupt(struct viommu_endpoint *endpoint, uint64_t address, uint32_t data,
				uint64_t *out_address, uint32_t *out_data, struct viommu_fault *fault);

#ifdef __cplusplus
}
#endif
#endif
