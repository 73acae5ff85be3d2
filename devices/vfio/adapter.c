/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device kind "vfio": callbacks of the server onto the function's file, and a thread for its
 * page requests.
 */
#include "devices/vfio/vfio.h"
#include "devices/options.h"
#include "devices/thread.h"

#include <errno.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* In a file of the kernel's, registers take accesses of their own width only. */
static size_t natural(uint64_t offset, size_t length)
{
	size_t width = 8;

	while (width > length || offset & (width - 1))
		width >>= 1;
	return width;
}

static int read_bar(void *opaque, unsigned int bar, uint64_t offset, void *data, size_t length)
{
	const struct vfio_device *d = opaque;
	uint8_t *to = data;

	if (d->fd < 0)
		return -ENODEV;
	while (length) {
		size_t now = natural(offset, length);

		if (pread(d->fd, to, now, (off_t)(d->bars[bar].offset + offset)) != (ssize_t)now)
			return -EIO;
		to += now;
		offset += now;
		length -= now;
	}
	return 0;
}

static int write_bar(void *opaque, unsigned int bar, uint64_t offset, const void *data,
		     size_t length)
{
	const struct vfio_device *d = opaque;
	const uint8_t *from = data;

	if (d->fd < 0)
		return -ENODEV;
	while (length) {
		size_t now = natural(offset, length);

		if (pwrite(d->fd, from, now, (off_t)(d->bars[bar].offset + offset)) != (ssize_t)now)
			return -EIO;
		from += now;
		offset += now;
		length -= now;
	}
	return 0;
}

static void set_command(const struct vfio_device *d, bool memory, bool master, bool line_off)
{
	uint16_t command = 0;
	off_t at = (off_t)(d->config_offset + 4);

	if (pread(d->fd, &command, sizeof(command), at) != sizeof(command))
		return;
	command = (uint16_t)((command & ~0x407u) | (memory && d->io ? 1u : 0u) | (memory ? 2u : 0u) |
			     (master ? 4u : 0u) | (line_off ? 0x400u : 0u));
	(void)!pwrite(d->fd, &command, sizeof(command), at);
}

static void features_changed(void *opaque, uint32_t features)
{
	struct vfio_device *d = opaque;

	if (d->fd < 0)
		return;
	/* Memory decoding stays on: the BARs are read through the file whether the guest decodes
	 * them or not. */
	set_command(d, true, features & SERVER_FEATURE_BUS_MASTER, features & SERVER_FEATURE_INTX_OFF);
	viommu_endpoint_set_features(viommu_passthrough_endpoint(d->passthrough),
				     device_endpoint_features(features));
}

/* VFIO_DEVICE_SET_IRQS with `count` descriptors from `start`; count 0 switches them off. */
static int set_irqs(const struct vfio_device *d, uint32_t index, unsigned int start,
		    unsigned int count, const int *fds)
{
	size_t size = sizeof(struct vfio_irq_set) + count * sizeof(int32_t);
	struct vfio_irq_set *set = calloc(1, size);
	int result;

	if (!set)
		return -ENOMEM;
	set->argsz = (uint32_t)size;
	set->flags = VFIO_IRQ_SET_ACTION_TRIGGER |
		     (count ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE);
	set->index = index;
	set->start = start;
	set->count = count;
	for (unsigned int i = 0; i < count; i++)
		memcpy(set->data + i * sizeof(int32_t), &fds[i], sizeof(int32_t));
	result = ioctl(d->fd, VFIO_DEVICE_SET_IRQS, set) ? -errno : 0;
	free(set);
	return result;
}

/* The kernel enables MSI-X with the first call and signals the client's descriptors itself, without
 * us in the way. */
static void vectors(void *opaque, unsigned int start, unsigned int count, const int *fds)
{
	const struct vfio_device *d = opaque;
	bool any = false;

	if (d->fd < 0)
		return;
	for (unsigned int i = 0; i < count; i++)
		any |= fds[i] >= 0;
	if (!any && start == 0 && count == d->function.msix_vectors)
		set_irqs(d, VFIO_PCI_MSIX_IRQ_INDEX, 0, 0, NULL);
	else
		set_irqs(d, VFIO_PCI_MSIX_IRQ_INDEX, start, count, fds);
}

/*
 * The line and MSI: the kernel's own terms, and its own answers. It keeps the line masked from when it signals it until the
 * client, or a descriptor the client gave for it, unmasks it.
 */
