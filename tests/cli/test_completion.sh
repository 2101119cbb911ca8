#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Completion of llmctl: commands, options, models; what a server names its models is never run.

# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=libllmos-user/llmctl/completion/llmctl
. "$TREE/libllmos-user/llmctl/completion/llmctl"

# replies WORD...: what the last word is completed to, one a line
replies()
{
	local COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
	local COMPREPLY=()

	_llmctl
	printf '%s\n' "${COMPREPLY[@]}" >"$TMP/out"
}

mkdir -p "$TMP/models" "$TMP/here"
cp "$TREE/models/$MODEL.gguf" "$TMP/models/"
cp "$TREE/models/$MODEL.gguf" "$TMP/models/with space.gguf"
# shellcheck disable=SC2016
cp "$TREE/models/$MODEL.gguf" "$TMP/models/"'$(touch${IFS}ran).gguf'
cp "$TREE/models/$MODEL.gguf" "$TMP/models/*x.gguf"
cd "$TMP/here" || exit 1
daemon_start

replies llmctl tok
is "$(cat "$TMP/out")" tokenize "a command"
replies llmctl ls --j
is "$(cat "$TMP/out")" --json "an option"
replies llmctl show stor
is "$(cat "$TMP/out")" "$MODEL" "a model"
replies llmctl ask -m with
is "$(cat "$TMP/out")" 'with\ space' "a name with a space, quoted"
replies llmctl show ''
is "$(wc -l <"$TMP/out")" 4 "all models"
has '^\\\*x$' "a name that is a pattern stays what it is"
has '^\\\$\\\(touch' "so does one that is a command"
is "$(ls)" '' "and it was not run"
# shellcheck disable=SC2016
mkdir -p cgroup/user.slice cgroup/system.slice "cgroup/"'$(touch${IFS}ran)'
export LLMCTL_CGROUPS=$PWD/cgroup
replies llmctl quota s
is "$(tr '\n' ' ' <"$TMP/out")" "set show " "a verb of quota"
replies llmctl quota show /us
is "$(cat "$TMP/out")" /user.slice "a cgroup"
replies llmctl pressure /
is "$(wc -l <"$TMP/out")" 3 "all cgroups"
is "$(ls)" cgroup "none of their names was run"
replies llmctl quota set / w
is "$(cat "$TMP/out")" weight= "a key"
replies llmctl quota reset / w
is "$(cat "$TMP/out")" '' "no key where none is due"
replies llmctl top --sort st
is "$(cat "$TMP/out")" stalled "a column"
daemon_kill
replies llmctl run ''
is "$(cat "$TMP/out")" '' "no models without a server"
done_testing
