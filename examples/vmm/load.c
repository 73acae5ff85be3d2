/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's driver of the passed-through function (load.h). Tables and descriptors as VT-d 9 and 6.5 draw them.
 */
#include "load.h"

#include <errno.h>
#include <string.h>

enum { PAGE = 4096, SMALL_PAGES = 16, LARGE_PAGES = 1024, LARGE_PLACES = 2, SMALL_PLACES = 64, DOMAIN = 3 };
/* VT-d 11.4 */
enum { GCMD = 0x18, RTADDR = 0x20, IQT = 0x88, IQA = 0x90 };
#define GCMD_TE	  (UINT32_C(1) << 31)
#define GCMD_SRTP (UINT32_C(1) << 30)
#define GCMD_QIE  (UINT32_C(1) << 26)
#define SMALL_POOL (LOAD_POOL_AT + LARGE_PLACES * LARGE_PAGES * PAGE)

/* The driver's page, in guest memory. */
struct driver {
	uint64_t step, stuck, large;
	uint64_t free, root, context, table, queue, status;
	uint32_t tail, waited;
};

static struct driver *driver(const struct load *load)
{
	return (void *)(load->ram + LOAD_AT);
}

/* What the VMM may look at while the guest runs. */
static uint64_t look(const uint64_t *number)
{
	return __atomic_load_n(number, __ATOMIC_RELAXED);
}

static void count(uint64_t *number, uint64_t more)
{
	__atomic_store_n(number, *number + more, __ATOMIC_RELAXED);
}

static uint64_t *words(const struct load *load, uint64_t gpa)
{
	return (void *)(load->ram + gpa);
}

static uint64_t new_page(struct load *load)
{
	uint64_t gpa = driver(load)->free;

	count(&driver(load)->free, PAGE);
	return gpa;
}

static void map_page(struct load *load, uint64_t iova, uint64_t gpa)
{
	uint64_t table = driver(load)->table;

	for (unsigned int shift = 39; shift > 12; shift -= 9) {
		uint64_t *entry = words(load, table) + (iova >> shift & 511);

		if (!*entry)
			*entry = new_page(load) | 3;
		table = *entry & ~UINT64_C(0xfff);
	}
	words(load, table)[iova >> 12 & 511] = gpa ? gpa | 3 : 0;
}

static void map(struct load *load, uint64_t iova, uint64_t gpa, unsigned int pages)
{
	for (unsigned int i = 0; i < pages; i++)
		map_page(load, iova + i * PAGE, gpa ? gpa + i * PAGE : 0);
}

static void queue(struct load *load, uint64_t low, uint64_t high)
{
	uint64_t *at = words(load, driver(load)->queue) + driver(load)->tail * 2;

	at[0] = low;
	at[1] = high;
	driver(load)->tail = (driver(load)->tail + 1) % 256;
}

/* VT-d 6.5.2.1, .3, .9: context cache and the domain's IOTLB, then wait. The unit works while its register is written. */
static int invalidate(struct load *load)
{
	struct driver *d = driver(load);

	queue(load, 0x1 | 1 << 4, 0);
	queue(load, 0x2 | 2 << 4 | DOMAIN << 16, 0);
	queue(load, 0x5 | 1 << 5 | (uint64_t)++d->waited << 32, d->status);
	viommu_unit_write(load->unit, IQT, 8, d->tail * 16u);
	if ((uint32_t)*words(load, d->status) == d->waited)
		return 0;
	strcpy(load->complaint, "the unit did not complete a wait");
	return -EIO;
}

/* VT-d 9.3: put the function into its domain, with four levels, or out of it. */
static int attach(struct load *load, bool on)
{
	uint64_t *entry = words(load, driver(load)->context) + LOAD_RID % 256 * 2;

	entry[1] = DOMAIN << 8 | 2;
	entry[0] = on ? driver(load)->table | 1 : 0;
	return invalidate(load);
}

