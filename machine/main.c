/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `viommu riscv`: options, terminal, exit status.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <viommu/cpu.h>

#include "checkers.h"
#include "gdb.h"
#include "loader.h"
#include "machine.h"
#include "snapshot.h"

#define STATUS_USAGE 2

struct command {
	struct board_options options;
	struct images images;
	const char *snapshot, *resume, *gdb;
	uint64_t snapshot_at, limit;
	bool statistics, clock_given;
};

static void help(void)
{
	printf("usage: viommu riscv [OPTION...]\n"
	       "\n"
	       "Run an RV64GC machine with the memory map of QEMU's virt board.\n"
	       "\n"
	       "  --elf FILE         a bare-metal program; a store to its symbol tohost ends the run:\n"
	       "                     value 1 is exit status 0, value 2n+1 is exit status n\n"
	       "  --signature FILE   write begin_signature..end_signature at the end, a word a line\n"
	       "  --bios FILE        firmware at the start of memory (OpenSBI fw_jump or fw_dynamic, or ELF)\n"
	       "  --kernel FILE      a riscv64 kernel Image\n"
	       "  --payload FILE     instead of a kernel, any raw S-mode program (U-Boot's u-boot.bin)\n"
	       "  --initrd FILE      its initramfs\n"
	       "  --append TEXT      its command line\n"
	       "  --disk FILE        a raw disk image, as a virtio block device (up to %d times)\n"
	       "  --flash FILE       contents of the flash at 0x%x\n"
	       "  --harts N          1 to %d; default 1\n"
	       "  --memory SIZE      K, M or G; default 128M (with --kernel, --payload 1G)\n"
	       "  --aia MODE         none (PLIC; the default), aplic or imsic\n"
	       "  --worldguard LIST  wgCheckers on DRAM, flash and UART: nworlds=N,trusted=W,master=W,\n"
	       "                     bypass=on|off,worlds=wg04|draft,rule=union|priority,guard=on|off\n"
	       "  --iopmp LIST       an IOPMP in front of harts and masters: model=full|rapid-k|dynamic-k|\n"
	       "                     isolation|compact-k,spec=0.8|0.7,sources=N,domains=N,entries=N,...\n"
	       "  --clock KIND       host: mtime follows the host's clock; virtual: it counts\n"
	       "                     instructions, and runs repeat. Default: virtual with --elf\n"
	       "  --limit N          stop with status 124 after N instructions\n"
	       "  --snapshot FILE    write the machine's state at the end (or when --snapshot-at says)\n"
	       "  --snapshot-at N    write it, and stop, after N instructions\n"
	       "  --resume FILE      start from such a file (same --harts, --memory and checkers)\n"
	       "  --gdb WHERE        wait for a debugger on a TCP port or a unix socket path\n"
	       "  --statistics       say on stderr what the run cost\n"
	       "  --console DEVICE   whose input the terminal is: uart (the default) or virtio (hvc0)\n"
	       "  --no-console       nobody's, and what the consoles print is dropped\n"
	       "  --no-caches        translate every access and decode every instruction anew: slow,\n"
	       "                     simple, and the reference for everything that is cached\n"
	       "\n"
	       "Ctrl-A x ends the run when the terminal is the machine's. Status: the program's own, 124 at\n"
	       "a limit, 1 when it could not run, 2 for a wrong command line.\n",
	       BOARD_VIRTIO - 2, ADDR_FLASH, BOARD_HARTS);
}

static int parse_u64(const char *text, uint64_t low, uint64_t high, bool suffix, uint64_t *value)
{
	static const char units[] = "KMG";
	char *end;
	const char *unit;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (errno || end == text || *text == '-')
		return -EINVAL;
	unit = suffix && *end ? strchr(units, *end) : NULL;
	if (unit && *unit) {
		unsigned int shift = 10 * (unsigned int)(unit - units + 1);

		if (*value > UINT64_MAX >> shift)
			return -EINVAL;
		*value <<= shift;
		end++;
	}
	return *end || *value < low || *value > high ? -EINVAL : 0;
}

