/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The primary fault log (VT-d 7.2): a ring of fault-recording registers. And the advanced one of
 * revisions up to 3: a ring in memory.
 *
 * A fault goes to the next record if that is free; if not, PFO is set and faults are lost until
 * software clears it. A fault equal to a pending one is collapsed into it. The event is raised when
 * a status bit of FSTS becomes set while none was.
 */
#include "vtd/probes.h"
#include "vtd/unit_internal.h"

#define STATUS_BITS                                                                         \
	(VTD_FSTS_PFO | VTD_FSTS_PPF | VTD_FSTS_AFO | VTD_FSTS_APF | VTD_FSTS_IQE | VTD_FSTS_ICE | \
	 VTD_FSTS_ITE)

enum outcome { RECORDED, COLLAPSED, LOST };

static uint32_t record_offset(unsigned int index)
{
	return VTD_FAULT_RECORDS_OFFSET + 16 * index;
}

static bool pending(const struct viommu_unit *unit, unsigned int index)
{
	return vtd_get64(unit, record_offset(index) + 8) & VTD_FRCD_F;
}

/* VT-d 11.4.7.6: the high word of a record. */
static uint64_t encode(const struct viommu_fault *fault, enum vtd_request type)
{
	uint64_t high = vtd_place(fault->rid, VTD_FRCD_SID) |
			vtd_place(fault->reason, VTD_FRCD_FR) | VTD_FRCD_F;

	/* T1 and T2: 00 write, 01 page request, 10 read, 11 atomic. */
	if (type == VTD_PAGE_REQUEST)
		high |= VTD_FRCD_T2;
	else if (fault->access & VIOMMU_ATOMIC)
		high |= VTD_FRCD_T1 | VTD_FRCD_T2;
	else if (!(fault->access & VIOMMU_WRITE))
		high |= VTD_FRCD_T1;
	if (type != VTD_PAGE_REQUEST)
		high |= vtd_place(type, VTD_FRCD_AT);
	if (fault->pasid == VIOMMU_NO_PASID)
		return high;
	high |= VTD_FRCD_PP | vtd_place(fault->pasid, VTD_FRCD_PV);
	high |= fault->access & VIOMMU_EXECUTE ? VTD_FRCD_EXE : 0;
	high |= fault->access & VIOMMU_PRIVILEGED ? VTD_FRCD_PRIV : 0;
	return high;
}

/* Set `bits`; the event is raised if no status was set before. */
static struct vtd_message set_status(struct viommu_unit *unit, uint32_t bits,
				     const struct viommu_endpoint *cause)
{
	uint32_t status = vtd_get32(unit, VTD_REG_FSTS);

	vtd_set32(unit, VTD_REG_FSTS, status | bits);
	if (status & STATUS_BITS)
		return (struct vtd_message){ 0 };
	return vtd_event_raise(unit, VTD_EVENT_FAULT, cause);
}

static bool collapses(const struct viommu_unit *unit, uint64_t low, uint64_t high)
{
	unsigned int i;

	for (i = 0; i < unit->options.fault_records; i++)
		if (vtd_get64(unit, record_offset(i) + 8) == high &&
		    vtd_get64(unit, record_offset(i)) == low)
			return true;
	return false;
}

uint32_t vtd_fault_log_records(uint64_t aflog)
{
	return 256u << vtd_field(aflog, VTD_AFLOG_FLS);
}

void vtd_fault_log_set(struct viommu_unit *unit)
{
	pthread_mutex_lock(&unit->registers.lock);
	unit->registers.fault_log = vtd_get64(unit, VTD_REG_AFLOG);
	unit->registers.fault_log_index = 0;
	pthread_mutex_unlock(&unit->registers.lock);
}

/*
 * registers.lock held, in an access section: a record at the index, unless software has not taken
 * the one that is there. Then AFO is set, and nothing is recorded until it is cleared.
 */
static enum outcome log_advanced(struct viommu_endpoint *cause, uint64_t low, uint64_t high,
				 struct vtd_message *message)
{
	struct viommu_unit *unit = cause->unit;
	struct vtd_registers *registers = &unit->registers;
	uint64_t gpa = (registers->fault_log & VTD_AFLOG_FLA) + 16 * registers->fault_log_index;
	const uint64_t *record = memory_ram(unit->memory, gpa, 16, true);

	if (vtd_get32(unit, VTD_REG_FSTS) & VTD_FSTS_AFO || !record)
		return LOST;
	if (memory_load64(record + 1) & VTD_FRCD_F) {
		*message = set_status(unit, VTD_FSTS_AFO, cause);
		return LOST;
	}
	/* F comes last. */
	viommu_memory_write(unit->memory, gpa, &low, sizeof(low));
	viommu_memory_write(unit->memory, gpa + 8, &high, sizeof(high));
	registers->fault_log_index = (registers->fault_log_index + 1) %
				     vtd_fault_log_records(registers->fault_log);
	*message = set_status(unit, VTD_FSTS_APF, cause);
	return RECORDED;
}

