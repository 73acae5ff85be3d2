/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest of the reference VMM (guest.h).
 */
#include "guest.h"

#include "devices/dsa/spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* IOVAs, the same numbers in every PASID; what is behind them differs. */
#define SOURCE  UINT64_C(0x7f0000000000)
#define TARGET  UINT64_C(0x7f0000100000)
#define RECORDS UINT64_C(0x7f0000200000)

/* Guest-physical: the sources and records of each PASID, then a pool of pages that become targets in turn. */
#define SOURCES_AT  (16u << 20)
#define RECORDS_AT  (17u << 20)
#define POOL_AT     (32u << 20)
#define POOL_PAGES  ((VM_MEMORY - POOL_AT) / VM_PAGE)

#define WQ 0u
#define WAIT_SECONDS 10

static const uint32_t pasids[GUEST_PASIDS] = { 5, 77 };

static void wrote(struct guest *guest, uint64_t gpa)
{
	guest->written[gpa / VM_PAGE / 64] |= UINT64_C(1) << gpa / VM_PAGE % 64;
}

static unsigned int side(const struct guest *guest)
{
	return guest->cpu.step % GUEST_PASIDS;
}

/* Of operation `n` of this step. */
static uint64_t source_gpa(const struct guest *guest, unsigned int n)
{
	return SOURCES_AT + (side(guest) * GUEST_INFLIGHT + n) * VM_PAGE;
}

static uint64_t record_gpa(const struct guest *guest)
{
	return RECORDS_AT + side(guest) * VM_PAGE;
}

static uint64_t target_gpa(const struct guest *guest, unsigned int n)
{
	return POOL_AT + (guest->cpu.step * GUEST_INFLIGHT + n) * 37 % POOL_PAGES * VM_PAGE;
}

