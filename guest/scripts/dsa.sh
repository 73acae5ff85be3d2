# SPDX-License-Identifier: BSD-3-Clause
#
# The DSA through idxd's sysfs interface: what accel-config would do.

BUS=/sys/bus/dsa

# dsa_load: the instruction module and the driver; true once the device is there.
dsa_load()
{
	local tries=50
	modprobe m64emu || return 1
	[ -d $BUS ] || modprobe idxd || return 1
	while [ ! -e $BUS/devices/dsa0/state ] && [ $tries -gt 0 ]; do
		sleep 0.1
		tries=$((tries - 1))
	done
	[ -e $BUS/devices/dsa0/state ]
}

# put VALUE FILE: tells which file refused what.
put()
{
	echo "$1" >"$2" 2>/dev/null || { echo "$2 refused '$1'"; return 1; }
}

# dsa_queue NAME kernel|user dedicated|shared SIZE [ATTRIBUTE=VALUE...]
dsa_queue()
{
	local wq=$BUS/devices/$1 type=$2 mode=$3 size=$4 word driver=user
	[ "$type" = kernel ] && driver=dmaengine
	shift 4
	put 0 $wq/group_id && put $mode $wq/mode && put $size $wq/size && put $type $wq/type &&
		put $driver $wq/name && put $driver $wq/driver_name && put 10 $wq/priority || return 1
	[ $mode = dedicated ] || put $((size * 3 / 4)) $wq/threshold || return 1
	for word; do
		put "${word#*=}" "$wq/${word%%=*}" || return 1
	done
}

# dsa_enable QUEUE...: the device with all its engines in one group, then the queues.
dsa_enable()
{
	local engine wq driver
	for engine in $BUS/devices/dsa0/engine*; do
		put 0 "$engine/group_id" || return 1
	done
	put dsa0 $BUS/drivers/idxd/bind || { echo "dsa0: $(cat $BUS/devices/dsa0/cmd_status)"; return 1; }
	for wq; do
		driver=$(cat $BUS/devices/$wq/driver_name)
		put $wq $BUS/drivers/$driver/bind ||
			{ echo "$wq: $(cat $BUS/devices/dsa0/cmd_status)"; return 1; }
	done
}

dsa_disable()
{
	local wq
	for wq in $BUS/devices/dsa0/wq*; do
		wq=$(basename "$wq")
		[ "$(cat $BUS/devices/$wq/state)" = enabled ] || continue
		put $wq $BUS/drivers/"$(cat $BUS/devices/$wq/driver_name)"/unbind || return 1
	done
	[ "$(cat $BUS/devices/dsa0/state)" != enabled ] || put dsa0 $BUS/drivers/idxd/unbind
}

# The queues of the demo: two for the kernel; for users one shared, one dedicated, and a shared one
# whose requests reach the unit untranslated, so that a refused one is a fault.
demo_queues()
{
	dsa_queue wq0.0 kernel dedicated 32 &&
		dsa_queue wq0.1 kernel shared 32 &&
		dsa_queue wq0.2 user shared 32 block_on_fault=1 &&
		dsa_queue wq0.3 user dedicated 16 block_on_fault=1 &&
		dsa_queue wq0.4 user shared 8 ats_disable=1 &&
		dsa_enable wq0.0 wq0.1 wq0.2 wq0.3 wq0.4
}

# kernel_queues: without PASIDs only this one can be had, a dedicated one for the kernel.
kernel_queues()
{
	dsa_queue wq0.0 kernel dedicated 32 && dsa_enable wq0.0
}

# renew_kernel_queues: disable and enable them. A driver that gives up a channel of idxd's ends it with device_terminate_all, and idxd
# (7.2) takes the queue's interrupt handle away there and gives it back only with the queue: what the next user of the channel submits
# is refused for its handle, without an interrupt that would say so. A disabled queue forgets some of its settings.
renew_kernel_queues()
{
	local wq mode threshold name
	for wq in $BUS/drivers/dmaengine/wq*; do
		[ -e "$wq" ] || continue
		name=$(basename "$wq")
		wq=$BUS/devices/$name
		mode=$(cat $wq/mode) threshold=$(cat $wq/threshold)
		put $name $BUS/drivers/dmaengine/unbind && put $mode $wq/mode && put dmaengine $wq/name && put 10 $wq/priority || return 1
		[ $mode = dedicated ] || put "$threshold" $wq/threshold || return 1
		put $name $BUS/drivers/dmaengine/bind || { echo "$name: $(cat $BUS/devices/dsa0/cmd_status)"; return 1; }
	done
}

