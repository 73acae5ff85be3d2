/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of a physical function, through VFIO migration version 2: callbacks of the server (server/endpoint.h) onto the
 * device's states and the file its data goes through.
 */
#ifndef DEVICES_VFIO_MIGRATION_H
#define DEVICES_VFIO_MIGRATION_H

#include <viommu/host.h>
#include <viommu/stream.h>

/* MiB of state that vfio_migration_save takes into memory; `state-limit` of the device kind. */
enum { VFIO_STATE_LIMIT = 1024, VFIO_STATE_LIMIT_MOST = 65536 };

struct vfio_migration {
	struct viommu_host_device *device;
	uint64_t flags; /* of the kernel's uapi; 0: the device cannot */
	int fd;		/* the transfer at work; -1: none */
	bool pieces;	/* ... is one in pieces: its beginning has been read, or written */
	size_t limit;	/* bytes vfio_migration_save takes */
};

/* Find out what the device can. */
void vfio_migration_init(struct vfio_migration *m, struct viommu_host_device *device);
/* It has been reset, or goes away. */
void vfio_migration_forget(struct vfio_migration *m);
bool vfio_migration_possible(const struct vfio_migration *m);
/* It gives the first of its state while it runs. */
bool vfio_migration_early(const struct vfio_migration *m);

int vfio_migration_stop(struct vfio_migration *m);
int vfio_migration_start(struct vfio_migration *m);
/* All of the state that has not been read in pieces. -EFBIG: more than `limit`. */
int vfio_migration_save(struct vfio_migration *m, struct viommu_stream_writer *writer);
/* A device whose load failed has been reset and is stopped. */
int vfio_migration_load(struct vfio_migration *m, struct viommu_stream_reader *reader, char *message,
			size_t length);
/* Begin or end a transfer in pieces of any number: of a running device that can (-EOPNOTSUPP), or of a stopped one. */
int vfio_migration_pieces(struct vfio_migration *m, bool on);
int vfio_migration_read_piece(struct vfio_migration *m, void *data, size_t length);
int vfio_migration_write_piece(struct vfio_migration *m, const void *data, size_t length);

#endif
