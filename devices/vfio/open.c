/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a PCI address to an open VFIO device: through sysfs to the character device (iommufd) or the
 * group (type1).
 */
#include "devices/vfio/vfio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_LENGTH = 320 };

static int open_node(const char *path, int *fd, char *message, size_t length)
{
	*fd = open(path, O_RDWR | O_CLOEXEC);
	if (*fd >= 0)
		return 0;
	snprintf(message, length, "%s: %s", path, strerror(errno));
	return -errno;
}

/* A mediated device: a function that a driver of the host's plays, known by a UUID. */
static bool mediated(const struct vfio_device *d)
{
	return !strchr(d->address, ':');
}

/* Where sysfs has it, and `what` below. */
static void sysfs(const struct vfio_device *d, const char *what, char path[PATH_LENGTH])
{
	snprintf(path, PATH_LENGTH, "/sys/bus/%s/devices/%s%s", mediated(d) ? "mdev" : "pci", d->address, what);
}

/* The function must exist and belong to vfio-pci: else say how it gets there. A mediated device is VFIO's from its birth. */
static int check_driver(const struct vfio_device *d, const char *backend, char *message, size_t length)
{
	char path[PATH_LENGTH], target[PATH_LENGTH] = "";

	sysfs(d, "", path);
	if (access(path, F_OK)) {
		snprintf(message, length,
			 "host=%s: no such PCI function or mediated device (allowed is DDDD:BB:DD.F, as in %s, or a UUID, as in "
			 "%s)",
			 d->address, "/sys/bus/pci/devices", "/sys/bus/mdev/devices");
		return -ENOENT;
	}
	if (mediated(d) && strcmp(backend, "type1")) {
		snprintf(message, length, "host=%s: a mediated device is behind no IOMMU, which needs backend=type1",
			 d->address);
		return -EINVAL;
	}
	if (mediated(d))
		return 0;
	sysfs(d, "/driver", path);
	if (readlink(path, target, sizeof(target) - 1) < 0 || !strstr(target, "/vfio-pci")) {
		snprintf(
			message, length,
			"host=%s: it is not bound to vfio-pci (write \"vfio-pci\" to its driver_override in "
			"/sys, then its address to /sys/bus/pci/drivers_probe)",
			d->address);
		return -EINVAL;
	}
	return 0;
}

/* /sys/bus/pci/devices/ADDRESS/vfio-dev/vfioN names /dev/vfio/devices/vfioN. */
static int open_cdev(struct vfio_device *d, char *message, size_t length)
{
	char path[PATH_LENGTH];
	struct dirent *entry = NULL;
	DIR *directory;
	int result = -ENOENT;

	sysfs(d, "/vfio-dev", path);
	directory = opendir(path);
	while (directory && (entry = readdir(directory)) && strncmp(entry->d_name, "vfio", 4))
		;
	if (!entry) {
		snprintf(
			message, length,
			"host=%s: the kernel has no character device for it (CONFIG_VFIO_DEVICE_CDEV); "
			"backend=type1 does without",
			d->address);
	} else {
		snprintf(path, sizeof(path), "/dev/vfio/devices/%.200s", entry->d_name);
		result = open_node(path, &d->device_fd, message, length);
	}
	if (directory)
		closedir(directory);
	if (!result)
		result = open_node("/dev/iommu", &d->host_fd, message, length);
	if (result)
		return result;
	result = viommu_host_open_iommufd(d->host_fd, &d->host);
	if (!result)
		result = viommu_host_device_open_cdev(d->host, d->device_fd, &d->device);
	if (result)
		snprintf(message, length, "host=%s: iommufd does not take it: %s%s", d->address,
			 strerror(-result),
			 result == -EPERM
				 ? " (no interrupt remapping? iommufd.allow_unsafe_interrupts=1)"
				 : "");
	return result;
}

static int open_group(struct vfio_device *d, char *message, size_t length)
{
	char path[PATH_LENGTH], target[PATH_LENGTH] = "";
	const char *number;
	int result;

	sysfs(d, "/iommu_group", path);
	if (readlink(path, target, sizeof(target) - 1) < 0 || !(number = strrchr(target, '/'))) {
		snprintf(message, length, "host=%s: it is in no IOMMU group", d->address);
		return -ENOENT;
	}
	snprintf(path, sizeof(path), "/dev/vfio/%.20s", number + 1);
	result = open_node(path, &d->device_fd, message, length);
	if (!result)
		result = open_node("/dev/vfio/vfio", &d->host_fd, message, length);
	if (result)
		return result;
	result = viommu_host_open_type1(d->host_fd, &d->host);
	if (!result)
		result = viommu_host_device_open_group(d->host, d->device_fd, d->address,
						       &d->device);
	if (result)
		snprintf(message, length, "host=%s: its group cannot be used: %s", d->address,
			 strerror(-result));
	return result;
}

int vfio_open(struct vfio_device *d, const char *backend, char *message, size_t length)
{
	int result = check_driver(d, backend, message, length);

	if (result)
		return result;
	result = strcmp(backend, "type1") ? open_cdev(d, message, length)
					  : open_group(d, message, length);
	if (!result)
		d->fd = viommu_host_device_fd(d->device);
	return result;
}

void vfio_close(struct vfio_device *d)
{
	if (d->device)
		viommu_host_device_close(d->device);
	if (d->host)
		viommu_host_close(d->host);
	if (d->device_fd >= 0)
		close(d->device_fd);
	if (d->host_fd >= 0)
		close(d->host_fd);
	d->device = NULL;
	d->host = NULL;
	d->fd = d->device_fd = d->host_fd = -1;
}
