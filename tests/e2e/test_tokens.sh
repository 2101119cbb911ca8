#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Tokens: what a text is cut into, that it comes back whole, and how likely each token is; against
# what another program found for the same models.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
facts=$LLMOS_TEST_DATA/models
[ "$LLMOS_SCALE" -eq 1 ] && [ -f "$facts/stories3M-q8_0.gguf" ] &&
	model "$facts/stories3M-q8_0.gguf"
daemon_start

# there and back, with what is hard: spaces, newlines, other alphabets, emoji, control characters
printf 'Once upon  a time\n\tthere was\na dog.   ' >"$TMP/text.1"
printf 'Zo\303\253 \346\227\245\346\234\254 \360\237\230\200\342\200\215\360\237\230\200 e\314\201' \
	>"$TMP/text.2"
printf '\001\033[31m<s></s> \\ "quoted" %%s' >"$TMP/text.3"
for text in "$TMP"/text.*; do
	ctl tokenize --ids <"$text" >"$TMP/ids"
	is $? 0 "tokenize"
	ctl detokenize <"$TMP/ids" >"$TMP/back"
	is $? 0 "detokenize"
	# one newline of the output's own, one space that the vocabulary may put in front
	sed '1s/^ //' "$TMP/back" | head -c "$(wc -c <"$text")" >"$TMP/back.text"
	same "$TMP/back.text" "$text" "it comes back whole"
done
"$E2E/words" 300 | ctl tokenize --ids | wc -w >"$TMP/count"
is "$(cat "$TMP/count")" 300 "a word that is one token is one, three hundred times"

# against the reference
facts_of()
{
	ref=$facts/$1.reference.json
	if [ ! -f "$ref" ] || [ ! -e "$TMP/models/$1.gguf" ]; then
		skip "$1: token ids and answers" "no '$ref'"
		return
	fi
	case=0
	while json ".cases[$case].prompt" <"$ref" >"$TMP/prompt" 2>/dev/null; do
		prompt=$(cat "$TMP/prompt")
		json ".cases[$case].tokens" <"$ref" | tr -d '[]' | tr ',' ' ' | xargs >"$TMP/want"
		ctl tokenize -m "$1" --bos --ids "$prompt" </dev/null | xargs >"$TMP/got"
		same "$TMP/got" "$TMP/want" "$1: token ids of '$prompt'"
		json ".cases[$case].greedy" <"$ref" | tr -d '[]' | tr ',' ' ' >"$TMP/greedy"
		# the first ones: where a model's weights are rounded, answers part in the end
		for id in $(head -c "$3" "$TMP/greedy"); do echo "$id"; done | head -n "$2" >"$TMP/ids"
		ctl detokenize -m "$1" <"$TMP/ids" | tr -d '\n' | sed 's/^ //' >"$TMP/want"
		ctl ask -m "$1" --raw --ignore-eos -n "$2" "$prompt" </dev/null | tr -d '\n' |
			sed 's/^ //' >"$TMP/got"
		same "$TMP/got" "$TMP/want" "$1: $2 greedy tokens after '$prompt'"
		case=$((case + 1))
	done
	[ $case -gt 0 ]
	ok $? "$1: $case cases"
}
facts_of stories260K-f32 "$(pick 100 20)" 100000
[ "$LLMOS_SCALE" -gt 1 ] || facts_of stories3M-q8_0 8 100000

# scores: the likeliest continuation is likelier than another, and text and ids agree
ctl score --json 'Once upon a time, there was' </dev/null >"$TMP/score"
is $? 0 "score"
json <"$TMP/score" >/dev/null
is $? 0 "score --json is JSON"
ids=$(ctl tokenize --bos --ids 'Once upon a time, there was' </dev/null | xargs)
# shellcheck disable=SC2086
ctl score --ids --json $ids </dev/null >"$TMP/score.ids"
same "$TMP/score.ids" "$TMP/score" "score --ids of the same tokens is the same"
ctl score 'Once upon a time, there was' </dev/null >"$TMP/likely"
ctl score 'Once upon a time, zebra xq' </dev/null >"$TMP/unlikely"
isnt "$(cat "$TMP/likely")" "$(cat "$TMP/unlikely")" "another text, another score"
run_prog score

daemon_stop
done_testing
