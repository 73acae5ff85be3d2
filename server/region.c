/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Regions: the BARs, which the device model answers, and config space, which we answer. Bounds are
 * checked here, so a model sees only accesses that lie inside one of its BARs.
 */
#include "internal.h"

#include <errno.h>
#include <string.h>

static uint64_t region_size(const struct server_endpoint *e, uint32_t region)
{
	if (region < SERVER_BARS)
		return e->config.function.bars[region].size;
	return region == WIRE_REGION_CONFIG ? config_length(&e->config) : 0;
}

int handle_region_info(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct wire_region_info info;
	uint64_t size;

	memcpy(&info, m->payload, sizeof(info));
	if (info.index >= WIRE_REGIONS || info.argsz < sizeof(info))
		return -EINVAL;
	size = region_size(e, info.index);
	info = (struct wire_region_info){
		.argsz = sizeof(info),
		.flags = size ? WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE : 0,
		.index = info.index,
		.size = size,
	};
	if (size && info.index < SERVER_BARS && e->ops->map &&
	    !e->ops->map(e->opaque, info.index, &reply->fd, &info.offset))
		info.flags |= WIRE_REGION_MAPPABLE;
	memcpy(reply->data, &info, sizeof(info));
	reply->length = sizeof(info);
	return 0;
}

/* We offer no descriptors: an empty array. */
int handle_region_io_fds(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct wire_region_io_fds info;

	memcpy(&info, m->payload, sizeof(info));
	if (info.index >= WIRE_REGIONS || info.flags || info.argsz < sizeof(info))
		return -EINVAL;
	info.argsz = sizeof(info);
	info.count = 0;
	memcpy(reply->data, &info, sizeof(info));
	reply->length = sizeof(info);
	return 0;
}

static int check_access(const struct server_endpoint *e, const struct wire_region_access *access)
{
	uint64_t size = access->region < WIRE_REGIONS ? region_size(e, access->region) : 0;

	if (!size || access->count > SERVER_MAX_TRANSFER || access->offset > size ||
	    access->count > size - access->offset)
		return -EINVAL;
	return 0;
}

static int read_region(struct server_endpoint *e, const struct wire_region_access *access,
		       void *data)
{
	int ret = check_access(e, access);

	if (ret || !access->count)
		return ret;
	SERVER_COUNT(e, region_reads);
	if (access->region == WIRE_REGION_CONFIG) {
		config_read(&e->config, (uint32_t)access->offset, data, access->count);
		return 0;
	}
	return e->ops->read(e->opaque, access->region, access->offset, data, access->count);
}

static int write_region(struct server_endpoint *e, const struct wire_region_access *access,
			const void *data)
{
	int ret = check_access(e, access);

	if (ret || !access->count)
		return ret;
	SERVER_COUNT(e, region_writes);
	if (access->region != WIRE_REGION_CONFIG)
		return e->ops->write(e->opaque, access->region, access->offset, data,
				     access->count);
	if (config_write(&e->config, (uint32_t)access->offset, data, access->count)) {
		config_function_reset(&e->config);
		server_config_changed(e);
		e->ops->reset(e->opaque);
	} else {
		server_config_changed(e);
	}
	return 0;
}

int handle_region_read(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct wire_region_access access;
	int ret;

	memcpy(&access, m->payload, sizeof(access));
	if (access.count > e->max_transfer)
		return -EINVAL;
	ret = read_region(e, &access, reply->data + sizeof(access));
	if (ret)
		return ret;
	memcpy(reply->data, &access, sizeof(access));
	reply->length = sizeof(access) + access.count;
	return 0;
}

int handle_region_write(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct wire_region_access access;
	int ret;

	memcpy(&access, m->payload, sizeof(access));
	if (m->length - sizeof(access) != access.count)
		return -EINVAL;
	ret = write_region(e, &access, m->payload + sizeof(access));
	if (ret)
		return ret;
	memcpy(reply->data, &access, sizeof(access));
	reply->length = sizeof(access);
	return 0;
}

/* The writes are done in order up to the first that fails. */
int handle_region_write_multi(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct wire_write_multi multi;
	const uint8_t *at = m->payload + sizeof(multi);

	memcpy(&multi, m->payload, sizeof(multi));
	if (multi.count > SERVER_MAX_TRANSFER ||
	    m->length - sizeof(multi) != multi.count * sizeof(struct wire_multi_write))
		return -EINVAL;
	for (uint64_t i = 0; i < multi.count; i++, at += sizeof(struct wire_multi_write)) {
		struct wire_multi_write write;
		struct wire_region_access access;
		int ret;

		memcpy(&write, at, sizeof(write));
		if (write.count > sizeof(write.data))
			return -EINVAL;
		access = (struct wire_region_access){ write.offset, write.region, write.count };
		ret = write_region(e, &access, write.data);
		if (ret)
			return ret;
	}
	memcpy(reply->data, &multi, sizeof(multi));
	reply->length = sizeof(multi);
	return 0;
}

/* Config space first: the model must see bus mastering off before it is told to forget. */
void server_reset(struct server_endpoint *e)
{
	config_reset(&e->config);
	server_config_changed(e);
	e->ops->reset(e->opaque);
	requests_forget(e);
	irqs_forget(&e->irqs, true);
	migration_forget(e);
}

int handle_reset(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	server_reset(e);
	return 0;
}
