/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IOPMP: registers.
 *
 * The block is 32-bit words: a fixed part, MDCFG at 0x800, the SRCMD table at 0x1000 and the entry
 * array. The two versions differ in the HWCFG words and where ENTRYOFFSET is. A write legalises its
 * value, says whether rules changed, and for which addresses; listeners are told after the lock is
 * gone and before the write returns.
 */
#include <string.h>

#include "riscv/iopmp.h"

enum {
	REG_VERSION = 0x00,
	REG_IMPLEMENTATION = 0x04,
	REG_HWCFG0 = 0x08,
	REG_HWCFG1 = 0x0c,
	REG_HWCFG2 = 0x10,
	REG_HWCFG3 = 0x14,
	REG_ENTRYOFFSET_07 = 0x14,
	REG_ENTRYOFFSET = 0x2c,
	REG_MDSTALL = 0x30,
	REG_MDSTALLH = 0x34,
	REG_RRIDSCP = 0x38,
	REG_MDLCK = 0x40,
	REG_MDLCKH = 0x44,
	REG_MDCFGLCK = 0x48,
	REG_ENTRYLCK = 0x4c,
	REG_ERR_CFG = 0x60,
	REG_ERR_INFO = 0x64,
	REG_ERR_REQADDR = 0x68,
	REG_ERR_REQADDRH = 0x6c,
	REG_ERR_REQID = 0x70,
	REG_ERR_MFR = 0x74,
	REG_ERR_MSIADDR = 0x78,
	REG_ERR_MSIADDRH = 0x7c,
	REG_MDCFG = 0x800,
	REG_SRCMD = 0x1000,
	SRCMD_ROW = 32,
	ENTRY_ROW = 16,
};

/* HWCFG0..3 of 0.8 */
#define HW0_ENABLE	 (1u << 0)
#define HW0_HWCFG2	 (1u << 1)
#define HW0_HWCFG3	 (1u << 2)
#define HW0_NO_ERR_REC	 (1u << 23)
#define HW0_MD_NUM_SHIFT 24
#define HW0_ADDRH	 (1u << 30)
#define HW0_TOR		 (1u << 31)
#define HW2_PRIO_PROG	 (1u << 16)
#define HW3_K_SHIFT	 4
#define HW3_K		 0x7f0u
#define HW3_TRANSL_PROG	 (1u << 15)
/* HWCFG0 of 0.7 */
#define HW7_PRIO_PROG	(1u << 7)
#define HW7_TRANSL_PROG (1u << 9)
#define HW7_K_SHIFT	17
#define HW7_K		0xfe0000u
#define HW7_ENABLE	(1u << 31)

/* Addresses whose rules a write changed; first > last: none. */
struct reach {
	uint64_t first, last;
};

static void reach_all(struct reach *reach)
{
	*reach = (struct reach){ 0, UINT64_MAX };
}

static uint32_t bit(bool value, unsigned int at)
{
	return value ? 1u << at : 0;
}

static uint32_t hwcfg0_08(const struct viommu_iopmp *iopmp)
{
	return bit(iopmp->reg.enable, 0) | HW0_HWCFG2 | HW0_HWCFG3 |
	       (iopmp_has(iopmp, VIOMMU_IOPMP_NO_ERROR_RECORD) ? HW0_NO_ERR_REC : 0) |
	       iopmp->config.domains << HW0_MD_NUM_SHIFT |
	       (iopmp_has(iopmp, VIOMMU_IOPMP_ADDRH) ? HW0_ADDRH : 0) |
	       (iopmp_has(iopmp, VIOMMU_IOPMP_TOR) ? HW0_TOR : 0);
}

static uint32_t hwcfg2_08(const struct viommu_iopmp *iopmp)
{
	return iopmp->reg.priority_entries | bit(iopmp->reg.priority_prog, 16) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_NON_PRIORITY), 17) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_MSI), 26) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_PEIS), 27) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_PEES), 28) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_SPS), 29) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_STALL), 30) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_MFR), 31);
}

static uint32_t k_field(const struct viommu_iopmp *iopmp)
{
	return iopmp->config.mdcfg_format ? iopmp->reg.domain_entries - 1 : 0;
}

