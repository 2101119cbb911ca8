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

# cut while it is mapped: nothing can be answered, but the log tells why
truncate -s 4096 "$TMP/models/b.gguf"
ctl run b Once -n 5
is $? 75 "the answer of a model that lost its file: try again"
wait "$DAEMON"
is $? 74 "llmosd ends, to be started anew"
DAEMON=
is "$(grep -c "^llmosd: model 'b': a page of its file can not be read" "$TMP/llmosd.log")" 1 \
	"its last line names the model"
daemon_start
fails 69 "model 'b' can not be used" "the next llmosd says what is wrong" run b Once
ctl run a Once -n 5
is $? 0 "and serves the others"
done_testing
