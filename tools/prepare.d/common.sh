# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What every part of tools/prepare shares: the cache, its locks, the published variables, and the
# private apt roots that fetch packages of other suites or architectures without touching the system.
#
# An item of the cache is a folder named after its content (package version, or a hash of what it is
# made from). It is built in a temporary folder beside it and renamed when complete, so a folder that
# exists under its final name is whole and is never changed again.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=../lib.sh
. "$TOP/tools/lib.sh"
CACHE=$VIOMMU_CACHE
ENV_FILE=$CACHE/env
JOBS=${JOBS:-$(nproc)}
BACKPORTS=trixie-backports
IMAGES_KEPT=6
ITEMS_KEPT=2

say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'prepare: %s\n' "$*" >&2; exit 1; }

# open_cache: to be called first.
open_cache()
{
	case $CACHE in
	*[[:space:]:]*) die "the kernel's makefiles cannot work in '$CACHE': set XDG_CACHE_HOME to a path without spaces and colons" ;;
	esac
	mkdir -p "$CACHE/locks" 2>/dev/null && [ -w "$CACHE" ] && [ -w "$CACHE/locks" ] ||
		die "cannot write to $CACHE: set XDG_CACHE_HOME to a folder for downloads and what is built once (4 GB)"
}

# with_lock NAME COMMAND...: one process at a time; says so when it has to wait for another.
with_lock()
{
	local name=$1 fd rc=0
	shift
	exec {fd}>"$CACHE/locks/$name"
	if ! flock -w 2 "$fd"; then
		say "waiting for another run that holds '$name'"
		flock "$fd"
	fi
	"$@" || rc=$?
	exec {fd}>&-
	return $rc
}

write_variable()
{
	local name=$1 value=$2 tmp
	tmp=$(mktemp "$CACHE/.env.XXXXXX")
	[ -f "$ENV_FILE" ] && grep -v "^$name=" "$ENV_FILE" >"$tmp" || :
	printf '%s=%q\n' "$name" "$value" >>"$tmp"
	sort -o "$tmp" "$tmp"
	chmod 644 "$tmp"
	mv "$tmp" "$ENV_FILE"
}

# publish NAME VALUE: records the variable in $CACHE/env (for scripts) and prints it.
publish()
{
	with_lock env write_variable "$1" "$2"
	printf '%s=%q\n' "$1" "$2"
}

# published NAME: the recorded value if the path it names still exists.
published()
{
	local value
	[ -f "$ENV_FILE" ] || return 1
	# shellcheck disable=SC1090
	value=$(. "$ENV_FILE" && printf '%s' "${!1:-}")
	[ -n "$value" ] && [ -e "$value" ] && printf '%s\n' "$value"
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# build_item DIR COMMAND...: runs the command in a temporary folder and gives that its name.
build_item()
{
	local dir=$1 tmp
	shift
	if [ -d "$dir" ]; then
		touch "$dir" # in use: see drop_old
		return 0
	fi
	# What a run that was killed has left.
	find "$CACHE" -maxdepth 1 \( -name '.building.*' -o -name '.env.*' \) -mmin +1440 -exec rm -rf {} +
	tmp=$(mktemp -d "$CACHE/.building.XXXXXX")
	chmod 755 "$tmp"
	if ! (cd "$tmp" && "$@"); then
		rm -rf "$tmp"
		return 1
	fi
	mv -T "$tmp" "$dir"
}

# drop_old LOCK KEEP MINUTES PATTERN: items of one kind that nobody needs: not among the KEEP used last, nor used in as many MINUTES,
# nor named in the environment. Not now if somebody has the lock of that kind. An item loses its name first: what has a name is whole.
drop_old()
{
	local fd dir tmp
	exec {fd}>"$CACHE/locks/$1"
	flock -n "$fd" || { exec {fd}>&-; return 0; }
	find "$CACHE" -maxdepth 1 -type d -name "$4" -printf '%T@ %p\n' | sort -rn | tail -n +$(($2 + 1)) | cut -d' ' -f2- |
		while read -r dir; do
			[ -n "$(find "$dir" -maxdepth 0 -mmin +"$3")" ] || continue
			! grep -qF "=$dir" "$ENV_FILE" 2>/dev/null || continue
			tmp=$(mktemp -d "$CACHE/.building.XXXXXX") && mv "$dir" "$tmp/" && rm -rf "$tmp"
		done
	exec {fd}>&-
}

drop_old_images() { drop_old "image-$1" $IMAGES_KEPT 60 "image-$1-*"; }

# tidy: after all parts. A day is enough for whoever works with two versions in turn.
tidy()
{
	local kind
	for kind in kernel headers dmatest qemu riscv; do
		drop_old $kind $ITEMS_KEPT 1440 "$kind-*"
	done
	drop_old source $ITEMS_KEPT 1440 'linux-source-*'
	drop_old test-kernel $((2 * ITEMS_KEPT)) 1440 'test-kernel-*' # each has its selftests beside it
	for kind in stock test riscv; do
		drop_old_images $kind
	done
}

# The mirror the system already uses for Debian itself, and the keys it trusts for it.
debian_mirror()
{
	local site
	site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Label: Debian' | sed 1q)
	[ -n "$site" ] ||
		site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Component: main' |
			sed 1q)
	[ -n "$site" ] || die "apt knows no mirror; is /etc/apt configured?"
	printf '%s\n' "$site"
}

