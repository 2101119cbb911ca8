#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Conversations that programs inherit: what is asked in a session goes on from what was said before and
# does not compute it again, as if all had been asked at once; forks go their own ways; sealed ones
# never change; and who has no descriptor has no session.
#
# What is in single quotes is for the shell that is run in a session:
# shellcheck disable=SC2016

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

small_model
daemon_start
if ! ctl session run true 2>/dev/null; then
	[ "$LLMOS_TRANSPORT" = device ] || bail "no sessions over the socket"
	daemon_stop
	skip_all "this broker has no sessions"
fi
CTL=$LLMOS_BUILD/llmctl
export CTL

# in_session COMMAND: a shell's, with a new one
in_session()
{
	ctl session run sh -c "$1"
}

reused()
{
	status .reused_tokens
}

# a conversation, and the same at once from its token ids
before=$(reused)
in_session '
	"$CTL" ask --raw "Once upon a time" -n 40 >"$TMP/first" &&
	"$CTL" ask --raw " Then the dog" -n 30 >"$TMP/second" &&
	"$CTL" session info --json >"$TMP/info" &&
	"$CTL" session save "$TMP/saved"' </dev/null 2>"$TMP/err"
is $? 0 "two questions in a session" || note "$(cat "$TMP/err")"
is "$(json .turns <"$TMP/info")" 2 "they were two turns"
tokens=$(json .tokens <"$TMP/info")
# 45 tokens were said before the second question, 32 of them fill a page
is "$(($(reused) - before))" 32 "what was said was not computed again"
ctl ask --raw 'Once upon a time' -n 40 </dev/null >"$TMP/alone"
same "$TMP/first" "$TMP/alone" "the first answer is the usual one"
is "$(head -n 2 "$TMP/saved" | tail -n 1)" "model $SMALL" "the model is saved with it"
is "$(sed -n 3p "$TMP/saved")" "tokens $tokens" "how many tokens there are"
is "$(tail -n +4 "$TMP/saved" | wc -w)" "$tokens" "and each token"
is "$(stat -c %a "$TMP/saved")" 600 "for nobody else to read"

# who is given the descriptor goes on, in another process and over another connection
before=$(reused)
within 60 "$E2E/pass" >"$TMP/passed" 2>"$TMP/err"
is $? 0 "a descriptor is passed over a Unix socket, and who has none has no session" ||
	note "$(cat "$TMP/passed" "$TMP/err")"
same "$TMP/passed" "$TMP/second" "who was given it goes on as the first one would have"
is "$(($(reused) - before))" 32 "without computing again what was said"

# forks
in_session '
	"$CTL" ask --raw "Once upon a time" -n 40 >/dev/null &&
	"$CTL" session fork sh -c "\$CTL ask --raw \" Then the cat\" -n 30" >"$TMP/fork" &&
	"$CTL" session info --json >"$TMP/info" &&
	"$CTL" session save "$TMP/saved1" &&
	"$CTL" ask --raw " Then the dog" -n 30 >"$TMP/went_on" &&
	"$CTL" session seal &&
	{ "$CTL" ask --raw " And" -n 3; echo $? >"$TMP/sealed"; } 2>"$TMP/sealed_err" &&
	"$CTL" session save - >"$TMP/saved2" &&
	"$CTL" session fork "$CTL" ask --raw " And" -n 3 >/dev/null' </dev/null 2>"$TMP/err"
is $? 0 "a session is forked and sealed" || note "$(cat "$TMP/err")"
is "$(json .tokens <"$TMP/info")" 45 "a fork's question is not the session's"
isnt "$(cat "$TMP/fork")" "$(cat "$TMP/second")" "it has another answer"
same "$TMP/went_on" "$TMP/second" "and the session goes on as without it"
is "$(cat "$TMP/sealed")" 77 "nothing is said in a sealed session"
has "$TMP/sealed_err" sealed "which is told"
same "$TMP/saved2" "$TMP/saved" "it can be read"

