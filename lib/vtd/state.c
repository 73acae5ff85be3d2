/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saving and loading a unit.
 *
 * A unit's state is its register file (queue positions, pending faults and events among it) and
 * what commands have latched from it. Caches are not state. Everything in a stream may be hostile:
 * it is checked against this unit first, and reserved bits are dropped; then it is taken over as a
 * whole.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vtd/listener.h"
#include "vtd/register.h"
#include "vtd/unit_internal.h"

enum { STATE_VERSION = 1 };

enum field {
	FIELD_CAP = 1,
	FIELD_ECAP = 2,
	FIELD_REGISTERS = 3, /* the window as words */
	FIELD_ROOT = 4,
	FIELD_INTERRUPT_TABLE = 5,
	FIELD_NEXT_FAULT = 6,
	FIELD_EVENT_CAUSES = 7, /* 3 times: bit 16 known, RID */
	FIELD_FAULT_LOG = 8,	/* AFLOG as latched; only with CAP.AFL, and so the next */
	FIELD_FAULT_LOG_INDEX = 9,
	FIELD_PASIDS_GIVEN = 10, /* only with ECAP.VCS: a bit each, nothing if they are not the unit's */
};

#define SECTION "unit"

struct state {
	uint64_t cap;
	uint64_t ecap;
	uint64_t root;
	uint64_t interrupt_table;
	uint64_t next_fault;
	uint64_t event_causes[3];
	uint64_t fault_log;
	uint64_t fault_log_index;
	const void *pasids_given; /* in the unit or in the stream */
	size_t pasids_given_bytes;
	uint32_t words[VIOMMU_UNIT_WINDOW / 4];
};

static void collect(struct viommu_unit *unit, struct state *state)
{
	struct vtd_registers *registers = &unit->registers;
	unsigned int i;

	if (unit->ecap & VTD_ECAP_PMS)
		vtd_perfmon_count(unit);
	pthread_mutex_lock(&registers->lock);
	state->cap = unit->cap;
	state->ecap = unit->ecap;
	state->root = unit->root;
	state->interrupt_table = unit->interrupt.table;
	state->next_fault = registers->next_fault;
	state->fault_log = registers->fault_log;
	state->fault_log_index = registers->fault_log_index;
	state->pasids_given = unit->pasids_given;
	state->pasids_given_bytes = vtd_virtual_words(unit) * sizeof(uint64_t);
	for (i = 0; i < 3; i++)
		state->event_causes[i] =
			registers->event_cause[i] | (uint64_t)registers->event_cause_known[i] << 16;
	for (i = 0; i < VIOMMU_UNIT_WINDOW / 4; i++)
		state->words[i] = vtd_load_plain(&registers->words[i]);
	pthread_mutex_unlock(&registers->lock);
}

static void put(struct viommu_stream_writer *writer, uint32_t instance, const struct state *state)
{
	viommu_stream_begin(writer, SECTION, instance, STATE_VERSION);
	viommu_stream_put_u64(writer, FIELD_CAP, state->cap);
	viommu_stream_put_u64(writer, FIELD_ECAP, state->ecap);
	viommu_stream_put_bytes(writer, FIELD_REGISTERS, state->words, sizeof(state->words));
	viommu_stream_put_u64(writer, FIELD_ROOT, state->root);
	viommu_stream_put_u64(writer, FIELD_INTERRUPT_TABLE, state->interrupt_table);
	viommu_stream_put_u64(writer, FIELD_NEXT_FAULT, state->next_fault);
	viommu_stream_put_bytes(writer, FIELD_EVENT_CAUSES, state->event_causes,
				sizeof(state->event_causes));
	if (state->cap & VTD_CAP_AFL) {
		viommu_stream_put_u64(writer, FIELD_FAULT_LOG, state->fault_log);
		viommu_stream_put_u64(writer, FIELD_FAULT_LOG_INDEX, state->fault_log_index);
	}
	if (state->ecap & VTD_ECAP_VCS)
		viommu_stream_put_bytes(writer, FIELD_PASIDS_GIVEN, state->pasids_given,
					state->pasids_given_bytes);
	viommu_stream_end(writer);
}

