#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A request ends with its asker: by a call, by close, by kill -9, by Ctrl-C; its slot is free within
# one step.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
# a prompt of 500 tokens takes more than a hundred steps
DAEMON_ARGS="--slots=2 --batch-tokens=4 --prefix-cache=no"
daemon_start
run_prog cancel
daemon_stop
DAEMON_ARGS=
daemon_start

# Ctrl-C at the command line, while others keep the daemon busy
: >"$TMP/busy"
"$E2E/load" -n "$(pick 24 4)" >"$TMP/busy" &
busy=$!
E2E_PIDS=$busy
wait_for 10 grep -q busy "$TMP/busy"
ok $? "a busy daemon"
# an answer that is as good as endless: it is not over when the signal comes, however late that is
"$E2E/as" - "$LLMOS_BUILD/llmctl" ask --raw Once --ignore-eos --context-shift -n 50000 \
	>"$TMP/out" 2>"$TMP/err" </dev/null &
asker=$!
E2E_PIDS="$busy $asker"
wait_for 20 test -s "$TMP/out"
ok $? "an answer begins"
kill -INT $asker
wait $asker
is $? 130 "Ctrl-C: exit code 130"
[ "$(wc -c <"$TMP/out")" -lt 50000 ]
ok $? "before the end of the answer: $(wc -c <"$TMP/out") bytes"
# shellcheck disable=SC2317
gone()
{
	ctl ps --json >"$TMP/ps" && ! json "[pid=$asker].pid" <"$TMP/ps" >/dev/null
}
wait_for 10 gone
ok $? "its request is gone"
kill $busy
wait $busy 2>/dev/null
wait_for 10 settled
ok $? "SIGTERM of the others frees all they had" || note "$(cat "$TMP/settled")"
at_most "$(status .cancel_steps_max)" 1 "within one step"

daemon_stop
done_testing
