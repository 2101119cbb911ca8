#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Who gets how much of what the daemon does, when all want more than there is: cgroups, nested ones,
# users and files, one client against many.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

top=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
tokens=$(pick 20000 4000)
# where tokens are few, what is granted at once is much of them
error=$(pick 20 150)
g=
small_model
daemon_start

# files of the same user share alike, however much they ask for
run_prog share -n "$tokens" -e "$error" here:1:32:1 here:3:8:3

if [ "$(id -u)" = 0 ]; then
	[ "$LLMOS_TRANSPORT" = device ] || chmod 777 "$TMP/s"
	run_prog share -n "$tokens" -e "$error" uid=65501:1:20:1 uid=65502:20:1:1
else
	skip "users" "needs root"
fi

if [ -n "$top" ] && mkdir "$top/llmos-fair.$$" 2>/dev/null; then
	g=$top/llmos-fair.$$
	E2E_CGROUP="$g/b/y $g/b/x $g/a $g/b $g"
	mkdir -p "$g/a" "$g/b/x" "$g/b/y"
	run_prog share -n "$tokens" -e "$error" "$g/a:1:24:1" "$g/b:64:1:1"
	run_prog share -n "$tokens" -e "$error" "$g/a:4:8:2" "$g/b/x:1:24:1" "$g/b/y:24:1:1"
	if [ "$LLMOS_TRANSPORT" = device ]; then
		# weights: three to one within a hundredth; at two levels within two
		ctl quota set "${g#"$top"}/a" weight=300
		ok $? "a weight is set"
		run_prog share -n "$tokens" -e "$((error / 2))" "$g/a:1:32:3" "$g/b:32:1:1"
		ctl quota set "${g#"$top"}/b" weight=200 && ctl quota set "${g#"$top"}/b/x" weight=250
		ok $? "weights at two levels are set"
		run_prog share -n "$tokens" -e "$error" "$g/a:1:32:21" "$g/b/x:32:1:10" \
			"$g/b/y:1:32:4"
		ctl quota reset --all
		ok $? "weights are reset"
	else
		skip "weights" "they are the module's"
	fi
else
	skip "cgroups" "no writable cgroup v2 here"
fi

daemon_stop

# where a prompt fits into a step
if [ "$LLMOS_SCALE" -ne 1 ]; then
	skip "time to the first token" "timings mean nothing on this vehicle"
elif [ -n "$g" ]; then
	DAEMON_ARGS="--batch-tokens=512 --prefix-cache=no"
	daemon_start
	run_prog first "$g/a" "$g/b:64:1:1"
	daemon_stop
else
	skip "time to the first token" "no writable cgroup v2 here"
fi
done_testing
