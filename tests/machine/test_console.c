/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Someone at the terminal: U-Boot and Linux's shell on the machine, told what to do byte by byte
 * as a person would, through the UART and through the virtio console. argv: the command; the images
 * come from the environment (with_images.sh).
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE 240 /* seconds: only a machine that does nothing gets there */
#define SECTOR	 512

static const char *command;
static char directory[] = "/tmp/viommu-console-XXXXXX";
static char disk[64];

/* The machine that runs: its terminal, and what it said since the last match. */
static struct {
	pid_t child;
	int in, out;
	char said[1 << 18];
	size_t length;
} m;

static const char *image(const char *name)
{
	const char *path = getenv(name);

	if (!path)
		fail_msg("%s is not set", name);
	return path;
}

static void start(const char *first, ...)
{
	char *arguments[32] = { (char *)(uintptr_t)command, (char *)(uintptr_t)"--bios",
				(char *)(uintptr_t)image("VIOMMU_RISCV_OPENSBI"),
				(char *)(uintptr_t)first };
	int in[2], out[2], n = 4;
	va_list list;

	va_start(list, first);
	while (n < 31 && (arguments[n] = va_arg(list, char *)))
		n++;
	va_end(list);
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	m.child = fork();
	if (!m.child) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(out[1], 2);
		close(in[1]);
		close(out[0]);
		execv(command, arguments);
		_exit(126);
	}
	close(in[0]);
	close(out[1]);
	m.in = in[1];
	m.out = out[0];
	m.length = 0;
}

static time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* Wait until the machine has said this. What comes after stays for the next wait. */
static void expect(const char *text)
{
	time_t until = seconds() + PATIENCE;
	char *found;

	m.said[m.length] = 0;
	while (!(found = memmem(m.said, m.length, text, strlen(text)))) {
		struct pollfd fd = { m.out, POLLIN, 0 };
		ssize_t n = -1;

		assert_true(m.length < sizeof(m.said) - 1);
		if (seconds() < until && poll(&fd, 1, 1000) == 0)
			continue;
		if (fd.revents)
			n = read(m.out, m.said + m.length, sizeof(m.said) - 1 - m.length);
		if (n <= 0) {
			m.said[m.length] = 0;
			fail_msg("no \"%s\" in: %s", text, m.said);
		}
		m.length += (size_t)n;
	}
	found += strlen(text);
	m.length -= (size_t)(found - m.said);
	memmove(m.said, found, m.length);
}

static void type(const char *text)
{
	assert_int_equal(write(m.in, text, strlen(text)), strlen(text));
}

/* A command to U-Boot's prompt, and what it must answer. */
static void u_boot(const char *line, const char *answer)
{
	type(line);
	type("\n");
	expect("\n"); /* the echo */
	expect(answer);
	expect("=> ");
}

