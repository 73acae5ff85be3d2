/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What passthrough costs us, without the host: binding, rebinding, flushing and unbinding PASIDs by the hundred thousand and the
 * million, through a guest's tables and descriptors.
 *
 * The host here is a back end that says yes and counts, so that what remains is our own work. The floor is what the unit takes for the same
 * descriptors with no device passed through.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <viommu/passthrough.h>

#include "bench.h"
#include "host/host.h"
#include "memory/alloc.h"
#include "vtd/kit.h"

enum { DID = 7, BATCH = 4000, FLUSHES = 4096, FLUSHED = 64 };

/* ---- a host that says yes ---- */

struct yes {
	struct viommu_host host;
	struct viommu_host_device device;
	uint32_t table;
	uint64_t calls, invalidations;
};

static struct yes *yes_of(struct viommu_host *host)
{
	return (struct yes *)host;
}

static int yes_space_create(struct viommu_host_device *device, uint32_t flags,
			    struct viommu_host_space **space)
{
	*space = calloc(1, sizeof(**space));
	if (!*space)
		return -ENOMEM;
	**space = (struct viommu_host_space){ .host = device->host, .table = 1, .flags = flags };
	return 0;
}

static int yes_space_destroy(struct viommu_host_space *space)
{
	free(space);
	return 0;
}

static int yes_map(struct viommu_host_space *space, uint64_t iova, void *hva, uint64_t length,
		   uint32_t access)
{
	return 0;
}

static int yes_unmap(struct viommu_host_space *space, uint64_t iova, uint64_t length)
{
	return 0;
}

static int yes_attach(struct viommu_host_device *device, uint32_t pasid, uint32_t table)
{
	yes_of(device->host)->calls++;
	return 0;
}

static int yes_detach(struct viommu_host_device *device, uint32_t pasid)
{
	yes_of(device->host)->calls++;
	return 0;
}

static int yes_nested_create(struct viommu_host_device *device, struct viommu_host_space *parent,
			     const struct viommu_host_first_stage *first, uint32_t *table)
{
	yes_of(device->host)->calls++;
	*table = ++yes_of(device->host)->table;
	return 0;
}

static int yes_nested_destroy(struct viommu_host *host, uint32_t table)
{
	yes_of(host)->calls++;
	return 0;
}

static int yes_invalidate(struct viommu_host *host, uint32_t table,
			  const struct viommu_host_invalidation *entries, uint32_t count, uint32_t *done)
{
	yes_of(host)->invalidations++;
	*done = count;
	return 0;
}

static const struct host_ops yes_ops = {
	.name = "yes",
	.space_create = yes_space_create,
	.space_destroy = yes_space_destroy,
	.map = yes_map,
	.unmap = yes_unmap,
	.attach = yes_attach,
	.detach = yes_detach,
	.nested_create = yes_nested_create,
	.nested_destroy = yes_nested_destroy,
	.invalidate = yes_invalidate,
};

/* ---- the guest ---- */

struct scene {
	struct kit kit;
	struct yes yes;
	struct viommu_passthrough *passthrough;
	uint32_t pasids;
};

static void fail(const char *what)
{
	fprintf(stderr, "bench_passthrough: %s\n", what);
	exit(1);
}

static void scene_create(struct scene *scene, uint32_t pasids, bool plugged)
{
	struct viommu_unit_options options;
	struct viommu_host_info info = {
		.size = sizeof(info), .kind = VIOMMU_HOST_VTD, .cap = ~UINT64_C(0), .ecap = ~UINT64_C(0),
		.pasid_bits = 20, .nesting = true, .pasid_attach = true, .page_sizes = 4096,
	};

	memset(scene, 0, sizeof(*scene));
	viommu_unit_options_init(&options);
	options.caching_mode = true;
	options.aw_bits = 48;
	options.five_level = false;
	kit_create_sized(&scene->kit, &options, 256ull << 20);
	viommu_endpoint_destroy(scene->kit.endpoint);
	scene->kit.endpoint = NULL;
	scene->kit.queue = kit_pages(&scene->kit, 64);
	scene->kit.queue_order = 6;
	scene->pasids = pasids;
	scene->yes.host.ops = &yes_ops;
	scene->yes.device = (struct viommu_host_device){ .host = &scene->yes.host, .fd = -1, .id = 1,
							 .info = info };
	if (plugged && viommu_passthrough_create(scene->kit.unit, KIT_RID, &scene->yes.device, NULL, NULL,
						 NULL, &scene->passthrough, NULL, 0))
		fail("the device is refused");
	kit_start(&scene->kit, TTM_SCALABLE);
	kit_pasid_entry(&scene->kit, KIT_RID, 0);
	if (!kit_command(&scene->kit, qi_context(1, 0, 0, 0), 0))
		fail("no wait");
}

static void scene_destroy(struct scene *scene)
{
	viommu_passthrough_destroy(scene->passthrough);
	kit_destroy(&scene->kit);
}

