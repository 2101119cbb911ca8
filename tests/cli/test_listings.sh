#!/bin/bash
# SPDX-License-Identifier: MIT
#
# llmctl ls, show, ps, status, tokenize, detokenize, score.

# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
mkdir -p "$TMP/models"
cp "$TREE/models/$MODEL.gguf" "$TMP/models/"
head -c 5000 "$TREE/models/$MODEL.gguf" >"$TMP/models/"$'broken\e[31m.gguf'
head -c 5000 "$TREE/models/$MODEL.gguf" >"$TMP/models/broken.gguf"
daemon_start

# ls
ctl ls
is $? 0 "ls"
has '^MODEL +ARCH +WEIGHTS +PARAMS +SIZE +CONTEXT +CHAT +STATE$' "its head"
has "^$MODEL\\*? +llama +F32 +260K +1\\.0M +512 +- +(on disk|loaded)\$" "the model"
! grep -q $'\e' "$TMP/out"
ok $? "no control character of a file's name gets out"
ctl ls --json
is_json "ls --json is JSON"
is "$(json "[name=$MODEL].parameters")" 260032 "it has the number of parameters"
is "$(json "[name=$MODEL].error")" null "no error where there is none"
error=$(json "[name=broken].error")
[[ -n $error && $error != null ]]
ok $? "an error where there is one"

# show
ctl show "$MODEL"
is $? 0 "show"
has '^architecture   llama$' "the architecture"
has '^  general.architecture = llama$' "a key of the file"
ctl show "$MODEL" --json
is_json "show --json is JSON"
has '"meta":\{.*"general.architecture":"llama"' "with the keys of its file"
fails 66 "'nothing'" "show of no model" show nothing

# ps
ctl ps
is $? 0 "ps"
is "$(tr -s ' ' <"$TMP/out" | head -n 1)" "PID USER CGROUP MODEL STATE TOKENS AGE" "its head"
ctl ps --json
is "$(cat "$TMP/out")" '[]' "nobody is there"

# somebody who asks: an answer may be faster than a look at it
found=
for _ in {1..20}; do
	llmctl ask --class idle --raw Once --ignore-eos -n 480 </dev/null >/dev/null 2>&1 &
	pid=$!
	ctl ps --json
	if [[ $(json "[pid=$pid].pid" 2>/dev/null) == "$pid" ]]; then
		found=1
		is "$(json "[pid=$pid].uid")" "$(id -u)" "ps: uid"
		is "$(json "[pid=$pid].user")" "$(id -un)" "user"
		is "$(json "[pid=$pid].op")" generate "operation"
		is "$(json "[pid=$pid].class")" idle "class"
		[[ $(json "[pid=$pid].state") =~ ^(queued|running|paused)$ ]]
		ok $? "state"
		[[ -n $(json "[pid=$pid].cgroup") || $(json "[pid=$pid].cgroup_id") == 0 ||
			! -e /sys/fs/cgroup/cgroup.procs ]]
		ok $? "cgroup"
	fi
	wait "$pid"
	[[ -z $found ]] || break
done
[[ -n $found ]]
ok $? "ps shows who asks"

# status
ctl status
is $? 0 "status"
has "^server    llmosd [0-9.]+, pid $DAEMON," "it names the server"
ctl status --json
is_json "status --json is JSON"
is "$(json .server_pid)" "$DAEMON" "with its pid"
is "$(json .slots_busy)" 0 "nobody is computing"

# tokens
ctl tokenize --ids 'Once upon a time'
is $? 0 "tokenize --ids"
ids=$(cat "$TMP/out")
is "$ids" "403 407 261 378" "the ids"
# shellcheck disable=SC2086
ctl detokenize $ids
is "$(cat "$TMP/out")" 'Once upon a time' "detokenize is its inverse"
echo "$ids" | tr ' ' ',' >"$TMP/in"
ctl_in "$TMP/in" detokenize --json
is "$(json .text)" 'Once upon a time' "ids from standard input, JSON"
ctl tokenize --json 'Once upon'
is_json "tokenize --json is JSON"
is "$(json '[1].id')" 407 "an id in it"
printf 'a\nb\n' >"$TMP/in"
ctl_in "$TMP/in" tokenize --ids
# shellcheck disable=SC2046
ctl detokenize $(cat "$TMP/out")
cmp -s "$TMP/out" "$TMP/in"
ok $? "standard input byte for byte, there and back"
ctl tokenize 'a'
has '^ +[0-9]+  "' "a table of tokens"
fails 65 "'x1'" "no token id" detokenize x1
fails 65 "'4294967296'" "an id out of range" detokenize 4294967296
fails 66 'no token ids' "no ids at all" detokenize
ctl detokenize 4294967295
[[ $? != 0 && $(wc -l <"$TMP/err") == 1 ]]
ok $? "an id that the model does not have"

# score
ctl score 'Once upon a time, there was'
is $? 0 "score"
has '^ +1 +- +"<s>"' "the first token has none"
has '^8 tokens, 7 scored, log-probability -[0-9.]+, perplexity [0-9.]+$' "the sum"
ctl score --json --logprobs=3 'Once upon a time, there was'
is_json "score --json is JSON"
is "$(json '.tokens[0].logprob')" null "no log-probability of the first"
is "$(json '.tokens[3].top[#]')" 3 "alternatives"
sum=$(json .logprob)
ctl tokenize --bos --ids 'Once upon a time, there was'
# shellcheck disable=SC2046
ctl score --ids --json $(cat "$TMP/out")
is "$(json .logprob)" "$sum" "by ids the same"

done_testing
