/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest in a box, for tests of the unit: flat memory, tables built by hand, registers, the queue.
 *
 * Everything goes through the public API. The numbers below are written down from the specification
 * a second time, on purpose not shared with lib/vtd: a wrong constant there must not agree with
 * itself here. Pages for tables come from a bump allocator and are never given back; a kit lives
 * for one test. Nothing here uses cmocka, so that benchmarks and fuzzers use it too; a mistake of
 * the test itself aborts.
 */
#ifndef TESTS_VTD_KIT_H
#define TESTS_VTD_KIT_H

#include <stdatomic.h>
#include <string.h>

#include <viommu/endpoint.h>
#include <viommu/unit.h>

#define BIT(n) (1ull << (n))

/* VT-d 11.4: registers. */
enum {
	REG_VER = 0x00,
	REG_CAP = 0x08,
	REG_ECAP = 0x10,
	REG_GCMD = 0x18,
	REG_GSTS = 0x1c,
	REG_RTADDR = 0x20,
	REG_CCMD = 0x28,
	REG_FSTS = 0x34,
	REG_FECTL = 0x38,
	REG_FEDATA = 0x3c,
	REG_FEADDR = 0x40,
	REG_FEUADDR = 0x44,
	REG_PMEN = 0x64,
	REG_PLMBASE = 0x68,
	REG_PLMLIMIT = 0x6c,
	REG_PHMBASE = 0x70,
	REG_PHMLIMIT = 0x78,
	REG_IQH = 0x80,
	REG_IQT = 0x88,
	REG_IQA = 0x90,
	REG_ICS = 0x9c,
	REG_IECTL = 0xa0,
	REG_IEDATA = 0xa4,
	REG_IEADDR = 0xa8,
	REG_IEUADDR = 0xac,
	REG_IQERCD = 0xb0,
	REG_IRTA = 0xb8,
	REG_PQH = 0xc0,
	REG_PQT = 0xc8,
	REG_PQA = 0xd0,
	REG_PRS = 0xdc,
	REG_PECTL = 0xe0,
	REG_PEDATA = 0xe4,
	REG_PEADDR = 0xe8,
	REG_PEUADDR = 0xec,
};

/* VT-d 11.4.4, 11.4.5 GCMD and GSTS. */
#define GCMD_CFI   BIT(23)
#define GCMD_SIRTP BIT(24)
#define GCMD_IRE   BIT(25)
#define GCMD_QIE   BIT(26)
#define GCMD_WBF   BIT(27)
#define GCMD_SRTP  BIT(30)
#define GCMD_TE	   BIT(31)

/* VT-d 11.4.7.1 FSTS. */
enum {
	FSTS_PFO = 1 << 0,
	FSTS_PPF = 1 << 1,
	FSTS_IQE = 1 << 4,
	FSTS_ICE = 1 << 5,
	FSTS_ITE = 1 << 6,
};
/* VT-d 11.4.7.2: the same two bits in FECTL, IECTL and PECTL. */
#define EVENT_IM BIT(31)
#define EVENT_IP BIT(30)
enum { PRS_PPR = 1, PRS_PRO = 2 };

/* RTADDR.TTM in place. */
enum { TTM_LEGACY = 0, TTM_SCALABLE = 1 << 10, TTM_RESERVED = 2 << 10, TTM_ABORT = 3 << 10 };

/* Context entries: scalable (VT-d 9.4) and legacy (9.3). */
enum {
	CE_P = 1,
	CE_FPD = 2,
	CE_DTE = 4,
	CE_PASIDE = 8,
	CE_PRE = 16,
	CE_PDTS_SHIFT = 9,
	CE_TT_SHIFT = 2,
	CE_TT_MULTI = 0 << CE_TT_SHIFT,
	CE_TT_DEVICE_TLB = 1 << CE_TT_SHIFT,
	CE_TT_PASS = 2 << CE_TT_SHIFT,
};

/* PASID-table entry (VT-d 9.6): words 0, 1, 2. */
enum {
	PE_P = 1,
	PE_FPD = 2,
	PE_AW_SHIFT = 2,
	PE_FIRST = 1 << 6,
	PE_SECOND = 2 << 6,
	PE_NESTED = 3 << 6,
	PE_PASS = 4 << 6,
	PE_SSADE = 1 << 9,
	PE1_PWSNP = 1 << 23,
	PE1_PGSNP = 1 << 24,
	PE2_SRE = 1 << 0,
	PE2_ERE = 1 << 1,
	PE2_FSPM5 = 1 << 2,
	PE2_WPE = 1 << 4,
	PE2_NXE = 1 << 5,
	PE2_SMEP = 1 << 6,
	PE2_EAFE = 1 << 7,
};

