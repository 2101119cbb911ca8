#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The daemon itself: a second one, signals, descriptors that run out, and clients whose own
# surroundings fail (a full disk, no descriptors, a closed pipe).

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

tokens=$(pick 60 12)
small_model
daemon_start
first=$DAEMON_PID

# a second daemon
# shellcheck disable=SC2086
within 20 "$LLMOS_BUILD/llmosd" $E2E_LISTEN --models "$TMP/models" </dev/null >"$TMP/second" 2>&1
rc=$?
[ $rc -ne 0 ] && [ $rc -lt 124 ]
ok $? "a second daemon does not start ($rc)"
has "$TMP/second" 'busy|use|already|another' "and says why" || true
is "$(grep -cE 'busy|use|already|another' "$TMP/second")" 1 "in one line"
is "$(status .server_pid)" "$first" "the first one still serves"
ctl ask --raw 'Once upon a time' -n "$tokens" >"$TMP/want" </dev/null
is $? 0 "and answers"

# stopped and continued: nobody notices but by the clock
kill -STOP "$first"
"$LLMOS_BUILD/llmctl" ask --raw 'Once upon a time' -n "$tokens" >"$TMP/got" </dev/null &
E2E_PIDS=$!
if [ "$LLMOS_TRANSPORT" = device ]; then
	# shellcheck disable=SC2317
	listed()
	{
		ctl ps --json | json "[pid=$E2E_PIDS].state" | grep -qE 'queued|running'
	}
	wait_for 10 listed
	ok $? "asked of a stopped daemon, a request is there"
	within 10 "$LLMOS_BUILD/llmctl" status >"$TMP/out" 2>&1
	is $? 69 "status does not wait for a stopped daemon: EX_UNAVAILABLE"
	has "$TMP/out" "$first.*does not answer" "and says which one does not answer"
fi
kill -CONT "$first"
wait $E2E_PIDS
is $? 0 "it is answered when the daemon goes on"
same "$TMP/got" "$TMP/want" "with the same text"

# signals that mean nothing here
for signal in HUP USR1 USR2 PIPE; do
	kill -$signal "$first" 2>/dev/null
	ctl ask --raw 'Once upon a time' -n 5 >"$TMP/out" 2>"$TMP/err" </dev/null
	[ "$(status .server_pid)" = "$first" ] || break
done
if [ "$(status .server_pid)" = "$first" ]; then
	ok 0 "HUP, USR1, USR2 and PIPE do not end it"
else
	ok 1 "SIG$signal does not end it"
	wait "$first" 2>/dev/null
	daemon_start
fi

# SIGTERM while it is at work: it ends at once and well
: >"$TMP/busy"
"$E2E/load" -n 8 >"$TMP/busy" 2>&1 &
busy=$!
E2E_PIDS=$busy
wait_for 10 grep -q busy "$TMP/busy"
daemon_end TERM
is "$DAEMON_STATUS" 0 "SIGTERM at work: it ends well" || note "$(tail -n 20 "$DAEMON_LOG")"
if [ "$LLMOS_TRANSPORT" = socket ]; then
	wait_for 10 ended $busy
	ok $? "and its clients see the end of the connection"
else
	kill $busy
fi
wait $busy 2>/dev/null
daemon_start
ctl ask --raw 'Once upon a time' -n "$tokens" >"$TMP/got" </dev/null
same "$TMP/got" "$TMP/want" "the next one answers the same"
daemon_stop

# few descriptors
DAEMON_FDS=40
daemon_start
if [ "$LLMOS_TRANSPORT" = socket ]; then
	run_prog crowd 100
else
	"$E2E/load" -n 40 -c "$(pick 100 1)" >/dev/null
	is $? 0 "40 requests with 40 descriptors"
fi
daemon_stop
DAEMON_FDS=5
if daemon_try; then
	# five are enough, then it must work
	ctl ask --raw 'Once upon a time' -n 5 >/dev/null </dev/null
	is $? 0 "a daemon with five descriptors that starts answers"
	daemon_end TERM
else
	wait "$DAEMON_PID"
	rc=$?
	[ $rc -gt 0 ] && [ $rc -lt 124 ]
	ok $? "a daemon with five descriptors says so and ends ($rc)"
	has "$DAEMON_LOG" 'Too many open files' "naming the reason"
fi
DAEMON_FDS=
daemon_start

# clients in trouble of their own
as -n 4 - "$LLMOS_BUILD/llmctl" ask --raw Once -n 5 >"$TMP/out" 2>"$TMP/err" </dev/null
rc=$?
[ $rc -eq 0 ] || [ $rc -eq 71 ]
ok $? "llmctl with four descriptors answers or says EX_OSERR ($rc)" || note "$(cat "$TMP/err")"
if [ -e /dev/full ]; then
	ctl ask --raw 'Once upon a time' -n "$tokens" >/dev/full 2>"$TMP/err" </dev/null
	is $? 74 "a full disk: exit code EX_IOERR"
	has "$TMP/err" 'No space left' "in so many words"
	ctl ls --json >/dev/full 2>"$TMP/err" </dev/null
	is $? 74 "for listings too"
else
	skip "a full disk" "no /dev/full here"
fi
(
	# more than a pipe holds, so that it is noticed however late head has a processor
	ctl ask --raw Once --ignore-eos --context-shift -n 50000 2>"$TMP/err" </dev/null
	echo $? >"$TMP/rc"
) | head -c 10 >/dev/null
rc=$(cat "$TMP/rc")
isnt "$rc" 0 "who reads only ten bytes ends it ($rc)"
[ "$(wc -l <"$TMP/err")" -le 1 ]
ok $? "with no more than a line"
ctl ask --raw Once -n 5 >"$TMP/out" 2>"$TMP/err" <&-
is $? 0 "standard input may be closed" || note "$(cat "$TMP/err")"

daemon_stop
done_testing
