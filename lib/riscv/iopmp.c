/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IOPMP: the region, what happens after a denial, creation and reset.
 */
#include <errno.h>
#include <string.h>

#include "memory/sized.h"
#include "memory/alloc.h"
#include "riscv/iopmp.h"

enum { RWX = VIOMMU_READ | VIOMMU_WRITE | VIOMMU_EXECUTE };

static void translate(void *opaque, const struct viommu_request *request,
		      struct viommu_answer *answer)
{
	struct viommu_iopmp *iopmp = opaque;
	struct iopmp_decision once;
	const struct iopmp_decision *decision;
	uint32_t allowed;

	pthread_mutex_lock(&iopmp->lock);
	decision = iopmp_decide(iopmp, request, &once);
	allowed = iopmp_allowed(decision);
	answer->once = decision->once;
	answer->first = decision->first;
	answer->last = decision->last;
	if (decision->stalled)
		answer->kind = VIOMMU_ANSWER_STALLED;
	else if (request->access & allowed)
		answer->kind = VIOMMU_ANSWER_PASS;
	else
		answer->kind = VIOMMU_ANSWER_BLOCKED;
	if (iopmp_has(iopmp, VIOMMU_IOPMP_RRID_TRANSL))
		answer->attributes.source = iopmp->reg.source_translation;
	pthread_mutex_unlock(&iopmp->lock);
	answer->granted = answer->kind == VIOMMU_ANSWER_PASS ? allowed : RWX & ~allowed;
	answer->map = iopmp->config.next;
	answer->address = request->address;
}

/* What one denied access amounts to. */
struct denial {
	uint8_t error, ttype;
	uint16_t entry;
	bool irq, bus_error;
};

/* IOPMP 2.3; false: it is not denied. Under lock. */
static bool denial_of(struct viommu_iopmp *iopmp, const struct viommu_request *request,
		      struct denial *denial)
{
	bool atomic = request->access & VIOMMU_ATOMIC;
	bool fetch = request->access & VIOMMU_EXECUTE &&
		     !iopmp_has(iopmp, VIOMMU_IOPMP_FETCH_IS_READ);
	unsigned int type = fetch				? IOPMP_X
			    : request->access & VIOMMU_WRITE || atomic ? IOPMP_W
								: IOPMP_R;
	struct iopmp_decision once;
	const struct iopmp_decision *decision = iopmp_decide(iopmp, request, &once);

	*denial = (struct denial){ .ttype = (uint8_t)(type + 1) };
	if (atomic && !decision->type[IOPMP_W].error)
		type = IOPMP_R;
	if (decision->stalled || !decision->type[type].error)
		return false;
	denial->error = decision->type[type].error;
	if (atomic && denial->error == IOPMP_ILLEGAL_READ)
		denial->error = IOPMP_ILLEGAL_WRITE;
	denial->entry = decision->type[type].entry;
	denial->irq = iopmp->reg.err_cfg & IOPMP_ERR_IE && !decision->type[type].quiet_irq;
	denial->bus_error = !(iopmp->reg.err_cfg & IOPMP_ERR_RS) &&
			    !decision->type[type].quiet_error;
	return true;
}

/*
 * The first error that anyone is told of is kept; later ones only leave their source. Under lock.
 */
static void record(struct viommu_iopmp *iopmp, const struct viommu_request *request,
		   struct denial *denial)
{
	struct iopmp_registers *reg = &iopmp->reg;
	uint32_t source = request->attributes.source;
	uint32_t entry = iopmp_has(iopmp, VIOMMU_IOPMP_NO_ERROR_EID) ? IOPMP_NO_EID : denial->entry;

	if (!denial->irq && !denial->bus_error)
		return;
	if (reg->err_info & IOPMP_INFO_V) {
		denial->irq = false;
		if (iopmp_has(iopmp, VIOMMU_IOPMP_MFR) && source < iopmp->config.sources) {
			iopmp->source[source].violated = true;
			reg->err_info |= IOPMP_INFO_SVC;
		}
		return;
	}
	reg->err_info |= IOPMP_INFO_V;
	reg->irq_pending = denial->irq;
	if (iopmp_has(iopmp, VIOMMU_IOPMP_NO_ERROR_RECORD))
		return;
	reg->err_info &= IOPMP_INFO_V | IOPMP_INFO_MSI_WERR | IOPMP_INFO_SVC;
	reg->err_info |= (uint32_t)denial->ttype << IOPMP_INFO_TTYPE_SHIFT |
			 (uint32_t)denial->error << IOPMP_INFO_ETYPE_SHIFT;
	reg->err_reqaddr = request->address >> 2;
	reg->err_reqid = (source & 0xffff) | entry << 16;
}

