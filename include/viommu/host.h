/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host's IOMMU: one interface, three back ends.
 *
 * A *host* is an iommufd context, a legacy VFIO type1 container, or a model of the kernel's rules inside this process. A
 * *device* is a physical function given to us there. A *space* is a second stage of ours: what a device with
 * this space attached reaches at an IOVA. A *table* is what a device, or one PASID of it, is attached to: a space or a nested
 * table, which is a guest's first stage in front of a space.
 *
 * Functions may be called from any thread; calls on one host are serialised by it. Every errno of the host's ioctls is
 * passed on; those listed are the ones to expect.
 */
#ifndef VIOMMU_HOST_H
#define VIOMMU_HOST_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct viommu_host;
struct viommu_host_device;
struct viommu_host_space;

/*
 * Open a back end. `fd` is /dev/iommu or /dev/vfio/vfio, owned by the caller and open until viommu_host_close.
 * -ENOMEM; type1: -EOPNOTSUPP when the container has no type1 v2, any errno of asking it.
 */
VIOMMU_API int viommu_host_open_iommufd(int fd, struct viommu_host **host);
VIOMMU_API int viommu_host_open_type1(int fd, struct viommu_host **host);
/* Its devices and spaces must be gone. */
VIOMMU_API void viommu_host_close(struct viommu_host *host);
/* "iommufd", "type1" or "model". */
VIOMMU_API const char *viommu_host_backend(const struct viommu_host *host);

/*
 * Take a device. cdev: `fd` is /dev/vfio/devices/vfioN, the caller's until the device is closed. group: `fd` is /dev/vfio/N and `name` the
 * PCI address ("0000:01:00.0"); the device's own fd comes from viommu_host_device_fd.
 * -EINVAL: not a device of this back end; -ENOMEM; any errno of binding it. By group also -EPERM: another device of the group
 * has a driver of the host's; -EPROTO: the host answered something no VFIO does.
 */
VIOMMU_API int viommu_host_device_open_cdev(struct viommu_host *host, int fd,
					    struct viommu_host_device **device);
VIOMMU_API int viommu_host_device_open_group(struct viommu_host *host, int fd, const char *name,
					     struct viommu_host_device **device);
/* Detaches whatever is attached. */
VIOMMU_API void viommu_host_device_close(struct viommu_host_device *device);
/* The VFIO device fd (regions, interrupts, reset); -1 for the model. */
VIOMMU_API int viommu_host_device_fd(const struct viommu_host_device *device);

enum viommu_host_kind {
	VIOMMU_HOST_UNKNOWN = 0,
	VIOMMU_HOST_VTD = 1,
};

struct viommu_host_info {
	uint32_t size;
	enum viommu_host_kind kind;
	uint64_t cap;              /* of the host's unit, VT-d 11.4.2; 0 unless kind is VTD */
	uint64_t ecap;             /* VT-d 11.4.3 */
	uint8_t pasid_bits;        /* width of the device's PASIDs, 0: none */
	bool pasid_execute;
	bool pasid_privileged;
	bool ats;                  /* ATS may be on */
	bool dirty_tracking;       /* the host IOMMU can track writes */
	bool nesting;              /* first stages can be nested: nested tables work */
	bool pasid_attach;         /* the back end can attach single PASIDs */
	bool page_requests;        /* the back end can hand page requests to us */
	uint64_t max_dirty_bitmap; /* bytes of one dirty bitmap, 0: no limit */
	uint64_t page_sizes;       /* a bit per size a space maps at */
};
/* -EINVAL: see viommu/types.h. */
VIOMMU_API int viommu_host_device_info(const struct viommu_host_device *device,
				       struct viommu_host_info *info);

enum viommu_host_space_flags {
	VIOMMU_SPACE_NEST_PARENT = 1u << 0,    /* nested tables can be made on it; it refuses read-only maps */
	VIOMMU_SPACE_DIRTY_TRACKING = 1u << 1,
	VIOMMU_SPACE_PASID = 1u << 2,          /* PASIDs may be attached to it, or beside it */
};
/*
 * A space for this device (and others like it). -EOPNOTSUPP: a flag the host cannot do; type1 has one space only and no
 * flags but DIRTY_TRACKING: -EBUSY for a second. -EINVAL: an unknown flag; -ENOMEM; any errno of the host.
 */
