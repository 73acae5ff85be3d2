/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A function with an interrupt line and MSI, whose model has somebody else signal them: what the client asks for reaches the model as
 * asked, its answer the client, and nothing ill-formed gets through.
 */
#include "server.h"

#include "server/internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What the model was last asked. */
static struct {
	unsigned int calls;
	uint32_t index, flags;
	unsigned int start, count;
	bool fds, none;
	uint8_t values[32];
	int answer;
} asked;

static char directory[] = "/tmp/viommu-interrupts-XXXXXX";
static char path[64];
static struct server_endpoint *server;
static struct client client;
static _Atomic uint32_t features;

static int read_zero(void *opaque, unsigned int bar, uint64_t offset, void *data, size_t length)
{
	memset(data, 0, length);
	return 0;
}

static int write_nothing(void *opaque, unsigned int bar, uint64_t offset, const void *data, size_t length)
{
	return 0;
}

static void reset(void *opaque)
{
}

static void changed(void *opaque, uint32_t now)
{
	features = now;
}

/* Signals what it is given, so that the client sees that it is its own. */
static int interrupts(void *opaque, uint32_t index, uint32_t flags, unsigned int start, unsigned int count,
		      const int *fds, const uint8_t *values)
{
	asked.calls++;
	asked.index = index;
	asked.flags = flags;
	asked.start = start;
	asked.count = count;
	asked.fds = fds;
	asked.none = fds;
	for (unsigned int i = 0; fds && i < count; i++) {
		uint64_t number = i + 1;

		asked.none &= fds[i] < 0;
		if (fds[i] >= 0)
			assert_int_equal(write(fds[i], &number, sizeof(number)), sizeof(number));
	}
	if (values)
		memcpy(asked.values, values, count);
	return asked.answer;
}

static const struct server_device_ops ops = {
	.read = read_zero, .write = write_nothing, .reset = reset, .features = changed, .interrupts = interrupts,
};
static const struct server_device_ops without = {
	.read = read_zero, .write = write_nothing, .reset = reset,
};

static int create(const struct server_device_ops *with, bool intx, uint8_t vectors)
{
	struct server_function function = {
		.vendor = 0x1234, .device = 1, .class_code = 0xff0000, .bars = { { .size = 4096 } },
		.intx = intx, .msi_vectors = vectors,
	};
	struct server_endpoint_config config = {
		.name = "interrupts", .path = path, .function = &function, .ops = with,
	};

	return server_endpoint_create(&config, &server);
}

static int setup(void **state)
{
	memset(&asked, 0, sizeof(asked));
	assert_int_equal(create(&ops, true, 4), 0);
	assert_int_equal(server_endpoint_start(server), 0);
	return client_open(&client, path);
}

static int teardown(void **state)
{
	client_close(&client);
	server_endpoint_destroy(server);
	return 0;
}

static int set_irqs(uint32_t flags, uint32_t index, uint32_t start, uint32_t count, const void *values, size_t length,
		    const int *fds, unsigned int fd_count)
{
	struct {
		struct wire_set_irqs set;
		uint8_t values[32];
	} message = { .set = { .argsz = (uint32_t)(sizeof(message.set) + length), .flags = flags, .index = index,
			       .start = start, .count = count } };

	if (length)
		memcpy(message.values, values, length);
	return client_call(&client, WIRE_DEVICE_SET_IRQS, &message, sizeof(message.set) + length, fds, fd_count, NULL,
			   NULL);
}

