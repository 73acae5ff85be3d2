/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Putting the access checkers of lib/riscv in front of the board (see board.h for the maps they
 * make).
 *
 * wgCheckers stand on the bus in front of DRAM, flash and UART, so harts and masters meet the same
 * ones; their registers are behind a WID guard. Bus masters know no worlds: a wgMarker gives them
 * their WID. Harts and masters have an IOPMP each, in front of all that, with one source id for the
 * harts and one for each master.
 */
#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "checkers.h"
#include "loader.h"

#define WG_CHECKERS  3
#define IOPMPS	     2
#define IOPMP_STRIDE 0x100000

struct irq_wire {
	struct board *board;
	unsigned int irq;
};

struct checkers {
	struct viommu_wgchecker *wg[WG_CHECKERS];
	struct viommu_wid_guard *guard;
	struct viommu_wgmarker *marker;
	struct viommu_iopmp *iopmp[IOPMPS];
	struct viommu_region *around; /* the harts' way past their IOPMP: registers */
	struct irq_wire wire[WG_CHECKERS + IOPMPS];
};

static const struct {
	const char *name;
	uint64_t registers, start, length; /* length 0: the size of memory */
	unsigned int slots, irq;
	uint32_t phandle; /* of what it guards */
} places[WG_CHECKERS] = {
	{ "DRAM", ADDR_WG_DRAM, ADDR_DRAM, 0, 16, BOARD_IRQ_WG_DRAM,
	  PHANDLE_MEMORY },
	{ "flash", ADDR_WG_FLASH, ADDR_FLASH, FLASH_SIZE, 16, BOARD_IRQ_WG_FLASH,
	  PHANDLE_FLASH },
	{ "UART", ADDR_WG_UART, ADDR_UART, 0x1000, 1, BOARD_IRQ_WG_UART,
	  PHANDLE_UART },
};

static void set_wire(void *opaque, bool level)
{
	const struct irq_wire *wire = opaque;

	/* checkers are made before the interrupt controller */
	if (wire->board->aclint)
		board_irq(wire->board, wire->irq, level);
}

/* Without a trusted world M-mode is in the highest. */
static uint32_t machine_wid(const struct wg_options *wg)
{
	return wg->trusted == VIOMMU_NO_WID ? wg->worlds - 1 : wg->trusted;
}

static int add_wgchecker(struct board *b, unsigned int i)
{
	struct checkers *c = b->checkers;
	const struct wg_options *wg = &b->options.wg;
	uint64_t length = places[i].length ? places[i].length : b->options.memory;
	struct viommu_wgchecker_config config = {
		.size = sizeof(config),
		.flags = (wg->bypass ? VIOMMU_WG_HW_BYPASS : 0u) |
			 (wg->priority ? VIOMMU_WG_PRIORITY : 0u) |
			 (wg->tz_compat ? VIOMMU_WG_TZ_COMPAT : 0u),
		.start = places[i].start,
		.length = length,
		.slots = places[i].slots,
		.worlds = wg->worlds,
		.trusted_wid = machine_wid(wg), /* whom the bypass lets through */
		.next = b->plain,
		.irq = set_wire,
		.irq_opaque = &c->wire[i],
	};
	int r;

	c->wire[i] = (struct irq_wire){ b, places[i].irq };
	r = viommu_wgchecker_create(&config, &c->wg[i]);
	r = r ? r
	      : viommu_map_add_region(b->bus, places[i].start, places[i].start + length - 1,
				      viommu_wgchecker_region(c->wg[i]));
	return r ? r
		 : viommu_memory_add_mmio(b->memory, places[i].registers, 0x1000,
					  viommu_wgchecker_mmio(), c->wg[i], 0);
}

