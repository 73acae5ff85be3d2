/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The words of the VT-d specification (architecture revision 4.1 and later): registers, table
 * entries, descriptors and fault reasons, as constants and nothing else.
 *
 * Masks are named after the fields of the specification. A field of more than one bit has a mask
 * and is read with vtd_field(). Numbers of words: "qw0" is the first eight bytes of an entry.
 */
#ifndef VIOMMU_VTD_SPEC_H
#define VIOMMU_VTD_SPEC_H

#include <stdint.h>

#define VTD_BIT(n)     (1ull << (n))
#define VTD_MASK(h, l) ((~0ull >> (63 - (h))) & (~0ull << (l)))

/* The value of the field `mask` in `word`. */
static inline uint64_t vtd_field(uint64_t word, uint64_t mask)
{
	return (word & mask) / (mask & -mask);
}

/* `value` placed in the field `mask`. */
static inline uint64_t vtd_place(uint64_t value, uint64_t mask)
{
	return value * (mask & -mask) & mask;
}

/* VT-d 11.4: register offsets. FRO and IRO are in capability.h. */
enum vtd_register_offset {
	VTD_REG_VER = 0x00,
	VTD_REG_CAP = 0x08,
	VTD_REG_ECAP = 0x10,
	VTD_REG_GCMD = 0x18,
	VTD_REG_GSTS = 0x1c,
	VTD_REG_RTADDR = 0x20,
	VTD_REG_CCMD = 0x28,
	VTD_REG_FSTS = 0x34,
	VTD_REG_FECTL = 0x38,
	VTD_REG_FEDATA = 0x3c,
	VTD_REG_FEADDR = 0x40,
	VTD_REG_FEUADDR = 0x44,
	VTD_REG_AFLOG = 0x58,
	VTD_REG_PMEN = 0x64,
	VTD_REG_PLMBASE = 0x68,
	VTD_REG_PLMLIMIT = 0x6c,
	VTD_REG_PHMBASE = 0x70,
	VTD_REG_PHMLIMIT = 0x78,
	VTD_REG_IQH = 0x80,
	VTD_REG_IQT = 0x88,
	VTD_REG_IQA = 0x90,
	VTD_REG_ICS = 0x9c,
	VTD_REG_IECTL = 0xa0,
	VTD_REG_IEDATA = 0xa4,
	VTD_REG_IEADDR = 0xa8,
	VTD_REG_IEUADDR = 0xac,
	VTD_REG_IQERCD = 0xb0,
	VTD_REG_IRTA = 0xb8,
	VTD_REG_PQH = 0xc0,
	VTD_REG_PQT = 0xc8,
	VTD_REG_PQA = 0xd0,
	VTD_REG_PRS = 0xdc,
	VTD_REG_PECTL = 0xe0,
	VTD_REG_PEDATA = 0xe4,
	VTD_REG_PEADDR = 0xe8,
	VTD_REG_PEUADDR = 0xec,
	VTD_REG_MTRRCAP = 0x100,
	VTD_REG_MTRRDEF = 0x108,
	VTD_REG_MTRR_FIXED = 0x120,    /* eleven */
	VTD_REG_MTRR_VARIABLE = 0x180, /* ten pairs of base and mask */
	VTD_REG_PERFCAP = 0x300,
	VTD_REG_PERFCFGOFF = 0x310,
	VTD_REG_PERFFRZOFF = 0x314,
	VTD_REG_PERFOVFOFF = 0x318,
	VTD_REG_PERFCNTROFF = 0x31c,
	VTD_REG_PERFINTRSTS = 0x324,
	VTD_REG_PERFINTRCTL = 0x328,
	VTD_REG_PERFINTRUADDR = 0x334,
	VTD_REG_PERFEVNTCAP = 0x380,
	VTD_REG_ECMD = 0x400,
	VTD_REG_ECEO = 0x408,
	VTD_REG_ECRSP = 0x410,
	VTD_REG_ECSTS = 0x420,
	VTD_REG_ECCAP = 0x430,
	VTD_REG_VCMD = 0xe00,
	VTD_REG_VCMD_EO = 0xe08,
	VTD_REG_VCRSP = 0xe10,
	VTD_REG_VCCAP = 0xe30,
};

