/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Performance monitoring (VT-d 10, 11.4.13) and the enhanced commands that run it (11.4.14).
 *
 * Nothing is counted for it: the unit keeps statistics anyway, per endpoint and thread, and a
 * counter is the difference of two looks at them. Registers are brought up to date when somebody
 * looks at them or gives a command. So monitoring costs a request nothing, whether on or off, with
 * one exception: while a counter is near its end, requests leave the front cache alone and look
 * after each event whether the counter has overflowed. A counter is taken to be near when 2^32
 * events are left at the time software starts, unfreezes or writes it; one further away that
 * reaches its end all the same does so at the next access to the registers.
 *
 * What an event is here: a look-up of the IOTLB, and one of the PASID cache, for every request to
 * translate; front caches count as part of both. In legacy mode the PASID cache is the context
 * cache. A memory read is one of 64 bits by a walk.
 */
#include "vtd/register.h"
#include "vtd/unit_internal.h"

#define COUNTER_MASK VTD_MASK(VTD_COUNTER_WIDTH - 1, 0)
#define NEAR	     (1ull << 32)
#define ALL_COUNTERS VTD_MASK(VTD_COUNTERS - 1, 0)

struct totals {
	struct vtd_shard requests;
	uint64_t page_requests_posted;
	uint64_t page_requests_overflow;
};

/* VT-d 10.7: events by group and bit. */
enum event_bit {
	IOMMU_MRDS = 0,
	PG_REQ_POSTED = 6,
	PG_REQ_OVERFLOW = 7,
	PASID_CACHE_LOOKUP = 2,
	PASID_CACHE_HIT = 3,
	IOTLB_LOOKUP = 0,
	IOTLB_HIT = 1,
};

static uint64_t memory_reads(const struct totals *totals)
{
	return totals->requests.table_reads;
}

static uint64_t page_requests_posted(const struct totals *totals)
{
	return totals->page_requests_posted;
}

static uint64_t page_requests_overflow(const struct totals *totals)
{
	return totals->page_requests_overflow;
}

static uint64_t iotlb_lookups(const struct totals *totals)
{
	return totals->requests.hits + totals->requests.misses;
}

static uint64_t iotlb_hits(const struct totals *totals)
{
	return totals->requests.hits;
}

static uint64_t pasid_lookups(const struct totals *totals)
{
	return iotlb_lookups(totals) + totals->requests.context_lookups;
}

static uint64_t pasid_hits(const struct totals *totals)
{
	return pasid_lookups(totals) - totals->requests.context_misses;
}

static const struct event {
	uint8_t group;
	uint8_t bit;
	uint64_t (*total)(const struct totals *totals);
} events[] = {
	{ 1, IOMMU_MRDS, memory_reads },
	{ 1, PG_REQ_POSTED, page_requests_posted },
	{ 1, PG_REQ_OVERFLOW, page_requests_overflow },
	{ 2, PASID_CACHE_LOOKUP, pasid_lookups },
	{ 2, PASID_CACHE_HIT, pasid_hits },
	{ 3, IOTLB_LOOKUP, iotlb_lookups },
	{ 3, IOTLB_HIT, iotlb_hits },
};

enum { EVENTS = sizeof(events) / sizeof(events[0]), GROUPS = 4 };

uint64_t vtd_perfmon_events(unsigned int group)
{
	uint64_t supported = 0;

	for (unsigned int i = 0; i < EVENTS; i++)
		if (events[i].group == group)
			supported |= VTD_BIT(events[i].bit);
	return supported;
}

uint64_t vtd_perfmon_capability(void)
{
	return vtd_place(VTD_COUNTERS, VTD_PERFCAP_NCNTR) |
	       vtd_place(VTD_COUNTER_WIDTH, VTD_PERFCAP_CW) | vtd_place(GROUPS, VTD_PERFCAP_EGCNT) |
	       VTD_PERFCAP_CWE | VTD_PERFCAP_GFS | VTD_PERFCAP_IOS | VTD_PERFCAP_RESERVED;
}

static uint32_t config_offset(unsigned int counter)
{
	return VTD_COUNTER_CONFIG_OFFSET + 256 * counter;
}

static uint32_t value_offset(unsigned int counter)
{
	return VTD_COUNTERS_OFFSET + VTD_COUNTER_STRIDE * counter;
}

/* To be taken before registers.lock. */
static struct totals take_totals(struct viommu_unit *unit)
{
	struct totals totals = {
		.page_requests_posted = vtd_load_plain(&unit->counters.page_requests_posted),
		.page_requests_overflow = vtd_load_plain(&unit->counters.page_requests_overflow),
	};

	vtd_unit_requests(unit, &totals.requests);
	return totals;
}

