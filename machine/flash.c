/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NOR flash at 0x20000000: two banks of 32 MiB, each a pair of 16-bit chips side by side on a
 * 32-bit bus, with the Common Flash Interface (JESD68) and Intel's command set 0001.
 *
 * A bank in *array mode* reads as memory, at memory's speed, and programs run from it; a write is a
 * command. After a command reads give its result (status, identifier, query) until 0xff. That is
 * a target that depends on the type of access, so the banks are a region like any checker: reads
 * and fetches go on to the array, writes to the command port, and a change of mode is a change of
 * the region's rules.
 *
 * Both chips get the same command, from the low byte of what is written; what a chip answers
 * appears in both halves of a word. Programming clears bits, erasing a block sets them. Both take
 * no time. A block's lock is clear at reset.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"

#define BANKS	   2
#define BANK_SIZE  (FLASH_SIZE / BANKS)
#define BLOCK_SIZE 0x40000u
#define BLOCKS	   (BANK_SIZE / BLOCK_SIZE)
#define BUFFER	   256 /* words a buffered program takes */

enum {
	CMD_PROGRAM = 0x40,
	CMD_PROGRAM_OLD = 0x10,
	CMD_ERASE = 0x20,
	CMD_CLEAR = 0x50,
	CMD_LOCK = 0x60,
	CMD_STATUS = 0x70,
	CMD_IDENTIFIER = 0x90,
	CMD_QUERY = 0x98,
	CMD_CONFIRM = 0xd0,
	CMD_BUFFER = 0xe8,
	CMD_ARRAY = 0xff,
};
enum { LOCK_BLOCK = 0x01, LOCK_DOWN = 0x2f };
enum { SR_LOCKED = 0x02, SR_PROGRAM = 0x10, SR_ERASE = 0x20, SR_READY = 0x80 };

/* What the next write means. */
enum step { STEP_COMMAND, STEP_PROGRAM, STEP_ERASE, STEP_LOCK, STEP_COUNT, STEP_DATA, STEP_CONFIRM };

struct bank_state {
	uint32_t mode; /* CMD_ARRAY, STATUS, IDENTIFIER or QUERY: what reads give */
	uint32_t step, status;
	uint32_t block, wanted, count; /* a buffered program: its block, words to come, words here */
	struct {
		uint32_t offset, value, mask;
	} buffer[BUFFER];
	uint8_t locked[BLOCKS];
};

struct bank {
	struct flash *flash;
	uint8_t *data;
	uint64_t gpa;
	struct bank_state s;
};

struct flash {
	struct board *board;
	struct bank bank[BANKS];
	struct viommu_memory *ports;
	struct viommu_map *array_map, *port_map;
	struct viommu_region *region;
};

/* CFI 4.3: from word 0x10 on, a byte for each word of a chip. */
static const uint8_t query[] = {
	'Q', 'R', 'Y', 0x01, 0x00, /* command set 0001 */
	0x31, 0x00,		   /* its table */
	0x00, 0x00, 0x00, 0x00,	   /* no second one */
	0x27, 0x36, 0x00, 0x00,	   /* 2.7 to 3.6 V */
	0x04, 0x04, 0x0a, 0x00,	   /* typical times: 2^n us a word, a buffer, 2^n ms a block */
	0x04, 0x04, 0x04, 0x00,	   /* the longest: 2^n times as much */
	0x18,			   /* 16 MiB a chip */
	0x01, 0x00,		   /* 16 bits wide */
	0x09, 0x00,		   /* a buffer of 512 bytes */
	0x01, 0x7f, 0x00, 0x00, 0x02, /* one region: 128 blocks of 512 * 256 bytes */
	'P', 'R', 'I', '1', '3', 0x20, 0x00, 0x00, 0x00, /* blocks lock one by one */
	0x00, 0x01, 0x00,	   /* nothing suspends; a block's status has a lock bit */
	0x33, 0x00, 0x00,
};

static void set_mode(struct bank *b, uint32_t mode)
{
	bool other = (b->s.mode == CMD_ARRAY) != (mode == CMD_ARRAY);

	b->s.mode = mode;
	if (other)
		viommu_region_changed(b->flash->region, b->gpa, b->gpa + BANK_SIZE - 1);
}

static uint32_t word_at(const struct bank *b, uint64_t offset)
{
	uint64_t word = offset >> 2;
	uint32_t v = 0;

	switch (b->s.mode) {
	case CMD_STATUS:
		v = b->s.status;
		break;
	case CMD_IDENTIFIER:
		if ((word & 0xffff) == 2)
			v = b->s.locked[offset / BLOCK_SIZE];
		else
			v = word == 0 ? 0x89 : word == 1 ? 0x18 : 0;
		break;
	case CMD_QUERY:
		if (word >= 0x10 && word - 0x10 < sizeof(query))
			v = query[word - 0x10];
		break;
	default:
		memcpy(&v, b->data + (offset & ~3ull), 4);
		return v;
	}
	return v | v << 16;
}

