/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the DSA architecture specification defines: registers, work-queue and group configuration,
 * descriptors, completion records, codes. Data only; "DSA n" in comments is a section of that
 * specification (341204).
 *
 * The structures are laid out as the guest sees them and used as they are: the host is
 * little-endian.
 */
#ifndef DSA_SPEC_H
#define DSA_SPEC_H

#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the DSA model expects a little-endian host"
#endif

#define DSA_BIT(n)	     (1ull << (n))
#define DSA_MASK(high, low)  ((~0ull >> (63 - (high))) & (~0ull << (low)))
#define DSA_GET(value, mask) (((value) & (mask)) / ((mask) & -(mask)))
#define DSA_PUT(value, mask) (((uint64_t)(value) * ((mask) & -(mask))) & (mask))

/* BAR0, DSA 9.2. */
enum dsa_register {
	DSA_VERSION = 0x00,
	DSA_GENCAP = 0x10,
	DSA_WQCAP = 0x20,
	DSA_GRPCAP = 0x30,
	DSA_ENGCAP = 0x38,
	DSA_OPCAP = 0x40,   /* 256 bits */
	DSA_OFFSETS = 0x60, /* 128 bits */
	DSA_GENCFG = 0x80,
	DSA_GENCTRL = 0x88,
	DSA_GENSTS = 0x90,
	DSA_INTCAUSE = 0x98,
	DSA_CMD = 0xa0,
	DSA_CMDSTS = 0xa8,
	DSA_CMDCAP = 0xb0,
	DSA_SWERR = 0xc0,  /* 256 bits */
	DSA_EVLCFG = 0xe0, /* 128 bits */
	DSA_EVLSTATUS = 0xf0,
	DSA_GRPCFG = 0x400,    /* 64 bytes per group */
	DSA_WQCFG = 0x800,     /* 64 bytes per WQ */
	DSA_MSIXPERM = 0x1000, /* 8 bytes per vector */
	DSA_MSIX_TABLE = 0x2000,
	DSA_MSIX_PBA = 0x3000,
	DSA_REGISTERS_SIZE = 0x10000,
};

enum dsa_limits {
	DSA_MAX_WQS = 16,
	DSA_MAX_GROUPS = 8,
	DSA_MAX_ENGINES = 8,
	DSA_MAX_ENTRIES = 1024,
	DSA_MAX_VECTORS = DSA_MAX_WQS + 1,
	DSA_PORTAL_PAGES = 4,
	DSA_PORTAL_SLOTS = 64,
	DSA_PORTAL_SIZE = 0x4000, /* per WQ: unlimited, limited and two IMS pages */
	DSA_READ_BUFFERS = 64,
	DSA_DELTA_TRANSFER_MAX = 0x80000, /* 16-bit index of 8-byte words */
	DSA_DELTA_RECORD_MIN = 80,
	DSA_DELTA_ENTRY = 10,
	DSA_EVENT_ENTRIES_MIN = 64,
};

enum dsa_gencap {
	DSA_GENCAP_BLOCK_ON_FAULT = DSA_BIT(0),
	DSA_GENCAP_OVERLAP = DSA_BIT(1),
	DSA_GENCAP_CACHE_MEMORY = DSA_BIT(2),
	DSA_GENCAP_CACHE_CACHE = DSA_BIT(3),
	DSA_GENCAP_COMMAND_CAP = DSA_BIT(4),
	DSA_GENCAP_READBACK = DSA_BIT(8),
	DSA_GENCAP_DRAIN_READBACK = DSA_BIT(9),
	DSA_GENCAP_EVENT_LOG = DSA_BIT(13), /* 1: 64-byte entries */
	DSA_GENCAP_MAX_TRANSFER = DSA_MASK(20, 16),
	DSA_GENCAP_MAX_BATCH = DSA_MASK(24, 21),
	DSA_GENCAP_CONFIG = DSA_BIT(31),
};

