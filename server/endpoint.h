/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An endpoint as the server sees it: one PCI function behind one Unix socket.
 *
 * A device model describes its function (identity, BARs, capabilities) and answers callbacks. The
 * server keeps everything a PCI function has in common: config space, the vfio-user protocol,
 * interrupts, and the guest memory its client shares. A device model never sees a message.
 *
 * Threads: each endpoint has one thread of its own. All callbacks of its device model run on it,
 * one at a time; a model that works in the background has its own threads. Functions
 * server_endpoint_* below may be called from any thread, callbacks included; they neither block nor
 * call back.
 */
#ifndef SERVER_ENDPOINT_H
#define SERVER_ENDPOINT_H

#include <viommu/memory.h>
#include <viommu/migration.h>
#include <viommu/stream.h>

struct server_endpoint;

/* vfio-user region indices: 0..5 are the BARs. */
#define SERVER_BARS 6

enum server_bar_flags {
	SERVER_BAR_64BIT = 1u << 0, /* uses the next BAR number too; leave that one empty */
	SERVER_BAR_PREFETCHABLE = 1u << 1,
	SERVER_BAR_IO = 1u << 2, /* I/O ports: 4 to 256 bytes, and no other flag */
};

/* Bytes of a model's own identity. */
#define SERVER_IDENTITY 64

struct server_bar {
	uint64_t size;	/* a power of two, of memory 16 at least; 0: no such BAR */
	uint32_t flags; /* enum server_bar_flags */
};

/* What the function is. The server builds a 4096-byte config space from it (server/config.c). */
struct server_function {
	uint16_t vendor;
	uint16_t device;
	uint16_t subsystem_vendor;
	uint16_t subsystem;
	uint32_t class_code; /* 24 bits: class, subclass, programming interface */
	uint8_t revision;
	struct server_bar bars[SERVER_BARS];

	uint16_t msix_vectors; /* 0: no MSI-X */
	uint8_t msix_bar;      /* where table and PBA lie; the client keeps their contents */
	uint32_t msix_table;
	uint32_t msix_pba;

	/* Interrupts that `interrupts` of the model passes on: an interrupt pin; MSI with 1, 2, 4 .. 32 vectors, 0: none. */
	bool intx;
	uint8_t msi_vectors;

	bool removable;	    /* the model may ask clients to let go of the function */
	bool express;	    /* PCI Express capability (root complex integrated endpoint, FLR) */
	uint8_t pasid_bits; /* width of the PASID capability; 0: none */
	bool pasid_execute;
	bool pasid_privileged;
	bool ats;
	bool page_request;
	uint32_t page_requests; /* outstanding page requests the function can have */
};

/* What the guest has switched on in config space. */
enum server_feature {
	SERVER_FEATURE_MEMORY = 1u << 0, /* Command.Memory Space */
	SERVER_FEATURE_BUS_MASTER =
		1u << 1, /* Command.Bus Master: without it the model must not do DMA */
	SERVER_FEATURE_PASID = 1u << 2,
	SERVER_FEATURE_PASID_EXECUTE = 1u << 3,
	SERVER_FEATURE_PASID_PRIVILEGED = 1u << 4,
	SERVER_FEATURE_ATS = 1u << 5,
	SERVER_FEATURE_PAGE_REQUEST = 1u << 6,
	SERVER_FEATURE_MSIX = 1u << 7,
	SERVER_FEATURE_INTX_OFF = 1u << 8, /* Command.Interrupt Disable */
};

/*
 * A device model's answers. `opaque` is what the endpoint was created with. Only `read`, `write`
 * and `reset` must be there.
 */
