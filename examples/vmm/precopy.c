/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pre-copy migration. The source sends memory while the guest runs, then what was written meanwhile, again and again,
 * until a round is small or does not shrink any more; then it stops the guest, sends the rest and the state. The guest never runs on
 * both sides: the destination starts it only after COMMIT, and the source never does after that, unless it learns that the destination
 * went away before it could start.
 */
#include "vmm.h"

#include "migration_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	ROUNDS_MAX = 30,
	SMALL_ENOUGH = 64,    /* pages: a round this small ends pre-copy */
	BATCH = 256,          /* pages in one section */
	STATE_PIECE = 65536,
	STATE_MAX = 64 << 20,
};

#define RECORD (sizeof(uint64_t) + VM_PAGE)

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

/* Send one section, unless the link is to be cut here. */
static int send_section(struct vmm *vmm, int link, enum link_section section, const void *data, size_t length)
{
	int result;

	if (vmm->cut == section)
		return vmm_cut(vmm, section);
	result = link_send(link, section, data, length);
	/* It is given away: what comes back is the destination's. */
	return !result && section == LINK_COMMIT && vmm->cut == LINK_RUNNING ? vmm_cut(vmm, LINK_RUNNING) : result;
}

/* What was written since the last call, by the processor and by the devices; clears both. */
static int collect(struct vmm *vmm, uint64_t *bitmap)
{
	int result;

	pthread_mutex_lock(&vmm->bus);
	result = migration_log_report(&vmm->unit, VM_MEMORY, bitmap);
	for (unsigned int i = 0; i < GUEST_PAGES / 64; i++) {
		bitmap[i] |= vmm->guest.written[i];
		vmm->guest.written[i] = 0;
	}
	pthread_mutex_unlock(&vmm->bus);
	return result ? result : passed_collect(vmm->passed, bitmap);
}

static int send_pages(struct vmm *vmm, int link, const uint64_t *bitmap, uint64_t *sent)
{
	uint8_t *batch = malloc(BATCH * RECORD);
	size_t used = 0;
	int result = batch ? 0 : -ENOMEM;

	*sent = 0;
	for (uint64_t page = 0; !result && page < GUEST_PAGES; page++) {
		uint64_t gpa = page * VM_PAGE;

		if (bitmap[page / 64] >> page % 64 & 1) {
			memcpy(batch + used, &gpa, sizeof(gpa));
			memcpy(batch + used + sizeof(gpa), vm_at(&vmm->guest.vm, gpa), VM_PAGE);
			used += RECORD;
			++*sent;
		}
		if (used == BATCH * RECORD || (used && page == GUEST_PAGES - 1)) {
			result = send_section(vmm, link, LINK_PAGES, batch, used);
			used = 0;
		}
	}
	free(batch);
	return result;
}

/* Which device a piece of state is of, in front of it. */
enum part { PART_UNIT, PART_DSA, PART_PASSED, PARTS };

struct sender {
	struct vmm *vmm;
	int link;
	struct migration_report *report;
};

static int send_early_piece(const struct sender *s, enum part part, const void *data, size_t length)
{
	uint8_t *piece = malloc(length + 1);
	int result = piece ? 0 : -ENOMEM;

	if (!result) {
		piece[0] = (uint8_t)part;
		memcpy(piece + 1, data, length);
		result = send_section(s->vmm, s->link, LINK_EARLY, piece, length + 1);
		s->report->early += length;
	}
	free(piece);
	return result;
}

static int send_passed_early(void *opaque, const void *data, size_t length)
{
	return send_early_piece(opaque, PART_PASSED, data, length);
}

static int send_device_piece(void *opaque, const void *data, size_t length)
{
	const struct sender *s = opaque;

	return send_section(s->vmm, s->link, LINK_DEVICE, data, length);
}

/* What the devices give of their state while they run: at least who they are, so that the destination can refuse now. */
static int send_early(struct sender *s)
{
	struct client *clients[] = { [PART_UNIT] = &s->vmm->unit, [PART_DSA] = &s->vmm->dsa };
	int result = 0;

	for (enum part part = PART_UNIT; !result && part < PART_PASSED; part++) {
		uint8_t *data;
		size_t length;

		pthread_mutex_lock(&s->vmm->bus);
		result = migration_read(clients[part], STATE_PIECE, &data, &length);
		pthread_mutex_unlock(&s->vmm->bus);
		if (!result && length)
			result = send_early_piece(s, part, data, length);
		free(data);
	}
	return result ? result : passed_send_early(s->vmm->passed, send_passed_early, s);
}

