/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DSA model at work: descriptors a second and bytes a second, beside what this machine's
 * memcpy() does.
 *
 * One engine, a dedicated WQ of 16 entries with a PASID, 4 KiB or 2 MiB pages in first-stage
 * tables. Descriptors are submitted as a driver does: as many as fit, then wait for the oldest
 * record.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "devices/dsa/dsa.h"
#include "devices/dsa/spec.h"
#include "vtd/kit.h"

enum { PASID = 1, DEPTH = 16, MIB = 1 << 20 };
/* Guest-physical, and where the PASID sees it: records and lists, source, destination. */
#define RECORDS 0x100000ull
#define LIST	0x110000ull
#define SOURCE	(4ull * MIB)
#define TARGET	(8ull * MIB)
#define IOVA	0x7f0000000000ull

struct machine {
	struct kit box;
	struct dsa *dsa;
	struct dsa_descriptor descriptor; /* what to submit, over and over */
	uint64_t slot;
};

static void on_interrupt(void *opaque, unsigned int vector)
{
}

static const struct dsa_ops ops = { .interrupt = on_interrupt };

static void put32(struct machine *m, uint64_t offset, uint32_t value)
{
	dsa_write(m->dsa, offset, &value, sizeof(value));
}

static void command(struct machine *m, uint32_t code, uint32_t operand)
{
	uint32_t status;

	put32(m, DSA_CMD, code << 20 | operand);
	dsa_read(m->dsa, DSA_CMDSTS, &status, sizeof(status));
	if (status)
		abort();
}

static void map_all(struct machine *m, uint64_t root, bool large)
{
	for (uint64_t gpa = 0; gpa < 16 * MIB; gpa += large ? 2 * MIB : 4096)
		kit_map_first(&m->box, root, 4, IOVA + gpa, large ? 2 : 1,
			      gpa | FS_P | FS_RW | FS_US);
}

static void start(struct machine *m, bool large)
{
	struct dsa_options options;

	memset(m, 0, sizeof(*m));
	kit_create(&m->box, NULL);
	viommu_endpoint_destroy(m->box.endpoint);
	m->box.endpoint = NULL;
	dsa_options_init(&options);
	if (dsa_create(&options, m->box.unit, KIT_RID, &ops, m, &m->dsa))
		abort();
	dsa_features(m->dsa, VIOMMU_ENDPOINT_PASID | VIOMMU_ENDPOINT_ATS, true);
	map_all(m, kit_setup_first(&m->box, PASID, 4), large);
	kit_start(&m->box, TTM_SCALABLE);
	put32(m, DSA_WQCFG, DEPTH);
	put32(m, DSA_WQCFG + 8, DSA_WQ_DEDICATED | 1 << 4 | PASID << 8 | DSA_WQ_PASID_ENABLE);
	put32(m, DSA_WQCFG + 12, 21 | 5 << 5);
	for (unsigned int i = 0; i < 32; i += 4)
		put32(m, DSA_WQCFG + 32 + i, ~0u);
	put32(m, DSA_GRPCFG, 1);
	put32(m, DSA_GRPCFG + 32, 1);
	command(m, DSA_ENABLE_DEVICE, 0);
	command(m, DSA_ENABLE_WQ, 0);
}

static void stop(struct machine *m)
{
	dsa_destroy(m->dsa);
	kit_destroy(&m->box);
}

static uint8_t *record(struct machine *m, uint64_t n)
{
	return m->box.ram + RECORDS + n % DEPTH * 32;
}

static void wait_record(struct machine *m, uint64_t n)
{
	uint8_t status;

	do
		status = __atomic_load_n(record(m, n), __ATOMIC_ACQUIRE);
	while (!status);
	if (status != DSA_STATUS_SUCCESS)
		abort();
}

static void submit_all(void *context, uint64_t count)
{
	struct machine *m = context;

	for (uint64_t i = 0; i < count + DEPTH; i++) {
		if (i >= DEPTH && i - DEPTH < count)
			wait_record(m, i - DEPTH);
		if (i >= count)
			continue;
		*record(m, i) = 0;
		m->descriptor.record = IOVA + RECORDS + i % DEPTH * 32;
		dsa_portal_write(m->dsa, m->slot++ % 64 * 64, &m->descriptor,
				 sizeof(m->descriptor));
	}
}

