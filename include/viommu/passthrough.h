/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A physical device behind a unit: the guest's tables act on the host's IOMMU.
 *
 * One viommu_passthrough is one PCI function. What the guest says about its RID and PASIDs, by invalidations, becomes
 * attachments on the host: first-stage tables nested on a space that is the guest's memory, that space itself for
 * pass-through, and shadow spaces kept in step with second-stage (and legacy) tables. Where the host refuses, the DMA in
 * question is blocked, the guest finds a fault record, and the operator reads one line: old tables never stay in use unnoticed.
 *
 * The unit must have caching-mode on: its guest then announces new entries too. Functions may be called from any thread, not from
 * inside an access section, and not from a callback of the unit's ops.
 */
#ifndef VIOMMU_PASSTHROUGH_H
#define VIOMMU_PASSTHROUGH_H

#include <viommu/endpoint.h>
#include <viommu/host.h>
#include <viommu/unit.h>

#ifdef __cplusplus
extern "C" {
#endif

struct viommu_passthrough;
struct viommu_passthrough_space;

struct viommu_passthrough_options {
	uint32_t size;
	uint32_t page_timeout; /* milliseconds the guest has to answer a page request; 0: 10000 */
	uint32_t max_mappings; /* of one shadow space; 0: 65535, what legacy VFIO takes by default */
	uint32_t reserved;     /* 0 */
};

struct viommu_passthrough_ops {
	uint32_t size;
	/* Optional: one line for the operator; at most 20 at once and one a second. `text` lives for the call. Any thread. */
	void (*log)(void *opaque, const char *text);
	/* Optional: DMA of this PASID (VIOMMU_NO_PASID: of the function) is blocked because the host refused with `error`. */
	void (*blocked)(void *opaque, uint32_t pasid, int error);
};

/*
 * Put `device` behind `unit` as requester `rid`; makes the endpoint too. Checks first that the host can do what the unit
 * promises: `message` then names both values. options and ops may be NULL.
 * -EINVAL: they do not fit; -EEXIST: rid is taken; -ENOMEM; any errno of the host.
 */
VIOMMU_API int viommu_passthrough_create(struct viommu_unit *unit, uint16_t rid,
					 struct viommu_host_device *device,
					 const struct viommu_passthrough_options *options,
					 const struct viommu_passthrough_ops *ops, void *opaque,
					 struct viommu_passthrough **passthrough, char *message,
					 size_t message_length);
/* Hot-unplug: everything is detached and given back; outstanding page requests are answered. Never fails. */
VIOMMU_API void viommu_passthrough_destroy(struct viommu_passthrough *passthrough);
/*
 * Reset the device (viommu_host_device_reset), with nothing attached or detached meanwhile: kernels refuse that during a reset.
 * Waits for what the unit executes. -ENOTTY: it has no reset; any errno of the host.
 */
VIOMMU_API int viommu_passthrough_reset(struct viommu_passthrough *passthrough);
VIOMMU_API struct viommu_endpoint *viommu_passthrough_endpoint(struct viommu_passthrough *passthrough);
VIOMMU_API struct viommu_host_device *viommu_passthrough_device(struct viommu_passthrough *passthrough);

struct viommu_passthrough_statistics {
	uint32_t size;
	uint32_t reserved;
	/* Of the device. */
	uint64_t bindings;        /* gauge: PASIDs attached on the host */
	uint64_t binds;           /* attached for the first time */
	uint64_t replaces;
	uint64_t unbinds;
	uint64_t unchanged;       /* looked at and left alone: no host call */
	uint64_t refused;         /* by the host, or impossible: blocked */
	uint64_t stuck;           /* gauge: could not be detached; tried again at every event */
	uint64_t page_requests;   /* relayed to the guest */
	uint64_t page_answers;    /* of the guest, passed to the host */
	uint64_t page_rejects;    /* answered without the guest: no queue, time-out, gone */
	/* Of all devices of the unit. */
	uint64_t tables;          /* gauge: nested tables */
	uint64_t invalidations;   /* entries given to the host */
	uint64_t invalidate_calls;
	uint64_t mappings;        /* gauge: areas in shadow spaces */
	uint64_t maps;            /* host map calls for shadow spaces */
	uint64_t unmaps;
	uint64_t bytes;           /* gauge: memory of bindings, tables and their indexes */
};
VIOMMU_API int viommu_passthrough_statistics(struct viommu_passthrough *passthrough,
					     struct viommu_passthrough_statistics *statistics);

/*
 * Page requests of the host. Poll the fd (-1: the unit has no page requests, or the host none) and call _work when it is
 * readable, and when the milliseconds _work returned are over (-1: nothing is outstanding). `now`: milliseconds of
 * any steady clock. The queue is shared by the unit's devices on one host.
 */
VIOMMU_API int viommu_passthrough_fault_fd(struct viommu_passthrough *passthrough);
VIOMMU_API int viommu_passthrough_work(struct viommu_passthrough *passthrough, uint64_t now);

/* For dirty tracking: what a hook is told of a space that DMA of the unit's devices goes through. */
struct viommu_passthrough_space_info {
	uint32_t size;
	bool identity;                  /* IOVA = GPA */
	struct viommu_host_space *host;
};
/*
 * While a hook is set, every removal of a mapping goes through `unmap` instead of viommu_host_unmap: it must remove the mapping
 * (viommu_host_unmap) after having its dirt recorded. One call per live mapping. `created` and `gone` frame a space's life; on
 * setting a hook `created` is called for those that are there. All run under a lock of the unit's mappings: do not call
 * viommu_passthrough_* from them, and hold no lock around viommu_passthrough_each_mapping that they take. The structure must stay
 * until NULL takes the hook away.
 */
struct viommu_passthrough_hook {
	uint32_t size;
	int (*created)(void *opaque, struct viommu_passthrough_space *space,
		       const struct viommu_passthrough_space_info *info);
	void (*gone)(void *opaque, struct viommu_passthrough_space *space);
	int (*unmap)(void *opaque, struct viommu_passthrough_space *space, uint64_t iova, uint64_t length,
		     uint64_t gpa, bool writable);
};
/* -EBUSY: another hook is set; -EINVAL: it is shorter than this one, or has no `unmap`; -E2BIG; an error of `created`. */
VIOMMU_API int viommu_passthrough_set_hook(struct viommu_passthrough *passthrough,
					   const struct viommu_passthrough_hook *hook, void *opaque);
/* Visit live mappings in order of IOVA, under the lock of the unit's mappings; stops when `visit` returns non-zero, and returns that. */
VIOMMU_API int viommu_passthrough_each_mapping(struct viommu_passthrough_space *space,
					       int (*visit)(void *opaque, uint64_t iova, uint64_t length,
							    uint64_t gpa, bool writable),
					       void *opaque);

/*
 * Add a PASID extended capability (PCIe 7.8.8) to a function's config space of `length` bytes (4096). `offset`: where, 0 to choose
 * a free place. `width` 1..20. The capability is linked to the end of the chain; its control register is 0.
 * Returns the offset; -EEXIST: there is one; -ENOSPC: no room; -EINVAL: the place is taken or impossible, or the chain is broken;
 * `message` says which.
 */
VIOMMU_API int viommu_pasid_capability_add(uint8_t *config, size_t length, uint16_t offset,
					   uint8_t width, bool execute, bool privileged, char *message,
					   size_t message_length);

#ifdef __cplusplus
}
#endif
#endif
