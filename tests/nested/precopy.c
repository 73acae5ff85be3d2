/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pre-copy with a Linux two levels down: this program runs inside the test guest and is the manager of another guest, which drives
 * the DSA of the first through the daemon and the first one's kernel. The guest maps, lets the device write, and unmaps without end
 * (guest/scripts/load), while the manager copies its memory: everything once, then in rounds what was written: by processors,
 * from QEMU's soft-dirty bits, and by the device, from `viommu ctl dirty-query`. When the guest has stopped and the device has
 * drained, what is left is copied; then the copy must equal the memory, every page. The guest goes on, and nothing may have gone
 * wrong in it.
 *
 * The same once more without what the device wrote must lose pages: that shows that the comparison can fail.
 *
 *   nested-precopy VIOMMU FUNCTION KERNEL INITRD [CELL...]    FUNCTION: the DSA, bound to vfio-pci; CELL: names of cells
 */
#include "precopy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 5, ATTEMPTS = 100, PAGES_A_ROUND = 16 };

#define NO_PASIDS "caching-mode=on,first-stage=off,nested=off,pasid-bits=0,page-request=off"
#define SCALABLE  "caching-mode=on"
#define LEGACY	  "caching-mode=on,scalable=off"
#define NOPT	  "iommu=nopt domain=DMA"
#define PT	  "iommu=pt domain=identity"

/* type1 has no nesting and no PASIDs, so there the scalable unit has second stages only. */
static const struct cell {
	const char *name, *unit, *backend, *append;
} cells[] = {
	{ "scalable-iommufd-nopt", SCALABLE, "iommufd", NOPT }, { "scalable-iommufd-pt", SCALABLE, "iommufd", PT },
	{ "scalable-type1-nopt", NO_PASIDS, "type1", NOPT },	{ "scalable-type1-pt", NO_PASIDS, "type1", PT },
	{ "legacy-iommufd-nopt", LEGACY, "iommufd", NOPT },	{ "legacy-iommufd-pt", LEGACY, "iommufd", PT },
	{ "legacy-type1-nopt", LEGACY, "type1", NOPT },		{ "legacy-type1-pt", LEGACY, "type1", PT },
};

struct manager {
	const char *function;
	struct guest guest;
	struct memory memory;
	char file[96];
	uint64_t *by_processors, *by_device, *both;
	uint64_t copied;
};

static size_t words(const struct manager *m)
{
	return (size_t)(m->memory.pages + 63) / 64;
}

static uint64_t count(const struct manager *m, const uint64_t *bitmap)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < words(m); i++)
		pages += (uint64_t)__builtin_popcountll(bitmap[i]);
	return pages;
}

static int control(struct manager *m, const char *command)
{
	json_t *reply = guest_control(&m->guest, command, NULL);

	json_decref(reply);
	return reply ? 0 : -EIO;
}

static int monitor(struct manager *m, const char *command)
{
	json_t *reply = guest_monitor(&m->guest, command, NULL);

	json_decref(reply);
	return reply ? 0 : -EIO;
}

/* Add the pages of one more query to those of the round. */
static int ask_device(struct manager *m)
{
	json_t *reply = guest_control(&m->guest, "dirty-query", m->file);
	FILE *in = reply ? fopen(m->file, "rb") : NULL;
	size_t got = 0;

	memset(m->both, 0, words(m) * 8);
	if (in) {
		got = fread(m->both, 1, words(m) * 8, in);
		fclose(in);
	}
	if (reply && (!got || count(m, m->both) != (uint64_t)json_integer_value(json_object_get(reply, "pages")))) {
		printf("FAIL the bitmap of written pages is not what the answer says\n");
		got = 0;
	}
	json_decref(reply);
	for (size_t i = 0; i < words(m); i++)
		m->by_device[i] |= m->both[i];
	return got ? 0 : -EIO;
}

/* A round is no sooner over than the device has done something. */
static int await_device(struct manager *m)
{
	time_t end = time(NULL) + PATIENCE;
	int ret = 0;

	while (!(ret = ask_device(m)) && count(m, m->by_device) < PAGES_A_ROUND) {
		if (time(NULL) > end) {
			printf("FAIL the device does not write\n");
			return -ETIMEDOUT;
		}
		usleep(20000);
	}
	return ret;
}

/* What was written since the last time, copied. */
static int copy_written(struct manager *m, const char *when, bool with_device)
{
	int ret;

	memset(m->by_processors, 0, words(m) * 8);
	ret = memory_written(&m->memory, m->by_processors);
	if (ret)
		return ret;
	for (size_t i = 0; i < words(m); i++)
		m->both[i] = m->by_processors[i] | (with_device ? m->by_device[i] : 0);
	memory_copy(&m->memory, m->both);
	m->copied += count(m, m->both);
	printf("  %-9s %6llu pages by processors, %6llu by the device, %6llu copied\n", when,
	       (unsigned long long)count(m, m->by_processors), (unsigned long long)count(m, m->by_device),
	       (unsigned long long)count(m, m->both));
	memset(m->by_device, 0, words(m) * 8);
	return 0;
}

