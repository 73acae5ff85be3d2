/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See thread.h. The signal mask is inherited, so it is closed around the creation.
 */
#include <signal.h>
#include "thread.h"

int device_thread_create(pthread_t *thread, const char *name, void *(*run)(void *), void *argument)
{
	sigset_t all, before;
	int error;

	/* faults belong to the thread that has them: an embedder may handle guest memory that was cut off (SIGBUS) */
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(thread, NULL, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		pthread_setname_np(*thread, name);
	return -error;
}
