/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The texts of --worldguard and --iopmp: lists of name=value, each checked as it is read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checkers.h"

struct setting {
	char name[32], value[64];
	char allowed[64]; /* what the option takes, when its value was refused */
};

/* Cut the next name=value off *text: 1, 0 at the end, -EINVAL. */
static int next_setting(const char **text, struct setting *s)
{
	const char *end, *equal;

	s->allowed[0] = 0;
	if (!**text)
		return 0;
	end = strchrnul(*text, ',');
	equal = memchr(*text, '=', (size_t)(end - *text));
	if (!equal || equal - *text >= (long)sizeof(s->name) ||
	    end - equal > (long)sizeof(s->value))
		return -EINVAL;
	memcpy(s->name, *text, (size_t)(equal - *text));
	s->name[equal - *text] = 0;
	memcpy(s->value, equal + 1, (size_t)(end - equal - 1));
	s->value[end - equal - 1] = 0;
	*text = *end ? end + 1 : end;
	return 1;
}

static int complain(const char *option, const char *what, const char *allowed)
{
	fprintf(stderr, "viommu riscv: --%s %s: %s\n", option, what, allowed);
	return -EINVAL;
}

static int refuse(const char *option, const struct setting *s)
{
	fprintf(stderr, "viommu riscv: --%s %s=%s: allowed is %s\n", option, s->name, s->value,
		s->allowed);
	return -EINVAL;
}

static int number(struct setting *s, uint32_t low, uint32_t high, uint32_t *out)
{
	char *end;
	unsigned long v = strtoul(s->value, &end, 0);

	if (*end || end == s->value || v < low || v > high) {
		snprintf(s->allowed, sizeof(s->allowed), "%u to %u", low, high);
		return -EINVAL;
	}
	*out = (uint32_t)v;
	return 0;
}

static int toggle(struct setting *s, bool *out)
{
	snprintf(s->allowed, sizeof(s->allowed), "on or off");
	*out = !strcmp(s->value, "on");
	return *out || !strcmp(s->value, "off") ? 0 : -EINVAL;
}

/* One of two words; the second sets *out. */
static int either(struct setting *s, const char *no, const char *yes, bool *out)
{
	snprintf(s->allowed, sizeof(s->allowed), "%s or %s", yes, no);
	*out = !strcmp(s->value, yes);
	return *out || !strcmp(s->value, no) ? 0 : -EINVAL;
}

static int take_wg(struct setting *s, struct wg_options *wg)
{
	if (!strcmp(s->name, "nworlds"))
		return number(s, 1, 32, &wg->worlds);
	if (!strcmp(s->name, "trusted"))
		return !strcmp(s->value, "none") ? (wg->trusted = VIOMMU_NO_WID, 0)
						 : number(s, 0, 31, &wg->trusted);
	if (!strcmp(s->name, "master"))
		return number(s, 0, 31, &wg->master);
	if (!strcmp(s->name, "bypass"))
		return toggle(s, &wg->bypass);
	if (!strcmp(s->name, "tz-compat"))
		return toggle(s, &wg->tz_compat);
	if (!strcmp(s->name, "guard"))
		return toggle(s, &wg->guard);
	if (!strcmp(s->name, "rule"))
		return either(s, "union", "priority", &wg->priority);
	if (!strcmp(s->name, "worlds"))
		return either(s, "wg04", "draft", &wg->draft);
	return -ENOENT;
}

int checkers_parse_worldguard(const char *text, struct wg_options *wg)
{
	struct setting s;
	int r;

	*wg = (struct wg_options){ .on = true,
				   .worlds = 4,
				   .trusted = UINT32_MAX - 1,
				   .master = UINT32_MAX - 1,
				   .bypass = true,
				   .guard = true };
	while ((r = next_setting(&text, &s)) > 0) {
		r = take_wg(&s, wg);
		if (r == -ENOENT)
			return complain("worldguard", s.name,
					"unknown; there are nworlds, trusted, master, bypass, "
					"tz-compat, guard, rule and worlds");
		if (r)
			return refuse("worldguard", &s);
	}
	if (r)
		return complain("worldguard", text, "wants a list of name=value");
	if (wg->trusted == UINT32_MAX - 1)
		wg->trusted = wg->worlds - 1;
	if (wg->master == UINT32_MAX - 1)
		wg->master = wg->trusted == VIOMMU_NO_WID ? wg->worlds - 1 : wg->trusted;
	if ((wg->trusted != VIOMMU_NO_WID && wg->trusted >= wg->worlds) || wg->master >= wg->worlds)
		return complain("worldguard", "trusted, master", "must be below nworlds");
	if (wg->tz_compat && wg->worlds != 2)
		return complain("worldguard", "tz-compat", "wants nworlds=2");
	return 0;
}

