/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Result lines. They come from a guest, so nothing in them is trusted: a line that is not an object
 * with the right members is a failure of the run, said as such, and nothing more.
 */
#include "results.h"

#include <string.h>

/* Workloads and checks kept; a guest that reports more has gone wrong. */
#define RESULTS_MAX 10000

int results_init(struct results *r)
{
	memset(r, 0, sizeof(*r));
	r->workloads = json_array();
	r->checks = json_array();
	return r->workloads && r->checks ? 0 : -1;
}

void results_free(struct results *r)
{
	json_decref(r->workloads);
	json_decref(r->checks);
	json_decref(r->before);
}

/* Sum of a counter over all units of a sample. */
static json_int_t sum(const json_t *sample, const char *counter)
{
	json_int_t total = 0;
	const json_t *unit;
	size_t i;

	json_array_foreach(json_object_get(sample, "units"), i, unit) total +=
		json_integer_value(json_object_get(unit, counter));
	return total;
}

/* What the units did between two samples. */
static json_t *gained(const json_t *before, const json_t *after)
{
	static const char *const counters[] = {
		"translations", "iotlb_hits",	 "iotlb_misses",
		"faults",	"page_requests", "page_responses",
		"descriptors",	"bytes",	 "device_tlb_invalidations"
	};
	json_t *gain = json_object();

	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		json_object_set_new(
			gain, counters[i],
			json_integer(sum(after, counters[i]) - sum(before, counters[i])));
	return gain;
}

static const char *text_of(const json_t *event, const char *name)
{
	const char *text = json_string_value(json_object_get(event, name));

	return text ? text : "";
}

static bool passed(const json_t *event)
{
	return json_is_true(json_object_get(event, "pass"));
}

static void say_result(const char *what, const json_t *event, const char *name,
		       void (*say)(void *opaque, const char *text), void *opaque)
{
	char text[512];

	snprintf(text, sizeof(text), "%s %s: %s%s%.300s", what, text_of(event, name),
		 passed(event) ? "PASS" : "FAIL", *text_of(event, "detail") ? ": " : "",
		 text_of(event, "detail"));
	say(opaque, text);
}

static void begin(struct results *r, const json_t *event, json_t *sample,
		  void (*say)(void *opaque, const char *text), void *opaque)
{
	char text[128];

	snprintf(r->running, sizeof(r->running), "%s", text_of(event, "workload"));
	json_decref(r->before);
	r->before = json_incref(sample);
	snprintf(text, sizeof(text), "workload %s begins", r->running);
	say(opaque, text);
}

static void end(struct results *r, json_t *event, json_t *sample)
{
	/* an end without its begin would get somebody else's counters */
	if (strcmp(r->running, text_of(event, "workload")))
		r->failed = true;
	else
		json_object_set_new(event, "units", gained(r->before, sample));
	r->running[0] = 0;
	if (!passed(event))
		r->failed = true;
	json_object_del(event, "event");
	json_array_append(r->workloads, event);
}

static void take_event(struct results *r, json_t *event, json_t *(*sample)(void *opaque),
		       void (*say)(void *opaque, const char *text), void *opaque)
{
	const char *kind = text_of(event, "event");
	json_t *now = NULL;

	if (json_array_size(r->workloads) + json_array_size(r->checks) > RESULTS_MAX) {
		r->failed = true;
		return;
	}
	if (!strcmp(kind, "begin")) {
		now = sample(opaque);
		begin(r, event, now, say, opaque);
	} else if (!strcmp(kind, "end")) {
		now = sample(opaque);
		say_result("workload", event, "workload", say, opaque);
		end(r, event, now);
	} else if (!strcmp(kind, "check")) {
		say_result("check", event, "name", say, opaque);
		if (!passed(event))
			r->failed = true;
		json_object_del(event, "event");
		json_array_append(r->checks, event);
	} else if (!strcmp(kind, "done")) {
		r->done = true;
		r->passed = passed(event);
	} else {
		r->failed = true;
		say(opaque, "the guest reported something unknown");
	}
	json_decref(now);
}

static void take_line(struct results *r, json_t *(*sample)(void *opaque),
		      void (*say)(void *opaque, const char *text), void *opaque)
{
	json_t *event;

	while (r->length && (r->line[r->length - 1] == '\r' || r->line[r->length - 1] == ' '))
		r->length--;
	if (!r->length)
		return;
	event = json_loadb(r->line, r->length, 0, NULL);
	if (json_is_object(event)) {
		take_event(r, event, sample, say, opaque);
	} else {
		r->failed = true;
		say(opaque, "the guest reported a line that is not a JSON object");
	}
	json_decref(event);
}

void results_feed(struct results *r, const char *bytes, size_t length,
		  json_t *(*sample)(void *opaque), void (*say)(void *opaque, const char *text),
		  void *opaque)
{
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] == '\n') {
			take_line(r, sample, say, opaque);
			r->length = 0;
		} else if (r->length < sizeof(r->line)) {
			r->line[r->length++] = bytes[i];
		} else {
			r->failed = true; /* longer than any report: the rest is dropped */
		}
	}
}
