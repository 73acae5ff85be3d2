# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# The packages to build and test with. What is installed already is left alone; what is missing is
# named before anything happens. A name with "|" is a choice: the first the system's suite has is used.

HOST_PACKAGES='
	gcc g++ clang libc6-dev make meson ninja-build pkg-config git python3 file ca-certificates
	libcmocka-dev libjansson-dev libfdt-dev systemtap-sdt-dev
	flex bison bc cpio xz-utils zstd kmod rsync gzip
	libelf-dev libssl-dev libcap-dev uuid-dev
	gcc-riscv64-linux-gnu gcc-riscv64-unknown-elf libc6-dev-riscv64-cross gdb-multiarch
	libclang-rt-dev|libclang-rt-19-dev|libclang-rt-14-dev
	busybox-static device-tree-compiler
'

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# missing_packages: one name a line.
missing_packages()
{
	local choice name
	for choice in $HOST_PACKAGES; do
		for name in ${choice//|/ }; do
			installed "$name" && continue 2
		done
		for name in ${choice//|/ }; do
			apt-cache show "$name" >/dev/null 2>&1 && break
			name=${choice%%|*}
		done
		printf '%s\n' "$name"
	done
}

prepare_host()
{
	local missing
	missing=$(unset APT_CONFIG; missing_packages)
	[ -n "$missing" ] || return 0
	if [ -n "${NO_INSTALL:-}" ]; then
		say "NO_INSTALL is set; these packages are missing:" $missing
		return 0
	fi
	if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
		die "missing packages, and neither root nor sudo to install them:" $missing
	fi
	say "installing with apt:" $missing
	(
		unset APT_CONFIG
		as_root apt-get -q update >&2
		missing=$(missing_packages)
		# shellcheck disable=SC2086
		as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
			install $missing >&2
	) || die "apt could not install:" $missing
}
