/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dirty tracking on a real kernel: a scripted guest inside the test guest maps, has the device write, unmaps and maps elsewhere, without
 * end, while this program, the VMM, collects what was written and copies it. In the end the copy must equal the
 * original, page for page; {scalable, legacy} x {iommufd, type1} x {translated, pass-through}, and nested PASIDs; and with devices
 * of both kinds of host behind one unit.
 *
 * The device is the PASID test device of the machine we run in (tests/passthrough/real.h); the one beside it is its DSA.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../passthrough/real.h"
#include "../vtd/kit.h"

#include <viommu/migration.h>
#include <viommu/passthrough.h>

enum {
	FIRST = 1 << 20,     /* guest memory in play: 16 slots of 4 pages, then one of 1024 pages */
	SLOTS = 16,
	SLOT_PAGES = 4,
	LARGE = 8 << 20,
	LARGE_PAGES = 1024,
	IOVA = 0x40000000,
	LARGE_IOVA = 0x50000000,
	ROUNDS = 60,
	PAGES = KIT_RAM / 4096,
	PASID = 5,
	BESIDE_RID = KIT_RID + 8,
	BESIDE_AT = 16 << 20,
};

#define BESIDE "0000:00:06.0"

enum mode { NESTED, SECOND_STAGE, LEGACY };

struct cell {
	const char *name;
	enum mode mode;
	bool type1;
	bool pass_through;
	bool beside; /* another device behind the unit, given to us by the other kind of host */
};

struct vmm {
	struct kit kit;
	struct real real;
	struct viommu_passthrough *passthrough;
	struct viommu_tracker *tracker;
	const struct cell *cell;
	uint64_t root;
	struct real other;
	struct viommu_passthrough *beside;
	uint64_t beside_root;
	uint8_t *copy;
	uint64_t bitmap[PAGES / 64];
	uint64_t collected;
	unsigned int writes, failures;
	uint32_t value;
	_Atomic bool stop;
};

static void complain(struct vmm *vmm, const char *what)
{
	vmm->failures++;
	printf("FAIL %s: %s\n", vmm->cell->name, what);
}

static uint32_t pasid(const struct vmm *vmm)
{
	return vmm->cell->mode == NESTED && !vmm->cell->pass_through ? PASID : VIOMMU_NO_PASID;
}

static void map(struct vmm *vmm, uint64_t iova, uint64_t gpa, unsigned int pages)
{
	struct kit *kit = &vmm->kit;

	for (unsigned int i = 0; i < pages; i++) {
		uint64_t at = iova + i * 4096, to = gpa + i * 4096;

		if (vmm->cell->mode == NESTED)
			kit_map_first(kit, vmm->root, 4, at, 1, gpa ? to | FS_P | FS_RW | FS_US : 0);
		else
			kit_map_second(kit, vmm->root, 4, at, 1, gpa ? to | SS_R | SS_W : 0);
	}
	if (!kit_command(kit, vmm->cell->mode == NESTED ? qi_piotlb(2, KIT_DID, PASID) : qi_iotlb(2, KIT_DID), 0))
		complain(vmm, "an invalidation does not complete");
}

/* In the domain of the device beside: mappings come and go there as well, large and small. */
static void map_beside(struct vmm *vmm, uint64_t iova, uint64_t gpa, unsigned int pages)
{
	uint64_t root = vmm->root;

	if (!vmm->cell->beside)
		return;
	vmm->root = vmm->beside_root;
	map(vmm, iova, gpa, pages);
	vmm->root = root;
}

static void device_writes(struct vmm *vmm, uint64_t iova)
{
	if (real_dma(&vmm->real, OP_WRITE, pasid(vmm), iova, ++vmm->value) < 0)
		complain(vmm, "the device cannot write where it may");
	vmm->writes++;
}

static void copy_written(struct vmm *vmm)
{
	memset(vmm->bitmap, 0, sizeof(vmm->bitmap));
	if (viommu_tracker_query(vmm->tracker, 0, KIT_RAM, vmm->bitmap))
		complain(vmm, "a query fails");
	for (uint64_t page = 0; page < PAGES; page++) {
		if (vmm->bitmap[page / 64] >> page % 64 & 1) {
			memcpy(vmm->copy + page * 4096, vmm->kit.ram + page * 4096, 4096);
			vmm->collected++;
		}
	}
}

/* Migration, on a thread of its own. */
static void *collector(void *opaque)
{
	struct vmm *vmm = opaque;

	while (!vmm->stop)
		copy_written(vmm);
	return NULL;
}

