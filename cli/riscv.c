/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `viommu riscv`: the RV64 machine (machine/main.c has its options).
 */
#include "options.h"

#include "machine/machine.h"

int command_riscv(int argc, char **argv)
{
	return machine_main(argc, argv);
}
