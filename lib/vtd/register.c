/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The register file (VT-d 11): one table says what each register lets software write.
 *
 * Registers of 8 bytes may be accessed whole or by halves, those of 4 bytes alone or two at a time.
 * A write is reduced to whole or half registers, masked, stored, and then the register's action
 * runs: a *locked* one adjusts other registers under the lock; an *owned* one makes the unit do
 * something, with the unit entered and no lock held. Entering the unit may mean to wait for a
 * thread that drains access sections, so a thread inside a section must not come that far.
 */
#include <errno.h>

#include "vtd/register.h"
#include "vtd/unit_internal.h"

struct vtd_register {
	uint16_t offset;
	uint8_t width;
	uint64_t writable; /* bits stored as written */
	uint64_t clear;	   /* bits that writing 1 clears */
	uint64_t reset;
	bool low_half_acts; /* writing the upper half alone does nothing more */
	bool counted;	    /* brought up to date before it is looked at */
	/* May software change it now? NULL: it may. */
	bool (*unlocked)(const struct viommu_unit *unit, uint32_t offset);
	/* Does this write make the unit do something? NULL: every one does. */
	bool (*acts)(const struct viommu_unit *unit, uint64_t value);
	struct vtd_message (*locked)(struct viommu_unit *unit, uint64_t value);
	enum vtd_event event; /* of locked's message */
	void (*owned)(struct viommu_unit *unit, uint64_t value);
};

static const struct vtd_message no_message;

/* ---- locked actions ---- */

static struct vtd_message unmask_fault(struct viommu_unit *unit, uint64_t value)
{
	return vtd_event_unmask(unit, VTD_EVENT_FAULT);
}

static struct vtd_message unmask_invalidation(struct viommu_unit *unit, uint64_t value)
{
	return vtd_event_unmask(unit, VTD_EVENT_INVALIDATION);
}

static struct vtd_message unmask_page_request(struct viommu_unit *unit, uint64_t value)
{
	return vtd_event_unmask(unit, VTD_EVENT_PAGE_REQUEST);
}

static struct vtd_message fault_cleared(struct viommu_unit *unit, uint64_t value)
{
	vtd_fault_cleared(unit);
	return no_message;
}

static struct vtd_message completion_cleared(struct viommu_unit *unit, uint64_t value)
{
	if (!(vtd_get32(unit, VTD_REG_ICS) & VTD_ICS_IWC))
		vtd_event_serviced(unit, VTD_EVENT_INVALIDATION);
	return no_message;
}

static struct vtd_message page_requests_cleared(struct viommu_unit *unit, uint64_t value)
{
	if (!(vtd_get32(unit, VTD_REG_PRS) & (VTD_PRS_PPR | VTD_PRS_PRO)))
		vtd_event_serviced(unit, VTD_EVENT_PAGE_REQUEST);
	return no_message;
}

static struct vtd_message performance_cleared(struct viommu_unit *unit, uint64_t value)
{
	if (!(vtd_get32(unit, VTD_REG_PERFINTRSTS) & VTD_PERFINTRSTS_PIS))
		vtd_event_serviced(unit, VTD_EVENT_PERFORMANCE);
	return no_message;
}

static struct vtd_message unmask_performance(struct viommu_unit *unit, uint64_t value)
{
	return vtd_event_unmask(unit, VTD_EVENT_PERFORMANCE);
}

/* ---- which writes act ---- */

static bool context_command_acts(const struct viommu_unit *unit, uint64_t value)
{
	return value & VTD_CCMD_ICC;
}

static bool iotlb_command_acts(const struct viommu_unit *unit, uint64_t value)
{
	return value & VTD_IOTLB_IVT;
}

static bool tail_acts(const struct viommu_unit *unit, uint64_t value)
{
	return vtd_get32(unit, VTD_REG_GSTS) & VTD_GCMD_QIE &&
	       (value & VTD_IQ_OFFSET) != vtd_get32(unit, VTD_REG_IQH);
}

static bool status_acts(const struct viommu_unit *unit, uint64_t value)
{
	return value & (VTD_FSTS_IQE | VTD_FSTS_ITE);
}

/* ---- which may be written now ---- */

