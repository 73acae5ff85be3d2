/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `viommu riscv` as its user meets it: exit statuses, messages, signatures, snapshots that resume,
 * repeatable runs, the debugger's protocol. argv: the command, and the directory of the bare-metal
 * programs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *command, *programs;
static char directory[] = "/tmp/viommu-machine-XXXXXX";

static char *path(const char *name)
{
	static char text[4][512];
	static unsigned int n;

	n = (n + 1) & 3;
	snprintf(text[n], sizeof(text[n]), "%s/%s",
		 strchr(name, '.') && strstr(name, ".elf") ? programs : directory, name);
	return text[n];
}

static pid_t start(char *const *arguments, int *output)
{
	int pipes[2];
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that failed waits for nobody */
		dup2(open("/dev/null", O_RDONLY), 0);
		dup2(pipes[1], 1);
		dup2(pipes[1], 2);
		close(pipes[0]);
		close(pipes[1]);
		execv(command, arguments);
		_exit(126);
	}
	close(pipes[1]);
	*output = pipes[0];
	return child;
}

static char said[65536];

/* Run with these arguments (NULL at the end); the exit status, and what it said in `said`. */
static int run(const char *first, ...)
{
	char *arguments[32] = { (char *)(uintptr_t)command, (char *)(uintptr_t)first };
	int n = 2, output, status;
	size_t length = 0;
	va_list list;
	pid_t child;
	ssize_t got;

	va_start(list, first);
	while (n < 31 && (arguments[n] = va_arg(list, char *)))
		n++;
	va_end(list);
	child = start(arguments, &output);
	while ((got = read(output, said + length, sizeof(said) - 1 - length)) > 0)
		length += (size_t)got;
	said[length] = 0;
	close(output);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void assert_said(const char *text)
{
	if (!strstr(said, text))
		fail_msg("expected \"%s\" in: %s", text, said);
}

static void write_file(const char *name, const void *data, size_t length)
{
	FILE *f = fopen(path(name), "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, length, f), length);
	fclose(f);
}

static char *read_file(const char *name, size_t *length)
{
	FILE *f = fopen(path(name), "rb");
	char *data = calloc(1, 1 << 25);

	assert_non_null(f);
	assert_non_null(data);
	*length = fread(data, 1, 1 << 25, f);
	fclose(f);
	return data;
}

static void test_statuses(void **unused)
{
	assert_int_equal(run("--elf", path("convention.elf"), NULL), 42);
	assert_said("hello from the guest");
	assert_int_equal(run("--elf", path("convention.elf"), "--no-console", NULL), 42);
	assert_null(strstr(said, "hello"));
	assert_int_equal(run("--elf", path("convention.elf"), "--limit", "100", NULL), 124);
	assert_said("--limit");
	assert_int_equal(run("--help", NULL), 0);
	assert_said("--worldguard");
}

static void test_wrong_options(void **unused)
{
	assert_int_equal(run("--harts", "17", "--elf", "x", NULL), 2);
	assert_said("from 1 to 16");
	assert_int_equal(run("--memory", "1000", "--elf", "x", NULL), 2);
	assert_said("whole MiB");
	assert_int_equal(run("--worldguard", "nworlds=33", "--elf", "x", NULL), 2);
	assert_said("nworlds");
	assert_int_equal(run("--worldguard", "colour=1", "--elf", "x", NULL), 2);
	assert_said("unknown");
	assert_int_equal(run("--worldguard", "nworlds=2,trusted=3", "--elf", "x", NULL), 2);
	assert_int_equal(run("--iopmp", "model=best", "--elf", "x", NULL), 2);
	assert_int_equal(run("--iopmp", "spec=0.9", "--elf", "x", NULL), 2);
	assert_int_equal(run("--aia", "yes", "--elf", "x", NULL), 2);
	assert_said("none, aplic or imsic");
	assert_int_equal(run("--no-such-thing", NULL), 2);
	assert_int_equal(run("--kernel", "x", NULL), 2);
	assert_said("--bios");
	assert_int_equal(run("--payload", "x", NULL), 2);
	assert_said("--payload needs firmware");
	assert_int_equal(run("--bios", "x", "--kernel", "x", "--payload", "x", NULL), 2);
	assert_int_equal(run("--console", "tape", "--elf", "x", NULL), 2);
	assert_said("uart or virtio");
	assert_int_equal(
		run("--elf", path("convention.elf"), "--memory", "64G", "--memory", "200G", NULL),
		2);
}

static void test_bad_images(void **unused)
{
	char *elf;
	size_t length;

	assert_int_equal(run("--elf", path("absent"), NULL), 1);
	assert_said("No such file");
	write_file(
		"text",
		"not a program at all, but some text that is long enough for a header of 64 bytes",
		80);
	assert_int_equal(run("--elf", path("text"), NULL), 1);
	assert_said("not an ELF file");
	assert_int_equal(run("--bios", path("text"), "--kernel", path("text"), NULL), 1);
	assert_said("not a riscv64 kernel Image");
	write_file("gzip", "\x1f\x8b\x08\x00", 4);
	assert_int_equal(run("--bios", path("text"), "--kernel", path("gzip"), NULL), 1);
	assert_said("gzip");
	write_file("empty", "", 0);
	assert_int_equal(run("--elf", path("empty"), NULL), 1);
	elf = read_file("convention.elf", &length);
	elf[18] = 62; /* another machine */
	write_file("foreign", elf, length);
	assert_int_equal(run("--elf", path("foreign"), NULL), 1);
	assert_said("another architecture");
	elf[18] = (char)243;
	elf[4] = 1;
	write_file("short", elf, length);
	assert_int_equal(run("--elf", path("short"), NULL), 1);
	assert_said("32-bit");
	elf[4] = 2;
	/* cut off everywhere: a message or a run, never a crash */
	for (size_t n = 1; n < length; n += 97 + length / 200) {
		write_file("cut", elf, n);
		run("--elf", path("cut"), "--limit", "100000", NULL);
	}
	memset(elf + 32, 0xff, 8); /* program headers far outside */
	write_file("wild", elf, length);
	assert_int_equal(run("--elf", path("wild"), NULL), 1);
	free(elf);
	assert_int_equal(run("--elf", path("convention.elf"), "--disk", path("absent"), NULL), 1);
}

static void test_signature(void **unused)
{
	size_t length;
	char *text;

	assert_int_equal(
		run("--elf", path("convention.elf"), "--signature", path("signature"), NULL), 42);
	text = read_file("signature", &length);
	assert_string_equal(text, "00112233\nffffffff\n0000002a\n12345678\n");
	free(text);
	assert_int_equal(run("--elf", path("isa.elf"), "--signature", path("signature"), NULL), 1);
	assert_said("begin_signature");
}

/* A run cut in two ends as the whole run does, in the same number of instructions; and so for
 * several cuts. */
static void test_snapshot(void **unused)
{
	static const char *const cuts[] = { "50", "5000", "40000", "90001" };
	char whole[4096], *data;
	size_t length;

	assert_int_equal(run("--elf", path("smp.elf"), "--harts", "3", "--statistics", NULL), 0);
	strncpy(whole, strtok(said, " "), sizeof(whole) - 1);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(run("--elf", path("smp.elf"), "--harts", "3", "--snapshot-at",
				     cuts[i], "--snapshot", path("snapshot"), NULL),
				 0);
		assert_int_equal(run("--resume", path("snapshot"), "--harts", "3", "--clock",
				     "virtual", NULL),
				 0);
		assert_int_equal(run("--resume", path("snapshot"), "--harts", "2", "--clock",
				     "virtual", NULL),
				 1);
		assert_said("another machine");
	}
	/* the flash: its contents, and a command half given */
	for (unsigned int cut = 700; cut < 4000; cut += 301) {
		char at[16];

		snprintf(at, sizeof(at), "%u", cut);
		assert_int_equal(run("--elf", path("flash.elf"), "--snapshot-at", at, "--snapshot",
				     path("snapshot"), NULL),
				 0);
		assert_int_equal(run("--resume", path("snapshot"), "--clock", "virtual", NULL), 0);
	}
	assert_int_equal(run("--elf", path("worlds.elf"), "--worldguard", "nworlds=4,trusted=3",
			     "--iopmp", "model=full", "--snapshot-at", "9000", "--snapshot",
			     path("snapshot"), NULL),
			 0);
	assert_int_equal(run("--resume", path("snapshot"), "--worldguard", "nworlds=4,trusted=3",
			     "--iopmp", "model=full", "--clock", "virtual", NULL),
			 0);
	data = read_file("snapshot", &length);
	for (size_t at = 1; at < length; at += length / 37) {
		data[at] ^= 0x20;
		write_file("damaged", data, length);
		assert_int_equal(run("--resume", path("damaged"), "--worldguard",
				     "nworlds=4,trusted=3", "--iopmp", "model=full", "--clock",
				     "virtual", NULL),
				 1);
		data[at] ^= 0x20;
	}
	write_file("damaged", data, length / 2);
	assert_int_equal(run("--resume", path("damaged"), "--worldguard", "nworlds=4,trusted=3",
			     "--iopmp", "model=full", "--clock", "virtual", NULL),
			 1);
	assert_said("damaged");
	free(data);
}

static uint64_t sum_of(const uint8_t *data, size_t length)
{
	uint64_t sum = 0xcbf29ce484222325ull; /* FNV-1a */

	for (size_t i = 0; i < length; i++)
		sum = (sum ^ data[i]) * 0x100000001b3ull;
	return sum;
}

/* A file whose sum is right and whose contents are not: refused, or a strange machine; never a crash. */
static void test_forged_snapshot(void **unused)
{
	static const uint8_t patterns[] = { 0xff, 0x80, 0x7f, 0x01 };
	static const char *const names[] = { "hart", "world", "clock", "aclint", "plic", "uart", "rtc",
					     "virtio", "dma", "flash", "wgchecker", "wgmarker", "iopmp" };
	char *file;
	uint8_t *data, *copy, *at;
	unsigned int blocks = 0;
	size_t length;

	assert_int_equal(run("--elf", path("devices.elf"), "--worldguard", "nworlds=4,trusted=3",
			     "--iopmp", "model=full,rules=open", "--snapshot-at", "4000", "--snapshot",
			     path("snapshot"), NULL),
			 0);
	file = read_file("snapshot", &length);
	data = (uint8_t *)file;
	copy = malloc(length);
	assert_non_null(copy);
	at = memmem(data, length, "hart\0\0\0\0\0\0\0\0", 12);
	assert_non_null(at);
	while (at + 24 < data + length) {
		uint64_t size;
		bool known = false;

		for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			known |= !strncmp((char *)at, names[i], 16);
		if (!known)
			break;
		blocks++;
		memcpy(&size, at + 16, 8);
		at += 24;
		for (unsigned int p = 0; p < sizeof(patterns); p++) {
			uint64_t sum;

			memcpy(copy, data, length);
			memset(copy + (at - data), patterns[p], size);
			sum = sum_of(copy, length - 8);
			memcpy(copy + length - 8, &sum, 8);
			write_file("damaged", copy, length);
			run("--resume", path("damaged"), "--worldguard", "nworlds=4,trusted=3", "--iopmp",
			    "model=full,rules=open", "--clock", "virtual", "--limit", "100000", NULL);
		}
		at += size;
	}
	assert_int_equal(blocks, 2 + 1 + 5 + 8 + 2 + 4 + 2);
	free(copy);
	free(file);
}

/* With the virtual clock the same run takes the same number of instructions every time. */
static void test_repeatable(void **unused)
{
	char first[64];

	assert_int_equal(run("--elf", path("devices.elf"), "--statistics", NULL), 0);
	snprintf(first, sizeof(first), "%.*s", (int)strcspn(said, "i"), said);
	assert_true(strtoull(first, NULL, 10) > 1000);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(run("--elf", path("devices.elf"), "--statistics", NULL), 0);
		assert_memory_equal(first, said, strlen(first));
	}
}