/* First-stage entries (VT-d 9.7). */
#define FS_P  BIT(0)
#define FS_RW BIT(1)
#define FS_US BIT(2)
#define FS_A  BIT(5)
#define FS_D  BIT(6)
#define FS_PS BIT(7)
#define FS_G  BIT(8)
#define FS_EA BIT(10)
#define FS_XD BIT(63)

/* Second-stage entries (VT-d 9.8). */
#define SS_R   BIT(0)
#define SS_W   BIT(1)
#define SS_PS  BIT(7)
#define SS_A   BIT(8)
#define SS_D   BIT(9)
#define SS_SNP BIT(11)

/* Descriptors (VT-d 6.5.2). */
enum {
	QI_CONTEXT = 1,
	QI_IOTLB = 2,
	QI_DEVICE_TLB = 3,
	QI_IEC = 4,
	QI_WAIT = 5,
	QI_PIOTLB = 6,
	QI_PASID_CACHE = 7,
	QI_PASID_DEVICE_TLB = 8,
	QI_PAGE_RESPONSE = 9,
	QI_G_SHIFT = 4,
	QI_WAIT_IF = 1 << 4,
	QI_WAIT_SW = 1 << 5,
	QI_WAIT_FN = 1 << 6,
	QI_WAIT_PD = 1 << 7,
};

struct kit_message {
	uint64_t address;
	uint32_t data;
	struct viommu_endpoint *cause;
};

struct kit_invalidate {
	uint32_t pasid;
	bool all_pasids;
	uint64_t iova, last;
};

struct kit_response {
	uint32_t pasid;
	uint16_t group;
	enum viommu_response_code code;
};

#define KIT_LOG 64

struct kit {
	struct viommu_memory *memory;
	struct viommu_unit *unit;
	struct viommu_endpoint *endpoint; /* rid KIT_RID */
	uint8_t *ram;
	uint64_t ram_size;
	uint64_t next_page;
	uint64_t root, queue, status;
	uint64_t ttm;	      /* of the root pointer set last */
	uint32_t queue_order; /* IQA.QS */
	uint32_t queue_bytes;
	bool wide; /* 256-bit descriptors */
	uint32_t tail;
	uint32_t sequence; /* of wait descriptors */
	uint32_t gcmd;
	uint64_t cap, ecap;
	/* What the unit told us; the counters count also beyond the log. */
	atomic_uint messages, invalidates, responses, logs;
	struct kit_message message[KIT_LOG];
	struct kit_invalidate invalidate[KIT_LOG];
	struct kit_response response[KIT_LOG];
};

#define KIT_RID 0x0010 /* 00:02.0 */
#define KIT_DID 7
#define KIT_RAM (64ull << 20)
/* Pages below this are for tests to use as they like; tables come from above. */
#define KIT_DATA_END (16ull << 20)

/*
 * Create memory, a unit with these options (NULL: the defaults) and one endpoint with every
 * feature.
 */
void kit_create(struct kit *kit, const struct viommu_unit_options *options);
void kit_create_sized(struct kit *kit, const struct viommu_unit_options *options, uint64_t ram);
void kit_destroy(struct kit *kit);
/* Further endpoint whose callbacks log into the same kit. */
struct viommu_endpoint *kit_endpoint(struct kit *kit, uint16_t rid);
extern const struct viommu_endpoint_ops kit_endpoint_ops;
extern const struct viommu_unit_ops kit_unit_ops;

uint64_t kit_page(struct kit *kit);
uint64_t kit_pages(struct kit *kit, unsigned int count);
uint64_t kit_get(struct kit *kit, uint64_t gpa);
void kit_put(struct kit *kit, uint64_t gpa, uint64_t value);

uint64_t kit_read(struct kit *kit, uint64_t offset, unsigned int length);
void kit_write(struct kit *kit, uint64_t offset, unsigned int length, uint64_t value);

/* Handshakes: SRTP with this RTADDR, queue on, TE on; kit_start does all three. */
void kit_set_root(struct kit *kit, uint64_t rtaddr);
void kit_queue_on(struct kit *kit);
void kit_queue_off(struct kit *kit);
void kit_enable(struct kit *kit);
void kit_disable(struct kit *kit);
void kit_start(struct kit *kit, uint64_t ttm);