static void test_what_there_is(void **state)
{
	static const struct wire_irq_info want[] = {
		{ 16, WIRE_IRQ_EVENTFD | WIRE_IRQ_MASKABLE | WIRE_IRQ_AUTOMASKED, WIRE_IRQ_INTX, 1 },
		{ 16, WIRE_IRQ_EVENTFD | WIRE_IRQ_NORESIZE, WIRE_IRQ_MSI, 4 },
		{ 16, 0, WIRE_IRQ_MSIX, 0 },
	};
	uint16_t msi = client_capability(&client, 0x05);
	uint8_t pin = 0;
	uint16_t control = 0;

	for (unsigned int i = 0; i < 3; i++) {
		struct wire_irq_info info = { .argsz = sizeof(info), .index = i };
		size_t length = sizeof(info);

		assert_int_equal(client_call(&client, WIRE_DEVICE_GET_IRQ_INFO, &info, sizeof(info), NULL, 0, &info,
					     &length), 0);
		assert_memory_equal(&info, &want[i], sizeof(info));
	}
	/* PCIe 7.5.1.1.13: INTA#; 7.7.1.2: 64 bits, four vectors, disabled. */
	assert_int_equal(client_read(&client, WIRE_REGION_CONFIG, 0x3d, &pin, 1), 0);
	assert_int_equal(pin, 1);
	assert_true(msi != 0);
	assert_int_equal(client_read(&client, WIRE_REGION_CONFIG, msi + 2u, &control, 2), 0);
	assert_int_equal(control, 1 << 7 | 2 << 1);
	control = 0xffff;
	assert_int_equal(client_write(&client, WIRE_REGION_CONFIG, msi + 2u, &control, 2), 0);
	assert_int_equal(client_read(&client, WIRE_REGION_CONFIG, msi + 2u, &control, 2), 0);
	assert_int_equal(control, 1 << 7 | 7 << 4 | 2 << 1 | 1);
}

/* The line: descriptor, mask, unmask, a descriptor that unmasks, and off. */
static void test_line(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint16_t command = 0x0400;
	uint64_t count = 0;
	uint8_t one = 1;

	assert_int_equal(set_irqs(WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_TRIGGER, WIRE_IRQ_INTX, 0, 1, NULL, 0, &fd, 1), 0);
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	assert_int_equal(set_irqs(WIRE_IRQ_DATA_NONE | WIRE_IRQ_MASK, WIRE_IRQ_INTX, 0, 1, NULL, 0, NULL, 0), 0);
	assert_int_equal(asked.flags, WIRE_IRQ_DATA_NONE | WIRE_IRQ_MASK);
	assert_false(asked.fds);
	assert_int_equal(set_irqs(WIRE_IRQ_DATA_BOOL | WIRE_IRQ_UNMASK, WIRE_IRQ_INTX, 0, 1, &one, 1, NULL, 0), 0);
	assert_int_equal(asked.flags, WIRE_IRQ_DATA_BOOL | WIRE_IRQ_UNMASK);
	assert_int_equal(asked.values[0], 1);
	assert_int_equal(set_irqs(WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_UNMASK, WIRE_IRQ_INTX, 0, 1, NULL, 0, &fd, 1), 0);
	assert_true(asked.fds && !asked.none);
	assert_int_equal(set_irqs(WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_TRIGGER, WIRE_IRQ_INTX, 0, 1, NULL, 0, NULL, 0), 0);
	assert_true(asked.none);
	assert_int_equal(set_irqs(WIRE_IRQ_DATA_NONE | WIRE_IRQ_TRIGGER, WIRE_IRQ_INTX, 0, 0, NULL, 0, NULL, 0), 0);
	assert_int_equal(asked.count, 0);
	assert_int_equal(asked.index, WIRE_IRQ_INTX);
	/* Command.Interrupt Disable reaches the model as well. */
	assert_false(features & SERVER_FEATURE_INTX_OFF);
	assert_int_equal(client_write(&client, WIRE_REGION_CONFIG, 4, &command, 2), 0);
	assert_true(features & SERVER_FEATURE_INTX_OFF);
	close(fd);
}

static void test_messages(void **state)
{
	int fds[4];
	uint64_t count;

	for (unsigned int i = 0; i < 4; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(set_irqs(WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_TRIGGER, WIRE_IRQ_MSI, 1, 3, NULL, 0, fds, 3), 0);
	assert_int_equal(asked.index, WIRE_IRQ_MSI);
	assert_int_equal(asked.start, 1);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(read(fds[i], &count, sizeof(count)), sizeof(count));
		assert_int_equal(count, i + 1);
	}
	/* The model's answer is the client's. */
	asked.answer = -EBUSY;
	assert_int_equal(set_irqs(WIRE_IRQ_DATA_NONE | WIRE_IRQ_TRIGGER, WIRE_IRQ_MSI, 0, 1, NULL, 0, NULL, 0), -EBUSY);
	for (unsigned int i = 0; i < 4; i++)
		close(fds[i]);
}