/* VT-d 11.4.2: capability bits used here. */
#define VTD_CAP_AFL	   VTD_BIT(3)
#define VTD_CAP_PLMR	   VTD_BIT(5)
#define VTD_CAP_PHMR	   VTD_BIT(6)
#define VTD_CAP_CM	   VTD_BIT(7)
#define VTD_CAP_SAGAW	   VTD_MASK(12, 8)
#define VTD_CAP_MGAW	   VTD_MASK(21, 16)
#define VTD_CAP_ZLR	   VTD_BIT(22)
#define VTD_CAP_NFR	   VTD_MASK(47, 40)
#define VTD_CAP_MAMV_FIELD VTD_MASK(53, 48)
#define VTD_CAP_FS1GP	   VTD_BIT(56)
#define VTD_CAP_PI	   VTD_BIT(59)
#define VTD_CAP_FS5LP	   VTD_BIT(60)
#define VTD_CAP_ECMDS	   VTD_BIT(61)

/* VT-d 11.4.3 */
#define VTD_ECAP_C	VTD_BIT(0)
#define VTD_ECAP_QI	VTD_BIT(1)
#define VTD_ECAP_DT	VTD_BIT(2)
#define VTD_ECAP_IR	VTD_BIT(3)
#define VTD_ECAP_EIM	VTD_BIT(4)
#define VTD_ECAP_PT	VTD_BIT(6)
#define VTD_ECAP_SC	VTD_BIT(7)
#define VTD_ECAP_MTS	VTD_BIT(25)
#define VTD_ECAP_NEST	VTD_BIT(26)
#define VTD_ECAP_PRS	VTD_BIT(29)
#define VTD_ECAP_ERS	VTD_BIT(30)
#define VTD_ECAP_SRS	VTD_BIT(31)
#define VTD_ECAP_EAFS	VTD_BIT(34)
#define VTD_ECAP_PSS	VTD_MASK(39, 35)
#define VTD_ECAP_PASID	VTD_BIT(40)
#define VTD_ECAP_PDS	VTD_BIT(42)
#define VTD_ECAP_SMTS	VTD_BIT(43)
#define VTD_ECAP_VCS	VTD_BIT(44)
#define VTD_ECAP_SSADS	VTD_BIT(45)
#define VTD_ECAP_SSTS	VTD_BIT(46)
#define VTD_ECAP_FSTS	VTD_BIT(47)
#define VTD_ECAP_SMPWCS VTD_BIT(48)
#define VTD_ECAP_RPS	VTD_BIT(49)
#define VTD_ECAP_PMS	VTD_BIT(51)
#define VTD_ECAP_ADMS	VTD_BIT(52)
#define VTD_ECAP_RPRIVS VTD_BIT(53)

/* VT-d 11.4.4, 11.4.5: commands and their status bits are at the same place. */
#define VTD_GCMD_TE    (1u << 31)
#define VTD_GCMD_SRTP  (1u << 30)
#define VTD_GCMD_SFL   (1u << 29)
#define VTD_GCMD_EAFL  (1u << 28)
#define VTD_GCMD_WBF   (1u << 27)
#define VTD_GCMD_QIE   (1u << 26)
#define VTD_GCMD_IRE   (1u << 25)
#define VTD_GCMD_SIRTP (1u << 24)
#define VTD_GCMD_CFI   (1u << 23)

/* VT-d 11.4.5 (root table address) */
#define VTD_RTADDR_TTM VTD_MASK(11, 10)
#define VTD_RTADDR_RTA VTD_MASK(63, 12)

enum vtd_ttm {
	VTD_TTM_LEGACY = 0,
	VTD_TTM_SCALABLE = 1,
	VTD_TTM_RESERVED = 2,
	VTD_TTM_ABORT = 3,
};

/* VT-d 11.4.6.1: context command */
#define VTD_CCMD_ICC  VTD_BIT(63)
#define VTD_CCMD_CIRG VTD_MASK(62, 61)
#define VTD_CCMD_CAIG VTD_MASK(60, 59)
#define VTD_CCMD_FM   VTD_MASK(33, 32)
#define VTD_CCMD_SID  VTD_MASK(31, 16)
#define VTD_CCMD_DID  VTD_MASK(15, 0)