/* IOPMP 2: the named models are pairs of SRCMD and MDCFG formats. */
static int take_model(struct setting *s, struct viommu_iopmp_config *c)
{
	static const struct {
		const char *name;
		uint8_t srcmd, mdcfg;
	} models[] = {
		{ "full", 0, 0 },      { "rapid-k", 0, 1 },   { "dynamic-k", 0, 2 },
		{ "isolation", 1, 0 }, { "compact-k", 1, 1 },
	};

	for (unsigned int i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		if (!strcmp(models[i].name, s->value)) {
			c->srcmd_format = models[i].srcmd;
			c->mdcfg_format = models[i].mdcfg;
			return 0;
		}
	}
	snprintf(s->allowed, sizeof(s->allowed), "full, rapid-k, dynamic-k, isolation or compact-k");
	return -EINVAL;
}

static int take_feature(struct setting *s, struct viommu_iopmp_config *c)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} features[] = {
		{ "tor", VIOMMU_IOPMP_TOR },
		{ "sps", VIOMMU_IOPMP_SPS },
		{ "stall-buffer", VIOMMU_IOPMP_STALL_BUFFER },
		{ "stall", VIOMMU_IOPMP_STALL },
		{ "mfr", VIOMMU_IOPMP_MFR },
		{ "peis", VIOMMU_IOPMP_PEIS },
		{ "pees", VIOMMU_IOPMP_PEES },
		{ "msi", VIOMMU_IOPMP_MSI },
		{ "non-priority", VIOMMU_IOPMP_NON_PRIORITY },
		{ "fetch-is-read", VIOMMU_IOPMP_FETCH_IS_READ },
		{ "addrh", VIOMMU_IOPMP_ADDRH },
		{ "enabled", VIOMMU_IOPMP_ENABLED },
	};
	bool on;

	for (unsigned int i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (strcmp(features[i].name, s->name))
			continue;
		if (toggle(s, &on))
			return -EINVAL;
		c->flags = on ? c->flags | features[i].flag : c->flags & ~features[i].flag;
		return 0;
	}
	return -ENOENT;
}

static int take_iopmp(struct setting *s, struct iopmp_options *o)
{
	struct viommu_iopmp_config *c = &o->config;
	bool old = false;
	int r;

	if (!strcmp(s->name, "model"))
		return take_model(s, c);
	if (!strcmp(s->name, "spec")) {
		r = either(s, "0.8", "0.7", &old);
		c->version = old ? VIOMMU_IOPMP_0_7 : VIOMMU_IOPMP_0_8;
		return r;
	}
	if (!strcmp(s->name, "srcmd"))
		return number(s, 0, 2, &c->srcmd_format);
	if (!strcmp(s->name, "mdcfg"))
		return number(s, 0, 2, &c->mdcfg_format);
	if (!strcmp(s->name, "sources"))
		return number(s, 1, 65535, &c->sources);
	if (!strcmp(s->name, "domains"))
		return number(s, 1, 127, &c->domains);
	if (!strcmp(s->name, "entries"))
		return number(s, 1, 65535, &c->entries);
	if (!strcmp(s->name, "k"))
		return number(s, 1, 128, &c->domain_entries);
	if (!strcmp(s->name, "priority"))
		return number(s, 0, 65535, &c->priority_entries);
	if (!strcmp(s->name, "granularity"))
		return number(s, 0, 30, &c->granularity);
	if (!strcmp(s->name, "cpu"))
		return toggle(s, &o->cpu);
	if (!strcmp(s->name, "rules"))
		return either(s, "none", "open", &o->open);
	if (!strcmp(s->name, "harts"))
		return either(s, "one", "each", &o->apart);
	if (!strcmp(s->name, "masters"))
		return toggle(s, &o->masters);
	return take_feature(s, c);
}

int checkers_parse_iopmp(const char *text, struct iopmp_options *o)
{
	struct setting s;
	int r;

	*o = (struct iopmp_options){ .on = true, .cpu = true, .masters = true };
	o->config.flags = VIOMMU_IOPMP_TOR | VIOMMU_IOPMP_ADDRH;
	while ((r = next_setting(&text, &s)) > 0) {
		r = take_iopmp(&s, o);
		if (r == -ENOENT)
			return complain("iopmp", s.name,
					"unknown; there are model, spec, srcmd, mdcfg, sources, domains, entries, k, "
					"priority, granularity, cpu, masters, harts, rules, tor, addrh, sps, stall, "
					"stall-buffer, mfr, peis, pees, msi, non-priority, fetch-is-read and enabled");
		if (r)
			return refuse("iopmp", &s);
	}
	if (r)
		return complain("iopmp", text, "wants a list of name=value");
	if (!o->config.sources)
		o->config.sources = 16;
	if (!o->config.domains) /* format 1: source i is domain i */
		o->config.domains = o->config.srcmd_format == 1 ? o->config.sources : 16;
	if (!o->config.entries)
		o->config.entries = 64;
	if (o->config.mdcfg_format && !o->config.domain_entries)
		o->config.domain_entries = o->config.entries / o->config.domains
						   ? o->config.entries / o->config.domains
						   : 1;
	return 0;
}
