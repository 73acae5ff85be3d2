/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Level 2: a scripted guest on real hardware, which is the PASID test device of the machine we run in, behind that machine's unit and
 * its kernel's iommufd and VFIO.
 *
 * This program is the VMM. It has a unit of its own, writes PASID tables, page tables and queue descriptors as a guest kernel would
 * (tests/vtd/kit.h), passes the device through and has it do DMA: what lands must land where the level-2 tables say and nowhere else,
 * before and after each flush. The matrix: {scalable first stage, scalable second stage, legacy} x {iommufd, type1} x
 * {translated, pass-through}, with PASID add, replace, remove, flush, page requests and faults.
 *
 * The test guest starts it with vfio=ADDRESS on the kernel's command line; an argument does as well.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "../vtd/kit.h"
#include "real.h"
#include <viommu/passthrough.h>

enum { PAGE_A = 0x100000, PAGE_B = 0x101000, PAGE_C = 0x102000, PASID = 5, DID = 7 };

struct level2 {
	struct kit kit;
	struct real real;
	struct viommu_passthrough *passthrough;
	uint64_t root;
	unsigned int checks, failures;
	const char *scenario;
};

static void check(struct level2 *level2, bool good, const char *what)
{
	level2->checks++;
	if (good)
		return;
	level2->failures++;
	printf("FAIL %s: %s\n", level2->scenario, what);
}

static void say(void *opaque, const char *text)
{
	printf("  operator: %s\n", text);
}

/* ---- the device ---- */

static int read_dma(struct level2 *level2, uint32_t pasid, uint64_t iova)
{
	return real_dma(&level2->real, OP_READ, pasid, iova, 0);
}

/* A write, and that it changed just the four bytes at `gpa` of the guest's data pages (UINT64_MAX: none). */
static void check_write(struct level2 *level2, uint32_t pasid, uint64_t iova, uint64_t gpa, const char *what)
{
	static uint8_t before[3 * 4096];
	static uint32_t value = 0x51000000;
	uint8_t *data = level2->kit.ram + PAGE_A;

	value += 0x10101;
	memcpy(before, data, sizeof(before));
	real_dma(&level2->real, OP_WRITE, pasid, iova, value);
	if (gpa != UINT64_MAX)
		memcpy(before + (gpa - PAGE_A), &value, 4);
	check(level2, !memcmp(before, data, sizeof(before)), what);
}

/* ---- life ---- */

enum mode { FIRST_STAGE, SECOND_STAGE, LEGACY };

static void begin(struct level2 *level2, const char *scenario, enum mode mode, bool type1)
{
	static const struct viommu_passthrough_ops ops = { .size = sizeof(ops), .log = say };
	struct viommu_unit_options options;
	char message[300] = "";
	int ret;

	level2->scenario = scenario;
	viommu_unit_options_init(&options);
	options.caching_mode = true;
	options.five_level = false;
	if (mode != FIRST_STAGE) {
		options.first_stage = options.nested = options.extended_accessed = false;
		options.page_request = options.supervisor_request = options.execute_request = false;
	}
	if (mode == LEGACY) {
		options.scalable = options.dirty_tracking = false;
		options.rid_pasid = options.abort_mode = false;
		options.pasid_bits = 0;
	}
	kit_create(&level2->kit, &options);
	viommu_endpoint_destroy(level2->kit.endpoint);
	level2->kit.endpoint = NULL;
	level2->kit.ram[PAGE_A] = 0xa;
	level2->kit.ram[PAGE_B] = 0xb;
	level2->kit.ram[PAGE_C] = 0xc;
	ret = real_open(&level2->real, type1);
	if (!ret)
		ret = viommu_passthrough_create(level2->kit.unit, KIT_RID, level2->real.device, NULL, &ops, level2,
						&level2->passthrough, message, sizeof(message));
	if (ret) {
		printf("FAIL %s: %s (%s)\n", scenario, message, strerror(-ret));
		exit(1);
	}
	real_on(&level2->real);
}

static void end(struct level2 *level2)
{
	viommu_passthrough_destroy(level2->passthrough);
	real_close(&level2->real);
	kit_destroy(&level2->kit);
	printf("%s: %u checks, %u failed\n", level2->scenario, level2->checks, level2->failures);
}

static void bind(struct level2 *level2, uint32_t pasid, uint64_t word, uint64_t root)
{
	kit_set_pasid_entry(&level2->kit, KIT_RID, pasid, word, DID | PE1_PWSNP, root);
	check(level2, kit_command(&level2->kit, qi_pasid_cache(1, DID, pasid), 0), "wait");
}

static uint64_t first_stage(struct level2 *level2, uint64_t gpa)
{
	uint64_t root = kit_page(&level2->kit);

	kit_map_first(&level2->kit, root, 4, 0x1000, 1, gpa | FS_P | FS_RW | FS_US);
	return root;
}