/* VT-d 11.4.6.2: IOTLB invalidation registers */
#define VTD_IOTLB_IVT  VTD_BIT(63)
#define VTD_IOTLB_IIRG VTD_MASK(61, 60)
#define VTD_IOTLB_IAIG VTD_MASK(58, 57)
#define VTD_IOTLB_DID  VTD_MASK(47, 32)
#define VTD_IVA_ADDR   VTD_MASK(63, 12)
#define VTD_IVA_IH     VTD_BIT(6)
#define VTD_IVA_AM     VTD_MASK(5, 0)

/* Granularities that CCMD, IOTLB_REG and descriptors of type 1 and 2 share. */
enum vtd_granularity {
	VTD_GRANULARITY_RESERVED = 0,
	VTD_GRANULARITY_GLOBAL = 1,
	VTD_GRANULARITY_DOMAIN = 2,
	VTD_GRANULARITY_SELECTIVE = 3, /* of a device (type 1) or of pages (type 2) */
};

/* VT-d 11.4.7.1: fault status */
#define VTD_FSTS_PFO	   (1u << 0)
#define VTD_FSTS_PPF	   (1u << 1)
#define VTD_FSTS_AFO	   (1u << 2)
#define VTD_FSTS_APF	   (1u << 3)
#define VTD_FSTS_IQE	   (1u << 4)
#define VTD_FSTS_ICE	   (1u << 5)
#define VTD_FSTS_ITE	   (1u << 6)
#define VTD_FSTS_FRI_SHIFT 8
#define VTD_FSTS_FRI	   (0xffu << VTD_FSTS_FRI_SHIFT)

/* The three event control registers (FECTL, IECTL, PECTL). */
#define VTD_EVENT_IM (1u << 31)
#define VTD_EVENT_IP (1u << 30)

/* VT-d 11.4.7.6: fault records, high word */
#define VTD_FRCD_SID  VTD_MASK(15, 0)
#define VTD_FRCD_T2   VTD_BIT(28)
#define VTD_FRCD_PRIV VTD_BIT(29)
#define VTD_FRCD_EXE  VTD_BIT(30)
#define VTD_FRCD_PP   VTD_BIT(31)
#define VTD_FRCD_FR   VTD_MASK(39, 32)
#define VTD_FRCD_PV   VTD_MASK(59, 40)
#define VTD_FRCD_AT   VTD_MASK(61, 60)
#define VTD_FRCD_T1   VTD_BIT(62)
#define VTD_FRCD_F    VTD_BIT(63)

/* Advanced fault log: of revisions up to 3; see docs/design-notes.md */
#define VTD_AFLOG_FLA VTD_MASK(63, 12)
#define VTD_AFLOG_FLS VTD_MASK(11, 9)

/* VT-d 11.4.8: protected memory. Bits N:0 of base and limit are not there, N is 20. */
#define VTD_PMEN_EPM (1u << 31)
#define VTD_PMEN_PRS (1u << 0)
#define VTD_PMR_SIZE VTD_BIT(21)

/* VT-d 11.4.9: invalidation queue */
#define VTD_IQA_ADDRESS	  VTD_MASK(63, 12)
#define VTD_IQA_DW	  VTD_BIT(11)
#define VTD_IQA_QS	  VTD_MASK(2, 0)
#define VTD_IQ_OFFSET	  VTD_MASK(18, 4)
#define VTD_ICS_IWC	  (1u << 0)
#define VTD_IQERCD_IQEI	  VTD_MASK(3, 0)
#define VTD_IQERCD_ITESID VTD_MASK(47, 32)
#define VTD_IQERCD_ICESID VTD_MASK(63, 48)

/* VT-d 11.4.9.9: why the queue stopped */
enum vtd_iqe {
	VTD_IQE_NONE = 0,
	VTD_IQE_TAIL_RANGE = 1, /* head or tail beyond the queue */
	VTD_IQE_FETCH = 2,	/* the descriptor could not be read */
	VTD_IQE_TYPE = 3,	/* no such descriptor type */
	VTD_IQE_RESERVED = 4,	/* a reserved field is not zero */
	VTD_IQE_WIDTH = 5,	/* IQA.DW is not that of the mode, or not supported */
	VTD_IQE_TAIL = 6,	/* tail not aligned to a descriptor */
	VTD_IQE_TTM = 7,	/* RTADDR.TTM is reserved, or not supported */
};

