/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command register. DSA 9.2.12-9.2.14.
 *
 * A command is checked and started when it is written, and ends when the engines have got far
 * enough: each time a job ends dsa_command_progress() looks whether the active command is
 * satisfied. So no command ever makes the writer of the register wait. A drain waits for what was
 * submitted before it, by sequence number; an abort empties queues and cancels jobs, then waits for
 * those jobs to be gone.
 */
#include <string.h>
#include "internal.h"

struct command {
	/* Check and start. May change `dsa`; an error ends the command at once. */
	enum dsa_command_error (*start)(struct dsa *dsa, uint32_t operand);
	/* Is nothing left to wait for? NULL: never waits. */
	bool (*done)(const struct dsa *dsa, uint32_t operand);
	/* Once it is done. */
	void (*finish)(struct dsa *dsa, uint32_t operand);
};

/* DSA 9.2.12: WQ commands name up to 16 WQs, a mask in [15:0] and its block of 16 in [19:16]. */
static uint32_t wq_mask(uint32_t operand)
{
	return operand >> 16 ? 0 : operand & 0xffff;
}

static uint32_t every_wq(const struct dsa *dsa)
{
	return (uint32_t)DSA_MASK(dsa->options.wqs - 1, 0);
}

static enum dsa_command_error check_enabled(const struct dsa *dsa, uint32_t operand)
{
	uint32_t mask = wq_mask(operand);

	if (!mask || mask & ~every_wq(dsa))
		return DSA_CMD_INVALID_WQ;
	for (unsigned int i = 0; i < dsa->options.wqs; i++) {
		if (mask & 1u << i && !dsa->wqs[i].enabled)
			return DSA_CMD_WQ_NOT_ENABLED;
	}
	return DSA_CMD_OK;
}

static void set_targets(struct dsa *dsa)
{
	for (unsigned int i = 0; i < dsa->options.wqs; i++)
		dsa->command_target[i] = dsa->wqs[i].sequence;
}

static bool job_counts(const struct dsa *dsa, const struct dsa_engine *engine, uint32_t mask)
{
	const struct dsa_job *job = engine->job;

	return job && mask & 1u << job->wq && job->oldest < dsa->command_target[job->wq];
}

/* Have the WQs of `mask` nothing left that was submitted before the command? */
static bool drained(const struct dsa *dsa, uint32_t mask)
{
	for (unsigned int i = 0; i < dsa->options.wqs; i++) {
		const struct dsa_wq *wq = &dsa->wqs[i];

		if (mask & 1u << i && wq->count &&
		    wq->entries[wq->head].sequence < dsa->command_target[i])
			return false;
	}
	for (unsigned int i = 0; i < dsa->options.engines; i++) {
		if (job_counts(dsa, &dsa->engines[i], mask))
			return false;
	}
	return true;
}

static bool all_drained(const struct dsa *dsa, uint32_t operand)
{
	return drained(dsa, every_wq(dsa));
}

static bool wqs_drained(const struct dsa *dsa, uint32_t operand)
{
	return drained(dsa, wq_mask(operand));
}

static bool queued_with_pasid(const struct dsa *dsa, unsigned int index, uint32_t pasid)
{
	const struct dsa_wq *wq = &dsa->wqs[index];

	for (unsigned int i = 0; i < wq->count; i++) {
		const struct dsa_entry *entry = &wq->entries[(wq->head + i) % dsa_ring(dsa)];

		if (entry->sequence < dsa->command_target[index] &&
		    dsa_descriptor_pasid(wq, &entry->descriptor) == pasid)
			return true;
	}
	return false;
}

static bool pasid_drained(const struct dsa *dsa, uint32_t operand)
{
	for (unsigned int i = 0; i < dsa->options.wqs; i++) {
		if (queued_with_pasid(dsa, i, operand))
			return false;
	}
	for (unsigned int i = 0; i < dsa->options.engines; i++) {
		const struct dsa_engine *engine = &dsa->engines[i];

		if (job_counts(dsa, engine, every_wq(dsa)) && engine->job->pasid == operand)
			return false;
	}
	return true;
}