/* Every slot leads somewhere else each time; the device writes right before its mapping goes. */
static void guest(struct vmm *vmm)
{
	uint64_t gpas[SLOTS];
	bool mapped = !vmm->cell->pass_through;

	for (unsigned int i = 0; i < SLOTS; i++) {
		gpas[i] = FIRST + i * SLOT_PAGES * 4096;
		if (mapped)
			map(vmm, IOVA + i * SLOT_PAGES * 4096, gpas[i], SLOT_PAGES);
	}
	for (unsigned int round = 0; round < ROUNDS && !vmm->failures; round++) {
		unsigned int slot = round % SLOTS;
		uint64_t at = mapped ? IOVA + slot * SLOT_PAGES * 4096 : gpas[slot];

		device_writes(vmm, at + (round % SLOT_PAGES) * 4096 + 64);
		if (!mapped)
			continue;
		map(vmm, at, 0, SLOT_PAGES);
		gpas[slot] = FIRST + (round * 7 % 256) * SLOT_PAGES * 4096;
		map(vmm, at, gpas[slot], SLOT_PAGES);
		map_beside(vmm, at, BESIDE_AT + slot * 4096, 1);
		/* Too large to be marked as a whole: its bits are read as it goes. */
		if (round % 10 == 0) {
			map(vmm, LARGE_IOVA, LARGE, LARGE_PAGES);
			map_beside(vmm, LARGE_IOVA, BESIDE_AT, LARGE_PAGES);
			device_writes(vmm, LARGE_IOVA + (round * 13 % LARGE_PAGES) * 4096);
			map(vmm, LARGE_IOVA, 0, LARGE_PAGES);
			map_beside(vmm, LARGE_IOVA, 0, LARGE_PAGES);
		}
	}
}

static void options_for(const struct cell *cell, struct viommu_unit_options *options)
{
	viommu_unit_options_init(options);
	options->caching_mode = true;
	options->five_level = false;
	if (cell->mode != NESTED) {
		options->first_stage = options->nested = options->extended_accessed = false;
		options->page_request = options->supervisor_request = options->execute_request = false;
	}
	if (cell->mode == LEGACY) {
		options->scalable = options->dirty_tracking = false;
		options->rid_pasid = options->abort_mode = false;
		options->pasid_bits = 0;
	}
}

static int tell(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = fd < 0 ? -errno : 0;

	if (!ret && write(fd, text, strlen(text)) < 0)
		ret = -errno;
	if (fd >= 0)
		close(fd);
	return ret;
}

/* The other device is still its own driver's. */
static int begin_beside(struct vmm *vmm, const struct viommu_device_info *info, char *text, size_t length)
{
	uint32_t index;
	int ret;

	vmm->other.address = BESIDE;
	tell("/sys/bus/pci/devices/" BESIDE "/driver/unbind", BESIDE);
	ret = tell("/sys/bus/pci/devices/" BESIDE "/driver_override", "vfio-pci");
	ret = ret ? ret : tell("/sys/bus/pci/drivers_probe", BESIDE);
	ret = ret ? ret : real_open(&vmm->other, !vmm->cell->type1);
	ret = ret ? ret : viommu_passthrough_create(vmm->kit.unit, BESIDE_RID, vmm->other.device, NULL, NULL, NULL,
						    &vmm->beside, text, length);
	return ret ? ret : viommu_tracker_add_passthrough(vmm->tracker, vmm->beside, info, &index);
}

static int begin(struct vmm *vmm)
{
	struct viommu_device_info info = {
		.size = sizeof(info), .name = "testdev", .migratable = true, .drainable = true,
	};
	struct viommu_unit_options options;
	char text[512] = "";
	uint32_t index;
	int ret;

	options_for(vmm->cell, &options);
	kit_create(&vmm->kit, &options);
	viommu_endpoint_destroy(vmm->kit.endpoint);
	vmm->kit.endpoint = NULL;
	vmm->copy = malloc(KIT_RAM);
	ret = real_open(&vmm->real, vmm->cell->type1);
	ret = ret ? ret : viommu_passthrough_create(vmm->kit.unit, KIT_RID, vmm->real.device, NULL, NULL, NULL,
						    &vmm->passthrough, text, sizeof(text));
	ret = ret ? ret : viommu_tracker_create(vmm->kit.memory, &vmm->tracker);
	ret = ret ? ret : viommu_tracker_add_passthrough(vmm->tracker, vmm->passthrough, &info, &index);
	if (!ret && vmm->cell->beside)
		ret = begin_beside(vmm, &info, text, sizeof(text));
	if (ret) {
		printf("FAIL %s: %s (%s)\n", vmm->cell->name, text, strerror(-ret));
		return ret;
	}
	real_on(&vmm->real);
	return 0;
}

