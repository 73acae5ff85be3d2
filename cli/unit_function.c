/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A unit has no PCI function on real machines; its registers are where the DMAR table says. Here
 * they come to the VMM the only way vfio-user offers, in a BAR. Its class is that of a system
 * peripheral: Linux leaves the BAR of such a function alone even though it has reserved the
 * register page before it enumerates PCI.
 */
#include "unit_function.h"

#include "options.h"

#include <errno.h>
#include <string.h>

const struct server_function unit_function = {
	.vendor = 0x8086,
	.device = 0x09a2,
	.subsystem_vendor = 0x8086,
	.class_code = 0x080000,
	.bars = { { .size = UNIT_BAR_SIZE } },
};

/* Registers answer 4 and 8 bytes, aligned; the rest of the BAR, and other widths, read as zero. */
static bool is_register(uint64_t offset, size_t length)
{
	return offset < VIOMMU_UNIT_WINDOW && (length == 4 || length == 8) &&
	       !(offset & (length - 1));
}

static int read_register(void *opaque, unsigned int bar, uint64_t offset, void *data, size_t length)
{
	uint64_t value = 0;

	memset(data, 0, length);
	if (!is_register(offset, length))
		return 0;
	viommu_unit_read(opaque, offset, (unsigned int)length, &value);
	memcpy(data, &value, length);
	return 0;
}

static int write_register(void *opaque, unsigned int bar, uint64_t offset, const void *data,
			  size_t length)
{
	uint64_t value = 0;

	if (!is_register(offset, length))
		return 0;
	memcpy(&value, data, length);
	/* what the guest did wrong is in the unit's registers, never an error of the transport */
	viommu_unit_write(opaque, offset, (unsigned int)length, value);
	return 0;
}

static void reset_unit(void *opaque)
{
	viommu_unit_reset(opaque);
}

static int stop_unit(void *opaque)
{
	return 0; /* it does nothing of its own accord: its endpoints stop */
}

static void start_unit(void *opaque)
{
}

static int save_unit(void *opaque, struct viommu_stream_writer *writer)
{
	return viommu_unit_save(opaque, writer, 0);
}

static int load_unit(void *opaque, struct viommu_stream_reader *reader, char *message,
		     size_t length)
{
	return viommu_unit_load(opaque, reader, 0, message, length);
}

/* What viommu_unit_load will compare, in time: VT-d 11.4.2, 11.4.3. */
static size_t identify_unit(void *opaque, void *bytes, size_t room)
{
	uint64_t capabilities[2] = { 0 };

	viommu_unit_read(opaque, 0x08, 8, &capabilities[0]);
	viommu_unit_read(opaque, 0x10, 8, &capabilities[1]);
	memcpy(bytes, capabilities, sizeof(capabilities));
	return sizeof(capabilities);
}

static int unit_fits(void *opaque, const void *bytes, size_t length, char *message, size_t room)
{
	uint64_t capabilities[2];

	if (length != sizeof(capabilities))
		return -EINVAL;
	memcpy(capabilities, bytes, sizeof(capabilities));
	return viommu_unit_compare(opaque, capabilities[0], capabilities[1], message, room);
}

const struct server_device_ops unit_function_ops = {
	.read = read_register,
	.write = write_register,
	.reset = reset_unit,
	.stop = stop_unit,
	.start = start_unit,
	.save = save_unit,
	.load = load_unit,
	.identity = identify_unit,
	.fits = unit_fits,
};
