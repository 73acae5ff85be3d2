/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vfio-user client's side of migration: device states, the data in messages, and the dirty log.
 * Calls return 0 or a negative errno.
 */
#ifndef TESTS_SERVER_MIGRATION_CLIENT_H
#define TESTS_SERVER_MIGRATION_CLIENT_H

#include "client.h"

/*
 * GET, SET or PROBE (enum wire_feature_flags) a device feature. `data` goes out and, when reply_length is not NULL, comes back:
 * up to `room` bytes, *reply_length of them.
 */
int migration_feature(struct client *client, uint32_t index, uint32_t method, void *data, size_t length,
		      size_t room, size_t *reply_length);
int migration_set_state(struct client *client, enum wire_device_state state);
/* Read the whole state in pieces of `piece` bytes; the caller frees *data. In stop-copy only. */
int migration_read(struct client *client, uint32_t piece, uint8_t **data, size_t *length);
int migration_write(struct client *client, const uint8_t *data, size_t length, uint32_t piece);

/* Log writes to [0, length). */
int migration_log_start(struct client *client, uint64_t length);
int migration_log_stop(struct client *client);
/* OR the pages written since the last report into `bitmap`, one bit for 4 KiB. */
int migration_log_report(struct client *client, uint64_t length, uint64_t *bitmap);

#endif
