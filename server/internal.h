/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the server share: the endpoint and the parts it is made of.
 *
 * Everything not marked otherwise belongs to the endpoint's thread.
 */
#ifndef SERVER_INTERNAL_H
#define SERVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "config.h"
#include "connection.h"
#include "endpoint.h"

/* A DMA map of the present client. */
struct dma_map {
	uint64_t address;
	uint64_t size;
	uint64_t offset; /* in the file */
	uint64_t device; /* which file: st_dev and st_ino, 0 without a descriptor */
	uint64_t inode;
	bool backed; /* it is in the guest memory */
	bool alias;  /* it shows memory that another map showed already */
};

#define DMA_MAX_MAPS 65535

struct dma_maps {
	struct dma_map *maps; /* sorted by address */
	unsigned int count;
	unsigned int capacity;
	unsigned int aliases; /* live maps that are one */
	uint64_t bytes;
};

/* MSI-X: any thread raises, the endpoint's thread sets descriptors. */
struct irqs {
	pthread_mutex_t lock;
	int *fds; /* -1: none */
	bool *pending;
	unsigned int count;
	int notices[SERVER_NOTICES]; /* by enum server_notice, -1: none */
};

/* A message of ours on its way to the client. */
struct request {
	uint64_t address;
	uint32_t data;
	bool probe; /* DMA_READ of the probe instead of a DMA_WRITE */
};

#define REQUEST_QUEUE 64
#define PROBE_LENGTH  16

struct requests {
	pthread_mutex_t lock; /* guards queue, first, count */
	struct request queue[REQUEST_QUEUE];
	unsigned int first, count;
	/* the endpoint's thread only */
	bool outstanding;
	struct request sent;
	uint16_t id;
	int64_t deadline;
	bool probed;
	uint8_t expected[PROBE_LENGTH];
};

/* A queue of bytes: `length` of them from `start`. */
struct buffer {
	uint8_t *data;
	size_t start, length, capacity;
};

struct migration {
	uint32_t state; /* enum wire_device_state */
	struct buffer out, in; /* not read yet; not taken yet */
	uint32_t parcels;      /* made or taken, transfer.c */
	bool pieces;	       /* the model gives its state in pieces now */
	bool complete;	       /* all of the stream is in `out` */
	int refused;	       /* a parcel was: so is the rest */
	bool logging;
};

struct call;

struct server_endpoint {
	char *name;
	char *path;
	const struct server_device_ops *ops;
	void *opaque;
	struct viommu_memory *memory;
	struct viommu_tracker *tracker;
	bool feed;
	bool mute;
	void (*log)(void *opaque, const char *name, const char *text);
	void *log_opaque;

	int listen_fd;
	int wake_fd;
	pthread_t thread;
	bool started;
	atomic_bool stopping;
	pthread_mutex_t client_lock; /* guards client_fd */
	int client_fd;		     /* to be shut down by destroy; -1: nobody connected */
	atomic_bool connected;

	struct config_space config;
	atomic_uint features;
	_Atomic uint64_t bar_address[SERVER_BARS];

	struct connection connection;
	bool versioned;	       /* VERSION was exchanged */
	uint32_t max_transfer; /* what the client takes in one message */
	unsigned int logged;   /* messages to the operator about this client */
	uint8_t *reply;	       /* SERVER_MAX_TRANSFER + 256 bytes */
	struct dma_maps maps;
	struct irqs irqs;
	struct requests requests;
	struct migration migration;

	pthread_mutex_t call_lock; /* guards calls */
	pthread_cond_t call_done;
	struct call *calls;
	unsigned int injected; /* enum server_fault, waiting for its time */
	bool disconnect;

	struct {
		_Atomic uint64_t connections, requests, errors, dropped, region_reads,
			region_writes, interrupts, messages, maps, mapped_bytes;
	} statistics;
};

#define SERVER_COUNT(endpoint, counter) \
	atomic_fetch_add_explicit(&(endpoint)->statistics.counter, 1, memory_order_relaxed)

/* The payload of a reply: written by the handler into endpoint->reply. */
struct reply {
	uint8_t *data;
	size_t length;
	int fd; /* goes with it and stays the handler's; -1: none */
};

/*
 * A command's handler: 0 with `reply` filled, or a negative errno for the client. -ECONNABORTED
 * closes the connection.
 */
