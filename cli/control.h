/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket: one JSON object per line each way.
 *
 * Request: {"command": NAME, ...}. Reply: {"ok": true, ...} or {"ok": false, "error": SENTENCE}.
 */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

#include <jansson.h>

struct control;

/*
 * Serve `path` on a thread of its own. `answer` gets each request and returns the reply (a new
 * reference); it runs on that thread.
 */
int control_create(const char *path, json_t *(*answer)(void *opaque, const json_t *request),
		   void *opaque, struct control **control);
void control_destroy(struct control *control);

json_t *control_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The client's side: connect, and ask. -ECONNREFUSED and friends; the fd. */
int control_connect(const char *path);
/* A new reference, or NULL: the daemon is gone or sent something else than an object. */
json_t *control_ask(int fd, const json_t *request);
json_t *control_ask_command(int fd, const char *command);

#endif