# apt_root ARCH: makes the private root on first use and sets APT_CONFIG for it. The lists are
# fetched again when they are older than a day, because package versions move.
apt_root()
{
	APT_DIR=$CACHE/apt/$1
	with_lock apt make_apt_root "$1"
}

make_apt_root()
{
	local arch=$1 mirror key stamp=$APT_DIR/updated
	mkdir -p "$APT_DIR"/etc/apt/{apt.conf.d,preferences.d,trusted.gpg.d} \
		"$APT_DIR"/var/lib/apt/lists/partial "$APT_DIR"/var/lib/dpkg \
		"$APT_DIR"/var/cache/apt/archives/partial
	if [ ! -s "$APT_DIR/etc/apt/sources.list" ]; then
		mirror=$(unset APT_CONFIG; debian_mirror) || return 1
		key=/usr/share/keyrings/debian-archive-keyring.gpg
		[ -r $key ] || die "the Debian archive keyring ($key) is missing"
		: >"$APT_DIR/var/lib/dpkg/status"
		# The system's way to the network: proxies, timeouts, retries.
		(unset APT_CONFIG; apt-config dump Acquire) >"$APT_DIR/etc/apt/apt.conf.d/10system"
		cat >"$APT_DIR/apt.conf" <<-EOF
			Dir "$APT_DIR";
			Dir::State::status "$APT_DIR/var/lib/dpkg/status";
			APT::Architecture "$arch";
			APT::Architectures { "$arch"; };
			APT::Sandbox::User "";
			APT::Install-Recommends "false";
			Debug::NoLocking "1";
			Acquire::Retries "3";
		EOF
		printf 'Package: *\nPin: release n=%s\nPin-Priority: 990\n' $BACKPORTS \
			>"$APT_DIR/etc/apt/preferences"
		# The last thing: with it the root is whole.
		printf 'deb [signed-by=%s] %s %s main\n' $key "$mirror" trixie \
			$key "$mirror" $BACKPORTS >"$APT_DIR/sources.part" &&
			mv "$APT_DIR/sources.part" "$APT_DIR/etc/apt/sources.list"
	fi
	export APT_CONFIG=$APT_DIR/apt.conf
	if [ -z "$(find "$stamp" -mmin -1440 2>/dev/null)" ]; then
		say "reading the package lists of trixie and $BACKPORTS ($arch)"
		if apt-get -qq update 2>"$APT_DIR/log" || { sleep 5; apt-get -qq update 2>"$APT_DIR/log"; }; then
			touch "$stamp"
		else
			# A mirror in the middle of its own update lacks one list; the next run asks again.
			say "some package lists could not be fetched; going on with those there are:"
			grep -m 1 '^E:' "$APT_DIR/log" >&2
		fi
	fi
}

# candidate PACKAGE: the version apt would install, preferring the backports.
candidate()
{
	apt-cache policy "$1" 2>/dev/null |
		sed -n 's/^  Candidate: //p' | grep -v '(none)'
}

# again COMMAND...: once more with fresh package lists if it fails; versions move in the mirror.
again()
{
	"$@" && return
	say "trying again with fresh package lists"
	apt-get -qq update >&2
	"$@"
}

archived() { ls "$APT_DIR/var/cache/apt/archives/${1}_${2/:/%3a}"_*.deb 2>/dev/null; }

download_closure()
{
	apt-get -q -y --download-only install "$@" | { grep -E '^(Get|Need|Fetched|Err)' || :; } >&2
}

# fetch_closure PACKAGE...: these packages and all they depend on, resumable; prints the files.
fetch_closure()
{
	local name version
	say "downloading $* with dependencies"
	again download_closure "$@" || return 1
	apt-get -y -s install "$@" | sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1 \2/p' |
		while read -r name version; do
			archived "${name%%:*}" "$version" || return 1
		done
}

download_one()
{
	local version
	version=$(candidate "$1") || { say "no package $1 in the mirror"; return 1; }
	archived "$1" "$version" >/dev/null && return
	say "downloading $1 $version"
	(cd "$APT_DIR/var/cache/apt/archives/partial" && apt-get -q download "$1=$version" >&2 && mv "${1}_"*.deb ..)
}

# fetch_only PACKAGE...: just these; prints the files.
fetch_only()
{
	local name
	for name; do
		again download_one "$name" && archived "$name" "$(candidate "$name")" || return 1
	done
}

# unpack_all FILE...: into the current folder.
unpack_all()
{
	local deb
	for deb; do
		dpkg-deb -x "$deb" . || return 1
	done
}

# hash_of FILE...: twelve digits that name their content.
hash_of() { cat "$@" | sha256sum | cut -c1-12; }