static int interrupts(void *opaque, uint32_t index, uint32_t flags, unsigned int start, unsigned int count,
		      const int *fds, const uint8_t *values)
{
	const struct vfio_device *d = opaque;
	size_t width = fds ? sizeof(int32_t) : values ? 1 : 0, size = sizeof(struct vfio_irq_set) + count * width;
	struct vfio_irq_set *set;
	int result;

	if (d->fd < 0)
		return -ENODEV;
	set = calloc(1, size);
	if (!set)
		return -ENOMEM;
	*set = (struct vfio_irq_set){
		.argsz = (uint32_t)size, .flags = flags, .index = index, .start = start, .count = count,
	};
	if (width)
		memcpy(set->data, fds ? (const void *)fds : values, count * width);
	result = ioctl(d->fd, VFIO_DEVICE_SET_IRQS, set) ? -errno : 0;
	free(set);
	return result;
}

static int map_bar(void *opaque, unsigned int bar, int *fd, uint64_t *offset)
{
	const struct vfio_device *d = opaque;

	if (d->fd < 0 || !d->map || !d->bars[bar].mappable)
		return -ENOENT;
	*fd = d->fd;
	*offset = d->bars[bar].offset;
	return 0;
}

static void quiet(struct vfio_device *d)
{
	set_command(d, true, false, false);
	/* At most one of them is on. */
	if (d->function.msix_vectors)
		set_irqs(d, VFIO_PCI_MSIX_IRQ_INDEX, 0, 0, NULL);
	if (d->function.msi_vectors)
		set_irqs(d, VFIO_PCI_MSI_IRQ_INDEX, 0, 0, NULL);
	if (d->function.intx)
		set_irqs(d, VFIO_PCI_INTX_IRQ_INDEX, 0, 0, NULL);
	if (d->reset)
		viommu_passthrough_reset(d->passthrough);
	vfio_migration_forget(&d->migration);
	set_command(d, true, false, false);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void tell_client(struct vfio_device *d, enum server_notice notice, const char *what)
{
	bool told;

	pthread_mutex_lock(&d->server_lock);
	told = d->server && !server_endpoint_notice(d->server, notice);
	pthread_mutex_unlock(&d->server_lock);
	fprintf(stderr, "vfio %s: %s; %s\n", d->address, what,
		told ? "the VMM was told" : "no VMM wants to know: end the daemon to let go of it");
}

static void take_count(int fd)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
}

static void *work(void *opaque)
{
	struct vfio_device *d = opaque;
	struct pollfd polled[] = {
		{ .fd = d->wake_fd, .events = POLLIN },
		{ .fd = d->error_fd, .events = POLLIN },
		{ .fd = d->leave_fd, .events = POLLIN },
		{ .fd = viommu_passthrough_fault_fd(d->passthrough), .events = POLLIN },
	};

	while (!(polled[0].revents & POLLIN)) {
		int wait = viommu_passthrough_work(d->passthrough, now_ms());

		if (poll(polled, 4, wait) < 0)
			continue;
		if (polled[1].revents & POLLIN) {
			take_count(d->error_fd);
			tell_client(d, SERVER_NOTICE_ERROR, "the host reports an error of it");
		}
		if (polled[2].revents & POLLIN) {
			take_count(d->leave_fd);
			d->leaving = true;
			tell_client(d, SERVER_NOTICE_LEAVE, "the host wants it back");
		}
	}
	return NULL;
}

static int start_worker(struct vfio_device *d)
{
	d->wake_fd = eventfd(0, EFD_CLOEXEC);
	d->error_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	d->leave_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->wake_fd < 0 || d->error_fd < 0 || d->leave_fd < 0)
		return -errno;
	/* A function without error reporting has no such interrupt: nothing to hear then. */
	set_irqs(d, VFIO_PCI_ERR_IRQ_INDEX, 0, 1, &d->error_fd);
	set_irqs(d, VFIO_PCI_REQ_IRQ_INDEX, 0, 1, &d->leave_fd);
	d->worker_started = !device_thread_create(&d->worker, "vfio", work, d);
	return d->worker_started ? 0 : -EAGAIN;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void stop_worker(struct vfio_device *d)
{
	static const uint64_t one = 1;

	if (d->worker_started) {
		(void)!write(d->wake_fd, &one, sizeof(one));
		pthread_join(d->worker, NULL);
	}
	d->worker_started = false;
	close_fd(&d->wake_fd);
	close_fd(&d->error_fd);
	close_fd(&d->leave_fd);
}

/* Let go of the function: the host has it back when this returns. What the guest still does to it fails. */
static void release(struct vfio_device *d)
{
	stop_worker(d);
	if (d->passthrough) {
		quiet(d);
		if (d->tracker)
			viommu_tracker_remove_device(d->tracker, d->tracked);
		d->tracker = NULL;
		viommu_passthrough_destroy(d->passthrough);
	}
	d->passthrough = NULL;
	vfio_close(d);
}

