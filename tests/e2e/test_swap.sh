#!/bin/sh
# SPDX-License-Identifier: MIT
#
# More answers at once than the cache has room for: those that had to make way read their pages back
# from the disk. No byte of an answer depends on it.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
mkdir "$TMP/swap"

# ask alone|together FOLDER: eight answers, each a file of the folder
ask()
{
	mkdir "$2"
	within 300 "$E2E/swap" "$1" "$2" >"$TMP/said" 2>&1
	rc=$?
	[ -s "$TMP/said" ] && note "$(cat "$TMP/said")"
	return $rc
}

# all_same FOLDER WHAT
all_same()
{
	for stream in 0 1 2 3 4 5 6 7; do
		cmp -s "$TMP/alone/$stream" "$1/$stream" || same=no
		[ -s "$1/$stream" ] || same=no
	done
	is "$same" yes "$2"
	same=yes
}

same=yes
daemon_start
ask alone "$TMP/alone"
ok $? "eight answers, one after the other"
daemon_stop

DAEMON_ARGS='--kv-memory 1M --prefix-cache no'
daemon_start
ask together "$TMP/without"
ok $? "eight answers, with room for three"
all_same "$TMP/without" "they are those that come one by one"
is "$(status .kv_pages_swapped)" 0 "nothing is on the disk"
daemon_stop

DAEMON_ARGS="--kv-memory 1M --prefix-cache no --swap-size 16M --swap-folder $TMP/swap"
daemon_start
ask together "$TMP/with"
ok $? "the same with a swap"
all_same "$TMP/with" "they are those that come one by one"
[ "$(status .kv_pages_swapped)" -gt 0 ]
ok $? "$(status .kv_pages_swapped) pages went to the disk"
[ "$(status .reused_tokens)" -gt 0 ]
ok $? "$(status .reused_tokens) tokens were read back"
is "$(find "$TMP/swap" -mindepth 1 | wc -l)" 0 "the file has no name"
daemon_stop

DAEMON_ARGS="--kv-memory 1M --prefix-cache no --swap-size 16M --swap-folder $TMP/nowhere"
daemon_start
ask together "$TMP/nowhere.d"
ok $? "the same where there is no place for it"
all_same "$TMP/nowhere.d" "they are those that come one by one"
# by a thread of its own, beside the answers
wait_for 60 grep -q 'no swap: No such file' "$DAEMON_LOG"
is "$(grep -c 'no swap: No such file' "$DAEMON_LOG")" 1 "and it says so, once"
daemon_stop
done_testing
