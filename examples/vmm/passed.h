/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A physical function in the reference VMM, and how it migrates when the VMM links the library itself: a unit of the library's, the
 * function behind it, a tracker for what it writes, its state read and written in pieces.
 *
 * The host is the library's model: the kernel's rules with a second-stage walk behind them. In place of the hardware a
 * thread does DMA, all the time, wherever the guest has mapped something.
 *
 * Every call takes NULL: the VM has no such function, and nothing happens.
 */
#ifndef EXAMPLES_VMM_PASSED_H
#define EXAMPLES_VMM_PASSED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct passed;

/* Things that go wrong: what the host refuses, once, while the guest is being migrated. */
enum passed_fault {
	PASSED_FAULT_NONE,
	PASSED_FAULT_QUERY,  /* a round's question what was written */
	PASSED_FAULT_ASK,    /* the same question before an unmap */
	PASSED_FAULT_UNMAP,  /* an unmap */
	PASSED_FAULT_MAP,    /* a mapping, at the destination */
	PASSED_FAULT_ATTACH, /* the guest's domain, at the destination */
	PASSED_FAULT_ORDER,  /* not the host: we send the last pages before the function has stopped */
};

/*
 * Power on, with the guest's memory of `size` bytes at `ram`. With `receive` the function is stopped and the guest's driver comes with the
 * stream. `say` is for lines to the operator.
 */
int passed_power_on(struct passed **passed, uint8_t *ram, size_t size, bool type1, bool receive,
		    enum passed_fault fault, void (*say)(void *opaque, const char *text), void *opaque);
void passed_power_off(struct passed *passed);
/* The guest's driver, on the processor's thread. 0 or -EIO, and why. */
int passed_step(struct passed *passed, char *complaint, size_t length);
/* Not while a migration has not yet seen every kind of unmap, and the fault. */
bool passed_may_stop(const struct passed *passed);
/* The source's fault has not happened yet. */
bool passed_fault_waits(const struct passed *passed);
void passed_report(const struct passed *passed);

/* Source. Negative errnos are the migration's end. `send` gets the function's state, in pieces. */
int passed_track(struct passed *passed);
int passed_collect(struct passed *passed, uint64_t *bitmap);
int passed_send_early(struct passed *passed, int (*send)(void *opaque, const void *data, size_t length),
		      void *opaque);
/* Called before the last pages are collected, and again after they were sent: one of them is right. */
int passed_stop(struct passed *passed, bool sent);
int passed_send_device(struct passed *passed, int (*send)(void *opaque, const void *data, size_t length),
		       void *opaque);
/* The state of the unit, by the library; the caller frees *data. */
int passed_save_unit(struct passed *passed, void **data, size_t *length);
/* Destination: the function's state in its pieces, then the unit's, after memory; both are checked then. */
int passed_take_device(struct passed *passed, const void *data, size_t length);
int passed_load_unit(struct passed *passed, const void *data, size_t length);
/* Either side: no migration any more; the function runs. */
int passed_go_on(struct passed *passed);

#endif
