/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options of a unit by name.
 *
 * One table row per option gives its name, where it lives, what it may be and a line of help;
 * parsing, help texts and range checks all read that table. A second table says which option needs
 * which other one. Two rules follow from it: a combination that contradicts itself is refused with
 * a sentence that names the option, its value and what is allowed; and switching an option off *by
 * name* also switches off what needs it, so that "scalable=off" alone is a legacy unit. Whoever
 * asks for a dependent by name, before or after, gets the refusal.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory/sized.h"
#include "vtd/capability.h"
#include "vtd/options.h"

#define TEXT_(x) #x
#define TEXT(x)	 TEXT_(x)

enum kind { KIND_BOOL, KIND_U8, KIND_U16, KIND_U32 };

struct option {
	const char *name;
	const char *allowed;
	const char *help;
	size_t offset;
	enum kind kind;
	uint32_t min, max;
	uint32_t initial;
};

#define OFFSET(member) offsetof(struct viommu_unit_options, member)

#define SWITCH(name_, member, initial_, help_)                                               \
	{                                                                                    \
		.name = name_, .allowed = "on|off", .help = help_, .offset = OFFSET(member), \
		.kind = KIND_BOOL, .min = 0, .max = 1, .initial = initial_                   \
	}

#define NUMBER(name_, member, kind_, min_, max_, initial_, allowed_, help_)                  \
	{                                                                                    \
		.name = name_, .allowed = allowed_, .help = help_, .offset = OFFSET(member), \
		.kind = kind_, .min = min_, .max = max_, .initial = initial_                 \
	}

static const struct option options_table[] = {
	NUMBER("aw-bits", aw_bits, KIND_U8, 39, 57, 48, "39, 48 or 57",
	       "address width: widest second stage and host addresses"),
	NUMBER("pasid-bits", pasid_bits, KIND_U8, 0, 20, 20, "0..20",
	       "width of a PASID; 0 is a unit without PASIDs"),
	SWITCH("scalable", scalable, 1, "scalable mode (off: legacy mode only)"),
	SWITCH("first-stage", first_stage, 1, "first-stage translation (process page tables)"),
	SWITCH("second-stage", second_stage, 1, "second-stage translation in scalable mode"),
	SWITCH("nested", nested, 1, "nested translation: first stage on top of second stage"),
	SWITCH("pass-through", pass_through, 1, "pass-through of untranslated requests"),
	SWITCH("five-level", five_level, 1,
	       "first-stage tables may have five levels (LA57 guests)"),
	SWITCH("device-iotlb", device_iotlb, 1, "ATS: device TLBs and their invalidation"),
	SWITCH("page-request", page_request, 1, "page requests (PRI) and their drain"),
	SWITCH("caching-mode", caching_mode, 0,
	       "the guest also invalidates when an entry becomes present"),
	SWITCH("snoop-control", snoop_control, 1, "page tables may force snooping"),
	SWITCH("dirty-tracking", dirty_tracking, 1, "accessed and dirty bits in the second stage"),
	SWITCH("coherent", coherent, 1, "walks snoop the processor's caches"),
	SWITCH("execute-request", execute_request, 1, "requests for instruction fetch"),
	SWITCH("supervisor-request", supervisor_request, 1, "privileged requests"),
	SWITCH("extended-accessed", extended_accessed, 1,
	       "extended-accessed bit in the first stage"),
	SWITCH("rid-pasid", rid_pasid, 1, "a context entry chooses the PASID of plain requests"),
	SWITCH("memory-type", memory_type, 0, "memory types in tables and the MTRR registers"),
	SWITCH("abort-mode", abort_mode, 1, "a root-table mode that aborts all DMA"),
	SWITCH("interrupt-remapping", interrupt_remapping, 0, "interrupt remapping"),
	SWITCH("extended-interrupt", extended_interrupt, 0,
	       "32-bit interrupt destinations (x2APIC)"),
	SWITCH("posted-interrupts", posted_interrupts, 0, "posted interrupts"),
	SWITCH("zero-length-read", zero_length_read, 1,
	       "zero-length reads of write-only pages succeed"),
	NUMBER("fault-records", fault_records, KIND_U16, 1, VTD_FAULT_RECORDS_MAX, 8,
	       "1.." TEXT(VTD_FAULT_RECORDS_MAX), "fault recording registers"),
	NUMBER("segment", segment, KIND_U16, 0, 65535, 0, "0..65535", "PCI segment of the scope"),
	NUMBER("iotlb-entries", iotlb_entries, KIND_U32, 64, 1048576, 65536,
	       "a power of two from 64 to 1048576", "entries of the unit's IOTLB"),
	SWITCH("protected-memory", protected_memory, 0,
	       "two regions of memory that no DMA reaches, whatever is translated"),
	SWITCH("performance-monitoring", performance_monitoring, 0,
	       "event counters (perf), run by enhanced commands"),
	SWITCH("virtual-commands", virtual_commands, 0,
	       "the guest asks the unit for its PASIDs"),
	SWITCH("advanced-fault-log", advanced_fault_log, 0,
	       "a fault log in memory, as older revisions have it"),
	SWITCH("rid-privilege", rid_privilege, 0,
	       "a context entry makes plain requests privileged ones"),
	SWITCH("drain", drain, 1,
	       "invalidation waits drain running accesses (off only to see tests fail)"),
};

