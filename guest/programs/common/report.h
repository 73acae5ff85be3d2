/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GUEST_REPORT_H
#define GUEST_REPORT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Results for whoever started the guest, one JSON object a line, written at once to the port that
 * init names in $REPORT (standard output without it). A failed one leaves /tmp/failed behind, which
 * init turns into the verdict of the whole run.
 */
void report_begin(const char *workload);
void report_check(const char *name, bool pass, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

struct report_totals {
	uint64_t operations;
	uint64_t bytes;
	unsigned int pasids;
	double seconds;
};

void report_end(const char *workload, bool pass, const struct report_totals *totals, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* True once any check or workload of this process has failed: the exit status. */
bool report_failed(void);

double seconds_now(void);

#endif