/* VT-d 11.4.8.2: not while the regions are protected. */
static bool unprotected(const struct viommu_unit *unit, uint32_t offset)
{
	return !(vtd_get32(unit, VTD_REG_PMEN) & VTD_PMEN_PRS);
}

/* VT-d 11.4.13: Table 51: not while the counter is enabled. */
static bool counter_disabled(const struct viommu_unit *unit, uint32_t offset)
{
	return !(vtd_get32(unit, offset) & VTD_PERFCNTRCFG_EN);
}

/* ---- owned actions ---- */

static void queue_moved(struct viommu_unit *unit, uint64_t value)
{
	vtd_queue_run(unit);
}

static void command(struct viommu_unit *unit, uint64_t value)
{
	vtd_command(unit, (uint32_t)value);
}

#define EVENT_REGISTERS(control, event_number, unmask)                           \
	{ .offset = (control),                                                   \
	  .width = 4,                                                            \
	  .writable = VTD_EVENT_IM,                                              \
	  .reset = VTD_EVENT_IM,                                                 \
	  .locked = (unmask),                                                    \
	  .event = (event_number) },                                             \
		{ .offset = (control) + 4, .width = 4, .writable = 0xffff },     \
		{ .offset = (control) + 8, .width = 4, .writable = 0xfffffffc }, \
	{                                                                        \
		.offset = (control) + 12, .width = 4, .writable = 0xffffffff     \
	}

#define MTRR_FIXED(n) \
	{ .offset = VTD_REG_MTRR_FIXED + 8 * (n), .width = 8, .writable = ~0ull }

#define MTRR_VARIABLE(n)                                                                          \
	{ .offset = VTD_REG_MTRR_VARIABLE + 16 * (n), .width = 8, .writable = VTD_MTRR_BASE },    \
	{                                                                                         \
		.offset = VTD_REG_MTRR_VARIABLE + 16 * (n) + 8, .width = 8,                       \
		.writable = VTD_MTRR_MASK                                                         \
	}

/* A counter, its configuration, and what could be filters or capabilities of its own. */
#define COUNTER(n)                                                                        \
	{ .offset = VTD_COUNTERS_OFFSET + VTD_COUNTER_STRIDE * (n),                       \
	  .width = 8,                                                                     \
	  .writable = VTD_MASK(VTD_COUNTER_WIDTH - 1, 0),                                 \
	  .counted = true,                                                                \
	  .owned = vtd_register_counter },                                                \
		{ .offset = VTD_COUNTER_CONFIG_OFFSET + 256 * (n),                        \
		  .width = 8,                                                             \
		  .writable = VTD_PERFCNTRCFG_ES | VTD_PERFCNTRCFG_EGI |                  \
			      VTD_PERFCNTRCFG_GFO | VTD_PERFCNTRCFG_IO,                   \
		  .unlocked = counter_disabled },                                         \
		{ .offset = VTD_COUNTER_CONFIG_OFFSET + 256 * (n) + 0x08, .width = 4 },   \
		{ .offset = VTD_COUNTER_CONFIG_OFFSET + 256 * (n) + 0x0c, .width = 4 },   \
		{ .offset = VTD_COUNTER_CONFIG_OFFSET + 256 * (n) + 0x10, .width = 4 },   \
		{ .offset = VTD_COUNTER_CONFIG_OFFSET + 256 * (n) + 0x14, .width = 4 },   \
		{ .offset = VTD_COUNTER_CONFIG_OFFSET + 256 * (n) + 0x18, .width = 4 },   \
	{                                                                                 \
		.offset = VTD_COUNTER_CONFIG_OFFSET + 256 * (n) + 0x80, .width = 4        \
	}