/* The machine turns itself off: the status. */
static int end(void)
{
	struct pollfd fd = { m.out, POLLIN, 0 };
	time_t until = seconds() + PATIENCE;
	int status;

	while (seconds() < until) {
		if (poll(&fd, 1, 1000) > 0 && read(m.out, m.said, sizeof(m.said)) <= 0)
			break;
	}
	assert_true(seconds() < until);
	close(m.in);
	close(m.out);
	assert_int_equal(waitpid(m.child, &status, 0), m.child);
	m.child = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* A test that failed leaves no machine behind. */
static int stop(void **unused)
{
	if (m.child > 0) {
		kill(m.child, SIGKILL);
		waitpid(m.child, NULL, 0);
		close(m.in);
		close(m.out);
		m.child = 0;
	}
	unlink(disk);
	return 0;
}

/* Append a file to the disk at a sector boundary; its length. */
static size_t append(FILE *to, const char *path, size_t *sector)
{
	FILE *from = fopen(path, "rb");
	char buffer[65536];
	size_t n, length = 0;

	assert_non_null(from);
	*sector = (size_t)ftell(to) / SECTOR;
	while ((n = fread(buffer, 1, sizeof(buffer), from)) > 0) {
		assert_int_equal(fwrite(buffer, 1, n, to), n);
		length += n;
	}
	fclose(from);
	memset(buffer, 0, SECTOR);
	n = (SECTOR - length % SECTOR) % SECTOR;
	assert_int_equal(fwrite(buffer, 1, n, to), n);
	return length;
}

static void to_prompt(void)
{
	expect("Hit any key to stop autoboot");
	type(" ");
	expect("=> ");
}

/* U-Boot finds the disk in the device tree, reads what we put there and writes what we then find. */
static void test_u_boot_disk(void **unused)
{
	char sectors[64 * SECTOR] = { 0 };
	FILE *f = fopen(disk, "wb");

	assert_non_null(f);
	memcpy(sectors + 7 * SECTOR, "sector seven", 12);
	assert_int_equal(fwrite(sectors, 1, sizeof(sectors), f), sizeof(sectors));
	fclose(f);
	start("--payload", image("VIOMMU_RISCV_UBOOT"), "--disk", disk, NULL);
	expect("U-Boot 20");
	to_prompt();
	u_boot("virtio scan", "");
	u_boot("virtio info", "Capacity: 0.0 MB = 0.0 GB (64 x 512)");
	u_boot("virtio read 84000000 7 1", "1 blocks read: OK");
	u_boot("md.b 84000000 c", "sector seven");
	u_boot("mw.b 84000000 5a 200; virtio write 84000000 9 1", "1 blocks written: OK");
	u_boot("virtio read 84000000 100 1", "ERROR"); /* beyond the end */
	u_boot("setenv try 'setexpr n 0x2a * 3; printenv n'; run try", "n=7e");
	type("poweroff\n");
	assert_int_equal(end(), 0);
	f = fopen(disk, "rb");
	assert_non_null(f);
	assert_int_equal(fread(sectors, 1, sizeof(sectors), f), sizeof(sectors));
	fclose(f);
	for (size_t i = 0; i < SECTOR; i++) {
		assert_int_equal(sectors[8 * SECTOR + i], 0);
		assert_int_equal(sectors[9 * SECTOR + i], 0x5a);
		assert_int_equal(sectors[10 * SECTOR + i], 0);
	}
}

/* Its CFI driver knows the flash from the device tree and what the chips say, erases and programs it. */
static void test_u_boot_flash(void **unused)
{
	start("--payload", image("VIOMMU_RISCV_UBOOT"), NULL);
	to_prompt();
	u_boot("flinfo 2", "CFI conformant flash (32 x 16)  Size: 32 MB in 128 Sectors");
	u_boot("mw.b 84000000 a5 1000", "");
	u_boot("protect off 22040000 +40000", "Un-Protected 1 sectors");
	u_boot("erase 22040000 +40000", "Erased 1 sectors");
	u_boot("cp.b 84000000 22040000 1000", "done");
	u_boot("cmp.b 84000000 22040000 1000", "Total of 4096 byte(s) were the same");
	u_boot("protect on 22040000 +40000", "Protected 1 sectors");
	u_boot("erase 22040000 +40000", "1 protected sectors will not be erased");
	u_boot("md.b 22040ff8 10", "a5 a5 a5 a5 a5 a5 a5 a5 ff ff ff ff ff ff ff ff");
	type("poweroff\n");
	assert_int_equal(end(), 0);
}

/* What firmware that programs checkers looks for in the tree: whom each one guards. */
static void test_checkers_in_tree(void **unused)
{
	static const char *const pairs[][2] = { { "6000000", "/memory@80000000" },
						{ "6001000", "/soc/flash@20000000" },
						{ "6002000", "/soc/serial@10000000" } };
	char line[256];

	start("--payload", image("VIOMMU_RISCV_UBOOT"), "--worldguard", "nworlds=4,trusted=3", NULL);
	to_prompt();
	u_boot("fdt addr $fdtcontroladdr", "Working FDT");
	for (unsigned int i = 0; i < 3; i++) {
		snprintf(line, sizeof(line),
			 "fdt get value p /soc/wgchecker@%s sifive,subordinates; fdt get value q %s phandle",
			 pairs[i][0], pairs[i][1]);
		u_boot(line, "");
		u_boot("test $p = $q && echo sa''me", "same");
	}
	u_boot("fdt print /cpus/cpu@0/worldguard", "mwidlist = <0x00000000 0x00000001 0x00000002 0x00000003>");
	type("poweroff\n");
	assert_int_equal(end(), 0);
}

/* And it boots Linux from that disk, whose shell is ours. */
static void test_u_boot_linux(void **unused)
{
	size_t kernel, initrd, length, initrd_length;
	FILE *f = fopen(disk, "wb");
	char line[256];

	assert_non_null(f);
	length = append(f, image("VIOMMU_RISCV_KERNEL"), &kernel);
	initrd_length = append(f, image("VIOMMU_RISCV_INITRD"), &initrd);
	fclose(f);
	start("--payload", image("VIOMMU_RISCV_UBOOT"), "--disk", disk, NULL);
	to_prompt();
	snprintf(line, sizeof(line), "virtio scan; virtio read 84000000 %zx %zx", kernel,
		 (length + SECTOR - 1) / SECTOR);
	u_boot(line, "blocks read: OK");
	snprintf(line, sizeof(line), "virtio read a0000000 %zx %zx", initrd,
		 (initrd_length + SECTOR - 1) / SECTOR);
	u_boot(line, "blocks read: OK");
	u_boot("setenv bootargs console=ttyS0 quiet run=shell", "");
	snprintf(line, sizeof(line), "booti 84000000 a0000000:%zx $fdtcontroladdr\n", initrd_length);
	type(line);
	expect("Starting kernel");
	expect("running 'shell'");
	type("echo $((6 * 7))-$(uname -m)\n");
	expect("42-riscv64");
	type("exit\n");
	expect("done: PASS");
	assert_int_equal(end(), 0);
}

static void talk_to_shell(const char *script, const char *console, const char *device)
{
	char append_text[64];

	snprintf(append_text, sizeof(append_text), "console=ttyS0 quiet run=%s", script);
	start("--kernel", image("VIOMMU_RISCV_KERNEL"), "--initrd", image("VIOMMU_RISCV_INITRD"),
	      "--append", append_text, "--console", console, NULL);
	snprintf(append_text, sizeof(append_text), "running '%s'", script);
	expect(append_text);
	expect("# "); /* the prompt: Linux drops what comes to a console that nobody has opened */
	type("tty; echo $((6 * 7))-$(uname -m)\n");
	expect(device);
	expect("42-riscv64");
	/* more than a FIFO holds, and all of it arrives */
	type("cat >/tmp/text <<end\n");
	for (unsigned int i = 0; i < 64; i++)
		type("0123456789abcdef0123456789abcdef\n");
	type("end\necho $(wc -c </tmp/text) bytes, $(sort -u /tmp/text | wc -l) kinds\n");
	expect("2112 bytes, 1 kinds");
	type("exit\n");
	expect("done: PASS");
	assert_int_equal(end(), 0);
}

static void test_shell_on_uart(void **unused)
{
	talk_to_shell("shell", "uart", "/dev/ttyS0");
}

static void test_shell_on_virtio_console(void **unused)
{
	talk_to_shell("hvc", "virtio", "/dev/hvc0");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_u_boot_disk, stop),
		cmocka_unit_test_teardown(test_u_boot_flash, stop),
		cmocka_unit_test_teardown(test_checkers_in_tree, stop),
		cmocka_unit_test_teardown(test_u_boot_linux, stop),
		cmocka_unit_test_teardown(test_shell_on_uart, stop),
		cmocka_unit_test_teardown(test_shell_on_virtio_console, stop),
	};
	int failed;

	if (argc < 2 || !mkdtemp(directory))
		return 1;
	cmocka_set_test_filter(argc > 2 ? argv[2] : NULL);
	signal(SIGPIPE, SIG_IGN);
	command = argv[1];
	snprintf(disk, sizeof(disk), "%s/disk", directory);
	failed = cmocka_run_group_tests_name("console", tests, NULL, NULL);
	rmdir(directory);
	return failed;
}
