/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Global commands and register-based invalidation (VT-d 11.4.4, 6.4).
 *
 * TE, QIE, IRE, CFI and EAFL are levels: software writes all of them each time. SRTP, SIRTP and SFL
 * act once.
 * A status bit changes only when the command is complete, that is, when no access still relies on
 * what was before.
 */
#include "vtd/iotlb.h"
#include "vtd/listener.h"
#include "vtd/register.h"
#include "vtd/unit_internal.h"

static void set_status(struct viommu_unit *unit, uint32_t bits, bool on)
{
	uint32_t status;

	pthread_mutex_lock(&unit->registers.lock);
	status = vtd_get32(unit, VTD_REG_GSTS);
	status = on ? status | bits : status & ~bits;
	vtd_set32(unit, VTD_REG_GSTS, status);
	/* VT-d 7.2.1: with both kinds of remapping off the fault log begins anew. */
	if (!(status & (VTD_GCMD_TE | VTD_GCMD_IRE)))
		unit->registers.next_fault = 0;
	pthread_mutex_unlock(&unit->registers.lock);
}

static bool status_is(const struct viommu_unit *unit, uint32_t bit)
{
	return vtd_get32(unit, VTD_REG_GSTS) & bit;
}

static uint64_t read64(struct viommu_unit *unit, uint32_t offset)
{
	uint64_t value;

	pthread_mutex_lock(&unit->registers.lock);
	value = vtd_get64(unit, offset);
	pthread_mutex_unlock(&unit->registers.lock);
	return value;
}

/* Everything cached is of the past: tell, drain. CAP.ESRTPS promises this for SRTP. */
static void mode_changed(struct viommu_unit *unit)
{
	vtd_invalidate_all(unit);
	vtd_listeners_translation_changed(unit);
	vtd_listeners_flush(unit);
	vtd_drain(unit);
}

/* VT-d 11.4.4 SRTP */
static void set_root(struct viommu_unit *unit)
{
	vtd_store(&unit->root, read64(unit, VTD_REG_RTADDR));
	mode_changed(unit);
	set_status(unit, VTD_GCMD_SRTP, true);
}

/* VT-d 11.4.4 TE */
static void set_translation(struct viommu_unit *unit, bool on)
{
	vtd_store(&unit->translating, on);
	mode_changed(unit);
	set_status(unit, VTD_GCMD_TE, on);
}

/* VT-d 11.4.4 QIE: the head starts at 0; descriptors that are there already are executed. */
static void set_queue(struct viommu_unit *unit, bool on)
{
	pthread_mutex_lock(&unit->registers.lock);
	vtd_set64(unit, VTD_REG_IQH, 0);
	pthread_mutex_unlock(&unit->registers.lock);
	vtd_queue_forget(unit);
	set_status(unit, VTD_GCMD_QIE, on);
	if (on)
		vtd_queue_run(unit);
}

static void set_interrupts(struct viommu_unit *unit, uint32_t command)
{
	uint32_t levels = VTD_GCMD_IRE | VTD_GCMD_CFI;

	if (!(unit->ecap & VTD_ECAP_IR))
		return;
	if (command & VTD_GCMD_SIRTP) {
		vtd_interrupt_set_table(&unit->interrupt, read64(unit, VTD_REG_IRTA));
		unit->undrained = true;
	}
	if ((vtd_get32(unit, VTD_REG_GSTS) ^ command) & levels) {
		vtd_interrupt_set_status(&unit->interrupt,
					 (vtd_get32(unit, VTD_REG_GSTS) & ~levels) |
						 (command & levels));
		unit->undrained = true;
	}
	vtd_drain(unit);
	set_status(unit, levels & ~command, false);
	set_status(unit, command & (levels | VTD_GCMD_SIRTP), true);
}