static const struct vtd_register registers[] = {
	{ .offset = VTD_REG_VER, .width = 4, .reset = VTD_VERSION },
	{ .offset = VTD_REG_CAP, .width = 8 },
	{ .offset = VTD_REG_ECAP, .width = 8 },
	{ .offset = VTD_REG_GCMD, .width = 4, .owned = command },
	{ .offset = VTD_REG_GSTS, .width = 4 },
	{ .offset = VTD_REG_RTADDR, .width = 8, .writable = VTD_MASK(63, 10) },
	{ .offset = VTD_REG_CCMD,
	  .width = 8,
	  .writable = VTD_MASK(63, 61) | VTD_MASK(33, 0),
	  .acts = context_command_acts,
	  .owned = vtd_register_context_command },
	{ .offset = VTD_REG_FSTS,
	  .width = 4,
	  .clear = VTD_FSTS_PFO | VTD_FSTS_AFO | VTD_FSTS_APF | VTD_FSTS_IQE | VTD_FSTS_ICE |
		   VTD_FSTS_ITE,
	  .acts = status_acts,
	  .locked = fault_cleared,
	  .owned = queue_moved },
	EVENT_REGISTERS(VTD_REG_FECTL, VTD_EVENT_FAULT, unmask_fault),
	{ .offset = VTD_REG_AFLOG, .width = 8, .writable = VTD_AFLOG_FLA | VTD_AFLOG_FLS },
	/* VT-d 11.4.8: the command bit is stored by its action, together with the status. */
	{ .offset = VTD_REG_PMEN, .width = 4, .owned = vtd_register_protect },
	{ .offset = VTD_REG_PLMBASE,
	  .width = 4,
	  .writable = VTD_MASK(31, 21),
	  .unlocked = unprotected },
	{ .offset = VTD_REG_PLMLIMIT,
	  .width = 4,
	  .writable = VTD_MASK(31, 21),
	  .unlocked = unprotected },
	{ .offset = VTD_REG_PHMBASE,
	  .width = 8,
	  .writable = VTD_MASK(63, 21),
	  .unlocked = unprotected },
	{ .offset = VTD_REG_PHMLIMIT,
	  .width = 8,
	  .writable = VTD_MASK(63, 21),
	  .unlocked = unprotected },
	{ .offset = VTD_REG_IQH, .width = 8 },
	{ .offset = VTD_REG_IQT,
	  .width = 8,
	  .writable = VTD_IQ_OFFSET,
	  .acts = tail_acts,
	  .owned = queue_moved },
	{ .offset = VTD_REG_IQA,
	  .width = 8,
	  .writable = VTD_IQA_ADDRESS | VTD_IQA_DW | VTD_IQA_QS },
	{ .offset = VTD_REG_ICS, .width = 4, .clear = VTD_ICS_IWC, .locked = completion_cleared },
	EVENT_REGISTERS(VTD_REG_IECTL, VTD_EVENT_INVALIDATION, unmask_invalidation),
	{ .offset = VTD_REG_IQERCD, .width = 8 },
	{ .offset = VTD_REG_IRTA, .width = 8, .writable = VTD_MASK(63, 11) | VTD_MASK(3, 0) },
	{ .offset = VTD_REG_PQH, .width = 8, .writable = VTD_PQ_OFFSET },
	{ .offset = VTD_REG_PQT, .width = 8, .writable = VTD_PQ_OFFSET },
	{ .offset = VTD_REG_PQA, .width = 8, .writable = VTD_PQA_ADDRESS | VTD_PQA_PQS },
	{ .offset = VTD_REG_PRS,
	  .width = 4,
	  .clear = VTD_PRS_PPR | VTD_PRS_PRO,
	  .locked = page_requests_cleared },
	EVENT_REGISTERS(VTD_REG_PECTL, VTD_EVENT_PAGE_REQUEST, unmask_page_request),
	{ .offset = VTD_IOTLB_REGISTERS_OFFSET,
	  .width = 8,
	  .writable = VTD_IVA_ADDR | VTD_IVA_IH | VTD_IVA_AM },
	{ .offset = VTD_IOTLB_REGISTERS_OFFSET + 8,
	  .width = 8,
	  .writable = VTD_IOTLB_IVT | VTD_IOTLB_IIRG | VTD_MASK(49, 48) | VTD_IOTLB_DID,
	  .acts = iotlb_command_acts,
	  .owned = vtd_register_iotlb_command },
	/* VT-d 11.4.12 */
	{ .offset = VTD_REG_MTRRCAP, .width = 8, .reset = VTD_MTRRCAP_VALUE },
	{ .offset = VTD_REG_MTRRDEF, .width = 8, .writable = VTD_MTRRDEF_BITS },
	MTRR_FIXED(0),
	MTRR_FIXED(1),
	MTRR_FIXED(2),
	MTRR_FIXED(3),
	MTRR_FIXED(4),
	MTRR_FIXED(5),
	MTRR_FIXED(6),
	MTRR_FIXED(7),
	MTRR_FIXED(8),
	MTRR_FIXED(9),
	MTRR_FIXED(10),
	MTRR_VARIABLE(0),
	MTRR_VARIABLE(1),
	MTRR_VARIABLE(2),
	MTRR_VARIABLE(3),
	MTRR_VARIABLE(4),
	MTRR_VARIABLE(5),
	MTRR_VARIABLE(6),
	MTRR_VARIABLE(7),
	MTRR_VARIABLE(8),
	MTRR_VARIABLE(9),
	/* VT-d 11.4.13. What they say beyond the offsets: vtd_registers_reset(). */
	{ .offset = VTD_REG_PERFCAP, .width = 8 },
	{ .offset = VTD_REG_PERFCFGOFF, .width = 4, .reset = VTD_COUNTER_CONFIG_OFFSET },
	{ .offset = VTD_REG_PERFFRZOFF, .width = 4, .reset = VTD_FREEZE_OFFSET },
	{ .offset = VTD_REG_PERFOVFOFF, .width = 4, .reset = VTD_OVERFLOW_OFFSET },
	{ .offset = VTD_REG_PERFCNTROFF, .width = 4, .reset = VTD_COUNTERS_OFFSET },
	{ .offset = VTD_REG_PERFINTRSTS,
	  .width = 4,
	  .clear = VTD_PERFINTRSTS_PIS,
	  .counted = true,
	  .locked = performance_cleared },
	EVENT_REGISTERS(VTD_REG_PERFINTRCTL, VTD_EVENT_PERFORMANCE, unmask_performance),
	{ .offset = VTD_REG_PERFEVNTCAP, .width = 8 },
	{ .offset = VTD_REG_PERFEVNTCAP + 8, .width = 8 },
	{ .offset = VTD_REG_PERFEVNTCAP + 16, .width = 8 },
	{ .offset = VTD_REG_PERFEVNTCAP + 24, .width = 8 },
	{ .offset = VTD_FREEZE_OFFSET, .width = 8, .counted = true },
	{ .offset = VTD_OVERFLOW_OFFSET,
	  .width = 8,
	  .clear = VTD_MASK(VTD_COUNTERS - 1, 0),
	  .counted = true },
	COUNTER(0),
	COUNTER(1),
	/* VT-d 11.4.14 */
	{ .offset = VTD_REG_ECMD,
	  .width = 8,
	  .writable = VTD_ECMD_OA | VTD_ECMD_CMD,
	  .low_half_acts = true,
	  .owned = vtd_register_enhanced_command },
	{ .offset = VTD_REG_ECEO, .width = 8, .writable = ~0ull },
	{ .offset = VTD_REG_ECRSP, .width = 8 },
	{ .offset = VTD_REG_ECSTS, .width = 8 },
	{ .offset = VTD_REG_ECSTS + 8, .width = 8 },
	{ .offset = VTD_REG_ECCAP, .width = 8 },
	{ .offset = VTD_REG_ECCAP + 8, .width = 8 },
	{ .offset = VTD_REG_ECCAP + 16, .width = 8 },
	{ .offset = VTD_REG_ECCAP + 24, .width = 8, .reset = VTD_ECCAP3_PERFMON },
	/* VT-d 11.4.16 */
	{ .offset = VTD_REG_VCMD,
	  .width = 8,
	  .writable = VTD_VCMD_OA | VTD_VCMD_CMD,
	  .low_half_acts = true,
	  .owned = vtd_register_virtual_command },
	{ .offset = VTD_REG_VCMD_EO, .width = 8, .writable = ~0ull },
	{ .offset = VTD_REG_VCRSP, .width = 8 },
	{ .offset = VTD_REG_VCCAP, .width = 8, .reset = VTD_VCCAP_ALL },
	/* Every fault record is like these two. */
	{ .offset = VTD_FAULT_RECORDS_OFFSET, .width = 8 },
	{ .offset = VTD_FAULT_RECORDS_OFFSET + 8,
	  .width = 8,
	  .clear = VTD_FRCD_F,
	  .locked = fault_cleared },
};

