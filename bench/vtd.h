/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the benchmarks of the unit share: the groups, and a scene made with the test kit.
 */
#ifndef BENCH_VTD_H
#define BENCH_VTD_H

#include "bench.h"
#include "vtd/kit.h"

#define URW (FS_P | FS_RW | FS_US | FS_A | FS_D)
#define SRW (SS_R | SS_W | SS_A | SS_D)

/* All of the unit's benchmarks. */
void bench_vtd(struct bench *bench);

void bench_queue(struct bench *bench);
void bench_packet(struct bench *bench);
void bench_pasids(struct bench *bench);
void bench_dma(struct bench *bench);

static inline struct viommu_statistics bench_statistics(struct kit *kit)
{
	struct viommu_statistics statistics = { .size = sizeof(statistics) };

	viommu_unit_statistics(kit->unit, &statistics);
	return statistics;
}

#endif
