#!/bin/sh
# SPDX-License-Identifier: MIT
#
# More answers at once than the cache has room for: those that had to make way read their pages back
# from the disk. No byte of an answer depends on it.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

STREAMS='1 2 3 4 5 6 7 8'
small_model
mkdir "$TMP/swap"

# ask_one NUMBER FOLDER: a prompt of some pages, and an answer of some more
ask_one()
{
	i=$1
	ctl ask --raw --ignore-eos -n 150 -t 0.8 --seed "$i" "Child number $i went to the park. $(
		printf 'It saw a big tree and a small dog there. %.0s' 1 2 3 4 5 6 7 8 9)" \
		>"$2/$i" 2>"$2/$i.err" </dev/null
}

# ask_all FOLDER: at the same time
ask_all()
{
	mkdir "$1"
	pids=
	for stream in $STREAMS; do
		ask_one "$stream" "$1" &
		pids="$pids $!"
	done
	for pid in $pids; do
		wait "$pid" || return 1
	done
}

# all_same FOLDER WHAT
all_same()
{
	for stream in $STREAMS; do
		cmp -s "$TMP/alone/$stream" "$1/$stream" || same=no
		[ -s "$1/$stream" ] || same=no
	done
	is "$same" yes "$2"
	same=yes
}

same=yes
daemon_start
mkdir "$TMP/alone"
for stream in $STREAMS; do
	ask_one "$stream" "$TMP/alone"
done
daemon_stop

DAEMON_ARGS='--kv-memory 1M --prefix-cache no'
daemon_start
ask_all "$TMP/without"
ok $? "eight answers, with room for three"
all_same "$TMP/without" "they are those that come one by one"
is "$(status .kv_pages_swapped)" 0 "nothing is on the disk"
daemon_stop

DAEMON_ARGS="--kv-memory 1M --prefix-cache no --swap-size 16M --swap-folder $TMP/swap"
daemon_start
ask_all "$TMP/with"
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
ask_all "$TMP/nowhere.d"
ok $? "the same where there is no place for it"
all_same "$TMP/nowhere.d" "they are those that come one by one"
has "$DAEMON_LOG" 'no swap: No such file' "and it says so"
daemon_stop
done_testing
