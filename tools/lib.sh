# SPDX-License-Identifier: BSD-3-Clause
# What the scripts in tools/ share. Source it; it changes nothing by itself.

# ~ is there without HOME, too.
VIOMMU_CACHE=${XDG_CACHE_HOME:-~/.cache}/viommu

# A progress line, with the time since the script started.
say() { printf '%3d:%02d  %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }

# The paths of what tools/prepare put into the cache (VIOMMU_QEMU, VIOMMU_TEST_KERNEL, ...), exported.
load_cache_env() {
	[ -f "$VIOMMU_CACHE/env" ] || return 0
	set -a
	# shellcheck disable=SC1091
	. "$VIOMMU_CACHE/env"
	set +a
}

# one_at_a_time SCRIPT: waits for another run of that script in this tree. The lock goes with the process.
one_at_a_time() {
	exec {running}<"$1"
	flock -n "$running" && return
	echo "${1##*/}: waiting for another run in this tree" >&2
	flock "$running"
}
