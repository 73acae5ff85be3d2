/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The board: QEMU's `virt` memory map and interrupt numbers, harts, devices and, when asked for,
 * checkers.
 *
 * Everything runs on one thread. Harts take turns of a slice each; devices act inside the store
 * that told them to, or between slices when the world outside (a terminal, a clock) has something
 * for them. With the virtual clock a run is a function of its inputs alone.
 *
 * Three maps (region.h): `plain` is memory and devices; `bus` has the wgCheckers in front of it;
 * `cpu` and `master`, what harts and bus masters see, have an IOPMP in front of `bus`. A map that
 * would add nothing is the one behind it.
 */
#ifndef MACHINE_BOARD_H
#define MACHINE_BOARD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <viommu/memory.h>
#include <viommu/region.h>
#include <viommu/riscv.h>

#include "hart.h"

#define BOARD_HARTS	 16
#define BOARD_HZ	 10000000ull /* of mtime */
#define BOARD_VIRTIO	 8
#define BOARD_MEMORY_MAX (128ull << 30)

enum board_address {
	ADDR_ROM = 0x1000,
	ADDR_FINISHER = 0x100000,
	ADDR_RTC = 0x101000,
	ADDR_ACLINT = 0x2000000,
	ADDR_WG_DRAM = 0x6000000,
	ADDR_WG_FLASH = 0x6001000,
	ADDR_WG_UART = 0x6002000,
	ADDR_WG_MARKER = 0x6003000,
	ADDR_PLIC = 0xc000000,
	ADDR_APLIC_M = 0xc000000,
	ADDR_APLIC_S = 0xd000000,
	ADDR_UART = 0x10000000,
	ADDR_VIRTIO = 0x10001000,
	ADDR_DMA = 0x10010000,
	ADDR_IOPMP = 0x10200000,
	ADDR_FLASH = 0x20000000,
	ADDR_IMSIC_M = 0x24000000,
	ADDR_IMSIC_S = 0x28000000,
	ADDR_DRAM = 0x80000000u,
};
#define ROM_SIZE   0xf000
#define FLASH_SIZE 0x4000000

enum board_irq {
	BOARD_IRQ_VIRTIO = 1,
	BOARD_IRQ_UART = 10,
	BOARD_IRQ_RTC = 11,
	BOARD_IRQ_DMA = 12,
	BOARD_IRQ_WG_DRAM = 15,
	BOARD_IRQ_WG_FLASH = 16,
	BOARD_IRQ_WG_UART = 17,
	BOARD_IRQ_IOPMP = 18,
	BOARD_IRQS = 96
};

/* Source ids (RRIDs) of initiators. Harts have an IOPMP of their own, where hart n may be source n. */
enum board_source { SOURCE_CPU = 0, SOURCE_DMA = 1, SOURCE_VIRTIO = 2 };

enum board_aia { AIA_NONE, AIA_APLIC, AIA_IMSIC };

struct wg_options {
	bool on;
	uint32_t worlds, trusted, master; /* WIDs; master: of the bus masters */
	bool bypass, tz_compat, priority, draft, guard;
};

struct iopmp_options {
	bool on, cpu, masters;
	bool apart; /* each hart is a source of its own */
	bool open; /* reset programs rules that let everything through, and enables */
	struct viommu_iopmp_config config;
};

struct board_options {
	unsigned int harts;
	uint64_t memory;
	enum board_aia aia;
	bool virtual_clock;
	bool no_caches; /* translate every access, decode every instruction: the reference */
	bool decode_always; /* the TLB, but no decoded pages: a plain interpreter, to compare with */
	bool console;	/* the machine has the terminal */
	bool console_virtio; /* its input is the virtio console's, not the UART's */
	bool console_closed;
	const char *disk[BOARD_VIRTIO - 2];
	unsigned int disks;
	const char *flash;
	struct wg_options wg;
	struct iopmp_options iopmp;
};

struct aclint;
struct plic;
struct aia;
struct uart;
struct rtc;
struct virtio;
struct dma;
struct flash;
struct checkers;
struct images;
struct gdb;

struct board {
	struct board_options options;
	struct viommu_memory *memory;
	struct viommu_map *plain, *bus, *cpu, *master;
	struct viommu_map *marked,
		*iopmp_map[2]; /* checkers.c: what is behind, and the maps it made */
	void *ram, *rom, *flash;
	struct hart *hart[BOARD_HARTS];
	unsigned int harts;
	struct code_cache *code;
	const void *code_page_end;
	bool worlds_on;
	struct viommu_world_config worlds;

	struct aclint *aclint;
	struct plic *plic;
	struct aia *aia;
	struct uart *uart;
	struct rtc *rtc;
	struct virtio *virtio[BOARD_VIRTIO];
	struct dma *dma;
	struct flash *cfi;
	struct checkers *checkers;

