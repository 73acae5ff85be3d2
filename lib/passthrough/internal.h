/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside lib/passthrough.
 *
 * A *hub* belongs to a unit and knows all devices passed through behind it. It hears the unit's invalidations as the unit's
 * owner; bindings, tables and batches are the owner's alone and have no lock. Spaces and their areas also change when guest
 * memory does, on other threads: they are under `maps`, which is taken after the unit's ownership or after the memory's lock,
 * and held during host calls that map and unmap.
 *
 * A *binding* is one PASID, or the RID, of one device that is attached on the host. A *table* is a nested HWPT, shared by bindings
 * of equal first stage on the same parent. Both live in pools and are named by 32-bit indexes: a million of them cost
 * 24 + 32 bytes each and their indexes.
 */
#ifndef VIOMMU_LIB_PASSTHROUGH_INTERNAL_H
#define VIOMMU_LIB_PASSTHROUGH_INTERNAL_H

#include <pthread.h>

#include <viommu/passthrough.h>

#include "host/areas.h"
#include "host/host.h"
#include "vtd/listener.h"

/* A pool of equal objects named by index; 0 is none. Addresses stay. */
enum { POOL_CHUNK_SHIFT = 12, POOL_CHUNK = 1 << POOL_CHUNK_SHIFT };
struct pool {
	uint8_t **chunks;
	uint32_t chunk_count;
	uint32_t used;      /* indexes ever given out, + 1 */
	uint32_t free;      /* list through the first word */
	uint32_t object;    /* bytes */
	uint32_t live;
};

uint32_t pool_get(struct pool *pool);
void pool_put(struct pool *pool, uint32_t index);
void pool_destroy(struct pool *pool);
uint64_t pool_bytes(const struct pool *pool);

static inline void *pool_at(const struct pool *pool, uint32_t index)
{
	return pool->chunks[index >> POOL_CHUNK_SHIFT] + (index & (POOL_CHUNK - 1)) * (size_t)pool->object;
}

/* A hash index: buckets of chains through an object's `next`. */
struct index {
	uint32_t *buckets;
	uint32_t size;      /* a power of two; 0 before the first */
	uint32_t count;
};

/* What a binding is attached to. */
enum target_kind {
	TARGET_BLOCKED,     /* nothing: DMA faults */
	TARGET_IDENTITY,    /* the guest's memory */
	TARGET_NESTED,      /* a first stage on it */
	TARGET_SHADOW,      /* a shadow space */
};

/* `first`: the table's address with these in its low bits. Second stages have their levels there. */
enum target_bits {
	TARGET_SRE = 1u << 0,
	TARGET_WPE = 1u << 1,
	TARGET_EAFE = 1u << 2,
	TARGET_FIVE_LEVEL = 1u << 3,
	TARGET_FAULTS = 1u << 4,
	TARGET_BITS = 0xfff,
};

/* All of a PE or CE that the host cares about. */
struct target {
	uint64_t table;
	enum target_kind kind;
	uint16_t did;
	uint16_t reason; /* BLOCKED: why the unit lets nothing through; 0: no table leads to an entry */
};

struct binding {
	uint64_t table;         /* struct target */
	uint32_t next;          /* in the index by (DID, PASID) */
	uint32_t pasid : 20;    /* of the RID: RID_PASID */
	uint32_t device : 12;   /* index in hub->devices */
	uint32_t object;        /* NESTED: table; IDENTITY, SHADOW: space */
	uint16_t did;
	uint8_t kind;
	bool rid : 1;
	bool stuck : 1;         /* the host would not detach it; what it says may be out of date */
};

struct table {
	uint64_t table;         /* struct target */
	uint32_t next;
	uint32_t host;          /* the host's id */
	uint32_t references;
	uint32_t batch;         /* index + 1 in hub->batches, 0: nothing to flush */
	uint32_t parent;        /* space */
	uint32_t whole;         /* to be flushed whole, though there was no memory for a batch */
};

/* Invalidations of one table that wait for the flush. */
struct batch {
	uint32_t table;
	uint32_t count;
	uint32_t capacity;
	bool all;               /* everything: entries do not matter */
	struct viommu_host_invalidation *entries;
};

struct viommu_passthrough_space {
	struct viommu_passthrough_space *next;
	struct hub *hub;
	struct viommu_host_space *host;
	uint32_t id;            /* index + 1 in hub->space_ids */
	uint32_t references;    /* devices whose parent it is, bindings attached to it */
	uint32_t max_mappings;
	enum target_kind kind;  /* IDENTITY or SHADOW; BLOCKED: empty (type1 only) */
	uint16_t did;
	bool complained;        /* too many mappings: said once */
	int condemned;          /* an error: the host keeps what is gone, and users are to be detached */
	_Atomic uint32_t stale; /* areas whose memory is gone; written under maps */
	uint64_t table;         /* of a shadow, with levels */
	struct areas areas;
};

struct pending_page {
	struct pending_page *next;
	uint64_t deadline;
	uint32_t pasid;
	uint32_t cookie;
	uint16_t group;
};

struct fault_queue {
	struct fault_queue *next;
	struct viommu_host *host;
	uint32_t id;
	uint32_t references;
	int fd;
};

enum { LEAF_PASIDS = 64, LEAVES = (VIOMMU_PASID_MAX + 1) / LEAF_PASIDS, DEVICES = 4096 };
struct leaf {
	uint64_t bound;
	uint32_t bindings[LEAF_PASIDS];
};

