#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs in the guest: loads llm.ko, runs the suites that /out/suites names, unloads the module and
# looks for what it left. Each suite's slice of the kernel log goes to /out/slice/NAME, what this
# script itself finds goes to /out/tap/module.*.tap. /out/status is written last.

mkdir -p /out/tap /out/slice
# shellcheck disable=SC1091
[ -f /out/environment ] && . /out/environment
export LLMOS_SLOW LLMOS_VEHICLE LLMOS_BUILD LLMOS_TEST_DATA LLMOS_SEED LLMOS_CHAOS_ROUNDS LLMOS_KILLS \
	LLMOS_CHAOS_OPS LLMOS_RATE_SECONDS LLMOS_STRESS_OPERATIONS LLMOS_FAULT_OPERATIONS LLMOS_TIMED

# slice NAME: the kernel log since the last slice
slice()
{
	dmesg -c >"/out/slice/$1"
}

# verdict NAME RESULT: one TAP line of this script's own; RESULT is 0 for ok
verdict()
{
	if [ "$2" -eq 0 ]; then
		printf '1..1\nok 1 - %s\n' "$1" >"/out/tap/module.$1.tap"
	else
		printf '1..1\nnot ok 1 - %s\n' "$1" >"/out/tap/module.$1.tap"
	fi
	echo "$2" >"/out/tap/module.$1.rc"
}

# device_rule NODE MODE GROUP: what udev/60-llm.rules does where udev runs
device_rule()
{
	[ -c "$1" ] && chgrp "$3" "$1" && chmod "$2" "$1"
}

module_load()
{
	insmod /modules/llm.ko 2>/out/insmod.err &&
		device_rule /dev/llm 0660 llm && device_rule /dev/llmd 0600 root
}

# a client killed a moment ago may hold its file for an instant: wait for the count to fall
module_unload()
{
	tries=0
	until rmmod llm 2>/out/rmmod.err; do
		tries=$((tries + 1))
		[ $tries -gt 100 ] && return 1
		usleep 100000
	done
	[ ! -e /dev/llm ] && [ ! -e /dev/llmd ] && [ ! -d /sys/module/llm ]
}

slab_left()
{
	[ -r /proc/slabinfo ] && grep -E '^llm[_-]' /proc/slabinfo
}

# kmemleak reports what it finds unreferenced and older than 5 s: first let everything get that old,
# then scan twice, for an object seen in the first scan may still be on its way out. Stale pointers
# in the allocator hide the first few dozen objects of a size, so a suite must leak in a loop to be
# caught here; a single object of one of our own caches is caught by its destruction.
leak_scan()
{
	leaks=/sys/kernel/debug/kmemleak
	[ -w $leaks ] || return 0
	sleep 6
	# one that has given up, for want of memory, refuses
	echo scan >$leaks && echo scan >$leaks || return 1
	cat $leaks >/out/kmemleak
	[ ! -s /out/kmemleak ]
}

lockdep_alive()
{
	[ -r /proc/lockdep_stats ] || return 0
	[ "$(awk '/debug_locks:/ { print $2 }' /proc/lockdep_stats)" = 1 ]
}

slice boot
if [ -f /modules/llm.ko ]; then
	module_load
	verdict load $?
fi
slice load
while read -r SUITE; do
	export SUITE
	sh "/repo/tests/vm/suites/$SUITE.sh"
	echo $? >"/out/slice/$SUITE.rc"
	slice "$SUITE"
done </out/suites
if [ -f /modules/llm.ko ]; then
	module_unload
	verdict unload $?
	! slab_left >/out/slab
	verdict no-slab-left $?
	leak_scan
	verdict no-leak $?
fi
lockdep_alive
verdict lockdep-alive $?
slice unload
echo finished >/out/status
