/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ACPI DMAR table (VT-d 8).
 *
 * A table is its fixed part and then remapping structures, each with a type and a length: one DRHD
 * per unit with the scopes the unit translates for, then for every segment an ATSR (root ports below
 * which endpoints may use ATS), the names of devices that ACPI alone knows (ANDD), and for every
 * segment a SATC (integrated endpoints that may use ATS). A scope with ATS
 * whose path is one hop is an integrated endpoint of the root bus; a longer path starts at a root
 * port, and that port is what the ATSR lists.
 *
 * The writer counts always and stores only what fits; one run over the same code therefore
 * measures, the other writes.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <viommu/dmar.h>

enum {
	SCOPE_FIXED_LENGTH = 6,
	ATSR_FIXED_LENGTH = 8,
	HOPS_MAX = 8,
	TYPE_DRHD = 0,
	TYPE_RMRR = 1,
	TYPE_ATSR = 2,
	TYPE_ANDD = 4,
	TYPE_SATC = 5,
	DRHD_INCLUDE_ALL = 1,
	SEGMENT_LENGTH_MAX = 65535,
	ACPI_NAME_MAX = 255,
};

struct out {
	uint8_t *at;	 /* NULL: measure only */
	size_t length;	 /* bytes so far */
	size_t capacity; /* bytes at `at`; an empty structure that is taken back may pass it */
};

struct request {
	const struct viommu_dmar_unit *units;
	uint32_t unit_count;
	char *message;
	size_t message_length;
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct request *request,
							const char *format, ...)
{
	va_list arguments;

	if (request->message && request->message_length) {
		va_start(arguments, format);
		vsnprintf(request->message, request->message_length, format, arguments);
		va_end(arguments);
	}
	return -EINVAL;
}

static void emit(struct out *out, uint64_t value, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++) {
		if (out->at && out->length < out->capacity)
			out->at[out->length] = (uint8_t)(value >> (8 * i));
		out->length++;
	}
}

static void emit_text(struct out *out, const char *text, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		emit(out, (uint8_t)text[i], 1);
}

/* Write a length that was not known before its structure was complete. */
static void patch(struct out *out, size_t where, uint64_t value, unsigned int bytes)
{
	for (unsigned int i = 0; out->at && where + i < out->capacity && i < bytes; i++)
		out->at[where + i] = (uint8_t)(value >> (8 * i));
}

/* VT-d 8.3.1 device scope; `hops` may be less than the scope's own, to name a port above it. */
static void emit_scope(struct out *out, const struct viommu_dmar_scope *scope, unsigned int type,
		       unsigned int hops)
{
	emit(out, type, 1);
	emit(out, SCOPE_FIXED_LENGTH + 2 * hops, 1);
	emit(out, 0, 2);
	emit(out, scope->enumeration_id, 1);
	emit(out, scope->start_bus, 1);
	for (unsigned int i = 0; i < hops; i++) {
		emit(out, scope->path[i].device, 1);
		emit(out, scope->path[i].function, 1);
	}
}

/* VT-d 8.3 DRHD */
static int emit_unit(struct out *out, const struct request *request,
		     const struct viommu_dmar_unit *unit)
{
	size_t start = out->length;

	emit(out, TYPE_DRHD, 2);
	emit(out, 0, 2);
	emit(out, unit->include_all ? DRHD_INCLUDE_ALL : 0, 1);
	emit(out, 0, 1); /* size: 2^0 pages of registers */
	emit(out, unit->segment, 2);
	emit(out, unit->base, 8);
	for (uint32_t i = 0; i < unit->scope_count; i++)
		emit_scope(out, &unit->scopes[i], unit->scopes[i].type, unit->scopes[i].hops);
	if (out->length - start > SEGMENT_LENGTH_MAX)
		return refuse(request, "a unit has %u scopes: more than a DRHD structure can hold",
			      unit->scope_count);
	patch(out, start + 2, out->length - start, 2);
	return 0;
}

/* VT-d 8.4 RMRR, one for each scope that has a reserved region. */
static void emit_reserved(struct out *out, const struct viommu_dmar_unit *unit)
{
	for (uint32_t i = 0; i < unit->scope_count; i++) {
		const struct viommu_dmar_scope *scope = &unit->scopes[i];

		if (!scope->reserved_last)
			continue;
		emit(out, TYPE_RMRR, 2);
		emit(out, 24 + SCOPE_FIXED_LENGTH + 2 * scope->hops, 2);
		emit(out, 0, 2);
		emit(out, unit->segment, 2);
		emit(out, scope->reserved_first, 8);
		emit(out, scope->reserved_last, 8);
		emit_scope(out, scope, scope->type, scope->hops);
	}
}

