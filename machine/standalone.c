/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `viommu-riscv`: the machine alone, for its tests and for trees that build without the rest.
 */
#include "machine.h"

int main(int argc, char **argv)
{
	return machine_main(argc, argv);
}