/* VT-d 11.4.10: interrupt remapping table */
#define VTD_IRTA_ADDRESS VTD_MASK(63, 12)
#define VTD_IRTA_EIME	 VTD_BIT(11)
#define VTD_IRTA_SIZE	 VTD_MASK(3, 0)

/* VT-d 11.4.11: page-request queue */
#define VTD_PQA_ADDRESS VTD_MASK(63, 12)
#define VTD_PQA_PQS	VTD_MASK(2, 0)
#define VTD_PQ_OFFSET	VTD_MASK(18, 5)
#define VTD_PRS_PPR	(1u << 0)
#define VTD_PRS_PRO	(1u << 1)

/* VT-d 11.4.12: memory type ranges. Kept for software; nothing here has a memory type. */
#define VTD_MTRRCAP_VALUE (10 | VTD_BIT(8) | VTD_BIT(10)) /* VCNT, FIX, WC */
#define VTD_MTRRDEF_BITS  (VTD_MASK(11, 10) | VTD_MASK(7, 0))
#define VTD_MTRR_BASE	  (VTD_MASK(51, 12) | VTD_MASK(7, 0))
#define VTD_MTRR_MASK	  VTD_MASK(51, 11)

/* VT-d 11.4.13: performance monitoring */
#define VTD_PERFCAP_NCNTR    VTD_MASK(15, 0)
#define VTD_PERFCAP_CW	     VTD_MASK(22, 16)
#define VTD_PERFCAP_EGCNT    VTD_MASK(28, 24)
#define VTD_PERFCAP_CWE	     VTD_BIT(48)
#define VTD_PERFCAP_GFS	     VTD_BIT(49)
#define VTD_PERFCAP_IOS	     VTD_BIT(50)
#define VTD_PERFCAP_RESERVED VTD_MASK(63, 60) /* these read as ones */
#define VTD_PERFINTRSTS_PIS  (1u << 0)
#define VTD_PERFCNTRCFG_EN   VTD_BIT(0)
#define VTD_PERFCNTRCFG_IO   VTD_BIT(1)
#define VTD_PERFCNTRCFG_GFO  VTD_BIT(2)
#define VTD_PERFCNTRCFG_EGI  VTD_MASK(11, 8)
#define VTD_PERFCNTRCFG_ES   VTD_MASK(59, 32)

/* VT-d 11.4.14: enhanced commands */
#define VTD_ECMD_CMD	     VTD_MASK(7, 0)
#define VTD_ECMD_OA	     VTD_MASK(63, 16)
#define VTD_ECRSP_SC	     VTD_MASK(7, 1)
#define VTD_ECCAP3_PERFMON   VTD_MASK(53, 48) /* commands 240 to 245 */

enum vtd_enhanced_command {
	VTD_ECMD_ENABLE_COUNTER = 240,
	VTD_ECMD_DISABLE_COUNTER = 241,
	VTD_ECMD_RESET_CONFIGURATION = 242,
	VTD_ECMD_RESET_VALUES = 243,
	VTD_ECMD_FREEZE = 244,
	VTD_ECMD_UNFREEZE = 245,
};

/* VT-d 11.4.16: virtual commands; the response is like that of enhanced ones. */
#define VTD_VCMD_CMD	VTD_MASK(7, 0)
#define VTD_VCMD_OA	VTD_MASK(63, 16)
#define VTD_VCMD_PASID	VTD_MASK(35, 16)
#define VTD_VCRSP_PASID VTD_MASK(35, 16)
#define VTD_VCCAP_ALL	VTD_MASK(2, 0) /* NS, PAS, FPS */

enum vtd_virtual_command {
	VTD_VCMD_NULL = 0,
	VTD_VCMD_ALLOCATE_PASID = 1,
	VTD_VCMD_FREE_PASID = 2,
};

enum vtd_command_status {
	VTD_COMMAND_DONE = 0,
	VTD_COMMAND_UNDEFINED = 1,
	VTD_COMMAND_FAILED = 16,
};

