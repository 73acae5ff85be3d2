/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's memory: a sorted list of what it mapped, and the guest memory it feeds.
 *
 * A map with a descriptor becomes RAM of the endpoint's viommu_memory, if it has one; a map without
 * (ROM, mostly) is only remembered. An unmap is answered when no access to the memory can be
 * running any more.
 */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The same memory shown at this many addresses at once: the client puts an IOMMU of its own in
 * front of us, and everything would be translated twice.
 */
#define ALIAS_LIMIT 64

/* Index of the first map that ends above `address`. */
static unsigned int position(const struct dma_maps *maps, uint64_t address)
{
	unsigned int low = 0, high = maps->count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (maps->maps[middle].address + (maps->maps[middle].size - 1) < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int insert(struct dma_maps *maps, unsigned int at, const struct dma_map *map)
{
	if (maps->count == maps->capacity) {
		unsigned int capacity = maps->capacity ? maps->capacity * 2 : 64;
		struct dma_map *grown = reallocarray(maps->maps, capacity, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		maps->maps = grown;
		maps->capacity = capacity;
	}
	memmove(&maps->maps[at + 1], &maps->maps[at], (maps->count - at) * sizeof(*map));
	maps->maps[at] = *map;
	maps->count++;
	return 0;
}

static void account(struct server_endpoint *e)
{
	atomic_store(&e->statistics.maps, e->maps.count);
	atomic_store(&e->statistics.mapped_bytes, e->maps.bytes);
}

/* Does another live map show some of the same bytes? */
static bool aliased(const struct dma_maps *maps, const struct dma_map *map)
{
	for (unsigned int i = 0; i < maps->count; i++) {
		const struct dma_map *other = &maps->maps[i];

		if (other->inode == map->inode && other->device == map->device &&
		    other->offset < map->offset + map->size &&
		    map->offset < other->offset + other->size)
			return true;
	}
	return false;
}

static int check_map(struct server_endpoint *e, const struct wire_dma_map *wire, unsigned int fds)
{
	unsigned int at;

	if (!wire->size || ((wire->size | wire->address | wire->offset) & 4095) ||
	    wire->address + (wire->size - 1) < wire->address || wire->offset > INT64_MAX ||
	    wire->size > INT64_MAX - wire->offset)
		return -EINVAL;
	if (!(wire->flags & (WIRE_DMA_READABLE | WIRE_DMA_WRITEABLE)) || wire->flags > 3 || fds > 1)
		return -EINVAL;
	at = position(&e->maps, wire->address);
	if (at < e->maps.count && e->maps.maps[at].address <= wire->address + (wire->size - 1))
		return -EEXIST;
	return e->maps.count < DMA_MAX_MAPS ? 0 : -ENOSPC;
}

static int identify(int fd, struct dma_map *map)
{
	struct stat status;

	if (fstat(fd, &status))
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -ENODEV;
	map->device = status.st_dev;
	map->inode = status.st_ino;
	return 0;
}

static int back(struct server_endpoint *e, struct dma_map *map, int fd, uint32_t flags)
{
	int ret = identify(fd, map);

	if (ret)
		return ret;
	map->alias = aliased(&e->maps, map);
	if (map->alias && e->maps.aliases >= ALIAS_LIMIT) {
		server_log(
			e,
			"the client shows us the same memory at more than %d addresses: it has an IOMMU of its "
			"own in front of this device; start it without one (no intel-iommu device)",
			ALIAS_LIMIT);
		return -ECONNABORTED;
	}
	if (!e->feed)
		return 0;
	ret = viommu_memory_add_fd(e->memory, map->address, map->size, fd, map->offset,
				   flags & WIRE_DMA_WRITEABLE ? 0 : VIOMMU_SEGMENT_READONLY);
	map->backed = !ret;
	return ret;
}

int handle_dma_map(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct wire_dma_map wire;
	struct dma_map map = { 0 };
	int ret;

	memcpy(&wire, m->payload, sizeof(wire));
	ret = check_map(e, &wire, m->fd_count);
	if (ret)
		goto refuse;
	map.address = wire.address;
	map.size = wire.size;
	map.offset = wire.offset;
	if (m->fd_count) {
		ret = back(e, &map, m->fds[0], wire.flags);
		if (ret)
			goto refuse;
	}
	ret = insert(&e->maps, position(&e->maps, map.address), &map);
	if (ret) {
		if (map.backed)
			viommu_memory_remove(e->memory, map.address, map.size);
		goto refuse;
	}
	e->maps.aliases += map.alias;
	if (map.backed)
		e->maps.bytes += map.size;
	account(e);
	return 0;
refuse:
	server_log(e, "DMA map of 0x%" PRIx64 " bytes at 0x%" PRIx64 " refused: %s", wire.size,
		   wire.address, strerror(-ret));
	return ret;
}

/* Take maps [first, end) away. */
static void forget(struct server_endpoint *e, unsigned int first, unsigned int end)
{
	for (unsigned int i = first; i < end; i++) {
		struct dma_map *map = &e->maps.maps[i];

		e->maps.aliases -= map->alias;
		if (!map->backed)
			continue;
		viommu_memory_remove(e->memory, map->address, map->size);
		e->maps.bytes -= map->size;
	}
	memmove(&e->maps.maps[first], &e->maps.maps[end],
		(e->maps.count - end) * sizeof(struct dma_map));
	e->maps.count -= end - first;
	account(e);
}

void dma_unmap_all(struct server_endpoint *e)
{
	if (e->maps.count)
		forget(e, 0, e->maps.count);
	free(e->maps.maps);
	e->maps = (struct dma_maps){ 0 };
}

/* One map exactly, or a span that covers whole maps: clients differ. */
static int unmap_span(struct server_endpoint *e, uint64_t address, uint64_t size)
{
	unsigned int first = position(&e->maps, address), end = first;
	uint64_t last = address + (size - 1);

	if (!size || last < address)
		return -EINVAL;
	while (end < e->maps.count && e->maps.maps[end].address <= last)
		end++;
	if (first == end)
		return -ENOENT;
	if (e->maps.maps[first].address < address ||
	    e->maps.maps[end - 1].address + (e->maps.maps[end - 1].size - 1) > last)
		return -EINVAL;
	forget(e, first, end);
	return 0;
}

int handle_dma_unmap(struct server_endpoint *e, struct message *m, struct reply *reply)
{
	struct wire_dma_unmap wire;
	int ret = 0;

	memcpy(&wire, m->payload, sizeof(wire));
	if (wire.flags & ~(uint32_t)WIRE_UNMAP_ALL)
		return -EINVAL;
	if (!(wire.flags & WIRE_UNMAP_ALL))
		ret = unmap_span(e, wire.address, wire.size);
	else if (e->maps.count) /* address and size mean nothing then */
		forget(e, 0, e->maps.count);
	if (ret)
		return ret;
	wire.argsz = sizeof(wire);
	memcpy(reply->data, &wire, sizeof(wire));
	reply->length = sizeof(wire);
	return 0;
}