enum { REGISTERS = sizeof(registers) / sizeof(registers[0]) };

/* Registers that exist only with a capability. */
static const struct {
	uint16_t first, last;
	uint64_t cap, ecap; /* one of them */
} optional[] = {
	{ VTD_REG_AFLOG, VTD_REG_AFLOG, VTD_CAP_AFL, 0 },
	{ VTD_REG_PLMBASE, VTD_REG_PHMLIMIT, VTD_CAP_PLMR, 0 },
	{ VTD_REG_IRTA, VTD_REG_IRTA, 0, VTD_ECAP_IR },
	{ VTD_REG_PQH, VTD_REG_PEUADDR, 0, VTD_ECAP_PRS },
	{ VTD_REG_MTRRCAP, VTD_REG_MTRR_VARIABLE + 16 * 9 + 8, 0, VTD_ECAP_MTS },
	{ VTD_REG_PERFCAP, VTD_REG_PERFEVNTCAP + 24, 0, VTD_ECAP_PMS },
	{ VTD_REG_ECMD, VTD_REG_ECCAP + 24, VTD_CAP_ECMDS, 0 },
	{ VTD_REG_VCMD, VTD_REG_VCCAP, 0, VTD_ECAP_VCS },
	{ VTD_COUNTERS_OFFSET, VTD_COUNTER_CONFIG_OFFSET + 256 * VTD_COUNTERS, 0, VTD_ECAP_PMS },
};

