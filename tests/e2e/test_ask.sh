#!/bin/sh
# SPDX-License-Identifier: MIT
#
# llmctl asks: prompts as arguments and from standard input, templates, output as JSON, what is
# said when something is wrong, and the exit code of each.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
daemon_start

ctl run "$SMALL" 'Once upon a time' -n 40 >"$TMP/run" 2>"$TMP/err"
is $? 0 "run answers" || note "$(cat "$TMP/err")"
has "$TMP/run" '^, there was' "it is the story the model was trained to tell"
ctl ask -m "$SMALL" --raw 'Once upon a time' -n 40 >"$TMP/ask"
same "$TMP/ask" "$TMP/run" "ask -m gives the same as run"
ctl ask --raw 'Once upon a time' -n 40 >"$TMP/default"
same "$TMP/default" "$TMP/run" "the only model is the default one"
ctl ask --raw Once upon a time -n 40 >"$TMP/words"
same "$TMP/words" "$TMP/run" "operands are joined by a space"

# what is piped in stands behind the prompt
printf 'Once upon a time' | ctl ask --raw -n 40 >"$TMP/piped"
same "$TMP/piped" "$TMP/run" "a prompt may come by standard input alone"
printf 'Lily saw a dog.' | ctl ask --raw 'Here is a text:' -n 40 >"$TMP/both"
is $? 0 "prompt and standard input together"
isnt "$(cat "$TMP/both")" "$(ctl ask --raw 'Here is a text:' -n 40 </dev/null)" \
	"standard input changes the answer"

ctl ask --raw 'Once upon a time' -n 40 --json >"$TMP/json"
is $? 0 "ask --json"
json <"$TMP/json" >/dev/null
is $? 0 "that is JSON"
is "$(json .text <"$TMP/json")" "$(cat "$TMP/run")" "the text in it is the answer"
is "$(json .finish <"$TMP/json")" length "why it ended"
is "$(json .usage.output_tokens <"$TMP/json")" 40 "and how many tokens it took"

# sampling
ctl ask --raw Once -n 60 -t 1 --seed 7 >"$TMP/seed7"
ctl ask --raw Once -n 60 -t 1 --seed 7 >"$TMP/seed7.again"
ctl ask --raw Once -n 60 -t 1 --seed 8 >"$TMP/seed8"
same "$TMP/seed7" "$TMP/seed7.again" "the same seed, the same text"
isnt "$(cat "$TMP/seed7")" "$(cat "$TMP/seed8")" "another seed, another text"
ctl ask --raw 'Once upon a time' -n 100 --stop Lily >"$TMP/stop"
grep -q Lily "$TMP/stop"
is $? 1 "a stop string is not part of the answer"
[ -s "$TMP/stop" ] && [ "$(wc -c <"$TMP/stop")" -lt 60 ]
ok $? "it ended the answer"

# every listing, as JSON too
for listing in ls ps status; do
	ctl $listing >"$TMP/out"
	is $? 0 "$listing"
	ctl $listing --json >"$TMP/out"
	json <"$TMP/out" >/dev/null
	is $? 0 "$listing --json is JSON"
done
ctl show "$SMALL" >"$TMP/out"
has "$TMP/out" 'llama' "show names the architecture"
ctl show "$SMALL" --json | json >/dev/null
is $? 0 "show --json is JSON"
ctl version >"$TMP/out"
has "$TMP/out" '[0-9]+\.[0-9]+\.[0-9]+' "version"

# refuse CODE PATTERN TEXT ARGUMENT...: fails with one line that names the thing
refuse()
{
	refuse_code=$1 refuse_pattern=$2 refuse_text=$3
	shift 3
	ctl "$@" >"$TMP/out" 2>"$TMP/err" </dev/null
	is $? "$refuse_code" "$refuse_text: exit code $refuse_code" || note "$(cat "$TMP/err")"
	is "$(wc -l <"$TMP/err")" 1 "$refuse_text: one line" || note "$(cat "$TMP/err")"
	has "$TMP/err" "$refuse_pattern" "$refuse_text: it names the thing"
}
refuse 66 'no-such-model' "unknown model" run no-such-model Once
refuse 64 'frobnicate' "unknown command" frobnicate
refuse 64 'max-tokens|-n' "not a number" ask -n many Once
refuse 64 'no-such-option' "unknown option" ask --no-such-option Once
refuse 69 'unix:/nowhere' "nobody there" ask -a unix:/nowhere/s Once
refuse 64 'http://x' "bad address" ask -a http://x Once

daemon_stop
done_testing
