#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Asks one question three ways and shows each answer as it grows: ask-three.sh QUESTION. Runs as
# the person who asks, in the guest and on the host alike. With LLMOS_ADDRESS set the transport is
# a socket, and a pipe takes the place of the redirection. Exit status 1 unless all three answered.

question=$1
answered=0

# show COMMAND-LINE: what a person would type
show()
{
	printf '\n\033[1m$ %s\033[0m\n' "$1"
}

# judge PID: show what comes through the pipe until its end; an answer is a command that ended
# well and wrote letters
judge()
{
	tee "$folder/answer" <"$folder/pipe"
	[ -z "$(tail -c 1 "$folder/answer")" ] || echo
	if ! wait "$1"; then
		echo "ask-three: the command failed" >&2
	elif ! grep -q '[[:alpha:]]' "$folder/answer"; then
		echo "ask-three: no answer came" >&2
	else
		answered=$((answered + 1))
	fi
}

by_llmctl()
{
	show "llmctl ask '$question'"
	llmctl ask "$question" </dev/null >"$folder/pipe" &
	judge $!
}

by_library()
{
	show "llmos-uring-ask '$question'"
	llmos-uring-ask "$question" </dev/null >"$folder/pipe" &
	judge $!
}

by_redirection()
{
	show "exec 3<>/dev/llm; echo '$question' >&3; cat <&3"
	(exec 3<>/dev/llm && echo "$question" >&3 && cat <&3) >"$folder/pipe" &
	judge $!
}

by_pipe()
{
	show "echo '$question' | llmctl ask"
	(echo "$question" | llmctl ask) >"$folder/pipe" &
	judge $!
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkfifo "$folder/pipe"

by_llmctl
by_library
if [ -n "${LLMOS_ADDRESS:-}" ]; then
	by_pipe
else
	by_redirection
fi
printf '\n%s answers of 3\n' "$answered"
[ "$answered" -eq 3 ]
