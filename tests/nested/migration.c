/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of a physical function on a real kernel: devices/vfio/migration.c against VFIO's migration version 2 as Linux implements it,
 * with the kernel's own sample device "mtty" (two serial ports as a mediated device) as the hardware. Runs in the test guest.
 *
 *   nested-migration MDEV.ko MTTY.ko VIOMMU
 *
 * Once with the daemon's code alone, once through two daemons that serve a port each, as a VMM would do it.
 */
#include "devices/vfio/migration.h"

#include "daemon.h"
#include "migration_client.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

enum { SCRATCH = 7, PORTS = 2 }; /* a register of a 16550 that does nothing */

static const char *const names[] = {
	"83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
	"83b8f4f2-509f-382f-3c1e-e6bfe0fa1002",
};
static const char *modules[2];

struct port {
	int container, group;
	struct viommu_host *host;
	struct viommu_host_device *device;
	struct vfio_migration migration;
	off_t bar[PORTS], config;
};

static int load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret == -EEXIST ? 0 : ret;
}

static int tell(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
	close(fd);
	return ret;
}

static int make_devices(void **state)
{
	for (unsigned int i = 0; i < 2; i++) {
		int ret = load_module(modules[i]);

		if (ret) {
			fprintf(stderr, "%s: %s\n", modules[i], strerror(-ret));
			return -1;
		}
	}
	for (unsigned int i = 0; i < 2; i++)
		if (tell("/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/create", names[i])) {
			perror("mtty-2/create");
			return -1;
		}
	return 0;
}

static off_t region(int fd, uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	assert_int_equal(ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info), 0);
	return (off_t)info.offset;
}

static void open_port(struct port *port, const char *name)
{
	char path[320], target[320] = "";
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/iommu_group", name);
	assert_true(readlink(path, target, sizeof(target) - 1) > 0);
	snprintf(path, sizeof(path), "/dev/vfio/%.20s", strrchr(target, '/') + 1);
	port->group = open(path, O_RDWR | O_CLOEXEC);
	port->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	assert_true(port->group >= 0 && port->container >= 0);
	assert_int_equal(viommu_host_open_type1(port->container, &port->host), 0);
	assert_int_equal(viommu_host_device_open_group(port->host, port->group, name, &port->device), 0);
	vfio_migration_init(&port->migration, port->device);
	fd = viommu_host_device_fd(port->device);
	for (unsigned int i = 0; i < PORTS; i++)
		port->bar[i] = region(fd, i);
	port->config = region(fd, VFIO_PCI_CONFIG_REGION_INDEX);
}

static void close_port(struct port *port)
{
	vfio_migration_forget(&port->migration);
	viommu_host_device_close(port->device);
	viommu_host_close(port->host);
	close(port->group);
	close(port->container);
}

static void put(const struct port *port, unsigned int bar, uint8_t value)
{
	assert_int_equal(pwrite(viommu_host_device_fd(port->device), &value, 1, port->bar[bar] + SCRATCH), 1);
}

static uint8_t get(const struct port *port, unsigned int bar)
{
	uint8_t value = 0;

	assert_int_equal(pread(viommu_host_device_fd(port->device), &value, 1, port->bar[bar] + SCRATCH), 1);
	return value;
}

static uint32_t state_of(const struct port *port)
{
	uint32_t state = VIOMMU_HOST_ERROR;

	assert_int_equal(viommu_host_device_migration_query(port->device, &state), 0);
	return state;
}

/* The rest of a stopped device's state, as the section of a stream. */
static struct viommu_stream_reader *save(struct port *port, struct viommu_stream_writer **writer)
{
	struct viommu_stream_reader *reader;
	const void *data;
	size_t length;

	assert_int_equal(viommu_stream_writer_create(writer), 0);
	assert_int_equal(vfio_migration_save(&port->migration, *writer), 0);
	assert_int_equal(viommu_stream_finish(*writer, &data, &length), 0);
	assert_int_equal(viommu_stream_reader_create(data, length, &reader, NULL, 0), 0);
	return reader;
}

static void forget(struct viommu_stream_reader *reader, struct viommu_stream_writer *writer)
{
	viommu_stream_reader_destroy(reader);
	viommu_stream_writer_destroy(writer);
}

static int begin(void **state)
{
	struct port *ports = calloc(2, sizeof(*ports));

	for (unsigned int i = 0; i < 2; i++)
		open_port(&ports[i], names[i]);
	*state = ports;
	return 0;
}

static int end(void **state)
{
	struct port *ports = *state;

	for (unsigned int i = 0; i < 2; i++)
		close_port(&ports[i]);
	free(ports);
	return 0;
}