/* SFL latches, EAFL is a level: which log the next fault goes to. */
static void set_fault_log(struct viommu_unit *unit, uint32_t command)
{
	if (!(unit->cap & VTD_CAP_AFL))
		return;
	if (command & VTD_GCMD_SFL) {
		vtd_fault_log_set(unit);
		set_status(unit, VTD_GCMD_SFL, true);
	}
	set_status(unit, VTD_GCMD_EAFL, command & VTD_GCMD_EAFL);
}

void vtd_command(struct viommu_unit *unit, uint32_t command)
{
	set_interrupts(unit, command);
	set_fault_log(unit, command);
	if (command & VTD_GCMD_SRTP)
		set_root(unit);
	if (status_is(unit, VTD_GCMD_TE) != !!(command & VTD_GCMD_TE))
		set_translation(unit, command & VTD_GCMD_TE);
	if (status_is(unit, VTD_GCMD_QIE) != !!(command & VTD_GCMD_QIE))
		set_queue(unit, command & VTD_GCMD_QIE);
}

/* VT-d 6.5.1, 11.4.6.1, 11.4.6.3: in any other mode these registers ignore what they are told. */
static bool legacy(const struct viommu_unit *unit)
{
	return vtd_field(vtd_load(&unit->root), VTD_RTADDR_TTM) == VTD_TTM_LEGACY;
}

/* Complete a command: clear its busy bit and say what was done. */
static void complete(struct viommu_unit *unit, uint32_t offset, uint64_t busy,
		     uint64_t actual_field, uint64_t actual)
{
	uint64_t value;

	vtd_listeners_flush(unit);
	vtd_drain(unit);
	pthread_mutex_lock(&unit->registers.lock);
	value = vtd_get64(unit, offset) & ~busy & ~actual_field;
	vtd_set64(unit, offset, value | vtd_place(actual, actual_field));
	pthread_mutex_unlock(&unit->registers.lock);
}

void vtd_register_context_command(struct viommu_unit *unit, uint64_t written)
{
	uint64_t value = read64(unit, VTD_REG_CCMD);
	enum vtd_granularity granularity = vtd_field(value, VTD_CCMD_CIRG);

	if (!(value & VTD_CCMD_ICC))
		return;
	if (!legacy(unit))
		granularity = VTD_GRANULARITY_RESERVED;
	if (granularity)
		vtd_invalidate_contexts(unit, granularity, vtd_field(value, VTD_CCMD_DID),
					vtd_field(value, VTD_CCMD_SID),
					vtd_field(value, VTD_CCMD_FM));
	/* VT-d 11.4.6.1 CAIG: 0 says that the request was not understood. */
	complete(unit, VTD_REG_CCMD, VTD_CCMD_ICC, VTD_CCMD_CAIG, granularity);
}

void vtd_register_iotlb_command(struct viommu_unit *unit, uint64_t written)
{
	uint32_t offset = VTD_IOTLB_REGISTERS_OFFSET + 8;
	uint64_t value = read64(unit, offset), iva = read64(unit, VTD_IOTLB_REGISTERS_OFFSET);
	enum vtd_granularity granularity = vtd_field(value, VTD_IOTLB_IIRG);

	if (!(value & VTD_IOTLB_IVT))
		return;
	/* VT-d 11.4.6.3 IAIG: an address mask beyond MAMV is an error here, too. */
	if (!legacy(unit) || (granularity == VTD_GRANULARITY_SELECTIVE &&
			      vtd_field(iva, VTD_IVA_AM) > VTD_MAMV))
		granularity = VTD_GRANULARITY_RESERVED;
	vtd_iotlb_begin_drops(unit);
	if (granularity)
		vtd_invalidate_iotlb(unit, granularity, vtd_field(value, VTD_IOTLB_DID),
				     iva & VTD_IVA_ADDR, vtd_field(iva, VTD_IVA_AM),
				     iva & VTD_IVA_IH);
	complete(unit, offset, VTD_IOTLB_IVT, VTD_IOTLB_IAIG, granularity);
}
