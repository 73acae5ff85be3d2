/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupt remapping: both formats, both sizes of destination, source validation, posting, and
 * each reason from 0x20 to 0x28.
 */
#include <errno.h>
#include <pthread.h>

#include "expect.h"

/* IRTE fields (VT-d 9.9) */
#define P	BIT(0)
#define FPD	BIT(1)
#define IM	BIT(15)
#define V(n)	((uint64_t)(n) << 16)
#define DST(n)	((uint64_t)(n) << 32)
#define SID(n)	((uint64_t)(n))
#define SQ(n)	((uint64_t)(n) << 16)
#define SVT(n)	((uint64_t)(n) << 18)
#define XDST(n) DST((n) << 8) /* without EIME the destination is bits 47:40 */

struct remap {
	struct kit kit;
	uint64_t table;
};

static struct remap *create(bool extended, bool posted)
{
	static struct remap r;
	struct viommu_unit_options options;

	viommu_unit_options_init(&options);
	options.interrupt_remapping = true;
	options.extended_interrupt = extended;
	options.posted_interrupts = posted;
	kit_create(&r.kit, &options);
	r.table = kit_pages(&r.kit, 4);
	kit_queue_on(&r.kit);
	/* 256 entries: S = 7. */
	kit_write(&r.kit, REG_IRTA, 8, r.table | 7 | (extended ? BIT(11) : 0));
	kit_write(&r.kit, REG_GCMD, 4, r.kit.gcmd | GCMD_SIRTP);
	assert_true(kit_read(&r.kit, REG_GSTS, 4) & GCMD_SIRTP);
	r.kit.gcmd |= GCMD_IRE;
	kit_write(&r.kit, REG_GCMD, 4, r.kit.gcmd);
	assert_true(kit_read(&r.kit, REG_GSTS, 4) & GCMD_IRE);
	return &r;
}

static int setup(void **state)
{
	*state = create(false, false);
	return 0;
}

static int setup_posted(void **state)
{
	*state = create(true, true);
	return 0;
}

static int teardown(void **state)
{
	struct remap *r = *state;

	kit_destroy(&r->kit);
	return 0;
}

static void entry(struct remap *r, unsigned int index, uint64_t low, uint64_t high)
{
	kit_put(&r->kit, r->table + 16 * index + 8, high);
	kit_put(&r->kit, r->table + 16 * index, low);
}

static uint64_t handle(unsigned int index)
{
	return 0xfee00000 | BIT(4) | (uint64_t)(index & 0x7fff) << 5 | (index >> 15) << 2;
}

static int send(struct remap *r, uint64_t address, uint32_t data, uint64_t *to, uint32_t *what,
		struct viommu_fault *fault)
{
	*to = 0xdead;
	*what = 0xdead;
	return viommu_interrupt(r->kit.endpoint, address, data, to, what, fault);
}

static void expect_blocked(struct remap *r, uint64_t address, uint32_t data, unsigned int reason,
			   unsigned int index)
{
	struct viommu_fault fault;
	struct kit_record record;
	uint64_t to;
	uint32_t what;

	assert_int_equal(send(r, address, data, &to, &what, &fault), VIOMMU_FAULT);
	assert_int_equal(fault.reason, reason);
	assert_true(fault.recorded);
	assert_int_equal(to, 0xdead);
	assert_true(kit_take_fault(&r->kit, &record));
	assert_int_equal(record.reason, reason);
	assert_int_equal(record.sid, KIT_RID);
	assert_int_equal(record.info >> 48, index);
	assert_false(record.pp);
	/* No fault pointer is fine too. */
	assert_int_equal(viommu_interrupt(r->kit.endpoint, address, data, &to, &what, NULL),
			 VIOMMU_FAULT);
	assert_true(kit_take_fault(&r->kit, &record));
}

static void off_passes_everything(void **state)
{
	struct kit kit;
	uint64_t to;
	uint32_t what;

	kit_create(&kit, NULL);
	assert_int_equal(viommu_interrupt(kit.endpoint, 0xfee01234, 0x77, &to, &what, NULL), 0);
	assert_int_equal(to, 0xfee01234);
	assert_int_equal(what, 0x77);
	kit_destroy(&kit);
}

