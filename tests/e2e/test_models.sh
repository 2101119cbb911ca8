#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Several models where memory is for one: they take turns, and a file that changes is loaded anew.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
model "$LLMOS_TREE/models/$SMALL.gguf" other.gguf

# ask MODEL: its answer
ask()
{
	ctl ask -m "$1" --raw --temperature 0 -n 12 'Once upon a time' 2>&1
}

daemon_start
want=$(ask "$SMALL")
is "$(ask other)" "$want" "two models that are the same say the same"
is "$(status .models_loaded)" 2 "both are loaded"
ctl show other --json >"$TMP/other.json"
bytes=$(($(json .memory_bytes <"$TMP/other.json") + $(json .file_bytes <"$TMP/other.json")))
daemon_stop

DAEMON_ARGS="--model-memory=$((bytes + bytes / 2))"
daemon_start
for name in "$SMALL" other "$SMALL" other; do
	is "$(ask "$name")" "$want" "$name answers where there is room for one"
	is "$(status .models_loaded)" 1 "and is the only one"
done

# both at once: each comes to an end
ask "$SMALL" >"$TMP/one" &
one=$!
ask other >"$TMP/two"
wait $one
is "$(cat "$TMP/one")" "$want" "asked at the same time, the one"
is "$(cat "$TMP/two")" "$want" "and the other"

cp "$TMP/models/other.gguf" "$TMP/models/new"
touch "$TMP/models/new"
mv "$TMP/models/new" "$TMP/models/other.gguf"
is "$(ask other)" "$want" "a file in the place of another"
printf 'no model' >"$TMP/models/new"
mv "$TMP/models/new" "$TMP/models/other.gguf"
ask other >"$TMP/broken"
isnt $? 0 "one that is broken is not asked as it was before"
daemon_stop

DAEMON_ARGS="--model-memory=1M"
daemon_start
ask "$SMALL" >"$TMP/large"
isnt $? 0 "a model larger than all memory is refused"
has "$TMP/large" "of memory" "with the reason"
daemon_stop
done_testing
