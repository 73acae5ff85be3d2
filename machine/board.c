/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making the board, and the loop that gives each hart its slice (see board.h).
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <viommu/cpu.h>

#include "cpu/fast.h"
#include "board.h"
#include "loader.h"
#include "ops.h"

#define SLICE_ALONE  100000
#define SLICE_SHARED 4000
#define INPUT_PERIOD 1000000ull /* ns between looks at the terminal */
/* Virtual clock: instructions a hart retires in one tick of mtime. */
#define INSTRUCTIONS_PER_TICK 100

static uint64_t host_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t board_time(const struct board *b)
{
	uint64_t done;

	if (!b->options.virtual_clock)
		return host_ns() / 100 + b->clock_offset;
	done = b->ticks_before;
	if (b->running)
		done += (uint64_t)(b->running->slice - b->running->count);
	return done / (INSTRUCTIONS_PER_TICK * b->harts) + b->clock_offset;
}

void board_exit(struct board *b, int status)
{
	b->exit = true;
	b->exit_status = status;
	for (unsigned int i = 0; i < b->harts; i++)
		b->hart[i]->stop = b->hart[i]->event = true;
}

void board_irq(struct board *b, unsigned int irq, bool level)
{
	if (b->plic)
		plic_set(b->plic, irq, level);
	if (b->aia)
		aia_set(b->aia, irq, level);
}

int board_csr(struct board *b, struct hart *h, struct csr_access *a)
{
	return b->aia ? aia_csr(b, h, a) : -1;
}

static int dma_result(struct board *b, int r)
{
	if (r == -EAGAIN)
		b->stalled = true;
	return r;
}

int board_dma_read(struct board *b, uint32_t source, uint64_t address, void *data, size_t length)
{
	struct viommu_attributes attributes = { .wid = b->options.wg.master, .source = source };

	return dma_result(b,
			  viommu_map_read(b->master, &attributes, address, data, length, 0, NULL));
}

int board_dma_write(struct board *b, uint32_t source, uint64_t address, const void *data,
		    size_t length)
{
	struct viommu_attributes attributes = { .wid = b->options.wg.master, .source = source };
	int r = viommu_map_write(b->master, &attributes, address, data, length, 0, NULL);

	code_written(b->code, address, length);
	return dma_result(b, r);
}

/* TLB option: pages that hold decoded code are watched for writes. */
static uint32_t watched(void *opaque, struct viommu_memory *memory, uint64_t gpa)
{
	const struct board *b = opaque;

	return code_present(b->code, gpa) ? VIOMMU_WRITE : 0;
}

void board_rewatch(struct board *b, uint64_t gpa)
{
	for (unsigned int i = 0; i < b->harts; i++)
		viommu_cpu_tlb_rewatch(b->hart[i]->tlb, b->memory, gpa, 4096);
}

/* A fast path that never hits. */
static struct viommu_fast_entry never_entry = {
	.tag = { VIOMMU_FAST_INVALID, VIOMMU_FAST_INVALID, VIOMMU_FAST_INVALID },
};
static const struct viommu_fast never = { .table = &never_entry };

void board_single_step(struct board *b, bool on)
{
	for (unsigned int i = 0; i < b->harts; i++)
		b->hart[i]->fast = on || b->options.no_caches
					   ? &never
					   : viommu_cpu_tlb_fast(b->hart[i]->tlb);
}

static int create_hart(struct board *b, unsigned int index)
{
	struct viommu_cpu_options options = { .size = sizeof(options),
					      .watched = watched,
					      .opaque = b };
	struct hart *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->index = index;
	h->board = b;
	h->single = code_page_alone();
	r = h->single ? viommu_cpu_tlb_create(b->cpu, &options, &h->tlb) : -ENOMEM;
	if (r) {
		free(h->single);
		free(h);
		return r;
	}
	h->fast = b->options.no_caches ? &never : viommu_cpu_tlb_fast(h->tlb);
	b->hart[index] = h;
	b->harts = index + 1;
	return 0;
}

