/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is the configuration the guest wrote one that can be enabled? DSA 4.1, 9.2.16 and 9.2.18; the
 * error codes are those of the commands "enable device" and "enable WQ", in the order the
 * specification lists them.
 */
#include "internal.h"

unsigned int dsa_wq_size(const struct dsa_wq *wq)
{
	return wq->config[DSA_WQ_SIZE] & DSA_WQ_SIZE_MASK;
}

/* The group a WQ belongs to, -1 for none. */
int dsa_wq_group(const struct dsa *dsa, unsigned int wq)
{
	for (unsigned int group = 0; group < dsa->options.groups; group++) {
		if (dsa->groups[group][DSA_GROUP_WQS] & DSA_BIT(wq))
			return group;
	}
	return -1;
}

static enum dsa_command_error check_groups(const struct dsa *dsa)
{
	uint64_t wqs = 0, engines = 0, buffers = 0;
	uint64_t every_wq = DSA_MASK(dsa->options.wqs - 1, 0);
	uint64_t every_engine = DSA_MASK(dsa->options.engines - 1, 0);

	for (unsigned int i = 0; i < dsa->options.groups; i++) {
		const uint64_t *group = dsa->groups[i];

		if (group[DSA_GROUP_WQS] & wqs || group[DSA_GROUP_ENGINES] & engines ||
		    group[DSA_GROUP_WQS] & ~every_wq || group[DSA_GROUP_ENGINES] & ~every_engine ||
		    group[1] || group[2] || group[3])
			return DSA_CMD_GROUP_SHARED;
		if (group[DSA_GROUP_WQS] && !group[DSA_GROUP_ENGINES])
			return DSA_CMD_GROUP_ENGINES;
		wqs |= group[DSA_GROUP_WQS];
		engines |= group[DSA_GROUP_ENGINES];
		buffers += DSA_GET(group[DSA_GROUP_FLAGS], DSA_GROUP_RESERVED_BUFFERS);
	}
	return buffers > DSA_READ_BUFFERS ? DSA_CMD_GROUP_BUFFERS : DSA_CMD_OK;
}

/* DSA 9.2.16: 64 entries at least; a PASID only when the function's capability is on. */
static enum dsa_command_error check_event_log(const struct dsa *dsa)
{
	if (!(dsa->gencfg & DSA_GENCFG_EVENT_LOG))
		return DSA_CMD_OK;
	if (DSA_GET(dsa->evlcfg[1], DSA_EVLCFG_SIZE) < DSA_EVENT_ENTRIES_MIN)
		return DSA_CMD_CONFIGURATION;
	if (dsa->evlcfg[0] & DSA_EVLCFG_PASID_ENABLE && !(dsa->features & VIOMMU_ENDPOINT_PASID))
		return DSA_CMD_PASID;
	return DSA_CMD_OK;
}

static unsigned int total_size(const struct dsa *dsa, bool enabled_only)
{
	unsigned int total = 0;

	for (unsigned int i = 0; i < dsa->options.wqs; i++) {
		if (!enabled_only || dsa->wqs[i].enabled)
			total += dsa_wq_size(&dsa->wqs[i]);
	}
	return total;
}

enum dsa_command_error dsa_check_device(const struct dsa *dsa)
{
	enum dsa_command_error error;

	if (dsa->state != DSA_DISABLED)
		return DSA_CMD_DEVICE_ENABLED;
	if (!dsa->bus_master)
		return DSA_CMD_BUS_MASTER;
	error = check_event_log(dsa);
	if (error)
		return error;
	if (total_size(dsa, false) > dsa->options.entries)
		return DSA_CMD_TOTAL_SIZE;
	return check_groups(dsa);
}

/* DSA 9.2.18: PASID fields. A shared WQ takes the PASID from descriptors, so PASIDs must be on. */
static bool pasid_good(const struct dsa *dsa, uint32_t mode)
{
	bool pasids = dsa->features & VIOMMU_ENDPOINT_PASID;

	if (mode & DSA_WQ_PASID_ENABLE && !pasids)
		return false;
	if (!(mode & DSA_WQ_DEDICATED))
		return mode & DSA_WQ_PASID_ENABLE;
	return !(mode & DSA_WQ_PASID_ENABLE && mode & DSA_WQ_PRIVILEGED) ||
	       dsa->features & VIOMMU_ENDPOINT_PASID_PRIVILEGED;
}

enum dsa_command_error dsa_check_wq(const struct dsa *dsa, unsigned int index)
{
	const struct dsa_wq *wq;
	uint32_t mode, limits;

	if (index >= dsa->options.wqs)
		return DSA_CMD_INVALID_WQ;
	if (dsa->state != DSA_ENABLED)
		return DSA_CMD_DEVICE_NOT_ENABLED;
	wq = &dsa->wqs[index];
	if (wq->enabled)
		return DSA_CMD_WQ_ENABLED;
	mode = wq->config[DSA_WQ_MODE];
	limits = wq->config[DSA_WQ_LIMITS];

	if (!dsa_wq_size(wq) || dsa_wq_group(dsa, index) < 0 ||
	    total_size(dsa, true) + dsa_wq_size(wq) > dsa->options.entries)
		return DSA_CMD_WQ_SIZE;
	if (!(mode & DSA_WQ_DEDICATED) &&
	    (wq->config[DSA_WQ_THRESHOLD] & DSA_WQ_SIZE_MASK) > dsa_wq_size(wq))
		return DSA_CMD_WQ_SIZE;
	if (!pasid_good(dsa, mode))
		return DSA_CMD_WQ_PASID;
	if (DSA_GET(limits, DSA_WQ_MAX_BATCH) > dsa->options.max_batch_shift)
		return DSA_CMD_WQ_MAX_BATCH;
	if ((limits & DSA_WQ_MAX_TRANSFER) > dsa->options.max_transfer_shift)
		return DSA_CMD_WQ_MAX_TRANSFER;
	return DSA_CMD_OK;
}