static uint32_t hwcfg3_08(const struct viommu_iopmp *iopmp)
{
	return iopmp->config.mdcfg_format | iopmp->config.srcmd_format << 2 |
	       k_field(iopmp) << HW3_K_SHIFT |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_FETCH_IS_READ), 11) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_NO_FETCH), 12) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_NO_WRITE), 13) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_RRID_TRANSL), 14) |
	       bit(iopmp->reg.transl_prog, 15) | iopmp->reg.source_translation << 16;
}

static uint32_t hwcfg0_07(const struct viommu_iopmp *iopmp)
{
	return iopmp->config.mdcfg_format | iopmp->config.srcmd_format << 2 |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_TOR), 4) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_SPS), 5) | bit(iopmp->reg.priority_prog, 7) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_RRID_TRANSL), 8) |
	       bit(iopmp->reg.transl_prog, 9) |
	       bit(!iopmp_has(iopmp, VIOMMU_IOPMP_FETCH_IS_READ), 10) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_NO_FETCH), 11) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_NO_WRITE), 12) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_STALL), 13) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_PEIS), 14) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_PEES), 15) |
	       bit(iopmp_has(iopmp, VIOMMU_IOPMP_MFR), 16) | k_field(iopmp) << HW7_K_SHIFT |
	       iopmp->config.domains << 24 | bit(iopmp_has(iopmp, VIOMMU_IOPMP_ADDRH), 30) |
	       bit(iopmp->reg.enable, 31);
}

/* 0.7 has only the priority boundary: where all entries are prioritised it is their number. */
static uint32_t hwcfg2_07(const struct viommu_iopmp *iopmp)
{
	uint32_t priority = iopmp_has(iopmp, VIOMMU_IOPMP_NON_PRIORITY)
				    ? iopmp->reg.priority_entries
				    : iopmp->config.entries;

	return priority | iopmp->reg.source_translation << 16;
}

/* IOPMP 2.2: the stall state of the source last named. */
static uint32_t read_scp(const struct viommu_iopmp *iopmp)
{
	uint32_t source = iopmp->reg.scp_source;

	if (!iopmp_has(iopmp, VIOMMU_IOPMP_STALL))
		return 0;
	if (source >= iopmp->config.sources)
		return source | 3u << 30;
	return source | (iopmp->source[source].stalled ? 1u : 2u) << 30;
}

/* IOPMP 2.3: the next window of 16 sources in which one has erred; reading takes it. */
static uint32_t read_mfr(struct viommu_iopmp *iopmp)
{
	uint32_t windows = (iopmp->config.sources + 15) / 16, taken = 0, window = 0;
	bool more = false;

	if (!iopmp_has(iopmp, VIOMMU_IOPMP_MFR))
		return 0;
	for (uint32_t i = 0; i < windows && !taken; i++) {
		window = (iopmp->reg.mfr_window + i) % windows;
		for (uint32_t s = 16 * window; s < 16 * window + 16; s++) {
			if (s < iopmp->config.sources && iopmp->source[s].violated) {
				taken |= 1u << (s - 16 * window);
				iopmp->source[s].violated = false;
			}
		}
	}
	if (!taken)
		return iopmp->reg.mfr_window << 16;
	for (uint32_t s = 0; s < iopmp->config.sources && !more; s++)
		more = iopmp->source[s].violated;
	if (!more)
		iopmp->reg.err_info &= ~IOPMP_INFO_SVC;
	iopmp->reg.mfr_window = window;
	return taken | window << 16 | 1u << 31;
}

static uint32_t read_config(const struct viommu_iopmp *iopmp, uint32_t offset)
{
	bool old = iopmp_is_07(iopmp);

	switch (offset) {
	case REG_VERSION:
		return (iopmp->config.vendor & 0xffffff) | iopmp->config.specification << 24;
	case REG_IMPLEMENTATION:
		return iopmp->config.implementation;
	case REG_HWCFG0:
		return old ? hwcfg0_07(iopmp) : hwcfg0_08(iopmp);
	case REG_HWCFG1:
		return iopmp->config.sources | iopmp->config.entries << 16;
	case REG_HWCFG2:
		return old ? hwcfg2_07(iopmp) : hwcfg2_08(iopmp);
	case REG_HWCFG3: /* 0.7: ENTRYOFFSET */
		return old ? iopmp->entry_offset : hwcfg3_08(iopmp);
	case REG_ENTRYOFFSET:
		return old ? 0 : iopmp->entry_offset;
	default:
		return 0;
	}
}

