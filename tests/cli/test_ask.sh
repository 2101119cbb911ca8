#!/bin/bash
# SPDX-License-Identifier: MIT
#
# llmctl ask and run: prompts, standard input, output, what happens when something goes away.

# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
daemon_start

# prompts
ctl ask --raw 'Once upon a time' -n 30
is $? 0 "ask"
answer=$(cat "$TMP/out")
is "$(wc -l <"$TMP/out")" 1 "the answer ends with one newline"
ctl ask --raw Once upon a time -n 30
is "$(cat "$TMP/out")" "$answer" "words are joined by a space"
ctl run "$MODEL" --raw Once upon a time -n 30
is "$(cat "$TMP/out")" "$answer" "run names the model first"
ctl ask -m "$MODEL" --raw 'Once upon a time' -n 30
is "$(cat "$TMP/out")" "$answer" "ask -m names it too"
ctl ask --raw -n 30 -- 'Once upon a time'
is "$(cat "$TMP/out")" "$answer" "options end at --"

# standard input
echo 'Once upon a time' >"$TMP/in"
ctl_in "$TMP/in" ask --raw -n 30
is "$(cat "$TMP/out")" "$answer" "standard input alone, without its newline"
printf 'a time' >"$TMP/in"
printf 'Once\n\na time' >"$TMP/both"
ctl_in "$TMP/in" ask --raw Once -n 10 --json
is "$(json .usage.prompt_tokens)" "$(llmctl tokenize --bos --ids <"$TMP/both" | wc -w)" \
	"operands, a blank line, standard input"
timeout 60 llmctl ask --raw 'Once upon a time' -n 30 <&- >"$TMP/out" 2>"$TMP/err"
is "$(cat "$TMP/out")" "$answer" "standard input may be closed"
fails 66 'empty' "an empty prompt" ask --raw ''
fails 66 'empty' "no prompt and nothing in standard input" ask
head -c 1100000 /dev/zero | tr '\0' a >"$TMP/in"
ctl_in "$TMP/in" ask x
is $? 65 "more than the server takes: 65"
failed_well '1048576 bytes' "more than the server takes"
printf 'a\377b' >"$TMP/in"
ctl_in "$TMP/in" ask --raw
is $? 65 "not UTF-8: 65"
failed_well 'UTF-8|multibyte' "not UTF-8"

# JSON
ctl ask --raw 'Once upon a time' -n 30 --json --logprobs=2
is_json "--json is JSON"
is "$(json .text)" "$answer" "its text is the answer"
is "$(json .finish)" length "it tells why it ended"
is "$(json .usage.output_tokens)" 30 "and how many tokens it took"
is "$(json '.logprobs[#]')" 30 "with a log-probability of each token"
is "$(json '.logprobs[0].top[#]')" 2 "and two alternatives"
is "$(for i in {0..29}; do json ".logprobs[$i].text" | tr -d '\n'; done)" \
	"$(tr -d '\n' <<<"$answer")" "the tokens' texts are the answer's"
ctl ask --raw Once -n 3 --logprobs
is "$(tail -n 3 "$TMP/out" | grep -cE '^ +[0-9]+  -[0-9.]+  "')" 3 "a table of tokens"

# options reach the server
ctl ask --raw 'Once upon a time' -n 200 --stop Lily --stop zzz --json
is "$(json .finish)" stop_string "--stop ends it"
[[ $(json .text) != *Lily* ]]
ok $? "before the string"
ctl ask --raw Once -n 40 -t 1.5 --seed 3 --top-k 50 --top-p 0.95 --min-p 0.01
one=$(cat "$TMP/out")
ctl ask --raw Once -n 40 -t 1.5 --seed 3 --top-k 50 --top-p 0.95 --min-p 0.01
is "$(cat "$TMP/out")" "$one" "--seed: the same again"
# several answers
ctl ask --raw Once -n 20 -t 1.2 --seed 5 --choices 3
is "$(grep -cE '^==> [123] <==$' "$TMP/out")" 3 "--choices: three headings"
cp "$TMP/out" "$TMP/three"
for i in 5 6 7; do
	ctl ask --raw Once -n 20 -t 1.2 --seed $i
	grep -qxF -- "$(head -n 1 "$TMP/out")" "$TMP/three"
	ok $? "number $((i - 4)) is what seed $i gives alone"
done
ctl ask --raw Once -n 20 -t 1.2 --seed 5 --choices 40 --json
is "$(json '.choices[#]')" 40 "forty at once"
is "$(for i in {0..39}; do json ".choices[$i].text"; done | sort -u | wc -l | awk '{ print ($1 > 30) }')" \
	1 "which differ"
