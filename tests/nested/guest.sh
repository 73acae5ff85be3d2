# SPDX-License-Identifier: BSD-3-Clause
# What the scripts here share: a folder for what the guest is to run, and the test guest that runs it on this machine's file system.
# Source it.

set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../tools/lib.sh"
load_cache_env

# work_beside FILE: makes $work, beside that file because the guest sees that file system; it goes with the script.
work_beside() {
	work=$(mktemp -d "$(dirname "$1")/nested-XXXXXX")
	trap 'rm -rf "$work"' EXIT
}

# in_guest VIOMMU [COMMAND-LINE WORD [ARGUMENT...]]: runs $work/command in the test guest.
in_guest() {
	local viommu=$1 word=${2:-} command=$work/command
	shift $(($# < 2 ? $# : 2))
	chmod +x "$command"
	# A word of a kernel's command line has no spaces.
	command=${command//\\/\\0134}
	"$viommu" run --kernel "$VIOMMU_TEST_KERNEL" --initrd "$VIOMMU_TEST_INITRD" --test host-command \
		--append "command=${command// /\\0040} $word" \
		--qemu-arg -virtfs --qemu-arg local,path=/,mount_tag=host,security_model=none,readonly=on "$@"
}
