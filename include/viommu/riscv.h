/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RISC-V access checkers: wgChecker, wgMarker, the WorldGuard CSRs, and the IOPMP.
 *
 * A checker is a region (region.h) plus a block of registers. Put viommu_wgchecker_region() in
 * front of the memory it guards; what it lets through goes on, at the same address, in the map it
 * was given as `next`. Register accesses may come from any thread and take effect, on every
 * listener, before they return. A register value never makes the library fail: it is legalised as
 * the specification says.
 */
#ifndef VIOMMU_RISCV_H
#define VIOMMU_RISCV_H

#include <viommu/region.h>
#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VIOMMU_NO_WID UINT32_MAX
#define VIOMMU_WID_LIMIT 32u /* WIDs are 0..31 */

/* Set the level of an interrupt wire. Any thread, under no lock a register access takes. */
typedef void (*viommu_irq_fn)(void *opaque, bool level);

/*
 * wgChecker: slots of address ranges with read and write permission per world.
 */
struct viommu_wgchecker;

enum viommu_wgchecker_flags {
	/* reset lets trusted_wid through: last slot is TOR with its permissions */
	VIOMMU_WG_HW_BYPASS = 1u << 0,
	/* lowest matching slot decides; default: any matching slot may grant */
	VIOMMU_WG_PRIORITY = 1u << 1,
	/* every write of a permission register sets trusted_wid's bits */
	VIOMMU_WG_TRUSTED_FORCED = 1u << 2,
	/* two worlds: WID bit 0 decides, as a TrustZone NS bit would */
	VIOMMU_WG_TZ_COMPAT = 1u << 3,
};

struct viommu_wgchecker_config {
	uint32_t size;
	uint32_t flags;       /* enum viommu_wgchecker_flags */
	uint64_t start, length; /* guarded addresses; rounded out to 4 KiB */
	/* nslots, 1..1024: there are slots + 1 slots, slot 0 is the default */
	uint32_t slots;
	uint32_t worlds;      /* 1..32 */
	uint32_t trusted_wid; /* or VIOMMU_NO_WID */
	uint32_t vendor, implementation;
	struct viommu_map *next; /* where permitted accesses go on */
	viommu_irq_fn irq;    /* may be NULL */
	void *irq_opaque;
};

/* Register block: at least VIOMMU_WGCHECKER_REGISTERS(slots) bytes. */
#define VIOMMU_WGCHECKER_REGISTERS(slots) (0x20u + 32u * ((slots) + 1u))

/*
 * -EINVAL: a value above out of range, no next; -E2BIG; -ENOMEM. Destroy: its region is in no map.
 */
VIOMMU_API int viommu_wgchecker_create(const struct viommu_wgchecker_config *config,
				       struct viommu_wgchecker **checker);
VIOMMU_API void viommu_wgchecker_destroy(struct viommu_wgchecker *checker);
VIOMMU_API struct viommu_region *viommu_wgchecker_region(struct viommu_wgchecker *checker);
VIOMMU_API void viommu_wgchecker_reset(struct viommu_wgchecker *checker);
/*
 * Registers, as a device: opaque is the checker. 4- and 8-byte naturally aligned accesses; others
 * read zero and write nothing. Only the trusted WID may come here: put a WID guard (below) in front
 * of the segment.
 */
VIOMMU_API const struct viommu_mmio_ops *viommu_wgchecker_mmio(void);

/*
 * A WID guard: the region in front of WorldGuard register blocks. Lets `trusted_wid` through to
 * `next` (VIOMMU_NO_WID: everybody) and gives others zeros and ignored writes. -EINVAL, -ENOMEM.
 */
struct viommu_wid_guard;
VIOMMU_API int viommu_wid_guard_create(uint32_t trusted_wid, struct viommu_map *next,
				       struct viommu_wid_guard **guard);
VIOMMU_API void viommu_wid_guard_destroy(struct viommu_wid_guard *guard);
VIOMMU_API struct viommu_region *viommu_wid_guard_region(struct viommu_wid_guard *guard);

