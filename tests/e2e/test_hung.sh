#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A model on a disk that does not answer: only who asks for it waits, and the daemon does not, not even
# at its end. What stands for the disk is a tracer that holds the thread which reads it.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

[ "$LLMOS_SCALE" -eq 1 ] || skip_all "forty clients at once take long here"
# whoever is traced can not look for leaks
export ASAN_OPTIONS="$ASAN_OPTIONS:detect_leaks=0"
small_model
model "$LLMOS_TREE/models/$SMALL.gguf" first.gguf
model "$LLMOS_TREE/models/$SMALL.gguf" second.gguf
"$E2E/hold" "$TMP" /bin/true 2>"$TMP/hold.err" || skip_all "no tracer here: $(cat "$TMP/hold.err")"
DAEMON_UNDER="$E2E/hold $TMP"

# ask MODEL: its answer
ask()
{
	ctl ask -m "$1" --raw --temperature 0 -n 12 'Once upon a time' 2>&1
}

# ask_held MODEL: in the background, and nobody reads its file
ask_held()
{
	touch "$TMP/hold"
	wait_for 10 test -e "$TMP/armed"
	ask "$1" >"$TMP/held" &
	WAITING=$!
	E2E_PIDS="$E2E_PIDS $WAITING"
	wait_for 10 test ! -e "$TMP/armed"
}

# the broker has them all (wait_for calls it)
# shellcheck disable=SC2317
crowd_waits()
{
	[ "$(status .requests)" -ge 41 ]
}

CROWD=
DAEMON_ARGS="--slots=2"
daemon_start
want=$(ask "$SMALL")
isnt "$want" "" "a model answers"
ask_held first
ok $? "the file of another one hangs"
# far more than there are slots
for i in $(seq 40); do
	ask first >"$TMP/crowd.$i" &
	E2E_PIDS="$E2E_PIDS $!"
	CROWD="$CROWD $!"
done
wait_for 10 crowd_waits
ok $? "and many ask for it"
is "$(ask second)" "$want" "one more is opened and loaded meanwhile"
is "$(ask "$SMALL")" "$want" "and the first one goes on"
kill -0 "$WAITING" 2>/dev/null
ok $? "who asked for what hangs waits"
touch "$TMP/release"
wait "$WAITING"
# shellcheck disable=SC2086
wait $CROWD
is "$(cat "$TMP/crowd."* | sort -u)" "$want" "all of them are answered when it hangs no longer"
is "$(cat "$TMP/held")" "$want" "also who was the first"
daemon_stop

daemon_start
is "$(ask "$SMALL")" "$want" "another daemon answers"
ask_held first
ok $? "it hangs once more"
daemon_end TERM
is "$DAEMON_STATUS" 0 "llmosd ends well on SIGTERM all the same"
has "$DAEMON_LOG" "ending without it" "and says why"
done_testing
