/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Submission to a DSA work queue. A dedicated queue takes MOVDIR64B and relies on its client to leave
 * room; a shared one takes ENQCMD, which says whether the command was accepted. The portal page holds
 * 64 equal slots, used in turn so that neighbours on the bus cannot be merged.
 */
#include "dsa.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "report.h"

#define PORTAL_SIZE	4096
#define SLOT_SIZE	64
#define ANSWER_SECONDS	30

void movdir64b(void *portal, const void *command)
{
	/* 66 0F 38 F8 /r with rdx as the source's address and rax holding the portal's. */
	asm volatile(".byte 0x66, 0x0f, 0x38, 0xf8, 0x02" : : "a"(portal), "d"(command) : "memory");
}

bool enqcmd(void *portal, const void *command)
{
	bool retry;

	asm volatile(".byte 0xf2, 0x0f, 0x38, 0xf8, 0x02" : "=@ccz"(retry) : "a"(portal), "d"(command) : "memory");
	return !retry;
}

static bool queue_is_shared(const char *name)
{
	char path[128], mode[16] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/dsa/devices/%s/mode", name);
	file = fopen(path, "r");
	if (!file)
		return false;
	if (!fgets(mode, sizeof(mode), file))
		mode[0] = '\0';
	fclose(file);
	return strncmp(mode, "shared", 6) == 0;
}

int dsa_open(struct dsa_queue *queue, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/dev/dsa/%s", name);
	*queue = (struct dsa_queue){ .fd = open(path, O_RDWR | O_CLOEXEC), .shared = queue_is_shared(name) };
	if (queue->fd < 0)
		return -errno;
	queue->portal = mmap(NULL, PORTAL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, queue->fd, 0);
	if (queue->portal == MAP_FAILED) {
		int error = -errno;

		close(queue->fd);
		return error;
	}
	queue->slot = getpid();
	return 0;
}

void dsa_close(struct dsa_queue *queue)
{
	munmap(queue->portal, PORTAL_SIZE);
	close(queue->fd);
}

void dsa_prepare(struct dsa_descriptor *descriptor, enum dsa_opcode opcode, uint32_t flags,
		 struct dsa_completion *completion)
{
	memset(descriptor, 0, sizeof(*descriptor));
	memset((void *)completion, 0, sizeof(*completion));
	descriptor->flags_opcode = (uint32_t)opcode << 24 | DSA_COMPLETION_VALID | DSA_COMPLETION_WANTED | flags;
	descriptor->completion = (uintptr_t)completion;
}

int dsa_submit(struct dsa_queue *queue, const struct dsa_descriptor *descriptor)
{
	double until = seconds_now() + ANSWER_SECONDS;
	uint8_t *slot = queue->portal + queue->slot++ * SLOT_SIZE % PORTAL_SIZE;

	/* The descriptor's stores come before the one that hands it over. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!queue->shared) {
		movdir64b(slot, descriptor);
		return 0;
	}
	while (!enqcmd(slot, descriptor)) {
		if (seconds_now() > until)
			return -EAGAIN;
		sched_yield();
	}
	return 0;
}

uint8_t dsa_wait(const struct dsa_completion *completion, double seconds)
{
	double until = seconds_now() + seconds;
	uint8_t status;

	while (!(status = completion->status) && seconds_now() < until)
		sched_yield();
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return status;
}

uint8_t dsa_run(struct dsa_queue *queue, const struct dsa_descriptor *descriptor,
		const struct dsa_completion *completion)
{
	if (dsa_submit(queue, descriptor))
		return 0;
	return dsa_wait(completion, ANSWER_SECONDS);
}

long own_pasid(void)
{
	FILE *file = fopen("/sys/module/m64emu/parameters/pasid", "r");
	long pasid = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &pasid) != 1)
		pasid = -1;
	fclose(file);
	return pasid;
}