struct viommu_passthrough {
	struct hub *hub;
	uint32_t index;
	uint16_t rid;
	struct viommu_host_device *device;
	struct viommu_host_info info;
	struct viommu_passthrough_options options;
	struct viommu_passthrough_ops ops;
	void *opaque;
	struct viommu_endpoint *endpoint;
	struct viommu_passthrough_space *parent;
	bool single_space;      /* type1: parent is the only space and changes its kind */
	bool pasids;            /* PASIDs can be attached */
	uint32_t pasid_limit;   /* one above the highest */
	uint32_t rid_binding;
	uint32_t rid_pasid;     /* as the CE said at the last look */
	bool pre;               /* so too: page requests are on */
	bool paside;            /* and requests may have PASIDs */
	uint16_t rid_reason;    /* why the unit lets nothing through without PASID, if so */
	int last_error;         /* of the latest refusal */
	struct leaf **leaves;   /* [LEAVES], NULL before the first PASID */
	uint32_t leaf_count;
	struct fault_queue *faults;
	pthread_mutex_t pages_lock; /* pages; a leaf */
	struct pending_page *pages;
	uint64_t log_tokens, log_time;
	struct viommu_passthrough_statistics statistics;
};

struct hub {
	struct hub *next;
	unsigned int references;
	struct viommu_unit *unit;
	struct viommu_memory *memory;
	struct vtd_listener listener;
	struct viommu_memory_listener *memory_listener;
	struct viommu_passthrough *devices[DEVICES];
	uint32_t device_count;  /* one above the highest index in use */
	struct pool bindings;
	struct pool tables;
	struct index binding_index;
	struct index table_index;
	struct batch *batches;
	uint32_t batch_count;
	uint32_t batch_size;
	bool whole;             /* some table has its `whole` set */
	uint64_t invalidations;
	uint64_t invalidate_calls;
	struct fault_queue *queues;

	pthread_mutex_t maps;
	struct viommu_passthrough_space *spaces;
	struct viommu_passthrough_space **space_ids;
	uint32_t space_id_count;
	const struct viommu_passthrough_hook *hook;
	void *hook_opaque;
	uint64_t mappings, map_calls, unmap_calls;
	bool condemned;         /* a space is */
};

/* log.c */
__attribute__((format(printf, 2, 3))) void passthrough_log(struct viommu_passthrough *passthrough,
							   const char *format, ...);
/* `text` of a PASID or "no PASID". */
const char *pasid_name(uint32_t pasid, char buffer[24]);

/* check.c */
int passthrough_check(const struct viommu_unit *unit, const struct viommu_host_device *device,
		      char *message, size_t length);

/* binding.c; all by the owner */
void reconcile_all(struct viommu_passthrough *passthrough);
/* PASIDs and RID that a PASID-cache invalidation covers. */
void reconcile(struct viommu_passthrough *passthrough, enum vtd_pasid_cache_granularity granularity,
	       uint16_t did, uint32_t pasid);
void bindings_drop(struct viommu_passthrough *passthrough);
/* Call visit for each binding of (DID, PASID). */
void bindings_each(struct hub *hub, uint16_t did, uint32_t pasid,
		   void (*visit)(struct hub *hub, struct binding *binding, const void *argument),
		   const void *argument);
/*
 * Detach whatever is attached to a table, or (any other kind) to a space or what is nested on it: it can no longer be trusted.
 */
void bindings_block(struct hub *hub, enum target_kind kind, uint32_t object, int error);
void bindings_free(struct hub *hub);

/* table.c; all by the owner */
int table_get(struct viommu_passthrough *passthrough, uint64_t key, uint32_t *index);
void table_put(struct hub *hub, uint32_t index);
void table_invalidate(struct hub *hub, uint32_t index, uint64_t address, uint64_t pages, bool leaf_only);
void table_flush(struct hub *hub);

/* space.c; `maps` is held where not said otherwise */
int space_create(struct viommu_passthrough *passthrough, enum target_kind kind, uint64_t table,
		 uint16_t did, struct viommu_passthrough_space **space);
void space_put(struct viommu_passthrough_space *space);
int space_parent(struct viommu_passthrough *passthrough); /* takes maps */
int space_add_area(struct viommu_passthrough_space *space, const struct area *area);
int space_remove_area(struct viommu_passthrough_space *space, struct area *area);
/* Remove all mappings, one by one when a hook wants to know. */
int space_clear(struct viommu_passthrough_space *space);
int space_fill_identity(struct viommu_passthrough_space *space); /* takes maps; not in an access section */
/* Try again to get rid of areas whose memory is gone. An error: some are still there. Takes maps. */
int space_settle(struct viommu_passthrough_space *space);
int space_memory_changed(void *opaque, const struct viommu_segment_info *segment, bool added);
static inline struct viommu_passthrough_space *space_at(const struct hub *hub, uint32_t id)
{
	return hub->space_ids[id - 1];
}

/* shadow.c */
int shadow_get(struct viommu_passthrough *passthrough, uint64_t table, uint16_t did, uint32_t *id);
void shadow_put(struct hub *hub, uint32_t id);
/* Bring [first, last] in step with the guest's tables. `maps` is held. An error: mappings that should be gone may be there. */
int shadow_sync(struct viommu_passthrough_space *space, uint64_t first, uint64_t last);
uint64_t shadow_last(const struct viommu_passthrough_space *space);

/* relay.c */
int relay_open(struct viommu_passthrough *passthrough);
void relay_close(struct viommu_passthrough *passthrough);
/* The host has answered what is outstanding of this PASID itself: forget it. */
void relay_forget(struct viommu_passthrough *passthrough, uint32_t pasid, bool all);
bool relay_answer(struct viommu_passthrough *passthrough, uint32_t pasid, uint16_t group,
		  enum viommu_response_code code);

#endif
