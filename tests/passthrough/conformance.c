/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One script of host calls, against the kernel and against the model, compared call by call. Where they differ the model is wrong.
 *
 * With a device (an address as 0000:00:06.0, bound to vfio-pci, as argument or as vfio=... on the kernel's command line, which is how the
 * test guest passes it) the script runs on /dev/iommu and on /dev/vfio/vfio and their models. Without one it runs on the models alone
 * and against the errnos written here, which is what a machine without an IOMMU can check.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <viommu/host.h>

enum { STEPS = 200, RAM = 64 * 4096, PASID = 5 };

struct step {
	const char *name;
	int result;
};

struct run {
	struct step steps[STEPS];
	unsigned int count;
	struct viommu_host *host;
	struct viommu_host_device *device;
	uint8_t *ram;
};

static void step(struct run *run, const char *name, int result)
{
	if (run->count < STEPS)
		run->steps[run->count++] = (struct step){ name, result };
}

#define RW (VIOMMU_READ | VIOMMU_WRITE)

static void maps(struct run *run)
{
	struct viommu_host_space *space = NULL;

	step(run, "space", viommu_host_space_create(run->device, 0, &space));
	if (!space)
		return;
	step(run, "map", viommu_host_map(space, 0x1000, run->ram, 0x3000, RW));
	step(run, "map over it", viommu_host_map(space, 0x2000, run->ram, 0x1000, RW));
	step(run, "map read-only", viommu_host_map(space, 0x10000, run->ram, 0x1000, VIOMMU_READ));
	step(run, "unmap a part", viommu_host_unmap(space, 0x1000, 0x1000));
	step(run, "unmap nothing", viommu_host_unmap(space, 0x100000, 0x1000));
	step(run, "attach", viommu_host_attach(run->device, VIOMMU_NO_PASID, viommu_host_space_table(space)));
	step(run, "attach again", viommu_host_attach(run->device, VIOMMU_NO_PASID,
						    viommu_host_space_table(space)));
	step(run, "map while attached", viommu_host_map(space, 0x200000, run->ram, 0x2000, RW));
	step(run, "destroy while attached", viommu_host_space_destroy(space));
	step(run, "unmap all", viommu_host_unmap(space, 0, 0x40000000));
	step(run, "detach", viommu_host_detach(run->device, VIOMMU_NO_PASID));
	step(run, "detach again", viommu_host_detach(run->device, VIOMMU_NO_PASID));
	step(run, "destroy", viommu_host_space_destroy(space));
}

static void interrupt_range(struct run *run)
{
	struct viommu_host_space *space = NULL;

	step(run, "space", viommu_host_space_create(run->device, 0, &space));
	if (!space)
		return;
	viommu_host_attach(run->device, VIOMMU_NO_PASID, viommu_host_space_table(space));
	step(run, "map the interrupt range", viommu_host_map(space, 0xfee00000, run->ram, 0x1000, RW));
	viommu_host_detach(run->device, VIOMMU_NO_PASID);
	step(run, "destroy", viommu_host_space_destroy(space));
}

