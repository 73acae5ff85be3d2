/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory of a VM, from outside: QEMU keeps it in a memory file, which whoever may read /proc/PID/fd can map as well.
 *
 * What QEMU writes, for its processors and for its own devices, is found by Linux' soft-dirty bits: one for each page of a process,
 * set by a write, cleared for all of it at once. There is no step that reads and clears, so QEMU is held in between. DMA of a device
 * that is passed through never shows there: it does not use QEMU's page tables.
 */
#include "precopy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RAM_NAME   "/memfd:memory-backend-memfd"
#define SOFT_DIRTY (UINT64_C(1) << 55) /* of a word of /proc/PID/pagemap */

static int wrong(const char *what, int error)
{
	printf("FAIL memory: %s: %s\n", what, strerror(error));
	return -error;
}

/* The file that is the VM's memory: a descriptor of our own. */
static int open_ram(pid_t vmm)
{
	char path[64], target[256];
	struct dirent *entry;
	int fd = -1;
	DIR *list;

	snprintf(path, sizeof(path), "/proc/%d/fd", vmm);
	list = opendir(path);
	while (list && fd < 0 && (entry = readdir(list))) {
		ssize_t got = readlinkat(dirfd(list), entry->d_name, target, sizeof(target) - 1);

		if (got > 0 && !strncmp(target, RAM_NAME, strlen(RAM_NAME)))
			fd = openat(dirfd(list), entry->d_name, O_RDONLY | O_CLOEXEC);
	}
	if (list)
		closedir(list);
	return fd;
}

/* Where the VMM has all of that file, in one piece: 0 when it has not. */
static uint64_t find_mapping(pid_t vmm, uint64_t length)
{
	uint64_t start, end, offset, found = 0;
	char path[64], line[512];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", vmm);
	maps = fopen(path, "r");
	while (maps && fgets(line, sizeof(line), maps))
		if (strstr(line, RAM_NAME) &&
		    sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64, &start, &end, &offset) == 3 && !offset &&
		    end - start == length)
			found = start;
	if (maps)
		fclose(maps);
	return found;
}

int memory_open(struct memory *m, pid_t vmm)
{
	struct stat status = { 0 };
	char path[64];
	int fd = open_ram(vmm);

	*m = (struct memory){ .vmm = vmm, .pagemap = -1 };
	if (fd < 0 || fstat(fd, &status))
		return wrong("the VMM has no memory file", ENOENT);
	m->pages = (uint64_t)status.st_size / PAGE;
	m->ram = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	m->copy = malloc((size_t)status.st_size);
	m->hva = find_mapping(vmm, (uint64_t)status.st_size);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", vmm);
	m->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (m->ram == MAP_FAILED || !m->copy || m->pagemap < 0)
		return wrong("it cannot be mapped", errno);
	return m->hva ? 0 : wrong("the VMM does not have it in one piece", ENOENT);
}

void memory_close(struct memory *m)
{
	if (m->ram && m->ram != MAP_FAILED)
		munmap((void *)(uintptr_t)m->ram, m->pages * PAGE);
	if (m->pagemap >= 0)
		close(m->pagemap);
	free(m->copy);
}

static int clear(pid_t vmm)
{
	char path[64];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "/proc/%d/clear_refs", vmm);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "4", 1) != 1)
		ret = wrong("soft-dirty bits cannot be cleared", errno);
	if (fd >= 0)
		close(fd);
	return ret;
}

/* A thread's state is the letter behind its name, which is in parentheses. */
static bool thread_stopped(pid_t vmm, const char *thread)
{
	char path[320], text[512] = "";
	const char *state;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", vmm, thread);
	file = fopen(path, "r");
	if (!file)
		return errno == ENOENT; /* it has ended */
	if (!fgets(text, sizeof(text), file))
		text[0] = 0;
	fclose(file);
	state = strrchr(text, ')');
	return !state || state[2] == 'T';
}

static bool stopped(pid_t vmm)
{
	bool all = true;
	struct dirent *entry;
	char path[64];
	DIR *list;

	snprintf(path, sizeof(path), "/proc/%d/task", vmm);
	list = opendir(path);
	while (list && all && (entry = readdir(list)))
		all = entry->d_name[0] == '.' || thread_stopped(vmm, entry->d_name);
	if (list)
		closedir(list);
	return list && all;
}

static int hold(pid_t vmm)
{
	time_t end = time(NULL) + PATIENCE;

	if (kill(vmm, SIGSTOP))
		return wrong("the VMM is gone", errno);
	while (!stopped(vmm)) {
		if (time(NULL) > end)
			return wrong("the VMM does not stop", ETIMEDOUT);
		usleep(1000);
	}
	return 0;
}

static int read_pagemap(struct memory *m, uint64_t *bitmap)
{
	uint64_t words[4096];

	for (uint64_t page = 0; page < m->pages;) {
		uint64_t count = m->pages - page < 4096 ? m->pages - page : 4096;
		ssize_t got = pread(m->pagemap, words, count * 8, (off_t)((m->hva / PAGE + page) * 8));

		if (got <= 0)
			return wrong("the page map cannot be read", got ? errno : EIO);
		for (uint64_t i = 0; i < (uint64_t)got / 8; i++, page++)
			if (words[i] & SOFT_DIRTY)
				bitmap[page / 64] |= UINT64_C(1) << page % 64;
	}
	return 0;
}

int memory_written(struct memory *m, uint64_t *bitmap)
{
	int ret = hold(m->vmm);

	ret = ret ? ret : read_pagemap(m, bitmap);
	ret = ret ? ret : clear(m->vmm);
	kill(m->vmm, SIGCONT);
	return ret;
}

/* A kernel without soft-dirty bits takes the request to clear them all the same. */
static bool kernel_has_soft_dirty(void)
{
	static _Alignas(4096) volatile char page[4096];
	uint64_t before = SOFT_DIRTY, after = 0;
	off_t at = (off_t)((uintptr_t)page / PAGE * 8);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	bool read;

	page[0]++;
	read = fd >= 0 && !clear(getpid()) && pread(fd, &before, 8, at) == 8;
	page[0]++;
	read = read && pread(fd, &after, 8, at) == 8;
	if (fd >= 0)
		close(fd);
	return read && !(before & SOFT_DIRTY) && (after & SOFT_DIRTY);
}

int memory_follow(struct memory *m)
{
	if (!kernel_has_soft_dirty())
		return wrong("this kernel has no soft-dirty bits (CONFIG_MEM_SOFT_DIRTY)", ENOTSUP);
	return clear(m->vmm);
}

void memory_copy(struct memory *m, const uint64_t *bitmap)
{
	for (uint64_t page = 0; page < m->pages; page++)
		if (bitmap[page / 64] >> page % 64 & 1)
			memcpy(m->copy + page * PAGE, m->ram + page * PAGE, PAGE);
}

uint64_t memory_differing(const struct memory *m)
{
	uint64_t pages = 0;

	for (uint64_t page = 0; page < m->pages; page++)
		pages += memcmp(m->copy + page * PAGE, m->ram + page * PAGE, PAGE) != 0;
	return pages;
}
