/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest of the reference VMM: no kernel, but everything a guest leaves behind. It owns tables, PASIDs, an invalidation queue and
 * a DSA, and keeps the DSA busy: map a page, let the device copy into it, check, unmap, invalidate, for ever.
 *
 * All it knows is in guest memory or in struct guest_cpu, its processor's registers: both are migrated, and it goes on
 * elsewhere in the middle of whatever it did, with work in flight.
 */
#ifndef EXAMPLES_VMM_GUEST_H
#define EXAMPLES_VMM_GUEST_H

#include "client.h"
#include "vm.h"

enum {
	GUEST_PASIDS = 2,
	GUEST_INFLIGHT = 4,  /* descriptors at once */
	GUEST_PAGES = VM_MEMORY / VM_PAGE,
	GUEST_DSA_DEVFN = 6 << 3,
};

enum guest_phase { GUEST_MAP, GUEST_SUBMIT, GUEST_WAIT, GUEST_UNMAP };

struct guest_cpu {
	uint64_t step;  /* rounds of GUEST_INFLIGHT operations finished */
	uint32_t phase; /* enum guest_phase */
	uint32_t waited;
	uint32_t tail;
	uint32_t reserved;
	uint64_t free;
	uint64_t root, queue, status, requests;
	uint64_t tables[GUEST_PASIDS];
};

struct guest {
	struct client *dsa;
	struct vm vm;
	struct guest_cpu cpu;
	/* Pages the processor wrote, as KVM would tell. The device's writes are the daemon's to tell. */
	uint64_t written[GUEST_PAGES / 64];
	char complaint[64]; /* why guest_phase() failed */
};

/* Power on: memory mapped, tables built, unit and DSA enabled. */
int guest_boot(struct guest *guest, struct client *unit, struct client *dsa);
/* Power on at the destination: memory mapped only; registers and memory come with the stream. */
int guest_receive(struct guest *guest, struct client *unit, struct client *dsa);
void guest_adopt(struct guest *guest, const struct guest_cpu *cpu);
void guest_off(struct guest *guest);

/*
 * Do one phase. -EIO with `complaint` when the device did not do what it should, a client's errno otherwise.
 */
int guest_phase(struct guest *guest);
/* The registers, to be sent. */
struct guest_cpu guest_registers(const struct guest *guest);

#endif
