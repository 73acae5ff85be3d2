/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machine's state in a file: harts, devices, checkers, memory (pages that are all zero are left
 * out).
 */
#ifndef MACHINE_SNAPSHOT_H
#define MACHINE_SNAPSHOT_H

#include "board.h"

/* -errno after saying why on stderr. Load: into a board made with the same options. */
int snapshot_save(struct board *board, const char *path);
int snapshot_load(struct board *board, const char *path);

#endif