static uint64_t pattern(const struct guest *guest, unsigned int n, unsigned int word)
{
	return (guest->cpu.step << 20 | n << 16 | word) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct dsa_record *record(struct guest *guest, unsigned int n)
{
	return (struct dsa_record *)vm_at(&guest->vm, record_gpa(guest)) + n;
}

/* Give each target its page, and each source its content. */
static int map_targets(struct guest *guest)
{
	uint64_t table = guest->cpu.tables[side(guest)];

	for (unsigned int n = 0; n < GUEST_INFLIGHT; n++) {
		uint64_t *words = vm_at(&guest->vm, source_gpa(guest, n));

		for (unsigned int i = 0; i < VM_PAGE / 8; i++)
			words[i] = pattern(guest, n, i);
		wrote(guest, source_gpa(guest, n));
		vm_map_page(&guest->vm, table, TARGET + n * VM_PAGE, target_gpa(guest, n), 7, 7);
	}
	wrote(guest, (uint64_t)((uint8_t *)vm_leaf(&guest->vm, table, TARGET) - guest->vm.memory));
	return 0;
}

static int submit(struct guest *guest)
{
	memset(record(guest, 0), 0, GUEST_INFLIGHT * sizeof(struct dsa_record));
	wrote(guest, record_gpa(guest));
	for (unsigned int n = 0; n < GUEST_INFLIGHT; n++) {
		struct dsa_descriptor d = {
			.pasid = pasids[side(guest)],
			.operation = (uint32_t)DSA_OP_MEMMOVE << 24 | DSA_FLAG_RECORD_VALID | DSA_FLAG_REQUEST_RECORD,
			.record = RECORDS + n * sizeof(struct dsa_record),
			.source = SOURCE + n * VM_PAGE,
			.destination = TARGET + n * VM_PAGE,
			.size = VM_PAGE,
		};
		const uint8_t *bytes = (const uint8_t *)&d;

		/* A shared queue is submitted to in 64 bytes, by processors in eight stores. */
		for (unsigned int i = 0; i < 64; i += 8) {
			int result = client_write_posted(guest->dsa, 2, WQ * DSA_PORTAL_SIZE + 64 * n + i,
							 bytes + i, 8);

			if (result)
				return result;
		}
	}
	return 0;
}

static int check_target(struct guest *guest, unsigned int n)
{
	const uint64_t *words = vm_at(&guest->vm, target_gpa(guest, n));

	for (unsigned int i = 0; i < VM_PAGE / 8; i++)
		if (words[i] != pattern(guest, n, i))
			return -EIO;
	return 0;
}

static int wait_and_check(struct guest *guest)
{
	for (unsigned int n = 0; n < GUEST_INFLIGHT; n++) {
		time_t end = time(NULL) + WAIT_SECONDS;
		const uint8_t *status = &record(guest, n)->status;

		while (!__atomic_load_n(status, __ATOMIC_ACQUIRE)) {
			if (time(NULL) > end) {
				strcpy(guest->complaint, "the DSA did not complete an operation");
				return -EIO;
			}
			nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
		}
		if (*status != DSA_STATUS_SUCCESS) {
			snprintf(guest->complaint, sizeof(guest->complaint),
				 "the DSA reported status 0x%02x at 0x%llx", *status,
				 (unsigned long long)record(guest, n)->fault_address);
			return -EIO;
		}
		if (check_target(guest, n)) {
			strcpy(guest->complaint, "a target differs from its source");
			return -EIO;
		}
	}
	return 0;
}

static int unmap_targets(struct guest *guest)
{
	uint64_t table = guest->cpu.tables[side(guest)];
	int result;

	for (unsigned int n = 0; n < GUEST_INFLIGHT; n++)
		*vm_leaf(&guest->vm, table, TARGET + n * VM_PAGE) = 0;
	wrote(guest, (uint64_t)((uint8_t *)vm_leaf(&guest->vm, table, TARGET) - guest->vm.memory));
	wrote(guest, guest->vm.queue);
	wrote(guest, guest->vm.queue + VM_PAGE);
	result = vm_invalidate_pasid(&guest->vm, pasids[side(guest)], VM_DOMAIN);
	if (!result)
		guest->cpu.step++;
	return result;
}

int guest_phase(struct guest *guest)
{
	static int (*const phases[])(struct guest *) = {
		[GUEST_MAP] = map_targets,
		[GUEST_SUBMIT] = submit,
		[GUEST_WAIT] = wait_and_check,
		[GUEST_UNMAP] = unmap_targets,
	};
	int result = phases[guest->cpu.phase](guest);

	if (!result)
		guest->cpu.phase = (guest->cpu.phase + 1) % 4;
	return result;
}

/* DSA 9.2.12: a command, to its end. */
static int command(struct client *dsa, enum dsa_command code, uint32_t operand)
{
	int result = client_write32(dsa, 0, DSA_CMD, (uint32_t)code << 20 | operand);

	for (int i = 0; !result && i < 1000; i++) {
		uint32_t status = client_read32(dsa, 0, DSA_CMDSTS);

		if (!(status & DSA_CMDSTS_ACTIVE))
			return status ? -EIO : 0;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return result ? result : -ETIMEDOUT;
}

/* DSA 3.3: one shared queue of 16 entries in group 0 with engine 0. */
static int start_dsa(struct client *dsa)
{
	static const uint32_t wq[] = { 16, 16, DSA_WQ_PASID_ENABLE, 21 | 5 << 5 };
	int result = command(dsa, DSA_RESET_DEVICE, 0);

	for (unsigned int i = 0; !result && i < 4; i++)
		result = client_write32(dsa, 0, DSA_WQCFG + 4 * i, wq[i]);
	/* Every operation the device has. */
	for (unsigned int i = 0; !result && i < 32; i += 8)
		result = client_write64(dsa, 0, DSA_WQCFG + 4 * DSA_WQ_OPERATIONS + i,
					client_read64(dsa, 0, DSA_OPCAP + i));
	result = result ? result : client_write64(dsa, 0, DSA_GRPCFG, 1u << WQ);
	result = result ? result : client_write64(dsa, 0, DSA_GRPCFG + 32, 1);
	result = result ? result : command(dsa, DSA_ENABLE_DEVICE, 0);
	return result ? result : command(dsa, DSA_ENABLE_WQ, WQ);
}

static void build_tables(struct guest *guest)
{
	struct vm *vm = &guest->vm;

	vm_add_scalable(vm, GUEST_DSA_DEVFN);
	for (unsigned int p = 0; p < GUEST_PASIDS; p++) {
		guest->cpu.tables[p] = vm_page(vm);
		vm_set_pasid(vm, GUEST_DSA_DEVFN, pasids[p], guest->cpu.tables[p]);
		for (unsigned int n = 0; n < GUEST_INFLIGHT; n++)
			vm_map_page(vm, guest->cpu.tables[p], SOURCE + n * VM_PAGE,
				    SOURCES_AT + (p * GUEST_INFLIGHT + n) * VM_PAGE, 7, 7);
		vm_map_page(vm, guest->cpu.tables[p], RECORDS, RECORDS_AT + p * VM_PAGE, 7, 7);
		/* The table of the targets exists from now on; its entries come and go. */
		vm_map_page(vm, guest->cpu.tables[p], TARGET, 0, 0, 7);
	}
}

int guest_receive(struct guest *guest, struct client *unit, struct client *dsa)
{
	*guest = (struct guest){ .dsa = dsa };
	return vm_create(&guest->vm, unit);
}

int guest_boot(struct guest *guest, struct client *unit, struct client *dsa)
{
	int result = guest_receive(guest, unit, dsa);

	if (result)
		return result;
	build_tables(guest);
	result = client_enable(unit, false, false, false);
	result = result ? result : client_enable(dsa, true, true, true);
	result = result ? result : vm_start_scalable(&guest->vm);
	return result ? result : start_dsa(dsa);
}

struct guest_cpu guest_registers(const struct guest *guest)
{
	struct guest_cpu cpu = guest->cpu;

	cpu.tail = guest->vm.tail;
	cpu.waited = guest->vm.waited;
	cpu.free = guest->vm.free;
	cpu.root = guest->vm.root;
	cpu.queue = guest->vm.queue;
	cpu.status = guest->vm.status;
	cpu.requests = guest->vm.requests;
	return cpu;
}

void guest_adopt(struct guest *guest, const struct guest_cpu *cpu)
{
	guest->cpu = *cpu;
	guest->vm.tail = cpu->tail;
	guest->vm.waited = cpu->waited;
	guest->vm.free = cpu->free;
	guest->vm.root = cpu->root;
	guest->vm.queue = cpu->queue;
	guest->vm.status = cpu->status;
	guest->vm.requests = cpu->requests;
}

void guest_off(struct guest *guest)
{
	vm_destroy(&guest->vm);
}
