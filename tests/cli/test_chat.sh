#!/bin/bash
# SPDX-License-Identifier: MIT
#
# llmctl chat without a terminal: lines in, answers out.

# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
daemon_start

chat()
{
	printf '%b' "$1" >"$TMP/in"
	ctl_in "$TMP/in" chat -n 10
}

# the small model has no chat template: its server says so
chat 'hello\n'
is $? 69 "a model that can not chat: 69"
is "$(wc -l <"$TMP/err")" 1 "one line"

chat ''
is $? 0 "no line at all"
chat '\n  \n'
is $? 0 "empty lines"
chat '/exit\nhello\n'
is $? 0 "/exit"
is "$(cat "$TMP/out")" '' "nothing was asked"
chat '/help\n'
has '^/reset' "/help"
chat '/frobnicate\n'
is $? 64 "an unknown command: 64"
grep -q "'/frobnicate'" "$TMP/err"
ok $? "it is named"
chat '/system Be brief.\n/reset\n/quit'
is $? 0 "/system, /reset, and no newline at the end"
chat 'a\0b\n'
is "$? $(cat "$TMP/err")" "65 llmctl: chat: standard input: a NUL byte in it" "a NUL byte"
head -c $((64 * 1024 * 1024 + 1)) /dev/zero | tr '\0' a >"$TMP/in"
ctl_in "$TMP/in" chat -n 10
is "$? $(cut -c 1-60 "$TMP/err")" \
	"65 llmctl: chat: standard input: a line of more than 67108864 b" "a line without end"
rm "$TMP/in"
[[ ! -e $HOME/.local ]]
ok $? "no history of what a script says"

done_testing
