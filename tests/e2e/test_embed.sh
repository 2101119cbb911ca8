#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Vectors, order and labels of texts from the shell, by hubs' folders: the numbers are those that
# transformers gives, the same for a text alone and among others, and what can't be is said.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
for name in encoder labels reranker qwen3-reranker; do
	cp -r "$LLMOS_TREE/tests/hub/$name" "$TMP/models/$name"
done
for name in out dense; do
	cp -r "$TMP/models/encoder" "$TMP/models/$name"
done
cp -r "$TMP/models/reranker" "$TMP/models/logits"
sed 's/"model_type"/"sentence_transformers":{"activation_fn":"torch.nn.modules.linear.Identity"},&/' \
	"$TMP/models/reranker/config.json" >"$TMP/models/logits/config.json"
mkdir "$TMP/outside"
mv "$TMP/models/out/1_Pooling" "$TMP/outside/"
ln -s "$TMP/outside/1_Pooling" "$TMP/models/out/1_Pooling"
sed 's/models.Normalize/models.Dense/' "$TMP/models/encoder/modules.json" \
	>"$TMP/models/dense/modules.json"
daemon_start

# fact MODEL NUMBER KEY: of what transformers has said
fact()
{
	json "[$2].$3" <"$TMP/models/$1/facts.json"
}

# numbers: those of a JSON array, one a line
numbers()
{
	tr -d '[] ' | tr ',' '\n'
}

# near FILE FILE: relative rms of the difference of two lists of numbers of equal length
near()
{
	paste "$1" "$2" | awk 'NF != 2 { bad = 1 } { d += ($1 - $2) * ($1 - $2); s += $2 * $2 }
		END { exit !(NR && !bad && s > 0 && d <= s * 1e-12) }'
}

# about FILE FILE: the first columns are no further apart than what millionths are rounded by
about()
{
	paste "$1" "$2" | awk -F '\t' -v half="$(awk -F '\t' 'END { print NF }' "$1")" '
		{ d = $1 - $(half + 1); if (NF != 2 * half || d > 2e-6 || d < -2e-6) bad = 1 }
		END { exit bad || !NR }'
}

# ---- listed ----

ctl ls >"$TMP/out" 2>&1
is $? 0 "ls"
has "$TMP/out" "^encoder.* bert .* F32 .* 48 " "a folder of an encoder is listed with its facts"
has "$TMP/out" "out.*points out of the models folder" "the pooling's settings must lie inside"
has "$TMP/out" "dense.*Dense" "a module that nobody knows is named"

# ---- vectors ----

for i in 0 1 2 3 4; do
	fact encoder $i text
done >"$TMP/texts"
ctl embed -m encoder --no-normalize <"$TMP/texts" >"$TMP/vectors" 2>"$TMP/err"
is $? 0 "vectors of lines" || note "$(cat "$TMP/err")"
is "$(wc -l <"$TMP/vectors")" 5 "a line for each"
i=0
while IFS= read -r line; do
	echo "$line" | tr ' ' '\n' >"$TMP/got"
	fact encoder $i values | numbers >"$TMP/want"
	near "$TMP/got" "$TMP/want"
	ok $? "text $i has transformers' vector" || note "$line"
	ctl embed -m encoder --no-normalize "$(sed -n $((i + 1))p "$TMP/texts")" >"$TMP/alone" 2>&1
	echo "$line" >"$TMP/got"
	same "$TMP/alone" "$TMP/got" "and the same alone"
	i=$((i + 1))
done <"$TMP/vectors"
ctl embed -m encoder <"$TMP/texts" |
	awk '{ s = 0; for (i = 1; i <= NF; i++) s += $i * $i
		if (s < 0.99999 || s > 1.00001) bad = 1 }
		END { exit bad || NR != 5 }'
ok $? "without --no-normalize they have length 1"
ctl embed -m encoder --pooling mean what >"$TMP/mean" 2>&1
is $? 0 "another pooling"
cmp -s "$TMP/mean" "$TMP/alone"
isnt $? 0 "gives another vector"
is "$(ctl embed -m encoder --dims 4 what | wc -w)" 4 "the first elements only"
is "$(ctl embed -m encoder --raw what rain | wc -c)" 256 "raw: two of 32 float32"
printf 'two\nlines\0one' | ctl embed -m encoder -0 >"$TMP/out" 2>&1
is "$(wc -l <"$TMP/out")" 2 "texts that end with NUL bytes"
ctl embed -m encoder --json what rain >"$TMP/out" 2>&1
is "$(json '.embeddings[#]' <"$TMP/out") $(json .dims <"$TMP/out")" "2 32" "as JSON"
is "$(json .tokens <"$TMP/out")" "$(fact encoder 3 'ids[#]' | awk '{ print 2 * $1 }')" \
	"with the number of tokens"
ctl embed -m "$SMALL" what >"$TMP/out" 2>&1
is $? 0 "a model that makes text has vectors, too"
is "$(wc -w <"$TMP/out")" 64 "of its width"

