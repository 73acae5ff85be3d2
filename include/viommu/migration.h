/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Live migration behind a virtual IOMMU: which guest pages were written, what forbids migration, and the
 * state of everything as one stream.
 *
 * The tracker knows the VM's devices and the address spaces their DMA goes through. A *space* is one host
 * IOMMU address space: `identity` (IOVA = GPA; the parent of nested translation, or pass-through) or shadow
 * (IOVA is the guest's). Emulated endpoints need no space: their writes go through the memory (memory.h), which tracks them.
 * All dirt ends in one place, the dirty bitmap of the guest memory, keyed by GPA.
 *
 * Threads: calls on one tracker may come from any thread; viommu_tracker_unmap runs concurrently with queries.
 */
#ifndef VIOMMU_MIGRATION_H
#define VIOMMU_MIGRATION_H

#include <viommu/memory.h>
#include <viommu/stream.h>
#include <viommu/types.h>
#include <viommu/unit.h>

#ifdef __cplusplus
extern "C" {
#endif

struct viommu_tracker;
struct viommu_space;

/* Dirty pages are counted in these, bytes. */
#define VIOMMU_DIRTY_PAGE 4096u
/* A writable unmap up to this many bytes is marked dirty outright while tracking: cheaper than asking, and without a race. */
#define VIOMMU_DIRTY_OUTRIGHT (UINT64_C(2) << 20)

/* One way to learn what a device wrote: an IOMMU address space's, or the device's own log. */
struct viommu_dirty_ops {
	uint32_t size;
	int (*start)(void *opaque);
	int (*stop)(void *opaque);
	/*
	 * OR the dirty bits of [iova, iova + length) into `bitmap` (bit 0 is the page at iova) and clear
	 * them in the source; with `keep` they need not be cleared (the mapping is about to go).
	 */
	int (*query)(void *opaque, uint64_t iova, uint64_t length, uint64_t *bitmap, bool keep);
	/* Spaces only. Remove host mappings; with `bitmap`, atomically with reading its dirty bits (only when `atomic`). */
	int (*unmap)(void *opaque, uint64_t iova, uint64_t length, uint64_t *bitmap);
	/*
	 * Shadow spaces only. Visit the live mappings in order of IOVA; stop when visit returns non-zero, and return
	 * that. A mapping must not go or change while it is visited: the visitor asks for its dirty bits.
	 */
	int (*each)(void *opaque,
		    int (*visit)(void *visitor, uint64_t iova, uint64_t length, uint64_t gpa,
				 bool writable),
		    void *visitor);
};

struct viommu_space_info {
	uint32_t size;
	bool identity;       /* IOVA = GPA */
	bool atomic;         /* unmap can return the dirty bits itself (legacy VFIO) */
	bool can_track;      /* the host IOMMU tracks dirty pages */
	uint64_t max_bitmap; /* bytes of the largest bitmap a query takes; 0: no limit */
	const char *name;    /* for messages; copied */
	const struct viommu_dirty_ops *ops;
	void *opaque;
};

struct viommu_device_info {
	uint32_t size;
	bool behind_unit;    /* a guest can make it translate through the unit */
	bool migratable;     /* its own state can be saved (VFIO migration v2, or emulated) */
	bool drainable;      /* its queues can be quiesced */
	const char *name;    /* for messages; copied */
	struct viommu_space *space;         /* NULL: emulated */
	const struct viommu_dirty_ops *log; /* the device's own DMA log; NULL: it has none */
	void *log_opaque;
};

/* How a device's writes are tracked. */
enum viommu_tracking {
	VIOMMU_TRACKING_NONE,     /* cannot be: see the reason */
	VIOMMU_TRACKING_EMULATED, /* by the memory */
	VIOMMU_TRACKING_IOMMU,    /* by the host IOMMU's page tables */
	VIOMMU_TRACKING_DEVICE,   /* by the device */
};

/* `memory` must outlive the tracker. -EINVAL: a NULL; -ENOMEM. */
VIOMMU_API int viommu_tracker_create(struct viommu_memory *memory, struct viommu_tracker **tracker);
/* Stops tracking if it is on. Never fails. */
VIOMMU_API void viommu_tracker_destroy(struct viommu_tracker *tracker);

/*
 * -EINVAL (ops incomplete for its kind), -E2BIG, -ENOMEM, -EBUSY while tracking. Removing: -ENOENT; -EBUSY while tracking, and for a
 * space that a device uses.
 */
VIOMMU_API int viommu_tracker_add_space(struct viommu_tracker *tracker,
					const struct viommu_space_info *info,
					struct viommu_space **space);
VIOMMU_API int viommu_tracker_remove_space(struct viommu_tracker *tracker, struct viommu_space *space);
/* *index identifies it below. -EINVAL, -E2BIG, -ENOMEM, -EBUSY while tracking. */
VIOMMU_API int viommu_tracker_add_device(struct viommu_tracker *tracker,
					 const struct viommu_device_info *info, uint32_t *index);
/*
 * A device passed through (viommu/passthrough.h): its spaces come and go with what its guest does, also while
 * tracking; they are found and followed. `info` gives name, migratable and drainable; the rest is known. The device must be
 * removed here before the passthrough is destroyed. -EBUSY: another hook is set on its unit's mappings, or tracking is on;
 * -EINVAL, -E2BIG, -ENOMEM.
 */
struct viommu_passthrough;
VIOMMU_API int viommu_tracker_add_passthrough(struct viommu_tracker *tracker,
					      struct viommu_passthrough *passthrough,
					      const struct viommu_device_info *info, uint32_t *index);
/*
 * -ENOENT. A device passed through may go while tracking is on, when its DMA has stopped: what it wrote is kept. Others: -EBUSY
 * while tracking.
 */
VIOMMU_API int viommu_tracker_remove_device(struct viommu_tracker *tracker, uint32_t index);

/*
 * How device `index` would be tracked, and why, as a sentence (`text` may be NULL). -ENOENT.
 */
VIOMMU_API int viommu_tracker_method(struct viommu_tracker *tracker, uint32_t index,
				     enum viommu_tracking *method, char *text, size_t length);
/*
 * What forbids migration now: `text` gets one line for each reason. Returns the number of reasons, 0 for none.
 */
VIOMMU_API int viommu_tracker_blockers(struct viommu_tracker *tracker, char *text, size_t length);

/*
 * Start: all devices or none. -EOPNOTSUPP when something forbids migration; -EALREADY; a source's errno; -EDEADLK in an access
 * section. Stop never fails; in an access section, where the memory's log cannot be switched off, it stops the sources and leaves
 * that log on until the next stop, or the next start, which takes it over.
 */
VIOMMU_API int viommu_tracker_start(struct viommu_tracker *tracker);
VIOMMU_API void viommu_tracker_stop(struct viommu_tracker *tracker);
VIOMMU_API bool viommu_tracker_active(const struct viommu_tracker *tracker);
/*
 * Collect and clear: OR what was written since the last query to RAM [gpa, gpa + length) into `bitmap` (bit 0 is the
 * page at gpa; gpa and length are multiples of 64 pages). A device's write that was finished before the call is in it.
 * -ENOENT: not tracking; -EINVAL; -EIO: dirt was lost earlier (a query before an unmap failed): the migration must fail;
 * a source's errno: nothing is lost by that, and the next query has what this one found.
 */
VIOMMU_API int viommu_tracker_query(struct viommu_tracker *tracker, uint64_t gpa, uint64_t length,
				    uint64_t *bitmap);

/*
 * Remove a host mapping so that no dirt is lost: [iova, iova + length) leads to [gpa, gpa + length).
 * The mapping always goes. Call it before the invalidation that caused it completes. Where the host cannot read dirty
 * bits and unmap in one step (iommufd) and the mapping is larger than VIOMMU_DIRTY_OUTRIGHT, no device may write to it any
 * more: detach them first, or unmap in parts of VIOMMU_DIRTY_OUTRIGHT, which are marked as a whole. (Devices added with
 * viommu_tracker_add_passthrough() need nothing: as long as one is attached, their mappings are marked as a whole.)
 * Returns the unmap's errno, else the query's (after which viommu_tracker_query gives -EIO); -EINVAL: not whole pages, nothing is
 * done then.
 */
VIOMMU_API int viommu_tracker_unmap(struct viommu_tracker *tracker, struct viommu_space *space,
				    uint64_t iova, uint64_t length, uint64_t gpa, bool writable);
/* Remove every live mapping of a shadow space, each with its GPA. Returns the first error; all go. -EINVAL: it has no `each`. */
VIOMMU_API int viommu_tracker_unmap_all(struct viommu_tracker *tracker, struct viommu_space *space);

struct viommu_tracker_statistics {
	uint32_t size;
	uint32_t devices, spaces;
	uint64_t queries;          /* of sources, by viommu_tracker_query */
	uint64_t unmaps;
	uint64_t unmap_queries;    /* of these: asked before unmapping, or atomically */
	uint64_t unmaps_outright;  /* marked dirty without asking */
	uint64_t pages;            /* bits collected from sources */
};
VIOMMU_API int viommu_tracker_statistics(struct viommu_tracker *tracker,
					 struct viommu_tracker_statistics *statistics);

/*
 * The state of a VM's units and devices as one stream. Members are saved in the order they were
 * added and loaded in the same. A load that fails half-way puts the earlier members back as they were.
 */
struct viommu_state;

struct viommu_state_member {
	uint32_t size;
	uint32_t instance;
	const char *name; /* for messages; copied */
	/* Optional: quiesced? 0, or -EBUSY with `text` naming what still runs. */
	int (*quiesced)(void *opaque, char *text, size_t length);
	int (*save)(void *opaque, struct viommu_stream_writer *writer, uint32_t instance);
	int (*load)(void *opaque, struct viommu_stream_reader *reader, uint32_t instance, char *text,
		    size_t length);
	void *opaque;
};

/* -ENOMEM. */
VIOMMU_API int viommu_state_create(struct viommu_state **state);
VIOMMU_API void viommu_state_destroy(struct viommu_state *state);
/* Units and devices must outlive the state object. -EINVAL (a member without name, save or load), -E2BIG, -ENOMEM. */
VIOMMU_API int viommu_state_add_unit(struct viommu_state *state, struct viommu_unit *unit);
VIOMMU_API int viommu_state_add(struct viommu_state *state, const struct viommu_state_member *member);
/*
 * Save into a buffer the caller frees with free(). Every member must be quiesced: -EBUSY and `text` says who is not. -ENOMEM; what a
 * member's own `save` returns.
 * Load: -ENOMEM, -EBADMSG, -EPROTONOSUPPORT (also: a section that no member asked for), -EINVAL (capabilities that do not fit, `text` names
 * them), -ENOENT or -EBADMSG (a member the stream lacks).
 */
VIOMMU_API int viommu_state_save(struct viommu_state *state, void **data, size_t *length,
				 char *text, size_t text_length);
VIOMMU_API int viommu_state_load(struct viommu_state *state, const void *data, size_t length,
				 char *text, size_t text_length);

#ifdef __cplusplus
}
#endif
#endif