static void the_kernel_offers_both(void **state)
{
	struct port *ports = *state;

	assert_true(vfio_migration_possible(&ports[0].migration));
	assert_true(vfio_migration_early(&ports[0].migration));
	assert_int_equal(state_of(&ports[0]), VIOMMU_HOST_RUNNING);
}

static void state_moves_when_stopped(void **state)
{
	struct port *from = *state, *to = from + 1;
	struct viommu_stream_writer *writer;
	struct viommu_stream_reader *reader;
	char message[256] = "";

	put(from, 0, 0x5a);
	put(from, 1, 0xc3);
	put(to, 0, 0x11);
	assert_int_equal(vfio_migration_stop(&from->migration), 0);
	assert_int_equal(state_of(from), VIOMMU_HOST_STOPPED);
	reader = save(from, &writer);
	assert_int_equal(state_of(from), VIOMMU_HOST_STOPPED);
	assert_int_equal(vfio_migration_stop(&to->migration), 0);
	assert_int_equal(vfio_migration_load(&to->migration, reader, message, sizeof(message)), 0);
	assert_int_equal(state_of(to), VIOMMU_HOST_STOPPED);
	assert_int_equal(vfio_migration_start(&to->migration), 0);
	assert_int_equal(state_of(to), VIOMMU_HOST_RUNNING);
	assert_int_equal(get(to, 0), 0x5a);
	assert_int_equal(get(to, 1), 0xc3);
	assert_int_equal(vfio_migration_start(&from->migration), 0);
	assert_int_equal(get(from, 0), 0x5a);
	forget(reader, writer);
}

/* What is read early is written early; what changed since then is in the rest. */
static void state_moves_in_pre_copy(void **state)
{
	struct port *from = *state, *to = from + 1;
	struct viommu_stream_writer *writer;
	struct viommu_stream_reader *reader;
	char message[256] = "", early[4096];
	int length;

	put(from, 0, 1);
	assert_int_equal(vfio_migration_pieces(&from->migration, true), 0);
	assert_int_equal(state_of(from), VIOMMU_HOST_PRE_COPYING);
	length = vfio_migration_read_piece(&from->migration, early, sizeof(early));
	assert_true(length > 0);
	assert_int_equal(vfio_migration_read_piece(&from->migration, early + length, 16), 0);
	put(from, 0, 0x77); /* it runs */
	assert_int_equal(vfio_migration_stop(&to->migration), 0);
	assert_int_equal(vfio_migration_write_piece(&to->migration, early, (size_t)length), 0);
	assert_int_equal(state_of(to), VIOMMU_HOST_RESUMING);
	assert_int_equal(vfio_migration_stop(&from->migration), 0);
	assert_int_equal(state_of(from), VIOMMU_HOST_STOP_COPYING);
	reader = save(from, &writer);
	assert_int_equal(vfio_migration_load(&to->migration, reader, message, sizeof(message)), 0);
	assert_int_equal(vfio_migration_start(&to->migration), 0);
	assert_int_equal(get(to, 0), 0x77);
	assert_int_equal(vfio_migration_start(&from->migration), 0);
	forget(reader, writer);
	/* Begun and called off: it runs on. */
	assert_int_equal(vfio_migration_pieces(&from->migration, true), 0);
	assert_int_equal(vfio_migration_pieces(&from->migration, false), 0);
	assert_int_equal(state_of(from), VIOMMU_HOST_RUNNING);
	assert_int_equal(get(from, 0), 0x77);
}

/* What the kernel's driver refuses leaves a device that has been reset and is stopped, and works. */
static void a_refused_state(void **state)
{
	struct port *from = *state, *to = from + 1;
	struct viommu_stream_writer *writer;
	struct viommu_stream_reader *reader;
	char message[256] = "", early[4096];
	int length;

	assert_int_equal(vfio_migration_pieces(&from->migration, true), 0);
	length = vfio_migration_read_piece(&from->migration, early, sizeof(early));
	assert_true(length > 0);
	assert_int_equal(vfio_migration_pieces(&from->migration, false), 0);
	early[0] ^= 1;
	assert_int_equal(vfio_migration_stop(&to->migration), 0);
	assert_true(vfio_migration_write_piece(&to->migration, early, (size_t)length) < 0);
	/* A whole state after a beginning is not that state's rest. */
	assert_int_equal(vfio_migration_stop(&from->migration), 0);
	reader = save(from, &writer);
	assert_true(vfio_migration_load(&to->migration, reader, message, sizeof(message)) < 0);
	assert_int_equal(state_of(to), VIOMMU_HOST_STOPPED);
	assert_int_equal(vfio_migration_load(&to->migration, reader, message, sizeof(message)), 0);
	assert_int_equal(vfio_migration_start(&to->migration), 0);
	assert_int_equal(state_of(to), VIOMMU_HOST_RUNNING);
	put(to, 0, 3);
	assert_int_equal(get(to, 0), 3);
	assert_int_equal(vfio_migration_start(&from->migration), 0);
	forget(reader, writer);
}

