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
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "../vtd/kit.h"
#include <viommu/passthrough.h>

/* docs/testdev.md */
enum { OP_READ = 1, OP_WRITE = 2, FLAG_PASID = 1 << 8, FLAG_ATS = 1 << 11, FLAG_PAGE = 1 << 12 };
enum { DOORBELL = 0x18, SLOT = 0x100, DATA = 0x4000, FINISHED = 3, OUTCOME_FAULT = 1, OUTCOME_REFUSED = 2 };
enum { PAGE_A = 0x100000, PAGE_B = 0x101000, PAGE_C = 0x102000, PASID = 5, DID = 7 };

struct level2 {
	struct kit kit;
	struct viommu_host *host;
	struct viommu_host_device *device;
	struct viommu_passthrough *passthrough;
	const char *address;
	int container, file;      /* /dev/iommu or /dev/vfio/vfio; the device's cdev or group */
	uint64_t bar, config;     /* offsets in the device's fd */
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

static uint64_t region(int fd, uint32_t index)
{
	struct {
		uint32_t argsz, flags, index, cap_offset;
		uint64_t size, offset;
	} info = { .argsz = sizeof(info), .index = index };

	if (ioctl(fd, _IO(';', 108), &info)) {
		perror("level2: region");
		exit(1);
	}
	return info.offset;
}

static uint32_t get(struct level2 *level2, uint32_t offset)
{
	uint32_t value = 0;

	if (pread(viommu_host_device_fd(level2->device), &value, 4, (off_t)(level2->bar + offset)) != 4)
		perror("level2: read");
	return value;
}

static void put(struct level2 *level2, uint32_t offset, uint32_t value)
{
	if (pwrite(viommu_host_device_fd(level2->device), &value, 4, (off_t)(level2->bar + offset)) != 4)
		perror("level2: write");
}

static void device_on(struct level2 *level2)
{
	int fd = viommu_host_device_fd(level2->device);
	uint16_t command = 0x6; /* memory space, bus master */

	level2->bar = region(fd, 0);
	level2->config = region(fd, 7);
	if (pwrite(fd, &command, 2, (off_t)(level2->config + 4)) != 2)
		perror("level2: command register");
}

static uint64_t milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void start(struct level2 *level2, uint32_t operation, uint32_t pasid, uint64_t iova, uint32_t value)
{
	if (pasid != VIOMMU_NO_PASID)
		operation |= FLAG_PASID;
	put(level2, DATA, value);
	put(level2, SLOT, operation);
	put(level2, SLOT + 4, pasid & VIOMMU_PASID_MAX);
	put(level2, SLOT + 8, (uint32_t)iova);
	put(level2, SLOT + 12, (uint32_t)(iova >> 32));
	put(level2, SLOT + 16, 4);
	put(level2, DOORBELL, 0);
}

/* Negative: the outcome, else the first byte read or written. */
static int finish(struct level2 *level2, uint32_t operation)
{
	uint64_t end = milliseconds() + 20000;
	uint32_t outcome;

	while (get(level2, SLOT + 0x28) != FINISHED && milliseconds() < end)
		usleep(1000);
	outcome = get(level2, SLOT + 0x2c);
	if (outcome)
		return -(int)outcome;
	return (int)(get(level2, DATA) & 0xff);
}

static int dma(struct level2 *level2, uint32_t operation, uint32_t pasid, uint64_t iova, uint32_t value)
{
	start(level2, operation, pasid, iova, value);
	return finish(level2, operation);
}

static int read_dma(struct level2 *level2, uint32_t pasid, uint64_t iova)
{
	return dma(level2, OP_READ, pasid, iova, 0);
}

/* A write, and that it changed just the four bytes at `gpa` of the guest's data pages (UINT64_MAX: none). */
static void check_write(struct level2 *level2, uint32_t pasid, uint64_t iova, uint64_t gpa, const char *what)
{
	static uint8_t before[3 * 4096];
	static uint32_t value = 0x51000000;
	uint8_t *data = level2->kit.ram + PAGE_A;

	value += 0x10101;
	memcpy(before, data, sizeof(before));
	dma(level2, OP_WRITE, pasid, iova, value);
	if (gpa != UINT64_MAX)
		memcpy(before + (gpa - PAGE_A), &value, 4);
	check(level2, !memcmp(before, data, sizeof(before)), what);
}

/* ---- life ---- */

static int find_name(const char *folder, const char *prefix, char *name, size_t length)
{
	DIR *directory = opendir(folder);
	struct dirent *entry;
	int found = -1;

	while (directory && found && (entry = readdir(directory))) {
		if (!strncmp(entry->d_name, prefix, strlen(prefix)))
			found = snprintf(name, length, "%s", entry->d_name) < 0;
	}
	if (directory)
		closedir(directory);
	return found;
}

static int open_host(struct level2 *level2, bool type1)
{
	char path[1024], name[256], link[512] = "";
	int ret;

	level2->container = open(type1 ? "/dev/vfio/vfio" : "/dev/iommu", O_RDWR | O_CLOEXEC);
	if (level2->container < 0)
		return -errno;
	if (type1) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", level2->address);
		if (readlink(path, link, sizeof(link) - 1) < 0 || !strrchr(link, '/'))
			return -ENODEV;
		snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	} else {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", level2->address);
		if (find_name(path, "vfio", name, sizeof(name)))
			return -ENODEV;
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s", name);
	}
	level2->file = open(path, O_RDWR | O_CLOEXEC);
	if (level2->file < 0)
		return -errno;
	ret = type1 ? viommu_host_open_type1(level2->container, &level2->host)
		    : viommu_host_open_iommufd(level2->container, &level2->host);
	if (ret)
		return ret;
	return type1 ? viommu_host_device_open_group(level2->host, level2->file, level2->address,
						     &level2->device)
		     : viommu_host_device_open_cdev(level2->host, level2->file, &level2->device);
}

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
	ret = open_host(level2, type1);
	if (!ret)
		ret = viommu_passthrough_create(level2->kit.unit, KIT_RID, level2->device, NULL, &ops, level2,
						&level2->passthrough, message, sizeof(message));
	if (ret) {
		printf("FAIL %s: %s (%s)\n", scenario, message, strerror(-ret));
		exit(1);
	}
	device_on(level2);
}

