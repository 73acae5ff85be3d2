/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CAP and ECAP computed from options.
 *
 * The registers are a function of the options and of nothing else, so a unit that was saved and is
 * loaded elsewhere can be compared by its two words. Each bit below is set in one place, beside the
 * option that asks for it. What this unit never has stays clear: write-buffer flushing, host
 * permission tables.
 *
 * Linux puts three things together before it offers processes' tables to a device: snooped walks
 * (C, SMPWCS), 1 GiB first-stage pages (FS1GP) where the processor has them, and five levels
 * (FS5LP) where it has those.
 */
#include <stdio.h>

#include "vtd/capability.h"

#define BIT_U64(n) (1ull << (n))

/* VT-d 11.4.2 */
enum cap_shift {
	CAP_ND = 0,
	CAP_AFL = 3,
	CAP_PLMR = 5,
	CAP_PHMR = 6,
	CAP_CM = 7,
	CAP_SAGAW = 8,
	CAP_MGAW = 16,
	CAP_ZLR = 22,
	CAP_FRO = 24,
	CAP_SSLPS = 34,
	CAP_PSI = 39,
	CAP_NFR = 40,
	CAP_MAMV = 48,
	CAP_DWD = 54,
	CAP_DRD = 55,
	CAP_FS1GP = 56,
	CAP_PI = 59,
	CAP_FS5LP = 60,
	CAP_ECMDS = 61,
	CAP_ESIRTPS = 62,
	CAP_ESRTPS = 63,
};

/* VT-d 11.4.3 */
enum ecap_shift {
	ECAP_C = 0,
	ECAP_QI = 1,
	ECAP_DT = 2,
	ECAP_IR = 3,
	ECAP_EIM = 4,
	ECAP_PT = 6,
	ECAP_SC = 7,
	ECAP_IRO = 8,
	ECAP_MHMV = 20,
	ECAP_MTS = 25,
	ECAP_NEST = 26,
	ECAP_PRS = 29,
	ECAP_ERS = 30,
	ECAP_SRS = 31,
	ECAP_NWFS = 33,
	ECAP_EAFS = 34,
	ECAP_PSS = 35,
	ECAP_PASID = 40,
	ECAP_PDS = 42,
	ECAP_SMTS = 43,
	ECAP_VCS = 44,
	ECAP_SSADS = 45,
	ECAP_SSTS = 46,
	ECAP_FSTS = 47,
	ECAP_SMPWCS = 48,
	ECAP_RPS = 49,
	ECAP_PMS = 51,
	ECAP_ADMS = 52,
	ECAP_RPRIVS = 53,
	ECAP_SMS = 58,
};

#define ND_64K_DOMAINS	 6ull
#define SSLPS_2M_1G	 3ull
#define REGISTER_GRANULE 16u /* FRO and IRO count in these */

/*
 * VT-d 11.4.2 SAGAW: bit 1 is 39, bit 2 is 48, bit 3 is 57. Every width up to the widest is there,
 * and MGAW is the widest: a guest that finds 57 bits in one and not in the other takes wrong
 * decisions.
 */
static uint64_t second_stage_widths(uint8_t aw_bits)
{
	switch (aw_bits) {
	case 39:
		return BIT_U64(1);
	case 48:
		return BIT_U64(1) | BIT_U64(2);
	default:
		return BIT_U64(1) | BIT_U64(2) | BIT_U64(3);
	}
}