static int create_worldguard(struct board *b)
{
	struct checkers *c = b->checkers;
	const struct wg_options *wg = &b->options.wg;
	struct viommu_wgmarker_config marker = {
		.size = sizeof(marker),
		.wid = wg->master,
		.worlds = wg->worlds,
		.next = NULL,
	};
	uint32_t all = wg->worlds == 32 ? UINT32_MAX : (1u << wg->worlds) - 1;
	int r = viommu_map_create(b->memory, &b->bus);

	for (unsigned int i = 0; !r && i < WG_CHECKERS; i++)
		r = add_wgchecker(b, i);
	if (!r && wg->guard && wg->trusted != VIOMMU_NO_WID) {
		r = viommu_wid_guard_create(wg->trusted, b->plain, &c->guard);
		r = r ? r
		      : viommu_map_add_region(b->bus, ADDR_WG_DRAM, ADDR_WG_MARKER + 0xfff,
					      viommu_wid_guard_region(c->guard));
	}
	marker.next = b->bus;
	r = r ? r : viommu_wgmarker_create(&marker, &c->marker);
	r = r ? r : viommu_map_create(b->memory, &b->master);
	r = r ? r
	      : viommu_map_add_region(b->master, 0, UINT64_MAX, viommu_wgmarker_region(c->marker));
	r = r ? r
	      : viommu_memory_add_mmio(b->memory, ADDR_WG_MARKER, 0x1000, viommu_wgmarker_mmio(),
				       c->marker, 0);
	b->cpu = b->bus;
	b->worlds_on = true;
	b->worlds = (struct viommu_world_config){
		.size = sizeof(b->worlds),
		.version = wg->draft ? VIOMMU_WORLDS_DRAFT : VIOMMU_WORLDS_WG04,
		.extensions = VIOMMU_SMLWID | VIOMMU_SMWIDDELEG | VIOMMU_SSWID |
			      (wg->draft ? VIOMMU_SMWID | VIOMMU_SMLWIDLIST : 0u),
		.worlds = wg->worlds,
		.mwid = machine_wid(wg),
		.mwidlist = all,
		.pmwidlist = all,
		.trusted_wid = machine_wid(wg),
		.hw_bypass = wg->bypass,
		.supervisor = true,
		/* custom machine-level numbers: the draft leaves them to the platform */
		.csr_mwid = wg->draft ? 0x7c0 : 0,
		.csr_mlwidlist = wg->draft ? 0x7c1 : 0,
		.xlen = 64,
	};
	return r ? r : viommu_world_check(&b->worlds);
}

/* One IOPMP in front of *map, over what lies in [start, last] pairs; *map becomes the map with it.
 */
static int add_iopmp(struct board *b, unsigned int i, struct viommu_map **map,
		     const uint64_t (*spans)[2], unsigned int count)
{
	struct checkers *c = b->checkers;
	struct viommu_iopmp_config config = b->options.iopmp.config;
	struct viommu_map *front;
	int r;

	c->wire[WG_CHECKERS + i] = (struct irq_wire){ b, BOARD_IRQ_IOPMP + i };
	config.size = sizeof(config);
	config.next = *map;
	config.irq = set_wire;
	config.irq_opaque = &c->wire[WG_CHECKERS + i];
	r = viommu_iopmp_create(&config, &c->iopmp[i]);
	r = r ? r : viommu_map_create(b->memory, &front);
	if (r)
		return r;
	*map = front;
	for (unsigned int n = 0; !r && n < count; n++)
		r = viommu_map_add_region(front, spans[n][0], spans[n][1],
					  viommu_iopmp_region(c->iopmp[i]));
	return r ? r
		 : viommu_memory_add_mmio(b->memory, ADDR_IOPMP + (uint64_t)i * IOPMP_STRIDE,
					  viommu_iopmp_registers(c->iopmp[i]), viommu_iopmp_mmio(),
					  c->iopmp[i], 0);
}

/* A region that lets everything go on in the map behind it. */
static void pass_translate(void *opaque, const struct viommu_request *request,
			   struct viommu_answer *answer)
{
	answer->kind = VIOMMU_ANSWER_PASS;
	answer->map = opaque;
	answer->address = request->address;
	answer->granted = VIOMMU_READ | VIOMMU_WRITE | VIOMMU_EXECUTE;
}

static enum viommu_reaction pass_blocked(void *opaque, const struct viommu_request *request)
{
	return VIOMMU_REACTION_RETRY;
}

static const struct viommu_region_ops pass_ops = { sizeof(pass_ops), pass_translate, pass_blocked };

/* What the harts' IOPMP does not guard goes on to the bus and its checkers. */
static int add_around(struct board *b, struct viommu_map *front)
{
	const uint64_t dram_end = ADDR_DRAM + b->options.memory;
	const uint64_t rest[3][2] = {
		{ 0, ADDR_FLASH - 1 },
		{ ADDR_FLASH + FLASH_SIZE, ADDR_DRAM - 1 },
		{ dram_end, UINT64_MAX },
	};
	int r = viommu_region_create(&pass_ops, b->bus, &b->checkers->around);

	for (unsigned int i = 0; !r && i < 3; i++)
		r = viommu_map_add_region(front, rest[i][0], rest[i][1], b->checkers->around);
	return r;
}

