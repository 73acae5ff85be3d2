/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The register file (BAR0).
 *
 * Every access is cut into the aligned 64-bit words it touches. A read assembles the word; a write
 * gives the new bytes and a mask of the bits that were written, so that any access width works on
 * every register without a case of its own.
 */
#include <string.h>
#include "devices/thread.h"
#include "internal.h"

/* Without sleeping, for some microseconds. Only looks: a try takes the line away from the owner. */
static bool lock_soon(struct dsa *dsa, unsigned int looks)
{
	for (unsigned int i = 0; i < looks; i++) {
		if (!atomic_load_explicit(&dsa->locked, memory_order_relaxed) &&
		    !pthread_mutex_trylock(&dsa->lock))
			return true;
		device_pause();
	}
	return false;
}

/*
 * It is held for so short a time that going to sleep for it would take many times longer. Who comes
 * lets those who wait go first: descriptors that come in by the dozen would keep an engine away from
 * those that are here.
 */
void dsa_lock(struct dsa *dsa)
{
	enum { MANNERS = 50, LOOKS = 400 };

	for (unsigned int i = 0; i < MANNERS; i++) {
		if (!atomic_load_explicit(&dsa->queued, memory_order_relaxed))
			break;
		device_pause();
	}
	if (!lock_soon(dsa, 1)) {
		atomic_fetch_add_explicit(&dsa->queued, 1, memory_order_relaxed);
		if (!lock_soon(dsa, LOOKS))
			pthread_mutex_lock(&dsa->lock);
		atomic_fetch_sub_explicit(&dsa->queued, 1, memory_order_relaxed);
	}
	atomic_store_explicit(&dsa->locked, true, memory_order_relaxed);
}

void dsa_unlock_quietly(struct dsa *dsa)
{
	atomic_store_explicit(&dsa->locked, false, memory_order_relaxed);
	pthread_mutex_unlock(&dsa->lock);
}

int dsa_wait(struct dsa *dsa, pthread_cond_t *condition, const struct timespec *deadline)
{
	int error;

	atomic_store_explicit(&dsa->locked, false, memory_order_relaxed);
	error = deadline ? pthread_cond_timedwait(condition, &dsa->lock, deadline)
			 : pthread_cond_wait(condition, &dsa->lock);
	atomic_store_explicit(&dsa->locked, true, memory_order_relaxed);
	return error;
}

static void wake_engines(struct dsa *dsa, uint32_t engines)
{
	for (; engines; engines &= engines - 1)
		pthread_cond_signal(&dsa->engines[__builtin_ctz(engines)].wake);
}

void dsa_unlock(struct dsa *dsa)
{
	uint32_t vectors = dsa->interrupts, wakes = dsa->wakes;

	dsa->wakes = 0;
	if (!vectors) {
		dsa_unlock_quietly(dsa);
		wake_engines(dsa, wakes);
		return;
	}
	dsa->interrupts = 0;
	dsa->raised += __builtin_popcount(vectors);
	dsa->sending++;
	dsa_unlock_quietly(dsa);
	wake_engines(dsa, wakes);
	while (vectors) {
		dsa->ops->interrupt(dsa->opaque, __builtin_ctz(vectors));
		vectors &= vectors - 1;
	}
	dsa_lock(dsa);
	dsa->sending--;
	pthread_cond_broadcast(&dsa->settled);
	dsa_unlock_quietly(dsa);
}

/* An event on vector 0. DSA 9.2.11: software reads INTCAUSE to learn which. */
void dsa_cause(struct dsa *dsa, enum dsa_intcause cause)
{
	dsa->intcause |= cause;
	dsa->interrupts |= 1;
}

static void dsa_opcap(uint64_t opcap[4])
{
	memset(opcap, 0, 4 * sizeof(*opcap));
	opcap[0] = DSA_MASK(DSA_OP_DUALCAST, DSA_OP_NOOP) |
		   DSA_MASK(DSA_OP_DIF_UPDATE, DSA_OP_CRC) | DSA_BIT(DSA_OP_CACHE_FLUSH);
}

void dsa_registers_reset(struct dsa *dsa, enum dsa_reset_type type)
{
	dsa->gencfg = 0;
	dsa->genctrl = 0;
	dsa->intcause = 0;
	dsa->state = DSA_DISABLED;
	dsa->reset_type = type;
	memset(dsa->swerr, 0, sizeof(dsa->swerr));
	memset(dsa->evlcfg, 0, sizeof(dsa->evlcfg));
	dsa->evlstatus = 0;
	memset(dsa->groups, 0, sizeof(dsa->groups));
	memset(dsa->msixperm, 0, sizeof(dsa->msixperm));
	for (unsigned int i = 0; i < dsa->options.wqs; i++) {
		memset(dsa->wqs[i].config, 0, sizeof(dsa->wqs[i].config));
		dsa->wqs[i].enabled = false;
		dsa->wqs[i].logged = false;
	}
}

