#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Bad input: prompts, models and folders that are not what they should be. Each gets one clear line
# and its exit code, and who asks something good meanwhile and afterwards is answered.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
good=$LLMOS_TREE/models/$SMALL.gguf
size=$(wc -c <"$good")

# broken files: cut at several points, random bytes, a text, a folder, nothing, a broken link
for at in 0 3 4 23 24 100 4000 20000 $((size / 2)) $((size - 1)); do
	head -c "$at" "$good" >"$TMP/models/cut$at.gguf"
done
head -c 65536 /dev/urandom >"$TMP/models/random.gguf"
{
	head -c 8 "$good"
	head -c 65536 /dev/urandom
} >"$TMP/models/random-tail.gguf"
# huge counts behind a good magic and version
printf 'GGUF\003\000\000\000\377\377\377\377\377\377\377\177\377\377\377\377\377\377\377\177' \
	>"$TMP/models/counts.gguf"
echo 'not a model' >"$TMP/models/text.gguf"
mkdir "$TMP/models/folder.gguf"
ln -s "$TMP/nowhere" "$TMP/models/dangling.gguf"
mkfifo "$TMP/models/fifo.gguf"
# two of a key, and a chat template that nobody knows
"$E2E/addkey" general.architecture llama <"$good" >"$TMP/models/twice.gguf"
"$E2E/addkey" tokenizer.chat_template '{% for m in messages %}<<{{ m.role }}>>{% endfor %}' \
	<"$good" >"$TMP/models/mystery.gguf"
"$E2E/addkey" tokenizer.chat_template "{% for message in messages %}{{'<|im_start|>' + \
message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}" \
	<"$good" >"$TMP/models/chatml.gguf"
daemon_start

ctl run "$SMALL" 'Once upon a time' -n 20 >"$TMP/good" </dev/null
is $? 0 "the good model answers beside broken files"

# refuse CODE PATTERN TEXT ARGUMENT...
refuse()
{
	refuse_code=$1 refuse_pattern=$2 refuse_text=$3
	shift 3
	ctl "$@" >"$TMP/out" 2>"$TMP/err" </dev/null
	refuse_rc=$?
	case " $refuse_code " in
	*" $refuse_rc "*) ok 0 "$refuse_text: exit code $refuse_rc" ;;
	*) is "$refuse_rc" "$refuse_code" "$refuse_text: exit code" ;;
	esac
	is "$(wc -l <"$TMP/err")" 1 "$refuse_text: one line" || note "$(cat "$TMP/err")"
	has "$TMP/err" "$refuse_pattern" "$refuse_text: it names the thing"
}

for file in "$TMP"/models/cut*.gguf "$TMP"/models/random*.gguf "$TMP/models/counts.gguf" \
	"$TMP/models/text.gguf" "$TMP/models/twice.gguf"; do
	name=$(basename "$file" .gguf)
	# 66: unknown, 65 and 70: it is there and broken
	refuse "65 66 69 70 76" "$name" "model $name" run "$name" Once
done
for name in folder dangling fifo; do
	refuse "64 65 66 69 70 76" "$name" "model $name" run "$name" Once
done
ctl ls >"$TMP/out"
is $? 0 "ls lists them all the same"
has "$TMP/out" "$SMALL" "with the good one"
ctl ls --json | json '[name=random].error' >"$TMP/out" 2>/dev/null
[ -s "$TMP/out" ]
ok $? "and says what is wrong with a broken one" || note "$(ctl ls --json | head -c 600)"

# a template that nobody knows is no reason to guess
refuse 69 '--raw' "an unknown chat template" run mystery Once
ctl run mystery --raw 'Once upon a time' -n 20 >"$TMP/out" 2>"$TMP/err" </dev/null
is $? 0 "--raw does without it" || note "$(cat "$TMP/err")"
same "$TMP/out" "$TMP/good" "and continues the text as it is"
ctl run chatml 'Once upon a time' -n 20 >"$TMP/out" 2>"$TMP/err" </dev/null
is $? 0 "a known template is used" || note "$(cat "$TMP/err")"
isnt "$(cat "$TMP/out")" "$(cat "$TMP/good")" "and changes the answer"