/* A daemon that serves a mediated device, and its client. */
struct served {
	struct test_daemon daemon;
	struct client client;
};

static void serve(struct served *s, const char *name)
{
	static char unit[] = "--unit=scalable=off,pasid-bits=0,first-stage=off,nested=off,page-request=off,caching-mode=on";
	char device[128], *arguments[] = { unit, device, NULL };

	snprintf(device, sizeof(device), "--device=vfio,addr=07.0,backend=type1,host=%s", name);
	assert_int_equal(daemon_begin(&s->daemon, arguments), 0);
	snprintf(s->daemon.testdev, sizeof(s->daemon.testdev), "%s/vfio-07.0.sock", s->daemon.directory);
	assert_int_equal(client_open(&s->client, s->daemon.testdev), 0);
}

static void write_port(struct served *s, unsigned int bar, uint8_t value)
{
	assert_int_equal(client_write(&s->client, bar, SCRATCH, &value, 1), 0);
}

static uint8_t read_port(struct served *s, unsigned int bar)
{
	uint8_t value = 0;

	assert_int_equal(client_read(&s->client, bar, SCRATCH, &value, 1), 0);
	return value;
}

static void relay_all(struct served *from, struct served *to, uint32_t piece)
{
	uint8_t *data;
	size_t length;

	assert_int_equal(migration_read(&from->client, piece, &data, &length), 0);
	assert_int_equal(migration_write(&to->client, data, length, piece), 0);
	free(data);
}

static void through_daemons(void **state)
{
	struct served from, to;

	serve(&from, names[0]);
	serve(&to, names[1]);
	for (unsigned int early = 0; early < 2; early++) {
		uint32_t piece = early ? 7 : 4096;

		write_port(&from, 0, (uint8_t)(0x5a + early));
		write_port(&from, 1, 0xc3);
		write_port(&to, 0, 0x11);
		assert_int_equal(migration_set_state(&to.client, WIRE_STATE_RESUMING), 0);
		if (early) {
			assert_int_equal(migration_set_state(&from.client, WIRE_STATE_PRE_COPY), 0);
			relay_all(&from, &to, piece);
			write_port(&from, 1, 0x3c); /* it runs */
		}
		assert_int_equal(migration_set_state(&from.client, WIRE_STATE_STOP_COPY), 0);
		relay_all(&from, &to, piece);
		assert_int_equal(migration_set_state(&to.client, WIRE_STATE_RUNNING), 0);
		assert_int_equal(read_port(&to, 0), 0x5a + early);
		assert_int_equal(read_port(&to, 1), early ? 0x3c : 0xc3);
		/* Nobody came to an end: the source goes on as well. */
		assert_int_equal(migration_set_state(&from.client, WIRE_STATE_RUNNING), 0);
		assert_int_equal(read_port(&from, 0), 0x5a + early);
	}
	/* A client that goes in the middle leaves a device that works. */
	assert_int_equal(migration_set_state(&to.client, WIRE_STATE_RESUMING), 0);
	client_close(&to.client);
	assert_int_equal(client_open(&to.client, to.daemon.testdev), 0);
	write_port(&to, 1, 9);
	assert_int_equal(read_port(&to, 1), 9);
	client_close(&from.client);
	client_close(&to.client);
	assert_int_equal(daemon_end(&from.daemon), 0);
	assert_int_equal(daemon_end(&to.daemon), 0);
}

int main(int argc, char **argv)
{
#define PORTS_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		PORTS_TEST(the_kernel_offers_both),
		PORTS_TEST(state_moves_when_stopped),
		PORTS_TEST(state_moves_in_pre_copy),
		PORTS_TEST(a_refused_state),
		cmocka_unit_test(through_daemons),
	};

	if (argc != 4) {
		fprintf(stderr, "usage: nested-migration MDEV.ko MTTY.ko VIOMMU\n");
		return 2;
	}
	modules[0] = argv[1];
	modules[1] = argv[2];
	daemon_program = argv[3];
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("VFIO migration on a real kernel", tests, make_devices, NULL);
}
