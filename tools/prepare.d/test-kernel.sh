# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# The test guest's kernel, from Debian's linux-source-7.2 and guest/kernel.config. The source tree is
# one item of the cache; the build is another, keyed by the source's version and the configuration,
# and keeps only what an out-of-tree module and the kernel's own selftests need.

# The bulk of the other architectures and the largest header collection are never read by an x86 build
# without DRM; their Kconfig files are.
unpack_source()
{
	local deb=$1 arch excludes=()
	for arch in alpha arc arm arm64 csky hexagon loongarch m68k microblaze mips nios2 openrisc \
		parisc powerpc riscv s390 sh sparc xtensa; do
		excludes+=("--exclude=*/arch/$arch/"{boot,configs,include,kernel,mm})
	done
	dpkg-deb --fsys-tarfile "$deb" | tar -xf - --wildcards './usr/src/linux-source-*.tar.xz' || return 1
	tar -xf usr/src/linux-source-*.tar.xz --strip-components=1 "${excludes[@]}" \
		--exclude='*/drivers/gpu/drm/amd/include' || return 1
	rm -rf usr/src/linux-source-*.tar.xz
	rmdir -p usr/src 2>/dev/null || :
}

# kernel_source: makes sure the tree is there; sets SOURCE and SOURCE_VERSION.
kernel_source()
{
	local deb
	if SOURCE=$(published VIOMMU_KERNEL_SOURCE); then
		SOURCE_VERSION=${SOURCE##*-}
		return
	fi
	apt_root amd64
	SOURCE_VERSION=$(candidate "$(source_package)") || die "no kernel source in the mirror"
	SOURCE=$CACHE/linux-source-${SOURCE_VERSION%%[-+~]*}
	[ -d "$SOURCE" ] && return
	deb=$(with_lock apt fetch_only "$(source_package)") || die "the kernel's source could not be fetched"
	say "unpacking ${deb##*/} (about a minute)"
	with_lock source build_item "$SOURCE" unpack_source "$deb" || die "the kernel source could not be unpacked"
}

# Runs in the item's temporary folder. The build folder's absolute path ends up in no file that a
# module build reads (O= is given again each time), so it may be renamed afterwards.
build_test_kernel()
{
	local log=$CACHE/test-kernel.log make
	mkdir build || return 1
	make=(nice -n 10 make -C "$SOURCE" "O=$PWD/build" "-j$JOBS" KBUILD_BUILD_TIMESTAMP=1970-01-01
		KBUILD_BUILD_USER=viommu KBUILD_BUILD_HOST=viommu)
	say "building the test kernel: 5 to 15 minutes, log in $log"
	"${make[@]}" "KCONFIG_ALLCONFIG=$TOP/guest/kernel.config" allnoconfig >"$log" 2>&1 || return 1
	local missing
	missing=$(grep '^CONFIG_[A-Z0-9_]*=y' "$TOP/guest/kernel.config" | grep -vxFf build/.config) &&
		{ say "options the kernel did not take: $missing"; return 1; }
	"${make[@]}" bzImage modules_prepare >>"$log" 2>&1 || { tail -20 "$log" >&2; return 1; }
	"${make[@]}" headers_install INSTALL_HDR_PATH="$PWD/usr" >>"$log" 2>&1 || return 1
	cp build/arch/x86/boot/bzImage bzImage && cp build/vmlinux.symvers build/Module.symvers || return 1
	find build \( -name '*.o' -o -name '*.a' -o -name '.*.cmd' -o -name 'vmlinux*' \) \
		! -path '*/scripts/*' ! -path '*/tools/*' ! -name vmlinux.symvers -delete
}

# The kernel's VFIO selftests as static programs. 7.2 calls a helper there that it does not define;
# harmless to define it where a later version does.
build_selftests()
{
	local headers=$1 log=$CACHE/selftests.log
	cat >calloc_fix.h <<-'EOF'
		#include <assert.h>
		#include <stdlib.h>
		#ifndef calloc_assert
		#define calloc_assert(n, size) ({ void *_p = calloc(n, size); assert(_p); _p; })
		#endif
	EOF
	mkdir out
	nice -n 10 make -C "$SOURCE/tools/testing/selftests" O="$PWD/out" TARGETS=vfio "-j$JOBS" \
		KHDR_INCLUDES="-isystem $headers/include" LDFLAGS=-static \
		EXTRA_CFLAGS="-include $PWD/calloc_fix.h" >"$log" 2>&1 || { tail -20 "$log" >&2; return 1; }
	find out -name 'vfio_*_test' -type f -executable -exec strip -o {}.s {} \; -exec mv {}.s {} \; \
		-exec mv {} . \;
	rm -rf out
	[ -x vfio_pci_driver_test ]
}

prepare_test_kernel()
{
	local dir key
	kernel_source
	key=$(hash_of "$TOP/guest/kernel.config")
	dir=$CACHE/test-kernel-${SOURCE_VERSION%%[-+~]*}-$key
	with_lock test-kernel build_item "$dir" build_test_kernel || die "the test kernel did not build"
	publish VIOMMU_KERNEL_SOURCE "$SOURCE"
	publish VIOMMU_TEST_KERNEL "$dir/bzImage"
	publish VIOMMU_TEST_KERNEL_BUILD "$dir/build"
	publish VIOMMU_TEST_KERNEL_HEADERS "$dir/usr"
	with_lock test-kernel build_item "$dir-selftests" build_selftests "$dir/usr" ||
		die "the kernel's selftests did not build"
	publish VIOMMU_SELFTESTS "$dir-selftests"
}