static uint32_t read_error(struct viommu_iopmp *iopmp, uint32_t offset)
{
	const struct iopmp_registers *reg = &iopmp->reg;

	switch (offset) {
	case REG_ERR_CFG:
		return reg->err_cfg;
	case REG_ERR_INFO:
		return reg->err_info;
	case REG_ERR_REQADDR:
		return (uint32_t)reg->err_reqaddr;
	case REG_ERR_REQADDRH:
		return iopmp_has(iopmp, VIOMMU_IOPMP_ADDRH) ? (uint32_t)(reg->err_reqaddr >> 32)
							    : 0;
	case REG_ERR_REQID:
		return reg->err_reqid;
	case REG_ERR_MFR:
		return read_mfr(iopmp);
	case REG_ERR_MSIADDR:
		return (uint32_t)reg->msi_address;
	case REG_ERR_MSIADDRH:
		return (uint32_t)(reg->msi_address >> 32);
	default:
		return 0;
	}
}

static uint32_t read_fixed(struct viommu_iopmp *iopmp, uint32_t offset)
{
	const struct iopmp_registers *reg = &iopmp->reg;

	switch (offset) {
	case REG_MDSTALL:
		return reg->mdstall;
	case REG_MDSTALLH:
		return reg->mdstallh;
	case REG_RRIDSCP:
		return read_scp(iopmp);
	case REG_MDLCK:
		return (uint32_t)(reg->mdlck << 1) | reg->mdlck_locked;
	case REG_MDLCKH:
		return (uint32_t)(reg->mdlck >> 31);
	case REG_MDCFGLCK:
		return reg->mdcfglck;
	case REG_ENTRYLCK:
		return reg->entrylck;
	default:
		return offset >= REG_ERR_CFG ? read_error(iopmp, offset)
					     : read_config(iopmp, offset);
	}
}

/*
 * A domain mask and its lock as SRCMD words have it: bit 0 the lock, domains from bit 1, 31 up in
 * the second word.
 */
static uint32_t domain_word(uint64_t domains, bool high, bool lock)
{
	return high ? (uint32_t)(domains >> 31) : (uint32_t)(domains << 1) | lock;
}

static bool has_srcmd_en(const struct viommu_iopmp *iopmp)
{
	return iopmp->config.srcmd_format == 0;
}

/* The mask behind word pair `which` of a row (EN, R, W, X); NULL: not there. */
static uint64_t *srcmd_mask(struct viommu_iopmp *iopmp, uint32_t source, uint32_t which)
{
	struct iopmp_source *row = &iopmp->source[source];

	if (which == 0)
		return has_srcmd_en(iopmp) ? &row->domains : NULL;
	if (!iopmp_has(iopmp, VIOMMU_IOPMP_SPS))
		return NULL;
	if (which == 1)
		return &row->r;
	if (which == 2)
		return &row->w;
	return iopmp_is_07(iopmp) ? NULL : &row->x;
}

static uint32_t read_srcmd(struct viommu_iopmp *iopmp, uint32_t offset)
{
	uint32_t row = offset / SRCMD_ROW, word = offset % SRCMD_ROW / 4;
	const uint64_t *mask;

	if (iopmp->config.srcmd_format == 2) {
		if (row >= iopmp->config.domains || word > 1)
			return 0;
		return (uint32_t)(iopmp->perm[row] >> (32 * word));
	}
	if (row >= iopmp->config.sources)
		return 0;
	mask = srcmd_mask(iopmp, row, word / 2);
	if (!mask)
		return word == 0 ? iopmp->source[row].locked : 0;
	return domain_word(*mask, word & 1, word == 0 && iopmp->source[row].locked);
}

static uint32_t read_entry(const struct viommu_iopmp *iopmp, uint32_t offset)
{
	uint32_t index = offset / ENTRY_ROW;

	if (index >= iopmp->config.entries)
		return 0;
	switch (offset % ENTRY_ROW) {
	case 0:
		return (uint32_t)iopmp_entry_reads(iopmp, index);
	case 4:
		return iopmp_has(iopmp, VIOMMU_IOPMP_ADDRH)
			       ? (uint32_t)(iopmp_entry_reads(iopmp, index) >> 32)
			       : 0;
	case 8:
		return iopmp->entry[index].cfg;
	default:
		return iopmp->entry[index].user;
	}
}