/* VT-d 8.7 ANDD: which object has the number that a scope names. */
static void emit_names(struct out *out, const struct viommu_dmar_unit *unit)
{
	for (uint32_t i = 0; i < unit->scope_count; i++) {
		const struct viommu_dmar_scope *scope = &unit->scopes[i];
		size_t length;

		if (scope->type != VIOMMU_SCOPE_ACPI)
			continue;
		length = strlen(scope->acpi_name) + 1;
		emit(out, TYPE_ANDD, 2);
		emit(out, 8 + length, 2);
		emit(out, 0, 3);
		emit(out, scope->enumeration_id, 1);
		emit_text(out, scope->acpi_name, (unsigned int)length);
	}
}

/* An ATS scope that belongs into a structure of this type. */
static bool belongs(const struct viommu_dmar_scope *scope, unsigned int type)
{
	if (!scope->ats ||
	    (scope->type != VIOMMU_SCOPE_ENDPOINT && scope->type != VIOMMU_SCOPE_BRIDGE))
		return false;
	return type == TYPE_SATC ? scope->hops == 1 && scope->type == VIOMMU_SCOPE_ENDPOINT
				 : scope->hops > 1 || scope->type == VIOMMU_SCOPE_BRIDGE;
}

static bool same_port(const struct viommu_dmar_scope *a, const struct viommu_dmar_scope *b)
{
	return a->start_bus == b->start_bus && a->path[0].device == b->path[0].device &&
	       a->path[0].function == b->path[0].function;
}

/* Was the port of scope `s` of unit `u` listed already, by an earlier scope of the segment? */
static bool port_seen(const struct request *request, uint32_t u, uint32_t s)
{
	const struct viommu_dmar_unit *unit = &request->units[u];

	for (uint32_t i = 0; i <= u; i++) {
		const struct viommu_dmar_unit *other = &request->units[i];
		uint32_t end = i == u ? s : other->scope_count;

		if (other->segment != unit->segment)
			continue;
		for (uint32_t j = 0; j < end; j++)
			if (belongs(&other->scopes[j], TYPE_ATSR) &&
			    same_port(&other->scopes[j], &unit->scopes[s]))
				return true;
	}
	return false;
}

/* VT-d 8.5 ATSR and 8.8 SATC: the same layout, once per segment; left out when it would be empty.
 */
static int emit_ats(struct out *out, const struct request *request, unsigned int type,
		    uint16_t segment)
{
	size_t start = out->length;

	emit(out, type, 2);
	emit(out, 0, 2);
	emit(out, 0, 1); /* flags: not ALL_PORTS, ATC not required */
	emit(out, 0, 1);
	emit(out, segment, 2);
	for (uint32_t u = 0; u < request->unit_count; u++) {
		const struct viommu_dmar_unit *unit = &request->units[u];

		for (uint32_t s = 0; unit->segment == segment && s < unit->scope_count; s++) {
			const struct viommu_dmar_scope *scope = &unit->scopes[s];

			if (!belongs(scope, type))
				continue;
			if (type == TYPE_SATC)
				emit_scope(out, scope, VIOMMU_SCOPE_ENDPOINT, 1);
			else if (!port_seen(request, u, s))
				emit_scope(out, scope, VIOMMU_SCOPE_BRIDGE, 1);
		}
	}
	if (out->length - start > SEGMENT_LENGTH_MAX)
		return refuse(request, "segment %u has more ATS scopes than a structure can hold",
			      segment);
	if (out->length - start == ATSR_FIXED_LENGTH)
		out->length = start;
	else
		patch(out, start + 2, out->length - start, 2);
	return 0;
}

static bool segment_seen(const struct request *request, uint32_t u)
{
	for (uint32_t i = 0; i < u; i++)
		if (request->units[i].segment == request->units[u].segment)
			return true;
	return false;
}

static int emit_ats_of_all(struct out *out, const struct request *request, unsigned int type)
{
	int error = 0;

	for (uint32_t u = 0; u < request->unit_count && !error; u++)
		if (!segment_seen(request, u))
			error = emit_ats(out, request, type, request->units[u].segment);
	return error;
}

/* VT-d 8.2: all structures of one type stand together, in order of type. */
static int emit_structures(struct out *out, const struct request *request)
{
	int error = 0;

	/* VT-d 8.3: a unit with INCLUDE_PCI_ALL comes last of its segment. */
	for (uint32_t u = 0; u < request->unit_count && !error; u++)
		if (!request->units[u].include_all)
			error = emit_unit(out, request, &request->units[u]);
	for (uint32_t u = 0; u < request->unit_count && !error; u++)
		if (request->units[u].include_all)
			error = emit_unit(out, request, &request->units[u]);
	for (uint32_t u = 0; u < request->unit_count && !error; u++)
		emit_reserved(out, &request->units[u]);
	if (!error)
		error = emit_ats_of_all(out, request, TYPE_ATSR);
	for (uint32_t u = 0; u < request->unit_count && !error; u++)
		emit_names(out, &request->units[u]);
	return error ? error : emit_ats_of_all(out, request, TYPE_SATC);
}