static void test_refused(void **state)
{
	static const struct {
		uint32_t flags, index, start, count;
	} wrong[] = {
		{ WIRE_IRQ_DATA_NONE | WIRE_IRQ_MASK, WIRE_IRQ_MSI, 0, 1 },
		{ WIRE_IRQ_DATA_NONE | WIRE_IRQ_UNMASK, WIRE_IRQ_MSIX, 0, 0 },
		{ WIRE_IRQ_DATA_NONE | WIRE_IRQ_MASK | WIRE_IRQ_UNMASK, WIRE_IRQ_INTX, 0, 1 },
		{ WIRE_IRQ_DATA_NONE | WIRE_IRQ_MASK, WIRE_IRQ_INTX, 0, 0 },
		{ WIRE_IRQ_DATA_NONE, WIRE_IRQ_INTX, 0, 1 },
		{ WIRE_IRQ_DATA_NONE | WIRE_IRQ_TRIGGER, WIRE_IRQ_INTX, 0, 2 },
		{ WIRE_IRQ_DATA_NONE | WIRE_IRQ_TRIGGER, WIRE_IRQ_MSI, 4, 1 },
		{ WIRE_IRQ_DATA_NONE | WIRE_IRQ_TRIGGER, WIRE_IRQ_MSI, 1, UINT32_MAX },
		{ WIRE_IRQ_DATA_BOOL | WIRE_IRQ_TRIGGER, WIRE_IRQ_MSI, 0, 4 }, /* no bytes follow */
	};

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(set_irqs(wrong[i].flags, wrong[i].index, wrong[i].start, wrong[i].count, NULL, 0, NULL,
					  0), -EINVAL);
	assert_int_equal(asked.calls, 0);
}

/* A blocking descriptor that its owner fills at the worst of moments: after somebody asked whether it has room. */
static int filled_late = -1;

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	static const uint64_t most = UINT64_MAX - 1;
	struct timespec wait = { .tv_sec = timeout / 1000, .tv_nsec = timeout % 1000 * 1000000L };
	int ready = ppoll(fds, count, timeout < 0 ? NULL : &wait, NULL);

	if (filled_late >= 0 && count == 1 && fds[0].fd == filled_late)
		(void)!write(filled_late, &most, sizeof(most));
	return ready;
}

static void test_signalling_never_waits(void **state)
{
	static const uint64_t most = UINT64_MAX - 1;
	struct pollfd filled;
	uint64_t count;
	int fd = eventfd(0, EFD_CLOEXEC), pipes[2];

	/* Should it wait, this ends the test. */
	alarm(60);
	for (unsigned int i = 0; i < 2000; i++)
		server_signal(fd);
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 2000);
	/* Filled between question and write. */
	filled_late = fd;
	server_signal(fd);
	filled_late = -1;
	/* Full from the start: the signal is one more that nobody took, and whoever polls is woken. */
	filled = (struct pollfd){ .fd = fd, .events = POLLIN };
	while (poll(&filled, 1, 0) == 1)
		assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(write(fd, &most, sizeof(most)), sizeof(most));
	for (unsigned int i = 0; i < 300; i++)
		server_signal(fd);
	assert_int_equal(poll(&filled, 1, 0), 1);
	close(fd);
	/* Not an event descriptor; closed. */
	assert_int_equal(pipe(pipes), 0);
	server_signal(pipes[1]);
	close(pipes[0]);
	server_signal(pipes[1]);
	close(pipes[1]);
	server_signal(pipes[1]);
	alarm(0);
}

static void test_impossible_functions(void **state)
{
	assert_int_equal(create(&without, true, 0), -EINVAL);
	assert_int_equal(create(&without, false, 1), -EINVAL);
	assert_int_equal(create(&ops, false, 3), -EINVAL);
	assert_int_equal(create(&ops, false, 64), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_there_is, setup, teardown),
		cmocka_unit_test_setup_teardown(test_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test(test_signalling_never_waits),
		cmocka_unit_test(test_impossible_functions),
	};
	int failed;

	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(directory)) {
		perror(directory);
		return 1;
	}
	snprintf(path, sizeof(path), "%s/function", directory);
	failed = cmocka_run_group_tests_name("a line and MSI", tests, NULL, NULL);
	rmdir(directory);
	return failed;
}