# the server dies: over the device nobody notices, over the socket what was saved brings it back
restored()
{
	in_session '
		"$CTL" session restore "$TMP/saved1" &&
		"$CTL" ask --raw " Then the dog" -n 30 >"$TMP/restored" &&
		"$CTL" session save -' </dev/null 2>"$TMP/err" >"$TMP/saved3"
}
daemon_end KILL
daemon_start
restored
is $? 0 "another server, and a session that was saved" || note "$(cat "$TMP/err")"
same "$TMP/restored" "$TMP/second" "goes on byte for byte"
same "$TMP/saved3" "$TMP/saved" "with the same tokens"
if [ "$LLMOS_TRANSPORT" = device ]; then
	mkfifo "$TMP/killed"
	in_session '
		"$CTL" ask --raw "Once upon a time" -n 40 >/dev/null && echo >"$TMP/begun" &&
		read -r line <"$TMP/killed" &&
		"$CTL" ask --raw " Then the dog" -n 30 >"$TMP/survived"' \
		</dev/null 2>"$TMP/err" &
	holder=$!
	wait_for 60 test -s "$TMP/begun"
	daemon_end KILL
	daemon_start
	echo go >"$TMP/killed"
	wait "$holder"
	is $? 0 "a session outlives its server" || note "$(cat "$TMP/err")"
	same "$TMP/survived" "$TMP/second" "and goes on byte for byte"
fi

# what is refused
refuse()
{
	ctl "$@" </dev/null >"$TMP/out" 2>"$TMP/err"
	REFUSED=$?
}
refuse session info
is "$REFUSED" 64 "no session is named"
refuse ask --session 77 Once
is "$REFUSED" 64 "nothing is open there"
refuse ask --session x Once
is "$REFUSED" 64 "that is no number"
refuse session run "$TMP/nothing"
is "$REFUSED" 66 "there is no such command"
echo 'llmos session 1' >"$TMP/torn"
in_session '"$CTL" session restore "$TMP/torn"' </dev/null 2>"$TMP/err"
is $? 65 "a saved session that is torn"
# wherever it is cut off: within a number, behind one, at the end of a line
size=$(wc -c <"$TMP/saved1")
torn=0
for at in 1 2 $((size / 2)) $((size / 2 + 1)) $((size / 2 + 2)) $((size - 20)); do
	head -c $((size - at)) "$TMP/saved1" >"$TMP/torn"
	in_session '"$CTL" session restore "$TMP/torn"' </dev/null 2>"$TMP/err"
	[ $? -eq 65 ] && torn=$((torn + 1))
done
is "$torn" 6 "wherever that was" || note "$(cat "$TMP/err")"
head -n 3 "$TMP/saved1" >"$TMP/torn"
sed -n 4p "$TMP/saved1" >>"$TMP/torn"
in_session '"$CTL" session restore "$TMP/torn"' </dev/null 2>"$TMP/err"
is $? 65 "also between two lines"
has "$TMP/err" "a saved session of [0-9]+ tokens, of which 16 are there" "and what is left is told"
grep -v '^tokens ' "$TMP/saved1" >"$TMP/older"
in_session '"$CTL" session restore "$TMP/older" && "$CTL" session info --json' \
	</dev/null >"$TMP/out" 2>"$TMP/err"
is "$(json .tokens <"$TMP/out")" "$(sed -n 's/^tokens //p' "$TMP/saved1")" \
	"one that does not say how many there are is taken as it is"
printf 'llmos session 1\nmodel %s\n1 2 99999999\n' "$SMALL" >"$TMP/beyond"
in_session '"$CTL" session restore "$TMP/beyond"' </dev/null 2>"$TMP/err"
is $? 64 "one with a token that the model has not"
in_session '"$CTL" session restore "$TMP/saved1" && "$CTL" session restore "$TMP/saved1"' \
	</dev/null 2>"$TMP/err"
is $? 64 "one in which something was said"

daemon_stop
done_testing