struct server_device_ops {
	/* Once, before any other callback: the endpoint to use for server_endpoint_irq and friends.
	 */
	void (*attach)(void *opaque, struct server_endpoint *endpoint);
	/*
	 * Access to a BAR: [offset, offset + length) lies inside it. Any length and alignment;
	 * guests' accesses are 1, 2, 4 or 8 bytes. 0 or a negative errno, which the client is told.
	 */
	int (*read)(void *opaque, unsigned int bar, uint64_t offset, void *data, size_t length);
	int (*write)(void *opaque, unsigned int bar, uint64_t offset, const void *data,
		     size_t length);
	/* The set of enum server_feature changed; also after a reset. */
	void (*features)(void *opaque, uint32_t features);
	/*
	 * Power-on state. When it returns no DMA of the function is running and none will start.
	 * Called for a reset by the client, a function-level reset by the guest, and when the
	 * client has gone.
	 */
	void (*reset)(void *opaque);
	/*
	 * Migration. `stop`: no new work, finish or park what runs, no DMA or interrupt after it
	 * returns; `start` undoes it. `save` and `load` only while stopped; `load` checks
	 * everything before it changes anything and puts a sentence in `message` when it refuses.
	 * All four or none.
	 */
	int (*stop)(void *opaque);
	void (*start)(void *opaque);
	int (*save)(void *opaque, struct viommu_stream_writer *writer);
	int (*load)(void *opaque, struct viommu_stream_reader *reader, char *message,
		    size_t length);
	/*
	 * Optional, with those: much state, in pieces, the first of them before the model stops. `pieces` begins and ends
	 * giving them, in a model that runs (-EOPNOTSUPP: not before it stops) or in a stopped one; `stop` in between goes on
	 * with the same transfer. read_piece: up to `length` bytes of what there is now, 0 for nothing; stopped, 0 is the end, and
	 * `save` has the rest. write_piece, in a stopped model: the same bytes in the same order, before `load`.
	 * All three or none.
	 */
	int (*pieces)(void *opaque, bool on);
	int (*read_piece)(void *opaque, void *data, size_t length);
	int (*write_piece)(void *opaque, const void *data, size_t length);
	/*
	 * Optional: the model has somebody else signal its interrupts. Vectors [start, start +
	 * count) now signal fds[i], -1 nothing; the descriptors stay the server's and live until
	 * the next call that changes them.
	 */
	void (*vectors)(void *opaque, unsigned int start, unsigned int count, const int *fds);
	/*
	 * For functions with intx or msi_vectors: a client's request about those, checked, in the terms of
	 * VFIO_DEVICE_SET_IRQS. `fds` (-1: none) or `values` have `count` elements, or both are NULL; descriptors live
	 * for the call. A negative errno is what the client is told.
	 */
	int (*interrupts)(void *opaque, uint32_t index, uint32_t flags, unsigned int start,
			  unsigned int count, const int *fds, const uint8_t *values);
	/* Optional: the last callback; the endpoint that attach() gave may not be used any more. */
	void (*detach)(void *opaque);
	/* Optional: clients may map this BAR: *fd, which stays the model's, from *offset. -ENOENT:
	 * not this one. */
	int (*map)(void *opaque, unsigned int bar, int *fd, uint64_t *offset);
	/*
	 * Optional, with `save`, both or none: what the function at the destination must have in common with this one besides the
	 * config space, to be compared before anything has stopped. identity: up to `room` bytes (SERVER_IDENTITY), returns how
	 * many; fits: those of another: 0, or -EINVAL with a sentence in `message`.
	 */
	size_t (*identity)(void *opaque, void *bytes, size_t room);
	int (*fits)(void *opaque, const void *bytes, size_t length, char *message, size_t room);
};

struct server_endpoint_config {
	const char *name; /* for messages to people */
	const char *path; /* the socket; a stale one there is replaced */
	const struct server_function *function;
	const struct server_device_ops *ops;
	void *opaque;
	struct viommu_memory *memory; /* the guest's; may be NULL */
	struct viommu_tracker *tracker; /* of that memory; NULL: no DMA logging */
	bool feed; /* this endpoint's DMA maps fill it; else they are only acknowledged */
	bool mute; /* never send the client a request: some cannot take one */
	/* Optional: a one-line message to the operator; `text` lives for the call. Any thread. */
	void (*log)(void *log_opaque, const char *name, const char *text);
	void *log_opaque;
};

/*
 * Create the endpoint and listen on its socket; nobody is served before server_endpoint_start().
 * Everything in `config` is copied except what the pointers ops, opaque, memory, tracker and log refer to.
 * Negative errno: -EINVAL (the function makes no sense), -ENOMEM, or what bind() said.
 */
int server_endpoint_create(const struct server_endpoint_config *config,
			   struct server_endpoint **endpoint);
