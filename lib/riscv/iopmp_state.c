/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IOPMP: snapshots. A header that names the configuration, the registers, then the four tables as
 * they are.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "riscv/iopmp.h"

#define IMAGE_MAGIC 0x31504d504f494956ull

struct image {
	uint64_t magic;
	uint32_t version, flags, mdcfg_format, srcmd_format;
	uint32_t sources, domains, entries, granularity;
	struct iopmp_registers reg;
};

/* The tables in the order they follow the header. */
struct tables {
	uint8_t *mdcfg, *perm, *source, *entry;
	size_t mdcfg_bytes, perm_bytes, source_bytes, entry_bytes, total;
};

static void lay_out(const struct viommu_iopmp *iopmp, void *data, struct tables *tables)
{
	const struct viommu_iopmp_config *config = &iopmp->config;

	tables->mdcfg_bytes = config->domains * sizeof(*iopmp->mdcfg);
	tables->perm_bytes = config->domains * sizeof(*iopmp->perm);
	tables->source_bytes = config->sources * sizeof(*iopmp->source);
	tables->entry_bytes = config->entries * sizeof(*iopmp->entry);
	tables->mdcfg = (uint8_t *)data + sizeof(struct image);
	tables->perm = tables->mdcfg + tables->mdcfg_bytes;
	tables->source = tables->perm + tables->perm_bytes;
	tables->entry = tables->source + tables->source_bytes;
	tables->total = sizeof(struct image) + tables->mdcfg_bytes + tables->perm_bytes +
			tables->source_bytes + tables->entry_bytes;
}

static struct image header_of(const struct viommu_iopmp *iopmp)
{
	const struct viommu_iopmp_config *config = &iopmp->config;
	struct image image;

	memset(&image, 0, sizeof(image));
	image.magic = IMAGE_MAGIC;
	image.version = config->version;
	image.flags = config->flags;
	image.mdcfg_format = config->mdcfg_format;
	image.srcmd_format = config->srcmd_format;
	image.sources = config->sources;
	image.domains = config->domains;
	image.entries = config->entries;
	image.granularity = config->granularity;
	return image;
}

int viommu_iopmp_save(struct viommu_iopmp *iopmp, void *data, size_t *length)
{
	struct image image = header_of(iopmp);
	size_t room = *length;
	struct tables tables;

	lay_out(iopmp, data, &tables);
	*length = tables.total;
	if (room < tables.total)
		return -ENOSPC;
	pthread_mutex_lock(&iopmp->lock);
	image.reg = iopmp->reg;
	memcpy(data, &image, sizeof(image));
	memcpy(tables.mdcfg, iopmp->mdcfg, tables.mdcfg_bytes);
	memcpy(tables.perm, iopmp->perm, tables.perm_bytes);
	memcpy(tables.source, iopmp->source, tables.source_bytes);
	memcpy(tables.entry, iopmp->entry, tables.entry_bytes);
	pthread_mutex_unlock(&iopmp->lock);
	return 0;
}

/* Bytes that are a bool in our structures must be 0 or 1 whoever wrote them. */
static bool is_bool(const bool *value)
{
	uint8_t byte;

	memcpy(&byte, value, 1);
	return byte <= 1;
}

static bool sane_registers(const struct viommu_iopmp *iopmp, const struct iopmp_registers *reg)
{
	const struct viommu_iopmp_config *config = &iopmp->config;

	if (!is_bool(&reg->enable) || !is_bool(&reg->priority_prog) ||
	    !is_bool(&reg->transl_prog) || !is_bool(&reg->mdlck_locked) ||
	    !is_bool(&reg->irq_pending))
		return false;
	if (config->mdcfg_format && (!reg->domain_entries || reg->domain_entries > 128))
		return false;
	return reg->priority_entries <= config->entries && reg->source_translation <= 0xffff &&
	       reg->mfr_window < (config->sources + 15) / 16 && reg->scp_source <= 0xffff;
}

static bool sane_sources(const struct viommu_iopmp *iopmp, const uint8_t *bytes)
{
	for (uint32_t i = 0; i < iopmp->config.sources; i++) {
		struct iopmp_source source;

		memcpy(&source, bytes + i * sizeof(source), sizeof(source));
		if (!is_bool(&source.locked) || !is_bool(&source.stalled) ||
		    !is_bool(&source.violated))
			return false;
	}
	return true;
}

static void legalise(struct viommu_iopmp *iopmp)
{
	uint64_t domains = (1ull << iopmp->config.domains) - 1;

	iopmp->reg.mdlck &= domains;
	for (uint32_t i = 0; i < iopmp->config.sources; i++) {
		iopmp->source[i].domains &= domains;
		iopmp->source[i].r &= domains;
		iopmp->source[i].w &= domains;
		iopmp->source[i].x &= domains;
	}
	for (uint32_t i = 0; i < iopmp->config.entries; i++) {
		iopmp->entry[i].cfg &= 0x7ff;
		if (!iopmp_has(iopmp, VIOMMU_IOPMP_ADDRH))
			iopmp->entry[i].addr &= UINT32_MAX;
		iopmp_derive_entry(iopmp, i);
	}
	iopmp_derive_domains(iopmp);
	iopmp->generation++;
}

int viommu_iopmp_load(struct viommu_iopmp *iopmp, const void *data, size_t length)
{
	struct image image, wanted = header_of(iopmp);
	struct tables tables;

	lay_out(iopmp, (void *)(uintptr_t)data, &tables);
	if (length != tables.total)
		return -EBADMSG;
	memcpy(&image, data, sizeof(image));
	if (memcmp(&image, &wanted, offsetof(struct image, reg)) ||
	    !sane_registers(iopmp, &image.reg) || !sane_sources(iopmp, tables.source))
		return -EBADMSG;
	pthread_mutex_lock(&iopmp->lock);
	iopmp->reg = image.reg;
	memcpy(iopmp->mdcfg, tables.mdcfg, tables.mdcfg_bytes);
	memcpy(iopmp->perm, tables.perm, tables.perm_bytes);
	memcpy(iopmp->source, tables.source, tables.source_bytes);
	memcpy(iopmp->entry, tables.entry, tables.entry_bytes);
	legalise(iopmp);
	pthread_mutex_unlock(&iopmp->lock);
	viommu_region_changed(iopmp->region, 0, UINT64_MAX);
	irq_follow(&iopmp->irq, iopmp_wants_irq, iopmp);
	return 0;
}
