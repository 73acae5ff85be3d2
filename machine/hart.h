/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One RV64 hart: its architectural state, its caches, and the calls between the files that make it
 * up.
 *
 * decode.c turns an instruction into a slot; code.c keeps slots per physical page; exec.c runs
 * them; access.c is the way to memory (lib/cpu's TLB, page walks, PMP); csr.c and trap.c are the
 * privileged architecture.
 *
 * Vocabulary: a *slot* is a decoded instruction, one per halfword of a page; a *slice* is the
 * number of instructions a hart may run before the next takes its turn; an *event* asks the
 * interpreter to leave its fast loop after this instruction.
 */
#ifndef MACHINE_HART_H
#define MACHINE_HART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <viommu/cpu.h>
#include <viommu/riscv.h>
#include <viommu/types.h>
#include "riscv.h"

struct board;

/* A decoded instruction. Register numbers are ready to index x[] with: a destination of x0 is
 * X_SINK. */
struct slot {
	const void *handler;
	int32_t imm; /* immediate, branch distance in bytes, or the raw instruction */
	uint8_t rd, rs1, rs2;
	uint8_t aux;
};

#define X_SINK	   32
#define PAGE_SLOTS 2048
/* Two more: where an instruction that ends a page falls to. */
#define PAGE_SLOTS_ALL (PAGE_SLOTS + 2)

/* The slots of one physical page. */
struct code_page {
	struct slot slot[PAGE_SLOTS_ALL];
	uint64_t gpa;		/* physical page address, or CODE_NONE */
	const uint8_t *hva;	/* its bytes */
	struct code_page *next; /* hash chain */
	uint32_t index;		/* in the board's array */
};
#define CODE_NONE UINT64_MAX

/* What a walk or a register read needs to know about the fault it found. */
struct hart_trap {
	uint64_t cause, tval;
};

#define PMP_ENTRIES 16
/* An active PMP entry: an inclusive range and its configuration byte. */
struct pmp_range {
	uint64_t first, last;
	uint8_t cfg;
};

/* The state software can see: what a snapshot keeps. Plain data. */
struct hart_state {
	uint64_t x[33];
	uint64_t f[32];
	uint64_t pc;
	uint64_t instret;
	uint64_t instret_offset, cycle_offset; /* what was written minus what had retired then */
	uint32_t privilege;		       /* PRV_U, PRV_S, PRV_M */
	uint32_t fflags, frm;
	uint64_t mstatus, medeleg, mideleg, mie, mip, mtvec, mscratch, mepc, mcause, mtval;
	uint64_t menvcfg, mcounteren, mcountinhibit, mseccfg;
	uint64_t stvec, sscratch, sepc, scause, stval, satp, scounteren, senvcfg, stimecmp;
	uint64_t pmpaddr[PMP_ENTRIES];
	uint8_t pmpcfg[PMP_ENTRIES];
	uint32_t waiting; /* in WFI */
	uint32_t
		seip_line; /* the external interrupt wire: SEIP reads as this or the software bit */
	uint32_t started;
	uint64_t miselect, siselect; /* AIA windows */
};

struct hart {
	struct hart_state s;
	const struct viommu_fast *fast; /* lib/cpu/fast.h */
	struct viommu_cpu_tlb *tlb;
	int64_t count; /* instructions left in the slice: right at slow paths */
	int64_t slice; /* what count was when s.instret was right */
	bool event;    /* leave the fast loop after this instruction */
	bool stop;     /* and return from hart_run() */
	bool fp_off;
	bool fetch_apart;	  /* fetches are in another context than loads and stores (MPRV) */
	bool pmp_on;		  /* some rule restricts someone */
	void *reservation;	  /* host address LR reserved, for the rest of the slice */
	uint64_t scratch;	  /* what an AMO to a silent target works on */
	struct code_page *single; /* one-instruction page: fetches that may not be cached */
	struct hart_trap trap;
	struct pmp_range pmp[PMP_ENTRIES];
	unsigned int pmp_count;
	struct board *board;
	uint32_t index;
	void *debug; /* a debugger is attached */
	struct viommu_world_state world;
	struct viommu_cpu_context data_context, fetch_context;
	bool data_world_fault, fetch_world_fault; /* the WID is not allowed (Worlds draft) */
	uint64_t traps;				  /* taken, for statistics */
};

/* exec.c: run at most `budget` instructions. Returns those retired. */
uint64_t hart_run(struct hart *hart, uint64_t budget);
void exec_prepare(void);
extern const void *const *exec_handlers;

/* Retired so far, exact even inside hart_run() at a slow path. */
static inline uint64_t hart_instret(const struct hart *hart)
{
	return hart->s.instret + (uint64_t)(hart->slice - hart->count);
}

/* trap.c */
int hart_raise(struct hart *hart, uint64_t cause, uint64_t tval); /* returns 1 */
void hart_take_trap(struct hart *hart);
bool hart_take_interrupt(struct hart *hart); /* false: none to take */
bool hart_interrupt_pending(const struct hart *hart);
bool hart_wakes(const struct hart *hart);
void hart_set_irq(struct hart *hart, unsigned int irq, bool level);
int hart_return(struct hart *hart, unsigned int from); /* mret, sret: 0 or 1 (trap raised) */
int hart_wait(struct hart *hart);
void hart_reset(struct hart *hart, uint64_t pc);

/* csr.c: 0, 1 (trap raised) or 2 (done; leave the fast loop) */
enum csr_operation { CSR_WRITE = 1, CSR_SET, CSR_CLEAR };
struct csr_access {
	unsigned int csr, operation;
	bool write;	/* false: the instruction only reads */
	uint64_t value; /* operand */
	uint64_t old;	/* what was there */
};
int hart_csr_instruction(struct hart *hart, uint32_t raw);
/* The CSR itself: also for the debugger. Same results. */
int csr_perform(struct hart *hart, struct csr_access *access);
/* What a write leaves in the register: all of the value, or its bits set or cleared in the old one. */
uint64_t csr_combine(const struct csr_access *access);

/* access.c: 0 or 1 (trap raised) */
int hart_load(struct hart *hart, uint64_t va, unsigned int size, uint64_t *value);
int hart_store(struct hart *hart, uint64_t va, unsigned int size, uint64_t value);
int hart_amo(struct hart *hart, uint64_t va, unsigned int size, bool load_only, void **hva);
int hart_cache_block(struct hart *hart, uint32_t raw, uint64_t va);
/* The slots to run at pc, or NULL (trap raised). _single: this one instruction only. */
struct code_page *hart_fetch(struct hart *hart, uint64_t pc);
struct code_page *hart_fetch_single(struct hart *hart, uint64_t pc);
/* Bits of the instruction at s.pc, for mtval; 0 if they cannot be read again. */
uint32_t hart_instruction_bits(struct hart *hart);
/* Privilege, satp, mstatus or WID changed. */
void hart_context_update(struct hart *hart);
void hart_flush_all(struct hart *hart);
int hart_sfence(struct hart *hart, uint32_t raw);
/* Debugger and loader view: no side effects, ignores permissions. */
bool hart_debug_translate(struct hart *hart, uint64_t va, uint64_t *pa);

/* Why nothing can be read or written at a page: the access must be done again later. Never
 * architectural. */
#define CAUSE_RETRY 0x100

/* walk.c: the Sv39/48/57 walk for one access; 0 and *fill, or 1 (trap raised). */
struct viommu_cpu_fill;
int hart_walk(struct hart *hart, uint64_t va, uint32_t access, unsigned int privilege,
	      struct viommu_cpu_fill *fill);

/* pmp.c */
struct pmp_answer {
	uint32_t permissions; /* VIOMMU_READ, WRITE, EXECUTE */
	uint64_t first, last; /* bytes around the address asked for which this holds */
};
void pmp_query(const struct hart *hart, uint64_t pa, unsigned int privilege,
	       struct pmp_answer *answer);
void pmp_rebuild(struct hart *hart);
int pmp_csr(struct hart *hart, struct csr_access *access);

/* decode.c: the instruction `raw` at `offset` of a page. An offset beyond the page makes every
 * branch far. */
#define OFFSET_ALONE 0x10000000u
void decode_slot(struct slot *slot, uint32_t raw, unsigned int offset);

/* code.c */
#define CODE_LOOKUP 4096
struct code_cache {
	struct code_page *lookup[CODE_LOOKUP]; /* by host page */
	struct code_page **bucket;	       /* by physical page */
	struct code_page **pages;
	uint32_t count, limit, hand;
};
int code_create(struct code_cache **cache);
void code_destroy(struct code_cache *cache);
/* The slots of the page at gpa, created if need be (*fresh). NULL: no memory. */
struct code_page *code_page_get(struct code_cache *cache, uint64_t gpa, const uint8_t *hva,
				bool *fresh);
struct code_page *code_page_alone(void);
/* Bytes [gpa, gpa + length) were written. */
void code_written(struct code_cache *cache, uint64_t gpa, uint64_t length);
/* Memory changed wholesale (a reset, a snapshot). */
void code_reset(struct code_cache *cache);
bool code_present(const struct code_cache *cache, uint64_t gpa);
static inline struct code_page *code_lookup(const struct code_cache *cache, const uint8_t *hva)
{
	uintptr_t at = (uintptr_t)hva & ~(uintptr_t)0xfff;
	struct code_page *page = cache->lookup[(at >> 12) & (CODE_LOOKUP - 1)];

	return page && page->hva == (const uint8_t *)at ? page : NULL;
}

/* fp.c: an FP instruction of the OP-FP or FMA classes. 0 or 1 (illegal). */
int fp_execute(struct hart *hart, uint32_t raw);
void fp_collect_flags(struct hart *hart);

#endif