static int read_port(void *opaque, uint64_t offset, void *data, size_t length)
{
	const struct bank *b = opaque;
	uint64_t v = word_at(b, offset);

	if (length == 8)
		v |= (uint64_t)word_at(b, offset + 4) << 32;
	else if (length == 2 && b->s.mode == CMD_QUERY)
		v = 0; /* who probes for a 16-bit bus first, as U-Boot does, must not find one */
	else
		v >>= 8 * (offset & 3);
	mmio_put(data, v, length);
	return 0;
}

/* Flash can only clear bits. */
static void program(struct bank *b, uint64_t offset, uint64_t value, size_t length)
{
	if (b->s.locked[offset / BLOCK_SIZE]) {
		b->s.status |= SR_PROGRAM | SR_LOCKED;
		return;
	}
	for (size_t i = 0; i < length; i++)
		b->data[offset + i] &= (uint8_t)(value >> 8 * i);
	code_written(b->flash->board->code, b->gpa + offset, length);
}

static void erase(struct bank *b, uint64_t offset)
{
	uint64_t start = offset & ~(uint64_t)(BLOCK_SIZE - 1);

	if (b->s.locked[offset / BLOCK_SIZE]) {
		b->s.status |= SR_ERASE | SR_LOCKED;
		return;
	}
	memset(b->data + start, 0xff, BLOCK_SIZE);
	code_written(b->flash->board->code, b->gpa + start, BLOCK_SIZE);
}

static void sequence_error(struct bank *b)
{
	b->s.status |= SR_PROGRAM | SR_ERASE;
	b->s.step = STEP_COMMAND;
}

static void command(struct bank *b, uint64_t offset, uint32_t code)
{
	switch (code) {
	case CMD_PROGRAM:
	case CMD_PROGRAM_OLD:
		b->s.step = STEP_PROGRAM;
		set_mode(b, CMD_STATUS);
		break;
	case CMD_ERASE:
		b->s.step = STEP_ERASE;
		set_mode(b, CMD_STATUS);
		break;
	case CMD_LOCK:
		b->s.step = STEP_LOCK;
		set_mode(b, CMD_STATUS);
		break;
	case CMD_BUFFER:
		b->s.step = STEP_COUNT;
		b->s.block = (uint32_t)(offset / BLOCK_SIZE);
		set_mode(b, CMD_STATUS);
		break;
	case CMD_CLEAR:
		b->s.status = SR_READY;
		break;
	case CMD_STATUS:
	case CMD_IDENTIFIER:
	case CMD_QUERY:
	case CMD_ARRAY:
		set_mode(b, code);
		break;
	default: /* suspend and resume: nothing is ever going on. Others: as the array */
		if (code != 0xb0 && code != CMD_CONFIRM)
			set_mode(b, CMD_ARRAY);
	}
}

/* One word for the buffer. */
static void take_data(struct bank *b, uint64_t offset, uint32_t value, uint32_t mask)
{
	if (offset / BLOCK_SIZE != b->s.block || b->s.count >= BUFFER) {
		sequence_error(b);
		return;
	}
	b->s.buffer[b->s.count].offset = (uint32_t)offset & ~3u;
	b->s.buffer[b->s.count].value = value;
	b->s.buffer[b->s.count++].mask = mask;
	if (b->s.count >= b->s.wanted)
		b->s.step = STEP_CONFIRM;
}

static void program_buffer(struct bank *b)
{
	for (uint32_t i = 0; i < b->s.count; i++)
		program(b, b->s.buffer[i].offset, b->s.buffer[i].value | ~b->s.buffer[i].mask, 4);
	b->s.step = STEP_COMMAND;
}

static void data_write(struct bank *b, uint64_t offset, uint64_t v, size_t length)
{
	unsigned int shift = 8 * (offset & 3);
	uint32_t mask = length >= 4 ? UINT32_MAX : ((1u << 8 * length) - 1) << shift;

	take_data(b, offset, (uint32_t)(v << shift), mask);
	if (length == 8 && b->s.step == STEP_DATA)
		take_data(b, offset + 4, (uint32_t)(v >> 32), UINT32_MAX);
}