static void pasid_flags(struct run *run)
{
	struct viommu_host_space *plain = NULL, *capable = NULL;

	step(run, "space", viommu_host_space_create(run->device, 0, &plain));
	step(run, "space for PASIDs", viommu_host_space_create(run->device, VIOMMU_SPACE_PASID, &capable));
	if (!plain || !capable)
		return;
	step(run, "PASID to a space without the flag",
	     viommu_host_attach(run->device, PASID, viommu_host_space_table(plain)));
	step(run, "RID to a space without the flag",
	     viommu_host_attach(run->device, VIOMMU_NO_PASID, viommu_host_space_table(plain)));
	step(run, "PASID beside it",
	     viommu_host_attach(run->device, PASID, viommu_host_space_table(capable)));
	step(run, "RID replaced by one with the flag",
	     viommu_host_attach(run->device, VIOMMU_NO_PASID, viommu_host_space_table(capable)));
	step(run, "PASID", viommu_host_attach(run->device, PASID, viommu_host_space_table(capable)));
	step(run, "PASID again", viommu_host_attach(run->device, PASID, viommu_host_space_table(capable)));
	step(run, "RID to the one without, under a PASID",
	     viommu_host_attach(run->device, VIOMMU_NO_PASID, viommu_host_space_table(plain)));
	step(run, "PASID 0", viommu_host_attach(run->device, 0, viommu_host_space_table(capable)));
	step(run, "PASID to nothing", viommu_host_attach(run->device, PASID + 1, 0xfffff));
	step(run, "destroy under a PASID", viommu_host_space_destroy(capable));
	step(run, "detach the PASID", viommu_host_detach(run->device, PASID));
	step(run, "detach it again", viommu_host_detach(run->device, PASID));
	step(run, "detach", viommu_host_detach(run->device, VIOMMU_NO_PASID));
	step(run, "destroy", viommu_host_space_destroy(plain));
	step(run, "destroy", viommu_host_space_destroy(capable));
}

static void nested(struct run *run)
{
	struct viommu_host_first_stage first = {
		.size = sizeof(first), .root = 0x4000, .width = 48, .pasid = true,
	};
	struct viommu_host_invalidation entries[3] = { { .pages = UINT64_MAX } };
	struct viommu_host_space *plain = NULL, *parent = NULL;
	uint32_t table = 0, unflagged = 0, done = 99;

	step(run, "space", viommu_host_space_create(run->device, VIOMMU_SPACE_PASID, &plain));
	step(run, "nest parent", viommu_host_space_create(run->device, VIOMMU_SPACE_NEST_PARENT |
							  VIOMMU_SPACE_PASID, &parent));
	if (!plain || !parent)
		return;
	step(run, "map", viommu_host_map(parent, 0, run->ram, RAM, RW));
	step(run, "map read-only in a parent",
	     viommu_host_map(parent, 0x1000000, run->ram, 0x1000, VIOMMU_READ));
	step(run, "nest on what is no parent", viommu_host_nested_create(run->device, plain, &first, &table));
	first.faults = 0xfffff;
	step(run, "nest with no such queue", viommu_host_nested_create(run->device, parent, &first, &table));
	first.faults = 0;
	step(run, "nest", viommu_host_nested_create(run->device, parent, &first, &table));
	first.pasid = false;
	step(run, "nest without the flag",
	     viommu_host_nested_create(run->device, parent, &first, &unflagged));
	step(run, "destroy a parent", viommu_host_space_destroy(parent));
	step(run, "RID to the nested", viommu_host_attach(run->device, VIOMMU_NO_PASID, table));
	step(run, "PASID to the nested", viommu_host_attach(run->device, PASID, table));
	step(run, "PASID to the one without the flag", viommu_host_attach(run->device, PASID + 1, unflagged));
	step(run, "destroy it attached", viommu_host_nested_destroy(run->host, table));
	step(run, "invalidate all", viommu_host_invalidate(run->host, table, entries, 1, &done));
	step(run, "how many", (int)done);
	entries[1] = (struct viommu_host_invalidation){ .address = 0x1000, .pages = 2, .leaf_only = 1 };
	entries[2] = (struct viommu_host_invalidation){ .address = 0x1001, .pages = 1 };
	step(run, "invalidate an odd address", viommu_host_invalidate(run->host, table, entries, 3, &done));
	step(run, "how many", (int)done);
	entries[0].leaf_only = 2;
	step(run, "invalidate with odd flags", viommu_host_invalidate(run->host, table, entries, 1, &done));
	step(run, "how many", (int)done);
	entries[0] = (struct viommu_host_invalidation){ .address = 0x1000, .pages = UINT64_MAX };
	step(run, "invalidate all from 0x1000", viommu_host_invalidate(run->host, table, entries, 1, &done));
	step(run, "invalidate nothing", viommu_host_invalidate(run->host, table, entries, 0, &done));
	step(run, "invalidate a space",
	     viommu_host_invalidate(run->host, viommu_host_space_table(parent), entries, 1, &done));
	step(run, "replace the PASID by pass-through",
	     viommu_host_attach(run->device, PASID, viommu_host_space_table(parent)));
	step(run, "detach the PASID", viommu_host_detach(run->device, PASID));
	step(run, "detach", viommu_host_detach(run->device, VIOMMU_NO_PASID));
	step(run, "destroy the nested", viommu_host_nested_destroy(run->host, table));
	step(run, "destroy it again", viommu_host_nested_destroy(run->host, table));
	step(run, "destroy the other", viommu_host_nested_destroy(run->host, unflagged));
	step(run, "destroy the parent", viommu_host_space_destroy(parent));
	step(run, "destroy the space", viommu_host_space_destroy(plain));
}