/* VT-d 9.1: root entries. In scalable mode the high word has the same format for devfn >= 0x80. */
#define VTD_ROOT_P	  VTD_BIT(0)
#define VTD_ROOT_CTP	  VTD_MASK(63, 12)
#define VTD_ROOT_RESERVED VTD_MASK(11, 1)

/* VT-d 9.3: legacy context entries */
#define VTD_CE_P	 VTD_BIT(0)
#define VTD_CE_FPD	 VTD_BIT(1)
#define VTD_CE_TT	 VTD_MASK(3, 2)
#define VTD_CE_RESERVED0 VTD_MASK(11, 4)
#define VTD_CE_SSPTPTR	 VTD_MASK(63, 12)
#define VTD_CE_AW	 VTD_MASK(2, 0)	 /* qw1 */
#define VTD_CE_DID	 VTD_MASK(23, 8) /* qw1 */
#define VTD_CE_RESERVED1 (VTD_MASK(63, 24) | VTD_BIT(7))

enum vtd_translation_type {
	VTD_TT_MULTI_LEVEL = 0,
	VTD_TT_DEVICE_IOTLB = 1,
	VTD_TT_PASS_THROUGH = 2,
};

/* VT-d 9.4: scalable-mode context entries */
#define VTD_SCE_DTE	    VTD_BIT(2)
#define VTD_SCE_PASIDE	    VTD_BIT(3)
#define VTD_SCE_PRE	    VTD_BIT(4)
#define VTD_SCE_PDTS	    VTD_MASK(11, 9)
#define VTD_SCE_PASIDDIRPTR VTD_MASK(63, 12)
#define VTD_SCE_RESERVED0   VTD_MASK(8, 5)
#define VTD_SCE_RID_PASID   VTD_MASK(19, 0) /* qw1 */
#define VTD_SCE_RID_PRIV    VTD_BIT(20)	    /* qw1 */
#define VTD_SCE_RESERVED1   VTD_MASK(63, 21)

/* VT-d 9.5: PASID directory entries */
#define VTD_PDE_P	     VTD_BIT(0)
#define VTD_PDE_FPD	     VTD_BIT(1)
#define VTD_PDE_SMPTBLPTR    VTD_MASK(63, 12)
#define VTD_PDE_RESERVED     VTD_MASK(11, 2)
#define VTD_PASIDS_PER_TABLE 64u

/* VT-d 9.6: PASID-table entries */
#define VTD_PE_P	   VTD_BIT(0)
#define VTD_PE_FPD	   VTD_BIT(1)
#define VTD_PE_AW	   VTD_MASK(4, 2)
#define VTD_PE_PGTT	   VTD_MASK(8, 6)
#define VTD_PE_SSADE	   VTD_BIT(9)
#define VTD_PE_SSPTPTR	   VTD_MASK(63, 12)
#define VTD_PE_RESERVED0   (VTD_BIT(5) | VTD_MASK(11, 10))
#define VTD_PE_DID	   VTD_MASK(15, 0) /* qw1 */
#define VTD_PE_PWSNP	   VTD_BIT(23)
#define VTD_PE_PGSNP	   VTD_BIT(24)
#define VTD_PE_MEMORY_TYPE (VTD_MASK(26, 25) | VTD_MASK(63, 32)) /* CD, EMTE, PAT */
#define VTD_PE_RESERVED1   (VTD_MASK(22, 16) | VTD_MASK(31, 27))
#define VTD_PE_SRE	   VTD_BIT(0) /* qw2 */
#define VTD_PE_ERE	   VTD_BIT(1)
#define VTD_PE_FSPM	   VTD_MASK(3, 2)
#define VTD_PE_WPE	   VTD_BIT(4)
#define VTD_PE_NXE	   VTD_BIT(5)
#define VTD_PE_SMEP	   VTD_BIT(6)
#define VTD_PE_EAFE	   VTD_BIT(7)
#define VTD_PE_FSPTPTR	   VTD_MASK(63, 12)
#define VTD_PE_RESERVED2   VTD_MASK(11, 8)

enum vtd_pgtt {
	VTD_PGTT_FIRST = 1,
	VTD_PGTT_SECOND = 2,
	VTD_PGTT_NESTED = 3,
	VTD_PGTT_PASS_THROUGH = 4,
};