/* Bits that exist only with a capability. */
static uint64_t absent_bits(const struct viommu_unit *unit, uint32_t offset)
{
	/* VT-d 11.4.10 */
	return offset == VTD_REG_IRTA && !(unit->ecap & VTD_ECAP_EIM) ? VTD_IRTA_EIME : 0;
}

static bool present(const struct viommu_unit *unit, const struct vtd_register *entry)
{
	for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
		if (entry->offset >= optional[i].first && entry->offset <= optional[i].last)
			return unit->cap & optional[i].cap || unit->ecap & optional[i].ecap;
	return true;
}

static void map_entry(struct viommu_unit *unit, unsigned int index, uint32_t offset)
{
	unsigned int i;

	for (i = 0; i < registers[index].width / 4; i++)
		unit->registers.entry[offset / 4 + i] = index + 1;
}

int vtd_registers_init(struct viommu_unit *unit)
{
	unsigned int i, record;

	for (i = 0; i < REGISTERS; i++)
		if (present(unit, &registers[i]))
			map_entry(unit, i, registers[i].offset);
	for (record = 1; record < unit->options.fault_records; record++) {
		map_entry(unit, REGISTERS - 2, VTD_FAULT_RECORDS_OFFSET + 16 * record);
		map_entry(unit, REGISTERS - 1, VTD_FAULT_RECORDS_OFFSET + 16 * record + 8);
	}
	vtd_registers_reset(unit);
	return -pthread_mutex_init(&unit->registers.lock, NULL);
}

void vtd_registers_reset(struct viommu_unit *unit)
{
	unsigned int i;

	for (i = 0; i < VIOMMU_UNIT_WINDOW / 4; i++)
		vtd_store_plain(&unit->registers.words[i], 0);
	for (i = 0; i < REGISTERS; i++)
		if (!present(unit, &registers[i]))
			continue;
		else if (registers[i].width == 8)
			vtd_set64(unit, registers[i].offset, registers[i].reset);
		else
			vtd_set32(unit, registers[i].offset, (uint32_t)registers[i].reset);
	vtd_set64(unit, VTD_REG_CAP, unit->cap);
	vtd_set64(unit, VTD_REG_ECAP, unit->ecap);
	if (unit->ecap & VTD_ECAP_PMS) {
		vtd_set64(unit, VTD_REG_PERFCAP, vtd_perfmon_capability());
		for (i = 0; i < 4; i++)
			vtd_set64(unit, VTD_REG_PERFEVNTCAP + 8 * i, vtd_perfmon_events(i));
	}
	unit->registers.next_fault = 0;
	unit->registers.fault_log = 0;
	unit->registers.fault_log_index = 0;
}

