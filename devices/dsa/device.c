/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device as a whole: coming into being, features, reset, stopping.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "internal.h"

/* How long a reset waits for an engine that is inside a slow MMIO access. It leaves no record
 * behind in any case. */
enum { SETTLE_SECONDS = 10 };

void dsa_options_init(struct dsa_options *options)
{
	*options = (struct dsa_options){
		.wqs = 8,
		.groups = 4,
		.engines = 4,
		.entries = 128,
		.max_transfer_shift = 21,
		.max_batch_shift = 5,
		.event_log = true,
		.page_timeout_ms = 20000,
	};
}

static bool options_good(const struct dsa_options *o)
{
	return o->wqs >= 1 && o->wqs <= DSA_MAX_WQS && o->groups >= 1 &&
	       o->groups <= DSA_MAX_GROUPS && o->engines >= 1 && o->engines <= DSA_MAX_ENGINES &&
	       o->entries >= 16 && o->entries <= DSA_MAX_ENTRIES && o->max_transfer_shift >= 12 &&
	       o->max_transfer_shift <= 31 && o->max_batch_shift >= 1 && o->max_batch_shift <= 10;
}

/* Nothing is kept across requests: translations are asked for anew for every chunk, inside an
 * access section. */
static void invalidate(void *opaque, uint32_t pasid, bool all_pasids, uint64_t iova, uint64_t last)
{
}

static const struct viommu_endpoint_ops endpoint_ops = {
	.size = sizeof(endpoint_ops),
	.invalidate = invalidate,
	.page_response = dsa_page_response,
};

static int make_locks(struct dsa *dsa)
{
	pthread_condattr_t monotonic;

	if (pthread_condattr_init(&monotonic))
		return -ENOMEM;
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&dsa->lock, NULL);
	pthread_mutex_init(&dsa->event_lock, NULL);
	pthread_cond_init(&dsa->settled, &monotonic);
	for (unsigned int i = 0; i < DSA_MAX_ENGINES; i++) {
		dsa->engines[i].dsa = dsa;
		dsa->engines[i].index = i;
		dsa->engines[i].group = -1;
		pthread_cond_init(&dsa->engines[i].wake, &monotonic);
	}
	pthread_condattr_destroy(&monotonic);
	return 0;
}

static int make_queues(struct dsa *dsa)
{
	dsa->slots = calloc(dsa->options.wqs, sizeof(*dsa->slots));
	if (!dsa->slots)
		return -ENOMEM;
	for (unsigned int i = 0; i < dsa->options.wqs; i++) {
		dsa->wqs[i].entries = calloc(dsa_ring(dsa), sizeof(*dsa->wqs[i].entries));
		if (!dsa->wqs[i].entries)
			return -ENOMEM;
	}
	return 0;
}

static void release(struct dsa *dsa)
{
	for (unsigned int i = 0; i < DSA_MAX_WQS; i++)
		free(dsa->wqs[i].entries);
	free(dsa->slots);
	for (unsigned int i = 0; i < DSA_MAX_ENGINES; i++)
		pthread_cond_destroy(&dsa->engines[i].wake);
	pthread_cond_destroy(&dsa->settled);
	pthread_mutex_destroy(&dsa->event_lock);
	pthread_mutex_destroy(&dsa->lock);
	free(dsa);
}

struct dsa *dsa_allocate(void)
{
	struct dsa *dsa = aligned_alloc(_Alignof(struct dsa), sizeof(*dsa));

	return dsa ? memset(dsa, 0, sizeof(*dsa)) : NULL;
}

int dsa_create(const struct dsa_options *options, struct viommu_unit *unit, uint16_t rid,
	       const struct dsa_ops *ops, void *opaque, struct dsa **result)
{
	struct dsa *dsa;
	int error;

	if (!options_good(options))
		return -EINVAL;
	dsa = dsa_allocate();
	if (!dsa)
		return -ENOMEM;
	dsa->options = *options;
	dsa->ops = ops;
	dsa->opaque = opaque;
	dsa->memory = viommu_unit_memory(unit);
	error = make_locks(dsa);
	if (error) {
		free(dsa);
		return error;
	}
	error = make_queues(dsa);
	if (!error)
		error = viommu_endpoint_create(unit, rid, &endpoint_ops, dsa, &dsa->endpoint);
	if (error) {
		release(dsa);
		return error;
	}
	dsa_registers_reset(dsa, DSA_RESET_COLD);
	error = dsa_engines_start(dsa);
	if (error) {
		dsa_destroy(dsa);
		return error;
	}
	*result = dsa;
	return 0;
}