static int map_ram(struct board *b, uint64_t gpa, uint64_t length, uint32_t flags, void **hva)
{
	*hva = mmap(NULL, length, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (*hva == MAP_FAILED) {
		*hva = NULL;
		return -ENOMEM;
	}
	madvise(*hva, length, MADV_HUGEPAGE);
	return viommu_memory_add_hva(b->memory, gpa, length, *hva, flags);
}

static int create_memory(struct board *b)
{
	int r = viommu_memory_create(&b->memory);

	r = r ? r : map_ram(b, ADDR_ROM, ROM_SIZE, VIOMMU_SEGMENT_READONLY, &b->rom);
	r = r ? r : map_ram(b, ADDR_FLASH, FLASH_SIZE, VIOMMU_SEGMENT_READONLY, &b->flash);
	r = r ? r : map_ram(b, ADDR_DRAM, b->options.memory, 0, &b->ram);
	r = r ? r : viommu_map_create(b->memory, &b->plain);
	b->bus = b->cpu = b->master = b->plain;
	return r ? r : flash_create(b);
}

static int create_devices(struct board *b)
{
	int r = aclint_create(b);

	if (b->options.aia == AIA_NONE)
		r = r ? r : plic_create(b);
	else
		r = r ? r : aia_create(b);
	r = r ? r : uart_create(b);
	r = r ? r : rtc_create(b);
	r = r ? r : finisher_create(b);
	r = r ? r : virtio_create(b);
	return r ? r : dma_create(b);
}

int board_create(const struct board_options *options, struct board **out)
{
	struct board *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	b->options = *options;
	exec_prepare();
	b->code_page_end = exec_handlers[OP_page_end];
	r = code_create(&b->code) ? -ENOMEM : 0;
	r = r ? r : create_memory(b);
	r = r ? r : checkers_create(b);
	for (unsigned int i = 0; !r && i < options->harts; i++)
		r = create_hart(b, i);
	r = r ? r : create_devices(b);
	if (r) {
		board_destroy(b);
		return r;
	}
	for (unsigned int i = 0; i < b->harts; i++)
		viommu_cpu_tlb_enter(b->hart[i]->tlb);
	if (!options->virtual_clock)
		b->clock_offset = 0 - host_ns() / 100;
	board_reset(b);
	*out = b;
	return 0;
}

void board_destroy(struct board *b)
{
	if (!b)
		return;
	for (unsigned int i = 0; i < b->harts; i++) {
		viommu_cpu_tlb_leave(b->hart[i]->tlb);
		viommu_cpu_tlb_destroy(b->hart[i]->tlb);
		free(b->hart[i]->single);
		free(b->hart[i]);
	}
	checkers_destroy(b);
	if (b->plain)
		viommu_map_destroy(b->plain);
	flash_destroy(b);
	if (b->memory)
		viommu_memory_destroy(b->memory);
	devices_destroy(b);
	if (b->ram)
		munmap(b->ram, b->options.memory);
	if (b->rom)
		munmap(b->rom, ROM_SIZE);
	if (b->flash)
		munmap(b->flash, FLASH_SIZE);
	code_destroy(b->code);
	free(b);
}

void board_reset(struct board *b)
{
	b->reset = false;
	checkers_reset(b);
	for (unsigned int i = 0; i < b->harts; i++)
		hart_reset(b->hart[i], b->entry ? b->entry : ADDR_ROM);
}

/* HTIF, as bare-metal tests use it: an odd value ends the run, an even one points to a system call.
 */
static void look_at_tohost(struct board *b)
{
	uint64_t v = 0, call[4], one = 1, zero = 0;

	if (!b->tohost || viommu_memory_read(b->memory, b->tohost, &v, 8) || !v)
		return;
	if (v & 1) {
		board_exit(b, (int)(v >> 1 > 255 ? 255 : v >> 1));
		return;
	}
	if (!viommu_memory_read(b->memory, v, call, sizeof(call)) && call[0] == 64 &&
	    call[3] <= 65536) {
		char *text = malloc(call[3] + 1);

		if (text && !viommu_memory_read(b->memory, call[2], text, call[3])) {
			fwrite(text, 1, call[3], stdout);
			fflush(stdout);
		}
		free(text);
	}
	viommu_memory_write(b->memory, b->tohost, &zero, 8);
	if (b->fromhost)
		viommu_memory_write(b->memory, b->fromhost, &one, 8);
}

/* Ctrl-A x ends the run; only on a terminal, where nothing else can. */
static bool escape(struct board *b, const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; isatty(STDIN_FILENO) && i < length; i++) {
		if (b->escaped && bytes[i] == 'x') {
			board_exit(b, 130);
			return true;
		}
		b->escaped = bytes[i] == 1;
	}
	return false;
}