static void dirty(struct run *run)
{
	struct viommu_host_space *plain = NULL, *space = NULL;
	uint64_t bitmap[4] = { 0 };

	step(run, "space", viommu_host_space_create(run->device, 0, &plain));
	step(run, "space that tracks", viommu_host_space_create(run->device, VIOMMU_SPACE_DIRTY_TRACKING,
								&space));
	if (plain)
		step(run, "track in one that does not", viommu_host_dirty_start(plain));
	if (space) {
		step(run, "map", viommu_host_map(space, 0x100000, run->ram, RAM, RW));
		step(run, "attach", viommu_host_attach(run->device, VIOMMU_NO_PASID,
						      viommu_host_space_table(space)));
		step(run, "start", viommu_host_dirty_start(space));
		step(run, "query", viommu_host_dirty_query(space, 0x100000, RAM, bitmap, false));
		step(run, "bits", (int)(bitmap[0] | bitmap[1] | bitmap[2] | bitmap[3]) != 0);
		step(run, "query and keep", viommu_host_dirty_query(space, 0x100000, RAM, bitmap, true));
		step(run, "stop", viommu_host_dirty_stop(space));
		step(run, "unmap with dirt", viommu_host_unmap_dirty(space, 0x100000, RAM, bitmap));
		step(run, "detach", viommu_host_detach(run->device, VIOMMU_NO_PASID));
		step(run, "destroy", viommu_host_space_destroy(space));
	}
	if (plain)
		step(run, "destroy", viommu_host_space_destroy(plain));
}

static void faults(struct run *run)
{
	struct viommu_host_first_stage first = {
		.size = sizeof(first), .root = 0x4000, .width = 48, .pasid = true,
	};
	struct viommu_host_fault requests[64];
	struct viommu_host_space *parent = NULL;
	uint32_t queue = 0, table = 0;
	int fd = -1;

	step(run, "queue", viommu_host_faults_create(run->host, &queue, &fd));
	step(run, "nest parent", viommu_host_space_create(run->device, VIOMMU_SPACE_NEST_PARENT |
							  VIOMMU_SPACE_PASID, &parent));
	if (!parent || fd < 0)
		return;
	step(run, "read nothing", viommu_host_faults_read(run->host, fd, requests, 64));
	step(run, "answer nothing", viommu_host_faults_answer(run->host, fd, 1234, true));
	first.faults = queue;
	step(run, "nest with it", viommu_host_nested_create(run->device, parent, &first, &table));
	step(run, "destroy the table", viommu_host_nested_destroy(run->host, table));
	viommu_host_faults_destroy(run->host, queue, fd);
	step(run, "destroy the parent", viommu_host_space_destroy(parent));
}