int server_endpoint_start(struct server_endpoint *endpoint);
/* Disconnect the client, reset the model, end the thread, remove the socket. */
void server_endpoint_destroy(struct server_endpoint *endpoint);

/*
 * Raise MSI-X vector `vector`. It stays pending while the client has set no eventfd for it.
 * -ENOENT: no such vector.
 */
int server_endpoint_irq(struct server_endpoint *endpoint, unsigned int vector);
/* What a client is told about a whole function, on descriptors of its own. */
enum server_notice {
	SERVER_NOTICE_ERROR, /* it has failed */
	SERVER_NOTICE_LEAVE, /* unplug it from the guest and disconnect */
	SERVER_NOTICES
};
/* -ENOTCONN: nobody wants to know. */
int server_endpoint_notice(struct server_endpoint *endpoint, enum server_notice notice);
/*
 * Send a 4-byte message (an MSI written by something other than the MSI-X table) through the
 * client. -EACCES: bus mastering is off, nobody is connected or the endpoint is mute; -EAGAIN: too
 * many unsent.
 */
int server_endpoint_message(struct server_endpoint *endpoint, uint64_t address, uint32_t data);
/* enum server_feature, at this moment. */
uint32_t server_endpoint_features(const struct server_endpoint *endpoint);
/* Where firmware or the guest put a BAR, 0 while memory decoding is off or it was not programmed.
 */
uint64_t server_endpoint_bar_address(const struct server_endpoint *endpoint, unsigned int bar);
bool server_endpoint_connected(const struct server_endpoint *endpoint);

/*
 * The whole function's state: config space, pending interrupts and the model's. Stop it first; a
 * stopped function does no DMA until it is continued or reset. These wait for the endpoint's
 * thread: not from a callback. -EOPNOTSUPP: the model cannot; -EBUSY: not stopped, or (stop, continue) its
 * client migrates it just now; what the model said.
 */
bool server_endpoint_migratable(const struct server_endpoint *endpoint);
int server_endpoint_stop(struct server_endpoint *endpoint);
int server_endpoint_continue(struct server_endpoint *endpoint);
int server_endpoint_save(struct server_endpoint *endpoint, struct viommu_stream_writer *writer);
int server_endpoint_load(struct server_endpoint *endpoint, struct viommu_stream_reader *reader,
			 char *message, size_t length);

/* Things that go wrong on request, to see what others make of it. The last four happen once, when
 * their time comes. */
enum server_fault {
	SERVER_FAULT_DISCONNECT = 1u << 0, /* the client is dropped */
	SERVER_FAULT_ERROR = 1u << 1,	   /* the client is told that the function has failed */
	SERVER_FAULT_STOP = 1u << 2,	   /* the next stop, save or load fails with -EIO */
	SERVER_FAULT_SAVE = 1u << 3,
	SERVER_FAULT_LOAD = 1u << 4,
	SERVER_FAULT_REPORT = 1u << 5, /* so does the next report of written pages */
};
/* Waits for the endpoint's thread. -ENOTCONN: nobody to drop. */
int server_endpoint_inject(struct server_endpoint *endpoint, enum server_fault fault);

/*
 * Log written pages for somebody else than a client: counted with the clients' own starts, so that nobody switches off what another
 * still reads (viommu_tracker_query). What viommu_tracker_start() says.
 */
int server_logging_start(struct viommu_tracker *tracker);
void server_logging_stop(struct viommu_tracker *tracker);

struct server_statistics {
	uint64_t connections; /* accepted */
	uint64_t requests;    /* messages handled */
	uint64_t errors;      /* answered with an error */
	uint64_t dropped;     /* connections closed for breaking the protocol */
	uint64_t region_reads;
	uint64_t region_writes; /* each part of a REGION_WRITE_MULTI counts */
	uint64_t interrupts;
	uint64_t messages;     /* server_endpoint_message() delivered */
	uint64_t maps;	       /* gauge: DMA maps of the present client */
	uint64_t mapped_bytes; /* gauge: of those with memory behind them */
};
void server_endpoint_statistics(const struct server_endpoint *endpoint,
				struct server_statistics *statistics);

#endif