/*
 * wgMarker: gives the accesses of an initiator that knows no worlds their WID, or blocks them with
 * a bus error while VALID is clear. Put the initiator on a map with the marker's region over
 * everything; the access goes on in `next` with the marker's WID.
 */
struct viommu_wgmarker;
struct viommu_wgmarker_config {
	uint32_t size;
	uint32_t wid;    /* reset value */
	uint32_t worlds; /* 1..32; a WID written at or above is ignored */
	uint32_t vendor, implementation;
	struct viommu_map *next;
};
#define VIOMMU_WGMARKER_REGISTERS 0x10u
/* -EINVAL: a value above out of range, a WID that is none of the worlds, no next; -E2BIG; -ENOMEM. */
VIOMMU_API int viommu_wgmarker_create(const struct viommu_wgmarker_config *config,
				      struct viommu_wgmarker **marker);
VIOMMU_API void viommu_wgmarker_destroy(struct viommu_wgmarker *marker);
VIOMMU_API struct viommu_region *viommu_wgmarker_region(struct viommu_wgmarker *marker);
/* The WID it gives now. Any thread. */
VIOMMU_API uint32_t viommu_wgmarker_wid(const struct viommu_wgmarker *marker);
VIOMMU_API void viommu_wgmarker_reset(struct viommu_wgmarker *marker);
VIOMMU_API const struct viommu_mmio_ops *viommu_wgmarker_mmio(void);

/*
 * The ISA side: which WID a hart's access carries. Pure functions on a state the hart owns.
 */
enum viommu_world_version {
	VIOMMU_WORLDS_WG04,  /* WorldGuard 0.4 */
	VIOMMU_WORLDS_DRAFT, /* the RISC-V Worlds draft */
};
enum viommu_world_extensions {
	VIOMMU_SMWID = 1u << 0,      /* draft: mwid is a CSR */
	VIOMMU_SMLWID = 1u << 1,     /* mlwid (0.4: Smwg) */
	VIOMMU_SMLWIDLIST = 1u << 2, /* draft: mlwidlist is a CSR */
	VIOMMU_SMWIDDELEG = 1u << 3, /* mwiddeleg (0.4: Smwgd) */
	VIOMMU_SSWID = 1u << 4,      /* slwid (0.4: Sswg) */
};
enum viommu_world_csr {
	VIOMMU_CSR_SLWID = 0x190,
	VIOMMU_CSR_MLWID = 0x390,
	VIOMMU_CSR_MWIDDELEG = 0x748,
};

struct viommu_world_config {
	uint32_t size;
	uint32_t version;      /* enum viommu_world_version */
	uint32_t extensions;   /* enum viommu_world_extensions */
	uint32_t worlds;       /* 1..32 */
	uint32_t mwid;         /* 0.4: M-mode's WID (a strap); draft: pmwid */
	/* WIDs legal in modes below M (0.4: mwidlist; draft: pmlwidlist), never empty */
	uint32_t mwidlist;
	uint32_t pmwidlist;    /* draft: WIDs legal for M */
	uint32_t trusted_wid;  /* 0.4: reset value of mlwid when hw_bypass */
	bool hw_bypass;
	bool supervisor;       /* the hart has S-mode */
	bool mwid_locked;      /* draft: mwid is born locked */
	/* draft: CSR numbers the platform gives them; 0: absent */
	uint32_t csr_mwid, csr_mlwidlist;
	uint32_t xlen;         /* 32 or 64: where mwid's lock bit is */
};

struct viommu_world_state {
	uint64_t mwid; /* draft: with the lock bit */
	uint64_t mlwid, mlwidlist, mwiddeleg, slwid;
};

/* RISC-V privilege modes as encoded in mstatus.MPP; `virtual_mode` below is V. */
enum viommu_riscv_mode { VIOMMU_MODE_U = 0, VIOMMU_MODE_S = 1, VIOMMU_MODE_M = 3 };

