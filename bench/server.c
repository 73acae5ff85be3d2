/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DSA throughput through a PASID as a client of the daemon sees it, without a guest: `viommu serve`
 * in a process of its own, memory shared by a file descriptor, first-stage tables built in it, the
 * device driven through its vfio-user socket. Descriptors go in by writes to the portal, several
 * in one sendmsg() as a VMM's posted writes do; completion records are polled in memory.
 *
 * The floor is memcpy() by the client over the same memory in the same order, in the same run; by
 * pages where they are scattered.
 * "over 16 MiB" goes round in areas larger than an L2 cache, as data that comes and goes is; "in
 * place" moves the same bytes again and again. Times are of the wall: three threads of two
 * processes take part. The engine has a processor, the others share the next one, so that numbers do
 * not depend on where a scheduler puts three threads on two processors.
 */
#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "devices/dsa/spec.h"
#include "server/daemon.h"
#include "server/vm.h"

enum { PASID = 1, DEVFN = 6 << 3, DEPTH = 128, MEMBERS = 32, MIB = 1 << 20, SPINS = 10 };
enum { REGISTERS = 0, PORTALS = 2 };
/* Guest-physical, and where the PASID sees it. Tables lie below. */
#define RECORDS 0xf00000ull
#define LISTS	0xf20000ull
#define SOURCE	(16ull * MIB)
#define TARGET	(32ull * MIB)
#define AREA	(16ull * MIB)
#define IOVA	0x7f0000000000ull

struct posted {
	struct wire_header header;
	struct wire_region_access access;
	struct dsa_descriptor descriptor;
} __attribute__((packed));

enum pages { SCATTERED, SIDE_BY_SIDE, LARGE };

/* Scattered: no two pages of an area follow each other in memory. */
static uint64_t place(enum pages pages, uint64_t gpa)
{
	return pages == SCATTERED ? (gpa & ~(AREA - 1)) | (gpa / VM_PAGE * 5 * VM_PAGE & (AREA - 1))
				  : gpa;
}

struct scene {
	struct test_daemon daemon;
	struct client unit, dsa;
	struct vm vm;
	uint32_t size;
	unsigned int members; /* 0: single descriptors */
	enum pages pages;
	bool in_place;
	int processors[2]; /* the client's and the engine's */
	uint64_t next;	   /* where the areas are at */
	uint64_t slot;
	struct posted posted[DEPTH];
};

static void die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

static void put32(struct scene *s, uint64_t offset, uint32_t value)
{
	if (client_write32(&s->dsa, REGISTERS, offset, value))
		die("the dsa refuses a register write");
}

static void command(struct scene *s, uint32_t code)
{
	put32(s, DSA_CMD, code << 20);
	while (client_read32(&s->dsa, REGISTERS, DSA_CMDSTS) & DSA_CMDSTS_ACTIVE)
		sched_yield();
	if (client_read32(&s->dsa, REGISTERS, DSA_CMDSTS))
		die("the dsa refuses a command");
}

static void enable(struct scene *s)
{
	put32(s, DSA_WQCFG, DEPTH);
	put32(s, DSA_WQCFG + 8, DSA_WQ_DEDICATED | 1 << 4 | PASID << 8 | DSA_WQ_PASID_ENABLE);
	put32(s, DSA_WQCFG + 12, 21 | 5 << 5);
	for (unsigned int i = 0; i < 32; i += 4)
		put32(s, DSA_WQCFG + 32 + i, ~0u);
	put32(s, DSA_GRPCFG, 1);
	put32(s, DSA_GRPCFG + 32, 1);
	command(s, DSA_ENABLE_DEVICE);
	command(s, DSA_ENABLE_WQ);
}

static void run_on(pid_t thread, int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	sched_setaffinity(thread, sizeof(set), &set);
}

/* The first two processors that we may use; with one there is nothing to choose. */
static bool choose_processors(int chosen[2])
{
	static cpu_set_t allowed;
	int found = 0;

	/* Once: we restrict ourselves later. */
	if (!CPU_COUNT(&allowed) && sched_getaffinity(0, sizeof(allowed), &allowed))
		return false;
	for (int i = 0; i < CPU_SETSIZE && found < 2; i++)
		if (CPU_ISSET(i, &allowed))
			chosen[found++] = i;
	return found == 2;
}

static bool is_engine(const char *task, const char *thread)
{
	char path[PATH_MAX], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s/comm", task, thread);
	file = fopen(path, "r");
	if (file) {
		if (!fgets(name, sizeof(name), file))
			name[0] = 0;
		fclose(file);
	}
	return !strcmp(name, "dsa-engine\n");
}