static uint64_t capability(const struct dsa *dsa, uint64_t offset)
{
	const struct dsa_options *options = &dsa->options;
	uint64_t opcap[4];

	switch (offset) {
	case DSA_VERSION:
		return 0x200;
	case DSA_GENCAP:
		return DSA_GENCAP_BLOCK_ON_FAULT | DSA_GENCAP_OVERLAP | DSA_GENCAP_CACHE_MEMORY |
		       DSA_GENCAP_CACHE_CACHE | DSA_GENCAP_COMMAND_CAP | DSA_GENCAP_READBACK |
		       DSA_GENCAP_DRAIN_READBACK | DSA_GENCAP_CONFIG |
		       (options->event_log ? DSA_GENCAP_EVENT_LOG : 0) |
		       DSA_PUT(options->max_transfer_shift, DSA_GENCAP_MAX_TRANSFER) |
		       DSA_PUT(options->max_batch_shift, DSA_GENCAP_MAX_BATCH);
	case DSA_WQCAP:
		return DSA_PUT(options->entries, DSA_WQCAP_TOTAL) |
		       DSA_PUT(options->wqs, DSA_WQCAP_COUNT) | DSA_WQCAP_64_BYTES |
		       DSA_WQCAP_SHARED | DSA_WQCAP_DEDICATED | DSA_WQCAP_ATS | DSA_WQCAP_PRIORITY |
		       DSA_WQCAP_OCCUPANCY | DSA_WQCAP_OPCONFIG | DSA_WQCAP_PRS;
	case DSA_GRPCAP:
		/* Read-buffer and progress limits are accepted; a model has nothing to limit. */
		return options->groups | DSA_READ_BUFFERS << 8 | DSA_GRPCAP_LIMITS;
	case DSA_ENGCAP:
		return options->engines;
	case DSA_OPCAP:
	case DSA_OPCAP + 8:
	case DSA_OPCAP + 16:
	case DSA_OPCAP + 24:
		dsa_opcap(opcap);
		return opcap[(offset - DSA_OPCAP) / 8];
	case DSA_OFFSETS: /* GRPCFG, WQCFG, MSIXPERM, IMS in units of 0x100; no IMS, no PERFMON */
		return DSA_GRPCFG / 0x100 | DSA_WQCFG / 0x100 << 16 |
		       (uint64_t)DSA_MSIXPERM / 0x100 << 32;
	case DSA_CMDCAP: /* bits by command; handles are MSI-X indices and need not be asked for */
		return DSA_MASK(DSA_ABORT_PASID, DSA_ENABLE_DEVICE);
	default:
		return 0;
	}
}

/* Word 6 of WQCFG is live: occupancy and state. The rest is as written. */
static uint64_t wqcfg_read(const struct dsa *dsa, uint64_t offset)
{
	const struct dsa_wq *wq = &dsa->wqs[offset / 64];
	unsigned int word = offset % 64 / 4;
	uint64_t low = wq->config[word], high = wq->config[word + 1];

	if (word == DSA_WQ_STATUS)
		low = wq->count | DSA_PUT(wq->enabled ? 1 : 0, DSA_WQ_STATE);
	return low | high << 32;
}

static uint64_t read_word(const struct dsa *dsa, uint64_t offset)
{
	if (offset >= DSA_GRPCFG && offset < DSA_GRPCFG + 64 * dsa->options.groups)
		return dsa->groups[(offset - DSA_GRPCFG) / 64][offset % 64 / 8];
	if (offset >= DSA_WQCFG && offset < DSA_WQCFG + 64 * dsa->options.wqs)
		return wqcfg_read(dsa, offset - DSA_WQCFG);
	if (offset >= DSA_MSIXPERM && offset < DSA_MSIXPERM + 8 * (dsa->options.wqs + 1))
		return dsa->msixperm[(offset - DSA_MSIXPERM) / 8];

	switch (offset) {
	case DSA_GENCFG:
		return dsa->gencfg;
	case DSA_GENCTRL:
		return dsa->genctrl;
	case DSA_GENSTS:
		return dsa->state | dsa->reset_type << 2;
	case DSA_INTCAUSE:
		return dsa->intcause;
	case DSA_CMD:
		return dsa->command;
	case DSA_CMDSTS:
		return dsa->command_status;
	case DSA_SWERR:
	case DSA_SWERR + 8:
	case DSA_SWERR + 16:
	case DSA_SWERR + 24:
		return dsa->swerr[(offset - DSA_SWERR) / 8];
	case DSA_EVLCFG:
	case DSA_EVLCFG + 8:
		return dsa->options.event_log ? dsa->evlcfg[(offset - DSA_EVLCFG) / 8] : 0;
	case DSA_EVLSTATUS:
		return dsa->options.event_log ? dsa->evlstatus : 0;
	default:
		return capability(dsa, offset);
	}
}

static void merge(uint64_t *word, uint64_t value, uint64_t mask)
{
	*word = (*word & ~mask) | (value & mask);
}

