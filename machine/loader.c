/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Images to memory, in the places QEMU's `virt` board puts them: firmware at the start of DRAM, the
 * kernel 2 MiB further, the initramfs and the device tree behind it; a boot ROM that gives a0 the
 * hart, a1 the tree, a2 what fw_dynamic wants.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader.h"

#define KERNEL_OFFSET 0x200000
#define ALIGN_2M(v)   (((v) + 0x1fffff) & ~0x1fffffull)

struct file {
	const char *path;
	uint8_t *data;
	size_t length;
};

static int complain(const char *path, const char *what)
{
	fprintf(stderr, "viommu riscv: %s: %s\n", path, what);
	return -EINVAL;
}

static int file_open(const char *path, struct file *file)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	*file = (struct file){ path, NULL, 0 };
	if (fd < 0 || fstat(fd, &st)) {
		int error = errno;

		fprintf(stderr, "viommu riscv: %s: %s\n", path, strerror(error));
		if (fd >= 0)
			close(fd);
		return -error;
	}
	if (!S_ISREG(st.st_mode) || !st.st_size) {
		close(fd);
		return complain(path, "empty, or not a file");
	}
	file->length = (size_t)st.st_size;
	file->data = mmap(NULL, file->length, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (file->data == MAP_FAILED) {
		file->data = NULL;
		return complain(path, "cannot be mapped");
	}
	return 0;
}

static void file_close(struct file *file)
{
	if (file->data)
		munmap(file->data, file->length);
	file->data = NULL;
}

static int place(struct board *b, const struct file *file, uint64_t address)
{
	uint64_t offset = address - ADDR_DRAM;

	if (offset > b->options.memory || file->length > b->options.memory - offset) {
		fprintf(stderr,
			"viommu riscv: %s: %zu bytes do not fit in %" PRIu64
			" MiB of memory (--memory)\n",
			file->path, file->length, b->options.memory >> 20);
		return -ENOSPC;
	}
	return viommu_memory_write(b->memory, address, file->data, file->length);
}

/* Where things went. */
struct layout {
	uint64_t entry, kernel, end, initrd, initrd_length, tree;
	bool dynamic;
};

static int load_elf(struct board *b, struct images *images, struct layout *layout)
{
	struct elf_file elf;
	struct file file;
	int r = file_open(images->elf, &file);

	r = r ? r : elf_load(b, file.path, file.data, file.length, &elf);
	file_close(&file);
	if (r)
		return r;
	layout->entry = elf.entry;
	b->tohost = elf.tohost;
	b->fromhost = elf.fromhost;
	images->signature_begin = elf.signature_begin;
	images->signature_end = elf.signature_end;
	if (images->signature && elf.signature_end <= elf.signature_begin)
		return complain(images->elf,
				"--signature wants the symbols begin_signature and end_signature");
	return 0;
}

static int load_firmware(struct board *b, const struct images *images, struct layout *layout)
{
	struct elf_file elf;
	struct file file;
	int r = file_open(images->bios, &file);

	if (!r && elf_is(file.data, file.length)) {
		r = elf_load(b, file.path, file.data, file.length, &elf);
		layout->entry = elf.entry;
	} else if (!r) {
		r = place(b, &file, ADDR_DRAM);
		layout->entry = ADDR_DRAM;
	}
	file_close(&file);
	return r;
}

/* The boot Image header of riscv kernels: magic "RSC\x05" at 0x38, load offset at 8, size with bss
 * at 16. */
static int load_kernel(struct board *b, const struct images *images, struct layout *layout)
{
	static const uint8_t gzip[] = { 0x1f, 0x8b };
	uint64_t offset = KERNEL_OFFSET, size;
	struct elf_file elf;
	struct file file;
	int r = file_open(images->kernel, &file);

	if (r)
		return r;
	if (file.length >= 2 && !memcmp(file.data, gzip, 2)) {
		r = complain(file.path,
			     "a gzip file: unpack it first (the machine boots a plain Image)");
	} else if (elf_is(file.data,
			  file.length)) { /* a payload that is no kernel: U-Boot, a test */
		r = elf_load(b, file.path, file.data, file.length, &elf);
		layout->kernel = elf.entry;
		layout->end = elf.end;
		file_close(&file);
		return r;
	} else if (file.length < 64 || memcmp(file.data + 0x38, "RSC\x05", 4)) {
		r = complain(file.path, "not a riscv64 kernel Image or ELF file");
	}
	if (!r) {
		memcpy(&size, file.data + 16, 8);
		if (size < file.length || size > b->options.memory)
			size = file.length;
		layout->kernel = ADDR_DRAM + offset;
		r = place(b, &file, layout->kernel);
		layout->end = layout->kernel + size;
	}
	file_close(&file);
	return r;
}

