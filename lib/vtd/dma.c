/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA through the unit: translate pages as long as they lie side by side, move what is in them, go
 * on.
 *
 * Each piece has its own access section, which ends before the next one begins, so that a long
 * transfer never holds up an invalidation for more than one piece. Nothing is locked.
 */
#include <errno.h>
#include <stdatomic.h>

#include "vtd/translate.h"

/* Bytes moved in one access section at most. */
enum { PIECE = 256 * 1024 };

static void count_bytes(struct viommu_endpoint *endpoint, size_t bytes)
{
	vtd_count(&vtd_shard(endpoint)->bytes, bytes);
}

/* One piece between `data` and the guest, in an access section. 0 or -EIO. */
static int move(struct viommu_memory *memory, const struct viommu_translation *t, void *data,
		size_t length, bool write)
{
	int error;

	if (vtd_likely(t->hva)) {
		if (write)
			memory_copy_out(t->hva, data, length);
		else
			memory_copy_in(data, t->hva, length);
		if (write && memory_dirty_on(memory))
			viommu_memory_mark_dirty(memory, t->gpa, length);
		return 0;
	}
	/* MMIO, read-only memory or nothing. */
	error = write ? viommu_memory_write(memory, t->gpa, data, length)
		      : viommu_memory_read(memory, t->gpa, data, length);
	return error ? -EIO : 0;
}

/* One transfer and how far it got. */
struct transfer {
	struct viommu_endpoint *endpoint;
	uint32_t pasid;
	uint32_t access;
	uint64_t iova;
	uint8_t *data;
	size_t length;
	size_t moved;
};

/* Move one piece; *t has the fault when there is one. In an access section. */
static int move_piece(struct transfer *transfer, struct viommu_translation *t)
{
	uint64_t iova = transfer->iova + transfer->moved;
	size_t piece = transfer->length - transfer->moved;
	int result = vtd_translate(transfer->endpoint, transfer->pasid, iova, transfer->access,
				   VTD_LOUD, t);

	if (result)
		return result;
	if (piece > PIECE)
		piece = PIECE;
	/* A fault behind is met again, and recorded, once all before it has moved. */
	if (t->length < piece)
		piece = viommu_translate_extend(transfer->endpoint, transfer->pasid, iova,
						transfer->access, piece, t);
	result = move(transfer->endpoint->unit->memory, t, transfer->data + transfer->moved, piece,
		      transfer->access & VIOMMU_WRITE);
	if (!result)
		transfer->moved += piece;
	return result;
}

static int run(struct transfer *transfer, size_t *done, struct viommu_fault *fault)
{
	struct viommu_translation t;
	int result = VIOMMU_OK;

	while (!result && transfer->moved < transfer->length) {
		grace_enter();
		result = move_piece(transfer, &t);
		if (result == VIOMMU_FAULT && fault)
			*fault = t.fault;
		grace_exit();
	}
	count_bytes(transfer->endpoint, transfer->moved);
	if (done)
		*done = transfer->moved;
	return result;
}

/* PCIe 2.2.5 */
static int zero_length_read(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
			    uint32_t access, struct viommu_fault *fault)
{
	struct viommu_translation t;
	int result;

	/* A fetch of nothing is one all the same: it has no such exception. */
	if (access & VIOMMU_READ)
		access |= VIOMMU_ZERO_LENGTH;
	grace_enter();
	result = vtd_translate(endpoint, pasid, iova, access, VTD_LOUD, &t);
	grace_exit();
	if (result == VIOMMU_FAULT && fault)
		*fault = t.fault;
	return result;
}

/* The one type a read or write has; a caller may add PRIVILEGED, or EXECUTE to a read. */
static bool choose_access(uint32_t *access, uint32_t type, uint32_t alternative)
{
	uint32_t given = *access & VIOMMU_ACCESS_TYPE;

	if (*access & ~(VIOMMU_ACCESS_TYPE | VIOMMU_PRIVILEGED))
		return false;
	if (!given)
		*access |= type;
	return !given || given == type || (alternative && given == alternative);
}

int viommu_dma_read(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova, void *data,
		    size_t length, uint32_t access, size_t *done, struct viommu_fault *fault)
{
	if (done)
		*done = 0;
	if (!choose_access(&access, VIOMMU_READ, VIOMMU_EXECUTE) ||
	    !vtd_request_valid(pasid, access))
		return -EINVAL;
	if (!length)
		return zero_length_read(endpoint, pasid, iova, access, fault);
	return run(&(struct transfer){ endpoint, pasid, access, iova, data, length }, done, fault);
}

int viommu_dma_write(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
		     const void *data, size_t length, uint32_t access, size_t *done,
		     struct viommu_fault *fault)
{
	if (done)
		*done = 0;
	if (!choose_access(&access, VIOMMU_WRITE, 0) || !vtd_request_valid(pasid, access))
		return -EINVAL;
	return run(&(struct transfer){ endpoint, pasid, access, iova, (void *)(uintptr_t)data,
				       length },
		   done, fault);
}

static uint64_t atomic64(uint64_t *at, enum viommu_atomic_op op, uint64_t operand, uint64_t compare)
{
	switch (op) {
	case VIOMMU_FETCH_ADD:
		return __atomic_fetch_add(at, operand, __ATOMIC_SEQ_CST);
	case VIOMMU_SWAP:
		return __atomic_exchange_n(at, operand, __ATOMIC_SEQ_CST);
	default:
		__atomic_compare_exchange_n(at, &compare, operand, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
		return compare;
	}
}

static uint32_t atomic32(uint32_t *at, enum viommu_atomic_op op, uint32_t operand, uint32_t compare)
{
	switch (op) {
	case VIOMMU_FETCH_ADD:
		return __atomic_fetch_add(at, operand, __ATOMIC_SEQ_CST);
	case VIOMMU_SWAP:
		return __atomic_exchange_n(at, operand, __ATOMIC_SEQ_CST);
	default:
		__atomic_compare_exchange_n(at, &compare, operand, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
		return compare;
	}
}

int viommu_dma_atomic(struct viommu_endpoint *endpoint, uint32_t pasid, uint64_t iova,
		      enum viommu_atomic_op op, unsigned int width, uint64_t operand,
		      uint64_t compare, uint64_t *old, struct viommu_fault *fault)
{
	struct viommu_memory *memory = endpoint->unit->memory;
	struct viommu_translation t;
	uint64_t found = 0;
	int result;

	if ((width != 4 && width != 8) || iova % width || op > VIOMMU_COMPARE_SWAP ||
	    !vtd_request_valid(pasid, VIOMMU_ATOMIC))
		return -EINVAL;
	grace_enter();
	result = vtd_translate(endpoint, pasid, iova, VIOMMU_ATOMIC, VTD_LOUD, &t);
	if (result == VIOMMU_FAULT && fault)
		*fault = t.fault;
	if (!result && (!t.hva || !memory_ram(memory, t.gpa, width, true)))
		result = -EIO;
	if (!result) {
		found = width == 8 ? atomic64(t.hva, op, operand, compare)
				   : atomic32(t.hva, op, operand, compare);
		if (memory_dirty_on(memory))
			viommu_memory_mark_dirty(memory, t.gpa, width);
		count_bytes(endpoint, width);
	}
	grace_exit();
	if (old)
		*old = found;
	return result;
}