/* -EINVAL (names a value out of range), -E2BIG. */
VIOMMU_API int viommu_world_check(const struct viommu_world_config *config);
VIOMMU_API void viommu_world_reset(const struct viommu_world_config *config,
				   struct viommu_world_state *state);
/*
 * CSR access from `mode`. -ENOENT: no such CSR in this configuration; -EPERM: not from this mode,
 * or slwid while nothing is delegated: both are illegal-instruction exceptions. A write returns 1
 * when a WID that an access uses may have changed (switch the TLB's context; no flush needed), else
 * 0.
 */
VIOMMU_API int viommu_world_read(const struct viommu_world_config *config,
				 const struct viommu_world_state *state, uint32_t csr,
				 enum viommu_riscv_mode mode, uint64_t *value);
VIOMMU_API int viommu_world_write(const struct viommu_world_config *config,
				  struct viommu_world_state *state, uint32_t csr,
				  enum viommu_riscv_mode mode, uint64_t value);
/*
 * The WID of an access (load, store, fetch, or the page walk for it) whose effective mode is `mode`
 * (after MPRV). 0 and *wid. Draft: VIOMMU_FAULT when the WID is not allowed: raise a software-check
 * exception (cause 18, mtval 4) in M-mode, above any access fault.
 */
VIOMMU_API int viommu_world_wid(const struct viommu_world_config *config,
				const struct viommu_world_state *state, enum viommu_riscv_mode mode,
				bool virtual_mode, uint32_t *wid);
#define VIOMMU_CAUSE_SOFTWARE_CHECK 18u
#define VIOMMU_SOFTWARE_CHECK_WORLD 4u

/*
 * IOPMP: source ids -> memory domains -> entries.
 */
struct viommu_iopmp;

enum viommu_iopmp_version { VIOMMU_IOPMP_0_8, VIOMMU_IOPMP_0_7 };

enum viommu_iopmp_flags {
	VIOMMU_IOPMP_TOR = 1u << 0,
	VIOMMU_IOPMP_SPS = 1u << 1,            /* secondary permissions: SRCMD_R/W/X */
	VIOMMU_IOPMP_STALL = 1u << 2,
	VIOMMU_IOPMP_MFR = 1u << 3,            /* multi-fault record */
	VIOMMU_IOPMP_PEIS = 1u << 4,           /* per-entry interrupt suppression */
	VIOMMU_IOPMP_PEES = 1u << 5,           /* per-entry error suppression */
	VIOMMU_IOPMP_MSI = 1u << 6,
	/* entries at and above prio_entry are not prioritised */
	VIOMMU_IOPMP_NON_PRIORITY = 1u << 7,
	VIOMMU_IOPMP_PRIORITY_PROG = 1u << 8,  /* prio_entry may be programmed until locked */
	VIOMMU_IOPMP_FETCH_IS_READ = 1u << 9,  /* xinr; 0.7: CHK_X = 0 */
	VIOMMU_IOPMP_NO_FETCH = 1u << 10,      /* no_x */
	VIOMMU_IOPMP_NO_WRITE = 1u << 11,      /* no_w */
	VIOMMU_IOPMP_ADDRH = 1u << 12,         /* 64-bit entry addresses */
	/* MDCFG format 2: md_entry_num may be programmed until enable */
	VIOMMU_IOPMP_MD_ENTRY_PROG = 1u << 13,
	VIOMMU_IOPMP_RRID_TRANSL = 1u << 14,   /* requests leave with rrid_transl as source id */
	VIOMMU_IOPMP_RRID_TRANSL_PROG = 1u << 15,
	VIOMMU_IOPMP_NO_ERROR_RECORD = 1u << 16,
	VIOMMU_IOPMP_ENABLED = 1u << 17,       /* enable is hardwired (or preset) to 1 */
	VIOMMU_IOPMP_NO_ERROR_EID = 1u << 18,  /* ERR_REQID.eid is not implemented: 0xffff */
	/* stalled requests wait instead of failing (stall_violation_en reads 0) */
	VIOMMU_IOPMP_STALL_BUFFER = 1u << 19,
};

