/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RV64 ELF executables: segments to their physical addresses, and the symbols the test conventions
 * use. A file is a stranger's: every offset is checked against its length.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "loader.h"

#ifndef EM_RISCV
#define EM_RISCV 243
#endif

struct view {
	const char *path;
	const uint8_t *data;
	size_t length;
	const Elf64_Ehdr *header;
};

static int bad(const struct view *v, const char *what)
{
	fprintf(stderr, "viommu riscv: %s: %s\n", v->path, what);
	return -EINVAL;
}

static const void *at(const struct view *v, uint64_t offset, uint64_t count, uint64_t size)
{
	uint64_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes) || offset > v->length ||
	    bytes > v->length - offset)
		return NULL;
	return v->data + offset;
}

bool elf_is(const void *data, size_t length)
{
	return length >= EI_NIDENT && !memcmp(data, ELFMAG, SELFMAG);
}

static int check(const struct view *v)
{
	if (v->length < sizeof(Elf64_Ehdr))
		return bad(v, "too short for an ELF file");
	if (!elf_is(v->data, v->length))
		return bad(v, "not an ELF file");
	if (v->header->e_ident[EI_CLASS] != ELFCLASS64)
		return bad(v, "a 32-bit ELF file: this machine is RV64");
	if (v->header->e_ident[EI_DATA] != ELFDATA2LSB)
		return bad(v, "a big-endian ELF file");
	if (v->header->e_machine != EM_RISCV)
		return bad(v, "an ELF file for another architecture, not RISC-V");
	return 0;
}

static int load_segments(struct board *board, const struct view *v, struct elf_file *elf)
{
	static const uint8_t zeros[4096];
	const Elf64_Phdr *ph = at(v, v->header->e_phoff, v->header->e_phnum, sizeof(*ph));

	if (!ph)
		return bad(v, "program headers lie outside the file");
	for (unsigned int i = 0; i < v->header->e_phnum; i++) {
		const void *bytes = at(v, ph[i].p_offset, ph[i].p_filesz, 1);
		uint64_t at_address = ph[i].p_paddr + ph[i].p_filesz,
			 left = ph[i].p_memsz - ph[i].p_filesz;

		if (ph[i].p_type != PT_LOAD || !ph[i].p_memsz)
			continue;
		if (!bytes || ph[i].p_memsz < ph[i].p_filesz)
			return bad(v, "a segment lies outside the file");
		if (ph[i].p_paddr < ADDR_DRAM || ph[i].p_memsz > board->options.memory ||
		    ph[i].p_paddr - ADDR_DRAM > board->options.memory - ph[i].p_memsz) {
			fprintf(stderr,
				"viommu riscv: %s: segment at 0x%" PRIx64 " (%" PRIu64
				" bytes) is not in memory (0x%x, %" PRIu64 " MiB; --memory)\n",
				v->path, (uint64_t)ph[i].p_paddr, (uint64_t)ph[i].p_memsz,
				ADDR_DRAM, board->options.memory >> 20);
			return -EINVAL;
		}
		viommu_memory_write(board->memory, ph[i].p_paddr, bytes, ph[i].p_filesz);
		for (; left; left -= left < sizeof(zeros) ? left : sizeof(zeros)) {
			size_t n = left < sizeof(zeros) ? left : sizeof(zeros);

			viommu_memory_write(board->memory, at_address, zeros, n);
			at_address += n;
		}
		if (at_address > elf->end)
			elf->end = at_address;
	}
	return 0;
}

static void take_symbol(struct elf_file *elf, const char *name, uint64_t value)
{
	const struct {
		const char *name;
		uint64_t *to;
	} wanted[] = {
		{ "tohost", &elf->tohost },
		{ "fromhost", &elf->fromhost },
		{ "begin_signature", &elf->signature_begin },
		{ "end_signature", &elf->signature_end },
	};

	for (unsigned int i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (!strcmp(name, wanted[i].name))
			*wanted[i].to = value;
}

static void read_symbols(const struct view *v, struct elf_file *elf)
{
	const Elf64_Shdr *sections =
		at(v, v->header->e_shoff, v->header->e_shnum, sizeof(*sections));

	for (unsigned int i = 0; sections && i < v->header->e_shnum; i++) {
		const Elf64_Shdr *s = &sections[i], *names;
		const Elf64_Sym *symbols = at(v, s->sh_offset, s->sh_size, 1);
		const char *text;

		if (s->sh_type != SHT_SYMTAB || !symbols || s->sh_link >= v->header->e_shnum)
			continue;
		names = &sections[s->sh_link];
		text = at(v, names->sh_offset, names->sh_size, 1);
		if (!text || !names->sh_size || text[names->sh_size - 1])
			continue;
		for (uint64_t n = 0; n < s->sh_size / sizeof(*symbols); n++)
			if (symbols[n].st_name < names->sh_size)
				take_symbol(elf, text + symbols[n].st_name, symbols[n].st_value);
	}
}

int elf_load(struct board *board, const char *path, const uint8_t *data, size_t length,
	     struct elf_file *elf)
{
	struct view v = { path, data, length, (const Elf64_Ehdr *)data };
	int r = check(&v);

	*elf = (struct elf_file){ 0 };
	if (r)
		return r;
	r = load_segments(board, &v, elf);
	if (r)
		return r;
	elf->entry = v.header->e_entry;
	read_symbols(&v, elf);
	return 0;
}
