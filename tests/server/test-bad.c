/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What no client should send. A wrong message costs an error reply; a stream that cannot be
 * followed costs the connection; nothing costs the daemon, or another connection.
 */
#include "server.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The other connection still answers. */
static void assert_unharmed(void)
{
	assert_int_equal(client_read32(&test.unit, WIRE_REGION_CONFIG, 0), 0x09a28086);
}

/* So does this one. */
static void assert_still_connected(void)
{
	assert_true(client_read32(&test.device, WIRE_REGION_CONFIG, 0) != UINT32_MAX);
	assert_unharmed();
}

static int call(uint16_t command, const void *payload, size_t length)
{
	return client_call(&test.device, command, payload, length, NULL, 0, NULL, NULL);
}

static void test_unknown_commands(void **state)
{
	static const uint16_t numbers[] = { 0, 14, 11, 12, 19, 255, 65535 };

	for (unsigned int i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		assert_int_equal(call(numbers[i], NULL, 0), -EOPNOTSUPP);
	assert_still_connected();
}

/* Every command with every payload length from 0 to one more than it has. */
static void test_wrong_sizes(void **state)
{
	static const struct {
		uint16_t command;
		size_t fixed;
	} commands[] = {
		{ WIRE_DMA_MAP, 32 },
		{ WIRE_DMA_UNMAP, 24 },
		{ WIRE_DEVICE_GET_INFO, 16 },
		{ WIRE_DEVICE_GET_REGION_INFO, 32 },
		{ WIRE_DEVICE_GET_REGION_IO_FDS, 16 },
		{ WIRE_DEVICE_GET_IRQ_INFO, 16 },
		{ WIRE_DEVICE_SET_IRQS, 20 },
		{ WIRE_REGION_READ, 16 },
		{ WIRE_REGION_WRITE, 16 },
		{ WIRE_REGION_WRITE_MULTI, 8 },
		{ WIRE_DEVICE_FEATURE, 8 },
		{ WIRE_MIG_DATA_READ, 8 },
		{ WIRE_MIG_DATA_WRITE, 8 },
	};
	uint8_t payload[64];

	for (unsigned int i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		memset(payload, 0xff, sizeof(payload));
		for (size_t length = 0; length <= commands[i].fixed + 1; length++) {
			int ret;

			if (commands[i].command == WIRE_DEVICE_GET_INFO &&
			    length >= commands[i].fixed)
				break; /* what stands in it does not matter */
			ret = call(commands[i].command, payload, length);
			assert_true(ret < 0 && ret != -EPIPE && ret != -ETIMEDOUT);
		}
	}
	assert_int_equal(call(WIRE_DEVICE_RESET, payload, 1), -EINVAL);
	assert_still_connected();
}

static void test_header_too_small(void **state)
{
	struct wire_header header = { .id = 1, .command = WIRE_DEVICE_RESET, .size = 15 };

	assert_int_equal(client_send_raw(&test.device, &header, sizeof(header), NULL, 0), 0);
	assert_true(client_closed(&test.device, 20000));
	assert_unharmed();
}

static void test_message_too_large(void **state)
{
	struct wire_header header = { .id = 1, .command = WIRE_REGION_WRITE, .size = 0x7fffffff };

	assert_int_equal(client_send_raw(&test.device, &header, sizeof(header), NULL, 0), 0);
	assert_true(client_closed(&test.device, 20000));
	assert_unharmed();
}

static void test_unknown_type(void **state)
{
	struct wire_header header = {
		.id = 1, .command = WIRE_DEVICE_RESET, .size = 16, .flags = 7
	};

	assert_int_equal(client_send_raw(&test.device, &header, sizeof(header), NULL, 0), 0);
	assert_true(client_closed(&test.device, 20000));
	assert_unharmed();
}

static void test_reply_to_nothing(void **state)
{
	struct wire_header header = { .id = 9, .command = WIRE_DMA_WRITE, .size = 16, .flags = 1 };

	assert_int_equal(client_send_raw(&test.device, &header, sizeof(header), NULL, 0), 0);
	assert_still_connected();
}

static void test_before_version(void **state)
{
	struct wire_device_info info = { .argsz = sizeof(info) };

	client_close(&test.device);
	assert_int_equal(client_connect(&test.device, test.daemon.testdev), 0);
	assert_int_equal(call(WIRE_DEVICE_GET_INFO, &info, sizeof(info)), -EPIPE);
	assert_unharmed();
}

static void test_version_twice(void **state)
{
	struct wire_version version = { 0, 0 };

	assert_int_equal(call(WIRE_VERSION, &version, sizeof(version)), -EINVAL);
	assert_still_connected();
}

static void test_version_rubbish(void **state)
{
	static const char *const texts[] = {
		"{",
		"[]",
		"7",
		"{\"capabilities\":7}",
		"{\"capabilities\":{\"max_msg_fds\":-1}}",
		"{\"capabilities\":{\"max_data_xfer_size\":\"much\"}}",
		"{\"capabilities\":{\"max_data_xfer_size\":1}}",
		"{\"capabilities\":{}} trailing",
		"{\"capabilities\":{\"max_dma_maps\":1.5}}",
	};
	uint8_t message[256];

	for (unsigned int i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		client_close(&test.device);
		assert_int_equal(client_connect(&test.device, test.daemon.testdev), 0);
		memset(message, 0, sizeof(message));
		memcpy(message + 4, texts[i], strlen(texts[i]));
		assert_int_equal(call(WIRE_VERSION, message, 4 + strlen(texts[i]) + 1), -EINVAL);
	}
	/* no NUL at the end, and one in the middle */
	memcpy(message + 4, "{}{}", 4);
	assert_int_equal(call(WIRE_VERSION, message, 6), -EINVAL);
	memcpy(message + 4, "{}\0{}", 6);
	assert_int_equal(call(WIRE_VERSION, message, 10), -EINVAL);
	/* another major version */
	memset(message, 0, sizeof(message));
	message[0] = 1;
	assert_int_equal(call(WIRE_VERSION, message, 4), -EINVAL);
	assert_unharmed();
}

static void test_region_bounds(void **state)
{
	static const struct wire_region_access wrong[] = {
		{ 4096, WIRE_REGION_CONFIG, 1 },
		{ 4095, WIRE_REGION_CONFIG, 2 },
		{ UINT64_MAX, WIRE_REGION_CONFIG, 1 },
		{ UINT64_MAX - 3, 0, 8 },
		{ 0, 9, 4 },
		{ 0, UINT32_MAX, 4 },
		{ 0, WIRE_REGION_VGA, 4 },
		{ 0, WIRE_REGION_ROM, 4 },
		{ 0, WIRE_REGION_CONFIG, UINT32_MAX },
		{ 0, 0, 2 * 1024 * 1024 },
	};
	struct {
		struct wire_region_access access;
		uint8_t data[8];
	} write = { .access = { 4092, WIRE_REGION_CONFIG, 8 } };

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(call(WIRE_REGION_READ, &wrong[i], sizeof(wrong[i])), -EINVAL);
	assert_int_equal(call(WIRE_REGION_WRITE, &write, sizeof(write)), -EINVAL);
	write.access = (struct wire_region_access){ 0x3c, WIRE_REGION_CONFIG, 9 };
	assert_int_equal(call(WIRE_REGION_WRITE, &write, sizeof(write)),
			 -EINVAL); /* count and size differ */
	assert_still_connected();
}

static void test_multi_rubbish(void **state)
{
	struct {
		struct wire_write_multi head;
		struct wire_multi_write write;
	} multi = { { UINT64_MAX / sizeof(struct wire_multi_write) + 2 },
		    { 0x3c, WIRE_REGION_CONFIG, 1 } };

	assert_int_equal(call(WIRE_REGION_WRITE_MULTI, &multi, sizeof(multi)), -EINVAL);
	multi.head.count = 2;
	assert_int_equal(call(WIRE_REGION_WRITE_MULTI, &multi, sizeof(multi)), -EINVAL);
	multi.head.count = 1;
	multi.write.count = 9;
	assert_int_equal(call(WIRE_REGION_WRITE_MULTI, &multi, sizeof(multi)), -EINVAL);
	multi.write.count = 1;
	multi.write.region = 77;
	assert_int_equal(call(WIRE_REGION_WRITE_MULTI, &multi, sizeof(multi)), -EINVAL);
	assert_still_connected();
}

static void test_map_rubbish(void **state)
{
	static const struct wire_dma_map wrong[] = {
		{ 32, 3, 0, 0, 0 },
		{ 32, 3, 0, 1, 4096 },
		{ 32, 3, 0, 0, 4095 },
		{ 32, 3, 1, 0, 4096 },
		{ 32, 0, 0, 0, 4096 },
		{ 32, 0x80000003, 0, 0, 4096 },
		{ 32, 3, 0, 0x1000, UINT64_MAX - 0xfff },
		{ 32, 3, UINT64_MAX - 0xfff, 0, 4096 },
		{ 32, 3, 0x100000, 0, 4096 }, /* beyond the file's end */
	};
	int fd = memory_file(0x10000), pipes[2], null = open("/dev/null", O_RDWR);
	int many[2] = { fd, fd };
	struct wire_dma_map good = { 32, 3, 0, 0x5000, 4096 };

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_true(client_call(&test.unit, WIRE_DMA_MAP, &wrong[i], 32, &fd, 1, NULL,
					NULL) < 0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(client_map(&test.unit, 0x1000, 4096, pipes[0], 0), -ENODEV);
	assert_int_equal(client_map(&test.unit, 0x1000, 4096, null, 0), -ENODEV);
	assert_int_equal(client_call(&test.unit, WIRE_DMA_MAP, &good, 32, many, 2, NULL, NULL),
			 -EINVAL);
	/* none of them left anything behind */
	assert_int_equal(client_map(&test.unit, 0, 0x10000, fd, 0), 0);
	close(fd);
	close(null);
	close(pipes[0]);
	close(pipes[1]);
	assert_unharmed();
}

/*
 * The same memory at many addresses: the client has an IOMMU of its own in front of us. Some
 * aliases are normal, also one after the other for ever; many at once are not.
 */
static void test_second_iommu(void **state)
{
	int fd = memory_file(0x1000), ret = 0;

	assert_int_equal(client_map(&test.unit, 0, 0x1000, fd, 0), 0);
	for (unsigned int i = 1; i < 500; i++) {
		assert_int_equal(client_map(&test.unit, i * 0x1000, 0x1000, fd, 0), 0);
		assert_int_equal(client_unmap(&test.unit, i * 0x1000, 0x1000), 0);
	}
	for (unsigned int i = 1; !ret && i < 200; i++)
		ret = client_map(&test.unit, i * 0x1000, 0x1000, fd, 0);
	assert_int_equal(ret, -EPIPE);
	client_close(&test.unit);
	assert_int_equal(client_open(&test.unit, test.daemon.unit), 0);
	close(fd);
}

static void test_descriptors_where_none_belong(void **state)
{
	struct wire_device_info info = { .argsz = sizeof(info) };
	int fds[40];

	for (unsigned int i = 0; i < 40; i++)
		fds[i] = STDERR_FILENO;
	assert_int_equal(client_call(&test.device, WIRE_DEVICE_GET_INFO, &info, sizeof(info), fds,
				     1, NULL, NULL),
			 -EINVAL);
	/* more than we said we take */
	assert_int_equal(client_call(&test.device, WIRE_DEVICE_GET_INFO, &info, sizeof(info), fds,
				     40, NULL, NULL),
			 -EINVAL);
	assert_still_connected();
}

static unsigned int count_descriptors(pid_t pid)
{
	char path[64];
	unsigned int count = 0;

	for (int fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
		if (!faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW))
			count++;
	}
	return count;
}

/* Refused or replaced, a descriptor is closed. */
static void test_no_descriptor_leak(void **state)
{
	struct wire_set_irqs set = { sizeof(set), WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_TRIGGER,
				     WIRE_IRQ_MSIX, 0, 9999 };
	int fd = eventfd(0, 0), memory = memory_file(4096);
	unsigned int before;

	assert_int_equal(client_set_irqs(&test.device, 0, 1, &fd), 0);
	before = count_descriptors(test.daemon.process.pid);
	for (unsigned int i = 0; i < 50; i++) {
		assert_int_equal(client_set_irqs(&test.device, 0, 1, &fd), 0);
		assert_int_equal(client_call(&test.device, WIRE_DEVICE_SET_IRQS, &set, sizeof(set),
					     &fd, 1, NULL, NULL),
				 -EINVAL);
		assert_int_equal(client_map(&test.unit, 0x1000, 0x2000, memory, 0), -ENXIO);
	}
	assert_still_connected(); /* a reply leaves before the message's descriptors are closed */
	assert_int_equal(count_descriptors(test.daemon.process.pid), before);
	close(fd);
	close(memory);
}

static void test_irq_rubbish(void **state)
{
	static const struct wire_set_irqs wrong[] = {
		{ 20, 0, WIRE_IRQ_MSIX, 0, 1 },
		{ 20, WIRE_IRQ_DATA_NONE, WIRE_IRQ_MSIX, 0, 1 },
		{ 20, WIRE_IRQ_DATA_NONE | WIRE_IRQ_DATA_BOOL | WIRE_IRQ_TRIGGER, WIRE_IRQ_MSIX, 0,
		  1 },
		{ 20, WIRE_IRQ_DATA_NONE | WIRE_IRQ_MASK, WIRE_IRQ_MSIX, 0, 1 },
		{ 20, WIRE_IRQ_DATA_NONE | WIRE_IRQ_TRIGGER, WIRE_IRQ_MSIX, UINT32_MAX, 2 },
		{ 20, WIRE_IRQ_DATA_NONE | WIRE_IRQ_TRIGGER, WIRE_IRQ_MSIX, 0, UINT32_MAX },
		{ 20, WIRE_IRQ_DATA_NONE | WIRE_IRQ_TRIGGER, WIRE_IRQ_INTX, 0, 1 },
		{ 20, WIRE_IRQ_DATA_NONE | WIRE_IRQ_TRIGGER, 17, 0, 1 },
		{ 20, WIRE_IRQ_DATA_BOOL | WIRE_IRQ_TRIGGER, WIRE_IRQ_MSIX, 0,
		  1 }, /* no bytes follow */
	};

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(call(WIRE_DEVICE_SET_IRQS, &wrong[i], sizeof(wrong[i])), -EINVAL);
	assert_still_connected();
}

/* A full pipe instead of an eventfd: signalling must not wait for it. */
static void test_full_descriptor(void **state)
{
	struct wire_set_irqs trigger = { sizeof(trigger), WIRE_IRQ_DATA_NONE | WIRE_IRQ_TRIGGER,
					 WIRE_IRQ_MSIX, 0, 1 };
	char bytes[4096] = { 0 };
	int pipes[2];

	assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
	while (write(pipes[1], bytes, sizeof(bytes)) > 0)
		;
	fcntl(pipes[1], F_SETFL, 0);
	assert_int_equal(client_set_irqs(&test.device, 0, 1, &pipes[1]), 0);
	assert_int_equal(call(WIRE_DEVICE_SET_IRQS, &trigger, sizeof(trigger)), 0);
	close(pipes[0]); /* and now nobody reads */
	assert_int_equal(call(WIRE_DEVICE_SET_IRQS, &trigger, sizeof(trigger)), 0);
	close(pipes[1]);
	assert_still_connected();
}

/* Half a message, and then nothing: the other connection does not notice. */
static void test_stall(void **state)
{
	struct wire_header header = { .id = 1, .command = WIRE_REGION_WRITE, .size = 1024 };

	assert_int_equal(client_send_raw(&test.device, &header, sizeof(header), NULL, 0), 0);
	for (unsigned int i = 0; i < 100; i++)
		assert_unharmed();
	assert_true(client_closed(&test.device, 40000)); /* our patience is 10 s */
	assert_unharmed();
}

/* Requests without end whose replies nobody reads. */
static void test_replies_not_read(void **state)
{
	struct {
		struct wire_header header;
		struct wire_region_access access;
	} read = { { 1, WIRE_REGION_READ, sizeof(read), 0, 0 }, { 0, WIRE_REGION_CONFIG, 4096 } };

	fcntl(test.device.fd, F_SETFL, O_NONBLOCK);
	for (unsigned int i = 0; i < 5000; i++)
		if (send(test.device.fd, &read, sizeof(read), MSG_NOSIGNAL) != sizeof(read))
			break;
	for (unsigned int i = 0; i < 100; i++)
		assert_unharmed();
	fcntl(test.device.fd, F_SETFL, 0);
}

struct flood {
	atomic_bool stop;
	atomic_uint sent;
};

static void *flood(void *opaque)
{
	struct flood *flood = opaque;
	struct {
		struct wire_header header;
		struct wire_region_access access;
	} reads[1000];

	/* More work for the server than for us: what it answers last is never all. */
	for (unsigned int i = 0; i < 1000; i++) {
		reads[i].header = (struct wire_header){ .id = 1,
							.command = WIRE_REGION_READ,
							.size = sizeof(reads[0]),
							.flags = WIRE_NO_REPLY };
		reads[i].access = (struct wire_region_access){ 0, 0, 32768 };
	}
	while (!atomic_load(&flood->stop) &&
	       !client_send_raw(&test.device, reads, sizeof(reads), NULL, 0))
		atomic_fetch_add(&flood->sent, 1);
	return NULL;
}

/* One line to the control socket and the answer: true when it says "ok". */
static bool control_ok(const char *request)
{
	struct client control;
	char reply[4096] = "";
	struct pollfd ready;
	size_t length = 0;

	assert_int_equal(client_connect(&control, test.daemon.control), 0);
	assert_int_equal(client_send_raw(&control, request, strlen(request), NULL, 0), 0);
	ready = (struct pollfd){ .fd = control.fd, .events = POLLIN };
	while (!strchr(reply, '\n') && length < sizeof(reply) - 1) {
		ssize_t got = poll(&ready, 1, 30000) == 1 ? read(control.fd, reply + length,
								  sizeof(reply) - 1 - length)
							  : 0;

		if (got <= 0)
			break;
		length += (size_t)got;
	}
	client_close(&control);
	return strstr(reply, "\"ok\":true");
}

/* A client that never stops sending: the operator is heard all the same. */
static void test_flood(void **state)
{
	struct flood all = { false, 0 };
	pthread_t thread;
	bool heard;

	assert_int_equal(pthread_create(&thread, NULL, flood, &all), 0);
	while (atomic_load(&all.sent) < 12) /* more than the socket holds */
		usleep(1000);
	heard = control_ok(
		"{\"command\":\"fault\",\"function\":\"testdev-07.0\",\"kind\":\"error\"}\n");
	atomic_store(&all.stop, true);
	pthread_join(thread, NULL);
	assert_true(heard);
	assert_still_connected();
}

/* Gone in the middle of a message, at each of its bytes. */
static void test_death_in_message(void **state)
{
	uint8_t message[48] = { 0 };
	struct wire_header header = { 1, WIRE_REGION_WRITE, sizeof(message), 0, 0 };

	memcpy(message, &header, sizeof(header));
	for (size_t length = 1; length < sizeof(message); length++) {
		client_close(&test.device);
		assert_int_equal(client_open(&test.device, test.daemon.testdev), 0);
		assert_int_equal(client_send_raw(&test.device, message, length, NULL, 0), 0);
	}
	client_close(&test.device);
	assert_int_equal(client_open(&test.device, test.daemon.testdev), 0);
	assert_still_connected();
}

/* A client killed while it has memory mapped: the memory goes, the daemon stays, the next one can
 * map. */
static void test_killed_client(void **state)
{
	int fd = memory_file(0x200000);
	pid_t pid;

	client_close(&test.unit);
	pid = fork();
	if (!pid) {
		struct client c;

		if (client_open(&c, test.daemon.unit) || client_map(&c, 0, 0x200000, fd, 0))
			_exit(1);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(client_open(&test.unit, test.daemon.unit), 0);
	assert_int_equal(client_map(&test.unit, 0, 0x200000, fd, 0), 0);
	close(fd);
	assert_unharmed();
}

/* Random bytes behind a good header, and wholly random bytes; the seed is printed when it fails. */
static void test_random(void **state)
{
	unsigned int seed =
		getenv("TEST_SEED") ? (unsigned int)atoi(getenv("TEST_SEED")) : 20240917;
	struct client c;

	client_close(&test.device);
	for (unsigned int round = 0; round < 400; round++) {
		uint8_t bytes[512];
		struct wire_header header = { 1, 0, 0, 0, 0 };

		srandom(seed + round);
		for (unsigned int i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)random();
		if (round % 4) {
			header.command = (uint16_t)(random() % 20);
			header.size = 16 + (uint32_t)random() % 128;
			header.flags = random() % 8 ? 0 : WIRE_NO_REPLY;
			memcpy(bytes, &header, sizeof(header));
		}
		assert_int_equal(client_open(&c, round % 2 ? test.daemon.dsa : test.daemon.testdev),
				 0);
		client_send_raw(&c, bytes, header.size ? header.size : sizeof(bytes), NULL, 0);
		client_close(&c);
		if (!daemon_alive(&test.daemon))
			fail_msg("the daemon died: TEST_SEED=%u", seed + round);
	}
	assert_unharmed();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(test_unknown_commands),
		SERVER_TEST(test_wrong_sizes),
		SERVER_TEST(test_header_too_small),
		SERVER_TEST(test_message_too_large),
		SERVER_TEST(test_unknown_type),
		SERVER_TEST(test_reply_to_nothing),
		SERVER_TEST(test_before_version),
		SERVER_TEST(test_version_twice),
		SERVER_TEST(test_version_rubbish),
		SERVER_TEST(test_region_bounds),
		SERVER_TEST(test_multi_rubbish),
		SERVER_TEST(test_map_rubbish),
		SERVER_TEST(test_second_iommu),
		SERVER_TEST(test_descriptors_where_none_belong),
		SERVER_TEST(test_no_descriptor_leak),
		SERVER_TEST(test_irq_rubbish),
		SERVER_TEST(test_full_descriptor),
		SERVER_TEST(test_replies_not_read),
		SERVER_TEST(test_flood),
		SERVER_TEST(test_death_in_message),
		SERVER_TEST(test_killed_client),
		SERVER_TEST(test_random),
		SERVER_TEST(test_stall),
	};

	return server_test_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