enum {
	OPT_ELF = 256,
	OPT_SIGNATURE,
	OPT_BIOS,
	OPT_KERNEL,
	OPT_PAYLOAD,
	OPT_INITRD,
	OPT_APPEND,
	OPT_DISK,
	OPT_FLASH,
	OPT_HARTS,
	OPT_MEMORY,
	OPT_AIA,
	OPT_WORLDGUARD,
	OPT_IOPMP,
	OPT_CLOCK,
	OPT_LIMIT,
	OPT_SNAPSHOT,
	OPT_SNAPSHOT_AT,
	OPT_RESUME,
	OPT_GDB,
	OPT_STATISTICS,
	OPT_CONSOLE,
	OPT_NO_CONSOLE,
	OPT_NO_CACHES
};

static const struct option long_options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "elf", required_argument, NULL, OPT_ELF },
	{ "signature", required_argument, NULL, OPT_SIGNATURE },
	{ "bios", required_argument, NULL, OPT_BIOS },
	{ "kernel", required_argument, NULL, OPT_KERNEL },
	{ "payload", required_argument, NULL, OPT_PAYLOAD },
	{ "initrd", required_argument, NULL, OPT_INITRD },
	{ "append", required_argument, NULL, OPT_APPEND },
	{ "disk", required_argument, NULL, OPT_DISK },
	{ "flash", required_argument, NULL, OPT_FLASH },
	{ "harts", required_argument, NULL, OPT_HARTS },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "aia", required_argument, NULL, OPT_AIA },
	{ "worldguard", required_argument, NULL, OPT_WORLDGUARD },
	{ "iopmp", required_argument, NULL, OPT_IOPMP },
	{ "clock", required_argument, NULL, OPT_CLOCK },
	{ "limit", required_argument, NULL, OPT_LIMIT },
	{ "snapshot", required_argument, NULL, OPT_SNAPSHOT },
	{ "snapshot-at", required_argument, NULL, OPT_SNAPSHOT_AT },
	{ "resume", required_argument, NULL, OPT_RESUME },
	{ "gdb", required_argument, NULL, OPT_GDB },
	{ "statistics", no_argument, NULL, OPT_STATISTICS },
	{ "console", required_argument, NULL, OPT_CONSOLE },
	{ "no-console", no_argument, NULL, OPT_NO_CONSOLE },
	{ "no-caches", no_argument, NULL, OPT_NO_CACHES },
	{ NULL, 0, NULL, 0 },
};

static int wrong(const char *option, const char *value, const char *allowed)
{
	fprintf(stderr, "viommu riscv: --%s %s: %s\n", option, value, allowed);
	return -EINVAL;
}

static int take_choice(struct command *c, int option, const char *value)
{
	if (option == OPT_AIA) {
		static const char *const names[] = { "none", "aplic", "imsic" };

		for (unsigned int i = 0; i < 3; i++) {
			if (!strcmp(value, names[i])) {
				c->options.aia = (enum board_aia)i;
				return 0;
			}
		}
		return wrong("aia", value, "none, aplic or imsic");
	}
	if (option == OPT_CONSOLE) {
		c->options.console_virtio = !strcmp(value, "virtio");
		return c->options.console_virtio || !strcmp(value, "uart")
			       ? 0
			       : wrong("console", value, "uart or virtio");
	}
	c->clock_given = true;
	c->options.virtual_clock = !strcmp(value, "virtual");
	if (!c->options.virtual_clock && strcmp(value, "host"))
		return wrong("clock", value, "host or virtual");
	return 0;
}

