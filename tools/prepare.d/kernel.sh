# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# The unmodified guest: Debian's own 7.2 kernel, and what it takes to build modules for it. The newest
# 7.2 in the mirror is resolved each time nothing suitable is cached; its version is pinned nowhere.

# The newest kernel release for plain PCs, for example 7.2.12+deb13-amd64: of the 7.2 line, or of a later
# one when the mirror has dropped that.
stock_release()
{
	local releases
	releases=$(apt-cache pkgnames linux-binary- | sed 's/^linux-binary-//' |
		grep -E '^[0-9]+\.[0-9]+\.[0-9]+[^-]*-(amd64|riscv64)$' | sort -V)
	{ grep '^7\.2\.' <<<"$releases" || grep -vE '^([0-6]|7\.[01])\.' <<<"$releases"; } | tail -1
}

# The package with that line's source, or a later one's.
source_package()
{
	{ [ -n "$(candidate linux-source-7.2)" ] && echo linux-source-7.2; } ||
		apt-cache pkgnames linux-source- | grep -E '^linux-source-([7-9]|[1-9][0-9])\.[0-9]+$' |
		sort -V | tail -1
}

unpack_kernel()
{
	local release=$1 folder
	shift
	unpack_all "$@" || return 1
	# Where the package keeps the image and the modules has moved over the years.
	for folder in usr/lib/modules lib/modules; do
		[ -d "$folder/$release" ] && mv "$folder/$release" modules
	done
	mv boot/vmlinu[xz]-* vmlinuz 2>/dev/null || mv modules/vmlinu[xz] vmlinuz || return 1
	rm -rf boot usr lib
	# Most of it is for hardware no guest of ours has.
	rm -rf modules/kernel/{sound,drivers/{gpu,media,net/{ethernet,wireless},staging,hid,input,iio}}
	# depmod insists on the usual folder names.
	mkdir -p lib/modules && ln -s ../../modules "lib/modules/$release" &&
		PATH=$PATH:/usr/sbin:/sbin depmod -b . "$release" 2>/dev/null && rm -r lib || return 1
	printf '%s\n' "$release" >release
}

prepare_kernel()
{
	local dir path release files
	if ! path=$(published VIOMMU_STOCK_KERNEL); then
		apt_root amd64
		release=$(stock_release)
		[ -n "$release" ] || die "the mirror has no 7.2 kernel"
		files=$(with_lock apt fetch_only "linux-binary-$release" "linux-modules-$release") ||
			die "the kernel could not be fetched; run again to resume"
		say "unpacking Linux $release"
		# shellcheck disable=SC2086
		with_lock kernel build_item "$CACHE/kernel-$release" unpack_kernel "$release" $files ||
			die "the kernel could not be unpacked"
		path=$CACHE/kernel-$release/vmlinuz
	fi
	dir=$(dirname "$path")
	publish VIOMMU_STOCK_KERNEL "$path"
	publish VIOMMU_STOCK_MODULES "$dir/modules"
	publish VIOMMU_STOCK_RELEASE "$(cat "$dir/release")"
}

# Each program of the headers' closure (compiler, assembler, kbuild's helpers) is to use the C library
# unpacked beside it. They start one another, so each is replaced by a script that starts it through
# that library's loader.
wrap_programs()
{
	local file
	find . -type f -perm -u+x -size +4k ! -name '*.so*' | while read -r file; do
		LC_ALL=C file -b "$file" | grep -q '^ELF.*interpreter' || continue
		file=${file#./}
		mv "$file" "$file.real" || return 1
		printf '#!/bin/sh\nexec "%s" --library-path "%s" --argv0 "$0" "%s" "$@"\n' \
			"$FINAL/root/usr/lib64/ld-linux-x86-64.so.2" "$FINAL/root/usr/lib/x86_64-linux-gnu" \
			"$FINAL/root/$file.real" >"$file" || return 1
		chmod 755 "$file"
	done
}

unpack_headers()
{
	local release=$1 headers common f
	shift
	mkdir root && cd root || return 1
	unpack_all "$@" || return 1
	for f in lib64 lib bin; do
		[ -e $f ] || ln -s usr/$f $f
	done
	[ -e usr/lib64/ld-linux-x86-64.so.2 ] || { mkdir -p usr/lib64 &&
		cp -L usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 usr/lib64/; } || return 1
	wrap_programs || return 1
	headers=usr/src/linux-headers-$release
	common=$(echo usr/src/linux-headers-*-common)
	# It serves to give modules type information, for which they have no use.
	rm -f "$headers/vmlinux"
	# The makefiles of the headers name each other by absolute path.
	grep -rlI -e '/usr/src/linux-headers' -e '/usr/lib/linux-kbuild' "$headers" "$common" \
		--include=Makefile --include='*.mk' --include='.kernel*' |
		xargs -r sed -i -e "s,/usr/src/linux-headers,$FINAL/root&,g" \
			-e "s,/usr/lib/linux-kbuild,$FINAL/root&,g" || return 1
	for f in "$headers"/scripts "$headers"/tools "$common"/scripts "$common"/tools; do
		[ -L "$f" ] && ln -sfn "$FINAL/root/$(readlink -m "$f" | sed 's,.*/usr/lib/,usr/lib/,')" "$f"
	done
	:
}

# The kernel's own DMA test is not in Debian's build; its one file is taken from Debian's source.
unpack_dmatest()
{
	dpkg-deb --fsys-tarfile "$1" | tar -xf - --wildcards './usr/src/linux-source-*.tar.xz' || return 1
	tar -xf usr/src/linux-source-*.tar.xz --wildcards --strip-components=3 '*/drivers/dma/dmatest.c' || return 1
	rm -r usr
}

prepare_dmatest()
{
	local dir deb
	if ! dir=$(published VIOMMU_KERNEL_DMATEST); then
		apt_root amd64
		dir=$CACHE/dmatest-$(candidate "$(source_package)")
		if [ ! -d "$dir" ]; then
			deb=$(with_lock apt fetch_only "$(source_package)") ||
				die "the kernel's source could not be fetched; run again to resume"
			say "taking dmatest.c out of ${deb##*/}"
			with_lock dmatest build_item "$dir" unpack_dmatest "$deb" || die "no dmatest.c in ${deb##*/}"
		fi
		dir=$dir/dmatest.c
	fi
	publish VIOMMU_KERNEL_DMATEST "$dir"
}

prepare_headers()
{
	local release files dir
	prepare_kernel >/dev/null
	release=$(cat "$(dirname "$(published VIOMMU_STOCK_KERNEL)")/release")
	dir=$CACHE/headers-$release
	if [ ! -d "$dir" ]; then
		apt_root amd64
		files=$(with_lock apt fetch_closure "linux-headers-$release") ||
			die "the kernel's headers could not be fetched; run again to resume"
		say "unpacking the headers and the compiler of Linux $release"
		FINAL=$dir
		# shellcheck disable=SC2086
		with_lock headers build_item "$dir" unpack_headers "$release" $files ||
			die "the headers could not be unpacked"
	fi
	publish VIOMMU_STOCK_HEADERS "$dir/root/usr/src/linux-headers-$release"
	publish VIOMMU_STOCK_CC "$(echo "$dir"/root/usr/bin/x86_64-linux-gnu-gcc-1[4-9] | cut -d' ' -f1)"
	prepare_dmatest
}