#define OPTIONS (sizeof(options_table) / sizeof(options_table[0]))

/* `option` switched on needs `needs` switched on (a number: not zero). */
static const struct need {
	const char *option, *needs;
} needs_table[] = {
	{ "pasid-bits", "scalable" },
	{ "first-stage", "scalable" },
	{ "nested", "first-stage" },
	{ "nested", "second-stage" },
	{ "five-level", "first-stage" },
	{ "extended-accessed", "first-stage" },
	{ "page-request", "scalable" },
	{ "page-request", "device-iotlb" },
	{ "dirty-tracking", "scalable" },
	{ "dirty-tracking", "second-stage" },
	{ "execute-request", "pasid-bits" },
	{ "supervisor-request", "pasid-bits" },
	{ "rid-pasid", "pasid-bits" },
	{ "virtual-commands", "pasid-bits" },
	{ "rid-privilege", "supervisor-request" },
	{ "memory-type", "scalable" },
	{ "extended-interrupt", "interrupt-remapping" },
	{ "posted-interrupts", "interrupt-remapping" },
};

#define NEEDS (sizeof(needs_table) / sizeof(needs_table[0]))

__attribute__((format(printf, 4, 5))) static int
refuse(int error, char *message, size_t message_length, const char *format, ...)
{
	va_list arguments;

	if (message && message_length) {
		va_start(arguments, format);
		vsnprintf(message, message_length, format, arguments);
		va_end(arguments);
	}
	return error;
}

static const struct option *find(const char *name)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (strcmp(options_table[i].name, name) == 0)
			return &options_table[i];
	return NULL;
}

static uint32_t get(const struct viommu_unit_options *options, const struct option *option)
{
	const char *at = (const char *)options + option->offset;

	switch (option->kind) {
	case KIND_BOOL:
		return *(const bool *)at;
	case KIND_U8:
		return *(const uint8_t *)at;
	case KIND_U16:
		return *(const uint16_t *)at;
	case KIND_U32:
		return *(const uint32_t *)at;
	}
	return 0;
}

static void put(struct viommu_unit_options *options, const struct option *option, uint32_t value)
{
	char *at = (char *)options + option->offset;

	switch (option->kind) {
	case KIND_BOOL:
		*(bool *)at = value;
		break;
	case KIND_U8:
		*(uint8_t *)at = (uint8_t)value;
		break;
	case KIND_U16:
		*(uint16_t *)at = (uint16_t)value;
		break;
	case KIND_U32:
		*(uint32_t *)at = value;
		break;
	}
}

/* A value as the user would write it. */
static const char *spell(const struct option *option, uint32_t value, char *text, size_t length)
{
	if (option->kind == KIND_BOOL)
		return value ? "on" : "off";
	snprintf(text, length, "%u", value);
	return text;
}

static bool allowed(const struct option *option, uint32_t value)
{
	if (value < option->min || value > option->max)
		return false;
	if (option->offset == OFFSET(aw_bits))
		return value == 39 || value == 48 || value == 57;
	if (option->offset == OFFSET(iotlb_entries))
		return (value & (value - 1)) == 0;
	return true;
}

static int parse_switch(const char *text, uint32_t *value)
{
	static const char *const on[] = { "on", "yes", "true", "1" };
	static const char *const off[] = { "off", "no", "false", "0" };

	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++) {
		if (strcmp(text, on[i]) == 0) {
			*value = 1;
			return 0;
		}
		if (strcmp(text, off[i]) == 0) {
			*value = 0;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_number(const char *text, uint32_t *value)
{
	unsigned long long number;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 0);
	if (errno || *end || number > UINT32_MAX)
		return -EINVAL;
	*value = (uint32_t)number;
	return 0;
}

/* Of `named`. */
static uint64_t bit(const struct option *option)
{
	return 1ull << (option - options_table);
}

_Static_assert(OPTIONS <= 64, "a bit each");

/*
 * What needs a thing that is off goes off too, until nothing changes any more; but not what was
 * asked for by name, for that is a contradiction.
 */
static void switch_off_dependents(struct viommu_unit_options *options)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (size_t i = 0; i < NEEDS; i++) {
			const struct option *option = find(needs_table[i].option);

			if (!get(options, find(needs_table[i].needs)) && get(options, option) &&
			    !(options->named & bit(option))) {
				put(options, option, 0);
				changed = true;
			}
		}
	}
}

void viommu_unit_options_init(struct viommu_unit_options *options)
{
	memset(options, 0, sizeof(*options));
	options->size = sizeof(*options);
	for (size_t i = 0; i < OPTIONS; i++)
		put(options, &options_table[i], options_table[i].initial);
}

