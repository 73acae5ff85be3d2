/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One Intel VT-d remapping unit: options, registers, statistics, state.
 *
 * Register and queue work on a unit is serialised by the unit: viommu_unit_read/write may be called
 * from any thread. Callbacks run on the calling thread and never under a lock they could re-enter.
 * Specification: Intel Virtualization Technology for Directed I/O, architecture revision 4.1 or later.
 */
#ifndef VIOMMU_UNIT_H
#define VIOMMU_UNIT_H

#include <viommu/memory.h>
#include <viommu/stream.h>
#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct viommu_unit;
struct viommu_endpoint;

/* The registers' window, bytes. */
#define VIOMMU_UNIT_WINDOW 4096

/*
 * Options, all by name too (viommu_unit_options_set). Capability bits in brackets are VT-d 11.4.2/11.4.3.
 * viommu_unit_options_init gives the defaults: everything a stock Linux guest can use.
 */
struct viommu_unit_options {
	uint32_t size;
	uint8_t aw_bits;           /* aw-bits: 39, 48 or 57; widest second stage and host address width [SAGAW, MGAW] */
	uint8_t pasid_bits;        /* pasid-bits: 0..20; 0 is no PASID [PASID, PSS] */
	bool scalable;             /* scalable [SMTS] */
	bool first_stage;          /* first-stage [FSTS, FS1GP; FS5LP when five_level] */
	bool second_stage;         /* second-stage [SSTS in scalable mode] */
	bool nested;               /* nested [NEST]; needs both stages */
	bool pass_through;         /* pass-through [PT] */
	bool five_level;           /* five-level: first stage may have 5 levels [FS5LP] */
	bool device_iotlb;         /* device-iotlb [DT] */
	bool page_request;         /* page-request [PRS, PDS]; needs device-iotlb and scalable */
	bool caching_mode;         /* caching-mode [CM] */
	bool snoop_control;        /* snoop-control [SC] */
	bool dirty_tracking;       /* dirty-tracking: second-stage A/D bits [SSADS] */
	bool coherent;             /* coherent: tables are snooped [C, SMPWCS] */
	bool execute_request;      /* execute-request [ERS] */
	bool supervisor_request;   /* supervisor-request [SRS] */
	bool extended_accessed;    /* extended-accessed [EAFS] */
	bool rid_pasid;            /* rid-pasid: CE.RID_PASID is honoured [RPS] */
	bool memory_type;          /* memory-type [MTS] */
	bool abort_mode;           /* abort-mode: RTADDR.TTM = 3 [ADMS/ABORTS] */
	bool interrupt_remapping;  /* interrupt-remapping [IR] */
	bool extended_interrupt;   /* extended-interrupt [EIM]; needs interrupt-remapping */
	bool posted_interrupts;    /* posted-interrupts [PI]; needs interrupt-remapping */
	bool zero_length_read;     /* zero-length-read [ZLR] */
	uint16_t fault_records;    /* fault-records: 1..160 [NFR]; default 8 */
	uint16_t segment;          /* segment: PCI segment of the scope */
	uint32_t iotlb_entries;    /* iotlb-entries: a power of two, 64..1048576; default 65536 */
	bool drain;                /* drain: invalidation waits drain access sections; off only to show a test fail */
	/* Not for a stock guest's everyday: off unless asked for. */
	bool protected_memory;       /* protected-memory [PLMR, PHMR] */
	bool performance_monitoring; /* performance-monitoring [ECMDS, PMS]; leaves room for 32 fault-records */
	bool virtual_commands;       /* virtual-commands [VCS, VCCAP]; leaves room for 128 fault-records */
	bool advanced_fault_log;     /* advanced-fault-log: faults go to a ring in memory [AFL, revisions up to 3] */
	uint64_t named;              /* viommu_unit_options_set's own: what was asked for by name */
	bool rid_privilege;          /* rid-privilege: CE.RID_PRIV is honoured [RPRIVS]; needs supervisor-request */
};

VIOMMU_API void viommu_unit_options_init(struct viommu_unit_options *options);
/*
 * Set one option by its name and text value ("on"/"off", a number). On error `message` gets one sentence naming
 * the option, the value and what is allowed. -ENOENT: no such option; -EINVAL: value not allowed.
 * What is switched off takes along what needs it and is on by default only. What needs it and was asked for by name
 * stays, for viommu_unit_options_check to refuse, in whichever order the two were set.
 */
VIOMMU_API int viommu_unit_options_set(struct viommu_unit_options *options, const char *name,
				       const char *value, char *message, size_t message_length);
/* Check the combination. Same message rule. -EINVAL, -E2BIG. */
VIOMMU_API int viommu_unit_options_check(const struct viommu_unit_options *options, char *message,
					 size_t message_length);
/* The options for a help text: index 0, 1, ... until it returns -ENOENT. Strings are static. */
struct viommu_option_info {
	uint32_t size;
	const char *name;
	const char *allowed; /* "on|off", "0..20", ... */
	const char *help;
	char default_value[16];
};
VIOMMU_API int viommu_unit_option_info(unsigned int index, struct viommu_option_info *info);