static const struct vtd_register *register_at(const struct viommu_unit *unit, uint64_t offset)
{
	unsigned int index = unit->registers.entry[offset / 4];

	return index ? &registers[index - 1] : NULL;
}

/* Bits of status registers, which software cannot write but a stream may have. */
static uint64_t status_bits(const struct viommu_unit *unit, uint32_t offset)
{
	switch (offset) {
	case VTD_REG_GSTS:
		return VTD_GCMD_TE | VTD_GCMD_SRTP | VTD_GCMD_QIE |
		       (unit->cap & VTD_CAP_AFL ? VTD_GCMD_SFL | VTD_GCMD_EAFL : 0) |
		       (unit->ecap & VTD_ECAP_IR ? VTD_GCMD_IRE | VTD_GCMD_SIRTP | VTD_GCMD_CFI
						 : 0);
	case VTD_REG_FSTS:
		return VTD_FSTS_FRI | VTD_FSTS_PPF;
	case VTD_REG_PMEN:
		return unit->cap & VTD_CAP_PLMR ? VTD_PMEN_EPM | VTD_PMEN_PRS : 0;
	case VTD_REG_CCMD:
		return VTD_CCMD_CAIG;
	case VTD_REG_IQH:
		return VTD_IQ_OFFSET;
	case VTD_REG_IQERCD:
		return VTD_IQERCD_IQEI | VTD_IQERCD_ITESID | VTD_IQERCD_ICESID;
	case VTD_REG_FECTL:
	case VTD_REG_IECTL:
	case VTD_REG_PECTL:
	case VTD_REG_PERFINTRCTL:
		return VTD_EVENT_IP;
	case VTD_FREEZE_OFFSET:
		return VTD_MASK(VTD_COUNTERS - 1, 0);
	case VTD_COUNTER_CONFIG_OFFSET:
	case VTD_COUNTER_CONFIG_OFFSET + 256:
		return VTD_PERFCNTRCFG_EN;
	case VTD_REG_ECRSP:
		return VTD_ECRSP_SC;
	case VTD_REG_VCRSP:
		return VTD_ECRSP_SC | VTD_VCRSP_PASID;
	case VTD_IOTLB_REGISTERS_OFFSET + 8:
		return VTD_IOTLB_IAIG;
	default:
		return 0;
	}
}

static uint64_t loadable(const struct viommu_unit *unit, uint32_t offset)
{
	const struct vtd_register *entry = &registers[unit->registers.entry[offset / 4] - 1];

	if (entry >= &registers[REGISTERS - 2])
		return offset % 16 ? ~0ull : VTD_MASK(63, 12);
	/* A command in progress is complete by the time it is saved. */
	return (entry->writable & ~absent_bits(unit, offset) &
		~(entry->owned && offset != VTD_REG_IQT ? VTD_BIT(63) : 0)) |
	       entry->clear | status_bits(unit, offset);
}

void vtd_registers_load(struct viommu_unit *unit, const uint32_t *words)
{
	uint32_t offset, step;
	uint64_t value, mask;

	vtd_registers_reset(unit);
	for (offset = 0; offset < VIOMMU_UNIT_WINDOW; offset += step) {
		step = 4;
		if (!unit->registers.entry[offset / 4])
			continue;
		step = registers[unit->registers.entry[offset / 4] - 1].width;
		mask = loadable(unit, offset);
		value = words[offset / 4];
		if (step == 8)
			value |= (uint64_t)words[offset / 4 + 1] << 32;
		if (!mask)
			continue;
		if (step == 8)
			vtd_set64(unit, offset, value & mask);
		else
			vtd_set32(unit, offset, (uint32_t)(value & mask));
	}
	if (!(unit->cap & VTD_CAP_AFL))
		vtd_set32(unit, VTD_REG_FSTS,
			  vtd_get32(unit, VTD_REG_FSTS) & ~(VTD_FSTS_AFO | VTD_FSTS_APF));
	/* PPF is what the records say. */
	vtd_fault_cleared(unit);
}

