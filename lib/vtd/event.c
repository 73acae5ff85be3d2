/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The event messages: faults, invalidation completion, page requests, performance monitoring
 * (VT-d 11.4.7.2, 6.5.2.8, 7.5, 10.6).
 *
 * Each has a control register with a mask (IM) and a pending bit (IP), and the address and data of
 * the message. An event that meets the mask stays pending until it is unmasked or serviced. The
 * decision is taken under the register lock, the message is sent after it was let go.
 */
#include "vtd/unit_internal.h"

static unsigned int slot(enum vtd_event event)
{
	switch (event) {
	case VTD_EVENT_FAULT:
		return 0;
	case VTD_EVENT_INVALIDATION:
		return 1;
	case VTD_EVENT_PAGE_REQUEST:
		return 2;
	default:
		return 3;
	}
}

static struct vtd_message message_of(const struct viommu_unit *unit, enum vtd_event event)
{
	return (struct vtd_message){
		.send = true,
		.data = vtd_get32(unit, event + 4),
		.address = vtd_get64(unit, event + 8),
	};
}

struct vtd_message vtd_event_raise(struct viommu_unit *unit, enum vtd_event event,
				   const struct viommu_endpoint *cause)
{
	uint32_t control = vtd_get32(unit, event);

	vtd_store_plain(&unit->registers.event_cause_known[slot(event)], cause != NULL);
	vtd_store_plain(&unit->registers.event_cause[slot(event)], cause ? cause->rid : 0);
	if (!(control & VTD_EVENT_IM))
		return message_of(unit, event);
	vtd_set32(unit, event, control | VTD_EVENT_IP);
	return (struct vtd_message){ 0 };
}

struct vtd_message vtd_event_unmask(struct viommu_unit *unit, enum vtd_event event)
{
	uint32_t control = vtd_get32(unit, event);

	if (control & VTD_EVENT_IM || !(control & VTD_EVENT_IP))
		return (struct vtd_message){ 0 };
	vtd_set32(unit, event, control & ~VTD_EVENT_IP);
	return message_of(unit, event);
}

void vtd_event_serviced(struct viommu_unit *unit, enum vtd_event event)
{
	vtd_set32(unit, event, vtd_get32(unit, event) & ~VTD_EVENT_IP);
}

void vtd_event_send(struct viommu_unit *unit, enum vtd_event event, struct vtd_message message)
{
	struct vtd_registers *registers = &unit->registers;
	struct viommu_endpoint *cause = NULL;

	if (!message.send)
		return;
	vtd_count_shared(&unit->counters.events);
	if (!unit->ops.message)
		return;
	/* The section keeps the cause from going away. */
	grace_enter();
	if (vtd_load_plain(&registers->event_cause_known[slot(event)]))
		cause = vtd_endpoint_find(unit,
					  vtd_load_plain(&registers->event_cause[slot(event)]));
	unit->ops.message(unit->opaque, cause, message.address, message.data);
	grace_exit();
}