typedef int (*handler)(struct server_endpoint *endpoint, struct message *message,
		       struct reply *reply);

/* dispatch.c */
int server_dispatch(struct server_endpoint *endpoint, struct message *message);
/* version.c */
int handle_version(struct server_endpoint *endpoint, struct message *message, struct reply *reply);
/* dma.c */
int handle_dma_map(struct server_endpoint *endpoint, struct message *message, struct reply *reply);
int handle_dma_unmap(struct server_endpoint *endpoint, struct message *message,
		     struct reply *reply);
void dma_unmap_all(struct server_endpoint *endpoint);
/* region.c */
int handle_region_info(struct server_endpoint *endpoint, struct message *message,
		       struct reply *reply);
int handle_region_io_fds(struct server_endpoint *endpoint, struct message *message,
			 struct reply *reply);
int handle_region_read(struct server_endpoint *endpoint, struct message *message,
		       struct reply *reply);
int handle_region_write(struct server_endpoint *endpoint, struct message *message,
			struct reply *reply);
int handle_region_write_multi(struct server_endpoint *endpoint, struct message *message,
			      struct reply *reply);
int handle_reset(struct server_endpoint *endpoint, struct message *message, struct reply *reply);
void server_reset(struct server_endpoint *endpoint);
/* irq.c */
int irqs_init(struct irqs *irqs, unsigned int count);
void irqs_destroy(struct irqs *irqs);
void irqs_forget(struct irqs *irqs, bool pending_instead);
void irqs_close(struct irqs *irqs);
bool irqs_notice(struct irqs *irqs, enum server_notice notice);
int handle_irq_info(struct server_endpoint *endpoint, struct message *message, struct reply *reply);
int handle_set_irqs(struct server_endpoint *endpoint, struct message *message, struct reply *reply);
/* signal.c: never waits, whatever the client handed us and does with it meanwhile. Any thread. */
void server_signal(int fd);
/* request.c */
void requests_forget(struct server_endpoint *endpoint);
void requests_probe(struct server_endpoint *endpoint);
int requests_send(struct server_endpoint *endpoint);
int requests_timeout(const struct server_endpoint *endpoint);
int requests_reply(struct server_endpoint *endpoint, const struct message *message);
/* feature.c */
int handle_device_feature(struct server_endpoint *endpoint, struct message *message,
			  struct reply *reply);
/* transfer.c */
int handle_mig_data_read(struct server_endpoint *endpoint, struct message *message,
			 struct reply *reply);
int handle_mig_data_write(struct server_endpoint *endpoint, struct message *message,
			  struct reply *reply);
/* migration.c */
bool migration_possible(const struct server_endpoint *endpoint);
int migration_check_identity(const struct server_endpoint *endpoint, const void *identity,
			     size_t length, char *message, size_t room);
void migration_forget(struct server_endpoint *endpoint);
int migration_change_state(struct server_endpoint *endpoint, uint32_t state);
int migration_save(struct server_endpoint *endpoint, struct viommu_stream_writer *writer);
int migration_load(struct server_endpoint *endpoint, struct viommu_stream_reader *reader,
		   char *message, size_t length);
/* transfer.c, for migration.c */
int transfer_begin_precopy(struct server_endpoint *endpoint);
int transfer_begin_stopped(struct server_endpoint *endpoint);
void transfer_end(struct server_endpoint *endpoint);
int transfer_load(struct server_endpoint *endpoint);
void transfer_forget(struct server_endpoint *endpoint);
/* dirty.c */
int dirty_start(struct server_endpoint *endpoint, struct message *message, struct reply *reply);
int dirty_stop(struct server_endpoint *endpoint);
int dirty_report(struct server_endpoint *endpoint, struct message *message, uint32_t argsz,
		 struct reply *reply);
void dirty_forget(struct server_endpoint *endpoint);
/* call.c */
void server_run_calls(struct server_endpoint *endpoint);
bool server_injected(struct server_endpoint *endpoint, enum server_fault fault);
/* endpoint.c */
void server_log(struct server_endpoint *endpoint, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void server_wake(struct server_endpoint *endpoint);
/* Serve a connected client until it goes; takes over `fd`. The endpoint's thread, or a test in its
 * place. */
void server_serve_client(struct server_endpoint *endpoint, int fd);
void server_config_changed(struct server_endpoint *endpoint);

#endif
