/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vfio-user protocol as data: what stands in a message, and nothing about behaviour.
 *
 * A message is a 16-byte header and a payload; file descriptors travel beside it. Numbers are in
 * the host's byte order. Every structure here is the payload (or the start of it) of the command it
 * is named after; sizes are exact, because clients compare them.
 */
#ifndef SERVER_WIRE_H
#define SERVER_WIRE_H

#include <assert.h>
#include <stdint.h>

enum wire_command {
	WIRE_VERSION = 1,
	WIRE_DMA_MAP = 2,
	WIRE_DMA_UNMAP = 3,
	WIRE_DEVICE_GET_INFO = 4,
	WIRE_DEVICE_GET_REGION_INFO = 5,
	WIRE_DEVICE_GET_REGION_IO_FDS = 6,
	WIRE_DEVICE_GET_IRQ_INFO = 7,
	WIRE_DEVICE_SET_IRQS = 8,
	WIRE_REGION_READ = 9,
	WIRE_REGION_WRITE = 10,
	WIRE_DMA_READ = 11,
	WIRE_DMA_WRITE = 12,
	WIRE_DEVICE_RESET = 13,
	/* 14 is retired */
	WIRE_REGION_WRITE_MULTI = 15,
	WIRE_DEVICE_FEATURE = 16,
	WIRE_MIG_DATA_READ = 17,
	WIRE_MIG_DATA_WRITE = 18,
};

enum wire_flags {
	WIRE_TYPE_MASK = 0xf,
	WIRE_TYPE_COMMAND = 0,
	WIRE_TYPE_REPLY = 1,
	WIRE_NO_REPLY = 1u << 4,
	WIRE_ERROR = 1u << 5,
};

struct wire_header {
	uint16_t id;
	uint16_t command;
	uint32_t size; /* of the whole message */
	uint32_t flags;
	uint32_t error;
};

struct wire_version {
	uint16_t major;
	uint16_t minor;
	/* JSON with its NUL follows, or nothing */
};

enum wire_dma_flags {
	WIRE_DMA_READABLE = 1u << 0,
	WIRE_DMA_WRITEABLE = 1u << 1,
};

struct wire_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t offset;
	uint64_t address;
	uint64_t size;
};

enum wire_unmap_flags {
	WIRE_UNMAP_DIRTY_BITMAP = 1u << 0, /* retired from the protocol */
	WIRE_UNMAP_ALL = 1u << 1,
};

struct wire_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t address;
	uint64_t size;
};

enum wire_device_flags {
	WIRE_DEVICE_RESETS = 1u << 0,
	WIRE_DEVICE_PCI = 1u << 1,
};

struct wire_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t regions;
	uint32_t irqs;
};

enum wire_region {
	WIRE_REGION_BAR0 = 0,
	WIRE_REGION_ROM = 6,
	WIRE_REGION_CONFIG = 7,
	WIRE_REGION_VGA = 8,
	WIRE_REGIONS = 9,
};

enum wire_region_flags {
	WIRE_REGION_READABLE = 1u << 0,
	WIRE_REGION_WRITEABLE = 1u << 1,
	WIRE_REGION_MAPPABLE = 1u << 2, /* a descriptor comes with the reply */
};

struct wire_region_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t cap_offset;
	uint64_t size;
	uint64_t offset;
};

/* DEVICE_GET_REGION_IO_FDS: an answer without any descriptor. */
struct wire_region_io_fds {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};

enum wire_irq {
	WIRE_IRQ_INTX,
	WIRE_IRQ_MSI,
	WIRE_IRQ_MSIX,
	WIRE_IRQ_ERROR,
	WIRE_IRQ_REQUEST,
	WIRE_IRQS
};

enum wire_irq_info_flags {
	WIRE_IRQ_EVENTFD = 1u << 0,
	WIRE_IRQ_MASKABLE = 1u << 1,
	WIRE_IRQ_AUTOMASKED = 1u << 2,
	WIRE_IRQ_NORESIZE = 1u << 3,
};