/* Requests translated so far: moves while there is DMA. */
static uint64_t activity(struct viommu_unit *unit)
{
	const struct viommu_endpoint *endpoint;
	uint64_t sum = 0;
	unsigned int i;

	pthread_mutex_lock(&unit->endpoints_lock);
	for (endpoint = unit->first_endpoint; endpoint; endpoint = endpoint->next)
		for (i = 0; i < VTD_SHARDS; i++)
			sum += vtd_load_plain(&endpoint->shards[i].hits) +
			       vtd_load_plain(&endpoint->shards[i].misses);
	pthread_mutex_unlock(&unit->endpoints_lock);
	return sum;
}

int viommu_unit_save(struct viommu_unit *unit, struct viommu_stream_writer *writer,
		     uint32_t instance)
{
	struct state state;
	uint64_t before;
	int error = 0;

	vtd_unit_enter(unit);
	before = activity(unit);
	/* Requests that are under way end here, and show in the count. */
	if (unit->queue_running || unit->invalidations_out || grace_wait() || activity(unit) != before)
		error = -EBUSY;
	if (!error) {
		collect(unit, &state);
		put(writer, instance, &state);
	}
	vtd_unit_leave(unit);
	return error;
}

__attribute__((format(printf, 4, 5))) static int refuse(char *message, size_t length, int error,
							const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (message && length)
		vsnprintf(message, length, format, arguments);
	va_end(arguments);
	return error;
}

static int get_words(struct viommu_stream_reader *reader, uint32_t tag, void *to, size_t size)
{
	const void *data;
	size_t length;
	int error = viommu_stream_get_bytes(reader, tag, &data, &length);

	if (error)
		return error;
	if (length != size)
		return -EBADMSG;
	memcpy(to, data, size);
	return 0;
}