VIOMMU_API int viommu_host_space_create(struct viommu_host_device *device, uint32_t flags,
					struct viommu_host_space **space);
/* -EBUSY: something is attached to it or nested on it. */
VIOMMU_API int viommu_host_space_destroy(struct viommu_host_space *space);
VIOMMU_API struct viommu_host *viommu_host_space_host(const struct viommu_host_space *space);

/*
 * Map [iova, iova + length) to this process's memory at hva. `access`: READ, WRITE or both. -EINVAL: not multiples of
 * the page size, empty or wrapping, or read-only in a NEST_PARENT; -EEXIST: overlaps a mapping; -ENOMEM.
 */
VIOMMU_API int viommu_host_map(struct viommu_host_space *space, uint64_t iova, void *hva,
			       uint64_t length, uint32_t access);
/*
 * Remove every mapping in [iova, iova + length). Mappings are removed as they were made: -ENOENT when one straddles an edge,
 * or nothing is there. -EINVAL: not multiples of the page size, empty or wrapping (here and in what takes a range below).
 */
VIOMMU_API int viommu_host_unmap(struct viommu_host_space *space, uint64_t iova, uint64_t length);
/*
 * The same and, in one step with it, OR the dirty bits into `bitmap` (4 KiB pages, bit 0 at iova). -EOPNOTSUPP on
 * iommufd: query first with `keep`, then unmap; -E2BIG: more than max_dirty_bitmap describes.
 */
VIOMMU_API int viommu_host_unmap_dirty(struct viommu_host_space *space, uint64_t iova, uint64_t length,
				       uint64_t *bitmap);
/*
 * Dirty tracking of a space. query ORs the bits into `bitmap` and clears them on the host unless `keep`. -EOPNOTSUPP: the back end
 * has none; query -EINVAL: not tracking, no bitmap; start and query: any errno of the host.
 */
VIOMMU_API int viommu_host_dirty_start(struct viommu_host_space *space);
VIOMMU_API int viommu_host_dirty_stop(struct viommu_host_space *space);
VIOMMU_API int viommu_host_dirty_query(struct viommu_host_space *space, uint64_t iova, uint64_t length,
				       uint64_t *bitmap, bool keep);

/* The table that stands for a space. */
VIOMMU_API uint32_t viommu_host_space_table(const struct viommu_host_space *space);
/*
 * Attach a table to the device, or to one of its PASIDs; replaces what was attached (with a window in which DMA
 * faults). On failure the old one stays. Detached, DMA faults. type1: only its one space, and no PASIDs (-EOPNOTSUPP).
 * -EINVAL: a PASID of more than 20 bits or that the device cannot have, or a table it cannot be attached to; -ENOENT: no such table.
 */
VIOMMU_API int viommu_host_attach(struct viommu_host_device *device, uint32_t pasid, uint32_t table);
VIOMMU_API int viommu_host_detach(struct viommu_host_device *device, uint32_t pasid);

/* A guest's first stage, in the terms of VT-d 9.6. */
struct viommu_host_first_stage {
	uint32_t size;
	uint32_t faults;     /* fault queue that gets its page requests, 0: none */
	uint64_t root;       /* FSPTPTR, a guest-physical address in the parent space */
	uint8_t width;       /* 48 or 57 */
	bool supervisor;     /* SRE */
	bool write_protect;  /* WPE */
	bool extended;       /* EAFE */
	bool pasid;          /* to be attached to PASIDs, or beside some */
};
/*
 * -EINVAL: not 48 or 57, a root that is no page, a parent of another host or not made for nesting; -ENOENT: no such fault queue;
 * -EOPNOTSUPP: type1, or the host cannot nest; -EINVAL, -E2BIG: the size; -ENOMEM; any errno of the host.
 */
VIOMMU_API int viommu_host_nested_create(struct viommu_host_device *device,
					 struct viommu_host_space *parent,
					 const struct viommu_host_first_stage *first,
					 uint32_t *table);
/* -EBUSY: attached somewhere; -EOPNOTSUPP: type1. */
VIOMMU_API int viommu_host_nested_destroy(struct viommu_host *host, uint32_t table);

