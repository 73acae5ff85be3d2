# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# QEMU 11.1 or newer: the first whose vfio-user client speaks the protocol as published. If the system
# has none, Debian's backport is unpacked into the cache with every library it needs, down to the C
# library, and started through its own dynamic loader, so nothing of the system is replaced.

QEMU_WANTED=11.1

# system_qemu: the path of the system's own QEMU if it is new enough.
system_qemu()
{
	local path version
	path=$(command -v qemu-system-x86_64) || return 1
	version=$("$path" --version | sed -n '1s/.*version \([0-9.]*\).*/\1/p')
	[ "$(printf '%s\n' $QEMU_WANTED "$version" | sort -V | sed 1q)" = $QEMU_WANTED ] || return 1
	"$path" -device help 2>/dev/null | grep -q '"vfio-user-pci"' || return 1
	printf '%s\n' "$path"
}

unpack_qemu()
{
	mkdir root bin && (cd root && unpack_all "$@") || return 1
	cat >bin/qemu-system-x86_64 <<-'EOF'
		#!/bin/sh
		root=$(dirname "$(dirname "$(readlink -f "$0")")")/root
		lib=$root/usr/lib/x86_64-linux-gnu
		loader=$root/usr/lib64/ld-linux-x86-64.so.2
		[ -e "$loader" ] || loader=$root/lib64/ld-linux-x86-64.so.2
		QEMU_MODULE_DIR=$lib/qemu exec "$loader" --library-path "$lib:$root/usr/lib" \
			"$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" \
			-L "$root/usr/share/seabios" "$@"
	EOF
	chmod +x bin/qemu-system-x86_64
	bin/qemu-system-x86_64 --version >&2
}

prepare_qemu()
{
	local path version files
	if path=$(system_qemu); then
		say "the system's QEMU will do: $path"
	elif path=$(published VIOMMU_QEMU) && [[ $path == $CACHE/* ]]; then
		:
	else
		apt_root amd64
		version=$(candidate qemu-system-x86)
		files=$(with_lock apt fetch_closure qemu-system-x86 seabios) ||
			die "QEMU could not be fetched; run again to resume"
		say "unpacking QEMU $version"
		# shellcheck disable=SC2086
		with_lock qemu build_item "$CACHE/qemu-${version#*:}" unpack_qemu $files ||
			die "QEMU could not be unpacked"
		path=$CACHE/qemu-${version#*:}/bin/qemu-system-x86_64
	fi
	publish VIOMMU_QEMU "$path"
}