static uint64_t compute_cap(const struct viommu_unit_options *options)
{
	uint64_t cap = ND_64K_DOMAINS << CAP_ND | BIT_U64(CAP_PSI) | BIT_U64(CAP_DWD) |
		       BIT_U64(CAP_DRD) | BIT_U64(CAP_ESRTPS) | BIT_U64(CAP_ESIRTPS);

	cap |= second_stage_widths(options->aw_bits) << CAP_SAGAW;
	cap |= (uint64_t)(options->aw_bits - 1) << CAP_MGAW;
	cap |= (uint64_t)(VTD_FAULT_RECORDS_OFFSET / REGISTER_GRANULE) << CAP_FRO;
	cap |= SSLPS_2M_1G << CAP_SSLPS;
	cap |= (uint64_t)(options->fault_records - 1) << CAP_NFR;
	cap |= (uint64_t)VTD_MAMV << CAP_MAMV;
	cap |= (uint64_t)options->advanced_fault_log << CAP_AFL;
	cap |= (uint64_t)options->protected_memory << CAP_PLMR;
	cap |= (uint64_t)options->protected_memory << CAP_PHMR;
	cap |= (uint64_t)options->caching_mode << CAP_CM;
	cap |= (uint64_t)options->zero_length_read << CAP_ZLR;
	cap |= (uint64_t)options->first_stage << CAP_FS1GP;
	cap |= (uint64_t)options->five_level << CAP_FS5LP;
	cap |= (uint64_t)options->posted_interrupts << CAP_PI;
	cap |= (uint64_t)options->performance_monitoring << CAP_ECMDS;
	return cap;
}

static uint64_t compute_ecap(const struct viommu_unit_options *options)
{
	uint64_t ecap = BIT_U64(ECAP_QI);

	ecap |= (uint64_t)(VTD_IOTLB_REGISTERS_OFFSET / REGISTER_GRANULE) << ECAP_IRO;
	ecap |= (uint64_t)options->coherent << ECAP_C;
	ecap |= (uint64_t)options->pass_through << ECAP_PT;
	ecap |= (uint64_t)options->snoop_control << ECAP_SC;
	ecap |= (uint64_t)options->device_iotlb << ECAP_DT;
	ecap |= (uint64_t)options->device_iotlb << ECAP_NWFS;
	ecap |= (uint64_t)options->abort_mode << ECAP_ADMS;
	ecap |= (uint64_t)options->performance_monitoring << ECAP_PMS;
	if (options->interrupt_remapping) {
		ecap |= BIT_U64(ECAP_IR) | (uint64_t)VTD_MHMV << ECAP_MHMV;
		ecap |= (uint64_t)options->extended_interrupt << ECAP_EIM;
	}
	if (!options->scalable)
		return ecap;

	ecap |= BIT_U64(ECAP_SMTS);
	ecap |= (uint64_t)options->coherent << ECAP_SMPWCS;
	ecap |= (uint64_t)options->first_stage << ECAP_FSTS;
	ecap |= (uint64_t)options->second_stage << ECAP_SSTS;
	ecap |= (uint64_t)options->nested << ECAP_NEST;
	ecap |= (uint64_t)options->dirty_tracking << ECAP_SSADS;
	ecap |= (uint64_t)options->extended_accessed << ECAP_EAFS;
	ecap |= (uint64_t)options->memory_type << ECAP_MTS;
	ecap |= (uint64_t)options->page_request << ECAP_PRS;
	ecap |= (uint64_t)options->page_request << ECAP_PDS;
	ecap |= (uint64_t)options->page_request << ECAP_SMS;
	if (options->pasid_bits) {
		ecap |= BIT_U64(ECAP_PASID);
		ecap |= (uint64_t)(options->pasid_bits - 1) << ECAP_PSS;
		ecap |= (uint64_t)options->execute_request << ECAP_ERS;
		ecap |= (uint64_t)options->supervisor_request << ECAP_SRS;
		ecap |= (uint64_t)options->rid_privilege << ECAP_RPRIVS;
		ecap |= (uint64_t)options->rid_pasid << ECAP_RPS;
		ecap |= (uint64_t)options->virtual_commands << ECAP_VCS;
	}
	return ecap;
}

void vtd_capability_compute(const struct viommu_unit_options *options, uint64_t *cap,
			    uint64_t *ecap)
{
	*cap = compute_cap(options);
	*ecap = compute_ecap(options);
}

