/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables by hand, as VT-d 9 draws them.
 */
#include "vm.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

int vm_create(struct vm *vm, struct client *unit)
{
	*vm = (struct vm){ .unit = unit, .free = 0x100000 };
	vm->fd = memfd_create("guest", MFD_CLOEXEC);
	if (vm->fd < 0 || ftruncate(vm->fd, VM_MEMORY))
		return -errno;
	vm->memory = mmap(NULL, VM_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, vm->fd, 0);
	if (vm->memory == MAP_FAILED)
		return -errno;
	vm->root = vm_page(vm);
	vm->queue = vm_page(vm);
	vm_page(vm);
	vm->status = vm_page(vm);
	vm->requests = vm_page(vm);
	return client_map(unit, 0, VM_MEMORY, vm->fd, 0);
}

void vm_destroy(struct vm *vm)
{
	munmap(vm->memory, VM_MEMORY);
	close(vm->fd);
}

uint64_t vm_page(struct vm *vm)
{
	uint64_t gpa = vm->free;

	vm->free += VM_PAGE;
	return gpa;
}

void *vm_at(struct vm *vm, uint64_t gpa)
{
	return vm->memory + gpa;
}

static uint64_t *word(struct vm *vm, uint64_t gpa, unsigned int index)
{
	return (uint64_t *)vm_at(vm, gpa) + index;
}

/* The handshake of VT-d 11.4.4: write the command, see the status follow. */
static int command(struct vm *vm, uint32_t value, uint32_t wanted)
{
	int ret = client_write32(vm->unit, 0, VM_GCMD, value);

	if (ret)
		return ret;
	return client_read32(vm->unit, 0, VM_GSTS) & wanted ? 0 : -EIO;
}

static int start(struct vm *vm, uint64_t rtaddr, uint64_t queue_flags)
{
	int ret = client_write64(vm->unit, 0, VM_IQT, 0);

	ret = ret ? ret : client_write64(vm->unit, 0, VM_IQA, vm->queue | queue_flags);
	ret = ret ? ret : command(vm, VM_QIE, VM_QIE);
	ret = ret ? ret : client_write64(vm->unit, 0, VM_RTADDR, rtaddr);
	ret = ret ? ret : command(vm, VM_QIE | VM_SRTP, VM_SRTP);
	ret = ret ? ret : client_write64(vm->unit, 0, VM_PQH, 0);
	ret = ret ? ret : client_write64(vm->unit, 0, VM_PQT, 0);
	ret = ret ? ret : client_write64(vm->unit, 0, VM_PQA, vm->requests);
	ret = ret ? ret : client_write32(vm->unit, 0, VM_PEDATA, 0x32);
	ret = ret ? ret : client_write32(vm->unit, 0, VM_PEADDR, 0xfee01000);
	ret = ret ? ret : client_write32(vm->unit, 0, VM_PECTL, 0);
	ret = ret ? ret : client_write32(vm->unit, 0, VM_FEDATA, 0x31);
	ret = ret ? ret : client_write32(vm->unit, 0, VM_FEADDR, 0xfee01000);
	ret = ret ? ret : client_write32(vm->unit, 0, VM_FECTL, 0);
	return ret ? ret : command(vm, VM_QIE | VM_TE, VM_TE);
}

/* IQA: 32-byte descriptors, two pages; RTADDR: scalable mode. */
int vm_start_scalable(struct vm *vm)
{
	return start(vm, vm->root | 0x400, 0x801);
}

/* The unit offers scalable mode, so its descriptors may be wide in legacy mode too. */
int vm_start_legacy(struct vm *vm)
{
	return start(vm, vm->root, 0x801);
}

/* VT-d 9.3, 9.4: the context entry of a function, with its table made on the way. */
static uint64_t *scalable_context(struct vm *vm, uint8_t devfn)
{
	uint64_t *root = word(vm, vm->root, devfn >> 7);

	if (!(*root & 1))
		*root = vm_page(vm) | 1;
	return word(vm, *root & ~UINT64_C(0xfff), (devfn & 0x7f) * 4u);
}