static int write_port(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct bank *b = opaque;
	uint64_t v = mmio_get(data, length);
	uint32_t code = v & 0xff;

	switch (b->s.step) {
	case STEP_PROGRAM:
		program(b, offset, v, length);
		b->s.step = STEP_COMMAND;
		break;
	case STEP_ERASE:
		if (code != CMD_CONFIRM) {
			sequence_error(b);
			break;
		}
		erase(b, offset);
		b->s.step = STEP_COMMAND;
		break;
	case STEP_LOCK:
		if (code != CMD_CONFIRM && code != LOCK_BLOCK && code != LOCK_DOWN) {
			sequence_error(b);
			break;
		}
		b->s.locked[offset / BLOCK_SIZE] = code != CMD_CONFIRM;
		b->s.step = STEP_COMMAND;
		break;
	case STEP_COUNT:
		b->s.wanted = (v & 0xffff) + 1;
		b->s.count = 0;
		b->s.step = STEP_DATA;
		if (b->s.wanted > BUFFER || offset / BLOCK_SIZE != b->s.block)
			sequence_error(b);
		break;
	case STEP_DATA:
		data_write(b, offset, v, length);
		break;
	case STEP_CONFIRM:
		if (code == CMD_CONFIRM)
			program_buffer(b);
		else
			sequence_error(b);
		break;
	default:
		command(b, offset, code);
	}
	return 0;
}

static const struct viommu_mmio_ops port_ops = { sizeof(port_ops), read_port, write_port };

/* Writes are commands; reads and fetches go where the mode says. */
static void translate(void *opaque, const struct viommu_request *request,
		      struct viommu_answer *answer)
{
	struct flash *f = opaque;
	const struct bank *b = &f->bank[(request->address - ADDR_FLASH) / BANK_SIZE];
	bool write = request->access & VIOMMU_WRITE;

	answer->kind = VIOMMU_ANSWER_PASS;
	answer->map = write || b->s.mode != CMD_ARRAY ? f->port_map : f->array_map;
	answer->address = request->address;
	answer->granted = write ? VIOMMU_WRITE : VIOMMU_READ | VIOMMU_EXECUTE;
	if (request->last <= b->gpa + BANK_SIZE - 1) {
		answer->first = b->gpa;
		answer->last = b->gpa + BANK_SIZE - 1;
	}
}

static enum viommu_reaction blocked(void *opaque, const struct viommu_request *request)
{
	return VIOMMU_REACTION_RETRY;
}

static const struct viommu_region_ops region_ops = { sizeof(region_ops), translate, blocked };

int flash_create(struct board *board)
{
	struct flash *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->board = board;
	board->cfi = f;
	r = viommu_memory_create(&f->ports);
	for (unsigned int i = 0; i < BANKS; i++) {
		struct bank *b = &f->bank[i];

		b->flash = f;
		b->data = (uint8_t *)board->flash + (size_t)i * BANK_SIZE;
		b->gpa = ADDR_FLASH + (uint64_t)i * BANK_SIZE;
		r = r ? r : viommu_memory_add_mmio(f->ports, b->gpa, BANK_SIZE, &port_ops, b, 0);
	}
	r = r ? r : viommu_map_create(board->memory, &f->array_map);
	r = r ? r : viommu_map_create(f->ports, &f->port_map);
	r = r ? r : viommu_region_create(&region_ops, f, &f->region);
	r = r ? r
	      : viommu_map_add_region(board->plain, ADDR_FLASH, ADDR_FLASH + FLASH_SIZE - 1,
				      f->region);
	if (!r)
		flash_reset(board);
	return r;
}

void flash_reset(struct board *board)
{
	for (unsigned int i = 0; i < BANKS; i++) {
		struct bank *b = &board->cfi->bank[i];

		memset(&b->s, 0, sizeof(b->s));
		b->s.status = SR_READY;
		b->s.mode = CMD_ARRAY;
		viommu_region_changed(board->cfi->region, b->gpa, b->gpa + BANK_SIZE - 1);
	}
}

/* After the map it is in. */
void flash_destroy(struct board *board)
{
	struct flash *f = board->cfi;

	if (!f)
		return;
	if (f->region)
		viommu_region_destroy(f->region);
	if (f->array_map)
		viommu_map_destroy(f->array_map);
	if (f->port_map)
		viommu_map_destroy(f->port_map);
	if (f->ports)
		viommu_memory_destroy(f->ports);
	free(f);
	board->cfi = NULL;
}

static bool state_ok(const struct bank_state *s)
{
	bool ok = s->mode == CMD_ARRAY || s->mode == CMD_STATUS || s->mode == CMD_IDENTIFIER ||
		  s->mode == CMD_QUERY;

	ok = ok && s->step <= STEP_CONFIRM && s->count <= BUFFER;
	for (uint32_t i = 0; ok && i < s->count; i++)
		ok = s->buffer[i].offset <= BANK_SIZE - 4;
	return ok;
}

int flash_snapshot(struct board *board, struct snapshot *snapshot)
{
	int r = 0;

	for (unsigned int i = 0; !r && i < BANKS; i++) {
		struct bank *b = &board->cfi->bank[i];

		r = snapshot_block(snapshot, "flash", &b->s, sizeof(b->s));
		if (!r && snapshot_loading(snapshot)) {
			r = state_ok(&b->s) ? 0 : -EBADMSG;
			viommu_region_changed(board->cfi->region, b->gpa, b->gpa + BANK_SIZE - 1);
		}
	}
	return r;
}