static enum dsa_command_error start_enable_device(struct dsa *dsa, uint32_t operand)
{
	enum dsa_command_error error = dsa_check_device(dsa);

	if (!error) {
		dsa->state = DSA_ENABLED;
		dsa_engines_assign(dsa);
	}
	return error;
}

static enum dsa_command_error start_disable_device(struct dsa *dsa, uint32_t operand)
{
	if (dsa->state != DSA_ENABLED)
		return DSA_CMD_NOT_ENABLED;
	dsa->state = DSA_DRAINING; /* no submission is accepted from here on */
	return DSA_CMD_OK;
}

static void finish_disable_device(struct dsa *dsa, uint32_t operand)
{
	for (unsigned int i = 0; i < dsa->options.wqs; i++)
		dsa->wqs[i].enabled = false;
	dsa->state = DSA_DISABLED;
}

static enum dsa_command_error start_device_wide(struct dsa *dsa, uint32_t operand)
{
	return dsa->state == DSA_ENABLED ? DSA_CMD_OK : DSA_CMD_WQ_NOT_ENABLED;
}

static void abort_wqs(struct dsa *dsa, uint32_t mask)
{
	for (unsigned int i = 0; i < dsa->options.wqs; i++) {
		if (mask & 1u << i)
			dsa_wq_flush(dsa, i);
	}
	dsa_cancel_jobs(dsa, mask, true, 0);
}

static enum dsa_command_error start_abort_all(struct dsa *dsa, uint32_t operand)
{
	enum dsa_command_error error = start_device_wide(dsa, operand);

	if (!error)
		abort_wqs(dsa, every_wq(dsa));
	return error;
}

static enum dsa_command_error start_reset_device(struct dsa *dsa, uint32_t operand)
{
	if (dsa->state == DSA_ENABLED)
		dsa->state = DSA_DRAINING;
	abort_wqs(dsa, every_wq(dsa));
	return DSA_CMD_OK;
}

static void finish_reset_device(struct dsa *dsa, uint32_t operand)
{
	dsa_registers_reset(dsa, DSA_RESET_SOFTWARE);
	dsa_portal_reset(dsa);
	dsa_engines_assign(dsa);
}

static enum dsa_command_error start_enable_wq(struct dsa *dsa, uint32_t operand)
{
	enum dsa_command_error error = dsa_check_wq(dsa, operand);

	if (!error)
		dsa->wqs[operand].enabled = true;
	return error;
}

static enum dsa_command_error start_wqs(struct dsa *dsa, uint32_t operand)
{
	return check_enabled(dsa, operand);
}

/* DSA 4.3: a WQ being disabled takes no more descriptors but executes those it has. */
static enum dsa_command_error start_disable_wqs(struct dsa *dsa, uint32_t operand)
{
	enum dsa_command_error error = check_enabled(dsa, operand);

	for (unsigned int i = 0; !error && i < dsa->options.wqs; i++) {
		if (wq_mask(operand) & 1u << i)
			dsa->wqs[i].enabled = false;
	}
	return error;
}

static enum dsa_command_error start_abort_wqs(struct dsa *dsa, uint32_t operand)
{
	enum dsa_command_error error = check_enabled(dsa, operand);

	if (!error)
		abort_wqs(dsa, wq_mask(operand));
	return error;
}

static enum dsa_command_error start_reset_wqs(struct dsa *dsa, uint32_t operand)
{
	enum dsa_command_error error = start_disable_wqs(dsa, operand);

	if (!error)
		abort_wqs(dsa, wq_mask(operand));
	return error;
}