# a file that shrinks under the daemon that has mapped it
cp "$good" "$TMP/shrink"
cp "$good" "$TMP/models/other.gguf"
ctl run other Once -n 5 >"$TMP/out" 2>"$TMP/err" </dev/null
is $? 0 "a second model is found without a restart" || note "$(cat "$TMP/err")"

# prompts
refuse "64 65 66" 'empty|no prompt|prompt' "an empty prompt" run "$SMALL" ''
"$E2E/words" 2000 >"$TMP/long"
ctl ask --raw <"$TMP/long" >"$TMP/out" 2>"$TMP/err"
is $? 65 "a prompt longer than the context: exit code"
has "$TMP/err" 'context|512|long' "it names the context"
is "$(wc -l <"$TMP/err")" 1 "in one line"
head -c 3000000 /dev/zero | tr '\0' a | ctl ask --raw >"$TMP/out" 2>"$TMP/err"
isnt $? 0 "three million bytes of prompt are refused"
is "$(wc -l <"$TMP/err")" 1 "in one line" || note "$(cat "$TMP/err")"
printf 'a\377\376b' | ctl ask --raw >"$TMP/out" 2>"$TMP/err"
is $? 65 "not UTF-8: exit code"
has "$TMP/err" 'UTF-8' "it says UTF-8"
# a surrogate, an overlong slash, a code point past the last one
for bytes in '\355\240\200' '\300\257' '\364\220\200\200' 'ends in half of one \303'; do
	# shellcheck disable=SC2059
	printf "$bytes" | ctl ask --raw >"$TMP/out" 2>"$TMP/err"
	is $? 65 "not UTF-8: $bytes"
done
printf 'a\000b' | ctl ask --raw -n 5 >"$TMP/out" 2>"$TMP/err"
rc=$?
[ $rc -eq 0 ] || [ $rc -eq 65 ]
ok $? "a NUL in a prompt is answered or refused ($rc)"
awk 'BEGIN { for (i = 0; i < 60; i++) printf "<s></s><unk><|im_end|>" }' >"$TMP/special"
ctl ask --raw -n 5 <"$TMP/special" >"$TMP/out" 2>"$TMP/err"
rc=$?
[ $rc -eq 0 ] || [ $rc -eq 65 ]
ok $? "a prompt full of special tokens is text ($rc)" || note "$(cat "$TMP/err")"
awk 'BEGIN { for (i = 0; i < 60; i++) printf "<s></s><unk>" }' |
	ctl ask --raw --special -n 5 >"$TMP/out" 2>"$TMP/err"
is $? 0 "or special tokens, if asked for" || note "$(cat "$TMP/err")"
refuse "64 65 66" 'range|4294967295|-5|ids|token' "token ids past the vocabulary" \
	detokenize 4294967295

ctl run "$SMALL" 'Once upon a time' -n 20 >"$TMP/again" </dev/null
same "$TMP/again" "$TMP/good" "after all that the good model answers as before"
daemon_stop

# folders
refuse_start()
{
	start_pattern=$1 start_text=$2
	shift 2
	# shellcheck disable=SC2086
	within 20 "$LLMOS_BUILD/llmosd" "$@" </dev/null >"$TMP/out" 2>&1
	start_rc=$?
	[ $start_rc -ne 0 ] && [ $start_rc -lt 124 ]
	ok $? "$start_text: it does not start ($start_rc)"
	has "$TMP/out" "$start_pattern" "$start_text: it names the thing"
}
refuse_start "$TMP/none" "no such folder" --listen "unix:$TMP/s2" --models "$TMP/none"
refuse_start "$TMP/shrink" "a file for a folder" --listen "unix:$TMP/s2" --models "$TMP/shrink"
refuse_start '/nowhere/s' "no such place for a socket" --listen unix:/nowhere/s \
	--models "$TMP/models"
long=$(awk 'BEGIN { for (i = 0; i < 200; i++) printf "x" }')
refuse_start "xxxx" "a socket's path too long" --listen "unix:$TMP/$long" --models "$TMP/models"
refuse_start 'no-such-option' "unknown option" --no-such-option

done_testing
