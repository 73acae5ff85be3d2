/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * WorldGuard CSRs: which WID an access of a hart carries.
 *
 * Version 0.4 keeps its CSRs legal when they are written; the Worlds draft lets mlwid hold anything
 * and raises an exception when an illegal WID would be used. Everything here is a pure function of
 * a configuration and a state, so that a hart, a test and a model can share it.
 */
#include <errno.h>
#include <string.h>

#include "memory/sized.h"

#include <viommu/riscv.h>

static bool is_draft(const struct viommu_world_config *config)
{
	return config->version == VIOMMU_WORLDS_DRAFT;
}

static bool has(const struct viommu_world_config *config, uint32_t extension)
{
	return (config->extensions & extension) == extension;
}

static uint32_t all_worlds(const struct viommu_world_config *config)
{
	return config->worlds < 32 ? (1u << config->worlds) - 1 : UINT32_MAX;
}

static bool legal(uint64_t list, uint64_t wid)
{
	return wid < VIOMMU_WID_LIMIT && list >> wid & 1;
}

static uint64_t lowest(uint64_t list)
{
	return list ? (uint64_t)__builtin_ctzll(list) : 0;
}

static uint64_t lock_bit(const struct viommu_world_config *config)
{
	return 1ull << (config->xlen == 32 ? 31 : 63);
}

int viommu_world_check(const struct viommu_world_config *from)
{
	const uint32_t known = VIOMMU_SMWID | VIOMMU_SMLWID | VIOMMU_SMLWIDLIST |
			       VIOMMU_SMWIDDELEG | VIOMMU_SSWID;
	struct viommu_world_config config;
	int ret = sized_import(&config, sizeof(config), from);
	uint32_t extensions;

	if (ret)
		return ret;
	extensions = config.extensions;
	if (config.version > VIOMMU_WORLDS_DRAFT || extensions & ~known || !config.worlds ||
	    config.worlds > VIOMMU_WID_LIMIT || config.mwid >= config.worlds)
		return -EINVAL;
	if (!config.mwidlist || config.mwidlist & ~all_worlds(&config) ||
	    config.pmwidlist & ~all_worlds(&config))
		return -EINVAL;
	if (config.xlen != 0 && config.xlen != 32 && config.xlen != 64)
		return -EINVAL;
	/* WG 1.2: Smwgd and Sswg come together and need Smwg and S-mode. */
	if (!(extensions & VIOMMU_SMWIDDELEG) != !(extensions & VIOMMU_SSWID))
		return -EINVAL;
	if (extensions & VIOMMU_SMWIDDELEG && (!(extensions & VIOMMU_SMLWID) || !config.supervisor))
		return -EINVAL;
	if (config.version == VIOMMU_WORLDS_WG04)
		return extensions & (VIOMMU_SMWID | VIOMMU_SMLWIDLIST) ||
				       config.trusted_wid >= config.worlds
			       ? -EINVAL
			       : 0;
	if (extensions & VIOMMU_SMLWIDLIST && !(extensions & VIOMMU_SMLWID))
		return -EINVAL;
	return 0;
}

void viommu_world_reset(const struct viommu_world_config *config, struct viommu_world_state *state)
{
	memset(state, 0, sizeof(*state));
	state->mwid = config->mwid;
	state->mlwidlist = config->mwidlist;
	if (is_draft(config)) {
		if (config->mwid_locked)
			state->mwid |= lock_bit(config);
		state->mlwid = config->mwid;
		return;
	}
	/* WG 1.2: the trusted WID, so that firmware that knows nothing of worlds runs; or 0. */
	state->mlwid = config->hw_bypass ? config->trusted_wid : 0;
	if (!legal(config->mwidlist, state->mlwid))
		state->mlwid = lowest(config->mwidlist);
}

/* 0: exists and may be accessed. */
static int check_csr(const struct viommu_world_config *config,
		     const struct viommu_world_state *state, uint32_t csr,
		     enum viommu_riscv_mode mode)
{
	if (csr == VIOMMU_CSR_SLWID) {
		if (!has(config, VIOMMU_SSWID))
			return -ENOENT;
		/* Nothing delegated: nothing to choose. */
		return mode == VIOMMU_MODE_U || !state->mwiddeleg ? -EPERM : 0;
	}
	if (csr == VIOMMU_CSR_MLWID && has(config, VIOMMU_SMLWID))
		return mode == VIOMMU_MODE_M ? 0 : -EPERM;
	if (csr == VIOMMU_CSR_MWIDDELEG && has(config, VIOMMU_SMWIDDELEG))
		return mode == VIOMMU_MODE_M ? 0 : -EPERM;
	if (!is_draft(config) || !csr)
		return -ENOENT;
	if ((csr == config->csr_mwid && has(config, VIOMMU_SMWID)) ||
	    (csr == config->csr_mlwidlist && has(config, VIOMMU_SMLWIDLIST)))
		return mode == VIOMMU_MODE_M ? 0 : -EPERM;
	return -ENOENT;
}