/* What a counter with this configuration has been able to see: events of a group add up. */
static uint64_t total(const struct totals *totals, uint64_t config)
{
	uint64_t select = vtd_field(config, VTD_PERFCNTRCFG_ES), sum = 0;
	unsigned int group = vtd_field(config, VTD_PERFCNTRCFG_EGI);

	for (unsigned int i = 0; i < EVENTS; i++)
		if (events[i].group == group && select & VTD_BIT(events[i].bit))
			sum += events[i].total(totals);
	return sum;
}

static bool counting(const struct viommu_unit *unit, unsigned int counter)
{
	return vtd_get64(unit, config_offset(counter)) & VTD_PERFCNTRCFG_EN &&
	       !(vtd_get64(unit, VTD_FREEZE_OFFSET) & VTD_BIT(counter));
}

/* VT-d 10.3.1. True: an interrupt is due, and PERFINTRSTS says so. */
static bool overflowed(struct viommu_unit *unit, unsigned int counter)
{
	uint64_t config = vtd_get64(unit, config_offset(counter));

	vtd_set64(unit, VTD_OVERFLOW_OFFSET,
		  vtd_get64(unit, VTD_OVERFLOW_OFFSET) | VTD_BIT(counter));
	if (config & VTD_PERFCNTRCFG_GFO)
		vtd_set64(unit, VTD_FREEZE_OFFSET, ALL_COUNTERS);
	if (!(config & VTD_PERFCNTRCFG_IO))
		return false;
	vtd_set32(unit, VTD_REG_PERFINTRSTS, VTD_PERFINTRSTS_PIS);
	return true;
}

/* registers.lock held. Counters take in what has happened up to `totals`. */
static struct vtd_message update(struct viommu_unit *unit, const struct totals *totals)
{
	uint32_t over = 0;
	bool interrupt = false;
	unsigned int i;

	for (i = 0; i < VTD_COUNTERS; i++) {
		uint64_t now = total(totals, vtd_get64(unit, config_offset(i)));
		uint64_t value = vtd_get64(unit, value_offset(i)), more;

		/* Somebody else has had a later look. */
		if (!counting(unit, i) || now <= unit->perfmon.seen[i])
			continue;
		more = now - unit->perfmon.seen[i];
		unit->perfmon.seen[i] = now;
		if (more > COUNTER_MASK - value)
			over |= 1u << i;
		vtd_set64(unit, value_offset(i), (value + more) & COUNTER_MASK);
	}
	for (i = 0; i < VTD_COUNTERS; i++)
		if (over & 1u << i)
			interrupt |= overflowed(unit, i);
	return interrupt ? vtd_event_raise(unit, VTD_EVENT_PERFORMANCE, NULL)
			 : (struct vtd_message){ 0 };
}

void vtd_perfmon_count(struct viommu_unit *unit)
{
	struct totals totals = take_totals(unit);
	struct vtd_message message;

	pthread_mutex_lock(&unit->registers.lock);
	message = update(unit, &totals);
	pthread_mutex_unlock(&unit->registers.lock);
	vtd_event_send(unit, VTD_EVENT_PERFORMANCE, message);
}

/* registers.lock held, by the owner: is a counter near its end? */
static void arm(struct viommu_unit *unit)
{
	bool armed = false;

	for (unsigned int i = 0; i < VTD_COUNTERS; i++)
		if (counting(unit, i) && COUNTER_MASK - vtd_get64(unit, value_offset(i)) < NEAR)
			armed = true;
	if (armed == vtd_load_plain(&unit->perfmon.armed))
		return;
	vtd_store(&unit->perfmon.armed, armed);
	/* What is in front caches is of before. */
	if (armed)
		vtd_bump(&unit->version);
}

/* registers.lock held: counters that begin to count now have seen all that was. */
static void begin(struct viommu_unit *unit, const struct totals *totals, uint64_t counters)
{
	for (unsigned int i = 0; i < VTD_COUNTERS; i++)
		if (counters & VTD_BIT(i))
			unit->perfmon.seen[i] =
				total(totals, vtd_get64(unit, config_offset(i)));
}

/* VT-d 10.5: there are no filters, and every counter has the same abilities. */
static bool valid(uint64_t config)
{
	uint64_t select = vtd_field(config, VTD_PERFCNTRCFG_ES);

	return select && !(select & ~vtd_perfmon_events(vtd_field(config, VTD_PERFCNTRCFG_EGI)));
}

