/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An Intel Data Streaming Accelerator behind a unit: the device core, without a bus in front of it.
 *
 * The core owns one viommu endpoint, its registers and one thread per engine. Its owner forwards
 * register and portal accesses, says what the guest enabled in config space and raises the
 * interrupts it is asked for. All functions may be called from any thread, but dsa_reset, dsa_stop
 * and dsa_destroy not from the interrupt callback.
 */
#ifndef DSA_DSA_H
#define DSA_DSA_H

#include <viommu/endpoint.h>
#include <viommu/stream.h>

struct dsa;

struct dsa_options {
	unsigned int wqs;		 /* 1..16 */
	unsigned int groups;		 /* 1..8 */
	unsigned int engines;		 /* 1..8: threads */
	unsigned int entries;		 /* 16..1024: total size of all WQs */
	unsigned int max_transfer_shift; /* 12..31: largest transfer, log2 of bytes */
	unsigned int max_batch_shift;	 /* 1..10: largest batch, log2 of descriptors */
	bool event_log;
	unsigned int
		page_timeout_ms; /* a page request not answered in this time counts as failed */
};

void dsa_options_init(struct dsa_options *options);

struct dsa_ops {
	/* MSI-X vector 0 or 1..wqs. Any thread, no lock of the core held; must not block. */
	void (*interrupt)(void *opaque, unsigned int vector);
};

/* -EINVAL: an option out of range; -ENOMEM, -EAGAIN (no thread); what viommu_endpoint_create
 * returned. */
int dsa_create(const struct dsa_options *options, struct viommu_unit *unit, uint16_t rid,
	       const struct dsa_ops *ops, void *opaque, struct dsa **dsa);
/* Aborts what runs, joins the engines, destroys the endpoint. */
void dsa_destroy(struct dsa *dsa);
struct viommu_endpoint *dsa_endpoint(const struct dsa *dsa);

/*
 * The register file (BAR0). Any length and alignment inside it; what lies outside a register reads
 * zero. Writes have byte enables: bytes that are not written keep their value.
 */
void dsa_read(struct dsa *dsa, uint64_t offset, void *data, size_t length);
void dsa_write(struct dsa *dsa, uint64_t offset, const void *data, size_t length);
/*
 * The portals (BAR2), 16 KiB per WQ. A descriptor is submitted when all 64 bytes of a slot have
 * been written and its last byte was. Reading 8 bytes of a slot tells what became of its last
 * descriptor: bit 0 set means "retry" (the WQ was full or not enabled), as ENQCMD reports in ZF.
 */
void dsa_portal_read(struct dsa *dsa, uint64_t offset, void *data, size_t length);
void dsa_portal_write(struct dsa *dsa, uint64_t offset, const void *data, size_t length);

/* Config space: what of enum viommu_endpoint_features is on, and bus mastering. Turning that off
 * aborts what runs. */
void dsa_features(struct dsa *dsa, uint32_t features, bool bus_master);
/* Function-level reset: when it returns no DMA runs and none starts. */
void dsa_reset(struct dsa *dsa);

/*
 * Migration. dsa_stop finishes or parks what runs, and after it there is neither DMA nor interrupt
 * until dsa_start. Parked work is part of the saved state and goes on after loading. Save and load
 * want a stopped device: -EBUSY. Load: -EINVAL (another shape, `message` says what differs),
 * -EBADMSG, -EPROTONOSUPPORT, -ENOENT; then nothing was changed.
 */
int dsa_stop(struct dsa *dsa);
void dsa_start(struct dsa *dsa);
int dsa_save(struct dsa *dsa, struct viommu_stream_writer *writer, uint32_t instance);
int dsa_load(struct dsa *dsa, struct viommu_stream_reader *reader, uint32_t instance, char *message,
	     size_t message_length);

struct dsa_statistics {
	uint64_t descriptors; /* executed, batch members too */
	uint64_t bytes;	      /* read or written for operations */
	uint64_t batches;
	uint64_t retries; /* submissions refused: WQ full */
	uint64_t dropped; /* posted submissions lost: WQ full or not enabled */
	uint64_t page_requests;
	uint64_t page_failures; /* answered with failure or not in time */
	uint64_t faults;	/* descriptors that ended with a fault */
	uint64_t errors;	/* reported in SWERR or the event log */
	uint64_t interrupts;
	uint64_t aborted; /* descriptors given up by a command or reset */
};
void dsa_statistics(const struct dsa *dsa, struct dsa_statistics *statistics);

#endif
