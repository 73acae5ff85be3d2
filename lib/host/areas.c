/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The treap behind areas.h, by split and join. Its depth is logarithmic with overwhelming probability because the priorities are
 * random and not the guest's to choose.
 */
#include <errno.h>
#include <time.h>

#include "host/areas.h"
#include "memory/alloc.h"

struct area *areas_first(const struct areas *areas, uint64_t iova)
{
	struct area *at = areas->root, *found = NULL;

	while (at) {
		if (at->last < iova) {
			at = at->right;
		} else {
			found = at;
			at = at->left;
		}
	}
	return found;
}

static uint32_t priority(struct areas *areas)
{
	if (!areas->state) {
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		areas->state = ((uint64_t)now.tv_nsec << 32 ^ (uintptr_t)areas ^ (uint64_t)now.tv_sec) | 1;
	}
	areas->state ^= areas->state << 13;
	areas->state ^= areas->state >> 7;
	areas->state ^= areas->state << 17;
	return (uint32_t)(areas->state >> 16);
}

/* Cut a tree into what lies below `iova` and the rest. */
static void split(struct area *tree, uint64_t iova, struct area **low, struct area **high)
{
	while (tree) {
		if (tree->iova < iova) {
			*low = tree;
			low = &tree->right;
			tree = tree->right;
		} else {
			*high = tree;
			high = &tree->left;
			tree = tree->left;
		}
	}
	*low = NULL;
	*high = NULL;
}

static struct area *join(struct area *low, struct area *high)
{
	struct area *root = NULL, **at = &root;

	while (low && high) {
		if (low->priority > high->priority) {
			*at = low;
			at = &low->right;
			low = low->right;
		} else {
			*at = high;
			at = &high->left;
			high = high->left;
		}
	}
	*at = low ? low : high;
	return root;
}

int areas_insert(struct areas *areas, const struct area *from)
{
	struct area *next = areas_first(areas, from->iova);
	struct area **at = &areas->root;
	struct area *area;

	if (next && next->iova <= from->last)
		return -EEXIST;
	area = viommu_zalloc(sizeof(*area));
	if (!area)
		return -ENOMEM;
	*area = *from;
	area->priority = priority(areas);
	while (*at && (*at)->priority >= area->priority)
		at = (*at)->iova < area->iova ? &(*at)->right : &(*at)->left;
	split(*at, area->iova, &area->left, &area->right);
	*at = area;
	areas->count++;
	return 0;
}

void areas_remove(struct areas *areas, struct area *area)
{
	struct area **at = &areas->root;

	while (*at != area)
		at = (*at)->iova < area->iova ? &(*at)->right : &(*at)->left;
	*at = join(area->left, area->right);
	areas->count--;
	viommu_free(area);
}

void areas_clear(struct areas *areas)
{
	while (areas->root)
		areas_remove(areas, areas->root);
}
