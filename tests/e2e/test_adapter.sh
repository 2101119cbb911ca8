#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Adapters beside a model: they are listed and shown, asked for by name and scale, beside one another,
# and refused by name where there is none, or where one is not of the model. A file that is replaced is
# read anew.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
cp -r "$LLMOS_TREE/tests/hub/llama" "$TMP/models/tiny"
mkdir "$TMP/models/adapters" "$TMP/outside"
cp -r "$LLMOS_TREE/tests/hub/adapters/plain" "$LLMOS_TREE/tests/hub/adapters/pattern" \
	"$TMP/models/adapters/"
cp -r "$TMP/models/adapters/plain" "$TMP/models/adapters/dora"
sed 's/"use_dora": false/"use_dora": true/' "$TMP/models/adapters/plain/adapter_config.json" \
	>"$TMP/models/adapters/dora/adapter_config.json"
cp -r "$TMP/models/adapters/plain" "$TMP/outside/plain"
ln -s "$TMP/outside/plain" "$TMP/models/adapters/out"

# ask OPTION...: the answer of the model in the folder
ask()
{
	ctl run tiny --raw --temperature 0 --ignore-eos -n 24 "$@" 'the cat sat on the' 2>&1
}

daemon_start
ctl ls >"$TMP/out" 2>&1
is $? 0 "ls"
has "$TMP/out" "^plain .* F32 .* adapter, on disk" "adapters are listed as such"
has "$TMP/out" "^dora .*'use_dora' is not supported" "what is not supported is named"
has "$TMP/out" "^out .*points out of" "links must stay inside"
is "$(ctl show pattern --json | json .rank)" 3 "with their rank"
ctl show pattern >"$TMP/out" 2>&1
is $? 0 "show"
has "$TMP/out" "adapter.lora.alpha = 5" "what the settings say"

ask >"$TMP/none"
is $? 0 "without adapters"
ask --adapter plain >"$TMP/plain"
is $? 0 "with one"
ask --adapter pattern=0.5 >"$TMP/half"
is $? 0 "with half of another"
ask --adapter plain --adapter pattern=0.5 >"$TMP/both"
is $? 0 "with both"
isnt "$(cat "$TMP/plain")" "$(cat "$TMP/none")" "an adapter changes the answer"
isnt "$(cat "$TMP/half")" "$(cat "$TMP/none")" "so does half of one"
isnt "$(cat "$TMP/both")" "$(cat "$TMP/plain")" "and both"
ask --adapter plain=0 >"$TMP/out"
same "$TMP/out" "$TMP/none" "nothing of one changes nothing"
is "$(ctl show plain --json | json .loaded)" true "it is in memory now"

# at once, and again: nobody gets what was computed for another one
askers=
for which in none plain half both; do
	case $which in
	none) set -- ;;
	plain) set -- --adapter plain ;;
	half) set -- --adapter pattern=0.5 ;;
	both) set -- --adapter plain --adapter pattern=0.5 ;;
	esac
	ask "$@" >"$TMP/$which.again" &
	askers="$askers $!"
done
for asker in $askers; do
	wait "$asker"
done
for which in none plain half both; do
	same "$TMP/$which.again" "$TMP/$which" "beside the others: $which"
done

ctl score -m tiny --json 'the cat sat' >"$TMP/out" 2>&1
ctl score -m tiny --adapter plain --json 'the cat sat' >"$TMP/err" 2>&1
is $? 0 "a text is scored with an adapter"
isnt "$(json .logprob <"$TMP/out")" "$(json .logprob <"$TMP/err")" "which makes it another score"

ask --adapter nobody >"$TMP/out"
isnt $? 0 "one that is not there"
has "$TMP/out" "no adapter 'nobody'" "is named"
ask --adapter ../adapters/plain >"$TMP/out"
isnt $? 0 "a path is no name"
ask --adapter dora >"$TMP/out"
isnt $? 0 "one that is not supported"
has "$TMP/out" "use_dora" "is refused for its reason"
ctl run "$SMALL" --adapter plain -n 4 'the cat' >"$TMP/out" 2>&1
isnt $? 0 "one of another model"
has "$TMP/out" "tensor 'blk.0.attn_.*lora_a' is .*, not" "is refused by its shapes"
ask --adapter plain --adapter plain >"$TMP/out"
isnt $? 0 "none is named twice"
ask --adapter plain=nan >"$TMP/out"
isnt $? 0 "a scale is a number"

# another one under the same name
cp -r "$TMP/models/adapters/pattern" "$TMP/models/adapters/new"
mv "$TMP/models/adapters/plain" "$TMP/outside/old"
mv "$TMP/models/adapters/new" "$TMP/models/adapters/plain"
ask --adapter plain=0.5 >"$TMP/out"
same "$TMP/out" "$TMP/half" "one that was replaced is read anew"
daemon_stop

DAEMON_ARGS="--adapters=$TMP/outside"
daemon_start
ask --adapter old >"$TMP/out"
same "$TMP/out" "$TMP/plain" "in a folder of its own"
daemon_stop
done_testing
