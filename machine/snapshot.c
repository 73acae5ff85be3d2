/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Snapshots: a header that says which machine it was, named blocks of plain state in one fixed
 * order, and memory.
 *
 * Saving and loading walk the same list of blocks, so what is saved is what is loaded. A file is a
 * stranger's until proven: names, lengths and the checksum at its end are checked before the
 * machine changes, which is why loading reads the file twice.
 */
#include "snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checkers.h"

#define MAGIC	"VIOMMURV"
#define VERSION 2u
#define PAGE	4096u

struct snapshot {
	FILE *file;
	const char *path;
	bool loading;
	uint64_t sum; /* FNV-1a of everything so far */
};

/* What must be equal on both sides. */
struct shape {
	char magic[8];
	uint32_t version, harts;
	uint64_t memory;
	uint32_t aia, virtual_clock, worldguard, iopmp;
	struct wg_options wg;
	uint32_t hart_bytes, unused;
};

static void add_sum(struct snapshot *s, const void *data, size_t length)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < length; i++)
		s->sum = (s->sum ^ p[i]) * 0x100000001b3ull;
}

static int put(struct snapshot *s, const void *data, size_t length)
{
	add_sum(s, data, length);
	return fwrite(data, 1, length, s->file) == length ? 0 : -EIO;
}

static int get(struct snapshot *s, void *data, size_t length)
{
	if (fread(data, 1, length, s->file) != length)
		return -EBADMSG;
	add_sum(s, data, length);
	return 0;
}

bool snapshot_loading(const struct snapshot *s)
{
	return s->loading;
}

struct block_header {
	char name[16];
	uint64_t length;
};

int snapshot_write_sized(struct snapshot *s, const char *name, const void *data, size_t length)
{
	struct block_header h = { .length = length };
	int r;

	strncpy(h.name, name, sizeof(h.name) - 1);
	r = put(s, &h, sizeof(h));
	return r ? r : put(s, data, length);
}

int snapshot_read_sized(struct snapshot *s, const char *name, void *data, size_t *length)
{
	struct block_header h;
	int r = get(s, &h, sizeof(h));

	if (r || strncmp(h.name, name, sizeof(h.name)) || h.length > *length)
		return -EBADMSG;
	*length = h.length;
	return get(s, data, h.length);
}

int snapshot_block(struct snapshot *s, const char *name, void *data, size_t length)
{
	size_t got = length;
	int r;

	if (!s->loading)
		return snapshot_write_sized(s, name, data, length);
	r = snapshot_read_sized(s, name, data, &got);
	return r ? r : got == length ? 0 : -EBADMSG;
}

static struct shape shape_of(const struct board *b)
{
	struct shape shape;

	memset(&shape, 0, sizeof(shape));
	memcpy(shape.magic, MAGIC, sizeof(shape.magic));
	shape.version = VERSION;
	shape.harts = b->harts;
	shape.memory = b->options.memory;
	shape.aia = b->options.aia;
	shape.virtual_clock = b->options.virtual_clock;
	shape.worldguard = b->options.wg.on;
	shape.iopmp = b->options.iopmp.on;
	memcpy(&shape.wg, &b->options.wg, sizeof(shape.wg));
	shape.hart_bytes = sizeof(struct hart_state);
	return shape;
}

/* What no hart can be in: everything else is some state, if a strange one. */
static bool hart_ok(const struct board *b, const struct hart *h)
{
	const struct hart_state *s = &h->s;
	uint64_t mode = s->satp >> SATP_MODE_SHIFT;
	bool ok = s->privilege <= PRV_M && s->privilege != 2 && !s->x[0] && s->frm <= 7 &&
		  s->fflags <= 31 && (s->mstatus & MSTATUS_MPP) != 2ull << MSTATUS_MPP_SHIFT;

	ok = ok && (!mode || (mode >= 8 && mode <= 10));
	ok = ok && !((s->pc | s->mepc | s->sepc) & 1) && !((s->mtvec | s->stvec) & 2);
	/* version 0.4 keeps its WIDs legal; the draft asks when it uses one */
	if (b->worlds_on && b->worlds.version == VIOMMU_WORLDS_WG04)
		ok = ok && h->world.mlwid < b->worlds.worlds && h->world.slwid < b->worlds.worlds;
	return ok;
}

