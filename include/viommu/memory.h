/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory: the guest-physical address space as segments of RAM and MMIO.
 *
 * Look-ups take no lock; segments come and go while DMA runs. A host pointer (HVA) obtained from a
 * look-up or a translation may be used only inside the *access section* it was obtained in: a pair
 * viommu_access_begin() / viommu_access_end() on one thread. Removing a segment, and completing an
 * invalidation wait, return only after every access section that could have seen the old state is
 * over. Sections nest, cost a thread-local store, and must be short: never block in one, and never
 * call a function documented as "waits for access sections" inside one (it returns -EDEADLK).
 */
#ifndef VIOMMU_MEMORY_H
#define VIOMMU_MEMORY_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct viommu_memory;

/* Enter and leave an access section on the calling thread. Any thread. Never fails. */
VIOMMU_API void viommu_access_begin(void);
VIOMMU_API void viommu_access_end(void);

/*
 * Wait until every access section that was open when the call was made is over.
 * Returns -EDEADLK inside an access section.
 */
VIOMMU_API int viommu_access_drain(void);

/*
 * What an MMIO segment answers. `offset` is relative to the segment's start; `length` is 1, 2, 4
 * or 8 and the access does not cross the segment's end. Called on the thread that does the access,
 * inside its access section. Return 0 or a negative errno, which the accessor gets as -EFAULT
 * would be: the access failed.
 */
struct viommu_mmio_ops {
	uint32_t size;
	int (*read)(void *opaque, uint64_t offset, void *data, size_t length);
	int (*write)(void *opaque, uint64_t offset, const void *data, size_t length);
};

enum viommu_segment_flags {
	VIOMMU_SEGMENT_READONLY = 1u << 0, /* writes fail with -EACCES */
};

/* Create an empty address space. -ENOMEM. */
VIOMMU_API int viommu_memory_create(struct viommu_memory **memory);
/*
 * Destroy it: waits for access sections, so not inside one. Units using it must be gone; what is
 * still mapped is unmapped.
 */
VIOMMU_API void viommu_memory_destroy(struct viommu_memory *memory);

/*
 * Add RAM [gpa, gpa + length).
 * _fd maps `length` bytes of `fd` from `offset` shared (the fd may be closed afterwards); _hva
 * uses the caller's memory, which must stay until the segment is removed.
 * gpa, length and offset are multiples of 4096, and so is hva; flags: enum viommu_segment_flags.
 * Listeners are asked first, and then access sections waited for. -EINVAL: alignment, zero or
 * wrapping length, unknown flags, no hva; -EEXIST: overlaps a segment; -ENOMEM; -EDEADLK inside an
 * access section; -EBUSY from a listener or from a visit of viommu_memory_each; what a listener
 * refused with; _fd: any errno of fstat or mmap, -ENXIO when the file is shorter than offset +
 * length.
 */
VIOMMU_API int viommu_memory_add_fd(struct viommu_memory *memory, uint64_t gpa, uint64_t length,
				    int fd, uint64_t offset, uint32_t flags);
VIOMMU_API int viommu_memory_add_hva(struct viommu_memory *memory, uint64_t gpa, uint64_t length,
				     void *hva, uint32_t flags);
/*
 * Add an MMIO segment; `ops` and `opaque` must stay until it is removed. Errors as above; -EINVAL
 * also when an op is missing; -E2BIG: an op this library does not know.
 */
VIOMMU_API int viommu_memory_add_mmio(struct viommu_memory *memory, uint64_t gpa, uint64_t length,
				      const struct viommu_mmio_ops *ops, void *opaque, uint32_t flags);
/*
 * Remove every segment that lies wholly in [gpa, gpa + length): no look-up finds them any more,
 * access sections are waited for, then listeners hear of each, then the memory goes.
 * Returns the number of segments removed; -EINVAL: zero or wrapping length, or a segment straddles
 * an edge (nothing is removed); -ENOMEM; -EDEADLK inside an access section; -EBUSY from a listener
 * or from a visit of viommu_memory_each.
 */
VIOMMU_API int viommu_memory_remove(struct viommu_memory *memory, uint64_t gpa, uint64_t length);

/*
 * The longest run of RAM at `gpa` with this access: HVA in *hva, bytes in *length (never crosses a
 * segment). Inside an access section only. -ENOENT: nothing there; -EACCES: read-only and access
 * is a write; -ENODEV: MMIO (use viommu_memory_read/write).
 */
