#!/bin/bash
# SPDX-License-Identifier: MIT
#
# llmctl without a server: help, completion, what is refused, exit codes.

# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

commands="ask run chat ls show ps tokenize detokenize score embed rank classify status session quota top events pressure version help"

# help
for command in '' $commands; do
	# shellcheck disable=SC2086
	ctl help $command
	is $? 0 "help $command"
	awk 'length > 80 || NR > 24 { exit 1 }' "$TMP/out"
	ok $? "help $command fits a screen"
	cp "$TMP/out" "$TMP/help"
	# shellcheck disable=SC2086
	ctl $command --help
	is "$(cat "$TMP/out")" "$(cat "$TMP/help")" "$command --help is the same"
done
ctl help
for command in $commands; do
	has "^  $command( |\$)" "help lists $command"
done
ctl --version
has '^llmctl [0-9]+\.[0-9]+\.[0-9]+ \(libllmos [0-9.]+\)$' "--version"
ctl version --json
is_json "version --json is JSON"

# completion offers what --help tells, and only what is taken
. "$TREE/libllmos-user/llmctl/completion/llmctl"
complete_words()
{
	COMP_WORDS=(llmctl "$@")
	COMP_CWORD=$#
	_llmctl
	echo "${COMPREPLY[*]}"
}
is "$(complete_words '')" "$commands" "completion of commands"
is "$(complete_words de)" "detokenize" "completion of a command"
is "$(complete_words help sc)" "score" "completion of help's operand"
is "$(complete_words ask --log)" "--logprobs" "completion of an option"
is "$(complete_words --address unix : /x ask --ra)" "--raw" "completion behind an address"
for command in $commands; do
	ctl "$command" --help
	missing=
	for option in $(complete_words "$command" --); do
		grep -qE -- "(^|[ ,])$option([ =[,]|\$)" "$TMP/out" || [[ $option == --help ]] ||
			missing+=" $option"
		case $option in
		--help | --json | --raw | --special | --no-bos | --ignore-eos | --ids | --bos | \
			--no-normalize | --truncate | --null | --no-wait | --batch | --all | --full | --any-json)
			value=() ;;
		--logprobs | --context-shift) value=() ;;
		--model | --address | --system | --stop) value=(x) ;;
		--class) value=(idle) ;;
		--pooling) value=(mean) ;;
		*) value=(1) ;;
		esac
		ctl_in /dev/null "$command" "$option" "${value[@]}" --help
		[[ ! -s $TMP/err ]] || missing+=" $option(refused)"
		ctl "$command" --help
	done
	is "$missing" '' "$command: completed options are known and in its help"
	told=$(grep -oE -- '--[a-z][a-z-]+' "$TMP/out" | sort -u)
	[[ $command == help ]] && continue
	is "$(for option in $told; do complete_words "$command" "$option" |
		grep -q . || echo "$option"; done)" '' "$command: its help tells of no others"
done

# usage
fails 64 'no command' "no command"
fails 64 "'frobnicate'" "unknown command" frobnicate
fails 64 "'--frobnicate'" "unknown option in front" --frobnicate ls
fails 64 "'--frobnicate'" "unknown option behind" ls --frobnicate
fails 64 "'-z'" "unknown letter" ls -z
fails 64 "'--stop' needs a value|'-n' needs a value" "missing value" ask x -n
fails 64 "max-tokens' 'many'" "no number" ask -n many x
fails 64 "max-tokens' '-5'" "negative number" ask -n -5 x
fails 64 "max-tokens' '99999999999'.*range" "number out of range" ask -n 99999999999 x
fails 64 "class' 'urgent'" "no class" ask --class urgent x
fails 64 "temperature' 'hot'" "no real number" ask -t hot x
fails 64 "logprobs' '21'" "too many alternatives" ask --logprobs=21 x
fails 64 "'--bos'" "option of another command" ask --bos x
fails 64 "'--json'" "chat has no --json" chat --json
fails 64 "operand" "ls with an operand" ls x
fails 64 "one model" "show without a model" show
fails 64 "one model" "show with two" show a b
fails 64 "model" "run without a model" run
fails 64 "'--system' and '--raw'" "options that exclude each other" ask --system x --raw x
fails 64 "'--ids' and '--no-bos'" "score with both" score --ids --no-bos 1
fails 64 "'nothing'" "help of nothing" help nothing
fails 64 "set, show" "quota without a verb" quota
fails 64 "'list'" "quota with another verb" quota list
fails 64 "KEY=VALUE" "quota set without a value" quota set /
fails 64 "a cgroup or --all" "quota reset of nothing" quota reset
fails 64 "a cgroup or --all" "quota reset of one and all" quota reset --all /
fails 64 "operand" "quota apply with an operand" quota apply /
fails 64 "operand" "top with an operand" top /
fails 64 "operand" "events with an operand" events /
fails 64 "one cgroup" "pressure of two" pressure / /

# nobody there
fails 69 "connect to 'unix:$TMP/none': No such file" "no server" -a "unix:$TMP/none" ls
LLMOS_ADDRESS=unix:$TMP/none fails 69 "$TMP/none" "no server, by environment" status
fails 64 "connect to 'nowhere': Invalid" "no address" --address nowhere ls
fails 76 "device:/dev/null" "no such device" ls --address device:/dev/null
: >"$TMP/file"
chmod 000 "$TMP/file"
if [[ $(id -u) != 0 ]]; then
	fails 77 "Permission denied" "no access" -a "device:$TMP/file" ls
fi
fails 69 "llmosd running" "a file that is no socket" -a "unix:$TMP/file" ls

done_testing