static void write_entries(struct scene *scene, uint64_t step, uint64_t first)
{
	for (uint32_t pasid = 1; pasid <= scene->pasids; pasid++) {
		uint64_t entry = kit_pasid_entry(&scene->kit, KIT_RID, pasid & VIOMMU_PASID_MAX);

		kit_put(&scene->kit, entry + 8, DID | PE1_PWSNP);
		kit_put(&scene->kit, entry + 16, (first + pasid * step) << 12);
		kit_put(&scene->kit, entry, PE_P | PE_FIRST);
	}
}

static void clear_entries(struct scene *scene)
{
	for (uint32_t pasid = 1; pasid <= scene->pasids; pasid++)
		kit_put(&scene->kit, kit_pasid_entry(&scene->kit, KIT_RID, pasid & VIOMMU_PASID_MAX), 0);
}

/* ns for one of a PASID-selective invalidation of each. */
static double each(struct scene *scene)
{
	double time = 0;

	for (uint32_t pasid = 1; pasid <= scene->pasids;) {
		double begin;

		for (uint32_t i = 0; i < BATCH && pasid <= scene->pasids; i++, pasid++)
			kit_submit(&scene->kit, qi_pasid_cache(1, DID, pasid & VIOMMU_PASID_MAX), 0);
		begin = bench_now();
		if (!kit_sync(&scene->kit))
			fail("no wait");
		time += bench_now() - begin;
	}
	return time / scene->pasids;
}

static double global(struct scene *scene)
{
	double begin = bench_now();

	if (!kit_command(&scene->kit, qi_pasid_cache(3, 0, 0), 0))
		fail("no wait");
	return bench_now() - begin;
}

static double flush(struct scene *scene)
{
	double begin;

	for (uint32_t i = 0; i < FLUSHES; i++)
		kit_submit(&scene->kit, qi_piotlb(3, DID, 1 + i % FLUSHED), (uint64_t)(i * 2) << 12);
	begin = bench_now();
	if (!kit_sync(&scene->kit))
		fail("no wait");
	return (bench_now() - begin) / FLUSHES;
}

static void row(struct bench *bench, const struct scene *scene, const char *name, double time, double floor,
		double limit, const char *counter, double value)
{
	struct bench_row row = {
		.group = "passthrough", .name = name, .size_name = "pasids", .size = scene->pasids,
		.time = { time, time }, .floor = { floor, floor }, .floor_name = "no device", .limit = limit,
		.counters = { { counter, value } },
	};

	bench_print(bench, &row);
}

static void measure(struct bench *bench, uint32_t pasids)
{
	struct scene *scene = malloc(sizeof(*scene)), *bare = malloc(sizeof(*bare));
	struct viommu_passthrough_statistics statistics = { .size = sizeof(statistics) };
	double time, floor, floor_flush, limit = pasids == 100000;
	uint64_t calls;

	scene_create(bare, pasids, false);
	write_entries(bare, 1, 0);
	each(bare);
	floor = each(bare);
	floor_flush = flush(bare);
	scene_destroy(bare);
	scene_create(scene, pasids, true);
	write_entries(scene, 1, 0);
	calls = scene->yes.calls;
	time = each(scene);
	row(bench, scene, "bind, each its own table", time, floor, limit * 200, "host calls each",
	    (double)(scene->yes.calls - calls) / pasids);
	viommu_passthrough_statistics(scene->passthrough, &statistics);
	row(bench, scene, "look again, nothing changed", each(scene), floor, limit * 200, "bytes each",
	    (double)statistics.bytes / pasids);
	calls = scene->yes.calls;
	time = global(scene);
	row(bench, scene, "global invalidation, nothing changed", time, 0,
	    limit * 20e6, "host calls", (double)(scene->yes.calls - calls));
	calls = scene->yes.invalidations;
	time = flush(scene);
	row(bench, scene, "flush: one of 4096 over 64 PASIDs", time, floor_flush, 0, "host calls",
	    (double)(scene->yes.invalidations - calls));
	write_entries(scene, 1, 2000000);
	row(bench, scene, "rebind, each another table", each(scene), floor, 0, NULL, 0);
	write_entries(scene, 0, 1);
	row(bench, scene, "rebind, all one table", each(scene), floor, 0, NULL, 0);
	clear_entries(scene);
	calls = scene->yes.calls;
	time = each(scene);
	row(bench, scene, "unbind", time, floor, 0, "host calls each",
	    (double)(scene->yes.calls - calls) / pasids);
	scene_destroy(scene);
	free(scene);
	free(bare);
}

int main(int argc, char **argv)
{
	struct bench bench;

	if (!bench_begin(&bench, argc, argv))
		return 2;
	if (bench_wanted(&bench, "passthrough")) {
		measure(&bench, 10000);
		measure(&bench, 100000);
		if (!bench.quick)
			measure(&bench, 1000000);
	}
	return bench_end(&bench);
}
