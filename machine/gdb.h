/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A debugger's way in: GDB's remote protocol on a TCP port of the loopback interface or a unix
 * socket.
 */
#ifndef MACHINE_GDB_H
#define MACHINE_GDB_H

#include "board.h"

/* Wait for a debugger at `where` (a port number or a path); it starts stopped. -errno after saying
 * why. */
int gdb_attach(struct board *board, const char *where);
/* Tell it how the run ended, and close. */
void gdb_detach(struct board *board, int status);

#endif