/* Also when the client has gone: the moment to give back what the host wants back. */
static void reset(void *opaque)
{
	struct vfio_device *d = opaque;

	if (d->fd >= 0 && d->leaving && !server_endpoint_connected(d->server)) {
		release(d);
		fprintf(stderr, "vfio %s: given back to the host\n", d->address);
	} else if (d->fd >= 0) {
		quiet(d);
	}
}

static void attach(void *opaque, struct server_endpoint *server)
{
	struct vfio_device *d = opaque;

	pthread_mutex_lock(&d->server_lock);
	d->server = server;
	pthread_mutex_unlock(&d->server_lock);
}

static void detach(void *opaque)
{
	attach(opaque, NULL);
}

static int stop(void *opaque)
{
	struct vfio_device *d = opaque;

	return d->fd < 0 ? -ENODEV : vfio_migration_stop(&d->migration);
}

static void start(void *opaque)
{
	struct vfio_device *d = opaque;
	int result = d->fd < 0 ? 0 : vfio_migration_start(&d->migration);

	if (result)
		tell_client(d, SERVER_NOTICE_ERROR, "it does not run on");
}

static int save(void *opaque, struct viommu_stream_writer *writer)
{
	struct vfio_device *d = opaque;

	int result = d->fd < 0 ? -ENODEV : vfio_migration_save(&d->migration, writer);

	if (result == -EFBIG)
		fprintf(stderr, "vfio %s: its state is larger than state-limit=%zu MiB; allowed is 1..%d\n", d->address,
			d->migration.limit >> 20, VFIO_STATE_LIMIT_MOST);
	return result;
}

static int load(void *opaque, struct viommu_stream_reader *reader, char *message, size_t length)
{
	struct vfio_device *d = opaque;

	return d->fd < 0 ? -ENODEV : vfio_migration_load(&d->migration, reader, message, length);
}

static int pieces(void *opaque, bool on)
{
	struct vfio_device *d = opaque;

	return d->fd < 0 ? -ENODEV : vfio_migration_pieces(&d->migration, on);
}

static int read_piece(void *opaque, void *data, size_t length)
{
	struct vfio_device *d = opaque;

	return d->fd < 0 ? -ENODEV : vfio_migration_read_piece(&d->migration, data, length);
}

static int write_piece(void *opaque, const void *data, size_t length)
{
	struct vfio_device *d = opaque;

	return d->fd < 0 ? -ENODEV : vfio_migration_write_piece(&d->migration, data, length);
}

#define ALWAYS                                                                                     \
	.attach = attach, .detach = detach, .read = read_bar, .write = write_bar,                  \
	.features = features_changed, .reset = reset, .vectors = vectors, .interrupts = interrupts, \
	.map = map_bar

/* By what the function can do of VFIO's migration, version 2. */
static const struct server_device_ops ops = { ALWAYS };
static const struct server_device_ops state_ops = {
	ALWAYS, .stop = stop, .start = start, .save = save, .load = load,
	.pieces = pieces, .read_piece = read_piece, .write_piece = write_piece,
};

static const struct server_device_ops *choose_ops(struct vfio_device *d)
{
	size_t limit = d->migration.limit;

	vfio_migration_init(&d->migration, d->device);
	if (limit)
		d->migration.limit = limit;
	return vfio_migration_possible(&d->migration) ? &state_ops : &ops;
}

static int track(void *opaque, struct viommu_tracker *tracker, const struct viommu_device_info *info,
		 uint32_t *index)
{
	struct vfio_device *d = opaque;
	int result = viommu_tracker_add_passthrough(tracker, d->passthrough, info, index);

	if (!result) {
		d->tracker = tracker;
		d->tracked = *index;
	}
	return result;
}

static void log_line(void *opaque, const char *text)
{
	const struct vfio_device *d = opaque;

	fprintf(stderr, "vfio %s: %s\n", d->address, text);
}

static const struct viommu_passthrough_ops passthrough_ops = {
	.size = sizeof(passthrough_ops),
	.log = log_line,
};

static void free_device(struct vfio_device *d)
{
	release(d);
	pthread_mutex_destroy(&d->server_lock);
	free(d);
}

static const struct device_option options[] = {
	{ "host", "DDDD:BB:DD.F or UUID", "the physical function, bound to vfio-pci, or a mediated device", "" },
	{ "backend", "iommufd|type1", "how the host's IOMMU is driven", "iommufd" },
	{ "map", "on|off", "let the VMM map the BARs itself", "on" },
	{ "state-limit", "1..65536", "MiB of its state that \"ctl save\" and \"ctl load\" hold in memory", "1024" },
	{ NULL, NULL, NULL, NULL },
};

