/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See passed.h. The unit of the daemon offers scalable mode always: descriptors are wide, and the root table says which mode it is.
 */
#include "passed.h"

#include <stdio.h>

#define ENTRY_MASK (~UINT64_C(0xfff))

void passed_begin(struct passed *p, const char *function, const char *unit, const char *backend)
{
	char unit_option[160], device_option[160];
	char *arguments[] = { unit_option, device_option, NULL };

	snprintf(unit_option, sizeof(unit_option), "--unit=%s", unit);
	snprintf(device_option, sizeof(device_option), "--device=vfio,addr=07.0,host=%s,backend=%s", function, backend);
	assert_int_equal(daemon_begin(&p->host, arguments), 0);
	/* The fixture's name for a function at 07.0 is that of the test device. */
	snprintf(p->host.testdev, sizeof(p->host.testdev), "%s/vfio-07.0.sock", p->host.directory);
	assert_int_equal(client_open(&p->unit, p->host.unit), 0);
	assert_int_equal(client_open(&p->device, p->host.testdev), 0);
	assert_int_equal(vm_create(&p->vm, &p->unit), 0);
	p->device.memory = p->vm.memory;
	p->device.memory_length = VM_MEMORY;
}

int passed_end(struct passed *p)
{
	int result = 0;

	client_close(&p->device);
	client_close(&p->unit);
	if (p->vm.memory)
		vm_destroy(&p->vm);
	if (p->host.process.pid)
		result = daemon_end(&p->host);
	*p = (struct passed)PASSED_INIT;
	return result;
}

/* VT-d 9.3, 9.4: entries of two words in legacy mode, of four in scalable mode. */
uint64_t *passed_context(struct passed *p, unsigned int words)
{
	uint64_t *root = vm_at(&p->vm, p->vm.root);

	return (uint64_t *)vm_at(&p->vm, *root & ENTRY_MASK) + PASSED_DEVFN * words;
}

void passed_add_scalable(struct passed *p, bool pasids)
{
	vm_add_scalable(&p->vm, PASSED_DEVFN);
	/* VT-d 9.4: PASIDE and PRE are reserved in a unit without PASIDs and page requests. */
	if (!pasids)
		*passed_context(p, 4) &= ~UINT64_C(0x18);
}

/* VT-d 9.5, 9.6 */
uint64_t *passed_pasid_entry(struct passed *p, uint32_t pasid)
{
	uint64_t *directory = (uint64_t *)vm_at(&p->vm, *passed_context(p, 4) & ENTRY_MASK) + (pasid >> 6);

	return (uint64_t *)vm_at(&p->vm, *directory & ENTRY_MASK) + (pasid & 63) * 8;
}

/* VT-d 9.6: PGTT 2, four levels. */
void passed_set_second_stage(struct passed *p, uint32_t pasid, uint64_t table)
{
	vm_set_pasid(&p->vm, PASSED_DEVFN, pasid, 0);
	passed_pasid_entry(p, pasid)[0] = table | 2 << 6 | 2 << 2 | 1;
}

/* VT-d 9.6: PGTT 4. */
void passed_set_pass_through(struct passed *p, uint32_t pasid)
{
	vm_set_pasid(&p->vm, PASSED_DEVFN, pasid, 0);
	passed_pasid_entry(p, pasid)[0] = 4 << 6 | 2 << 2 | 1;
}

/* VT-d 6.5.2.2: PASID cache, one PASID. */
void passed_flush_pasid(struct passed *p, uint32_t pasid)
{
	assert_int_equal(vm_invalidate(&p->vm, 0x7 | 1 << 4 | (uint64_t)VM_DOMAIN << 16 | (uint64_t)pasid << 32, 0), 0);
	assert_int_equal(vm_invalidate_pasid(&p->vm, pasid, VM_DOMAIN), 0);
}

/* VT-d 6.5.2.3: IOTLB, one domain. */
void passed_flush_domain(struct passed *p)
{
	assert_int_equal(vm_invalidate(&p->vm, 0x2 | 2 << 4 | (uint64_t)VM_DOMAIN << 16, 0), 0);
}

/* VT-d 6.5.2.1: context cache, one function. */
void passed_flush_context(struct passed *p)
{
	assert_int_equal(vm_invalidate(&p->vm, 0x1 | 3 << 4 | (uint64_t)VM_DOMAIN << 16 | (uint64_t)PASSED_DEVFN << 32, 0),
			 0);
	passed_flush_domain(p);
}
