#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# boot.sh COMMAND OPTIONS...: OpenSBI and the stock Debian kernel on the machine; passes when the guest says that everything
# it did was right, and powers off. The images come from
# with_images.sh. With "disk" the guest has an empty disk, and
# must leave its message there.
command=$1
shift
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
out=$work/out
bios=$VIOMMU_RISCV_OPENSBI
script=hello
disk=
# leading words of our own, then options of the machine
while [ $# -gt 0 ]; do
	case $1 in
	dynamic) bios=$VIOMMU_RISCV_OPENSBI_DYNAMIC ;;
	run=*) script=${1#run=} ;;
	disk) disk=$work/disk; script=disk; truncate -s 16M "$disk" ;;
	*) break ;;
	esac
	shift
done
"$command" --bios "$bios" --kernel "$VIOMMU_RISCV_KERNEL" --initrd "$VIOMMU_RISCV_INITRD" \
	--append "console=ttyS0 quiet panic=-1 run=$script" ${disk:+--disk "$disk"} "$@" </dev/null >"$out" 2>&1
status=$?
cat "$out"
[ $status = 0 ] && grep -q '"event":"done","pass":true' "$out" || exit 1
[ -z "$disk" ] || grep -aq 'written by a guest: 67062914007' "$disk" || { echo "the disk has no message"; exit 1; }