/* VT-d 9.7: first-stage paging entries */
#define VTD_FS_P  VTD_BIT(0)
#define VTD_FS_RW VTD_BIT(1)
#define VTD_FS_US VTD_BIT(2)
#define VTD_FS_A  VTD_BIT(5)
#define VTD_FS_D  VTD_BIT(6)
#define VTD_FS_PS VTD_BIT(7)
#define VTD_FS_EA VTD_BIT(10)
#define VTD_FS_XD VTD_BIT(63)

/* VT-d 9.8: second-stage paging entries */
#define VTD_SS_R   VTD_BIT(0)
#define VTD_SS_W   VTD_BIT(1)
#define VTD_SS_PS  VTD_BIT(7)
#define VTD_SS_A   VTD_BIT(8)
#define VTD_SS_D   VTD_BIT(9)
#define VTD_SS_SNP VTD_BIT(11)
#define VTD_SS_IW  VTD_BIT(62)

#define VTD_ENTRY_ADDRESS VTD_MASK(51, 12)

/* VT-d 6.5.2: invalidation descriptors. The type is bits 3:0 and, above them, 11:9. */
#define VTD_DESC_TYPE	   VTD_MASK(3, 0)
#define VTD_DESC_TYPE_HIGH VTD_MASK(11, 9)
#define VTD_DESC_G	   VTD_MASK(5, 4)
#define VTD_DESC_DID	   VTD_MASK(31, 16)
#define VTD_DESC_SID	   VTD_MASK(47, 32)
#define VTD_DESC_FM	   VTD_MASK(49, 48)
#define VTD_DESC_PASID	   VTD_MASK(51, 32)
#define VTD_DESC_RID	   VTD_MASK(31, 16)
#define VTD_DESC_ADDR	   VTD_MASK(63, 12) /* qw1 */
#define VTD_DESC_IH	   VTD_BIT(6)	    /* qw1 */
#define VTD_DESC_AM	   VTD_MASK(5, 0)   /* qw1 */
#define VTD_WAIT_IF	   VTD_BIT(4)
#define VTD_WAIT_SW	   VTD_BIT(5)
#define VTD_WAIT_FN	   VTD_BIT(6)
#define VTD_WAIT_PD	   VTD_BIT(7)
#define VTD_WAIT_DATA	   VTD_MASK(63, 32)
#define VTD_WAIT_ADDRESS   VTD_MASK(63, 2) /* qw1 */
#define VTD_IEC_G	   VTD_BIT(4)
#define VTD_IEC_IM	   VTD_MASK(31, 27)
#define VTD_IEC_IIDX	   VTD_MASK(47, 32)
#define VTD_DTLB_S	   VTD_BIT(0)  /* qw1 of type 3 */
#define VTD_PDTLB_G	   VTD_BIT(0)  /* qw1 of type 8 */
#define VTD_PDTLB_S	   VTD_BIT(11) /* qw1 of type 8 */
#define VTD_PGR_PP	   VTD_BIT(4)
#define VTD_PGR_CODE	   VTD_MASK(15, 12)
#define VTD_PGR_PRGI	   VTD_MASK(11, 3) /* qw1 */

enum vtd_descriptor_type {
	VTD_DESC_CONTEXT = 1,
	VTD_DESC_IOTLB = 2,
	VTD_DESC_DEVICE_TLB = 3,
	VTD_DESC_IEC = 4,
	VTD_DESC_WAIT = 5,
	VTD_DESC_PIOTLB = 6,
	VTD_DESC_PASID_CACHE = 7,
	VTD_DESC_PASID_DEVICE_TLB = 8,
	VTD_DESC_PAGE_RESPONSE = 9,
};

enum vtd_pasid_cache_granularity {
	VTD_PC_DOMAIN = 0,
	VTD_PC_PASID = 1,
	VTD_PC_GLOBAL = 3,
};

enum vtd_piotlb_granularity {
	VTD_PIOTLB_PASID = 2,
	VTD_PIOTLB_PAGE = 3,
};