static struct dsa_descriptor describe(enum dsa_opcode opcode, uint32_t size)
{
	struct dsa_descriptor d = {
		.operation =
			(uint32_t)opcode << 24 | DSA_FLAG_RECORD_VALID | DSA_FLAG_REQUEST_RECORD,
		.source = IOVA + SOURCE,
		.destination = IOVA + TARGET,
		.size = size,
	};

	if (opcode == DSA_OP_CRC)
		d.destination = 0;
	if (opcode == DSA_OP_NOOP)
		d.source = d.destination = 0;
	return d;
}

struct floor_work {
	struct machine *m;
	uint32_t size;
	enum dsa_opcode opcode;
};

static void floor_run(void *context, uint64_t count)
{
	struct floor_work *work = context;
	uint8_t *source = work->m->box.ram + SOURCE, *target = work->m->box.ram + TARGET;

	for (uint64_t i = 0; i < count; i++) {
		if (work->opcode == DSA_OP_FILL)
			memset(target, (int)i, work->size);
		else if (work->opcode == DSA_OP_COMPARE)
			bench_use(memcmp(source, target, work->size));
		else
			memcpy(target, source, work->size);
		bench_use(target);
	}
}

static void one(struct bench *bench, struct machine *m, const char *group, const char *name,
		enum dsa_opcode opcode, uint32_t size)
{
	struct floor_work work = { m, size, opcode };
	struct bench_row row = { .group = group, .name = name, .size_name = "bytes", .size = size };

	memset(m->box.ram + SOURCE, 1, 2 * MIB);
	memset(m->box.ram + TARGET, 1, 2 * MIB);
	m->descriptor = describe(opcode, size);
	row.time = bench_measure(bench, submit_all, NULL, m);
	if (opcode != DSA_OP_CRC && opcode != DSA_OP_NOOP) {
		row.floor = bench_measure(bench, floor_run, NULL, &work);
		row.floor_name = opcode == DSA_OP_FILL	    ? "memset"
				 : opcode == DSA_OP_COMPARE ? "memcmp"
							    : "memcpy";
	}
	row.counters[0].name = "GB/s";
	row.counters[0].value = size / row.time.median;
	bench_print(bench, &row);
}

/* 32 moves in one submission: what a descriptor costs without waking anybody. */
static void batch(struct bench *bench, struct machine *m, uint32_t size)
{
	struct dsa_descriptor member = describe(DSA_OP_MEMMOVE, size);
	struct bench_row row = { .group = "dsa-batch",
				 .name = "batch of 32 moves",
				 .size_name = "bytes",
				 .size = size };

	member.operation &= ~(uint32_t)DSA_FLAG_REQUEST_RECORD;
	member.record = IOVA + RECORDS + 0x1000;
	for (unsigned int i = 0; i < 32; i++)
		memcpy(m->box.ram + LIST + i * sizeof(member), &member, sizeof(member));
	m->descriptor = describe(DSA_OP_BATCH, 32);
	m->descriptor.source = IOVA + LIST;
	m->descriptor.destination = 0;
	row.time = bench_measure(bench, submit_all, NULL, m);
	row.counters[0].name = "GB/s";
	row.counters[0].value = 32.0 * size / row.time.median;
	row.counters[1].name = "ns/member";
	row.counters[1].value = row.time.median / 32;
	bench_print(bench, &row);
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = { 64, 4096, 65536, 2 * MIB };
	struct machine *m = calloc(1, sizeof(*m));
	struct bench bench;

	if (!m || !bench_begin(&bench, argc, argv))
		return 2;
	for (int large = 0; large < 2; large++) {
		const char *group = large ? "dsa-2M-pages" : "dsa-4K-pages";

		if (!bench_wanted(&bench, group))
			continue;
		start(m, large);
		one(&bench, m, group, "no-op", DSA_OP_NOOP, 0);
		for (unsigned int i = 0; i < 4; i++)
			one(&bench, m, group, "memmove", DSA_OP_MEMMOVE, sizes[i]);
		one(&bench, m, group, "fill", DSA_OP_FILL, 65536);
		one(&bench, m, group, "compare", DSA_OP_COMPARE, 65536);
		one(&bench, m, group, "CRC", DSA_OP_CRC, 65536);
		stop(m);
	}
	if (bench_wanted(&bench, "dsa-batch")) {
		start(m, false);
		batch(&bench, m, 64);
		batch(&bench, m, 4096);
		stop(m);
	}
	free(m);
	return bench_end(&bench);
}
