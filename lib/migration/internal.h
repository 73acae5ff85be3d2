/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tracker inside lib/migration: a list of spaces, a list of devices, and counters.
 *
 * Lists change only while tracking is off and under `lock`; viommu_tracker_query holds it too. An unmap takes no lock: it
 * reads `active`, what its own space says, and lists that cannot change while it is true.
 */
#ifndef VIOMMU_LIB_MIGRATION_INTERNAL_H
#define VIOMMU_LIB_MIGRATION_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <viommu/migration.h>

enum {
	PAGE_SHIFT = 12,
	/* One query of a source: 2 GiB, a bitmap of 64 KiB. */
	CHUNK_PAGES = 1 << 19,
	CHUNK_BYTES = CHUNK_PAGES / 8,
	NAME_MAX_LENGTH = 64,
};

struct tracked_host;

struct viommu_space {
	struct viommu_tracker *tracker;
	struct viommu_space *next;
	struct tracked_host *host; /* one of its spaces, for the time of a call; NULL: the caller's */
	struct viommu_dirty_ops ops;
	void *opaque;
	uint64_t max_bitmap;
	bool identity;
	bool atomic;
	bool can_track;
	bool tracked; /* ops.start succeeded: a device is tracked here */
	bool live;    /* of a host: devices are attached and may write until the mapping is gone */
	char name[NAME_MAX_LENGTH];
};

struct tracked_device {
	struct tracked_device *next;
	uint32_t index;
	/* Where its DMA goes: a space of the caller's, or spaces of a host we follow ourselves; neither: emulated. */
	struct viommu_space *space;
	struct tracked_host *host;
	struct viommu_passthrough *passthrough; /* with `host` */
	struct viommu_dirty_ops log;
	void *log_opaque;
	bool has_log;
	bool log_started;
	bool can_track; /* the host IOMMU tracks for it */
	uint64_t max_bitmap; /* of its host: bytes of the largest dirty bitmap; 0: no limit */
	bool behind_unit;
	bool migratable;
	bool drainable;
	char name[NAME_MAX_LENGTH];
};

struct viommu_tracker {
	struct viommu_memory *memory;
	pthread_mutex_t lock;
	struct viommu_space *spaces;
	struct tracked_device *devices;
	struct tracked_host *hosts;
	uint32_t next_index;
	uint64_t *chunk; /* CHUNK_BYTES, zero between uses; for queries, under `lock` */
	_Atomic bool active;
	_Atomic bool lost; /* a query before an unmap failed */
	bool log_left;     /* stopped where the guest memory's own log could not be: it is still on */
	bool disordered;   /* tests only: record dirt after the mapping is gone, to see pages being lost */
	_Atomic uint64_t queries, unmaps, unmap_queries, unmaps_outright, pages;
};

/* hosts.c: spaces of passed-through devices; `lock` is held */
int tracker_hosts_start(struct tracked_host *host);
void tracker_hosts_stop(struct viommu_tracker *tracker);
/* Visit every live mapping of every tracked space, with the space to ask. */
int tracker_hosts_each(struct viommu_tracker *tracker,
		       int (*visit)(void *opaque, const struct viommu_space *space, uint64_t iova,
				    uint64_t length, uint64_t gpa, bool writable),
		       void *opaque);
/* A device goes. */
void tracker_host_put(struct viommu_tracker *tracker, const struct tracked_device *device);
/* What the device wrote, into the guest memory's log: it goes while tracking is on. */
int tracker_host_flush(struct viommu_tracker *tracker, struct tracked_device *device);

/* tracker.c */
int tracker_import(void *to, size_t known, const void *from, uint32_t size);
/* Add a device that is complete but for its index; frees it on failure. */
int tracker_add(struct viommu_tracker *tracker, struct tracked_device *device, uint32_t *index);
void tracker_copy_name(char *to, const char *from);

static inline bool device_is_real(const struct tracked_device *device)
{
	return device->space || device->host;
}

/* method.c */
enum viommu_tracking tracker_method(const struct viommu_tracker *tracker, const struct tracked_device *device);
int tracker_blockers(struct viommu_tracker *tracker, char *text, size_t length);

/* collect.c: the largest query a source takes, in bytes of address space. */
uint64_t tracker_chunk_length(uint64_t max_bitmap);
/* Move what a source knows of [iova, iova + length), which leads to gpa, into the guest memory's log. */
int tracker_flush(struct viommu_tracker *tracker, const struct viommu_space *space, uint64_t iova, uint64_t length,
		  uint64_t gpa);
/* Mark the set bits of `bitmap`, whose bit 0 is the page at gpa, in the guest memory's log. Returns how many. */
uint64_t tracker_mark(struct viommu_tracker *tracker, const uint64_t *bitmap, uint64_t gpa, uint64_t length);

#endif