/* A field of CAP (word 0) or ECAP (word 1), by the option it comes from. */
struct field {
	const char *name;
	unsigned int word;
	unsigned int shift;
	unsigned int width; /* 1: a switch */
	unsigned int bias;  /* of the value as people write it */
};

static const struct field fields[] = {
	{ "protected-memory", 0, CAP_PLMR, 1, 0 },
	{ "virtual-commands", 1, ECAP_VCS, 1, 0 },
	{ "advanced-fault-log", 0, CAP_AFL, 1, 0 },
	{ "performance-monitoring", 0, CAP_ECMDS, 1, 0 },
	{ "caching-mode", 0, CAP_CM, 1, 0 },
	{ "aw-bits", 0, CAP_MGAW, 6, 1 },
	{ "zero-length-read", 0, CAP_ZLR, 1, 0 },
	{ "fault-records", 0, CAP_NFR, 8, 1 },
	{ "posted-interrupts", 0, CAP_PI, 1, 0 },
	{ "five-level", 0, CAP_FS5LP, 1, 0 },
	{ "coherent", 1, ECAP_C, 1, 0 },
	{ "device-iotlb", 1, ECAP_DT, 1, 0 },
	{ "interrupt-remapping", 1, ECAP_IR, 1, 0 },
	{ "extended-interrupt", 1, ECAP_EIM, 1, 0 },
	{ "pass-through", 1, ECAP_PT, 1, 0 },
	{ "snoop-control", 1, ECAP_SC, 1, 0 },
	{ "memory-type", 1, ECAP_MTS, 1, 0 },
	{ "nested", 1, ECAP_NEST, 1, 0 },
	{ "page-request", 1, ECAP_PRS, 1, 0 },
	{ "execute-request", 1, ECAP_ERS, 1, 0 },
	{ "supervisor-request", 1, ECAP_SRS, 1, 0 },
	{ "extended-accessed", 1, ECAP_EAFS, 1, 0 },
	/* PSS and, above it, PASID: together the number of bits, or none. */
	{ "pasid-bits", 1, ECAP_PSS, 6, 1 },
	{ "scalable", 1, ECAP_SMTS, 1, 0 },
	{ "dirty-tracking", 1, ECAP_SSADS, 1, 0 },
	{ "second-stage", 1, ECAP_SSTS, 1, 0 },
	{ "first-stage", 1, ECAP_FSTS, 1, 0 },
	{ "rid-pasid", 1, ECAP_RPS, 1, 0 },
	{ "abort-mode", 1, ECAP_ADMS, 1, 0 },
	{ "rid-privilege", 1, ECAP_RPRIVS, 1, 0 },
};

static void put_value(const struct field *field, uint64_t word, char text[16])
{
	uint64_t value = word >> field->shift & ((1ull << field->width) - 1);

	if (field->width == 1)
		snprintf(text, 16, value ? "on" : "off");
	else if (field->shift == ECAP_PSS && field->word == 1)
		snprintf(text, 16, "%u", value & 32 ? (unsigned int)(value & 31) + 1 : 0);
	else
		snprintf(text, 16, "%u", (unsigned int)value + field->bias);
}

unsigned int vtd_capability_differences(const uint64_t saved[2], const uint64_t here[2], char *text,
					size_t length)
{
	unsigned int found = 0;
	size_t used = 0;

	if (length)
		text[0] = 0;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct field *field = &fields[i];
		uint64_t mask = ((1ull << field->width) - 1) << field->shift;
		char there[16], now[16];

		if (!((saved[field->word] ^ here[field->word]) & mask))
			continue;
		put_value(field, saved[field->word], there);
		put_value(field, here[field->word], now);
		if (used < length)
			used += (size_t)snprintf(text + used, length - used, "%s%s is %s there and %s here",
						 found ? ", " : "", field->name, there, now);
		found++;
	}
	return found;
}
