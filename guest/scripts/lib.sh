# SPDX-License-Identifier: BSD-3-Clause
#
# What guest scripts share: reports, kernel parameters, and the PCI side of the machine.

DSA=0000:00:06.0
TESTDEV=0000:00:07.0

log() { echo "guest: $*" >/dev/console; }

# report LINE: one JSON object to whoever started the guest.
report() { echo "$1" >"$REPORT"; }

# quote TEXT: as a JSON string.
quote()
{
	printf '"%s"' "$(printf '%s' "$1" | tr '\n\t\r' '   ' | sed 's/[\\"]/\\&/g')"
}

# check NAME true|false [DETAIL]
check()
{
	[ "$2" = true ] || touch /tmp/failed
	report "{\"event\":\"check\",\"name\":$(quote "$1"),\"pass\":$2,\"detail\":$(quote "${3:-}")}"
	log "$([ "$2" = true ] && echo ok || echo FAILED): $1${3:+ ($3)}"
}

# expect NAME COMMAND...: a check that the command succeeds; its last line is the detail.
expect()
{
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		check "$name" true "$(echo "$out" | tail -n 1)"
	else
		check "$name" false "$(echo "$out" | tail -n 3)"
	fi
}

begin()
{
	report "{\"event\":\"begin\",\"workload\":\"$1\"}"
	log "$1"
}

# end WORKLOAD true|false OPERATIONS BYTES PASIDS SECONDS [DETAIL]
end()
{
	[ "$2" = true ] || touch /tmp/failed
	report "{\"event\":\"end\",\"workload\":\"$1\",\"pass\":$2,\"operations\":$3,\"bytes\":$4,\"pasids\":$5,\"seconds\":$6,\"detail\":$(quote "${7:-}")}"
	log "$1: $([ "$2" = true ] && echo PASS || echo FAIL): $3 operations, $4 bytes, $6 s${7:+ ($7)}"
}

# parameter NAME DEFAULT: from the kernel command line.
parameter()
{
	local word value=$2
	for word in $(cat /proc/cmdline); do
		case $word in
		"$1"=*) value=${word#*=} ;;
		esac
	done
	echo "$value"
}

# uptime in hundredths of a second, and the seconds since such a moment.
now() { cut -d' ' -f1 /proc/uptime | tr -d .; }
seconds_since()
{
	local d=$(($(now) - $1))
	echo "$((d / 100)).$(printf %02d $((d % 100)))"
}

present() { [ -e "/sys/bus/pci/devices/$1" ]; }

# bind_driver DEVICE DRIVER: moves a PCI function to a driver.
bind_driver()
{
	local dev=/sys/bus/pci/devices/$1
	[ -e "$dev/driver" ] && echo "$1" >"$dev/driver/unbind"
	echo "$2" >"$dev/driver_override"
	echo "$1" >/sys/bus/pci/drivers_probe
	[ "$(basename "$(readlink "$dev/driver")")" = "$2" ]
}

# kernel_lines PATTERN: the kernel's messages that match.
kernel_lines() { dmesg | grep -E "$1"; }

# program NAME...: runs a guest program, which reports for itself; one that dies is a failed check.
program()
{
	local status=0
	"$@" || status=$?
	[ $status -le 1 ] || check "$1" false "ended with status $status"
	return $status
}

# clean_log: a last check of every script.
clean_log()
{
	local bad
	bad=$(kernel_lines 'BUG:|Oops|WARNING:|general protection|soft lockup|hung task|DMAR hardware is malf' |
		head -n 1)
	check 'no complaint of the kernel' "$([ -z "$bad" ] && echo true || echo false)" "$bad"
}