static int create_iopmps(struct board *b)
{
	/* the harts' IOPMP guards memory; registers, its own among them, stay reachable */
	const uint64_t memory[2][2] = {
		{ ADDR_FLASH, ADDR_FLASH + FLASH_SIZE - 1 },
		{ ADDR_DRAM, ADDR_DRAM + b->options.memory - 1 },
	};
	const uint64_t all[1][2] = { { 0, UINT64_MAX } };
	struct viommu_map *front = b->cpu;
	int r = 0;

	if (b->options.iopmp.cpu) {
		r = add_iopmp(b, 0, &front, memory, 2);
		b->iopmp_map[0] = b->cpu == front ? NULL : front;
		b->cpu = front;
		if (!r && b->bus != b->plain)
			r = add_around(b, front);
	}
	front = b->master;
	if (!r && b->options.iopmp.masters) {
		r = add_iopmp(b, 1, &front, all, 1);
		b->iopmp_map[1] = b->master == front ? NULL : front;
		b->marked = b->master;
		b->master = front;
	}
	return r;
}

int checkers_create(struct board *b)
{
	int r = 0;

	if (!b->options.wg.on && !b->options.iopmp.on)
		return 0;
	b->checkers = calloc(1, sizeof(*b->checkers));
	if (!b->checkers)
		return -ENOMEM;
	if (b->options.wg.on)
		r = create_worldguard(b);
	if (!r && b->options.iopmp.on)
		r = create_iopmps(b);
	return r;
}

static void iopmp_write(struct viommu_iopmp *iopmp, uint64_t offset, uint32_t value)
{
	viommu_iopmp_mmio()->write(iopmp, offset, &value, sizeof(value));
}

static uint32_t iopmp_read(struct viommu_iopmp *iopmp, uint64_t offset)
{
	uint32_t value = 0;

	viommu_iopmp_mmio()->read(iopmp, offset, &value, sizeof(value));
	return value;
}

/*
 * rules=open: what firmware would set up to let every source go everywhere, for software that knows
 * no IOPMP. Each domain's first entry is NAPOT over all addresses; each source is in domain 0 (or
 * in its own: format 1).
 */
static void iopmp_open(const struct board *b, struct viommu_iopmp *iopmp)
{
	const struct viommu_iopmp_config *c = &b->options.iopmp.config;
	uint32_t entries = iopmp_read(iopmp, 0x2c), k = c->mdcfg_format ? c->domain_entries : 1;

	for (uint32_t m = 0; m < c->domains && (m + 1) * k <= c->entries; m++) {
		if (!c->mdcfg_format)
			iopmp_write(iopmp, 0x800 + 4 * m, m + 1);
		iopmp_write(iopmp, entries + 16 * m * k, UINT32_MAX);
		iopmp_write(iopmp, entries + 16 * m * k + 4, UINT32_MAX);
		iopmp_write(iopmp, entries + 16 * m * k + 8, 0x1f);
	}
	for (uint32_t s = 0; s < c->sources && s < 4096; s++) {
		if (c->srcmd_format == 0)
			iopmp_write(iopmp, 0x1000 + 32 * s, 2);
		for (unsigned int at = 8; at < 32 && c->flags & VIOMMU_IOPMP_SPS; at += 8)
			iopmp_write(iopmp, 0x1000 + 32 * s + at, 2);
	}
	iopmp_write(iopmp, 8, 1);
}

void checkers_reset(struct board *b)
{
	struct checkers *c = b->checkers;

	for (unsigned int i = 0; c && i < WG_CHECKERS; i++)
		if (c->wg[i])
			viommu_wgchecker_reset(c->wg[i]);
	if (c && c->marker)
		viommu_wgmarker_reset(c->marker);
	for (unsigned int i = 0; c && i < IOPMPS; i++)
		if (c->iopmp[i]) {
			viommu_iopmp_reset(c->iopmp[i]);
			if (b->options.iopmp.open)
				iopmp_open(b, c->iopmp[i]);
		}
}

/* Front to back: a region leaves its maps before it goes, and a map goes after all that lead to it.
 */
