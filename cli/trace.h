/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A register trace in words.
 */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

/* Print FILE ("-": standard input) with registers and bits named. The exit status. */
int trace_decode(const char *file);

#endif
