/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The report at the end of a run, for people and for machines.
 */
#include "results.h"

#include <string.h>

static double number(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_number(value) ? json_number_value(value) : 0;
}

/* 1234567 as "1.23 M": four characters that matter. */
static const char *scaled(double value, const char *unit, char *text, size_t length)
{
	static const char suffix[] = " kMGT";
	unsigned int step = 0;

	while (value >= 10000 && step < 4) {
		value /= 1000;
		step++;
	}
	if (!step)
		snprintf(text, length, "%.0f%s%s", value, *unit ? " " : "", unit);
	else
		snprintf(text, length, "%.1f %c%s", value, suffix[step], unit);
	return text;
}

static void hit_rate(const json_t *units, char *text, size_t length)
{
	double hits = number(units, "iotlb_hits"), misses = number(units, "iotlb_misses");

	if (hits + misses > 0)
		snprintf(text, length, "%.2f %%", 100 * hits / (hits + misses));
	else
		snprintf(text, length, "-");
}

/* The width of the column of names: the widest, within reason. */
static int name_width(const json_t *workloads)
{
	const json_t *workload;
	size_t i, width = 18;

	json_array_foreach(workloads, i, workload)
	{
		size_t length = json_string_length(json_object_get(workload, "workload"));

		width = length > width ? length : width;
	}
	return width < 40 ? (int)width : 40;
}

static void print_workload(FILE *out, const json_t *workload, int width)
{
	const json_t *units = json_object_get(workload, "units");
	char operations[32], bytes[32], translations[32], rate[32];
	const char *name = json_string_value(json_object_get(workload, "workload"));
	const char *detail = json_string_value(json_object_get(workload, "detail"));

	hit_rate(units, rate, sizeof(rate));
	fprintf(out, "  %-*.*s %10s %10s %7.0f %13s %11s %9.0f %7.0f %8.2f s  %s\n", width,
		width, name ? name : "?",
		scaled(number(workload, "operations"), "", operations, sizeof(operations)),
		scaled(number(workload, "bytes"), "B", bytes, sizeof(bytes)),
		number(workload, "pasids"),
		scaled(number(units, "translations"), "", translations, sizeof(translations)), rate,
		number(units, "page_requests"), number(units, "faults"),
		number(workload, "seconds"),
		json_is_true(json_object_get(workload, "pass")) ? "PASS" : "FAIL");
	if (detail && *detail)
		fprintf(out, "    %s\n", detail);
}

static void print_units(FILE *out, const json_t *status)
{
	const json_t *unit;
	size_t i;

	json_array_foreach(json_object_get(status, "units"), i, unit)
	{
		const char *text = json_string_value(json_object_get(unit, "description"));
		const char *name = json_string_value(json_object_get(unit, "name"));

		fprintf(out, "\n%s, registers at 0x%llx:\n", name ? name : "unit",
			(unsigned long long)number(unit, "address"));
		for (size_t length; text && *text; text += length + (text[length] == '\n')) {
			length = strcspn(text, "\n");
			fprintf(out, "  %.*s\n", (int)length, text);
		}
	}
}

static void print_checks(FILE *out, const json_t *checks)
{
	const json_t *check;
	size_t i;

	if (json_array_size(checks))
		fprintf(out, "\nChecks:\n");
	json_array_foreach(checks, i, check)
	{
		const char *name = json_string_value(json_object_get(check, "name"));
		const char *detail = json_string_value(json_object_get(check, "detail"));

		fprintf(out, "  %s  %s%s%s\n",
			json_is_true(json_object_get(check, "pass")) ? "PASS" : "FAIL",
			name ? name : "?", detail && *detail ? ": " : "", detail ? detail : "");
	}
}

void report_print(FILE *out, const struct results *r, const json_t *status, const char *guest,
		  double seconds, const char *failure)
{
	int width = name_width(r->workloads);
	const json_t *workload;
	size_t i;

	fprintf(out, "\nviommu report: %s, %.1f s\n", guest, seconds);
	print_units(out, status);
	if (json_array_size(r->workloads))
		fprintf(out, "\n  %-*s %10s %10s %7s %13s %11s %9s %7s %10s\n", width,
			"Workload", "operations", "bytes", "PASIDs", "translations", "IOTLB hits", "page req.",
			"faults", "time");
	json_array_foreach(r->workloads, i, workload) print_workload(out, workload, width);
	print_checks(out, r->checks);
	fprintf(out, "\n%s%s%s\n", failure ? "FAIL" : "PASS", failure ? ": " : "",
		failure ? failure : "");
}

json_t *report_json(const struct results *r, const json_t *status, const char *guest,
		    double seconds, const char *failure)
{
	json_t *report =
		json_pack("{s:b, s:s, s:f, s:O, s:O}", "pass", !failure, "guest", guest, "seconds",
			  seconds, "workloads", r->workloads, "checks", r->checks);

	if (report && failure)
		json_object_set_new(report, "failure", json_string(failure));
	if (report && status)
		json_object_set(report, "units", json_object_get(status, "units"));
	return report;
}
