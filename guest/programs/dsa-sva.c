/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared virtual addressing: several processes at once, each with its own PASID, let the DSA copy
 * their own memory. Part of that memory was never touched by the processor, so the device's accesses
 * raise page requests; after each round every byte is compared, including those around the target.
 *
 * usage: dsa-sva [-p processes] [-n operations] [-s largest] [-w workload] queue...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/dsa.h"
#include "common/report.h"

#define ROUND		8	/* descriptors in flight */
#define PAGE		4096
#define MAX_PROCESSES	64

/* What a process leaves behind for its parent. */
struct outcome {
	uint64_t operations;
	uint64_t bytes;
	uint64_t untouched_pages;
	long pasid;
	bool pass;
	char problem[160];
};

enum source_kind {
	WRITTEN,	/* malloc'ed and filled by the processor; the target untouched */
	FILE_PAGES,	/* a file's pages that no page-table entry maps yet; the target untouched */
	NEVER_TOUCHED,	/* new memory that nobody wrote: zeros; the target filled before */
	SOURCE_KINDS
};

struct copy {
	enum source_kind kind;
	size_t size, source_room, target_room;
	uint8_t *source_base, *source, *target_base, *target;
	uint32_t seed;
};

struct options {
	unsigned int processes, operations;
	size_t largest;
	const char *workload;
};

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void fill(uint8_t *at, size_t size, uint32_t seed)
{
	for (size_t i = 0; i < size; i++)
		at[i] = seed * 31 + i * 7 + (i >> 8);
}