static int take_number(struct command *c, int option, const char *value)
{
	uint64_t n;

	switch (option) {
	case OPT_HARTS:
		if (parse_u64(value, 1, BOARD_HARTS, false, &n))
			return wrong("harts", value, "a number from 1 to 16");
		c->options.harts = (unsigned int)n;
		return 0;
	case OPT_MEMORY:
		if (parse_u64(value, 1 << 20, BOARD_MEMORY_MAX, true, &n) || n & 0xfffff)
			return wrong("memory", value, "whole MiB, from 1M to 128G");
		c->options.memory = n;
		return 0;
	case OPT_LIMIT:
		return parse_u64(value, 1, UINT64_MAX, true, &c->limit)
			       ? wrong("limit", value, "a number of instructions")
			       : 0;
	default:
		return parse_u64(value, 1, UINT64_MAX, true, &c->snapshot_at)
			       ? wrong("snapshot-at", value, "a number of instructions")
			       : 0;
	}
}

static int take(struct command *c, int option, const char *value)
{
	switch (option) {
	case OPT_ELF:
		c->images.elf = value;
		return 0;
	case OPT_SIGNATURE:
		c->images.signature = value;
		return 0;
	case OPT_BIOS:
		c->images.bios = value;
		return 0;
	case OPT_KERNEL:
		c->images.kernel = value;
		return 0;
	case OPT_PAYLOAD:
		c->images.payload = value;
		return 0;
	case OPT_INITRD:
		c->images.initrd = value;
		return 0;
	case OPT_APPEND:
		c->images.append = value;
		return 0;
	case OPT_FLASH:
		c->images.flash = value;
		return 0;
	case OPT_SNAPSHOT:
		c->snapshot = value;
		return 0;
	case OPT_RESUME:
		c->resume = value;
		return 0;
	case OPT_GDB:
		c->gdb = value;
		return 0;
	case OPT_STATISTICS:
		c->statistics = true;
		return 0;
	case OPT_NO_CONSOLE:
		c->options.console = false;
		return 0;
	case OPT_NO_CACHES:
		c->options.no_caches = true;
		return 0;
	case OPT_AIA:
	case OPT_CONSOLE:
	case OPT_CLOCK:
		return take_choice(c, option, value);
	case OPT_HARTS:
	case OPT_MEMORY:
	case OPT_LIMIT:
	case OPT_SNAPSHOT_AT:
		return take_number(c, option, value);
	case OPT_WORLDGUARD:
		return checkers_parse_worldguard(value, &c->options.wg);
	case OPT_IOPMP:
		return checkers_parse_iopmp(value, &c->options.iopmp);
	case OPT_DISK:
		if (c->options.disks == BOARD_VIRTIO - 2)
			return wrong("disk", value, "the board has room for six disks");
		c->options.disk[c->options.disks++] = value;
		return 0;
	}
	return -EINVAL;
}

static int parse(struct command *c, int argc, char **argv)
{
	int option;

	c->options.harts = 1;
	c->options.console = true;
	optind = 1;
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (option == 'h') {
			help();
			return 1;
		}
		if (option == '?')
			fprintf(stderr, "viommu riscv: \"viommu riscv --help\" lists the options\n");
		if (option == '?' || take(c, option, optarg))
			return -EINVAL;
	}
	if (optind < argc) {
		fprintf(stderr, "viommu riscv: %s: no arguments besides options are allowed\n", argv[optind]);
		return -EINVAL;
	}
	if (!c->images.elf && !c->images.bios && !c->images.kernel && !c->images.payload &&
	    !c->resume) {
		fprintf(stderr,
			"viommu riscv: nothing to run: give --elf, or --bios and --kernel, or --resume\n");
		return -EINVAL;
	}
	if ((c->images.kernel || c->images.payload) && !c->images.bios && !c->resume) {
		fprintf(stderr,
			"viommu riscv: --%s needs firmware: give --bios with an OpenSBI image\n",
			c->images.kernel ? "kernel" : "payload");
		return -EINVAL;
	}
	if (c->images.kernel && c->images.payload)
		return wrong("payload", c->images.payload, "there is a --kernel already");
	if (c->snapshot_at && !c->snapshot) {
		fprintf(stderr, "viommu riscv: --snapshot-at needs --snapshot FILE\n");
		return -EINVAL;
	}
	if (!c->options.memory)
		c->options.memory = c->images.kernel || c->images.payload ? 1ull << 30 : 128ull << 20;
	if (!c->clock_given)
		c->options.virtual_clock = c->images.elf != NULL;
	return 0;
}

