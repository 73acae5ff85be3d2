# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What the RV64 machine boots: Debian's OpenSBI, U-Boot, riscv64 kernel and busybox, none of them changed.
# The packages come through a private apt root of that architecture; nothing of it is run here.

# The newest riscv64 kernel: of the 7.2 line if the mirror has it, else the suite's own.
riscv_release()
{
	local release
	release=$(stock_release)
	[ -n "$release" ] || release=$(apt-cache depends linux-image-riscv64 |
		sed -n 's/.*Depends: linux-image-\([0-9].*\)/\1/p' | sed 1q)
	printf '%s\n' "$release"
}

# gunzip or unwrap into a plain Image, which is what a loader without a decompressor wants.
plain_image()
{
	case $(LC_ALL=C file -b "$1") in
	gzip*) gzip -dc "$1" ;;
	*) cat "$1" ;;
	esac
}

# unpack_riscv RELEASE FILE...: what the machine boots, and the modules of the kernel that its image may ask for.
unpack_riscv()
{
	local release=$1 image folder
	shift
	unpack_all "$@" || return 1
	image=$(find boot usr/lib/modules lib/modules -name 'vmlinu[xz]*' -type f 2>/dev/null | sed 1q)
	[ -n "$image" ] || return 1
	plain_image "$image" >Image || return 1
	cp "$(find . -path '*generic*' -name fw_dynamic.bin | sed 1q)" fw_dynamic.bin || return 1
	cp "$(find . -path '*generic*' -name fw_jump.bin | sed 1q)" fw_jump.bin || return 1
	cp "$(find . -path '*bin/busybox' -type f | sed 1q)" busybox || return 1
	cp "$(find . -path '*qemu-riscv64_smode/u-boot.bin' | sed 1q)" u-boot.bin || return 1
	for folder in usr/lib/modules lib/modules; do
		[ -d "$folder/$release" ] && mv "$folder/$release" modules
	done
	rm -rf boot usr lib etc bin
	# The board has virtio and nothing else.
	(cd modules/kernel && rm -rf sound net arch drivers/[!bcv]* && cd fs &&
		find . -mindepth 1 -maxdepth 1 ! -name ext4 ! -name jbd2 ! -name 'mbcache*' -exec rm -rf {} +) || return 1
	mkdir -p lib/modules && ln -s ../../modules "lib/modules/$release" &&
		PATH=$PATH:/usr/sbin:/sbin depmod -b . "$release" 2>/dev/null && rm -r lib || return 1
	printf '%s\n' "$release" >release
}

prepare_riscv()
{
	local dir path release files packages uboot
	if path=$(published VIOMMU_RISCV_UBOOT); then
		dir=$(dirname "$path")
	else
		apt_root riscv64
		release=$(riscv_release)
		[ -n "$release" ] || die "the mirror has no riscv64 kernel"
		uboot=$(candidate u-boot-qemu) || die "the mirror has no U-Boot for QEMU's boards"
		packages="opensbi busybox-static u-boot-qemu"
		if [ -n "$(candidate "linux-binary-$release")" ]; then
			packages="$packages linux-binary-$release linux-modules-$release"
		else
			packages="$packages linux-image-$release"
		fi
		# shellcheck disable=SC2086
		files=$(with_lock apt fetch_only $packages) ||
			die "the riscv64 packages could not be fetched; run again to resume"
		say "unpacking OpenSBI, U-Boot, Linux $release and busybox for riscv64"
		dir=$CACHE/riscv-$release-u-boot-$uboot
		# shellcheck disable=SC2086
		with_lock riscv build_item "$dir" unpack_riscv "$release" $files ||
			die "the riscv64 packages could not be unpacked"
	fi
	publish VIOMMU_RISCV_KERNEL "$dir/Image"
	publish VIOMMU_RISCV_MODULES "$dir/modules"
	publish VIOMMU_RISCV_RELEASE "$(cat "$dir/release")"
	publish VIOMMU_RISCV_OPENSBI "$dir/fw_jump.bin"
	publish VIOMMU_RISCV_OPENSBI_DYNAMIC "$dir/fw_dynamic.bin"
	publish VIOMMU_RISCV_UBOOT "$dir/u-boot.bin"
	publish VIOMMU_RISCV_BUSYBOX "$dir/busybox"
	prepare_image riscv
}