static void container(struct run *run)
{
	struct viommu_host_space *space = NULL, *second = NULL;
	uint64_t bitmap[4] = { 0 };

	step(run, "space for PASIDs", viommu_host_space_create(run->device, VIOMMU_SPACE_PASID, &space));
	step(run, "space", viommu_host_space_create(run->device, VIOMMU_SPACE_DIRTY_TRACKING, &space));
	step(run, "another", viommu_host_space_create(run->device, 0, &second));
	if (!space)
		return;
	step(run, "map", viommu_host_map(space, 0x1000, run->ram, 0x3000, RW));
	step(run, "map over it", viommu_host_map(space, 0x2000, run->ram, 0x1000, RW));
	step(run, "map read-only", viommu_host_map(space, 0x10000, run->ram, 0x1000, VIOMMU_READ));
	step(run, "unmap a part", viommu_host_unmap(space, 0x1000, 0x1000));
	step(run, "unmap nothing", viommu_host_unmap(space, 0x100000, 0x1000));
	step(run, "query before start", viommu_host_dirty_query(space, 0x1000, 0x3000, bitmap, false));
	step(run, "start", viommu_host_dirty_start(space));
	step(run, "query", viommu_host_dirty_query(space, 0x1000, 0x3000, bitmap, false));
	step(run, "bits", (int)bitmap[0]);
	step(run, "query again", viommu_host_dirty_query(space, 0x1000, 0x3000, bitmap, false));
	step(run, "query a part", viommu_host_dirty_query(space, 0x1000, 0x1000, bitmap, false));
	bitmap[0] = 0;
	step(run, "unmap with dirt", viommu_host_unmap_dirty(space, 0x1000, 0x3000, bitmap));
	step(run, "bits", (int)bitmap[0]);
	step(run, "stop", viommu_host_dirty_stop(space));
	step(run, "unmap all", viommu_host_unmap(space, 0, 0x40000000));
	step(run, "attach a PASID", viommu_host_attach(run->device, PASID, viommu_host_space_table(space)));
	step(run, "destroy", viommu_host_space_destroy(space));
}

static void whole_script(struct run *run)
{
	maps(run);
	interrupt_range(run);
	pasid_flags(run);
	nested(run);
	dirty(run);
	faults(run);
}

/* ---- the two sides ---- */

static int run_model(struct run *run, const struct viommu_host_info *info, bool type1)
{
	struct viommu_host_model_options options = {
		.size = sizeof(options), .type1 = type1, .cap = info ? info->cap : 0,
		.ecap = info ? info->ecap : 0,
	};
	struct viommu_host_model_device device = {
		.size = sizeof(device), .pasid_bits = info ? info->pasid_bits : 20, .ats = true,
	};

	if (viommu_host_open_model(&options, &run->host) ||
	    viommu_host_device_open_model(run->host, &device, &run->device))
		return -1;
	(type1 ? container : whole_script)(run);
	viommu_host_device_close(run->device);
	viommu_host_close(run->host);
	return 0;
}

static int find_name(const char *folder, const char *prefix, char *name, size_t length)
{
	DIR *directory = opendir(folder);
	struct dirent *entry;
	int found = -ENOENT;

	while (directory && found && (entry = readdir(directory))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)))
			continue;
		snprintf(name, length, "%s", entry->d_name);
		found = 0;
	}
	if (directory)
		closedir(directory);
	return found;
}

static int run_iommufd(struct run *run, const char *address, struct viommu_host_info *info)
{
	char path[512], name[256];
	int iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC), fd, ret;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", address);
	if (iommufd < 0 || find_name(path, "vfio", name, sizeof(name))) {
		fprintf(stderr, "conformance: no /dev/iommu, or %s is not bound to vfio-pci\n", address);
		return -1;
	}
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ret = fd < 0 ? -errno : viommu_host_open_iommufd(iommufd, &run->host);
	if (!ret)
		ret = viommu_host_device_open_cdev(run->host, fd, &run->device);
	if (ret) {
		fprintf(stderr, "conformance: %s: %s\n", path, strerror(-ret));
		return -1;
	}
	info->size = sizeof(*info);
	viommu_host_device_info(run->device, info);
	printf("host: kind %d, CAP %#llx, ECAP %#llx, PASID bits %u, dirty tracking %d, nesting %d\n",
	       (int)info->kind, (unsigned long long)info->cap, (unsigned long long)info->ecap,
	       info->pasid_bits, info->dirty_tracking, info->nesting);
	whole_script(run);
	viommu_host_device_close(run->device);
	viommu_host_close(run->host);
	close(fd);
	close(iommufd);
	return 0;
}

