/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Measuring: repetitions, a floor from the same run, hard counters, a table or JSON.
 *
 * A piece of work is a function that does it `count` times. The harness finds a count that takes
 * some milliseconds, repeats it, and keeps the least and the median. A row stands beside a floor:
 * what this machine, now, takes for the bare operation. Absolute numbers move with the machine;
 * ratios and counters are what to compare.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct bench_time {
	double least; /* ns for one */
	double median;
};

enum { BENCH_COUNTERS = 6 };

struct bench_row {
	const char *group; /* rows of one group make one plot */
	const char *name;
	const char *size_name; /* of the number the row is one point for; NULL when there is none */
	double size;
	struct bench_time time;
	struct bench_time floor; /* 0: none */
	const char *floor_name;
	double limit; /* ns the design asks for; 0: none */
	struct {
		const char *name;
		double value;
	} counters[BENCH_COUNTERS];
};

struct bench {
	bool json;
	bool quick;    /* few repetitions, small sizes: for a smoke test */
	bool cpu_time; /* measure the thread's processor time: for work of one thread, on a busy
			  machine */
	const char *filter; /* only groups whose name contains it */
	unsigned int rows;
	unsigned int slow; /* rows above their limit */
	const char *last_group;
};

/* --json, --quick, --filter=TEXT. False (with a usage on stderr) for anything else. */
bool bench_begin(struct bench *bench, int argc, char **argv);
/* The exit status: 0. Being slow is printed, not failed: machines differ. */
int bench_end(struct bench *bench);
bool bench_wanted(const struct bench *bench, const char *group);

/* Time of one of what `work` does `count` times. `prepare` (may be NULL) runs before each
 * repetition, unmeasured. */
struct bench_time bench_measure(const struct bench *bench,
				void (*work)(void *context, uint64_t count),
				void (*prepare)(void *context), void *context);
/* The same with a fixed count, for work that cannot be repeated at will. */
struct bench_time bench_measure_fixed(const struct bench *bench, uint64_t count,
				      void (*work)(void *context, uint64_t count),
				      void (*prepare)(void *context), void *context);
struct bench_side {
	void (*work)(void *context, uint64_t count);
	void (*prepare)(void *context); /* or NULL */
};
/*
 * A piece of work and its floor in turns, into row->time and row->floor, where what the machine does
 * besides changes more than what is measured. Returns the median of floor / time of each turn.
 */
double bench_measure_turns(const struct bench *bench, uint64_t count, const struct bench_side *work,
			   const struct bench_side *floor, void *context, struct bench_row *row);
void bench_print(struct bench *bench, const struct bench_row *row);

double bench_now(void);	    /* ns */
double bench_cpu_now(void); /* ns of processor time of the calling thread */
/* Keep the compiler from dropping a result. */
#define bench_use(value) __asm__ volatile("" : : "r,m"(value) : "memory")

#endif