static void test_disk(void **unused)
{
	char *disk = calloc(1, 65536);
	size_t length;

	assert_non_null(disk);
	disk[512] = 'B';
	write_file("disk", disk, 65536);
	free(disk);
	assert_int_equal(run("--elf", path("virtio.elf"), "--disk", path("disk"), NULL), 0);
	disk = read_file("disk", &length);
	assert_int_equal(length, 65536);
	assert_int_equal((unsigned char)disk[100 * 512 + 1023], (unsigned char)(1023 * 7));
	free(disk);
	/* behind checkers that let it through, and behind an IOPMP without rules: the driver is
	 * told */
	disk = calloc(1, 65536);
	disk[512] = 'B';
	write_file("disk", disk, 65536);
	free(disk);
	assert_int_equal(run("--elf", path("virtio.elf"), "--disk", path("disk"), "--worldguard",
			     "nworlds=2", "--iopmp", "model=compact-k,rules=open", NULL),
			 0);
	assert_int_equal(run("--elf", path("virtio.elf"), "--disk", path("disk"), "--iopmp",
			     "enabled=on,cpu=off", NULL),
			 1);
}

/* A reset starts the images again, with clean devices and no stale code; a machine nothing can wake
 * ends. */
static void test_reset(void **unused)
{
	assert_int_equal(run("--elf", path("reboot.elf"), NULL), 7);
	assert_said("first\nsecond\n");
	assert_int_equal(run("--elf", path("reboot.elf"), "--harts", "2", NULL), 124);
	assert_said("nothing is left that could wake");
}