static int bad(const struct device_setting *s, const char *allowed, char *message, size_t length)
{
	snprintf(message, length, "%s=%s: allowed is %s", s->name, s->value, allowed);
	return -EINVAL;
}

static int parse(struct vfio_device *d, const char **backend, const struct device_setting *settings,
		 unsigned int count, char *message, size_t length)
{
	for (unsigned int i = 0; i < count; i++) {
		const struct device_setting *s = &settings[i];

		if (!strcmp(s->name, "host")) {
			if (strlen(s->value) >= sizeof(d->address) || strchr(s->value, '/'))
				return bad(s, options[0].allowed, message, length);
			strcpy(d->address, s->value);
		} else if (!strcmp(s->name, "backend")) {
			if (strcmp(s->value, "iommufd") && strcmp(s->value, "type1"))
				return bad(s, options[1].allowed, message, length);
			*backend = s->value;
		} else if (!strcmp(s->name, "map")) {
			if (strcmp(s->value, "on") && strcmp(s->value, "off"))
				return bad(s, options[2].allowed, message, length);
			d->map = !strcmp(s->value, "on");
		} else if (!strcmp(s->name, "state-limit")) {
			char *end;
			unsigned long mib = strtoul(s->value, &end, 10);

			if (s->value[0] < '0' || s->value[0] > '9' || *end || !mib || mib > VFIO_STATE_LIMIT_MOST)
				return bad(s, options[3].allowed, message, length);
			d->migration.limit = mib << 20;
		} else {
			snprintf(message, length,
				 "vfio has no option %s; allowed are host, backend, map, state-limit", s->name);
			return -ENOENT;
		}
	}
	if (!d->address[0]) {
		snprintf(message, length,
			 "host=DDDD:BB:DD.F (or a mediated device's UUID) is missing: the physical function");
		return -EINVAL;
	}
	return 0;
}

static int create(struct viommu_unit *unit, uint16_t rid, const struct device_setting *settings,
		  unsigned int count, struct device *device, char *message, size_t length)
{
	struct vfio_device *d = calloc(1, sizeof(*d));
	const char *backend = "iommufd";
	int result;

	if (!d)
		return -ENOMEM;
	d->host_fd = d->device_fd = d->fd = d->wake_fd = d->error_fd = d->leave_fd = -1;
	d->migration.fd = -1;
	pthread_mutex_init(&d->server_lock, NULL);
	d->map = true;
	result = parse(d, &backend, settings, count, message, length);
	result = result ? result : vfio_open(d, backend, message, length);
	result = result ? result : vfio_discover(d, message, length);
	result = result ? result
			: viommu_passthrough_create(unit, rid, d->device, NULL, &passthrough_ops, d,
						    &d->passthrough, message, length);
	result = result ? result : start_worker(d);
	if (result) {
		free_device(d);
		return result;
	}
	*device = (struct device){
		.function = d->function,
		.ops = choose_ops(d),
		.opaque = d,
		.endpoint = viommu_passthrough_endpoint(d->passthrough),
		.track = track,
	};
	return 0;
}

static void destroy(struct device *device)
{
	free_device(device->opaque);
}

static void statistics(const struct device *device,
		       void (*put)(void *opaque, const char *name, uint64_t value), void *opaque)
{
	const struct vfio_device *d = device->opaque;
	struct viommu_passthrough_statistics s = { .size = sizeof(s) };

	if (!d->passthrough || viommu_passthrough_statistics(d->passthrough, &s))
		return;
	put(opaque, "bindings", s.bindings);
	put(opaque, "binds", s.binds);
	put(opaque, "replaces", s.replaces);
	put(opaque, "unbinds", s.unbinds);
	put(opaque, "refused", s.refused);
	put(opaque, "page_requests", s.page_requests);
	put(opaque, "page_answers", s.page_answers);
	put(opaque, "page_rejects", s.page_rejects);
	put(opaque, "tables", s.tables);
	put(opaque, "invalidations", s.invalidations);
	put(opaque, "invalidate_calls", s.invalidate_calls);
	put(opaque, "mappings", s.mappings);
	put(opaque, "maps", s.maps);
	put(opaque, "unmaps", s.unmaps);
}

const struct device_kind device_vfio = {
	.name = "vfio",
	.help = "a physical PCI function, through Linux VFIO",
	.options = options,
	.create = create,
	.destroy = destroy,
	.statistics = statistics,
};
