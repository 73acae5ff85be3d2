/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device in a state stream: section "dsa", one per device.
 *
 * Everything is carried: registers, half-written portal slots, queued descriptors and how far a
 * parked one got. Loading decodes into a new image first and checks it; only then the device takes
 * it over, so a refused stream leaves it alone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"

enum { VERSION = 1 };

enum tag {
	TAG_SHAPE = 1,	   /* options, as u64s */
	TAG_REGISTERS = 2, /* struct saved_registers */
	TAG_GROUPS = 3,
	TAG_MSIXPERM = 4,
	TAG_SLOTS = 5,
	TAG_WQ = 0x100,	     /* + n: struct saved_wq */
	TAG_ENTRIES = 0x200, /* + n: struct saved_entry each */
};

struct saved_registers {
	uint32_t gencfg, genctrl, intcause, state, reset_type, command, command_status, interrupts;
	uint64_t swerr[4], evlcfg[2], evlstatus;
	uint64_t command_target[DSA_MAX_WQS];
};

struct saved_wq {
	uint32_t config[DSA_WQ_WORDS];
	uint32_t enabled, logged;
	uint64_t sequence;
};

struct saved_progress {
	uint64_t done;
	uint8_t record[32];
	uint64_t finished;
};

struct saved_entry {
	uint8_t descriptor[64];
	uint64_t sequence;
	struct saved_progress progress, member_progress;
	uint32_t member, failed, logged, reserved;
};

struct saved_slot {
	uint8_t bytes[64];
	uint64_t written, retry;
};

/* What must be the same on both sides. */
static void shape(const struct dsa *dsa, uint64_t values[7])
{
	const struct dsa_options *o = &dsa->options;

	values[0] = o->wqs;
	values[1] = o->groups;
	values[2] = o->engines;
	values[3] = o->entries;
	values[4] = o->max_transfer_shift;
	values[5] = o->max_batch_shift;
	values[6] = o->event_log;
}

static const char *const shape_names[7] = { "wqs",	    "groups",	 "engines",  "entries",
					    "max-transfer", "max-batch", "event-log" };

static void save_progress(struct saved_progress *to, const struct dsa_progress *from)
{
	to->done = from->done;
	memcpy(to->record, &from->record, sizeof(to->record));
	to->finished = from->finished;
}

static void load_progress(struct dsa_progress *to, const struct saved_progress *from)
{
	to->done = from->done;
	memcpy(&to->record, from->record, sizeof(from->record));
	to->finished = from->finished;
}

static void save_registers(const struct dsa *dsa, struct saved_registers *saved)
{
	*saved = (struct saved_registers){
		.gencfg = dsa->gencfg,
		.genctrl = dsa->genctrl,
		.intcause = dsa->intcause,
		.state = dsa->state,
		.reset_type = dsa->reset_type,
		.command = dsa->command,
		.command_status = dsa->command_status,
		.interrupts = dsa->interrupts,
		.evlstatus = dsa->evlstatus,
	};
	memcpy(saved->swerr, dsa->swerr, sizeof(saved->swerr));
	memcpy(saved->evlcfg, dsa->evlcfg, sizeof(saved->evlcfg));
	memcpy(saved->command_target, dsa->command_target, sizeof(saved->command_target));
}

static void load_registers(struct dsa *dsa, const struct saved_registers *saved)
{
	dsa->gencfg = saved->gencfg & DSA_GENCFG_WRITABLE;
	dsa->genctrl = saved->genctrl & DSA_GENCTRL_WRITABLE;
	dsa->intcause = saved->intcause;
	dsa->state = saved->state;
	dsa->reset_type = saved->reset_type;
	dsa->command = saved->command;
	dsa->command_status = saved->command_status;
	dsa->interrupts = saved->interrupts;
	dsa->evlstatus = saved->evlstatus;
	memcpy(dsa->swerr, saved->swerr, sizeof(dsa->swerr));
	memcpy(dsa->evlcfg, saved->evlcfg, sizeof(dsa->evlcfg));
	memcpy(dsa->command_target, saved->command_target, sizeof(dsa->command_target));
}

