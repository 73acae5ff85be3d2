/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts: a table of event descriptors, one per MSI-X vector. The client keeps the MSI-X table
 * itself, masks included, so all we do is signal. Clients take all descriptors away and set more
 * when a guest adds vectors; an interrupt raised in between stays pending and is signalled then.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int irqs_init(struct irqs *irqs, unsigned int count)
{
	irqs->count = count;
	for (unsigned int i = 0; i < SERVER_NOTICES; i++)
		irqs->notices[i] = -1;
	pthread_mutex_init(&irqs->lock, NULL);
	irqs->fds = malloc((count + 1) * sizeof(*irqs->fds));
	irqs->pending = calloc(count + 1, sizeof(*irqs->pending));
	if (!irqs->fds || !irqs->pending)
		return -ENOMEM;
	for (unsigned int i = 0; i < count; i++)
		irqs->fds[i] = -1;
	return 0;
}

static void set_fd(struct irqs *irqs, unsigned int vector, int fd)
{
	if (irqs->fds[vector] >= 0)
		close(irqs->fds[vector]);
	irqs->fds[vector] = fd;
}

/* Drop the descriptors, or what was waiting for them. */
void irqs_forget(struct irqs *irqs, bool pending_instead)
{
	pthread_mutex_lock(&irqs->lock);
	for (unsigned int i = 0; irqs->fds && irqs->pending && i < irqs->count; i++) {
		if (!pending_instead)
			set_fd(irqs, i, -1);
		else
			irqs->pending[i] = false;
	}
	pthread_mutex_unlock(&irqs->lock);
}

static void set_notice_fd(struct irqs *irqs, enum server_notice notice, int fd)
{
	pthread_mutex_lock(&irqs->lock);
	if (irqs->notices[notice] >= 0)
		close(irqs->notices[notice]);
	irqs->notices[notice] = fd;
	pthread_mutex_unlock(&irqs->lock);
}

/* The client has gone. */
void irqs_close(struct irqs *irqs)
{
	irqs_forget(irqs, false);
	irqs_forget(irqs, true);
	for (unsigned int i = 0; i < SERVER_NOTICES; i++)
		set_notice_fd(irqs, i, -1);
}

void irqs_destroy(struct irqs *irqs)
{
	irqs_close(irqs);
	free(irqs->fds);
	free(irqs->pending);
	pthread_mutex_destroy(&irqs->lock);
}

/* False: the client wants no such notice. */
bool irqs_notice(struct irqs *irqs, enum server_notice notice)
{
	bool wanted;

	pthread_mutex_lock(&irqs->lock);
	wanted = irqs->notices[notice] >= 0;
	if (wanted)
		server_signal(irqs->notices[notice]);
	pthread_mutex_unlock(&irqs->lock);
	return wanted;
}

int server_endpoint_notice(struct server_endpoint *e, enum server_notice notice)
{
	return irqs_notice(&e->irqs, notice) ? 0 : -ENOTCONN;
}

static void raise_locked(struct irqs *irqs, unsigned int vector)
{
	if (irqs->fds[vector] >= 0)
		server_signal(irqs->fds[vector]);
	else
		irqs->pending[vector] = true;
}

int server_endpoint_irq(struct server_endpoint *e, unsigned int vector)
{
	if (vector >= e->irqs.count)
		return -ENOENT;
	SERVER_COUNT(e, interrupts);
	pthread_mutex_lock(&e->irqs.lock);
	raise_locked(&e->irqs, vector);
	pthread_mutex_unlock(&e->irqs.lock);
	return 0;
}

/* One descriptor for "the function has failed", which clients warn about the lack of, and one for "let go of it". */
static uint32_t irq_count(const struct server_endpoint *e, uint32_t index)
{
	switch (index) {
	case WIRE_IRQ_INTX:
		return e->config.function.intx;
	case WIRE_IRQ_MSI:
		return e->config.function.msi_vectors;
	case WIRE_IRQ_MSIX:
		return e->irqs.count;
	case WIRE_IRQ_ERROR:
		return 1;
	case WIRE_IRQ_REQUEST:
		return e->config.function.removable;
	default:
		return 0;
	}
}

/* A level-triggered line is masked when it is signalled, until the client unmasks it. */
static uint32_t kind_flags(uint32_t index)
{
	switch (index) {
	case WIRE_IRQ_INTX:
		return WIRE_IRQ_MASKABLE | WIRE_IRQ_AUTOMASKED;
	case WIRE_IRQ_MSI:
		return WIRE_IRQ_NORESIZE;
	default:
		return 0;
	}
}

int handle_irq_info(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct wire_irq_info info;

	memcpy(&info, m->payload, sizeof(info));
	if (info.index >= WIRE_IRQS || info.argsz < sizeof(info))
		return -EINVAL;
	info = (struct wire_irq_info){
		.argsz = sizeof(info),
		.index = info.index,
		.count = irq_count(e, info.index),
	};
	if (info.count)
		info.flags = WIRE_IRQ_EVENTFD | kind_flags(info.index);
	memcpy(reply->data, &info, sizeof(info));
	reply->length = sizeof(info);
	return 0;
}

static void assign(struct irqs *irqs, const struct wire_set_irqs *set, struct message *m)
{
	for (unsigned int i = 0; i < set->count; i++) {
		unsigned int vector = set->start + i;

		set_fd(irqs, vector, i < m->fd_count ? m->fds[i] : -1);
		if (i < m->fd_count)
			m->fds[i] = -1;
		if (irqs->fds[vector] >= 0 && irqs->pending[vector]) {
			irqs->pending[vector] = false;
			server_signal(irqs->fds[vector]);
		}
	}
}