mean() # INDEX
{
	awk -v sum="$(json ".choices[$1].logprob")" -v n="$(json ".choices[$1].tokens")" \
		'BEGIN { printf "%.6f\n", sum / n }'
}
ctl ask --raw Once -n 20 -t 1.2 --seed 5 --choices 8 --json
likeliest=$(for i in {0..7}; do mean "$i"; done | sort -g | tail -n 3 | sort -gr)
ctl ask --raw Once -n 20 -t 1.2 --seed 5 --choices 3 --best-of 8 --json
is "$(for i in {0..2}; do mean "$i"; done)" "$likeliest" "--best-of: the likeliest first"
best=$(json '.choices[0].text')
ctl ask --raw Once -n 20 -t 1.2 --seed 5 --best-of 8
is "$(cat "$TMP/out")" "$best" "alone, it has no heading"
fails 64 "all be the same" "greedy choices" ask --choices 2 x
fails 64 "3 choices of 2" "more choices than answers" ask -t 1 --choices 3 --best-of 2 x
fails 64 "129 choices" "too many choices" ask -t 1 --choices 129 x
fails 64 "exclude each other" "choices with log-probabilities" ask -t 1 --choices 2 --logprobs x
fails 66 "'nothing'" "choices of no such model" ask -m nothing -t 1 --choices 3 x
fails 64 "temperature '101'" "temperature out of range" ask -t 101 x
fails 64 "top_p 'nan'" "not a number" ask --top-p nan x
fails 66 "'nothing'" "no such model" ask -m nothing x
fails 64 "model 'xxx" "a name too long" ask -m "$(printf 'x%.0s' {1..64})" x

# who reads may go away: more than a pipe holds, so that it is noticed however late head has a
# processor
endless=(--raw Once --ignore-eos --context-shift -n 1000000)
llmctl ask "${endless[@]}" </dev/null 2>"$TMP/err" | head -c 5 >"$TMP/out"
is "$(wc -c <"$TMP/out")" 5 "ask | head -c 5"
is "$(cat "$TMP/err")" '' "without a word"
(trap '' PIPE; llmctl ask "${endless[@]}" </dev/null 2>"$TMP/err"; echo $? >"$TMP/rc") |
	head -c 5 >"$TMP/out"
is "$(cat "$TMP/rc")" 74 "a broken pipe where SIGPIPE is ignored: 74"
is "$(cat "$TMP/err")" "llmctl: ask: write: Broken pipe" "and one line"
llmctl ask --raw Once -n 5 </dev/null >/dev/full 2>"$TMP/err"
is $? 74 "a full disk: 74"
is "$(wc -l <"$TMP/err")" 1 "one line"

# Ctrl-C: with the server stopped it can only wait. Jobs of scripts ignore SIGINT, but for set -m
# shellcheck disable=SC2317
runs_llmctl()
{
	[[ $(cat "/proc/$pid/comm" 2>/dev/null) == llmctl ]]
}
set -m
kill -STOP "$DAEMON"
llmctl ask --raw Once -n 5 </dev/null >"$TMP/out" 2>"$TMP/err" &
pid=$!
wait_for runs_llmctl
kill -INT "$pid"
wait "$pid" 2>/dev/null
is $? 130 "SIGINT: 130"
kill -CONT "$DAEMON"
set +m
# shellcheck disable=SC2317
no_requests()
{
	ctl status --json && [[ $(json .requests) == 0 && $(json .slots_busy) == 0 ]]
}
wait_for no_requests
ok $? "nothing is left behind"

# stopped and continued (Ctrl-Z, fg) while it waits: nothing has happened
# shellcheck disable=SC2317
state_is()
{
	runs_llmctl && [[ $(cut -d ' ' -f 3 "/proc/$pid/stat") == "$1" ]]
}
kill -STOP "$DAEMON"
llmctl ask --raw Once -n 5 </dev/null >"$TMP/out" 2>"$TMP/err" &
pid=$!
wait_for state_is S
kill -STOP "$pid"
wait_for state_is T
kill -CONT "$pid"
wait_for state_is S
kill -CONT "$DAEMON"
wait "$pid"
is "$? $(cat "$TMP/err")" "0 " "stopped and continued, it goes on"
[[ -s $TMP/out ]]
ok $? "and has its answer"

# the server dies in the middle of many answers: each is whole, or ends with one line. The first one
# has no end, so that it is under way however late the server dies
clients=()
for i in {1..24}; do
	: >"$TMP/out.$i"
	many=(--raw Once --ignore-eos -n 480)
	((i > 1)) || many=("${endless[@]}")
	llmctl ask "${many[@]}" </dev/null >"$TMP/out.$i" 2>"$TMP/err.$i" &
	clients+=($!)
done
# shellcheck disable=SC2317
some_answer()
{
	[[ -s $TMP/out.1 ]]
}
wait_for some_answer
daemon_kill
reset=0
bad=
for i in {1..24}; do
	wait "${clients[i - 1]}"
	rc=$?
	case $rc in
	0) [[ ! -s $TMP/err.$i ]] || bad+=" $rc:$(cat "$TMP/err.$i")" ;;
	75)
		reset=$((reset + 1))
		[[ $(wc -l <"$TMP/err.$i") == 1 && $(cat "$TMP/err.$i") == *"Connection re"* ]] ||
			bad+=" $rc:$(cat "$TMP/err.$i")"
		;;
	# too late to connect
	69) [[ $(cat "$TMP/err.$i") == *"is llmosd running?)" ]] || bad+=" $rc" ;;
	*) bad+=" $rc:$(cat "$TMP/err.$i")" ;;
	esac
done
is "$bad" '' "the server dies: each answer is whole or ends with one line"
((reset > 0))
ok $? "some were under way ($reset of 24): 75"

done_testing