/* Tables. The _entry functions allocate what is above them and return the entry's address. */
uint64_t kit_context(struct kit *kit, uint16_t rid); /* by mode: 16 or 32 bytes */
uint64_t kit_context_legacy(struct kit *kit, uint16_t rid);
uint64_t kit_context_scalable(struct kit *kit, uint16_t rid);
uint64_t kit_pasid_entry(struct kit *kit, uint16_t rid, uint32_t pasid);
void kit_set_pasid_entry(struct kit *kit, uint16_t rid, uint32_t pasid, uint64_t qw0, uint64_t qw1,
			 uint64_t qw2);
/* The leaf entry for `iova` at `leaf` level (1 is 4 KiB), tables above it made present and open. */
uint64_t kit_first_leaf(struct kit *kit, uint64_t root, int levels, uint64_t iova, int leaf);
uint64_t kit_second_leaf(struct kit *kit, uint64_t root, int levels, uint64_t iova, int leaf);
/*
 * Map one leaf: `flags` as given for a 4 KiB leaf, PS added for larger ones. Returns the entry's
 * address.
 */
uint64_t kit_map_first(struct kit *kit, uint64_t root, int levels, uint64_t iova, int leaf,
		       uint64_t entry);
uint64_t kit_map_second(struct kit *kit, uint64_t root, int levels, uint64_t iova, int leaf,
			uint64_t entry);

/* Whole set-ups: a fresh table root, a PE for `pasid` of KIT_RID that uses it; returns the root. */
uint64_t kit_setup_first(struct kit *kit, uint32_t pasid, int levels);
uint64_t kit_setup_second(struct kit *kit, uint32_t pasid, int levels);
/*
 * Nested: first-stage root returned (a GPA behind the second stage), second stage through *second.
 */
uint64_t kit_setup_nested(struct kit *kit, uint32_t pasid, int first_levels, int second_levels,
			  uint64_t *second);
uint64_t kit_setup_legacy(struct kit *kit, uint16_t rid, int levels);

/*
 * The queue. kit_submit only writes a descriptor; kit_ring writes the tail; kit_sync adds a wait
 * with status write.
 */
void kit_submit(struct kit *kit, uint64_t qw0, uint64_t qw1);
void kit_submit4(struct kit *kit, uint64_t qw0, uint64_t qw1, uint64_t qw2, uint64_t qw3);
void kit_ring(struct kit *kit);
bool kit_sync(struct kit *kit); /* true when the status was written */
/* One descriptor and a wait. */
bool kit_command(struct kit *kit, uint64_t qw0, uint64_t qw1);
bool kit_flush_all(struct kit *kit); /* contexts, PASIDs, IOTLB */

static inline uint64_t qi_context(unsigned int g, uint16_t did, uint16_t sid, unsigned int fm)
{
	return QI_CONTEXT | (uint64_t)g << 4 | (uint64_t)did << 16 | (uint64_t)sid << 32 |
	       (uint64_t)fm << 48;
}

static inline uint64_t qi_iotlb(unsigned int g, uint16_t did)
{
	return QI_IOTLB | (uint64_t)g << 4 | (uint64_t)did << 16;
}

static inline uint64_t qi_piotlb(unsigned int g, uint16_t did, uint32_t pasid)
{
	return QI_PIOTLB | (uint64_t)g << 4 | (uint64_t)did << 16 | (uint64_t)pasid << 32;
}

static inline uint64_t qi_pasid_cache(unsigned int g, uint16_t did, uint32_t pasid)
{
	return QI_PASID_CACHE | (uint64_t)g << 4 | (uint64_t)did << 16 | (uint64_t)pasid << 32;
}

static inline uint64_t qi_page_response(bool pp, uint32_t pasid, uint16_t rid, unsigned int code)
{
	return QI_PAGE_RESPONSE | (uint64_t)pp << 4 | (uint64_t)code << 12 | (uint64_t)rid << 16 |
	       (uint64_t)pasid << 32;
}

/* A fault record as the guest reads it (VT-d 11.4.7.6). */
struct kit_record {
	uint64_t info;
	uint16_t sid;
	uint8_t reason;
	bool t1, t2, priv, exe, pp;
	uint8_t at;
	uint32_t pasid;
};
/* VT-d 11.4.7.6 FI: what the unit reports of an address. */
uint64_t kit_address_bits(const struct kit *kit);
/* Record `index` if its F is set; clears F. */
bool kit_take_record(struct kit *kit, unsigned int index, struct kit_record *record);
/* The record FSTS.FRI names, as a driver's handler does; clears F and PFO. */
bool kit_take_fault(struct kit *kit, struct kit_record *record);

#endif