int viommu_unit_options_set(struct viommu_unit_options *options, const char *name,
			    const char *value, char *message, size_t message_length)
{
	const struct option *option = find(name);
	uint32_t number = 0;
	int error;

	if (!option)
		return refuse(-ENOENT, message, message_length, "%s=%s: there is no such option",
			      name, value);
	error = option->kind == KIND_BOOL ? parse_switch(value, &number)
					  : parse_number(value, &number);
	if (error || !allowed(option, number))
		return refuse(-EINVAL, message, message_length,
			      "%s=%s is not possible: allowed is %s", name, value, option->allowed);
	put(options, option, number);
	options->named &= ~bit(option);
	if (number)
		options->named |= bit(option);
	else
		switch_off_dependents(options);
	return 0;
}

int vtd_options_import(struct viommu_unit_options *to, const struct viommu_unit_options *from)
{
	int error = sized_import(to, sizeof(*to), from);

	if (!error)
		to->size = sizeof(*to);
	return error;
}

static int check_ranges(const struct viommu_unit_options *options, char *message,
			size_t message_length)
{
	char text[16];

	for (size_t i = 0; i < OPTIONS; i++) {
		const struct option *option = &options_table[i];
		uint32_t value = get(options, option);

		if (!allowed(option, value))
			return refuse(-EINVAL, message, message_length,
				      "%s=%s is not possible: allowed is %s", option->name,
				      spell(option, value, text, sizeof(text)), option->allowed);
	}
	return 0;
}

static int check_needs(const struct viommu_unit_options *options, char *message,
		       size_t message_length)
{
	char text[16];

	for (size_t i = 0; i < NEEDS; i++) {
		const struct option *option = find(needs_table[i].option);
		const struct option *needs = find(needs_table[i].needs);
		uint32_t value = get(options, option);
		bool is_switch = needs->kind == KIND_BOOL;

		if (!value || get(options, needs))
			continue;
		return refuse(-EINVAL, message, message_length,
			      "%s=%s needs %s%s; with %s=%s only %s=%s is allowed", option->name,
			      spell(option, value, text, sizeof(text)), needs->name,
			      is_switch ? "=on" : " of 1..20", needs->name, is_switch ? "off" : "0",
			      option->name, option->kind == KIND_BOOL ? "off" : "0");
	}
	return 0;
}

/* Contradictions that are not of the form "this needs that". */
static int check_stages(const struct viommu_unit_options *options, char *message,
			size_t message_length)
{
	if (!options->second_stage && !options->scalable)
		return refuse(-EINVAL, message, message_length,
			      "second-stage=off needs scalable=on: legacy mode has no other stage; "
			      "with scalable=off only second-stage=on is allowed");
	if (!options->second_stage && !options->first_stage)
		return refuse(-EINVAL, message, message_length,
			      "second-stage=off needs first-stage=on: a unit without any stage "
			      "translates nothing");
	/* VT-d 3.6: the first stage takes 48- or 57-bit addresses, and a guest wants one common
	 * width. */
	if (options->first_stage && options->aw_bits == 39)
		return refuse(-EINVAL, message, message_length,
			      "aw-bits=39 is a width the first stage cannot have: with "
			      "first-stage=on allowed is 48 or 57");
	return 0;
}

/* The register window is 4 KiB: what some options put there takes the place of fault records. */
static int check_window(const struct viommu_unit_options *options, char *message,
			size_t message_length)
{
	if (options->performance_monitoring && options->fault_records > VTD_FAULT_RECORDS_PERFMON)
		return refuse(-EINVAL, message, message_length,
			      "fault-records=%u leaves no room for performance-monitoring=on: "
			      "with it allowed is 1..%u",
			      options->fault_records, VTD_FAULT_RECORDS_PERFMON);
	if (options->virtual_commands && options->fault_records > VTD_FAULT_RECORDS_VIRTUAL)
		return refuse(-EINVAL, message, message_length,
			      "fault-records=%u leaves no room for virtual-commands=on: "
			      "with it allowed is 1..%u",
			      options->fault_records, VTD_FAULT_RECORDS_VIRTUAL);
	return 0;
}

int viommu_unit_options_check(const struct viommu_unit_options *options, char *message,
			      size_t message_length)
{
	struct viommu_unit_options own;
	int error = vtd_options_import(&own, options);

	if (error == -E2BIG)
		return refuse(error, message, message_length,
			      "the options are of %u bytes: this library knows %zu and the rest is "
			      "not zero",
			      options->size, sizeof(own));
	if (error)
		return refuse(error, message, message_length, "the options have size %u: not set",
			      options->size);
	error = check_ranges(&own, message, message_length);
	if (!error)
		error = check_needs(&own, message, message_length);
	if (!error)
		error = check_stages(&own, message, message_length);
	if (!error)
		error = check_window(&own, message, message_length);
	return error;
}

int viommu_unit_option_info(unsigned int index, struct viommu_option_info *info)
{
	struct viommu_option_info full = { .size = sizeof(full) };
	char text[16];

	if (index >= OPTIONS)
		return -ENOENT;
	full.name = options_table[index].name;
	full.allowed = options_table[index].allowed;
	full.help = options_table[index].help;
	snprintf(full.default_value, sizeof(full.default_value), "%s",
		 spell(&options_table[index], options_table[index].initial, text, sizeof(text)));
	return sized_export(info, &full, sizeof(full));
}
