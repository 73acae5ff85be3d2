/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside the model: its objects, as the kernel has them behind ids.
 */
#ifndef VIOMMU_LIB_HOST_MODEL_H
#define VIOMMU_LIB_HOST_MODEL_H

#include "host/areas.h"
#include "host/host.h"

enum {
	MODEL_CACHE = 1024,      /* cached translations */
	MODEL_PASID_LEAF = 1024, /* attachments per leaf */
	MODEL_PASID_LEAVES = (VIOMMU_PASID_MAX + 1) / MODEL_PASID_LEAF,
	MODEL_MSI_FIRST = 0xfee00000,
	MODEL_MSI_LAST = 0xfeefffff,
};

/* Dirty bits of 64 pages, in an open-addressed table by page number / 64. */
struct model_dirty {
	uint64_t *keys;   /* page / 64 + 1; 0: free */
	uint64_t *bits;
	uint64_t size;    /* a power of two */
	uint64_t count;
};

enum model_kind { MODEL_FREE, MODEL_SPACE, MODEL_NESTED, MODEL_FAULTS };

struct model_object {
	enum model_kind kind;
	uint32_t users;      /* attachments; for a space also nested tables on it */
};

struct model_space {
	struct model_object object;
	struct viommu_host_space space;
	struct areas areas;
	struct model_dirty dirty;
	bool tracking;
};

struct model_nested {
	struct model_object object;
	struct viommu_host_first_stage first;
	struct model_space *parent;
};

struct model_request {
	struct model_request *next;
	struct viommu_host_fault fault;
};

/* A page-request group: gathering, delivered (cookie set), or answered. */
struct model_group {
	struct model_group *next;
	struct model_device *device;
	struct model_request *requests;
	uint32_t count;
	uint32_t pasid;
	uint32_t group;
	uint32_t cookie;
	bool complete;
	bool answered;
	bool success;
};

struct model_faults {
	struct model_object object;
	struct model_faults *next;
	int fd;
	uint32_t next_cookie;
	struct model_group *groups;
};

struct model_device {
	struct viommu_host_device device;
	struct viommu_host_model_device options;
	uint32_t rid_table;
	uint32_t *pasids[MODEL_PASID_LEAVES];
	uint64_t attachments;    /* of PASIDs */
	bool logging;
	struct model_dirty log;
	struct model_migration {
		uint32_t state;    /* enum viommu_host_state */
		int fd;            /* of the transfer at work, -1: none */
		size_t length;
		uint8_t *data;     /* VIOMMU_HOST_MODEL_STATE */
	} migration;
};

struct model_cached {
	uint32_t table;          /* 0: free */
	uint32_t device;
	uint32_t pasid;
	uint32_t access;
	uint64_t page;           /* iova / 4096 */
	uint64_t gpa;
	uint8_t *hva;
	struct model_space *space;
	bool dirty;              /* D is set: writes go without a walk */
};

struct model_refusal {
	uint64_t after;
	uint64_t count;
	int error;
};

struct model_host {
	struct viommu_host host;
	struct viommu_host_model_options options;
	pthread_mutex_t lock;
	struct model_object **objects;
	uint32_t object_count;   /* ids below this have been given out */
	uint32_t object_size;
	uint32_t free_hint;
	uint32_t devices;
	uint64_t nested;
	struct model_faults *queues;
	uint32_t spaces;
	uint64_t calls[VIOMMU_HOST_CALLS];
	struct model_refusal refusals[VIOMMU_HOST_CALLS];
	struct model_cached cache[MODEL_CACHE];
	uint32_t cached;
};

static inline struct model_host *model_host(struct viommu_host *host)
{
	return (struct model_host *)host;
}

static inline struct model_device *model_device(struct viommu_host_device *device)
{
	return (struct model_device *)device;
}

struct model_space *model_space(struct viommu_host_space *space);

/* model.c; the host's lock is held. */
struct model_object *model_object(struct model_host *host, uint32_t id, enum model_kind kind);
uint32_t model_attached(const struct model_device *device, uint32_t pasid);
int model_gate(struct model_host *host, enum viommu_host_call call);
int model_add_object(struct model_host *host, struct model_object *object, uint32_t *id);
void model_drop_object(struct model_host *host, uint32_t id);

/* model_dma.c */
void model_cache_drop_table(struct model_host *host, uint32_t table, uint64_t page, uint64_t pages);
void model_cache_drop_attachment(struct model_host *host, uint32_t device, uint32_t pasid);
void model_cache_drop_space(struct model_host *host, const struct model_space *space, uint64_t gpa,
			    uint64_t last);
/* OR the bits of pages [first, first + pages) into bitmap; forget them unless `keep`. bitmap may be NULL. */
void model_dirty_take(struct model_dirty *dirty, uint64_t first, uint64_t pages, uint64_t *bitmap,
		      bool keep);
void model_dirty_free(struct model_dirty *dirty);

/* model_migration.c */
int model_migration_flags(struct viommu_host_device *device, uint64_t *flags);
int model_migration_state(struct viommu_host_device *device, uint32_t state, int *data_fd);
int model_migration_query(struct viommu_host_device *device, uint32_t *state);
int model_reset(struct viommu_host_device *device);
void model_migration_free(struct model_device *device);
/* It runs; else it does no DMA. */
bool model_migration_runs(const struct model_device *device);

/* model_faults.c */
int model_faults_create(struct viommu_host *host, uint32_t *faults, int *fd);
void model_faults_destroy(struct viommu_host *host, uint32_t faults, int fd);
int model_faults_read(struct viommu_host *host, int fd, struct viommu_host_fault *faults, uint32_t count);
int model_faults_answer(struct viommu_host *host, int fd, uint32_t cookie, bool success);
void model_faults_free(struct model_faults *faults);
/* Answer "invalid" to what is outstanding of (device, pasid). The lock is held. */
void model_faults_flush(struct model_host *host, const struct model_device *device, uint32_t pasid);

#endif