#define DSA_WQCAP_TOTAL	    DSA_MASK(15, 0)
#define DSA_WQCAP_COUNT	    DSA_MASK(23, 16)
#define DSA_WQCAP_64_BYTES  DSA_BIT(24)
#define DSA_WQCAP_SHARED    DSA_BIT(48)
#define DSA_WQCAP_DEDICATED DSA_BIT(49)
#define DSA_WQCAP_ATS	    DSA_BIT(50)
#define DSA_WQCAP_PRIORITY  DSA_BIT(51)
#define DSA_WQCAP_OCCUPANCY DSA_BIT(52)
#define DSA_WQCAP_OPCONFIG  DSA_BIT(54)
#define DSA_WQCAP_PRS	    DSA_BIT(55)

/* read-buffer control and limit, progress limit */
#define DSA_GRPCAP_LIMITS DSA_MASK(18, 16)

enum dsa_gencfg {
	DSA_GENCFG_USER_INTERRUPTS = 1u << 12,
	DSA_GENCFG_EVENT_LOG = 1u << 13,
	DSA_GENCFG_WRITABLE = 0xffu | DSA_GENCFG_USER_INTERRUPTS | DSA_GENCFG_EVENT_LOG,
};

enum dsa_genctrl {
	DSA_GENCTRL_ERROR = 1u << 0,
	DSA_GENCTRL_HALT = 1u << 1,
	DSA_GENCTRL_EVENT_LOG = 1u << 2,
	DSA_GENCTRL_WRITABLE = 7u,
};

enum dsa_state { DSA_DISABLED, DSA_ENABLED, DSA_DRAINING, DSA_HALTED };

/* GENSTS[3:2]: the last reset. */
enum dsa_reset_type { DSA_RESET_SOFTWARE, DSA_RESET_FUNCTION, DSA_RESET_WARM, DSA_RESET_COLD };

enum dsa_intcause {
	DSA_CAUSE_ERROR = 1u << 0,
	DSA_CAUSE_COMMAND = 1u << 1,
	DSA_CAUSE_OCCUPANCY = 1u << 2,
	DSA_CAUSE_HALT = 1u << 4,
	DSA_CAUSE_EVENT_LOG = 1u << 5,
};

/* CMD, DSA 9.2.12. */
#define DSA_CMD_OPERAND	  DSA_MASK(19, 0)
#define DSA_CMD_CODE	  DSA_MASK(24, 20)
#define DSA_CMD_INTERRUPT DSA_BIT(31)

enum dsa_command {
	DSA_ENABLE_DEVICE = 1,
	DSA_DISABLE_DEVICE,
	DSA_DRAIN_ALL,
	DSA_ABORT_ALL,
	DSA_RESET_DEVICE,
	DSA_ENABLE_WQ,
	DSA_DISABLE_WQ,
	DSA_DRAIN_WQ,
	DSA_ABORT_WQ,
	DSA_RESET_WQ,
	DSA_DRAIN_PASID,
	DSA_ABORT_PASID,
	DSA_COMMANDS,
};

#define DSA_CMDSTS_ACTIVE DSA_BIT(31)

enum dsa_command_error {
	DSA_CMD_OK = 0x00,
	DSA_CMD_INVALID_COMMAND = 0x01,
	DSA_CMD_INVALID_WQ = 0x02,
	DSA_CMD_DEVICE_ENABLED = 0x10,
	DSA_CMD_CONFIGURATION = 0x11,
	DSA_CMD_BUS_MASTER = 0x12,
	DSA_CMD_PASID = 0x13,
	DSA_CMD_TOTAL_SIZE = 0x14,
	DSA_CMD_GROUP_SHARED = 0x15,  /* a WQ or engine in two groups, or one that does not exist */
	DSA_CMD_GROUP_ENGINES = 0x16, /* a group with WQs and no engine */
	DSA_CMD_GROUP_BUFFERS = 0x17, /* read buffers over-committed */
	DSA_CMD_DEVICE_NOT_ENABLED = 0x20,
	DSA_CMD_WQ_ENABLED = 0x21,
	DSA_CMD_WQ_SIZE = 0x22,
	DSA_CMD_WQ_PRIORITY = 0x23,
	DSA_CMD_WQ_MODE = 0x24,
	DSA_CMD_WQ_BLOCK_ON_FAULT = 0x25,
	DSA_CMD_WQ_PASID = 0x26,
	DSA_CMD_WQ_MAX_BATCH = 0x27,
	DSA_CMD_WQ_MAX_TRANSFER = 0x28,
	DSA_CMD_NOT_ENABLED = 0x31,    /* disable device: it is not */
	DSA_CMD_WQ_NOT_ENABLED = 0x32, /* disable, drain, abort, reset WQ: one of them is not */
};

