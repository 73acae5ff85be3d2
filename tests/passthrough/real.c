/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See real.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "real.h"

enum { DOORBELL = 0x18, SLOT = 0x100, DATA = 0x4000, FINISHED = 3 };

static uint64_t region(int fd, uint32_t index)
{
	struct {
		uint32_t argsz, flags, index, cap_offset;
		uint64_t size, offset;
	} info = { .argsz = sizeof(info), .index = index };

	if (ioctl(fd, _IO(';', 108), &info)) {
		perror("real device: region");
		exit(1);
	}
	return info.offset;
}

static uint32_t get(struct real *real, uint32_t offset)
{
	uint32_t value = 0;

	if (pread(viommu_host_device_fd(real->device), &value, 4, (off_t)(real->bar + offset)) != 4)
		perror("real device: read");
	return value;
}

static void put(struct real *real, uint32_t offset, uint32_t value)
{
	if (pwrite(viommu_host_device_fd(real->device), &value, 4, (off_t)(real->bar + offset)) != 4)
		perror("real device: write");
}

void real_on(struct real *real)
{
	int fd = viommu_host_device_fd(real->device);
	uint16_t command = 0x6; /* memory space, bus master */

	real->bar = region(fd, 0);
	real->config = region(fd, 7);
	if (pwrite(fd, &command, 2, (off_t)(real->config + 4)) != 2)
		perror("real device: command register");
}

uint64_t real_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void real_start(struct real *real, uint32_t operation, uint32_t pasid, uint64_t iova, uint32_t value)
{
	if (pasid != VIOMMU_NO_PASID)
		operation |= FLAG_PASID;
	put(real, DATA, value);
	put(real, SLOT, operation);
	put(real, SLOT + 4, pasid & VIOMMU_PASID_MAX);
	put(real, SLOT + 8, (uint32_t)iova);
	put(real, SLOT + 12, (uint32_t)(iova >> 32));
	put(real, SLOT + 16, 4);
	put(real, DOORBELL, 0);
}

int real_finish(struct real *real)
{
	uint64_t end = real_milliseconds() + 20000;
	uint32_t outcome;

	while (get(real, SLOT + 0x28) != FINISHED && real_milliseconds() < end)
		usleep(1000);
	outcome = get(real, SLOT + 0x2c);
	if (outcome)
		return -(int)outcome;
	return (int)(get(real, DATA) & 0xff);
}

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

int real_open(struct real *real, bool type1)
{
	char path[1024], name[256], link[512] = "";
	int ret;

	real->container = open(type1 ? "/dev/vfio/vfio" : "/dev/iommu", O_RDWR | O_CLOEXEC);
	if (real->container < 0)
		return -errno;
	if (type1) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", real->address);
		if (readlink(path, link, sizeof(link) - 1) < 0 || !strrchr(link, '/'))
			return -ENODEV;
		snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	} else {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", real->address);
		if (find_name(path, "vfio", name, sizeof(name)))
			return -ENODEV;
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s", name);
	}
	real->file = open(path, O_RDWR | O_CLOEXEC);
	if (real->file < 0)
		return -errno;
	ret = type1 ? viommu_host_open_type1(real->container, &real->host)
		    : viommu_host_open_iommufd(real->container, &real->host);
	if (ret)
		return ret;
	return type1 ? viommu_host_device_open_group(real->host, real->file, real->address,
						     &real->device)
		     : viommu_host_device_open_cdev(real->host, real->file, &real->device);
}

void real_close(struct real *real)
{
	viommu_host_device_close(real->device);
	viommu_host_close(real->host);
	close(real->file);
	close(real->container);
}

int real_dma(struct real *real, uint32_t operation, uint32_t pasid, uint64_t iova, uint32_t value)
{
	real_start(real, operation, pasid, iova, value);
	return real_finish(real);
}

const char *real_address(void)
{
	static char address[16];
	char line[4096] = "", *at;
	FILE *file = fopen("/proc/cmdline", "re");
	bool read = file && fgets(line, sizeof(line), file);

	if (file)
		fclose(file);
	at = read ? strstr(line, "vfio=") : NULL;
	if (!at)
		return NULL;
	snprintf(address, sizeof(address), "%.12s", at + 5);
	return address;
}
