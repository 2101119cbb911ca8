#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Answers that are held to a grammar, a schema, or to JSON: they match for every seed, they are the
# same alone and in company, what cuts them off is told, and what is no grammar is refused by name.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
daemon_start

# one word or another, whatever the model would rather say
printf 'root ::= "yes" | "no" | "perhaps"\n' >"$TMP/choice.gbnf"
for seed in 1 2 3 4 5; do
	ctl ask --raw 'Once upon a time' -t 2 --seed $seed --grammar "$TMP/choice.gbnf" </dev/null
done >"$TMP/out" 2>&1
is "$(grep -cxE 'yes|no|perhaps' "$TMP/out")" 5 "the answer is one of those the grammar has" ||
	note "$(cat "$TMP/out")"
ctl ask --raw 'Once upon a time' --json --grammar "$TMP/choice.gbnf" </dev/null >"$TMP/out"
is "$(json .finish <"$TMP/out")" stop "and ends by itself"

# JSON, whatever the seed; what ended elsewhere than at its end says so
seed=0
cut=0
while [ $((seed += 1)) -le 20 ]; do
	ctl ask --raw 'Once' -t 1 --seed $seed -n 200 --any-json --json </dev/null >"$TMP/out"
	case $(json .finish <"$TMP/out") in
	stop) json .text <"$TMP/out" | json >/dev/null || break ;;
	length | context) cut=$((cut + 1)) ;;
	*) break ;;
	esac
done
is $seed 21 "20 seeds of --any-json are JSON, or were cut off and say so" ||
	note "$(cat "$TMP/out")"
[ $cut -lt 20 ]
ok $? "and not all of them were"

cat >"$TMP/person.json" <<-'END'
	{ "type": "object", "required": ["name", "age"], "properties": {
	  "name": { "type": "string", "minLength": 1, "maxLength": 12 },
	  "age": { "type": "integer", "minimum": 0, "maximum": 120 },
	  "tags": { "type": "array", "items": { "enum": ["red", "blue"] }, "maxItems": 2 } } }
END
seed=0
while [ $((seed += 1)) -le 10 ]; do
	ctl ask --raw 'Once' -t 1 --seed $seed --schema "$TMP/person.json" </dev/null >"$TMP/out.$seed"
	age=$(json .age <"$TMP/out.$seed") || break
	[ "$age" -ge 0 ] || break
	[ "$age" -le 120 ] || break
	[ -n "$(json .name <"$TMP/out.$seed")" ] || break
done
is $seed 11 "10 seeds of --schema have what it requires, within its bounds" ||
	note "$(cat "$TMP/out.$seed")"

# alone or in company, the same
pids=
for seed in 1 2 3 4 5 6; do
	ctl ask --raw 'Once' -t 1 --seed $seed --schema "$TMP/person.json" </dev/null >"$TMP/both.$seed" &
	pids="$pids $!"
	ctl ask --raw 'Once' -t 1 --seed $seed --grammar "$TMP/choice.gbnf" </dev/null >/dev/null &
	pids="$pids $!"
	ctl ask --raw 'Once' -t 1 --seed $seed -n 30 </dev/null >/dev/null &
	pids="$pids $!"
done
# shellcheck disable=SC2086
wait $pids
differ=0
for seed in 1 2 3 4 5 6; do
	cmp -s "$TMP/out.$seed" "$TMP/both.$seed" || differ=$((differ + 1))
done
is $differ 0 "company changes nothing"

# who asks for too few tokens gets what they made, and is told
ctl ask --raw 'Once' -n 3 --schema "$TMP/person.json" --json </dev/null >"$TMP/out"
is "$(json .finish <"$TMP/out")" length "cut off by --max-tokens"
is "$(json .usage.output_tokens <"$TMP/out")" 3 "after as many tokens"

# log-probabilities are the model's own: those of the same tokens without a grammar
ctl ask --raw 'Once upon a time' -n 8 --json --logprobs=1 </dev/null >"$TMP/free"
text=$(json .text <"$TMP/free")
printf 'root ::= [^\\x00]*\n' >"$TMP/any.gbnf"
ctl ask --raw 'Once upon a time' -n 8 --json --logprobs=1 --grammar "$TMP/any.gbnf" </dev/null >"$TMP/held"
is "$(json .text <"$TMP/held")" "$text" "a grammar of everything leaves the answer as it is"
is "$(json '.logprobs[7].logprob' <"$TMP/held")" "$(json '.logprobs[7].logprob' <"$TMP/free")" \
	"and its log-probabilities"