/* SWERR, first and second quadword; the event log's entry head uses the same places. DSA 9.2.15. */
#define DSA_ERROR_VALID	      DSA_BIT(0)
#define DSA_ERROR_OVERFLOW    DSA_BIT(1)
#define DSA_ERROR_DESCRIPTOR  DSA_BIT(2)
#define DSA_ERROR_WQ_VALID    DSA_BIT(3)
#define DSA_ERROR_BATCH	      DSA_BIT(4)
#define DSA_ERROR_WRITE	      DSA_BIT(5)
#define DSA_ERROR_PRIVILEGED  DSA_BIT(6)
#define DSA_ERROR_INFO_VALID  DSA_BIT(7)
#define DSA_ERROR_CODE	      DSA_MASK(15, 8)
#define DSA_ERROR_WQ	      DSA_MASK(23, 16)
#define DSA_ERROR_BATCH_ID    DSA_MASK(31, 24) /* event log only */
#define DSA_ERROR_OPERATION   DSA_MASK(39, 32)
#define DSA_ERROR_PASID	      DSA_MASK(59, 40)
#define DSA_ERROR_BATCH_INDEX DSA_MASK(15, 0)
#define DSA_ERROR_FLAGS	      DSA_MASK(63, 32)
#define DSA_EVENT_HANDLE      DSA_MASK(47, 32)
#define DSA_EVENT_INTERRUPT   DSA_BIT(48)
#define DSA_EVENT_RECORD      DSA_BIT(50)
#define DSA_EVENT_FIRST	      DSA_BIT(51)

#define DSA_EVLCFG_PASID_ENABLE DSA_BIT(0)
#define DSA_EVLCFG_PRIVILEGED	DSA_BIT(1)
#define DSA_EVLCFG_BASE		DSA_MASK(63, 12)
#define DSA_EVLCFG_SIZE		DSA_MASK(15, 0)
#define DSA_EVLCFG_PASID	DSA_MASK(35, 16)
#define DSA_EVLSTATUS_HEAD	DSA_MASK(15, 0)
#define DSA_EVLSTATUS_TAIL	DSA_MASK(47, 32)
#define DSA_EVLSTATUS_PENDING	DSA_BIT(62)

/* WQCFG, by 32-bit word. DSA 9.2.18. */
enum dsa_wqcfg_word {
	DSA_WQ_SIZE,
	DSA_WQ_THRESHOLD,
	DSA_WQ_MODE,
	DSA_WQ_LIMITS,
	DSA_WQ_STATUS = 6,
	DSA_WQ_OPERATIONS = 8,
	DSA_WQ_WORDS = 16
};
#define DSA_WQ_SIZE_MASK      0xffffu
#define DSA_WQ_DEDICATED      (1u << 0)
#define DSA_WQ_BLOCK_ON_FAULT (1u << 1)
#define DSA_WQ_ATS_DISABLE    (1u << 2)
#define DSA_WQ_PRS_DISABLE    (1u << 3)
#define DSA_WQ_PRIORITY	      0xf0u
#define DSA_WQ_PASID	      0x0fffff00u
#define DSA_WQ_PASID_ENABLE   (1u << 28)
#define DSA_WQ_PRIVILEGED     (1u << 29)
#define DSA_WQ_MAX_TRANSFER   0x1fu
#define DSA_WQ_MAX_BATCH      0x1e0u
#define DSA_WQ_STATE	      0xc0000000u

