/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Listener lists: pushed without a lock, walked in access sections, unlinked under one lock for
 * all.
 */
#include <errno.h>
#include <pthread.h>

#include "cpu/change.h"
#include "memory/alloc.h"
#include "memory/grace.h"

/* Held only to unlink; never while a listener runs or anyone waits. */
static pthread_mutex_t unlink_lock = PTHREAD_MUTEX_INITIALIZER;

void change_source_init(struct change_source *source, void (*free)(struct change_source *source))
{
	atomic_init(&source->listeners, NULL);
	atomic_init(&source->references, 1);
	source->free = free;
}

void change_source_put(struct change_source *source)
{
	if (atomic_fetch_sub(&source->references, 1) == 1)
		source->free(source);
}

int change_listen(struct change_source *source, viommu_region_change_fn changed, void *opaque,
		  struct viommu_listener **result)
{
	struct viommu_listener *listener = viommu_zalloc(sizeof(*listener));
	struct viommu_listener *head;

	if (!listener)
		return -ENOMEM;
	listener->changed = changed;
	listener->opaque = opaque;
	atomic_fetch_add(&source->references, 1);
	head = atomic_load(&source->listeners);
	do {
		atomic_store_explicit(&listener->next, head, memory_order_relaxed);
	} while (!atomic_compare_exchange_weak(&source->listeners, &head, listener));
	*result = listener;
	return 0;
}

/* Only the head is contended: whoever joins meanwhile pushes there. */
static void unlink_listener(struct change_source *source, struct viommu_listener *listener)
{
	struct viommu_listener *next = atomic_load(&listener->next);
	struct viommu_listener *at = listener;

	if (atomic_compare_exchange_strong(&source->listeners, &at, next))
		return;
	while (at && atomic_load(&at->next) != listener)
		at = atomic_load(&at->next);
	if (at)
		atomic_store(&at->next, next);
}

void change_unlisten(struct change_source *source, struct viommu_listener *listener)
{
	pthread_mutex_lock(&unlink_lock);
	unlink_listener(source, listener);
	pthread_mutex_unlock(&unlink_lock);
	grace_wait();
	viommu_free(listener);
	change_source_put(source);
}

void change_tell(struct change_source *source, struct viommu_region *region, uint64_t first,
		 uint64_t last)
{
	struct viommu_listener *listener;

	grace_enter();
	for (listener = atomic_load(&source->listeners); listener;
	     listener = atomic_load(&listener->next))
		listener->changed(listener->opaque, region, first, last);
	grace_exit();
}