struct viommu_host_invalidation {
	uint64_t address;    /* multiple of 4096; 0 with pages = UINT64_MAX: everything */
	uint64_t pages;      /* of 4 KiB */
	uint32_t leaf_only;  /* 1: paging-structure caches may stay */
	uint32_t reserved;   /* 0 */
};
/*
 * Forget cached translations of a nested table, in order. *done (may be NULL): how many were executed, also on errors. -ENOENT: no such
 * table; -EINVAL: no nested one, or a misaligned entry; -EOPNOTSUPP: type1, or reserved bits.
 */
VIOMMU_API int viommu_host_invalidate(struct viommu_host *host, uint32_t table,
				      const struct viommu_host_invalidation *entries, uint32_t count,
				      uint32_t *done);

/* Page requests of nested tables made with this queue. Poll *fd for reading. -EOPNOTSUPP. */
VIOMMU_API int viommu_host_faults_create(struct viommu_host *host, uint32_t *faults, int *fd);
VIOMMU_API void viommu_host_faults_destroy(struct viommu_host *host, uint32_t faults, int fd);

struct viommu_host_fault {
	uint32_t device;     /* viommu_host_device_id */
	uint32_t pasid;      /* VIOMMU_NO_PASID without one */
	uint32_t group;
	uint32_t access;     /* enum viommu_access bits */
	uint64_t address;
	uint32_t cookie;     /* of the group; answer the one of the last request */
	bool last;
};
VIOMMU_API uint32_t viommu_host_device_id(const struct viommu_host_device *device);
/* Read up to `count` (64 at least, or -EINVAL) without blocking; returns how many, 0: none now. -EOPNOTSUPP: type1. */
VIOMMU_API int viommu_host_faults_read(struct viommu_host *host, int fd, struct viommu_host_fault *faults,
				       uint32_t count);
/* `success` false answers "invalid request". -EINVAL: no such cookie (answered, or its device is gone); -EOPNOTSUPP: type1. */
VIOMMU_API int viommu_host_faults_answer(struct viommu_host *host, int fd, uint32_t cookie, bool success);

/*
 * What VFIO offers per device: its own DMA logging and migration v2 (values and states as the kernel's uapi has
 * them). -ENOTTY or -EOPNOTSUPP: the device does not; any errno of the host.
 */
struct viommu_host_range {
	uint64_t iova;
	uint64_t length;
};
VIOMMU_API int viommu_host_device_log_start(struct viommu_host_device *device,
					    const struct viommu_host_range *ranges, uint32_t count);
VIOMMU_API int viommu_host_device_log_stop(struct viommu_host_device *device);
/* ORs into `bitmap` (4 KiB pages, bit 0 at iova) and clears on the device. */
VIOMMU_API int viommu_host_device_log_report(struct viommu_host_device *device, uint64_t iova,
					     uint64_t length, uint64_t *bitmap);
VIOMMU_API bool viommu_host_device_can_log(struct viommu_host_device *device);
enum viommu_host_migration_flags {
	VIOMMU_HOST_STOP_COPY = 1u << 0,
	VIOMMU_HOST_PRE_COPY = 1u << 2,
};
enum viommu_host_state {
	VIOMMU_HOST_ERROR,       /* only a reset helps */
	VIOMMU_HOST_STOPPED,
	VIOMMU_HOST_RUNNING,
	VIOMMU_HOST_STOP_COPYING, /* stopped, its state can be read */
	VIOMMU_HOST_RESUMING,    /* stopped, its state is being written */
	VIOMMU_HOST_RUNNING_P2P,
	VIOMMU_HOST_PRE_COPYING, /* runs, the beginning of its state can be read */
};
VIOMMU_API int viommu_host_device_migration_flags(struct viommu_host_device *device, uint64_t *flags);
/*
 * *data_fd: a new fd for the state's data, or -1. The caller closes it. An error leaves the device where it was, somewhere on the way
 * (viommu_host_device_migration_query), or in error: then only a reset brings it back.
 */
VIOMMU_API int viommu_host_device_migration_state(struct viommu_host_device *device, uint32_t state,
						  int *data_fd);
VIOMMU_API int viommu_host_device_migration_query(struct viommu_host_device *device, uint32_t *state);
/* VFIO_DEVICE_RESET: power-on state, running. -ENOTTY: the device has no reset. */
VIOMMU_API int viommu_host_device_reset(struct viommu_host_device *device);

/*
 * The model: the rules the kernel enforces, with a second-stage walk behind them, and no hardware. Tests, benchmarks and
 * an embedder's own tests use it.
 */