/* GRPCFG, by 64-bit word. */
enum dsa_grpcfg_word {
	DSA_GROUP_WQS = 0,
	DSA_GROUP_ENGINES = 4,
	DSA_GROUP_FLAGS = 5,
	DSA_GROUP_WORDS = 8
};
#define DSA_GROUP_RESERVED_BUFFERS DSA_MASK(15, 8)

#define DSA_MSIXPERM_PASID_ENABLE (1u << 3)
#define DSA_MSIXPERM_PASID	  0xfffff000u

enum dsa_opcode {
	DSA_OP_NOOP = 0x00,
	DSA_OP_BATCH = 0x01,
	DSA_OP_DRAIN = 0x02,
	DSA_OP_MEMMOVE = 0x03,
	DSA_OP_FILL = 0x04,
	DSA_OP_COMPARE = 0x05,
	DSA_OP_COMPARE_PATTERN = 0x06,
	DSA_OP_CREATE_DELTA = 0x07,
	DSA_OP_APPLY_DELTA = 0x08,
	DSA_OP_DUALCAST = 0x09,
	DSA_OP_CRC = 0x10,
	DSA_OP_COPY_CRC = 0x11,
	DSA_OP_DIF_CHECK = 0x12,
	DSA_OP_DIF_INSERT = 0x13,
	DSA_OP_DIF_STRIP = 0x14,
	DSA_OP_DIF_UPDATE = 0x15,
	DSA_OP_CACHE_FLUSH = 0x20,
	DSA_OPCODES = 0x21,
};

/* Descriptor flags, DSA 8.1.2. */
enum dsa_flag {
	DSA_FLAG_FENCE = 1u << 0,
	DSA_FLAG_BLOCK_ON_FAULT = 1u << 1,
	DSA_FLAG_RECORD_VALID = 1u << 2,
	DSA_FLAG_REQUEST_RECORD = 1u << 3,
	DSA_FLAG_REQUEST_INTERRUPT = 1u << 4,
	DSA_FLAG_RECORD_STEERING = 1u << 5,
	DSA_FLAG_CHECK_RESULT = 1u << 7,
	DSA_FLAG_CACHE_CONTROL = 1u << 8,
	DSA_FLAG_TRAFFIC_1 = 1u << 9,
	DSA_FLAG_TRAFFIC_2 = 1u << 10,
	DSA_FLAG_TRAFFIC_3 = 1u << 11,
	DSA_FLAG_TRAFFIC_RECORD = 1u << 12,
	DSA_FLAG_STRICT_ORDER = 1u << 13,
	DSA_FLAG_READBACK = 1u << 14,
	DSA_FLAG_STEERING = 1u << 15,
	/* by operation */
	DSA_FLAG_FILL_16 = 1u << 16,
	DSA_FLAG_DRAIN_READBACK_1 = 1u << 16,
	DSA_FLAG_DRAIN_READBACK_2 = 1u << 17,
	DSA_FLAG_CRC_READ_SEED = 1u << 16,
	DSA_FLAG_CRC_RAW = 1u << 17,	  /* neither inverted nor reflected, in and out */
	DSA_FLAG_CRC_RAW_DATA = 1u << 18, /* data bits not reflected */
};

