#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# boot.sh COMMAND OPTIONS...: OpenSBI and the stock Debian kernel on the machine; passes when the guest says that everything
# it did was right, and powers off. The images are those of tools/prepare riscv.
command=$1
shift
. "${XDG_CACHE_HOME:-$HOME/.cache}/viommu/env"
out=$(mktemp)
trap 'rm -f "$out"' EXIT
bios=$VIOMMU_RISCV_OPENSBI
script=hello
# leading words of our own, then options of the machine
while [ $# -gt 0 ]; do
	case $1 in
	dynamic) bios=$VIOMMU_RISCV_OPENSBI_DYNAMIC ;;
	run=*) script=${1#run=} ;;
	*) break ;;
	esac
	shift
done
"$command" --bios "$bios" --kernel "$VIOMMU_RISCV_KERNEL" --initrd "$VIOMMU_RISCV_INITRD" \
	--append "console=ttyS0 quiet panic=-1 run=$script" "$@" </dev/null >"$out" 2>&1
status=$?
cat "$out"
[ $status = 0 ] && grep -q '"event":"done","pass":true' "$out"