/* ---- scenarios ---- */

static void check_off(struct level2 *level2)
{
	check(level2, read_dma(level2, VIOMMU_NO_PASID, PAGE_A) == 0xa, "remapping off: memory is reached");
	check_write(level2, VIOMMU_NO_PASID, PAGE_B + 64, PAGE_B + 64, "remapping off: a write");
}

static void check_flush(struct level2 *level2, uint64_t root)
{
	struct kit *kit = &level2->kit;
	int byte;

	kit_map_first(kit, root, 4, 0x1000, 1, PAGE_C | FS_P | FS_RW | FS_US);
	byte = read_dma(level2, PASID, 0x1000);
	check(level2, byte == 0xa || byte == 0xb || byte == 0xc, "before the flush: old or new");
	check(level2, kit_command(kit, qi_piotlb(3, DID, PASID), 0x1000), "wait");
	check(level2, read_dma(level2, PASID, 0x1000) == 0xc, "after the flush: new");
	check_write(level2, PASID, 0x1010, PAGE_C + 16, "after the flush: a write");
	kit_map_first(kit, root, 4, 0x1000, 1, 0);
	check(level2, kit_command(kit, qi_piotlb(2, DID, PASID), 0), "wait");
	check_write(level2, PASID, 0x1010, UINT64_MAX, "unmapped and flushed: nothing lands");
}

/* The device asks for the page; the guest finds the request, maps, answers; the device goes on. */
static void check_page_request(struct level2 *level2, uint64_t root, uint64_t iova, unsigned int code)
{
	struct kit *kit = &level2->kit;
	struct pollfd poller = { .fd = viommu_passthrough_fault_fd(level2->passthrough), .events = POLLIN };
	uint64_t queue = kit_page(kit), end_time = real_milliseconds() + 10000, entry;
	uint32_t head = (uint32_t)kit_read(kit, REG_PQH, 8);

	if (!(kit_read(kit, REG_PQA, 8) >> 12))
		kit_write(kit, REG_PQA, 8, queue);
	queue = kit_read(kit, REG_PQA, 8) & ~0xfffull;
	check(level2, poller.fd >= 0, "there is a fault queue");
	real_start(&level2->real, OP_READ | FLAG_ATS | FLAG_PAGE, PASID, iova, 0);
	while (kit_read(kit, REG_PQT, 8) == head && real_milliseconds() < end_time) {
		if (poll(&poller, 1, 100) > 0)
			viommu_passthrough_work(level2->passthrough, real_milliseconds());
	}
	check(level2, kit_read(kit, REG_PQT, 8) != head, "the request reaches the guest");
	entry = kit_get(kit, queue + head);
	check(level2, (entry >> 32 & 0xfffff) == PASID && (entry >> 16 & 0xffff) == KIT_RID,
	      "it names the PASID and the guest's RID");
	entry = kit_get(kit, queue + head + 8);
	check(level2, entry >> 12 == iova >> 12, "it names the page");
	kit_write(kit, REG_PQH, 8, kit_read(kit, REG_PQT, 8));
	if (!code)
		kit_map_first(kit, root, 4, iova, 1, PAGE_B | FS_P | FS_RW | FS_US | FS_A);
	check(level2, kit_command(kit, qi_page_response(true, PASID, KIT_RID, code), entry & 0xff8), "wait");
	if (code)
		check(level2, real_finish(&level2->real) == -OUTCOME_REFUSED, "the refusal reaches the device");
	else
		check(level2, real_finish(&level2->real) == 0xb, "the device goes on with the page");
}

static void nested_pasids(struct level2 *level2)
{
	struct kit *kit = &level2->kit;
	uint64_t first, second;

	begin(level2, "scalable first stage, iommufd", FIRST_STAGE, false);
	check_off(level2);
	kit_start(kit, TTM_SCALABLE);
	check_write(level2, VIOMMU_NO_PASID, PAGE_A + 8, UINT64_MAX, "no entry: nothing lands");
	bind(level2, 0, PE_P | PE_PASS | 2 << PE_AW_SHIFT, 0);
	check(level2, read_dma(level2, VIOMMU_NO_PASID, PAGE_A) == 0xa, "pass-through");
	check_write(level2, PASID, 0x1008, UINT64_MAX, "PASID without an entry: nothing lands");
	first = first_stage(level2, PAGE_A);
	second = first_stage(level2, PAGE_B);
	bind(level2, PASID, PE_P | PE_FIRST, first);
	check(level2, read_dma(level2, PASID, 0x1000) == 0xa, "PASID added");
	check_write(level2, PASID, 0x1008, PAGE_A + 8, "PASID added: a write");
	check(level2, read_dma(level2, PASID, 0x2000) == -OUTCOME_FAULT, "an absent page faults");
	check(level2, real_dma(&level2->real, OP_READ | FLAG_ATS, PASID, 0x1000, 0) == 0xa, "through ATS");
	bind(level2, PASID, PE_P | PE_FIRST, second);
	check(level2, read_dma(level2, PASID, 0x1000) == 0xb, "PASID replaced");
	check_flush(level2, second);
	check_page_request(level2, second, 0x5000, 0);
	check_page_request(level2, second, 0x6000, 1);
	bind(level2, 0, PE_P | PE_FIRST, first);
	check(level2, read_dma(level2, VIOMMU_NO_PASID, 0x1000) == 0xa, "the RID through a first stage");
	bind(level2, PASID, 0, 0);
	check_write(level2, PASID, 0x1008, UINT64_MAX, "PASID removed: nothing lands");
	kit_disable(kit);
	check_off(level2);
	end(level2);
}