static int debugger;

static void packet(const char *text)
{
	char frame[512];
	unsigned int sum = 0;

	for (const char *p = text; *p; p++)
		sum += (unsigned char)*p;
	snprintf(frame, sizeof(frame), "$%s#%02x", text, sum & 0xff);
	assert_int_equal(write(debugger, frame, strlen(frame)), strlen(frame));
}

static char next_byte(void)
{
	char c;

	assert_int_equal(read(debugger, &c, 1), 1);
	return c;
}

/* Send, and the body of the reply. */
static const char *ask(const char *text)
{
	static char reply[16384];
	size_t n = 0;
	char c;

	packet(text);
	while (next_byte() != '$')
		;
	while ((c = next_byte()) != '#')
		reply[n++] = c;
	reply[n] = 0;
	next_byte();
	next_byte();
	/* after the last reply nobody may be there to take it */
	if (write(debugger, "+", 1) != 1)
		assert_int_equal(reply[0], 'W');
	return reply;
}

static void test_debugger(void **unused)
{
	static char elf[] = "--elf", gdb[] = "--gdb";
	char *arguments[] = {
		(char *)(uintptr_t)command, elf, path("convention.elf"), gdb, path("gdb"), NULL
	};
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int output, status;
	pid_t child = start(arguments, &output);
	char text[64];

	strncpy(at.sun_path, path("gdb"), sizeof(at.sun_path) - 1);
	debugger = socket(AF_UNIX, SOCK_STREAM, 0);
	for (unsigned int i = 0; i < 6000 && connect(debugger, (struct sockaddr *)&at, sizeof(at));
	     i++)
		usleep(10000);
	assert_non_null(strstr(ask("qSupported:multiprocess+"), "qXfer:features:read+"));
	assert_non_null(strstr(ask("qXfer:features:read:target.xml:0,ffb"), "riscv:rv64"));
	assert_string_equal(ask("?"), "T05thread:1;");
	assert_string_equal(ask("p20"), "0010000000000000"); /* pc: the boot ROM */
	assert_string_equal(ask("Z0,80000000,4"), "OK");
	assert_string_equal(ask("c"), "T05thread:1;");
	assert_string_equal(ask("p20"), "0000008000000000");
	assert_string_equal(ask("z0,80000000,4"), "OK");
	assert_string_equal(ask("s"), "T05thread:1;");
	/* one instruction, not a block: the program begins with two of four bytes */
	assert_string_equal(ask("p20"), "0400008000000000");
	assert_string_equal(ask("s"), "T05thread:1;");
	assert_string_equal(ask("p20"), "0800008000000000");
	assert_int_equal(strlen(ask("g")), 33 * 16);
	assert_string_equal(ask("P5=8877665544332211"), "OK");
	assert_string_equal(ask("p5"), "8877665544332211");
	assert_string_equal(ask("M80100000,4:01020304"), "OK");
	assert_string_equal(ask("m80100000,4"), "01020304");
	assert_string_equal(ask("m40000000,4"), "E01");
	assert_string_equal(ask("p1000"), "E01"); /* no such register */
	snprintf(text, sizeof(text), "p%x", 65 + 0xf14);
	assert_string_equal(ask(text), "0000000000000000"); /* mhartid */
	assert_string_equal(ask("mffffffffffffffff,ffffffffff"), "E01");
	assert_string_equal(ask("vMustReplyEmpty"), "");
	assert_string_equal(ask("c"), "W2a");
	close(debugger);
	close(output);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), 42);
}

/* Everything in it: a test that failed leaves what it was at. */
static int remove_directory(void **unused)
{
	DIR *d = opendir(directory);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		unlink(path(entry->d_name));
	if (d)
		closedir(d);
	return rmdir(directory);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statuses),   cmocka_unit_test(test_wrong_options),
		cmocka_unit_test(test_bad_images), cmocka_unit_test(test_signature),
		cmocka_unit_test(test_snapshot),   cmocka_unit_test(test_repeatable),
		cmocka_unit_test(test_forged_snapshot),
		cmocka_unit_test(test_disk),	   cmocka_unit_test(test_reset),
		cmocka_unit_test(test_debugger),
	};

	if (argc != 3 || !mkdtemp(directory))
		return 1;
	signal(SIGPIPE, SIG_IGN);
	command = argv[1];
	programs = argv[2];
	return cmocka_run_group_tests_name("command", tests, NULL, remove_directory);
}