static uint64_t *csr_word(const struct viommu_world_config *config,
			  struct viommu_world_state *state, uint32_t csr)
{
	switch (csr) {
	case VIOMMU_CSR_SLWID:
		return &state->slwid;
	case VIOMMU_CSR_MLWID:
		return &state->mlwid;
	case VIOMMU_CSR_MWIDDELEG:
		return &state->mwiddeleg;
	default:
		return csr == config->csr_mwid ? &state->mwid : &state->mlwidlist;
	}
}

int viommu_world_read(const struct viommu_world_config *config,
		      const struct viommu_world_state *state, uint32_t csr,
		      enum viommu_riscv_mode mode, uint64_t *value)
{
	int ret = check_csr(config, state, csr, mode);

	if (!ret)
		*value = *csr_word(config, (struct viommu_world_state *)(uintptr_t)state, csr);
	return ret;
}

/* WG 1.2: every CSR stays legal by itself; what delegation takes away from slwid goes too. */
static void write_04(const struct viommu_world_config *config, struct viommu_world_state *state,
		     uint32_t csr, uint64_t value)
{
	switch (csr) {
	case VIOMMU_CSR_MLWID:
		state->mlwid = legal(config->mwidlist, value) ? value : lowest(config->mwidlist);
		break;
	case VIOMMU_CSR_MWIDDELEG:
		state->mwiddeleg = value & config->mwidlist;
		if (!legal(state->mwiddeleg, state->slwid))
			state->slwid = lowest(state->mwiddeleg);
		break;
	case VIOMMU_CSR_SLWID:
		state->slwid = legal(state->mwiddeleg, value) ? value : lowest(state->mwiddeleg);
		break;
	}
}

static void write_mwid(const struct viommu_world_config *config, struct viommu_world_state *state,
		       uint64_t value)
{
	uint64_t lock = lock_bit(config);

	if (state->mwid & lock)
		return;
	/* Sticky lock; an unauthorised WID is stored and makes M-mode unable to fetch. */
	state->mwid = (value & lock) | (value & (VIOMMU_WID_LIMIT - 1));
}

/* Worlds draft: values are stored as they are; lists only ever shrink to what is above them. */
static void write_draft(const struct viommu_world_config *config, struct viommu_world_state *state,
			uint32_t csr, uint64_t value)
{
	if (csr == VIOMMU_CSR_MLWID) {
		state->mlwid = value & (VIOMMU_WID_LIMIT - 1);
	} else if (csr == VIOMMU_CSR_SLWID) {
		state->slwid = value & (VIOMMU_WID_LIMIT - 1);
	} else if (csr == VIOMMU_CSR_MWIDDELEG) {
		state->mwiddeleg = value & state->mlwidlist;
	} else if (csr == config->csr_mwid) {
		write_mwid(config, state, value);
	} else if (!(state->mwid & lock_bit(config))) {
		state->mlwidlist = value & config->mwidlist;
		state->mwiddeleg &= state->mlwidlist;
	}
}

int viommu_world_write(const struct viommu_world_config *config, struct viommu_world_state *state,
		       uint32_t csr, enum viommu_riscv_mode mode, uint64_t value)
{
	struct viommu_world_state old = *state;
	int ret = check_csr(config, state, csr, mode);

	if (ret)
		return ret;
	if (is_draft(config))
		write_draft(config, state, csr, value);
	else
		write_04(config, state, csr, value);
	return memcmp(&old, state, sizeof(old)) != 0;
}

static int wid_of_machine(const struct viommu_world_config *config,
			  const struct viommu_world_state *state, uint32_t *wid)
{
	*wid = (uint32_t)state->mwid & (VIOMMU_WID_LIMIT - 1);
	if (is_draft(config) && has(config, VIOMMU_SMWID) && config->pmwidlist &&
	    !legal(config->pmwidlist, *wid))
		return VIOMMU_FAULT;
	return 0;
}

int viommu_world_wid(const struct viommu_world_config *config,
		     const struct viommu_world_state *state, enum viommu_riscv_mode mode,
		     bool virtual_mode, uint32_t *wid)
{
	bool delegated = has(config, VIOMMU_SSWID) && state->mwiddeleg &&
			 (mode == VIOMMU_MODE_U || (virtual_mode && mode == VIOMMU_MODE_S));

	if (mode == VIOMMU_MODE_M || !has(config, VIOMMU_SMLWID))
		return wid_of_machine(config, state, wid);
	/* WG 1.2: S and HS always use mlwid; U, VS and VU use slwid once anything is delegated. */
	*wid = (uint32_t)(delegated ? state->slwid : state->mlwid);
	if (!is_draft(config))
		return 0;
	if (!legal(delegated ? state->mwiddeleg : state->mlwidlist, *wid))
		return VIOMMU_FAULT;
	return 0;
}