static void end(struct level2 *level2)
{
	viommu_passthrough_destroy(level2->passthrough);
	viommu_host_device_close(level2->device);
	viommu_host_close(level2->host);
	close(level2->file);
	close(level2->container);
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
	uint64_t queue = kit_page(kit), end_time = milliseconds() + 10000, entry;
	uint32_t head = (uint32_t)kit_read(kit, REG_PQH, 8);

	if (!(kit_read(kit, REG_PQA, 8) >> 12))
		kit_write(kit, REG_PQA, 8, queue);
	queue = kit_read(kit, REG_PQA, 8) & ~0xfffull;
	check(level2, poller.fd >= 0, "there is a fault queue");
	start(level2, OP_READ | FLAG_ATS | FLAG_PAGE, PASID, iova, 0);
	while (kit_read(kit, REG_PQT, 8) == head && milliseconds() < end_time) {
		if (poll(&poller, 1, 100) > 0)
			viommu_passthrough_work(level2->passthrough, milliseconds());
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
		check(level2, finish(level2, OP_READ) == -OUTCOME_REFUSED, "the refusal reaches the device");
	else
		check(level2, finish(level2, OP_READ) == 0xb, "the device goes on with the page");
}

static void nested_pasids(struct level2 *level2)
{
	struct kit *kit = &level2->kit;
	uint64_t first, second;

	begin(level2, "scalable first stage, iommufd", FIRST_STAGE, false);
	check_off(level2);
	kit_start(kit, TTM_SCALABLE);
	check_write(level2, VIOMMU_NO_PASID, PAGE_A + 8, UINT64_MAX, "no entry: nothing lands");
	bind(level2, 0, PE_P | PE_PASS, 0);
	check(level2, read_dma(level2, VIOMMU_NO_PASID, PAGE_A) == 0xa, "pass-through");
	check_write(level2, PASID, 0x1008, UINT64_MAX, "PASID without an entry: nothing lands");
	first = first_stage(level2, PAGE_A);
	second = first_stage(level2, PAGE_B);
	bind(level2, PASID, PE_P | PE_FIRST, first);
	check(level2, read_dma(level2, PASID, 0x1000) == 0xa, "PASID added");
	check_write(level2, PASID, 0x1008, PAGE_A + 8, "PASID added: a write");
	check(level2, read_dma(level2, PASID, 0x2000) == -OUTCOME_FAULT, "an absent page faults");
	check(level2, dma(level2, OP_READ | FLAG_ATS, PASID, 0x1000, 0) == 0xa, "through ATS");
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
		kit_set_pasid_entry(kit, KIT_RID, 0, PE_P | PE_PASS, KIT_DID | PE1_PWSNP, 0);
	check(level2, kit_flush_all(kit), "wait");
	check(level2, read_dma(level2, VIOMMU_NO_PASID, PAGE_C) == 0xc, "pass-through");
	check_write(level2, VIOMMU_NO_PASID, PAGE_C + 8, PAGE_C + 8, "pass-through: a write");
	check_write(level2, VIOMMU_NO_PASID, 0x40001008, UINT64_MAX, "pass-through: not the old map");
	kit_disable(kit);
	check_off(level2);
	end(level2);
}

static bool from_command_line(char *address, size_t length)
{
	char line[4096] = "", *at;
	FILE *file = fopen("/proc/cmdline", "re");
	bool read = file && fgets(line, sizeof(line), file);

	if (file)
		fclose(file);
	at = read ? strstr(line, "vfio=") : NULL;
	if (!at)
		return false;
	snprintf(address, length, "%.12s", at + 5);
	return true;
}

int main(int argc, char **argv)
{
	struct level2 level2 = { 0 };
	char address[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1)
		snprintf(address, sizeof(address), "%s", argv[1]);
	else if (!from_command_line(address, sizeof(address))) {
		fprintf(stderr, "usage: %s 0000:00:07.0 (the PASID test device, bound to vfio-pci)\n", argv[0]);
		return 2;
	}
	level2.address = address;
	nested_pasids(&level2);
	second_stage(&level2, "scalable second stage, iommufd", SECOND_STAGE, false);
	second_stage(&level2, "legacy, iommufd", LEGACY, false);
	second_stage(&level2, "scalable second stage, type1", SECOND_STAGE, true);
	second_stage(&level2, "legacy, type1", LEGACY, true);
	printf("level 2: %u checks, %u failed\n", level2.checks, level2.failures);
	return level2.failures ? 1 : 0;
}
