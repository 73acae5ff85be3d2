/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host IOMMU in a few lines: mappings of a small IOVA space with a dirty bit a page, as hardware would keep
 * them. fake_write() is the device: it lands in RAM and sets the bit in one step, or finds no mapping.
 */
#ifndef TESTS_MIGRATION_FAKE_H
#define TESTS_MIGRATION_FAKE_H

#include <pthread.h>
#include <stdatomic.h>

#include <viommu/migration.h>

enum {
	FAKE_PAGES = 4096, /* IOVA and GPA pages */
};

struct fake_mapping {
	uint64_t iova, length, gpa;
	bool writable, live;
};

struct fake {
	pthread_rwlock_t lock;          /* device writes against everything else */
	pthread_mutex_t mappings_lock;  /* mappings against a visit of them */
	uint8_t *ram; /* FAKE_PAGES pages at GPA 0 */
	bool tracking;
	_Atomic bool stopped; /* the device does not write */
	_Atomic uint64_t dirty[FAKE_PAGES / 64]; /* by IOVA page */
	struct fake_mapping mappings[64];
	/* Failures: the errno the next call of each kind gives, once. */
	int fail_start, fail_query, fail_unmap;
	/* What was called, in order, one letter each: s(tart) S(top) q(uery) k(eep) u(nmap) a(tomic unmap). */
	char calls[256];
	unsigned int call_count;
	uint64_t longest_query;
};

extern const struct viommu_dirty_ops fake_ops;

void fake_init(struct fake *fake, uint8_t *ram);
void fake_destroy(struct fake *fake);
void fake_map(struct fake *fake, uint64_t iova, uint64_t length, uint64_t gpa, bool writable);
/* False: no writable mapping. */
bool fake_write(struct fake *fake, uint64_t iova, uint64_t value);
bool fake_mapped(struct fake *fake, uint64_t iova);

#endif
