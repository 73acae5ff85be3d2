/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the IOMMU's own performance counters say while a command runs, through perf_event_open: the
 * events of /sys/bus/event_source/devices/dmar0, two at a time, as the unit has two counters.
 *
 * usage: dmar-perf LOOKUPS HITS COMMAND...	fails unless 0 < HITS <= LOOKUPS, both counted all the time
 */
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/report.h"

#define PMU "/sys/bus/event_source/devices/dmar0"

struct count {
	uint64_t value, enabled, running;
};

static bool read_text(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "r");
	bool ok = file && fgets(text, (int)size, file);

	if (file)
		fclose(file);
	return ok;
}

/* "event_group=0x3,event=0x1"; where the fields lie is in format/, the same on every VT-d. */
static bool event_config(const char *name, uint64_t *config)
{
	unsigned int group, select;
	char path[128], text[128];

	snprintf(path, sizeof(path), PMU "/events/%s", name);
	if (!read_text(path, text, sizeof(text)) ||
	    sscanf(text, "event_group=%x,event=%x", &group, &select) != 2)
		return false;
	*config = (uint64_t)group << 28 | select;
	return true;
}

static int open_event(const char *name)
{
	struct perf_event_attr attr = { .size = sizeof(attr), .read_format = PERF_FORMAT_TOTAL_TIME_ENABLED |
									     PERF_FORMAT_TOTAL_TIME_RUNNING };
	char text[32];

	if (!read_text(PMU "/type", text, sizeof(text)))
		return -1;
	attr.type = (uint32_t)strtoul(text, NULL, 10);
	if (!event_config(name, (uint64_t *)&attr.config))
		return -1;
	return (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0);
}

static bool run(char **command)
{
	pid_t child = fork();
	int status = 1;

	if (child == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

int main(int argc, char **argv)
{
	struct count count[2] = { 0 };
	bool done, read_both;
	int fd[2];

	if (argc < 4)
		return 2;
	for (int i = 0; i < 2; i++) {
		fd[i] = open_event(argv[i + 1]);
		if (fd[i] < 0) {
			report_check("a counter of the IOMMU", false, "%s cannot be opened", argv[i + 1]);
			return report_failed();
		}
	}
	done = run(argv + 3);
	read_both = read(fd[0], &count[0], sizeof(count[0])) == sizeof(count[0]) &&
		    read(fd[1], &count[1], sizeof(count[1])) == sizeof(count[1]);
	report_check("the IOMMU counted", done && read_both && count[1].value > 0 && count[0].value >= count[1].value &&
						  count[0].running == count[0].enabled,
		     "%s %llu, %s %llu", argv[1], (unsigned long long)count[0].value, argv[2],
		     (unsigned long long)count[1].value);
	return report_failed();
}