/* VT-d 7.5: page requests as they lie in the queue */
#define VTD_PRQ_TYPE  1ull
#define VTD_PRQ_PP    VTD_BIT(8)
#define VTD_PRQ_RID   VTD_MASK(31, 16)
#define VTD_PRQ_PASID VTD_MASK(51, 32)
#define VTD_PRQ_EXE   VTD_BIT(52)
#define VTD_PRQ_PRIV  VTD_BIT(53)
#define VTD_PRQ_READ  VTD_BIT(0) /* qw1 */
#define VTD_PRQ_WRITE VTD_BIT(1)
#define VTD_PRQ_LAST  VTD_BIT(2)
#define VTD_PRQ_PRGI  VTD_MASK(11, 3)
#define VTD_PRQ_ADDR  VTD_MASK(63, 12)

/* VT-d 3.14: addresses of interrupt messages; no memory is reached through them. */
#define VTD_INTERRUPT_FIRST 0xfee00000ull
#define VTD_INTERRUPT_LAST  0xfeefffffull

/*
 * VT-d 7.1.3: reasons. The comment of each is the specification's condition name and what this
 * unit means by it where the text leaves room.
 */
enum vtd_reason {
	VTD_REASON_NONE = 0,

	/* Legacy mode */
	VTD_REASON_ROOT_P = 0x1,	      /* LRT.2 */
	VTD_REASON_CONTEXT_P = 0x2,	      /* LCT.2 */
	VTD_REASON_CONTEXT_INVALID = 0x3,     /* LCT.4: and the top second-stage entry not there */
	VTD_REASON_ADDRESS_WIDTH = 0x4,	      /* LGN.1 */
	VTD_REASON_WRITE = 0x5,		      /* LGN.2 */
	VTD_REASON_READ = 0x6,		      /* LGN.3 */
	VTD_REASON_PAGING_ACCESS = 0x7,	      /* LSS.1 */
	VTD_REASON_ROOT_ACCESS = 0x8,	      /* LRT.1 */
	VTD_REASON_CONTEXT_ACCESS = 0x9,      /* LCT.1 */
	VTD_REASON_ROOT_RESERVED = 0xa,	      /* LRT.3 */
	VTD_REASON_CONTEXT_RESERVED = 0xb,    /* LCT.3 */
	VTD_REASON_PAGING_RESERVED = 0xc,     /* LSS.2 */
	VTD_REASON_TRANSLATION_BLOCKED = 0xd, /* LCT.5 */
	VTD_REASON_INTERRUPT_ADDRESS = 0xe,   /* LGN.4 */

	/* Interrupt remapping */
	VTD_REASON_IR_REQUEST_RESERVED = 0x20, /* INTR.1 */
	VTD_REASON_IR_INDEX = 0x21,	       /* INTR.2 */
	VTD_REASON_IR_P = 0x22,		       /* INTR.3 */
	VTD_REASON_IR_ACCESS = 0x23,	       /* INTR.4 */
	VTD_REASON_IR_RESERVED = 0x24,	       /* INTR.5 */
	VTD_REASON_IR_COMPATIBILITY = 0x25,    /* INTR.6 */
	VTD_REASON_IR_SOURCE = 0x26,	       /* INTR.7 */
	VTD_REASON_IR_PID_ACCESS = 0x27,       /* INTR.8 */
	VTD_REASON_IR_PID_RESERVED = 0x28,     /* INTR.9 */

