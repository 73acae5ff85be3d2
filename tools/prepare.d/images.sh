# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# The guests' initramfs images, made by guest/image from what the other parts put into the cache.

prepare_image()
{
	local path name
	name=VIOMMU_$(printf '%s' "$1" | tr a-z A-Z)_INITRD
	path=$("$TOP/guest/image" "$1") || die "the $1 image could not be built"
	publish "$name" "$path"
}

prepare_images()
{
	local kind
	for kind in stock test riscv; do
		prepare_image $kind
	done
}