/* Bytes from the terminal, waiting at most `timeout` ns for them. */
static void look_at_input(struct board *b, uint64_t timeout)
{
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
	struct timespec t = { (time_t)(timeout / 1000000000), (long)(timeout % 1000000000) };
	uint8_t bytes[64];
	bool virtio = b->options.console_virtio;
	size_t room = virtio ? virtio_console_room(b) : uart_room(b->uart);
	ssize_t n;

	if (!b->options.console || b->options.console_closed || !room) {
		if (timeout)
			ppoll(NULL, 0, &t, NULL);
		return;
	}
	if (ppoll(&fd, 1, &t, NULL) <= 0 || !(fd.revents & (POLLIN | POLLHUP)))
		return;
	n = read(STDIN_FILENO, bytes, room < sizeof(bytes) ? room : sizeof(bytes));
	if (n <= 0)
		b->options.console_closed = true;
	else if (escape(b, bytes, (size_t)n))
		return;
	else if (virtio)
		virtio_console_input(b, bytes, (size_t)n);
	else
		uart_input(b->uart, bytes, (size_t)n);
}

/* Every hart waits: let time pass until something can happen. */
static void idle(struct board *b)
{
	uint64_t next = aclint_next(b), now = board_time(b), wait = 100000000;

	uart_flush(b->uart);
	if (b->unfinished) /* someone is not waiting */
		return;
	if (b->options.virtual_clock && next != UINT64_MAX) {
		b->clock_offset += next > now ? next - now : 0;
		aclint_update(b);
		return;
	}
	if (next == UINT64_MAX && (!b->options.console || b->options.console_closed) && !b->gdb) {
		fprintf(stderr,
			"viommu riscv: every hart waits, and nothing is left that could wake one\n");
		board_exit(b, 124);
		return;
	}
	if (next != UINT64_MAX)
		wait = next <= now ? 0 : (next - now) * 100 < wait ? (next - now) * 100 : wait;
	for (unsigned int i = 0; i < b->harts; i++)
		viommu_cpu_tlb_leave(b->hart[i]->tlb);
	look_at_input(b, wait);
	for (unsigned int i = 0; i < b->harts; i++)
		viommu_cpu_tlb_enter(b->hart[i]->tlb);
}

static uint64_t slice_length(const struct board *b)
{
	uint64_t slice = b->harts > 1 ? SLICE_SHARED : SLICE_ALONE, next, now, until;

	if (b->options.virtual_clock) {
		next = aclint_next(b);
		now = board_time(b);
		until = next == UINT64_MAX ? slice : (next - now) * INSTRUCTIONS_PER_TICK;
		if (until < slice)
			slice = until ? until : 1;
	}
	if (b->limit && b->limit - b->instructions < slice)
		slice = b->limit - b->instructions;
	return slice ? slice : 1;
}

static void finish_reset(struct board *b)
{
	if (!b->reload || loader_load(b, b->reload)) {
		board_exit(b, b->reload ? 1 : 0);
		return;
	}
	devices_reset(b);
}

static void after_round(struct board *b)
{
	if (b->stalled || b->unfinished) {
		b->stalled = b->unfinished = false;
		dma_resume(b);
		virtio_resume(b);
	}
	look_at_tohost(b);
	if (b->limit && b->instructions >= b->limit && !b->exit) {
		if (!b->quiet_limit)
			fprintf(stderr,
				"viommu riscv: stopped after %llu instructions, as --limit asks\n",
				(unsigned long long)b->instructions);
		board_exit(b, 124);
	}
	if (b->reset && !b->exit)
		finish_reset(b);
}

bool board_round(struct board *b, uint64_t most)
{
	bool ran = false;
	uint64_t slice, now;

	aclint_update(b);
	if (!b->options.virtual_clock || b->options.console) {
		now = host_ns();
		if (now >= b->next_input) {
			uart_flush(b->uart);
			look_at_input(b, 0);
			b->next_input = now + INPUT_PERIOD;
		}
	}
	slice = slice_length(b);
	if (slice > most)
		slice = most;
	for (unsigned int i = 0; i < b->harts && !b->exit && !b->reset; i++) {
		struct hart *h = b->hart[i];
		uint64_t n;

		if (h->s.waiting && !hart_wakes(h))
			continue;
		h->s.waiting = 0;
		b->running = h;
		n = hart_run(h, slice);
		b->running = NULL;
		b->ticks_before += n;
		b->instructions += n;
		ran = true;
	}
	after_round(b);
	if (!ran && !b->exit)
		idle(b);
	return !b->exit;
}

int board_run(struct board *b)
{
	while (b->gdb ? gdb_turn(b) : board_round(b, UINT64_MAX))
		;
	uart_flush(b->uart);
	return b->exit_status;
}
