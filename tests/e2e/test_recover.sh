#!/bin/sh
# SPDX-License-Identifier: MIT
#
# kill -9 of llmosd, again and again, in the middle of streams; how long requests wait for the next
# daemon, and what they get when none comes.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
daemon_command
run_prog recover

if [ "$LLMOS_TRANSPORT" = device ]; then
	# asked while there is no daemon: answered by the next one
	"$LLMOS_BUILD/llmctl" ask --raw 'Once upon a time' -n 20 >"$TMP/early" </dev/null &
	E2E_PIDS=$!
	# shellcheck disable=SC2317
	waiting()
	{
		ctl ps --json | json "[pid=$E2E_PIDS].state" | grep -q queued
	}
	wait_for 10 waiting
	ok $? "without a daemon a request waits"
	daemon_start
	wait $E2E_PIDS
	is $? 0 "the next daemon answers it"
	ctl ask --raw 'Once upon a time' -n 20 >"$TMP/late" </dev/null
	same "$TMP/early" "$TMP/late" "as it would have been answered before"
	daemon_stop

	# nobody comes
	timeout_s=/sys/module/llm/parameters/recover_timeout_s
	was=$(cat $timeout_s)
	echo 1 >$timeout_s
	ctl ask --raw 'Once upon a time' >"$TMP/out" 2>"$TMP/err" </dev/null
	is $? 75 "no daemon comes: exit code EX_TEMPFAIL"
	is "$(wc -l <"$TMP/err")" 1 "in one line"
	echo "$was" >$timeout_s
else
	daemon_start
	ctl ask --raw 'Once upon a time' -n 20 >"$TMP/out" </dev/null
	is $? 0 "a new daemon takes over the socket of one that was killed"
	daemon_stop
	[ ! -e "$TMP/s" ]
	ok $? "one that ends well removes its socket"
	ctl ask Once >"$TMP/out" 2>"$TMP/err" </dev/null
	is $? 69 "nobody there: exit code EX_UNAVAILABLE"
	has "$TMP/err" 'llmosd running' "and a hint"
fi
done_testing
