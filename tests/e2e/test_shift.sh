#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Texts that outgrow the context: that each token is what follows what is left, in company and with
# a daemon that dies, and what llmctl says.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
LLMOS_CONTEXT=64
export LLMOS_CONTEXT
DAEMON_ARGS="--context $LLMOS_CONTEXT"
daemon_command
run_prog shift

daemon_start
long=$(printf 'One day a girl went to the park. %.0s' 1 2 3 4 5 6 7 8 9 10)
ctl ask --raw --ignore-eos -n 100 --json Once >"$TMP/out" </dev/null
is "$(json .finish <"$TMP/out")" context "without it an answer ends with the context"
ctl ask --raw --ignore-eos -n 100 --json --context-shift Once >"$TMP/out" </dev/null
is "$(json .finish <"$TMP/out")" length "with it, where it is told to"
ctl ask --raw -n 5 "$long" >"$TMP/out" 2>"$TMP/err" </dev/null
is $? 65 "a prompt that is too long is refused"
ctl ask --raw -n 5 --context-shift=8 "$long" >"$TMP/out" 2>"$TMP/err" </dev/null
is $? 0 "unless it may be shifted"
ctl ask --raw -n 5 --context-shift=33 Once >"$TMP/out" 2>"$TMP/err" </dev/null
is $? 65 "more than half of the context can not be kept"
has "$TMP/err" 'more than half' "and it says so"
ctl ask --raw --context-shift=0 Once >"$TMP/out" 2>"$TMP/err" </dev/null
is $? 64 "nor nothing"
daemon_stop
done_testing