void vm_add_scalable(struct vm *vm, uint8_t devfn)
{
	uint64_t *context = scalable_context(vm, devfn);

	/* present, DTE, PASIDE, PRE, PDTS 0: 128 directory entries, PASIDs below 8192 */
	context[1] = 0;
	context[0] = vm_page(vm) | 0x1d;
}

void vm_add_legacy(struct vm *vm, uint8_t devfn, uint64_t second_stage)
{
	uint64_t *root = word(vm, vm->root, 0), *context;

	if (!(*root & 1))
		*root = vm_page(vm) | 1;
	context = word(vm, *root & ~UINT64_C(0xfff), devfn * 2u);
	context[1] = VM_DOMAIN << 8 | 2; /* four levels */
	context[0] = second_stage | 1;
}

/* VT-d 9.5, 9.6: directory entry and PASID-table entry. */
void vm_set_pasid(struct vm *vm, uint8_t devfn, uint32_t pasid, uint64_t first_stage)
{
	uint64_t directory = scalable_context(vm, devfn)[0] & ~UINT64_C(0xfff);
	uint64_t *entry = word(vm, directory, pasid >> 6), *pe;

	if (!(*entry & 1))
		*entry = vm_page(vm) | 1;
	pe = word(vm, *entry & ~UINT64_C(0xfff), (pasid & 63) * 8);
	pe[2] = first_stage;	      /* FSPM 0: four levels */
	pe[1] = VM_DOMAIN | 1u << 23; /* walks are snooped, as A/D updates need (VT-d 9.6) */
	pe[0] = 1 | 2 << 2 | 1 << 6;  /* present, AW 48 bits, first stage */
}

uint64_t *vm_leaf(struct vm *vm, uint64_t table, uint64_t iova)
{
	for (unsigned int shift = 39; shift > 12; shift -= 9)
		table = *word(vm, table, iova >> shift & 511) & ~UINT64_C(0xfff);
	return word(vm, table, iova >> 12 & 511);
}

void vm_map_page(struct vm *vm, uint64_t table, uint64_t iova, uint64_t gpa, uint64_t flags,
		 uint64_t directory_flags)
{
	for (unsigned int shift = 39; shift > 12; shift -= 9) {
		uint64_t *entry = word(vm, table, iova >> shift & 511);

		if (!*entry)
			*entry = vm_page(vm) | directory_flags;
		table = *entry & ~UINT64_C(0xfff);
	}
	*word(vm, table, iova >> 12 & 511) = gpa | flags;
}

/* VT-d 6.5.2: one descriptor of 32 bytes. */
static void queue(struct vm *vm, uint64_t low, uint64_t high)
{
	uint64_t *at = word(vm, vm->queue, vm->tail * 4);

	at[0] = low;
	at[1] = high;
	at[2] = at[3] = 0;
	vm->tail = (vm->tail + 1) % 256;
}

int vm_invalidate(struct vm *vm, uint64_t low, uint64_t high)
{
	volatile uint32_t *status = vm_at(vm, vm->status);
	int ret;

	queue(vm, low, high);
	vm->waited++;
	queue(vm, 0x5 | 1 << 5 | (uint64_t)vm->waited << 32, vm->status);
	ret = client_write64(vm->unit, 0, VM_IQT, vm->tail * 32u);
	for (int i = 0; !ret && *status != vm->waited; i++) {
		if (i == 20000)
			return -ETIMEDOUT;
		usleep(1000);
	}
	return ret;
}

/* VT-d 6.5.2.4: PASID-based IOTLB invalidation of one PASID. */
int vm_invalidate_pasid(struct vm *vm, uint32_t pasid, uint32_t domain)
{
	return vm_invalidate(vm, 0x6 | 2 << 4 | (uint64_t)domain << 16 | (uint64_t)pasid << 32, 0);
}