static struct termios saved_terminal;
static bool terminal_changed;

static void restore_terminal(void)
{
	if (terminal_changed)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved_terminal);
	terminal_changed = false;
}

static void raw_terminal(const struct board_options *options)
{
	struct termios raw;

	if (!options->console || !isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved_terminal))
		return;
	raw = saved_terminal;
	raw.c_iflag &=
		~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
	terminal_changed = !tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	atexit(restore_terminal);
}

static void print_statistics(const struct board *b, double seconds)
{
	struct viommu_cpu_statistics s = { .size = sizeof(s) };

	fprintf(stderr,
		"%" PRIu64 " instructions in %.3f s: %.0f million a second; %u decoded pages\n",
		b->instructions, seconds, (double)b->instructions / seconds / 1e6, b->code->count);
	for (unsigned int i = 0; i < b->harts; i++) {
		viommu_cpu_tlb_statistics(b->hart[i]->tlb, &s);
		fprintf(stderr,
			"hart %u: %" PRIu64 " traps, TLB: %" PRIu64 " slow, %" PRIu64
			" misses, %" PRIu64 " translations, %" PRIu64 " flushes, %u entries\n",
			i, b->hart[i]->traps, s.slow, s.misses, s.translations, s.flushes,
			s.entries);
	}
}

static int prepare(struct command *c, struct board *b)
{
	int r = c->resume ? snapshot_load(b, c->resume) : loader_load(b, &c->images);

	if (r)
		return r;
	b->reload = c->resume ? NULL : &c->images;
	if (c->snapshot_at)
		b->limit = c->snapshot_at;
	if (c->limit && (!b->limit || c->limit < b->limit))
		b->limit = c->limit;
	b->quiet_limit = c->snapshot_at && b->limit == c->snapshot_at;
	return c->gdb ? gdb_attach(b, c->gdb) : 0;
}

static int run(struct command *c)
{
	struct timespec from, to;
	struct board *b;
	int status, r;

	/* The machine has no name for what of it could not be made. */
	for (unsigned int i = 0; i < c->options.disks; i++) {
		if (access(c->options.disk[i], R_OK)) {
			fprintf(stderr, "viommu riscv: --disk %s: %s\n", c->options.disk[i], strerror(errno));
			return 1;
		}
	}
	r = board_create(&c->options, &b);
	if (r) {
		fprintf(stderr, "viommu riscv: the machine could not be made: %s%s\n", strerror(-r),
			r == -ENOMEM ? " (--memory asks for more than the host has?)" : "");
		return 1;
	}
	if (prepare(c, b)) {
		board_destroy(b);
		return 1;
	}
	raw_terminal(&c->options);
	clock_gettime(CLOCK_MONOTONIC, &from);
	status = board_run(b);
	clock_gettime(CLOCK_MONOTONIC, &to);
	restore_terminal();
	if (c->statistics)
		print_statistics(b, (double)(to.tv_sec - from.tv_sec) +
					    (double)(to.tv_nsec - from.tv_nsec) / 1e9);
	if (c->images.signature && loader_write_signature(b, &c->images))
		status = 1;
	if (c->snapshot)
		status = snapshot_save(b, c->snapshot)	   ? 1
			 : b->quiet_limit && status == 124 ? 0
							   : status;
	gdb_detach(b, status);
	board_destroy(b);
	return status;
}

int machine_main(int argc, char **argv)
{
	struct command command = { 0 };
	int r = parse(&command, argc, argv);

	if (r)
		return r > 0 ? 0 : STATUS_USAGE;
	return run(&command);
}