bool iopmp_wants_irq(void *opaque)
{
	struct viommu_iopmp *iopmp = opaque;
	const struct iopmp_registers *reg = &iopmp->reg;
	bool level;

	pthread_mutex_lock(&iopmp->lock);
	level = reg->err_info & IOPMP_INFO_V && reg->irq_pending &&
		(reg->err_cfg & (IOPMP_ERR_IE | IOPMP_ERR_MSI_SEL)) == IOPMP_ERR_IE;
	pthread_mutex_unlock(&iopmp->lock);
	return level;
}

/* IOPMP 2.3: the MSI replaces the wire; that its write failed is kept. Holding no lock. */
static void send_msi(struct viommu_iopmp *iopmp, uint64_t address, uint32_t data)
{
	static const struct viommu_attributes nobody;
	int ret;

	if (iopmp->config.msi)
		ret = iopmp->config.msi(iopmp->config.msi_opaque, address, data);
	else
		ret = viommu_map_write(iopmp->config.next, &nobody, address, &data, 4, 4, NULL);
	if (!ret)
		return;
	pthread_mutex_lock(&iopmp->lock);
	iopmp->reg.err_info |= IOPMP_INFO_MSI_WERR;
	pthread_mutex_unlock(&iopmp->lock);
}

static enum viommu_reaction blocked(void *opaque, const struct viommu_request *request)
{
	struct viommu_iopmp *iopmp = opaque;
	struct denial denial;
	bool denied, msi;
	uint64_t address;
	uint32_t data;

	pthread_mutex_lock(&iopmp->lock);
	denied = denial_of(iopmp, request, &denial);
	if (denied)
		record(iopmp, request, &denial);
	msi = iopmp->reg.err_cfg & IOPMP_ERR_MSI_SEL;
	data = (iopmp->reg.err_cfg & IOPMP_ERR_MSIDATA) >> 8;
	address = iopmp->reg.msi_address;
	if (!iopmp_has(iopmp, VIOMMU_IOPMP_ADDRH))
		address <<= 2;
	pthread_mutex_unlock(&iopmp->lock);
	if (!denied)
		return VIOMMU_REACTION_RETRY;
	if (denial.irq && msi)
		send_msi(iopmp, address, data);
	else if (denial.irq)
		irq_follow(&iopmp->irq, iopmp_wants_irq, iopmp);
	return denial.bus_error ? VIOMMU_REACTION_ERROR : VIOMMU_REACTION_SILENT;
}

static const struct viommu_region_ops ops = { sizeof(ops), translate, blocked };

static void iopmp_reset_registers(struct viommu_iopmp *iopmp)
{
	const struct viommu_iopmp_config *config = &iopmp->config;

	iopmp->reg = (struct iopmp_registers){
		.enable = iopmp_has(iopmp, VIOMMU_IOPMP_ENABLED),
		.priority_prog = iopmp_has(iopmp, VIOMMU_IOPMP_PRIORITY_PROG),
		.transl_prog = iopmp_has(iopmp, VIOMMU_IOPMP_RRID_TRANSL_PROG),
		.priority_entries = config->priority_entries,
		.domain_entries = config->domain_entries,
		.source_translation = config->source_translation,
	};
	memset(iopmp->mdcfg, 0, config->domains * sizeof(*iopmp->mdcfg));
	memset(iopmp->perm, 0, config->domains * sizeof(*iopmp->perm));
	memset(iopmp->source, 0, config->sources * sizeof(*iopmp->source));
	memset(iopmp->entry, 0, config->entries * sizeof(*iopmp->entry));
	for (uint32_t i = 0; i < config->entries; i++)
		iopmp_derive_entry(iopmp, i);
	iopmp_derive_domains(iopmp);
	iopmp->generation++;
}

void viommu_iopmp_reset(struct viommu_iopmp *iopmp)
{
	pthread_mutex_lock(&iopmp->lock);
	iopmp_reset_registers(iopmp);
	pthread_mutex_unlock(&iopmp->lock);
	viommu_region_changed(iopmp->region, 0, UINT64_MAX);
	irq_follow(&iopmp->irq, iopmp_wants_irq, iopmp);
}

