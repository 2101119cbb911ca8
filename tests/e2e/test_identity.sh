#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Who asked, as ps shows it: pid, user and cgroup of a request are the kernel's word, checked against
# /proc, also for another user and in another cgroup.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
daemon_start

# seen PID: a line of ps with that pid, in $TMP/ps
# shellcheck disable=SC2317
seen()
{
	ctl ps --json >"$TMP/ps" && json "[pid=$1].id" <"$TMP/ps" >/dev/null
}

# check PID WHO: what ps says of it against /proc
check()
{
	wait_for 10 seen "$1"
	ok $? "$2: ps shows pid $1" || note "$(cat "$TMP/ps")"
	is "$(json "[pid=$1].uid" <"$TMP/ps")" "$(awk '/^Uid:/ { print $2 }' "/proc/$1/status")" \
		"$2: uid"
	is "$(json "[pid=$1].cgroup" <"$TMP/ps")" "$(sed -n 's/^0:://p' "/proc/$1/cgroup")" \
		"$2: cgroup"
	json "[pid=$1].state" <"$TMP/ps" | grep -qE 'queued|running'
	ok $? "$2: state"
	kill "$1"
	wait "$1" 2>/dev/null
	wait_for 10 gone "$1"
	ok $? "$2: gone when it ended"
}

# shellcheck disable=SC2317
gone()
{
	! seen "$1"
}

"$E2E/load" >/dev/null &
E2E_PIDS=$!
check $E2E_PIDS "this user"

if have_user alice && have_user bob; then
	"$E2E/as" alice "$E2E/load" >/dev/null &
	E2E_PIDS=$!
	check $E2E_PIDS alice
	"$E2E/as" bob "$E2E/load" >/dev/null &
	E2E_PIDS=$!
	check $E2E_PIDS bob
else
	skip "other users" "no users alice and bob here"
fi

top=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
if [ -n "$top" ] && mkdir "$top/llmos-e2e.$$" 2>/dev/null; then
	E2E_CGROUP=$top/llmos-e2e.$$
	"$E2E/as" -g "$E2E_CGROUP" - "$E2E/load" >/dev/null &
	E2E_PIDS=$!
	wait_for 10 seen $E2E_PIDS
	is "$(json "[pid=$E2E_PIDS].cgroup" <"$TMP/ps" | sed 's|.*/||')" "llmos-e2e.$$" \
		"another cgroup: its path"
	is "$(json "[pid=$E2E_PIDS].cgroup_id" <"$TMP/ps")" "$(stat -c %i "$E2E_CGROUP")" \
		"another cgroup: its id is the folder's inode"
	check $E2E_PIDS "another cgroup"
else
	skip "another cgroup" "no writable cgroup v2 here"
fi

daemon_stop
done_testing