struct viommu_host_model_options {
	uint32_t size;
	bool type1;            /* behave as a type1 container: one space, no PASIDs, atomic unmap with dirty bits */
	bool no_nesting;
	bool no_dirty;
	uint8_t pad;
	uint64_t cap;          /* of the modelled unit; 0: a full one */
	uint64_t ecap;
};
/* `options` may be NULL. -EINVAL, -E2BIG: its size; -ENOMEM. */
VIOMMU_API int viommu_host_open_model(const struct viommu_host_model_options *options,
				      struct viommu_host **host);
struct viommu_host_model_device {
	uint32_t size;
	uint8_t pasid_bits;
	bool ats;
	bool log;              /* tracks its own writes */
	bool other_iommu;      /* behind something that is not VT-d */
	uint64_t migration;    /* flags of migration v2 as the kernel's uapi has them; 0: none */
};
/* -EINVAL: `host` is no model; -EINVAL, -E2BIG: the size of `options`; -ENOMEM. */
VIOMMU_API int viommu_host_device_open_model(struct viommu_host *host,
					     const struct viommu_host_model_device *options,
					     struct viommu_host_device **device);

/*
 * Migration v2 of the model: what it saves and loads is these bytes, `length` up to VIOMMU_HOST_MODEL_STATE. A stopped device does
 * no DMA (-EBUSY). -EINVAL: too long.
 */
#define VIOMMU_HOST_MODEL_STATE 65536u
VIOMMU_API int viommu_host_model_set_state(struct viommu_host_device *device, const void *data, size_t length);
VIOMMU_API size_t viommu_host_model_get_state(struct viommu_host_device *device, void *data, size_t room);

/* Calls the model counts and can be made to refuse. */
enum viommu_host_call {
	VIOMMU_HOST_MAP,
	VIOMMU_HOST_UNMAP,
	VIOMMU_HOST_SPACE_CREATE,
	VIOMMU_HOST_ATTACH,
	VIOMMU_HOST_DETACH,
	VIOMMU_HOST_NESTED_CREATE,
	VIOMMU_HOST_NESTED_DESTROY,
	VIOMMU_HOST_INVALIDATE,
	VIOMMU_HOST_DIRTY_SET,
	VIOMMU_HOST_DIRTY_QUERY,
	VIOMMU_HOST_FAULTS_ANSWER,
	VIOMMU_HOST_MIGRATE,
	VIOMMU_HOST_CALLS,
};
/* Calls made so far, refused ones too. */
VIOMMU_API uint64_t viommu_host_model_calls(const struct viommu_host *host, enum viommu_host_call call);
/* Let `after` calls through and refuse the `count` next with `error` (a negative errno). */
VIOMMU_API void viommu_host_model_refuse(struct viommu_host *host, enum viommu_host_call call,
					 uint64_t after, uint64_t count, int error);
/* Nested tables that exist, and attachments (RID and PASIDs) of a device. */
VIOMMU_API uint64_t viommu_host_model_tables(const struct viommu_host *host);
VIOMMU_API uint64_t viommu_host_model_attachments(const struct viommu_host_device *device);
/* The table attached, 0: none. */
VIOMMU_API uint32_t viommu_host_model_attached(const struct viommu_host_device *device, uint32_t pasid);
/*
 * DMA as the hardware would do it, through cached translations: what was cached stays until it is invalidated. -EFAULT: it
 * faults. Writes set dirty bits. -EBUSY: the device is stopped; -EINVAL: not a model's; -ENOMEM.
 */
VIOMMU_API int viommu_host_model_dma(struct viommu_host_device *device, uint32_t pasid, uint64_t iova,
				     void *data, size_t length, bool write);
/* The device asks for a page. -EFAULT: no fault queue is there, the hardware answers "invalid" by itself. */
VIOMMU_API int viommu_host_model_page_request(struct viommu_host_device *device, uint32_t pasid,
					      uint64_t address, uint32_t access, uint32_t group,
					      bool last);
/* The answer to a group: 1 and *success, or 0 while there is none; forgets it. */
VIOMMU_API int viommu_host_model_page_answer(struct viommu_host_device *device, uint32_t pasid,
					     uint32_t group, bool *success);

#ifdef __cplusplus
}
#endif
#endif