static int check_formats(const struct viommu_iopmp_config *config)
{
	if (config->version > VIOMMU_IOPMP_0_7 || config->mdcfg_format > 2 ||
	    config->srcmd_format > 2)
		return -EINVAL;
	if (config->flags >= VIOMMU_IOPMP_STALL_BUFFER << 1)
		return -EINVAL;
	if (!config->domains || config->domains > 63 || !config->entries ||
	    config->entries > 65535 || !config->sources || config->sources > 65535)
		return -EINVAL;
	if (config->srcmd_format == 1 &&
	    (config->sources > 63 || config->sources != config->domains))
		return -EINVAL;
	if (config->srcmd_format == 2 &&
	    (config->sources > 32 || config->flags & VIOMMU_IOPMP_SPS))
		return -EINVAL;
	return 0;
}

static int check(const struct viommu_iopmp_config *config)
{
	const uint32_t flags = config->flags;
	int ret = check_formats(config);

	if (ret)
		return ret;
	if (!config->next || config->granularity > 30 || config->entry_offset % 4096 ||
	    config->source_translation > 0xffff || config->priority_entries > config->entries)
		return -EINVAL;
	if (config->mdcfg_format && (!config->domain_entries || config->domain_entries > 128))
		return -EINVAL;
	if (flags & VIOMMU_IOPMP_PRIORITY_PROG && !(flags & VIOMMU_IOPMP_NON_PRIORITY))
		return -EINVAL;
	if (flags & VIOMMU_IOPMP_RRID_TRANSL_PROG && !(flags & VIOMMU_IOPMP_RRID_TRANSL))
		return -EINVAL;
	if (flags & VIOMMU_IOPMP_MD_ENTRY_PROG && config->mdcfg_format != 2)
		return -EINVAL;
	if (flags & VIOMMU_IOPMP_STALL_BUFFER && !(flags & VIOMMU_IOPMP_STALL))
		return -EINVAL;
	return 0;
}

/* Where the entry array lies: behind the SRCMD table, at a multiple of 4 KiB. */
static int place_entries(struct viommu_iopmp *iopmp)
{
	const struct viommu_iopmp_config *config = &iopmp->config;
	uint32_t rows = config->srcmd_format == 2 ? config->domains : config->sources;
	uint32_t tables = (0x1000 + 32 * rows + 4095) & ~4095u;

	iopmp->entry_offset = config->entry_offset ? config->entry_offset : tables;
	if (iopmp->entry_offset < tables || iopmp->entry_offset > 1u << 30)
		return -EINVAL;
	iopmp->size = (iopmp->entry_offset + 16 * config->entries + 4095) & ~4095u;
	return 0;
}

int viommu_iopmp_create(const struct viommu_iopmp_config *config, struct viommu_iopmp **result)
{
	struct viommu_iopmp_config known;
	struct viommu_iopmp *iopmp;
	int ret = sized_import(&known, sizeof(known), config);

	if (!ret)
		ret = check(&known);
	if (ret)
		return ret;
	iopmp = viommu_zalloc(sizeof(*iopmp));
	if (!iopmp)
		return -ENOMEM;
	iopmp->config = known;
	pthread_mutex_init(&iopmp->lock, NULL);
	irq_init(&iopmp->irq, known.irq, known.irq_opaque);
	iopmp->mdcfg = viommu_calloc(known.domains, sizeof(*iopmp->mdcfg));
	iopmp->top = viommu_calloc(known.domains, sizeof(*iopmp->top));
	iopmp->perm = viommu_calloc(known.domains, sizeof(*iopmp->perm));
	iopmp->source = viommu_calloc(known.sources, sizeof(*iopmp->source));
	iopmp->entry = viommu_calloc(known.entries, sizeof(*iopmp->entry));
	ret = place_entries(iopmp);
	if (!ret && (!iopmp->mdcfg || !iopmp->top || !iopmp->perm || !iopmp->source ||
		     !iopmp->entry))
		ret = -ENOMEM;
	if (!ret)
		ret = viommu_region_create(&ops, iopmp, &iopmp->region);
	if (ret) {
		viommu_iopmp_destroy(iopmp);
		return ret;
	}
	iopmp_reset_registers(iopmp);
	*result = iopmp;
	return 0;
}

void viommu_iopmp_destroy(struct viommu_iopmp *iopmp)
{
	if (!iopmp)
		return;
	viommu_region_destroy(iopmp->region);
	viommu_free(iopmp->mdcfg);
	viommu_free(iopmp->top);
	viommu_free(iopmp->perm);
	viommu_free(iopmp->source);
	viommu_free(iopmp->entry);
	pthread_mutex_destroy(&iopmp->irq.lock);
	pthread_mutex_destroy(&iopmp->lock);
	viommu_free(iopmp);
}

struct viommu_region *viommu_iopmp_region(struct viommu_iopmp *iopmp)
{
	return iopmp->region;
}

uint32_t viommu_iopmp_registers(const struct viommu_iopmp *iopmp)
{
	return iopmp->size;
}
