/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One table says of every command how long its payload may be, whether it brings descriptors, and
 * who handles it.
 *
 * A payload of the wrong size, an unknown command or a handler's refusal costs the client an error
 * reply. Only a stream that can no longer be followed costs it the connection.
 */
#include "internal.h"

#include <errno.h>
#include <string.h>

struct command {
	const char *name;
	handler handle;
	size_t minimum; /* payload bytes */
	size_t maximum;
	bool descriptors;
};

static int handle_device_info(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct wire_device_info info = {
		.argsz = sizeof(info),
		.flags = WIRE_DEVICE_RESETS | WIRE_DEVICE_PCI,
		.regions = WIRE_REGIONS,
		.irqs = WIRE_IRQS,
	};

	memcpy(reply->data, &info, sizeof(info));
	reply->length = sizeof(info);
	return 0;
}

static const struct command commands[] = {
	[WIRE_VERSION] = { "VERSION", handle_version, sizeof(struct wire_version), 64 * 1024 },
	[WIRE_DMA_MAP] = { "DMA_MAP", handle_dma_map, sizeof(struct wire_dma_map),
			   sizeof(struct wire_dma_map), true },
	[WIRE_DMA_UNMAP] = { "DMA_UNMAP", handle_dma_unmap, sizeof(struct wire_dma_unmap),
			     sizeof(struct wire_dma_unmap) },
	[WIRE_DEVICE_GET_INFO] = { "DEVICE_GET_INFO", handle_device_info,
				   sizeof(struct wire_device_info), 4096 },
	[WIRE_DEVICE_GET_REGION_INFO] = { "DEVICE_GET_REGION_INFO", handle_region_info,
					  sizeof(struct wire_region_info), 4096 },
	[WIRE_DEVICE_GET_REGION_IO_FDS] = { "DEVICE_GET_REGION_IO_FDS", handle_region_io_fds,
					    sizeof(struct wire_region_io_fds), 4096 },
	[WIRE_DEVICE_GET_IRQ_INFO] = { "DEVICE_GET_IRQ_INFO", handle_irq_info,
				       sizeof(struct wire_irq_info), 4096 },
	[WIRE_DEVICE_SET_IRQS] = { "DEVICE_SET_IRQS", handle_set_irqs, sizeof(struct wire_set_irqs),
				   sizeof(struct wire_set_irqs) + 4096, true },
	[WIRE_REGION_READ] = { "REGION_READ", handle_region_read, sizeof(struct wire_region_access),
			       sizeof(struct wire_region_access) },
	[WIRE_REGION_WRITE] = { "REGION_WRITE", handle_region_write,
				sizeof(struct wire_region_access), SERVER_MAX_MESSAGE },
	[WIRE_DEVICE_RESET] = { "DEVICE_RESET", handle_reset, 0, 0 },
	[WIRE_REGION_WRITE_MULTI] = { "REGION_WRITE_MULTI", handle_region_write_multi,
				      sizeof(struct wire_write_multi), SERVER_MAX_MESSAGE },
	[WIRE_DEVICE_FEATURE] = { "DEVICE_FEATURE", handle_device_feature,
				  sizeof(struct wire_device_feature), SERVER_MAX_MESSAGE },
	[WIRE_MIG_DATA_READ] = { "MIG_DATA_READ", handle_mig_data_read,
				 sizeof(struct wire_mig_data), sizeof(struct wire_mig_data) },
	[WIRE_MIG_DATA_WRITE] = { "MIG_DATA_WRITE", handle_mig_data_write,
				  sizeof(struct wire_mig_data), SERVER_MAX_MESSAGE },
};

static const struct command *find(uint16_t number)
{
	if (number >= sizeof(commands) / sizeof(commands[0]) || !commands[number].handle)
		return NULL;
	return &commands[number];
}

static int run(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	const struct command *command = find(m->header.command);

	if (!command) {
		server_log(e, "unknown command %u", m->header.command);
		return -EOPNOTSUPP;
	}
	if (!e->versioned && m->header.command != WIRE_VERSION) {
		server_log(e, "%s before VERSION", command->name);
		return -ECONNABORTED;
	}
	if (m->length < command->minimum || m->length > command->maximum) {
		server_log(e, "%s with %zu bytes of payload, %zu to %zu are allowed", command->name,
			   m->length, command->minimum, command->maximum);
		return -EINVAL;
	}
	if (m->fd_count && !command->descriptors) {
		server_log(e, "%s with a file descriptor", command->name);
		return -EINVAL;
	}
	return command->handle(e, m, reply);
}

/* 0, or a negative errno: close the connection. */
int server_dispatch(struct server_endpoint *e, struct message *m)
{
	struct wire_header header = m->header;
	struct reply reply = { .data = e->reply, .fd = -1 };
	uint32_t type = header.flags & WIRE_TYPE_MASK;
	int ret;

	if (type == WIRE_TYPE_REPLY)
		return requests_reply(e, m);
	if (type != WIRE_TYPE_COMMAND)
		return -EBADMSG;
	SERVER_COUNT(e, requests);
	ret = run(e, m, &reply);
	if (ret == -ECONNABORTED)
		return ret;
	if (ret)
		SERVER_COUNT(e, errors);
	if (header.flags & WIRE_NO_REPLY)
		return 0;
	header.flags = WIRE_TYPE_REPLY | (ret ? WIRE_ERROR : 0u);
	header.error = ret ? (uint32_t)-ret : 0;
	header.size = (uint32_t)(sizeof(header) + (ret ? 0 : reply.length));
	return connection_send(&e->connection, &header, reply.data, ret ? 0 : reply.length, NULL, 0,
			       ret ? -1 : reply.fd);
}
