/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A TLB's life: options, creation, destruction, counters.
 */
#include <errno.h>
#include <string.h>

#include "memory/sized.h"
#include "cpu/tlb.h"
#include "memory/alloc.h"

enum { MINIMUM = 256, MAXIMUM = 8192, LIMIT = 1 << 20 };

static bool power_of_two(uint32_t value)
{
	return value && !(value & (value - 1));
}

static int take_options(struct viommu_cpu_tlb *tlb, const struct viommu_cpu_options *options)
{
	int ret;

	if (options) {
		ret = sized_import(&tlb->options, sizeof(tlb->options), options);
		if (ret)
			return ret;
	}
	tlb->minimum = tlb->options.minimum ? tlb->options.minimum : MINIMUM;
	tlb->maximum = tlb->options.maximum ? tlb->options.maximum : MAXIMUM;
	if (tlb->maximum < tlb->minimum && !tlb->options.minimum)
		tlb->minimum = tlb->maximum;
	if (!power_of_two(tlb->minimum) || !power_of_two(tlb->maximum) ||
	    tlb->minimum < TLB_WAYS || tlb->maximum < tlb->minimum || tlb->maximum > LIMIT)
		return -EINVAL;
	return 0;
}

/* Listen to the map at once: a map that cannot be listened to cannot be used. */
static int know_map(struct viommu_cpu_tlb *tlb)
{
	tlb->known = viommu_calloc(8, sizeof(*tlb->known));
	if (!tlb->known)
		return -ENOMEM;
	tlb->known_room = 8;
	if (change_listen(&tlb->map->source, tlb_changed, tlb, &tlb->known[0].listener))
		return -ENOMEM;
	tlb->known[0].source = &tlb->map->source;
	tlb->known_count = 1;
	return 0;
}

int viommu_cpu_tlb_create(struct viommu_map *map, const struct viommu_cpu_options *options,
			  struct viommu_cpu_tlb **result)
{
	struct viommu_cpu_tlb *tlb;
	int ret;

	if (!map)
		return -EINVAL;
	tlb = viommu_aligned_zalloc(64, sizeof(*tlb));
	if (!tlb)
		return -ENOMEM;
	tlb->map = map;
	tlb->epoch[0] = tlb->epoch[1] = 1;
	tlb->colour_epoch = 1;
	tlb->fast.walk_colour = VIOMMU_FAST_SLOW;
	tlb->only_vmid = VIOMMU_CPU_ALL;
	spans_clear(tlb);
	pthread_mutex_init(&tlb->lock, NULL);
	pthread_cond_init(&tlb->moved, NULL);
	ret = take_options(tlb, options);
	if (!ret)
		ret = table_create(tlb);
	if (!ret)
		ret = know_map(tlb);
	if (ret) {
		viommu_cpu_tlb_destroy(tlb);
		return ret;
	}
	viommu_cpu_tlb_switch(tlb, &(struct viommu_cpu_context){ .physical = true });
	*result = tlb;
	return 0;
}

void viommu_cpu_tlb_destroy(struct viommu_cpu_tlb *tlb)
{
	if (!tlb)
		return;
	while (tlb->known_count) {
		struct tlb_known *known = &tlb->known[--tlb->known_count];

		change_unlisten(known->source, known->listener);
	}
	viommu_free(tlb->known);
	table_destroy(tlb);
	pthread_cond_destroy(&tlb->moved);
	pthread_mutex_destroy(&tlb->lock);
	viommu_free(tlb);
}

void viommu_cpu_tlb_set_strict(struct viommu_cpu_tlb *tlb, bool strict)
{
	if (tlb->strict == strict)
		return;
	tlb->strict = strict;
	viommu_cpu_tlb_flush_all(tlb);
}

int viommu_cpu_tlb_statistics(const struct viommu_cpu_tlb *tlb,
			      struct viommu_cpu_statistics *statistics)
{
	struct viommu_cpu_statistics now = tlb->statistics;

	now.entries = (uint32_t)(tlb->fast.mask / sizeof(struct viommu_fast_entry)) + 1;
	now.pages = tlb->sets * TLB_WAYS;
	return sized_export(statistics, &now, sizeof(now));
}
