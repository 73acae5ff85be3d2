/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What other threads ask of an endpoint that only its own thread may do: stop and start the model,
 * save and load the function, and faults injected on purpose. A call is handed over, the thread is
 * woken, and the caller waits.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct call {
	int (*run)(struct server_endpoint *endpoint, struct call *call);
	struct viommu_stream_writer *writer;
	struct viommu_stream_reader *reader;
	char *message;
	size_t message_length;
	unsigned int fault;
	int result;
	bool done;
	struct call *next;
};

/* The endpoint's thread: do what was asked meanwhile. */
void server_run_calls(struct server_endpoint *e)
{
	pthread_mutex_lock(&e->call_lock);
	while (e->calls) {
		struct call *call = e->calls;

		e->calls = call->next;
		pthread_mutex_unlock(&e->call_lock);
		call->result = call->run(e, call);
		pthread_mutex_lock(&e->call_lock);
		call->done = true;
		pthread_cond_broadcast(&e->call_done);
	}
	pthread_mutex_unlock(&e->call_lock);
}

static int hand_over(struct server_endpoint *e, struct call *call)
{
	if (!e->started)
		return call->run(e, call);
	pthread_mutex_lock(&e->call_lock);
	call->next = e->calls;
	e->calls = call;
	server_wake(e);
	while (!call->done)
		pthread_cond_wait(&e->call_done, &e->call_lock);
	pthread_mutex_unlock(&e->call_lock);
	return call->result;
}

/* In a client's transfer a step aside would be its end: half of what is being written would be loaded. */
static bool transfers(const struct server_endpoint *e)
{
	uint32_t state = e->migration.state;

	return state == WIRE_STATE_PRE_COPY || state == WIRE_STATE_STOP_COPY || state == WIRE_STATE_RESUMING;
}

static int run_stop(struct server_endpoint *e, struct call *call)
{
	return transfers(e) ? -EBUSY : migration_change_state(e, WIRE_STATE_STOP);
}

static int run_start(struct server_endpoint *e, struct call *call)
{
	return transfers(e) ? -EBUSY : migration_change_state(e, WIRE_STATE_RUNNING);
}

static int run_save(struct server_endpoint *e, struct call *call)
{
	return e->migration.state == WIRE_STATE_STOP ? migration_save(e, call->writer) : -EBUSY;
}

static int run_load(struct server_endpoint *e, struct call *call)
{
	if (e->migration.state != WIRE_STATE_STOP)
		return -EBUSY;
	return migration_load(e, call->reader, call->message, call->message_length);
}

static int run_inject(struct server_endpoint *e, struct call *call)
{
	switch (call->fault) {
	case SERVER_FAULT_DISCONNECT:
		if (!atomic_load(&e->connected))
			return -ENOTCONN;
		e->disconnect = true;
		return 0;
	case SERVER_FAULT_ERROR:
		irqs_notice(&e->irqs, SERVER_NOTICE_ERROR);
		return 0;
	default:
		e->injected |= call->fault;
		return 0;
	}
}

/* Take an injected fault: it happens once. */
bool server_injected(struct server_endpoint *e, enum server_fault fault)
{
	bool found = e->injected & fault;

	e->injected &= ~(unsigned int)fault;
	return found;
}

int server_endpoint_stop(struct server_endpoint *e)
{
	struct call call = { .run = run_stop };

	return hand_over(e, &call);
}

int server_endpoint_continue(struct server_endpoint *e)
{
	struct call call = { .run = run_start };

	return hand_over(e, &call);
}

int server_endpoint_save(struct server_endpoint *e, struct viommu_stream_writer *writer)
{
	struct call call = { .run = run_save, .writer = writer };

	return hand_over(e, &call);
}

int server_endpoint_load(struct server_endpoint *e, struct viommu_stream_reader *reader,
			 char *message, size_t length)
{
	struct call call = {
		.run = run_load, .reader = reader, .message = message, .message_length = length
	};

	return hand_over(e, &call);
}

int server_endpoint_inject(struct server_endpoint *e, enum server_fault fault)
{
	struct call call = { .run = run_inject, .fault = fault };

	return hand_over(e, &call);
}
