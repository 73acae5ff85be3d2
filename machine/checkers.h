/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The access checkers of the board: wgCheckers in front of DRAM, flash and UART, a wgMarker for the
 * bus masters, an IOPMP in front of harts and masters; and their command-line options.
 */
#ifndef MACHINE_CHECKERS_H
#define MACHINE_CHECKERS_H

#include "board.h"

/* Parse "nworlds=4,trusted=3,..." ; -EINVAL after saying on stderr what is wrong. */
int checkers_parse_worldguard(const char *text, struct wg_options *wg);
int checkers_parse_iopmp(const char *text, struct iopmp_options *iopmp);
/* The device-tree nodes firmware looks for. */
void checkers_describe(const struct board *board, void *fdt, uint32_t interrupt_parent);

#endif