	struct hart *running;  /* the hart whose slice it is */
	uint64_t ticks_before; /* virtual clock: instructions retired before this slice */
	uint64_t clock_offset; /* host clock: added to make mtime start at 0 or go on after a
				  snapshot */
	uint64_t instructions;
	uint64_t next_input;	   /* host time to look at file descriptors again */
	uint64_t entry;		   /* where the ROM jumps */
	uint64_t tohost, fromhost; /* 0: none */
	bool exit, reset;
	bool escaped; /* the last byte from the terminal was Ctrl-A */
	int exit_status;
	uint64_t limit;	       /* stop after so many instructions; 0: never */
	bool quiet_limit;      /* the limit is where a snapshot was asked for */
	struct images *reload; /* what a reset starts again; NULL: a reset ends the run */
	struct gdb *gdb;
	bool stalled; /* a master waits for an IOPMP: try again after each round */
	bool unfinished; /* a master has more to do after this round */
};

int board_create(const struct board_options *options, struct board **board);
void board_destroy(struct board *board);
/* Run until something ends it; the exit status. */
int board_run(struct board *board);
/* One round of slices; false when the run is over. board_turn: with at most `most` instructions for
 * each hart. */
bool board_round(struct board *board, uint64_t most);
/* Decoded pages look at a slice's end only where they branch: for a debugger, run each instruction
 * alone. */
void board_single_step(struct board *board, bool on);
/* gdb.c: what the debugger wants after a round; false: it ends the run. */
bool gdb_turn(struct board *board);
void board_reset(struct board *board);
void board_exit(struct board *board, int status);

uint64_t board_time(const struct board *board);
void board_timer_changed(struct board *board, struct hart *hart);
void board_rewatch(struct board *board, uint64_t gpa);
/* A CSR of the interrupt controllers: -1 when it is not one. */
int board_csr(struct board *board, struct hart *hart, struct csr_access *access);
/* A device's interrupt wire. */
void board_irq(struct board *board, unsigned int irq, bool level);
/* What bus masters do. 0; -EAGAIN: stalled, the same again later; anything else: bus error. */
int board_dma_read(struct board *board, uint32_t source, uint64_t address, void *data,
		   size_t length);
int board_dma_write(struct board *board, uint32_t source, uint64_t address, const void *data,
		    size_t length);

/* Devices. Each create maps its registers; -errno. */
int aclint_create(struct board *board);
uint64_t aclint_next(const struct board *board); /* mtime of the next timer interrupt */
void aclint_update(struct board *board);
int plic_create(struct board *board);
void plic_set(struct plic *plic, unsigned int irq, bool level);
int aia_create(struct board *board);
void aia_set(struct aia *aia, unsigned int irq, bool level);
int aia_csr(struct board *board, struct hart *hart, struct csr_access *access);
int uart_create(struct board *board);
void uart_input(struct uart *uart, const uint8_t *bytes, size_t length);
size_t uart_room(const struct uart *uart);
void uart_flush(struct uart *uart);
int rtc_create(struct board *board);
int flash_create(struct board *board);
void flash_destroy(struct board *board);
int virtio_create(struct board *board);
void virtio_console_input(struct board *board, const uint8_t *bytes, size_t length);
size_t virtio_console_room(const struct board *board);
void flash_reset(struct board *board);
int dma_create(struct board *board);
/* Go on with what an IOPMP has stalled. */
void dma_resume(struct board *board);
void virtio_resume(struct board *board);
void virtio_stalled(struct board *board, unsigned int index);
int finisher_create(struct board *board);
int checkers_create(struct board *board);
void checkers_reset(struct board *board);
void checkers_destroy(struct board *board);

/* State of every device, in one fixed order: `stream` writes or reads a block of plain data
 * (snapshot.c). */
struct snapshot;
int snapshot_block(struct snapshot *snapshot, const char *name, void *data, size_t length);
/* The same for blocks whose length the owner decides: *length in: room, out: bytes. */
bool snapshot_loading(const struct snapshot *snapshot);
int snapshot_read_sized(struct snapshot *snapshot, const char *name, void *data, size_t *length);
int snapshot_write_sized(struct snapshot *snapshot, const char *name, const void *data,
			 size_t length);
int aclint_snapshot(struct board *board, struct snapshot *snapshot);
int plic_snapshot(struct board *board, struct snapshot *snapshot);
int aia_snapshot(struct board *board, struct snapshot *snapshot);
int uart_snapshot(struct board *board, struct snapshot *snapshot);
int rtc_snapshot(struct board *board, struct snapshot *snapshot);
int virtio_snapshot(struct board *board, struct snapshot *snapshot);
int flash_snapshot(struct board *board, struct snapshot *snapshot);
int dma_snapshot(struct board *board, struct snapshot *snapshot);
int checkers_snapshot(struct board *board, struct snapshot *snapshot);
void devices_destroy(struct board *board);
void devices_reset(struct board *board);
void aclint_reset(struct board *board);
void plic_reset(struct board *board);
void aia_reset(struct board *board);
void uart_reset(struct board *board);
void virtio_reset(struct board *board);

/* MMIO values of 1, 2, 4 or 8 bytes. */
static inline uint64_t mmio_get(const void *data, size_t length)
{
	uint64_t v = 0;

	__builtin_memcpy(&v, data, length);
	return v;
}

static inline void mmio_put(void *data, uint64_t value, size_t length)
{
	__builtin_memcpy(data, &value, length);
}

#endif