static void map(struct level2 *level2, uint64_t iova, uint64_t entry)
{
	kit_map_second(&level2->kit, level2->root, 4, iova, 1, entry);
	check(level2, kit_command(&level2->kit, qi_iotlb(3, KIT_DID), iova), "wait");
}

static void second_stage(struct level2 *level2, const char *scenario, enum mode mode, bool type1)
{
	struct kit *kit = &level2->kit;

	begin(level2, scenario, mode, type1);
	check_off(level2);
	kit_start(kit, mode == LEGACY ? TTM_LEGACY : TTM_SCALABLE);
	check_write(level2, VIOMMU_NO_PASID, PAGE_A + 8, UINT64_MAX, "no entry: nothing lands");
	level2->root = mode == LEGACY ? kit_setup_legacy(kit, KIT_RID, 4) : kit_setup_second(kit, 0, 4);
	check(level2, kit_flush_all(kit), "wait");
	check_write(level2, VIOMMU_NO_PASID, PAGE_A + 8, UINT64_MAX, "empty tables: nothing lands");
	map(level2, 0x40000000, PAGE_A | SS_R | SS_W);
	check(level2, read_dma(level2, VIOMMU_NO_PASID, 0x40000000) == 0xa, "mapped");
	check_write(level2, VIOMMU_NO_PASID, 0x40000020, PAGE_A + 32, "mapped: a write");
	map(level2, 0x40000000, PAGE_B | SS_R | SS_W);
	check(level2, read_dma(level2, VIOMMU_NO_PASID, 0x40000000) == 0xb, "remapped");
	map(level2, 0x40001000, PAGE_C | SS_R);
	check(level2, read_dma(level2, VIOMMU_NO_PASID, 0x40001000) == 0xc, "read-only: a read");
	check_write(level2, VIOMMU_NO_PASID, 0x40001008, UINT64_MAX, "read-only: a write");
	map(level2, 0x40000000, 0);
	check_write(level2, VIOMMU_NO_PASID, 0x40000020, UINT64_MAX, "unmapped: nothing lands");
	if (mode == LEGACY)
		kit_put(kit, kit_context_legacy(kit, KIT_RID), CE_P | CE_TT_PASS);
	else
		kit_set_pasid_entry(kit, KIT_RID, 0, PE_P | PE_PASS | 2 << PE_AW_SHIFT, KIT_DID | PE1_PWSNP, 0);
	check(level2, kit_flush_all(kit), "wait");
	check(level2, read_dma(level2, VIOMMU_NO_PASID, PAGE_C) == 0xc, "pass-through");
	check_write(level2, VIOMMU_NO_PASID, PAGE_C + 8, PAGE_C + 8, "pass-through: a write");
	check_write(level2, VIOMMU_NO_PASID, 0x40001008, UINT64_MAX, "pass-through: not the old map");
	kit_disable(kit);
	check_off(level2);
	end(level2);
}


int main(int argc, char **argv)
{
	struct level2 level2 = { 0 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	level2.real.address = argc > 1 ? argv[1] : real_address();
	if (!level2.real.address) {
		fprintf(stderr, "usage: %s 0000:00:07.0 (the PASID test device, bound to vfio-pci)\n", argv[0]);
		return 2;
	}
	nested_pasids(&level2);
	second_stage(&level2, "scalable second stage, iommufd", SECOND_STAGE, false);
	second_stage(&level2, "legacy, iommufd", LEGACY, false);
	second_stage(&level2, "scalable second stage, type1", SECOND_STAGE, true);
	second_stage(&level2, "legacy, type1", LEGACY, true);
	printf("level 2: %u checks, %u failed\n", level2.checks, level2.failures);
	return level2.failures ? 1 : 0;
}