/* Under lock. */
static uint32_t read_word(struct viommu_iopmp *iopmp, uint64_t offset)
{
	if (offset >= iopmp->size)
		return 0;
	if (offset >= iopmp->entry_offset)
		return read_entry(iopmp, (uint32_t)offset - iopmp->entry_offset);
	if (offset >= REG_SRCMD)
		return read_srcmd(iopmp, (uint32_t)offset - REG_SRCMD);
	if (offset >= REG_MDCFG) {
		uint32_t m = ((uint32_t)offset - REG_MDCFG) / 4;

		return iopmp->config.mdcfg_format == 0 && m < iopmp->config.domains
			       ? iopmp->mdcfg[m]
			       : 0;
	}
	return read_fixed(iopmp, (uint32_t)offset);
}

/*
 * A field that may be programmed until a write of 1 to its `prog` bit, which happens after this
 * write.
 */
static void write_k(struct viommu_iopmp *iopmp, uint32_t k, struct reach *reach)
{
	uint32_t most = iopmp->config.entries / iopmp->config.domains;

	if (!iopmp_has(iopmp, VIOMMU_IOPMP_MD_ENTRY_PROG) || iopmp->reg.enable)
		return;
	/* WARL: as many as there are for every domain, and at least one. */
	if (k + 1 > most)
		k = most ? most - 1 : 0;
	iopmp->reg.domain_entries = k + 1;
	iopmp_derive_domains(iopmp);
	reach_all(reach);
}

static void write_priority(struct viommu_iopmp *iopmp, uint32_t value, bool latch,
			   struct reach *reach)
{
	if (!iopmp->reg.priority_prog)
		return;
	iopmp->reg.priority_entries =
		value > iopmp->config.entries ? iopmp->config.entries : value;
	iopmp->reg.priority_prog = !latch;
	reach_all(reach);
}

static void write_translation(struct viommu_iopmp *iopmp, uint32_t value, bool latch,
			      struct reach *reach)
{
	if (!iopmp->reg.transl_prog)
		return;
	iopmp->reg.source_translation = value;
	iopmp->reg.transl_prog = !latch;
	reach_all(reach);
}

static void write_enable(struct viommu_iopmp *iopmp, bool enable, struct reach *reach)
{
	if (!enable || iopmp->reg.enable)
		return;
	iopmp->reg.enable = true;
	reach_all(reach);
}

static void write_config_07(struct viommu_iopmp *iopmp, uint32_t offset, uint32_t value,
			    struct reach *reach)
{
	if (offset == REG_HWCFG2) {
		write_priority(iopmp, value & 0xffff, false, reach);
		write_translation(iopmp, value >> 16, false, reach);
	}
	if (offset != REG_HWCFG0)
		return;
	write_k(iopmp, (value & HW7_K) >> HW7_K_SHIFT, reach);
	iopmp->reg.priority_prog &= !(value & HW7_PRIO_PROG);
	iopmp->reg.transl_prog &= !(value & HW7_TRANSL_PROG);
	write_enable(iopmp, value & HW7_ENABLE, reach);
}

static void write_config(struct viommu_iopmp *iopmp, uint32_t offset, uint32_t value,
			 struct reach *reach)
{
	if (iopmp_is_07(iopmp)) {
		write_config_07(iopmp, offset, value, reach);
		return;
	}
	switch (offset) {
	case REG_HWCFG0:
		write_enable(iopmp, value & HW0_ENABLE, reach);
		break;
	case REG_HWCFG2:
		write_priority(iopmp, value & 0xffff, value & HW2_PRIO_PROG, reach);
		break;
	case REG_HWCFG3:
		write_k(iopmp, (value & HW3_K) >> HW3_K_SHIFT, reach);
		write_translation(iopmp, value >> 16, value & HW3_TRANSL_PROG, reach);
		break;
	}
}

static uint64_t domain_mask(const struct viommu_iopmp *iopmp)
{
	return (1ull << iopmp->config.domains) - 1;
}

