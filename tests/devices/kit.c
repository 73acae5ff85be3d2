/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See kit.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "kit.h"

enum { PATIENCE_US = 30 * 1000 * 1000, NAP_US = 50, REQUEST_BYTES = 32 };

#define require(condition)                                                                   \
	do {                                                                                 \
		if (!(condition)) {                                                          \
			fprintf(stderr, "%s:%d: kit: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                             \
		}                                                                            \
	} while (0)

static void on_interrupt(void *opaque, unsigned int vector)
{
	struct dkit *kit = opaque;

	require(vector < DSA_MAX_VECTORS);
	atomic_fetch_add(&kit->interrupts[vector], 1);
}

static const struct dsa_ops ops = { .interrupt = on_interrupt };

/* Neighbours in IOVA are not neighbours in memory, except the pages of the event log. */
static uint64_t physical(unsigned int page)
{
	return 0x100000 + 4096ull * (page < EVENT_PAGE ? page ^ 1 : page + 8);
}

unsigned int dkit_frame(unsigned int page)
{
	return physical(page) / 4096;
}

uint64_t dkit_address(unsigned int page)
{
	return AREA + 4096ull * page;
}

void dkit_map(struct dkit *kit, unsigned int page, bool writable)
{
	kit_map_first(&kit->box, kit->root, 4, dkit_address(page), 1,
		      physical(page) | FS_P | FS_US | (writable ? FS_RW : 0));
	kit->present[page] = true;
}

void dkit_unmap(struct dkit *kit, unsigned int page)
{
	kit_map_first(&kit->box, kit->root, 4, dkit_address(page), 1, 0);
	kit->present[page] = false;
	require(kit_flush_all(&kit->box));
}

static void copy(struct dkit *kit, uint64_t iova, void *data, size_t length, bool out)
{
	uint8_t *bytes = data;

	while (length) {
		unsigned int page = (iova - AREA) / 4096;
		size_t part = 4096 - iova % 4096;
		uint8_t *host = kit->box.ram + physical(page) + iova % 4096;

		part = part < length ? part : length;
		require(page < ALL_PAGES);
		memcpy(out ? (void *)bytes : host, out ? host : (void *)bytes, part);
		bytes += part;
		iova += part;
		length -= part;
	}
}

void dkit_get(struct dkit *kit, uint64_t iova, void *data, size_t length)
{
	copy(kit, iova, data, length, true);
}

void dkit_put(struct dkit *kit, uint64_t iova, const void *data, size_t length)
{
	copy(kit, iova, (void *)data, length, false);
}

uint32_t dkit_read32(struct dkit *kit, uint64_t offset)
{
	uint32_t value;

	dsa_read(kit->dsa, offset, &value, sizeof(value));
	return value;
}

uint64_t dkit_read64(struct dkit *kit, uint64_t offset)
{
	uint64_t value;

	dsa_read(kit->dsa, offset, &value, sizeof(value));
	return value;
}

void dkit_write32(struct dkit *kit, uint64_t offset, uint32_t value)
{
	dsa_write(kit->dsa, offset, &value, sizeof(value));
}

void dkit_write64(struct dkit *kit, uint64_t offset, uint64_t value)
{
	dsa_write(kit->dsa, offset, &value, sizeof(value));
}

void dkit_create(struct dkit *kit, const struct dsa_options *options)
{
	struct viommu_unit_options unit;
	struct dsa_options defaults;
	uint64_t requests;

	memset(kit, 0, sizeof(*kit));
	viommu_unit_options_init(&unit);
	kit_create(&kit->box, &unit);
	viommu_endpoint_destroy(kit->box.endpoint);
	kit->box.endpoint = NULL;
	dsa_options_init(&defaults);
	defaults.page_timeout_ms = 60000;
	require(!dsa_create(options ? options : &defaults, kit->box.unit, KIT_RID, &ops, kit,
			    &kit->dsa));
	dsa_features(kit->dsa,
		     VIOMMU_ENDPOINT_PASID | VIOMMU_ENDPOINT_ATS | VIOMMU_ENDPOINT_PRI |
			     VIOMMU_ENDPOINT_PASID_PRIVILEGED,
		     true);

	kit->root = kit_setup_first(&kit->box, PASID, 4);
	/* Requests without a PASID use PASID 0's entry (RID_PASID). Supervisor requests are
	 * allowed. */
	kit_setup_first(&kit->box, 0, 4);
	kit_put(&kit->box, kit_pasid_entry(&kit->box, KIT_RID, 0) + 16, kit->root);
	kit_put(&kit->box, kit_pasid_entry(&kit->box, KIT_RID, PASID) + 16, kit->root | PE2_SRE);
	for (unsigned int i = 0; i < ALL_PAGES; i++)
		dkit_map(kit, i, true);
	kit_start(&kit->box, TTM_SCALABLE);
	requests = kit_pages(&kit->box, 2);
	kit_write(&kit->box, REG_PQA, 8, requests | 1);
}

void dkit_destroy(struct dkit *kit)
{
	dsa_destroy(kit->dsa);
	kit_destroy(&kit->box);
}

bool dkit_command_settles(struct dkit *kit)
{
	for (int i = 0; i < PATIENCE_US / NAP_US; i++) {
		if (!(dkit_read32(kit, DSA_CMDSTS) & DSA_CMDSTS_ACTIVE))
			return true;
		dkit_serve_pages(kit);
		usleep(NAP_US);
	}
	return false;
}

unsigned int dkit_interrupts(struct dkit *kit, unsigned int vector, unsigned int expected)
{
	for (int i = 0; i < PATIENCE_US / NAP_US && kit->interrupts[vector] < expected; i++)
		usleep(NAP_US);
	return kit->interrupts[vector];
}

unsigned int dkit_command(struct dkit *kit, enum dsa_command command, uint32_t operand)
{
	dkit_write32(kit, DSA_CMD, command << 20 | operand);
	require(dkit_command_settles(kit));
	return dkit_read32(kit, DSA_CMDSTS) & 0xff;
}

void dkit_configure_wq(struct dkit *kit, unsigned int index, unsigned int size, unsigned int flags)
{
	uint64_t base = DSA_WQCFG + 64 * index;
	uint32_t mode = 1 << 4; /* priority */

	if (!(flags & WQ_SHARED))
		mode |= DSA_WQ_DEDICATED;
	if (!(flags & WQ_NO_PASID))
		mode |= DSA_WQ_PASID_ENABLE | (flags & WQ_SHARED ? 0 : PASID << 8);
	mode |= flags & WQ_BLOCK ? DSA_WQ_BLOCK_ON_FAULT : 0;
	mode |= flags & WQ_PRIVILEGED ? DSA_WQ_PRIVILEGED : 0;
	mode |= flags & WQ_ATS_OFF ? DSA_WQ_ATS_DISABLE : 0;
	mode |= flags & WQ_PRS_OFF ? DSA_WQ_PRS_DISABLE : 0;
	dkit_write32(kit, base, size);
	dkit_write32(kit, base + 4, flags & WQ_SHARED ? size : 0);
	dkit_write32(kit, base + 8, mode);
	dkit_write32(kit, base + 12, 21 | 5 << 5);
	for (unsigned int i = 0; i < 8; i++)
		dkit_write32(kit, base + 32 + 4 * i, ~0u);
}

void dkit_group(struct dkit *kit, unsigned int group, uint64_t wqs, uint64_t engines)
{
	dkit_write64(kit, DSA_GRPCFG + 64 * group, wqs);
	dkit_write64(kit, DSA_GRPCFG + 64 * group + 32, engines);
}

void dkit_start(struct dkit *kit, unsigned int flags)
{
	dkit_configure_wq(kit, 0, 16, flags);
	dkit_group(kit, 0, 1, 1);
	require(dkit_command(kit, DSA_ENABLE_DEVICE, 0) == 0);
	require(dkit_command(kit, DSA_ENABLE_WQ, 0) == 0);
}

bool dkit_submit(struct dkit *kit, unsigned int wq, const struct dsa_descriptor *descriptor)
{
	uint64_t slot = wq * DSA_PORTAL_SIZE + 0x1000 + kit->slot++ % 64 * 64;
	const uint64_t *words = (const uint64_t *)descriptor;
	uint64_t answer;

	for (unsigned int i = 0; i < 8; i++)
		dsa_portal_write(kit->dsa, slot + 8 * i, &words[i], 8);
	dsa_portal_read(kit->dsa, slot, &answer, 8);
	return !(answer & 1);
}

uint64_t dkit_record_address(unsigned int record)
{
	return dkit_address(RECORD_PAGE) + 32 * record;
}

struct dsa_descriptor dkit_descriptor(enum dsa_opcode opcode, uint32_t flags, unsigned int record)
{
	return (struct dsa_descriptor){
		.pasid = PASID,
		.operation = (uint32_t)opcode << 24 | flags | DSA_FLAG_RECORD_VALID |
			     DSA_FLAG_REQUEST_RECORD,
		.record = dkit_record_address(record),
	};
}

void dkit_clear_record(struct dkit *kit, unsigned int record)
{
	struct dsa_record empty;

	memset(&empty, 0, sizeof(empty));
	dkit_put(kit, dkit_record_address(record), &empty, sizeof(empty));
}

/* VT-d 7.5: page request descriptors; 7.7: the response. */
void dkit_serve_pages(struct dkit *kit)
{
	struct kit *box = &kit->box;
	uint64_t head, tail, queue;

	if (kit->policy == PAGES_UNANSWERED)
		return;
	head = kit_read(box, REG_PQH, 8);
	tail = kit_read(box, REG_PQT, 8);
	queue = kit_read(box, REG_PQA, 8) & ~0xfffull;
	while (head != tail) {
		uint64_t low = kit_get(box, queue + head), high = kit_get(box, queue + head + 8);
		uint64_t address = high & ~0xfffull;
		unsigned int code = VIOMMU_RESPONSE_INVALID;

		kit->page_requests++;
		kit->last_request = address;
		if (kit->refuse) {
			kit->refuse--;
		} else if (kit->policy == PAGES_GIVEN) {
			require(address >= AREA && address < dkit_address(ALL_PAGES));
			dkit_map(kit, (address - AREA) / 4096, true);
			code = VIOMMU_RESPONSE_SUCCESS;
		}
		kit_submit(box,
			   qi_page_response(low >> 8 & 1, low >> 32 & 0xfffff, low >> 16 & 0xffff,
					    code),
			   (high >> 3 & 0x1ff) << 3 | 1 << 2);
		head = (head + REQUEST_BYTES) % 0x2000;
		kit_write(box, REG_PQH, 8, head);
		require(kit_sync(box));
	}
}

bool dkit_wait(struct dkit *kit, unsigned int record, struct dsa_record *result)
{
	for (int i = 0; i < PATIENCE_US / NAP_US; i++) {
		uint8_t *host = kit->box.ram + physical(RECORD_PAGE) + 32 * record;

		if (__atomic_load_n(host, __ATOMIC_ACQUIRE)) {
			memcpy(result, host, sizeof(*result));
			return true;
		}
		dkit_serve_pages(kit);
		usleep(NAP_US);
	}
	return false;
}

struct dsa_record dkit_run(struct dkit *kit, const struct dsa_descriptor *descriptor,
			   unsigned int record)
{
	struct dsa_record result;

	dkit_clear_record(kit, record);
	require(dkit_submit(kit, 0, descriptor));
	require(dkit_wait(kit, record, &result));
	return result;
}

struct dsa_descriptor dkit_move(uint32_t flags)
{
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_MEMMOVE, flags, 0);

	d.source = AREA;
	d.destination = AREA + 0x10000;
	d.size = 64;
	return d;
}

unsigned int dkit_status(struct dkit *kit, const struct dsa_descriptor *descriptor)
{
	return dkit_run(kit, descriptor, 0).status;
}

bool dkit_reached(atomic_uint *counter, unsigned int n)
{
	for (int i = 0; i < PATIENCE_US / NAP_US; i++) {
		if (atomic_load(counter) >= n)
			return true;
		usleep(NAP_US);
	}
	return false;
}