static bool access_valid(const struct viommu_unit *unit, uint64_t offset, unsigned int length)
{
	if ((length != 4 && length != 8) || offset % length || offset > VIOMMU_UNIT_WINDOW - length)
		return false;
	return register_at(unit, offset) || register_at(unit, offset + length - 4);
}

static bool counted(const struct viommu_unit *unit, uint64_t offset)
{
	const struct vtd_register *entry = register_at(unit, offset);

	return entry && entry->counted;
}

int viommu_unit_read(struct viommu_unit *unit, uint64_t offset, unsigned int length,
		     uint64_t *value)
{
	*value = 0;
	if (!access_valid(unit, offset, length))
		return -EINVAL;
	if (counted(unit, offset) || counted(unit, offset + length - 4))
		vtd_perfmon_count(unit);
	pthread_mutex_lock(&unit->registers.lock);
	*value = length == 4 ? vtd_get32(unit, offset) : vtd_get64(unit, offset);
	pthread_mutex_unlock(&unit->registers.lock);
	return 0;
}

/* One register, or half of one: `mask` covers the bytes written, both placed as in the register. */
struct write {
	const struct vtd_register *entry;
	uint32_t base; /* of the register; of this very record for FRCD */
	uint64_t value;
	uint64_t mask;
	bool acts;
};

static struct write make_write(const struct viommu_unit *unit, uint64_t offset, unsigned int length,
			       uint64_t value)
{
	const struct vtd_register *entry = register_at(unit, offset);
	struct write write = { .entry = entry, .base = (uint32_t)offset };

	write.mask = length == 4 ? 0xffffffffull : ~0ull;
	if (entry && entry->width == 8 && offset % 8) {
		write.base -= 4;
		value <<= 32;
		write.mask <<= 32;
	}
	write.value = value & write.mask;
	write.acts = entry && entry->owned && (!entry->acts || entry->acts(unit, write.value)) &&
		     (!entry->low_half_acts || write.mask & 1);
	return write;
}

static void store(struct viommu_unit *unit, const struct write *write)
{
	const struct vtd_register *entry = write->entry;
	uint64_t writable = entry->writable & write->mask & ~absent_bits(unit, write->base);
	uint64_t old =
		entry->width == 8 ? vtd_get64(unit, write->base) : vtd_get32(unit, write->base);
	uint64_t new;

	if (entry->unlocked && !entry->unlocked(unit, write->base))
		writable = 0;
	new = (old & ~writable) | (write->value & writable);
	new &= ~(write->value & entry->clear);
	if (entry->width == 8)
		vtd_set64(unit, write->base, new);
	else
		vtd_set32(unit, write->base, (uint32_t) new);
}

static void perform(struct viommu_unit *unit, const struct write *write)
{
	const struct vtd_register *entry = write->entry;
	struct vtd_message message = no_message;

	if (!entry)
		return;
	if (write->acts)
		vtd_unit_enter(unit);
	if (entry->counted)
		vtd_perfmon_count(unit);
	pthread_mutex_lock(&unit->registers.lock);
	store(unit, write);
	if (entry->locked)
		message = entry->locked(unit, write->value);
	pthread_mutex_unlock(&unit->registers.lock);
	vtd_event_send(unit, entry->event, message);
	if (!write->acts)
		return;
	entry->owned(unit, write->value);
	vtd_unit_leave(unit);
}

int viommu_unit_write(struct viommu_unit *unit, uint64_t offset, unsigned int length,
		      uint64_t value)
{
	struct write writes[2];
	unsigned int i, count = 1;

	if (!access_valid(unit, offset, length))
		return -EINVAL;
	if (length == 8 && !(register_at(unit, offset) && register_at(unit, offset)->width == 8)) {
		writes[1] = make_write(unit, offset + 4, 4, value >> 32);
		length = 4;
		value &= 0xffffffff;
		count = 2;
	}
	writes[0] = make_write(unit, offset, length, value);
	for (i = 0; i < count; i++)
		if (writes[i].acts && grace_inside())
			return -EDEADLK;
	for (i = 0; i < count; i++)
		perform(unit, &writes[i]);
	return 0;
}
