/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a fuzzer's function over the files of a directory, so that the committed corpus is a test of every build.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run(const char *directory, const char *name)
{
	static uint8_t data[1 << 20];
	char path[4096];
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "rb");
	if (!file)
		return 1;
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	LLVMFuzzerTestOneInput(data, size);
	return 0;
}

int main(int argc, char **argv)
{
	DIR *directory = argc == 2 ? opendir(argv[1]) : NULL;
	unsigned int count = 0, failed = 0;
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		failed += (unsigned int)run(argv[1], entry->d_name);
		count++;
	}
	if (directory)
		closedir(directory);
	printf("%u inputs\n", count);
	return count && !failed ? 0 : 1;
}
