/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DEVICE_FEATURE: what a function offers to a migrating client, and the way to it. States and data are migration.c's, the log of
 * written pages dirty.c's.
 */
#include "internal.h"

#include <errno.h>
#include <string.h>

static int feature_state(struct server_endpoint *e, struct message *m, bool set,
			 struct reply *reply)
{
	struct wire_mig_state state;
	int ret = 0;

	if (set) {
		if (m->length < sizeof(struct wire_device_feature) + sizeof(state))
			return -EINVAL;
		memcpy(&state, m->payload + sizeof(struct wire_device_feature), sizeof(state));
		ret = migration_change_state(e, state.state);
	}
	state = (struct wire_mig_state){ e->migration.state, UINT32_MAX };
	memcpy(reply->data + reply->length, &state, sizeof(state));
	reply->length += sizeof(state);
	return ret;
}

/* Which of GET and SET a feature has, 0: we do not have it. */
static uint32_t methods(const struct server_endpoint *e, uint32_t index)
{
	switch (index) {
	case WIRE_FEATURE_MIGRATION:
		return migration_possible(e) ? WIRE_FEATURE_GET : 0;
	case WIRE_FEATURE_MIG_DEVICE_STATE:
		return migration_possible(e) ? WIRE_FEATURE_GET | WIRE_FEATURE_SET : 0;
	case WIRE_FEATURE_DMA_LOGGING_START:
	case WIRE_FEATURE_DMA_LOGGING_STOP:
		return e->tracker ? WIRE_FEATURE_SET : 0;
	case WIRE_FEATURE_DMA_LOGGING_REPORT:
		return e->tracker ? WIRE_FEATURE_GET : 0;
	default:
		return 0;
	}
}

int handle_device_feature(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct wire_device_feature feature;
	uint32_t index, method, argsz;
	uint64_t flags = WIRE_MIGRATION_STOP_COPY | WIRE_MIGRATION_PRE_COPY;
	int ret = 0;

	memcpy(&feature, m->payload, sizeof(feature));
	index = feature.flags & WIRE_FEATURE_INDEX;
	method = feature.flags & (WIRE_FEATURE_GET | WIRE_FEATURE_SET);
	argsz = feature.argsz;
	if (feature.flags >> 19)
		return -EINVAL;
	if (!methods(e, index) || (method & ~methods(e, index)))
		return -ENOTTY;
	feature.argsz = (uint32_t)m->length;
	memcpy(reply->data, &feature, sizeof(feature));
	reply->length = sizeof(feature);
	if (feature.flags & WIRE_FEATURE_PROBE)
		return 0;
	if (method != WIRE_FEATURE_GET && method != WIRE_FEATURE_SET)
		return -EINVAL;
	switch (index) {
	case WIRE_FEATURE_MIGRATION:
		memcpy(reply->data + reply->length, &flags, sizeof(flags));
		reply->length += sizeof(flags);
		break;
	case WIRE_FEATURE_MIG_DEVICE_STATE:
		ret = feature_state(e, m, method == WIRE_FEATURE_SET, reply);
		break;
	case WIRE_FEATURE_DMA_LOGGING_START:
		return dirty_start(e, m, reply);
	case WIRE_FEATURE_DMA_LOGGING_STOP:
		return dirty_stop(e);
	default:
		return dirty_report(e, m, argsz, reply);
	}
	feature.argsz = (uint32_t)reply->length;
	memcpy(reply->data, &feature, sizeof(feature));
	return ret;
}
