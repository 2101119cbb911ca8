#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Files in the models folder that change under llmosd: mended, replaced, cut while they are mapped.

# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
good=$TREE/models/$MODEL.gguf
mkdir -p "$TMP/models"
cp "$good" "$TMP/models/a.gguf"
head -c 5000 "$good" >"$TMP/models/b.gguf"
daemon_start

# broken, then mended
fails 69 "model 'b' can not be used" "a broken model" run b Once
for _ in 1 2 3; do
	ctl ls
done
is "$(grep -c "model 'b' can not be used" "$TMP/llmosd.log")" 1 "listing it says so once"
cp "$good" "$TMP/models/b.gguf"
ctl run b Once -n 5
is $? 0 "mended, it is used without a restart"

# cut while nobody uses it: seen before it is used again
truncate -s 4096 "$TMP/models/b.gguf"
fails 69 "model 'b' can not be used" "a model that lost its file" run b Once
ctl run a Once -n 5
is $? 0 "and the others do not mind"
daemon_kill

# cut while it is being used: nothing can be answered, but the log tells why
cp "$good" "$TMP/models/b.gguf"
export LLMOS_ISA=ref
daemon_start
: >"$TMP/stream"
# as good as endless: it is not over before the daemon is stopped, however late that is
timeout -s KILL 60 llmctl run b Once --ignore-eos --context-shift -n 50000 </dev/null \
	>"$TMP/stream" 2>"$TMP/cut" &
running=$!
# the first of its tokens have come
until [[ -s $TMP/stream ]] || ! kill -0 $running 2>/dev/null; do
	:
done
kill -STOP "$DAEMON"
truncate -s 4096 "$TMP/models/b.gguf"
kill -CONT "$DAEMON"
wait $running
is $? 75 "the answer of a model that loses its file: try again"
wait "$DAEMON"
is $? 74 "llmosd ends, to be started anew"
DAEMON=
unset LLMOS_ISA
is "$(grep -c "^llmosd: model 'b': a page of its file can not be read" "$TMP/llmosd.log")" 1 \
	"its last line names the model"
daemon_start
fails 69 "model 'b' can not be used" "the next llmosd says what is wrong" run b Once
ctl run a Once -n 5
is $? 0 "and serves the others"
done_testing
