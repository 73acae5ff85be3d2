/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fuzz target without a fuzzer: the committed corpus, mutations of it and random inputs, for a
 * bounded time, in any build and under any sanitizer. This is how `meson test` proves that a guest,
 * a peer or a stream cannot hang or crash us.
 *
 * Usage: PROGRAM CORPUS [seconds [seed]]. An input that does not end (30 s) is a failure, as is a
 * crash; the seed and the number of the input are printed when one starts to hang or dies.
 */
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_FILES = 4096, MAX_SIZE = 16384, HANG_SECONDS = 30 };

struct input {
	uint8_t *data;
	size_t size;
	char name[64];
};

static struct input corpus[MAX_FILES];
static size_t corpus_size;
static char current[128] = "nothing";

static void on_signal(int number)
{
	static const char text[] = "\nwhile running ";

	ssize_t written = write(2, text, sizeof(text) - 1);

	written += write(2, current, strlen(current));
	written += write(2, "\n", 1);
	(void)written;
	signal(number, SIG_DFL);
	raise(number);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 11;
}

static void run(const uint8_t *data, size_t size)
{
	/* A copy of the exact size, so that a read beyond it is seen. */
	uint8_t *copy = malloc(size ? size : 1);

	if (size)
		memcpy(copy, data, size);
	alarm(HANG_SECONDS);
	LLVMFuzzerTestOneInput(copy, size);
	alarm(0);
	free(copy);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct input *)a)->name, ((const struct input *)b)->name);
}

static void load(const char *directory)
{
	DIR *list = opendir(directory);
	struct dirent *entry;

	while (list && (entry = readdir(list)) && corpus_size < MAX_FILES) {
		struct input *input = &corpus[corpus_size];
		char path[4096];
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		file = fopen(path, "rb");
		if (!file)
			continue;
		snprintf(input->name, sizeof(input->name), "%.63s", entry->d_name);
		input->data = malloc(MAX_SIZE);
		input->size = fread(input->data, 1, MAX_SIZE, file);
		fclose(file);
		corpus_size++;
	}
	if (list)
		closedir(list);
	qsort(corpus, corpus_size, sizeof(corpus[0]), by_name);
}

/* Random bytes, or a corpus file with some of them changed, and another's tail. */
static size_t make(uint64_t *state, uint8_t *data)
{
	size_t size, edits;

	if (!corpus_size || next(state) % 3 == 0) {
		size = next(state) % 3000;
		for (size_t i = 0; i < size; i++)
			data[i] = (uint8_t)next(state);
		return size;
	}
	const struct input *first = &corpus[next(state) % corpus_size];
	const struct input *second = &corpus[next(state) % corpus_size];

	size = first->size;
	memcpy(data, first->data, size);
	edits = next(state) % 16;
	for (size_t i = 0; i < edits && size; i++)
		data[next(state) % size] = (uint8_t)next(state);
	if (next(state) % 2 && size + second->size <= MAX_SIZE) {
		memcpy(data + size, second->data, second->size);
		size += second->size;
	}
	return size;
}

int main(int argc, char **argv)
{
	static uint8_t data[MAX_SIZE];
	double seconds = argc > 2 ? atof(argv[2]) : 0;
	uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 0) : (uint64_t)time(NULL);
	uint64_t state = seed * 0x9e3779b97f4a7c15ull | 1, count = 0;
	double end, begin, slowest = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: %s CORPUS [seconds [seed]]\n", argv[0]);
		return 2;
	}
	signal(SIGALRM, on_signal);
	signal(SIGABRT, on_signal);
	signal(SIGSEGV, on_signal);
	load(argv[1]);
	for (size_t i = 0; i < corpus_size; i++) {
		snprintf(current, sizeof(current), "corpus file %s", corpus[i].name);
		run(corpus[i].data, corpus[i].size);
	}
	for (end = now() + seconds; now() < end; count++) {
		size_t size = make(&state, data);

		snprintf(current, sizeof(current), "seed %llu, input %llu",
			 (unsigned long long)seed, (unsigned long long)count);
		begin = now();
		run(data, size);
		if (now() - begin > slowest)
			slowest = now() - begin;
	}
	printf("%zu corpus files, %llu made inputs from seed %llu, slowest %.0f ms\n", corpus_size,
	       (unsigned long long)count, (unsigned long long)seed, slowest * 1e3);
	return corpus_size ? 0 : 1;
}
