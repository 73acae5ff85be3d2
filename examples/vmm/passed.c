/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The function's unit, host, hardware and migration (passed.h).
 */
#include "passed.h"

#include "load.h"

#include <viommu/migration.h>
#include <viommu/passthrough.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PIECE = 65536, LATE_WRITES = 64 };

struct passed {
	struct viommu_memory *memory;
	struct viommu_unit *unit;
	struct viommu_host *host;
	struct viommu_host_device *device;
	struct viommu_passthrough *passthrough;
	struct viommu_tracker *tracker;
	struct viommu_state *state;
	struct load load;
	size_t size;
	int transfer; /* the file the device's state goes through; -1: none */
	_Atomic enum passed_fault fault;
	pthread_mutex_t rounds; /* held by a round's question, and by a step with a fault in it */
	uint64_t since;		/* the step at which tracking began */
	bool type1;
	_Atomic bool blocked;	/* the host refused something the guest has */
	void (*say)(void *opaque, const char *text);
	void *opaque;
	pthread_t hardware;
	bool started;
	_Atomic bool off;
	_Atomic uint64_t writes;
};

/* The device: its one register counts its writes, and says where the next one goes. */
static void *hardware(void *opaque)
{
	struct passed *p = opaque;

	while (!p->off) {
		uint64_t count = 0, iova;

		viommu_host_model_get_state(p->device, &count, sizeof(count));
		count++;
		iova = count % 2 ? LOAD_LARGE + count * 5 % 32 * 32 * PAGE :
				   LOAD_SMALL(count / 2 % LOAD_WINDOWS) + count * 7 % 16 * PAGE;
		/* Faults, where nothing is mapped just now, are as good as writes. The other half of a page is the driver's. */
		if (viommu_host_model_dma(p->device, VIOMMU_NO_PASID, iova + PAGE / 2, &count, sizeof(count), true) !=
		    -EBUSY) {
			viommu_host_model_set_state(p->device, &count, sizeof(count));
			p->writes++;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
	}
	return NULL;
}

static void on_message(void *opaque, struct viommu_endpoint *cause, uint64_t address, uint32_t data)
{
	/* The guest polls. */
}

static void on_log(void *opaque, const char *text)
{
	struct passed *p = opaque;

	p->say(p->opaque, text);
	p->blocked = true;
}

static int make_unit(struct passed *p, uint8_t *ram)
{
	static const struct viommu_unit_ops ops = { .size = sizeof(ops), .message = on_message };
	struct viommu_unit_options options;
	int result = viommu_memory_create(&p->memory);

	viommu_unit_options_init(&options);
	viommu_unit_options_set(&options, "aw-bits", "48", NULL, 0);
	viommu_unit_options_set(&options, "scalable", "off", NULL, 0);
	viommu_unit_options_set(&options, "caching-mode", "on", NULL, 0);
	result = result ? result : viommu_memory_add_hva(p->memory, 0, p->size, ram, 0);
	return result ? result : viommu_unit_create(&options, p->memory, &ops, p, &p->unit);
}

static int make_device(struct passed *p)
{
	static const struct viommu_passthrough_ops ops = { .size = sizeof(ops), .log = on_log };
	struct viommu_host_model_options host = { .size = sizeof(host), .type1 = p->type1 };
	struct viommu_host_model_device device = {
		.size = sizeof(device), .migration = VIOMMU_HOST_STOP_COPY | VIOMMU_HOST_PRE_COPY,
	};
	char text[256];
	int result = viommu_host_open_model(&host, &p->host);

	result = result ? result : viommu_host_device_open_model(p->host, &device, &p->device);
	if (result)
		return result;
	result = viommu_passthrough_create(p->unit, LOAD_RID, p->device, NULL, &ops, p, &p->passthrough, text,
					   sizeof(text));
	if (result)
		p->say(p->opaque, text);
	return result;
}

static int make_tracker(struct passed *p)
{
	struct viommu_device_info info = {
		.size = sizeof(info), .name = "function", .migratable = true, .drainable = true,
	};
	uint32_t index;
	int result = viommu_tracker_create(p->memory, &p->tracker);

	result = result ? result : viommu_tracker_add_passthrough(p->tracker, p->passthrough, &info, &index);
	result = result ? result : viommu_state_create(&p->state);
	return result ? result : viommu_state_add_unit(p->state, p->unit);
}

/* Take the device to a state; a new file of its data, if it comes with one, is the transfer from now on. */
static int change(struct passed *p, enum viommu_host_state state)
{
	int fd = -1, result = viommu_host_device_migration_state(p->device, state, &fd);

	if (fd >= 0) {
		if (p->transfer >= 0)
			close(p->transfer);
		p->transfer = fd;
	}
	return result;
}

static int power_on(struct passed *p, uint8_t *ram, bool receive)
{
	int result = make_unit(p, ram);

	result = result ? result : make_device(p);
	result = result ? result : make_tracker(p);
	p->load = (struct load){ .ram = ram, .unit = p->unit, .device = p->device };
	if (!result)
		result = receive ? change(p, VIOMMU_HOST_STOPPED) : load_boot(&p->load);
	if (!result)
		p->started = !pthread_create(&p->hardware, NULL, hardware, p);
	return result ? result : p->started ? 0 : -EAGAIN;
}

int passed_power_on(struct passed **passed, uint8_t *ram, size_t size, bool type1, bool receive,
		    enum passed_fault fault, void (*say)(void *opaque, const char *text), void *opaque)
{
	struct passed *p = calloc(1, sizeof(*p));
	int result;

	if (!p)
		return -ENOMEM;
	p->size = size;
	p->transfer = -1;
	p->fault = fault;
	p->say = say;
	p->opaque = opaque;
	pthread_mutex_init(&p->rounds, NULL);
	p->type1 = type1;
	result = power_on(p, ram, receive);
	if (result)
		passed_power_off(p);
	else
		*passed = p;
	return result;
}

void passed_power_off(struct passed *p)
{
	if (!p)
		return;
	p->off = true;
	if (p->started)
		pthread_join(p->hardware, NULL);
	viommu_state_destroy(p->state);
	viommu_tracker_destroy(p->tracker);
	viommu_passthrough_destroy(p->passthrough);
	if (p->transfer >= 0)
		close(p->transfer);
	if (p->device)
		viommu_host_device_close(p->device);
	if (p->host)
		viommu_host_close(p->host);
	if (p->unit)
		viommu_unit_destroy(p->unit);
	if (p->memory)
		viommu_memory_destroy(p->memory);
	pthread_mutex_destroy(&p->rounds);
	free(p);
}

/* The next step has the unmap, or drops the domain, which asks about the large mapping. */
static bool due(const struct passed *p)
{
	if (!viommu_tracker_active(p->tracker))
		return false;
	return p->fault == PASSED_FAULT_UNMAP ||
	       (p->fault == PASSED_FAULT_ASK && load_steps(&p->load) % LOAD_WINDOWS == LOAD_WINDOWS - 1);
}

static void break_step(struct passed *p)
{
	/* Legacy VFIO is asked in the unmap itself: the large mapping's comes after those of the step's window and of all windows. */
	bool unmap = p->fault == PASSED_FAULT_UNMAP || p->type1;
	uint64_t after = p->fault == PASSED_FAULT_UNMAP || !p->type1 ? 0 : 1 + LOAD_WINDOWS;

	viommu_host_model_refuse(p->host, unmap ? VIOMMU_HOST_UNMAP : VIOMMU_HOST_DIRTY_QUERY, after, 1, -EIO);
}

int passed_step(struct passed *p, char *complaint, size_t length)
{
	bool now = p && due(p);
	int result;

	if (!p)
		return 0;
	if (now) {
		pthread_mutex_lock(&p->rounds);
		break_step(p);
	}
	result = load_step(&p->load);
	if (now) {
		p->fault = PASSED_FAULT_NONE;
		pthread_mutex_unlock(&p->rounds);
	}
	if (result)
		snprintf(complaint, length, "%s", p->load.complaint);
	return result;
}

bool passed_may_stop(const struct passed *p)
{
	return !p || !viommu_tracker_active(p->tracker) ||
	       (load_steps(&p->load) >= p->since + 2 * LOAD_WINDOWS && !passed_fault_waits(p));
}

bool passed_fault_waits(const struct passed *p)
{
	return p && (p->fault == PASSED_FAULT_QUERY || p->fault == PASSED_FAULT_ASK || p->fault == PASSED_FAULT_UNMAP);
}

void passed_report(const struct passed *p)
{
	struct viommu_tracker_statistics s = { .size = sizeof(s) };
	char text[160];

	if (!p)
		return;
	viommu_tracker_statistics(p->tracker, &s);
	snprintf(text, sizeof(text),
		 "the function: %llu steps, %llu unmaps recorded (%llu asked about), %llu stuck",
		 (unsigned long long)load_steps(&p->load), (unsigned long long)(s.unmap_queries + s.unmaps_outright),
		 (unsigned long long)s.unmap_queries, (unsigned long long)load_stuck(&p->load));
	p->say(p->opaque, text);
}

int passed_track(struct passed *p)
{
	char text[256];
	int result;

	if (!p)
		return 0;
	if (viommu_tracker_blockers(p->tracker, text, sizeof(text)))
		p->say(p->opaque, text);
	p->since = load_steps(&p->load);
	result = viommu_tracker_start(p->tracker);
	return result ? result : change(p, VIOMMU_HOST_PRE_COPYING);
}

int passed_collect(struct passed *p, uint64_t *bitmap)
{
	int result;

	if (!p)
		return 0;
	/* The driver writes its pages in every step, as KVM would tell. */
	for (uint64_t page = LOAD_AT / PAGE; page < load_end_of_tables(&p->load) / PAGE; page++)
		bitmap[page / 64] |= UINT64_C(1) << page % 64;
	pthread_mutex_lock(&p->rounds);
	if (p->fault == PASSED_FAULT_QUERY) {
		viommu_host_model_refuse(p->host, VIOMMU_HOST_DIRTY_QUERY, 0, 1, -EIO);
		p->fault = PASSED_FAULT_NONE;
	}
	result = viommu_tracker_query(p->tracker, 0, p->size, bitmap);
	pthread_mutex_unlock(&p->rounds);
	return result;
}

/* What the device has to give now. */
static int drain(struct passed *p, int (*send)(void *opaque, const void *data, size_t length), void *opaque)
{
	uint8_t *piece = malloc(PIECE);
	ssize_t got = 1;
	int result = piece ? 0 : -ENOMEM;

	while (!result && got > 0) {
		got = read(p->transfer, piece, PIECE);
		if (got > 0)
			result = send(opaque, piece, (size_t)got);
		else if (got < 0 && errno != ENOMSG) /* no message: nothing now, and more when it stops */
			result = -errno;
	}
	free(piece);
	return result;
}

int passed_send_early(struct passed *p, int (*send)(void *opaque, const void *data, size_t length), void *opaque)
{
	return p ? drain(p, send, opaque) : 0;
}

int passed_stop(struct passed *p, bool sent)
{
	uint64_t then = p ? p->writes : 0;

	if (!p || sent != (p->fault == PASSED_FAULT_ORDER))
		return 0;
	while (sent && p->writes < then + LATE_WRITES)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	return change(p, VIOMMU_HOST_STOP_COPYING);
}

int passed_send_device(struct passed *p, int (*send)(void *opaque, const void *data, size_t length), void *opaque)
{
	return p ? drain(p, send, opaque) : 0;
}

int passed_save_unit(struct passed *p, void **data, size_t *length)
{
	char text[256] = "";
	int result = viommu_state_save(p->state, data, length, text, sizeof(text));

	if (result)
		p->say(p->opaque, text);
	return result;
}

int passed_take_device(struct passed *p, const void *data, size_t length)
{
	int result = p ? 0 : -EPROTO;

	if (!result && p->transfer < 0)
		result = change(p, VIOMMU_HOST_RESUMING);
	if (!result && write(p->transfer, data, length) != (ssize_t)length)
		result = -EIO;
	return result;
}

int passed_load_unit(struct passed *p, const void *data, size_t length)
{
	char text[256] = "";
	int result = p ? change(p, VIOMMU_HOST_STOPPED) : -EPROTO;

	if (result)
		return result;
	if (p->fault == PASSED_FAULT_MAP || p->fault == PASSED_FAULT_ATTACH)
		viommu_host_model_refuse(p->host, p->fault == PASSED_FAULT_MAP ? VIOMMU_HOST_MAP : VIOMMU_HOST_ATTACH, 0, 1,
					 -ENOSPC);
	result = viommu_state_load(p->state, data, length, text, sizeof(text));
	if (result)
		p->say(p->opaque, text);
	/* Its bindings were made anew, and the host here may refuse what the source's did not. A guest finds its DMA blocked then. */
	return result ? result : p->blocked ? -ENOSPC : 0;
}

int passed_go_on(struct passed *p)
{
	if (!p)
		return 0;
	viommu_tracker_stop(p->tracker);
	p->blocked = false;
	return change(p, VIOMMU_HOST_RUNNING);
}