static void translate(struct vmm *vmm)
{
	struct kit *kit = &vmm->kit;

	/* Remapping off is pass-through to all of memory, and so is the guest's iommu=pt but for the tables. */
	if (vmm->cell->pass_through)
		return;
	kit_start(kit, vmm->cell->mode == LEGACY ? TTM_LEGACY : TTM_SCALABLE);
	if (vmm->cell->mode == NESTED) {
		vmm->root = kit_page(kit);
		kit_set_pasid_entry(kit, KIT_RID, PASID, PE_P | PE_FIRST, KIT_DID | PE1_PWSNP, vmm->root);
		kit_command(kit, qi_pasid_cache(1, KIT_DID, PASID), 0);
	} else {
		vmm->root = vmm->cell->mode == LEGACY ? kit_setup_legacy(kit, KIT_RID, 4) : kit_setup_second(kit, 0, 4);
	}
	if (vmm->cell->beside)
		vmm->beside_root = kit_setup_legacy(kit, BESIDE_RID, 4);
	if (!kit_flush_all(kit))
		complain(vmm, "an invalidation does not complete");
}

static void run(struct vmm *vmm, const struct cell *cell)
{
	struct viommu_tracker_statistics s = { .size = sizeof(s) };
	uint64_t differ = 0;
	pthread_t thread;
	int ret;

	vmm->cell = cell;
	if (begin(vmm))
		exit(1);
	translate(vmm);
	ret = viommu_tracker_start(vmm->tracker);
	if (ret) {
		char text[1024];

		viommu_tracker_blockers(vmm->tracker, text, sizeof(text));
		printf("FAIL %s: tracking does not start: %s\n%s", cell->name, strerror(-ret), text);
		exit(1);
	}
	/* The first copy; from here on only what is collected. */
	memcpy(vmm->copy, vmm->kit.ram, KIT_RAM);
	pthread_create(&thread, NULL, collector, vmm);
	guest(vmm);
	vmm->stop = true;
	pthread_join(thread, NULL);
	copy_written(vmm);
	/* What the guest's processor wrote (tables, queue) is the VMM's own affair: only the device's pages count. */
	for (uint64_t at = FIRST; at < LARGE + LARGE_PAGES * 4096; at += 4096)
		differ += memcmp(vmm->copy + at, vmm->kit.ram + at, 4096) != 0;
	if (differ)
		complain(vmm, "pages were lost");
	viommu_tracker_statistics(vmm->tracker, &s);
	printf("%s: %u writes of the device, %llu pages collected, %llu unmaps (%llu asked, %llu outright), %llu pages "
	       "lost\n",
	       cell->name, vmm->writes, (unsigned long long)vmm->collected, (unsigned long long)s.unmaps,
	       (unsigned long long)s.unmap_queries, (unsigned long long)s.unmaps_outright,
	       (unsigned long long)differ);
	viommu_tracker_destroy(vmm->tracker);
	viommu_passthrough_destroy(vmm->passthrough);
	viommu_passthrough_destroy(vmm->beside);
	real_close(&vmm->real);
	if (cell->beside)
		real_close(&vmm->other);
	kit_destroy(&vmm->kit);
	free(vmm->copy);
}

int main(int argc, char **argv)
{
	static const struct cell cells[] = {
		{ "scalable, iommufd, nested PASID", NESTED, false, false },
		{ "scalable, iommufd, second stage", SECOND_STAGE, false, false },
		{ "scalable, iommufd, pass-through", NESTED, false, true },
		{ "scalable, type1, second stage", SECOND_STAGE, true, false },
		{ "scalable, type1, pass-through", SECOND_STAGE, true, true },
		{ "legacy, iommufd, second stage", LEGACY, false, false },
		{ "legacy, iommufd, pass-through", LEGACY, false, true },
		{ "legacy, type1, second stage", LEGACY, true, false },
		{ "legacy, type1, pass-through", LEGACY, true, true },
		{ "legacy, iommufd, second stage, type1 beside", LEGACY, false, false, true },
		{ "legacy, type1, second stage, iommufd beside", LEGACY, true, false, true },
	};
	unsigned int failures = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned int i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		static struct vmm vmm;

		memset(&vmm, 0, sizeof(vmm));
		vmm.real.address = argc > 1 ? argv[1] : real_address();
		if (!vmm.real.address) {
			fprintf(stderr, "usage: %s 0000:00:07.0 (the PASID test device, bound to vfio-pci)\n", argv[0]);
			return 2;
		}
		run(&vmm, &cells[i]);
		failures += vmm.failures;
	}
	printf("tracking: %zu cells, %u failures\n", sizeof(cells) / sizeof(cells[0]), failures);
	return failures ? 1 : 0;
}
