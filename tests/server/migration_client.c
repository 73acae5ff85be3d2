/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Migration over vfio-user, as seen by a VMM (migration_client.h).
 */
#include "migration_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int migration_feature(struct client *client, uint32_t index, uint32_t method, void *data, size_t length,
		      size_t room, size_t *reply_length)
{
	size_t largest = length > room ? length : room;
	struct wire_device_feature head = { (uint32_t)(sizeof(head) + largest), index | method };
	size_t got = sizeof(head) + largest;
	uint8_t *message = calloc(1, got);
	int result;

	if (!message)
		return -ENOMEM;
	memcpy(message, &head, sizeof(head));
	if (length)
		memcpy(message + sizeof(head), data, length);
	result = client_call(client, WIRE_DEVICE_FEATURE, message, sizeof(head) + length, NULL, 0, message,
			     &got);
	if (!result && reply_length) {
		if (got < sizeof(head) || got - sizeof(head) > room)
			result = -EPROTO;
		else {
			*reply_length = got - sizeof(head);
			memcpy(data, message + sizeof(head), *reply_length);
		}
	}
	free(message);
	return result;
}

int migration_set_state(struct client *client, enum wire_device_state state)
{
	struct wire_mig_state set = { (uint32_t)state, 0 };

	return migration_feature(client, WIRE_FEATURE_MIG_DEVICE_STATE, WIRE_FEATURE_SET, &set, sizeof(set),
				 0, NULL);
}

/* One MIG_DATA_READ: up to `piece` bytes to `data`, *got of them. */
static int read_piece(struct client *client, uint32_t piece, uint8_t *data, uint32_t *got)
{
	struct wire_mig_data ask = { (uint32_t)sizeof(ask) + piece, piece };
	size_t length = sizeof(ask) + piece;
	uint8_t *reply = malloc(length);
	int result;

	if (!reply)
		return -ENOMEM;
	result = client_call(client, WIRE_MIG_DATA_READ, &ask, sizeof(ask), NULL, 0, reply, &length);
	if (!result) {
		memcpy(&ask, reply, sizeof(ask));
		if (length != sizeof(ask) + ask.size || ask.size > piece)
			result = -EPROTO;
	}
	if (!result) {
		memcpy(data, reply + sizeof(ask), ask.size);
		*got = ask.size;
	}
	free(reply);
	return result;
}

int migration_read(struct client *client, uint32_t piece, uint8_t **data, size_t *length)
{
	uint32_t got = 0;
	int result;

	*data = NULL;
	*length = 0;
	do {
		uint8_t *grown = realloc(*data, *length + piece);

		result = grown ? 0 : -ENOMEM;
		if (grown)
			*data = grown;
		if (!result)
			result = read_piece(client, piece, *data + *length, &got);
		if (result) {
			free(*data);
			*data = NULL;
			return result;
		}
		*length += got;
	} while (got == piece);
	return 0;
}

int migration_write(struct client *client, const uint8_t *data, size_t length, uint32_t piece)
{
	uint8_t *message = malloc(sizeof(struct wire_mig_data) + piece);
	int result = message ? 0 : -ENOMEM;

	for (size_t at = 0; !result && at < length; at += piece) {
		uint32_t now = (uint32_t)(length - at < piece ? length - at : piece);
		struct wire_mig_data head = { (uint32_t)sizeof(head) + now, now };

		memcpy(message, &head, sizeof(head));
		memcpy(message + sizeof(head), data + at, now);
		result = client_call(client, WIRE_MIG_DATA_WRITE, message, sizeof(head) + now, NULL, 0, NULL,
				     NULL);
	}
	free(message);
	return result;
}

int migration_log_start(struct client *client, uint64_t length)
{
	struct {
		struct wire_logging_start head;
		struct wire_range range;
	} start = { { .page_size = 4096, .ranges = 1 }, { .length = length } };

	return migration_feature(client, WIRE_FEATURE_DMA_LOGGING_START, WIRE_FEATURE_SET, &start,
				 sizeof(start), 0, NULL);
}

int migration_log_stop(struct client *client)
{
	return migration_feature(client, WIRE_FEATURE_DMA_LOGGING_STOP, WIRE_FEATURE_SET, NULL, 0, 0, NULL);
}

int migration_log_report(struct client *client, uint64_t length, uint64_t *bitmap)
{
	struct wire_logging_report report = { .length = length, .page_size = 4096 };
	size_t words = length / 4096 / 64, room = sizeof(report) + words * 8, got;
	uint8_t *reply = malloc(room);
	int result = reply ? 0 : -ENOMEM;

	if (!result) {
		memcpy(reply, &report, sizeof(report));
		result = migration_feature(client, WIRE_FEATURE_DMA_LOGGING_REPORT, WIRE_FEATURE_GET, reply,
					   sizeof(report), room, &got);
	}
	if (!result && got != room)
		result = -EPROTO;
	for (size_t i = 0; !result && i < words; i++) {
		uint64_t word;

		memcpy(&word, reply + sizeof(report) + i * 8, 8);
		bitmap[i] |= word;
	}
	free(reply);
	return result;
}
