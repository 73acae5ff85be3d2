/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PASID extended capability that the guest is shown: found a place for, written and linked. A pure function of a config space image.
 *
 * How long another capability is, its header does not say; for the kinds in the table PCIe does, and an unknown one is taken to
 * reach as far as the next that begins after it, or to the end.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <viommu/passthrough.h>

enum {
	EXTENDED_FIRST = 0x100,
	CONFIG_SPACE = 4096,
	CAPABILITIES_MAX = (CONFIG_SPACE - EXTENDED_FIRST) / 4,
	ID_PASID = 0x1b,
	PASID_LENGTH = 8,
	PASID_EXECUTE = 1 << 1,
	PASID_PRIVILEGED = 1 << 2,
};

/* PCIe 7.8, 7.9: lengths of capabilities that have one. */
static const struct {
	uint16_t id;
	uint16_t length;
} lengths[] = {
	{ 0x01, 0x48 }, /* AER */
	{ 0x03, 0x0c }, /* serial number */
	{ 0x0d, 0x08 }, /* ACS without a vector */
	{ 0x0e, 0x08 }, /* ARI */
	{ 0x0f, 0x08 }, /* ATS */
	{ 0x10, 0x40 }, /* SR-IOV */
	{ 0x13, 0x10 }, /* page requests */
	{ 0x15, 0x34 }, /* resizable BAR, 6 of them */
	{ 0x17, 0x0c }, /* TPH without a table */
	{ 0x18, 0x08 }, /* LTR */
	{ 0x1b, 0x08 }, /* PASID */
	{ 0x1e, 0x10 }, /* L1 PM substates */
	{ 0x25, 0x0c }, /* data link feature */
	{ 0x26, 0x30 }, /* physical layer 16 GT/s */
};

static uint32_t get32(const uint8_t *config, uint32_t at)
{
	return config[at] | (uint32_t)config[at + 1] << 8 | (uint32_t)config[at + 2] << 16 |
	       (uint32_t)config[at + 3] << 24;
}

static void put32(uint8_t *config, uint32_t at, uint32_t value)
{
	for (unsigned int i = 0; i < 4; i++)
		config[at + i] = (uint8_t)(value >> 8 * i);
}

__attribute__((format(printf, 4, 5))) static int fail(char *message, size_t length, int error,
						      const char *format, ...)
{
	va_list arguments;

	if (message && length) {
		va_start(arguments, format);
		vsnprintf(message, length, format, arguments);
		va_end(arguments);
	}
	return error;
}

/* A byte per dword of extended config space: taken by a capability? */
static void occupy(const uint8_t *config, const uint16_t *chain, unsigned int count, uint8_t *taken)
{
	for (unsigned int i = 0; i < count; i++) {
		uint32_t id = get32(config, chain[i]) & 0xffff, end = CONFIG_SPACE;

		for (unsigned int k = 0; k < count; k++) {
			if (chain[k] > chain[i] && chain[k] < end)
				end = chain[k];
		}
		for (unsigned int k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
			if (lengths[k].id == id && chain[i] + lengths[k].length < end)
				end = chain[i] + lengths[k].length;
		}
		memset(taken + chain[i] / 4, 1, (end - chain[i] + 3) / 4);
	}
}

/* The chain's offsets in order. The count, or a negative errno. */
static int read_chain(const uint8_t *config, uint16_t *chain, char *message, size_t length)
{
	uint32_t at = EXTENDED_FIRST;
	int count = 0;

	if (!get32(config, at) || get32(config, at) == UINT32_MAX)
		return 0; /* PCIe 7.6.3: no extended capabilities */
	while (at) {
		uint32_t header = get32(config, at);

		if ((header & 0xffff) == ID_PASID)
			return fail(message, length, -EEXIST, "there is a PASID capability at %#x already", at);
		if (count == CAPABILITIES_MAX)
			return fail(message, length, -EINVAL, "the chain of extended capabilities is a loop");
		chain[count++] = (uint16_t)at;
		at = header >> 20;
		if (at && (at < EXTENDED_FIRST || at & 3))
			return fail(message, length, -EINVAL,
				    "an extended capability points to %#x, outside extended config space",
				    at);
	}
	return count;
}

static bool is_free(const uint8_t *config, const uint8_t *taken, uint32_t at)
{
	return !taken[at / 4] && !taken[at / 4 + 1] && !get32(config, at) && !get32(config, at + 4);
}

int viommu_pasid_capability_add(uint8_t *config, size_t length, uint16_t offset, uint8_t width,
				bool execute, bool privileged, char *message, size_t message_length)
{
	uint8_t taken[CONFIG_SPACE / 4] = { 0 };
	uint16_t chain[CAPABILITIES_MAX];
	uint32_t at = offset;
	int count;

	if (length != CONFIG_SPACE || width < 1 || width > 20)
		return fail(message, message_length, -EINVAL,
			    "config space has %zu bytes and the PASID width is %u; 4096 and 1 to 20 are possible",
			    length, width);
	if (offset && (offset < EXTENDED_FIRST || offset & 3 || offset > CONFIG_SPACE - PASID_LENGTH))
		return fail(message, message_length, -EINVAL,
			    "the offset %#x is no place for an extended capability", offset);
	count = read_chain(config, chain, message, message_length);
	if (count < 0)
		return count;
	occupy(config, chain, (unsigned int)count, taken);
	if (!count) {
		/* The first capability is where the chain begins. */
		if (offset && offset != EXTENDED_FIRST)
			return fail(message, message_length, -EINVAL,
				    "the first extended capability has to be at 0x100, not %#x", offset);
		at = EXTENDED_FIRST;
	} else if (!offset) {
		for (at = CONFIG_SPACE - PASID_LENGTH; at >= EXTENDED_FIRST && !is_free(config, taken, at);)
			at -= 4;
		if (at < EXTENDED_FIRST)
			return fail(message, message_length, -ENOSPC,
				    "no 8 free bytes in extended config space; give an offset");
	} else if (!is_free(config, taken, offset)) {
		return fail(message, message_length, -EINVAL, "the offset %#x is taken", offset);
	}
	put32(config, at, ID_PASID | 1u << 16);
	put32(config, at + 4, (execute ? PASID_EXECUTE : 0) | (privileged ? PASID_PRIVILEGED : 0) |
	      (uint32_t)width << 8);
	if (count)
		put32(config, chain[count - 1],
		      (get32(config, chain[count - 1]) & 0xfffff) | at << 20);
	return (int)at;
}