/* IOPMP 2.3: the low word takes a snapshot of who stalls; the high word only waits for it. */
static void write_stall(struct viommu_iopmp *iopmp, uint32_t value, struct reach *reach)
{
	uint64_t chosen;
	bool exempt = value & 1;

	iopmp->reg.mdstall = value & (exempt | (uint32_t)(domain_mask(iopmp) << 1));
	chosen = (uint64_t)iopmp->reg.mdstall >> 1 | (uint64_t)iopmp->reg.mdstallh << 31;
	for (uint32_t s = 0; s < iopmp->config.sources; s++)
		iopmp->source[s].stalled = exempt ^ !!(iopmp_domains_of(iopmp, s) & chosen);
	reach_all(reach);
}

static void write_scp(struct viommu_iopmp *iopmp, uint32_t value, struct reach *reach)
{
	uint32_t source = value & 0xffff, op = value >> 30;

	iopmp->reg.scp_source = source;
	if (source >= iopmp->config.sources || op == 0 || op == 3)
		return;
	iopmp->source[source].stalled = op == 1;
	reach_all(reach);
}

/* Locks only ever grow: `f` below the lock bit, or a set of domains. */
static uint32_t grow_lock(uint32_t now, uint32_t value, uint32_t field)
{
	uint32_t f = value & field;

	if (now & 1)
		return now;
	if (f < (now & field))
		f = now & field;
	return f | (value & 1);
}

static void write_locks(struct viommu_iopmp *iopmp, uint32_t offset, uint32_t value)
{
	struct iopmp_registers *reg = &iopmp->reg;

	switch (offset) {
	case REG_MDLCK:
	case REG_MDLCKH:
		if (reg->mdlck_locked || iopmp->config.srcmd_format == 1)
			return;
		reg->mdlck |= offset == REG_MDLCK ? (uint64_t)value >> 1 : (uint64_t)value << 31;
		reg->mdlck &= domain_mask(iopmp);
		reg->mdlck_locked = offset == REG_MDLCK && value & 1;
		return;
	case REG_MDCFGLCK:
		if (!iopmp->config.mdcfg_format)
			reg->mdcfglck = grow_lock(reg->mdcfglck, value,
						  iopmp_is_07(iopmp) ? 0xfe : 0x7e);
		return;
	case REG_ENTRYLCK:
		reg->entrylck = grow_lock(reg->entrylck, value, 0x1fffe);
		return;
	}
}

static void write_err_cfg(struct viommu_iopmp *iopmp, uint32_t value, struct reach *reach)
{
	uint32_t mask = IOPMP_ERR_L | IOPMP_ERR_IE | IOPMP_ERR_RS;
	uint32_t old = iopmp->reg.err_cfg;

	if (old & IOPMP_ERR_L)
		return;
	if (iopmp_has(iopmp, VIOMMU_IOPMP_MSI))
		mask |= IOPMP_ERR_MSI_SEL | IOPMP_ERR_MSIDATA;
	if (iopmp_has(iopmp, VIOMMU_IOPMP_STALL) && !iopmp_has(iopmp, VIOMMU_IOPMP_STALL_BUFFER))
		mask |= IOPMP_ERR_STALL;
	iopmp->reg.err_cfg = value & mask;
	if ((old ^ iopmp->reg.err_cfg) & IOPMP_ERR_STALL)
		reach_all(reach);
}

static void write_errors(struct viommu_iopmp *iopmp, uint32_t offset, uint32_t value,
			 struct reach *reach)
{
	struct iopmp_registers *reg = &iopmp->reg;
	bool fixed_msi = !iopmp_has(iopmp, VIOMMU_IOPMP_MSI) || reg->err_cfg & IOPMP_ERR_L;

	switch (offset) {
	case REG_ERR_CFG:
		write_err_cfg(iopmp, value, reach);
		return;
	case REG_ERR_INFO:
		reg->err_info &= ~(value & (IOPMP_INFO_V | IOPMP_INFO_MSI_WERR));
		if (!(reg->err_info & IOPMP_INFO_V))
			reg->irq_pending = false;
		return;
	case REG_ERR_MFR:
		if (iopmp_has(iopmp, VIOMMU_IOPMP_MFR))
			reg->mfr_window = (value >> 16 & 0xfff) %
					  ((iopmp->config.sources + 15) / 16);
		return;
	case REG_ERR_MSIADDR:
		if (!fixed_msi)
			reg->msi_address = (reg->msi_address & ~0xffffffffull) | value;
		return;
	case REG_ERR_MSIADDRH:
		if (!fixed_msi && iopmp_has(iopmp, VIOMMU_IOPMP_ADDRH))
			reg->msi_address = (uint32_t)reg->msi_address | (uint64_t)value << 32;
		return;
	}
}