static int save_entries(const struct dsa *dsa, unsigned int index,
			struct viommu_stream_writer *writer)
{
	const struct dsa_wq *wq = &dsa->wqs[index];
	struct saved_entry *entries = calloc(wq->count ? wq->count : 1, sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	for (unsigned int i = 0; i < wq->count; i++) {
		const struct dsa_entry *entry = &wq->entries[(wq->head + i) % dsa_ring(dsa)];

		memcpy(entries[i].descriptor, &entry->descriptor, sizeof(entry->descriptor));
		entries[i].sequence = entry->sequence;
		if (!entry->begun)
			continue;
		save_progress(&entries[i].progress, &entry->progress);
		save_progress(&entries[i].member_progress, &entry->batch.current);
		entries[i].member = entry->batch.member;
		entries[i].failed = entry->batch.failed;
		entries[i].logged = entry->batch.logged;
	}
	viommu_stream_put_bytes(writer, TAG_ENTRIES + index, entries, wq->count * sizeof(*entries));
	free(entries);
	return 0;
}

static int save_queues(const struct dsa *dsa, struct viommu_stream_writer *writer)
{
	for (unsigned int i = 0; i < dsa->options.wqs; i++) {
		const struct dsa_wq *wq = &dsa->wqs[i];
		struct saved_wq saved = { .enabled = wq->enabled,
					  .logged = wq->logged,
					  .sequence = wq->sequence };
		int error;

		memcpy(saved.config, wq->config, sizeof(saved.config));
		viommu_stream_put_bytes(writer, TAG_WQ + i, &saved, sizeof(saved));
		error = save_entries(dsa, i, writer);
		if (error)
			return error;
	}
	return 0;
}

static unsigned int slot_count(const struct dsa *dsa)
{
	return dsa->options.wqs * DSA_PORTAL_PAGES * DSA_PORTAL_SLOTS;
}

static int save_slots(const struct dsa *dsa, struct viommu_stream_writer *writer)
{
	const struct dsa_slot *slots = &dsa->slots[0][0][0];
	struct saved_slot *saved = calloc(slot_count(dsa), sizeof(*saved));

	if (!saved)
		return -ENOMEM;
	for (unsigned int i = 0; i < slot_count(dsa); i++) {
		memcpy(saved[i].bytes, slots[i].bytes, sizeof(saved[i].bytes));
		saved[i].written = slots[i].written;
		saved[i].retry = slots[i].retry;
	}
	viommu_stream_put_bytes(writer, TAG_SLOTS, saved, slot_count(dsa) * sizeof(*saved));
	free(saved);
	return 0;
}

static int save_locked(const struct dsa *dsa, struct viommu_stream_writer *writer,
		       uint32_t instance)
{
	struct saved_registers registers;
	uint64_t values[7];
	int error;

	shape(dsa, values);
	save_registers(dsa, &registers);
	viommu_stream_begin(writer, "dsa", instance, VERSION);
	viommu_stream_put_bytes(writer, TAG_SHAPE, values, sizeof(values));
	viommu_stream_put_bytes(writer, TAG_REGISTERS, &registers, sizeof(registers));
	viommu_stream_put_bytes(writer, TAG_GROUPS, dsa->groups, sizeof(dsa->groups));
	viommu_stream_put_bytes(writer, TAG_MSIXPERM, dsa->msixperm, sizeof(dsa->msixperm));
	error = save_slots(dsa, writer);
	if (!error)
		error = save_queues(dsa, writer);
	viommu_stream_end(writer);
	return error;
}

int dsa_save(struct dsa *dsa, struct viommu_stream_writer *writer, uint32_t instance)
{
	int error = -EBUSY;

	dsa_lock(dsa);
	if (dsa->stopped)
		error = save_locked(dsa, writer, instance);
	/* Interrupts that are due were saved and belong to the other side. */
	dsa_unlock_quietly(dsa);
	return error;
}

static int get(struct viommu_stream_reader *reader, uint32_t tag, void *data, size_t length)
{
	const void *found;
	size_t found_length;
	int error = viommu_stream_get_bytes(reader, tag, &found, &found_length);

	if (error)
		return error;
	if (found_length != length)
		return -EBADMSG;
	memcpy(data, found, length);
	return 0;
}

static int check_shape(const struct dsa *dsa, struct viommu_stream_reader *reader, char *message,
		       size_t length)
{
	uint64_t ours[7], theirs[7];
	int error = get(reader, TAG_SHAPE, theirs, sizeof(theirs));

	if (error)
		return error;
	shape(dsa, ours);
	for (unsigned int i = 0; i < 7; i++) {
		if (ours[i] == theirs[i])
			continue;
		if (message)
			snprintf(message, length, "the DSA has %s=%llu here, the saved one %llu",
				 shape_names[i], (unsigned long long)ours[i],
				 (unsigned long long)theirs[i]);
		return -EINVAL;
	}
	return 0;
}

static int load_entries(struct dsa *image, unsigned int index, struct viommu_stream_reader *reader)
{
	struct dsa_wq *wq = &image->wqs[index];
	const struct saved_entry *entries;
	const void *data;
	size_t length;
	int error = viommu_stream_get_bytes(reader, TAG_ENTRIES + index, &data, &length);

	if (error)
		return error;
	if (length % sizeof(*entries) || length / sizeof(*entries) > dsa_ring(image))
		return -EBADMSG;
	wq->entries = calloc(dsa_ring(image), sizeof(*wq->entries));
	if (!wq->entries)
		return -ENOMEM;
	wq->count = length / sizeof(*entries);
	for (unsigned int i = 0; i < wq->count; i++) {
		struct saved_entry saved;
		struct dsa_entry *entry = &wq->entries[i];

		memcpy(&saved, (const uint8_t *)data + i * sizeof(saved), sizeof(saved));
		memcpy(&entry->descriptor, saved.descriptor, sizeof(entry->descriptor));
		entry->sequence = saved.sequence;
		entry->begun = true;
		load_progress(&entry->progress, &saved.progress);
		load_progress(&entry->batch.current, &saved.member_progress);
		entry->batch.member = saved.member;
		entry->batch.failed = saved.failed;
		entry->batch.logged = saved.logged;
		/* What was moved is part of what was to be moved. */
		if (saved.progress.done > entry->descriptor.size)
			return -EBADMSG;
	}
	return 0;
}

static int load_slots(struct dsa *image, struct viommu_stream_reader *reader)
{
	const void *data;
	struct dsa_slot *slots;
	size_t length;
	int error = viommu_stream_get_bytes(reader, TAG_SLOTS, &data, &length);

	if (error)
		return error;
	if (length != slot_count(image) * sizeof(struct saved_slot))
		return -EBADMSG;
	image->slots = calloc(image->options.wqs, sizeof(*image->slots));
	if (!image->slots)
		return -ENOMEM;
	slots = &image->slots[0][0][0];
	for (unsigned int i = 0; i < slot_count(image); i++) {
		struct saved_slot saved;

		memcpy(&saved, (const uint8_t *)data + i * sizeof(saved), sizeof(saved));
		memcpy(slots[i].bytes, saved.bytes, sizeof(saved.bytes));
		slots[i].written = saved.written;
		slots[i].retry = saved.retry;
	}
	return 0;
}

/* Values no sequence of guest actions leads to. */
static bool image_good(const struct dsa *image)
{
	if (image->state > DSA_DRAINING || (unsigned int)image->reset_type > DSA_RESET_COLD)
		return false;
	if (image->command_status & DSA_CMDSTS_ACTIVE &&
	    (DSA_GET(image->command, DSA_CMD_CODE) >= DSA_COMMANDS ||
	     !DSA_GET(image->command, DSA_CMD_CODE)))
		return false;
	for (unsigned int i = 0; i < image->options.wqs; i++) {
		if (image->wqs[i].enabled && dsa_wq_size(&image->wqs[i]) > image->options.entries)
			return false;
	}
	return true;
}

static int load_image(struct dsa *image, struct viommu_stream_reader *reader)
{
	struct saved_registers registers;
	int error = get(reader, TAG_REGISTERS, &registers, sizeof(registers));

	if (!error)
		error = get(reader, TAG_GROUPS, image->groups, sizeof(image->groups));
	if (!error)
		error = get(reader, TAG_MSIXPERM, image->msixperm, sizeof(image->msixperm));
	if (!error)
		error = load_slots(image, reader);
	for (unsigned int i = 0; !error && i < image->options.wqs; i++) {
		struct saved_wq saved;

		error = get(reader, TAG_WQ + i, &saved, sizeof(saved));
		if (error)
			break;
		memcpy(image->wqs[i].config, saved.config, sizeof(saved.config));
		image->wqs[i].enabled = saved.enabled;
		image->wqs[i].logged = saved.logged;
		image->wqs[i].sequence = saved.sequence;
		error = load_entries(image, i, reader);
	}
	if (error)
		return error;
	load_registers(image, &registers);
	image->interrupts &= (uint32_t)DSA_MASK(image->options.wqs, 0);
	return image_good(image) ? 0 : -EBADMSG;
}

/* Take over all an image has; the old queues go with the image. */
static void adopt(struct dsa *dsa, struct dsa *image)
{
	struct saved_registers registers;

	save_registers(image, &registers);
	load_registers(dsa, &registers);
	memcpy(dsa->groups, image->groups, sizeof(dsa->groups));
	memcpy(dsa->msixperm, image->msixperm, sizeof(dsa->msixperm));
	memcpy(dsa->slots, image->slots, dsa->options.wqs * sizeof(*dsa->slots));
	for (unsigned int i = 0; i < dsa->options.wqs; i++) {
		struct dsa_wq old = dsa->wqs[i];

		dsa->wqs[i] = image->wqs[i];
		image->wqs[i] = old;
	}
	dsa_engines_assign(dsa);
	dsa_command_progress(dsa);
}

int dsa_load(struct dsa *dsa, struct viommu_stream_reader *reader, uint32_t instance, char *message,
	     size_t message_length)
{
	struct dsa *image;
	uint32_t version;
	int error = viommu_stream_open(reader, "dsa", instance, VERSION, &version);

	if (!error)
		error = check_shape(dsa, reader, message, message_length);
	if (error)
		return error;
	image = dsa_allocate();
	if (!image)
		return -ENOMEM;
	image->options = dsa->options;
	error = load_image(image, reader);
	if (!error) {
		dsa_lock(dsa);
		if (dsa->stopped)
			adopt(dsa, image);
		else
			error = -EBUSY;
		/* Interrupts that came along are raised by dsa_start(). */
		dsa_unlock_quietly(dsa);
	}
	for (unsigned int i = 0; i < DSA_MAX_WQS; i++)
		free(image->wqs[i].entries);
	free(image->slots);
	free(image);
	return error;
}
