/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile guest and a clumsy device model: register writes, queue contents, tables that point
 * anywhere, requests of every kind, endpoints and memory that come and go.
 *
 * An input is a program for that guest: a byte of options, then operations. Values are drawn from
 * what is likely to mean something (pages of a small pool, flags, small numbers) or taken raw. What
 * is checked, beyond memory errors and hangs: every call answers what its header allows, and the
 * queue's head is always within the queue.
 */
#include <stdio.h>
#include <stdlib.h>

#include "vtd/differential_body.h"
#include "vtd/kit.h"

enum { POOL = 24, RIDS = 3, LIMIT = 400 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct guest {
	struct kit kit;
	struct choices choices;
	uint64_t pool[POOL];
	struct viommu_endpoint *endpoints[RIDS];
	unsigned int reentries;
};

static const uint16_t rids[RIDS] = { KIT_RID, 0x0090, 0x0117 };
static const uint32_t pasids[] = { VIOMMU_NO_PASID, 0, 1, 63, 64, 0xfffff, 1 << 20 };

#define require(condition)                                                              \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

static uint32_t pick(struct guest *guest, uint32_t below)
{
	return choose(&guest->choices, below);
}

static uint64_t raw(struct guest *guest)
{
	uint64_t value = 0;

	for (int i = 0; i < 4; i++)
		value = value << 16 | pick(guest, 65536);
	return value;
}

static uint64_t value(struct guest *guest)
{
	uint64_t page = guest->pool[pick(guest, POOL)];

	switch (pick(guest, 8)) {
	case 0:
		return raw(guest);
	case 1:
		return pick(guest, 65536);
	case 2:
		return page | pick(guest, 4096);
	case 3:
		return page | 7;
	case 4:
		return page | 1ull << pick(guest, 64);
	case 5:
		return page | 7 | 1ull << pick(guest, 12) | 1ull << pick(guest, 12);
	case 6:
		return (uint64_t)pick(guest, 256) << 12 | 0x87;
	default:
		return page | PE_P | (uint64_t)pick(guest, 8) << 6 | (uint64_t)pick(guest, 8) << 2;
	}
}

static uint64_t iova(struct guest *guest)
{
	uint64_t value = pick(guest, 4096);

	for (int level = 0; level < 5; level++)
		value |= (uint64_t)(pick(guest, 4) == 3 ? 511 : pick(guest, 4)) << (12 + 9 * level);
	return pick(guest, 8) ? value & ((1ull << 47) - 1) : value | raw(guest);
}

/* ---- operations ---- */

static void write_register(struct guest *guest)
{
	static const uint16_t known[] = {
		REG_GCMD,   REG_GCMD,	REG_RTADDR, REG_CCMD, REG_FSTS, REG_FECTL,
		REG_FEDATA, REG_FEADDR, REG_IQT,    REG_IQT,  REG_IQA,	REG_ICS,
		REG_IECTL,  REG_IRTA,	REG_PQH,    REG_PQT,  REG_PQA,	REG_PRS,
		REG_PECTL,  0x500,	0x508,	    0x608,    0x678,	REG_IEADDR,
	};
	uint64_t offset = pick(guest, 4) ? known[pick(guest, 24)] : pick(guest, 8192);
	unsigned int length = pick(guest, 2) ? 4 : 8;
	uint64_t what = value(guest);
	int result;

	if (offset == REG_GCMD && pick(guest, 2))
		what = (uint64_t)pick(guest, 512) << 23;
	if (pick(guest, 8) == 0)
		offset += 4;
	result = viommu_unit_write(guest->kit.unit, offset, length, what);
	require(result == 0 || result == -22);
}

static void read_registers(struct guest *guest)
{
	uint64_t head = kit_read(&guest->kit, REG_IQH, 8), iqa = kit_read(&guest->kit, REG_IQA, 8),
		 word;

	/* IQA can be written while the head stands; only the head's own field bounds it then. */
	require(head < 1 << 19 && !(head & 15));
	require(!(iqa & 0x7f8));
	viommu_unit_read(guest->kit.unit, pick(guest, 8192), pick(guest, 2) ? 4 : 8, &word);
}

static void write_memory(struct guest *guest)
{
	uint64_t page = guest->pool[pick(guest, POOL)];
	uint32_t slot = pick(guest, 4) ? pick(guest, 8) : pick(guest, 512);

	kit_put(&guest->kit, page + slot * 8, value(guest));
}

/* A descriptor that has a chance, and the tail moved over it. */
static void submit(struct guest *guest)
{
	struct kit *kit = &guest->kit;
	uint64_t tail = kit_read(kit, REG_IQT, 8) & 0x7fff0, iqa = kit_read(kit, REG_IQA, 8);
	uint64_t base = iqa & ~0xfffull, step = iqa & BIT(11) ? 32 : 16,
		 size = 4096ull << (iqa & 7);
	uint64_t words[4] = { 0 };

	words[0] = pick(guest, 10) | (uint64_t)pick(guest, 4) << 4 | (uint64_t)pick(guest, 4) << 16;
	words[0] |= (uint64_t)pasids[1 + pick(guest, 5)] << 32;
	if ((words[0] & 15) == QI_DEVICE_TLB || (words[0] & 15) == QI_CONTEXT)
		words[0] = (words[0] & 0xf) | (uint64_t)rids[pick(guest, RIDS)] << 32;
	if ((words[0] & 15) == QI_PASID_DEVICE_TLB || (words[0] & 15) == QI_PAGE_RESPONSE)
		words[0] = (words[0] & 0xfffff0000000f) | (uint64_t)rids[pick(guest, RIDS)] << 16;
	words[1] = (words[0] & 15) == QI_WAIT ? value(guest) & ~3ull : iova(guest) & ~0xfc0ull;
	if (!pick(guest, 16))
		words[pick(guest, 4)] |= raw(guest);
	tail %= size;
	if (base + tail + step > kit->ram_size)
		return;
	for (unsigned int i = 0; i < step / 8; i++)
		kit_put(kit, base + tail + 8 * i, words[i]);
	viommu_unit_write(kit->unit, REG_IQT, 8, (tail + step) % size);
}

static struct viommu_endpoint *endpoint(struct guest *guest)
{
	return guest->endpoints[pick(guest, RIDS)];
}

static void translate(struct guest *guest)
{
	struct viommu_endpoint *from = endpoint(guest);
	struct viommu_translation t;
	uint32_t pasid = pasids[pick(guest, 7)],
		 access = pick(guest, 8) ? 1u << pick(guest, 4) : pick(guest, 64);
	int kind = pick(guest, 4), result;

	if (!from)
		return;
	if (kind == 0)
		result = viommu_translate(from, pasid, iova(guest), access, &t);
	else if (kind == 1)
		result = viommu_translate_quiet(from, pasid, iova(guest), access, &t);
	else if (kind == 2)
		result = viommu_ats_translate(from, pasid, iova(guest), access, &t);
	else
		result = viommu_translated_request(from, value(guest), access, &t);
	require(result == 0 || result == VIOMMU_FAULT || result == -22);
	require(result != VIOMMU_FAULT || t.fault.reason);
	require(result != 0 || t.length > 0);
}

static void dma(struct guest *guest)
{
	static unsigned char buffer[70000];
	struct viommu_endpoint *from = endpoint(guest);
	uint32_t pasid = pasids[pick(guest, 7)];
	size_t length = pick(guest, 4) ? pick(guest, 9000) : pick(guest, 65536), done = 0;
	struct viommu_fault fault;
	uint64_t old;
	int result;

	if (!from)
		return;
	switch (pick(guest, 3)) {
	case 0:
		result = viommu_dma_read(from, pasid, iova(guest), buffer, length, VIOMMU_READ,
					 &done, &fault);
		break;
	case 1:
		result = viommu_dma_write(from, pasid, iova(guest), buffer, length, VIOMMU_WRITE,
					  &done, &fault);
		break;
	default:
		result = viommu_dma_atomic(from, pasid, iova(guest), pick(guest, 4),
					   pick(guest, 10), 1, 2, &old, &fault);
		break;
	}
	require(result <= VIOMMU_FAULT);
	require(done <= length);
}

static void ask(struct guest *guest)
{
	struct viommu_endpoint *from = endpoint(guest);
	uint64_t address;
	uint32_t message;

	if (!from)
		return;
	if (pick(guest, 2))
		viommu_page_request(from, pasids[pick(guest, 7)], iova(guest), pick(guest, 32),
				    (uint16_t)pick(guest, 600), pick(guest, 2));
	else
		viommu_interrupt(from, 0xfee00000 | pick(guest, 1 << 16) << 2, raw(guest) & 0x1ffff,
				 &address, &message, NULL);
}

/* A device that answers an invalidation by more work for the unit. */
static void on_invalidate(void *opaque, uint32_t pasid, bool all, uint64_t first, uint64_t last)
{
	struct guest *guest = opaque;

	require(first <= last);
	if (guest->reentries++ < 20 && pick(guest, 4) == 0)
		write_register(guest);
}

static void on_response(void *opaque, uint32_t pasid, uint16_t group,
			enum viommu_response_code code)
{
	struct guest *guest = opaque;

