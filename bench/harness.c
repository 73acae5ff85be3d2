/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See bench.h. Repetitions are spread over time, so that a busy neighbour spoils some of them, not
 * all.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

enum { REPETITIONS = 15, QUICK_REPETITIONS = 3 };
#define TARGET_NS	2e6
#define QUICK_TARGET_NS 1e5

static double clock_now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

double bench_now(void)
{
	return clock_now(CLOCK_MONOTONIC);
}

double bench_cpu_now(void)
{
	return clock_now(CLOCK_THREAD_CPUTIME_ID);
}

static double measured_now(const struct bench *bench)
{
	return bench->cpu_time ? bench_cpu_now() : bench_now();
}

bool bench_begin(struct bench *bench, int argc, char **argv)
{
	memset(bench, 0, sizeof(*bench));
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			bench->json = true;
		} else if (strcmp(argv[i], "--quick") == 0) {
			bench->quick = true;
		} else if (strncmp(argv[i], "--filter=", 9) == 0) {
			bench->filter = argv[i] + 9;
		} else {
			fprintf(stderr, "%s: %s: allowed are --json, --quick and --filter=GROUP\n", argv[0], argv[i]);
			return false;
		}
	}
	return true;
}

int bench_end(struct bench *bench)
{
	if (bench->json)
		printf("%s]\n", bench->rows ? "\n" : "[");
	else
		printf("\n%u rows, %u above what the design asks for\n", bench->rows, bench->slow);
	return 0;
}

bool bench_wanted(const struct bench *bench, const char *group)
{
	return !bench->filter || strstr(group, bench->filter);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static unsigned int repetitions(const struct bench *bench)
{
	return bench->quick ? QUICK_REPETITIONS : REPETITIONS;
}

static double measure_once(const struct bench *bench, uint64_t count,
			   void (*work)(void *context, uint64_t count),
			   void (*prepare)(void *context), void *context)
{
	double begin;

	if (prepare)
		prepare(context);
	begin = measured_now(bench);
	work(context, count);
	return (measured_now(bench) - begin) / (double)count;
}

static struct bench_time summarise(double *times, unsigned int count)
{
	qsort(times, count, sizeof(times[0]), compare);
	return (struct bench_time){ times[0], times[count / 2] };
}

struct bench_time bench_measure_fixed(const struct bench *bench, uint64_t count,
				      void (*work)(void *context, uint64_t count),
				      void (*prepare)(void *context), void *context)
{
	double times[REPETITIONS];

	for (unsigned int i = 0; i < repetitions(bench); i++)
		times[i] = measure_once(bench, count, work, prepare, context);
	return summarise(times, repetitions(bench));
}

double bench_measure_turns(const struct bench *bench, uint64_t count, const struct bench_side *work,
			   const struct bench_side *floor, void *context, struct bench_row *row)
{
	double times[REPETITIONS], floors[REPETITIONS], ratios[REPETITIONS];

	for (unsigned int i = 0; i < repetitions(bench); i++) {
		floors[i] = measure_once(bench, count, floor->work, floor->prepare, context);
		times[i] = measure_once(bench, count, work->work, work->prepare, context);
		ratios[i] = floors[i] / times[i];
	}
	row->floor = summarise(floors, repetitions(bench));
	row->time = summarise(times, repetitions(bench));
	return summarise(ratios, repetitions(bench)).median;
}

struct bench_time bench_measure(const struct bench *bench,
				void (*work)(void *context, uint64_t count),
				void (*prepare)(void *context), void *context)
{
	double target = bench->quick ? QUICK_TARGET_NS : TARGET_NS;
	uint64_t count = 1;

	for (;;) {
		double begin, took;

		if (prepare)
			prepare(context);
		begin = measured_now(bench);
		work(context, count);
		took = measured_now(bench) - begin;
		if (took >= target || count >= 1ull << 32)
			break;
		count *= took < target / 16 ? 8 : 2;
	}
	return bench_measure_fixed(bench, count, work, prepare, context);
}

static void print_json(const struct bench *bench, const struct bench_row *row)
{
	printf("%s\n  {\"group\": \"%s\", \"name\": \"%s\", \"ns\": %.3f, \"ns_least\": %.3f",
	       bench->rows ? "," : "[", row->group, row->name, row->time.median, row->time.least);
	if (row->size_name)
		printf(", \"size_name\": \"%s\", \"size\": %.0f", row->size_name, row->size);
	if (row->floor.median > 0)
		printf(", \"floor\": \"%s\", \"floor_ns\": %.3f, \"ratio\": %.3f", row->floor_name,
		       row->floor.median, row->time.median / row->floor.median);
	if (row->limit > 0)
		printf(", \"limit_ns\": %.3f", row->limit);
	printf(", \"counters\": {");
	for (int i = 0; i < BENCH_COUNTERS && row->counters[i].name; i++)
		printf("%s\"%s\": %.3f", i ? ", " : "", row->counters[i].name,
		       row->counters[i].value);
	printf("}}");
}

static void print_text(struct bench *bench, const struct bench_row *row)
{
	char label[80];

	if (!bench->last_group || strcmp(bench->last_group, row->group))
		printf("\n%s\n  %-46s %10s %10s %8s  %s\n", row->group, "", "ns", "floor", "ratio",
		       "counters");
	if (row->size_name)
		snprintf(label, sizeof(label), "%s, %s %.0f", row->name, row->size_name, row->size);
	else
		snprintf(label, sizeof(label), "%s", row->name);
	printf("  %-46s %10.2f", label, row->time.median);
	if (row->floor.median > 0)
		printf(" %10.2f %8.2f ", row->floor.median, row->time.median / row->floor.median);
	else
		printf(" %10s %8s ", "-", "-");
	for (int i = 0; i < BENCH_COUNTERS && row->counters[i].name; i++)
		printf(" %s %.2f", row->counters[i].name, row->counters[i].value);
	if (row->limit > 0)
		printf("  [%s: asked for %.0f]", row->time.median <= row->limit ? "ok" : "SLOW",
		       row->limit);
	printf("\n");
	fflush(stdout);
}

void bench_print(struct bench *bench, const struct bench_row *row)
{
	if (bench->json)
		print_json(bench, row);
	else
		print_text(bench, row);
	bench->last_group = row->group;
	bench->rows++;
	if (row->limit > 0 && row->time.median > row->limit)
		bench->slow++;
}
