#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# gdb.sh GDB COMMAND PROGRAM: a session of the real debugger with a program of two harts that ends with status 42 (convention.c):
# symbols, breakpoints, steps, registers, CSRs, memory, threads, and the exit code it reports.
gdb=$1 command=$2 program=$3
command -v "$gdb" >/dev/null || { echo "no gdb that knows riscv64: install gdb-multiarch (tools/prepare host)" >&2; exit 1; }
work=$(mktemp -d) || exit 1
machine=
trap '[ -z "$machine" ] || kill "$machine" 2>/dev/null; rm -rf "$work"' EXIT
"$command" --elf "$program" --harts 2 --gdb "$work/socket" </dev/null >"$work/out" 2>&1 &
machine=$!
for i in $(seq 300); do
	[ -S "$work/socket" ] && break
	sleep 0.1
done
cat >"$work/script" <<END
set confirm off
set pagination off
set remotetimeout 60
target remote $work/socket
printf "at reset: %x\n", \$pc
break main
continue
printf "in main: %d\n", \$pc == (long)main
info threads
printf "mode: %x\n", (\$mstatus >> 11) & 3
set \$before = \$pc
stepi
printf "stepped: %d\n", \$pc != \$before
set \$t3 = 0x123456789abcdef0
printf "register: %lx\n", \$t3
set {long}0x80200000 = 0x1122334455667788
printf "memory: %lx\n", {long}0x80200000
thread 2
printf "hart: %d\n", \$mhartid
thread 1
delete
continue
printf "ended: %d\n", \$_exitcode
END
timeout 120 "$gdb" -nx -batch -x "$work/script" "$program" >"$work/said" 2>&1
cat "$work/said"
wait "$machine"
status=$?
machine=
for line in 'at reset: 1000' 'in main: 1' 'mode: ' 'stepped: 1' 'register: 123456789abcdef0' 'memory: 1122334455667788' 'hart: 1' \
	'ended: 42'; do
	grep -q "^$line" "$work/said" || { echo "gdb did not say \"$line\""; exit 1; }
done
[ "$(grep -c 'Thread' "$work/said")" -ge 2 ] && [ $status = 42 ]