static int get(struct viommu_stream_reader *reader, struct state *state)
{
	const struct {
		enum field field;
		uint64_t *to;
	} numbers[] = {
		{ FIELD_CAP, &state->cap },
		{ FIELD_ECAP, &state->ecap },
		{ FIELD_ROOT, &state->root },
		{ FIELD_INTERRUPT_TABLE, &state->interrupt_table },
		{ FIELD_NEXT_FAULT, &state->next_fault },
	};
	unsigned int i;
	int error = 0;

	for (i = 0; !error && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		error = viommu_stream_get_u64(reader, numbers[i].field, numbers[i].to);
	if (!error)
		error = get_words(reader, FIELD_REGISTERS, state->words, sizeof(state->words));
	if (!error)
		error = get_words(reader, FIELD_EVENT_CAUSES, state->event_causes,
				  sizeof(state->event_causes));
	state->fault_log = 0;
	state->fault_log_index = 0;
	if (!error && state->cap & VTD_CAP_AFL)
		error = viommu_stream_get_u64(reader, FIELD_FAULT_LOG, &state->fault_log);
	if (!error && state->cap & VTD_CAP_AFL)
		error = viommu_stream_get_u64(reader, FIELD_FAULT_LOG_INDEX,
					      &state->fault_log_index);
	state->pasids_given = NULL;
	state->pasids_given_bytes = 0;
	if (!error && state->ecap & VTD_ECAP_VCS)
		error = viommu_stream_get_bytes(reader, FIELD_PASIDS_GIVEN, &state->pasids_given,
						&state->pasids_given_bytes);
	return error == -ENOENT ? -EBADMSG : error;
}

int viommu_unit_compare(const struct viommu_unit *unit, uint64_t cap, uint64_t ecap, char *message, size_t length)
{
	const uint64_t saved[2] = { cap, ecap }, here[2] = { unit->cap, unit->ecap };
	char names[512];

	if (saved[0] == here[0] && saved[1] == here[1])
		return 0;
	if (!vtd_capability_differences(saved, here, names, sizeof(names)))
		strcpy(names, "no option makes the difference");
	return refuse(message, length, -EINVAL,
		      "the saved capabilities are not this unit's: %s (CAP %016llx, ECAP %016llx there, CAP %016llx, "
		      "ECAP %016llx here)",
		      names, (unsigned long long)saved[0], (unsigned long long)saved[1],
		      (unsigned long long)here[0], (unsigned long long)here[1]);
}

static int check(const struct viommu_unit *unit, const struct state *state, char *message,
		 size_t length)
{
	int error = viommu_unit_compare(unit, state->cap, state->ecap, message, length);

	if (error)
		return error;
	if (state->next_fault >= unit->options.fault_records)
		return refuse(message, length, -EBADMSG, "fault record index %llu of %u",
			      (unsigned long long)state->next_fault, unit->options.fault_records);
	if (state->fault_log_index >= vtd_fault_log_records(state->fault_log))
		return refuse(message, length, -EBADMSG, "record %llu of the fault log is beyond it",
			      (unsigned long long)state->fault_log_index);
	if (state->pasids_given_bytes != vtd_virtual_words(unit) * sizeof(uint64_t))
		return refuse(message, length, -EINVAL,
			      "the guest's PASIDs are given out by %s there and by %s here",
			      state->pasids_given_bytes ? "the unit" : "others",
			      unit->pasids_given ? "the unit" : "others");
	return 0;
}

static void take_over(struct viommu_unit *unit, const struct state *state)
{
	struct vtd_registers *registers = &unit->registers;
	uint32_t status;
	unsigned int i;

	pthread_mutex_lock(&registers->lock);
	vtd_registers_load(unit, state->words);
	registers->next_fault = state->next_fault;
	registers->fault_log = state->fault_log & (VTD_AFLOG_FLA | VTD_AFLOG_FLS);
	registers->fault_log_index = state->fault_log_index;
	for (i = 0; i < 3; i++) {
		registers->event_cause[i] = (uint16_t)state->event_causes[i];
		registers->event_cause_known[i] = state->event_causes[i] & 1u << 16;
	}
	status = vtd_get32(unit, VTD_REG_GSTS);
	pthread_mutex_unlock(&registers->lock);
	vtd_queue_forget(unit);
	vtd_store(&unit->root, state->root & VTD_MASK(63, 10));
	vtd_store(&unit->translating, !!(status & VTD_GCMD_TE));
	vtd_interrupt_set_table(&unit->interrupt,
				state->interrupt_table &
					~(unit->ecap & VTD_ECAP_EIM ? 0 : VTD_IRTA_EIME));
	vtd_interrupt_set_status(&unit->interrupt, status);
	vtd_virtual_load(unit, state->pasids_given);
	vtd_protection_restore(unit);
	vtd_perfmon_restore(unit);
}

int viommu_unit_load(struct viommu_unit *unit, struct viommu_stream_reader *reader,
		     uint32_t instance, char *message, size_t message_length)
{
	struct state state;
	uint32_t version;
	int error = viommu_stream_open(reader, SECTION, instance, STATE_VERSION, &version);

	if (error)
		return refuse(message, message_length, error == -ENOENT ? -EBADMSG : error,
			      error == -ENOENT
				      ? "section %u is not in the stream"
				      : "section %u has a version newer than this library",
			      instance);
	error = get(reader, &state);
	if (error)
		return refuse(message, message_length, error, "section %u is damaged",
			      instance);
	error = check(unit, &state, message, message_length);
	if (error)
		return error;
	vtd_unit_enter(unit);
	take_over(unit, &state);
	vtd_invalidate_all(unit);
	vtd_listeners_translation_changed(unit);
	vtd_listeners_flush(unit);
	vtd_drain(unit);
	/* Descriptors between head and tail were the source's to execute; now they are ours. */
	vtd_queue_run(unit);
	vtd_unit_leave(unit);
	return 0;
}