void checkers_destroy(struct board *b)
{
	struct checkers *c = b->checkers;
	struct viommu_map *marked = b->marked ? b->marked : b->master;

	if (!c)
		return;
	for (unsigned int i = 0; i < IOPMPS; i++) {
		if (b->iopmp_map[i])
			viommu_map_destroy(b->iopmp_map[i]);
		if (c->iopmp[i])
			viommu_iopmp_destroy(c->iopmp[i]);
	}
	if (c->around)
		viommu_region_destroy(c->around);
	if (marked && marked != b->plain && marked != b->bus)
		viommu_map_destroy(marked);
	if (c->marker)
		viommu_wgmarker_destroy(c->marker);
	if (b->bus && b->bus != b->plain)
		viommu_map_destroy(b->bus);
	if (c->guard)
		viommu_wid_guard_destroy(c->guard);
	for (unsigned int i = 0; i < WG_CHECKERS; i++)
		if (c->wg[i])
			viommu_wgchecker_destroy(c->wg[i]);
	free(c);
	b->checkers = NULL;
}

static int snapshot_checker(struct snapshot *s, const char *name, void *checker,
			    int (*save)(void *, void *, size_t *),
			    int (*load)(void *, const void *, size_t))
{
	size_t length = 1 << 20;
	void *data = malloc(length);
	int r;

	if (!data)
		return -ENOMEM;
	if (snapshot_loading(s)) {
		r = snapshot_read_sized(s, name, data, &length);
		r = r ? r : load(checker, data, length);
	} else {
		r = save(checker, data, &length);
		r = r ? r : snapshot_write_sized(s, name, data, length);
	}
	free(data);
	return r;
}

#define SAVER(kind)                                              \
	static int save_##kind(void *c, void *d, size_t *n)      \
	{                                                        \
		return viommu_##kind##_save(c, d, n);            \
	}                                                        \
	static int load_##kind(void *c, const void *d, size_t n) \
	{                                                        \
		return viommu_##kind##_load(c, d, n);            \
	}
SAVER(wgchecker)
SAVER(wgmarker)
SAVER(iopmp)

int checkers_snapshot(struct board *b, struct snapshot *s)
{
	struct checkers *c = b->checkers;
	int r = 0;

	if (!c)
		return 0;
	for (unsigned int i = 0; !r && i < WG_CHECKERS; i++)
		if (c->wg[i])
			r = snapshot_checker(s, "wgchecker", c->wg[i], save_wgchecker,
					     load_wgchecker);
	if (!r && c->marker)
		r = snapshot_checker(s, "wgmarker", c->marker, save_wgmarker, load_wgmarker);
	for (unsigned int i = 0; !r && i < IOPMPS; i++)
		if (c->iopmp[i])
			r = snapshot_checker(s, "iopmp", c->iopmp[i], save_iopmp, load_iopmp);
	return r;
}

static void u32(void *fdt, const char *name, uint32_t v)
{
	fdt_property_u32(fdt, name, v);
}

static void node(void *fdt, const char *name, uint64_t address, uint64_t size)
{
	uint64_t reg[2] = { cpu_to_fdt64(address), cpu_to_fdt64(size) };
	char full[64];

	snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
	fdt_begin_node(fdt, full);
	fdt_property(fdt, "reg", reg, sizeof(reg));
}

void checkers_describe(const struct board *b, void *fdt, uint32_t interrupt_parent)
{
	const struct checkers *c = b->checkers;

	for (unsigned int i = 0; c && i < WG_CHECKERS; i++) {
		uint64_t length = places[i].length ? places[i].length : b->options.memory;
		uint64_t guarded[2] = { cpu_to_fdt64(places[i].start), cpu_to_fdt64(length) };

		if (!c->wg[i])
			continue;
		node(fdt, "wgchecker", places[i].registers, 0x1000);
		fdt_property_string(fdt, "compatible", "sifive,wgchecker2");
		fdt_property_string(fdt, "label", places[i].name);
		u32(fdt, "sifive,slot-count", places[i].slots);
		u32(fdt, "sifive,subordinates", places[i].phandle);
		fdt_property(fdt, "viommu,guards", guarded, sizeof(guarded));
		if (b->plic) {
			u32(fdt, "interrupt-parent", interrupt_parent);
			u32(fdt, "interrupts", places[i].irq);
		}
		fdt_end_node(fdt);
	}
	for (unsigned int i = 0; c && i < IOPMPS; i++) {
		if (!c->iopmp[i])
			continue;
		node(fdt, "iopmp", ADDR_IOPMP + (uint64_t)i * IOPMP_STRIDE,
		     viommu_iopmp_registers(c->iopmp[i]));
		fdt_property_string(fdt, "compatible", "riscv,iopmp");
		if (b->plic) {
			u32(fdt, "interrupt-parent", interrupt_parent);
			u32(fdt, "interrupts", BOARD_IRQ_IOPMP + i);
		}
		fdt_end_node(fdt);
	}
}
