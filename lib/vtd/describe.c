/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A unit in words: what it can do and what the guest made of it, one line each, for reports and
 * logs.
 *
 * Works from the options and the register window only, so what it says is what a guest can see.
 */
#include <stdarg.h>
#include <stdio.h>

#include <viommu/unit.h>

#include "vtd/capability.h"

/* Registers and fields read here (VT-d 11.4.4, 11.4.5, 11.4.7.1, 11.4.8.1). */
enum {
	REGISTER_GSTS = 0x1c,
	REGISTER_RTADDR = 0x20,
	REGISTER_FSTS = 0x34,
	REGISTER_PMEN = 0x64,
	GSTS_CFIS = 1 << 23,
	GSTS_IRES = 1 << 25,
	GSTS_QIES = 1 << 26,
	FSTS_PPF = 1 << 1,
	PMEN_PRS = 1 << 0,
	RTADDR_TTM_SHIFT = 10,
	RTADDR_TTM_MASK = 3,
	TTM_LEGACY = 0,
	TTM_SCALABLE = 1,
	TTM_ABORT = 3,
};
#define GSTS_TES (1u << 31)

struct text {
	char *at;
	size_t length; /* of the buffer */
	size_t used;   /* what the whole text needs so far */
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
	size_t room = text->used < text->length ? text->length - text->used : 0;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(room ? text->at + text->used : NULL, room, format, arguments);
	va_end(arguments);
	if (n > 0)
		text->used += n;
}

static void add_if(struct text *text, bool condition, const char *word, bool *first)
{
	if (!condition)
		return;
	add(text, "%s%s", *first ? "" : ", ", word);
	*first = false;
}

static uint32_t register32(const struct viommu_unit *unit, uint64_t offset)
{
	uint64_t value = 0;

	/* Reading has no effect on any of the registers above; the API's read is not const for the
	 * others. */
	viommu_unit_read((struct viommu_unit *)unit, offset, 4, &value);
	return (uint32_t)value;
}

static const char *second_stage_levels(uint8_t aw_bits)
{
	switch (aw_bits) {
	case 39:
		return "3 levels (39 bits)";
	case 48:
		return "3 or 4 levels (39, 48 bits)";
	default:
		return "3, 4 or 5 levels (39, 48, 57 bits)";
	}
}

static void add_stages(struct text *text, const struct viommu_unit_options *options)
{
	bool first = true;

	add(text, "modes: legacy%s%s\n", options->scalable ? ", scalable" : "",
	    options->abort_mode ? ", abort" : "");
	if (options->first_stage)
		add(text, "first stage: %s, pages of 4 KiB, 2 MiB and 1 GiB%s\n",
		    options->five_level ? "4 or 5 levels" : "4 levels",
		    options->extended_accessed ? ", extended accessed bit" : "");
	add(text, "second stage: %s, pages of 4 KiB, 2 MiB and 1 GiB%s%s%s\n",
	    second_stage_levels(options->aw_bits),
	    options->scalable && !options->second_stage ? ", in legacy mode only" : "",
	    options->dirty_tracking ? ", accessed and dirty bits" : "",
	    options->snoop_control ? ", snoop control" : "");
	add(text, "also: ");
	add_if(text, options->nested, "nested translation", &first);
	add_if(text, options->pass_through, "pass-through", &first);
	add_if(text, options->coherent, "snooped walks", &first);
	add_if(text, options->zero_length_read, "zero-length reads", &first);
	add_if(text, options->memory_type, "memory types", &first);
	add_if(text, options->caching_mode, "caching mode", &first);
	add_if(text, options->protected_memory, "protected memory regions", &first);
	add(text, first ? "nothing\n" : "\n");
}

static void add_requests(struct text *text, const struct viommu_unit_options *options)
{
	bool first = true;

	if (options->pasid_bits)
		add(text, "PASIDs: %u bits%s%s%s%s\n", options->pasid_bits,
		    options->virtual_commands ? ", given out by virtual commands" : "",
		    options->rid_pasid ? ", chosen for plain requests by the context entry" : "",
		    options->execute_request ? ", execute requests" : "",
		    options->supervisor_request ? ", privileged requests" : "");
	else
		add(text, "PASIDs: none\n");
	add(text, "devices: %s%s\n", options->device_iotlb ? "device TLBs (ATS)" : "no device TLBs",
	    options->page_request ? ", page requests (PRI)" : "");
	add(text, "interrupts: ");
	add_if(text, options->interrupt_remapping, "remapping", &first);
	add_if(text, options->extended_interrupt, "32-bit destinations", &first);
	add_if(text, options->posted_interrupts, "posting", &first);
	add(text, first ? "not remapped\n" : "\n");
	add(text, "fault records: %u%s\n", options->fault_records,
	    options->advanced_fault_log ? ", or a log in memory" : "");
	if (options->performance_monitoring)
		add(text, "performance monitoring: %u counters of %u bits\n", VTD_COUNTERS,
		    VTD_COUNTER_WIDTH);
}

static void add_present(struct text *text, const struct viommu_unit *unit)
{
	static const char *const modes[] = { [TTM_LEGACY] = "legacy mode",
					     [TTM_SCALABLE] = "scalable mode",
					     [2] = "reserved mode",
					     [TTM_ABORT] = "abort mode" };
	uint32_t status = register32(unit, REGISTER_GSTS);
	uint32_t root = register32(unit, REGISTER_RTADDR);

	if (status & GSTS_TES)
		add(text, "now: translating in %s",
		    modes[root >> RTADDR_TTM_SHIFT & RTADDR_TTM_MASK]);
	else
		add(text, "now: not translating");
	add(text, ", queued invalidation %s", status & GSTS_QIES ? "on" : "off");
	add(text, ", interrupt remapping %s%s", status & GSTS_IRES ? "on" : "off",
	    status & GSTS_CFIS ? " with compatibility format" : "");
	if (register32(unit, REGISTER_PMEN) & PMEN_PRS)
		add(text, ", memory protected");
	add(text, ", %s\n",
	    register32(unit, REGISTER_FSTS) & FSTS_PPF ? "faults pending" : "no fault pending");
}

size_t viommu_unit_describe(const struct viommu_unit *unit, char *text, size_t length)
{
	const struct viommu_unit_options *options = viommu_unit_options(unit);
	struct text out = { .at = text, .length = length };

	add_stages(&out, options);
	add_requests(&out, options);
	add_present(&out, unit);
	return out.used;
}