/* Completion status, DSA 5.5 and 8.2. */
enum dsa_status {
	DSA_STATUS_NONE = 0x00,
	DSA_STATUS_SUCCESS = 0x01,
	DSA_STATUS_FALSE_PREDICATE = 0x02,
	DSA_STATUS_PAGE_FAULT = 0x03,
	DSA_STATUS_PAGE_REQUEST_FAILED = 0x04,
	DSA_STATUS_BATCH = 0x05,
	DSA_STATUS_BATCH_FAULT = 0x06,
	DSA_STATUS_DELTA_ORDER = 0x07,
	DSA_STATUS_DELTA_RANGE = 0x08,
	DSA_STATUS_DIF = 0x09,
	DSA_STATUS_OPCODE = 0x10,
	DSA_STATUS_FLAGS = 0x11,
	DSA_STATUS_RESERVED = 0x12,
	DSA_STATUS_SIZE = 0x13,
	DSA_STATUS_COUNT = 0x14,
	DSA_STATUS_DELTA_SIZE = 0x15,
	DSA_STATUS_OVERLAP = 0x16,
	DSA_STATUS_DUALCAST = 0x17,
	DSA_STATUS_LIST_ALIGNMENT = 0x18,
	DSA_STATUS_HANDLE = 0x19,
	DSA_STATUS_RECORD_FAULT = 0x1a,
	DSA_STATUS_RECORD_ALIGNMENT = 0x1b,
	DSA_STATUS_ALIGNMENT = 0x1c,
	DSA_STATUS_PRIVILEGE = 0x1d,
	DSA_STATUS_READBACK_FAULT = 0x1f,
	DSA_STATUS_TRANSLATION = 0x22,
	DSA_STATUS_DRAIN_LOGGED = 0x26,
	DSA_STATUS_BATCH_LOGGED = 0x27,
	DSA_STATUS_WRITE = 0x80, /* the access that faulted was a write */
};

enum dsa_dif_flag {
	DSA_DIF_BLOCK = 3, /* 512, 520, 4096, 4104 */
	DSA_DIF_INVERT_SEED = 1 << 2,
	DSA_DIF_INVERT_RESULT = 1 << 3,
	/* source */
	DSA_DIF_ALL_F_ERROR = 1 << 0,
	DSA_DIF_ALL_F = 1 << 1,
	DSA_DIF_APPLICATION_F = 1 << 2,
	DSA_DIF_TAGS_F = 1 << 3,
	DSA_DIF_GUARD_UNCHECKED = 1 << 5,
	DSA_DIF_REFERENCE_UNCHECKED = 1 << 6,
	/* destination */
	DSA_DIF_PASS_APPLICATION = 1 << 3,
	DSA_DIF_PASS_GUARD = 1 << 5,
	DSA_DIF_PASS_REFERENCE = 1 << 6,
	/* both */
	DSA_DIF_APPLICATION_INCREMENTS = 1 << 4,
	DSA_DIF_REFERENCE_FIXED = 1 << 7,
};

enum dsa_dif_result {
	DSA_DIF_BAD_GUARD = 1,
	DSA_DIF_BAD_APPLICATION = 2,
	DSA_DIF_BAD_REFERENCE = 4,
	DSA_DIF_BAD_ALL_F = 8,
};

#define DSA_DESCRIPTOR_PRIVILEGED (1u << 31)
#define DSA_DESCRIPTOR_PASID	  0xfffffu

struct dsa_descriptor {
	uint32_t pasid;	    /* and privilege, bit 31 */
	uint32_t operation; /* flags 23:0, opcode 31:24 */
	uint64_t record;
	uint64_t source;      /* or pattern, descriptor list, readback address */
	uint64_t destination; /* or second source, pattern to compare with, second readback address
			       */
	uint32_t size;	      /* or count */
	uint16_t handle;
	uint16_t reserved;
	union {
		uint8_t bytes[24];
		uint8_t expected;
		uint64_t pattern_high;
		uint64_t destination_2;
		uint32_t delta_size;
		struct {
			uint64_t address;
			uint32_t size;
			uint32_t reserved;
			uint8_t expected;
		} delta;
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
	};
};
_Static_assert(sizeof(struct dsa_descriptor) == 64, "DSA 8.1: descriptors have 64 bytes");

struct dsa_record {
	uint8_t status;
	uint8_t result;
	uint8_t fault_info;
	uint8_t reserved;
	uint32_t completed; /* bytes, or descriptors of a batch */
	uint64_t fault_address;
	union {
		uint8_t bytes[16];
		uint32_t invalid_flags;
		uint32_t delta_size;
		uint64_t crc;
		struct {
			uint32_t source_reference;
			uint16_t source_mask;
			uint16_t source_application;
			uint32_t destination_reference;
			uint16_t destination_mask;
			uint16_t destination_application;
		} dif;
	};
};
_Static_assert(sizeof(struct dsa_record) == 32, "DSA 8.2: completion records have 32 bytes");

#endif