static void place_threads(struct scene *s)
{
	struct dirent *thread;
	char task[64];
	DIR *directory;

	snprintf(task, sizeof(task), "/proc/%d/task", (int)s->daemon.process.pid);
	directory = opendir(task);
	if (!directory || !choose_processors(s->processors))
		die("no processors of our own");
	while ((thread = readdir(directory)))
		if (atoi(thread->d_name))
			run_on(atoi(thread->d_name),
			       s->processors[is_engine(task, thread->d_name)]);
	closedir(directory);
}

/* One leaf for 2 MiB instead of a table of 512. */
static void map_large(struct vm *vm, uint64_t table, uint64_t iova, uint64_t gpa)
{
	for (unsigned int shift = 39; shift > 21; shift -= 9) {
		uint64_t *entry = (uint64_t *)vm_at(vm, table) + (iova >> shift & 511);

		if (!*entry)
			*entry = vm_page(vm) | 7;
		table = *entry & ~UINT64_C(0xfff);
	}
	((uint64_t *)vm_at(vm, table))[iova >> 21 & 511] = gpa | 0x87;
}

static void map_all(struct scene *s, enum pages pages)
{
	uint64_t table = vm_page(&s->vm), real;

	vm_set_pasid(&s->vm, DEVFN, PASID, table);
	for (uint64_t gpa = 14ull * MIB; gpa < TARGET + AREA;
	     gpa += pages == LARGE ? 2 * MIB : VM_PAGE) {
		if (pages == LARGE) {
			map_large(&s->vm, table, IOVA + gpa, gpa);
			continue;
		}
		real = gpa < SOURCE ? gpa : place(pages, gpa);
		vm_map_page(&s->vm, table, IOVA + gpa, real, 7, 7);
	}
}

static void start(struct scene *s, enum pages pages)
{
	memset(s, 0, sizeof(*s));
	s->pages = pages;
	if (daemon_begin(&s->daemon, NULL))
		die("the daemon does not start");
	if (client_open(&s->unit, s->daemon.unit) || client_open(&s->dsa, s->daemon.dsa))
		die("no connection");
	if (vm_create(&s->vm, &s->unit))
		die("no memory");
	vm_add_scalable(&s->vm, DEVFN);
	map_all(s, pages);
	if (vm_start_scalable(&s->vm) || client_enable(&s->dsa, true, true, false))
		die("the unit does not start");
	memset(vm_at(&s->vm, SOURCE), 1, AREA);
	memset(vm_at(&s->vm, TARGET), 2, AREA);
	enable(s);
	place_threads(s);
}

static void stop(struct scene *s)
{
	client_close(&s->dsa);
	client_close(&s->unit);
	vm_destroy(&s->vm);
	if (daemon_end(&s->daemon))
		die("the daemon did not end well");
}

/* The next offset into both areas. */
static uint64_t advance(struct scene *s)
{
	uint64_t at = s->next;

	s->next = s->in_place ? 0 : (at + s->size) % AREA;
	return at;
}

static struct dsa_descriptor move(struct scene *s)
{
	uint64_t at = advance(s);

	return (struct dsa_descriptor){
		.operation = (uint32_t)DSA_OP_MEMMOVE << 24 | DSA_FLAG_RECORD_VALID,
		.source = IOVA + SOURCE + at,
		.destination = IOVA + TARGET + at,
		.size = s->size,
	};
}

static uint8_t *record(struct scene *s, uint64_t n)
{
	return (uint8_t *)vm_at(&s->vm, RECORDS) + n % DEPTH * 32;
}

/* What submission number n asks for: one move, or a batch of them. */
static struct dsa_descriptor describe(struct scene *s, uint64_t n)
{
	uint64_t list = LISTS + n % DEPTH * MEMBERS * sizeof(struct dsa_descriptor);
	struct dsa_descriptor *members = vm_at(&s->vm, list), d;

	if (!s->members) {
		d = move(s);
	} else {
		for (unsigned int i = 0; i < s->members; i++) {
			members[i] = move(s);
			members[i].record = IOVA + RECORDS + 0x1000;
		}
		d = (struct dsa_descriptor){
			.operation = (uint32_t)DSA_OP_BATCH << 24 | DSA_FLAG_RECORD_VALID,
			.source = IOVA + list,
			.size = s->members,
		};
	}
	d.operation |= DSA_FLAG_REQUEST_RECORD;
	d.record = IOVA + RECORDS + n % DEPTH * 32;
	return d;
}

static void prepare_submission(struct scene *s, uint64_t n, struct posted *p)
{
	*record(s, n) = 0;
	*p = (struct posted){
		.header = { .id = (uint16_t)n,
			    .command = WIRE_REGION_WRITE,
			    .size = sizeof(*p),
			    .flags = WIRE_TYPE_COMMAND | WIRE_NO_REPLY },
		.access = { s->slot++ % 64 * 64, PORTALS, sizeof(p->descriptor) },
		.descriptor = describe(s, n),
	};
}