static int run_type1(struct run *run, const char *address)
{
	char path[1024], link[512];
	int fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC), group, ret;
	ssize_t length;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", address);
	length = readlink(path, link, sizeof(link) - 1);
	if (fd < 0 || length < 0) {
		fprintf(stderr, "conformance: no /dev/vfio/vfio, or %s has no group\n", address);
		return -1;
	}
	link[length] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') ? strrchr(link, '/') + 1 : link);
	group = open(path, O_RDWR | O_CLOEXEC);
	ret = group < 0 ? -errno : viommu_host_open_type1(fd, &run->host);
	if (!ret)
		ret = viommu_host_device_open_group(run->host, group, address, &run->device);
	if (ret) {
		fprintf(stderr, "conformance: %s: %s\n", path, strerror(-ret));
		return -1;
	}
	container(run);
	viommu_host_device_close(run->device);
	viommu_host_close(run->host);
	close(group);
	close(fd);
	return 0;
}

static unsigned int compare(const char *name, const struct run *kernel, const struct run *model)
{
	unsigned int count = kernel->count > model->count ? kernel->count : model->count, differ = 0;

	for (unsigned int i = 0; i < count; i++) {
		const struct step *a = i < kernel->count ? &kernel->steps[i] : NULL;
		const struct step *b = i < model->count ? &model->steps[i] : NULL;
		bool same = a && b && a->result == b->result && !strcmp(a->name, b->name);

		printf("%s %3u %-40s kernel %4d model %4d%s\n", name, i, a ? a->name : b->name,
		       a ? a->result : -9999, b ? b->result : -9999, same ? "" : "  DIFFERS");
		differ += !same;
	}
	printf("%s: %u calls, %u differ\n", name, count, differ);
	return differ;
}

/* What Linux 7.2 answered on a full unit; kept here so that the model is held to it everywhere. */
static const int expected[] = {
#include "conformance.inc"
};

static unsigned int check_expected(const struct run *model)
{
	unsigned int count = sizeof(expected) / sizeof(expected[0]), differ = 0;

	for (unsigned int i = 0; i < model->count || i < count; i++) {
		int have = i < model->count ? model->steps[i].result : -9999;
		int want = i < count ? expected[i] : -9999;

		if (have != want) {
			printf("call %u, %s: %d, the kernel says %d\n", i,
			       i < model->count ? model->steps[i].name : "?", have, want);
			differ++;
		}
	}
	printf("model: %u calls, %u differ from what is on record\n", model->count, differ);
	return differ;
}

static bool from_command_line(char *address, size_t length)
{
	char line[4096] = { 0 }, *at;
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
	static struct run runs[2];
	struct run *kernel = &runs[0], *model = &runs[1];
	struct viommu_host_info info = { .size = sizeof(info) };
	char address[64] = "";
	unsigned int differ;

	kernel->ram = model->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (argc > 1)
		snprintf(address, sizeof(address), "%s", argv[1]);
	if (!address[0] && !from_command_line(address, sizeof(address))) {
		if (run_model(model, NULL, false))
			return 1;
		return check_expected(model) ? 1 : 0;
	}
	if (run_iommufd(kernel, address, &info) || run_model(model, &info, false))
		return 1;
	differ = compare("iommufd", kernel, model);
	for (unsigned int i = 0; i < kernel->count; i++)
		printf("%s%d,", i % 16 ? " " : "\nrecord: ", kernel->steps[i].result);
	printf("\n");
	kernel->count = model->count = 0;
	if (run_type1(kernel, address) || run_model(model, NULL, true))
		return 1;
	differ += compare("type1", kernel, model);
	return differ ? 1 : 0;
}