# refuse CODE PATTERN TEXT ARGUMENT...: fails with one line that names the thing
refuse()
{
	refuse_code=$1 refuse_pattern=$2 refuse_text=$3
	shift 3
	ctl ask --raw Once "$@" >"$TMP/out" 2>"$TMP/err" </dev/null
	is $? "$refuse_code" "$refuse_text: exit code $refuse_code" || note "$(cat "$TMP/err")"
	is "$(wc -l <"$TMP/err")" 1 "$refuse_text: one line"
	has "$TMP/err" "$refuse_pattern" "$refuse_text: it names the thing" || note "$(cat "$TMP/err")"
}
printf 'root ::= ("a"\n' >"$TMP/bad.gbnf"
printf 'root ::= root "a" | "a"\n' >"$TMP/left.gbnf"
printf '{"type":"string","format":"idn-email"}' >"$TMP/email.json"
refuse 66 'nowhere' "no such file" --grammar "$TMP/nowhere"
refuse 64 'exclude each other' "two of them" --any-json --grammar "$TMP/choice.gbnf"
refuse 64 'ignore-eos' "an answer without an end" --any-json --ignore-eos
refuse 64 "line 2: .* is missing" "no grammar" --grammar "$TMP/bad.gbnf"
refuse 64 "rule 'root' begins with itself" "left recursion" --grammar "$TMP/left.gbnf"
refuse 64 'schema, line 1' "no schema" --schema "$TMP/bad.gbnf"
refuse 69 "'idn-email' as a 'format'" "a schema that asks for too much" --schema "$TMP/email.json"

daemon_stop

# many large grammars of one user: those beyond his share are refused, and a small one has room
DAEMON_ARGS="--grammar-memory 128M"
daemon_start
awk 'BEGIN { for (i = 0; i < 25000; i++) printf "0123456789" }' >"$TMP/large"
pids=
for number in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
	{
		printf 'root ::= [^\\x00]* | "%s ' "$number"
		cat "$TMP/large"
		echo '"'
	} >"$TMP/large.$number"
	"$LLMOS_BUILD/llmctl" ask --raw Once --context-shift -n 100000000 \
		--grammar "$TMP/large.$number" </dev/null >/dev/null 2>"$TMP/err.$number" &
	pids="$pids $!"
done
# all_settled: each is refused, or takes part
# shellcheck disable=SC2317
all_settled()
{
	refused=$(cat "$TMP"/err.* | grep -c 'grammars of your other requests')
	going=$(ctl ps --json | grep -oE '"output_tokens": *[1-9]' | wc -l)
	[ $((refused + going)) -ge 15 ]
}
wait_for 60 all_settled
ok $? "15 large grammars come" || note "$(cat "$TMP"/err.*; ctl ps)"
[ "$refused" -gt 0 ] && [ "$refused" -lt 15 ]
ok $? "some of them are refused, for others of the same user" || note "$refused"
bytes=$(ctl status --json | json .grammar_bytes)
[ "$bytes" -gt 1000000 ] && [ "$bytes" -le $((128 << 20)) ]
ok $? "they take no more than they may" || note "$bytes"
is "$(ctl ask --raw Once --grammar "$TMP/choice.gbnf" </dev/null | grep -cxE 'yes|no|perhaps')" 1 \
	"a small one is answered"
# shellcheck disable=SC2086
kill $pids 2>/dev/null
# shellcheck disable=SC2086
wait $pids 2>/dev/null
# shellcheck disable=SC2317
none_left()
{
	[ "$(ctl status --json | json .grammar_bytes)" = 0 ]
}
wait_for 60 none_left
ok $? "once they have ended nothing is left"

# clients that go while theirs are compiled, or wait for that: nobody else waits for them
pids=
for number in 1 2 3 4 5 6 7 8; do
	"$LLMOS_BUILD/llmctl" ask --raw Once --context-shift -n 100000000 \
		--grammar "$TMP/large.$number" </dev/null >/dev/null 2>&1 &
	pids="$pids $!"
done
# shellcheck disable=SC2317
all_there()
{
	[ "$(ctl ps --json | grep -o '"output_tokens"' | wc -l)" -ge 8 ]
}
wait_for 60 all_there
ok $? "8 large grammars come" || note "$(ctl ps)"
# shellcheck disable=SC2086
kill -9 $pids 2>/dev/null
# shellcheck disable=SC2086
wait $pids 2>/dev/null
is "$(ctl ask --raw Once --grammar "$TMP/choice.gbnf" </dev/null | grep -cxE 'yes|no|perhaps')" 1 \
	"their clients die, and a small one is answered"
wait_for 60 none_left
ok $? "nothing is left of them"

daemon_stop
done_testing