static int first_copy(struct manager *m)
{
	int ret = control(m, "dirty-start");

	ret = ret ? ret : memory_follow(&m->memory);
	if (ret)
		return ret;
	memset(m->both, 0xff, words(m) * 8);
	memory_copy(&m->memory, m->both);
	m->copied = m->memory.pages;
	return 0;
}

/* Processors first, then what they have given the unit and the device to do. Then the rest of what was written. */
static int stop_and_copy(struct manager *m, bool with_device)
{
	int ret = monitor(m, "stop");

	ret = ret ? ret : guest_drain(&m->guest, m->function);
	ret = ret ? ret : ask_device(m);
	return ret ? ret : copy_written(m, "stopped:", with_device);
}

/* The whole of it: how many pages are lost, or an errno. */
static int64_t migrate(struct manager *m)
{
	int ret = first_copy(m);
	uint64_t lost = 0;

	for (unsigned int round = 1; !ret && round <= ROUNDS; round++) {
		char text[32];

		snprintf(text, sizeof(text), "round %u:", round);
		ret = await_device(m);
		ret = ret ? ret : copy_written(m, text, true);
	}
	ret = ret ? ret : stop_and_copy(m, true);
	if (!ret) {
		lost = memory_differing(&m->memory);
		printf("  compared  %llu pages after %llu copied: %llu differ\n", (unsigned long long)m->memory.pages,
		       (unsigned long long)m->copied, (unsigned long long)lost);
		ret = control(m, "dirty-stop");
	}
	ret = ret ? ret : monitor(m, "cont");
	return ret ? ret : (int64_t)lost;
}

/*
 * Without the device's pages. It may be that it has written none to a page of its own yet: then there is nothing that could be
 * lost, and the guest runs on for another while.
 */
static int64_t migrate_without_device(struct manager *m)
{
	int ret = first_copy(m);
	uint64_t lost = 0;

	printf("  without what the device wrote:\n");
	for (unsigned int i = 0; !ret && !lost && i < ATTEMPTS; i++) {
		ret = await_device(m);
		ret = ret ? ret : stop_and_copy(m, false);
		lost = ret ? 0 : memory_differing(&m->memory);
		ret = ret ? ret : monitor(m, "cont");
	}
	if (!ret)
		ret = control(m, "dirty-stop");
	printf("  compared  %llu pages: %llu differ\n", (unsigned long long)m->memory.pages, (unsigned long long)lost);
	return ret ? ret : (int64_t)lost;
}

static int open_manager(struct manager *m, const struct cell *cell, char **files)
{
	char append[128], device[160];
	struct guest_options options = {
		.kernel = files[0], .initrd = files[1], .append = append, .unit = cell->unit, .device = device,
	};
	int ret;

	/* Without the IO-APIC, which nothing here needs: its first interrupt can overtake a kernel this slow while it sets it up. */
	snprintf(append, sizeof(append), "%s intel_iommu=on,sm_on noapic", cell->append);
	snprintf(device, sizeof(device), "vfio,addr=06.0,host=%s,backend=%s", m->function, cell->backend);
	ret = guest_start(&m->guest, &options);
	ret = ret ? ret : memory_open(&m->memory, m->guest.vmm);
	if (ret)
		return ret;
	snprintf(m->file, sizeof(m->file), "%s/dirty", m->guest.directory);
	m->by_processors = calloc(words(m), 8);
	m->by_device = calloc(words(m), 8);
	m->both = calloc(words(m), 8);
	return m->both && m->by_device && m->by_processors ? 0 : -ENOMEM;
}

static bool run(struct manager *m, const struct cell *cell, char **files)
{
	bool good = false;
	int64_t lost = 0, lost_without = 0;
	int ret;

	printf("%s: unit %s, guest %s\n", cell->name, cell->unit, cell->append);
	ret = open_manager(m, cell, files);
	if (!ret) {
		lost = migrate(m);
		lost_without = lost < 0 ? lost : migrate_without_device(m);
		ret = lost_without < 0 ? (int)lost_without : guest_end(&m->guest);
	}
	if (!ret) {
		good = !lost && lost_without > 0;
		printf("%s %s: %lld pages lost; %lld without the device's\n", good ? "ok" : "FAIL", cell->name,
		       (long long)lost, (long long)lost_without);
	} else {
		printf("FAIL %s: %s\n", cell->name, strerror(-ret));
	}
	guest_destroy(&m->guest);
	memory_close(&m->memory);
	free(m->by_processors);
	free(m->by_device);
	free(m->both);
	return good;
}

static bool wanted(const struct cell *cell, char **names)
{
	if (!*names)
		return true;
	while (*names)
		if (!strcmp(*names++, cell->name))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	unsigned int ran = 0, failed = 0;

	if (argc < 5) {
		fprintf(stderr, "usage: nested-precopy VIOMMU FUNCTION KERNEL INITRD [CELL...]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		struct manager m = { .function = argv[2], .guest.viommu = argv[1], .memory.pagemap = -1 };

		if (!wanted(&cells[i], argv + 5))
			continue;
		ran++;
		failed += !run(&m, &cells[i], argv + 3);
	}
	printf("precopy: %u cells, %u failed\n", ran, failed);
	return failed || !ran || ran < (unsigned int)(argc - 5) ? 1 : 0;
}