/* registers.lock held */
static enum outcome log_fault(struct viommu_endpoint *cause, uint64_t low, uint64_t high,
			      struct vtd_message *message)
{
	struct viommu_unit *unit = cause->unit;
	unsigned int index = unit->registers.next_fault;
	uint32_t status = vtd_get32(unit, VTD_REG_FSTS);

	if (vtd_get32(unit, VTD_REG_GSTS) & VTD_GCMD_EAFL)
		return log_advanced(cause, low, high, message);
	/* VT-d 7.2.1: nothing is recorded while PFO is set. */
	if (status & VTD_FSTS_PFO)
		return LOST;
	if (collapses(unit, low, high))
		return COLLAPSED;
	if (pending(unit, index)) {
		*message = set_status(unit, VTD_FSTS_PFO, cause);
		return LOST;
	}
	vtd_set64(unit, record_offset(index), low);
	vtd_set64(unit, record_offset(index) + 8, high);
	unit->registers.next_fault = (index + 1) % unit->options.fault_records;
	/* FRI is that of the record that made PPF set. */
	if (!(status & VTD_FSTS_PPF))
		vtd_set32(unit, VTD_REG_FSTS,
			  (status & ~VTD_FSTS_FRI) | index << VTD_FSTS_FRI_SHIFT);
	*message = set_status(unit, VTD_FSTS_PPF, cause);
	return RECORDED;
}

static void record(struct viommu_endpoint *endpoint, struct viommu_fault *fault, uint64_t low,
		   uint64_t high, bool fault_processing_disabled)
{
	struct viommu_unit *unit = endpoint->unit;
	struct vtd_message message = { 0 };
	enum outcome outcome = LOST;

	VTD_PROBE4(fault, endpoint->rid, fault->pasid, fault->iova, fault->reason);
	if (!fault_processing_disabled) {
		grace_enter();
		pthread_mutex_lock(&unit->registers.lock);
		outcome = log_fault(endpoint, low, high, &message);
		pthread_mutex_unlock(&unit->registers.lock);
		grace_exit();
		vtd_event_send(unit, VTD_EVENT_FAULT, message);
	}
	fault->recorded = outcome == RECORDED;
	if (fault->recorded)
		vtd_count(&vtd_shard(endpoint)->faults, 1);
	else
		vtd_count(&vtd_shard(endpoint)->faults_lost, 1);
}

/* VT-d 11.4.7.6 FI: no more bits than the widest address has that is translated. */
static uint64_t address_bits(const struct viommu_unit *unit)
{
	unsigned int width = unit->cap & VTD_CAP_FS5LP	   ? 57
			     : unit->ecap & VTD_ECAP_FSTS ? 48
							  : 0;

	return VTD_MASK((unit->mgaw > width ? unit->mgaw : width) - 1, 12);
}

void vtd_fault_record(struct viommu_endpoint *endpoint, struct viommu_fault *fault,
		      enum vtd_request type, bool fault_processing_disabled)
{
	record(endpoint, fault, fault->iova & address_bits(endpoint->unit), encode(fault, type),
	       fault_processing_disabled);
}

void vtd_fault_record_interrupt(struct viommu_endpoint *endpoint, struct viommu_fault *fault,
				uint16_t index, bool fault_processing_disabled)
{
	/* VT-d 11.4.7.6 FI: the interrupt index instead of an address; no type, no PASID. */
	record(endpoint, fault, (uint64_t)index << 48,
	       vtd_place(fault->rid, VTD_FRCD_SID) | vtd_place(fault->reason, VTD_FRCD_FR) |
		       VTD_FRCD_F,
	       fault_processing_disabled);
}

struct vtd_message vtd_fault_status(struct viommu_unit *unit, uint32_t bit)
{
	return set_status(unit, bit, NULL);
}

void vtd_fault_cleared(struct viommu_unit *unit)
{
	uint32_t status = vtd_get32(unit, VTD_REG_FSTS) & ~VTD_FSTS_PPF;
	unsigned int i;

	/* VT-d 11.4.7.1 PPF: the OR of all F fields. */
	for (i = 0; i < unit->options.fault_records; i++)
		if (pending(unit, i))
			status |= VTD_FSTS_PPF;
	if (!(status & VTD_FSTS_PPF))
		status &= ~VTD_FSTS_FRI;
	vtd_set32(unit, VTD_REG_FSTS, status);
	/* VT-d 11.4.7.2 IP: cleared when software has serviced all of them. */
	if (!(status & STATUS_BITS))
		vtd_event_serviced(unit, VTD_EVENT_FAULT);
}