void dsa_destroy(struct dsa *dsa)
{
	if (!dsa)
		return;
	dsa_engines_join(dsa);
	viommu_endpoint_destroy(dsa->endpoint);
	release(dsa);
}

struct viommu_endpoint *dsa_endpoint(const struct dsa *dsa)
{
	return dsa->endpoint;
}

/* Wait, lock held, until no engine has a job and no interrupt is on its way. */
static void settle(struct dsa *dsa)
{
	struct timespec deadline;
	int error = 0;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += SETTLE_SECONDS;
	while ((!dsa_engines_idle(dsa) || dsa->sending) && error != ETIMEDOUT)
		error = dsa_wait(dsa, &dsa->settled, &deadline);
}

void dsa_features(struct dsa *dsa, uint32_t features, bool bus_master)
{
	bool lost;

	viommu_endpoint_set_features(dsa->endpoint, features);
	dsa_lock(dsa);
	lost = dsa->bus_master && !bus_master;
	dsa->features = features;
	dsa->bus_master = bus_master;
	if (lost) {
		dsa_cancel_jobs(dsa, ~0u, true, 0);
		settle(dsa);
	} else {
		dsa_engines_kick_all(dsa);
	}
	dsa_unlock(dsa);
}

void dsa_reset(struct dsa *dsa)
{
	dsa_lock(dsa);
	dsa->resetting = true;
	for (unsigned int i = 0; i < dsa->options.wqs; i++)
		dsa_wq_flush(dsa, i);
	dsa_cancel_jobs(dsa, ~0u, true, 0);
	settle(dsa);
	dsa->command = 0;
	dsa->command_status = 0;
	dsa_registers_reset(dsa, DSA_RESET_FUNCTION);
	dsa_portal_reset(dsa);
	dsa_engines_assign(dsa);
	dsa->interrupts = 0;
	dsa->resetting = false;
	dsa_unlock(dsa);
}

/* Let each job go to a place where it can be put back: its next step, or the wait for a page. */
int dsa_stop(struct dsa *dsa)
{
	bool idle;

	dsa_lock(dsa);
	dsa->stopped = true;
	for (unsigned int i = 0; i < dsa->options.engines; i++) {
		struct dsa_engine *engine = &dsa->engines[i];

		atomic_store(&engine->park, engine->job != NULL);
		pthread_cond_signal(&engine->wake);
	}
	pthread_cond_broadcast(&dsa->settled);
	settle(dsa);
	idle = dsa_engines_idle(dsa);
	if (!idle) {
		dsa->stopped = false;
		dsa_engines_kick_all(dsa);
	}
	dsa_unlock(dsa);
	return idle ? 0 : -EBUSY;
}

void dsa_start(struct dsa *dsa)
{
	dsa_lock(dsa);
	dsa->stopped = false;
	dsa_engines_kick_all(dsa);
	dsa_unlock(dsa);
}

void dsa_statistics(const struct dsa *dsa, struct dsa_statistics *statistics)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&dsa->lock;

	memset(statistics, 0, sizeof(*statistics));
	for (unsigned int i = 0; i < dsa->options.engines; i++) {
		const struct dsa_counters *counters = &dsa->engines[i].counters;

		statistics->descriptors += atomic_load(&counters->descriptors);
		statistics->bytes += atomic_load(&counters->bytes);
		statistics->batches += atomic_load(&counters->batches);
		statistics->page_requests += atomic_load(&counters->page_requests);
		statistics->page_failures += atomic_load(&counters->page_failures);
		statistics->faults += atomic_load(&counters->faults);
	}
	pthread_mutex_lock(lock);
	statistics->retries = dsa->retries;
	statistics->dropped = dsa->dropped;
	statistics->errors = dsa->errors;
	statistics->interrupts = dsa->raised;
	statistics->aborted = dsa->aborted;
	pthread_mutex_unlock(lock);
}