	if (guest->reentries++ < 20 && pick(guest, 4) == 0)
		ask(guest);
}

static const struct viommu_endpoint_ops ops = {
	.size = sizeof(ops),
	.invalidate = on_invalidate,
	.page_response = on_response,
};

static void plug(struct guest *guest)
{
	unsigned int i = pick(guest, RIDS);

	if (guest->endpoints[i]) {
		viommu_endpoint_destroy(guest->endpoints[i]);
		guest->endpoints[i] = NULL;
	} else {
		require(viommu_endpoint_create(guest->kit.unit, rids[i], &ops, guest,
					       &guest->endpoints[i]) == 0);
		viommu_endpoint_set_features(guest->endpoints[i], pick(guest, 32));
	}
}

/* Save, and load into the same unit: what it saved it must take. */
static void migrate(struct guest *guest)
{
	struct viommu_stream_writer *writer;
	struct viommu_stream_reader *reader;
	const void *data;
	size_t length;

	require(viommu_stream_writer_create(&writer) == 0);
	require(viommu_unit_save(guest->kit.unit, writer, 0) == 0);
	require(viommu_stream_finish(writer, &data, &length) == 0);
	require(viommu_stream_reader_create(data, length, &reader, NULL, 0) == 0);
	require(viommu_unit_load(guest->kit.unit, reader, 0, NULL, 0) == 0);
	viommu_stream_reader_destroy(reader);
	viommu_stream_writer_destroy(writer);
}

static void move_memory(struct guest *guest)
{
	static unsigned char page[4096] __attribute__((aligned(4096)));
	uint64_t gpa = guest->kit.ram_size + 0x1000ull * pick(guest, 2);

	if (viommu_memory_remove(guest->kit.memory, gpa, 4096) == 0)
		viommu_memory_add_hva(guest->kit.memory, gpa, 4096, page,
				      pick(guest, 2) ? VIOMMU_SEGMENT_READONLY : 0);
}

static void operate(struct guest *guest)
{
	switch (pick(guest, 16)) {
	case 0:
	case 1:
		write_register(guest);
		break;
	case 2:
		read_registers(guest);
		break;
	case 3:
	case 4:
	case 5:
		write_memory(guest);
		break;
	case 6:
	case 7:
		submit(guest);
		break;
	case 8:
	case 9:
	case 10:
		translate(guest);
		break;
	case 11:
		dma(guest);
		break;
	case 12:
		ask(guest);
		break;
	case 13:
		plug(guest);
		break;
	case 14:
		if (pick(guest, 8))
			migrate(guest);
		else
			viommu_unit_reset(guest->kit.unit);
		break;
	default:
		move_memory(guest);
		break;
	}
}

/* A guest that got as far as a driver gets; what follows spoils it. */
static void start(struct guest *guest)
{
	struct viommu_unit_options options;
	uint32_t shape = pick(guest, 256);

	viommu_unit_options_init(&options);
	options.aw_bits = shape & 1 ? 57 : 48;
	options.coherent = !(shape & 2);
	options.snoop_control = shape & 4;
	options.interrupt_remapping = shape & 8;
	options.posted_interrupts = options.extended_interrupt = shape & 8 && shape & 16;
	options.iotlb_entries = 64;
	/* All that is off unless asked for. */
	options.protected_memory = options.advanced_fault_log = options.performance_monitoring = shape & 128;
	options.memory_type = options.virtual_commands = options.rid_privilege = shape & 128 && !(shape & 32);
	if (shape & 32)
		viommu_unit_options_set(&options, "scalable", "off", NULL, 0);
	kit_create(&guest->kit, &options);
	viommu_endpoint_destroy(guest->kit.endpoint);
	guest->kit.endpoint = NULL;
	for (int i = 0; i < POOL; i++) {
		guest->pool[i] = kit_page(&guest->kit);
		for (int j = 0; j < 4; j++)
			kit_put(&guest->kit, guest->pool[i] + j * 8, value(guest));
	}
	for (int i = 0; i < RIDS - 1; i++)
		plug(guest);
	if (shape & 64)
		return;
	kit_start(&guest->kit, shape & 32 ? TTM_LEGACY : TTM_SCALABLE);
	if (shape & 32)
		kit_setup_legacy(&guest->kit, KIT_RID, 4);
	else
		for (uint32_t pasid = 0; pasid < 2; pasid++)
			kit_set_pasid_entry(&guest->kit, KIT_RID, pasid,
					    guest->pool[0] | PE_P | (1ull + pick(guest, 4)) << 6 |
						    2 << 2,
					    KIT_DID | (shape & 2 ? 0 : PE1_PWSNP),
					    guest->pool[1] | PE2_SRE | PE2_ERE);
	/* The queue and the root table are in reach of write_memory(). */
	guest->pool[2] = guest->kit.queue;
	guest->pool[3] = guest->kit.root;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct guest guest;

	memset(&guest, 0, sizeof(guest));
	guest.choices = (struct choices){ .data = data, .size = size };
	start(&guest);
	for (int i = 0; i < LIMIT && choices_left(&guest.choices); i++)
		operate(&guest);
	for (int i = 0; i < RIDS; i++)
		viommu_endpoint_destroy(guest.endpoints[i]);
	kit_destroy(&guest.kit);
	return 0;
}