static void merge32(uint32_t *word, uint64_t value, uint64_t mask)
{
	*word = (*word & ~(uint32_t)mask) | ((uint32_t)value & (uint32_t)mask);
}

/* DSA 9.2.18: a WQ's configuration is read-only while it is enabled; its status always is. */
static void wqcfg_write(struct dsa *dsa, uint64_t offset, uint64_t value, uint64_t mask)
{
	struct dsa_wq *wq = &dsa->wqs[offset / 64];
	unsigned int word = offset % 64 / 4;

	if (wq->enabled)
		return;
	if (word != DSA_WQ_STATUS)
		merge32(&wq->config[word], value, mask);
	merge32(&wq->config[word + 1], value >> 32, mask >> 32);
}

static void evlstatus_write(struct dsa *dsa, uint64_t value, uint64_t mask)
{
	/* DSA 9.2.17: head is written, tail is not, the pending bit is cleared by writing 1. */
	if (mask & value & DSA_EVLSTATUS_PENDING)
		dsa->evlstatus &= ~DSA_EVLSTATUS_PENDING;
	merge(&dsa->evlstatus, value, mask & DSA_EVLSTATUS_HEAD);
}

static void event_log_config_write(struct dsa *dsa, unsigned int word, uint64_t value,
				   uint64_t mask)
{
	if (!dsa->options.event_log ||
	    (dsa->state != DSA_DISABLED && dsa->gencfg & DSA_GENCFG_EVENT_LOG))
		return;
	merge(&dsa->evlcfg[word], value, mask);
	dsa->evlstatus = 0;
}

static void write_word(struct dsa *dsa, uint64_t offset, uint64_t value, uint64_t mask)
{
	if (offset >= DSA_GRPCFG && offset < DSA_GRPCFG + 64 * dsa->options.groups) {
		if (dsa->state == DSA_DISABLED && offset % 64 / 8 <= DSA_GROUP_FLAGS)
			merge(&dsa->groups[(offset - DSA_GRPCFG) / 64][offset % 64 / 8], value,
			      mask);
		return;
	}
	if (offset >= DSA_WQCFG && offset < DSA_WQCFG + 64 * dsa->options.wqs) {
		wqcfg_write(dsa, offset - DSA_WQCFG, value, mask);
		return;
	}
	if (offset >= DSA_MSIXPERM && offset < DSA_MSIXPERM + 8 * (dsa->options.wqs + 1)) {
		merge(&dsa->msixperm[(offset - DSA_MSIXPERM) / 8], value,
		      mask & (DSA_MSIXPERM_PASID_ENABLE | DSA_MSIXPERM_PASID | 4));
		return;
	}

	switch (offset) {
	case DSA_GENCFG:
		if (!dsa->options.event_log)
			mask &= ~(uint64_t)DSA_GENCFG_EVENT_LOG;
		merge32(&dsa->gencfg, value, mask & DSA_GENCFG_WRITABLE);
		break;
	case DSA_GENCTRL:
		merge32(&dsa->genctrl, value, mask & DSA_GENCTRL_WRITABLE);
		break;
	case DSA_INTCAUSE:
		dsa->intcause &= ~(uint32_t)(value & mask);
		break;
	case DSA_CMD:
		if ((mask & 0xffffffff) == 0xffffffff)
			dsa_command_write(dsa, (uint32_t)value);
		break;
	case DSA_SWERR:
		dsa->swerr[0] &= ~(value & mask & (DSA_ERROR_VALID | DSA_ERROR_OVERFLOW));
		break;
	case DSA_EVLCFG:
	case DSA_EVLCFG + 8:
		event_log_config_write(dsa, (offset - DSA_EVLCFG) / 8, value, mask);
		break;
	case DSA_EVLSTATUS:
		if (dsa->options.event_log)
			evlstatus_write(dsa, value, mask);
		break;
	default:
		break;
	}
}

void dsa_read(struct dsa *dsa, uint64_t offset, void *data, size_t length)
{
	uint8_t *bytes = data;

	dsa_lock(dsa);
	while (length) {
		unsigned int skip = offset % 8;
		size_t part = length < 8 - skip ? length : 8 - skip;
		uint64_t word = read_word(dsa, offset - skip);

		memcpy(bytes, (uint8_t *)&word + skip, part);
		bytes += part;
		offset += part;
		length -= part;
	}
	dsa_unlock(dsa);
}

void dsa_write(struct dsa *dsa, uint64_t offset, const void *data, size_t length)
{
	const uint8_t *bytes = data;

	dsa_lock(dsa);
	while (length) {
		unsigned int skip = offset % 8;
		size_t part = length < 8 - skip ? length : 8 - skip;
		uint64_t value = 0, mask = 0;

		memcpy((uint8_t *)&value + skip, bytes, part);
		memset((uint8_t *)&mask + skip, 0xff, part);
		write_word(dsa, offset - skip, value, mask);
		bytes += part;
		offset += part;
		length -= part;
	}
	dsa_unlock(dsa);
}
