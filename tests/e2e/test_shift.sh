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
# in_session COMMAND: a shell's, with a new one
in_session()
{
	ctl session run sh -c "$1"
}

# a conversation that grew by shifts can be saved and brought back
if ctl session run true 2>/dev/null; then
	CTL=$LLMOS_BUILD/llmctl
	export CTL
	# shellcheck disable=SC2016
	in_session '
		shift="--raw --ignore-eos -n 60 --context-shift=4"
		"$CTL" ask $shift "Once upon a time" >"$TMP/first" &&
		"$CTL" ask $shift " Then" >"$TMP/second" &&
		"$CTL" session save "$TMP/saved" &&
		"$CTL" ask $shift " The end" >"$TMP/third"' </dev/null 2>"$TMP/err"
	is $? 0 "a session that is longer than the context" || note "$(cat "$TMP/err")"
	# shellcheck disable=SC2016
	in_session '
		"$CTL" session restore "$TMP/saved" &&
		"$CTL" session save "$TMP/again" &&
		"$CTL" ask --raw --ignore-eos -n 60 --context-shift=4 " The end" >"$TMP/restored"' \
		</dev/null 2>"$TMP/err"
	is $? 0 "is brought back" || note "$(cat "$TMP/err")"
	cmp "$TMP/saved" "$TMP/again"
	is $? 0 "with all that was said"
	cmp "$TMP/third" "$TMP/restored"
	is $? 0 "and goes on as it would have"
fi
daemon_stop
done_testing