/* ACPI 5.2.6: the common header; length and checksum come at the end. */
static void emit_header(struct out *out)
{
	emit_text(out, "DMAR", 4);
	emit(out, 0, 4); /* length */
	emit(out, 1, 1); /* revision */
	emit(out, 0, 1); /* checksum */
	emit_text(out, "VIOMMU", 6);
	emit_text(out, "VIOMMU00", 8);
	emit(out, 1, 4);
	emit_text(out, "VIOM", 4);
	emit(out, 1, 4);
}

/* VT-d 8.4: for endpoints and what is below bridges; whole pages. */
static bool reserved_valid(const struct viommu_dmar_scope *scope)
{
	if (!scope->reserved_first && !scope->reserved_last)
		return true;
	return (scope->type == VIOMMU_SCOPE_ENDPOINT || scope->type == VIOMMU_SCOPE_BRIDGE) &&
	       !(scope->reserved_first & 0xfff) && (scope->reserved_last & 0xfff) == 0xfff &&
	       scope->reserved_first < scope->reserved_last;
}

static bool lead_character(char c)
{
	return (c >= 'A' && c <= 'Z') || c == '_';
}

/* ACPI 5.3: "\\" and segments of up to four characters, with dots between them. */
static bool acpi_name_valid(const char *name)
{
	size_t length = strnlen(name, ACPI_NAME_MAX + 1), i = 1, in_segment = 0;

	if (length > ACPI_NAME_MAX || name[0] != '\\')
		return false;
	for (; i < length; i++) {
		if (name[i] == '.' && in_segment) {
			in_segment = 0;
			continue;
		}
		if (!lead_character(name[i]) &&
		    !(in_segment && name[i] >= '0' && name[i] <= '9'))
			return false;
		if (++in_segment > 4)
			return false;
	}
	return in_segment;
}

/* VT-d 8.7: each ACPI device has a number of its own in the table. */
static int check_acpi(const struct request *request, uint32_t u, uint32_t s)
{
	const struct viommu_dmar_scope *scope = &request->units[u].scopes[s];

	if (!scope->acpi_name || !acpi_name_valid(scope->acpi_name))
		return refuse(request,
			      "unit %u scope %u: ACPI name %.40s: allowed is a full name like "
			      "\\_SB.PCI0.I2C1 of up to %u characters",
			      u, s, scope->acpi_name ? scope->acpi_name : "missing", ACPI_NAME_MAX);
	if (!scope->enumeration_id)
		return refuse(request, "unit %u scope %u: ACPI device number 0: allowed is 1..255", u,
			      s);
	for (uint32_t i = 0; i <= u; i++) {
		const struct viommu_dmar_unit *unit = &request->units[i];

		for (uint32_t j = 0; j < (i == u ? s : unit->scope_count); j++)
			if (unit->scopes[j].type == VIOMMU_SCOPE_ACPI &&
			    unit->scopes[j].enumeration_id == scope->enumeration_id)
				return refuse(request,
					      "unit %u scope %u and unit %u scope %u have the same ACPI "
					      "device number %u",
					      i, j, u, s, scope->enumeration_id);
	}
	return 0;
}

/* What is particular to a type. */
static int check_scope_type(const struct request *request, uint32_t u, uint32_t s)
{
	const struct viommu_dmar_scope *scope = &request->units[u].scopes[s];
	bool pci = scope->type == VIOMMU_SCOPE_ENDPOINT || scope->type == VIOMMU_SCOPE_BRIDGE;

	/* VT-d 8.3.1: the path of these is half of a source-id. */
	if ((scope->type == VIOMMU_SCOPE_HPET || scope->type == VIOMMU_SCOPE_ACPI) &&
	    scope->hops != 1)
		return refuse(request, "unit %u scope %u: %u hops: an HPET or ACPI device has 1", u,
			      s, scope->hops);
	if (pci && request->units[u].include_all)
		return refuse(request,
			      "unit %u scope %u: a PCI endpoint or bridge of an include-all unit: it has "
			      "those anyway",
			      u, s);
	if (scope->type == VIOMMU_SCOPE_ACPI)
		return check_acpi(request, u, s);
	if (scope->acpi_name)
		return refuse(request, "unit %u scope %u: ACPI name %.40s, but type %u is not ACPI's 5", u,
			      s, scope->acpi_name, scope->type);
	return 0;
}