/* VT-d 5.1.2, 5.1.3, 5.1.5.2, 9.9: handle, subhandle, and what comes out. */
static void remappable_format(void **state)
{
	struct remap *r = *state;
	uint64_t to;
	uint32_t what;

	entry(r, 5, P | V(0x31) | XDST(3), 0);
	assert_int_equal(send(r, handle(5), 0, &to, &what, NULL), 0);
	assert_int_equal(to, 0xfee03000);
	assert_int_equal(what & 0xff, 0x31);
	/* Logical, redirection, lowest priority, level. */
	entry(r, 6, P | BIT(2) | BIT(3) | BIT(4) | 1 << 5 | V(0x42) | XDST(0xff), 0);
	assert_int_equal(send(r, handle(6), 0x99, &to, &what, NULL), 0);
	assert_int_equal(to, 0xfeeff00c);
	assert_int_equal(what & 0x87ff, 0x8142);
	/* SHV: handle plus subhandle. */
	assert_int_equal(send(r, handle(2) | BIT(3), 3, &to, &what, NULL), 0);
	assert_int_equal(what & 0xff, 0x31);
	assert_int_equal(viommu_interrupt(r->kit.endpoint, 0x12345000, 0, &to, &what, NULL),
			 -EINVAL);
}

/* VT-d 5.1.6: x2APIC destinations of 32 bits. */
static void extended_destinations(void **state)
{
	struct remap *r = *state;
	uint64_t to;
	uint32_t what;

	entry(r, 5, P | V(0x31) | DST(0x12345678), 0);
	assert_int_equal(send(r, handle(5), 0, &to, &what, NULL), 0);
	assert_int_equal(to, 0x12345600fee78000);
}

/* VT-d 5.1.2.1: the old format passes only with CFI, never with EIME. */
static void compatibility_format(void **state)
{
	struct remap *r = *state;
	uint64_t to;
	uint32_t what;

	expect_blocked(r, 0xfee01000, 0x31, 0x25, 0);
	kit_write(&r->kit, REG_GCMD, 4, r->kit.gcmd | GCMD_CFI);
	assert_true(kit_read(&r->kit, REG_GSTS, 4) & GCMD_CFI);
	assert_int_equal(send(r, 0xfee01000, 0x31, &to, &what, NULL), 0);
	assert_int_equal(to, 0xfee01000);
	assert_int_equal(what, 0x31);
	kit_write(&r->kit, REG_GCMD, 4, r->kit.gcmd);
	expect_blocked(r, 0xfee01000, 0x31, 0x25, 0);
}

/* VT-d 11.4.10: a unit without EIM has no EIME; destinations stay 8 bits wide. */
static void no_extended_mode(void **state)
{
	struct remap *r = *state;
	uint64_t to;
	uint32_t what;

	kit_write(&r->kit, REG_IRTA, 8, r->table | BIT(11) | 7);
	assert_int_equal(kit_read(&r->kit, REG_IRTA, 8), r->table | 7);
	kit_write(&r->kit, REG_GCMD, 4, r->kit.gcmd | GCMD_SIRTP | GCMD_CFI);
	assert_int_equal(send(r, 0xfee01000, 0x31, &to, &what, NULL), 0);
	entry(r, 5, P | V(0x31) | DST(0x12345678), 0);
	expect_blocked(r, handle(5), 0, 0x24, 5);
}

static void compatibility_with_x2apic(void **state)
{
	struct remap *r = *state;

	kit_write(&r->kit, REG_GCMD, 4, r->kit.gcmd | GCMD_CFI);
	expect_blocked(r, 0xfee01000, 0x31, 0x25, 0);
}

/* VT-d 7.1.3, 11.4.10: INTR.1 to INTR.5 */
static void entry_faults(void **state)
{
	struct remap *r = *state;
	struct viommu_fault fault;
	uint64_t to;
	uint32_t what;

	expect_blocked(r, handle(5) | BIT(3), 0x10000, 0x20, 5);
	expect_blocked(r, handle(256), 0, 0x21, 256);
	expect_blocked(r, handle(255) | BIT(3), 1, 0x21, 256);
	expect_blocked(r, handle(0x8000), 0, 0x21, 0x8000);
	expect_blocked(r, handle(7), 0, 0x22, 7);
	for (int bit = 12; bit <= 14; bit++) {
		entry(r, 7, P | BIT(bit), 0);
		expect_blocked(r, handle(7), 0, 0x24, 7);
	}
	for (int bit = 24; bit < 64; bit++) {
		if (bit >= 40 && bit < 48)
			continue;
		entry(r, 7, P | BIT(bit), 0);
		expect_blocked(r, handle(7), 0, 0x24, 7);
	}
	for (int bit = 20; bit < 64; bit++) {
		entry(r, 7, P, BIT(bit));
		expect_blocked(r, handle(7), 0, 0x24, 7);
	}
	entry(r, 7, P, SVT(3));
	expect_blocked(r, handle(7), 0, 0x24, 7);
	/* Posting that the unit cannot do. */
	entry(r, 7, P | IM, 0);
	expect_blocked(r, handle(7), 0, 0x24, 7);
	/* FPD: blocked, not recorded; also when not present. */
	entry(r, 7, P | FPD, SVT(3));
	assert_int_equal(send(r, handle(7), 0, &to, &what, &fault), VIOMMU_FAULT);
	assert_false(fault.recorded);
	entry(r, 7, FPD, 0);
	assert_int_equal(send(r, handle(7), 0, &to, &what, &fault), VIOMMU_FAULT);
	assert_int_equal(fault.reason, 0x22);
	assert_false(fault.recorded);
	assert_int_equal(kit_read(&r->kit, REG_FSTS, 4), 0);
	/* A table that is not there. */
	kit_write(&r->kit, REG_IRTA, 8, r->kit.ram_size + 0x10000);
	kit_write(&r->kit, REG_GCMD, 4, r->kit.gcmd | GCMD_SIRTP);
	expect_blocked(r, handle(0), 0, 0x23, 0);
}

