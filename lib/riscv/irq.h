/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An interrupt wire that follows a condition, from several threads.
 *
 * Whoever may have changed the condition calls irq_follow() holding no lock of its own. The wire's
 * lock makes callbacks come in the order of the levels they carry; the level is read anew under it,
 * so the last callback always tells the truth.
 */
#ifndef LIB_RISCV_IRQ_H
#define LIB_RISCV_IRQ_H

#include <pthread.h>

#include <viommu/riscv.h>

struct irq_wire {
	pthread_mutex_t lock;
	viommu_irq_fn set; /* may be NULL */
	void *opaque;
	bool level;
};

static inline void irq_init(struct irq_wire *wire, viommu_irq_fn set, void *opaque)
{
	pthread_mutex_init(&wire->lock, NULL);
	wire->set = set;
	wire->opaque = opaque;
	wire->level = false;
}

static inline void irq_follow(struct irq_wire *wire, bool (*wanted)(void *object), void *object)
{
	bool level;

	if (!wire->set)
		return;
	pthread_mutex_lock(&wire->lock);
	level = wanted(object);
	if (level != wire->level) {
		wire->level = level;
		wire->set(wire->opaque, level);
	}
	pthread_mutex_unlock(&wire->lock);
}

#endif