VIOMMU_API int viommu_memory_lookup(struct viommu_memory *memory, uint64_t gpa, uint32_t access,
				    void **hva, uint64_t *length);

/*
 * Copy out of / into guest memory, RAM or MMIO, across segments. Takes its own access section. All
 * or nothing up to the first hole: -EFAULT (a hole or a failing MMIO access), -EACCES (read-only).
 * Naturally aligned 2-, 4- and 8-byte accesses to RAM are single-copy atomic.
 */
VIOMMU_API int viommu_memory_read(struct viommu_memory *memory, uint64_t gpa, void *data, size_t length);
VIOMMU_API int viommu_memory_write(struct viommu_memory *memory, uint64_t gpa, const void *data,
				   size_t length);
/*
 * Compare-and-exchange a naturally aligned 4- or 8-byte word of RAM (`width` = 4 or 8). *expected
 * holds the value compared with and, on return, the value found. Returns 1 when exchanged, 0 when
 * not; -EINVAL, -EFAULT, -EACCES.
 */
VIOMMU_API int viommu_memory_compare_exchange(struct viommu_memory *memory, uint64_t gpa,
					      unsigned int width, uint64_t *expected, uint64_t desired);

/*
 * Dirty tracking of writes that pass through this library (emulated endpoints and the two writers
 * above). While on, every write sets the bit of its page (1 << page_shift bytes, 12 at least).
 * `query` ORs the bits of [gpa, gpa + length) into `bitmap` (bit 0 is the page at gpa) and clears
 * them unless `keep`. `mark` sets them, and may be called anywhere, inside an access section too.
 * The others wait for access sections: -EDEADLK inside one. -EINVAL: page_shift, alignment or a
 * wrapping range; start: -EALREADY, -ENOMEM (tracking stays off); stop and query: -ENOENT when
 * tracking is off; start and stop: -EBUSY from a listener or from a visit of viommu_memory_each. A
 * listener that hears of a removal may still query the segment that goes.
 */
VIOMMU_API int viommu_memory_dirty_start(struct viommu_memory *memory, unsigned int page_shift);
VIOMMU_API int viommu_memory_dirty_stop(struct viommu_memory *memory);
VIOMMU_API int viommu_memory_dirty_query(struct viommu_memory *memory, uint64_t gpa, uint64_t length,
					 uint64_t *bitmap, bool keep);
VIOMMU_API void viommu_memory_mark_dirty(struct viommu_memory *memory, uint64_t gpa, uint64_t length);
/*
 * True while tracking is on. A device model that writes through an HVA of a translation calls
 * viommu_memory_mark_dirty() after the write, inside the same access section, when this is true.
 */
VIOMMU_API bool viommu_memory_dirty_active(const struct viommu_memory *memory);

/*
 * Visit each segment in order of GPA; stops when `visit` returns non-zero and returns that. The
 * segments cannot change meanwhile: `visit` runs under the lock of changes. -EDEADLK inside an
 * access section.
 */
struct viommu_segment_info {
	uint32_t size;
	uint32_t flags;  /* enum viommu_segment_flags */
	uint64_t gpa;
	uint64_t length; /* bytes */
	void *hva;       /* NULL for MMIO */
};
VIOMMU_API int viommu_memory_each(struct viommu_memory *memory,
				  int (*visit)(void *opaque, const struct viommu_segment_info *segment),
				  void *opaque);

/*
 * Called before a segment becomes visible (added = true; non-zero refuses it and is returned by
 * the add) and after it stopped being visible and every access section that could see it is over,
 * but before its memory goes (added = false; the result is ignored). Passthrough uses it to keep
 * host mappings in step. Calls are serialised. Segments that are there already are announced, as
 * added, before viommu_memory_listen returns; if one is refused, those before it are taken back
 * and the refusal is returned. A listener may read, write, look up, visit and query, but not
 * change segments or listeners: -EBUSY. -ENOMEM; -EDEADLK inside an access section; -EBUSY from a
 * listener.
 */
struct viommu_memory_listener;
VIOMMU_API int viommu_memory_listen(struct viommu_memory *memory,
				    int (*change)(void *opaque, const struct viommu_segment_info *segment,
						  bool added),
				    void *opaque, struct viommu_memory_listener **listener);
/*
 * Stop hearing: none of its calls is running or will come. Not inside an access section, and not
 * from a listener.
 */
VIOMMU_API void viommu_memory_unlisten(struct viommu_memory *memory,
				       struct viommu_memory_listener *listener);

#ifdef __cplusplus
}
#endif
#endif