/* HWCFG3 formats; the specification's names of the pairs are in docs/riscv.md. */
struct viommu_iopmp_config {
	uint32_t size;
	uint32_t version;      /* enum viommu_iopmp_version */
	uint32_t flags;        /* enum viommu_iopmp_flags */
	uint32_t mdcfg_format; /* 0: table, 1: fixed k, 2: programmable k */
	/* 0: bitmap, 1: source i is domain i, 2: domain-indexed permissions */
	uint32_t srcmd_format;
	/* rrid_num, 1..65535; format 1: <= 63 (equal to domains), 2: <= 32 */
	uint32_t sources;
	uint32_t domains;      /* md_num, 1..63 */
	uint32_t entries;      /* entry_num, 1..65535 */
	uint32_t domain_entries; /* k of formats 1 and 2, 1..128 */
	uint32_t priority_entries; /* prio_entry, when NON_PRIORITY */
	uint32_t granularity;  /* G: entries are at least 2^(G+2) bytes; 0..30 */
	/* of the entry array in the register block, 4096-aligned; 0: after the other tables */
	uint32_t entry_offset;
	uint32_t source_translation; /* rrid_transl */
	uint32_t vendor, implementation, specification; /* VERSION and IMPLEMENTATION fields */
	struct viommu_map *next;
	viommu_irq_fn irq;
	void *irq_opaque;
	/*
	 * Send an MSI: a 4-byte write to `address`. Non-zero: the write failed (msi_werr). NULL:
	 * written to next's memory.
	 */
	int (*msi)(void *opaque, uint64_t address, uint32_t data);
	void *msi_opaque;
};

/* -EINVAL: a value or combination the specification does not allow; -E2BIG; -ENOMEM. */
VIOMMU_API int viommu_iopmp_create(const struct viommu_iopmp_config *config,
				   struct viommu_iopmp **iopmp);
VIOMMU_API void viommu_iopmp_destroy(struct viommu_iopmp *iopmp);
/* The region: attributes.source is the RRID. PASS goes on in `next` with the same address. */
VIOMMU_API struct viommu_region *viommu_iopmp_region(struct viommu_iopmp *iopmp);
/* Size of the register block in bytes, a multiple of 4096. */
VIOMMU_API uint32_t viommu_iopmp_registers(const struct viommu_iopmp *iopmp);
VIOMMU_API void viommu_iopmp_reset(struct viommu_iopmp *iopmp);
/*
 * Registers, as a device: opaque is the IOPMP. Registers are 32-bit; an aligned 8-byte access is
 * two of them, low first; 1- and 2-byte reads give their bytes, 1- and 2-byte writes are ignored.
 */
VIOMMU_API const struct viommu_mmio_ops *viommu_iopmp_mmio(void);

/*
 * Snapshots: everything a guest can see, as bytes. save: *length in: room, out: bytes; -ENOSPC.
 * load: -EBADMSG when the bytes are not from an equally configured object (nothing changes), -ENOMEM;
 * values are legalised like register writes.
 */
VIOMMU_API int viommu_wgchecker_save(struct viommu_wgchecker *checker, void *data, size_t *length);
VIOMMU_API int viommu_wgchecker_load(struct viommu_wgchecker *checker, const void *data,
				     size_t length);
VIOMMU_API int viommu_wgmarker_save(struct viommu_wgmarker *marker, void *data, size_t *length);
VIOMMU_API int viommu_wgmarker_load(struct viommu_wgmarker *marker, const void *data,
				    size_t length);
VIOMMU_API int viommu_iopmp_save(struct viommu_iopmp *iopmp, void *data, size_t *length);
VIOMMU_API int viommu_iopmp_load(struct viommu_iopmp *iopmp, const void *data, size_t length);

#ifdef __cplusplus
}
#endif
#endif
