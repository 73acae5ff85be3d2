#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# differ.sh COMMAND OPTIONS...: the same program on the machine as it is and on the machine without caches; every line they print must be
# the same. (How far into a final loop the last slice gets may differ: instructions are not compared.)
fast=$("$@" </dev/null 2>&1) || { echo "$fast"; exit 1; }
slow=$("$@" --no-caches </dev/null 2>&1) || { echo "$slow"; exit 1; }
echo "with caches:"
echo "$fast"
echo "without:"
echo "$slow"
[ "$(echo "$fast" | wc -l)" -gt 2 ] && [ "$fast" = "$slow" ]