/* The configuration goes too: software writes all of it again before it enables the WQ. */
static void finish_reset_wqs(struct dsa *dsa, uint32_t operand)
{
	for (unsigned int i = 0; i < dsa->options.wqs; i++) {
		if (wq_mask(operand) & 1u << i)
			memset(dsa->wqs[i].config, 0, sizeof(dsa->wqs[i].config));
	}
}

static enum dsa_command_error start_abort_pasid(struct dsa *dsa, uint32_t operand)
{
	enum dsa_command_error error = start_device_wide(dsa, operand);

	if (error)
		return error;
	for (unsigned int i = 0; i < dsa->options.wqs; i++) {
		struct dsa_wq *wq = &dsa->wqs[i];
		unsigned int count = wq->count, kept = 0;

		for (unsigned int j = 0; j < count; j++) {
			struct dsa_entry *entry = &wq->entries[(wq->head + j) % dsa_ring(dsa)];

			if (dsa_descriptor_pasid(wq, &entry->descriptor) != operand)
				wq->entries[(wq->head + kept++) % dsa_ring(dsa)] = *entry;
		}
		dsa->aborted += count - kept;
		wq->count = kept;
	}
	dsa_cancel_jobs(dsa, every_wq(dsa), false, operand);
	return DSA_CMD_OK;
}

static const struct command commands[DSA_COMMANDS] = {
	[DSA_ENABLE_DEVICE] = { start_enable_device, NULL, NULL },
	[DSA_DISABLE_DEVICE] = { start_disable_device, all_drained, finish_disable_device },
	[DSA_DRAIN_ALL] = { start_device_wide, all_drained, NULL },
	[DSA_ABORT_ALL] = { start_abort_all, all_drained, NULL },
	[DSA_RESET_DEVICE] = { start_reset_device, all_drained, finish_reset_device },
	[DSA_ENABLE_WQ] = { start_enable_wq, NULL, NULL },
	[DSA_DISABLE_WQ] = { start_disable_wqs, wqs_drained, NULL },
	[DSA_DRAIN_WQ] = { start_wqs, wqs_drained, NULL },
	[DSA_ABORT_WQ] = { start_abort_wqs, wqs_drained, NULL },
	[DSA_RESET_WQ] = { start_reset_wqs, wqs_drained, finish_reset_wqs },
	[DSA_DRAIN_PASID] = { start_device_wide, pasid_drained, NULL },
	[DSA_ABORT_PASID] = { start_abort_pasid, pasid_drained, NULL },
};

static void complete(struct dsa *dsa, enum dsa_command_error error)
{
	bool interrupt = dsa->command & DSA_CMD_INTERRUPT;

	dsa->command_status = error;
	if (interrupt)
		dsa_cause(dsa, DSA_CAUSE_COMMAND);
}

void dsa_command_progress(struct dsa *dsa)
{
	uint32_t operand = DSA_GET(dsa->command, DSA_CMD_OPERAND);
	const struct command *command;

	if (!(dsa->command_status & DSA_CMDSTS_ACTIVE))
		return;
	command = &commands[DSA_GET(dsa->command, DSA_CMD_CODE)];
	if (command->done && !command->done(dsa, operand))
		return;
	if (command->finish)
		command->finish(dsa, operand);
	complete(dsa, DSA_CMD_OK);
}

void dsa_command_write(struct dsa *dsa, uint32_t value)
{
	uint32_t code = DSA_GET(value, DSA_CMD_CODE);
	enum dsa_command_error error = DSA_CMD_INVALID_COMMAND;

	/* DSA 9.2.12: while a command is active the register must not be written; it is ignored. */
	if (dsa->command_status & DSA_CMDSTS_ACTIVE)
		return;
	dsa->command = value;
	set_targets(dsa);
	if (code < DSA_COMMANDS && commands[code].start)
		error = commands[code].start(dsa, DSA_GET(value, DSA_CMD_OPERAND));
	if (error) {
		complete(dsa, error);
		return;
	}
	dsa->command_status = (uint32_t)DSA_CMDSTS_ACTIVE;
	dsa_command_progress(dsa);
}
