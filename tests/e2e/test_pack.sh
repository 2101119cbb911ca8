#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Packed weights are kept for the next start, which says the same; a model that is replaced, a file
# that is broken and a folder that can't be used cost time and no answer.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

facts=$LLMOS_TEST_DATA/models
[ -f "$facts/stories3M-q8_0.gguf" ] || skip_all "no stories3M-q8_0.gguf in LLMOS_TEST_DATA"
model "$facts/stories3M-q8_0.gguf" quantised.gguf
cache=$TMP/cache

# ask: what the model says now, loaded by a daemon of its own
ask()
{
	: >"$DAEMON_LOG"
	daemon_start
	ctl ask -m quantised --raw --temperature 0 -n 24 'Once upon a time' 2>&1
	daemon_end TERM
}

# logged TEXT
logged()
{
	grep -q "$1" "$DAEMON_LOG"
}

# the files that are kept
kept()
{
	find "$cache" -type f | wc -l
}

DAEMON_ARGS=--pack-cache=no
ask >"$TMP/want"
if ! logged 'packed weights, in memory'; then
	isnt "$(cat "$TMP/want")" "" "weights are multiplied from the file"
	skip "what is kept" "this machine has no instructions for panels"
	done_testing
fi
want=$(cat "$TMP/want")
isnt "$want" "" "packed weights in memory answer"

DAEMON_ARGS="--pack-cache=$cache"
ask >"$TMP/answer"
is "$(cat "$TMP/answer")" "$want" "the same when they are kept"
logged 'kept for the next start'
ok $? "the log says so"
is "$(kept)" 1 "there is one file"
is "$(stat -c %a "$cache")" 700 "in a folder for the daemon alone"

ask >"$TMP/answer"
is "$(cat "$TMP/answer")" "$want" "the same from what was kept"
logged 'found as they were kept'
ok $? "the log says so"

for file in "$cache"/*; do
	truncate -s $(($(stat -c %s "$file") - 1)) "$file"
done
ask >"$TMP/answer"
is "$(cat "$TMP/answer")" "$want" "the same where it was cut off"
logged 'is broken' && logged 'kept for the next start'
ok $? "it is told, and packed anew"

cp "$TMP/models/quantised.gguf" "$TMP/models/new"
mv "$TMP/models/new" "$TMP/models/quantised.gguf"
ask >"$TMP/answer"
is "$(cat "$TMP/answer")" "$want" "another file in its place"
logged 'is of another file' && logged 'kept for the next start'
ok $? "is packed anew"
is "$(kept)" 1 "and the old one is gone"

chmod 777 "$cache"
ask >"$TMP/answer"
is "$(cat "$TMP/answer")" "$want" "the same where others may write"
logged 'others may write' && logged 'packed weights, in memory'
ok $? "it is told, and nothing is kept"
chmod 700 "$cache"

# what the service manager gives
DAEMON_ARGS=
CACHE_DIRECTORY=$TMP/given
export CACHE_DIRECTORY
ask >"$TMP/answer"
is "$(cat "$TMP/answer")" "$want" "the same in the folder that the environment names"
[ -n "$(find "$TMP/given" -type f)" ]
ok $? "it is there"
unset CACHE_DIRECTORY

# a page that is lost under way ends the daemon with a line, as with a model's own file
: >"$DAEMON_LOG"
DAEMON_ARGS="--pack-cache=$cache"
daemon_start
ctl ask -m quantised --raw -n 2 'Once' >"$TMP/answer" 2>&1
case ${LLMOS_VEHICLE:-} in
uml*)
	# there it is a SIGSEGV, which the kernel logs
	skip "a lost page" "this kernel has no SIGBUS for pages that are gone"
	daemon_end TERM
	;;
*)
	truncate -s 4096 "$cache"/*
	ctl ask -m quantised --raw -n 24 'Once upon a time' >"$TMP/answer" 2>&1 &
	asker=$!
	DAEMON_STATUS=0
	wait "$DAEMON_PID" || DAEMON_STATUS=$?
	DAEMON_PID=
	is "$DAEMON_STATUS" 74 "a lost page ends the daemon"
	logged "model 'quantised': a page of its file can not be read"
	ok $? "which says whose it was"
	is "$(find "$cache" -name '*.panels' | wc -l)" 0 "what was kept and can't be read is removed"
	kill "$asker" 2>/dev/null
	wait "$asker" 2>/dev/null
	ask >"$TMP/answer"
	is "$(cat "$TMP/answer")" "$want" "the next one packs anew"
	;;
esac
daemon_start
daemon_stop

done_testing