/* Any other program for S-mode, raw, where the kernel would go: U-Boot's u-boot.bin. */
static int load_payload(struct board *b, const struct images *images, struct layout *layout)
{
	struct file file;
	int r = file_open(images->payload, &file);

	layout->kernel = ADDR_DRAM + KERNEL_OFFSET;
	r = r ? r : place(b, &file, layout->kernel);
	layout->end = layout->kernel + file.length;
	file_close(&file);
	return r;
}

static int load_initrd(struct board *b, const struct images *images, struct layout *layout)
{
	struct file file;
	int r = file_open(images->initrd, &file);

	if (r)
		return r;
	/* where QEMU's board puts it: fw_jump copies the device tree to 34 MiB, behind the kernel
	 */
	layout->initrd =
		layout->kernel +
		(b->options.memory / 2 < (128u << 20) ? b->options.memory / 2 : 128u << 20);
	if (layout->initrd < ALIGN_2M(layout->end))
		layout->initrd = ALIGN_2M(layout->end);
	layout->initrd_length = file.length;
	r = place(b, &file, layout->initrd);
	layout->end = layout->initrd + file.length;
	file_close(&file);
	return r;
}

static int load_tree(struct board *b, const struct images *images, struct layout *layout)
{
	struct file tree = { "device tree", NULL, 0 };
	void *blob;
	int r = fdt_build(b, images->append, layout->initrd, layout->initrd_length, &blob,
			  &tree.length);
	uint64_t top = ADDR_DRAM + b->options.memory;

	if (r)
		return r;
	tree.data = blob;
	/* near the end of memory, but where 32-bit arithmetic still reaches it */
	if (top > ADDR_DRAM + (1ull << 30))
		top = ADDR_DRAM + (1ull << 30);
	layout->tree = (top - tree.length) & ~0x1fffffull;
	/* a small memory, or images that reach so far: behind them */
	if (layout->tree < layout->end || layout->tree < ADDR_DRAM + 0x400000)
		layout->tree = layout->end > ADDR_DRAM ? (layout->end + 0xfff) & ~0xfffull
						       : (top - tree.length) & ~0xfffull;
	r = place(b, &tree, layout->tree);
	free(blob);
	return r;
}

/* Load-upper, load and jump: the ROM QEMU's board has, in its register conventions. */
static void write_rom(struct board *b, const struct layout *layout)
{
	struct {
		uint32_t code[6];
		uint64_t entry, tree;
		uint64_t dynamic[6]; /* magic, version, next address, next mode, options, boot hart
				      */
	} rom = {
		.code = {
			0x00000297, /* auipc t0, 0 */
			0x02828613, /* addi a2, t0, 40 */
			0xf1402573, /* csrr a0, mhartid */
			0x0202b583, /* ld a1, 32(t0) */
			0x0182b283, /* ld t0, 24(t0) */
			0x00028067, /* jr t0 */
		},
		.entry = layout->entry,
		.tree = layout->tree,
		.dynamic = { 0x4942534f, 2, layout->kernel, PRV_S, 0, 0 },
	};

	memcpy(b->rom, &rom, sizeof(rom));
	b->entry = ADDR_ROM;
}

static int load_flash(struct board *b, const char *path)
{
	struct file file;
	int r = file_open(path, &file);

	if (!r && file.length > FLASH_SIZE)
		r = complain(path, "larger than the 64 MiB of flash");
	if (!r)
		memcpy(b->flash, file.data, file.length);
	file_close(&file);
	return r;
}

int loader_load(struct board *b, struct images *images)
{
	struct layout layout = { .entry = ADDR_DRAM, .end = ADDR_DRAM };
	int r = 0;

	if (images->flash && !b->reload) /* what a reset finds is what was left there */
		r = load_flash(b, images->flash);
	if (!r && images->elf)
		r = load_elf(b, images, &layout);
	if (!r && images->bios)
		r = load_firmware(b, images, &layout);
	if (!r && images->kernel)
		r = load_kernel(b, images, &layout);
	if (!r && images->payload)
		r = load_payload(b, images, &layout);
	if (!r && images->initrd)
		r = load_initrd(b, images, &layout);
	if (!r)
		r = load_tree(b, images, &layout);
	if (r)
		return r;
	write_rom(b, &layout);
	code_reset(b->code);
	board_reset(b);
	return 0;
}

int loader_write_signature(struct board *b, const struct images *images)
{
	FILE *out = fopen(images->signature, "w");
	uint64_t at;
	uint32_t word;

	if (!out) {
		fprintf(stderr, "viommu riscv: %s: %s\n", images->signature, strerror(errno));
		return -EINVAL;
	}
	/* one word a line, most significant digit first: what the architecture tests compare */
	for (at = images->signature_begin; at + 4 <= images->signature_end; at += 4) {
		if (viommu_memory_read(b->memory, at, &word, 4))
			break;
		fprintf(out, "%08" PRIx32 "\n", word);
	}
	return fclose(out) ? -EIO : 0;
}
