/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests of ours to the client: a small queue of 4-byte DMA_WRITEs, filled by any thread and sent
 * by the endpoint's thread, one at a time, only when no request of the client's waits for an
 * answer.
 *
 * Before the first of them a probe: QEMU 10.1 and 10.2 put the data of these messages four bytes
 * early, which would turn every message into vector 0. We read 16 bytes of memory that we also see
 * directly and compare.
 */
#include "internal.h"

#include <errno.h>
#include <string.h>

/* A client has this long to answer; after that the request counts as lost. */
#define ANSWER_MS 5000

int server_endpoint_message(struct server_endpoint *e, uint64_t address, uint32_t data)
{
	struct requests *r = &e->requests;
	struct request *slot;
	int ret = 0;

	if (e->mute || !atomic_load(&e->connected) ||
	    !(atomic_load(&e->features) & SERVER_FEATURE_BUS_MASTER))
		return -EACCES;
	pthread_mutex_lock(&r->lock);
	for (unsigned int i = 0; i < r->count; i++) {
		/* the same message not yet sent: edges merge, as they would in an interrupt
		 * controller */
		slot = &r->queue[(r->first + i) % REQUEST_QUEUE];
		if (!slot->probe && slot->address == address && slot->data == data)
			goto out;
	}
	if (r->count == REQUEST_QUEUE) {
		ret = -EAGAIN;
		goto out;
	}
	r->queue[(r->first + r->count++) % REQUEST_QUEUE] =
		(struct request){ .address = address, .data = data };
out:
	pthread_mutex_unlock(&r->lock);
	if (!ret)
		server_wake(e);
	return ret;
}

void requests_forget(struct server_endpoint *e)
{
	struct requests *r = &e->requests;

	pthread_mutex_lock(&r->lock);
	r->count = 0;
	pthread_mutex_unlock(&r->lock);
	r->probed = false;
}

/* 16 bytes that look different when they are shifted by four. */
static bool telling(const uint8_t *bytes)
{
	uint32_t words[PROBE_LENGTH / 4];

	memcpy(words, bytes, sizeof(words));
	for (unsigned int i = 0; i < 3; i++)
		if (!words[i] || words[i] == words[i + 1])
			return false;
	return true;
}

struct probe_search {
	struct server_endpoint *endpoint;
	uint64_t gpa;
};

/* The firmware's part of low memory holds still and is not empty. */
static int search(void *opaque, const struct viommu_segment_info *segment)
{
	struct probe_search *s = opaque;
	uint64_t length = segment->length < 0x100000 ? segment->length : 0x100000;

	for (uint64_t at = 0; segment->hva && at + PROBE_LENGTH <= length; at += 256) {
		if (!telling((const uint8_t *)segment->hva + at))
			continue;
		s->gpa = segment->gpa + at;
		return 1;
	}
	return segment->gpa > 0x100000;
}

/* Bus mastering went on: the client will serve us now. Queue the probe in front of everything. */
void requests_probe(struct server_endpoint *e)
{
	struct probe_search s = { .endpoint = e, .gpa = UINT64_MAX };
	struct requests *r = &e->requests;

	if (r->probed || !e->memory || e->mute)
		return;
	viommu_memory_each(e->memory, search, &s);
	if (s.gpa == UINT64_MAX)
		return;
	r->probed = true;
	pthread_mutex_lock(&r->lock);
	if (r->count < REQUEST_QUEUE) {
		r->first = (r->first + REQUEST_QUEUE - 1) % REQUEST_QUEUE;
		r->queue[r->first] = (struct request){ .address = s.gpa, .probe = true };
		r->count++;
	}
	pthread_mutex_unlock(&r->lock);
}

static bool take(struct requests *r)
{
	bool any;

	pthread_mutex_lock(&r->lock);
	any = r->count;
	if (any) {
		r->sent = r->queue[r->first];
		r->first = (r->first + 1) % REQUEST_QUEUE;
		r->count--;
	}
	pthread_mutex_unlock(&r->lock);
	return any;
}

/* Called when everything the client asked is answered. Negative errno: close the connection. */
int requests_send(struct server_endpoint *e)
{
	struct requests *r = &e->requests;
	struct wire_dma_access access;
	struct wire_header header;

	if (r->outstanding && connection_now() >= r->deadline) {
		server_log(e, "the client did not answer a message in %d s", ANSWER_MS / 1000);
		r->outstanding = false;
	}
	if (r->outstanding || !e->versioned || !take(r))
		return 0;
	access = (struct wire_dma_access){ r->sent.address, r->sent.probe ? PROBE_LENGTH : 4 };
	header = (struct wire_header){
		.id = ++r->id,
		.command = r->sent.probe ? WIRE_DMA_READ : WIRE_DMA_WRITE,
		.size = (uint32_t)(sizeof(header) + sizeof(access) + (r->sent.probe ? 0 : 4)),
	};
	if (r->sent.probe &&
	    viommu_memory_read(e->memory, r->sent.address, r->expected, PROBE_LENGTH))
		return 0; /* gone meanwhile */
	r->outstanding = true;
	r->deadline = connection_now() + ANSWER_MS;
	return connection_send(&e->connection, &header, &access, sizeof(access), &r->sent.data,
			       r->sent.probe ? 0 : 4, -1);
}

/* ms until a reply is overdue, -1: none is awaited */
int requests_timeout(const struct server_endpoint *e)
{
	int64_t left = e->requests.deadline - connection_now();

	if (!e->requests.outstanding)
		return -1;
	return left > 0 ? (int)left : 0;
}

/* The bytes where they belong: fine. Four bytes early: the client has the bug. Neither: they
 * changed meanwhile. */
static int check_probe(struct server_endpoint *e, const struct message *m)
{
	const uint8_t *data = m->payload + sizeof(struct wire_dma_access);

	if (m->header.flags & WIRE_ERROR ||
	    m->length < sizeof(struct wire_dma_access) - 4 + PROBE_LENGTH)
		return 0;
	if (m->length >= sizeof(struct wire_dma_access) + PROBE_LENGTH &&
	    !memcmp(data, e->requests.expected, PROBE_LENGTH))
		return 0;
	if (memcmp(data - 4, e->requests.expected, PROBE_LENGTH))
		return 0;
	server_log(
		e,
		"the client puts the data of DMA messages four bytes early (QEMU 10.1 and 10.2 do): "
		"interrupts of the unit would be lost; use QEMU 11.1 or newer");
	return -ECONNABORTED;
}

int requests_reply(struct server_endpoint *e, const struct message *m)
{
	struct requests *r = &e->requests;

	if (!r->outstanding || m->header.id != r->id) {
		server_log(e, "a reply to nothing");
		return 0;
	}
	r->outstanding = false;
	if (r->sent.probe)
		return check_probe(e, m);
	if (m->header.flags & WIRE_ERROR)
		server_log(e, "the client refused a message to 0x%llx: %s",
			   (unsigned long long)r->sent.address,
			   strerror((int)(m->header.error & 0xfff)));
	else
		SERVER_COUNT(e, messages);
	return 0;
}
