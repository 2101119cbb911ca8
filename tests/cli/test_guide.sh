#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Types every example of Documentation/guide.md that is for a shell without privileges, one after the
# other as it stands there, in a home where the files lie that it speaks of.

# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

GUIDE=$TREE/Documentation/guide.md
HUB=$TREE/tests/hub

# a model for each name
mkdir -p "$HOME/Downloads" "$TMP/work"
cp "$TREE/models/$MODEL.gguf" "$HOME/Downloads/smollm2.gguf"
cp -r "$HUB/llama" "$HOME/Downloads/my-llama"
cp -r "$HUB/adapters/plain" "$HOME/Downloads/pirate"
cp -r "$HUB/encoder" "$HOME/Downloads/all-MiniLM"
cp -r "$HUB/reranker" "$HOME/Downloads/reranker"
cp -r "$HUB/labels" "$HOME/Downloads/moods"
cd "$TMP/work" || exit 1

mapfile -t lines < <(sed -nE 's/^    \$ //p' "$GUIDE")
[[ ${#lines[@]} -gt 25 ]]
ok $? "the guide has examples"
for line in "${lines[@]}"; do
	line=${line//\/tmp\/llm.sock/$TMP/socket}
	# the kernel's log is root's
	line=${line/#dmesg/echo disk full}
	if [[ $line == *'&' ]]; then
		eval "$line" >"$TMP/llmosd.log" 2>&1
		DAEMON=$!
		LLMOS_ADDRESS=unix:$TMP/socket wait_for daemon_answers
	elif [[ $line == export* ]]; then
		eval "$line"
	else
		timeout -s KILL 120 bash -c "set -o pipefail; $line" >"$TMP/out" 2>"$TMP/err" </dev/null
	fi
	ok $? "$line"
	[[ ! -s $TMP/err ]]
	ok $? "and no complaint"
	: >"$TMP/err"
done
ctl ls
is "$(grep -cE '^(smollm2\*|my-llama|pirate|all-MiniLM|reranker|moods) .* loaded' "$TMP/out")" 6 \
	"all that was copied was used"

done_testing