static void write_fixed(struct viommu_iopmp *iopmp, uint32_t offset, uint32_t value,
			struct reach *reach)
{
	bool stall = iopmp_has(iopmp, VIOMMU_IOPMP_STALL);

	switch (offset) {
	case REG_MDSTALL:
		if (stall)
			write_stall(iopmp, value, reach);
		return;
	case REG_MDSTALLH:
		if (stall)
			iopmp->reg.mdstallh = value & (uint32_t)(domain_mask(iopmp) >> 31);
		return;
	case REG_RRIDSCP:
		if (stall)
			write_scp(iopmp, value, reach);
		return;
	case REG_MDLCK:
	case REG_MDLCKH:
	case REG_MDCFGLCK:
	case REG_ENTRYLCK:
		write_locks(iopmp, offset, value);
		return;
	default:
		if (offset >= REG_ERR_CFG)
			write_errors(iopmp, offset, value, reach);
		else
			write_config(iopmp, offset, value, reach);
	}
}

static void write_mdcfg(struct viommu_iopmp *iopmp, uint32_t m, uint32_t value,
			struct reach *reach)
{
	if (iopmp->config.mdcfg_format || m >= iopmp->config.domains ||
	    m < (iopmp->reg.mdcfglck & 0xfe) >> 1)
		return;
	iopmp->mdcfg[m] = value & 0xffff;
	iopmp_derive_domains(iopmp);
	reach_all(reach);
}

/* Columns of locked domains keep their bits. */
static void write_domains(struct viommu_iopmp *iopmp, uint64_t *mask, bool high, uint32_t value)
{
	uint64_t part = high ? 0xffffffffull << 31 : 0x7fffffffull;
	uint64_t want = high ? (uint64_t)value << 31 : value >> 1;

	part &= domain_mask(iopmp) & ~iopmp->reg.mdlck;
	*mask = (*mask & ~part) | (want & part);
}

static void write_perm(struct viommu_iopmp *iopmp, uint32_t m, uint32_t word, uint32_t value,
		       struct reach *reach)
{
	uint64_t all = iopmp->config.sources < 32 ? (1ull << (2 * iopmp->config.sources)) - 1
						  : UINT64_MAX;
	uint64_t part = 0xffffffffull << (32 * (word & 1));

	if (m >= iopmp->config.domains || word > 1 || iopmp->reg.mdlck >> m & 1)
		return;
	iopmp->perm[m] = ((iopmp->perm[m] & ~part) | (uint64_t)value << (32 * word)) & all;
	reach_all(reach);
}

static void write_srcmd(struct viommu_iopmp *iopmp, uint32_t offset, uint32_t value,
			struct reach *reach)
{
	uint32_t row = offset / SRCMD_ROW, word = offset % SRCMD_ROW / 4;
	uint64_t *mask;

	if (iopmp->config.srcmd_format == 2) {
		write_perm(iopmp, row, word, value, reach);
		return;
	}
	if (row >= iopmp->config.sources || iopmp->source[row].locked)
		return;
	mask = srcmd_mask(iopmp, row, word / 2);
	if (mask) {
		write_domains(iopmp, mask, word & 1, value);
		reach_all(reach);
	}
	/* Without SRCMD_EN the row has nothing to lock but its SPS words. */
	if (word == 0 && (has_srcmd_en(iopmp) || iopmp_has(iopmp, VIOMMU_IOPMP_SPS)))
		iopmp->source[row].locked = value & 1;
}

static void reach_add(struct reach *reach, const struct iopmp_entry *entry)
{
	if (entry->first > entry->last)
		return;
	if (entry->first < reach->first)
		reach->first = entry->first;
	if (entry->last > reach->last)
		reach->last = entry->last;
}

static uint32_t legal_cfg(const struct viommu_iopmp *iopmp, uint32_t old, uint32_t value)
{
	uint32_t mask = IOPMP_CFG_PERMISSIONS | IOPMP_CFG_MODE;
	uint32_t mode = (value & IOPMP_CFG_MODE) >> IOPMP_CFG_MODE_SHIFT;

	if (iopmp_has(iopmp, VIOMMU_IOPMP_PEIS))
		mask |= 7u << IOPMP_CFG_SI_SHIFT;
	if (iopmp_has(iopmp, VIOMMU_IOPMP_PEES))
		mask |= 7u << IOPMP_CFG_SE_SHIFT;
	/* WARL: a mode that is not there leaves the old one. */
	if ((mode == IOPMP_TOR && !iopmp_has(iopmp, VIOMMU_IOPMP_TOR)) ||
	    (mode == IOPMP_NA4 && iopmp->config.granularity))
		value = (value & ~IOPMP_CFG_MODE) | (old & IOPMP_CFG_MODE);
	return value & mask;
}

