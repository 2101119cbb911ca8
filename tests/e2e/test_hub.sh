#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A folder of a hub beside a file: it is listed, shown, asked as any model, and replaced; one that is
# broken, or points out of the models folder, says so and leaves the others alone.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
cp -r "$LLMOS_TREE/tests/hub/llama" "$TMP/models/tiny"
mkdir "$TMP/models/nothing" "$TMP/outside"
for name in out cut strange both; do
	cp -r "$TMP/models/tiny" "$TMP/models/$name"
done
mv "$TMP/models/out/config.json" "$TMP/outside/"
ln -s "$TMP/outside/config.json" "$TMP/models/out/config.json"
head -c 20000 "$TMP/models/tiny/model-00002-of-00003.safetensors" \
	>"$TMP/models/cut/model-00002-of-00003.safetensors"
sed 's/"model_type": "llama"/"model_type": "mamba"/' "$TMP/models/tiny/config.json" \
	>"$TMP/models/strange/config.json"
cp "$LLMOS_TREE/models/$SMALL.gguf" "$TMP/models/both.gguf"
daemon_start

ctl ls >"$TMP/out" 2>&1
is $? 0 "ls beside broken folders"
has "$TMP/out" "^tiny .* llama .* BF16 .* chatml" "a folder is listed with its facts"
is "$(grep -c '^nothing' "$TMP/out")" 0 "a folder without config.json is no model"
has "$TMP/out" "out.*points out of the models folder" "links must stay inside"
has "$TMP/out" "cut.*cut off" "a file that is cut off is named"
has "$TMP/out" "strange.*mamba" "an architecture that nobody knows is named"
has "$TMP/out" "^both[*]? .* F32" "of a file and a folder the file is taken"
ctl show tiny >"$TMP/out" 2>&1
is $? 0 "show"
has "$TMP/out" "llama.attention.head_count_kv" "it has the keys of a GGUF file"

is "$(ctl detokenize -m tiny "$(ctl tokenize -m tiny --ids 'the cat sat')")" 'the cat sat' \
	"its tokenizer counts there and back"
ctl run tiny --raw --temperature 0 -n 8 'the cat' >"$TMP/one" 2>&1
is $? 0 "it answers"
ctl run tiny --raw --temperature 0 -n 8 'the cat' >"$TMP/two" 2>&1
same "$TMP/one" "$TMP/two" "twice the same"
daemon_stop

# mended while the daemon runs: the next question finds it
daemon_start
ctl run cut --raw -n 4 'the cat' >"$TMP/out" 2>&1
isnt $? 0 "one that is cut off is not asked"
cp "$TMP/models/tiny/model-00002-of-00003.safetensors" "$TMP/models/cut/new"
mv "$TMP/models/cut/new" "$TMP/models/cut/model-00002-of-00003.safetensors"
ctl run cut --raw --temperature 0 -n 8 'the cat' >"$TMP/two" 2>&1
is $? 0 "mended, it answers"
same "$TMP/one" "$TMP/two" "as the whole one"

# a shard that was cut off in place: seen before the next answer, and not by losing pages
: >"$TMP/models/cut/model-00001-of-00003.safetensors"
ctl run cut --raw -n 8 'another cat' >"$TMP/out" 2>&1
isnt $? 0 "one that was cut off since is not asked"
has "$TMP/out" "model-00001-of-00003.safetensors.*empty" "the file is named"
ctl run tiny --raw --temperature 0 -n 8 'the cat' >"$TMP/two" 2>&1
same "$TMP/one" "$TMP/two" "the others answer on"
daemon_stop
done_testing