# translation_mode: scalable or legacy, from what the kernel was told and found.
translation_mode()
{
	local ecap
	ecap=$(cat /sys/class/iommu/dmar0/intel-iommu/ecap 2>/dev/null || echo 0)
	# ECAP.SMTS, VT-d 11.4.3
	if [ $((0x$ecap >> 43 & 1)) = 1 ] && ! grep -q sm_off /proc/cmdline; then
		echo scalable
	else
		echo legacy
	fi
}

# sva_enabled: a user queue can be opened, which binds the process. The driver's own pasid_enabled says
# yes on any unit, so that is not asked. Wants the demo's queues.
sva_enabled() { (exec 3<>/dev/dsa/wq0.2) 2>/dev/null; }

# any_queues: those of the demo, or what can be had without PASIDs.
any_queues()
{
	if [ "$(translation_mode)" = scalable ]; then
		demo_queues
	else
		kernel_queues
	fi
}

# summaries MARK: dmatest's closing lines that the kernel logged after its line MARK.
summaries() { dmesg | tail -n +$(($1 + 1)) | grep -E 'dmatest: .*summary'; }

# dma_channels: those of the DSA, by name.
dma_channels()
{
	local channel
	for channel in /sys/class/dma/dma*; do
		case $(readlink -f "$channel") in
		*00:06.0*) basename "$channel" ;;
		esac
	done
}

# dmatest_setup ITERATIONS: its parameters, and a channel for each kernel queue. Fails if one cannot be had.
dmatest_setup()
{
	local word at=/sys/module/dmatest/parameters
	[ -d $at ] || modprobe dmatest || { echo 'no dmatest module'; return 1; }
	# The channels of an earlier run, and what giving them up costs.
	if [ -e /tmp/dmatest ]; then
		put 0 $at/run && renew_kernel_queues || return 1
	fi
	for word in iterations=$1 threads_per_chan=2 timeout=10000 test_buf_size=65536; do
		put "${word#*=}" "$at/${word%=*}" || return 1
	done
	for word in $(dma_channels); do
		put "$word" $at/channel || return 1
	done
}

# run_dmatest ITERATIONS [WORKLOAD]: on every channel the DSA offers, two threads each. May be called again.
run_dmatest()
{
	local name=${2:-dmatest} start mark problem pasids=0 wanted tries=1200
	begin "$name"
	problem=$(dmatest_setup $1) || { end "$name" false 0 0 0 0 "$problem"; return 1; }
	wanted=$(($(dma_channels | wc -l) * 2))
	mark=$(dmesg | wc -l)
	start=$(now)
	problem=$(put 1 /sys/module/dmatest/parameters/run) || { end "$name" false 0 0 0 0 "$problem"; return 1; }
	# The module's own "wait" returns at once if no thread has begun yet; so the closing lines are awaited.
	while [ "$(summaries $mark | wc -l)" -lt $wanted ] && [ $tries -gt 0 ]; do
		sleep 0.1
		tries=$((tries - 1))
	done
	[ "$(translation_mode)" = scalable ] && pasids=1
	# dmatest: dma0chan0-copy0: summary 500 tests, 0 failures 6052.61 iops 49024 KB/s (0)
	summaries $mark >/tmp/dmatest
	awk '{
		for (i = 1; i <= NF; i++) {
			if ($i == "tests,") { n = $(i - 1); tests += n }
			if ($i == "failures") failures += $(i - 1)
			if ($i == "iops") rate = $(i - 1)
			if ($i == "KB/s") bytes += rate > 0 ? n / rate * $(i - 1) * 1024 : 0
		}
		threads++
	}
	END { printf "%d %d %d %.0f\n", threads, tests, failures, bytes }' /tmp/dmatest >/tmp/dmatest.sum
	read -r threads tests failures bytes </tmp/dmatest.sum
	problem="$threads threads, $failures failures"
	[ "$threads" = $wanted ] || problem="$problem; $((wanted - threads)) threads did not end"
	end "$name" "$([ "$threads" -gt 0 ] && [ "$threads" = $wanted ] && [ "$tests" -eq $((threads * $1)) ] && [ "$failures" = 0 ] &&
		echo true || echo false)" "$tests" "$bytes" $pasids "$(seconds_since $start)" "$problem"
}

# domain_type DEVICE: what the kernel chose for the device's own DMA.
domain_type() { cat "/sys/bus/pci/devices/$1/iommu_group/type" 2>/dev/null || echo none; }
