#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# with_images.sh COMMAND...: runs a test that boots what tools/prepare riscv has put into the cache, with the paths in its
# environment. Without those images the test has failed.
env=${XDG_CACHE_HOME:-$HOME/.cache}/viommu/env
set -a
[ -f "$env" ] && . "$env"
set +a
for image in "$VIOMMU_RISCV_OPENSBI" "$VIOMMU_RISCV_OPENSBI_DYNAMIC" "$VIOMMU_RISCV_UBOOT" "$VIOMMU_RISCV_KERNEL" \
	"$VIOMMU_RISCV_INITRD"; do
	[ -f "$image" ] || { echo "riscv64 images are missing from the cache: run tools/prepare riscv" >&2; exit 1; }
done
exec "$@"