static int hart_blocks(struct board *b, struct snapshot *s)
{
	int r = 0;

	for (unsigned int i = 0; !r && i < b->harts; i++) {
		r = snapshot_block(s, "hart", &b->hart[i]->s, sizeof(b->hart[i]->s));
		r = r ? r
		      : snapshot_block(s, "world", &b->hart[i]->world, sizeof(b->hart[i]->world));
		if (!r && s->loading && !hart_ok(b, b->hart[i]))
			r = -EBADMSG;
	}
	return r;
}

static int all_blocks(struct board *b, struct snapshot *s)
{
	uint64_t clock[4] = { board_time(b), b->instructions, b->tohost, b->fromhost };
	int r = hart_blocks(b, s);

	r = r ? r : snapshot_block(s, "clock", clock, sizeof(clock));
	r = r ? r : aclint_snapshot(b, s);
	r = r ? r : plic_snapshot(b, s);
	r = r ? r : aia_snapshot(b, s);
	r = r ? r : uart_snapshot(b, s);
	r = r ? r : rtc_snapshot(b, s);
	r = r ? r : virtio_snapshot(b, s);
	r = r ? r : dma_snapshot(b, s);
	r = r ? r : flash_snapshot(b, s);
	r = r ? r : checkers_snapshot(b, s);
	if (!r && s->loading) {
		b->clock_offset += clock[0] - board_time(b);
		b->instructions = clock[1];
		b->tohost = clock[2];
		b->fromhost = clock[3];
	}
	return r;
}

static bool all_zero(const uint8_t *page)
{
	static const uint8_t zeros[PAGE];

	return !memcmp(page, zeros, PAGE);
}

/* The byte a page's address stands for: DRAM's, or the flash's. NULL: neither. */
static uint8_t *page_at(const struct board *b, uint64_t at)
{
	if (at % PAGE)
		return NULL;
	if (at >= ADDR_DRAM && at - ADDR_DRAM < b->options.memory)
		return (uint8_t *)b->ram + (at - ADDR_DRAM);
	if (at >= ADDR_FLASH && at - ADDR_FLASH < FLASH_SIZE)
		return (uint8_t *)b->flash + (at - ADDR_FLASH);
	return NULL;
}

static int save_pages(struct board *b, struct snapshot *s, uint64_t start, uint64_t length)
{
	int r = 0;

	for (uint64_t at = start; !r && at < start + length; at += PAGE) {
		const uint8_t *page = page_at(b, at);

		if (all_zero(page))
			continue;
		r = put(s, &at, sizeof(at));
		r = r ? r : put(s, page, PAGE);
	}
	return r;
}

static int save_memory(struct board *b, struct snapshot *s)
{
	uint64_t end = UINT64_MAX;
	int r = put(s, b->rom, ROM_SIZE);

	r = r ? r : save_pages(b, s, ADDR_FLASH, FLASH_SIZE);
	r = r ? r : save_pages(b, s, ADDR_DRAM, b->options.memory);
	return r ? r : put(s, &end, sizeof(end));
}

static int load_memory(struct board *b, struct snapshot *s, bool apply)
{
	uint8_t page[PAGE], *rom = malloc(ROM_SIZE);
	uint64_t at;
	int r = rom ? get(s, rom, ROM_SIZE) : -ENOMEM;

	if (!r && apply) {
		memcpy(b->rom, rom, ROM_SIZE);
		memset(b->ram, 0, b->options.memory);
		memset(b->flash, 0, FLASH_SIZE);
	}
	free(rom);
	while (!r && !(r = get(s, &at, sizeof(at))) && at != UINT64_MAX) {
		if (!page_at(b, at))
			return -EBADMSG;
		r = get(s, page, PAGE);
		if (!r && apply)
			memcpy(page_at(b, at), page, PAGE);
	}
	return r;
}

