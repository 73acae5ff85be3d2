/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Grace periods: the writer's side of grace.h.
 *
 * Readers live in thread-local storage and hang in one list, so entering a section never allocates and never fails. A
 * thread leaves the list when it ends (a pthread key's destructor). The list's lock is held for single scans only, never
 * while waiting, so that a thread entering its first section is not held up by a wait.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <viommu/memory.h>

#include "memory/grace.h"

enum {
	SPINS = 200,   /* about the length of a page copy */
	YIELDS = 200,  /* the reader may have lost its CPU to us */
	NAP_NS = 50000,
};

_Thread_local struct grace_reader grace_self __attribute__((tls_model("initial-exec")));
_Atomic uint64_t grace_epoch = 1;
bool grace_asymmetric;

static pthread_mutex_t readers_lock = PTHREAD_MUTEX_INITIALIZER;
static struct grace_reader *readers;
static pthread_key_t reader_key;
static bool reader_key_valid;
static _Atomic(struct grace_head *) deferred;
static atomic_ulong deferred_count;

static bool membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0) == 0;
}

void grace_fence(void)
{
#if GRACE_TSAN
	static atomic_int word;

	atomic_fetch_add(&word, 0);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

static void unlink_reader(struct grace_reader *reader)
{
	*reader->link = reader->next;
	if (reader->next)
		reader->next->link = reader->link;
	reader->registered = false;
}

static void link_reader(struct grace_reader *reader)
{
	reader->next = readers;
	reader->link = &readers;
	if (readers)
		readers->link = &reader->next;
	readers = reader;
	reader->registered = true;
}

static void thread_ends(void *opaque)
{
	pthread_mutex_lock(&readers_lock);
	unlink_reader(opaque);
	pthread_mutex_unlock(&readers_lock);
}

void grace_register(void)
{
	pthread_mutex_lock(&readers_lock);
	link_reader(&grace_self);
	pthread_mutex_unlock(&readers_lock);
	/* Cannot be without the key: see initialise(). Its only other failure is no memory for a second-level block. */
	while (pthread_setspecific(reader_key, &grace_self) == ENOMEM)
		sched_yield();
}

static void before_fork(void)
{
	pthread_mutex_lock(&readers_lock);
}

static void after_fork_parent(void)
{
	pthread_mutex_unlock(&readers_lock);
}

/* Only the forking thread lives on in the child; the sections of the others never end. */
static void after_fork_child(void)
{
	bool registered = grace_self.registered;

	readers = NULL;
	if (registered)
		link_reader(&grace_self);
	pthread_mutex_unlock(&readers_lock);
	if (grace_asymmetric)
		membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

__attribute__((constructor)) static void initialise(void)
{
	/* At load time, where running out of keys is the program's own doing and cannot be brought about by a guest. */
	if (pthread_key_create(&reader_key, thread_ends) ||
	    pthread_atfork(before_fork, after_fork_parent, after_fork_child)) {
		static const char text[] = "libviommu: no pthread key left at load time\n";

		if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
			_exit(127);
		_exit(127);
	}
	reader_key_valid = true;
	grace_asymmetric = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

__attribute__((destructor)) static void terminate(void)
{
	if (reader_key_valid)
		pthread_key_delete(reader_key);
}

static bool others_registered(void)
{
	bool others;

	pthread_mutex_lock(&readers_lock);
	others = readers && (readers != &grace_self || readers->next);
	pthread_mutex_unlock(&readers_lock);
	return others;
}

static bool sections_before(uint64_t epoch)
{
	bool found = false;

	pthread_mutex_lock(&readers_lock);
	for (struct grace_reader *reader = readers; reader && !found; reader = reader->next) {
		uint64_t at = atomic_load_explicit(&reader->epoch, memory_order_acquire);

		found = at && at < epoch;
	}
	pthread_mutex_unlock(&readers_lock);
	return found;
}

static void pause_for_reader(unsigned int round)
{
	if (round < SPINS) {
#if defined(__x86_64__) || defined(__i386__)
		__builtin_ia32_pause();
#else
		atomic_signal_fence(memory_order_seq_cst);
#endif
	} else if (round < SPINS + YIELDS) {
		sched_yield();
	} else {
		nanosleep(&(struct timespec){ .tv_nsec = NAP_NS }, NULL);
	}
}

static void free_deferred(struct grace_head *head)
{
	while (head) {
		struct grace_head *next = head->next;

		atomic_fetch_sub_explicit(&deferred_count, 1, memory_order_relaxed);
		head->free(head);
		head = next;
	}
}

int grace_wait(void)
{
	struct grace_head *due;
	uint64_t epoch;

	if (grace_inside())
		return -EDEADLK;
	due = atomic_exchange(&deferred, NULL);
	/*
	 * A thread that is not in the list yet takes the list's lock to get in, after we held it: it sees what
	 * was unpublished before. So with no other reader there is nobody to wait for.
	 */
	if (others_registered()) {
		epoch = atomic_fetch_add(&grace_epoch, 1) + 1;
		if (!grace_asymmetric || !membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
			grace_fence();
		for (unsigned int round = 0; sections_before(epoch); round++)
			pause_for_reader(round);
	}
	free_deferred(due);
	return 0;
}

void grace_defer(struct grace_head *head, void (*free)(struct grace_head *head))
{
	head->free = free;
	atomic_fetch_add_explicit(&deferred_count, 1, memory_order_relaxed);
	head->next = atomic_load_explicit(&deferred, memory_order_relaxed);
	while (!atomic_compare_exchange_weak(&deferred, &head->next, head))
		;
}

unsigned long grace_pending(void)
{
	return atomic_load_explicit(&deferred_count, memory_order_relaxed);
}

void viommu_access_begin(void)
{
	grace_enter();
}

void viommu_access_end(void)
{
	if (grace_inside())
		grace_exit();
}

int viommu_access_drain(void)
{
	return grace_wait();
}
