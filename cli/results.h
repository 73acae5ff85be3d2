/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a guest reports on its second serial port, one JSON object per line, and what becomes of it.
 *
 * begin {workload}; end {workload, pass, operations, bytes, pasids, seconds, detail}; check {name,
 * pass, detail}; done {pass}. The daemon's counters are sampled at begin and end, so each workload
 * also has what its units did.
 */
#ifndef CLI_RESULTS_H
#define CLI_RESULTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#define RESULT_LINE 16384

struct results {
	json_t *workloads; /* array of what "end" said, with "units": what the counters gained */
	json_t *checks;
	json_t *before;	  /* counters at the last begin */
	char running[64]; /* the workload between begin and end, or "" */
	bool done;
	bool passed; /* "done" said so */
	bool failed; /* some workload or check failed, or a line made no sense */
	char line[RESULT_LINE];
	size_t length;
};

int results_init(struct results *results);
void results_free(struct results *results);
/*
 * Take bytes from the guest. `sample` gives the daemon's counters (a new reference, or NULL); `say`
 * hears one line of progress for people.
 */
void results_feed(struct results *results, const char *bytes, size_t length,
		  json_t *(*sample)(void *opaque), void (*say)(void *opaque, const char *text),
		  void *opaque);

/* How it ended: why it failed, or NULL. */
void report_print(FILE *out, const struct results *results, const json_t *status, const char *guest,
		  double seconds, const char *failure);
/* The same for machines; a new reference. */
json_t *report_json(const struct results *results, const json_t *status, const char *guest,
		    double seconds, const char *failure);

#endif
