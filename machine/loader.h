/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Getting programs into the machine: ELF files, firmware, a kernel Image, an initramfs, the device
 * tree, the boot ROM. Everything reports what is wrong on stderr, in words, and returns -EINVAL or
 * another errno.
 */
#ifndef MACHINE_LOADER_H
#define MACHINE_LOADER_H

#include "board.h"

struct images {
	const char *elf, *bios, *kernel, *payload, *initrd, *append, *signature, *flash;
	uint64_t signature_begin, signature_end;
};

int loader_load(struct board *board, struct images *images);
int loader_write_signature(struct board *board, const struct images *images);

struct elf_file {
	uint64_t entry, end, tohost, fromhost, signature_begin, signature_end;
};
/* Whether the file looks like ELF at all. */
bool elf_is(const void *data, size_t length);
int elf_load(struct board *board, const char *path, const uint8_t *data, size_t length,
	     struct elf_file *elf);

/* Phandles of the tree: the harts' interrupt controllers come first. */
enum {
	PHANDLE_CPU = 1,
	PHANDLE_INTC = 0x20,
	PHANDLE_IRQ = 0x40,
	PHANDLE_IMSIC_M,
	PHANDLE_IMSIC_S,
	PHANDLE_APLIC_S,
	PHANDLE_FINISHER,
	PHANDLE_MEMORY,
	PHANDLE_FLASH,
	PHANDLE_UART
};

/* fdt.c: the tree in `*blob` (malloc). */
int fdt_build(const struct board *board, const char *append, uint64_t initrd,
	      uint64_t initrd_length, void **blob, size_t *length);

#endif