/* VT-d 9.9 SVT, SQ, SID */
static int mmio_touched(void *opaque, uint64_t offset, void *data, size_t length)
{
	++*(unsigned int *)opaque;
	memset(data, 0, length);
	return 0;
}

static int mmio_ignored(void *opaque, uint64_t offset, const void *data, size_t length)
{
	return 0;
}

/* A table in registers: not looked at, whatever it would read as (VT-d 5.1.3). */
static void table_in_registers(void **state)
{
	static const struct viommu_mmio_ops ops = { sizeof(ops), mmio_touched, mmio_ignored };
	struct remap *r = *state;
	unsigned int touched = 0;

	assert_int_equal(viommu_memory_add_mmio(r->kit.memory, BIT(40), 4096, &ops, &touched, 0),
			 0);
	kit_write(&r->kit, REG_IRTA, 8, BIT(40) | 7);
	kit_write(&r->kit, REG_GCMD, 4, r->kit.gcmd | GCMD_SIRTP);
	expect_blocked(r, handle(0), 0, 0x23, 0);
	assert_int_equal(touched, 0);
}

static void source_validation(void **state)
{
	struct remap *r = *state;
	static const struct {
		uint64_t high;
		bool passes;
	} cases[] = {
		{ SVT(1) | SID(KIT_RID), true },
		{ SVT(1) | SID(KIT_RID + 1), false },
		{ SVT(1) | SID(KIT_RID + 4), false },
		{ SVT(1) | SQ(1) | SID(KIT_RID + 4), true },
		{ SVT(1) | SQ(1) | SID(KIT_RID + 2), false },
		{ SVT(1) | SQ(2) | SID(KIT_RID + 6), true },
		{ SVT(1) | SQ(2) | SID(KIT_RID + 1), false },
		{ SVT(1) | SQ(3) | SID(KIT_RID + 7), true },
		{ SVT(1) | SQ(3) | SID(KIT_RID + 8), false },
		{ SVT(2) | SID(0x0000), true },
		{ SVT(2) | SID(0x0005), true },
		{ SVT(2) | SID(0x0105), false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t to;
		uint32_t what;

		entry(r, 9, P | V(0x31), cases[i].high);
		if (cases[i].passes)
			assert_int_equal(send(r, handle(9), 0, &to, &what, NULL), 0);
		else
			expect_blocked(r, handle(9), 0, 0x26, 9);
	}
}

/* ---- posting ---- */

#define PDA_LOW(gpa)  ((uint64_t)((gpa) >> 6 & 0x3ffffff) << 38)
#define PDA_HIGH(gpa) ((gpa)&0xffffffff00000000ull)
#define URG	      BIT(14)

/* VT-d 5.2.5, 9.10, 9.11: the request bit, ON, SN and URG. */
static void posting(void **state)
{
	struct remap *r = *state;
	struct kit *kit = &r->kit;
	uint64_t pid = kit_page(kit), to;
	uint32_t what;

	entry(r, 4, P | IM | V(0xa5) | PDA_LOW(pid), PDA_HIGH(pid));
	kit_put(kit, pid + 32, 0xf2ull << 16 | DST(0x12345678));
	assert_int_equal(send(r, handle(4), 0, &to, &what, NULL), VIOMMU_POSTED);
	assert_int_equal(kit_get(kit, pid + 0xa5 / 64 * 8), BIT(0xa5 % 64));
	assert_int_equal(kit_get(kit, pid + 32) & 3, 1);
	assert_int_equal(to, 0x12345600fee78000);
	assert_int_equal(what & 0xff, 0xf2);
	/* ON is set: no second notification. */
	assert_int_equal(send(r, handle(4), 0, &to, &what, NULL), VIOMMU_POSTED);
	assert_int_equal(to, 0);
	/* SN: none, unless urgent. */
	kit_put(kit, pid + 32, 0xf2ull << 16 | 2);
	kit_put(kit, pid + 16, 0);
	assert_int_equal(send(r, handle(4), 0, &to, &what, NULL), VIOMMU_POSTED);
	assert_int_equal(to, 0);
	assert_int_equal(kit_get(kit, pid + 16), BIT(0xa5 % 64));
	entry(r, 4, P | IM | URG | V(3) | PDA_LOW(pid), PDA_HIGH(pid));
	assert_int_equal(send(r, handle(4), 0, &to, &what, NULL), VIOMMU_POSTED);
	assert_int_not_equal(to, 0);
	assert_int_equal(kit_get(kit, pid), BIT(3));
}

/* VT-d 7.1.3, INTR.8 and INTR.9 */
static void posting_faults(void **state)
{
	struct remap *r = *state;
	struct kit *kit = &r->kit;
	static uint64_t rom[512] __attribute__((aligned(4096)));
	uint64_t pid = kit_page(kit), gone = kit->ram_size + 0x10000;

	entry(r, 4, P | IM | PDA_LOW(gone), PDA_HIGH(gone));
	expect_blocked(r, handle(4), 0, 0x27, 4);
	for (int bit = 2; bit < 32; bit++) {
		if (bit >= 16 && bit < 24)
			continue;
		entry(r, 4, P | IM | PDA_LOW(pid), PDA_HIGH(pid));
		kit_put(kit, pid + 32, BIT(bit));
		expect_blocked(r, handle(4), 0, 0x28, 4);
	}
	kit_put(kit, pid + 32, 0);
	for (int word = 5; word < 8; word++) {
		kit_put(kit, pid + 8 * word, 1);
		expect_blocked(r, handle(4), 0, 0x28, 4);
		kit_put(kit, pid + 8 * word, 0);
	}
	/* Reserved bits of a posted entry. */
	for (int bit = 2; bit < 38; bit++) {
		if (bit < 8 || bit == 12 || bit == 13 || bit >= 24) {
			entry(r, 4, P | IM | BIT(bit) | PDA_LOW(pid), PDA_HIGH(pid));
			expect_blocked(r, handle(4), 0, 0x24, 4);
		}
	}
	for (int bit = 20; bit < 32; bit++) {
		entry(r, 4, P | IM | PDA_LOW(pid), PDA_HIGH(pid) | BIT(bit));
		expect_blocked(r, handle(4), 0, 0x24, 4);
	}
	/* VT-d 9.10 PDAH: beyond HAW, 48 here. */
	for (int bit = 48; bit < 64; bit++) {
		entry(r, 4, P | IM | PDA_LOW(pid), PDA_HIGH(pid) | BIT(bit));
		expect_blocked(r, handle(4), 0, 0x24, 4);
	}
	entry(r, 4, P | IM | PDA_LOW(pid), PDA_HIGH(pid) | SVT(3));
	expect_blocked(r, handle(4), 0, 0x24, 4);
	/* Memory that cannot be written. */
	assert_int_equal(
		viommu_memory_add_hva(kit->memory, gone, 4096, rom, VIOMMU_SEGMENT_READONLY), 0);
	entry(r, 4, P | IM | PDA_LOW(gone), PDA_HIGH(gone));
	expect_blocked(r, handle(4), 0, 0x27, 4);
}

/* Posting without x2APIC: 8-bit destinations, upper parts reserved. */
static void posting_to_xapic(void **state)
{
	struct remap *r = create(false, true);
	struct kit *kit = &r->kit;
	uint64_t pid = kit_page(kit), to;
	uint32_t what;

	entry(r, 4, P | IM | V(0x11) | PDA_LOW(pid), PDA_HIGH(pid));
	kit_put(kit, pid + 32, 0xf2ull << 16 | XDST(0x7));
	assert_int_equal(send(r, handle(4), 0, &to, &what, NULL), VIOMMU_POSTED);
	assert_int_equal(to, 0xfee07000);
	kit_put(kit, pid + 32, DST(1));
	expect_blocked(r, handle(4), 0, 0x28, 4);
	kit_destroy(kit);
}

/* Many threads post to one descriptor: no request bit is lost and ON is claimed once. */
struct poster {
	struct remap *r;
	unsigned int first;
	unsigned int notifications;
};

static void *post_many(void *context)
{
	struct poster *poster = context;

	for (unsigned int i = 0; i < 64; i++) {
		uint64_t to;
		uint32_t what;
		int result = viommu_interrupt(poster->r->kit.endpoint, handle(poster->first + i), 0,
					      &to, &what, NULL);

		if (result == VIOMMU_POSTED && to)
			poster->notifications++;
	}
	return NULL;
}

static void posting_races(void **state)
{
	struct remap *r = *state;
	struct kit *kit = &r->kit;
	uint64_t pid = kit_page(kit);
	struct poster posters[2] = { { r, 0, 0 }, { r, 64, 0 } };
	pthread_t thread;

	for (unsigned int i = 0; i < 128; i++)
		entry(r, i, P | IM | V(i) | PDA_LOW(pid), PDA_HIGH(pid));
	pthread_create(&thread, NULL, post_many, &posters[0]);
	post_many(&posters[1]);
	pthread_join(thread, NULL);
	assert_int_equal(kit_get(kit, pid), ~0ull);
	assert_int_equal(kit_get(kit, pid + 8), ~0ull);
	assert_int_equal(posters[0].notifications + posters[1].notifications, 1);
}

/* A guest that changes an entry and invalidates: the next message follows the new one. */
static void entry_changes(void **state)
{
	struct remap *r = *state;
	uint64_t to;
	uint32_t what;

	entry(r, 5, P | V(0x31) | XDST(1), 0);
	assert_int_equal(send(r, handle(5), 0, &to, &what, NULL), 0);
	entry(r, 5, P | V(0x32) | XDST(2), 0);
	assert_true(kit_command(&r->kit, QI_IEC | BIT(4) | 5ull << 32, 0));
	assert_int_equal(send(r, handle(5), 0, &to, &what, NULL), 0);
	assert_int_equal(to, 0xfee02000);
	assert_int_equal(what & 0xff, 0x32);
	/* Off again: as it is. */
	r->kit.gcmd &= ~GCMD_IRE;
	kit_write(&r->kit, REG_GCMD, 4, r->kit.gcmd);
	assert_false(kit_read(&r->kit, REG_GSTS, 4) & GCMD_IRE);
	assert_int_equal(send(r, handle(5), 7, &to, &what, NULL), 0);
	assert_int_equal(to, handle(5));
	assert_int_equal(what, 7);
}

/* The table that was set goes along, not what IRTA says meanwhile; and whether remapping is on. */
static void saved_and_loaded(void **state)
{
	struct remap *r = *state;
	struct viommu_unit_options options = *viommu_unit_options(r->kit.unit);
	struct viommu_stream_writer *writer;
	struct viommu_stream_reader *reader;
	const void *data;
	size_t length;
	struct kit to;
	uint64_t address;
	uint32_t what;

	entry(r, 5, P | V(0x31) | XDST(3), 0);
	kit_write(&r->kit, REG_IRTA, 8, 0);
	assert_int_equal(viommu_stream_writer_create(&writer), 0);
	assert_int_equal(viommu_unit_save(r->kit.unit, writer, 0), 0);
	assert_int_equal(viommu_stream_finish(writer, &data, &length), 0);
	kit_create(&to, &options);
	memcpy(to.ram, r->kit.ram, to.ram_size);
	assert_int_equal(viommu_interrupt(to.endpoint, handle(5), 0, &address, &what, NULL), 0);
	assert_int_equal(address, handle(5));
	assert_int_equal(viommu_stream_reader_create(data, length, &reader, NULL, 0), 0);
	assert_int_equal(viommu_unit_load(to.unit, reader, 0, NULL, 0), 0);
	assert_int_equal(viommu_interrupt(to.endpoint, handle(5), 0, &address, &what, NULL), 0);
	assert_int_equal(address, 0xfee03000);
	assert_int_equal(what & 0xff, 0x31);
	assert_int_equal(kit_read(&to, REG_IRTA, 8), 0);
	viommu_stream_reader_destroy(reader);
	viommu_stream_writer_destroy(writer);
	kit_destroy(&to);
}

#define remap_test(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)
#define posted_test(name) cmocka_unit_test_setup_teardown(name, setup_posted, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(off_passes_everything),
		remap_test(remappable_format),
		posted_test(extended_destinations),
		remap_test(compatibility_format),
		remap_test(no_extended_mode),
		posted_test(compatibility_with_x2apic),
		remap_test(entry_faults),
		remap_test(table_in_registers),
		remap_test(source_validation),
		posted_test(posting),
		posted_test(posting_faults),
		cmocka_unit_test(posting_to_xapic),
		posted_test(posting_races),
		remap_test(entry_changes),
		remap_test(saved_and_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