static int ring(struct load *load, uint64_t iova, uint64_t value)
{
	return viommu_host_model_dma(load->device, VIOMMU_NO_PASID, iova, &value, sizeof(value), true);
}

/* The device writes to iova; it must arrive at gpa. */
static int write_and_check(struct load *load, uint64_t iova, uint64_t gpa)
{
	uint64_t value = driver(load)->step * UINT64_C(0x9e3779b97f4a7c15) + iova;
	int result = ring(load, iova, value);

	if (!result && *words(load, gpa) == value)
		return 0;
	strcpy(load->complaint, result ? "the function's DMA is blocked" : "the function wrote elsewhere");
	return -EIO;
}

/* What the guest unmapped, the device must not reach. A host that did not let go of it is asked again by the next invalidation. */
static int check_blocked(struct load *load, uint64_t iova)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		if (ring(load, iova, 0) == -EFAULT)
			return 0;
		count(&driver(load)->stuck, 1);
		if (invalidate(load))
			return -EIO;
	}
	strcpy(load->complaint, "the function writes to what was unmapped");
	return -EIO;
}

static int move_small(struct load *load)
{
	uint64_t step = driver(load)->step, iova = LOAD_SMALL(step % LOAD_WINDOWS);
	uint64_t gpa = SMALL_POOL + step % SMALL_PLACES * SMALL_PAGES * PAGE, page = step % SMALL_PAGES * PAGE;
	int result;

	map(load, iova, 0, SMALL_PAGES);
	result = invalidate(load);
	result = result ? result : check_blocked(load, iova + page);
	map(load, iova, gpa, SMALL_PAGES);
	result = result ? result : invalidate(load);
	return result ? result : write_and_check(load, iova + page, gpa + page);
}

static int move_large(struct load *load)
{
	struct driver *d = driver(load);
	int result = attach(load, false);

	result = result ? result : check_blocked(load, LOAD_LARGE);
	d->large = (d->large + 1) % LARGE_PLACES;
	map(load, LOAD_LARGE, LOAD_POOL_AT + d->large * LARGE_PAGES * PAGE, LARGE_PAGES);
	result = result ? result : attach(load, true);
	return result ? result : write_and_check(load, LOAD_LARGE, LOAD_POOL_AT + d->large * LARGE_PAGES * PAGE);
}

int load_step(struct load *load)
{
	int result = move_small(load);

	if (!result && driver(load)->step % LOAD_WINDOWS == LOAD_WINDOWS - 1)
		result = move_large(load);
	count(&driver(load)->step, 1);
	return result;
}

int load_boot(struct load *load)
{
	struct driver *d = driver(load);
	int result;

	*d = (struct driver){ .free = LOAD_AT + PAGE };
	d->root = new_page(load);
	d->context = new_page(load);
	d->table = new_page(load);
	d->queue = new_page(load);
	d->status = new_page(load);
	words(load, d->root)[LOAD_RID >> 8] = d->context | 1;
	viommu_unit_write(load->unit, IQA, 8, d->queue);
	viommu_unit_write(load->unit, GCMD, 4, GCMD_QIE);
	viommu_unit_write(load->unit, RTADDR, 8, d->root);
	viommu_unit_write(load->unit, GCMD, 4, GCMD_QIE | GCMD_SRTP);
	viommu_unit_write(load->unit, GCMD, 4, GCMD_QIE | GCMD_TE);
	map(load, LOAD_LARGE, LOAD_POOL_AT, LARGE_PAGES);
	result = attach(load, true);
	for (unsigned int n = 0; !result && n < LOAD_WINDOWS; n++)
		result = load_step(load);
	return result;
}

uint64_t load_steps(const struct load *load)
{
	return look(&driver(load)->step);
}

uint64_t load_stuck(const struct load *load)
{
	return look(&driver(load)->stuck);
}

uint64_t load_end_of_tables(const struct load *load)
{
	return look(&driver(load)->free);
}