/* What malloc does for a large block: zeroed pages that nobody has touched. It recycles small ones, we do not. */
static uint8_t *untouched(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* A private mapping of a file that holds the pattern: the pages exist, this process has none of them. */
static uint8_t *map_file(const uint8_t *content, size_t size)
{
	int fd = memfd_create("source", MFD_CLOEXEC);
	void *p = MAP_FAILED;

	if (fd >= 0 && write(fd, content, size) == (ssize_t)size)
		p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (fd >= 0)
		close(fd);
	return p == MAP_FAILED ? NULL : p;
}

static bool copy_prepare(struct copy *copy, enum source_kind kind, size_t largest, uint32_t *random)
{
	size_t source_offset = next_random(random) % PAGE, target_offset = PAGE + next_random(random) % PAGE;

	*copy = (struct copy){ .kind = kind, .size = 1 + next_random(random) % largest, .seed = *random };
	copy->source_room = source_offset + copy->size;
	copy->target_room = target_offset + copy->size + PAGE;
	copy->source_base = kind == NEVER_TOUCHED ? untouched(copy->source_room) : malloc(copy->source_room);
	copy->target_base = untouched(copy->target_room);
	if (!copy->source_base || !copy->target_base)
		return false;
	if (kind != NEVER_TOUCHED)
		fill(copy->source_base, copy->source_room, copy->seed);
	else
		memset(copy->target_base, 0xa5, copy->target_room);
	if (kind == FILE_PAGES) {
		uint8_t *mapped = map_file(copy->source_base, copy->source_room);

		free(copy->source_base);
		copy->source_base = mapped;
		if (!mapped)
			return false;
	}
	copy->source = copy->source_base + source_offset;
	copy->target = copy->target_base + target_offset;
	return true;
}

static void copy_free(struct copy *copy)
{
	if (copy->kind == WRITTEN)
		free(copy->source_base);
	else
		munmap(copy->source_base, copy->source_room);
	munmap(copy->target_base, copy->target_room);
}

static bool all_bytes(const uint8_t *at, const uint8_t *end, uint8_t value)
{
	for (; at < end; at++)
		if (*at != value)
			return false;
	return true;
}

__attribute__((format(printf, 2, 3)))
static void problem(struct outcome *outcome, const char *format, ...)
{
	va_list args;

	if (outcome->problem[0])
		return;
	va_start(args, format);
	vsnprintf(outcome->problem, sizeof(outcome->problem), format, args);
	va_end(args);
}

/* The target is what the source should hold by construction, and its surroundings are as before. */
static void copy_verify(const struct copy *copy, struct outcome *outcome)
{
	static const char *const kinds[] = { "written", "file", "never touched" };
	uint8_t around = copy->kind == NEVER_TOUCHED ? 0xa5 : 0;
	size_t offset = copy->source - copy->source_base;

	if (!all_bytes(copy->target_base, copy->target, around) ||
	    !all_bytes(copy->target + copy->size, copy->target_base + copy->target_room, around))
		problem(outcome, "bytes around the target were changed");
	for (size_t i = 0; i < copy->size; i++) {
		size_t at = offset + i;
		uint8_t wanted = copy->seed * 31 + at * 7 + (at >> 8);

		if (copy->kind == NEVER_TOUCHED)
			wanted = 0;
		if (copy->target[i] == wanted)
			continue;
		return problem(outcome, "byte %zu of %zu is 0x%02x, not 0x%02x (source %s, now 0x%02x, %p to %p)", i,
			       copy->size, copy->target[i], wanted, kinds[copy->kind], copy->source[i],
			       (void *)(copy->source + i), (void *)(copy->target + i));
	}
}

static void run_round(struct dsa_queue *queue, struct outcome *outcome, unsigned int count, size_t largest,
		      uint32_t *random)
{
	static struct dsa_completion records[ROUND];
	struct dsa_descriptor descriptor;
	struct copy copies[ROUND];

	for (unsigned int i = 0; i < count; i++)
		if (!copy_prepare(&copies[i], (outcome->operations + i) % SOURCE_KINDS, largest, random))
			return problem(outcome, "out of memory");
	for (unsigned int i = 0; i < count; i++) {
		dsa_prepare(&descriptor, DSA_MEMMOVE, DSA_BLOCK_ON_FAULT, &records[i]);
		descriptor.source = (uintptr_t)copies[i].source;
		descriptor.destination = (uintptr_t)copies[i].target;
		descriptor.size = copies[i].size;
		if (dsa_submit(queue, &descriptor))
			return problem(outcome, "the queue stayed full");
	}
	for (unsigned int i = 0; i < count; i++) {
		uint8_t status = dsa_wait(&records[i], 60);

		if (!status)
			return problem(outcome, "no completion");
		if (status == DSA_SUCCESS)
			copy_verify(&copies[i], outcome);
		else
			problem(outcome, "completion status 0x%02x", status);
		outcome->bytes += copies[i].size;
		outcome->untouched_pages += copies[i].size / PAGE + 1;
		copy_free(&copies[i]);
	}
	outcome->operations += count;
}

static void run_process(const struct options *options, const char *name, uint32_t random, struct outcome *outcome)
{
	struct dsa_queue queue;
	int error = dsa_open(&queue, name);

	if (error)
		return problem(outcome, "open: %s", strerror(-error));
	outcome->pasid = own_pasid();
	while (outcome->operations < options->operations && !outcome->problem[0]) {
		unsigned int left = options->operations - outcome->operations;

		run_round(&queue, outcome, left < ROUND ? left : ROUND, options->largest, &random);
	}
	outcome->pass = !outcome->problem[0];
	dsa_close(&queue);
}

static unsigned int distinct_pasids(const struct outcome *outcomes, unsigned int count)
{
	unsigned int distinct = 0;

	for (unsigned int i = 0; i < count; i++) {
		bool seen = outcomes[i].pasid < 0;

		for (unsigned int j = 0; j < i; j++)
			seen |= outcomes[j].pasid == outcomes[i].pasid;
		distinct += !seen;
	}
	return distinct;
}

static void report_outcomes(const struct options *options, const struct outcome *outcomes, double seconds)
{
	struct report_totals totals = { .pasids = distinct_pasids(outcomes, options->processes), .seconds = seconds };
	bool pass = totals.pasids == options->processes;
	const char *text = pass ? "" : "the processes do not have a PASID each";
	uint64_t pages = 0;

	for (unsigned int i = 0; i < options->processes; i++) {
		totals.operations += outcomes[i].operations;
		totals.bytes += outcomes[i].bytes;
		pages += outcomes[i].untouched_pages;
		if (!outcomes[i].pass) {
			pass = false;
			text = outcomes[i].problem[0] ? outcomes[i].problem : "a process died";
		}
	}
	report_end(options->workload, pass, &totals, "%u processes, at least %llu pages not present when used%s%s",
		   options->processes, (unsigned long long)pages, *text ? ": " : "", text);
}

static struct options parse(int argc, char **argv)
{
	struct options options = { .processes = 2, .operations = 96, .largest = 65536, .workload = "sva" };
	int option;

	while ((option = getopt(argc, argv, "p:n:s:w:")) != -1) {
		if (option == 'p')
			options.processes = atoi(optarg);
		else if (option == 'n')
			options.operations = atoi(optarg);
		else if (option == 's')
			options.largest = strtoul(optarg, NULL, 0);
		else if (option == 'w')
			options.workload = optarg;
		else
			exit(2);
	}
	if (options.processes < 1 || options.processes > MAX_PROCESSES || optind >= argc || !options.largest) {
		fprintf(stderr, "usage: dsa-sva [-p processes] [-n operations] [-s largest] [-w workload] queue...\n");
		exit(2);
	}
	return options;
}

int main(int argc, char **argv)
{
	struct options options = parse(argc, argv);
	struct outcome *outcomes = mmap(NULL, sizeof(*outcomes) * MAX_PROCESSES, PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double start = seconds_now();

	if (outcomes == MAP_FAILED)
		return 2;
	report_begin(options.workload);
	for (unsigned int i = 0; i < options.processes; i++) {
		outcomes[i].pasid = -1;
		if (fork() == 0) {
			run_process(&options, argv[optind + i % (argc - optind)], 0x9e3779b9 + i, &outcomes[i]);
			_exit(!outcomes[i].pass);
		}
	}
	while (wait(NULL) > 0 || errno == EINTR)
		;
	report_outcomes(&options, outcomes, seconds_now() - start);
	return report_failed();
}
