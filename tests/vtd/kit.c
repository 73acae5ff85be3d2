/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See kit.h. Memory is one anonymous mapping at guest-physical 0, so a table word is an array
 * element.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "kit.h"

#define check(condition)                                                                     \
	do {                                                                                 \
		if (!(condition)) {                                                          \
			fprintf(stderr, "%s:%d: kit: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                             \
		}                                                                            \
	} while (0)

#define ADDRESS_MASK 0x000ffffffffff000ull

static void on_message(void *opaque, struct viommu_endpoint *cause, uint64_t address, uint32_t data)
{
	struct kit *kit = opaque;
	unsigned int n = atomic_fetch_add(&kit->messages, 1);

	if (n < KIT_LOG)
		kit->message[n] = (struct kit_message){ address, data, cause };
}

static void on_log(void *opaque, const char *text)
{
	struct kit *kit = opaque;

	atomic_fetch_add(&kit->logs, 1);
}

static void on_invalidate(void *opaque, uint32_t pasid, bool all_pasids, uint64_t iova,
			  uint64_t last)
{
	struct kit *kit = opaque;
	unsigned int n = atomic_fetch_add(&kit->invalidates, 1);

	if (n < KIT_LOG)
		kit->invalidate[n] = (struct kit_invalidate){ pasid, all_pasids, iova, last };
}

static void on_response(void *opaque, uint32_t pasid, uint16_t group,
			enum viommu_response_code code)
{
	struct kit *kit = opaque;
	unsigned int n = atomic_fetch_add(&kit->responses, 1);

	if (n < KIT_LOG)
		kit->response[n] = (struct kit_response){ pasid, group, code };
}

const struct viommu_endpoint_ops kit_endpoint_ops = {
	.size = sizeof(kit_endpoint_ops),
	.invalidate = on_invalidate,
	.page_response = on_response,
};

const struct viommu_unit_ops kit_unit_ops = {
	.size = sizeof(kit_unit_ops),
	.message = on_message,
	.log = on_log,
};

struct viommu_endpoint *kit_endpoint(struct kit *kit, uint16_t rid)
{
	struct viommu_endpoint *endpoint;

	check(viommu_endpoint_create(kit->unit, rid, &kit_endpoint_ops, kit, &endpoint) == 0);
	viommu_endpoint_set_features(
		endpoint, VIOMMU_ENDPOINT_PASID | VIOMMU_ENDPOINT_ATS | VIOMMU_ENDPOINT_PRI |
				  VIOMMU_ENDPOINT_PASID_EXECUTE | VIOMMU_ENDPOINT_PASID_PRIVILEGED);
	return endpoint;
}

void kit_create_sized(struct kit *kit, const struct viommu_unit_options *options, uint64_t ram)
{
	struct viommu_unit_options defaults;

	memset(kit, 0, sizeof(*kit));
	kit->ram_size = ram;
	kit->next_page = KIT_DATA_END;
	kit->ram = mmap(NULL, ram, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check(kit->ram != MAP_FAILED);
	check(viommu_memory_create(&kit->memory) == 0);
	check(viommu_memory_add_hva(kit->memory, 0, ram, kit->ram, 0) == 0);
	if (!options) {
		viommu_unit_options_init(&defaults);
		options = &defaults;
	}
	check(viommu_unit_create(options, kit->memory, &kit_unit_ops, kit, &kit->unit) == 0);
	kit->endpoint = kit_endpoint(kit, KIT_RID);
	kit->cap = kit_read(kit, REG_CAP, 8);
	kit->ecap = kit_read(kit, REG_ECAP, 8);
	kit->wide = kit->ecap >> 43 & 1;
	kit->queue_order = 2;
	kit->root = kit_page(kit);
	kit->status = kit_page(kit);
	kit->queue = kit_pages(kit, 8);
}

void kit_create(struct kit *kit, const struct viommu_unit_options *options)
{
	kit_create_sized(kit, options, KIT_RAM);
}

void kit_destroy(struct kit *kit)
{
	if (kit->endpoint)
		viommu_endpoint_destroy(kit->endpoint);
	viommu_unit_destroy(kit->unit);
	viommu_memory_destroy(kit->memory);
	munmap(kit->ram, kit->ram_size);
}

uint64_t kit_pages(struct kit *kit, unsigned int count)
{
	uint64_t page = kit->next_page;

	/* Queues want natural alignment. */
	while (count > 1 && page & (0x1000ull * count - 1))
		page += 0x1000;
	kit->next_page = page + 0x1000ull * count;
	check(kit->next_page <= kit->ram_size);
	return page;
}

uint64_t kit_page(struct kit *kit)
{
	return kit_pages(kit, 1);
}

uint64_t kit_get(struct kit *kit, uint64_t gpa)
{
	check(gpa + 8 <= kit->ram_size && !(gpa & 7));
	return __atomic_load_n((uint64_t *)(kit->ram + gpa), __ATOMIC_ACQUIRE);
}

void kit_put(struct kit *kit, uint64_t gpa, uint64_t value)
{
	check(gpa + 8 <= kit->ram_size && !(gpa & 7));
	__atomic_store_n((uint64_t *)(kit->ram + gpa), value, __ATOMIC_RELEASE);
}

uint64_t kit_read(struct kit *kit, uint64_t offset, unsigned int length)
{
	uint64_t value = ~0ull;

	check(viommu_unit_read(kit->unit, offset, length, &value) == 0);
	return value;
}

void kit_write(struct kit *kit, uint64_t offset, unsigned int length, uint64_t value)
{
	check(viommu_unit_write(kit->unit, offset, length, value) == 0);
}

void kit_set_root(struct kit *kit, uint64_t rtaddr)
{
	kit->ttm = rtaddr & TTM_ABORT;
	kit_write(kit, REG_RTADDR, 8, rtaddr);
	kit_write(kit, REG_GCMD, 4, kit->gcmd | GCMD_SRTP);
	check(kit_read(kit, REG_GSTS, 4) & GCMD_SRTP);
}

void kit_queue_on(struct kit *kit)
{
	uint64_t iqa = kit->queue | kit->queue_order | (kit->wide ? BIT(11) : 0);

	kit->queue_bytes = 0x1000u << kit->queue_order;
	kit->tail = 0;
	kit_write(kit, REG_IQT, 4, 0);
	kit_write(kit, REG_IQA, 8, iqa);
	kit->gcmd |= GCMD_QIE;
	kit_write(kit, REG_GCMD, 4, kit->gcmd);
	check(kit_read(kit, REG_GSTS, 4) & GCMD_QIE);
}

void kit_queue_off(struct kit *kit)
{
	kit->gcmd &= ~GCMD_QIE;
	kit_write(kit, REG_GCMD, 4, kit->gcmd);
	check(!(kit_read(kit, REG_GSTS, 4) & GCMD_QIE));
}

void kit_enable(struct kit *kit)
{
	kit->gcmd |= GCMD_TE;
	kit_write(kit, REG_GCMD, 4, kit->gcmd);
	check(kit_read(kit, REG_GSTS, 4) & GCMD_TE);
}

void kit_disable(struct kit *kit)
{
	kit->gcmd &= ~GCMD_TE;
	kit_write(kit, REG_GCMD, 4, kit->gcmd);
	check(!(kit_read(kit, REG_GSTS, 4) & GCMD_TE));
}

void kit_start(struct kit *kit, uint64_t ttm)
{
	kit_queue_on(kit);
	kit_set_root(kit, kit->root | ttm);
	kit_enable(kit);
}

/* The table a present word points at, made if need be. */
static uint64_t descend(struct kit *kit, uint64_t at, uint64_t flags)
{
	uint64_t word = kit_get(kit, at);

	if (!(word & ADDRESS_MASK)) {
		word = kit_page(kit) | flags;
		kit_put(kit, at, word);
	}
	return word & ADDRESS_MASK;
}

uint64_t kit_context_legacy(struct kit *kit, uint16_t rid)
{
	uint64_t table = descend(kit, kit->root + (rid >> 8) * 16, 1);

	return table + (rid & 0xff) * 16;
}

uint64_t kit_context_scalable(struct kit *kit, uint16_t rid)
{
	uint64_t table = descend(kit, kit->root + (rid >> 8) * 16 + (rid & 0x80 ? 8 : 0), 1);

	return table + (rid & 0x7f) * 32;
}

uint64_t kit_pasid_entry(struct kit *kit, uint16_t rid, uint32_t pasid)
{
	uint64_t context = kit_context_scalable(kit, rid);
	uint64_t word = kit_get(kit, context);

	if (!(word & ADDRESS_MASK)) {
		/* 2^14 directory entries, for all 2^20 PASIDs: PDTS 7. */
		word = kit_pages(kit, 32) | 7 << CE_PDTS_SHIFT | CE_P | CE_DTE | CE_PASIDE | CE_PRE;
		if (!(kit->ecap & BIT(2)))
			word &= ~(uint64_t)CE_DTE;
		if (!(kit->ecap & BIT(40)))
			word &= ~(uint64_t)CE_PASIDE;
		if (!(kit->ecap & BIT(29)))
			word &= ~(uint64_t)CE_PRE;
		kit_put(kit, context, word);
	}
	return descend(kit, (word & ADDRESS_MASK) + (pasid >> 6) * 8, 1) + (pasid & 63) * 64;
}

void kit_set_pasid_entry(struct kit *kit, uint16_t rid, uint32_t pasid, uint64_t qw0, uint64_t qw1,
			 uint64_t qw2)
{
	uint64_t entry = kit_pasid_entry(kit, rid, pasid);

	kit_put(kit, entry + 8, qw1);
	kit_put(kit, entry + 16, qw2);
	kit_put(kit, entry, qw0);
}

static uint64_t walk(struct kit *kit, uint64_t table, int levels, uint64_t iova, int leaf,
		     uint64_t flags)
{
	for (int level = levels;; level--) {
		uint64_t at = table + (iova >> (12 + 9 * (level - 1)) & 0x1ff) * 8;

		if (level == leaf)
			return at;
		table = descend(kit, at, flags);
	}
}

uint64_t kit_first_leaf(struct kit *kit, uint64_t root, int levels, uint64_t iova, int leaf)
{
	return walk(kit, root, levels, iova, leaf, FS_P | FS_RW | FS_US);
}

uint64_t kit_second_leaf(struct kit *kit, uint64_t root, int levels, uint64_t iova, int leaf)
{
	return walk(kit, root, levels, iova, leaf, SS_R | SS_W);
}

uint64_t kit_map_first(struct kit *kit, uint64_t root, int levels, uint64_t iova, int leaf,
		       uint64_t entry)
{
	uint64_t at = kit_first_leaf(kit, root, levels, iova, leaf);

	kit_put(kit, at, entry | (leaf > 1 ? FS_PS : 0));
	return at;
}

uint64_t kit_map_second(struct kit *kit, uint64_t root, int levels, uint64_t iova, int leaf,
			uint64_t entry)
{
	uint64_t at = kit_second_leaf(kit, root, levels, iova, leaf);

	kit_put(kit, at, entry | (leaf > 1 ? SS_PS : 0));
	return at;
}

/* PE word 1: the domain, and snooped walks where the unit has them, as Linux does. */
static uint64_t domain_word(struct kit *kit)
{
	return KIT_DID | (kit->ecap & BIT(48) ? PE1_PWSNP : 0);
}

uint64_t kit_setup_first(struct kit *kit, uint32_t pasid, int levels)
{
	uint64_t root = kit_page(kit);

	kit_set_pasid_entry(kit, KIT_RID, pasid, PE_P | PE_FIRST, domain_word(kit),
			    root | (levels == 5 ? PE2_FSPM5 : 0));
	return root;
}

uint64_t kit_setup_second(struct kit *kit, uint32_t pasid, int levels)
{
	uint64_t root = kit_page(kit);

	kit_set_pasid_entry(kit, KIT_RID, pasid,
			    root | PE_P | PE_SECOND | (uint64_t)(levels - 2) << PE_AW_SHIFT,
			    domain_word(kit), 0);
	return root;
}

uint64_t kit_setup_nested(struct kit *kit, uint32_t pasid, int first_levels, int second_levels,
			  uint64_t *second)
{
	uint64_t root = kit_page(kit);

	*second = kit_page(kit);
	kit_set_pasid_entry(kit, KIT_RID, pasid,
			    *second | PE_P | PE_NESTED |
				    (uint64_t)(second_levels - 2) << PE_AW_SHIFT,
			    domain_word(kit), root | (first_levels == 5 ? PE2_FSPM5 : 0));
	return root;
}

uint64_t kit_setup_legacy(struct kit *kit, uint16_t rid, int levels)
{
	uint64_t root = kit_page(kit);
	uint64_t context = kit_context_legacy(kit, rid);

	kit_put(kit, context + 8, (uint64_t)KIT_DID << 8 | (levels - 2));
	kit_put(kit, context, root | CE_P);
	return root;
}

void kit_submit4(struct kit *kit, uint64_t qw0, uint64_t qw1, uint64_t qw2, uint64_t qw3)
{
	kit_put(kit, kit->queue + kit->tail, qw0);
	kit_put(kit, kit->queue + kit->tail + 8, qw1);
	if (kit->wide) {
		kit_put(kit, kit->queue + kit->tail + 16, qw2);
		kit_put(kit, kit->queue + kit->tail + 24, qw3);
	}
	kit->tail = (kit->tail + (kit->wide ? 32 : 16)) % kit->queue_bytes;
}

void kit_submit(struct kit *kit, uint64_t qw0, uint64_t qw1)
{
	kit_submit4(kit, qw0, qw1, 0, 0);
}

void kit_ring(struct kit *kit)
{
	kit_write(kit, REG_IQT, 8, kit->tail);
}

bool kit_sync(struct kit *kit)
{
	uint32_t expected = ++kit->sequence;

	kit_submit(kit, QI_WAIT | QI_WAIT_SW | (uint64_t)expected << 32, kit->status);
	kit_ring(kit);
	return (uint32_t)kit_get(kit, kit->status) == expected;
}

bool kit_command(struct kit *kit, uint64_t qw0, uint64_t qw1)
{
	kit_submit(kit, qw0, qw1);
	return kit_sync(kit);
}

bool kit_flush_all(struct kit *kit)
{
	kit_submit(kit, qi_context(1, 0, 0, 0), 0);
	if (kit->ttm == TTM_SCALABLE)
		kit_submit(kit, qi_pasid_cache(3, 0, 0), 0);
	kit_submit(kit, qi_iotlb(1, 0), 0);
	return kit_sync(kit);
}

/* MGAW, or the widest first stage. */
uint64_t kit_address_bits(const struct kit *kit)
{
	unsigned int bits = (kit->cap >> 16 & 0x3f) + 1;

	if (kit->ecap & BIT(47) && bits < 48)
		bits = 48;
	if (kit->cap & BIT(60))
		bits = 57;
	return (1ull << bits) - 0x1000;
}

bool kit_take_record(struct kit *kit, unsigned int index, struct kit_record *record)
{
	uint64_t at = (kit->cap >> 24 & 0x3ff) * 16 + index * 16ull;
	uint64_t high = kit_read(kit, at + 8, 8);

	if (!(high & BIT(63)))
		return false;
	*record = (struct kit_record){
		.info = kit_read(kit, at, 8),
		.sid = (uint16_t)high,
		.reason = (uint8_t)(high >> 32),
		.t1 = high >> 62 & 1,
		.t2 = high >> 28 & 1,
		.priv = high >> 29 & 1,
		.exe = high >> 30 & 1,
		.pp = high >> 31 & 1,
		.at = high >> 60 & 3,
		.pasid = (uint32_t)(high >> 40 & 0xfffff),
	};
	kit_write(kit, at + 12, 4, BIT(31));
	return true;
}

bool kit_take_fault(struct kit *kit, struct kit_record *record)
{
	uint32_t status = (uint32_t)kit_read(kit, REG_FSTS, 4);
	unsigned int count = (kit->cap >> 40 & 0xff) + 1;
	bool taken = false;

	if (!(status & FSTS_PPF))
		return false;
	/* From FRI on, around the ring, as a driver's handler goes. */
	for (unsigned int i = 0; i < count && !taken; i++)
		taken = kit_take_record(kit, ((status >> 8 & 0xff) + i) % count, record);
	kit_write(kit, REG_FSTS, 4, FSTS_PFO);
	return taken;
}