struct viommu_unit_ops {
	uint32_t size;
	/*
	 * An event message (fault, page request, invalidation completion): the guest wrote `address` and
	 * `data` into FE/PE/IE registers. `cause` is the endpoint whose request caused it, NULL if none. It may be
	 * called on any thread that translates or writes a register, inside an access section: do not block.
	 */
	void (*message)(void *opaque, struct viommu_endpoint *cause, uint64_t address, uint32_t data);
	/* Optional. A one-line operator message (host refused, guest misbehaves); `text` lives for the call. */
	void (*log)(void *opaque, const char *text);
	/*
	 * Optional, both or none (-EINVAL at creation): PASIDs for the guest's virtual commands (VT-d 11.4.16), where
	 * somebody else numbers them. Called with no lock held on the thread that writes VCMD. Allocate: 0 and a PASID of
	 * at most pasid-bits bits, or a negative errno for "none available"; free: 0, or a negative errno for "no such".
	 * Without them the unit gives out 1, 2, ... itself, and keeps that in its saved state. A reset frees nothing here.
	 */
	int (*pasid_allocate)(void *opaque, uint32_t *pasid);
	int (*pasid_free)(void *opaque, uint32_t pasid);
};

/*
 * Create a unit whose tables and queue live in `memory` (must outlive it). Options are checked.
 * -EINVAL, -E2BIG, -ENOMEM.
 */
VIOMMU_API int viommu_unit_create(const struct viommu_unit_options *options,
				  struct viommu_memory *memory, const struct viommu_unit_ops *ops,
				  void *opaque, struct viommu_unit **unit);
/* Destroy: its endpoints must be gone. */
VIOMMU_API void viommu_unit_destroy(struct viommu_unit *unit);

/*
 * A guest's access to the register window: `length` 4 or 8, naturally aligned. Anything else, and offsets without a
 * register, read as zero and ignore writes, and give -EINVAL for the embedder's log.
 * A write may execute invalidation descriptors: then it waits for access sections (-EDEADLK inside one).
 */
VIOMMU_API int viommu_unit_read(struct viommu_unit *unit, uint64_t offset, unsigned int length,
				uint64_t *value);
VIOMMU_API int viommu_unit_write(struct viommu_unit *unit, uint64_t offset, unsigned int length,
				 uint64_t value);
/*
 * Power-on state: TE, QIE, IRE off, all caches empty, pending faults and page requests forgotten. It waits for access
 * sections: not to be called inside one.
 */
VIOMMU_API void viommu_unit_reset(struct viommu_unit *unit);

VIOMMU_API const struct viommu_unit_options *viommu_unit_options(const struct viommu_unit *unit);
VIOMMU_API struct viommu_memory *viommu_unit_memory(const struct viommu_unit *unit);

/* Capabilities and present mode in words, one line each, for people ("first stage: 4 and 5 levels, ..."). Returns the length. */
VIOMMU_API size_t viommu_unit_describe(const struct viommu_unit *unit, char *text, size_t length);

/* Counters since creation. All are monotonic except the gauges named so. */
struct viommu_statistics {
	uint32_t size;
	uint32_t reserved;
	uint64_t translations;      /* requests translated, hits and misses */
	uint64_t iotlb_hits;
	uint64_t iotlb_misses;
	uint64_t pasid_cache_misses;
	uint64_t table_reads;       /* guest words read by walks, and for the pages behind the first of a long request */
	uint64_t descriptors;       /* invalidation descriptors executed */
	uint64_t waits;             /* wait descriptors completed */
	uint64_t faults;            /* recorded */
	uint64_t faults_lost;       /* overflow, collapse, FPD */
	uint64_t page_requests;
	uint64_t page_responses;
	uint64_t device_tlb_invalidations;
	uint64_t events;            /* event messages sent */
	uint64_t entries_visited;   /* IOTLB/PASID entries looked at by invalidations */
	uint64_t drains;            /* waits for access sections */
	uint64_t pasids;            /* gauge: PASIDs with a cached entry */
	uint64_t bytes;             /* bytes moved by viommu_dma_* */
};
VIOMMU_API int viommu_unit_statistics(const struct viommu_unit *unit, struct viommu_statistics *statistics);

/*
 * Save and load the unit's state (registers, queue position, pending faults and page requests; caches are dropped).
 * Save wants no DMA and no invalidation of a device TLB in flight: -EBUSY otherwise. Load checks everything first: -EBADMSG, -EPROTONOSUPPORT, -EINVAL (capabilities do not fit, `message`
 * names them); the unit is as it was after any error.
 */
VIOMMU_API int viommu_unit_save(struct viommu_unit *unit, struct viommu_stream_writer *writer,
				uint32_t instance);
VIOMMU_API int viommu_unit_load(struct viommu_unit *unit, struct viommu_stream_reader *reader,
				uint32_t instance, char *message, size_t message_length);
/*
 * Would it load the state of a unit with these capability registers (VT-d 11.4.2, 11.4.3)? To be asked before a migration stops
 * anything. -EINVAL: no, and `message` names the options.
 */
VIOMMU_API int viommu_unit_compare(const struct viommu_unit *unit, uint64_t cap, uint64_t ecap, char *message,
				   size_t message_length);

#ifdef __cplusplus
}
#endif
#endif
