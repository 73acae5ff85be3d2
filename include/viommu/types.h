/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Types every part of the library shares.
 *
 * A function returns 0, or a negative errno: what the *caller* did wrong or what the host refused
 * (docs/errors.md has the meaning of each). What the *guest* did wrong is never an errno: functions
 * that can meet it return VIOMMU_FAULT, a positive value, and fill a struct viommu_fault.
 *
 * Structures a caller fills start with `size`, set to sizeof(the structure). A smaller size is an older
 * caller: the missing tail counts as zero. A larger size with a non-zero unknown tail gives -E2BIG.
 * In structures that the library fills the caller sets `size` as well. As much as that is filled, and
 * what the library does not know of it is zero. In both, -EINVAL when not even `size` fits.
 */
#ifndef VIOMMU_TYPES_H
#define VIOMMU_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIOMMU_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* A request without a PASID. Not a PASID: PASIDs are 20-bit. */
#define VIOMMU_NO_PASID UINT32_MAX
#define VIOMMU_PASID_MAX 0xfffffu

/* Positive results: not errors of the caller. */
enum viommu_result {
	VIOMMU_OK = 0,
	VIOMMU_FAULT = 1, /* the guest's tables forbid it; a struct viommu_fault says why */
};

/*
 * What a request wants to do: always an input to a translation, never "none".
 * One of READ, WRITE, EXECUTE or ATOMIC (which needs both read and write permission), plus PRIVILEGED.
 * ZERO_LENGTH goes with READ alone, untranslated or translated: a read of no bytes, as a device flushes its writes
 * with (PCIe 2.2.5). A page that may only be written allows it where CAP.ZLR says so; nothing must be read then.
 * In a reply (`granted`) it is the set of permissions.
 */
enum viommu_access {
	VIOMMU_READ = 1u << 0,
	VIOMMU_WRITE = 1u << 1,
	VIOMMU_EXECUTE = 1u << 2,
	VIOMMU_ATOMIC = 1u << 3,
	VIOMMU_PRIVILEGED = 1u << 4,
	VIOMMU_ZERO_LENGTH = 1u << 5,
};

/* The bits of `access` that name a type. */
#define VIOMMU_ACCESS_TYPE (VIOMMU_READ | VIOMMU_WRITE | VIOMMU_EXECUTE | VIOMMU_ATOMIC)

/*
 * Not of VT-d 7.1.3: the request would have reached protected memory (VT-d 11.4.8). The guest is not told, so such a
 * fault is never recorded.
 */
#define VIOMMU_REASON_PROTECTED 0x100u

/* What the guest is told: VT-d 11.4.7 fields of a fault record. */
struct viommu_fault {
	uint32_t reason;    /* VT-d 7.1.3 reason code, 0 when there was no fault; VIOMMU_REASON_PROTECTED */
	uint32_t pasid;     /* VIOMMU_NO_PASID for a request without one */
	uint64_t iova;      /* the address that faulted, as the device issued it */
	uint32_t access;    /* enum viommu_access */
	uint16_t rid;       /* PCI requester id, bus << 8 | device << 3 | function */
	bool recoverable;   /* a page request could cure it (first-stage not-present or permission) */
	bool recorded;      /* reached the fault log (false: FPD, collapsed into an equal one, or overflow) */
};

#ifdef __cplusplus
}
#endif
#endif