static void set_notice(struct irqs *irqs, const struct wire_set_irqs *set, struct message *m)
{
	enum server_notice notice = set->index == WIRE_IRQ_ERROR ? SERVER_NOTICE_ERROR : SERVER_NOTICE_LEAVE;

	if (!(set->flags & WIRE_IRQ_DATA_EVENTFD)) {
		if (set->count)
			irqs_notice(irqs, notice);
		else
			set_notice_fd(irqs, notice, -1);
		return;
	}
	set_notice_fd(irqs, notice, m->fd_count ? m->fds[0] : -1);
	if (m->fd_count)
		m->fds[0] = -1;
}

/* The block of checks: what is left afterwards can be done. */
static int check_set(const struct server_endpoint *e, const struct wire_set_irqs *set,
		     const struct message *m)
{
	uint32_t data = set->flags & WIRE_IRQ_DATA, action = set->flags & WIRE_IRQ_ACTION;
	size_t follow = m->length - sizeof(*set);
	uint32_t limit = irq_count(e, set->index);

	if (set->index >= WIRE_IRQS || set->flags & ~(uint32_t)(WIRE_IRQ_DATA | WIRE_IRQ_ACTION))
		return -EINVAL;
	if (data != WIRE_IRQ_DATA_NONE && data != WIRE_IRQ_DATA_BOOL && data != WIRE_IRQ_DATA_EVENTFD)
		return -EINVAL;
	/* Only a line is masked through the protocol; messages are by the client. */
	if (action != WIRE_IRQ_TRIGGER &&
	    (set->index != WIRE_IRQ_INTX || (action != WIRE_IRQ_MASK && action != WIRE_IRQ_UNMASK)))
		return -EINVAL;
	if (set->start > limit || set->count > limit - set->start)
		return -EINVAL;
	if (!set->count && (data != WIRE_IRQ_DATA_NONE || set->start || action != WIRE_IRQ_TRIGGER))
		return -EINVAL;
	if (follow != (data == WIRE_IRQ_DATA_BOOL ? set->count : 0))
		return -EINVAL;
	if (m->fd_count > (data == WIRE_IRQ_DATA_EVENTFD ? set->count : 0))
		return -EINVAL;
	/* all descriptors or none: a part of them says nothing about which vectors are meant */
	if (m->fd_count && m->fd_count != set->count)
		return -EINVAL;
	return 0;
}

/* Tell a model whose interrupts somebody else signals. */
static void tell_vectors(struct server_endpoint *e, unsigned int start, unsigned int count)
{
	if (e->ops->vectors)
		e->ops->vectors(e->opaque, start, count, &e->irqs.fds[start]);
}

/* Taken away first, closed afterwards: whoever signals them must not signal what comes to have
 * their number. */
static void take_vectors(struct server_endpoint *e)
{
	int *none;

	if (!e->ops->vectors)
		return;
	none = malloc((e->irqs.count + 1) * sizeof(*none));
	for (unsigned int i = 0; none && i < e->irqs.count; i++)
		none[i] = -1;
	if (none)
		e->ops->vectors(e->opaque, 0, e->irqs.count, none);
	free(none);
}

/* Interrupts whose state is the model's, or of whoever signals for it. */
static int pass_on(struct server_endpoint *e, const struct wire_set_irqs *set, struct message *m)
{
	const uint8_t *values = m->payload + sizeof(*set);
	int none[32];

	for (unsigned int i = 0; i < 32; i++)
		none[i] = -1;
	return e->ops->interrupts(e->opaque, set->index, set->flags, set->start, set->count,
				  set->flags & WIRE_IRQ_DATA_EVENTFD ? (m->fd_count ? m->fds : none) : NULL,
				  set->flags & WIRE_IRQ_DATA_BOOL ? values : NULL);
}

int handle_set_irqs(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	const uint8_t *flags = m->payload + sizeof(struct wire_set_irqs);
	struct wire_set_irqs set;
	int ret;

	memcpy(&set, m->payload, sizeof(set));
	ret = check_set(e, &set, m);
	if (ret)
		return ret;
	if (set.index == WIRE_IRQ_ERROR || set.index == WIRE_IRQ_REQUEST) {
		set_notice(&e->irqs, &set, m);
		return 0;
	}
	if (set.index == WIRE_IRQ_INTX || set.index == WIRE_IRQ_MSI)
		return set.count || irq_count(e, set.index) ? pass_on(e, &set, m) : 0;
	if (!set.count) {
		take_vectors(e);
		irqs_forget(&e->irqs, false);
		return 0;
	}
	pthread_mutex_lock(&e->irqs.lock);
	if (set.flags & WIRE_IRQ_DATA_EVENTFD) {
		assign(&e->irqs, &set, m);
	} else {
		for (unsigned int i = 0; i < set.count; i++)
			if ((set.flags & WIRE_IRQ_DATA_NONE) || flags[i])
				raise_locked(&e->irqs, set.start + i);
	}
	pthread_mutex_unlock(&e->irqs.lock);
	if (set.flags & WIRE_IRQ_DATA_EVENTFD)
		tell_vectors(e, set.start, set.count);
	return 0;
}