static int check_scope(const struct request *request, uint32_t u, uint32_t s)
{
	const struct viommu_dmar_scope *scope = &request->units[u].scopes[s];

	if (scope->size != sizeof(*scope))
		return refuse(request, "unit %u scope %u: size %u is not that of a scope", u, s,
			      scope->size);
	if (scope->type < VIOMMU_SCOPE_ENDPOINT || scope->type > VIOMMU_SCOPE_ACPI)
		return refuse(request, "unit %u scope %u: type %u is not 1..5", u, s, scope->type);
	if (scope->hops < 1 || scope->hops > HOPS_MAX)
		return refuse(request, "unit %u scope %u: %u hops: allowed is 1..8", u, s,
			      scope->hops);
	if (!reserved_valid(scope))
		return refuse(request,
			      "unit %u scope %u: reserved memory 0x%llx to 0x%llx: whole pages of a "
			      "PCI endpoint or bridge are allowed",
			      u, s, (unsigned long long)scope->reserved_first,
			      (unsigned long long)scope->reserved_last);
	for (unsigned int i = 0; i < scope->hops; i++)
		if (scope->path[i].device > 31 || scope->path[i].function > 7)
			return refuse(request,
				      "unit %u scope %u hop %u: %u.%u: a device is 0..31 and a "
				      "function 0..7",
				      u, s, i, scope->path[i].device, scope->path[i].function);
	return check_scope_type(request, u, s);
}

static int check_unit(const struct request *request, uint32_t u)
{
	const struct viommu_dmar_unit *unit = &request->units[u];

	if (unit->size != sizeof(*unit))
		return refuse(request, "unit %u: size %u is not that of a unit", u, unit->size);
	if (!unit->base || unit->base & 0xfff)
		return refuse(request,
			      "unit %u: base 0x%llx: a multiple of 4096 above 0 is allowed", u,
			      (unsigned long long)unit->base);
	if (!unit->include_all && !unit->scope_count)
		return refuse(request, "unit %u: no scopes and not include-all: it has no devices",
			      u);
	for (uint32_t i = 0; i < u; i++) {
		const struct viommu_dmar_unit *other = &request->units[i];

		if (other->base == unit->base)
			return refuse(request, "units %u and %u have the same base 0x%llx", i, u,
				      (unsigned long long)unit->base);
		if (unit->include_all && other->include_all && other->segment == unit->segment)
			return refuse(request, "units %u and %u are both include-all of segment %u",
				      i, u, unit->segment);
	}
	for (uint32_t s = 0; s < unit->scope_count; s++) {
		int error = check_scope(request, u, s);

		if (error)
			return error;
	}
	return 0;
}

static int build(struct out *out, const struct request *request, uint8_t address_width,
		 uint8_t flags, bool with_header)
{
	uint8_t sum = 0;
	int error;

	if (with_header)
		emit_header(out);
	emit(out, address_width - 1, 1);
	emit(out, flags, 1);
	emit(out, 0, 8);
	emit(out, 0, 2);
	error = emit_structures(out, request);
	if (error || !with_header)
		return error;
	patch(out, 4, out->length, 4);
	for (size_t i = 0; out->at && i < out->length; i++)
		sum += out->at[i];
	patch(out, 9, (uint8_t)-sum, 1);
	return 0;
}

int viommu_dmar_build(const struct viommu_dmar_unit *units, uint32_t unit_count,
		      uint8_t address_width, uint8_t flags, bool with_header, void *table,
		      size_t length, char *message, size_t message_length)
{
	const struct request request = { units, unit_count, message, message_length };
	struct out out = { .at = NULL };
	size_t needed;
	int error = 0;

	if (!unit_count)
		return refuse(&request, "a table needs at least one unit");
	if (address_width < 32 || address_width > 64)
		return refuse(&request, "address width %u: allowed is 32..64", address_width);
	if (flags & ~(VIOMMU_DMAR_INTR_REMAP | VIOMMU_DMAR_X2APIC_OPT_OUT))
		return refuse(&request, "flags 0x%x: only interrupt remapping and x2APIC opt-out",
			      flags);
	for (uint32_t u = 0; u < unit_count && !error; u++)
		error = check_unit(&request, u);
	if (!error)
		error = build(&out, &request, address_width, flags, with_header);
	if (error)
		return error;
	needed = out.length;
	if (needed > length)
		return (int)needed;
	out = (struct out){ .at = table, .capacity = needed };
	build(&out, &request, address_width, flags, with_header);
	return (int)needed;
}