static void write_entry(struct viommu_iopmp *iopmp, uint32_t offset, uint32_t value,
			struct reach *reach)
{
	uint32_t index = offset / ENTRY_ROW;
	struct iopmp_entry *entry = &iopmp->entry[index];

	if (index >= iopmp->config.entries || index < (iopmp->reg.entrylck & 0x1fffe) >> 1)
		return;
	*reach = (struct reach){ UINT64_MAX, 0 };
	for (uint32_t i = index; i <= index + 1 && i < iopmp->config.entries; i++)
		reach_add(reach, &iopmp->entry[i]);
	switch (offset % ENTRY_ROW) {
	case 0:
		entry->addr = (entry->addr & ~0xffffffffull) | value;
		break;
	case 4:
		if (iopmp_has(iopmp, VIOMMU_IOPMP_ADDRH))
			entry->addr = (uint32_t)entry->addr | (uint64_t)value << 32;
		break;
	case 8:
		entry->cfg = legal_cfg(iopmp, entry->cfg, value);
		break;
	default:
		return; /* USER_CFG is not implemented */
	}
	for (uint32_t i = index; i <= index + 1 && i < iopmp->config.entries; i++) {
		iopmp_derive_entry(iopmp, i);
		reach_add(reach, &iopmp->entry[i]);
	}
}

static void write_word(struct viommu_iopmp *iopmp, uint64_t offset, uint32_t value)
{
	struct reach reach = { 1, 0 };

	if (offset >= iopmp->size)
		return;
	pthread_mutex_lock(&iopmp->lock);
	if (offset >= iopmp->entry_offset)
		write_entry(iopmp, (uint32_t)offset - iopmp->entry_offset, value, &reach);
	else if (offset >= REG_SRCMD)
		write_srcmd(iopmp, (uint32_t)offset - REG_SRCMD, value, &reach);
	else if (offset >= REG_MDCFG)
		write_mdcfg(iopmp, ((uint32_t)offset - REG_MDCFG) / 4, value, &reach);
	else
		write_fixed(iopmp, (uint32_t)offset, value, &reach);
	if (reach.first <= reach.last)
		iopmp->generation++;
	pthread_mutex_unlock(&iopmp->lock);
	if (reach.first <= reach.last)
		viommu_region_changed(iopmp->region, reach.first, reach.last);
	irq_follow(&iopmp->irq, iopmp_wants_irq, iopmp);
}

static bool legal_access(uint64_t offset, size_t length)
{
	return (length == 1 || length == 2 || length == 4 || length == 8) &&
	       !(offset & (length - 1));
}

static int mmio_read(void *opaque, uint64_t offset, void *data, size_t length)
{
	struct viommu_iopmp *iopmp = opaque;
	uint32_t words[2] = { 0 };

	memset(data, 0, length);
	if (!legal_access(offset, length))
		return 0;
	pthread_mutex_lock(&iopmp->lock);
	words[0] = read_word(iopmp, offset & ~3ull);
	if (length == 8)
		words[1] = read_word(iopmp, offset + 4);
	pthread_mutex_unlock(&iopmp->lock);
	memcpy(data, (const uint8_t *)words + (offset & 3), length);
	return 0;
}

static int mmio_write(void *opaque, uint64_t offset, const void *data, size_t length)
{
	struct viommu_iopmp *iopmp = opaque;
	uint32_t words[2];

	if (!legal_access(offset, length) || length < 4)
		return 0;
	memcpy(words, data, length);
	write_word(iopmp, offset, words[0]);
	if (length == 8)
		write_word(iopmp, offset + 4, words[1]);
	return 0;
}

const struct viommu_mmio_ops *viommu_iopmp_mmio(void)
{
	static const struct viommu_mmio_ops ops = { sizeof(ops), mmio_read, mmio_write };

	return &ops;
}
