#!/bin/bash
# SPDX-License-Identifier: MIT
#
# swap.sh BUILD MODEL [ROUNDS]: what reading pages back from the disk saves. A prompt is asked, another
# one takes its pages, and it is asked again: the time to its first token, in milliseconds, without a
# swap, with one, and with one where the other prompt comes when the disk has become quiet; the
# median and the least of ROUNDS (5), in turn. For prompts of LLMOS_SWAP_WORDS ("64 256 1024 4096").

set -euo pipefail
(($# >= 2 && $# <= 3)) || { echo "usage: swap.sh BUILD MODEL [ROUNDS]" >&2; exit 64; }
build=$(realpath "$1") model=$(realpath "$2") rounds=${3:-5}
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/llmos-swap.XXXXXX")
daemon=
trap '[[ -z $daemon ]] || kill "$daemon"; wait; rm -rf "$dir"' EXIT
export LD_LIBRARY_PATH=$build${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

ctl()
{
	"$build/llmctl" --address "unix:$dir/socket" "$@"
}

# start KV_MEMORY SWAP_SIZE
start()
{
	"$build/llmosd" --models "${model%/*}" --default-model "$(basename "$model" .gguf)" \
		--listen "unix:$dir/socket" --device none --pack-cache no \
		--kv-memory "$1" --swap-size "$2" --swap-folder "$dir" 2>"$dir/log" &
	daemon=$!
	until ctl status >/dev/null 2>&1; do
		kill -0 "$daemon"
		sleep 0.1
	done
}

stop()
{
	kill "$daemon"
	wait "$daemon" || true
	daemon=
}

# text SEED WORDS
text()
{
	awk -v seed="$1" -v words="$2" 'BEGIN {
		srand(seed)
		for (i = 0; i < words; i++)
			printf "%s%s", i ? " " : "", substr("river house green seven music ", \
				6 * int(rand() * 5) + 1, 5)
	}'
}

# ask FILE: milliseconds
ask()
{
	local begin=$EPOCHREALTIME end
	ctl ask --raw -n 1 -t 0 <"$1" >"$dir/out"
	end=$EPOCHREALTIME
	echo $(((${end/./} - ${begin/./}) / 1000))
}

# settle: until nothing goes to the disk any more
settle()
{
	local before='' now
	while now=$(ctl --json status | tr ',' '\n' | grep swapped_out) && [[ $now != "$before" ]]; do
		before=$now
		sleep 0.3
	done
}

# measure WORDS KV_MEMORY SWAP_SIZE ROUND [LATER]
measure()
{
	text "$4" "$1" >"$dir/a"
	text "1$4" "$1" >"$dir/b"
	start "$2" "$3"
	ask "$dir/a" >/dev/null
	[[ -z ${5:-} ]] || settle
	ask "$dir/b" >/dev/null
	settle
	ask "$dir/a"
	stop
}

median()
{
	sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)], a[1] }'
}

printf '%8s %24s %24s %24s\n' words 'without: median, least' 'with: median, least' \
	'later: median, least'
for words in ${LLMOS_SWAP_WORDS:-64 256 1024 4096}; do
	# room for one of the two, and a little
	kv=$(((words * 5 / 4 + 256) * ${LLMOS_KV_TOKEN_BYTES:-23040}))
	rm -f "$dir/without" "$dir/with" "$dir/later"
	for ((round = 1; round <= rounds; round++)); do
		measure "$words" "$kv" 0 "$round" >>"$dir/without"
		measure "$words" "$kv" 4G "$round" >>"$dir/with"
		measure "$words" "$kv" 4G "$round" later >>"$dir/later"
	done
	read -r m0 l0 < <(median <"$dir/without")
	read -r m1 l1 < <(median <"$dir/with")
	read -r m2 l2 < <(median <"$dir/later")
	printf '%8s %17s ms %s ms %17s ms %s ms %17s ms %s ms\n' "$words" "$m0" "$l0" "$m1" "$l1" \
		"$m2" "$l2"
done
