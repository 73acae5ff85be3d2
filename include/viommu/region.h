/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Regions and maps: what stands between an initiator and memory.
 *
 * A map is an address space as an initiator (a hart, a bus master) sees it: intervals guarded by
 * regions, and guest memory everywhere else. A region is a checker or translator: asked about one
 * request it answers with a target. It may answer differently for reads, writes and fetches, and
 * for different initiators, so it is never asked without an access type. A region's answer may
 * continue in another map, which may hold further regions (a chain).
 *
 * Deciding and reacting are two steps. `translate` decides, has no side effect, and its answer may
 * be kept by anyone who listens to the region until the region says that it changed. `blocked` is
 * called once for every access that a kept or fresh answer blocked: it records the error, raises
 * the interrupt, and says how the initiator sees it.
 */
#ifndef VIOMMU_REGION_H
#define VIOMMU_REGION_H

#include <viommu/memory.h>
#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct viommu_map;
struct viommu_region;

/* Who asks. */
struct viommu_attributes {
	uint32_t wid;    /* WorldGuard id */
	uint32_t source; /* source id: the RRID an IOPMP sees */
};

/* One access: bytes [address, last], both inclusive. Never wraps, never empty. */
struct viommu_request {
	uint64_t address;
	uint64_t last;
	/*
	 * One of VIOMMU_READ, WRITE, EXECUTE, ATOMIC; plus VIOMMU_PRIVILEGED. `translate` is never
	 * asked for ATOMIC: an atomic access is translated as a READ and as a WRITE.
	 */
	uint32_t access;
	struct viommu_attributes attributes;
};

enum viommu_answer_kind {
	VIOMMU_ANSWER_BLOCKED, /* ask ops->blocked what the initiator sees */
	VIOMMU_ANSWER_PASS,    /* go on at `address` of `map` */
	/* it is host memory at `hva`, which stays until the region says it changed */
	VIOMMU_ANSWER_HOST,
	VIOMMU_ANSWER_STALLED, /* try again later; never kept */
};

/*
 * What a region answers. It holds for every access of the types `granted` (always including the
 * type asked) that lies wholly in [first, last]; for byte b there, the target is address +
 * (b - request->address). For BLOCKED, `granted` are the types blocked alike. The caller sets
 * granted = the type asked, [first, last] = the request, and the rest to zero before the call.
 */
struct viommu_answer {
	enum viommu_answer_kind kind;
	uint32_t granted;       /* set of VIOMMU_READ, WRITE, EXECUTE */
	uint64_t first, last;   /* in the region's input addresses; contains the request */
	bool once;              /* holds for this very request only: it straddles rules */
	struct viommu_map *map; /* PASS */
	uint64_t address;       /* PASS */
	/* PASS: of the request from here on; the caller presets the request's own */
	struct viommu_attributes attributes;
	void *hva;              /* HOST */
};

/* How a blocked access looks to its initiator. */
enum viommu_reaction {
	VIOMMU_REACTION_ERROR,  /* bus error: an access fault of the access's type */
	VIOMMU_REACTION_SILENT, /* reads give zero, writes are ignored */
	VIOMMU_REACTION_RETRY,  /* the rules have changed meanwhile: translate again */
};

/* Callbacks run on any thread, several at once, never under a lock of the caller. */
struct viommu_region_ops {
	uint32_t size;
	void (*translate)(void *opaque, const struct viommu_request *request,
			  struct viommu_answer *answer);
	enum viommu_reaction (*blocked)(void *opaque, const struct viommu_request *request);
};

/* -EINVAL: an op is missing; -E2BIG; -ENOMEM. `ops` and `opaque` must stay until destroy. */
VIOMMU_API int viommu_region_create(const struct viommu_region_ops *ops, void *opaque,
				    struct viommu_region **region);
/* The region is in no map any more: its ops are not called again. */
VIOMMU_API void viommu_region_destroy(struct viommu_region *region);

/*
 * Change notification. A region calls viommu_region_changed() after its rules for input addresses
 * [first, last] changed and before the register write that changed them completes, holding no lock
 * that translate or blocked take. Each listener is called on that thread; when the call returns, no
 * listener uses an answer from before the change, except the initiator that is itself doing the
 * register write (every TLB of that thread), which drops its answers before its next access.
 *
 * Listeners are called one after the other, in an access section; -ENOMEM. Listening takes no lock.
 * Unlistening waits for calls in progress: do it outside access sections and not from a listener.
 */
struct viommu_listener;
typedef void (*viommu_region_change_fn)(void *opaque, struct viommu_region *region, uint64_t first,
					uint64_t last);