static bool finished(struct scene *s, uint64_t n)
{
	uint8_t status = __atomic_load_n(record(s, n), __ATOMIC_ACQUIRE);

	if (status && status != DSA_STATUS_SUCCESS)
		die("a descriptor failed");
	return status;
}

/* The queue's other threads need a processor too. */
static void wait_record(struct scene *s, uint64_t n)
{
	for (unsigned int spins = 0; !finished(s, n); spins++) {
		if (spins > SPINS)
			sched_yield();
		else
			__builtin_ia32_pause();
	}
}

static void submit_all(void *context, uint64_t count)
{
	struct scene *s = context;
	uint64_t each = s->members ? s->members : 1, total = (count + each - 1) / each;
	uint64_t submitted = 0, done = 0;

	while (done < total) {
		unsigned int fresh = 0;

		for (; submitted < total && submitted - done < DEPTH; submitted++)
			prepare_submission(s, submitted, &s->posted[fresh++]);
		if (fresh && client_send_raw(&s->dsa, s->posted, fresh * sizeof(*s->posted), NULL, 0))
			die("the daemon is gone");
		/* Half of the queue, so that the engine always has some. */
		wait_record(s, submitted - done > DEPTH / 2 ? done + DEPTH / 2 - 1 : submitted - 1);
		while (done < submitted && finished(s, done))
			done++;
	}
}

static void copy(void *context, uint64_t count)
{
	struct scene *s = context;
	uint64_t piece = s->pages == SCATTERED ? VM_PAGE : s->size;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t at = advance(s);

		for (uint64_t done = 0; done < s->size; done += piece)
			memcpy(vm_at(&s->vm, place(s->pages, TARGET + at + done)),
			       vm_at(&s->vm, place(s->pages, SOURCE + at + done)), piece);
		bench_use(s->vm.memory);
	}
}

static void prepare_submissions(void *context)
{
	const struct scene *s = context;

	run_on(0, s->processors[0]);
}

/* Processors differ by what their host does besides: memcpy() has the engine's. */
static void prepare_copies(void *context)
{
	const struct scene *s = context;

	run_on(0, s->processors[1]);
}

static void measure(struct bench *bench, struct scene *s, const char *group, uint32_t size,
		    bool in_place, unsigned int members)
{
	static const struct bench_side submissions = { submit_all, prepare_submissions };
	static const struct bench_side copies = { copy, prepare_copies };
	struct bench_row row = {
		.group = group,
		.name = members	   ? in_place ? "batches of 32, in place" : "batches of 32, over 16 MiB"
			: in_place ? "in place"
				   : "over 16 MiB",
		.size_name = "bytes",
		.size = size,
		.floor_name = "memcpy",
	};
	uint64_t count;
	double ratio;

	s->size = size;
	s->in_place = in_place;
	s->members = members;
	s->next = 0;
	/* Once round, so that both sides have every page. */
	prepare_submissions(s);
	submit_all(s, in_place ? DEPTH : AREA / size);
	/* Long enough that filling and draining the queue does not count. */
	count = (bench->quick ? 16ull * MIB : 256ull * MIB) / (size < 16384 ? 16384 : size);
	ratio = bench_measure_turns(bench, count, &submissions, &copies, s, &row);
	row.limit = size >= 65536 ? row.time.median * ratio / 0.8 : 0;
	row.counters[0].name = "GB/s";
	row.counters[0].value = size / row.time.median;
	row.counters[1].name = "of-memcpy";
	row.counters[1].value = ratio;
	bench_print(bench, &row);
}

/* The daemon of this build, unless VIOMMU names another. */
static const char *find_program(void)
{
	static char path[PATH_MAX + 16];
	const char *given = getenv("VIOMMU");
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);

	if (given)
		return given;
	if (length < 0)
		die("where am I?");
	path[length] = 0;
	strcpy(dirname(path) + strlen(path), "/../cli/viommu");
	return path;
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = { 4096, 65536, 262144, MIB, 2 * MIB };
	static const char *const groups[] = { "server-dsa-4K-pages-scattered",
					      "server-dsa-4K-pages", "server-dsa-2M-pages" };
	static struct scene scene;
	struct bench bench;

	if (!bench_begin(&bench, argc, argv))
		return 2;
	daemon_program = find_program();
	signal(SIGPIPE, SIG_IGN);
	for (enum pages pages = SCATTERED; pages <= LARGE; pages++) {
		const char *group = groups[pages];

		if (!bench_wanted(&bench, group))
			continue;
		start(&scene, pages);
		for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			for (int in_place = 0; in_place < 2; in_place++)
				measure(&bench, &scene, group, sizes[i], in_place, 0);
		for (int in_place = 0; in_place < 2; in_place++)
			measure(&bench, &scene, group, 65536, in_place, MEMBERS);
		stop(&scene);
	}
	return bench_end(&bench);
}