# more texts than a request has
awk 'BEGIN { for (i = 0; i < 1100; i++) print "what" }' | ctl embed -m encoder --dims 2 >"$TMP/out" 2>&1
is "$(wc -l <"$TMP/out") $(sort -u "$TMP/out" | wc -l)" "1100 1" "1,100 texts, all the same"

# ---- too long ----

long=$(awk 'BEGIN { for (i = 0; i < 60; i++) printf "what " }')
ctl embed -m encoder "$long" >"$TMP/out" 2>&1
isnt $? 0 "a text that is too long is refused"
has "$TMP/out" "more than 48 tokens" "with the length that sentence-transformers gives it"
is "$(ctl embed -m encoder --json --truncate "$long" what | json .truncated)" 1 "cut, where that is asked for"

# ---- order ----

# 1 / (1 + e^-x), of the first terms of e^(-x / 4096), squared twelve times: a small guest's awk has
# no exp()
# shellcheck disable=SC2016
logistic='
function logistic(x, y, e, i) {
	y = -x / 4096
	e = 1 + y * (1 + y / 2 * (1 + y / 3 * (1 + y / 4)))
	for (i = 0; i < 12; i++)
		e *= e
	return 1 / (1 + e)
}'

# ordered MODEL FORMULA NUMBER...: the facts of these numbers, which have a query in common; what
# is shown of a logit x is what awk makes of the formula
ordered()
{
	name=$1
	formula=$2
	shift 2
	query=$(fact "$name" "$1" query)
	for i; do
		fact "$name" "$i" text
	done >"$TMP/texts"
	ctl rank -m "$name" "$query" <"$TMP/texts" >"$TMP/out" 2>"$TMP/err"
	is $? 0 "$name: lines in order" || note "$(cat "$TMP/err")"
	for i; do
		printf '%s\t%s\n' "$(fact "$name" "$i" 'values[0]')" "$(fact "$name" "$i" text)"
	done | sort -rn | awk -F '\t' "$logistic
		{ x = \$1; printf \"%.6f\\t%s\\n\", $formula, \$2 }" >"$TMP/want"
	cut -f 2- "$TMP/out" >"$TMP/got"
	cut -f 2- "$TMP/want" >"$TMP/two"
	same "$TMP/got" "$TMP/two" "by transformers' logits"
	about "$TMP/out" "$TMP/want"
	ok $? "which they are" || note "$(cat "$TMP/out")"
}

ordered qwen3-reranker 'logistic(x)' 0 1 2 3 4
ctl ask -m qwen3-reranker hello >"$TMP/out" 2>&1
isnt $? 0 "a decoder that ranks makes no text"
ordered logits x 5 6 7 8 9
is "$(ctl rank -m logits --json "$query" what | json '[0].score')" \
	"$(ctl rank -m reranker --json "$query" what | json '[0].logit')" "the same model, with and without a sigmoid"
ordered reranker 'logistic(x)' 5 6 7 8 9
cp "$TMP/out" "$TMP/all"
ctl rank -m reranker -c 2 "$query" <"$TMP/texts" >"$TMP/out" 2>&1
head -n 2 "$TMP/all" >"$TMP/two"
same "$TMP/out" "$TMP/two" "the best only"
is "$(ctl rank -m encoder --json 'the cat' rain 'the cat' what | json '[0].index')" 1 \
	"without labels by the angle of vectors"
is "$(ctl rank -m encoder --json 'the cat' rain 'the cat' what | json '[0].score')" 1 "which is none here"
ctl rank -m labels "$query" what >"$TMP/out" 2>&1
isnt $? 0 "a model of several labels does not rank"
has "$TMP/out" "'3' labels" "and says why"
has "$TMP/out" 'llmctl classify' "and what does"
steps=$(status .steps)
ctl rank -m labels "$query" what >"$TMP/out" 2>&1
is "$(status .steps)" "$steps" "nothing was computed for that"

# ---- labels ----

ctl classify -m labels --json "$(fact labels 0 text)" what >"$TMP/out" 2>&1
is $? 0 "labels"
is "$(json '[0][1].label' <"$TMP/out")" angry "have names"
for j in 0 1 2; do
	json "[0][$j].logit" <"$TMP/out"
done >"$TMP/got"
fact labels 0 values | numbers >"$TMP/want"
about "$TMP/got" "$TMP/want"
ok $? "and transformers' logits" || note "$(cat "$TMP/got")"
is "$(ctl classify -m labels what | wc -l)" 1 "the best one of each text"
ctl classify -m encoder what >"$TMP/out" 2>&1
isnt $? 0 "a model without labels has none"
has "$TMP/out" "no labels" "and says so"

# ---- no text ----

ctl ask -m encoder hello >"$TMP/out" 2>&1
isnt $? 0 "an encoder makes no text"
has "$TMP/out" "is an encoder" "and says so"
ctl embed -m out what >"$TMP/out" 2>&1
isnt $? 0 "what points out of the models folder is not asked"
: >"$TMP/empty"
ctl embed -m encoder <"$TMP/empty" >"$TMP/out" 2>&1
isnt $? 0 "nothing is no text"
daemon_stop
done_testing
