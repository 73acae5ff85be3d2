/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log of written pages by hand: `viommu ctl dirty-start`, `dirty-query`, `dirty-stop`, with a VM whose device writes. Each page is
 * reported once and at its guest-physical address, also when the file could not be written at first, and while a client keeps
 * a log, too.
 */
#include "migration_client.h"
#include "server.h"
#include "vm.h"

#include "devices/testdev/testdev.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE_A UINT64_C(0x2000000)
#define PAGE_B UINT64_C(0x2005000)
#define PAGE_C UINT64_C(0x3fff000) /* the last one */

static struct vm vm;
static char file[160];
static uint64_t bitmap[VM_MEMORY / VM_PAGE / 64];

/* `viommu ctl COMMAND [FILE]`; its exit status, and its answer, NULL when it is none. */
static int ctl(const char *command, const char *path, json_t **reply)
{
	char text[512];
	FILE *out;
	int status;

	snprintf(text, sizeof(text), "exec '%s' ctl --control '%s' %s %s%s", daemon_program, test.daemon.control,
		 command, path ? "file=" : "", path ? path : "");
	out = popen(text, "r");
	assert_non_null(out);
	*reply = json_loadf(out, 0, NULL);
	status = pclose(out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void good(const char *command)
{
	json_t *reply;

	assert_int_equal(ctl(command, NULL, &reply), 0);
	json_decref(reply);
}

static void bad(const char *command, const char *path, const char *message)
{
	json_t *reply;
	const char *error;

	assert_int_equal(ctl(command, path, &reply), 1);
	error = json_string_value(json_object_get(reply, "error"));
	assert_non_null(error);
	if (!strstr(error, message))
		fail_msg("\"%s\" and not \"%s\"", error, message);
	json_decref(reply);
}

/* Ask, and read the file: how many pages it has. */
static unsigned int query(void)
{
	unsigned int pages = 0;
	json_t *reply, *range;
	FILE *in;

	memset(bitmap, 0, sizeof(bitmap));
	assert_int_equal(ctl("dirty-query", file, &reply), 0);
	in = fopen(file, "rb");
	assert_non_null(in);
	assert_int_equal(fread(bitmap, 1, sizeof(bitmap), in), sizeof(bitmap));
	assert_int_equal(fgetc(in), EOF);
	fclose(in);
	for (unsigned int i = 0; i < sizeof(bitmap) / 8; i++)
		pages += (unsigned int)__builtin_popcountll(bitmap[i]);
	assert_int_equal(json_integer_value(json_object_get(reply, "pages")), pages);
	assert_int_equal(json_integer_value(json_object_get(reply, "page-size")), VM_PAGE);
	range = json_array_get(json_object_get(reply, "ranges"), 0);
	assert_int_equal(json_integer_value(json_object_get(range, "gpa")), 0);
	assert_int_equal(json_integer_value(json_object_get(range, "length")), VM_MEMORY);
	json_decref(reply);
	return pages;
}

static bool written(uint64_t gpa)
{
	return bitmap[gpa / VM_PAGE / 64] >> gpa / VM_PAGE % 64 & 1;
}

/* Without translation IOVA is GPA. */
static void device_writes(uint64_t gpa)
{
	static uint64_t value = 0x1000;
	const uint32_t slot = TESTDEV_SLOT;

	assert_int_equal(client_write64(&test.device, 0, TESTDEV_DATA, ++value), 0);
	assert_int_equal(client_write32(&test.device, 0, slot + TESTDEV_REQUEST, TESTDEV_OP_WRITE), 0);
	assert_int_equal(client_write64(&test.device, 0, slot + TESTDEV_IOVA, gpa), 0);
	assert_int_equal(client_write32(&test.device, 0, slot + TESTDEV_LENGTH, 8), 0);
	assert_int_equal(client_write32(&test.device, 0, TESTDEV_DOORBELL, 0), 0);
	for (unsigned int i = 0; client_read32(&test.device, 0, slot + TESTDEV_STATUS) != TESTDEV_FINISHED; i++) {
		assert_true(i < 30000);
		usleep(1000);
	}
	assert_int_equal(*(volatile uint64_t *)vm_at(&vm, gpa), value);
}

static void begin(void)
{
	snprintf(file, sizeof(file), "%s/dirty", test.daemon.directory);
	assert_int_equal(vm_create(&vm, &test.unit), 0);
	assert_int_equal(client_enable(&test.device, false, false, false), 0);
}

static void test_pages(void **state)
{
	begin();
	device_writes(PAGE_B);
	good("dirty-start");
	/* What was written before does not count. */
	assert_int_equal(query(), 0);
	device_writes(PAGE_A);
	device_writes(PAGE_A);
	device_writes(PAGE_C);
	assert_int_equal(query(), 2);
	assert_true(written(PAGE_A) && written(PAGE_C));
	assert_int_equal(query(), 0);
	good("dirty-stop");
	bad("dirty-query", file, "no log is kept");
	unlink(file);
	vm_destroy(&vm);
}

/* Where the file cannot be, nothing is lost. */
static void test_no_room(void **state)
{
	begin();
	good("dirty-start");
	device_writes(PAGE_A);
	bad("dirty-query", "/nonexistent/x", "No such file or directory");
	device_writes(PAGE_B);
	bad("dirty-query", "", "file=PATH is needed");
	assert_int_equal(query(), 2);
	assert_true(written(PAGE_A) && written(PAGE_B));
	good("dirty-stop");
	unlink(file);
	vm_destroy(&vm);
}

/* Neither switches the log off under the other. */
static void test_with_a_client(void **state)
{
	begin();
	good("dirty-start");
	assert_int_equal(migration_log_start(&test.unit, VM_MEMORY), 0);
	device_writes(PAGE_A);
	assert_int_equal(migration_log_stop(&test.unit), 0);
	device_writes(PAGE_B);
	assert_int_equal(query(), 2);
	assert_int_equal(migration_log_start(&test.unit, VM_MEMORY), 0);
	good("dirty-stop");
	device_writes(PAGE_C);
	memset(bitmap, 0, sizeof(bitmap));
	assert_int_equal(migration_log_report(&test.unit, VM_MEMORY, bitmap), 0);
	assert_true(written(PAGE_C) && !written(PAGE_A));
	/* Taken over: dirt of before the start would be allowed, and there is none. */
	good("dirty-start");
	device_writes(PAGE_A);
	assert_int_equal(migration_log_stop(&test.unit), 0);
	assert_int_equal(query(), 1);
	good("dirty-stop");
	unlink(file);
	vm_destroy(&vm);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(test_pages),
		SERVER_TEST(test_no_room),
		SERVER_TEST(test_with_a_client),
	};

	return server_test_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