struct wire_irq_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};

enum wire_set_irqs_flags {
	WIRE_IRQ_DATA_NONE = 1u << 0,
	WIRE_IRQ_DATA_BOOL = 1u << 1,
	WIRE_IRQ_DATA_EVENTFD = 1u << 2,
	WIRE_IRQ_DATA = 0x7,
	WIRE_IRQ_MASK = 1u << 3,
	WIRE_IRQ_UNMASK = 1u << 4,
	WIRE_IRQ_TRIGGER = 1u << 5,
	WIRE_IRQ_ACTION = 0x38,
};

struct wire_set_irqs {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t start;
	uint32_t count;
	/* `count` bytes follow with WIRE_IRQ_DATA_BOOL */
} __attribute__((packed));

/* REGION_READ, REGION_WRITE and their replies; data follows where there is any. */
struct wire_region_access {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
};

/* DMA_READ, DMA_WRITE and their replies; data follows where there is any. */
struct wire_dma_access {
	uint64_t address;
	uint64_t count;
};

struct wire_write_multi {
	uint64_t count;
	/* struct wire_multi_write follow */
};

struct wire_multi_write {
	uint64_t offset;
	uint32_t region;
	uint32_t count; /* 8 at most */
	uint8_t data[8];
};

enum wire_feature_flags {
	WIRE_FEATURE_INDEX = 0xffff,
	WIRE_FEATURE_GET = 1u << 16,
	WIRE_FEATURE_SET = 1u << 17,
	WIRE_FEATURE_PROBE = 1u << 18,
};

enum wire_feature {
	WIRE_FEATURE_MIGRATION = 1,
	WIRE_FEATURE_MIG_DEVICE_STATE = 2,
	WIRE_FEATURE_DMA_LOGGING_START = 6,
	WIRE_FEATURE_DMA_LOGGING_STOP = 7,
	WIRE_FEATURE_DMA_LOGGING_REPORT = 8,
};

struct wire_device_feature {
	uint32_t argsz;
	uint32_t flags;
};

#define WIRE_MIGRATION_STOP_COPY 1u
#define WIRE_MIGRATION_PRE_COPY	 4u

enum wire_device_state {
	WIRE_STATE_ERROR,
	WIRE_STATE_STOP,
	WIRE_STATE_RUNNING,
	WIRE_STATE_STOP_COPY,
	WIRE_STATE_RESUMING,
	WIRE_STATE_RUNNING_P2P,
	WIRE_STATE_PRE_COPY,
	WIRE_STATE_PRE_COPY_P2P,
};

struct wire_mig_state {
	uint32_t state;
	uint32_t data_fd;
};

struct wire_logging_start {
	uint64_t page_size;
	uint32_t ranges;
	uint32_t reserved;
	/* struct wire_range follow */
};

struct wire_range {
	uint64_t iova;
	uint64_t length;
};

struct wire_logging_report {
	uint64_t iova;
	uint64_t length;
	uint64_t page_size;
	/* the bitmap follows in the reply */
};

/* MIG_DATA_READ, MIG_DATA_WRITE and the reply to the first; data follows where there is any. */
struct wire_mig_data {
	uint32_t argsz;
	uint32_t size;
};

static_assert(sizeof(struct wire_header) == 16, "wire layout");
static_assert(sizeof(struct wire_dma_map) == 32, "wire layout");
static_assert(sizeof(struct wire_dma_unmap) == 24, "wire layout");
static_assert(sizeof(struct wire_device_info) == 16, "wire layout");
static_assert(sizeof(struct wire_region_info) == 32, "wire layout");
static_assert(sizeof(struct wire_irq_info) == 16, "wire layout");
static_assert(sizeof(struct wire_set_irqs) == 20, "wire layout");
static_assert(sizeof(struct wire_region_access) == 16, "wire layout");
static_assert(sizeof(struct wire_dma_access) == 16, "wire layout");
static_assert(sizeof(struct wire_multi_write) == 24, "wire layout");

#endif
