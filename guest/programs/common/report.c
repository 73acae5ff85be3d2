/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reports of guest programs. A line is put together in memory and written with one system call, so
 * that lines of two processes never mix.
 */
#include "report.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool failed;

static void write_line(const char *line)
{
	const char *path = getenv("REPORT");
	int fd = path ? open(path, O_WRONLY | O_NOCTTY | O_APPEND) : STDOUT_FILENO;
	ssize_t done;

	if (fd < 0)
		fd = STDOUT_FILENO;
	done = write(fd, line, strlen(line));
	if (fd != STDOUT_FILENO)
		close(fd);
	if (done < 0)
		perror("report");
}

static void note_failure(void)
{
	int fd = open("/tmp/failed", O_WRONLY | O_CREAT, 0644);

	failed = true;
	if (fd >= 0)
		close(fd);
}

/* Formats and escapes the free text of a line. */
static void quote(char *to, size_t size, const char *format, va_list args)
{
	char text[512];
	size_t used = 0;

	vsnprintf(text, sizeof(text), format, args);
	for (const char *p = text; *p && used + 3 < size; p++) {
		if (*p == '"' || *p == '\\')
			to[used++] = '\\';
		to[used++] = (unsigned char)*p < ' ' ? ' ' : *p;
	}
	to[used] = '\0';
}

void report_begin(const char *workload)
{
	char line[128];

	snprintf(line, sizeof(line), "{\"event\":\"begin\",\"workload\":\"%s\"}\n", workload);
	write_line(line);
	fprintf(stderr, "guest: %s\n", workload);
}

void report_check(const char *name, bool pass, const char *format, ...)
{
	char line[1400], detail[1100];
	va_list args;

	va_start(args, format);
	quote(detail, sizeof(detail), format, args);
	va_end(args);
	if (!pass)
		note_failure();
	snprintf(line, sizeof(line), "{\"event\":\"check\",\"name\":\"%s\",\"pass\":%s,\"detail\":\"%s\"}\n",
		 name, pass ? "true" : "false", detail);
	write_line(line);
	fprintf(stderr, "guest: %s: %s (%s)\n", pass ? "ok" : "FAILED", name, detail);
}

void report_end(const char *workload, bool pass, const struct report_totals *totals, const char *format, ...)
{
	char line[1600], detail[1100];
	va_list args;

	va_start(args, format);
	quote(detail, sizeof(detail), format, args);
	va_end(args);
	if (!pass)
		note_failure();
	snprintf(line, sizeof(line),
		 "{\"event\":\"end\",\"workload\":\"%s\",\"pass\":%s,\"operations\":%llu,\"bytes\":%llu,"
		 "\"pasids\":%u,\"seconds\":%.3f,\"detail\":\"%s\"}\n",
		 workload, pass ? "true" : "false", (unsigned long long)totals->operations,
		 (unsigned long long)totals->bytes, totals->pasids, totals->seconds, detail);
	write_line(line);
	fprintf(stderr, "guest: %s: %s: %llu operations, %llu bytes, %.3f s (%s)\n", workload,
		pass ? "PASS" : "FAIL", (unsigned long long)totals->operations,
		(unsigned long long)totals->bytes, totals->seconds, detail);
}

bool report_failed(void)
{
	return failed;
}

double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}
