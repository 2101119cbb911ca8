#!/bin/sh
# SPDX-License-Identifier: MIT
#
# llmctl chat on a terminal: Ctrl-C cancels the answer and not the chat, lines are remembered, and a
# history that can't be written spoils nothing.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
"$E2E/addkey" tokenizer.chat_template "{% for message in messages %}{{'<|im_start|>' + \
message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}" \
	<"$LLMOS_TREE/models/$SMALL.gguf" >"$TMP/models/chatml.gguf"
daemon_start
chat="$LLMOS_BUILD/llmctl chat"

# chat_on_terminal PATTERN INPUT...
chat_on_terminal()
{
	# shellcheck disable=SC2086
	"$E2E/pty" "$@" -- $chat -n "${answer_tokens:-20}" >"$TMP/out" 2>"$TMP/err"
}

chat_on_terminal '>' 'Once upon a time\r' 'ommy' '' '>' '\004'
is $? 0 "a question, an answer, end of file" || note "$(cat "$TMP/out" "$TMP/err")"
has "$TMP/out" 'ommy' "the answer streams to the terminal"
find "$HOME" -name history | head -n 1 >"$TMP/where"
[ -s "$TMP/where" ]
ok $? "there is a history"
has "$(cat "$TMP/where")" 'Once upon a time' "with the line in it"
is "$(stat -c %a "$(cat "$TMP/where")")" 600 "for nobody else to read"

# one conversation, of which nothing is read twice: what a session says, and as one computes it
questions='Once upon a time\nWhat did Tom say to his mother on that day, and what did she say then?\n'
# shellcheck disable=SC2059
printf "$questions" >"$TMP/in"
ctl chat -t 0 -n 60 <"$TMP/in" >"$TMP/chat"
is $? 0 "two questions from a pipe"
found=$(status .reused_tokens)
[ "$found" -gt 0 ]
ok $? "the second one began with $found tokens of the first"
if ctl session run true 2>/dev/null; then
	# shellcheck disable=SC2016
	ctl session run sh -c 'while read -r line; do
		"$LLMOS_BUILD/llmctl" ask -t 0 -n 60 "$line" </dev/null || exit
	done' <"$TMP/in" >"$TMP/session"
	is $? 0 "the same in a session"
	cmp "$TMP/chat" "$TMP/session"
	ok $? "the same answers" || note "$(cat "$TMP/chat" "$TMP/session")"
fi

# the arrow key brings the line of the last chat back
chat_on_terminal '>' '\033[A\r' 'ommy' '' '>' '\004'
is $? 0 "the line of an earlier chat, from the history" || note "$(cat "$TMP/out" "$TMP/err")"

# Ctrl-C in the middle of an answer, while others keep the daemon busy
: >"$TMP/busy"
"$E2E/load" -n "$(pick 24 4)" >"$TMP/busy" &
busy=$!
E2E_PIDS=$busy
wait_for 10 grep -q busy "$TMP/busy"
answer_tokens=400
chat_on_terminal '>' 'Once upon a time\r' 'ommy' '\003' '>' 'Once upon a time\r' 'ommy' '\003' \
	'>' '\004'
is $? 0 "Ctrl-C ends an answer, the chat goes on" || note "$(cat "$TMP/out" "$TMP/err")"
kill $busy
wait $busy 2>/dev/null
answer_tokens=

# no room, no right, no folder for the history
history=$(cat "$TMP/where")
for spoil in full folder file; do
	rm -rf "$history"
	case $spoil in
	full) ln -s /dev/full "$history" ;;
	folder) mkdir "$history" ;;
	file)
		rm -rf "$HOME"
		echo "not a folder" >"$HOME"
		;;
	esac
	chat_on_terminal '>' 'Once upon a time\r' 'ommy' '' '>' '\004'
	is $? 0 "a history that can't be written ($spoil)" || note "$(cat "$TMP/out" "$TMP/err")"
done

daemon_stop
done_testing
