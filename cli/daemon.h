/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon: one VM's memory, its units and the devices behind them, each function on a socket of
 * its own.
 */
#ifndef CLI_DAEMON_H
#define CLI_DAEMON_H

#include <jansson.h>

#include <viommu/dmar.h>

#include "options.h"

struct daemon;

/*
 * Make everything and listen; sockets go to `directory`. 0 or a negative errno with a sentence in
 * `message`. `spec` must stay.
 */
int daemon_create(const struct spec *spec, const char *directory, struct daemon **daemon,
		  char *message, size_t length);
int daemon_start(struct daemon *daemon);
void daemon_destroy(struct daemon *daemon);

/* For people and for `viommu ctl`; new references, NULL without memory. Any thread. */
json_t *daemon_status(const struct daemon *daemon);
json_t *daemon_statistics(const struct daemon *daemon);

/*
 * The state of all units and devices in one file: devices are stopped for it and continue
 * afterwards; with `stay` they stay stopped after a save, for a load elsewhere. The guest's memory
 * is the VMM's affair. 0 or a negative errno with a sentence.
 */
int daemon_save(struct daemon *daemon, const char *file, bool stay, char *message, size_t length);
int daemon_load(struct daemon *daemon, const char *file, char *message, size_t length);
/* Continue devices that stayed stopped. */
int daemon_continue(struct daemon *daemon, char *message, size_t length);
/* Let something go wrong at the function called `name` ("testdev-07.0", "unit0"). */
int daemon_inject(struct daemon *daemon, const char *name, const char *fault, char *message,
		  size_t length);

/*
 * The log of written pages by hand, in place of a VMM that asks over vfio-user: `query` writes what was written since the last one
 * to a file, a bitmap by guest-physical address, and puts counts into `reply`. -EIO: pages were lost. Nothing that a failed query
 * collected is lost: the next one has it.
 */
int daemon_dirty_start(struct daemon *daemon, char *message, size_t length);
int daemon_dirty_query(struct daemon *daemon, const char *file, json_t *reply, char *message, size_t length);
int daemon_dirty_stop(struct daemon *daemon, char *message, size_t length);

/* The socket of a unit's or a device's function. `path` has room for `length` bytes. */
void unit_socket(const struct spec *spec, unsigned int unit, const char *directory, char *path,
		 size_t length);
void device_socket(const struct spec *spec, unsigned int device, const char *directory, char *path,
		   size_t length);

/* Write the DMAR table's body for these units and devices. */
int dmar_write(const struct spec *spec, const char *file, char *message, size_t length);


#endif
