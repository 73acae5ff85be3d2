/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decoding of register traces: one table of registers, one of the command bits people look for.
 */
#include "trace.h"

#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct named {
	uint64_t value;
	const char *name;
};

/* VT-d 11.4: the registers a driver uses, by offset. */
static const struct named registers[] = {
	{ 0x00, "VER" },     { 0x08, "CAP" },	 { 0x10, "ECAP" },    { 0x18, "GCMD" },
	{ 0x1c, "GSTS" },    { 0x20, "RTADDR" }, { 0x28, "CCMD" },    { 0x34, "FSTS" },
	{ 0x38, "FECTL" },   { 0x3c, "FEDATA" }, { 0x40, "FEADDR" },  { 0x44, "FEUADDR" },
	{ 0x64, "PMEN" },    { 0x80, "IQH" },	 { 0x88, "IQT" },     { 0x90, "IQA" },
	{ 0x9c, "ICS" },     { 0xa0, "IECTL" },	 { 0xa4, "IEDATA" },  { 0xa8, "IEADDR" },
	{ 0xac, "IEUADDR" }, { 0xb0, "IQER" },	 { 0xb8, "IRTA" },    { 0xc0, "PQH" },
	{ 0xc8, "PQT" },     { 0xd0, "PQA" },	 { 0xdc, "PRS" },     { 0xe0, "PECTL" },
	{ 0xe4, "PEDATA" },  { 0xe8, "PEADDR" }, { 0xec, "PEUADDR" },
};

/* VT-d 11.4.4.1: bits of the global command register. */
static const struct named commands[] = {
	{ 1u << 31, "TE" },   { 1u << 30, "SRTP" },  { 1u << 29, "SFL" },
	{ 1u << 28, "EAFL" }, { 1u << 27, "WBF" },   { 1u << 26, "QIE" },
	{ 1u << 25, "IRE" },  { 1u << 24, "SIRTP" }, { 1u << 23, "CFI" },
};

static const char *register_name(uint64_t offset, char *text, size_t length)
{
	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
		if (registers[i].value == offset)
			return registers[i].name;
		if (registers[i].value + 4 == offset && !(registers[i].value & 7)) {
			snprintf(text, length, "%s (high half)", registers[i].name);
			return text;
		}
	}
	snprintf(text, length, "0x%" PRIx64, offset);
	return text;
}

static void print_value(uint64_t offset, uint64_t value)
{
	const char *sep = " =";

	printf(" 0x%" PRIx64, value);
	if (offset == 0x20)
		printf(" (table 0x%" PRIx64 ", %s mode)", value & ~UINT64_C(0xfff),
		       (value >> 10 & 3) == 1	? "scalable"
		       : (value >> 10 & 3) == 3 ? "abort"
						: "legacy");
	if (offset == 0x90)
		printf(" (queue 0x%" PRIx64 ", %u-byte descriptors, %u pages)",
		       value & ~UINT64_C(0xfff), value & 0x800 ? 32 : 16, 1u << (value & 7));
	for (size_t i = 0; offset == 0x18 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!(value & commands[i].value))
			continue;
		printf("%s %s", sep, commands[i].name);
		sep = "";
	}
}

/* 0, or -EINVAL for a line that is no access. */
static int decode(const char *line)
{
	uint64_t offset, value = 0;
	unsigned int size;
	char kind, text[64];
	int fields =
		sscanf(line, " %c 0x%" SCNx64 " 0x%x 0x%" SCNx64, &kind, &offset, &size, &value);

	if (fields < 3 || (kind != 'R' && kind != 'W') || (kind == 'W' && fields != 4))
		return -EINVAL;
	printf("%s %-20s", kind == 'R' ? "read " : "write",
	       register_name(offset, text, sizeof(text)));
	if (fields == 4)
		print_value(offset, value);
	putchar('\n');
	return 0;
}

int trace_decode(const char *file)
{
	FILE *in = strcmp(file, "-") ? fopen(file, "r") : stdin;
	unsigned int number = 0;
	int status = EXIT_PASS;
	char line[512];

	if (!in) {
		fprintf(stderr, "viommu inspect: --trace=%s: %s\n", file, strerror(errno));
		return EXIT_FAIL;
	}
	while (fgets(line, sizeof(line), in)) {
		number++;
		if (line[0] == '#' || line[strspn(line, " \t\r\n")] == 0)
			continue;
		if (decode(line)) {
			fprintf(stderr,
				"viommu inspect: %s line %u: allowed is \"R OFFSET SIZE\" or "
				"\"W OFFSET SIZE VALUE\"\n",
				file, number);
			status = EXIT_FAIL;
			break;
		}
	}
	if (ferror(in)) {
		fprintf(stderr, "viommu inspect: --trace=%s: %s\n", file, strerror(errno));
		status = EXIT_FAIL;
	}
	if (in != stdin)
		fclose(in);
	return status;
}