int snapshot_save(struct board *b, const char *path)
{
	struct snapshot s = { .path = path,
			      .file = fopen(path, "wb"),
			      .sum = 0xcbf29ce484222325ull };
	struct shape shape = shape_of(b);
	int r = s.file ? put(&s, &shape, sizeof(shape)) : -errno;
	uint64_t sum;

	if (s.file) {
		r = r ? r : all_blocks(b, &s);
		r = r ? r : save_memory(b, &s);
		sum = s.sum;
		r = r ? r : put(&s, &sum, sizeof(sum));
		if (fclose(s.file) && !r)
			r = -EIO;
	}
	if (r)
		fprintf(stderr, "viommu riscv: %s: the snapshot could not be written: %s\n", path,
			strerror(-r));
	return r;
}

/* Skip over the blocks: their names and lengths are looked at when they are applied. */
static int skip_blocks(struct snapshot *s, unsigned int count)
{
	struct block_header h;
	uint8_t piece[4096];
	int r = 0;

	for (unsigned int i = 0; !r && i < count; i++) {
		r = get(s, &h, sizeof(h));
		if (!r && h.length > 1 << 20)
			return -EBADMSG;
		for (uint64_t left = h.length; !r && left;
		     left -= left < sizeof(piece) ? left : sizeof(piece))
			r = get(s, piece, left < sizeof(piece) ? left : sizeof(piece));
	}
	return r;
}

static int check_file(struct board *b, struct snapshot *s, unsigned int blocks)
{
	struct shape shape, own = shape_of(b);
	uint64_t sum, stored;
	int r = get(s, &shape, sizeof(shape));

	if (r || memcmp(shape.magic, MAGIC, sizeof(shape.magic))) {
		fprintf(stderr, "viommu riscv: %s: not a snapshot of this program\n", s->path);
		return -EBADMSG;
	}
	if (memcmp(&shape, &own, sizeof(shape))) {
		fprintf(stderr,
			"viommu riscv: %s: taken from another machine: %u harts, %llu MiB, %s clock%s%s; give the "
			"same options\n",
			s->path, shape.harts, (unsigned long long)shape.memory >> 20,
			shape.virtual_clock ? "virtual" : "host",
			shape.worldguard ? ", --worldguard" : "", shape.iopmp ? ", --iopmp" : "");
		return -EINVAL;
	}
	r = skip_blocks(s, blocks);
	r = r ? r : load_memory(b, s, false);
	sum = s->sum;
	r = r ? r : get(s, &stored, sizeof(stored));
	return r || sum != stored ? -EBADMSG : 0;
}

/* How many blocks all_blocks() writes for this board. */
static unsigned int block_count(const struct board *b)
{
	unsigned int n = 2 * b->harts + 1 + 5 + 2 + BOARD_VIRTIO;

	if (b->options.wg.on)
		n += 4;
	n += (b->options.iopmp.on && b->options.iopmp.cpu) +
	     (b->options.iopmp.on && b->options.iopmp.masters);
	return n;
}

int snapshot_load(struct board *b, const char *path)
{
	struct snapshot s = { .path = path, .file = fopen(path, "rb"), .loading = true };
	struct shape shape;
	int r;

	if (!s.file) {
		r = -errno;
		fprintf(stderr, "viommu riscv: %s: %s\n", path, strerror(-r));
		return r;
	}
	s.sum = 0xcbf29ce484222325ull;
	r = check_file(b, &s, block_count(b));
	if (!r) {
		rewind(s.file);
		r = get(&s, &shape, sizeof(shape));
		r = r ? r : all_blocks(b, &s);
		r = r ? r : load_memory(b, &s, true);
	}
	fclose(s.file);
	if (r) {
		if (r == -EBADMSG)
			fprintf(stderr, "viommu riscv: %s: the snapshot is damaged\n", path);
		return r;
	}
	code_reset(b->code);
	for (unsigned int i = 0; i < b->harts; i++) {
		b->hart[i]->pmp_on = true;
		pmp_rebuild(b->hart[i]);
		hart_context_update(b->hart[i]);
	}
	aclint_update(b);
	/* masters that waited for an IOPMP look again */
	b->stalled = true;
	for (unsigned int i = 0; i < BOARD_VIRTIO; i++)
		virtio_stalled(b, i);
	return 0;
}