	/* Scalable mode */
	VTD_REASON_TTM = 0x30,		      /* RTA.1: TTM reserved or without its capability */
	VTD_REASON_TTM_PASID = 0x31,	      /* RTA.2: request with PASID in legacy mode */
	VTD_REASON_TTM_PAGE_REQUEST = 0x32,   /* RTA.3: page request in legacy mode */
	VTD_REASON_TTM_ABORT = 0x33,	      /* RTA.4: abort mode */
	VTD_REASON_S_ROOT_ACCESS = 0x38,      /* SRT.1 */
	VTD_REASON_S_ROOT_P = 0x39,	      /* SRT.2 */
	VTD_REASON_S_ROOT_RESERVED = 0x3a,    /* SRT.3 */
	VTD_REASON_S_CONTEXT_ACCESS = 0x40,   /* SCT.1 */
	VTD_REASON_S_CONTEXT_P = 0x41,	      /* SCT.2 */
	VTD_REASON_S_CONTEXT_RESERVED = 0x42, /* SCT.3 */
	VTD_REASON_S_CONTEXT_INVALID = 0x43,  /* SCT.4: PRE without DTE, RID_PASID beyond PDTS */
	VTD_REASON_DTE = 0x44,		      /* SCT.5 */
	VTD_REASON_PASIDE = 0x45,	      /* SCT.6 */
	VTD_REASON_PDTS = 0x46,		      /* SCT.7 */
	VTD_REASON_PRE = 0x47,		      /* SCT.8 */
	VTD_REASON_RID_PASID = 0x48,	      /* SCT.9: the PASID that plain requests have */
	VTD_REASON_PDE_ACCESS = 0x50,	      /* SPD.1 */
	VTD_REASON_PDE_P = 0x51,	      /* SPD.2 */
	VTD_REASON_PDE_RESERVED = 0x52,	      /* SPD.3 */
	VTD_REASON_PE_ACCESS = 0x58,	      /* SPT.1 */
	VTD_REASON_PE_P = 0x59,		      /* SPT.2 */
	VTD_REASON_PE_RESERVED = 0x5a,	      /* SPT.3 */
	VTD_REASON_PE_INVALID = 0x5b,	      /* SPT.4: PGTT, AW, FSPM; nested: root */
	VTD_REASON_ERE = 0x5c,		      /* SPT.5 */
	VTD_REASON_SRE = 0x5d,		      /* SPT.6 */
	VTD_REASON_FS_ACCESS = 0x70,	      /* SFS.1: any entry but the top one */
	VTD_REASON_FS_P = 0x71,		      /* SFS.2 */
	VTD_REASON_FS_RESERVED = 0x72,	      /* SFS.3 */
	VTD_REASON_FS_TOP_ACCESS = 0x73,      /* SFS.4 */
	VTD_REASON_FS_ENTRY_WIDTH = 0x74,  /* SFS.5: an entry leads beyond the second stage */
	VTD_REASON_FS_TOP_READ = 0x75,	   /* SFS.6: second stage forbids reading the top entry */
	VTD_REASON_FS_ENTRY_READ = 0x76,   /* SFS.7: ... another entry */
	VTD_REASON_FS_ENTRY_WRITE = 0x77,  /* SFS.8: ... setting A or D */
	VTD_REASON_SS_ACCESS = 0x78,	   /* SSS.1: any entry but the top one */
	VTD_REASON_SS_P = 0x79,		   /* SSS.2: R and W both clear, in it or over all */
	VTD_REASON_SS_RESERVED = 0x7a,	   /* SSS.3 */
	VTD_REASON_SS_TOP_ACCESS = 0x7b,   /* SSS.4 */
	VTD_REASON_SS_AD_SNOOP = 0x7c,	   /* SSS.5: A/D update with walks not snooped */
	VTD_REASON_SS_AD_FAILED = 0x7d,	   /* SSS.6: A/D update did not succeed */
	VTD_REASON_CANONICAL = 0x80,	   /* SGN.1 */
	VTD_REASON_USER = 0x81,		   /* SGN.2 */
	VTD_REASON_EXECUTE = 0x82,	   /* SGN.3 */
	VTD_REASON_S_ADDRESS_WIDTH = 0x83, /* SGN.4: a host address beyond HAW */
	VTD_REASON_SS_INPUT_WIDTH = 0x84,  /* SGN.5: second stage alone, input beyond MGAW or AW */
	VTD_REASON_S_WRITE = 0x85,	   /* SGN.6 */
	VTD_REASON_S_READ = 0x86,	   /* SGN.7 */
	VTD_REASON_S_INTERRUPT_ADDRESS = 0x87, /* SGN.8 */
	VTD_REASON_PASID_WIDTH = 0x89,	       /* SGN.10: a PASID beyond PSS */
	VTD_REASON_FS_AD_SNOOP = 0x90,	       /* SFS.9: A/D update with walks not snooped */
	VTD_REASON_FS_AD_FAILED = 0x91,	       /* SFS.10: A/D update did not succeed */

	VTD_REASON_PROTECTED = 0x100, /* no reason of the log: VIOMMU_REASON_PROTECTED */
};

#endif
