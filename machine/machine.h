/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The RV64 machine as the `viommu` command sees it. argv[0] is the subcommand's name; the result is
 * the exit status.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

int machine_main(int argc, char **argv);

#endif
