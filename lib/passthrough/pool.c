/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pools: objects by index, in chunks that never move, so that growth costs no copy and no peak.
 */
#include "memory/alloc.h"
#include "passthrough/internal.h"

#include <string.h>

static bool grow(struct pool *pool)
{
	uint8_t *chunk;

	if (!(pool->chunk_count & (pool->chunk_count + 1)) || !pool->chunks) {
		/* At 2^n - 1 chunks: room for 2^(n+1). */
		uint8_t **chunks = viommu_realloc(pool->chunks,
						  (pool->chunk_count + 1) * 2 * sizeof(*chunks));

		if (!chunks)
			return false;
		pool->chunks = chunks;
	}
	chunk = viommu_calloc(POOL_CHUNK, pool->object);
	if (!chunk)
		return false;
	pool->chunks[pool->chunk_count++] = chunk;
	return true;
}

uint32_t pool_get(struct pool *pool)
{
	uint32_t index = pool->free;

	if (index) {
		void *object = pool_at(pool, index);

		memcpy(&pool->free, object, sizeof(pool->free));
		memset(object, 0, pool->object);
	} else {
		index = pool->used ? pool->used : 1;
		if (index >> POOL_CHUNK_SHIFT >= pool->chunk_count && !grow(pool))
			return 0;
		pool->used = index + 1;
	}
	pool->live++;
	return index;
}

void pool_put(struct pool *pool, uint32_t index)
{
	memcpy(pool_at(pool, index), &pool->free, sizeof(pool->free));
	pool->free = index;
	pool->live--;
}

void pool_destroy(struct pool *pool)
{
	for (uint32_t i = 0; i < pool->chunk_count; i++)
		viommu_free(pool->chunks[i]);
	viommu_free(pool->chunks);
	pool->chunks = NULL;
}

uint64_t pool_bytes(const struct pool *pool)
{
	return (uint64_t)pool->chunk_count * (POOL_CHUNK * (uint64_t)pool->object + sizeof(*pool->chunks));
}
