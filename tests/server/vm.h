/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtual machine without a VMM: memory in a file, mapped into the daemon through the unit's
 * connection, and the translation tables a guest's driver would build in it.
 */
#ifndef TESTS_SERVER_VM_H
#define TESTS_SERVER_VM_H

#include "client.h"

#define VM_MEMORY (64u << 20)
#define VM_PAGE	  4096u

/* VT-d 11.4: registers used here. */
enum vm_register {
	VM_CAP = 0x08,
	VM_GCMD = 0x18,
	VM_GSTS = 0x1c,
	VM_RTADDR = 0x20,
	VM_FSTS = 0x34,
	VM_FECTL = 0x38,
	VM_FEDATA = 0x3c,
	VM_FEADDR = 0x40,
	VM_IQH = 0x80,
	VM_IQT = 0x88,
	VM_IQA = 0x90,
	VM_PQH = 0xc0,
	VM_PQT = 0xc8,
	VM_PQA = 0xd0,
	VM_PRS = 0xdc,
	VM_PECTL = 0xe0,
	VM_PEDATA = 0xe4,
	VM_PEADDR = 0xe8,
};

#define VM_TE	(1u << 31)
#define VM_SRTP (1u << 30)
#define VM_QIE	(1u << 26)

struct vm {
	struct client *unit;
	int fd;
	uint8_t *memory; /* all of it: GPA 0 to VM_MEMORY */
	uint64_t free;	 /* next GPA for a table */
	uint64_t root;
	uint64_t queue; /* invalidation queue, 256 descriptors of 32 bytes */
	unsigned int tail;
	uint64_t status; /* GPA that wait descriptors write */
	uint32_t waited;
	uint64_t requests; /* page-request queue, one page */
};

/* Make the memory and map it. */
int vm_create(struct vm *vm, struct client *unit);
void vm_destroy(struct vm *vm);
/* A zeroed page. */
uint64_t vm_page(struct vm *vm);
void *vm_at(struct vm *vm, uint64_t gpa);

/* Queue on, root table set, translation on. */
int vm_start_scalable(struct vm *vm);
int vm_start_legacy(struct vm *vm);
/* Put a function behind the unit: scalable with PASIDs, ATS and page requests, or legacy with a
 * second-stage table. */
void vm_add_scalable(struct vm *vm, uint8_t devfn);
void vm_add_legacy(struct vm *vm, uint8_t devfn, uint64_t second_stage);
/* Give a PASID a first-stage table of four levels. */
void vm_set_pasid(struct vm *vm, uint8_t devfn, uint32_t pasid, uint64_t first_stage);
/* Map a page in a four-level table; flags are the leaf's low bits (first stage: 1 present, 2
 * writable, 4 user). */
void vm_map_page(struct vm *vm, uint64_t table, uint64_t iova, uint64_t gpa, uint64_t flags,
		 uint64_t directory_flags);
/* Where that page's leaf is. */
uint64_t *vm_leaf(struct vm *vm, uint64_t table, uint64_t iova);
/* Queue a descriptor and a wait, and wait. 0 or -ETIMEDOUT. */
int vm_invalidate(struct vm *vm, uint64_t low, uint64_t high);
int vm_invalidate_pasid(struct vm *vm, uint32_t pasid, uint32_t domain);
#define VM_DOMAIN 7

#endif