static int precopy(struct vmm *vmm, int link, struct migration_report *report)
{
	uint64_t bitmap[GUEST_PAGES / 64], sent, before = UINT64_MAX;
	struct sender sender = { vmm, link, report };
	int result;

	memset(bitmap, 0xff, sizeof(bitmap));
	for (;;) {
		uint64_t early = report->early;

		result = send_early(&sender);
		result = result ? result : send_pages(vmm, link, bitmap, &sent);
		if (result)
			return result;
		report->pages += sent;
		vmm_say(vmm, "round %2u: %6llu pages, %5llu bytes of devices' state", ++report->rounds,
			(unsigned long long)sent, (unsigned long long)(report->early - early));
		/* Converged: little is left, or as much is written as can be sent. */
		if (sent <= SMALL_ENOUGH || (sent >= before && report->rounds > 3) || report->rounds == ROUNDS_MAX)
			return 0;
		before = sent;
		memset(bitmap, 0, sizeof(bitmap));
		result = collect(vmm, bitmap);
		if (result)
			return result;
	}
}

static int send_state(struct vmm *vmm, int link, enum link_section section, struct client *client)
{
	uint8_t *data;
	size_t length;
	int result = migration_read(client, STATE_PIECE, &data, &length);

	if (!result)
		result = send_section(vmm, link, section, data, length);
	free(data);
	return result;
}

static int send_library(struct vmm *vmm, int link)
{
	void *data = NULL;
	size_t length;
	int result = vmm->passed ? passed_save_unit(vmm->passed, &data, &length) : 0;

	if (data && !result)
		result = send_section(vmm, link, LINK_LIBRARY, data, length);
	free(data);
	return result;
}

/* The guest stands still: devices first, as their last writes must be in the last pages. */
static int stop_and_copy(struct vmm *vmm, int link, struct migration_report *report)
{
	struct guest_cpu cpu = guest_registers(&vmm->guest);
	uint64_t bitmap[GUEST_PAGES / 64] = { 0 }, sent;
	struct sender sender = { vmm, link, report };
	int result = migration_set_state(&vmm->dsa, WIRE_STATE_STOP_COPY);

	result = result ? result : migration_set_state(&vmm->unit, WIRE_STATE_STOP_COPY);
	result = result ? result : passed_stop(vmm->passed, false);
	result = result ? result : collect(vmm, bitmap);
	result = result ? result : send_pages(vmm, link, bitmap, &sent);
	result = result ? result : passed_stop(vmm->passed, true);
	if (result)
		return result;
	report->pages += sent;
	vmm_say(vmm, "stopped:  %6llu pages, and the state", (unsigned long long)sent);
	result = send_state(vmm, link, LINK_UNIT, &vmm->unit);
	result = result ? result : send_state(vmm, link, LINK_DSA, &vmm->dsa);
	result = result ? result : passed_send_device(vmm->passed, send_device_piece, &sender);
	result = result ? result : send_library(vmm, link);
	result = result ? result : send_section(vmm, link, LINK_CPU, &cpu, sizeof(cpu));
	result = result ? result : send_section(vmm, link, LINK_VERIFY, vmm->guest.vm.memory, VM_MEMORY);
	result = result ? result : link_expect(link, LINK_LOADED);
	return result ? result : send_section(vmm, link, LINK_COMMIT, NULL, 0);
}

/* The migration failed: the guest goes on where it was. */
static void carry_on(struct vmm *vmm)
{
	pthread_mutex_lock(&vmm->bus);
	migration_log_stop(&vmm->unit);
	migration_set_state(&vmm->unit, WIRE_STATE_RUNNING);
	migration_set_state(&vmm->dsa, WIRE_STATE_RUNNING);
	passed_go_on(vmm->passed);
	pthread_mutex_unlock(&vmm->bus);
	if (!vmm->started)
		vmm_run(vmm);
}

int vmm_send(struct vmm *vmm, int link, struct migration_report *report)
{
	uint64_t size = VM_MEMORY;
	double start = now_ms(), stopped;
	int result;

	pthread_mutex_lock(&vmm->bus);
	result = migration_log_start(&vmm->unit, VM_MEMORY);
	result = result ? result : migration_set_state(&vmm->unit, WIRE_STATE_PRE_COPY);
	result = result ? result : migration_set_state(&vmm->dsa, WIRE_STATE_PRE_COPY);
	pthread_mutex_unlock(&vmm->bus);
	result = result ? result : passed_track(vmm->passed);
	result = result ? result : send_section(vmm, link, LINK_HELLO, &size, sizeof(size));
	result = result ? result : precopy(vmm, link, report);
	if (!result) {
		vmm_pause(vmm);
		stopped = now_ms();
		result = vmm->failed ? vmm->failed : stop_and_copy(vmm, link, report);
		/* After COMMIT only the end of the link without RUNNING says that it does not run there. */
		result = result ? result : link_expect(link, LINK_RUNNING);
		report->downtime_ms = now_ms() - stopped;
	}
	report->total_ms = now_ms() - start;
	if (result)
		carry_on(vmm);
	return result;
}

