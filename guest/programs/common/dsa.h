/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GUEST_DSA_H
#define GUEST_DSA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The Intel DSA as user space sees it: the 64-byte descriptor, the 32-byte completion record and a
 * work queue's portal. Names and numbers are the DSA architecture specification's.
 */
enum dsa_opcode {
	DSA_NOOP = 0x00,
	DSA_BATCH = 0x01,
	DSA_DRAIN = 0x02,
	DSA_MEMMOVE = 0x03,
	DSA_FILL = 0x04,
	DSA_COMPARE = 0x05,
	DSA_COMPARE_PATTERN = 0x06,
	DSA_CREATE_DELTA = 0x07,
	DSA_APPLY_DELTA = 0x08,
	DSA_DUALCAST = 0x09,
	DSA_CRC = 0x10,
	DSA_COPY_CRC = 0x11,
	DSA_DIF_CHECK = 0x12,
	DSA_DIF_INSERT = 0x13,
	DSA_DIF_STRIP = 0x14,
	DSA_DIF_UPDATE = 0x15,
	DSA_CACHE_FLUSH = 0x20,
};

enum dsa_flag {
	DSA_FENCE = 1 << 0,
	DSA_BLOCK_ON_FAULT = 1 << 1,
	DSA_COMPLETION_VALID = 1 << 2,
	DSA_COMPLETION_WANTED = 1 << 3,
	DSA_CHECK_RESULT = 1 << 7,
};

enum dsa_status {
	DSA_SUCCESS = 0x01,
	DSA_SUCCESS_FALSE = 0x02,
	DSA_PAGE_FAULT = 0x03,
	DSA_PAGE_FAULT_RESPONSE = 0x04,
	DSA_BATCH_ERRORS = 0x05,
	DSA_BATCH_LIST_FAULT = 0x06,
	DSA_DELTA_NOT_FULL = 0x07,
	DSA_DELTA_OFFSET = 0x08,
	DSA_DIF_ERROR = 0x09,
	DSA_BAD_OPCODE = 0x10,
	DSA_BAD_FLAGS = 0x11,
	DSA_BAD_RESERVED = 0x12,
	DSA_BAD_SIZE = 0x13,
	DSA_BAD_COUNT = 0x14,
	DSA_OVERLAP = 0x16,
	DSA_DUALCAST_ALIGN = 0x17,
	DSA_TRANSLATION_FAULT = 0x22,
	DSA_STATUS_WRITE = 0x80,	/* the fault was a write */
};

struct dsa_descriptor {
	uint32_t pasid;
	uint32_t flags_opcode;
	uint64_t completion;
	uint64_t source;		/* or the pattern, or a batch's list */
	uint64_t destination;		/* or the second source, or a comparison's pattern */
	uint32_t size;			/* or a batch's count */
	uint16_t interrupt;
	uint16_t reserved;
	union {
		uint8_t expected;
		struct {
			uint64_t address;
			uint32_t max_size;
			uint32_t reserved;
			uint8_t expected_mask;
		} delta;
		uint32_t delta_size;
		uint64_t destination2;
		struct {
			uint32_t seed;
			uint32_t reserved;
			uint64_t seed_address;
		} crc;
		struct {
			uint8_t source_flags;
			uint8_t destination_flags;
			uint8_t flags;
			uint8_t reserved[5];
			uint32_t source_reference;
			uint16_t source_mask;
			uint16_t source_application;
			uint32_t destination_reference;
			uint16_t destination_mask;
			uint16_t destination_application;
		} dif;
		uint8_t operands[24];
	};
} __attribute__((packed, aligned(64)));

struct dsa_completion {
	volatile uint8_t status;
	uint8_t result;
	uint16_t fault_info;
	uint32_t bytes;
	uint64_t fault_address;
	union {
		uint32_t delta_size;
		uint64_t crc;
	};
	uint64_t reserved;
} __attribute__((packed, aligned(32)));

_Static_assert(sizeof(struct dsa_descriptor) == 64, "a descriptor has 64 bytes");
_Static_assert(sizeof(struct dsa_completion) == 32, "a completion record has 32 bytes");

struct dsa_queue {
	int fd;
	bool shared;
	uint8_t *portal;
	unsigned int slot;
};

/* Opens /dev/dsa/wqX.Y and maps its portal; how to submit is read from the queue's mode in sysfs. */
int dsa_open(struct dsa_queue *queue, const char *name);
void dsa_close(struct dsa_queue *queue);

/* Starts a descriptor: everything zero but opcode, flags and completion record (cleared as well). */
void dsa_prepare(struct dsa_descriptor *descriptor, enum dsa_opcode opcode, uint32_t flags,
		 struct dsa_completion *completion);

/* Hands it to the queue: 0, or -EAGAIN if a shared queue stayed full for several seconds. */
int dsa_submit(struct dsa_queue *queue, const struct dsa_descriptor *descriptor);

/* Waits for the record: its status, or 0 if nothing came within the time. */
uint8_t dsa_wait(const struct dsa_completion *completion, double seconds);

/* Both of the above. */
uint8_t dsa_run(struct dsa_queue *queue, const struct dsa_descriptor *descriptor,
		const struct dsa_completion *completion);

/* The PASID of this process once it has a queue open, or -1: read from the m64emu module. */
long own_pasid(void);

/* The instructions themselves, carried out by the m64emu module on a processor without them. */
void movdir64b(void *portal, const void *command);
bool enqcmd(void *portal, const void *command);

#endif