VIOMMU_API void viommu_region_changed(struct viommu_region *region, uint64_t first, uint64_t last);
VIOMMU_API int viommu_region_listen(struct viommu_region *region, viommu_region_change_fn changed,
				    void *opaque, struct viommu_listener **listener);
VIOMMU_API void viommu_region_unlisten(struct viommu_region *region,
				       struct viommu_listener *listener);

/* How often translate and blocked were called through this library. */
struct viommu_region_statistics {
	uint32_t size;
	uint64_t translations;
	uint64_t blocked;
	uint64_t changes;
};
VIOMMU_API int viommu_region_statistics(const struct viommu_region *region,
					struct viommu_region_statistics *statistics);

/*
 * An empty map: `memory` everywhere. Several maps may share one memory, which outlives them. Call
 * outside access sections. -ENOMEM, -EDEADLK. Destroy: no TLB uses it and no region answers with it
 * any more.
 */
VIOMMU_API int viommu_map_create(struct viommu_memory *memory, struct viommu_map **map);
VIOMMU_API void viommu_map_destroy(struct viommu_map *map);
VIOMMU_API struct viommu_memory *viommu_map_memory(const struct viommu_map *map);
/*
 * Put `region` in front of [start, last]; the region's input addresses are the map's. One region
 * may guard several intervals. -EINVAL: last < start; -EEXIST: overlaps another interval; -ENOMEM;
 * -EDEADLK inside an access section.
 */
VIOMMU_API int viommu_map_add_region(struct viommu_map *map, uint64_t start, uint64_t last,
				     struct viommu_region *region);
/*
 * Take the interval that starts at `start` away; waits for users as viommu_region_changed does.
 * -ENOENT; -ENOMEM; -EDEADLK inside an access section.
 */
VIOMMU_API int viommu_map_remove_region(struct viommu_map *map, uint64_t start);

/* Where an access ends. */
enum viommu_target_kind {
	/* by `region`, or by nothing being there (region is NULL): see viommu_target_react */
	VIOMMU_TARGET_BLOCKED,
	/* `hva`, and `gpa` of `memory` unless a region answered HOST (then memory is NULL) */
	VIOMMU_TARGET_RAM,
	/* `gpa` of `memory`, by viommu_memory_read() and viommu_memory_write() */
	VIOMMU_TARGET_MMIO,
	VIOMMU_TARGET_STALLED, /* try again later */
};

/*
 * At most this many regions one after the other; a longer chain (or a loop) is blocked as if
 * nothing were there.
 */
#define VIOMMU_CHAIN_MAX 8

struct viommu_target {
	enum viommu_target_kind kind;
	/* types this target holds for, within [first, last] of the map asked */
	uint32_t granted;
	uint64_t first, last;
	bool once;                    /* holds for this very request only */
	struct viommu_memory *memory;
	uint64_t gpa;
	void *hva;                    /* see access sections in memory.h */
	struct viommu_region *region; /* BLOCKED: who */
	uint64_t region_address;      /* BLOCKED: the request's first byte as that region saw it */
	/* regions passed or blocking; their input address of the first byte follows */
	uint32_t chain;
	struct {
		struct viommu_region *region;
		uint64_t address;
	} step[VIOMMU_CHAIN_MAX];
	struct viommu_attributes attributes; /* as the end of the chain saw them */
};

/*
 * The slow and simple way: walk the chain for one request, keep nothing. Inside an access section
 * if `hva` is used. -EINVAL: the access names no type or several, or last < address. ATOMIC is
 * asked as a READ and a WRITE that must end in the same place.
 */
VIOMMU_API int viommu_map_translate(struct viommu_map *map, const struct viommu_request *request,
				    struct viommu_target *target);
/*
 * Tell the blocking region of a BLOCKED target that `request` (as given to the translation)
 * happened. With no region: ERROR.
 */
VIOMMU_API enum viommu_reaction viommu_target_react(const struct viommu_target *target,
						    const struct viommu_request *request);
/*
 * What a bus master does: read or write a span; each run is one transaction of at most `burst`
 * bytes (0: as long as the span, at most 4096) that does not cross a 4 KiB boundary. *done (may be
 * NULL) gets the bytes moved. 0; VIOMMU_FAULT (bus error); -EAGAIN (stalled: go on later from
 * *done); -EINVAL.
 */
VIOMMU_API int viommu_map_read(struct viommu_map *map, const struct viommu_attributes *attributes,
			       uint64_t address, void *data, size_t length, size_t burst,
			       size_t *done);
VIOMMU_API int viommu_map_write(struct viommu_map *map, const struct viommu_attributes *attributes,
				uint64_t address, const void *data, size_t length, size_t burst,
				size_t *done);

#ifdef __cplusplus
}
#endif
#endif