static int take_pages(struct vmm *vmm, const uint8_t *data, size_t length)
{
	if (length % RECORD)
		return -EPROTO;
	for (size_t at = 0; at < length; at += RECORD) {
		uint64_t gpa;

		memcpy(&gpa, data + at, sizeof(gpa));
		if (gpa % VM_PAGE || gpa >= VM_MEMORY)
			return -EPROTO;
		memcpy(vm_at(&vmm->guest.vm, gpa), data + at + sizeof(gpa), VM_PAGE);
	}
	return 0;
}

/* What comes early is checked as it comes: whatever cannot fit is refused while the source still runs. */
static int take_piece(struct client *client, const uint8_t *data, size_t length)
{
	int result = migration_set_state(client, WIRE_STATE_RESUMING);

	return result ? result : migration_write(client, data, length, STATE_PIECE);
}

static int take_early(struct vmm *vmm, const uint8_t *data, size_t length)
{
	if (!length || data[0] >= PARTS)
		return -EPROTO;
	if (data[0] == PART_PASSED)
		return passed_take_device(vmm->passed, data + 1, length - 1);
	return take_piece(data[0] == PART_UNIT ? &vmm->unit : &vmm->dsa, data + 1, length - 1);
}

static int load_state(struct client *client, const uint8_t *data, size_t length)
{
	int result = take_piece(client, data, length);

	/* Stopped, not running: loading is checked here, and the guest does not run yet. */
	return result ? result : migration_set_state(client, WIRE_STATE_STOP);
}

static int verify(struct vmm *vmm, const uint8_t *data, size_t length)
{
	uint64_t differ = 0;

	for (uint64_t page = 0; length == VM_MEMORY && page < GUEST_PAGES; page++)
		differ += memcmp(vm_at(&vmm->guest.vm, page * VM_PAGE), data + page * VM_PAGE, VM_PAGE) != 0;
	if (length != VM_MEMORY || differ) {
		vmm_say(vmm, "%llu pages differ from the source", (unsigned long long)differ);
		return -EIO;
	}
	vmm_say(vmm, "memory is equal, byte for byte (%u MiB)", VM_MEMORY >> 20);
	return 0;
}

static int take(struct vmm *vmm, enum link_section section, const uint8_t *data, size_t length)
{
	struct guest_cpu cpu;
	uint64_t size;

	switch (section) {
	case LINK_HELLO:
		if (length != sizeof(size))
			return -EPROTO;
		memcpy(&size, data, sizeof(size));
		return size == VM_MEMORY ? 0 : -EINVAL;
	case LINK_PAGES:
		return take_pages(vmm, data, length);
	case LINK_EARLY:
		return take_early(vmm, data, length);
	case LINK_UNIT:
		return load_state(&vmm->unit, data, length);
	case LINK_DSA:
		return load_state(&vmm->dsa, data, length);
	case LINK_DEVICE:
		return passed_take_device(vmm->passed, data, length);
	case LINK_LIBRARY:
		return passed_load_unit(vmm->passed, data, length);
	case LINK_CPU:
		if (length != sizeof(cpu))
			return -EPROTO;
		memcpy(&cpu, data, sizeof(cpu));
		guest_adopt(&vmm->guest, &cpu);
		return 0;
	case LINK_VERIFY:
		return verify(vmm, data, length);
	default:
		return -EPROTO;
	}
}

int vmm_receive(struct vmm *vmm, int link)
{
	enum link_section section = 0;
	int result = 0;

	while (!result && section != LINK_VERIFY) {
		uint8_t *data;
		size_t length;

		result = link_receive(link, STATE_MAX, &section, &data, &length);
		if (!result && vmm->cut == section)
			result = vmm_cut(vmm, section);
		result = result ? result : take(vmm, section, data, length);
		free(data);
	}
	result = result ? result : send_section(vmm, link, LINK_LOADED, NULL, 0);
	result = result ? result : link_expect(link, LINK_COMMIT);
	result = result ? result : migration_set_state(&vmm->unit, WIRE_STATE_RUNNING);
	result = result ? result : migration_set_state(&vmm->dsa, WIRE_STATE_RUNNING);
	result = result ? result : passed_go_on(vmm->passed);
	return result ? result : send_section(vmm, link, LINK_RUNNING, NULL, 0);
}