static enum vtd_command_status enable(struct viommu_unit *unit, const struct totals *totals,
				      uint64_t counter)
{
	uint64_t config;

	if (counter >= VTD_COUNTERS)
		return VTD_COMMAND_FAILED;
	config = vtd_get64(unit, config_offset(counter));
	if (!valid(config))
		return VTD_COMMAND_FAILED;
	if (config & VTD_PERFCNTRCFG_EN)
		return VTD_COMMAND_DONE;
	vtd_set64(unit, config_offset(counter), config | VTD_PERFCNTRCFG_EN);
	begin(unit, totals, VTD_BIT(counter));
	return VTD_COMMAND_DONE;
}

static enum vtd_command_status disable(struct viommu_unit *unit, uint64_t counter)
{
	if (counter >= VTD_COUNTERS)
		return VTD_COMMAND_FAILED;
	vtd_set64(unit, config_offset(counter),
		  vtd_get64(unit, config_offset(counter)) & ~VTD_PERFCNTRCFG_EN);
	/* VT-d 11.4.13.12 */
	vtd_set64(unit, VTD_FREEZE_OFFSET,
		  vtd_get64(unit, VTD_FREEZE_OFFSET) & ~VTD_BIT(counter));
	return VTD_COMMAND_DONE;
}

static void reset_configuration(struct viommu_unit *unit)
{
	for (unsigned int i = 0; i < VTD_COUNTERS; i++)
		vtd_set64(unit, config_offset(i), 0);
	vtd_set64(unit, VTD_FREEZE_OFFSET, 0);
	vtd_set64(unit, VTD_OVERFLOW_OFFSET, 0);
}

static void reset_values(struct viommu_unit *unit)
{
	for (unsigned int i = 0; i < VTD_COUNTERS; i++)
		vtd_set64(unit, value_offset(i), 0);
}

/* registers.lock held, counters up to date. */
static enum vtd_command_status execute(struct viommu_unit *unit, const struct totals *totals,
				       unsigned int command, uint64_t operand)
{
	switch (command) {
	case VTD_ECMD_ENABLE_COUNTER:
		return enable(unit, totals, operand);
	case VTD_ECMD_DISABLE_COUNTER:
		return disable(unit, operand);
	case VTD_ECMD_RESET_CONFIGURATION:
		reset_configuration(unit);
		break;
	case VTD_ECMD_RESET_VALUES:
		reset_values(unit);
		break;
	case VTD_ECMD_FREEZE:
		vtd_set64(unit, VTD_FREEZE_OFFSET, ALL_COUNTERS);
		break;
	case VTD_ECMD_UNFREEZE:
		begin(unit, totals, vtd_get64(unit, VTD_FREEZE_OFFSET));
		vtd_set64(unit, VTD_FREEZE_OFFSET, 0);
		break;
	default:
		return VTD_COMMAND_UNDEFINED;
	}
	return VTD_COMMAND_DONE;
}

void vtd_register_enhanced_command(struct viommu_unit *unit, uint64_t written)
{
	struct totals totals = take_totals(unit);
	enum vtd_command_status status;
	struct vtd_message message;
	uint64_t command;

	pthread_mutex_lock(&unit->registers.lock);
	message = update(unit, &totals);
	command = vtd_get64(unit, VTD_REG_ECMD);
	status = execute(unit, &totals, vtd_field(command, VTD_ECMD_CMD),
			 vtd_field(command, VTD_ECMD_OA));
	vtd_set64(unit, VTD_REG_ECRSP, vtd_place(status, VTD_ECRSP_SC));
	arm(unit);
	pthread_mutex_unlock(&unit->registers.lock);
	vtd_event_send(unit, VTD_EVENT_PERFORMANCE, message);
}

/* VT-d 10.3: it goes on from the value written. */
void vtd_register_counter(struct viommu_unit *unit, uint64_t written)
{
	struct totals totals = take_totals(unit);
	struct vtd_message message;

	pthread_mutex_lock(&unit->registers.lock);
	message = update(unit, &totals);
	arm(unit);
	pthread_mutex_unlock(&unit->registers.lock);
	vtd_event_send(unit, VTD_EVENT_PERFORMANCE, message);
}

void vtd_perfmon_restore(struct viommu_unit *unit)
{
	struct totals totals;

	if (!(unit->ecap & VTD_ECAP_PMS))
		return;
	totals = take_totals(unit);
	pthread_mutex_lock(&unit->registers.lock);
	for (unsigned int i = 0; i < VTD_COUNTERS; i++) {
		uint64_t config = vtd_get64(unit, config_offset(i));

		/* What no command would have enabled does not count. */
		if (!valid(config))
			vtd_set64(unit, config_offset(i), config & ~VTD_PERFCNTRCFG_EN);
	}
	begin(unit, &totals, ALL_COUNTERS);
	arm(unit);
	pthread_mutex_unlock(&unit->registers.lock);
}
