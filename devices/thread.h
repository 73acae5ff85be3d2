/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads of emulated devices.
 */
#ifndef DEVICES_THREAD_H
#define DEVICES_THREAD_H

#include <pthread.h>

/*
 * Start a thread that takes no signals (they are for the daemon's own threads) and is called `name`
 * (15 characters) in the system's lists. 0 or a negative errno.
 */
int device_thread_create(pthread_t *thread, const char *name, void *(*run)(void *), void *argument);

/* Between two looks at what another processor will change soon. */
static inline void device_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

/* Fetch a cache line to be written to. Without its own instruction the compiler fetches it for reading. */
static inline void device_prefetch_write(const void *address)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw (%0)" : : "r"(address));
#else
	__builtin_prefetch(address, 1);
#endif
}

#endif
