/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ACPI DMAR table that tells a guest about units (VT-d 8).
 */
#ifndef VIOMMU_DMAR_H
#define VIOMMU_DMAR_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One hop of a device-scope path. */
struct viommu_dmar_hop {
	uint8_t device;   /* 0..31 */
	uint8_t function; /* 0..7 */
};

enum viommu_dmar_scope_type {
	VIOMMU_SCOPE_ENDPOINT = 1,
	VIOMMU_SCOPE_BRIDGE = 2,
	VIOMMU_SCOPE_IOAPIC = 3,
	VIOMMU_SCOPE_HPET = 4,
	VIOMMU_SCOPE_ACPI = 5, /* a device that ACPI alone describes: start_bus and path are its source-id */
};

struct viommu_dmar_scope {
	uint32_t size;
	enum viommu_dmar_scope_type type;
	uint8_t enumeration_id; /* IOAPIC or HPET number; ACPI: a number of its own, 1..255 */
	uint8_t start_bus;
	uint8_t hops;           /* 1..8; 1 for HPET and ACPI */
	bool ats;               /* list it in the SATC (or below an ATSR port) too */
	struct viommu_dmar_hop path[8];
	/*
	 * Memory the endpoint must reach all the time (RMRR): first and last byte, whole 4 KiB pages; both 0: none. The
	 * embedder describes it as reserved in its memory map, too.
	 */
	uint64_t reserved_first, reserved_last;
	/* ACPI only: the object's full name, "\\_SB.PCI0.I2C1"; the table gets an ANDD structure for it. */
	const char *acpi_name;
};

struct viommu_dmar_unit {
	uint32_t size;
	uint16_t segment;
	bool include_all;
	uint64_t base;          /* register window, 4 KiB aligned */
	const struct viommu_dmar_scope *scopes;
	uint32_t scope_count;
};

enum viommu_dmar_flags {
	VIOMMU_DMAR_INTR_REMAP = 1u << 0,
	VIOMMU_DMAR_X2APIC_OPT_OUT = 1u << 1,
};

/*
 * Write the table into `table` (`length` bytes there). `with_header`: with the 36-byte ACPI header and checksum (a file for
 * an initrd table upgrade); otherwise only the body (what QEMU's -acpitable data= wants). Returns the bytes
 * needed, also when more than `length` (nothing is written then); -EINVAL with `message` for bad input.
 */
VIOMMU_API int viommu_dmar_build(const struct viommu_dmar_unit *units, uint32_t unit_count,
				 uint8_t address_width, uint8_t flags, bool with_header, void *table,
				 size_t length, char *message, size_t message_length);

#ifdef __cplusplus
}
#endif
#endif
