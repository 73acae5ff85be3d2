/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers of the RISC-V privileged architecture, as the specification names them.
 */
#ifndef MACHINE_RISCV_H
#define MACHINE_RISCV_H

#include <stdint.h>

#define BIT(n) (1ull << (n))

enum privilege { PRV_U = 0, PRV_S = 1, PRV_M = 3 };

/* Privileged 3.1.15: mcause */
enum cause {
	CAUSE_FETCH_MISALIGNED = 0,
	CAUSE_FETCH_ACCESS = 1,
	CAUSE_ILLEGAL = 2,
	CAUSE_BREAKPOINT = 3,
	CAUSE_LOAD_MISALIGNED = 4,
	CAUSE_LOAD_ACCESS = 5,
	CAUSE_STORE_MISALIGNED = 6,
	CAUSE_STORE_ACCESS = 7,
	CAUSE_ECALL_U = 8,
	CAUSE_ECALL_S = 9,
	CAUSE_ECALL_M = 11,
	CAUSE_FETCH_PAGE = 12,
	CAUSE_LOAD_PAGE = 13,
	CAUSE_STORE_PAGE = 15,
	CAUSE_SOFTWARE_CHECK = 18,
};
#define CAUSE_INTERRUPT BIT(63)

enum irq {
	IRQ_SSI = 1,
	IRQ_MSI = 3,
	IRQ_STI = 5,
	IRQ_MTI = 7,
	IRQ_SEI = 9,
	IRQ_MEI = 11,
};

/* Privileged 3.1.6: mstatus */
#define MSTATUS_SIE	   BIT(1)
#define MSTATUS_MIE	   BIT(3)
#define MSTATUS_SPIE	   BIT(5)
#define MSTATUS_MPIE	   BIT(7)
#define MSTATUS_SPP	   BIT(8)
#define MSTATUS_MPP	   (3ull << 11)
#define MSTATUS_MPP_SHIFT  11
#define MSTATUS_FS	   (3ull << 13)
#define MSTATUS_FS_INITIAL (1ull << 13)
#define MSTATUS_MPRV	   BIT(17)
#define MSTATUS_SUM	   BIT(18)
#define MSTATUS_MXR	   BIT(19)
#define MSTATUS_TVM	   BIT(20)
#define MSTATUS_TW	   BIT(21)
#define MSTATUS_TSR	   BIT(22)
#define MSTATUS_UXL	   (2ull << 32)
#define MSTATUS_SXL	   (2ull << 34)
#define MSTATUS_SD	   BIT(63)

/* Privileged 3.1.18: menvcfg */
#define ENVCFG_FIOM  BIT(0)
#define ENVCFG_CBIE  (3ull << 4)
#define ENVCFG_CBCFE BIT(6)
#define ENVCFG_CBZE  BIT(7)
#define ENVCFG_ADUE  BIT(61)
#define ENVCFG_STCE  BIT(63)

/* Smepmp 2: mseccfg */
#define MSECCFG_MML  BIT(0)
#define MSECCFG_MMWP BIT(1)
#define MSECCFG_RLB  BIT(2)

#define PMP_R	    0x01
#define PMP_W	    0x02
#define PMP_X	    0x04
#define PMP_A	    0x18
#define PMP_A_SHIFT 3
#define PMP_L	    0x80

/* Privileged 4.4: page-table entries */
#define PTE_V	      BIT(0)
#define PTE_R	      BIT(1)
#define PTE_W	      BIT(2)
#define PTE_X	      BIT(3)
#define PTE_U	      BIT(4)
#define PTE_G	      BIT(5)
#define PTE_A	      BIT(6)
#define PTE_D	      BIT(7)
#define PTE_PPN_SHIFT 10
#define PTE_PPN	      (0xfffffffffffull << 10)
#define PTE_RESERVED  (0x3ffull << 54)

#define SATP_MODE_SHIFT 60
#define SATP_ASID_SHIFT 44
#define SATP_ASID	(0xffffull << 44)
#define SATP_PPN	0xfffffffffffull

enum csr {
	CSR_FFLAGS = 0x001,
	CSR_FRM,
	CSR_FCSR,
	CSR_SSTATUS = 0x100,
	CSR_SIE = 0x104,
	CSR_STVEC,
	CSR_SCOUNTEREN,
	CSR_SENVCFG = 0x10a,
	CSR_SSCRATCH = 0x140,
	CSR_SEPC,
	CSR_SCAUSE,
	CSR_STVAL,
	CSR_SIP,
	CSR_STIMECMP = 0x14d,
	CSR_SISELECT = 0x150,
	CSR_SIREG = 0x151,
	CSR_STOPEI = 0x15c,
	CSR_SATP = 0x180,
	CSR_SLWID = 0x190,
	CSR_STOPI = 0xdb0,
	CSR_MSTATUS = 0x300,
	CSR_MISA,
	CSR_MEDELEG,
	CSR_MIDELEG,
	CSR_MIE,
	CSR_MTVEC,
	CSR_MCOUNTEREN,
	CSR_MENVCFG = 0x30a,
	CSR_MCOUNTINHIBIT = 0x320,
	CSR_MHPMEVENT3 = 0x323,
	CSR_MSCRATCH = 0x340,
	CSR_MEPC,
	CSR_MCAUSE,
	CSR_MTVAL,
	CSR_MIP,
	CSR_MISELECT = 0x350,
	CSR_MIREG = 0x351,
	CSR_MTOPEI = 0x35c,
	CSR_MTOPI = 0xfb0,
	CSR_MLWID = 0x390,
	CSR_PMPCFG0 = 0x3a0,
	CSR_PMPADDR0 = 0x3b0,
	CSR_PMPADDR63 = 0x3ef,
	CSR_MWIDDELEG = 0x748,
	CSR_MSECCFG = 0x747,
	CSR_MCYCLE = 0xb00,
	CSR_MINSTRET = 0xb02,
	CSR_MHPMCOUNTER3 = 0xb03,
	CSR_CYCLE = 0xc00,
	CSR_TIME,
	CSR_INSTRET,
	CSR_HPMCOUNTER3 = 0xc03,
	CSR_MVENDORID = 0xf11,
	CSR_MARCHID,
	CSR_MIMPID,
	CSR_MHARTID,
	CSR_MCONFIGPTR,
};

#endif
