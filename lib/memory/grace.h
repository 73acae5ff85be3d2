/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Access sections and grace periods.
 *
 * A reader marks the time in which it may use published pointers: grace_enter() ... grace_exit(), an *access section*.
 * A writer unpublishes a pointer, calls grace_wait(), and then nobody can hold it. The reader's side is a store to its
 * own thread-local word; the order of that store against the reader's later loads is paid for by the writer,
 * with the membarrier system call.
 *
 * Each section carries the epoch it began in. Epochs only grow, 64 bits wide, so one pass suffices: a wait takes a
 * new epoch and is over when no reader is in a section of an earlier one. Readers that begin later do not delay it.
 *
 * This is ours rather than liburcu-bp's because that one polls in steps of 10 ms once a reader stays in its section for
 * more than about a microsecond, as one copying a page does; an invalidation wait must not take that long.
 */
#ifndef VIOMMU_LIB_GRACE_H
#define VIOMMU_LIB_GRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define GRACE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GRACE_TSAN 1
#endif
#endif
#ifndef GRACE_TSAN
#define GRACE_TSAN 0
#endif

struct grace_reader {
	_Atomic uint64_t epoch; /* of the section the thread is in; 0: in none */
	uint32_t nesting;
	bool registered;
	struct grace_reader *next;
	struct grace_reader **link;
};

/* Initial-exec, so that reaching it is one instruction from a shared library too. */
extern _Thread_local struct grace_reader grace_self __attribute__((tls_model("initial-exec")));
extern _Atomic uint64_t grace_epoch;
/* False: the kernel has no membarrier (or a filter forbids it) and readers fence for themselves. */
extern bool grace_asymmetric;

void grace_register(void);
void grace_fence(void);

static inline struct grace_reader *grace_own(void)
{
	struct grace_reader *self = &grace_self;

#ifdef __SANITIZE_ADDRESS__
	/*
	 * gcc tests this address for null by the flags of the addition that makes it, and the linker may turn the addition into a lea,
	 * which sets none: UndefinedBehaviorSanitizer then tells of a null pointer that is none.
	 */
	__asm__("" : "+r"(self));
#endif
	return self;
}

static inline void grace_enter(void)
{
	struct grace_reader *self = grace_own();

	if (self->nesting++)
		return;
	if (__builtin_expect(!self->registered, 0))
		grace_register();
	atomic_store_explicit(&self->epoch,
			      atomic_load_explicit(&grace_epoch, memory_order_relaxed),
			      GRACE_TSAN ? memory_order_release : memory_order_relaxed);
	if (__builtin_expect(grace_asymmetric, 1))
		atomic_signal_fence(memory_order_seq_cst);
	else
		grace_fence();
}

static inline void grace_exit(void)
{
	struct grace_reader *self = grace_own();

	if (--self->nesting)
		return;
	atomic_store_explicit(&self->epoch, 0, memory_order_release);
}

/* Is the calling thread inside a section? */
static inline bool grace_inside(void)
{
	return grace_own()->nesting != 0;
}

/*
 * Wait until every section open at the call is over, then free what had been deferred before the call.
 * -EDEADLK inside a section. Any locks held by the caller must not be wanted by readers inside sections.
 */
int grace_wait(void);

/* Deferred freeing: put a head in the object, and `free` is called on it after a grace period, by some later grace_wait(). */
struct grace_head {
	struct grace_head *next;
	void (*free)(struct grace_head *head);
};
void grace_defer(struct grace_head *head, void (*free)(struct grace_head *head));
/* How many objects wait to be freed; a writer that defers without ever waiting looks at it and waits now and then. */
unsigned long grace_pending(void);

#endif
